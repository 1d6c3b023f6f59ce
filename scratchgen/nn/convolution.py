"""Convolutions that own their kernels, with the names and initial values of ``torch.nn``."""

from __future__ import annotations

import math
import operator
from typing import Any

from .. import operations
from ..autodiff import Tensor
from ..backend import Generator
from ..operations.pooling import Pair, _pair
from .network import Network, draw_uniform


class Conv2d(Network):
    """z = conv2d(x, W, b) of images x: (n, c_in, h, w), giving (n, c_out, h′, w′).

    ``weight`` (c_out, c_in, kh, kw) and ``bias`` (c_out,) are drawn from U(−1/√m, 1/√m), where
    m = c_in kh kw, as in ``torch.nn.Conv2d``. Raises ``ValueError`` unless all sizes are positive.
    """

    operation = operations.conv2d

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        bias: bool = True,
        *,
        rng: Generator,
    ) -> None:
        self.stride, self.padding = stride, padding
        self.weight = _kernels(type(self).__name__, c_out, c_in, kernel_size, rng)
        self.bias = _offsets(c_out, self.weight, rng) if bias else None

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        convolve = type(self).operation
        return convolve(x, self.weight, self.bias, stride=self.stride, padding=self.padding)


class Conv2dDirect(Conv2d):
    """:class:`Conv2d`, always computed by :func:`~scratchgen.operations.conv2d_direct`."""

    operation = operations.conv2d_direct


class ConvTranspose2d(Network):
    """z = conv_transpose2d(x, W, b) of images x: (n, c_in, h, w), giving (n, c_out, h′, w′).

    ``weight`` (c_in, c_out, kh, kw) and ``bias`` (c_out,) are drawn from U(−1/√m, 1/√m), where
    m = c_out kh kw, as in ``torch.nn.ConvTranspose2d``; this is the m of the convolution whose
    adjoint it is. Raises ``ValueError`` unless all sizes are positive.
    """

    operation = operations.conv_transpose2d

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        output_padding: Pair = 0,
        bias: bool = True,
        *,
        rng: Generator,
    ) -> None:
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.weight = _kernels(type(self).__name__, c_in, c_out, kernel_size, rng)
        self.bias = _offsets(c_out, self.weight, rng) if bias else None

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return type(self).operation(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
        )


class ConvTranspose2dDirect(ConvTranspose2d):
    """:class:`ConvTranspose2d` by :func:`~scratchgen.operations.conv_transpose2d_direct`."""

    operation = operations.conv_transpose2d_direct


def _kernels(name: str, first: int, second: int, kernel_size: Pair, rng: Generator) -> Tensor:
    kernel = _pair(name, "kernel_size", kernel_size, 1)
    first, second = operator.index(first), operator.index(second)
    if first < 1 or second < 1:
        raise ValueError(f"{name} has at least one channel on each side, got {first}, {second}")
    bound = 1 / math.sqrt(second * math.prod(kernel))
    return Tensor(draw_uniform((first, second, *kernel), bound, rng))


def _offsets(n: int, weight: Tensor, rng: Generator) -> Tensor:
    return Tensor(draw_uniform((n,), 1 / math.sqrt(math.prod(weight.shape[1:])), rng))
