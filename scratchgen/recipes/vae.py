"""The variational autoencoder on the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..history import Epoch, History
from ..models import vae
from ..operations import gaussian_kl
from ..optim import schedules
from ..stopping import Patience
from ..storage import Checkpoint
from .data import LEVELS, Data, listed
from .recipe import (
    Bits,
    Figures,
    Pictures,
    Recipe,
    bits_of_nats,
    in_parts,
    layers_of,
    mean_and_error,
    only_mnist_sized,
)
from .settings import Choice, GenerativeSettings, Real, Whole, added, setting

EDITS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)  # the shares of the way to another class


@dataclass(frozen=True, kw_only=True)
class LatentSettings(GenerativeSettings):
    """The likelihood p(x|h), and the weight of the KL divergence during the training."""

    likelihood: str = setting(
        Choice("the likelihood p(x|h)", names=("bernoulli", "gaussian", "levels")),
        default="bernoulli",
    )
    levels: int | None = added(
        Whole("number of pixel values from 0 to 1, for --likelihood levels", least=2, none="none"),
        default=None,
    )
    kl_weight: float = added(Real("the final weight β of the KL divergence"), default=1.0)
    warm_up: int = added(
        Whole(
            "epochs in which the weight of the KL divergence rises from 0", least=0, most=1_000_000
        ),
        default=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.likelihood == "levels" and self.levels is None:
            raise ValueError("--likelihood levels needs the number of pixel values: add --levels N")
        if self.likelihood != "levels" and self.levels is not None:
            raise ValueError(
                f"--levels {self.levels} goes with --likelihood levels: add it, or leave --levels "
                f"out, got {self.likelihood}"
            )

    @classmethod
    def following(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of levels of known data."""
        if given.get("likelihood") != "levels":
            return {}
        data = given.get("data", "mnist" if given.get("preset") else "digits")
        return {"levels": LEVELS.get(data)}

    @property
    def of_x(self) -> Any:
        """The likelihood as the models take it: a name, or the number of levels."""
        return self.levels or self.likelihood

    def beta(self, done: int) -> float:
        """Return the KL weight of the next epoch, after ``done`` epochs."""
        rise = schedules.WarmUp(self.warm_up, start=0.0)(done) if self.warm_up else 1.0
        return self.kl_weight * rise

    def weighted(self, epochs: Iterator[Epoch], state: Checkpoint) -> Iterator[Epoch]:
        """Yield the epochs of a training, each with its KL weight."""
        state.model.beta = self.beta(len(state.history))
        for epoch in epochs:
            if self.warm_up:
                epoch.report["KL weight"] = state.model.beta
            state.model.beta = self.beta(epoch.number)
            yield epoch


@dataclass(frozen=True, kw_only=True)
class VAESettings(LatentSettings):
    """The networks, and the number of latents for each sample."""

    network: str = added(
        Choice("the encoder and the decoder", names=("dense", "convolutional")), default="dense"
    )
    hidden: int = setting(Whole("units of the hidden layers, or channels at half the size"))
    latent: int = setting(Whole("latent dimensions"))
    samples: int = added(Whole("latents for each sample in the training bound"), default=1)


_NOTES = VAESettings(
    preset="lecture", data="mnist", hidden=400, latent=20, epochs=10, batch_size=128, lr=1e-3
)


