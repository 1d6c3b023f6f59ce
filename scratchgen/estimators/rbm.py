"""The hidden units of an RBM as features of samples, P(h = 1|v), for scikit-learn's pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from .. import optim
from ..backend import Array, generator, to_device, to_host
from ..distributions import FAMILIES, Bernoulli
from ..history import History
from ..models.rbm import FOR_ANY_SCALE, RBM
from ..training import train
from .scikit_learn import ScikitLearnEstimator


class RBMFeatures(ScikitLearnEstimator):
    """``transform(X)``: P(h = 1|v), (n, n_hidden), of the samples X: (n, …), after ``fit(X)``.

    The settings are those of ``RBM``, ``optim.SGD``, ``train`` and ``generator``; the default of
    ``lr`` is that of ``RBM.default_optimizers``. The visible biases start at those of the data.
    Gaussian units have σ = ½, and receive standardised data. ``fit`` sets ``model_``, ``history_``,
    ``n_features_in_``, and for a table ``feature_names_in_``.
    """

    model_: RBM
    history_: History

    def __init__(
        self,
        n_hidden: int = 256,
        *,
        visible: Literal["bernoulli", "gaussian", "spin"] = "bernoulli",
        k: int = 1,
        persistent: bool = True,
        n_chains: int = 50,
        lr: float | None = None,
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
        """Train on samples X; targets are ignored. ``ValueError`` for unsuitable samples."""
        x, rng = self._samples_to_fit(X), generator(self.seed, self.device)
        model = RBM(
            self.n_features_in_,
            self.n_hidden,
            rng=rng,
            visible=self.visible,
            k=self.k,
            persistent=self.persistent,
            n_chains=self.n_chains,
            **FOR_ANY_SCALE.get(self.visible, {}),
        )
        model.start_at(to_device(x, rng))
        lr = model.default_optimizers()[0].lr if self.lr is None else self.lr
        sgd = optim.SGD(model.parameters(), lr, self.momentum, weight_decay=self.weight_decay)
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
        self.model_, self.history_ = model, history
        return self

    def transform(self, X: Any) -> Array:
        """P(h = 1|v), (n, n_hidden), on the host; every call gives the same result."""
        x = self._samples_as_fitted(X)
        return to_host(self.model_.transform(to_device(x, self.device)))

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Train on the samples, and return their features."""
        return self.fit(X).transform(X)

    @property
    def score_samples(self) -> Callable[[Any], Array]:
        """``score_samples(X)``: ``RBM.pseudo_log_likelihood`` of each sample, (n,) nats.

        Every call gives the same result. ``AttributeError`` for Gaussian units, which have no
        pseudo-likelihood here.
        """
        self._check_scores()
        return self._score_samples

    @property
    def score(self) -> Callable[..., float]:
        """``score(X)``: the mean of ``score_samples(X)``, for the search of settings."""
        self._check_scores()
        return lambda X, y=None: float(self._score_samples(X).mean())

    def _check_scores(self) -> None:
        if not FAMILIES.get(self.visible, Bernoulli).discrete:
            raise AttributeError(
                "RBMFeatures of Gaussian units have no score, since the pseudo-likelihood is that "
                "of Bernoulli units: score what is built upon the features"
            )

    def _score_samples(self, X: Any) -> Array:
        x = self._samples_as_fitted(X)
        return to_host(self.model_.score_samples(to_device(x, self.device)))

    def __sklearn_tags__(self) -> Any:
        """The tags that tell scikit-learn the kind of estimator; only scikit-learn calls this."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float32"]),
            input_tags=InputTags(two_d_array=True, three_d_array=True),
        )
