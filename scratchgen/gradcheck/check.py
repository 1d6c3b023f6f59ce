"""Given derivatives beside numerical ones: of a cost, of a rule, of a network.

In each the left side is a function of arrays that returns one number, and the right side is one
array for each array that it is differentiated by. A disagreement is a difference that exceeds the
uncertainty of the numerical side (and the rounding of the given one). Arrays of up to 256 entries
are tried entry by entry. Larger ones are tried along random directions v, where ⟨∂C/∂x, v⟩ must be
the derivative of C(x + t v), and in some entries; if a direction disagrees, halving finds where.
"""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..autodiff import gradient as recorded_gradient
from ..backend import (
    Array,
    device_of,
    generator,
    generator_from_state,
    generator_state,
    to_device,
    to_host,
)
from ..nn import Network
from .diagnosis import diagnose
from .evidence import Evidence
from .numerical import (
    Derivative,
    by_complex_step,
    by_differences,
    is_analytic,
    moved,
    number,
    roughness,
    scatter_of_complex_step,
)
from .recorded import ancestry
from .report import Entry, Report, relative_error

EXHAUSTIVE = 256
DIRECTIONS, LARGEST, RANDOM = 4, 4, 6
REPEATS = 8  # of the cost at the same input: noise of few values is seldom seen in two
ROUNDING, ROUNDING_FLOAT32 = 1e-9, 1e-4


def check_gradient(cost: Callable[..., Any], gradient: Callable[..., Any], *arrays: Any) -> Report:
    """Is ``gradient(*arrays)`` the derivative of the scalar ``cost(*arrays)``? If not, what is it?

    ``gradient`` returns one array for each of ``arrays``, in their order, or a dictionary by name;
    ``None``, or nothing for the last of them, where no derivative is claimed. One array alone is
    that of the first. The names in the report are those of its parameters. ``arrays`` may be on a
    GPU; numbers and float32 arrays are lifted to float64. Both functions are called many times and
    must give the same answer each time: fix the noise.

    >>> report = check_gradient(lambda w, x: (w @ x) ** 2, lambda w, x: (w @ x) * x,
    ...                         np.array([0.3, -1.2]), np.array([2.0, 0.7]))
    >>> report.diagnosis
    ['∂C/∂w: yours = 0.5 × numerical in both entries: a factor 2 is missing']

    Raises ``ValueError`` where more derivatives are given than there are arrays, or none.
    """
    names = _names(gradient, cost, len(arrays))
    notes: list[str] = []
    arrays = tuple(np.asarray(x) if isinstance(x, (list, tuple)) else x for x in arrays)
    with np.errstate(all="ignore"):
        cost(*copy.deepcopy(arrays))
        first = _by_position(gradient(*copy.deepcopy(arrays)), names)
    if not first:
        raise ValueError("gradient returned no derivative: one array for each input is expected")
    lifted = [
        _lifted(x, name, k in first, notes)
        for k, (x, name) in enumerate(zip(arrays, names, strict=True))
    ]
    left_out = [name for k, name in enumerate(names) if k not in first]
    if left_out:
        notes.append(f"no derivative was given for {', '.join(left_out)}")

    def given(inputs: Sequence[Any]) -> dict[int, Any]:
        return _by_position(gradient(*inputs), names)

    where = f"given side computed by {getattr(gradient, '__name__', 'gradient')}"
    notes.append(where.replace("<lambda>", "gradient"))
    return _checked(Subject(names, lifted, lambda x: cost(*x), given), notes)


