"""The base of all optimizers: parameters that lie side by side in one flat buffer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, device_of, to_device
from ..construction import Constructed

Evaluate: TypeAlias = Callable[[], tuple[float, Sequence[Array]]]
"""A function that returns C(θ) and ∂C/∂θ at the current parameters, in their order."""


class Optimizer(Constructed):
    """The base class: parameters θ in one flat buffer, and a ``step(gradients)`` that updates them.

    An update goes through the buffer in blocks, each of which stays in the cache for all passes.
    The data of each parameter are a view of the buffer, so that a step changes the parameters in
    place: take the gradients of a cost before the step, not after it.

    A subclass names the arrays of its ``state``, each of the shape of the buffer, and defines
    ``update``. Raises ``ValueError`` without parameters, for a parameter that occurs twice, and for
    mixed dtypes.
    """

    state: tuple[str, ...] = ()
    decoupled = False
    """Whether weight decay λ acts on θ itself, θ ← θ − η λ θ, or on the gradient, g ← g + λ θ."""
    block = 1 << 15
    searches = False
    """Whether the optimizer moves by ``search`` instead of ``step``."""

    def __init__(self, parameters: Sequence[Tensor], lr: float, weight_decay: float = 0) -> None:
        self.parameters = list(parameters)
        if not self.parameters or not all(isinstance(p, Tensor) for p in self.parameters):
            raise ValueError(
                "an optimizer needs a list of at least one Tensor: model.parameters(), or one of "
                "model.players"
            )
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError("a parameter comes twice: an optimizer moves each one once")
        self.lr = lr
        self.weight_decay = checked("weight_decay", weight_decay, 0, math.inf)
        self.steps = 0
        self.buffers: dict[str, Array] = {}
        self._gather()

    @property
    def lr(self) -> float:
        """The learning rate η, which may be changed between steps."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = checked("lr", value, 0, math.inf)

    def step(self, gradients: Sequence[Array]) -> None:
        """Move every parameter by one update, given ∂C/∂θ in the order of ``parameters``.

        All layers move, the output layer L too: the notes let the updates begin with L − 1 (erratum
        E10).
        """
        self._begin(gradients)
        self.apply(gradients)
        self._changed()

    def search(self, evaluate: Evaluate) -> None:
        """Move every parameter by one step, whose length is found by evaluating C along its way."""
        raise TypeError(f"{type(self).__name__} does not search: it takes step(gradients)")

    def _begin(self, gradients: Sequence[Array]) -> None:
        if len(gradients) != len(self.parameters):
            raise ValueError(
                f"got {len(gradients)} gradients for {len(self.parameters)} parameters: "
                "gradient(cost, optimizer.parameters) gives one for each"
            )
        for k, (p, gradient) in enumerate(zip(self.parameters, gradients, strict=True)):
            if gradient.shape != p.shape:
                raise ValueError(
                    f"gradient {k} has shape {gradient.shape}, its parameter {p.shape}"
                )
        if any(p.data is not view for p, view in zip(self.parameters, self._views, strict=True)):
            self._gather()
        self.steps += 1

    def _changed(self) -> None:
        for p in self.parameters:
            p.changed()

    def apply(self, gradients: Sequence[Array]) -> None:
        """Go through the buffer block by block, with the matching part of the gradient."""
        self.begin_step()
        start = 0
        for run in self._runs:
            # Small gradients are concatenated, since every pass has a cost; large ones are not.
            flats = [gradient.reshape(-1) for gradient in gradients[run]]
            flat = flats[0] if len(flats) == 1 else np.concatenate(flats)
            for i in range(0, flat.size, self.block):
                g = flat[i : i + self.block]
                here = slice(start + i, start + i + g.size)
                theta = self._theta[here]
                if self.weight_decay and self.decoupled:
                    theta *= 1 - self.lr * self.weight_decay
                elif self.weight_decay:
                    g = g + self.weight_decay * theta
                state = [buffer[here] for buffer in self.buffers.values()]
                self.update(theta, g, *state)
            start += flat.size

    def begin_step(self) -> None:
        """Compute the quantities that all blocks of a step share."""

    def update(self, theta: Array, g: Array, *state: Array) -> None:
        """Update one block of θ and of the state in place; g must not be changed."""
        raise TypeError(f"{type(self).__name__} defines no update")

    def state_dict(self) -> dict[str, Any]:
        """The state of the optimizer: the learning rate, the number of steps, the buffers."""
        return {
            "lr": self.lr,
            "steps": self.steps,
            **{name: buffer.copy() for name, buffer in self.buffers.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state from :meth:`state_dict`; ``ValueError`` where it does not fit."""
        expected = {"lr", "steps", *self.buffers}
        if state.keys() != expected:
            raise ValueError(
                f"the state of {type(self).__name__} holds {sorted(expected)}, got {sorted(state)}"
            )
        for name, buffer in self.buffers.items():
            if state[name].shape != buffer.shape:
                raise ValueError(f"{name} has shape {buffer.shape}, got {state[name].shape}")
        self.lr, self.steps = state["lr"], state["steps"]
        for name, buffer in self.buffers.items():
            buffer[...] = to_device(state[name], device_of(buffer))

    def __getstate__(self) -> dict[str, Any]:
        """The attributes to copy, without the views of the buffer, which the copy makes anew."""
        made_anew = ("_theta", "_views", "_runs")
        return {name: value for name, value in vars(self).items() if name not in made_anew}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the attributes of a copy, and make its buffer and views."""
        vars(self).update(state)
        self._gather()

    def _gather(self) -> None:
        """Move the parameters, and their state if there is any, into flat buffers."""
        dtypes = {p.dtype for p in self.parameters}
        if len(dtypes) > 1:
            raise ValueError(f"the parameters of one optimizer share a dtype, got {dtypes}")
        self._theta = np.concatenate([p.data.reshape(-1) for p in self.parameters])
        if device_of(self._theta) == "cuda":
            self.block = max(self._theta.size, 1)
        start, self._views = 0, []
        for p in self.parameters:
            size = math.prod(p.shape)
            p.data = self._theta[start : start + size].reshape(p.shape)
            self._views.append(p.data)
            start += size
        self._runs = _runs([view.size for view in self._views], self.block)
        for name in self.state:
            self.buffers[name] = (
                self.buffers[name].astype(self._theta.dtype)
                if name in self.buffers
                else np.zeros_like(self._theta)
            )


def _runs(sizes: Sequence[int], most: int) -> list[slice]:
    """Group neighbours whose sizes add up to at most ``most``; a larger array is alone."""
    runs, first, filled = [], 0, 0
    for k, size in enumerate(sizes):
        if k > first and filled + size > most:
            runs.append(slice(first, k))
            first, filled = k, 0
        filled += size
    return [*runs, slice(first, len(sizes))]


def checked(name: str, value: float, low: float, high: float) -> float:
    """Return ``value`` as a float; raise ``ValueError`` unless low ≤ value < high."""
    if not low <= value < high:
        raise ValueError(f"{name} is a number from {low} to below {high}, got {value}")
    return float(value)
