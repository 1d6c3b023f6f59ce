r"""The restricted Boltzmann machine: an energy on two layers, trained on data and its own samples.

Visible units v and hidden units h ∈ {0, 1} have the energy

    E(v, h) = −aᵀv − bᵀh − vᵀWh,        p(v, h) = exp(−E(v, h)) / Z,

with a connection between any two units of different layers, and no connection within a layer. So
the units of a layer are independent, given the other layer, and can be drawn all at once:

    P(hⱼ = 1|v) = σ(bⱼ + Σᵢ vᵢ Wᵢⱼ),        P(vᵢ = 1|h) = σ(aᵢ + Σⱼ Wᵢⱼ hⱼ).

The sum over the hidden units has a closed form, p(v) = exp(−F(v)) / Z with the free energy

    F(v) = −aᵀv − Σⱼ softplus(bⱼ + Σᵢ vᵢ Wᵢⱼ).

(A softplus does not overflow where log(1 + exp z) does, erratum E18.) The sum over the visible
units, for a given h, is p(h) = exp(bᵀh) Πᵢ (1 + exp(aᵢ + Σⱼ Wᵢⱼ hⱼ)) / Z (erratum E9: the notes
give both layers the same index).

Training on samples X seeks arg max p(X; Θ), which is arg max log p(X; Θ); there
∇ log p(X; Θ) = 0. The normalisation Z is a sum over all states of one layer. With f = exp(−F),

    ∇ log Z = ∇Z / Z = ∇ Σₓ f(x) / Z = Σₓ ∇ exp(log f(x)) / Z
            = Σₓ f(x) ∇ log f(x) / Z = Σₓ p(x) ∇ log f(x) = E_model[∇ log f].

Since −∇ log Z = E_model[∇F],

    −∇ log p(v) = ∇F(v) − E_model[∇F]:

the positive phase lowers the free energy of the data, and the negative phase raises the free energy
of the model's own samples. The negative phase is estimated by an average over Gibbs chains.
Contrastive divergence, CD-k, starts the chains at the data and takes k steps. Its cost is
F(v) − F(vₖ), where vₖ counts as a constant. Persistent contrastive divergence continues the chains
from one update to the next, so that they follow the model. It is the better choice where samples or
likelihoods matter.

The notes print f = −E in place of f = exp(−E) (erratum E3), ∇ log Z = E[log f] in place of
E[∇ log f] (E2), and the negative phase of n samples once in place of n times (E1). The cost here is
a mean over the samples, so that n does not occur.

Other visible units change only the energy. *Gaussian* units are real numbers, with

    E(v, h) = Σᵢ (vᵢ − aᵢ)²/2σᵢ² − bᵀh − Σᵢⱼ vᵢ Wᵢⱼ hⱼ/σᵢ²,

so that p(v) = Σₕ p(h) N(v; a + W h, σ²) is a mixture of 2ᴴ Gaussians. It has the mean a + W E[h]
and the covariance diag σ² + W Cov(h) Wᵀ. If σ is learned, the parameter is log σ², which may be any
number: ∂F/∂log σᵢ² = −(vᵢ − aᵢ)²/2σᵢ² + vᵢ Σⱼ Wᵢⱼ P(hⱼ = 1|v)/σᵢ². *Spins* s are −1 or 1, and have
the energy of bits. With v = (s + 1)/2 their model is a model of bits, in which 2W, 2a and
b − Σᵢ Wᵢⱼ replace W, a and b.

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
from ..backend import Array, Generator, check_generator, device_of, to_host
from ..distributions import Bernoulli, Distribution, Gaussian, family
from ..operations.activations import logistic
from ..optim.optimizer import checked
from ..parallel import even_parts
from ..parallel.parts import drawn_by_parts
from ..parallel.processes import processes_of
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
"""The default learning rates. Gaussian units need a smaller rate, since their states are unbounded.

