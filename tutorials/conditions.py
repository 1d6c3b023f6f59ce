# %% [markdown]
# # Conditions and posteriors
#
# *A diffusion model, multiplied by what is known.* The notes list, among the features of diffusion models, "easy
# multiplication with other distributions, e.g. in order to compute a posterior", and name inpainting and
# super-resolution. This chapter says how easy it is, and what it costs.
#
# Let $y$ be known of $x_0$: its class, some of its pixels, an average. Bayes' rule for the noised densities is
#
# $$p(x_t | y) = \frac{p(x_t)\, p(y | x_t)}{p(y)} \qquad\Rightarrow\qquad
# \nabla \log p(x_t | y) = \underbrace{\nabla \log p(x_t)}_{-\hat\epsilon/\sqrt{1 - \bar\alpha_t}}
# + \nabla \log p(y | x_t) .$$
#
# The network gives the first term. The second is the topic of this chapter. All models here have exact denoisers, so
# that every error is one of the method.

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen.learning import attempt, panels, source
from scratchgen.models import DDPM
from scratchgen.models.diffusion import conditioning, inpaint, posterior, super_resolve

# %% [markdown]
# ## Class labels and guidance
#
# A network that is given the label, $\hat\epsilon(x_t, t, c)$, learns $p(x_t | c)$; with the label "none" for some of the
# training samples it learns $p(x_t)$ as well. The difference of the two is a classifier that nobody trained:
#
# $$\nabla \log p(c | x_t) = \nabla \log p(x_t | c) - \nabla \log p(x_t) .$$
#
# *Classifier-free guidance* takes this term $1 + w$ times,
#
# $$\tilde\epsilon = (1 + w)\, \hat\epsilon(x_t, t, c) - w\, \hat\epsilon(x_t, t) .$$

# %%
source(DDPM.guided)

# %% [markdown]
# A toy of the plane with two classes of two Gaussians each. One Gaussian of each class is close to the other class.

# %%
CENTRES = np.array([[[-1.6, 0.0], [-0.25, 0.8]], [[1.6, 0.0], [0.25, -0.8]]])  # class, part, axis
SPREAD, T = 0.55, 60


def log_parts(x, left=1.0):
    """log of each part of p(x_t)/¼, up to a constant, and the variance of a part: (n, 2, 2)."""
    v = left * SPREAD**2 + 1 - left
    squares = ((x[:, None, None] - math.sqrt(left) * CENTRES) ** 2).sum(axis=3)
    return -0.5 * squares / v, v


def noise_of_parts(x, left, weights):
    """E[ε|x_t] of a mixture of the parts, with weights (n, 2, 2) that sum to 1."""
    mean = (weights[..., None] * CENTRES).sum(axis=(1, 2))
    v = left * SPREAD**2 + 1 - left
    return math.sqrt(1 - left) * (x - math.sqrt(left) * mean) / v


class Exact:
    """ε̂(x_t, t/T, c) of the toy, in closed form; label 2 is "none"."""

    def __call__(self, x, time, labels):
        left = float(self.model.alpha_bar[round(float(time[0]) * T)])
        log_w, _ = log_parts(x, left)
        is_of = (labels[:, None] == np.arange(2)) | (labels[:, None] == 2)
        log_w = np.where(is_of[:, :, None], log_w, -np.inf)
        w = np.exp(log_w - log_w.max(axis=(1, 2), keepdims=True))
        return noise_of_parts(x, left, w / w.sum(axis=(1, 2), keepdims=True))


@functools.cache
def toy():
    """The DDPM of the toy."""
    network = Exact()
    network.model = DDPM(network, (2,), T, "cosine", "posterior", n_classes=2)
    return network.model


def of_class_one(x):
    """p(c = 0|x), exactly."""
    w = np.exp(log_parts(x)[0])
    return w[:, 0].sum(axis=1) / w.sum(axis=(1, 2))


@functools.cache
def guided(w, n=1500):
    """Samples of class 0 with guidance w."""
    return toy().sample(n, sg.generator(1), labels=0, guidance=w).astype(np.float64)


GRID = np.linspace(-3.2, 2.4, 150)
PLANE = np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2)


def sharpened(w):
    """p(x) p(c|x)^{1+w} on the grid, normalised: (150, 150)."""
    p = np.exp(log_parts(PLANE)[0]).sum(axis=(1, 2)) * of_class_one(PLANE) ** (1 + w)
    return (p / p.sum()).reshape(len(GRID), -1)


def share_near(x, weights=None):
    """The share nearer to the outer part of class 0 than to the inner one."""
    outer, inner = (((x - centre) ** 2).sum(axis=1) for centre in CENTRES[0])
    return float(np.average(outer < inner, weights=weights))


