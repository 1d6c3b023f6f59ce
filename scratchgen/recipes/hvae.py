"""The hierarchical VAE on the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..history import Epoch, History
from ..models import hierarchical_vae
from ..models.hierarchical_vae import ACTIVE, HierarchicalVAE
from ..stopping import Patience
from ..storage import Checkpoint
from .data import LEVELS, Data
from .recipe import Bits, Figures, Pictures, Recipe, in_parts, layers_of, mean_and_error
from .settings import Whole, Wholes, setting
from .vae import LatentSettings, bits_of, bits_per_dim, likelihood_shown


@dataclass(frozen=True, kw_only=True)
class HVAESettings(LatentSettings):
    """The sizes of the networks."""

    hidden: int = setting(Whole("units of the hidden layer of each network"))
    latents: tuple[int, ...] = setting(Wholes("latent dimensions of each layer, bottom first"))

    @classmethod
    def following(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a rise of the KL weight over half of the given epochs."""
        rise = {"warm_up": given["epochs"] // 2} if "epochs" in given else {}
        return {**super().following(given), **rise}


class HVAERecipe(Recipe[HVAESettings]):
    """The stacked autoencoders of ``models.hierarchical_vae.dense``."""

    kind = HierarchicalVAE
    title = "hierarchical variational autoencoder"
    unit = "nats per sample"
    panels: ClassVar = {"active units": ("active units",), "KL weight": ("KL weight",)}
    sampled = "means E[x|h₁]"
    drawn = "draws x ~ p(x|h₁)"

    MNIST = HVAESettings(
        data="mnist",
        hidden=400,
        latents=(40, 20),
        warm_up=10,
        schedule="cosine",
        epochs=20,
        batch_size=128,
        lr=1e-3,
    )
    DIGITS = replace(
        MNIST,
        data="digits",
        hidden=200,
        latents=(16, 8),
        warm_up=75,
        epochs=150,
        batch_size=64,
        lr=2e-3,
    )

    def shown(self, model: HierarchicalVAE) -> dict[str, Any]:
        """Return sizes and likelihood."""
        hidden, pixels = layers_of(model.layers[0].encoder)[0].weight.shape
        return {
            "hidden": hidden,
            "latents": model.n_latents,
            **likelihood_shown(model),
            "pixels": pixels,
        }

    def build(self, settings: HVAESettings, data: Data, rng: Generator) -> HierarchicalVAE:
        """Build the model for samples of this size; ``ValueError`` without layers."""
        if not settings.latents:
            raise ValueError("--latents lists the dimensions of at least one layer, got none")
        sizes = math.prod(data.shape), settings.hidden, settings.latents
        return hierarchical_vae.dense(*sizes, rng, settings.of_x)

    def epochs(
        self,
        state: Checkpoint,
        data: Data,
        settings: HVAESettings,
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
        patience: Patience | None = None,
        processes: Any = None,
    ) -> Iterator[Epoch]:
        """Train, with the KL weight of each epoch."""
        trained = super().epochs(state, data, settings, progress, patience, processes)
        return settings.weighted(trained, state)

    def draws(self, model: HierarchicalVAE, n: int, rng: Generator) -> Array:
        """Return draws x ~ p(x|h₁)."""
        return model.draw(n, rng)

    def score(self, model: HierarchicalVAE, data: Data, rng: Generator) -> dict[str, float]:
        """Return −ELBO in nats per held-out sample, from one path for each."""
        frozen = model.frozen()
        costs = in_parts(lambda x: -frozen.elbo(x, rng=rng), data.test, rng)
        return {"test cost": float(costs.mean())}

    def compared(self, model: HierarchicalVAE, n: int, rng: Generator) -> dict[str, Array]:
        """Return draws of pixels with levels, or the means that stand for other pixels."""
        draws = isinstance(model.likelihood, int)
        return {"": self.draws(model, n, rng)} if draws else super().compared(model, n, rng)

    def words_to_compare(self, data: str) -> list[str]:
        """Return settings with a likelihood of levels, where their number is known."""
        return ["--likelihood", "levels"] if data in LEVELS else []

    def bits_per_dim(
        self, model: HierarchicalVAE, data: Data, settings: HVAESettings, rng: Generator
    ) -> Bits | str:
        """Return the importance-weighted bound, for a likelihood of levels."""
        return bits_per_dim(model, data, rng)

    def figures(
        self, model: HierarchicalVAE, data: Data, settings: HVAESettings, rng: Generator
    ) -> Figures:
        """Yield −ELBO and its parts, the importance-weighted bound, and the KL of each layer."""
        frozen, few = model.frozen(), data.test[:1000]
        bounded = f"−log p(x), at most, from 100 paths for each of {len(few)}"

        def elbo() -> dict[str, str]:
            terms = in_parts(
                lambda x: np.stack(frozen.elbo_terms(x, rng=rng), axis=1), data.test, rng
            )
            names = ("reconstruction", "prior matching", "consistency")
            terms[:, 0] *= -1
            said = {f"  {n}": mean_and_error(x) for n, x in zip(names, terms.T, strict=True)}
            total = terms.sum(axis=1)
            return {"−ELBO": mean_and_error(total), **bits_of(model, "−ELBO", total, data), **said}

        def bound() -> dict[str, str]:
            log_p = in_parts(lambda x: model.log_likelihood(x, 100, rng), few, rng, 100)
            return {
                bounded: mean_and_error(-log_p),
                **bits_of(model, "−log p(x), at most", -log_p, data),
            }

        def told() -> dict[str, str]:
            kl = frozen.kl_of_units(to_device(data.test, rng), rng)
            return {
                f"units of h{t} that tell more than {ACTIVE} nats": (
                    f"{int(to_host((of_layer > ACTIVE).sum()))} of {len(of_layer)}, "
                    f"{float(to_host(of_layer.sum())):.2f} nats in all"
                )
                for t, of_layer in enumerate(kl, 1)
            }

        yield "−ELBO", elbo
        yield bounded, bound
        yield "units that tell something", told

    def draw(
        self,
        model: HierarchicalVAE,
        data: Data,
        settings: HVAESettings,
        history: History,
        rng: Generator,
    ) -> Pictures:
        """Yield the latents of the top layer, and held-out images reconstructed from each layer."""
        frozen, shape, span = model.frozen(), data.shape, data.value_range

        def at_means(x: Array) -> list[Any]:
            none = np.zeros_like(x, shape=(len(x), sum(model.n_latents)))
            return [of_layer.h for of_layer in frozen.latents(x, none)]

        if model.n_latents[-1] > 1:
            top = in_parts(lambda x: at_means(x)[-1], data.test, rng)
            scatter = plotting.latent_scatter(top, data.test_labels, classes=data.classes)
            yield "latents", plotting.titled(scatter, "means of the top layer, held-out samples")
        if not plotting.is_image(shape):
            return
        rows = {"x": data.test[:10]}
        for t, h in enumerate(at_means(to_device(rows["x"], rng)), 1):
            means = to_host(frozen.layers[0].decode(frozen.descend(h, rng, layer=t)))
            rows[f"from $h_{t}$"] = means.reshape(-1, *shape)
        held = plotting.image_table(rows, value_range=span)
        yield "layers", plotting.titled(held, "what comes down from each layer, means E[x|h₁]")
