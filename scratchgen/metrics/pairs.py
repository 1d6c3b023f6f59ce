"""Pairs of samples: two sets of samples as rows that can be compared, and their distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array, device_of, plain, to_host


def squared_distances(x: Array, y: Array) -> Array:
    """‖xᵢ − yⱼ‖² = ‖xᵢ‖² + ‖yⱼ‖² − 2 xᵢ·yⱼ, (n, m)."""
    squares = x @ y.T
    squares *= -2
    squares += (x * x).sum(axis=1)[:, None]
    squares += (y * y).sum(axis=1)
    return np.maximum(squares, 0, out=squares)


def rows(x: Any) -> Array:
    """Return samples as rows of floating-point numbers; integers become float64."""
    x = plain(x)
    if not hasattr(x, "__array_function__") or x.ndim < 1 or x.size == 0:
        raise ValueError(f"samples are an array (n, …), got {type(x).__name__} of {np.shape(x)}")
    x = x.reshape(len(x), -1)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    if not bool(to_host(np.isfinite(x).all())):
        raise ValueError("samples hold NaN or infinity: leave them out, or find what made them")
    return x


def centred(x: Any, y: Any) -> tuple[Array, Array]:
    """Return both as rows, less the mean of y: distances stay, with the least rounding error."""
    x, y = rows(x), rows(y)
    if device_of(x) != device_of(y):
        raise ValueError(f"samples on two devices, {device_of(x)} and {device_of(y)}: move one")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"samples of {x.shape[1]} numbers against samples of {y.shape[1]}")
    ours, theirs = _range_of_images(x), _range_of_images(y)
    if ours != theirs and None not in (ours, theirs):
        raise ValueError(
            f"samples on {ours} against samples on {theirs} are far apart whatever they show: "
            "bring both to one range, [0, 1] to [−1, 1] by 2x − 1, and back by (x + 1)/2"
        )
    centre = y.mean(axis=0)
    return x - centre, y - centre


def _range_of_images(x: Array) -> str | None:
    """The usual range of pixels that the samples fill, or None; small samples have none."""
    if x.shape[1] < 9:
        return None
    low, high = float(to_host(x.min())), float(to_host(x.max()))
    for name, black, white in (("[0, 1]", 0, 1), ("[−1, 1]", -1, 1), ("[0, 255]", 0, 255)):
        slack = 0.1 * (white - black)
        if abs(low - black) <= slack and abs(high - white) <= slack:
            return name
    return None
