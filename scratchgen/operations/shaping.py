"""Rules that add, move or select entries. Their equations return each δ to its source."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..autodiff import Equation, Rule, differentiable
from ..backend import Array
from .linalg import product_of_others

Axis: TypeAlias = "int | tuple[int, ...] | None"


@differentiable
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """s = Σ x along ``axis``:  ∂C/∂x = δ, repeated."""
    kept = x.sum(axis=axis, keepdims=True)
    return _reduced(kept, axis, keepdims), (lambda delta: _repeated(delta, kept, x),)


@differentiable
def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """m = (1/n) Σ x along ``axis``:  ∂C/∂x = δ/n, repeated."""
    kept = x.mean(axis=axis, keepdims=True)
    return _reduced(kept, axis, keepdims), (
        lambda delta: _repeated(delta * (kept.size / (x.size or 1)), kept, x),
    )


@differentiable
def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """m = max x along ``axis``:  ∂C/∂x = δ where x = m, in equal parts at several."""
    kept = x.max(axis=axis, keepdims=True)
    return _reduced(kept, axis, keepdims), (lambda delta: _shared(delta, kept, x, axis),)


@differentiable
def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """m = min x along ``axis``:  ∂C/∂x = δ where x = m, in equal parts at several."""
    kept = x.min(axis=axis, keepdims=True)
    return _reduced(kept, axis, keepdims), (lambda delta: _shared(delta, kept, x, axis),)


@differentiable
def logsumexp(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """s = log Σ eˣ along ``axis``, with the largest x taken out:  ∂C/∂x = δ eˣ⁻ˢ.

    A sum over e⁻∞ alone gives −∞. The sum must not be empty, as for ``max``.
    """
    largest = _finite(x.max(axis=axis, keepdims=True))
    with np.errstate(divide="ignore"):
        kept = np.log(np.exp(x - largest).sum(axis=axis, keepdims=True)) + largest
    return _reduced(kept, axis, keepdims), (
        lambda delta: delta.reshape(kept.shape) * np.exp(x - np.where(kept == -np.inf, 0, kept)),
    )


@differentiable
def prod(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """p = Π x along ``axis``:  ∂C/∂x = δ times the product of the other x, zeros or not."""
    kept = x.prod(axis=axis, keepdims=True)

    def equation(delta: Array) -> Array:
        axes = tuple(range(x.ndim)) if axis is None else np.ravel(axis).tolist()
        behind = tuple(range(-len(axes), 0))
        last = np.moveaxis(x, axes, behind)
        kept_axes, n = last.shape[: x.ndim - len(axes)], x.size // (kept.size or 1)
        others = product_of_others(last.reshape(*kept_axes, n))
        return delta.reshape(kept.shape) * np.moveaxis(others.reshape(last.shape), behind, axes)

    return _reduced(kept, axis, keepdims), (equation,)


@differentiable
def cumsum(x: Array, *, axis: int | None = None) -> Rule:
    """sₖ = x₁ + … + xₖ along ``axis``, or of x in one row:  ∂C/∂xₖ = δₖ + δₖ₊₁ + …."""
    along = 0 if axis is None else axis

    def equation(delta: Array) -> Array:
        return np.flip(np.cumsum(np.flip(delta, along), along), along).reshape(x.shape)

    return np.cumsum(x, axis=axis), (equation,)


def _finite(x: Array) -> Array:
    return np.where(np.isfinite(x), x, np.zeros_like(x))


def _reduced(kept: Array, axis: Axis, keepdims: bool) -> Array:
    return kept if keepdims else kept.squeeze(axis)


def _repeated(delta: Array, kept: Array, x: Array) -> Array:
    # The copy is needed since products of matrices are slow on results of np.broadcast_to.
    share = np.empty_like(x, dtype=delta.dtype)
    share[...] = delta.reshape(kept.shape)
    return share


def _shared(delta: Array, kept: Array, x: Array, axis: Axis) -> Array:
    taken = (x == kept).astype(delta.dtype)
    return taken * (delta.reshape(kept.shape) / taken.sum(axis=axis, keepdims=True))


@differentiable
def reshape(x: Array, *, shape: int | Sequence[int]) -> Rule:
    """The entries of x in another shape:  ∂C/∂x = δ in the shape of x."""
    return x.reshape(shape), (lambda delta: delta.reshape(x.shape),)


@differentiable
def transpose(x: Array, *, axes: Sequence[int] | None = None) -> Rule:
    """x with its axes in the order ``axes``, reversed by default:  ∂C/∂x = δ with them put back."""
    back = None if axes is None else [[a % x.ndim for a in axes].index(k) for k in range(x.ndim)]
    return x.transpose(axes), (lambda delta: delta.transpose(back),)


@differentiable
def broadcast_to(x: Array, *, shape: int | Sequence[int]) -> Rule:
    """x, repeated to fill ``shape``:  ∂C/∂x = δ, summed over the repetitions."""
    # In memory, since products of matrices are slow on entries that are repeated.
    return np.broadcast_to(x, shape).copy(), (lambda delta: delta,)


@differentiable
def getitem(x: Array, *, key: Any) -> Rule:
    """x[key]:  ∂C/∂x = δ at these places, summed where one is named several times, else 0."""
    once = is_basic(key)

    def put_back(delta: Array) -> Array:
        share = np.zeros_like(x)
        if once:
            share[key] = delta
        else:
            np.add.at(share, key, delta)
        return share

    return x[key], (put_back,)


def is_basic(key: Any) -> bool:
    """Whether ``x[key]`` shows a part of x, as numbers and slices do, and names no place twice."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(k is None or k is ... or isinstance(k, (int, slice)) for k in parts)


