"""The score model on the command line, which maps images from [0, 1] to [−1, 1].

Points of the plane are not scaled.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..datasets.toys import ring_score
from ..history import History
from ..models import DenseDenoiser, ScoreModel, UNet
from ..models.diffusion.score import annealing_step, geometric_ladder
from .data import Data
from .ddpm import image_shape, unet_for
from .recipe import Figures, Recipe, drawn_in_parts, from_model, in_parts, to_model
from .settings import AveragedSettings, Choice, Real, Whole, Wholes, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = 500  # the number of samples drawn, or evaluated, at a time
STEPS = 20  # the number of Langevin steps at each level
LEVELS = 4  # the number of levels in the evaluation and in the pictures
ARROWS = 25  # the number of arrows per side in the picture of a score


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(AveragedSettings):
    """The network, the ladder of noise, and the average of weights."""

    network: str = setting(Choice("the network that gives the score", names=("unet", "dense")))
    width: int = setting(
        Whole("channels of the U-Net at full size", least=8, most=1024, step=8), default=16
    )
    hidden: tuple[int, ...] = setting(
        Wholes("units of each hidden layer of the dense network"), default=(128, 128, 128)
    )
    levels: int = setting(Whole("number of noise levels", least=2, most=1000))
    largest: float = setting(Real("σ₁, the largest level, on data from −1 to 1", above=True))
    smallest: float = setting(Real("σ_L, the smallest level", above=True))
    spread: float = setting(Real("s: the network gets x/√(s² + σ²)", above=True), default=0.5)


class ScoreRecipe(Recipe[ScoreSettings]):
    """A U-Net, or a dense network, that gives the score at each level of noise."""

    kind = ScoreModel
    title = "score-based model"
    unit = "½ ‖σ s + z‖²"
    sampled = "samples by annealed Langevin dynamics"
    n_judged = 500

    DIGITS = ScoreSettings(
        data="digits",
        network="unet",
        levels=12,
        largest=3.0,
        smallest=0.03,
        spread=0.75,
        ema=0.99,
        schedule="cosine",
        epochs=60,
        batch_size=64,
        lr=2e-3,
    )
    MNIST = replace(
        DIGITS, data="mnist", width=32, largest=10.0, levels=20, ema=0.999, epochs=5, lr=1e-3
    )
    TOY = replace(
        DIGITS,
        data="ring",
        network="dense",
        levels=10,
        smallest=0.05,
        spread=0.2,
        ema=0.995,
        epochs=300,
        batch_size=100,
        lr=5e-3,
    )

    def shown(self, model: ScoreModel) -> dict[str, Any]:
        """Return the settings of the network and of the ladder."""
        shown = {
            "levels": len(model.sigmas),
            "largest": model.sigmas[0],
            "smallest": model.sigmas[-1],
            "spread": model.spread,
            "pixels": math.prod(model.shape),
        }
        if isinstance(model.network, UNet):
            return {**shown, "network": "unet", "width": model.network.width}
        return {**shown, "network": "dense", "hidden": model.network.hidden}

    def build(self, settings: ScoreSettings, data: Data, rng: Generator) -> ScoreModel:
        """Build the model for samples of this shape."""
        if not plotting.is_plane(data.shape):
            data.check_unit_interval("a score model")
        network: Any
        if settings.network == "dense":
            shape = _shape(data)
            network = DenseDenoiser(math.prod(shape), settings.hidden, rng=rng)
        else:
            shape = image_shape(data, "a score model with --network unet, not dense,")
            network = unet_for(shape, settings.width, rng, "dense")
        ladder = geometric_ladder(settings.largest, settings.smallest, settings.levels)
        return ScoreModel(network, shape, ladder, settings.spread)

    def prepare(self, data: Data) -> Array:
        """Return images as 2x − 1, on [−1, 1], with channels, and points unchanged."""
        return _given(data, data.train)

    def samples(self, model: ScoreModel, n: int, rng: Generator) -> Array:
        """Return the ends of annealed chains."""

        def levels(part: slice) -> Iterator[Array]:
            noise = model.noise(part.stop - part.start, rng)
            return (x for _, x in model.anneal(noise, rng, STEPS))

        n_levels = len(model.sigmas) + 1
        return from_model(drawn_in_parts(levels, n, rng, PARTS, "annealing", n_levels))

    def compared(self, model: ScoreModel, n: int, rng: Generator) -> dict[str, Array]:
        """Return the ends of annealed chains, and the ends of the probability flow."""
        *_, (_, ends) = model.flow(model.noise(n, rng))
        return {
            f"{n} by annealed Langevin dynamics": self.samples(model, n, rng),
            f"{n} by the probability flow": from_model(to_host(ends)),
        }

    def score(self, model: ScoreModel, data: Data, rng: Generator) -> dict[str, float]:
        """Return the cost of up to 1000 held-out samples, averaged over all levels."""
        few = data.test[:1000]
        costs = [_errors(model, data, few, sigma, rng)[:, 0].mean() for sigma in model.sigmas]
        return {"test cost": float(np.mean(costs))}

    def figures(
        self, model: ScoreModel, data: Data, settings: ScoreSettings, rng: Generator
    ) -> Figures:
        """Yield the cost at some levels, and for the ring the cost of its exact score."""

        def cost(name: str, sigma: float) -> dict[str, str]:
            ours, exact = _errors(model, data, data.test, sigma, rng).T
            lines = {name: _mean_and_error(ours)}
            if data.name == "ring":
                lines[f"  of the exact score, at σ = {sigma:.3g}"] = _mean_and_error(exact)
                lines[f"  above that by, at σ = {sigma:.3g}"] = _mean_and_error(ours - exact)
            return lines

        def nothing() -> dict[str, str]:
            return {
                "½ ‖z‖², the cost of no score": f"{math.prod(model.shape) / 2:g}",
                "ε, the step at the smallest level": f"{annealing_step(model.sigmas, STEPS):.3g}",
            }

        yield "½ ‖z‖²", nothing
        for sigma in _some(model):
            name = f"½ ‖σ s + z‖² at σ = {sigma:.3g}"
            yield name, functools.partial(cost, name, sigma)

    def draw(
        self,
        model: ScoreModel,
        data: Data,
        settings: ScoreSettings,
        history: History,
        rng: Generator,
    ) -> Iterator[tuple[str, Axes]]:
        """Yield pictures of chains from noise to data, over arrows of the score or as images."""
        plane, levels = plotting.is_plane(data.shape), _some(model)
        if not (plane or plotting.is_image(data.shape)):
            return
        start = model.noise(len(data.test[:1000]) if plane else 10, rng)
        path = {sigma: x for sigma, x in model.anneal(start, rng, STEPS) if sigma in (*levels, 0)}
        if not plane:
            rows = {
                f"σ = {sigma:.2g}" if sigma else "samples": from_model(to_host(x)).reshape(
                    -1, *data.shape
                )
                for sigma, x in path.items()
            }
            table = plotting.image_table(rows, value_range=data.value_range)
            yield "annealing", plotting.titled(table, "chains at the end of each of some levels")
            return
        for k, sigma in enumerate(levels, 1):
            half_width = 1.2 * float(max(np.abs(data.test).max(), sigma))
            side = plotting.cell_centres(half_width, ARROWS)
            at = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(model.dtype)
            arrows = to_host(model.frozen().score(to_device(at, rng), sigma))
            ax = plotting.plane(
                {"chains": to_host(path[sigma])},
                arrows=arrows.reshape(ARROWS, ARROWS, 2),
                half_width=half_width,
            )
            yield f"score-{k}", plotting.titled(ax, f"the score, and chains, at σ = {sigma:.3g}")


def _shape(data: Data) -> tuple[int, ...]:
    """Return the shape of a sample, with a channel if it is a grey image."""
    return (1, *data.shape) if len(data.shape) == 2 else data.shape


def _given(data: Data, x: Array) -> Array:
    """Return samples of the data in the range and shape of the model."""
    return to_model(x).reshape(len(x), *_shape(data))


def _some(model: ScoreModel) -> list[float]:
    """Return some of the levels, from the largest to the smallest."""
    places = np.linspace(0, len(model.sigmas) - 1, min(LEVELS, len(model.sigmas)))
    return [model.sigmas[k] for k in places.round().astype(int)]


def _errors(model: ScoreModel, data: Data, x: Array, sigma: float, rng: Generator) -> Array:
    """Return ½ ‖σ s + z‖² of the model and of the ring's exact score: (n, 2), on the host."""
    frozen = model.frozen()

    def errors(part: Array) -> Array:
        part = _given(data, part).astype(model.dtype)
        z = rng.standard_normal(part.shape, dtype=part.dtype)
        ours = frozen.errors(part, sigma, z)
        exact = np.zeros_like(ours)
        if data.name == "ring":
            exact = 0.5 * ((sigma * ring_score(part + sigma * z, sigma) + z) ** 2).sum(axis=1)
        return np.stack([ours, exact], axis=1)

    return in_parts(errors, x, rng, PARTS).astype(np.float64)


def _mean_and_error(x: Array) -> str:
    """Return the mean with its standard error."""
    return f"{x.mean():.4f} ± {x.std() / math.sqrt(len(x)):.4f}"
