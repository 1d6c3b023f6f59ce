r"""Feed-forward networks that learn from examples: what they are built of, and what they minimise.

A network with parameters θ turns x into the parameters of a distribution p(y|x). Maximum likelihood
over n examples, with a prior on the weights, is to minimise

    C(θ) = (1/n) Σᵢ −log p(yᵢ|xᵢ) + l1 Σ |W| + ½ l2 Σ W².

The sums of the penalties run over the weights, which are the parameters of two axes or more (those
of linear maps and convolutions), not over biases nor the scales of a normalisation: these do not
make a function steep. The first penalty is a Laplace prior, the second a normal one; ½ l2 Σ W² adds
l2 W to the gradient, which is what ``weight_decay=l2`` would, on these parameters alone.

What −log p is, ``classifier.py`` and ``regressor.py`` say. Established here are the rest of the
model, its penalties, and two builders of networks, each of which takes the shape of one sample and
the number of outputs. Source: the notes, "Feed-forward neural networks" to "Back propagation".
"""

from __future__ import annotations

import math
from collections.abc import Generator as Yields
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .. import nn, optim
from ..autodiff import Rule, Tensor, differentiable
from ..backend import Array, Generator
from ..datasets import layout
from ..optim.optimizer import checked
from ..parallel import by_rows
from . import audit

ACTIVATIONS: Final[dict[str, type[nn.Network]]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}
"""The activation functions between layers, by name."""


@differentiable
def penalty(W: Array, *, l1: float, l2: float) -> Rule:
    """C = l1 Σ |W| + ½ l2 Σ W²:  ∂C/∂W = δ (l1 sign W + l2 W), with 0 for the sign of 0."""
    flat = W.reshape(-1)
    value = 0.5 * l2 * (flat @ flat)
    if l1:
        value = value + l1 * np.absolute(flat).sum()
    return value, (lambda delta: delta * (l1 * np.sign(W) + l2 * W if l1 else l2 * W),)


