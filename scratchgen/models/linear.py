r"""Linear models: the one chapter of the notes in which the optimum has a closed form.

Targets y = f(x) + ε are modelled by ỹ = X θ. Row i of the *design matrix* X holds the features of
sample i, such as its powers 1, xᵢ, xᵢ², …: the model is linear in θ, not in x. The cost is the mean
squared error, as a sum and in matrix form

    C(θ) = (1/n) Σᵢ (yᵢ − ỹᵢ)² = (1/n) (y − Xθ)ᵀ(y − Xθ),      ∂C/∂θ = −(2/n) Xᵀ(y − Xθ).

The gradient is zero where the *normal equations* XᵀX θ = Xᵀy hold; their solution is *ordinary
least squares*. Two penalties keep θ small. They act on every coefficient. The model has an
intercept only if X has a column of ones, and the intercept is then penalised like the others:

    Ridge: C(θ) + λ ‖θ‖²₂,  ‖θ‖₂ = √Σ θⱼ²,      (XᵀX + nλ I) θ = Xᵀy,
    Lasso: C(θ) + λ ‖θ‖₁,   ‖θ‖₁ = Σ |θⱼ|,       (2/n) Xⱼᵀ(y − Xθ) = λ sign θⱼ where θⱼ ≠ 0,
                                                 |(2/n) Xⱼᵀ(y − Xθ)| ≤ λ where θⱼ = 0.

The last two lines, the conditions of Karush, Kuhn and Tucker, show why Lasso sets coefficients to
exactly zero: for λ ≥ (2/n) ‖Xᵀy‖_∞ all of them are zero.

For example, the notes' polynomial of two variables is found to its exact coefficients, here of the
columns 1, x₀, x₁, x₀², x₀x₁ and x₁²:

>>> import scratchgen as sg
>>> x, y = sg.datasets.polynomial(100, sg.generator(0))  # y = x₀² + 3x₀x₁ + x₁² + 5
>>> ols(design_matrix(x, 2), y).round(9) + 0.0
array([5., 0., 0., 1., 3., 1.])

scikit-learn uses other factors: its ``Ridge(alpha=n λ)`` and ``Lasso(alpha=λ/2)``, both with
``fit_intercept=False``, minimise these costs.

Sources: the notes, "Essential elements of ML" to "Linear regression"; Hastie, Tibshirani and
Friedman 2009, chapter 3; Friedman, Hastie and Tibshirani 2010 (coordinate descent).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array, Generator, to_host
from .feed_forward import Classifier, dense


class RankWarning(UserWarning):
    """The columns of a design matrix are linearly dependent, so that many θ fit equally well."""


def design_matrix(x: Array, degree: int) -> Array:
    """Columns 1, x, x², … for x: (n,); all monomials up to ``degree`` for x: (n, d).

    The monomials are ordered by degree, and within a degree by their features: 1, x₀, x₁, x₀²,
    x₀x₁, x₁², …. There are (d + degree choose degree) of them.
    """
    if degree < 0:
        raise ValueError(f"degree is at least 0, got {degree}")
    if x.ndim not in (1, 2):
        raise ValueError(f"x is (n,), or (n, d) for d features, got {x.shape}")
    features = x[:, None] if x.ndim == 1 else x
    one = np.ones_like(features[:, :1])
    columns = [one]
    for k in range(1, degree + 1):
        for chosen in itertools.combinations_with_replacement(range(features.shape[1]), k):
            columns.append(features[:, list(chosen)].prod(axis=1, keepdims=True))
    return np.concatenate(columns, axis=1)


def mean_squared_error(X: Array, y: Array, theta: Any) -> Any:
    """C(θ) = (1/n) Σᵢ (yᵢ − Σⱼ Xᵢⱼ θⱼ)², one number. ``theta`` may be a tensor."""
    residual = y - X @ theta
    return (residual * residual).sum() / len(X)


def ols(X: Array, y: Array) -> Array:
    """The θ that minimises (1/n) ‖y − Xθ‖²₂, for X: (n, p) and y: (n,) or (n, m).

    If the rank of X is below p, several θ minimise the cost. The result is the θ of least norm, and
    a :class:`RankWarning` reports the rank. The solution uses the singular values of X. The
    singular values of XᵀX are the squares of these, so that columns of very different sizes would
    lose more precision.
    """
    X, y = _checked(X, y)
    theta, _, rank, _ = np.linalg.lstsq(X, y, rcond=None)
    if int(rank) < X.shape[1]:
        warnings.warn(
            f"the rank of the {len(X)} × {X.shape[1]} design matrix is {int(rank)}: its columns "
            "depend on one another, and the θ of least norm is returned; leave columns out, or "
            "take ridge",
            RankWarning,
            stacklevel=2,
        )
    return theta


def ridge(X: Array, y: Array, lam: float) -> Array:
    """The θ that minimises (1/n) ‖y − Xθ‖²₂ + λ ‖θ‖²₂: the solution of (XᵀX + nλ I) θ = Xᵀy.

    It is the least-squares solution with √(nλ) I beneath X and zeros beneath y.
    """
    X, y = _checked(X, y, lam)
    if lam == 0:
        return ols(X, y)
    n, p = X.shape
    below = math.sqrt(n * lam) * np.eye(p, like=X)
    zeros = np.zeros_like(y, shape=(p, *y.shape[1:]))
    theta, *_ = np.linalg.lstsq(np.concatenate([X, below]), np.concatenate([y, zeros]), rcond=None)
    return theta


def lasso(X: Array, y: Array, lam: float, sweeps: int = 10_000) -> Array:
    """The θ that minimises (1/n) ‖y − Xθ‖²₂ + λ ‖θ‖₁, for X: (n, p) and y: (n,) or (n, m).

    Along one coordinate the minimum has a closed form, θⱼ ← S(θⱼ + Xⱼᵀr/‖Xⱼ‖², nλ/(2 ‖Xⱼ‖²)) with
    the residual r = y − Xθ and the soft threshold S(a, b) = sign(a) max(|a| − b, 0). Sweeps over
    the coordinates determine which of them are zero, and the signs of the others. Given the zeros
    and the signs, the conditions of Karush, Kuhn and Tucker are linear equations; their solution is
    the optimum to rounding. Raises ``RuntimeError`` if ``sweeps`` sweeps do not suffice, as with
    columns that nearly coincide.
    """
    X, y = _checked(X, y, lam)
    if lam == 0:
        return ols(X, y)
    if y.ndim == 2:
        return np.stack([lasso(X, column, lam, sweeps) for column in y.T], axis=1)
    n, double = len(X), X.astype(np.float64)
    # With XᵀX/n and Xᵀy/n, a sweep costs p² operations for any number of samples.
    gram = to_host(double.T @ double) / n
    slope = to_host(double.T @ y.astype(np.float64)) / n  # Xᵀr/n
    of_y, theta = slope.copy(), np.zeros_like(slope)
    signs = theta + math.nan  # differs from all signs
    for _ in range(sweeps):
        for j in np.flatnonzero(gram.diagonal()):
            a = theta[j] * gram[j, j] + slope[j]
            new = math.copysign(max(abs(a) - lam / 2, 0.0), a) / gram[j, j]
            if new != theta[j]:
                slope -= gram[:, j] * (new - theta[j])
                theta[j] = new
        before, signs = signs, np.sign(theta)
        if np.array_equal(signs, before):
            optimum = _given_signs(gram, of_y, lam, signs)
            if optimum is not None:
                return np.asarray(optimum, dtype=X.dtype, like=X)
    raise RuntimeError(
        f"{sweeps} sweeps did not settle which coefficients are zero: scale the columns of X to "
        "one size, leave out columns that nearly coincide, or allow more sweeps"
    )


def _given_signs(gram: Array, of_y: Array, lam: float, signs: Array) -> Array | None:
    """Solve XᵀX θ/n = Xᵀy/n − ½λ sign θ where the signs are not 0; None if θ is not the optimum."""
    active = signs != 0
    theta = np.zeros_like(of_y)
    theta[active], *_ = np.linalg.lstsq(
        gram[np.ix_(active, active)], of_y[active] - lam / 2 * signs[active], rcond=None
    )
    slope = of_y - gram @ theta
    rounding = 1e-12 * np.absolute(of_y).max()
    holds = np.absolute(slope[~active]) <= lam / 2 + rounding
    return theta if holds.all() and np.array_equal(np.sign(theta), signs) else None


def lasso_limit(X: Array, y: Array) -> float:
    """(2/n) ‖Xᵀy‖_∞: the least λ at which Lasso's θ is zero."""
    X, y = _checked(X, y)
    return float(to_host(2 * np.absolute(X.T @ y).max() / len(X)))


