"""Gradient clipping: steps of bounded length where gradients explode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backend import Array


def clip_grad_norm(gradients: Sequence[Array], max_norm: float) -> list[Array]:
    """g ← g min(1, c / (‖g‖ + 10⁻⁶)), with c = ``max_norm`` and ‖g‖ of all gradients together.

    All gradients are multiplied by one factor, so that the direction of the step stays the same. A
    gradient with ‖g‖ ≤ c − 10⁻⁶ keeps its bits. Where the gradient explodes, as δ does in a deep
    network whose layers each enlarge it, a step of gradient descent has a length of at most η c.
    Squares are summed in float64, since those of a float32 beyond 10¹⁹ overflow. Source: Pascanu,
    Mikolov and Bengio 2013, algorithm 1, in the form of ``torch.nn.utils.clip_grad_norm_``.
    """
    norm = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in gradients))
    factor = np.minimum(max_norm / (norm + 1e-6), 1)
    return [g * factor.astype(g.dtype) for g in gradients]
