# %% [markdown]
# # The bound of a diffusion model
#
# *Three terms, each of them exact.* This chapter follows the notes' "Optimizing the variational diffusion model",
# "Continues" and "Optimization cost".
#
# A diffusion model is a hierarchical VAE whose encoder $q$ is fixed ([From a hierarchy to
# diffusion](from_hierarchy_to_diffusion.md)), and $-\log p(x_0)$ is at most the sum of three terms. There are two ways
# to write it. Along a path $x_0 \to x_1 \to \dots \to x_T$, each step of which is drawn from the last, the third term
# compares the step forth with the step back, at two random variables besides $x_t$:
#
# $$\text{consistency} = \sum_t \mathbb{E}\, \log \frac{q(x_t | x_{t-1})}{p(x_t | x_{t+1})} .$$
#
# Bayes' rule turns the step forth around,
#
# $$q(x_t | x_{t-1}) = q(x_t | x_{t-1}, x_0) = \frac{q(x_{t-1} | x_t, x_0)\; q(x_t | x_0)}{q(x_{t-1} | x_0)} .$$
#
# In the product over all $t$ the fractions $q(x_t | x_0)/q(x_{t-1} | x_0)$ cancel, except for the first and the last.
# What remains in the third term has one random variable, $x_t$:
#
# $$\text{denoising} = \sum_t \mathbb{E}\, D_{KL}\bigl(q(x_{t-1} | x_t, x_0) \,\|\, p(x_{t-1} | x_t)\bigr) .$$

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen.learning import attempt, panels, source
from scratchgen.models import DDPM
from scratchgen.models.diffusion import bound

MEAN, DEVIATION = 0.7, 0.5
STEPS = (3, 10, 30, 100, 300)
DRAWS = 4000
COLUMNS = "reconstruction", "prior", "denoising", "sum", "gap"

# %% [markdown]
# The two forms in the library:

# %%
source(bound.path_terms)

# %%
source(bound.elbo_terms)

# %% [markdown]
# Both distributions of a denoising term are Gaussian, and their means differ by the error of $\hat\epsilon$ alone. So
# each term is a weighted squared error,
#
# $$D_{KL} = w_t\, \| \epsilon - \hat\epsilon \|^2 + \tfrac12 D\, (r_t - 1 - \log r_t), \qquad
# w_t = \frac{\beta_t^2}{2 \sigma_t^2 \alpha_t (1 - \bar\alpha_t)}, \quad r_t = \tilde\beta_t / \sigma_t^2 .$$

# %%
source(bound.step_cost)

# %% [markdown]
# ## Gaussian data, and the best denoiser
#
# For $x_0 \sim N(m, s^2)$ the best denoiser is a linear function of $x_t$. Each term is then a polynomial of second
# degree in normal numbers, and its expectation is a mean over a few signs: no draws are needed.


# %%
def best(T, schedule, variance="beta", mean=MEAN, deviation=DEVIATION):
    """The chain whose ε̂(x_t) is E[ε|x_t] for the data N(mean, deviation²)."""

    def noise(x, time):
        left = model.alpha_bar[np.rint(time * T).astype(int)].reshape(-1, 1)
        variance_of_xt = left * deviation**2 + 1 - left
        return np.sqrt(1 - left) * (x - np.sqrt(left) * mean) / variance_of_xt

    model = DDPM(noise, (1,), T, schedule, variance)
    return model


def terms(model, mean=MEAN, deviation=DEVIATION):
    """Reconstruction, prior matching, and the denoising terms of t = 1 … T − 1, all exact.

    A term is a polynomial of second degree in ε and x₀. Hence its mean over ε = ±1 and
    x₀ = mean ± deviation is its expectation.
    """
    x0 = np.array([[mean - deviation], [mean + deviation]])

    def cost(t):
        both = (bound.step_cost(model, x0, t, sign * np.ones_like(x0)) for sign in (-1.0, 1.0))
        return sum(part.mean() for part in both) / 2

    prior = model.noising.prior_kl(x0).mean()
    return cost(0), prior, np.array([cost(t) for t in range(1, model.T)])


def entropy(deviation=DEVIATION):
    """½ log 2πe s², the mean of −log p(x₀) of the data themselves."""
    return 0.5 * math.log(2 * math.pi * math.e * deviation**2)


print(
    f"x₀ ~ N({MEAN}, {DEVIATION}²) with the best denoiser, in nats; the entropy is {entropy():.4f}\n"
)
print(f"{'T':>5} {'schedule':<9}{'σ²':<5}" + "".join(f"{name:>15}" for name in COLUMNS))
for T in (10, 100, 1000):
    for schedule in ("linear", "cosine"):
        for variance, said in (("beta", "β"), ("posterior", "β̃")):
            first, prior, steps = terms(best(T, schedule, variance))
            total = first + prior + steps.sum()
            row = first, prior, steps.sum(), total, total - entropy()
            print(f"{T:5} {schedule:<9}{said:<5}" + "".join(f"{x:15.4f}" for x in row))

