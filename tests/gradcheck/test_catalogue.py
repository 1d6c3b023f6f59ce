"""Each mistake that shows in the numbers of one derivative is named, and no other."""

import math

import numpy as np
import pytest
from hypothesis import given

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
