"""Score models against Gaussian data, of which every score, cost and chain is known."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.models import DDPM
from scratchgen.models.diffusion.score import ScoreModel, annealing_step, geometric_ladder

M, S, SPREAD = 0.4, 0.7, 0.5
LADDER = geometric_ladder(4.0, 0.05, 12)


def exact(x, tau):
    """σ ∇ log p_σ of N(M, S²), from what a network is given."""
    largest, smallest = math.log(LADDER[0]), math.log(LADDER[-1])
    sigma = np.exp(smallest + tau * (largest - smallest)).reshape(-1, *[1] * (x.ndim - 1))
    noisy = x * np.sqrt(sigma**2 + SPREAD**2)
    return -sigma * (noisy - M) / (S**2 + sigma**2)


def model(shape=(1,)):
    return ScoreModel(exact, shape, LADDER, SPREAD)


def data(n, d=1, seed=0):
    return M + S * np.random.default_rng(seed).standard_normal((n, d))


def test_the_score_is_the_networks_output_over_sigma():
    x = data(20, 3)
    for sigma in (0.05, 1.0, 4.0):
        np.testing.assert_allclose(
            model((3,)).score(x, sigma), -(x - M) / (S**2 + sigma**2), rtol=1e-12
        )


def test_each_sample_may_have_a_level_of_its_own():
    x, sigma = data(12), LADDER
    each = np.concatenate([model().score(x[k : k + 1], s) for k, s in enumerate(sigma)])
    np.testing.assert_allclose(model().score(x, sigma), each, rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.05, 0.7, 4.0])
def test_the_lowest_cost_is_that_of_the_exact_score(sigma):
    n, d = 200_000, 2
    x, noise = data(n, d), np.random.default_rng(1).standard_normal((n, d))
    errors = model((d,)).errors(x, sigma, noise)
    lowest = 0.5 * (d - sigma**2 * d / (S**2 + sigma**2))  # E‖s‖² = D/(S² + σ²)
    assert abs(errors.mean() - lowest) < 4 * errors.std() / math.sqrt(n)


def test_any_other_score_costs_more():
    class Off(nn.Network):
        def __call__(self, x, tau, rng=None):
            return exact(x, tau) + 0.3

    x, noise = data(50_000), np.random.default_rng(1).standard_normal((50_000, 1))
    off = ScoreModel(Off(), (1,), LADDER, SPREAD)
    # The errors of both are correlated: their difference has a mean of ½ (0.3)².
    gap = off.errors(x, 0.7, noise) - model().errors(x, 0.7, noise)
    assert abs(gap.mean() - 0.045) < 4 * gap.std() / math.sqrt(len(gap))


def test_the_annealed_chain_has_the_variance_of_its_recursion():
    n, steps, epsilon = 40_000, 20, 4e-4
    rng = sg.generator(2)
    start = model().sigmas[0] * rng.standard_normal((n, 1))
    mean, variance = 0.0, LADDER[0] ** 2
    for sigma, x in model().anneal(start, rng, steps, epsilon):
        if sigma:
            alpha = epsilon * (sigma / LADDER[-1]) ** 2
            q = 1 - alpha / (S**2 + sigma**2)
            for _ in range(steps):
                mean, variance = M + q * (mean - M), q * q * variance + 2 * alpha
        else:
            q = 1 - LADDER[-1] ** 2 / (S**2 + LADDER[-1] ** 2)
            mean, variance = M + q * (mean - M), q * q * variance
        assert abs(x.mean() - mean) < 4 * math.sqrt(variance / n)
        assert abs(x.var() - variance) < 4 * variance * math.sqrt(2 / n)


def test_the_probability_flow_keeps_the_quantiles():
    # Along the flow (x − M)/√(S² + σ²) stays what it was.
    x = np.array([[-8.0], [-1.0], [0.4], [3.0]])
    for sigma, at in model().flow(x, levels=400):
        kept = M + (x - M) * math.sqrt((S**2 + sigma**2) / (S**2 + LADDER[0] ** 2))
        np.testing.assert_allclose(at, kept, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [5, 50])
def test_no_other_step_comes_nearer_to_the_variance_of_each_level(steps):
    last, gamma = LADDER[-1], (LADDER[0] / LADDER[-1]) ** (1 / 11)

    def miss(epsilon):
        variance = gamma**2
        for _ in range(steps):
            variance = (1 - epsilon / last**2) ** 2 * variance + 2 * epsilon / last**2
        return abs(variance - 1)

    rule = annealing_step(LADDER.tolist(), steps)
    others = last**2 * np.linspace(1e-4, 0.999, 500)
    assert miss(rule) <= min(map(miss, others)) + 1e-4


def test_a_diffusion_model_is_a_score_model_of_its_scaled_samples():
    # x_t/a_t is data with noise σ = b_t/a_t, and s(x_t/a_t) = −a_t ε̂/b_t there.
    T, x = 30, data(6)

    def noise(xt, time):
        t = np.rint(time * T).astype(int)
        alpha_bar = ddpm.alpha_bar[t][:, None]
        variance = alpha_bar * S**2 + 1 - alpha_bar
        return np.sqrt(1 - alpha_bar) * (xt - np.sqrt(alpha_bar) * M) / variance

    ddpm = DDPM(noise, (1,), T, "cosine")
    for t in (0, 10, 25):
        a, b = math.sqrt(ddpm.alpha_bar[t]), math.sqrt(1 - ddpm.alpha_bar[t])
        xt = a * x
        _, eps = ddpm.predict(xt, t)
        np.testing.assert_allclose(-a * eps / b, -(x - M) / (S**2 + (b / a) ** 2), rtol=1e-9)


class Points(nn.Network):
    """A small network for points, with τ as one more input."""

    def __init__(self, *, rng):
        self.inner = nn.Sequential(nn.Linear(2, 16, rng=rng), nn.SiLU(), nn.Linear(16, 1, rng=rng))

    def __call__(self, x, tau, rng=None):
        return self.inner(ops.concatenate([x, tau[:, None]], axis=1))


def test_training_brings_the_score_near_to_the_exact_one():
    rng = sg.generator(0)
    learned = ScoreModel(Points(rng=rng), (1,), LADDER, SPREAD).astype(np.float64)
    adam = sg.optim.Adam(learned.parameters(), 1e-2)
    for _ in sg.train(learned, data(4000), adam, epochs=30, batch_size=200, rng=rng):
        pass
    x, z = data(4000, seed=5), np.random.default_rng(6).standard_normal((4000, 1))
    frozen = learned.frozen()
    zero = 0.5  # the cost of no score at all
    for sigma in (0.2, 1.0, 3.0):
        best = model().errors(x, sigma, z).mean()
        assert frozen.errors(x, sigma, z).mean() - best < 0.1 * (zero - best) + 0.02


@pytest.mark.parametrize(
    ("sigmas", "spread"), [([1.0], 1.0), ([0.1, 1.0], 1.0), ([1.0, 0.0], 1.0), ([2.0, 1.0], 0.0)]
)
def test_what_is_no_ladder_is_refused(sigmas, spread):
    with pytest.raises(ValueError, match=r"sigmas are at least two|spread is the standard"):
        ScoreModel(exact, (1,), sigmas, spread)


@pytest.mark.parametrize("ends", [(1.0, 1.0, 3), (1.0, 2.0, 3), (1.0, 0.1, 1)])
def test_a_ladder_goes_down(ends):
    with pytest.raises(ValueError, match="a ladder goes down"):
        geometric_ladder(*ends)