The rate of spins is a quarter of the rate of bits, since weights W of spins act like weights 2W of
bits.
"""
FOR_ANY_SCALE: Final[dict[str, dict[str, Any]]] = {
    "bernoulli": {},
    "gaussian": {"sigma": 0.5, "standardise": True},
    "spin": {"standardise": True},
}
"""The settings with which the units accept data of any scale; bits have none."""
STATES = 2**25
"""The largest number of states in an exact sum: 25 units, whose sum takes some minutes."""
CHAINS = 100
"""The largest number of annealed chains that run together on the host."""
SLIDING = 0.01
"""The weight of a new batch in the sliding means of the centred gradient, as in PyDeep."""


def _mean_and_deviation(x: Array) -> tuple[Any, Any]:
    """Return the mean and the standard deviation of each unit.

    Each deviation is at least a tenth of the largest one, so that units that hardly vary do not
    count as much as the others.
    """
    spread = x.std(axis=0)
    spread = np.maximum(spread, 0.1 * spread.max())
    return x.mean(axis=0), np.where(spread == 0, 1, spread)


def _middle_and_half_of_range(x: Array) -> tuple[Any, Any]:
    """Return the middle of the range of all units together, and half of its width."""
    low, high = x.min(), x.max()
    return (low + high) / 2, np.where(high > low, (high - low) / 2, 1)


FRAMES: Final = {"gaussian": _mean_and_deviation, "spin": _middle_and_half_of_range}
"""The functions that compute the centre c and the spread s of data: units get v = (x − c)/s."""

Field: TypeAlias = tuple[Array, ...]
"""States v, and the fields Z = b + Wᵀv that act on the hidden units."""


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
        ∂C/∂v = −δ (a + W p)/n,    ∂C/∂vₖ = δ (a + W pₖ)/m.

    The gradient of W takes one matrix product; two separate phases would take two. ``z`` and
    ``z_k`` are the values of z for v and vₖ, if the chain has computed them already.
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
    """θ ↦ θ₀ + J Jᵀ (θ − θ₀) at θ₀ = θ: W, a and b, unchanged, but with centred gradients.

    The energy as a function of v − μ and h − λ has other biases, (W, a, b) =
    J (W, a + W λ, b + Wᵀμ). Steepest descent in these coordinates takes the step J Jᵀ ∂C/∂θ in the
    coordinates of the notes:

        G = ∂C/∂W − (∂C/∂a) λᵀ − μ (∂C/∂b)ᵀ = −⟨(v − μ)(h − λ)ᵀ⟩_data + ⟨(v − μ)(h − λ)ᵀ⟩_model

    for W, ∂C/∂a − G λ for a, and ∂C/∂b − Gᵀ μ for b. The step is the same if the two states of a
    unit exchange their names. If μ and λ are the means of the units, W does not learn again the
    means, which the biases learn.
    Source: Melchior et al. 2016, section 4.
    """
    W_0, a_0, b_0 = W.data, a.data, b.data
    da, db = a - a_0, b - b_0
    dW = (W - W_0) - da[:, None] * lam - mu[:, None] * db
    return W_0 + dW, a_0 + (da - dW @ lam), b_0 + (db - mu @ dW)


class RBM(nn.Network):
    """p(v, h) = exp(aᵀv + bᵀh + vᵀWh) / Z, with W: (n_visible, n_hidden) and biases a and b.

    ``visible`` is the kind of the visible units:

    - ``"bernoulli"``: 0 or 1; data in [0, 1] are means, and states are drawn anew at each visit;
    - ``"spin"``: −1 or 1; data in [−1, 1] are means in the same way;
    - ``"gaussian"``: real numbers with E = Σ (v − a)²/2σ² − bᵀh − Σ vᵢ wᵢⱼ hⱼ/σ², whose variance
      given h is σ². ``sigma`` is σ, or ``"learned"``: then each unit has its own σ, by the
      parameter ``log_var``. W can only add to the variance, so that σ must be below the spread of
      the data.

    With ``standardise``, a sample x becomes v = (x − c)/s. The buffers ``centre`` c and ``spread``
    s are computed from data by :meth:`start_at`. For Gaussian units they are the means and standard
    deviations of the data, and σ = ½ is a good start; for spins they are the middle of the range of
    the data and half of its width.

    The model is trained by CD-k, or, if ``persistent``, with ``n_chains`` chains that continue for
    k steps at each update; their states are the buffer ``chains``. With ``n_temperatures`` above 1,
    each chain has replicas at that many temperatures, which exchange their states. The path of the
    temperatures starts at units without connections, whose biases are the buffer ``base``. If
    ``centred``, the gradient is centred at the means in the buffers ``mean_visible`` and
    ``mean_hidden``. The cost includes l1 Σ |W| + ½ l2 Σ W². W starts as N(0, scale²), a and b as
    zeros. Samples (n, …) are reshaped to rows.
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
            self.independent = {"chains": len(replicas)}
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
        """p(v) ∝ exp(−E(v, 0)), the distribution of the visible units without connections."""
        if self.family is not Gaussian:
            return self.family(self.a)
        learned = self.sigma == "learned"
        return Gaussian(self.a, self.log_var if learned else 2 * math.log(self.sigma))

    def seen(self, x: Any) -> Any:
        """v = (x − c)/s for samples x with ``standardise``, else v = x."""
        return (x - self.centre) / self.spread if self.standardise else x

    def shown(self, v: Any) -> Any:
        """x = c + s v for values or means v with ``standardise``, else x = v: inverts ``seen``."""
        return self.centre + self.spread * v if self.standardise else v

    def states(self, x: Any, rng: Generator) -> Array:
        """Return states v for samples x; grey values are means, from which states are drawn."""
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
        """P(h = 1|v) = σ(b + Wᵀv), or σ(b + Wᵀv/σ²) for Gaussian units: (n, n_hidden)."""
        return ops.sigmoid(self.units.scaled(self._rows(v)) @ self.W + self.b)

    def prob_visible(self, h: Any) -> Any:
        """E[v|h], (n, n_visible): σ(a + W h); tanh(a + W h) for spins; a + W h for real units."""
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
        """Return the state after ``steps`` steps of block Gibbs sampling from v, (n, n_visible).

        ``mask`` has the shape of v or of one of its rows. Units where it is true are known and keep
        their values; the other units converge to p(v_unknown|v_known).
        """
        machine = self.frozen()
        return machine._chain(machine._rows(v), steps, rng, machine._mask(mask))

    def noise(self, n: int | tuple[int, ...], rng: Generator) -> Array:
        """Return the start of new chains: fair coins, or N(0, I); (n, n_visible)."""
        shape = n if isinstance(n, tuple) else (n,)
        return self.family.standard((*shape, self.n_visible), self.W.dtype, rng)

    def sample(self, n: int, rng: Generator, steps: int = 1000) -> Array:
        """P(v = 1|h), or E[v|h], at the end of n chains of ``steps`` steps: (n, n_visible).

        The chains start at noise, fair coins or N(0, I), far from any data. The result is the means
        of the last step, which are smoother than states; :meth:`draw` returns states.
        """
        means: Array = self.shown(self._means_after(self.noise(n, rng), steps, rng))
        return means

    def inpaint(self, known: Any, mask: Any, rng: Generator, steps: int = 1000) -> Array:
        """Return ``known`` where ``mask`` is true, and E[v|h] elsewhere: (n, n_visible).

        The means E[v|h] are the end of chains of ``steps`` steps in which the known entries keep
        their values; for known grey values, states are drawn once. The other entries start at
        noise.
        """
        rows, where = self._rows(known), self._mask(mask)
        v = np.where(where, self.states(rows.astype(self.W.dtype), rng), self.noise(len(rows), rng))
        return np.where(where, rows, self.shown(self._means_after(v, steps, rng, where)))

    def draw(self, n: int, rng: Generator, steps: int = 1000) -> Array:
        """Return the states v at the end of n chains of ``steps`` steps from noise: (n, n_visible).

        They are draws from p(v) if the chains are long enough to forget the noise at their start.
        """
        states: Array = self.shown(self.gibbs(self.noise(n, rng), steps, rng))
        return states

    # Training

    def start_at(self, data: Any, odds: float | None = None) -> None:
        """Set the biases a to the best fit to samples ``data`` by units without connections.

        With ``odds``, b is set as well, so that p(h = eⱼ) = ``odds`` · p(h = 0) for each hidden
        unit j alone: the state h = 0 fits the data as a whole, and each unit begins as a rare
        exception. This suits a few Gaussian units, whose p(v) is a mixture. If σ is learned, it
        then starts at half the deviation, since the other components add variance.

        With ``standardise``, the centre and the spread of the samples are set first. If σ is
        learned, it starts at the standard deviation of each unit in the data, or at 1 for a unit
        that does not vary. If the gradient is centred, ``mean_visible`` starts at the mean of the
        data.

        If the biases start at zero and the chains are persistent, the hidden units first learn that
        not every pixel is on half of the time. All hidden units learn the same, until they are
        always on and learn nothing more. Source: Hinton 2010, section 8.
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
            start = np.where(variance > 0, variance, 1) * (1 if odds is None else 0.25)
            self.log_var.data[...] = np.log(start)
            self.log_var.changed()
        if odds is not None:
            if not 0 < odds < math.inf:
                raise ValueError(f"odds is a positive number, or None for b as it is, got {odds}")
            one_at_a_time = self.frozen().W.T
            log_sum = self.frozen().units.log_sum
            # With b = 0, log p(h) + log Z is log_sum(W h).
            self.b.data[...] = math.log(odds) - log_sum(one_at_a_time) + log_sum(0 * one_at_a_time)
            self.b.changed()
        if self.n_temperatures > 1:
            self.base[...] = self.a.data
        if self.centred:
            self.mean_visible[...] = self.frozen().units.scaled(v).mean(axis=0)

    @property
    def players(self) -> list[list[Tensor]]:
        """One player: W, a, b, and log σ² if it is learned."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Return SGD with a learning rate of 0.1, or 0.025 for spins, or 0.002 for Gaussian units.

        If σ is learned, the optimizer is Adam with 0.005, since all gradients except ∂C/∂b are
        proportional to 1/σ².
        """
        if self.sigma == "learned":
            return [optim.Adam(self.parameters(), 0.005)]
        return [optim.SGD(self.parameters(), RATES[self.visible])]

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """Yield the cost F(v) − F(vₖ), averaged over the batch, with vₖ at the end of the chain.

        The cost is not a likelihood, and may have either sign: only its gradient has a meaning. The
        report has both phases, which are the mean of F at the data and at the ends of the chains,
        and for tempered chains the share of exchanges. It also has the squared error per visible
        unit of the reconstruction v ↦ E[v|h = P(h = 1|v)], for a 16th of the batch. A falling error
        shows that the model learns, but training does not minimise this error.
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
        units = self.units.at(0 * machine.a)  # E(v, 0) without −aᵀv, or without −aᵀv/σ²
        s, s_k = units.scaled(v), units.scaled(v_k)
        gap = free_energy_gap(W, a, b, s, s_k, z=z, z_k=z_k)
        gap = gap + (units.energy(v).mean() - units.energy(v_k).mean())
        # Computed before the parameters move, since the frozen machine shares their memory
        F_k = (machine.units.energy(v_k) - ops.softplus(z_k).sum(axis=1)).mean()
        yield gap + penalty(self.W, l1=self.l1, l2=self.l2) if self.l1 or self.l2 else gap
        reconstruction = {"reconstruction (not the objective)": error.mean()}
        return {"F(data)": gap.data + F_k, "F(chains)": F_k, **told, **reconstruction}

    def _negative(
        self, machine: RBM, v: Array, z: Array, rng: Generator
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Return the ends of the chains, their fields Z, and their part of the report."""
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
        """Return the ends at β = 1 after k steps at every β, their fields Z, and their report."""
        betas = np.linspace(0, 1, self.n_temperatures).tolist()
        states: list[Field] = [(v, machine._field_of_hidden(v)) for v in self.chains]
        path = machine._path(self.base, rng)
        states, share = parallel_tempering(states, betas, self.k, *path, rng)
        self.chains = np.stack([v for v, _ in states])
        v, z = states[-1]
        return v, z, {"exchanged": share}

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data that do not fit the visible units.

        A :class:`~scratchgen.training.TrainingWarning` reports data for Gaussian units whose
        variance is below σ², the least that the units can have, or so large that training steps
        become too large.
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
        """The number of units whose states are summed for log Z: the smaller layer with states."""
        return min(self.n_hidden, self.n_visible) if self.family.discrete else self.n_hidden

    def log_partition(self) -> float:
        """Return the exact log Z, by a sum over all states of the smaller layer, in float64.

        For Gaussian units the sum is over the hidden states, and the integral over v for each of
        them has a closed form. Raises ``ValueError`` for more than 2²⁵ states.
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
        processes: Any = None,
    ) -> tuple[float, float]:
        """Return log Z by annealed importance sampling, and its standard error: both in nats.

        The path E_β = β E + (1 − β) E₀ leads from the machine without W and b to this machine, with
        ``n_temperatures`` evenly spaced β from 0 to 1. With ``data``, which is the better choice,
        the visible units at the start of the path have the means of the data. Without ``data``, the
        biases at the start are a, and as many further chains start at biases of zero, as a check.
        If these chains end elsewhere, or find a larger Z, either set of chains may have missed a
        mode that the other set has visited. Then the estimate is computed from both sets, and the
        error is at least log 2.

        The estimate of Z has the mean Z for chains of any length, but it lacks a mode that no chain
        has visited. The standard error does not show this: it is small whenever the weights agree.
        If the error exceeds some tenths of a nat, the estimate cannot be trusted: take more
        temperatures, or ``data``.

        On the host, the chains run in parts of at most 100, each with its own generator.
        ``processes``, a communicator of mpi4py, share the parts, and the estimate has the same bits
        on any number of them. ``progress`` wraps the steps of the chains of a part, as tqdm does.
        Source: Salakhutdinov and Murray 2008, section 4.
        """
        if n_chains < 2 or n_temperatures < 2:
            raise ValueError(
                "an estimate with its error takes at least 2 chains and 2 temperatures, got "
                f"{n_chains} and {n_temperatures}"
            )
        machine, together = self.frozen(), processes_of(processes)
        betas = np.linspace(0, 1, n_temperatures).tolist()
        size = CHAINS if device_of(rng) == "cpu" else n_chains
        parts = even_parts(n_chains, size)

        def annealed(a0: Array) -> tuple[Array, Array]:
            def of_part(part: slice, its: Generator) -> tuple[Array, Array]:
                return machine._annealed(a0, part.stop - part.start, betas, its, progress)

            log_w, v = zip(*drawn_by_parts(of_part, parts, rng, together), strict=True)
            return np.concatenate(log_w), np.concatenate(v)

        if data is not None:
            rows = machine.seen(machine._rows(data).astype(self.a.dtype))
            return log_mean_and_error(annealed(self.family.fitted(rows))[0])
        log_w, ends = annealed(machine.a)
        log_z, error = log_mean_and_error(log_w)
        of_witnesses, others = annealed(0 * machine.a)
        larger, its_error = log_mean_and_error(of_witnesses)
        if not (far_apart(ends, others) or larger - log_z > 4 * math.hypot(error, its_error)):
            return log_z, error
        log_z, error = log_mean_and_error(np.concatenate([log_w, of_witnesses]))
        return log_z, max(error, math.log(2))

    def log_likelihood(self, v: Any, log_z: float | None = None) -> Array:
        """log p(v) = −F(v) − log Z, (n,) nats, in float64; the default of ``log_z`` is exact.

        For units with states, v must consist of states; ``ValueError`` for grey values.
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
        """Σᵢ log P(vᵢ|all other v), (n,) nats: log Z cancels in each term.

        P(vᵢ = 1|others) = σ(F(v with vᵢ = 0) − F(v with vᵢ = 1)); for spins, −1 replaces 0. Grey
        values count as means, vᵢ log P + (1 − vᵢ) log(1 − P). The result is a sum over all visible
        units, not a mean, and takes a pass over the hidden layer for each visible unit.
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

        Its mean over i is ``pseudo_log_likelihood``: the factor D makes it estimate the sum over
        units, as in scikit-learn's ``BernoulliRBM.score_samples``.
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

    # The interface of scikit-learn

    def transform(self, X: Any) -> Array:
        """P(h = 1|v), (n, n_hidden): features of samples X; every call gives the same result."""
        machine = self.frozen()
        return machine.prob_hidden(machine.seen(machine._rows(X)))

    def score_samples(self, X: Any) -> Array:
        """``pseudo_log_likelihood`` of each sample, (n,); every call gives the same result.

        It is the sum over all units, which scikit-learn estimates from one unit drawn at random.
        """
        return self.pseudo_log_likelihood(self.seen(self._rows(X)))

    # Internal

    def _one_pass(self, x: Array) -> None:
        """Do nothing: the model contains no other network."""

    def _rows(self, v: Any) -> Any:
        rows = v if v.ndim == 2 else v.reshape(len(v), math.prod(v.shape[1:]))
        if rows.shape[1] != self.n_visible:
            raise ValueError(
                f"this RBM has {self.n_visible} visible units, got samples of {rows.shape[1]} "
                f"numbers, of shape {v.shape[1:]}"
            )
        return rows

    def _mask(self, mask: Any) -> Any:
        """Return the mask as rows, (n, n_visible) or (1, n_visible); None if there is no mask."""
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
        """Z = b + Wᵀv, or b + Wᵀv/σ²: the log odds of the hidden units of a frozen machine."""
        z: Array = self.units.scaled(v) @ self.W
        z += self.b
        return z

    def _field_of_visible(self, h: Array) -> Array:
        """Z = a + W h, for a frozen machine."""
        # For h Wᵀ a BLAS first copies all of W, which for few rows takes as long as the product.
        z: Array = (self.W @ h.T).T.copy() if len(h) < 100 else h @ self.W.T
        z += self.a
        return z

    def _hidden(self, v: Array) -> Bernoulli:
        """p(h|v), for a frozen machine."""
        return Bernoulli(self._field_of_hidden(v))

    def _visible(self, h: Array) -> Distribution:
        """p(v|h), for a frozen machine."""
        return self.units.at(self._field_of_visible(h))

    def _chain(self, v: Array, steps: int, rng: Generator, mask: Any = None) -> Array:
        """Return the end of Gibbs sampling by a frozen machine from v; v is kept where masked."""
        check_generator(rng)
        known = v

        def sample_visible(h: Array) -> Array:
            drawn: Array = self._visible(h).draw(rng)
            return drawn if mask is None else np.where(mask, known, drawn)

        return block_gibbs(v, steps, lambda v: self._hidden(v).draw(rng), sample_visible)

    def _means_after(self, v: Array, steps: int, rng: Generator, mask: Any = None) -> Array:
        """E[v|h] in the last of ``steps`` steps of a chain that starts at v."""
        if steps < 1:
            raise ValueError(f"samples take chains of at least 1 step, got {steps}")
        machine = self.frozen()
        v = machine._chain(v, steps - 1, rng, mask)
        means: Array = machine.prob_visible(machine.sample_hidden(v, rng))
        return means

    def _path(
        self, a0: Array, rng: Generator
    ) -> tuple[Callable[[Field, float, float], Array], Callable[[Field, float], Field]]:
        """E_β = β E + (1 − β) E₀, from units with biases a0, without connections, to this machine.

        Return the two functions that annealing and tempering need: log f_β′ − log f_β of (v, Z),
        summed over h, and a step of Gibbs sampling at β. The machine must be frozen.
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
        """Return estimates of log Z by n chains of a frozen machine from a0, and their ends."""
        units = self.units
        v = units.at(np.zeros_like(self.a, shape=(n, self.n_visible)) + a0).draw(rng)
        begin: Field = (v, self._field_of_hidden(v))
        path = self._path(a0, rng)
        log_w, end = annealed_importance_sampling(begin, betas, *path, progress)
        log_z0 = units.at(a0.astype(np.float64)).log_sum() + self.n_hidden * math.log(2)
        return log_w + log_z0, end[0]

    def _bits(self, v: Array) -> Array:
        """Map states v to 0 and 1, and means to the interval between them."""
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
        """Return the frozen machine in float64, as sums over states and their differences need."""
        twin = self.frozen()
        for name, _ in self.named_parameters():
            setattr(twin, name, getattr(twin, name).astype(np.float64))
        return twin


def lecture(rng: Generator) -> tuple[RBM, list[optim.Optimizer]]:
    """The notes' model of MNIST, 784 × 500, trained by CD-1 with SGD at 0.1, for batches of 64."""
    model = RBM(784, 500, rng=rng)
    return model, model.default_optimizers()
