"""Langevin chains have the stationary distributions that theory gives them."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.sampling.langevin import langevin, mala, tempered_langevin

N = 20_000


def gaussian(s):
    """E = x²/2s² of each row."""
    return lambda x: (ops.square(x) / (2 * s * s)).sum(axis=1)


def double_well(x):
    """E = 2 (x² − 1)², with two wells at ±1."""
    return (2 * ops.square(ops.square(x) - 1)).sum(axis=1)


def chains(seed=0, d=1):
    return np.random.default_rng(seed).standard_normal((N, d))


def variance_of_variance(variance):
    return variance * math.sqrt(2 / N)


@pytest.mark.parametrize(("s", "step"), [(1.0, 0.1), (1.0, 0.8), (0.5, 0.2)])
def test_the_variance_of_unadjusted_chains_is_the_biased_one(s, step):
    x = langevin(gaussian(s), s * chains(), 300, step, sg.generator(1))
    biased = s * s / (1 - step / (2 * s * s))
    assert abs(x.var() - biased) < 3 * variance_of_variance(biased)
    assert abs(x.mean()) < 3 * math.sqrt(biased / N)


@pytest.mark.parametrize(("step", "noise"), [(0.1, 0.1), (0.2, 0.3)])
def test_smaller_noise_is_a_lower_temperature(step, noise):
    x = tempered_langevin(gaussian(1.0), chains(), 300, step, noise, sg.generator(1))
    cooled = noise**2 / (2 * step) / (1 - step / 2)
    assert abs(x.var() - cooled) < 3 * variance_of_variance(cooled)


@pytest.mark.parametrize(("s", "step"), [(1.0, 0.5), (1.0, 2.5), (0.3, 0.09)])
def test_adjusted_chains_are_exact_and_accept_what_theory_says(s, step):
    x, accepted = mala(gaussian(s), s * chains(), 60, step, sg.generator(2))
    assert abs(x.var() - s * s) < 3 * variance_of_variance(s * s)
    expected = 1 - 2 / math.pi * math.atan((step / (2 * s * s)) ** 1.5)
    # From the stationary start every step accepts alike; steps of one chain are correlated.
    assert abs(accepted - expected) < 4 * math.sqrt(0.25 / N)


def test_both_wells_are_visited_as_often_as_they_are_deep():
    x, _ = mala(double_well, chains(3) * 0.1 - 1, 400, 0.1, sg.generator(3))
    grid = np.linspace(-3, 3, 6001)
    p = np.exp(-2 * (grid**2 - 1) ** 2)
    p /= p.sum()
    for f in (lambda x: x, lambda x: x**2, lambda x: (x > 0) * 1.0):
        exact = p @ f(grid)
        error = math.sqrt(max(p @ f(grid) ** 2 - exact**2, 0) / N)
        assert abs(f(x).mean() - exact) < 4 * error


def test_the_chain_is_the_stated_update():
    x = chains()[:5]
    z = sg.generator(4).standard_normal((5, 1))
    moved = langevin(gaussian(2.0), x, 1, 0.3, sg.generator(4))
    np.testing.assert_allclose(moved, x - 0.3 * x / 4 + math.sqrt(0.6) * z, rtol=1e-12)


def test_no_steps_change_nothing():
    x = chains()[:5]
    np.testing.assert_array_equal(langevin(gaussian(1.0), x, 0, 0.1, sg.generator(0)), x)
    np.testing.assert_array_equal(mala(gaussian(1.0), x, 0, 0.1, sg.generator(0))[0], x)


def test_a_step_too_large_is_said_and_metropolis_stays_where_it_is():
    words = r"chains left all bounds by step \d+: the step 2.5"
    with pytest.raises(RuntimeError, match=words), np.errstate(all="ignore"):
        langevin(gaussian(0.1), chains(), 2000, 2.5, sg.generator(0))
    x, accepted = mala(gaussian(0.1), 0.1 * chains(), 50, 2.5, sg.generator(0))
    assert np.isfinite(x).all()
    assert accepted < 0.01


def test_chains_stay_on_their_device(on_device, device):
    x = on_device(np.ones((4, 2), np.float32))
    rng = sg.generator(0, device)
    assert langevin(gaussian(1.0), x, 3, 0.1, rng).dtype == np.float32
    assert mala(gaussian(1.0), x, 3, 0.1, rng)[0].shape == (4, 2)


@pytest.mark.parametrize(
    ("energy", "x", "step", "words"),
    [
        (gaussian(1.0), np.zeros((2, 1)), 0.0, "of a size above 0"),
        (gaussian(1.0), np.zeros((2, 1)), math.nan, "of a size above 0"),
        (gaussian(1.0), np.zeros((2, 1), int), 0.1, "floating numbers"),
        (lambda x: ops.square(x).sum(), np.zeros((2, 1)), 0.1, "one number each"),
        (lambda x: x.data[:, 0], np.zeros((2, 1)), 0.1, "one number each"),
    ],
)
def test_what_is_no_energy_or_no_step_is_refused(energy, x, step, words):
    for sampler in (langevin, mala):
        with pytest.raises(ValueError, match=words):
            sampler(energy, x, 2, step, sg.generator(0))
