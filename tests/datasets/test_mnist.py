import gzip
import importlib
import shutil
import struct

import numpy as np
import pooch
import pytest

from scratchgen.datasets import mnist
from scratchgen.datasets.idx import idx_content

MODULE = importlib.import_module("scratchgen.datasets.mnist")
NAMES = list(MODULE.CONTENT)
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.mark.parametrize(("split", "n"), [("train", 60_000), ("test", 10_000)])
def test_the_published_files_have_the_published_counts(published, folder, offline, split, n):
    for file in published.values():
        shutil.copy(file, folder)
    images, labels = mnist(split)
    assert images.shape == (n, 1, 28, 28)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1
    assert labels.shape == (n,)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(labels), COUNTS[split])
    assert not offline


@pytest.mark.parametrize("place", [3, 7, 8, 5_000, 10_007])
def test_one_flipped_byte_is_refused(published, folder, place):
    shutil.copy(published[TEST_IMAGES], folder)
    content = bytearray(idx_content(published[TEST_LABELS]))
    content[place] ^= 1
    (folder / TEST_LABELS).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{TEST_LABELS} is not MNIST's .*: .*delete it"):
        mnist("test")


def test_a_whole_file_of_other_content_is_refused_with_both_sums(folder, offline):
    other = bytes([0, 0, 8, 3]) + struct.pack(">3I", 1, 28, 28) + bytes(784)
    (folder / f"{TEST_IMAGES}.gz").write_bytes(gzip.compress(other))
    message = (
        rf"{TEST_IMAGES}\.gz is not MNIST's {TEST_IMAGES}: the SHA-256 of its content begins with "
        "[0-9a-f]{8}, expected 0fa7898d; delete it, and it will be downloaded again"
    )
    with pytest.raises(ValueError, match=message):
        mnist("test")
    assert not offline


def test_a_corrupt_gzip_is_refused_with_its_path_and_what_to_do(folder):
    (folder / f"{TEST_IMAGES}.gz").write_bytes(b"\x1f\x8b cut")
    message = rf"{TEST_IMAGES}\.gz is not MNIST's .* delete it, and .* again \(.*corrupt gzip"
    with pytest.raises(ValueError, match=message):
        mnist("test")


def test_what_the_cache_holds_is_checked_as_everything_else(tmp_path, offline, monkeypatch):
    path = tmp_path / "cached.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 1, 5])))
    monkeypatch.setattr(pooch, "retrieve", lambda *_, **__: str(path))
    with pytest.raises(ValueError, match=r"cached\.gz is not MNIST's .* delete it"):
        mnist("test")