def check_operation(operation: Any, *arrays: Any, **settings: Any) -> Report:
    """Does each equation of a rule map a random δ to (∂value/∂inputₖ)ᵀ δ? Each input on its own.

    ``operation`` is what ``differentiable`` made, or a bare rule. The cost behind the report is
    C = Σ δ ∘ value. A generator among the settings is copied for each call, so that a rule with
    noise sees the same noise.

    >>> from scratchgen import operations
    >>> check_operation(operations.tanh, np.array([0.5, -1.0])).ok
    True
    """
    rule = getattr(operation, "rule", operation)
    arrays = (*arrays, *_left_out(rule, len(arrays)))
    names = _names(rule, rule, len(arrays))
    notes: list[str] = []
    lifted = [_lifted(x, name, False, notes) for x, name in zip(arrays, names, strict=True)]

    def run(inputs: Sequence[Any]) -> Any:
        return rule(*inputs, **{name: _fresh(value) for name, value in settings.items()})

    value, equations = run(lifted)
    if len(equations) != len(arrays):
        raise TypeError(f"{rule.__name__}: {len(arrays)} arrays but {len(equations)} equations")
    noise = np.random.default_rng(0).standard_normal(np.shape(value))
    delta = to_device(noise, device_of(value))
    derived = [k for k, x in enumerate(lifted) if equations[k] is not None and _is_real(x)]

    def given(inputs: Sequence[Any]) -> dict[int, Any]:
        value, equations = run(inputs)
        return {k: _share(value, equations[k], inputs[k], delta) for k in derived}

    subject = Subject(
        names,
        lifted,
        lambda x: (delta * run(x)[0]).sum(),
        given,
        value=lambda x: run(x)[0],
        delta=delta,
    )
    notes.append(f"given side computed by the equations of {rule.__name__}, for a random δ")
    return _checked(subject, notes)


def check_network(network: Network, *arrays: Any) -> Report:
    """Is the gradient of a network or model that of its value, for every parameter and input?

    A network is checked by C = Σ δ ∘ network(*arrays) with a random δ; a model that states its
    ``losses`` by these, player by player, each time with the same noise. The check works on a
    float64 copy. Where it fails, each operation that was recorded is checked on its own, and the
    one at fault is named.

    >>> from scratchgen import generator, nn
    >>> rng = generator(0)
    >>> check_network(nn.Linear(3, 2, rng=rng), rng.standard_normal((4, 3))).ok
    True
    """
    twin: Any = copy.deepcopy(network).astype(np.float64)
    notes = [f"{type(network).__name__} was copied and lifted to float64"]
    call = twin.losses if hasattr(twin, "losses") else twin
    inputs = _names(call, None, len(arrays))
    data = [_lifted(x, name, False, notes) for x, name in zip(arrays, inputs, strict=True)]
    if hasattr(twin, "losses"):
        notes.append("its noise was drawn from the same seed each time")
        reports = [_checked_player(twin, k, inputs, data, notes) for k in range(len(twin.players))]
        return Report(
            [entry for report in reports for entry in report.entries],
            [problem for report in reports for problem in report.problems],
            notes,
        )
    parameters = dict(twin.named_parameters())
    value = twin.frozen()(*data)
    delta = to_device(np.random.default_rng(0).standard_normal(value.shape), device_of(value))

    def cost(x: Sequence[Any]) -> Any:
        changed = _substituted(twin, dict(zip(parameters, x, strict=False)))
        return (delta * changed(*x[len(parameters) :])).sum()

    values = [*(parameter.data for parameter in parameters.values()), *data]
    return _checked_recording([*parameters, *inputs], values, cost, notes)


def _checked_player(
    model: Any, player: int, inputs: list[str], data: list[Any], notes: list[str]
) -> Report:
    """A model's cost of one player, by the parameters that this player moves, and by the data."""
    own = {id(p) for p in model.players[player]}
    named = {name: p for name, p in model.named_parameters() if id(p) in own}
    rng = generator(0, device_of(next(iter(named.values())).data))
    state = generator_state(rng)

    def cost(x: Sequence[Any]) -> Any:
        changed = _substituted(model, dict(zip(named, x, strict=False)))
        losses = changed.losses(*x[len(named) :], generator_from_state(*state))
        return next(itertools.islice(losses, player, None))

    values = [*(p.data for p in named.values()), *data]
    return _checked_recording([*named, *inputs], values, cost, notes)


def _substituted(network: Network, values: Mapping[str, Any]) -> Any:
    """The network on plain arrays, with other values for the parameters of these names."""
    changed: Any = network.frozen()
    for name, value in values.items():
        *path, last = name.split(".")
        # A model may call its parameters as its network does.
        owner = changed if hasattr(changed, name.split(".")[0]) else changed.network
        setattr(functools.reduce(getattr, path, owner), last, value)
    return changed


def assert_gradient(subject: Any, *arguments: Any, **settings: Any) -> None:
    """Raise ``AssertionError`` with the report of a check that fails.

    Of ``check_network`` for a network, of ``check_operation`` for an operation, else of
    ``check_gradient``.
    """
    report = _check_of(subject)(subject, *arguments, **settings)
    if not report.ok:
        raise AssertionError(f"\n{report}")


