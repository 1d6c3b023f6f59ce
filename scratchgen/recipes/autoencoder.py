"""The autoencoder on the command line, beside as many principal components as its code is long."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from .. import plotting
from ..backend import Array, Generator
from ..history import History
from ..models import Autoencoder, autoencoder, pca
from ..models.feed_forward import ACTIVATIONS
from .data import Data
from .recipe import Figures, Pictures, Recipe, curves_of, in_parts, layers_of, shown_of_dense
from .settings import Choice, Settings, Whole, Wholes, setting


@dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(Settings):
    """The length of the code, and the layers around it."""

    latent: int = setting(Whole("numbers of the code"))
    hidden: tuple[int, ...] = setting(
        Wholes("units of each hidden layer of the encoder; none makes the autoencoder linear")
    )
    activation: str = setting(
        Choice("of the hidden units", names=tuple(ACTIVATIONS)), default="relu"
    )


class AutoencoderRecipe(Recipe[AutoencoderSettings]):
    """The autoencoder D–hidden–k–hidden–D of ``models.autoencoder.dense``."""

    kind = Autoencoder
    title = "deterministic autoencoder"
    unit = "squared error per sample"
    generative = False
    looked_at = "reconstructions.png"

    MNIST = AutoencoderSettings(
        data="mnist",
        latent=20,
        hidden=(400,),
        schedule="cosine",
        epochs=10,
        batch_size=128,
        lr=1e-3,
    )
    # Two numbers can be drawn in a plane.
    DIGITS = replace(MNIST, data="digits", latent=2, hidden=(200, 100), epochs=150, batch_size=32)
    TOY = replace(DIGITS, data="swirl", latent=1, hidden=(100, 100))

    def shown(self, model: Autoencoder) -> dict[str, Any]:
        """The length of the code, and the sizes and the activation of the layers."""
        latent = layers_of(model.encoder)[-1].weight.shape[0]
        return {"latent": latent, **shown_of_dense(model.encoder)}

    def build(self, settings: AutoencoderSettings, data: Data, rng: Generator) -> Autoencoder:
        """Build the model for samples with this many numbers."""
        size = math.prod(data.shape)
        if settings.latent >= min(size, len(data.train)):
            raise ValueError(
                f"--latent is less than {min(size, len(data.train))}, so that the code is shorter "
                f"than a sample of {size} numbers, and there are more samples than axes; got "
                f"{settings.latent}"
            )
        return autoencoder.dense(size, settings.latent, rng, settings.hidden, settings.activation)

    def prepare(self, data: Data) -> Array:
        """Return the samples as rows."""
        return data.train.reshape(len(data.train), -1)

    def score(self, model: Autoencoder, data: Data, rng: Generator) -> dict[str, float]:
        """The squared error on the held-out samples."""
        return {"test cost": float(_errors(model, data, rng).mean())}

    def figures(
        self, model: Autoencoder, data: Data, settings: AutoencoderSettings, rng: Generator
    ) -> Figures:
        """The squared error on held-out samples, and that of principal components."""
        spread = ((data.test - data.test.mean(axis=0)) ** 2).sum() / len(data.test)

        def said(errors: Array) -> str:
            error = errors.std() / math.sqrt(len(errors))
            kept = 100 * (1 - errors.mean() / spread)
            return f"{errors.mean():.3f} ± {error:.3f}, {kept:.1f} % of the variance explained"

        def of_network() -> dict[str, str]:
            return {"squared error": said(_errors(model, data, rng))}

        def of_components() -> dict[str, str]:
            errors = _components(data, settings.latent).squared_errors(data.test)
            return {f"  of {_axes(settings.latent)}": said(errors)}

        yield "squared error", of_network
        yield "principal components", of_components

    def draw(
        self,
        model: Autoencoder,
        data: Data,
        settings: AutoencoderSettings,
        history: History,
        rng: Generator,
    ) -> Pictures:
        """The curves with the optimum of a linear code, the copies, and the plane of the codes."""
        k, components = settings.latent, _components(data, settings.latent)
        title = f"held-out samples, and their copies from {k} number{'s' * (k > 1)}"
        if history:
            ax = curves_of(history, history.curves().keys(), self.unit)
            levels = {
                f"{_axes(k)}: the optimum of a linear code": components.least_error,
                f"{_axes(k)}, on held-out samples": components.squared_errors(data.test).mean(),
            }
            yield "curves", plotting.levels(ax, levels)
        codes = in_parts(model.frozen().encode, data.test, rng)
        if codes.shape[1] > 1:
            latents = plotting.latent_scatter(codes, data.test_labels, classes=data.classes)
            yield "latents", plotting.titled(latents, "codes of held-out samples")
        if plotting.is_plane(data.shape):
            copies = {
                "held-out data": data.test,
                "principal components": components.reconstruct(data.test),
                "copies": in_parts(model.reconstruct, data.test, rng),
            }
            yield "reconstructions", plotting.titled(plotting.plane(copies), title)
        if plotting.is_image(data.shape):
            few = data.test[:10]
            rows = {
                "original": few,
                "autoencoder": in_parts(model.reconstruct, few, rng),
                "principal\ncomponents": components.reconstruct(few),
            }
            table = plotting.image_table(rows, value_range=data.value_range)
            yield "reconstructions", plotting.titled(table, title)


def _errors(model: Autoencoder, data: Data, rng: Generator) -> Array:
    """‖x − x̂‖² of each held-out sample; on the host."""
    return in_parts(model.frozen().squared_errors, data.test, rng)


def _axes(k: int) -> str:
    return f"{k} principal component{'s' * (k > 1)}"


def _components(data: Data, k: int) -> pca.PCA:
    """The principal components of the training samples."""
    return pca.fit(data.train, k)
