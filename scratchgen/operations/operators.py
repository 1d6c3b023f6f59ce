"""Python's operators, the methods of arrays and NumPy's functions, on a Tensor.

Each is bound to a rule, or to a composition of rules, so that a cost is recorded as people write
it. What has no slope anywhere, as ``np.sign`` or a comparison, gives a plain array. What cannot be
recorded is refused, in an error that names the line of the user's source.
"""

from __future__ import annotations

import collections
import linecache
import math
import operator
import os
import string
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autodiff import Tensor, Written
from ..backend import Array, special, to_host
from ..html import table
from .activations import sigmoid, softplus, tanh
from .arithmetic import (
    add,
    divide,
    exp,
    log,
    matmul,
    multiply,
    negative,
    power,
    sqrt,
    square,
    subtract,
)
from .elementary import (
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cos,
    cosh,
    digamma,
    erf,
    erfc,
    expm1,
    gammaln,
    log1p,
    logaddexp,
    sin,
    sinh,
    tan,
    xlogy,
)
from .linalg import cholesky, det, eigvalsh, einsum, inv, logdet, solve
from .piecewise import absolute, clip, maximum, minimum, where
from .shaping import (
    broadcast_to,
    concatenate,
    cumsum,
    getitem,
    is_basic,
    logsumexp,
    mean,
    pad,
    prod,
    reshape,
    setitem,
    stack,
    take,
    transpose,
)
from .shaping import max as largest
from .shaping import min as smallest
from .shaping import sum as total

Function = Callable[..., Any]


# What is refused


class NotRecordedError(TypeError):
    """What would lose the record of how a tensor came about; ``tensor``, where it is one alone."""

    def __init__(self, what: str, instead: str, tensor: Tensor | None = None) -> None:
        super().__init__(f"{_place()}{what}: {instead}")
        self.tensor = tensor


_LIBRARIES = tuple(
    os.path.join(folder, "")
    for folder in (
        os.path.dirname(os.path.dirname(__file__)),
        *np.__path__,
        os.path.join(os.path.dirname(np.__path__[0]), "scipy"),
    )
)


def is_library(filename: str) -> bool:
    """Whether this is source of ours, of NumPy or of SciPy: not where a user wrote a cost."""
    return filename.startswith(_LIBRARIES) or filename.startswith("<__array_function__")


def _place() -> str:
    """The line of the user's source that is running: its file, its number, its text."""
    frame = sys._getframe(2)
    while frame.f_back is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, number).strip()
    return f"{os.path.basename(name)}:{number}: " + (f"`{text}`: " if text else "")


# Tensors among arrays


def joined(x: Any) -> Any:
    """The tensors in a list, or in an array of objects, as one tensor; what holds none, as it is.

    >>> joined([Tensor(1.0), 2.0])
    Tensor(array([1., 2.]), from stack)
    """
    if isinstance(x, np.ndarray) and x.dtype == object:
        parts = [*x.flat]
        if any(isinstance(part, Tensor) for part in parts):
            return reshape(stack(parts), shape=x.shape)
    elif isinstance(x, (list, tuple)):
        parts = [joined(part) for part in x]
        if any(isinstance(part, Tensor) for part in parts):
            return stack([array_of(part) for part in parts])
    return getattr(x, "tensor", x)


def array_of(x: Any) -> Any:
    """``x`` as one tensor, or as an array; those of a device stay there."""
    x = joined(x)
    return x if hasattr(x, "dtype") else np.asarray(x)