def _check_of(subject: Any) -> Callable[..., Report]:
    if isinstance(subject, Network):
        return check_network
    return check_operation if hasattr(subject, "rule") else check_gradient


@dataclass
class Subject:
    """What is checked: names, arrays, a cost of them all, and derivatives given by position."""

    names: list[str]
    arrays: list[Any]
    cost: Callable[[Sequence[Any]], Any]
    given: Callable[[Sequence[Any]], dict[int, Any]]
    value: Callable[[Sequence[Any]], Any] | None = None
    delta: Array | None = None

    @functools.cached_property
    def roughness(self) -> float:
        """How far values of the cost are off, seen as all arrays are moved a little."""
        rng = np.random.default_rng(3)
        steps: list[Any] = [
            to_device(_size(x) * rng.standard_normal(x.shape), device_of(x))
            if _is_real(x)
            else None
            for x in self.arrays
        ]

        def function(t: float) -> Any:
            pairs = zip(self.arrays, steps, strict=True)
            return self.cost([x if step is None else x + t * step for x, step in pairs])

        return roughness(function)

    def along(self, k: int, move: Callable[[Array, Any], Array]) -> Callable[[Any], Any]:
        """F(t) = C with array k moved."""

        def function(t: Any) -> Any:
            inputs = copy.copy(self.arrays)
            if isinstance(t, complex):  # all of them, for code that adds in place
                inputs = [x.astype(complex) if _is_real(x) else x for x in inputs]
            inputs[k] = move(self.arrays[k], t)
            return self.cost(inputs)

        return function


@np.errstate(all="ignore")  # what is not finite is said in the report
def _checked(subject: Subject, notes: list[str]) -> Report:
    problems = [*_problems(subject)]
    if problems:
        return Report([], problems, notes)
    given, later, problems = _given_twice(subject)
    if problems:
        return Report([], problems, notes)
    state = np.random.default_rng(0)
    comparisons = {k: _compare(subject, k, given[k], state) for k in sorted(given)}
    entries = [comparison.entry for comparison in comparisons.values()]
    wrong = {
        k
        for k, comparison in comparisons.items()
        if not comparison.entry.ok and not comparison.entry.undecided
    }
    if wrong:
        evidence = Evidence(
            subject,
            given,
            {k: comparison.right for k, comparison in comparisons.items()},
            {k: comparison.entry.kinks for k, comparison in comparisons.items()},
            functools.partial(_agrees_with_numbers, comparisons),
            functools.partial(_by_numbers, subject),
            nearby(subject.arrays),
            wrong,
        )
        for k, finding in diagnose(evidence).items():
            entry = comparisons[k].entry
            entry.diagnosis, entry.kinds = finding
            if not finding.kinds and evidence.unrecorded:
                note = f"no look inside the cost, at its numbers only ({evidence.unrecorded})"
                notes += [] if note in notes else [note]
    stale = any("stale" in comparison.entry.kinds for comparison in comparisons.values())
    if not stale and any(not _same(given[k], later[k]) for k in given):
        problems = [
            "gradient changes between two calls with the same input: does it keep something from "
            "the call before, or draw noise?"
        ]
    if any(comparison.roughness for comparison in comparisons.values()):
        notes.append(
            "the cost is less exact than float64 (computed in float32, or by subtracting what is "
            "nearly equal), which its uncertainty allows for"
        )
    return Report(entries, problems, notes)


def _agrees_with_numbers(comparisons: dict[int, Comparison], engine: dict[int, Array]) -> bool:
    """Whether the engine's gradient is the numerical one, wherever that was tried."""
    for k, comparison in comparisons.items():
        known = np.isfinite(comparison.right)
        size = np.abs(engine[k]).max() if engine[k].size else 0.0
        kinks = [np.ravel_multi_index(i, known.shape) for i in comparison.entry.kinks]
        known.reshape(-1)[kinks] = False
        if not np.allclose(engine[k][known], comparison.right[known], rtol=1e-6, atol=1e-7 * size):
            return False
        for v, found in comparison.directions:
            bound = found.uncertainty + 1e-6 * np.sqrt(np.sum(np.square(engine[k] * v)))
            if abs(np.sum(engine[k] * v) - found.value) > bound:
                return False
    return True


