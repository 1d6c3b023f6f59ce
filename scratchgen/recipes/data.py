"""The data of the command line: samples to train on, samples held out, and their classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import datasets
from ..backend import Array, generator
from ..datasets.from_file import read_file
from ..datasets.labels import Labels, number_classes
from ..datasets.layout import named
from ..datasets.scale import to_unit_interval
from ..datasets.split import Indices, split
from ..datasets.toys import TOYS, toy2d

SHARE = 0.1
"""Of the samples of a file so many are held out, and of those to train on so many are kept for
validation by the classifiers."""
POINTS = 4000
"""So many points of a toy are trained on, and as many are held out."""


@dataclass(frozen=True)
class Data:
    """Samples to train on and samples held out, each with the number of its class if it has one.

    The first few samples of either part are a random sample of it, but for MNIST, which has the
    published order. ``classes``: the name of class k in place k. ``assumed``: a sentence for each
    thing that the file did not say.
    """

    train: Array
    train_labels: Array | None
    test: Array
    test_labels: Array | None
    classes: tuple[str, ...] = ()
    name: str = "data"
    assumed: tuple[str, ...] = ()

    @classmethod
    def named(cls, name: str, classes: Sequence[str] = ()) -> Data:
        """Return ``digits``, ``mnist``, a toy, or the samples of a file, a tenth of each class held
        out.

        Every call parts a file in the same way. Labels are numbered in the order of ``classes``,
        by default those that occur, sorted; ``ValueError`` for a label that is none of them.
        """
        if name in ("digits", "mnist"):
            load = getattr(datasets, name)
            (x, y), (x_test, y_test) = load("train"), load("test")
            known, numbers = _numbered(np.concatenate([y, y_test]), classes, name)
            return cls(x, numbers[: len(y)], x_test, numbers[len(y) :], known, name)
        if name in TOYS:
            return cls._of_toy(name, classes)
        if not name.lower().endswith((".npy", ".npz")):
            raise ValueError(
                f"--data is digits, mnist, {', '.join(TOYS)}, or a file .npy or .npz, got {name!r}"
            )
        images, labels, assumed = read_file(name)
        if len(images) < 20:
            raise ValueError(f"{name} holds {len(images)} samples, at least 20 are needed")
        rng = np.random.default_rng(0)
        if labels is None:
            kept, held_out = split(np.zeros(len(images)), SHARE, rng)
            return cls(images[kept], None, images[held_out], None, (), name, assumed)
        known, numbers = _numbered(labels, classes, name)
        kept, held_out = split(numbers, SHARE, rng)
        if not len(held_out):
            raise ValueError(
                f"{name} holds {len(labels)} labels, no two of them equal: such are no classes; "
                "leave them out"
            )
        parts = images[kept], numbers[kept], images[held_out], numbers[held_out]
        return cls(*parts, known, name, assumed)

    @classmethod
    def _of_toy(cls, name: Any, classes: Sequence[str]) -> Data:
        """Points of a toy; the parts that it has, if several, are their classes."""
        rng = generator(0)
        (x, part), (x_test, part_test) = (toy2d(name, POINTS, rng) for _ in range(2))
        if not part.any():
            return cls(x, None, x_test, None, (), name)
        known, numbers = _numbered(np.concatenate([part, part_test]), classes, name)
        return cls(x, numbers[:POINTS], x_test, numbers[POINTS:], known, name)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.train.shape[1:]

    @property
    def value_range(self) -> tuple[float, float]:
        """What is drawn black and white: 0 and 1, or the extremes of data that go beyond."""
        return min(0.0, float(self.train.min())), max(1.0, float(self.train.max()))

    @cached_property
    def validation(self) -> tuple[Indices, Indices]:
        """Indices of ``train``: what classifiers learn from, and a tenth of each class to score."""
        n = len(self.train)
        strata = np.zeros(n) if self.train_labels is None else self.train_labels
        return split(strata, SHARE, np.random.default_rng(0))

    @cached_property
    def sha256(self) -> str:
        """Of all samples, labels and names of classes, and of how they are parted."""
        digest = hashlib.sha256(repr((self.shape, self.classes)).encode())
        for part in (self.train, self.train_labels, self.test, self.test_labels):
            if part is not None:
                digest.update(f"{part.dtype.str} {len(part)}".encode())
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def describe(self, validates: bool) -> str:
        """Return what the samples are, what was assumed, how they are parted, and the classes.

        ``validates``: whether the model keeps samples for validation.
        """
        n, kept = len(self.train) + len(self.test), len(self.train)
        low, high = float(self.train.min()), float(self.train.max())
        values = (
            f"numbers from {low:.3g} to {high:.3g}" if low < high else f"every number {low:.3g}"
        )
        validation = ""
        if validates:
            kept = len(self.validation[0])
            validation = f", {len(self.validation[1])} for validation"
        alpha = ["the fourth channel is learned as the others are, and drawn as alpha, over white"]
        lines = [
            f"{self.name}: {n} {named(self.shape)}, {values}",
            *self.assumed,
            *(alpha if len(self.shape) == 3 and self.shape[0] == 4 else []),
            f"{kept} samples to train on{validation}, {len(self.test)} held out",
        ]
        if self.test_labels is not None:
            k = len(self.classes)
            lines.append(f"{k} class{'es' * (k > 1)}: {_listed(self.classes)}")
            absent = np.setdiff1d(np.arange(k), self.test_labels)
            if len(absent):
                lines.append(f"none held out of: {_listed([self.classes[j] for j in absent])}")
        return "\n  ".join(lines)

    def check_unit_interval(self, model: str) -> None:
        """Raise ``ValueError`` for samples that do not lie on [0, 1], as ``model`` takes them."""
        low, high = self.value_range
        if low < 0 or high > 1:
            raise ValueError(
                f"{model} on the command line takes data on [0, 1], got {low:g} to {high:g}: save "
                f"{to_unit_interval(low, high)}"
            )

    def check_same(self, kept: str | None, run: Path, validates: bool) -> None:
        """Raise ``ValueError`` where these are not the samples of a run, or were parted otherwise.

        ``kept``: the ``sha256`` of those of the run, None of a version that kept none.
        ``validates``: whether samples for validation are of concern. Else the parts of MNIST, which
        are the published ones, are those of any run.
        """
        if kept is None and self.name == "mnist" and not validates:
            return
        if kept is None:
            raise ValueError(
                f"{run} is of a version that held out every tenth or fifth sample: it was trained "
                "on most of those that are held out now; begin a new run"
            )
        if kept != self.sha256:
            raise ValueError(
                f"{self.name} has changed since {run} was trained on it, so that samples held out "
                "now may have been trained on: put the file back, or begin a new run"
            )


def _numbered(labels: Labels, classes: Sequence[str], name: str) -> tuple[tuple[str, ...], Array]:
    """Return the names of the classes, and the number of the class of each label."""
    occurring, numbers = number_classes(labels)
    if not classes:
        return occurring, numbers
    unknown = [label for label in occurring if label not in classes]
    if unknown:
        raise ValueError(
            f"{name} has labels that the model was not trained on: {_listed(unknown)}; it knows "
            f"{_listed(classes)}"
        )
    return tuple(classes), np.array([classes.index(label) for label in occurring])[numbers]


def _listed(names: Sequence[str], most: int = 12) -> str:
    """Return the names, or the first few and the last where there are many."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 2])}, …, {names[-1]}"
