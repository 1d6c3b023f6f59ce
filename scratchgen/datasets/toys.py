r"""Data of known density: points of the plane, a truth table, bars and stripes, a polynomial.

A model without a likelihood can be compared with these, since the truth is known: ``log_density``
of a toy, and for the small binary sets the probability of every state.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ..backend import Array, Generator, check_generator

Toy = Literal["ring", "moons", "swirl", "laplace"]

RADIUS, SPREAD, MODES = 2.0, 0.2, 8  # the parameters of the ring
MIXING = np.array([[1.0, 0.6], [-0.2, 0.88]])  # mixes the Laplace variables; determinant 1
NOISE = 0.1  # the noise across the moons and the swirl
DEVIATION = {"ring": SPREAD, "moons": NOISE, "swirl": NOISE}


def toy2d(name: Toy, n: int, rng: Generator) -> tuple[Array, Array]:
    """n points of the plane, (n, 2) float32, and the part from which each comes, (n,) int64.

    - ``"ring"``: eight Gaussians of standard deviation 0.2 on a circle of radius 2; its log density
      averages −1.696 nats. The part is the Gaussian.
    - ``"moons"``: two interlocking half circles, with noise of 0.1 across.
    - ``"swirl"``: a spiral of three half turns, with noise of 0.1; one part.
    - ``"laplace"``: x = A s with independent Laplace variables s of variance 1 and |det A| = 1, as
      in independent component analysis; its log density averages −(2 + log 2) = −2.693 nats, that
      of the best Gaussian −2.838. One part.

    ``ValueError`` for another name, or for n below 1.
    """
    check_generator(rng)
    if name not in TOYS:
        raise ValueError(f"a toy is one of {', '.join(TOYS)}, got {name!r}")
    if n < 1:
        raise ValueError(f"n is at least 1 point, got {n}")
    points, parts = TOYS[name](n, rng)
    return points.astype(np.float32), parts


def _ring(n: int, rng: Generator) -> tuple[Array, Array]:
    part = rng.integers(0, MODES, n)
    centre = np.asarray(ring_modes(), like=part)[part]
    return centre + SPREAD * rng.standard_normal((n, 2)), part


def _moons(n: int, rng: Generator) -> tuple[Array, Array]:
    part, angle = rng.integers(0, 2, n), math.pi * rng.random(n)
    return _on_moons(part, angle) + NOISE * rng.standard_normal((n, 2)), part


def _on_moons(part: Array, angle: Array) -> Array:
    sign = 1 - 2 * part
    x = sign * np.cos(angle) + part - 0.5
    y = sign * np.sin(angle) + 0.5 * part - 0.25
    return np.stack([x, y], axis=1)


def _swirl(n: int, rng: Generator) -> tuple[Array, Array]:
    # The radius grows with the angle, so that the square root spreads points evenly in length.
    angle = 3 * math.pi * np.sqrt(rng.random(n))
    noise = NOISE * rng.standard_normal((n, 2))
    return _on_swirl(angle) + noise, np.zeros_like(angle, dtype=np.int64)


def _on_swirl(angle: Array) -> Array:
    return angle[:, None] / (1.5 * math.pi) * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _laplace(n: int, rng: Generator) -> tuple[Array, Array]:
    u = rng.random((n, 2)) - 0.5  # for the inverse of the distribution function
    sources = -np.sign(u) * np.log1p(-2 * np.absolute(u)) / math.sqrt(2)
    mixing = np.asarray(MIXING, like=u)
    return sources @ mixing.T, np.zeros_like(u[:, 0], dtype=np.int64)


TOYS: dict[str, Any] = {"ring": _ring, "moons": _moons, "swirl": _swirl, "laplace": _laplace}


def skeleton(name: Literal["ring", "moons", "swirl"]) -> tuple[Array, Array]:
    """Return where a toy lies without its noise: (m, 2) points, and the part of each, (m,).

    The points of a curve are closely spaced. :data:`DEVIATION` holds the standard deviation of the
    noise in each direction.
    """
    along = np.linspace(0, 1, 500)
    if name == "ring":
        return ring_modes(), np.arange(MODES)
    if name == "moons":
        part = np.repeat([0, 1], len(along))
        return _on_moons(part, math.pi * np.tile(along, 2)), part
    if name == "swirl":
        return _on_swirl(3 * math.pi * along), np.zeros(len(along), dtype=np.int64)
    raise ValueError(f"{name!r} has no skeleton here; ring, moons and swirl have one")


def ring_modes() -> Array:
    """Return the means of the eight Gaussians of the ring, (8, 2)."""
    angle = 2 * math.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _of_each_mode(x: Array, variance: float) -> Array:
    """log N(x; mₖ, variance I)/8 for each of the modes mₖ, (n, 8)."""
    squares = ((x[:, None] - np.asarray(ring_modes(), like=x)) ** 2).sum(axis=2)
    return -0.5 * squares / variance - math.log(2 * math.pi * variance * MODES)


def ring_score(x: Array, sigma: float = 0.0) -> Array:
    """∇ log p_σ(x) of the ring with noise of size σ, for x: (n, 2).

    p_σ is a mixture of Gaussians N(mₖ, v I), v = 0.2² + σ². Its score is Σₖ p(k|x) (mₖ − x)/v:
    each mode pulls as strongly as it is likely to have brought forth x.
    """
    variance = SPREAD**2 + sigma**2
    each = _of_each_mode(x, variance)
    p = np.exp(each - each.max(axis=1)[:, None])
    p /= p.sum(axis=1)[:, None]
    return (p @ np.asarray(ring_modes(), like=x) - x) / variance


def log_density(name: Literal["ring", "laplace"], x: Array) -> Array:
    """log p(x) of the points x: (n, 2), exactly, for toys with a closed form: (n,)."""
    if name == "ring":
        each = _of_each_mode(x, SPREAD**2)
        top = each.max(axis=1)
        return top + np.log(np.exp(each - top[:, None]).sum(axis=1))
    if name == "laplace":
        sources = x @ np.asarray(np.linalg.inv(MIXING).T, like=x)
        return -math.sqrt(2) * np.absolute(sources).sum(axis=1) - math.log(2)
    raise ValueError(
        f"the density of {name!r} has no closed form here; those of ring, laplace have"
    )


def xor() -> tuple[Array, Array]:
    """The four rows of the truth table of exclusive or, and its values: (4, 2) float32, (4,)."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    return x, np.array([0, 1, 1, 0])


