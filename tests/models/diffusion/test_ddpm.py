"""Denoising diffusion against closed forms, against PyTorch, and on the device."""

import itertools
import math
import re
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import nn, optim
from scratchgen import operations as ops
from scratchgen.backend import device_of
from scratchgen.gradcheck import check_network
from scratchgen.models import DDPM, PlainDenoiser, UNet, ddpm
from scratchgen.models.diffusion import noising
from tests import strict


def rng(seed=0):
    return sg.generator(seed)


class Gaussian:
    """x₀ ~ N(m, s²), of which all is known: x_t ~ N(√ᾱ m, V_t) with V_t = ᾱ s² + 1 − ᾱ."""

    def __init__(self, m=0.7, s=0.5, T=50, schedule="cosine"):
        self.m, self.s, self.T, self.schedule = m, s, T, schedule
        alpha = 1 - noising.SCHEDULES[schedule](T)
        self.alpha_bar = [math.prod(alpha[: t + 1]) for t in range(T)] + [1.0]  # that of −1 is 1

    def mean(self, t):
        return math.sqrt(self.alpha_bar[t]) * self.m

    def variance(self, t):
        return self.alpha_bar[t] * self.s**2 + 1 - self.alpha_bar[t]

    def noise(self, x, time):
        """E[ε|x_t] = √(1 − ᾱ) (x_t − √ᾱ m)/V_t, the best that any network can do."""
        t = np.rint(time * self.T).astype(int)
        alpha_bar = np.array(self.alpha_bar)[t].reshape(-1, *[1] * (x.ndim - 1))
        V = alpha_bar * self.s**2 + 1 - alpha_bar
        return np.sqrt(1 - alpha_bar) * (x - np.sqrt(alpha_bar) * self.m) / V

    def ddpm(self, **settings):
        return DDPM(self.noise, (1,), self.T, self.schedule, **settings)

    def draw(self, t, n, seed=1):
        """n samples of x_t."""
        noise = rng(seed).standard_normal((n, 1))
        return self.mean(t) + math.sqrt(self.variance(t)) * noise


def is_normal(x, mean, variance, standard_errors=5):
    """Mean and variance of independent samples lie within so many standard errors."""
    n = x.size
    of_mean = abs(x.mean() - mean) * math.sqrt(n / max(variance, 1e-30))
    of_variance = abs(x.var() - variance) / max(variance, 1e-30) * math.sqrt(n / 2)
    return max(of_mean, of_variance) <= standard_errors


def linear_network(D=3, seed=0):
    """A network that knows the time, smooth and small: ε̂ = W (x, t)."""
    return Affine(D, rng=rng(seed)).astype(np.float64)


class Affine(nn.Network):
    def __init__(self, D, *, rng):
        self.D = D
        self.map = nn.Linear(D + 1, D, rng=rng)

    def __call__(self, x, time, rng=None):
        return self.map(ops.concatenate([x, time[:, None]], axis=1))


class Chain(nn.Network):
    """A convolutional or linear chain that is told no time, so to say."""

    def __init__(self, *layers):
        self.chain = nn.Sequential(*layers)

    def __call__(self, x, time, rng=None):
        return self.chain(x, rng)


schedules = pytest.mark.parametrize("schedule", ["linear", "cosine"])
lengths = pytest.mark.parametrize("T", [1, 2, 17, 300])
variances = pytest.mark.parametrize("variance", ["beta", "posterior"])


# The schedules


@lengths
def test_the_linear_schedule_goes_in_even_steps_from_1e_4_to_2e_2(T):
    beta = noising.linear_schedule(T)
    assert beta.shape == (T,)
    assert beta[0] == 1e-4
    expected = [1e-4 + (0.02 - 1e-4) * t / max(T - 1, 1) for t in range(T)]
    np.testing.assert_allclose(beta, expected, rtol=1e-13)


@lengths
def test_the_cosine_schedule_is_equation_17_of_nichol_and_dhariwal(T):
    def f(t):
        return math.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2

    model = DDPM(linear_network(), (3,), T, "cosine")
    for t in range(1, T + 1):  # their time
        beta = 1 - (f(t) / f(0)) / (f(t - 1) / f(0))
        assert model.beta[t - 1] == pytest.approx(min(beta, 0.999), rel=1e-12)
        if beta < 0.999:
            assert model.alpha_bar[t - 1] == pytest.approx(f(t) / f(0), rel=1e-11)
    assert model.beta[-1] == 0.999
    assert (np.diff(model.beta) >= 0).all()


@schedules
@lengths
def test_alpha_bar_is_the_product_of_all_alpha_up_to_and_with_t(schedule, T):
    model = DDPM(linear_network(), (3,), T, schedule)
    for table in (model.beta, model.alpha, model.alpha_bar):
        assert (table.shape, table.dtype) == ((T,), np.float64)
    np.testing.assert_array_equal(model.alpha, 1 - model.beta)
    for t in range(T):
        assert model.alpha_bar[t] == pytest.approx(math.prod(1 - model.beta[: t + 1]), rel=1e-12)


# The forward process


@schedules
def test_q_sample_is_the_composition_of_the_one_step_kernels(schedule):
    model = DDPM(linear_network(), (3,), 60, schedule)
    scale, variance = 1.0, 0.0  # of x_t = scale x₀ + N(0, variance)
    one, nothing = np.ones((1, 3)), np.zeros((1, 3))
    for t in range(60):
        scale *= math.sqrt(1 - model.beta[t])
        variance = (1 - model.beta[t]) * variance + model.beta[t]
        np.testing.assert_allclose(model.q_sample(one, t, nothing), scale, rtol=1e-12)
        np.testing.assert_allclose(model.q_sample(nothing, t, one), math.sqrt(variance), rtol=1e-12)


@schedules
def test_noising_step_by_step_and_at_once_have_the_same_moments(schedule):
    model, n = DDPM(linear_network(), (3,), 20, schedule), 100_000
    x = x0 = np.full((n, 1), 0.8)
    noise = rng(1)
    for t in range(20):
        kick = noise.standard_normal((n, 1))
        x = math.sqrt(1 - model.beta[t]) * x + math.sqrt(model.beta[t]) * kick
        if t in (0, 1, 9, 19):
            at_once = model.q_sample(x0, t, noise.standard_normal((n, 1)))
            mean, variance = math.sqrt(model.alpha_bar[t]) * 0.8, 1 - model.alpha_bar[t]
            assert is_normal(x, mean, variance)
            assert is_normal(at_once, mean, variance)


