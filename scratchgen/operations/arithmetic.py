"""The rules of arithmetic, from which every other rule could be composed.

A rule returns its value and one equation per input, which maps δ = ∂C/∂(value) to ∂C/∂(input).
Inputs broadcast as in NumPy; the engine undoes the broadcasting, so that no equation has to.
"""

from __future__ import annotations

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array


@differentiable
def add(x: Array, y: Array) -> Rule:
    """z = x + y:  ∂C/∂x = δ,  ∂C/∂y = δ."""
    return x + y, (lambda delta: delta, lambda delta: delta)


@differentiable
def subtract(x: Array, y: Array) -> Rule:
    """z = x − y:  ∂C/∂x = δ,  ∂C/∂y = −δ."""
    return x - y, (lambda delta: delta, lambda delta: -delta)


@differentiable
def multiply(x: Array, y: Array) -> Rule:
    """z = x y:  ∂C/∂x = δ y,  ∂C/∂y = δ x."""
    return x * y, (lambda delta: delta * y, lambda delta: delta * x)


@differentiable
def divide(x: Array, y: Array) -> Rule:
    """z = x / y:  ∂C/∂x = δ / y,  ∂C/∂y = −δ z / y."""
    z = x / y
    return z, (lambda delta: delta / y, lambda delta: -delta * z / y)


@differentiable
def negative(x: Array) -> Rule:
    """z = −x:  ∂C/∂x = −δ."""
    return -x, (lambda delta: -delta,)


@differentiable
def power(x: Array, y: Array) -> Rule:
    """z = xʸ:  ∂C/∂x = δ y xʸ⁻¹ (0 where y = 0),  ∂C/∂y = δ z log x (0 where x = 0)."""
    z = np.power(x, y)
    return z, (
        lambda delta: delta * (y * np.power(x, y - (y != 0))),
        lambda delta: delta * (z * np.log(x + (x == 0), dtype=z.dtype)),
    )


@differentiable
def matmul(x: Array, y: Array) -> Rule:
    """z = x y, matrices in the last two axes:  ∂C/∂x = δ yᵀ,  ∂C/∂y = xᵀ δ.

    A vector is a row on the left and a column on the right, as in NumPy.
    """
    row, column = (-2,) * (x.ndim == 1), (-1,) * (y.ndim == 1)
    x, y = x[None, :] if row else x, y[:, None] if column else y
    z = x @ y
    return z.squeeze(row + column), (
        lambda delta: delta.reshape(z.shape) @ y.swapaxes(-1, -2),
        lambda delta: (x.swapaxes(-1, -2) @ delta.reshape(z.shape)).squeeze(column),
    )


@differentiable
def exp(x: Array) -> Rule:
    """z = eˣ:  ∂C/∂x = δ z."""
    z = np.exp(x)
    return z, (lambda delta: delta * z,)


@differentiable
def log(x: Array) -> Rule:
    """z = log x:  ∂C/∂x = δ / x."""
    return np.log(x), (lambda delta: delta / x,)


@differentiable
def sqrt(x: Array) -> Rule:
    """z = √x:  ∂C/∂x = δ / 2z."""
    z = np.sqrt(x)
    return z, (lambda delta: delta / (2 * z),)


@differentiable
def square(x: Array) -> Rule:
    """z = x²:  ∂C/∂x = 2 δ x."""
    return np.square(x), (lambda delta: 2 * delta * x,)
