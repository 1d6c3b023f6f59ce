"""The checks that training makes before its first step, and the conversion of its data."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .backend import Array, Generator, to_device, to_host
from .optim import Optimizer, WeightAverage
from .parallel import even_parts


def check_players(
    model: Any, optimizers: Sequence[Optimizer], average: WeightAverage | None
) -> None:
    """Raise ``ValueError`` unless every player has parameters and an optimizer."""
    if len(optimizers) != len(model.players):
        raise ValueError(
            f"{type(model).__name__} has {len(model.players)} players and needs an optimizer for "
            f"each, got {len(optimizers)}"
        )
    if not all(model.players):
        raise ValueError(f"a player of {type(model).__name__} has no parameters: nothing can move")
    if average is not None:
        moved = {p for player in model.players for p in player}
        if not moved.issuperset(average.parameters):
            raise ValueError(
                f"the average is of parameters that this {type(model).__name__} does not have: "
                "make it of model.parameters()"
            )


def check_parts(model: Any, part_size: int, n: int) -> None:
    """Raise ``ValueError`` where samples cannot go through the model in parts of this size."""
    if operator.index(part_size) < 1:
        raise ValueError(f"part_size is a number of samples from 1, got {part_size}")
    if part_size >= n:
        return
    independent = getattr(model, "independent", {})
    kept = [name for name in _kept(model) if name not in independent]
    if kept:
        raise ValueError(
            f"a batch is the sum of its parts where samples are independent, but a "
            f"{type(model).__name__} keeps {', '.join(kept)} from step to step: leave part_size out"
        )
    parts = len(even_parts(n, part_size))
    for name, axis in independent.items():
        chains = getattr(model, name).shape[axis]
        if chains < parts:
            raise ValueError(
                f"each part of a batch has its own share of the {name}, but there are {chains} of "
                f"them for {parts} parts: take larger parts, or more chains"
            )


def check_search(
    model: Any, optimizer: Optimizer, n: int, batch_size: int, clip_norm: float | None = None
) -> None:
    """Raise ``ValueError`` where a line search has no single fixed cost to follow."""
    name = f"{type(optimizer).__name__} searches along one cost, evaluating it again and again"
    if batch_size < n:
        raise ValueError(f"{name}: take a batch_size of all {n} samples, got {batch_size}")
    if clip_norm is not None:
        raise ValueError(
            f"{name}, and needs the exact gradient: leave clip_norm out, got {clip_norm}"
        )
    kept = _kept(model)
    if len(model.players) > 1 or kept:
        why = f"keeps {', '.join(kept)} from step to step" if kept else "has several players"
        raise ValueError(
            f"{name}, but that of a {type(model).__name__} which {why} changes meanwhile: take "
            "another optimizer, such as Adam"
        )


def _kept(model: Any) -> list[str]:
    """Return the names of the buffers that a training step changes."""
    constant = getattr(model, "constants", ())
    buffers = getattr(model, "named_buffers", lambda: ())()
    return [name for name, _ in buffers if name not in constant]


def ready(data: Any, dtype: Any, rng: Generator) -> tuple[Array, ...]:
    """Check the arrays of ``data``, cast them to ``dtype``, move them to the device of ``rng``."""
    if isinstance(data, list) and any(getattr(x, "shape", ()) for x in data):
        raise ValueError(
            f"data is a list of {len(data)} arrays: samples with their labels are a tuple, (x, y), "
            "and samples alone one array, np.stack(list)"
        )
    arrays = tuple(to_device(x, rng) for x in (data if isinstance(data, tuple) else (data,)))
    shapes = [x.shape for x in arrays]
    if len({shape[:1] for shape in shapes}) != 1 or not all(shapes[0][:1]) or shapes[0] == ():
        raise ValueError(
            "data is an array of at least one sample, or a tuple of arrays of as many samples "
            f"each, got shapes {shapes}"
        )
    ready = []
    for x in arrays:
        if x.dtype.kind not in "fbiu":
            names = "; labels that are names become np.unique(labels, return_inverse=True)[1]"
            raise TypeError(f"data holds numbers, got {x.dtype}{names * (x.dtype.kind in 'USO')}")
        if x.dtype.kind in "fb":
            with np.errstate(over="ignore"):
                x = x.astype(dtype, copy=False)
            bad = int(to_host((~np.isfinite(x)).sum()))
            if bad:
                raise ValueError(
                    f"{bad} of the {x.size} numbers in the data are NaN or infinite as {x.dtype}: "
                    "remove, replace or scale them"
                )
        ready.append(x)
    return tuple(ready)