def test_the_first_time_has_been_through_one_step():
    model = DDPM(linear_network(), (3,))
    x0, noise = rng(1).standard_normal((2, 4, 3))
    expected = math.sqrt(1 - 1e-4) * x0 + math.sqrt(1e-4) * noise
    np.testing.assert_allclose(model.q_sample(x0, 0, noise), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (1, 2, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_time_for_each_sample_is_each_sample_at_its_time(shape, dtype):
    model = DDPM(linear_network(), shape, 10)
    x0, noise = rng(1).standard_normal((2, 4, *shape)).astype(dtype)
    t = np.array([3, 0, 9, 3])
    together = model.q_sample(x0, t, noise)
    assert together.dtype == dtype
    for k in range(4):
        alone = model.q_sample(x0[k : k + 1], int(t[k]), noise[k : k + 1])
        np.testing.assert_array_equal(together[k : k + 1], alone)


# The cost


def test_the_cost_is_the_mean_of_squared_errors_over_samples_and_entries():
    network = linear_network()
    model = DDPM(network, (3,), 10)
    x0, noise = rng(1).standard_normal((2, 5, 3))
    t = np.array([0, 9, 4, 4, 7])
    xt = np.stack(
        [
            math.sqrt(model.alpha_bar[k]) * x + math.sqrt(1 - model.alpha_bar[k]) * e
            for k, x, e in zip(t, x0, noise, strict=True)
        ]
    )
    expected = ((network(xt, t / 10).data - noise) ** 2).mean()
    cost = model.loss(x0, t, noise)
    assert cost.shape == ()
    assert cost.data == pytest.approx(expected, rel=1e-13)


@schedules
def test_a_network_that_predicts_the_velocity_tells_what_one_that_predicts_the_noise_does(schedule):
    # v = √ᾱ ε − √(1 − ᾱ) x₀, and x_t = √ᾱ x₀ + √(1 − ᾱ) ε: a rotation of (x₀, ε).
    truth = Gaussian(T=20, schedule=schedule)

    def velocity(x, time):
        alpha_bar = np.array(truth.alpha_bar)[np.rint(time * 20).astype(int)][:, None]
        eps = truth.noise(x, time)
        x0 = (x - np.sqrt(1 - alpha_bar) * eps) / np.sqrt(alpha_bar)
        return np.sqrt(alpha_bar) * eps - np.sqrt(1 - alpha_bar) * x0

    by_noise, x = truth.ddpm(), rng(1).standard_normal((4, 1))
    by_velocity = DDPM(velocity, (1,), 20, schedule, predicts="velocity")
    noise = rng(2).standard_normal((4, 1))
    for t in range(20):
        pairs = zip(by_velocity.predict(x, t), by_noise.predict(x, t), strict=True)
        for ours, expected in pairs:
            np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-7)
        ours, expected = (model.p_sample(x, t, noise) for model in (by_velocity, by_noise))
        np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-9)
        errors = by_noise.errors(x, t, noise) / truth.alpha_bar[t]
        np.testing.assert_allclose(by_velocity.errors(x, t, noise), errors, rtol=1e-5)


def test_the_best_prediction_of_gaussian_noise_costs_what_is_left_of_its_variance():
    # E (ε − E[ε|x_t])² = ᾱ s²/V_t: nothing for data of one point, all where no noise is.
    truth, n = Gaussian(s=0.5, T=10), 200_000
    x0, noise = truth.m + 0.5 * rng(1).standard_normal((n, 1)), rng(2).standard_normal((n, 1))
    for t in (0, 4, 9):
        expected = truth.alpha_bar[t] * 0.25 / truth.variance(t)
        error = expected * math.sqrt(2 / n)
        assert abs(truth.ddpm().loss(x0, t, noise) - expected) < 5 * error


def test_losses_draw_every_time_equally_often_and_noise_of_variance_1():
    seen = []

    class Spy(Affine):
        def __call__(self, x, time, rng=None):
            seen.append((x, time))
            return super().__call__(x, time)

    model, n = DDPM(Spy(3, rng=rng()).astype(np.float64), (3,), 5), 100_000
    cost = next(model.losses(np.zeros((n, 3)), rng(1)))
    ((xt, time),) = seen
    counts = np.bincount(np.rint(time * 5).astype(int), minlength=5)
    assert (abs(counts - n / 5) < 5 * math.sqrt(n * 0.2 * 0.8)).all()
    spread = np.sqrt(1 - model.alpha_bar)[np.rint(time * 5).astype(int)]
    assert is_normal(xt / spread[:, None], 0, 1)
    assert isinstance(cost, sg.Tensor)


def in_parts(monkeypatch, size, *layers):
    """A model of 4 × 4 images whose batches go through the network ``size`` at a time."""
    monkeypatch.setattr(ddpm, "PART", 16 * size)
    network = Chain(nn.Conv2d(1, 3, 3, padding=1, rng=rng(1)), *layers)
    return DDPM(network.astype(np.float64), (1, 4, 4), 8)


def test_few_samples_are_convolved_at_a_time_on_the_host_and_predictions_are_the_same(monkeypatch):
    assert ddpm.lecture(rng())[0].part_size == 9600 // 784
    model = in_parts(monkeypatch, 2, nn.Tanh(), nn.ConvTranspose2d(3, 1, 3, padding=1, rng=rng(2)))
    assert model.part_size == 2
    seen, x, t = [], rng(3).standard_normal((11, 1, 4, 4)), rng(4).integers(0, 8, size=11)
    network = type(model.network)
    monkeypatch.setattr(
        network, "__call__", lambda self, x, time, rng: (seen.append(len(x)), self.chain(x))[1]
    )
    predictions = model.predict(x, t)
    assert max(seen) == 2
    monkeypatch.setattr(ddpm, "PART", 16 * 11)
    for mine, its in zip(predictions, model.predict(x, t), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-12)
    assert DDPM(linear_network(), (3,)).part_size is None


