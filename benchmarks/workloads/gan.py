"""One training step of the notes' GAN: 20–100–784 against 784–100–1, float32, batches of 64.

A step gathers a batch, moves D on it and on samples of G, and then G, each by Adam of 1e-3, with
the dropout of 0.5 in D. The data are 60,000 random images on [−1, 1], 179 MiB of the memory
reported.

PyTorch runs eagerly, as such a loop is usually written: D runs on real samples and on generated
ones, and the backward pass of G's cost makes the gradient of the weights of D as well. Beside it
stands what a careful hand makes of that: the gradient of each player alone, one pass of D for both
kinds of samples, and the fused Adam. That, with Adam too, is also what is compiled as a whole, and
what JAX has in one jit.

Scratchgen's step includes D(x) and D(G(z)) without dropout, of eight samples each.

The floor is the matrix products that no step can do without, into arrays that are there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import training
from . import Case, Step

BATCH, NOISE, LR = 64, 20, 1e-3
G_SHAPES = {
    "generator.0.weight": (100, 20),
    "generator.0.bias": (100,),
    "generator.2.weight": (784, 100),
    "generator.2.bias": (784,),
}
D_SHAPES = {
    "discriminator.0.weight": (100, 784),
    "discriminator.3.weight": (1, 100),
    "discriminator.3.bias": (1,),
}
SHAPES = {**G_SHAPES, **D_SHAPES}


def _scratchgen(device: str) -> Step:
    model, optimizers, rng = training.lecture("gan", SHAPES, device)
    batch = training.Batches(device, BATCH, training.images(-1))
    return training.step(model, optimizers, batch, rng)


def torch_modules(device: str) -> Any:
    """G and D as modules of PyTorch."""
    from torch import nn

    from .. import with_torch

    generator = nn.Sequential(nn.Linear(NOISE, 100), nn.LeakyReLU(), nn.Linear(100, 784), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Linear(784, 100, bias=False), nn.LeakyReLU(), nn.Dropout(0.5), nn.Linear(100, 1)
    )
    model = nn.ModuleDict({"generator": generator, "discriminator": discriminator}).to(device)
    model.load_state_dict(with_torch.weights(SHAPES, device))
    return generator, discriminator


def _torch(device: str) -> Step:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from .. import with_torch

    G, D = torch_modules(device)
    g_optimizer = with_torch.optimizer("Adam", G.parameters(), LR)
    d_optimizer = with_torch.optimizer("Adam", D.parameters(), LR)
    batch = with_torch.batches(device, BATCH, training.images(-1))
    ones, zeros = torch.ones(BATCH, 1, device=device), torch.zeros(BATCH, 1, device=device)

    def noise() -> Any:
        return 2 * torch.rand(BATCH, NOISE, device=device) - 1

    def step() -> object:
        (x,) = batch()
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


def _torch_costs(D: Any, G: Any) -> Any:
    """The cost of D on real and generated samples, and that of G on noise."""
    import torch
    from torch.nn.functional import softplus

    def d_cost(x: Any, fakes: Any) -> Any:
        logits = D(torch.cat([x, fakes]))
        return softplus(-logits[:BATCH]).mean() + softplus(logits[BATCH:]).mean()

    def g_cost(z: Any) -> Any:
        return softplus(-D(G(z))).mean()

    return d_cost, g_cost


def _torch_at_its_best(device: str) -> Step:
    import torch

    from .. import with_torch

    G, D = torch_modules(device)
    d_cost, g_cost = _torch_costs(D, G)
    of_g, of_d = list(G.parameters()), list(D.parameters())
    g_optimizer = with_torch.optimizer("Adam", of_g, LR, fused=True)
    d_optimizer = with_torch.optimizer("Adam", of_d, LR, fused=True)
    batch = with_torch.batches(device, BATCH, training.images(-1))

    def move(cost: Any, parameters: list[Any], optimizer: Any) -> Any:
        gradients = torch.autograd.grad(cost, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        return cost.detach()

    def step() -> object:
        z = 2 * torch.rand(2, BATCH, NOISE, device=device) - 1
        with torch.no_grad():
            fakes = G(z[0])
        of_D = move(d_cost(*batch(), fakes), of_d, d_optimizer)
        return of_D, move(g_cost(z[1]), of_g, g_optimizer)

    return step


def _torch_compiled(device: str) -> Step:
    import torch
    from torch.func import functional_call

    from .. import with_torch

    G, D = torch_modules(device)
    of_g, of_d = (
        {name: p.detach() for name, p in network.named_parameters()} for network in (G, D)
    )

    def d_cost(parameters: Any, x: Any, fakes: Any) -> Any:
        of_D, _ = _torch_costs(lambda x: functional_call(D, parameters, (x,)), None)
        return of_D(x, fakes)

    def g_cost(parameters: Any, z: Any) -> Any:
        def frozen(x: Any) -> Any:
            return functional_call(D, of_d, (x,))

        _, of_G = _torch_costs(frozen, lambda z: functional_call(G, parameters, (z,)))
        return of_G(z)

    d_move, g_move = with_torch.adam(d_cost, of_d, LR), with_torch.adam(g_cost, of_g, LR)

    def move(x: Any) -> Any:
        z = 2 * torch.rand(2, BATCH, NOISE, device=device) - 1
        return d_move(x, functional_call(G, of_g, (z[0],))), g_move(z[1])

    return with_torch.compiled(move, device, BATCH, training.images(-1))


def jax_G(p: Any, z: Any) -> Any:
    """G(z) by JAX."""
    import jax

    from .. import with_jax

    a = jax.nn.leaky_relu(with_jax.affine(z, p, "generator.0"))
    return jax.numpy.tanh(with_jax.affine(a, p, "generator.2"))


def _jax(_: str) -> Step:
    import jax
    import jax.numpy as jnp

    from .. import with_jax

    def D(p: Any, x: Any, key: Any) -> Any:
        a = jax.nn.leaky_relu(x @ p["discriminator.0.weight"].T)
        kept = jax.random.bernoulli(key, 0.5, a.shape)
        return with_jax.affine(jnp.where(kept, 2 * a, 0), p, "discriminator.3")

    def d_cost(p: Any, x: Any, fakes: Any, key: Any) -> Any:
        logits = D(p, jnp.concatenate([x, fakes]), key)
        return jax.nn.softplus(-logits[:BATCH]).mean() + jax.nn.softplus(logits[BATCH:]).mean()

    def g_cost(p: Any, of_d: Any, z: Any, key: Any) -> Any:
        return jax.nn.softplus(-D(of_d, jax_G(p, z), key)).mean()

    d_move, g_move = with_jax.adam(d_cost, LR), with_jax.adam(g_cost, LR)

    def move(state: Any, key: Any, x: Any) -> Any:
        d_state, g_state = state
        of_noise, of_d, of_g = jax.random.split(key, 3)
        z = jax.random.uniform(of_noise, (2, BATCH, NOISE), minval=-1, maxval=1)
        d_state, of_D = d_move(d_state, x, jax_G(g_state[0], z[0]), of_d)
        g_state, of_G = g_move(g_state, d_state[0], z[1], of_g)
        return (d_state, g_state), (of_D, of_G)

    state = tuple(with_jax.adam_state(with_jax.weights(shapes)) for shapes in (D_SHAPES, G_SHAPES))
    return with_jax.step(move, state, BATCH, training.images(-1))


def _floor(device: str) -> Step:
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
    return training.floor(device, products)


SIDES = {
    "scratchgen": _scratchgen,
    "torch": _torch,
    "torch, each player alone, fused Adam": _torch_at_its_best,
    "torch-compile": _torch_compiled,
    "jax": _jax,
    "floor": _floor,
}
CASES = [Case("GAN step", SIDES, samples=BATCH, trains=True, on_gpu=True)]