def _data(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


def _on_data(function: Function) -> Function:
    """The function of the numbers alone, for what has no slope."""
    return lambda *inputs, **settings: function(*map(_data, inputs), **settings)


def _taken_apart(x: Tensor, dtype: Any = None, copy: bool | None = None) -> Array:
    """The numbers of x as tensors in an array of objects, which is what NumPy's own code needs."""
    if dtype is not None and np.dtype(dtype) != object:
        raise NotRecordedError(
            f"an array of {np.dtype(dtype)} would lose the record of a Tensor",
            "write the function of it with NumPy's own, or take tensor.data for its numbers alone",
        )
    if x.size > _MOST:
        raise NotRecordedError(
            f"NumPy would take a Tensor of {x.size:,} numbers apart, one by one",
            "write X @ w for X.dot(w), and leave out np.array and np.asarray",
        )
    entries, uses = np.empty(x.shape, object), [100 * _MOST]
    for key in np.ndindex(x.shape):
        entries[key] = _Entry(*_entry(x, key))
        entries[key].uses = uses
    return entries


_MOST = 10_000


def _entry(x: Tensor, key: tuple[int, ...]) -> tuple[Any, ...]:
    value, equations = getitem.rule(x.data, key=key)
    return value, getitem, (x,), equations, {"key": key}


class _Entry(Tensor):
    """One number of a tensor that NumPy took apart: products of many with data take too long."""

    __slots__ = ("uses",)

    def _product(self, other: Any) -> Any:
        self.uses[0] -= 1
        if self.uses[0] < 0:
            raise NotRecordedError(
                "a Tensor is multiplied number by number", "write X @ w in place of X.dot(w)"
            )
        return multiply(self, other)


# Writing


def _written(x: Tensor, key: Any, value: Any) -> None:
    """x[key] = value: x is another tensor from now on; what was computed from it keeps to the old.

    Refused where an array would show its change elsewhere: what a function was given, and views.
    """
    name = getattr(x.operation, "__name__", "an argument")
    if x.operation in (None, reshape, transpose) or (
        x.operation is getitem and is_basic(x.settings["key"])
    ):
        what = "an argument of the function" if x.operation is None else f"what {name} shows"
        raise NotRecordedError(f"{what} is written into", "write into a copy of it, x.copy()")
    before = Tensor(x.data, x.operation, x.inputs, x.equations, x.settings)
    before.__class__, before.birth = type(x), x.birth
    after = setitem(before, array_of(value), key=key)
    x.__class__ = Written
    x.data, x.birth, x.operation = after.data, after.birth, after.operation
    x.inputs, x.equations, x.settings = after.inputs, after.equations, after.settings


def copied(x: Tensor, dtype: Any = None, *_: Any, **__: Any) -> Any:
    """x in memory of its own, of another type if one is given; integers have no slope."""
    dtype = x.dtype if dtype is None else np.dtype(dtype)
    if dtype.kind != "f":
        return x.data.astype(dtype)
    return setitem(np.empty_like(x.data, dtype=dtype), x, key=...)


# Compositions: arithmetic and statistics


def remainder(x: Any, y: Any) -> Any:
    """x − y ⌊x / y⌋."""
    return subtract(x, multiply(y, np.floor(_data(x) / _data(y))))


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
    w = multiply(w, np.ones_like(_data(x)))
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
        default = where(_data(condition), choice, default)
    return default


# Compositions: linear algebra


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
    return multiply(
        reshape(array_of(x), shape=(-1, 1)), reshape(array_of(y), shape=(1, -1))
    )


def vdot(x: Any, y: Any) -> Any:
    """Σ xᵢ yᵢ of all numbers."""
    return matmul(ravel(array_of(x)), ravel(array_of(y)))


def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """Σ x y over pairs of axes."""
    x, y = array_of(x), array_of(y)
    if isinstance(axes, int):
        axes = range(-axes, 0), range(axes)
    pairs = [*zip(*(np.ravel(a).tolist() for a in axes), strict=True)]
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
    return subtract(
        multiply(x[..., i], y[..., j]), multiply(x[..., j], y[..., i])
    )


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


# Compositions: shapes


def reshaped(x: Any, *shape: Any, order: str = "C", **names: Any) -> Any:
    """x.reshape(2, 3) for x.reshape((2, 3)); in Fortran's order too."""
    shape = names.get("shape", names.get("newshape", shape[0] if len(shape) == 1 else shape))
    if order != "F" or x.ndim == 0:
        return reshape(x, shape=shape)
    backwards = [shape] if isinstance(shape, int) else [*shape][::-1]
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
    return concatenate(
        [x if x.ndim > 1 else reshape(x, shape=(-1, 1)) for x in columns], axis=1
    )


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
    of_x, of_values = _numbers(_data(x)), _numbers(_data(values)) + x.size
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
    values = [
        array_of(f(rows[key], *arguments, **settings)) for key in np.ndindex(rows.shape[:-1])
    ]
    found = reshape(stack(values), shape=(*rows.shape[:-1], *values[0].shape))
    behind = [*range(-values[0].ndim, 0)]
    return moveaxis(found, behind, [axis % x.ndim + k for k in range(len(behind))])


def moved(function: Function, fills: bool = False) -> Function:
    """A function that moves, repeats or leaves out entries, whatever they are.

    It is applied to the numbers of the entries, which are then taken; where it ``fills`` what is
    left with zeros, entries are numbered from 1, and 0 is the number of a zero.
    """

    def composition(x: Any, *arguments: Any, **settings: Any) -> Any:
        x = array_of(x)
        numbers = function(_numbers(_data(x)) + fills, *arguments, **settings)
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


# What is bound to what

_SLOPELESS = """
    less less_equal greater greater_equal equal not_equal logical_and logical_or logical_not
    logical_xor sign signbit floor ceil rint trunc fix round around floor_divide heaviside isnan
    isfinite isinf isposinf isneginf argmax argmin argsort nonzero flatnonzero argwhere
    count_nonzero any all array_equal allclose isclose shape ndim size result_type can_cast
    iscomplexobj isrealobj isreal iscomplex searchsorted digitize histogram bincount
    may_share_memory shares_memory array_repr array_str array2string
"""
_MOVED = """
    flip fliplr flipud roll rot90 tile repeat diagonal delete split array_split hsplit vsplit dsplit
    rollaxis resize take_along_axis compress
"""

FUNCTIONS: dict[Any, Function] = {
    **{getattr(np, name): _on_data(getattr(np, name)) for name in _SLOPELESS.split()},
    **{getattr(np, name): moved(getattr(np, name)) for name in _MOVED.split()},
    **{getattr(np, name): moved(getattr(np, name), True) for name in ("triu", "tril", "diagflat")},
    np.diag: diag,
    np.add: add,
    np.subtract: subtract,
    np.multiply: multiply,
    np.divide: divide,
    np.negative: negative,
    np.positive: lambda x: x,
    np.power: power,
    np.float_power: power,
    np.reciprocal: lambda x: divide(1.0, x),
    np.remainder: remainder,
    np.square: square,
    np.sqrt: sqrt,
    np.cbrt: lambda x: multiply(power(absolute(x), 1 / 3), np.sign(x.data)),
    np.exp: exp,
    np.exp2: lambda x: power(2.0, x),
    np.expm1: expm1,
    np.log: log,
    np.log2: lambda x: divide(log(x), math.log(2)),
    np.log10: lambda x: divide(log(x), math.log(10)),
    np.log1p: log1p,
    np.logaddexp: logaddexp,
    np.sin: sin,
    np.cos: cos,
    np.tan: tan,
    np.arcsin: arcsin,
    np.arccos: arccos,
    np.arctan: arctan,
    np.arctan2: arctan2,
    np.sinh: sinh,
    np.cosh: cosh,
    np.tanh: tanh,
    np.arcsinh: arcsinh,
    np.arccosh: arccosh,
    np.arctanh: arctanh,
    np.hypot: lambda x, y: sqrt(add(square(x), square(y))),
    np.deg2rad: lambda x: multiply(x, math.pi / 180),
    np.radians: lambda x: multiply(x, math.pi / 180),
    np.rad2deg: lambda x: multiply(x, 180 / math.pi),
    np.degrees: lambda x: multiply(x, 180 / math.pi),
    np.absolute: absolute,
    np.fabs: absolute,
    np.maximum: maximum,
    np.minimum: minimum,
    np.fmax: maximum,
    np.fmin: minimum,
    np.where: where,
    np.clip: bounded,
    np.select: select,
    np.nan_to_num: nan_to_num,
    np.conjugate: lambda x: x,
    np.real: lambda x: x,
    np.imag: lambda x: np.zeros_like(x.data),
    np.sum: total,
    np.mean: mean,
    np.average: average,
    np.var: variance,
    np.std: deviation,
    np.cov: covariance,
    np.corrcoef: correlation,
    np.median: median,
    np.max: largest,
    np.amax: largest,
    np.min: smallest,
    np.amin: smallest,
    np.ptp: lambda x, axis=None: subtract(largest(x, axis=axis), smallest(x, axis=axis)),
    np.prod: prod,
    np.cumsum: cumsum,
    np.cumprod: cumprod,
    np.diff: diff,
    np.trapezoid: trapezoid,
    np.sort: sort,
    np.convolve: convolve,
    np.correlate: correlate,
    np.matmul: matmul,
    np.dot: dot,
    np.vdot: vdot,
    np.inner: inner,
    np.outer: outer,
    np.tensordot: tensordot,
    np.einsum: einsum_of,
    np.kron: kron,
    np.cross: cross,
    np.trace: trace,
    np.linalg.norm: norm,
    np.linalg.inv: inv,
    np.linalg.solve: solve,
    np.linalg.det: det,
    np.linalg.slogdet: slogdet,
    np.linalg.cholesky: lower_factor,
    np.linalg.eigvalsh: eigvalsh,
    np.linalg.matrix_power: matrix_power,
    np.linalg.multi_dot: multi_dot,
    np.reshape: reshaped,
    np.ravel: ravel,
    np.transpose: transpose,
    np.swapaxes: swapaxes,
    np.moveaxis: moveaxis,
    np.squeeze: squeeze,
    np.expand_dims: expand_dims,
    np.atleast_1d: at_least(1),
    np.atleast_2d: at_least(2),
    np.atleast_3d: at_least(3),
    np.broadcast_to: lambda x, shape: broadcast_to(x, shape=shape),
    np.take: take,
    np.pad: padded,
    np.concatenate: concatenated,
    np.stack: stacked,
    np.hstack: hstack,
    np.vstack: vstack,
    np.dstack: dstack,
    np.column_stack: column_stack,
    np.block: block,
    np.append: append,
    np.insert: insert,
    np.apply_along_axis: apply_along_axis,
    np.copy: copied,
    np.zeros_like: _on_data(np.zeros_like),
    np.ones_like: _on_data(np.ones_like),
    np.full_like: _on_data(np.full_like),
    np.empty_like: _on_data(np.empty_like),
}
"""What NumPy's functions of a tensor are."""

SPECIAL: dict[str, Function] = {
    "expit": sigmoid,
    "log_expit": lambda x: negative(softplus(negative(x))),
    "logit": lambda x: subtract(log(x), log1p(negative(x))),
    "softplus": softplus,
    "erf": erf,
    "erfc": erfc,
    "ndtr": normal_cdf,
    "gamma": gamma,
    "gammaln": gammaln,
    "loggamma": gammaln,
    "betaln": betaln,
    "psi": digamma,
    "digamma": digamma,
    "xlogy": xlogy,
    "xlog1py": lambda x, y: multiply(x, log1p(y)),
    "entr": lambda x: negative(xlogy(x, x)),
    "rel_entr": relative_entropy,
    "kl_div": lambda x, y: add(subtract(relative_entropy(x, y), x), y),
}
"""What SciPy's special functions of a tensor are: by name, so that SciPy need not be loaded."""

REDUCTIONS = {
    np.add: total,
    np.multiply: prod,
    np.maximum: largest,
    np.minimum: smallest,
    np.logaddexp: logsumexp,
}
"""What ``np.add.reduce`` and its like are."""

_IN_PLACE = {"out", "where"}


def _array_ufunc(_: Any, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
    if method == "reduce" and ufunc in REDUCTIONS:
        return _called(REDUCTIONS[ufunc], ufunc, inputs, {"axis": 0, **settings})
    if method == "accumulate" and ufunc in (np.add, np.multiply):
        chosen = cumsum if ufunc is np.add else cumprod
        return _called(chosen, ufunc, inputs, {"axis": 0, **settings})
    if method == "outer":
        x, y = map(array_of, inputs)
        inputs = reshape(x, shape=(*x.shape, *(1,) * y.ndim)), y
    elif method != "__call__":
        raise NotRecordedError(f"np.{ufunc.__name__}.{method} has no rule", _INSTEAD)
    return _called(_function_of(ufunc), ufunc, inputs, settings)


def _array_function(_: Any, function: Any, __: Any, inputs: Any, settings: Any) -> Any:
    return _called(_function_of(function), function, inputs, settings)


_INSTEAD = (
    "compose it of functions that have one, as those of scratchgen.operations, or, where no "
    "derivative is wanted, take tensor.data"
)


def _function_of(function: Any) -> Function:
    """What NumPy's or SciPy's function of a tensor is."""
    found = FUNCTIONS.get(function) or SPECIAL.get(function.__name__)
    if found is None:
        raise NotRecordedError(f"{_name_of(function)} has no rule", _INSTEAD)
    return found


def _name_of(function: Any) -> str:
    name, module = function.__name__, getattr(function, "__module__", None) or "numpy"
    if isinstance(function, np.ufunc) and getattr(np, name, None) is not function:
        module = "scipy.special"
    return f"{module}.{name}".replace("numpy.", "np.", 1)


def _called(found: Function, function: Any, inputs: Any, settings: Any) -> Any:
    """The function of these arguments, arrays of tensors among them joined."""
    if settings:
        settings = {
            name: value
            for name, value in settings.items()
            if value is not None or name not in ("out", "dtype")
        }
        if not {"out", "where"}.isdisjoint(settings):
            raise NotRecordedError(
                f"{_name_of(function)} writes a Tensor into an array, or into parts of one",
                "write z = z + x for z += x, and np.where for where=",
            )
    if any(type(x) is not Tensor and hasattr(x, "dtype") for x in inputs):
        inputs = [joined(x) if hasattr(x, "dtype") else x for x in inputs]
    return found(*inputs, **settings)


def _shown(x: Tensor) -> str:
    """In a notebook: shape, dtype, origin, and a few of the numbers."""
    few = np.array2string(to_host(x.data), precision=4, threshold=12, edgeitems=2)
    row = x.shape, x.dtype, getattr(x.operation, "__name__", "nothing"), few
    return table(("shape", "dtype", "from", "values"), [row])


def _number(x: Tensor) -> float:
    raise NotRecordedError(
        "float() would lose the record of a Tensor",
        "leave float() out, and write np.exp for math.exp; tensor.data has the number",
        x,
    )


def _only_one(x: Tensor, *key: Any) -> Tensor:
    if x.size != 1:
        raise ValueError(f"item() is of an array of one number, got shape {x.shape}")
    return reshape(x, shape=())


def _rows(x: Tensor) -> Iterator[Tensor]:
    if not x.ndim:
        raise TypeError("iteration over a 0-d Tensor")
    return (getitem(x, key=k) for k in range(x.shape[0]))


def _reflected(operation: Function) -> Function:
    return lambda y, x: operation(x, y)


# The methods that give settings by name have nothing to sort out.
METHODS: dict[str, Any] = {
    "__add__": add,
    "__radd__": _reflected(add),
    "__sub__": subtract,
    "__rsub__": _reflected(subtract),
    "__mul__": multiply,
    "__rmul__": _reflected(multiply),
    "__truediv__": divide,
    "__rtruediv__": _reflected(divide),
    "__pow__": power,
    "__rpow__": _reflected(power),
    "__matmul__": matmul,
    "__rmatmul__": _reflected(matmul),
    "__mod__": remainder,
    "__rmod__": _reflected(remainder),
    "__floordiv__": _on_data(operator.floordiv),
    "__rfloordiv__": _on_data(_reflected(operator.floordiv)),
    "__iadd__": add,
    "__isub__": subtract,
    "__imul__": multiply,
    "__itruediv__": divide,
    "__neg__": negative,
    "__pos__": lambda x: x,
    "__abs__": absolute,
    "__getitem__": lambda x, key: getitem(x, key=key),
    "__setitem__": _written,
    "__iter__": _rows,
    "__lt__": _on_data(operator.lt),
    "__le__": _on_data(operator.le),
    "__gt__": _on_data(operator.gt),
    "__ge__": _on_data(operator.ge),
    "__eq__": _on_data(operator.eq),
    "__ne__": _on_data(operator.ne),
    "__len__": _on_data(len),
    "__bool__": _on_data(bool),
    "__int__": _on_data(int),
    "__float__": _number,
    "__format__": _on_data(format),
    "__array__": _taken_apart,
    "__array_ufunc__": _array_ufunc,
    "__array_function__": _array_function,
    "_repr_html_": _shown,
    "sum": total,
    "mean": mean,
    "var": variance,
    "std": deviation,
    "max": largest,
    "min": smallest,
    "ptp": FUNCTIONS[np.ptp],
    "prod": prod,
    "cumsum": cumsum,
    "cumprod": cumprod,
    "dot": dot,
    "trace": trace,
    "diagonal": diagonal,
    "clip": bounded,
    "conj": lambda x: x,
    "conjugate": lambda x: x,
    "reshape": reshaped,
    "ravel": ravel,
    "flatten": lambda x, order="C": reshaped(x, -1, order=order),
    "squeeze": squeeze,
    "transpose": transposed,
    "swapaxes": swapaxes,
    "take": take,
    "repeat": FUNCTIONS[np.repeat],
    "copy": lambda x, order="C": copied(x),
    "astype": copied,
    "item": _only_one,
    "argmax": FUNCTIONS[np.argmax],
    "argmin": FUNCTIONS[np.argmin],
    "argsort": FUNCTIONS[np.argsort],
    "nonzero": FUNCTIONS[np.nonzero],
    "round": FUNCTIONS[np.round],
    "any": FUNCTIONS[np.any],
    "all": FUNCTIONS[np.all],
    # NumPy calls these of the tensors in an array of objects.
    **{
        function.__name__: FUNCTIONS[function]
        for function in (
            *(np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sqrt, np.cbrt),
            *(np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan, np.arctan2, np.hypot),
            *(np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh, np.fabs),
        )
    },
}


for _name, _bound in METHODS.items():
    setattr(Tensor, _name, _bound)
setattr(Tensor, "real", property(FUNCTIONS[np.real]))
setattr(Tensor, "imag", property(FUNCTIONS[np.imag]))
for _name in ("__mul__", "__rmul__"):
    setattr(_Entry, _name, _Entry._product)
