r"""Transformations of data for a model, each with its inverse.

A model assumes a form of its data: states 0 and 1, a variance near 1, the range of a tanh, a
density. Each function here brings data to one of these forms and returns the inverse, or the
correction to the log density. By the change of variables y = f(x), log p(x) = log p(y) +
log|∂y/∂x|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..backend import Array, Generator, check_generator, to_host
from ..distributions import bernoulli


@dataclass(frozen=True)
class Affine:
    """y = (x − shift) / scale, for each number of a sample, or with one shift and scale for all.

    ``log_volume``: log|∂y/∂x| of a whole sample, the difference between log p(x) and log p(y).
    """

    shift: Array | float
    scale: Array | float
    size: int
    """The number of numbers in a sample."""

    def __call__(self, x: Array) -> Array:
        """Return y for samples x."""
        return ((x - self.shift) / self.scale).astype(x.dtype)

    def inverse(self, y: Array) -> Array:
        """Return x = shift + scale y."""
        return (self.shift + self.scale * y).astype(y.dtype)

    @property
    def log_volume(self) -> float:
        """−Σ log scale, over the numbers of a sample."""
        each = -np.log(to_host(self.scale).astype(np.float64))
        return float(each.sum() * (self.size / each.size))


def standardise(x: Array, per_feature: bool = True) -> Affine:
    """The map to mean 0 and variance 1, of each feature or of all numbers together.

    A constant feature has no scale: it is only shifted. Fit the map on the training samples, and
    apply it unchanged to all others.
    """
    _check(x)
    axes = 0 if per_feature else None
    mean, deviation = x.mean(axis=axes, dtype=np.float64), x.std(axis=axes, dtype=np.float64)
    # The mean of equal numbers has a rounding error, which must not count as a spread.
    varies = x.max(axis=axes) > x.min(axis=axes)
    return Affine(mean, np.where(varies, deviation, 1.0), _size(x))


def to_unit(x: Array) -> Affine:
    """The map of all numbers together to [0, 1]: x ↦ (x − min)/(max − min)."""
    low, high = _ends(x)
    return Affine(low, high - low, _size(x))


def to_symmetric(x: Array) -> Affine:
    """The map of all numbers together to [−1, 1]: x ↦ 2 (x − min)/(max − min) − 1."""
    low, high = _ends(x)
    return Affine((low + high) / 2, (high - low) / 2, _size(x))


def dequantise(levels: Array, n_levels: int, rng: Generator) -> tuple[Array, float]:
    """y = (x + u)/K of integers x from 0 to K − 1, with u ~ U[0, 1), and the log volume −D log K.

    A density of y gives a lower bound on the probabilities of x, by Jensen's inequality:
    E_u log p(y) − D log K ≤ log P(x). Without u, the density of discrete data is unbounded.
    Source: Theis, van den Oord and Bethge, arXiv:1511.01844, section 3.1.
    """
    check_generator(rng)
    _check(levels)
    low, high = float(to_host(levels.min())), float(to_host(levels.max()))
    whole = bool(to_host((levels == np.floor(levels)).all()))
    if n_levels < 2 or not whole or low < 0 or high > n_levels - 1:
        raise ValueError(
            f"levels are integers from 0 to {n_levels - 1}, got numbers from {low:g} to {high:g}: "
            "round(x · (K − 1)) makes them of images on [0, 1]"
        )
    dtype = levels.dtype if levels.dtype.kind == "f" else np.dtype(np.float32)
    u = rng.random(levels.shape, dtype=dtype)
    y = (levels.astype(dtype) + u) / n_levels
    # Rounding may bring the last level to exactly 1.
    return np.minimum(y, np.nextafter(dtype.type(1), dtype.type(0))), -_size(levels) * math.log(
        n_levels
    )


def binarise(x: Array, threshold: float = 0.5) -> Array:
    """1 where x is above the threshold, else 0."""
    _check(x)
    return (x > threshold).astype(x.dtype if x.dtype.kind == "f" else np.float32)


def binarise_at_random(x: Array, rng: Generator) -> Array:
    """1 with probability x, else 0, for data x in [0, 1]: the mean of many draws is x."""
    low, high = _ends(x)
    if low < 0 or high > 1:
        raise ValueError(f"probabilities lie in [0, 1], got {low:g} to {high:g}: take to_unit")
    return bernoulli(x, rng)


def outliers(x: Array, limit: float = 5.0) -> Array:
    """Indices of the samples in which a number is further than ``limit`` from the median.

    The unit of distance is 1.4826 times the median absolute deviation of the feature. For normal
    numbers this is the standard deviation, and outliers do not change it. A feature whose median
    deviation is 0 has no outliers. Source: Rousseeuw and Croux 1993.
    """
    _check(x)
    rows = to_host(x).reshape(len(x), -1).astype(np.float64)
    from_median = np.abs(rows - np.median(rows, axis=0))
    spread = 1.4826 * np.median(from_median, axis=0)
    far = (from_median > limit * spread) & (spread > 0)
    return np.flatnonzero(far.any(axis=1))


def _check(x: Array) -> None:
    if x.ndim < 1 or not x.size:
        raise ValueError(f"data are at least one sample, (n, …), got shape {x.shape}")
    if x.dtype.kind == "f" and not bool(to_host(np.isfinite(x).all())):
        raise ValueError("the data hold NaN or infinity: remove or replace them first")


def _ends(x: Array) -> tuple[float, float]:
    _check(x)
    low, high = float(to_host(x.min())), float(to_host(x.max()))
    if not low < high:
        raise ValueError(f"all numbers are {low:g}: they have no range to scale")
    return low, high


def _size(x: Array) -> int:
    return math.prod(x.shape[1:])
