r"""Langevin dynamics: samples of p(x) = exp(−E(x))/Z from the slope of the energy alone.

A particle that slides down the energy and is kicked by noise,

    x ← x − ε ∇E(x) + √(2ε) z,    z ~ N(0, I),

visits x as often as p(x) says, for steps ε → 0: Z is never needed. Two errors remain for a finite
step. The stationary distribution is not p but near it: for E = x²/2s² its variance is
s²/(1 − ε/2s²). And from ε = 2s² on the chain diverges, so that the narrowest direction limits ε.

The Metropolis test removes the first error. From x, the step proposes x′ with the density
q(x′|x) = N(x′; x − ε ∇E(x), 2ε I), and it is taken with probability

    min(1, exp(E(x) − E(x′)) q(x|x′)/q(x′|x)),

else the chain stays at x. p is then exactly stationary. On a Gaussian of variance s² in one
dimension a share 1 − (2/π) arctan((ε/2s²)^{3/2}) of the steps is taken.

Short chains with noise smaller than √(2ε), as they are often used for images, sample another
distribution: :func:`tempered_langevin` is their name here, and says at which temperature.

Sources: the notes, "Energy models"; Roberts and Tweedie 1996; Du and Mordatch, arXiv:1903.08689;
Nijkamp et al., arXiv:1904.09770 (short-run chains).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff import Tensor, gradient
from ..backend import Array, Generator, check_generator, device_of, to_host

Energy = Callable[[Any], Any]
"""Maps samples (n, …) to their energies (n,): of tensors, so that ∇E can be found."""


def langevin(energy: Energy, x: Array, steps: int, step: float, rng: Generator) -> Array:
    """n chains x ← x − ε ∇E + √(2ε) z of ``steps`` steps ε = ``step``, from x: (n, …).

    They sample exp(−E) up to an error of the order of the step. Raises ``RuntimeError`` where a
    chain diverges, at that step on the host and at the end on a GPU.
    """
    return tempered_langevin(energy, x, steps, step, math.sqrt(2 * step) if step > 0 else 0.0, rng)


def tempered_langevin(
    energy: Energy, x: Array, steps: int, step: float, noise: float, rng: Generator
) -> Array:
    """n chains x ← x − ε ∇E + ν z with noise of any size ν: those of exp(−E/T), T = ν²/2ε.

    With T < 1 the samples are nearer to the modes than those of exp(−E), and short chains remember
    where they began. Raises as :func:`langevin`.
    """
    _check(x, steps, step, rng)
    if not 0 <= noise < math.inf:
        raise ValueError(f"the noise is a standard deviation from 0, got {noise}")
    for k in range(steps):
        _, slope = _energy_and_slope(energy, x)
        x = x - step * slope
        if noise:
            x += noise * rng.standard_normal(x.shape, dtype=x.dtype)
        if device_of(x) == "cpu" or k == steps - 1:
            _check_finite(x, k, step)
    return x


def mala(energy: Energy, x: Array, steps: int, step: float, rng: Generator) -> tuple[Array, float]:
    """The Metropolis-adjusted chains: (x, the share of all proposed steps that were taken).

    exp(−E) is exactly stationary for any step. About 0.57 of the steps are taken where the chains
    mix fastest (Roberts and Rosenthal 1998); a share near 0 says that the step is too large.
    """
    _check(x, steps, step, rng)
    energy_here, slope_here = _energy_and_slope(energy, x)
    taken: Any = 0.0
    for _ in range(steps):
        z = rng.standard_normal(x.shape, dtype=x.dtype)
        there = x - step * slope_here + math.sqrt(2 * step) * z
        energy_there, slope_there = _energy_and_slope(energy, there)
        back = x - there + step * slope_there
        # log q(x|x′) − log q(x′|x), of which the second is −½‖z‖²
        log_ratio = energy_here - energy_there + _squares(z) / 2 - _squares(back) / (4 * step)
        # A proposal at which the energy is not finite compares as false, and is not taken.
        accepted = np.log1p(-rng.random(len(x), dtype=x.dtype)) < log_ratio
        rows = accepted.reshape(-1, *(1 for _ in x.shape[1:]))
        x, slope_here = np.where(rows, there, x), np.where(rows, slope_there, slope_here)
        energy_here = np.where(accepted, energy_there, energy_here)
        taken = taken + accepted.mean()
    return x, float(to_host(taken)) / steps if steps else 0.0


def _energy_and_slope(energy: Energy, x: Array) -> tuple[Array, Array]:
    """E(x), (n,), and ∇E(x), (n, …): each energy depends on its own sample alone."""
    at = Tensor(x)
    energies = energy(at)
    if not isinstance(energies, Tensor) or energies.shape != (len(x),):
        got = energies.shape if hasattr(energies, "shape") else type(energies).__name__
        raise ValueError(
            f"an energy maps the samples {x.shape}, a tensor, to one number each, a tensor "
            f"({len(x)},), got {got}"
        )
    (slope,) = gradient(energies, [at], np.ones_like(energies.data))
    return energies.data, slope


def _squares(x: Array) -> Array:
    rows = x.reshape(len(x), -1)
    return (rows * rows).sum(axis=1)


def _check(x: Array, steps: int, step: float, rng: Generator) -> None:
    check_generator(rng)
    if steps < 0 or not 0 < step < math.inf:
        raise ValueError(f"steps ≥ 0 of a size above 0, got {steps} of {step}")
    if x.dtype.kind != "f":
        raise ValueError(f"chains begin at floating numbers, got {x.dtype}")


def _check_finite(x: Array, k: int, step: float) -> None:
    lost = int(to_host((~np.isfinite(x)).reshape(len(x), -1).any(axis=1).sum()))
    if lost:
        raise RuntimeError(
            f"{lost} of {len(x)} chains left all bounds by step {k + 1}: the step {step:g} is too "
            "large for this energy, which diverges from 2s² on where its narrowest direction has "
            "the standard deviation s; take a smaller step, or mala"
        )
