"""The variational autoencoder on the command line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..models import vae
from ..operations import gaussian_kl
from ..training import History
from .data import Data
from .recipe import Recipe, in_parts, mean_and_error, only_mnist_sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class VAERecipe(Recipe):
    """The D–H–(μ, log σ²)–H–D of ``models.vae.dense``."""

    title = "variational autoencoder"
    unit = "nats per sample"
    sampled = "means E[x|h]"

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

    def build(self, settings: Mapping[str, Any], data: Data, rng: Generator) -> vae.VAE:
        """The model, for as many numbers as a sample has."""
        only_mnist_sized(settings, data)
        n_visible = math.prod(data.shape)
        return vae.dense(
            n_visible, settings["hidden"], settings["latent"], rng, settings["likelihood"]
        )

    def score(self, model: vae.VAE, data: Data, rng: Generator) -> dict[str, float]:
        """−ELBO in nats per sample, from one latent each."""
        frozen = model.frozen()
        costs = in_parts(lambda x: -frozen.elbo(x, rng=rng), data.test, rng)
        return {"test cost": float(costs.mean())}

    def judge(
        self, model: vae.VAE, data: Data, settings: Mapping[str, Any], rng: Generator
    ) -> dict[str, str]:
        """−ELBO and its parts, the importance-weighted bound, and the latents that are in use."""
        frozen = model.frozen()
        nll = in_parts(lambda x: frozen.elbo_terms(x, rng=rng)[0], data.test, rng)
        kl = in_parts(lambda x: gaussian_kl(*frozen.encode(x)), data.test, rng)
        few = data.test[:1000]
        bound = in_parts(lambda x: model.log_likelihood(x, 100, rng), few, rng)
        mu = in_parts(lambda x: frozen.encode(x)[0], data.test, rng)
        return {
            "held-out samples": f"{len(data.test)}",
            "−ELBO": mean_and_error(nll + kl),
            "  reconstruction": mean_and_error(nll),
            "  KL to the prior": mean_and_error(kl),
            f"−log p(x), at most, from 100 latents for each of {len(few)}": mean_and_error(-bound),
            # Burda et al. 2016, section 5.2
            "latents in use (variance of μ over 0.01)": f"{(mu.var(axis=0) > 0.01).sum()} of "
            f"{model.n_latent}",
        }

    def draw(
        self,
        model: vae.VAE,
        data: Data,
        settings: Mapping[str, Any],
        history: History,
        rng: Generator,
    ) -> Iterator[tuple[str, Axes]]:
        """Latents, reconstructions, ways between images, and the manifold of two latents."""
        frozen, shape, span = model.frozen(), data.shape, data.value_range

        def decode(h: Array) -> Array:
            decoded = frozen.decode(to_device(h, rng).astype(model.dtype))
            return to_host(decoded).reshape(len(h), *shape)

        mu = in_parts(lambda x: frozen.encode(x)[0], data.test, rng)
        if model.n_latent > 1:
            latents = plotting.latent_scatter(mu, data.test_labels, classes=data.classes)
            yield "latents", plotting.titled(latents, "means μ(x) of held-out samples")
        if not plotting.is_image(shape):
            return
        few = data.test[:10]
        seen_again = plotting.reconstructions(few, decode(mu[: len(few)]), value_range=span)
        yield "reconstructions", plotting.titled(seen_again, "means E[x|h] at h = μ(x)")
        pairs = min(6, len(mu) // 2)
        path = plotting.interpolation(decode, mu[:pairs], mu[pairs : 2 * pairs], value_range=span)
        yield "interpolation", plotting.titled(path, "means E[x|h] on the way from μ(x) to μ(x′)")
        if model.n_latent == 2:
            manifold = plotting.manifold(decode, value_range=span)
            yield "manifold", plotting.titled(manifold, "means E[x|h]")