class VAERecipe(Recipe[VAESettings]):
    """The autoencoder D–H–(μ, log σ²)–H–D of ``models.vae.dense``."""

    kind: type = vae.VAE
    title = "variational autoencoder"
    unit = "nats per sample"
    panels: ClassVar = {"KL weight": ("KL weight",)}
    sampled = "means E[x|h]"
    drawn = "draws x ~ p(x|h)"

    LECTURE: VAESettings | None = _NOTES
    MNIST = replace(_NOTES, preset=None)
    # Two latents can be drawn in a plane, and the few small images need more epochs.
    DIGITS = replace(MNIST, data="digits", latent=2, epochs=400, batch_size=32, lr=2e-3)

    def shown(self, model: vae.VAE) -> dict[str, Any]:
        """The networks, the sizes of the layers, and the likelihood."""
        first, second = layers_of(model.encoder)[:2]
        convolves = hasattr(first, "shape")
        hidden = second.weight.shape[0] if convolves else first.weight.shape[0]
        return {
            "network": "convolutional" if convolves else "dense",
            "hidden": hidden,
            "latent": model.n_latent,
            "samples": model.n_samples,
            **likelihood_shown(model),
            "pixels": math.prod(first.shape)
            if convolves
            else first.weight.shape[1] - (model.n_classes or 0),
        }

    def build(self, settings: VAESettings, data: Data, rng: Generator) -> vae.VAE:
        """Build the model for samples with this many numbers."""
        only_mnist_sized(settings, data)
        sizes = settings.hidden, settings.latent, rng, settings.of_x
        if settings.network == "convolutional":
            model = vae.convolutional(data.shape, *sizes)
        else:
            model = vae.dense(math.prod(data.shape), *sizes, self.n_classes(data))
        return vae.VAE(
            model.encoder,
            model.decoder,
            settings.latent,
            settings.of_x,
            settings.samples,
            settings.kl_weight,
            self.n_classes(data),
        )

    def epochs(
        self,
        state: Checkpoint,
        data: Data,
        settings: VAESettings,
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
        patience: Patience | None = None,
        processes: Any = None,
    ) -> Iterator[Epoch]:
        """Train, with the KL weight of each epoch."""
        trained = super().epochs(state, data, settings, progress, patience, processes)
        return settings.weighted(trained, state)

    def samples(self, model: vae.VAE, n: int, rng: Generator, labels: Any = None) -> Array:
        """E[x|h]."""
        return model.sample(n, rng, labels)

    def draws(self, model: vae.VAE, n: int, rng: Generator, labels: Any = None) -> Array:
        """x ~ p(x|h)."""
        return model.draw(n, rng, labels)

    def score(self, model: vae.VAE, data: Data, rng: Generator) -> dict[str, float]:
        """−ELBO in nats per sample, from one latent for each sample."""
        p = model.frozen().conditioned_on
        costs = in_parts(lambda x, *c: -p(*c).elbo(x, rng=rng), self.test(data), rng)
        return {"test cost": float(costs.mean())}

    def compared(self, model: vae.VAE, n: int, rng: Generator) -> dict[str, Array]:
        """Return draws of pixels with levels, or the means that stand for other pixels."""
        draws = isinstance(model.likelihood, int)
        return {"": self.draws(model, n, rng)} if draws else super().compared(model, n, rng)

    def words_to_compare(self, data: str) -> list[str]:
        """Return settings with a likelihood of levels, and with more latents than a picture has."""
        if data not in LEVELS:
            return []
        epochs = ["--epochs", "100"] if data == "digits" else []
        return ["--likelihood", "levels", "--latent", "16", "--schedule", "cosine", *epochs]

    def bits_per_dim(
        self, model: vae.VAE, data: Data, settings: VAESettings, rng: Generator
    ) -> Bits | str:
        """Return the importance-weighted bound, for a likelihood of levels."""
        return bits_per_dim(model, data, rng)

    def figures(self, model: vae.VAE, data: Data, settings: VAESettings, rng: Generator) -> Figures:
        """−ELBO and its parts, the importance-weighted bound, and the number of active latents."""
        p, test, few = model.frozen().conditioned_on, self.test(data), data.few(1000)
        bounded = f"−log p(x), at most, from 100 latents for each of {len(few.test)}"

        def elbo() -> dict[str, str]:
            nll = in_parts(lambda x, *c: p(*c).elbo_terms(x, rng=rng)[0], test, rng)
            kl = in_parts(lambda x, *c: gaussian_kl(*p(*c).encode(x)), test, rng)
            return {
                "−ELBO": mean_and_error(nll + kl),
                **bits_of(model, "−ELBO", nll + kl, data),
                "  reconstruction": mean_and_error(nll),
                "  KL to the prior": mean_and_error(kl),
            }

        def bound() -> dict[str, str]:
            log_p = in_parts(
                lambda x, *c: p(*c).log_likelihood(x, 100, rng), self.test(few), rng, 100
            )
            return {
                bounded: mean_and_error(-log_p),
                **bits_of(model, "−log p(x), at most", -log_p, data),
            }

        def in_use() -> dict[str, str]:
            mu = in_parts(lambda x, *c: p(*c).encode(x)[0], test, rng)
            used = (mu.var(axis=0) > 0.01).sum()  # Burda et al. 2016, section 5.2
            kl = np.sort(self._kl_of_units(model, data, rng))[::-1]
            return {
                "latents in use (variance of μ over 0.01)": f"{used} of {model.n_latent}",
                "  KL of each latent, nats": listed([f"{each:.2f}" for each in kl]),
            }

        yield "−ELBO", elbo
        yield bounded, bound
        yield "latents in use", in_use

    def draw(
        self, model: vae.VAE, data: Data, settings: VAESettings, history: History, rng: Generator
    ) -> Pictures:
        """Latents and reconstructions, then what lies between latents."""
        p, span, few = model.frozen().conditioned_on, data.value_range, data.few(10)
        mu = in_parts(lambda x, *c: p(*c).encode(x)[0], self.test(data), rng)
        if model.n_latent > 1:
            latents = plotting.latent_scatter(mu, data.test_labels, classes=data.classes)
            yield "latents", plotting.titled(latents, "means μ(x) of held-out samples")
        if not plotting.is_image(data.shape):
            return
        again = in_parts(lambda x, *c: p(*c).decode(p(*c).encode(x)[0]), self.test(few), rng)
        again = again.reshape(few.test.shape)
        table = plotting.reconstructions(few.test, again, value_range=span)
        yield "reconstructions", plotting.titled(table, "means E[x|h] at h = μ(x)")
        yield from self.between(model, data, mu, rng)

    def between(self, model: vae.VAE, data: Data, mu: Array, rng: Generator) -> Pictures:
        """Interpolations, traversals, edited images, and the manifold of two latents."""
        frozen, shape, span = model.frozen(), data.shape, data.value_range

        def decode(h: Array) -> Array:
            decoded = frozen.decode(to_device(h, rng).astype(model.dtype))
            return to_host(decoded).reshape(len(h), *shape)

        pairs = min(6, len(mu) // 2)
        path = plotting.interpolation(decode, mu[:pairs], mu[pairs : 2 * pairs], value_range=span)
        yield "interpolation", plotting.titled(path, "means E[x|h] on the way from μ(x) to μ(x′)")
        kl = self._kl_of_units(model, data, rng)
        moved, rows = np.linspace(-3, 3, 9), {}
        for j in np.argsort(-kl)[:8]:
            h = np.repeat(mu[:1], len(moved), axis=0)
            h[:, j] = moved
            rows[f"$h_{{{j + 1}}}$, {kl[j]:.2f} nats"] = decode(h)
        columns = [f"{value:g}".replace("-", "−") for value in moved]
        traversals = plotting.image_table(rows, columns=columns, value_range=span)
        title = "means E[x|h] as one latent of an image moves, those with the largest KL"
        yield "traversals", plotting.titled(traversals, title)
        if data.train_labels is not None and len(data.classes) > 1:
            edited = self._edited(model, data, decode, mu, rng)
            if edited:
                columns = ["x", *(f"t = {share:g}" for share in EDITS)]
                table = plotting.image_table(edited, columns=columns, value_range=span)
                title = "E[x|h] at h = μ(x) + t (mean of the other class − mean of its own)"
                yield "editing", plotting.titled(table, title)
        if model.n_latent == 2:
            manifold = plotting.manifold(decode, value_range=span)
            yield "manifold", plotting.titled(manifold, "means E[x|h]")

    def _kl_of_units(self, model: vae.VAE, data: Data, rng: Generator) -> Array:
        """Return the KL divergence of each latent, averaged over the held-out samples."""

        def of_samples(x: Array, *labels: Array) -> Array:
            return model.conditioned_on(*labels).kl_of_units(x)

        whole = in_parts(of_samples, self.test(data), rng, len(data.test))
        return whole

    def _edited(
        self,
        model: vae.VAE,
        data: Data,
        decode: Callable[[Array], Array],
        mu: Array,
        rng: Generator,
    ) -> dict[str, Array]:
        """Return an image of each of some classes, and what it becomes on the way to the next."""
        assert data.train_labels is not None
        assert data.test_labels is not None
        frozen, count = model.frozen(), len(data.classes)
        of_train = in_parts(lambda x: frozen.encode(x)[0], data.train, rng)
        rows = {}
        for own, other in [(k, (k + 1) % count) for k in range(min(count, 8))]:
            (held_out,) = np.nonzero(data.test_labels == own)
            members = [of_train[data.train_labels == k] for k in (own, other)]
            if len(held_out) and all(map(len, members)):
                step = members[1].mean(axis=0) - members[0].mean(axis=0)
                h = mu[held_out[0]] + np.array(EDITS)[:, None] * step
                first = data.test[held_out[:1]]
                rows[f"{data.classes[own]} to {data.classes[other]}"] = np.concatenate(
                    [first, decode(h)]
                )
        return rows


class IWAERecipe(VAERecipe):
    """The same networks, trained on the importance-weighted bound."""

    kind = vae.IWAE
    title = "importance-weighted autoencoder"
    LECTURE = None
    MNIST = replace(VAERecipe.MNIST, samples=5)
    DIGITS = replace(VAERecipe.DIGITS, samples=5)

    def build(self, settings: VAESettings, data: Data, rng: Generator) -> vae.VAE:
        """Build the model; ``ValueError`` for a weight of the KL, which this bound has not."""
        if settings.kl_weight != 1 or settings.warm_up:
            raise ValueError(
                "the importance-weighted bound has no KL divergence to weigh: leave --kl-weight "
                "and --warm-up out, or take scratchgen train vae"
            )
        model = super().build(settings, data, rng)
        networks = model.encoder, model.decoder
        return vae.IWAE(*networks, settings.latent, settings.of_x, settings.samples)


def bits_per_dim(model: Any, data: Data, rng: Generator) -> Bits | str:
    """Return the importance-weighted bound in bits, or the reason why there is none."""
    if not isinstance(model.likelihood, int):
        return f"– (a {model.likelihood} likelihood)"
    log_p = in_parts(lambda x: model.log_likelihood(x, 100, rng), data.test[:1000], rng, 100)
    return bits_of_nats(-log_p, data, "at most")


def likelihood_shown(model: Any) -> dict[str, Any]:
    """Return the settings that state the likelihood of a model."""
    if isinstance(model.likelihood, int):
        return {"likelihood": "levels", "levels": model.likelihood}
    return {"likelihood": model.likelihood}


def bits_of(model: Any, name: str, nats: Array, data: Data) -> dict[str, str]:
    """Return a line with a measure in bits per pixel, for a likelihood of levels; else nothing."""
    if not isinstance(model.likelihood, int):
        return {}
    bits = bits_of_nats(nats, data, "")
    return {
        f"  {name}, bits per pixel": f"{bits.mean:.3f} ± {bits.error:.3f}, for {model.likelihood} "
        "levels"
    }
