"""The data that the notes train on: what was observed, before any model.

Each loader returns ``(images, labels)``: images float32, samples first, channels second; labels,
one per image, int64 (text where a file has text). Nothing is downloaded before a loader that needs
it is called.
"""

from .digits import digits
from .from_file import DataWarning, from_file
from .mnist import mnist

__all__ = ["digits", "mnist", "from_file", "DataWarning"]  # noqa: RUF022