def _by_numbers(
    subject: Subject, arrays: Sequence[Any], k: int, delta: Array | None = None
) -> Array | None:
    """∂C/∂(array k) at other inputs, or for another δ, entry by entry; none if these are many."""
    if arrays[k].size > EXHAUSTIVE:
        return None
    cost = subject.cost
    if delta is not None and subject.value is not None:
        value = subject.value
        cost = lambda x: (delta * value(x)).sum()
    try:
        there = replace(subject, arrays=list(arrays), cost=cost)
        sides = _Sides(there, k, np.zeros(arrays[k].shape))
        for i in range(sides.right.size):
            sides.try_entry(i)
    except (ValueError, TypeError, IndexError):
        return None
    return sides.right


def _problems(subject: Subject) -> Iterator[str]:
    """What keeps a cost from being checked."""
    inputs = [_copied(x) for x in subject.arrays]
    value = subject.cost(inputs)
    for name, before, after in zip(subject.names, subject.arrays, inputs, strict=True):
        if not _same(before, after):
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
            again = number(subject.cost([_copied(x) for x in subject.arrays]))
    if not np.isfinite(at_first):
        bad = [
            name
            for name, x in zip(subject.names, subject.arrays, strict=True)
            if _is_real(x) and not np.isfinite(to_host(x)).all()
        ]
        why = f"; {', '.join(bad)} is not finite already" if bad else ""
        yield f"the cost is {at_first} at this input, and has no derivative there{why}"
    elif at_first != again:
        yield (
            f"the cost changes between two calls with the same input, from {at_first:.10g} to "
            f"{again:.10g}: fix its noise (a dropout mask, say), by a generator that is seeded "
            "within the cost"
        )


def _given_twice(subject: Subject) -> tuple[dict[int, Any], dict[int, Any], list[str]]:
    """The given derivatives right after a call at another point, once more, and what is wrong.

    The cost is called before each, for code that keeps its activations from a forward pass.
    """
    elsewhere = nearby(subject.arrays)
    try:
        subject.cost(elsewhere)
        subject.given(elsewhere)
    except Exception:
        pass  # another point may be none at all: a label, a probability
    answers, problems = [], []
    for _ in range(2):
        subject.cost([_copied(x) for x in subject.arrays])
        inputs = [_copied(x) for x in subject.arrays]
        answers.append(subject.given(inputs))
        for name, before, after in zip(subject.names, subject.arrays, inputs, strict=True):
            if not _same(before, after):
                problems.append(f"gradient writes into its input {name}: let it work on a copy")
    return answers[0], answers[1], [*dict.fromkeys(problems)]


def nearby(arrays: Sequence[Any]) -> list[Any]:
    """Another point, 5 % away in each entry, with all signs and zeros kept.

    Arrays of integers stay as they are, unless all are that: they may be labels, or one-hot.
    """
    rng = np.random.default_rng(1)
    real = [k for k, x in enumerate(arrays) if _is_real(x)]
    moved = [k for k in real if (to_host(arrays[k]) % 1 != 0).any()] or real
    return [
        x * to_device(1 + 0.05 * rng.standard_normal(np.shape(x)), device_of(x))
        if k in moved
        else x
        for k, x in enumerate(arrays)
    ]


@dataclass
class Comparison:
    """The numerical side of one equation, where it was tried, beside the given one."""

    entry: Entry
    right: Array
    """∂C/∂x by numbers; not a number where it was not tried."""
    directions: list[tuple[Array, Derivative]] = field(default_factory=list)
    roughness: float = 0.0


