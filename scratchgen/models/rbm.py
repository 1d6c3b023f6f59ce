r"""The restricted Boltzmann machine: an energy on two layers, trained on what it dreams itself.

Visible units v and hidden units h ∈ {0, 1} have the energy

    E(v, h) = −aᵀv − bᵀh − vᵀWh,        p(v, h) = exp(−E(v, h)) / Z,

with a connection between any two units of different layers and none within one. So each layer,
given the other, falls apart into independent units, and can be drawn at once:

    P(hⱼ = 1|v) = σ(bⱼ + Σᵢ vᵢ Wᵢⱼ),        P(vᵢ = 1|h) = σ(aᵢ + Σⱼ Wᵢⱼ hⱼ).

The hidden units are summed over in closed form, p(v) = exp(−F(v)) / Z with the free energy

    F(v) = −aᵀv − Σⱼ softplus(bⱼ + Σᵢ vᵢ Wᵢⱼ).

(a softplus does not overflow where log(1 + exp z) does, erratum E18). The other way round, the
visible units are summed over: p(h) = exp(bᵀh) Πᵢ (1 + exp(aᵢ + Σⱼ Wᵢⱼ hⱼ)) / Z, a sum over v for a
given h (erratum E9: the notes give both the same index).

What is left is Z, a sum over all states of one layer. Since −∇ log Z = E_model[∇F],

    −∇ log p(v) = ∇F(v) − E_model[∇F],

the positive phase lowers the free energy of the data, the negative one raises that of what the
model itself believes in. The second is an average over a Gibbs chain. Contrastive divergence, CD-k,
starts that chain at the data and takes k steps: its cost is F(v) − F(vₖ), in which vₖ counts as
data. Persistent contrastive divergence lets the chains go on from one update to the next, so that
they follow the model; it is the one to take where samples or likelihoods matter.

The notes print f = −E for what is f = exp(−E) (erratum E3), ∇ log Z = E[log f] for E[∇ log f]
(E2), and the negative phase of n samples once in place of n times (E1); averaged over the samples,
as here, there is no n.

Other visible units change the energy, and nothing else. *Gaussian* ones are real numbers, with

    E(v, h) = Σᵢ (vᵢ − aᵢ)²/2σᵢ² − bᵀh − Σᵢⱼ vᵢ Wᵢⱼ hⱼ/σᵢ²,

so that p(v) = Σₕ p(h) N(v; a + W h, σ²) is a mixture of 2ᴴ Gaussians, of mean a + W E[h] and
covariance diag σ² + W Cov(h) Wᵀ. Where σ is learned, it is so as log σ², which may be any number:
∂F/∂log σᵢ² = −(vᵢ − aᵢ)²/2σᵢ² + vᵢ Σⱼ Wᵢⱼ P(hⱼ = 1|v)/σᵢ². *Spins* s are −1 and 1, with the energy
of bits; v = (s + 1)/2 makes a machine of bits of it, with 2W, 2a and b − Σᵢ Wᵢⱼ for W, a and b.

Sources: the notes, "Energy models" to "Defining different types of RBMs"; Hinton 2002; Tieleman
2008 (persistent chains); Hinton 2010, "A practical guide to training RBMs"; Melchior, Fischer and
Wiskott 2016, "How to center deep Boltzmann machines"; Desjardins et al. 2010 (tempered chains).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Generator as Yields
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from .. import nn, optim
from .. import operations as ops
from ..autodiff import Rule, Tensor, differentiable
from ..backend import Array, Generator, check_generator, to_host
from ..distributions import Bernoulli, Distribution, Gaussian, family
from ..operations.activations import logistic
from ..optim.optimizer import checked
from ..sampling import (
    annealed_importance_sampling,
    block_gibbs,
    far_apart,
    log_mean_and_error,
    log_sum_over_states,
    parallel_tempering,
)
from . import audit
from .feed_forward import penalty

RATES: Final = {"bernoulli": 0.1, "gaussian": 0.002, "spin": 0.025}
"""Learning rates: the states of Gaussian units have no bounds, so that their steps are smaller.

