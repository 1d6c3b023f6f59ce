"""Layers: affine maps, dropout, and changes of shape."""

from __future__ import annotations

import math
import operator
from typing import Any

from .. import operations
from ..autodiff import Tensor
from ..backend import Generator
from .network import Network, draw_uniform


class Linear(Network):
    """z = x Wᵀ + b on rows x: (n, n_in), giving (n, n_out).

    ``weight`` (n_out, n_in) and ``bias`` (n_out,) are drawn from U(−1/√n_in, 1/√n_in), as in
    ``torch.nn.Linear``. Raises ``ValueError`` unless both sizes are positive.
    """

    def __init__(self, n_in: int, n_out: int, bias: bool = True, *, rng: Generator) -> None:
        n_in, n_out = operator.index(n_in), operator.index(n_out)
        if n_in < 1 or n_out < 1:
            raise ValueError(f"Linear has at least one input and one output, got {n_in}, {n_out}")
        bound = 1 / math.sqrt(n_in)
        self.weight = Tensor(draw_uniform((n_out, n_in), bound, rng))
        self.bias = Tensor(draw_uniform((n_out,), bound, rng)) if bias else None

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.affine(x, self.weight, self.bias)


class Dropout(Network):
    """Entries dropped with probability p, the others divided by 1 − p; none without rng."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout drops a share p with 0 ≤ p < 1, got {p}")
        self.p = p

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return x if rng is None else operations.dropout(x, p=self.p, rng=rng)


class Flatten(Network):
    """Each sample as one row: (n, …) ↦ (n, D)."""

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Reshape(Network):
    """Each sample in a shape of its own: ``Reshape(1, 28, 28)`` maps (n, 784) ↦ (n, 1, 28, 28)."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return x.reshape(x.shape[0], *self.shape)
