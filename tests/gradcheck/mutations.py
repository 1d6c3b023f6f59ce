"""The mistakes that a check must catch, and name: ``python -m tests.gradcheck.mutations`` counts.

Every kind of mistake is made in every rule, network and derivation that it applies to, at inputs
drawn anew each time. A mistake that makes no difference there is none, and is left out: a softmax
of a softmax taken twice, an index shifted along an axis of equal entries.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.gradcheck import Report
from scratchgen.gradcheck.subject import _share
from tests.gradcheck.handwritten import SUBJECTS
from tests.gradcheck.wrong_rules import RULE_MISTAKES, RuleMistake
from tests.rules import on

DRAWS = 20


@dataclass
class Made:
    """A mistake that was made, and what the check said of it."""

    kind: str
    subject: str
    report: Report
    names: frozenset

    @property
    def caught(self):
        return not self.report.ok

    @property
    def named(self):
        """Whether the first of the equations that disagree is given one of the right names."""
        wrong = [entry for entry in self.report.entries if not entry.ok]
        return bool(wrong) and bool(self.names & set(wrong[0].kinds))

    @property
    def sentence(self):
        return next(iter(self.report.diagnosis), "")


def in_rules(draw: int, every: int = 1) -> Iterator[Made]:
    """One equation of a rule of the library is wrong."""
    for number, mistake in enumerate(RULE_MISTAKES):
        for call in list(mistake.calls(np.random.default_rng([draw, number])))[::every]:
            if makes_a_difference(mistake, call):
                wrong = call.with_equation(mistake.wrong)
                report = sg.check_operation(wrong, *call.inputs, **on("cpu", call.settings))
                yield Made(mistake.kind, f"rule {call.name}", report, frozenset(mistake.names))


def makes_a_difference(mistake: RuleMistake, call) -> bool:
    """Whether the share of the wrong equation is another one, once the engine has summed it."""
    value, equations = call.equations_at(call.inputs)
    delta = np.random.default_rng(0).standard_normal(np.shape(value))
    wrong = lambda delta: np.asarray(mistake.wrong(call, equations[call.k], delta))
    right, wrong = (_share(value, of, call.x, delta) for of in (equations[call.k], wrong))
    return np.shape(right) != np.shape(wrong) or not np.allclose(right, wrong, 1e-6, 1e-12)


def by_hand(draw: int, every: int = 1) -> Iterator[Made]:
    """A slip of the pen in a gradient derived by hand."""
    for subject in SUBJECTS:
        for number, slip in list(enumerate(subject.slips))[::every]:
            arrays = subject.draw(np.random.default_rng([draw, number]), slip.square)
            for how, cost in subject.costs.items():
                report = sg.check_gradient(cost, subject.with_slip(slip), *arrays)
                yield Made(slip.kind, f"{subject.name} ({how})", report, slip.names)


def in_networks(draw: int) -> Iterator[Made]:
    """A network of a user's own layer, one rule of which is wrong: the rule is to be named."""
    rng = sg.generator(draw)
    x = rng.standard_normal((5, 3))
    for kind, names, wrong in WRONG_ACTIVATIONS:
        first, last = nn.Linear(3, 4, rng=rng), nn.Linear(4, 2, rng=rng)
        network = nn.Sequential(first, Activation(wrong), last)
        report = sg.check_network(network, x)
        blamed = "the rule activation is at fault" in " ".join(report.diagnosis)
        yield Made(kind, "network with the wrong rule", report, frozenset(names if blamed else ()))


class Activation(nn.Network):
    """A user's own layer: z ↦ tanh z, with an equation of their own."""

    def __init__(self, equation):
        self._equation = equation

    def __call__(self, x, rng=None):
        return activation(x, equation=self._equation)


@sg.differentiable
def activation(z, *, equation):
    a = np.tanh(z)
    return a, (lambda delta: equation(delta, z, a),)


