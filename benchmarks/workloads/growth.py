"""How the time of a step grows with the batch, the width, the depth and the number of times T.

The feed-forward network 784–width–…–width–10 of the workload ``ffnn``, with Adam: batch, width and
depth, one varied at a time from 64, 100 and 1, on 6,000 images; and all T steps back of one image
by the notes' DDPM. PyTorch runs eagerly, with the fused Adam.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import training
from . import Case, Step, ddpm, ffnn

IMAGES = 6_000


def _training(title: str, batch: int = 64, hidden: tuple[int, ...] = (100,)) -> Case:
    settings: dict[str, Any] = {"batch": batch, "hidden": hidden, "n": IMAGES}
    sides = {
        "scratchgen": partial(ffnn.scratchgen, "Adam", **settings),
        "torch": partial(ffnn.torch, "Adam", fused=True, **settings),
        "floor": partial(training.floor_of_layers, ffnn.shapes(hidden), batch, "1.weight"),
    }
    return Case(f"FFNN step, {title}", sides, samples=batch, on_gpu=True, brief=True)


def _chain(T: int, device: str) -> Step:
    model, _, rng = training.lecture("ddpm", ddpm.SHAPES, device)
    shorter = type(model)(model.network, model.shape, T)
    return lambda: shorter.sample(1, rng)


CASES = [
    *[_training(f"batch {n}", batch=n) for n in (16, 64, 256, 1024)],
    *[_training(f"width {n}", hidden=(n,)) for n in (25, 100, 400, 1600)],
    *[_training(f"depth {n}", hidden=(100,) * n) for n in (1, 4, 16)],
    *[
        Case(
            f"DDPM, one image, T = {T}",
            {"scratchgen": partial(_chain, T)},
            samples=1,
            on_gpu=True,
            brief=True,
        )
        for T in (10, 30, 100)
    ],
]
