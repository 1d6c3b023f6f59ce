r"""Score-based models: the gradient of the log density, learned at every level of noise.

The score of a density is s(x) = ∇ log p(x). The score does not depend on the normalisation, and
Langevin dynamics needs only the score. But a network cannot learn the score where there are no
data, and a chain that starts there does not find the data. Therefore noise is added to the data, at
the levels σ₁ > … > σ_L of a *ladder*,

    x̃ = x + σ z,    z ~ N(0, I),    p_σ(x̃) = ∫ p(x) N(x̃; x, σ² I) dx.

The noise fills the space at σ₁, and hardly changes the data at σ_L. The score of p_σ is the best
prediction of −z/σ from x̃, so that *denoising score matching* is a least-squares fit,

    C = E ½ ‖σ s(x̃, σ) + z‖²,

averaged over the levels. The factor σ gives all levels the same weight. The lowest cost at one
level is ½ (D − σ² E‖∇ log p_σ‖²) for D numbers per sample. For the same reason the network predicts
σ s(x̃, σ), which is of size 1 at every level.

*Annealed Langevin dynamics* draws x ~ N(0, σ₁² I) and takes some steps at each level in turn,

    x ← x + α_i s(x, σ_i) + √(2 α_i) z,     α_i = ε (σ_i/σ_L)²,

and finally one step without noise, to x + σ_L² s(x, σ_L), the mean of the data given x. The
*probability flow* has no noise at all: if x follows dx/dσ = −σ s(x, σ) from σ₁ to σ_L, its
distribution is p_σ at every σ.

A denoising diffusion model is a score-based model. Its x_t = a_t x₀ + b_t ε, divided by a_t, is
data with noise of σ = b_t/a_t, and its ε̂ estimates −b_t times the score of x_t.

Sources: the notes, "Energy models" and "Score-based models"; Hyvärinen 2005; Vincent 2011; Song and
Ermon, arXiv:1907.05600 and arXiv:2006.09011 (the ladder, ε); Song et al., arXiv:2011.13456.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Generator as Yields
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ... import nn, optim
from ... import operations as ops
from ...autodiff import Tensor
from ...backend import Array, Generator, check_generator, device_of, to_device


def geometric_ladder(largest: float, smallest: float, levels: int) -> Array:
    """σ₁ > … > σ_L, with the same ratio of any two neighbouring levels: (levels,)."""
    if levels < 2 or not 0 < smallest < largest < math.inf:
        raise ValueError(
            f"a ladder goes down from its largest level to its smallest, in at least 2, got "
            f"{largest} to {smallest} in {levels}"
        )
    return np.geomspace(largest, smallest, levels)


class ScoreModel(nn.Network):
    """s(x, σ) = network(x/√(s² + σ²), τ)/σ ≈ ∇ log p_σ(x), for samples of ``shape``.

    ``network(x, τ)`` maps samples (n, …) and τ: (n,) to an output of the shape of x. τ is log σ,
    scaled to 0 at the smallest level and to 1 at the largest. The input x is divided by the
    standard deviation of data and noise together, where s = ``spread`` is the standard deviation of
    the data. ``sigmas`` lists the levels in decreasing order.
    """

    def __init__(
        self, network: Any, shape: Sequence[int], sigmas: Any, spread: float = 0.5
    ) -> None:
        levels = np.array(sigmas, dtype=np.float64)
        if (
            levels.ndim != 1
            or len(levels) < 2
            or not (np.diff(levels) < 0).all()
            or levels[-1] <= 0
        ):
            raise ValueError(
                f"sigmas are at least two levels of noise, falling and above 0, got {sigmas}"
            )
        if not 0 < spread < math.inf:
            raise ValueError(f"spread is the standard deviation of the data, got {spread}")
        if not callable(network):
            raise TypeError(f"the network is called with (x, τ), got {type(network).__name__}")
        self.network, self.shape = network, tuple(map(operator.index, shape))
        self.sigmas, self.spread = levels.tolist(), float(spread)

    def score(self, x: Any, sigma: Any, rng: Generator | None = None) -> Any:
        """s(x, σ), of the shape of x; ``sigma`` is one number, or a number per sample, (n,)."""
        of_x = x.data if isinstance(x, Tensor) else x
        sigma = self._levels(sigma, of_x)
        largest, smallest = math.log(self.sigmas[0]), math.log(self.sigmas[-1])
        tau = (np.log(sigma).reshape(len(of_x)) - smallest) / (largest - smallest)
        scaled = x / np.sqrt(sigma * sigma + self.spread**2)
        return self.network(scaled, tau) / sigma

    def loss(self, x: Array, sigma: Any, noise: Array) -> Any:
        """C = mean ½ ‖σ s(x + σ z, σ) + z‖² over the samples, with z = ``noise``."""
        return self.errors(x, sigma, noise).mean()

    def errors(self, x: Array, sigma: Any, noise: Array) -> Any:
        """½ ‖σ s(x + σ z, σ) + z‖² of each sample, (n,)."""
        sigma = self._levels(sigma, x)
        out = self.score(x + sigma * noise, sigma.reshape(len(x)))
        return ops.squared_error(sigma * out, -noise)

    @property
    def players(self) -> list[list[Tensor]]:
        """One player, the network."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Return Adam with a learning rate of 10⁻³."""
        return [optim.Adam(self.parameters(), lr=1e-3)]

    def losses(self, x: Array, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """Yield the cost at uniformly drawn levels, with noise from N(0, I)."""
        sigmas = to_device(np.array(self.sigmas, dtype=x.dtype), device_of(x))
        levels = sigmas[rng.integers(0, len(self.sigmas), size=len(x))]
        yield self.loss(x, levels, rng.standard_normal(x.shape, dtype=x.dtype))
        return {}

    def anneal(
        self, x: Array, rng: Generator, steps: int = 50, epsilon: float | None = None
    ) -> Iterator[tuple[float, Array]]:
        """Yield (σ_i, x) after the ``steps`` steps of each level, starting at x ~ N(0, σ₁² I).

        The last item is (0, x), after the step without noise. ``epsilon`` is ε, the size of the
        steps at the smallest level; its default is :func:`annealing_step`.
        """
        check_generator(rng)
        if steps < 1:
            raise ValueError(f"a level takes at least 1 step, got {steps}")
        frozen = self.frozen()
        epsilon = annealing_step(self.sigmas, steps) if epsilon is None else epsilon
        for sigma in self.sigmas:
            alpha = epsilon * (sigma / self.sigmas[-1]) ** 2
            for _ in range(steps):
                x = x + alpha * frozen.score(x, sigma)
                x += math.sqrt(2 * alpha) * rng.standard_normal(x.shape, dtype=x.dtype)
            yield sigma, x
        yield 0.0, x + self.sigmas[-1] ** 2 * frozen.score(x, self.sigmas[-1])

    def flow(self, x: Array, levels: int = 100) -> Iterator[tuple[float, Array]]:
        """Yield (σ, x) along dx/dσ = −σ s(x, σ), from σ₁ to σ_L in a geometric ladder of levels.

        Each step is a Heun step, of second order. Source: Karras et al., arXiv:2206.00364,
        algorithm 1.
        """
        frozen = self.frozen()
        ladder = geometric_ladder(self.sigmas[0], self.sigmas[-1], levels)
        for sigma, following in itertools.pairwise(ladder):
            slope = -sigma * frozen.score(x, sigma)
            ahead = x + (following - sigma) * slope
            slope = 0.5 * (slope - following * frozen.score(ahead, following))
            x = (x + (following - sigma) * slope).astype(x.dtype)
            yield float(following), x

    def noise(self, n: int, rng: Generator) -> Array:
        """Return the start of sampling, x ~ N(0, σ₁² I): (n, *shape)."""
        check_generator(rng)
        dtype: Any = self.dtype or np.float32
        return self.sigmas[0] * rng.standard_normal((n, *self.shape), dtype=dtype)

    def sample(
        self, n: int, rng: Generator, steps: int = 50, epsilon: float | None = None
    ) -> Array:
        """Return n samples, (n, *shape): the end of :meth:`anneal`."""
        for _, x in self.anneal(self.noise(n, rng), rng, steps, epsilon):
            samples = x
        return samples

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data that do not fit the network."""
        if isinstance(x, tuple):
            raise ValueError(
                f"a score model is trained on samples alone, got {len(x)} arrays: pass the first"
            )
        if x.dtype.kind != "f" or x.shape[1:] != self.shape:
            raise ValueError(
                f"this model takes floating numbers of shape {self.shape}, got {x.dtype} of shape "
                f"{x.shape[1:]}"
            )
        out = self.frozen().score(x[:1], self.sigmas[0])
        if out.shape != x[:1].shape:
            raise ValueError(
                f"the network gives {out.shape[1:]} for a sample of shape {self.shape}, expected "
                "the same"
            )

    def _levels(self, sigma: Any, like: Array) -> Array:
        """Return σ of each sample, in the precision of ``like``, in a shape that multiplies it."""
        levels = np.zeros(len(like), like.dtype, like=like)
        levels += to_device(np.asarray(sigma), device_of(like)) if np.ndim(sigma) else float(sigma)
        return levels.reshape(-1, *(1 for _ in like.shape[1:]))


def annealing_step(sigmas: Sequence[float], steps: int) -> float:
    """Return the ε with which ``steps`` steps turn noise of one level into noise of the next.

    If the data are a single point, x = 0, the score is −x/σ². A step then multiplies the deviation
    of x by 1 − ε/σ_L², and its noise adds the variance 2ε σ²/σ_L². Let γ be the ratio of
    neighbouring levels. The variance after T steps from a variance of γ² σ² is, in units of σ²,

        v(ε) = q^{2T} (γ² − w) + w,    q = 1 − ε/σ_L²,    w = 2ε/(σ_L² (1 − q²)).

    The result is the smallest ε for which v(ε) is as close to 1 as possible.
    Source: Song and Ermon, arXiv:2006.09011, technique 4.
    """
    last = sigmas[-1]
    gamma = (sigmas[0] / last) ** (1 / (len(sigmas) - 1))
    epsilon = last**2 * np.geomspace(1e-6, 1.0, 20_001)[:-1]
    q = 1 - epsilon / last**2
    w = 2 * epsilon / (last**2 * (1 - q**2))
    variance = q ** (2 * steps) * (gamma**2 - w) + w
    return float(epsilon[np.argmin(np.absolute(variance - 1))])
