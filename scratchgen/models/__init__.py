"""Models, from classifiers to generative ones: each file reads like its section of the notes."""

from . import (
    classifier,
    diffusion,
    energy,
    estimator,
    feed_forward,
    gan,
    linear,
    rbm,
    rbm_features,
    regressor,
    vae,
)
from .classifier import Classifier, FeedForwardClassifier
from .diffusion import ddpm
from .diffusion.ddpm import DDPM
from .diffusion.denoisers import PlainDenoiser, UNet
from .diffusion.score import ScoreModel
from .energy import EnergyModel
from .gan import GAN
from .rbm import RBM
from .rbm_features import RBMFeatures
from .regressor import FeedForwardRegressor, Regressor
from .vae import VAE

__all__ = [
    "DDPM",
    "GAN",
    "RBM",
    "VAE",
    "Classifier",
    "EnergyModel",
    "FeedForwardClassifier",
    "FeedForwardRegressor",
    "PlainDenoiser",
    "RBMFeatures",
    "Regressor",
    "ScoreModel",
    "UNet",
    "classifier",
    "ddpm",
    "diffusion",
    "energy",
    "estimator",
    "feed_forward",
    "gan",
    "linear",
    "rbm",
    "rbm_features",
    "regressor",
    "vae",
]
