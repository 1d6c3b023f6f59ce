"""The partition function by a sum over a grid: that of a Gaussian, and what lies beyond."""

import math

import numpy as np
import pytest

from scratchgen.metrics.grid import log_partition_on_grid


@pytest.mark.parametrize("s", [0.3, 1.0])
def test_the_grid_gives_the_partition_function_of_a_gaussian(s):
    log_z = log_partition_on_grid(
        lambda x: (x**2).sum(axis=1) / (2 * s * s), np.zeros(1), half_width=9
    )
    assert log_z == pytest.approx(math.log(2 * math.pi * s * s), abs=1e-9)


def test_a_density_beyond_the_square_is_said():
    with pytest.raises(ValueError, match="lies on the edge of the square of half width 1"):
        log_partition_on_grid(lambda x: 0.5 * (x**2).sum(axis=1), np.zeros(1), half_width=1)
