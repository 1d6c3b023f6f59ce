"""The diffusion model on the command line, which maps images from [0, 1] to [−1, 1]."""

from __future__ import annotations

import argparse
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..history import History
from ..models import DDPM, LabelledDenoiser, PlainDenoiser, UNet
from ..models.diffusion import likelihood
from .data import LEVELS, Data
from .recipe import (
    Bits,
    Figures,
    Recipe,
    bits_of_nats,
    drawn_in_parts,
    in_parts,
    only_mnist_sized,
)
from .settings import AveragedSettings, Choice, Whole, add_decay, decay_as_schedule, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = 128  # the number of samples denoised at a time
PIXELS = 1600  # the likelihood is computed for about as many pixels, of at least two images
PATHS = 4  # the number of noised paths of each image in the importance-weighted bound


@dataclass(frozen=True, kw_only=True)
class DDPMSettings(AveragedSettings):
    """The network, the steps of the chain, and the average of weights."""

    network: str = setting(Choice("the network that predicts the noise", names=("unet", "notes")))
    width: int = setting(
        Whole("channels of the U-Net at full size", least=8, most=1024, step=8), default=32
    )
    T: int = setting(Whole("number of noising steps", most=10_000), default=300)
    noise_schedule: Literal["linear", "cosine"] = setting(
        Choice("the schedule of the noise, β", names=("linear", "cosine"))
    )
    variance: Literal["beta", "posterior"] = setting(
        Choice("the variance of a step back, β or β̃", names=("beta", "posterior"))
    )
    predicts: Literal["noise", "velocity"] = setting(
        Choice("the quantity that the network predicts", names=("noise", "velocity"))
    )
    clip: str = setting(
        Choice("the range to which predicted images are clipped", names=("none", "data"))
    )

    @classmethod
    def parsed(cls, words: Mapping[str, Any]) -> dict[str, Any]:
        """Parse the settings; ``ValueError`` if ``--schedule`` names a schedule of the noise."""
        if words.get("schedule") == "linear":
            raise ValueError(
                "--schedule is that of the learning rate, got 'linear': that of the noise is "
                "--noise-schedule linear"
            )
        return super().parsed(words)

    @classmethod
    def from_first_format(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Rename ``decay``, now ``schedule``, and ``schedule``, now ``noise_schedule``."""
        noise = {"noise_schedule": values["schedule"]} if "schedule" in values else {}
        rest = {name: value for name, value in values.items() if name != "schedule"}
        return super().from_first_format(decay_as_schedule({**rest, **noise}))


class DDPMRecipe(Recipe[DDPMSettings]):
    """A U-Net, or the notes' network, that predicts the noise in images."""

    kind = DDPM
    title = "denoising diffusion model"
    unit = "mean squared error per pixel"
    n_judged = 500

    LECTURE = DDPMSettings(
        preset="lecture",
        data="mnist",
        network="notes",
        noise_schedule="linear",
        variance="beta",
        predicts="noise",
        clip="none",
        ema=0.0,
        epochs=5,
        batch_size=128,
        lr=2e-4,
    )
    MNIST = replace(
        LECTURE,
        preset=None,
        network="unet",
        noise_schedule="cosine",
        variance="posterior",
        predicts="velocity",
        clip="data",
        ema=0.999,
        schedule="cosine",
        epochs=12,
        batch_size=64,
        lr=1e-3,
    )
    DIGITS = replace(MNIST, data="digits", width=16, ema=0.99, epochs=100, lr=2e-3)

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Accept the former name of the schedule, decay."""
        super().add_options(parser)
        add_decay(parser)

    def shown(self, model: DDPM) -> dict[str, Any]:
        """Return the settings of the network and of the chain."""
        labelled = isinstance(model.network, LabelledDenoiser)
        network = model.network.network if labelled else model.network
        is_unet = isinstance(network, UNet)
        shown = {
            "network": "unet" if is_unet else "notes",
            "T": model.T,
            "noise_schedule": model.schedule,
            "variance": model.variance,
            "predicts": model.predicts,
            "clip": "none" if model.clip is None else "data",
            "pixels": math.prod(model.shape),
        }
        return {**shown, "width": network.width} if is_unet else shown

    def build(self, settings: DDPMSettings, data: Data, rng: Generator) -> DDPM:
        """Build the model for images of this size."""
        only_mnist_sized(settings, data)
        data.check_unit_interval("a DDPM")
        shape = image_shape(data, "a DDPM on the command line")
        if settings.network == "notes":
            network: Any = PlainDenoiser(shape[0], rng=rng)
        else:
            network = unet_for(shape, settings.width, rng, "notes")
        return DDPM(
            self.with_classes(network, data, rng),
            shape,
            settings.T,
            settings.noise_schedule,
            settings.variance,
            settings.predicts,
            (-1, 1) if settings.clip == "data" else None,
            **self.of_classes(settings, data),
        )

    def with_classes(self, network: Any, data: Data, rng: Generator) -> Any:
        """Return the network for the classes of the data, if the model is conditioned on them."""
        return network

    def of_classes(self, settings: Any, data: Data) -> dict[str, Any]:
        """Return the settings of the model that concern its classes."""
        return {}

    def prepare(self, data: Data) -> Any:
        """Return 2x − 1, on [−1, 1], with channels."""
        return self.paired(_centred(data, data.train), data.train_labels)

    def conditioned(self, model: DDPM, n: int) -> DDPM:
        """Return the model that draws n chains for the pictures."""
        return model

    def samples(
        self,
        model: DDPM,
        n: int,
        rng: Generator,
        labels: Any = None,
        guidance: float = 0.0,
        steps: int | None = None,
        eta: float | None = None,
    ) -> Array:
        """Return ancestral samples, or those of DDIM where ``steps`` or ``eta`` is given.

        They are (x + 1)/2, on [0, 1] unless the model exceeds its range.
        """
        if steps is not None and steps > model.T:
            raise ValueError(f"--steps is at most T = {model.T}, the noising steps, got {steps}")

        def states(part: slice) -> Iterator[Array]:
            of_part = None if labels is None else labels[part]
            start = _noise(model, part.stop - part.start, rng)
            denoised = model.conditioned_on(of_part, guidance).denoise(start, rng, steps, eta)
            return (x for _, x in denoised)

        n_states = (steps or model.T) + 1
        return 0.5 * (drawn_in_parts(states, n, rng, PARTS, "denoising", n_states) + 1)

    def in_steps(
        self, steps: int | None, eta: float | None
    ) -> tuple[Callable[[DDPM, int, Generator], Array], str]:
        """Return ``samples`` by DDIM with these settings, and their name."""
        count = "all" if steps is None else f"{steps}"
        of_model = functools.partial(self.samples, steps=steps, eta=eta)
        return of_model, f"samples by DDIM in {count} steps, η = {eta or 0:g}"

    def score(self, model: DDPM, data: Data, rng: Generator) -> dict[str, float]:
        """Return the cost on at most a thousand held-out images."""
        errors = self._errors(model, data.few(1000), 0, model.T, rng)
        return {"test cost": float(errors.mean())}

    def figures(self, model: DDPM, data: Data, settings: DDPMSettings, rng: Generator) -> Figures:
        """Yield the signal at the end of noising, and the network's errors by quarters of time."""
        x = _centred(data, data.test)
        squared = "(ε̂ − ε)²" if model.predicts == "noise" else "(v̂ − v)²"

        def left() -> dict[str, str]:
            nats = in_parts(model.noising.prior_kl, x.astype(model.dtype), rng)
            return {
                "signal left at the end, ᾱ": f"{model.alpha_bar[-1]:.3g}",
                "prior matching term, D_KL(q(x_T|x₀) ‖ N(0, I))": f"{nats.mean():.3g} nats",
            }

        def error(name: str, first: int, end: int) -> dict[str, str]:
            errors = self._errors(model, data, first, end, rng)
            return {name: f"{errors.mean():.4f} ± {errors.std() / math.sqrt(len(x)):.4f}"}

        yield "prior matching term", left
        limits = [k * model.T // 4 for k in range(5)]
        quarters = [(a, b) for a, b in itertools.pairwise(limits) if a < b]
        for first, end in [(0, model.T), *quarters]:
            name = f"{squared}, averaged over t = {first} … {end - 1}"
            yield name, functools.partial(error, name, first, end)
        few = x[: max(2, PIXELS // math.prod(model.shape))]
        yield "−log₂ P(x)", functools.partial(self._bits, model, few, data, rng)

    def bits_per_dim(
        self, model: DDPM, data: Data, settings: DDPMSettings, rng: Generator
    ) -> Bits | str:
        """Return the bound by the density of the flow, for pixels spread over their levels."""
        if data.name not in LEVELS:
            return "– (no levels)"
        x = _centred(data, data.test)[: max(2, PIXELS // math.prod(model.shape))]
        flow = functools.partial(self._nats_of_flow, model, 2 * level_width(data.train), rng)
        nats = in_parts(flow, x.astype(model.dtype), rng, PARTS)
        return bits_of_nats(nats, data, f"at most (flow, {len(x)} images)")

    def _nats_of_flow(self, model: DDPM, width: float, rng: Generator, part: Array) -> Array:
        """Return a bound on −log P(x) of levels ``width`` apart: −log p(x + u) − D log width."""
        u = width * (rng.random(part.shape, dtype=part.dtype) - 0.5)
        log_p = model.flow_log_likelihood(part + u, 1, rng, tolerance=1e-3)
        return -(log_p + math.prod(model.shape) * math.log(width))

    def _bits(self, model: DDPM, x: Array, data: Data, rng: Generator) -> dict[str, str]:
        """Return −log₂ P(x) of the chain and of the flow for few images, in bits per pixel."""
        width = 2 * level_width(data.train)
        per_pixel = math.prod(model.shape) * math.log(2)

        def terms(part: Array) -> Array:
            return np.stack(likelihood.elbo_terms_of_levels(model, part, width, rng), axis=1)

        def weighted(part: Array) -> Array:
            return -likelihood.importance_weighted(model, part, PATHS, rng, width)

        flow = functools.partial(self._nats_of_flow, model, width, rng)
        x = x.astype(model.dtype)
        of_terms = in_parts(terms, x, rng, PARTS)
        chain = f"−log₂ P(x) of the chain, at most, for {round(2 / width) + 1} levels"
        nats = {f"{chain}, {len(x)} images": of_terms.sum(axis=1)}
        nats |= zip(
            ("  reconstruction", "  prior matching", "  denoising"), of_terms.T, strict=True
        )
        nats[f"  from {PATHS} paths of each, weighted"] = in_parts(weighted, x, rng, PARTS)
        nats["−log₂ P(x) of the flow, at most, the trace estimated"] = in_parts(flow, x, rng, PARTS)
        return {
            name: f"{each.mean() / per_pixel:.3f} ± "
            f"{each.std() / math.sqrt(len(x)) / per_pixel:.3f} bits per pixel"
            for name, each in nats.items()
        }

    def draw(
        self,
        model: DDPM,
        data: Data,
        settings: DDPMSettings,
        history: History,
        rng: Generator,
    ) -> Iterator[tuple[str, Axes]]:
        """Yield the schedule, images at increasing noise, and samples with predicted images."""
        schedule = plotting.noise_schedule(model.beta)
        yield "schedule", plotting.titled(schedule, "the noise of each step")
        if not plotting.is_image(data.shape):
            return
        span, count = (-1.0, 1.0), min(model.T, 8)
        times = [model.T - 1 - k * model.T // count for k in range(count)]
        x0 = to_device(_centred(data, data.test[:3]).astype(model.dtype), rng)
        noise = rng.standard_normal(x0.shape, dtype=x0.dtype)
        path = [x0, *(model.q_sample(x0, t, noise) for t in reversed(times))]
        columns = ["$x_0$", *(f"t = {t}" for t in reversed(times))]
        rows = {f"image {k + 1}": _strip(path, k) for k in range(len(x0))}
        noising = plotting.image_table(rows, columns=columns, value_range=span)
        yield "noising", plotting.titled(noising, "held-out images with more and more noise")

        states = []
        start, model = _noise(model, 3, rng), self.conditioned(model, 3)
        for t, x in model.denoise(start, rng):
            if t in times or t < 0:
                states.append((x, model.predict(x, t)[0] if t >= 0 else x))
        columns = [*(f"t = {t}" for t in times), "sample"]
        rows = {}
        for k in range(len(start)):
            rows[f"$x_t$ of sample {k + 1}"] = _strip([x for x, _ in states], k)
            rows[rf"$\hat x_0$ of sample {k + 1}"] = _strip([x0 for _, x0 in states], k)
        denoising = plotting.image_table(rows, columns=columns, value_range=span)
        title = (
            r"samples on their way, $x_t$, and the images $\hat x_0$ that the network sees in them"
        )
        yield "denoising", plotting.titled(denoising, title)

    def animations(self, model: DDPM, rng: Generator) -> Iterator[tuple[str, dict[str, Array]]]:
        """Yield sixteen samples along the chain from noise, on [0, 1]."""
        count = min(model.T, 24)
        times = {model.T - 1 - k * model.T // count for k in range(count)}
        yield (
            "denoising",
            {
                f"t = {t}" if t >= 0 else "samples": 0.5 * (to_host(x) + 1)
                for t, x in self.conditioned(model, 16).denoise(_noise(model, 16, rng), rng)
                if t in times or t < 0
            },
        )

    def _errors(self, model: DDPM, data: Data, first: int, end: int, rng: Generator) -> Array:
        """(ε̂ − ε)², or (v̂ − v)², of each held-out image at a time t with first ≤ t < end.

        The errors are on the host.
        """
        frozen, x = model.frozen(), self.paired(_centred(data, data.test), data.test_labels)

        def errors(part: Array, *labels: Array) -> Array:
            part = part.astype(model.dtype)
            t = rng.integers(first, end, size=len(part))
            noise = rng.standard_normal(part.shape, dtype=part.dtype)
            return frozen.errors(part, t, noise, None, *labels)

        return in_parts(errors, x, rng, PARTS)


def level_width(x: Array) -> float:
    """Return w for pixels that are 0, w, 2w, … 1; ``ValueError`` for pixels of other values."""
    values = np.unique(x)
    width = float(np.diff(values).min()) if len(values) > 1 else 1.0
    steps = round(1 / width)
    if not 1 <= steps <= 255 or np.absolute(values * steps - np.round(values * steps)).max() > 1e-3:
        raise ValueError("pixels have a probability if they have at most 256 levels from 0 to 1")
    return 1 / steps


def image_shape(data: Data, model: str) -> tuple[int, ...]:
    """Return the shape of an image with its channels; ``ValueError`` for other samples."""
    shape = data.shape if len(data.shape) == 3 else (1, *data.shape)
    if len(shape) != 3:
        raise ValueError(
            f"{model} takes images (n, height, width) or (n, channels, height, width), got "
            f"samples of shape {data.shape}{_advice(data.shape)}"
        )
    return shape


def unet_for(shape: tuple[int, ...], width: int, rng: Generator, other: str) -> UNet:
    """Build a U-Net; ``ValueError`` for odd sizes, which the ``other`` network takes."""
    if shape[1] % 4 or shape[2] % 4:
        raise ValueError(
            f"the U-Net halves images twice, these are {shape[1]} × {shape[2]}: pad them to "
            f"{shape[1] + -shape[1] % 4} × {shape[2] + -shape[2] % 4}, or take --network {other}"
        )
    return UNet(shape[0], width, rng=rng)


def _advice(shape: tuple[int, ...]) -> str:
    """Return advice for samples that are not images."""
    side = math.isqrt(shape[0])
    if len(shape) == 1 and side**2 == shape[0]:
        return f"; flattened images of {side} × {side} are images.reshape(-1, {side}, {side})"
    return "; for rows of numbers take a vae, gan or rbm" if len(shape) == 1 else ""


def _centred(data: Data, x: Array) -> Array:
    return (2 * x - 1).reshape(len(x), *(data.shape if len(data.shape) == 3 else (1, *data.shape)))


def _noise(model: DDPM, n: int, rng: Generator) -> Array:
    """Return the noise from which n chains of denoising start."""
    dtype: Any = model.dtype
    return rng.standard_normal((n, *model.shape), dtype=dtype)


def _strip(path: list[Array], k: int) -> Array:
    """Return image k at each point of the path."""
    return np.stack([to_host(x[k]) for x in path])
