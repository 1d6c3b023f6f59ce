"""Optimizers, with the updates of the ``torch.optim`` classes of the same names; ``schedules``."""

from . import schedules as schedules
from .averaging import WeightAverage
from .clipping import clip_grad_norm
from .first_order import SGD, AdaGrad, Adam, AdamW, RMSprop
from .lbfgs import LBFGS, WolfeLBFGS
from .optimizer import Optimizer

__all__ = [
    "LBFGS",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "WeightAverage",
    "WolfeLBFGS",
    "clip_grad_norm",
]
