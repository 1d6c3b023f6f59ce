r"""Noising: the forward process of a diffusion model, which is fixed before training.

Data x₀ lose signal and gain noise over a time t. Whatever the intermediate steps, the result is

    q(x_t | x₀) = N(a_t x₀, b_t² I),    x_t = a_t x₀ + b_t ε,    ε ~ N(0, I),

with a *signal* a_t that falls and a *spread* b_t that rises. The process is a Markov chain. For any
earlier time s, x_t = a_{t|s} x_s + b_{t|s} ε with a_{t|s} = a_t/a_s and
b²_{t|s} = b_t² − a²_{t|s} b_s². By Bayes' rule the step back is Gaussian too, if x₀ is known:

    q(x_s | x_t, x₀) = N(μ̃, σ̃² I),   σ̃² = b²_{t|s} b_s²/b_t²,
    μ̃ = (a_{t|s} b_s² x_t + a_s b²_{t|s} x₀)/b_t².

Given x_t, four quantities carry the same information: the data x₀, the noise ε, the velocity
v = a_t ε − b_t x₀, and the score of q(x_t|x₀), which is −ε/b_t. The methods here convert them.

There are two kinds of time. :class:`Steps` counts t = 0 … T − 1, with a_t² = ᾱ_t and
b_t² = 1 − ᾱ_t; :class:`Continued` has the times between them, too. :class:`Continuous` takes t from
0 to 1, with b_t²/a_t² = exp γ(t) and a_t² + b_t² = 1.

Sources: the notes, "Variational Diffusion Models"; Ho, Jain and Abbeel, arXiv:2006.11239; Nichol
and Dhariwal (cosine schedule), arXiv:2102.09672; Salimans and Ho (velocity), arXiv:2202.00512;
Kingma, Salimans, Poole and Ho (continuous time), arXiv:2107.00630, appendix A.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...autodiff import Tensor
from ...backend import Array, device_of, to_device, to_host
from ...operations.activations import logistic


class Noising:
    """q(x_t|x₀) = N(a_t x₀, b_t² I), and its consequences. A subclass defines ``exact_scales``.

    Samples have the shape (n, …). A time is one number, or one number for each sample, (n,).
    """

    def exact_scales(self, t: Any, like: Array) -> tuple[Array, Array]:
        """a_t and b_t in double precision, in a shape that broadcasts against samples ``like``."""
        raise TypeError(f"{type(self).__name__} states no scales")

    def scales(self, t: Any, like: Any) -> tuple[Array, Array]:
        """a_t and b_t in the precision of ``like``, an array or a tensor."""
        like = like.data if isinstance(like, Tensor) else like
        a, b = self.exact_scales(t, like)
        return a.astype(like.dtype), b.astype(like.dtype)

    def q_sample(self, x0: Array, t: Any, noise: Array) -> Array:
        """x_t = a_t x₀ + b_t ε, which is distributed as q(x_t|x₀) for ε ~ N(0, I)."""
        a, b = self.scales(t, x0)
        return a * x0 + b * noise

    def onward(self, xs: Array, s: Any, t: Any, noise: Array) -> Array:
        """x_t = a_{t|s} x_s + b_{t|s} ε ~ q(x_t|x_s), from an earlier time s."""
        a, variance = self.between(s, t, xs)
        return a.astype(xs.dtype) * xs + np.sqrt(variance).astype(xs.dtype) * noise

    def posterior(self, x0: Array, xt: Array, s: Any, t: Any) -> tuple[Array, Array]:
        """μ̃ and σ̃² of q(x_s|x_t, x₀) = N(μ̃, σ̃² I), for a time s before t."""
        (a_s, b_s), (_, b_t) = self.exact_scales(s, xt), self.exact_scales(t, xt)
        a, added = self.between(s, t, xt)
        of_xt, of_x0 = a * b_s**2 / b_t**2, a_s * added / b_t**2
        mean = of_xt.astype(xt.dtype) * xt + of_x0.astype(xt.dtype) * x0
        return mean, (added * b_s**2 / b_t**2).astype(xt.dtype)

    def between(self, s: Any, t: Any, like: Array) -> tuple[Array, Array]:
        """a_{t|s} and b²_{t|s}, in double precision: b² is a small difference."""
        (a_s, b_s), (a_t, b_t) = self.exact_scales(s, like), self.exact_scales(t, like)
        a = a_t / a_s
        return a, b_t**2 - a**2 * b_s**2

    def data(self, xt: Any, noise: Any, t: Any) -> Any:
        """x₀ = (x_t − b_t ε)/a_t."""
        a, b = self.scales(t, xt)
        return (xt - b * noise) / a

    def noise(self, xt: Array, x0: Array, t: Any) -> Array:
        """ε = (x_t − a_t x₀)/b_t."""
        a, b = self.scales(t, xt)
        return (xt - a * x0) / b

    def velocity(self, x0: Array, noise: Array, t: Any) -> Array:
        """v = a_t ε − b_t x₀."""
        a, b = self.scales(t, x0)
        return a * noise - b * x0

    def of_velocity(self, xt: Any, v: Any, t: Any) -> tuple[Any, Any]:
        """x₀ = a_t x_t − b_t v and ε = b_t x_t + a_t v, where a_t² + b_t² = 1."""
        a, b = self.scales(t, xt)
        return a * xt - b * v, b * xt + a * v

    def score(self, noise: Array, t: Any) -> Array:
        """∇ log q(x_t|x₀) = −ε/b_t, the gradient with respect to x_t."""
        _, b = self.scales(t, noise)
        return -noise / b


class Steps(Noising):
    """T steps q(x_t|x_{t−1}) = N(√α_t x_{t−1}, β_t I) with α_t = 1 − β_t, for t = 0 … T − 1.

    Time is counted from 0, as in the notes' code: x_t has been through t + 1 steps. The time −1
    stands for the data. With ᾱ_t = α_0 ⋯ α_t, a_t² = ᾱ_t and b_t² = 1 − ᾱ_t. ``beta``: (T,), with
    0 < β_t < 1; ``ValueError`` otherwise.
    """

    def __init__(self, beta: Any) -> None:
        self.beta = np.array(beta, dtype=np.float64)
        inside = (self.beta > 0) & (self.beta < 1)
        if self.beta.ndim != 1 or not self.beta.size or not inside.all():
            raise ValueError(
                "a schedule is the variances β of at least one step, (T,), each between 0 and 1, "
                f"got shape {self.beta.shape}: {self.beta}"
            )
        self.T = len(self.beta)
        self.alpha = 1 - self.beta
        self.alpha_bar = np.cumprod(self.alpha)
        self._left = np.append(self.alpha_bar, 1.0)  # index −1, the time of the data, gives 1

    @property
    def posterior_variance(self) -> Array:
        """β̃_t = (1 − ᾱ_{t−1})/(1 − ᾱ_t) β_t, the variance of q(x_{t−1}|x_t, x₀): (T,)."""
        before = np.concatenate([[1.0], self.alpha_bar[:-1]])
        return (1 - before) / (1 - self.alpha_bar) * self.beta

    def exact_scales(self, t: Any, like: Array) -> tuple[Array, Array]:
        """√ᾱ_t and √(1 − ᾱ_t), which are 1 and 0 at t = −1."""
        left = self.left(t, like)
        return np.sqrt(left), np.sqrt(1 - left)

    def left(self, t: Any, like: Array) -> Array:
        """ᾱ_t in double precision, 1 at t = −1, in a shape that broadcasts against ``like``."""
        return self.at(self._left, t, like)

    def at(self, table: Array, t: Any, like: Array) -> Array:
        """table[t] in double precision, in a shape that broadcasts against samples ``like``."""
        return to_device(table, device_of(like))[t].reshape(-1, *(1 for _ in like.shape[1:]))

    def times(self, t: Any, x: Array, first: int = 0) -> Any:
        """Check a time, or one for each sample of x, from ``first`` to T − 1; return it.

        An array moves to the device of x. On a GPU its range is not checked, since the host would
        have to wait.
        """
        if np.ndim(t) == 0:
            t = operator.index(t)
            inside = first <= t < self.T
        else:
            t = to_device(t, device_of(x))
            if t.dtype.kind not in "iu" or t.shape != x.shape[:1]:
                raise ValueError(
                    f"t is an integer, or one for each of {len(x)} samples, got {t.dtype} of shape "
                    f"{t.shape}"
                )
            inside = device_of(t) != "cpu" or bool(((t >= first) & (t < self.T)).all())
        if not inside:
            raise ValueError(f"times run from {first} to T − 1 = {self.T - 1}, got {t}")
        return t

    def timesteps(self, steps: int | Sequence[int]) -> list[int]:
        """Times in falling order: those listed, or S of them, T − 1 − ⌊k T/S⌋ for k = 0 … S − 1.

        They begin at T − 1, the only time at which x_t is pure noise. Source of the spacing: Lin et
        al. 2024, "Common diffusion noise schedules and sample steps are flawed", section 3.3.
        """
        if isinstance(steps, (int, np.integer)):
            if not 1 <= steps <= self.T:
                raise ValueError(f"steps is a number from 1 to T = {self.T}, got {steps}")
            return [self.T - 1 - k * self.T // int(steps) for k in range(steps)]
        times = sorted(map(operator.index, steps), reverse=True)
        if not times or len({*times}) < len(times) or times[0] >= self.T or times[-1] < 0:
            raise ValueError(f"steps lists times from 0 to {self.T - 1}, each once, got {steps}")
        return times

    def prior_kl(self, x0: Array) -> Array:
        """D_KL(q(x_{T−1}|x₀) ‖ N(0, I)) = ½ [ᾱ ‖x₀‖² − D (ᾱ + log(1 − ᾱ))], ᾱ the last: (n,) nats.

        This is the prior matching term of the bound, for D numbers per sample. The notes call it
        effectively zero; with their schedule it is 19.3 for 784 pixels of magnitude 1 (erratum
        E13).
        """
        left = float(self.alpha_bar[-1])
        rows = x0.reshape(len(x0), -1)
        return 0.5 * (left * (rows * rows).sum(axis=1) - rows.shape[1] * (left + math.log1p(-left)))


class Continued(Noising):
    """The steps of a schedule, and all times between them: −1 ≤ t ≤ T − 1, where −1 is the data.

    ᾱ(t) = exp −Λ(t), where Λ is the monotone cubic interpolation of −log ᾱ_t, and
    :meth:`beta` β(t) = Λ′(t) is continuous. So x(t) follows dx = −½ β(t) x dt + √β(t) dw.
    Source: Fritsch and Butland 1984, as in SciPy's ``PchipInterpolator``.
    """

    def __init__(self, steps: Steps) -> None:
        from scipy.interpolate import PchipInterpolator

        decay = np.append(0.0, -np.cumsum(np.log1p(-steps.beta)))
        self._decay = PchipInterpolator(np.arange(-1, steps.T), decay)
        self._beta = self._decay.derivative()

    def beta(self, t: float) -> float:
        """β(t) = −d log ᾱ/dt, the variance that noise adds in a unit of time."""
        return float(self._beta(t))

    def exact_scales(self, t: Any, like: Array) -> tuple[Array, Array]:
        """√ᾱ(t) and √(1 − ᾱ(t)), with all digits where ᾱ is close to 1."""
        decay = to_device(np.atleast_1d(self._decay(to_host(t))), device_of(like))
        decay = decay.reshape(-1, *(1 for _ in like.shape[1:]))
        return np.exp(-0.5 * decay), np.sqrt(-np.expm1(-decay))


class Continuous(Noising):
    """Times t from 0 to 1 with γ(t) = log b_t²/a_t² and a_t² + b_t² = 1; γ increases with t.

    ``gamma`` maps times (n,) to γ, as :func:`linear_gamma` does.
    """

    def __init__(self, gamma: Callable[[Array], Array]) -> None:
        self.gamma = gamma

    def exact_scales(self, t: Any, like: Array) -> tuple[Array, Array]:
        """a_t = √σ(−γ) and b_t = √σ(γ), with the logistic function σ."""
        time = to_device(np.atleast_1d(t), device_of(like)).astype(np.float64)
        gamma = self.gamma(time).reshape(-1, *(1 for _ in like.shape[1:]))
        return np.sqrt(logistic(-gamma)), np.sqrt(logistic(gamma))


def linear_schedule(T: int) -> Array:
    """β_t from 10⁻⁴ to 0.02, evenly spaced, for every T: (T,). Source: Ho et al. 2020, sec. 4."""
    return np.linspace(1e-4, 0.02, T)


def cosine_schedule(T: int) -> Array:
    """β_t = min(1 − f(t + 1)/f(t), 0.999),  f(t) = cos²((t/T + s)/(1 + s) π/2),  s = 0.008: (T,).

    Hence ᾱ_t = f(t + 1)/f(0), except for the last steps. Source: Nichol and Dhariwal 2021, eq. 17,
    where time is counted from 1.
    """
    s = 0.008
    f = np.cos((np.arange(T + 1) / T + s) / (1 + s) * (math.pi / 2)) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


def linear_gamma(low: float, high: float) -> Callable[[Array], Array]:
    """γ(t) = low + (high − low) t. Source: Kingma et al. 2021, appendix I."""
    if not low < high:
        raise ValueError(f"γ rises from low to high, got {low} and {high}")
    return lambda t: low + (high - low) * t


SCHEDULES = {"linear": linear_schedule, "cosine": cosine_schedule}
MOST_STEPS = 10_000
"""The largest T; each step has an entry in the tables of β, α and ᾱ."""


def schedule_of(schedule: Any, T: int) -> Array:
    """The β of a named schedule for ``T`` steps, or the given array of β, (T,)."""
    if not isinstance(schedule, str):
        return np.asarray(schedule)
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule is 'linear' or 'cosine', or an array of β, got {schedule!r}")
    if not 1 <= operator.index(T) <= MOST_STEPS:
        raise ValueError(f"T is from 1 to {MOST_STEPS:,} steps, got {T:,}")
    return SCHEDULES[schedule](operator.index(T))
