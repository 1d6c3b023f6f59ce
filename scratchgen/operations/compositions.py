"""NumPy's functions of a tensor that are no rules of their own, but composed of rules.

Each is written with the arguments of the function that it stands for.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, special
from .arithmetic import add, divide, exp, matmul, multiply, sqrt, square, subtract
from .elementary import erfc, gammaln, xlogy
from .lifting import NotRecordedError, array_of, data_of, joined
from .linalg import cholesky, einsum, inv, logdet
from .piecewise import absolute, clip, maximum, minimum, where
from .shaping import broadcast_to, concatenate, mean, pad, reshape, setitem, stack, take, transpose
from .shaping import max as largest
from .shaping import min as smallest
from .shaping import sum as total

Function: TypeAlias = Callable[..., Any]


# Arithmetic and statistics


def sum_of(x: Tensor, axis: Any = None, dtype: Any = None, *_: Any, **settings: Any) -> Any:
    """Σ x, where the sum is computed in ``dtype``."""
    settings = settings if axis is None else {"axis": axis, **settings}
    return total(x if dtype is None else copied(x, dtype), **settings)


def copied(x: Tensor, dtype: Any = None, *_: Any, **__: Any) -> Any:
    """x in memory of its own, of another type if one is given; integers have no slope."""
    dtype = x.dtype if dtype is None else np.dtype(dtype)
    if dtype.kind != "f":
        return x.data.astype(dtype)
    return setitem(np.empty_like(x.data, dtype=dtype), x, key=...)


def remainder(x: Any, y: Any) -> Any:
    """x − y ⌊x / y⌋."""
    return subtract(x, multiply(y, np.floor(data_of(x) / data_of(y))))


def variance(x: Any, axis: Any = None, *_: Any, ddof: float = 0, keepdims: bool = False) -> Any:
    """Σ (x − mean x)² / (n − ddof)."""
    squares = square(subtract(x, mean(x, axis=axis, keepdims=True)))
    average = mean(squares, axis=axis, keepdims=keepdims)
    n = x.size / average.size
    return multiply(average, n / (n - ddof)) if ddof else average


def deviation(x: Any, axis: Any = None, *_: Any, ddof: float = 0, keepdims: bool = False) -> Any:
    """√variance."""
    return sqrt(variance(x, axis, ddof=ddof, keepdims=keepdims))


def average(x: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    """Σ w x / Σ w."""
    if weights is None:
        return mean(x, axis=axis, keepdims=keepdims)
    w = array_of(weights)
    if w.ndim < x.ndim:
        w = reshape(w, shape=[-1 if k == axis % x.ndim else 1 for k in range(x.ndim)])
    w = multiply(w, np.ones_like(data_of(x)))
    return divide(
        total(multiply(w, x), axis=axis, keepdims=keepdims),
        total(w, axis=axis, keepdims=keepdims),
    )


def covariance(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None
) -> Any:
    """Σ (x − mean x)(x − mean x)ᵀ / (n − 1), of variables in rows."""
    rows = [m if m.ndim > 1 else m[None, :] for m in map(array_of, [m] if y is None else [m, y])]
    rows = [x if rowvar or x.shape[0] == 1 else transpose(x) for x in rows]
    x = concatenate(rows) if y is not None else rows[0]
    x = subtract(x, mean(x, axis=1, keepdims=True))
    n = x.shape[1] - (ddof if ddof is not None else int(not bias))
    return squeeze(divide(matmul(x, transpose(x)), n))


def correlation(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """The covariance of what is scaled to variance 1."""
    c = covariance(x, y, rowvar)
    spread = sqrt(diag(c)) if c.ndim else sqrt(c)
    return divide(c, outer(spread, spread) if c.ndim else square(spread))


def median(x: Any, axis: Any = None, *_: Any, keepdims: bool = False) -> Any:
    """The middle of the sorted numbers, the mean of the middle two of an even count."""
    ordered = sort(x if axis is not None else ravel(x), axis=0 if axis is None else axis)
    along = (axis or 0) % ordered.ndim
    n, before = ordered.shape[along], (slice(None),) * along
    middle = ordered[(*before, slice((n - 1) // 2, n // 2 + 1))]
    value = mean(middle, axis=along, keepdims=keepdims and axis is not None)
    return reshape(value, shape=(1,) * x.ndim) if keepdims and axis is None else value


def sort(x: Any, axis: int | None = -1, **_: Any) -> Any:
    """x in ascending order along ``axis``."""
    if axis is None:
        return sort(ravel(x), 0)
    order = np.argsort(x.data, axis=axis)
    return take(x, np.take_along_axis(_numbers(x.data), order, axis))


def cumprod(x: Any, axis: int | None = None) -> Any:
    """x₁, x₁ x₂, x₁ x₂ x₃, …."""
    x, axis = (ravel(x), 0) if axis is None else (x, axis % x.ndim)
    parts = [x[(*(slice(None),) * axis, k)] for k in range(x.shape[axis])]
    for k in range(1, len(parts)):
        parts[k] = multiply(parts[k - 1], parts[k])
    return stack(parts, axis=axis)


def diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    """xₖ₊₁ − xₖ, n times."""
    before = (slice(None),) * (axis % x.ndim)
    for _ in range(n):
        x = subtract(x[(*before, slice(1, None))], x[(*before, slice(None, -1))])
    return x


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    """Σ (xₖ₊₁ − xₖ)(yₖ + yₖ₊₁)/2."""
    y = array_of(y)
    before = (slice(None),) * (axis % y.ndim)
    sums = add(y[(*before, slice(1, None))], y[(*before, slice(None, -1))])
    width = dx
    if x is not None:
        x = array_of(x)
        width = diff(x, axis=axis if x.ndim == y.ndim else -1)
        if x.ndim < y.ndim:
            width = reshape(width, shape=(-1,) + (1,) * (y.ndim - 1 - axis % y.ndim))
    return total(multiply(sums, divide(width, 2)), axis=axis)


def convolve(x: Any, y: Any, mode: str = "full") -> Any:
    """zₖ = Σ xᵢ yₖ₋ᵢ."""
    x, y = array_of(x), array_of(y)
    n, m = x.size, y.size
    # Row i holds xᵢ y, and is moved i places to the right: that is, cut off later by one.
    rows = reshape(pad(outer(x, y), pad_width=((0, 0), (0, n))), shape=-1)
    full = total(reshape(rows[: n * (n + m - 1)], shape=(n, n + m - 1)), axis=0)
    short = min(n, m)
    start, length = {
        "full": (0, n + m - 1),
        "same": ((short - 1) // 2, max(n, m)),
        "valid": (short - 1, max(n, m) - short + 1),
    }[mode]
    return full[start : start + length]


def correlate(x: Any, y: Any, mode: str = "valid") -> Any:
    """zₖ = Σ xᵢ₊ₖ yᵢ."""
    x, y = array_of(x), array_of(y)
    if mode == "same" and x.size < y.size:  # NumPy exchanges the two, and turns the result round
        return correlate(y, x, mode)[::-1]
    return convolve(x, y[::-1], mode)


def nan_to_num(x: Any, *_: Any, **settings: Any) -> Any:
    """x, with numbers in the place of what is not finite."""
    return where(np.isfinite(x.data), x, np.nan_to_num(x.data, **settings))


def bounded(x: Any, a_min: Any = None, a_max: Any = None, **names: Any) -> Any:
    """x, held between two bounds, which may be arrays."""
    low, high = names.get("min", a_min), names.get("max", a_max)
    if not isinstance(x, Tensor) or np.ndim(low) or np.ndim(high) or _any_tensor(low, high):
        x = x if low is None else maximum(x, low)
        return x if high is None else minimum(x, high)
    return clip(x, lower=low, upper=high)


def _any_tensor(*arguments: Any) -> bool:
    return any(isinstance(x, Tensor) for x in arguments)


def select(conditions: Sequence[Any], choices: Sequence[Any], default: Any = 0) -> Any:
    """The first choice whose condition holds."""
    for condition, choice in [*zip(conditions, choices, strict=True)][::-1]:
        default = where(data_of(condition), choice, default)
    return default


# Linear algebra


def dot(x: Any, y: Any) -> Any:
    """Σ xᵢ yᵢ over the last axis of x and the last but one of y."""
    x, y = array_of(x), array_of(y)
    if x.ndim == 0 or y.ndim == 0:
        return multiply(x, y)
    return matmul(x, y) if y.ndim <= 2 else tensordot(x, y, (-1, -2))


def inner(x: Any, y: Any) -> Any:
    """Σ xᵢ yᵢ over the last axes."""
    x, y = array_of(x), array_of(y)
    return multiply(x, y) if x.ndim == 0 or y.ndim == 0 else tensordot(x, y, (-1, -1))


def outer(x: Any, y: Any) -> Any:
    """xᵢ yⱼ."""
    return multiply(reshape(array_of(x), shape=(-1, 1)), reshape(array_of(y), shape=(1, -1)))


def vdot(x: Any, y: Any) -> Any:
    """Σ xᵢ yᵢ of all numbers."""
    return matmul(ravel(array_of(x)), ravel(array_of(y)))


def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """Σ x y over pairs of axes."""
    x, y = array_of(x), array_of(y)
    chosen: Any = (range(-axes, 0), range(axes)) if isinstance(axes, int) else axes
    pairs = [*zip(*(np.ravel(a).tolist() for a in chosen), strict=True)]
    of_x, of_y = string.ascii_lowercase[: x.ndim], [*string.ascii_uppercase[: y.ndim]]
    for i, j in pairs:
        of_y[j] = of_x[i]
    once = [c for c in (*of_x, *of_y) if (c in of_x) + (c in of_y) == 1]
    return einsum([x, y], subscripts=f"{of_x},{''.join(of_y)}->{''.join(once)}")


def einsum_of(subscripts: Any, *arrays: Any, **_: Any) -> Any:
    """Einstein's sum of products."""
    if not isinstance(subscripts, str):
        raise NotRecordedError("np.einsum has no letters", "write them as np.einsum('ij,jk->ik')")
    return einsum([*map(array_of, arrays)], subscripts=subscripts)


