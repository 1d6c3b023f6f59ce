"""Elementary and special functions: what a pocket calculator has, and what statistics needs."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array, special


@differentiable
def log1p(x: Array) -> Rule:
    """z = log(1 + x), exact for small x:  ∂C/∂x = δ / (1 + x)."""
    return np.log1p(x), (lambda delta: delta / (1 + x),)


@differentiable
def expm1(x: Array) -> Rule:
    """z = eˣ − 1, exact for small x:  ∂C/∂x = δ (z + 1)."""
    z = np.expm1(x)
    return z, (lambda delta: delta * (z + 1),)


@differentiable
def logaddexp(x: Array, y: Array) -> Rule:
    """z = log(eˣ + eʸ) without overflow:  ∂C/∂x = δ eˣ⁻ᶻ,  ∂C/∂y = δ eʸ⁻ᶻ."""
    z = np.logaddexp(x, y)
    finite = np.where(z == -np.inf, 0, z)  # of e⁻∞ alone: nothing moves it
    return z, (
        lambda delta: delta * np.exp(x - finite),
        lambda delta: delta * np.exp(y - finite),
    )


@differentiable
def sin(x: Array) -> Rule:
    """z = sin x:  ∂C/∂x = δ cos x."""
    return np.sin(x), (lambda delta: delta * np.cos(x),)


@differentiable
def cos(x: Array) -> Rule:
    """z = cos x:  ∂C/∂x = −δ sin x."""
    return np.cos(x), (lambda delta: -delta * np.sin(x),)


@differentiable
def tan(x: Array) -> Rule:
    """z = tan x:  ∂C/∂x = δ (1 + z²)."""
    z = np.tan(x)
    return z, (lambda delta: delta * (1 + z * z),)


@differentiable
def arcsin(x: Array) -> Rule:
    """z = arcsin x:  ∂C/∂x = δ / √(1 − x²)."""
    return np.arcsin(x), (lambda delta: delta / np.sqrt((1 - x) * (1 + x)),)


@differentiable
def arccos(x: Array) -> Rule:
    """z = arccos x:  ∂C/∂x = −δ / √(1 − x²)."""
    return np.arccos(x), (lambda delta: -delta / np.sqrt((1 - x) * (1 + x)),)


@differentiable
def arctan(x: Array) -> Rule:
    """z = arctan x:  ∂C/∂x = δ / (1 + x²)."""
    return np.arctan(x), (lambda delta: delta / (1 + x * x),)


@differentiable
def arctan2(y: Array, x: Array) -> Rule:
    """z = the angle of the point (x, y):  ∂C/∂y = δ x / (x² + y²),  ∂C/∂x = −δ y / (x² + y²)."""
    return np.arctan2(y, x), (
        lambda delta: delta * x / (x * x + y * y),
        lambda delta: -delta * y / (x * x + y * y),
    )


@differentiable
def sinh(x: Array) -> Rule:
    """z = sinh x:  ∂C/∂x = δ cosh x."""
    return np.sinh(x), (lambda delta: delta * np.cosh(x),)


@differentiable
def cosh(x: Array) -> Rule:
    """z = cosh x:  ∂C/∂x = δ sinh x."""
    return np.cosh(x), (lambda delta: delta * np.sinh(x),)


@differentiable
def arcsinh(x: Array) -> Rule:
    """z = arcsinh x:  ∂C/∂x = δ / √(1 + x²)."""
    return np.arcsinh(x), (lambda delta: delta / np.sqrt(1 + x * x),)


@differentiable
def arccosh(x: Array) -> Rule:
    """z = arccosh x:  ∂C/∂x = δ / √(x² − 1)."""
    return np.arccosh(x), (lambda delta: delta / np.sqrt((x - 1) * (x + 1)),)


@differentiable
def arctanh(x: Array) -> Rule:
    """z = arctanh x:  ∂C/∂x = δ / (1 − x²)."""
    return np.arctanh(x), (lambda delta: delta / ((1 - x) * (1 + x)),)


@differentiable
def erf(x: Array) -> Rule:
    """z = (2/√π) ∫₀ˣ e⁻ᵗ² dt:  ∂C/∂x = δ (2/√π) e⁻ˣ²."""
    slope = 2 / math.sqrt(math.pi)
    return special(x).erf(x), (lambda delta: delta * (slope * np.exp(-x * x)),)


@differentiable
def erfc(x: Array) -> Rule:
    """z = 1 − erf x, exact where it is small:  ∂C/∂x = −δ (2/√π) e⁻ˣ²."""
    slope = 2 / math.sqrt(math.pi)
    return special(x).erfc(x), (lambda delta: -delta * (slope * np.exp(-x * x)),)


@differentiable
def gammaln(x: Array) -> Rule:
    """z = log |Γ(x)|:  ∂C/∂x = δ ψ(x), of the digamma function ψ."""
    return special(x).gammaln(x), (lambda delta: delta * special(x).psi(x),)


@differentiable
def digamma(x: Array) -> Rule:
    """z = ψ(x), the derivative of log Γ:  ∂C/∂x = δ ζ(2, x), of Hurwitz's ζ(2, x) = Σₖ (x + k)⁻².

    For x > 0: Hurwitz's sum is that of SciPy and CuPy, who do not continue it to the left.
    """
    return special(x).psi(x), (lambda delta: delta * special(x).zeta(np.full_like(x, 2), x),)


@differentiable
def xlogy(x: Array, y: Array) -> Rule:
    """z = x log y, and 0 where x = 0:  ∂C/∂x = δ log y,  ∂C/∂y = δ x / y (0 where x = 0)."""
    library = special(x if hasattr(x, "dtype") else y)
    return library.xlogy(x, y), (
        lambda delta: delta * np.log(y, dtype=delta.dtype),
        lambda delta: delta * x / np.where(np.equal(x, 0), 1, y),
    )