def penalties(X: Array, y: Array, n: int = 60, span: float = 1e4) -> Array:
    """Return n values of λ, evenly spaced in log λ, from :func:`lasso_limit` down by ``span``."""
    limit = lasso_limit(X, y)
    if n < 2 or not 1 < span < math.inf or not limit > 0:
        raise ValueError(
            f"λ runs over n ≥ 2 values from λ_max > 0 to λ_max/span with span > 1, got n = {n}, "
            f"span = {span:g} and λ_max = {limit:g}: λ_max is 0 if no column of X correlates with y"
        )
    return np.geomspace(limit, limit / span, n)


def path(fit: Callable[[Array, Array, float], Array], X: Array, y: Array, lams: Array) -> Array:
    """θ over λ, (len(lams), p), for y: (n,), where ``fit`` is :func:`ridge` or :func:`lasso`.

    Ridge shrinks each coefficient smoothly; along the right singular vector of the singular value s
    of X, by s²/(s² + nλ). Lasso's path is piecewise linear in λ, and θ is 0 from λ_max on.
    """
    return np.stack([fit(X, y, float(lam)) for lam in lams])


def gradient_descent(X: Array, y: Array, lr: float, steps: int, lam: float = 0.0) -> Array:
    """θ after each of ``steps`` steps θ ← θ − η ∂/∂θ [C(θ) + λ‖θ‖²₂] from zero: (steps + 1, p).

    Each step multiplies the distance to the closed form by I − η H with H = (2/n) XᵀX + 2λ I. The
    steps converge for η < 2/h, where h is the largest eigenvalue of H. They converge slowly along
    the eigenvector of the smallest eigenvalue.
    """
    X, y = _checked(X, y, lam)
    theta = [np.zeros_like(X[0])]
    for _ in range(steps):
        at = theta[-1]
        theta.append(at - lr * (-2 / len(X) * (X.T @ (y - X @ at)) + 2 * lam * at))
    return np.stack(theta)


