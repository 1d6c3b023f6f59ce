# %% [markdown]
# # Linear models
#
# *The one chapter in which the optimum has a closed form.* This chapter follows the sections "Low-level machine learning,
# the family of ordinary least squares methods" to "Lasso regression" of the notes, with the data of their section
# "Simple neural network": $n = 100$ samples of
#
# $$y = x_0^2 + 3 x_0 x_1 + x_1^2 + 5 .$$

# %%
import numpy as np

import scratchgen as sg
from scratchgen import datasets, plotting
from scratchgen.datasets import preprocessing
from scratchgen.learning import attempt, panels, source
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

# %% [markdown]
# ## The normal equations
#
# Targets $y = f(x) + \epsilon$ are modelled by $\tilde y = X \theta$. Row $i$ of the *design matrix* $X$ holds the features of
# sample $i$: here its monomials $1, x_0, x_1, x_0^2, x_0 x_1, x_1^2$. The model is linear in $\theta$, not in $x$. The cost is the
# mean squared error, as a sum and as a product of vectors, with its derivative:
#
# $$C(\theta) = \frac1n \sum_i (y_i - \tilde y_i)^2 = \frac1n (y - X\theta)^{\mathsf T} (y - X\theta), \qquad
# \frac{\partial C}{\partial \theta} = -\frac2n X^{\mathsf T} (y - X\theta) .$$
#
# The derivative is zero where the *normal equations* hold. Their solution is *ordinary least squares*, OLS:
#
# $$X^{\mathsf T} X \theta = X^{\mathsf T} y, \qquad \hat\theta = (X^{\mathsf T} X)^{-1} X^{\mathsf T} y .$$
#
# (The design matrix that the notes print has its first row twice, [E20](errata.md#e20).)


# %%
def slope(X, y, theta):
    """∂C/∂θ = −(2/n) Xᵀ(y − Xθ)."""
    return -2 / len(X) * X.T @ (y - X @ theta)


x, y = datasets.polynomial(SAMPLES, sg.generator(0))
X = linear.design_matrix(x, 2)
at = np.arange(6.0)
print(
    sg.check_gradient(
        lambda theta: linear.mean_squared_error(X, y, theta), lambda theta: slope(X, y, theta), at
    )
)

# %%
source(linear.ols)


# %%
def exact():
    """θ of the monomials up to degree 2, by OLS: 5, 0, 0, 1, 3, 1."""
    x, y = datasets.polynomial(SAMPLES, sg.generator(0))
    return linear.ols(linear.design_matrix(x, 2), y)


print("OLS on 1, x₀, x₁, x₀², x₀x₁, x₁²:", *(f"{t:.12f}" for t in exact().round(12) + 0.0))

# %% [markdown]
# The data have no noise, and the monomials of the function are among the columns: the coefficients are exact.
#
# ## Descent beside the closed form
#
# The same cost, with the penalty $\lambda \|\theta\|_2^2$ of *Ridge*, can be lowered step by step:
#
# $$\theta \leftarrow \theta - \eta \frac{\partial}{\partial \theta} \Bigl[ \frac1n \|y - X\theta\|_2^2 + \lambda \|\theta\|_2^2 \Bigr], \qquad
# \theta^* = (X^{\mathsf T} X + n \lambda I)^{-1} X^{\mathsf T} y .$$
#
# The second derivative is $H = \frac2n X^{\mathsf T} X + 2 \lambda I$. Let $H v_k = h_k v_k$. A step multiplies the distance
# $\theta - \theta^*$ along $v_k$ by $1 - \eta h_k$. So after $t$ steps it is $(1 - \eta h_k)^t$ times the first one. The number of
# steps is set by the smallest eigenvalue, as the largest one limits $\eta$ to less than $2/h$. A penalty raises each
# eigenvalue by $2 \lambda$, and makes descent faster.


# %%
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


for lam in (0.0, LAM, 10 * LAM):
    print(f"descent with λ = {lam:g}: ‖θ − θ*‖, and the same by the eigenvalues")
    for t, measured, predicted in descent(lam):
        print(f"  after {t:5d} steps  {measured:.6e}  {predicted:.6e}")

