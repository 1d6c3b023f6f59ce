import gzip
import importlib
import os
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


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache, no network, and no folder of the user's; the list of what was asked for."""
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append(url)
        raise ConnectionError("a message\nof many lines")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.delenv("SCRATCHGEN_DATA", raising=False)
    return asked


@pytest.fixture
def folder(tmp_path, monkeypatch, offline):
    """An empty folder that SCRATCHGEN_DATA names."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv("SCRATCHGEN_DATA", str(path))
    return path


def copy(file, folder):
    """The file put into the folder under the name that it is published by."""
    shutil.copyfile(file, folder / file.name)


@pytest.mark.parametrize(("split", "n"), [("train", 60_000), ("test", 10_000)])
def test_the_published_files_have_the_published_counts(published, folder, offline, split, n):
    for file in published.values():
        copy(file, folder)
    images, labels = mnist(split)
    assert images.shape == (n, 1, 28, 28)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1
    assert labels.shape == (n,)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(labels), COUNTS[split])
    assert not offline


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("place", [".", "mnist"])
def test_a_file_is_found_plain_or_compressed_in_the_folder_or_its_mnist(
    published, folder, offline, place, compressed
):
    (folder / place).mkdir(exist_ok=True)
    for name in (TEST_IMAGES, TEST_LABELS):
        content = idx_content(published[name])
        if compressed:
            (folder / place / f"{name}.gz").write_bytes(gzip.compress(content, 1))
        else:
            (folder / place / name).write_bytes(content)
    assert len(mnist("test")[1]) == 10_000
    assert not offline


@pytest.mark.parametrize("place", [3, 7, 8, 5_000, 10_007])
def test_one_flipped_byte_is_refused(published, folder, place):
    copy(published[TEST_IMAGES], folder)
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


def test_a_file_that_is_not_in_the_folder_is_downloaded_into_the_users_cache(
    published, tmp_path, folder, monkeypatch
):
    copy(published[TEST_IMAGES], folder)
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash, fname, path))
        return str(published[TEST_LABELS])

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert len(mnist("test")[1]) == 10_000
    assert asked == [
        (
            f"https://ossci-datasets.s3.amazonaws.com/mnist/{TEST_LABELS}.gz",
            "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            f"{TEST_LABELS}.gz",
            tmp_path / "cache" / "scratchgen" / "mnist",
        )
    ]


def test_what_the_cache_holds_is_checked_as_everything_else(tmp_path, offline, monkeypatch):
    path = tmp_path / "cached.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 1, 5])))
    monkeypatch.setattr(pooch, "retrieve", lambda *_, **__: str(path))
    with pytest.raises(ValueError, match=r"cached\.gz is not MNIST's .* delete it"):
        mnist("test")


def test_without_a_folder_or_a_network_one_sentence_says_where_it_looked_and_what_to_do(offline):
    with pytest.raises(RuntimeError) as caught:
        mnist("train")
    message = str(caught.value)
    assert "\n" not in message
    assert "train-images-idx3-ubyte was not found: SCRATCHGEN_DATA is not set" in message
    assert os.path.join("cache", "scratchgen", "mnist") in message
    assert "failed (ConnectionError)" in message
    assert message.endswith("and set SCRATCHGEN_DATA to the folder that holds it")
    assert offline == [MODULE.URL + "train-images-idx3-ubyte.gz"]


def test_a_folder_that_does_not_exist_is_named_once_the_download_failed(
    offline, tmp_path, monkeypatch
):
    monkeypatch.setenv("SCRATCHGEN_DATA", str(tmp_path / "absent"))
    with pytest.raises(RuntimeError, match=r"SCRATCHGEN_DATA names .*absent, which is no folder"):
        mnist("test")


def test_a_folder_that_does_not_hold_the_file_is_named_once_the_download_failed(folder):
    with pytest.raises(RuntimeError, match=r"neither .*data \(SCRATCHGEN_DATA\) nor its folder mn"):
        mnist("test")


def test_a_server_that_sends_something_else_is_told_from_a_failed_connection(offline, monkeypatch):
    def retrieve(*_, **__):
        raise ValueError("SHA256 hash of downloaded file does not match the known hash")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(RuntimeError, match="what came is not the published file"):
        mnist("test")


def test_an_unknown_split_is_refused_before_any_file_is_looked_for(offline):
    with pytest.raises(ValueError, match="'all': expected 'train' or 'test'"):
        mnist("all")
    assert not offline