def kron(x: Any, y: Any) -> Any:
    """The products of all pairs, as blocks x₁₁ y, x₁₂ y …."""
    x, y = array_of(x), array_of(y)
    n = max(x.ndim, y.ndim)
    a, b = (1,) * (n - x.ndim) + x.shape, (1,) * (n - y.ndim) + y.shape
    x = reshape(x, shape=[k for pair in zip(a, (1,) * n, strict=True) for k in pair])
    y = reshape(y, shape=[k for pair in zip((1,) * n, b, strict=True) for k in pair])
    return reshape(multiply(x, y), shape=[i * j for i, j in zip(a, b, strict=True)])


def cross(x: Any, y: Any) -> Any:
    """x × y, of vectors of three components in the last axis."""
    x, y = array_of(x), array_of(y)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise NotRecordedError("np.cross of other than three components", "write them out")
    i, j = [1, 2, 0], [2, 0, 1]
    return subtract(multiply(x[..., i], y[..., j]), multiply(x[..., j], y[..., i]))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Σ xᵢᵢ."""
    return total(diagonal(x, offset, axis1, axis2), axis=-1)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """√Σ x², or (Σ |x|ᵖ)^(1/p); of a matrix the largest sum of a column (1) or of a row (∞)."""
    axes = tuple(range(x.ndim)) if axis is None else tuple(np.ravel(axis).tolist())
    named = {"axis": axes, "keepdims": keepdims}
    size = absolute(x)
    if ord in (None, "fro") or (ord == 2 and len(axes) == 1):
        return sqrt(total(square(x), **named))
    if len(axes) == 2 and ord in (1, -1, math.inf, -math.inf):
        along, other = axes if abs(ord) == 1 else axes[::-1]
        sums = total(size, axis=along, keepdims=True)
        found = (largest if ord > 0 else smallest)(sums, axis=other, keepdims=True)
        return found if keepdims else squeeze(found, axis=axes)
    if len(axes) == 1 and ord in (math.inf, -math.inf):
        return (largest if ord > 0 else smallest)(size, **named)
    if len(axes) == 1 and ord not in (0, "nuc"):
        return total(size, **named) if ord == 1 else total(size**ord, **named) ** (1 / ord)
    raise NotRecordedError(
        f"the norm of order {ord!r} has no rule", "there are √Σ x², p-norms of vectors, 1 and ∞"
    )


class SlogdetResult(NamedTuple):
    """The sign of det A, and log |det A|."""

    sign: Array
    logabsdet: Any


def slogdet(A: Any) -> SlogdetResult:
    """The sign of det A, which has no slope, and log |det A|."""
    return SlogdetResult(np.linalg.slogdet(A.data)[0], logdet(A))


def matrix_power(A: Any, n: int) -> Any:
    """A A … A, n times; of A⁻¹ for n < 0."""
    if n == 0:
        return add(multiply(A, 0), np.identity(A.shape[-1], A.dtype, like=A.data))
    factor = product = A if n > 0 else inv(A)
    for _ in range(abs(n) - 1):
        product = matmul(product, factor)
    return product


def multi_dot(arrays: Sequence[Any]) -> Any:
    """A B C …."""
    product = array_of(arrays[0])
    for factor in arrays[1:]:
        product = matmul(product, array_of(factor))
    return product


def lower_factor(A: Any, *, upper: bool = False) -> Any:
    """A = L Lᵀ; Lᵀ if the upper factor is wanted."""
    return swapaxes(cholesky(A), -1, -2) if upper else cholesky(A)


# Shapes


def reshaped(x: Any, *shape: Any, order: str = "C", **names: Any) -> Any:
    """x.reshape(2, 3) for x.reshape((2, 3)); in Fortran's order too."""
    given: Any = names.get("shape", shape[0] if len(shape) == 1 else shape)
    if order != "F" or x.ndim == 0:
        return reshape(x, shape=given)
    backwards = [given] if isinstance(given, int) else [*given][::-1]
    return transpose(reshape(transpose(x), shape=backwards))


