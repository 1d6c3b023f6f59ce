"""The limited-memory quasi-Newton method."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, device_of, to_device, to_host
from .optimizer import Evaluate, Optimizer, checked


class LBFGS(Optimizer):
    """θ ← θ − η H g, with H an inverse Hessian from the last steps s and the changes y of g.

    The two-loop recursion gives H g, starting from H₀ = (s·y / y·y) I; it omits pairs with
    s·y ≤ 10⁻¹⁰. There is no line search: the first step is η min(1, 1/‖g‖₁) g. The gradients must
    be those of the full batch. Source: Nocedal and Wright 2006, algorithms 7.4 and 7.5; a step is
    one iteration of ``torch.optim.LBFGS``.
    """

    state: tuple[str, ...] = ("previous_g", "previous_step")

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
            length *= _first_length(g)
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
        """The last gradient and step, and the pairs s and y, one in each row."""
        rows = [np.stack(column) for column in zip(*self.pairs, strict=True)]
        empty = np.zeros_like(self._theta[None, :0].repeat(0, axis=0))
        s, y = rows or (empty, empty)
        return {**super().state_dict(), "s": s, "y": y}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state from :meth:`state_dict`; ``ValueError`` where it does not fit."""
        if not {"s", "y"} <= state.keys():
            raise ValueError(f"the state of LBFGS holds s and y, got {sorted(state)}")
        s, y = state["s"], state["y"]
        if s.shape != y.shape or (len(s) and s.shape[1:] != self._theta.shape):
            raise ValueError(f"s and y are rows of {self._theta.size} numbers, got {s.shape}")
        super().load_state_dict({k: v for k, v in state.items() if k not in ("s", "y")})
        here = device_of(self._theta)
        self.pairs = [(to_device(a, here), to_device(b, here)) for a, b in zip(s, y, strict=True)]


class WolfeLBFGS(LBFGS):
    """θ ← θ + α d along d = −H g, with an α that meets the strong Wolfe conditions:

        C(θ + α d) ≤ C(θ) + 10⁻⁴ α gᵀd,      |g(θ + α d)ᵀd| ≤ 0.9 |gᵀd|.

    By the first condition the cost falls with every step; by the second s·y > 0, so that H stays
    positive definite. The method needs gradients of the full batch, and a cost whose gradient is
    its exact derivative. The search tries α = η first. If it finds no α, it forgets H and tries
    d = −g min(1, 1/‖g‖₁). If that fails too, as where costs differ only by rounding, θ stays
    unchanged, and the next step begins with d divided by 1024. Each further failure divides it by
    1024 again; after four failures it is restored.

    The pair of a step comes from its own trials, s = α d and y = g(θ + α d) − g(θ), so that both
    gradients belong to one function even if the next step draws other noise. Pairs with
    s·y ≤ ε |gᵀs| are omitted. Whatever the dtype of θ, d and all products are float64.

    Source: Nocedal and Wright 2006, algorithms 3.5, 3.6, 7.4 and 7.5; the line search is SciPy's.
    """

    state = ()
    searches = True
    reach = 1.0
    """The factor of d in steepest descent, for inputs in any unit: 1, 1024⁻¹ … 1024⁻³."""

    def step(self, gradients: Sequence[Array]) -> None:
        """Raise ``TypeError``: the gradients at one θ do not determine the length of a step."""
        raise TypeError(
            f"{type(self).__name__} evaluates the cost along its way: call search(evaluate), or "
            "train with scratchgen.train; optim.LBFGS has a step without a line search"
        )

    def search(self, evaluate: Evaluate) -> None:
        """Move θ to a lower cost, if possible: by quasi-Newton, else by steepest descent."""
        cost, gradients = evaluate()
        self._begin(gradients)
        g = _flat(gradients)
        if self.pairs and self._descends(-self._inverse_hessian_times(g), cost, g, evaluate):
            return
        self.pairs = []
        found = self._descends(-self.reach * _first_length(g) * g, cost, g, evaluate)
        self.reach = 1.0 if found or self.reach <= 1024**-3 else self.reach / 1024

    def _descends(self, d: Array, cost: float, g: Array, evaluate: Evaluate) -> bool:
        """Search along d from θ, with cost C and gradient g there; return whether θ has moved."""
        from scipy.optimize import line_search

        start, d = self._theta.copy(), self.lr * d
        tried = {0.0: (cost, g)}

        def go(alpha: float) -> None:
            self._theta[...] = start + alpha * d
            self._changed()

        def phi(alpha: Array) -> float:
            """C(θ + α d), or infinity where that is not finite."""
            if alpha[0] not in tried:
                go(alpha[0])
                value, gradients = evaluate()
                tried[alpha[0]] = value if math.isfinite(value) else math.inf, _flat(gradients)
            return tried[alpha[0]][0]

        def phi_prime(alpha: Array) -> Array:
            """∂C(θ + α d)/∂α = g(θ + α d)ᵀd, at an α where φ was evaluated before."""
            return np.array([_dot(tried[alpha[0]][1], d)])

        zero, one = np.zeros(1), np.ones(1)
        slope = phi_prime(zero)
        if not slope < 0:
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # no α was found; a trial overflowed
            alpha = line_search(phi, phi_prime, zero, one, slope, cost)[0]
        if alpha is None or not tried[alpha][0] < cost:
            go(0.0)
            return False
        go(alpha)
        s, y = self._theta - start, (tried[alpha][1] - g).astype(start.dtype)
        if _dot(s, y) > np.finfo(s.dtype).eps * abs(_dot(s, g)):
            self.pairs = [*self.pairs, (s, y)][-self.history_size :]
        return True

    def state_dict(self) -> dict[str, Any]:
        """The pairs s and y, one in each row, and the reach."""
        return {**super().state_dict(), "reach": self.reach}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state from :meth:`state_dict`; ``ValueError`` where it does not fit."""
        if "reach" not in state:
            raise ValueError(f"the state of WolfeLBFGS holds its reach, got {sorted(state)}")
        super().load_state_dict({k: v for k, v in state.items() if k != "reach"})
        self.reach = checked("reach", state["reach"], 0, math.inf)


def _first_length(g: Array) -> float:
    """min(1, 1/‖g‖₁), the factor of −g in the first step."""
    return min(1.0, 1 / max(float(to_host(np.absolute(g).sum())), 1e-300))


def _flat(gradients: Sequence[Array]) -> Array:
    return np.concatenate([gradient.reshape(-1) for gradient in gradients]).astype(np.float64)


def _dot(x: Array, y: Array) -> float:
    return float(to_host(x.astype(np.float64, copy=False) @ y.astype(np.float64, copy=False)))
