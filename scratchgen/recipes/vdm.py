"""Variational diffusion on the command line, for pixels of few levels.

The data are on [0, 1], and the model is on [−1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..history import Epoch, History
from ..models.diffusion import vdm
from ..models.diffusion.noising import Continuous
from ..stopping import Patience
from ..storage import Checkpoint
from .data import Data
from .recipe import Bits, Figures, Pictures, Recipe, bits_of_nats, drawn_in_parts, in_parts
from .settings import Choice, GenerativeSettings, Real, Whole, setting

PARTS = 200  # the number of samples drawn at a time
DRAWS = 20  # the number of times, each with its noise, for each held-out sample


@dataclass(frozen=True, kw_only=True)
class VDMSettings(GenerativeSettings):
    """The network, the levels of the pixels, and the noise."""

    hidden: int = setting(Whole("units of the two hidden layers", most=10_000))
    levels: int = setting(
        Whole("number of grey levels to which pixels are rounded", least=2, most=256)
    )
    T: int | None = setting(Whole("number of noising steps", most=10_000, none="continuous"))
    gamma: Literal["linear", "learned"] = setting(
        Choice("γ(t), the log of the noise-to-signal ratio", names=("linear", "learned"))
    )
    low: float = setting(Real("γ(0), at the data, of a linear γ", least=-30.0, most=30.0))
    high: float = setting(Real("γ(1), at the noise, of a linear γ", least=-30.0, most=30.0))


class VDMRecipe(Recipe[VDMSettings]):
    """The dense network of ``models.diffusion.vdm.dense``."""

    kind = vdm.VDM
    title = "variational diffusion model"
    unit = "nats per sample"
    panels: ClassVar = {
        "small terms, nats": ("reconstruction", "prior matching"),
        "bits per pixel": ("test bits",),
    }
    n_judged = 500

    DIGITS = VDMSettings(
        data="digits",
        hidden=256,
        levels=17,
        T=100,
        gamma="learned",
        low=vdm.LOW,
        high=vdm.HIGH,
        schedule="cosine",
        epochs=60,
        batch_size=64,
        lr=2e-3,
    )
    MNIST = replace(DIGITS, data="mnist", levels=16, epochs=10, batch_size=128, lr=1e-3)

    def shown(self, model: vdm.VDM) -> dict[str, Any]:
        """Return sizes, levels and steps."""
        return {
            "hidden": model.network.middle.weight.shape[0],
            "levels": len(model.levels or ()),
            "T": model.T,
            "gamma": "learned" if isinstance(model.gamma, vdm.LearnedGamma) else "linear",
            "pixels": math.prod(model.shape),
        }

    def build(self, settings: VDMSettings, data: Data, rng: Generator) -> vdm.VDM:
        """Build the model; its logits start as the histograms of the pixels."""
        data.check_unit_interval("a VDM")
        gamma: Any = "learned" if settings.gamma == "learned" else (settings.low, settings.high)
        x = to_device(_levelled(data.train, settings.levels), rng)
        return vdm.dense(data.shape, settings.hidden, rng, gamma, settings.T, settings.levels, x)

    def prepare(self, data: Data) -> Array:
        """Return 2x − 1, on [−1, 1]."""
        return 2 * data.train - 1

    def epochs(
        self,
        state: Checkpoint,
        data: Data,
        settings: VDMSettings,
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
        patience: Patience | None = None,
        processes: Any = None,
    ) -> Iterator[Epoch]:
        """Train on pixels that are rounded to the levels."""
        rounded = replace(data, train=0.5 * (_levelled(data.train, settings.levels) + 1))
        return super().epochs(state, rounded, settings, progress, patience, processes)

    def samples(self, model: vdm.VDM, n: int, rng: Generator) -> Array:
        """Return draws x ~ p(x), on [0, 1]."""

        def draw(part: slice) -> list[Array]:
            return [model.sample(part.stop - part.start, rng)]

        return 0.5 * (drawn_in_parts(draw, n, rng, PARTS) + 1)

    def score(self, model: vdm.VDM, data: Data, rng: Generator) -> dict[str, float]:
        """Return the bits per pixel of held-out images, from one time for each."""
        x = _levelled(data.test, len(model.levels or ()))
        bits = in_parts(lambda part: model.bits_per_dim(part, rng), x, rng)
        return {"test bits per pixel": float(bits.mean())}

    def bits_per_dim(
        self, model: vdm.VDM, data: Data, settings: VDMSettings, rng: Generator
    ) -> Bits | str:
        """Return the bound, from some times for each image."""
        x, frozen = _levelled(data.test, len(model.levels or ())), model.frozen()
        draws = [
            in_parts(lambda part: sum(frozen.elbo_terms(part, rng)), x, rng) for _ in range(DRAWS)
        ]
        return bits_of_nats(np.mean(draws, axis=0), data, "at most")

    def figures(self, model: vdm.VDM, data: Data, settings: VDMSettings, rng: Generator) -> Figures:
        """Yield the bound and its terms in bits per pixel, and the bits of models without network.

        Their pixels are independent, or all levels have the same probability.
        """
        K = len(model.levels or ())
        x, seen = _levelled(data.test, K), _levelled(data.train, K)
        per_pixel = math.prod(model.shape) * math.log(2)
        frozen = model.frozen()

        def bound() -> dict[str, str]:
            draws = [
                in_parts(lambda part: np.stack(frozen.elbo_terms(part, rng), axis=1), x, rng)
                for _ in range(DRAWS)
            ]
            bits = np.mean(draws, axis=0) / per_pixel
            names = ("reconstruction", "prior matching", "diffusion")
            said = {f"  {n}": _bits(b) for n, b in zip(names, bits.T, strict=True)}
            return {"−log p(x), at most": _bits(bits.sum(axis=1)), **said}

        def floors() -> dict[str, str]:
            levels = model.levels or ()
            log_p, index = vdm.log_histogram(seen, levels)[None], vdm.nearest(x, levels)[..., None]
            bits = -np.take_along_axis(log_p, index, -1).reshape(len(x), -1).sum(axis=1) / per_pixel
            return {
                "  of pixels that are independent": _bits(bits),
                f"  of {K} levels that are all alike": f"{math.log2(K):.3f} bits per pixel",
            }

        yield "−log p(x)", bound
        yield "what needs no network", floors

    def draw(
        self, model: vdm.VDM, data: Data, settings: VDMSettings, history: History, rng: Generator
    ) -> Pictures:
        """Yield the noise of each step, and samples at several times of the chain."""
        steps = model.T or 1000
        t = np.arange(steps + 1) / steps
        signal = Continuous(model.frozen().gamma).exact_scales(to_device(t, rng), to_device(t, rng))
        left = to_host(signal[0]).reshape(-1) ** 2
        schedule = plotting.noise_schedule(1 - left / np.append(1.0, left[:-1]))
        yield "schedule", plotting.titled(schedule, "the noise of each step")
        if not plotting.is_image(data.shape):
            return
        start = rng.standard_normal((3, *model.shape), dtype=model.dtype or np.float32)
        wanted = {steps - k * steps // 8 for k in range(8)} | {0}
        frozen, states = model.frozen(), {}
        for time, z in model.chain(start, rng, steps):
            if round(time * steps) in wanted:
                at = np.full_like(z, time, shape=(len(z),))
                states[f"t = {time:.2f}"] = to_host(z), to_host(frozen.denoise(z, at))
        rows = {}
        for k in range(len(start)):
            rows[f"$z_t$ of sample {k + 1}"] = np.stack([z[k] for z, _ in states.values()])
            rows[rf"$\hat x$ of sample {k + 1}"] = np.stack([x[k] for _, x in states.values()])
        table = plotting.image_table(rows, columns=[*states], value_range=(-1.0, 1.0))
        yield (
            "denoising",
            plotting.titled(table, "samples on their way, and the means of x in them"),
        )


def _levelled(x: Array, levels: int) -> Array:
    """Return the level nearest to each pixel, on [−1, 1]."""
    return (2 * np.round((levels - 1) * x) / (levels - 1) - 1).astype(x.dtype)


def _bits(x: Array) -> str:
    """Return the mean with its standard error."""
    return f"{x.mean():.3f} ± {x.std() / math.sqrt(len(x)):.3f} bits per pixel"
