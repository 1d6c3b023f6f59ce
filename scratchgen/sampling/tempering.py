r"""Parallel tempering: chains at several temperatures, which change places.

A chain at f_β=1 = f stays in one mode where the barriers are high. On the path f_β that annealing
takes from f₀ = f_{β=0}, which is easy to sample, each β has a chain of its own, and they are seen
as one state (x₁ … x_R) of the product Π f_{βᵣ}(xᵣ). It is left as it is by a step of each chain,
and by an exchange of two neighbours that is accepted with the probability

    min(1, f_β(x′) f_β′(x) / f_β(x) f_β′(x′)),

the Metropolis rule. What moves freely near β = 0 so comes to β = 1, from mode to mode, and the
marginal of the last chain is exactly f. Neighbours that are too far apart hardly ever change
places: the share of exchanges that are accepted tells it.

Sources: Swendsen and Wang 1986; Desjardins et al. 2010, for the training of an RBM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ..backend import Array, Generator, check_generator

State: TypeAlias = tuple[Array, ...]
"""What n chains are at: arrays of n rows each."""


def parallel_tempering(
    states: Sequence[State],
    betas: Sequence[float],
    steps: int,
    log_ratio: Callable[[State, float, float], Array],
    transition: Callable[[State, float], State],
    rng: Generator,
) -> tuple[list[State], Array]:
    """The states after ``steps`` steps, one for each β; and the share of exchanges, one number.

    A step moves each state by ``transition(x, β)``, and then offers each pair of neighbours an
    exchange, from the first β to the last: row by row, as each row is a system of its own.
    ``log_ratio(x, β, β′)`` is log f_β′(x) − log f_β(x), (n,): both as annealing has them.
    """
    check_generator(rng)
    if steps < 1 or len(betas) < 2 or len(states) != len(betas):
        raise ValueError(
            "tempering takes at least 1 step, and a state for each of at least 2 temperatures, got "
            f"{steps} steps, {len(states)} states and {len(betas)} temperatures"
        )
    states, accepted = list(states), []
    for _ in range(steps):
        states = [transition(x, beta) for x, beta in zip(states, betas, strict=True)]
        for r in range(len(betas) - 1):
            here, there = states[r], states[r + 1]
            gain = log_ratio(here, betas[r], betas[r + 1]) + log_ratio(
                there, betas[r + 1], betas[r]
            )
            taken = np.log1p(-rng.random(len(gain), dtype=gain.dtype)) < gain
            states[r], states[r + 1] = _exchanged(here, there, taken)
            accepted.append(taken.mean())
    return states, sum(accepted) / len(accepted)


def _exchanged(x: State, y: State, taken: Array) -> tuple[State, State]:
    """The states with those of their rows exchanged that are taken."""
    rows = taken[:, None]
    return (
        tuple(np.where(rows, theirs, own) for own, theirs in zip(x, y, strict=True)),
        tuple(np.where(rows, theirs, own) for own, theirs in zip(y, x, strict=True)),
    )
