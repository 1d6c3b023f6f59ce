"""The restricted Boltzmann machine on the command line."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..datasets.preprocessing import dequantise
from ..datasets.toys import TOYS
from ..history import Epoch, History
from ..models import rbm
from ..optim import SGD, Adam, Optimizer
from ..parallel.processes import sharers
from ..progress import watched
from ..stopping import Patience
from ..storage import Checkpoint
from .data import LEVELS, Data
from .recipe import (
    Bits,
    Figures,
    Pictures,
    Recipe,
    beside_the_truth,
    curves_of,
    drawn_in_parts,
    in_parts,
    mean_and_error,
    only_mnist_sized,
)
from .settings import (
    Choice,
    Flag,
    GenerativeSettings,
    Real,
    Whole,
    add_decay,
    added,
    decay_as_schedule,
    option,
    setting,
)

SUMMED = 2**20
"""The evaluation computes log Z exactly up to this number of states, and else estimates it."""
SUMMED_EACH_EPOCH = 2**22  # numbers in the sum for log Z: some tenths of a second
CHAINS, TEMPERATURES = 200, 3000  # of annealed importance sampling
LOG_P = "log p(held out)"
STEPS = (0, 1, 10, 100, 1000)  # the picture shows the chains after these steps
PHASES = ("F(data)", "F(chains)")
LEARNED: dict[str, Any] = {
    **{"visible": "gaussian", "sigma": None, "optimizer": "adam", "lr": 0.005},
    **{"persistent": False, "k": 5, "hidden": 128, "epochs": 100, "batch_size": 50},
}
"""The settings for a learned σ: all gradients except ∂C/∂b are proportional to 1/σ²."""
ON_TOYS: dict[str, Any] = {
    **{"hidden": 16, "scale": 0.7, "odds": 0.05, "k": 1, "lr": 0.01, "batch_size": 100},
}
"""The changes to ``LEARNED`` for points of the plane, whose density is a mixture of few parts."""


@dataclass(frozen=True, kw_only=True)
class RBMSettings(GenerativeSettings):
    """The sizes, the chains, and the optimizer."""

    hidden: int = setting(Whole("number of hidden units"))
    visible: Literal["bernoulli", "gaussian", "spin"] = setting(
        Choice("the kind of the visible units", names=("bernoulli", "gaussian", "spin")),
        default="bernoulli",
    )
    sigma: float | None = added(
        Real("σ of Gaussian units, for data of variance 1", above=True, none="learned"),
        default=0.5,
    )
    levels: int | None = added(
        Whole(
            "number of pixel values from 0 to 1; uniform noise fills the gaps for Gaussian units",
            least=2,
            none="none",
        ),
        default=None,
    )
    scale: float = added(Real("standard deviation of the initial weights"), default=0.01)
    odds: float | None = added(
        Real(
            "initial probability of each hidden unit alone, over that of none; sets their biases",
            above=True,
            none="none",
        ),
        default=None,
    )
    k: int = setting(Whole("steps of Gibbs sampling per update"), default=1)
    k_every: int | None = added(
        Whole("add one step after every N-th epoch", most=1_000_000, none="never"), default=None
    )
    persistent: bool = setting(
        Flag("continue the chains from update to update; otherwise they start at the data")
    )
    chains: int = setting(Whole("number of persistent chains"), default=100)
    temperatures: int = added(
        Whole("number of temperatures; the replicas of a persistent chain exchange their states"),
        default=1,
    )
    centred: bool = added(
        Flag("subtract the units' means in the gradient; on and off then count alike"),
        default=False,
    )
    start: str = setting(
        Choice("initial visible biases: from the data, or zeros", names=("data", "zeros"))
    )
    momentum: float = setting(
        Real("the share of the last step that is repeated", most=1, below=True), default=0.0
    )
    weight_decay: float = setting(
        Real("λ: λ times each parameter is added to its gradient"), default=0.0
    )
    optimizer: str = added(Choice("the optimizer", names=("sgd", "adam")), default="sgd")
    l1: float = added(Real("l1 Σ |W| is added to the cost"), default=0.0)
    l2: float = added(Real("½ l2 Σ W² is added to the cost"), default=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, default in {"sigma": 0.5, "levels": None}.items():
            if self.visible != "gaussian" and getattr(self, name) != default:
                raise ValueError(
                    f"{option(name)} is of Gaussian units: take --visible gaussian, got "
                    f"{self.visible}"
                )
        if self.temperatures > 1 and not self.persistent:
            raise ValueError(
                f"--temperatures is of persistent chains: take --persistent, or 1, got "
                f"{self.temperatures}"
            )
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(
                f"--momentum is of --optimizer sgd: leave it out of {self.optimizer}, got "
                f"{self.momentum:g}"
            )

    @classmethod
    def following(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a smaller learning rate for Gaussian units and spins, times 1 − m for momentum m.

        Momentum m makes the steps 1/(1 − m) times as long. If σ is learned, the settings are
        ``LEARNED``. The gradient of spins is centred: otherwise the model gives −s nearly the
        probability of s, and chains from noise may stay for long at images with black and white
        exchanged.
        """
        momentum, visible = given.get("momentum", 0.0), given.get("visible", "bernoulli")
        if visible == "gaussian" and given.get("sigma", 0.5) is None:
            data = given.get("data", "mnist" if given.get("preset") else "digits")
            return {**LEARNED, **(ON_TOYS if data in TOYS else {}), "levels": LEVELS.get(data)}
        if visible not in ("gaussian", "spin") or not 0 <= momentum < 1:
            return {}
        smaller = {"lr": rbm.RATES[visible] * (1 - momentum)}
        return {**smaller, "centred": True} if visible == "spin" else smaller

    def steps(self, done: int) -> int:
        """Return the steps of the chain in the next epoch, after ``done`` epochs."""
        return self.k + (done // self.k_every if self.k_every else 0)

    @classmethod
    def from_first_format(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Rename ``decay``, the former name of the schedule."""
        return super().from_first_format(decay_as_schedule(values))


class RBMRecipe(Recipe[RBMSettings]):
    """An RBM with persistent chains, whose biases start at the best fit by independent units."""

    kind = rbm.RBM
    title = "restricted Boltzmann machine"
    unit = "nats"
    sampled = "means E[v|h] after 1000 steps from noise"
    drawn = "states v after 1000 steps from noise"

    LECTURE = RBMSettings(
        preset="lecture",
        data="mnist",
        hidden=500,
        persistent=False,
        start="zeros",
        epochs=10,
        batch_size=64,
        lr=0.1,
    )
    MNIST = replace(
        LECTURE,
        preset=None,
        persistent=True,
        start="data",
        schedule="cosine",
        epochs=20,
        batch_size=100,
        lr=0.05,
    )
    DIGITS = replace(MNIST, data="digits", hidden=256, epochs=1000, batch_size=50, lr=0.2)

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Accept the former name of the schedule, decay."""
        super().add_options(parser)
        add_decay(parser)

    def shown(self, model: rbm.RBM) -> dict[str, Any]:
        """Return the settings of the sizes, the units and the chains."""
        return {
            "hidden": model.n_hidden,
            "visible": model.visible,
            "k": model.k,
            "persistent": model.persistent,
            "chains": model.n_chains,
            "temperatures": model.n_temperatures,
            "centred": model.centred,
            "l1": model.l1,
            "l2": model.l2,
            "pixels": model.n_visible,
            **({"sigma": _sigma(model)} if model.visible == "gaussian" else {}),
        }

    def build(self, settings: RBMSettings, data: Data, rng: Generator) -> rbm.RBM:
        """Build the model for samples of this size."""
        only_mnist_sized(settings, data)
        kind = dict(rbm.FOR_ANY_SCALE[settings.visible])
        if settings.visible == "gaussian":
            kind["sigma"] = "learned" if settings.sigma is None else settings.sigma
        model = rbm.RBM(
            math.prod(data.shape),
            settings.hidden,
            rng=rng,
            visible=settings.visible,
            k=settings.k,
            persistent=settings.persistent,
            n_chains=settings.chains,
            scale=settings.scale,
            n_temperatures=settings.temperatures,
            centred=settings.centred,
            l1=settings.l1,
            l2=settings.l2,
            **kind,
        )
        if settings.start == "data" or model.standardise or settings.odds is not None:
            start = to_device(_spread_over_levels(data, settings).train, rng)
            model.start_at(start, settings.odds)
        return model

    def optimizers(self, model: rbm.RBM, settings: RBMSettings) -> list[Optimizer]:
        """Return gradient descent with momentum, or Adam, either with weight decay."""
        decay = settings.weight_decay
        if settings.optimizer == "adam":
            return [Adam(model.parameters(), settings.lr, weight_decay=decay)]
        return [SGD(model.parameters(), settings.lr, settings.momentum, weight_decay=decay)]

    def held_out(self, data: Data, settings: RBMSettings) -> Any:
        """Return the held-out samples, with pixels spread over their levels."""
        return super().held_out(_spread_over_levels(data, settings), settings)

    def epochs(
        self,
        state: Checkpoint,
        data: Data,
        settings: RBMSettings,
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
        patience: Patience | None = None,
        processes: Any = None,
    ) -> Iterator[Epoch]:
        """Train on pixels spread over their levels, with chains that may become longer."""
        seen = _spread_over_levels(data, settings)
        trained = super().epochs(state, seen, settings, progress, patience, processes)

        def with_steps() -> Iterator[Epoch]:
            while True:
                state.model.k = settings.steps(len(state.history))
                epoch = next(trained, None)
                state.model.k = settings.k  # the run is stored with its first k
                if epoch is None:
                    return
                yield epoch

        return with_steps()

    def samples(self, model: rbm.RBM, n: int, rng: Generator) -> Array:
        """Return means E[v|h], from a hundred chains at a time."""
        return drawn_in_parts(lambda part: [model.sample(part.stop - part.start, rng)], n, rng, 100)

    def draws(self, model: rbm.RBM, n: int, rng: Generator) -> Array:
        """Return states v, at the end of chains as long as the chains for the means."""
        return drawn_in_parts(lambda part: [model.draw(part.stop - part.start, rng)], n, rng, 100)

    def compared(self, model: rbm.RBM, n: int, rng: Generator) -> dict[str, Array]:
        """Return means E[v|h], or states v where a sample is a point: means lack its spread."""
        if model.n_visible == 2:
            return {"states v": self.draws(model, n, rng)}
        return super().compared(model, n, rng)

    def score(self, model: rbm.RBM, data: Data, rng: Generator) -> dict[str, float]:
        """Return mean F(training samples) − mean F(held-out samples); log p(v) of small machines.

        The difference does not need log Z. It falls below zero if the model memorises the training
        samples. Source: Hinton 2010, section 6.
        """
        scores = {"F train − held out": _gap(model, data, rng)}
        n = model.n_summed
        others = model.n_hidden + model.n_visible - n
        if n <= 20 and 2**n * others <= SUMMED_EACH_EPOCH:
            log_p = _log_likelihood(model, data.test, model.log_partition(), rng)
            scores[LOG_P] = float(log_p.mean())
        return scores

    def bits_per_dim(
        self, model: rbm.RBM, data: Data, settings: RBMSettings, rng: Generator
    ) -> Bits | str:
        """Return a bound by the density of pixels spread over their levels, for Gaussian units."""
        if settings.levels is None:
            return "– (no levels)" if model.visible == "gaussian" else "– (pixels on or off)"
        data = _spread_over_levels(data, settings)
        log_z, error, _ = _log_partition(model, data, rng)
        log_p = _log_likelihood(model, data.test, log_z, rng)
        bits = _bits_per_dim(model, log_p, settings.levels)
        of_z = error / (model.n_visible * math.log(2))
        kind = "at most" if not error else f"at most (log Z ± {of_z:.3f})"
        return Bits(float(bits.mean()), _error(bits), kind)

    def figures(self, model: rbm.RBM, data: Data, settings: RBMSettings, rng: Generator) -> Figures:
        """Yield log p(v), with log Z exact or by annealed importance sampling, and other measures.

        The other measures say less about the likelihood.
        """
        data = _spread_over_levels(data, settings)
        few, frozen = data.train[: len(data.test)], model.frozen()
        discrete = model.family.discrete

        def likelihood() -> dict[str, str]:
            log_z, error, said = _log_partition(model, data, rng)
            held_out = _log_likelihood(model, data.test, log_z, rng)
            independent = rbm.RBM(
                model.n_visible,
                1,
                rng=rng,
                visible=model.visible,
                standardise=model.standardise,
                sigma="learned" if model.sigma == "learned" else 1.0,
            )
            independent.W.data[...] = 0
            independent.start_at(to_device(data.train, rng))
            floor = _log_likelihood(independent, data.test, independent.log_partition(), rng)
            trained_on = _log_likelihood(model, few, log_z, rng)
            standardised = "(x − mean)/standard deviation of each pixel"
            per_dim = {}
            if settings.levels is not None:
                standardised += f", x spread over {settings.levels} levels"
                for name, log_p in {"": held_out, ", of independent units": floor}.items():
                    bits = _bits_per_dim(model, log_p, settings.levels)
                    per_dim[f"bits/dim{name}"] = f"{bits.mean():.3f} ± {_error(bits):.3f}"
                of_z = error / (model.n_visible * math.log(2))
                per_dim["bits/dim"] += f", of which log Z ± {of_z:.4f}"
            if plotting.is_plane(data.shape):
                nll = np.log(to_host(model.spread)).sum() - held_out
                per_dim = {"−log p(x), in the unit of the data": mean_and_error(nll)}
                per_dim |= beside_the_truth(nll, data)
            return {
                "states": "drawn with the grey values as means" if discrete else standardised,
                "log Z": said,
                **per_dim,
                "−log p(v), given log Z": mean_and_error(-held_out),
                f"  of {len(few)} samples trained on": mean_and_error(-trained_on),
                "  of independent units": mean_and_error(-floor),
            }

        def gap() -> dict[str, str]:
            return {"mean F(v), trained on − held out": f"{_gap(model, data, rng):.2f} nats"}

        def pseudo_likelihood() -> dict[str, str]:
            log_p = lambda x: model.pseudo_log_likelihood(_states(model, x, rng))
            pseudo = in_parts(log_p, data.test[:500], rng)
            return {f"−log pseudo-likelihood of {len(pseudo)}": mean_and_error(-pseudo)}

        def reconstruction() -> dict[str, str]:
            def error(x: Array) -> Array:
                v = _states(model, x, rng)
                return ((v - frozen.prob_visible(frozen.prob_hidden(v))) ** 2).mean(axis=1)

            mean = in_parts(error, data.test, rng).mean()
            return {"error of reconstruction (not the objective)": f"{mean:.4f}"}

        yield "−log p(v)", likelihood
        yield "mean F(v), trained on − held out", gap
        if discrete:
            yield "−log pseudo-likelihood", pseudo_likelihood
        yield "error of reconstruction", reconstruction

    def draw(
        self, model: rbm.RBM, data: Data, settings: RBMSettings, history: History, rng: Generator
    ) -> Pictures:
        """Yield curves by their units, filters, reconstructions, chains by step, inpaintings."""
        if history:
            apart = {
                "reconstruction (not the objective)": ("reconstruction", "squared error"),
                LOG_P: ("likelihood", f"{LOG_P}, nats"),
                "exchanged": ("exchanged", "share of exchanges"),
            }
            names = history.curves().keys()
            yield "curves", curves_of(history, names - apart.keys() - {*PHASES}, self.unit)
            if names >= {*PHASES}:  # runs up to the version of November 2026 lack them
                phases = curves_of(history, PHASES, f"mean of F(v), {self.unit}")
                yield "phases", plotting.titled(phases, "positive and negative phase")
            for name in names & apart.keys():
                file, unit = apart[name]
                yield file, plotting.titled(curves_of(history, {name}, unit), name)
        frozen, shape, span = model.frozen(), data.shape, data.value_range
        if not plotting.is_image(shape):
            return
        W = to_host(model.W.data).T
        # The units with the largest weights come first: some units are hardly in use.
        order = np.argsort(-(W**2).sum(axis=1), kind="stable")[:100]
        filters = plotting.filters(W[order].reshape(-1, *shape))
        which = f"the {len(order)} that weigh most of {len(W)}" if len(W) > len(order) else len(W)
        yield "filters", plotting.titled(filters, f"weights of the hidden units, {which}")

        first = data.test[:10]
        few = to_device(first.reshape(len(first), -1), rng)

        def images(v: Array) -> Array:
            return to_host(model.shown(v)).reshape(-1, *shape)

        means = images(frozen.prob_visible(frozen.prob_hidden(model.seen(few))))
        seen_again = plotting.reconstructions(first, means, value_range=span)
        yield "reconstructions", plotting.titled(seen_again, "means E[v|h] at h = E[h|v]")
        v = np.concatenate([_states(model, few[:5], rng), model.noise(5, rng)])
        columns = [*["image"] * (len(v) - 5), *["noise"] * 5]
        rows = {"step 0": images(v)}
        for before, steps in itertools.pairwise(STEPS):
            h = model.sample_hidden(model.gibbs(v, steps - before - 1, rng), rng)
            rows[f"step {steps}"] = images(frozen.prob_visible(h))
            v = model.sample_visible(h, rng)
        chains = plotting.image_table(rows, columns=columns, value_range=span)
        yield "chains", plotting.titled(chains, "where chains begin, and means E[v|h] further on")
        known = np.ones(shape, dtype=bool)
        known[..., shape[-2] // 2 :, :] = False  # the lower half
        filled = to_host(model.inpaint(few, to_device(known, rng), rng)).reshape(first.shape)
        rows = {"known": np.where(known, first, sum(span) / 2), "filled": filled, "image": first}
        inpainting = plotting.image_table(rows, value_range=span)
        yield "inpainting", plotting.titled(inpainting, "means E[v|h], given the upper half")


class GaussianRBMRecipe(RBMRecipe):
    """An RBM of Gaussian units that learn their σ."""

    title = "restricted Boltzmann machine of Gaussian units"

    DIGITS = replace(RBMRecipe.DIGITS, **LEARNED, levels=LEVELS["digits"])
    MNIST = replace(RBMRecipe.MNIST, **LEARNED)
    LECTURE = MNIST
    TOY = replace(MNIST, data="ring", **ON_TOYS)

    def settings(self, given: Mapping[str, Any]) -> RBMSettings:
        """Return the settings of an RBM with Gaussian units and a learned σ."""
        if given.get("preset"):
            raise ValueError(
                "--preset is of what the notes train, which are binary units alone: leave it out, "
                "or take scratchgen train rbm --preset lecture"
            )
        return super().settings({"visible": "gaussian", "sigma": None, **given})


def _sigma(model: rbm.RBM) -> float | None:
    return None if model.sigma == "learned" else float(model.sigma)


def _spread_over_levels(data: Data, settings: RBMSettings) -> Data:
    """y = (k + u)/K for pixels of level k = 0 … K − 1, with u ~ U[0, 1), the same at every call.

    Without ``levels``, the data are unchanged. Raises ``ValueError`` for pixels between levels.
    """
    if settings.levels is None:
        return data
    rng, top = np.random.default_rng(0), settings.levels - 1

    def spread(x: Array) -> Array:
        whole = np.round(x * top)
        if x.min() < 0 or x.max() > 1 or np.abs(x * top - whole).max() > 0.01:
            raise ValueError(
                f"--levels {top + 1} are values 0, 1/{top}, … 1, and {data.name} has others: "
                "count its levels, or take --levels none"
            )
        y, _ = dequantise(whole, top + 1, rng)
        return y

    return replace(data, train=spread(data.train), test=spread(data.test))


def _bits_per_dim(model: rbm.RBM, log_p: Array, levels: int) -> Array:
    """Return a bound on −log₂ P(x) per pixel, (n,), from log p(v) of standardised samples.

    Source: Theis, van den Oord and Bethge, arXiv:1511.01844, section 3.1.
    """
    volume = np.log(to_host(model.spread).astype(np.float64)).sum()
    return (volume - log_p) / (model.n_visible * math.log(2)) + math.log2(levels)


def _error(x: Array) -> float:
    """Return the standard error of the mean."""
    return float(x.std() / math.sqrt(len(x)))


def _states(model: rbm.RBM, x: Array, rng: Generator) -> Array:
    """Return states v for samples x, as in training."""
    return model.states(x.astype(model.dtype), rng)


def _gap(model: rbm.RBM, data: Data, rng: Generator) -> float:
    """Return mean F(training samples) − mean F(held-out samples), about as many, of grey values."""
    frozen = model.frozen()
    few = data.train[:: max(1, len(data.train) // len(data.test))]

    def F(x: Array) -> Array:
        rows = x.reshape(len(x), -1).astype(model.dtype)
        return frozen.free_energy(frozen.seen(rows))

    trained_on, held_out = (in_parts(F, x, rng).mean() for x in (few, data.test))
    return float(trained_on - held_out)


def _log_likelihood(model: rbm.RBM, x: Array, log_z: float, rng: Generator) -> Array:
    return in_parts(lambda part: model.log_likelihood(_states(model, part, rng), log_z), x, rng)


def _log_partition(model: rbm.RBM, data: Data, rng: Generator) -> tuple[float, float, str]:
    """Return log Z, its standard error, and a line that names the method."""
    if 2**model.n_summed <= SUMMED:
        log_z = model.log_partition()
        return log_z, 0.0, f"{log_z:.3f}, exact: a sum over 2^{model.n_summed} states"
    train = to_device(data.train, rng)
    log_z, error = model.log_partition_ais(
        CHAINS, TEMPERATURES, rng, train, lambda steps: watched(steps, "annealing"), sharers()
    )
    trusted = "" if error < 0.5 else "; too large an error to be trusted, as the weights are few"
    return (
        log_z,
        error,
        (
            f"{log_z:.2f} ± {error:.2f}, by annealed importance sampling of {CHAINS} chains over "
            f"{TEMPERATURES} temperatures{trusted}"
        ),
    )
