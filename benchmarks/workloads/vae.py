"""One training step of the notes' VAE: 784–400–(μ, log σ²: 20)–400–784, float32, Adam 1e-3.

A step gathers a batch of 128, draws the noise, takes the cost, its gradient and one update. Both
libraries start from the same weights and see the same batches. The data are 60,000 random images,
179 MiB of the memory reported: grey where they are not zero, which is for 19 % of the pixels, most
often in the middle, as in MNIST; but without strokes. PyTorch runs eagerly, with its default Adam
and with the fused one, its best.

The floor is the eleven matrix products that no step can do without, into arrays that are there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from . import Case, Step

IMAGES, BATCH = 60_000, 128
LAYERS = {  # (outputs, inputs)
    "encoder.0": (400, 784),
    "encoder.2": (40, 400),
    "decoder.0": (400, 20),
    "decoder.2": (784, 400),
}


def _images() -> Any:
    rng = np.random.default_rng(0)
    x = np.exp(-((np.arange(28) - 13.5) ** 2) / 48)
    often = np.outer(x, x).reshape(-1)
    images = np.empty((IMAGES, 784), np.float32)
    for rows in np.split(images, 60):  # in parts, or the peak of memory would be that of the data
        rows[...] = rng.random(rows.shape, np.float32)
        rows *= rng.random(rows.shape, np.float32) < often
    return images


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


def _scratchgen() -> Step:
    import scratchgen

    rng = scratchgen.generator(0)
    model, (optimizer,) = scratchgen.models.vae.lecture(rng)
    model.load_state_dict(_weights())
    images, batches = _images(), _batches()

    def step() -> object:
        losses = model.losses(images[next(batches)], rng)
        cost = next(losses)
        optimizer.step(scratchgen.gradient(cost, optimizer.parameters))
        return cost.data, next(losses, None)  # the loop asks on, for what the model reports

    return step


def _torch(**settings: Any) -> Step:
    import torch
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits

    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))
    model = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    model.load_state_dict({name: torch.from_numpy(w) for name, w in _weights().items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **settings)
    images = torch.from_numpy(_images())
    batches = map(torch.from_numpy, _batches())

    def step() -> object:
        x = images[next(batches)]
        mu, log_var = encoder(x).chunk(2, dim=1)
        h = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        nll = binary_cross_entropy_with_logits(decoder(h), x, reduction="sum")
        kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum()
        cost = (nll + kl) / BATCH
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        return cost.detach()

    return step


def _floor() -> Step:
    rng = np.random.default_rng(0)
    products = []
    for name, (n_out, n_in) in LAYERS.items():
        shapes = (n_out, n_in), (BATCH, n_in), (BATCH, n_out)
        W, a, z = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
        products += [(a, W.T, np.empty_like(z)), (z.T, a, np.empty_like(W))]
        if name != "encoder.0":
            products.append((z, W, np.empty_like(a)))

    def step() -> object:
        for x, y, out in products:
            np.matmul(x, y, out=out)
        return products

    return step


SIDES: dict[str, Callable[[], Step]] = {
    "scratchgen": _scratchgen,
    "torch": _torch,
    "torch, fused Adam": partial(_torch, fused=True),
    "floor": _floor,
}
CASES = [Case("VAE step", SIDES, trains=True)]
