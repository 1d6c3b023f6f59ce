"""The likelihood of a diffusion model on Gaussian data, where the density is known."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.backend import device_of
from scratchgen.models import DDPM
from scratchgen.models.diffusion import likelihood
from scratchgen.models.diffusion.noising import Continued
from tests import strict

M, S = 0.3, 0.5
X = M + S * np.array([[-2.0, 0.0], [-1.0, 1.0], [1.0, 2.0]])


def ddpm(T, schedule="cosine", m=M, s=S, D=2, variance="beta"):
    """The chain of data N(m, s²) with E[ε|x_t] at every time, also between the steps."""

    def noise(x, time):
        a, b = continued.exact_scales(time * T, x)
        return b * (x - a * m) / (a**2 * s**2 + b**2)

    model = DDPM(noise, (D,), T, schedule, variance)
    continued = Continued(model.noising)
    return model


def log_density(x, m=M, s=S):
    return (-0.5 * ((x - m) / s) ** 2 - 0.5 * math.log(2 * math.pi * s**2)).sum(axis=1)


def of_exact_flow(model, x):
    """The density of the flow: x₀ is where N(0, I) is carried, an affine map of each entry."""
    a, b = (each.item() for each in Continued(model.noising).exact_scales(model.T - 1, x[:1, :1]))
    variance = a**2 * S**2 + b**2
    end = math.sqrt(variance) * (x - M) / S + a * M
    return log_density(end, 0.0, 1.0) + x.shape[1] * 0.5 * math.log(variance / S**2)


# Continuous time


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("T", [1, 2, 30])
def test_continued_steps_have_the_scales_of_the_steps_and_beta_between_them(schedule, T):
    model = ddpm(T, schedule)
    between = Continued(model.noising)
    like = np.zeros((1, 2))
    for t in range(-1, T):
        expected = model.noising.exact_scales(t, like)
        np.testing.assert_allclose(between.exact_scales(t, like), expected, rtol=1e-7, atol=1e-12)
    times = np.linspace(-1, T - 1, 500)
    decay = [-2 * math.log(between.exact_scales(t, like)[0].item()) for t in times]
    rates = [between.beta(t) for t in times]
    assert min(rates) >= 0
    integral = np.concatenate(
        [[0], np.cumsum(0.5 * np.diff(times) * np.add(rates[1:], rates[:-1]))]
    )
    np.testing.assert_allclose(integral, decay, rtol=2e-3, atol=1e-6)


def test_continued_steps_keep_the_digits_of_little_noise():
    beta = np.full(3, 1e-12)
    spread = Continued(DDPM(lambda x, t: x, (1,), schedule=beta).noising).exact_scales(0, X)[1]
    np.testing.assert_allclose(spread**2, 1e-12, rtol=1e-10)


# The flow


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("T", [300, 1000])
def test_the_flow_has_the_density_to_which_it_carries_noise(schedule, T):
    model = ddpm(T, schedule)
    ours = model.flow_log_likelihood(X, tolerance=1e-7)
    np.testing.assert_allclose(ours, of_exact_flow(model, X), rtol=0, atol=1e-4)


def test_the_flow_of_an_exact_score_has_the_density_of_gaussian_data_to_1e_4():
    # What the data leave at the end of noising is 5e-5 of x₀ here.
    model = ddpm(1000)
    ours = model.flow_log_likelihood(X, tolerance=1e-7)
    np.testing.assert_allclose(ours, log_density(X), rtol=0, atol=1e-4)
    terms = model.elbo_terms(np.repeat(X, 400, axis=0), sg.generator(1))
    bound, error = -sum(terms).mean(), sum(terms).std() / math.sqrt(1200)
    assert bound < ours.mean() + 3 * error
    assert ours.mean() - bound < 0.1 + 3 * error


def test_a_correlated_gaussian_has_its_density_from_the_exact_trace_and_from_probes():
    # ∂x̂₀/∂x has off-diagonal entries: probes estimate the trace, and are right on average.
    T, C = 300, np.array([[1.0, 0.6], [0.6, 0.5]])

    def noise(x, time):
        a, b = (each.item() for each in continued.exact_scales(time[:1] * T, X[:1]))
        return b * (x @ np.linalg.inv(a**2 * C + b**2 * np.eye(2)))

    model = DDPM(noise, (2,), T, "cosine")
    continued = Continued(model.noising)
    expected = -0.5 * (X @ np.linalg.inv(C) * X).sum(axis=1)
    expected -= math.log(2 * math.pi) + 0.5 * math.log(np.linalg.det(C))
    exact = model.flow_log_likelihood(X, tolerance=1e-6)
    np.testing.assert_allclose(exact, expected, rtol=0, atol=5e-4)
    n = 400
    many = np.repeat(X[:1], n, axis=0)
    estimates = model.flow_log_likelihood(many, 1, sg.generator(1))
    assert estimates.std() > 0.1
    assert abs(estimates.mean() - expected[0]) < 5 * estimates.std() / math.sqrt(n)
    fewer = model.flow_log_likelihood(many, 4, sg.generator(2))
    assert 1.6 < estimates.std() / fewer.std() < 2.5


def test_probes_of_a_trace_without_off_diagonal_entries_are_exact():
    model = ddpm(50)
    pair = [model.flow_log_likelihood(X, probes, sg.generator(1)) for probes in (None, 1)]
    np.testing.assert_allclose(*pair, rtol=1e-9)


# Paths


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_every_path_of_standard_normal_data_weighs_the_same_where_the_chain_is_its_reverse(
    schedule,
):
    # For N(0, I) and σ² = β, p(x_{t−1}|x_t) is the exact reversal of q: the case of annealing.
    model, x = ddpm(40, schedule, 0.0, 1.0), np.array([[-1.3, 0.2], [2.0, 0.0]])
    for seed in range(3):
        weights = likelihood.path_log_weight(model, x, sg.generator(seed))
        np.testing.assert_allclose(weights, log_density(x, 0.0, 1.0), rtol=0, atol=1e-9)


def test_the_mean_of_the_weights_is_the_density_and_the_mean_of_their_logarithms_the_bound():
    # In one dimension p(x₀) of the chain is the Gaussian of its recursion.
    T, n = 8, 40_000
    model = ddpm(T, D=1)
    mean, variance = 0.0, 1.0
    for t in range(T - 1, -1, -1):
        low, high = model.p_sample(np.array([[0.0], [1.0]]), t)[:, 0]
        added = model.sigma[t] ** 2 if t else model.beta[0]
        mean, variance = low + (high - low) * mean, (high - low) ** 2 * variance + added
    x = np.full((n, 1), 0.8)
    log_w = likelihood.path_log_weight(model, x, sg.generator(1))
    expected = log_density(x[:1], mean, math.sqrt(variance)).item()
    w = np.exp(log_w - expected)
    assert abs(w.mean() - 1) < 5 * w.std() / math.sqrt(n)
    terms = -sum(model.elbo_terms(x, sg.generator(2)))
    error = math.hypot(terms.std(), log_w.std()) / math.sqrt(n)
    assert abs(terms.mean() - log_w.mean()) < 5 * error
    # The importance-weighted bound lies between the two, and rises.
    bounds = [model.log_likelihood(x[:4000], k, sg.generator(3)).mean() for k in (1, 4, 16)]
    assert log_w.mean() - 0.05 < bounds[0] < bounds[1] < bounds[2] < expected + 0.01


# Levels


def test_the_probabilities_of_all_levels_add_up_to_1_at_every_state():
    levels, width = np.linspace(-1, 1, 5)[:, None], 0.5
    for first in (-0.7, 0.1, 3.0):
        model = ddpm(6, D=1)
        log_p = likelihood.log_prob_of_levels(model, levels, np.full((5, 1), first), width)
        np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-12)
    # Far from a level the logarithm keeps its digits: log Φ(−z) ≈ −z²/2 − log z − ½ log 2π.
    beta = model.beta[0]
    exact = DDPM(lambda x, time: 0 * x, (1,), schedule=model.beta)
    mean = exact.p_sample(np.array([[0.0]]), 0).item()
    z = (0.75 - mean) / math.sqrt(beta)
    far = likelihood.log_prob_of_levels(exact, np.array([[1.0]]), np.array([[0.0]]), width)
    expected = -0.5 * z**2 - math.log(z) - 0.5 * math.log(2 * math.pi)
    assert far.item() == pytest.approx(expected, abs=1.1 / z**2)


def test_the_weights_of_all_levels_add_up_to_1_on_average_and_the_bound_is_their_logarithm():
    model, n, width = ddpm(6, D=1), 20_000, 0.5
    total, variance = 0.0, 0.0
    for level in np.linspace(-1, 1, 5):
        x = np.full((n, 1), level)
        log_w = likelihood.path_log_weight(model, x, sg.generator(1), width)
        w = np.exp(log_w)
        total, variance = total + w.mean(), variance + w.var() / n
        terms = -sum(likelihood.elbo_terms_of_levels(model, x, width, sg.generator(2)))
        error = math.hypot(terms.std(), log_w.std()) / math.sqrt(n)
        assert abs(terms.mean() - log_w.mean()) < 5 * error
        assert log_w.mean() < math.log(w.mean())
        one = likelihood.importance_weighted(model, x, 1, sg.generator(1), width)
        np.testing.assert_array_equal(one, log_w)
    assert abs(total - 1) < 5 * math.sqrt(variance)


# What is refused


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.flow_log_likelihood(np.ones((2, 3))), r"shape \(2,\), got float64 of shape"),
        (lambda m: m.flow_log_likelihood(np.ones((2, 2), int)), "floating numbers .* got int64"),
        (lambda m: m.flow_log_likelihood(X, 0, sg.generator(0)), "probes is a number from 1, .* 0"),
        (lambda m: m.flow_log_likelihood(X, 2), "draws its probes: give rng"),
        (lambda m: m.log_likelihood(X, 0, sg.generator(0)), "n_samples is at least 1, got 0"),
    ],
    ids=["shape", "integers", "probes", "rng", "samples"],
)
def test_a_likelihood_that_cannot_be_computed_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(ddpm(8))


def test_likelihoods_of_images_in_float32_are_on_their_device(device):
    model = DDPM(lambda x, time: 0.5 * x, (1, 4, 4), 5, "cosine", "posterior", clip=(-1, 1))
    rng = sg.generator(0, device)
    x = rng.standard_normal((3, 1, 4, 4), dtype=np.float32)
    before = strict.transfers
    of_paths = model.log_likelihood(x, 2, rng)
    of_levels = likelihood.path_log_weight(model, x, rng, 0.1)
    assert strict.transfers == before
    # SciPy integrates on the host.
    for log_p in (of_paths, of_levels, model.flow_log_likelihood(x, 1, rng, 1e-3)):
        assert (device_of(log_p), log_p.shape) == (device, (3,))
