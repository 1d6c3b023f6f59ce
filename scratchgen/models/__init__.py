"""Models, from linear to generative ones: each file reads like its section of the notes.

Estimators with ``fit(X, y)`` are in ``scratchgen.estimators``; their old names here still work.
"""

import pkgutil
from typing import Any

from . import diffusion, energy, feed_forward, gan, linear, rbm, vae
from .diffusion import ddpm
from .diffusion.ddpm import DDPM
from .diffusion.denoisers import DenseDenoiser, PlainDenoiser, UNet
from .diffusion.score import ScoreModel
from .energy import EnergyModel
from .feed_forward import Classifier, Regressor
from .gan import GAN
from .rbm import RBM
from .vae import VAE

__all__ = [
    "DDPM",
    "GAN",
    "RBM",
    "VAE",
    "Classifier",
    "DenseDenoiser",
    "EnergyModel",
    "PlainDenoiser",
    "Regressor",
    "ScoreModel",
    "UNet",
    "ddpm",
    "diffusion",
    "energy",
    "feed_forward",
    "gan",
    "linear",
    "rbm",
    "vae",
]

_MOVED = {
    "classifier": "models.feed_forward",
    "regressor": "models.feed_forward",
    "estimator": "estimators.feed_forward",
    "rbm_features": "estimators.rbm",
    "unet": "models.diffusion.denoisers",
    "scikit_learn": "estimators.scikit_learn",
    "FeedForwardClassifier": "estimators.FeedForwardClassifier",
    "FeedForwardRegressor": "estimators.FeedForwardRegressor",
    "RBMFeatures": "estimators.RBMFeatures",
}
"""The places of modules and classes that were here once, by the names that they had."""


def __getattr__(name: str) -> Any:
    """What had this name. Estimators are on a floor above: they are imported once asked for."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return pkgutil.resolve_name(f"scratchgen.{_MOVED[name]}")
