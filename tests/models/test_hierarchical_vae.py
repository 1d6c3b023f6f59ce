"""The hierarchy of autoencoders against linear Gaussian ones, whose evidence is known."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn
from scratchgen.backend import device_of
from scratchgen.models import VAE, HierarchicalVAE, hierarchical_vae
from tests import strict


def rng(seed=0):
    return sg.generator(seed)


def within(samples, expected, standard_errors=5):
    """The mean of independent samples lies within so many standard errors of what is expected."""
    error = samples.std(ddof=1) / math.sqrt(len(samples))
    return abs(samples.mean() - expected) <= standard_errors * error


def affine(weight, bias):
    """z = W a + b, in float64."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], rng=rng()).astype(np.float64)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def gaussian(weight, mean, variance):
    """A network that gives N(W a + mean, diag variance)."""
    both = np.concatenate([weight, np.zeros_like(weight)])
    return affine(both, np.concatenate([mean, np.log(variance)]))


class LinearGaussian:
    """h_T ~ N(0, I), h_{t−1} = a h_t + c + s ε unit by unit, and x = W h₁ + d + r ε.

    The columns of W are orthogonal, so that p(h₁|x) and all p(h_t|h_{t−1}) are diagonal too.
    """

    def __init__(self, T, k=2, D=3, seed=0):
        source = rng(seed)
        self.T, self.k, self.D = T, k, D
        self.a, self.c = source.uniform(0.5, 1.5, (T - 1, k)), source.standard_normal((T - 1, k))
        self.s2 = source.uniform(0.3, 1.0, (T - 1, k))
        columns = np.linalg.qr(source.standard_normal((D, k)))[0]
        self.W, self.d, self.r2 = columns * source.uniform(0.5, 2, k), np.arange(D) - 1.0, 0.4
        # Marginal means and variances of h_T, …, h_1, which are put bottom first.
        self.mean, self.variance = [np.zeros(k)], [np.ones(k)]
        for a, c, s2 in zip(self.a[::-1], self.c[::-1], self.s2[::-1], strict=True):
            self.mean.insert(0, a * self.mean[0] + c)
            self.variance.insert(0, a**2 * self.variance[0] + s2)
        self.posterior_variance = [
            1 / (1 / self.variance[0] + (self.W**2).sum(axis=0) / self.r2),
            *(s2 * v / below for s2, v, below in zip(
                self.s2, self.variance[1:], self.variance, strict=False
            )),
        ]  # fmt: skip

    def data(self, n):
        h = self.mean[0] + np.sqrt(self.variance[0]) * rng(1).standard_normal((n, self.k))
        noise = rng(2).standard_normal((n, self.D))
        return h @ self.W.T + self.d + math.sqrt(self.r2) * noise

    def log_evidence(self, x):
        S = (self.W * self.variance[0]) @ self.W.T + self.r2 * np.eye(self.D)
        r = x - self.d - self.W @ self.mean[0]
        quadratic = (r * np.linalg.solve(S, r.T).T).sum(axis=1)
        return -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * S)[1])

    def model(self, shift=0.0, widen=1.0):
        """The hierarchy; each q departs from the posterior by a shift, and by a factor of σ²."""
        v = self.posterior_variance
        to_h1 = v[0][:, None] * self.W.T / self.r2
        mean = v[0] * self.mean[0] / self.variance[0] - to_h1 @ self.d
        encoders = [gaussian(to_h1, mean + shift, widen * v[0])]
        decoders = [gaussian(self.W, self.d, np.full(self.D, self.r2))]
        for t in range(self.T - 1):
            gain = self.a[t] * self.variance[t + 1] / self.variance[t]
            mean = self.mean[t + 1] - gain * self.mean[t]
            encoders.append(gaussian(np.diag(gain), mean + shift, widen * v[t + 1]))
            decoders.append(gaussian(np.diag(self.a[t]), self.c[t], self.s2[t]))
        return HierarchicalVAE(encoders, decoders, [self.k] * self.T, "gaussian")

    def gap(self, shift, widen):
        """Σ_t D_KL(N(m + shift, widen v) ‖ N(m, v)): the same at every h_{t−1}."""
        return sum(
            0.5 * (shift**2 / v + widen - 1 - math.log(widen)).sum()
            for v in self.posterior_variance
        )

    def sigma_points(self, n):
        """Values of ε with the moments of N(0, I) up to the third: exact for quadratic forms."""
        units = self.T * self.k
        e = math.sqrt(units) * np.eye(units)
        return [np.repeat(point[None], n, axis=0) for point in np.concatenate([e, -e])]


