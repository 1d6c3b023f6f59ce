"""Axes that a notebook shows. This is the one file that imports matplotlib when it is loaded.

A notebook knows the figures of pyplot, and shows them whether they are asked for or not. These are
none of pyplot's: one is shown where its axes end a cell, since they say how they are drawn.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine


class Picture(Axes):
    """Axes on a figure of their own; at the end of a cell of a notebook the figure is shown."""

    def _repr_png_(self) -> bytes:
        return png(self.figure)


def new_pictures(width: float, heights: list[float], dpi: float, margin: float) -> list[Axes]:
    """Axes one above the other, all sizes in inches, that share the epochs below them."""
    layout = ConstrainedLayoutEngine(w_pad=margin, h_pad=margin)
    figure = Figure(figsize=(width, sum(heights)), dpi=dpi, layout=layout)
    grid = figure.add_gridspec(len(heights), height_ratios=heights)
    axes: list[Axes] = []
    for row in range(len(heights)):
        above = axes[0] if axes else None
        axes.append(figure.add_subplot(grid[row], axes_class=Picture, sharex=above))
    return axes


def png(figure: Any, dpi: float | str = "figure") -> bytes:
    """The whole figure as a PNG."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()
