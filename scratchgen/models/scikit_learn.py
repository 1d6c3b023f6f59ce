"""What scikit-learn asks of an estimator, which is not imported unless it is at work.

An estimator keeps its settings as they were given, so that ``get_params`` gives them back and
``set_params`` changes them: that is all that ``clone``, ``Pipeline``, ``GridSearchCV`` and
``cross_val_score`` need. What is learned has a name that ends with an underscore.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any, TypeVar

import numpy as np

from ..backend import Array, to_host

E = TypeVar("E", bound="ScikitLearnEstimator")


class ScikitLearnEstimator:
    """Settings in the constructor, under the names of its arguments, and nothing else done there.

    A subclass learns in ``fit``, which sets ``history_`` at its end.
    """

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

    def _check_fitted(self) -> None:
        """Raise scikit-learn's own error where it is at work, which is a ``ValueError`` too."""
        if not self.__sklearn_is_fitted__():
            exceptions = sys.modules.get("sklearn.exceptions")
            error = ValueError if exceptions is None else exceptions.NotFittedError
            raise error(f"this {type(self).__name__} is not fitted: call fit first")


def samples(X: Any) -> Array:
    """Samples as float32, (n, …), finite; on the host."""
    x = to_host(X)
    if x.dtype.kind not in "biuf" or x.ndim < 2:
        raise ValueError(
            f"X is real numbers of shape (n, features), or (n, …), got {x.dtype} of shape "
            f"{x.shape}. Reshape your data: X.reshape(-1, 1) makes samples of one feature each"
        )
    with np.errstate(over="ignore"):
        x = x.astype(np.float32, copy=False)
    if not np.isfinite(x).all():
        raise ValueError(
            f"X contains {np.count_nonzero(~np.isfinite(x))} numbers that are NaN or infinity as "
            "float32: remove, replace or scale them"
        )
    return x
