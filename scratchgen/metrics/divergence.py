"""Divergences of discrete distributions, in nats.

Established here: the two that the notes need, from the probabilities themselves. Both vanish where
p = q and nowhere else.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..backend import Array, special, to_host


def kl_divergence(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    """D_KL(p ‖ q) = Σ p log(p/q), in nats; ∞ where p has outcomes that q has not.

    ``p``, ``q``: probabilities of the same outcomes, of any one shape, each with the sum 1. Raises
    ``ValueError`` for what is no distribution. Source: the notes, "Kullback-Leibler divergence".
    """
    p, q = _distributions(p, q)
    return _kl(p, q)


def jensen_shannon(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    """D_JS(p ‖ q) = ½ D_KL(p ‖ m) + ½ D_KL(q ‖ m) with m = (p + q)/2, in nats.

    Between 0 and log 2, which is reached where no outcome has both; the notes print [0, 1], which
    are its bounds in bits. Source: the notes, "Jensen-Shannon divergence".
    """
    p, q = _distributions(p, q)
    # D_KL(2p ‖ p + q) = 2 D_KL(p ‖ m), and half of the least number above zero would be zero.
    return 0.25 * (_kl(2 * p, p + q) + _kl(2 * q, p + q))


def _kl(p: Array, q: Array) -> float:
    # Σ (q − p) = 0 is added, so that no term is negative, and near p = q little cancels.
    return float((special(p).rel_entr(p, q) + (q - p)).sum())


def _distributions(p: npt.ArrayLike, q: npt.ArrayLike) -> tuple[Array, Array]:
    """Both on the host, in float64, checked and with a sum of 1 to rounding."""
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
