"""The command line: ``scratchgen train | sample | evaluate | check | trace | info``.

A run is a folder that needs nothing else: ``config.json``, ``model.safetensors``, ``history.csv``
and pictures. Exit codes: 0; 2 with one line on standard error for what cannot be done as asked; 130
after Ctrl-C, with the last epoch saved.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import math
import os
import platform
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from . import __version__, plotting, tracing
from .backend import Generator, describe_cuda, generator, to_device, to_host
from .files import sole_writer, write_atomically
from .gradcheck import check_file, check_rules
from .parallel import describe_blas
from .progress import ProgressBar
from .recipes import RECIPES, Data, pictures, recognised
from .storage import Checkpoint, load, to_bytes
from .training import History, TrainingWarning

CONFIG, MODEL, HISTORY, EPOCHS = "config.json", "model.safetensors", "history.csv", "epochs.npz"
SHOWN = {1, 2, 4, 10, 50, 100, 200, 400, 1000}  # the epochs of which samples are kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a − or σ is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        asked = _parser().parse_args(arguments)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # What is not finite is found where it matters; what is doubtful takes one line.
            warnings.simplefilter("always", TrainingWarning)
            warnings.showwarning = _in_one_line
            code: int | None = asked.command(asked)
        sys.stdout.flush()
        return code or 0
    except KeyboardInterrupt as interrupt:
        print(f"scratchgen: interrupted{interrupt}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # what read the output has gone, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, RuntimeError, OSError, MemoryError) as error:
        what = "out of memory: " if isinstance(error, MemoryError) else ""
        print(f"scratchgen: {what}{' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _in_one_line(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"scratchgen: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _train(asked: argparse.Namespace) -> None:
    folder, settings = _new_or_resumed(asked)
    recipe, data = RECIPES[settings["model"]], Data.named(settings["data"])
    shape = [*data.shape]
    if settings.get("shape", shape) != shape:
        raise ValueError(f"{folder} was begun on samples of shape {settings['shape']}, not {shape}")
    if "shape" in settings:
        data.check_same(settings, folder, validates=not recipe.generative)
    settings |= data.settings

    def noise() -> Generator:
        return generator(settings["seed"], settings["device"])

    with ExitStack() as held:
        if folder.exists():
            held.enter_context(sole_writer(folder))
        state = _saved_or_built(folder, settings, data)
        state = state._replace(rng=state.rng or noise())
        epochs = recipe.epochs(state, data, settings, lambda starts: bar.batches(starts))
        if not folder.exists():  # nothing is left behind by what was refused so far
            folder.mkdir(parents=True)
            held.enter_context(sole_writer(folder))
        write_atomically(folder / CONFIG, json.dumps(settings, indent=2).encode())
        print(data.describe(validates=not recipe.generative))
        last, written = (to_bytes(*state), [*state.history]), -math.inf
        try:
            with ProgressBar(settings["epochs"], len(state.history)) as bar:
                for epoch in epochs:
                    last = to_bytes(*state), [*state.history]
                    bar.show(epoch)
                    if recipe.generative and epoch.number in SHOWN:
                        _keep_samples(folder, epoch.number, recipe.samples(state.model, 5, noise()))
                    if time.monotonic() - written > 1:  # an epoch may be shorter than a flush
                        write_atomically(folder / MODEL, last[0])
                        written = time.monotonic()
            _draw(folder, settings, state, data, noise())
        except KeyboardInterrupt:
            again = f"scratchgen train {settings['model']} --out {folder} --resume"
            what = f"; the last whole epoch is saved, go on with: {again}"
            raise KeyboardInterrupt(what) from None
        finally:
            write_atomically(folder / MODEL, last[0])
            write_atomically(folder / HISTORY, _csv(History(last[1])))
    print(f"left in {folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def _saved_or_built(folder: Path, settings: dict[str, Any], data: Data) -> Checkpoint:
    """What the run in the folder goes on from: its checkpoint, or a new model."""
    if (folder / MODEL).exists():
        state = load(folder / MODEL, settings["device"])
        if len(state.history) > settings["epochs"]:
            raise ValueError(
                f"{folder} has {len(state.history)} epochs, more than --epochs {settings['epochs']}"
            )
        print(f"{folder}: going on after epoch {len(state.history)}")
        return state
    rng = generator(settings["seed"], settings["device"])
    recipe = RECIPES[settings["model"]]
    model = recipe.build(settings, data, rng)
    return Checkpoint(model, recipe.optimizers(model, settings), rng, History())


def _keep_samples(folder: Path, epoch: int, samples: Any) -> None:
    """Add the samples of an epoch to those of the epochs before."""
    path = folder / EPOCHS
    kept = dict(np.load(path)) if path.exists() else {}
    file = io.BytesIO()
    np.savez_compressed(file, **{**kept, f"{epoch}": to_host(samples)})
    write_atomically(path, file.getvalue())


def _draw(
    folder: Path, settings: dict[str, Any], state: Checkpoint, data: Data, rng: Generator
) -> None:
    recipe = RECIPES[settings["model"]]
    if not plotting.is_image(data.shape):
        print(f"no pictures of samples: those of shape {data.shape} are no images")
    kept = np.load(folder / EPOCHS) if (folder / EPOCHS).exists() else {}
    by_epoch = {int(epoch): kept[epoch] for epoch in kept}
    heading = _heading(settings, state)
    for name, picture in pictures(
        recipe, state.model, data, settings, state.history, by_epoch, heading, rng
    ):
        plotting.save(picture, folder / name)


def _heading(settings: dict[str, Any], state: Checkpoint) -> str:
    """What stands over every picture: the model, its data, and how long it was trained."""
    data = Path(settings["data"]).stem
    return f"{settings['model']} on {data}, epoch {len(state.history)}"


def _sample(asked: argparse.Namespace) -> None:
    settings, checkpoint = _run(asked)
    if asked.n < 1:
        raise ValueError(f"--n is at least 1, got {asked.n}")
    images = plotting.is_image(tuple(settings["shape"]))
    default = f"samples-seed-{asked.seed}.{'png' if images else 'npy'}"
    path = asked.out or asked.run / default
    if path.suffix not in (".png", ".npy"):
        raise ValueError(f"--out ends with .png or .npy, got {path}")
    if path.suffix == ".png" and not images:
        raise ValueError(
            f"samples of shape {tuple(settings['shape'])} are no images: take --out "
            f"{path.with_suffix('.npy')}"
        )
    recipe = RECIPES[settings["model"]]
    if not recipe.generative:
        raise ValueError(f"a {recipe.title} has no samples: ask scratchgen evaluate {asked.run}")
    rng = generator(asked.seed, settings["device"])
    samples = to_host(recipe.samples(checkpoint.model, asked.n, rng))
    samples = samples.reshape(-1, *settings["shape"])
    if path.suffix == ".npy":
        file = io.BytesIO()
        np.save(file, samples)
        write_atomically(path, file.getvalue())
    else:
        low, high = settings["value_range"]
        grid = plotting.image_grid(samples, value_range=(low, high))
        title = f"{_heading(settings, checkpoint)}: {recipe.sampled}"
        plotting.save(plotting.titled(grid, title), path)
    print(path)


def _evaluate(asked: argparse.Namespace) -> None:
    settings, checkpoint = _run(asked)
    name = asked.data or settings["data"]
    recipe = RECIPES[settings["model"]]
    data = Data.named(name, () if recipe.generative else settings.get("classes", ()))
    if [*data.shape] != settings["shape"]:
        raise ValueError(
            f"{asked.run} was trained on samples of shape {settings['shape']}, those in {name} are "
            f"of shape {[*data.shape]}"
        )
    if asked.data is None:
        data.check_same(settings, asked.run, validates=False)
    rng = generator(asked.seed, settings["device"])
    held_out = recipe.prepare(replace(data, train=data.test, train_labels=data.test_labels))
    checkpoint.model.validate(_on_device(held_out, rng))
    judged = recipe.judge(checkpoint.model, data, settings, rng)
    if recipe.generative:
        samples = to_host(recipe.samples(checkpoint.model, recipe.n_judged, rng))
        judged |= recognised(samples.reshape(-1, *data.shape), data, asked.run)
    print(f"{asked.run}: {settings['model']} after {len(checkpoint.history)} epochs")
    for name, value in judged.items():
        print(f"  {name:<{max(map(len, judged))}}  {value}")


def _check(asked: argparse.Namespace) -> int:
    if asked.name is not None and Path(asked.name).suffix == ".py":
        failed = []
        for name, report in check_file(Path(asked.name)):
            print(f"{name}: {'agrees' if report.ok else 'DISAGREES'}\n{report}\n")
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


def _trace(asked: argparse.Namespace) -> None:
    if asked.plot and asked.plot.suffix != ".png":
        raise ValueError(f"--plot ends with .png, got {asked.plot}")
    trace, left = tracing.lecture(), []
    if asked.html:
        trace.to_html(asked.html)
        left.append(f"to step through in a browser: {asked.html}")
    if asked.plot:
        plotting.save(trace.plot(), asked.plot)
        left.append(f"‖δ‖ by layer: {asked.plot}")
    print(tracing.report(trace))
    if left:
        print("", *left, sep="\n")


def _info(_: argparse.Namespace) -> None:
    folder = os.environ.get("SCRATCHGEN_DATA", "not set: MNIST is fetched into the user's cache")
    python = f"Python {platform.python_version()} on {platform.machine()}"
    print(f"scratchgen    {__version__}, {python}")
    print(f"NumPy         {np.__version__}, {os.cpu_count()} cores")
    print(f"BLAS          {describe_blas()}")
    for package in ("matplotlib", "safetensors", "tqdm", "pooch", "threadpoolctl"):
        print(f"{package:<13} {metadata.version(package)}")
    print(f"cuda          {describe_cuda()}")
    print(f"models        {', '.join(RECIPES)}")
    print(f"data          digits (bundled), mnist; SCRATCHGEN_DATA {folder}")


def _on_device(data: Any, rng: Generator) -> Any:
    """An array, or each of a tuple of arrays, where the generator draws."""
    if isinstance(data, tuple):
        return tuple(to_device(x, rng) for x in data)
    return to_device(data, rng)


def _new_or_resumed(asked: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """The folder of a run and its settings: what was asked, over the defaults or what is there."""
    given = {k: v for k, v in vars(asked).items() if k not in ("command", "out", "resume")}
    if Path(given.get("data", "")).suffix:  # a file, to be found from any folder
        given["data"] = str(Path(given["data"]).resolve())
    begun = asked.out is not None and (asked.out / CONFIG).exists()
    if asked.resume and asked.out is None:
        raise ValueError("--resume goes on with a run: name its folder with --out")
    if begun and not asked.resume:
        raise ValueError(f"{asked.out} holds a run: go on with --resume, or name another folder")
    if begun:
        settings = _config(asked.out)
        for name, value in given.items():
            if name != "epochs" and settings[name] != value:
                raise ValueError(
                    f"{asked.out} was begun with {name} {settings[name]}, not {value}: resume it "
                    "as it is, or begin a new run"
                )
        if (asked.out / HISTORY).exists() and not (asked.out / MODEL).exists():
            raise ValueError(f"{asked.out} holds a history, but its {MODEL} is missing")
        return asked.out, {**settings, **given}
    if asked.resume:
        print(f"scratchgen: {asked.out} holds no run yet, a new one begins", file=sys.stderr)
    lecture = given.get("preset") == "lecture"
    data = given.get("data", "mnist" if lecture else "digits")
    settings = {"preset": None, "data": data, "seed": 0, "device": "cpu"}
    settings |= RECIPES[asked.model].settings(data, lecture) | given
    base = Path("runs") / f"{asked.model}-{Path(data).stem}"
    names = itertools.chain([base], (Path(f"{base}-{k}") for k in itertools.count(2)))
    return asked.out or next(name for name in names if not name.exists()), settings


def _run(asked: argparse.Namespace) -> tuple[dict[str, Any], Checkpoint]:
    """The settings and the checkpoint of a run, on the device that was asked for."""
    settings = _config(asked.run)
    settings["device"] = asked.device
    return settings, load(asked.run / MODEL, asked.device)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} holds no run: {CONFIG} is missing; scratchgen train makes one")
    try:
        settings: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    kinds = ("model", "data", "seed", "device", "epochs", "batch_size", "shape", "value_range")
    if not isinstance(settings, dict) or not settings.keys() >= set(kinds):
        raise ValueError(f"{path} is damaged: it lacks some of {', '.join(kinds)}")
    if settings["model"] not in RECIPES:
        raise ValueError(f"{path} is of a model {settings['model']!r}, expected {[*RECIPES]}")
    return settings


def _csv(history: History) -> bytes:
    text = io.StringIO()
    table = csv.writer(text)
    names = history[0].values() if history else ()
    table.writerow(["epoch", "seconds", *names])
    table.writerows([e.number, f"{e.seconds:.3f}", *e.values().values()] for e in history)
    return text.getvalue().encode()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="scratchgen", description="Deep generative models from scratch.")
    parser.add_argument("--version", action="version", version=f"scratchgen {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    training = commands.add_parser("train", help="train a model and leave a run folder")
    training.set_defaults(command=_train)
    names = training.add_subparsers(dest="model", required=True, metavar="MODEL")
    for name, recipe in RECIPES.items():
        defaults = {data: recipe.settings(data, lecture=False) for data in ("digits", "mnist")}
        model = names.add_parser(
            name,
            help=recipe.title,
            description=f"Train a {recipe.title}.",
            epilog="defaults "
            + "; ".join(
                f"on {data}: " + ", ".join(f"{k} {v}" for k, v in settings.items())
                for data, settings in defaults.items()
            ),
            argument_default=argparse.SUPPRESS,
        )
        model.add_argument("--data", help="digits (default), mnist, or a file .npy or .npz")
        model.add_argument("--preset", choices=["lecture"], help="the notes' own settings")
        model.add_argument("--epochs", type=int, help="in all, those before --resume included")
        model.add_argument("--batch-size", type=int, help="samples to a step")
        model.add_argument("--lr", type=float, help="learning rate")
        model.add_argument("--seed", type=int, help="of weights, batches and noise (default 0)")
        model.add_argument("--device", choices=["cpu", "cuda"])
        model.add_argument(
            "--out", type=Path, default=None, help="folder (default runs/MODEL-DATA)"
        )
        model.add_argument("--resume", action="store_true", default=False, help="go on with --out")
        recipe.add_options(model)

    def for_run(name: str, command: Any, help: str) -> argparse.ArgumentParser:
        of_run = commands.add_parser(name, help=help)
        of_run.set_defaults(command=command)
        of_run.add_argument("run", type=Path, metavar="RUN", help="a folder that train left")
        of_run.add_argument("--seed", type=int, default=0)
        of_run.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
        return of_run

    sampling = for_run("sample", _sample, "draw samples from a trained model")
    sampling.add_argument("--n", type=int, default=64)
    sampling.add_argument(
        "--out", type=Path, help="FILE.png, or .npy (default RUN/samples-seed-SEED)"
    )
    evaluation = for_run("evaluate", _evaluate, "say how good a trained model is")
    evaluation.add_argument("--data", help="other data than it was trained on")
    check = commands.add_parser("check", help="check every rule's equations, or your own")
    check.set_defaults(command=_check)
    check.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a rule, or a file FILE.py: its functions check_… each return a report of "
        "scratchgen.check_gradient (default: every rule of the library)",
    )
    check.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    tracer = commands.add_parser(
        "trace",
        help="show each equation of backpropagation in the notes' network",
        description="The nine derivatives of the notes' network of two inputs, two hidden units "
        "and one output, and each equation that they come from, with its numbers.",
    )
    tracer.set_defaults(command=_trace)
    tracer.add_argument("--html", type=Path, metavar="FILE", help="write a page that steps through")
    tracer.add_argument("--plot", type=Path, metavar="FILE.png", help="draw ‖δ‖ by layer")
    commands.add_parser("info", help="versions, devices, data").set_defaults(command=_info)
    return parser
