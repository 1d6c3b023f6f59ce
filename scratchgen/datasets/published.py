"""Published files: from a folder of the user, or downloaded once and checked by their hash."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

AGAIN = "delete it, and it will be downloaded again"


def published_file(collection: str, name: str, url: str, known_hash: str) -> Path:
    """The path of the file ``name`` of a collection, such as ``"mnist"``.

    The file is looked for in the folder of the environment variable SCRATCHGEN_DATA, and in its
    subfolder ``collection``, plain or with ``.gz``; then in the user's cache, into which ``url`` is
    downloaded once, provided that the content has ``known_hash`` (as ``"sha256:…"``). The caller
    must check the content of a file from the user's folder. ``RuntimeError`` where the file is in
    neither place and cannot be downloaded.
    """
    found = next(filter(Path.is_file, _places(collection, name)), None)
    return found or _download(collection, name, url, known_hash)


def check_published(path: Path, what: str, hashed: str, came: str, expected: str) -> None:
    """Raise ``ValueError`` unless the hash of the content is that of the published file."""
    if came != expected:
        raise ValueError(
            f"{path} is not {what}: {hashed} begins with {came[:8]}, expected {expected[:8]}; "
            f"{AGAIN}"
        )


def images_and_labels(
    split: str, read: Callable[[str], NDArray[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The images, (n, 1, height, width) on [0, 1], and the labels of a split in the form of MNIST.

    ``read`` returns the array of a file with a name of MNIST. ``ValueError`` for another split.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}: expected 'train' or 'test'")
    prefix = "train" if split == "train" else "t10k"
    pixels, labels = read(f"{prefix}-images-idx3-ubyte"), read(f"{prefix}-labels-idx1-ubyte")
    return np.divide(pixels[:, np.newaxis], 255, dtype=np.float32), labels.astype(np.int64)


def _places(collection: str, name: str) -> list[Path]:
    """The places where the user may have put the file; none if SCRATCHGEN_DATA is not set."""
    folder = os.environ.get("SCRATCHGEN_DATA")
    if not folder:
        return []
    root = Path(folder).expanduser()
    ends = ("", ".gz")
    return [place / (name + end) for place in (root / collection, root) for end in ends]


def _download(collection: str, name: str, url: str, known_hash: str) -> Path:
    # The import is here because most programs never download, and should not wait for it.
    import pooch

    pooch.get_logger().setLevel("WARNING")
    cache = Path(pooch.os_cache("scratchgen")) / collection
    try:
        file = url.rpartition("/")[2]
        return Path(pooch.retrieve(url, known_hash, fname=file, path=cache))
    except (OSError, ValueError) as error:
        # The message of a failed connection is very long; the cause keeps it.
        wrong_content = isinstance(error, ValueError) and not isinstance(error, OSError)
        reason = "what came is not the published file" if wrong_content else type(error).__name__
        raise RuntimeError(
            f"{name} was not found: {_looked_for(collection)}, {cache} does not hold it, and "
            f"downloading {url} failed ({reason}); download it where there is a network, and set "
            "SCRATCHGEN_DATA to the folder that holds it"
        ) from error


def _looked_for(collection: str) -> str:
    """Say in which folders of the user the file was looked for."""
    folder = os.environ.get("SCRATCHGEN_DATA")
    if not folder:
        return "SCRATCHGEN_DATA is not set"
    if not Path(folder).expanduser().is_dir():
        return f"SCRATCHGEN_DATA names {folder}, which is no folder"
    return f"neither {folder} (SCRATCHGEN_DATA) nor its folder {collection} holds it, plain or .gz"
