"""The progress of a training, or of any long loop: a bar if one can be drawn, else a few lines.

A bar is drawn on a terminal, and in a notebook that has ipywidgets. It fits into 80 columns and
shows the one number that matters most. If standard error is a file or a pipe, a training prints
about twenty of its epochs, and a loop prints nothing.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from .backend import Generator
from .history import Epoch, History
from .optim import Optimizer, WeightAverage
from .training import train

LINES = 20
"""About this many epochs are printed where no bar can be drawn."""
COLUMNS = 80
"""A bar is never wider than this."""
JUDGED = ("validation cost", "test cost")
"""The costs that matter more than the cost of the training data."""

T = TypeVar("T")


def fit(
    model: Any,
    data: Any,
    *,
    epochs: int,
    batch_size: int = 64,
    rng: Generator,
    optimizers: Sequence[Optimizer] | Optimizer | None = None,
    drop_last: bool = False,
    part_size: int | None = None,
    average: WeightAverage | None = None,
    clip_norm: float | None = None,
    history: History | None = None,
    processes: Any = None,
) -> History:
    """Run :func:`~scratchgen.train` to its end with a progress bar, and return the history.

    The default ``optimizers`` are those of ``model.default_optimizers()``. Where no bar can be
    drawn, about twenty of the epochs are printed instead, including the first and the last.
    """
    history = History() if history is None else history
    if optimizers is None and not hasattr(model, "default_optimizers"):
        raise ValueError(f"{type(model).__name__} has no default_optimizers(): give optimizers")
    with ProgressBar(epochs, len(history)) as bar:
        for epoch in train(
            model,
            data,
            model.default_optimizers() if optimizers is None else optimizers,
            epochs=epochs,
            batch_size=batch_size,
            rng=rng,
            drop_last=drop_last,
            part_size=part_size,
            average=average,
            clip_norm=clip_norm,
            history=history,
            progress=bar.batches,
            processes=processes,
        ):
            bar.show(epoch)
    return history


class ProgressBar:
    """One bar for all epochs of a training, or about twenty lines on standard output.

    Pass ``batches`` as the ``progress`` of :func:`~scratchgen.train`, and each epoch to ``show``.
    Of ``epochs`` in all, ``done`` are already done. Without a bar, it prints the first epoch, then
    every k-th of the remaining ones, k = ⌈their number / 20⌉, and on exit the last epoch.
    """

    def __init__(self, epochs: int, done: int = 0) -> None:
        form = "{percentage:3.0f}%|{bar}| epoch {n:.0f}/{total} {elapsed}<{remaining}{postfix}"
        self.bar = _bar(total=epochs, initial=done, bar_format=form)
        self.every = max(1, math.ceil((epochs - done) / LINES))
        self.seen: Epoch | None = None
        self.printed: Epoch | None = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar.disable and self.seen is not self.printed:
            print(self.seen, flush=True)
        self.bar.close()

    def batches(self, starts: Iterable[int]) -> Iterator[int]:
        """Yield the batches of an epoch, and advance the bar after each."""
        starts = list(starts)
        for start in starts:
            yield start
            self.bar.update(1 / len(starts))

    def show(self, epoch: Epoch) -> None:
        """Show a finished epoch: all its values on a line, or the most important in the bar."""
        self.seen = epoch
        if not self.bar.disable:
            self.bar.n = epoch.number
            name, value = headline(epoch)
            self.bar.set_postfix_str(f"{name}={value:.4g}")
        elif self.printed is None or epoch.number % self.every == 0:
            print(epoch, flush=True)
            self.printed = epoch


def headline(epoch: Epoch) -> tuple[str, float]:
    """The most important number of an epoch: the cost of held-out data, or else its first cost."""
    values = epoch.values()
    name = next((name for name in JUDGED if name in values), next(iter(values)))
    return name, values[name]


def watched(things: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Yield ``things`` under a bar labelled ``what``, which disappears at the end.

    The bar appears after one second, so that a quick loop shows none. ``total`` is the number of
    things, for an iterable without ``len``; if it is unknown, the things are counted without a bar.
    """
    form = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {elapsed}<{remaining}"
    if total is None and not hasattr(things, "__len__"):
        form = "{desc}: {n_fmt}, {elapsed}"
    return _bar(iterable=things, desc=what, total=total, bar_format=form, leave=False, delay=1)


def _bar(**settings: Any) -> Any:
    """Return a bar of tqdm: a notebook widget, text on a terminal, or a disabled bar."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without ipywidgets needs no warning
        from tqdm.auto import tqdm
        from tqdm.notebook import tqdm_notebook
    if issubclass(tqdm, tqdm_notebook):
        return tqdm(**settings)
    return tqdm(ncols=_columns(), disable=None, **settings)


def _columns() -> int:
    """The width of the terminal, at most 80, less 1: some terminals wrap after the last column."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (AttributeError, OSError, ValueError):  # standard error has no file descriptor
        columns = COLUMNS
    return min(columns or COLUMNS, COLUMNS) - 1
