"""Your own data, as saved by NumPy: this file turns arrays into samples.

It refuses all data on which a model would only fail later, hours into a training. It converts
unambiguous data, and reports every assumption behind a conversion.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .labels import Labels, read_labels
from .layout import TO_FIRST, channels_last
from .scale import from_whole_numbers


class DataWarning(UserWarning):
    """An assumption about the content of a file; the message names it."""


class Samples(NamedTuple):
    """The content of a file, and one sentence for each assumption about it."""

    images: NDArray[np.float32]
    labels: Labels | None
    assumed: tuple[str, ...]


def from_file(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], Labels | None]:
    """Return ``(images, labels)`` of a ``.npy`` or ``.npz`` file; labels are None if it has none.

    A ``.npy`` file holds the images. A ``.npz`` file holds them as ``images``; it may also hold
    ``labels``, and ``channels``, which is "first" or "last".

    ``images``: (n, …) float32, n ≥ 1, at least two axes.

    - *Channels* are returned first, (n, channels, height, width). Images with the channels last are
      transposed. Images that can be read either way are refused unless ``channels`` says how. An
      alpha channel is the fourth, and is omitted if it is 1 everywhere.
    - *Values.* Floats are kept. False and True, and whole numbers 0 and 1, become 0 and 1. uint8
      with a number above 127 is divided by 255. Other whole numbers are refused, as their scale
      is unknown.

    ``labels``: (n,), int64 or text, from whole numbers, text or one-hot rows.

    Each assumption is a :class:`DataWarning`. Raises FileNotFoundError for a missing file, and
    ValueError for a file of another form, for one that cannot be read completely, and for numbers
    that are not finite in float32. No pickle is loaded.
    """
    images, labels, assumed = read_file(path)
    for sentence in assumed:
        warnings.warn(f"{path}: {sentence}", DataWarning, stacklevel=2)
    return images, labels


def read_file(path: str | os.PathLike[str]) -> Samples:
    """Return the samples of :func:`from_file` and the assumptions; raise the same errors."""
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
        arrays, others = _read_npy(file) if suffix == ".npy" else _read_npz(file)
    # NumPy, zipfile and zlib raise errors without a common class for a damaged file.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{file} cannot be read as {suffix} ({reason}): expected a whole file of numbers, "
            f"as numpy.save{'z' * (suffix == '.npz')} writes it; {_advice_on(reason)}"
        ) from error
    if "images" not in arrays:
        sparse = {"data", "shape", "format"} <= set(others)
        found = "a sparse matrix" if sparse else ", ".join([*arrays, *others]) or "nothing"
        raise ValueError(
            f"{file} holds no array named images, but {found}: expected images and, optionally, "
            "labels; write it with numpy.savez(path, images="
            f"{'matrix.toarray()' if sparse else '…'}, labels=…)"
        )
    try:
        images, scale = _numbers(arrays["images"])
        images, layout = _channels_first(images, arrays.get("channels"))
        images, alpha = _without_opaque_alpha(images)
        labels, one_hot = None, None
        if "labels" in arrays:
            labels, one_hot = read_labels(arrays["labels"], len(images))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    unused = f"not used: {', '.join(others)}; images and labels alone are" if others else None
    assumed = (scale, layout, alpha, one_hot, unused)
    return Samples(images, labels, tuple(sentence for sentence in assumed if sentence))


def _read_npy(file: Path) -> tuple[dict[str, NDArray[Any]], list[str]]:
    with file.open("rb") as stream:
        return {"images": _read_array(stream)}, []


def _read_npz(file: Path) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Return the arrays in use, and the names of the others."""
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        names = {member.removesuffix(".npy"): member for member in archive.namelist()}
        for name in [name for name in names if name in ("images", "labels", "channels")]:
            with archive.open(names.pop(name)) as stream:
                arrays[name] = _read_array(stream)
    return arrays, sorted(names)


def _read_array(stream: IO[bytes]) -> NDArray[Any]:
    # numpy.load guesses the format, and its errors name pickle for any unknown one.
    array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _advice_on(reason: str) -> str:
    if "Object arrays" in reason:
        return (
            "for a sparse matrix save matrix.toarray(), for images of several sizes images of one, "
            "for labels labels.astype(str)"
        )
    return "write it again"


def _numbers(array: NDArray[Any]) -> tuple[NDArray[np.float32], str | None]:
    """Return the images as float32 (n, …), and the assumption about their scale, if any."""
    if array.ndim < 2 or array.size == 0:
        one_each = "; for one number each, save images[:, None]" if array.ndim == 1 else ""
        raise ValueError(
            f"images have the shape {array.shape}, expected (n, …) with n ≥ 1 and at least one "
            f"number each{one_each}"
        )
    if array.dtype.kind in "iu":
        return from_whole_numbers(array)
    if array.dtype.kind not in "fb":
        raise ValueError(f"images are {array.dtype}, expected real numbers; save them as float32")
    # A float64 beyond the range of float32 becomes infinite here, and is refused below.
    with np.errstate(over="ignore"):
        images = array.astype(np.float32)
    wrong = ~np.isfinite(images)
    if wrong.any():
        first = tuple(int(k) for k in np.unravel_index(np.argmax(wrong), wrong.shape))
        raise ValueError(
            f"{wrong.sum()} of {images.size} numbers are not finite in float32, the first is "
            f"{array[first]} at {first}; replace them, or drop the images that hold them"
        )
    return images, None


def _channels_first(
    images: NDArray[np.float32], channels: NDArray[Any] | None
) -> tuple[NDArray[np.float32], str | None]:
    """Return images (n, channels, height, width), and the assumption about their axes, if any."""
    shape, said = images.shape, str(channels)
    if channels is not None and said not in ("first", "last"):
        raise ValueError(f'channels is {said}, expected "first" or "last"')
    last = channels_last(shape[1:]) if channels is None else said == "last"
    if last is None:
        raise ValueError(
            f"images have the shape {shape}, and either axis 1 or axis 3 may hold their channels; "
            'say which in the file: numpy.savez(path, images=images, channels="first"), or "last"'
        )
    if not last or images.ndim != 4:
        return images, None
    moved = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if channels is not None:
        return moved, None
    return moved, f"images {shape} have their channels last: images{TO_FIRST} is taken"


def _without_opaque_alpha(
    images: NDArray[np.float32],
) -> tuple[NDArray[np.float32], str | None]:
    """Return RGB images if a fourth channel is 1 everywhere."""
    if images.ndim != 4 or images.shape[1] != 4 or not (images[:, 3] == 1).all():
        return images, None
    return np.ascontiguousarray(images[:, :3]), "alpha is opaque everywhere, and left out"
