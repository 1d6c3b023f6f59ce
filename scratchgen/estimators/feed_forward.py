"""Classifiers and regressors with the interface of scikit-learn: ``fit``, ``predict``, ``score``.

They train through ``train`` like all models. The body of the loop sets the learning rate, scores
the held-out samples, and stops early.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from .. import nn
from ..backend import Array, Generator, generator, to_device, to_host
from ..datasets.split import intervals, split
from ..history import History
from ..models.feed_forward import Classifier, FeedForward, Regressor, dense
from ..optim import Optimizer
from ..optim.by_name import build_optimizer
from ..optim.schedules import Schedule
from ..stopping import Patience
from ..training import train
from .scikit_learn import ScikitLearnEstimator, column_as_vector, plain_array, real_targets

E = TypeVar("E", bound="Estimator")

SORTED: Final = "biufUSmM"
"""The kinds of NumPy dtypes whose values can be labels: numbers, strings, dates."""


class Estimator(ScikitLearnEstimator):
    """A feed-forward network with ``fit(X, y)``, ``predict(X)``, ``score(X, y)``.

    ``X``: (n, …) numbers, ``y``: one target per sample. The settings:

    - ``hidden``, ``activation``: the hidden layers of ``models.feed_forward.dense``, and the name
      of their activation function, or one name for each; or ``network``, a function that builds
      another network from the shape of a sample, the number of outputs and ``rng``, such as
      ``models.feed_forward.convolutional``.
    - ``optimizer``: a name of ``optim.by_name.OPTIMIZERS``, or a function of the parameters;
      ``lr``: its learning rate, by default its own; ``schedule``: a function of t (see
      ``optim.schedules``) that multiplies the learning rate after t epochs.
    - ``l1``, ``l2``: l1 Σ |W| + ½ l2 Σ W² is added to the mean of −log p(y|x).
    - ``epochs``, ``batch_size``: by default batches of 64, or all samples at once for L-BFGS.
    - ``early_stopping``: hold out ``validation_fraction`` of the samples, spread evenly over the
      targets; stop when their cost has not fallen for ``patience`` epochs; keep the weights of the
      lowest cost.
    - ``seed`` of weights, order and noise, and ``device``: as for ``scratchgen.generator``.

    ``fit`` sets ``model_``, ``history_`` (with the validation cost and score of each epoch, if
    there are validation samples), ``best_epoch_``, ``n_features_in_``, and for a table
    ``feature_names_in_``.
    """

    kind: str
    monitored: str
    model_: Any
    history_: History

    def __init__(
        self,
        hidden: Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        network: Callable[[tuple[int, ...], int, Generator], nn.Network] | None = None,
        optimizer: str | Callable[..., Optimizer] = "adam",
        lr: float | None = None,
        schedule: Schedule | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        epochs: int = 100,
        batch_size: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        seed: int | None = 0,
        device: str = "cpu",
    ) -> None:
        self.hidden, self.activation, self.network = hidden, activation, network
        self.optimizer, self.lr, self.schedule = optimizer, lr, schedule
        self.l1, self.l2 = l1, l2
        self.epochs, self.batch_size = epochs, batch_size
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.patience, self.seed, self.device = patience, seed, device

    # Methods that differ between a classifier and a regressor

    def _given_targets(self, y: Any) -> Array:
        """Return the targets as an array, otherwise unchanged."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                "one target for each sample"
            )
        return plain_array("y", y)

    def _learn_targets(self, y: Any) -> tuple[Array, int]:
        """Return the targets in the form of the model, and the number of outputs they need."""
        raise NotImplementedError

    def _targets(self, y: Any) -> Array:
        """Convert more targets of the kind that ``fit`` was given."""
        raise NotImplementedError

    def _strata(self, y: Array) -> Array:
        """Return equal numbers for similar targets; each part of a split gets its share of them."""
        raise NotImplementedError

    def _model(self, network: nn.Network) -> FeedForward:
        raise NotImplementedError

    def _score_of(self, x: Array, y: Array) -> float:
        """Return the score of the fitted model, 1 at best."""
        raise NotImplementedError

    # Training

    def fit(self: E, X: Any, y: Any, validation: tuple[Any, Any] | None = None) -> E:
        """Train on samples X and targets y; score ``validation``, another (X, y), after each epoch.

        Raises ``ValueError`` for settings, samples or targets that are unsuitable for training.
        """
        x = self._samples_to_fit(X)
        targets, n_out = self._learn_targets(y)
        if len(x) != len(targets):
            raise ValueError(f"{len(x)} samples X, but {len(targets)} targets y: one for each")
        rng = generator(self.seed, self.device)
        held_out = None
        if validation is not None:
            held_out = self._samples_as_fitted(validation[0]), self._targets(validation[1])
        elif self.early_stopping:
            kept, chosen = self._split(targets, rng)
            held_out = x[chosen], targets[chosen]
            x, targets = x[kept], targets[kept]
        build = self.network or self._dense
        self.model_ = self._model(build(x.shape[1:], n_out, rng))
        optimizer = build_optimizer(self.optimizer, self.model_.parameters(), self.lr)
        self.history_ = self._train(x, targets, held_out, optimizer, rng)
        return self

    def _dense(self, shape: tuple[int, ...], n_out: int, rng: Generator) -> nn.Network:
        return dense(shape, n_out, rng, self.hidden, self.activation)

    def _train(
        self,
        x: Array,
        y: Array,
        held_out: tuple[Array, Array] | None,
        optimizer: Optimizer,
        rng: Generator,
    ) -> History:
        if held_out:
            held_out = to_device(held_out[0], rng), to_device(held_out[1], rng)
        patience = Patience(self.patience)
        batch_size = self.batch_size
        if batch_size is None:
            batch_size = len(x) if optimizer.searches else 64
        history, lr = History(), optimizer.lr
        if self.schedule:
            optimizer.lr = lr * self.schedule(0)
        for epoch in train(
            self.model_,
            (x, y),
            optimizer,
            epochs=self.epochs,
            batch_size=batch_size,
            rng=rng,
            history=history,
        ):
            if self.schedule:
                optimizer.lr = lr * self.schedule(epoch.number)
            if held_out:
                cost = float(to_host(self.model_.data_cost(*held_out)))
                epoch.report["validation cost"] = cost
                epoch.report[f"validation {self.monitored}"] = self._score_of(*held_out)
                if self.early_stopping:
                    patience.note(cost, self.model_)
                if patience.is_over:
                    break
        self.best_epoch_ = len(history)
        if patience.best_epoch:
            patience.restore(self.model_)
            self.best_epoch_ = patience.best_epoch
        return history

    def _split(self, y: Array, rng: Generator) -> tuple[Array, Array]:
        """Split the samples into training and held-out ones, in even shares of all targets."""
        n = round(self.validation_fraction * len(y))
        kept = chosen = np.arange(0)
        if 0 < n < len(y):
            kept, chosen = split(self._strata(y), self.validation_fraction, rng)
        if not len(chosen):
            raise ValueError(
                f"validation_fraction {self.validation_fraction} of {len(y)} samples is {n}, "
                "expected at least 1, with some left to train on, of a class of two or more"
            )
        return kept, chosen

    # Prediction

    def predict(self, X: Any) -> Array:
        """Return the prediction for each sample, on the host."""
        raise NotImplementedError

    def score(self, X: Any, y: Any) -> float:
        """Return the score of the predictions for X, given the targets y: 1 at best."""
        x, targets = self._samples_as_fitted(X), self._targets(y)
        if len(x) != len(targets):
            raise ValueError(f"{len(x)} samples X, but {len(targets)} targets y: one for each")
        return self._score_of(to_device(x, self.device), to_device(targets, self.device))

    def __sklearn_tags__(self) -> Any:
        """The tags that tell scikit-learn the kind of estimator; only scikit-learn calls this."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type=self.kind,
            target_tags=TargetTags(required=True, multi_output=self.kind == "regressor"),
            classifier_tags=ClassifierTags() if self.kind == "classifier" else None,
            regressor_tags=RegressorTags() if self.kind == "regressor" else None,
            input_tags=InputTags(two_d_array=True, three_d_array=True),
        )


class FeedForwardClassifier(Estimator):
    """A :class:`Classifier` with the interface of scikit-learn: labels of any kind, X as rows.

    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> xor = FeedForwardClassifier((8,), "tanh", lr=0.05, epochs=200)
    >>> xor.fit(X, ["even", "odd", "odd", "even"]).predict(X).tolist()
    ['even', 'odd', 'odd', 'even']
    """

    kind = "classifier"
    monitored = "accuracy"
    classes_: Array
    """The labels in the data of ``fit``, sorted; column k of ``predict_proba`` is for label k."""

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
        """Return the labels, (n,), of a kind that can be sorted."""
        if isinstance(y, (list, tuple)) and len({isinstance(label, str) for label in y}) > 1:
            y = np.array(y, dtype=object)  # NumPy would convert all labels to strings
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


class FeedForwardRegressor(Estimator):
    """A :class:`Regressor` with the interface of scikit-learn: y (n,) or (n, m), X as rows.

    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> parabola = FeedForwardRegressor((10,), "tanh", optimizer="lbfgs", epochs=200)
    >>> parabola.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.999
    True
    """

    kind = "regressor"
    monitored = "R²"

    def _learn_targets(self, y: Any) -> tuple[Array, int]:
        targets = self._targets(y)
        self._target_shape = targets.shape[1:]
        single = getattr(y, "dtype", None) == np.float32
        self._target_dtype = np.float32 if single else np.float64
        return targets, 1 if targets.ndim == 1 else targets.shape[1]

    def _targets(self, y: Any) -> Array:
        targets = real_targets(type(self).__name__, y)
        return targets.astype(np.float32, copy=False)

    def _strata(self, y: Array) -> Array:
        return intervals(y if y.ndim == 1 else y[:, 0], self.validation_fraction)

    def _model(self, network: Any) -> Regressor:
        return Regressor(network, self.l1, self.l2)

    def _score_of(self, x: Array, y: Array) -> float:
        return float(to_host(self.model_.r_squared(x, y)))

    def predict(self, X: Any) -> Array:
        """The mean of y for each sample, in the shape of the targets of ``fit``.

        It is float32 if those targets were, else float64; the network computes in float32.
        """
        x = to_device(self._samples_as_fitted(X), self.device)
        mean = to_host(self.model_.predict(x)).reshape(-1, *self._target_shape)
        return mean.astype(self._target_dtype, copy=False)


def _of_one_kind(labels: Array) -> Array:
    """Convert an array of objects to strings, to numbers, or to another kind of ``SORTED``."""
    if len({isinstance(label, str) for label in labels}) == 1:
        with contextlib.suppress(ValueError):  # raised for objects of different lengths
            array = np.array(labels.tolist())
            if array.dtype.kind in SORTED and array.ndim == 1:
                return array
    kinds = sorted({type(label).__name__ for label in labels.tolist()})
    raise ValueError(
        f"Unknown label type: y holds {', '.join(kinds)}, expected strings, or numbers, or dates: "
        "[str(label) for label in y] makes strings of all"
    )
