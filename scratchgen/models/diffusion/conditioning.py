r"""Posteriors: a diffusion model p(x₀), multiplied by what is known of x₀.

Let y be known of an image, with the likelihood p(y|x₀): some of its pixels, local averages, its
class. The posterior p(x₀|y) ∝ p(x₀) p(y|x₀) is the end of a reverse chain whose score is

    ∇ log p(x_t|y) = ∇ log p(x_t) + ∇ log p(y|x_t),    p(y|x_t) = ∫ p(y|x₀) p(x₀|x_t) dx₀.

The network gives the first term. The integral is not known. There are two ways around it, and each
has a bias. The bias is known in closed form for T → ∞, an exact network, and x₀ = (k, u) of two
normal numbers of variance 1 and correlation ρ, or one such number.

*Replacement* (:func:`inpaint`, :func:`super_resolve`). After each step t → s of the chain for
p(x₀), the known part k is replaced by a draw of q(k_s|k). The rest u is drawn from p(u_s|x_t), in
which k_t is taken as if it were the noised version of any k; and the next replacement does not
listen to u. The result has

    E[u] = ρk/(1 + √(1 − ρ²)) in place of ρk,    Var[u] = (1 − ρ²) artanh(ρ)/ρ in place of 1 − ρ²,

however large T is. It helps to *resample*: go forward again by q(x_t|x_s), and back, r times in
all at each t. This makes Langevin steps of u at each level of noise, and the bias falls as 1/r.

*The gradient through x̂₀* (:func:`posterior`) takes p(y|x̂₀(x_t)) for p(y|x_t), and after each step
adds to x_s

    ζ_t ∇ log p(y|x̂₀(x_t)),    the gradient with respect to x_t, through the network.

As the mean of the chain is (x_t + β_t ∇ log p(x_t))/√α_t, the rule of Bayes has the weight
ζ_t = β_t/√α_t. What x̂₀ leaves uncertain is then neglected, so that y counts for too much: if y is
one number x₀ ~ N(0, 1) with noise of variance σ²,

    E[x₀] = y (1 − exp(−1/σ²)) in place of y/(1 + σ²),
    Var[x₀] = ½ σ² (1 − exp(−2/σ²)) in place of σ²/(1 + σ²).

Diffusion posterior sampling has a constant ζ instead. Its steps do not become smaller where β_t
does, and with log p = −‖y − Hx̂₀‖ (:func:`closeness`), a gradient that does not vanish near y, its
images fit y closely. They are no draws of the posterior: a constant ζ multiplies the nats of a
likelihood by ζ√α_t/β_t. In the example, x₀ = y without any variance is left as T → ∞, and from
ζ > 2σ² on the chain diverges.

Sources: the notes, whose list of what diffusion models allow has "easy multiplication with other
distributions, e.g. in order to compute a posterior"; Sohl-Dickstein et al., arXiv:1503.03585,
section 2.5; Lugmayr et al. (RePaint), arXiv:2201.09865, algorithm 1, whose step forward has
β_{t−1} for β_t; Choi et al. (ILVR, local averages), arXiv:2108.02938; Chung et al. (diffusion
posterior sampling), arXiv:2209.14687, algorithm 1.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import operations as ops
from ...autodiff import Rule, Tensor, differentiable, gradient
from ...backend import Array, Generator, check_generator, device_of, to_device
from ...distributions import Gaussian
from .ddpm import DDPM

Put = Callable[[Array, Array], Array]
"""``put(x, known)`` replaces the known part of x."""


def inpaint(
    model: DDPM,
    known: Array,
    mask: Any,
    rng: Generator,
    resample: int = 1,
    steps: int | None = None,
) -> Array:
    """Return ``known`` where ``mask`` is true, and a completion by replacement elsewhere: (n, …).

    ``known``: samples (n, …) on the scale of the model, arbitrary where ``mask`` is false. The mask
    has the shape of ``known``, or of one sample. ``resample`` is r, how often each step is taken.
    With ``steps`` the chain takes that many steps, by DDIM with η = 1.
    """
    known = _checked_known(model, known, model.shape, rng)
    mask = to_device(np.asarray(mask) if isinstance(mask, (list, bool)) else mask, device_of(known))
    if mask.dtype.kind != "b" or mask.shape not in (known.shape, model.shape):
        raise ValueError(
            f"a mask is true where samples are known, an array of bool of shape {model.shape} or "
            f"{known.shape}, got {mask.dtype} of shape {mask.shape}"
        )

    def put(x: Array, known: Array) -> Array:
        return np.where(mask, known, x)

    return _replaced(model, put(np.zeros_like(known), known), put, rng, resample, steps)


def super_resolve(
    model: DDPM,
    known: Array,
    factor: int,
    rng: Generator,
    resample: int = 1,
    steps: int | None = None,
) -> Array:
    """Return images whose averages over ``factor`` × ``factor`` pixels are ``known``: (n, …).

    ``known``: small images (n, channels, height, width) on the scale of the model. After each step
    the averages are replaced, and what differs from them in each square is kept.
    """
    shape = (model.shape[0], *(side // factor for side in model.shape[1:]))
    if len(shape) != 3 or any(side % factor for side in model.shape[1:]) or factor < 2:
        raise ValueError(
            f"factor divides the sides of images of shape {model.shape}, and is at least 2, got "
            f"{factor}"
        )
    large = upsampled(_checked_known(model, known, shape, rng), factor)

    def put(x: Array, known: Array) -> Array:
        return x + upsampled(averages(known - x, factor), factor)

    return _replaced(model, large, put, rng, resample, steps)


def posterior(
    model: DDPM,
    log_likelihood: Callable[[Any], Any],
    n: int,
    rng: Generator,
    scale: float | Array = 1.0,
    steps: int | None = None,
) -> Array:
    """Return n samples, (n, *shape), drawn towards log p(y|x₀) by its gradient through x̂₀.

    ``log_likelihood`` maps x̂₀: (n, …), a tensor, to log p(y|x̂₀) of each sample, (n,), recorded.
    After each step x_s ← x_s + ζ_t ∇ log p(y|x̂₀(x_t)). A number ``scale`` multiplies the ζ_t of
    Bayes' rule, :func:`bayes_weights`, so that 1 is right for a likelihood in nats. An array, (T,),
    gives ζ_t itself: ``scale=np.ones(model.T)`` goes with :func:`closeness`. x̂₀ is not clipped in
    the likelihood. With ``steps`` the chain takes that many steps, by DDIM with η = 1. The cost of
    a step is one forward pass and one backward sweep.

    Raises ``RuntimeError`` if the steps along the gradient diverge.
    """
    weights = np.asarray(scale, dtype=np.float64)
    if weights.shape not in ((), (model.T,)) or not np.isfinite(weights).all():
        raise ValueError(
            f"scale is one finite number, or one for each of T = {model.T} times, got shape "
            f"{weights.shape}: {scale}"
        )
    if not weights.shape:
        weights = weights * bayes_weights(model, steps)

    def hook(x: Array, t: int, s: int, back: Callable[..., Array]) -> Array:
        xt = Tensor(x)
        x0 = model.denoised(xt, t)
        (slope,) = gradient(_checked_value(log_likelihood(x0), len(x)).sum(), [xt])
        x = back(x, t, s, model.clipped(x, x0.data, t)) + float(weights[t]) * slope
        if device_of(x) == "cpu" and not np.isfinite(x).all():
            raise RuntimeError(
                f"the steps along the likelihood diverge at t = {t}: take a smaller scale, more "
                "steps, or a likelihood that is less sharp"
            )
        return x

    noise = Gaussian.standard((n, *model.shape), model.dtype or np.float32, rng)
    return _end(model, noise, rng, steps, hook)


def bayes_weights(model: DDPM, steps: int | None = None) -> Array:
    """ζ_t = b²_{t|s}/a_{t|s} for each step t → s of the chain, else 0: (T,).

    It is the factor of the score in the mean of the step, β_t/√α_t for s = t − 1.
    """
    times = model.noising.timesteps(model.T if steps is None else steps)
    weights = np.zeros(model.T)
    for t, s in itertools.pairwise([*times, -1]):
        signal, variance = model.noising.between(s, t, weights)
        weights[t] = (variance / signal).item()
    return weights


def closeness(known: Array, measured: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return x̂₀ ↦ −‖y − Hx̂₀‖ of each sample, (n,), for :func:`posterior`.

    y is ``known``: (n, …), and ``measured`` is H, as :func:`averages` or x ↦ mask · x.
    """
    return lambda x0: -length(measured(x0) - known)


