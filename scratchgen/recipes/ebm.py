"""The energy-based model on the command line, which maps images from [0, 1] to [−1, 1].

Points of the plane are not scaled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_host
from ..history import History
from ..metrics.grid import log_partition_on_grid
from ..models import EnergyModel
from ..models.energy import MALA, Langevin, Sampler, Tempered
from ..models.feed_forward import dense
from ..optim import Adam, Optimizer
from .data import Data
from .recipe import (
    Bits,
    Figures,
    Recipe,
    beside_the_truth,
    drawn_in_parts,
    from_model,
    in_parts,
    layers_of,
    mean_and_error,
    to_model,
)
from .settings import AveragedSettings, Choice, Real, Whole, Wholes, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLERS: dict[str, type[Sampler]] = {"langevin": Langevin, "mala": MALA, "tempered": Tempered}
STEPS = 1000  # the length of the chains that draw samples
TEMPERED = 0.03  # the default noise of the tempered sampler
GRID = 400  # the number of points per side of the grid for log Z
CELLS = 200  # the number of cells per side in the picture of the density
DEPTH = 10  # the picture shows log p down to this many nats below its maximum


@dataclass(frozen=True, kw_only=True)
class EBMSettings(AveragedSettings):
    """The network, the chains, and the optimizer."""

    hidden: tuple[int, ...] = setting(Wholes("units of each hidden layer"))
    sampler: Literal["langevin", "mala", "tempered"] = setting(
        Choice("the sampler of the chains, in training and after it", names=tuple(SAMPLERS))
    )
    steps: int = setting(Whole("steps of each chain per update"))
    step: float = setting(Real("ε, the size of a step", above=True))
    noise: float | None = setting(
        Real("standard deviation of the noise of a tempered step", none="√(2ε)"),
        default=None,
    )
    chains: Literal["data", "buffer", "persistent"] = setting(
        Choice("the start of the chains in training", names=("data", "buffer", "persistent"))
    )
    n_chains: int = setting(Whole("the number of stored chains, unless chains start at the data"))
    fresh: float = setting(Real("the share of a buffer's chains that start anew", most=1))
    alpha: float = setting(Real("α: α (E(x)² + E(x′)²) is added to the cost"))
    detail: float = setting(
        Real(
            "the first layer's weights start 1/X as large, for a density with details of size X",
            above=True,
        )
    )
    beta1: float = setting(Real("Adam's first decay rate", most=1, below=True))

    @classmethod
    def following(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the noise that follows from the sampler: only the tempered sampler has one."""
        if "sampler" not in given:
            return {}
        return {"noise": TEMPERED if given["sampler"] == "tempered" else None}

    def chain(self) -> Sampler:
        """Return the sampler; ``ValueError`` for a missing or superfluous noise setting."""
        if (self.noise is None) == (self.sampler == "tempered"):
            raise ValueError(
                f"--sampler {self.sampler} takes "
                f"{'a' if self.noise is None else 'no'} --noise: that of the tempered sampler is "
                "a setting, that of the others follows from their step"
            )
        if self.noise is not None:
            return Tempered(self.steps, self.step, self.noise)
        return SAMPLERS[self.sampler](self.steps, self.step)


