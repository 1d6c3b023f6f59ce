"""Tensors in lists and arrays of objects, as one tensor; and what cannot be recorded, refused."""

from __future__ import annotations

import linecache
import os
import sys
from typing import Any

import numpy as np

from ..autodiff import Tensor
from .shaping import reshape, stack


class NotRecordedError(TypeError):
    """What would lose the record of how a tensor came about; ``tensor``, where it is one alone."""

    def __init__(self, what: str, instead: str, tensor: Tensor | None = None) -> None:
        super().__init__(f"{_place()}{what}: {instead}")
        self.tensor = tensor


_LIBRARIES = tuple(
    os.path.join(folder, "")
    for folder in (
        os.path.dirname(os.path.dirname(__file__)),
        *np.__path__,
        os.path.join(os.path.dirname(np.__path__[0]), "scipy"),
    )
)


def is_library(filename: str) -> bool:
    """Whether this is source of ours, of NumPy or of SciPy: not where a user wrote a cost."""
    return filename.startswith(_LIBRARIES) or filename.startswith("<__array_function__")


def _place() -> str:
    """The line of the user's source that is running: its file, its number, its text."""
    frame = sys._getframe(2)
    while frame.f_back is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, number).strip()
    return f"{os.path.basename(name)}:{number}: " + (f"`{text}`: " if text else "")


def joined(x: Any) -> Any:
    """The tensors in a list, or in an array of objects, as one tensor; what holds none, as it is.

    >>> joined([Tensor(1.0), 2.0])
    Tensor(array([1., 2.]), from stack)
    """
    if isinstance(x, np.ndarray) and x.dtype == object:
        parts = [*x.flat]
        if any(isinstance(part, Tensor) for part in parts):
            return reshape(stack(parts), shape=x.shape)
    elif isinstance(x, (list, tuple)):
        parts = [joined(part) for part in x]
        if any(isinstance(part, Tensor) for part in parts):
            return stack([array_of(part) for part in parts])
    return getattr(x, "tensor", x)


def array_of(x: Any) -> Any:
    """``x`` as one tensor, or as an array; those of a device stay there."""
    x = joined(x)
    return x if hasattr(x, "dtype") else np.asarray(x)


def data_of(x: Any) -> Any:
    """The numbers of a tensor, and what is none as it is."""
    return x.data if isinstance(x, Tensor) else x
