"""Where in the user's source each value of a recorded cost was computed."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from ..autodiff import Tensor
from ..operations.lifting import is_library


def named(file: str, line: int) -> str:
    """A line of a file, ``cost.py:12``; the file of a notebook's cell has a number for a name."""
    folder, name = os.path.split(file)
    in_notebook = os.path.basename(folder).startswith("ipykernel_")
    return f"line {line} of a cell" if in_notebook else f"{name}:{line}"


class Place(NamedTuple):
    """A line of a file, and an instruction of the function that begins at another line."""

    file: str
    line: int
    instruction: int
    function: int = 0

    @property
    def text(self) -> str:
        """The source in this line, without its indentation; empty if there is none."""
        return linecache.getline(self.file, self.line).strip()

    def is_before(self, other: Place) -> bool:
        """Whether the instruction comes before another of its function, or is the same."""
        same = (self.file, self.function) == (other.file, other.function)
        return same and self.instruction <= other.instruction

    def __str__(self) -> str:
        at = named(self.file, self.line)
        return f"`{self.text}`, {at}" if 0 < len(self.text) <= 60 else at


@contextmanager
def noted() -> Iterator[dict[Tensor, Place]]:
    """Note the place of each tensor that is made in this context.

    Python reports the calls of this thread meanwhile, so that no operation has to know of places.
    If a profiler listens to them already, nothing is noted.
    """
    places: dict[Tensor, Place] = {}
    births = Tensor.__init__.__code__
    if sys.getprofile() is not None:
        yield places
        return

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is births:
            tensor, caller = frame.f_locals["self"], frame.f_back
            while caller is not None and is_library(caller.f_code.co_filename):
                caller = caller.f_back
            if caller is not None:
                code, at = caller.f_code, caller.f_lineno
                place = Place(code.co_filename, at, caller.f_lasti, code.co_firstlineno)
                places[tensor] = place

    sys.setprofile(note)
    try:
        yield places
    finally:
        sys.setprofile(None)
