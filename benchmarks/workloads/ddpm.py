"""One training step of the notes' DDPM: 3×3 convolutions 1–64–128, transposed 128–64–1, Adam 2e-4.

A step gathers 128 images of 28×28, draws a time and noise for each, takes the mean squared error of
the predicted noise, its gradient and one update, in float32. Both libraries start from the same
weights and see the same batches; the data are 6,000 random images on [−1, 1]. PyTorch runs eagerly,
on its default layout and Adam.

The floor is the products of matrices of the direct sums of the two large convolutions: forward, and
in both their equations, a few images at a time. Winograd's method, which both libraries may take,
needs fewer multiplications than that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import training
from . import Case, Step

IMAGES, BATCH, T = 6_000, 128, 300
SHAPES = {
    "enc1.weight": (64, 1, 3, 3),
    "enc1.bias": (64,),
    "enc2.weight": (128, 64, 3, 3),
    "enc2.bias": (128,),
    "dec1.weight": (128, 64, 3, 3),
    "dec1.bias": (64,),
    "dec2.weight": (64, 1, 3, 3),
    "dec2.bias": (1,),
    "time_mlp.0.weight": (128, 1),
    "time_mlp.0.bias": (128,),
    "time_mlp.2.weight": (128, 128),
    "time_mlp.2.bias": (128,),
}


def _images() -> Any:
    return training.images(-1, IMAGES).reshape(-1, 1, 28, 28)


def _scratchgen() -> Step:
    import scratchgen

    rng = scratchgen.generator(0)
    model, optimizers = scratchgen.models.ddpm.lecture(rng)
    model.load_state_dict(training.weights(SHAPES))
    images, batches = _images(), training.batches(BATCH, IMAGES)
    return training.our_step(model, optimizers, lambda: images[next(batches)], rng)


def _torch() -> Step:
    import torch
    from torch import nn
    from torch.nn.functional import mse_loss

    model = nn.ModuleDict(
        {
            "enc1": nn.Conv2d(1, 64, 3, padding=1),
            "enc2": nn.Conv2d(64, 128, 3, padding=1),
            "dec1": nn.ConvTranspose2d(128, 64, 3, padding=1),
            "dec2": nn.ConvTranspose2d(64, 1, 3, padding=1),
            "time_mlp": nn.Sequential(nn.Linear(1, 128), nn.ReLU(), nn.Linear(128, 128)),
        }
    )
    model.load_state_dict(training.weights_of_torch(SHAPES))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
    images = torch.from_numpy(_images())
    batches = map(torch.from_numpy, training.batches(BATCH, IMAGES))
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, T), dim=0)

    def step() -> object:
        x = images[next(batches)]
        t = torch.randint(0, T, (BATCH,))
        noise = torch.randn_like(x)
        left = alpha_bar[t].view(-1, 1, 1, 1)
        h = torch.relu(model["enc1"](left.sqrt() * x + (1 - left).sqrt() * noise))
        h = torch.relu(model["enc2"](h))
        h = h + model["time_mlp"]((t / T)[:, None])[:, :, None, None]
        cost = mse_loss(model["dec2"](torch.relu(model["dec1"](h))), noise)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        return cost.detach()

    return step


def _floor() -> Step:
    rng, places = np.random.default_rng(0), 8 * 28 * 28  # of 8 images at a time
    products = []
    for c_in, c_out in ((64, 128), (128, 64)):
        shapes = (c_out, 9 * c_in), (9 * c_in, places), (c_out, places)
        W, columns, delta = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
        products += [(W, columns, np.empty_like(delta))]
        products += [(W.T, delta, np.empty_like(columns)), (delta, columns.T, np.empty_like(W))]
    return training.floor(products * (BATCH // 8))


SIDES: dict[str, Callable[[], Step]] = {
    "scratchgen": _scratchgen,
    "torch": _torch,
    "floor": _floor,
}
CASES = [Case("DDPM step", SIDES, trains=True)]
