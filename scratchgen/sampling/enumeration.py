"""Sums over all states of some units, as they are exact: for as many units as there is time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from .. import operations as ops
from ..backend import Array


def log_sum_over_states(c: Array, M: Array, log_sum: Callable[[Array], Array]) -> Array:
    """log Σₛ exp(cᵀs + log_sum(s M)) over all s ∈ {0, 1}ⁿ; c: (n,), M: (n, D).

    The states of the last units are the rows of a block that stays in the cache, with s M of their
    own; each state of the first units adds one row to it. What comes is added up as it comes.
    """
    n, D = M.shape
    # A block of 2¹⁷ numbers in float64 is 1 MiB.
    in_block = min(n, max(0, int(math.log2(2**17 / D))) if D < 2**17 else 0)
    block = all_states(in_block, c)
    first = n - in_block
    fields, weights = block @ M[first:], block @ c[first:]
    total = np.full_like(c[:1], -np.inf)
    for s in itertools.product((0.0, 1.0), repeat=first):
        field, weight = np.zeros_like(M[0]), np.zeros_like(c[0])
        for bit, row, c_i in zip(s, M, c, strict=False):
            if bit:
                field, weight = field + row, weight + c_i
        terms = weights + weight + log_sum(fields + field)
        total = np.logaddexp(total, ops.logsumexp(terms, axis=0))
    return total[0]


def all_states(n: int, like: Array) -> Array:
    """All states of n units, (2ⁿ, n), in the order of the binary numbers."""
    states = np.zeros_like(like, shape=(1, 0))
    for _ in range(n):
        zeros = np.zeros_like(like, shape=(len(states), 1))
        states = np.concatenate(
            [np.concatenate([zeros, states], axis=1), np.concatenate([zeros + 1, states], axis=1)]
        )
    return states
