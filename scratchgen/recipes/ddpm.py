"""The diffusion model on the command line: images on [0, 1], a model on [−1, 1]."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..models import DDPM, PlainDenoiser, UNet
from ..optim.schedules import Cosine
from ..progress import watched
from ..storage import Checkpoint
from ..training import History
from .data import Data
from .recipe import Recipe, in_parts, only_mnist_sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = 128  # samples that are denoised at a time


class DDPMRecipe(Recipe):
    """A U-Net, or the notes' network, that predicts the noise in images."""

    title = "denoising diffusion model"
    unit = "mean squared error per pixel"
    n_judged = 500

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """The network, the steps of the chain, and what is averaged."""
        add = parser.add_argument
        add("--network", choices=["unet", "notes"])
        add("--width", type=int, help="channels of the U-Net at the full size, a multiple of 8")
        add("--T", type=int, help="steps of noising")
        add("--schedule", choices=["linear", "cosine"])
        add("--variance", choices=["beta", "posterior"], help="of a step back, beside β or β̃")
        add("--predicts", choices=["noise", "velocity"], help="what the network's output means")
        add("--clip", choices=["none", "data"], help="clip predicted images to the data's range?")
        add("--ema", type=float, help="share that the averaged weights keep at each step")
        add("--decay", choices=["none", "cosine"], help="of the learning rate, to zero at the end")

    def settings(self, data: str, lecture: bool) -> dict[str, Any]:
        """Those of the notes; else a U-Net, on the small digits with more epochs."""
        if lecture:
            return {
                "network": "notes",
                "width": 32,
                "T": 300,
                "schedule": "linear",
                "variance": "beta",
                "predicts": "noise",
                "clip": "none",
                "ema": 0.0,
                "decay": "none",
                "epochs": 5,
                "batch_size": 128,
                "lr": 2e-4,
            }
        shared = {
            "network": "unet",
            "width": 32,
            "T": 300,
            "schedule": "cosine",
            "variance": "posterior",
            "predicts": "velocity",
            "clip": "data",
            "decay": "cosine",
            "lr": 1e-3,
        }
        if data == "digits":
            small = {"width": 16, "ema": 0.99, "epochs": 100, "batch_size": 64, "lr": 2e-3}
            return {**shared, **small}
        return {**shared, "ema": 0.999, "epochs": 12, "batch_size": 64}

    def build(self, settings: Mapping[str, Any], data: Data, rng: Generator) -> DDPM:
        """The model, for images of that size."""
        only_mnist_sized(settings, data)
        data.check_unit_interval("a DDPM")
        shape = data.shape if len(data.shape) == 3 else (1, *data.shape)
        if len(shape) != 3:
            raise ValueError(
                "a DDPM on the command line takes images (n, height, width) or (n, channels, "
                f"height, width), got samples of shape {data.shape}{_advice(data.shape)}"
            )
        if settings["network"] == "notes":
            network: Any = PlainDenoiser(shape[0], rng=rng)
        elif shape[1] % 4 or shape[2] % 4:
            raise ValueError(
                f"the U-Net halves images twice, these are {shape[1]} × {shape[2]}: pad them to "
                f"{shape[1] + -shape[1] % 4} × {shape[2] + -shape[2] % 4}, or take --network notes"
            )
        else:
            network = UNet(shape[0], settings["width"], rng=rng)
        return DDPM(
            network,
            shape,
            settings["T"],
            settings["schedule"],
            settings["variance"],
            settings["predicts"],
            (-1, 1) if settings["clip"] == "data" else None,
            settings["ema"],
        )

    def prepare(self, data: Data) -> Array:
        """2x − 1, on [−1, 1], with channels."""
        return _centred(data, data.train)

    def between_epochs(self, state: Checkpoint, settings: Mapping[str, Any]) -> bool:
        """Lower the learning rate as a cosine, if asked for."""
        if settings["decay"] == "cosine":
            decay = Cosine(settings["epochs"])
            state.optimizers[0].lr = settings["lr"] * decay(len(state.history))
        return False

    def samples(self, model: DDPM, n: int, rng: Generator) -> Array:
        """Ancestral samples, (x + 1)/2, on [0, 1] but for what the model leaves beyond."""
        sizes = [min(PARTS, n - start) for start in range(0, n, PARTS)]
        steps = (step for k in sizes for step in model.denoise(_noise(model, k, rng), rng))
        total = len(sizes) * (model.T + 1)
        ends = [x for t, x in watched(steps, "denoising", total) if t < 0]
        return np.concatenate([0.5 * (to_host(x) + 1) for x in ends])

    def score(self, model: DDPM, data: Data, rng: Generator) -> dict[str, float]:
        """The cost on held-out images, a thousand at most, of the averaged weights."""
        x = _centred(data, data.test[:1000])
        return {"test cost": float(self._errors(model, x, 0, model.T, rng).mean())}

    def judge(
        self, model: DDPM, data: Data, settings: Mapping[str, Any], rng: Generator
    ) -> dict[str, str]:
        """What the schedule leaves, and the errors of the network at times of each quarter."""
        x = _centred(data, data.test)
        nats = in_parts(model.prior_kl, x.astype(model.dtype), rng)
        judged = {
            "held-out samples": f"{len(x)}",
            "signal left at the end, ᾱ": f"{model.alpha_bar[-1]:.3g}",
            "prior matching term, D_KL(q(x_T|x₀) ‖ N(0, I))": f"{nats.mean():.3g} nats",
        }
        limits = [k * model.T // 4 for k in range(5)]
        quarters = [(a, b) for a, b in itertools.pairwise(limits) if a < b]
        squared = "(ε̂ − ε)²" if model.predicts == "noise" else "(v̂ − v)²"
        for first, end in [(0, model.T), *quarters]:
            errors = self._errors(model, x, first, end, rng)
            name = f"{squared}, averaged over t = {first} … {end - 1}"
            judged[name] = f"{errors.mean():.4f} ± {errors.std() / math.sqrt(len(x)):.4f}"
        return judged

    def draw(
        self,
        model: DDPM,
        data: Data,
        settings: Mapping[str, Any],
        history: History,
        rng: Generator,
    ) -> Iterator[tuple[str, Axes]]:
        """The schedule; images as they drown in noise; samples, and what they come from."""
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
        start = _noise(model, 3, rng)
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
        """Sixteen samples on their way from noise, on [0, 1]."""
        count = min(model.T, 24)
        times = {model.T - 1 - k * model.T // count for k in range(count)}
        yield (
            "denoising",
            {
                f"t = {t}" if t >= 0 else "samples": 0.5 * (to_host(x) + 1)
                for t, x in model.denoise(_noise(model, 16, rng), rng)
                if t in times or t < 0
            },
        )

    def _errors(self, model: DDPM, x: Array, first: int, end: int, rng: Generator) -> Array:
        """(ε̂ − ε)², or (v̂ − v)², of each image at a time t with first ≤ t < end; on the host."""
        frozen = model.frozen()

        def errors(part: Array) -> Array:
            part = part.astype(model.dtype)
            t = rng.integers(first, end, size=len(part))
            return frozen.errors(part, t, rng.standard_normal(part.shape, dtype=part.dtype))

        return in_parts(errors, x, rng, PARTS)


def _advice(shape: tuple[int, ...]) -> str:
    """What to do with samples that are no images."""
    side = math.isqrt(shape[0])
    if len(shape) == 1 and side**2 == shape[0]:
        return f"; flattened images of {side} × {side} are images.reshape(-1, {side}, {side})"
    return "; for rows of numbers take a vae, gan or rbm" if len(shape) == 1 else ""


def _centred(data: Data, x: Array) -> Array:
    return (2 * x - 1).reshape(len(x), *(data.shape if len(data.shape) == 3 else (1, *data.shape)))


def _noise(model: DDPM, n: int, rng: Generator) -> Array:
    """Where n chains of denoising begin."""
    dtype: Any = model.dtype
    return rng.standard_normal((n, *model.shape), dtype=dtype)


def _strip(path: list[Array], k: int) -> Array:
    """Image k at each point of the path."""
    return np.stack([to_host(x[k]) for x in path])