# %%
left, right = panels(1, 2, size=(9.6, 3.5))
times = np.unique(np.geomspace(1, 3000, 40).astype(int))
for lam, colour in ((0.0, "C3"), (LAM, "C1"), (10 * LAM, "C0")):
    _, measured, predicted = np.array(list(descent(lam, tuple(times)))).T
    left.plot(times, measured, "o", color=colour, markersize=3, label=f"λ = {lam:g}")
    left.plot(times, predicted, color=colour, linewidth=1)
    h = np.linalg.eigvalsh(2 / len(X) * X.T @ X + 2 * lam * np.eye(6))
    right.plot(np.arange(1, 7), h, "o-", color=colour, markersize=4)
left.set(xscale="log", yscale="log", ylim=(1e-10, 10), xlabel="steps", title="‖θ − θ*‖, and theory")
left.legend(frameon=False)
right.set(yscale="log", xlabel="k", title="eigenvalues $h_k$ of H")
left

# %% [markdown]
# The flat parts of the curves are the slow directions. Below $10^{-15}$ the measured distance stays, since it is rounding.
#
# ## Paths over the penalty
#
# Take all 14 monomials up to degree 4, besides the constant, and noise in $y$. OLS spreads the noise over all
# coefficients. A penalty holds them down. Ridge shrinks all of them, and sets none to zero. *Lasso* has the penalty
# $\lambda \|\theta\|_1$, whose slope does not vanish at zero. It sets most coefficients to exactly zero, and all of them from
#
# $$\lambda_{\max} = \tfrac2n \|X^{\mathsf T} y\|_\infty$$
#
# on, where no column pulls harder than the penalty. The columns are standardised, so that one $\lambda$ suits all of them, and
# $y$ is centred, so that the constant needs no coefficient and no penalty.


# %%
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


lams, of_each = paths()
print("monomials up to degree 4 that Lasso keeps:")
for k in range(0, len(lams), 8):
    kept = [name for name, t in zip(NAMES, of_each["Lasso"][k], strict=True) if t]
    print(f"  λ = {lams[k]:8.4f}  {', '.join(kept) or 'none'}")


# %%
def picture():
    """Plot both paths on one axis of λ, with the coefficients of the function in colour."""
    lams, of_each = paths()
    limit, axes = linear.lasso_limit(*standardised()), panels(2, 1, size=(7, 7), sharex=True)
    for ax, (name, theta) in zip(axes, of_each.items(), strict=True):
        plotting.penalty_paths(lams, theta, ax, names=NAMES, limit=limit)
        for line, monomial in zip(ax.get_lines(), NAMES, strict=False):
            if monomial not in TRUE:
                line.set(color="0.75", linestyle="-", linewidth=1, label="_", zorder=1)
        ax.get_lines()[0].set_label("the other 11")
        ax.set_xlim(lams[-1], 20 * limit)  # the legend is where no line is
        ax.legend(frameon=False, loc="upper right")
        ax.set_title(f"{name}: coefficients of the monomials")
    return axes[0].figure


picture().axes[0]

# %% [markdown]
# As $\lambda$ falls, $x_0 x_1$ appears first. $x_0^2 x_1^2$ correlates with $x_0^2$ and $x_1^2$; it stands in for them for a
# while, and vanishes again. Then the three of the function are large and all others small.
#
# ## What goes wrong
#
# Columns that nearly depend on one another make OLS unstable: $x_0 \in [0, 1]$ to the powers 1 to 12 are such columns. The
# fit through the points is good, and the coefficients are enormous, with alternating signs. New noise gives others.

# %%
line = np.linspace(0, 1, 20)
many, true = linear.design_matrix(line, 12), np.sin(2 * np.pi * line)
left, right = panels(1, 2, size=(9.6, 3.5))
fine = np.linspace(0, 1, 300)
for fit, colour, name in (
    (linear.ols, "C3", "OLS"),
    (lambda X, y: linear.ridge(X, y, 1e-5), "C0", "Ridge, λ = 10⁻⁵"),
):
    for k in range(4):
        theta = fit(many, true + 0.1 * np.random.default_rng(k).standard_normal(20))
        left.plot(
            fine,
            linear.design_matrix(fine, 12) @ theta,
            color=colour,
            linewidth=1,
            label=name if not k else None,
        )
        right.plot(np.abs(theta), "o-", color=colour, markersize=3, linewidth=1)
