"""A run is a folder: its settings, its model, its history, samples of its epochs, and pictures.

One process at a time writes to it, under a lock that is taken before anything in it is read. Every
file is complete at any moment, and the order of writing makes every interruption harmless: the
settings come before the model, and the model before the history and before the samples of its
epoch. A training that continues a run to the same number of epochs has the same bits as one without
interruption.

``model.safetensors`` is the model of the run: that of the last epoch or, with early stopping, of
the best one. If the last epoch is not the best, training continues from ``last.safetensors``. Both
files are complete checkpoints, and each epoch is written to one of them, so that the file with more
epochs holds the last one.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import reprlib
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .backend import Array
from .files import FolderHeldError, sole_writer, write_atomically
from .history import History
from .recipes import RECIPES, Data, Recipe
from .recipes.settings import AveragedSettings, Choice, Settings, option
from .storage import Checkpoint, load, to_bytes

CONFIG, MODEL, LAST = "config.json", "model.safetensors", "last.safetensors"
HISTORY, EPOCHS = "history.csv", "epochs.npz"
SHOWN = 5
"""The number of samples that are kept of an epoch."""
FORMAT = 4
"""The format of config.json. The first format had no number, and other names for some settings. The
second and the third lack the settings that were added later."""


class RunWarning(UserWarning):
    """A file of a run is lost or unreadable, and the run continues without it."""


@dataclass(frozen=True)
class Config:
    """The settings of a run, and the data that it was begun with."""

    model: str
    settings: Any
    shape: tuple[int, ...]
    """The shape of one sample."""
    value_range: tuple[float, float]
    """The values that are drawn black and white."""
    classes: tuple[str, ...]
    """Entry k is the name of class k."""
    data_sha256: str | None
    """The SHA-256 of the samples, their classes and their split; None where it was not stored."""

    @classmethod
    def of(cls, model: str, settings: Any, data: Data) -> Config:
        """Return the config of a run on these data."""
        return cls(model, settings, data.shape, data.value_range, data.classes, data.sha256)

    @property
    def recipe(self) -> Recipe[Any]:
        """The recipe of the model."""
        return RECIPES[self.model]

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Read config.json; ``ValueError`` where it is missing or damaged."""
        path = folder / CONFIG
        if not path.is_file():
            raise ValueError(
                f"{folder} holds no run: {CONFIG} is missing; scratchgen train makes one"
            )
        try:
            values = json.loads(path.read_bytes())
            if not isinstance(values, dict):
                raise ValueError("it holds no settings by name")
            return cls._of(values)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path} is damaged, or of another release: {error}; put back the file that "
                "scratchgen train wrote"
            ) from None

    @classmethod
    def _of(cls, values: dict[str, Any]) -> Config:
        number = values.pop("format", 1)
        if type(number) is not int or not 1 <= number <= FORMAT:
            said = reprlib.repr(number)
            raise ValueError(f"its format is {said}, this release reads 1 to {FORMAT}")
        model = Choice("", names=tuple(RECIPES)).checked("model", values.pop("model", None))
        sizes, span = values.pop("shape", None), values.pop("value_range", None)
        names, sha256 = values.pop("classes", []), values.pop("data_sha256", None)
        are_sizes = isinstance(sizes, list) and all(type(n) is int and n > 0 for n in sizes)
        are_names = isinstance(names, list) and all(isinstance(name, str) for name in names)
        is_text = isinstance(sha256, str) or (sha256 is None and number == 1)
        for name, value, is_it, expected in (
            ("shape", sizes, are_sizes, "a list of whole numbers from 1"),
            ("value_range", span, _is_range(span), "a list of two numbers, the lower first"),
            ("classes", names, are_names, "a list of names"),
            ("data_sha256", sha256, is_text, "a text"),
        ):
            if not is_it:
                raise ValueError(f"{name} is {expected}, got {reprlib.repr(value)}")
        kind = type(RECIPES[model].MNIST)
        if number == 1:
            values = kind.from_first_format(values)
        elif number < FORMAT:
            values = kind.from_earlier_format(values)
        settings, low, high = kind.from_json(values), float(span[0]), float(span[1])
        return cls(model, settings, tuple(sizes), (low, high), tuple(names), sha256)

    def to_bytes(self) -> bytes:
        """Return the content of config.json."""
        content = asdict(self)
        settings = content.pop("settings")
        return json.dumps({"format": FORMAT, **content, **settings}, indent=2).encode()

    def asked_again(self, folder: Path, model: str, given: dict[str, Any]) -> Any:
        """The settings for continuing a run: those it began with, with more or fewer epochs."""
        if model != self.model:
            raise ValueError(f"{folder} was begun as a {self.model}, not as a {model}")
        settings = replace(self.settings, **given)
        for name in given.keys() - {"epochs", "every"}:
            old, new = getattr(self.settings, name), getattr(settings, name)
            if old != new:
                said = self.settings.kinds()[name].said
                raise ValueError(
                    f"{folder} was begun with {option(name)} {said(old)}, not {said(new)}: resume "
                    "it as it is, or begin a new run"
                )
        return settings

    def check_shape(self, data: Data, folder: Path) -> None:
        """Raise ``ValueError`` for samples whose shape differs from that of the run's data."""
        if data.shape != self.shape:
            raise ValueError(
                f"{folder} was trained on samples of shape {self.shape}, those in {data.name} are "
                f"of shape {data.shape}"
            )

    def check_data(self, data: Data, folder: Path, validates: bool) -> None:
        """Raise ``ValueError`` unless these are the samples with which the run began."""
        self.check_shape(data, folder)
        data.check_same(self.data_sha256, folder, validates)

    def load(self, path: Path) -> Checkpoint:
        """Load a checkpoint of this run; ``ValueError`` if its model has other settings."""
        state = load(path, self.settings.device)
        if type(state.model) is not self.recipe.kind:
            differ = [f"it is a {type(state.model).__name__}, not a {self.recipe.kind.__name__}"]
        else:
            differ = self._differences(state)
        if differ:
            raise ValueError(
                f"{path} does not belong to the {CONFIG} beside it: {'; '.join(differ)}; put back "
                "the file that belongs there"
            )
        return state

    def _differences(self, state: Checkpoint) -> list[str]:
        said = {**asdict(self.settings), "pixels": math.prod(self.shape)}
        said["classes"] = len(self.classes)
        try:
            shown = self.recipe.shown(state.model)
        except (AttributeError, LookupError):
            return ["its networks are not those that scratchgen train builds"]
        if isinstance(self.settings, AveragedSettings):
            shown["ema"] = state.average.decay if state.average else 0.0
        return [
            f"its {name} is {value}, not {said[name]}"
            for name, value in shown.items()
            if value != said[name]
        ]


