"""The history of a training: the costs of each epoch, and the other quantities it reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .html import table


@dataclass(frozen=True)
class Epoch:
    """One pass over the data: the mean cost of each player, and the reported quantities."""

    number: int
    costs: tuple[float, ...]
    seconds: float
    report: dict[str, float] = field(default_factory=dict)
    players: tuple[str, ...] = ()
    """The names of the players, ``model.player_names``, if the model has them."""

    def values(self) -> dict[str, float]:
        """Return the costs and the reported quantities, by name."""
        names = self.players or [f"cost {k}" for k in range(len(self.costs))]
        if len(names) == 1:
            names = ["cost"]
        return {**dict(zip(names, self.costs, strict=True)), **self.report}

    def __str__(self) -> str:
        values = "".join(f"   {name} {_figure(value)}" for name, value in self.values().items())
        return f"epoch {self.number:3d}{values}   {self.seconds:.2f} s"

    def _repr_html_(self) -> str:
        return History([self])._repr_html_()


class History(list[Epoch]):
    """The epochs of a run, in order; printed are the first, the last, and some in between."""

    def __repr__(self) -> str:
        return "\n".join(map(str, self._some())) or "History of no epochs"

    def _repr_html_(self) -> str:
        names = self[0].values() if self else ()
        rows = []
        for epoch in self._some():
            values = epoch.values()
            figures = [_figure(values[name]) if name in values else "" for name in names]
            rows.append((epoch.number, *figures, f"{epoch.seconds:.2f} s"))
        return table(("epoch", *names, "time"), rows)

    def _some(self) -> History:
        """Return at most a dozen epochs, evenly spaced, including the first and the last."""
        return History(self[round(k)] for k in np.linspace(0, len(self) - 1, min(len(self), 12)))

    def curves(self) -> dict[str, list[float]]:
        """Return each cost and each reported quantity over the epochs, by name."""
        names = self[0].values() if self else ()
        return {name: [epoch.values()[name] for epoch in self] for name in names}

    def plot(self, ax: Any = None) -> Any:
        """Plot the curves over the epochs, on ``ax`` or on new axes, and return the axes.

        The axis counts epochs, which the notes call iterations (erratum E21).
        New axes show the costs and all quantities with units. Quantities that stay between 0 and 1,
        such as probabilities, get axes of their own below.
        """
        from .plotting import learning_curves, learning_panels

        curves, first_epoch = self.curves(), self[0].number if self else 1
        shares = {
            name: values
            for name, values in curves.items()
            if name in self[0].report
            and not name.endswith("cost")
            and min(values) >= 0
            and max(values) <= 1
        }
        if ax is not None or not shares:
            return learning_curves(curves, ax, first_epoch=first_epoch)
        units = {name: values for name, values in curves.items() if name not in shares}
        label = "from 0 to 1" if len(shares) > 1 else next(iter(shares))
        return learning_panels({"cost": units, label: shares}, first_epoch=first_epoch)


def _figure(value: float) -> str:
    """Format with four decimals, or with four digits for a number too small or too large."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e7 else f"{value:.3e}"
