"""The hidden units of an RBM as features, for scikit-learn's pipelines: P(h = 1|v) of each sample.

Settings are kept as they were given, for ``get_params``, ``set_params`` and ``clone``; what is
learned has a name that ends with an underscore. scikit-learn itself is not needed.
"""

from __future__ import annotations

import inspect
import math
from typing import Any, Literal

import numpy as np

from .. import optim
from ..backend import Array, generator, to_device, to_host
from ..training import History, train
from .rbm import RBM


class RBMFeatures:
    """``transform(X)``: P(h = 1|v), (n, n_hidden), of the samples X: (n, …), after ``fit(X)``.

    The settings are those of ``RBM``, ``optim.SGD``, ``train`` and ``generator``. The visible
    biases begin at those of the data. After ``fit``: ``model_``, ``history_``, ``n_features_in_``.
    """

    model_: RBM
    history_: History

    def __init__(
        self,
        n_hidden: int = 256,
        *,
        visible: Literal["bernoulli", "gaussian"] = "bernoulli",
        k: int = 1,
        persistent: bool = True,
        n_chains: int = 50,
        lr: float = 0.1,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        epochs: int = 20,
        batch_size: int = 10,
        seed: int | None = 0,
        device: str = "cpu",
    ) -> None:
        self.n_hidden, self.visible = n_hidden, visible
        self.k, self.persistent, self.n_chains = k, persistent, n_chains
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.epochs, self.batch_size = epochs, batch_size
        self.seed, self.device = seed, device

    def fit(self, X: Any, y: Any = None) -> RBMFeatures:
        """Train on samples X; targets are not looked at. ``ValueError`` for what cannot be."""
        x, rng = _samples(X), generator(self.seed, self.device)
        model = RBM(
            math.prod(x.shape[1:]),
            self.n_hidden,
            rng=rng,
            visible=self.visible,
            k=self.k,
            persistent=self.persistent,
            n_chains=self.n_chains,
        )
        model.validate(x)
        model.start_at(to_device(x, rng))
        sgd = optim.SGD(model.parameters(), self.lr, self.momentum, weight_decay=self.weight_decay)
        history = History()
        for _ in train(
            model,
            x,
            sgd,
            epochs=self.epochs,
            batch_size=self.batch_size,
            rng=rng,
            history=history,
        ):
            pass
        self.model_, self.history_, self.n_features_in_ = model, history, model.n_visible
        return self

    def transform(self, X: Any) -> Array:
        """P(h = 1|v), (n, n_hidden), on the host: the same at every call."""
        model = self._fitted()
        return to_host(model.transform(to_device(_samples(X), self.device)))

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """The features of the samples that are trained on."""
        return self.fit(X).transform(X)

    def score_samples(self, X: Any) -> Array:
        """``RBM.pseudo_log_likelihood`` of each sample, (n,) nats: the same at every call."""
        model = self._fitted()
        return to_host(model.score_samples(to_device(_samples(X), self.device)))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of ``score_samples``: what a search over settings compares."""
        return float(self.score_samples(X).mean())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name, as they were given; ``deep`` changes nothing, none has its own."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **settings: Any) -> RBMFeatures:
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

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn, which alone asks, wants to know: what kind of estimator this is."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(two_d_array=True, three_d_array=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether ``fit`` has come to its end."""
        return hasattr(self, "model_")

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = {k: v for k, v in self.get_params().items() if v is not defaults[k].default}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def _fitted(self) -> RBM:
        if not self.__sklearn_is_fitted__():
            raise ValueError(f"this {type(self).__name__} is not fitted: call fit(X) first")
        return self.model_


def _samples(X: Any) -> Array:
    """Samples as float32, (n, …), finite."""
    x = to_host(X)
    if x.dtype.kind not in "biuf" or x.ndim < 2:
        raise ValueError(
            f"X is real numbers of shape (n, features), or (n, …), got {x.dtype} of shape {x.shape}"
        )
    with np.errstate(over="ignore"):
        x = x.astype(np.float32, copy=False)
    if not np.isfinite(x).all():
        raise ValueError(
            f"X contains {np.count_nonzero(~np.isfinite(x))} numbers that are NaN or infinity as "
            "float32: remove, replace or scale them"
        )
    return x
