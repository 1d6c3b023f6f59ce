r"""Variational diffusion: a model trained on its own bound, in steps or in continuous time.

The forward process, :class:`scratchgen.models.diffusion.noising.Continuous`, is

    q(z_t|x) = N(α_t x, σ_t² I),     α_t² + σ_t² = 1,     γ(t) = log σ_t²/α_t²,     0 ≤ t ≤ 1,

where γ increases with t, and exp(−γ) is the signal-to-noise ratio. The model takes T steps from
z_1 ~ N(0, I) down to z_0. In each step p(z_s|z_t) = q(z_s|z_t, x̂(z_t)), where the x̂ of a network
replaces x. The last step is p(x|z_0). The bound is

    −ELBO = −E_q log p(x|z_0)                                                 reconstruction
          + D_KL(q(z_1|x) ‖ N(0, I))                                          prior matching
          + ½ T E_{t, ε} (e^{−γ(s)} − e^{−γ(t)}) ‖x − x̂(z_t)‖²,  s = t − 1/T,  diffusion

with t drawn from 1/T, 2/T … 1. As ‖x − x̂‖² = e^γ ‖ε − ε̂‖², the last term is also
½ T (e^{γ(t) − γ(s)} − 1) ‖ε − ε̂‖²; for T → ∞ it becomes ½ γ′(t) ‖ε − ε̂‖² at 0 ≤ t ≤ 1. In
continuous time only the ends of γ matter: all paths between the same ends give the same integral.
So γ is linear in continuous time. In T steps, its values at 0, 1/T … 1 can be learned, by training
on the bound itself.

The times of a batch of n are u, u + 1/n, u + 2/n … modulo 1, with one random u. Each time is
uniform, and together they are spread more evenly than independent times (antithetic times).

Data with few levels f_k, such as pixels, have an exact likelihood: by Bayes' rule

    p(x_i = f_k|z_t) ∝ exp(net_ik − ½ (z_ti − α_t f_k)²/σ_t²).

The network has to give only the logits net_ik, of a prior of x_i that it infers from the rest of
z_t. The mean of this distribution is x̂, and the distribution at t = 0 is p(x|z_0). Data without
levels have a density, p(x|z_0) = N(z_0/α_0, e^{γ(0)} I), and the network gives ε̂.

Sources: the notes, "Variational Diffusion Models"; Kingma, Salimans, Poole and Ho,
arXiv:2107.00630, eqs. 12 to 18, appendices F and I.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Generator as Yields
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from ... import nn, optim
from ... import operations as ops
from ...autodiff import Tensor
from ...backend import Array, Generator, check_generator, device_of, to_device, to_host
from ...distributions import Gaussian
from .. import audit
from ..conditions import takes_rng
from .audit import SIGNAL_LEFT, DiffusionWarning, caution_of_size
from .denoisers import TimedMLP
from .noising import Continuous, linear_gamma

LOW, HIGH = -8.0, 5.0
"""The default ends of γ, and the initial ends of a learned γ."""
LOG_2PI = math.log(2 * math.pi)


class LearnedGamma(nn.Network):
    """γ(t), linear between its values at 0, 1/K … 1, whose differences are exp(``log_rise``).

    The parameters have the device and the dtype of the array ``like``.
    """

    def __init__(self, K: int, like: Array) -> None:
        self.low = Tensor(np.full_like(like, LOW, shape=(1,)))
        self.log_rise = Tensor(np.full_like(like, math.log((HIGH - LOW) / K), shape=(K,)))

    def __call__(self, t: Any, rng: Generator | None = None) -> Any:
        """γ at times t, (n,)."""
        K = self.log_rise.shape[0]
        passed = np.clip(t[:, None] * K - np.arange(K, like=t), 0, 1).astype(t.dtype)
        return self.low + passed @ ops.exp(self.log_rise)


class VDM(nn.Network):
    """p(x) = ∫ p(x|z_0) ∏ p(z_s|z_t) p(z_1), over all z_t, for samples of ``shape``.

    ``network(z, t)`` maps (n, *shape) and times (n,) to the noise ε̂ in z, (n, *shape); with
    ``levels``, to one logit for each entry and level, (n, *shape, K). Its output may also be rows.
    If it has an argument ``rng``, training passes one.

    - ``gamma``: the ends (γ(0), γ(1)) of a linear γ, or ``"learned"``; with ``T`` steps, the values
      between the ends are learned too;
    - ``T``: the number of steps, or ``None`` for continuous time;
    - ``levels``: the values of the entries of x in increasing order, (K,); or an integer K for K
      evenly spaced values from −1 to 1; or ``None`` for real numbers.
    """

    def __init__(
        self,
        network: Any,
        shape: Sequence[int],
        gamma: Sequence[float] | Literal["learned"] = (LOW, HIGH),
        T: int | None = None,
        levels: int | Sequence[float] | Array | None = None,
    ) -> None:
        self._takes_rng = takes_rng(network, time="t")
        if T is not None and operator.index(T) < 1:
            raise ValueError(f"T is a number of steps from 1, or None, got {T}")
        is_learned = isinstance(gamma, str)
        if gamma != "learned" if is_learned else len(gamma) != 2:
            raise ValueError(f"gamma is the ends (low, high) of γ, or 'learned', got {gamma!r}")
        self.network, self.shape = network, tuple(map(operator.index, shape))
        self.T, self.levels = T, None if levels is None else _levels(levels)
        self.gamma: Any
        if is_learned:
            some = self.parameters()
            like = some[0].data if some else np.zeros(0, np.float32)
            self.gamma = LearnedGamma(T or 1, like)
        else:
            self.gamma = linear_gamma(float(gamma[0]), float(gamma[1]))

    @property
    def noising(self) -> Continuous:
        """The forward process with the current γ, for drawing samples."""
        return Continuous(self.frozen().gamma)

    # The denoiser

    def output(self, z: Any, t: Array, rng: Generator | None = None) -> Any:
        """The output of the network for z_t: ε̂, (n, *shape), or logits, (n, *shape, K)."""
        out = self.network(z, t, rng=rng) if self._takes_rng else self.network(z, t)
        return out.reshape(*z.shape, *(() if self.levels is None else (len(self.levels),)))

    def log_prob_levels(self, z: Any, t: Array, gamma: Any, rng: Generator | None = None) -> Any:
        """log p(x_i = f_k|z_t) for all levels f_k, (n, *shape, K); ``gamma`` is γ(t), (n, 1, …)."""
        if self.levels is None:
            raise ValueError("this VDM has no levels: its data have a density")
        alpha, sigma = _scales(gamma.reshape(*gamma.shape, 1))
        distance = (z.reshape(*z.shape, 1) - alpha * self._levels_like(z)) / sigma
        return ops.log_softmax(self.output(z, t, rng) - 0.5 * distance * distance)

    def denoise(self, z: Any, t: Array) -> Any:
        """x̂(z_t), of the shape of z, at times t: (n,)."""
        gamma = self._gamma(t)
        if self.levels is None:
            alpha, sigma = _scales(gamma)
            return (z - sigma * self.output(z, t)) / alpha
        return self._mean(self.log_prob_levels(z, t, gamma))

    # The bound

    def elbo_terms(
        self, x: Any, rng: Generator, network_rng: Generator | None = None
    ) -> tuple[Any, Any, Any]:
        """Reconstruction, prior matching and diffusion, (n,) nats each; −ELBO(x) is their sum.

        The diffusion is estimated at one time for each sample; the times are antithetic.
        ``network_rng`` is passed to the network; training uses it for dropout.
        """
        t = self._times(len(x), rng, _data(x))
        noise = [rng.standard_normal(x.shape, dtype=x.dtype) for _ in range(2)]
        return (
            self.reconstruction(x, noise[0], network_rng),
            self.prior_kl(x),
            self.diffusion(x, t, noise[1], network_rng),
        )

    def reconstruction(self, x: Any, noise: Array, rng: Generator | None = None) -> Any:
        """−log p(x|z_0) at z_0 = α_0 x + σ_0 ε: (n,) nats."""
        t = np.zeros_like(noise, shape=(len(noise),))
        gamma = self._gamma(t)
        alpha, sigma = _scales(gamma)
        z = alpha * x + sigma * noise
        if self.levels is None:
            # (x − z_0/α_0)² e^{−γ} = ε²
            return 0.5 * _per_sample(noise * noise + LOG_2PI + gamma)
        index = nearest(_data(x), self.levels)
        chosen = index[..., None] == np.arange(len(self.levels), like=index)
        return -_per_sample(self.log_prob_levels(z, t, gamma, rng) * chosen.astype(x.dtype))

    def prior_kl(self, x: Any) -> Any:
        """D_KL(q(z_1|x) ‖ N(0, I)) in closed form: (n,) nats."""
        gamma = self._gamma(np.ones_like(_data(x), shape=(len(x),)))
        alpha, _ = _scales(gamma)
        return ops.gaussian_kl(alpha * x, 0 * x - ops.softplus(-gamma))  # log σ² = −softplus(−γ)

    def diffusion(self, x: Any, t: Array, noise: Array, rng: Generator | None = None) -> Any:
        """½ T (e^{γ(t) − γ(s)} − 1) ‖ε − ε̂(z_t)‖², or, without T, ½ γ′(t) ‖ε − ε̂(z_t)‖²: (n,) nats.

        Its mean over t and ε is the diffusion term of the bound.
        """
        gamma = self._gamma(t)
        alpha, sigma = _scales(gamma)
        z = alpha * x + sigma * noise
        if self.levels is None:
            error = _per_sample((noise - self.output(z, t, rng)) ** 2)
        else:
            x_hat = self._mean(self.log_prob_levels(z, t, gamma, rng))
            error = _per_sample((x - x_hat) ** 2 * ops.exp(-gamma))
        return 0.5 * self._rate(t, gamma).reshape(len(x)) * error

    def bits_per_dim(self, x: Array, rng: Generator) -> Array:
        """−ELBO(x)/(D log 2), (n,) bits, for levels or for a density on the scale of x."""
        terms = self.frozen().elbo_terms(x, rng)
        return (terms[0] + terms[1] + terms[2]) / (math.prod(self.shape) * math.log(2))

    # Samples

    def chain(
        self, z: Array, rng: Generator, steps: int | None = None
    ) -> Iterator[tuple[float, Array]]:
        """Yield (t, z_t) along the chain from z_1 ~ N(0, I), which is the first item, to z_0.

        Each of the ``steps`` steps is a draw from p(z_s|z_t). The default is T steps, or 1000 steps
        in continuous time.
        """
        steps = (self.T or 1000) if steps is None else operator.index(steps)
        if steps < 1:
            raise ValueError(f"a chain takes at least 1 step, got {steps}")
        check_generator(rng)
        model, noising = self.frozen(), self.noising
        yield 1.0, z
        for k in range(steps, 0, -1):
            x_hat = model.denoise(z, np.full_like(z, k / steps, shape=(len(z),)))
            mean, variance = noising.posterior(x_hat, z, (k - 1) / steps, k / steps)
            z = mean + np.sqrt(variance) * rng.standard_normal(z.shape, dtype=z.dtype)
            yield (k - 1) / steps, z

    def sample(self, n: int, rng: Generator, steps: int | None = None) -> Array:
        """Return n draws x ~ p(x), (n, *shape), each at the end of a :meth:`chain`."""
        noise = Gaussian.standard((n, *self.shape), self.dtype or np.float32, rng)
        for _, z in self.chain(noise, rng, steps):
            last = z
        return self.frozen()._draw(last, rng)

    def _draw(self, z: Array, rng: Generator) -> Array:
        """x ~ p(x|z_0)."""
        t = np.zeros_like(z, shape=(len(z),))
        gamma = self._gamma(t)
        if self.levels is None:
            alpha, sigma = _scales(gamma)
            return (z + sigma * rng.standard_normal(z.shape, dtype=z.dtype)) / alpha
        cumulated = np.cumsum(np.exp(self.log_prob_levels(z, t, gamma)), axis=-1)
        below = cumulated[..., :-1] <= rng.random((*z.shape, 1), dtype=z.dtype)
        return self._levels_like(z)[below.sum(axis=-1)]

    # Training

    @property
    def players(self) -> list[list[Tensor]]:
        """One player: the network, and γ if it is learned."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Return Adam with a learning rate of 10⁻³."""
        return [optim.Adam(self.parameters(), lr=1e-3)]

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """Yield −ELBO in nats, averaged over the batch; report its three terms."""
        terms = self.elbo_terms(x, rng, rng)
        yield (terms[0] + terms[1] + terms[2]).mean()
        names = ("reconstruction", "prior matching", "diffusion")
        return {name: _data(term).mean() for name, term in zip(names, terms, strict=True)}

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data or a network that do not fit; warn of other problems.

        A :class:`DiffusionWarning` reports data of which much remains at t = 1 (erratum E13), and
        data whose size is far from 1.
        """
        audit.check_samples(x, "a VDM", "x / 127.5 − 1")
        if x.shape[1:] != self.shape:
            raise ValueError(f"this VDM takes samples of shape {self.shape}, got {x.shape[1:]}")
        out = self.network(Tensor(x[:1]), np.ones_like(x, shape=(1,)))
        numbers = math.prod(self.shape) * (1 if self.levels is None else len(self.levels))
        if math.prod(out.shape) != numbers:
            what = "the noise in each entry" if self.levels is None else "a logit for each level"
            raise ValueError(
                f"the network gives {out.shape[1:]} for a sample of shape {self.shape}, expected "
                f"{numbers} numbers: {what}"
            )
        if isinstance(out, Tensor):
            expected = "the noise" if self.levels is None else "logits"
            audit.check_unconfined(out, "network", expected, "since the VDM takes them as they are")
        low, high = float(to_host(x.min())), float(to_host(x.max()))
        if self.levels is not None:
            far = np.absolute(x - self._levels_like(x)[nearest(x, self.levels)]).max()
            if float(to_host(far)) > 1e-3 * min(np.diff(self.levels)):
                raise ValueError(
                    f"x has other values than the {len(self.levels)} levels from "
                    f"{self.levels[0]:g} to {self.levels[-1]:g}; it runs from {low:g} to {high:g}: "
                    "give the levels of x, or scale it to them"
                )
        caution_of_size(x, low, high)
        end = to_host(self.noising.gamma(np.ones_like(x, shape=(1,))))
        left = 1 / (1 + math.exp(float(end[0])))  # α_1²
        if left >= SIGNAL_LEFT:
            audit.caution(
                f"at t = 1 a share {left:.4f} of the data's variance is left: sampling begins at "
                "noise that training never sees; a greater γ(1) leaves less",
                DiffusionWarning,
            )

    def _sample_shape(self) -> tuple[int, ...]:
        return self.shape

    def _one_pass(self, x: Array) -> None:
        self.network(x, np.ones_like(x, shape=(1,)))

    def _gamma(self, t: Array) -> Any:
        """Return γ(t) in a shape that multiplies samples."""
        return self.gamma(t).reshape(len(t), *(1 for _ in self.shape))

    def _rate(self, t: Array, gamma: Any) -> Any:
        """T (e^{γ(t) − γ(s)} − 1), or γ′(t)."""
        if self.T is None:
            ends = self.gamma(np.arange(2, dtype=t.dtype, like=t))
            return (ends[1] - ends[0]) + 0 * t
        rise = gamma - self._gamma(t - 1 / self.T)
        # e^d − 1 = tanh(d/2) (e^d + 1) keeps its digits where d is small.
        return self.T * ops.tanh(0.5 * rise) * (ops.exp(rise) + 1)

    def _times(self, n: int, rng: Generator, like: Array) -> Array:
        """Antithetic times, (n,): from 0 to 1, or i/T for i = 1 … T."""
        check_generator(rng)
        t = np.mod(rng.random(1) + np.arange(n, like=like) / n, 1)
        if self.T is not None:
            t = np.minimum(np.floor(t * self.T) + 1, self.T) / self.T
        return t.astype(like.dtype)

    def _levels_like(self, z: Any) -> Array:
        """Return the levels f_k on the device and in the dtype of z."""
        return to_device(np.array(self.levels, dtype=z.dtype), device_of(_data(z)))

    def _mean(self, log_p: Any) -> Any:
        """Σ_k f_k p_k, over the last axis."""
        return (ops.exp(log_p) * self._levels_like(log_p)).sum(axis=-1)


def dense(
    shape: Sequence[int],
    n_hidden: int,
    rng: Generator,
    gamma: Sequence[float] | Literal["learned"] = (LOW, HIGH),
    T: int | None = None,
    levels: int | Sequence[float] | Array | None = None,
    data: Array | None = None,
) -> VDM:
    """Return a VDM whose network is a :class:`TimedMLP`.

    With ``levels`` and ``data``, the logits start as the :func:`log_histogram` of the data. The
    initial model denoises each entry by itself, exactly.
    """
    D, K = math.prod(shape), 1 if levels is None else len(_levels(levels))
    network = TimedMLP(D, n_hidden, D * K, rng=rng)
    model = VDM(network, shape, gamma, T, levels)
    if levels is not None and data is not None:
        logits = log_histogram(data, model.levels or ()).reshape(-1)
        network.out.load_state_dict({**network.out.state_dict(), "bias": logits})
    return model


def log_histogram(x: Array, levels: Sequence[float]) -> Array:
    """log of the share of each level in each entry, with 1 added to all counts: (…, K)."""
    index = nearest(x, levels)
    counts = np.stack([(index == k).sum(axis=0) + 1 for k in range(len(levels))], axis=-1)
    return np.log(counts / (len(x) + len(levels)))


def nearest(x: Array, levels: Sequence[float]) -> Array:
    """Return the index of the level nearest to each entry, in the shape of x."""
    f = np.array(levels, dtype=x.dtype)
    return np.searchsorted(to_device(0.5 * (f[1:] + f[:-1]), device_of(x)), x)


def _levels(levels: int | Sequence[float] | Array) -> tuple[float, ...]:
    """Return the levels as increasing numbers; ``ValueError`` for fewer than two levels."""
    if np.ndim(levels) == 0:
        values = np.linspace(-1, 1, operator.index(levels))  # type: ignore[arg-type]
    else:
        values = np.asarray(levels, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
        raise ValueError(f"levels are at least two values, rising, or their number, got {levels}")
    return tuple(values.tolist())


def _scales(gamma: Any) -> tuple[Any, Any]:
    """α_t = √σ(−γ) and σ_t = √σ(γ), with the logistic function σ; recorded if γ is learned."""
    return ops.sqrt(ops.sigmoid(-gamma)), ops.sqrt(ops.sigmoid(gamma))


def _data(x: Any) -> Array:
    """Return the array of a tensor, or the array itself."""
    return x.data if isinstance(x, Tensor) else x


def _per_sample(x: Any) -> Any:
    """The sum over all axes but the first: (n,)."""
    return x.reshape(x.shape[0], math.prod(x.shape[1:])).sum(axis=1)