layers = pytest.mark.parametrize("T", [1, 2, 3])
departures = pytest.mark.parametrize(("shift", "widen"), [(0.3, 1.0), (0.0, 2.5), (-0.5, 0.4)])


def mean_over_sigma_points(truth, f, n):
    return np.mean([f(eps) for eps in truth.sigma_points(n)], axis=0)


@layers
def test_every_single_log_weight_is_the_evidence_where_the_encoders_are_the_posterior(T):
    truth = LinearGaussian(T)
    x, model = truth.data(50), truth.model()
    for seed in range(3):
        weight = model.log_weight(x, rng=rng(seed)).data
        np.testing.assert_allclose(weight, truth.log_evidence(x), rtol=0, atol=1e-10)
    for n_samples in (1, 4):
        bound = model.log_likelihood(x, n_samples, rng(5))
        np.testing.assert_allclose(bound, truth.log_evidence(x), rtol=0, atol=1e-10)


@layers
def test_the_elbo_is_the_evidence_where_the_encoders_are_the_posterior(T):
    truth = LinearGaussian(T)
    x, model = truth.data(8), truth.model()
    elbo = mean_over_sigma_points(truth, lambda eps: model.elbo(x, eps).data, 8)
    np.testing.assert_allclose(elbo, truth.log_evidence(x), rtol=1e-11)


@layers
@departures
def test_the_elbo_falls_short_of_the_evidence_by_the_kl_of_each_layer(T, shift, widen):
    truth = LinearGaussian(T)
    x, model = truth.data(8), truth.model(shift, widen)
    expected = truth.log_evidence(x) - truth.gap(shift, widen)
    for bound in (model.elbo, model.log_weight):
        found = mean_over_sigma_points(truth, lambda eps, f=bound: f(x, eps).data, 8)
        np.testing.assert_allclose(found, expected, rtol=1e-11)


@layers
def test_the_importance_weighted_bound_lies_between_the_elbo_and_the_evidence(T):
    truth, n = LinearGaussian(T), 3000
    model, x = truth.model(0.2, 1.6), truth.data(1)
    copies = np.repeat(x, n, axis=0)
    few, many = (model.log_likelihood(copies, L, rng(3)) for L in (1, 20))
    evidence = truth.log_evidence(x)[0]
    assert within(few, evidence - truth.gap(0.2, 1.6))
    slack = 5 * many.std() / math.sqrt(n)
    assert evidence - truth.gap(0.2, 1.6) + 5 * few.std() / math.sqrt(n) < many.mean()
    assert many.mean() < evidence + slack


def consistency_of_two_layers(truth, x, shift, widen):
    """E log q(h₁|x)/p(h₁|h₂): with h₁ ~ N(m, w v) and h₂ = b h₁ + e + N(0, w v₂), in numbers."""
    v1, v2 = (widen * v for v in truth.posterior_variance)
    a, c, s2 = truth.a[0], truth.c[0], truth.s2[0]
    gain = a * truth.variance[1] / truth.variance[0]
    offset = truth.mean[1] - gain * truth.mean[0] + shift
    to_h1 = truth.posterior_variance[0][:, None] * truth.W.T / truth.r2
    m = (x - truth.d) @ to_h1.T + truth.posterior_variance[0] * truth.mean[0] / truth.variance[0]
    m = m + shift
    # h₁ − a h₂ − c has this mean, and the variance of (1 − a b) h₁ and a times h₂'s own noise.
    mean = (1 - a * gain) * m - a * offset - c
    square = mean**2 + (1 - a * gain) ** 2 * v1 + a**2 * v2
    return 0.5 * (np.log(s2 / v1) - 1 + square / s2).sum(axis=1), (a, c, s2, m, v1, gain, offset)


