"""MNIST: 70,000 handwritten digits of 28 × 28 pixels, the data of every model in the notes.

The SHA-256 of its content identifies a file, wherever it lies and however it is compressed. The
four sums below are those of the published files; counts, shapes and labels follow from them.
"""

import hashlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .idx import idx_content, read_idx
from .published import AGAIN, check_published, images_and_labels, published_file

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"

# SHA-256 of the IDX content.
CONTENT = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# SHA-256 of the gzip files that URL serves: a download is checked before it enters the cache.
DOWNLOAD = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def mnist(
    split: Literal["train", "test"] = "train",
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return ``(images, labels)`` with x = pixel / 255.

    ``images``: (n, 1, 28, 28) float32 on [0, 1], 0 is paper, 1 is ink; ``labels``: (n,) int64,
    0 … 9; n = 60,000 ("train") or 10,000 ("test"), in the published order.

    Each file (``train-images-idx3-ubyte`` …, plain or ``.gz``) is looked for in the folder that
    the environment variable SCRATCHGEN_DATA names and in that folder's ``mnist``, then in the
    user's cache, into which it is downloaded once (9.9 MB for "train", 1.7 MB for "test").

    Raises ValueError for any other ``split`` and for a file whose content is not the published
    one, RuntimeError when a file is in neither place and cannot be downloaded.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE 86 (1998) 2278, https://doi.org/10.1109/5.726791.
    """
    return images_and_labels(split, _read)


def _read(name: str) -> NDArray[Any]:
    """Return the array of the published file ``name``, from the first folder that holds it."""
    path = published_file("mnist", name, f"{URL}{name}.gz", f"sha256:{DOWNLOAD[name]}")
    try:
        content = idx_content(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not MNIST's {name}: {AGAIN} ({error})") from error
    hashed, came = "the SHA-256 of its content", hashlib.sha256(content).hexdigest()
    check_published(path, f"MNIST's {name}", hashed, came, CONTENT[name])
    return read_idx(content)
