"""The split into training and held-out samples: drawn at random, class by class.

The order of a file carries information: writers follow each other, labels repeat, films proceed.
The function below therefore draws every split of this library: the test part of the digits, the
held-out samples of a file, and the validation samples of classifiers and regressors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Generator, to_host

Indices = NDArray[np.intp]


def split(strata: Any, share: float, rng: Generator) -> tuple[Indices, Indices]:
    """Return the indices of the training samples and of the held-out samples, in drawn order.

    ``strata``: (n,), equal for samples of one class; ``share``: between 0 and 1. Without classes,
    pass zeros. In all, ⌊share · n + ½⌋ samples are held out. Of a class with c samples, share · c
    are held out, rounded up or down, with one exception: a class of two or more samples is in both
    parts, so that small classes may have more held out. A class of one sample is used for training.

    The first few indices of a part, for any number, are a random sample of it.
    """
    _, kinds, counts = np.unique(strata, return_inverse=True, return_counts=True)
    # Differences of rounded cumulative sums are whole numbers with a correctly rounded total.
    quotas = np.diff(np.floor(share * np.cumsum(counts) + 0.5), prepend=0)
    quotas = np.clip(quotas, counts > 1, counts - 1)
    by_class = np.lexsort((to_host(rng.random(len(kinds))), kinds))
    first_ones = [np.arange(c) < q for c, q in zip(counts, quotas, strict=True)]
    held_out = np.zeros(len(kinds), dtype=bool)
    held_out[by_class] = np.concatenate(first_ones)
    # A new order is drawn, as in the first one the drawn samples of a class come first.
    order = np.argsort(to_host(rng.random(len(kinds))))
    return order[~held_out[order]], order[held_out[order]]


def intervals(y: Any, share: float) -> Indices:
    """Return strata for real-valued targets: intervals with equally many of them.

    ``y``: (n,). There are as many intervals as samples in the smaller part, so that :func:`split`
    draws one sample of each interval for it.
    """
    n = len(y)
    held_out = round(share * n)
    rank = np.argsort(np.argsort(y, kind="stable"), kind="stable")
    return rank * min(held_out, n - held_out) // n
