import hashlib
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import scratchgen.datasets
from scratchgen.datasets import digits

ROOT = pathlib.Path(__file__).parents[2]


def test_the_bundled_file_is_the_one_that_was_made_from_the_source():
    with np.load(pathlib.Path(scratchgen.datasets.__file__).with_name("digits.npz")) as archive:
        images, labels = archive["images"], archive["labels"]
    assert images.shape == (1797, 8, 8)
    assert labels.shape == (1797,)
    assert images.dtype == labels.dtype == np.uint8
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == (
        "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    )


@pytest.mark.parametrize(("split", "n"), [("all", 1797), ("train", 1438), ("test", 359)])
def test_images_are_float32_on_the_unit_interval_and_labels_int64(split, n):
    images, labels = digits(split)
    assert images.shape == (n, 1, 8, 8)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1
    assert labels.shape == (n,)
    assert labels.dtype == np.int64


def test_every_pixel_is_a_count_of_sixteenths():
    images, _ = digits()
    np.testing.assert_array_equal(np.unique(16 * images), np.arange(17))


def test_the_counts_of_each_digit_are_the_published_ones():
    _, labels = digits()
    published = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(np.bincount(labels), published)


def test_each_image_is_in_one_split_and_a_fifth_of_each_digit_in_that_for_testing():
    (images, labels), (train, y), (test, y_test) = digits(), digits("train"), digits("test")
    rows = [sorted(x.tobytes() for x in part) for part in (images, np.concatenate([train, test]))]
    assert rows[0] == rows[1]
    assert np.abs(np.bincount(y_test) - 0.2 * np.bincount(labels)).max() < 1
    np.testing.assert_array_equal(np.bincount(y) + np.bincount(y_test), np.bincount(labels))


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_first_images_of_a_split_come_from_all_over_the_source(split):
    images, _ = digits()
    place = {x.tobytes(): k for k, x in enumerate(images)}
    first = [place[x.tobytes()] for x in digits(split)[0][:100]]
    # Uniform on 0 … 1796: the mean of 100 deviates by 52 from 898; four of these.
    assert abs(np.mean(first) - 898) < 208
    assert abs(np.std(first) - 1797 / np.sqrt(12)) < 160


def test_what_a_caller_writes_into_the_arrays_does_not_reach_the_next_caller():
    images, labels = digits()
    images[:], labels[:] = 7, 7
    assert digits()[0].max() == 1
    assert digits()[1][0] == 0


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'valid': expected 'all', 'train' or 'test'"):
        digits("valid")


def test_importing_the_datasets_imports_no_downloader():
    program = "import sys, scratchgen.datasets; sys.exit('pooch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0


def test_the_public_names_are_there_and_each_is_said_once():
    names = scratchgen.datasets.__all__
    assert len({*names}) == len(names)
    assert all(getattr(scratchgen.datasets, name).__doc__ for name in names)
