"""All pictures of a training, each with a title that names the run and what the picture shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_host
from ..history import History
from .data import Data
from .recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_SAMPLES = 64
N_POINTS = 2000
N_ROWS = 12  # the largest number of epochs in one table


def pictures(
    recipe: Recipe[Any],
    model: Any,
    data: Data,
    settings: Any,
    history: History,
    kept: Mapping[int, Array],
    heading: str,
    rng: Generator,
) -> Iterator[tuple[str, Axes | plotting.Animation]]:
    """Yield file names with their pictures: curves, samples, pictures of ``recipe``, animations.

    ``kept`` holds the samples of some epochs. ``heading`` names the run, as ``"vae on digits, epoch
    400"``, and precedes the title of each picture. Samples that are points of the plane are drawn
    over held-out points. Other data that are not images have no pictures of samples.
    """
    span, images = data.value_range, plotting.is_image(data.shape)
    if history:
        yield "curves.png", plotting.titled(_curves(recipe, history), heading)
    if recipe.generative and images:
        samples = to_host(recipe.samples(model, N_SAMPLES, rng)).reshape(-1, *data.shape)
        title = f"{heading}: {recipe.sampled}"
        yield "samples.png", plotting.titled(plotting.image_grid(samples, value_range=span), title)
        rows = {f"epoch {e}": kept[e].reshape(-1, *data.shape) for e in sorted(kept)}
        if rows:
            of_rows = np.linspace(0, len(rows) - 1, min(len(rows), N_ROWS)).round().astype(int)
            few = {name: rows[name] for name in np.array([*rows])[of_rows].tolist()}
            table = plotting.image_table(few, value_range=span)
            yield "epochs.png", plotting.titled(table, title)
        if len(rows) > 1:
            moving = plotting.animation(rows, title=title, columns=5, value_range=span, seconds=0.7)
            yield "epochs.gif", moving
    if recipe.generative and plotting.is_plane(data.shape):
        points = to_host(recipe.samples(model, len(data.test[:N_POINTS]), rng))
        ax = plotting.plane({"held-out data": data.test[:N_POINTS], recipe.sampled: points})
        yield "samples.png", plotting.titled(ax, heading)
    for name, ax in recipe.draw(model, data, settings, history, rng):
        shown = " ".join(ax.get_title().split())
        yield f"{name}.png", plotting.titled(ax, f"{heading}: {shown}" if shown else heading)
    if images:
        for name, frames in recipe.animations(model, rng):
            frames = {k: x.reshape(-1, *data.shape) for k, x in frames.items()}
            yield f"{name}.gif", plotting.animation(frames, title=heading, value_range=span)


def _curves(recipe: Recipe[Any], history: History) -> Axes:
    """Plot the history, with axes of their own for quantities that have another unit."""
    if not recipe.panels:
        ax: Axes = history.plot()
        ax.set_ylabel(recipe.unit)
        return ax
    rest = history.curves()
    panels = {}
    for label, beginnings in recipe.panels.items():
        panels[label] = {name: rest.pop(name) for name in [*rest] if name.startswith(beginnings)}
    of_each = {recipe.unit: rest, **{label: curves for label, curves in panels.items() if curves}}
    return plotting.learning_panels(of_each, first_epoch=history[0].number)
