"""A recipe: how the command line sets up, builds, trains, evaluates and draws a model."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np

from .. import plotting
from ..backend import (
    Array,
    Generator,
    generator,
    generator_state,
    set_generator_state,
    to_device,
    to_host,
)
from ..datasets.toys import TOYS, log_density
from ..history import Epoch, History
from ..models.feed_forward import ACTIVATIONS
from ..optim import Optimizer, WeightAverage
from ..parallel.parts import drawn_by_parts
from ..parallel.processes import processes_of, sharers, sharing
from ..progress import watched
from ..stopping import Patience
from ..storage import Checkpoint
from ..training import train
from .data import Data
from .settings import AveragedSettings, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

S = TypeVar("S", bound=Settings)
Figures: TypeAlias = Iterator[tuple[str, Callable[[], dict[str, str]]]]
"""Figures by name, each with a function that computes it and returns one or several lines."""
Pictures: TypeAlias = "Iterator[tuple[str, Axes]]"
"""Pictures by file name; the title of a picture says what it shows."""


class Bits(NamedTuple):
    """The bits per entry of a sample whose entries have levels, −log₂ P(x)/D on average."""

    mean: float
    error: float
    """The standard error of the mean."""
    kind: str
    """How the number relates to −log₂ P(x): exact, at most, or about."""

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.error:.3f}, {self.kind}"


class Recipe(Generic[S]):
    """The base class: the parts that most models have in common."""

    LECTURE: S | None = None
    """The settings of the notes, or None for a model without settings in the notes."""
    TOY: S | None = None
    """The default settings for points of the plane, or None if ``MNIST`` applies to them too."""
    DIGITS: S
    """The default settings for the small digits."""
    MNIST: S
    """The default settings for all other data."""
    kind: type
    """The class of the model."""
    title: str
    unit: str
    """The unit of its costs."""
    panels: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Curves with another unit than the costs: the axis label, and the starts of their names."""
    generative = True
    """Whether the model draws samples, which can be evaluated."""
    classifies = False
    """Whether the model learns the classes, some of whose samples are then kept for validation."""
    looked_at = "samples.png"
    """The picture to look at first."""
    labelled = False
    """Whether the model is trained on labels; its classes then keep their numbers."""
    drop_last = False
    """Whether an epoch omits the samples that do not fill a batch."""
    n_judged = 2000
    """The number of samples that are drawn for an evaluation."""
    sampled = "samples"
    """The result of ``samples``, in the words of a title."""
    drawn = "samples, which are draws in any case"
    """The result of ``draws``, in the words of a title."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add an option for each setting to the parser."""
        defaults = {"digits": self.DIGITS, "toys": self.TOY, "else": self.MNIST}
        defaults["lecture"] = self.LECTURE
        type(self.MNIST).add_options(parser, {k: v for k, v in defaults.items() if v is not None})

    def parsed(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the settings among the words of a command line."""
        return type(self.MNIST).parsed(words)

    def settings(self, given: Mapping[str, Any]) -> S:
        """Combine the given settings with the defaults for the data, or with the notes' preset."""
        data = given.get("data", "digits")
        default = self.DIGITS if data == "digits" else self.MNIST
        if data in TOYS and self.TOY is not None:
            default = self.TOY
        if given.get("preset"):
            if self.LECTURE is None:
                raise ValueError(
                    f"--preset lecture: the notes give no settings of the {self.title}, leave it "
                    "out"
                )
            default = self.LECTURE
        return replace(default, **{**default.following(given), **given})

    def shown(self, model: Any) -> dict[str, Any]:
        """Return the settings that a model's structure determines, and the pixels of a sample."""
        raise NotImplementedError

    def build(self, settings: S, data: Data, rng: Generator) -> Any:
        """Build the model for such samples; ``ValueError`` if the settings do not fit them."""
        raise NotImplementedError

    def optimizers(self, model: Any, settings: S) -> list[Optimizer]:
        """Return the model's default optimizers, with the learning rate of the settings."""
        optimizers: list[Optimizer] = model.default_optimizers()
        for optimizer in optimizers:
            optimizer.lr = settings.lr
        return optimizers

    def average(self, model: Any, settings: S) -> WeightAverage | None:
        """Return the average of weights for samples and scores, or None if none is kept."""
        decay = settings.ema if isinstance(settings, AveragedSettings) else 0.0
        return WeightAverage(model.parameters(), decay) if decay else None

    def n_classes(self, data: Data) -> int | None:
        """Return the number of classes on which the model is conditioned, or None."""
        return None

    def paired(self, x: Array, labels: Array | None) -> Any:
        """Return samples as the model takes them: with their labels, if it is conditioned on them.

        The result is an array, or a tuple of arrays.
        """
        return x

    def prepare(self, data: Data) -> Any:
        """Return the training data in the form of the model."""
        return self.paired(data.train, data.train_labels)

    def test(self, data: Data) -> Any:
        """Return the held-out samples, in the range of the data."""
        return self.paired(data.test, data.test_labels)

    def held_out(self, data: Data, settings: S) -> Any:
        """Return the held-out samples in the form of the training data."""
        return self.prepare(replace(data, train=data.test, train_labels=data.test_labels))

    def has_ended(self, history: History, settings: S) -> bool:
        """Whether the training ends before its last epoch."""
        return False

    def patience(self, settings: S, history: History, best: Any) -> Patience | None:
        """Return the early stopping of the training, or None.

        ``best`` is the model with the best weights of the finished epochs.
        """
        return None

    def epochs(
        self,
        state: Checkpoint,
        data: Data,
        settings: S,
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
        patience: Patience | None = None,
        processes: Any = None,
    ) -> Iterator[Epoch]:
        """Train the model of ``state`` until it ends, and score it after each epoch.

        Several ``processes`` share each step, and the scores. Errors of ``train`` are
        raised at once.
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
            clip_norm=settings.clip_norm,
            history=state.history,
            progress=progress,
            processes=processes,
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
                with sharing(processes_of(processes)):
                    epoch.report.update(self.score(state.averaged_model, data, rng))
                set_rate()
                if patience is not None:
                    patience.note(epoch.report["validation cost"], state.model)
                yield epoch
                if is_over():
                    break

        return scored()

    def score(self, model: Any, data: Data, rng: Generator) -> dict[str, float]:
        """Return the scores on held-out samples that are reported with each epoch."""
        return {}

    def samples(self, model: Any, n: int, rng: Generator) -> Array:
        """Return n samples, in the range of the data."""
        return model.sample(n, rng)

    def asked(self, model: Any, n: int) -> Array | None:
        """Return the labels of the n samples that :meth:`samples` draws, if it draws of classes."""
        return None

    def conditions(
        self, classes: Sequence[str], n: int, names: Sequence[str], guidance: float | None
    ) -> dict[str, Any]:
        """Return the arguments with which ``samples`` draws n samples of the classes of ``names``.

        ``ValueError`` for a model without such conditions.
        """
        if names or guidance is not None:
            option = "--label" if names else "--guidance"
            raise ValueError(
                f"a {self.title} has no classes: leave {option} out, or train a cgan, cvae or cddpm"
            )
        return {}

    def draws(self, model: Any, n: int, rng: Generator) -> Array:
        """Return n draws from the model's distribution: the samples, unless they are means."""
        return self.samples(model, n, rng)

    def in_steps(
        self, steps: int | None, eta: float | None
    ) -> tuple[Callable[[Any, int, Generator], Array], str]:
        """Return ``samples`` by DDIM and their name; ``ValueError`` for a model without it."""
        raise ValueError(
            "--steps and --eta are settings of DDIM, by which only a ddpm is sampled: leave them "
            f"out for a {self.title}"
        )

    def compared(self, model: Any, n: int, rng: Generator) -> dict[str, Array]:
        """Return the samples to compare with data, by name for a model with several samplers."""
        return {"": self.samples(model, n, rng)}

    def varied(self, model: Any, n: int, rng: Generator) -> Iterator[tuple[str, Array]]:
        """Yield further samples to compare with data, in one line for each name."""
        return iter(())

    def words_to_compare(self, data: str) -> list[str]:
        """Return words of a command line: the settings for a comparison, if they are others."""
        return []

    def bits_per_dim(self, model: Any, data: Data, settings: S, rng: Generator) -> Bits | str:
        """Return the bits per entry of held-out samples, or the reason why there are none."""
        return "– (no density)"

    def figures(self, model: Any, data: Data, settings: S, rng: Generator) -> Figures:
        """Yield each measure of quality: its name, and a function that returns its lines."""
        raise NotImplementedError

    def judge(self, model: Any, data: Data, settings: S, rng: Generator) -> dict[str, str]:
        """Return the lines of all figures, on held-out samples."""
        return {
            "held-out samples": f"{len(data.test)}",
            **had(self.figures(model, data, settings, rng)),
        }

    def draw(
        self, model: Any, data: Data, settings: S, history: History, rng: Generator
    ) -> Pictures:
        """Yield the pictures of the model."""
        raise NotImplementedError

    def animations(self, model: Any, rng: Generator) -> Iterator[tuple[str, dict[str, Array]]]:
        """Yield the animations of the model by name: images, by the text above them."""
        return iter(())


def had(figures: Figures) -> dict[str, str]:
    """Return the lines of every figure; for a figure that fails, return its error as the line.

    Processes that share a figure begin the next one together, also after an error of one.
    """
    lines = {}
    for name, figure in figures:
        try:
            lines.update(figure())
        except (ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
            lines[name] = f"– ({str(error) or 'out of memory'})"
        sharers().meet()
    return lines


def curves_of(history: History, names: Collection[str], unit: str) -> Axes:
    """Plot the curves of these names over the epochs, in the order of the history."""
    curves = {name: y for name, y in history.curves().items() if name in names}
    return plotting.learning_curves(curves, first_epoch=history[0].number, ylabel=unit)


def layers_of(network: Any) -> tuple[Any, ...]:
    """Return the layers of a Sequential; ``AttributeError`` for another kind of network."""
    layers: tuple[Any, ...] = network.layers
    return layers


def shown_of_dense(network: Any) -> dict[str, Any]:
    """Return the hidden sizes, the activation and the inputs of a ``feed_forward.dense``."""
    layers = layers_of(network)
    hidden = tuple(layer.weight.shape[0] for layer in layers[1:-1:2])
    shown = {"hidden": hidden, "pixels": layers[1].weight.shape[1]}
    for name, kind in ACTIVATIONS.items():
        if hidden and type(layers[2]) is kind:
            shown["activation"] = name
    return shown


def to_model(x: Array) -> Array:
    """Map images, or rows of numbers, from [0, 1] to [−1, 1]; leave points of the plane unchanged.

    :func:`from_model` is the inverse.
    """
    return x if plotting.is_plane(x.shape[1:]) else 2 * x - 1


def from_model(x: Array) -> Array:
    """Return (x + 1)/2, or points of the plane unchanged."""
    return x if plotting.is_plane(x.shape[1:]) else 0.5 * (x + 1)


def only_mnist_sized(settings: Settings, data: Data) -> None:
    """Raise ``ValueError`` where the notes' preset gets images without 784 pixels."""
    n_visible = math.prod(data.shape)
    if settings.preset == "lecture" and n_visible != 784:
        raise ValueError(
            f"the preset is for images of 784 pixels, these have {n_visible}: take --data mnist"
        )


def in_parts(f: Callable[..., Array], x: Any, rng: Generator, size: int = 1000) -> Array:
    """f(x), one row or number per sample, computed for a few samples at a time; on the host.

    A tuple of arrays becomes several arguments. Processes share the parts, and f may draw from
    ``rng``: see :func:`drawn_in_parts`.
    """
    arrays = x if isinstance(x, tuple) else (x,)

    def of_part(part: slice) -> list[Array]:
        return [f(*(to_device(array[part], rng) for array in arrays))]

    return drawn_in_parts(of_part, len(arrays[0]), rng, size, "evaluating")


def drawn_in_parts(
    draw: Callable[[slice], Iterable[Array]],
    n: int,
    rng: Generator,
    size: int,
    what: str = "sampling",
    steps: int = 1,
) -> Array:
    """Draw n samples, ``size`` of them at a time; on the host.

    ``draw`` returns or yields the ``steps`` states of a chain for a part of the samples, and the
    last one is kept. It draws from ``rng``, which begins a sequence of its own at each of several
    parts. Therefore several processes, which share the parts within a
    :func:`~scratchgen.parallel.processes.sharing`, draw the samples of one. ``what`` labels a bar.
    """
    parts = [slice(start, min(start + size, n)) for start in range(0, n, size)]

    def states(part: slice, its: Generator) -> Iterator[Array]:
        if its is not rng:
            set_generator_state(rng, *generator_state(its))
        yield from draw(part)

    def ends(of: Callable[[slice], Iterator[Array]], own: Sequence[slice]) -> Iterator[Array]:
        before = generator_state(rng) if len(parts) > 1 else None
        latest: dict[int, Array] = {}
        try:
            every = ((part.start, x) for part in own for x in of(part))
            for start, x in watched(every, what, len(own) * steps):
                latest[start] = x
        finally:
            if before is not None:
                set_generator_state(rng, *before)
        return map(to_host, latest.values())

    return np.concatenate(drawn_by_parts(states, parts, rng, sharers(), ends))


def bits_of_nats(nats: Array, data: Data, kind: str) -> Bits:
    """Return −log P(x) in nats, (n,), as bits per entry of a sample."""
    bits = nats / (math.prod(data.shape) * math.log(2))
    return Bits(float(bits.mean()), float(bits.std() / math.sqrt(len(bits))), kind)


def mean_and_error(x: Array) -> str:
    """Return the mean of numbers in nats, with its standard error."""
    return f"{x.mean():.2f} ± {x.std() / math.sqrt(len(x)):.2f} nats"


def beside_the_truth(nll: Array, data: Data) -> dict[str, str]:
    """Compare −log p(x) of the held-out points, (n,), with the density that a toy is drawn from.

    The result is empty for data whose density has no closed form.
    """
    if data.name not in ("ring", "laplace"):
        return {}
    name: Any = data.name
    truth = -log_density(name, data.test.astype(np.float64))
    gap = nll - truth
    error = gap.std() / math.sqrt(len(gap))
    return {
        "  of the distribution of the data": mean_and_error(truth),
        "  above that by": f"{gap.mean():.3f} ± {error:.3f} nats",
    }
