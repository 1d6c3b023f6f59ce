"""Which samples a model is trained on, and which are held out: drawn at random, class by class.

The order of a file means something: writers follow each other, labels repeat, films go on. Each
split of this library is therefore drawn by the function below: the test part of the digits, the
held-out samples of a file, and the validation samples of classifiers and regressors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Generator, to_host

Indices = NDArray[np.intp]


def split(strata: Any, share: float, rng: Generator) -> tuple[Indices, Indices]:
    """Return the indices of the samples to train on and of the samples held out, in drawn order.

    ``strata``: (n,), equal for samples of one class; ``share``: between 0 and 1. Without classes,
    pass zeros. In all ⌊share · n + ½⌋ samples are held out, and of a class with c samples share · c
    rounded up or down, with one exception: a class of two samples or more is in both parts, so that
    small classes have more held out. A class of one sample is trained on.

    Any first few indices of a part are a random sample of it.
    """
    _, kinds, counts = np.unique(strata, return_inverse=True, return_counts=True)
    # Differences of rounded cumulative sums: each is rounded, and so is their total.
    quotas = np.diff(np.floor(share * np.cumsum(counts) + 0.5), prepend=0)
    quotas = np.clip(quotas, counts > 1, counts - 1)
    by_class = np.lexsort((to_host(rng.random(len(kinds))), kinds))
    first_ones = [np.arange(c) < q for c, q in zip(counts, quotas, strict=True)]
    held_out = np.zeros(len(kinds), dtype=bool)
    held_out[by_class] = np.concatenate(first_ones)
    # The order is drawn anew: in the first one, samples of a class precede those not drawn.
    order = np.argsort(to_host(rng.random(len(kinds))))
    return order[~held_out[order]], order[held_out[order]]


def intervals(y: Any, share: float) -> Indices:
    """Return strata for targets that are real numbers: intervals that hold equally many of them.

    ``y``: (n,). There are as many intervals as samples in the smaller part, so that :func:`split`
    draws one sample of each interval for it.
    """
    n = len(y)
    held_out = round(share * n)
    rank = np.argsort(np.argsort(y, kind="stable"), kind="stable")
    return rank * min(held_out, n - held_out) // n
