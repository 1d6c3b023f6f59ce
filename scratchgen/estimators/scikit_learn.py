"""What scikit-learn asks of an estimator, which is not imported unless it is at work.

An estimator keeps its settings as they were given, so that ``get_params`` gives them back and
``set_params`` changes them: that is all that ``clone``, ``Pipeline``, ``GridSearchCV`` and
``cross_val_score`` need. What is learned has a name that ends with an underscore.
"""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from typing import Any, TypeVar

import numpy as np

from ..backend import Array, to_host

E = TypeVar("E", bound="ScikitLearnEstimator")


class ScikitLearnEstimator:
    """Settings in the constructor, under the names of its arguments, and nothing else done there.

    A subclass learns in ``fit``, which sets ``history_`` at its end. The samples that it was fitted
    on leave ``n_features_in_`` and, where they are a table whose columns have names, these as
    ``feature_names_in_``.
    """

    n_features_in_: int
    feature_names_in_: Array

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name, as they were given; ``deep`` changes nothing, none has its own."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self: E, **settings: Any) -> E:
        """Change settings; they hold from the next ``fit``. ``ValueError`` for unknown names."""
        known = self.get_params()
        unknown = settings.keys() - known.keys()
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no setting {', '.join(sorted(unknown))}: it has "
                f"{', '.join(known)}"
            )
        for name, value in settings.items():
            setattr(self, name, value)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether ``fit`` has come to its end."""
        return hasattr(self, "history_")

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = {k: v for k, v in self.get_params().items() if v is not defaults[k].default}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def _samples_to_fit(self, X: Any) -> Array:
        """Samples as float32, and what later ones are held against."""
        x, names = samples(X), _column_names(X)
        for what, n in (("sample", len(x)), ("feature", math.prod(x.shape[1:]))):
            if n == 0:
                raise ValueError(
                    f"Found array with 0 {what}(s) (shape={x.shape}) while a minimum of 1 is "
                    f"required by {type(self).__name__}"
                )
        self._shape, self.n_features_in_ = x.shape[1:], math.prod(x.shape[1:])
        vars(self).pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = names
        return x

    def _samples_as_fitted(self, X: Any) -> Array:
        """Samples of the columns and of the shape that was trained on, as float32."""
        if not hasattr(self, "_shape"):
            self._check_fitted()
        self._check_column_names(_column_names(X))
        x = samples(X)
        if x.shape[1:] != self._shape:
            n = math.prod(x.shape[1:])
            raise ValueError(
                f"X has {n} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input: one sample has shape {x.shape[1:]} "
                f"here, and had {self._shape} in fit"
            )
        return x

    def _check_column_names(self, names: Array | None) -> None:
        """Hold the names of columns against those of ``fit``, in scikit-learn's words."""
        fitted, kind = getattr(self, "feature_names_in_", None), type(self).__name__
        if fitted is None or names is None:
            if names is not None:
                warnings.warn(
                    f"X has feature names, but {kind} was fitted without feature names",
                    stacklevel=4,
                )
            elif fitted is not None:
                warnings.warn(
                    f"X does not have valid feature names, but {kind} was fitted with feature "
                    "names",
                    stacklevel=4,
                )
            return
        if names.tolist() == fitted.tolist():
            return
        unseen, missing = sorted({*names} - {*fitted}), sorted({*fitted} - {*names})
        message = "The feature names should match those that were passed during fit.\n"
        for what, which in (
            ("Feature names unseen at fit time:\n", unseen),
            ("Feature names seen at fit time, yet now missing:\n", missing),
        ):
            if which:
                message += what + "".join(f"- {name}\n" for name in which[:5])
                message += "- ...\n" if len(which) > 5 else ""
        if not (unseen or missing):
            message += "Feature names must be in the same order as they were in fit.\n"
        raise ValueError(message)

    def _check_fitted(self) -> None:
        """Raise scikit-learn's own error where it is at work, which is a ``ValueError`` too."""
        if not self.__sklearn_is_fitted__():
            raise _class_of_scikit_learn("NotFittedError", ValueError)(
                f"this {type(self).__name__} is not fitted: call fit first"
            )


def samples(X: Any) -> Array:
    """Samples as float32, (n, …), finite; on the host.

    Raises ``ValueError``, or ``TypeError`` for what is no array of numbers.
    """
    x = plain_array("X", X)
    if x.dtype.kind == "O":
        try:
            x = x.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise type(error)(f"X holds objects that are no real numbers: {error}") from None
    if x.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: X is {x.dtype}, expected real numbers, such as X.real "
            "beside X.imag"
        )
    if x.dtype.kind not in "biuf":
        raise ValueError(f"X is real numbers, got {x.dtype}: make numbers of what it holds first")
    if x.ndim < 2:
        raise ValueError(
            f"X is of shape (n, features), or (n, …), got shape {x.shape}. Reshape your data: "
            "X.reshape(-1, 1) makes samples of one feature each, X.reshape(1, -1) makes one sample"
        )
    with np.errstate(over="ignore"):
        x = x.astype(np.float32, order="C", copy=False)
    if not np.isfinite(x).all():
        raise ValueError(
            f"X contains {np.count_nonzero(~np.isfinite(x))} numbers that are NaN or infinity as "
            "float32: remove, replace or scale them"
        )
    return x


def plain_array(name: str, given: Any) -> Array:
    """The array that was given, or that a list or table makes, on the host.

    Raises ``TypeError`` for a sparse one, by name, and for what ``to_host`` does not take.
    """
    if hasattr(type(given), "tocsr"):
        raise TypeError(
            f"sparse input is not supported: {name}.toarray() makes an array of all "
            f"{math.prod(given.shape):,} numbers"
        )
    return to_host(given)


def column_as_vector(kind: str, y: Array) -> Array:
    """y of shape (n,) out of (n, 1), with the warning that scikit-learn gives."""
    if y.ndim != 2 or y.shape[1] != 1:
        return y
    warnings.warn(
        f"A column-vector y was passed when a 1d array was expected by {kind}: take y.ravel()",
        _class_of_scikit_learn("DataConversionWarning", UserWarning),
        stacklevel=4,
    )
    return y[:, 0]


def _column_names(X: Any) -> Array | None:
    """The names of the columns of a table, if it has any and all are strings."""
    names = list(getattr(X, "columns", ()))
    kinds = sorted({type(name).__name__ for name in names})
    if len(kinds) > 1 and "str" in kinds:
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your "
            f"input has {kinds} as feature name / column name types: take "
            "X.columns = X.columns.astype(str), or leave the names out"
        )
    return np.array(names, dtype=object) if kinds == ["str"] else None


def _class_of_scikit_learn(name: str, otherwise: Any) -> Any:
    """An exception of scikit-learn where it is at work, which it is not everywhere."""
    return getattr(sys.modules.get("sklearn.exceptions"), name, otherwise)
