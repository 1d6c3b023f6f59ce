"""Samples of the notes' models: 10,000 of the GAN, and one step back of 16 images of the DDPM.

The GAN's are (10,000, 784) float32 from fresh noise. The step back is that of ancestral sampling,
from x_t to x_{t−1}, at one t after the other, fresh noise included. PyTorch runs under
``inference_mode``: eagerly, for the DDPM with the channels last too, and compiled; JAX in one jit.
The floor is the matrix products, of the direct sums of the two large convolutions for the DDPM.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np

from .. import training
from . import Case, Step, ddpm, gan

SAMPLES, IMAGES = 10_000, 16
BETA = np.linspace(1e-4, 0.02, ddpm.T)
ALPHA_BAR = np.cumprod(1 - BETA)
# x_{t−1} = (x_t − share ε̂)/root + spread z
TABLES = np.stack([BETA / np.sqrt(1 - ALPHA_BAR), np.sqrt(1 - BETA), np.sqrt(BETA)], axis=1)


def _times() -> Any:
    return itertools.cycle(range(ddpm.T - 1, 0, -1))


def _scratchgen_gan(device: str) -> Step:
    model, _, rng = training.lecture("gan", gan.SHAPES, device)
    return lambda: model.sample(SAMPLES, rng)


def _torch_gan(device: str, compiled: bool = False) -> Step:
    import torch

    G = gan.torch_modules(device)[0]

    def generate() -> Any:
        return G(2 * torch.rand(SAMPLES, gan.NOISE, device=device) - 1)

    whole = torch.compile(generate) if compiled else generate
    return torch.inference_mode()(whole)


def _jax_gan(_: str) -> Step:
    import jax

    from .. import with_jax

    @jax.jit
    def generate(p: Any, key: Any) -> Any:
        key, now = jax.random.split(key)
        return gan.jax_G(p, jax.random.uniform(now, (SAMPLES, gan.NOISE), minval=-1)), key

    weights, key = with_jax.weights(gan.G_SHAPES), jax.random.key(0)

    def step() -> object:
        nonlocal key
        x, key = generate(weights, key)
        return x

    return step


def _floor_gan(device: str) -> Step:
    rng = np.random.default_rng(0)
    shapes = (SAMPLES, 20), (20, 100), (SAMPLES, 100), (100, 784), (SAMPLES, 784)
    z, W, h, V, x = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    return training.floor(device, [(z, W, h), (h, V, x)])


def _scratchgen_ddpm(device: str) -> Step:
    model, _, rng = training.lecture("ddpm", ddpm.SHAPES, device)
    frozen, times = model.frozen(), _times()
    x = rng.standard_normal((IMAGES, 1, 28, 28), dtype=np.float32)
    return lambda: frozen.p_sample(x, next(times), rng.standard_normal(x.shape, dtype=x.dtype))


def _torch_ddpm(device: str, channels_last: bool = False, compiled: bool = False) -> Step:
    import torch

    model, predict = ddpm.torch_model(device, channels_last)
    tables, times = torch.from_numpy(TABLES.astype(np.float32)).to(device), _times()
    x = torch.randn(IMAGES, 1, 28, 28, device=device)

    def back(x: Any, t: Any, of_time: Any) -> Any:
        share, root, spread = of_time
        return (x - share * predict(model, x, t)) / root + spread * torch.randn_like(x)

    if compiled:
        back = torch.compile(back, dynamic=False)

    @torch.inference_mode()
    def step() -> object:
        t = next(times)
        return back(x, torch.full((IMAGES,), t, device=device), tables[t])

    return step


def _jax_ddpm(_: str) -> Step:
    import jax
    import jax.numpy as jnp

    parameters, predict = ddpm.jax_model()
    tables, times = jnp.asarray(TABLES, jnp.float32), _times()

    @jax.jit
    def back(p: Any, x: Any, t: Any, key: Any) -> Any:
        key, now = jax.random.split(key)
        share, root, spread = tables[t]
        mean = (x - share * predict(p, x, jnp.full(IMAGES, t))) / root
        return mean + spread * jax.random.normal(now, x.shape), key

    key, x = jax.random.key(0), jax.random.normal(jax.random.key(1), (IMAGES, 28, 28, 1))

    def step() -> object:
        nonlocal key
        before, key = back(parameters, x, next(times), key)
        return before

    return step


def _floor_ddpm(device: str) -> Step:
    rng, places = np.random.default_rng(0), IMAGES * 28 * 28
    products = []
    for c_in, c_out in ((64, 128), (128, 64)):
        shapes = (c_out, 9 * c_in), (9 * c_in, places), (c_out, places)
        W, columns, y = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
        products.append((W, columns, y))
    return training.floor(device, products)


OF_GAN = {
    "scratchgen": _scratchgen_gan,
    "torch": _torch_gan,
    "torch-compile": partial(_torch_gan, compiled=True),
    "jax": _jax_gan,
    "floor": _floor_gan,
}
OF_DDPM = {
    "scratchgen": _scratchgen_ddpm,
    "torch": _torch_ddpm,
    "torch, channels-last": partial(_torch_ddpm, channels_last=True),
    "torch-compile": partial(_torch_ddpm, channels_last=True, compiled=True),
    "jax": _jax_ddpm,
    "floor": _floor_ddpm,
}
CASES = [
    Case("GAN, 10,000 samples", OF_GAN, samples=SAMPLES, on_gpu=True),
    Case("DDPM, a step back of 16 images", OF_DDPM, samples=IMAGES, on_gpu=True),
]
