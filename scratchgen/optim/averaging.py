r"""The average of weights: a model with less noise than the weights of the last step.

With a constant or slowly falling learning rate, the weights θᵢ of the steps i = 0 … k fluctuate
about a point that is better than any of them. Their exponential moving average, with decay m at
each step and the initial weights weighted like all others, is

    θ̄ = Σᵢ mᵏ⁻ⁱ θᵢ / Σᵢ mᵏ⁻ⁱ,

and comes close to that point. It does not affect the training: gradients are taken at θ.

Source: Polyak and Juditsky 1992; Ho, Jain and Abbeel 2020, appendix B (m = 0.9999).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..autodiff import Tensor
from ..backend import device_of, to_device
from ..construction import Constructed

if TYPE_CHECKING:
    from ..nn import Network

N = TypeVar("N", bound="Network")


class WeightAverage(Constructed):
    """θ̄ = Σ mᵏ⁻ⁱ θᵢ / Σ mᵏ⁻ⁱ of ``parameters`` over the steps so far, with ``decay`` m < 1.

    ``train(…, average=…)`` calls :meth:`update` after each step; :meth:`of` gives a model with the
    averaged weights. Raises ``ValueError`` without parameters, or unless 0 ≤ m < 1.
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay is the share that is kept, 0 ≤ decay < 1, got {decay}")
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("an average of weights needs at least one parameter")
        self.decay = float(decay)
        # Both sums have a factor 1 − m, which cancels, and which keeps them as large as θ.
        self.sums = [(1 - self.decay) * p.data for p in self.parameters]
        self.weight = 1 - self.decay

    def update(self) -> None:
        """Add the current weights to the average."""
        for total, p in zip(self.sums, self.parameters, strict=True):
            total *= self.decay
            total += (1 - self.decay) * p.data
        self.weight = self.decay * self.weight + 1 - self.decay

    def of(self, model: N) -> N:
        """Return a copy of the model in which these parameters have the averaged weights."""
        own = {p: k for k, p in enumerate(model.parameters())}
        twin = copy.deepcopy(model)
        copies = twin.parameters()
        for total, p in zip(self.sums, self.parameters, strict=True):
            if p not in own:
                raise ValueError("the average is of parameters that this model does not have")
            copies[own[p]].data = total / self.weight
        return twin

    def state_dict(self) -> dict[str, Any]:
        """The state of the average: one sum per parameter, by number, and the sum of weights."""
        return {"weight": self.weight, **{str(k): x.copy() for k, x in enumerate(self.sums)}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state from :meth:`state_dict`; ``ValueError`` where it does not fit."""
        expected = {"weight": (), **{str(k): x.shape for k, x in enumerate(self.sums)}}
        given = {name: np.shape(value) for name, value in state.items()}
        if given != expected:
            raise ValueError(f"the state of the average has the shapes {expected}, got {given}")
        self.weight = float(state["weight"])
        for k, total in enumerate(self.sums):
            total[...] = to_device(state[str(k)], device_of(total))
