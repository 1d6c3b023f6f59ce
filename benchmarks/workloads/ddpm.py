"""One training step of the notes' DDPM: 3×3 convolutions 1–64–128, transposed 128–64–1, Adam 2e-4.

A step gathers 128 images of 28×28, draws a time and noise for each, takes the mean squared error of
the predicted noise, its gradient and one update, in float32. The data are 6,000 random images on
[−1, 1]. PyTorch runs eagerly, on its default layout and Adam; on the layout with the channels last
and the fused Adam; and so with the whole step compiled. JAX has the whole step in one jit, with the
channels last.

The floor is the products of matrices of the direct sums of the two large convolutions: forward, and
in both their equations, a few images at a time. Winograd's method, which both libraries may take,
needs fewer multiplications than that.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import training
from . import Case, Step

IMAGES, BATCH, T, LR = 6_000, 128, 300, 2e-4
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


def _scratchgen(device: str) -> Step:
    model, optimizers, rng = training.lecture("ddpm", SHAPES, device)
    return training.step(model, optimizers, training.Batches(device, BATCH, _images()), rng)


def torch_model(device: str, channels_last: bool = False) -> Any:
    """The same as modules of PyTorch, whose value is the cost; and what predicts the noise."""
    import torch
    from torch import nn
    from torch.nn.functional import mse_loss

    from .. import with_torch

    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, T, device=device), dim=0)

    def predict(modules: Any, x: Any, t: Any) -> Any:
        h = torch.relu(modules["enc1"](x))
        h = torch.relu(modules["enc2"](h))
        h = h + modules["time_mlp"]((t / T)[:, None])[:, :, None, None]
        return modules["dec2"](torch.relu(modules["dec1"](h)))

    def cost(modules: Any, x: Any) -> Any:
        t = torch.randint(0, T, (BATCH,), device=device)
        noise = torch.randn_like(x)
        left = alpha_bar[t].view(-1, 1, 1, 1)
        return mse_loss(predict(modules, left.sqrt() * x + (1 - left).sqrt() * noise, t), noise)

    modules = {
        "enc1": nn.Conv2d(1, 64, 3, padding=1),
        "enc2": nn.Conv2d(64, 128, 3, padding=1),
        "dec1": nn.ConvTranspose2d(128, 64, 3, padding=1),
        "dec2": nn.ConvTranspose2d(64, 1, 3, padding=1),
        "time_mlp": nn.Sequential(nn.Linear(1, 128), nn.ReLU(), nn.Linear(128, 128)),
    }
    model = with_torch.Model(modules, cost, SHAPES, device)
    return model.to(memory_format=torch.channels_last) if channels_last else model, predict


def _torch(device: str, channels_last: bool = False) -> Step:
    from .. import with_torch

    model, _ = torch_model(device, channels_last)
    adam = with_torch.optimizer("Adam", model.parameters(), LR, fused=channels_last)
    # Of images with one channel, both layouts are the same.
    return with_torch.step(model, adam, with_torch.batches(device, BATCH, _images()))


def _torch_compiled(device: str) -> Step:
    from .. import with_torch

    model, _ = torch_model(device, channels_last=True)
    return with_torch.compiled_model(model, "Adam", LR, device, BATCH, _images())


def jax_model() -> Any:
    """The weights with the channels last, and what predicts the noise with them."""
    import jax
    import jax.numpy as jnp

    from .. import with_jax

    def channels_last(name: str, w: Any) -> Any:
        if w.ndim < 4:
            return w
        if name.startswith("dec"):  # a transposed convolution is one with the kernel turned round
            return w[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
        return w.transpose(2, 3, 1, 0)

    parameters = {name: channels_last(name, w) for name, w in with_jax.weights(SHAPES).items()}

    def convolution(x: Any, p: Any, name: str) -> Any:
        layout = ("NHWC", "HWIO", "NHWC")
        z = jax.lax.conv_general_dilated(
            x, p[f"{name}.weight"], (1, 1), "SAME", dimension_numbers=layout
        )
        return z + p[f"{name}.bias"]

    def predict(p: Any, x: Any, t: Any) -> Any:
        h = jax.nn.relu(convolution(x, p, "enc1"))
        h = jax.nn.relu(convolution(h, p, "enc2"))
        time = jax.nn.relu(with_jax.affine((t / T)[:, None].astype(jnp.float32), p, "time_mlp.0"))
        h = h + with_jax.affine(time, p, "time_mlp.2")[:, None, None, :]
        return convolution(jax.nn.relu(convolution(h, p, "dec1")), p, "dec2")

    return parameters, predict


def _jax(_: str) -> Step:
    import jax
    import jax.numpy as jnp

    from .. import with_jax

    parameters, predict = jax_model()
    alpha_bar = jnp.cumprod(1 - jnp.linspace(1e-4, 0.02, T))

    def cost(p: Any, key: Any, x: Any) -> Any:
        of_t, of_noise = jax.random.split(key)
        t = jax.random.randint(of_t, (BATCH,), 0, T)
        noise = jax.random.normal(of_noise, x.shape)
        left = alpha_bar[t].reshape(-1, 1, 1, 1)
        x_t = jnp.sqrt(left) * x + jnp.sqrt(1 - left) * noise
        return ((predict(p, x_t, t) - noise) ** 2).mean()

    state, images = with_jax.adam_state(parameters), _images().reshape(-1, 28, 28, 1)
    return with_jax.step(with_jax.adam(cost, LR), state, BATCH, images)


def _floor(device: str) -> Step:
    rng, places = np.random.default_rng(0), 8 * 28 * 28  # of 8 images at a time
    products = []
    for c_in, c_out in ((64, 128), (128, 64)):
        shapes = (c_out, 9 * c_in), (9 * c_in, places), (c_out, places)
        W, columns, delta = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
        products += [(W, columns, np.empty_like(delta))]
        products += [(W.T, delta, np.empty_like(columns)), (delta, columns.T, np.empty_like(W))]
    return training.floor(device, products * (BATCH // 8))


SIDES = {
    "scratchgen": _scratchgen,
    "torch": _torch,
    "torch, channels-last, fused Adam": partial(_torch, channels_last=True),
    "torch-compile": _torch_compiled,
    "jax": _jax,
    "floor": _floor,
}
CASES = [Case("DDPM step", SIDES, samples=BATCH, trains=True, on_gpu=True)]
