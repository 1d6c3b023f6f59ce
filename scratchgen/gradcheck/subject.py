"""The subject of a check: a cost of arrays and derivatives given for it. Can it be checked?

Every check becomes a :class:`Subject`: a function of arrays that returns one number, and the given
∂C/∂(array) for some of these arrays, in float64. It can be checked if the cost is one real, finite
number, and if the cost and the derivatives give the same answer at each call and do not change
their inputs. To establish this, both are called at the arrays, again there, and at a point nearby.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..autodiff import gradient as recorded_gradient
from ..backend import (
    Array,
    device_of,
    generator_from_state,
    generator_state,
    to_device,
    to_host,
)
from .arguments import Held, number_in
from .numerical import by_differences, number, roughness

REPEATS = 8  # evaluations of the cost at one input: two may not reveal noise of few values


@dataclass
class Subject:
    """Names, arrays, a cost of all arrays, and the given derivatives by position."""

    names: list[str]
    arrays: list[Any]
    cost: Callable[[Sequence[Any]], Any]
    given: Callable[[Sequence[Any]], dict[int, Any]]
    notes: list[str] = field(default_factory=list)
    rule: tuple[Callable[[Sequence[Any]], Any], Array] | None = None
    """For a rule, the function that computes its value, and δ: the cost is Σ δ ∘ value."""
    rtol: float = 0.0
    """The relative difference of derivatives that is accepted, for an inexact cost."""
    atol: float = 0.0
    """The absolute difference that is accepted, in the units of the derivative."""
    until: float = math.inf
    """The processor time of this thread at which the numerical side ends."""
    by_hand: bool = False
    """Whether the given derivatives are independent of the engine's."""
    effect: float = 0.0
    """The largest effect of an array on the cost, to first order: |∂C/∂x| times the size of x."""
    _scatters: dict[bool, dict[int, Array]] = field(default_factory=dict)

    @functools.cached_property
    def roughness(self) -> float:
        """The error of values of the cost, estimated by moving all arrays a little."""
        rng = np.random.default_rng(3)
        steps: list[Any] = [
            to_device(size_of(x) * rng.standard_normal(x.shape), device_of(x))
            if is_real(x)
            else None
            for x in self.arrays
        ]

        def function(t: float) -> Any:
            pairs = zip(self.arrays, steps, strict=True)
            return self.cost([x if step is None else x + t * step for x, step in pairs])

        return roughness(function)

    def has_steps(self, k: int) -> bool:
        """Whether C is the same at neighbouring points of array k, but clearly another far away."""
        v = np.random.default_rng(5).standard_normal(np.shape(self.arrays[k]))
        move = to_device(size_of(to_host(self.arrays[k])) * v, device_of(self.arrays[k]))
        function = self.along(k, lambda x, t: x + t * move)
        try:
            at_0, *near = (number(function(h)) for h in (0.0, 1e-9, -1e-9, 1e-4, -1e-4))
            far = [abs(number(function(h)) - at_0) for h in (0.1, -0.1, 1.0, -1.0)]
        except (ValueError, ArithmeticError):
            return False  # far away, the cost is not defined
        return all(value == at_0 for value in near) and max(far) > 1e-5 * abs(at_0)

    def effect_of(self, given: tuple[int, Array]) -> float:
        """The typical size of a given derivative times that of its array."""
        k, g = given
        finite = g[np.isfinite(g)]
        return size_of(finite) * size_of(self.arrays[k]) if finite.any() else 0.0

    def scatter_of_given(self, k: int, single: bool) -> Array:
        """The rounding error of each entry given for array k: how it scatters in its last digits.

        ``single`` says that they are those of float32.
        """
        if single not in self._scatters:
            self._scatters[single] = self._scatter(1e-6 if single else 1e-14)
        found: Array = self._scatters[single].get(k, np.zeros(np.shape(self.arrays[k])))
        return found

    def _scatter(self, size: float) -> dict[int, Array]:
        rng, answers = np.random.default_rng(4), []
        try:
            for by in (0.0, size, size, size):
                inputs = [
                    x * to_device(1 + by * rng.uniform(-1, 1, np.shape(x)), device_of(x))
                    if is_real(x)
                    else copy.deepcopy(x)
                    for x in self.arrays
                ]
                self.cost(inputs)
                found = self.given(inputs)
                answers.append({k: to_host(g).astype(float) for k, g in found.items()})
            return {k: 8 * np.ptp([answer[k] for answer in answers], axis=0) for k in answers[0]}
        except Exception:  # a derivative may be defined at its own inputs alone
            return {}

    def along(self, k: int, move: Callable[[Array, Any], Array]) -> Callable[[Any], Any]:
        """F(t) = C with array k moved by t."""

        def function(t: Any) -> Any:
            inputs = copy.copy(self.arrays)
            if isinstance(t, complex):  # all arrays become complex, for code that adds in place
                inputs = [x.astype(complex) if is_real(x) else x for x in inputs]
            inputs[k] = move(self.arrays[k], t)
            return self.cost(inputs)

        return function

    def copies(self) -> list[Any]:
        """Copies of the arrays, for code that may write into them."""
        return [x.copy() if hasattr(x, "copy") else copy.deepcopy(x) for x in self.arrays]

    def written(self, inputs: Sequence[Any]) -> list[str]:
        """The names of those of ``inputs`` that no longer equal the arrays."""
        named = zip(self.names, self.arrays, inputs, strict=True)
        return [name for name, before, after in named if not same(before, after)]

    @functools.cached_property
    def nearby(self) -> list[Any]:
        """Another point, 5 % away in each entry, with the same signs and zeros.

        Arrays of integers stay as they are, since they may be labels or one-hot rows, unless all
        arrays are of integers.
        """
        rng = np.random.default_rng(1)
        real = [k for k, x in enumerate(self.arrays) if is_real(x)]
        moved = [k for k in real if (to_host(self.arrays[k]) % 1 != 0).any()] or real
        return [
            x * to_device(1 + 0.05 * rng.standard_normal(np.shape(x)), device_of(x))
            if k in moved
            else x
            for k, x in enumerate(self.arrays)
        ]

    def problems(self) -> Iterator[str]:
        """Yield the reasons why the cost cannot be checked."""
        inputs = self.copies()
        value = self.cost(inputs)
        for name in self.written(inputs):
            yield (
                f"the cost writes into its input {name}: let it work on a copy, or every call "
                "starts from another point"
            )
        if value is None:
            yield "the cost returned None, and is one real number: does it end with a return?"
            return
        array = to_host(value)
        if array.dtype.kind == "c":
            yield (
                f"the cost is one real number, got the complex {array!s:.40}: only a real cost has "
                "a gradient, such as its square |C|², or its real part"
            )
            return
        if array.dtype.kind not in "fiub":
            yield f"the cost is one real number, got {type(value).__name__} {value!r:.40}"
            return
        if array.shape != ():
            yield f"the cost is one number, got shape {array.shape}: take its .mean() or .sum()"
            return
        at_first = again = number(value)
        for _ in range(REPEATS):
            if again == at_first:
                again = number(self.cost(self.copies()))
        if not np.isfinite(at_first):
            named = zip(self.names, self.arrays, strict=True)
            bad = [name for name, x in named if is_real(x) and not np.isfinite(to_host(x)).all()]
            why = f"; {', '.join(bad)} is not finite already" if bad else ""
            yield f"the cost is {at_first} at this input, and has no derivative there{why}"
        elif at_first != again:
            yield (
                f"the cost changes between two calls with the same input, from {at_first:.10g} to "
                f"{again:.10g}: fix its noise (a dropout mask, say), by a generator that is seeded "
                "within the cost"
            )

    def given_twice(self) -> tuple[dict[int, Array], dict[int, Array], list[str]]:
        """The given derivatives after a call at a point nearby, once more, and the problems.

        The cost is called before each, for code that keeps its activations from a forward pass.
        Raises ``TypeError`` for derivatives that are not arrays of real numbers.
        """
        try:
            self.cost(self.nearby)
            self.given(self.nearby)
        except Exception:
            pass  # a point nearby may be invalid: another label, or no probability
        answers, problems = [], []
        for _ in range(2):
            self.cost(self.copies())
            inputs = self.copies()
            answers.append({k: self._real(k, g) for k, g in sorted(self.given(inputs).items())})
            problems += [
                f"gradient writes into its input {name}: let it work on a copy"
                for name in self.written(inputs)
            ]
        return answers[0], answers[1], [*dict.fromkeys(problems)]

    def _real(self, k: int, given: Any) -> Array:
        array = to_host(given)
        if array.dtype.kind == "c" and np.all(
            np.abs(array.imag) <= 1e-10 * np.abs(array).max(initial=0)
        ):
            return array.real
        if array.dtype.kind not in "fiub":
            what = f"∂C/∂{self.names[k]} is an array of real numbers, got {array.dtype}"
            hint = ": was a conjugate forgotten, or .real?" if array.dtype.kind == "c" else ""
            raise TypeError(what + hint)
        return array


