r"""The feed-forward classifier: which of K classes, as a distribution p(y|x).

The network gives one number zₖ, a logit, for each class, and

    p(y = k|x) = exp(zₖ) / Σⱼ exp(zⱼ),      −log p(y|x) = log Σⱼ exp(zⱼ) − z_y,

the cross-entropy, with δₖ = p(k|x) − 1[k = y] at the outputs. Of two classes one logit is enough,
since only z₁ − z₀ = z counts: p(1|x) = 1 / (1 + e⁻ᶻ), −log p(y|x) = log(1 + eᶻ) − y z, the binary
cross-entropy. How many numbers the network gives says which it is. From zero weights either begins
at log K.

Source: the notes, "Feed-forward neural networks"; Goodfellow, Bengio, Courville 2016, 6.2.2.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any, Final

import numpy as np

from .. import operations as ops
from .. import optim
from ..autodiff import Tensor
from ..backend import Array, Generator, to_device, to_host
from ..nn import ranges
from . import audit
from .estimator import Estimator
from .feed_forward import FeedForward, dense
from .scikit_learn import column_as_vector

SORTED: Final = "biufUSmM"
"""The kinds of NumPy's dtypes whose values can be labels: numbers, strings, dates."""


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
                f"shape {y.shape}: FeedForwardClassifier takes labels of any kind"
            )
        low, high = int(to_host(y.min())), int(to_host(y.max()))
        if low < 0 or high >= n_classes:
            raise ValueError(
                f"the labels run from {low} to {high}, but a network of {outputs.shape[1]} outputs "
                f"knows the classes 0 to {n_classes - 1}"
            )


def confusion_matrix(y: Array, predicted: Array, n_classes: int) -> Array:
    """Row k counts as what the samples of class k were taken: (K, K), its sum is n."""
    counts = np.bincount(n_classes * y + predicted, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def lecture(rng: Generator) -> tuple[Classifier, list[optim.Optimizer]]:
    """The network of the notes at the size of MNIST: 784–100–10, σ(z) = 1/(1 + e⁻ᶻ), with Adam."""
    model = Classifier(dense((784,), 10, rng, hidden=(100,), activation="sigmoid"))
    return model, model.default_optimizers()


def _most_probable(outputs: Array) -> Array:
    if outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    return (outputs[:, 0] > 0).astype(np.int64)


class FeedForwardClassifier(Estimator):
    """A :class:`Classifier` as scikit-learn's users know one: labels of any kind, X as rows.

    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> xor = FeedForwardClassifier((8,), "tanh", lr=0.05, epochs=200)
    >>> xor.fit(X, ["even", "odd", "odd", "even"]).predict(X).tolist()
    ['even', 'odd', 'odd', 'even']
    """

    kind = "classifier"
    monitored = "accuracy"
    classes_: Array
    """The labels that were met, sorted: column k of ``predict_proba`` is that of the k-th."""

    def _learn_targets(self, y: Any) -> tuple[Array, int]:
        self.classes_, numbers = np.unique(self._given_targets(y), return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(
                f"y holds one class, {self.classes_.tolist()[0]!r}, expected at least 2: there is "
                "nothing to tell apart"
            )
        return numbers, len(self.classes_) if len(self.classes_) > 2 else 1

    def _targets(self, y: Any) -> Array:
        known = {label: number for number, label in enumerate(self.classes_.tolist())}
        labels = self._given_targets(y).tolist()
        unknown = [label for label in dict.fromkeys(labels) if label not in known]
        if unknown:
            raise ValueError(f"labels {unknown} were not met in fit: {list(known)}")
        return np.array([known[label] for label in labels], dtype=np.int64)

    def _given_targets(self, y: Any) -> Array:
        """Labels that can be sorted, (n,)."""
        if isinstance(y, (list, tuple)) and len({isinstance(label, str) for label in y}) > 1:
            y = np.array(y, dtype=object)  # NumPy would make strings of all
        labels = column_as_vector(type(self).__name__, super()._given_targets(y))
        if labels.ndim != 1:
            raise ValueError(f"y is one label for each sample, of shape (n,), got {labels.shape}")
        if labels.dtype.kind not in SORTED:
            labels = _of_one_kind(labels)
        if labels.dtype.kind == "f" and not (
            np.isfinite(labels).all() and (labels == np.floor(labels)).all()
        ):
            raise ValueError(
                "Unknown label type: y holds fractions, NaN or infinity, expected labels of "
                "classes: for real targets take FeedForwardRegressor"
            )
        return labels

    def _strata(self, y: Array) -> Array:
        return y

    def _model(self, network: Any) -> Classifier:
        return Classifier(network, self.l1, self.l2)

    def _score_of(self, x: Array, y: Array) -> float:
        return float(to_host(self.model_.accuracy(x, y)))

    def predict(self, X: Any) -> Array:
        """The most probable label of each sample."""
        x = to_device(self._samples_as_fitted(X), self.device)
        return self.classes_[to_host(self.model_.predict(x))]

    def predict_proba(self, X: Any) -> Array:
        """p(label|x), (n, K), with the labels in the order of ``classes_``."""
        x = to_device(self._samples_as_fitted(X), self.device)
        return to_host(self.model_.predict_proba(x))


def _of_one_kind(labels: Array) -> Array:
    """Objects as strings, or as numbers, or as what else of ``SORTED`` they are."""
    if len({isinstance(label, str) for label in labels}) == 1:
        with contextlib.suppress(ValueError):  # of objects of several lengths
            array = np.array(labels.tolist())
            if array.dtype.kind in SORTED and array.ndim == 1:
                return array
    kinds = sorted({type(label).__name__ for label in labels.tolist()})
    raise ValueError(
        f"Unknown label type: y holds {', '.join(kinds)}, expected strings, or numbers, or dates: "
        "[str(label) for label in y] makes strings of all"
    )