class _Sides:
    """Compares one equation entry by entry."""

    def __init__(self, subject: Subject, k: int, given: Array) -> None:
        self.subject, self.k, self.given = subject, k, given
        self.x = subject.arrays[k]
        host = to_host(self.x)
        self.scale = _size(host)
        self.scales = np.maximum(np.abs(host), 0.1 * self.scale).reshape(-1)
        self.size = abs(number(subject.cost(subject.arrays)))
        self.rounding = ROUNDING_FLOAT32 if given.dtype == np.float32 else ROUNDING
        self.right = np.full(host.shape, np.nan)
        self.bound = np.full(host.shape, np.nan)
        self.uncertainty = np.full(host.shape, np.nan)
        finite = given[np.isfinite(given)]
        self.typical = float(np.sqrt(np.mean(finite * finite))) if finite.size else 0.0
        self.kinks: list[int] = []
        direction = self.random_direction(np.random.default_rng(2))
        self.roughness = subject.roughness
        self.analytic = is_analytic(self.along(direction), self.scale, self.roughness)

    @functools.cached_property
    def scatter(self) -> float:
        """How far the complex step is off, along a random direction."""
        direction = self.random_direction(np.random.default_rng(2))
        return scatter_of_complex_step(self.along(direction), self.scale)

    def less_sure(self, found: Derivative) -> Derivative:
        return found._replace(uncertainty=found.uncertainty + self.scatter)

    def random_direction(self, rng: np.random.Generator) -> Array:
        v = rng.standard_normal(self.right.shape)
        if self.kinks:  # and what has the same value, often 0, is likely to have a kink as well
            host = to_host(self.x)
            v[np.isin(host, host.reshape(-1)[self.kinks])] = 0
        return v

    def along(self, v: Array) -> Callable[[Any], Any]:
        on_device = to_device(v, device_of(self.x))
        return self.subject.along(self.k, lambda x, t: x + t * on_device)

    def numerical(
        self, function: Callable[[Any], Any], scale: float, smallest: float | None = None
    ) -> Derivative:
        if self.analytic:
            return by_complex_step(function)
        return by_differences(function, scale, self.roughness, smallest)

    def floor(self, scale: float) -> float:
        """What rounding alone leaves of a derivative, about ε |C| over the size of x."""
        return 1e-13 * self.size / scale

    def try_entry(self, i: int) -> bool:
        """Fill in entry i of the numerical side; whether the given one agrees."""
        function = self.subject.along(self.k, lambda x, t: moved(x, i, t))
        scale, given = float(self.scales[i]), float(self.given.reshape(-1)[i])
        smallest = abs(float(to_host(self.x).reshape(-1)[i])) or None
        found = self.numerical(function, scale, smallest)

        def agrees() -> bool:
            bound = found.uncertainty + self.floor(scale) + self.allowed(found.value)
            return abs(given - found.value) <= bound

        if self.analytic and not agrees():
            found = self.less_sure(found)
        if self.analytic and not agrees():  # at a kink the complex step sees one side alone
            differences = by_differences(function, scale, self.roughness, smallest)
            apart = abs(differences.value - found.value)
            if differences.sides is not None or apart > 4 * differences.uncertainty:
                found = differences
        value, uncertainty = found.value, found.uncertainty + self.floor(scale)
        bound = uncertainty + self.allowed(value)
        if found.sides is not None:
            low, high = sorted(found.sides)
            self.kinks.append(i)
            if low - bound <= given <= high + bound:
                value = given
        self.right.reshape(-1)[i], self.bound.reshape(-1)[i] = value, bound
        self.uncertainty.reshape(-1)[i] = uncertainty
        return abs(given - value) <= bound

    def cannot_tell(self) -> bool:
        """Whether all that was given is lost in the uncertainty, though not beneath rounding."""
        known = np.isfinite(self.right)
        if not known.any():
            return False
        largest = max(np.abs(self.given[known]).max(), np.abs(self.right[known]).max())
        beneath = 100 * self.floor(self.scale)
        return bool(beneath < largest < self.uncertainty[known].min())

    def allowed(self, value: float) -> float:
        """What the given side may be off by, from its own rounding."""
        return self.rounding * (abs(value) + 0.1 * self.typical)

    def try_direction(self, v: Array) -> tuple[Derivative, bool]:
        found = self.numerical(self.along(v), self.scale)
        claimed = float(np.sum(self.given * v))
        length = float(np.sqrt(np.sum(np.square(self.given * v))))
        bound = self.rounding * length + self.floor(self.scale)
        if self.analytic and abs(claimed - found.value) > found.uncertainty + bound:
            found = self.less_sure(found)
        return found, abs(claimed - found.value) <= found.uncertainty + bound

    def find_wrong(self, v: Array) -> int:
        """An entry of v along which the two sides differ, by halving what is tried."""
        entries = np.flatnonzero(v)
        while entries.size > 1:
            half = entries[: entries.size // 2]
            part = np.zeros_like(v)
            part.reshape(-1)[half] = v.reshape(-1)[half]
            _, agrees = self.try_direction(part)
            entries = entries[entries.size // 2 :] if agrees else half
        return int(entries[0])


def _compare(subject: Subject, k: int, given: Any, rng: np.random.Generator) -> Comparison:
    x, name = subject.arrays[k], subject.names[k]
    given = to_host(given)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"∂C/∂{name} is an array of real numbers, got {given.dtype}")
    if given.shape != x.shape:
        sides = _Sides(subject, k, np.zeros(x.shape))
        if x.size <= EXHAUSTIVE:
            for i in range(x.size):
                sides.try_entry(i)
        what = f"shape {given.shape} was given, {x.shape} was expected"
        entry = Entry(
            name, x.shape, False, np.inf, diagnosis=what, method=_method(sides), tried="nothing"
        )
        return Comparison(entry, sides.right)
    sides = _Sides(subject, k, given)
    ok = True
    directions: list[tuple[Array, Derivative]] = []
    if not np.isfinite(given).all():
        ok = False
    if x.size <= EXHAUSTIVE or not ok:
        for i in range(min(x.size, EXHAUSTIVE)):
            ok &= sides.try_entry(i)
        tried = "all entries" if x.size <= EXHAUSTIVE else f"the first {EXHAUSTIVE} entries"
    else:
        ok, directions, tried = _large(sides, rng)
    entry = _entry(name, sides, ok, tried)
    if ok and sides.cannot_tell():
        entry.ok, entry.undecided = False, True
        entry.diagnosis = (
            f"the cost is too inexact to tell: its derivative is known to ± {entry.uncertainty:.0e}"
            " at best, and what was given is less than that; compute it in float64, without large "
            "constants that cancel"
        )
    return Comparison(entry, sides.right, directions, sides.roughness)


def _large(
    sides: _Sides, rng: np.random.Generator
) -> tuple[bool, list[tuple[Array, Derivative]], str]:
    """An array too large for every entry: random directions, then the worst entries one by one."""
    size = np.abs(sides.given).reshape(-1)
    entries = {*map(int, np.argpartition(size, -LARGEST)[-LARGEST:])}
    entries |= {*map(int, rng.choice(size.size, RANDOM, replace=False))}
    agreeing = [sides.try_entry(i) for i in sorted(entries)]
    ok = all(agreeing)
    directions: list[tuple[Array, Derivative]] = []
    tries_left = 64
    while len(directions) < DIRECTIONS and tries_left:
        v = sides.random_direction(rng)
        found, agrees = sides.try_direction(v)
        if not agrees:
            i = sides.find_wrong(v)
            entries.add(i)
            if sides.try_entry(i):
                tries_left -= 1  # a kink on the way; at this entry, it is left out from now on
                continue
            ok = False
        directions.append((v, found))
    if not ok:  # as evidence for the diagnosis
        for i in map(int, rng.choice(size.size, min(64, size.size), replace=False)):
            entries.add(i)
            sides.try_entry(i)
    tried = f"{len(directions)} random directions and {len(entries)} entries"
    return ok, directions, tried


def _entry(name: str, sides: _Sides, ok: bool, tried: str) -> Entry:
    known = np.isfinite(sides.right)
    difference = np.where(known, np.abs(sides.given - sides.right), 0)
    excess = np.where(known, difference / np.where(sides.bound > 0, sides.bound, 1), -1)
    excess[~np.isfinite(sides.given)] = np.inf
    known_error = relative_error(difference[known], sides.given[known], sides.right[known])
    shape = sides.right.shape
    kinks = [_index(k, shape) for k in sorted(set(sides.kinks))]
    entry = Entry(name, shape, ok, known_error, method=_method(sides), tried=tried, kinks=kinks)
    if excess.size:
        at = _index(int(np.argmax(excess)), shape)
        numbers = (float(a[at]) for a in (sides.given, sides.right, sides.uncertainty))
        entry.worst_index = at
        entry.given, entry.numerical, entry.uncertainty = numbers
    return entry


def _index(i: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(j) for j in np.unravel_index(i, shape))


def _method(sides: _Sides) -> str:
    if sides.analytic:
        return "computed by the complex step, to rounding"
    return "estimated by central differences with Richardson's extrapolation"


def _checked_recording(
    names: list[str], values: list[Any], cost: Callable[[Sequence[Any]], Any], notes: list[str]
) -> Report:
    """Check the gradient that the engine records for ``cost``; find the operation at fault."""
    real = [k for k, x in enumerate(values) if _is_real(x)]

    def lift(inputs: Sequence[Any]) -> list[Any]:
        return [Tensor(x) if k in real else x for k, x in enumerate(inputs)]

    def given(inputs: Sequence[Any]) -> dict[int, Any]:
        tensors = lift(inputs)
        wrt = [tensors[k] for k in real]
        shares = recorded_gradient(cost(tensors), wrt, unused="zeros")
        return dict(zip(real, shares, strict=True))

    notes.append("given side computed by the recorded equations of the network")
    report = _checked(Subject(names, values, cost, given), notes)
    if not report.ok:
        blamed = _operations_at_fault(cost(lift(values)))
        if blamed:
            sentences = [sentence for sentence, _ in blamed]
            kinds = [kind for _, of in blamed for kind in of]
            for entry in report.entries:
                if not entry.ok:
                    entry.diagnosis, entry.kinds = "; ".join(sentences), kinds
    return report


def _operations_at_fault(cost: Tensor) -> list[tuple[str, list[str]]]:
    """The recorded operations whose equations fail at the arrays that they were called with."""
    found: dict[str, list[str]] = {}
    for node in ancestry(cost):
        if node.operation is None:
            continue
        arrays = [x.data if isinstance(x, Tensor) else x for x in node.inputs]
        report = check_operation(node.operation, *arrays, **node.settings)
        for entry in report.entries:
            if not entry.ok:
                name = node.operation.__name__
                sentence = f"the rule {name} is at fault, in its ∂C/∂{entry.name}"
                found[f"{sentence}: {entry.diagnosis}"] = entry.kinds
    return [*found.items()]


def _names(function: Callable[..., Any], other: Any, number_of_arrays: int) -> list[str]:
    """The names of the positional parameters, one for each array."""
    for f in (function, other):
        try:
            parameters = inspect.signature(f).parameters.values()
        except (TypeError, ValueError):
            continue
        names = [
            p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if len(names) >= number_of_arrays:
            return names[:number_of_arrays]
    return [f"x{k}" for k in range(number_of_arrays)]


def _left_out(rule: Callable[..., Any], number_of_arrays: int) -> list[Any]:
    """The defaults of the arrays of a rule that were not given, as a bias may be."""
    parameters = inspect.signature(rule).parameters.values()
    arrays = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [p.default for p in arrays[number_of_arrays:] if p.default is not p.empty]


def _by_position(result: Any, names: list[str]) -> dict[int, Any]:
    if isinstance(result, Mapping):
        unknown = [name for name in result if name not in names]
        if unknown:
            raise ValueError(f"gradient gives {unknown}, but the inputs are {names}")
        pairs = [(names.index(name), value) for name, value in result.items()]
    elif isinstance(result, (tuple, list)):
        if len(result) > len(names):
            raise ValueError(
                f"gradient gives {len(result)} derivatives for {len(names)} inputs, {names}"
            )
        pairs = [*enumerate(result)]
    else:
        pairs = [(0, result)]
    return {k: value for k, value in pairs if value is not None}


def _lifted(x: Any, name: str, differentiated: bool, notes: list[str]) -> Any:
    """``x`` in float64, unless it is what has no derivative: labels, flags, settings."""
    array = to_host(x) if device_of(x) == "cpu" else x
    if isinstance(x, float) or (array.dtype.kind in "iub" and differentiated):
        return np.asarray(x, dtype=np.float64)
    if array.dtype.kind != "f":
        return x
    if array.dtype != np.float64:
        notes.append(f"{name} was lifted from {array.dtype} to float64")
    return array.astype(np.float64)


def _size(x: Array) -> float:
    """The root mean square of the entries, 1 where they are all zero."""
    host = to_host(x)
    typical = float(np.sqrt(np.mean(host * host))) if host.size else 0.0
    return typical if typical > 0 else 1.0


def _is_real(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", None) == "f"


def _copied(x: Any) -> Any:
    return x.copy() if hasattr(x, "copy") else copy.deepcopy(x)


def _same(x: Any, y: Any) -> bool:
    return bool(np.array_equal(to_host(x), to_host(y), equal_nan=_is_real(x)))


def _fresh(value: Any) -> Any:
    if hasattr(value, "bit_generator"):
        return generator_from_state(*generator_state(value))
    return value


def _share(value: Array, equation: Callable[[Array], Array], x: Array, delta: Array) -> Array:
    """What the engine makes of an equation; the bare share where it does not fit."""
    lifted = Tensor(x)
    recorded = Tensor(value, equation, (lifted,), (equation,), {})
    try:
        return recorded_gradient(recorded, [lifted], delta=delta)[0]
    except ValueError:
        return equation(delta)
