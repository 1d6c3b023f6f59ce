"""One training step of the notes' VAE: 784–400–(μ, log σ²: 20)–400–784, float32, Adam 1e-3.

A step gathers a batch of 128, draws the noise, takes the cost, its gradient and one update. The
data are 60,000 random images, 179 MiB of the memory reported: grey where they are not zero, which
is for 19 % of the pixels, most often in the middle, as in MNIST; but without strokes. PyTorch runs
eagerly, with its default Adam and with the fused one, and with the whole step compiled; JAX has the
whole step in one jit; autograd differentiates NumPy, with Adam by hand in place.

The floor is the eleven matrix products that no step can do without, into arrays that are there.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from .. import training
from . import Case, Step

BATCH, LATENT, LR = 128, 20, 1e-3
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


def _scratchgen(device: str) -> Step:
    model, optimizers, rng = training.lecture("vae", SHAPES, device)
    batch = training.Batches(device, BATCH, training.images_as_strokes())
    return training.step(model, optimizers, batch, rng)


def _torch_model(device: str) -> Any:
    import torch
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits

    from .. import with_torch

    def cost(modules: Any, x: Any) -> Any:
        mu, log_var = modules["encoder"](x).chunk(2, dim=1)
        h = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        nll = binary_cross_entropy_with_logits(modules["decoder"](h), x, reduction="sum")
        kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum()
        return (nll + kl) / BATCH

    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, 400), nn.ReLU(), nn.Linear(400, 784))
    return with_torch.Model({"encoder": encoder, "decoder": decoder}, cost, SHAPES, device)


def _torch(device: str, fused: bool = False) -> Step:
    from .. import with_torch

    model = _torch_model(device)
    adam = with_torch.optimizer("Adam", model.parameters(), LR, fused)
    batch = with_torch.batches(device, BATCH, training.images_as_strokes())
    return with_torch.step(model, adam, batch)


def _torch_compiled(device: str) -> Step:
    from .. import with_torch

    model, images = _torch_model(device), training.images_as_strokes()
    return with_torch.compiled_model(model, "Adam", LR, device, BATCH, images)


def _jax(_: str) -> Step:
    import jax
    import jax.numpy as jnp

    from .. import with_jax

    affine = with_jax.affine

    def cost(p: Any, key: Any, x: Any) -> Any:
        out = affine(jax.nn.relu(affine(x, p, "encoder.0")), p, "encoder.2")
        mu, log_var = out[:, :LATENT], out[:, LATENT:]
        h = mu + jnp.exp(0.5 * log_var) * jax.random.normal(key, mu.shape)
        logits = affine(jax.nn.relu(affine(h, p, "decoder.0")), p, "decoder.2")
        # as PyTorch has it: softplus is max(z, 0) + log(1 + e^−|z|)
        softplus = jnp.maximum(logits, 0) + jnp.log1p(jnp.exp(-jnp.abs(logits)))
        nll = (softplus - logits * x).sum()
        kl = 0.5 * (mu**2 + jnp.exp(log_var) - 1 - log_var).sum()
        return (nll + kl) / BATCH

    state = with_jax.adam_state(with_jax.weights(SHAPES))
    return with_jax.step(with_jax.adam(cost, LR), state, BATCH, training.images_as_strokes())


def _autograd(device: str) -> Step:
    anp, autograd = import_module("autograd.numpy"), import_module("autograd")
    parameters = [np.ascontiguousarray(w.T) for w in training.weights(SHAPES).values()]
    update = training.by_hand("Adam", parameters, LR)
    batch = training.Batches(device, BATCH, training.images_as_strokes())
    rng, half = np.random.default_rng(0), np.float32(0.5)

    def cost(parameters: Any, x: Any, eps: Any) -> Any:
        W1, b1, W2, b2, W3, b3, W4, b4 = parameters
        out = anp.matmul(anp.maximum(anp.matmul(x, W1) + b1, 0), W2) + b2
        mu, log_var = out[:, :LATENT], out[:, LATENT:]
        h = mu + anp.exp(half * log_var) * eps
        logits = anp.matmul(anp.maximum(anp.matmul(h, W3) + b3, 0), W4) + b4
        softplus = anp.maximum(logits, 0) + anp.log1p(anp.exp(-anp.abs(logits)))
        nll = anp.sum(softplus - logits * x)
        kl = half * anp.sum(mu * mu + anp.exp(log_var) - 1 - log_var)
        return (nll + kl) / np.float32(BATCH)

    gradients = autograd.grad(cost)

    def step() -> object:
        eps = rng.standard_normal((BATCH, LATENT), dtype=np.float32)
        return update(gradients(parameters, *batch(), eps))

    return step


SIDES = {
    "scratchgen": _scratchgen,
    "torch": _torch,
    "torch, fused Adam": partial(_torch, fused=True),
    "torch-compile": _torch_compiled,
    "jax": _jax,
    "autograd": _autograd,
    "floor": partial(training.floor_of_layers, SHAPES, BATCH, "encoder.0.weight"),
}
CASES = [Case("VAE step", SIDES, samples=BATCH, trains=True, on_gpu=True)]
