"""The feed-forward and the convolutional classifier on the command line.

A tenth of each class of the samples to train on is kept for validation: the scores of each epoch,
and early stopping, are of these. The samples held out are met by ``evaluate`` and the pictures
alone.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..models.classifier import Classifier, confusion_matrix
from ..models.estimator import OPTIMIZERS, build_optimizer
from ..models.feed_forward import ACTIVATIONS, convolutional, dense
from ..nn import Network
from ..optim import Optimizer, schedules
from ..storage import Checkpoint
from ..training import History
from .data import Data
from .recipe import Recipe, in_parts, mean_and_error, only_mnist_sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEDULES: dict[str, Any] = {
    "constant": schedules.Constant,
    "step": schedules.Step,
    "exponential": schedules.Exponential,
    "inverse-time": schedules.InverseTime,
    "cosine": schedules.Cosine,
    "warm-up": schedules.WarmUp,
}


class ClassifierRecipe(Recipe):
    """What the classifiers share: costs, penalties, optimizers, schedules, scores, pictures."""

    unit = "nats per sample"
    generative = False

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Optimizer, schedule, penalties, early stopping."""
        parser.add_argument("--optimizer", choices=list(OPTIMIZERS))
        parser.add_argument(
            "--schedule",
            metavar="NAME[:NUMBER]",
            help="what the learning rate is multiplied by: "
            "constant, step:EPOCHS,FACTOR, exponential:FACTOR, inverse-time:EPOCHS, "
            "cosine:EPOCHS, warm-up:EPOCHS",
        )
        parser.add_argument("--l1", type=float, help="l1 Σ |W| is added to the cost")
        parser.add_argument("--l2", type=float, help="½ l2 Σ W² is added to the cost")
        parser.add_argument(
            "--patience",
            type=int,
            metavar="EPOCHS",
            help="end when the validation cost has not fallen for so many (default: never)",
        )

    def settings(self, data: str, lecture: bool) -> dict[str, Any]:
        """What is the same for all."""
        return {"optimizer": "adam", "lr": 1e-3, "l1": 0.0, "l2": 0.0, "patience": None}

    def network(
        self, settings: Mapping[str, Any], shape: tuple[int, ...], n_out: int, rng: Generator
    ) -> Network:
        """The network for samples of a shape."""
        raise NotImplementedError

    def build(self, settings: Mapping[str, Any], data: Data, rng: Generator) -> Classifier:
        """The model, for as many classes as there are labels."""
        only_mnist_sized(settings, data)
        schedule_of(settings["schedule"])
        n, n_classes = len(self.prepare(data)[0]), len(data.classes)
        _check_classes(data)
        if settings["optimizer"] == "lbfgs" and settings["batch_size"] < n:
            raise ValueError(
                f"L-BFGS compares gradients of all samples: take --batch-size {n}, got "
                f"{settings['batch_size']}"
            )
        network = self.network(settings, data.shape, n_classes if n_classes > 2 else 1, rng)
        return Classifier(network, settings["l1"], settings["l2"])

    def optimizers(self, model: Classifier, settings: Mapping[str, Any]) -> list[Optimizer]:
        """The one that was asked for, at the rate with which its schedule begins."""
        optimizer = build_optimizer(settings["optimizer"], model.parameters(), settings["lr"])
        optimizer.lr = settings["lr"] * schedule_of(settings["schedule"])(0)
        return [optimizer]

    def prepare(self, data: Data) -> Any:
        """Images and labels, without those for validation."""
        chosen, _ = data.validation
        return data.train[chosen], _labels(data)[0][chosen]

    def between_epochs(self, state: Checkpoint, settings: Mapping[str, Any]) -> bool:
        """Set the rate of the next epoch; whether the validation cost has ceased to fall."""
        done, schedule = len(state.history), schedule_of(settings["schedule"])
        for optimizer in state.optimizers:
            optimizer.lr = settings["lr"] * schedule(done)
        costs = [epoch.report["validation cost"] for epoch in state.history]
        return settings["patience"] is not None and (
            done - 1 - int(np.argmin(costs)) >= settings["patience"]
        )

    def score(self, model: Classifier, data: Data, rng: Generator) -> dict[str, float]:
        """Cost and accuracy of the samples for validation."""
        _, chosen = data.validation
        x, y = to_device(data.train[chosen], rng), to_device(_labels(data)[0][chosen], rng)
        return {
            "validation cost": float(to_host(model.data_cost(x, y))),
            "validation accuracy": float(to_host(model.accuracy(x, y))),
        }

    def judge(
        self, model: Classifier, data: Data, settings: Mapping[str, Any], rng: Generator
    ) -> dict[str, str]:
        """Accuracy, cost, the class that is hardest, and what is taken for what."""
        z, p, y = _predicted(model, data, rng)
        predicted = p.argmax(axis=1)
        counts = confusion_matrix(y, predicted, p.shape[1])
        of_class, right = counts.sum(axis=1), np.diag(counts)
        share = right.sum() / len(y)
        error = math.sqrt(share * (1 - share) / len(y))
        recalls = np.where(of_class, right / np.maximum(of_class, 1), 1)
        worst = int(recalls.argmin())
        wrong = counts - np.diag(right)
        met, taken = np.unravel_index(wrong.argmax(), wrong.shape)
        sure, names = p.max(axis=1) >= 0.9, data.classes
        return {
            "held-out samples": f"{len(y)}",
            "accuracy": f"{100 * share:.2f} ± {100 * error:.2f} %",
            "−log p(y|x)": mean_and_error(model.nll(z, y)),
            f"accuracy of the {100 * sure.mean():.1f} % with confidence from 0.9": (
                f"{100 * (predicted == y)[sure].mean():.2f} %" if sure.any() else "–"
            ),
            "the hardest class": f"{names[worst]}: {right[worst]} of {of_class[worst]} recognised",
            "most often confused": (
                f"{names[met]} taken for {names[taken]}: {wrong[met, taken]} of {of_class[met]}"
                if wrong.any()
                else "none"
            ),
        }

    def draw(
        self,
        model: Classifier,
        data: Data,
        settings: Mapping[str, Any],
        history: History,
        rng: Generator,
    ) -> Iterator[tuple[str, Axes]]:
        """Costs and accuracy over the epochs, who is taken for whom, the surest mistakes."""
        for name, unit in (("curves", self.unit), ("accuracy", "share of samples")):
            curves = {
                curve: values
                for curve, values in history.curves().items()
                if ("accuracy" in curve) == (name == "accuracy")
            }
            if curves:
                first = history[0].number
                yield name, plotting.learning_curves(curves, ylabel=unit, first_epoch=first)
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


