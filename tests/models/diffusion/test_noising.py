"""The forward process: its laws, its posterior by Bayes' rule, and four names for one quantity."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen.models.diffusion.noising import (
    SCHEDULES,
    Continuous,
    Noising,
    Steps,
    cosine_schedule,
    linear_gamma,
    linear_schedule,
)

SHAPE = (3, 2, 2)
STEPS = Steps(cosine_schedule(20))


def of_the_same_signal(t):
    """γ at the times (t + 1)/T of ``STEPS``."""
    alpha_bar = np.interp(t, np.arange(1, 21) / 20, STEPS.alpha_bar)
    return np.log((1 - alpha_bar) / alpha_bar)


@st.composite
def processes(draw):
    """A process with two of its times, s before t."""
    if draw(st.booleans()):
        beta = draw(st.lists(st.floats(1e-4, 0.9), min_size=2, max_size=12))
        t = draw(st.integers(1, len(beta) - 1))
        return Steps(beta), draw(st.integers(0, t - 1)), t
    low, width = draw(st.floats(-6, 0)), draw(st.floats(1, 8))
    s = draw(st.floats(0, 0.9))
    return Continuous(linear_gamma(low, low + width)), s, draw(st.floats(s + 0.05, 1))


def normals(seed, *names):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(SHAPE) for _ in names]


def log_normal(x, mean, variance):
    """log N(x; mean, variance I) of each sample."""
    each = -0.5 * ((x - mean) ** 2 / variance + np.log(2 * math.pi * variance))
    return np.broadcast_to(each, x.shape).reshape(len(x), -1).sum(axis=1)


@given(processes(), st.integers(0, 99))
def test_the_posterior_is_bayes_rule(process, seed):
    noising, s, t = process
    x0, xs, xt = normals(seed, "x0", "xs", "xt")
    (a_s, b_s), (a_t, b_t) = noising.exact_scales(s, x0), noising.exact_scales(t, x0)
    step = a_t / a_s
    mean, variance = noising.posterior(x0, xt, s, t)
    by_bayes = (
        log_normal(xt, step * xs, b_t**2 - step**2 * b_s**2)
        + log_normal(xs, a_s * x0, b_s**2)
        - log_normal(xt, a_t * x0, b_t**2)
    )
    np.testing.assert_allclose(log_normal(xs, mean, variance), by_bayes, rtol=1e-6)


@given(processes(), st.integers(0, 99))
def test_data_noise_velocity_and_score_say_the_same(process, seed):
    noising, _, t = process
    x0, noise = normals(seed, "x0", "noise")
    xt = noising.q_sample(x0, t, noise)
    np.testing.assert_allclose(noising.data(xt, noise, t), x0, atol=1e-9)
    np.testing.assert_allclose(noising.noise(xt, x0, t), noise, atol=1e-9)
    found = noising.of_velocity(xt, noising.velocity(x0, noise, t), t)
    np.testing.assert_allclose(found, (x0, noise), atol=1e-9)


@given(processes(), st.integers(0, 99))
def test_the_score_is_the_slope_of_log_q(process, seed):
    noising, _, t = process
    x0, noise, direction = normals(seed, "x0", "noise", "direction")
    a, b = noising.exact_scales(t, x0)
    xt, h = noising.q_sample(x0, t, noise), 1e-20
    # A complex step: log q is a polynomial of x_t.
    along = log_normal(xt + 1j * h * direction, a * x0, b**2).imag / h
    slope = (noising.score(noise, t) * direction).reshape(len(x0), -1).sum(axis=1)
    np.testing.assert_allclose(along, slope, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_posterior_of_neighbours_is_the_printed_one(name):
    steps = Steps(SCHEDULES[name](50))
    x0, xt = normals(0, "x0", "xt")
    for t in range(1, 50):
        before, now, beta = steps.alpha_bar[t - 1], steps.alpha_bar[t], steps.beta[t]
        mean, variance = steps.posterior(x0, xt, t - 1, t)
        printed = (
            math.sqrt(before) * beta * x0 + math.sqrt(steps.alpha[t]) * (1 - before) * xt
        ) / (1 - now)
        np.testing.assert_allclose(mean, printed, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(variance, steps.posterior_variance[t], rtol=1e-9)


def test_the_time_before_the_first_is_that_of_the_data():
    x0, xt = normals(0, "x0", "xt")
    mean, variance = STEPS.posterior(x0, xt, -1, 0)
    np.testing.assert_array_equal(mean, x0)
    assert (variance == 0).all()


def test_continuous_time_passes_through_the_steps_of_equal_signal():
    x0 = np.zeros(SHAPE)
    for t in range(20):
        np.testing.assert_allclose(
            Continuous(of_the_same_signal).exact_scales((t + 1) / 20, x0),
            STEPS.exact_scales(t, x0),
            rtol=1e-12,
        )


def test_each_sample_may_have_a_time_of_its_own(on_device):
    x0, noise = (on_device(x.astype(np.float32)) for x in normals(0, "x0", "noise"))
    t = np.array([0, 7, 19])
    together = STEPS.q_sample(x0, on_device(t), noise)
    assert together.dtype == np.float32
    for k, time in enumerate(t):
        alone = STEPS.q_sample(x0[k : k + 1], int(time), noise[k : k + 1])
        np.testing.assert_array_equal(sg.to_host(together[k]), sg.to_host(alone[0]))


@pytest.mark.parametrize("beta", [[], [[0.1]], [0.0, 0.1], [0.1, 1.0], [0.1, math.nan], 0.1])
def test_a_schedule_is_variances_between_0_and_1(beta):
    with pytest.raises(ValueError, match="a schedule is the variances β"):
        Steps(beta)


@pytest.mark.parametrize("t", [-1, 20, np.array([0, 1, 20]), np.array([0, 1]), np.zeros(3)])
def test_times_out_of_range_and_of_other_shapes_are_refused(t):
    with pytest.raises(ValueError, match=r"times run from 0|t is an integer"):
        STEPS.times(t, np.zeros(SHAPE))


def test_gamma_rises():
    with pytest.raises(ValueError, match="γ rises"):
        linear_gamma(1, 1)


def test_a_noising_of_ones_own_states_its_scales():
    with pytest.raises(TypeError, match="Noising states no scales"):
        Noising().scales(0, np.zeros(SHAPE))


def test_the_linear_schedule_has_the_same_ends_whatever_its_length():
    for T in (2, 300, 1000):
        assert linear_schedule(T)[[0, -1]].tolist() == [1e-4, 0.02]
