"""Checkpoints: a model, its optimizers, the generator and the history in one safetensors file.

Nothing in the file is executed. Its arrays are numbers; its metadata is JSON that names classes of
this library and their settings. Loading first checks the content against its SHA-256, then builds
the architecture and compares every array with it, and only then accepts the file. Training that
continues from a checkpoint has the same bits as training without interruption.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import models, nn, optim
from .autodiff import Tensor
from .backend import (
    Array,
    Generator,
    check_device,
    generator_from_state,
    generator_state,
    to_device,
    to_host,
)
from .construction import Constructed
from .files import write_atomically
from .history import Epoch, History
from .nn import Network
from .optim import Optimizer, WeightAverage

FORMAT = "scratchgen 1"


class CheckpointError(ValueError):
    """The file is not a checkpoint of this library, or it has changed since it was written."""


class _Saved(NamedTuple):
    model: Any
    optimizers: list[Optimizer]
    rng: Generator | None
    history: History


class Checkpoint(_Saved):
    """The return value of :func:`load`: ``model, optimizers, rng, history = load(path)``.

    ``average`` is the average of the model's weights, if the training kept one.
    """

    average: WeightAverage | None

    def __new__(
        cls,
        model: Any,
        optimizers: list[Optimizer],
        rng: Generator | None,
        history: History,
        average: WeightAverage | None = None,
    ) -> Checkpoint:
        """Make the tuple of four values, with the average of the weights as an attribute."""
        checkpoint = super().__new__(cls, model, optimizers, rng, history)
        checkpoint.average = average
        return checkpoint

    @property
    def averaged_model(self) -> Any:
        """The model with its averaged weights if they are kept, else the model itself."""
        return self.model if self.average is None else self.average.of(self.model)


def save(
    path: str | os.PathLike[str],
    model: Network,
    optimizers: Sequence[Optimizer] | Optimizer | None = None,
    rng: Generator | None = None,
    history: Sequence[Epoch] = (),
    average: WeightAverage | None = None,
) -> None:
    """Write everything that training needs to continue into one file, atomically.

    ``average`` is the average of the model's weights, if the training keeps one.

    Raises ``ValueError`` where an array holds NaN or infinity, where an optimizer or the average
    has a tensor that is not a parameter of the model, where a parameter has two names, or where a
    constructor argument of the model cannot be stored as JSON; ``OSError`` where the file cannot be
    written. An error leaves the previous file unchanged.
    """
    write_atomically(path, to_bytes(model, optimizers, rng, history, average))


def to_bytes(
    model: Network,
    optimizers: Sequence[Optimizer] | Optimizer | None = None,
    rng: Generator | None = None,
    history: Sequence[Epoch] = (),
    average: WeightAverage | None = None,
) -> bytes:
    """Return the content of the file that :func:`save` writes."""
    from safetensors.numpy import save as safetensors_of

    optimizers = [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers or ())
    each = list(dict.fromkeys(optimizers))  # an optimizer with several moves is stored once
    arrays = {f"model/{name}": value for name, value in model.state_dict().items()}
    names: dict[Tensor, str] = {}
    for name, parameter in model.named_parameters():
        if names.setdefault(parameter, name) != name:
            raise ValueError(
                f"{names[parameter]} and {name} are one parameter: loaded, they would be two, so "
                "that a checkpoint takes each parameter under one name only"
            )
    described: dict[str, Any] = {"model": _describe(model), "rng": None}
    described["moves"] = [each.index(optimizer) for optimizer in optimizers]

    def add(name: str, what: Optimizer | WeightAverage) -> dict[str, Any]:
        """Describe an optimizer or an average, and add its arrays to the others."""
        strangers = [p for p in what.parameters if p not in names]
        if strangers:
            raise ValueError(f"{name} follows {len(strangers)} tensors that the model lacks")
        state = what.state_dict()
        numbers = {key: value for key, value in state.items() if isinstance(value, (int, float))}
        for key in state.keys() - numbers.keys():
            arrays[f"{name}/{key}"] = state[key]
        moved = [names[p] for p in what.parameters]
        return {**_describe(what), "moves": moved, "state": numbers}

    described["optimizers"] = [add(f"optimizer.{k}", it) for k, it in enumerate(each)]
    described["average"] = None if average is None else add("average", average)
    if rng is not None:
        described["rng"], bits = generator_state(rng)
        if bits is not None:
            arrays["rng/state"] = bits
    described["history"] = [asdict(epoch) for epoch in history]
    on_host = {name: np.asarray(to_host(value), order="C") for name, value in arrays.items()}
    for name, value in on_host.items():
        if not np.isfinite(value).all():
            raise ValueError(
                f"{name} holds NaN or infinity: nothing was saved, the last file is kept"
            )
    text = json.dumps(described, allow_nan=False)
    metadata = {"format": FORMAT, "checkpoint": text, "sha256": _digest(text, on_host)}
    return safetensors_of(on_host, metadata)


def load(
    path: str | os.PathLike[str], device: str = "cpu", classes: Iterable[type[Network]] = ()
) -> Checkpoint:
    """Return the model, optimizers, generator and history that :func:`save` wrote, on ``device``.

    The generator is restored on the device from which it was saved; on another one it is ``None``.
    To load networks of your own, pass their classes as ``classes``. Raises ``FileNotFoundError``,
    or :class:`CheckpointError` for anything but an intact checkpoint. No code from the file runs,
    and loading takes only a few times the memory of the file's size.
    """
    path = Path(path)
    check_device(device)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        return _rebuild(*_read(path), device, {c.__name__: c for c in (*_KNOWN, *classes)})
    except _WHAT_BROKEN_CONTENT_RAISES as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise CheckpointError(f"{path} is no intact checkpoint: {what}") from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the description and the arrays of a file whose content matches its digest."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"it is cut off, damaged, or no safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(f"its format is {metadata.get('format')!r}, expected {FORMAT!r}")
    text = metadata["checkpoint"]
    if metadata["sha256"] != _digest(text, arrays):
        raise ValueError("it was changed since it was written: its SHA-256 is another")
    for name, value in arrays.items():
        if not np.isfinite(value).all():
            raise ValueError(f"its {name} holds NaN or infinity")
    described = json.loads(text, parse_constant=_not_finite)
    if not isinstance(described, dict):
        raise ValueError("its description is no record")
    for name, kind in _DESCRIBED.items():
        if not isinstance(described.get(name) or kind(), kind):
            raise ValueError(f"its description has no {kind.__name__} in {name!r}")
    return described, arrays


def _not_finite(constant: str) -> Any:
    raise ValueError(f"its description holds {constant}, which is no number")


def _digest(text: str, arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, value in sorted(arrays.items()):
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(value.data)
    return digest.hexdigest()


def _rebuild(
    described: dict[str, Any], arrays: dict[str, Array], device: str, classes: dict[str, Any]
) -> Checkpoint:
    blueprint = _Blueprint(sum(value.size for value in arrays.values()))
    model = _construct(described["model"], classes, blueprint)
    parameters = dict(model.named_parameters())
    _move_average(described, arrays, parameters)
    expected = {**parameters, **dict(model.named_buffers())}
    stored = {name[6:]: value for name, value in arrays.items() if name.startswith("model/")}
    if stored.keys() != expected.keys():
        raise ValueError(f"it holds the parameters {sorted(stored)}, not {sorted(expected)}")
    for name, own in expected.items():
        value = stored[name]
        if value.shape != own.shape or value.dtype.kind != "f":
            raise ValueError(
                f"its {name} is {value.dtype} of shape {value.shape}, the architecture has "
                f"floating numbers of shape {own.shape}"
            )
        value = to_device(value, device)
        if name in parameters:
            parameters[name].data = value
        else:
            *path, last = name.split(".")
            setattr(functools.reduce(getattr, path, model), last, value)
    # Each optimizer and each average allocates a buffer for its parameters.
    average = described.get("average")
    following = [*described["optimizers"], *([average] if average else [])]
    moved = sum(parameters[name].size for entry in following for name in entry["moves"])
    if moved > 5 * sum(parameter.size for parameter in parameters.values()):
        raise ValueError(f"its optimizers move {moved} numbers, many times those of its parameters")

    def rebuilt(name: str, entry: dict[str, Any]) -> Any:
        follower = _construct(entry, classes, [parameters[moved] for moved in entry["moves"]])
        prefix = f"{name}/"
        buffers = {n[len(prefix) :]: v for n, v in arrays.items() if n.startswith(prefix)}
        follower.load_state_dict({**entry["state"], **buffers})
        return follower

    optimizers = [rebuilt(f"optimizer.{k}", e) for k, e in enumerate(described["optimizers"])]
    state, rng = described["rng"], None
    if state and state["device"] == device:
        rng = generator_from_state(state, arrays.get("rng/state"))
    history = History(
        Epoch(**{**e, "costs": tuple(e["costs"]), "players": tuple(e["players"])})
        for e in described["history"]
    )
    moves = described.get("moves", range(len(optimizers)))
    averaged = rebuilt("average", average) if average else None
    return Checkpoint(model, [optimizers[k] for k in moves], rng, history, averaged)


def _move_average(
    described: dict[str, Any], arrays: dict[str, Array], parameters: Mapping[str, Tensor]
) -> None:
    """Convert the average that a DDPM once stored: all sums in one array, then their weight.

    Versions up to November 2026 stored it so.
    """
    decay = described["model"]["settings"].get("ema")
    flat = arrays.pop("model/average", None) if decay is not None else None
    if flat is None:
        return
    ends = np.cumsum([parameter.size for parameter in parameters.values()])
    if flat.shape != (ends[-1] + 1,):
        raise ValueError(f"its average has the shape {flat.shape}, expected {(ends[-1] + 1,)}")
    for k, (row, parameter) in enumerate(
        zip(np.split(flat[:-1], ends[:-1]), parameters.values(), strict=True)
    ):
        arrays[f"average/{k}"] = row.reshape(parameter.shape)
    described["average"] = {
        "class": "WeightAverage",
        "settings": {"decay": decay},
        "moves": list(parameters),
        "state": {"weight": float(flat[-1])},
    }


class _Blueprint(np.random.Generator):
    """The generator that builds an architecture: it returns zeros, up to a limited number."""

    def __init__(self, numbers: int) -> None:
        super().__init__(np.random.PCG64())
        self.left = numbers

    def random(self, size: Any = (), dtype: Any = np.float64, out: Any = None) -> Any:
        self.left -= math.prod(np.atleast_1d(np.asarray(size, int)).tolist())
        if self.left < 0:
            raise ValueError("its architecture has more parameters than it holds numbers")
        return np.zeros(size, dtype)

    standard_normal = random


def _describe(built: Constructed) -> dict[str, Any]:
    """The class and the settings of an object, and of the objects within its settings, for JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, Constructed):
            return _describe(value)
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if isinstance(value, np.generic):
            return value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise ValueError(
            f"{type(built).__name__} was constructed with a {type(value).__name__}: a checkpoint "
            "holds numbers, strings, lists of them, networks and samplers"
        )

    settings = {}
    for name, given in built.construction.items():
        now = getattr(built, name, given)  # the attribute may have changed since construction
        settings[name] = plain(now if type(now) is type(given) else given)
    return {"class": type(built).__name__, "settings": settings}


