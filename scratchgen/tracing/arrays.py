"""What the table and the page both ask of the arrays in a trace."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, to_host


def norm(x: Array) -> float:
    """‖x‖ in float64; of an array of the device, the one number that comes to the host."""
    wide = x.astype(np.float64)
    return float(to_host(np.sqrt((wide * wide).sum())))


def is_array(x: object) -> bool:
    """Whether an input of an operation is an array or a tensor, not a number or nothing."""
    return isinstance(x, Tensor) or (hasattr(x, "dtype") and not isinstance(x, np.generic))


def data_of(x: Any) -> Array:
    """The numbers of a tensor or of an array."""
    return x.data if isinstance(x, Tensor) else x
