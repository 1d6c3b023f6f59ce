r"""The energy-based model: any network defines a density, and learns from samples of it.

    p(x) = exp(−E(x)) / Z,      Z = ∫ exp(−E(x)) dx,

where a network gives the energy E. Any function φ(x) ≥ 0 with a finite integral makes a density,
p(x) = φ(x)/Z; here φ = exp(−E). The integral Z, and with it the likelihood, cannot be computed,
but the gradient of the likelihood can be estimated. Since −∇ log Z = E_model[∇E], where ∇ is the
gradient with respect to the parameters,

    −∇ log p(x) = ∇E(x) − E_model[∇E]:

the positive phase lowers the energy of the data, and the negative phase raises the energy of the
model's own samples. These samples are the ends of Langevin chains. The model learns different
things for different starts of the chains:

- *at the data* (contrastive divergence): the model learns the features of the data that a chain of
  k steps destroys. Its density is right near the data; far from them there may be modes that no
  chain has visited.
- *in a replay buffer*: chains continue from their ends at earlier updates, except for a small share
  that starts anew at random. These chains explore the whole space, and remove such modes.
- *persistent chains*: all chains of a buffer move at every update, and no chain starts anew.

The energy is determined only up to a constant, which may drift in training. The term
α (E(x)² + E(x′)²), averaged over data x and samples x′, keeps the energy near zero. The term has a
second use. Chains rarely pass between modes that are far apart. If a mode holds a larger share of
the chains than of the data, its energy rises at every update, but the chains stay there. The term
keeps such modes at the same depth, at the cost of a slightly less sharp density.

Sources: the notes, "Energy models" and "Langevin"; Hinton 2002; Tieleman 2008; Du and Mordatch,
arXiv:1903.08689 (buffer, α).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Generator as Yields
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .. import nn, optim
from ..autodiff import Tensor
from ..backend import Array, Generator, check_generator, to_host
from ..construction import Constructed
from ..sampling import langevin, mala, tempered_langevin

__all__ = ["MALA", "Chains", "EnergyModel", "Langevin", "Sampler", "Tempered"]

Chains = Literal["data", "buffer", "persistent"]


class Sampler(Constructed):
    """Chains with the distribution p(x) ∝ exp(−E(x)), of ``steps`` steps of size ``step``."""

    def __init__(self, steps: int, step: float) -> None:
        self.steps, self.step = operator.index(steps), float(step)
        if self.steps < 1 or not 0 < self.step < math.inf:
            raise ValueError(f"a chain takes steps ≥ 1 of a size above 0, got {steps} of {step}")

    def __call__(self, energy: Any, x: Array, rng: Generator) -> tuple[Array, float]:
        """Return the ends of chains that start at x, and the share of accepted steps."""
        raise TypeError(f"{type(self).__name__} states no chain")


class Langevin(Sampler):
    """x ← x − ε ∇E + √(2ε) z, without adjustment: the chain has a bias that vanishes with ε."""

    def __call__(self, energy: Any, x: Array, rng: Generator) -> tuple[Array, float]:
        """Return the ends of the chains, and 1: all steps are accepted."""
        return langevin(energy, x, self.steps, self.step, rng), 1.0


class MALA(Sampler):
    """The Metropolis-adjusted Langevin algorithm, which has no bias."""

    def __call__(self, energy: Any, x: Array, rng: Generator) -> tuple[Array, float]:
        """Return the ends and the share of accepted steps; a rejected step repeats the state."""
        return mala(energy, x, self.steps, self.step, rng)


class Tempered(Sampler):
    """x ← x − ε ∇E + ν z: the factor ν = ``noise`` replaces √(2ε), the temperature is ν²/2ε."""

    def __init__(self, steps: int, step: float, noise: float) -> None:
        super().__init__(steps, step)
        self.noise = float(noise)

    def __call__(self, energy: Any, x: Array, rng: Generator) -> tuple[Array, float]:
        """Return the ends of the chains, and 1: all steps are accepted."""
        return tempered_langevin(energy, x, self.steps, self.step, self.noise, rng), 1.0


class EnergyModel(nn.Network):
    """p(x) ∝ exp(−E(x)) with E(x) = ``network``(x), one number for each sample of ``shape``.

    ``sampler`` is a :class:`Langevin`, :class:`MALA` or :class:`Tempered` chain. ``chains`` is the
    start of the chains in training: the ``"data"``; a ``"buffer"`` of the ends of ``n_chains``
    chains, where a share ``fresh`` of the chains starts anew; or the current states of ``n_chains``
    ``"persistent"`` chains. New chains start uniformly between ``low`` and ``high``. ``alpha`` is
    the α of the cost.
    """

    def __init__(
        self,
        network: nn.Network,
        shape: Sequence[int],
        sampler: Sampler,
        chains: Chains = "buffer",
        *,
        rng: Generator,
        n_chains: int = 1000,
        fresh: float = 0.05,
        low: float = -1.0,
        high: float = 1.0,
        alpha: float = 0.0,
    ) -> None:
        if chains not in ("data", "buffer", "persistent"):
            raise ValueError(f"chains begin at 'data', 'buffer' or 'persistent', got {chains!r}")
        if n_chains < 1 or not 0 <= fresh <= 1 or not low < high or not 0 <= alpha < math.inf:
            raise ValueError(
                "n_chains ≥ 1, 0 ≤ fresh ≤ 1, low < high and alpha ≥ 0, got "
                f"{n_chains}, {fresh}, {low} and {high}, {alpha}"
            )
        self.network, self.shape = network, tuple(map(operator.index, shape))
        self.sampler, self.chains = sampler, chains
        self.n_chains, self.fresh, self.low, self.high = n_chains, fresh, low, high
        self.alpha = alpha
        if chains != "data":
            self.buffers, self.buffer = ("buffer",), self.noise(n_chains, rng)
            self.independent = {"buffer": 0}

    def energy(self, x: Any) -> Any:
        """E(x), (n,) nats, up to a constant that is the same for all samples."""
        out = self.network(x)
        if out.shape not in ((len(x),), (len(x), 1)):
            raise ValueError(
                f"the network gives {out.shape} for {len(x)} samples, expected ({len(x)}, 1): one "
                "energy for each"
            )
        return out.reshape(len(x))

    def noise(self, n: int, rng: Generator) -> Array:
        """Return the start of new chains, uniform between ``low`` and ``high``: (n, *shape)."""
        check_generator(rng)
        dtype: Any = self.network.dtype
        x: Array = rng.random((n, *self.shape), dtype=dtype)
        x *= self.high - self.low
        x += self.low
        return x

    @property
    def players(self) -> list[list[Tensor]]:
        """One player, the network."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Return Adam with a learning rate of 10⁻³."""
        return [optim.Adam(self.parameters(), lr=1e-3)]

    def losses(self, x: Array, rng: Generator) -> Yields[Tensor, None, dict[str, Any]]:
        """Yield mean E(x) − mean E(x′) + α mean (E(x)² + E(x′)²), with x′ the ends of the chains.

        The cost is not a likelihood, and may have either sign. The report has both phases, and the
        share of accepted steps.
        """
        negative, taken = self._negative(x, rng)
        if not taken:
            raise RuntimeError(
                f"none of the steps of {len(negative)} chains was taken: the step "
                f"{self.sampler.step:g} is too large for this energy, whose slope has become "
                "steep; take a smaller step, a smaller learning rate, or alpha above 0"
            )
        # One pass through the network computes both phases.
        energies = self.energy(np.concatenate([x, negative]))
        n = len(x)
        positive_phase, negative_phase = energies[:n].mean(), energies[n:].mean()
        cost = positive_phase - negative_phase
        if self.alpha:
            squares = energies * energies
            cost = cost + self.alpha * (squares[:n].mean() + squares[n:].mean())
        yield cost
        return {
            "E(data)": positive_phase.data,
            "E(chains)": negative_phase.data,
            "steps taken": np.asarray(taken, dtype=x.dtype, like=x),
        }

    def _negative(self, x: Array, rng: Generator) -> tuple[Array, float]:
        """Return the ends of the chains, which are also stored, and the share of accepted steps."""
        energy = self.frozen().energy
        if self.chains == "data":
            return self.sampler(energy, x, rng)
        if self.chains == "persistent":
            self.buffer, taken = self.sampler(energy, self.buffer, rng)
            return self.buffer, taken
        chosen = rng.integers(0, len(self.buffer), len(x))
        start = self.buffer[chosen]
        anew = rng.random(len(x), dtype=x.dtype) < self.fresh
        start = np.where(anew.reshape(-1, *(1 for _ in self.shape)), self.noise(len(x), rng), start)
        ends, taken = self.sampler(energy, start, rng)
        self.buffer[chosen] = ends
        return ends, taken

    def sample(self, n: int, rng: Generator, steps: int = 1000) -> Array:
        """Return the ends of n new chains of about ``steps`` steps of the sampler, (n, *shape)."""
        if steps < 1:
            raise ValueError(f"chains take at least 1 step, got {steps}")
        x, energy = self.noise(n, rng), self.frozen().energy
        for _ in range(math.ceil(steps / self.sampler.steps)):
            x, _ = self.sampler(energy, x, rng)
        return x

    def kept(self, n: int, rng: Generator) -> Array:
        """Return the states of n different chains of the training, (n, *shape)."""
        if self.chains == "data" or n > self.n_chains:
            held = 0 if self.chains == "data" else self.n_chains
            raise ValueError(f"this model keeps {held} chains, {n} were asked for: take sample")
        order = np.argsort(rng.random(self.n_chains))
        kept: Array = self.buffer[order[:n]]
        return kept

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data that do not fit the network or lie outside low … high."""
        if isinstance(x, tuple):
            raise ValueError(
                f"an energy-based model is trained on samples alone, got {len(x)} arrays: pass the "
                "first"
            )
        if x.dtype.kind != "f" or x.shape[1:] != self.shape:
            raise ValueError(
                f"this model takes floating numbers of shape {self.shape}, got {x.dtype} of shape "
                f"{x.shape[1:]}"
            )
        low, high = float(to_host(x.min())), float(to_host(x.max()))
        if self.chains != "data" and (low < self.low or high > self.high):
            raise ValueError(
                f"chains begin between {self.low:g} and {self.high:g}, but the data lie between "
                f"{low:g} and {high:g}: scale them, or take another low and high"
            )
        self.frozen().energy(x[:1])
