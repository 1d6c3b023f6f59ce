"""Labels of any kind become classes; what is no label is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scratchgen.datasets.labels import number_classes, read_labels

REAL = [np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float64]


@given(st.sampled_from(REAL).flatmap(lambda d: arrays(d, 6, elements=st.integers(0, 100))))
def test_whole_numbers_of_any_type_keep_their_value(array):
    for given_as in (array, array[:, None]):
        labels, assumed = read_labels(given_as, 6)
        assert labels.dtype == np.int64
        assert assumed is None
        np.testing.assert_array_equal(labels, array)


def test_signs_and_truth_are_labels():
    assert read_labels(np.array([-1, 1]), 2)[0].tolist() == [-1, 1]
    assert read_labels(np.array([False, True]), 2)[0].tolist() == [0, 1]


def test_text_and_bytes_keep_their_names():
    for array in (np.array(["å", "bee"]), np.array(["å".encode(), b"bee"])):
        assert read_labels(array, 2)[0].tolist() == ["å", "bee"]


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=9), st.sampled_from(["u1", "i8", "f4", "?"])
)
def test_one_hot_rows_are_the_places_of_their_ones(places, dtype):
    labels, assumed = read_labels(np.eye(5, dtype=dtype)[places], len(places))
    assert labels.tolist() == places
    assert "one-hot" in assumed


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([0, 0.5]), "label 1 is 0.5, expected whole numbers"),
        (np.array([np.nan, 1]), "label 0 is nan"),
        (np.array([1, np.inf]), "label 1 is inf"),
        (np.array([1, 2.0**63]), "label 1 is 9.2"),
        (np.array([0, 2**63], np.uint64), "label 1 is 9223372036854775808, expected .* below 2⁶³"),
        (np.array([0j, 1]), "complex128, expected whole numbers or text"),
        (np.array(["2026"] * 2, "M8[Y]"), "expected whole numbers or text"),
        (np.array([b"\xff", b""]), "bytes that are no text"),
        (np.array([0, 1, 2]), r"the shape \(3,\), expected \(2,\)"),
        (np.array(5), r"the shape \(\), expected"),
        (np.array([[0, 1], [1, 1]]), "not one-hot"),
        (np.array([[0.3, 0.7], [1, 0]]), "not one-hot"),
        (np.array([["a", "b"], ["c", "d"]]), "not one-hot"),
    ],
)
def test_what_is_no_label_is_refused(array, message):
    with pytest.raises(ValueError, match=message):
        read_labels(array, 2)


@given(arrays(np.int64, st.integers(1, 40), elements=st.integers(-30, 30)))
def test_classes_are_numbered_in_their_order_without_gaps(labels):
    names, numbers = number_classes(labels)
    assert set(numbers) == set(range(len(names)))
    np.testing.assert_array_equal(np.array([int(name) for name in names])[numbers], labels)
    assert [*map(int, names)] == sorted(map(int, names))
