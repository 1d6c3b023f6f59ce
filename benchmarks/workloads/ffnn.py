"""One training step of the feed-forward classifier 784–100–10, float32, batches of 64.

A step gathers a batch, takes the cross-entropy of the logits, its gradient and one update: with
sigmoid units and plain SGD of 0.1, and with ReLU and Adam of 1e-3. Both libraries start from the
same weights and see the same batches, of 60,000 random images, 179 MiB of the memory reported, and
random labels. PyTorch runs eagerly, and with the fused optimizer, its best.

Scratchgen's step includes the accuracy in the batch. The floor is the five matrix products that no
step can do without, into arrays that are there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from . import Case, Step

IMAGES, BATCH = 60_000, 64
LAYERS = {"1": (100, 784), "3": (10, 100)}  # (outputs, inputs)


def _images() -> Any:
    rng = np.random.default_rng(0)
    images = np.empty((IMAGES, 784), np.float32)
    for rows in np.split(images, 60):  # in parts, or the peak of memory would be that of the data
        rows[...] = rng.random(rows.shape, np.float32)
    return images


def _labels() -> Any:
    return np.random.default_rng(3).integers(0, 10, IMAGES)


def _batches() -> Iterator[Any]:
    order = np.random.default_rng(1).permutation(IMAGES)
    return itertools.cycle(order[: IMAGES - IMAGES % BATCH].reshape(-1, BATCH))


def _weights() -> dict[str, Any]:
    rng, state = np.random.default_rng(2), {}
    for name, (n_out, n_in) in LAYERS.items():
        bound = n_in**-0.5
        state[f"{name}.weight"] = rng.uniform(-bound, bound, (n_out, n_in)).astype(np.float32)
        state[f"{name}.bias"] = rng.uniform(-bound, bound, n_out).astype(np.float32)
    return state


def _scratchgen(optimizer: str) -> Step:
    import scratchgen
    from scratchgen.models.feed_forward import dense

    rng = scratchgen.generator(0)
    activation = "sigmoid" if optimizer == "SGD" else "relu"
    model = scratchgen.models.Classifier(dense((784,), 10, rng, (100,), activation))
    model.network.load_state_dict(_weights())
    lr = 0.1 if optimizer == "SGD" else 1e-3
    moved = getattr(scratchgen.optim, optimizer)(model.parameters(), lr=lr)
    images, labels, batches = _images(), _labels(), _batches()

    def step() -> object:
        chosen = next(batches)
        losses = model.losses((images[chosen], labels[chosen]), rng)
        cost = next(losses)
        moved.step(scratchgen.gradient(cost, moved.parameters))
        return cost.data, next(losses, None)  # the loop asks on, for what the model reports

    return step


def _torch(optimizer: str, **settings: Any) -> Step:
    import torch
    from torch import nn

    activation = nn.Sigmoid() if optimizer == "SGD" else nn.ReLU()
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), activation, nn.Linear(100, 10))
    model.load_state_dict({name: torch.from_numpy(w) for name, w in _weights().items()})
    lr = 0.1 if optimizer == "SGD" else 1e-3
    moved = getattr(torch.optim, optimizer)(model.parameters(), lr=lr, **settings)
    images, labels = torch.from_numpy(_images()), torch.from_numpy(_labels())
    batches = map(torch.from_numpy, _batches())

    def step() -> object:
        chosen = next(batches)
        cost = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        moved.zero_grad()
        cost.backward()
        moved.step()
        return cost.detach()

    return step


def _floor() -> Step:
    rng = np.random.default_rng(0)
    products = []
    for name, (n_out, n_in) in LAYERS.items():
        shapes = (n_out, n_in), (BATCH, n_in), (BATCH, n_out)
        W, a, z = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
        products += [(a, W.T, np.empty_like(z)), (z.T, a, np.empty_like(W))]
        if name != "1":
            products.append((z, W, np.empty_like(a)))

    def step() -> object:
        for x, y, out in products:
            np.matmul(x, y, out=out)
        return products

    return step


def _sides(optimizer: str) -> dict[str, Callable[[], Step]]:
    return {
        "scratchgen": partial(_scratchgen, optimizer),
        "torch": partial(_torch, optimizer),
        f"torch, fused {optimizer}": partial(_torch, optimizer, fused=True),
        "floor": _floor,
    }


CASES = [
    Case(f"FFNN step, {optimizer}", _sides(optimizer), trains=True) for optimizer in ("SGD", "Adam")
]
