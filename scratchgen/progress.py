"""How far a training, or any long loop, has come: a bar where one can be seen, else a few lines.

A bar is drawn on a terminal, and in a notebook that has ipywidgets. It fits into 80 columns, and
shows the one figure that matters most. Where standard error is a file or a pipe, a training prints
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
"""About as many epochs are printed where no bar can be seen."""
COLUMNS = 80
"""A bar is never wider than this."""
JUDGED = ("validation cost", "test cost")
"""The figures that matter more than the cost of the training data."""

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
    history: History | None = None,
) -> History:
    """Run :func:`~scratchgen.train` to its end with a progress bar, and return the history.

    Without ``optimizers``, those of ``model.default_optimizers()`` are taken. Where no bar can be
    seen, about twenty of the epochs are printed instead, the first and the last among them.
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
            history=history,
            progress=bar.batches,
        ):
            bar.show(epoch)
    return history


class ProgressBar:
    """One bar for all epochs of a training, or about twenty lines on standard output.

    ``batches`` is the ``progress`` of :func:`~scratchgen.train`, ``show`` takes each epoch. Of
    ``epochs`` in all, ``done`` came before. The first epoch that is shown is printed, then every
    k-th of those to come, k = ⌈their number / 20⌉, and on leaving the last, wherever that was.
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
        """The batches of an epoch, counted as they pass."""
        starts = list(starts)
        for start in starts:
            yield start
            self.bar.update(1 / len(starts))

    def show(self, epoch: Epoch) -> None:
        """The values of an epoch that is done: all of them in a line, or one in the bar."""
        self.seen = epoch
        if not self.bar.disable:
            self.bar.n = epoch.number
            name, value = headline(epoch)
            self.bar.set_postfix_str(f"{name}={value:.4g}")
        elif self.printed is None or epoch.number % self.every == 0:
            print(epoch, flush=True)
            self.printed = epoch


def headline(epoch: Epoch) -> tuple[str, float]:
    """The one figure of an epoch: the cost of held-out data if it has that, else its first cost."""
    values = epoch.values()
    name = next((name for name in JUDGED if name in values), next(iter(values)))
    return name, values[name]


def watched(things: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The things as they come, beneath a bar that says ``what`` they are, gone when they are.

    It appears when a second has passed, so that what is quick shows none. ``total`` says how many
    things there are where they do not tell by ``len``.
    """
    form = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {elapsed}<{remaining}"
    return _bar(iterable=things, desc=what, total=total, bar_format=form, leave=False, delay=1)


def _bar(**settings: Any) -> Any:
    """A bar of tqdm: a widget of a notebook, or text on a terminal, or one that is disabled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without ipywidgets is no reason to warn
        from tqdm.auto import tqdm
        from tqdm.notebook import tqdm_notebook
    if issubclass(tqdm, tqdm_notebook):
        return tqdm(**settings)
    return tqdm(ncols=_columns(), disable=None, **settings)


def _columns() -> int:
    """One less than the terminal has, and than 80: some begin a new line at the last."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (AttributeError, OSError, ValueError):  # standard error is no file of the system
        columns = COLUMNS
    return min(columns or COLUMNS, COLUMNS) - 1
