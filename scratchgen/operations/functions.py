"""Functions of arrays, recorded as they are written: ``grad`` and ``value_and_grad``.

A function that is called on tensors records itself, but for two habits that NumPy gives nobody a
say in: ``z = np.zeros(n)`` with ``z[i] = …`` in a loop, and ``np.array([a, b])`` of results. While
a function is recorded, NumPy's makers of arrays therefore answer the user's code with arrays that
tensors may be written into.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autodiff import Tensor, gradient
from ..backend import Array
from .operators import METHODS, NotRecordedError, array_of, copied, is_library, joined
from .operators import column_stack as beside
from .operators import concatenated as behind
from .shaping import setitem


def value_and_grad(f: Callable[..., Any], argnum: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function of arrays that returns ``(f(x, …), ∂f/∂x)`` for a scalar ``f``.

    ``argnum`` says which argument x is; a tuple of numbers gives a tuple of gradients. ``f`` is
    written with Python's operators, NumPy and ``scratchgen.operations``.

    >>> value_and_grad(lambda x, y: x**2 * y, argnum=(0, 1))(3.0, 2.0)
    (array(18.), (array(12.), array(9.)))
    """

    @functools.wraps(f)
    def value_and_gradient(*arguments: Any, **settings: Any) -> tuple[Array, Any]:
        inputs, chosen = list(arguments), (argnum,) if isinstance(argnum, int) else argnum
        for k in chosen:
            inputs[k] = Tensor(inputs[k])
        with recording():
            cost = joined(f(*inputs, **settings))
        gradients = gradient(cost, [inputs[k] for k in chosen])
        return cost.data, gradients[0] if isinstance(argnum, int) else tuple(gradients)

    return value_and_gradient


def grad(f: Callable[..., Any], argnum: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function of arrays that returns ∂f/∂x: :func:`value_and_grad` without the value.

    >>> grad(lambda x: x**2 + 3 * x)(2.0)
    array(7.)

    A result that grows in a loop is recorded too.

    >>> def growth(rate):
    ...     n = np.zeros(3)
    ...     n[0] = 1.0
    ...     for t in range(2):
    ...         n[t + 1] = rate * n[t]
    ...     return n[2]
    >>> grad(growth)(3.0)
    array(6.)
    """
    both = value_and_grad(f, argnum)
    return functools.wraps(f)(lambda *arguments, **settings: both(*arguments, **settings)[1])


class Fresh(np.ndarray):
    """An array that a function made for itself: once a tensor is written into it, it is recorded.

    From then on ``tensor`` is what it holds, and its own memory is NaN.
    """

    tensor: Tensor

    def __setitem__(self, key: Any, value: Any) -> None:
        value = joined(value)
        if hasattr(self, "tensor"):
            self.tensor = setitem(self.tensor, array_of(value), key=key)
        elif isinstance(value, Tensor):
            tensor = setitem(np.array(self), value, key=key)
            self.fill(np.nan)
            self.tensor = tensor
        else:
            super().__setitem__(key, value)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **settings: Any
    ) -> Any:
        value = getattr(ufunc, method)(*map(_held, inputs), **settings)
        if not out:
            return value
        out[0][...] = value
        return out[0]

    def __array_function__(self, function: Any, _: Any, inputs: Any, settings: Any) -> Any:
        return function(*map(_held, inputs), **{k: _held(x) for k, x in settings.items()})

    @property
    def T(self) -> Any:
        return _held(self).T


def _held(x: Any) -> Any:
    """What an array holds: the tensor of all that was written into it, or plain numbers."""
    if isinstance(x, Fresh):
        return x.tensor if hasattr(x, "tensor") else x.view(np.ndarray)
    return type(x)(map(_held, x)) if type(x) in (list, tuple) else x


def _method(name: str) -> Callable[..., Any]:
    return lambda self, *inputs, **settings: getattr(_held(self), name)(*inputs, **settings)


for _name in {*METHODS, "fill"} & {*vars(np.ndarray)} - {*vars(Fresh), "fill"}:
    if not _name.startswith("__") or _name in ("__getitem__", "__iter__", "__float__"):
        setattr(Fresh, _name, _method(_name))


def _maker(make: Callable[..., Array]) -> Callable[..., Any]:
    """``np.zeros``, and what else makes an array for the one who asks."""

    @functools.wraps(make)
    def maker(*arguments: Any, **settings: Any) -> Any:
        if arguments and make in (np_array, np_copy):
            held = joined(arguments[0])
            if isinstance(held, Tensor):
                return copied(held, *arguments[1:2], **settings)
        array = make(*arguments, **settings)
        asked_by_library = is_library(sys._getframe(1).f_code.co_filename)
        plain = type(array) is np.ndarray and array.dtype.kind == "f"
        return array.view(Fresh) if plain and not asked_by_library else array

    return maker


def _passer(convert: Callable[..., Array]) -> Callable[..., Any]:
    """``np.asarray``, and what else hands on what is an array already."""

    @functools.wraps(convert)
    def passer(x: Any, *arguments: Any, **settings: Any) -> Any:
        held = joined(x)
        return held if isinstance(held, Tensor) else convert(x, *arguments, **settings)

    return passer


class _Joiner:
    """``np.c_`` and ``np.r_``."""

    def __init__(self, joiner: Any, join: Callable[..., Any]) -> None:
        self.joiner, self.join = joiner, join

    def __getitem__(self, key: Any) -> Any:
        parts = [joined(part) for part in (key if isinstance(key, tuple) else (key,))]
        if not any(isinstance(part, Tensor) for part in parts):
            return self.joiner[key]
        arrays = [np.r_[part] if isinstance(part, slice) else array_of(part) for part in parts]
        return self.join([x if x.ndim else x[None] for x in arrays])


np_array, np_copy = np.array, np.copy
_MAKERS = """
    array copy zeros ones empty full eye identity zeros_like ones_like empty_like full_like
"""
_ANSWERS: dict[str, Any] = {
    **{name: _maker(getattr(np, name)) for name in _MAKERS.split()},
    **{name: _passer(getattr(np, name)) for name in ("asarray", "asanyarray")},
    "c_": _Joiner(np.c_, beside),
    "r_": _Joiner(np.r_, behind),
}
_ORIGINALS = {name: getattr(np, name) for name in _ANSWERS}


@contextmanager
def recording() -> Iterator[None]:
    """While a function is called on tensors: let it write them into arrays that it makes.

    An error that NumPy makes of a refusal is raised as the refusal, which names the user's line.
    """
    first = np.zeros is _ORIGINALS["zeros"]
    if first:
        vars(np).update(_ANSWERS)
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, NotRecordedError):
            cause = cause.__cause__ or cause.__context__
        if cause is None or cause is error:
            raise
        raise cause from None
    finally:
        if first:
            vars(np).update(_ORIGINALS)
