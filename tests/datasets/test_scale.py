"""Which number is white: bytes that say so, and a line to type for all that do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scratchgen.datasets.scale import from_whole_numbers, to_unit_interval

OR_DARK = "or images / 255 if they are dark photographs"
INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64]


@given(arrays(np.uint8, (3, 4)), st.integers(128, 255))
def test_bytes_beyond_127_are_pixels(images, brightest):
    images = np.minimum(images, brightest)
    images[0, 0] = brightest
    pixels, assumed = from_whole_numbers(images)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, images / np.float32(255))
    assert (assumed is None) == (brightest == 255)
    assert assumed is None or f"to {brightest} are taken as pixels of 0 … 255" in assumed


@pytest.mark.parametrize("dtype", INTEGERS)
def test_zeros_and_ones_are_off_and_on(dtype):
    images, assumed = from_whole_numbers(np.array([[0, 1], [1, 1]], dtype))
    assert images.tolist() == [[0, 1], [1, 1]]
    assert "off and on" in assumed


@given(st.sampled_from(INTEGERS), st.data())
def test_no_other_whole_numbers_are_taken_and_the_line_brings_them_to_the_unit_interval(
    dtype, data
):
    info = np.iinfo(dtype)
    low, high = max(info.min, -1000), min(info.max, 100_000)
    images = data.draw(arrays(dtype, (2, 3), elements=st.integers(low, high)))
    certain = images.min() >= 0 and (
        images.max() <= 1 or (dtype == np.uint8 and images.max() > 127)
    )
    if certain:
        return
    with pytest.raises(ValueError, match="which number is white is not known; save ") as refused:
        from_whole_numbers(images)
    lines = str(refused.value).split("save ")[1].split(" if ")[0]
    scaled = eval(lines, {"images": images})
    assert scaled.min() >= 0
    assert scaled.max() <= 1


@pytest.mark.parametrize(
    ("high", "dtype", "line"),
    [
        (16, np.uint8, f"images / 16 if 16 is white, {OR_DARK}"),
        (100, np.uint8, f"images / 100 if 100 is white, {OR_DARK}"),
        (127, np.int8, "images / 127 if 127 is white"),
        (4000, np.uint16, "images / 4095 if 4095 is white"),
        (60_000, np.uint16, "images / 65535 if 65535 is white"),
        (255, np.int64, "images / 255 if 255 is white"),
        (255.0, np.float32, "images / 255"), (254.2, np.float32, "images / 255"),
        (16.0, np.float32, "images / 16"), (3.0, np.float32, "images / 3"),
    ],
)  # fmt: skip
def test_the_line_names_the_scales_in_use(high, dtype, line):
    assert to_unit_interval(0, high, dtype) == line


@given(low=st.floats(-50, 300, width=32), span=st.floats(1, 300, width=32))
def test_the_line_for_real_numbers_brings_them_to_the_unit_interval(low, span):
    images = np.array([low, low + span])
    scaled = eval(to_unit_interval(*images), {"images": images})
    # The divisor has nine digits.
    assert 0 <= scaled.min() <= scaled.max() <= 1 + 1e-8


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_spins_become_zero_and_one(dtype):
    spins = np.array([-1, 1], dtype)
    assert eval(to_unit_interval(-1, 1, dtype), {"images": spins}).tolist() == [0, 1]


def test_signed_bytes_become_pixels():
    images = np.array([-128, 0, 127], np.int8)
    scaled = eval(to_unit_interval(-128, 127, np.int8), {"images": images})
    np.testing.assert_allclose(scaled, [0, 128 / 255, 1])