@differentiable
def setitem(x: Array, y: Array, *, key: Any) -> Rule:
    """z = a copy of x with y written to z[key]:  ∂C/∂x = δ, 0 at these places,  ∂C/∂y = δ[key].

    Of what was written to one place several times, the last counts.
    """
    z = x.copy()
    z[key] = y

    def for_x(delta: Array) -> Array:
        share = delta.copy()
        share[key] = 0
        return share

    def for_y(delta: Array) -> Array:
        share = delta[key]
        if not is_basic(key):
            turns = np.arange(share.size, like=delta).reshape(share.shape)
            last = np.zeros_like(x, dtype=turns.dtype)
            last[key] = turns
            share = share * (last[key] == turns)
        return share.reshape((1,) * (np.ndim(y) - share.ndim) + share.shape)

    return z, (for_x, for_y)


@differentiable
def take(x: Array, indices: Array, *, axis: int | None = None) -> Rule:
    """The entries of x at ``indices`` along ``axis``, or, without one, of x in one row.

    ∂C/∂x = δ where an entry came from, added up where it was taken several times. Negative indices
    count from the end. Raises ``IndexError`` for one out of range (found on the host only).
    """
    indices = np.asarray(indices, like=x)

    def put_back(delta: Array) -> Array:
        shape, k = ((x.size,), 0) if axis is None else (x.shape, axis % x.ndim)
        before, n, behind = math.prod(shape[:k]), shape[k], math.prod(shape[k + 1 :])
        # On a flat array, np.add.at is several times as fast as on a matrix.
        rows = np.arange(before, like=x)[:, None] * n + indices.reshape(-1).astype(np.int64) % n
        places = rows[:, :, None] * behind + np.arange(behind, like=x)
        share = np.zeros_like(delta, shape=(x.size,))
        np.add.at(share, places.reshape(-1), delta.reshape(-1))
        return share.reshape(x.shape)

    return np.take(x, indices, axis=axis), (put_back, None)


@differentiable
def concatenate(*arrays: Array, axis: int = 0) -> Rule:
    """The arrays one after another along ``axis``:  ∂C/∂xₖ = the part of δ where xₖ stands."""
    z = np.concatenate(arrays, axis=axis)

    def part(start: int, length: int) -> Equation:
        where = (slice(None),) * (axis % z.ndim) + (slice(start, start + length),)
        return lambda delta: delta[where]

    lengths = [x.shape[axis] for x in arrays]
    starts = itertools.accumulate(lengths, initial=0)
    return z, [part(start, length) for start, length in zip(starts, lengths, strict=False)]


@differentiable
def stack(*arrays: Array, axis: int = 0) -> Rule:
    """The arrays side by side along a new ``axis``:  ∂C/∂xₖ = δ at place k of that axis."""
    z = np.stack(arrays, axis=axis)
    before: tuple[Any, ...] = (slice(None),) * (axis % z.ndim)

    def part(k: int) -> Equation:
        return lambda delta: delta[(*before, k)]

    return z, [part(k) for k in range(len(arrays))]


@differentiable
def pad(x: Array, *, pad_width: Any, value: Any = 0.0) -> Rule:
    """x within a margin that holds ``value``:  ∂C/∂x = δ inside the margin.

    ``pad_width`` is as in ``np.pad``: a number, (before, after), or such a pair for each axis.
    """
    if isinstance(value, str):
        raise TypeError(f"pad fills the margin with a number, got {value!r}")
    widths = np.broadcast_to(pad_width, (x.ndim, 2)).tolist()
    inside = tuple(slice(w[0], w[0] + n) for w, n in zip(widths, x.shape, strict=True))
    return np.pad(x, widths, constant_values=value), (lambda delta: delta[inside],)
