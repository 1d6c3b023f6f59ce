"""The data of the command line: training samples, held-out samples, and their classes."""

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
"""This share of the samples of a file is held out; the classifiers keep the same share of the
training samples for validation.
"""
POINTS = 4000
"""The number of points of a toy to train on; as many more are held out."""
LEVELS = {"digits": 17, "mnist": 256}
"""The number of values of a pixel, from 0 to 1."""


@dataclass(frozen=True)
class Data:
    """Training samples and held-out samples, each with the number of its class if it has one.

    The first few samples of each part are a random sample of it, except for MNIST, which keeps the
    published order. Entry k of ``classes`` is the name of class k. ``assumed`` has a sentence for
    each assumption about the content of the file.
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

        A file is split in the same way at every call. Labels are numbered in the order of
        ``classes``, by default the sorted labels of the data; ``ValueError`` for any other label.
        """
        if name in ("digits", "mnist"):
            load = getattr(datasets, name)
            (x, y), (x_test, y_test) = load("train"), load("test")
            known, both = _numbered(np.concatenate([y, y_test]), classes, name)
            return cls(x, both[: len(y)], x_test, both[len(y) :], known, name)
        if name in TOYS:
            return cls._of_toy(name, classes)
        if not name.lower().endswith((".npy", ".npz")):
            raise ValueError(
                f"--data is digits, mnist, {', '.join(TOYS)}, or a file .npy or .npz, got {name!r}"
            )
        images, labels, assumed = read_file(name)
        if len(images) < 20:
            raise ValueError(f"{name} holds {len(images)} samples, at least 20 are needed")
        known, numbers = ((), None) if labels is None else _numbered(labels, classes, name)
        kept, held_out = split(_strata(images, numbers), SHARE, np.random.default_rng(0))
        if not len(held_out):
            raise ValueError(
                f"{name} holds {len(images)} labels, no two of them equal: such are no classes; "
                "leave them out"
            )
        parts = [(images[k], None if numbers is None else numbers[k]) for k in (kept, held_out)]
        return cls(*parts[0], *parts[1], known, name, assumed)

    @classmethod
    def _of_toy(cls, name: Any, classes: Sequence[str]) -> Data:
        """Draw the points of a toy; its parts, if there are several, are the classes."""
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
        """The values drawn black and white: 0 and 1, or the extremes of data outside [0, 1]."""
        return min(0.0, float(self.train.min())), max(1.0, float(self.train.max()))

    @cached_property
    def validation(self) -> tuple[Indices, Indices]:
        """Indices of ``train``: the classifiers' training samples, and their validation samples.

        The validation samples are a tenth of each class.
        """
        return split(_strata(self.train, self.train_labels), SHARE, np.random.default_rng(0))

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of all samples, labels and names of classes, and of their split."""
        digest = hashlib.sha256(repr((self.shape, self.classes)).encode())
        for part in (self.train, self.train_labels, self.test, self.test_labels):
            if part is not None:
                digest.update(f"{part.dtype.str} {len(part)}".encode())
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def describe(self, validates: bool) -> str:
        """Describe the samples, the assumptions about them, their split, and their classes.

        ``validates``: whether the model keeps samples for validation.
        """
        n, kept = len(self.train) + len(self.test), len(self.train)
        low, high = float(self.train.min()), float(self.train.max())
        values = f"numbers from {low:.3g} to {high:.3g}"
        if low == high:
            values = f"every number {low:.3g}"
        validation = ""
        if validates:
            kept = len(self.validation[0])
            validation = f", {len(self.validation[1])} for validation"
        lines = [f"{self.name}: {n} {named(self.shape)}, {values}", *self.assumed]
        if len(self.shape) == 3 and self.shape[0] == 4:
            lines.append(
                "the fourth channel is learned as the others are, and drawn as alpha, over white"
            )
        lines.append(f"{kept} samples to train on{validation}, {len(self.test)} held out")
        if self.test_labels is not None:
            k = len(self.classes)
            lines.append(f"{k} class{'es' * (k > 1)}: {listed(self.classes)}")
            absent = np.setdiff1d(np.arange(k), self.test_labels)
            if len(absent):
                lines.append(f"none held out of: {listed([self.classes[j] for j in absent])}")
        return "\n  ".join(lines)

    def check_unit_interval(self, model: str) -> None:
        """Raise ``ValueError`` for samples outside [0, 1], which ``model`` does not accept."""
        low, high = self.value_range
        if low < 0 or high > 1:
            cure = f"save {to_unit_interval(low, high)}"
            if self.name in TOYS:
                cure = f"for the {self.name} take scratchgen train ebm, or score"
            raise ValueError(
                f"{model} on the command line takes data on [0, 1], got {low:g} to {high:g}: {cure}"
            )

    def check_same(self, kept: str | None, run: Path, validates: bool) -> None:
        """Raise ``ValueError`` unless a run had the same samples and the same split.

        ``kept`` is the ``sha256`` of the run's data, or None for a version that did not store it.
        ``validates`` says whether validation samples matter. If they do not, every run on MNIST had
        the same published parts.
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


def _strata(samples: Array, numbers: Array | None) -> Array:
    """Return the classes by which samples are split; one class for all if there are no labels."""
    return np.zeros(len(samples)) if numbers is None else numbers


def _numbered(labels: Labels, classes: Sequence[str], name: str) -> tuple[tuple[str, ...], Array]:
    """Return the names of the classes, and the number of the class of each label."""
    occurring, numbers = number_classes(labels)
    if not classes:
        return occurring, numbers
    unknown = [label for label in occurring if label not in classes]
    if unknown:
        raise ValueError(
            f"{name} has labels that the model was not trained on: {listed(unknown)}; it knows "
            f"{listed(classes)}"
        )
    return tuple(classes), np.array([classes.index(label) for label in occurring])[numbers]


def listed(names: Sequence[str], most: int = 12) -> str:
    """List the names, or only the first ones and the last if there are many."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 2])}, …, {names[-1]}"
