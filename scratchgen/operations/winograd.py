"""Correlation of images with 3×3 kernels in a quarter of the multiplications.

For a kernel of three numbers along one axis, computing four outputs is the transpose of a product
of polynomials (Toom and Cook): evaluate at six points, multiply, interpolate. Let the rows of a
Vandermonde matrix Vₙ of n columns hold 1, p, p², … for each point p. For a tile x of six inputs,

    y = Aᵀ [(G W) ∘ (Bᵀ x)],   G = V₃,   A = V₄,   B = V₆⁻¹,

takes six multiplications instead of twelve. Along both axes, and summed over the channels c,

    y = Aᵀ [Σ_c (G W Gᵀ) ∘ (Bᵀ x B)] A,

takes 36 instead of 144, with a product of matrices over the channels for each of the 36. Here A and
B act on all tiles of an axis at once, as banded matrices; padding cuts them off at their borders.
Since C = Σ δ y is linear in each of x, W and δ, the same three matrices give

    ∂C/∂W = Gᵀ [Σ_tiles (A δ Aᵀ) ∘ (Bᵀ x B)] G.

Points of both signs and of reciprocal sizes, 0, ±2/3, ±3/2 and ∞, keep the rounding small.

Sources: Lavin and Gray 2016, "Fast algorithms for convolutional neural networks"; on the points,
Barabasz, Anderson, Soodhalter and Gregg 2020, "Error analysis and improving the accuracy of
Winograd convolution for deep neural networks".
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..backend import Array
from ..parallel import Workspace, workers

Size: TypeAlias = tuple[int, int]

KERNEL, OUTPUTS, INPUTS = 3, 4, 6  # the sizes of a tile along each axis
POINTS = (0, 2 / 3, -2 / 3, 3 / 2, -3 / 2)  # and ∞
TILES = 8  # the most tiles of a row in a block: with more, the bands would be mostly zeros
WORKSPACE = 3 * 2**21  # the bytes of a block


def _vandermonde(n: int) -> Array:
    at_infinity = [0] * (n - 1) + [1]
    return np.array([*([p**k for k in range(n)] for p in POINTS), at_infinity])


G, A, B = _vandermonde(KERNEL), _vandermonde(OUTPUTS), np.linalg.inv(_vandermonde(INPUTS))


@dataclass(frozen=True)
class Winograd:
    """A correlation with 3×3 kernels, of stride 1, and its adjoints, on arrays of the host."""

    padding: Size

    def correlate(self, x: Array, W: Array, b: Array | None = None) -> Array:
        """y = Aᵀ [Σ_c (G W Gᵀ) ∘ (Bᵀ x B)] A + b."""
        rows, columns = (n + 2 * p - 2 for n, p in zip(x.shape[2:], self.padding, strict=True))
        return _correlate(x, W, b, (rows, columns), self.padding)

    def adjoint_in_x(self, delta: Array, W: Array, size: Size, b: Array | None = None) -> Array:
        """∂C/∂x, of ``size``, + b: the correlation of δ with the kernels turned by 180°."""
        turned = W[:, :, ::-1, ::-1].swapaxes(0, 1)
        return _correlate(delta, turned, b, size, (2 - self.padding[0], 2 - self.padding[1]))

    def adjoint_in_W(self, x: Array, delta: Array) -> Array:
        """∂C/∂W = Gᵀ [Σ_tiles (A δ Aᵀ) ∘ (Bᵀ x B)] G."""
        c_out, c_in, space = delta.shape[1], x.shape[1], Workspace()
        total = np.zeros((INPUTS, INPUTS, c_out, c_in), np.result_type(x, delta))

        def part(block: Block) -> Array:
            images, rows, columns = block
            inputs = x[images, :, rows.inputs, columns.inputs]
            deltas = delta[images, :, rows.outputs, columns.outputs]
            V = _on_tiles(rows.into, columns.into, inputs, space, "V")
            D = _on_tiles(rows.out.T, columns.out.T, deltas, space, "D")
            return D.transpose(0, 2, 3, 1) @ V.transpose(0, 2, 1, 3)

        with workers() as each:
            for products in each(part, _blocks(x, c_out, delta.shape[2:], self.padding)):
                total += products
            share = _kernels(total.dtype).T @ total.reshape(INPUTS**2, -1)
        return share.reshape(KERNEL, KERNEL, c_out, c_in).transpose(2, 3, 0, 1)


def _correlate(x: Array, W: Array, b: Array | None, size: Size, padding: Size) -> Array:
    """The outputs of ``size``; a negative padding omits the border of x."""
    (c_out, c_in), space = W.shape[:2], Workspace()
    y = np.empty((len(x), c_out, *size), np.result_type(x, W))

    def part(block: Block) -> None:
        images, rows, columns = block
        outputs = y[images, :, rows.outputs, columns.outputs]
        inputs = x[images, :, rows.inputs, columns.inputs]
        V = _on_tiles(rows.into, columns.into, inputs, space, "V")
        UV = space.empty("UV", (*V.shape[:3], c_out), y)
        np.matmul(V.transpose(0, 2, 1, 3), U, out=UV.transpose(0, 2, 1, 3))
        z = space.empty("z", (outputs.shape[2], len(outputs), columns.out.shape[1], c_out), y)
        np.matmul(rows.out, UV.reshape(rows.out.shape[1], -1), out=z.reshape(len(z), -1))
        np.matmul(z.transpose(1, 0, 3, 2), columns.out.T, out=outputs.transpose(0, 2, 1, 3))
        if b is not None:
            outputs += b[:, None, None]

    with workers() as each:
        U = _kernels(W.dtype) @ W.transpose(2, 3, 1, 0).reshape(KERNEL**2, -1)
        U = U.reshape(INPUTS, INPUTS, c_in, c_out)
        for _ in each(part, _blocks(x, c_out, size, padding)):
            pass
    return y


def _on_tiles(rows: Array, columns: Array, x: Array, space: Workspace, name: str) -> Array:
    """Transform each tile of images x: (n, c, h, w) along both axes: (6, tiles, 6, c)."""
    # The products also move the channels to the end, where the products over them are fastest.
    n, c, height, _ = x.shape
    z = space.empty("z", (height, n, len(columns), c), x)
    np.matmul(columns, x.transpose(2, 0, 3, 1), out=z)
    tiles = space.empty(name, (len(rows), n, len(columns), c), x)
    np.matmul(rows, z.reshape(height, n * len(columns) * c), out=tiles.reshape(len(rows), -1))
    return tiles.reshape(INPUTS, -1, INPUTS, c)


class Axis(NamedTuple):
    """One axis of a block: its slices of inputs and outputs, and Bᵀ and Aᵀ for all its tiles."""

    inputs: slice
    outputs: slice
    into: Array
    out: Array


Block: TypeAlias = tuple[slice, Axis, Axis]  # images, rows, columns


def _blocks(x: Array, c_out: int, size: Size, padding: Size) -> list[Block]:
    """Split the outputs of ``size`` into parts whose transforms fit into the workspace."""
    # One row of tiles needs the least work along the rows, but is too little for few images.
    high = math.ceil(TILES / max(1, len(x)))
    rows = _axes(high, size[0], x.shape[2], padding[0], (0, 1, 2), x.dtype)
    columns = _axes(TILES, size[1], x.shape[3], padding[1], (1, 0, 2), x.dtype)
    numbers = len(rows[0].into) * len(columns[0].into) * (x.shape[1] + c_out)
    n = max(1, WORKSPACE // (2 * x.itemsize * numbers))
    images = [slice(k, k + n) for k in range(0, len(x), n)]
    return list(itertools.product(images, rows, columns))


@functools.lru_cache
def _axes(
    most: int, outputs: int, inputs: int, padding: int, order: tuple[int, ...], dtype: np.dtype[Any]
) -> list[Axis]:
    """Split an axis into equal parts; ``order`` is that of (point, tile, place) in both bands."""
    tiles = math.ceil(outputs / OUTPUTS)
    tiles = math.ceil(tiles / math.ceil(tiles / most))
    into, out = np.zeros((2, INPUTS, tiles, OUTPUTS * tiles + KERNEL - 1), dtype)
    for t in range(tiles):
        into[:, t, OUTPUTS * t :][:, :INPUTS] = B.T
        out[:, t, OUTPUTS * t :][:, :OUTPUTS] = A
    into, out = (band.transpose(order).reshape(INPUTS * tiles, -1) for band in (into, out))
    axes = []
    for start in range(0, outputs, OUTPUTS * tiles):
        stop, first = min(start + OUTPUTS * tiles, outputs), start - padding
        low, high = (min(max(k, 0), inputs) for k in (first, first + into.shape[1]))
        part = into[:, low - first :][:, : high - low], out[:, : stop - start].T
        axes.append(Axis(slice(low, high), slice(start, stop), *part))
    return axes


def _kernels(dtype: np.dtype[Any]) -> Array:
    """The matrix of W ↦ G W Gᵀ for kernels that are columns of nine numbers."""
    return np.kron(G, G).astype(dtype)
