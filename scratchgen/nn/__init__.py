"""Networks that own their parameters, with the names and initial values of ``torch.nn``."""

from .activations import ELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .layers import Dropout, Flatten, Linear, Reshape
from .network import Network, Sequential

__all__ = [
    "ELU",
    "Dropout",
    "Flatten",
    "LeakyReLU",
    "Linear",
    "Network",
    "ReLU",
    "Reshape",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]
