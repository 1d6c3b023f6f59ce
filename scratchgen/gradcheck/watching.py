"""A cost watched while it runs: the parts of a flat vector that it names, the solver that it calls.

Python reports each call and each return to a profile function, which reads the local variables of
the frame. A part of a flat vector is a variable that is a view of it, such as
``W1 = th[:12].reshape(3, 4)``: its address says where it begins. A solver is a function of SciPy
that iterates until a tolerance is met.
"""

from __future__ import annotations

import inspect
import linecache
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from ..operations.lifting import is_library
from .places import named
from .report import Entry
from .subject import Subject

SOLVERS = tuple(os.path.join("scipy", part, "") for part in ("integrate", "optimize"))
TOLERANCES = ("rtol", "tol", "xtol", "ftol", "gtol", "xatol", "fatol", "epsrel")
ITS_DEFAULT = 1.5e-8  # of the solvers that are compiled, whose tolerances no variable holds


class Part(NamedTuple):
    """A named part of a flat vector: its entries from ``start`` to ``stop``, in a shape."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]
    by_columns: bool = False
    """Whether the entries are in the order of MATLAB, column by column."""
    line: str = ""
    """The line of the source that names it: its text, file and number."""

    def of(self, vector: Any) -> Any:
        """This part of a vector."""
        part = vector[self.start : self.stop]
        return part.reshape(self.shape[::-1]).T if self.by_columns else part.reshape(self.shape)

    def flat(self, part: Any) -> Any:
        """The entries of this part in the order of the vector."""
        return (part.T if self.by_columns else part).reshape(-1)

    def __str__(self) -> str:
        shape = f".reshape{self.shape}" if len(self.shape) > 1 else ""
        order = f"{shape[:-1]}, order='F')" if self.by_columns else shape
        return f"[{self.start}:{self.stop}]{order}"


class Solver(NamedTuple):
    """A function of SciPy that a cost calls, and its relative tolerance."""

    name: str
    tolerance: float
    line: str

    def __str__(self) -> str:
        where = f" ({self.line})" if self.line else ""
        return f"{self.name} of SciPy, with a tolerance of {self.tolerance:.2g}{where}"

    def explains(self, entry: Entry) -> bool:
        """Whether two derivatives are no further apart than its tolerance makes likely."""
        return bool(0 < entry.max_relative_error <= 10 * self.tolerance)

    def sentence(self, entry: Entry) -> str:
        """Why this entry was not decided, and what to do."""
        enough = 10.0 ** math.ceil(math.log10(max(self.tolerance, 1.2 * entry.max_relative_error)))
        return (
            f"the two differ by {entry.max_relative_error:.0e} of the derivative, and the cost "
            f"calls {self}: a difference of this size is not told from the solver's own. Make the "
            f"solver more exact, or accept it by rtol={enough:.0e}"
        )


def parts_given(given: Mapping[str, Any], size: int) -> list[Part]:
    """The parts of a vector of ``size`` entries: shapes or lengths in its order, or slices.

    Raises ``ValueError`` unless they fill the vector without gap or overlap.
    """
    parts, at = [], 0
    for name, what in given.items():
        if isinstance(what, slice):
            start, stop, step = what.indices(size)
            if step != 1:
                raise ValueError(f"the part {name} is a slice without a step, got {what}")
            parts.append(Part(name, start, stop, (stop - start,)))
            continue
        shape = (what,) if isinstance(what, (int, np.integer)) else tuple(what)
        stop = at + int(np.prod(shape))
        parts.append(Part(name, at, stop, shape))
        at = stop
    parts.sort(key=lambda part: part.start)
    ends = [0, *(part.stop for part in parts)]
    if [part.start for part in parts] != ends[:-1] or ends[-1] != size:
        found = ", ".join(f"{part.name} {part.start}:{part.stop}" for part in parts)
        raise ValueError(
            f"parts fill the flat vector of {size} entries without gap or overlap, got {found}"
        )
    return parts


def split(subject: Subject, k: int, parts: Sequence[Part]) -> Subject:
    """The same subject with the parts of flat vector k as arrays of their own."""

    def whole(inputs: Sequence[Any]) -> list[Any]:
        own = inputs[k : k + len(parts)]
        joined = np.concatenate([part.flat(x) for part, x in zip(parts, own, strict=True)])
        return [*inputs[:k], joined, *inputs[k + len(parts) :]]

    def given(inputs: Sequence[Any]) -> dict[int, Any]:
        placed: dict[int, Any] = {}
        for j, g in subject.given(whole(inputs)).items():
            if j == k:
                vector = np.asarray(g)
                if vector.shape != subject.arrays[k].shape:
                    raise ValueError(
                        f"the derivative by {subject.names[k]} has shape {vector.shape}, which "
                        f"has no parts: {subject.arrays[k].shape} was expected"
                    )
                placed |= {k + i: part.of(vector) for i, part in enumerate(parts)}
            else:
                placed[j if j < k else j + len(parts) - 1] = g
        return placed

    names, arrays = [*subject.names], [*subject.arrays]
    names[k : k + 1] = [part.name for part in parts]
    arrays[k : k + 1] = [np.array(part.of(subject.arrays[k])) for part in parts]
    return replace(
        subject, names=names, arrays=arrays, cost=lambda x: subject.cost(whole(x)), given=given
    )


def parts_named(subject: Subject, k: int) -> list[Part]:
    """The parts of flat vector k that variables of the cost's source name, in order.

    Empty if fewer than two are named.
    """
    if np.ndim(subject.arrays[k]) != 1 or not isinstance(subject.arrays[k], np.ndarray):
        return []
    inputs = [x.copy() if isinstance(x, np.ndarray) else x for x in subject.nearby]
    vector = inputs[k]
    found: dict[tuple[int, int, str], Part] = {}

    def look(frame: FrameType, event: str) -> None:
        if event == "return" and not is_library(frame.f_code.co_filename):
            for name, x in _variables(frame.f_locals):
                part = _part(name, x, vector)
                if part is not None and (part.start, part.stop, name) not in found:
                    line = _line_of(frame, name)
                    found[part.start, part.stop, name] = part._replace(line=line)

    _watched(lambda: subject.cost(inputs), look)
    times = Counter(part.name for part in found.values())
    once = [part for part in found.values() if times[part.name] == 1]  # others are of loops
    once.sort(key=lambda part: (part.stop - part.start, -len(part.shape)))
    parts: list[Part] = []
    for part in once:
        if all(part.stop <= other.start or other.stop <= part.start for other in parts):
            parts.append(part)
    if len(parts) < 2:
        return []
    return [*_filled(sorted(parts, key=lambda part: part.start), subject.names[k], vector.size)]


def solver_in(subject: Subject) -> Solver | None:
    """The solver of SciPy that the cost calls, if it has a tolerance."""
    called: list[tuple[str, str]] = []
    tolerances: list[float] = []

    def look(frame: FrameType, event: str) -> None:
        if event != "call" or not any(part in frame.f_code.co_filename for part in SOLVERS):
            return
        caller = frame.f_back
        if not called and caller is not None:
            called.append((frame.f_code.co_name, _place(caller)))
        if not tolerances:  # those of the functions within, as of a line search, are its own affair
            values = [frame.f_locals.get(name) for name in TOLERANCES]
            tolerances.extend(float(x) for x in values if isinstance(x, float) and 0 < x < 1)

    _watched(lambda: subject.cost(subject.copies()), look)
    return (
        Solver(called[0][0], max(tolerances, default=ITS_DEFAULT), called[0][1]) if called else None
    )


def _watched(run: Callable[[], Any], look: Callable[[FrameType, str], None]) -> None:
    """Run with ``look`` at each call and return of Python's functions.

    If a profiler listens to them already, it is left alone, and nothing is seen.
    """
    if sys.getprofile() is not None:
        return

    def profile(frame: FrameType, event: str, _: Any) -> None:
        look(frame, event)

    sys.setprofile(profile)
    try:
        run()
    except Exception:
        pass  # a point nearby may be invalid; what was seen until then counts
    finally:
        sys.setprofile(None)


def _variables(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The variables of a frame; a dictionary counts by its entries."""
    for name, x in values.items():
        if isinstance(x, dict):
            yield from ((key, y) for key, y in x.items() if isinstance(key, str))
        else:
            yield name, x


