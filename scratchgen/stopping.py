"""Early stopping: a training ends when the held-out cost has ceased to fall; the best weights stay.

The cost of held-out samples falls with the cost of the samples that are trained on, until what is
learned is peculiar to these. The weights at its lowest are the ones to keep: early stopping bounds
how far they go from where they began, as a penalty would. One meaning holds for the estimators and
the command line. Source: Prechelt 1998; Goodfellow, Bengio, Courville 2016, algorithm 7.1.

    patience = Patience(10)
    for epoch in train(model, data, optimizer, …, history=history):
        if patience.note(held_out_cost(model), model):
            save("best.safetensors", model, history=history)
        save("model.safetensors", model, optimizer, rng, history)
        if patience.is_over:
            break
    patience.restore(model)

To go on after a checkpoint, give the costs of the epochs that it holds and the best weights:

    patience = Patience(10, costs, load("best.safetensors").model.state_dict())

In this order of the two files, a run that is cut between them goes on to the same bits: the best
weights may be one epoch ahead of the checkpoint, and that epoch, done again, arrives at them again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .backend import Array
from .nn import Network


class Patience:
    """The held-out cost of each epoch, the weights at its lowest, and whether that is long ago.

    ``epochs``: after how many epochs without a lower cost the training is over, an integer from 1.
    ``costs``, ``best``: of a training that goes on, the cost of each epoch that is done, and the
    weights at the lowest of them, by name. ``ValueError`` for another ``epochs``, or for costs
    without weights or weights without costs.
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
        """Note the cost of one more epoch; whether it is the lowest, so that its weights are kept.

        The first of equal costs is the lowest. NaN is as bad as infinity.
        """
        self.costs.append(_comparable(cost))
        is_lowest = self.best_epoch == len(self.costs)
        if is_lowest:
            self.best = model.state_dict()
        return is_lowest

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest cost, the first one being 1; 0 before any is noted."""
        return 1 + self.costs.index(min(self.costs)) if self.costs else 0

    @property
    def is_over(self) -> bool:
        """Whether no cost of the last ``epochs`` epochs was lower than all before."""
        return len(self.costs) - self.best_epoch >= self.epochs

    def restore(self, model: Network) -> None:
        """Put the best weights back, if any epoch was noted."""
        if self.best:
            model.load_state_dict(self.best)


def _comparable(cost: float) -> float:
    return math.inf if math.isnan(cost) else float(cost)
