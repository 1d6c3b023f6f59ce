"""Exchanges between temperatures leave the product of all as it is, and carry chains over."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.sampling import parallel_tempering

LOG_F = np.log([[1.0, 1, 1, 1], [5.0, 1, 1, 5], [10.0, 0.01, 0.01, 10]])
"""log f of four states at three temperatures, the number of which is their β."""


def log_ratio(state, beta, following):
    x = state[0][:, 0]
    return LOG_F[following, x] - LOG_F[beta, x]


def metropolis(rng):
    """A step to a neighbour on the line of four states, taken or not."""

    def transition(state, beta):
        x = state[0][:, 0]
        there = x + 2 * rng.integers(0, 2, len(x)) - 1
        inside = (there >= 0) & (there < 4)
        there = np.where(inside, there, x)
        gain = LOG_F[beta, there] - LOG_F[beta, x]
        return (np.where(np.log(rng.random(len(x))) < gain, there, x)[:, None],)

    return transition


def stay(state, beta):
    return state


def shares(states, n):
    """Of the 4³ joint states."""
    joint = sum(4**k * x[:, 0] for k, (x,) in enumerate(states))
    return np.bincount(joint, minlength=64) / n


def product():
    p = np.exp(LOG_F) / np.exp(LOG_F).sum(axis=1, keepdims=True)
    return p, np.einsum("i,j,k->kji", *p).reshape(-1)


def drawn(n, rng):
    p, _ = product()
    return [((rng.random((n, 1)) > np.cumsum(each)).sum(axis=1)[:, None],) for each in p]


@pytest.mark.parametrize("moves", [True, False], ids=["with moves", "exchanges alone"])
def test_a_step_leaves_the_product_of_all_temperatures_as_it_is(moves):
    n, rng = 300_000, sg.generator(1)
    transition = metropolis(rng) if moves else stay
    states, _ = parallel_tempering(drawn(n, rng), [0, 1, 2], 1, log_ratio, transition, rng)
    _, expected = product()
    error = np.sqrt(expected * (1 - expected) / n)
    assert (np.abs(shares(states, n) - expected) <= 5 * error).all()


def test_two_neighbours_change_places_with_the_probability_of_metropolis():
    n, rng = 200_000, sg.generator(2)
    for here in range(4):
        for there in range(4):
            states = [(np.full((n, 1), here),), (np.full((n, 1), there),)]
            gain = (LOG_F[1, here] + LOG_F[2, there]) - (LOG_F[1, there] + LOG_F[2, here])
            expected = min(1.0, math.exp(-gain))
            after, share = parallel_tempering(states, [1, 2], 1, log_ratio, stay, rng)
            error = math.sqrt(expected * (1 - expected) / n)
            assert abs(share - expected) <= 5 * error
            if here != there:
                assert (after[0][0] == there).mean() == (after[1][0] == here).mean() == share


def test_exchanged_rows_take_all_their_arrays_along():
    rng = sg.generator(3)
    x = [(np.full((6, 2), k), np.full((6, 3), 10 * k)) for k in (1.0, 2.0)]
    after, share = parallel_tempering(
        x, [0, 1], 1, lambda state, b, c: np.log(rng.random(6)) * (c - b), stay, rng
    )
    for v, z in after:
        np.testing.assert_array_equal(z, np.tile(10 * v[:, :1], 3))
    assert {1.0, 2.0} == {*np.unique(after[0][0])}
    assert 0 < share < 1
    np.testing.assert_array_equal(after[0][0] + after[1][0], 3)


@pytest.mark.parametrize(
    ("steps", "states", "betas"), [(0, 2, [0, 1]), (1, 3, [0, 1]), (1, 1, [1])], ids=str
)
def test_tempering_takes_a_state_for_each_of_two_temperatures_or_more(steps, states, betas):
    x = [(np.ones((2, 1)),)] * states
    with pytest.raises(ValueError, match=f"got {steps} steps, {states} states and {len(betas)} "):
        parallel_tempering(x, betas, steps, log_ratio, stay, sg.generator(0))
