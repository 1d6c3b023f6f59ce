r"""The likelihood of a diffusion model: as the density of a flow, and as a weight of paths.

*The probability flow.* Let p_t be the density of x_t, and let the forward process have the
continuous β(t) of :class:`~scratchgen.models.diffusion.noising.Continued`. Then a differential
equation without any noise moves x through the same densities,

    dx/dt = −½ β(t) [x + s(x, t)],    s = ∇ log p_t(x) = −(x − a x̂₀(x, t))/b².

Along its paths d log p_t(x)/dt = −∇·(dx/dt), from which

    log p(x₀) = log N(x_{T−1}; 0, I) − ½ ∫ β(t) [D + ∇·s] dt,    ∇·s = −(D − a tr ∂x̂₀/∂x)/b².

This is the density of a model of its own: the samples of DDIM with η = 0 and many steps have it,
those of the ancestral chain have another. Both agree where the network is exact. The network is
read at times t/T that it was not trained at, where t is no integer. Before t = 0 it is not read:
there the score is that of t = 0, since the noise of the first step hardly changes the density. x̂₀
is never clipped here, since a clipped x̂₀ would leave the flow no inverse.

The trace takes one backward sweep for each of the D entries of x. An unbiased estimate takes one
for each random *probe* z: E zᵀ (∂x̂₀/∂x) z = tr ∂x̂₀/∂x for independent z = ±1 (Hutchinson). The
probes stay the same along the path. The logarithm of the density is then unbiased, its exponential
is not.

*The weight of a path.* Let x be the path x_{t=0}, …, x_{T−1} from an x₀. For the ancestral chain,
log p(x₀) = log E_q [p(x₀, x)/q(x|x₀)]. The mean of log (p/q) is the ELBO; the logarithm of the mean
of L ratios is a bound, too, which rises with L to log p(x₀). It is the importance-weighted bound of
a VAE whose encoder is fixed, and the sum along a path is the one of annealed importance sampling
(Jarzynski's equality): :func:`scratchgen.sampling.weigh_path`.

*Pixels of few levels*, a width w apart on [−1, 1], have probabilities in place of a density. For
the chain, N(μ_0(x), β_0) is integrated over the width of each level to give P(x₀|x_{t=0}), which
takes the place of the density in the bounds. For the flow, log P(x₀) ≥ E log [p(x₀ + u) w^D] with
noise u, uniform on [−w/2, w/2] in each pixel.

Sources: the notes, whose list of what diffusion models allow has "the model log likelihood, and the
probability of individual states, to be cheaply evaluated"; Song et al., arXiv:2011.13456, sections
4.3 and D.2; Chen et al., arXiv:1806.07366; Hutchinson 1990; Burda, Grosse and Salakhutdinov,
arXiv:1509.00519; Sohl-Dickstein et al., arXiv:1503.03585, section 2.3; Ho, Jain and Abbeel,
arXiv:2006.11239, eq. 13 (levels of the chain); Theis, van den Oord and Bethge, arXiv:1511.01844
(levels of a density).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ... import operations as ops
from ...autodiff import Tensor, gradient
from ...backend import Array, Generator, check_generator, device_of, special, to_device, to_host
from ...distributions import Gaussian
from ...sampling import weigh_path
from . import bound
from .noising import Continued

if TYPE_CHECKING:
    from .ddpm import DDPM

Pair: TypeAlias = tuple[Array, Array]  # x_{t−1} and x_t


def flow_log_likelihood(
    model: DDPM,
    x0: Array,
    probes: int | None = None,
    rng: Generator | None = None,
    tolerance: float = 1e-5,
) -> Array:
    """log p(x₀) of the probability flow: (n,) nats, in float64, a density on the scale of x₀.

    Without ``probes`` the trace is exact, at D backward sweeps for each evaluation of the flow;
    else it is estimated from that many probes, drawn from ``rng``. ``tolerance`` is the largest
    error of a step, relative and absolute, in SciPy's Runge–Kutta method of order 5.
    """
    if x0.shape[1:] != model.shape or x0.dtype.kind != "f":
        raise ValueError(
            f"this DDPM has densities of floating numbers of shape {model.shape}, got {x0.dtype} "
            f"of shape {x0.shape[1:]}"
        )
    from scipy.integrate import solve_ivp

    noising, n, D = Continued(model.noising), len(x0), math.prod(model.shape)
    deltas = [*_probes(x0, probes, rng)]

    def slope(t: float, state: Array) -> Array:
        x = to_device(state[:-n].reshape(x0.shape), device_of(x0)).astype(x0.dtype)
        read = max(t, 0.0)
        a, b = noising.exact_scales(read, x)
        origin = Tensor(x)
        x_hat = model.denoised(origin, read, noising)
        score = -(x - a * x_hat.data) / b**2
        along = (delta * gradient(x_hat, [origin], delta)[0] for delta in deltas)
        trace = sum(_rows(share).sum(axis=1) for share in along) / (probes or 1)
        of_score = -(D - a.reshape(-1) * trace) / b.reshape(-1) ** 2
        rates = -0.5 * noising.beta(t) * np.concatenate([(x + score).reshape(-1), D + of_score])
        return to_host(rates)

    start = np.concatenate([to_host(x0).reshape(-1), np.zeros(n)]).astype(np.float64)
    ends = -1.0, model.T - 1.0
    path = solve_ivp(slope, ends, start, rtol=tolerance, atol=tolerance, t_eval=ends[1:])
    if not path.success:
        raise RuntimeError(f"the flow cannot be followed to the noise: {path.message}")
    end = path.y[:, -1]
    log_p = end[-n:] - _standard_nll(end[:-n].reshape(n, D))
    return to_device(log_p, device_of(x0))


def importance_weighted(
    model: DDPM, x0: Array, n_samples: int, rng: Generator, width: float | None = None
) -> Array:
    """log (1/L) Σₗ p(x₀, x⁽ˡ⁾)/q(x⁽ˡ⁾|x₀) over L = ``n_samples`` paths x⁽ˡ⁾: (n,) nats, in float64.

    On average it is below log p(x₀), and rises with L; L = 1 is the ELBO. With ``width`` it is the
    logarithm of a probability of levels, else of a density.
    """
    if n_samples < 1:
        raise ValueError(f"n_samples is at least 1, got {n_samples}")
    check_generator(rng)
    weights = [path_log_weight(model, x0, rng, width) for _ in range(n_samples)]
    return ops.logsumexp(np.stack(weights), axis=0) - math.log(n_samples)


def path_log_weight(
    model: DDPM,
    x0: Array,
    rng: Generator,
    width: float | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Array:
    """log p(x₀, x) − log q(x|x₀) of one noised path x for each sample: (n,) nats, in float64.

    With ``width``, P(x₀|x_{t=0}) is the probability of levels.
    """

    def pair(x: Array, t: int) -> Pair:
        return x, bound.forward_step(model, x, t).draw(rng)

    def log_ratio(state: Pair, _: float, t: Any) -> Array:
        before, after = state
        cost = bound.forward_step(model, before, t).nll(after)
        if t == 0 and width is not None:
            return cost + log_prob_of_levels(model, before, after, width)
        return cost - bound.reverse_step(model, after, t).nll(before)

    times = range(-1, model.T)
    path = weigh_path(
        pair(x0, 0), times, log_ratio, lambda state, t: pair(state[1], int(t) + 1), progress
    )
    log_w, (_, end) = path
    return log_w - _standard_nll(end)


def elbo_terms_of_levels(
    model: DDPM, x0: Array, width: float, rng: Generator
) -> tuple[Array, Array, Array]:
    """The terms of :func:`~scratchgen.models.diffusion.bound.elbo_terms` for levels, (n,) nats."""
    first = bound.forward_step(model, x0, 0).draw(rng)
    _, prior, denoising = bound.elbo_terms(model, x0, rng)
    return -log_prob_of_levels(model, x0, first, width), prior, denoising


def log_prob_of_levels(model: DDPM, x0: Array, first: Array, width: float) -> Array:
    """log P(x₀|x_{t=0}) of levels ``width`` apart on [−1, 1]: (n,) nats.

    The normal distribution of x₀ is integrated over half a width on both sides of the level. The
    first and the last level, −1 and 1, take in all that lies beyond them.
    """
    p = bound.reverse_step(model, first, 0)
    low, high = x0 - 0.5 * width - p.mu, x0 + 0.5 * width - p.mu
    low = np.where(x0 < 0.5 * width - 1, -np.inf, low * math.exp(-0.5 * p.log_var))
    high = np.where(x0 > 1 - 0.5 * width, np.inf, high * math.exp(-0.5 * p.log_var))
    # In the lower tail the digits of Φ(high) − Φ(low) are kept, and Φ(−x) = 1 − Φ(x).
    above = low + high > 0
    low, high = np.where(above, -high, low), np.where(above, -low, high)
    log_ndtr = special(x0).log_ndtr
    log_p = log_ndtr(high) + np.log1p(-np.exp(log_ndtr(low) - log_ndtr(high)))
    return _rows(log_p).sum(axis=1)


def _probes(x: Array, probes: int | None, rng: Generator | None) -> Iterable[Array]:
    """The rows of the identity, one at a time, or random signs: δ whose Σ δᵀ J δ is the trace."""
    if probes is None:
        for k in range(math.prod(x.shape[1:])):
            row = np.zeros_like(x)
            _rows(row)[:, k] = 1
            yield row
        return
    if probes < 1:
        raise ValueError(f"probes is a number from 1, or None for the exact trace, got {probes}")
    if rng is None:
        raise ValueError("an estimate of the trace draws its probes: give rng")
    check_generator(rng)
    for _ in range(probes):
        yield 2 * rng.integers(0, 2, size=x.shape).astype(x.dtype) - 1


def _rows(x: Array) -> Array:
    return x.reshape(len(x), -1)


def _standard_nll(x: Array) -> Array:
    """−log N(x; 0, I): (n,) nats."""
    return Gaussian(np.zeros_like(x)).nll(x)
