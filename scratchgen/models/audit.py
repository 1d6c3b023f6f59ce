"""Checks of data and networks before training, which raise an error or warn.

A network may end in σ where logits are required, spins ±1 may meet units that are 0 or 1, and bytes
a density of variance 1. Each of these trains, but does not learn the intended model. The
``validate`` of each model finds them with the functions here, whose messages name the value, the
expectation and the cure.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any

import numpy as np

from ..backend import to_host
from ..nn import ranges
from ..training import TrainingWarning


def check_samples(
    x: Any, name: str, from_bytes: str = "x / 255", from_spins: str = "(s + 1) / 2"
) -> None:
    """Raise ``ValueError`` unless x is one array of floating-point numbers."""
    if isinstance(x, tuple):
        raise ValueError(
            f"{name} is trained on samples alone, got {len(x)} arrays: pass the first, without "
            "labels"
        )
    if x.dtype.kind != "f":
        low = to_host(x.min())
        cure = f"for bytes, {from_bytes}" if low >= 0 else f"for spins ±1, {from_spins}"
        raise ValueError(f"{name} takes floating numbers, got {x.dtype}: {cure}")


def check_unconfined(out: Any, network: str, expected: str, model: str) -> None:
    """Raise ``ValueError`` where the outputs of a network cannot take all real values.

    ``out`` is its output for a tensor; ``expected`` is the meaning of its outputs, and ``model``
    how the model uses them: a decoder that ends in σ cannot give logits.
    """
    found = ranges.confined(out)
    if found is not None:
        raise ValueError(
            f"the {network} ends in {ranges.last_operation(out)}, so that its outputs lie in "
            f"[{found[0]:g}, {found[1]:g}], expected {expected}, which may be any real numbers: "
            f"leave its last layer out, {model}"
        )


def check_not_wide(log_var: Any, network: str, expected: str, model: str) -> None:
    """Raise ``ValueError`` where a network cannot give log variances below −1."""
    low = ranges.wide(log_var)
    if low is not None:
        raise ValueError(
            f"the {network} ends in {ranges.last_operation(log_var)}, so that of its outputs the "
            f"{expected} are at least {low:g}, expected any real numbers: leave its last layer "
            f"out, {model}"
        )


def caution(message: str, kind: type[TrainingWarning] = TrainingWarning) -> None:
    """Warn at the line outside this library that led to this call."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, kind, stacklevel=level)


def _is_ours(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] == __name__.partition(".")[0]


def caution_of_bytes(x: Any) -> None:
    """Warn about whole numbers from 0 to 255 with some beyond 100."""
    low, high = float(to_host(x.min())), float(to_host(x.max()))
    if low >= 0 and 100 < high <= 255 and to_host((x == np.round(x)).all()):
        caution(
            "the samples are whole numbers from 0 to 255, as bytes are: a network learns slowly, "
            "or not at all, from inputs so large; x / 255 brings them to [0, 1]"
        )
