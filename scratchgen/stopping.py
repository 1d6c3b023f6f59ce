"""Early stopping: training ends when the held-out cost no longer falls, and keeps the best weights.

At first the cost of held-out samples falls together with the training cost. It stops falling when
the model learns peculiarities of the training samples. The weights at its lowest value are the best
ones: early stopping bounds their distance from the initial weights, as a penalty would. The
estimators and the command line use the same definition of patience.
Source: Prechelt 1998; Goodfellow, Bengio, Courville 2016, algorithm 7.1.

    patience = Patience(10)
    for epoch in train(model, data, optimizer, …, history=history):
        if patience.note(held_out_cost(model), model):
            save("best.safetensors", model, history=history)
        save("model.safetensors", model, optimizer, rng, history)
        if patience.is_over:
            break
    patience.restore(model)

To continue from a checkpoint, pass the costs of its epochs and the best weights:

    patience = Patience(10, costs, load("best.safetensors").model.state_dict())

The order of the two files matters: a run that is cut between them continues to the same bits. The
best weights may then be one epoch ahead of the checkpoint, and repeating that epoch gives the same
weights again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .backend import Array
from .nn import Network


class Patience:
    """The held-out cost of each epoch, the weights at its lowest, and whether patience has run out.

    ``epochs`` is the number of epochs to wait for a lower cost, an integer from 1. For a training
    that continues, ``costs`` holds the cost of each finished epoch, and ``best`` the weights at the
    lowest cost, by name. Raises ``ValueError`` for other ``epochs``, or if only one of ``costs``
    and ``best`` is given.
    """

    def __init__(
        self, epochs: int, costs: Iterable[float] = (), best: Mapping[str, Array] | None = None
    ) -> None:
        if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)) or epochs < 1:
            raise ValueError(
                "patience is the number of epochs to wait for a lower cost, an integer from 1, got "
                f"{epochs!r}"
            )
        self.epochs = int(epochs)
        self.costs = [_comparable(cost) for cost in costs]
        self.best: dict[str, Any] = dict(best or {})
        if bool(self.costs) != bool(self.best):
            raise ValueError(
                f"to go on after {len(self.costs)} epochs takes the cost of each and the weights "
                f"at the lowest, got {len(self.costs)} costs and {len(self.best)} arrays"
            )

    def note(self, cost: float, model: Network) -> bool:
        """Note the cost of one more epoch; keep its weights and return True if it is the lowest.

        Of equal costs, the first is the lowest. NaN counts as infinity.
        """
        self.costs.append(_comparable(cost))
        is_lowest = self.best_epoch == len(self.costs)
        if is_lowest:
            self.best = model.state_dict()
        return is_lowest

    @property
    def best_epoch(self) -> int:
        """The number of the epoch with the lowest cost, counted from 1; 0 before any epoch."""
        return 1 + self.costs.index(min(self.costs)) if self.costs else 0

    @property
    def is_over(self) -> bool:
        """Whether none of the last ``epochs`` epochs had a lower cost than all before them."""
        return len(self.costs) - self.best_epoch >= self.epochs

    def restore(self, model: Network) -> None:
        """Load the best weights into the model, if any epoch was noted."""
        if self.best:
            model.load_state_dict(self.best)


def _comparable(cost: float) -> float:
    return math.inf if math.isnan(cost) else float(cost)