def logistic_regression(n_features: int, n_classes: int, rng: Generator) -> Classifier:
    """p(y = k|x) ∝ exp(zₖ) with z = W x + b: a classifier whose network has no hidden layer.

    Its cost is convex, so that training converges to the same optimum from any initial weights.
    """
    return Classifier(dense((n_features,), n_classes if n_classes > 2 else 1, rng, hidden=()))


def _checked(X: Array, y: Array, lam: float = 0.0) -> tuple[Array, Array]:
    if X.ndim != 2 or y.ndim not in (1, 2) or len(X) != len(y) or not len(X):
        raise ValueError(
            "X is a design matrix (n, p) and y the targets (n,) or (n, m), with n ≥ 1, got shapes "
            f"{X.shape} and {y.shape}: design_matrix(x, 1) makes columns 1 and x of samples x"
        )
    if not 0 <= lam < math.inf:
        raise ValueError(f"the penalty λ is a number from 0, got {lam}")
    X, y = (a if a.dtype.kind == "f" else a.astype(np.float64) for a in (X, y))
    for name, a in (("X", X), ("y", y)):
        bad = int(to_host((~np.isfinite(a)).sum()))
        if bad:
            raise ValueError(f"{bad} of the {a.size} numbers in {name} are NaN or infinite")
    return X, y