def polynomial(n: int, rng: Generator) -> tuple[Array, Array]:
    """x uniform on [0, 1)², and y = x₀² + 3 x₀ x₁ + x₁² + 5: (n, 2) and (n,), float64.

    Source: the notes, the network of two inputs, two hidden units and one output; they print the
    first row of x twice (erratum E20).
    """
    check_generator(rng)
    x = rng.random((n, 2))
    return x, x[:, 0] ** 2 + 3 * x[:, 0] * x[:, 1] + x[:, 1] ** 2 + 5


def bars_and_stripes(size: int) -> Array:
    """All images of whole bars or of whole stripes, each once: (2·2ˢ − 2, size, size) float32.

    A model that gives each of them the same probability, and 0 to all others, has the
    log-likelihood −log(2·2ˢ − 2), which is the maximum. Source: MacKay 2003, section 42.
    """
    if not 1 <= size <= 16:
        raise ValueError(f"size is from 1 to 16 pixels, got {size}")
    rows = (np.arange(2**size)[:, None] >> np.arange(size) & 1).astype(np.float32)
    stripes = np.repeat(rows[:, :, None], size, axis=2)
    bars = stripes.transpose(0, 2, 1)
    # Blank and full images are both bars and stripes.
    return np.concatenate([stripes, bars[1:-1]])
