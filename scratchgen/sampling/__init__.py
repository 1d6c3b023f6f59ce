"""Sampling from what is known up to a factor: chains, and the factor itself by annealing."""

from ..distributions import bernoulli
from .annealing import annealed_importance_sampling, far_apart, log_mean_and_error
from .gibbs import block_gibbs
from .langevin import langevin, mala, tempered_langevin

__all__ = [
    "annealed_importance_sampling",
    "bernoulli",
    "block_gibbs",
    "far_apart",
    "langevin",
    "log_mean_and_error",
    "mala",
    "tempered_langevin",
]
