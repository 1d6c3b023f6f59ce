"""Activation functions a = σ(z), with σ′ written in what the forward pass already has."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array, fused


def logistic(z: Array) -> Array:
    """1 / (1 + e⁻ᶻ) of plain arrays, exact to rounding on either side.

    For z → −∞ the exponential overflows to ∞, and the quotient goes to its limit 0.
    """
    with np.errstate(over="ignore"):
        return _logistic(z)


@fused
def _logistic(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


@differentiable
def sigmoid(z: Array) -> Rule:
    """a = 1 / (1 + e⁻ᶻ):  σ′ = a (1 − a)."""
    a = logistic(z)
    return a, (lambda delta: _through_sigmoid(delta, a),)


@fused
def _through_sigmoid(delta: Array, a: Array) -> Array:
    return delta * a * (1 - a)


@differentiable
def tanh(z: Array) -> Rule:
    """a = tanh z:  σ′ = 1 − a²."""
    a = np.tanh(z)
    return a, (lambda delta: _through_tanh(delta, a),)


@fused
def _through_tanh(delta: Array, a: Array) -> Array:
    share = a * a  # what follows needs no memory of its own
    share -= 1
    share *= delta
    share *= -1
    return share


@differentiable
def relu(z: Array) -> Rule:
    """a = max(z, 0):  σ′ = 1 where z > 0, else 0."""
    a = positive_part(z)
    return a, (lambda delta: _through_relu(delta, a),)


def positive_part(z: Array) -> Array:
    """max(z, 0) of plain arrays."""
    # NumPy's loop over vector registers takes a row of zeros, but not the number.
    row = isinstance(z, np.ndarray) and z.ndim > 1
    return np.maximum(z, np.zeros_like(z[:1]) if row else 0)


@fused
def _through_relu(delta: Array, a: Array) -> Array:
    return delta * (a > 0)


@differentiable
def leaky_relu(z: Array, *, slope: float = 0.01) -> Rule:
    """a = z where z > 0, else ``slope`` z:  σ′ = 1 where z > 0, else ``slope``."""
    # For most slopes the larger of two takes a fifth of the time.
    a = _larger(z, slope) if 0 < slope <= 1 else _leaky_relu(z, slope)
    return a, (lambda delta: _through_leaky_relu(delta, z, slope),)


@fused
def _larger(z: Array, slope: float) -> Array:
    return np.maximum(z, slope * z)


@fused
def _leaky_relu(z: Array, slope: float) -> Array:
    return np.maximum(z, 0) + slope * np.minimum(z, 0)


@fused
def _through_leaky_relu(delta: Array, z: Array, slope: float) -> Array:
    return delta * (z > 0) + delta * (z <= 0) * slope


@differentiable
def elu(z: Array, *, alpha: float = 1.0) -> Rule:
    """a = z where z > 0, else α (eᶻ − 1):  σ′ = 1 where z > 0, else α eᶻ.

    Clevert, Unterthiner, Hochreiter 2015, eq. 16.
    """
    return _elu(z, alpha), (lambda delta: _through_elu(delta, z, alpha),)


@fused
def _elu(z: Array, alpha: float) -> Array:
    return np.maximum(z, 0) + alpha * np.expm1(np.minimum(z, 0))


@fused
def _through_elu(delta: Array, z: Array, alpha: float) -> Array:
    return delta * (z > 0) + delta * (z <= 0) * (alpha * np.exp(np.minimum(z, 0)))


@differentiable
def softplus(z: Array) -> Rule:
    """a = log(1 + eᶻ), as max(z, 0) + log(1 + e⁻|ᶻ|) to avoid overflow:  σ′ = 1 / (1 + e⁻ᶻ)."""
    return _softplus(z), (lambda delta: delta * logistic(z),)


@fused
def _softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.absolute(z)))


@differentiable
def silu(z: Array) -> Rule:
    """a = z s with s = 1 / (1 + e⁻ᶻ):  σ′ = s (1 + z (1 − s))."""
    with np.errstate(over="ignore"):
        a, s = _silu(z)
    return a, (lambda delta: _through_silu(delta, z, s),)


@fused
def _silu(z: Array) -> tuple[Array, Array]:
    s = 1 / (1 + np.exp(-z))
    return z * s, s


@fused
def _through_silu(delta: Array, z: Array, s: Array) -> Array:
    return delta * (s * (1 + z * (1 - s)))


# Chebyshev series, truncated where float32 and float64 end: the coefficients of t⁰, t¹, …
_SINGLE, _DOUBLE = (
    tuple(map(float, coefficients.split()))
    for coefficients in (
        """
    0.628477873 -0.0661781345 -0.0317206672 0.0701453777
    -0.058324411 0.0289051075 -0.0072618713 -0.000721696404
    0.00101379812 -5.58780754e-05 -8.9935126e-05
        """,
        """
    0.6284778787483127 -0.06617832190096784 -0.03172110114383102 0.07014920337528033
    -0.058319238830993714 0.028883013432308716 -0.007284670737889754 -0.0006685374041770491
    0.0010602671300104813 -0.00011467521237358457 -0.00013610948390316185 2.8134217248223506e-05
    2.1053255302019217e-05 -4.511967463940736e-06 -3.9680410945886084e-06 4.898477683506069e-07
    8.184072170422274e-07 2.0139766273626372e-08 -1.602205747502806e-07 -3.0299629751022965e-08
    2.4857413578614233e-08 8.579404581508695e-09 -2.1660907342903973e-09 -1.0332861748795371e-09
        """,
    )
)


def _series(t: Array) -> Array:
    coefficients = _SINGLE if t.dtype == np.float32 else _DOUBLE
    total = t * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        total += c
        total *= t
    return total + coefficients[0]


@fused
def _normal(z: Array) -> tuple[Array, Array]:
    """Φ(z) = ∫₋∞ᶻ φ, exact to rounding on either side, and √2π φ(z) = e^(−z²/2).

    With x = |z| and t = (x − 4)/(x + 4), Φ(−x) = e^(−x²/2) P(t) / (1 + √2 x), and P hardly bends.
    Source of the form: Shepherd and Laframboise 1981, for the complementary error function.
    """
    x = np.minimum(np.absolute(z), 40)  # where e^(−x²/2) is 0, and x² no overflow
    bell = np.exp(-0.5 * x * x)
    tail = bell * _series((x - 4) / (x + 4)) / (1 + math.sqrt(2) * x)
    return tail + (z > 0) * (1 - 2 * tail), bell  # np.where would be the slowest pass


@differentiable
def gelu(z: Array) -> Rule:
    """a = z Φ(z), with the normal distribution's Φ and its density φ:  σ′ = Φ(z) + z φ(z).

    The exact form, without the approximation by tanh. Source: Hendrycks and Gimpel 2016, section 2.
    """
    Phi, bell = _normal(z)
    return z * Phi, (lambda delta: _through_gelu(delta, z, Phi, bell),)


@fused
def _through_gelu(delta: Array, z: Array, Phi: Array, bell: Array) -> Array:
    return delta * (Phi + z * bell * (1 / math.sqrt(2 * math.pi)))


@differentiable
def softmax(z: Array, *, axis: int = -1) -> Rule:
    """a = eᶻ / Σ eᶻ along ``axis``:  ∂C/∂z = a (δ − Σ δ a): each entry feels all the others."""
    a = np.exp(z - z.max(axis=axis, keepdims=True))
    a /= a.sum(axis=axis, keepdims=True)
    return a, (lambda delta: a * (delta - (delta * a).sum(axis=axis, keepdims=True)),)


@differentiable
def log_softmax(z: Array, *, axis: int = -1) -> Rule:
    """a = z − log Σ eᶻ along ``axis``:  ∂C/∂z = δ − eᵃ Σ δ."""
    a = z - z.max(axis=axis, keepdims=True)
    a -= np.log(np.exp(a).sum(axis=axis, keepdims=True))
    return a, (lambda delta: delta - np.exp(a) * delta.sum(axis=axis, keepdims=True),)
