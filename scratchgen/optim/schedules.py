"""Learning-rate schedules: the rate as a function of the epoch, η(t) = η₀ s(t).

A schedule is a function s of the number t = 0, 1, … of finished epochs; η₀ is the initial learning
rate of the optimizer. One schedule therefore serves optimizers with different rates, and schedules
can be multiplied. The caller sets the rate in the loop:

    for epoch in train(…):
        optimizer.lr = lr * schedule(epoch.number)

and before the loop, ``optimizer.lr = lr * schedule(0)``. Any function of t is a schedule. The
schedules here are dataclasses, so that they can be compared, printed and sent to other processes.
Each docstring names the class of ``torch.optim.lr_scheduler`` with the same rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Schedule: TypeAlias = Callable[[int], float]
"""s(t) after t finished epochs."""


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
    """s(t) = 1 / (1 + t/τ): half the rate after τ ``epochs``.

    The sum of s over t diverges and the sum of s² converges, as stochastic approximation requires.
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

    The ramp is multiplied by ``then``(0), and so ends at the first rate of ``then``. ``start`` is
    ε > 0, as a rate of zero would waste the first epoch. ``LinearLR``, followed by another one in
    ``SequentialLR``. Source: Goyal et al. 2017, section 2.2.
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
