"""Convolutions of images, and their adjoints: every rule here combines the same three functions.

The convolution of networks is a correlation. With stride s, padding p and zeros outside x,

    y[n, o, i, j] = b[o] + Σ_{c, k, l} W[o, c, k, l] x[n, c, s i + k − p, s j + l − p].

⟨δ, y − b⟩ = Σ δ W x is linear in each of x, W and δ. Its derivatives are the three functions

    correlate:     in δ,  (x, W) ↦ y
    adjoint_in_x:  in x,  (δ, W) ↦ ∂C/∂x
    adjoint_in_W:  in W,  (x, δ) ↦ ∂C/∂W,

and the equations of a rule are the two functions that its forward pass does not use. The forward
pass of the convolution is the first function. That of the transposed convolution is the second one,
with its x in place of δ: it is the adjoint by construction.

*How they are made fast.* For a k×l kernel, an image becomes a matrix of columns, one for each place
of the kernel, and all three functions are products with this matrix. It is k l times as large as
the image. It is therefore made for a few images at a time, on several threads, and not kept. For
stride 1 and 3×3 kernels, as in most networks, ``winograd`` needs a quarter of the multiplications.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array, device_of
from ..parallel import Workspace, workers
from .pooling import Pair, _pair
from .winograd import Winograd

Size: TypeAlias = tuple[int, int]

CHANNELS = 32  # from this number on, Winograd's method gains more than its transforms cost
WORKSPACE = {"cpu": 2**22, "cuda": 2**28}  # bytes of columns that fit into a cache, or on a device


@differentiable
def conv2d(
    x: Array,
    W: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Rule:
    """Convolution, y[n, o, i, j] = b[o] + Σ_ckl W[o, c, k, l] x[n, c, s i + k − p, s j + l − p].

    ``x``: (n, c_in, h, w), ``W``: (c_out, c_in, kh, kw), ``b``: (c_out,) or none; ``stride`` s and
    ``padding`` p: an integer, or one for each axis. Returns y: (n, c_out, h′, w′) with
    h′ = ⌊(h + 2p − kh) / s⌋ + 1. With δ = ∂C/∂y:

        ∂C/∂x[n, c, s i + k − p, s j + l − p] += Σ_o W[o, c, k, l] δ[n, o, i, j]
        ∂C/∂W[o, c, k, l] = Σ_{n, i, j} δ[n, o, i, j] x[n, c, s i + k − p, s j + l − p]
        ∂C/∂b[o] = Σ_{n, i, j} δ[n, o, i, j]

    3×3 kernels at stride 1 in float32, on the host and with 32 or more channels on each side, use
    Winograd's method. Between 64 and 128 channels, the error of y and of its equations is then
    about 1e-6 of their root mean square. :func:`conv2d_direct`, which computes the sums as printed,
    has 3e-7 (depending on the order of sums in BLAS). A pixel that is not finite then affects a row
    of tiles, not only its neighbours.

    Raises ``ValueError`` where shapes, stride or padding do not fit. Source: Dumoulin and Visin
    2016, "A guide to convolution arithmetic for deep learning", chapters 2 and 4.
    """
    direct = _convolving("conv2d", x, W, b, stride, padding)
    return _convolution(_way(x, W, direct), x, W, b)


@differentiable
def conv2d_direct(
    x: Array,
    W: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Rule:
    """:func:`conv2d`, always computed by the sums as printed."""
    return _convolution(_convolving("conv2d_direct", x, W, b, stride, padding), x, W, b)


@differentiable
def conv_transpose2d(
    x: Array,
    W: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
) -> Rule:
    """Transposed convolution, y[n, c, s i + k − p, s j + l − p] += Σ_o W[o, c, k, l] x[n, o, i, j].

    It is the adjoint of x ↦ conv2d(x, W): its value is ∂C/∂x of conv2d, plus b. With δ = ∂C/∂y,

        ∂C/∂x = conv2d(δ, W),   ∂C/∂W = that of conv2d(δ, W) where its δ is x,   ∂C/∂b = Σ δ.

    ``x``: (n, c_in, h, w), ``W``: (c_in, c_out, kh, kw), ``b``: (c_out,) or none. Returns y:
    (n, c_out, h′, w′) with h′ = (h − 1) s − 2p + kh + ``output_padding``. A convolution maps
    several heights to h; ``output_padding``, which is less than s, selects one of them.

    3×3 kernels at stride 1 use Winograd's method under the same conditions as :func:`conv2d`, with
    the same errors; :func:`conv_transpose2d_direct` never does. Raises ``ValueError`` where shapes,
    stride, padding or output padding do not fit. Source: Dumoulin and Visin 2016, chapter 4.
    """
    direct = _direct("conv_transpose2d", 0, x, W, b, stride, padding)
    size = _transposed_size(x, direct, output_padding)
    return _transposed_convolution(_way(x, W, direct), x, W, b, size)


@differentiable
def conv_transpose2d_direct(
    x: Array,
    W: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
) -> Rule:
    """:func:`conv_transpose2d`, always computed by the sums as printed."""
    direct = _direct("conv_transpose2d_direct", 0, x, W, b, stride, padding)
    size = _transposed_size(x, direct, output_padding)
    return _transposed_convolution(direct, x, W, b, size)


def _convolution(way: Way, x: Array, W: Array, b: Array | None) -> Rule:
    return way.correlate(x, W, b), (
        lambda delta: way.adjoint_in_x(delta, W, x.shape[2:]),
        lambda delta: way.adjoint_in_W(x, delta),
        lambda delta: delta.sum(axis=(0, 2, 3)),
    )


def _transposed_convolution(way: Way, x: Array, W: Array, b: Array | None, size: Size) -> Rule:
    return way.adjoint_in_x(x, W, size, b), (
        lambda delta: way.correlate(delta, W),
        lambda delta: way.adjoint_in_W(delta, x),
        lambda delta: delta.sum(axis=(0, 2, 3)),
    )


@dataclass(frozen=True)
class Direct:
    """A correlation and its adjoints, as products with the matrix of columns."""

    kernel: Size
    stride: Size
    padding: Size

    def correlate(self, x: Array, W: Array, b: Array | None = None) -> Array:
        """y = W · columns(x) + b."""
        settings = zip(x.shape[2:], self.kernel, self.stride, self.padding, strict=True)
        size = [(n + 2 * p - k) // s + 1 for n, k, s, p in settings]
        y = np.empty((len(x), len(W), *size), np.result_type(x, W), like=x)
        flat, space = W.reshape(len(W), -1), Workspace()
        batches, bands = self._parts(x.shape[1], y)

        def part(images: slice) -> None:
            padded = self._padded(x[images], space)
            for rows in bands:
                out = y[images, :, rows].swapaxes(0, 1)
                z = space.empty("z", out.shape, y)
                columns = self._columns(padded, out.shape[2:], rows, space)
                np.matmul(flat, columns, out=z.reshape(len(W), -1))
                if b is not None:
                    z += b[:, None, None, None]
                out[...] = z

        with workers() as each:
            for _ in each(part, batches):
                pass
        return y

    def adjoint_in_x(self, delta: Array, W: Array, size: Size, b: Array | None = None) -> Array:
        """∂C/∂x, of ``size``, + b: Wᵀ · δ are columns, each added to the place of its source."""
        x = np.zeros((len(delta), W.shape[1], *size), np.result_type(delta, W), like=delta)
        flat, space = W.reshape(len(W), -1), Workspace()
        batches, bands = self._parts(W.shape[1], delta)

        def part(images: slice) -> None:
            padded = self._padded(x[images], space)
            for rows in bands:
                d = delta[images, :, rows].swapaxes(0, 1)
                columns = space.empty("columns", (W.shape[1], *self.kernel, *d.shape[1:]), x)
                of_kernels = columns.reshape(flat.shape[1], -1)
                np.matmul(flat.T, d.reshape(len(W), -1), out=of_kernels)
                for place in np.ndindex(*self.kernel):
                    window = self._window(padded, place, d.shape[2:], rows)
                    window += columns[:, place[0], place[1]]
            if b is not None:
                padded += b[:, None, None, None]
            x[images] = self._inner(padded, size).swapaxes(0, 1)

        with workers() as each:
            for _ in each(part, batches):
                pass
        return x

    def adjoint_in_W(self, x: Array, delta: Array) -> Array:
        """∂C/∂W = δ · columns(x)ᵀ."""
        c_in, c_out, space = x.shape[1], delta.shape[1], Workspace()
        share = np.zeros((c_out, c_in * math.prod(self.kernel)), np.result_type(x, delta), like=x)
        batches, bands = self._parts(c_in, delta)

        def part(images: slice) -> Array:
            padded, products = self._padded(x[images], space), []
            for rows in bands:
                d = delta[images, :, rows].swapaxes(0, 1)
                columns = self._columns(padded, d.shape[2:], rows, space)
                products.append(d.reshape(c_out, -1) @ columns.T)
            return sum(products[1:], products[0])

        with workers() as each:
            for products in each(part, batches):
                share += products
        return share.reshape(c_out, c_in, *self.kernel)

    def _parts(self, c_in: int, outputs: Array) -> tuple[list[slice], list[slice]]:
        """Slices of images, and of rows of outputs, whose columns fit into the workspace."""
        n, _, height, width = outputs.shape
        row = c_in * math.prod(self.kernel) * width * outputs.itemsize
        rows = min(height, max(1, WORKSPACE[device_of(outputs)] // row))
        images = max(1, WORKSPACE[device_of(outputs)] // (row * height))
        return (
            [slice(k, min(k + images, n)) for k in range(0, n, images)],
            [slice(k, min(k + rows, height)) for k in range(0, height, rows)],
        )

    def _padded(self, x: Array, space: Workspace) -> Array:
        """The images within zeros, channels first, so that a row of columns is contiguous."""
        n, c, *size = x.shape
        height, width = (k + 2 * p for k, p in zip(size, self.padding, strict=True))
        padded = space.empty("padded", (c, n, height, width), x)
        padded[...] = 0
        self._inner(padded, size)[...] = x.swapaxes(0, 1)
        return padded

    def _inner(self, padded: Array, size: Sequence[int]) -> Array:
        top, left = self.padding
        return padded[:, :, top : top + size[0], left : left + size[1]]

    def _window(self, padded: Array, place: Sequence[int], size: Size, rows: slice) -> Array:
        """The entries that place (k, l) of the kernel multiplies, for some rows of outputs."""
        (down, right), (height, width) = self.stride, size
        top, left = place[0] + down * rows.start, place[1]
        return padded[:, :, top : top + down * height : down, left : left + right * width : right]

    def _columns(self, padded: Array, size: Size, rows: slice, space: Workspace) -> Array:
        """The entries that all places of the kernel multiply: (c_in kh kw, outputs)."""
        c, n = padded.shape[:2]
        columns = space.empty("columns", (c, *self.kernel, n, *size), padded)
        for place in np.ndindex(*self.kernel):
            columns[:, place[0], place[1]] = self._window(padded, place, size, rows)
        return columns.reshape(c * math.prod(self.kernel), -1)


Way: TypeAlias = "Direct | Winograd"


def _way(x: Array, W: Array, direct: Direct) -> Way:
    """Use Winograd's method where it applies and is faster, else the direct way."""
    applies = direct.kernel == (3, 3) and direct.stride == (1, 1) and device_of(x) == "cpu"
    pays = x.dtype == W.dtype == np.float32 and min(W.shape[:2]) >= CHANNELS
    return Winograd(direct.padding) if applies and pays else direct


