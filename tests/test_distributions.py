"""Distributions against SciPy's, against sums over all states, integrals, and on the device."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.backend import device_of
from scratchgen.distributions import (
    FAMILIES,
    Bernoulli,
    Gaussian,
    Logistic,
    Spin,
    bernoulli,
    family,
    likelihood_of,
    of_rows,
)
from tests import strict

N, D = 6, 3


def rng(seed=0):
    return sg.generator(seed)


def normal(*shape, seed=0):
    return rng(seed).standard_normal(shape)


def states(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def within(samples, expected, standard_errors=5):
    """The mean of independent samples lies within so many standard errors of what is expected."""
    error = samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
    return bool((np.abs(samples.mean(axis=0) - expected) <= standard_errors * error).all())


DISTRIBUTIONS = {
    "Bernoulli": lambda: Bernoulli(2 * normal(N, D)),
    "Bernoulli, one row": lambda: Bernoulli(2 * normal(D)),
    "Spin": lambda: Spin(normal(N, D)),
    "Spin, one row": lambda: Spin(normal(D)),
    "Gaussian": lambda: Gaussian(normal(N, D), normal(N, D, seed=1)),
    "Gaussian, one row": lambda: Gaussian(normal(D), normal(D, seed=1)),
    "Gaussian, one number": lambda: Gaussian(normal(D), 0.7),
    "Gaussian, the standard one": lambda: Gaussian(normal(N, D)),
}
every = pytest.mark.parametrize("p", [make() for make in DISTRIBUTIONS.values()], ids=DISTRIBUTIONS)


def data(p, n=N, seed=5):
    """Values that the distribution may have, (n, D)."""
    x = normal(n, D, seed=seed)
    return np.where(x > 0, *reversed(p.values)) if p.discrete else x


def natural(p):
    """What a field is added to."""
    return {Bernoulli: "logits", Spin: "field", Gaussian: "mu"}[type(p)]


# The probability


@given(st.integers(0, 2**32 - 1))
def test_the_nll_of_bernoulli_entries_is_that_of_scipy(seed):
    z, x = rng(seed).uniform(-4, 4, (N, D)), (rng(seed + 1).random((N, D)) < 0.5) * 1.0
    expected = -stats.bernoulli.logpmf(x, special.expit(z)).sum(axis=1)
    np.testing.assert_allclose(Bernoulli(z).nll(x), expected, rtol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_the_nll_of_gaussian_entries_is_that_of_scipy(seed):
    source = rng(seed)
    mu, log_var, x = source.standard_normal((N, D)), source.uniform(-5, 5, (N, D)), normal(N, D)
    expected = -stats.norm.logpdf(x, mu, np.exp(log_var / 2))
    rounding = 1e-13 * np.abs(expected).sum(axis=1).max()  # its terms may cancel
    np.testing.assert_allclose(
        Gaussian(mu, log_var).nll(x), expected.sum(axis=1), rtol=1e-12, atol=rounding
    )


@every
def test_minus_log_p_is_the_energy_and_log_z(p):
    x = data(p)
    np.testing.assert_allclose(p.nll(x), p.energy(x) + p.log_sum(), rtol=1e-13)


@pytest.mark.parametrize("p", [Bernoulli(2 * normal(D)), Bernoulli(2 * normal(1, D))], ids=str)
def test_the_sum_in_a_field_is_the_one_over_all_states(p):
    for f in (np.zeros(D), 3 * normal(D, seed=2)):
        terms = [float(x @ f - np.ravel(p.energy(x))[0]) for x in states(D)]
        np.testing.assert_allclose(p.log_sum(f), special.logsumexp(terms), rtol=1e-13)


@pytest.mark.parametrize("log_var", [0.7, np.array([0.7, -1.2])], ids=["one number", "each"])
def test_the_integral_in_a_field_is_the_one_over_the_plane(log_var):
    p, axis = Gaussian(normal(2), log_var), np.linspace(-16, 16, 641)
    x = np.stack([g.reshape(-1) for g in np.meshgrid(axis, axis)], axis=1)
    for f in (np.zeros(2), normal(2, seed=2)):
        # The rule of rectangles is exact to rounding for what is smooth and ends at zero.
        integral = np.exp(p.scaled(x) @ f - p.energy(x)).sum() * 0.05**2
        assert p.log_sum(f) == pytest.approx(math.log(integral), rel=1e-12)


@every
def test_a_field_moves_the_distribution_by_itself(p):
    f, x = normal(N, D, seed=3), data(p)
    moved = p.at(getattr(p, natural(p)) + f)
    np.testing.assert_allclose(
        moved.nll(x), p.energy(x) - (p.scaled(x) * f).sum(axis=1) + p.log_sum(f), rtol=1e-12
    )


def test_log_odds_of_a_thousand_overflow_nothing():
    p = Bernoulli(np.array([[1000.0, -1000.0]]))
    np.testing.assert_array_equal(p.nll(np.array([[0.0, 1.0]])), [2000])
    np.testing.assert_array_equal(p.log_sum(), [1000])
    np.testing.assert_array_equal(p.kl(Bernoulli(-p.logits)), [2000])


# Two of one kind

PAIRS = {
    "Bernoulli": lambda: (Bernoulli(normal(N, D)), Bernoulli(normal(N, D, seed=7))),
    "Bernoulli, one row": lambda: (Bernoulli(normal(N, D)), Bernoulli(normal(D, seed=7))),
    "Gaussian": lambda: (
        Gaussian(normal(N, D), normal(N, D, seed=1)),
        Gaussian(normal(N, D, seed=2), normal(N, D, seed=3)),
    ),
    "Gaussian, one row": lambda: (
        Gaussian(normal(N, D), normal(N, D, seed=1)),
        Gaussian(normal(D, seed=2), 0.3),
    ),
    "Gaussian, one number": lambda: (Gaussian(normal(N, D), 0.5), Gaussian(normal(N, D, seed=2))),
}
pairs = pytest.mark.parametrize(("q", "p"), [make() for make in PAIRS.values()], ids=PAIRS)


def test_spins_are_bits_of_twice_the_log_odds():
    z, other, u = normal(N, D), normal(N, D, seed=7), rng(1).random((N, D))
    spins, bits = Spin(z), Bernoulli(2 * z)
    x = data(spins)
    np.testing.assert_allclose(spins.nll(x), bits.nll((x + 1) / 2), rtol=1e-13)
    np.testing.assert_allclose(spins.mean, 2 * bits.mean - 1, atol=1e-15)
    np.testing.assert_array_equal(spins.draw(noise=u), 2 * bits.draw(noise=u) - 1)
    np.testing.assert_allclose(spins.kl(Spin(other)), bits.kl(Bernoulli(2 * other)), rtol=1e-12)
    np.testing.assert_array_equal(Spin.fitted(x), Bernoulli.fitted((x + 1) / 2) / 2)
    assert spins.log_sum() == pytest.approx(np.log(2 * np.cosh(z)).sum(axis=1), rel=1e-13)


def test_the_sum_of_spins_in_a_field_is_the_one_over_all_states():
    p, all_spins = Spin(normal(D)), 2 * states(D) - 1
    for f in (np.zeros(D), 3 * normal(D, seed=2)):
        terms = [float(x @ f - p.energy(x)) for x in all_spins]
        np.testing.assert_allclose(p.log_sum(f), special.logsumexp(terms), rtol=1e-13)
    np.testing.assert_array_equal(Spin(np.array([[900.0, -900.0]])).log_sum(), [1800])


def test_values_between_minus_1_and_1_are_means_of_spins():
    x = np.tile([[-1.0, 0.2, 1.0]], (20_000, 1))
    drawn = Spin.states(x, rng(1))
    assert set(np.unique(drawn)) == {-1, 1}
    assert within(drawn, x[0])


def test_the_kl_of_bernoulli_entries_is_the_sum_over_all_states():
    q, p = PAIRS["Bernoulli"]()
    x = np.tile(states(D)[:, None, :], (1, N, 1))
    log_q, log_p = (np.stack([-d.nll(each) for each in x]) for d in (q, p))
    np.testing.assert_allclose(q.kl(p), (np.exp(log_q) * (log_q - log_p)).sum(axis=0), rtol=1e-12)


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_the_kl_of_gaussian_entries_is_the_integral(mu, log_var, other_mu, other_log_var):
    q, p = (
        Gaussian(np.array([[m]]), np.array([[s]]))
        for m, s in ((mu, log_var), (other_mu, other_log_var))
    )
    x = (mu + math.exp(log_var / 2) * np.linspace(-12, 12, 4001))[:, None]
    log_q, log_p = -q.nll(x), -p.nll(x)
    integral = np.trapezoid(np.exp(log_q) * (log_q - log_p), x[:, 0])
    np.testing.assert_allclose(q.kl(p), [integral], rtol=1e-9, atol=1e-12)


@pairs
def test_the_kl_is_the_mean_of_log_q_over_p_at_draws_of_q(q, p):
    n, source = 20_000, rng(9)
    log_ratios = []
    for _ in range(n // 100):
        x = q.draw(source)
        log_ratios.append(p.nll(x) - q.nll(x))
    assert within(np.stack(log_ratios), q.kl(p))


@every
def test_the_kl_of_equals_is_zero(p):
    np.testing.assert_array_equal(p.kl(p), 0)


@pairs
def test_the_kl_of_others_is_positive_and_not_symmetric(q, p):
    there, back = q.kl(p), p.kl(q)
    assert (there > 0).all()
    assert (back > 0).all()
    assert np.abs(there - back).max() > 0.01


def test_the_kl_to_the_standard_normal_is_that_of_the_rule():
    mu, log_var = normal(N, D), normal(N, D, seed=1)
    expected = ops.gaussian_kl(mu, log_var)
    np.testing.assert_array_equal(Gaussian(mu, log_var).kl(Gaussian(np.zeros(D))), expected)


# Gradients

COSTS = {
    "nll of Bernoulli": (lambda z: Bernoulli(z).nll(states(D)[:N]), 1),
    "KL of Bernoulli": (lambda z, other: Bernoulli(z).kl(Bernoulli(other)), 2),
    "energy of Bernoulli": (lambda z: Bernoulli(z).energy(normal(N, D, seed=5)), 1),
    "sum of Bernoulli": (lambda z, f: Bernoulli(z).log_sum(f), 2),
    "nll of Gaussian": (lambda mu, s: Gaussian(mu, s).nll(normal(N, D, seed=5)), 2),
    "draw of Gaussian": (lambda mu, s: Gaussian(mu, s).draw(noise=normal(N, D, seed=5)), 2),
    "KL of Gaussian": (lambda mu, s, m, t: Gaussian(mu, s).kl(Gaussian(m, t)), 4),
    "energy of Gaussian": (lambda mu, s: Gaussian(mu, s).energy(normal(N, D, seed=5)), 2),
    "integral of Gaussian": (lambda mu, s, f: Gaussian(mu, s).log_sum(f), 3),
}


@pytest.mark.parametrize("name", COSTS)
def test_the_gradient_flows_to_every_parameter(name):
    of, n = COSTS[name]
    weights = normal(N, seed=8)

    def cost(*parameters):
        value = of(*parameters)
        return ((value if value.ndim == 1 else value.sum(axis=1)) * weights).sum()

    def gradient(*parameters):
        tensors = [sg.Tensor(p) for p in parameters]
        return sg.gradient(cost(*tensors), tensors)

    report = sg.check_gradient(cost, gradient, *[normal(N, D, seed=k) for k in range(n)])
    assert report.ok, str(report)


def test_the_energy_of_one_row_of_log_odds_is_that_of_as_many_equal_rows():
    z, x = normal(D), normal(N, D, seed=5)
    np.testing.assert_allclose(
        Bernoulli(z).energy(x), Bernoulli(np.tile(z, (N, 1))).energy(x), rtol=1e-13, atol=1e-14
    )


# Draws


@every
def test_draws_have_the_mean_and_the_variance_of_the_distribution(p):
    n, source = 20_000, rng(3)
    x = np.stack([p.draw(source) for _ in range(n)])
    mean = np.broadcast_to(p.mean, x.shape[1:])
    low, high = p.values
    variance = (mean - low) * (high - mean) if p.discrete else np.exp(p.log_var) + 0 * mean
    assert within(x, mean)
    assert within((x - mean) ** 2, variance)


@every
def test_a_draw_from_rng_is_that_of_its_noise(p):
    shape, source = np.shape(p.mean), rng(4)
    noise = source.random(shape) if p.discrete else source.standard_normal(shape)
    np.testing.assert_array_equal(p.draw(rng(4)), p.draw(noise=noise))


@every
def test_draws_need_randomness(p):
    with pytest.raises(ValueError, match="or rng"):
        p.draw()
    with pytest.raises(TypeError, match="rng is a generator"):
        p.draw(np.random)


def test_states_of_tensors_are_drawn_as_those_of_arrays():
    z, u = normal(N, D), rng(1).random((N, D))
    np.testing.assert_array_equal(Bernoulli(sg.Tensor(z)).draw(noise=u), Bernoulli(z).draw(noise=u))


def test_the_standard_draws_are_fair_coins_and_normal_numbers():
    coins, numbers, spins = (
        kind.standard((40_000, 2), np.float32, rng(1)) for kind in FAMILIES.values()
    )
    assert set(np.unique(coins)) == {0, 1}
    np.testing.assert_array_equal(spins, 2 * coins - 1)
    assert coins.dtype == numbers.dtype == spins.dtype == np.float32
    assert within(coins, 0.5)
    assert within(numbers, 0)
    assert within(numbers**2, 1)


def test_bernoulli_is_one_where_the_uniform_number_is_below_p():
    p, u = np.array([[0.2, 0.5, 1.0, 0.0]]), np.array([[0.2, 0.4999, 0.9999, 0.0]])
    np.testing.assert_array_equal(bernoulli(p, u=u), [[0, 1, 1, 0]])


def test_bernoulli_has_mean_p_and_the_dtype_of_p():
    p = np.repeat(np.array([[0.0, 0.1, 0.5, 0.9, 1.0]], np.float32), 40_000, axis=0)
    x = bernoulli(p, sg.generator(0))
    assert x.dtype == np.float32
    assert set(np.unique(x)) == {0, 1}
    error = np.sqrt(p[0] * (1 - p[0]) / len(p))
    assert (np.abs(x.mean(axis=0) - p[0]) <= 5 * error).all()


def test_bernoulli_draws_from_rng_what_it_takes_from_u():
    p = sg.generator(0).random((3, 4), dtype=np.float32)
    u = sg.generator(7).random((3, 4), dtype=np.float32)
    np.testing.assert_array_equal(bernoulli(p, sg.generator(7)), bernoulli(p, u=u))


def test_states_need_randomness():
    with pytest.raises(ValueError, match="give them as u, or rng"):
        bernoulli(np.ones(3))
    with pytest.raises(TypeError, match="rng is a generator"):
        bernoulli(np.ones(3), np.random)


# Data


def test_grey_values_are_means_of_states_and_real_numbers_are_as_they_are():
    x = np.tile([[0.0, 0.2, 1.0]], (20_000, 1))
    drawn = Bernoulli.states(x, rng(1))
    assert set(np.unique(drawn)) == {0, 1}
    assert within(drawn, x[0])
    assert Gaussian.states(x, rng(1)) is x


def test_what_is_fitted_to_data_has_the_largest_likelihood():
    x = data(Bernoulli(normal(D)), 40)
    ends = np.concatenate([x, np.zeros((1, D)), np.ones((1, D))])  # one 0 and one 1 more
    for kind, samples in ((Bernoulli, ends), (Gaussian, normal(40, D))):
        at = sg.Tensor(kind.fitted(x if kind is Bernoulli else samples))
        (slope,) = sg.gradient(kind(at).nll(samples).sum(), [at])
        np.testing.assert_allclose(slope, 0, atol=1e-12)


def test_all_that_are_fitted_to_are_zeros_and_the_log_odds_are_finite():
    np.testing.assert_allclose(Bernoulli.fitted(np.zeros((8, 2))), -math.log(9), rtol=1e-15)


@pytest.mark.parametrize(
    ("x", "cure"),
    [
        ([-1.0, 1.0], r"got -1 to 1: \(s \+ 1\) / 2 makes spins"),
        ([-1.0, 0.5], r"got -1 to 0.5: \(x \+ 1\) / 2 brings"),
        ([0.0, 255.0], "got 0 to 255: x / 255 brings"),
        ([0.0, 16.0], "got 0 to 16: x / 16 brings"),
        ([-3.0, 3.5], "got -3 to 3.5: scale it so, or, .* do else"),
    ],
)
def test_data_that_are_no_means_are_refused_and_real_numbers_are_all_taken(x, cure):
    with pytest.raises(ValueError, match=rf"units take data in \[0, 1\], {cure}"):
        Bernoulli.check(np.array([x]), "units take", "do else")
    Gaussian.check(np.array([x]), "units take", "do else")
    Bernoulli.check(np.array([[0.0, 0.5, 1.0]]), "units take", "do else")


def test_entries_that_do_not_vary_are_told_where_the_variance_is_learned():
    x = normal(8, D)
    x[:, 1] = 0.25
    out = sg.Tensor(normal(8, 2 * D))
    (said,) = Gaussian.of(out).doubts(x, "decoder")
    assert said.startswith("1 of the 3 entries of x are the same in all samples")
    assert not [*Gaussian.of(out).doubts(x[:1], "decoder")]
    assert not [*Bernoulli.of(out).doubts(x, "decoder")]


# Names, and networks


def test_a_name_leads_to_its_distributions_and_an_unknown_one_to_those_that_there_are():
    assert family("bernoulli", "visible") is Bernoulli
    assert family("gaussian", "visible") is Gaussian
    assert family("spin", "visible") is Spin
    with pytest.raises(ValueError, match="likelihood is 'bernoulli', 'gaussian' or 'spin', got 'p"):
        family("poisson", "likelihood")


@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 5, 5)], ids=["rows", "images"])
def test_a_network_gives_means_and_then_log_variances(shape):
    out = normal(*shape)
    p = Gaussian.of(out)
    np.testing.assert_array_equal(np.concatenate([p.mu, p.log_var], axis=1), out)
    assert p.mean.shape == p.draw(rng()).shape == (4, shape[1] // 2, *shape[2:])
    np.testing.assert_array_equal(Bernoulli.of(out).logits, out)


@pytest.mark.parametrize(("kind", "expected"), [(Bernoulli, 5), (Gaussian, 10)])
def test_more_numbers_or_fewer_than_the_entries_need_are_refused(kind, expected):
    assert of_rows(kind, normal(2, expected), 5, "decoder", "entries of x").mean.shape == (2, 5)
    for n in (expected - 1, expected + 2):
        message = rf"the decoder gives \({n},\) numbers for each sample, expected {expected}: the"
        with pytest.raises(ValueError, match=message):
            of_rows(kind, normal(2, n), 5, "decoder", "entries of x")


# Dtype and device


def moved(p, to):
    """The distribution whose parameters are arrays of another dtype, or on another device."""
    given = (getattr(p, natural(p)),) if p.discrete else (p.mu, p.log_var)
    return type(p)(*[v if isinstance(v, float) else to(v) for v in given])


def answers(p, q, x, f, noise):
    """What a distribution says, by name."""
    return {
        "mean": p.mean,
        "nll": p.nll(x),
        "energy": p.energy(x),
        "log_sum": p.log_sum(f),
        "kl": p.kl(q),
        "draw": p.draw(noise=noise),
        "moved": p.at(f).nll(x),
        "fitted": p.fitted(x),
        "states": p.states(x, noise) if not p.discrete else x,
    }


@every
def test_numbers_of_32_bits_stay_so(p):
    x = data(p).astype(np.float32)
    f, u = normal(N, D, seed=3).astype(np.float32), rng(2).random(np.shape(p.mean), np.float32)
    narrow = moved(p, lambda v: v.astype(np.float32))
    for name, value in answers(narrow, narrow, x, f, u).items():
        assert value.dtype == np.float32, name


@every
def test_what_a_distribution_says_on_the_device_is_what_it_says_on_the_host(device, p):
    x, f, u = data(p), normal(N, D, seed=3), rng(2).random(np.shape(p.mean))

    def there(value):
        return sg.to_device(value, device)

    p_there, arrays = moved(p, there), (x, f, u)
    before = strict.transfers
    found = answers(p_there, p_there.at(there(f)), *map(there, arrays))
    found["standard"] = p_there.standard((N, D), np.float32, sg.generator(0, device))
    assert strict.transfers == before
    expected = {**answers(p, p.at(f), *arrays), "standard": p.standard((N, D), np.float32, rng())}
    for name, value in found.items():
        assert device_of(value) == device, name
        if device == "cpu" or name != "standard":
            np.testing.assert_allclose(sg.to_host(value), expected[name], rtol=1e-12, err_msg=name)


# Levels


def logistic(K=5, n=N, D=D):
    return Logistic(0.5 + 0.4 * normal(n, D), normal(n, D, seed=1) - 2, K)


def levels(K, n=N, D=D):
    """Every level of every entry, the same in all entries of a sample: (K, n, D)."""
    return np.broadcast_to(np.arange(K)[:, None, None] / (K - 1), (K, n, D))


@pytest.mark.parametrize("K", [2, 5, 256])
def test_the_probabilities_of_a_level_are_differences_of_the_logistic_function(K):
    p, d = logistic(K), 1 / (K - 1)
    scale = np.exp(p.log_scale)
    ends = [-np.inf, *((np.arange(K - 1) + 0.5) * d), np.inf]
    for k, x in enumerate(levels(K)):
        above, below = (special.expit((end - p.mu) / scale) for end in (ends[k + 1], ends[k]))
        expected = -np.log(above - below).sum(axis=1)
        np.testing.assert_allclose(p.nll(x), expected, rtol=1e-6)  # of the difference


@given(st.floats(-30, 30), st.floats(-8, 8), st.integers(2, 20))
def test_the_probabilities_of_all_levels_add_up_to_one(mu, log_scale, K):
    p = Logistic(np.array([[mu]]), np.array([[log_scale]]), K)
    total = sum(np.exp(-p.nll(x)).item() for x in levels(K, 1, 1))
    assert total == pytest.approx(1, rel=1e-12)


def test_levels_far_from_the_mean_keep_the_digits_of_their_logarithm():
    # −log P = a − log(1 − e^(−d/s)) + log(1 + e^(−a)) + … for a level that begins at a scales.
    p = Logistic(np.array([[0.0]]), np.array([[math.log(1e-3)]]), 11)
    a = (0.5 - 0.05) * 1e3
    assert p.nll(np.array([[0.5]])).item() == pytest.approx(a, rel=1e-12)


def test_the_mean_of_levels_is_their_mean():
    p, K = logistic(7), 7
    one = [Logistic(p.mu[:, i : i + 1], p.log_scale[:, i : i + 1], K) for i in range(D)]
    for i, each in enumerate(one):
        x = levels(K, N, 1)
        expected = sum(np.exp(-each.nll(value)) * value[:, 0] for value in x)
        np.testing.assert_allclose(p.mean[:, i], expected, rtol=1e-12)


def test_draws_of_levels_have_their_probabilities():
    K, n = 4, 40_000
    one = logistic(K, 1, 1)
    many = Logistic(np.repeat(one.mu, n, axis=0), np.repeat(one.log_scale, n, axis=0), K)
    x = many.draw(rng())
    for k, value in enumerate(levels(K, 1, 1)):
        share = np.exp(-one.nll(value)).item()
        found = np.count_nonzero(np.rint(x * (K - 1)) == k)
        assert abs(found - n * share) <= 5 * math.sqrt(n * share * (1 - share)) + 1
    assert one.draw(noise=np.zeros((1, 1))) == 0
    with pytest.raises(ValueError, match="levels are drawn from uniform numbers"):
        many.draw()


def test_the_gradient_of_levels_flows_to_mean_and_scale():
    p, x = logistic(5), levels(5)[[0, 1, 2, 3, 4, 2], np.arange(N)]
    report = sg.check_gradient(
        lambda mu, log_scale: Logistic(mu, log_scale, 5).nll(x).sum(),
        sg.grad(lambda mu, log_scale: Logistic(mu, log_scale, 5).nll(x).sum(), (0, 1)),
        p.mu,
        p.log_scale,
    )
    assert report.ok, str(report)


def test_an_untrained_network_spreads_over_all_levels():
    p = likelihood_of(17).of(np.zeros((1, 2)))
    shares = [math.exp(-p.nll(x).item()) for x in levels(17, 1, 1)]
    # With s = 1/8 the density is 8 σ′(8 (x − ½)): 2 in the middle, 8 σ′(4) at both ends.
    assert max(shares) <= 2 / 16
    assert min(shares) >= 8 * special.expit(4) * special.expit(-4) / 16


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.array([[0.0, 0.3]]), "17 levels 0, 1/16, … 1, got values between them"),
        (np.array([[0.0, 16.0]]), r"x / 16 brings whole numbers from 0 to 16 there"),
    ],
)
def test_values_that_are_no_levels_are_refused(x, said):
    with pytest.raises(ValueError, match=said):
        likelihood_of(17).check(x, "it takes", "take a Gaussian likelihood")
    likelihood_of(17).check(levels(17)[3], "it takes", "no other")


@pytest.mark.parametrize("given", [1, 0, -3])
def test_fewer_than_two_levels_are_refused(given):
    with pytest.raises(ValueError, match="a number of levels from 2"):
        likelihood_of(given)


def test_scales_that_are_confined_are_told():
    z = sg.Tensor(normal(3, 4))
    p = likelihood_of(9).of(ops.tanh(z))
    assert any(
        "log scales that the decoder gives lie between" in said for said in p.doubts(z, "decoder")
    )
    assert not [*likelihood_of(9).of(z * 1.0).doubts(z, "decoder")]
