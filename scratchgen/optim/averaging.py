r"""The average of weights: a model that is calmer than the last step of its training.

With a constant or a slowly falling rate, the weights θᵢ of the steps i = 0 … k move about a point
that is better than any one of them. Their exponential moving average, with a share m kept at each
step and the initial weights weighed as all others are,

    θ̄ = Σᵢ mᵏ⁻ⁱ θᵢ / Σᵢ mᵏ⁻ⁱ,

comes near to it. The training itself does not know of it: gradients are those of θ.

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

    ``train(…, average=…)`` calls :meth:`update` after each step; :meth:`of` gives a model with
    these weights. Raises ``ValueError`` for no parameters, or a decay outside 0 ≤ m < 1.
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay is the share that is kept, 0 ≤ decay < 1, got {decay}")
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("an average of weights needs at least one parameter")
        self.decay = float(decay)
        # Both sums carry a factor 1 − m, which cancels and keeps them of the size of θ.
        self.sums = [(1 - self.decay) * p.data for p in self.parameters]
        self.weight = 1 - self.decay

    def update(self) -> None:
        """Take up the present weights."""
        for total, p in zip(self.sums, self.parameters, strict=True):
            total *= self.decay
            total += (1 - self.decay) * p.data
        self.weight = self.decay * self.weight + 1 - self.decay

    def of(self, model: N) -> N:
        """A copy of the model in which these parameters have the averaged weights."""
        own = {p: k for k, p in enumerate(model.parameters())}
        twin = copy.deepcopy(model)
        copies = twin.parameters()
        for total, p in zip(self.sums, self.parameters, strict=True):
            if p not in own:
                raise ValueError("the average is of parameters that this model does not have")
            copies[own[p]].data = total / self.weight
        return twin

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`update` remembers: the sum of each parameter, by number, and the weights'."""
        return {"weight": self.weight, **{str(k): x.copy() for k, x in enumerate(self.sums)}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` gave; ``ValueError`` where it does not fit."""
        expected = {"weight": (), **{str(k): x.shape for k, x in enumerate(self.sums)}}
        given = {name: np.shape(value) for name, value in state.items()}
        if given != expected:
            raise ValueError(f"the state of the average has the shapes {expected}, got {given}")
        self.weight = float(state["weight"])
        for k, total in enumerate(self.sums):
            total[...] = to_device(state[str(k)], device_of(total))
