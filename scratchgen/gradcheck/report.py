"""The result of a check: one entry for each equation, a table, and the named mistakes."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

from ..html import table

AGREES, DISAGREES, UNDECIDED, WRONG_SHAPE = "agrees", "DISAGREES", "UNDECIDED", "WRONG SHAPE"


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
    undecided: int = 0
    """The number of entries that are too small, or too inexact, to be decided."""
    allow_undecided: bool = False

    @property
    def ok(self) -> bool:
        """Whether the derivative agrees; if ``allow_undecided``, in all entries that decide."""
        return self.verdict == AGREES or (self.allow_undecided and self.verdict == UNDECIDED)


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
        wrapped = [textwrap.fill(x, 100, subsequent_indent="  ") for x in self._sentences()]
        return "\n".join([*(lines if self.entries else []), *wrapped])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return table(HEAD, map(_row, self.entries), self._sentences())

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