def ravel(x: Any, order: str = "C") -> Any:
    """All numbers of x in one row."""
    if x.ndim == 1:
        return x
    return reshaped(x, -1, order=order)


def transposed(x: Any, *axes: Any) -> Any:
    """x.transpose(0, 1) for x.transpose((0, 1))."""
    return transpose(x, axes=axes if len(axes) > 1 else axes[0]) if axes else transpose(x)


def squeeze(x: Any, axis: Any = None) -> Any:
    """x without its axes of length 1."""
    gone = range(x.ndim) if axis is None else [k % x.ndim for k in np.ravel(axis).tolist()]
    if axis is not None and any(x.shape[k] != 1 for k in gone):
        raise ValueError(f"squeeze: axis {axis} of shape {x.shape} is longer than 1")
    return reshape(x, shape=[n for k, n in enumerate(x.shape) if n != 1 or k not in gone])


def expand_dims(x: Any, axis: Any) -> Any:
    """x with new axes of length 1."""
    return reshape(x, shape=np.expand_dims(np.empty(x.shape, bool), axis).shape)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """x with two axes exchanged."""
    order = [*range(x.ndim)]
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, axes=order)


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """x with axes in other places."""
    steps = np.empty((1,) * x.ndim)  # of which the strides say the order
    numbered = np.lib.stride_tricks.as_strided(steps, strides=range(x.ndim), writeable=False)
    return transpose(x, axes=np.moveaxis(numbered, source, destination).strides)


