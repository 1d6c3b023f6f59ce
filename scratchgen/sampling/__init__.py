"""Sampling from what is known up to a factor: chains, and the factor itself, summed or annealed."""

from ..distributions import bernoulli
from .annealing import annealed_importance_sampling, far_apart, log_mean_and_error, weigh_path
from .enumeration import all_states, log_sum_over_states
from .gibbs import block_gibbs
from .langevin import langevin, mala, tempered_langevin
from .tempering import parallel_tempering

__all__ = [
    "all_states",
    "annealed_importance_sampling",
    "bernoulli",
    "block_gibbs",
    "far_apart",
    "langevin",
    "log_mean_and_error",
    "log_sum_over_states",
    "mala",
    "parallel_tempering",
    "tempered_langevin",
    "weigh_path",
]