WRONG_ACTIVATIONS = [
    ("σ′ missing", {"derivative missing"}, lambda delta, z, a: delta.copy()),
    (
        "σ′ taken at the value",
        {"derivative at the value"},
        lambda delta, z, a: delta * (1 - np.tanh(a) ** 2),
    ),
    ("sign", {"sign"}, lambda delta, z, a: delta * (a**2 - 1)),
    ("factor 2", {"factor 2"}, lambda delta, z, a: 2 * delta * (1 - a**2)),
    ("left at zero", {"zero"}, lambda delta, z, a: 0 * delta),
    (
        "an index shifted",
        {"shifted"},
        lambda delta, z, a: np.roll(delta * (1 - a**2), 1, axis=1),
    ),
]


def mistakes(draws, every: int = 1) -> Iterator[Made]:
    """Every mistake, or one in so many, at each of the draws of these numbers."""
    for draw in draws:
        yield from in_rules(draw, every)
        yield from by_hand(draw, every)
        yield from in_networks(draw)


@dataclass
class Tally:
    """What became of the mistakes of one kind."""

    subjects: set = field(default_factory=set)
    made: int = 0
    caught: int = 0
    named: int = 0
    example: str = ""
    others: Counter = field(default_factory=Counter)

    def add(self, mistake: Made):
        self.subjects.add(mistake.subject)
        self.made += 1
        self.caught += mistake.caught
        self.named += mistake.named
        if mistake.named:
            self.example = max(self.example, mistake.sentence, key=lambda s: (bool(s), -len(s)))
        else:
            self.others[mistake.subject, mistake.sentence] += 1


def tally(draws, every: int = 1) -> dict[str, Tally]:
    """By kind, and ``"all"`` of them."""
    found: dict[str, Tally] = {}
    everything = Tally()
    for mistake in mistakes(draws, every):
        found.setdefault(mistake.kind, Tally()).add(mistake)
        everything.add(mistake)
    return {**dict(sorted(found.items())), "all": everything}


def right_gradients(draws) -> Iterator[tuple[str, Report]]:
    """Nothing is wrong here: derivations of the same subjects and rules, in float64 and float32."""
    for draw in draws:
        rng = np.random.default_rng([draw, 10**6])
        for subject in SUBJECTS:
            for square in (False, True):
                arrays = subject.draw(rng, square)
                single = [np.asarray(x, np.float32) for x in arrays]
                for how, cost in subject.costs.items():
                    name = f"{subject.name} ({how})"
                    yield name, sg.check_gradient(cost, subject.gradient, *arrays)
                    yield name, sg.check_gradient(cost, subject.gradient, *single)
                    yield name, sg.check_gradient(cost, in_float32(subject.gradient), *arrays)
        for mistake in RULE_MISTAKES[:1]:
            for call in mistake.calls(rng):
                operation, settings = getattr(ops, call.name), on("cpu", call.settings)
                yield call.name, sg.check_operation(operation, *call.inputs, **settings)


def in_float32(gradient):
    """The gradient as a user writes it who computes in float32 throughout."""

    def computed(*arrays):
        found = gradient(*(np.asarray(x, np.float32) for x in arrays))
        if isinstance(found, dict):
            return {name: np.float32(g) for name, g in found.items()}
        found = found if isinstance(found, tuple) else (found,)
        return tuple(np.float32(g) for g in found)

    computed.__wrapped__ = gradient
    return computed


def as_markdown(found: dict[str, Tally]) -> str:
    """The table."""
    lines = ["| mistake | subjects | made | caught | named | what is said |", "|---" * 6 + "|"]
    for kind, row in found.items():
        said = "" if kind == "all" else row.example.replace("|", "\\|")
        lines.append(
            f"| {kind} | {len(row.subjects)} | {row.made} | {row.caught / row.made:.2%} | "
            f"{row.named / row.made:.2%} | {said} |"
        )
    return "\n".join(lines)


def main(draws: int = DRAWS) -> None:
    """Print the table, what was not named, and the number of false alarms."""
    found = tally(range(draws))
    print(as_markdown(found))
    for (subject, sentence), times in found["all"].others.most_common(20):
        print(f"\nnot named, {times} times: {subject}: {sentence}")
    checked = [report.ok for _, report in right_gradients(range(draws))]
    print(f"\n{len(checked)} right gradients, {checked.count(False)} false alarms")


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main(*map(int, sys.argv[1:]))
