"""The command line: ``scratchgen train | sample | evaluate | inpaint …``.

A run is a folder that is complete in itself: ``config.json``, ``model.safetensors``,
``history.csv`` and pictures. The exit codes are 0 for success; 2, with one line on standard error,
for a request that cannot be carried out; and 130 after Ctrl-C, with the last epoch saved.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import math
import os
import platform
import shlex
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from . import __version__, compare, interruption, operations, plotting, sweep, tracing
from .backend import Array, Generator, describe_cuda, generator, to_device, to_host
from .datasets.toys import TOYS
from .files import write_atomically
from .gradcheck import Report, check_file, check_module, check_rules, is_module
from .history import History
from .parallel import cores, describe_blas
from .parallel.processes import ALONE, Processes, sharing, started_together
from .progress import ProgressBar
from .recipes import RECIPES, Data, Recipe, pictures, recognised
from .recipes.completion import Completion, Inpainting, SuperResolution, complete
from .recipes.recipe import had
from .recipes.recognition import in_one_line
from .recipes.schedule import spans_the_training
from .recipes.settings import (
    DEVICE,
    SEED,
    Choice,
    Flag,
    Name,
    Names,
    Real,
    Record,
    Settings,
    Whole,
    setting,
)
from .runs import MODEL, SHOWN, Config, Run, RunWarning, newest
from .storage import Checkpoint
from .training import TrainingWarning

SHARED = ("train", "sample", "evaluate", "inpaint", "super-resolve")
"""The commands whose work several processes of MPI share."""


@dataclass(frozen=True, kw_only=True)
class Sampling(Record):
    """The options of ``scratchgen sample``."""

    n: int = setting(Whole("how many samples", most=1_000_000), default=64)
    draw: bool = setting(
        Flag("draw x ~ p(x|h), or states v, of a model whose samples are else shown as means"),
        default=False,
    )
    steps: int | None = setting(
        Whole("denoise a DDPM in N steps of DDIM in place of T ancestral ones", none="ancestral"),
        default=None,
    )
    eta: float | None = setting(
        Real(
            "noise of DDIM, from 0 (none) to 1 (as in DDPM), which is 0 with --steps",
            most=1,
            none="ancestral",
        ),
        default=None,
    )
    label: tuple[str, ...] = setting(
        Names(
            "a class to draw, by its name in the data; repeat the option for several classes "
            "(default: all classes in turn), for models of classes",
            complete=True,
        ),
        default=(),
    )
    guidance: float | None = setting(
        Real(
            "the weight w in ε̃ = (1 + w) ε̂(c) − w ε̂(none) of a cddpm (default 0.5); 0 is none",
            least=-1,
            none="default",
            complete=True,
        ),
        default=None,
    )
    seed: int = setting(SEED, default=0)
    device: str = setting(DEVICE, default="cpu")


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """The options of ``scratchgen evaluate``."""

    data: str | None = setting(
        Name("other data than it was trained on", none="the same"), default=None
    )
    seed: int = setting(SEED, default=0)
    device: str = setting(DEVICE, default="cpu")


@dataclass(frozen=True, kw_only=True)
class Comparison(Record):
    """The options of ``scratchgen compare``."""

    seed: int = setting(SEED, default=0)


@dataclass(frozen=True, kw_only=True)
class Sweeping(Record):
    """The options of ``scratchgen sweep``."""

    jobs: int | None = setting(
        Whole("how many trainings at a time", most=1024, none="cores"), default=None
    )
    only: int | None = setting(
        Whole(
            "train cell N of the grid alone, from 0, as a task of a job array", least=0, none="all"
        ),
        default=None,
    )
    measure: str | None = setting(
        Name("the column of history.csv that is compared", none="the cost of held-out data"),
        default=None,
    )
    best: str | None = setting(
        Choice(
            "which value is the best", names=("lowest", "highest"), none="as the measure has it"
        ),
        default=None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments give, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # printing − or σ must not fail
            stream.reconfigure(errors="backslashreplace")
    try:
        interruption.restore()
        asked = _parser().parse_args(arguments)
        _check_processes(asked)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # The library checks for NaN and infinity itself; each warning is printed on one line.
            for category in (TrainingWarning, RunWarning):
                warnings.simplefilter("always", category)
            warnings.showwarning = _in_one_line if started_together().rank == 0 else _unsaid
            code: int | None = asked.command(asked)
        sys.stdout.flush()
        return code or 0
    except KeyboardInterrupt as interrupt:
        return _failed(f"interrupted{interrupt}", 130)
    except BrokenPipeError:  # the reader of the output has exited, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, RuntimeError, OSError, MemoryError) as error:
        what = "out of memory: " if isinstance(error, MemoryError) else ""
        return _failed(f"{what}{' '.join(str(error).split())}", 2)


def _check_processes(asked: argparse.Namespace) -> None:
    """Raise ``ValueError`` where mpiexec started several processes for the work of one."""
    size = started_together().size
    if size > 1 and asked.named not in SHARED:
        raise ValueError(
            f"mpiexec started {size} processes, and scratchgen {asked.named} is the work of one: "
            f"leave mpiexec out; several processes share {', '.join(SHARED)}"
        )


def _failed(said: str, code: int) -> int:
    """Print why the command ends, end the processes that would wait for this one, return the code.

    An error that all processes have is printed once, by the first, which ends the others.
    """
    with contextlib.suppress(RuntimeError):  # mpi4py may be missing, which is then the error
        together = started_together()
        if together.rank > 0:
            time.sleep(1)
            said = f"process {together.rank}: {said}"
        print(f"scratchgen: {said}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        time.sleep(0.5)  # mpiexec may lose what it has not passed on when the processes end
        together.end_all(code)
        return code
    print(f"scratchgen: {said}", file=sys.stderr)
    return code


def _in_one_line(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"scratchgen: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _unsaid(*_: Any, **__: Any) -> None:
    """Say nothing, since the first process says it."""


def _given(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given, with an absolute path of data, valid in any folder."""
    given = RECIPES[asked.model].parsed(vars(asked))
    if Path(given.get("data", "")).suffix:
        given["data"] = str(Path(given["data"]).resolve())
    return given


