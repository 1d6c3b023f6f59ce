"""The data of the command line: samples to train on, samples held out, and their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import datasets
from ..backend import Array


@dataclass(frozen=True)
class Data:
    """Samples to train on and samples held out, each with their labels if there are any."""

    train: Array
    train_labels: Array | None
    test: Array
    test_labels: Array | None

    @classmethod
    def named(cls, name: str) -> Data:
        """``digits``, ``mnist``, or a file, of which every tenth sample is then held out."""
        if name in ("digits", "mnist"):
            load = getattr(datasets, name)
            return cls(*load("train"), *load("test"))
        if not name.lower().endswith((".npy", ".npz")):
            raise ValueError(f"--data is digits, mnist, or a file .npy or .npz, got {name!r}")
        images, labels = datasets.from_file(name)
        if len(images) < 20:
            raise ValueError(f"{name} holds {len(images)} samples, at least 20 are needed")
        if labels is not None and labels.max() > 9:
            raise ValueError(
                f"{name} holds labels up to {labels.max()}, expected 0 to 9: renumber them, or "
                "leave them out"
            )
        held_out = np.arange(len(images)) % 10 == 9
        if labels is None:
            return cls(images[~held_out], None, images[held_out], None)
        return cls(images[~held_out], labels[~held_out], images[held_out], labels[held_out])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.train.shape[1:]

    @property
    def value_range(self) -> tuple[float, float]:
        """What is drawn black and white: 0 and 1, or the extremes of data that go beyond."""
        return min(0.0, float(self.train.min())), max(1.0, float(self.train.max()))
