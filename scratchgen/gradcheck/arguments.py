"""Arguments and derivatives as people hold them, and the arrays of real numbers within.

A check moves real arrays. People hold them as numbers, lists, dictionaries, nested lists, sparse
matrices, data frames, tensors of PyTorch, complex arrays. Each of these is a :class:`Form`: the
arrays in it with their names, the way back, which puts other numbers in their places, and the
reading of a derivative that is held likewise. :class:`Held` are all arguments of one call.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..autodiff import Tensor
from ..backend import device_of, to_host

Reading: TypeAlias = Callable[[Any], dict[int, Any]]
"""The derivatives in what ``gradient`` returns, by the position of their array."""

_REAL = {np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.float16)}
LARGEST_SPARSE = 1_000_000  # a larger sparse matrix is a constant, not an array of its entries
_WRITTEN = r"(?:[dDg∂∇]_?|grad_?|nabla_?|delta_?|[d∂]\w/[d∂]|d[A-Z]_?d_?)?{}(?:_?grad|_bar)?"
"""How people write the name of a derivative: dW, grad_W, W_grad, dL/dW, dL_dW, ∂C/∂W."""


class MisfitError(ValueError):
    """A derivative is not held as its argument is."""


class Constant:
    """An argument that holds no numbers to move: text, a function, an object. It is not copied."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __deepcopy__(self, _: Any) -> Constant:
        return self


class Form(NamedTuple):
    """How one argument is held."""

    names: list[str]
    arrays: list[Any]
    build: Callable[[Sequence[Any]], Any]
    """The argument with these arrays in it."""
    read: Callable[[Any], list[Any]]
    """A derivative of this form: an array for each of ``arrays``, or ``None``."""
    complex: tuple[int, ...] = ()
    """Where the real part of a complex array is among ``arrays``; its imaginary part is next."""
    of_torch: bool = False
    """Whether tensors of PyTorch are among what is held."""