def _train(asked: argparse.Namespace) -> None:
    recipe = RECIPES[asked.model]
    given = _given(asked)
    settings = recipe.settings(given)  # an invalid setting is reported before anything else
    if not asked.resume:
        settings.check_rates()
    processes = started_together()
    if processes.rank > 0:
        _train_along(processes)
        return
    with _folder(asked, settings) as run:
        begun = run.begun()
        if begun and not asked.resume:
            raise ValueError(
                f"{run.folder} holds a run: go on with --resume, or name another folder"
            )
        if begun:
            settings = begun.asked_again(run.folder, asked.model, given)
        elif asked.resume:
            print(f"scratchgen: {run.folder} holds no run yet, a new one begins", file=sys.stderr)
        data = Data.named(settings.data, begun.classes if begun else ())
        config = Config.of(asked.model, settings, data)
        if begun:
            begun.check_data(data, run.folder, validates=recipe.classifies)
        state, patience = _state_and_patience(run, begun, config, data)
        processes.from_first((config, state, patience))
        epochs = recipe.epochs(
            state, data, settings, lambda starts: bar.batches(starts), patience, processes
        )
        if begun and state.history:
            _say_how_it_goes_on(run.folder, begun, config, state)
        print(data.describe(validates=recipe.classifies))
        if processes.size > 1:
            print(f"{processes.size} processes share each batch of {settings.batch_size} samples")
        try:
            with run.training(config, state) as kept:
                _show_samples(run, config, state)
                with ProgressBar(settings.epochs, len(state.history)) as bar:
                    for epoch in epochs:
                        kept.note(state, patience is None or patience.best_epoch == epoch.number)
                        bar.show(epoch)
                        if recipe.generative and settings.shows(epoch.number):
                            kept.flush()
                            _show_samples(run, config, state)
                if not state.history:  # with --epochs 0, the initial model is saved
                    kept.note(state)
            shown = len(state.history)
            if patience is not None:
                patience.restore(state.model)
                shown = patience.best_epoch
                print(f"the model is that of epoch {shown}, whose validation cost was the lowest")
            _draw(run, config, state, data, shown)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_how_to_go_on(run, asked.model)) from None
    _say_what_is_next(run.folder, recipe)


