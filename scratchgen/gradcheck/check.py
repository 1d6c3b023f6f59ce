"""Given derivatives compared with numerical ones: for a cost, a rule, or a network.

The left side is a function of arrays that returns one number, and the right side is one array for
each array with a given derivative. :func:`checked` runs all steps: can it be checked, does each
derivative agree, and if one does not, which mistake explains it?
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..nn import Network
from .comparison import compare
from .diagnosis import diagnose
from .evidence import Evidence
from .network import of_network, of_recorded_operations
from .report import Report
from .subject import Subject, of_gradient, of_operation, same

NUMERICAL_SECONDS = 4  # the time after which entries are tried along a few directions only


def check_gradient(
    cost: Callable[..., Any],
    gradient: Callable[..., Any],
    *arrays: Any,
    allow_undecided: bool = False,
) -> Report:
    """Is ``gradient(*arrays)`` the derivative of the scalar ``cost(*arrays)``? If not, why not?

    ``gradient`` returns one array for each of ``arrays``, in their order, or a dictionary by name.
    It returns ``None`` for arrays without a given derivative, and may omit the last ones. A single
    array is the derivative by the first of ``arrays``. The report uses the names of the parameters
    of ``gradient``. ``arrays`` may be on a GPU; numbers and float32 arrays are converted to
    float64. Both functions are called many times and must give the same answer each time: use fixed
    noise. A derivative is refused if an entry is too small, or the cost too inexact, to tell right
    from wrong; ``allow_undecided=True`` accepts it if all other entries agree.

    >>> report = check_gradient(lambda w, x: (w @ x) ** 2, lambda w, x: (w @ x) * x,
    ...                         np.array([0.3, -1.2]), np.array([2.0, 0.7]))
    >>> report.diagnosis
    ['∂C/∂w: yours = 0.5 × numerical in both entries: a factor 2 is missing']

    Raises ``ValueError`` if more derivatives are given than there are arrays, or none.
    """
    report = checked(of_gradient(cost, gradient, arrays))
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


def assert_gradient(subject: Any, *arguments: Any, **settings: Any) -> None:
    """Raise ``AssertionError`` with the report if a check fails.

    The check is ``check_network`` for a network, ``check_operation`` for an operation, and
    ``check_gradient`` otherwise.
    """
    of_rule: Callable[..., Report] = check_operation if hasattr(subject, "rule") else check_gradient
    check = check_network if isinstance(subject, Network) else of_rule
    report = check(subject, *arguments, **settings)
    if not report.ok:
        raise AssertionError(f"\n{report}")


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
    if any(sides.is_wrong for sides in comparisons.values()):
        evidence = Evidence(subject, comparisons)
        for k, finding in diagnose(evidence, start).items():
            entries[k].diagnosis, entries[k].kinds = finding
        if evidence.unrecorded and not all(entries[k].kinds for k in evidence.wrong):
            why = evidence.unrecorded
            notes.append(f"no look inside the cost, at its numbers only ({why})")
    stale = any("stale" in entry.kinds for entry in entries.values())
    if not stale and not all(same(given[k], again[k]) for k in given):
        problems = [
            "gradient changes between two calls with the same input: does it keep something from "
            "the call before, or draw noise?"
        ]
    if any(sides.has_shape for sides in comparisons.values()) and subject.roughness:
        notes.append(
            "the cost is less exact than float64 (computed in float32, or by subtracting what is "
            "nearly equal), which its uncertainty allows for"
        )
    return Report([*entries.values()], problems, notes)


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
