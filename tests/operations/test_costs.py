"""Costs: fused is composed, far out they stay finite, and wrong labels are named."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import samples, seeds
from tests.rules import random_delta, value_and_shares
from tests.strategies import labelled_logits


def summed(cost):
    return ops.sum(cost, axis=tuple(range(1, cost.ndim)))


def composed_bernoulli_nll(logits, target):
    p = ops.sigmoid(logits)
    return -summed(target * ops.log(p) + (1 - target) * ops.log(1 - p))


def composed_gaussian_nll(mu, log_var, target):
    sigma = ops.exp(0.5 * log_var)
    return summed(0.5 * math.log(2 * math.pi) + ops.log(sigma) + ((target - mu) / sigma) ** 2 / 2)


COMPOSITIONS = {
    "squared_error": (samples((), ()), lambda y, t: summed(0.5 * (y - t) ** 2)),
    "bernoulli_nll": (samples(((-6.0, 6.0),), ((0.0, 1.0),)), composed_bernoulli_nll),
    "gaussian_nll": (samples((), (), ()), composed_gaussian_nll),
    "gaussian_kl": (
        samples((), ()),
        lambda mu, log_var: 0.5 * summed(mu**2 + ops.exp(log_var) - 1 - log_var),
    ),
}


def assert_alike(fused, composed, wrt, seed):
    """Two recordings have the same value, and the same gradient for a random δ."""
    delta = random_delta(fused, seed)
    np.testing.assert_allclose(fused.data, composed.data, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(
        sg.gradient(fused, wrt, delta=delta), sg.gradient(composed, wrt, delta=delta), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", COMPOSITIONS)
@given(data=st.data(), seed=seeds)
def test_fused_is_composed(name, data, seed):
    strategy, composition = COMPOSITIONS[name]
    wrt = [sg.Tensor(x) for x in data.draw(strategy)]
    assert_alike(getattr(ops, name)(*wrt), composition(*wrt), wrt, seed)


@given(example=labelled_logits(), seed=seeds)
def test_cross_entropy_is_minus_the_log_softmax_at_the_label(example, seed):
    logits, labels = sg.Tensor(example[0]), example[1]
    rows = np.arange(len(labels))
    for composed in (
        -ops.log_softmax(logits)[rows, labels],
        -ops.log(ops.softmax(logits))[rows, labels],
        ops.logsumexp(logits, axis=1) - logits[rows, labels],
    ):
        assert_alike(ops.cross_entropy(logits, labels), composed, [logits], seed)


@given(example=labelled_logits())
def test_its_delta_equation_is_softmax_less_one_at_the_label(example):
    logits, labels = example
    _, (share,) = value_and_shares(ops.cross_entropy, example, {}, np.ones(len(labels)))
    np.testing.assert_allclose(
        share, ops.softmax(logits) - np.eye(logits.shape[1])[labels], atol=1e-12
    )


def test_a_variance_common_to_all_collects_the_derivatives_of_all():
    mu = np.arange(6.0).reshape(2, 3)
    for log_var in (np.array(0.7), np.full(3, 0.7), np.full((2, 1), 0.7)):
        _, (_, share) = value_and_shares(ops.gaussian_kl, (mu, log_var), {}, np.array([1.0, 10.0]))
        each = np.broadcast_to(0.5 * (np.exp(0.7) - 1) * np.array([[1.0], [10.0]]), (2, 3))
        expected = {0: each.sum(), 1: each.sum(0), 2: each.sum(1, keepdims=True)}[log_var.ndim]
        np.testing.assert_allclose(share, expected)


def test_a_mean_common_to_all_collects_the_derivatives_of_all():
    mu, log_var, delta = np.array([1.0, 2.0]), np.zeros((2, 2)), np.array([1.0, 10.0])
    _, (share, _) = value_and_shares(ops.gaussian_kl, (mu, log_var), {}, delta)
    np.testing.assert_allclose(share, [11.0, 22.0])


@pytest.mark.parametrize("size", [1e3, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_stays_finite_for_large_logits(size, dtype):
    logits = np.array([[size, -size, 0], [-size, size, 0], [size, size, size]], dtype)
    labels = np.array([1, 1, 2])
    cost, (share,) = value_and_shares(ops.cross_entropy, (logits, labels), {}, np.ones(3, dtype))
    np.testing.assert_allclose(cost, [2 * size, 0, np.log(3)], rtol=1e-6)
    np.testing.assert_allclose(share, [[1, -1, 0], [0, 0, 0], [1 / 3, 1 / 3, -2 / 3]], atol=1e-6)


def test_a_class_of_logit_minus_infinity_is_impossible_and_nothing_else():
    logits, labels = np.array([[0.0, 1.0, -np.inf]]), np.array([1])
    cost, (share,) = value_and_shares(ops.cross_entropy, (logits, labels), {}, np.ones(1))
    p = 1 / (1 + math.e)
    np.testing.assert_allclose(cost, [math.log(1 + 1 / math.e)])
    np.testing.assert_allclose(share, [[p, -p, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bernoulli_cost_stays_finite_for_large_logits(dtype):
    logits = np.array([[1e3, -1e3], [-1e3, 1e3], [40, -40]], dtype)
    target = np.array([[1, 0], [1, 0], [0.5, 0.5]], dtype)
    cost, (for_logits, for_target) = value_and_shares(
        ops.bernoulli_nll, (logits, target), {}, np.ones(3, dtype)
    )
    np.testing.assert_allclose(cost, [0, 2e3, 40], rtol=1e-6)
    np.testing.assert_allclose(for_logits, [[0, 0], [-1, 1], [0.5, -0.5]], atol=1e-6)
    np.testing.assert_array_equal(for_target, -logits)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["squared_error", "bernoulli_nll"])
def test_a_target_may_be_of_any_dtype(name, dtype):
    prediction = sg.Tensor(np.array([[0.5, -1.0], [2.0, 3.0]], np.float32))
    target = np.array([[1, 0], [0, 1]])
    cost = getattr(ops, name)(prediction, target.astype(dtype))
    (share,) = sg.gradient(cost.mean(), [prediction])
    exact = sg.Tensor(prediction.data.astype(float))
    (expected,) = sg.gradient(getattr(ops, name)(exact, target.astype(float)).mean(), [exact])
    assert share.dtype == np.float32
    np.testing.assert_allclose(share, expected, rtol=1e-5)


def test_costs_are_those_of_the_closed_forms():
    assert ops.squared_error(np.array([[3.0, 0.0]]), np.array([[0.0, 4.0]])) == [12.5]
    np.testing.assert_allclose(
        ops.bernoulli_nll(np.zeros((2, 5)), np.ones((2, 5))), 5 * math.log(2)
    )
    np.testing.assert_allclose(ops.cross_entropy(np.zeros((2, 5)), np.array([0, 4])), math.log(5))
    np.testing.assert_allclose(
        ops.gaussian_nll(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3))),
        1.5 * math.log(2 * math.pi),
    )
    np.testing.assert_array_equal(ops.gaussian_kl(np.zeros((2, 3)), np.zeros((2, 3))), [0, 0])


def test_the_divergence_keeps_its_digits_where_the_two_are_close():
    log_var = np.array([[1e-9]])
    np.testing.assert_allclose(
        value_and_shares(ops.gaussian_kl, (np.zeros((1, 1)), log_var), {}, np.ones(1))[1][1],
        0.5 * np.expm1(log_var),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        (np.zeros(3, int), ValueError, r"shape \(3,\), expected \(2,\)"),
        (np.zeros((2, 4), int), ValueError, r"shape \(2, 4\), expected \(2,\)"),
        (np.zeros(2), TypeError, "integers from 0 to 3, got float64"),
        (np.zeros(2, bool), TypeError, "integers from 0 to 3, got bool"),
        (np.array([0, 4]), IndexError, "from 0 to 4, expected 0 to 3"),
        (np.array([-1, 3]), IndexError, "from -1 to 3, expected 0 to 3"),
    ],
)
def test_labels_that_are_none_are_refused_with_what_came_and_what_was_expected(labels, error, says):
    with pytest.raises(error, match=says):
        ops.cross_entropy(sg.Tensor(np.zeros((2, 4))), labels)


@pytest.mark.parametrize(
    "arguments",
    [
        (ops.squared_error, (3, 1), (3,)),
        (ops.bernoulli_nll, (3, 1), (3,)),
        (ops.gaussian_nll, (3, 1), (3, 1), (3,)),
        (ops.gaussian_kl, (3, 1), (3,)),
    ],
)
def test_a_column_beside_a_row_is_refused_and_not_made_a_square(arguments):
    cost, *shapes = arguments
    with pytest.raises(ValueError, match="arrays of the same shape"):
        cost(*[np.full(shape, 0.5) for shape in shapes])


def test_the_bernoulli_cost_of_what_is_all_but_certain_keeps_its_digits():
    logits = np.array([[10.0], [14.0], [-20.0]])
    target = np.array([[1.0], [1.0], [0.0]])
    exact = np.log1p(np.exp(-np.abs(logits)))[:, 0]
    single = ops.bernoulli_nll(logits.astype(np.float32), target.astype(np.float32))
    np.testing.assert_allclose(single, exact, rtol=1e-6)


def test_the_bernoulli_cost_of_logits_that_are_integers_keeps_the_targets():
    cost = ops.bernoulli_nll(np.array([[1, -2]]), np.array([[0.5, 0.5]]))
    expected = ops.bernoulli_nll(np.array([[1.0, -2.0]]), np.array([[0.5, 0.5]]))
    np.testing.assert_allclose(cost, expected, rtol=1e-15)
