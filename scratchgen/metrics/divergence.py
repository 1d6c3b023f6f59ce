"""Divergences of discrete distributions: nats, or another unit by the base of the logarithm.

These are the two divergences of the notes, computed from the probabilities. Both are zero if and
only if p = q. With the base e they are in nats, with the base 2 in bits.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..backend import Array, special, to_host


def kl_divergence(p: npt.ArrayLike, q: npt.ArrayLike, base: float = math.e) -> float:
    """D_KL(p ‖ q) = Σ p log(p/q), with a logarithm of ``base``; ∞ if p has outcomes that q lacks.

    ``p``, ``q``: probabilities of the same outcomes, of any one shape, each with the sum 1. Raises
    ``ValueError`` for other arrays, and for a base that is not above 1. Source: the notes,
    "Kullback-Leibler divergence".
    """
    p, q = _distributions(p, q)
    return _kl(p, q) / _nats(base)


def jensen_shannon(p: npt.ArrayLike, q: npt.ArrayLike, base: float = math.e) -> float:
    """D_JS(p ‖ q) = ½ D_KL(p ‖ m) + ½ D_KL(q ‖ m) with m = (p + q)/2, in nats for ``base`` e.

    It lies between 0 and log 2, and is log 2 where p and q have no outcome in common. The notes
    print [0, 1], which are its bounds in bits, ``base=2`` (erratum E7). Raises ``ValueError`` as
    :func:`kl_divergence` does. Source: the notes, "Jensen-Shannon divergence".
    """
    p, q = _distributions(p, q)
    # D_KL(2p ‖ p + q) = 2 D_KL(p ‖ m); half of the smallest number above zero would be zero.
    return 0.25 * (_kl(2 * p, p + q) + _kl(2 * q, p + q)) / _nats(base)


def _nats(base: float) -> float:
    """Return log b, the number of nats in a unit of the base b."""
    if not 1 < base < math.inf:
        raise ValueError(
            f"the base of the logarithm is above 1 (e for nats, 2 for bits), got {base}"
        )
    return math.log(base)


def _kl(p: Array, q: Array) -> float:
    # Adding Σ (q − p) = 0 makes every term non-negative, so that little cancels near p = q.
    return float((special(p).rel_entr(p, q) + (q - p)).sum())


def _distributions(p: npt.ArrayLike, q: npt.ArrayLike) -> tuple[Array, Array]:
    """Return both on the host, in float64, checked and normalised to a sum of 1."""
    checked = []
    for name, given in (("p", p), ("q", q)):
        x = to_host(given).astype(np.float64)
        total = x.sum()
        if not x.size or not (x >= 0).all() or not abs(total - 1) <= 1e-5:
            raise ValueError(
                f"{name} is no distribution: probabilities are ≥ 0 and sum to 1, got a sum of "
                f"{total:g} and a least entry of {x.min() if x.size else math.nan:g}; for counts, "
                f"{name} / {name}.sum()"
            )
        checked.append(x / total)
    if checked[0].shape != checked[1].shape:
        raise ValueError(
            f"p and q are of the same outcomes, got shapes {checked[0].shape} and "
            f"{checked[1].shape}"
        )
    return checked[0], checked[1]