@pytest.mark.parametrize(("shift", "widen"), [(0.0, 1.0), (0.3, 1.5)])
def test_the_consistency_term_is_the_mean_of_its_samples(shift, widen):
    truth, n = LinearGaussian(2), 40_000
    x, model = truth.data(1), truth.model(shift, widen)
    expected, _ = consistency_of_two_layers(truth, x, shift, widen)
    _, _, samples = model.elbo_terms(np.repeat(x, n, axis=0), rng=rng(4))
    assert within(samples.data, expected[0])
    exact = mean_over_sigma_points(truth, lambda eps: model.elbo_terms(x, eps)[2].data, 1)
    np.testing.assert_allclose(exact, expected, rtol=1e-11)


def test_the_printed_consistency_term_is_another_number_and_makes_no_bound():
    # The notes print D_KL(q(h₁|x) ‖ p(h₁|h₂)) at an h₂ that was drawn from h₁ (erratum E23).
    truth = LinearGaussian(2)
    x, model = truth.data(5), truth.model()

    def printed(eps):
        lower, _ = model.latents(x, eps)
        return lower.q.kl(lower.p).data

    exact = mean_over_sigma_points(truth, lambda eps: model.elbo_terms(x, eps)[2].data, 5)
    of_the_notes = mean_over_sigma_points(truth, printed, 5)
    # By how much: the noise of h₁ is counted twice, once of its own and once in h₂.
    _, (a, _, s2, _, v1, gain, _) = consistency_of_two_layers(truth, x, 0.0, 1.0)
    twice = (a * gain * v1 / s2).sum()
    np.testing.assert_allclose(of_the_notes - exact, np.full(5, twice), rtol=1e-10)
    assert twice > 0.1


def test_a_hierarchy_of_one_layer_is_a_vae():
    one = hierarchical_vae.dense(6, 5, [3], rng()).astype(np.float64)
    vae = VAE(one.layers[0].encoder, one.layers[0].decoder, 3)
    x, eps = rng(1).random((7, 6)), rng(2).standard_normal((7, 3))
    nll, kl = vae.elbo_terms(x, eps)
    reconstruction, prior, consistency = one.elbo_terms(x, eps)
    np.testing.assert_array_equal(reconstruction.data, -nll.data)
    np.testing.assert_array_equal(prior.data, kl.data)
    np.testing.assert_array_equal(consistency.data, np.zeros(7))
    np.testing.assert_array_equal(one.elbo(x, eps).data, vae.elbo(x, eps).data)
    np.testing.assert_array_equal(one.elbo(x, rng=rng(5)).data, vae.elbo(x, rng=rng(5)).data)
    weights = (m.log_likelihood(x, 3, rng(6)) for m in (one, vae))
    np.testing.assert_allclose(next(weights), next(weights), rtol=1e-13)
    np.testing.assert_array_equal(one.sample(4, rng(7)), vae.sample(4, rng(7)))
    np.testing.assert_array_equal(one.draw(4, rng(7)), vae.draw(4, rng(7)))


def small(likelihood="bernoulli", T=3):
    """Without kinks, in float64."""
    source, n_latents = rng(3), [3, 2, 2][:T]
    sizes = [5, *n_latents]
    per = [1 if likelihood == "bernoulli" else 2, 2, 2]

    def mlp(n_in, n_out):
        hidden, out = nn.Linear(n_in, 4, rng=source), nn.Linear(4, n_out, rng=source)
        return nn.Sequential(hidden, nn.Tanh(), out)

    encoders = [mlp(sizes[t], 2 * sizes[t + 1]) for t in range(T)]
    decoders = [mlp(sizes[t + 1], per[t] * sizes[t]) for t in range(T)]
    return HierarchicalVAE(encoders, decoders, n_latents, likelihood).astype(np.float64)


@pytest.mark.long
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_gradients_are_those_of_the_cost(likelihood):
    model = small(likelihood)
    model.beta = 0.4
    assert sg.check_network(model, rng(1).random((4, 5))).ok


def test_noise_comes_in_one_array_or_one_for_each_layer():
    model, x = small(), rng(1).random((4, 5))
    eps = rng(2).standard_normal((4, 7))
    parts = [eps[:, :3], eps[:, 3:5], eps[:, 5:]]
    np.testing.assert_array_equal(model.elbo(x, eps).data, model.elbo(x, parts).data)
    np.testing.assert_array_equal(model.elbo(x, rng=rng(2)).data, model.elbo(x, eps).data)
    with pytest.raises(ValueError, match="give eps, or rng to draw it"):
        model.elbo(x)
    with pytest.raises(ValueError, match=r"\(3, 2, 2\) latents is \(4, 7\), got \(4, 6\)"):
        model.elbo(x, eps[:, 1:])


