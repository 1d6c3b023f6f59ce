"""What the command line knows of each model: its settings, how it is built, judged and drawn."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import datasets, plotting
from .backend import Array, Generator, to_device, to_host
from .models import vae
from .operations import gaussian_kl

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Data:
    """Samples to train on and samples held out, with the labels of these if there are any."""

    train: Array
    test: Array
    test_labels: Array | None

    @classmethod
    def named(cls, name: str) -> Data:
        """``digits``, ``mnist``, or a file, of which every tenth sample is then held out."""
        if name in ("digits", "mnist"):
            load = getattr(datasets, name)
            return cls(load("train")[0], *load("test"))
        if not name.lower().endswith((".npy", ".npz")):
            raise ValueError(f"--data is digits, mnist, or a file .npy or .npz, got {name!r}")
        images, labels = datasets.from_file(name)
        if len(images) < 20:
            raise ValueError(f"{name} holds {len(images)} samples, at least 20 are needed")
        if labels is not None and labels.max() > 9:
            raise ValueError(
                f"{name} holds labels up to {labels.max()}, expected 0 to 9: renumber them, or "
                "leave them out"
            )
        held_out = np.arange(len(images)) % 10 == 9
        return cls(
            images[~held_out], images[held_out], None if labels is None else labels[held_out]
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.train.shape[1:]

    @property
    def value_range(self) -> tuple[float, float]:
        """What is drawn black and white: 0 and 1, or the extremes of data that go beyond."""
        return min(0.0, float(self.train.min())), max(1.0, float(self.train.max()))


class Recipe(Protocol):
    """A model for the command line."""

    title: str
    unit: str
    """What its costs are counted in."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Those settings that are its own."""

    def settings(self, data: str, lecture: bool) -> dict[str, Any]:
        """Its settings where the command line gives none: for that data, or those of the notes."""

    def build(self, settings: Mapping[str, Any], shape: tuple[int, ...], rng: Generator) -> Any:
        """The model for samples of this shape."""

    def score(self, model: Any, x: Array, rng: Generator) -> dict[str, float]:
        """The score on held-out samples that stands in the line of each epoch."""

    def judge(self, model: Any, data: Data, rng: Generator) -> dict[str, str]:
        """All that can be said of how good the model is."""

    def draw(self, model: Any, data: Data, rng: Generator) -> Iterator[tuple[str, Axes]]:
        """The pictures that fit the model, by name."""


class VAERecipe:
    """The D–H–(μ, log σ²)–H–D of ``models.vae.dense``."""

    title = "variational autoencoder"
    unit = "nats per sample"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Sizes and likelihood."""
        parser.add_argument("--hidden", type=int, help="units of the hidden layers")
        parser.add_argument("--latent", type=int, help="latent dimensions")
        parser.add_argument("--likelihood", choices=["bernoulli", "gaussian"])

    def settings(self, data: str, lecture: bool) -> dict[str, Any]:
        """Those of the notes; for the small digits two latents, to be seen, and more epochs."""
        shared = {"hidden": 400, "likelihood": "bernoulli"}
        if lecture or data != "digits":
            return {**shared, "latent": 20, "epochs": 10, "batch_size": 128, "lr": 1e-3}
        return {**shared, "latent": 2, "epochs": 400, "batch_size": 32, "lr": 2e-3}

    def build(self, settings: Mapping[str, Any], shape: tuple[int, ...], rng: Generator) -> vae.VAE:
        """The model; the preset of the notes takes images of 784 pixels and nothing else."""
        n_visible = math.prod(shape)
        if settings["preset"] == "lecture" and n_visible != 784:
            raise ValueError(
                f"the preset is for images of 784 pixels, these have {n_visible}: take --data mnist"
            )
        return vae.dense(
            n_visible, settings["hidden"], settings["latent"], rng, settings["likelihood"]
        )

    def score(self, model: vae.VAE, x: Array, rng: Generator) -> dict[str, float]:
        """−ELBO in nats per sample, from one latent each."""
        frozen = model.frozen()
        return {
            "test cost": float(_in_parts(lambda part: -frozen.elbo(part, rng=rng), x, rng).mean())
        }

    def judge(self, model: vae.VAE, data: Data, rng: Generator) -> dict[str, str]:
        """−ELBO and its parts, the importance-weighted bound, and the latents that are in use."""
        frozen = model.frozen()
        nll = _in_parts(lambda x: frozen.elbo_terms(x, rng=rng)[0], data.test, rng)
        kl = _in_parts(lambda x: gaussian_kl(*frozen.encode(x)), data.test, rng)
        few = data.test[:1000]
        bound = _in_parts(lambda x: model.log_likelihood(x, 100, rng), few, rng)
        mu = _in_parts(lambda x: frozen.encode(x)[0], data.test, rng)
        return {
            "held-out samples": f"{len(data.test)}",
            "−ELBO": _mean_and_error(nll + kl),
            "  reconstruction": _mean_and_error(nll),
            "  KL to the prior": _mean_and_error(kl),
            f"−log p(x), at most, from 100 latents for each of {len(few)}": _mean_and_error(-bound),
            # Burda et al. 2016, section 5.2
            "latents in use (variance of μ over 0.01)": f"{(mu.var(axis=0) > 0.01).sum()} of "
            f"{model.n_latent}",
        }

    def draw(self, model: vae.VAE, data: Data, rng: Generator) -> Iterator[tuple[str, Axes]]:
        """Latents, samples, reconstructions, ways between images, and the manifold of 2 latents."""
        frozen, shape, span = model.frozen(), data.shape, data.value_range

        def decode(h: Array) -> Array:
            decoded = frozen.decode(to_device(h, rng).astype(model.dtype))
            return to_host(decoded).reshape(len(h), *shape)

        mu = _in_parts(lambda x: frozen.encode(x)[0], data.test, rng)
        if model.n_latent > 1:
            yield "latents", plotting.latent_scatter(mu, data.test_labels)
        if not plotting.is_image(shape):
            return
        samples = to_host(model.sample(64, rng)).reshape(-1, *shape)
        yield "samples", plotting.image_grid(samples, value_range=span)
        few = data.test[:10]
        yield (
            "reconstructions",
            plotting.reconstructions(few, decode(mu[: len(few)]), value_range=span),
        )
        pairs = min(6, len(mu) // 2)
        yield (
            "interpolation",
            plotting.interpolation(decode, mu[:pairs], mu[pairs : 2 * pairs], value_range=span),
        )
        if model.n_latent == 2:
            yield "manifold", plotting.manifold(decode, value_range=span)


RECIPES: dict[str, Recipe] = {"vae": VAERecipe()}


def _in_parts(f: Callable[[Array], Array], x: Array, rng: Generator, size: int = 1000) -> Array:
    """f(x), one row or number per sample, computed for some samples at a time; on the host."""
    parts = [x[i : i + size] for i in range(0, len(x), size)]
    return np.concatenate([to_host(f(to_device(part, rng))) for part in parts])


def _mean_and_error(x: Array) -> str:
    """The mean of numbers in nats, with its standard error."""
    return f"{x.mean():.2f} ± {x.std() / math.sqrt(len(x)):.2f} nats"
