r"""The maximum mean discrepancy: the distance of two distributions, from samples of both.

A kernel k(x, y) = e^(−‖x − y‖²/2σ²) maps each distribution to a mean embedding, E k(x, ·), which
for this kernel determines it. The squared distance of two embeddings is

    MMD² = E k(x, x′) + E k(y, y′) − 2 E k(x, y),

with independent draws x, x′ of one distribution and y, y′ of the other: it is 0 if and only if the
distributions are equal. There are two estimates. The biased one takes all pairs, including those of
a sample with itself. It is a squared distance itself, and for two samples of one distribution it is
still about 2 (1 − E k)/n. The unbiased one omits these pairs; for equal distributions it is as
often below 0 as above.

The estimate alone says little. Compare it with its floor: the same estimate, with the same kernel,
of as many samples of the real distribution against the others.

The notes' score is √MMD² of the biased kind, with σ² the mean squared distance of real images. It
compares fakes on [0, 1] with reals on [−1, 1], which are far apart whatever they show (erratum
E15). Such samples are refused here.

Source: the notes, "Calculating scores"; Gretton et al. 2012, J. Mach. Learn. Res. 13, eqs. 2 to 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, device_of, plain, to_host

Estimate = Callable[..., float]
PAIRS = 1 << 22  # the number of pairs whose distances are in memory at a time
ENOUGH = 2000  # the largest number of samples for a bandwidth


class AgainstFloor(NamedTuple):
    """An estimate for samples, and for real samples in their place, with the same σ."""

    value: float
    floor: float
    bandwidth: float


def mmd2_biased(x: Any, y: Any, bandwidth: float | str = "median") -> float:
    """Σᵢⱼ k(xᵢ, xⱼ)/n² + Σᵢⱼ k(yᵢ, yⱼ)/m² − 2 Σᵢⱼ k(xᵢ, yⱼ)/nm ≥ 0, all pairs: a V-statistic.

    ``x``: n samples, ``y``: m samples of the reference, of any shape and on one device.
    ``bandwidth`` is σ, or ``"median"`` or ``"mean"`` for that of :func:`median_bandwidth` or
    :func:`mean_bandwidth` of y. Raises ``ValueError`` for samples that cannot be compared.
    Source: Gretton et al. 2012, eq. 5.
    """
    x, y = _centred(x, y)
    sigma = _bandwidth(y, bandwidth)
    n, m = len(x), len(y)
    within = (_kernel_sum(x, x, sigma) + n) / n**2 + (_kernel_sum(y, y, sigma) + m) / m**2
    return max(within - 2 * _kernel_sum(x, y, sigma) / (n * m), 0.0)


def mmd2_unbiased(x: Any, y: Any, bandwidth: float | str = "median") -> float:
    """Σᵢ≠ⱼ k(xᵢ, xⱼ)/n(n−1) + Σᵢ≠ⱼ k(yᵢ, yⱼ)/m(m−1) − 2 Σᵢⱼ k(xᵢ, yⱼ)/nm: a U-statistic.

    Its mean is MMD², so that it may fall below 0. The arguments are those of :func:`mmd2_biased`,
    with at least two samples each. Source: Gretton et al. 2012, eq. 3.
    """
    x, y = _centred(x, y)
    n, m = len(x), len(y)
    if n < 2 or m < 2:
        raise ValueError(f"the unbiased estimate takes at least two samples each, got {n} and {m}")
    sigma = _bandwidth(y, bandwidth)
    within = _kernel_sum(x, x, sigma) / (n * (n - 1)) + _kernel_sum(y, y, sigma) / (m * (m - 1))
    return within - 2 * _kernel_sum(x, y, sigma) / (n * m)


def against_floor(
    samples: Any,
    reals: Any,
    bandwidth: float | str = "median",
    estimate: Estimate = mmd2_unbiased,
) -> AgainstFloor:
    """``estimate`` for samples, and for equally many real samples, with the same kernel.

    The reals are split in the middle. The second half is the reference for both estimates. The
    first half gives the floor, and determines how many of the samples are used. The order of the
    reals should be random.
    """
    n = min(len(samples), len(reals) // 2)
    if n < 2:
        raise ValueError(
            f"at least two samples and four real ones, got {len(samples)}, {len(reals)}"
        )
    reference = reals[len(reals) // 2 :]
    samples = samples.reshape(len(samples), -1)[:n]
    _, y = _centred(samples, reference)
    sigma = _bandwidth(y, bandwidth)
    value, floor = (estimate(x, reference, sigma) for x in (samples, reals[:n]))
    return AgainstFloor(value, floor, sigma)


def median_bandwidth(y: Any) -> float:
    """σ = the median of ‖yᵢ − yⱼ‖ over i ≠ j, of at most 2,000 of the samples, evenly spaced.

    Source: Gretton et al. 2012, section 8.
    """
    return _checked_sigma(math.sqrt(float(to_host(np.median(_squared_distances_within(y))))))


def mean_bandwidth(y: Any) -> float:
    """σ² = the mean of ‖yᵢ − yⱼ‖² over i ≠ j, of at most 2,000 of the samples, evenly spaced.

    This is the notes' scale, except that they include the n pairs of a sample with itself.
    """
    return _checked_sigma(math.sqrt(float(to_host(np.mean(_squared_distances_within(y))))))


BANDWIDTHS = {"median": median_bandwidth, "mean": mean_bandwidth}


def _bandwidth(y: Array, bandwidth: float | str) -> float:
    if not isinstance(bandwidth, str):
        return _checked_sigma(bandwidth)
    if bandwidth not in BANDWIDTHS:
        raise ValueError(f"bandwidth is a number, or of {[*BANDWIDTHS]}, got {bandwidth!r}")
    return BANDWIDTHS[bandwidth](y)


def _checked_sigma(sigma: float) -> float:
    if not 0 < sigma < math.inf:
        raise ValueError(
            f"the bandwidth σ is a positive number, got {sigma:g}: give one yourself, or fewer "
            "samples that are equal"
        )
    return float(sigma)


def _squared_distances_within(y: Any) -> Array:
    """‖yᵢ − yⱼ‖² for all i ≠ j."""
    y = _rows(y)
    if len(y) < 2:
        raise ValueError("a bandwidth is taken from the distances of at least two samples, got one")
    y = y[:: -(-len(y) // ENOUGH)]
    n = len(y)
    # In rows of length n + 1, the diagonal entries are the first of each row.
    flat = _squared_distances(y - y.mean(axis=0), y - y.mean(axis=0)).reshape(-1)
    return flat[1:].reshape(n - 1, n + 1)[:, :-1]


def _squared_distances(x: Array, y: Array) -> Array:
    """‖xᵢ − yⱼ‖² = ‖xᵢ‖² + ‖yⱼ‖² − 2 xᵢ·yⱼ, (n, m)."""
    squares = x @ y.T
    squares *= -2
    squares += (x * x).sum(axis=1)[:, None]
    squares += (y * y).sum(axis=1)
    return np.maximum(squares, 0, out=squares)


def _kernel_sum(x: Array, y: Array, sigma: float) -> float:
    """Σᵢⱼ k(xᵢ, yⱼ), without i = j where x is y, for as many rows at a time as memory allows."""
    total, size = 0.0, max(1, PAIRS // len(y))
    for start in range(0, len(x), size):
        k = _squared_distances(x[start : start + size], y)
        k *= -0.5 / sigma**2
        np.exp(k, out=k)
        part = k.sum(dtype=np.float64)
        if x is y:
            part = part - k[:, start : start + size].diagonal().sum(dtype=np.float64)
        total += float(to_host(part))
    return total


def _rows(x: Any) -> Array:
    """Return samples as rows of floating-point numbers; integers become float64."""
    x = plain(x)
    if not hasattr(x, "__array_function__") or x.ndim < 1 or x.size == 0:
        raise ValueError(f"samples are an array (n, …), got {type(x).__name__} of {np.shape(x)}")
    x = x.reshape(len(x), -1)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    if not bool(to_host(np.isfinite(x).all())):
        raise ValueError("samples hold NaN or infinity: leave them out, or find what made them")
    return x


def _centred(x: Any, y: Any) -> tuple[Array, Array]:
    """Return both as rows, less the mean of y: distances stay, with the least rounding error."""
    x, y = _rows(x), _rows(y)
    if device_of(x) != device_of(y):
        raise ValueError(f"samples on two devices, {device_of(x)} and {device_of(y)}: move one")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"samples of {x.shape[1]} numbers against samples of {y.shape[1]}")
    ours, theirs = _range_of_images(x), _range_of_images(y)
    if ours != theirs and None not in (ours, theirs):
        raise ValueError(
            f"samples on {ours} against samples on {theirs} are far apart whatever they show: "
            "bring both to one range, [0, 1] to [−1, 1] by 2x − 1, and back by (x + 1)/2"
        )
    centre = y.mean(axis=0)
    return x - centre, y - centre


def _range_of_images(x: Array) -> str | None:
    """The usual range of pixels that the samples fill, or None; small samples have none."""
    if x.shape[1] < 9:
        return None
    low, high = float(to_host(x.min())), float(to_host(x.max()))
    for name, black, white in (("[0, 1]", 0, 1), ("[−1, 1]", -1, 1), ("[0, 255]", 0, 255)):
        slack = 0.1 * (white - black)
        if abs(low - black) <= slack and abs(high - white) <= slack:
            return name
    return None
