"""Divergences of discrete distributions: their definitions, bounds and limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import scratchgen as sg
from scratchgen.metrics import jensen_shannon, kl_divergence


@st.composite
def pairs(draw, least=0.0):
    """Two distributions over the same outcomes."""
    n = draw(st.integers(1, 8))
    weights = hnp.arrays(float, n, elements=st.floats(least, 1))
    p, q = draw(weights), draw(weights)
    p[draw(st.integers(0, n - 1))] += 0.1
    q[draw(st.integers(0, n - 1))] += 0.1
    return p / p.sum(), q / q.sum()


@given(pairs(least=1e-6))
def test_kl_is_the_sum_of_p_log_p_over_q(pair):
    p, q = pair
    expected = math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert kl_divergence(p, q) == pytest.approx(expected, rel=1e-10, abs=1e-14)


@given(pairs())
def test_kl_is_never_negative_and_zero_for_equal_distributions_alone(pair):
    p, q = pair
    assert kl_divergence(p, p) == 0
    assert kl_divergence(p, q) >= -1e-15
    if np.abs(p - q).max() > 1e-6:
        assert kl_divergence(p, q) > 0


def test_kl_is_not_symmetric():
    p, q = [0.9, 0.1], [0.5, 0.5]
    forth = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    back = 0.5 * math.log(1 / 1.8) + 0.5 * math.log(1 / 0.2)
    assert kl_divergence(p, q) == pytest.approx(forth, rel=1e-14)
    assert kl_divergence(q, p) == pytest.approx(back, rel=1e-14)


def test_outcomes_of_no_probability_add_nothing_to_kl_and_what_q_lacks_makes_it_infinite():
    assert kl_divergence([0.0, 1.0], [0.5, 0.5]) == pytest.approx(math.log(2), rel=1e-15)
    assert kl_divergence([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]) == 0
    assert kl_divergence([0.5, 0.5], [0.0, 1.0]) == math.inf


@given(st.floats(1e-12, 1e-3))
def test_near_equal_distributions_keep_the_digits_of_their_kl(step):
    # D_KL(½ ± ε ‖ ½) = 2 ε² + 4/3 ε⁴ + …, from two terms that round ε/2 to a few units each.
    p = [0.5 + step, 1 - (0.5 + step)]
    step = p[0] - 0.5
    expected = 2 * step**2 + 4 / 3 * step**4
    rounding = 16 * np.finfo(float).eps * step
    assert kl_divergence(p, [0.5, 0.5]) == pytest.approx(expected, rel=1e-11, abs=rounding)


LEAST = np.nextafter(0, 1)


@pytest.mark.parametrize("tiny", [LEAST, 2e-322, 1e-310, 1e-300])
def test_outcomes_of_almost_no_probability_have_finite_divergences_without_a_warning(tiny):
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        assert kl_divergence([1.0, 0.0], [tiny, 1.0]) == pytest.approx(-math.log(tiny), rel=1e-15)
        assert kl_divergence([tiny, 1.0], [1.0, tiny]) == pytest.approx(-math.log(tiny), rel=1e-15)
        assert kl_divergence([tiny, 1.0], [0.5, 0.5]) == pytest.approx(math.log(2), rel=1e-15)
        assert kl_divergence([tiny, 1.0], [tiny, 1.0]) == 0
        for p, q in [([tiny, 1.0], [0.0, 1.0]), ([0.0, 1.0], [tiny, 1.0])]:
            assert jensen_shannon(p, q) <= tiny


@given(pairs())
def test_jensen_shannon_is_symmetric_and_between_0_and_log_2(pair):
    # The notes print [0, 1], its bounds in bits (erratum E7).
    p, q = pair
    value = jensen_shannon(p, q)
    assert value == pytest.approx(jensen_shannon(q, p), rel=1e-12, abs=1e-15)
    assert -1e-15 <= value <= math.log(2) + 1e-15


@given(pairs(least=1e-300))
def test_jensen_shannon_is_the_mean_kl_to_the_mixture(pair):
    p, q = pair  # without subnormal numbers, whose halves are rounded
    m = (p + q) / 2
    expected = (kl_divergence(p, m) + kl_divergence(q, m)) / 2
    assert jensen_shannon(p, q) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_jensen_shannon_is_log_2_where_no_outcome_has_both():
    assert jensen_shannon([0.3, 0.7, 0.0], [0.0, 0.0, 1.0]) == pytest.approx(math.log(2), rel=1e-15)


def test_distributions_of_any_one_shape_are_taken_also_from_the_device(on_device):
    p = on_device(np.full((2, 3), 1 / 6))
    q = on_device(np.array([[0.5, 0.1, 0.1], [0.1, 0.1, 0.1]], np.float32))
    expected = kl_divergence(sg.to_host(p).reshape(-1), sg.to_host(q).reshape(-1))
    assert kl_divergence(p, q) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("wrong", [[0.5, 0.6], [1.5, -0.5], [math.nan, 1.0], [], [3.0, 7.0]])
@pytest.mark.parametrize("divergence", [kl_divergence, jensen_shannon])
def test_what_is_no_distribution_is_refused(divergence, wrong):
    with pytest.raises(ValueError, match=r"p is no distribution: .*≥ 0 and sum to 1"):
        divergence(wrong, [0.5, 0.5])
    with pytest.raises(ValueError, match="q is no distribution"):
        divergence([0.5, 0.5], wrong)


def test_distributions_over_other_outcomes_are_refused():
    with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(3,\)"):
        kl_divergence([0.5, 0.5], [0.5, 0.25, 0.25])


@given(pairs(least=1e-6), st.floats(1.1, 100))
def test_a_base_divides_by_its_logarithm(pair, base):
    for divergence in (kl_divergence, jensen_shannon):
        assert divergence(*pair, base) == pytest.approx(
            divergence(*pair) / math.log(base), rel=1e-14
        )


def test_in_bits_the_jensen_shannon_divergence_has_the_bounds_of_the_notes():
    # The notes print [0, 1] (erratum E7).
    assert jensen_shannon([1, 0], [0, 1], base=2) == 1
    assert jensen_shannon([0.3, 0.7], [0.3, 0.7], base=2) == 0


@pytest.mark.parametrize("base", [1, 0, -2, math.inf, math.nan])
def test_a_base_that_gives_no_unit_is_refused(base):
    for divergence in (kl_divergence, jensen_shannon):
        with pytest.raises(ValueError, match="the base of the logarithm is above 1"):
            divergence([0.5, 0.5], [1, 0], base)
