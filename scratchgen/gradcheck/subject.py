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
from dataclasses import dataclass, field
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
from .numerical import number, roughness

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
        if to_host(value).dtype.kind not in "fiub":
            yield f"the cost is one real number, got {type(value).__name__} {value!r:.40}"
            return
        if getattr(value, "shape", ()) != ():
            yield f"the cost is one number, got shape {value.shape}: take its .mean() or .sum()"
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
        if array.dtype.kind not in "fiub":
            what = f"∂C/∂{self.names[k]} is an array of real numbers, got {array.dtype}"
            raise TypeError(what)
        return array


def of_gradient(
    cost: Callable[..., Any], gradient: Callable[..., Any], arrays: Sequence[Any]
) -> Subject:
    """Return the subject of a cost and the derivatives that ``gradient`` returns for it."""
    names = names_of(gradient, cost, len(arrays))
    arrays = [np.asarray(x) if isinstance(x, (list, tuple)) else x for x in arrays]

    def given(inputs: Sequence[Any]) -> dict[int, Any]:
        return _by_position(gradient(*inputs), names)

    with np.errstate(all="ignore"):
        cost(*copy.deepcopy(arrays))
        first = given(copy.deepcopy(arrays))
    if not first:
        raise ValueError("gradient returned no derivative: one array for each input is expected")
    notes: list[str] = []
    named = enumerate(zip(arrays, names, strict=True))
    lifted_arrays = [lifted(x, name, notes, k in first) for k, (x, name) in named]
    if left_out := [name for k, name in enumerate(names) if k not in first]:
        notes.append(f"no derivative was given for {', '.join(left_out)}")
    where = f"given side computed by {getattr(gradient, '__name__', 'gradient')}"
    notes.append(where.replace("<lambda>", "gradient"))
    return Subject(names, lifted_arrays, lambda inputs: cost(*inputs), given, notes, by_hand=True)


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


def _by_position(result: Any, names: list[str]) -> dict[int, Any]:
    if isinstance(result, Mapping):
        if unknown := [name for name in result if name not in names]:
            raise ValueError(f"gradient gives {unknown}, but the inputs are {names}")
        pairs = [(names.index(name), value) for name, value in result.items()]
    else:
        pairs = [*enumerate(result if isinstance(result, (tuple, list)) else [result])]
        if len(pairs) > len(names):
            raise ValueError(
                f"gradient gives {len(pairs)} derivatives for {len(names)} inputs, {names}"
            )
    return {k: value for k, value in pairs if value is not None}


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
