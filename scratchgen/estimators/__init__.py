"""Models with the interface of scikit-learn: settings, then ``fit`` and ``predict``."""

from .feed_forward import FeedForwardClassifier, FeedForwardRegressor
from .rbm import RBMFeatures

__all__ = ["FeedForwardClassifier", "FeedForwardRegressor", "RBMFeatures"]
