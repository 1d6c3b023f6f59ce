"""Reverse-mode differentiation: one sweep of δ = ∂C/∂(value) from a cost back to its origins.

There are three ideas. An operation computes a value together with one *delta equation* per input:
equation k maps δ = ∂C/∂(value) to (∂value/∂inputₖ)ᵀ δ, its share of ∂C/∂(inputₖ). A tensor
remembers its operation, its inputs and their equations. The gradient is one sweep that visits each
tensor after all its consumers, and adds up the shares. Applied to whole layers, these are the
equations of the notes:

    δˡ = (δˡ⁺¹ Wˡ⁺¹) ∘ σ′(zˡ),    ∂C/∂W = δᵀ a,    ∂C/∂b = Σ δ.

Derivatives are of first order: equations work on plain arrays, and are not recorded themselves.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

from .backend import Array, RecordedError, device_of, plain, to_host

Equation: TypeAlias = Callable[[Array], Array]
Rule: TypeAlias = tuple[Array, Sequence["Equation | None"]]
_births = itertools.count()
_NO_ORIGIN: Any = (None, (), (), {})


class Operation(Protocol):
    """The result of ``differentiable`` for a rule: arrays give an array, tensors a tensor."""

    rule: Callable[..., Rule]

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """The value of the rule, recorded if any argument is a tensor."""


def _bound_later(*_: Any) -> Any:
    raise RuntimeError("the operators of a Tensor are in scratchgen.operations: import that")


class Tensor:
    """An array of real numbers that remembers its origin: operation, inputs, equations, settings.

    ``Tensor(data)`` is itself an origin, made by no operation. It shares the memory of ``data``;
    numbers, lists and integers become float64. Python's operators, the methods of arrays and
    NumPy's functions of a tensor are operations. Comparisons return arrays, and ``.data`` holds the
    numbers.
    """

    __slots__ = ("__weakref__", "birth", "data", "equations", "inputs", "operation", "settings")
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _bound_later
    __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __neg__ = _bound_later
    __abs__ = __getitem__ = __iter__ = __lt__ = __le__ = __gt__ = __ge__ = _bound_later
    sum = mean = max = min = reshape = transpose = _bound_later

    def __init__(self, data: Any, *origin: Any) -> None:
        if type(data) is not np.ndarray or data.dtype.kind != "f":
            data = _real(data)
        self.data, self.birth = data, next(_births)
        self.operation, self.inputs, self.equations, self.settings = origin or _NO_ORIGIN

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    T = property(lambda self: self.transpose())

    def changed(self) -> None:
        """Mark ``data`` as changed in place: costs recorded before are no longer valid."""
        self.birth = next(_births)

    def __repr__(self) -> str:
        return f"Tensor({self.data!r}, from {getattr(self.operation, '__name__', 'nothing')})"


class Written(Tensor):
    """A tensor that was written into: what it was before, with its origin, is ``inputs[0]``."""

    __slots__ = ()

    def as_of(self, birth: int) -> Tensor:
        """What it was when another tensor was born."""
        before: Tensor = self
        while type(before) is Written and before.birth > birth:
            before = before.inputs[0]
        return before


def differentiable(rule: Callable[..., Rule]) -> Operation:
    """Make an operation of a rule: ``rule(*arrays, **settings) -> (value, equations)``.

    Positional parameters of the rule are arrays, keyword-only parameters are settings. Callers of
    the operation may give either by position or by name, and ``*arrays`` as one sequence. There is
    one equation for each array, or ``None`` for an array of labels or indices. Given only plain
    arrays, the operation returns a plain array and records nothing. ``operation.rule`` is the rule.
    """
    signature = inspect.signature(rule)
    parameters = signature.parameters.values()
    names = {p.name: p.default for p in parameters if p.kind is not p.KEYWORD_ONLY}
    sequence = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    with suppress(ValueError):  # a required setting after an optional one is given by name only
        by_position = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in parameters]
        signature = inspect.Signature(by_position, return_annotation="Tensor | Array")

    @functools.wraps(rule)
    def operation(*arguments: Any, **settings: Any) -> Any:
        if sequence or len(arguments) != len(names):
            settings = signature.bind(*arguments, **settings).arguments
            arrays = [settings.pop(name, default) for name, default in names.items()]
            arguments = tuple(arrays[0] if sequence else arrays)
        try:
            arrays = [x.data if isinstance(x, Tensor) else plain(x) for x in arguments]
        except RecordedError:  # an array that tensors were written into is the tensor of them all
            tensors = [getattr(x, "tensor", x) for x in arguments]
            return operation(*([tensors] if sequence else tensors), **settings)
        value, equations = rule(*arrays, **settings)
        if len(equations) != len(arguments):
            counts = f"{len(arguments)} arrays but {len(equations)} equations"
            raise TypeError(f"{rule.__name__}: {counts}; give one each, or None for no derivative")
        for x in arguments:
            if isinstance(x, Tensor):
                return Tensor(value, operation, arguments, equations, settings)
        return value

    operation.__dict__.update(rule=rule, __signature__=signature)
    return cast(Operation, operation)


def gradient(
    cost: Tensor, wrt: Sequence[Tensor], delta: Array | None = None, *, unused: str = "raise"
) -> list[Array]:
    """∂C/∂x for each tensor x of ``wrt``, in that order, as arrays that share no memory.

    ``cost`` is a scalar; a tensor of any other shape needs ``delta`` = ∂C/∂(that tensor). No
    gradient is accumulated in a tensor: a second call returns the same result. For a tensor on
    which the cost does not depend, it raises ``ValueError``, or returns zeros with
    ``unused="zeros"``.
    """
    if isinstance(wrt, Tensor):
        raise TypeError("a gradient is with respect to a list of Tensors: write [x] for x")
    wanted, gradients, given = set(wrt), [], {id(delta)}
    deltas = {x: finished for x, finished in backward_sweep(cost, wrt, delta) if x in wanted}
    for k, x in enumerate(wrt):
        if x not in deltas and unused != "zeros":
            what = f"the cost does not depend on wrt[{k}], of shape {x.shape}"
            raise ValueError(f"{what}: leave it out, or ask for zeros with unused='zeros'")
        result = deltas[x] if x in deltas else np.zeros_like(x.data)
        shared = result.base is not None or id(result) in given or isinstance(result, np.generic)
        gradients.append(np.copy(result) if shared else result)
        given.add(id(result))
    return gradients


def backward_sweep(
    cost: Tensor, wrt: Sequence[Tensor] | None = None, delta: Array | None = None
) -> Iterator[tuple[Tensor, Array]]:
    """Yield ``(tensor, δ)``, each δ = ∂C/∂tensor finished, from the cost back to its origins.

    *Why in this order:* δ of a tensor is the sum of the shares from all its consumers, so it must
    wait for every one of them. Consumers are born after their inputs, so the sweep visits tensors
    from the latest birth to the earliest. With ``wrt``, it visits only tensors that lead to
    ``wrt``, and calls only their equations. The arrays may be shared: do not change them.
    """
    if not all(isinstance(x, Tensor) for x in (cost, *(wrt or ()))):
        kinds = [type(x).__name__ for x in (cost, *(wrt or ()))]
        raise TypeError(f"a gradient is of a Tensor with respect to Tensors, got {kinds}")
    if cost.shape != (() if delta is None else delta.shape):
        hint = "take its .mean() or .sum(), or give delta, its own derivative, in its shape"
        raise ValueError(f"a gradient is of one number, the cost has shape {cost.shape}: {hint}")
    by_birth = ancestry(cost)
    leads = set(by_birth if wrt is None else wrt)
    for tensor in by_birth:
        for x in tensor.inputs:
            if isinstance(x, Tensor) and x.birth > tensor.birth:
                name = tensor.operation.__name__
                raise ValueError(f"an input of {name} was changed after its use: record anew")
            if isinstance(x, Tensor) and x in leads:
                leads.add(tensor)
    deltas = {cost: np.ones_like(cost.data) if delta is None else plain(delta).astype(cost.dtype)}
    for tensor in reversed(by_birth):
        if tensor in leads:
            finished = deltas.pop(tensor)
            yield tensor, finished
            for k, x in enumerate(tensor.inputs):
                if isinstance(x, Tensor) and x in leads:
                    share = share_of(tensor, k, finished)
                    deltas[x] = deltas[x] + share if x in deltas else share


def ancestry(tensor: Tensor, steps: float = math.inf) -> list[Tensor]:
    """The tensors from which ``tensor`` was computed in at most ``steps`` steps, and itself.

    They are ordered by birth, the oldest first. Inputs are born before values computed from them,
    so that each tensor precedes its consumers. A tensor that was written into later counts with the
    value that it had when it was used.
    """
    away, found = {tensor: 0}, [tensor]
    for y in found:
        if away[y] < steps:
            for x in y.inputs:
                if type(x) is Written and x.birth > y.birth:
                    written, x = x, x.as_of(y.birth)
                    y.inputs = tuple(x if z is written else z for z in y.inputs)
                if isinstance(x, Tensor) and x not in away:
                    away[x] = away[y] + 1
                    found.append(x)
    return sorted(found, key=operator.attrgetter("birth"))


def share_of(tensor: Tensor, k: int, delta: Array) -> Array:
    """The share of ``delta`` for input k: its equation, then broadcasting and promotion undone."""
    x, equation, name = tensor.inputs[k].data, tensor.equations[k], tensor.operation.__name__
    if equation is None:
        raise ValueError(f"{name}: no derivative with respect to input {k}")
    share = equation(delta)
    if not hasattr(share, "dtype") or share.dtype != delta.dtype:
        came = getattr(share, "dtype", type(share))
        raise TypeError(f"{name}: equation {k} returned {came} for a δ of {delta.dtype}")
    if share.shape != x.shape:
        extra = share.ndim - x.ndim
        repeated = [i for i in range(share.ndim) if i < extra or x.shape[i - extra] == 1]
        summed = share.sum(axis=tuple(repeated), keepdims=True)
        if extra < 0 or summed.shape[extra:] != x.shape:
            raise ValueError(f"{name}: equation {k} returned shape {share.shape}, not {x.shape}")
        share = summed.reshape(x.shape)
    return share if share.dtype == x.dtype else share.astype(x.dtype)


def _real(data: Any) -> Array:
    if isinstance(data, Tensor):
        raise TypeError("a Tensor of a Tensor: derivatives here are of first order only")
    array: Array = to_host(data) if device_of(data) == "cpu" else data
    if array.dtype == object and any(isinstance(x, Tensor) for x in array.flat):
        raise TypeError("an array of Tensors is joined into one by np.stack")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a Tensor holds real numbers, got {array.dtype}: .real or .astype(float)?")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