@dataclass
class Run:
    """The folder of a run, to which only this process writes."""

    folder: Path

    @classmethod
    @contextmanager
    def held(cls, folder: Path) -> Iterator[Run]:
        """Hold this folder, creating it if it is missing."""
        with sole_writer(folder):
            yield cls(folder)

    @classmethod
    @contextmanager
    def new(cls, base: Path) -> Iterator[Run]:
        """Hold the first of base, base-2, base-3 … that is empty and that no process holds."""
        for folder in itertools.chain([base], (Path(f"{base}-{k}") for k in itertools.count(2))):
            with ExitStack() as held:
                if folder.is_dir() or not folder.exists():
                    try:
                        held.enter_context(sole_writer(folder))
                    except FolderHeldError:
                        continue
                    if not any(folder.iterdir()):
                        yield cls(folder)
                        return

    def begun(self) -> Config | None:
        """Return the config with which the run began, or None where the folder holds no run.

        Raises ``ValueError`` where some files of a run are there and others are missing.
        """
        there = [n for n in (MODEL, LAST, HISTORY, EPOCHS) if (self.folder / n).exists()]
        if (self.folder / CONFIG).exists():
            config = Config.read(self.folder)
            missing = MODEL if there and MODEL not in there else None
        else:
            config, missing = None, CONFIG if there else None
        if missing:
            raise ValueError(
                f"{self.folder} holds {', '.join(there)}, but {missing} is missing: put it back, "
                "or name another folder with --out"
            )
        return config

    def checkpoints(self, config: Config) -> tuple[Checkpoint, Checkpoint] | None:
        """Return the last checkpoint and that of the run's model; None for a new run."""
        if not (self.folder / MODEL).exists():
            return None
        best = last = config.load(self.folder / MODEL)
        if (self.folder / LAST).exists():
            later = config.load(self.folder / LAST)
            if any(a != b for a, b in zip(best.history, later.history, strict=False)):
                raise ValueError(
                    f"{self.folder / LAST} does not go on from {MODEL}: put back the file that "
                    "belongs there, or remove it to go on from the best epoch"
                )
            last = max(best, later, key=lambda state: len(state.history))
        return last, best

    def is_finished(self, config: Config, settings: Settings) -> bool:
        """Whether a training with these ``settings`` has come to its last epoch, or to its end."""
        saved = self.checkpoints(config)
        if saved is None:
            return False
        (last, best), recipe = saved, config.recipe
        patience = recipe.patience(settings, last.history, best.model)
        is_over = patience is not None and patience.is_over
        whole = len(last.history) >= settings.epochs
        return whole or is_over or recipe.has_ended(last.history, settings)

    @contextmanager
    def training(self, config: Config, state: Checkpoint) -> Iterator[Keeper]:
        """Begin or continue a training; at its end every noted epoch is on the disk.

        This holds for every way in which the training ends. A run that ends before its first epoch
        leaves nothing.
        """
        write_atomically(self.folder / CONFIG, config.to_bytes())
        keeper = Keeper(self.folder, state)
        try:
            yield keeper
        finally:
            keeper.flush()
            if not (self.folder / MODEL).exists():
                (self.folder / CONFIG).unlink()

    def samples(self, pixels: int) -> dict[int, Array]:
        """Return the stored samples of some epochs, as rows of ``pixels`` numbers, by epoch."""
        path = self.folder / EPOCHS
        if not path.exists():
            return {}
        try:
            with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                kept = {int(name): file[name].astype(np.float32) for name in file.files}
            if not all(np.isfinite(x).all() for x in kept.values()):
                raise ValueError("it holds numbers that are not finite")
            if {x.size for x in kept.values()} != {SHOWN * pixels}:
                raise ValueError(f"it does not hold {SHOWN} samples of {pixels} numbers each")
            return {epoch: x.reshape(SHOWN, pixels) for epoch, x in kept.items()}
        # NumPy, zipfile and zlib raise errors without a common class for a damaged file.
        except Exception as error:
            said = next(iter(str(error).splitlines()), type(error).__name__)
            warnings.warn(
                f"{path} cannot be read ({said}): it is begun anew, without the samples of the "
                "epochs so far",
                RunWarning,
                stacklevel=2,
            )
            path.unlink()
            return {}

    def keep_samples(self, epoch: int, samples: Array) -> None:
        """Store the samples of an epoch, on the host, with those of the epochs before."""
        rows = samples.reshape(SHOWN, -1)
        kept = {**self.samples(rows.shape[1]), epoch: rows}
        named: dict[str, Any] = {f"{name}": kept[name] for name in sorted(kept)}
        file = io.BytesIO()
        np.savez_compressed(file, **named)
        write_atomically(self.folder / EPOCHS, file.getvalue())


