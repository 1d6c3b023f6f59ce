"""Bounds on the output of a network that hold for all parameters and all inputs.

Each operation maps a range of its inputs to a range of its value: σ maps any number into [0, 1],
and an affine map can again reach any number. From the recording of one pass follow bounds for every
entry of the output, low ≤ output ≤ high. They show that a network ends in a sigmoid (as a layer, an
operation, or 1/(1 + np.exp(-z))) before its outputs are mistaken for logits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .. import operations
from ..autodiff import Tensor
from ..backend import Array, to_host

Bounds: TypeAlias = tuple[Array, Array]

# Operations that increase with each input: bounds of the inputs give bounds of the value.
_RISING = {
    *("add", "exp", "expm1", "log", "log1p", "sqrt", "maximum", "minimum", "clip"),
    *("sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus"),
    *("sum", "mean", "max", "min", "logsumexp", "pad"),
    *("reshape", "transpose", "getitem", "take", "concatenate", "stack"),
    *("max_pool2d", "avg_pool2d", "upsample_nearest2d"),
}
# Operations whose values lie between two numbers.
_WITHIN = {
    "softmax": (0.0, 1.0),
    "log_softmax": (-math.inf, 0.0),
    "sin": (-1.0, 1.0),
    "cos": (-1.0, 1.0),
    "square": (0.0, math.inf),
    "absolute": (0.0, math.inf),
    "silu": (-0.2785, math.inf),
    "gelu": (-0.1701, math.inf),
}
_MOVING = {"reshape", "transpose", "getitem", "take", "concatenate", "stack"}


def bounds(out: Any) -> Bounds:
    """The least and the greatest possible value of each entry of ``out``, float64 on the host.

    Tensors without an origin (parameters and inputs) may have any value; arrays and numbers keep
    their own. An unknown operation can reach any number.
    """
    known: dict[Tensor, Bounds] = {}
    reached, stack = {out}, [out]
    while stack:
        tensor = stack.pop()
        if _rule_of(tensor) in _RISING or _rule_of(tensor) in _RULES:
            inputs = {x for x in tensor.inputs if isinstance(x, Tensor)} - reached
            reached |= inputs
            stack.extend(inputs)
    for tensor in sorted(reached, key=lambda tensor: tensor.birth):
        given = [
            known.get(x) or _anything(x) if isinstance(x, Tensor) else _as_it_is(x)
            for x in tensor.inputs
        ]
        known[tensor] = _bounds_of(tensor, given)
    return known[out]


def confined(out: Any) -> tuple[float, float] | None:
    """The range of ``out`` if it excludes most numbers of one sign, else ``None``.

    That is the case if no value below −1, or none above 1, can be reached. A logit a stands for
    p = σ(a), and then no p below 0.26, or none above 0.74, could be expressed.
    """
    least, greatest = _extremes(out)
    return (least, greatest) if least >= -1 or greatest <= 1 else None


def wide(log_var: Any) -> float | None:
    """The least of log variances that vary but cannot fall below −1; else ``None``."""
    least, greatest = _extremes(log_var)
    return least if -1 <= least < greatest else None


def last_operation(out: Any) -> str:
    """The name of the operation that computed ``out``, ignoring moves and selections of entries."""
    while _name(out) in _MOVING:
        moved = [x for x in out.inputs if isinstance(x, Tensor)]
        if len({_name(x) for x in moved}) > 1:
            break
        out = moved[0]
    return _name(out)


def _extremes(out: Any) -> tuple[float, float]:
    low, high = bounds(out)
    return float(low.min()), float(high.max())


def _name(tensor: Any) -> str:
    return getattr(tensor.operation, "__name__", "nothing")


def _rule_of(tensor: Any) -> str:
    """The name of the operation, if it belongs to this library."""
    name = _name(tensor)
    return name if getattr(operations, name, None) is tensor.operation else "another"


def _anything(x: Tensor) -> Bounds:
    high = np.full(x.shape, math.inf)
    return -high, high


def _as_it_is(x: Any) -> Bounds:
    x = to_host(x)
    return x, x


def _bounds_of(tensor: Tensor, given: list[Bounds]) -> Bounds:
    """Return bounds of a value from the bounds of its inputs."""
    name, (low, high) = _rule_of(tensor), _anything(tensor)
    if name in _WITHIN:
        least, greatest = _WITHIN[name]
        return np.full_like(low, least), np.full_like(high, greatest)
    with np.errstate(all="ignore"):
        if name in _RISING:
            lows, highs = zip(*given, strict=True)
            rule: Any = tensor.operation.rule
            lowest = rule(*lows, **tensor.settings)[0]
            highest = rule(*highs, **tensor.settings)[0]
        elif name in _RULES:
            lowest, highest = _RULES[name](*given)
        else:
            return low, high
    # ∞ − ∞ may be any number; adding zeros broadcasts a smaller shape.
    return (
        np.where(np.isnan(lowest), low, lowest) + np.zeros_like(low),
        np.where(np.isnan(highest), high, highest) + np.zeros_like(high),
    )


def _negative(x: Bounds) -> Bounds:
    return -x[1], -x[0]


def _subtract(x: Bounds, y: Bounds) -> Bounds:
    return x[0] - y[1], x[1] - y[0]


def _multiply(x: Bounds, y: Bounds) -> Bounds:
    products = [np.asarray(a * b) for a in x for b in y]
    # Zero times any number, however large, is zero.
    products = [np.where(np.isnan(p), np.zeros_like(p), p) for p in products]
    return functools.reduce(np.minimum, products), functools.reduce(np.maximum, products)


def _divide(x: Bounds, y: Bounds) -> Bounds:
    low, high = y
    one_sign = (low >= 0) | (high < 0)
    reciprocal = (
        np.where(one_sign, 1 / np.where(one_sign, high, 1), -math.inf),
        np.where(one_sign, 1 / np.where(one_sign, low, 1), math.inf),
    )
    return _multiply(x, reciprocal)


def _power(x: Bounds, y: Bounds) -> Bounds:
    """A power of a number ≥ 0 is ≥ 0, and so is an even power of any number."""
    even = (y[0] == y[1]) & (y[0] % 2 == 0)
    return np.where((x[0] >= 0) | even, 0.0, -math.inf), np.asarray(math.inf)


def _where(condition: Bounds, x: Bounds, y: Bounds) -> Bounds:
    return np.minimum(x[0], y[0]), np.maximum(x[1], y[1])


_RULES: dict[str, Callable[..., Bounds]] = {
    "negative": _negative,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
    "where": _where,
}