def spread_near(x, weights=None):
    """The standard deviation of an axis, of the points within 1 of the outer part."""
    near = ((x - CENTRES[0, 0]) ** 2).sum(axis=1) < 1
    weights = None if weights is None else weights[near]
    squares = (x[near] - np.average(x[near], axis=0, weights=weights)) ** 2
    return math.sqrt(np.average(squares.mean(axis=1), weights=weights))


def row(x, weights=None):
    """Mean p(c|x), share of the outer part, and its deviation."""
    of_class = np.average(of_class_one(x), weights=weights)
    return of_class, share_near(x, weights), spread_near(x, weights)


print(f"{'':<24}{'p(c|x)':>9}{'outer part':>12}{'deviation':>11}")
for w in (0.0, 1.0, 4.0):
    for name, of in (
        (f"guidance, w = {w:g}", row(guided(w))),
        ("  p(x) p(c|x)^(1+w)", row(PLANE, sharpened(w).ravel())),
    ):
        print(f"{name:<24}{of[0]:9.4f}{of[1]:12.3f}{of[2]:11.3f}")

# %%
axes = panels(1, 3, size=(9.6, 3.6), sharey=True)
for ax, w in zip(axes, (0.0, 1.0, 4.0), strict=True):
    ax.contour(GRID, GRID, sharpened(w), levels=6, cmap="Greys", linewidths=0.8)
    ax.plot(*guided(w).T, ".", color="C0", markersize=1.5)
    ax.plot(*CENTRES[1].T, "x", color="C3", label="the other class")
    ax.set(title=f"w = {w:g}", xlim=(GRID[0], GRID[-1]), ylim=(-2.2, 2.4), aspect="equal")
axes[0].legend(frameon=False, loc="lower left")
axes[0]

# %% [markdown]
# $w = 0$ is $p(x | c)$. With guidance the label is right almost always. The cost is diversity: the samples leave the
# part that resembles the other class, and each part becomes narrower. And guidance does not sample the density
# $p(x)\, p(c | x)^{1 + w}$, whose contours are drawn: $\tilde\epsilon$ is the score of that product at each $t$, but these
# products are not the noised versions of one another.
#
# ## Inpainting
#
# Now $x_0 = (k, u)$ are two normal numbers of variance 1 and correlation $\rho$. Known is $k$. The answer is
#
# $$u\, |\, k \sim N(\rho k, 1 - \rho^2) .$$
#
# *Replacement* runs the chain of $p(x_0)$, and after each step overwrites the known part by a draw of $q(k_s | k)$. It
# cannot be right: each step takes $k_t$ for the noised version of any $k$, and the next replacement does not listen to
# $u$. In the limit $T \to \infty$ the result has
#
# $$\mathbb{E}[u] = \frac{\rho k}{1 + \sqrt{1 - \rho^2}} \;\text{ in place of } \rho k, \qquad
# \mathrm{Var}[u] = (1 - \rho^2)\, \frac{\operatorname{artanh} \rho}{\rho} \;\text{ in place of } 1 - \rho^2 .$$
#
# To *resample*, one goes forward again and back, $r$ times at each $t$. The bias falls as $1/r$.
#
# *The gradient* takes $p(y | \hat x_0(x_t))$ for $p(y | x_t)$. What $\hat x_0$ leaves uncertain is neglected, so that
# $y$ counts for too much.

# %%
source(conditioning._replaced)

# %%
source(posterior)

# %%
RHO, KNOWN, NOISE, STEPS = 0.8, 1.5, 0.3, 150


class OfGaussian:
    """E[ε|x_t] of N(0, C), in closed form, also as an operation on tensors."""

    def __init__(self, covariance):
        self.covariance = np.asarray(covariance, dtype=np.float64)

    def __call__(self, x, time):
        left = float(self.model.alpha_bar[round(float(np.asarray(time)[0]) * self.model.T)])
        C = left * self.covariance + (1 - left) * np.eye(len(self.covariance))
        slope = (math.sqrt(1 - left) * np.linalg.inv(C)).astype(x.dtype)
        return (x.reshape(len(x), len(C)) @ slope).reshape(*x.shape)


def gaussian(covariance, shape, steps=STEPS):
    """The DDPM of N(0, C), for samples of a shape."""
    network = OfGaussian(covariance)
    network.model = DDPM(network, shape, steps, "cosine", "posterior")
    return network.model


