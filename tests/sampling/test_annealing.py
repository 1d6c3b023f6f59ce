"""Annealed importance sampling against normalisations that are known."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.sampling import annealed_importance_sampling, far_apart, log_mean_and_error


def gaussian_path(mean, variance, rng):
    """From f₀ = N(0, 1) to f₁ = exp(−(x − m)²/2s²), without its factor: (log ratio, exact move)."""

    def log_ratio(x, beta, following):
        log_f0 = -0.5 * x**2 - 0.5 * math.log(2 * math.pi)
        log_f1 = -0.5 * (x - mean) ** 2 / variance
        return (following - beta) * (log_f1 - log_f0)

    def transition(x, beta):
        precision = 1 - beta + beta / variance
        return beta * mean / variance / precision + rng.standard_normal(x.shape) / precision**0.5

    return log_ratio, transition


@pytest.mark.parametrize(("mean", "variance"), [(1.5, 0.25), (-2.0, 1.0), (0.0, 3.0)])
def test_the_mean_weight_is_the_ratio_of_the_normalisations(mean, variance):
    expected, rng = 0.5 * math.log(2 * math.pi * variance), sg.generator(0)
    within = []
    for _ in range(100):
        x = rng.standard_normal(100)
        log_w, _ = annealed_importance_sampling(
            x, np.linspace(0, 1, 50).tolist(), *gaussian_path(mean, variance, rng)
        )
        estimate, error = log_mean_and_error(log_w)
        within.append(abs(estimate - expected) <= 3 * error)
    assert sum(within) >= 98


def test_one_step_is_plain_importance_sampling():
    rng = sg.generator(0)
    x = rng.standard_normal(1000)
    log_ratio, _ = gaussian_path(0.5, 1.0, rng)
    log_w, _ = annealed_importance_sampling(x, [0, 1], log_ratio, None)
    np.testing.assert_array_equal(log_w, log_ratio(x, 0, 1))


def test_weights_of_a_path_that_does_not_move_are_one():
    log_w, _ = annealed_importance_sampling(
        np.zeros(5), [0, 0.3, 1], lambda x, *_: 0 * x, lambda x, _: x
    )
    assert log_mean_and_error(log_w) == (0, 0)


def test_progress_sees_each_step_from_one_temperature_to_the_next():
    asked, done = [], []

    def progress(steps):
        asked.append(len(steps))
        for step in steps:
            yield step
            done.append(step)

    rng = sg.generator(0)
    betas = np.linspace(0, 1, 6).tolist()
    functions = gaussian_path(1.5, 0.25, rng)
    annealed_importance_sampling(rng.standard_normal(3), betas, *functions, progress)
    assert asked == [4], "the first is a weight alone"
    assert [following for _, following in done] == betas[2:]


def test_more_temperatures_make_the_error_smaller():
    errors = []
    for n in (3, 30, 300):
        rng = sg.generator(1)
        betas = np.linspace(0, 1, n).tolist()
        log_w, _ = annealed_importance_sampling(
            rng.standard_normal(2000), betas, *gaussian_path(3.0, 0.5, rng)
        )
        errors.append(log_mean_and_error(log_w)[1])
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_the_log_of_the_mean_does_not_overflow_and_its_error_is_that_of_the_delta_method():
    log_w = np.log(np.array([1.0, 2.0, 3.0, 6.0]))
    mean, error = log_mean_and_error(log_w + 5000)
    assert mean == pytest.approx(5000 + math.log(3), rel=1e-14)
    assert error == pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 3 / 2, rel=1e-12)
    assert log_mean_and_error(log_w - 5000)[1] == pytest.approx(error, rel=1e-12)


def test_the_error_is_the_standard_deviation_of_the_estimates():
    rng = sg.generator(3)
    estimates, errors = zip(
        *(log_mean_and_error(0.5 * rng.standard_normal(200)) for _ in range(2000)), strict=True
    )
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.1)


@pytest.mark.parametrize("betas", [[0], [0, 0.5], [0.1, 1], [0, 0.5, 0.5, 1], [1, 0], []], ids=str)
def test_a_path_rises_from_0_to_1(betas):
    with pytest.raises(ValueError, match="betas rise from 0 to 1"):
        annealed_importance_sampling(np.zeros(3), betas, None, None)


@pytest.mark.parametrize("shape", [(1,), (3, 2), ()])
def test_an_error_needs_two_chains(shape):
    with pytest.raises(ValueError, match=r"at least 2 chains, got shape"):
        log_mean_and_error(np.zeros(shape))


def test_chains_of_one_distribution_are_not_far_apart_and_of_two_they_are():
    rng = sg.generator(0)
    for _ in range(200):
        x, y = rng.standard_normal((2, 50, 30))
        assert not far_apart(x, y)
        # Entries that all are one vary most: two modes that are met as often
        signs = np.where(rng.random((2, 50, 1)) < 0.5, -1.0, 1.0) * np.ones(30)
        assert not far_apart(*signs)
    assert far_apart(-np.ones((50, 30)), np.ones((50, 30)))
    assert far_apart(x, y + 1)
