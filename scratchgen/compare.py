"""One data set, every model, one table: likelihood, distance of the samples, and time.

``scratchgen compare DATA`` trains each generative model with the settings of its recipe, one run
folder for each, and measures all of them alike: bits per pixel where the model has a likelihood of
pixel levels, MMD², precision and recall of its samples beside held-out data, and seconds. Models
that are already in the folder are measured and not trained again, and a training that was
interrupted is resumed.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import plotting
from .backend import Array, generator, to_host
from .files import write_atomically
from .metrics import mmd2_unbiased, precision_recall_density_coverage
from .metrics.mmd import median_bandwidth
from .recipes import RECIPES, Data
from .runs import MODEL, Config, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 500  # the number of samples of each model, at most
LEAST = 20  # the least number of held-out samples


@dataclass(frozen=True)
class Row:
    """The measures of one model; ``bits`` is None where ``bits_said`` gives the reason."""

    model: str
    title: str
    bits: float | None
    bits_said: str
    mmd2: float
    precision: float
    recall: float
    train_seconds: float | None
    sample_seconds: float | None

    def cells(self) -> list[str]:
        """Return the cells of a table, as text."""
        return [
            self.model,
            self.bits_said,
            f"{self.mmd2:.4f}",
            f"{self.precision:.2f}",
            f"{self.recall:.2f}",
            "–" if self.train_seconds is None else f"{self.train_seconds:.0f}",
            "–" if self.sample_seconds is None else f"{self.sample_seconds:.2g}",
        ]


HEADER = ("model", "bits/pixel", "MMD²", "precision", "recall", "s to train", "s per 1000 samples")


def names() -> list[str]:
    """Return the models that are compared: all that draw samples, without being given labels."""
    return [name for name, each in RECIPES.items() if each.generative and not each.labelled]


def compare(
    data: Data,
    models: Sequence[str],
    folder: Path,
    seed: int,
    train: Callable[[list[str], Path], None],
    note: Callable[[str], None],
) -> Iterator[Row]:
    """Yield the row of held-out data, of uniform noise, and then of each model.

    ``train`` trains a model from the words of a command line, and leaves a run folder; ``note`` is
    given a line about the progress.
    """
    judged = _Judge(data)
    yield judged.row("held-out data", "held-out data", judged.reals, None, "–")
    low, high = data.value_range
    noise = np.random.default_rng(0).uniform(low, high, judged.reals.shape)
    yield judged.row("uniform noise", "uniform noise", noise, None, "–")
    for name in models:
        run, recipe = folder / name, RECIPES[name]
        if not _is_finished(run, seed):
            begun_before = (run / MODEL).exists()
            note(f"{name}: training{', resumed' if begun_before else ''}, into {run}")
            words = [name, "--data", data.name, "--seed", f"{seed}", "--out", str(run)]
            words += recipe.words_to_compare(data.name)
            try:
                train([*words, *(["--resume"] if begun_before else [])], run)
            except ValueError as error:
                note(f"{name}: left out, since {error}")
                continue
        config = Config.read(run)
        config.check_data(data, run, validates=False)
        state = config.load(run / MODEL)
        model, rng = state.averaged_model, generator(seed)
        note(f"{name}: sampling and judging")
        begun = time.perf_counter()
        samples = recipe.compared(model, judged.n, rng)
        seconds = (time.perf_counter() - begun) / len(samples)
        bits = recipe.bits_per_dim(model, data, config.settings, rng)
        number, said = (None, bits) if isinstance(bits, str) else (bits.mean, str(bits))
        for kind, x in samples.items():
            row = judged.row(f"{name}, {kind}" if kind else name, recipe.title, x, number, said)
            yield replace(
                row,
                train_seconds=sum(epoch.seconds for epoch in state.history),
                sample_seconds=1000 * seconds / judged.n,
            )


def _is_finished(run: Path, seed: int) -> bool:
    """Whether a folder holds a training to its end; ``ValueError`` for one with another seed."""
    if not (run / MODEL).exists():
        return False
    config = Config.read(run)
    if config.settings.seed != seed:
        raise ValueError(
            f"{run} was trained with --seed {config.settings.seed}, not {seed}: name another "
            "folder with --out"
        )
    return Run(run).is_finished(config, config.settings)


class _Judge:
    """Measures samples against one half of the held-out data, as large as the other half."""

    def __init__(self, data: Data) -> None:
        order = np.random.default_rng(0).permutation(len(data.test))[: 2 * SAMPLES]
        rows = data.test[order].reshape(len(order), -1).astype(np.float64)
        self.n = len(rows) // 2
        self.reals, self.reference = rows[: self.n], rows[self.n :]
        self.sigma = median_bandwidth(self.reference)

    def row(self, name: str, title: str, samples: Array, bits: float | None, said: str) -> Row:
        x = to_host(samples).reshape(len(samples), -1).astype(np.float64)
        shares = precision_recall_density_coverage(x, self.reference)
        mmd2 = mmd2_unbiased(x, self.reference, self.sigma)
        return Row(name, title, bits, said, mmd2, shares.precision, shares.recall, None, None)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table that Markdown reads, too."""
    return aligned([list(HEADER), *(row.cells() for row in rows)], left={0, 1})


def aligned(cells: Sequence[Sequence[str]], left: Collection[int]) -> str:
    """Return a table that Markdown reads, of a header and rows; ``left`` are columns of words."""
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]

    def line(texts: Sequence[str]) -> str:
        padded = [
            text.ljust(width) if k in left else text.rjust(width)
            for k, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * w if k in left else f"{'-' * (w - 1)}:" for k, w in enumerate(widths)]
    return "\n".join([line(cells[0]), f"| {' | '.join(rule)} |", *map(line, cells[1:])])


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as a file of comma-separated values."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(rows[0])))
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_atomically(path, text.getvalue().encode())


def picture(rows: Sequence[Row], data: str) -> Figure:
    """Draw each measure as bars, one row for each model; leave out what no model has."""
    of: dict[str, tuple[list[Any], bool]] = {
        "bits per pixel": ([row.bits for row in rows], False),
        "MMD²": ([max(row.mmd2, 0.0) for row in rows], True),
        "recall": ([row.recall for row in rows], False),
        "s to train": ([row.train_seconds for row in rows], True),
        "s per 1000 samples": ([row.sample_seconds for row in rows], True),
    }
    had = {name: (values, log) for name, (values, log) in of.items() if {*values} != {None}}
    return plotting.bars([row.model for row in rows], had, f"every model on {data}")
