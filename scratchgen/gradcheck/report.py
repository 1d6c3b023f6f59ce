"""The result of a check: one entry for each equation, a table, and the named mistakes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..backend import Array
from ..html import BAD, GOOD, OPEN, Tinted, table
from ..tracing import Trace

AGREES, DISAGREES, UNDECIDED, WRONG_SHAPE = "agrees", "DISAGREES", "UNDECIDED", "WRONG SHAPE"
NOT_RUN = "NOT RUN"


@dataclass
class Entry:
    """One equation, ∂C/∂name: the given derivative, compared with the numerical one.

    ``verdict`` is one of the four words above; it is undecided if the uncertainty of the numerical
    derivative is too large to tell. ``worst_index`` is the entry with the largest difference in
    units of the uncertainty. ``given``, ``numerical`` and ``uncertainty`` are the numbers of that
    entry; they are ``None`` if the shape is wrong, so that no entries compare.
    ``max_relative_error`` is the largest difference, relative to the larger of the two numbers and
    of the typical (root mean square) size of the derivative.
    """

    name: str
    shape: tuple[int, ...]
    verdict: str
    max_relative_error: float
    worst_index: tuple[int, ...] | None = None
    given: float | None = None
    numerical: float | None = None
    uncertainty: float | None = None
    diagnosis: str = ""
    method: str = ""
    tried: str = ""
    kinks: list[tuple[int, ...]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """The kinds of mistake in ``diagnosis``, from the catalogue; empty if none fits."""
    sides: tuple[Array, Array, Array] | None = None
    """The given derivative, the numerical one (NaN where not tried), and the mark of each entry."""
    undecided: int = 0
    """The number of entries that are too small, or too inexact, to be decided."""
    allow_undecided: bool = False

    @property
    def ok(self) -> bool:
        """Whether the derivative agrees; if ``allow_undecided``, in all entries that decide."""
        return self.verdict == AGREES or (self.allow_undecided and self.verdict == UNDECIDED)


MARKS = {"✓": GOOD, "✗": BAD, "?": OPEN, "·": "transparent"}
"""The signs of entries that agree, disagree, are not decided, and were not tried one by one."""
TINTS = {AGREES: GOOD, DISAGREES: BAD, WRONG_SHAPE: BAD, UNDECIDED: OPEN}
SHOWN = 12  # the rows and columns of an array whose entries a notebook shows
HEAD = ("equation", "shape", "worst entry", "given", "numerical", "verdict")


@dataclass(repr=False)
class Report:
    """The result of a check, which prints, and appears in a notebook, as a table.

    ``problems`` are the reasons why a cost cannot be checked at all: it changes from call to call,
    writes into its input, or is not finite.
    """

    entries: list[Entry]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tracer: Callable[[], Trace] | None = field(default=None, compare=False)
    """What :meth:`trace` calls."""

    def trace(self) -> Trace:
        """The trace of the cost at these arrays, with the equations at fault marked.

        ``report.trace().to_html("page.html")`` writes the page that steps through it. An equation
        is at fault if the mistake that was found is in it; if no known mistake fits, the equations
        that lead to a wrong derivative are marked, for the mistake is in one of them or above.

        Raises ``ValueError`` if the cost cannot be recorded, with the reason.
        """
        if self.tracer is None:
            raise ValueError("there is no trace: the report is not of one cost that was evaluated")
        return self.tracer()

    @property
    def ok(self) -> bool:
        """Whether every equation agrees, and no problem prevented the check."""
        return not self.problems and all(entry.ok for entry in self.entries)

    @property
    def diagnosis(self) -> list[str]:
        """The mistakes, one sentence each; empty if there are none. Equal sentences occur once."""
        same: dict[str, list[str]] = {}
        for entry in self.entries:
            if not entry.ok:
                same.setdefault(entry.diagnosis, []).append(f"∂C/∂{entry.name}")
        return [*self.problems, *(f"{', '.join(of)}: {what}" for what, of in same.items())]

    @classmethod
    def not_run(cls, why: str) -> Report:
        """The report of a check that compared nothing, with the reason."""
        return cls([], [f"no report came: {why}"])

    @property
    def verdict(self) -> str:
        """One word for the whole: agrees, DISAGREES, UNDECIDED, or NOT RUN."""
        if not self.entries:
            return NOT_RUN
        if self.ok:
            return AGREES
        undecided = all(entry.verdict in (AGREES, UNDECIDED) for entry in self.entries)
        return UNDECIDED if undecided and not self.problems else DISAGREES

    @property
    def summary(self) -> str:
        """One line: the derivatives by their verdicts, or why there is none."""
        if self.problems:
            return f"cannot be checked: {self.problems[0].splitlines()[0]}"
        of: dict[str, list[str]] = {}
        for entry in self.entries:
            of.setdefault(entry.verdict, []).append(f"∂C/∂{entry.name}")
        order = (DISAGREES, WRONG_SHAPE, UNDECIDED, AGREES)
        said = [f"{', '.join(of[v])}: {v}" for v in order if v in of and (v != AGREES or self.ok)]
        return "; ".join(said)

    def __getitem__(self, name: str) -> Entry:
        """Return the entry of this name."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(f"no equation ∂C/∂{name}; there are {[e.name for e in self.entries]}")

    def __str__(self) -> str:
        rows = [HEAD, *(_row(entry) for entry in self.entries)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(HEAD))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines.insert(1, "  ".join("─" * width for width in widths))
        wrapped = [  # a sentence of several lines, as an error's message, keeps its lines
            x if "\n" in x else textwrap.fill(x, 100, subsequent_indent="  ")
            for x in self._sentences()
        ]
        return "\n".join([*(lines if self.entries else []), *wrapped])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [(*row[:-1], Tinted(row[-1], TINTS[row[-1]])) for row in map(_row, self.entries)]
        whole = table(HEAD, rows, self._sentences())
        return "".join(
            [whole, *(_entries(e) for e in self.entries if not e.ok and e.sides and e.shape)]
        )

    def _sentences(self) -> list[str]:
        """The sentences beneath the table: mistakes begin with ✗, other remarks with ·."""
        lines = [f"✗ {sentence}" for sentence in self.diagnosis]
        for entry in self.entries:
            if entry.kinks:
                named = ", ".join(str(list(index)) for index in entry.kinks[:3])
                more = f" and {len(entry.kinks) - 3} more" if len(entry.kinks) > 3 else ""
                lines.append(
                    f"· ∂C/∂{entry.name}: the cost has a kink at entry {named}{more}; a derivative "
                    "from one side, or between the two, is accepted there"
                )
        return [*lines, *(f"· {note}" for note in [*self.notes, *self._methods()])]

    def _methods(self) -> list[str]:
        """The methods of the estimates, and how many entries were tried; common ones occur once."""
        lines = []
        for what in ("method", "tried"):
            same: dict[str, list[str]] = {}
            for entry in self.entries:
                same.setdefault(getattr(entry, what), []).append(f"∂C/∂{entry.name}")
            most = max(same.values(), key=len, default=[])
            others = [f"{how} for {', '.join(of)}" for how, of in same.items() if of is not most]
            for how, of in same.items():
                if of is most:
                    lines.append("; ".join([how, *others]))
        return [f"numerical side {lines[0]}", f"tried: {lines[1]}"] if lines else []


