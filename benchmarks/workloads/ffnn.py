"""One training step of the feed-forward classifier 784–100–10, float32, batches of 64.

A step gathers a batch, takes the cross-entropy of the logits, its gradient and one update: with
sigmoid units and plain SGD of 0.1, and with ReLU and Adam of 1e-3. Both libraries start from the
same weights and see the same batches, of 60,000 random images, 179 MiB of the memory reported, and
random labels. PyTorch runs eagerly, and with the fused optimizer, its best.

Scratchgen's step includes the accuracy in the batch. The floor is the five matrix products that no
step can do without, into arrays that are there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import training
from . import Case, Step

BATCH = 64
SHAPES = {"1.weight": (100, 784), "1.bias": (100,), "3.weight": (10, 100), "3.bias": (10,)}


def _labels() -> Any:
    return np.random.default_rng(3).integers(0, 10, training.IMAGES)


def _scratchgen(optimizer: str) -> Step:
    import scratchgen
    from scratchgen.models.feed_forward import dense

    rng = scratchgen.generator(0)
    activation = "sigmoid" if optimizer == "SGD" else "relu"
    model = scratchgen.models.Classifier(dense((784,), 10, rng, (100,), activation))
    model.network.load_state_dict(training.weights(SHAPES))
    lr = 0.1 if optimizer == "SGD" else 1e-3
    moved = getattr(scratchgen.optim, optimizer)(model.parameters(), lr=lr)
    images, labels, batches = training.images(), _labels(), training.batches(BATCH)

    def batch() -> tuple[Any, Any]:
        chosen = next(batches)
        return images[chosen], labels[chosen]

    return training.our_step(model, [moved], batch, rng)


def _torch(optimizer: str, **settings: Any) -> Step:
    import torch
    from torch import nn

    activation = nn.Sigmoid() if optimizer == "SGD" else nn.ReLU()
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), activation, nn.Linear(100, 10))
    model.load_state_dict(training.weights_of_torch(SHAPES))
    lr = 0.1 if optimizer == "SGD" else 1e-3
    moved = getattr(torch.optim, optimizer)(model.parameters(), lr=lr, **settings)
    images, labels = torch.from_numpy(training.images()), torch.from_numpy(_labels())
    batches = map(torch.from_numpy, training.batches(BATCH))

    def step() -> object:
        chosen = next(batches)
        cost = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        moved.zero_grad()
        cost.backward()
        moved.step()
        return cost.detach()

    return step


def _sides(optimizer: str) -> dict[str, Callable[[], Step]]:
    return {
        "scratchgen": partial(_scratchgen, optimizer),
        "torch": partial(_torch, optimizer),
        f"torch, fused {optimizer}": partial(_torch, optimizer, fused=True),
        "floor": partial(training.floor_of_layers, SHAPES, BATCH, "1.weight"),
    }


CASES = [
    Case(f"FFNN step, {optimizer}", _sides(optimizer), trains=True) for optimizer in ("SGD", "Adam")
]
