"""Which axis holds the channels: what is certain, and what is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgen.datasets.layout import advice, channels_last, named

SIDES = st.integers(5, 512)


@given(SIDES, SIDES, st.sampled_from([1, 3, 4]))
def test_images_with_few_channels_are_read_alike_from_both_layouts(height, width, channels):
    assert channels_last((height, width, channels)) is True
    assert channels_last((channels, height, width)) is False


@given(st.integers(5, 512), st.integers(1, 4))
def test_what_reads_the_same_backwards_and_may_have_channels_may_be_either(width, channels):
    assert channels_last((channels, width, channels)) is None


@given(SIDES, SIDES, SIDES)
def test_without_evidence_channels_are_first(a, b, c):
    if a != b:
        assert channels_last((a, b, c)) is False


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ((3, 4, 4), False), ((4, 4, 3), True), ((4, 4, 4), None), ((16, 3, 3), None),
        ((64, 64, 5), True), ((5, 64, 64), False), ((3, 1, 1), None), ((8, 8), False),
        ((64,), False), ((7, 8, 8, 3), False),
    ],
)  # fmt: skip
def test_squares_are_evidence_too(shape, last):
    assert channels_last(shape) is last


@given(SIDES, SIDES)
def test_the_advice_moves_the_channels_and_a_reshape_would_not(height, width):
    images = np.arange(2 * height * width * 3).reshape(2, height, width, 3)
    moved = eval(advice(images.shape[1:]).split("take ")[1], {"x": images})
    np.testing.assert_array_equal(moved[1, 2], images[1, :, :, 2])
    assert not np.array_equal(moved, images.reshape(moved.shape))


@pytest.mark.parametrize("shape", [(3, 32, 32), (32, 32), (64,), (3, 8, 3)])
def test_nothing_is_advised_where_channels_are_not_certainly_last(shape):
    assert advice(shape) == ""


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((3, 4, 5), "RGB images of 4 × 5 pixels"), ((4, 4, 5), "RGBA images of 4 × 5 pixels"),
        ((1, 4, 5), "grey images of 4 × 5 pixels"), ((4, 5), "grey images of 4 × 5 pixels"),
        ((7, 4, 5), "images of 7 channels, 4 × 5 pixels"), ((9,), "rows of 9 numbers"),
        ((2, 3, 4, 5), "samples of shape (2, 3, 4, 5)"),
    ],
)  # fmt: skip
def test_samples_have_a_name(shape, name):
    assert named(shape) == name