Those of spins are a quarter of those of bits, since 2W is what a bit would have for W.
"""
FOR_ANY_SCALE: Final[dict[str, dict[str, Any]]] = {
    "bernoulli": {},
    "gaussian": {"sigma": 0.5, "standardise": True},
    "spin": {"standardise": True},
}
"""Settings with which units take data of any scale, if they can."""
STATES = 2**25
"""As many states of a layer are summed over, and no more: some minutes for layers of 25 units."""
SLIDING = 0.01
"""The share of a batch in the means that the gradient is centred at: so PyDeep has it."""


def _mean_and_deviation(x: Array) -> tuple[Any, Any]:
    """Of each unit; what hardly varies is not to count as much as what does.

    So a deviation is held to a tenth of the largest.
    """
    spread = x.std(axis=0)
    spread = np.maximum(spread, 0.1 * spread.max())
    return x.mean(axis=0), np.where(spread == 0, 1, spread)


def _middle_and_half_of_range(x: Array) -> tuple[Any, Any]:
    """Of all units alike."""
    low, high = x.min(), x.max()
    return (low + high) / 2, np.where(high > low, (high - low) / 2, 1)


FRAMES: Final = {"gaussian": _mean_and_deviation, "spin": _middle_and_half_of_range}
"""The centre c and the spread s of the data with which visible units see (x − c)/s."""

Field: TypeAlias = tuple[Array, ...]
"""States v, and the fields Z = b + Wᵀv that they are for the hidden units."""


@differentiable
def free_energy_gap(
    W: Array,
    a: Array,
    b: Array,
    v: Array,
    v_k: Array,
    *,
    z: Array | None = None,
    z_k: Array | None = None,
) -> Rule:
    """C = mean F(v) − mean F(vₖ), F(v) = −aᵀv − Σⱼ softplus(zⱼ), z = b + Wᵀv: one number.

    ``v``: (n, visible), ``v_k``: (m, visible). With p = σ(z) of all n + m rows and their signed
    weights w, 1/n for the data and −1/m for the chains,

        ∂C/∂W = −δ Σᵣ wᵣ vᵣ pᵣᵀ,   ∂C/∂a = −δ Σᵣ wᵣ vᵣ,   ∂C/∂b = −δ Σᵣ wᵣ pᵣ,
        ∂C/∂v = −δ (a + W p)/n,    ∂C/∂vₖ = δ (a + W pₖ)/m:

    a single product for W, where positive and negative phase apart would take two. ``z`` and
    ``z_k`` are these functions of W, b and v, where the chain has them already.
    """
    n, m = len(v), len(v_k)
    z = v @ W + b if z is None else z
    z_k = v_k @ W + b if z_k is None else z_k
    both, z = np.concatenate([v, v_k]), np.concatenate([z, z_k])
    w = np.full_like(both[:, 0], 1 / n)
    w[n:] = -1 / m
    p = logistic(z)
    # softplus(z) = max(z, 0) − log σ(|z|), and σ(|z|) = max(p, 1 − p)
    positive = np.maximum(z, 0, out=z)
    likelier = 1 - p
    np.maximum(likelier, p, out=likelier)
    positive -= np.log(likelier, out=likelier)
    F = -(both @ a) - positive.sum(axis=1)
    return (w * F).sum(), (
        lambda delta: both.T @ (p * (-delta * w)[:, None]),
        lambda delta: (-delta * w) @ both,
        lambda delta: (-delta * w) @ p,
        lambda delta: (a + p[:n] @ W.T) * (-delta / n),
        lambda delta: (a + p[n:] @ W.T) * (delta / m),
    )


def centred(
    W: Tensor, a: Tensor, b: Tensor, mu: Array, lam: Array
) -> tuple[Tensor, Tensor, Tensor]:
    """W, a and b, whose gradients are the centred ones: θ ↦ θ₀ + J Jᵀ (θ − θ₀), at θ₀ = θ itself.

    The energy of v − μ and h − λ is that of other biases, (W, a, b) = J (W, a + W λ, b + Wᵀμ). A
    step of steepest descent in these coordinates is one by J Jᵀ ∂C/∂θ in those of the notes:

        G = ∂C/∂W − (∂C/∂a) λᵀ − μ (∂C/∂b)ᵀ = −⟨(v − μ)(h − λ)ᵀ⟩_data + ⟨(v − μ)(h − λ)ᵀ⟩_model

    for W, ∂C/∂a − G λ for a, and ∂C/∂b − Gᵀ μ for b. It is the same whether a unit is called on or
    off. Where μ and λ are the means of the units, what their means say is not said by W again.
    Source: Melchior et al. 2016, section 4.
    """
    W_0, a_0, b_0 = W.data, a.data, b.data
    da, db = a - a_0, b - b_0
    dW = (W - W_0) - da[:, None] * lam - mu[:, None] * db
    return W_0 + dW, a_0 + (da - dW @ lam), b_0 + (db - mu @ dW)


class RBM(nn.Network):
    """p(v, h) = exp(aᵀv + bᵀh + vᵀWh) / Z, with W: (n_visible, n_hidden) and biases a and b.

    ``visible`` says what the visible units are:

    - ``"bernoulli"``: 0 or 1; data in [0, 1] are the means that they are drawn with at each visit;
    - ``"spin"``: −1 or 1; data in [−1, 1] are their means;
    - ``"gaussian"``: real, E = Σ (v − a)²/2σ² − bᵀh − Σ vᵢ wᵢⱼ hⱼ/σ², of variance σ² given h, where
      σ is ``sigma``, or ``"learned"`` for each unit, as the parameter ``log_var``. W can only add
      to that variance: σ is less than the spread of the data.

    With ``standardise``, samples x are seen as v = (x − c)/s, with the buffers ``centre`` c and
    ``spread`` s, which :meth:`start_at` takes from data: of Gaussian units their means and standard
    deviations, to which σ = ½ is a good start, and of spins the middle and the half of their range.

    It is trained by CD-k, or, where ``persistent``, with ``n_chains`` chains that go on from update
    to update for k steps each; they are the buffer ``chains``. With ``n_temperatures``, each has
    replicas at so many temperatures, with which it changes places: the path leads from units
    without connections, of the biases ``base``. Where ``centred``, the gradient is; the means that
    it is centred at are the buffers ``mean_visible`` and ``mean_hidden``. The cost has
    l1 Σ |W| + ½ l2 Σ W² in addition. W begins as N(0, scale²), a and b as zeros. Samples (n, …) are
    taken as rows.
    """

    def __init__(
        self,
        n_visible: int,
        n_hidden: int,
        *,
        rng: Generator,
        visible: Literal["bernoulli", "gaussian", "spin"] = "bernoulli",
        k: int = 1,
        persistent: bool = False,
        n_chains: int = 100,
        scale: float = 0.01,
        sigma: float | Literal["learned"] = 1.0,
        standardise: bool = False,
        n_temperatures: int = 1,
        centred: bool = False,
        l1: float = 0.0,
        l2: float = 0.0,
    ) -> None:
        self.family = family(visible, "visible")
        if min(n_visible, n_hidden, k, n_chains) < 1:
            raise ValueError(
                "n_visible, n_hidden, k and n_chains are at least 1, got "
                f"{n_visible}, {n_hidden}, {k} and {n_chains}"
            )
        self.sigma: Any = sigma
        known = sigma == "learned" or (not isinstance(self.sigma, str) and 0 < sigma < math.inf)
        if not (0 <= scale < math.inf and known):
            raise ValueError(
                f"scale ≥ 0 and sigma > 0, both finite, or sigma 'learned', got {scale} and {sigma}"
            )
        if (self.family.discrete and sigma != 1) or (standardise and visible not in FRAMES):
            raise ValueError(
                "sigma and standardise are for Gaussian units: take visible='gaussian'"
            )
        if n_temperatures < 1 or (n_temperatures > 1 and not persistent):
            raise ValueError(
                "n_temperatures is at least 1, and 1 where chains are not persistent, as replicas "
                f"go on from update to update: got {n_temperatures}, persistent={persistent}"
            )
        check_generator(rng)
        W = rng.standard_normal((n_visible, n_hidden), dtype=np.float32)
        W *= scale
        self.W: Any = Tensor(W)
        self.a: Any = Tensor(np.zeros_like(W, shape=(n_visible,)))
        self.b: Any = Tensor(np.zeros_like(W, shape=(n_hidden,)))
        self.n_visible, self.n_hidden, self.visible = n_visible, n_hidden, visible
        self.k, self.persistent, self.n_chains = k, persistent, n_chains
        self.scale, self.standardise = scale, standardise
        self.n_temperatures, self.centred = n_temperatures, centred
        self.l1, self.l2 = checked("l1", l1, 0, math.inf), checked("l2", l2, 0, math.inf)
        if sigma == "learned":
            self.log_var: Any = Tensor(np.zeros_like(W, shape=(n_visible,)))
        if standardise:
            self.buffers += ("centre", "spread")
            self.constants += ("centre", "spread")
            self.centre = np.zeros_like(W, shape=(n_visible,))
            self.spread = np.ones_like(W, shape=(n_visible,))
        if persistent:
            self.buffers += ("chains",)
            replicas = (n_temperatures,) if n_temperatures > 1 else ()
            self.chains = self.noise((*replicas, n_chains), rng)
        if n_temperatures > 1:
            self.buffers += ("base",)
            self.constants += ("base",)
            self.base = np.zeros_like(W, shape=(n_visible,))
        if centred:
            self.buffers += ("mean_visible", "mean_hidden")
            self.mean_visible = 1 * self.frozen().units.mean
            self.mean_hidden = np.full_like(W, 0.5, shape=(n_hidden,))

    @property
    def units(self) -> Distribution:
        """The visible units without connections, p(v) ∝ exp(−E(v, 0))."""
        if self.family is not Gaussian:
            return self.family(self.a)
        learned = self.sigma == "learned"
        return Gaussian(self.a, self.log_var if learned else 2 * math.log(self.sigma))

    def seen(self, x: Any) -> Any:
        """Samples x as values of v: (x − c)/s, where the machine is to ``standardise``."""
        return (x - self.centre) / self.spread if self.standardise else x

    def shown(self, v: Any) -> Any:
        """Values of v, or their means, as samples: what undoes ``seen``."""
        return self.centre + self.spread * v if self.standardise else v

    def states(self, x: Any, rng: Generator) -> Array:
        """States v for samples x: grey values are means of units 0 and 1, drawn at each visit."""
        return self.family.states(self.seen(self._rows(x)), rng)

    # The energy, and the conditionals

    def energy(self, v: Any, h: Any) -> Any:
        """E(v, h) = −aᵀv − bᵀh − vᵀWh, or Σ (v − a)²/2σ² − bᵀh − Σ v W h/σ²: (n,)."""
        v, units = self._rows(v), self.units
        return units.energy(v) - h @ self.b - ((units.scaled(v) @ self.W) * h).sum(axis=1)

    def free_energy(self, v: Any) -> Any:
        """F(v) = −log Σₕ exp(−E(v, h)) = E(v, 0) − Σⱼ softplus(bⱼ + Σᵢ vᵢ Wᵢⱼ/σ²): (n,)."""
        v, units = self._rows(v), self.units
        z = units.scaled(v) @ self.W + self.b
        return units.energy(v) - ops.softplus(z).sum(axis=1)

    def prob_hidden(self, v: Any) -> Any:
        """P(h = 1|v) = σ(b + Wᵀv), of Gaussian units σ(b + Wᵀv/σ²): (n, n_hidden)."""
        return ops.sigmoid(self.units.scaled(self._rows(v)) @ self.W + self.b)

    def prob_visible(self, h: Any) -> Any:
        """E[v|h], (n, n_visible): σ(a + W h), of spins tanh(a + W h), of Gaussian units a + W h."""
        return self.units.at(ops.affine(h, self.W, self.a)).mean

    def sample_hidden(
        self, v: Any, rng: Generator | None = None, noise: Array | None = None
    ) -> Array:
        """h ~ p(h|v), (n, n_hidden), from ``rng`` or from uniform ``noise`` of that shape."""
        machine = self.frozen()
        return machine._hidden(machine._rows(v)).draw(rng, noise)

    def sample_visible(
        self, h: Any, rng: Generator | None = None, noise: Array | None = None
    ) -> Array:
        """v ~ p(v|h), (n, n_visible), from ``rng`` or from ``noise``, uniform or normal."""
        return self.frozen()._visible(h).draw(rng, noise)

    def gibbs(self, v: Any, steps: int, rng: Generator, mask: Any = None) -> Array:
        """The state v after ``steps`` steps of block Gibbs sampling from v on, (n, n_visible).

        Units where ``mask`` is true, of the shape of v or of one of its rows, are known: they are
        held, and the others come to p(v_unknown|v_known).
        """
        machine = self.frozen()
        return machine._chain(machine._rows(v), steps, rng, machine._mask(mask))

    def noise(self, n: int | tuple[int, ...], rng: Generator) -> Array:
        """Where chains begin that know nothing: fair coins, or N(0, I); (n, n_visible)."""
        shape = n if isinstance(n, tuple) else (n,)
        return self.family.standard((*shape, self.n_visible), self.W.dtype, rng)

    def sample(self, n: int, rng: Generator, steps: int = 1000) -> Array:
        """P(v = 1|h), or E[v|h], at the end of n chains of ``steps`` steps: (n, n_visible).

        The chains begin at noise, fair coins or N(0, I), far from any data. These are the means of
        the last step, smoother than states of the model: for states, take :meth:`draw`.
        """
        means: Array = self.shown(self._means_after(self.noise(n, rng), steps, rng))
        return means

    def inpaint(self, known: Any, mask: Any, rng: Generator, steps: int = 1000) -> Array:
        """Samples ``known`` where ``mask`` is true, and elsewhere E[v|h] given these: (n, visible).

        The means are those at the end of chains of ``steps`` steps in which the known entries are
        held, grey ones as states drawn once; the others begin at noise.
        """
        rows, where = self._rows(known), self._mask(mask)
        v = np.where(where, self.states(rows.astype(self.W.dtype), rng), self.noise(len(rows), rng))
        return np.where(where, rows, self.shown(self._means_after(v, steps, rng, where)))

    def draw(self, n: int, rng: Generator, steps: int = 1000) -> Array:
        """The states v at the end of n chains of ``steps`` steps from noise: (n, n_visible).

        They are draws of p(v) once the chains have forgotten the noise that they began at.
        """
        states: Array = self.shown(self.gibbs(self.noise(n, rng), steps, rng))
        return states

    # Training

    def start_at(self, data: Any) -> None:
        """Set the biases a to those of units without connections, for samples ``data``.

        A machine that is to ``standardise`` takes their means and standard deviations first, or the
        range of what are to be spins. Where σ is learned, it begins at that of the data, of a unit
        that does not vary at 1; and where the gradient is centred, it is so at the means of these.

        From zeros, the hidden units of persistent chains learn first that not every pixel is on
        half of the time: all of them alike, until they are always on and learn nothing more.
        Source: Hinton 2010, section 8.
        """
        rows = self._rows(data)
        if self.standardise:
            self.centre[...], self.spread[...] = FRAMES[self.visible](rows)
        v = self.seen(rows.astype(self.a.dtype))
        self._check_units(v)
        self.a.data[...] = self.family.fitted(v)
        self.a.changed()
        if self.sigma == "learned":
            variance = v.var(axis=0)
            self.log_var.data[...] = np.log(np.where(variance > 0, variance, 1))
            self.log_var.changed()
        if self.n_temperatures > 1:
            self.base[...] = self.a.data
        if self.centred:
            self.mean_visible[...] = self.frozen().units.scaled(v).mean(axis=0)

    @property
    def players(self) -> list[list[Tensor]]:
        """One player: W, a, b, and log σ² where it is learned."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Stochastic gradient descent with a rate of 0.1, of spins 0.025, of Gaussian units 0.002.

        Where σ is learned, it is Adam with 0.005: all gradients but that of b go as 1/σ².
        """
        if self.sigma == "learned":
            return [optim.Adam(self.parameters(), 0.005)]
        return [optim.SGD(self.parameters(), RATES[self.visible])]

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """The cost F(v) − F(vₖ), averaged over the batch, with vₖ at the end of the chain.

        It is no likelihood, and may have either sign: only its gradient means something. Reported
        are both phases, the mean of F at the data and at the ends of the chains, and of tempered
        ones the share of exchanges. The squared error per visible unit of v ↦ E[v|h = P(h = 1|v)],
        of a 16th of the batch, tells that something is learned, and is not what is minimised.
        """
        machine = self.frozen()
        v = machine.states(x, rng)
        z = machine._field_of_hidden(v)
        v_k, z_k, told = self._negative(machine, v, z, rng)
        few = max(1, len(v) // 16)
        error = v[:few] - machine._visible(logistic(z[:few])).mean
        error *= error
        W, a, b = self.W, self.a, self.b
        if self.centred:
            means = machine.units.scaled(v).mean(axis=0), logistic(z).mean(axis=0)
            self.mean_visible = (1 - SLIDING) * self.mean_visible + SLIDING * means[0]
            self.mean_hidden = (1 - SLIDING) * self.mean_hidden + SLIDING * means[1]
            W, a, b = centred(W, a, b, self.mean_visible, self.mean_hidden)
        units = self.units.at(0 * machine.a)  # what E(v, 0) has beside −aᵀv, or −aᵀv/σ²
        s, s_k = units.scaled(v), units.scaled(v_k)
        gap = free_energy_gap(W, a, b, s, s_k, z=z, z_k=z_k)
        gap = gap + (units.energy(v).mean() - units.energy(v_k).mean())
        # Before the parameters move, whose memory the frozen machine shares
        F_k = (machine.units.energy(v_k) - ops.softplus(z_k).sum(axis=1)).mean()
        yield gap + penalty(self.W, l1=self.l1, l2=self.l2) if self.l1 or self.l2 else gap
        reconstruction = {"reconstruction (not the objective)": error.mean()}
        return {"F(data)": gap.data + F_k, "F(chains)": F_k, **told, **reconstruction}

    def _negative(
        self, machine: RBM, v: Array, z: Array, rng: Generator
    ) -> tuple[Array, Array, dict[str, Array]]:
        """The ends of the chains, their fields Z, and what is told of them."""
        if self.n_temperatures > 1:
            return self._tempered(machine, rng)
        if self.persistent:
            v = self.chains
            z = machine._field_of_hidden(v)
        for _ in range(self.k):
            v = machine._visible(Bernoulli(z).draw(rng)).draw(rng)
            z = machine._field_of_hidden(v)
        if self.persistent:
            self.chains = v
        return v, z, {}

    def _tempered(self, machine: RBM, rng: Generator) -> tuple[Array, Array, dict[str, Array]]:
        """The chains of the highest β, after k steps of all of them."""
        betas = np.linspace(0, 1, self.n_temperatures).tolist()
        states: list[Field] = [(v, machine._field_of_hidden(v)) for v in self.chains]
        path = machine._path(self.base, rng)
        states, share = parallel_tempering(states, betas, self.k, *path, rng)
        self.chains = np.stack([v for v, _ in states])
        v, z = states[-1]
        return v, z, {"exchanged": share}

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data that the visible units do not take.

        A :class:`~scratchgen.training.TrainingWarning` says where the variance of the data is less
        than Gaussian units have at least, or so large that steps of training are too.
        """
        of_spins = {"from_bytes": "x / 127.5 - 1", "from_spins": "s.astype(np.float32)"}
        audit.check_samples(x, "an RBM", **(of_spins if self.visible == "spin" else {}))
        v, units = self.seen(self._rows(x)), self.frozen().units
        self._check_units(v)
        if len(v) > 1 and isinstance(units, Gaussian):
            variance = float(to_host(v.var(axis=0, dtype=np.float64).mean()))
            of_units = float(to_host(np.exp(units.log_var).mean()))
            if not 0.5 <= variance / of_units <= 100:
                audit.caution(
                    f"the data have a variance of {variance:.3g}, averaged over the visible units, "
                    f"and these are of variance σ² = {of_units:.3g} or more: scale the data "
                    "to some times that, or build the RBM with standardise=True and sigma=0.5, and "
                    "call start_at(data)"
                )
            if self.sigma == "learned":
                for doubt in self.units.doubts(v, "visible layer"):
                    audit.caution(doubt)

    # Likelihoods

    @property
    def n_summed(self) -> int:
        """The units whose states log Z is a sum over: of the smaller layer that has states."""
        return min(self.n_hidden, self.n_visible) if self.family.discrete else self.n_hidden

    def log_partition(self) -> float:
        """log Z, exactly: all states of the smaller layer are summed over, in float64.

        That of Gaussian units is an integral in closed form, given the hidden ones. Raises
        ``ValueError`` for more than 2²⁵ states.
        """
        machine = self._in_double()
        n = self.n_summed
        if 2**n > STATES:
            raise ValueError(
                f"log Z is a sum over the 2^{n} = {2**n:,} states of the {n} "
                f"{'hidden' if n == self.n_hidden else 'visible'} units, and at most {STATES:,} "
                "are summed over: estimate it by log_partition_ais"
            )
        W, a, b = machine.W, machine.a, machine.b
        if n == self.n_hidden:
            return float(to_host(log_sum_over_states(b, W.T, machine.units.log_sum)))
        # States are v = low + step y, with bits y.
        low, high = self.family.values
        step, of_low = high - low, Bernoulli(b + low * W.sum(axis=0))
        log_z = low * a.sum() + log_sum_over_states(step * a, step * W, of_low.log_sum)
        return float(to_host(log_z))

    def log_partition_ais(
        self,
        n_chains: int,
        n_temperatures: int,
        rng: Generator,
        data: Any = None,
        progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    ) -> tuple[float, float]:
        """log Z by annealed importance sampling, with its standard error: both in nats.

        The path leads from the machine without W and b to this one, β = 0 … 1 in
        ``n_temperatures`` even steps, E_β = β E + (1 − β) E₀. With ``data``, the visible units at
        its start have the rates, or the means, of these, and this is the way to take. Without, the
        biases are a, and as many chains more start at biases of zero, as witnesses: where these end
        elsewhere, or find a larger Z, either may have missed a mode that the other has seen. Then
        the estimate is from all of them, and the error is log 2 at least.

        E[Z estimate] = Z at any length, but a mode that no chain came to is missing, and the error
        does not tell: that is small where the weights agree. Where it exceeds some tenths of a nat
        the estimate cannot be trusted: take more temperatures, or ``data``. ``progress`` wraps the
        steps of the chains, as tqdm does.
        Source: Salakhutdinov and Murray 2008, section 4.
        """
        if n_chains < 2 or n_temperatures < 2:
            raise ValueError(
                "an estimate with its error takes at least 2 chains and 2 temperatures, got "
                f"{n_chains} and {n_temperatures}"
            )
        machine = self.frozen()
        betas = np.linspace(0, 1, n_temperatures).tolist()
        if data is not None:
            rows = machine.seen(machine._rows(data).astype(self.a.dtype))
            return log_mean_and_error(
                machine._annealed(self.family.fitted(rows), n_chains, betas, rng, progress)[0]
            )
        log_w, ends = machine._annealed(machine.a, n_chains, betas, rng, progress)
        log_z, error = log_mean_and_error(log_w)
        of_witnesses, others = machine._annealed(0 * machine.a, n_chains, betas, rng, progress)
        larger, its_error = log_mean_and_error(of_witnesses)
        if not (far_apart(ends, others) or larger - log_z > 4 * math.hypot(error, its_error)):
            return log_z, error
        log_z, error = log_mean_and_error(np.concatenate([log_w, of_witnesses]))
        return log_z, max(error, math.log(2))

    def log_likelihood(self, v: Any, log_z: float | None = None) -> Array:
        """log p(v) = −F(v) − log Z, (n,) nats, in float64; ``log_z`` is exact where not given.

        Of units that have states these are states: grey values are refused.
        """
        machine = self._in_double()
        v = machine._rows(v)
        if not isinstance(machine.units, Gaussian):
            low, high = machine.units.values
            if not bool(to_host(((v == low) | (v == high)).all())):
                raise ValueError(
                    f"a probability is one of states, each {low:g} or {high:g}, and these are "
                    "others: draw them, rng.random(x.shape) < x, or cut at one half, x > 0.5"
                )
        return -machine.free_energy(v.astype(np.float64)) - (
            self.log_partition() if log_z is None else log_z
        )

    def log_likelihood_of_hidden(self, h: Any, log_z: float | None = None) -> Array:
        """log p(h) = bᵀh + log Σᵥ exp(aᵀv + vᵀWh) − log Z, (n,) nats, of h: (n, n_hidden)."""
        machine = self._in_double()
        h = h.astype(np.float64)
        return (
            h @ machine.b
            + machine.units.log_sum(h @ machine.W.T)
            - (self.log_partition() if log_z is None else log_z)
        )

    def pseudo_log_likelihood(self, v: Any) -> Array:
        """Σᵢ log P(vᵢ|all other v), (n,) nats: log Z drops out of each term.

        P(vᵢ = 1|others) = σ(F(v with vᵢ = 0) − F(v with vᵢ = 1)), and grey values count as means,
        vᵢ log P + (1 − vᵢ) log(1 − P); of spins, −1 stands for 0. It is a sum over all visible
        units, no mean, and takes a pass over the hidden layer for each of them.
        Source: Besag 1975; Marlin et al. 2010.
        """
        machine = self._of_states()
        v = machine._rows(v)
        z = machine._field_of_hidden(v)
        logits = [
            machine._log_odds(v[:, i], machine.a[i], machine.W[i], z) for i in range(v.shape[1])
        ]
        return -ops.bernoulli_nll(np.stack(logits, axis=1), machine._bits(v))

    def pseudo_log_likelihood_estimate(self, v: Any, rng: Generator) -> Array:
        """D log P(vᵢ|all other v) for one of the D units, drawn at random for each sample: (n,).

        Its mean over i is ``pseudo_log_likelihood``: the normalisation is that of a sum over units,
        as in scikit-learn's ``BernoulliRBM.score_samples``.
        """
        machine = self._of_states()
        v = machine._rows(v)
        check_generator(rng)
        i = rng.integers(0, self.n_visible, len(v))
        v_i = np.take_along_axis(v, i[:, None], axis=1)
        logits = machine._log_odds(
            v_i[:, 0], machine.a[i], machine.W[i], machine._field_of_hidden(v)
        )
        return -self.n_visible * ops.bernoulli_nll(logits[:, None], machine._bits(v_i))

    # As scikit-learn's users know it

    def transform(self, X: Any) -> Array:
        """P(h = 1|v), (n, n_hidden): features of the samples X, the same at every call."""
        machine = self.frozen()
        return machine.prob_hidden(machine.seen(machine._rows(X)))

    def score_samples(self, X: Any) -> Array:
        """``pseudo_log_likelihood`` of each sample, (n,): the same at every call.

        What scikit-learn's estimates from one unit drawn at random is here the sum over all.
        """
        return self.pseudo_log_likelihood(self.seen(self._rows(X)))

    # Within

    def _one_pass(self, x: Array) -> None:
        """No network is within."""

    def _rows(self, v: Any) -> Any:
        rows = v if v.ndim == 2 else v.reshape(len(v), math.prod(v.shape[1:]))
        if rows.shape[1] != self.n_visible:
            raise ValueError(
                f"this RBM has {self.n_visible} visible units, got samples of {rows.shape[1]} "
                f"numbers, of shape {v.shape[1:]}"
            )
        return rows

    def _mask(self, mask: Any) -> Any:
        """Which units of each row are known, (n, n_visible) or (1, n_visible); None where none."""
        if mask is None:
            return None
        if mask.dtype.kind != "b" or mask.size % self.n_visible:
            raise ValueError(
                f"a mask is true where units are known, an array of bool of {self.n_visible} "
                f"entries for each sample or for all, got {mask.dtype} of shape {mask.shape}"
            )
        return mask.reshape(-1, self.n_visible)

    def _check_units(self, rows: Array) -> None:
        who = f"{self.family.__name__} units take"
        self.family.check(rows, who, "take visible='gaussian'")

    def _field_of_hidden(self, v: Array) -> Array:
        """Z = b + Wᵀv, or b + Wᵀv/σ², of a frozen machine, the log odds of the hidden units."""
        z: Array = self.units.scaled(v) @ self.W
        z += self.b
        return z

    def _field_of_visible(self, h: Array) -> Array:
        """Z = a + W h of a frozen machine."""
        z: Array = h @ self.W.T
        z += self.a
        return z

    def _hidden(self, v: Array) -> Bernoulli:
        """p(h|v) of a frozen machine."""
        return Bernoulli(self._field_of_hidden(v))

    def _visible(self, h: Array) -> Distribution:
        """p(v|h) of a frozen machine."""
        return self.units.at(self._field_of_visible(h))

    def _chain(self, v: Array, steps: int, rng: Generator, mask: Any = None) -> Array:
        """Gibbs sampling of a frozen machine from v on; where a mask is true, v stays."""
        check_generator(rng)
        known = v

        def sample_visible(h: Array) -> Array:
            drawn: Array = self._visible(h).draw(rng)
            return drawn if mask is None else np.where(mask, known, drawn)

        return block_gibbs(v, steps, lambda v: self._hidden(v).draw(rng), sample_visible)

    def _means_after(self, v: Array, steps: int, rng: Generator, mask: Any = None) -> Array:
        """E[v|h] in the last of ``steps`` steps from v on."""
        if steps < 1:
            raise ValueError(f"samples take chains of at least 1 step, got {steps}")
        machine = self.frozen()
        v = machine._chain(v, steps - 1, rng, mask)
        means: Array = machine.prob_visible(machine.sample_hidden(v, rng))
        return means

    def _path(
        self, a0: Array, rng: Generator
    ) -> tuple[Callable[[Field, float, float], Array], Callable[[Field, float], Field]]:
        """E_β = β E + (1 − β) E₀, from units without connections, of biases a0, to this machine.

        The two functions that annealing and tempering take: log f_β′ − log f_β of (v, Z), summed
        over h, and a step of Gibbs sampling at β. The machine is a frozen one.
        """
        units, a = self.units, self.a
        start = units.at(a0)

        def log_ratio(state: Field, beta: float, following: float) -> Array:
            v, z = state
            softened = ops.softplus(following * z) - ops.softplus(beta * z)
            return softened.sum(axis=1) - (following - beta) * (units.energy(v) - start.energy(v))

        def transition(state: Field, beta: float) -> Field:
            h = Bernoulli(beta * state[1]).draw(rng)
            v = units.at((1 - beta) * a0 + beta * ops.affine(h, self.W, a)).draw(rng)
            return v, self._field_of_hidden(v)

        return log_ratio, transition

    def _annealed(
        self,
        a0: Array,
        n: int,
        betas: Sequence[float],
        rng: Generator,
        progress: Callable[[Iterable[Any]], Iterable[Any]],
    ) -> tuple[Array, Array]:
        """Estimates of log Z by n chains of a frozen machine, from a0 on, and where they end."""
        units = self.units
        v = units.at(np.zeros_like(self.a, shape=(n, self.n_visible)) + a0).draw(rng)
        begin: Field = (v, self._field_of_hidden(v))
        path = self._path(a0, rng)
        log_w, end = annealed_importance_sampling(begin, betas, *path, progress)
        log_z0 = units.at(a0.astype(np.float64)).log_sum() + self.n_hidden * math.log(2)
        return log_w + log_z0, end[0]

    def _bits(self, v: Array) -> Array:
        """States v as 0 and 1, and means between them likewise."""
        low, high = self.family.values
        return (v - low) / (high - low)

    def _log_odds(self, v_i: Array, a_i: Array, W_i: Array, z: Array) -> Array:
        """log P(vᵢ high|others)/P(vᵢ low|others) = F(vᵢ low) − F(vᵢ high), (n,)."""
        low, high = self.family.values
        with_it = ops.softplus(z + (high - v_i)[:, None] * W_i)
        without = ops.softplus(z + (low - v_i)[:, None] * W_i)
        return (high - low) * a_i + (with_it - without).sum(axis=1)

    def _of_states(self) -> RBM:
        if not self.family.discrete:
            raise ValueError(
                "the pseudo-likelihood is that of units with states, these are Gaussian: where log "
                "Z can be summed or estimated, take log_likelihood, and else free_energy"
            )
        return self.frozen()

    def _in_double(self) -> RBM:
        """The frozen machine in float64, as sums over states, and differences of sums, need it."""
        twin = self.frozen()
        for name, _ in self.named_parameters():
            setattr(twin, name, getattr(twin, name).astype(np.float64))
        return twin


def lecture(rng: Generator) -> tuple[RBM, list[optim.Optimizer]]:
    """The notes' model of MNIST, 784 × 500, by CD-1 with SGD of 0.1, for batches of 64."""
    model = RBM(784, 500, rng=rng)
    return model, model.default_optimizers()
