"""A grid of settings, one training for each cell: one table, and a heat map of two settings.

``scratchgen sweep ffnn --vary lr 0.1 0.01 --vary l2 0 1e-4`` trains each combination of the varied
settings, into a run folder of its own. Each training is a process of its own, so that an error, or
a lack of memory, ends one cell and no other. A cell that is trained to its end is not trained
again, and an interrupted one continues. The tasks of a cluster's job array train one cell each, by
``--only``.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import plotting
from .compare import aligned
from .files import write_atomically
from .progress import headline
from .recipes import RECIPES
from .recipes.settings import Flag, Kind, Settings, Wholes, option
from .runs import MODEL, Config, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG = "train.log"
"""The file in a cell's folder that has the output of its training."""
FINISHED = "finished"


@dataclass(frozen=True)
class Cell:
    """One combination of the varied settings, which stand in ``varied`` as they were typed."""

    model: str
    varied: dict[str, str]
    settings: Settings
    words: list[str]
    """The words of ``scratchgen train`` for this cell."""
    folder: Path

    def __str__(self) -> str:
        return ", ".join(f"{name}={word}" for name, word in self.varied.items())

    @property
    def begun(self) -> bool:
        """Whether a training of this cell has left a model."""
        return (self.folder / MODEL).exists()

    def config(self) -> Config:
        """Return the config of a cell that is begun; ``ValueError`` if its settings were others."""
        config = Config.read(self.folder)
        config.asked_again(self.folder, self.model, vars(self.settings))
        return config

    @property
    def is_finished(self) -> bool:
        """Whether it is trained to its end; ``ValueError`` if it was begun with other settings."""
        if not self.begun:
            return False
        return Run(self.folder).is_finished(self.config(), self.settings)


@dataclass(frozen=True)
class Row:
    """The result of a cell: the values of its model's epoch, and "finished" or an error."""

    cell: Cell
    epochs: int
    seconds: float
    values: dict[str, float]
    state: str


def cells(
    model: str, given: Mapping[str, Any], varied: Sequence[Sequence[str]], folder: Path
) -> list[Cell]:
    """Return the cells of a grid, the last varied setting first to change.

    ``given`` are the other settings, and ``varied`` has a name and its values, as words, for each
    setting that is varied. Raises ``ValueError`` for a setting or a value that the model has not.
    """
    recipe, grid = RECIPES[model], dict[str, list[str]]()
    kinds = type(recipe.MNIST).kinds()
    for name, *words in varied:
        field = name.removeprefix("--").replace("-", "_")
        if field not in kinds:
            known = ", ".join(option(each).removeprefix("--") for each in kinds)
            raise ValueError(
                f"--vary names a setting of scratchgen train {model}, got {name!r}: "
                f"take one of {known}"
            )
        if field in given or field in grid:
            raise ValueError(f"{option(field)} is given twice: vary it once, or give it once")
        if not words:
            raise ValueError(f"--vary {name} takes the values of a setting, got none")
        grid[field] = [*dict.fromkeys(words)]
    found = []
    for chosen in itertools.product(*grid.values()):
        its = {f: _typed(kinds[f], w) for f, w in zip(grid, chosen, strict=True)}
        both = {**given, **recipe.parsed(its)}
        settings = recipe.settings(both)
        settings.check_rates()
        words = [word for name, value in both.items() for word in kinds[name].words(name, value)]
        said = {option(f).removeprefix("--"): w for f, w in zip(grid, chosen, strict=True)}
        place = ",".join(f"{name}={word}" for name, word in said.items()).replace(os.sep, "_")
        found.append(Cell(model, said, settings, words, folder / place))
    return found


def _typed(kind: Kind, word: str) -> Any:
    """Return a word as argparse would give it: several numbers have commas, a flag is yes or no."""
    if isinstance(kind, Flag):
        return {"yes": True, "no": False}.get(word, word)
    if isinstance(kind, Wholes):
        return [] if word == "none" else word.split(",")
    return word


