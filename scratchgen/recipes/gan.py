"""The generative adversarial network on the command line: data on [0, 1], a model on [−1, 1]."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import metrics, plotting
from ..backend import Array, Generator, to_host
from ..models import gan
from ..optim import Optimizer
from ..storage import Checkpoint
from ..training import History
from .data import Data
from .recipe import Recipe, in_parts, only_mnist_sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class GANRecipe(Recipe):
    """The two networks of ``models.gan.dense``; D(x) and D(G(z)) are those without dropout."""

    title = "generative adversarial network"
    unit = "nats"
    sampled = "samples G(z)"
    drop_last = True

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Sizes, the game, and when it ends."""
        add = parser.add_argument
        add("--hidden", type=int, help="units of each hidden layer of either network")
        add("--layers", type=int, help="hidden layers of either network")
        add("--slope", type=float, help="of their LeakyReLU, below 0")
        add("--latent", type=int, help="dimensions of the noise")
        add("--noise", choices=["uniform", "normal"])
        add("--dropout", type=float, help="share of D's hidden units that are dropped")
        add("--generator-cost", choices=[*gan.GENERATOR_COSTS])
        add("--d-steps", type=int, help="moves of D to each move of G")
        add("--beta1", type=float, help="Adam's first decay rate")
        add(
            "--equilibrium",
            type=float,
            metavar="TOLERANCE",
            help="end when D(x) and D(G(z)) were so close to 1/2 for five epochs (default: never)",
        )

    def settings(self, data: str, lecture: bool) -> dict[str, Any]:
        """Those of the notes; on the small digits, larger networks and more epochs."""
        notes = {
            "hidden": 100,
            "layers": 1,
            "slope": 0.01,
            "latent": 20,
            "noise": "uniform",
            "dropout": 0.5,
            "generator_cost": "non_saturating",
            "d_steps": 1,
            "beta1": 0.9,
            "equilibrium": None,
            "epochs": 100,
            "batch_size": 64,
            "lr": 1e-3,
        }
        if lecture or data != "digits":
            return notes
        return {
            **notes,
            "hidden": 256,
            "layers": 2,
            "slope": 0.2,  # and β₁ = ½: Radford et al. 2016, section 3
            "noise": "normal",
            "dropout": 0.4,
            "beta1": 0.5,
            "epochs": 600,
            "batch_size": 32,
            "lr": 2e-4,
        }

    def build(self, settings: Mapping[str, Any], data: Data, rng: Generator) -> gan.GAN:
        """The model, for as many numbers as a sample has."""
        only_mnist_sized(settings, data)
        data.check_unit_interval("a GAN")
        networks = gan.dense(
            math.prod(data.shape),
            settings["hidden"],
            settings["latent"],
            rng,
            settings["dropout"],
            settings["layers"],
            settings["slope"],
        )
        return gan.GAN(
            networks.generator,
            networks.discriminator,
            settings["latent"],
            settings["noise"],
            settings["generator_cost"],
            settings["d_steps"],
        )

    def optimizers(self, model: gan.GAN, settings: Mapping[str, Any]) -> list[Optimizer]:
        """An Adam for either."""
        return model.adam(settings["lr"], settings["beta1"])

    def prepare(self, data: Data) -> Array:
        """2x − 1, on [−1, 1]."""
        return 2 * data.train - 1

    def samples(self, model: gan.GAN, n: int, rng: Generator) -> Array:
        """(G(z) + 1)/2, on [0, 1]."""
        return 0.5 * (model.sample(n, rng) + 1)

    def score(self, model: gan.GAN, data: Data, rng: Generator) -> dict[str, float]:
        """D(x) of samples that D was not trained on: lower, where it has learnt others by heart."""
        return {"D(held out)": float(self._outputs(model, data.test, rng).mean())}

    def between_epochs(self, state: Checkpoint, settings: Mapping[str, Any]) -> bool:
        """Whether D has answered ½ for five epochs, if that is to end the training."""
        tolerance = settings["equilibrium"]
        return tolerance is not None and gan.at_equilibrium(state.history, tolerance)

    def judge(
        self, model: gan.GAN, data: Data, settings: Mapping[str, Any], rng: Generator
    ) -> dict[str, str]:
        """D's outputs without and with dropout, and the MMD² beside its floor."""
        judged = {}
        G = np.concatenate([to_host(self.samples(model, 1000, rng)) for _ in range(10)])
        for name, x in {
            "D(x) of samples trained on": data.train,
            "D(x) of samples held out": data.test,
            "D(G(z))": G,
        }.items():
            judged[f"{name}, without dropout"] = f"{self._outputs(model, x, rng).mean():.4f}"
            with_dropout = self._outputs(model, x, rng, dropout=True)
            judged[f"{name}, with dropout"] = f"{with_dropout.mean():.4f}"
        n = min(2000, len(data.test))
        order = np.random.default_rng(0).permutation(len(data.test))[: 2 * n]
        reals = data.test[order].reshape(len(order), -1)
        if len(reals) < 4:
            return judged | {"MMD²": f"none: it takes 4 samples held out, these are {len(reals)}"}
        try:
            metrics.median_bandwidth(reals[len(reals) // 2 :])
        except ValueError:
            return judged | {"MMD²": "none: most of the samples held out are equal"}
        for name, estimate in {
            "unbiased": metrics.mmd2_unbiased,
            "biased": metrics.mmd2_biased,
        }.items():
            score = metrics.against_floor(G, reals, estimate=estimate)
            judged[f"MMD² of {len(reals) // 2} samples, {name}, σ = {score.bandwidth:.2f}"] = (
                f"{score.value:.5f}; of real samples {score.floor:.5f}"
            )
        return judged

    def draw(
        self,
        model: gan.GAN,
        data: Data,
        settings: Mapping[str, Any],
        history: History,
        rng: Generator,
    ) -> Iterator[tuple[str, Axes]]:
        """The notes' two pictures of the game: the costs of both, and what D answers."""
        if history:
            curves = history.curves()
            costs = {"G": curves["G"], "D / 2": [cost / 2 for cost in curves["D"]]}
            first = history[0].number
            losses = plotting.learning_curves(costs, first_epoch=first, ylabel="nats")
            yield "losses", plotting.titled(losses, "the costs of both players")
            names = ("D(x)", "D(G(z))", "D(held out)")
            outputs = {name: curves[name] for name in names if name in curves}
            ax = plotting.learning_curves(
                outputs, first_epoch=first, ylabel="output of D, without dropout"
            )
            ax.axhline(0.5, color="0.6", linewidth=0.8, zorder=0)
            yield "outputs", plotting.titled(ax, "what D takes for real")

    def _outputs(self, model: gan.GAN, x: Array, rng: Generator, dropout: bool = False) -> Array:
        """D of samples on [0, 1]; on the host."""
        frozen = model.frozen()

        def D(part: Array) -> Array:
            rows = (2 * part - 1).astype(model.dtype).reshape(len(part), -1)
            return 1 / (1 + np.exp(-frozen.logits(rows, rng if dropout else None)))

        return in_parts(D, x, rng)
