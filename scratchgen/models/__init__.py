"""Models, from classifiers to generative ones: each file reads like its section of the notes."""

from . import (
    classifier,
    ddpm,
    energy,
    estimator,
    feed_forward,
    gan,
    linear,
    rbm,
    rbm_features,
    regressor,
    unet,
    vae,
)
from .classifier import Classifier, FeedForwardClassifier
from .ddpm import DDPM
from .diffusion.score import ScoreModel
from .energy import EnergyModel
from .gan import GAN
from .rbm import RBM
from .rbm_features import RBMFeatures
from .regressor import FeedForwardRegressor, Regressor
from .unet import PlainDenoiser, UNet
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
    "energy",
    "estimator",
    "feed_forward",
    "gan",
    "linear",
    "rbm",
    "rbm_features",
    "regressor",
    "unet",
    "vae",
]
