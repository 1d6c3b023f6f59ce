"""The data that the notes train on: what was observed, before any model.

Each loader returns ``(images, labels)``: images float32 on [0, 1], samples first, channels second;
labels int64, one per image. Nothing is downloaded before a loader that needs it is called.
"""

from .digits import digits
from .from_file import from_file
from .mnist import mnist

__all__ = ["digits", "mnist", "from_file"]  # noqa: RUF022