def of_gradient(
    cost: Callable[..., Any],
    gradient: Any,
    arrays: Sequence[Any],
    named: Mapping[str, Any] | None = None,
    wrt: Any = None,
) -> Subject:
    """Return the subject of a cost and the derivatives that ``gradient`` returns for it.

    Raises ``TypeError`` for a cost that is no function or does not take these arguments, and
    ``ValueError`` for derivatives that fit no argument.
    """
    named = named or {}
    function: Any = cost
    if not callable(function):
        what = f"cost is a function of the arrays that returns one number, got {_kind(cost)}"
        raise TypeError(f"{what}: the order is check_gradient(cost, gradient, *arrays)")
    derive, side = _function_of(gradient, cost)
    for function, what in ((cost, "cost"), (derive, "gradient")):
        _check_takes(function, what, arrays, named)
    held = Held(names_of(derive, cost, len(arrays)), arrays, named)
    notes: list[str] = []
    value = _Value(held, cost, notes)
    with np.errstate(all="ignore"):
        at_first = value(copy.deepcopy(held.arrays))
        answer = held.call(derive, copy.deepcopy(held.arrays))
    is_number = isinstance(at_first, (int, float)) or getattr(at_first, "shape", None) == ()
    c = number(at_first) if is_number else np.nan
    if answer is None or (isinstance(answer, (list, tuple, Mapping)) and not len(answer)):
        raise ValueError(
            "gradient returned no derivative: one array for each input is expected; does it end "
            "with a return?"
        )
    read = held.reading(answer, held.wanted(wrt), c)
    first = read(answer)
    if not first:
        raise ValueError("gradient returned no derivative: one array for each input is expected")
    names = held.names
    lifts = enumerate(zip(held.arrays, names, strict=True))
    lifted_arrays = [lifted(x, name, notes, k in first) for k, (x, name) in lifts]
    value.settle(lifted_arrays)
    given = lambda inputs: read(held.call(derive, value.cast(inputs)))
    if left_out := [name for k, name in enumerate(names) if k not in first]:
        notes.append(f"no derivative was given for {', '.join(left_out)}")
    notes += [*_shape_of_another(first, names, held.arrays), f"given side {side}"]
    subject = Subject(names, lifted_arrays, value, given, notes, by_hand=True)
    return in_convention(subject, held.complex) if held.complex else subject


