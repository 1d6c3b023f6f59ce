"""Where a published file is looked for, and what is said where it is not."""

import gzip
import importlib
import os
import shutil

import numpy as np
import pooch
import pytest

from scratchgen.datasets import mnist
from scratchgen.datasets.idx import idx_content
from scratchgen.datasets.published import check_published, images_and_labels

MODULE = importlib.import_module("scratchgen.datasets.mnist")
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


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


def test_a_file_that_is_not_in_the_folder_is_downloaded_into_the_users_cache(
    published, tmp_path, folder, monkeypatch
):
    shutil.copy(published[TEST_IMAGES], folder)
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


def test_the_hash_that_came_and_the_one_expected_stand_in_the_error(tmp_path):
    check_published(tmp_path, "the file", "its MD5", "abc", "abc")
    message = "is not the file: its MD5 begins with 12345678, expected abcdefgh; delete it, and it"
    with pytest.raises(ValueError, match=message):
        check_published(tmp_path, "the file", "its MD5", "123456789", "abcdefghi")


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_a_split_in_the_form_of_mnist_is_two_files(split, prefix):
    arrays = {
        f"{prefix}-images-idx3-ubyte": np.full((2, 3, 4), 51, np.uint8),
        f"{prefix}-labels-idx1-ubyte": np.array([7, 9], np.uint8),
    }
    images, labels = images_and_labels(split, arrays.__getitem__)
    np.testing.assert_array_equal(images, np.full((2, 1, 3, 4), 0.2, np.float32), strict=True)
    np.testing.assert_array_equal(labels, np.array([7, 9]), strict=True)
