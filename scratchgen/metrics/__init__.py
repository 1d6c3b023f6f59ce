"""The distance between two distributions: from their probabilities, or from samples of both."""

from .divergence import jensen_shannon, kl_divergence
from .mmd import (
    AgainstFloor,
    PermutationTest,
    against_floor,
    mean_bandwidth,
    median_bandwidth,
    mmd2_biased,
    mmd2_unbiased,
    permutation_test,
)
from .neighbours import Neighbourhoods, precision_recall_density_coverage

__all__ = [
    "AgainstFloor",
    "Neighbourhoods",
    "PermutationTest",
    "against_floor",
    "jensen_shannon",
    "kl_divergence",
    "mean_bandwidth",
    "median_bandwidth",
    "mmd2_biased",
    "mmd2_unbiased",
    "permutation_test",
    "precision_recall_density_coverage",
]