def _train_along(processes: Processes) -> None:
    """Compute a share of each batch, as a process that is not the first: it writes nothing.

    The first process ends all after Ctrl-C, once the last epoch is on the disk.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config, state, patience = processes.from_first(None)
    data = Data.named(config.settings.data, config.classes)
    config.check_data(data, Path(config.settings.data), validates=config.recipe.classifies)
    for _ in config.recipe.epochs(
        state, data, config.settings, patience=patience, processes=processes
    ):
        pass


def _folder(asked: argparse.Namespace, settings: Settings) -> AbstractContextManager[Run]:
    """Hold the folder given by --out, else the newest run of this model and data, or a new one."""
    if asked.out is not None:
        if not asked.out:
            raise ValueError("--out is the name of a folder, got an empty one")
        return Run.held(Path(asked.out))
    base = Path("runs") / f"{asked.model}-{Path(settings.data).stem}"
    return Run.held(newest(base)) if asked.resume else Run.new(base)


def _state_and_patience(
    run: Run, begun: Config | None, config: Config, data: Data
) -> tuple[Checkpoint, Any]:
    """Return the state from which training continues, stored or new, and its patience."""
    recipe, settings = config.recipe, config.settings
    saved = run.checkpoints(begun) if begun else None
    if not begun or not saved:
        rng = generator(settings.seed, settings.device)
        model = recipe.build(settings, data, rng)
        optimizers, average = recipe.optimizers(model, settings), recipe.average(model, settings)
        state = Checkpoint(model, optimizers, rng, History(), average)
        return state, recipe.patience(settings, state.history, model)
    state, best = saved
    rng = state.rng or generator(settings.seed, settings.device)
    state = Checkpoint(state.model, state.optimizers, rng, state.history, state.average)
    done = len(state.history)
    if done > settings.epochs:
        raise ValueError(f"{run.folder} has {done} epochs, more than --epochs {settings.epochs}")
    return state, recipe.patience(settings, state.history, best.model)


def _say_how_it_goes_on(folder: Path, begun: Config, config: Config, state: Checkpoint) -> None:
    """Print the last epoch, and how a new number of epochs changes the learning rate."""
    before, now, done = begun.settings, config.settings, len(state.history)
    print(f"{folder}: going on after epoch {done}")
    if now.epochs != before.epochs and spans_the_training(now.schedule):
        print(
            f"{folder}: from here on, the {now.schedule} of the learning rate is that of "
            f"{now.epochs} epochs, no longer of {before.epochs}: the next rate is "
            f"{now.rate(done):.3g} in place of {before.rate(done):.3g}"
        )


def _show_samples(run: Run, config: Config, state: Checkpoint) -> None:
    """Store samples of the last epoch, if it is one of the epochs whose samples are kept."""
    done, settings = len(state.history), config.settings
    if config.recipe.generative and done and settings.shows(done):
        rng = generator(settings.seed, settings.device)
        run.keep_samples(done, to_host(config.recipe.samples(state.averaged_model, SHOWN, rng)))


def _draw(run: Run, config: Config, state: Checkpoint, data: Data, epoch: int) -> None:
    """Save the pictures of the model; ``epoch`` is the epoch of its weights."""
    if not (plotting.is_image(config.shape) or plotting.is_plane(config.shape)):
        print(f"no pictures of samples: those of shape {config.shape} are no images")
    kept = run.samples(math.prod(config.shape))
    heading = _heading(config, epoch)
    rng = generator(config.settings.seed, config.settings.device)
    trained = state.averaged_model, data, config.settings, state.history
    for name, picture in pictures(config.recipe, *trained, kept, heading, rng):
        plotting.save(picture, run.folder / name)


def _heading(config: Config, epoch: int) -> str:
    """The title of every picture: the model, its data, and the number of epochs."""
    data = Path(config.settings.data).stem
    return f"{config.model} on {data}, epoch {epoch}"


def _how_to_go_on(run: Run, model: str) -> str:
    if not (run.folder / MODEL).exists():
        return " in its first epoch: nothing is left of it"
    again = f"{_command()} train {model} --out {shlex.quote(str(run.folder))} --resume"
    return f"; the last whole epoch is saved, go on with: {again}"


def _say_what_is_next(folder: Path, recipe: Recipe[Any]) -> None:
    """Print the files of the run, and the commands to type next from the current folder."""
    print(f"left in {folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    first = folder / recipe.looked_at
    if first.exists():
        print(f"look at {first}")
    run, suffix = shlex.quote(str(folder)), "png" if first.exists() else "npy"
    print(f"next: {_command()} evaluate {run}")
    if recipe.generative:
        print(f"      {_command()} sample {run} --n 100 --out hundred.{suffix}")


def _command() -> str:
    """The command that started this program, in a form that can be typed again."""

    def typed(program: str, name: str) -> str:
        found = shutil.which(name)
        if found and os.path.abspath(found) == os.path.abspath(program):
            return name
        return shlex.quote(min(os.path.relpath(program), program, key=len))

    started = Path(sys.argv[0])
    if started.stem == "scratchgen":
        return typed(str(started), started.name)
    return f"{typed(sys.executable, 'python')} -m scratchgen"


def _sample(asked: argparse.Namespace) -> None:
    wanted = Sampling(**Sampling.parsed(vars(asked)))
    config, checkpoint = _run(asked, wanted.device)
    recipe, images = config.recipe, plotting.is_image(config.shape)
    drawn = images or plotting.is_plane(config.shape)
    default = Path(asked.run) / f"samples-seed-{wanted.seed}.{'png' if drawn else 'npy'}"
    path = default if asked.out is None else Path(asked.out)
    if path.suffix not in (".png", ".npy"):
        raise ValueError(f"--out ends with .png or .npy, got {path}")
    if path.suffix == ".png" and not drawn:
        raise ValueError(
            f"samples of shape {config.shape} are no images: take --out {path.with_suffix('.npy')}"
        )
    if not recipe.generative:
        raise ValueError(f"a {recipe.title} has no samples: ask scratchgen evaluate {asked.run}")
    given = recipe.conditions(config.classes, wanted.n, wanted.label, wanted.guidance)
    of_model: Callable[..., Array] = recipe.samples
    what = recipe.sampled
    if wanted.draw:
        of_model, what = recipe.draws, recipe.drawn
    if not (wanted.steps is None and wanted.eta is None):
        of_model, what = recipe.in_steps(wanted.steps, wanted.eta)
    if wanted.label:
        what = f"{what} of {', '.join(wanted.label)}"
    rng = generator(wanted.seed, wanted.device)
    with sharing(started_together()):
        samples = to_host(of_model(checkpoint.averaged_model, wanted.n, rng, **given))
    if started_together().rank > 0:
        return
    samples = samples.reshape(-1, *config.shape)
    if path.suffix == ".npy":
        _save_array(samples, path)
    else:
        if images:
            picture = plotting.image_grid(samples, value_range=config.value_range)
        else:
            picture = plotting.plane({f"{wanted.n} {what}": samples})
        title = f"{_heading(config, len(checkpoint.history))}: {what}"
        plotting.save(plotting.titled(picture, title), path)
    print(f"{path}: {wanted.n} {what}, {_trained_for(checkpoint)}")


def _inpaint(asked: argparse.Namespace) -> None:
    _complete(asked, Inpainting, "inpainted")


def _super_resolve(asked: argparse.Namespace) -> None:
    _complete(asked, SuperResolution, "super-resolved")


def _complete(asked: argparse.Namespace, options: type[Completion], done: str) -> None:
    """Complete held-out images of which a part is known; ``done`` names the result."""
    wanted = options(**options.parsed(vars(asked)))
    config, checkpoint = _run(asked, wanted.device)
    recipe, folder = config.recipe, Path(asked.run)
    default = folder / f"{done}-seed-{wanted.seed}.png"
    path = default if asked.out is None else Path(asked.out)
    if path.suffix not in (".png", ".npy"):
        raise ValueError(f"--out ends with .png or .npy, got {path}")
    data = Data.named(config.settings.data)
    config.check_data(data, folder, validates=False)
    few = replace(data, test=data.test[: wanted.n])
    labels = None if data.test_labels is None else data.test_labels[: wanted.n]
    both = recipe.held_out(few, config.settings), recipe.prepare(data)
    # A model of classes is asked for p(x), whatever the class: its labels stay out.
    x, seen = (x[0] if isinstance(x, tuple) else x for x in both)
    rng = generator(wanted.seed, wanted.device)
    with sharing(started_together()):
        completed = complete(checkpoint.averaged_model, x, seen, labels, wanted, rng)
    if started_together().rank > 0:
        return
    print(f"{folder}: {config.model} {_trained_for(checkpoint)}, {wanted.method_said}")
    judged = completed.judge(data, folder)
    for name, value in judged.items():
        print(f"  {name:<{max(map(len, judged))}}  {value}")
    if path.suffix == ".npy":
        _save_array(completed.drawn[: len(few.test)].reshape(-1, *data.shape), path)
    else:
        title = f"{_heading(config, len(checkpoint.history))}: {done}, {wanted.method_said}"
        table = completed.table(data.shape, config.value_range)
        plotting.save(plotting.titled(table, title), path)
    print(f"{path}: {len(few.test)} held-out images, {done}")


def _save_array(samples: Array, path: Path) -> None:
    file = io.BytesIO()
    np.save(file, samples)
    write_atomically(path, file.getvalue())


def _evaluate(asked: argparse.Namespace) -> None:
    wanted = Evaluation(**Evaluation.parsed(vars(asked)))
    config, checkpoint = _run(asked, wanted.device)
    recipe, folder = config.recipe, Path(asked.run)
    classes = config.classes if recipe.labelled else ()
    data = Data.named(wanted.data or config.settings.data, classes)
    if wanted.data is None:
        config.check_data(data, folder, validates=False)
    config.check_shape(data, folder)
    rng = generator(wanted.seed, wanted.device)
    model = checkpoint.averaged_model
    model.validate(_on_device(recipe.held_out(data, config.settings), rng))
    with sharing(started_together()):
        judged = recipe.judge(model, data, config.settings, rng)
        if recipe.generative:
            of_samples = functools.partial(_judge_samples, recipe, model, data, folder, rng)
            judged |= had(iter([("samples", of_samples)]))
    if started_together().rank > 0:
        return
    print(f"{folder}: {config.model} {_trained_for(checkpoint)}")
    for name, value in judged.items():
        print(f"  {name:<{max(map(len, judged))}}  {value}")


def _judge_samples(
    recipe: Recipe[Any], model: Any, data: Data, folder: Path, rng: Generator
) -> dict[str, str]:
    """Compare samples with held-out data: all processes draw them, and the first compares them."""
    said: dict[str, str] = {}
    asked, first = recipe.asked(model, recipe.n_judged), started_together().rank == 0
    for kind, samples in recipe.compared(model, recipe.n_judged, rng).items():
        if first:
            with sharing(ALONE):
                lines = recognised(to_host(samples).reshape(-1, *data.shape), data, folder, asked)
            said |= {f"{kind}: {k.strip()}" if kind else k: v for k, v in lines.items()}
    for name, samples in recipe.varied(model, recipe.n_judged, rng):
        if first:
            of_kind = to_host(samples).reshape(-1, *data.shape)
            with sharing(ALONE):
                of_its = recipe.asked(model, len(of_kind))
                said[name] = in_one_line(of_kind, data, folder, of_its)
    return said


def _compare(asked: argparse.Namespace) -> None:
    wanted = Comparison(**Comparison.parsed(vars(asked)))
    data = Data.named(asked.data)
    models = asked.models or compare.names()
    unknown = [name for name in models if name not in compare.names()]
    if unknown:
        raise ValueError(f"--models are of {', '.join(compare.names())}, got {', '.join(unknown)}")
    if len(data.test) < compare.LEAST:
        raise ValueError(
            f"a comparison takes at least {compare.LEAST} held-out samples, {data.name} has "
            f"{len(data.test)}"
        )
    folder = Path(asked.out or f"compare-{Path(asked.data).stem}")
    folder.mkdir(parents=True, exist_ok=True)

    def train(words: list[str], run: Path) -> None:
        said = io.StringIO()
        with redirect_stdout(said):
            _train(_parser().parse_args(["train", *words]))
        write_atomically(run / "train.log", said.getvalue().encode())

    rows: list[compare.Row] = []
    note = functools.partial(print, file=sys.stderr, flush=True)
    for row in compare.compare(data, models, folder, wanted.seed, train, note):
        rows.append(row)
        compare.write_csv(rows, folder / "compare.csv")
    table = compare.table(rows)
    write_atomically(folder / "compare.md", f"{table}\n".encode())
    plotting.save(compare.picture(rows, data.name), folder / "compare.png")
    print(table)
    print(f"left in {folder}/: compare.md, compare.csv, compare.png, and a run for each model")


def _sweep(asked: argparse.Namespace) -> int:
    wanted = Sweeping(**Sweeping.parsed(vars(asked)))
    given = _given(asked)
    data = Path(given.get("data", "digits")).stem
    folder = Path(asked.out or f"sweeps/{asked.model}-{data}")
    grid = sweep.cells(asked.model, given, asked.vary, folder)
    if wanted.only is not None:
        return _train_cell(grid, wanted.only)
    jobs = min(wanted.jobs or cores(), len(grid))
    rows: list[sweep.Row] = []
    try:
        for row in sweep.sweep(grid, jobs, max(1, cores() // jobs)):
            rows.append(row)
            sweep.write_csv(sweep.in_order(rows, grid), folder / "sweep.csv")
            said = f"{len(rows)} of {len(grid)}: {row.cell}: {row.state}"
            print(f"scratchgen: {said}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("; what is trained is saved, go on with the same command") from None
    rows = sweep.in_order(rows, grid)
    failed = [row for row in rows if row.state != sweep.FINISHED]
    if any(row.values for row in rows):
        measure = sweep.measure_of(rows, wanted.measure)
        highest = "accuracy" in measure if wanted.best is None else wanted.best == "highest"
        table = sweep.table(rows, measure, highest)
        write_atomically(folder / "sweep.md", f"{table}\n".encode())
        plotting.save(sweep.picture(rows, measure, highest), folder / "sweep.png")
        print(table)
        print(f"left in {folder}/: sweep.md, sweep.csv, sweep.png, and a run for each cell")
    for row in failed:
        print(f"failed: {row.cell}: {row.state}; see {row.cell.folder / sweep.LOG}")
    return 1 if failed else 0


def _train_cell(grid: Sequence[sweep.Cell], number: int) -> int:
    """Train one cell of a grid in this process, as a task of a job array does."""
    if number >= len(grid):
        raise ValueError(f"--only is from 0 to {len(grid) - 1}, as the grid has it, got {number}")
    cell = grid[number]
    print(f"cell {number} of {len(grid)}: {cell}", flush=True)
    if cell.is_finished:
        print(f"{cell.folder} is trained already")
        return 0
    words = ["train", cell.model, *cell.words, "--out", str(cell.folder)]
    _train(_parser().parse_args([*words, *(["--resume"] if cell.begun else [])]))
    return 0


def _run(asked: argparse.Namespace, device: str) -> tuple[Config, Checkpoint]:
    """Return the config of a run, and its model on a device."""
    folder = Path(asked.run)
    config = Config.read(folder)
    config = replace(config, settings=replace(config.settings, device=device))
    return config, config.load(folder / MODEL)


def _trained_for(checkpoint: Checkpoint) -> str:
    """Say for how many epochs a model was trained."""
    done = len(checkpoint.history)
    return f"after {done} epoch{'s' * (done != 1)}" if done else "untrained, after 0 epochs"


def _check(asked: argparse.Namespace) -> int:
    declared = _declared_checks(asked.name)
    if declared is not None:
        failed = []
        for name, report in declared:
            print(f"{name}: {report.verdict}\n{report}\n")
            failed += [] if report.ok else [name]
        print(f"failed: {', '.join(failed)}" if failed else "every check agrees")
        return 1 if failed else 0
    reports = check_rules(asked.name, asked.device)
    print(f"{'rule':<25}{'equation':<16}{'largest error':<15}{'numerical side':<21}verdict")
    tried = wrong = 0
    for name, report in reports:
        for entry in report.entries:
            method = "complex step" if "complex" in entry.method else "central differences"
            equation, error = f"∂C/∂{entry.name}", f"{entry.max_relative_error:.1e}"
            print(f"{name:<25}{equation:<16}{error:<15}{method:<21}{entry.verdict}")
        if not report.ok:
            print(f"\n{report}\n")
        tried += len(report.entries)
        wrong += sum(not entry.ok for entry in report.entries) + len(report.problems)
    print(f"{tried} equation{'s' if tried > 1 else ''} tried, {wrong or 'none'} wrong")
    return 1 if wrong else 0


def _declared_checks(name: str | None) -> Iterator[tuple[str, Report]] | None:
    """The checks of a file or of a module; ``None`` for the name of a rule."""
    if name is None or name in operations.__all__:
        return None
    if Path(name).suffix == ".py" or len(Path(name).parts) > 1:
        return check_file(Path(name))
    return check_module(name) if is_module(name) or "." in name else None


def _trace(asked: argparse.Namespace) -> None:
    if asked.plot and asked.plot.suffix != ".png":
        raise ValueError(f"--plot ends with .png, got {asked.plot}")
    trace, said = _traced(asked.name)
    left = []
    if asked.html:
        trace.to_html(asked.html)
        left.append(f"to step through in a browser: {asked.html}")
    if asked.plot:
        plotting.save(trace.plot(), asked.plot)
        left.append(f"‖δ‖ by layer: {asked.plot}")
    print(said)
    if left:
        print("", *left, sep="\n")


def _traced(name: str | None) -> tuple[tracing.Trace, str]:
    """The trace of the notes' network, or of a check: the first that is not ok; and its text."""
    if name is None:
        trace = tracing.lecture()
        return trace, tracing.report(trace)
    declared = _declared_checks(name)
    if declared is None:
        raise ValueError(
            f"{name!r} is no file FILE.py and no module with functions check_…, whose cost could "
            "be traced"
        )
    first = None
    for check, report in declared:
        first = first or (check, report)
        if not report.ok and report.entries:
            first = check, report
            break
    assert first is not None
    check, report = first
    trace = report.trace()
    return trace, f"{check}: {report.verdict}\n\n{trace}"