def test_a_batch_in_parts_has_the_cost_and_the_gradient_of_the_whole(monkeypatch):
    # Each part draws its own times and noise; for these, the whole has the same cost.
    model = in_parts(monkeypatch, 2, nn.Tanh(), nn.ConvTranspose2d(3, 1, 3, padding=1, rng=rng(2)))
    x, seed = rng(3).standard_normal((11, 1, 4, 4)), (5, 1)
    losses = sg.training.Losses(model, (x,), model.part_size, seed, rng(4))
    t, noise = [], []
    for k, part in enumerate(losses.parts):
        source, n = sg.generator([*seed, k]), part.stop - part.start
        t.append(source.integers(0, 8, size=n))
        noise.append(source.standard_normal((n, 1, 4, 4)))
    whole = model.loss(x, np.concatenate(t), np.concatenate(noise))
    cost = losses.cost(0, model.parameters())
    np.testing.assert_allclose(cost.data, whole.data, rtol=1e-13)
    gradients = [sg.gradient(c, model.parameters()) for c in (cost, whole)]
    for mine, its in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-11, atol=1e-14)


def test_the_gradient_of_the_losses_agrees_with_differences_for_parameters_and_samples(monkeypatch):
    model = in_parts(monkeypatch, 2, nn.Tanh(), nn.Conv2d(3, 1, 1, rng=rng(2)))
    report = check_network(model, rng(3).standard_normal((3, 1, 4, 4)))
    assert report.ok, report
    assert len(report.entries) == 5


def test_the_network_is_given_t_over_T_and_the_generator_in_training_alone():
    class Spy(nn.Network):
        def __call__(self, x, time, rng=None):
            self.time, self.rng = time, rng
            return x

    spy, source = Spy(), rng()
    model, x = DDPM(spy, (3,), 8), np.ones((2, 3), np.float32)
    model.loss(x, np.array([0, 6]), x)
    np.testing.assert_array_equal(spy.time, np.array([0, 0.75], np.float32))
    assert spy.time.dtype == np.float32
    assert spy.rng is None
    next(model.losses(x, source))
    assert spy.rng is source
    model.p_sample(x, 7)
    assert spy.rng is source  # p_sample asks a frozen copy
    two = DDPM(lambda x, time: x * time[:, None], (3,), 8)
    next(two.losses(x, source))


# The step back


@schedules
def test_the_posterior_of_one_step_is_that_of_bayes(schedule):
    # q(x_{t−1}|x_t, x₀) ∝ q(x_t|x_{t−1}) q(x_{t−1}|x₀): precisions add, and so do weighted means.
    truth = Gaussian(schedule=schedule)
    x0, xt = 0.3, -1.1
    predicted = DDPM(lambda x, time: (x - signal * x0) / spread, (1,), truth.T, schedule)
    for t in range(1, truth.T):
        beta, before = predicted.beta[t], truth.alpha_bar[t - 1]
        signal, spread = math.sqrt(truth.alpha_bar[t]), math.sqrt(1 - truth.alpha_bar[t])
        precision = (1 - beta) / beta + 1 / (1 - before)
        mean = math.sqrt(1 - beta) * xt / beta + math.sqrt(before) * x0 / (1 - before)
        assert predicted.noising.posterior_variance[t] == pytest.approx(1 / precision, rel=1e-9)
        step = predicted.p_sample(np.array([[xt]]), t)
        np.testing.assert_allclose(step, mean / precision, rtol=1e-8)
    assert predicted.noising.posterior_variance[0] == 0


@schedules
@variances
@pytest.mark.parametrize("clip", [None, (-0.4, 0.2)])
def test_the_mean_from_the_noise_is_the_posterior_mean_from_x0(schedule, variance, clip):
    truth = Gaussian(schedule=schedule)
    model, xt = truth.ddpm(variance=variance, clip=clip), np.linspace(-2, 2, 9)[:, None]
    for t in range(truth.T):
        x0, eps = model.predict(xt, t)
        now, before = truth.alpha_bar[t], truth.alpha_bar[t - 1]
        exact = (xt - math.sqrt(1 - now) * truth.noise(xt, np.full(9, t / truth.T))) / math.sqrt(
            now
        )
        np.testing.assert_allclose(x0, exact if clip is None else np.clip(exact, *clip), rtol=1e-9)
        np.testing.assert_allclose(
            math.sqrt(now) * x0 + math.sqrt(1 - now) * eps, xt, rtol=1e-9, atol=1e-12
        )
        beta = 1 - now / before
        mean = math.sqrt(before) * beta * x0 + math.sqrt(1 - beta) * (1 - before) * xt
        np.testing.assert_allclose(model.p_sample(xt, t), mean / (1 - now), rtol=1e-7, atol=1e-9)


@schedules
def test_the_mean_of_the_exact_predictor_is_the_conditional_mean_of_the_joint_gaussian(schedule):
    # Cov(x_{t−1}, x_t) = √α_t V_{t−1}, from which E[x_{t−1}|x_t].
    truth = Gaussian(schedule=schedule)
    model, xt = truth.ddpm(), np.linspace(-2, 2, 5)[:, None]
    for t in range(truth.T):
        slope = math.sqrt(model.alpha[t]) * truth.variance(t - 1) / truth.variance(t)
        expected = truth.mean(t - 1) + slope * (xt - truth.mean(t))
        np.testing.assert_allclose(model.p_sample(xt, t), expected, rtol=1e-8, atol=1e-10)


@schedules
@variances
def test_noise_enters_with_the_standard_deviation_that_was_chosen(schedule, variance):
    truth = Gaussian(schedule=schedule)
    model = truth.ddpm(variance=variance)
    x, z = np.zeros((1, 1)), np.ones((1, 1))
    for t in range(1, truth.T):
        before, now = truth.alpha_bar[t - 1], truth.alpha_bar[t]
        squared = model.beta[t]
        if variance == "posterior":
            squared *= (1 - before) / (1 - now)
        added = model.p_sample(x, t, z) - model.p_sample(x, t)
        np.testing.assert_allclose(added, math.sqrt(squared), rtol=1e-8)