def averages(x: Any, factor: int) -> Any:
    """The averages of images over squares of ``factor`` × ``factor`` pixels."""
    return ops.avg_pool2d(x, kernel_size=factor)


def upsampled(x: Any, factor: int) -> Any:
    """Images with a square of ``factor`` × ``factor`` equal pixels for each pixel."""
    return ops.upsample_nearest2d(x, scale_factor=factor)


@differentiable
def length(x: Array) -> Rule:
    """‖x‖ of each sample, (n,); its derivative x/‖x‖ is taken to be 0 at x = 0."""
    rows = x.reshape(len(x), -1)
    norm = np.sqrt((rows * rows).sum(axis=1))

    def back(delta: Array) -> Array:
        scaled: Array = (delta / np.where(norm > 0, norm, 1))[:, None] * rows
        return scaled.reshape(x.shape)

    return norm, (back,)


def _replaced(
    model: DDPM, known: Array, put: Put, rng: Generator, resample: int, steps: int | None
) -> Array:
    """The end of a chain with ``put(x_s, draw of q(x_s|known))`` after each step back."""
    if operator.index(resample) < 1:
        raise ValueError(f"resample is how often each step is taken, at least 1, got {resample}")
    noising = model.noising

    def hook(x: Array, t: int, s: int, back: Callable[..., Array]) -> Array:
        if s < 0:  # the last step adds no noise: nothing is left to resample
            return put(back(x, t, s), known)
        for k in range(resample):
            start = x if k == 0 else noising.onward(x, s, t, _noise_like(x, rng))
            x = put(back(start, t, s), noising.q_sample(known, s, _noise_like(x, rng)))
        return x

    return _end(model, _noise_like(known, rng), rng, steps, hook)


