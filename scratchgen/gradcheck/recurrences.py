"""Slips in a cost that works in steps, as a recurrence does: δ is not carried all the way back.

A value is carried from one step of a loop to the next if it is computed by a later instruction than
the one that takes it, in the same function: h in ``h = np.tanh(U @ x[t] + W @ h)``. On the way
back, δ is carried from each step to the one before. It may be left out, be carried over a few steps
only, or stop at some of them; a filter may stand in the place of a smoother.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import operations
from ..autodiff import Equation, Tensor
from ..backend import Array
from .places import Place
from .recording import FUNCTIONS, Bend, Recording, Slip, Step, Sweep

LOGARITHMS = (operations.log, operations.logsumexp, operations.logdet)
SQUASHING = {*FUNCTIONS} - {"softmax", "log_softmax"}


class State(NamedTuple):
    """A value that is carried from step to step, and the equations that hand its δ back."""

    where: str
    """The line of the source that computes it."""
    steps: list[list[Step]]
    """For each step of the loop but the first, those that take the value of the step before."""


def in_recurrences(recording: Recording, steps: Sequence[Step]) -> Iterator[Slip]:
    """The δ of what is carried from step to step is carried nowhere: in all states, or in one."""
    states = states_of(recording, steps)
    for state in _all_and_each(states):
        yield carried_nowhere(recording, state)
    for state in states:
        yield from forward_alone(recording, state)
    yield from chained(recording, steps)


def in_parts_of_recurrences(recording: Recording, steps: Sequence[Step]) -> Iterator[Slip]:
    """The δ of what is carried from step to step is cut somewhere: in all states, or in one."""
    for state in _all_and_each(states_of(recording, steps)):
        yield from truncated(recording, state)


def _all_and_each(states: list[State]) -> list[State]:
    return [*([_together(states)] if len(states) > 1 else []), *states]


def states_of(recording: Recording, steps: Sequence[Step]) -> list[State]:
    """The values that are carried from step to step, each taken in two steps at least."""
    places, lines = recording.places, dict[Any, list[Step]]()
    users = Counter(x for node in recording.steps for x in node.inputs if isinstance(x, Tensor))
    for step in steps:
        if step.node in places and step.x in places:
            key = places[step.node], step.node.operation, step.k
            lines.setdefault(key, []).append(step)
    found: dict[Place, dict[Tensor, list[Step]]] = {}
    for of_line in lines.values():
        returns = [s for s in of_line if _returns(s, recording)]
        if all(_is_collected(s, users) for s in returns):
            continue
        taken = found.setdefault(places[returns[0].x], {})
        for step in of_line:  # the first may take a value that is computed before the loop
            taken.setdefault(step.x, []).append(step)
    return [
        State(str(place), [taken[x] for x in sorted(taken, key=lambda x: x.birth)])
        for place, taken in found.items()
        if len(taken) > 1
    ]


def _returns(step: Step, recording: Recording) -> bool:
    """Whether the program went back to an earlier line, or to the same operation, with a value.

    One call of a library may compute several values, by other operations, in the same instruction.
    """
    there, here = recording.places[step.node], recording.places[step.x]
    return there.is_before(here) and (there != here or step.node.operation is step.x.operation)


def _is_collected(step: Step, users: Counter[Tensor]) -> bool:
    """Whether a step adds to a sum, or writes into an array, that is not read in the loop."""
    if step.node.operation is operations.setitem:
        return step.k == 0
    return {step.node.operation, step.x.operation} == {operations.add} and users[step.x] == 1


def _together(states: Sequence[State]) -> State:
    """All states as one: their last steps are the same."""
    number = max(len(state.steps) for state in states)
    steps = [
        [*itertools.chain(*(s.steps[-i] for s in states if i <= len(s.steps)))]
        for i in range(number, 0, -1)
    ]
    return State(" and ".join(dict.fromkeys(state.where for state in states)), steps)


def carried_nowhere(recording: Recording, state: State) -> Slip:
    """The δ of each step is carried back over no others."""
    kind, sentence = _left_out(recording, [step.x for step in state.steps[0]])
    sentence += f"; so at each of the {len(state.steps)} uses in {state.where}"
    return Slip(kind, sentence, cut(itertools.chain(*state.steps)), False)


def truncated(recording: Recording, state: State) -> Iterator[Slip]:
    """The δ of each step is carried back over few others, or is cut at some."""
    number, every = len(state.steps), cut(itertools.chain(*state.steps))
    of_ages = _Ages(recording, state)
    uses, kind = f"{number} uses in {state.where}", "truncated recurrence"
    for most in range(1, number):
        over = f"over {most} steps" if most > 1 else "over one step"
        sentence = f"the δ of a step is carried back {over} at most, not over all of the {uses}"
        yield Slip(kind, sentence, every, False, sweep=of_ages.up_to(most))
    for at, where in _places_of_cuts(number):
        sentence = f"the δ carried back from step to step is cut {where}, of the {uses}"
        yield Slip(kind, sentence, cut(itertools.chain(*(state.steps[i] for i in at))), False)


def _places_of_cuts(number: int) -> Iterator[tuple[list[int], str]]:
    """Where δ may be cut on its way through so many uses, each with words for it."""
    for length in range(2, number + 1):
        for end, word in ((0, "first"), (number + 1, "last")):
            at = [i for i in range(number) if (i + 1 - end) % length == 0]
            once = f"between steps {at[0] + 1} and {at[0] + 2}"
            yield at, f"after each {length} steps from the {word} on" if len(at) > 1 else once
    for some in range(2, number):
        yield [*range(some)], f"at the first {some}"
        yield [*range(number - some, number)], f"at the last {some}"


def cut(steps: Iterator[Step]) -> tuple[Bend, ...]:
    """The bends by which these equations hand back nothing."""
    of_nodes: dict[Tensor, list[int]] = {}
    for step in steps:
        of_nodes.setdefault(step.node, []).append(step.k)
    return tuple(
        Bend(node, node.inputs, tuple(_nothing(e) if k in at else e for k, e in _numbered(node)))
        for node, at in of_nodes.items()
    )


def _numbered(node: Tensor) -> Iterator[tuple[int, Equation]]:
    return enumerate(node.equations)


def _nothing(equation: Equation) -> Equation:
    return lambda delta: 0 * equation(delta)


class _Ages:
    """The derivatives, by the number of steps over which the δ in them was carried back.

    The part of number 0 is that of one sweep in which no δ is carried. What would have been carried
    is where the sweep for the next part begins. Their sum is the derivative.
    """

    def __init__(self, recording: Recording, state: State) -> None:
        self.recording = recording
        self.ends = {step.x: Tensor(step.x.data) for steps in state.steps for step in steps}
        taken: dict[Tensor, set[int]] = {}
        for step in itertools.chain(*state.steps):
            taken.setdefault(step.node, set()).add(step.k)
        self.bends = [
            Bend(
                node,
                tuple(self.ends[x] if k in at else x for k, x in enumerate(node.inputs)),
                node.equations,
            )
            for node, at in taken.items()
        ]
        self.kept: dict[tuple[int, ...], list[list[Array]]] = {}

    def up_to(self, most: int) -> Sweep:
        """A sweep whose δ is carried back over at most so many steps."""

        def sweep(wrt: Sequence[int]) -> list[Array] | None:
            if (key := tuple(wrt)) not in self.kept:
                self.kept[key] = [*itertools.accumulate(self.parts(key), _sums)]
            sums = self.kept[key]
            return sums[min(most, len(sums) - 1)] if sums else None

        return sweep

    def parts(self, wrt: Sequence[int]) -> Iterator[list[Array]]:
        """The part of each number."""
        wanted = [self.recording.arguments[k] for k in wrt]
        seeds: dict[Tensor, Array] | None = None
        while seeds != {}:
            found = self.recording.swept([*wanted, *self.ends.values()], self.bends, seeds)
            if found is None:
                return
            yield found[: len(wanted)]
            handed = zip(self.ends, found[len(wanted) :], strict=True)
            seeds = {x: delta for x, delta in handed if delta.any()}


def _sums(first: list[Array], second: list[Array]) -> list[Array]:
    return [a + b for a, b in zip(first, second, strict=True)]


def forward_alone(recording: Recording, state: State) -> Iterator[Slip]:
    """The δ of each step is what it would be if the cost were read off there, or in the last step.

    So it is if the forward message of a hidden Markov model is taken for the posterior.
    """
    taken = [steps[0] for steps in state.steps]
    values = [s.node if s.node.operation is operations.getitem else s.x for s in taken]
    last = _last(recording, taken, values[-1].shape)
    if last is None or any(value.shape != last.shape for value in values):
        return
    of_last = recording.swept([last], ())
    users = [node for node in recording.steps if any(x is last for x in node.inputs)]
    here: dict[Tensor, Array] = {}
    there: dict[Tensor, Array] = {}
    for step, value in zip(taken, values, strict=True):
        as_last = {node: tuple(value if x is last else x for x in node.inputs) for node in users}
        bends = recording.instead(as_last)
        found = recording.swept([value], bends) if bends else None
        if found is None or of_last is None:
            return
        for seeds, delta in ((here, found[0]), (there, of_last[0])):
            seeds[step.x] = step.equation(delta) if value is step.node else delta
    bends = cut(itertools.chain(*state.steps))
    uses = f"at each of the {len(taken)} uses in {state.where}"
    for seeds, as_if in (
        (here, "as if the cost were read off at each step"),
        (there, "as if δ were the same at each step, that of the last"),
    ):
        sentence = (
            f"the forward message alone, {as_if}: nothing comes back from later steps, so that a "
            f"filter stands in the place of a smoother; so {uses}"
        )
        yield Slip(
            "filter for smoother", sentence, bends, False, sweep=_from(recording, bends, seeds)
        )


def _from(recording: Recording, bends: Sequence[Bend], seeds: dict[Tensor, Array]) -> Sweep:
    """A sweep that begins with these δ too."""
    of_cost = {recording.cost: np.ones_like(recording.cost.data)}
    return lambda wrt: recording.swept(
        [recording.arguments[k] for k in wrt], bends, of_cost | seeds
    )


def _last(recording: Recording, taken: Sequence[Step], shape: tuple[int, ...]) -> Tensor | None:
    """The value of the last step, which no other takes."""
    places, carried = recording.places, {step.x for step in taken}
    there = places[taken[-1].x]
    for node in reversed(recording.steps):
        if node.operation is operations.getitem and node.shape == shape:
            buffer = node.inputs[0]
            if places.get(buffer) == there and buffer not in carried:
                return node
        elif places.get(node) == there and node not in carried:
            return node if node.shape == shape else None
    return None


def chained(recording: Recording, steps: Sequence[Step]) -> Iterator[Slip]:
    """The share that a value receives in one line is left out in each step, which follows from it.

    So it is wherever in its body a loop is cut.
    """
    lines: dict[Any, list[Step]] = {}
    for step in sorted(steps, key=lambda step: step.node.birth):
        if step.node in recording.places and step.x.operation is not None:
            key = recording.places[step.node], step.node.operation, step.k
            lines.setdefault(key, []).append(step)
    for (place, *_), uses in lines.items():
        first = uses[0]
        if len(uses) < 3 or uses[1].x not in recording.leads((first.node,)):
            continue
        kind, sentence = _left_out(recording, [first.x])
        x, node = recording.expression(first.x), recording.expression(first.node)
        sentence += f": what {x} receives through {node} is missing; so at each of the "
        yield Slip(kind, f"{sentence}{len(uses)} uses in {place}", cut(iter(uses)), False)


def _left_out(recording: Recording, carried: Sequence[Tensor]) -> tuple[str, str]:
    """The kind and the sentence of a δ that is carried nowhere."""
    sentence = "the δ carried back from step to step is left out"
    if not _is_likelihood(recording, carried):
        return "truncated recurrence", sentence
    sentence += (
        ", so that each step is told by those before it alone: a filter stands in the place of a "
        "smoother"
    )
    return "filter for smoother", sentence


def _is_likelihood(recording: Recording, carried: Sequence[Tensor]) -> bool:
    """Whether the cost is a logarithm of what is carried, which no activation function changes."""
    leads = recording.leads(tuple(carried))
    nodes = [node for node in recording.steps if node in leads]
    of_log = any(node.operation in LOGARITHMS for node in nodes)
    return of_log and not any(
        function[0] in SQUASHING for node in nodes if (function := recording.function(node))
    )
