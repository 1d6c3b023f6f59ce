"""The maximum mean discrepancy against its definition and against Gaussians in closed form."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import metrics
from scratchgen.metrics import mmd
from tests import strict


def normal(n, D=3, seed=0):
    return sg.generator(seed).standard_normal((n, D))


def kernel(x, y, sigma):
    return math.exp(-((x - y) ** 2).sum() / (2 * sigma**2))


def by_loops(x, y, sigma, biased):
    def mean(a, b, leave_out):
        terms = [
            kernel(p, q, sigma)
            for i, p in enumerate(a)
            for j, q in enumerate(b)
            if not (leave_out and i == j)
        ]
        return math.fsum(terms) / len(terms)

    return mean(x, x, not biased) + mean(y, y, not biased) - 2 * mean(x, y, False)


def of_gaussians(shift, s, t, sigma, D):
    """MMD² of N(0, s² I) and N(μ, t² I), every entry of μ being ``shift``.

    x − y ~ N(−μ, v I) has E k = (1 + v/σ²)^(−D/2) e^(−‖μ‖²/2(σ² + v)).
    """

    def mean_of_kernel(v, distance2):
        return (1 + v / sigma**2) ** (-D / 2) * math.exp(-0.5 * distance2 / (sigma**2 + v))

    across = mean_of_kernel(s * s + t * t, D * shift**2)
    return mean_of_kernel(2 * s * s, 0) + mean_of_kernel(2 * t * t, 0) - 2 * across


estimates = pytest.mark.parametrize("estimate", [metrics.mmd2_biased, metrics.mmd2_unbiased])


@given(st.integers(2, 7), st.integers(2, 7), st.floats(0.3, 3), st.integers(0, 100))
def test_both_estimates_are_the_double_sums_of_their_definitions(n, m, sigma, seed):
    x, y = normal(n, seed=seed), 0.5 + normal(m, seed=seed + 1)
    for estimate, biased in [(metrics.mmd2_biased, True), (metrics.mmd2_unbiased, False)]:
        expected = by_loops(x, y, sigma, biased)
        assert estimate(x, y, sigma) == pytest.approx(expected, rel=1e-9, abs=1e-13)


@estimates
@pytest.mark.parametrize("pairs", [1, 100, 1000])
def test_the_sums_do_not_depend_on_how_many_rows_are_taken_at_a_time(monkeypatch, estimate, pairs):
    x, y = normal(37), normal(41, seed=1)
    whole = estimate(x, y, 1.3)
    monkeypatch.setattr(mmd, "PAIRS", pairs)
    assert estimate(x, y, 1.3) == pytest.approx(whole, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("shift", "s", "t", "sigma"), [(0.5, 1, 1, 1.5), (0, 1, 2, 1), (1, 0.5, 1, 3), (0, 1, 1, 1)]
)
def test_the_mean_of_the_unbiased_estimate_is_the_mmd2_of_gaussians(shift, s, t, sigma):
    D, draws = 3, []
    for seed in range(300):
        x, y = s * normal(40, D, 2 * seed), shift + t * normal(30, D, 2 * seed + 1)
        draws.append(metrics.mmd2_unbiased(x, y, sigma))
    error = np.std(draws, ddof=1) / math.sqrt(len(draws))
    assert abs(np.mean(draws) - of_gaussians(shift, s, t, sigma, D)) < 5 * error


def test_of_equal_distributions_the_unbiased_estimate_is_0_on_average_on_both_sides_of_it():
    draws = [
        metrics.mmd2_unbiased(normal(50, seed=2 * k), normal(50, seed=2 * k + 1), 1.0)
        for k in range(300)
    ]
    assert abs(np.mean(draws)) < 5 * np.std(draws) / math.sqrt(300)
    assert min(draws) < 0 < max(draws)


@given(st.integers(1, 20), st.integers(1, 20), st.floats(0.1, 10), st.integers(0, 100))
def test_the_biased_estimate_is_never_negative_and_0_for_the_same_samples(n, m, sigma, seed):
    x, y = normal(n, seed=seed), normal(m, seed=seed + 1)
    assert metrics.mmd2_biased(x, y, sigma) >= 0
    assert metrics.mmd2_biased(x, x[::-1], sigma) == pytest.approx(0, abs=1e-14)


def test_of_equal_distributions_the_biased_estimate_is_twice_1_minus_E_k_over_n_on_average():
    n, sigma, D = 50, 1.0, 3
    draws = [
        metrics.mmd2_biased(normal(n, D, 2 * k), normal(n, D, 2 * k + 1), sigma) for k in range(300)
    ]
    expected = 2 * (1 - (1 + 2 / sigma**2) ** (-D / 2)) / n
    assert abs(np.mean(draws) - expected) < 5 * np.std(draws) / math.sqrt(300)


@pytest.mark.rounding
@estimates
def test_samples_far_from_the_origin_in_float32_keep_their_distances(estimate):
    x, y = normal(60).astype(np.float32), (1 + normal(60, seed=1)).astype(np.float32)
    sigma, far = 1.5, np.float32(1024)
    for a, b in ((x, y), (x + far, y + far)):
        expected = estimate(a.astype(float), b.astype(float), sigma)
        # A squared distance has fewer than 16 roundings of its terms, which are below 4 R²; the
        # kernel of it changes by 1/2σ² of that at most, and the estimate is of four such means.
        R = np.abs(np.concatenate([a, b]) - b.mean(axis=0)).max() * math.sqrt(a.shape[1])
        rounding = 4 * 16 * float(np.finfo(np.float32).eps) * 4 * float(R) ** 2 / (2 * sigma**2)
        assert estimate(a, b, sigma) == pytest.approx(expected, abs=rounding)


@estimates
def test_samples_are_taken_in_any_shape(estimate):
    x, y = normal(12, 16), normal(15, 16, seed=1)
    assert estimate(x.reshape(12, 1, 4, 4), y.reshape(15, 4, 4)) == estimate(x, y)


# The bandwidth


@given(st.integers(2, 12), st.integers(0, 100))
def test_the_bandwidths_are_median_and_root_mean_square_of_the_distances_of_pairs(n, seed):
    y = normal(n, seed=seed)
    distances = [math.sqrt(((a - b) ** 2).sum()) for i, a in enumerate(y) for b in y[:i]]
    # The distances come in pairs, so that a median between two of them is that of their squares.
    squares = np.median(np.square(distances))
    assert metrics.median_bandwidth(y) == pytest.approx(math.sqrt(squares), rel=1e-9)
    assert metrics.mean_bandwidth(y) == pytest.approx(
        math.sqrt(np.mean(np.square(distances))), rel=1e-9
    )


def test_the_mean_bandwidth_of_a_gaussian_is_the_root_of_2_D_variances():
    assert metrics.mean_bandwidth(3 * normal(2000, 10)) == pytest.approx(
        3 * math.sqrt(20), rel=0.02
    )


@estimates
def test_a_bandwidth_by_name_is_that_of_the_reference(estimate):
    x, y = normal(20), 3 * normal(20, seed=1)
    assert estimate(x, y, "median") == estimate(x, y) == estimate(x, y, metrics.median_bandwidth(y))
    assert estimate(x, y, "mean") == estimate(x, y, metrics.mean_bandwidth(y))


def test_the_bandwidth_of_many_samples_is_that_of_some_of_them():
    y = normal(5000)
    assert metrics.median_bandwidth(y) == metrics.median_bandwidth(y[::3])


# The floor


@estimates
def test_the_floor_is_the_estimate_of_real_samples_in_the_place_of_the_others(estimate):
    x, reals = 0.3 + normal(30), normal(80, seed=1)
    score = metrics.against_floor(x, reals, estimate=estimate)
    sigma = metrics.median_bandwidth(reals[40:])
    assert score.bandwidth == pytest.approx(sigma, rel=1e-12)
    assert score.value == pytest.approx(estimate(x, reals[40:], sigma), rel=1e-12)
    assert score.floor == pytest.approx(estimate(reals[:30], reals[40:], sigma), rel=1e-12)


def test_perfect_samples_are_at_the_floor_and_others_above_it():
    reals = normal(800)
    at, above = (metrics.against_floor(shift + normal(400, seed=1), reals) for shift in (0.0, 1.0))
    assert abs(at.value - at.floor) < 0.01
    assert above.value > at.floor + 0.1


# What is refused


def digits():
    return sg.datasets.digits("test")[0].reshape(-1, 64)


@estimates
@pytest.mark.parametrize(
    ("to_range", "name"), [(lambda x: 2 * x - 1, r"\[−1, 1\]"), (lambda x: 255 * x, r"\[0, 255\]")]
)
def test_images_on_two_ranges_are_refused_with_what_to_do(estimate, to_range, name):
    # The notes compare fakes in [0, 1] with reals in [−1, 1] (erratum E15).
    x, y = digits()[:50], to_range(digits()[50:100])
    with pytest.raises(ValueError, match=rf"samples on \[0, 1\] against samples on {name}.*2x − 1"):
        estimate(x, y)
    with pytest.raises(ValueError, match="bring both to one range"):
        metrics.against_floor(y, x)
    assert estimate(to_range(x), y) < 0.1


@estimates
def test_points_and_samples_that_fill_no_range_of_images_are_compared(estimate):
    uniform = sg.generator(0).random((100, 2))
    estimate(uniform, 2 * uniform - 1)
    estimate(digits()[:20] * 0.3 - 0.2, 2 * digits()[:20] - 1)


@estimates
@pytest.mark.parametrize(
    ("x", "y", "bandwidth", "message"),
    [
        (normal(4), normal(4, 2), 1.0, "samples of 3 numbers against samples of 2"),
        (normal(4), normal(4) * math.nan, 1.0, "hold NaN or infinity"),
        (normal(4)[:0], normal(4), 1.0, r"an array \(n, …\), got ndarray of \(0, 3\)"),
        ([[1.0]], normal(4), 1.0, "an array .* got list"),
        (normal(4), normal(4), "mode", r"of \['median', 'mean'\], got 'mode'"),
        (normal(4), normal(4), 0.0, "positive number, got 0"),
        (normal(4), normal(4), math.inf, "positive number, got inf"),
        (normal(4), np.ones((4, 3)), "median", "positive number, got 0"),
        (normal(4), normal(1), "median", "at least two samples"),
    ],
)
def test_samples_that_cannot_be_compared_are_refused(estimate, x, y, bandwidth, message):
    with pytest.raises(ValueError, match=message):
        estimate(x, y, bandwidth)


def test_one_sample_has_no_unbiased_estimate():
    with pytest.raises(ValueError, match="at least two samples each, got 1 and 4"):
        metrics.mmd2_unbiased(normal(1), normal(4), 1.0)


def test_too_few_samples_for_a_floor_are_refused():
    with pytest.raises(ValueError, match="two samples and four real ones, got 5, 3"):
        metrics.against_floor(normal(5), normal(3))


# The permutation test


@given(st.integers(2, 4), st.integers(2, 4), st.integers(0, 99))
def test_the_permuted_estimates_are_those_of_the_exchanged_sets(n, m, seed):
    x, y = normal(n, seed=seed), normal(m, seed=seed + 100)
    both = np.concatenate([x, y])
    value, p = metrics.permutation_test(x, y, sg.generator(seed), 1.3, permutations=19)
    assert value == pytest.approx(metrics.mmd2_unbiased(x, y, 1.3), abs=1e-12)
    orders = sg.generator(seed).random((n + m, 19)).argsort(axis=0)
    marked = [orders[:, j] < n for j in range(19)]
    permuted = [metrics.mmd2_unbiased(both[f], both[~f], 1.3) for f in marked]
    # Two of these values may tie up to rounding; the test's slack counts ties as at least as large.
    least = sum(v > value + 1e-9 for v in permuted)
    most = sum(v > value - 1e-9 for v in permuted)
    assert (1 + least) / 20 <= p <= (1 + most) / 20


def test_of_one_distribution_p_is_at_most_alpha_with_probability_alpha():
    rng, n = sg.generator(0), 400
    small = 0
    for k in range(n):
        x, y = normal(8, seed=2 * k), normal(12, seed=2 * k + 1)
        small += metrics.permutation_test(x, y, rng, permutations=19).p_value <= 0.2
    # A binomial of mean αn: five standard deviations above it.
    assert small <= 0.2 * n + 5 * math.sqrt(0.2 * 0.8 * n)
    assert small >= 0.2 * n - 5 * math.sqrt(0.2 * 0.8 * n)  # exact, since ties have probability 0


def test_of_two_distributions_far_apart_p_is_the_least_that_the_permutations_allow():
    p = metrics.permutation_test(normal(30), 3 + normal(30, seed=1), sg.generator(0)).p_value
    assert p == 1 / 200


@pytest.mark.parametrize(
    ("n", "m", "permutations"), [(1, 4, 9), (4, 1, 9), (3001, 3000, 9), (4, 4, 0)]
)
def test_a_permutation_test_of_too_few_or_too_many_samples_is_refused(n, m, permutations):
    with pytest.raises(ValueError, match="the test takes at least two samples of each kind"):
        metrics.permutation_test(normal(n), normal(m), sg.generator(0), permutations=permutations)


# On the device


def test_the_permutation_test_of_the_device_is_that_of_the_host(on_device):
    x, y = normal(30), 0.5 + normal(40, seed=1)
    there = metrics.permutation_test(on_device(x), on_device(y), sg.generator(0))
    here = metrics.permutation_test(x, y, sg.generator(0))
    assert there.value == pytest.approx(here.value, rel=1e-9)
    assert abs(there.p_value - here.p_value) <= 1 / 200


@estimates
@pytest.mark.parametrize("bandwidth", ["median", "mean", 1.2])
def test_the_estimates_of_the_device_are_those_of_the_host(on_device, estimate, bandwidth):
    x, y = normal(30), 0.5 + normal(40, seed=1)
    there = [on_device(a) for a in (x, y)]
    before = strict.transfers
    value = estimate(*there, bandwidth)
    assert type(value) is float
    assert strict.transfers - before <= 8  # numbers, never samples
    assert value == pytest.approx(estimate(x, y, bandwidth), rel=1e-9)


@estimates
def test_samples_on_two_devices_are_refused(monkeypatch, estimate):
    strict.install(monkeypatch)
    with pytest.raises(ValueError, match="two devices, cuda and cpu"):
        estimate(sg.to_device(normal(4), "cuda"), normal(4), 1.0)
