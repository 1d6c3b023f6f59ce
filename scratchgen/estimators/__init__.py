"""Models as scikit-learn's users know them: settings, then ``fit`` and ``predict``."""

from .feed_forward import FeedForwardClassifier, FeedForwardRegressor
from .rbm import RBMFeatures

__all__ = ["FeedForwardClassifier", "FeedForwardRegressor", "RBMFeatures"]