# %% [markdown]
# The bound stays above the entropy of the data, even with the best denoiser: the true step back is no Gaussian of the
# variance $\beta_t$ or $\tilde\beta_t$. The gap closes as $T$ grows. For $N(0, 1)$ and the variance $\beta_t$ it is zero
# for every $T$.
#
# ## The printed divergence
#
# The notes print a $D_{KL}(q(x_t | x_{t-1}) \| p(x_t | x_{t+1}))$ in the consistency ([E23](errata.md#e23)). A divergence
# averages over $x_t \sim q(x_t | x_{t-1})$. But once $x_{t+1}$ is given, $x_t$ is no longer distributed so: it was the
# parent of $x_{t+1}$.


# %%
def consistency(model, t, draws, mean=MEAN, deviation=DEVIATION):
    """log q(x_t|x_{t−1})/p(x_t|x_{t+1}) at draws of three neighbours, and the printed divergence.

    ``draws``: (3, n) standard normal numbers, or numbers with their moments, from which come
    x_{t−1}, x_t = √α_t x_{t−1} + √β_t ε and x_{t+1} = √α_{t+1} x_t + √β_{t+1} ε′; (n,) each.
    """
    left = model.alpha_bar[t - 1] if t else 1.0
    beta, alpha, variance = model.beta[t], model.alpha, model.sigma[t + 1] ** 2
    before = math.sqrt(left) * mean + math.sqrt(left * deviation**2 + 1 - left) * draws[0]
    here = math.sqrt(alpha[t]) * before + math.sqrt(beta) * draws[1]
    after = math.sqrt(alpha[t + 1]) * here + math.sqrt(model.beta[t + 1]) * draws[2]
    of_p = model.p_sample(after[:, None], t + 1)[:, 0]
    log_ratio = 0.5 * (math.log(variance / beta) - draws[1] ** 2 + (here - of_p) ** 2 / variance)
    gap = math.sqrt(alpha[t]) * before - of_p
    kl = 0.5 * (math.log(variance / beta) - 1 + (beta + gap**2) / variance)
    return log_ratio, kl


def consistencies(model):
    """The consistency term, right and as it is printed: the means over all signs are exact."""
    signs = np.array(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0])).reshape(3, -1)
    each = [[of.mean() for of in consistency(model, t, signs)] for t in range(model.T - 1)]
    return np.sum(each, axis=0)


for T in (10, 100, 300):
    right_form, printed = consistencies(best(T, "linear"))
    print(f"T = {T:<5} right {right_form:8.3f} nats    printed {printed:8.3f} nats")

# %% [markdown]
# ## Which form varies less
#
# The notes say that one random variable in each term gives estimates of less variance than two. This holds for each
# term by itself. It does not hold for the whole bound: along a path the errors of neighbouring terms cancel, while
# independent draws of $x_t$, one for each term, add their variances up. Training draws one $t$ at a time, so that
# nothing can cancel, and the second form is the better one.


# %%
def of_one_term(T, t):
    """The standard deviations of one denoising term, and of one consistency term."""
    model, rng = best(T, "linear"), sg.generator(0)
    x0 = MEAN + DEVIATION * rng.standard_normal((DRAWS, 1))
    denoising = bound.step_cost(model, x0, t, rng.standard_normal((DRAWS, 1)))
    log_ratio, _ = consistency(model, t, rng.standard_normal((3, DRAWS)))
    return denoising.std(), log_ratio.std()


@functools.cache
def spreads(mean=MEAN, deviation=DEVIATION):
    """The standard deviation of one estimate of the bound, by T: independent x_t, and a path."""
    found = []
    for T in STEPS:
        model, rng = best(T, "linear", "beta", mean, deviation), sg.generator(0)
        x0 = mean + deviation * rng.standard_normal((DRAWS, 1))
        found.append([sum(f(model, x0, rng)).std() for f in (bound.elbo_terms, bound.path_terms)])
    return np.array(found)