def _construct(described: Mapping[str, Any], classes: Mapping[str, Any], source: Any) -> Any:
    """Build the described object; ``source`` is its constructor's generator or parameters.

    A setting may be missing if it has a default: the file may be older than the setting.
    """
    name = described["class"]
    if name not in classes:
        raise ValueError(
            f"it is built from {name!r}, which is no class of scratchgen: give yours, "
            "load(path, classes=[...])"
        )

    def built(value: Any) -> Any:
        if isinstance(value, dict):
            return _construct(value, classes, source)
        return [built(v) for v in value] if isinstance(value, list) else value

    positional, named, settings = [], {}, described["settings"]
    for parameter in inspect.signature(classes[name].__init__).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.name in ("rng", "parameters"):
            named[parameter.name] = source
        elif parameter.kind is parameter.VAR_POSITIONAL:
            positional = built(settings[parameter.name])
        elif parameter.name in settings or parameter.default is parameter.empty:
            named[parameter.name] = built(settings[parameter.name])
    return classes[name](*positional, **named)


_KNOWN = [
    member
    for package in (nn, models, models.energy, optim)
    for member in (getattr(package, name) for name in package.__all__)
    if isinstance(member, type) and issubclass(member, Constructed)
]
_DESCRIBED: dict[str, type] = {
    "model": dict,
    "optimizers": list,
    "average": dict,
    "rng": dict,
    "history": list,
}
_WHAT_BROKEN_CONTENT_RAISES = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
