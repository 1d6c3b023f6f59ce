"""What the command line knows of a model: its settings, how it is built, trained, judged, drawn."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Array, Generator, generator, to_device, to_host
from ..optim import Optimizer
from ..progress import watched
from ..storage import Checkpoint
from ..training import Epoch, History, train
from .data import Data

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Recipe:
    """A model for the command line; what is stated here is what most of them have in common."""

    title: str
    unit: str
    """What its costs are counted in."""
    generative = True
    """Whether it has samples to draw, and to judge."""
    sampled = "samples"
    """What ``samples`` gives, as a title says it."""
    drop_last = False
    """Whether the samples of an epoch that fill no batch are left out."""
    n_judged = 2000
    """How many samples are drawn to be judged."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Those settings that are its own."""

    def settings(self, data: str, lecture: bool) -> dict[str, Any]:
        """Its settings where the command line gives none: for that data, or those of the notes."""
        raise NotImplementedError

    def build(self, settings: Mapping[str, Any], data: Data, rng: Generator) -> Any:
        """The model for such samples; ``ValueError`` where the settings do not take them."""
        raise NotImplementedError

    def optimizers(self, model: Any, settings: Mapping[str, Any]) -> list[Optimizer]:
        """The model's own, with the learning rate that was asked for."""
        optimizers: list[Optimizer] = model.default_optimizers()
        for optimizer in optimizers:
            optimizer.lr = settings["lr"]
        return optimizers

    def prepare(self, data: Data) -> Any:
        """What the model trains on."""
        return data.train

    def between_epochs(self, state: Checkpoint, settings: Mapping[str, Any]) -> bool:
        """Set what changes from epoch to epoch; whether the training ends here."""
        return False

    def epochs(
        self,
        state: Checkpoint,
        data: Data,
        settings: Mapping[str, Any],
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
    ) -> Iterator[Epoch]:
        """Train the model of ``state``, scored after each epoch, until it ends.

        What ``train`` refuses is refused at once.
        """
        assert state.rng is not None
        if state.history and self.between_epochs(state, settings):
            return iter(())  # it had ended, though not at its last epoch
        trained = train(
            state.model,
            self.prepare(data),
            state.optimizers,
            epochs=settings["epochs"],
            batch_size=settings["batch_size"],
            rng=state.rng,
            drop_last=self.drop_last,
            history=state.history,
            progress=progress,
        )

        def scored() -> Iterator[Epoch]:
            for epoch in trained:
                rng = generator(settings["seed"], settings["device"])
                epoch.report.update(self.score(state.model, data, rng))
                ends = self.between_epochs(state, settings)
                yield epoch
                if ends:
                    break

        return scored()

    def score(self, model: Any, data: Data, rng: Generator) -> dict[str, float]:
        """The scores on held-out samples that stand in the line of each epoch."""
        return {}

    def samples(self, model: Any, n: int, rng: Generator) -> Array:
        """n samples, in the range of the data."""
        return model.sample(n, rng)

    def judge(
        self, model: Any, data: Data, settings: Mapping[str, Any], rng: Generator
    ) -> dict[str, str]:
        """All that can be said of how good the model is."""
        raise NotImplementedError

    def draw(
        self,
        model: Any,
        data: Data,
        settings: Mapping[str, Any],
        history: History,
        rng: Generator,
    ) -> Iterator[tuple[str, Axes]]:
        """The pictures that fit the model, by name; the title of one says what it shows."""
        raise NotImplementedError

    def animations(self, model: Any, rng: Generator) -> Iterator[tuple[str, dict[str, Array]]]:
        """The moving pictures that fit the model, by name: images, by what stands over them."""
        return iter(())


def only_mnist_sized(settings: Mapping[str, Any], data: Data) -> None:
    """The preset of the notes takes images of 784 pixels and nothing else."""
    n_visible = math.prod(data.shape)
    if settings["preset"] == "lecture" and n_visible != 784:
        raise ValueError(
            f"the preset is for images of 784 pixels, these have {n_visible}: take --data mnist"
        )


def in_parts(f: Callable[[Array], Array], x: Array, rng: Generator, size: int = 1000) -> Array:
    """f(x), one row or number per sample, computed for some samples at a time; on the host."""
    parts = [x[i : i + size] for i in range(0, len(x), size)]
    return np.concatenate(
        [to_host(f(to_device(part, rng))) for part in watched(parts, "evaluating")]
    )


def mean_and_error(x: Array) -> str:
    """The mean of numbers in nats, with its standard error."""
    return f"{x.mean():.2f} ± {x.std() / math.sqrt(len(x)):.2f} nats"
