"""Variational diffusion on data whose bound is known: Gaussian ones, and independent levels."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.backend import device_of
from scratchgen.models import VDM
from scratchgen.models.diffusion import vdm
from tests import strict

S = 0.6


def rng(seed=0):
    return sg.generator(seed)


def gaussian(T=None, gamma=(-8.0, 5.0), s=S, D=1):
    """Data N(0, s²) with the best of all denoisers, ε̂ = E[ε|z_t] = σ z/(α² s² + σ²)."""

    def noise(z, t):
        g = model.gamma(t).reshape(len(t), 1)
        signal, noise = ops.sigmoid(-g), ops.sigmoid(g)
        return ops.sqrt(noise) * z / (signal * s * s + noise)

    model = VDM(noise, (D,), gamma, T)
    return model.astype(np.float64)


def average(f, s=S):
    """Over x = ±s and ε = ±1: exact where f is quadratic in both numbers."""
    pairs = itertools.product((s, -s), (1.0, -1.0))
    return np.mean([f(np.array([[x]]), np.array([[e]])) for x, e in pairs])


def values(x):
    return x.data if isinstance(x, sg.Tensor) else x


def u_of(gamma, s=S):
    """u = 1/s² + the signal-to-noise ratio."""
    return 1 / s**2 + np.exp(-gamma)


def ends_cost(low, high, s=S):
    """Reconstruction and prior matching of N(0, s²)."""
    signal = 1 / (1 + math.exp(high))
    prior = 0.5 * (signal * s**2 - signal - math.log1p(-signal))
    return 0.5 * (math.log(2 * math.pi) + 1 + low) + prior


def within(samples, expected, standard_errors=5):
    error = samples.std(ddof=1) / math.sqrt(len(samples))
    return abs(samples.mean() - expected) <= standard_errors * error


@pytest.mark.parametrize("T", [1, 2, 10, 100, 1000])
@pytest.mark.parametrize("gamma", [(-8.0, 5.0), "learned"])
def test_the_bound_of_gaussian_data_in_steps_is_its_closed_form(T, gamma):
    model = gaussian(T, gamma)
    if gamma == "learned":
        model.gamma.log_rise.data += 0.3 * rng(1).standard_normal(T)
    at = values(model.gamma(np.arange(T + 1) / T))
    u = u_of(at)
    expected = 0.5 * (u[:-1] / u[1:] - 1)
    for i in range(1, T + 1, max(T // 7, 1)):
        t = np.array([i / T])
        found = average(lambda x, e, t=t: values(model.diffusion(x, t, e)))
        assert found / T == pytest.approx(expected[i - 1], rel=1e-8)
    ends = average(lambda x, e: values(model.reconstruction(x, e)) + values(model.prior_kl(x)))
    assert ends == pytest.approx(ends_cost(at[0], at[-1]), rel=1e-10)
    x = S * rng(2).standard_normal((4000, 1))
    terms = [values(term) for term in model.elbo_terms(x, rng(3))]
    assert within(terms[2], expected.sum())
    assert within(terms[0] + terms[1], ends)


def test_the_bound_of_gaussian_data_in_continuous_time_is_its_closed_form():
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for gamma in ((-8.0, 5.0), (-3.0, 1.0), "learned"):
        model = gaussian(None, gamma)
        low, high = values(model.gamma(np.array([0.0, 1.0])))
        times = [(np.array([(t + 1) / 2]), w / 2) for t, w in zip(nodes, weights, strict=True)]
        found = sum(
            w * average(lambda x, e, m=model, t=t: values(m.diffusion(x, t, e))) for t, w in times
        )
        expected = 0.5 * math.log(u_of(low) / u_of(high))
        assert found == pytest.approx(expected, rel=1e-9)
        x = S * rng(2).standard_normal((20_000, 1))
        assert within(values(model.elbo_terms(x, rng(3))[2]), expected)
    # With these ends it is near to the entropy: 0.0003 nats above.
    entropy = 0.5 * math.log(2 * math.pi * math.e * S**2)
    total = ends_cost(-8.0, 9.0) + 0.5 * math.log(u_of(-8.0) / u_of(9.0))
    assert 0 < total - entropy < 1e-3


def test_learned_steps_come_within_a_percent_of_the_geometric_optimum():
    T, D, n, s = 10, 16, 64, 0.1
    model, source = gaussian(T, "learned", s, D), rng(1)
    at = values(model.gamma(np.arange(T + 1) / T))
    before = D * 0.5 * (u_of(at, s)[:-1] / u_of(at, s)[1:] - 1).sum()
    adam = sg.optim.Adam(model.parameters(), lr=0.05)
    falling = sg.optim.schedules.Cosine(600, lowest=0.01)
    for step in range(600):
        adam.lr = 0.05 * falling(step)
        cost = next(model.losses(s * source.standard_normal((n, D)), source))
        adam.step(sg.gradient(cost, adam.parameters))
    at = values(model.gamma(np.arange(T + 1) / T))
    assert (np.diff(at) > 0).all()
    u = u_of(at, s)
    learned = 0.5 * (u[:-1] / u[1:] - 1).sum()
    geometric = 0.5 * T * ((u[0] / u[-1]) ** (1 / T) - 1)
    assert geometric <= learned < 1.01 * geometric
    assert D * learned < before / 2

    def whole(ends):
        steps = 0.5 * T * ((u_of(ends[0], s) / u_of(ends[1], s)) ** (1 / T) - 1)
        return ends_cost(*ends, s) + steps

    best = minimize(whole, (-5.0, 3.0), method="Nelder-Mead")
    assert best.success
    assert ends_cost(at[0], at[-1], s) + learned - best.fun < 0.01 * geometric


def test_the_noise_predicted_and_the_data_predicted_are_one_cost():
    # Of levels that lie dense, a network that knows them all alike sees a uniform prior.
    model, x = gaussian(10), np.array([[0.3]])
    t, eps = np.array([0.5]), np.array([[0.7]])
    g = model.gamma(t)[0]
    z = math.sqrt(1 / (1 + math.exp(g))) * x + math.sqrt(1 / (1 + math.exp(-g))) * eps
    error = (x - model.denoise(z, t)) ** 2 * math.exp(-g)
    rate = 10 * math.expm1(g - model.gamma(t - 0.1)[0])
    assert values(model.diffusion(x, t, eps)) == pytest.approx(0.5 * rate * error[0, 0], rel=1e-12)


# Levels

P = np.array([0.6, 0.1, 0.3])
F = (-1.0, 0.2, 1.0)


class Constant(nn.Network):
    """Logits that know nothing of z: those of independent entries with the probabilities P."""

    def __call__(self, z, t):
        return np.zeros((*z.shape, 1), like=z) + np.log(P)


def independent(T=None, gamma=(-8.0, 6.0), D=1):
    return VDM(Constant(), (D,), gamma, T, F)


def test_the_denoiser_of_levels_is_bayes_rule():
    model, z, t = independent(), np.array([[-1.5], [0.1], [0.4]]), np.array([0.7, 0.7, 0.2])
    g = model.gamma(t)[:, None]
    alpha, variance = np.sqrt(1 / (1 + np.exp(g))), 1 / (1 + np.exp(-g))
    joint = P * np.exp(-0.5 * (z - alpha * np.array(F)) ** 2 / variance)
    posterior = joint / joint.sum(axis=1, keepdims=True)
    found = np.exp(model.log_prob_levels(z, t, model.gamma(t).reshape(3, 1)))
    np.testing.assert_allclose(found[:, 0], posterior, rtol=1e-10)
    np.testing.assert_allclose(model.denoise(z, t)[:, 0], posterior @ F, rtol=1e-10)


def bound_of_levels(model, times):
    """The bound by quadrature over ε, with weights of the times."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    eps, weights = nodes[:, None], weights / weights.sum()
    total = 0.0
    for f, p in zip(F, P, strict=True):
        x = np.full_like(eps, f)
        total += p * (weights @ model.reconstruction(x, eps) + model.prior_kl(x)[0])
        for t, w in times:
            at = np.full(len(x), t)
            total += p * w * (weights @ model.diffusion(x, at, eps))
    return total


