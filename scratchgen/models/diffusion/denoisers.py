r"""Networks ε̂(x, t/T) that predict the noise in an image, for the diffusion models.

Their inputs are images x: (n, channels, height, width) and times t/T: (n,); their output has the
shape of x. At strong noise the right output is x itself, in all its entries. So information about
the whole image has to pass at full size, beside the features that the network extracts. The notes'
network keeps the full size throughout. A U-Net halves the size twice, so that a 3×3 kernel covers
four times the distance. Its skip connections pass the features of each size on the way down to the
layers of the same size on the way up.

Sources: the notes, "Model definition" (whose title promises a U-Net, erratum E14: the network has
no other sizes and no skip connections); Ronneberger, Fischer and Brox 2015, figure 1; Ho, Jain and
Abbeel 2020, appendix B.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ... import operations as ops
from ...backend import Array, Generator, device_of, to_device
from ...datasets import layout

_FREQUENCIES = 16  # the number of frequencies in the time embedding of a dense network


class PlainDenoiser(nn.Network):
    """The notes' network: 3×3 convolutions c–64–128, transposed ones 128–64–c, at full size.

    The time t/T enters without an embedding: e(t) = W₂ ReLU(w₁ t/T + b₁) + b₂ is added to each of
    the 128 channels. The parameters have the names of the notes' module.
    """

    def __init__(self, channels: int = 1, *, rng: Generator) -> None:
        self.enc1 = nn.Conv2d(channels, 64, 3, padding=1, rng=rng)
        self.enc2 = nn.Conv2d(64, 128, 3, padding=1, rng=rng)
        self.dec1 = nn.ConvTranspose2d(128, 64, 3, padding=1, rng=rng)
        self.dec2 = nn.ConvTranspose2d(64, channels, 3, padding=1, rng=rng)
        self.n_embedding = 128
        self.time_mlp = nn.Sequential(
            nn.Linear(1, 128, rng=rng), nn.ReLU(), nn.Linear(128, 128, rng=rng)
        )

    def __call__(self, x: Any, time: Any, condition: Any = None) -> Any:  # type: ignore[override]
        """The noise in images x at times t/T: (n,); ``condition``: (n, 128) is added to e(t)."""
        h = ops.relu(self.enc1(x))
        h = ops.relu(self.enc2(h))
        e = _sum_of(self.time_mlp(time[:, None]), condition)
        h = h + e.reshape(-1, 128, 1, 1)
        h = ops.relu(self.dec1(h))
        return self.dec2(h)


class DenseDenoiser(nn.Network):
    """A dense network of (x, t/T) with ``hidden`` SiLU units, for samples of ``size`` numbers.

    It suits points of the plane, and all samples that are not images.
    """

    def __init__(self, size: int, hidden: Sequence[int], *, rng: Generator) -> None:
        self.size, self.hidden = operator.index(size), tuple(map(operator.index, hidden))
        sizes, layers = [self.size + 1, *self.hidden], []
        self.n_embedding = self.hidden[0] if self.hidden else self.size
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out, rng=rng), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], self.size, rng=rng))

    def __call__(self, x: Any, time: Any, condition: Any = None) -> Any:  # type: ignore[override]
        """The noise in samples x: (n, …) at times t/T: (n,), in the shape of x.

        ``condition``: (n, units of the first layer) is added to its sums, to which the time adds.
        """
        first, *others = self.layers.layers
        beside = ops.concatenate([x.reshape(len(x), self.size), time[:, None]], axis=1)
        h = _sum_of(first(beside), condition)
        for layer in others:
            h = layer(h)
        return h.reshape(*x.shape)


class UNet(nn.Network):
    """A U-Net of three sizes, image, half and quarter, with c, 2c and 4c channels.

    The way down has a convolution at full size, 2×2 average pooling, a residual block at half size,
    average pooling, and three blocks at a quarter, deep enough to cover all of 28 × 28 pixels. On
    the way up, each pixel becomes 2×2 pixels, concatenated with the features of that size from the
    way down. A block follows at half size. At full size, where layers cost most, only a convolution
    follows.
    Each block receives the time through a sinusoidal embedding. ``groups`` is the number of groups
    of the group norms.

    Raises ``ValueError`` for a ``width`` that is odd or not a multiple of ``groups``, and for
    images whose height or width is not a multiple of 4.
    """

    def __init__(
        self, channels: int = 1, width: int = 32, groups: int = 8, *, rng: Generator
    ) -> None:
        channels, width, groups = map(operator.index, (channels, width, groups))
        if channels < 1 or groups < 1 or width < 2 or width % 2 or width % groups:
            step = math.lcm(2, max(groups, 1))
            near = [n for n in (width // step * step, (width // step + 1) * step) if n > 0]
            raise ValueError(
                f"a U-Net of {groups} groups has at least one channel and a width that is a "
                f"multiple of {step}, got {channels} channels and a width of {width}: take "
                f"{' or '.join(map(str, near))}"
            )
        self.width = width
        half, quarter, times = 2 * width, 4 * width, 4 * width
        self.n_embedding = times
        self.time = nn.Sequential(
            nn.Linear(width, times, rng=rng), nn.SiLU(), nn.Linear(times, times, rng=rng), nn.SiLU()
        )
        self.into = nn.Conv2d(channels, width, 3, padding=1, rng=rng)
        self.down = ResidualBlock(width, half, times, groups, rng=rng)
        self.middle1 = ResidualBlock(half, quarter, times, groups, rng=rng)
        self.middle2 = ResidualBlock(quarter, quarter, times, groups, rng=rng)
        self.middle3 = ResidualBlock(quarter, half, times, groups, rng=rng)
        self.up = ResidualBlock(2 * half, width, times, groups, rng=rng)
        self.norm1 = nn.GroupNorm(groups, 2 * width, rng=rng)
        self.last = nn.Conv2d(2 * width, width, 3, padding=1, rng=rng)
        self.norm2 = nn.GroupNorm(groups, width, rng=rng)
        self.out = nn.Conv2d(width, channels, 3, padding=1, rng=rng)

    def __call__(self, x: Any, time: Any, condition: Any = None) -> Any:  # type: ignore[override]
        """The noise in images x at times t/T: (n,); ``condition``: (n, 4 width) adds to e(t)."""
        if x.ndim != 4 or x.shape[2] % 4 or x.shape[3] % 4:
            raise ValueError(
                "a U-Net of three sizes takes images (n, channels, height, width) with height and "
                f"width multiples of 4, got {x.shape}{layout.advice(x.shape[1:]) or ': pad them'}"
            )
        t = _sum_of(self.time(sinusoidal(time, self.width)), condition)
        whole = self.into(x)
        half = self.down(ops.avg_pool2d(whole, kernel_size=2), t)
        quarter = self.middle1(ops.avg_pool2d(half, kernel_size=2), t)
        quarter = self.middle3(self.middle2(quarter, t), t)
        half = self.up(_beside(quarter, half), t)
        whole = self.last(ops.silu(self.norm1(_beside(half, whole))))
        return self.out(ops.silu(self.norm2(whole)))


class TimedMLP(nn.Network):
    """out = W₃ h₂, h₂ = h₁ + silu(W₂ h₁), h₁ = silu(W₁ x + V e(t)), with biases.

    x is a row of ``n_in`` numbers, h₁ and h₂ have ``n_hidden`` units, the output ``n_out`` numbers;
    e(t) is the sinusoidal embedding of the time t. The last layer starts at zero, so that the
    initial output is its bias.
    """

    def __init__(self, n_in: int, n_hidden: int, n_out: int, *, rng: Generator) -> None:
        self.into = nn.Linear(n_in, n_hidden, rng=rng)
        self.time = nn.Linear(2 * _FREQUENCIES, n_hidden, bias=False, rng=rng)
        self.middle = nn.Linear(n_hidden, n_hidden, rng=rng)
        self.out = nn.Linear(n_hidden, n_out, rng=rng)
        for parameter in self.out.parameters():
            parameter.data[...] = 0

    def __call__(self, x: Any, time: Any) -> Any:  # type: ignore[override]
        """The outputs, (n, n_out), for x of any shape (n, …) with ``n_in`` numbers each."""
        rows = x.reshape(len(x), math.prod(x.shape[1:]))
        h = ops.silu(self.into(rows) + self.time(sinusoidal(time, 2 * _FREQUENCIES)))
        return self.out(h + ops.silu(self.middle(h)))


class LabelledDenoiser(nn.Network):
    """ε̂(x, t/T, c) = network(x, t/T, condition), where the condition is row c of a learned matrix.

    ``network`` is one of the denoisers above, and adds the condition to its embedding of the time.
    There are ``n_classes`` + 1 rows: label ``n_classes`` is "none".
    """

    def __init__(self, network: Any, n_classes: int, *, rng: Generator) -> None:
        self.network = network
        self.classes = nn.Embedding(n_classes + 1, network.n_embedding, rng=rng)

    def __call__(self, x: Any, time: Any, labels: Any) -> Any:  # type: ignore[override]
        """The noise in samples x at times t/T: (n,), for labels: (n,) integers."""
        return self.network(x, time, self.classes(labels))


class ResidualBlock(nn.Network):
    """y = W x + F(x, t),  F = conv₂(silu(norm₂(conv₁(silu(norm₁(x))) + V e(t)))).

    W is the identity, or a 1×1 convolution where the number of channels changes; e(t) is the
    embedding of the time, after its activation.
    """

    def __init__(self, c_in: int, c_out: int, n_times: int, groups: int, *, rng: Generator) -> None:
        self.norm1 = nn.GroupNorm(groups, c_in, rng=rng)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1, rng=rng)
        self.time = nn.Linear(n_times, c_out, rng=rng)
        self.norm2 = nn.GroupNorm(groups, c_out, rng=rng)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, rng=rng)
        self.across = nn.Conv2d(c_in, c_out, 1, rng=rng) if c_in != c_out else None

    def __call__(self, x: Any, t: Any) -> Any:  # type: ignore[override]
        """The output for images x, with embedded times t: (n, n_times)."""
        h = self.conv1(ops.silu(self.norm1(x)))
        h = h + self.time(t).reshape(*h.shape[:2], 1, 1)
        h = self.conv2(ops.silu(self.norm2(h)))
        return h + (x if self.across is None else self.across(x))


def sinusoidal(time: Array, n: int) -> Array:
    """(sin ωₖ τ, cos ωₖ τ) for k < n/2, with τ = 1000 t/T and ωₖ from 1 down to 10⁻⁴: (len, n).

    Source: Vaswani et al. 2017, section 3.5; for every T, τ has the range of time in Ho et al.
    2020.
    """
    half = n // 2
    omega = np.exp(-math.log(1e4) / max(half - 1, 1) * np.arange(half))
    angle = 1000 * time[:, None] * to_device(omega.astype(time.dtype), device_of(time))
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def _sum_of(embedding: Any, condition: Any) -> Any:
    """Return the embedding of the time, plus the embedding of the condition if there is one."""
    if condition is None:
        return embedding
    if condition.shape != embedding.shape:
        raise ValueError(
            f"a condition is an embedding of shape {embedding.shape}, got {condition.shape}: for "
            "labels, take LabelledDenoiser(network, n_classes, rng=rng)"
        )
    return embedding + condition


def _beside(below: Any, across: Any) -> Any:
    """Upsample the features ``below``, and concatenate the skip connection ``across``."""
    return ops.concatenate([ops.upsample_nearest2d(below, scale_factor=2), across], axis=1)
