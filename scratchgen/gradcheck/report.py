"""What a check found: one entry for each equation, a table, and the mistakes by name."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

import numpy as np

from ..html import table


@dataclass
class Entry:
    """One equation, ∂C/∂name: what was given for it, beside the numerical derivative.

    ``worst_index`` is the entry in which the two lie furthest apart, measured by the uncertainty;
    ``given``, ``numerical`` and ``uncertainty`` are the numbers there, ``None`` where the shape is
    wrong and no entry compares. ``max_relative_error`` is the largest difference, relative to the
    larger of the two and of the typical (root mean square) size of the derivative.
    """

    name: str
    shape: tuple[int, ...]
    ok: bool
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
    """The kinds of mistake that ``diagnosis`` names, from the catalogue; empty where none fits."""
    undecided: bool = False
    """Whether the numerical side is too uncertain to tell."""

    @property
    def verdict(self) -> str:
        """One word for the table."""
        if self.ok:
            return "agrees"
        if self.undecided:
            return "UNDECIDED"
        return "WRONG SHAPE" if self.max_relative_error == np.inf else "DISAGREES"


HEAD = ("equation", "shape", "worst entry", "given", "numerical", "verdict")


@dataclass(repr=False)
class Report:
    """The outcome of a check, which is printed, and shown in a notebook, as a table.

    ``problems`` are what keeps a cost from being checked at all: it changes from call to call,
    writes into its input, is not finite.
    """

    entries: list[Entry]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every equation agrees, and nothing kept it from being checked."""
        return not self.problems and all(entry.ok for entry in self.entries)

    @property
    def diagnosis(self) -> list[str]:
        """What is wrong, a sentence each; empty when nothing is. Said once where it is the same."""
        same: dict[str, list[str]] = {}
        for entry in self.entries:
            if not entry.ok:
                same.setdefault(entry.diagnosis, []).append(f"∂C/∂{entry.name}")
        return [*self.problems, *(f"{', '.join(of)}: {what}" for what, of in same.items())]

    def __getitem__(self, name: str) -> Entry:
        """The entry of that name."""
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
        """What stands beneath the table: the mistakes after ✗, what else is to be known after ·."""
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
        """What was estimated, how, and how much of it was tried; in common where it is."""
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


def relative_error(difference: np.ndarray, given: np.ndarray, right: np.ndarray) -> float:
    """The largest difference, relative to the larger number and the typical size of ``right``."""
    if not difference.size:
        return 0.0
    typical = np.sqrt(np.mean(right * right))
    size = np.maximum(np.maximum(np.abs(given), np.abs(right)), typical)
    return float(np.max(difference / np.where(size > 0, size, 1)))
