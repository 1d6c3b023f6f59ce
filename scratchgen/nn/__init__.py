"""Networks that own their parameters, under the names and with the initial values of ``torch.nn``."""

from .activations import ELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .layers import Dropout, Flatten, Linear, Reshape
from .network import Network, Sequential

__all__ = [
    "Network",
    "Sequential",
    "Linear",
    "Dropout",
    "Flatten",
    "Reshape",
    "Sigmoid",
    "Tanh",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "Softplus",
    "SiLU",
    "Softmax",
]