def of_one_step(model, x, seed=3):
    losses = model.losses(x, rng(seed))
    cost = next(losses)
    with pytest.raises(StopIteration) as end:
        next(losses)
    return cost, {name: float(value) for name, value in end.value.value.items()}


def test_losses_weigh_the_kl_by_beta_and_report_it_by_layer():
    model, x = small(), rng(1).random((40, 5))
    reconstruction, prior, consistency = model.elbo_terms(x, rng=rng(3))
    for beta in (0.0, 0.3, 1.0):
        model.beta = beta
        cost, report = of_one_step(model, x)
        expected = (-reconstruction.data + beta * (prior.data + consistency.data)).mean()
        assert cost.data == pytest.approx(expected, rel=1e-13)
        assert report["KL weight"] == beta
        assert report["reconstruction"] == pytest.approx(-reconstruction.data.mean(), rel=1e-13)
        assert report["KL of h3"] == pytest.approx(prior.data.mean(), rel=1e-13)
        inner = report["KL of h1"] + report["KL of h2"]
        assert inner == pytest.approx(consistency.data.mean(), rel=1e-12)


def test_a_unit_is_active_where_it_tells_something():
    # Of the two units of h₁ one is drawn from its prior, whatever x is; nothing is told above.
    encoders = [
        gaussian(np.array([[2.0], [0.0]]), np.zeros(2), np.array([0.01, 1.0])),
        gaussian(np.zeros((1, 2)), np.zeros(1), np.ones(1)),
    ]
    decoders = [
        affine(np.ones((1, 2)), np.zeros(1)),
        gaussian(np.zeros((2, 1)), np.zeros(2), np.ones(2)),
    ]
    model, x = HierarchicalVAE(encoders, decoders, [2, 1]), rng(1).random((50, 1))
    _, report = of_one_step(model, x)
    assert (report["active units of h1"], report["active units of h2"]) == (1, 0)
    first, second = model.kl_of_units(x, rng(2))
    assert first[0] > 1
    np.testing.assert_allclose([first[1], second[0]], [0, 0], atol=1e-14)


def test_draws_have_the_models_covariance():
    truth, n = LinearGaussian(3), 40_000
    model = truth.model()
    x = model.draw(n, rng(1)) - truth.d - truth.W @ truth.mean[0]
    covariance = (truth.W * truth.variance[0]) @ truth.W.T
    for i in range(truth.D):
        assert within(x[:, i], 0)
        for j in range(truth.D):
            assert within(x[:, i] * x[:, j], covariance[i, j] + truth.r2 * (i == j))
    means = model.sample(n, rng(1)) - truth.d - truth.W @ truth.mean[0]
    assert within(means[:, 0] ** 2, covariance[0, 0])


def test_what_comes_down_from_a_layer_has_the_chains_mean():
    truth, n = LinearGaussian(3), 20_000
    model, h = truth.model(), np.array([[1.0, -2.0]])
    from_top = model.descend(np.repeat(h, n, axis=0), rng(1))
    middle = truth.a[1] * h[0] + truth.c[1]
    for unit in range(2):
        assert within(from_top[:, unit], (truth.a[0] * middle + truth.c[0])[unit])
    np.testing.assert_array_equal(model.descend(h, rng(1), layer=1), h)
    with pytest.raises(ValueError, match="layers 1 to 3 have"):
        model.descend(h, rng(1), layer=4)


def test_training_on_the_device_is_that_of_the_host_and_reads_only_each_epochs_numbers(monkeypatch):
    strict.install(monkeypatch)
    images, states = sg.datasets.digits()[0][:60].astype(np.float64), {}
    for device in ("cpu", "cuda"):
        source = sg.generator(0, device)
        model = hierarchical_vae.dense(64, 10, [4, 2], source).astype(np.float64)
        adam = model.default_optimizers()
        epochs = sg.train(model, images, adam, epochs=2, batch_size=30, rng=source)
        checks = strict.transfers
        history = list(epochs)
        if device == "cuda":  # the cost and each figure of the report, once an epoch
            assert strict.transfers - checks == 2 * (1 + len(history[0].report))
        before = strict.transfers
        for array in (model.sample(3, source), model.draw(3, source)):
            assert device_of(array) == device
        assert device_of(model.log_likelihood(sg.to_device(images, device), 2, source)) == device
        assert strict.transfers == before
        states[device] = {k: sg.to_host(v) for k, v in model.state_dict().items()}
    for name, value in states["cpu"].items():
        np.testing.assert_allclose(states["cuda"][name], value, rtol=1e-9, atol=1e-9)


