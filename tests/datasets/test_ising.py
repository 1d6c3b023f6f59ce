"""The sampler of the Ising model has the exact moments, hot and cold."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.datasets.ising import ising, ising_energy, ising_moments


def test_the_energy_is_a_sum_over_bonds():
    s = 1 - 2 * np.random.default_rng(0).integers(0, 2, (3, 3, 3))
    for k, state in enumerate(s):
        bonds = sum(
            state[i, j] * (state[(i + 1) % 3, j] + state[i, (j + 1) % 3])
            for i in range(3)
            for j in range(3)
        )
        assert ising_energy(s)[k] == -bonds


@pytest.mark.parametrize("beta", [0.0, 0.2, 0.4407, 0.8])
@pytest.mark.parametrize("L", [3, 4])
def test_the_samples_have_the_exact_moments(L, beta):
    exact = ising_moments(L, beta)
    s = ising(L, beta, 4000, sg.generator(7), sweeps=60).astype(np.float64)
    E, m = ising_energy(s), np.absolute(s.mean(axis=(1, 2)))
    of_energy = math.sqrt(max(exact.energy_squared - exact.energy**2, 1e-30) / len(s))
    assert abs(E.mean() - exact.energy) < 4 * of_energy + 1e-9
    assert abs(m.mean() - exact.magnetisation) < 4 * m.std() / math.sqrt(len(s)) + 1e-9


def test_up_and_down_come_alike():
    s = ising(4, 0.6, 4000, sg.generator(1), sweeps=60)
    assert abs(np.sign(s.sum(axis=(1, 2))).mean()) < 4 / math.sqrt(len(s))


def test_without_interaction_log_z_counts_states_and_its_slope_is_minus_the_energy():
    assert ising_moments(3, 0.0).log_partition == pytest.approx(9 * math.log(2))
    h = 1e-6
    slope = (ising_moments(3, 0.3 + h).log_partition - ising_moments(3, 0.3 - h).log_partition) / (
        2 * h
    )
    assert slope == pytest.approx(-ising_moments(3, 0.3).energy, rel=1e-8)


def test_spins_are_drawn_on_the_device_of_the_generator(device):
    s = ising(3, 0.4, 5, sg.generator(0, device), sweeps=2)
    assert s.shape == (5, 3, 3)
    assert {*np.unique(sg.to_host(s)).tolist()} <= {-1.0, 1.0}


@pytest.mark.parametrize("arguments", [(1, 0.4, 1), (3, -0.1, 1), (3, math.nan, 1), (3, 0.4, 0)])
def test_what_is_no_lattice_is_refused(arguments):
    with pytest.raises(ValueError, match="L ≥ 2, β ≥ 0"):
        ising(*arguments, sg.generator(0))


@pytest.mark.parametrize("L", [1, 5])
def test_only_small_lattices_are_summed_over(L):
    with pytest.raises(ValueError, match="for L from 2 to 4"):
        ising_moments(L, 0.4)
