"""Models with the interface of scikit-learn: settings, then ``fit`` and ``predict``."""

from .feed_forward import FeedForwardClassifier, FeedForwardRegressor
from .linear import LassoRegressor, LinearRegressor, RidgeRegressor
from .rbm import RBMFeatures

__all__ = [
    "FeedForwardClassifier",
    "FeedForwardRegressor",
    "LassoRegressor",
    "LinearRegressor",
    "RBMFeatures",
    "RidgeRegressor",
]
