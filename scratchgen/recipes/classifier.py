"""The feed-forward and the convolutional classifier on the command line.

A tenth of each class of the training samples is kept for validation; the scores of each epoch and
early stopping use these samples. Only ``evaluate`` and the pictures use the held-out samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from .. import nn, plotting
from ..backend import Array, Generator, to_device, to_host
from ..history import History
from ..models.feed_forward import (
    ACTIVATIONS,
    Classifier,
    confusion_matrix,
    convolutional,
    dense,
)
from ..nn import Network
from ..optim import Optimizer
from ..optim.by_name import OPTIMIZERS, build_optimizer
from ..stopping import Patience
from .data import Data
from .recipe import (
    Figures,
    Pictures,
    Recipe,
    curves_of,
    in_parts,
    layers_of,
    mean_and_error,
    only_mnist_sized,
    shown_of_dense,
)
from .settings import Choice, Real, Settings, Whole, Wholes, setting


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(Settings):
    """Optimizer, penalties, early stopping."""

    optimizer: str = setting(Choice("of the weights", names=tuple(OPTIMIZERS)), default="adam")
    l1: float = setting(Real("l1 Σ |W| is added to the cost"), default=0.0)
    l2: float = setting(Real("½ l2 Σ W² is added to the cost"), default=0.0)
    patience: int | None = setting(
        Whole(
            "end when the validation cost has not fallen for N epochs, and keep the weights where "
            "it was lowest",
            most=1_000_000,
            none="never",
        ),
        default=None,
    )

    @classmethod
    def following(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The learning rate suited to each optimizer; L-BFGS also takes all samples at once."""
        rates = {"sgd": 0.1, "momentum": 0.05, "adagrad": 0.02, "rmsprop": 1e-3, "lbfgs": 1.0}
        optimizer = given.get("optimizer")
        changed: dict[str, Any] = {"lr": rates[optimizer]} if optimizer in rates else {}
        if optimizer == "lbfgs":
            changed |= {"batch_size": None, "schedule": "constant"}
        return changed

    @classmethod
    def from_first_format(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Remove the number of a cosine that spans all epochs."""
        if values.get("schedule") == f"cosine:{values.get('epochs')}":
            values = {**values, "schedule": "cosine"}
        return super().from_first_format(values)


@dataclass(frozen=True, kw_only=True)
class FFNNSettings(ClassifierSettings):
    """Sizes and activation, in addition to the settings of every classifier."""

    hidden: tuple[int, ...] = setting(Wholes("units of each hidden layer"), default=(100,))
    activation: str = setting(Choice("of the hidden units", names=tuple(ACTIVATIONS)))


@dataclass(frozen=True, kw_only=True)
class CNNSettings(ClassifierSettings):
    """Channels, units and dropout, in addition to the settings of every classifier."""

    channels: tuple[int, ...] = setting(
        Wholes("of each convolution", most=10_000), default=(32, 64)
    )
    hidden: int = setting(Whole("units between the images and the classes"), default=128)
    dropout: float = setting(
        Real("share of these units that is dropped", most=1, below=True), default=0.5
    )


S = TypeVar("S", bound=ClassifierSettings)


class ClassifierRecipe(Recipe[S]):
    """The common parts of the classifiers: costs, optimizers, scores, pictures."""

    kind = Classifier
    unit = "nats per sample"
    generative = False
    classifies = True
    looked_at = "confusion.png"
    labelled = True

    def shown(self, model: Classifier) -> dict[str, Any]:
        """The penalties."""
        return {"l1": model.l1, "l2": model.l2}

    def network(self, settings: S, shape: tuple[int, ...], n_out: int, rng: Generator) -> Network:
        """Build the network for samples of this shape."""
        raise NotImplementedError

    def build(self, settings: S, data: Data, rng: Generator) -> Classifier:
        """Build the model for the classes of the data."""
        only_mnist_sized(settings, data)
        n, n_classes = len(self.prepare(data)[0]), len(data.classes)
        _check_classes(data)
        if settings.optimizer == "lbfgs" and settings.batch_size not in (None, n):
            raise ValueError(
                f"--optimizer lbfgs compares gradients of all {n} samples to train on: take "
                f"--batch-size all, got {settings.batch_size}"
            )
        if settings.optimizer == "lbfgs" and settings.clip_norm is not None:
            raise ValueError("--optimizer lbfgs needs the exact gradient: leave --clip-norm out")
        network = self.network(settings, data.shape, n_classes if n_classes > 2 else 1, rng)
        return Classifier(network, settings.l1, settings.l2)

    def optimizers(self, model: Classifier, settings: S) -> list[Optimizer]:
        """Return the optimizer of the settings."""
        return [build_optimizer(settings.optimizer, model.parameters(), settings.lr)]

    def prepare(self, data: Data) -> Any:
        """Images and labels, without those for validation."""
        chosen, _ = data.validation
        return data.train[chosen], _labels(data)[0][chosen]

    def patience(self, settings: S, history: History, best: Classifier) -> Patience | None:
        """Early stopping by the validation cost, if it is set."""
        if settings.patience is None:
            return None
        costs = [epoch.report["validation cost"] for epoch in history]
        return Patience(settings.patience, costs, best.state_dict() if costs else None)

    def score(self, model: Classifier, data: Data, rng: Generator) -> dict[str, float]:
        """Cost and accuracy on the validation samples."""
        _, chosen = data.validation
        x, y = to_device(data.train[chosen], rng), to_device(_labels(data)[0][chosen], rng)
        return {
            "validation cost": float(to_host(model.data_cost(x, y))),
            "validation accuracy": float(to_host(model.accuracy(x, y))),
        }

    def figures(self, model: Classifier, data: Data, settings: S, rng: Generator) -> Figures:
        """Accuracy, cost, the hardest class, and the most frequent confusion."""
        z, p, y = _predicted(model, data, rng)
        predicted, names = p.argmax(axis=1), data.classes
        counts = confusion_matrix(y, predicted, p.shape[1])
        of_class, right = counts.sum(axis=1), np.diag(counts)

        def accuracy() -> dict[str, str]:
            share, sure = right.sum() / len(y), p.max(axis=1) >= 0.9
            error = math.sqrt(share * (1 - share) / len(y))
            return {
                "accuracy": f"{100 * share:.2f} ± {100 * error:.2f} %",
                f"accuracy of the {100 * sure.mean():.1f} % with confidence from 0.9": (
                    f"{100 * (predicted == y)[sure].mean():.2f} %" if sure.any() else "–"
                ),
            }

        def cost() -> dict[str, str]:
            return {"−log p(y|x)": mean_and_error(model.nll(z, y))}

        def mistakes() -> dict[str, str]:
            recalls = np.where(of_class, right / np.maximum(of_class, 1), 1)
            worst = int(recalls.argmin())
            wrong = counts - np.diag(right)
            met, taken = np.unravel_index(wrong.argmax(), wrong.shape)
            confused = f"{names[met]} taken for {names[taken]}: {wrong[met, taken]}"
            return {
                "the hardest class": f"{names[worst]}: {right[worst]} of {of_class[worst]} "
                "recognised",
                "most often confused": f"{confused} of {of_class[met]}" if wrong.any() else "none",
            }

        yield "accuracy", accuracy
        yield "−log p(y|x)", cost
        yield "the hardest class", mistakes

    def draw(
        self, model: Classifier, data: Data, settings: S, history: History, rng: Generator
    ) -> Pictures:
        """Costs and accuracy over the epochs, the confusion matrix, the most confident mistakes."""
        accuracies = {name for name in history.curves() if "accuracy" in name}
        for file, unit, names in (
            ("curves", self.unit, history.curves().keys() - accuracies),
            ("accuracy", "share of samples", accuracies),
        ):
            if names:
                yield file, curves_of(history, names, unit)
        _, p, y = _predicted(model, data, rng)
        predicted = p.argmax(axis=1)
        counts = confusion_matrix(y, predicted, p.shape[1])
        ax = plotting.confusion_matrix(counts, classes=data.classes)
        yield "confusion", plotting.titled(ax, "held-out samples")
        mistakes = np.flatnonzero(predicted != y)
        if not plotting.is_image(data.shape) or not len(mistakes):
            return
        surest = mistakes[np.argsort(-p.max(axis=1)[mistakes], kind="stable")][:10]
        table = plotting.image_table(
            {"": data.test[surest]},
            columns=[f"{data.classes[y[k]]}→{data.classes[predicted[k]]}" for k in surest],
            value_range=data.value_range,
        )
        yield "mistakes", plotting.titled(table, "the surest mistakes, class→answer")


class FFNNRecipe(ClassifierRecipe[FFNNSettings]):
    """The fully connected network of ``models.feed_forward.dense``."""

    title = "feed-forward classifier"

    # The notes' units are sigmoid, and their rate is constant.
    LECTURE = FFNNSettings(
        preset="lecture", data="mnist", activation="sigmoid", epochs=20, batch_size=64, lr=1e-3
    )
    MNIST = replace(LECTURE, preset=None, activation="relu", schedule="cosine", epochs=15)
    DIGITS = replace(MNIST, data="digits", epochs=60, lr=3e-3)

    def network(
        self, settings: FFNNSettings, shape: tuple[int, ...], n_out: int, rng: Generator
    ) -> Network:
        """Build fully connected layers."""
        return dense(shape, n_out, rng, settings.hidden, settings.activation)

    def shown(self, model: Classifier) -> dict[str, Any]:
        """The penalties, and the sizes and the activation of the layers."""
        return {**super().shown(model), **shown_of_dense(model.network)}


class CNNRecipe(ClassifierRecipe[CNNSettings]):
    """The network of ``models.feed_forward.convolutional``."""

    title = "convolutional classifier"

    MNIST = CNNSettings(data="mnist", schedule="cosine", epochs=8, batch_size=64, lr=1e-3)
    LECTURE = replace(MNIST, preset="lecture")
    DIGITS = replace(MNIST, data="digits", epochs=30)

    def network(
        self, settings: CNNSettings, shape: tuple[int, ...], n_out: int, rng: Generator
    ) -> Network:
        """Build convolutions with pooling, then two linear layers."""
        return convolutional(
            shape, n_out, rng, settings.channels, settings.hidden, settings.dropout
        )

    def shown(self, model: Classifier) -> dict[str, Any]:
        """The penalties, the channels, the hidden units and the dropout."""
        layers = layers_of(model.network)
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        return {
            **super().shown(model),
            "channels": tuple(layer.weight.shape[0] for layer in convolutions),
            "hidden": layers[-4].weight.shape[0],
            "dropout": layers[-2].p,
        }


def _check_classes(data: Data) -> None:
    if len(data.classes) < 2:
        raise ValueError(
            f"a classifier tells classes apart, and {data.name} has one label alone, "
            f"{data.classes[0]!r}: add samples of other classes"
        )
    if not len(data.validation[1]):
        raise ValueError(
            f"{data.name} has too few samples of each class to train on, to validate and to hold "
            "out: at least one class needs three"
        )


def _labels(data: Data) -> tuple[Array, Array]:
    return data.labels("a classifier")


def _predicted(model: Classifier, data: Data, rng: Generator) -> tuple[Array, Array, Array]:
    """The outputs and probabilities for the held-out samples, and their labels; on the host."""
    _, y = _labels(data)
    z = in_parts(model.outputs, data.test, rng)
    return z, model.probabilities(z), y