class EBMRecipe(Recipe[EBMSettings]):
    """An energy-based model whose energy is given by layers of SiLU units."""

    kind = EnergyModel
    title = "energy-based model"
    unit = "nats"
    sampled = f"ends of new chains of {STEPS} steps"
    drawn = "ends of new chains, which are draws in any case"

    TOY = EBMSettings(
        data="ring",
        hidden=(64, 64),
        sampler="mala",
        steps=10,
        step=0.05,
        chains="buffer",
        n_chains=4000,
        fresh=0.02,
        alpha=0.02,
        detail=0.2,
        beta1=0.9,
        ema=0.995,
        schedule="cosine",
        epochs=100,
        batch_size=200,
        lr=5e-3,
    )
    MNIST = replace(
        TOY,
        data="mnist",
        hidden=(256, 256),
        sampler="tempered",
        steps=20,
        step=0.5,
        noise=TEMPERED,
        n_chains=2000,
        fresh=0.05,
        alpha=0.1,
        detail=1.0,
        beta1=0.0,
        ema=0.99,
        epochs=10,
        batch_size=128,
        lr=1e-3,
    )
    DIGITS = replace(MNIST, data="digits", epochs=150, batch_size=64)

    def shown(self, model: EnergyModel) -> dict[str, Any]:
        """Return the settings of the network and of the chains."""
        layers = layers_of(model.network)[1:-1:2]
        (sampler,) = (name for name, kind in SAMPLERS.items() if type(model.sampler) is kind)
        return {
            "hidden": tuple(layer.weight.shape[0] for layer in layers),
            "sampler": sampler,
            "steps": model.sampler.steps,
            "step": model.sampler.step,
            "noise": getattr(model.sampler, "noise", None),
            "chains": model.chains,
            "n_chains": model.n_chains,
            "fresh": model.fresh,
            "alpha": model.alpha,
            "pixels": math.prod(model.shape),
        }

    def build(self, settings: EBMSettings, data: Data, rng: Generator) -> EnergyModel:
        """Build the model for these samples; its chains start in the box that contains them."""
        if not plotting.is_plane(data.shape):
            data.check_unit_interval("an energy-based model")
        network = dense(data.shape, 1, rng, settings.hidden, "silu")
        network.parameters()[0].data[...] /= settings.detail
        reach = max(float(np.abs(to_model(x)).max()) for x in (data.train, data.test))
        return EnergyModel(
            network,
            data.shape,
            settings.chain(),
            settings.chains,
            rng=rng,
            n_chains=settings.n_chains,
            fresh=settings.fresh,
            low=-reach,
            high=reach,
            alpha=settings.alpha,
        )

    def optimizers(self, model: EnergyModel, settings: EBMSettings) -> list[Optimizer]:
        """Return Adam with the given β₁."""
        return [Adam(model.parameters(), settings.lr, (settings.beta1, 0.999))]

    def prepare(self, data: Data) -> Array:
        """Return images as 2x − 1, on [−1, 1], and points unchanged."""
        return to_model(data.train)

    def samples(self, model: EnergyModel, n: int, rng: Generator) -> Array:
        """Return the ends of new chains."""

        def draw(part: slice) -> list[Array]:
            return [model.sample(part.stop - part.start, rng, STEPS)]

        return from_model(drawn_in_parts(draw, n, rng, 1000))

    def compared(self, model: EnergyModel, n: int, rng: Generator) -> dict[str, Array]:
        """Return the ends of new chains, and the chains of the training, which are much longer."""
        kinds = {f"new chains of {STEPS} steps": self.samples(model, n, rng)}
        if model.chains != "data":
            kept = model.kept(min(n, model.n_chains), rng)
            kinds[f"chains of the training ({model.chains})"] = from_model(kept)
        return kinds

    def score(self, model: EnergyModel, data: Data, rng: Generator) -> dict[str, float]:
        """Return the mean energy of held-out samples, up to a constant that moves in training.

        It rises above the mean energy of the training samples if the model memorises them.
        """
        return {"E(held out)": float(_energies(model, data.test, rng).mean())}

    def bits_per_dim(
        self, model: EnergyModel, data: Data, settings: EBMSettings, rng: Generator
    ) -> Bits | str:
        """Return the reason why there are none."""
        return "– (log Z unknown)"

    def figures(
        self, model: EnergyModel, data: Data, settings: EBMSettings, rng: Generator
    ) -> Figures:
        """Yield the energies of data, chains and noise, and the exact likelihood of points."""

        def likelihood() -> dict[str, str]:
            half_width = _half_width(model)
            log_z = _log_partition(model, rng)
            nll = _energies(model, data.test, rng) + log_z
            return {
                "−log p(x)": mean_and_error(nll),
                "  log Z": f"{log_z:.3f}, by a grid of {GRID} × {GRID} points on "
                f"[−{half_width:.3g}, {half_width:.3g}]²",
                **beside_the_truth(nll, data),
            }

        def energies() -> dict[str, str]:
            few, noise = data.train[: len(data.test)], from_model(model.noise(1000, rng))
            of = {"data trained on": few, "uniform noise": noise}
            of |= self.compared(model, 1000, rng)
            held_out = _energies(model, data.test, rng).mean()
            return {
                f"mean E(x) − E(held out), {name}": (
                    f"{_energies(model, x, rng).mean() - held_out:.2f} nats"
                )
                for name, x in of.items()
            }

        if plotting.is_plane(data.shape):
            yield "−log p(x)", likelihood
        yield "mean E(x)", energies

    def draw(
        self,
        model: EnergyModel,
        data: Data,
        settings: EBMSettings,
        history: History,
        rng: Generator,
    ) -> Iterator[tuple[str, Axes]]:
        """Yield the density over the plane, or new chains by step and the chains of training."""
        kept = None
        if model.chains != "data":
            most = 1000 if plotting.is_plane(data.shape) else 64
            kept = to_host(from_model(model.kept(min(most, model.n_chains), rng)))
        said = f"chains of the training ({model.chains})"
        if plotting.is_plane(data.shape):
            points = {said: kept} if kept is not None else {}
            yield "density", _density(model, points, rng)
            return
        if not plotting.is_image(data.shape):
            return
        span = data.value_range
        if kept is not None:
            grid = plotting.image_grid(kept.reshape(-1, *data.shape), value_range=span)
            yield "chains", plotting.titled(grid, said)
        x, rows, energy = model.noise(10, rng), {}, model.frozen().energy
        calls = math.ceil(STEPS / model.sampler.steps)
        shown = {0, *np.geomspace(1, calls, 5).round().astype(int).tolist()}
        for call in range(calls + 1):
            if call in shown:
                row = to_host(from_model(x)).reshape(-1, *data.shape)
                rows[f"step {call * model.sampler.steps}"] = row
            x, _ = model.sampler(energy, x, rng)
        table = plotting.image_table(rows, value_range=span)
        yield "new_chains", plotting.titled(table, "new chains, from noise on")


