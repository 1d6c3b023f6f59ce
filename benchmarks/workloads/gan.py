"""One training step of the notes' GAN: 20–100–784 against 784–100–1, float32, two Adams of 1e-3.

A step gathers a batch of 64, draws the noise, and moves D, then G; the dropout of 0.5 is on. Both
libraries start from the same weights and see the same batches, of 60,000 random images on [−1, 1],
179 MiB of the memory reported. PyTorch runs eagerly as in the notes, on logits: D is called on real
and on generated samples in turn, and in the step of G its gradient reaches the weights of D as
well. Beside it stands what a careful hand makes of that: the gradient of each player alone, one
pass of D for both kinds of samples, and the fused Adam.

Scratchgen's step includes D(x) and D(G(z)) without dropout, of eight samples each.

The floor is the matrix products that no step can do without, into arrays that are there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import training
from . import Case, Step

BATCH, NOISE = 64, 20
SHAPES = {
    "generator.0.weight": (100, 20),
    "generator.0.bias": (100,),
    "generator.2.weight": (784, 100),
    "generator.2.bias": (784,),
    "discriminator.0.weight": (100, 784),
    "discriminator.3.weight": (1, 100),
    "discriminator.3.bias": (1,),
}


def _scratchgen() -> Step:
    import scratchgen

    rng = scratchgen.generator(0)
    model, optimizers = scratchgen.models.gan.lecture(rng)
    model.load_state_dict(training.weights(SHAPES))
    images, batches = training.images(-1), training.batches(BATCH)
    return training.our_step(model, optimizers, lambda: images[next(batches)], rng)


def _torch_modules() -> Any:
    from torch import nn

    generator = nn.Sequential(nn.Linear(NOISE, 100), nn.LeakyReLU(), nn.Linear(100, 784), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Linear(784, 100, bias=False), nn.LeakyReLU(), nn.Dropout(0.5), nn.Linear(100, 1)
    )
    model = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
    model.load_state_dict(training.weights_of_torch(SHAPES))
    return generator, discriminator


def _torch() -> Step:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    G, D = _torch_modules()
    g_optimizer = torch.optim.Adam(G.parameters(), lr=1e-3)
    d_optimizer = torch.optim.Adam(D.parameters(), lr=1e-3)
    images = torch.from_numpy(training.images(-1))
    batches = map(torch.from_numpy, training.batches(BATCH))
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)

    def noise() -> Any:
        return 2 * torch.rand(BATCH, NOISE) - 1

    def step() -> object:
        x = images[next(batches)]
        d_optimizer.zero_grad()
        d_cost = binary_cross_entropy_with_logits(D(x), ones)
        d_cost = d_cost + binary_cross_entropy_with_logits(D(G(noise()).detach()), zeros)
        d_cost.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_cost = binary_cross_entropy_with_logits(D(G(noise())), ones)
        g_cost.backward()
        g_optimizer.step()
        return d_cost.detach(), g_cost.detach()

    return step


def _torch_at_its_best() -> Step:
    import torch
    from torch.nn.functional import softplus

    G, D = _torch_modules()
    of_g, of_d = list(G.parameters()), list(D.parameters())
    g_optimizer = torch.optim.Adam(of_g, lr=1e-3, fused=True)
    d_optimizer = torch.optim.Adam(of_d, lr=1e-3, fused=True)
    images = torch.from_numpy(training.images(-1))
    batches = map(torch.from_numpy, training.batches(BATCH))

    def move(cost: Any, parameters: list[Any], optimizer: Any) -> None:
        gradients = torch.autograd.grad(cost, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()

    def step() -> object:
        z = 2 * torch.rand(2, BATCH, NOISE) - 1
        with torch.no_grad():
            fakes = G(z[0])
        logits = D(torch.cat([images[next(batches)], fakes]))
        d_cost = softplus(-logits[:BATCH]).mean() + softplus(logits[BATCH:]).mean()
        move(d_cost, of_d, d_optimizer)
        g_cost = softplus(-D(G(z[1]))).mean()
        move(g_cost, of_g, g_optimizer)
        return d_cost.detach(), g_cost.detach()

    return step


def _floor() -> Step:
    rng = np.random.default_rng(0)

    def product(n: int, k: int, m: int, transposed: bool = True) -> tuple[Any, Any, Any]:
        a = rng.standard_normal((n, k), dtype=np.float32)
        b = rng.standard_normal((m, k) if transposed else (k, m), dtype=np.float32)
        return a, b.T if transposed else b, np.empty((n, m), np.float32)

    n = BATCH
    samples = [product(n, NOISE, 100), product(n, 100, 784)]  # G(z)
    products = [
        *samples,
        product(2 * n, 784, 100),  # D on x and G(z), then ∂C/∂W
        product(100, 2 * n, 784, transposed=False),
        *samples,
        product(n, 784, 100),  # D on G(z), then δ W, back into G
        product(n, 100, 784, transposed=False),
        product(784, n, 100, transposed=False),  # ∂C/∂W, δ W, ∂C/∂W in G
        product(n, 784, 100, transposed=False),
        product(100, n, NOISE, transposed=False),
    ]

    return training.floor(products)


SIDES: dict[str, Callable[[], Step]] = {
    "scratchgen": _scratchgen,
    "torch": _torch,
    "torch, each player alone, fused Adam": _torch_at_its_best,
    "floor": _floor,
}
CASES = [Case("GAN step", SIDES, trains=True)]
