"""Learning-rate schedules: the rate as a function of the epoch, η(t) = η₀ s(t).

A schedule is s, a function of t = 0, 1, …, the number of epochs that are done; η₀ is the rate that
the optimizer was given. So one schedule serves optimizers of different rates, and schedules may be
multiplied. The loop stays the caller's:

    for epoch in train(…):
        optimizer.lr = lr * schedule(epoch.number)

before which ``optimizer.lr = lr * schedule(0)``. Any function of t will do; those here are records
of numbers, so that they compare, print and travel to other processes. Each is that of
``torch.optim.lr_scheduler`` named in its docstring.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Schedule: TypeAlias = Callable[[int], float]
"""s(t), t epochs being done."""


@dataclass(frozen=True)
class Constant:
    """s(t) = 1."""

    def __call__(self, t: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Step:
    """s(t) = γ^⌊t/k⌋: a factor γ every k ``epochs``. ``StepLR``."""

    epochs: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        _check_epochs(self, self.epochs)
        _check_factor(self, "gamma", self.gamma)

    def __call__(self, t: int) -> float:
        return self.gamma ** (t // self.epochs)


@dataclass(frozen=True)
class Exponential:
    """s(t) = γᵗ. ``ExponentialLR``."""

    gamma: float = 0.95

    def __post_init__(self) -> None:
        _check_factor(self, "gamma", self.gamma)

    def __call__(self, t: int) -> float:
        return self.gamma**t


@dataclass(frozen=True)
class InverseTime:
    """s(t) = 1 / (1 + t/τ): halved after τ ``epochs``.

    Its sum over t diverges and that of its square does not, as stochastic approximation asks.
    ``LambdaLR``. Source: Robbins and Monro 1951.
    """

    epochs: float

    def __post_init__(self) -> None:
        _check_epochs(self, self.epochs)

    def __call__(self, t: int) -> float:
        return 1 / (1 + t / self.epochs)


@dataclass(frozen=True)
class Cosine:
    """s(t) = ε + (1 − ε) ½ (1 + cos(π t/T)) up to T = ``epochs``, then ε = ``lowest``.

    ``CosineAnnealingLR``, up to T. Source: Loshchilov and Hutter 2017, eq. 5.
    """

    epochs: int
    lowest: float = 0.0

    def __post_init__(self) -> None:
        _check_epochs(self, self.epochs)
        _check_factor(self, "lowest", self.lowest)

    def __call__(self, t: int) -> float:
        falling = 0.5 * (1 + math.cos(math.pi * min(t / self.epochs, 1)))
        return self.lowest + (1 - self.lowest) * falling


@dataclass(frozen=True)
class WarmUp:
    """s(t) = ε + (1 − ε) t/k while t < k = ``epochs``, then ``then``(t − k), by default 1.

    The climb ends where ``then`` begins: times ``then``(0). ``start`` is ε > 0, as a rate of zero
    would waste the first epoch. ``LinearLR``, followed by another one in ``SequentialLR``.
    Source: Goyal et al. 2017, section 2.2.
    """

    epochs: int
    then: Schedule = Constant()
    start: float = 0.1

    def __post_init__(self) -> None:
        _check_epochs(self, self.epochs)
        _check_factor(self, "start", self.start)

    def __call__(self, t: int) -> float:
        if t >= self.epochs:
            return self.then(t - self.epochs)
        return (self.start + (1 - self.start) * t / self.epochs) * self.then(0)


def _check_epochs(schedule: object, epochs: float) -> None:
    if not 0 < epochs < math.inf:
        raise ValueError(f"{type(schedule).__name__}: epochs is a number above 0, got {epochs}")


def _check_factor(schedule: object, name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{type(schedule).__name__}: {name} lies from 0 to 1, got {value}")
