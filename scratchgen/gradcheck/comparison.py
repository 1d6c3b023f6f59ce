"""The comparison of a given derivative with the numerical one: tolerance and verdict.

The two disagree if their difference exceeds the uncertainty of the numerical side and the rounding
of the given one; :class:`Trial` alone decides this. Arrays of up to 256 entries are tried entry by
entry. Larger ones are tried along random directions v, where ⟨∂C/∂x, v⟩ must be the derivative of
C(x + t v), and in some entries. If a direction disagrees, bisection finds a wrong entry.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..backend import Array, device_of, to_device, to_host
from ..progress import watched
from . import numerical
from .numerical import Derivative, Function, moved, number
from .recording import recorded
from .report import AGREES, DISAGREES, UNDECIDED, WRONG_SHAPE, Entry
from .subject import Subject, rms, size_of

EXHAUSTIVE = 256
DIRECTIONS, LARGEST, RANDOM, AS_EVIDENCE = 4, 4, 6, 64
OF_A_BAND = 2
KINKS_ON_THE_WAY = 64
CONFIRMED = 8
"""After so many entries that disagree, those of a slow cost are not confirmed by differences."""
CALLS = 4
"""About this many calls of the cost decide an entry."""
TELLING = 0.2
"""A number is decided if a change of it by this part would be seen."""
TINY = 1e-6
"""An entry smaller than this part of the typical one moves in proportion to itself."""
ROUNDING, ROUNDING_FLOAT32 = 1e-9, 1e-4


class Trial(NamedTuple):
    """Both sides of one number: of an entry of ∂C/∂x, or of ∂C/∂x along a direction."""

    given: float
    found: Derivative
    rounding: float
    """The largest rounding error of the given side that is accepted."""
    measured: float = 0.0
    """The rounding error of the given side as far as it was measured; at most ``rounding``."""
    noise: float = 0.0
    """The size below which every number is rounding, beside the other numbers of the gradient."""

    @property
    def bound(self) -> float:
        """The largest difference at which the two agree."""
        return self.found.uncertainty + self.rounding

    @property
    def agrees(self) -> bool:
        """Whether the two agree; at a kink any slope between those of its two sides is right."""
        slopes = (self.found.value, *(self.found.sides or ()))
        return bool(min(slopes) - self.bound <= self.given <= max(slopes) + self.bound)

    @property
    def is_decided(self) -> bool:
        """Whether the numbers tell a right derivative from a wrong one.

        They do if the two sides are known to be close beside their own size, so that a wrong sign
        or factor would be seen, or if both are rounding alone. They do not if the bound within
        which the two agree is as large as what is compared.
        """
        size = max(abs(self.given), abs(self.found.value))
        apart, known = abs(self.given - self.found.value), self.found.uncertainty
        within = apart <= known + self.measured
        if self.found.sides is not None or size == 0 or (within and size <= self.noise):
            return True
        seen = self.bound <= TELLING * size or known + apart <= TELLING * size
        return bool(seen or (within and known <= TELLING * size))


class Comparison:
    """∂C/∂x as given for array k, and the numerical one where it was tried."""

    def __init__(self, subject: Subject, k: int, given: Array) -> None:
        self.subject, self.k, self.x, self.given = subject, k, subject.arrays[k], given
        shape = self.x.shape
        self.has_shape = given.shape == shape
        self.claimed = given if self.has_shape else np.zeros(shape)
        self.host = to_host(self.x)
        self.scale = size_of(self.host)
        self.scales = np.maximum(np.abs(self.host), 0.1 * self.scale).reshape(-1)
        self.is_tiny = (self.host != 0) & (np.abs(self.host) < TINY * self.scale)
        start = time.thread_time()
        self.cost = abs(number(subject.cost(subject.arrays)))
        self.seconds = time.thread_time() - start
        self.confirmed = 0
        self.single = given.dtype == np.float32
        self.rounding = max(ROUNDING_FLOAT32 if self.single else ROUNDING, subject.rtol)
        self.typical = rms(self.claimed[np.isfinite(self.claimed)])
        self.noise = 1e-13 * max(self.typical, subject.effect / self.scale)
        self.right, self.bound, self.uncertainty = (np.full(shape, np.nan) for _ in range(3))
        self.undecided = np.zeros(shape, dtype=bool)
        self.directions: list[tuple[Array, Derivative]] = []
        self.kinks: list[int] = []
        self.tried = "nothing"
        self.disagrees = not np.isfinite(given).all()
        function = self.along(self.random_direction(np.random.default_rng(2)))
        self.analytic = numerical.is_analytic(function, self.scale, subject.roughness)

    @property
    def verdict(self) -> str:
        """The verdict on this derivative, from all trials."""
        if not self.has_shape:
            return WRONG_SHAPE
        if self.disagrees:
            return DISAGREES
        return UNDECIDED if self.undecided.any() else AGREES

    @property
    def is_wrong(self) -> bool:
        """Whether a mistake must be searched for."""
        return self.verdict in (DISAGREES, WRONG_SHAPE)

    def try_entries(self, entries: Sequence[int]) -> int:
        """Compute these entries of the numerical side, as far as time allows; return how many."""
        long = self.seconds * len(entries) * CALLS > 2
        for done, i in enumerate(
            watched(entries, f"∂C/∂{self.subject.names[self.k]}") if long else entries
        ):
            if done >= LARGEST and time.thread_time() > self.subject.until:
                return done
            self.disagrees |= not self.try_entry(i)
        return len(entries)

    def try_entry(self, i: int) -> bool:
        """Compute entry i of the numerical side; return whether the given one agrees."""
        function = self.subject.along(self.k, lambda x, t: moved(x, i, t))
        scale, size = float(self.scales[i]), abs(float(self.host.reshape(-1)[i]))
        given = float(self.claimed.reshape(-1)[i])

        def trial(found: Derivative) -> Trial:
            rounding = self.rounding * (abs(found.value) + 0.1 * self.typical)
            if max(abs(given), abs(found.value)) <= self.noise:
                rounding += self.noise  # a sum that cancels: the derivative may be exactly 0
            tried = Trial(given, found, rounding + self.subject.atol)
            if tried.agrees and not tried.is_decided:
                relative = self.rounding * abs(found.value)
                measured = min(relative + self.scatter_of_given(i), rounding)
                tried = tried._replace(measured=measured, noise=self.noise)
            return tried

        tried = self.estimate(function, scale, size, trial)
        few = self.confirmed < CONFIRMED or self.seconds * CALLS * self.right.size < 0.2
        if self.analytic and not tried.agrees and few:
            # At a kink the complex step sees only one side.
            differences = self.differences(function, scale, size)
            apart = abs(differences.value - tried.found.value)
            if differences.sides is not None or apart > 4 * differences.uncertainty:
                tried = trial(differences)
            self.confirmed += not tried.agrees
        at_kink = tried.found.sides is not None
        self.kinks += [i] if at_kink else []
        self.right.flat[i] = given if at_kink and tried.agrees else tried.found.value
        self.bound.flat[i], self.uncertainty.flat[i] = tried.bound, tried.found.uncertainty
        self.undecided.flat[i] = tried.agrees and not tried.is_decided
        return tried.agrees

    def scatter_of_given(self, i: int) -> float:
        """The rounding error of entry i of the given side, measured by moving x in its last digits.

        It exceeds the last digit of the entry if the entry is a sum of larger terms that cancel.
        """
        return float(self.subject.scatter_of_given(self.k, self.single).reshape(-1)[i])

    def try_direction(self, v: Array) -> Trial:
        """Both sides of the derivative along v."""
        of_entries = self.claimed * v
        given, length = float(np.sum(of_entries)), rms(of_entries) * v.size**0.5
        noise = 0.01 * self.noise * rms(v) * v.size**0.5
        accepted = self.subject.atol * rms(v) * v.size**0.5
        rounding = self.rounding * length + noise + accepted
        trial = lambda found: Trial(given, found, rounding, rounding, noise)
        return self.estimate(self.along(v), self.scale, 0, trial)

    def estimate(
        self, function: Function, scale: float, size: float, trial: Callable[[Derivative], Trial]
    ) -> Trial:
        """The numerical side, by the complex step if C allows it, else by differences.

        ``size`` is that of the entry that is moved, or 0.
        """
        if not self.analytic:
            return trial(self.differences(function, scale, size))
        found = numerical.by_complex_step(function, size or scale)
        tried = trial(found)
        apart = abs(tried.given - found.value)
        gross = not self.subject.roughness and apart > 0.01 * abs(found.value)
        return tried if tried.agrees or gross else trial(found.widened(self.scatter))

    def differences(self, function: Function, scale: float, size: float) -> Derivative:
        """The derivative by differences, with the rounding error of C over the size of x.

        An entry far smaller than its neighbours is also moved in proportion to itself, since log w
        needs steps below w. The better known of the two derivatives is returned.
        """
        tiny = 0 < size < TINY * self.scale
        smallest = size if size and not tiny else None
        rough = self.subject.roughness
        found = numerical.by_differences(function, scale, rough, smallest)
        found = found.widened(1e-13 * self.cost / scale)
        if tiny:
            near = numerical.by_differences(function, size, rough)
            near = near.widened(1e-13 * self.cost / size)
            found = min(found, near, key=lambda d: d.uncertainty / max(abs(d.value), 1e-300))
        return found

    @functools.cached_property
    def scatter(self) -> float:
        """The error of the complex step, along a random direction."""
        direction = self.random_direction(np.random.default_rng(2))
        return numerical.scatter_of_complex_step(self.along(direction), self.scale)

    def along(self, v: Array) -> Function:
        on_device = to_device(v, device_of(self.x))
        return self.subject.along(self.k, lambda x, t: x + t * on_device)

    def random_direction(self, rng: np.random.Generator) -> Array:
        """A direction in which entries far smaller than others move in proportion to themselves."""
        v: Array = np.asarray(rng.standard_normal(self.right.shape))
        if self.is_tiny.any():
            v[self.is_tiny] *= np.abs(self.host[self.is_tiny]) / self.scale
        if self.kinks:  # entries of the same value, often 0, are likely to have a kink as well
            v[np.isin(self.host, self.host.reshape(-1)[self.kinks])] = 0
        return v

    def try_large(self, rng: np.random.Generator) -> None:
        """Try an array of many entries: random directions, then the worst entries one by one.

        A direction shows nothing of entries far smaller than others: each range of sizes has
        directions of its own.
        """
        size = np.abs(self.claimed).reshape(-1)
        entries = {*np.argpartition(size, -LARGEST)[-LARGEST:].tolist()}
        entries |= {*rng.choice(size.size, RANDOM, replace=False).tolist()}
        bands = self.bands()
        for band in bands:
            entries |= {*rng.choice(np.flatnonzero(band), 1).tolist()}
        self.try_entries(sorted(entries))
        entries |= self.try_directions(rng, np.ones(self.right.shape, dtype=bool), DIRECTIONS)
        for band in bands:
            if not self.disagrees:
                entries |= self.try_directions(rng, band, OF_A_BAND)
        if self.disagrees:
            more = rng.choice(size.size, min(AS_EVIDENCE, size.size), replace=False).tolist()
            entries.update(more[: self.try_entries(more)])
        self.tried = f"{len(self.directions)} random directions and {len(entries)} entries"

    def try_directions(self, rng: np.random.Generator, band: Array, number: int) -> set[int]:
        """Try random directions within a band of entries; return the entries at fault."""
        blamed: set[int] = set()
        tries_left = KINKS_ON_THE_WAY
        left = iter(lambda: bool(number and tries_left), False)
        for _ in watched(left, f"∂C/∂{self.subject.names[self.k]} along directions", number):
            if self.disagrees and time.thread_time() > self.subject.until:
                break  # more directions would only be more evidence
            v = np.where(band, self.random_direction(rng), 0)
            tried = self.try_direction(v)
            if not tried.agrees and not self.disagrees:
                i = self.find_wrong(v)
                blamed.add(i)
                if not self.try_entry(i):
                    self.disagrees = True
                elif self.undecided.flat[i]:
                    break
                else:
                    tries_left -= 1  # a kink on the way; if at this entry, later v leave it out
                    continue
            elif tried.agrees and not tried.is_decided and v.any():
                self.undecided |= band
            number -= 1
            self.directions.append((v, tried.found))
        return blamed

    def bands(self) -> list[Array]:
        """The entries by size of the given derivative, in ranges of 10⁴, but for the largest."""
        size = np.abs(self.claimed)
        largest = size.max()
        if not largest:
            return []
        with np.errstate(all="ignore"):
            below = np.floor(-np.log10(size / largest) / 4)
        return [below == n for n in np.unique(below[np.isfinite(below) & (below > 0)])]

    def find_wrong(self, v: Array) -> int:
        """Find by bisection an entry of v along which the two sides differ."""
        entries = np.flatnonzero(v)
        halvings = range(math.ceil(math.log2(max(entries.size, 1))))
        for _ in watched(halvings, f"the wrong entry of ∂C/∂{self.subject.names[self.k]}"):
            half, other = np.array_split(entries, [entries.size // 2])
            part = np.zeros_like(v)
            part.flat[half] = v.flat[half]
            entries = other if self.try_direction(part).agrees else half
        return int(entries[0])

    def try_alone(self, i: int) -> None:
        """Try entry i by the outputs of a rule that depend on it, without the rounding of others.

        It is decided by these if they tell more.
        """
        assert self.subject.rule is not None
        value, delta = self.subject.rule
        arrays = self.subject.copies()
        before = value(arrays)
        arrays[self.k] = moved(self.x, i, 1e-2 * float(self.scales[i]))
        share = np.where(value(arrays) == before, 0, delta)
        of_these = replace(self.subject, cost=lambda inputs: (share * value(inputs)).sum())
        alone = Comparison(of_these, self.k, self.given)
        self.disagrees |= not alone.try_entry(i)
        self.undecided.flat[i] = alone.undecided.flat[i]

    def decide_by(self, engine: Array) -> None:
        """Decide entries that the numbers leave open by the derivative that the engine records.

        It must be right where the numbers do decide. An entry is right if it equals that of the
        engine within rounding.
        """
        open_ = self.undecided
        if engine.shape != self.given.shape or not self.agrees_with(engine):
            return
        rounding = ROUNDING_FLOAT32 if self.subject.roughness else self.rounding
        near = np.abs(self.given - engine) <= rounding * np.abs(engine)
        self.undecided = open_ & ~near

    def agrees_with(self, other: Array) -> bool:
        """Whether ``other`` equals the numerical side too, wherever that was tried."""
        known = np.isfinite(self.right)
        known.flat[self.kinks] = False
        size = np.abs(other).max() if other.size else 0.0
        right, uncertainty = self.right[known], self.uncertainty[known]
        bound = uncertainty + 1e-6 * np.abs(right) + 1e-7 * size
        if not (np.abs(other[known] - right) <= bound).all():
            return False
        return all(
            abs(np.sum(other * v) - found.value)
            <= found.uncertainty + 1e-6 * np.sqrt(np.sum(np.square(other * v)))
            for v, found in self.directions
        )

    def entry(self) -> Entry:
        """The row of the report: the verdict, and the entry with the largest difference."""
        estimated = "computed by the complex step, to rounding"
        if not self.analytic:
            estimated = "estimated by central differences with Richardson's extrapolation"
        name, shape = self.subject.names[self.k], self.x.shape
        entry = Entry(name, shape, self.verdict, np.inf, method=estimated, tried=self.tried)
        if not self.has_shape:
            entry.diagnosis = f"shape {self.given.shape} was given, {shape} was expected"
            return entry
        known = np.isfinite(self.right)
        difference = np.where(known, np.abs(self.given - self.right), 0)
        excess = np.where(known, difference / np.where(self.bound > 0, self.bound, 1), -1)
        excess[~np.isfinite(self.given)] = np.inf
        if self.verdict == UNDECIDED and (known & self.undecided).any():
            excess[~self.undecided] = -1
        sides = difference[known], self.given[known], self.right[known]
        entry.max_relative_error = _relative_error(*sides)
        entry.kinks = [_index(i, shape) for i in sorted(set(self.kinks))]
        if excess.size:
            at = entry.worst_index = _index(int(np.argmax(excess)), shape)
            numbers = (float(side[at]) for side in (self.given, self.right, self.uncertainty))
            entry.given, entry.numerical, entry.uncertainty = numbers
        entry.undecided = int(self.undecided.sum())
        if entry.verdict == UNDECIDED:
            entry.diagnosis = self.what_is_undecided(entry)
        return entry

    def what_is_undecided(self, entry: Entry) -> str:
        """How many entries are undecided, the first of them, and the reason."""
        number, size = entry.undecided, self.undecided.size
        first = _index(int(np.flatnonzero(self.undecided)[0]), self.undecided.shape)
        if number == size:
            return (
                f"the cost is too inexact to tell: its derivative is known to ± "
                f"{entry.uncertainty:.0e} at best, and what was given is less than that; compute "
                "it in float64, without large constants that cancel"
            )
        which = f"{number:,} of {size:,} entries, {list(first)} the first, are"
        if number == 1:
            which = f"1 of {size:,} entries, {list(first)}, is"
        return (
            f"{which} not decided: too small beside the others to tell a right derivative from a "
            "wrong one; all others agree. Check these alone, with the others as data, or pass "
            "allow_undecided=True"
        )


def compare(subject: Subject, k: int, given: Array, rng: np.random.Generator) -> Comparison:
    """Try enough of the derivative by array k to decide; for a wrong shape, find the right one."""
    sides = Comparison(subject, k, given)
    size = sides.x.size
    if not sides.has_shape:
        sides.try_entries(range(size if size <= EXHAUSTIVE else 0))
    elif size <= EXHAUSTIVE or sides.disagrees:
        tried = sides.try_entries(range(min(size, EXHAUSTIVE)))
        sides.tried = "all entries" if tried == size else f"the first {tried} entries"
        if tried < size and not sides.disagrees:  # the others together, along a few directions
            sides.try_directions(rng, np.isnan(sides.right), DIRECTIONS)
            sides.tried += f" in the time, the others along {DIRECTIONS} random directions"
    else:
        sides.try_large(rng)
    if sides.verdict == UNDECIDED and subject.rule is not None:
        for i in np.flatnonzero(sides.undecided & np.isfinite(sides.right)):
            sides.try_alone(int(i))
    if sides.verdict == UNDECIDED and subject.by_hand:
        recording = recorded(subject.cost, subject.arrays, subject.names)
        engine = None if isinstance(recording, str) else recording.gradient(k)
        if engine is not None:
            sides.decide_by(engine)
    return sides


def by_numbers(subject: Subject, k: int) -> Array | None:
    """∂C/∂(array k) entry by entry; ``None`` if there are many, or C is not defined there."""
    shape = np.shape(subject.arrays[k])
    if np.prod(shape) > EXHAUSTIVE:
        return None
    try:
        sides = Comparison(subject, k, np.zeros(shape))
        sides.try_entries(range(sides.right.size))
    except (ValueError, TypeError, IndexError):
        return None
    return sides.right


def _index(i: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(j) for j in np.unravel_index(i, shape))


def _relative_error(difference: Array, given: Array, right: Array) -> float:
    """The largest difference, relative to the larger number and the typical size of ``right``."""
    if not difference.size:
        return 0.0
    typical = rms(right)
    size = np.maximum(np.maximum(np.abs(given), np.abs(right)), typical)
    return float(np.max(difference / np.where(size > 0, size, 1)))
