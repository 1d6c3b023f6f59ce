"""The restricted Boltzmann machine on the command line."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from .. import plotting
from ..backend import Array, Generator, to_device, to_host
from ..distributions import FAMILIES, Bernoulli
from ..history import History
from ..models import rbm
from ..optim import SGD, Optimizer
from ..progress import watched
from .data import Data
from .recipe import (
    Figures,
    Pictures,
    Recipe,
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
    decay_as_schedule,
    setting,
)

SUMMED = 2**20
"""As many states are summed over for log Z where the models are judged; beyond, it is estimated."""
SUMMED_EACH_EPOCH = 2**22  # numbers: some tenths of a second
CHAINS, TEMPERATURES = 200, 3000  # of annealed importance sampling
LOG_P = "log p(held out)"
STEPS = (0, 1, 10, 100, 1000)  # of the chains that are drawn


@dataclass(frozen=True, kw_only=True)
class RBMSettings(GenerativeSettings):
    """Sizes, chains, optimizer."""

    hidden: int = setting(Whole("hidden units"))
    visible: Literal["bernoulli", "gaussian"] = setting(
        Choice("what the visible units are", names=("bernoulli", "gaussian")), default="bernoulli"
    )
    k: int = setting(Whole("steps of Gibbs sampling to an update"), default=1)
    persistent: bool = setting(
        Flag("chains that go on from update to update, in place of chains from the data")
    )
    chains: int = setting(Whole("how many persistent chains"), default=100)
    start: str = setting(Choice("visible biases: of the data, or zeros", names=("data", "zeros")))
    momentum: float = setting(
        Real("share of the last step that is gone again", most=1, below=True), default=0.0
    )
    weight_decay: float = setting(Real("λ: λ W is added to the gradient"), default=0.0)

    @classmethod
    def following(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Gaussian units take smaller steps, which momentum m makes 1/(1 − m) times as long."""
        momentum, visible = given.get("momentum", 0.0), str(given.get("visible", "bernoulli"))
        if FAMILIES.get(visible, Bernoulli).discrete or not 0 <= momentum < 1:
            return {}
        return {"lr": rbm.RATES[visible] * (1 - momentum)}

    @classmethod
    def from_first_format(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The schedule was called decay."""
        return super().from_first_format(decay_as_schedule(values))


class RBMRecipe(Recipe[RBMSettings]):
    """An RBM with persistent chains, begun as the machine of independent units of the data."""

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
        """The schedule may be called decay."""
        super().add_options(parser)
        add_decay(parser)

    def shown(self, model: rbm.RBM) -> dict[str, Any]:
        """Sizes, units, chains."""
        return {
            "hidden": model.n_hidden,
            "visible": model.visible,
            "k": model.k,
            "persistent": model.persistent,
            "chains": model.n_chains,
            "pixels": model.n_visible,
        }

    def build(self, settings: RBMSettings, data: Data, rng: Generator) -> rbm.RBM:
        """The model, for as many numbers as a sample has."""
        only_mnist_sized(settings, data)
        model = rbm.RBM(
            math.prod(data.shape),
            settings.hidden,
            rng=rng,
            visible=settings.visible,
            k=settings.k,
            persistent=settings.persistent,
            n_chains=settings.chains,
            **rbm.FOR_ANY_SCALE[settings.visible],
        )
        if settings.start == "data" or model.standardise:
            model.start_at(to_device(data.train, rng))
        return model

    def optimizers(self, model: rbm.RBM, settings: RBMSettings) -> list[Optimizer]:
        """Gradient descent, with momentum and weight decay."""
        decay = settings.weight_decay
        return [SGD(model.parameters(), settings.lr, settings.momentum, weight_decay=decay)]

    def samples(self, model: rbm.RBM, n: int, rng: Generator) -> Array:
        """Means E[v|h], a hundred chains at a time."""
        return drawn_in_parts(lambda k: model.sample(k, rng), n, 100)

    def draws(self, model: rbm.RBM, n: int, rng: Generator) -> Array:
        """States v, at the end of as many steps as the means come from."""
        return drawn_in_parts(lambda k: model.draw(k, rng), n, 100)

    def score(self, model: rbm.RBM, data: Data, rng: Generator) -> dict[str, float]:
        """F of samples trained on less that of others, and, of small machines, log p(v).

        The first does without log Z. It goes below zero where samples trained on are learned by
        heart. Source: Hinton 2010, section 6.
        """
        scores = {"F train − held out": _gap(model, data, rng)}
        n = model.n_summed
        others = model.n_hidden + model.n_visible - n
        if n <= 20 and 2**n * others <= SUMMED_EACH_EPOCH:
            log_p = _log_likelihood(model, data.test, model.log_partition(), rng)
            scores[LOG_P] = float(log_p.mean())
        return scores

    def figures(self, model: rbm.RBM, data: Data, settings: RBMSettings, rng: Generator) -> Figures:
        """log p(v), with log Z exact or by annealed importance sampling; what tells less of it."""
        few, frozen = data.train[: len(data.test)], model.frozen()
        discrete = model.family.discrete

        def likelihood() -> dict[str, str]:
            log_z, said = _log_partition(model, data, rng)
            held_out = _log_likelihood(model, data.test, log_z, rng)
            independent = rbm.RBM(
                model.n_visible, 1, rng=rng, visible=model.visible, standardise=model.standardise
            )
            independent.W.data[...] = 0
            independent.start_at(to_device(data.train, rng))
            floor = _log_likelihood(independent, data.test, independent.log_partition(), rng)
            trained_on = _log_likelihood(model, few, log_z, rng)
            standardised = "(x − mean)/standard deviation of each pixel"
            return {
                "states": "drawn with the grey values as means" if discrete else standardised,
                "log Z": said,
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
        """What is in nats and what is not, filters, reconstructions, chains over steps."""
        if history:
            apart = {
                "reconstruction (not the objective)": ("reconstruction", "squared error"),
                LOG_P: ("likelihood", f"{LOG_P}, nats"),
            }
            names = history.curves().keys()
            yield "curves", curves_of(history, names - apart.keys(), self.unit)
            for name in names & apart.keys():
                file, unit = apart[name]
                yield file, plotting.titled(curves_of(history, {name}, unit), name)
        frozen, shape, span = model.frozen(), data.shape, data.value_range
        if not plotting.is_image(shape):
            return
        W = to_host(model.W.data).T
        # Those that weigh most come first: some units are hardly in use.
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


def _states(model: rbm.RBM, x: Array, rng: Generator) -> Array:
    """States v for samples x, as in training."""
    return model.states(x.astype(model.dtype), rng)


def _gap(model: rbm.RBM, data: Data, rng: Generator) -> float:
    """Mean F of samples trained on, as many as are held out, less that of these; of grey values."""
    frozen = model.frozen()
    few = data.train[:: max(1, len(data.train) // len(data.test))]

    def F(x: Array) -> Array:
        rows = x.reshape(len(x), -1).astype(model.dtype)
        return frozen.free_energy(frozen.seen(rows))

    trained_on, held_out = (in_parts(F, x, rng).mean() for x in (few, data.test))
    return float(trained_on - held_out)


def _log_likelihood(model: rbm.RBM, x: Array, log_z: float, rng: Generator) -> Array:
    return in_parts(lambda part: model.log_likelihood(_states(model, part, rng), log_z), x, rng)


def _log_partition(model: rbm.RBM, data: Data, rng: Generator) -> tuple[float, str]:
    """log Z, and how it was found."""
    if 2**model.n_summed <= SUMMED:
        log_z = model.log_partition()
        return log_z, f"{log_z:.3f}, exact: a sum over 2^{model.n_summed} states"
    train = to_device(data.train, rng)
    log_z, error = model.log_partition_ais(
        CHAINS, TEMPERATURES, rng, train, lambda steps: watched(steps, "annealing")
    )
    trusted = "" if error < 0.5 else "; too large an error to be trusted, as the weights are few"
    return log_z, (
        f"{log_z:.2f} ± {error:.2f}, by annealed importance sampling of {CHAINS} chains over "
        f"{TEMPERATURES} temperatures{trusted}"
    )
