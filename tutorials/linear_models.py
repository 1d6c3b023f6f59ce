"""Linear models: exact coefficients, descent beside the closed form, and paths over the penalty.

The notes, "Linear regression" and "Simple neural network": n = 100 samples of the function

    y = x₀² + 3 x₀ x₁ + x₁² + 5.

It is linear in its coefficients. With the monomials 1, x₀, x₁, x₀², x₀x₁ and x₁² as the columns of
the design matrix X, ordinary least squares finds them exactly, up to rounding.

*Descent.* The same cost, with Ridge's penalty, can be lowered step by step,

    θ ← θ − η ∂/∂θ [(1/n) ‖y − Xθ‖² + λ ‖θ‖²],        θ* = (XᵀX + nλ I)⁻¹ Xᵀy.

Its second derivative is H = (2/n) XᵀX + 2λ I. Let H vₖ = hₖ vₖ. A step multiplies the distance
θ − θ* along vₖ by 1 − η hₖ. So after t steps it is (1 − η hₖ)ᵗ times the first one: the number of
steps is set by the smallest eigenvalue, as the largest one limits η to less than 2/h. A penalty
raises each eigenvalue by 2λ, and makes descent faster.

*Paths.* With all 14 monomials up to degree 4, besides the constant, and noise in y, OLS spreads the
noise over all coefficients. A penalty holds them down. Ridge shrinks all of them and sets none to
zero. Lasso sets most of them to exactly zero: all of them from λ_max = (2/n) ‖Xᵀy‖_∞ on. As λ
falls, x₀x₁ appears first. x₀²x₁² correlates with x₀² and x₁²; it stands in for them for a while,
and vanishes again. Then the three of the function are large and all others small. The columns are
standardised, so that one λ suits all of them, and y is centred, so that the constant needs no
coefficient and no penalty.
"""

import sys

import numpy as np

import scratchgen as sg
from scratchgen import datasets, plotting
from scratchgen.datasets import preprocessing
from scratchgen.models import linear

SAMPLES, DEGREE, NOISE = 100, 4, 0.1
LAM, STEPS = 0.01, (0, 10, 100, 1000)
TRUE = ("x₀²", "x₀x₁", "x₁²")
NAMES = (
    "x₀",
    "x₁",
    *TRUE,
    "x₀³",
    "x₀²x₁",
    "x₀x₁²",
    "x₁³",
    "x₀⁴",
    "x₀³x₁",
    "x₀²x₁²",
    "x₀x₁³",
    "x₁⁴",
)


def exact():
    """θ of the monomials up to degree 2, by OLS: 5, 0, 0, 1, 3, 1."""
    x, y = datasets.polynomial(SAMPLES, sg.generator(0))
    return linear.ols(linear.design_matrix(x, 2), y)


def descent(lam, steps=STEPS):
    """‖θ − θ*‖ after ``steps`` of descent with η = 1/h, measured and by the eigenvalues of H."""
    x, y = datasets.polynomial(SAMPLES, sg.generator(0))
    X = linear.design_matrix(x, 2)
    h, V = np.linalg.eigh(2 / len(X) * X.T @ X + 2 * lam * np.eye(X.shape[1]))
    lr = 1 / h[-1]
    distance = linear.gradient_descent(X, y, lr, max(steps), lam) - linear.ridge(X, y, lam)
    for t in steps:
        along = (1 - lr * h) ** t * (V.T @ distance[0])
        yield t, np.linalg.norm(distance[t]), np.linalg.norm(along)


def standardised():
    """Columns of all monomials but the constant, standardised, and noisy targets, centred.

    Here x is uniform on [−1, 1]²: on [0, 1]² the powers of x₀ nearly coincide.
    """
    rng = sg.generator(1)
    x = rng.uniform(-1, 1, (SAMPLES, 2))
    columns = linear.design_matrix(x, DEGREE)[:, 1:]
    y = x[:, 0] ** 2 + 3 * x[:, 0] * x[:, 1] + x[:, 1] ** 2 + 5
    y += NOISE * rng.standard_normal(SAMPLES)
    return preprocessing.standardise(columns)(columns), y - y.mean()


def paths():
    """λ, and θ over λ by Ridge and by Lasso: (k,), and (k, 14) for each."""
    X, y = standardised()
    lams = 4 * linear.penalties(X, y, 80, span=4e3)  # from beyond λ_max, where Lasso has θ = 0
    return lams, {
        name: linear.path(fit, X, y, lams)
        for name, fit in {"Ridge": linear.ridge, "Lasso": linear.lasso}.items()
    }


def picture():
    """Plot both paths on one axis of λ, with the coefficients of the function in colour."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), layout="constrained")
    lams, of_each = paths()
    limit = linear.lasso_limit(*standardised())
    for ax, (name, theta) in zip(figure.subplots(2, sharex=True), of_each.items(), strict=True):
        plotting.penalty_paths(lams, theta, ax, names=NAMES, limit=limit)
        for line, monomial in zip(ax.get_lines(), NAMES, strict=False):
            if monomial not in TRUE:
                line.set(color="0.75", linestyle="-", linewidth=1, label="_", zorder=1)
        ax.get_lines()[0].set_label("the other 11")
        ax.set_xlim(lams[-1], 20 * limit)  # the legend is where no line is
        ax.legend(frameon=False, loc="upper right")
        ax.set_title(f"{name}: coefficients of the monomials")
    return figure


def main(path=None):
    """Print the exact coefficients, the distances of descent, and who is left over λ; plot."""
    print("OLS on 1, x₀, x₁, x₀², x₀x₁, x₁²:", *(f"{t:.12f}" for t in exact() + 0.0))
    for lam in (0.0, LAM, 10 * LAM):
        print(f"\ndescent with λ = {lam:g}: ‖θ − θ*‖, and the same by the eigenvalues")
        for t, measured, predicted in descent(lam):
            print(f"  after {t:5d} steps  {measured:.6e}  {predicted:.6e}")
    lams, of_each = paths()
    print("\nmonomials up to degree 4 that Lasso keeps:")
    for k in range(0, len(lams), 8):
        kept = [name for name, t in zip(NAMES, of_each["Lasso"][k], strict=True) if t]
        print(f"  λ = {lams[k]:8.4f}  {', '.join(kept) or 'none'}")
    if path:
        plotting.save(picture(), path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
