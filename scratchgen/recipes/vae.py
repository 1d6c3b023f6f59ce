"""The variational autoencoder on the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..history import History
from ..models import vae
from ..operations import gaussian_kl
from .data import Data
from .recipe import Figures, Pictures, Recipe, in_parts, layers_of, mean_and_error, only_mnist_sized
from .settings import Choice, GenerativeSettings, Whole, setting


@dataclass(frozen=True, kw_only=True)
class VAESettings(GenerativeSettings):
    """Sizes of the layers, and the likelihood."""

    hidden: int = setting(Whole("units of the hidden layers"))
    latent: int = setting(Whole("latent dimensions"))
    likelihood: Literal["bernoulli", "gaussian"] = setting(
        Choice("p(x|h)", names=("bernoulli", "gaussian")), default="bernoulli"
    )


class VAERecipe(Recipe[VAESettings]):
    """The autoencoder D–H–(μ, log σ²)–H–D of ``models.vae.dense``."""

    kind = vae.VAE
    title = "variational autoencoder"
    unit = "nats per sample"
    sampled = "means E[x|h]"
    drawn = "draws x ~ p(x|h)"

    LECTURE = VAESettings(
        preset="lecture", data="mnist", hidden=400, latent=20, epochs=10, batch_size=128, lr=1e-3
    )
    MNIST = replace(LECTURE, preset=None)
    # Two latents can be drawn in a plane, and the few small images need more epochs.
    DIGITS = replace(MNIST, data="digits", latent=2, epochs=400, batch_size=32, lr=2e-3)

    def shown(self, model: vae.VAE) -> dict[str, Any]:
        """The sizes of the layers, and the likelihood."""
        hidden, pixels = layers_of(model.encoder)[0].weight.shape
        return {
            "hidden": hidden,
            "latent": model.n_latent,
            "likelihood": model.likelihood,
            "pixels": pixels,
        }

    def build(self, settings: VAESettings, data: Data, rng: Generator) -> vae.VAE:
        """Build the model for samples with this many numbers."""
        only_mnist_sized(settings, data)
        n_visible = math.prod(data.shape)
        return vae.dense(n_visible, settings.hidden, settings.latent, rng, settings.likelihood)

    def draws(self, model: vae.VAE, n: int, rng: Generator) -> Array:
        """x ~ p(x|h)."""
        return model.draw(n, rng)

    def score(self, model: vae.VAE, data: Data, rng: Generator) -> dict[str, float]:
        """−ELBO in nats per sample, from one latent for each sample."""
        frozen = model.frozen()
        costs = in_parts(lambda x: -frozen.elbo(x, rng=rng), data.test, rng)
        return {"test cost": float(costs.mean())}

    def figures(self, model: vae.VAE, data: Data, settings: VAESettings, rng: Generator) -> Figures:
        """−ELBO and its parts, the importance-weighted bound, and the number of active latents."""
        frozen, few = model.frozen(), data.test[:1000]
        bounded = f"−log p(x), at most, from 100 latents for each of {len(few)}"

        def elbo() -> dict[str, str]:
            nll = in_parts(lambda x: frozen.elbo_terms(x, rng=rng)[0], data.test, rng)
            kl = in_parts(lambda x: gaussian_kl(*frozen.encode(x)), data.test, rng)
            return {
                "−ELBO": mean_and_error(nll + kl),
                "  reconstruction": mean_and_error(nll),
                "  KL to the prior": mean_and_error(kl),
            }

        def bound() -> dict[str, str]:
            log_p = in_parts(lambda x: model.log_likelihood(x, 100, rng), few, rng, 100)
            return {bounded: mean_and_error(-log_p)}

        def in_use() -> dict[str, str]:
            mu = in_parts(lambda x: frozen.encode(x)[0], data.test, rng)
            used = (mu.var(axis=0) > 0.01).sum()  # Burda et al. 2016, section 5.2
            return {"latents in use (variance of μ over 0.01)": f"{used} of {model.n_latent}"}

        yield "−ELBO", elbo
        yield bounded, bound
        yield "latents in use", in_use

    def draw(
        self, model: vae.VAE, data: Data, settings: VAESettings, history: History, rng: Generator
    ) -> Pictures:
        """Latents, reconstructions, interpolations, and the manifold of two latents."""
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