def test_in_continuous_time_the_bound_of_independent_levels_is_their_entropy():
    nodes, weights = np.polynomial.legendre.leggauss(80)
    times = list(zip((nodes + 1) / 2, weights / 2, strict=True))
    entropy = -(P * np.log(P)).sum()
    assert bound_of_levels(independent(), times) == pytest.approx(entropy, abs=1e-4)


def test_in_steps_it_is_above_the_entropy_and_falls_to_it():
    entropy = -(P * np.log(P)).sum()
    gaps = [
        bound_of_levels(independent(T), [((i + 1) / T, 1 / T) for i in range(T)]) - entropy
        for T in (4, 16, 64, 256)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-2] / gaps[-1] == pytest.approx(4, rel=0.1)  # as 1/T, in the end


def test_estimates_from_random_times_have_the_bound_as_their_mean():
    T = 8
    model = independent(T)
    expected = bound_of_levels(model, [((i + 1) / T, 1 / T) for i in range(T)])
    x = rng(1).choice(F, p=P, size=(40_000, 1))
    assert within(sum(model.elbo_terms(x, rng(2))), expected)
    bits = model.bits_per_dim(x, rng(2))
    np.testing.assert_allclose(bits * math.log(2), sum(model.elbo_terms(x, rng(2))), rtol=1e-12)


