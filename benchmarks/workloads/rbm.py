"""One training step of the notes' RBM, 784 × 500: CD-1 with SGD of 0.1, float32, batches of 64.

A step gathers a batch, draws binary images with the grey values as means, makes one step of Gibbs
sampling, takes the cost F(v) − F(vₖ), its gradient and one update. Both libraries start from the
same weights and see the same batches, of 60,000 random images, 179 MiB of the memory reported: grey
where they are not zero, most often in the middle. PyTorch runs eagerly, and with the fused
optimizer, its best.

Scratchgen's step includes the error of reconstruction that it reports. The floor is the four matrix
products that no step can do without, into arrays that are there: three along the chain, and one
for both phases of ∂C/∂W.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import training
from . import Case, Step

BATCH, VISIBLE, HIDDEN = 64, 784, 500


def _weights() -> dict[str, Any]:
    W = np.random.default_rng(2).standard_normal((VISIBLE, HIDDEN), dtype=np.float32)
    return {"W": 0.01 * W, "a": np.zeros(VISIBLE, np.float32), "b": np.zeros(HIDDEN, np.float32)}


def _scratchgen() -> Step:
    import scratchgen

    rng = scratchgen.generator(0)
    model, optimizers = scratchgen.models.rbm.lecture(rng)
    model.load_state_dict(_weights())
    images, batches = training.images_as_strokes(), training.batches(BATCH)
    return training.our_step(model, optimizers, lambda: images[next(batches)], rng)


def _torch(**settings: Any) -> Step:
    import torch
    from torch.nn.functional import linear, softplus

    W, a, b = (torch.nn.Parameter(torch.from_numpy(w)) for w in _weights().values())
    optimizer = torch.optim.SGD([W, a, b], lr=0.1, **settings)
    x = torch.from_numpy(training.images_as_strokes())
    batches = map(torch.from_numpy, training.batches(BATCH))

    def free_energy(v: Any) -> Any:
        return -(v @ a) - softplus(linear(v, W.T, b)).sum(dim=1)

    def step() -> object:
        v = torch.bernoulli(x[next(batches)])
        with torch.no_grad():
            h = torch.bernoulli(torch.sigmoid(linear(v, W.T, b)))
            v_k = torch.bernoulli(torch.sigmoid(linear(h, W, a)))
        cost = (free_energy(v) - free_energy(v_k)).mean()
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        return cost.detach()

    return step


def _floor() -> Step:
    rng = np.random.default_rng(0)
    v, h, W = (
        rng.standard_normal(shape, dtype=np.float32)
        for shape in [(BATCH, VISIBLE), (BATCH, HIDDEN), (VISIBLE, HIDDEN)]
    )
    both_v, both_h = np.concatenate([v, v]), np.concatenate([h, h])
    to_hidden = v, W, np.empty_like(h)
    to_visible = h, W.T, np.empty_like(v)
    products = [to_hidden, to_visible, to_hidden, (both_v.T, both_h, np.empty_like(W))]

    return training.floor(products)


SIDES: dict[str, Callable[[], Step]] = {
    "scratchgen": _scratchgen,
    "torch": _torch,
    "torch, fused SGD": partial(_torch, fused=True),
    "floor": _floor,
}
CASES = [Case("RBM step, CD-1", SIDES, trains=True)]
