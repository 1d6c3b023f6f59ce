"""All that is known of a cost and of the derivatives given for it; what a mistake has to fit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, device_of, to_device, to_host
from .recorded import Bend, Recording


class Mistake(NamedTuple):
    """One hypothesis: ``left``, made of the given numbers, would equal ``right``."""

    kind: str
    sentence: str
    left: Array
    right: Array
    says_factor: bool = False
    """Whether it names a factor already, so that no other is looked for beside it."""
    bend: Any = None
    """The slip in the recorded equations that it is, where it is one."""
    half: Any = None
    """Of two mistakes the slip that is one of them."""


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
            return f"yours = {ratio[0]:.6g} × numerical {entries(right, right)}; "
        size = np.abs(right[np.isfinite(right)]).max(initial=0)
        wrong = np.argwhere(np.abs(given - right) > 1e-6 * (np.abs(right) + 0.01 * size))
        if not 0 < 4 * len(wrong) <= given.size:
            return ""
        shown = ", ".join(str([int(i) for i in index]) for index in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return f"agrees but for entry {shown}{more}; "


def entries(array: Array, known: Array) -> str:
    """In how many entries something was seen."""
    seen, size = int(np.isfinite(known).sum()), array.size
    if seen < size:
        return f"in the {seen:,} of {size:,} entries tried"
    return {1: "in its one entry", 2: "in both entries"}.get(size, f"in all {size:,} entries")


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
