"""The convolutions of the notes' diffusion model: 3×3, 64 and 128 channels, 128 images of 28×28.

Forward, ∂C/∂x and ∂C/∂W, each alone, float32, stride 1, padding 1, without a bias; by the default
way and by the direct one. PyTorch runs eagerly on its default layout. The floor is one product of
matrices with as many multiplications as the sums have, on as many threads as BLAS is given.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import Case, Step

BATCH, SIZE, KERNEL = 128, 28, 3
TASKS = ("forward", "∂C/∂x", "∂C/∂W")


def _arrays(c_in: int, c_out: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    shapes = (BATCH, c_in, SIZE, SIZE), (c_out, c_in, KERNEL, KERNEL), (BATCH, c_out, SIZE, SIZE)
    x, W, delta = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    return x, W, delta


def _scratchgen(task: str, c_in: int, c_out: int, *, name: str = "conv2d") -> Step:
    from scratchgen import operations

    x, W, delta = _arrays(c_in, c_out)
    rule = getattr(operations, name).rule
    _, equations = rule(x, W, padding=1)
    steps: dict[str, Step] = {
        "forward": lambda: rule(x, W, padding=1),
        "∂C/∂x": lambda: equations[0](delta),
        "∂C/∂W": lambda: equations[1](delta),
    }
    return steps[task]


def _torch(task: str, c_in: int, c_out: int) -> Step:
    import torch

    x, W, delta = map(torch.from_numpy, _arrays(c_in, c_out))
    if task == "forward":
        return lambda: torch.conv2d(x, W, padding=1)
    wanted = [task == "∂C/∂x", task == "∂C/∂W", False]
    one, none = [1, 1], [0, 0]
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(delta, x, W, None, one, one, one, False, none, 1, wanted)


def _floor(task: str, c_in: int, c_out: int) -> Step:
    rng = np.random.default_rng(0)
    columns, places = c_in * KERNEL**2, BATCH * SIZE**2 // 8
    W = rng.standard_normal((c_out, columns), dtype=np.float32)
    x = rng.standard_normal((columns, places), dtype=np.float32)
    y = np.empty((c_out, places), np.float32)

    def step() -> object:
        for _ in range(8):  # an eighth at a time: the columns of all images are 0.2 to 0.5 GB
            np.matmul(W, x, out=y)
        return y

    return step


def _sides(*arguments: Any) -> dict[str, Callable[[], Step]]:
    return {
        "scratchgen": partial(_scratchgen, *arguments),
        "scratchgen, direct": partial(_scratchgen, *arguments, name="conv2d_direct"),
        "torch": partial(_torch, *arguments),
        "floor": partial(_floor, *arguments),
    }


CASES = [
    Case(f"convolution {c_in}→{c_out}, {task}", _sides(task, c_in, c_out))
    for c_in, c_out in ((64, 128), (128, 64))
    for task in TASKS
]
