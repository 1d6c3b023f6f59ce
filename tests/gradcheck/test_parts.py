"""What is wrong in a part of an array is named there; right numbers elsewhere are recognised."""

import numpy as np
import pytest
from hypothesis import given

import scratchgen as sg
from scratchgen.gradcheck.strategies import seeds


def entry_of(change, seed, shape=(5, 4)):
    x = np.random.default_rng(seed).standard_normal(shape)

    def wrong(x):
        g = 3 * x**2 + 1
        change(g)
        return g

    cost = lambda x: np.sum(x**3 + x)
    assert sg.check_gradient(cost, lambda x: 3 * x**2 + 1, x).ok
    return sg.check_gradient(cost, wrong, x).entries[0]


def scaled(key, factor):
    def change(g):
        g[key] *= factor

    return change


def exchanged(key, other):
    def change(g):
        g[key] = g[other].copy()

    return change


COLUMNS = (slice(None), [0, 2]), (slice(None), [2, 0])
PARTS = {
    "an entry": (scaled((1, 2), -1), "sign", "in entry [1, 2]: yours = -1 × numerical"),
    "a row": (scaled(3, -1), "sign", "in row 3: yours = -1 × numerical"),
    "a column": (scaled((slice(None), 2), 2), "factor 2", "in column 2: yours = 2 × numerical"),
    "two rows": (scaled([0, 3], 1 / 3), "ratio", "in rows 0, 3: yours = 1/3 × numerical"),
    "rows": (exchanged([0, 3], [3, 0]), "exchanged", "rows 0 and 3 are exchanged"),
    "columns": (exchanged(*COLUMNS), "exchanged", "columns 0 and 2 are exchanged"),
}


@pytest.mark.parametrize(("change", "kind", "said"), PARTS.values(), ids=PARTS)
@given(seed=seeds)
def test_a_mistake_in_a_part_is_named_in_it(change, kind, said, seed):
    entry = entry_of(change, seed)
    assert entry.kinds == [kind], entry.diagnosis
    assert said in entry.diagnosis


@given(seed=seeds)
def test_a_regulariser_of_one_row_alone_is_what_is_left_over_there(seed):
    x = np.random.default_rng(seed).standard_normal((4, 3))
    wrong = lambda x: np.cos(x) + np.array([[0.3], [0], [0], [0]]) * x
    (entry,) = sg.check_gradient(lambda x: np.sum(np.sin(x)), wrong, x).entries
    assert entry.kinds == ["L2 regulariser"]
    assert entry.diagnosis.startswith("in row 0: yours − numerical = 0.3 × x")


def cut(theta):
    return theta[:12].reshape(3, 4), theta[12:16]


def flat_cost(theta, x):
    W, b = cut(theta)
    return np.sum(np.tanh(x @ W + b) ** 2)


def of_flat(theta, x, joined):
    W, b = cut(theta)
    a = np.tanh(x @ W + b)
    delta = 2 * a * (1 - a**2)
    return joined(x.T @ delta, delta.sum(axis=0))


FLAT = {
    "unrolled in another order": (
        lambda W, b: np.concatenate([W.ravel("F"), b]),
        "theta[:12]",
    ),
    "joined in another order": (lambda W, b: np.concatenate([b, W.ravel()]), "theta[12:16]"),
    "ratio": (lambda W, b: np.concatenate([0.7 * W.ravel(), b]), "in theta[:12]"),
}


@pytest.mark.parametrize("kind", FLAT)
@given(seed=seeds)
def test_the_slices_of_a_flat_vector_are_named_with_their_line(kind, seed):
    rng = np.random.default_rng(seed)
    theta, x = rng.standard_normal(16), rng.standard_normal((5, 3))
    joined, said = FLAT[kind]
    entry = sg.check_gradient(flat_cost, lambda theta, x: of_flat(theta, x, joined), theta, x)[
        "theta"
    ]
    assert entry.kinds == [kind], entry.diagnosis
    assert said in entry.diagnosis
    assert "test_parts.py:" in entry.diagnosis


@pytest.mark.parametrize("shapes", [((4,), (4, 3)), ((3, 3), (3, 3))], ids=["other", "equal"])
@given(seed=seeds)
def test_derivatives_returned_in_another_order_are_recognised(shapes, seed):
    rng = np.random.default_rng(seed)
    x, y = map(rng.standard_normal, shapes)
    wrong = lambda x, y: (np.cos(y), np.exp(x))
    report = sg.check_gradient(lambda x, y: np.sum(np.exp(x)) + np.sum(np.sin(y)), wrong, x, y)
    assert [entry.kinds for entry in report.entries] == [["returned in another order"]] * 2


@given(seed=seeds)
def test_textbook_derivatives_by_a_symmetric_matrix_are_recognised(seed):
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((4, 4))
    S = M @ M.T + 4 * np.eye(4)
    inverse = np.linalg.inv
    cost = lambda S: np.log(np.linalg.det(S))
    of_pairs = lambda S: 2 * inverse(S) - np.diag(np.diag(inverse(S)))
    of_triangle = lambda S: 2 * np.sum(np.log(np.diag(np.linalg.cholesky(S))))
    assert sg.check_gradient(cost, lambda S: inverse(S).T, S).ok
    for of, gradient in ((cost, of_pairs), (of_triangle, inverse)):
        (entry,) = sg.check_gradient(of, gradient, S).entries
        assert entry.kinds == ["symmetric matrix"], entry.diagnosis
