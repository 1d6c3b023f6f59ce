"""Models, from classifiers to generative ones: each file reads like its section of the notes."""

from . import classifier, ddpm, estimator, feed_forward, gan, rbm, regressor, unet, vae
from .classifier import Classifier, FeedForwardClassifier
from .ddpm import DDPM
from .gan import GAN
from .rbm import RBM
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
    "Regressor",
    "UNet",
    "classifier",
    "ddpm",
    "estimator",
    "feed_forward",
    "gan",
    "rbm",
    "regressor",
    "unet",
    "vae",
]
