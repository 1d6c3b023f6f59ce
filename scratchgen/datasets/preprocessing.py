r"""What is done to data before a model meets them, each with the way back.

A model assumes something of its data: states 0 and 1, a variance near 1, the range of a tanh, a
density. Each function here brings data to one of these forms and returns the inverse, or says what
it adds to a log density. By the change of variables y = f(x), log p(x) = log p(y) + log|∂y/∂x|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..backend import Array, Generator, check_generator, to_host
from ..distributions import bernoulli


@dataclass(frozen=True)
class Affine:
    """y = (x − shift) / scale, of each number of a sample or of all alike.

    ``log_volume``: log|∂y/∂x| of a whole sample, which log p(y) lacks to be log p(x).
    """

    shift: Array | float
    scale: Array | float
    size: int
    """Numbers in a sample."""

    def __call__(self, x: Array) -> Array:
        """Y of samples x."""
        return ((x - self.shift) / self.scale).astype(x.dtype)

    def inverse(self, y: Array) -> Array:
        """X = shift + scale y."""
        return (self.shift + self.scale * y).astype(y.dtype)

    @property
    def log_volume(self) -> float:
        """−Σ log scale, over the numbers of a sample."""
        each = -np.log(to_host(self.scale).astype(np.float64))
        return float(each.sum() * (self.size / each.size))


def standardise(x: Array, per_feature: bool = True) -> Affine:
    """The map to mean 0 and variance 1, of each feature or of all numbers together.

    A feature that never varies has no scale: it is shifted only. Fit it on the samples that are
    trained on, and apply it to all others as it is.
    """
    _check(x)
    axes = 0 if per_feature else None
    mean, deviation = x.mean(axis=axes, dtype=np.float64), x.std(axis=axes, dtype=np.float64)
    # The mean of equal numbers is off by rounding, which is no spread.
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

    A density of y is a bound for the probabilities of x: E_u log p(y) − D log K ≤ log P(x), by
    Jensen's inequality. Without u, a density of discrete data has no upper bound.
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
    # Rounding may bring the last level to 1 itself.
    return np.minimum(y, np.nextafter(dtype.type(1), dtype.type(0))), -_size(levels) * math.log(
        n_levels
    )


def binarise(x: Array, threshold: float = 0.5) -> Array:
    """1 where x is above the threshold, else 0."""
    _check(x)
    return (x > threshold).astype(x.dtype if x.dtype.kind == "f" else np.float32)


def binarise_at_random(x: Array, rng: Generator) -> Array:
    """1 with probability x, else 0, so that the mean of many draws is x: data in [0, 1]."""
    low, high = _ends(x)
    if low < 0 or high > 1:
        raise ValueError(f"probabilities lie in [0, 1], got {low:g} to {high:g}: take to_unit")
    return bernoulli(x, rng)


def outliers(x: Array, limit: float = 5.0) -> Array:
    """The samples in which a number lies further than ``limit`` from the median: their places.

    Distances are counted in 1.4826 medians of the absolute deviations of that feature, which is the
    standard deviation of normal numbers, and which outliers do not move. A feature whose median
    deviation is 0 has none. Source: Rousseeuw and Croux 1993.
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
