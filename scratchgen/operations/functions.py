"""Functions of arrays, recorded as they are written: ``grad`` and ``value_and_grad``.

A function that is called on tensors records itself, but for habits that NumPy gives nobody a say
in: ``z = np.zeros(n)`` with ``z[i] = …`` in a loop, ``np.array([a, b])`` of results, ``math.exp``.
While a function is recorded, NumPy's makers of arrays therefore answer the user's code with arrays
that tensors may be written into, and Python's ``math`` takes tensors.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..autodiff import Tensor, gradient
from ..backend import Array
from .activations import log_softmax, softmax
from .arithmetic import add, divide, log
from .compositions import column_stack, concatenated, copied, ravel
from .lifting import NotRecordedError, array_of, is_library, joined
from .operators import FUNCTIONS, METHODS, SPECIAL, called_function, called_ufunc
from .shaping import logsumexp, reshape, setitem


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
        with recording(f):
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
    changes = True
    """Rules keep a copy, since what they keep must not change when this is written into."""

    def __setitem__(self, key: Any, value: Any) -> None:
        value = joined(value)
        if hasattr(self, "tensor"):
            self.tensor = setitem(self.tensor, array_of(value), key=key)
        elif not isinstance(value, Tensor):
            super().__setitem__(key, value)
        elif isinstance(self.base, Fresh):
            what = "a Tensor is written into a part of an array"
            raise NotRecordedError(what, "write z[i, j] = … for z[i][j] = …")
        else:
            self.tensor = setitem(self, value, key=key)
            self.fill(np.nan)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **settings: Any
    ) -> Any:
        held = [joined(x) for x in inputs]
        if any(isinstance(x, Tensor) for x in held):
            value = called_ufunc(self, ufunc, method, *held, **settings)
        else:
            value = getattr(ufunc, method)(*map(_numbers, inputs), **settings)
        if not out:
            return value
        out[0][...] = value
        return out[0]

    def __array_function__(self, function: Any, types: Any, inputs: Any, settings: Any) -> Any:
        if any(isinstance(x, Tensor) for x in _all([*inputs, *settings.values()])):
            held = [joined(x) if isinstance(x, np.ndarray) else x for x in inputs]
            return called_function(self, function, types, held, settings)
        plain = {name: _numbers(x) for name, x in settings.items()}
        return function(*map(_numbers, inputs), **plain)


def _all(x: Any) -> Iterator[Any]:
    """What there is in lists of lists, arrays that hold tensors as these."""
    for part in x:
        if isinstance(part, (list, tuple)):
            yield from _all(part)
        else:
            yield joined(part)


def _numbers(x: Any) -> Any:
    """The plain array, also in lists of lists."""
    if isinstance(x, Fresh):
        return x.view(np.ndarray)
    return type(x)(map(_numbers, x)) if type(x) in (list, tuple) else x


def _method(name: str) -> Callable[..., Any]:
    of_array = getattr(np.ndarray, name)

    def method(self: Fresh, *inputs: Any, **settings: Any) -> Any:
        if hasattr(self, "tensor"):
            return getattr(self.tensor, name)(*inputs, **settings)
        return of_array(self, *inputs, **settings)

    return method


def _property(name: str) -> property:
    of_array = getattr(np.ndarray, name)
    return property(
        lambda self: (
            getattr(self.tensor, name) if hasattr(self, "tensor") else of_array.__get__(self)
        )
    )


for _name in {*METHODS} & {*vars(np.ndarray)}:
    # Operators are ufuncs already; the length is that of any array.
    if not _name.startswith("__"):
        setattr(Fresh, _name, _method(_name))
for _name in ("__getitem__", "__iter__", "__float__", "__int__", "__bool__", "__format__"):
    setattr(Fresh, _name, _method(_name))
for _name in ("T", "real", "imag"):
    setattr(Fresh, _name, _property(_name))


def _maker(make: Callable[..., Array]) -> Callable[..., Any]:
    """``np.zeros``, and what else makes an array for the one who asks."""

    @functools.wraps(make)
    def maker(*arguments: Any, **settings: Any) -> Any:
        if not getattr(_here, "recordings", 0):
            return make(*arguments, **settings)
        if arguments and make in (_np_array, _np_copy):
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


def _either(function: Callable[..., Any], of_tensors: Callable[..., Any]) -> Callable[..., Any]:
    """The function of numbers or arrays, and what it is of tensors."""

    @functools.wraps(function)
    def either(*inputs: Any, **settings: Any) -> Any:
        held = [joined(x) for x in inputs]
        if any(isinstance(x, Tensor) for x in held):
            return of_tensors(*held, **settings)
        return function(*inputs, **settings)

    return either


def _logsumexp(x: Any, axis: Any = None, b: Any = None, **settings: Any) -> Any:
    shifted = x if b is None else add(x, log(array_of(b)))
    return logsumexp(shifted, axis=axis, **settings)


def _softmax(x: Any, axis: Any = None) -> Any:
    return reshape(softmax(ravel(x)), shape=x.shape) if axis is None else softmax(x, axis=axis)


def _log_softmax(x: Any, axis: Any = None) -> Any:
    return log(_softmax(x)) if axis is None else log_softmax(x, axis=axis)


_np_array, _np_copy = np.array, np.copy
_MAKERS = """
    array copy zeros ones empty full eye identity zeros_like ones_like empty_like full_like
