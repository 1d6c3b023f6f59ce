r"""The Ising model: spins on a square lattice that prefer to agree with their neighbours.

Spins s ∈ {−1, 1} on L × L sites, with periodic boundaries, have

    E(s) = −Σ_⟨ij⟩ sᵢ sⱼ,      p(s) = exp(−β E(s)) / Z.

The sum runs over pairs of neighbours, each once (at L = 2 twice, as the left neighbour of a site is
its right neighbour too). At β = ½ log(1 + √2) = 0.4407 the infinite lattice orders itself. Flips of
single spins would mix very slowly there, and never below that temperature. Flips of clusters mix
fast: two equal neighbours are bound with probability 1 − exp(−2β), and every cluster of bound spins
takes a random common sign. This leaves p(s) unchanged (Fortuin and Kasteleyn), and forgets the
initial state within a few sweeps. Source: Swendsen and Wang 1987.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array, Generator, check_generator, to_device, to_host


class IsingMoments(NamedTuple):
    """Exact expectations per lattice, named as in the notes."""

    energy: float
    """E[E(s)]."""
    energy_squared: float
    """E[E(s)²]."""
    magnetisation: float
    """E|m|, m = Σ s / L²."""
    log_partition: float
    """log Z."""


def ising(L: int, beta: float, n: int, rng: Generator, sweeps: int = 200) -> Array:
    """n states of the lattice, (n, L, L) float32 of −1 and 1, on the device of ``rng``.

    Each state is the end of a separate chain of ``sweeps`` sweeps over all its clusters, which
    starts from random spins. The clusters are found on the host. ``ValueError`` for L below 2, β
    below 0 or n below 1.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    check_generator(rng)
    if L < 2 or n < 1 or sweeps < 1 or not 0 <= beta < math.inf:
        raise ValueError(f"L ≥ 2, β ≥ 0, n ≥ 1 and sweeps ≥ 1, got {L}, {beta}, {n} and {sweeps}")
    size = n * L * L
    sites = np.arange(size).reshape(n, L, L)
    # Pair each site with its neighbour below and its neighbour to the right.
    here = np.stack([sites, sites]).ravel()
    there = np.stack([np.roll(sites, -1, axis=1), np.roll(sites, -1, axis=2)]).ravel()
    spins = 1 - 2 * to_host(rng.integers(0, 2, size))
    for _ in range(sweeps):
        drawn = to_host(rng.random(2 * size)) < -math.expm1(-2 * beta)
        bound = drawn & (spins[here] == spins[there])
        edges = here[bound], there[bound]
        graph = coo_array((np.ones(bound.sum(), bool), edges), shape=(size, size))
        clusters, of_site = connected_components(graph, directed=False)
        spins = (1 - 2 * to_host(rng.integers(0, 2, clusters)))[of_site]
    return to_device(spins.reshape(n, L, L).astype(np.float32), rng)


def ising_energy(s: Array) -> Array:
    """E(s) = −Σ_⟨ij⟩ sᵢ sⱼ of the states s: (n, L, L), with periodic boundaries: (n,)."""
    neighbours = np.roll(s, -1, axis=1) + np.roll(s, -1, axis=2)
    return -(s * neighbours).sum(axis=(1, 2))


def ising_moments(L: int, beta: float) -> IsingMoments:
    """The exact moments, by a sum over all 2^(L²) states, for L from 2 to 4."""
    if not 2 <= L <= 4:
        raise ValueError(f"all states are summed over for L from 2 to 4, got {L}")
    states = np.arange(2 ** (L * L))[:, None] >> np.arange(L * L) & 1
    s = (1 - 2 * states).reshape(-1, L, L).astype(np.float64)
    E, m = ising_energy(s), np.absolute(s.mean(axis=(1, 2)))
    log_weights = -beta * E
    top = log_weights.max()
    log_z = top + math.log(np.exp(log_weights - top).sum())
    p = np.exp(log_weights - log_z)
    return IsingMoments(float(p @ E), float(p @ E**2), float(p @ m), float(log_z))
