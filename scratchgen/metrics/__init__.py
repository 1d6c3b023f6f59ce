"""The distance between two distributions: from their probabilities, or from samples of both."""

from .divergence import jensen_shannon, kl_divergence
from .mmd import (
    AgainstFloor,
    against_floor,
    mean_bandwidth,
    median_bandwidth,
    mmd2_biased,
    mmd2_unbiased,
)

__all__ = [
    "AgainstFloor",
    "against_floor",
    "jensen_shannon",
    "kl_divergence",
    "mean_bandwidth",
    "median_bandwidth",
    "mmd2_biased",
    "mmd2_unbiased",
]