def _energies(model: EnergyModel, x: Array, rng: Generator) -> Array:
    """Return E of samples in the range of the data, on the host in float64."""
    energy = model.frozen().energy
    return in_parts(lambda part: energy(to_model(part).astype(model.dtype)), x, rng).astype(
        np.float64
    )


def _half_width(model: EnergyModel) -> float:
    """Return half the width of a square 1.5 times as wide as the box in which chains start."""
    return 1.5 * model.high


def _log_partition(model: EnergyModel, rng: Generator) -> float:
    """Return log Z as a sum over the grid; ``ValueError`` if the density exceeds the square."""
    like = model.noise(1, rng)
    return log_partition_on_grid(model.frozen().energy, like, _half_width(model), GRID)


def _density(model: EnergyModel, points: dict[str, Array], rng: Generator) -> Axes:
    """Draw log p over the square, down to ``DEPTH`` below its maximum, under the points."""
    half_width = _half_width(model)
    side = plotting.cell_centres(half_width, CELLS)
    at = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    log_p = -_energies(model, at, rng).reshape(CELLS, CELLS)
    try:
        log_p, label = log_p - _log_partition(model, rng), "log p, nats"
    except ValueError:  # some of the probability lies beyond the square
        label = "−E, nats"
    ax = plotting.plane(
        points,
        heights=np.maximum(log_p, log_p.max() - DEPTH),
        half_width=half_width,
        label=f"{label}, no lower than {DEPTH} below its top",
    )
    return plotting.titled(ax, "the density")
