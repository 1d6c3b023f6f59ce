"""Given beside numerical: what may lie between the two, the verdict, at every size and scale."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen.gradcheck import comparison, diagnosis
from scratchgen.gradcheck.comparison import Comparison, Trial, by_numbers, compare
from scratchgen.gradcheck.numerical import Derivative
from scratchgen.gradcheck.strategies import arrays, seeds
from scratchgen.gradcheck.subject import of_gradient
from tests.gradcheck.handwritten import X, cubes, squares


@given(x=arrays((3, 2)), factor=st.sampled_from([1.0005, 0.9995, 1.00002]))
def test_a_factor_of_a_few_in_a_hundred_thousand_is_seen(x, factor):
    assert not sg.check_gradient(cubes, lambda x: factor * squares(x), x + 3).ok


@pytest.mark.parametrize("function", [np.abs, lambda x: np.maximum(x, 0)])
@pytest.mark.parametrize("at_kink", [-1.0, 0.0, 0.4, 1.0])
def test_at_a_kink_any_slope_between_the_two_sides_is_accepted(function, at_kink):
    x = np.array([1.5, 0.0, -2.0])
    right = np.array([1.0, 0.0, -1.0 if function is np.abs else 0.0])
    low = right[2]

    def gradient(x):
        return np.where(x == 0, at_kink, right)

    report = sg.check_gradient(lambda x: function(x).sum(), gradient, x)
    assert report.ok == (low <= at_kink <= 1)
    assert report["x"].kinks == [(1,)]
    assert "the cost has a kink at entry [1]" in str(report)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (1, 1), ()])
def test_arrays_of_any_size_are_checked(shape):
    assert sg.check_gradient(cubes, squares, np.full(shape, 1.5)).ok


def test_one_wrong_entry_among_many_is_found_and_named():
    x = np.random.default_rng(0).standard_normal((280, 280)) + 3

    def gradient(x):
        derivative = squares(x)
        derivative[17, 200] *= 1.01
        return derivative

    report = sg.check_gradient(cubes, gradient, x)
    assert not report.ok
    assert report["x"].worst_index == (17, 200)
    assert "agrees but for entry [17, 200]; none of the known mistakes fits" in report.diagnosis[0]
    assert sg.check_gradient(cubes, squares, x).ok


def test_a_mistake_in_a_large_array_is_named_in_all_its_entries():
    x = np.random.default_rng(0).standard_normal((280, 280))
    report = sg.check_gradient(cubes, lambda x: 1.5 * x**2, x)
    assert report.diagnosis == [
        "∂C/∂x: yours = 0.5 × numerical in all 78,400 entries: a factor 2 is missing"
    ]


def test_kinks_in_a_large_array_are_no_mistake():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 30))
    x[rng.random(x.shape) < 0.02] = 0
    report = sg.check_gradient(
        lambda x: (np.maximum(x, 0) * np.arange(30)).sum(), lambda x: (x > 0) * np.arange(30.0), x
    )
    assert report.ok


@pytest.mark.parametrize("w", [1.0, 1e3, 1e6])
@given(seed=seeds)
def test_a_right_gradient_agrees_where_the_cost_swings_within_the_steps(w, seed):
    x = w * np.random.default_rng(seed).standard_normal(4)
    assert sg.check_gradient(lambda x: np.sum(np.sin(x)), np.cos, x).ok
    swings = sg.check_gradient(lambda x: np.sum(np.sin(w * x)), lambda x: w * np.cos(w * x), x / w)
    assert swings.ok, swings
    assert not sg.check_gradient(lambda x: np.sum(np.sin(x)), lambda x: 2 * np.cos(x), x).ok


@pytest.mark.parametrize("small", [1e-3, 1e-6, 1e-10])
@pytest.mark.parametrize(
    ("f", "derivative"),
    [
        (lambda x: 1 / x, lambda x: -1 / x**2),
        (lambda x: 1 / np.abs(x), lambda x: -np.sign(x) / x**2),
        (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
        (np.log, lambda x: 1 / x),
        (np.abs, np.sign),
    ],
    ids=["1/x", "1/|x|", "sqrt", "log", "abs"],
)
def test_a_right_gradient_agrees_at_an_entry_much_smaller_than_its_neighbours(f, derivative, small):
    x = np.array([small, 1.0])
    report = sg.check_gradient(lambda x: np.sum(f(x)), derivative, x)
    assert report.ok, report
    assert not sg.check_gradient(lambda x: np.sum(f(x)), lambda x: 2 * derivative(x), x).ok


def test_what_is_lost_in_the_uncertainty_is_undecided():
    x = np.array([0.3, -1.2, 0.7, 2.0])
    inexact = lambda x: np.float32(1e6) + np.float32(np.sum(x**2))
    for gradient in (lambda x: 2 * x, lambda x: -2 * x):
        report = sg.check_gradient(inexact, gradient, x)
        assert not report.ok
        assert report.entries[0].verdict == "UNDECIDED"
        assert "too inexact to tell" in report.diagnosis[0]


@pytest.mark.parametrize("c", [1e15, 1e17, 1e30])
def test_what_a_large_constant_hides_never_agrees(c):
    x = np.array([0.3, -0.5, 1.2])
    inexact, exact = lambda x: float(c + np.sum(x**2)), lambda x: c + np.sum(x**2)
    assert sg.check_gradient(inexact, lambda x: -2 * x, x).entries[0].verdict == "UNDECIDED"
    assert sg.check_gradient(exact, lambda x: -2 * x, x).entries[0].verdict == "DISAGREES"
    assert sg.check_gradient(exact, lambda x: 2 * x, x).ok


@pytest.mark.parametrize("p", [1e-20, 1e-60, 1e-100, 1e-300])
@pytest.mark.parametrize("analytic", [True, False])
@pytest.mark.parametrize("entries", [2, 1000])
def test_the_step_is_that_of_the_entry(p, analytic, entries):
    w = np.full(entries, 0.5)
    w[0] = p

    def cost(w):
        return np.sum(np.log(w)) if analytic else float(np.sum(np.log(w)))

    assert sg.check_gradient(cost, lambda w: 1 / w, w).ok
    assert not sg.check_gradient(cost, lambda w: -1 / w, w).ok
    assert not sg.check_gradient(cost, lambda w: 1 / w * np.where(w == p, -1, 1), w).ok


def test_entries_far_smaller_than_others_are_undecided_where_they_may_be_wrong():
    x = np.array([1e-8, 1e-3, 1, 1e3, 1e8])
    cost, right = lambda x: np.sum(x**4), lambda x: 4 * x**3
    assert sg.check_gradient(cost, right, x).ok
    twice = lambda x: right(x) * np.array([2, 1, 1, 1, 1])
    entry = sg.check_gradient(cost, twice, x).entries[0]
    assert (entry.verdict, entry.undecided, entry.worst_index) == ("UNDECIDED", 1, (0,))
    assert "1 of 5 entries, [0], is not decided" in entry.diagnosis
    assert sg.check_gradient(cost, twice, x, allow_undecided=True).ok
    assert not sg.check_gradient(cost, lambda x: -twice(x), x, allow_undecided=True).ok


@pytest.mark.parametrize("number", [6, 600])
@pytest.mark.parametrize("wrong", [lambda g: -g, lambda g: 2 * g, lambda g: 0 * g])
def test_a_part_of_a_flat_vector_far_smaller_than_the_others_is_not_passed_over(number, wrong):
    theta = np.random.default_rng(0).standard_normal(2 * number)
    small = np.arange(2 * number) < number // 3
    scale = np.where(small, 1e-10, 1.0)
    cost, right = lambda t: np.sum(scale * t**2), lambda t: 2 * scale * t
    assert sg.check_gradient(cost, right, theta).ok
    assert not sg.check_gradient(
        cost, lambda t: np.where(small, wrong(right(t)), right(t)), theta
    ).ok


def test_a_small_row_of_float32_is_not_passed_over():
    w = np.array([[0.3, -1.0], [0.8, 0.5]])

    def cost(w):
        return 1e4 * np.sum(w[0] ** 2) + 1e-2 * np.sum(w[1] ** 2)

    for sign, ok in ((1, True), (-1, False)):
        rows = lambda w, s=sign: np.stack([2e4 * w[0], s * 2e-2 * w[1]]).astype(np.float32)
        assert sg.check_gradient(cost, rows, w).ok == ok


@pytest.mark.parametrize("dead", [lambda x: np.maximum(x, 0), lambda x: x * (x > 0)])
def test_a_derivative_that_is_zero_on_both_sides_is_decided(dead):
    x = np.array([-1.0, -0.3, 2.0])
    assert sg.check_gradient(lambda x: np.sum(dead(x)) + 7, lambda x: (x > 0) * 1.0, x).ok
    assert sg.check_gradient(lambda x: np.sum(dead(x)), lambda x: 0 * x, -abs(x)).ok


@given(value=st.floats(-5, 5), uncertainty=st.floats(0, 1), rounding=st.floats(0, 1))
def test_the_two_sides_agree_within_the_uncertainty_and_the_rounding(value, uncertainty, rounding):
    found, bound = Derivative(value, uncertainty), uncertainty + rounding
    for apart in (0.0, 0.999 * bound, -0.999 * bound):
        assert Trial(value + apart, found, rounding).agrees
    for apart in (1.001 * bound + 1e-9, -1.001 * bound - 1e-9):
        assert not Trial(value + apart, found, rounding).agrees


@pytest.mark.parametrize(
    ("given_", "agrees"), [(-1.2, False), (-1.05, True), (0.4, True), (2.05, True), (2.2, False)]
)
def test_at_a_kink_whatever_lies_between_the_slopes_of_its_sides_agrees(given_, agrees):
    assert Trial(given_, Derivative(0.5, 0.05, (2.0, -1.0)), 0.05).agrees == agrees


def test_what_is_not_a_number_agrees_with_nothing():
    assert not Trial(0.0, Derivative(math.nan, math.inf), 0.0).agrees
    assert not Trial(math.nan, Derivative(0.0, 1.0), 0.0).agrees


@pytest.mark.parametrize(
    ("gradient", "verdict"),
    [
        (squares, "agrees"),
        (lambda x: 1.01 * squares(x), "DISAGREES"),
        (lambda x: squares(x)[:2], "WRONG SHAPE"),
        (lambda x: np.array([np.inf, *squares(x)[1:]]), "DISAGREES"),
        (lambda x: np.array([np.nan, *squares(x)[1:]]), "DISAGREES"),
    ],
    ids=["right", "1 % off", "two of three", "infinite", "not a number"],
)
def test_the_verdict_is_one_of_four_words(gradient, verdict):
    (entry,) = sg.check_gradient(cubes, gradient, X).entries
    assert entry.verdict == verdict
    assert entry.ok == (verdict == "agrees")


def compared(gradient, x):
    subject = of_gradient(cubes, gradient, [x])
    return compare(subject, 0, gradient(x), np.random.default_rng(0))


def test_of_a_wrong_shape_the_right_side_is_found_all_the_same():
    sides = compared(lambda x: squares(x)[:2], X)
    assert sides.is_wrong
    np.testing.assert_allclose(sides.right, squares(X), rtol=1e-12)


@given(seed=seeds)
def test_what_was_tried_bears_out_the_right_derivative_and_no_other(seed):
    x = np.random.default_rng(seed).standard_normal((20, 20))
    sides = compared(squares, x)
    bands = len(sides.bands())
    assert 4 <= np.isfinite(sides.right).sum() <= 10 + bands
    assert len(sides.directions) == 4 + 2 * bands
    assert sides.agrees_with(squares(x))
    assert not sides.agrees_with(1.001 * squares(x))


def test_a_wrong_entry_is_found_by_halving():
    x = np.random.default_rng(0).standard_normal((20, 20)) + 3
    claimed = squares(x)
    claimed[3, 17] += 1
    sides = Comparison(of_gradient(cubes, squares, [x]), 0, claimed)
    assert sides.find_wrong(np.ones(x.shape)) == 3 * 20 + 17


def test_by_numbers_alone_entry_by_entry_unless_they_are_many():
    subject = of_gradient(cubes, squares, [X])
    np.testing.assert_allclose(by_numbers(subject, 0), squares(X), rtol=1e-12)
    many = np.ones(257)
    assert by_numbers(of_gradient(cubes, squares, [many]), 0) is None


def test_a_sum_that_cancels_may_leave_its_rounding_where_the_derivative_is_zero():
    # A bias before the mean is removed: its derivative is 0, and a sum of terms leaves 1e-16.
    x = np.random.default_rng(0).standard_normal((5, 3))

    def cost(b, w):
        z = x * w + b
        return ((z - z.mean(axis=1, keepdims=True)) ** 3).sum()

    def gradient(b, w):
        z = x * w + b
        delta = 3 * (z - z.mean(axis=1, keepdims=True)) ** 2
        delta = delta - delta.mean(axis=1, keepdims=True)
        return delta.sum(), (delta * x).sum(axis=0)

    b, w = np.float64(0.3), np.array([0.5, -1.2, 0.8])
    assert 0 < abs(gradient(b, w)[0]) < 1e-14
    assert sg.check_gradient(cost, gradient, b, w).ok
    wrong = sg.check_gradient(cost, lambda b, w: (1e-6, gradient(b, w)[1]), b, w)
    assert wrong["b"].verdict == "DISAGREES"


def test_all_that_may_take_long_in_a_check_is_watched(monkeypatch):
    seen = {}

    def watched(things, what, total=None):
        for thing in things:
            seen[what] = seen.get(what, 0) + 1
            yield thing

    monkeypatch.setattr(comparison, "watched", watched)
    monkeypatch.setattr(diagnosis, "watched", watched)
    w = np.random.default_rng(0).standard_normal(300)
    wrong = lambda w: 2 * w + 0.1 * (np.arange(300) == 7)
    assert not sg.check_gradient(lambda w: np.sum(w**2), wrong, w).ok
    assert seen["∂C/∂w along directions"] >= 1
    assert seen["the wrong entry of ∂C/∂w"] == 9  # halvings of 300 entries
    assert seen["slips tried"] > 1
    assert seen["mistakes tried"] > 1
