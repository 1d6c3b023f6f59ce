"""The pictures of the notes: costs over epochs, δ by layer, images side by side, latent spaces.

Every picture of several images is one mosaic. There are three views of a latent space: a scatter, a
straight line, and a grid of quantiles. The functions need only arrays on the host, and import
matplotlib when the first picture is drawn.

Every function draws on the given ``ax``, or on a figure of its own, and returns the axes; none uses
pyplot. A notebook shows a figure of its own if its axes are the last value of a cell; given axes
are shown by their owner. A figure of its own has 150 dots per inch and a whole number of dots per
pixel of an image, so that the file from ``save`` is sharp. Unsuitable arrays raise a ValueError
before anything is drawn; it names the value, the expectation and the cure.
"""

from __future__ import annotations

import base64
import math
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .datasets import layout
from .files import write_atomically
from .models import pca

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Decode = Callable[[Floats], ArrayLike]  # latents (n, k) -> n images, of any shape of image_grid
Ticks = Mapping[float, str]  # position, in units of cells of a mosaic -> label

LINE: dict[str, Any] = {"linewidth": 1.6, "markersize": 4}
MARKERS = "o^sDPX"  # for classes 0 … 9, 10 … 19, …
LETTER = 0.09  # inches: the approximate width of a letter of a label
DPI = 150  # dots per inch, on screen and in files
CELL = 0.6  # inches: the side of an image, if there is room
MOVING = 0.4  # inches: the side of an image in an animation, whose file grows with each dot
SIDES = (1.5, 7.5)  # inches: the limits of the longer side of a mosaic
MARGIN = 6.001 / DPI  # inches: images begin on a whole dot, and rounding down loses none


def learning_curves(
    curves: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    first_epoch: int = 1,
    ylabel: str = "cost",
) -> Axes:
    """Plot cost against epoch, one line per name: value k of a curve is at ``first_epoch + k``.

    Curves may differ in length. A name without values, and a value that is not finite, raise
    ``ValueError``. On axes of its own, the first epochs, at most one in twenty, are cut off if the
    others would otherwise fill less than a quarter of the height; the label of the x-axis says so.
    """
    if ax is None:
        return learning_panels({ylabel: curves}, first_epoch=first_epoch)
    return _draw_curves(ax, _curves(curves), first_epoch, ylabel)


def levels(ax: Axes, values: Mapping[str, float]) -> Axes:
    """Draw a dashed line across ``ax`` at each value, by name, such as an optimum that is known.

    The lines have the colours of the curves in ``ax``, in their order, and are inside its limits.
    """
    from matplotlib.colors import to_rgb

    colours = [to_rgb(line.get_color()) for line in ax.get_lines()] or [to_rgb("0.4")]
    low, high = ax.get_ylim()
    for k, (name, value) in enumerate(values.items()):
        y = float(_numbers(f"level {name!r}", value))
        ax.axhline(y, color=colours[k % len(colours)], linestyle="--", linewidth=1, label=name)
        low, high = min(low, y - 0.05 * (high - low)), max(high, y + 0.05 * (high - low))
    ax.set_ylim(low, high)
    ax.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.92))
    return ax


def learning_panels(panels: Mapping[str, Mapping[str, ArrayLike]], *, first_epoch: int = 1) -> Axes:
    """Plot :func:`learning_curves` one above the other, for quantities with different units.

    ``panels`` maps the label of each y-axis to its curves. Returns the uppermost axes.
    """
    from .picture import new_pictures

    if not panels:
        raise ValueError("panels is empty: pass at least one label with its curves")
    checked = {label: _curves(curves) for label, curves in panels.items()}
    axes = new_pictures(5.6, [3.5] + [2.2] * (len(panels) - 1), DPI, MARGIN)
    for ax, (label, curves) in zip(axes, checked.items(), strict=True):
        _draw_curves(ax, curves, first_epoch, label)
        cut_off = _cut_off(ax, curves, first_epoch)
        ax.set_xlabel(cut_off or ("epoch" if ax is axes[-1] else ""))
    return axes[0]


def delta_norms(norms: Mapping[str, float], ax: Axes | None = None) -> Axes:
    """Plot ‖δ‖ of each layer, from the output on the left to the input, on a logarithmic axis.

    Where it falls from layer to layer the gradient vanishes, where it rises it explodes; the legend
    gives the mean factor per layer (a geometric mean). A layer with ‖δ‖ = 0, which no δ reaches, is
    a cross on the lower edge.
    """
    if not norms:
        raise ValueError("norms is empty: pass at least one layer with its ‖δ‖")
    y = _numbers("norms", list(norms.values()))
    if y.min() < 0:
        raise ValueError(f"norms: one is {y.min():g}, expected none below 0: a norm has no sign")
    if ax is None:
        ax = _new_axes(max(5.6, min(0.45 * len(y), 14)), 3.5)
    x, reached = np.arange(len(y)), y > 0
    label = None
    if len(y) > 1 and reached.all():
        factor = (y[-1] / y[0]) ** (1 / (len(y) - 1))
        label = f"× {factor:.3g} from layer to layer"
    (line,) = ax.plot(x[reached], y[reached], label=label, marker="o", **LINE)
    if not reached.all():
        cross = {"ls": "", "marker": "x", "color": line.get_color(), "label": "no δ arrives"}
        on_edge: Any = {"transform": ax.get_xaxis_transform(), "clip_on": False, **cross}
        ax.plot(x[~reached], np.zeros((~reached).sum()), **on_edge)
    places = x[:: math.ceil(len(x) / 24)]
    ax.set_xticks(places, [[*norms][k] for k in places])
    _turn(ax, sum(map(len, norms)) > 60)
    labels = {"xlabel": "layer, from the output back", "ylabel": r"$\Vert\delta\Vert$"}
    return _open_frame(ax, 1, yscale="log", **labels)


