r"""Feed-forward networks that learn from examples: classifiers, regressors, convolutional networks.

A network with parameters θ turns x into the parameters of a distribution p(y|x). Maximum likelihood
over n examples, with a prior on the weights, is to minimise

    C(θ) = (1/n) Σᵢ −log p(yᵢ|xᵢ) + l1 Σ |W| + ½ l2 Σ W².

The *classifier* says which of K classes y is. The network gives one number zₖ, a logit, for each,

    p(y = k|x) = exp(zₖ) / Σⱼ exp(zⱼ),      −log p(y|x) = log Σⱼ exp(zⱼ) − z_y,

the cross-entropy, with δₖ = p(k|x) − 1[k = y] at the outputs. Of two classes one logit is enough,
since only z₁ − z₀ = z counts: p(1|x) = 1 / (1 + e⁻ᶻ), −log p(y|x) = log(1 + eᶻ) − y z, the binary
cross-entropy. How many numbers the network gives says which it is. From zero weights either begins
at log K.

The *regressor* gives m real numbers. The network gives the mean of p(y|x) = N(y; μ(x), I), so that,
less a constant, −log p(y|x) = ½ Σⱼ (μⱼ(x) − yⱼ)², the cost of the notes, with δ = μ − y at the
outputs. It is a universal approximator: one hidden layer that is wide enough comes as near to any
continuous function on a bounded set as one likes.

The sums of the penalties run over the weights, which are the parameters of two axes or more (those
of linear maps and convolutions), not over biases nor the scales of a normalisation: these do not
make a function steep. The first penalty is a Laplace prior, the second a normal one; ½ l2 Σ W² adds
l2 W to the gradient, which is what ``weight_decay=l2`` would, on these parameters alone.

Two builders make networks, ``dense`` and ``convolutional``: each takes the shape of one sample and
the number of outputs.

Sources: the notes, "First network example, simple perceptron with one input" to "Back propagation";
Cybenko 1989; Hornik 1991; Goodfellow, Bengio, Courville 2016, 6.2.2.
"""

from __future__ import annotations

import math
from collections.abc import Generator as Yields
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .. import nn, optim
from .. import operations as ops
from ..autodiff import Rule, Tensor, differentiable
from ..backend import Array, Generator, to_host
from ..datasets import layout
from ..nn import ranges
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


class Classifier(FeedForward):
    """p(y|x) of classes 0 … K − 1, from a network that gives K logits, or one if K = 2.

    C(θ) = (1/n) Σᵢ −log p(yᵢ|xᵢ) + l1 Σ |W| + ½ l2 Σ W², for y: (n,) integers.
    """

    def nll(self, outputs: Any, y: Array) -> Any:
        """−log p(y|x), (n,) nats: binary cross-entropy of one logit, else cross-entropy."""
        if outputs.shape[1] > 1:
            return ops.cross_entropy(outputs, y)
        return ops.bernoulli_nll(outputs, y[:, None].astype(outputs.dtype))

    def predict_proba(self, x: Array) -> Array:
        """p(y = k|x), (n, K)."""
        return self.probabilities(self.outputs(x))

    def probabilities(self, outputs: Array) -> Array:
        """p(y = k|x), (n, K), where the network gives ``outputs`` for x."""
        if outputs.shape[1] > 1:
            return ops.softmax(outputs)
        return np.concatenate([ops.sigmoid(-outputs), ops.sigmoid(outputs)], axis=1)

    def predict(self, x: Array) -> Array:
        """The most probable class, (n,) integers."""
        return _most_probable(self.outputs(x))

    def accuracy(self, x: Array, y: Array) -> Array:
        """The share of samples whose most probable class is y."""
        return (self.predict(x) == y).mean()

    def reports(self, outputs: Array, y: Array) -> dict[str, Array]:
        """The accuracy in the batch, as the network was when it met it."""
        return {"accuracy": (_most_probable(outputs) == y).mean()}

    def expect(self, outputs: Tensor) -> None:
        """Raise ``ValueError`` for probabilities, or what else is not a logit.

        Softmax knows the differences of its inputs alone: where these go down without bound, as
        −‖x − c‖² does, they say all that there is to say, but for log p itself, said twice.
        """
        least = float(ranges.bounds(outputs)[0].min())
        twice = ranges.last_operation(outputs) == "log_softmax"
        if outputs.shape[1] > 1 and least == -math.inf and not twice:
            return
        applied = "softmax" if outputs.shape[1] > 1 else "σ"
        audit.check_unconfined(
            outputs, "network", "logits", f"since the classifier applies {applied} itself"
        )

    def check_targets(self, outputs: Array, y: Array) -> None:
        """Raise ``ValueError`` unless y is (n,) integers from 0 to K − 1."""
        n_classes = max(outputs.shape[1], 2)
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise ValueError(
                f"y is one integer for each sample, from 0 to {n_classes - 1}, got {y.dtype} of "
                f"shape {y.shape}: estimators.FeedForwardClassifier takes labels of any kind"
            )
        low, high = int(to_host(y.min())), int(to_host(y.max()))
        if low < 0 or high >= n_classes:
            raise ValueError(
                f"the labels run from {low} to {high}, but a network of {outputs.shape[1]} outputs "
                f"knows the classes 0 to {n_classes - 1}"
            )


