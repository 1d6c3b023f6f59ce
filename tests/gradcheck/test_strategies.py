"""What the strategies draw is what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgen.gradcheck.strategies import arrays, broadcasting_arrays, distinct_arrays, samples


@given(x=arrays(None, (0.5, 1.0), (-3.0, -2.0)))
def test_arrays_lie_in_their_intervals_and_cannot_be_written_to(x):
    assert np.all(((x >= 0.5) & (x <= 1)) | ((x >= -3) & (x <= -2)))
    with pytest.raises(ValueError, match="read-only"):
        x[...] = 0


@given(x=distinct_arrays((3, 4)), y=distinct_arrays((3, 4), 0.5))
def test_distinct_arrays_keep_off_the_kink_where_two_numbers_are_equal(x, y):
    numbers = np.sort(np.concatenate([x.ravel(), y.ravel()]))
    assert np.diff(numbers).min() > 0.01


@given(pair=broadcasting_arrays((), ((0.3, 3.0),)))
def test_broadcasting_arrays_broadcast(pair):
    np.broadcast_shapes(*(x.shape for x in pair))
    assert np.all(pair[1] >= 0.3)


@given(data=st.data())
def test_samples_have_the_full_shape_where_they_are_whole(data):
    x, y = data.draw(samples((), (), whole=(0,)))
    assert np.broadcast_shapes(x.shape, y.shape) == x.shape
    assert x.ndim
