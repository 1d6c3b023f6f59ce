"""What recording costs: 200 operations on 8×8 float64 arrays, forward and gradient.

y ← tanh(y w + x) ∘ x, fifty times from y = x, then Σ y and its gradient with respect to x and w. On
arrays so small, the engine is what is left. The floor is the forward pass alone, in plain NumPy.
MyGrad runs without its guard against writes to recorded arrays, as it recommends for speed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from . import Case, Step

Function = Callable[..., Any]


def sides(f: Function, *arrays: Any) -> dict[str, Callable[[], Step]]:
    """The gradient of f(tanh, \\*arrays) with respect to the arrays, by each library."""
    all_sides: dict[str, Callable[..., Step]] = {
        "scratchgen": _scratchgen,
        "autograd": _autograd,
        "mygrad": _mygrad,
        "floor": lambda f, arrays: partial(f, np.tanh, *arrays),
    }
    return {who: partial(side, f, arrays) for who, side in all_sides.items()}


def _scratchgen(f: Function, arrays: Any) -> Step:
    from scratchgen import Tensor, gradient, operations

    def step() -> object:
        tensors = [Tensor(array) for array in arrays]
        return gradient(f(operations.tanh, *tensors), tensors)

    return step


def _autograd(f: Function, arrays: Any) -> Step:
    f_of_arrays = partial(f, import_module("autograd.numpy").tanh)
    gradients = import_module("autograd").grad(f_of_arrays, tuple(range(len(arrays))))
    return partial(gradients, *arrays)


def _mygrad(f: Function, arrays: Any) -> Step:
    mygrad = import_module("mygrad")
    mygrad.turn_memory_guarding_off()

    def step() -> object:
        tensors = [mygrad.tensor(array, copy=False) for array in arrays]
        f(mygrad.tanh, *tensors).backward()
        return [tensor.grad for tensor in tensors]

    return step


def _small_operations(tanh: Any, x: Any, w: Any) -> Any:
    y = x
    for _ in range(50):
        y = tanh(y @ w + x) * x
    return y.sum()


_rng = np.random.default_rng(0)
SIDES = sides(_small_operations, _rng.standard_normal((8, 8)), _rng.standard_normal((8, 8)) / 8)
CASES = [Case("200 small operations", SIDES, "µs/operation", 1e6 / 200)]