def sweep(grid: Sequence[Cell], jobs: int, threads: int) -> Iterator[Row]:
    """Train the cells that are not finished, so many ``jobs`` at a time, and yield each row.

    The rows of finished cells come first. BLAS has so many ``threads`` in each training, unless
    OMP_NUM_THREADS is set. After Ctrl-C no further cell begins.
    """
    todo = [cell for cell in grid if not cell.is_finished]
    for cell in grid:
        if cell not in todo:
            yield row_of(cell, FINISHED)
    with ThreadPoolExecutor(jobs) as pool:
        trainings = {pool.submit(_train, cell, threads): cell for cell in todo}
        try:
            for training in as_completed(trainings):
                yield row_of(trainings[training], training.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _train(cell: Cell, threads: int) -> str:
    """Train a cell in a process of its own; return "finished", or the reason why it is not."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "scratchgen", "train", cell.model, *cell.words]
    command += ["--out", str(cell.folder), *(["--resume"] if cell.begun else [])]
    environment = {"OMP_NUM_THREADS": f"{threads}", **os.environ}
    with (cell.folder / LOG).open("wb") as log:
        code = subprocess.run(command, stdout=log, stderr=log, env=environment).returncode
    if code == 0:
        return FINISHED
    if code < 0:
        return f"ended by signal {-code}"
    lines = (cell.folder / LOG).read_text(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("scratchgen: ")]
    said = [f"exit code {code}", *lines[-1:], *errors[-1:]]
    return said[-1].removeprefix("scratchgen: ")


def row_of(cell: Cell, state: str) -> Row:
    """Return the row of a cell, with the values of the epoch of its model, if it has one."""
    history = cell.config().load(cell.folder / MODEL).history if cell.begun else ()
    seconds = sum(epoch.seconds for epoch in history)
    return Row(cell, len(history), seconds, history[-1].values() if history else {}, state)


def measure_of(rows: Sequence[Row], wanted: str | None) -> str:
    """Return the name of the value that is compared; ``ValueError`` if no cell reports it.

    By default it is the cost of held-out data, or the first cost.
    """
    known = [*dict.fromkeys(name for row in rows for name in row.values)]
    if wanted is None and known:
        cell = next(row.cell for row in rows if row.values)
        return headline(cell.config().load(cell.folder / MODEL).history[-1])[0]
    if wanted not in known:
        raise ValueError(f"--measure is one of {', '.join(known) or 'no value'}, got {wanted!r}")
    return wanted


def best_of(rows: Sequence[Row], measure: str, highest: bool) -> Row | None:
    """Return the finished row whose measure is the lowest, or the highest; None without any."""
    judged = [row for row in rows if row.state == FINISHED and np.isfinite(_value(row, measure))]
    return (max if highest else min)(judged, key=lambda row: _value(row, measure), default=None)


def table(rows: Sequence[Row], measure: str, highest: bool) -> str:
    """Return the rows as a table that Markdown reads, too."""
    best, names = best_of(rows, measure, highest), [*rows[0].cell.varied]
    lines = [[*names, measure, "epochs", "s", "state"]]
    for row in rows:
        value = f"{_value(row, measure):.5g}" if measure in row.values else "–"
        state = row.state if row.state == FINISHED else "failed"
        state += f", the {'highest' if highest else 'lowest'}" if row is best else ""
        told = [value, f"{row.epochs}", f"{row.seconds:.1f}", state]
        lines.append([*row.cell.varied.values(), *told])
    return aligned(lines, left={*range(len(names)), len(names) + 3})


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the rows, with all their values, as a file of comma-separated values."""
    text, names = io.StringIO(), [*dict.fromkeys(name for row in rows for name in row.values)]
    writer = csv.writer(text)
    writer.writerow([*rows[0].cell.varied, "epochs", "seconds", *names, "state"])
    for row in rows:
        values = [row.values.get(name, "") for name in names]
        told = [row.epochs, f"{row.seconds:.3f}", *values, row.state]
        writer.writerow([*row.cell.varied.values(), *told])
    write_atomically(path, text.getvalue().encode())


def picture(rows: Sequence[Row], measure: str, highest: bool) -> Axes:
    """Draw the measure over the first varied setting (rows) and the second one (columns).

    Further settings are averaged over. A cell without a finished training stays empty.
    """
    varied = [*rows[0].cell.varied]
    down, across = varied[0], varied[1] if len(varied) > 1 else None

    def place(row: Row) -> tuple[str, str]:
        return row.cell.varied[down], row.cell.varied[across] if across else ""

    high = [*dict.fromkeys(place(row)[0] for row in rows)]
    wide = [*dict.fromkeys(place(row)[1] for row in rows)]
    values = np.full((len(high), len(wide)), np.nan)
    for i, j in np.ndindex(*values.shape):
        here = [row for row in rows if place(row) == (high[i], wide[j]) and row.state == FINISHED]
        if here:
            values[i, j] = np.mean([_value(row, measure) for row in here])
    ax = plotting.heat_map(
        values, rows=high, columns=wide, ylabel=down, xlabel=across or "", highest=highest
    )
    others = f", mean over {', '.join(varied[2:])}" if len(varied) > 2 else ""
    return plotting.titled(ax, f"{rows[0].cell.model}: {measure}{others}")


def in_order(rows: Sequence[Row], grid: Sequence[Cell]) -> list[Row]:
    """Return the rows in the order of the grid."""
    return sorted(rows, key=lambda row: grid.index(row.cell))


def _value(row: Row, measure: str) -> float:
    return row.values.get(measure, float("nan"))