@variances
def test_the_last_step_is_noiseless(variance):
    model = Gaussian().ddpm(variance=variance)
    x, z = rng(1).standard_normal((2, 4, 1))
    np.testing.assert_array_equal(model.p_sample(x, 0, z), model.p_sample(x, 0))
    mixed = model.p_sample(x, np.array([0, 1, 0, 1]), z) - model.p_sample(x, np.array([0, 1, 0, 1]))
    assert ((mixed == 0)[:, 0] == [True, False, True, False]).all()
    for eta in (0, 0.5, 1):
        alone = model.p_sample_ddim(x, 7, -1, eta)
        np.testing.assert_array_equal(model.p_sample_ddim(x, 7, -1, eta, z), alone)
        np.testing.assert_allclose(alone, model.predict(x, 7)[0], rtol=1e-12)


# The chain back, with the exact predictor of Gaussian data


@schedules
@pytest.mark.parametrize(("s", "variance"), [(1.0, "beta"), (0.0, "posterior")])
def test_the_chain_back_reproduces_every_marginal_where_its_variance_is_exact(
    schedule, s, variance
):
    # σ² = β is the variance of q(x_{t−1}|x_t) for data of variance 1, σ² = β̃ for one point.
    truth = Gaussian(m=0.7, s=s, T=40, schedule=schedule)
    start = truth.draw(truth.T - 1, 40_000)
    for t, x in truth.ddpm(variance=variance).denoise(start, rng(2)):
        if t < 0 and s == 0:
            np.testing.assert_allclose(x, truth.m, rtol=1e-6)
        else:
            assert is_normal(x, truth.mean(t), truth.variance(t)), t


@schedules
@variances
def test_the_chain_back_of_any_gaussian_has_the_moments_of_its_recursion(schedule, variance):
    # The mean is that of the marginals; the variance carries what σ² is wrong by.
    truth = Gaussian(m=0.7, s=0.5, T=40, schedule=schedule)
    model = truth.ddpm(variance=variance)
    expected = truth.variance(truth.T - 1)
    for t, x in model.denoise(truth.draw(truth.T - 1, 40_000), rng(2)):
        assert is_normal(x, truth.mean(t), expected), t
        if t >= 0:
            before, now = truth.alpha_bar[t - 1], truth.alpha_bar[t]
            slope = math.sqrt(now / before) * truth.variance(t - 1) / truth.variance(t)
            beta = 1 - now / before
            squared = beta if variance == "beta" else beta * (1 - before) / (1 - now)
            expected = slope**2 * expected + (squared if t else 0)
            exact = truth.variance(t - 1)
            assert expected > exact - 1e-12 if variance == "beta" and t else True
            assert expected < exact + 1e-12 if variance == "posterior" else True


@variances
def test_the_variance_of_the_samples_is_that_of_the_data_in_the_limit_of_many_steps(variance):
    errors = []
    for T in (20, 200, 2000):
        truth = Gaussian(s=0.5, T=T)
        model, slope, added = truth.ddpm(variance=variance), 1.0, 0.0
        for t in range(T - 1, -1, -1):
            low, high = model.p_sample(np.array([[0.0], [1.0]]), t)[:, 0]
            slope, added = (high - low) * slope, (high - low) ** 2 * added + model.sigma[t] ** 2
        errors.append(abs(slope**2 + added - 0.25) / 0.25)
    assert errors[1] < errors[0] / 4
    assert errors[2] < errors[1] / 4
    assert errors[2] < 0.01


@schedules
@pytest.mark.parametrize("eta", [0, 0.3, 1])
@pytest.mark.parametrize("steps", [1, 2, 7, 40, [39, 20, 19, 3], [39, 38, 37, 0]])
def test_ddim_reproduces_every_marginal_of_one_point_at_any_spacing(schedule, eta, steps):
    # Where x₀ is known, q(x_s|x_t, x₀) of any η keeps the marginals: Song et al. 2021, lemma 1.
    truth = Gaussian(m=0.7, s=0.0, T=40, schedule=schedule)
    start = truth.draw(truth.T - 1, 20_000)
    for t, x in truth.ddpm().denoise(start, rng(2), steps, eta):
        if t < 0:
            np.testing.assert_allclose(x, truth.m, rtol=1e-6)
        else:
            assert is_normal(x, truth.mean(t), truth.variance(t)), t


def test_ddim_without_noise_brings_the_variance_of_gaussian_data_back_in_the_limit_of_many_steps():
    truth, errors = Gaussian(m=0.7, s=0.5, T=2000), []
    for steps in (20, 200, 2000):
        pair = truth.mean(truth.T - 1) + np.array([[-1.0], [1.0]])
        *_, (_, x) = truth.ddpm().denoise(pair, rng(), steps)
        spread = (x[1, 0] - x[0, 0]) / 2 / math.sqrt(truth.variance(truth.T - 1))
        assert x.mean() == pytest.approx(truth.m, rel=1e-9)
        errors.append(abs(spread - 0.5) / 0.5)
    assert errors[1] < errors[0] / 4
    assert errors[2] < errors[1] / 4
    assert errors[2] < 0.01


# DDIM beside DDPM


@schedules
@pytest.mark.parametrize("clip", [None, (-0.4, 0.2)])
def test_ddim_with_eta_1_and_all_steps_is_ddpm(schedule, clip):
    # Step by step with the same noise, where σ² = β̃; of σ² = β, which no η has, it shares the mean.
    truth = Gaussian(schedule=schedule)
    posterior = truth.ddpm(variance="posterior", clip=clip)
    upper = truth.ddpm(variance="beta", clip=clip)
    x, z = rng(1).standard_normal((2, 6, 1))
    for t in range(truth.T):
        ddim = posterior.p_sample_ddim(x, t, t - 1, 1, z)
        np.testing.assert_allclose(ddim, posterior.p_sample(x, t, z), rtol=1e-7, atol=1e-10)
        mean = upper.p_sample_ddim(x, t, t - 1, 1)
        np.testing.assert_allclose(mean, upper.p_sample(x, t), rtol=1e-7, atol=1e-10)
    ancestral = posterior.sample(5, rng(3))
    np.testing.assert_allclose(posterior.sample(5, rng(3), truth.T, 1), ancestral, rtol=1e-6)
    np.testing.assert_array_equal(
        posterior.sample(5, rng(3), eta=1), posterior.sample(5, rng(3), truth.T, 1)
    )


