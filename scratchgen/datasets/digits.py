"""1,797 handwritten digits of 8 × 8 pixels, part of the package: a model trains on them in seconds.

Each bitmap of 32 × 32 pixels is divided into blocks of 4 × 4; a pixel here is the number of inked
pixels of its block, 0 … 16. ``digits.LICENSE.md`` states their origin.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .split import split as parts


def digits(
    split: Literal["all", "train", "test"] = "all",
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return ``(images, labels)`` with x = count / 16, the inked fraction of a block of pixels.

    ``images``: (n, 1, 8, 8) float32 on [0, 1]; ``labels``: (n,) int64, 0 … 9. "all" (n = 1,797) has
    the order of the source, in which writers follow each other and labels repeat. "test" is a fifth
    of each digit (n = 359), "train" is the rest (n = 1,438), each in a random order that is the
    same at every call. The split is by images, not by writers.

    Raises ValueError for any other ``split``.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, https://doi.org/10.24432/C50P49, its test part.

    >>> images, labels = digits("train")
    >>> images.shape, labels[:5]
    ((1438, 1, 8, 8), array([5, 4, 2, 1, 9]))
    """
    if split not in ("all", "train", "test"):
        raise ValueError(f"split is {split!r}: expected 'all', 'train' or 'test'")
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        counts, labels = archive["images"], archive["labels"]
    if split != "all":
        train, test = parts(labels, 0.2, np.random.default_rng(0))
        chosen = test if split == "test" else train
        counts, labels = counts[chosen], labels[chosen]
    return np.divide(counts[:, np.newaxis], 16, dtype=np.float32), labels.astype(np.int64)