def test_samples_of_independent_levels_have_their_probabilities():
    x = independent(D=5).sample(1000, rng(3), steps=200)
    assert set(np.unique(x)) == set(np.array(F, x.dtype))
    for f, p in zip(F, P, strict=True):
        share = (x == np.array(f, x.dtype)).mean()
        assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / x.size)


def test_samples_of_a_gaussian_have_the_variance_of_the_chain():
    T, n = 20, 40_000
    model = gaussian(T)
    g = model.gamma(np.arange(T + 1) / T)
    a2, b2 = 1 / (1 + np.exp(g)), 1 / (1 + np.exp(-g))
    variance = 1.0
    for i in range(T, 0, -1):
        step = a2[i] / a2[i - 1]
        added = b2[i] - step * b2[i - 1]
        # z_s = (√step b_s² z + a_s added x̂)/b_t², with x̂ = a_t S² z/(a_t² S² + b_t²)
        gain = math.sqrt(step) * b2[i - 1] / b2[i]
        gain += math.sqrt(a2[i - 1] * a2[i]) * added / b2[i] * S**2 / (a2[i] * S**2 + b2[i])
        variance = gain**2 * variance + added * b2[i - 1] / b2[i]
    variance = (variance + b2[0]) / a2[0]
    x = model.sample(n, rng(4))
    assert within(x[:, 0], 0)
    assert within(x[:, 0] ** 2, variance)


# Times, gradients, training


