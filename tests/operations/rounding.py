"""Convolutions of random images, and how far Winograd's method may be from their definition."""

import math

import numpy as np

from scratchgen.operations.winograd import A, B, G


def drawn(rng, *shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def shares(operation, x, W, b, delta, **given):
    """The value, and ∂C/∂x, ∂C/∂W, ∂C/∂b."""
    value, equations = operation.rule(x, W, b, **given)
    return [value, *(equation(delta) for equation in equations)]


def rounding_of(dtype, terms, *factors):
    """How far Winograd's method in ``dtype`` can be from the sum of ``terms`` products, at most.

    A term is rounded once for each other one that it is added to, and fewer than 40 times in the
    three transforms, which make one product of the largest factors at most 28² products of them.
    """
    u = np.finfo(dtype).eps / 2
    return (terms + 40) * u * AMPLIFIED**2 * terms * math.prod(np.abs(z).max() for z in factors)


# The largest sum of absolute values along one axis, of Aᵀ [G ∘ Bᵀ] and of Gᵀ [A ∘ Bᵀ].
AMPLIFIED = max(
    (np.abs(last).T @ (np.abs(first).sum(axis=1) * np.abs(B).sum(axis=0))).max()
    for last, first in ((A, G), (G, A))
)
