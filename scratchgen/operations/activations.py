"""Activation functions a = σ(z), with σ′ written in what the forward pass already has."""

from __future__ import annotations

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
    return a, (lambda delta: delta * a * (1 - a),)


@differentiable
def tanh(z: Array) -> Rule:
    """a = tanh z:  σ′ = 1 − a²."""
    a = np.tanh(z)
    return a, (lambda delta: delta * (1 - a * a),)


@differentiable
def relu(z: Array) -> Rule:
    """a = max(z, 0):  σ′ = 1 where z > 0, else 0."""
    a = np.maximum(z, 0)
    return a, (lambda delta: delta * (a > 0),)


@differentiable
def leaky_relu(z: Array, *, slope: float = 0.01) -> Rule:
    """a = z where z > 0, else ``slope`` z:  σ′ = 1 where z > 0, else ``slope``."""

    return np.maximum(z, 0) + slope * np.minimum(z, 0), (
        lambda delta: delta * (z > 0) + delta * (z <= 0) * slope,
    )


@differentiable
def elu(z: Array, *, alpha: float = 1.0) -> Rule:
    """a = z where z > 0, else α (eᶻ − 1):  σ′ = 1 where z > 0, else α eᶻ.

    Clevert, Unterthiner, Hochreiter 2015, eq. 16.
    """
    below = np.minimum(z, 0)
    return np.maximum(z, 0) + alpha * np.expm1(below), (
        lambda delta: delta * (z > 0) + delta * (z <= 0) * (alpha * np.exp(below)),
    )


@differentiable
def softplus(z: Array) -> Rule:
    """a = log(1 + eᶻ), as max(z, 0) + log(1 + e⁻|ᶻ|) to avoid overflow:  σ′ = 1 / (1 + e⁻ᶻ)."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.absolute(z))), (
        lambda delta: delta * logistic(z),
    )


@differentiable
def silu(z: Array) -> Rule:
    """a = z s with s = 1 / (1 + e⁻ᶻ):  σ′ = s (1 + z (1 − s))."""
    s = logistic(z)
    return z * s, (lambda delta: delta * (s * (1 + z * (1 - s))),)


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
