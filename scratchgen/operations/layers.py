"""Rules for whole layers, with the delta equations as printed in the notes."""

from __future__ import annotations

import numpy as np

from ..autodiff import Rule, differentiable
from ..backend import Array, Generator
from .shaping import take


@differentiable
def affine(a: Array, W: Array, b: Array | None = None) -> Rule:
    """Affine map of a batch of rows, z = a Wᵀ + b.

    ``a``: (n, inputs), ``W``: (outputs, inputs), ``b``: (outputs,) or none; returns z:
    (n, outputs). With δ = ∂C/∂z, (n, outputs):

        ∂C/∂a = δ W,   ∂C/∂W = δᵀ a,   ∂C/∂b = Σₙ δₙ.

    The first index of W is the unit, on the way forward and on the way back; the notes mix two
    orders (erratum E5). Of a hidden layer they print a for W in δ W (E4), and its own units for the
    inputs a in δᵀ a (E6).

    Raises ``ValueError`` where the shapes do not fit. Source: the notes, "Back propagation".
    """
    if a.ndim != 2 or W.ndim != 2 or a.shape[1] != W.shape[1]:
        raise ValueError(
            f"affine takes rows a: (n, inputs) and weights W: (outputs, inputs), got {a.shape} and "
            f"{W.shape}; images are made rows by x.reshape(len(x), -1)"
        )
    z = a @ W.T
    if b is not None:
        z += b
    return z, (
        lambda delta: delta @ W,
        lambda delta: delta.T @ a,
        lambda delta: delta.sum(axis=0),
    )


@differentiable
def dropout(a: Array, *, p: float, rng: Generator | None) -> Rule:
    """Inverted dropout, z = m a: m is 0 with probability p, else 1/(1 − p), so that E[z] = a.

    ∂C/∂a = δ m with the same m. Without ``rng``, z = a. Raises ``ValueError`` unless 0 ≤ p < 1.
    Source: Srivastava et al. 2014, section 10.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout drops a share p with 0 ≤ p < 1, got {p}")
    if rng is None or p == 0:
        return a.copy(), (lambda delta: delta,)
    kept = rng.random(a.shape, dtype=np.float32) >= p
    m = kept.astype(a.dtype)
    m /= 1 - p
    return a * m, (lambda delta: delta * m,)


@differentiable
def embedding(indices: Array, W: Array) -> Rule:
    """z = the rows of W at ``indices``:  ∂C/∂W = δ at these rows, added up where one came again.

    ``indices``: integers from 0 to rows − 1, of any shape, ``W``: (rows, features); returns z:
    (…, features). The value is a product with one-hot rows, z = 1ₖ W.

    Raises ``ValueError`` for a W that is no matrix, ``TypeError`` for indices that are no integers
    and ``IndexError`` for indices out of range (checked on the host only, so that no GPU waits).
    """
    if W.ndim != 2:
        raise ValueError(f"embedding takes weights W: (rows, features), got shape {W.shape}")
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices are integers from 0 to {len(W) - 1}, got {indices.dtype}")
    if isinstance(indices, np.ndarray) and indices.size:
        lowest, highest = indices.min(), indices.max()
        if not 0 <= lowest <= highest < len(W):
            raise IndexError(f"indices run from {lowest} to {highest}, expected 0 to {len(W) - 1}")
    z, (for_W, _) = take.rule(W, indices, axis=0)
    return z, (None, for_W)
