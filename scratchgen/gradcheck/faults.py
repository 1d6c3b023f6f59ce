"""The equations of a recorded cost in which the mistake of a given derivative is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from ..autodiff import Tensor, ancestry
from ..backend import Array
from ..tracing import Trace, trace
from .recording import Bend, Recording, Slip, recorded
from .report import Entry
from .subject import Subject

Place = tuple[Tensor, int]
"""The equation of a tensor for its input k."""


def traced(
    subject: Subject,
    recording: Recording | None,
    derived: Collection[int],
    wrong: Mapping[int, tuple[Entry, Array, Iterable[Slip]]],
) -> Trace:
    """The trace of a subject's cost back to the arrays ``derived``, with the faults of the wrong.

    ``wrong`` has, by position, the entry of the report, the given derivative, and the slips that
    may be its mistake. Raises ``ValueError`` if the cost cannot be recorded.
    """
    found = recording or recorded(subject.cost, subject.arrays, subject.names)
    if isinstance(found, str):
        raise ValueError(f"the cost cannot be recorded, so that it has no trace: {found}")
    named = [*zip(subject.names, found.arguments, strict=True)]
    leads = {*ancestry(found.cost)}
    wrt = {name: x for k, (name, x) in enumerate(named) if k in derived and x in leads}
    names = {name: x for name, x in named if name not in wrt and isinstance(x, Tensor)}
    places: dict[Place, str] = {}
    given = {}
    for k, (entry, g, slips) in wrong.items():
        given[entry.name] = g
        at = [
            (place, slip.sentence)
            for slip in slips
            if slip.sentence in entry.diagnosis
            for bend in slip.bends
            for place in _bent(bend)
        ]
        if not at:
            said = f"∂C/∂{entry.name}: {entry.diagnosis}"
            at = [(place, said) for place in _leading_to(found, found.arguments[k])]
        for place, sentence in at:
            places.setdefault(place, sentence)
    return trace(found.cost, wrt, names, faults=places, wrong=given)


def _bent(bend: Bend) -> Iterator[Place]:
    """The equations that a bend replaces: one, or all on the way that it cuts short."""
    node = bend.tensor
    if [*map(id, bend.inputs)] == [*map(id, node.inputs)]:
        pairs = enumerate(zip(node.equations, bend.equations, strict=True))
        yield from ((node, k) for k, (right, other) in pairs if right is not other)
        return
    leads = {bend.inputs[0]}
    for y in ancestry(node, 8):
        for k, x in enumerate(y.inputs):
            if isinstance(x, Tensor) and x in leads:
                leads.add(y)
                yield y, k


def _leading_to(recording: Recording, x: object) -> Iterator[Place]:
    """The equations whose share goes to ``x`` at once."""
    for node in recording.nodes:
        yield from ((node, k) for k, y in enumerate(node.inputs) if y is x)
