r"""Principal component analysis: the best linear code of k numbers, known in closed form.

A sample x of D numbers is coded by k < D numbers h and decoded again,

    h = V (x − m),        x̂ = m + Vᵀ h,        V Vᵀ = I,

with the mean m of the samples and k orthonormal rows in V. Let λ₁ ≥ … ≥ λ_D be the eigenvalues of
the covariance S = (1/n) Σᵢ (xᵢ − m)(xᵢ − m)ᵀ. The mean squared error is least if the rows of V are
the eigenvectors of λ₁ … λ_k, the *principal axes*, and is then the sum of all others,

    (1/n) Σᵢ ‖xᵢ − x̂ᵢ‖² = λ_{k+1} + … + λ_D.

No other affine encoder and decoder with k numbers in between have a smaller error (Eckart and
Young): this is the exact optimum of a linear autoencoder. Along the axes the codes are
uncorrelated, and λⱼ is the variance of hⱼ. So the same axes keep the most variance:
(λ₁ + … + λ_k)/Σ λⱼ is the *explained* share.

The eigenvalues are s²/n for the singular values s of the centred samples. scikit-learn divides by
n − 1 in place of n: its ``explained_variance_`` is n/(n − 1) λ.

Sources: the notes, "The plethora of machine learning algorithms/methods"; Eckart and Young 1936;
Bishop 2006, section 12.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..backend import Array, to_host


@dataclass(frozen=True)
class PCA:
    """The code h = V (x − m) of k numbers, and x̂ = m + Vᵀ h: made by :func:`fit`."""

    mean: Array
    """m: (D,)."""
    axes: Array
    """V: (k, D), orthonormal rows."""
    variances: Array
    """λ₁ ≥ λ₂ ≥ …, of all min(n, D) axes, not only of the k in use."""

    def encode(self, x: Array) -> Array:
        """h = V (x − m): (n, k), for x: (n, D), or images (n, …) of D numbers."""
        return (x.reshape(len(x), -1) - self.mean) @ self.axes.T

    def decode(self, h: Array) -> Array:
        """x̂ = m + Vᵀ h: (n, D)."""
        return self.mean + h @ self.axes

    def reconstruct(self, x: Array) -> Array:
        """x̂ of samples x, in the shape of x: the nearest point of the plane through m along V."""
        return self.decode(self.encode(x)).reshape(x.shape)

    def squared_errors(self, x: Array) -> Array:
        """‖x − x̂‖² of each sample: (n,)."""
        error = (x - self.reconstruct(x)).reshape(len(x), -1)
        return (error * error).sum(axis=1)

    @property
    def least_error(self) -> float:
        """λ_{k+1} + … + λ_D: the mean of ‖x − x̂‖² over the samples that were fitted."""
        return float(to_host(self.variances[len(self.axes) :].sum()))

    @property
    def explained(self) -> Array:
        """λⱼ/Σ λ, the share of the variance along each of the k axes; 0 where nothing varies."""
        total = self.variances.sum()
        return self.variances[: len(self.axes)] / np.where(total > 0, total, 1)


def fit(x: Array, k: int) -> PCA:
    """Return the k principal axes of samples x: (n, D), or images (n, …); all in float64.

    The sign of an axis is arbitrary; its largest entry is made positive. Raises ``ValueError``
    unless n ≥ 2 and 1 ≤ k ≤ min(n, D), and for numbers that are not finite.
    """
    rows = x.reshape(len(x), -1).astype(np.float64)
    if len(rows) < 2:
        raise ValueError(f"x has {len(rows)} samples, expected at least two: one point has no axes")
    if not 1 <= k <= min(rows.shape):
        raise ValueError(f"k is from 1 to min(n, D) = {min(rows.shape)} axes, got {k}")
    if not bool(to_host(np.isfinite(rows).all())):
        raise ValueError("x holds NaN or infinity: leave these samples out")
    mean = rows.mean(axis=0)
    # R of the centred samples Q R has the same singular values and axes, and at most D rows.
    _, s, axes = np.linalg.svd(np.linalg.qr(rows - mean, mode="r"), full_matrices=False)
    axes = axes[:k]
    largest = np.take_along_axis(axes, np.absolute(axes).argmax(axis=1)[:, None], axis=1)
    return PCA(mean, axes * np.where(largest < 0, -1.0, 1.0), s * s / len(rows))