class Regressor(FeedForward):
    """p(y|x) = N(y; μ(x), I), from a network that gives μ: (n, m).

    C(θ) = (1/n) Σᵢ ½ |μ(xᵢ) − yᵢ|² + l1 Σ |W| + ½ l2 Σ W², for y: (n, m), or (n,) if m = 1.
    """

    def nll(self, outputs: Any, y: Array) -> Any:
        """½ Σⱼ (μⱼ − yⱼ)², (n,): −log p(y|x) less ½ m log 2π."""
        return ops.squared_error(outputs, y.reshape(len(y), -1))

    def predict(self, x: Array) -> Array:
        """μ(x), (n, m)."""
        return self.outputs(x)

    def r_squared(self, x: Array, y: Array) -> Array:
        """R² = 1 − Σ (μ − y)² / Σ (y − ȳ)² of each target, averaged over the targets.

        1 at best, 0 for the mean ȳ. For a target that does not vary, 1 if it is met and else 0.
        """
        y = y.reshape(len(y), -1)
        error = ((self.predict(x) - y) ** 2).sum(axis=0)
        spread = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
        varies = y.max(axis=0) > y.min(axis=0)  # the spread of equal numbers may be rounding
        return (1 - np.where(varies, error / np.where(varies, spread, 1), error > 0)).mean()

    def check_targets(self, outputs: Array, y: Array) -> None:
        """Raise ``ValueError`` unless y is as many real numbers as the network gives."""
        m = outputs.shape[1]
        if y.dtype.kind != "f" or y.shape[1:] not in ([(m,), ()] if m == 1 else [(m,)]):
            raise ValueError(
                f"y is {m} real numbers for each sample, as the network gives, got {y.dtype} of "
                f"shape {y.shape}"
            )


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


def lecture(rng: Generator) -> tuple[Classifier, list[optim.Optimizer]]:
    """The network of the notes at the size of MNIST: 784–100–10, σ(z) = 1/(1 + e⁻ᶻ), with Adam."""
    model = Classifier(dense((784,), 10, rng, hidden=(100,), activation="sigmoid"))
    return model, model.default_optimizers()


def confusion_matrix(y: Array, predicted: Array, n_classes: int) -> Array:
    """Row k counts as what the samples of class k were taken: (K, K), its sum is n."""
    counts = np.bincount(n_classes * y + predicted, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def _most_probable(outputs: Array) -> Array:
    if outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    return (outputs[:, 0] > 0).astype(np.int64)


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