@functools.cache
def completions(method, n=3000):
    """Draws of u given k, by a method."""
    model, rng = gaussian([[1, RHO], [RHO, 1]], (2,)), sg.generator(3)
    known = np.tile([KNOWN, 0.0], (n, 1))
    if method == "gradient":
        # k itself is measured with noise of the variance NOISE².
        return posterior(model, lambda x0: -0.5 / NOISE**2 * (x0[:, 0] - KNOWN) ** 2, n, rng)[:, 1]
    return inpaint(model, known, [True, False], rng, resample=int(method))[:, 1]


def exactly(method):
    """Mean and variance of u, by Gaussian conditioning; the gradient has a noisy k."""
    gain = RHO / (1 + (NOISE**2 if method == "gradient" else 0.0))
    return gain * KNOWN, 1 - gain * RHO


root = math.sqrt(1 - RHO**2)
limit = RHO * KNOWN / (1 + root), (1 - RHO**2) * math.atanh(RHO) / RHO
print(f"k = {KNOWN}, ρ = {RHO}{'':17}mean{'':6}exact{'':8}variance{'':3}exact")
for method, name in (
    ("1", "replacement"),
    ("3", "resampled, r = 3"),
    ("10", "resampled, r = 10"),
    ("gradient", f"gradient, noise {NOISE}"),
):
    u, (mean, variance) = completions(method), exactly(method)
    print(f"{name:<24}{u.mean():12.3f}{mean:11.3f}{u.var():16.3f}{variance:8.3f}")
print(f"{'replacement, T → ∞':<24}{limit[0]:12.3f}{'':11}{limit[1]:16.3f}")

# %%
axes = panels(1, 3, size=(9.6, 3.2), sharey=True)
line = np.linspace(-1.5, 3.5, 300)
for ax, method, name in zip(
    axes,
    ("1", "10", "gradient"),
    ("replacement", "resampled ten times", f"gradient, k ± {NOISE}"),
    strict=True,
):
    mean, variance = exactly(method)
    ax.hist(completions(method), bins=50, range=(-1.5, 3.5), density=True, color="C0", alpha=0.5)
    ax.plot(
        line,
        np.exp(-0.5 * (line - mean) ** 2 / variance) / math.sqrt(2 * math.pi * variance),
        "k",
        label="exact",
    )
    ax.set(title=name, xlabel="u, given k = 1.5")
axes[0].legend(frameon=False)
axes[0]

# %% [markdown]
# ## Super-resolution
#
# Known is the average $y$ of $2 \times 2$ pixels, which are jointly normal with different variances. The exact posterior
# is again Gaussian. With the row $H$ of averages and noise of variance $\sigma^2$,
#
# $$\mathbb{E}[x | y] = C H^\top (H C H^\top + \sigma^2)^{-1} y .$$
#
# `super_resolve` replaces the average after each step, and keeps the differences of the pixels.

# %%
DEVIATIONS = np.array([1.5, 1.0, 0.7, 0.4])
C = 0.5 * np.outer(DEVIATIONS, DEVIATIONS) + 0.5 * np.diag(DEVIATIONS**2)
H = np.full((1, 4), 0.25)
Y, BLUR = 1.0, 0.2


@functools.cache
def finer(method, n=2000):
    """Four pixels with the average Y, (n, 4)."""
    model, rng = gaussian(C, (1, 2, 2)), sg.generator(4)
    if method == "replacement":
        return super_resolve(model, np.full((n, 1, 1, 1), Y), 2, rng).reshape(n, 4)

    def log_likelihood(x0):
        y = conditioning.averages(x0, 2).reshape(len(x0))
        return -0.5 / BLUR**2 * (y - Y) ** 2

    return posterior(model, log_likelihood, n, rng).reshape(n, 4)


def exact_pixels(variance):
    """E[x|y] for noise of a variance."""
    return (C @ H.T).ravel() * Y / ((H @ C @ H.T).item() + variance)


for method, variance in (("replacement", 0.0), ("gradient", BLUR**2)):
    print(f"{method:<12} mean of each pixel {finer(method).mean(axis=0).round(3)}")
    print(f"{'exact':<12} mean of each pixel {exact_pixels(variance).round(3)}")

# %% [markdown]
# Replacement has the right average by construction. It spreads the average too evenly over the pixels: the bright,
# variable pixel should take more of it.
#
# ## What goes wrong
#
# | it looks so | the cause |
# |---|---|
# | samples of a class are alike, and too vivid | much guidance |
# | a completed part does not fit its surroundings | replacement without resampling |
# | the posterior is too narrow, or pays too much heed to $y$ | the gradient through $\hat x_0$ |
# | `RuntimeError`: the steps diverge | a likelihood that is sharp beside the steps: a smaller scale, or more steps |
#
# The last one, for a measurement of $k$ with noise of 0.02, and a weight fifty times too large:


