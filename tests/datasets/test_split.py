"""Both parts have each class in its share, and their order says nothing about the file's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen.datasets.split import intervals, split

SHARES = st.floats(0.05, 0.5)


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    share=SHARES,
    seed=st.integers(0, 100),
)
def test_each_class_has_its_share_in_both_parts(counts, share, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    kept, held_out = split(labels, share, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(np.r_[kept, held_out]), np.arange(len(labels)))
    for k, c in enumerate(counts):
        n = int((labels[held_out] == k).sum())
        if c == 1:
            assert n == 0
        else:
            assert 1 <= n <= c - 1
            assert abs(n - share * c) < 1 or n == 1


@given(n=st.integers(2, 200), share=SHARES)
def test_without_classes_the_share_is_rounded(n, share):
    _, held_out = split(np.zeros(n), share, np.random.default_rng(0))
    assert len(held_out) == max(1, int(share * n + 0.5))


@given(c=st.integers(20, 60), classes=st.integers(1, 12))
def test_the_shares_of_large_classes_add_up_to_the_share_of_all(c, classes):
    _, held_out = split(np.arange(c * classes) % classes, 0.1, np.random.default_rng(0))
    assert len(held_out) == int(0.1 * c * classes + 0.5)


def test_labels_that_repeat_are_held_out_alike():
    labels = np.arange(600) % 10
    for part in split(labels, 0.1, np.random.default_rng(0)):
        counts = np.bincount(labels[part], minlength=10)
        assert counts.min() == counts.max()


def test_each_sample_of_a_class_is_held_out_as_often_as_any_other():
    labels = np.repeat([0, 1], [4, 8])
    counts = np.zeros(12)
    for seed in range(2000):
        counts[split(labels, 0.25, np.random.default_rng(seed))[1]] += 1
    # Binomial, of mean 500 and deviation √(2000 · ¼ · ¾) = 19: five of these.
    assert np.abs(counts - 500).max() < 97


def test_the_place_in_a_part_does_not_depend_on_the_place_in_the_file_or_on_the_class():
    labels = np.repeat([0, 1, 2], 20)
    first = [split(labels, 0.2, np.random.default_rng(seed))[0][0] for seed in range(3000)]
    counts = np.bincount(np.array(first) // 20, minlength=3)
    # Binomial, of mean 1000 and deviation √(3000 · ⅓ · ⅔) = 26: five of these.
    assert np.abs(counts - 1000).max() < 130


def test_the_same_generator_parts_in_the_same_way_and_another_in_another():
    labels = np.arange(100) % 7
    a, b, c = (split(labels, 0.1, np.random.default_rng(seed))[1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert set(a) != set(c)


def test_text_is_a_class_as_numbers_are():
    rng = np.random.default_rng
    of_text = split(np.array(["cat", "dog"] * 20), 0.2, rng(0))
    of_numbers = split(np.array([0, 1] * 20), 0.2, rng(0))
    for a, b in zip(of_text, of_numbers, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_generator_may_be_on_a_device(device):
    kept, held_out = split(np.arange(40) % 4, 0.25, sg.generator(0, device))
    assert type(kept) is type(held_out) is np.ndarray
    assert [*np.bincount(held_out % 4)] == [3, 2, 3, 2]  # a quarter of ten each, of 40 in all


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75])
def test_one_real_target_of_each_interval_is_held_out(share):
    y = np.random.default_rng(0).standard_normal(120)
    strata = intervals(y, share)
    kept, held_out = split(strata, share, np.random.default_rng(1))
    smaller = min(kept, held_out, key=len)
    np.testing.assert_array_equal(np.bincount(strata[smaller]), np.ones(len(smaller)))
    order = np.argsort(y)
    assert (np.diff(strata[order]) >= 0).all()
