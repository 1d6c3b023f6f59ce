"""Linear models with the interface of scikit-learn: least squares, Ridge and Lasso.

They minimise the notes' costs, (1/n) ‖y − Xθ‖² + λ ‖θ‖²₂ or λ ‖θ‖₁. With ``fit_intercept`` the
means of X and y are removed first, so that the intercept is not penalised. The classes of
scikit-learn have other factors: its ``alpha`` is n λ for Ridge, and λ/2 for Lasso.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..backend import Array
from ..models import linear
from .scikit_learn import ScikitLearnEstimator, column_as_vector, real_targets


class LinearRegressor(ScikitLearnEstimator):
    """Ordinary least squares: the θ of least ‖y − Xθ‖², and of least ‖θ‖ if there are many.

    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> LinearRegressor().fit(X, [1.0, 3.0, 5.0]).predict([[10.0]]).round(6).tolist()
    [21.0]
    """

    precision: ClassVar[Any] = np.float64
    coef_: Array
    """θ, (features,) for targets (n,), and (m, features) for targets (n, m)."""
    intercept_: Any

    def __init__(self, fit_intercept: bool = True) -> None:
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any) -> Any:
        """Solve for θ; X is (n, features), or (n, …), and y is (n,) or (n, m)."""
        x = self._samples_to_fit(X).reshape(-1, self.n_features_in_)
        targets = column_as_vector(type(self).__name__, real_targets(type(self).__name__, y))
        if len(x) != len(targets):
            raise ValueError(f"{len(x)} samples X, but {len(targets)} targets y: one for each")
        columns = targets.reshape(len(targets), -1)
        means = (z.mean(axis=0) if self.fit_intercept else 0 * z[0] for z in (x, columns))
        of_x, of_y = means
        solved = np.array([self._solve(x - of_x, column) for column in (columns - of_y).T])
        offset = of_y - solved @ of_x
        single = targets.ndim == 1
        self.coef_, self.intercept_ = (solved[0], offset[0]) if single else (solved, offset)
        return self

    def _solve(self, X: Array, y: Array) -> Array:
        return linear.ols(X, y)

    def predict(self, X: Any) -> Array:
        """Xθ + the intercept, in the shape of the targets of ``fit``."""
        x = self._samples_as_fitted(X).reshape(-1, self.n_features_in_)
        predicted: Array = x @ self.coef_.T + self.intercept_
        return predicted

    def score(self, X: Any, y: Any) -> float:
        """R² = 1 − Σ (y − ŷ)²/Σ (y − ȳ)², the mean over the targets; 1 at best."""
        targets, predicted = real_targets(type(self).__name__, y), self.predict(X)
        if len(targets) != len(predicted):
            raise ValueError(
                f"{len(predicted)} samples X, but {len(targets)} targets y: one for each"
            )
        residual = ((targets - predicted.reshape(targets.shape)) ** 2).sum(axis=0)
        total = ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
        return float(np.mean(1 - residual / np.where(total > 0, total, 1)))

    def __sklearn_is_fitted__(self) -> bool:
        """Whether ``fit`` has finished."""
        return hasattr(self, "coef_")

    def __sklearn_tags__(self) -> Any:
        """The tags that tell scikit-learn the kind of estimator; only scikit-learn calls this."""
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True, multi_output=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(two_d_array=True, three_d_array=True),
        )


class RidgeRegressor(LinearRegressor):
    """(1/n) ‖y − Xθ‖² + λ ‖θ‖²₂, with λ = ``lam``: scikit-learn's ``Ridge(alpha=n * lam)``."""

    def __init__(self, lam: float = 1e-3, fit_intercept: bool = True) -> None:
        super().__init__(fit_intercept)
        self.lam = lam

    def _solve(self, X: Array, y: Array) -> Array:
        return linear.ridge(X, y, self.lam)


class LassoRegressor(LinearRegressor):
    """(1/n) ‖y − Xθ‖² + λ ‖θ‖₁, with λ = ``lam``: scikit-learn's ``Lasso(alpha=lam / 2)``."""

    def __init__(self, lam: float = 1e-3, fit_intercept: bool = True) -> None:
        super().__init__(fit_intercept)
        self.lam = lam

    def _solve(self, X: Array, y: Array) -> Array:
        return linear.lasso(X, y, self.lam)
