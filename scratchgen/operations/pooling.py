"""Rules that make images smaller or larger by whole windows.

Images are x: (n, channels, rows, columns). A loop runs over the few places within a window; for
each place, one strided slice holds the entries of all windows there.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array

Pair: TypeAlias = "int | tuple[int, int]"
Place: TypeAlias = tuple[Any, slice, slice]


@differentiable
def max_pool2d(
    x: Array, *, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Rule:
    """z = max x over each window:  ∂C/∂x = δ at the first x = z of the window, row by row.

    ``x``: (n, channels, rows, columns); returns z: (n, channels, 1 + (rows + 2 padding −
    kernel) // stride, …). Settings are numbers, or pairs for rows and columns; ``stride`` is
    ``kernel_size`` if not given, and the margin of ``padding`` holds −∞.

    Of several maxima the first receives the whole δ, as in PyTorch; the zeros of a ReLU are such a
    tie. The rule ``max`` divides δ among them instead, which is another subgradient.
    Raises ``ValueError`` for settings that do not fit. Source: Zhou and Chellappa 1988.
    """
    padded, inside, windows = _windows("max_pool2d", x, kernel_size, stride, padding, -np.inf)
    z = padded[windows[0]].copy()
    for place in windows[1:]:
        np.maximum(z, padded[place], out=z)

    def to_the_first(delta: Array) -> Array:
        share = np.zeros_like(padded)
        waiting = np.ones_like(z, dtype=bool)
        for place in windows:
            first = waiting & (padded[place] == z)
            waiting ^= first
            share[place] += first * delta
        return share[inside]

    return z, (to_the_first,)


@differentiable
def avg_pool2d(
    x: Array, *, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Rule:
    """z = the mean of x over each window:  ∂C/∂x = Σ δ/|window|, over the windows that hold x.

    Shapes, settings and errors are those of :func:`max_pool2d`, but the margin of ``padding`` holds
    zeros, which count in the mean, as in PyTorch.
    """
    padded, inside, windows = _windows("avg_pool2d", x, kernel_size, stride, padding, 0)
    z = padded[windows[0]].copy()
    for place in windows[1:]:
        z += padded[place]
    z /= len(windows)

    def spread(delta: Array) -> Array:
        part, share = delta / len(windows), np.zeros_like(padded)
        for place in windows:
            share[place] += part
        return share[inside]

    return z, (spread,)


@differentiable
def upsample_nearest2d(x: Array, *, scale_factor: Pair) -> Rule:
    """Each pixel x as a block of equal pixels:  ∂C/∂x = Σ δ over its block.

    ``x``: (n, channels, rows, columns); returns (n, channels, rows · scale, columns · scale), with
    ``scale_factor`` a whole number, or a pair for rows and columns.
    """
    _check_images("upsample_nearest2d", x)
    high, wide = scale = _pair("upsample_nearest2d", "scale_factor", scale_factor, 1)
    n, channels, rows, columns = x.shape
    blocks = np.broadcast_to(
        x[:, :, :, None, :, None], (n, channels, rows, high, columns, wide)
    ).reshape(n, channels, rows * high, columns * wide)

    def gathered(delta: Array) -> Array:
        first, *others = _places(scale, scale, (rows, columns))
        share = delta[first].copy()
        for place in others:
            share += delta[place]
        return share

    return blocks, (gathered,)


def _windows(
    name: str, x: Array, kernel_size: Pair, stride: Pair | None, padding: Pair, margin: float
) -> tuple[Array, tuple[Any, ...], list[Place]]:
    """Return x within its margin, the key of x in that, and the key of each place of a window."""
    _check_images(name, x)
    kernel = _pair(name, "kernel_size", kernel_size, 1)
    step = kernel if stride is None else _pair(name, "stride", stride, 1)
    widths = _pair(name, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(widths, kernel, strict=True)):
        raise ValueError(
            f"{name}: padding is at most half of kernel_size, so that no window lies outside, got "
            f"padding {widths} and kernel_size {kernel}"
        )
    sizes = [n + 2 * p for n, p in zip(x.shape[2:], widths, strict=True)]
    if any(k > n for k, n in zip(kernel, sizes, strict=True)):
        raise ValueError(f"{name}: kernel_size {kernel} is larger than the image, {tuple(sizes)}")
    counts = tuple(1 + (n - k) // s for n, k, s in zip(sizes, kernel, step, strict=True))
    around = ((0, 0), (0, 0), *((p, p) for p in widths))
    padded = np.pad(x, around, constant_values=margin) if any(widths) else x
    inside = (..., *(slice(p, p + n) for n, p in zip(x.shape[2:], widths, strict=True)))
    return padded, inside, _places(kernel, step, counts)


def _places(
    kernel: tuple[int, int], stride: tuple[int, int], counts: tuple[int, int]
) -> list[Place]:
    """Return for each place of a window, row by row, the key of its entries in all windows."""
    rows, columns = (
        [slice(k, k + s * n, s) for k in range(size)]
        for size, s, n in zip(kernel, stride, counts, strict=True)
    )
    return [(..., row, column) for row in rows for column in columns]


def _check_images(name: str, x: Array) -> None:
    if x.ndim != 4:
        raise ValueError(f"{name} takes images (n, channels, rows, columns), got shape {x.shape}")


def _pair(name: str, setting: str, given: Any, least: int) -> tuple[int, int]:
    """Return a setting for rows and for columns, from one whole number or from two."""
    pair = tuple(given) if isinstance(given, (tuple, list)) else (given, given)
    if len(pair) != 2 or not all(isinstance(v, (int, np.integer)) and v >= least for v in pair):
        raise ValueError(
            f"{name}: {setting} is a whole number from {least}, or two for rows and columns, "
            f"got {given!r}"
        )
    return int(pair[0]), int(pair[1])
