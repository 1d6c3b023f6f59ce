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
of as many samples of the real distribution against the others. Or ask how often it would be as
large by chance if both sets had one distribution: exchanging samples at random between the sets
tells (:func:`permutation_test`).

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

from ..backend import Array, Generator, device_of, to_device, to_host
from .pairs import centred, rows, squared_distances

Estimate = Callable[..., float]
PAIRS = 1 << 22  # the number of pairs whose distances are in memory at a time
ENOUGH = 2000  # the largest number of samples for a bandwidth
MOST_TESTED = 6_000  # the largest number of samples of a permutation test


class PermutationTest(NamedTuple):
    """An unbiased estimate of MMD², and the probability of one as large by chance."""

    value: float
    p_value: float


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
    x, y = centred(x, y)
    sigma = _bandwidth(y, bandwidth)
    n, m = len(x), len(y)
    within = (_kernel_sum(x, x, sigma) + n) / n**2 + (_kernel_sum(y, y, sigma) + m) / m**2
    return max(within - 2 * _kernel_sum(x, y, sigma) / (n * m), 0.0)


def mmd2_unbiased(x: Any, y: Any, bandwidth: float | str = "median") -> float:
    """Σᵢ≠ⱼ k(xᵢ, xⱼ)/n(n−1) + Σᵢ≠ⱼ k(yᵢ, yⱼ)/m(m−1) − 2 Σᵢⱼ k(xᵢ, yⱼ)/nm: a U-statistic.

    Its mean is MMD², so that it may fall below 0. The arguments are those of :func:`mmd2_biased`,
    with at least two samples each. Source: Gretton et al. 2012, eq. 3.
    """
    x, y = centred(x, y)
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
    _, y = centred(samples, reference)
    sigma = _bandwidth(y, bandwidth)
    value, floor = (estimate(x, reference, sigma) for x in (samples, reals[:n]))
    return AgainstFloor(value, floor, sigma)


def permutation_test(
    x: Any,
    y: Any,
    rng: Generator,
    bandwidth: float | str = "median",
    permutations: int = 199,
) -> PermutationTest:
    """The unbiased MMD² of x and y, and p, the share of permutations for which it is as large.

    Under the hypothesis that all samples are independent draws of one distribution, the n + m
    samples may be exchanged between the sets without a change of the distribution of the estimate.
    Hence p = (1 + the number of permutations whose estimate is at least the observed one) divided
    by (1 + ``permutations``), and P(p ≤ α) ≤ α for every α. The bandwidth is that of all samples
    together, on which a permutation has no effect. Raises ``ValueError`` for more than 6,000
    samples together, since the kernel of all pairs is in memory. Source: Gretton et al. 2012,
    section 8.
    """
    x, y = centred(x, y)
    n, m = len(x), len(y)
    if min(n, m) < 2 or n + m > MOST_TESTED or permutations < 1:
        raise ValueError(
            f"the test takes at least two samples of each kind, at most {MOST_TESTED:,} together, "
            f"and at least one permutation, got {n}, {m} and {permutations}"
        )
    both = np.concatenate([x, y]).astype(np.float64)
    k = squared_distances(both, both)
    k *= -0.5 / _bandwidth(both, bandwidth) ** 2
    np.exp(k, out=k)
    np.fill_diagonal(k, 0)
    # Column 0 of ``first`` marks x itself; the other columns mark n random samples each.
    places = rng.random((n + m, permutations)).argsort(axis=0)
    first = np.concatenate([(np.arange(n + m) < n)[:, None], to_host(places) < n], axis=1)
    first = to_device(first.astype(k.dtype), device_of(k))
    of_each = k.sum(axis=1) @ first
    within_x = (first * (k @ first)).sum(axis=0)
    across = of_each - within_x
    within_y = k.sum() - of_each - across
    values = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m)
    values = to_host(values)
    # Rounding must not separate permutations that exchange equal samples from the observed sets.
    as_large = np.count_nonzero(values[1:] >= values[0] - 1e-12)
    return PermutationTest(float(values[0]), (1 + as_large) / (1 + permutations))


def median_bandwidth(y: Any) -> float:
    """σ = the median of ‖yᵢ − yⱼ‖ over i ≠ j, of at most 2,000 of the samples, evenly spaced.

    Source: Gretton et al. 2012, section 8.
    """
    return _checked_sigma(math.sqrt(float(to_host(np.median(_squared_distances_of_pairs(y))))))


def mean_bandwidth(y: Any) -> float:
    """σ² = the mean of ‖yᵢ − yⱼ‖² over i ≠ j, of at most 2,000 of the samples, evenly spaced.

    This is the notes' scale, except that they include the n pairs of a sample with itself.
    """
    return _checked_sigma(math.sqrt(float(to_host(np.mean(_squared_distances_of_pairs(y))))))


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


def _squared_distances_of_pairs(y: Any) -> Array:
    """‖yᵢ − yⱼ‖² for all i ≠ j."""
    y = rows(y)
    if len(y) < 2:
        raise ValueError("a bandwidth is taken from the distances of at least two samples, got one")
    y = y[:: -(-len(y) // ENOUGH)]
    n = len(y)
    # In rows of length n + 1, the diagonal entries are the first of each row.
    flat = squared_distances(y - y.mean(axis=0), y - y.mean(axis=0)).reshape(-1)
    return flat[1:].reshape(n - 1, n + 1)[:, :-1]


def _kernel_sum(x: Array, y: Array, sigma: float) -> float:
    """Σᵢⱼ k(xᵢ, yⱼ), without i = j where x is y, for as many rows at a time as memory allows."""
    total, size = 0.0, max(1, PAIRS // len(y))
    for start in range(0, len(x), size):
        k = squared_distances(x[start : start + size], y)
        k *= -0.5 / sigma**2
        np.exp(k, out=k)
        part = k.sum(dtype=np.float64)
        if x is y:
            part = part - k[:, start : start + size].diagonal().sum(dtype=np.float64)
        total += float(to_host(part))
    return total
