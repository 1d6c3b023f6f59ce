"""Labels in the forms in which they come: numbers of any type, names, one-hot rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64] | NDArray[np.str_]


def read_labels(array: NDArray[Any], n: int) -> tuple[Labels, str | None]:
    """Return one label for each of ``n`` samples, int64 or text, and the assumption, if any.

    ``array`` is (n,) or (n, 1), of whole numbers of any type, True and False, text or bytes; or
    (n, K) one-hot, where label k is the position of the only 1 in a row. Raises ValueError for
    other arrays.
    """
    if array.ndim == 2 and array.shape[0] == n and array.shape[1] > 1:
        return _from_one_hot(array), f"labels {array.shape} are taken as one-hot rows"
    if array.shape not in ((n,), (n, 1)):
        raise ValueError(
            f"labels have the shape {array.shape}, expected ({n},), one for each image, or ({n}, "
            "classes), one-hot; save both from the same data"
        )
    array = array.reshape(n)
    if array.dtype.kind == "U":
        return array.astype(np.str_), None
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8"), None
        except UnicodeDecodeError as error:
            raise ValueError(f"labels are bytes that are no text ({error}); save str") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"labels are {array.dtype}, expected whole numbers or text; save labels.astype(str)"
        )
    if array.dtype.kind == "b":
        return array.astype(np.int64), None
    values = array.astype(np.float64) if array.dtype.kind == "f" else array
    fits = (values >= -(2**63)) & (values < 2**63)  # False for NaN
    labels = np.where(fits, values, 0).astype(np.int64)
    wrong = ~fits | (labels != values)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"label {first} is {array[first]}, expected whole numbers below 2⁶³, or text: classes "
            "have names, not amounts; leave the labels out if these are measurements"
        )
    return labels, None


def number_classes(labels: Labels) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the sorted names of the classes, and the number 0 … K − 1 of each label's class.

    >>> number_classes(np.array(["owl", "cat", "owl"]))
    (('cat', 'owl'), array([1, 0, 1]))
    """
    values, numbers = np.unique(labels, return_inverse=True)
    return tuple(map(str, values)), numbers.astype(np.int64)


def _from_one_hot(array: NDArray[Any]) -> NDArray[np.int64]:
    number = array.dtype.kind in "biuf"
    if not number or not (((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()):
        raise ValueError(
            f"labels have the shape {array.shape}, but are not one-hot, a single 1 among zeros in "
            "each row; save one label for each image, such as labels.argmax(axis=1)"
        )
    return array.argmax(axis=1).astype(np.int64)
