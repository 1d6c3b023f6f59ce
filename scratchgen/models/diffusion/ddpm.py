r"""Denoising diffusion: a model that makes images from noise by removing it step by step.

The forward process is fixed (the notes say once that a network is trained for it, erratum E12). In
T steps it shrinks an image a little and adds a little noise,

    q(x_t | x_{t−1}) = N(√α_t x_{t−1}, β_t I),   α_t = 1 − β_t,   t = 0 … T−1.

Time is counted from 0, as in the notes' code: x_t has been through t + 1 steps. The symbol x₀
always means the image itself, which comes before t = 0. With ᾱ_t = α_0 ⋯ α_t, several steps compose
to

    q(x_t | x₀) = N(√ᾱ_t x₀, (1 − ᾱ_t) I),   x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε,   ε ~ N(0, I).

By Bayes' rule the step back is Gaussian too, if x₀ is known:

    q(x_{t−1} | x_t, x₀) = N(μ̃_t, β̃_t I),   β̃_t = (1 − ᾱ_{t−1})/(1 − ᾱ_t) β_t,
    μ̃_t = [√ᾱ_{t−1} β_t x₀ + √α_t (1 − ᾱ_{t−1}) x_t]/(1 − ᾱ_t).

A network ε̂(x_t, t/T) predicts the noise, and hence x̂₀ = (x_t − √(1 − ᾱ_t) ε̂)/√ᾱ_t, which
replaces x₀. The generative model is the reverse chain from p(x_{T−1}) = N(0, I),

    p(x_{t−1} | x_t) = N(μ_t, σ_t² I),   μ_t = (x_t − β_t/√(1 − ᾱ_t) ε̂)/√α_t.

The evidence lower bound (:mod:`scratchgen.models.diffusion.bound`) has three terms. The prior
matching term, D_KL(q(x_{T−1}|x₀) ‖ p(x_{T−1})), is fixed by the schedule. The others are weighted
squared errors of ε̂. The training cost omits the weights: it is the mean squared error of ε̂ at a
random t.

With classes, ε̂(x_t, t/T, c) models p(x₀|c). Some labels are replaced by "none" in training, so that
the network models p(x₀) as well. *Guidance* of weight w then moves ε̂ away from p(x₀),

    ε̃ = (1 + w) ε̂(c) − w ε̂(none),

where w = 0 is p(x₀|c), and w = −1 is p(x₀); Ho and Salimans write w for this w, other authors for
1 + w. Samples become more typical of the class, and more alike. They are not distributed as
p(x₀) p(c|x₀)^{1+w}: ε̃ is the score of p(x_t) p(c|x_t)^{1+w} at each t, but these densities are not
the noised versions of one another.

Sources: the notes, "Variational Diffusion Models" to "Sampling (Reverse Diffusion)"; Ho, Jain and
Abbeel, arXiv:2006.11239; Song, Meng and Ermon (DDIM), arXiv:2010.02502; Ho and Salimans
(guidance), arXiv:2207.12598.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Yields
from typing import Any, Literal, TypeAlias

import numpy as np

from ... import nn, optim
from ... import operations as ops
from ...autodiff import Rule, Tensor, differentiable, gradient
from ...backend import Array, Generator, check_generator, device_of
from ...distributions import Gaussian
from ...parallel import by_parts, even_parts
from .. import conditions
from . import audit, bound, likelihood
from .audit import DiffusionWarning as DiffusionWarning
from .denoisers import PlainDenoiser, UNet
from .noising import Noising, Steps, schedule_of

Prediction: TypeAlias = tuple[Array, Array]
"""x̂₀ and ε̂."""
Hook: TypeAlias = Callable[[Array, int, int, Callable[..., Array]], Array]
"""``hook(x_t, t, s, back)`` gives the x_s of a step, from ``back(x_t, t, s, predicted=None)``."""

PART = 9600
"""The size of a part for convolutions, in numbers of its samples: as many as a cache holds."""


class DDPM(nn.Network):
    """p(x₀) = ∫ p(x_{T−1}) ∏ p(x_{t−1}|x_t), over all x_t: noise, denoised in T steps.

    ``network(x, t/T)`` maps samples (n, …) and times (n,) to the noise in them. If it has an
    argument ``rng``, training passes one. It must treat each sample independently. ``shape`` is the
    shape of a sample. Samples should be scaled to a variance of about 1: images to [−1, 1].

    - ``schedule``: the variances β, ``"linear"`` or ``"cosine"`` over ``T`` steps, or an array of
      them, (T,);
    - ``predicts``: whether the network predicts the noise ε, or the ``"velocity"``
      v = √ᾱ_t ε − √(1 − ᾱ_t) x₀. Both carry the same information, ε̂ = √(1 − ᾱ_t) x_t + √ᾱ_t v̂;
      where x_t is nearly all noise, −v is nearly the image (Salimans and Ho 2022, section 4);
    - ``variance``: σ_t² = β_t (``"beta"``), right for data that are N(0, I), or σ_t² = β̃_t
      (``"posterior"``), right for data of one point; the truth lies between (Ho et al. 2020, 3.2);
    - ``clip``: the range to which x̂₀ is clipped in each step back, as ``(-1, 1)``; or ``None``;
    - ``n_classes``: the number K of classes, or ``None``. With classes, data are pairs (x, labels),
      and the network is called as ``network(x, t/T, labels)``, with integers from 0 to K; label K
      is "none". Training replaces a share ``label_dropout`` of the labels by it.
    """

    labels: Any = None
    """The labels of the samples that the chain denoises; None stands for "none"."""
    guidance = 0.0
    """The weight w of the guidance."""

    def __init__(
        self,
        network: Any,
        shape: Sequence[int],
        T: int = 300,
        schedule: Literal["linear", "cosine"] | Sequence[float] | Array = "linear",
        variance: Literal["beta", "posterior"] = "beta",
        predicts: Literal["noise", "velocity"] = "noise",
        clip: Sequence[float] | None = None,
        n_classes: int | None = None,
        label_dropout: float = 0.1,
    ) -> None:
        if variance not in ("beta", "posterior"):
            raise ValueError(f"variance is 'beta' or 'posterior', got {variance!r}")
        if predicts not in ("noise", "velocity"):
            raise ValueError(f"predicts is 'noise' or 'velocity', got {predicts!r}")
        if clip is not None and (len(clip) != 2 or not clip[0] < clip[1]):
            raise ValueError(f"clip is a range (low, high), or None, got {clip}")
        self.n_classes = conditions.checked_number(n_classes)
        if not 0 <= label_dropout <= 1:
            raise ValueError(f"label_dropout is a share from 0 to 1, got {label_dropout}")
        self.label_dropout = label_dropout
        beside = {"time": "t/T"} if n_classes is None else {"time": "t/T", "label": "labels"}
        self._takes_rng = conditions.takes_rng(network, **beside)
        self.network, self.shape = network, tuple(map(operator.index, shape))
        self.noising = Steps(schedule_of(schedule, T))
        self.T, self.schedule = self.noising.T, schedule
        self.variance, self.predicts = variance, predicts
        self.clip = None if clip is None else (float(clip[0]), float(clip[1]))

    @property
    def beta(self) -> Array:
        """β_t, the variance that step t adds: (T,)."""
        return self.noising.beta

    @property
    def alpha(self) -> Array:
        """α_t = 1 − β_t: (T,)."""
        return self.noising.alpha

    @property
    def alpha_bar(self) -> Array:
        """ᾱ_t = α_0 ⋯ α_t, the share of the data's variance that remains in x_t: (T,)."""
        return self.noising.alpha_bar

    @property
    def sigma(self) -> Array:
        """σ_t, the standard deviation of p(x_{t−1}|x_t), (T,): 0 at the last step, t = 0."""
        variance = self.beta if self.variance == "beta" else self.noising.posterior_variance
        return np.sqrt(np.concatenate([[0.0], variance[1:]]))

    def q_sample(self, x0: Array, t: Any, noise: Array) -> Array:
        """x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε, which is distributed as q(x_t|x₀) for ε ~ N(0, I).

        Here and below t is an integer from 0 to T − 1, or one integer for each sample, (n,).
        """
        return self.noising.q_sample(x0, self.noising.times(t, x0), noise)

    def loss(
        self, x0: Array, t: Any, noise: Array, rng: Generator | None = None, labels: Any = None
    ) -> Any:
        """C = mean (ε̂(x_t, t/T) − ε)², over the samples and their entries, as in the notes.

        For a network that predicts v, it is the mean of (v̂ − v)² = (ε̂ − ε)²/ᾱ_t. Source: Ho et
        al. 2020, eq. 14. ``rng`` is passed to a network with dropout. ``labels`` of a model with
        classes are integers, (n,), or None for "none".
        """
        return self.errors(x0, t, noise, rng, labels).mean()

    def errors(
        self, x0: Array, t: Any, noise: Array, rng: Generator | None = None, labels: Any = None
    ) -> Any:
        """The squared error of the network's prediction, averaged over each sample: (n,)."""
        t = self.noising.times(t, x0)
        out = self.output(self.noising.q_sample(x0, t, noise), t, rng, labels)
        target = noise if self.predicts == "noise" else self.noising.velocity(x0, noise, t)
        return ops.squared_error(out, target) * (2 / math.prod(x0.shape[1:]))

    def output(self, xt: Any, t: Any, rng: Generator | None = None, labels: Any = None) -> Any:
        """The output of the network for x_t at t/T, where t need not be an integer.

        ``labels`` are integers, or None for "none".
        """
        like = xt.data if isinstance(xt, Tensor) else xt
        time = np.zeros(len(like), like.dtype, like=like)
        time += t / self.T
        of_samples = self._checked(labels, like)
        return self.network(xt, time, *of_samples, **({"rng": rng} if self._takes_rng else {}))

    def conditioned_on(self, labels: Any = None, guidance: float = 0.0) -> DDPM:
        """The same model, whose chain and bound are those of p(x₀|c) for n samples with ``labels``.

        Without labels they are those of p(x₀). With ``guidance`` w, the chain steps with
        ε̃ = (1 + w) ε̂(c) − w ε̂(none): w = 0 is no guidance. Then the samples do not have a density
        that could be stated: see above.
        """
        if not math.isfinite(guidance):
            raise ValueError(f"guidance is a number w, 0 for none, got {guidance}")
        if guidance and labels is None:
            raise ValueError(f"guidance towards a class takes labels, got w = {guidance:g} alone")
        twin = copy.copy(self)
        twin.labels, twin.guidance = labels, guidance
        return twin

    def guided(self, xt: Any, t: Any, labels: Any = None) -> Any:
        """(1 + w) f(x_t, c) − w f(x_t, none), with the output f of the network.

        The weights add up to 1, and v is an affine function of ε, so that the combination of v̂
        belongs to that of ε̂.
        """
        w, out = self.guidance, self.output(xt, t, labels=labels)
        return out if w == 0 else (1 + w) * out - w * self.output(xt, t)

    def predict(self, xt: Array, t: Any) -> Prediction:
        """x̂₀ = (x_t − √(1 − ᾱ_t) ε̂)/√ᾱ_t, clipped if ``clip`` is set, and the matching ε̂."""
        t, frozen, noising = self.noising.times(t, xt), self.frozen(), self.noising
        labels = self._checked(self.labels, xt)

        def output(part: slice) -> Array:
            time = t if np.ndim(t) == 0 else t[part]
            return frozen.guided(xt[part], time, *(c[part] for c in labels))

        parts = even_parts(len(xt), self.part_size or len(xt))
        out = by_parts(output, parts, self.parameters())
        if self.predicts == "velocity":
            x0, eps = noising.of_velocity(xt, out, t)
        else:
            x0, eps = noising.data(xt, out, t), out
        return (x0, eps) if self.clip is None else self.clipped(xt, x0, t)

    def clipped(self, xt: Array, x0: Array, t: Any) -> Prediction:
        """x̂₀ = ``x0``, clipped if ``clip`` is set, and ε̂ = (x_t − √ᾱ_t x̂₀)/√(1 − ᾱ_t)."""
        x0 = x0 if self.clip is None else np.clip(x0, *self.clip)
        return x0, self.noising.noise(xt, x0, t)

    def denoised(self, xt: Tensor, t: Any, noising: Noising | None = None) -> Tensor:
        """x̂₀(x_t) as an operation of x_t alone, not clipped: the weights are constants in it.

        ``noising`` gives the scales of x_t for a time t that is no integer: a
        :class:`~scratchgen.models.diffusion.noising.Continued`.
        """
        recorded: Tensor = denoised(xt, model=self, t=t, noising=noising or self.noising)
        return recorded

    def p_sample(
        self, xt: Array, t: Any, noise: Array | None = None, predicted: Prediction | None = None
    ) -> Array:
        """x_{t−1} = (x_t − β_t/√(1 − ᾱ_t) ε̂)/√α_t + σ_t z; without ``noise`` z, the mean.

        At t = 0 no noise is added. ``predicted`` is the result of :meth:`predict`, if it is known.
        Source: Ho et al. 2020, algorithm 2.
        """
        t = self.noising.times(t, xt)
        _, eps = predicted or self.predict(xt, t)
        share = self._at(self.beta / np.sqrt(1 - self.alpha_bar), t, xt)
        mean = (xt - share * eps) / self._at(np.sqrt(self.alpha), t, xt)
        return mean if noise is None else mean + self._at(self.sigma, t, xt) * noise

    def p_sample_ddim(
        self,
        xt: Array,
        t: Any,
        t_previous: Any,
        eta: float = 0,
        noise: Array | None = None,
        predicted: Prediction | None = None,
    ) -> Array:
        """x_s = √ᾱ_s x̂₀ + √(1 − ᾱ_s − σ²) ε̂ + σ z, from time t to any earlier s = ``t_previous``.

        σ² = η² (1 − ᾱ_s)/(1 − ᾱ_t) (1 − ᾱ_t/ᾱ_s); s = −1 is the image, where ᾱ_s = 1 and σ = 0.
        With η = 0 the step is deterministic. With η = 1 and s = t − 1 its mean is the mean of
        :meth:`p_sample`, and its variance is β̃_t. Without ``noise`` z, the result is the mean.
        Source: Song et al. 2021, eqs. 12 and 16.
        """
        if not 0 <= eta <= 1:
            raise ValueError(f"eta is from 0 (deterministic) to 1 (as in DDPM), got {eta}")
        t, s = self.noising.times(t, xt), self.noising.times(t_previous, xt, first=-1)
        if device_of(xt) == "cpu" and not np.all(np.less(s, t)):
            raise ValueError(f"t_previous is before t, got {t_previous} and {t}")
        x0, eps = predicted or self.predict(xt, t)
        now, then = self.noising.left(t, xt), self.noising.left(s, xt)
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
        hook: Hook | None = None,
    ) -> Iterator[tuple[int, Array]]:
        """Yield (t, x_t) along the reverse chain, from the noise x ~ N(0, I) to images at t = −1.

        The default is ancestral sampling by :meth:`p_sample` through all times. With ``steps`` or
        ``eta`` (whose default is then 0) it is :meth:`p_sample_ddim`: an integer ``steps`` gives
        that many times, evenly spaced down from T − 1, and a list gives the times themselves, in
        any order.

        A ``hook`` stands between two states: it is called as ``hook(x_t, t, s, back)`` and returns
        x_s, where ``back(x_t, t, s)`` is the step of this chain. It may change what that returns,
        or call it several times.
        """
        check_generator(rng)
        ddim, model = not (steps is None and eta is None), self.frozen()
        times = self.noising.timesteps(self.T if steps is None else steps)

        def back(x: Array, t: int, s: int, predicted: Prediction | None = None) -> Array:
            # No noise is drawn for the last step, which adds none, nor where η = 0.
            drawn = s >= 0 and (eta or not ddim)
            z = rng.standard_normal(x.shape, dtype=x.dtype) if drawn else None
            if ddim:
                return model.p_sample_ddim(x, t, s, eta or 0, z, predicted)
            return model.p_sample(x, t, z, predicted)

        yield times[0], x
        for t, s in zip(times, [*times[1:], -1], strict=True):
            x = back(x, t, s) if hook is None else hook(x, t, s, back)
            yield s, x

    def sample(
        self,
        n: int,
        rng: Generator,
        steps: int | Sequence[int] | None = None,
        eta: float | None = None,
        labels: Any = None,
        guidance: float = 0.0,
    ) -> Array:
        """Return n samples, (n, *shape): the end of :meth:`denoise`, by ancestral steps or DDIM.

        ``labels`` and ``guidance`` are those of :meth:`conditioned_on`: integers, (n,), or one for
        all, and the weight w in ε̃ = (1 + w) ε̂(c) − w ε̂(none).
        """
        model = self.conditioned_on(labels, guidance)
        model._checked(labels, np.empty(n))
        noise = Gaussian.standard((n, *self.shape), self.dtype, rng)
        for _, x in model.denoise(noise, rng, steps, eta):
            samples = x
        return samples

    def elbo_terms(self, x0: Array, rng: Generator) -> tuple[Array, Array, Array]:
        """Reconstruction, prior matching, denoising, (n,) nats each: −ELBO(x₀) is their sum."""
        return bound.elbo_terms(self, x0, rng)

    def bits_per_dim(self, x0: Array, rng: Generator) -> Array:
        """−ELBO(x₀)/(D log 2), (n,), for a density of D numbers on the scale of x₀."""
        return bound.bits_per_dim(self, x0, rng)

    def log_likelihood(self, x0: Array, n_samples: int, rng: Generator) -> Array:
        """log (1/L) Σₗ p(x₀, x⁽ˡ⁾)/q(x⁽ˡ⁾|x₀) over L = ``n_samples`` noised paths: (n,) nats.

        This is the importance-weighted bound of :mod:`scratchgen.models.diffusion.likelihood`.
        """
        return likelihood.importance_weighted(self, x0, n_samples, rng)

    def flow_log_likelihood(
        self,
        x0: Array,
        probes: int | None = None,
        rng: Generator | None = None,
        tolerance: float = 1e-5,
    ) -> Array:
        """log p(x₀) of the probability flow, (n,) nats: that of the deterministic chain.

        The trace in it is exact without ``probes``, else an estimate from that many of them; see
        :func:`scratchgen.models.diffusion.likelihood.flow_log_likelihood`.
        """
        return likelihood.flow_log_likelihood(self, x0, probes, rng, tolerance)

    @property
    def players(self) -> list[list[Tensor]]:
        """One player, the network."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Return Adam with a learning rate of 2 · 10⁻⁴."""
        return [optim.Adam(self.parameters(), lr=2e-4)]

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, None]:
        """Yield the cost at uniformly drawn times, with noise from N(0, I)."""
        x, *labels = conditions.parted(x, self.n_classes, "a DDPM")
        t = rng.integers(0, self.T, size=len(x))
        noise = rng.standard_normal(x.shape, dtype=x.dtype)
        share, none = self.label_dropout, self.n_classes
        labels = [conditions.dropped(c, share, none, rng) for c in labels]
        yield self.loss(x, t, noise, rng, *labels)

    @property
    def part_size(self) -> int | None:
        """The number of samples per part; small for convolutions on the host, else None."""
        weights = [p for p in self.parameters() if p.ndim == 4 and device_of(p.data) == "cpu"]
        return max(PART // math.prod(self.shape), 1) if weights else None

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the parameters of the network, under its own names."""
        if isinstance(self.network, nn.Network):
            yield from self.network.named_parameters()

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data or a network that do not fit; warn of other problems.

        A :class:`DiffusionWarning` names the problem that will keep the model from learning: see
        :mod:`scratchgen.models.diffusion.audit`.
        """
        x, *_ = conditions.checked_data(x, self.n_classes, "a DDPM")
        audit.check(self, x)

    def _sample_shape(self) -> tuple[int, ...]:
        return self.shape

    def _one_pass(self, x: Array) -> None:
        self.output(x, self.T - 1)

    def _checked(self, labels: Any, x: Array) -> list[Array]:
        """The labels of samples x, "none" where they are not given, as a list."""
        return conditions.checked(labels, len(x), self.n_classes, True, device_of(x))

    def _at(self, table: Array, t: Any, like: Array) -> Array:
        """table[t] in the precision of ``like``."""
        return self.noising.at(table, t, like).astype(like.dtype)


@differentiable
def denoised(xt: Array, *, model: DDPM, t: Any, noising: Noising) -> Rule:
    """x̂₀(x_t), not clipped, with the equation δ ↦ (∂x̂₀/∂x_t)ᵀ δ of the network, part by part.

    The network is recorded with frozen weights, so that the equation is one backward sweep through
    it, in which no equation of a weight is called.
    """
    frozen, parts = model.frozen(), even_parts(len(xt), model.part_size or len(xt))
    labels = model._checked(model.labels, xt)
    recorded: dict[int, tuple[Tensor, Tensor]] = {}

    def forward(part: slice) -> Array:
        x, time = Tensor(xt[part]), t if np.ndim(t) == 0 else t[part]
        out = frozen.guided(x, time, *(c[part] for c in labels))
        if model.predicts == "velocity":
            x0, _ = noising.of_velocity(x, out, time)
        else:
            x0 = noising.data(x, out, time)
        recorded[part.start] = x, x0
        return x0.data

    def back(delta: Array) -> Array:
        def share(part: slice) -> Array:
            x, x0 = recorded[part.start]
            return gradient(x0, [x], delta[part])[0]

        return by_parts(share, parts, model.parameters())

    return by_parts(forward, parts, model.parameters()), (back,)


def lecture(rng: Generator) -> tuple[DDPM, list[optim.Optimizer]]:
    """The notes' model of MNIST on [−1, 1], T = 300, linear β; Adam at 2 · 10⁻⁴, batches of 128."""
    model = DDPM(PlainDenoiser(rng=rng), (1, 28, 28))
    return model, model.default_optimizers()


def with_unet(shape: Sequence[int], rng: Generator, width: int = 32, T: int = 300) -> DDPM:
    """A DDPM for images on [−1, 1], with a small U-Net that predicts v.

    Its schedule is the cosine schedule, σ² = β̃, and x̂₀ is clipped to [−1, 1].
    """
    network = UNet(shape[0], width, rng=rng)
    return DDPM(network, shape, T, "cosine", "posterior", "velocity", (-1, 1))
