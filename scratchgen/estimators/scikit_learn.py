"""The interface that scikit-learn expects of an estimator, without importing scikit-learn.

An estimator stores its settings unchanged, so that ``get_params`` returns them and ``set_params``
changes them. ``clone``, ``Pipeline``, ``GridSearchCV`` and ``cross_val_score`` need no more. Names
of learned attributes end with an underscore.
"""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..backend import Array, to_host

E = TypeVar("E", bound="ScikitLearnEstimator")


class ScikitLearnEstimator:
    """A constructor that only stores its arguments, under their own names.

    A subclass learns in ``fit``, which sets ``history_`` at its end. ``fit`` also sets
    ``n_features_in_`` and, for a table with named columns, ``feature_names_in_``.
    """

    precision: ClassVar[Any] = np.float32
    """The dtype of the samples that the model computes with."""
    n_features_in_: int
    feature_names_in_: Array

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name, unchanged; ``deep`` has no effect, as no setting has its own."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self: E, **settings: Any) -> E:
        """Change settings for the next ``fit``; ``ValueError`` for unknown names."""
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
        """Whether ``fit`` has finished."""
        return hasattr(self, "history_")

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = {k: v for k, v in self.get_params().items() if v is not defaults[k].default}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def _samples_to_fit(self, X: Any) -> Array:
        """Return the samples as floats; keep their shape and column names for later checks."""
        x, names = samples(X, self.precision), _column_names(X)
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
        """Return the samples as floats, checked against the shape and columns of ``fit``."""
        if not hasattr(self, "_shape"):
            self._check_fitted()
        self._check_column_names(_column_names(X))
        x = samples(X, self.precision)
        if x.shape[1:] != self._shape:
            n = math.prod(x.shape[1:])
            raise ValueError(
                f"X has {n} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input: one sample has shape {x.shape[1:]} "
                f"here, and had {self._shape} in fit"
            )
        return x

    def _check_column_names(self, names: Array | None) -> None:
        """Compare column names with those of ``fit``; the messages are those of scikit-learn."""
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
        """Raise scikit-learn's own error if it is imported; that is a ``ValueError`` too."""
        if not self.__sklearn_is_fitted__():
            raise _class_of_scikit_learn("NotFittedError", ValueError)(
                f"this {type(self).__name__} is not fitted: call fit first"
            )


def samples(X: Any, precision: Any = np.float32) -> Array:
    """Return samples, (n, …), finite, in this precision, on the host.

    Raises ``ValueError``, or ``TypeError`` for anything but an array of numbers.
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
        x = x.astype(precision, order="C", copy=False)
    if not np.isfinite(x).all():
        raise ValueError(
            f"X contains {np.count_nonzero(~np.isfinite(x))} numbers that are NaN or infinity as "
            f"{x.dtype}: remove, replace or scale them"
        )
    return x


def plain_array(name: str, given: Any) -> Array:
    """Return an array, or the array of a list or table, on the host.

    Raises ``TypeError`` for a sparse matrix, by name, and for types that ``to_host`` refuses.
    """
    if hasattr(type(given), "tocsr"):
        raise TypeError(
            f"sparse input is not supported: {name}.toarray() makes an array of all "
            f"{math.prod(given.shape):,} numbers"
        )
    return to_host(given)


def real_targets(kind: str, y: Any) -> Array:
    """Return real targets as float64, (n,) or (n, m), on the host; ``ValueError`` for others."""
    if y is None:
        raise ValueError(
            f"{kind} requires y to be passed, but the target y is None: give one target for each "
            "sample"
        )
    targets = plain_array("y", y)
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
    targets = targets.astype(np.float64)
    if not np.isfinite(targets).all():
        raise ValueError("y contains NaN or infinity: remove these samples, or replace them")
    return targets


def column_as_vector(kind: str, y: Array) -> Array:
    """Reshape y from (n, 1) to (n,), with the warning that scikit-learn gives."""
    if y.ndim != 2 or y.shape[1] != 1:
        return y
    warnings.warn(
        f"A column-vector y was passed when a 1d array was expected by {kind}: take y.ravel()",
        _class_of_scikit_learn("DataConversionWarning", UserWarning),
        stacklevel=4,
    )
    return y[:, 0]


def _column_names(X: Any) -> Array | None:
    """The names of the columns of a table, if it has any and all of them are strings."""
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
    """An exception or warning class of scikit-learn if that is imported, else ``otherwise``."""
    return getattr(sys.modules.get("sklearn.exceptions"), name, otherwise)
