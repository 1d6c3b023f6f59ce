"""scratchgen."""

from . import operations
from .autodiff import Tensor, backward_sweep, differentiable, grad, gradient, value_and_grad
