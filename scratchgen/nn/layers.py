"""Layers: affine maps, embeddings, normalisation, pooling, dropout, and changes of shape."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import operations
from ..autodiff import Tensor
from ..backend import Generator, check_generator
from ..operations.pooling import Pair
from .network import Network, draw_uniform


class Linear(Network):
    """z = x Wᵀ + b on rows x: (n, n_in), giving (n, n_out).

    ``weight`` (n_out, n_in) and ``bias`` (n_out,) are drawn from U(−1/√n_in, 1/√n_in), as in
    ``torch.nn.Linear``. Raises ``ValueError`` unless both sizes are positive.
    """

    def __init__(self, n_in: int, n_out: int, bias: bool = True, *, rng: Generator) -> None:
        n_in, n_out = operator.index(n_in), operator.index(n_out)
        if n_in < 1 or n_out < 1:
            raise ValueError(f"Linear has at least one input and one output, got {n_in}, {n_out}")
        bound = 1 / math.sqrt(n_in)
        self.weight = Tensor(draw_uniform((n_out, n_in), bound, rng))
        self.bias = Tensor(draw_uniform((n_out,), bound, rng)) if bias else None

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.affine(x, self.weight, self.bias)


class SpectralLinear(Linear):
    """z = x Wᵀ/σ(W) + b, with the spectral norm σ(W), the largest singular value of W.

    The map of W/σ(W) stretches no difference of inputs, |W (x − y)|/σ ≤ |x − y|. A discriminator of
    such layers and of activations with slopes up to 1 is 1-Lipschitz. σ is exact, √ of the largest
    eigenvalue of W Wᵀ or WᵀW, whichever is smaller, and its gradient flows: ∂σ/∂W = u vᵀ with the
    singular vectors. Parameters and their initial values are those of :class:`Linear`. Source:
    Miyato et al., arXiv:1802.05957, eqs. 5 to 7, who estimate σ by power iteration.
    """

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        n_out, n_in = self.weight.shape
        W = self.weight
        gram = W @ W.T if n_out <= n_in else W.T @ W
        sigma = operations.sqrt(operations.eigvalsh(gram)[-1])
        return operations.affine(x, W / sigma, self.bias)


class Embedding(Network):
    """z = the rows of W at integers x from 0 to rows − 1: (…) ↦ (…, features).

    ``weight`` (rows, features) is drawn from N(0, 1), as in ``torch.nn.Embedding``. Raises
    ``ValueError`` unless both sizes are positive.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, *, rng: Generator) -> None:
        n, features = operator.index(num_embeddings), operator.index(embedding_dim)
        if n < 1 or features < 1:
            raise ValueError(f"Embedding has at least one row and one feature, got {n}, {features}")
        check_generator(rng)
        self.weight = Tensor(rng.standard_normal((n, features), dtype=np.float32))

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.embedding(x, self.weight)


class LayerNorm(Network):
    """y = γ (x − μ)/√(σ² + ε) + β over the last axes of x, of shape ``normalized_shape``.

    ``weight`` γ starts at 1 and ``bias`` β at 0, both of that shape, on the device of ``rng`` or on
    the host; without ``elementwise_affine`` there is neither. Names and their meaning are those of
    ``torch.nn``.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        rng: Generator | None = None,
    ) -> None:
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        self.weight = _constant(self.normalized_shape, 1, rng) if elementwise_affine else None
        learned = elementwise_affine and bias
        self.bias = _constant(self.normalized_shape, 0, rng) if learned else None

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        shape = self.normalized_shape
        if x.shape[-len(shape) :] != shape:
            raise ValueError(f"LayerNorm over axes of shape {shape} was given x: {x.shape}")
        return operations.layer_norm(x, self.weight, self.bias, axes=len(shape), eps=self.eps)


class GroupNorm(Network):
    """y = γ (x − μ)/√(σ² + ε) + β over each group of the channels of x: (n, channels, …).

    ``weight`` γ starts at 1 and ``bias`` β at 0, one number per channel, on the device of ``rng``
    or on the host; without ``affine`` there is neither. Raises ``ValueError`` unless ``num_groups``
    divides ``num_channels``. Names and their meaning are those of ``torch.nn``.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        rng: Generator | None = None,
    ) -> None:
        groups, channels = operator.index(num_groups), operator.index(num_channels)
        if groups < 1 or channels < 1 or channels % groups:
            raise ValueError(f"GroupNorm: {channels} channels are not {groups} groups of one size")
        self.num_groups, self.num_channels, self.eps = groups, channels, eps
        self.weight = _constant((channels,), 1, rng) if affine else None
        self.bias = _constant((channels,), 0, rng) if affine else None

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(f"GroupNorm of {self.num_channels} channels was given x: {x.shape}")
        return operations.group_norm(
            x, self.weight, self.bias, groups=self.num_groups, eps=self.eps
        )


class MaxPool2d(Network):
    """z = max x over each window of images x: (n, channels, rows, columns)."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.max_pool2d(
            x, kernel_size=self.kernel_size, stride=self.stride, padding=self.padding
        )


class AvgPool2d(Network):
    """z = the mean of x over each window of images x: (n, channels, rows, columns)."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.avg_pool2d(
            x, kernel_size=self.kernel_size, stride=self.stride, padding=self.padding
        )


class Upsample(Network):
    """Repeat each pixel of images x: (n, channels, rows, columns) as a block of equal pixels."""

    def __init__(self, scale_factor: Pair) -> None:
        self.scale_factor = scale_factor

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return operations.upsample_nearest2d(x, scale_factor=self.scale_factor)


class Dropout(Network):
    """Set entries to 0 with probability p, and divide the others by 1 − p; without rng, do nothing.

    The divisor 1 − p keeps the mean of each entry.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout drops a share p with 0 ≤ p < 1, got {p}")
        self.p = p

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return x if rng is None else operations.dropout(x, p=self.p, rng=rng)


class Flatten(Network):
    """Make each sample one row: (n, …) ↦ (n, D)."""

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Reshape(Network):
    """Give each sample another shape: ``Reshape(1, 28, 28)`` maps (n, 784) ↦ (n, 1, 28, 28)."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        return x.reshape(x.shape[0], *self.shape)


def _shape(given: int | Sequence[int]) -> tuple[int, ...]:
    sizes = given if isinstance(given, Sequence) else (given,)
    shape = tuple(operator.index(n) for n in sizes)
    if not shape or min(shape) < 1:
        raise ValueError(f"LayerNorm normalises over axes of at least one entry, got {given}")
    return shape


def _constant(shape: tuple[int, ...], value: float, rng: Generator | None) -> Tensor:
    """Make a parameter that starts at one value, on the device of ``rng``."""
    if rng is None:
        return Tensor(np.full(shape, value, np.float32))
    check_generator(rng)
    # The draw is overwritten, but lets the generator choose the device and limit the size.
    parameter = rng.random(shape, dtype=np.float32)
    parameter[...] = value
    return Tensor(parameter)
