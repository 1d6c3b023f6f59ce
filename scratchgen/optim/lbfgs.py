"""The limited-memory quasi-Newton method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, device_of, to_device, to_host
from .optimizer import Optimizer


class LBFGS(Optimizer):
    """θ ← θ − η H g, with the inverse Hessian H that the last steps s and changes y of g suggest.

    H g comes from the two-loop recursion, begun with H₀ = (s·y / y·y) I; pairs with s·y ≤ 10⁻¹⁰ are
    left out. There is no line search: the first step is η min(1, 1/‖g‖₁) g. For gradients of the
    full batch. Source: Nocedal and Wright 2006, algorithms 7.4 and 7.5; a step is one iteration of
    ``torch.optim.LBFGS``.
    """

    state = ("previous_g", "previous_step")

    def __init__(
        self, parameters: Sequence[Tensor], lr: float = 1.0, history_size: int = 100
    ) -> None:
        if history_size < 1:
            raise ValueError(f"history_size is at least 1, got {history_size}")
        self.history_size = history_size
        self.pairs: list[tuple[Array, Array]] = []
        super().__init__(parameters, lr)

    def apply(self, gradients: Sequence[Array]) -> None:
        """θ ← θ − η H g, on the whole buffer."""
        g = np.concatenate([gradient.reshape(-1) for gradient in gradients])
        previous_g, s = self.buffers["previous_g"], self.buffers["previous_step"]
        y = g - previous_g
        length = self.lr
        if self.steps == 1:
            length *= min(1.0, 1 / max(float(to_host(np.absolute(g).sum())), 1e-300))
        elif _dot(s, y) > 1e-10:
            self.pairs = [*self.pairs, (s.copy(), y)][-self.history_size :]
        previous_g[...] = g
        s[...] = -length * self._inverse_hessian_times(g)
        self._theta += s

    def _inverse_hessian_times(self, g: Array) -> Array:
        direction, weights = g, []
        for s, y in reversed(self.pairs):
            weights.append(_dot(s, direction) / _dot(s, y))
            direction = direction - weights[-1] * y
        if self.pairs:
            s, y = self.pairs[-1]
            direction = direction * (_dot(s, y) / _dot(y, y))
        for (s, y), weight in zip(self.pairs, reversed(weights), strict=True):
            direction = direction + (weight - _dot(y, direction) / _dot(s, y)) * s
        return direction

    def state_dict(self) -> dict[str, Any]:
        """Beside the last gradient and step, the pairs s and y, one in each row."""
        rows = [np.stack(column) for column in zip(*self.pairs, strict=True)]
        empty = np.zeros_like(self._theta[None, :0].repeat(0, axis=0))
        s, y = rows or (empty, empty)
        return {**super().state_dict(), "s": s, "y": y}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` gave; ``ValueError`` where it does not fit."""
        if not {"s", "y"} <= state.keys():
            raise ValueError(f"the state of LBFGS holds s and y, got {sorted(state)}")
        s, y = state["s"], state["y"]
        if s.shape != y.shape or (len(s) and s.shape[1:] != self._theta.shape):
            raise ValueError(f"s and y are rows of {self._theta.size} numbers, got {s.shape}")
        super().load_state_dict({k: v for k, v in state.items() if k not in ("s", "y")})
        here = device_of(self._theta)
        self.pairs = [(to_device(a, here), to_device(b, here)) for a, b in zip(s, y, strict=True)]


def _dot(x: Array, y: Array) -> float:
    return float(to_host(x @ y))