def _info(_: argparse.Namespace) -> None:
    folder = os.environ.get("SCRATCHGEN_DATA", "not set: MNIST is fetched into the user's cache")
    python = f"Python {platform.python_version()} on {platform.machine()}"
    print(f"scratchgen    {__version__}, {python}")
    print(f"NumPy         {np.__version__}, {os.cpu_count()} cores")
    print(f"BLAS          {describe_blas()}")
    for package in ("scipy", "matplotlib", "safetensors", "tqdm", "pooch", "threadpoolctl"):
        print(f"{package:<13} {metadata.version(package)}")
    print(f"cuda          {describe_cuda()}")
    print(f"models        {', '.join(RECIPES)}")
    print(f"data          digits (bundled), {', '.join(TOYS)}, mnist; SCRATCHGEN_DATA {folder}")


def _on_device(data: Any, rng: Generator) -> Any:
    """Move an array, or each of a tuple of arrays, to the device of the generator."""
    if isinstance(data, tuple):
        return tuple(to_device(x, rng) for x in data)
    return to_device(data, rng)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="scratchgen", description="Deep generative models from scratch.")
    parser.add_argument("--version", action="version", version=f"scratchgen {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="named", required=True, metavar="COMMAND"
    )

    def command(name: str, does: Callable[[argparse.Namespace], Any], **said: Any) -> Any:
        added = commands.add_parser(name, **said)
        added.set_defaults(command=does)
        return added

    def of_model(name: str, does: Callable[..., Any], said: str, what: str) -> Iterator[Any]:
        names = command(name, does, help=said).add_subparsers(
            dest="model", required=True, metavar="MODEL"
        )
        for each, recipe in RECIPES.items():
            model = names.add_parser(
                each,
                help=recipe.title,
                description=what.format(recipe.title),
                argument_default=argparse.SUPPRESS,
            )
            recipe.add_options(model)
            yield model

    for model in of_model("train", _train, "train a model and leave a run folder", "Train a {}."):
        model.add_argument("--out", default=None, metavar="DIR", help="default runs/MODEL-DATA")
        model.add_argument(
            "--resume",
            action="store_true",
            default=False,
            help="go on with the run in --out, or with the newest in runs/: with as many --epochs "
            "to the same bits as if it had never stopped",
        )

    sweeping = "Train a {} with each combination of some settings."
    for model in of_model("sweep", _sweep, "train a grid of settings, and compare them", sweeping):
        model.add_argument(
            "--vary",
            nargs="+",
            action="append",
            required=True,
            metavar=("SETTING", "VALUE"),
            help="a setting and its values, as in --vary lr 0.1 0.01; repeat it for a grid; "
            "numbers of one value have commas (hidden 100,50), a flag is yes or no",
        )
        Sweeping().add_options(model, {"": Sweeping()})
        model.add_argument(
            "--out", default=None, metavar="DIR", help="a folder of runs (sweeps/MODEL-DATA)"
        )

    def of_run(name: str, does: Callable[..., None], options: Record, said: str) -> Any:
        added = command(name, does, help=said, argument_default=argparse.SUPPRESS)
        added.add_argument("run", metavar="RUN", help="a folder that train left")
        options.add_options(added, {"": options})
        return added

    sampling = of_run("sample", _sample, Sampling(), "samples of a trained model")
    file = "FILE.png or FILE.npy (default RUN/samples-seed-SEED.png)"
    sampling.add_argument("--out", default=None, metavar="FILE", help=file)
    of_run("evaluate", _evaluate, Evaluation(), "say how good a trained model is")
    completing: list[tuple[str, Any, Record, str, str]] = [
        ("inpaint", _inpaint, Inpainting(), "complete images whose parts are hidden", "inpainted"),
        (
            "super-resolve",
            _super_resolve,
            SuperResolution(),
            "complete images of which averages are known",
            "super-resolved",
        ),
    ]
    for *of_command, done in completing:
        file = f"FILE.png, or FILE.npy with the images (default RUN/{done}-seed-SEED.png)"
        of_run(*of_command).add_argument("--out", default=None, metavar="FILE", help=file)
    comparing = command(
        "compare",
        _compare,
        help="train every model on one data set, and measure all of them alike",
        argument_default=argparse.SUPPRESS,
    )
    comparing.add_argument("data", metavar="DATA", help="digits, mnist, or a file .npy or .npz")
    Comparison().add_options(comparing, {"": Comparison()})
    names = ", ".join(compare.names())
    comparing.add_argument(
        "--models", nargs="+", default=None, metavar="MODEL", help=f"some of {names} (default: all)"
    )
    comparing.add_argument(
        "--out", default=None, metavar="DIR", help="a folder with a run for each (compare-DATA)"
    )
    check = command("check", _check, help="check every rule's equations, or your own")
    check.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a rule, or a file FILE.py or module whose functions check_… each return a report of "
        "scratchgen.check_gradient, or several (default: every rule of the library); the exit code "
        "is 1 if any check disagrees, is undecided or was not run",
    )
    check.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    tracer = command(
        "trace",
        _trace,
        help="show each equation of backpropagation in the notes' network",
        description="The nine derivatives of the notes' network of two inputs, two hidden units "
        "and one output, and each equation that they come from, with its numbers. Of a file or "
        "module with checks, the same of the cost of the first check that is not ok, with the "
        "equations at fault marked.",
    )
    tracer.add_argument(
        "name",
        nargs="?",
        metavar="FILE.py",
        help="a file or a module with functions check_… (default: the notes' network)",
    )
    tracer.add_argument("--html", type=Path, metavar="FILE", help="write a page that steps through")
    tracer.add_argument("--plot", type=Path, metavar="FILE.png", help="draw ‖δ‖ by layer")
    command("info", _info, help="versions, devices, data")
    return parser
