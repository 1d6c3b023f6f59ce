"""What is taken for right, and how closely a mistake has to fit."""

import math

import numpy as np
import pytest

from scratchgen import differentiable
from scratchgen import operations as ops
from scratchgen.gradcheck.comparison import compare
from scratchgen.gradcheck.evidence import Evidence, entries
from scratchgen.gradcheck.subject import of_gradient

X = np.random.default_rng(0).standard_normal((5, 4))


def evidence_of(cost, gradient, *arrays):
    subject = of_gradient(cost, gradient, arrays)
    given, _, _ = subject.given_twice()
    rng = np.random.default_rng(0)
    return Evidence(subject, {k: compare(subject, k, g, rng) for k, g in given.items()})


def test_the_engines_gradient_is_the_right_one_where_the_numerical_one_agrees():
    evidence = evidence_of(lambda x: np.exp(x).sum(), lambda x: x, X)
    assert evidence.recording is not None
    np.testing.assert_array_equal(evidence.right[0], np.exp(X))
    assert evidence.wrong == {0}


def test_a_rule_that_is_wrong_itself_is_not_trusted():
    wrong = differentiable(lambda x: (np.exp(x), (lambda delta: delta,)))
    evidence = evidence_of(lambda x: wrong(x).sum(), lambda x: x, X)
    assert evidence.recording is None
    assert evidence.unrecorded == "the recorded gradient is not the numerical one"
    np.testing.assert_allclose(evidence.right[0], np.exp(X), rtol=1e-10)


def test_the_look_inside_allows_a_hundredth_of_what_the_numbers_alone_allow():
    inside = evidence_of(lambda x: np.exp(x).sum(), lambda x: x, X)
    outside = evidence_of(lambda x: math.fsum(np.exp(x).ravel()), lambda x: x, X)
    single = evidence_of(lambda x: np.exp(x).sum(), lambda x: np.float32(x), X)
    for evidence, tolerance in ((inside, 1e-8), (outside, 1e-6), (single, 1e-4)):
        right = evidence.right[0]
        for off, fits in ((0.9 * tolerance, True), (1.1 * tolerance, False)):
            left = right.copy()
            left.reshape(-1)[np.argmax(right)] *= 1 + 1.01 * off  # of the largest, 1/100 more
            assert evidence.fits(0, left, right) == fits


def test_an_entry_at_a_kink_does_not_speak():
    x = X.copy()
    x[1, 2] = 0
    evidence = evidence_of(lambda x: np.maximum(x, 0).sum(), lambda x: 0.3 * (x >= 0), x)
    assert evidence.right[0][1, 2] == evidence.given[0][1, 2] == 0.3
    other = evidence.right[0].copy()
    other[1, 2] = 17
    assert evidence.fits(0, evidence.given[0], evidence.given[0])
    assert evidence.fits(0, other, evidence.right[0])


def test_one_row_of_the_batch_alone():
    labels = np.arange(5) % 4
    evidence = evidence_of(
        lambda W, x: ops.cross_entropy(x @ W, labels[: len(x)]).sum(), lambda W, x: W, np.eye(4), X
    )
    (alone,) = evidence.of_row(0, 5, 0)
    expected = np.outer(X[0], ops.softmax(X[0]) - np.eye(4)[0])
    np.testing.assert_allclose(alone, expected, rtol=1e-12)


def test_the_lengths_are_those_of_the_batch_of_each_axis_and_of_all_entries():
    evidence = evidence_of(lambda x, y: (x.sum(1) * y).sum(), lambda x, y: x, X, X[:, 0])
    assert evidence.batches == [(5, "the batch size")]
    assert evidence.lengths == [
        (5, "the batch size"),
        (4, "the length of axis 1 of x"),
        (20, "the number of entries of x"),
    ]
    assert evidence.summed == {5}


def test_the_batch_is_the_second_axis_where_samples_are_columns():
    def cost(W, x, y):
        return np.square(W @ x - y).mean()

    columns, y = X.T, np.ones((2, 5))
    evidence = evidence_of(cost, lambda W, x, y: W, np.ones((2, 4)), columns, y)
    assert evidence.lengths[0] == (5, "the batch size")
    assert evidence.summed == {5}


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (np.ones(1), "in its one entry"),
        (np.ones(2), "in both entries"),
        (np.ones((20, 100)), "in all 2,000 entries"),
        (np.array([1.0, np.nan, 2.0]), "in the 2 of 3 entries tried"),
    ],
)
def test_in_how_many_entries_something_was_seen_is_said(known, said):
    assert entries(known) == said
