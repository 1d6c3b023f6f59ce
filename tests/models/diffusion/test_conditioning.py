"""Posteriors of a diffusion model against exact ones, on Gaussian data, and the bias of each."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.backend import device_of
from scratchgen.models import DDPM, UNet
from scratchgen.models.diffusion import (
    bayes_weights,
    closeness,
    conditioning,
    inpaint,
    posterior,
    super_resolve,
)
from tests import strict

RHO, K = 0.8, 1.5  # x₀ = (k, u): variances 1, correlation ρ, of which k = K is known
C = np.array([[1, RHO], [RHO, 1]])


class Exact:
    """E[ε|x_t] of x₀ ~ N(m, C), rows of D numbers, at the times t/T of a chain."""

    def __init__(self, covariance, mean=0.0):
        self.covariance, self.mean = np.asarray(covariance, dtype=float), mean

    def __call__(self, x, time):
        data = x.data if isinstance(x, sg.Tensor) else x
        t = round(float(np.asarray(sg.to_host(time)).flat[0]) * self.model.T)
        left = self.model.alpha_bar[t]
        V = left * self.covariance + (1 - left) * np.eye(len(self.covariance))
        slope = sg.to_device(math.sqrt(1 - left) * np.linalg.inv(V), device_of(data))
        return (x - math.sqrt(left) * self.mean) @ slope.astype(data.dtype)


def ddpm(covariance, T, schedule="cosine", variance="posterior", mean=0.0):
    network = Exact(covariance, mean)
    network.model = DDPM(network, (len(covariance),), T, schedule, variance)
    return network.model


def step(model, t, covariance):
    """M and σ² of the step back: x_{t−1} = M x_t + σ z."""
    left, n = model.alpha_bar[t], len(covariance)
    V = left * np.asarray(covariance) + (1 - left) * np.eye(n)
    M = (np.eye(n) - model.beta[t] * np.linalg.inv(V)) / math.sqrt(model.alpha[t])
    return M, model.sigma[t] ** 2


def of_replacement(model, k, r):
    """Mean and variance of u at the end of inpainting: all moments along the chain, exactly."""
    mean, cov = np.zeros(2), np.eye(2)
    for t in range(model.T - 1, -1, -1):
        M, variance = step(model, t, C)
        left = model.alpha_bar[t - 1] if t else 1.0
        for again in range(r if t else 1):
            if again:
                mean = math.sqrt(model.alpha[t]) * mean
                cov = model.alpha[t] * cov + model.beta[t] * np.eye(2)
            mean, cov = M @ mean, M @ cov @ M.T + variance * np.eye(2)
            mean, cov = np.array([math.sqrt(left) * k, mean[1]]), np.diag([1 - left, cov[1, 1]])
    return mean[1], cov[1, 1]


def limit_of_replacement(r):
    """E[u]/ρk and Var[u] for T → ∞.

    With κ = ᾱ and E[u] = √κ ρk h, of r reverse steps and r − 1 forward ones at each level follow
    h′ = −r (h − κ)/(κ (1 − ρ²κ²)) and κ P′ = (1 − 2r/(1 − ρ²κ²)) P + 2r − 1.
    """

    def factor(kappa, power):
        return kappa**power / (1 - RHO**2 * kappa**2) ** (power / 2)

    def rate(kappa):
        return r * factor(kappa, r) / (1 - RHO**2 * kappa**2)

    def noise(kappa):
        return (2 * r - 1) * factor(kappa, 2 * r) / kappa**2

    mean, variance = quad(rate, 0, 1)[0] / factor(1, r), quad(noise, 0, 1)[0] / factor(1, 2 * r)
    return mean, variance


def is_normal(x, mean, variance, standard_errors=5):
    of_mean = abs(x.mean() - mean) * math.sqrt(len(x) / variance)
    of_variance = abs(x.var() / variance - 1) * math.sqrt(len(x) / 2)
    return max(of_mean, of_variance) <= standard_errors


# Replacement


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize(("variance", "r"), [("beta", 1), ("posterior", 1), ("posterior", 3)])
def test_replacement_has_the_moments_of_its_recursion(schedule, variance, r):
    model, known = ddpm(C, 30, schedule, variance), np.full((20_000, 2), K)
    mean, var = of_replacement(model, K, r)
    x = inpaint(model, known, np.array([True, False]), sg.generator(1), resample=r)
    np.testing.assert_array_equal(x[:, 0], K)
    assert is_normal(x[:, 1], mean, var)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_replacement_is_biased_however_many_steps_there_are(schedule):
    # The docstring's figures: a mean of ρk/(1 + √(1 − ρ²)), a variance of (1 − ρ²) artanh(ρ)/ρ.
    root = math.sqrt(1 - RHO**2)
    limit = RHO * K / (1 + root), (1 - RHO**2) * math.atanh(RHO) / RHO
    np.testing.assert_allclose(limit, np.multiply([RHO * K, 1], limit_of_replacement(1)), rtol=1e-8)
    away = []
    for T in (250, 1000, 4000):
        moments = of_replacement(ddpm(C, T, schedule, "beta"), K, 1)
        away.append(np.abs(np.subtract(moments, limit)).max())
        assert RHO * K - moments[0] > 0.4 * RHO * K * 0.9  # the exact mean is far
        assert moments[1] > 1.3 * (1 - RHO**2)
    assert away[2] < away[1] < away[0]
    assert away[2] < 2e-3


def test_the_bias_of_replacement_falls_as_one_over_the_number_of_resamplings():
    exact = np.array([1, 1 - RHO**2])
    bias = {r: np.abs(limit_of_replacement(r) - exact) for r in (1, 10, 20, 40)}
    for r in (10, 20):
        np.testing.assert_allclose(bias[r] / bias[2 * r], 2, rtol=0.1)
    model = ddpm(C, 1000, "cosine", "beta")
    for r in (2, 10):
        mean, var = of_replacement(model, K, r)
        limit = limit_of_replacement(r)
        assert mean / (RHO * K) == pytest.approx(limit[0], abs=2e-3)
        assert var == pytest.approx(limit[1], rel=0.02 * r)  # O(r/T): each step has its own error
    assert abs(of_replacement(model, K, 10)[0] - RHO * K) < 0.05 * RHO * K


def test_known_numbers_are_exact_and_what_stands_in_the_hole_does_not_matter():
    model, mask = ddpm(np.eye(3), 8), np.array([[True, False, True], [False, False, True]])
    known = sg.generator(3).standard_normal((2, 3))
    hidden = np.where(mask, known, np.nan)
    x = inpaint(model, known, mask, sg.generator(1), resample=2)
    np.testing.assert_array_equal(x[mask], known[mask])
    np.testing.assert_array_equal(x, inpaint(model, hidden, mask, sg.generator(1), resample=2))
    fewer = inpaint(model, known, mask, sg.generator(1), steps=3)
    assert fewer.shape == (2, 3)
    assert np.isfinite(fewer).all()


def test_the_averages_of_images_that_are_completed_are_those_that_are_known():
    # Replaced averages: of white data, each pixel is its average and a deviation of its own.
    model = DDPM(lambda x, time: 0.9 * x, (1, 4, 4), 6, "cosine")
    known = sg.generator(2).standard_normal((5, 1, 2, 2))
    x = super_resolve(model, known, 2, sg.generator(1))
    np.testing.assert_allclose(conditioning.averages(x, 2), known, atol=1e-12)
    assert (x.std(axis=(2, 3)) > known.std(axis=(2, 3))).all()


# The gradient through x̂₀


def of_gradient(model, covariance, H, y, sigma2, weights):
    """Mean and covariance of the samples for log p = −‖y − H x‖²/2σ²: a linear recursion."""
    n = len(covariance)
    mean, cov = np.zeros(n), np.eye(n)
    for t in range(model.T - 1, -1, -1):
        M, variance = step(model, t, covariance)
        left = model.alpha_bar[t]
        V = left * covariance + (1 - left) * np.eye(n)
        J = math.sqrt(left) * covariance @ np.linalg.inv(V)  # x̂₀ = J x_t
        pull = weights[t] * J.T @ H.T / sigma2
        M = M - pull @ H @ J
        mean, cov = M @ mean + pull @ y, M @ cov @ M.T + variance * np.eye(n)
    return mean, cov


@pytest.mark.parametrize("variance", ["beta", "posterior"])
@pytest.mark.parametrize("weights", ["bayes", 0.02])
def test_the_gradient_has_the_moments_of_its_recursion(variance, weights):
    model, H, y, n = ddpm(C, 30, "cosine", variance), np.array([[1.0, 0.5]]), np.array([K]), 20_000
    scale = 1.0 if weights == "bayes" else np.full(30, weights)
    zeta = bayes_weights(model) if weights == "bayes" else scale
    mean, cov = of_gradient(model, C, H, y, 0.5, zeta)
    Ht = H.T
    x = posterior(
        model, lambda x0: -((x0 @ Ht - y) ** 2).sum(axis=1), n, sg.generator(1), scale=scale
    )
    assert is_normal(x[:, 0], mean[0], cov[0, 0])
    assert is_normal(x[:, 1], mean[1], cov[1, 1])
    assert abs(np.cov(x.T)[0, 1] - cov[0, 1]) < 5 * math.sqrt(2 * cov[0, 0] * cov[1, 1] / n)


@pytest.mark.parametrize("sigma2", [0.25, 1.0, 9.0])
def test_the_gradient_counts_the_likelihood_for_too_much_in_the_limit_of_many_steps(sigma2):
    # One number of variance 1: the docstring's figures.
    limit = 1 - math.exp(-1 / sigma2), 0.5 * sigma2 * (1 - math.exp(-2 / sigma2))
    exact = 1 / (1 + sigma2), sigma2 / (1 + sigma2)
    one, away = np.eye(1), []
    for T in (250, 1000, 4000):
        model = ddpm(one, T)
        mean, cov = of_gradient(model, one, one, np.ones(1), sigma2, bayes_weights(model))
        away.append(max(abs(mean[0] - limit[0]), abs(cov[0, 0] - limit[1])))
    assert away[2] < away[1] < away[0]
    assert away[2] < 2e-3
    assert limit[0] > exact[0]
    assert limit[1] < exact[1]
    # A likelihood of little weight is the posterior to first order in 1/σ².
    assert limit[0] - exact[0] < 0.5 / sigma2**2


def test_a_constant_scale_leaves_no_variance_in_the_limit_of_many_steps():
    one = np.eye(1)
    variances = []
    for T in (100, 400, 1600):
        mean, cov = of_gradient(ddpm(one, T), one, one, np.ones(1), 1.0, np.full(T, 0.5))
        assert mean[0] == pytest.approx(1, abs=1e-9)
        variances.append(cov[0, 0])
    assert variances[2] < variances[1] / 4 < variances[0] / 16


def test_the_weights_of_bayes_are_the_factor_of_the_score_in_the_mean_of_a_step():
    model = ddpm(C, 12)
    np.testing.assert_allclose(bayes_weights(model), model.beta / np.sqrt(model.alpha), rtol=1e-9)
    x, times = sg.generator(1).standard_normal((1, 2)), [*model.noising.timesteps(5), -1]
    weights = bayes_weights(model, 5)
    assert set(np.flatnonzero(weights)) == set(times[:-1])
    for t, s in itertools.pairwise(times):
        # Of two predictions of ε, the scores differ by −Δε/b.
        steps = [
            model.p_sample_ddim(x, t, s, 1.0, None, model.clipped(x, x0, t))
            for x0 in (np.zeros((1, 2)), np.ones((1, 2)))
        ]
        left = model.alpha_bar[t]
        score = math.sqrt(left) / (1 - left)
        np.testing.assert_allclose(steps[1] - steps[0], weights[t] * score, rtol=1e-6)


def small_unet(predicts="velocity", clip=(-1, 1)):
    network = UNet(1, 8, rng=sg.generator(0))
    model = DDPM(network, (1, 8, 8), 10, "cosine", "posterior", predicts, clip)
    return model.astype(np.float64)


@pytest.mark.parametrize("predicts", ["noise", "velocity"])
def test_the_gradient_of_what_is_denoised_agrees_with_differences(predicts, monkeypatch):
    model = small_unet(predicts)
    monkeypatch.setattr(sg.models.ddpm, "PART", 64 * 2)  # in two parts
    x, delta = sg.generator(1).standard_normal((2, 4, 1, 8, 8))
    origin = sg.Tensor(x)
    (ours,) = sg.gradient(model.denoised(origin, 6), [origin], delta)
    along, h = sg.generator(2).standard_normal(x.shape), 1e-5
    unclipped = DDPM(model.network, model.shape, 10, "cosine", "posterior", predicts)
    np.testing.assert_allclose(model.denoised(origin, 6).data, unclipped.predict(x, 6)[0])
    ends = [(delta * unclipped.predict(x + s * h * along, 6)[0]).sum() for s in (1, -1)]
    assert (ours * along).sum() == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


def test_no_equation_of_a_weight_is_called_and_a_step_costs_one_sweep(monkeypatch):
    swept = []

    class Spy(nn.Network):
        def __init__(self):
            self.map = nn.Linear(2, 2, rng=sg.generator(0))

        def __call__(self, x, time, rng=None):
            assert not isinstance(self.map.weight, sg.Tensor)
            swept.append(isinstance(x, sg.Tensor))
            return self.map(x)

    model = DDPM(Spy(), (2,), 7, "cosine")
    posterior(model, lambda x0: -(x0 * x0).sum(axis=1), 3, sg.generator(1), 0.01)
    assert swept == [True] * 7


def test_images_drawn_close_to_their_known_part_fit_it_better_than_samples():
    model, known = ddpm(np.eye(16), 100), np.ones((50, 8))
    near = closeness(known, lambda x: x[:, :8])
    drawn = posterior(model, near, 50, sg.generator(1), np.ones(100))
    samples = model.sample(50, sg.generator(1))
    distances = [np.abs(x[:, :8] - known).mean() for x in (drawn, samples)]
    assert distances[0] < 0.25 * distances[1]
    assert 0.8 < drawn[:, 8:].std() < 1.2  # the rest is independent of what is known


def test_the_length_of_nothing_has_the_derivative_0():
    x = sg.Tensor(np.array([[3.0, 4.0], [0.0, 0.0]]))
    value = conditioning.length(x)
    np.testing.assert_array_equal(value.data, [5, 0])
    (slope,) = sg.gradient(value.sum(), [x])
    np.testing.assert_allclose(slope, [[0.6, 0.8], [0, 0]], rtol=1e-15)


# What is refused


@pytest.mark.parametrize(
    ("known", "mask", "settings", "message"),
    [
        (
            np.ones((4, 2)),
            np.ones(2),
            {},
            "a mask is true where samples are known, an array of bool",
        ),
        (np.ones((4, 2)), np.ones(3, bool), {}, r"got bool of shape \(3,\)"),
        (np.ones((4, 2)), np.ones((1, 2), bool), {}, r"shape \(2,\) or \(4, 2\), got bool"),
        (np.ones((4, 3)), np.ones(2, bool), {}, r"samples of shape \(2,\), got float64 of shape"),
        (np.ones((4, 2), int), np.ones(2, bool), {}, "known holds floating numbers, .* got int64"),
        (np.ones((4, 2)), np.ones(2, bool), {"resample": 0}, "resample is how often .* got 0"),
        (np.ones((4, 2)), np.ones(2, bool), {"steps": 99}, "steps is a number from 1 to T = 8"),
    ],
    ids=["numbers", "length", "rows", "samples", "integers", "resample", "steps"],
)
def test_a_mask_or_known_numbers_that_do_not_fit_are_refused(known, mask, settings, message):
    with pytest.raises(ValueError, match=message):
        inpaint(ddpm(C, 8), known, mask, sg.generator(0), **settings)


def test_averages_that_do_not_fit_are_refused():
    model, rng = DDPM(lambda x, time: x, (1, 4, 4), 6), sg.generator(0)
    with pytest.raises(ValueError, match=r"factor divides the sides .* \(1, 4, 4\), .* got 3"):
        super_resolve(model, np.ones((2, 1, 2, 2)), 3, rng)
    with pytest.raises(ValueError, match=r"samples of shape \(1, 2, 2\), got float64 of shape"):
        super_resolve(model, np.ones((2, 1, 4, 4)), 2, rng)
    with pytest.raises(ValueError, match=r"factor divides the sides of images of shape \(2,\)"):
        super_resolve(ddpm(C, 8), np.ones((2, 1)), 2, rng)


@pytest.mark.parametrize(
    ("log_likelihood", "scale", "error", "message"),
    [
        (
            lambda x0: x0.sum(),
            1.0,
            ValueError,
            r"one number for each sample, \(3,\), got shape \(\)",
        ),
        (lambda x0: x0.data.sum(axis=1), 1.0, TypeError, "gives ndarray for a tensor: compute it"),
        (
            lambda x0: x0.sum(axis=1),
            np.ones(3),
            ValueError,
            "one for each of T = 8 times, got shape",
        ),
        (lambda x0: x0.sum(axis=1), math.nan, ValueError, "scale is one finite number"),
        (
            lambda x0: -1e9 * (x0**4).sum(axis=1),
            1.0,
            RuntimeError,
            "diverge at t = .*: take a small",
        ),
    ],
    ids=["one number", "no tensor", "times", "nan", "diverges"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_likelihood_that_cannot_be_followed_is_refused(log_likelihood, scale, error, message):
    with pytest.raises(error, match=message):
        posterior(ddpm(C, 8), log_likelihood, 3, sg.generator(0), scale)


def test_completions_in_float32_stay_on_the_device(device):
    before = strict.transfers
    model = DDPM(lambda x, time: 0.5 * x, (1, 4, 4), 5, "cosine", "posterior", clip=(-1, 1))
    rng = sg.generator(0, device)
    known = rng.standard_normal((3, 1, 4, 4), dtype=np.float32)
    small = conditioning.averages(known, 2)
    mask = known > 0
    near = closeness(small, lambda x: conditioning.averages(x, 2))
    for x in (
        inpaint(model, known, mask, rng, resample=2),
        super_resolve(model, small, 2, rng),
        posterior(model, near, 3, rng),
        posterior(model, lambda x0: ops.sum(x0, axis=(1, 2, 3)), 3, rng, steps=2),
    ):
        assert (device_of(x), x.dtype, x.shape) == (device, np.float32, (3, 1, 4, 4))
    assert strict.transfers == before


def test_known_numbers_on_another_device_than_the_generator_are_refused(monkeypatch):
    strict.install(monkeypatch)
    model = DDPM(lambda x, time: x, (2,), 6)
    with pytest.raises(ValueError, match="known is on the device cpu, rng draws on cuda: take"):
        inpaint(model, np.ones((4, 2)), np.ones(2, bool), sg.generator(0, "cuda"))