def _part(name: str, x: Any, vector: Array) -> Part | None:
    """The part of ``vector`` that ``x`` is a view of; an entry by its value."""
    if name.startswith(".") or name == "_":
        return None
    if type(x) is np.float64:
        (at,) = np.nonzero(vector == x)
        return Part(name, int(at[0]), int(at[0]) + 1, ()) if at.size == 1 else None
    if type(x) is not np.ndarray or not 0 < x.size < vector.size or x.dtype != vector.dtype:
        return None
    if not np.may_share_memory(x, vector):
        return None
    start = (x.ctypes.data - vector.ctypes.data) // vector.itemsize
    if x.flags.c_contiguous:
        return Part(name, start, start + x.size, x.shape)
    if x.ndim == 2 and x.flags.f_contiguous:
        return Part(name, start, start + x.size, x.shape, by_columns=True)
    return None


def _filled(parts: Sequence[Part], name: str, size: int) -> Iterator[Part]:
    """The parts, and those between them that have no name of their own."""
    at = 0
    for part in [*parts, Part("", size, size, ())]:
        if part.start > at:
            yield Part(f"{name}[{at}:{part.start}]", at, part.start, (part.start - at,))
        if part.stop > part.start:
            yield part
        at = part.stop


def _line_of(frame: FrameType, name: str) -> str:
    """The first line of a function that assigns ``name``."""
    code = frame.f_code
    try:
        lines, first = inspect.getsourcelines(code)
    except (OSError, TypeError):
        return ""
    assigns = re.compile(rf"^[^=#]*\b{re.escape(name)}\b[^=]*=[^=]")
    for number, line in enumerate(lines, first):
        if assigns.match(line):
            return _quoted(code.co_filename, number)
    return ""


def _place(frame: FrameType) -> str:
    """The line of the user's source from which a library was called."""
    at: FrameType | None = frame
    while at is not None and is_library(at.f_code.co_filename):
        at = at.f_back
    return "" if at is None else _quoted(at.f_code.co_filename, at.f_lineno)


def _quoted(filename: str, number: int) -> str:
    """A line of a source: its text, unless it is long, its file and its number."""
    text = linecache.getline(filename, number).strip()
    at = named(filename, number)
    return f"`{text}`, {at}" if 0 < len(text) <= 80 else at
