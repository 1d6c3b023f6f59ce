r"""The restricted Boltzmann machine: an energy on two layers, trained on what it dreams itself.

Visible units v and hidden units h ∈ {0, 1} have the energy

    E(v, h) = −aᵀv − bᵀh − vᵀWh,        p(v, h) = exp(−E(v, h)) / Z,

with a connection between any two units of different layers and none within one. So each layer,
given the other, falls apart into independent units, and can be drawn at once:

    P(hⱼ = 1|v) = σ(bⱼ + Σᵢ vᵢ Wᵢⱼ),        P(vᵢ = 1|h) = σ(aᵢ + Σⱼ Wᵢⱼ hⱼ).

The hidden units are summed over in closed form, p(v) = exp(−F(v)) / Z with the free energy

    F(v) = −aᵀv − Σⱼ softplus(bⱼ + Σᵢ vᵢ Wᵢⱼ).

What is left is Z, a sum over all states of one layer. Since −∇ log Z = E_model[∇F],

    −∇ log p(v) = ∇F(v) − E_model[∇F],

the positive phase lowers the free energy of the data, the negative one raises that of what the
model itself believes in. The second is an average over a Gibbs chain. Contrastive divergence, CD-k,
starts that chain at the data and takes k steps: its cost is F(v) − F(vₖ), in which vₖ counts as
data. Persistent contrastive divergence lets the chains go on from one update to the next, so that
they follow the model; it is the one to take where samples or likelihoods matter.

The notes print f = −E for what is f = exp(−E), ∇ log Z = E[log f] for E[∇ log f], and the negative
phase of n samples once in place of n times; averaged over the samples, as here, there is no n.

Sources: the notes, "Energy models" to "Defining different types of RBMs"; Hinton 2002; Tieleman
2008 (persistent chains); Hinton 2010, "A practical guide to training RBMs".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Generator as Yields
from typing import Any, Final, Literal

import numpy as np

from .. import nn, optim
from .. import operations as ops
from ..autodiff import Rule, Tensor, differentiable
from ..backend import Array, Generator, check_generator, to_host
from ..distributions import Bernoulli, Distribution, family
from ..operations.activations import logistic
from ..sampling import annealed_importance_sampling, block_gibbs, far_apart, log_mean_and_error
from . import audit

RATES: Final = {"bernoulli": 0.1, "gaussian": 0.002}
"""Learning rates: the states of Gaussian units have no bounds, so that their steps are smaller."""
FOR_ANY_SCALE: Final[dict[str, dict[str, Any]]] = {
    "bernoulli": {},
    "gaussian": {"sigma": 0.5, "standardise": True},
}
"""Settings with which units take data of any scale, if they can."""
STATES = 2**25
"""As many states of a layer are summed over, and no more: some minutes for layers of 25 units."""


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


class RBM(nn.Network):
    """p(v, h) = exp(aᵀv + bᵀh + vᵀWh) / Z, with W: (n_visible, n_hidden) and biases a and b.

    ``visible`` says what the visible units are:

    - ``"bernoulli"``: 0 or 1; data in [0, 1] are the means that they are drawn with at each visit;
    - ``"gaussian"``: real, E = Σ (v − a)²/2σ² − bᵀh − Σ vᵢ wᵢⱼ hⱼ/σ², of variance σ² given h, where
      σ is ``sigma``. W can only add to that variance: σ is less than the spread of the data. With
      ``standardise``, samples x are seen as v = (x − c)/s, with the buffers ``centre`` c and
      ``spread`` s, which :meth:`start_at` takes from data: to these, σ = ½ is a good start.

    It is trained by CD-k, or, where ``persistent``, with ``n_chains`` chains that go on from update
    to update for k steps each; they are the buffer ``chains``. W begins as N(0, scale²), a and b as
    zeros. Samples (n, …) are taken as rows.
    """

    def __init__(
        self,
        n_visible: int,
        n_hidden: int,
        *,
        rng: Generator,
        visible: Literal["bernoulli", "gaussian"] = "bernoulli",
        k: int = 1,
        persistent: bool = False,
        n_chains: int = 100,
        scale: float = 0.01,
        sigma: float = 1.0,
        standardise: bool = False,
    ) -> None:
        self.family = family(visible, "visible")
        if min(n_visible, n_hidden, k, n_chains) < 1:
            raise ValueError(
                "n_visible, n_hidden, k and n_chains are at least 1, got "
                f"{n_visible}, {n_hidden}, {k} and {n_chains}"
            )
        if not (0 <= scale < math.inf and 0 < sigma < math.inf):
            raise ValueError(f"scale ≥ 0 and sigma > 0, both finite, got {scale} and {sigma}")
        if self.family.discrete and (sigma != 1 or standardise):
            raise ValueError(
                "sigma and standardise are for Gaussian units: take visible='gaussian'"
            )
        check_generator(rng)
        W = rng.standard_normal((n_visible, n_hidden), dtype=np.float32)
        W *= scale
        self.W: Any = Tensor(W)
        self.a: Any = Tensor(np.zeros_like(W, shape=(n_visible,)))
        self.b: Any = Tensor(np.zeros_like(W, shape=(n_hidden,)))
        self.n_visible, self.n_hidden, self.visible = n_visible, n_hidden, visible
        self.k, self.persistent, self.n_chains = k, persistent, n_chains
        self.scale, self.sigma, self.standardise = scale, sigma, standardise
        if standardise:
            self.buffers += ("centre", "spread")
            self.constants = ("centre", "spread")
            self.centre = np.zeros_like(W, shape=(n_visible,))
            self.spread = np.ones_like(W, shape=(n_visible,))
        if persistent:
            self.buffers += ("chains",)
            self.chains = self.noise(n_chains, rng)

    @property
    def units(self) -> Distribution:
        """The visible units without connections, p(v) ∝ exp(−E(v, 0))."""
        scale = {} if self.family.discrete else {"log_var": 2 * math.log(self.sigma)}
        return self.family(self.a, **scale)

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
        """E(v, h) = −aᵀv − bᵀh − vᵀWh, or ‖v − a‖²/2σ² − bᵀh − vᵀWh/σ²: (n,)."""
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
        """P(v = 1|h) = σ(a + W h), (n, n_visible); of Gaussian units the mean a + W h."""
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

    def gibbs(self, v: Any, steps: int, rng: Generator) -> Array:
        """The state v after ``steps`` steps of block Gibbs sampling from v on, (n, n_visible)."""
        machine = self.frozen()
        return machine._chain(machine._rows(v), steps, rng)

    def noise(self, n: int, rng: Generator) -> Array:
        """Where chains begin that know nothing: fair coins, or N(0, I); (n, n_visible)."""
        return self.family.standard((n, self.n_visible), self.W.dtype, rng)

    def sample(self, n: int, rng: Generator, steps: int = 1000) -> Array:
        """P(v = 1|h), or E[v|h], at the end of n chains of ``steps`` steps: (n, n_visible).

        The chains begin at noise, fair coins or N(0, I), far from any data. These are the means of
        the last step, smoother than states of the model: for states, take :meth:`draw`.
        """
        if steps < 1:
            raise ValueError(f"samples take chains of at least 1 step, got {steps}")
        machine = self.frozen()
        v = machine._chain(machine.noise(n, rng), steps - 1, rng)
        means: Array = self.shown(machine.prob_visible(machine.sample_hidden(v, rng)))
        return means

    def draw(self, n: int, rng: Generator, steps: int = 1000) -> Array:
        """The states v at the end of n chains of ``steps`` steps from noise: (n, n_visible).

        They are draws of p(v) once the chains have forgotten the noise that they began at.
        """
        states: Array = self.shown(self.gibbs(self.noise(n, rng), steps, rng))
        return states

    # Training

    def start_at(self, data: Any) -> None:
        """Set the biases a to those of units without connections, for samples ``data``.

        A machine that is to ``standardise`` takes their means and standard deviations first; the
        latter are held to a tenth of the largest, as what hardly varies is not to count as much.

        From zeros, the hidden units of persistent chains learn first that not every pixel is on
        half of the time: all of them alike, until they are always on and learn nothing more.
        Source: Hinton 2010, section 8.
        """
        rows = self._rows(data)
        self._check_units(rows)
        if self.standardise:
            spread = rows.std(axis=0)
            self.centre[...] = rows.mean(axis=0)
            self.spread[...] = np.maximum(spread, 0.1 * spread.max())
            self.spread[self.spread == 0] = 1
        self.a.data[...] = self.family.fitted(self.seen(rows.astype(self.a.dtype)))
        self.a.changed()

    @property
    def players(self) -> list[list[Tensor]]:
        """One player: W, a, b."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Stochastic gradient descent, with a rate of 0.1, or of 0.002 for Gaussian units."""
        return [optim.SGD(self.parameters(), RATES[self.visible])]

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """The cost F(v) − F(vₖ), averaged over the batch, with vₖ at the end of the chain.

        It is no likelihood, and may have either sign: only its gradient means something. Reported
        is the squared error per visible unit of v ↦ E[v|h = P(h = 1|v)], of a 16th of the batch:
        it tells that something is learned, and is not what is minimised.
        """
        machine = self.frozen()
        v = machine.states(x, rng)
        z = machine._field_of_hidden(v)
        v_k, z_k = v, z
        if self.persistent:
            v_k = self.chains
            z_k = machine._field_of_hidden(v_k)
        for _ in range(self.k):
            h = Bernoulli(z_k).draw(rng)
            v_k = machine._visible(h).draw(rng)
            z_k = machine._field_of_hidden(v_k)
        if self.persistent:
            self.chains = v_k
        few = max(1, len(v) // 16)
        error = v[:few] - machine._visible(logistic(z[:few])).mean
        error *= error
        units = machine.units.at(0 * machine.a)  # what E(v, 0) has beside −aᵀv, or −aᵀv/σ²
        s, s_k = units.scaled(v), units.scaled(v_k)
        cost = free_energy_gap(self.W, self.a, self.b, s, s_k, z=z, z_k=z_k)
        cost = cost + (units.energy(v).mean() - units.energy(v_k).mean())
        yield cost
        return {"reconstruction (not the objective)": error.mean()}

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data that the visible units do not take.

        A :class:`~scratchgen.training.TrainingWarning` says where the variance of the data is less
        than Gaussian units have at least, or so large that steps of training are too.
        """
        audit.check_samples(x, "an RBM", "x / 255")
        rows = self._rows(x)
        self._check_units(rows)
        if len(rows) > 1 and not self.family.discrete:
            variance = float(to_host(self.seen(rows).var(axis=0, dtype=np.float64).mean()))
            if not 0.5 <= variance / self.sigma**2 <= 100:
                audit.caution(
                    f"the data have a variance of {variance:.3g}, averaged over the visible units, "
                    f"and these are of variance σ² = {self.sigma**2:.3g} or more: scale the data "
                    "to some times that, or build the RBM with standardise=True and sigma=0.5, and "
                    "call start_at(data)"
                )

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
        if n == self.n_hidden:
            log_z = _log_sum_over_states(machine.b, machine.W.T, machine.units.log_sum)
        else:
            log_z = _log_sum_over_states(machine.a, machine.W, Bernoulli(machine.b).log_sum)
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

        Of Bernoulli units these are the states 0 and 1: grey values are refused.
        """
        machine = self._in_double()
        v = machine._rows(v)
        if self.family.discrete and not bool(to_host(((v == 0) | (v == 1)).all())):
            raise ValueError(
                "a probability is one of states, each 0 or 1, and these are others: draw them, "
                "rng.random(x.shape) < x, or cut at one half, x > 0.5"
            )
        return -machine.free_energy(v.astype(np.float64)) - (
            self.log_partition() if log_z is None else log_z
        )

    def pseudo_log_likelihood(self, v: Any) -> Array:
        """Σᵢ log P(vᵢ|all other v), (n,) nats: log Z drops out of each term.

        P(vᵢ = 1|others) = σ(F(v with vᵢ = 0) − F(v with vᵢ = 1)), and grey values count as means,
        vᵢ log P + (1 − vᵢ) log(1 − P). It is a sum over all visible units, no mean, and takes
        a pass over the hidden layer for each of them. Source: Besag 1975; Marlin et al. 2010.
        """
        machine = self._of_bernoulli_units()
        v = machine._rows(v)
        z = machine._field_of_hidden(v)
        logits = [
            machine._log_odds(v[:, i], machine.a[i], machine.W[i], z) for i in range(v.shape[1])
        ]
        return -ops.bernoulli_nll(np.stack(logits, axis=1), v)

    def pseudo_log_likelihood_estimate(self, v: Any, rng: Generator) -> Array:
        """D log P(vᵢ|all other v) for one of the D units, drawn at random for each sample: (n,).

        Its mean over i is ``pseudo_log_likelihood``: the normalisation is that of a sum over units,
        as in scikit-learn's ``BernoulliRBM.score_samples``.
        """
        machine = self._of_bernoulli_units()
        v = machine._rows(v)
        check_generator(rng)
        i = rng.integers(0, self.n_visible, len(v))
        v_i = np.take_along_axis(v, i[:, None], axis=1)
        logits = machine._log_odds(
            v_i[:, 0], machine.a[i], machine.W[i], machine._field_of_hidden(v)
        )
        return -self.n_visible * ops.bernoulli_nll(logits[:, None], v_i)

    # As scikit-learn's users know it

    def transform(self, X: Any) -> Array:
        """P(h = 1|v), (n, n_hidden): features of the samples X, the same at every call."""
        machine = self.frozen()
        return machine.prob_hidden(machine.seen(machine._rows(X)))

    def score_samples(self, X: Any) -> Array:
        """``pseudo_log_likelihood`` of each sample, (n,): the same at every call.

        What scikit-learn's estimates from one unit drawn at random is here the sum over all.
        """
        return self.pseudo_log_likelihood(X)

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

    def _chain(self, v: Array, steps: int, rng: Generator) -> Array:
        check_generator(rng)
        return block_gibbs(
            v,
            steps,
            lambda v: self._hidden(v).draw(rng),
            lambda h: self._visible(h).draw(rng),
        )

    def _annealed(
        self,
        a0: Array,
        n: int,
        betas: Sequence[float],
        rng: Generator,
        progress: Callable[[Iterable[Any]], Iterable[Any]],
    ) -> tuple[Array, Array]:
        """Estimates of log Z by n chains of a frozen machine, from a0 on, and where they end."""
        units, a = self.units, self.a
        start = units.at(a0)

        def log_ratio(state: tuple[Array, Array], beta: float, following: float) -> Array:
            v, z = state
            softened = ops.softplus(following * z) - ops.softplus(beta * z)
            return softened.sum(axis=1) - (following - beta) * (units.energy(v) - start.energy(v))

        def transition(state: tuple[Array, Array], beta: float) -> tuple[Array, Array]:
            h = Bernoulli(beta * state[1]).draw(rng)
            v = units.at((1 - beta) * a0 + beta * ops.affine(h, self.W, a)).draw(rng)
            return v, self._field_of_hidden(v)

        v = units.at(np.zeros_like(a, shape=(n, self.n_visible)) + a0).draw(rng)
        log_w, (v, _) = annealed_importance_sampling(
            (v, self._field_of_hidden(v)), betas, log_ratio, transition, progress
        )
        log_z0 = units.at(a0.astype(np.float64)).log_sum() + self.n_hidden * math.log(2)
        return log_w + log_z0, v

    def _log_odds(self, v_i: Array, a_i: Array, W_i: Array, z: Array) -> Array:
        """log P(vᵢ = 1|others)/P(vᵢ = 0|others) = F(vᵢ = 0) − F(vᵢ = 1), (n,)."""
        with_it = ops.softplus(z + (1 - v_i)[:, None] * W_i)
        without = ops.softplus(z - v_i[:, None] * W_i)
        return a_i + (with_it - without).sum(axis=1)

    def _of_bernoulli_units(self) -> RBM:
        if not self.family.discrete:
            raise ValueError(
                "the pseudo-likelihood is that of Bernoulli units, these are Gaussian: where log Z "
                "can be summed or estimated, take log_likelihood, and else free_energy"
            )
        return self.frozen()

    def _in_double(self) -> RBM:
        """The frozen machine in float64, as sums over states, and differences of sums, need it."""
        twin = self.frozen()
        for name in "Wab":
            setattr(twin, name, getattr(twin, name).astype(np.float64))
        return twin


def lecture(rng: Generator) -> tuple[RBM, list[optim.Optimizer]]:
    """The notes' model of MNIST, 784 × 500, by CD-1 with SGD of 0.1, for batches of 64."""
    model = RBM(784, 500, rng=rng)
    return model, model.default_optimizers()


def _log_sum_over_states(c: Array, M: Array, log_sum: Callable[[Array], Array]) -> Array:
    """log Σₛ exp(cᵀs + log_sum(s M)) over all s ∈ {0, 1}ⁿ; c: (n,), M: (n, D).

    The states of the last units are the rows of a block that stays in the cache, with s M of their
    own; each state of the first units adds one row to it. What comes is added up as it comes.
    """
    n, D = M.shape
    # A block of 2¹⁷ numbers in float64 is 1 MiB.
    in_block = min(n, max(0, int(math.log2(2**17 / D))) if D < 2**17 else 0)
    block = _states(in_block, c)
    first = n - in_block
    fields, weights = block @ M[first:], block @ c[first:]
    total = np.full_like(c[:1], -np.inf)
    for s in itertools.product((0.0, 1.0), repeat=first):
        field, weight = np.zeros_like(M[0]), np.zeros_like(c[0])
        for bit, row, c_i in zip(s, M, c, strict=False):
            if bit:
                field, weight = field + row, weight + c_i
        terms = weights + weight + log_sum(fields + field)
        total = np.logaddexp(total, ops.logsumexp(terms, axis=0))
    return total[0]


def _states(n: int, like: Array) -> Array:
    """All states of n units, (2ⁿ, n), in the order of the binary numbers."""
    states = np.zeros_like(like, shape=(1, 0))
    for _ in range(n):
        zeros = np.zeros_like(like, shape=(len(states), 1))
        states = np.concatenate(
            [np.concatenate([zeros, states], axis=1), np.concatenate([zeros + 1, states], axis=1)]
        )
    return states
