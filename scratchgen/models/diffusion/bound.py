r"""The evidence lower bound of a denoising diffusion model, −log p(x₀) ≤ −ELBO, term by term.

A diffusion model is a hierarchical VAE whose encoder is fixed, so that it has the bound of
:mod:`scratchgen.models.hierarchical_vae`. Because q(x_{t−1}|x_t, x₀) is known, the bound can be
written with one random x_t in each term, where x_t has been through t + 1 steps,

    −ELBO = −E_q log p(x₀|x_{t=0})                                        reconstruction
          + D_KL(q(x_{T−1}|x₀) ‖ p(x_{T−1}))                              prior matching
          + Σ_{t=1}^{T−1} E_q D_KL(q(x_{t−1}|x_t, x₀) ‖ p(x_{t−1}|x_t)),  denoising

Both distributions of a step are Gaussian, and their means differ only by the error of ε̂:

    D_KL = w_t ‖ε − ε̂‖² + ½ D (r_t − 1 − log r_t),   w_t = β_t²/(2 σ_t² α_t (1 − ᾱ_t)),
    r_t = β̃_t/σ_t².

The reconstruction is w_0 ‖ε − ε̂‖² + ½ D log 2πβ_0. Sampling omits the noise of the last step, but
the density p(x₀|x_{t=0}) needs a variance. It is σ_0² = β_0, since β̃_0 = 0.

The notes first write the bound along one path x_t ~ q(x_t|x_{t−1}), where each term has two random
variables. The prior matching then compares q(x_{T−1}|x_{T−2}) with p(x_{T−1}). The consistency
replaces the denoising: Σ_{t<T−1} E_q log q(x_t|x_{t−1})/p(x_t|x_{t+1}), where x_{−1} is x₀. The
notes print a D_KL in its place, which has another value (erratum E23), and in the derivation
p(x_t|x_{t−1}) in place of p(x_t|x_{t+1}) (erratum E11).

Sources: the notes, "Optimizing the variational diffusion model" to "Optimization cost"; Ho, Jain
and Abbeel, arXiv:2006.11239, eqs. 5, 12 and 13; Luo, arXiv:2208.11970, eqs. 45 and 58.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ... import operations as ops
from ...backend import Array, Generator
from ...distributions import Gaussian

if TYPE_CHECKING:
    from .ddpm import DDPM


def step_cost(model: DDPM, x0: Array, t: int, noise: Array) -> Array:
    """w_t ‖ε − ε̂(x_t)‖² + ½ D (r_t − 1 − log r_t), x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε: (n,) nats.

    It is D_KL(q(x_{t−1}|x_t, x₀) ‖ p(x_{t−1}|x_t)). For t = 0 the second term is ½ D log 2πβ_0, and
    the sum is −log p(x₀|x_{t=0}). ε is ``noise``.
    """
    steps, D = model.noising, math.prod(x0.shape[1:])
    _, eps = model.predict(model.q_sample(x0, t, noise), t)
    variance = _variance(model, t)
    weight = steps.beta[t] ** 2 / (variance * steps.alpha[t] * (1 - steps.alpha_bar[t]))
    ratio = steps.posterior_variance[t] / variance
    each = ratio - 1 - math.log(ratio) if t else math.log(2 * math.pi * variance)
    # The squared error is ½ ‖ε − ε̂‖².
    return float(weight) * ops.squared_error(eps, noise) + 0.5 * D * float(each)


def elbo_terms(model: DDPM, x0: Array, rng: Generator) -> tuple[Array, Array, Array]:
    """Reconstruction, prior matching and denoising, (n,) nats each; −ELBO(x₀) is their sum.

    The noise is drawn anew for each of the T steps.
    """

    def cost(t: int) -> Array:
        return step_cost(model, x0, t, rng.standard_normal(x0.shape, dtype=x0.dtype))

    prior = model.noising.prior_kl(x0)
    return cost(0), prior, sum((cost(t) for t in range(1, model.T)), 0 * prior)


def path_terms(model: DDPM, x0: Array, rng: Generator) -> tuple[Array, Array, Array]:
    """Reconstruction, prior matching and consistency at one path, (n,) nats each.

    −ELBO(x₀) is their sum; on average it equals the sum of :func:`elbo_terms`.
    """
    x, down, up = x0, [], []
    for t in range(model.T):
        q = forward_step(model, x, t)
        before, x = x, q.draw(rng)
        down.append(reverse_step(model, x, t).nll(before))
        up.append(q.nll(x))
    prior = q.kl(Gaussian(0.0))
    # log q(x_t|x_{t−1}) − log p(x_t|x_{t+1}), for each t but the last
    ratios = [of_p - of_q for of_p, of_q in zip(down[1:], up, strict=False)]
    return down[0], prior, sum(ratios, 0 * prior)


def forward_step(model: DDPM, before: Array, t: int) -> Gaussian:
    """q(x_t|x_{t−1}) = N(√α_t x_{t−1}, β_t I), where x_{−1} is x₀."""
    return Gaussian(math.sqrt(model.alpha[t]) * before, math.log(model.beta[t]))


def reverse_step(model: DDPM, after: Array, t: int) -> Gaussian:
    """p(x_{t−1}|x_t) = N(μ_t, σ_t² I), with σ_0² = β_0."""
    return Gaussian(model.p_sample(after, t), math.log(_variance(model, t)))


def bits_per_dim(model: DDPM, x0: Array, rng: Generator) -> Array:
    """−ELBO(x₀)/(D log 2) for D numbers per sample: (n,) bits.

    These are bits of a density, and depend on the scale of x₀. For data of levels a distance Δ
    apart, with added noise U[0, Δ), the bits per level are at most this number − log₂ Δ.
    """
    reconstruction, prior, denoising = elbo_terms(model, x0, rng)
    return (reconstruction + prior + denoising) / (math.prod(x0.shape[1:]) * math.log(2))


def _variance(model: DDPM, t: int) -> float:
    """σ_t² of p(x_{t−1}|x_t), with β_0 for t = 0."""
    return float(model.sigma[t] ** 2 if t else model.beta[0])
