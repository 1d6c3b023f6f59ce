r"""Precision, recall, density and coverage: fidelity and diversity of samples, told apart.

One distance between distributions does not say whether samples are poor or too alike. These four
numbers do. Let B(xᵢ) be the ball around xᵢ that reaches to its k-th nearest neighbour among the
other points of its own set. The union of the balls is an estimate of the support of the set. For n
samples y and m real samples x:

    precision = (1/n) Σⱼ 1[yⱼ in some B(xᵢ)],    the share of samples that look real,
    recall    = (1/m) Σᵢ 1[xᵢ in some B(yⱼ)],    the share of real samples that the model covers,
    density   = (1/kn) Σⱼ Σᵢ 1[yⱼ in B(xᵢ)],     how many real balls hold a sample, over k,
    coverage  = (1/m) Σᵢ 1[some yⱼ in B(xᵢ)],    the share of real balls that hold a sample.

A single real outlier has a large ball, in which any sample counts as precise; the density weights
such balls by their number, and the coverage takes the balls of real samples alone. For samples of
the distribution of the data and n = m, the mean of the density is 1, and the mean of the coverage
is 1 − ∏ (n − i)/(2n − i) for i = 1 … k. Precision and recall have no such value, and depend on the
dimension. Compare all four with those of real samples in the place of the generated ones.

Sources: Kynkäänniemi et al. 2019, arXiv:1904.06991, eqs. 1 and 2; Naeem et al. 2020,
arXiv:2002.09797, eqs. 4 and 5 and lemma 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, to_host
from .pairs import centred, squared_distances


class Neighbourhoods(NamedTuple):
    """Precision and recall, density and coverage; all but the density lie in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(samples: Any, reals: Any, k: int = 5) -> Neighbourhoods:
    """Return the four numbers for samples beside real samples, of any shape and on one device.

    k is the number of neighbours that a ball reaches to. Raises ``ValueError`` for sets of k
    samples or fewer, and for samples that cannot be compared. The distances of all pairs are in
    memory at once.
    """
    y, x = centred(samples, reals)
    if not 1 <= k < min(len(x), len(y)):
        raise ValueError(
            "k is at least 1, and less than the numbers of samples and of real samples, got k = "
            f"{k} for {len(y)} and {len(x)}"
        )
    across = squared_distances(x, y)
    in_real = across <= _radii(x, k)[:, None]
    in_sampled = across <= _radii(y, k)
    shares = (
        in_real.any(axis=0).mean(),
        in_sampled.any(axis=1).mean(),
        in_real.sum(axis=0).mean() / k,
        in_real.any(axis=1).mean(),
    )
    return Neighbourhoods(*(float(to_host(share)) for share in shares))


def _radii(x: Array, k: int) -> Array:
    """The squared distance of each point from its k-th nearest neighbour among the others: (n,)."""
    squares = squared_distances(x, x)
    np.fill_diagonal(squares, 0)  # the distance of a point from itself, free of rounding
    radii: Array = np.partition(squares, k, axis=1)[:, k]
    return radii
