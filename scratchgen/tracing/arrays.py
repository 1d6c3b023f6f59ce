"""Helpers for the arrays of a trace, used by the table and the page."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, to_host


def norm(x: Array) -> float:
    """‖x‖ in float64; for an array on a GPU, only this number is copied to the host."""
    wide = x.astype(np.float64)
    return float(to_host(np.sqrt((wide * wide).sum())))


def is_array(x: object) -> bool:
    """Whether an input of an operation is an array or a tensor, not a number or None."""
    return isinstance(x, Tensor) or (hasattr(x, "dtype") and not isinstance(x, np.generic))


def data_of(x: Any) -> Array:
    """The numbers of a tensor or of an array."""
    return x.data if isinstance(x, Tensor) else x
