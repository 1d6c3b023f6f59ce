"""What PyTorch's sides share: its weights and batches, and its step, eager and compiled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from . import training
from .workloads import Step

Parameters = Mapping[str, torch.Tensor]
Move = Callable[..., Any]
Batches = Callable[[], tuple[Any, ...]]


def weights(shapes: Mapping[str, Sequence[int]], device: str) -> dict[str, torch.Tensor]:
    """The weights that all start from, as tensors."""
    return {name: torch.from_numpy(w).to(device) for name, w in training.weights(shapes).items()}


class Model(nn.ModuleDict):
    """Modules by name, whose value is ``cost(modules, *batch)``."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        cost: Callable[..., torch.Tensor],
        shapes: Mapping[str, Sequence[int]],
        device: str,
    ) -> None:
        super().__init__(modules)
        self.cost = cost
        self.to(device)
        self.load_state_dict(weights(shapes, device))

    def forward(self, *batch: Any) -> torch.Tensor:
        return self.cost(self, *batch)


def batches(device: str, size: int, *arrays: Any) -> Batches:
    """Rows of the arrays, gathered by PyTorch on the device."""
    tensors = [torch.from_numpy(x).to(device) for x in arrays]
    rows = _rows(device, size, len(arrays[0]))
    return lambda: (chosen := next(rows), tuple([x[chosen] for x in tensors]))[1]


def optimizer(name: str, parameters: Any, lr: float, fused: bool = False) -> Any:
    """One of ``torch.optim``, as it comes or fused."""
    return getattr(torch.optim, name)(parameters, lr=lr, **({"fused": True} if fused else {}))


def step(cost: Callable[..., torch.Tensor], optimizer: Any, batch: Batches) -> Step:
    """The usual step: the cost of a batch, its gradient by ``backward``, the optimizer."""

    def step() -> object:
        c = cost(*batch())
        optimizer.zero_grad()
        c.backward()
        optimizer.step()
        return c.detach()

    return step


def sgd(cost: Callable[..., torch.Tensor], parameters: Parameters, lr: float) -> Move:
    """θ ← θ − lr ∂C/∂θ in place, where C = ``cost(parameters, *batch)``: a function of a batch."""
    gradients_and_cost = torch.func.grad_and_value(cost)

    def move(*batch: Any) -> Any:
        gradients, c = gradients_and_cost(parameters, *batch)
        for name, p in parameters.items():
            p.sub_(gradients[name], alpha=lr)
        return c

    return move


def adam(cost: Callable[..., torch.Tensor], parameters: Parameters, lr: float) -> Move:
    """The same by Adam."""
    gradients_and_cost = torch.func.grad_and_value(cost)
    m = {name: torch.zeros_like(p) for name, p in parameters.items()}
    v = {name: torch.zeros_like(p) for name, p in parameters.items()}
    t = torch.zeros((), device=next(iter(parameters.values())).device)

    def move(*batch: Any) -> Any:
        gradients, c = gradients_and_cost(parameters, *batch)
        t.add_(1)
        rate, root = lr / (1 - 0.9**t), (1 - 0.999**t).sqrt()
        for name, p in parameters.items():
            g = gradients[name]
            m[name].lerp_(g, 0.1)
            v[name].mul_(0.999).addcmul_(g, g, value=0.001)
            p.sub_(rate * m[name] / (v[name].sqrt() / root + 1e-8))
        return c

    return move


def compiled(move: Move, device: str, size: int, *arrays: Any) -> Step:
    """``move(*batch)`` with the gathering of the batch: all of a step in one torch.compile.

    That took less time than a compiled cost followed by ``backward`` and a fused optimizer.
    """
    tensors = [torch.from_numpy(x).to(device) for x in arrays]
    rows = _rows(device, size, len(arrays[0]))
    whole = torch.compile(lambda chosen: move(*[x[chosen] for x in tensors]), dynamic=False)

    def step() -> object:
        with torch.no_grad():  # the gradient is within
            return whole(next(rows))

    return step


def compiled_model(
    model: Model, name: str, lr: float, device: str, size: int, *arrays: Any
) -> Step:
    """:func:`compiled` for all parameters of a model, with ``"SGD"`` or ``"Adam"``."""

    def cost(parameters: Parameters, *batch: Any) -> Any:
        return torch.func.functional_call(model, dict(parameters), batch)

    parameters = {name: p.detach() for name, p in model.named_parameters()}
    update = adam if name == "Adam" else sgd
    return compiled(update(cost, parameters, lr), device, size, *arrays)


def _rows(device: str, size: int, n: int) -> Any:
    return itertools.cycle(torch.from_numpy(training.order(size, n)).to(device))
