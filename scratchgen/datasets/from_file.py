"""Data of one's own, as NumPy saved it: the boundary at which a file becomes samples.

Everything that a model could only fail on later, hours into a training, is refused here.
"""

import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


def from_file(
    path: str | os.PathLike[str],
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Return ``(images, labels)`` of a ``.npy`` or ``.npz`` file, labels None where it has none.

    A ``.npy`` file holds the images; a ``.npz`` file holds them as ``images``, and may hold
    ``labels``: integers ≥ 0, one per image. Other arrays in it are left alone.

    ``images``: (n, …) float32, n ≥ 1, at least two axes. Floats keep their value, and whether they
    must lie on [0, 1] is for the model to say; uint8 is taken as pixels, 0 … 255, and divided by
    255, and refused if none is above 1; False and True become 0 and 1. Other integers are refused,
    as their scale is not known.
    ``labels``: (n,) int64.

    Raises FileNotFoundError for a missing file and ValueError for one that is not of this form,
    cannot be read whole, or holds a number that is not finite in float32. No pickle is loaded.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(
            f"{file} does not exist: expected a .npy or .npz file; check the path"
        )
    if file.is_dir():
        raise ValueError(f"{file} is a folder: expected a .npy or .npz file; name one inside it")
    suffix = file.suffix.lower()
    if suffix not in (".npy", ".npz"):
        raise ValueError(
            f"{file} ends with {suffix or 'no suffix'}: expected .npy or .npz; "
            "write it with numpy.save or numpy.savez"
        )
    try:
        arrays = _read_npy(file) if suffix == ".npy" else _read_npz(file)
    # What a damaged file makes NumPy, zipfile and zlib raise has no class in common.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{file} cannot be read as {suffix} ({reason}): expected a whole file of numbers, "
            f"as numpy.save{'z' * (suffix == '.npz')} writes it; write it again"
        ) from error
    if "images" not in arrays:
        raise ValueError(
            f"{file} holds no array named images: expected images and, optionally, labels; "
            "write it with numpy.savez(path, images=…, labels=…)"
        )
    images = _images(arrays["images"], file)
    labels = _labels(arrays["labels"], len(images), file) if "labels" in arrays else None
    return images, labels


def _read_npy(file: Path) -> dict[str, NDArray[Any]]:
    with file.open("rb") as stream:
        return {"images": _read_array(stream)}


def _read_npz(file: Path) -> dict[str, NDArray[Any]]:
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        for name in {"images.npy", "labels.npy"}.intersection(archive.namelist()):
            with archive.open(name) as stream:
                arrays[name.removesuffix(".npy")] = _read_array(stream)
    return arrays


def _read_array(stream: IO[bytes]) -> NDArray[Any]:
    # numpy.load guesses the format and blames pickle for whatever it does not know; this does not.
    array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _images(array: NDArray[Any], file: Path) -> NDArray[np.float32]:
    """Return the images as float32 (n, …), or raise ValueError."""
    if array.ndim < 2 or array.size == 0:
        raise ValueError(
            f"{file}: images have the shape {array.shape}, expected (n, …) with n ≥ 1 and at least "
            "one number each; reshape them"
        )
    if array.dtype == np.uint8:
        if array.max() <= 1:
            raise ValueError(
                f"{file}: images are uint8 and none is above 1, expected pixels 0 … 255; save what "
                "is on or off as bool, or as float32"
            )
        pixels: NDArray[np.float32] = np.divide(array, 255, dtype=np.float32)
        return pixels
    if array.dtype.kind in "iu":
        raise ValueError(
            f"{file}: images are {array.dtype}, whose scale is not known, expected floats or "
            "uint8 pixels; divide them by their largest possible value and save float32"
        )
    if array.dtype.kind not in "fb":
        raise ValueError(
            f"{file}: images are {array.dtype}, expected real numbers; save them as float32"
        )
    # A float64 beyond float32's range becomes infinite here, and is refused with the others.
    with np.errstate(over="ignore"):
        images = array.astype(np.float32)
    wrong = ~np.isfinite(images)
    if wrong.any():
        first = tuple(int(k) for k in np.unravel_index(np.argmax(wrong), wrong.shape))
        raise ValueError(
            f"{file}: {wrong.sum()} of {images.size} numbers are not finite in float32, the first "
            f"is {array[first]} at {first}; replace them, or drop the images that hold them"
        )
    return images


def _labels(array: NDArray[Any], n_images: int, file: Path) -> NDArray[np.int64]:
    """Return the labels as int64 (n,), or raise ValueError."""
    if array.shape != (n_images,):
        raise ValueError(
            f"{file}: labels have the shape {array.shape}, expected ({n_images},), one for each "
            "image; save both from the same data"
        )
    if array.dtype.kind not in "iu":
        raise ValueError(f"{file}: labels are {array.dtype}, expected integers; save them as int64")
    labels = array.astype(np.int64)
    # An unsigned label beyond int64 wraps to a negative one, and is refused with the others.
    if labels.min() < 0:
        first = int(np.argmax(labels < 0))
        raise ValueError(
            f"{file}: label {first} is {array[first]}, expected 0 … 2⁶³ − 1; number the classes "
            "from 0"
        )
    return labels