"""
_AS_IN_NUMPY = "exp expm1 log2 log10 log1p sqrt sin cos tan sinh cosh tanh hypot fabs floor ceil"
_OF_NUMPY: dict[str, Any] = {
    **{name: _maker(getattr(np, name)) for name in _MAKERS.split()},
    **{name: _passer(getattr(np, name)) for name in ("asarray", "asanyarray")},
    "c_": _Joiner(np.c_, column_stack),
    "r_": _Joiner(np.r_, concatenated),
}
_OF_MATH: dict[str, Any] = {
    name: _either(getattr(math, name), of_tensors)
    for name, of_tensors in {
        **{name: FUNCTIONS[getattr(np, name)] for name in _AS_IN_NUMPY.split()},
        **{f"a{name}": FUNCTIONS[getattr(np, f"arc{name}")] for name in ("sin", "cos", "tan")},
        **{f"a{name}": FUNCTIONS[getattr(np, f"arc{name}")] for name in ("sinh", "cosh", "tanh")},
        "atan2": FUNCTIONS[np.arctan2],
        "log": lambda x, base=None: log(x) if base is None else divide(log(x), log(base)),
        "pow": FUNCTIONS[np.power],
        "erf": SPECIAL["erf"],
        "erfc": SPECIAL["erfc"],
        "gamma": SPECIAL["gamma"],
        "lgamma": SPECIAL["gammaln"],
    }.items()
}
_OF_SCIPY = {"logsumexp": _logsumexp, "softmax": _softmax, "log_softmax": _log_softmax}


class _Answers(NamedTuple):
    """The functions of a module that have an answer for tensors, by name."""

    names: dict[str, Any]
    """The namespace of the module."""
    originals: dict[str, Any]
    answers: dict[str, Any]


def _answers_in(module: types.ModuleType, answers: dict[str, Any]) -> _Answers:
    return _Answers(vars(module), {name: getattr(module, name) for name in answers}, answers)


_ALWAYS = [_answers_in(np, _OF_NUMPY), _answers_in(math, _OF_MATH)]


@functools.lru_cache
def _all_answers(scipy: types.ModuleType | None) -> list[_Answers]:
    """The answers in NumPy, in ``math`` and, if SciPy is loaded, in ``scipy.special``."""
    if scipy is None:
        return _ALWAYS
    functions = {name: getattr(scipy, name) for name in _OF_SCIPY}
    of_scipy = {name: _either(f, _OF_SCIPY[name]) for name, f in functions.items()}
    return [*_ALWAYS, _answers_in(scipy, of_scipy)]


def _namespaces(f: Any) -> Iterator[dict[str, Any]]:
    """Yield the globals of f; if f is part of this library, those of the functions it calls."""
    f = inspect.unwrap(f)
    f = getattr(f, "func", getattr(f, "__func__", f))
    if not isinstance(f, types.FunctionType):
        f = vars(type(f)).get("__call__")
    if not isinstance(f, types.FunctionType):
        return
    if not is_library(f.__code__.co_filename):
        yield f.__globals__
        return
    for cell in f.__closure__ or ():
        if callable(cell.cell_contents):
            yield from _namespaces(cell.cell_contents)


class _Replaced:
    """The names of one namespace that answer tensors for now, and how many recordings need them."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names, self.users = names, 0
        self.originals: dict[str, Any] = {}


_lock = threading.Lock()
_replaced: dict[int, _Replaced] = {}
"""The namespaces with replaced names, by identity."""
_here = threading.local()
"""``recordings``: how many functions this thread is recording."""


def _replace(names: dict[str, Any], answers: _Answers) -> int:
    """Put the answers in the place of the originals in a namespace; return its key."""
    key = id(names)
    space = _replaced.setdefault(key, _Replaced(names))
    space.users += 1
    for name in answers.originals.keys() & names.keys():
        if names[name] is answers.originals[name]:
            space.originals[name] = answers.originals[name]
            names[name] = answers.answers[name]
    return key


def _restore(key: int) -> None:
    """Put the originals back once no recording needs the answers any more."""
    space = _replaced[key]
    space.users -= 1
    if not space.users:
        space.names.update(space.originals)
        del _replaced[key]


@contextmanager
def recording(f: Callable[..., Any]) -> Iterator[None]:
    """While f is called on tensors, let it write them into the arrays that it makes.

    Functions of NumPy, ``math`` and SciPy are replaced by their names meanwhile. For a thread that
    records nothing they return what they always return, and several threads may record at once.
    Where NumPy turns a refusal into an error of its own, the refusal is raised, which names the
    line of the user's source.
    """
    with _lock:
        held = []
        for answers in _all_answers(sys.modules.get("scipy.special")):
            held.append(_replace(answers.names, answers))
            # The globals of f have the functions that it imported by name: from numpy import zeros.
            held += [_replace(names, answers) for names in _namespaces(f)]
    _here.recordings = getattr(_here, "recordings", 0) + 1
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
        _here.recordings -= 1
        with _lock:
            for key in held:
                _restore(key)
