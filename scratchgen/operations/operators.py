"""Python's operators, the methods of arrays and NumPy's functions, on a Tensor.

Each is bound to a rule, or to a composition of rules, so that a cost is recorded as people write
it. What has no slope anywhere, as ``np.sign`` or a comparison, gives a plain array. What cannot be
recorded is refused, in an error that names the line of the user's source.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from ..autodiff import Tensor, Written
from ..backend import Array, to_host
from ..html import table
from . import compositions as composed
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
from .lifting import NotRecordedError, array_of, data_of, joined
from .linalg import det, eigvalsh, inv, solve
from .piecewise import absolute, maximum, minimum, where
from .shaping import (
    broadcast_to,
    cumsum,
    getitem,
    is_basic,
    logsumexp,
    mean,
    prod,
    reshape,
    setitem,
    take,
    transpose,
)
from .shaping import max as largest
from .shaping import min as smallest
from .shaping import sum as total

Function: TypeAlias = Callable[..., Any]


def _on_data(function: Function) -> Function:
    """The function of the numbers alone, for what has no slope."""

    def of_numbers(*inputs: Any, **settings: Any) -> Any:
        named = {name: data_of(x) for name, x in settings.items()}
        return function(*map(data_of, inputs), **named)

    return of_numbers


# Tensors among arrays


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
    entries: Any = np.empty(x.shape, object)
    uses = [5 * _MOST]
    for key in np.ndindex(x.shape):
        value, equations = getitem.rule(x.data, key=key)
        entries[key] = _Entry(value, getitem, (x,), equations, {"key": key})
        entries[key].uses = uses
    return entries


_MOST = 10_000


class _Entry(Tensor):
    """One number of a tensor that NumPy took apart: products of many with data take too long."""

    __slots__ = ("uses",)
    uses: list[int]  # how many more products there may be, of all entries together

    def _product(self, other: Any) -> Any:
        self.uses[0] -= 1
        return multiply(self, other) if self.uses[0] >= 0 else _Refusal()


class _Refusal:
    """The rest of a product that takes too long: NumPy would go on, had an error been raised."""

    def __init__(self) -> None:
        self.error = NotRecordedError(
            "a Tensor is multiplied number by number", "write X @ w in place of X.dot(w)"
        )

    def _this(self, *_: Any) -> Any:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _this
    __rtruediv__ = __pow__ = __neg__ = _this

    def __getattr__(self, name: str) -> Any:
        raise self.error


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


# What is bound to what

_SLOPELESS = """
    less less_equal greater greater_equal equal not_equal logical_and logical_or logical_not
    logical_xor sign signbit floor ceil rint trunc fix round around floor_divide heaviside isnan
    isfinite isinf isposinf isneginf argmax argmin argsort nonzero flatnonzero argwhere
    count_nonzero any all array_equal allclose isclose shape ndim size result_type can_cast
    iscomplexobj isrealobj isreal iscomplex searchsorted digitize
    may_share_memory shares_memory array_repr array_str array2string
"""
_MOVED = """
    flip fliplr flipud roll rot90 tile repeat diagonal delete split array_split hsplit vsplit dsplit
    rollaxis resize take_along_axis compress
"""

FUNCTIONS: dict[Any, Function] = {
    **{getattr(np, name): _on_data(getattr(np, name)) for name in _SLOPELESS.split()},
    **{getattr(np, name): composed.moved(getattr(np, name)) for name in _MOVED.split()},
    **{f: composed.moved(f, fills=True) for f in (np.triu, np.tril, np.diagflat)},
    np.diag: composed.diag,
    np.add: add,
    np.subtract: subtract,
    np.multiply: multiply,
    np.divide: divide,
    np.negative: negative,
    np.positive: lambda x: x,
    np.power: power,
    np.float_power: power,
    np.reciprocal: lambda x: divide(1.0, x),
    np.remainder: composed.remainder,
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
    np.clip: composed.bounded,
    np.select: composed.select,
    np.nan_to_num: composed.nan_to_num,
    np.conjugate: lambda x: x,
    np.real: lambda x: x,
    np.imag: lambda x: np.zeros_like(x.data),
    np.sum: total,
    np.mean: mean,
    np.average: composed.average,
    np.var: composed.variance,
    np.std: composed.deviation,
    np.cov: composed.covariance,
    np.corrcoef: composed.correlation,
    np.median: composed.median,
    np.max: largest,
    np.amax: largest,
    np.min: smallest,
    np.amin: smallest,
    np.ptp: lambda x, axis=None: subtract(largest(x, axis=axis), smallest(x, axis=axis)),
    np.prod: prod,
    np.cumsum: cumsum,
    np.cumprod: composed.cumprod,
    np.diff: composed.diff,
    np.trapezoid: composed.trapezoid,
    np.sort: composed.sort,
    np.convolve: composed.convolve,
    np.correlate: composed.correlate,
    np.matmul: matmul,
    np.dot: composed.dot,
    np.vdot: composed.vdot,
    np.inner: composed.inner,
    np.outer: composed.outer,
    np.tensordot: composed.tensordot,
    np.einsum: composed.einsum_of,
    np.kron: composed.kron,
    np.cross: composed.cross,
    np.trace: composed.trace,
    np.linalg.norm: composed.norm,
    np.linalg.inv: inv,
    np.linalg.solve: solve,
    np.linalg.det: det,
    np.linalg.slogdet: composed.slogdet,
    np.linalg.cholesky: composed.lower_factor,
    np.linalg.eigvalsh: eigvalsh,
    np.linalg.matrix_power: composed.matrix_power,
    np.linalg.multi_dot: composed.multi_dot,
    np.reshape: composed.reshaped,
    np.ravel: composed.ravel,
    np.transpose: transpose,
    np.swapaxes: composed.swapaxes,
    np.moveaxis: composed.moveaxis,
    np.squeeze: composed.squeeze,
    np.expand_dims: composed.expand_dims,
    np.atleast_1d: composed.at_least(1),
    np.atleast_2d: composed.at_least(2),
    np.atleast_3d: composed.at_least(3),
    np.broadcast_to: lambda x, shape: broadcast_to(x, shape=shape),
    np.take: take,
    np.pad: composed.padded,
    np.concatenate: composed.concatenated,
    np.stack: composed.stacked,
    np.hstack: composed.hstack,
    np.vstack: composed.vstack,
    np.dstack: composed.dstack,
    np.column_stack: composed.column_stack,
    np.block: composed.block,
    np.append: composed.append,
    np.insert: composed.insert,
    np.apply_along_axis: composed.apply_along_axis,
    np.copy: composed.copied,
    np.zeros_like: _on_data(np.zeros_like),
    np.ones_like: _on_data(np.ones_like),
    np.full_like: composed.full_like,
    np.empty_like: _on_data(np.empty_like),
}
"""What NumPy's functions of a tensor are."""