class FeedForward(nn.Network):
    """C(θ) = (1/n) Σᵢ −log p(yᵢ|xᵢ) + l1 Σ |W| + ½ l2 Σ W²: a network, and how it is trained.

    A subclass states ``nll``, −log p(y|x) for the outputs of the network, ``check_targets``, what
    it is to ``expect`` of them, and what it ``reports`` of a batch. ``l1`` and ``l2`` are the
    strengths of the penalties.
    """

    def __init__(self, network: nn.Network, l1: float = 0.0, l2: float = 0.0) -> None:
        self.network = network
        self.l1 = checked("l1", l1, 0, math.inf)
        self.l2 = checked("l2", l2, 0, math.inf)

    def nll(self, outputs: Any, y: Array) -> Any:
        """−log p(y|x), (n,) nats, where the network gives ``outputs`` for x."""
        raise TypeError(f"{type(self).__name__} defines no nll")

    def check_targets(self, outputs: Array, y: Array) -> None:
        """Raise ``ValueError`` for targets that do not fit such outputs."""
        raise TypeError(f"{type(self).__name__} defines no check_targets")

    def expect(self, outputs: Tensor) -> None:
        """Raise ``ValueError`` where the network cannot give what its outputs mean."""

    def reports(self, outputs: Array, y: Array) -> dict[str, Array]:
        """What is reported of a batch beside its cost."""
        return {}

    @property
    def weights(self) -> list[Tensor]:
        """The parameters that are penalised: those of two axes or more."""
        return [p for p in self.parameters() if p.ndim > 1]

    def penalties(self) -> Any:
        """l1 Σ |W| + ½ l2 Σ W²."""
        first, *others = [penalty(W, l1=self.l1, l2=self.l2) for W in self.weights]
        return sum(others, first)

    @property
    def players(self) -> list[list[Tensor]]:
        """One player: all layers move together."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Adam, with a learning rate of 10⁻³."""
        return [optim.Adam(self.parameters(), lr=1e-3)]

    def losses(self, data: Any, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """The cost C of a batch (x, y); dropout acts on it, and on what is reported."""
        x, y = data
        outputs = self.network(x, rng)
        cost = self.nll(outputs, y).mean()
        if not (self.l1 or self.l2):
            yield cost
            return self.reports(outputs.data, y)
        penalties = self.penalties()
        yield cost + penalties
        return {**self.reports(outputs.data, y), "penalty": penalties.data}

    def outputs(self, x: Array) -> Array:
        """What the network gives for samples x, without dropout."""
        return by_rows(self.frozen().network, x)

    def data_cost(self, x: Array, y: Array) -> Array:
        """(1/n) Σᵢ −log p(yᵢ|xᵢ) without dropout and penalties: what held-out samples are for."""
        return self.nll(self.outputs(x), y).mean()

    def _one_pass(self, x: Array) -> None:
        self.network(x)

    def validate(self, data: Any) -> None:
        """Raise ``ValueError`` for data that are no (x, y), or that the network does not take."""
        name = type(self).__name__
        if not isinstance(data, tuple) or len(data) != 2:
            what = f"{len(data)} arrays" if isinstance(data, tuple) else "one array"
            raise ValueError(f"a {name} is trained on samples and targets, (x, y), got {what}")
        x, y = data
        if x.dtype.kind != "f":
            raise ValueError(
                f"a {name} takes floating numbers x, got {x.dtype}: for bytes, x / 255"
            )
        if x.ndim > 2:  # in rows, such numbers may be anything
            audit.caution_of_bytes(x)
        try:
            outputs = self.network(Tensor(x[:1]))
        except ValueError as error:
            raise ValueError(
                f"this {name} takes no samples of shape {x.shape[1:]}: {error}"
            ) from None
        if outputs.ndim != 2:
            raise ValueError(
                f"the network gives each sample outputs of shape {outputs.shape[1:]}, expected a "
                "row of numbers: end it with nn.Flatten() and nn.Linear"
            )
        self.expect(outputs)
        self.check_targets(outputs.data, y)


def dense(
    shape: Sequence[int],
    n_out: int,
    rng: Generator,
    hidden: Sequence[int] = (100,),
    activation: str | Sequence[str] = "relu",
) -> nn.Sequential:
    """x ↦ Wᴸ σ(… σ(W¹ x + b¹) …) + bᴸ: samples of ``shape``, as rows, through layers of ``hidden``.

    ``activation`` is the name of one σ, or there is one for each hidden layer. The outputs are
    z = Wᴸ a + bᴸ as they are: logits, or means. Without hidden layers, the map is affine.
    """
    names = [activation] * len(hidden) if isinstance(activation, str) else list(activation)
    unknown = [name for name in names if name not in ACTIVATIONS]
    if unknown or len(names) != len(hidden):
        raise ValueError(
            f"activation is one of {', '.join(ACTIVATIONS)}, or one for each of the {len(hidden)} "
            f"hidden layers, got {activation!r}"
        )
    layers: list[nn.Network] = [nn.Flatten()]
    n_in = math.prod(shape)
    for n, name in zip(hidden, names, strict=True):
        layers += [nn.Linear(n_in, n, rng=rng), ACTIVATIONS[name]()]
        n_in = n
    return nn.Sequential(*layers, nn.Linear(n_in, n_out, rng=rng))


def convolutional(
    shape: Sequence[int],
    n_out: int,
    rng: Generator,
    channels: Sequence[int] = (32, 64),
    hidden: int = 128,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Images through convolutions of 3 × 3, each with ReLU and max pooling of 2 × 2, then two maps.

    ``shape`` is (channels, rows, columns), (rows, columns), or (D,) with D a square, of one
    channel. Each pooling halves rows and columns, so that there must be 2 for every one of
    ``channels``. Source: LeCun et al. 1998, section II, with ReLU and dropout.
    """
    height, width = _rows_and_columns(shape)
    n_in = shape[0] if len(shape) == 3 else 1
    layers: list[nn.Network] = [] if len(shape) == 3 else [nn.Reshape(1, height, width)]
    if min(height, width) < 2 ** len(channels):
        raise ValueError(
            f"images of {height} × {width} pixels cannot be halved {len(channels)} times: take "
            "fewer channels"
        )
    for n in channels:
        layers += [nn.Conv2d(n_in, n, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2)]
        n_in, height, width = n, height // 2, width // 2
    layers += [nn.Flatten(), nn.Linear(n_in * height * width, hidden, rng=rng), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(hidden, n_out, rng=rng))


def _rows_and_columns(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) == 3 and shape[-1] == 3 and layout.channels_last(shape):
        raise ValueError(
            f"a convolutional network takes images of shape (channels, rows, columns), got "
            f"{tuple(shape)}{layout.advice(shape)}"
        )
    if len(shape) in (2, 3):
        return shape[-2], shape[-1]
    side = math.isqrt(math.prod(shape))
    if len(shape) != 1 or side**2 != shape[0]:
        raise ValueError(
            "a convolutional network takes images of shape (channels, rows, columns), (rows, "
            f"columns), or rows of a square number of pixels, got {tuple(shape)}"
        )
    return side, side
