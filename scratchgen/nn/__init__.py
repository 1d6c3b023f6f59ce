"""Networks that own their parameters, with the names and initial values of ``torch.nn``."""

from .activations import ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .convolution import Conv2d, Conv2dDirect, ConvTranspose2d, ConvTranspose2dDirect
from .layers import (
    AvgPool2d,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    LayerNorm,
    Linear,
    MaxPool2d,
    Reshape,
    Upsample,
)
from .network import Network, Sequential

__all__ = [
    "ELU",
    "GELU",
    "AvgPool2d",
    "Conv2d",
    "Conv2dDirect",
    "ConvTranspose2d",
    "ConvTranspose2dDirect",
    "Dropout",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Network",
    "ReLU",
    "Reshape",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Upsample",
]
