"""Networks that own their parameters, with the names and initial values of ``torch.nn``."""

from typing import Any as _Any

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
    SpectralLinear,
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
    "SpectralLinear",
    "Tanh",
    "Upsample",
]

_STATISTICS = (
    "statistics of a batch would make each sample depend on the others, and training differ from "
    "use: take nn.GroupNorm or nn.LayerNorm, which normalise each sample by itself"
)
_PENALISED = "the models state their costs themselves, from logits: train(model, …)"
_ELSEWHERE = {
    "BatchNorm": _STATISTICS,
    "InstanceNorm": "take nn.GroupNorm(num_groups=channels, num_channels=channels)",
    "LogSoftmax": "the classifier applies it itself: let the network end in nn.Linear",
    "Unflatten": "take nn.Reshape, which has the shape of one sample: nn.Reshape(1, 28, 28)",
    "Identity": "leave the layer out",
    "Module": "derive from nn.Network: parameters and layers are its attributes, and __call__(x, "
    "rng=None) takes the place of forward",
    "Parameter": "take scratchgen.Tensor(array) as an attribute of an nn.Network",
    "ModuleList": "set the layers as attributes, or take nn.Sequential",
    "ModuleDict": "set the layers as attributes, or take nn.Sequential",
    "functional": "functions are scratchgen.operations",
    "init": "layers draw their weights from rng as torch.nn does; change weight.data in place",
    "Dropout": "nn.Dropout drops single entries",
    "Conv": "there are nn.Conv2d and nn.ConvTranspose2d, of images (n, channels, rows, columns)",
    "MaxPool": "there is nn.MaxPool2d",
    "AvgPool": "there is nn.AvgPool2d",
    "Adaptive": "take nn.AvgPool2d with the size of the images",
}
"""Names of PyTorch, by their beginnings, each with its replacement here."""


def __getattr__(name: str) -> _Any:
    instead = [cure for start, cure in _ELSEWHERE.items() if name.startswith(start)]
    if name.endswith("Loss"):
        instead = [_PENALISED]
    what = instead[0] if instead else f"there are {', '.join(__all__)}"
    raise AttributeError(f"scratchgen.nn has no {name}: {what}")
