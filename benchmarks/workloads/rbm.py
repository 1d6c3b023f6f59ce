"""One training step of the notes' RBM, 784 × 500: CD-1 and CD-5 with SGD of 0.1, batches of 64.

A step gathers a batch, draws binary images with the grey values as means, makes k steps of Gibbs
sampling, takes the cost F(v) − F(vₖ), its gradient and one update, in float32. The data are 60,000
random images, 179 MiB of the memory reported: grey where they are not zero, most often in the
middle. PyTorch runs eagerly, with the fused optimizer, and with the whole step compiled; JAX has
the whole step in one jit. Both use the fields of the hidden units, b + Wᵀv, for the chain and for
the cost, as scratchgen does.

Scikit-learn's BernoulliRBM.partial_fit, beside CD-1, goes on with chains from update to update: it
is persistent contrastive divergence, of one step of Gibbs sampling and as many products. It takes
the grey values themselves for data, and returns no cost.

Scratchgen's step includes the error of reconstruction that it reports. The floor is the matrix
products that no step can do without, into arrays that are there: 1 + 2k along the chain, and one
for both phases of ∂C/∂W.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import training
from . import Case, Step

BATCH, VISIBLE, HIDDEN, LR = 64, 784, 500, 0.1


def _weights() -> dict[str, Any]:
    W = np.random.default_rng(2).standard_normal((VISIBLE, HIDDEN), dtype=np.float32)
    return {"W": 0.01 * W, "a": np.zeros(VISIBLE, np.float32), "b": np.zeros(HIDDEN, np.float32)}


def _scratchgen(k: int, device: str) -> Step:
    import scratchgen

    rng = scratchgen.generator(0, device)
    model = scratchgen.models.RBM(VISIBLE, HIDDEN, rng=rng, k=k)
    model.load_state_dict(_weights())
    batch = training.Batches(device, BATCH, training.images_as_strokes())
    return training.step(model, [scratchgen.optim.SGD(model.parameters(), lr=LR)], batch, rng)


def _torch_cost(k: int, parameters: Any, x: Any) -> Any:
    import torch
    from torch.nn.functional import linear, softplus

    W, a, b = (parameters[name] for name in "Wab")

    def free_energy(v: Any, z: Any) -> Any:
        return -(v @ a) - softplus(z).sum(dim=1)

    v = v_k = torch.bernoulli(x)
    z = z_k = linear(v, W.T, b)
    for step in range(k):
        with torch.no_grad():
            h = torch.bernoulli(torch.sigmoid(z_k))
            v_k = torch.bernoulli(torch.sigmoid(linear(h, W, a)))
        with torch.set_grad_enabled(step == k - 1):
            z_k = linear(v_k, W.T, b)
    return (free_energy(v, z) - free_energy(v_k, z_k)).mean()


def _torch_weights(device: str) -> Any:
    from torch import from_numpy

    return {name: from_numpy(w).to(device) for name, w in _weights().items()}


def _torch(k: int, device: str, fused: bool = False) -> Step:
    from .. import with_torch

    parameters = {name: w.requires_grad_() for name, w in _torch_weights(device).items()}
    sgd = with_torch.optimizer("SGD", parameters.values(), LR, fused)
    batch = with_torch.batches(device, BATCH, training.images_as_strokes())
    return with_torch.step(partial(_torch_cost, k, parameters), sgd, batch)


def _torch_compiled(k: int, device: str) -> Step:
    from .. import with_torch

    move = with_torch.sgd(partial(_torch_cost, k), _torch_weights(device), LR)
    return with_torch.compiled(move, device, BATCH, training.images_as_strokes())


def _jax(k: int, _: str) -> Step:
    import jax
    import jax.numpy as jnp

    from .. import with_jax

    def bernoulli(key: Any, p: Any) -> Any:
        return jax.random.bernoulli(key, p).astype(jnp.float32)

    def cost(p: Any, key: Any, x: Any) -> Any:
        W, a, b = p["W"], p["a"], p["b"]
        keys = jax.random.split(key, 1 + 2 * k)
        v = v_k = bernoulli(keys[0], x)
        z = z_k = v @ W + b
        for of_h, of_v in zip(keys[1::2], keys[2::2], strict=True):
            h = bernoulli(of_h, jax.lax.stop_gradient(jax.nn.sigmoid(z_k)))
            v_k = bernoulli(of_v, jax.lax.stop_gradient(jax.nn.sigmoid(h @ W.T + a)))
            z_k = v_k @ W + b

        def free_energy(v: Any, z: Any) -> Any:
            return -(v @ a) - jax.nn.softplus(z).sum(axis=1)

        return (free_energy(v, z) - free_energy(v_k, z_k)).mean()

    parameters = {name: jnp.asarray(w) for name, w in _weights().items()}
    images = training.images_as_strokes()
    return with_jax.step(with_jax.sgd(cost, LR), parameters, BATCH, images)


def _sklearn(device: str) -> Step:
    from sklearn.neural_network import BernoulliRBM

    model = BernoulliRBM(HIDDEN, learning_rate=LR, batch_size=BATCH, random_state=0)
    batch = training.Batches(device, BATCH, training.images_as_strokes())
    model.partial_fit(*batch())  # which draws the weights
    model.components_[:] = _weights()["W"].T
    return lambda: model.partial_fit(*batch())


def _floor(k: int, device: str) -> Step:
    rng = np.random.default_rng(0)
    v, h, W = (
        rng.standard_normal(shape, dtype=np.float32)
        for shape in [(BATCH, VISIBLE), (BATCH, HIDDEN), (VISIBLE, HIDDEN)]
    )
    both_v, both_h = np.concatenate([v, v]), np.concatenate([h, h])
    to_hidden = v, W, np.empty_like(h)
    to_visible = h, W.T, np.empty_like(v)
    gradient = both_v.T, both_h, np.empty_like(W)
    return training.floor(device, [to_hidden, *[to_visible, to_hidden] * k, gradient])


def _sides(k: int) -> Mapping[str, Callable[..., Step]]:
    return {
        "scratchgen": partial(_scratchgen, k),
        "torch": partial(_torch, k),
        "torch, fused SGD": partial(_torch, k, fused=True),
        "torch-compile": partial(_torch_compiled, k),
        "jax": partial(_jax, k),
        **({"sklearn": _sklearn} if k == 1 else {}),
        "floor": partial(_floor, k),
    }


CASES = [
    Case(f"RBM step, CD-{k}", _sides(k), samples=BATCH, trains=True, on_gpu=True) for k in (1, 5)
]
