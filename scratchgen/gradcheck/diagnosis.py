"""Which mistake explains the numbers: the catalogue, tried in order, from plain to involved.

A finding fits in every entry that is known, and would not fit the right derivative; where nothing
in the catalogue does, that is said, and nothing is guessed.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, device_of, to_device, to_host
from . import catalogue
from .catalogue import Mistake
from .recorded import Bend, Recording

NONE = "none of the known mistakes fits"
MANY_SLIPS = 60


class Finding(NamedTuple):
    """What is said of one equation, and the kinds of mistake that it names."""

    sentence: str
    kinds: list[str]


class Evidence:
    """All that is known about a cost and the derivatives given for it."""

    def __init__(
        self,
        subject: Any,
        given: dict[int, Array],
        right: dict[int, Array],
        kinks: dict[int, list[tuple[int, ...]]],
        agrees: Callable[[dict[int, Array]], bool],
        numerical: Callable[[Sequence[Any], int, Array | None], Array | None],
        elsewhere: Sequence[Any],
        wrong: Set[int],
    ) -> None:
        self.subject, self.names, self.elsewhere = subject, subject.names, elsewhere
        self.given = {k: np.asarray(to_host(g), dtype=np.float64) for k, g in given.items()}
        self.loose = any(to_host(g).dtype == np.float32 for g in given.values())
        self._numerical = numerical
        self.kinks = kinks
        self.found: list[Bend] = []
        self.wrong = wrong
        self.unrecorded = ""
        self.recording: Recording | None
        self.lengths, self.batches = _lengths(subject)
        self.recording, self.right = None, right
        recording = self._recorded(subject.arrays)
        if isinstance(recording, str):
            self.unrecorded = recording
        else:
            recording.lengths = self.lengths
            found = ((k, recording.gradient(k)) for k in right)
            engine = {k: g for k, g in found if g is not None}
            # The engine's gradient stands for the numerical one only where it agrees with it.
            if len(engine) == len(right) and agrees(engine):
                self.recording, self.right = recording, engine
            else:
                self.unrecorded = "the recorded gradient is not the numerical one"
        for k, places in kinks.items():
            for place in places:  # where several answers are right, the given one
                self.right[k][place] = self.given[k][place]

    def _recorded(self, arrays: Sequence[Any]) -> Recording | str:
        """The cost recorded at these arrays, or why it cannot be."""
        if any(device_of(x) != "cpu" for x in arrays):
            return "its arrays are on a GPU"
        tensors = [Tensor(x) if _is_real(x) else x for x in arrays]
        with np.errstate(all="ignore"):
            try:
                cost = self.subject.cost(tensors)
            except Exception as error:  # written with functions that have no rule
                return f"{type(error).__name__}: {error}"
        if not isinstance(cost, Tensor) or cost.shape != ():
            return "called on tensors it returned none"
        return Recording(cost, tensors, self.names)

    def like(self, value: Array, x: Any) -> Any:
        """``value`` on the device of ``x``."""
        return to_device(value, device_of(x))

    def reference(self, arrays: Sequence[Any], k: int) -> Array | None:
        """∂C/∂(array k) at other inputs: the engine's where it may be trusted, else by numbers."""
        if self.recording is not None:
            recording = self._recorded(arrays)
            return None if isinstance(recording, str) else recording.gradient(k)
        return self._numerical(arrays, k, None)

    def of_row(self, row: int, n: int, k: int) -> Iterator[Array]:
        """∂C/∂(array k) of one row of the batch alone."""
        shape = self.right[k].shape
        if self.subject.delta is not None:
            delta = self.subject.delta
            if delta.shape and delta.shape[0] == n:
                alone = np.zeros_like(delta)
                alone[row] = delta[row]
                share = self._numerical(self.subject.arrays, k, alone)
                if share is not None:
                    yield share
            return
        rows = [j for j, x in enumerate(self.subject.arrays) if np.ndim(x) and len(x) == n]
        data = [j for j in rows if j not in self.given]
        for batch in (data, [j for j in rows if j != k]):
            arrays = [
                x[row : row + 1] if j in batch else x for j, x in enumerate(self.subject.arrays)
            ]
            try:
                share = self.reference(arrays, k) if batch else None
            except Exception:
                continue  # what has n rows was no batch
            if share is not None and share.shape == shape:
                yield share

    def diagonal(self, k: int) -> Array | None:
        """∂valueᵢ/∂xᵢ alone, of an operation whose value has the shape of input k."""
        x = to_host(self.subject.arrays[k])
        if x.size > 256:
            return None
        diagonal, h = np.zeros(x.size), 1e-5
        for i in range(x.size):
            sides = []
            for step in (h, -h):
                inputs = list(self.subject.arrays)
                other = x.copy()
                other.reshape(-1)[i] += step
                inputs[k] = self.like(other, inputs[k])
                sides.append(to_host(self.subject.value(inputs)).reshape(-1)[i])
            diagonal[i] = (sides[0] - sides[1]) / (2 * h)
        return diagonal.reshape(x.shape)

    @functools.cached_property
    def bends(self) -> list[Bend]:
        """Every slip in the recorded equations that lead to a wrong derivative."""
        if self.recording is None:
            return []
        return [*self.recording.bends(sorted(self.wrong))]

    def is_right(self, k: int) -> bool:
        """Whether the given numbers are the right ones, as far as mistakes are told apart."""
        return self.fits(k, Mistake("", "", self.given[k], self.right[k]))

    def fits(self, k: int, mistake: Mistake) -> bool:
        """Whether the numbers of derivative k are what this mistake makes of them.

        Entries at a kink do not speak: there are several right answers.
        """
        left, right = mistake.left, mistake.right
        if left.shape != right.shape:
            return False
        known = np.isfinite(right)
        if right.shape == self.right[k].shape:
            for index in self.kinks[k]:
                known[index] = False
        left, right = left[known], right[known]
        if not right.size or not np.isfinite(left).all():
            return False
        # The more hypotheses there are, the closer one has to fit to be no coincidence.
        tolerance = 1e-4 if self.loose else 1e-6 if self.recording is None else 1e-8
        bound = tolerance * (np.abs(right) + 0.01 * np.abs(right).max())
        of_sums = 1e-14 * np.nansum(np.abs(self.right[k]))  # what is left where terms cancel
        return bool(np.all(np.abs(left - right) <= bound + of_sums))

    def explains_all(self, bend: Bend) -> bool:
        """Whether all derivatives that were given follow from this one slip."""
        assert self.recording is not None
        follows = ((j, self.recording.gradient(j, bend)) for j in self.given)
        return all(
            g is not None and self.fits(j, Mistake("", "", self.given[j], g)) for j, g in follows
        )

    def what_is_seen(self, k: int) -> str:
        """What can be said of the numbers where no mistake explains them."""
        given, right = self.given[k], self.right[k]
        if given.shape != right.shape:
            return f"shape {given.shape} was given, {right.shape} was expected; "
        known = np.isfinite(right) & (right != 0)
        ratio = given[known] / right[known]
        if (
            ratio.size > 2
            and np.ptp(ratio) <= 1e-6 * abs(ratio[0])
            and not np.any(given[right == 0])
        ):
            return f"yours = {ratio[0]:.6g} × numerical {catalogue.entries(right, right)}; "
        size = np.abs(right[np.isfinite(right)]).max(initial=0)
        wrong = np.argwhere(np.abs(given - right) > 1e-6 * (np.abs(right) + 0.01 * size))
        if not 0 < 4 * len(wrong) <= given.size:
            return ""
        shown = ", ".join(str([int(i) for i in index]) for index in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return f"agrees but for entry {shown}{more}; "


def diagnose(evidence: Evidence) -> dict[int, Finding]:
    """For each wrong derivative the mistake, or two of them, or that none is known that fits.

    One mistake is looked for in all of them first: it is likely to be half of two in the others.
    """
    findings: dict[int, Finding] = {
        k: Finding("the difference is too small for any known mistake: rounding?", [])
        for k in evidence.wrong
        if evidence.is_right(k)
    }
    for ways in (_alone, _with_factor, _on_top, _in_pairs):
        for k in sorted(evidence.wrong):
            if k not in findings:
                found = _best(evidence, k, ways(evidence, k))
                if found is not None:
                    findings[k] = Finding(found.sentence, found.kind.split(" + "))
                    evidence.found += [] if found.bend is None else [found.bend]
    for k in evidence.wrong - findings.keys():
        findings[k] = Finding(evidence.what_is_seen(k) + NONE, [])
    return findings


def _best(evidence: Evidence, k: int, mistakes: Iterator[Mistake]) -> Mistake | None:
    """The first that fits; but of slips, one from which the other given derivatives follow too."""
    first = None
    for mistake in mistakes:
        if evidence.fits(k, mistake):
            if mistake.bend is None or evidence.explains_all(mistake.bend):
                return mistake
            first = first or mistake
    return first


def _alone(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """One mistake."""
    finite = np.isfinite(evidence.given[k])
    if not finite.all():
        what = f"{finite.size - finite.sum():,} of its {finite.size:,} entries are not finite"
        yield Mistake("not finite", what, np.zeros(1), np.zeros(1))
    if evidence.given[k].shape != evidence.right[k].shape:
        yield from catalogue.of_shape(evidence, k)
        return
    yield from catalogue.of_numbers(evidence, k)
    yield from catalogue.of_experiments(evidence, k)
    yield from _recorded(evidence, k)
    yield from catalogue.of_residuals(evidence, k)


def _recorded(evidence: Evidence, k: int) -> Iterator[Mistake]:
    recording, given = evidence.recording, evidence.given[k]
    if recording is None:
        return
    for bend in evidence.bends:
        follows = recording.gradient(k, bend)
        same = Mistake("", "", evidence.right[k], np.zeros(1) if follows is None else follows)
        if follows is not None and not evidence.fits(k, same):
            yield Mistake(bend.kind, bend.sentence, given, follows, bend=bend)
    other = recording.other_mask({k: given})
    if other is not None:
        yield Mistake(*other, given, given)


def _with_factor(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A mistake and a factor beside it."""
    if evidence.loose:
        return
    for mistake in _alone(evidence, k):
        if mistake.says_factor or mistake.left.shape != mistake.right.shape:
            continue
        for kind, factor, why in catalogue.factors(evidence):
            yield Mistake(
                f"{mistake.kind} + {kind}",
                f"two mistakes: {mistake.sentence}; and {factor:.4g} × that: {why}",
                mistake.left,
                factor * mistake.right,
            )


def _on_top(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A slip in the recorded equations, and what shows in the numbers that follow from it."""
    recording = evidence.recording
    if recording is None or evidence.given[k].shape != evidence.right[k].shape or evidence.loose:
        return
    local = [bend for bend in evidence.bends if bend.local]
    for bend in [*evidence.found, *(local if len(local) <= MANY_SLIPS else ())]:
        follows = recording.gradient(k, bend)
        if follows is not None:
            then = copy.copy(evidence)
            then.right = {**evidence.right, k: follows}
            for mistake in catalogue.of_numbers(then, k):
                yield mistake._replace(
                    kind=f"{bend.kind} + {mistake.kind}",
                    sentence=f"two mistakes: {bend.sentence}; and what follows from that "
                    f"{mistake.sentence}",
                )


def _in_pairs(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """Two slips in two of the recorded equations."""
    recording, given = evidence.recording, evidence.given[k]
    if recording is None or given.shape != evidence.right[k].shape or evidence.loose:
        return
    local = [bend for bend in evidence.bends if bend.local]
    tried = itertools.chain(
        itertools.product(evidence.found, evidence.bends),
        itertools.combinations(local, 2) if len(local) <= MANY_SLIPS else (),
    )
    for first, second in tried:
        if first.tensor is second.tensor:
            continue
        follows = recording.gradient(k, first, second)
        if follows is not None:
            yield Mistake(
                f"{first.kind} + {second.kind}",
                f"two mistakes: {first.sentence}; and {second.sentence}",
                given,
                follows,
            )


def _lengths(subject: Any) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """The lengths that a derivation may be off by, and those that may be a batch's."""
    arrays = [
        (name, x) for name, x in zip(subject.names, subject.arrays, strict=True) if np.ndim(x)
    ]
    firsts: dict[int, list[str]] = {}
    for name, x in arrays:
        firsts.setdefault(int(np.shape(x)[0]), []).append(name)
    batches = {
        n: "the batch size" if len(of) > 1 else f"the length of {of[0]}"
        for n, of in sorted(firsts.items(), key=lambda item: -len(item[1]))
        if n > 1
    }
    lengths = dict(batches)
    for name, x in arrays:
        for axis, n in enumerate(np.shape(x)):
            if n > 1:
                lengths.setdefault(int(n), f"the length of axis {axis} of {name}")
        lengths.setdefault(int(np.size(x)), f"the number of entries of {name}")
    return [(n, what) for n, what in lengths.items() if n > 2], [*batches.items()]


def _is_real(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", None) == "f"