def _function_of(gradient: Any, cost: Callable[..., Any]) -> tuple[Callable[..., Any], str]:
    """The function that returns the derivatives, and where they come from."""
    if callable(gradient):
        name = getattr(gradient, "__name__", "gradient").replace("<lambda>", "gradient")
        return gradient, f"computed by {name}"
    if gradient is True:
        return cost, "returned by the cost, with its value"
    if gradient is None or isinstance(gradient, (bool, str)):
        raise TypeError(
            "gradient is a function of the arrays that returns the derivatives, or the derivatives "
            f"themselves, or True if the cost returns (C, gradient); got {gradient!r}"
        )
    return lambda *_, **__: gradient, "taken as it was given, an array and no function"


def _check_takes(
    function: Callable[..., Any], what: str, arrays: Sequence[Any], named: Mapping[str, Any]
) -> None:
    """Raise ``TypeError`` if a function does not take these arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arrays, **named)
    except TypeError as error:
        by_name = f", and {', '.join(named)} by name" if named else ""
        raise TypeError(
            f"{what} has the parameters {signature}, but is called with {len(arrays)} arguments"
            f"{by_name} ({error}): the cost and the gradient are both called with all arguments "
            "that follow them in check_gradient"
        ) from None


def _kind(x: Any) -> str:
    return (
        f"an array of shape {x.shape}" if hasattr(x, "shape") else f"{type(x).__name__} {x!r:.40}"
    )


class _Value:
    """C of a list of arrays, as one real number wherever it is one."""

    def __init__(self, held: Held, cost: Callable[..., Any], notes: list[str]) -> None:
        self.held, self.cost, self.notes = held, cost, notes
        self.is_complex = False
        self.narrow: dict[int, Any] = {}

    def __call__(self, inputs: Sequence[Any]) -> Any:
        value = number_in(self.held.call(self.cost, self.cast(inputs)))
        if isinstance(value, Tensor):
            return value if any(isinstance(x, Tensor) for x in inputs) else value.data
        if any(np.iscomplexobj(x) for x in inputs):
            if self.is_complex:
                raise TypeError("the cost is complex already: no complex step")
            return value
        is_complex = np.iscomplexobj(value) and np.shape(value) == ()
        if not is_complex or abs(np.imag(value)) > 1e-10 * abs(value):
            return value
        if not self.is_complex:
            self.is_complex = True
            self.notes.append(
                "the cost is complex with an imaginary part of rounding; its real part was taken"
            )
        return np.real(value)

    def settle(self, arrays: Sequence[Any]) -> None:
        """Hand arrays to the cost as they came if it fails for float64, and say so."""
        try:
            with np.errstate(all="ignore"):
                self(copy.deepcopy([*arrays]))
        except Exception as error:
            came = enumerate(self.held.arrays)
            narrow = {k: x.dtype for k, x in came if is_real(x) and x.dtype != np.float64}
            if not narrow:
                raise
            self.narrow = narrow
            named = ", ".join(f"{self.held.names[k]} in {dtype}" for k, dtype in narrow.items())
            self.notes[:] = [note for note in self.notes if " was lifted from " not in note]
            self.notes.append(
                f"the cost is called with {named}, since it fails for float64 "
                f"({type(error).__name__}: {' '.join(str(error).split())}): it is less exact"
            )

    def cast(self, inputs: Sequence[Any]) -> list[Any]:
        """The arrays in the precision that the cost needs."""
        if self.narrow and any(np.iscomplexobj(x) for x in inputs):
            raise TypeError("the cost is computed in float32: no complex step")
        narrow = {k: dtype for k, dtype in self.narrow.items() if is_real(inputs[k])}
        return [
            x.astype(narrow[k]) if k in narrow and not isinstance(x, Tensor) else x
            for k, x in enumerate(inputs)
        ]


def _shape_of_another(
    first: Mapping[int, Any], names: Sequence[str], arrays: Sequence[Any]
) -> Iterator[str]:
    """Hints for derivatives that have the shape of another array than their own."""
    for k, g in first.items():
        others = [
            name
            for name, x in zip(names, arrays, strict=True)
            if is_real(x) and np.shape(x) == np.shape(g)
        ]
        if np.shape(g) != np.shape(arrays[k]) and np.shape(g) and others:
            yield (
                f"what was given for {names[k]} has the shape of {' and of '.join(others)}: if it "
                f"is ∂C/∂{others[0]}, say so by wrt={others[0]!r}"
            )


CONVENTIONS: dict[tuple[float, float], str] = {
    (1, 1): "∂C/∂Re {0} + i ∂C/∂Im {0}, the direction of steepest ascent, as in PyTorch",
    (2, 1): "Wirtinger's ∂C/∂{0}* = ½ (∂C/∂Re {0} + i ∂C/∂Im {0}), {0}* the conjugate",
    (1, -1): "∂C/∂Re {0} − i ∂C/∂Im {0}, as in JAX",
    (2, -1): "Wirtinger's ∂C/∂{0} = ½ (∂C/∂Re {0} − i ∂C/∂Im {0})",
}
"""The derivatives by a complex z that people write: ∂C/∂Re z and ∂C/∂Im z are these multiples of
its real and of its imaginary part."""


def in_convention(subject: Subject, real_parts: Sequence[int]) -> Subject:
    """The subject with derivatives by real and imaginary parts, in the convention that agrees.

    The convention is the one by which the derivative along a random direction is the numerical one;
    if there is none, the first.
    """
    given = subject.given(subject.copies())
    of_complex = [k for k in real_parts if k in given]
    both = {k for re in of_complex for k in (re, re + 1)}
    rng = np.random.default_rng(4)
    v = {k: np.asarray(rng.standard_normal(np.shape(subject.arrays[k]))) for k in both}

    def along(t: float) -> Any:
        moved = [x + t * v[k] if k in v else x for k, x in enumerate(subject.arrays)]
        return subject.cost(moved)

    slope = by_differences(along, 1.0, subject.roughness)

    def terms(of: Mapping[int, Any], convention: tuple[float, float]) -> dict[int, Any]:
        factor, sign = convention
        scaled = {k: np.real(of[k]) * factor for k in of_complex}
        return {**of, **scaled, **{k + 1: np.real(of[k + 1]) * factor * sign for k in of_complex}}

    def distance(convention: tuple[float, float]) -> float:
        found = terms(given, convention)
        if any(np.shape(found[k]) != v[k].shape for k in both):
            return np.inf
        return abs(float(sum(np.sum(found[k] * v[k]) for k in both)) - slope.value)

    bound = slope.uncertainty + 1e-5 * abs(slope.value)
    agreeing = [convention for convention in CONVENTIONS if distance(convention) <= bound]
    chosen = (agreeing or [*CONVENTIONS])[0]
    for k in of_complex:
        z = subject.names[k].removeprefix("Re ")
        subject.notes.append(
            f"{z} is complex, and is checked by its real and its imaginary part; its derivative "
            f"was read as {CONVENTIONS[chosen].format(z)}"
        )
    before = subject.given
    return replace(subject, given=lambda inputs: terms(before(inputs), chosen))


def of_operation(operation: Any, arrays: Sequence[Any], settings: Mapping[str, Any]) -> Subject:
    """C = Σ δ ∘ value of a rule for a random δ, and the results of its equations for this δ."""
    rule = getattr(operation, "rule", operation)
    arrays = [*arrays, *_left_out(rule, len(arrays))]
    names = names_of(rule, rule, len(arrays))
    notes: list[str] = []
    inputs = [lifted(x, name, notes) for x, name in zip(arrays, names, strict=True)]

    def run(inputs: Sequence[Any]) -> Any:
        return rule(*inputs, **{name: _fresh(value) for name, value in settings.items()})

    def value(inputs: Sequence[Any]) -> Any:
        return run(inputs)[0]

    first, equations = run(inputs)
    if len(equations) != len(arrays):
        raise TypeError(f"{rule.__name__}: {len(arrays)} arrays but {len(equations)} equations")
    noise = np.random.default_rng(0).standard_normal(np.shape(first))
    delta = to_device(noise, device_of(first))
    derived = [k for k, x in enumerate(inputs) if equations[k] is not None and is_real(x)]

    def given(inputs: Sequence[Any]) -> dict[int, Any]:
        a, equations = run(inputs)
        return {k: _share(a, equations[k], inputs[k], delta) for k in derived}

    notes.append(f"given side computed by the equations of {rule.__name__}, for a random δ")
    return Subject(names, inputs, lambda x: (delta * value(x)).sum(), given, notes, (value, delta))


def of_recording(
    names: list[str], arrays: list[Any], cost: Callable[[Sequence[Any]], Any], notes: list[str]
) -> Subject:
    """Return the subject of a cost and the gradient that the engine records for it."""

    def given(inputs: Sequence[Any]) -> dict[int, Any]:
        tensors = as_tensors(inputs)
        wrt = {k: x for k, x in enumerate(tensors) if isinstance(x, Tensor)}
        shares = recorded_gradient(cost(tensors), [*wrt.values()], unused="zeros")
        return dict(zip(wrt, shares, strict=True))

    notes = [*notes, "given side computed by the recorded equations of the network"]
    return Subject(names, arrays, cost, given, notes)


def names_of(function: Callable[..., Any], other: Any, number_of_arrays: int) -> list[str]:
    """The names of the positional parameters of either function, one for each array."""
    for f in (function, other):
        try:
            parameters = positional(f)
        except (TypeError, ValueError):
            continue
        if len(parameters) >= number_of_arrays:
            return [p.name for p in parameters[:number_of_arrays]]
    return [f"x{k}" for k in range(number_of_arrays)]


def lifted(x: Any, name: str, notes: list[str], differentiated: bool = False) -> Any:
    """``x`` in float64, unless it has no derivative: labels, flags, settings."""
    array = to_host(x) if device_of(x) == "cpu" else x
    if isinstance(x, float) or (array.dtype.kind in "iub" and differentiated):
        return np.asarray(x, dtype=np.float64)
    if array.dtype.kind != "f":
        return x
    if array.dtype != np.float64:
        notes.append(f"{name} was lifted from {array.dtype} to float64")
    return array.astype(np.float64)


def as_tensors(arrays: Sequence[Any]) -> list[Any]:
    """Make tensors of arrays that have a derivative, and keep the others."""
    return [Tensor(x) if is_real(x) else x for x in arrays]


def is_real(x: Any) -> bool:
    """Whether ``x`` is an array of real numbers, so that it has a derivative."""
    return getattr(getattr(x, "dtype", None), "kind", None) == "f"


def size_of(x: Array) -> float:
    """The root mean square of the entries, or 1 if all are zero."""
    return rms(to_host(x)) or 1.0


def rms(x: Array) -> float:
    """√(mean x²), of numbers of any size; 0 if there are none."""
    largest = float(np.abs(x).max(initial=0))
    return largest * float(np.sqrt(np.mean(np.square(x / largest)))) if largest else 0.0


def same(x: Any, y: Any) -> bool:
    """Whether two arrays are equal, entry by entry."""
    return bool(np.array_equal(to_host(x), to_host(y), equal_nan=is_real(x)))


def positional(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters for arrays: those that may be given by position."""
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _left_out(rule: Callable[..., Any], number_of_arrays: int) -> list[Any]:
    """The defaults of a rule's arrays that were not given, such as a bias."""
    left = positional(rule)[number_of_arrays:]
    return [p.default for p in left if p.default is not p.empty]


def _fresh(value: Any) -> Any:
    """A copy of a generator at the same point of its sequence; any other value unchanged."""
    if hasattr(value, "bit_generator"):
        return generator_from_state(*generator_state(value))
    return value


def _share(value: Array, equation: Callable[[Array], Array], x: Array, delta: Array) -> Array:
    """The engine's result for an equation, or the bare share if its shape does not fit."""
    input_ = Tensor(x)
    recorded = Tensor(value, equation, (input_,), (equation,), {})
    try:
        return recorded_gradient(recorded, [input_], delta=delta)[0]
    except ValueError:
        return equation(delta)
