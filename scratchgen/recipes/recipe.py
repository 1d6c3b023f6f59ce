"""What the command line knows of a model: its settings, how it is built, trained, judged, drawn."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np

from .. import plotting
from ..backend import Array, Generator, generator, to_device, to_host
from ..history import Epoch, History
from ..optim import Optimizer, WeightAverage
from ..progress import watched
from ..stopping import Patience
from ..storage import Checkpoint
from ..training import train
from .data import Data
from .settings import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

S = TypeVar("S", bound=Settings)
Figures: TypeAlias = Iterator[tuple[str, Callable[[], dict[str, str]]]]
"""Figures by name, each with the function that finds it, and says it in one line or some."""
Pictures: TypeAlias = "Iterator[tuple[str, Axes]]"
"""Pictures by name; the title of one says what it shows."""


class Recipe(Generic[S]):
    """A model for the command line; what is stated here is what most of them have in common."""

    LECTURE: S | None = None
    """The settings of the notes, which give none for some models."""
    DIGITS: S
    """Its settings on the small digits, where the command line gives none."""
    MNIST: S
    """Its settings on all other data."""
    kind: type
    """The class of the model."""
    title: str
    unit: str
    """What its costs are counted in."""
    generative = True
    """Whether it has samples to draw, and to judge."""
    drop_last = False
    """Whether the samples of an epoch that fill no batch are left out."""
    n_judged = 2000
    """How many samples are drawn to be judged."""
    sampled = "samples"
    """What ``samples`` gives, as a title says it."""
    drawn = "samples, which are draws in any case"
    """What ``draws`` gives."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """An option for each setting."""
        defaults = {"digits": self.DIGITS, "else": self.MNIST, "lecture": self.LECTURE}
        type(self.MNIST).add_options(parser, {k: v for k, v in defaults.items() if v is not None})

    def parsed(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """The settings among the words of a command line, as values."""
        return type(self.MNIST).parsed(words)

    def settings(self, given: Mapping[str, Any]) -> S:
        """What is given, over the defaults for such data or those of the notes."""
        default = self.DIGITS if given.get("data", "digits") == "digits" else self.MNIST
        if given.get("preset"):
            if self.LECTURE is None:
                raise ValueError(
                    f"--preset lecture: the notes give no settings of the {self.title}, leave it "
                    "out"
                )
            default = self.LECTURE
        return replace(default, **{**default.following(given), **given})

    def shown(self, model: Any) -> dict[str, Any]:
        """Those settings that a model shows by what it is built of, and the pixels of a sample."""
        raise NotImplementedError

    def build(self, settings: S, data: Data, rng: Generator) -> Any:
        """The model for such samples; ``ValueError`` where the settings do not take them."""
        raise NotImplementedError

    def optimizers(self, model: Any, settings: S) -> list[Optimizer]:
        """The model's own, with the learning rate that was asked for."""
        optimizers: list[Optimizer] = model.default_optimizers()
        for optimizer in optimizers:
            optimizer.lr = settings.lr
        return optimizers

    def average(self, model: Any, settings: S) -> WeightAverage | None:
        """The average of its weights that samples and scores are of, if one is kept."""
        return None

    def prepare(self, data: Data) -> Any:
        """What the model trains on."""
        return data.train

    def has_ended(self, history: History, settings: S) -> bool:
        """Whether the training is at its end, though not at its last epoch."""
        return False

    def patience(self, settings: S, history: History, best: Any) -> Patience | None:
        """What ends the training where held-out samples ask for it, and keeps the best weights.

        ``best`` is the model with the best weights of the epochs that are done.
        """
        return None

    def epochs(
        self,
        state: Checkpoint,
        data: Data,
        settings: S,
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
        patience: Patience | None = None,
    ) -> Iterator[Epoch]:
        """Train the model of ``state``, scored after each epoch, until it ends.

        What ``train`` refuses is refused at once.
        """
        assert state.rng is not None
        settings.check_rates(len(state.history))
        samples = self.prepare(data)
        n = len(samples[0] if isinstance(samples, tuple) else samples)
        if self.drop_last and (settings.batch_size or n) > n:
            raise ValueError(
                f"--batch-size {settings.batch_size} leaves no full batch of the {n} samples to "
                f"train on: take --batch-size of at most {n}"
            )
        trained = train(
            state.model,
            samples,
            state.optimizers,
            epochs=settings.epochs,
            batch_size=settings.batch_size or n,
            rng=state.rng,
            drop_last=self.drop_last,
            average=state.average,
            history=state.history,
            progress=progress,
        )

        def is_over() -> bool:
            worse = patience is not None and patience.is_over
            return worse or self.has_ended(state.history, settings)

        def set_rate() -> None:
            for optimizer in state.optimizers:
                optimizer.lr = settings.rate(len(state.history))

        def scored() -> Iterator[Epoch]:
            if state.history and is_over():
                return
            set_rate()
            for epoch in trained:
                rng = generator(settings.seed, settings.device)
                epoch.report.update(self.score(state.averaged_model, data, rng))
                set_rate()
                if patience is not None:
                    patience.note(epoch.report["validation cost"], state.model)
                yield epoch
                if is_over():
                    break

        return scored()

    def score(self, model: Any, data: Data, rng: Generator) -> dict[str, float]:
        """The scores on held-out samples that stand in the line of each epoch."""
        return {}

    def samples(self, model: Any, n: int, rng: Generator) -> Array:
        """n samples, in the range of the data."""
        return model.sample(n, rng)

    def draws(self, model: Any, n: int, rng: Generator) -> Array:
        """n draws from the distribution of the model: the samples, but where these are means."""
        return self.samples(model, n, rng)

    def figures(self, model: Any, data: Data, settings: S, rng: Generator) -> Figures:
        """All that can be said of how good the model is: by name, what finds some lines of it."""
        raise NotImplementedError

    def judge(self, model: Any, data: Data, settings: S, rng: Generator) -> dict[str, str]:
        """The lines of all figures, on held-out samples."""
        return {
            "held-out samples": f"{len(data.test)}",
            **had(self.figures(model, data, settings, rng)),
        }

    def draw(
        self, model: Any, data: Data, settings: S, history: History, rng: Generator
    ) -> Pictures:
        """The pictures that fit the model."""
        raise NotImplementedError

    def animations(self, model: Any, rng: Generator) -> Iterator[tuple[str, dict[str, Array]]]:
        """The moving pictures that fit the model, by name: images, by what stands over them."""
        return iter(())


