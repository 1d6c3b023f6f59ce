"""Costs: one number for each sample, shape (n,), summed over all other axes.

Take ``.mean()`` for the cost of a batch. The costs are functions of logits and of log σ², so that
they do not overflow; −log p is in nats.
"""

from __future__ import annotations

import math

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array, fused
from .activations import logistic


@differentiable
def squared_error(prediction: Array, target: Array) -> Rule:
    """C = ½ Σ (y − t)²:  ∂C/∂y = δ (y − t),  ∂C/∂t = −δ (y − t)."""
    _check_shapes(prediction, target)
    error = prediction - target
    return 0.5 * _per_sample(error * error), (
        lambda delta: _along(delta, error) * error,
        lambda delta: _along(-delta, error) * error,
    )


@differentiable
def cross_entropy(logits: Array, labels: Array) -> Rule:
    """C = −log softmax(z)ₖ, k the label:  ∂C/∂z = δ (softmax(z) − 1ₖ).

    ``logits``: (n, classes), ``labels``: integers (n,) from 0 to classes − 1.

    Raises ``ValueError`` for labels of another shape, ``TypeError`` for labels that are no integers
    and ``IndexError`` for labels out of range (checked on the host only, so that no GPU waits).
    """
    n, classes = logits.shape
    if labels.shape != (n,):
        raise ValueError(f"labels have shape {labels.shape}, expected {(n,)}: one number per row")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels are integers from 0 to {classes - 1}, got {labels.dtype}")
    if isinstance(labels, np.ndarray) and n and not 0 <= labels.min() <= labels.max() < classes:
        raise IndexError(
            f"labels run from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}"
        )
    z = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(z)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    of_label = labels[:, None] == np.arange(classes, like=labels)
    rows = np.arange(n, like=labels)
    return np.log(total[:, 0]) - z[rows, labels], (
        lambda delta: delta[:, None] * (p - of_label),
        None,
    )


@differentiable
def bernoulli_nll(logits: Array, target: Array) -> Rule:
    """C = −Σ [x log p + (1 − x) log(1 − p)] = Σ [softplus(z) − x z], p = 1 / (1 + e⁻ᶻ).

    ∂C/∂z = δ (p − x),  ∂C/∂x = −δ z. The target x may be any number in [0, 1], such as a grey
    pixel, and is the mean of a Bernoulli variable.
    """
    _check_shapes(logits, target)
    z, x = logits, target
    if hasattr(x, "astype") and z.dtype.kind == "f":
        x = x.astype(z.dtype, copy=False)
    cost = fused(lambda z: np.log1p(np.exp(-np.absolute(z))) + (np.maximum(z, 0) - z * x))(z)
    z = np.broadcast_to(z, cost.shape)
    return _per_sample(cost), (
        lambda delta: _along(delta, z) * (logistic(z) - x),
        lambda delta: _along(-delta, z) * z,
    )


@differentiable
def gaussian_nll(mu: Array, log_var: Array, target: Array) -> Rule:
    """C = −Σ log N(x; μ, σ²) = ½ Σ [log 2π + log σ² + (x − μ)²/σ²].

    With r = (x − μ)/σ²:  ∂C/∂μ = −δ r,  ∂C/∂(log σ²) = ½ δ (1 − r (x − μ)),  ∂C/∂x = δ r.
    """
    _check_shapes(mu, log_var, target)
    error = target - mu
    r = error * np.exp(-log_var)
    return 0.5 * _per_sample(error * r + log_var + math.log(2 * math.pi)), (
        lambda delta: _along(-delta, r) * r,
        lambda delta: _along(0.5 * delta, r) * (1 - r * error),
        lambda delta: _along(delta, r) * r,
    )


@differentiable
def gaussian_kl(mu: Array, log_var: Array) -> Rule:
    """C = D_KL(N(μ, σ²) ‖ N(0, 1)) = ½ Σ [μ² + σ² − 1 − log σ²].

    ∂C/∂μ = δ μ,  ∂C/∂(log σ²) = ½ δ (σ² − 1). Source: Kingma and Welling 2014, appendix B.
    """
    _check_shapes(mu, log_var)
    mu, log_var = np.broadcast_arrays(mu, log_var)
    excess = np.expm1(log_var)
    return 0.5 * _per_sample(mu * mu + excess - log_var), (
        lambda delta: _along(delta, mu) * mu,
        lambda delta: _along(0.5 * delta, mu) * excess,
    )


def _check_shapes(*arrays: Array) -> None:
    """Raise ``ValueError`` for shapes like (n, 1) and (n,), which broadcast to a new shape."""
    shapes = [getattr(x, "shape", ()) for x in arrays]
    if np.broadcast_shapes(*shapes) not in shapes:
        raise ValueError(f"a cost takes arrays of the same shape, the samples first, got {shapes}")


def _per_sample(cost: Array) -> Array:
    return cost.sum(axis=tuple(range(1, cost.ndim)))


def _along(delta: Array, x: Array) -> Array:
    """Reshape δ, one number per sample, so that it multiplies x sample by sample."""
    return delta.reshape(delta.shape + (1,) * (x.ndim - 1))
