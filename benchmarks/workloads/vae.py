"""One training step of the notes' VAE: 784–400–(μ, log σ²: 20)–400–784, float32, Adam 1e-3.

A step gathers a batch of 128, draws the noise, takes the cost, its gradient and one update. Both
libraries start from the same weights and see the same batches. The data are 60,000 random images,
179 MiB of the memory reported: grey where they are not zero, which is for 19 % of the pixels, most
often in the middle, as in MNIST; but without strokes. PyTorch runs eagerly, with its default Adam
and with the fused one, its best.

The floor is the eleven matrix products that no step can do without, into arrays that are there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import training
from . import Case, Step

BATCH = 128
SHAPES = {
    "encoder.0.weight": (400, 784),
    "encoder.0.bias": (400,),
    "encoder.2.weight": (40, 400),
    "encoder.2.bias": (40,),
    "decoder.0.weight": (400, 20),
    "decoder.0.bias": (400,),
    "decoder.2.weight": (784, 400),
    "decoder.2.bias": (784,),
}


def _scratchgen() -> Step:
    import scratchgen

    rng = scratchgen.generator(0)
    model, optimizers = scratchgen.models.vae.lecture(rng)
    model.load_state_dict(training.weights(SHAPES))
    images, batches = training.images_as_strokes(), training.batches(BATCH)
    return training.our_step(model, optimizers, lambda: images[next(batches)], rng)


def _torch(**settings: Any) -> Step:
    import torch
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits

    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))
    model = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    model.load_state_dict(training.weights_of_torch(SHAPES))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **settings)
    images = torch.from_numpy(training.images_as_strokes())
    batches = map(torch.from_numpy, training.batches(BATCH))

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


SIDES: dict[str, Callable[[], Step]] = {
    "scratchgen": _scratchgen,
    "torch": _torch,
    "torch, fused Adam": partial(_torch, fused=True),
    "floor": partial(training.floor_of_layers, SHAPES, BATCH, "encoder.0.weight"),
}
CASES = [Case("VAE step", SIDES, trains=True)]
