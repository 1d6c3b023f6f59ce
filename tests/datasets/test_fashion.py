"""Fashion-MNIST is read in the form of MNIST, and refused where it is not the published one."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from scratchgen.datasets import fashion


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two files of three images that are taken for the published ones of the test split."""
    (tmp_path / "fashion").mkdir()
    images = bytes([0, 0, 8, 3]) + struct.pack(">3I", 3, 28, 28) + bytes(range(3)) * 784
    labels = bytes([0, 0, 8, 1]) + struct.pack(">I", 3) + bytes([0, 9, 4])
    for name, content in (("images-idx3", images), ("labels-idx1", labels)):
        compressed = gzip.compress(content)
        (tmp_path / "fashion" / f"t10k-{name}-ubyte.gz").write_bytes(compressed)
        digest = hashlib.md5(compressed, usedforsecurity=False).hexdigest()
        monkeypatch.setitem(fashion.MD5, f"t10k-{name}-ubyte", digest)
    monkeypatch.setenv("SCRATCHGEN_DATA", str(tmp_path))
    return tmp_path / "fashion"


def test_images_and_labels_are_in_the_form_of_mnist(files):
    images, labels = fashion.fashion_mnist("test")
    assert (images.shape, images.dtype) == ((3, 1, 28, 28), np.float32)
    np.testing.assert_array_equal(labels, [0, 9, 4])
    np.testing.assert_allclose(images[0].ravel()[:3], np.arange(3) / 255, rtol=1e-6)
    assert len(fashion.CLASSES) == 10


def test_mnist_under_the_same_name_is_refused(files):
    (files / "t10k-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8b of MNIST")
    with pytest.raises(ValueError, match=r"is not Fashion-MNIST's .*delete it"):
        fashion.fashion_mnist("test")


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="'all': expected"):
        fashion.fashion_mnist("all")
