"""Models, from classifiers to generative ones: each file reads like its section of the notes."""

from . import (
    classifier,
    ddpm,
    estimator,
    feed_forward,
    gan,
    rbm,
    rbm_features,
    regressor,
    unet,
    vae,
)
from .classifier import Classifier, FeedForwardClassifier
from .ddpm import DDPM
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
    "FeedForwardClassifier",
    "FeedForwardRegressor",
    "PlainDenoiser",
    "RBMFeatures",
    "Regressor",
    "UNet",
    "classifier",
    "ddpm",
    "estimator",
    "feed_forward",
    "gan",
    "rbm",
    "rbm_features",
    "regressor",
    "unet",
    "vae",
]
