r"""Denoising diffusion: images that are made from noise by undoing, step by step, its addition.

The forward process is fixed (the notes say once that a network is trained for it, erratum E12): in
T steps it shrinks an image a little and adds a little noise,

    q(x_t | x_{t−1}) = N(√α_t x_{t−1}, β_t I),   α_t = 1 − β_t,   t = 0 … T−1.

Time is counted from 0, as in the notes' code: x_t has been through t + 1 steps, and what comes
before t = 0 is the image, for which x₀ is kept as its name. Steps compose, with ᾱ_t = α_0 ⋯ α_t, to

    q(x_t | x₀) = N(√ᾱ_t x₀, (1 − ᾱ_t) I),   x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε,   ε ~ N(0, I).

By Bayes' rule the step back is Gaussian too, if x₀ is known:

    q(x_{t−1} | x_t, x₀) = N(μ̃_t, β̃_t I),   β̃_t = (1 − ᾱ_{t−1})/(1 − ᾱ_t) β_t,
    μ̃_t = [√ᾱ_{t−1} β_t x₀ + √α_t (1 − ᾱ_{t−1}) x_t]/(1 − ᾱ_t).

A network ε̂(x_t, t/T) predicts the noise, and with it x̂₀ = (x_t − √(1 − ᾱ_t) ε̂)/√ᾱ_t, which stands
in for x₀. The generative model is the chain back from p(x_{T−1}) = N(0, I),

    p(x_{t−1} | x_t) = N(μ_t, σ_t² I),   μ_t = (x_t − β_t/√(1 − ᾱ_t) ε̂)/√α_t.

Of the evidence lower bound three terms remain. D_KL(q(x_{T−1}|x₀) ‖ p(x_{T−1})), the prior
matching, is fixed by the schedule: ``prior_kl``. The others are weighted squared errors of ε̂; the
cost that is trained on drops the weights: the mean squared error of ε̂ at a random t.

Sources: the notes, "Variational Diffusion Models" to "Sampling (Reverse Diffusion)"; Ho, Jain and
Abbeel, arXiv:2006.11239; Song, Meng and Ermon (DDIM), arXiv:2010.02502; Nichol and Dhariwal (cosine
schedule), arXiv:2102.09672.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Generator as Yields
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np

from .. import nn, optim
from .. import operations as ops
from ..accumulation import mean_over_parts
from ..autodiff import Tensor, ancestry
from ..backend import Array, Generator, check_generator, device_of, generator, to_device, to_host
from ..datasets import layout
from ..parallel import by_parts, even_parts
from ..training import TrainingWarning
from . import audit
from .unet import PlainDenoiser, UNet

D = TypeVar("D", bound="DDPM")


class DiffusionWarning(TrainingWarning):
    """What will keep a diffusion model from learning its data, found before training."""


class DDPM(nn.Network):
    """p(x₀) = ∫ p(x_{T−1}) ∏ p(x_{t−1}|x_t), over all x_t: noise, denoised in T steps.

    ``network(x, t/T)`` maps samples (n, …) and times (n,) to the noise in them; if it takes a third
    argument, that is the rng, in training only. It acts on each sample alone: one that convolves is
    given few at a time on the host, on several threads. ``shape`` is that of a sample. Samples are
    scaled to variance about 1: images to [−1, 1].

    - ``schedule``: β of :func:`linear_schedule` or :func:`cosine_schedule`;
    - ``predicts``: whether the network's output is the noise ε itself, or the ``"velocity"``
      v = √ᾱ_t ε − √(1 − ᾱ_t) x₀, which tells as much, ε̂ = √(1 − ᾱ_t) x_t + √ᾱ_t v̂, and where x_t is
      nearly all noise is nearly the image (Salimans and Ho 2022, section 4);
    - ``variance``: σ_t² = β_t (``"beta"``), right for data that are N(0, I), or σ_t² = β̃_t
      (``"posterior"``), right for data of one point; the truth lies between (Ho et al. 2020, 3.2);
    - ``clip``: the range that x̂₀ is clipped to, as ``(-1, 1)``, in each step back; or ``None``;
    - ``ema`` m: sampling uses θ̄ = Σ mᵏ⁻ⁱ θᵢ / Σ mᵏ⁻ⁱ, the moving average of the weights of all
      steps i = 0 … k so far, where the initial ones are weighed as others are; with 0, the weights.
    """

    def __init__(
        self,
        network: Any,
        shape: Sequence[int],
        T: int = 300,
        schedule: Literal["linear", "cosine"] = "linear",
        variance: Literal["beta", "posterior"] = "beta",
        predicts: Literal["noise", "velocity"] = "noise",
        clip: Sequence[float] | None = None,
        ema: float = 0.0,
    ) -> None:
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule is 'linear' or 'cosine', got {schedule!r}")
        if variance not in ("beta", "posterior"):
            raise ValueError(f"variance is 'beta' or 'posterior', got {variance!r}")
        if predicts not in ("noise", "velocity"):
            raise ValueError(f"predicts is 'noise' or 'velocity', got {predicts!r}")
        if operator.index(T) < 1:
            raise ValueError(f"T is at least 1 step, got {T}")
        if T > MOST_STEPS:
            raise ValueError(f"T is at most {MOST_STEPS:,} steps, got {T:,}")
        if clip is not None and (len(clip) != 2 or not clip[0] < clip[1]):
            raise ValueError(f"clip is a range (low, high), or None, got {clip}")
        if not 0 <= ema < 1:
            raise ValueError(f"ema is a share of the average with 0 ≤ ema < 1, got {ema}")
        if not callable(network):
            raise TypeError(f"the network is called with (x, t/T), got {type(network).__name__}")
        self.network, self.shape = network, tuple(map(operator.index, shape))
        self.T, self.schedule, self.ema = operator.index(T), schedule, ema
        self.variance, self.predicts = variance, predicts
        self.clip = None if clip is None else (float(clip[0]), float(clip[1]))
        self.beta = SCHEDULES[schedule](self.T)
        self.alpha = 1 - self.beta
        self.alpha_bar = np.cumprod(self.alpha)
        names = _positions(network)
        if len(names) < 2 or names[1] == "rng":
            raise TypeError(
                f"the network is called with (x, t/T), {type(network).__name__} takes "
                f"({', '.join(names)}): it knows no time"
            )
        self._takes_rng = len(names) > 2
        self._convolves = any(p.ndim == 4 for p in self.parameters())
        self._layout: list[tuple[str, slice, tuple[int, ...]]] = []
        if ema:
            if not self.parameters():
                raise ValueError("ema averages parameters, and the network has none")
            self.buffers, self.average = ("average",), (1 - ema) * self._theta()
            places, start = {}, 0
            for p in self.parameters():
                places[p] = slice(start, start + p.size)
                start += p.size
            self._layout = [(name, places[p], p.shape) for name, p in self.named_parameters()]

    @property
    def posterior_variance(self) -> Array:
        """β̃_t = (1 − ᾱ_{t−1})/(1 − ᾱ_t) β_t, the variance of q(x_{t−1}|x_t, x₀): (T,)."""
        before = np.concatenate([[1.0], self.alpha_bar[:-1]])
        return (1 - before) / (1 - self.alpha_bar) * self.beta

    @property
    def sigma(self) -> Array:
        """σ_t, the standard deviation of p(x_{t−1}|x_t), (T,): the last step, t = 0, adds none."""
        variance = self.beta if self.variance == "beta" else self.posterior_variance
        return np.sqrt(np.concatenate([[0.0], variance[1:]]))

    def q_sample(self, x0: Array, t: Any, noise: Array) -> Array:
        """x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε, which is distributed as q(x_t|x₀) where ε ~ N(0, I).

        Here and below t is an integer, or one for each sample, (n,), from 0 to T − 1.
        """
        t = self._times(t, x0)
        signal, spread = self._scales(t, x0)
        return signal * x0 + spread * noise

    def loss(self, x0: Array, t: Any, noise: Array, rng: Generator | None = None) -> Any:
        """C = mean (ε̂(x_t, t/T) − ε)²: over samples and over the entries of each, as in the notes.

        Of a network that predicts v, the mean of (v̂ − v)² = (ε̂ − ε)²/ᾱ_t. Source: Ho et al. 2020,
        eq. 14. ``rng`` is for a network with dropout.
        """
        return self.errors(x0, t, noise, rng).mean()

    def errors(self, x0: Array, t: Any, noise: Array, rng: Generator | None = None) -> Any:
        """The squared error of what the network predicts, averaged over each sample: (n,)."""
        t = self._times(t, x0)
        out = self._output(self.q_sample(x0, t, noise), t, rng)
        target = noise
        if self.predicts == "velocity":
            signal, spread = self._scales(t, x0)
            target = signal * noise - spread * x0
        return ops.squared_error(out, target) * (2 / math.prod(x0.shape[1:]))

    def predict(self, xt: Array, t: Any) -> tuple[Array, Array]:
        """x̂₀ = (x_t − √(1 − ᾱ_t) ε̂)/√ᾱ_t, clipped if that was chosen, and the ε̂ that it leaves."""
        t, network = self._times(t, xt), self.frozen()

        def output(part: slice) -> Array:
            out: Array = network._output(xt[part], t if np.ndim(t) == 0 else t[part])
            return out

        out = by_parts(output, self._parts(xt), self.parameters())
        signal, spread = self._scales(t, xt)
        if self.predicts == "velocity":
            x0, eps = signal * xt - spread * out, spread * xt + signal * out
        else:
            x0, eps = (xt - spread * out) / signal, out
        if self.clip is not None:
            x0 = np.clip(x0, *self.clip)
            eps = (xt - signal * x0) / spread
        return x0, eps

    def p_sample(self, xt: Array, t: Any, noise: Array | None = None) -> Array:
        """x_{t−1} = (x_t − β_t/√(1 − ᾱ_t) ε̂)/√α_t + σ_t z; without ``noise`` z, the mean.

        Source: Ho et al. 2020, algorithm 2. At t = 0 the noise is left out.
        """
        t = self._times(t, xt)
        _, eps = self.predict(xt, t)
        share = _at(self.beta / np.sqrt(1 - self.alpha_bar), t, xt)
        mean = (xt - share * eps) / _at(np.sqrt(self.alpha), t, xt)
        return mean if noise is None else mean + _at(self.sigma, t, xt) * noise

    def p_sample_ddim(
        self, xt: Array, t: Any, t_previous: Any, eta: float = 0, noise: Array | None = None
    ) -> Array:
        """x_s = √ᾱ_s x̂₀ + √(1 − ᾱ_s − σ²) ε̂ + σ z, from time t to any earlier s = ``t_previous``.

        σ² = η² (1 − ᾱ_s)/(1 − ᾱ_t) (1 − ᾱ_t/ᾱ_s); s = −1 is the image, where ᾱ_s = 1 and σ = 0.
        With η = 0 the step is deterministic. With η = 1 and s = t − 1 its mean is that of
        :meth:`p_sample`, and its variance β̃_t. Without ``noise`` z, the mean.
        Source: Song et al. 2021, eqs. 12 and 16.
        """
        if not 0 <= eta <= 1:
            raise ValueError(f"eta is from 0 (deterministic) to 1 (as in DDPM), got {eta}")
        t, s = self._times(t, xt), self._times(t_previous, xt, least=-1)
        if device_of(xt) == "cpu" and not np.all(np.less(s, t)):
            raise ValueError(f"t_previous is before t, got {t_previous} and {t}")
        x0, eps = self.predict(xt, t)
        now = _exactly(self.alpha_bar, t, xt)
        then = _exactly(np.append(self.alpha_bar, 1.0), s, xt)  # its last entry is found at −1
        variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
        signal, spread = np.sqrt(then), np.sqrt(1 - then - variance)
        mean = signal.astype(xt.dtype) * x0 + spread.astype(xt.dtype) * eps
        return mean if noise is None else mean + np.sqrt(variance).astype(xt.dtype) * noise

    def denoise(
        self,
        x: Array,
        rng: Generator,
        steps: int | Sequence[int] | None = None,
        eta: float | None = None,
    ) -> Iterator[tuple[int, Array]]:
        """Yield (t, x_t) on the way from noise x ~ N(0, I), which comes first, to images, t = −1.

        Ancestral sampling by :meth:`p_sample` through all times, unless ``steps`` or ``eta`` (0 if
        not given) is: then :meth:`p_sample_ddim` through that many times, evenly spaced down from
        T − 1, or through those listed, in any order.
        """
        check_generator(rng)
        ddim, model = not (steps is None and eta is None), self.frozen()
        times = self.timesteps(self.T if steps is None else steps)
        yield times[0], x
        for t, s in zip(times, [*times[1:], -1], strict=True):
            # None is drawn for the last step, which has none, nor where η = 0.
            drawn = s >= 0 and (eta or not ddim)
            z = rng.standard_normal(x.shape, dtype=x.dtype) if drawn else None
            x = model.p_sample_ddim(x, t, s, eta or 0, z) if ddim else model.p_sample(x, t, z)
            yield s, x

    def timesteps(self, steps: int | Sequence[int]) -> list[int]:
        """Times from last to first: those listed, or S of them, T − 1 − ⌊k T/S⌋ for k = 0 … S − 1.

        They begin at T − 1, the only time at which x_t is noise alone. Source of the spacing: Lin
        et al. 2024, "Common diffusion noise schedules and sample steps are flawed", section 3.3.
        """
        if isinstance(steps, (int, np.integer)):
            if not 1 <= steps <= self.T:
                raise ValueError(f"steps is a number from 1 to T = {self.T}, got {steps}")
            return [self.T - 1 - k * self.T // int(steps) for k in range(steps)]
        times = sorted(map(operator.index, steps), reverse=True)
        if not times or len({*times}) < len(times) or times[0] >= self.T or times[-1] < 0:
            raise ValueError(f"steps lists times from 0 to {self.T - 1}, each once, got {steps}")
        return times

    def sample(
        self,
        n: int,
        rng: Generator,
        steps: int | Sequence[int] | None = None,
        eta: float | None = None,
    ) -> Array:
        """n samples, (n, *shape): the end of :meth:`denoise`, by ancestral sampling or DDIM."""
        check_generator(rng)
        dtype: Any = self.dtype
        noise = rng.standard_normal((n, *self.shape), dtype=dtype)
        for _, x in self.denoise(noise, rng, steps, eta):
            samples = x
        return samples

    @property
    def players(self) -> list[list[Tensor]]:
        """One player, the network."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Adam, with a learning rate of 2 · 10⁻⁴."""
        return [optim.Adam(self.parameters(), lr=2e-4)]

    def losses(self, x: Array, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """The cost at times drawn evenly and noise from N(0, I); then the average moves."""
        t = rng.integers(0, self.T, size=len(x))
        noise = rng.standard_normal(x.shape, dtype=x.dtype)
        parts = self._parts(x)
        seed = int(rng.integers(2**32)) if self._takes_rng and len(parts) > 1 else 0

        def cost(part: slice) -> Tensor:
            # Threads that shared a generator would take turns in an order of their own.
            whole = part.stop - part.start == len(x)
            of_part = rng if whole else generator(seed + part.start)
            loss: Tensor = self.loss(x[part], t[part], noise[part], of_part)
            return loss

        yield mean_over_parts(cost, parts, self.parameters())
        if self.ema:
            self.average *= self.ema
            self.average += (1 - self.ema) * self._theta()
        return {}

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Those of the network, by its own names."""
        if isinstance(self.network, nn.Network):
            yield from self.network.named_parameters()

    def frozen(self: D) -> D:
        """The model on plain arrays, with the averaged weights if it keeps an average."""
        twin = super().frozen()
        for name, place, shape in self._layout:
            *path, last = name.split(".")
            holder = functools.reduce(getattr, path, twin.network)
            setattr(holder, last, (self.average[place] / self.average[-1]).reshape(shape))
        return twin

    def prior_kl(self, x0: Array) -> Array:
        """D_KL(q(x_{T−1}|x₀) ‖ N(0, I)) = ½ [ᾱ ‖x₀‖² − D (ᾱ + log(1 − ᾱ))], ᾱ the last: (n,) nats.

        The prior matching term of the bound, of D numbers per sample. The notes call it effectively
        zero; with their schedule it is 19.3 for 784 pixels of magnitude 1 (erratum E13).
        """
        left = float(self.alpha_bar[-1])
        rows = x0.reshape(len(x0), -1)
        return 0.5 * (left * (rows * rows).sum(axis=1) - rows.shape[1] * (left + math.log1p(-left)))

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data, or a network, that does not fit; audit the rest.

        A :class:`DiffusionWarning` says where ᾱ_{T−1} ≥ 10⁻², so that the chain back begins at
        noise that the forward process does not reach; where the data are not of a size that noise
        of variance 1 drowns evenly; and where the network has a layer of fewer numbers than a
        sample, through which all that it knows of x_t must pass: of the noise, which has all
        directions alike, it can predict only so many.
        """
        audit.check_samples(x, "a DDPM", "x / 127.5 − 1")
        if x.shape[1:] != self.shape:
            rows = x.ndim < 4 and math.prod(x.shape[1:]) == math.prod(self.shape)
            cure = f"; take x.reshape(-1, {str(self.shape)[1:]}" if rows else ""
            raise ValueError(
                f"this DDPM takes samples of shape {self.shape}, got {x.shape[1:]}"
                f"{layout.advice(x.shape[1:]) or cure}; or build it for that shape"
            )
        if self.clip is not None:
            low, high = float(to_host(x.min())), float(to_host(x.max()))
            if low < self.clip[0] or high > self.clip[1]:
                raise ValueError(
                    f"clipped to {self.clip}, samples are not like data from {low:g} to {high:g}: "
                    "scale the data, or take another clip"
                )
        one = Tensor(x[:1])
        try:
            out = self._output(one, self.T - 1)
        except ValueError as error:
            raise ValueError(
                f"the network takes no samples of shape {self.shape}: {error}"
            ) from None
        if out.shape != one.shape:
            raise ValueError(
                f"the network gives {out.shape[1:]} for a sample of shape {self.shape}, expected "
                "the same: the noise in each number"
            )
        if isinstance(out, Tensor):
            expected = "the noise" if self.predicts == "noise" else "the velocity"
            audit.check_unconfined(out, "network", expected, "since noise has no bounds")
        low, high = float(to_host(x.min())), float(to_host(x.max()))
        size = float(to_host((x * x).mean(dtype=np.float64)))
        if 0 <= low < high <= 1 or not 0.1 <= size <= 10:
            audit.caution(
                f"the data run from {low:g} to {high:g}, with a mean square of {size:.3g}, where "
                "values on both sides of 0 with one of about 1 are assumed; 2x − 1 brings images "
                "on [0, 1] there, and (x − mean) / standard deviation other data",
                DiffusionWarning,
            )
        if self.alpha_bar[-1] >= SIGNAL_LEFT:
            nats = float(to_host(self.prior_kl(x).mean()))
            audit.caution(
                f"after the T = {self.T} steps of the {self.schedule} schedule a share ᾱ = "
                f"{self.alpha_bar[-1]:.4f} of the data's variance is left, and the prior matching "
                f"term is {nats:.3g} nats per sample: sampling begins at noise that training never "
                "sees; more steps or schedule='cosine' leave less",
                DiffusionWarning,
            )
        narrow = _narrowest(out, one) if isinstance(out, Tensor) else None
        if narrow is not None and narrow.size < one.size:
            audit.caution(
                f"all that the network knows of a sample of {one.size} numbers passes through "
                f"{narrow.size}, the {narrow.operation.__name__} of shape {narrow.shape[1:]}: of "
                "noise, which has all directions alike, it cannot predict more than that many; "
                "widen that layer, or let x_t past it by a skip",
                DiffusionWarning,
            )

    def _sample_shape(self) -> tuple[int, ...]:
        return self.shape

    def _one_pass(self, x: Array) -> None:
        self._output(x, self.T - 1)

    def _theta(self) -> Array:
        """All parameters in a row, then 1: averaged with them, it is what the weights add up to."""
        flat = [p.data.reshape(-1) for p in self.parameters()]
        return np.concatenate([*flat, np.ones_like(flat[0][:1])])

    def _scales(self, t: Any, like: Array) -> tuple[Array, Array]:
        """√ᾱ_t and √(1 − ᾱ_t)."""
        return _at(np.sqrt(self.alpha_bar), t, like), _at(np.sqrt(1 - self.alpha_bar), t, like)

    def _parts(self, x: Array) -> list[slice]:
        """The samples that go through the network at a time: few, on the host, if it convolves."""
        # With respect to a tensor of samples, no part alone knows the gradient.
        several = self._convolves and device_of(x) == "cpu" and not isinstance(x, Tensor)
        few = PART // math.prod(self.shape) if several else len(x)
        return even_parts(len(x), max(few, 1))

    def _output(self, xt: Any, t: Any, rng: Generator | None = None) -> Any:
        """What the network says of x_t at t/T."""
        like = xt.data if isinstance(xt, Tensor) else xt
        time = np.zeros(len(like), like.dtype, like=like)
        time += _at(np.arange(self.T) / self.T, t, time).astype(like.dtype)
        return self.network(xt, time, rng) if self._takes_rng else self.network(xt, time)

    def _times(self, t: Any, x: Array, least: int = 0) -> Any:
        """t as an integer, or as one for each sample of x, on its device; in range, on the host."""
        if np.ndim(t) == 0:
            t = operator.index(t)
            inside = least <= t < self.T
        else:
            t = to_device(t, device_of(x))
            if t.dtype.kind not in "iu" or t.shape != x.shape[:1]:
                raise ValueError(
                    f"t is an integer, or one for each of {len(x)} samples, got {t.dtype} of shape "
                    f"{t.shape}"
                )
            inside = device_of(t) != "cpu" or bool(((t >= least) & (t < self.T)).all())
        if not inside:
            raise ValueError(f"times run from {least} to T − 1 = {self.T - 1}, got {t}")
        return t


def linear_schedule(T: int) -> Array:
    """β_t from 10⁻⁴ to 0.02, evenly spaced, whatever T is: (T,). Source: Ho et al. 2020, 4."""
    return np.linspace(1e-4, 0.02, T)


def cosine_schedule(T: int) -> Array:
    """β_t = min(1 − f(t + 1)/f(t), 0.999),  f(t) = cos²((t/T + s)/(1 + s) π/2),  s = 0.008: (T,).

    So that ᾱ_t = f(t + 1)/f(0) but for the last steps. Source: Nichol and Dhariwal 2021, eq. 17,
    where time is counted from 1.
    """
    s = 0.008
    f = np.cos((np.arange(T + 1) / T + s) / (1 + s) * (math.pi / 2)) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


MOST_STEPS = 10_000  # each takes a place in the tables of β, α and ᾱ
SCHEDULES = {"linear": linear_schedule, "cosine": cosine_schedule}
PART = 9600  # numbers of the samples that go through convolutions together: what a cache holds
SIGNAL_LEFT = 1e-2  # ᾱ at the end from which on the prior is not taken to be matched


def lecture(rng: Generator) -> tuple[DDPM, list[optim.Optimizer]]:
    """The notes' model of MNIST on [−1, 1], T = 300, linear β; Adam at 2 · 10⁻⁴, batches of 128."""
    model = DDPM(PlainDenoiser(rng=rng), (1, 28, 28))
    return model, model.default_optimizers()


def with_unet(
    shape: Sequence[int], rng: Generator, width: int = 32, T: int = 300, ema: float = 0.999
) -> DDPM:
    """Images on [−1, 1] by a small U-Net that predicts v: cosine schedule, σ² = β̃, x̂₀ clipped."""
    network = UNet(shape[0], width, rng=rng)
    return DDPM(network, shape, T, "cosine", "posterior", "velocity", (-1, 1), ema)


def _exactly(table: Array, t: Any, like: Array) -> Array:
    """table[t] in double precision, in a shape that multiplies samples such as ``like``."""
    return to_device(table, device_of(like))[t].reshape(-1, *(1 for _ in like.shape[1:]))


def _at(table: Array, t: Any, like: Array) -> Array:
    """table[t] in the precision of ``like``."""
    return _exactly(table, t, like).astype(like.dtype)


def _positions(network: Any) -> list[str]:
    """The names of the arguments that a network can be given by position."""
    parameters = inspect.signature(network).parameters.values()
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in by_position]


def _narrowest(out: Tensor, x: Tensor) -> Tensor:
    """The smallest of the tensors that every way from x to ``out`` passes through.

    These are those for which (ways from x to it) · (ways from it to ``out``) is the number of all.
    """
    in_order = ancestry(out)
    from_x, to_out = dict.fromkeys([x, *in_order], 0), dict.fromkeys(in_order, 0)
    from_x[x] = to_out[out] = 1
    for tensor in in_order:
        from_x[tensor] += sum(from_x[i] for i in tensor.inputs if isinstance(i, Tensor))
    for tensor in reversed(in_order):
        for i in tensor.inputs:
            if isinstance(i, Tensor):
                to_out[i] += to_out[tensor]
    ways = from_x[out]
    passed = [tensor for tensor in in_order if from_x[tensor] * to_out[tensor] == ways]
    return min(passed, key=lambda tensor: tensor.size)
