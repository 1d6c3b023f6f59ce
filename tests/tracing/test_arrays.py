"""What is an array in a trace, its numbers, and its norm in float64."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.tracing.arrays import data_of, is_array, norm


def test_arrays_and_tensors_are_arrays_and_numbers_are_none():
    assert all(map(is_array, (np.ones(2), np.array(1.0), sg.Tensor(1.0))))
    assert not any(map(is_array, (1.0, 2, None, np.float64(1), [1.0])))


def test_the_numbers_of_a_tensor_are_its_array():
    x = np.ones(2)
    assert data_of(x) is x
    np.testing.assert_array_equal(data_of(sg.Tensor(x)), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_norm_is_euclidean_and_does_not_overflow_in_float32(dtype):
    x = np.array([[3e30, 0.0], [0.0, -4e30]], dtype)
    assert norm(x) == pytest.approx(5e30, rel=1e-6)
