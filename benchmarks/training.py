"""What the workloads that train share: random images and weights, our step, products of a floor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .workloads import Step

IMAGES = 60_000


def images(low: float = 0.0, n: int = IMAGES) -> Any:
    """Random grey images on [low, 1], (n, 784) float32: 179 MiB of them."""
    rng = np.random.default_rng(0)
    x = np.empty((n, 784), np.float32)
    for rows in np.array_split(x, 60):  # or the peak of memory would be that of making them
        rows[...] = rng.random(rows.shape, np.float32)
        rows *= 1 - low
        rows += low
    return x


def images_as_strokes() -> Any:
    """Grey where they are not zero, which is for 19 % of the pixels, most often in the middle."""
    x, rng = images(), np.random.default_rng(4)
    profile = np.exp(-((np.arange(28) - 13.5) ** 2) / 48)
    often = np.outer(profile, profile).reshape(-1)
    for rows in np.array_split(x, 60):
        rows *= rng.random(rows.shape, np.float32) < often
    return x


def batches(size: int, n: int = IMAGES) -> Iterator[Any]:
    """The indices of batches, from an order that repeats."""
    order = np.random.default_rng(1).permutation(n)
    return itertools.cycle(order[: n - n % size].reshape(-1, size))


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Parameters by name: weights uniform within ±1/√(inputs), biases zero."""
    rng, state = np.random.default_rng(2), {}
    for name, shape in shapes.items():
        bound = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0
        state[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return state


def weights_of_torch(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """The same, as PyTorch's tensors."""
    from torch import from_numpy

    return {name: from_numpy(w) for name, w in weights(shapes).items()}


def our_step(model: Any, optimizers: Sequence[Any], batch: Callable[[], Any], rng: Any) -> Step:
    """What the loop of ``scratchgen.train`` does with a batch, on as many threads."""
    from scratchgen import gradient
    from scratchgen.training import threads_of_training

    first = batch()
    threads = threads_of_training(model, len(first[0] if isinstance(first, tuple) else first))
    threads.__enter__()  # until the process ends

    def step() -> object:
        losses = model.losses(batch(), rng)
        for optimizer in optimizers:
            cost = next(losses)
            optimizer.step(gradient(cost, optimizer.parameters))
        return cost.data, next(losses, None)  # the loop asks on, for what the model reports

    return step


def floor(products: Sequence[tuple[Any, Any, Any]]) -> Step:
    """Matrix products, of two factors each, into arrays that are there."""

    def step() -> object:
        for x, y, out in products:
            np.matmul(x, y, out=out)
        return products

    return step


def floor_of_layers(shapes: Mapping[str, Sequence[int]], batch: int, first: str) -> Step:
    """a Wᵀ, δᵀ a and δ W of each weight (outputs, inputs), without the last for the first one."""
    rng = np.random.default_rng(0)
    products = []
    for name, (n_out, n_in) in [item for item in shapes.items() if len(item[1]) == 2]:
        of = (n_out, n_in), (batch, n_in), (batch, n_out)
        W, a, z = (rng.standard_normal(shape, dtype=np.float32) for shape in of)
        products += [(a, W.T, np.empty_like(z)), (z.T, a, np.empty_like(W))]
        if name != first:
            products.append((z, W, np.empty_like(a)))
    return floor(products)