def test_ddim_with_eta_0_is_deterministic_and_with_noise_is_not():
    model, x = Gaussian().ddpm(), rng(1).standard_normal((4, 1))

    def end(seed, *settings):
        *_, (t, x0) = model.denoise(x, rng(seed), *settings)
        assert t == -1
        return x0

    np.testing.assert_array_equal(end(1, 10), end(2, 10))
    np.testing.assert_array_equal(end(1, 10, 0), end(2, 10))
    assert not np.array_equal(end(1, 10, 0.1), end(2, 10, 0.1))
    assert not np.array_equal(end(1), end(2))
    z = rng(3).standard_normal((4, 1))
    np.testing.assert_array_equal(model.p_sample_ddim(x, 9, 4, 0, z), model.p_sample_ddim(x, 9, 4))


def test_one_step_of_ddim_is_the_prediction_of_x0_from_noise():
    model = Gaussian().ddpm()
    x = rng(1).standard_normal((4, 1))
    expected, _ = model.predict(x, model.T - 1)
    np.testing.assert_allclose(model.sample(4, rng(1), steps=1), expected, rtol=1e-12)


@given(st.integers(1, 60), st.data())
def test_timesteps_are_so_many_from_the_last_one_down(T, data):
    model = DDPM(linear_network(), (3,), T)
    S = data.draw(st.integers(1, T))
    times = model.noising.timesteps(S)
    assert len(times) == S
    assert times[0] == T - 1
    assert times[-1] >= 0
    gaps = -np.diff([*times, -1])
    assert gaps.max() - gaps.min() <= 1
    assert gaps.min() >= 1
    assert model.noising.timesteps(T) == list(range(T))[::-1]
    listed = data.draw(st.permutations(times))
    assert model.noising.timesteps(listed) == times


def test_sampling_visits_every_time_once_and_draws_no_noise_for_the_last():
    model, source, same = Gaussian(T=7).ddpm(), rng(3), rng(3)
    x = same.standard_normal((4, 1))
    states = list(model.denoise(x, source_after(source, (4, 1))))
    assert [t for t, _ in states] == [6, 5, 4, 3, 2, 1, 0, -1]
    for t in range(6, -1, -1):
        x = model.p_sample(x, t, same.standard_normal((4, 1)) if t else None)
    np.testing.assert_array_equal(states[-1][1], x)
    np.testing.assert_array_equal(model.sample(4, rng(3)), x)
    assert same.random() == source.random()


def source_after(source, shape):
    """The generator after a draw of that shape."""
    source.standard_normal(shape)
    return source


def test_clipping_keeps_samples_within_the_range():
    model = Gaussian(m=0.9, s=1.0).ddpm(clip=(-1, 1))
    for settings in [(), (10,), (10, 1.0)]:
        assert np.abs(model.sample(500, rng(), *settings)).max() < 1 + 1e-12
    assert np.abs(Gaussian(m=0.9, s=1.0).ddpm().sample(500, rng())).max() > 1


# The audit


@given(st.integers(1, 40), st.sampled_from(["linear", "cosine"]))
def test_the_prior_matching_term_is_the_kl_from_what_noising_ends_at(T, schedule):
    model, x0 = DDPM(linear_network(), (2, 3), T, schedule), rng(1).standard_normal((4, 2, 3))
    left = model.alpha_bar[-1]
    mu = math.sqrt(left) * x0.reshape(4, 6)
    expected = ops.gaussian_kl(mu, np.full((4, 6), math.log1p(-left)))
    np.testing.assert_allclose(model.noising.prior_kl(x0), expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("T", "left", "nats"), [(300, 0.0481, "19.3"), (1000, 4.04e-5, "0.0158")])
def test_the_notes_schedule_leaves_19_nats_and_a_thousand_steps_next_to_none(T, left, nats):
    # Erratum E13: the notes take the term to be zero.
    model = DDPM(linear_network(), (784,), T)
    assert model.alpha_bar[-1] == pytest.approx(left, rel=2e-3)
    (kl,) = model.noising.prior_kl(np.sign(rng(1).standard_normal((1, 784))))
    assert f"{kl:.3g}" == nats


def test_training_on_a_schedule_that_leaves_a_signal_warns_with_its_size():
    model, x = DDPM(linear_network(), (3,)), np.ones((4, 3))
    with pytest.warns(ddpm.DiffusionWarning, match=r"T = 300 .* ᾱ = 0\.0481 .* 0\.0739 nats"):
        sg.train(model, x, model.default_optimizers(), epochs=1, batch_size=2, rng=rng())


@pytest.mark.parametrize(("T", "schedule"), [(1000, "linear"), (300, "cosine"), (20, "cosine")])
def test_a_schedule_that_ends_in_noise_is_not_warned_of(T, schedule):
    DDPM(linear_network(), (3,), T, schedule).validate(np.ones((4, 3)))


def wide():
    return nn.Conv2d(1, 4, 3, padding=1, rng=rng())


@pytest.mark.parametrize(
    ("layers", "size"),
    [
        ((nn.Linear(16, 15, rng=rng()), nn.Tanh(), nn.Linear(15, 16, rng=rng())), "15, the affine"),
        ((nn.Linear(16, 40, rng=rng()), nn.Linear(40, 1, rng=rng()), nn.Linear(1, 16, rng=rng())),
         "1, the affine"),
    ],
    ids=["15", "40-1"],
)  # fmt: skip
def test_a_network_with_a_layer_narrower_than_a_sample_is_warned_of(layers, size):
    model = DDPM(Chain(*layers), (16,), 20, "cosine")
    with pytest.warns(ddpm.DiffusionWarning, match=f"16 numbers passes through {size}"):
        model.validate(np.ones((4, 16), np.float32))


