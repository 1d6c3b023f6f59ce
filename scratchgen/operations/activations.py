"""Activation functions a = σ(z), with σ′ in terms of values from the forward pass."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array, fused, special


def logistic(z: Array) -> Array:
    """1 / (1 + e⁻ᶻ) of plain arrays, accurate to rounding for both signs.

    For z → −∞ the exponential overflows to ∞, and the quotient becomes its limit 0.
    """
    with np.errstate(over="ignore"):
        return fused(lambda z: 1 / (1 + np.exp(-z)))(z)


@differentiable
def sigmoid(z: Array) -> Rule:
    """a = 1 / (1 + e⁻ᶻ):  σ′ = a (1 − a)."""
    a = logistic(z)
    return a, (fused(lambda delta: delta * a * (1 - a)),)


@differentiable
def tanh(z: Array) -> Rule:
    """a = tanh z:  σ′ = 1 − a²."""
    a = np.tanh(z)
    return a, (fused(lambda delta: delta * (1 - a * a)),)


@differentiable
def relu(z: Array) -> Rule:
    """a = max(z, 0):  σ′ = 1 where z > 0, else 0."""
    a = np.clip(z, 0, np.inf)  # faster than np.maximum(z, 0)
    return a, (fused(lambda delta: delta * (a > 0)),)


@differentiable
def leaky_relu(z: Array, *, slope: float = 0.01) -> Rule:
    """a = z where z > 0, else ``slope`` z:  σ′ = 1 where z > 0, else ``slope``."""
    sigma_prime = fused(lambda z: (z > 0).astype(z.dtype) + slope * (z <= 0).astype(z.dtype))(z)
    return sigma_prime * z, (lambda delta: delta * sigma_prime,)


@differentiable
def elu(z: Array, *, alpha: float = 1.0) -> Rule:
    """a = z where z > 0, else α (eᶻ − 1):  σ′ = 1 where z > 0, else α eᶻ.

    Clevert, Unterthiner, Hochreiter 2015, eq. 16.
    """
    a = fused(lambda z: np.maximum(z, 0) + alpha * np.expm1(np.minimum(z, 0)))(z)
    return a, (
        fused(lambda delta: delta * ((z > 0) + alpha * np.exp(np.minimum(z, 0)) * (z <= 0))),
    )


@differentiable
def softplus(z: Array) -> Rule:
    """a = log(1 + eᶻ), as max(z, 0) + log(1 + e⁻|ᶻ|) to avoid overflow:  σ′ = 1 / (1 + e⁻ᶻ)."""
    a = fused(lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.absolute(z))))(z)
    return a, (lambda delta: delta * logistic(z),)


@differentiable
def silu(z: Array) -> Rule:
    """a = z s with s = 1 / (1 + e⁻ᶻ):  σ′ = s (1 + z (1 − s))."""
    s = logistic(z)
    return z * s, (fused(lambda delta: delta * (s * (1 + z * (1 - s)))),)


@differentiable
def gelu(z: Array) -> Rule:
    """a = z Φ(z), with the normal distribution's Φ and its density φ:  σ′ = Φ(z) + z φ(z).

    This is the exact form, not its approximation by tanh. Source: Hendrycks and Gimpel 2016,
    section 2.
    """
    Phi, root = special(z).ndtr(z), math.sqrt(2 * math.pi)
    x = np.clip(z, -40, 40)  # beyond ±40, φ is 0, and x² may overflow
    return z * Phi, (fused(lambda delta: delta * (Phi + x * np.exp(-x * x / 2) / root)),)


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