def had(figures: Figures) -> dict[str, str]:
    """The lines of every figure; for one that cannot be had, why not: the others are as good."""
    lines = {}
    for name, figure in figures:
        try:
            lines.update(figure())
        except (ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
            lines[name] = f"– ({str(error) or 'out of memory'})"
    return lines


def curves_of(history: History, names: Collection[str], unit: str) -> Axes:
    """The curves of these names over the epochs, in the order of the history."""
    curves = {name: y for name, y in history.curves().items() if name in names}
    return plotting.learning_curves(curves, first_epoch=history[0].number, ylabel=unit)


def layers_of(network: Any) -> tuple[Any, ...]:
    """The layers of a Sequential; ``AttributeError`` for a network of another kind."""
    layers: tuple[Any, ...] = network.layers
    return layers


def only_mnist_sized(settings: Settings, data: Data) -> None:
    """The preset of the notes takes images of 784 pixels and nothing else."""
    n_visible = math.prod(data.shape)
    if settings.preset == "lecture" and n_visible != 784:
        raise ValueError(
            f"the preset is for images of 784 pixels, these have {n_visible}: take --data mnist"
        )


def in_parts(f: Callable[[Array], Array], x: Array, rng: Generator, size: int = 1000) -> Array:
    """f(x), one row or number per sample, computed for some samples at a time; on the host."""
    parts = [x[i : i + size] for i in range(0, len(x), size)]
    return np.concatenate(
        [to_host(f(to_device(part, rng))) for part in watched(parts, "evaluating")]
    )


def drawn_in_parts(draw: Callable[[int], Array], n: int, size: int) -> Array:
    """n samples, ``size`` of them at a time; on the host."""
    sizes = [min(size, n - start) for start in range(0, n, size)]
    return np.concatenate([to_host(draw(k)) for k in watched(sizes, "sampling")])


def mean_and_error(x: Array) -> str:
    """The mean of numbers in nats, with its standard error."""
    return f"{x.mean():.2f} ± {x.std() / math.sqrt(len(x)):.2f} nats"
