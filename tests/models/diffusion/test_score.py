"""Score models against Gaussian data, of which every score, cost and chain is known."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.datasets import toys
from scratchgen.models import DDPM, DenseDenoiser
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


def exact_on_the_ring(spread):
    """A score model that has the exact score of the ring at every level."""

    def network(x, tau):
        largest, smallest = math.log(LADDER[0]), math.log(LADDER[-1])
        sigma = float(np.exp(smallest + tau[0] * (largest - smallest)))
        return sigma * toys.ring_score(x * math.hypot(sigma, spread), sigma)

    return ScoreModel(network, (2,), LADDER, spread)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
def test_a_mixture_has_the_lowest_cost_that_its_score_leaves(sigma):
    # E‖s‖² = ∫ p_σ ‖s‖² by a grid, which is exact to rounding for densities so smooth.
    variance = toys.SPREAD**2 + sigma**2
    side = (2 + 7 * math.sqrt(variance)) * np.linspace(-1, 1, 401)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    squares = ((grid[:, None] - toys.ring_modes()) ** 2).sum(axis=2)
    p = np.exp(-squares / (2 * variance)).sum(axis=1) / (16 * math.pi * variance)
    p *= (side[1] - side[0]) ** 2
    assert p.sum() == pytest.approx(1, abs=1e-9)
    lowest = 0.5 * (2 - sigma**2 * (p @ (toys.ring_score(grid, sigma) ** 2).sum(axis=1)))

    x, _ = toys.toy2d("ring", 100_000, sg.generator(0))
    z = np.random.default_rng(1).standard_normal(x.shape)
    errors = exact_on_the_ring(0.3).errors(x.astype(np.float64), sigma, z)
    assert abs(errors.mean() - lowest) < 4 * errors.std() / math.sqrt(len(x))


@pytest.mark.parametrize("way", ["chains", "flow"])
def test_the_exact_score_of_the_ring_leads_from_noise_to_all_eight_modes(way):
    n, model = 4000, exact_on_the_ring(0.3)
    start = model.noise(n, sg.generator(0)).astype(np.float64)
    if way == "chains":
        *_, (_, x) = model.anneal(start, sg.generator(1), 50)
    else:
        *_, (_, x) = model.flow(start, 200)
    distance = np.sqrt(((x[:, None] - toys.ring_modes()) ** 2).sum(axis=2))
    # The chains begin at N(0, σ₁² I), which p_σ₁ is but nearly: a per cent is left to that.
    assert (distance.min(axis=1) < 0.6).mean() > 1 - math.exp(-4.5) - 0.01
    counts = np.bincount(distance.argmin(axis=1), minlength=8)
    assert (abs(counts - n / 8) < 5 * math.sqrt(n / 8)).all()


@pytest.mark.parametrize("t", [0, 10, 29])
def test_the_predicted_noise_of_a_diffusion_model_is_its_score(t):
    # s(x_t) = −ε̂/√(1 − ᾱ_t), for data of the ring, whose score is known.
    def noise(xt, time):
        alpha_bar = ddpm.alpha_bar[round(time[0] * 30)]
        a, b = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
        return -b * toys.ring_score(xt / a, b / a) / a  # E[ε|x_t], by Tweedie's formula

    ddpm = DDPM(noise, (2,), 30, "cosine")
    a, b = math.sqrt(ddpm.alpha_bar[t]), math.sqrt(1 - ddpm.alpha_bar[t])
    x0 = toys.toy2d("ring", 7, sg.generator(0))[0].astype(np.float64)
    xt = a * x0 + b * np.random.default_rng(0).standard_normal(x0.shape)
    _, eps = ddpm.predict(xt, t)
    score = -eps / math.sqrt(1 - ddpm.alpha_bar[t])
    np.testing.assert_allclose(ddpm.noising.score(eps, t), score, rtol=1e-12)

    def log_p(x):  # x_t is a mixture of Gaussians N(a m, (a² 0.2² + b²) I)
        squares = ((x[:, None] - a * toys.ring_modes()) ** 2).sum(axis=2)
        return np.log(np.exp(-squares / (2 * (a * a * toys.SPREAD**2 + b * b))).sum(axis=1))

    slope = np.stack([log_p(xt + 1e-30j * e).imag / 1e-30 for e in np.eye(2)], axis=1)
    np.testing.assert_allclose(score, slope, rtol=1e-9, atol=1e-12)


@pytest.mark.rounding
def test_50_steps_of_training_are_those_of_torch(torch):
    rng = sg.generator(0)
    model = ScoreModel(DenseDenoiser(2, (32, 32), rng=rng), (2,), LADDER, 0.2).astype(np.float64)
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 32), torch.nn.SiLU(), torch.nn.Linear(32, 32), torch.nn.SiLU(),
        torch.nn.Linear(32, 2),
    ).double()  # fmt: skip
    state = {k.removeprefix("network.layers."): v for k, v in model.state_dict().items()}
    module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    adam = sg.optim.Adam(model.parameters(), 1e-3)
    reference_adam = torch.optim.Adam(module.parameters(), 1e-3)
    data, ladder = toys.toy2d("ring", 1000, rng)[0].astype(np.float64), torch.from_numpy(LADDER)
    costs = []
    for step in range(50):
        x = data[20 * step : 20 * (step + 1)]
        cost = next(model.losses(x, sg.generator(step)))
        adam.step(sg.gradient(cost, adam.parameters))

        source = sg.generator(step)
        sigma = ladder[source.integers(0, len(LADDER), size=20)][:, None]
        z = torch.from_numpy(source.standard_normal(x.shape))
        tau = (sigma.log() - ladder[-1].log()) / (ladder[0].log() - ladder[-1].log())
        noisy = (torch.from_numpy(x) + sigma * z) / (sigma**2 + 0.2**2).sqrt()
        out = module(torch.cat([noisy, tau], dim=1))
        loss = 0.5 * ((out + z) ** 2).sum(dim=1).mean()
        reference_adam.zero_grad()
        loss.backward()
        reference_adam.step()
        costs.append((float(cost.data), loss.item()))
    ours, expected = np.array(costs).T
    np.testing.assert_allclose(ours, expected, rtol=1e-9)
    for name, value in module.state_dict().items():
        own, value = model.state_dict()[f"network.layers.{name}"], value.numpy()
        assert np.abs(own - value).max() < 1e-8 * np.abs(value).max(), name


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
