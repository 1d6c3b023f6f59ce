"""The generative adversarial network on the command line: data on [0, 1], a model on [−1, 1]."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from .. import nn, plotting
from ..backend import Array, Generator, to_host
from ..history import History
from ..models import gan
from ..optim import Optimizer
from .data import Data
from .recipe import (
    Figures,
    Pictures,
    Recipe,
    curves_of,
    from_model,
    in_parts,
    layers_of,
    only_mnist_sized,
    to_model,
)
from .settings import Choice, Flag, GenerativeSettings, Real, Whole, added, setting

N_OUTPUTS = 10_000  # the number of samples in the mean of D(G(z))


@dataclass(frozen=True, kw_only=True)
class GANSettings(GenerativeSettings):
    """Sizes of the networks, the game, and its end."""

    hidden: int = setting(Whole("units of each hidden layer of either network"))
    layers: int = setting(Whole("hidden layers of either network", most=1000))
    slope: float = setting(Real("of their LeakyReLU, below 0", most=1))
    latent: int = setting(Whole("dimensions of the noise"))
    noise: Literal["uniform", "normal"] = setting(
        Choice("what G is given", names=("uniform", "normal"))
    )
    dropout: float = setting(Real("share of D's hidden units that are dropped", most=1, below=True))
    generator_cost: Literal["minimax", "non_saturating", "least_squares"] = setting(
        Choice("what G minimises", names=tuple(gan.GENERATOR_COSTS)), default="non_saturating"
    )
    d_steps: int = setting(Whole("moves of D to each move of G", most=1000), default=1)
    smoothing: float = added(
        Real("share of the real samples that D is told are generated", most=1, below=True),
        default=0.0,
    )
    spectral: bool = added(
        Flag("divide the weights of D's layers by their spectral norms"), default=False
    )
    beta1: float = setting(Real("Adam's first decay rate", most=1, below=True))
    equilibrium: float | None = setting(
        Real(
            "end when D(x) and D(G(z)) were so close to 1/2 for five epochs",
            most=0.5,
            above=True,
            none="never",
        ),
        default=None,
    )


class GANRecipe(Recipe[GANSettings]):
    """The two networks of ``models.gan.dense``; D(x) and D(G(z)) are taken without dropout."""

    kind = gan.GAN
    title = "generative adversarial network"
    unit = "nats"
    sampled = "samples G(z)"
    drop_last = True

    LECTURE = GANSettings(
        preset="lecture",
        data="mnist",
        hidden=100,
        layers=1,
        slope=0.01,
        latent=20,
        noise="uniform",
        dropout=0.5,
        beta1=0.9,
        epochs=100,
        batch_size=64,
        lr=1e-3,
    )
    MNIST = replace(LECTURE, preset=None)
    # The small digits take larger networks and more epochs.
    DIGITS = replace(
        MNIST,
        data="digits",
        hidden=256,
        layers=2,
        slope=0.2,  # and β₁ = ½: Radford et al. 2016, section 3
        noise="normal",
        dropout=0.4,
        beta1=0.5,
        epochs=600,
        batch_size=32,
        lr=2e-4,
    )
    TOY = replace(
        DIGITS,
        data="ring",
        hidden=64,
        latent=4,
        dropout=0.0,
        d_steps=3,
        schedule="cosine",
        epochs=100,
        batch_size=256,
        lr=2e-3,
    )

    def shown(self, model: gan.GAN) -> dict[str, Any]:
        """The sizes of the networks, the noise, and the game."""
        of_G, of_D = layers_of(model.generator), layers_of(model.discriminator)
        return {
            "hidden": of_G[0].weight.shape[0],
            "layers": sum(isinstance(layer, nn.LeakyReLU) for layer in of_G),
            "slope": of_G[1].slope,
            "latent": model.n_latent,
            "noise": model.noise,
            "dropout": of_D[2].p,
            "generator_cost": model.generator_cost,
            "d_steps": model.d_steps,
            "smoothing": model.smoothing,
            "spectral": isinstance(of_D[0], nn.SpectralLinear),
            "pixels": of_D[0].weight.shape[1] - (model.n_classes or 0),
        }

    def build(self, settings: GANSettings, data: Data, rng: Generator) -> gan.GAN:
        """Build the model for samples with this many numbers."""
        only_mnist_sized(settings, data)
        if not plotting.is_plane(data.shape):
            data.check_unit_interval("a GAN")
        pixels, s = math.prod(data.shape), settings
        K, sizes = self.n_classes(data), (pixels, s.hidden, s.latent)
        bounded = not plotting.is_plane(data.shape)
        networks = gan.dense(*sizes, rng, s.dropout, s.layers, s.slope, K, bounded, s.spectral)
        game = s.noise, s.generator_cost, s.d_steps, K, s.smoothing
        return gan.GAN(networks.generator, networks.discriminator, s.latent, *game)

    def optimizers(self, model: gan.GAN, settings: GANSettings) -> list[Optimizer]:
        """One Adam for each network."""
        return model.adam(settings.lr, settings.beta1)

    def prepare(self, data: Data) -> Any:
        """2x − 1, on [−1, 1], or points of the plane as they are."""
        return self.paired(to_model(data.train), data.train_labels)

    def samples(self, model: gan.GAN, n: int, rng: Generator, labels: Any = None) -> Array:
        """(G(z) + 1)/2, on [0, 1], or points of the plane as they are."""
        return from_model(model.sample(n, rng, labels))

    def score(self, model: gan.GAN, data: Data, rng: Generator) -> dict[str, float]:
        """D(x) of held-out samples: it is lower if D has memorised its training samples."""
        return {"D(held out)": float(self._outputs(model, self.test(data), rng).mean())}

    def has_ended(self, history: History, settings: GANSettings) -> bool:
        """Whether D has answered ½ for five epochs, if ``equilibrium`` is set."""
        tolerance = settings.equilibrium
        return tolerance is not None and gan.at_equilibrium(history, tolerance)

    def figures(self, model: gan.GAN, data: Data, settings: GANSettings, rng: Generator) -> Figures:
        """The outputs of D, without and with dropout."""
        G = to_host(self.samples(model, N_OUTPUTS, rng))

        def outputs(name: str, x: Any) -> dict[str, str]:
            without, with_dropout = (
                self._outputs(model, x, rng, dropout).mean() for dropout in (False, True)
            )
            return {
                f"{name}, without dropout": f"{without:.4f}",
                f"{name}, with dropout": f"{with_dropout:.4f}",
            }

        names = "D(x) of samples trained on", "D(x) of samples held out", "D(G(z))"
        of_data = self.paired(data.train, data.train_labels), self.test(data)
        of_G = self.paired(G, self.asked(model, N_OUTPUTS))
        for name, x in zip(names, (*of_data, of_G), strict=True):
            yield name, functools.partial(outputs, name, x)

    def draw(
        self, model: gan.GAN, data: Data, settings: GANSettings, history: History, rng: Generator
    ) -> Pictures:
        """The notes' two pictures of the game: the costs of both players, and the outputs of D."""
        if history:
            curves = history.curves()
            costs = {"G": curves["G"], "D / 2": [cost / 2 for cost in curves["D"]]}
            first = history[0].number
            losses = plotting.learning_curves(costs, first_epoch=first, ylabel="nats")
            yield "losses", plotting.titled(losses, "the costs of both players")
            outputs = ("D(x)", "D(G(z))", "D(held out)")
            ax = curves_of(history, outputs, "output of D, without dropout")
            ax.axhline(0.5, color="0.6", linewidth=0.8, zorder=0)
            yield "outputs", plotting.titled(ax, "what D takes for real")

    def _outputs(self, model: gan.GAN, x: Any, rng: Generator, dropout: bool = False) -> Array:
        """The outputs of D for samples on [0, 1]; on the host."""
        frozen = model.frozen()

        def D(part: Array, *labels: Array) -> Array:
            rows = to_model(part).astype(model.dtype).reshape(len(part), -1)
            out = frozen.logits(rows, rng if dropout else None, *labels)
            return out if model.generator_cost == "least_squares" else 1 / (1 + np.exp(-out))

        return in_parts(D, x, rng)
