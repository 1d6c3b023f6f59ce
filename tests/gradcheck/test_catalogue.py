"""Each mistake that shows in the numbers of one derivative is named, and no other."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen.gradcheck.strategies import seeds


def zero_block(g):
    g = g.copy()
    g[1:3] = 0
    return g


def shifted_with_zeros(g):
    g = np.roll(g, 1, axis=0)
    g[0] = 0
    return g


MISTAKES = {
    "sign": lambda g: -g,
    "factor 2": lambda g: 2 * g,
    "factor 1/2": lambda g: g / 2,
    "factor n": lambda g: 5 * g,
    "factor 1/n": lambda g: g / 5,
    "factor n²": lambda g: 25 * g,
    "factor 1/n²": lambda g: g / 25,
    "zero": lambda g: 0 * g,
    "zero block": zero_block,
    "transposed": lambda g: g.T,
    "reshaped": lambda g: g.reshape(-1),
    "not summed": lambda g: np.stack([g, 2 * g, -2 * g]),
    "reduced to a scalar": lambda g: g.mean(),
    "reduced too far": lambda g: g.sum(axis=0),
    "shifted": shifted_with_zeros,
    "reversed": lambda g: np.flip(g, (0, 1)),
    "not finite": lambda g: g / (np.arange(20).reshape(5, 4) != 7),
}


@pytest.mark.parametrize("kind", MISTAKES)
@given(seed=seeds)
def test_a_mistake_in_the_numbers_is_named(kind, seed):
    g, x = np.random.default_rng(seed).standard_normal((2, 5, 4))
    # Python's fsum has no rule: the numbers alone speak.
    cost = lambda x: math.fsum((g * x).ravel())
    assert sg.check_gradient(cost, lambda x: g, x).ok
    with np.errstate(divide="ignore"):
        (entry,) = sg.check_gradient(cost, lambda x: MISTAKES[kind](g), x).entries
    assert not entry.ok
    assert entry.kinds == [kind], entry.diagnosis


@pytest.mark.parametrize(
    ("kind", "left_over"),
    [("L2 regulariser", lambda x: 0.2 * x), ("L1 regulariser", lambda x: 0.2 * np.sign(x))],
)
@given(seed=seeds)
def test_a_regulariser_too_many_is_what_is_left_over(kind, left_over, seed):
    x = np.random.default_rng(seed).standard_normal((5, 4))
    cost = lambda x: np.einsum("ij->", np.tanh(x))
    gradient = lambda x: 1 - np.tanh(x) ** 2 + left_over(x)
    (entry,) = sg.check_gradient(cost, gradient, x).entries
    assert entry.kinds == [kind], entry.diagnosis


def two_layers(W, V, x, y):
    return 0.5 * np.sum((np.tanh(x @ W) @ V - y) ** 2)


def of_two_layers(W, V, x, y, eta=0.0, *, back=False):
    a = np.tanh(x @ W)
    e = a @ V - y
    dV = a.T @ e
    if back:
        V = V - eta * dV
    return x.T @ (e @ V.T * (1 - a**2)), dV


def drawn(seed):
    shapes = (3, 4), (4, 2), (5, 3), (5, 2)
    return [np.random.default_rng(seed).standard_normal(shape) for shape in shapes]


@given(eta=st.sampled_from([0.1, 0.003, -0.05]), seed=seeds)
def test_an_updated_parameter_in_the_place_of_the_old_is_named_with_its_learning_rate(eta, seed):
    arrays = drawn(seed)

    def on_the_way_back(W, V, x, y):
        return of_two_layers(W, V, x, y, eta, back=True)

    def in_all(W, V, x, y):
        dW, dV = of_two_layers(W, V, x, y)
        return of_two_layers(W - 1e-2 * eta * dW, V - 1e-2 * eta * dV, x, y)

    assert sg.check_gradient(two_layers, of_two_layers, *arrays).ok
    report = sg.check_gradient(two_layers, on_the_way_back, *arrays)
    assert [entry.kinds for entry in report.entries] == [["updated parameter"], []]
    assert "the way back reads the updated V, that is V − η ∂C/∂V" in report.diagnosis[0]
    assert f"with η = {eta:g}:" in report.diagnosis[0]
    report = sg.check_gradient(two_layers, in_all, *arrays)
    assert [entry.kinds for entry in report.entries] == [["updated parameter"]] * 2
    assert "all is computed with the updated W, V, that is W − η ∂C/∂W" in report.diagnosis[0]
    assert f"with η = {1e-2 * eta:g}:" in report.diagnosis[0]


@settings(max_examples=5)
@given(seed=seeds)
def test_what_lies_near_an_updated_parameter_has_no_such_name(seed):
    arrays = drawn(seed)
    noise = np.random.default_rng(seed).standard_normal((3, 4))

    def wrong(W, V, x, y):
        dW, dV = of_two_layers(W, V, x, y, 0.1, back=True)
        return dW + 1e-4 * noise, dV

    report = sg.check_gradient(two_layers, wrong, *arrays)
    assert [entry.kinds for entry in report.entries] == [[], []]


def test_a_factor_that_is_a_number_of_the_cost_is_named_after_it():
    w, s = np.array([0.3, -1.2, 0.8]), np.array(1.7)
    cost = lambda w, s: np.sum(w**2) / (2 * s**2)
    (entry,) = sg.check_gradient(cost, lambda w, s: w, w, s).entries
    assert entry.kinds == ["ratio"]
    assert "2.89 is s^2 (" in entry.diagnosis
    assert entry.diagnosis.endswith("the factor 1/(s^2) is missing")
    (entry,) = sg.check_gradient(cost, lambda w, s: 2.3 * w / s**2, w, s).entries
    assert entry.diagnosis == "yours = 2.3 × numerical in all 3 entries"


def test_a_derivative_that_is_zero_but_for_rounding_is_zero():
    x = np.array([0.3, -1.2, 0.7])
    cost = lambda x: np.log(np.sum(np.exp(x))) - x[0]  # its derivatives add up to 0
    (entry,) = sg.check_gradient(cost, lambda x: 1e-17 * np.cos(x), x).entries
    assert entry.kinds == ["zero"]
