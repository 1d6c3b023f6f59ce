"""The data of the command line: samples to train on, samples held out, and their classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .. import datasets
from ..backend import Array
from ..datasets.from_file import read_file
from ..datasets.labels import Labels, number_classes
from ..datasets.layout import named
from ..datasets.scale import to_unit_interval
from ..datasets.split import Indices, split

SHARE = 0.1
"""Of the samples of a file so many are held out, and of those to train on so many are kept for
validation by the classifiers."""


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
        """Return ``digits``, ``mnist``, or the samples of a file, a tenth of each class held out.

        Every call parts a file in the same way. Labels are numbered in the order of ``classes``,
        by default those that occur, sorted; ``ValueError`` for a label that is none of them.
        """
        if name in ("digits", "mnist"):
            load = getattr(datasets, name)
            (x, y), (x_test, y_test) = load("train"), load("test")
            known, both = _numbered(np.concatenate([y, y_test]), classes, name)
            return cls(x, both[: len(y)], x_test, both[len(y) :], known, name)
        if not name.lower().endswith((".npy", ".npz")):
            raise ValueError(f"--data is digits, mnist, or a file .npy or .npz, got {name!r}")
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
        return split(_strata(self.train, self.train_labels), SHARE, np.random.default_rng(0))

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


def _strata(samples: Array, numbers: Array | None) -> Array:
    """The classes that samples are parted by; one for all where there are none."""
    return np.zeros(len(samples)) if numbers is None else numbers


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
