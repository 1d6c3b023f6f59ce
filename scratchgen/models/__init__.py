"""Models, from classifiers to generative ones: each file reads like its section of the notes."""

from . import classifier, estimator, feed_forward, gan, regressor, vae
from .classifier import Classifier, FeedForwardClassifier
from .gan import GAN
from .regressor import FeedForwardRegressor, Regressor
from .vae import VAE

__all__ = [
    "GAN",
    "VAE",
    "Classifier",
    "FeedForwardClassifier",
    "FeedForwardRegressor",
    "Regressor",
    "classifier",
    "estimator",
    "feed_forward",
    "gan",
    "regressor",
    "vae",
]