@pytest.mark.parametrize("T", [None, 1, 7])
def test_times_are_antithetic(T):
    model, n = gaussian(T), 50
    t = model._times(n, rng(1), np.zeros(1))
    if T is None:
        np.testing.assert_allclose(np.diff(np.sort(t)), np.full(n - 1, 1 / n), rtol=1e-9)
        firsts = np.array([model._times(n, rng(k), np.zeros(1))[0] for k in range(2000)])
        assert within(firsts, 0.5)
        assert within(firsts**2, 1 / 3)
    else:
        counts = np.bincount(np.rint(t * T).astype(int), minlength=T + 1)
        assert counts[0] == 0
        assert set(counts[1:]) <= {n // T, n // T + 1}


class Small(nn.Network):
    """A smooth network that knows z and t."""

    def __init__(self, D, n_out, *, rng):
        self.map = nn.Linear(D + 1, n_out, rng=rng)

    def __call__(self, z, t):
        return ops.tanh(self.map(ops.concatenate([z, t[:, None]], axis=1)))


@pytest.mark.parametrize("T", [None, 3])
@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("gamma", [(-3.0, 2.0), "learned"])
def test_the_gradients_are_those_of_the_cost(T, levels, gamma):
    network = Small(2, 2 * (levels or 1), rng=rng(1))
    model = VDM(network, (2,), gamma, T, levels).astype(np.float64)
    x = np.linspace(-1, 1, 4)[rng(2).integers(4, size=(5, 2))]
    # The level of an entry is no smooth function of it: the check is of the parameters.
    report = sg.check_network(model, x)
    entries = [e for e in report.entries if e.name != "x" or levels is None]
    assert entries
    assert all(e.ok for e in entries), report
    assert any(e.name.startswith("gamma") for e in entries) == (gamma == "learned")


def digits():
    images = sg.datasets.digits("train")[0][:200]
    return (2 * np.round(16 * images) / 16 - 1).astype(np.float32)


def test_a_dense_model_begins_at_the_histograms_of_the_entries():
    x = digits()[:50]
    model = vdm.dense(x.shape[1:], 8, rng(), T=5, levels=17, data=x)
    shares = np.exp(model.network.out.bias.data.reshape(64, 17))
    np.testing.assert_allclose(shares.sum(axis=1), np.ones(64), rtol=1e-5)
    k = 10
    ones = (x.reshape(50, 64) == np.linspace(-1, 1, 17, dtype=np.float32)[k]).sum(axis=0)
    np.testing.assert_allclose(shares[:, k], (ones + 1) / (50 + 17), rtol=1e-5)


@pytest.mark.rounding
def test_training_lowers_the_bound_of_unseen_digits():
    x = digits()
    model = vdm.dense((1, 8, 8), 32, rng(), "learned", 10, 17, x[:150])
    before = model.bits_per_dim(x[150:], rng(1)).mean()
    sg.fit(model, x[:150], epochs=40, batch_size=50, rng=rng(2))
    after = model.bits_per_dim(x[150:], rng(1)).mean()
    assert after < before - 0.2
    at = values(model.gamma(np.arange(11, dtype=np.float32) / 10))
    assert (np.diff(at) > 0).all()


def test_a_step_on_the_device_is_that_of_the_host_without_a_transfer(device):
    x = digits()[:20]
    for levels, gamma, T in ((17, "learned", 4), (None, (-5.0, 5.0), None)):
        source = sg.generator(0, device)
        data = sg.to_device(x, device)
        model = vdm.dense((1, 8, 8), 8, source, gamma, T, levels, x)
        before = strict.transfers
        losses = model.losses(data, source)
        cost = next(losses)
        gradients = sg.gradient(cost, model.parameters())
        with pytest.raises(StopIteration) as end:
            next(losses)
        arrays = [cost.data, *gradients, *end.value.value.values()]
        arrays += [model.sample(2, source, 3), model.bits_per_dim(data, source)]
        assert strict.transfers == before
        assert {device_of(a) for a in arrays} == {device}
        assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
        model.validate(data)


def test_a_training_that_goes_on_from_a_checkpoint_has_the_same_bits(tmp_path):
    x = digits()[:60]

    def trained(model, optimizers, source, history, epochs):
        for _ in sg.train(
            model, x, optimizers, epochs=epochs, batch_size=25, rng=source, history=history
        ):
            pass
        return model, optimizers, source, history

    def begun():
        model = vdm.dense((1, 8, 8), 8, rng(), "learned", 4, 17, x)
        return model, model.default_optimizers(), rng(7), sg.History()

    straight = trained(*begun(), 4)
    sg.save(tmp_path / "half", *trained(*begun(), 2))
    resumed = trained(*sg.load(tmp_path / "half"), 4)
    for name, value in straight[0].state_dict().items():
        np.testing.assert_array_equal(resumed[0].state_dict()[name], value)
    np.testing.assert_array_equal(resumed[0].sample(3, rng(1)), straight[0].sample(3, rng(1)))


# What is refused


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"T": 0}, "T is a number of steps from 1, or None, got 0"),
        ({"gamma": "cosine"}, r"gamma is the ends \(low, high\) of γ, or 'learned', got 'cosine'"),
        ({"gamma": (1.0,)}, r"gamma is the ends \(low, high\) of γ"),
        ({"gamma": (2.0, 1.0)}, "γ rises from low to high, got 2.0 and 1.0"),
        ({"levels": 1}, "levels are at least two values, rising, or their number, got 1"),
        ({"levels": (1.0, 0.0)}, "levels are at least two values, rising"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        VDM(Constant(), (1,), **settings)


def test_data_and_networks_that_do_not_fit_are_refused():
    x = digits()[:10]
    model = vdm.dense((1, 8, 8), 8, rng(), levels=17)
    model.validate(x)
    with pytest.raises(ValueError, match=r"takes samples of shape \(1, 8, 8\), got \(64,\)"):
        model.validate(x.reshape(10, 64))
    with pytest.raises(ValueError, match="other values than the 17 levels from -1 to 1"):
        model.validate((x + 1) / 2 + 0.01)
    few = VDM(model.network, (1, 8, 8), levels=16)
    with pytest.raises(ValueError, match="expected 1024 numbers: a logit for each level"):
        few.validate(x)
    ended = nn.Sequential(nn.Flatten(), nn.Linear(64, 64, rng=rng()), nn.Sigmoid())
    with pytest.raises(ValueError, match=r"ends in sigmoid, .* expected the noise"):
        VDM(lambda z, t: ended(z), (1, 8, 8)).validate(x)


def test_a_network_that_is_told_no_time_is_refused():
    with pytest.raises(TypeError, match="it knows no time"):
        VDM(nn.Sequential(nn.Linear(2, 2, rng=rng())), (2,))


def test_dropout_in_the_network_acts_in_training_only():
    class Dropping(nn.Network):
        def __call__(self, z, t, rng=None):
            return nn.Dropout(0.5)(np.ones_like(z), rng)

    model, x = VDM(Dropping(), (4,), T=3), np.zeros((30, 4))
    t, noise = np.full(30, 2 / 3), np.zeros((30, 4))
    still = values(model.diffusion(x, t, noise))
    assert len(set(still)) == 1
    assert len(set(values(model.diffusion(x, t, noise, rng(1))))) > 1
    cost = next(model.losses(x, rng(2)))
    assert cost != sum(term.mean() for term in model.elbo_terms(x, rng(2)))


def test_a_process_that_leaves_data_at_its_end_is_warned_of():
    model = vdm.dense((1, 8, 8), 8, rng(), (-8.0, 1.0), levels=17)
    with pytest.warns(sg.training.TrainingWarning, match="at t = 1 a share 0.2689 of the data's"):
        model.validate(digits()[:10])