# %%
def measured(x0):
    """log p(y|x₀) of a measurement of k, up to a constant."""
    return -0.5 / 0.02**2 * (x0[:, 0] - KNOWN) ** 2


try:
    with np.errstate(over="ignore", invalid="ignore"):
        coarse = gaussian([[1, RHO], [RHO, 1]], (2,), 20)
        posterior(coarse, measured, 10, sg.generator(0), scale=50.0)
except RuntimeError as error:
    print(error)

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the hidden classifier
# Give $\nabla \log p(c | x_t)$ in the two predictions $\hat\epsilon(x_t, t, c)$ and $\hat\epsilon(x_t, t)$.


# %%
def slope_of_class(eps_c, eps, alpha_bar):
    """∇ log p(c|x_t)."""
    # your line


def check_class(answer):
    x = np.array([[0.3, 0.2], [-0.5, 1.0]])
    model, t = toy(), 5
    left = float(model.alpha_bar[t])
    labels = np.zeros(2, int)
    eps_c, eps = model.output(x, t, labels=labels), model.output(x, t)

    def log_p(x):
        squares = ((x[:, None, None] - math.sqrt(left) * CENTRES) ** 2).sum(axis=3)
        w = np.exp(-0.5 * squares / (left * SPREAD**2 + 1 - left))
        return np.log(w[:, 0].sum(axis=1) / w.sum(axis=(1, 2))).sum()

    sg.assert_gradient(log_p, lambda x: answer(eps_c, eps, left), x)


attempt(check_class, slope_of_class)


# %% tags=["solution"]
def slope_of_class(eps_c, eps, alpha_bar):
    return (eps - eps_c) / math.sqrt(1 - alpha_bar)


attempt(check_class, slope_of_class)

# %% [markdown]
# ### Exercise 2: condition a Gaussian
# Let $x \sim N(0, C)$, of which the entries with the indices in `known` have the values $y$. Give mean and covariance of
# the others.


# %%
def conditional(C, known, y):
    """Mean and covariance of the entries that are not known, in their order."""
    # your lines


def check_conditional(answer):
    mean, covariance = answer(C, [0, 2], np.array([1.0, -0.5]))
    precision = np.linalg.inv(C)  # the covariance of the rest is the inverse of its block
    block = precision[np.ix_([1, 3], [1, 3])]
    np.testing.assert_allclose(covariance, np.linalg.inv(block), rtol=1e-9)
    expected = -np.linalg.solve(block, precision[np.ix_([1, 3], [0, 2])] @ [1.0, -0.5])
    np.testing.assert_allclose(mean, expected, rtol=1e-9)


attempt(check_conditional, conditional)


# %% tags=["solution"]
def conditional(C, known, y):
    rest = [i for i in range(len(C)) if i not in known]
    gain = C[np.ix_(rest, known)] @ np.linalg.inv(C[np.ix_(known, known)])
    return gain @ y, C[np.ix_(rest, rest)] - gain @ C[np.ix_(known, rest)]


attempt(check_conditional, conditional)

# %% [markdown]
# ### Exercise 3: the weight of the gradient
# The mean of a step is $(x_t + \beta_t \nabla \log p(x_t))/\sqrt{\alpha_t}$. With which weight $\zeta_t$ does
# $\nabla \log p(y | x_t)$ enter, by the rule of Bayes?


# %%
def weight(beta):
    """ζ_t, of β_t."""
    # your line


def check_weight(answer):
    model = toy()
    np.testing.assert_allclose(conditioning.bayes_weights(model), [answer(b) for b in model.beta])


attempt(check_weight, weight)


# %% tags=["solution"]
def weight(beta):
    return beta / math.sqrt(1 - beta)


attempt(check_weight, weight)

# %% [markdown]
# ### Exercise 4: when y counts for too much
# One number $x_0 \sim N(0, 1)$ is measured with noise of variance $\sigma^2$, as $y$. The gradient method has the mean
# $y (1 - e^{-1/\sigma^2})$. How many times the right mean is this?


# %%
def excess(sigma):
    """The ratio of the two means."""
    # your line


def check_excess(answer):
    for sigma in (0.3, 1.0, 10.0):
        exact_mean = 1 / (1 + sigma**2)
        assert abs(answer(sigma) * exact_mean + math.expm1(-1 / sigma**2)) < 1e-12


attempt(check_excess, excess)


# %% tags=["solution"]
def excess(sigma):
    return (1 - math.exp(-1 / sigma**2)) * (1 + sigma**2)


attempt(check_excess, excess)

# %% [markdown]
# **Read on:** [Scores](scores.md) explains the sum of two scores. On digits, `scratchgen inpaint` and `scratchgen
# super-resolve` complete images with a trained model.