SPECIAL: dict[str, Function] = {
    "expit": sigmoid,
    "log_expit": lambda x: negative(softplus(negative(x))),
    "logit": lambda x: subtract(log(x), log1p(negative(x))),
    "erf": erf,
    "erfc": erfc,
    "ndtr": composed.normal_cdf,
    "gamma": composed.gamma,
    "gammaln": gammaln,
    "betaln": composed.betaln,
    "psi": digamma,
    "xlogy": xlogy,
    "xlog1py": lambda x, y: multiply(x, log1p(y)),
    "entr": lambda x: negative(xlogy(x, x)),
    "rel_entr": composed.relative_entropy,
    "kl_div": lambda x, y: add(subtract(composed.relative_entropy(x, y), x), y),
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


def called_ufunc(_: Any, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
    """NumPy's or SciPy's function of numbers, or its reduction, of tensors."""
    if method == "reduce" and ufunc in REDUCTIONS:
        return _called(REDUCTIONS[ufunc], ufunc, inputs, {"axis": 0, **settings})
    if method == "accumulate" and ufunc in (np.add, np.multiply):
        chosen = cumsum if ufunc is np.add else composed.cumprod
        return _called(chosen, ufunc, inputs, {"axis": 0, **settings})
    if method == "outer":
        x, y = map(array_of, inputs)
        inputs = reshape(x, shape=(*x.shape, *(1,) * y.ndim)), y
    elif method != "__call__":
        raise NotRecordedError(f"np.{ufunc.__name__}.{method} has no rule", _INSTEAD)
    return _called(_function_of(ufunc), ufunc, inputs, settings)


def called_function(_: Any, function: Any, __: Any, inputs: Any, settings: Any) -> Any:
    """NumPy's function of arrays, of tensors."""
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
        if any(settings.get(name) is not None for name in ("out", "where")):
            raise NotRecordedError(
                f"{_name_of(function)} writes a Tensor into an array, or into parts of one",
                "write z = z + x for z += x, and np.where for where=",
            )
        own = [None, getattr(inputs[0] if inputs else None, "dtype", None)]
        settings = {
            name: value
            for name, value in settings.items()
            if name != "out" and not (name == "dtype" and value in own)
        }
    if any(type(x) is not Tensor and hasattr(x, "dtype") for x in inputs):
        inputs = [joined(x) if hasattr(x, "dtype") else x for x in inputs]
    try:
        return found(*inputs, **settings)
    except TypeError as error:
        try:
            inspect.signature(found).bind(*inputs, **settings)
        except TypeError:
            what = (
                f"{_name_of(function)} of a Tensor with {', '.join(settings) or 'these arguments'}"
            )
            raise NotRecordedError(f"{what} has no rule", _INSTEAD) from error
        raise


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
    "__mod__": composed.remainder,
    "__rmod__": _reflected(composed.remainder),
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
    "__array_ufunc__": called_ufunc,
    "__array_function__": called_function,
    "_repr_html_": _shown,
    "sum": composed.sum_of,
    "mean": mean,
    "var": composed.variance,
    "std": composed.deviation,
    "max": largest,
    "min": smallest,
    "ptp": FUNCTIONS[np.ptp],
    "prod": prod,
    "cumsum": cumsum,
    "cumprod": composed.cumprod,
    "dot": composed.dot,
    "trace": composed.trace,
    "diagonal": composed.diagonal,
    "clip": composed.bounded,
    "conj": lambda x: x,
    "conjugate": lambda x: x,
    "reshape": composed.reshaped,
    "ravel": composed.ravel,
    "flatten": lambda x, order="C": composed.reshaped(x, -1, order=order),
    "squeeze": composed.squeeze,
    "transpose": composed.transposed,
    "swapaxes": composed.swapaxes,
    "take": take,
    "repeat": FUNCTIONS[np.repeat],
    "copy": lambda x, order="C": composed.copied(x),
    "astype": composed.copied,
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
for _name, _found in {"real": FUNCTIONS[np.real], "imag": FUNCTIONS[np.imag]}.items():
    setattr(Tensor, _name, property(_found))
for _name in ("__mul__", "__rmul__"):
    setattr(_Entry, _name, _Entry._product)
