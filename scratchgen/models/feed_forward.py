r"""Feed-forward networks that learn from examples: classifiers, regressors, convolutional networks.

A network with parameters θ maps x to the parameters of a distribution p(y|x). Maximum likelihood
over n examples, with a prior on the weights, minimises

    C(θ) = (1/n) Σᵢ −log p(yᵢ|xᵢ) + l1 Σ |W| + ½ l2 Σ W².

The *classifier* predicts to which of K classes x belongs. The network gives one number zₖ, a logit,
for each class,

    p(y = k|x) = exp(zₖ) / Σⱼ exp(zⱼ),      −log p(y|x) = log Σⱼ exp(zⱼ) − z_y,

the cross-entropy, with δₖ = p(k|x) − 1[k = y] at the outputs. For two classes one logit is enough,
since only z₁ − z₀ = z matters: p(1|x) = 1 / (1 + e⁻ᶻ), −log p(y|x) = log(1 + eᶻ) − y z, the binary
cross-entropy. The number of outputs of the network selects the form. With zero weights the cost of
either is log K.

The *regressor* predicts m real numbers. The network gives the mean of p(y|x) = N(y; μ(x), I), so
that, up to a constant, −log p(y|x) = ½ Σⱼ (μⱼ(x) − yⱼ)², the cost of the notes, with δ = μ − y at
the outputs. It is a universal approximator: one sufficiently wide hidden layer approximates any
continuous function on a bounded set to any accuracy.

The sums of the penalties run over the weights, which are the parameters with two axes or more
(those of linear maps and convolutions). They omit biases and the scales of a normalisation, which
do not make a function steep. The first penalty is a Laplace prior, the second a normal one. The
term ½ l2 Σ W² adds l2 W to the gradient, just as ``weight_decay=l2`` would for these parameters.

The functions ``dense`` and ``convolutional`` build networks, given the shape of one sample and the
number of outputs.

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
    """C = l1 Σ |W| + ½ l2 Σ W²:  ∂C/∂W = δ (l1 sign W + l2 W), with sign 0 = 0."""
    flat = W.reshape(-1)
    value = 0.5 * l2 * (flat @ flat)
    if l1:
        value = value + l1 * np.absolute(flat).sum()
    return value, (lambda delta: delta * (l1 * np.sign(W) + l2 * W if l1 else l2 * W),)


class FeedForward(nn.Network):
    """C(θ) = (1/n) Σᵢ −log p(yᵢ|xᵢ) + l1 Σ |W| + ½ l2 Σ W²: a network, and how it is trained.

    A subclass defines ``nll``, −log p(y|x) for the outputs of the network, ``check_targets``, the
    check ``expect`` of the outputs, and ``reports``, other quantities of a batch. ``l1`` and ``l2``
    are the strengths of the penalties.
    """

    def __init__(self, network: nn.Network, l1: float = 0.0, l2: float = 0.0) -> None:
        self.network = network
        self.l1 = checked("l1", l1, 0, math.inf)
        self.l2 = checked("l2", l2, 0, math.inf)

    def nll(self, outputs: Any, y: Array) -> Any:
        """−log p(y|x), (n,) nats, where ``outputs`` are the network's outputs for x."""
        raise TypeError(f"{type(self).__name__} defines no nll")

    def check_targets(self, outputs: Array, y: Array) -> None:
        """Raise ``ValueError`` for targets that do not fit these outputs."""
        raise TypeError(f"{type(self).__name__} defines no check_targets")

    def expect(self, outputs: Tensor) -> None:
        """Raise ``ValueError`` where the range of the outputs contradicts their meaning."""

    def reports(self, outputs: Array, y: Array) -> dict[str, Array]:
        """Return quantities of a batch to report beside its cost."""
        return {}

    @property
    def weights(self) -> list[Tensor]:
        """The penalised parameters: those with two axes or more."""
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
        """Yield the cost C of a batch (x, y); dropout affects it and the reported quantities."""
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
        """The outputs of the network for samples x, without dropout."""
        return by_rows(self.frozen().network, x)

    def data_cost(self, x: Array, y: Array) -> Array:
        """(1/n) Σᵢ −log p(yᵢ|xᵢ), without dropout and penalties: the score of held-out samples."""
        return self.nll(self.outputs(x), y).mean()

    def _one_pass(self, x: Array) -> None:
        self.network(x)

    def validate(self, data: Any) -> None:
        """Raise ``ValueError`` for data that are not (x, y), or that do not fit the network."""
        name = type(self).__name__
        if not isinstance(data, tuple) or len(data) != 2:
            what = f"{len(data)} arrays" if isinstance(data, tuple) else "one array"
            raise ValueError(f"a {name} is trained on samples and targets, (x, y), got {what}")
        x, y = data
        if x.dtype.kind != "f":
            raise ValueError(
                f"a {name} takes floating numbers x, got {x.dtype}: for bytes, x / 255"
            )
        if x.ndim > 2:  # rows of whole numbers need not be bytes
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
    """p(y|x) of classes 0 … K − 1, from a network with K outputs (logits), or with one if K = 2.

    C(θ) = (1/n) Σᵢ −log p(yᵢ|xᵢ) + l1 Σ |W| + ½ l2 Σ W², for y: (n,) integers.
    """

    def nll(self, outputs: Any, y: Array) -> Any:
        """−log p(y|x), (n,) nats: binary cross-entropy for one logit, else cross-entropy."""
        if outputs.shape[1] > 1:
            return ops.cross_entropy(outputs, y)
        return ops.bernoulli_nll(outputs, y[:, None].astype(outputs.dtype))

    def predict_proba(self, x: Array) -> Array:
        """p(y = k|x), (n, K)."""
        return self.probabilities(self.outputs(x))

    def probabilities(self, outputs: Array) -> Array:
        """p(y = k|x), (n, K), where ``outputs`` are the network's outputs for x."""
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
        """The accuracy on the batch, with the weights from before the step."""
        return {"accuracy": (_most_probable(outputs) == y).mean()}

    def expect(self, outputs: Tensor) -> None:
        """Raise ``ValueError`` for outputs that cannot be logits, such as probabilities.

        Softmax depends only on differences of its inputs. Outputs that are unbounded below, such as
        −‖x − c‖², can therefore express all probabilities. The exception is log p itself, to which
        the classifier would apply softmax a second time.
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
    """p(y|x) = N(y; μ(x), I), from a network with the outputs μ: (n, m).

    C(θ) = (1/n) Σᵢ ½ |μ(xᵢ) − yᵢ|² + l1 Σ |W| + ½ l2 Σ W², for y: (n, m), or (n,) if m = 1.
    """

    def nll(self, outputs: Any, y: Array) -> Any:
        """½ Σⱼ (μⱼ − yⱼ)², (n,): −log p(y|x) without its constant ½ m log 2π."""
        return ops.squared_error(outputs, y.reshape(len(y), -1))

    def predict(self, x: Array) -> Array:
        """μ(x), (n, m)."""
        return self.outputs(x)

    def r_squared(self, x: Array, y: Array) -> Array:
        """R² = 1 − Σ (μ − y)² / Σ (y − ȳ)² of each target, averaged over the targets.

        It is 1 at best, and 0 for the mean ȳ. A constant target counts 1 if it is predicted
        exactly, else 0.
        """
        y = y.reshape(len(y), -1)
        error = ((self.predict(x) - y) ** 2).sum(axis=0)
        spread = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
        varies = y.max(axis=0) > y.min(axis=0)  # the spread of equal numbers may be rounding
        return (1 - np.where(varies, error / np.where(varies, spread, 1), error > 0)).mean()

    def check_targets(self, outputs: Array, y: Array) -> None:
        """Raise ``ValueError`` unless y has as many real numbers as the network has outputs."""
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

    ``activation`` is the name of one σ, or one name for each hidden layer. The outputs are
    z = Wᴸ a + bᴸ without an activation: logits, or means. Without hidden layers, the map is affine.
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
    """Images through 3 × 3 convolutions with ReLU and 2 × 2 max pooling, then two linear layers.

    ``shape`` is (channels, rows, columns), (rows, columns), or (D,) with D a square, for one
    channel. Each pooling halves rows and columns, so that both must be at least 2 to the power of
    the number of ``channels``. Source: LeCun et al. 1998, section II, with ReLU and dropout.
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
    """Count in row k, column j, the samples of class k that were predicted as j: (K, K), sum n."""
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