def _direct(
    name: str, axis: int, x: Array, W: Array, b: Array | None, stride: Pair, padding: Pair
) -> Direct:
    """Check shapes and settings; axis ``axis`` of W is that of the channels of x."""
    of_W = "(c_in, c_out, kh, kw)" if axis == 0 else "(c_out, c_in, kh, kw)"
    if x.ndim != 4 or W.ndim != 4 or 0 in W.shape or x.shape[1] != W.shape[axis]:
        cure = ""
        if x.ndim == 3:
            cure = "; grey images have one channel: x[:, None]"
        elif x.ndim == W.ndim == 4 and x.shape[3] == W.shape[axis]:
            cure = "; channels come first: x.transpose(0, 3, 1, 2)"
        raise ValueError(
            f"{name} takes images x: (n, c_in, h, w) and kernels W: {of_W}, got {x.shape} and "
            f"{W.shape}{cure}"
        )
    if b is not None and b.shape != (W.shape[1 - axis],):
        raise ValueError(f"{name}: b is one number per channel, {W.shape[1 - axis]}, got {b.shape}")
    steps, widths = _pair(name, "stride", stride, 1), _pair(name, "padding", padding, 0)
    return Direct(W.shape[2:], steps, widths)


def _convolving(
    name: str, x: Array, W: Array, b: Array | None, stride: Pair, padding: Pair
) -> Direct:
    direct = _direct(name, 1, x, W, b, stride, padding)
    for size, k, p in zip(x.shape[2:], direct.kernel, direct.padding, strict=True):
        if k > size + 2 * p:
            raise ValueError(
                f"{name}: kernels {W.shape[2:]} do not fit into images {x.shape[2:]} with padding "
                f"{direct.padding} on every side: take smaller kernels or more padding"
            )
    return direct


def _transposed_size(x: Array, direct: Direct, output_padding: Pair) -> Size:
    extra = _pair("a transposed convolution", "output_padding", output_padding, 0)
    if any(e >= s for e, s in zip(extra, direct.stride, strict=True)):
        raise ValueError(
            f"output_padding is less than the stride {direct.stride}, got {output_padding}: it "
            "says which of the sizes that a convolution maps to this one is meant"
        )
    settings = zip(x.shape[2:], direct.kernel, direct.stride, direct.padding, extra, strict=True)
    height, width = ((n - 1) * s - 2 * p + k + e for n, k, s, p, e in settings)
    if min(height, width, *x.shape[2:]) < 1:
        raise ValueError(
            f"a transposed convolution of images {x.shape[2:]} with kernels {direct.kernel}, "
            f"stride {direct.stride} and padding {direct.padding} would be of size "
            f"({height}, {width}): take less padding"
        )
    return height, width