def test_a_pooled_convolution_is_too_narrow_and_a_skip_cures_it():
    narrow = Chain(wide(), nn.AvgPool2d(4), nn.Upsample(4), nn.Conv2d(4, 1, 1, rng=rng()))

    class Skipping(Chain):
        def __call__(self, x, time, rng=None):
            return x + super().__call__(x, time)

    x = np.ones((2, 1, 8, 8), np.float32)
    with pytest.warns(ddpm.DiffusionWarning, match="passes through 16, the avg_pool2d"):
        DDPM(narrow, (1, 8, 8), 20, "cosine").validate(x)
    DDPM(Skipping(*narrow.chain.layers), (1, 8, 8), 20, "cosine").validate(x)


@pytest.mark.parametrize("network", [PlainDenoiser, UNet])
def test_the_networks_here_are_wide_enough(network):
    model = DDPM(network(rng=rng()), (1, 8, 8), 20, "cosine")
    model.validate(np.ones((2, 1, 8, 8), np.float32))


def test_the_frozen_model_has_the_parameters_whatever_average_a_training_keeps():
    model, x = DDPM(linear_network(), (3,), 10, "cosine"), rng(2).standard_normal((8, 3))
    average = optim.WeightAverage(model.parameters(), 0.9)
    optimizers = model.default_optimizers()
    for _ in sg.train(model, x, optimizers, epochs=3, batch_size=8, rng=rng(1), average=average):
        pass
    np.testing.assert_array_equal(model.frozen().network.map.bias, model.network.map.bias.data)
    averaged = average.of(model)
    assert not np.allclose(model.sample(4, rng(3)), averaged.sample(4, rng(3)))
    np.testing.assert_array_equal(averaged.network.map.bias.data, average.sums[1] / average.weight)


def test_training_goes_on_from_a_checkpoint_to_the_same_bits(tmp_path):
    images = 2 * sg.datasets.digits()[0][:64] - 1

    def run(state, epochs):
        for _ in sg.train(
            state.model, images, state.optimizers, epochs=epochs, batch_size=16, rng=state.rng,
            part_size=3, average=state.average, history=state.history,
        ):  # fmt: skip
            pass

    source = rng()
    model = ddpm.with_unet((1, 8, 8), source, width=8, T=10)
    average = optim.WeightAverage(model.parameters(), 0.9)
    once = sg.Checkpoint(model, model.default_optimizers(), source, sg.History(), average)
    run(once, 1)
    sg.save(tmp_path / "model.safetensors", *once, average=average)
    run(once, 2)
    again = sg.load(tmp_path / "model.safetensors")
    assert (again.model.shape, again.model.clip, again.model.T) == ((1, 8, 8), (-1, 1), 10)
    run(again, 2)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(again.model.state_dict()[name], value, err_msg=name)
    for name, value in average.state_dict().items():
        np.testing.assert_array_equal(again.average.state_dict()[name], value, err_msg=name)
    samples = [state.averaged_model.sample(2, rng(1)) for state in (once, again)]
    np.testing.assert_array_equal(*samples)


# What is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "quadratic"}, "schedule is 'linear' or 'cosine'.*, got 'quadratic'"),
        ({"schedule": [0.1, 1.5]}, "each between 0 and 1, got"),
        ({"variance": "tilde"}, "variance is 'beta' or 'posterior', got 'tilde'"),
        ({"predicts": "x0"}, "predicts is 'noise' or 'velocity', got 'x0'"),
        ({"T": 0}, "T is from 1 to 10,000 steps, got 0"),
        ({"T": 10**9}, "T is from 1 to 10,000 steps, got 1,000,000,000"),
        ({"clip": (1, -1)}, r"clip is a range \(low, high\), or None, got \(1, -1\)"),
        ({"clip": (0, 1, 2)}, "clip is a range"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DDPM(linear_network(), (3,), **settings)


def test_a_network_that_knows_no_time_is_refused():
    with pytest.raises(TypeError, match=r"Sequential takes \(x, rng\): it knows no time"):
        DDPM(nn.Sequential(nn.Linear(3, 3, rng=rng())), (3,))
    with pytest.raises(TypeError, match=r"function takes \(x\): it knows no time"):
        DDPM(lambda x: x, (3,))
    with pytest.raises(TypeError, match="called with"):
        DDPM("unet", (3,))


def test_a_network_that_asks_for_more_than_it_is_given_is_refused():
    with pytest.raises(TypeError, match=r"takes \(x, time, labels\): .* argument: 'labels'"):
        DDPM(lambda x, time, labels: x, (3,))


def test_a_schedule_may_be_given_as_its_variances():
    beta = np.linspace(0.1, 0.5, 7)
    model = DDPM(linear_network(), (3,), schedule=beta)
    assert model.T == 7
    np.testing.assert_array_equal(model.beta, beta)
    np.testing.assert_allclose(model.alpha_bar, np.cumprod(1 - beta), rtol=1e-15)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ((np.ones((4, 3)), np.ones(4)), "on samples alone, got 2 arrays: pass the first"),
        (np.ones((4, 3), int), "takes floating numbers, got int64: for bytes"),
        (np.ones((4, 5)), r"takes samples of shape \(3,\), got \(5,\)"),
        (np.full((4, 3), 1.5), r"clipped to \(-1.0, 1.0\), samples are not like data from 1.5"),
    ],
    ids=["tuple", "integers", "shape", "range"],
)
def test_data_that_do_not_fit_are_refused_before_the_first_step(x, message):
    model = DDPM(linear_network(), (3,), 20, "cosine", clip=(-1, 1))
    with pytest.raises(ValueError, match=message):
        sg.train(model, x, model.default_optimizers(), epochs=1, batch_size=2, rng=rng())


def test_a_network_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"takes no samples of shape \(4,\): affine takes rows"):
        DDPM(linear_network(), (4,), 20, "cosine").validate(np.ones((2, 4)))
    shrinking = Chain(nn.Linear(3, 2, rng=rng()))
    with pytest.raises(ValueError, match=r"gives \(2,\) for a sample of shape \(3,\)"):
        DDPM(shrinking, (3,), 20, "cosine").validate(np.ones((2, 3)))


