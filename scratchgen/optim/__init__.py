"""Optimizers: the updates of the ``torch.optim`` classes of these names, to rounding."""

from . import schedules
from .first_order import SGD, AdaGrad, Adam, AdamW, RMSprop
from .lbfgs import LBFGS
from .optimizer import Optimizer

__all__ = ["LBFGS", "SGD", "AdaGrad", "Adam", "AdamW", "Optimizer", "RMSprop", "schedules"]