def test_a_training_that_goes_on_from_a_checkpoint_has_the_same_bits(tmp_path):
    x, rising = rng(1).random((40, 6), np.float32), sg.optim.schedules.WarmUp(4, start=0.0)

    def trained(model, optimizers, source, history, epochs):
        model.beta = rising(len(history))
        for epoch in sg.train(
            model, x, optimizers, epochs=epochs, batch_size=16, rng=source, history=history
        ):
            model.beta = rising(epoch.number)
        return model, optimizers, source, history

    def begun():
        model, source = hierarchical_vae.dense(6, 5, [3, 2], rng()), rng(7)
        return model, model.default_optimizers(), source, sg.History()

    straight = trained(*begun(), 4)
    sg.save(tmp_path / "half", *trained(*begun(), 2))
    loaded = sg.load(tmp_path / "half")
    assert loaded.model.beta == 0.5
    resumed = trained(*loaded, 4)
    assert resumed[3][-1].report["KL weight"] == 0.75
    for name, value in straight[0].state_dict().items():
        np.testing.assert_array_equal(resumed[0].state_dict()[name], value)
    for ours, other in zip(resumed[3], straight[3], strict=True):
        assert (ours.costs, ours.report) == (other.costs, other.report)


@pytest.mark.rounding
def test_training_raises_the_bound_of_unseen_digits():
    seen, unseen = sg.datasets.digits("train")[0], sg.datasets.digits("test")[0]
    model = hierarchical_vae.dense(64, 50, [8, 4], rng())
    before = model.log_likelihood(unseen, 10, rng(5)).mean()
    sg.fit(model, seen, epochs=4, batch_size=64, rng=rng(1))
    assert model.log_likelihood(unseen, 10, rng(5)).mean() > before + 10


# What is refused

GREY = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)


def linear(*sizes):
    return nn.Linear(*sizes, rng=rng())


def test_each_layer_has_an_encoder_a_decoder_and_a_number_of_latents():
    with pytest.raises(ValueError, match="got 2 encoders, 1 decoders and 2 numbers"):
        HierarchicalVAE([linear(6, 4), linear(2, 2)], [linear(2, 6)], [2, 1])
    with pytest.raises(ValueError, match="at least one layer, got 0 encoders"):
        HierarchicalVAE([], [], [])
    with pytest.raises(ValueError, match="beta, the weight of the KL, is a number from 0, got -1"):
        HierarchicalVAE([linear(6, 4)], [linear(2, 6)], [2], beta=-1)


@pytest.mark.parametrize(
    ("encoder", "decoder", "said"),
    [
        (linear(2, 3), linear(1, 4), r"layer 2 of 2: .*the encoder gives \(3,\) .* expected 2"),
        (linear(2, 2), linear(1, 2), r"layer 2 of 2: .*the decoder gives \(2,\) .* expected 4"),
        (linear(3, 2), linear(1, 4), r"layer 2 of 2: .*affine takes rows"),
        (
            nn.Sequential(linear(2, 2), nn.ReLU()),
            linear(1, 4),
            r"layer 2 of 2: the encoder ends in relu, .* means of the latents",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_refused_with_its_layer(encoder, decoder, said):
    model = HierarchicalVAE([linear(6, 4), encoder], [linear(2, 6), decoder], [2, 1])
    with pytest.raises(ValueError, match=said):
        model.validate(GREY)


def test_data_that_a_vae_refuses_are_refused():
    model = hierarchical_vae.dense(6, 5, [3, 2], rng())
    model.validate(GREY)
    with pytest.raises(ValueError, match=r"takes data in \[0, 1\], got 0 to 2"):
        model.validate(2 * GREY)


def test_the_summary_names_the_networks_of_each_layer():
    text = str(hierarchical_vae.dense(6, 5, [3, 2], rng()).summary())
    assert "layer2.decoder.2" in text
    assert "(n, 6)" in text
