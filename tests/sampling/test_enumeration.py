"""Sums over all states are those of a table of them."""

import itertools

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.sampling import all_states, log_sum_over_states


@pytest.mark.parametrize("n", [0, 1, 5])
def test_all_states_come_in_the_order_of_the_binary_numbers(n):
    expected = np.array([*itertools.product([0.0, 1.0], repeat=n)]).reshape(2**n, n)
    np.testing.assert_array_equal(all_states(n, np.zeros(1)), expected)
    assert all_states(n, np.zeros(1, np.float32)).dtype == np.float32


@pytest.mark.parametrize(("n", "D"), [(1, 1), (6, 3), (12, 200), (3, 2**17 + 1)], ids=str)
def test_the_sum_over_states_is_that_over_a_table(n, D):
    rng = sg.generator(0)
    c, M = 3 * rng.standard_normal(n), rng.standard_normal((n, D))

    def log_sum(field):
        return np.tanh(field).sum(axis=-1)

    s = all_states(n, c)
    expected = np.logaddexp.reduce(s @ c + log_sum(s @ M))
    assert log_sum_over_states(c, M, log_sum) == pytest.approx(expected, rel=1e-12)
