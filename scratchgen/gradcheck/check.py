"""Given derivatives compared with numerical ones: for a cost, a rule, or a network.

The left side is a function of arrays that returns one number, and the right side is one array for
each array with a given derivative. :func:`checked` runs all steps: can it be checked, does each
derivative agree, and if one does not, which mistake explains it?
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..backend import Array
from ..nn import Network
from ..tracing import Trace
from .comparison import Comparison, compare
from .diagnosis import NONE, diagnose, untried
from .evidence import Evidence
from .faults import traced
from .network import of_network, of_recorded_operations
from .report import DISAGREES, UNDECIDED, WRONG_SHAPE, Entry, Report
from .subject import Subject, of_gradient, of_operation, same
from .watching import Part, Solver, parts_given, parts_named, solver_in, split

IN_STEPS = (
    "the cost is constant in steps (it counts, rounds, compares, or draws samples from a fixed "
    "seed): between the steps its derivative is zero, and no check by its values can tell the "
    "slope that is meant"
)
QUICK = 1.0  # the processor time of a search after which there is time for a second one
SMALL = 1e-2  # a relative difference that the tolerance of an inner solver may explain

NUMERICAL_SECONDS = 4  # the time after which entries are tried along a few directions only


def check_gradient(
    cost: Callable[..., Any],
    gradient: Any,
    /,
    *arrays: Any,
    wrt: str | int | Sequence[str | int] | None = None,
    parts: Mapping[str, Any] | None = None,
    rtol: float = 0.0,
    atol: float = 0.0,
    allow_undecided: bool = False,
    **named: Any,
) -> Report:
    """Is ``gradient(*arrays)`` the derivative of the scalar ``cost(*arrays)``? If not, why not?

    ``gradient`` returns one array for each of ``arrays``, in their order, or a dictionary by name.
    It returns ``None`` for arrays without a given derivative, and may omit the last ones. A single
    array is the derivative by the first of ``arrays``, or by the only one whose shape it has;
    ``wrt`` says which arguments are meant, by name or position. The report uses the names of the
    parameters of ``gradient``. Both functions are called many times and must give the same answer
    each time: use fixed noise.

    Arguments are held as people hold them, and are given by position or by keyword: a number, an
    array (on a GPU too), a list of numbers, a dictionary, list or dataclass of arrays, a sparse
    matrix, a data frame, a tensor of PyTorch, a complex array. A derivative is held likewise, and
    may be called dW, grad_W or dL/dW for W. The cost returns a number, an array of one entry, or
    (C, gradient); ``gradient`` may return (C, gradient) as well. If ``gradient`` is ``True``, the
    cost returns both. Numbers and float32 arrays are converted to float64.

    ``parts`` names the parts of a flat vector, ``{"W": (3, 4), "b": 4}`` in its order, and each is
    then checked as an array of its own. A difference up to ``atol`` plus ``rtol`` times the
    derivative is accepted, for a cost that an inner solver computes to a tolerance. A derivative is
    refused if an entry is too small, or the cost too inexact, to tell right from wrong;
    ``allow_undecided=True`` accepts it if all other entries agree.

    >>> report = check_gradient(lambda w, x: (w @ x) ** 2, lambda w, x: (w @ x) * x,
    ...                         np.array([0.3, -1.2]), np.array([2.0, 0.7]))
    >>> report.diagnosis
    ['∂C/∂w: yours = 0.5 × numerical in both entries: a factor 2 is missing']

    Raises ``ValueError`` if more derivatives are given than there are arrays, or none.
    """
    for what, value in (("rtol", rtol), ("atol", atol)):
        if not (isinstance(value, (int, float)) and 0 <= value < np.inf):
            raise ValueError(f"{what} is a number of at least 0, got {value!r}")
    subject = replace(of_gradient(cost, gradient, arrays, named, wrt), rtol=rtol, atol=atol)
    report = checked(subject if parts is None else _in_parts(subject, parts))
    for entry in report.entries:
        entry.allow_undecided = allow_undecided
    return report


def check_operation(operation: Any, *arrays: Any, **settings: Any) -> Report:
    """Does each equation of a rule map a random δ to (∂value/∂inputₖ)ᵀ δ? One input at a time.

    ``operation`` is a result of ``differentiable``, or a bare rule. The cost behind the report is
    C = Σ δ ∘ value. A random generator among the settings is copied for each call, so that a
    stochastic rule draws the same noise each time.

    >>> from scratchgen import operations
    >>> check_operation(operations.tanh, np.array([0.5, -1.0])).ok
    True
    """
    return checked(of_operation(operation, arrays, settings))


def check_network(network: Network, *arrays: Any) -> Report:
    """Is the recorded gradient of a network or model right, for every parameter and input?

    A network is checked by C = Σ δ ∘ network(*arrays) with a random δ; a model by the ``losses`` of
    each player, with the same noise each time. The check uses a float64 copy. If it fails, it
    checks each recorded operation separately, and names the one at fault.

    >>> from scratchgen import generator, nn
    >>> rng = generator(0)
    >>> check_network(nn.Linear(3, 2, rng=rng), rng.standard_normal((4, 3))).ok
    True
    """
    reports = [_blaming_rules(subject) for subject in of_network(network, arrays)]
    return Report(
        [entry for report in reports for entry in report.entries],
        [problem for report in reports for problem in report.problems],
        [*dict.fromkeys(note for report in reports for note in report.notes)],
    )


def assert_gradient(subject: Any, *arguments: Any, **settings: Any) -> Report:
    """Return the report of a check, or raise ``AssertionError`` with it if the check fails.

    The check is ``check_network`` for a network, ``check_operation`` for an operation, and
    ``check_gradient`` otherwise. The error's first line says which derivatives are wrong, for the
    summary of a test runner; the table follows, and the error holds the report as ``report``.
    """
    __tracebackhide__ = True  # pytest shows the line of the test, not this one
    of_rule: Callable[..., Report] = check_operation if hasattr(subject, "rule") else check_gradient
    check = check_network if isinstance(subject, Network) else of_rule
    report = check(subject, *arguments, **settings)
    if not report.ok:
        error: Any = AssertionError(f"{report.summary}\n{report}")
        error.report = report
        raise error
    return report


def _in_parts(subject: Subject, given: Mapping[str, Any]) -> Subject:
    """The subject with the flat vector among its arrays in named parts."""
    vectors = [k for k in subject.given(subject.copies()) if np.ndim(subject.arrays[k]) == 1]
    if len(vectors) != 1:
        of = [subject.names[k] for k in vectors]
        raise ValueError(f"parts are those of one flat vector, but the derivatives are by {of}")
    k = vectors[0]
    return split(subject, k, parts_given(given, subject.arrays[k].size))


@np.errstate(all="ignore")  # the report names values that are not finite
def checked(subject: Subject) -> Report:
    """Report whether each given derivative agrees, and which mistake explains one that does not."""
    notes = subject.notes
    problems = [*subject.problems()]
    if problems:
        return Report([], problems, notes)
    given, again, problems = subject.given_twice()
    if problems:
        return Report([], problems, notes)
    rng = np.random.default_rng(0)
    start = time.thread_time()
    subject.until = start + NUMERICAL_SECONDS
    subject.effect = max(map(subject.effect_of, given.items()), default=0.0)
    comparisons = {k: compare(subject, k, given[k], rng) for k in given}
    entries = {k: sides.entry() for k, sides in comparisons.items()}
    solver = solver_in(subject) if any(sides.is_wrong for sides in comparisons.values()) else None
    for k, entry in entries.items():
        if comparisons[k].is_wrong and solver and solver.explains(entry):
            entry.verdict = UNDECIDED
            entry.diagnosis = solver.sentence(entry)
        if not entry.ok and comparisons[k].has_shape and subject.has_steps(k):
            entry.verdict, entry.diagnosis = UNDECIDED, IN_STEPS
    evidence, started = None, time.thread_time()
    if any(entry.verdict in (DISAGREES, WRONG_SHAPE) for entry in entries.values()):
        evidence = Evidence(subject, comparisons)
        for k, finding in diagnose(evidence, start).items():
            if entries[k].verdict != UNDECIDED:
                entries[k].diagnosis, entries[k].kinds = finding
        for k in sorted(k for k in evidence.wrong if entries[k].verdict != UNDECIDED):
            of_slip = any(slip.sentence in entries[k].diagnosis for slip in evidence.found)
            by_parts = of_slip or not entries[k].kinds
            in_time = time.thread_time() - started < QUICK
            _look_closer(subject, k, entries[k], comparisons[k], by_parts, in_time)
        if evidence.unrecorded and not all(entries[k].kinds for k in evidence.wrong):
            why = evidence.unrecorded
            notes.append(f"no look inside the cost, at its numbers only ({why})")
    for k, entry in entries.items():
        entry.sides = _marked(entry, comparisons[k])
    stale = any("stale" in entry.kinds for entry in entries.values())
    if not stale and not all(same(given[k], again[k]) for k in given):
        problems = [
            "gradient changes between two calls with the same input: does it keep something from "
            "the call before, or draw noise?"
        ]
    if any(sides.has_shape for sides in comparisons.values()):
        notes += [*_of_exactness(subject, comparisons, solver)]

    def tracer() -> Trace:
        slips = evidence.found if evidence else []
        wrong = {
            k: (entries[k], given[k], slips if entries[k].kinds else [])
            for k in entries
            if not entries[k].ok
        }
        return traced(subject, evidence.recording if evidence else None, entries, wrong)

    return Report([*entries.values()], problems, notes, tracer)


def _marked(entry: Entry, sides: Comparison) -> tuple[Array, Array, Array] | None:
    """Both sides of a derivative and the mark of each entry, unless its shape is wrong."""
    if not sides.has_shape:
        return None
    known, apart = np.isfinite(sides.right), np.abs(sides.given - sides.right) > sides.bound
    marks = np.where(known, np.where(apart, "✗", np.where(sides.undecided, "?", "✓")), "·")
    marks = np.where(np.isfinite(sides.given), marks, "✗")
    if entry.verdict == UNDECIDED:
        marks[marks == "✗"] = "?"
    return sides.given, sides.right, marks


def _of_exactness(
    subject: Subject, comparisons: Mapping[int, Comparison], solver: Solver | None
) -> Iterator[str]:
    """Notes on the exactness of the cost, and on the tolerance that the caller gave."""
    scatter = "by no more than rounding"
    if subject.roughness:
        scatter = f"by {subject.roughness:.0e}, measured at neighbouring points"
        if not (subject.rtol or subject.atol or solver):
            yield (
                "the cost is less exact than float64 (computed in float32, or by subtracting what "
                f"is nearly equal): its values scatter {scatter}, which the uncertainty allows for"
            )
    if subject.rtol or subject.atol:
        yield (
            f"differences up to rtol = {subject.rtol:g} of the derivative and atol = "
            f"{subject.atol:g} are accepted; the values of the cost scatter {scatter}"
        )
    elif solver:
        yield (
            f"the cost calls {solver}; its values scatter {scatter}, but they may be further from "
            "the exact ones, all in the same direction"
        )


def _look_closer(
    subject: Subject, k: int, entry: Entry, sides: Comparison, by_parts: bool, in_time: bool
) -> None:
    """Say more of a wrong derivative than its numbers do, and name the part of it at fault.

    If ``by_parts``, the parts of a flat vector are checked one by one, and their findings are
    preferred where only some are wrong, or nothing was found in the whole. This is of no use where
    the numbers of the whole tell the mistake. It is left out, and that is said, if not ``in_time``.
    """
    if not sides.has_shape:
        return
    parts = parts_named(subject, k)
    if parts and by_parts and not in_time and entry.diagnosis.endswith(NONE):
        entry.diagnosis += untried()
    if entry.kinds == [] and 0 < entry.max_relative_error < SMALL:
        entry.diagnosis += (
            f"; the two differ by {entry.max_relative_error:.0e} of the derivative: if the cost is "
            "exact to a tolerance only, as with an inner solver, give it as rtol"
        )
    found: dict[str, Entry] = {}
    if parts and by_parts and in_time:
        report = checked(split(replace(subject, notes=[]), k, parts))
        found = {e.name: e for e in report.entries if not e.ok}
        wrong = [part for part in parts if part.name in found]
    else:
        apart = np.abs(sides.given - sides.right) > sides.bound
        wrong = [part for part in parts if apart[part.start : part.stop].any()]
    some = 0 < len(wrong) < len(parts)
    said: dict[str, list[Part]] = {}
    for part in wrong if found else ():
        said.setdefault(found[part.name].diagnosis, []).append(part)
    if said and (some or not entry.kinds) and not any(what.startswith(NONE) for what in said):
        sentences = (f"{_named(subject, k, of)}: {what}" for what, of in said.items())
        entry.diagnosis = "; ".join(sentences)
        entry.kinds = [*dict.fromkeys(kind for part in wrong for kind in found[part.name].kinds)]
    elif some:
        entry.diagnosis += f"; all that disagrees is {_named(subject, k, wrong)}"


def _named(subject: Subject, k: int, parts: Sequence[Part]) -> str:
    """Parts of flat vector k by name, slice and line: b1 = th[12:16] (`b1 = th[12:16]`, m.py:8)."""
    lines = [*dict.fromkeys(part.line for part in parts if part.line)]
    of = " and ".join(f"{part.name} = {subject.names[k]}{part}" for part in parts)
    return f"in {of}" + (f" ({'; '.join(lines)})" if lines else "")


def _blaming_rules(subject: Subject) -> Report:
    """The report on a recorded gradient; if it fails, with the names of the rules at fault."""
    report = checked(subject)
    if report.ok:
        return report
    blamed = {
        f"the rule {rule} is at fault, in its ∂C/∂{entry.name}: {entry.diagnosis}": entry.kinds
        for rule, operation in of_recorded_operations(subject)
        for entry in checked(operation).entries
        if not entry.ok
    }
    for entry in report.entries:
        if blamed and not entry.ok:
            entry.diagnosis = "; ".join(blamed)
            entry.kinds = [kind for kinds in blamed.values() for kind in kinds]
    return report