def penalty_paths(
    lams: ArrayLike,
    theta: ArrayLike,
    ax: Axes | None = None,
    *,
    names: Sequence[str] = (),
    limit: float | None = None,
) -> Axes:
    """Plot each coefficient of a linear model over the penalty λ, on a logarithmic λ axis.

    ``lams``: (k,), ``theta``: (k, p), as from ``models.linear.path``. ``names`` labels the
    coefficients. A dotted line marks λ_max at ``limit``, from which on Lasso's θ is 0.
    """
    x, y = _numbers("lams", lams), _numbers("theta", theta)
    if x.ndim != 1 or x.min() <= 0 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(
            f"lams has shape {x.shape} from {x.min():g} on, theta {y.shape}, expected λ > 0 (k,) "
            "and coefficients (k, p): pass one row of coefficients for each λ"
        )
    if len(names) not in (0, y.shape[1]):
        raise ValueError(
            f"names: {len(names)} for {y.shape[1]} coefficients, expected one for each"
        )
    ax = ax or _new_axes(5.6, 3.5)
    for k, name in enumerate(names or [""] * y.shape[1]):
        look = {"color": f"C{k % 10}", "linestyle": ("-", "--", ":")[k // 10 % 3]}
        ax.plot(x, y[:, k], label=name or None, **LINE | look)
    if limit is not None:
        ax.axvline(limit, color="0.4", linestyle=":", linewidth=1.2, label=r"$\lambda_{max}$")
    ax.axhline(0, color="0.4", linewidth=0.6, zorder=0)
    return _open_frame(
        ax, 1, xscale="log", xlabel=r"penalty $\lambda$", ylabel=r"coefficients $\theta_j$"
    )


def noise_schedule(beta: ArrayLike, ax: Axes | None = None) -> Axes:
    """Plot β_t, ᾱ_t = ∏ (1 − β) up to t, and the ratio of signal to noise ᾱ_t/(1 − ᾱ_t).

    ``beta``: (T,) between 0 and 1. The y-axis is logarithmic. The legend gives the last ᾱ, the
    share of signal that sampling neglects when it starts from pure noise.
    """
    y = _numbers("beta", beta)
    if y.ndim != 1 or y.min() <= 0 or y.max() >= 1:
        raise ValueError(
            f"beta is of shape {y.shape}, from {y.min():g} to {y.max():g}, expected (T,) with "
            "0 < β < 1: pass the variances of the steps"
        )
    alpha_bar = np.cumprod(1 - y)
    lines = {
        r"$\beta_t$": y,
        rf"$\bar\alpha_t$, {alpha_bar[-1]:.3g} at the end": alpha_bar,
        r"$\bar\alpha_t/(1 - \bar\alpha_t)$": alpha_bar / (1 - alpha_bar),
    }
    return _draw_lines(ax or _new_axes(5.6, 3.5), lines, yscale="log", xlabel="t")


def bars(
    names: Sequence[str], measures: Mapping[str, tuple[Sequence[float | None], bool]], title: str
) -> Figure:
    """Draw bars for each measure side by side, one row for each name; None leaves a row empty.

    ``measures`` has the values by their label, and whether their axis is logarithmic. On such an
    axis zeros are drawn at its lower end.
    """
    from matplotlib.figure import Figure

    figure = Figure((2.2 + 1.9 * len(measures), 1.2 + 0.26 * len(names)), DPI, layout="constrained")
    place = np.arange(len(names))
    for k, (label, (values, logarithmic)) in enumerate(measures.items()):
        ax = figure.add_subplot(1, len(measures), k + 1)
        there = [value is not None for value in values]
        x = _numbers(label, [value for value in values if value is not None])
        if logarithmic:
            least = x[x > 0].min() / 2 if (x > 0).any() else 1.0
            x = np.maximum(x, least)
            ax.set(xscale="log", xlim=(least, 2 * x.max()))
        ax.barh(place[there], x, color="C0", height=0.7)
        _open_frame(ax, math.inf, xlabel=label)
        ax.set_yticks(place, names if k == 0 else [""] * len(names))
        ax.set_ylim(len(names) - 0.4, -0.6)
    figure.suptitle(title)
    return figure


def image_grid(
    images: ArrayLike,
    ax: Axes | None = None,
    *,
    columns: int | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    padding: int = 1,
) -> Axes:
    """Draw image k in row ``k // columns`` and column ``k % columns``, by default ⌈√n⌉ columns.

    ``images``: (n, H, W), (n, 1, H, W), (n, D) with D a square, or in colour (n, 3, H, W), and
    with alpha (n, 4, H, W), drawn over white. The ends of ``value_range`` are black and white;
    values beyond them are clipped. ``padding`` is in pixels of the images. The padding and the
    unused cells are blank, not black.
    """
    stack = _images("images", images, value_range)
    return _draw(stack, ax, _columns(columns, len(stack)), value_range, padding)


def image_table(
    rows: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    columns: Sequence[str] = (),
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Axes:
    """Draw one row of images for each name, all of one length; ``columns`` names the columns.

    The rows are as in ``image_grid``, for example samples of some epochs, or states of some chains.
    """
    stacks = _stacks("row", rows, value_range)
    n = len(stacks[0])
    if len(columns) not in (0, n):
        raise ValueError(f"columns: {len(columns)} names for {n} columns, expected one for each")
    below, beside = ({k + 0.5: name for k, name in enumerate(of)} for of in (columns, rows))
    return _draw(np.concatenate(stacks), ax, n, value_range, x_ticks=below, y_ticks=beside)


def filters(
    weights: ArrayLike,
    ax: Axes | None = None,
    *,
    columns: int | None = None,
    limit: float | None = None,
    padding: int = 1,
) -> Axes:
    """Draw the weights of each unit as an image: red above zero, blue below it, white at zero.

    ``weights``: (n, H, W), or (n, D) with D a square, as in ``image_grid``. All images share one
    scale from −``limit`` to ``limit``, shown by a colour bar. The default limit is the absolute
    value that 99 of 100 weights do not exceed.
    """
    w = _numbers("weights", weights)
    if limit is None:
        # If all weights are zero, they are white on any scale.
        limit = float(np.quantile(np.abs(w), 0.99)) or float(np.abs(w).max()) or 1.0
    if not 0 < limit < math.inf:
        raise ValueError(f"limit is {limit}, expected a number above 0: the size that is darkest")
    stack = _images("weights", w, (-limit, limit))
    beyond = ("≤ ", "≥ ") if np.abs(w).max() > limit else ("", "")
    scale = {-limit: f"{beyond[0]}−{limit:.2g}", 0.0: "0", limit: f"{beyond[1]}{limit:.2g}"}
    columns = _columns(columns, len(stack))
    return _draw(stack, ax, columns, (-limit, limit), padding, colours="RdBu_r", scale=scale)


def reconstructions(
    originals: ArrayLike,
    reconstructed: ArrayLike,
    ax: Axes | None = None,
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Axes:
    """Draw each image above its reconstruction: two rows, one column per image, best for about ten.

    Both arguments are as in ``image_grid``; one may be flat, (n, D), and the other not.
    """
    above = _images("originals", originals, value_range)
    below = _images("reconstructed", reconstructed, value_range)
    if above.shape != below.shape:
        raise ValueError(
            f"originals are {_size(above)}, reconstructed are {_size(below)}: "
            "pass one reconstruction for each original, of the same size"
        )
    rows = {"original": originals, "reconstruction": reconstructed}
    return image_table(rows, ax, value_range=value_range)


def latent_scatter(
    h: ArrayLike,
    labels: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    classes: Sequence[str] = (),
) -> Axes:
    """Plot latents (n, k) as points of a plane, each in the colour and shape of its class.

    For k = 2 these are the latents themselves. For k > 2 they are their two principal components,
    by :mod:`scratchgen.models.pca`; the labels of the axes then give the share of the variance
    along each axis.

    ``labels``: (n,), integers or text. Entry k of ``classes``, if given, names class k. Ten classes
    differ in colour, the next ten also in shape, and so on; more than 60 classes share one colour
    scale.
    """
    from matplotlib import colormaps
    from matplotlib.lines import Line2D

    latents = _numbers("h", h)
    if latents.ndim != 2 or latents.shape[1] < 2:
        raise ValueError(
            f"h has shape {latents.shape}, expected (n, k) with k ≥ 2: "
            "pass one row per sample, and a histogram for a single latent"
        )
    names = ["$h_1$", "$h_2$"]
    if latents.shape[1] > 2:
        if len(latents) < 2:
            raise ValueError("h has one row, expected two or more: one point has no principal axes")
        plane = pca.fit(latents, 2)
        latents = plane.encode(latents)
        kept = (f"({100 * share:.0f} % of variance)" for share in plane.explained)
        names = [f"principal axis {k} {share}" for k, share in enumerate(kept, 1)]
    n = len(latents)
    kinds, key = (np.zeros(n, np.intp), {}) if labels is None else _classes(labels, n, classes)
    many = max(key, default=0) >= 10 * len(MARKERS)
    columns = 1 if many else math.ceil(len(key) / 15)
    if ax is None:
        beside = max(columns - 1, 0) * (0.4 + LETTER * max(map(len, key.values()), default=0))
        ax = _new_axes(5.6 + beside, 4.6)
        ax.set_aspect("equal", adjustable="datalim")  # distances are those of the latents
    # A thousand points remain distinct, and ten thousand do not merge into a blot.
    x, y = latents.T
    look: dict[str, Any] = {"s": np.clip(16_000 / n, 4, 26), "alpha": 0.75, "linewidths": 0}
    if many:
        points = ax.scatter(x, y, c=kinds, cmap="turbo", **look)
        bar = _figure(ax).colorbar(points, ax=ax, label="class")
        shown = [*key][:: math.ceil(len(key) / 12)]
        bar.set_ticks(shown, labels=[key[k] for k in shown])
    else:
        palette = np.asarray(colormaps["tab10"](range(10)))
        for shape in np.unique(kinds // 10):
            here = kinds // 10 == shape
            colours = palette[kinds[here] % 10]
            ax.scatter(x[here], y[here], c=colours, marker=MARKERS[shape], **look)
        handles = [
            Line2D([], [], ls="", ms=6, marker=MARKERS[k // 10], color=palette[k % 10], label=name)
            for k, name in key.items()
        ]
        if handles:
            place = {"loc": "upper left", "bbox_to_anchor": (1, 1), "ncols": columns}
            spaces: Any = {"handletextpad": 0.1, "columnspacing": 1.0, "borderaxespad": 0.0}
            ax.legend(handles=handles, frameon=False, **place | spaces)
    return _open_frame(ax, math.inf, xlabel=names[0], ylabel=names[1])


def plane(
    points: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    heights: ArrayLike | None = None,
    arrows: ArrayLike | None = None,
    half_width: float | None = None,
    label: str = "",
) -> Axes:
    """Draw points of the plane, (n, 2) per name, over a function of the plane or a field of arrows.

    The square |x₀|, |x₁| ≤ ``half_width``, by default the one that holds all points, is drawn.
    ``heights``: (k, k), at the centres of k × k equal cells of the square, the first row at the
    bottom; ``label`` says at the colour bar what they are. ``arrows``: (k, k, 2), at the same
    centres, all drawn on one scale.
    """
    checked = {name: _numbers(f"points {name!r}", x) for name, x in points.items()}
    for name, x in checked.items():
        if x.ndim != 2 or x.shape[1] != 2:
            raise ValueError(
                f"points {name!r} have the shape {x.shape}, expected (n, 2): points of the plane"
            )
    if half_width is None:
        half_width = max((np.abs(x).max() for x in checked.values()), default=0.0) * 1.05 or 1.0
    if ax is None:
        ax = _new_axes(5.6, 4.6)
        ax.set_aspect("equal")
    if heights is not None:
        z = _numbers("heights", heights)
        if z.ndim != 2 or z.shape[0] != z.shape[1]:
            raise ValueError(f"heights have the shape {z.shape}, expected (k, k)")
        edges = np.linspace(-half_width, half_width, len(z) + 1)
        mesh = ax.pcolormesh(edges, edges, z, cmap="Blues", rasterized=True)
        _figure(ax).colorbar(mesh, ax=ax, label=label)
    if arrows is not None:
        a = _numbers("arrows", arrows)
        if a.ndim != 3 or a.shape != (len(a), len(a), 2):
            raise ValueError(f"arrows have the shape {a.shape}, expected (k, k, 2)")
        centres = cell_centres(half_width, len(a))
        ax.quiver(centres, centres, a[..., 0], a[..., 1], color="0.45", width=0.003)
    for k, (name, x) in enumerate(checked.items()):
        area = float(np.clip(8_000 / len(x), 4, 20))
        colour = "0.6" if k == 0 and len(checked) > 1 else f"C{k or 1}"
        ax.scatter(x[:, 0], x[:, 1], s=area, alpha=0.6, linewidths=0, color=colour, label=name)
    ax.set(xlim=(-half_width, half_width), ylim=(-half_width, half_width))
    if checked:
        beside: Any = {
            "loc": "upper left",
            "bbox_to_anchor": (0, -0.1),
            "ncols": 2,
            "frameon": False,
        }
        ax.legend(**beside, markerscale=2, handletextpad=0.1)
    return _open_frame(ax, math.inf)


def cell_centres(half_width: float, k: int) -> Floats:
    """Return the centres of k equal cells from −``half_width`` to ``half_width``: (k,)."""
    edges = np.linspace(-half_width, half_width, _whole("k", k, 1) + 1)
    return 0.5 * (edges[1:] + edges[:-1])


def interpolation(
    decode: Decode,
    start: ArrayLike,
    end: ArrayLike,
    ax: Axes | None = None,
    *,
    steps: int = 10,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Axes:
    """Draw decode((1 − t) start + t end) for t = 0 … 1: images along a line in latent space.

    ``start`` and ``end``: (k,), or (m, k) for m lines, one per row. ``decode`` is called once, on
    (m · steps, k) latents.
    """
    ends = [_numbers("start", start), _numbers("end", end)]
    if ends[0].shape != ends[1].shape or ends[0].ndim not in (1, 2):
        raise ValueError(
            f"start has shape {ends[0].shape} and end {ends[1].shape}, expected both (k,) or "
            "both (m, k): pass one end for each start"
        )
    a, b = (np.atleast_2d(x)[:, None, :] for x in ends)
    t = np.linspace(0.0, 1.0, _whole("steps", steps, 2))[:, None]
    stack = _decoded(decode, value_range, ((1 - t) * a + t * b).reshape(-1, a.shape[-1]))
    return _draw(stack, ax, steps, value_range, x_ticks={0.5: "start", steps - 0.5: "end"})


def manifold(
    decode: Decode,
    ax: Axes | None = None,
    *,
    n: int = 20,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Axes:
    """Draw decode(h) over the plane of two latents, h₁ to the right, h₂ upwards.

    The latents are h = Φ⁻¹((i + ½) / n), so that equal distances in the picture are equal
    probabilities under the prior N(0, I): Kingma & Welling, "Auto-encoding variational Bayes",
    figure 4. The tick of a number h is at Φ(h). ``decode`` is called once, on (n², 2) latents,
    from the top left, row by row.
    """
    prior = NormalDist()
    q = np.array([prior.inv_cdf((i + 0.5) / n) for i in range(_whole("n", n, 1))])
    h1, h2 = np.meshgrid(q, q[::-1])
    stack = _decoded(decode, value_range, np.stack([h1.ravel(), h2.ravel()], axis=1))
    marks = [h for h in (-2, -1, -0.5, 0, 0.5, 1, 2) if abs(h) <= q[-1]]
    across = {n * prior.cdf(h): f"{h:g}".replace("-", "−") for h in marks}
    upwards = {n - place: text for place, text in across.items()}
    return _draw(stack, ax, n, value_range, 1, across, upwards, ("$h_1$", "$h_2$"))


def confusion_matrix(
    counts: ArrayLike, ax: Axes | None = None, *, classes: Sequence[str] = ()
) -> Axes:
    """Draw how many samples of each class (rows) were predicted as which (columns).

    ``counts``: (K, K). The shade of a cell is the square root of its share of the row, so that an
    error of one in a hundred is visible beside the correct predictions. For up to 20 classes the
    cells show the counts, except zeros. ``classes`` names the classes, by default 0 … K − 1.
    """
    n = _numbers("counts", counts)
    if n.ndim != 2 or n.shape[0] != n.shape[1] or n.min() < 0 or (n != np.floor(n)).any():
        raise ValueError(
            f"counts has shape {n.shape} and runs from {n.min():g} to {n.max():g}, expected whole "
            "numbers (K, K), none below 0: a row for each class, a column for each answer"
        )
    names = list(classes) or [f"{k}" for k in range(len(n))]
    if len(names) != len(n):
        raise ValueError(f"classes: {len(names)} names for {len(n)} classes, expected one for each")
    if ax is None:
        side = float(np.clip(0.42 * len(n), 2.4, 8))
        ax = _new_axes(side + 0.8, side + 0.8)
    shade = np.sqrt(n / np.maximum(n.sum(axis=1, keepdims=True), 1))
    ax.imshow(shade, cmap="Blues", vmin=0, vmax=1)
    places = np.arange(0, len(n), math.ceil(len(n) / 30))
    ax.set_xticks(places, [names[k] for k in places])
    ax.set_yticks(places, [names[k] for k in places])
    _turn(ax, _width(ax) > 0.42 * min(len(n), 19) / len(places))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="taken for", ylabel="class")
    size = 8 if n.max() < 1000 else 7
    for row, column in np.argwhere(n) if len(n) <= 20 else ():
        colour = "white" if shade[row, column] > 0.6 else "black"
        count = f"{n[row, column]:.0f}"
        ax.text(column, row, count, ha="center", va="center", fontsize=size, color=colour)
    return ax


def heat_map(
    values: ArrayLike,
    ax: Axes | None = None,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    xlabel: str = "",
    ylabel: str = "",
    highest: bool = False,
) -> Axes:
    """Draw a value for each pair of settings as a shade, with its number; mark the lowest one.

    ``values``: (R, C), for the R ``rows`` and the C ``columns``. A cell of NaN stays empty. With
    ``highest``, dark cells are high, and the highest one is marked. The shades are those of
    logarithms if the values are positive and span a factor of 20 or more.
    """
    v = np.asarray(values, dtype=np.float64)
    if v.shape != (len(rows), len(columns)):
        raise ValueError(
            f"values has shape {v.shape}, expected ({len(rows)}, {len(columns)}): a row for each "
            "of rows, a column for each of columns"
        )
    there = np.isfinite(v)
    if ax is None:
        ax = _new_axes(max(0.62 * v.shape[1], 1.6) + 1.2, max(0.34 * v.shape[0], 0.8) + 0.8)
    of = _numbers("values", v[there]) if there.any() else np.zeros(1)
    shade = np.log(v) if of.min() > 0 and of.max() > 20 * of.min() else v
    shade = np.where(there, shade if highest else -shade, np.nan)
    low, high = np.nanmin(shade, initial=np.inf), np.nanmax(shade, initial=-np.inf)
    share = (shade - low) / (high - low) if high > low else np.where(there, 0.5, np.nan)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    _turn(ax, _width(ax) > 0.6)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    for row, column in np.argwhere(there):
        colour = "white" if share[row, column] > 0.6 else "black"
        number = f"{v[row, column]:.3g}"
        ax.text(column, row, number, ha="center", va="center", fontsize=8, color=colour)
    if there.any():
        from matplotlib.patches import Rectangle

        row, column = np.unravel_index(np.nanargmax(shade), v.shape)
        corner = (float(column) - 0.5, float(row) - 0.5)
        ax.add_patch(
            Rectangle(corner, 1, 1, fill=False, edgecolor="C1", linewidth=2, clip_on=False)
        )
    return ax


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether :func:`image_grid` accepts samples of this shape."""
    if len(shape) == 1:
        return math.isqrt(shape[0]) ** 2 == shape[0]
    return len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3, 4))


def is_plane(shape: tuple[int, ...]) -> bool:
    """Return whether :func:`plane` accepts samples of this shape."""
    return shape == (2,)


def titled(ax: Axes, title: str) -> Axes:
    """Set ``title`` over ``ax``, and break each of its lines that is wider than the picture.

    A figure of its own grows by these lines, so that its images stay sharp.
    """
    from .picture import Picture

    figure = _figure(ax)
    figure.draw_without_rendering()
    box = ax.get_window_extent()
    middle = (box.x0 + box.x1) / 2
    room = 2 * min(middle, figure.bbox.width - middle)
    fits = ""
    for columns in range(max(len(title), 1), 0, -1):
        lines = [textwrap.fill(x, columns, break_long_words=False) for x in title.splitlines()]
        broken = "\n".join(lines)
        if broken.count("\n") > fits.count("\n") and fits:
            break  # the last fitting text had the most even lines of this number
        if fits or ax.set_title(broken, fontsize=10).get_window_extent().width <= room:
            fits = broken
    ax.set_title(fits or broken, fontsize=10)
    if isinstance(ax, Picture) and ax.images:
        _fit(ax, box.width / figure.dpi, box.height / figure.dpi)
    return ax


@dataclass(frozen=True)
class Animation:
    """Moving images: ``gif`` is the content of the file, for ``save`` and for notebooks."""

    frames: int
    gif: bytes = field(repr=False)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"image/gif": base64.b64encode(self.gif).decode()}


def animation(
    frames: Mapping[str, ArrayLike],
    *,
    title: str = "",
    columns: int | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    seconds: float = 0.1,
    hold: float = 2.0,
) -> Animation:
    """Show one ``image_grid`` after another in a loop, each under its name: the steps of a chain.

    ``frames``: names and images, equally many for each name, as in ``image_table``. A frame lasts
    ``seconds``, the last one ``hold`` seconds. ``title`` is above all frames. Greys are rounded to
    32 levels, which keeps the file small.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # a dependency of matplotlib

    stacks = _stacks("frame", frames, value_range)
    if not (0 < seconds < math.inf and 0 < hold < math.inf):
        raise ValueError(f"seconds and hold are {seconds} and {hold}, expected numbers above 0")
    columns = _columns(columns, len(stacks[0]))
    ax = _draw(stacks[0], None, columns, value_range, cell=MOVING)
    titled(ax, f"{title}\n{max(frames, key=len)}".strip())
    figure, heading = _figure(ax), ax.get_title().splitlines()[:-1]
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # a fixed layout, so that only the images change
    canvas: Any = FigureCanvasAgg(figure)
    pictures = []
    for name, stack in zip(frames, stacks, strict=True):
        ax.images[0].set_data(_visible(_mosaic(stack, columns, 1), value_range))
        ax.title.set_text("\n".join([*heading, name]))
        canvas.draw()
        rgb = np.asarray(canvas.buffer_rgba())[..., :3]
        greys = np.rint(np.rint(rgb[..., 0] * (31 / 255)) * (255 / 31)).astype(np.uint8)
        is_grey = (rgb == rgb[..., :1]).all()
        pictures.append(Image.fromarray(greys) if is_grey else Image.fromarray(rgb).quantize(64))
    durations = [*[round(1000 * seconds)] * (len(pictures) - 1), round(1000 * hold)]
    file = BytesIO()
    first, *others = pictures
    first.save(file, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return Animation(len(pictures), file.getvalue())


def save(picture: Axes | Figure | Animation, path: str | os.PathLike[str]) -> None:
    """Write a whole figure to ``path`` as a PNG of 150 dots per inch, or an animation as a GIF.

    The file replaces an older one only when it is complete. Missing folders are not created, and an
    OSError is the system's own.
    """
    from .picture import png

    path, kind = Path(path), "gif" if isinstance(picture, Animation) else "png"
    if path.suffix.lower() != f".{kind}":
        raise ValueError(
            f"{str(path)!r} does not end in .{kind}: such a picture is written as "
            f"{kind.upper()}, rename it"
        )
    whole = picture.gif if isinstance(picture, Animation) else png(_figure(picture), DPI)
    write_atomically(path, whole)


# The mosaic, the base of every picture of several images.


def _mosaic(images: Floats, columns: int, padding: int) -> Floats:
    """Cell (r, c) begins at pixel (r (H + padding), c (W + padding)); NaN is blank.

    ``images``: (n, H, W), or (n, H, W, 3) in colour; the mosaic has the same axes without n.
    """
    n, height, width, *channels = images.shape
    rows = math.ceil(n / columns)
    down, across = height + padding, width + padding
    cells = np.full((rows * columns, down, across, *channels), np.nan)
    cells[:n, :height, :width] = images
    canvas = cells.reshape(rows, columns, down, across, *channels).swapaxes(1, 2)
    canvas = canvas.reshape(rows * down, columns * across, *channels)
    return canvas[: rows * down - padding, : columns * across - padding]


def _draw(
    images: Floats,
    ax: Axes | None,
    columns: int,
    value_range: tuple[float, float],
    padding: int = 1,
    x_ticks: Ticks | None = None,
    y_ticks: Ticks | None = None,
    scales: tuple[str, str] | None = None,
    colours: str = "gray",
    scale: Mapping[float, str] | None = None,
    cell: float = CELL,
) -> Axes:
    """Draw the mosaic, with ticks at positions in units of cells; ``scales`` labels the axes.

    ``scale`` holds the labels at the lower end, the middle and the upper end of a colour bar.
    """
    low, high = value_range
    picture = _visible(_mosaic(images, columns, _whole("padding", padding, 0)), value_range)
    height, width = picture.shape[:2]
    side = np.clip(cell * max(columns, math.ceil(len(images) / columns)), *SIDES)
    dots = max(1, int(DPI * side / max(height, width)))
    inches = width * dots / DPI, height * dots / DPI
    own, ax = ax is None, _new_axes(*inches) if ax is None else ax
    box = ax.get_window_extent()
    drawn = "nearest" if box.width >= width and box.height >= height else "antialiased"
    image = ax.imshow(picture, cmap=colours, vmin=low, vmax=high, interpolation=drawn)
    if x_ticks or y_ticks:
        below, beside = (ax.xaxis, x_ticks, images.shape[2]), (ax.yaxis, y_ticks, images.shape[1])
        for axis, ticks, pixels in (below, beside):
            # Pixel 0 reaches from −½ to ½, and each cell has half of the padding between them.
            places = [cell * (pixels + padding) - (padding + 1) / 2 for cell in ticks or ()]
            axis.set_ticks(places, [*(ticks or {}).values()])
        if x_ticks and len(x_ticks) == columns:
            _turn(ax, _width(ax) > images.shape[2] * dots / DPI)
        ax.tick_params(length=3 if scales else 0)
        ax.spines[:].set_visible(False)
        ax.set(**dict(zip(("xlabel", "ylabel"), scales or ("", ""), strict=True)))
    else:
        ax.set_axis_off()
    if scale:
        thickness = 0.12 / inches[0]
        bar = ax.inset_axes((1 + thickness, 0, thickness, 1))
        _figure(ax).colorbar(image, cax=bar, ticks=[*scale])
        bar.set_yticklabels([*scale.values()])
        # The labels stay within the height of the images, which then begin on a whole dot.
        for label, side in zip(bar.get_yticklabels(), ("bottom", "center", "top"), strict=True):
            label.set(verticalalignment=side)
    if own:
        _fit(ax, *inches)
    return ax


def _visible(picture: Floats, value_range: tuple[float, float]) -> Floats:
    """Convert a mosaic for ``imshow``: colours are scaled to [0, 1], and blank pixels get α = 0."""
    if picture.ndim == 2:
        return picture
    low, high = value_range
    blank = np.isnan(picture[..., :1])
    channels = np.clip((picture - low) / (high - low), 0.0, 1.0)
    return np.concatenate([np.where(blank, 0.0, channels), ~blank], axis=-1)


def _fit(ax: Axes, width: float, height: float) -> None:
    """Resize the figure so that ``ax`` is width × height inches, without labels and title."""
    figure, aspect = _figure(ax), ax.get_aspect()
    ax.set_aspect("auto")  # otherwise the labels would be measured inside the box
    # matplotlib rounds the size of a figure down to whole dots, and of an image up: see MARGIN.
    width, height = width * (1 - 1e-7), height * (1 - 1e-7)
    figure.set_size_inches(width + 4, height + 4)  # at first, with room for any label
    for _ in range(4):  # several times, as a colour bar grows with the images
        figure.draw_without_rendering()
        box = ax.get_position()
        before = figure.get_size_inches()
        after = before * (1 - np.asarray(box.size)) + (width, height)
        figure.set_size_inches(after)
        if np.allclose(after, before, rtol=0, atol=1e-6):
            break
    ax.set_aspect(aspect, adjustable=ax.get_adjustable())


def _draw_curves(ax: Axes, curves: Mapping[str, Floats], first_epoch: int, ylabel: str) -> Axes:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    return _draw_lines(ax, curves, first_epoch, xlabel="epoch", ylabel=ylabel)


def _draw_lines(ax: Axes, lines: Mapping[str, Floats], first: int = 0, **said: str) -> Axes:
    """Plot value k of each line at ``first + k``, with dots if there are few values."""
    for name, y in lines.items():
        marker = "o" if len(y) <= 20 else ""
        ax.plot(first + np.arange(len(y)), y, label=name, marker=marker, **LINE)
    return _open_frame(ax, 2, **said)


def _cut_off(ax: Axes, curves: Mapping[str, Floats], first_epoch: int) -> str:
    """Cut off the first epochs if they flatten all others; return the label that says so."""
    early = max(1, max(map(len, curves.values())) // 20)
    later = np.concatenate([y[early:] for y in curves.values()])
    values = np.concatenate([*curves.values()])
    if len(later) < 4 or not 0 < 4 * np.ptp(later) < np.ptp(values):
        return ""
    room = 0.05 * np.ptp(later)
    low, high = later.min() - room, later.max() + room
    ax.set_ylim(low, high)
    beyond = [k for y in curves.values() for k in np.flatnonzero((y < low) | (y > high))]
    last, worst = first_epoch + max(beyond), values[np.abs(values - later.mean()).argmax()]
    which = f"epoch {last}" if last == first_epoch else f"epochs {first_epoch} to {last}"
    return f"epoch (beyond the edge: {which}, as far as {worst:.4g})"


def _figure(part: Axes | Figure) -> Figure:
    """The figure to which a part belongs."""
    from matplotlib.figure import Figure

    whole: Any = part
    while not isinstance(whole, Figure):  # axes, perhaps of a subfigure
        whole = whole.figure
    return whole


def _new_axes(width: float, height: float) -> Axes:
    """Make axes on a figure of its own, in inches, outside pyplot; a notebook shows it."""
    from .picture import new_pictures

    return new_pictures(width, [height], DPI, MARGIN)[0]


def _width(ax: Axes) -> float:
    """The approximate width in inches of the longest label below ``ax``."""
    return LETTER * max((len(name.get_text()) for name in ax.get_xticklabels()), default=0)


def _turn(ax: Axes, turned: bool) -> None:
    """Turn the labels below ``ax`` if they have no room."""
    for name in ax.get_xticklabels() if turned else ():
        name.set(rotation=45, ha="right", rotation_mode="anchor")


def _open_frame(ax: Axes, several: float, **said: str) -> Axes:
    """Draw two sides of the frame, a faint grid, and a legend for ``several`` lines or more."""
    ax.set(**said)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    if len(ax.get_legend_handles_labels()[1]) >= several:
        ax.legend(frameon=False)
    return ax


# Checks of the arguments: each returns the valid value, or raises an error that names the cure.


def _numbers(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name}: {type(values).__name__} of dtype {array.dtype}, expected real numbers in a "
            "NumPy array: bring them to the host with scratchgen.to_host"
        )
    if array.size == 0:
        raise ValueError(f"{name} is empty, of shape {array.shape}: pass at least one value")
    array = array.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        first = tuple(wrong[0].tolist())
        raise ValueError(
            f"{name}: {len(wrong)} of {array.size} values not finite, the first {array[first]} at "
            f"index {list(first)}, expected finite numbers: leave them out, or find what made them"
        )
    return array


def _images(name: str, values: ArrayLike, value_range: tuple[float, float]) -> Floats:
    """Return (n, H, W), or (n, H, W, 3) in colour."""
    low, high = value_range
    if not -math.inf < low < high < math.inf:
        raise ValueError(
            f"value_range is {value_range}, expected (black, white) with black < white"
        )
    x = _numbers(name, values)
    if np.asarray(values).dtype.kind in "iu" and not low <= x.min() <= x.max() <= high:
        raise ValueError(
            f"{name}: whole numbers from {x.min():g} to {x.max():g}, expected none outside "
            f"value_range {value_range}: pass value_range=(0, 255) for bytes"
        )
    if x.ndim == 2 and (side := math.isqrt(x.shape[1])) ** 2 == x.shape[1]:
        return x.reshape(-1, side, side)
    if x.ndim == 3:
        return x
    channels = x.shape[1] if x.ndim == 4 and not layout.channels_last(x.shape[1:]) else 0
    if channels == 1:
        return x[:, 0]
    if channels == 3:
        return np.moveaxis(x, 1, -1)
    if channels == 4:
        opacity = np.clip((x[:, 3:] - low) / (high - low), 0, 1)
        return np.moveaxis(opacity * x[:, :3] + (1 - opacity) * high, 1, -1)
    sides = "; give them their sides, x.reshape(-1, H, W)" if x.ndim == 2 else ""
    raise ValueError(
        f"{name}: shape {x.shape}, expected (n, H, W), (n, 1, H, W), (n, 3, H, W), (n, 4, H, W), "
        f"or (n, D) with D a square number{sides}{layout.advice(x.shape[1:])}"
    )


def _stacks(
    what: str, named: Mapping[str, ArrayLike], value_range: tuple[float, float]
) -> list[Floats]:
    """Return the images of each row or frame, checked to agree in number and size."""
    if not named:
        raise ValueError(f"{what}s is empty: pass at least one name with its images")
    stacks = [_images(f"{what} {name!r}", images, value_range) for name, images in named.items()]
    for name, stack in zip(named, stacks, strict=True):
        if stack.shape != stacks[0].shape:
            raise ValueError(
                f"{what} {name!r} is {_size(stack)}, the first {_size(stacks[0])}: pass as many "
                f"images for each {what}, of the same size"
            )
    return stacks


def _curves(curves: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    if not curves:
        raise ValueError("curves is empty: pass at least one name with its cost per epoch")
    checked = {name: _numbers(f"curve {name!r}", costs) for name, costs in curves.items()}
    for name, y in checked.items():
        if y.ndim != 1:
            raise ValueError(
                f"curve {name!r} has shape {y.shape}, expected one number per epoch: take the "
                "mean over each epoch first"
            )
    return checked


def _size(images: Floats) -> str:
    return f"{len(images)} of " + " × ".join(map(str, images.shape[1:]))


def _decoded(decode: Decode, value_range: tuple[float, float], latents: Floats) -> Floats:
    images = _images("decode's images", decode(latents), value_range)
    if len(images) != len(latents):
        raise ValueError(
            f"decode returned {len(images)} images for {len(latents)} latents, expected one for "
            "each: decode every row of its (n, k) argument"
        )
    return images


def _classes(
    labels: ArrayLike, n: int, classes: Sequence[str]
) -> tuple[NDArray[np.intp], dict[int, str]]:
    """Return the number of each sample's class, and the names of the numbers that occur.

    Labels 0 … 9, and labels that ``classes`` names, are class numbers already: they do not depend
    on which other classes occur. Other labels are numbered in sorted order.
    """
    given = np.asarray(labels)
    if given.shape != (n,) or given.dtype.kind not in "iuU":
        raise ValueError(
            f"labels: {given.dtype} of shape {given.shape}, expected integers or text of shape "
            f"({n},): pass the class of each sample"
        )
    values, numbers = np.unique(given, return_inverse=True)
    known = len(classes) or 10
    if given.dtype.kind != "U" and values[0] >= 0 and values[-1] < known:
        return given.astype(np.intp), {int(k): classes[k] if classes else f"{k}" for k in values}
    if classes:
        raise ValueError(
            f"labels: from {values[0]} to {values[-1]}, expected 0 to {known - 1}, as {known} "
            "classes have names: pass one name for each class"
        )
    return numbers, {k: f"{value}" for k, value in enumerate(values)}


def _columns(columns: int | None, n: int) -> int:
    """Return the given number of columns, or as many columns as rows."""
    return math.ceil(math.sqrt(n)) if columns is None else _whole("columns", columns, 1)


def _whole(name: str, value: int, least: int) -> int:
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} is {value!r}, expected a whole number, {least} or more")
    return int(value)