class Keeper:
    """The epochs of a training in progress, written at most once a second."""

    def __init__(self, folder: Path, state: Checkpoint) -> None:
        self.folder, self.history = folder, [*state.history]
        self.unwritten: dict[str, bytes] = {}
        self.written = -math.inf

    def note(self, state: Checkpoint, is_best: bool = True) -> None:
        """Note the state after an epoch; with ``is_best``, it becomes the model of the run."""
        content = to_bytes(state.model, state.optimizers, state.rng, state.history, state.average)
        if is_best:
            self.unwritten = {MODEL: content}
        else:
            self.unwritten[LAST] = content
        self.history = [*state.history]
        if time.monotonic() - self.written > 1:
            self.flush()

    def flush(self) -> None:
        """Write what is not on the disk yet, in the order that the module's docstring gives."""
        if MODEL in self.unwritten:
            write_atomically(self.folder / MODEL, self.unwritten[MODEL])
            if LAST not in self.unwritten:
                (self.folder / LAST).unlink(missing_ok=True)
        if LAST in self.unwritten:
            write_atomically(self.folder / LAST, self.unwritten[LAST])
        if (self.folder / MODEL).exists():
            write_atomically(self.folder / HISTORY, _csv(History(self.history)))
        self.unwritten, self.written = {}, time.monotonic()


def newest(base: Path) -> Path:
    """Of base, base-2, base-3 …, return the run that was begun or continued last."""
    name = re.compile(re.escape(base.name) + r"(-\d+)?")
    there = base.parent.iterdir() if base.parent.is_dir() else ()
    runs = [path for path in there if name.fullmatch(path.name) and (path / CONFIG).is_file()]
    if not runs:
        raise ValueError(
            f"there is no run {base} to --resume: name its folder with --out, or leave --resume out"
        )
    return max(runs, key=lambda run: (run / CONFIG).stat().st_mtime_ns)


def _is_range(span: Any) -> bool:
    """Whether it begins with two numbers, as JSON has them, the lower first."""
    of_numbers = isinstance(span, list) and all(type(x) in (int, float) for x in span[:2])
    return of_numbers and len(span) > 1 and -1e300 < span[0] < span[1] < 1e300


def _csv(history: History) -> bytes:
    text = io.StringIO()
    table = csv.writer(text)
    # Of a run that another version began, the first epochs may lack what is reported since.
    names = list(dict.fromkeys(name for epoch in history for name in epoch.values()))
    table.writerow(["epoch", "seconds", *names])
    for epoch in history:
        values = epoch.values()
        told = [values.get(name, "") for name in names]
        table.writerow([epoch.number, f"{epoch.seconds:.3f}", *told])
    return text.getvalue().encode()
