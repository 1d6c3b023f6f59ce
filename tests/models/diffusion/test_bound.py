"""The bound of a diffusion model on Gaussian data, where each term has a closed form."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.backend import copy_of, device_of
from scratchgen.distributions import Gaussian
from scratchgen.models import DDPM
from scratchgen.models.diffusion import bound
from tests import strict

M, S = 0.7, 0.5


def ddpm(T, schedule="cosine", variance="beta", m=M, s=S, D=1, **settings):
    """The chain of data N(m, s²) with the best of all denoisers, E[ε|x_t]."""

    def noise(x, time):
        left = model.alpha_bar[np.rint(time * T).astype(int)].reshape(-1, 1)
        return np.sqrt(1 - left) * (x - np.sqrt(left) * m) / (left * s**2 + 1 - left)

    model = DDPM(noise, (D,), T, schedule, variance, **settings)
    return model


def data(n, D=1, m=M, s=S):
    return m + s * sg.generator(1).standard_normal((n, D))


def log_density(x, m=M, s=S):
    return (-0.5 * ((x - m) / s) ** 2 - 0.5 * math.log(2 * math.pi * s**2)).sum(axis=1)


def average(model, x, t):
    """Over ε = ±1, exact for what is quadratic in the one number ε."""
    return sum(bound.step_cost(model, x, t, e * np.ones_like(x)) for e in (1.0, -1.0)) / 2


def within(samples, expected, standard_errors=5):
    error = samples.std(ddof=1) / math.sqrt(len(samples))
    return abs(samples.mean() - expected) <= standard_errors * error


schedules = pytest.mark.parametrize("schedule", ["linear", "cosine"])
variances = pytest.mark.parametrize("variance", ["beta", "posterior"])


@schedules
@variances
@pytest.mark.parametrize("predicts", ["noise", "velocity"])
def test_the_cost_of_a_step_is_the_kl_of_its_two_distributions(schedule, variance, predicts):
    T, x, eps = 20, data(6, 3), sg.generator(2).standard_normal((6, 3))
    of_noise = ddpm(T, schedule, variance, D=3)

    def velocity(xt, time):
        t = np.rint(time * T).astype(int)
        left = of_noise.alpha_bar[t].reshape(-1, 1)
        e = of_noise.network(xt, time)
        return (e - np.sqrt(1 - left) * xt) / np.sqrt(left)

    network = of_noise.network if predicts == "noise" else velocity
    model = DDPM(network, (3,), T, schedule, variance, predicts, clip=(-0.5, 0.9))
    for t in range(T):
        xt = model.q_sample(x, t, eps)
        log_var = math.log(model.sigma[t] ** 2 if t else model.beta[0])
        p = Gaussian(model.p_sample(xt, t), log_var)
        if t:
            mean, var = model.noising.posterior(x, xt, t - 1, t)
            expected = Gaussian(mean, math.log(var.item())).kl(p)
        else:
            expected = p.nll(x)
        np.testing.assert_allclose(bound.step_cost(model, x, t, eps), expected, rtol=1e-7)


@schedules
@variances
@pytest.mark.parametrize("T", [10, 100, 1000])
def test_each_term_of_gaussian_data_is_its_closed_form(schedule, variance, T):
    model, n = ddpm(T, schedule, variance), 1500
    beta, alpha, left = model.beta, model.alpha, model.alpha_bar
    before = np.append(1.0, left[:-1])
    ratio = np.ones(T)
    if variance == "beta":
        ratio[1:] = ((1 - before) / (1 - left))[1:]
    sigma2 = np.append(beta[0], ((1 - before) / (1 - left) * beta / ratio)[1:])
    # E (ε − ε̂)² over data and noise is the posterior variance of ε.
    error = left * S**2 / (left * S**2 + 1 - left)
    steps = beta**2 / (2 * sigma2 * alpha * (1 - left)) * error
    denoising = steps[1:] + 0.5 * (ratio - 1 - np.log(ratio))[1:]
    for t in range(0, T, max(T // 5, 1)):
        # Over the data too: x₀ = m ± s has its moments.
        found = average(model, np.array([[M - S], [M + S]]), t).mean()
        expected = denoising[t - 1] if t else steps[0] + 0.5 * math.log(2 * math.pi * beta[0])
        assert found == pytest.approx(expected, rel=1e-8)
    reconstruction, prior, of_steps = model.elbo_terms(data(n), sg.generator(3))
    assert within(reconstruction, steps[0] + 0.5 * math.log(2 * math.pi * beta[0]))
    kl = 0.5 * (left[-1] * (M**2 + S**2) - left[-1] - math.log1p(-left[-1]))
    assert within(prior, kl)
    assert within(of_steps, denoising.sum())
    # Together they are no less than the entropy of the data.
    entropy = 0.5 * math.log(2 * math.pi * math.e * S**2)
    assert steps[0] + 0.5 * math.log(2 * math.pi * beta[0]) + kl + denoising.sum() > entropy


@schedules
@pytest.mark.parametrize("T", [1, 2, 10, 300])
def test_the_bound_is_exact_for_standard_normal_data_and_the_variance_beta(schedule, T):
    # The forward chain is then at its equilibrium, and its own reverse.
    model, x = ddpm(T, schedule, m=0.0, s=1.0), np.array([[-1.3], [0.0], [2.0]])
    cost = sum(average(model, x, t) for t in range(T)) + model.noising.prior_kl(x)
    np.testing.assert_allclose(-cost, log_density(x, 0.0, 1.0), rtol=0, atol=1e-10)


def test_the_gap_of_gaussian_data_closes_with_more_steps():
    def gap(T):
        model, x = ddpm(T), np.array([[M - S], [M + S]])
        cost = sum(average(model, x, t) for t in range(T)) + model.noising.prior_kl(x)
        return (cost + log_density(x)).mean()

    gaps = [gap(T) for T in (5, 20, 80, 320)]
    assert min(gaps) > 0
    assert gaps == sorted(gaps, reverse=True)


@variances
@pytest.mark.parametrize("T", [1, 2, 30])
def test_along_a_path_the_bound_is_the_same_on_average(variance, T):
    model, x = ddpm(T, "cosine", variance, D=2), np.repeat([[0.2, 1.1]], 20_000, axis=0)
    apart, along = model.elbo_terms(x, sg.generator(1)), bound.path_terms(model, x, sg.generator(2))
    difference = sum(apart) - sum(along)  # independent of each other
    assert within(difference, 0.0)
    assert within(apart[0] - along[0], 0.0)
    if T == 1:
        np.testing.assert_allclose(along[1], apart[1], rtol=1e-12)
        np.testing.assert_array_equal(along[2], np.zeros(len(x)))


def test_the_printed_consistency_term_is_far_from_the_term():
    # The notes print D_KL(q(x_t|x_{t−1}) ‖ p(x_t|x_{t+1})) at an x_{t+1} that comes from x_t
    # (erratum E23). In this chain the two differ by Σ α_{t+1} β_t/β_{t+1}: the noise of x_t stands
    # in the printed form twice, once of its own and once in x_{t+1}.
    T, n = 300, 200
    model, x = ddpm(T, "linear", m=0.0, s=1.0), sg.generator(4).standard_normal((200, 1))
    printed, rng, xt = np.zeros(n), sg.generator(5), x
    consistency = bound.path_terms(model, x, sg.generator(5))[2]
    steps = [Gaussian(math.sqrt(model.alpha[0]) * xt, math.log(model.beta[0]))]
    for t in range(1, T):
        xt = steps[-1].draw(rng)
        steps.append(Gaussian(math.sqrt(model.alpha[t]) * xt, math.log(model.beta[t])))
        after = steps[-1].draw(copy_of(rng))
        p = Gaussian(model.p_sample(after, t), math.log(model.beta[t]))
        printed += steps[-2].kl(p)
    excess = (model.alpha[1:] * model.beta[:-1] / model.beta[1:]).sum()
    assert excess > 280
    assert within(printed - consistency, excess)
    assert abs(consistency.mean()) < 4


def test_bits_per_dimension_are_the_bound_in_bits():
    model, x = ddpm(10, D=3), data(5, 3)
    bits = model.bits_per_dim(x, sg.generator(1))
    terms = model.elbo_terms(x, sg.generator(1))
    np.testing.assert_allclose(bits * 3 * math.log(2), sum(terms), rtol=1e-13)


def test_terms_of_images_in_float32_stay_on_the_device(device):
    before = strict.transfers
    model = DDPM(lambda x, time: 0.5 * x, (1, 4, 4), 5, "cosine", "posterior", clip=(-1, 1))
    rng = sg.generator(0, device)
    x = rng.standard_normal((3, 1, 4, 4), dtype=np.float32)
    for terms in (model.elbo_terms(x, rng), bound.path_terms(model, x, rng)):
        for term in (*terms, model.bits_per_dim(x, rng)):
            assert (device_of(term), term.dtype, term.shape) == (device, np.float32, (3,))
    assert strict.transfers == before
