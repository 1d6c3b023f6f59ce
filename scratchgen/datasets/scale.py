"""The scale of data that do not lie on [0, 1]: which number is white?

A largest byte of 255 shows that the scale ends there, and bytes 0 and 1 alone are off and on. A
largest byte of 16 is ambiguous: counts of 0 … 16 and dark photographs both have it, and the wrong
divisor makes either of them black. Such data are refused, and the error offers the possible lines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Scales in use: 4 bits, counts of 4 × 4 pixels, per cent, 7, 8, 10, 12, 14 and 16 bits.
WHITE = (15, 16, 100, 127, 255, 1023, 4095, 16383, 65535)


def from_whole_numbers(images: NDArray[Any]) -> tuple[NDArray[np.float32], str | None]:
    """Return whole numbers as float32 on [0, 1], and the assumption behind that, if any.

    - 0 and 1 alone, of any integer type: off and on.
    - uint8 with a number above 127: pixels of 0 … 255, divided by 255. No other scale in use ends
      between 128 and 255.

    Raises ValueError for all others, with the line that brings them to [0, 1].
    """
    low, high = int(images.min()), int(images.max())
    if low >= 0 and high <= 1:
        return images.astype(np.float32), "whole numbers 0 and 1 are taken as off and on"
    if images.dtype == np.uint8 and high > 127:
        pixels: NDArray[np.float32] = np.divide(images, 255, dtype=np.float32)
        assumed = None
        if high < 255:
            assumed = f"bytes from {low} to {high} are taken as pixels of 0 … 255"
        return pixels, assumed
    lines = to_unit_interval(low, high, images.dtype)
    raise ValueError(
        f"images are {images.dtype} from {low} to {high}, and which number is white is not known; "
        f"save {lines}"
    )


def to_unit_interval(low: float, high: float, dtype: Any = np.float32) -> str:
    """Return the line that brings ``images`` from ``low`` … ``high`` to [0, 1].

    >>> to_unit_interval(0, 16)
    'images / 16'
    >>> to_unit_interval(-1, 1)
    '(images + 1) / 2'
    """
    dtype = np.dtype(dtype)
    if -1 <= low < 0 and high <= 1:
        return "(images + 1) / 2"
    if dtype == np.int8 and low < 0:
        low, high = -128, 127
    if dtype.kind == "f":
        white: float | None = high if high in WHITE else 255 if 127 < high <= 255 else None
    else:
        white = next((w for w in WHITE if w >= high), None)
    if low < 0 or (white is None and low > 0):
        # The number is a float, since small integers would overflow.
        shifted = f"images + {float(-low)}" if low < 0 else f"images - {float(low)}"
        return f"({shifted}) / {high - low or 1:.9g}"
    line = f"images / {white or high:.9g}"
    if dtype == np.uint8:
        return f"{line} if {white} is white, or images / 255 if they are dark photographs"
    return line if dtype.kind == "f" else f"{line} if {white} is white"
