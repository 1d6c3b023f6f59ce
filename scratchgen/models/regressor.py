r"""The feed-forward regressor: m real numbers y for each x, with the squared error.

The network gives the mean of p(y|x) = N(y; μ(x), I), so that, less a constant,

    −log p(y|x) = ½ Σⱼ (μⱼ(x) − yⱼ)²,

the cost of the notes, with δ = μ − y at the outputs. A universal approximator: one hidden layer
that is wide enough comes as near to any continuous function on a bounded set as one likes.

Source: the notes, "First network example, simple perceptron with one input" and "Universal
approximation theorem"; Cybenko 1989; Hornik 1991.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import operations as ops
from ..backend import Array, to_device, to_host
from ..datasets.split import intervals
from .estimator import Estimator
from .feed_forward import FeedForward


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


class FeedForwardRegressor(Estimator):
    """A :class:`Regressor` as scikit-learn's users know one: y (n,) or (n, m), X as rows.

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
        targets = self._given_targets(y)
        if targets.dtype.kind == "O":
            try:
                targets = targets.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise ValueError(f"y holds objects that are no real numbers: {error}") from None
        if targets.dtype.kind not in "biuf" or targets.ndim not in (1, 2):
            raise ValueError(
                f"y is real numbers of shape (n,) or (n, m), got {targets.dtype} of shape "
                f"{targets.shape}"
            )
        return targets.astype(np.float32, copy=False)

    def _strata(self, y: Array) -> Array:
        return intervals(y if y.ndim == 1 else y[:, 0], self.validation_fraction)

    def _model(self, network: Any) -> Regressor:
        return Regressor(network, self.l1, self.l2)

    def _score_of(self, x: Array, y: Array) -> float:
        return float(to_host(self.model_.r_squared(x, y)))

    def predict(self, X: Any) -> Array:
        """The mean of y for each sample, in the shape of the targets of ``fit``.

        It is float32 if these were, else float64; the network computes in float32.
        """
        x = to_device(self._samples_as_fitted(X), self.device)
        mean = to_host(self.model_.predict(x)).reshape(-1, *self._target_shape)
        return mean.astype(self._target_dtype, copy=False)
