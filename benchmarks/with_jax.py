"""What JAX's sides share: its weights, its updates, and all of a step in one jit.

A step gathers its batch within, from arrays of the device, and the memory of weights and moments is
donated: both are faster than the alternatives. Random numbers are of the default generator.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from . import training
from .workloads import Step

Move = Callable[..., tuple[Any, Any]]


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """The weights that all start from, as arrays of JAX."""
    return {name: jnp.asarray(w) for name, w in training.weights(shapes).items()}


def affine(x: Any, parameters: Mapping[str, Any], layer: str) -> Any:
    """X Wᵀ + b."""
    return x @ parameters[f"{layer}.weight"].T + parameters[f"{layer}.bias"]


def sgd(cost: Callable[..., Any], lr: float) -> Move:
    """``move(θ, *arguments)`` gives θ − lr ∂C/∂θ and C = ``cost(θ, *arguments)``."""

    def move(parameters: Any, *arguments: Any) -> tuple[Any, Any]:
        c, gradients = jax.value_and_grad(cost)(parameters, *arguments)
        return jax.tree.map(lambda p, g: p - lr * g, parameters, gradients), c

    return move


def adam_state(parameters: Any) -> Any:
    """θ, m = 0, v = 0 and t = 0."""
    zeros = [jax.tree.map(jnp.zeros_like, parameters) for _ in "mv"]
    return parameters, *zeros, jnp.zeros((), jnp.float32)


def adam(cost: Callable[..., Any], lr: float) -> Move:
    """``move((θ, m, v, t), *arguments)`` gives these after a step of Adam, and the cost."""

    def move(state: Any, *arguments: Any) -> tuple[Any, Any]:
        parameters, m, v, t = state
        c, gradients = jax.value_and_grad(cost)(parameters, *arguments)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
        rate, root = lr / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), parameters, m, v
        )
        return (parameters, m, v, t), c

    return move


def step(move: Move, state: Any, size: int, *arrays: Any) -> Step:
    """``move(state, key, *batch)`` gives the next state and the cost; the step does not wait."""
    held, key = state, jax.random.key(0)
    tensors = tuple(map(jnp.asarray, arrays))
    rows = itertools.cycle(training.order(size, len(arrays[0])))

    @partial(jax.jit, donate_argnums=(0, 1))
    def whole(state: Any, key: Any, tensors: Any, chosen: Any) -> Any:
        key, now = jax.random.split(key)
        state, cost = move(state, now, *[x[chosen] for x in tensors])
        return state, key, cost

    def step() -> object:
        nonlocal held, key
        held, key, cost = whole(held, key, tensors, next(rows))
        return cost

    return step