class FFNNRecipe(ClassifierRecipe):
    """The fully connected network of ``models.feed_forward.dense``."""

    title = "feed-forward classifier"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Sizes and activation beside what all have."""
        parser.add_argument("--hidden", type=int, nargs="*", help="units of each hidden layer")
        parser.add_argument("--activation", choices=list(ACTIVATIONS))
        super().add_options(parser)

    def settings(self, data: str, lecture: bool) -> dict[str, Any]:
        """One hidden layer of 100 units; the notes' is sigmoid, with a constant rate."""
        shared = {**super().settings(data, lecture), "hidden": [100], "batch_size": 64}
        if lecture:
            return {**shared, "activation": "sigmoid", "schedule": "constant", "epochs": 20}
        epochs, lr = (60, 3e-3) if data == "digits" else (15, 1e-3)
        schedule = {"lr": lr, "schedule": f"cosine:{epochs}", "epochs": epochs}
        return {**shared, **schedule, "activation": "relu"}

    def network(
        self, settings: Mapping[str, Any], shape: tuple[int, ...], n_out: int, rng: Generator
    ) -> Network:
        """Layer after layer."""
        return dense(shape, n_out, rng, settings["hidden"], settings["activation"])


class CNNRecipe(ClassifierRecipe):
    """The network of ``models.feed_forward.convolutional``."""

    title = "convolutional classifier"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Channels, units and dropout beside what all have."""
        parser.add_argument("--channels", type=int, nargs="*", help="of each convolution")
        parser.add_argument("--hidden", type=int, help="units between the images and the classes")
        parser.add_argument("--dropout", type=float, help="share of these units that is dropped")
        super().add_options(parser)

    def settings(self, data: str, lecture: bool) -> dict[str, Any]:
        """Two convolutions with pooling, of 32 and 64 channels."""
        epochs = 30 if data == "digits" and not lecture else 8
        return {
            **super().settings(data, lecture),
            "channels": [32, 64],
            "hidden": 128,
            "dropout": 0.5,
            "batch_size": 64,
            "schedule": f"cosine:{epochs}",
            "epochs": epochs,
        }

    def network(
        self, settings: Mapping[str, Any], shape: tuple[int, ...], n_out: int, rng: Generator
    ) -> Network:
        """Convolutions, pooling, two maps."""
        return convolutional(
            shape, n_out, rng, settings["channels"], settings["hidden"], settings["dropout"]
        )


def schedule_of(text: str) -> schedules.Schedule:
    """The schedule ``name:number,number`` stands for, as in ``cosine:10``."""
    name, _, numbers = text.partition(":")
    try:
        schedule: schedules.Schedule = SCHEDULES[name](
            *map(float, numbers.split(",") * bool(numbers))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"schedule is one of {', '.join(SCHEDULES)}, with its numbers as in step:10,0.5, got "
            f"{text!r}: {error}"
        ) from None
    return schedule


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
    if data.train_labels is None or data.test_labels is None:
        raise ValueError(
            "a classifier needs labels: save them beside the images, "
            "numpy.savez(path, images=…, labels=…)"
        )
    return data.train_labels, data.test_labels


def _predicted(model: Classifier, data: Data, rng: Generator) -> tuple[Array, Array, Array]:
    """The outputs and the probabilities of the held-out samples, and their labels; on the host."""
    _, y = _labels(data)
    z = in_parts(model.outputs, data.test, rng)
    return z, model.probabilities(z), y