DATA = f"N({MEAN}, {DEVIATION}²)"
print("standard deviation of an estimate from one draw, linear β, in nats")
print(f"{'T':>5}  {'data':<15}{'estimate of':<20}{'independent x_t':>16}{'one path':>12}")
for T in STEPS[1:]:
    apart, along = of_one_term(T, T // 2)
    print(f"{T:5}  {DATA:<15}{'one term, t = T/2':<20}{apart:16.3f}{along:12.3f}")
for name, of in ((DATA, spreads()), ("N(0, 1)", spreads(0.0, 1.0))):
    for T, (apart, along) in zip(STEPS, of, strict=True):
        print(f"{T:5}  {name:<15}{'the whole bound':<20}{apart:16.3f}{along:12.3f}")

# %%
left, right = panels(1, 2, size=(9.6, 3.8))
for schedule in ("linear", "cosine"):
    model = best(300, schedule)
    _, _, steps = terms(model)
    label = f"{schedule} β: {steps.sum():.3f} nats in all"
    left.plot(np.arange(1, model.T) / model.T, steps, label=label)
left.set(yscale="log", xlabel="t/T", ylabel="nats", title="denoising terms, T = 300, σ² = β")
left.legend(frameon=False)
marks = "independent $x_t$, one a term", "one path"
for name, style, of in ((DATA, "-", spreads()), ("N(0, 1)", "--", spreads(0.0, 1.0))):
    for colour, mark, y in zip(("C2", "C3"), marks, of.T, strict=True):
        right.plot(STEPS, y, style, color=colour, marker="o", label=f"{mark}, {name}")
right.set(xscale="log", ylim=(0, 1.6), xlabel="T, number of steps", ylabel="nats")
right.set_title("spread of one estimate of the bound")
right.legend(frameon=False, fontsize="small")
left

# %% [markdown]
# ## What goes wrong
#
# - **The bound is below the entropy.** A term is missing, or the consistency has the wrong neighbour. No bound on the
#   mean of $-\log p$ can be below the entropy of the data.
# - **Training with the weights $w_t$ gives poor images.** The weights are large at small $t$, where nothing can be
#   learned of the shape. The training cost leaves them out.
# - **The bits of a density are compared with bits of pixels.** A density depends on the scale of $x_0$.
#
# ## Exercises
#
# ### Exercise 1: the weight of a term
# Derive $w_t$. The means of the two distributions of a step differ by $\beta_t (\epsilon - \hat\epsilon)$ over
# $\sqrt{\alpha_t (1 - \bar\alpha_t)}$.


# %%
def weight(beta, alpha_bar, variance):
    """w_t, with σ_t² = variance."""
    # your line


def check_weight(answer):
    model, x0, eps = best(20, "cosine"), np.array([[0.3]]), np.array([[1.4]])
    for t in (1, 10, 19):
        found = model.predict(model.q_sample(x0, t, eps), t)[1]
        ratio = model.noising.posterior_variance[t] / model.beta[t]
        rest = 0.5 * (ratio - 1 - math.log(ratio))
        w = answer(model.beta[t], model.alpha_bar[t], model.beta[t])
        expected = bound.step_cost(model, x0, t, eps).item()
        assert abs(w * ((eps - found) ** 2).item() + rest - expected) < 1e-10


attempt(check_weight, weight)


# %% tags=["solution"]
def weight(beta, alpha_bar, variance):
    return beta**2 / (2 * variance * (1 - beta) * (1 - alpha_bar))


attempt(check_weight, weight)

# %% [markdown]
# ### Exercise 2: the divergence of two Gaussians
# The formula above needs $D_{KL}(N(\mu_1, \sigma_1^2) \| N(\mu_2, \sigma_2^2))$. Give it.


# %%
def kl(mu1, sigma1, mu2, sigma2):
    """In nats, of one dimension."""
    # your line


def check_kl(answer):
    x = np.linspace(-20, 20, 400_001)

    def log_normal(mu, sigma):
        return -0.5 * ((x - mu) / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))

    p, q = log_normal(0.4, 0.8), log_normal(-0.3, 1.5)
    expected = (np.exp(p) * (p - q)).sum() * (x[1] - x[0])
    assert abs(answer(0.4, 0.8, -0.3, 1.5) - expected) < 1e-9


attempt(check_kl, kl)


# %% tags=["solution"]
def kl(mu1, sigma1, mu2, sigma2):
    ratio = (sigma1 / sigma2) ** 2
    return 0.5 * (ratio + ((mu1 - mu2) / sigma2) ** 2 - 1 - math.log(ratio))


attempt(check_kl, kl)

# %% [markdown]
# ### Exercise 3: bits per dimension
# A bound of $-\log p(x_0)$ is $n$ nats for $D$ numbers on $[-1, 1]$. The data have 256 levels, a distance $2/255$ apart.
# How many bits per dimension is this for the levels?


# %%
def bits_of_levels(nats, D):
    """Bits per dimension of the levels."""
    # your line


def check_bits(answer):
    # A density of 255/2 on each cell of a single level has no bits at all; a uniform one has 8.
    assert abs(answer(-math.log(255 / 2) * 10, 10)) < 1e-12
    assert abs(answer(math.log(2 * 256 / 255) * 7, 7) - 8) < 1e-12


attempt(check_bits, bits_of_levels)


# %% tags=["solution"]
def bits_of_levels(nats, D):
    return nats / (D * math.log(2)) - math.log2(2 / 255)


attempt(check_bits, bits_of_levels)

# %% [markdown]
# **Read on:** [Denoising diffusion](denoising_diffusion.md) trains with the squared error. [Scores](scores.md) computes
# the likelihood itself, by a flow.
