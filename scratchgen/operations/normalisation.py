"""Rules that normalise groups of entries to mean 0 and variance 1, then scale and shift them.

With m entries in a group, mean μ and variance σ² (divided by m, not m − 1):

    x̂ = (x − μ)/σ,   ∂C/∂x = (δ̂ − mean δ̂ − x̂ mean(δ̂ x̂))/σ,   δ̂ = ∂C/∂x̂,

where σ is √(σ² + ε) with a small ε, so that equal entries become zeros. The two means are the parts
of δ̂ that belong to changes of μ and of σ: the remaining δ̂ changes neither.
"""

from __future__ import annotations

import math

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array


@differentiable
def layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    axes: int | None = None,
    eps: float = 1e-5,
) -> Rule:
    """y = γ x̂ + β, with x̂ = (x − μ)/σ over the last ``axes`` axes.

    With δ̂ = δ γ:  ∂C/∂x = (δ̂ − mean δ̂ − x̂ mean(δ̂ x̂))/σ,  ∂C/∂γ = Σ δ x̂,  ∂C/∂β = Σ δ, summed
    over all other axes. γ (``weight``) and β (``bias``), each of them optional, have the shape of
    the last axes. The default of ``axes`` is their number of axes, or 1 without them.

    Raises ``ValueError`` where the shapes do not fit. Source: Ba, Kiros and Hinton 2016, eqs. 3, 4.
    """
    given = [p for p in (weight, bias) if p is not None]
    if axes is None:
        axes = given[0].ndim if given else 1
    if not 1 <= axes <= x.ndim:
        raise ValueError(f"layer_norm: the last {axes} axes of x of shape {x.shape}: from 1 to all")
    lead, shape = x.shape[: x.ndim - axes], x.shape[x.ndim - axes :]
    if any(p.shape != shape for p in given):
        raise ValueError(
            f"layer_norm: weight and bias have the shape {shape} of the last axes of x of shape "
            f"{x.shape}, got {[p.shape for p in given]}"
        )
    groups = (*lead, math.prod(shape))
    return _normalised(x, weight, bias, groups, shape, tuple(range(len(lead))), eps)


@differentiable
def group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    groups: int,
    eps: float = 1e-5,
) -> Rule:
    """y = γ x̂ + β, with x̂ = (x − μ)/σ over each of ``groups`` groups of channels of a sample.

    ``x``: (n, channels, …), ``weight`` γ and ``bias`` β: (channels,), each of them optional. With
    δ̂ = δ γ:  ∂C/∂x = (δ̂ − mean δ̂ − x̂ mean(δ̂ x̂))/σ,  ∂C/∂γ = Σ δ x̂,  ∂C/∂β = Σ δ, summed over all
    but the channels.

    Raises ``ValueError`` where ``groups`` does not divide the channels, or the shapes do not fit.
    Source: Wu and He 2018, eqs. 1 to 6.
    """
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise ValueError(
            f"group_norm takes x: (n, channels, …) with channels in {groups} groups of the same "
            f"size, got shape {x.shape}"
        )
    n, channels, *rest = x.shape
    given = [p for p in (weight, bias) if p is not None]
    if any(p.shape != (channels,) for p in given):
        raise ValueError(
            f"group_norm: weight and bias are one number per channel, {(channels,)}, "
            f"got {[p.shape for p in given]}"
        )
    group = channels // groups * math.prod(rest)
    each, others = (channels, *(1 for _ in rest)), (0, *range(2, x.ndim))
    return _normalised(x, weight, bias, (n, groups, group), each, others, eps)


def _normalised(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    groups: tuple[int, ...],
    each: tuple[int, ...],
    others: tuple[int, ...],
    eps: float,
) -> Rule:
    """The value and the equations, where a group is a row of x in the shape ``groups``.

    γ and β multiply x in the shape ``each``; their shares are sums over the axes ``others``.
    """
    x_hat = x.reshape(groups)
    x_hat = x_hat - x_hat.mean(axis=-1, keepdims=True)
    sigma = np.sqrt(_mean_of_products(x_hat, x_hat) + eps)
    x_hat /= sigma
    y = x_hat.reshape(x.shape)
    if weight is not None:
        y = y * weight.reshape(each)
    if bias is not None:
        y = y + bias.reshape(each)

    def for_x(delta: Array) -> Array:
        delta_hat = (delta if weight is None else delta * weight.reshape(each)).reshape(groups)
        share = x_hat * -_mean_of_products(delta_hat, x_hat)
        share += delta_hat
        share -= delta_hat.mean(axis=-1, keepdims=True)
        share /= sigma
        return share.reshape(x.shape)

    return y, (
        for_x,
        lambda delta: (delta * x_hat.reshape(x.shape)).sum(axis=others),
        lambda delta: delta.sum(axis=others),
    )


def _mean_of_products(x: Array, y: Array) -> Array:
    """mean(x y) over the last axis, without an array for x y."""
    return np.einsum("...k,...k->...", x, y)[..., None] / x.shape[-1]
