"""Gibbs chains leave the distribution of their conditionals as it is, and come to it."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.sampling import block_gibbs


def joint(seed=0, states=(4, 3)):
    table = sg.generator(seed).random(states) + 0.05
    return table / table.sum()


def conditionals(p, rng):
    """The two draws of a table p(v, h): v and h are the numbers of its rows and columns."""

    def draw(table, given):
        cumulated = np.cumsum(table / table.sum(axis=1, keepdims=True), axis=1)[given]
        return (rng.random((len(given), 1)) > cumulated).sum(axis=1)

    return lambda v: draw(p, v), lambda h: draw(p.T, h)


def test_a_step_leaves_the_marginal_as_it_is():
    p, n, rng = joint(), 200_000, sg.generator(1)
    expected = p.sum(axis=1)
    v = (rng.random((n, 1)) > np.cumsum(expected)).sum(axis=1)
    share = np.bincount(block_gibbs(v, 1, *conditionals(p, rng)), minlength=4) / n
    assert (np.abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / n)).all()


def test_chains_from_one_state_come_to_the_marginal():
    p, n, rng = joint(), 200_000, sg.generator(2)
    expected = p.sum(axis=1)
    v = block_gibbs(np.zeros(n, int), 30, *conditionals(p, rng))
    share = np.bincount(v, minlength=4) / n
    assert (np.abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / n)).all()


def test_no_step_is_the_start_and_one_is_hidden_then_visible():
    v = np.array([[1.0]])
    assert block_gibbs(v, 0, None, None) is v
    seen = []
    after = block_gibbs(
        v,
        2,
        lambda v: seen.append(("v", *v[0])) or v + 10,
        lambda h: seen.append(("h", *h[0])) or h,
    )
    assert seen == [("v", 1), ("h", 11), ("v", 11), ("h", 21)]
    assert after == 21


def test_a_chain_takes_no_negative_steps():
    with pytest.raises(ValueError, match="0 steps or more, got -1"):
        block_gibbs(np.ones((1, 1)), -1, None, None)