@pytest.mark.parametrize("t", [-1, 10, np.array([0, 10]), np.array([-1, 0])], ids=str)
def test_times_out_of_range_are_refused(t):
    model, x = DDPM(linear_network(), (3,), 10), np.ones((2, 3))
    for call in (model.q_sample, model.loss):
        with pytest.raises(ValueError, match=r"times run from 0 to T − 1 = 9, got"):
            call(x, t, x)
    with pytest.raises(ValueError, match=r"times run from 0 to T − 1 = 9, got"):
        model.p_sample(x, t)


@pytest.mark.parametrize("t", [np.array([0.5, 1]), np.array([1, 2, 3]), np.zeros((2, 1), int)])
def test_times_that_are_no_integers_one_per_sample_are_refused(t):
    model, x = DDPM(linear_network(), (3,), 10), np.ones((2, 3))
    with pytest.raises(ValueError, match="t is an integer, or one for each of 2 samples"):
        model.q_sample(x, t, x)


def test_ddim_refuses_to_go_forward_and_an_eta_beyond_1():
    model, x = DDPM(linear_network(), (3,), 10), np.ones((2, 3))
    for before in (4, 5, np.array([3, 4])):
        with pytest.raises(ValueError, match="t_previous is before t"):
            model.p_sample_ddim(x, 4, before)
    for eta in (-0.1, 1.1):
        with pytest.raises(ValueError, match="eta is from 0"):
            model.p_sample_ddim(x, 4, 3, eta)


@pytest.mark.parametrize("steps", [0, 11, [], [3, 3], [10], [-1, 4]], ids=str)
def test_steps_that_are_no_times_are_refused(steps):
    with pytest.raises(ValueError, match="steps"):
        DDPM(linear_network(), (3,), 10).sample(2, rng(), steps)


# The notes' recipe


def test_the_lectures_model_is_that_of_the_notes():
    model, (adam,) = ddpm.lecture(rng())
    assert {name: p.shape for name, p in model.named_parameters()} == {
        "enc1.weight": (64, 1, 3, 3),
        "enc1.bias": (64,),
        "enc2.weight": (128, 64, 3, 3),
        "enc2.bias": (128,),
        "dec1.weight": (128, 64, 3, 3),
        "dec1.bias": (64,),
        "dec2.weight": (64, 1, 3, 3),
        "dec2.bias": (1,),
        "time_mlp.0.weight": (128, 1),
        "time_mlp.0.bias": (128,),
        "time_mlp.2.weight": (128, 128),
        "time_mlp.2.bias": (128,),
    }
    assert [*model.state_dict()] == [name for name, _ in model.named_parameters()]
    assert (model.T, model.schedule, model.variance) == (300, "linear", "beta")
    assert model.predicts == "noise"
    assert (model.clip, model.shape) == (None, (1, 28, 28))
    assert type(adam) is optim.Adam
    assert (adam.lr, adam.betas) == (2e-4, (0.9, 0.999))
    (player,) = model.players
    assert all(p is q for p, q in zip(adam.parameters, player, strict=True))


def reference_of(torch, dtype):
    """The notes' module."""

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.enc1 = torch.nn.Conv2d(1, 64, 3, padding=1)
            self.enc2 = torch.nn.Conv2d(64, 128, 3, padding=1)
            self.dec1 = torch.nn.ConvTranspose2d(128, 64, 3, padding=1)
            self.dec2 = torch.nn.ConvTranspose2d(64, 1, 3, padding=1)
            self.time_mlp = torch.nn.Sequential(
                torch.nn.Linear(1, 128), torch.nn.ReLU(), torch.nn.Linear(128, 128)
            )

        def forward(self, x, time):
            h = torch.relu(self.enc2(torch.relu(self.enc1(x))))
            h = h + self.time_mlp(time[:, None])[:, :, None, None]
            return self.dec2(torch.relu(self.dec1(h)))

    return Module().to(dtype)


@pytest.mark.rounding
def test_50_steps_of_the_lectures_training_are_those_of_torch(torch):
    model, (adam,) = ddpm.lecture(rng())
    model.astype(np.float64)
    module = reference_of(torch, torch.float64)
    module.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})
    reference_adam = torch.optim.Adam(module.parameters(), lr=2e-4)
    images, source = 2 * sg.datasets.digits()[0].astype(np.float64) - 1, rng(1)
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 300, dtype=torch.float64), 0)
    costs = []
    for _ in range(50):
        x, t = images[source.integers(len(images), size=4)], source.integers(0, 300, size=4)
        noise = source.standard_normal(x.shape)
        cost = model.loss(x, t, noise)
        adam.step(sg.gradient(cost, adam.parameters))

        noise = torch.from_numpy(noise)
        left = alpha_bar[torch.from_numpy(t)].view(-1, 1, 1, 1)
        xt = left.sqrt() * torch.from_numpy(x) + (1 - left).sqrt() * noise
        loss = torch.nn.functional.mse_loss(module(xt, torch.from_numpy(t).double() / 300), noise)
        reference_adam.zero_grad()
        loss.backward()
        reference_adam.step()
        costs.append((float(cost.data), loss.item()))
    ours, expected = np.array(costs).T
    np.testing.assert_allclose(ours, expected, rtol=1e-9)
    state = model.state_dict()
    for name, value in module.state_dict().items():
        distance = np.abs(state[name] - value.numpy()).max() / np.abs(value.numpy()).max()
        assert distance < 1e-8, name


@pytest.mark.rounding
def test_the_lectures_sampling_is_that_of_the_notes(torch):
    model, _ = ddpm.lecture(rng())
    model.astype(np.float64)
    module = reference_of(torch, torch.float64)
    module.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})
    beta = torch.linspace(1e-4, 0.02, 300, dtype=torch.float64)
    alpha_bar = torch.cumprod(1 - beta, 0)
    start = rng(3).standard_normal((2, 1, 8, 8))
    x, source = torch.from_numpy(start), rng(4)
    states = model.denoise(start, rng(4))
    with torch.no_grad():
        for t in range(299, 260, -1):
            eps = module(x, torch.full((2,), t / 300, dtype=torch.float64))
            x = (x - beta[t] / (1 - alpha_bar[t]).sqrt() * eps) / (1 - beta[t]).sqrt()
            x = x + beta[t].sqrt() * torch.from_numpy(source.standard_normal(x.shape))
    *_, (_, ours) = itertools.islice(states, 40)
    np.testing.assert_allclose(ours, x.numpy(), rtol=1e-9, atol=1e-11)


