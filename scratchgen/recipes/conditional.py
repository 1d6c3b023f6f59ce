"""Models of the classes of data on the command line: the recipes of GAN, VAE and DDPM, with labels.

Without ``--label`` the classes of samples take turns, in the order of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np

from .. import plotting
from ..backend import Array, Generator, copy_of, to_host
from ..history import History
from ..models import DDPM, LabelledDenoiser, conditions, vae
from .data import Data
from .ddpm import DDPMRecipe, DDPMSettings
from .gan import GANRecipe, GANSettings
from .recipe import Pictures, Recipe
from .settings import Real, Settings, setting
from .vae import VAERecipe, VAESettings

N_ROWS = 20  # the largest number of classes in a picture
N_COLUMNS = 10
WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""The weights w of the guidance that are compared."""
N_VARIED = 200  # the largest number of samples for each of these weights
EACH = 3  # the number of samples for each class and weight in a picture

S = TypeVar("S", bound=Settings)


class ConditionalRecipe(Recipe[S]):
    """What a recipe of a model has in addition if the model is one of p(x|c)."""

    labelled = True
    LECTURE: Any = None
    of_columns = "the same noise in each column"

    def n_classes(self, data: Data) -> int:
        """Return the number of classes; ``ValueError`` for data without labels."""
        data.labels(f"a {self.title}")
        return len(data.classes)

    def paired(self, x: Array, labels: Array | None) -> tuple[Array, Array]:
        """Return samples and labels."""
        assert labels is not None
        return x, labels

    def shown(self, model: Any) -> dict[str, Any]:
        """Return the settings that the model shows, and its number of classes."""
        return {**super().shown(model), "classes": model.n_classes}

    def asked(self, model: Any, n: int) -> Array:
        """Return the labels of n samples: the classes in turn."""
        (labels,) = conditions.evenly(n, model.n_classes)
        return labels

    def conditions(
        self, classes: Sequence[str], n: int, names: Sequence[str], guidance: float | None
    ) -> dict[str, Any]:
        """Return labels for n samples: the classes of these names in turn, by default all."""
        if guidance is not None:
            raise ValueError(
                f"--guidance is for a cddpm, got a {self.title}: leave it out, or train a cddpm"
            )
        unknown = [name for name in names if name not in classes]
        if unknown:
            raise ValueError(
                f"--label is the name of a class, got {', '.join(unknown)}: this model knows "
                f"{', '.join(classes)}"
            )
        chosen = [[*classes].index(name) for name in names] or range(len(classes))
        return {"labels": np.array(chosen)[np.arange(n) % len(chosen)]}

    def samples(
        self, model: Any, n: int, rng: Generator, labels: Array | None = None, **given: Any
    ) -> Array:
        """Return n samples of these labels, by default of all classes in turn."""
        of_base: Any = super().samples
        labels = self.asked(model, n) if labels is None else labels
        return of_base(model, n, rng, labels=labels, **given)

    def draw(
        self, model: Any, data: Data, settings: S, history: History, rng: Generator
    ) -> Pictures:
        """Yield the pictures of the base, and a table of samples of each class."""
        yield from super().draw(model, data, settings, history, rng)
        if plotting.is_image(data.shape):
            rows = dict(zip(data.classes, self.by_class(model, data, N_COLUMNS, rng), strict=False))
            table = plotting.image_table(rows, value_range=data.value_range)
            yield "classes", plotting.titled(table, f"{self.sampled}, {self.of_columns}")

    def by_class(self, model: Any, data: Data, n: int, rng: Generator) -> list[Array]:
        """Return n samples of each of the first classes, all from the same random numbers."""
        drawn = [
            self.samples(model, n, copy_of(rng), np.full(n, k))
            for k in range(min(len(data.classes), N_ROWS))
        ]
        return [to_host(samples).reshape(n, *data.shape) for samples in drawn]


class CGANRecipe(ConditionalRecipe[GANSettings], GANRecipe):
    """The networks of ``models.gan.dense``, each with a one-hot label beside its input."""

    title = "conditional generative adversarial network"
    sampled = "samples G(z, c)"

    MNIST = replace(
        GANRecipe.MNIST,
        hidden=256,
        layers=2,
        slope=0.2,
        noise="normal",
        dropout=0.0,
        beta1=0.5,
        schedule="cosine",
        epochs=50,
        batch_size=64,
        lr=5e-4,
    )
    DIGITS = replace(MNIST, data="digits", epochs=150, lr=1e-3)


