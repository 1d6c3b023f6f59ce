"""All evidence about a cost and its given derivatives, which a mistake has to fit."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..backend import Array
from .comparison import EXHAUSTIVE, Comparison, by_numbers
from .numerical import by_differences, moved
from .recording import Recording, Slip, recorded
from .slips import slips
from .subject import Subject

BATCH = "the batch size"
MANY, SEVERAL = 10_000, 500  # entries; of many, several are compared before all


class Mistake(NamedTuple):
    """One hypothesis: ``left``, made of the given numbers, would equal ``right``."""

    kind: str
    sentence: str
    left: Array
    right: Array
    says_factor: bool = False
    """Whether it names a factor already, so that no further factor is tried with it."""
    slip: Slip | None = None
    """The slip in the recorded equations that is this mistake, or one of its two parts."""


class Evidence:
    """A subject, the derivatives given for it, and the right ones.

    The right derivatives are those that the engine records, provided that they agree with the
    numerical ones. If the cost cannot be recorded, they are the numerical ones, in the entries that
    were tried.
    """

    def __init__(self, subject: Subject, comparisons: Mapping[int, Comparison]) -> None:
        self.subject, self.names = subject, subject.names
        self.wrong = {k for k, sides in comparisons.items() if sides.is_wrong}
        self.loose = any(sides.given.dtype == np.float32 for sides in comparisons.values())
        self.given = {k: sides.given.astype(np.float64) for k, sides in comparisons.items()}
        self.right = {k: sides.right for k, sides in comparisons.items()}
        self.at_kink: dict[int, Array] = {}
        self.until = math.inf
        """The processor time of this thread at which the search for a mistake ends."""
        self.ended = False
        """Whether time ended a part of the search, so that known mistakes are left untried."""
        self.found: list[Slip] = []
        """The slips that explain one derivative; each is likely a part of two in another."""
        self.lengths, self.batches = _lengths(subject, comparisons)
        self.summed = {n for n, what in self.lengths if what == BATCH} or {*dict(self.batches)}
        """The lengths of an axis over which the cost is likely to be a sum or a mean."""
        self.recording: Recording | None = None
        self.unrecorded = "the recorded gradient is not the numerical one"
        recording = recorded(subject.cost, subject.arrays, subject.names)
        if isinstance(recording, str):
            self.unrecorded = recording
        else:
            engine = dict(zip(comparisons, recording.gradients([*comparisons]) or (), strict=False))
            if engine and all(sides.agrees_with(engine[k]) for k, sides in comparisons.items()):
                self.recording, self.right, self.unrecorded = recording, engine, ""
        for k, sides in comparisons.items():
            at_kink = np.zeros(sides.right.shape, dtype=bool)
            if sides.has_shape:
                at_kink.flat[sides.kinks] = True
                # At a kink several answers are right, among them the given one.
                self.right[k] = np.where(at_kink, self.given[k], self.right[k])
            self.at_kink[k] = at_kink

    def is_over(self, seconds: float = 0.0) -> bool:
        """Whether the search, or a part of it, has to end, so many seconds before its time."""
        over = time.thread_time() > self.until - seconds
        self.ended = self.ended or over
        return over

    def reference(self, arrays: Sequence[Array], k: int) -> Array | None:
        """∂C/∂(array k) at other inputs: recorded, if that is reliable, else numerical."""
        if self.recording is None:
            return by_numbers(replace(self.subject, arrays=[*arrays]), k)
        recording = recorded(self.subject.cost, arrays, self.names)
        return None if isinstance(recording, str) else recording.gradient(k)

    def of_row(self, row: int, n: int, k: int) -> Iterator[Array]:
        """∂C/∂(array k) from a single row of the batch."""
        subject, shape = self.subject, self.right[k].shape
        if subject.rule:
            value, delta = subject.rule
            if delta.shape[:1] == (n,):
                alone = np.zeros_like(delta)
                alone[row] = delta[row]
                share = by_numbers(replace(subject, cost=lambda x: (alone * value(x)).sum()), k)
                if share is not None:
                    yield share
            return
        rows = [j for j, x in enumerate(subject.arrays) if np.ndim(x) and len(x) == n]
        data = [j for j in rows if j not in self.given]
        others = [j for j in rows if j != k]
        for batch in (data, others) if data != others else (data,):
            arrays = [x[row : row + 1] if j in batch else x for j, x in enumerate(subject.arrays)]
            try:
                share = self.reference(arrays, k) if batch else None
            except Exception:
                continue  # an array of n rows was not a batch
            if share is not None and share.shape == shape:
                yield share

    def diagonal(self, k: int) -> Array | None:
        """∂valueᵢ/∂xᵢ alone, for an operation whose value has the shape of input k."""
        x, rule = self.subject.arrays[k], self.subject.rule
        if x.size > EXHAUSTIVE or rule is None:
            return None
        value, _ = rule

        def of_entry(i: int) -> float:
            entry = replace(self.subject, cost=lambda inputs: value(inputs).reshape(-1)[i])
            return by_differences(entry.along(k, lambda x, t: moved(x, i, t))).value

        return np.reshape([of_entry(i) for i in range(x.size)], x.shape)

    @functools.cached_property
    def slips(self) -> Iterable[Slip]:
        """All slips in the recorded equations that lead to a wrong derivative.

        The cost of a rule is the check's own, which nobody takes for another cost.
        """
        if self.recording is None:
            return []
        found = slips(self.recording, sorted(self.wrong), self.lengths)
        of_rule = self.subject.rule is not None
        return _Kept(one for one in found if not (of_rule and one.kind == "another cost"))

    def has_regulariser(self, k: int) -> bool | None:
        """Whether the cost has a term of array k alone; ``None`` if that cannot be told."""
        recording = self.recording
        if recording is None or recording.made_of[recording.cost] == {self.names[k]}:
            return None
        return self.names[k] in recording.regularised.values()

    def with_place(self, slip: Slip) -> str:
        """The sentence of a slip, with the line of the source where its value is computed."""
        place = self.recording.places.get(slip.bends[0].tensor) if self.recording else None
        return (
            f"{slip.sentence} ({place})"
            if place and str(place) not in slip.sentence
            else slip.sentence
        )

    def follows_from(self, k: int, slip: Slip) -> Array | None:
        """Derivative k, computed with a slip in the recorded equations."""
        found = slip.follows(self.recording, [k]) if self.recording else None
        return None if found is None else found[0]

    def fits(self, k: int, left: Array, right: Array) -> bool:
        """Whether two arrays, made of the given and of the right numbers, are equal.

        Entries at a kink are ignored, as several answers are right there.
        """
        if left.shape != right.shape:
            return False
        if left.size > MANY and not self._may_fit(k, left, right):
            return False
        known = np.isfinite(right)
        if right.shape == self.right[k].shape:
            known &= ~self.at_kink[k]
        if not known.any() or not np.isfinite(left[known]).all():
            return False
        return bool(self.equal(k, left, right)[known].all())

    def equal(self, k: int, left: Array, right: Array, size: float | None = None) -> Array:
        """Which entries of two arrays are equal, within the rounding of one that is explained.

        ``size`` is that of the largest entry of the whole, if these are a few of its entries.
        """
        # With more hypotheses, one has to fit more closely to be more than a coincidence.
        tolerance = 1e-4 if self.loose else 1e-6 if self.recording is None else 1e-8
        bound = tolerance * (np.abs(right) + 0.01 * (_size(right) if size is None else size))
        equal: Array = np.abs(left - right) <= bound + self._of_sums[k]
        return equal

    def _may_fit(self, k: int, left: Array, right: Array) -> bool:
        """Whether two large arrays are equal in a few entries, away from kinks."""
        at = np.random.default_rng(0).integers(left.size, size=SEVERAL)
        if right.shape == self.right[k].shape:
            at = at[~self.at_kink[k].flat[at]]
        few, others = right.flat[at], left.flat[at]
        return bool((self.equal(k, others, few, _size(right)) | ~np.isfinite(few)).all())

    @functools.cached_property
    def _of_sums(self) -> dict[int, float]:
        """The rounding of each derivative where terms cancel."""
        return {k: 1e-14 * float(np.nansum(np.abs(right))) for k, right in self.right.items()}

    def all_from(self, slip: Slip) -> dict[int, Array]:
        """All derivatives that are compared, computed with the slip; none if it is impossible."""
        assert self.recording is not None
        found = slip.follows(self.recording, [*self.given])
        return dict(zip(self.given, found or (), strict=False))

    def value_of(self, ratio: float) -> str:
        """Say which number of the cost a factor is, unless it is a simple fraction."""
        is_simple = abs(Fraction(ratio).limit_denominator(12) - ratio) <= 1e-9 * abs(ratio)
        if self.recording is None or is_simple:
            return ""
        for node in self.recording.steps:
            if node.shape != () or not node.data.any() or node is self.recording.cost:
                continue
            x, what = float(node.data), self.recording.expression(node)
            for value, missing in ((x, f"1/({what})"), (1 / x, what)):
                if abs(value - ratio) <= 1e-9 * abs(ratio):
                    place = self.recording.places.get(node)
                    of = f"{what} ({place})" if place else what
                    return f", and {shown(x)} is {of}: the factor {missing} is missing"
        return ""

    def what_is_seen(self, k: int) -> str:
        """Describe the numbers if no mistake explains them."""
        given, right = self.given[k], self.right[k]
        if given.shape != right.shape:
            return f"shape {given.shape} was given, {right.shape} was expected; "
        size = np.abs(right[np.isfinite(right)]).max(initial=0)
        wrong = np.argwhere(np.abs(given - right) > 1e-6 * (np.abs(right) + 0.01 * size))
        if not 0 < 4 * len(wrong) <= given.size:
            return ""
        shown = ", ".join(str([int(i) for i in index]) for index in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return f"agrees but for entry {shown}{more}; "


def _size(x: Array) -> float:
    """The size of the largest finite entry."""
    size = max(np.max(x, initial=0), -np.min(x, initial=0))
    return float(size if np.isfinite(size) else np.abs(x[np.isfinite(x)]).max(initial=0))


def known_ratio(given: Array, right: Array) -> float | None:
    """The ratio of two arrays, if it is the same in two entries at least, and in all."""
    at = np.abs(right) > 1e-3 * np.abs(right).max(initial=0)
    if at.sum() < 2 or not np.isfinite(given).all():
        return None
    ratios = given[at] / right[at]
    ratio = float(np.median(ratios))
    return ratio if ratio and np.ptp(ratios) <= 1e-7 * abs(ratio) else None


def shown(ratio: float) -> str:
    """A factor in a few digits, or as a fraction where it is one.

    >>> shown(0.5), shown(-2.0), shown(1 / 3), shown(0.7213)
    ('0.5', '-2', '1/3', '0.7213')
    """
    if abs(float(f"{ratio:.4g}") - ratio) <= 1e-9 * abs(ratio):
        return f"{ratio:.4g}"
    fraction = Fraction(ratio).limit_denominator(200)
    if abs(fraction - ratio) <= 1e-8 * abs(ratio) and fraction:
        return str(fraction)
    return f"{ratio:.6g}"


class _Kept:
    """What an iterator yields, computed once and only as far as it is asked for."""

    def __init__(self, iterator: Iterator[Slip]) -> None:
        self._iterator, self._kept = iterator, list[Slip]()

    def __iter__(self) -> Iterator[Slip]:
        yield from self._kept
        for one in self._iterator:
            self._kept.append(one)
            yield one


def entries(known: Array) -> str:
    """Say in how many entries something was observed."""
    seen, size = int(np.isfinite(known).sum()), known.size
    if seen < size:
        return f"in the {seen:,} of {size:,} entries tried"
    return {1: "in its one entry", 2: "in both entries"}.get(size, f"in all {size:,} entries")


def _lengths(
    subject: Subject, given: Container[int]
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """The lengths that may be wrong factors in a derivation, and those of possible batches."""
    shapes = [(name, np.shape(x)) for name, x in zip(subject.names, subject.arrays, strict=True)]
    data = [shape for k, (_, shape) in enumerate(shapes) if k not in given and shape]
    firsts: dict[int, list[str]] = {}
    for name, shape in shapes:
        for n in shape[:1]:
            if not data or any(n == of_data[0] for of_data in data):
                firsts.setdefault(n, []).append(name)
    rows, columns = {shape[0] for shape in data}, {shape[1:2] for shape in data}
    by_columns = len(rows) == len(data) > 1 and len(columns) == 1 and () not in columns
    batches = {
        n: BATCH if len(of) > 1 and not by_columns else f"the length of {of[0]}"
        for n, of in sorted(firsts.items(), key=lambda item: -len(item[1]))
        if n > 1
    }
    lengths = dict(batches)
    if by_columns:  # a sample is a column
        lengths = {data[0][1]: BATCH} | {n: of for n, of in batches.items() if n != data[0][1]}
    for name, shape in shapes:
        for axis, n in enumerate(shape):
            lengths.setdefault(n, f"the length of axis {axis} of {name}")
        lengths.setdefault(int(np.prod(shape)), f"the number of entries of {name}")
    return [(n, what) for n, what in lengths.items() if n > 2], [*batches.items()]