def at_least(dims: int) -> Function:
    """np.atleast_1d and its like."""

    def atleast(*arrays: Any) -> Any:
        shaped = [_at_least(dims, array_of(x)) for x in arrays]
        return shaped[0] if len(shaped) == 1 else tuple(shaped)

    return atleast


def _at_least(dims: int, x: Any) -> Any:
    function = (np.atleast_1d, np.atleast_2d, np.atleast_3d)[dims - 1]
    shape = function(np.empty(x.shape, bool)).shape
    return x if shape == x.shape else reshape(x, shape=shape)


def hstack(arrays: Sequence[Any]) -> Any:
    """One beside another, along the second axis, or the only one."""
    rows = [_at_least(1, array_of(x)) for x in arrays]
    return concatenate(rows, axis=0 if rows[0].ndim == 1 else 1)


def vstack(arrays: Sequence[Any]) -> Any:
    """One below another."""
    return concatenate([_at_least(2, array_of(x)) for x in arrays], axis=0)


def dstack(arrays: Sequence[Any]) -> Any:
    """One behind another."""
    return concatenate([_at_least(3, array_of(x)) for x in arrays], axis=2)


def column_stack(arrays: Sequence[Any]) -> Any:
    """One beside another, vectors as columns."""
    columns = [array_of(x) for x in arrays]
    return concatenate([x if x.ndim > 1 else reshape(x, shape=(-1, 1)) for x in columns], axis=1)