# Training, on the host and on the device


@pytest.mark.rounding
def test_training_brings_the_cost_down_and_samples_records_nothing_and_keeps_the_dtype():
    images = 2 * sg.datasets.digits("train")[0] - 1
    source = rng()
    model = ddpm.with_unet((1, 8, 8), source, width=16, T=50)
    adam = optim.Adam(model.parameters(), lr=2e-3)
    epochs = [*sg.train(model, images, adam, epochs=4, batch_size=128, rng=source)]
    assert epochs[-1].costs[0] < 0.85 * epochs[0].costs[0]
    samples = model.sample(3, rng(1), steps=5)
    assert type(samples) is np.ndarray
    assert (samples.shape, samples.dtype) == ((3, 1, 8, 8), np.float32)
    assert model.astype(np.float64).sample(3, rng(1), steps=5).dtype == np.float64


@pytest.mark.rounding
def test_training_on_the_device_is_that_of_the_host_and_reads_only_each_epochs_cost(monkeypatch):
    strict.install(monkeypatch)
    images, states = 2 * sg.datasets.digits()[0][:40] - 1, {}
    for device in ["cpu", "cuda"]:
        source, seen = sg.generator(0, device), []
        model = ddpm.with_unet((1, 8, 8), source, width=8, T=20).astype(np.float64)

        def count(starts, seen=seen):
            for start in starts:
                seen.append(strict.transfers)
                yield start
            seen.append(strict.transfers)

        epochs = sg.train(
            model, images, model.default_optimizers(), epochs=2, batch_size=20, rng=source,
            progress=count,
        )  # fmt: skip
        checks = strict.transfers
        for _ in epochs:
            pass
        if device == "cuda":
            assert seen == [checks + epoch for epoch in range(2) for _ in range(3)]
        states[device] = {k: sg.to_host(v) for k, v in model.state_dict().items()}
    for name, value in states["cpu"].items():
        np.testing.assert_allclose(states["cuda"][name], value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("settings", [(), (4,), (4, 1.0), ([9, 3],)])
def test_samples_of_the_device_stay_there(device, settings):
    source = sg.generator(0, device)
    model = ddpm.with_unet((1, 8, 8), source, width=8, T=10)
    before = strict.transfers
    x = model.sample(3, source, *settings)
    noise, t = source.standard_normal(x.shape, dtype=np.float32), source.integers(0, 10, size=3)
    arrays = [x, model.q_sample(x, t, noise), model.loss(x, t, noise).data]
    arrays += [model.p_sample(x, t, noise), model.p_sample_ddim(x, t, t - 1, 0.5, noise)]
    arrays += [model.noising.prior_kl(x)]
    assert strict.transfers == before
    assert {device_of(a) for a in arrays} == {device}
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


def test_the_command_that_the_notes_end_with_warns_once():
    model, optimizers = ddpm.lecture(rng())
    x = np.ones((4, 1, 28, 28), np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sg.train(model, x, optimizers, epochs=1, batch_size=2, rng=rng())
    (warning,) = caught
    assert "19.3 nats" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize(
    ("x", "size"),
    [
        (np.linspace(0, 1, 12).reshape(4, 3), "0.348"),
        (np.linspace(-100, 100, 12).reshape(4, 3), "3.94e"),
        (np.linspace(-0.1, 0.1, 12).reshape(4, 3), "0.00394"),
    ],
    ids=["images on [0, 1]", "large", "small"],
)
def test_data_of_another_size_than_the_noise_are_warned_of_before_training(x, size):
    model = DDPM(linear_network(), (3,), schedule="cosine")
    with pytest.warns(ddpm.DiffusionWarning, match=rf"mean square of {size}.* 2x − 1"):
        model.validate(x)


def test_a_diffusion_warning_is_a_training_warning():
    assert issubclass(ddpm.DiffusionWarning, sg.training.TrainingWarning)


@pytest.mark.parametrize("predicts", ["noise", "velocity"])
def test_a_network_that_ends_in_tanh_cannot_give_the_noise(predicts):
    class Bounded(nn.Network):
        def __init__(self):
            self.layer = nn.Linear(3, 3, rng=rng())

        def __call__(self, x, time, rng=None):
            return ops.tanh(self.layer(x))

    model = DDPM(Bounded(), (3,), schedule="cosine", predicts=predicts)
    with pytest.raises(ValueError, match=r"ends in tanh.* \[-1, 1\].* since noise has no bounds"):
        model.validate(rng().standard_normal((50, 3), dtype=np.float32))


@pytest.mark.parametrize(
    ("shape", "given", "cure"),
    [
        ((3, 8, 8), (8, 8, 3), "x.transpose(0, 3, 1, 2)"),
        ((1, 8, 8), (8, 8, 1), "x.transpose(0, 3, 1, 2)"),
        ((1, 8, 8), (8, 8), "x.reshape(-1, 1, 8, 8)"),
        ((3, 8, 8), (192,), "x.reshape(-1, 3, 8, 8)"),
    ],
)
def test_samples_of_another_shape_are_transposed_or_reshaped_as_they_need(shape, given, cure):
    model = DDPM(UNet(shape[0], 8, rng=rng()), shape, T=5)
    x = np.zeros((2, *given), np.float32)
    with pytest.raises(ValueError, match=re.escape(f"take {cure}; or build it")):
        model.validate(x)
    assert eval(cure, {"x": x}).shape[1:] == shape


def test_grey_images_are_not_reshaped_to_colours():
    with pytest.raises(ValueError, match=r"got \(8, 8\); or build it for that shape"):
        DDPM(UNet(3, 8, rng=rng()), (3, 8, 8), T=5).validate(np.zeros((2, 8, 8), np.float32))