class Held:
    """The arguments of a call, by position and by keyword, and all the arrays in them."""

    def __init__(self, names: Sequence[str], values: Sequence[Any], keywords: Mapping[str, Any]):
        self.titles = [*names, *keywords]
        self.keywords = [*keywords]
        arguments = [*zip(self.titles, [*values, *keywords.values()], strict=True)]
        self.forms = [
            _constant(x, name) if i and _is_shape(x) else form_of(x, name, inner=False)
            for i, (name, x) in enumerate(arguments)
        ]
        if len({*self.names}) < len(self.names):  # two dictionaries with a key of the same name
            self.forms = [form_of(x, name) for name, x in arguments]
        self.of_torch = any(form.of_torch for form in self.forms)
        self.first = [0, *itertools.accumulate(len(form.arrays) for form in self.forms)]

    @property
    def names(self) -> list[str]:
        """The names of all arrays."""
        return [name for form in self.forms for name in form.names]

    @property
    def arrays(self) -> list[Any]:
        """All arrays, as they came."""
        return [x for form in self.forms for x in form.arrays]

    @property
    def complex(self) -> list[int]:
        """The positions of real parts; the position of each imaginary part is the next."""
        return [self.first[i] + k for i, form in enumerate(self.forms) for k in form.complex]

    def call(self, function: Callable[..., Any], arrays: Sequence[Any]) -> Any:
        """Call a function of the arguments, with these arrays in them."""
        built = [
            form.build(arrays[start : start + len(form.arrays)])
            for form, start in zip(self.forms, self.first, strict=False)
        ]
        by_position = len(built) - len(self.keywords)
        named = dict(zip(self.keywords, built[by_position:], strict=True))
        try:
            return function(*built[:by_position], **named)
        except TypeError as error:
            if self.of_torch and any(isinstance(x, Tensor) for x in arrays):
                raise TypeError("the functions of PyTorch are not recorded") from error
            raise

    def wanted(self, wrt: Any) -> list[int]:
        """The arguments that ``wrt`` names, by name or by position; all without it."""
        if wrt is None:
            return [*range(len(self.forms))]
        found = []
        for which in [wrt] if isinstance(wrt, (str, int)) else [*wrt]:
            if which in self.titles:
                found.append(self.titles.index(which))
            elif isinstance(which, int) and -len(self.forms) <= which < len(self.forms):
                found.append(which % len(self.forms))
            else:
                raise ValueError(
                    f"wrt names the arguments that are differentiated, got {which!r}: it is one of "
                    f"{self.titles}, or a position from 0 to {len(self.forms) - 1}"
                )
        return found

    def reading(self, answer: Any, wanted: Sequence[int], cost: float) -> Reading:
        """How to read what ``gradient`` returned, for a cost of this value.

        It is the first way of :meth:`_ways` in which all shapes fit. If none fits, a shape is wrong
        in the way in which most shapes fit, or in the documented one of these.

        Raises ``ValueError`` if there is no way at all.
        """
        documented: list[tuple[int, int, Reading]] = []
        why = ""
        for rank, way in self._ways(answer, wanted, cost):
            try:
                found = way(answer)
            except MisfitError as misfit:
                why = str(misfit)
                continue
            fitting = sum(_fits(g, self.arrays[k]) for k, g in found.items())
            if found and fitting == len(found):
                return way
            if rank:
                documented.append((-fitting, rank, way))
        if documented:
            return min(documented, key=lambda ranked: ranked[:2])[2]
        if isinstance(answer, Mapping):
            names = [name for i in wanted for name in self.forms[i].names]
            raise ValueError(
                f"gradient gives {[*answer]}, but the inputs are {names}: {why}. Its keys are "
                "these names, or dW, grad_W … for W"
            )
        names = [self.titles[i] for i in wanted]
        if isinstance(answer, (list, tuple)) or not names:
            count = len(answer) if isinstance(answer, (list, tuple)) else 1
            raise ValueError(
                f"gradient gives {count} derivatives for {len(names)} inputs, {names}: one is "
                "expected for each, in this order"
            )
        raise ValueError(f"what gradient returned is no derivative by {names[0]}: {why}")

    def _ways(
        self, answer: Any, wanted: Sequence[int], cost: float
    ) -> Iterator[tuple[int, Reading]]:
        """All ways to read ``answer``, each with its rank among those whose shapes do not fit.

        A way of rank 0 holds only if its shapes fit.
        """
        if not wanted:
            return
        if isinstance(answer, Mapping):
            yield 1, lambda answer: self._by_name(answer, wanted)
            yield 2, lambda answer: self._in_order([answer], wanted)
            return
        several = isinstance(answer, (list, tuple))
        if several and len(answer) <= len(wanted):
            yield 3, lambda answer: self._in_order(answer, wanted)
        numbers = several and is_numbers(answer) and not self._is_number(wanted[0])
        a_list = several and not numbers and len(self.forms[wanted[0]].arrays) == 1
        yield 0 if a_list else 2, lambda answer: self._in_order([answer], wanted)
        for others in self._without_data(answer, wanted):
            yield 0, lambda answer, others=others: self._in_order(answer, others)  # type: ignore[misc]
            yield 0, lambda answer, others=others: self._in_order([answer], others)  # type: ignore[misc]
        if not several or len(answer) < 2:
            return
        for i, item in enumerate(answer):
            if not _is_number_of(item, cost):
                continue
            left = [*answer[:i], *answer[i + 1 :]]
            rest = left[0] if len(left) == 1 else left
            for rank, way in self._ways(rest, wanted, cost):

                def without(answer: Any, i: int = i, way: Reading = way) -> dict[int, Any]:
                    left = [*answer[:i], *answer[i + 1 :]]
                    return way(left[0] if len(left) == 1 else left)

                yield min(rank, 1), without
        for i, item in enumerate(answer):  # (gradients, cache)
            if isinstance(item, (Mapping, list, tuple)) and not numbers:
                yield (
                    0,
                    lambda answer, i=i: (  # type: ignore[misc]
                        self._by_name(answer[i], wanted)
                        if isinstance(answer[i], Mapping)
                        else self._in_order([answer[i]], wanted)
                    ),
                )

    def _is_number(self, i: int) -> bool:
        return all(np.shape(x) == () for x in self.forms[i].arrays)

    def _without_data(self, answer: Any, wanted: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """The arguments that alone can have these derivatives, if data come before or after them.

        One derivative as large as the first argument is rather one of the wrong shape.
        """
        several = isinstance(answer, (list, tuple)) and not is_numbers(answer)
        answers = [*answer] if several else [answer]
        if len(answers) >= len(wanted):
            return
        fitting = []
        for first in range(len(wanted) - len(answers) + 1):
            others = tuple(wanted[first : first + len(answers)])
            try:
                found = self._in_order(answers, others)
            except MisfitError:
                continue
            if len(found) == len(answers) and all(
                _fits(g, self.arrays[k]) for k, g in found.items()
            ):
                fitting.append(others)
        if len(fitting) != 1:
            return
        if not several:
            size = np.size(array_in(answer))
            if size >= sum(np.size(x) for x in self.forms[wanted[0]].arrays) or not np.shape(
                answer
            ):
                return
        yield fitting[0]

    def _in_order(self, answers: Sequence[Any], wanted: Sequence[int]) -> dict[int, Any]:
        return self._placed(dict(zip(wanted, answers, strict=False)))

    def _by_name(self, answer: Mapping[Any, Any], wanted: Sequence[int]) -> dict[int, Any]:
        keys = {i: _key(answer, self.titles[i]) for i in wanted}
        found = {i: answer[key] for i, key in keys.items() if key is not None}
        unknown = [key for key in answer if key not in keys.values()]
        if unknown or not found:
            raise MisfitError(f"{', '.join(map(str, unknown or answer))} is not among them")
        return self._placed(found)

    def _placed(self, answers: Mapping[int, Any]) -> dict[int, Any]:
        """The derivatives by each argument, at the positions of its arrays."""
        return {
            self.first[i] + k: array
            for i, answer in answers.items()
            if answer is not None
            for k, array in enumerate(self.forms[i].read(answer))
            if array is not None
        }


def form_of(x: Any, name: str, *, inner: bool = True) -> Form:
    """How ``x`` is held: the first of these forms that it has."""
    if isinstance(x, Tensor):
        return _leaf(name, x.data, lambda a: a)
    if is_torch(x):
        return _of_torch(x, name)
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        return _of_sparse(x, name)
    if isinstance(x, np.matrix):
        return _leaf(name, np.asarray(x), lambda a: a if isinstance(a, Tensor) else np.asmatrix(a))
    if hasattr(x, "iloc") and hasattr(x, "to_numpy"):
        labels = {axis: getattr(x, axis) for axis in ("index", "columns") if hasattr(x, axis)}
        made = lambda a: a if isinstance(a, Tensor) else type(x)(a, **labels)
        return _leaf(name, x.to_numpy(), made)
    if np.iscomplexobj(x) if is_array(x) else isinstance(x, complex):
        return _of_complex(x, name)
    if is_array(x) and not (isinstance(x, np.ndarray) and x.dtype == object):
        return _leaf(name, x, lambda a: a)
    if inner and _is_shape(x):
        return _constant(x, name)
    if isinstance(x, (list, tuple)) and is_numbers(x):
        return _leaf(name, np.asarray(x), lambda a: a)
    if children := _children(x):
        forms = {key: form_of(y, _title(x, key, name, inner)) for key, y in children.items()}
        return _container(forms, lambda parts: _rebuilt(x, parts))
    if isinstance(x, (int, float, np.generic)) or x is None:
        return _leaf(name, x, lambda a: a)
    return _constant(x, name)


def is_array(x: Any) -> bool:
    """Whether ``x`` is an array of any device."""
    return isinstance(x, np.ndarray) or device_of(x) == "cuda"


def is_torch(x: Any) -> bool:
    """Whether ``x`` is a tensor of PyTorch, which is not imported for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def is_numbers(x: Any) -> bool:
    """Whether ``x`` is a number, or a list of numbers to any depth, all rows of one length."""
    if not isinstance(x, (list, tuple)):
        return isinstance(x, (int, float, complex, np.number, np.bool_))
    if not all(map(is_numbers, x)):
        return False
    return len({len(row) if isinstance(row, (list, tuple)) else -1 for row in x}) <= 1


def _is_shape(x: Any) -> bool:
    """Whether ``x`` is a tuple of integers, as a shape or the sizes of layers."""
    return isinstance(x, tuple) and bool(x) and all(type(n) is int for n in x)


def array_in(x: Any) -> Any:
    """The array in a derivative: an array of any library, a number, or a list of either.

    Raises ``MisfitError`` for everything else.
    """
    if isinstance(x, Tensor):
        return x.data
    if is_torch(x):
        return x.detach().resolve_conj().cpu().numpy()
    if hasattr(x, "toarray"):
        return x.toarray()
    if isinstance(x, np.matrix):
        return np.asarray(x)
    if hasattr(x, "to_numpy"):
        return x.to_numpy()
    if is_array(x) and not (isinstance(x, np.ndarray) and x.dtype == object):
        return x
    if isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.ndim):
        try:
            return np.asarray([array_in(item) for item in x], dtype=None if len(x) else float)
        except ValueError as error:
            raise MisfitError("it is a list of arrays of several shapes") from error
    if is_numbers(x) or hasattr(x, "__array__"):
        return np.asarray(x)
    raise MisfitError(f"an array of numbers was expected, {type(x).__name__} came")


def number_in(value: Any) -> Any:
    """The number in what a cost returns: alone, in an array of one entry, or first of a tuple.

    A tuple is (C, gradient), (C, cache) or (gradients, C). Everything else returns as it is.
    """
    if isinstance(value, tuple) and value:
        alone = [item for item in value if _size(item) == 1]
        value = value[0] if _size(value[0]) == 1 or len(alone) != 1 else alone[0]
    if is_torch(value):
        value = value.detach().resolve_conj().cpu().numpy()
    elif hasattr(value, "toarray"):
        value = value.toarray()
    if isinstance(value, np.matrix):
        value = np.asarray(value)
    return value.reshape(()) if _size(value) == 1 and np.shape(value) else value


def _size(x: Any) -> int:
    if isinstance(x, (int, float, complex)):
        return 1
    return int(np.prod(x.shape)) if hasattr(x, "shape") else -1


def _leaf(name: str, x: Any, put: Callable[[Any], Any]) -> Form:
    return Form([name], [x], lambda arrays: put(arrays[0]), lambda answer: [array_in(answer)])


def _constant(x: Any, name: str) -> Form:
    def read(answer: Any) -> list[Any]:
        raise MisfitError(f"{name} is {type(x).__name__}, which has no derivative")

    return Form([name], [Constant(x)], lambda arrays: arrays[0].x, read)


def _of_torch(x: Any, name: str) -> Form:
    torch = sys.modules["torch"]

    def put(a: Any) -> Any:
        if isinstance(a, Tensor):
            return a
        made = torch.as_tensor(np.array(a), device=x.device)
        return made.requires_grad_(x.requires_grad and made.dtype.is_floating_point)

    if x.is_complex():
        parts = _of_complex(array_in(x), name)
        return parts._replace(build=lambda arrays: put(parts.build(arrays)), of_torch=True)
    return _leaf(name, array_in(x), put)._replace(of_torch=True)


def _of_sparse(x: Any, name: str) -> Form:
    """A sparse matrix by all its entries; on tensors, a cost is recorded with the dense one."""
    if np.prod(x.shape) > LARGEST_SPARSE or x.dtype.kind not in "iuf":
        return _constant(x, name)
    dense = x.toarray().astype(np.float64)
    held = x.astype(np.float64)

    def put(a: Any) -> Any:
        return a if isinstance(a, Tensor) else held if a is dense else type(x)(a)

    return _leaf(name, dense, put)


def _of_complex(x: Any, name: str) -> Form:
    """z by its real and its imaginary part, both real."""

    def build(arrays: Sequence[Any]) -> Any:
        re, im = arrays
        if isinstance(re, Tensor) or isinstance(im, Tensor):
            raise TypeError(f"{name} is complex, and only real arrays are recorded")
        if np.iscomplexobj(re) or np.iscomplexobj(im):
            raise TypeError(f"{name} is complex already: no complex step")
        return re + 1j * im

    def read(answer: Any) -> list[Any]:
        array = array_in(answer)
        return [np.array(array.real), np.array(array.imag)]

    parts = [np.array(np.real(x)), np.array(np.imag(x))]
    return Form([f"Re {name}", f"Im {name}"], parts, build, read, (0,))


def _container(forms: Mapping[Any, Form], build: Callable[[dict[Any, Any]], Any]) -> Form:
    """A dictionary, list, tuple or record of other forms."""
    starts = dict(
        zip(forms, itertools.accumulate((len(f.arrays) for f in forms.values()), initial=0),
            strict=False)
    )  # fmt: skip
    total = sum(len(form.arrays) for form in forms.values())

    def built(arrays: Sequence[Any]) -> Any:
        return build(
            {key: f.build(arrays[starts[key] : starts[key] + len(f.arrays)])
             for key, f in forms.items()}
        )  # fmt: skip

    def read(answer: Any) -> list[Any]:
        found: list[Any] = [None] * total
        try:
            for key, item in _by_key(answer, forms).items():
                if item is not None:
                    start, form = starts[key], forms[key]
                    found[start : start + len(form.arrays)] = form.read(item)
        except MisfitError:
            if not isinstance(answer, (list, tuple)) or len(answer) != total:
                raise
            return [None if item is None else array_in(item) for item in answer]  # one flat list
        return found

    return Form(
        [name for form in forms.values() for name in form.names],
        [x for form in forms.values() for x in form.arrays],
        built,
        read,
        tuple(starts[key] + k for key, form in forms.items() for k in form.complex),
        any(form.of_torch for form in forms.values()),
    )


def _by_key(answer: Any, forms: Mapping[Any, Form]) -> dict[Any, Any]:
    """The parts of a derivative for the parts of an argument, by their keys.

    A dictionary may hold more, as the derivatives of hidden values, if it holds all of these.
    """
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        answer = dict(vars(answer))
    if isinstance(answer, Mapping):
        keys = {key: _key(answer, key) for key in forms}
        unknown = [key for key in answer if key not in keys.values()]
        missing = [key for key in forms if keys[key] is None and _has_derivative(forms[key])]
        if (unknown and missing) or len(missing) == len(forms):
            raise MisfitError(f"the derivative by {', by '.join(map(str, missing))} is missing")
        return {key: answer[found] for key, found in keys.items() if found is not None}
    if isinstance(answer, (list, tuple)) or (isinstance(answer, np.ndarray) and answer.ndim):
        if len(answer) == len(forms):
            return dict(zip(forms, answer, strict=True))
        real = [key for key, form in forms.items() if _has_derivative(form)]
        if len(answer) == len(real):
            return dict(zip(real, answer, strict=True))
        raise MisfitError(f"{len(answer)} derivatives came, for the {len(forms)} parts {[*forms]}")
    raise MisfitError(f"a list or dictionary was expected, {type(answer).__name__} came")


def _has_derivative(form: Form) -> bool:
    return any(isinstance(x, float) or getattr(x, "dtype", None) in _REAL for x in form.arrays)


def _children(x: Any) -> dict[Any, Any]:
    """The parts of a dictionary, a list, an array of objects or a record, by their keys."""
    if isinstance(x, Mapping):
        return dict(x)
    if isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.ndim == 1):
        return dict(enumerate(x))
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return {field.name: getattr(x, field.name) for field in dataclasses.fields(x)}
    return {}


def _rebuilt(x: Any, parts: Mapping[Any, Any]) -> Any:
    """The dictionary, list, array of objects or record ``x`` with other parts."""
    if isinstance(x, Mapping):
        made: Any = copy.copy(x)
        made.update(parts)
        return made
    if isinstance(x, np.ndarray):
        made = np.empty(x.shape, dtype=object)
        made[:] = [*parts.values()]
        return made
    if isinstance(x, tuple):
        return x._make(parts.values()) if hasattr(x, "_make") else tuple(parts.values())
    return [*parts.values()] if isinstance(x, list) else dataclasses.replace(x, **parts)


def _title(x: Any, key: Any, name: str, inner: bool) -> str:
    """The name of a part: W for a dictionary that is an argument, else p['W'], p[0], p.W."""
    if isinstance(x, Mapping):
        return key if isinstance(key, str) and not inner else f"{name}[{key!r}]"
    return f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}"


def _key(answer: Mapping[Any, Any], name: Any) -> Any:
    """The key of the derivative by ``name``: the name itself, or dW, grad_W, dL/dW …"""
    if name in answer or not isinstance(name, str):
        return name if name in answer else None
    written = re.compile(_WRITTEN.format(re.escape(name)))
    keys = [key for key in answer if isinstance(key, str) and written.fullmatch(key)]
    return keys[0] if len(keys) == 1 else None


def _fits(given: Any, x: Any) -> bool:
    return not isinstance(x, Constant) and np.shape(given) == np.shape(x)


def _is_number_of(item: Any, cost: float) -> bool:
    """Whether ``item`` is the cost itself."""
    if _size(item) != 1:
        return False
    value = to_host(array_in(item)).reshape(()).item()
    return bool(abs(value - cost) <= 1e-12 * abs(cost))