def _end(model: DDPM, noise: Array, rng: Generator, steps: int | None, hook: Any) -> Array:
    """The last state of the chain from ``noise``."""
    for _, x in model.denoise(noise, rng, steps, None if steps is None else 1.0, hook):
        end = x
    return end


def _noise_like(x: Array, rng: Generator) -> Array:
    return rng.standard_normal(x.shape, dtype=x.dtype)


def _checked_known(model: DDPM, known: Any, shape: tuple[int, ...], rng: Generator) -> Array:
    """What is known, in the precision of the model; ``ValueError`` for another shape or device."""
    check_generator(rng)
    if known.dtype.kind != "f" or known.shape[1:] != shape:
        raise ValueError(
            f"known holds floating numbers, samples of shape {shape}, got {known.dtype} of shape "
            f"{known.shape[1:]}"
        )
    if device_of(known) != device_of(rng):
        raise ValueError(
            f"known is on the device {device_of(known)}, rng draws on {device_of(rng)}: take "
            "scratchgen.to_device(known, rng)"
        )
    return known.astype(model.dtype or known.dtype)


def _checked_value(value: Any, n: int) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"log_likelihood gives {type(value).__name__} for a tensor: compute it by operations, "
            "so that it has a gradient"
        )
    if value.shape != (n,):
        raise ValueError(
            f"log_likelihood gives one number for each sample, ({n},), got shape {value.shape}"
        )
    return value
