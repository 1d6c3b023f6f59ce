"""Fashion-MNIST: 70,000 images of clothing in the form of MNIST; its ten classes are harder."""

import gzip
import hashlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .idx import read_idx
from .published import check_published, images_and_labels, published_file

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"

# MD5 of the published gzip files, as their authors state it.
MD5 = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}

CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
"""The names of the labels 0 … 9."""


def fashion_mnist(
    split: Literal["train", "test"] = "train",
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return ``(images, labels)`` with x = pixel / 255, in the form of :func:`mnist`.

    ``images``: (n, 1, 28, 28) float32 on [0, 1]; ``labels``: (n,) int64, positions in ``CLASSES``;
    n = 60,000 ("train") or 10,000 ("test"). The gzip files have the same names as those of MNIST.
    They are looked for in the subfolder ``fashion`` of the folder SCRATCHGEN_DATA, then in the
    user's cache, into which they are downloaded once (30 MB).

    Raises ValueError for any other ``split`` and for files that are not the published ones,
    RuntimeError when a file is in neither place and cannot be downloaded.

    Source: H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747.
    """
    return images_and_labels(split, _read)


def _read(name: str) -> NDArray[Any]:
    path = published_file("fashion", f"{name}.gz", f"{URL}{name}.gz", f"md5:{MD5[name]}")
    compressed = path.read_bytes()
    came = hashlib.md5(compressed, usedforsecurity=False).hexdigest()
    check_published(path, f"Fashion-MNIST's {name}.gz", "its MD5", came, MD5[name])
    return read_idx(gzip.decompress(compressed))
