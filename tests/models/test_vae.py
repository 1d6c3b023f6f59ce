"""The variational autoencoder against closed forms, against PyTorch, and on the device."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import nn, optim
from scratchgen import operations as ops
from scratchgen.backend import device_of
from scratchgen.models import IWAE, VAE, vae
from tests import strict


def rng(seed=0):
    return sg.generator(seed)


def within(samples, expected, standard_errors=5):
    """The mean of independent samples lies within so many standard errors of what is expected."""
    samples = np.asarray(samples)
    error = samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
    return bool((np.abs(samples.mean(axis=0) - expected) <= standard_errors * error).all())


def constant(n_in, values):
    """A linear layer whose output is ``values`` whatever comes in."""
    layer = nn.Linear(n_in, len(values), rng=rng()).astype(np.float64)
    layer.load_state_dict({"weight": np.zeros((len(values), n_in)), "bias": values})
    return layer


def smooth(likelihood="bernoulli", D=5, k=2, hidden=4, n_samples=1, seed=0):
    """An autoencoder without kinks, in float64."""
    source, n_out = rng(seed), D if likelihood == "bernoulli" else 2 * D
    encoder = nn.Sequential(
        nn.Linear(D, hidden, rng=source), nn.Tanh(), nn.Linear(hidden, 2 * k, rng=source)
    )
    decoder = nn.Sequential(
        nn.Linear(k, hidden, rng=source), nn.SiLU(), nn.Linear(hidden, n_out, rng=source)
    )
    return VAE(encoder, decoder, k, likelihood, n_samples).astype(np.float64)


# The parts: KL, reparameterisation, likelihoods


@given(st.floats(-2, 2), st.floats(-3, 2))
def test_gaussian_kl_is_the_integral_of_q_log_q_over_p(mu, log_var):
    sigma = math.exp(log_var / 2)
    h = np.linspace(mu - 12 * sigma, mu + 12 * sigma, 4001)
    log_q = -0.5 * ((h - mu) / sigma) ** 2 - 0.5 * log_var - 0.5 * math.log(2 * math.pi)
    log_p = -0.5 * h**2 - 0.5 * math.log(2 * math.pi)
    integral = np.trapezoid(np.exp(log_q) * (log_q - log_p), h)
    kl = ops.gaussian_kl(np.array([[mu]]), np.array([[log_var]]))
    np.testing.assert_allclose(kl, [integral], rtol=1e-9, atol=1e-12)


def test_gaussian_kl_is_the_mean_of_log_q_over_p():
    mu, log_var = np.array([0.5, -1.0, 0.0]), np.array([-1.0, 0.3, 0.8])
    eps = rng(1).standard_normal((100_000, 3))
    h = mu + np.exp(0.5 * log_var) * eps
    log_ratio = (-0.5 * eps**2 - 0.5 * log_var + 0.5 * h**2).sum(axis=1)
    assert within(log_ratio, ops.gaussian_kl(mu[None], log_var[None])[0])


def test_gaussian_kl_is_zero_for_the_prior_alone():
    assert ops.gaussian_kl(np.zeros((1, 3)), np.zeros((1, 3))) == 0
    assert ops.gaussian_kl(np.zeros((1, 3)), np.full((1, 3), 0.1)) > 0
    assert ops.gaussian_kl(np.full((1, 3), 0.1), np.zeros((1, 3))) > 0


def test_the_reparameterised_latent_has_mean_mu_and_standard_deviation_sigma():
    mu, log_var = np.array([1.0, -2.0]), np.log(np.array([9.0, 0.25]))
    n = 100_000
    eps = rng(1).standard_normal((n, 2))
    h = smooth().reparameterize(mu, log_var, eps)
    sigma = np.array([3.0, 0.5])
    assert (np.abs(h.mean(axis=0) - mu) < 5 * sigma / math.sqrt(n)).all()
    assert (np.abs(h.std(axis=0) - sigma) < 5 * sigma / math.sqrt(2 * n)).all()
    assert abs(np.corrcoef(h.T)[0, 1]) < 5 / math.sqrt(n)


def test_the_gradient_flows_through_the_latent_to_mu_and_sigma():
    mu, log_var, eps = (
        sg.Tensor(np.ones((1, 2))),
        sg.Tensor(np.zeros((1, 2))),
        np.array([[2, -1.0]]),
    )
    gradients = sg.gradient(smooth().reparameterize(mu, log_var, eps).sum(), [mu, log_var])
    np.testing.assert_array_equal(gradients[0], [[1, 1]])  # ∂h/∂μ = 1
    np.testing.assert_array_equal(gradients[1], [[1, -0.5]])  # ∂h/∂(log σ²) = ½ σ ε


def test_the_bernoulli_likelihood_is_the_cross_entropy_of_torch_summed_over_pixels(torch):
    model, x, h = smooth(), rng(1).random((6, 5)), 5 * rng(2).standard_normal((6, 2))
    logits = torch.tensor(model.decoder(h).data)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.tensor(x), reduction="none"
    )
    np.testing.assert_allclose(model.nll(x, h).data, expected.sum(dim=1).numpy(), rtol=1e-12)


def test_the_bernoulli_likelihood_of_all_images_sums_to_one():
    model = smooth(D=6)
    x = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    h = np.repeat(rng(1).standard_normal((1, 2)), len(x), axis=0)
    assert np.exp(-model.nll(x, h).data).sum() == pytest.approx(1, rel=1e-12)


def test_the_gaussian_likelihood_integrates_to_one():
    model, grid = smooth("gaussian", D=1), np.linspace(-30, 30, 20_001)[:, None]
    h = np.repeat(rng(1).standard_normal((1, 2)), len(grid), axis=0)
    density = np.exp(-model.nll(grid, h).data)
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1, rel=1e-9)


def test_decode_is_the_mean_of_the_likelihood():
    h = rng(1).standard_normal((3, 2))
    bernoulli, gaussian = smooth(), smooth("gaussian")
    p = 1 / (1 + np.exp(-bernoulli.decoder(h).data))
    np.testing.assert_allclose(bernoulli.decode(h).data, p, rtol=1e-14)
    np.testing.assert_array_equal(gaussian.decode(h).data, gaussian.decoder(h).data[:, :5])


# The bound of a linear Gaussian model, whose evidence is known: x = W h + c + s ε


class LinearGaussian:
    """p(x|h) = N(W h + c, s²), columns of W orthogonal, so that p(h|x) = N(m(x), diag v) too."""

    def __init__(self, k, D=3, s=0.7, seed=0):
        source = rng(seed)
        columns = np.linalg.qr(source.standard_normal((D, k)))[0]
        self.W, self.c = columns * source.uniform(0.5, 2, k), source.standard_normal(D)
        self.k, self.D, self.s2 = k, D, s * s
        self.v = 1 / (1 + (self.W**2).sum(axis=0) / self.s2)
        self.to_m = self.v[:, None] * self.W.T / self.s2

    def data(self, n):
        h, noise = rng(1).standard_normal((n, self.k)), rng(2).standard_normal((n, self.D))
        return h @ self.W.T + self.c + math.sqrt(self.s2) * noise

    def log_evidence(self, x):
        """log N(x; c, W Wᵀ + s² I)."""
        S = self.W @ self.W.T + self.s2 * np.eye(self.D)
        r = x - self.c
        quadratic = (r * np.linalg.solve(S, r.T).T).sum(axis=1)
        return -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * S)[1])

    def vae(self, shift=0.0, widen=1.0):
        """Its autoencoder; q(h|x) = N(m(x) + shift, widen v) departs from the posterior at will."""
        encoder = nn.Linear(self.D, 2 * self.k, rng=rng()).astype(np.float64)
        encoder.load_state_dict(
            {
                "weight": np.concatenate([self.to_m, np.zeros((self.k, self.D))]),
                "bias": np.concatenate([shift - self.to_m @ self.c, np.log(widen * self.v)]),
            }
        )
        decoder = nn.Linear(self.k, 2 * self.D, rng=rng()).astype(np.float64)
        decoder.load_state_dict(
            {
                "weight": np.concatenate([self.W, np.zeros((self.D, self.k))]),
                "bias": np.concatenate([self.c, np.full(self.D, math.log(self.s2))]),
            }
        )
        return VAE(encoder, decoder, self.k, "gaussian")

    def kl_to_posterior(self, shift, widen):
        """D_KL(N(m + shift, widen v) ‖ N(m, v)), the same for every x."""
        return 0.5 * (shift**2 / self.v + widen - 1 - math.log(widen)).sum()

    def sigma_points(self, n):
        """2k values of ε with the moments of N(0, I) up to the third: exact for log p(x|h)."""
        e = math.sqrt(self.k) * np.eye(self.k)
        return np.repeat(np.concatenate([e, -e])[:, None, :], n, axis=1)


latents = pytest.mark.parametrize("k", [1, 2])
departures = pytest.mark.parametrize(
    ("shift", "widen"), [(0.3, 1.0), (0.0, 2.5), (0.0, 0.4), (-0.5, 1.7)]
)


@latents
def test_the_elbo_is_the_evidence_where_the_encoder_is_the_posterior(k):
    truth = LinearGaussian(k)
    x = truth.data(8)
    elbo = truth.vae().elbo(x, truth.sigma_points(8)).data
    np.testing.assert_allclose(elbo, truth.log_evidence(x), rtol=1e-12)


@latents
def test_the_importance_weights_are_the_evidence_where_the_encoder_is_the_posterior(k):
    truth = LinearGaussian(k)
    x = truth.data(8)
    for n_samples in [1, 3]:
        estimate = truth.vae().log_likelihood(x, n_samples, rng(5))
        np.testing.assert_allclose(estimate, truth.log_evidence(x), rtol=1e-12)


@latents
@departures
def test_the_elbo_falls_short_of_the_evidence_by_the_kl_to_the_posterior(k, shift, widen):
    truth = LinearGaussian(k)
    x = truth.data(8)
    elbo = truth.vae(shift, widen).elbo(x, truth.sigma_points(8)).data
    gap = truth.kl_to_posterior(shift, widen)
    assert gap > 0
    np.testing.assert_allclose(elbo, truth.log_evidence(x) - gap, rtol=1e-12)


@latents
@departures
def test_the_elbo_is_below_the_importance_weighted_bound_and_this_below_the_evidence(
    k, shift, widen
):
    truth, n = LinearGaussian(k), 4000
    model, x = truth.vae(shift, widen), truth.data(1)
    copies = np.repeat(x, n, axis=0)
    bounds = [model.log_likelihood(copies, n_samples, rng(3)) for n_samples in (1, 5, 50)]
    evidence = truth.log_evidence(x)
    elbo = evidence - truth.kl_to_posterior(shift, widen)
    means = [bound.mean() for bound in bounds]
    errors = [bound.std() / math.sqrt(n) for bound in bounds]
    assert within(bounds[0], elbo)  # L = 1 is the ELBO
    assert means[0] + 5 * errors[0] < means[1] - 5 * errors[1]
    assert means[1] < means[2] + 5 * errors[2]
    assert means[2] < evidence + 5 * errors[2]
    assert evidence - means[2] < (evidence - elbo) / 2


@latents
def test_the_elbo_with_random_noise_has_that_mean(k):
    truth = LinearGaussian(k)
    model, x = truth.vae(0.3, 1.5), truth.data(1)
    elbo = model.elbo(np.repeat(x, 20_000, axis=0), rng=rng(4)).data
    assert within(elbo, truth.log_evidence(x) - truth.kl_to_posterior(0.3, 1.5))


# The estimate


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from(["bernoulli", "gaussian"]))
def test_the_bound_of_L_samples_is_the_mean_of_those_of_one(L, n, likelihood):
    # The notes print a sum over l (erratum E8).
    model, x, eps = smooth(likelihood), rng(1).random((n, 5)), rng(2).standard_normal((L, n, 2))
    each = [model.elbo(x, noise).data for noise in eps]
    np.testing.assert_allclose(model.elbo(x, eps).data, np.mean(each, axis=0), rtol=1e-12)


@pytest.mark.parametrize("L", [1, 3])
def test_n_samples_is_the_number_of_latents_drawn_per_image(L):
    model, x = smooth(n_samples=L), rng(1).random((4, 5))
    eps = rng(7).standard_normal((L, 4, 2))
    np.testing.assert_array_equal(model.elbo(x, rng=rng(7)).data, model.elbo(x, eps).data)


def test_the_bound_is_minus_its_two_terms_one_number_per_image():
    model, x, eps = smooth(), rng(1).random((4, 5)), rng(2).standard_normal((4, 2))
    nll, kl = model.elbo_terms(x, eps)
    mu, log_var = model.encode(x)
    assert nll.shape == kl.shape == model.elbo(x, eps).shape == (4,)
    np.testing.assert_array_equal(kl.data, ops.gaussian_kl(mu.data, log_var.data))
    h = mu.data + np.exp(0.5 * log_var.data) * eps
    np.testing.assert_allclose(nll.data, model.nll(x, h).data, rtol=1e-13)
    np.testing.assert_array_equal(model.elbo(x, eps).data, -nll.data - kl.data)


def test_the_bound_needs_noise():
    with pytest.raises(ValueError, match="give eps, or rng to draw it"):
        smooth().elbo(np.ones((2, 5)))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_images_are_taken_as_rows(likelihood):
    model = vae.dense(64, 10, 2, rng(), likelihood).astype(np.float64)
    images = sg.datasets.digits()[0][:6].astype(np.float64)
    assert images.shape == (6, 1, 8, 8)
    rows, eps = images.reshape(6, 64), rng(1).standard_normal((6, 2))
    for ours, expected in zip(model.encode(images), model.encode(rows), strict=True):
        np.testing.assert_array_equal(ours.data, expected.data)
    np.testing.assert_array_equal(model.elbo(images, eps).data, model.elbo(rows, eps).data)
    np.testing.assert_array_equal(
        model.log_likelihood(images, 3, rng(2)), model.log_likelihood(rows, 3, rng(2))
    )


def test_losses_yield_minus_the_mean_bound_and_report_its_parts():
    model, x = smooth(), rng(1).random((4, 5))
    losses = model.losses(x, rng(3))
    cost = next(losses)
    assert cost.data == pytest.approx(-model.elbo(x, rng=rng(3)).data.mean(), rel=1e-14)
    with pytest.raises(StopIteration) as end:
        next(losses)
    report = end.value.value
    assert report.keys() == {"reconstruction", "KL"}
    assert cost.data == pytest.approx(report["reconstruction"] + report["KL"], rel=1e-14)


@pytest.mark.parametrize("beta", [0.0, 0.3, 4.0])
def test_beta_weighs_the_kl_in_the_cost_and_nothing_else(beta):
    model, x = smooth(), rng(1).random((4, 5))
    nll, kl = (term.data.mean() for term in model.elbo_terms(x, rng=rng(3)))
    elbo = model.elbo(x, rng=rng(3)).data
    model.beta = beta
    cost = next(model.losses(x, rng(3)))
    assert cost.data == pytest.approx(nll + beta * kl, rel=1e-14)
    np.testing.assert_array_equal(model.elbo(x, rng=rng(3)).data, elbo)


@pytest.mark.parametrize("beta", [-0.1, math.inf, math.nan])
def test_a_weight_that_is_no_weight_is_refused(beta):
    with pytest.raises(ValueError, match="beta, the weight of the KL, is a number from 0"):
        VAE(nn.Linear(3, 2, rng=rng()), nn.Linear(1, 3, rng=rng()), 1, beta=beta)


def test_the_kl_of_the_units_adds_up_to_that_of_the_bound():
    model, x = smooth(), rng(1).random((40, 5))
    _, kl = model.elbo_terms(x, rng=rng(3))
    units = model.kl_of_units(x)
    assert units.shape == (2,)
    assert units.sum() == pytest.approx(kl.data.mean(), rel=1e-12)
    mu, log_var = (each.data for each in model.encode(x))
    of_first = ops.gaussian_kl(mu[:, :1], log_var[:, :1]).mean()
    assert units[0] == pytest.approx(of_first, rel=1e-12)


# The importance-weighted bound as an objective


def iwae(k, L, shift=0.0, widen=1.0):
    """An IWAE of the linear Gaussian model, and the data."""
    truth = LinearGaussian(k)
    model = truth.vae(shift, widen)
    return truth, IWAE(model.encoder, model.decoder, k, "gaussian", L)


@latents
@pytest.mark.parametrize("L", [1, 5])
def test_the_importance_weighted_cost_is_minus_the_evidence_where_q_is_the_posterior(k, L):
    truth, model = iwae(k, L)
    x = truth.data(8)
    cost = next(model.losses(x, rng(3)))
    assert cost.data == pytest.approx(-truth.log_evidence(x).mean(), rel=1e-12)


def test_the_importance_weighted_cost_is_the_bound_of_the_same_noise():
    truth, model = iwae(2, 5, 0.3, 1.7)
    x = truth.data(8)
    losses = model.losses(x, rng(3))
    cost = next(losses)
    bound = model.log_likelihood(x, 5, rng(3))
    assert cost.data == pytest.approx(-bound.mean(), rel=1e-12)
    with pytest.raises(StopIteration) as end:
        next(losses)
    assert cost.data < end.value.value["−ELBO"]  # Jensen's inequality, for these latents


def test_the_gradient_of_the_importance_weighted_cost_is_its_slope():
    truth, model = iwae(2, 3, 0.3, 1.7)
    x, step = truth.data(4), 1e-5

    def cost():
        return next(model.losses(x, rng(3)))

    gradients = sg.gradient(cost(), model.parameters())
    for (name, p), gradient in zip(model.named_parameters(), gradients, strict=True):
        direction = rng(4).standard_normal(p.shape)
        values = p.data.copy()
        p.data[...] = values + step * direction
        above = float(cost().data)
        p.data[...] = values - step * direction
        slope = (above - float(cost().data)) / (2 * step)
        p.data[...] = values
        assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-6, abs=1e-8), name


def test_training_the_importance_weighted_bound_widens_an_encoder_that_is_too_narrow():
    # With L = 20 the bound is nearly the evidence, whose optimum the posterior is not needed for:
    # the encoder's variance may exceed that of the posterior, never collapse below it.
    truth, model = iwae(1, 20, widen=0.2)
    x, adam = truth.data(500), optim.Adam(model.encoder.parameters(), lr=0.02)
    for _ in range(150):
        adam.step(sg.gradient(next(model.losses(x, rng())), adam.parameters))
    _, log_var = model.frozen().encode(x)
    assert np.exp(log_var).mean() > 0.8 * truth.v[0]


# The gradient


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("L", [1, 3])
def test_the_gradient_of_minus_the_bound_is_its_slope_along_every_parameter(likelihood, L):
    model, x = smooth(likelihood), rng(1).random((4, 5))
    eps, step = rng(2).standard_normal((L, 4, 2)), 1e-5

    def cost():
        return (-model.elbo(x, eps)).mean()

    gradients = sg.gradient(cost(), model.parameters())
    for (name, p), gradient in zip(model.named_parameters(), gradients, strict=True):
        slope = np.empty(p.shape)
        for index in np.ndindex(p.shape):
            value = p.data[index]
            p.data[index] = value + step
            above = float(cost().data)
            p.data[index] = value - step
            slope[index] = (above - float(cost().data)) / (2 * step)
            p.data[index] = value
        # Differences of costs around 5 are rounded by 1e-15/1e-5 = 1e-10.
        np.testing.assert_allclose(gradient, slope, rtol=1e-6, atol=1e-9, err_msg=name)


# Sampling


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_samples_are_the_decoders_means_of_latents_from_the_prior(likelihood):
    model = smooth(likelihood)
    samples = model.sample(7, rng(3))
    assert type(samples) is np.ndarray  # nothing is recorded
    assert samples.shape == (7, 5)
    h = rng(3).standard_normal((7, 2))
    np.testing.assert_array_equal(samples, model.decode(h).data)
    np.testing.assert_array_equal(samples, model.sample(7, rng(3)))
    assert not np.array_equal(samples, model.sample(7, rng(4)))
    if likelihood == "bernoulli":
        assert ((samples > 0) & (samples < 1)).all()


def test_evaluation_records_nothing_and_keeps_the_dtype():
    model = vae.dense(64, 10, 2, rng())
    x = sg.datasets.digits()[0][:3]
    for values in [model.sample(3, rng()), model.log_likelihood(x, 2, rng())]:
        assert type(values) is np.ndarray
        assert values.dtype == np.float32


# What is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"likelihood": "poisson"}, "is 'bernoulli', 'gaussian' or 'spin', got 'poisson'"),
        ({"n_latent": 0}, "n_latent and n_samples are at least 1, got 0, 1"),
        ({"n_samples": 0}, "n_latent and n_samples are at least 1, got 2, 0"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(settings, message):
    encoder, decoder = nn.Linear(5, 4, rng=rng()), nn.Linear(2, 5, rng=rng())
    with pytest.raises(ValueError, match=message):
        VAE(**({"encoder": encoder, "decoder": decoder, "n_latent": 2} | settings))


def test_an_encoder_without_mu_beside_log_var_is_refused():
    model = VAE(nn.Linear(5, 3, rng=rng()), nn.Linear(2, 5, rng=rng()), 2)
    with pytest.raises(ValueError, match=r"the encoder gives \(3,\) numbers .* expected 4"):
        model.validate(np.ones((4, 5), np.float32))


@pytest.mark.parametrize(
    ("likelihood", "D", "n_out"),
    [
        ("bernoulli", 5, 4),
        ("bernoulli", 5, 10),
        ("bernoulli", 5, 1),
        ("bernoulli", 1, 3),
        ("gaussian", 5, 5),
        ("gaussian", 5, 9),
        ("gaussian", 5, 2),
    ],
)
def test_a_decoder_of_another_size_is_refused_with_both_sizes(likelihood, D, n_out):
    model = VAE(nn.Linear(D, 4, rng=rng()), nn.Linear(2, n_out, rng=rng()), 2, likelihood)
    with pytest.raises(ValueError, match=f"decoder.*{n_out}"):
        model.validate(np.ones((4, D), np.float32))


def test_a_decoder_for_other_latents_is_refused():
    model = VAE(nn.Linear(5, 4, rng=rng()), nn.Linear(3, 5, rng=rng()), 2)
    with pytest.raises(ValueError, match="affine takes rows"):
        model.validate(np.ones((4, 5), np.float32))


def test_data_of_another_width_are_refused_before_the_first_step():
    model = vae.dense(64, 10, 2, rng())
    with pytest.raises(ValueError, match=r"\(1, 63\) and \(10, 64\)"):
        sg.train(
            model, np.ones((4, 63)), model.default_optimizers(), epochs=1, batch_size=2, rng=rng()
        )


@pytest.mark.parametrize(("low", "high"), [(-0.01, 1), (0, 1.01), (0, 255), (-1, 1)])
def test_data_outside_0_to_1_are_refused_for_bernoulli_and_accepted_for_gaussian(low, high):
    x = np.full((4, 64), 0.5)
    x[1, 3], x[2, 5] = low, high
    with pytest.raises(ValueError, match=rf"takes data in \[0, 1\], got {low:g} to {high:g}"):
        vae.dense(64, 10, 2, rng()).validate(x)
    with pytest.warns(sg.training.TrainingWarning, match="62 of the 64 entries of x are the same"):
        vae.dense(64, 10, 2, rng(), "gaussian").validate(x)


def test_grey_values_in_0_to_1_are_accepted():
    vae.dense(64, 10, 2, rng()).validate(np.linspace(0, 1, 128).reshape(2, 64))


def test_images_with_their_labels_are_refused_with_what_to_do():
    # datasets.digits() returns both: the model takes the first.
    model = vae.dense(64, 10, 2, rng())
    with pytest.raises((ValueError, TypeError), match=r"images|one array|labels"):
        sg.train(
            model,
            sg.datasets.digits(),
            model.default_optimizers(),
            epochs=1,
            batch_size=64,
            rng=rng(),
        )


# The notes' recipe


def test_the_lectures_model_is_that_of_the_notes():
    model, optimizers = vae.lecture(rng())
    assert {name: p.shape for name, p in model.named_parameters()} == {
        "encoder.0.weight": (400, 784),
        "encoder.0.bias": (400,),
        "encoder.2.weight": (40, 400),
        "encoder.2.bias": (40,),
        "decoder.0.weight": (400, 20),
        "decoder.0.bias": (400,),
        "decoder.2.weight": (784, 400),
        "decoder.2.bias": (784,),
    }
    assert isinstance(model.encoder.layers[1], nn.ReLU)
    assert isinstance(model.decoder.layers[1], nn.ReLU)
    assert (model.n_latent, model.likelihood, model.n_samples) == (20, "bernoulli", 1)
    (adam,) = optimizers
    assert type(adam) is optim.Adam
    assert (adam.lr, adam.betas) == (1e-3, (0.9, 0.999))
    (player,) = model.players
    assert all(p is q for p, q in zip(adam.parameters, player, strict=True))


def digits_of_the_size_of_mnist():
    """The bundled digits, 3 × 3 for each pixel, on 28 × 28, as rows."""
    images = sg.datasets.digits()[0][:, 0]
    return np.pad(np.kron(images, np.ones((3, 3))), ((0, 0), (2, 2), (2, 2))).reshape(-1, 784)


@pytest.mark.rounding
def test_50_steps_of_the_lectures_training_are_those_of_torch(torch):
    model, (adam,) = vae.lecture(rng())
    model.astype(np.float64)
    reference = torch.nn.ModuleDict(
        {
            "encoder": torch.nn.Sequential(
                torch.nn.Linear(784, 400), torch.nn.ReLU(), torch.nn.Linear(400, 40)
            ),
            "decoder": torch.nn.Sequential(
                torch.nn.Linear(20, 400), torch.nn.ReLU(), torch.nn.Linear(400, 784)
            ),
        }
    ).to(torch.float64)
    reference.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})
    reference_adam = torch.optim.Adam(reference.parameters(), lr=1e-3)
    images = digits_of_the_size_of_mnist()
    choice, noise, same_noise = rng(1), rng(2), rng(2)
    costs, expected = [], []
    for _ in range(50):
        x = images[choice.integers(len(images), size=128)]
        cost = next(model.losses(x, noise))
        adam.step(sg.gradient(cost, adam.parameters))
        costs.append(float(cost.data))

        mu, log_var = reference["encoder"](torch.from_numpy(x)).chunk(2, dim=1)
        eps = torch.from_numpy(same_noise.standard_normal((128, 20)))
        logits = reference["decoder"](mu + torch.exp(0.5 * log_var) * eps)
        nll = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.from_numpy(x), reduction="sum"
        )
        kl = -0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp())
        loss = (nll + kl) / 128
        reference_adam.zero_grad()
        loss.backward()
        reference_adam.step()
        expected.append(loss.item())
    assert costs[-1] < costs[0]
    np.testing.assert_allclose(costs, expected, rtol=1e-10)
    state = model.state_dict()
    for name, value in reference.state_dict().items():
        distance = np.abs(state[name] - value.numpy()).max() / np.abs(value.numpy()).max()
        assert distance < 1e-8, name


@pytest.mark.rounding
def test_the_cost_in_float32_is_that_in_float64_to_rounding_and_its_gradients_stay_in_float32():
    # Four layers in a row, each of sums of at most 784 terms, and each term rounded once.
    (model, _), wide = vae.lecture(rng()), vae.lecture(rng())[0].astype(np.float64)
    x, eps = rng(9).random((128, 784), np.float32), rng(2).standard_normal((128, 20), np.float32)
    cost, exact = ((-m.elbo(x.astype(m.dtype), eps.astype(m.dtype))).mean() for m in (model, wide))
    rounding = 4 * 784 * float(np.finfo(np.float32).eps)
    assert float(cost.data) == pytest.approx(float(exact.data), rel=rounding)
    assert {g.dtype for g in sg.gradient(cost, model.parameters())} == {np.dtype(np.float32)}


# Training, on the host and on the device


@pytest.mark.rounding
def test_training_raises_the_bound_of_unseen_digits():
    train_images, test_images = sg.datasets.digits("train")[0], sg.datasets.digits("test")[0]
    model = vae.dense(64, 50, 4, rng())
    before = model.log_likelihood(test_images, 10, rng(5)).mean()
    sg.fit(model, train_images, epochs=5, batch_size=64, rng=rng(1))
    assert model.log_likelihood(test_images, 10, rng(5)).mean() > before + 10


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_step_on_the_device_is_that_of_the_host_without_a_transfer(device, likelihood):
    images, eps = sg.datasets.digits()[0][:16].astype(np.float64), rng(1).standard_normal((16, 2))
    host = vae.dense(64, 10, 2, rng(), likelihood).astype(np.float64)
    other = vae.dense(64, 10, 2, sg.generator(0, device), likelihood).astype(np.float64)
    other.load_state_dict(host.state_dict())
    before = strict.transfers
    for model, x, noise in [
        (host, images, eps),
        (other, sg.to_device(images, device), sg.to_device(eps, device)),
    ]:
        (adam,) = model.default_optimizers()
        for _ in range(2):
            cost = (-model.elbo(x, noise)).mean()
            adam.step(sg.gradient(cost, adam.parameters))
    assert strict.transfers == before
    for name, value in other.state_dict().items():
        assert device_of(value) == device
        np.testing.assert_allclose(sg.to_host(value), host.state_dict()[name], atol=1e-9)


def test_losses_and_samples_of_the_device_stay_there(device):
    source = sg.generator(0, device)
    model, before = vae.dense(64, 10, 2, source), strict.transfers
    losses = model.losses(sg.to_device(sg.datasets.digits()[0][:16], device), source)
    arrays = [next(losses).data]
    with pytest.raises(StopIteration) as end:
        next(losses)
    arrays += [*end.value.value.values(), model.sample(3, source)]
    assert strict.transfers == before
    assert {device_of(a) for a in arrays} == {device}
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


@pytest.mark.rounding
def test_training_on_the_device_is_that_of_the_host_and_reads_only_each_epochs_numbers(monkeypatch):
    strict.install(monkeypatch)
    images, states, histories = sg.datasets.digits()[0][:100].astype(np.float64), {}, {}
    for device in ["cpu", "cuda"]:
        source, seen = sg.generator(0, device), []
        model = vae.dense(64, 10, 2, source).astype(np.float64)

        def count(starts, seen=seen):
            for start in starts:
                seen.append(strict.transfers)
                yield start
            seen.append(strict.transfers)

        epochs = sg.train(
            model, images, model.default_optimizers(), epochs=3, batch_size=32, rng=source,
            progress=count,
        )  # fmt: skip
        checks = strict.transfers
        histories[device] = list(epochs)
        if device == "cuda":
            # Within an epoch none; after it the cost, the reconstruction and the KL.
            assert seen == [checks + 3 * epoch for epoch in range(3) for _ in range(5)]
            assert strict.transfers == checks + 9
        states[device] = {k: sg.to_host(v) for k, v in model.state_dict().items()}
    for name, value in states["cpu"].items():
        np.testing.assert_allclose(states["cuda"][name], value, rtol=1e-9, atol=1e-9)
    for host, on_device in zip(histories["cpu"], histories["cuda"], strict=True):
        assert on_device.values() == pytest.approx(host.values(), rel=1e-9)


@latents
def test_on_the_device_too_the_importance_weights_of_the_posterior_are_the_evidence(device, k):
    truth = LinearGaussian(k)
    x, model = truth.data(8), truth.vae()
    for p in model.parameters():
        p.data = sg.to_device(p.data, device)
    there, eps = sg.to_device(x, device), sg.to_device(truth.sigma_points(8), device)
    weighted = model.log_likelihood(there, 3, sg.generator(5, device))
    for bound in [weighted, model.elbo(there, eps).data]:
        assert device_of(bound) == device
        np.testing.assert_allclose(sg.to_host(bound), truth.log_evidence(x), rtol=1e-11)


def test_dropout_in_the_networks_acts_in_training_only():
    encoder = nn.Sequential(nn.Linear(6, 4, rng=rng()), nn.Dropout(0.5))
    model = VAE(encoder, nn.Linear(2, 6, rng=rng()), 2)
    x, eps = np.full((50, 6), 0.5, np.float32), np.zeros((50, 2), np.float32)
    np.testing.assert_array_equal(model.elbo(x, eps).data, model.elbo(x, eps).data)
    mu, _ = model.encode(x, sg.generator(0))
    assert 0.3 < (mu.data == 0).mean() < 0.7
    kl = [next(iter([*_reports(model, x, seed)])) for seed in range(2)]
    assert kl[0] != kl[1]


def _reports(model, x, seed):
    losses = model.losses(x, sg.generator(seed))
    next(losses)
    try:
        next(losses)
    except StopIteration as end:
        yield end.value["KL"]


def test_a_frozen_model_samples_as_the_model_does():
    model = vae.dense(6, 5, 2, rng())
    frozen = model.frozen().sample(3, sg.generator(0))
    np.testing.assert_array_equal(frozen, model.sample(3, sg.generator(0)))
    assert model.astype(np.float64).sample(3, sg.generator(0)).dtype == np.float64


@pytest.mark.slow
def test_the_lectures_training_on_mnist_ends_below_106_nats(published, monkeypatch):
    monkeypatch.setenv("SCRATCHGEN_DATA", str(next(iter(published.values())).parent))
    generator = rng()
    model, optimizers = vae.lecture(generator)
    images, _ = sg.datasets.mnist("train")
    held_out, _ = sg.datasets.mnist("test")
    for _ in sg.train(model, images, optimizers, epochs=10, batch_size=128, rng=generator):
        pass
    elbo = [model.frozen().elbo(part, rng=generator) for part in np.split(held_out, 10)]
    assert -np.mean(elbo) <= 106


# What the networks can give


def ending(*end, likelihood="bernoulli", encoder_end=()):
    n_out = 6 if likelihood == "bernoulli" else 12
    encoder = nn.Sequential(nn.Linear(6, 4, rng=rng()), *encoder_end)
    return VAE(encoder, nn.Sequential(nn.Linear(2, n_out, rng=rng()), *end), 2, likelihood)


GREY = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ([nn.Sigmoid()], "sigmoid"),
        ([nn.Sequential(nn.Sigmoid())], "sigmoid"),
        ([nn.Sigmoid(), nn.Reshape(1, 2, 3)], "sigmoid"),
        ([nn.Softmax()], "softmax"),
        ([nn.Tanh()], "tanh"),
        ([nn.ReLU()], "relu"),
    ],
    ids=repr,
)
def test_a_decoder_that_cannot_give_logits_is_refused_with_its_last_operation(end, said):
    message = rf"the decoder ends in {said}, .* expected logits.* leave its last layer out, .* σ"
    with pytest.raises(ValueError, match=message):
        ending(*end).validate(GREY)


def test_an_encoder_that_ends_in_an_activation_is_refused():
    for end in (nn.Sigmoid(), nn.Tanh(), nn.ReLU()):
        with pytest.raises(ValueError, match="means of the latents"):
            ending(encoder_end=[end]).validate(GREY)


class TwoHeads(nn.Network):
    def __init__(self, of_log_var):
        self.mu, self.log_var = nn.Linear(6, 2, rng=rng()), nn.Linear(6, 2, rng=rng())
        self.of_log_var = of_log_var

    def __call__(self, x, rng=None):
        return ops.concatenate([self.mu(x), self.of_log_var(self.log_var(x))], axis=1)


def test_log_variances_that_cannot_be_small_are_refused_and_clipped_ones_are_not():
    decoder = nn.Linear(2, 6, rng=rng())
    with pytest.raises(ValueError, match="log variances of the latents are at least 0"):
        VAE(TwoHeads(ops.softplus), decoder, 2).validate(GREY)
    for legitimate in (lambda z: ops.clip(z, lower=-10, upper=10), lambda z: -ops.softplus(z)):
        VAE(TwoHeads(legitimate), decoder, 2).validate(GREY)


def test_the_means_of_a_gaussian_decoder_may_have_any_range():
    class Decoder(nn.Network):
        def __init__(self):
            self.layer = nn.Linear(2, 12, rng=rng())

        def __call__(self, h, rng=None):
            out = self.layer(h)
            return ops.concatenate([ops.sigmoid(out[:, :6]), out[:, 6:]], axis=1)

    VAE(nn.Linear(6, 4, rng=rng()), Decoder(), 2, "gaussian").validate(GREY)
    with pytest.warns(sg.training.TrainingWarning, match=r"at least 0, so that no x .* ± 1"):
        ending(nn.Sigmoid(), likelihood="gaussian").validate(GREY)


@pytest.mark.parametrize(
    ("x", "cure"),
    [
        (np.where(GREY > 0.5, 1.0, -1.0), r"\(s \+ 1\) / 2 makes spins"),
        (2 * GREY - 1, r"\(x \+ 1\) / 2 brings \[−1, 1\]"),
        (np.round(255 * GREY), "x / 255 brings"),
        (np.round(16 * GREY), "x / 16 brings"),
        (3 * GREY, "or, for centred data of variance about 1, take a Gaussian likelihood"),
    ],
    ids=["spins", "centred", "bytes", "17 levels", "others"],
)
def test_data_that_are_no_means_are_refused_with_what_makes_them_so(x, cure):
    with pytest.raises(ValueError, match=cure):
        ending().validate(x)


def test_spins_as_integers_are_told_what_to_become():
    with pytest.raises(ValueError, match=r"got int64: for spins ±1, \(s \+ 1\) / 2"):
        ending().validate(np.where(GREY > 0.5, 1, -1))


# Convolutions


def convolving(likelihood="bernoulli", channels=1):
    encoder = nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2, padding=1, rng=rng()),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(64, 6, rng=rng(1)),
    )
    c_out = channels * (1 if likelihood == "bernoulli" else 2)
    decoder = nn.Sequential(
        nn.Linear(3, 64, rng=rng(2)),
        nn.Tanh(),
        nn.Reshape(4, 4, 4),
        nn.ConvTranspose2d(4, c_out, 4, stride=2, padding=1, rng=rng(3)),
    )
    return VAE(encoder, decoder, 3, likelihood)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_are_given_images_and_give_images(likelihood, channels):
    model, x = convolving(likelihood, channels), rng(5).random((20, channels, 8, 8))
    sg.fit(model, x, epochs=1, batch_size=10, rng=rng())
    assert model.sample(4, rng()).shape == model.draw(4, rng()).shape == (4, channels, 8, 8)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_bound_of_a_decoder_that_convolves_is_that_of_its_outputs_as_rows(likelihood):
    model, x = convolving(likelihood, 3).astype(np.float64), rng(5).random((4, 3, 8, 8))
    h = rng(6).standard_normal((4, 3))
    out = model.decoder(h).data.reshape(4, -1)
    rows = x.reshape(4, -1)
    if likelihood == "bernoulli":
        expected = ops.bernoulli_nll(out, rows)
    else:
        expected = ops.gaussian_nll(out[:, :192], out[:, 192:], rows)
    np.testing.assert_allclose(model.nll(x, h).data, expected, rtol=1e-13)


@pytest.mark.long
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", 9])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 10), (1, 5, 1)])
def test_the_convolutional_autoencoder_takes_images_and_rows_of_any_size(shape, likelihood):
    model = vae.convolutional(shape, 4, 3, rng(), likelihood).astype(np.float64)
    x = np.rint(8 * rng(5).random((6, *shape))) / 8
    model.validate(x)
    assert model.sample(2, rng()).shape == model.draw(2, rng()).shape == (2, *shape)
    eps = rng(6).standard_normal((6, 3))
    rows = model.elbo(x.reshape(6, -1), eps).data
    np.testing.assert_array_equal(model.elbo(x, eps).data, rows)
    assert sg.check_network(model.encoder, x[:2].reshape(2, -1)).ok


@pytest.mark.parametrize("shape", [(64,), (8, 8), (0, 8, 8)])
def test_what_is_no_image_has_no_convolutional_autoencoder(shape):
    with pytest.raises(ValueError, match=r"convolutions take images \(channels, height, width\)"):
        vae.convolutional(shape, 4, 3, rng())


def test_the_bound_of_pixels_with_levels_is_one_of_their_probabilities():
    model = vae.dense(1, 4, 1, rng(), 3).astype(np.float64)
    h = rng(1).standard_normal((5, 1))
    total = sum(np.exp(-model.nll(np.full((5, 1), x), h).data) for x in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(total, 1, rtol=1e-12)
    x = np.full((4000, 1), 0.5)
    log_p = [model.log_likelihood(np.full((1, 1), x), 4000, rng(2)) for x in (0.0, 0.5, 1.0)]
    assert np.exp(log_p).sum() == pytest.approx(1, abs=0.05)  # weights of 4,000 draws
    assert model.elbo(x, rng=rng(3)).data.mean() < log_p[1] + 0.05
    assert set(np.unique(model.draw(50, rng()))) <= {0.0, 0.5, 1.0}


def test_rows_for_an_encoder_that_convolves_are_refused_with_the_layer_that_is_missing():
    with pytest.raises(ValueError, match=r"begin the encoder with nn\.Reshape"):
        convolving().validate(rng().random((4, 64)))


# Draws


def test_draws_of_a_linear_gaussian_model_have_its_covariance_and_samples_that_of_the_means():
    A, variance, n = rng(3).standard_normal((4, 2)), 0.5, 40_000
    decoder = constant(2, np.concatenate([np.zeros(4), np.full(4, math.log(variance))]))
    decoder.load_state_dict(
        {"weight": np.concatenate([A, np.zeros((4, 2))]), "bias": decoder.bias.data.copy()}
    )
    model = VAE(nn.Linear(4, 4, rng=rng()), decoder, 2, "gaussian").astype(np.float64)
    for x, expected in (
        (model.draw(n, rng(1)), A @ A.T + variance * np.eye(4)),
        (model.sample(n, rng(1)), A @ A.T),
    ):
        assert within(x, np.zeros(4))
        assert within(x[:, :, None] * x[:, None, :], expected)


def test_draws_of_bernoulli_entries_are_0_or_1_with_the_decoders_probabilities():
    p = np.array([0.1, 0.5, 0.9])
    model = VAE(nn.Linear(3, 2, rng=rng()), constant(1, np.log(p / (1 - p))), 1)
    x = model.astype(np.float64).draw(20_000, rng(1))
    assert set(np.unique(x)) == {0, 1}
    assert within(x, p)


def test_bytes_with_a_gaussian_likelihood_are_warned_of_before_training():
    model = vae.dense(6, 4, 2, rng(), "gaussian")
    with pytest.warns(sg.training.TrainingWarning, match=r"x / 255 brings them to \[0, 1\]"):
        model.validate(np.round(255 * GREY))
