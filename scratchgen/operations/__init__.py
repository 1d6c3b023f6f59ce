"""The rules: a table of equations. Each is ``operations.<name>``, for tensors and plain arrays.

The docstring of a rule states its equations, and its return statement has them as code.
``<operation>.rule`` is the bare rule, a pure function of arrays that returns the value and the
equations.
"""

import operator as _operator
from typing import Any as _Any

import numpy as _np

from ..autodiff import Tensor as _Tensor
from ..backend import to_host as _to_host
from ..html import table as _table
from .activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
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
from .convolution import conv2d, conv2d_direct, conv_transpose2d, conv_transpose2d_direct
from .costs import bernoulli_nll, cross_entropy, gaussian_kl, gaussian_nll, squared_error
from .layers import affine, dropout, embedding
from .normalisation import group_norm, layer_norm
from .piecewise import absolute, clip, maximum, minimum, where
from .pooling import avg_pool2d, max_pool2d, upsample_nearest2d
from .shaping import (
    concatenate,
    getitem,
    logsumexp,
    max,
    mean,
    min,
    pad,
    reshape,
    stack,
    sum,
    take,
    transpose,
)

# In reading order: arithmetic, piecewise, activations, shaping, layers, costs.
__all__ = [
    "absolute",
    "add",
    "affine",
    "avg_pool2d",
    "bernoulli_nll",
    "clip",
    "concatenate",
    "conv2d",
    "conv2d_direct",
    "conv_transpose2d",
    "conv_transpose2d_direct",
    "cross_entropy",
    "divide",
    "dropout",
    "elu",
    "embedding",
    "exp",
    "gaussian_kl",
    "gaussian_nll",
    "gelu",
    "getitem",
    "group_norm",
    "layer_norm",
    "leaky_relu",
    "log",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "max_pool2d",
    "maximum",
    "mean",
    "min",
    "minimum",
    "multiply",
    "negative",
    "pad",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "squared_error",
    "stack",
    "subtract",
    "sum",
    "take",
    "tanh",
    "transpose",
    "upsample_nearest2d",
    "where",
]


def _reflected(operation: _Any) -> _Any:
    return lambda y, x: operation(x, y)


def _on_data(function: _Any) -> _Any:
    return lambda *inputs: function(*[x.data if isinstance(x, _Tensor) else x for x in inputs])


def _one_sequence(operation: _Any, name: str) -> _Any:
    """Accept x.reshape(2, 3) for x.reshape((2, 3)), as arrays do."""
    return lambda x, *n: operation(x, **({name: n if len(n) > 1 else n[0]} if n else {}))


def _rule_of(function: _Any) -> _Any:
    """Return the operation for a NumPy function of a tensor: the one of the same name."""
    name = function.__name__
    if name in _COMPARISONS:
        return _on_data(function)
    if name not in __all__:
        raise TypeError(
            f"np.{name} has no rule: compose it of scratchgen.operations, or, where no derivative "
            "is wanted, take tensor.data"
        )
    return globals()[name]


def _array_ufunc(_: _Tensor, ufunc: _Any, method: str, *inputs: _Any, **settings: _Any) -> _Any:
    if method != "__call__" or settings:
        raise TypeError(f"np.{ufunc.__name__} of a Tensor: called plainly, without out or where")
    return _rule_of(ufunc)(*inputs)


def _array_function(_: _Tensor, function: _Any, __: _Any, inputs: _Any, settings: _Any) -> _Any:
    return _rule_of(function)(*inputs, **settings)


def _shown(x: _Tensor) -> str:
    """Show shape, dtype, origin and a few of the numbers in a notebook."""
    few = _np.array2string(_to_host(x.data), precision=4, threshold=12, edgeitems=2)
    row = x.shape, x.dtype, getattr(x.operation, "__name__", "nothing"), few
    return _table(("shape", "dtype", "from", "values"), [row])


_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
# On tensors, Python's operators, the methods of arrays and NumPy's functions call these rules. They
# pass settings by name, so that arrays and settings are already separate.
_METHODS = {
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
    "__neg__": negative,
    "__abs__": absolute,
    "__getitem__": lambda x, key: getitem(x, key=key),
    "__lt__": _on_data(_operator.lt),
    "__le__": _on_data(_operator.le),
    "__gt__": _on_data(_operator.gt),
    "__ge__": _on_data(_operator.ge),
    "__eq__": _on_data(_operator.eq),
    "__ne__": _on_data(_operator.ne),
    "__len__": _on_data(len),
    "__bool__": _on_data(bool),
    "__format__": _on_data(format),
    "__array_ufunc__": _array_ufunc,
    "__array_function__": _array_function,
    "_repr_html_": _shown,
    "sum": sum,
    "mean": mean,
    "max": max,
    "min": min,
    "reshape": _one_sequence(reshape, "shape"),
    "transpose": _one_sequence(transpose, "axes"),
}
for _name, _method in _METHODS.items():
    setattr(_Tensor, _name, _method)
