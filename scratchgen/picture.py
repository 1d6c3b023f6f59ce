"""Axes that a notebook displays. Only this file imports matplotlib when it is loaded.

A notebook displays every figure of pyplot, requested or not. The figures here do not belong to
pyplot: a notebook displays one only if its axes are the last value of a cell, as they define their
own representation.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine


class Picture(Axes):
    """Axes on a figure of their own, which a notebook displays at the end of a cell."""

    def _repr_png_(self) -> bytes:
        return png(self.figure)


def new_pictures(width: float, heights: list[float], dpi: float, margin: float) -> list[Axes]:
    """Make axes one above the other, with a common x-axis; all sizes are in inches."""
    layout = ConstrainedLayoutEngine(w_pad=margin, h_pad=margin)
    figure = Figure(figsize=(width, sum(heights)), dpi=dpi, layout=layout)
    grid = figure.add_gridspec(len(heights), height_ratios=heights)
    axes: list[Axes] = []
    for row in range(len(heights)):
        above = axes[0] if axes else None
        axes.append(figure.add_subplot(grid[row], axes_class=Picture, sharex=above))
    return axes


def png(figure: Any, dpi: float | str = "figure") -> bytes:
    """Return the whole figure as a PNG."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()
