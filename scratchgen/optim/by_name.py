"""Optimizers by name, for settings and command lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..autodiff import Tensor
from .first_order import SGD, AdaGrad, Adam, AdamW, RMSprop
from .lbfgs import WolfeLBFGS
from .optimizer import Optimizer


def momentum(parameters: Sequence[Tensor], lr: float = 0.01) -> SGD:
    """Stochastic gradient descent with momentum 0.9."""
    return SGD(parameters, lr, momentum=0.9)


OPTIMIZERS: Final[dict[str, Callable[..., Optimizer]]] = {
    "sgd": SGD,
    "momentum": momentum,
    "adagrad": AdaGrad,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "lbfgs": WolfeLBFGS,
}
"""The optimizers, by name."""


def build_optimizer(
    optimizer: str | Callable[..., Optimizer], parameters: Sequence[Tensor], lr: float | None
) -> Optimizer:
    """Return the optimizer of this name, or the result of the function ``optimizer(parameters)``.

    Its learning rate is ``lr``. With ``None`` it is the optimizer's default; SGD has no default.
    """
    if isinstance(optimizer, str) and optimizer not in OPTIMIZERS:
        raise ValueError(
            f"optimizer is one of {', '.join(OPTIMIZERS)}, or a function of the parameters, got "
            f"{optimizer!r}"
        )
    if optimizer == "sgd" and lr is None:
        raise ValueError("sgd has no learning rate of its own: give lr, such as 0.1")
    build = OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer
    if isinstance(optimizer, str):
        return build(parameters) if lr is None else build(parameters, lr=lr)
    built = build(parameters)
    if lr is not None:
        built.lr = lr
    return built
