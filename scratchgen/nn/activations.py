"""The activation functions of ``scratchgen.operations`` as layers."""

from __future__ import annotations

from typing import Any

from .. import operations
from ..backend import Generator
from .network import Network


class Sigmoid(Network):
    """a = 1 / (1 + e⁻ᶻ)."""

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.sigmoid(x)


class Tanh(Network):
    """a = tanh z."""

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.tanh(x)


class ReLU(Network):
    """a = max(z, 0)."""

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.relu(x)


class LeakyReLU(Network):
    """a = z where z > 0, else ``slope`` z."""

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.leaky_relu(x, slope=self.slope)


class ELU(Network):
    """a = z where z > 0, else α (eᶻ − 1)."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.elu(x, alpha=self.alpha)


class Softplus(Network):
    """a = log(1 + eᶻ)."""

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.softplus(x)


class SiLU(Network):
    """a = z / (1 + e⁻ᶻ)."""

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.silu(x)


class GELU(Network):
    """a = z Φ(z), with the normal distribution function Φ."""

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.gelu(x)


class Softmax(Network):
    """a = eᶻ / Σ eᶻ along ``axis``."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.softmax(x, axis=self.axis)
