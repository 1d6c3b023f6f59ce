"""What the workloads share: the data, the weights, scratchgen's own step, and the floor.

Every side starts from the same weights and sees the same batches. What the sides of PyTorch share
is in ``with_torch``, and what those of JAX do in ``with_jax``.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .workloads import Step

IMAGES = 60_000
_until_the_end = contextlib.ExitStack()


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


def labels(n: int = IMAGES) -> Any:
    """Random classes of ten, one for each image."""
    return np.random.default_rng(3).integers(0, 10, n)


def order(size: int, n: int) -> Any:
    """The indices of batches of n samples, a row for each, to be gone through again and again."""
    return np.random.default_rng(1).permutation(n)[: n - n % size].reshape(-1, size)


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Parameters by name: weights uniform within ±1/√(inputs), biases zero."""
    rng, state = np.random.default_rng(2), {}
    for name, shape in shapes.items():
        bound = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0
        state[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return state


class Batches:
    """Batches of ``size`` rows of the arrays, gathered by NumPy, or by CuPy on the device."""

    def __init__(self, device: str, size: int, *arrays: Any) -> None:
        from scratchgen import to_device

        self.size, self.held = size, tuple([to_device(x, device) for x in arrays])
        self.rows = itertools.cycle(to_device(order(size, len(self.held[0])), device))

    def __call__(self) -> tuple[Any, ...]:
        chosen = next(self.rows)
        return tuple([x[chosen] for x in self.held])


def lecture(module: str, shapes: Mapping[str, Sequence[int]], device: str) -> Any:
    """A model of the notes with the weights of all sides, its optimizers and its generator."""
    import scratchgen

    rng = scratchgen.generator(0, device)
    model, optimizers = getattr(scratchgen.models, module).lecture(rng)
    model.load_state_dict(weights(shapes))
    return model, optimizers, rng


def step(
    model: Any, optimizers: Sequence[Any], batch: Batches, rng: Any, captured: bool | None = None
) -> Step:
    """What the loop of ``scratchgen.train`` does with a batch, on as many threads."""
    from scratchgen.captured import Steps
    from scratchgen.parallel.processes import ALONE
    from scratchgen.training import Training, threads_of_training

    _until_the_end.enter_context(threads_of_training(model, batch.size))
    part_size = getattr(model, "part_size", None)
    training = Training(
        model, batch.held, optimizers, batch.size, part_size, rng, False, None, None, ALONE
    )
    steps, numbers = Steps(training, captured), itertools.count()
    of_epoch = len(batch.held[0]) // batch.size

    def step() -> object:
        chosen, k = next(batch.rows), next(numbers)
        batch_of = functools.partial(training.batch, chosen)
        losses_of = functools.partial(training.losses, batch_of, (0, k))
        losses = steps.losses(chosen, k % of_epoch == 0, losses_of)
        for player, optimizer in enumerate(optimizers):
            cost = losses.cost(player, optimizer.parameters)
            optimizer.step(losses.gradients(cost, optimizer.parameters))
        losses.report()
        return cost.data

    return step


def by_hand(optimizer: str, parameters: Sequence[Any], lr: float) -> Callable[..., None]:
    """An update of NumPy arrays in place, for engines that have none: SGD, or Adam."""
    if optimizer == "SGD":

        def descend(gradients: Sequence[Any]) -> None:
            for p, g in zip(parameters, gradients, strict=True):
                p -= lr * g

        return descend
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
    steps = itertools.count(1)

    def adam(gradients: Sequence[Any]) -> None:
        t = next(steps)
        rate, root = np.float32(lr / (1 - 0.9**t)), np.float32(math.sqrt(1 - 0.999**t))
        for p, g, (m, v) in zip(parameters, gradients, moments, strict=True):
            m += np.float32(0.1) * (g - m)
            v += np.float32(0.001) * (g * g - v)
            p -= rate * m / (np.sqrt(v) / root + np.float32(1e-8))

    return adam


def floor(device: str, products: Sequence[tuple[Any, Any, Any]]) -> Step:
    """Matrix products, of two factors each, into arrays that are there."""
    from scratchgen import to_device

    held = [[to_device(x, device) for x in of_product] for of_product in products]

    def step() -> object:
        for x, y, out in held:
            np.matmul(x, y, out=out)
        return held

    return step


def floor_of_layers(
    shapes: Mapping[str, Sequence[int]], batch: int, first: str, device: str
) -> Step:
    """a Wᵀ, δᵀ a and δ W of each weight (outputs, inputs), without the last for the first one."""
    rng = np.random.default_rng(0)
    products = []
    for name, (n_out, n_in) in [item for item in shapes.items() if len(item[1]) == 2]:
        of = (n_out, n_in), (batch, n_in), (batch, n_out)
        W, a, z = (rng.standard_normal(shape, dtype=np.float32) for shape in of)
        products += [(a, W.T, np.empty_like(z)), (z.T, a, np.empty_like(W))]
        if name != first:
            products.append((z, W, np.empty_like(a)))
    return floor(device, products)
