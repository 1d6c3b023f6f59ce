"""Rules with a kink: maxima, absolute values and choices.

At a kink the derivative is the mean of those on its two sides, as in PyTorch; ``clip`` counts its
bounds as inside.
"""

from __future__ import annotations

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array


@differentiable
def absolute(x: Array) -> Rule:
    """z = |x|:  ∂C/∂x = δ sign x."""
    return np.absolute(x), (lambda delta: delta * np.sign(x),)


@differentiable
def maximum(x: Array, y: Array) -> Rule:
    """z = max(x, y):  ∂C/∂x = δ where x > y,  ∂C/∂y = δ where y > x,  δ/2 each where x = y."""
    return np.maximum(x, y), (
        lambda delta: (delta * (x > y) + delta * (x >= y)) / 2,
        lambda delta: (delta * (y > x) + delta * (y >= x)) / 2,
    )


@differentiable
def minimum(x: Array, y: Array) -> Rule:
    """z = min(x, y):  ∂C/∂x = δ where x < y,  ∂C/∂y = δ where y < x,  δ/2 each where x = y."""
    return np.minimum(x, y), (
        lambda delta: (delta * (x < y) + delta * (x <= y)) / 2,
        lambda delta: (delta * (y < x) + delta * (y <= x)) / 2,
    )


@differentiable
def where(condition: Array, x: Array, y: Array) -> Rule:
    """z = x where the condition holds, else y:  ∂C/∂x = δ there,  ∂C/∂y = δ elsewhere."""
    return np.where(condition, x, y), (
        None,
        lambda delta: delta * np.not_equal(condition, 0),
        lambda delta: delta * np.equal(condition, 0),
    )


@differentiable
def clip(x: Array, *, lower: float | None = None, upper: float | None = None) -> Rule:
    """z = x, held between ``lower`` and ``upper``:  ∂C/∂x = δ where z = x."""
    if lower is None and upper is None:
        raise ValueError("clip holds x between two bounds, of which one at least is given")
    z = np.clip(x, lower, upper)
    return z, (lambda delta: delta * (z == x),)