class CVAERecipe(ConditionalRecipe[VAESettings], VAERecipe):
    """The networks of ``models.vae.dense``, each with a one-hot label beside its input."""

    title = "conditional variational autoencoder"
    sampled = "means E[x|h, c]"
    drawn = "draws x ~ p(x|h, c)"

    MNIST = VAERecipe.MNIST
    # A class takes fewer epochs than all together; no picture shows the plane of two latents.
    DIGITS = replace(VAERecipe.DIGITS, latent=8, schedule="cosine", epochs=100)

    def build(self, settings: VAESettings, data: Data, rng: Generator) -> vae.VAE:
        """Build the model; ``ValueError`` for convolutions, whose encoder takes no labels."""
        if settings.network == "convolutional":
            raise ValueError(
                "a cvae has the label beside the numbers of an image, in one row: take --network "
                "dense"
            )
        return super().build(settings, data, rng)

    def draws(self, model: vae.VAE, n: int, rng: Generator, labels: Array | None = None) -> Array:
        """Return draws x ~ p(x|h, c), by default of all classes in turn."""
        return super().draws(model, n, rng, self.asked(model, n) if labels is None else labels)

    def between(self, model: vae.VAE, data: Data, mu: Array, rng: Generator) -> Pictures:
        """Yield nothing: between the latents of two classes there is no class."""
        return iter(())


@dataclass(frozen=True, kw_only=True)
class CDDPMSettings(DDPMSettings):
    """The share of the labels that are left out, in addition to the settings of a DDPM."""

    label_dropout: float = setting(
        Real("the share of the labels that training replaces by none", most=1), default=0.15
    )


def _conditional(settings: DDPMSettings) -> CDDPMSettings:
    return CDDPMSettings(**asdict(settings))


class CDDPMRecipe(ConditionalRecipe[Any], DDPMRecipe):
    """The networks of a DDPM, with an embedding of the label added to that of the time."""

    title = "conditional denoising diffusion model"
    sampled = "guided samples"
    of_columns = "w = 0.5"

    MNIST = _conditional(DDPMRecipe.MNIST)
    DIGITS = _conditional(DDPMRecipe.DIGITS)
    GUIDANCE = 0.5
    """The weight w of the guidance, unless another one is asked for."""

    def shown(self, model: DDPM) -> dict[str, Any]:
        """Return the settings that the model shows."""
        return {**super().shown(model), "label_dropout": model.label_dropout}

    def with_classes(self, network: Any, data: Data, rng: Generator) -> LabelledDenoiser:
        """Return the network with a vector for each class, and one for none."""
        return LabelledDenoiser(network, self.n_classes(data), rng=rng)

    def of_classes(self, settings: CDDPMSettings, data: Data) -> dict[str, Any]:
        """Return the number of classes, and the share of the labels left out."""
        return {"n_classes": self.n_classes(data), "label_dropout": settings.label_dropout}

    def conditioned(self, model: DDPM, n: int) -> DDPM:
        """Return the guided model for n samples of all classes in turn."""
        return model.conditioned_on(self.asked(model, n), self.GUIDANCE)

    def conditions(
        self, classes: Sequence[str], n: int, names: Sequence[str], guidance: float | None
    ) -> dict[str, Any]:
        """Return labels and guidance."""
        guided = {} if guidance is None else {"guidance": guidance}
        return {**super().conditions(classes, n, names, None), **guided}

    def samples(
        self,
        model: DDPM,
        n: int,
        rng: Generator,
        labels: Array | None = None,
        guidance: float = GUIDANCE,
        steps: int | None = None,
        eta: float | None = None,
        **given: Any,
    ) -> Array:
        """Return n guided samples, by default of all classes in turn."""
        given |= {"guidance": guidance, "steps": steps, "eta": eta}
        return super().samples(model, n, rng, labels, **given)

    def varied(self, model: DDPM, n: int, rng: Generator) -> Iterator[tuple[str, Array]]:
        """Yield samples with each weight of the guidance; they take as long as all others."""
        for w in WEIGHTS:
            yield f"guidance w = {w:g}", self.samples(model, min(n, N_VARIED), rng, guidance=w)

    def by_class(
        self, model: DDPM, data: Data, n: int, rng: Generator, guidance: float = GUIDANCE
    ) -> list[Array]:
        """Return n samples of each of the first classes, all drawn in one batch."""
        labels = np.repeat(np.arange(min(len(data.classes), N_ROWS)), n)
        samples = self.samples(model, len(labels), rng, labels, guidance=guidance)
        return [*to_host(samples).reshape(-1, n, *data.shape)]

    def draw(
        self, model: DDPM, data: Data, settings: Any, history: History, rng: Generator
    ) -> Pictures:
        """Yield the pictures of a conditional model, and a table of classes and weights."""
        yield from super().draw(model, data, settings, history, rng)
        if plotting.is_image(data.shape):
            each = [self.by_class(model, data, EACH, copy_of(rng), w) for w in WEIGHTS]
            of_class = [np.concatenate(of_weights) for of_weights in zip(*each, strict=True)]
            rows = dict(zip(data.classes, of_class, strict=False))
            columns = [f"w = {w:g}" if k == EACH // 2 else "" for w in WEIGHTS for k in range(EACH)]
            table = plotting.image_table(rows, columns=columns, value_range=data.value_range)
            title = "samples with guidance of weight w, the same noise for each w"
            yield "guidance", plotting.titled(table, title)
