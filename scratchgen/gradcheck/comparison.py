"""The comparison of a given derivative with the numerical one: tolerance and verdict.

The two disagree if their difference exceeds the uncertainty of the numerical side and the rounding
of the given one; :class:`Trial` alone decides this. Arrays of up to 256 entries are tried entry by
entry. Larger ones are tried along random directions v, where ⟨∂C/∂x, v⟩ must be the derivative of
C(x + t v), and in some entries. If a direction disagrees, bisection finds a wrong entry.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from ..backend import Array, device_of, to_device, to_host
from . import numerical
from .numerical import Derivative, Function, moved, number
from .report import AGREES, DISAGREES, UNDECIDED, WRONG_SHAPE, Entry
from .subject import Subject, size_of

EXHAUSTIVE = 256
DIRECTIONS, LARGEST, RANDOM, AS_EVIDENCE = 4, 4, 6, 64
KINKS_ON_THE_WAY = 64
ROUNDING, ROUNDING_FLOAT32 = 1e-9, 1e-4


class Trial(NamedTuple):
    """Both sides of one number: of an entry of ∂C/∂x, or of ∂C/∂x along a direction."""

    given: float
    found: Derivative
    rounding: float
    """The possible rounding error of the given side."""

    @property
    def bound(self) -> float:
        """The largest difference at which the two agree."""
        return self.found.uncertainty + self.rounding

    @property
    def agrees(self) -> bool:
        """Whether the two agree; at a kink any slope between those of its two sides is right."""
        slopes = (self.found.value, *(self.found.sides or ()))
        return bool(min(slopes) - self.bound <= self.given <= max(slopes) + self.bound)


class Comparison:
    """∂C/∂x as given for array k, and the numerical one where it was tried."""

    def __init__(self, subject: Subject, k: int, given: Array) -> None:
        self.subject, self.k, self.x, self.given = subject, k, subject.arrays[k], given
        shape = self.x.shape
        self.has_shape = given.shape == shape
        self.claimed = given if self.has_shape else np.zeros(shape)
        host = to_host(self.x)
        self.scale = size_of(host)
        self.scales = np.maximum(np.abs(host), 0.1 * self.scale).reshape(-1)
        self.cost = abs(number(subject.cost(subject.arrays)))
        of_numbers = ROUNDING_FLOAT32 if given.dtype == np.float32 else ROUNDING
        self.rounding = max(of_numbers, subject.rtol)
        finite = self.claimed[np.isfinite(self.claimed)]
        self.typical = float(np.sqrt(np.mean(finite * finite))) if finite.size else 0.0
        self.right, self.bound, self.uncertainty = (np.full(shape, np.nan) for _ in range(3))
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
        return UNDECIDED if self.cannot_tell() else AGREES

    @property
    def is_wrong(self) -> bool:
        """Whether a mistake must be searched for."""
        return self.verdict in (DISAGREES, WRONG_SHAPE)

    def cannot_tell(self) -> bool:
        """Whether the given derivative is within the uncertainty, though above rounding."""
        known = np.isfinite(self.right)
        if not known.any():
            return False
        largest = max(np.abs(self.given[known]).max(), np.abs(self.right[known]).max())
        beneath = 100 * self.floor(self.scale)
        return bool(beneath < largest < self.uncertainty[known].min())

    def try_entries(self, entries: Iterable[int]) -> None:
        """Compute these entries of the numerical side."""
        for i in entries:
            self.disagrees |= not self.try_entry(i)

    def try_entry(self, i: int) -> bool:
        """Compute entry i of the numerical side; return whether the given one agrees."""
        function = self.subject.along(self.k, lambda x, t: moved(x, i, t))
        scale, smallest = float(self.scales[i]), abs(float(to_host(self.x).reshape(-1)[i])) or None
        given = float(self.claimed.reshape(-1)[i])

        def trial(found: Derivative) -> Trial:
            rounding = self.rounding * (abs(found.value) + 0.1 * self.typical)
            return Trial(given, found, rounding + self.subject.atol)

        tried = self.estimate(function, scale, smallest, trial)
        if self.analytic and not tried.agrees:  # at a kink the complex step sees only one side
            differences = numerical.by_differences(
                function, scale, self.subject.roughness, smallest
            )
            apart = abs(differences.value - tried.found.value)
            if differences.sides is not None or apart > 4 * differences.uncertainty:
                tried = trial(differences.widened(self.floor(scale)))
        at_kink = tried.found.sides is not None
        self.kinks += [i] if at_kink else []
        self.right.flat[i] = given if at_kink and tried.agrees else tried.found.value
        self.bound.flat[i], self.uncertainty.flat[i] = tried.bound, tried.found.uncertainty
        return tried.agrees

    def try_direction(self, v: Array) -> Trial:
        """Both sides of the derivative along v."""
        of_entries = self.claimed * v
        given, length = float(np.sum(of_entries)), float(np.sqrt(np.sum(np.square(of_entries))))
        rounding = self.rounding * length + self.subject.atol * float(np.sqrt(np.sum(v * v)))
        trial = lambda found: Trial(given, found, rounding)
        return self.estimate(self.along(v), self.scale, None, trial)

    def estimate(
        self,
        function: Function,
        scale: float,
        smallest: float | None,
        trial: Callable[[Derivative], Trial],
    ) -> Trial:
        """The numerical side, by the complex step if C allows it, else by differences."""
        if not self.analytic:
            found = numerical.by_differences(function, scale, self.subject.roughness, smallest)
            return trial(found.widened(self.floor(scale)))
        found = numerical.by_complex_step(function)
        tried = trial(found.widened(self.floor(scale)))
        return tried if tried.agrees else trial(found.widened(self.scatter + self.floor(scale)))

    @functools.cached_property
    def scatter(self) -> float:
        """The error of the complex step, along a random direction."""
        direction = self.random_direction(np.random.default_rng(2))
        return numerical.scatter_of_complex_step(self.along(direction), self.scale)

    def floor(self, scale: float) -> float:
        """The rounding error of a derivative, about ε |C| over the size of x."""
        return 1e-13 * self.cost / scale

    def along(self, v: Array) -> Function:
        on_device = to_device(v, device_of(self.x))
        return self.subject.along(self.k, lambda x, t: x + t * on_device)

    def random_direction(self, rng: np.random.Generator) -> Array:
        v: Array = np.asarray(rng.standard_normal(self.right.shape))
        if self.kinks:  # entries of the same value, often 0, are likely to have a kink as well
            host = to_host(self.x)
            v[np.isin(host, host.reshape(-1)[self.kinks])] = 0
        return v

    def try_large(self, rng: np.random.Generator) -> None:
        """Try an array of many entries: random directions, then the worst entries one by one."""
        size = np.abs(self.claimed).reshape(-1)
        entries = {*np.argpartition(size, -LARGEST)[-LARGEST:].tolist()}
        entries |= {*rng.choice(size.size, RANDOM, replace=False).tolist()}
        self.try_entries(sorted(entries))
        tries_left = KINKS_ON_THE_WAY
        while len(self.directions) < DIRECTIONS and tries_left:
            v = self.random_direction(rng)
            tried = self.try_direction(v)
            if not tried.agrees:
                i = self.find_wrong(v)
                entries.add(i)
                if self.try_entry(i):
                    tries_left -= 1  # a kink on the way; if at this entry, later v leave it out
                    continue
                self.disagrees = True
            self.directions.append((v, tried.found))
        if self.disagrees:
            more = rng.choice(size.size, min(AS_EVIDENCE, size.size), replace=False).tolist()
            self.try_entries(more)
            entries.update(more)
        self.tried = f"{len(self.directions)} random directions and {len(entries)} entries"

    def find_wrong(self, v: Array) -> int:
        """Find by bisection an entry of v along which the two sides differ."""
        entries = np.flatnonzero(v)
        while entries.size > 1:
            half, other = np.array_split(entries, [entries.size // 2])
            part = np.zeros_like(v)
            part.flat[half] = v.flat[half]
            entries = other if self.try_direction(part).agrees else half
        return int(entries[0])

    def agrees_with(self, other: Array) -> bool:
        """Whether ``other`` equals the numerical side too, wherever that was tried."""
        known = np.isfinite(self.right)
        known.flat[self.kinks] = False
        size = np.abs(other).max() if other.size else 0.0
        bound = self.uncertainty[known] + 1e-7 * size
        if not np.allclose(other[known], self.right[known], rtol=1e-6, atol=bound):
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
        sides = difference[known], self.given[known], self.right[known]
        entry.max_relative_error = _relative_error(*sides)
        entry.kinks = [_index(i, shape) for i in sorted(set(self.kinks))]
        if excess.size:
            at = entry.worst_index = _index(int(np.argmax(excess)), shape)
            numbers = (float(side[at]) for side in (self.given, self.right, self.uncertainty))
            entry.given, entry.numerical, entry.uncertainty = numbers
        if entry.verdict == UNDECIDED:
            entry.diagnosis = (
                f"the cost is too inexact to tell: its derivative is known to ± "
                f"{entry.uncertainty:.0e} at best, and what was given is less than that; compute "
                "it in float64, without large constants that cancel"
            )
        return entry


def compare(subject: Subject, k: int, given: Array, rng: np.random.Generator) -> Comparison:
    """Try enough of the derivative by array k to decide; for a wrong shape, find the right one."""
    sides = Comparison(subject, k, given)
    size = sides.x.size
    if not sides.has_shape:
        sides.try_entries(range(size) if size <= EXHAUSTIVE else ())
    elif size <= EXHAUSTIVE or sides.disagrees:
        sides.try_entries(range(min(size, EXHAUSTIVE)))
        sides.tried = "all entries" if size <= EXHAUSTIVE else f"the first {EXHAUSTIVE} entries"
    else:
        sides.try_large(rng)
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
    typical = np.sqrt(np.mean(right * right))
    size = np.maximum(np.maximum(np.abs(given), np.abs(right)), typical)
    return float(np.max(difference / np.where(size > 0, size, 1)))