left.plot(fine, np.sin(2 * np.pi * fine), "k--", label="the function")
left.set(ylim=(-1.6, 1.6), xlabel="x", title="degree 12, 20 points, four draws of the noise")
left.legend(frameon=False)
right.set(yscale="log", xlabel="power", title="|coefficient|")
print(f"condition number of XᵀX: {np.linalg.cond(many.T @ many):.1e}")
left

# %% [markdown]
# | it looks so | the cause |
# |---|---|
# | coefficients of $10^6$, alternating signs | columns that nearly coincide: fewer of them, or Ridge |
# | a penalty that shrinks one coefficient only | columns of different sizes: standardise them ([Nuclear masses](nuclear_masses.md)) |
# | another program finds another $\theta$ for the same $\lambda$ | another convention: `Ridge(alpha=n λ)` and `Lasso(alpha=λ/2)` of scikit-learn |
# | predictions are too low throughout | the constant is penalised, too: centre $y$ |
#
# ## Exercises
#
# ### Exercise 1: Ridge
# Solve $(X^{\mathsf T} X + n \lambda I)\, \theta = X^{\mathsf T} y$.


# %%
def ridge_by_hand(X, y, lam):
    """θ, (p,)."""
    # your line


def check_ridge(answer):
    np.testing.assert_allclose(answer(X, y, 0.1), linear.ridge(X, y, 0.1), rtol=1e-9)


attempt(check_ridge, ridge_by_hand)


# %% tags=["solution"]
def ridge_by_hand(X, y, lam):
    return np.linalg.solve(X.T @ X + len(X) * lam * np.eye(X.shape[1]), X.T @ y)


attempt(check_ridge, ridge_by_hand)

# %% [markdown]
# ### Exercise 2: what Ridge does to one direction
# Let $X = U S V^{\mathsf T}$. By which factor is the coefficient along a right singular vector of the singular value $s$ smaller
# for Ridge than for OLS?


# %%
def shrinkage(s, n, lam):
    """The factor, between 0 and 1."""
    # your line


def check_shrinkage(answer):
    _, s, Vt = np.linalg.svd(X, full_matrices=False)
    found = Vt @ linear.ridge(X, y, 0.1)
    np.testing.assert_allclose(answer(s, len(X), 0.1) * (Vt @ linear.ols(X, y)), found, rtol=1e-8)


attempt(check_shrinkage, shrinkage)


# %% tags=["solution"]
def shrinkage(s, n, lam):
    return s**2 / (s**2 + n * lam)


attempt(check_shrinkage, shrinkage)

# %% [markdown]
# ### Exercise 3: Lasso in one dimension
# Minimise $\frac1n \sum_i (y_i - x_i \theta)^2 + \lambda |\theta|$ over a single $\theta$. The cost has a kink at zero. Where is the
# minimum there?


# %%
def lasso_in_one_dimension(x, y, lam):
    """θ, a number."""
    # your lines


def check_lasso(answer):
    rng = np.random.default_rng(0)
    for lam in (0.1, 0.5, 3.0):
        x, y = rng.standard_normal((2, 30))
        y = y + 0.8 * x
        expected = linear.lasso(x[:, None], y, lam)[0]
        np.testing.assert_allclose(answer(x, y, lam), expected, atol=1e-12)


attempt(check_lasso, lasso_in_one_dimension)


# %% tags=["solution"]
def lasso_in_one_dimension(x, y, lam):
    pull = x @ y  # the soft threshold: zero while the pull is too weak for the penalty
    return np.sign(pull) * max(abs(pull) - len(x) * lam / 2, 0) / (x @ x)


attempt(check_lasso, lasso_in_one_dimension)

# %% [markdown]
# **Read on:** [Nuclear masses](nuclear_masses.md) are fitted by five coefficients, and by a network.
# [Optimizers](optimizers.md) descend faster than $(1 - \eta h)^t$.