def _row(entry: Entry) -> tuple[str, ...]:
    index = "–" if entry.worst_index is None else str(list(entry.worst_index))
    given = "–" if entry.given is None else f"{entry.given:.10g}"
    numerical = "–"
    if entry.numerical is not None and entry.uncertainty is not None:
        numerical = f"{entry.numerical:.10g} ± {entry.uncertainty:.0e}"
    shape = str(tuple(int(n) for n in entry.shape))
    return f"∂C/∂{entry.name}", shape, index, given, numerical, entry.verdict


def _entries(entry: Entry) -> str:
    """The entries of a derivative as a table: the given numbers, each with its mark and its tint.

    Of a large array, the rows and columns around the worst entry are shown.
    """
    assert entry.sides is not None
    columns = entry.shape[-1]
    given, right, marks = (np.reshape(side, (-1, columns)) for side in entry.sides)
    worst = int(np.ravel_multi_index(entry.worst_index or (0,) * len(entry.shape), entry.shape))
    shown = [
        range(start, min(n, start + SHOWN))
        for n, at in zip(given.shape, divmod(worst, columns), strict=True)
        for start in [max(0, min(at - SHOWN // 2, n - SHOWN))]
    ]
    lead = entry.shape[:-1]
    head = [f"∂C/∂{entry.name}, given", *(f"[{j}]" for j in shown[1])]
    rows = [
        [
            str([int(k) for k in np.unravel_index(i, lead)]) if lead else "",
            *(
                Tinted(
                    f"{marks[i, j]} {given[i, j]:.4g}",
                    MARKS[marks[i, j]],
                    f"given {given[i, j]:.10g}, numerical {right[i, j]:.10g}",
                )
                for j in shown[1]
            ),
        ]
        for i in shown[0]
    ]
    count = {mark: int((marks == mark).sum()) for mark in MARKS}
    words = ("agree", "disagree", "are not decided", "were not tried one by one")
    said = ", ".join(
        f"{n:,} {word} ({mark})" for (mark, n), word in zip(count.items(), words, strict=True) if n
    )
    return table(head, rows, [f"· {marks.size:,} entries of ∂C/∂{entry.name}: {said}"])