def block(arrays: Any) -> Any:
    """A matrix of matrices."""
    if not isinstance(arrays, list):
        return array_of(arrays)
    if isinstance(arrays[0], list):
        return concatenate([_at_least(2, block(row)) for row in arrays], axis=-2)
    parts = [array_of(x) for x in arrays]
    dims = max(1, *(x.ndim for x in parts))
    return concatenate([_at_least(dims, x) for x in parts], axis=-1)


def concatenated(arrays: Sequence[Any], axis: int | None = 0, **_: Any) -> Any:
    """One after another."""
    parts = [array_of(x) for x in arrays]
    return concatenate([ravel(x) for x in parts] if axis is None else parts, axis=axis or 0)


def stacked(arrays: Sequence[Any], axis: int = 0, **_: Any) -> Any:
    """Side by side along a new axis."""
    return stack([array_of(x) for x in arrays], axis=axis)


def append(x: Any, values: Any, axis: int | None = None) -> Any:
    """x, and behind it the values."""
    return concatenated([x, values], axis=axis)


def insert(x: Any, places: Any, values: Any, axis: int | None = None) -> Any:
    """x, with the values before these places."""
    x, values = array_of(x), array_of(values)
    of_x, of_values = _numbers(data_of(x)), _numbers(data_of(values)) + x.size
    return take(
        concatenate([ravel(x), ravel(values)]), np.insert(of_x, places, of_values, axis=axis)
    )


def padded(x: Any, pad_width: Any, mode: str = "constant", **settings: Any) -> Any:
    """x within a margin."""
    if mode != "constant":
        return moved(np.pad)(x, pad_width, mode, **settings)
    return pad(x, pad_width=pad_width, value=settings.get("constant_values", 0.0))


def apply_along_axis(f: Function, axis: int, x: Any, *arguments: Any, **settings: Any) -> Any:
    """f of each row of x along ``axis``."""
    rows = moveaxis(x, axis, -1)
    values = [array_of(f(rows[key], *arguments, **settings)) for key in np.ndindex(rows.shape[:-1])]
    found = reshape(stack(values), shape=(*rows.shape[:-1], *values[0].shape))
    behind = [*range(-values[0].ndim, 0)]
    return moveaxis(found, behind, [axis % x.ndim + k for k in range(len(behind))])


def full_like(x: Any, fill_value: Any, **settings: Any) -> Any:
    """One number, or a row of them, in the shape of x."""
    value = joined(fill_value)
    if isinstance(value, Tensor):
        return broadcast_to(value, shape=x.shape)
    return np.full_like(data_of(x), value, **settings)


def moved(function: Function, fills: bool = False) -> Function:
    """A function that moves, repeats or leaves out entries, whatever they are.

    It is applied to the numbers of the entries, which are then taken; where it ``fills`` what is
    left with zeros, entries are numbered from 1, and 0 is the number of a zero.
    """

    def composition(x: Any, *arguments: Any, **settings: Any) -> Any:
        x = array_of(x)
        numbers = function(_numbers(data_of(x)) + fills, *arguments, **settings)
        row = ravel(x)
        if fills:
            row = concatenate([np.zeros_like(row.data[:1], shape=(1,)), row])
        if isinstance(numbers, (list, tuple)):
            return [take(row, part) for part in numbers]
        return take(row, numbers)

    return composition


def _numbers(x: Array) -> Array:
    return np.arange(x.size, like=x).reshape(x.shape)


diag, diagonal, flip = moved(np.diag, fills=True), moved(np.diagonal), moved(np.flip)


# Special functions


def gamma(x: Any) -> Any:
    """Γ(x)."""
    return multiply(exp(gammaln(x)), special(x.data).gammasgn(x.data))


def betaln(x: Any, y: Any) -> Any:
    """log B(x, y) = log Γ(x) + log Γ(y) − log Γ(x + y)."""
    return subtract(add(gammaln(x), gammaln(y)), gammaln(add(x, y)))


def normal_cdf(x: Any) -> Any:
    """Φ(x) = ½ erfc(−x/√2)."""
    return multiply(erfc(multiply(x, -math.sqrt(0.5))), 0.5)


def relative_entropy(x: Any, y: Any) -> Any:
    """x log(x / y)."""
    return xlogy(x, divide(x, y))
