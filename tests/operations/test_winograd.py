"""Winograd's method beside the convolution by its definition, to the rounding that is derived."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import seeds
from scratchgen.operations.winograd import OUTPUTS, TILES, Winograd
from tests.operations.rounding import drawn, rounding_of, shares

two_hundred = settings(max_examples=max(200, settings().max_examples))


@st.composite
def geometries_of_winograd(draw):
    """Images of any size, with any padding: tiles cut at any place, one block or several."""
    block = OUTPUTS * TILES
    size = st.integers(1, 13) | st.sampled_from([block - 1, block, block + 1, 2 * block + 5])
    padding = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    image = [max(draw(size), 3 - 2 * p) for p in padding]
    n, channels = draw(st.integers(0, 3)), st.integers(1, 4) | st.just(40)
    return (n, draw(channels), *image), draw(channels), padding


@pytest.mark.rounding
@two_hundred
@given(geometries_of_winograd(), st.sampled_from([np.float32, np.float64]), seeds)
def test_winograds_method_is_the_convolution_to_rounding(geometry, dtype, seed):
    (shape, c_out, padding), rng = geometry, np.random.default_rng(seed)
    n, c_in, *_ = shape
    W, b = drawn(rng, c_out, c_in, 3, 3, dtype=dtype), drawn(rng, c_out, dtype=dtype)
    x = drawn(rng, *shape, dtype=dtype)
    way, wide = Winograd(padding), [z.astype(np.float64) for z in (x, W, b)]
    y = way.correlate(x, W, b)
    delta = drawn(rng, *y.shape, dtype=dtype)
    ours = [y, way.adjoint_in_x(delta, W, shape[2:]), way.adjoint_in_W(x, delta)]
    expected = shares(ops.conv2d_direct, *wide, delta.astype(np.float64), padding=padding)
    tiles = n * math.prod(math.ceil(size / OUTPUTS) for size in y.shape[2:])
    sums = [(c_in, x, W), (c_out, delta, W), (tiles, x, delta)] if n else [(0, b)] * 3
    for fast, exact, of in zip(ours, expected[:3], sums, strict=True):
        assert fast.dtype == dtype
        assert fast.shape == exact.shape
        assert (np.abs(fast - exact) <= rounding_of(dtype, *of)).all()
