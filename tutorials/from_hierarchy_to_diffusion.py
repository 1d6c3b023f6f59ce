# %% [markdown]
# # From a hierarchy to diffusion
#
# *A stack of autoencoders whose encoder is noise.* This chapter follows the sections "Chains of VAEs" to "Optimizing
# the variational diffusion model" of the notes.
#
# A VAE has one layer of latents $h$, with the prior $N(0, I)$. In a *Markovian hierarchy* the prior of the first layer
# is the decoder of a second VAE, and so on. With $T$ layers,
#
# $$p(x, h_{1:T}) = p(h_T)\, p(x | h_1) \prod_{t=2}^{T} p(h_{t-1} | h_t), \qquad
# q(h_{1:T} | x) = q(h_1 | x) \prod_{t=2}^{T} q(h_t | h_{t-1}) .$$
#
# The encoder climbs, the decoder descends. The notes once print the decoder as $p(h_t | h_{t-1})$
# ([E11](errata.md#e11)); the product above is the one of their joint distribution.

# %%
import math

import numpy as np

import scratchgen as sg
from scratchgen import nn, plotting
from scratchgen.learning import attempt, panels, source
from scratchgen.models import DDPM, HierarchicalVAE
from scratchgen.models.diffusion import bound, noising

# %% [markdown]
# ## The bound does not care how many layers there are
#
# Write the evidence as an integral, multiply by $1 = q/q$, read the integral as an expectation, and use that the
# logarithm is concave:
#
# $$\log p(x) = \log \int p(x, h_{1:T})\, dh_{1:T}
# = \log \mathbb{E}_{q(h_{1:T}|x)} \Bigl[ \frac{p(x, h_{1:T})}{q(h_{1:T}|x)} \Bigr]
# \ge \mathbb{E}_{q(h_{1:T}|x)} \Bigl[ \log \frac{p(x, h_{1:T})}{q(h_{1:T}|x)} \Bigr] .$$
#
# Put both products in. Pair each $q(h_t | h_{t-1})$ with the factor of $p$ that is a density of the same $h_t$. Three
# parts remain, with $h_0 = x$:
#
# $$\log p(x) \ge
# \underbrace{\mathbb{E}_q \log p(x | h_1)}_{\text{reconstruction}}
# - \underbrace{\mathbb{E}_q D_{KL}\bigl(q(h_T | h_{T-1}) \,\|\, p(h_T)\bigr)}_{\text{prior matching}}
# - \underbrace{\sum_{t=1}^{T-1} \mathbb{E}_q \log \frac{q(h_t | h_{t-1})}{p(h_t | h_{t+1})}}_{\text{consistency}} .$$

# %%
source(HierarchicalVAE.elbo_terms)

# %% [markdown]
# ## Three restrictions
#
# A variational diffusion model is such a hierarchy, with three restrictions.
#
# 1. The latents have the size of the data. They are called $x_1, \dots, x_T$, and the data $x_0$.
# 2. The encoder is *fixed*. It has no parameters: $q(x_t | x_{t-1}) = N(\sqrt{\alpha_t}\, x_{t-1}, (1 - \alpha_t) I)$.
#    (The notes say once that a network is trained to introduce the noise, [E12](errata.md#e12).)
# 3. The $\alpha_t$ are such that $x_T$ is distributed as $N(0, I)$, whatever $x_0$ is.
#
# The form of the mean keeps the variance: if $x_{t-1}$ has the variance 1, then $x_t$ has
# $\alpha_t \cdot 1 + (1 - \alpha_t) = 1$.
#
# ## Many steps are one step
#
# Two steps compose to one. Insert $x_{t-1} = \sqrt{\alpha_{t-1}}\, x_{t-2} + \sqrt{1 - \alpha_{t-1}}\, \epsilon_{t-1}$
# into the next:
#
# $$x_t = \sqrt{\alpha_t \alpha_{t-1}}\, x_{t-2}
# + \underbrace{\sqrt{\alpha_t (1 - \alpha_{t-1})}\, \epsilon_{t-1} + \sqrt{1 - \alpha_t}\, \epsilon_t}_{
# \text{variance } \alpha_t - \alpha_t \alpha_{t-1} + 1 - \alpha_t \;=\; 1 - \alpha_t \alpha_{t-1}} .$$
#
# Two independent normal numbers add up to one normal number, whose variance is the sum. The result has the form of a
# single step, with $\alpha_t \alpha_{t-1}$ in the place of $\alpha_t$. By induction, with the product
# $\bar\alpha_t = \alpha_1 \cdots \alpha_t$,
#
# $$q(x_t | x_0) = N\bigl(\sqrt{\bar\alpha_t}\, x_0, (1 - \bar\alpha_t) I\bigr) .$$
#
# The library counts time from 0, as the notes' code does: its $\bar\alpha_0 = \alpha_0$ is the first step.


# %%
def step_by_step(alpha):
    """Factor of x₀ and variance after each step, by the recursion alone: (T, 2)."""
    factor, variance, states = 1.0, 0.0, []
    for a in alpha:
        factor, variance = math.sqrt(a) * factor, a * variance + 1 - a
        states.append((factor, variance))
    return np.array(states)


steps = noising.Steps(noising.linear_schedule(300))
states = step_by_step(steps.alpha)
print(f"{'t':>5}{'factor':>12}{'√ᾱ_t':>12}{'variance':>12}{'1 − ᾱ_t':>12}")
for t in (0, 99, 199, 299):
    left = steps.alpha_bar[t]
    print(f"{t:5}{states[t, 0]:12.8f}{math.sqrt(left):12.8f}{states[t, 1]:12.8f}{1 - left:12.8f}")

# %% [markdown]
# A picture of the encoder at work, on digits of $8 \times 8$ pixels. Nothing here was trained.

# %%
images, labels = sg.datasets.digits("train")
digits = 2 * images[[int(np.flatnonzero(labels == k)[0]) for k in (0, 3, 5, 8)]] - 1
eps = sg.generator(0).standard_normal(digits.shape, dtype=np.float32)
times = [-1, 20, 60, 100, 150, 200, 250, 299]
top, bottom = panels(2, 1, size=(8.4, 7.4))
for ax, name in ((top, "linear"), (bottom, "cosine")):
    of_schedule = noising.Steps(noising.SCHEDULES[name](300))
    noised = np.array([of_schedule.q_sample(digits, t, eps) for t in times])
    rows = {f"digit {k + 1}": noised[:, k, 0] for k in range(len(digits))}
    plotting.image_table(
        rows,
        ax,
        columns=[f"t = {t}" if t >= 0 else "$x_0$" for t in times],
        value_range=(-1.6, 1.6),
    )
    ax.set_title(f"{name} schedule, T = 300")
top

# %% [markdown]
# ## The chain is a hierarchical VAE
#
# This is more than a manner of speaking. Below is a `HierarchicalVAE` of the library, whose encoders have no
# parameters: layer $t$ maps $x_{t-1}$ to the mean $\sqrt{\alpha_t}\, x_{t-1}$ and the log variance $\log \beta_t$. Its
# decoders are the steps back of a `DDPM`. Both compute their bound, each by its own code, at the same draws.


# %%
class Encoder(nn.Network):
    """x_{t−1} ↦ mean and log variance of q(x_t|x_{t−1})."""

    def __init__(self, alpha):
        self.alpha = alpha

    def __call__(self, x, rng=None):
        return np.concatenate([math.sqrt(self.alpha) * x, 0 * x + math.log(1 - self.alpha)], axis=1)


class Decoder(nn.Network):
    """x_t ↦ mean and log variance of p(x_{t−1}|x_t)."""

    def __init__(self, ddpm, t):
        self.ddpm, self.t = ddpm, t

    def __call__(self, x, rng=None):
        p = bound.reverse_step(self.ddpm, x, self.t)
        return np.concatenate([p.mu, 0 * x + p.log_var], axis=1)


MEAN, DEVIATION = 0.7, 0.5  # of Gaussian data, for which the best denoiser is known


def exact(T, schedule="cosine"):
    """The DDPM with ε̂(x_t) = E[ε|x_t], for data N(0.7, ½²)."""

    def noise(x, time):
        left = model.alpha_bar[np.rint(time * T).astype(int)].reshape(-1, 1)
        of_xt = left * DEVIATION**2 + 1 - left
        return np.sqrt(1 - left) * (x - np.sqrt(left) * MEAN) / of_xt

    model = DDPM(noise, (1,), T, schedule)
    return model


def as_hierarchy(ddpm):
    """The same chain, as a hierarchical VAE of T layers."""
    encoders = [Encoder(alpha) for alpha in ddpm.alpha]
    decoders = [Decoder(ddpm, t) for t in range(ddpm.T)]
    return HierarchicalVAE(encoders, decoders, [1] * ddpm.T, "gaussian")


def both(T, n=5, seed=1):
    """The three terms of −ELBO of n samples: of the hierarchy, and of the chain, (2, 3, n)."""
    ddpm, rng = exact(T), sg.generator(0)
    x0 = MEAN + DEVIATION * rng.standard_normal((n, 1))
    noise = sg.generator(seed)
    eps = [noise.standard_normal((n, 1)) for _ in range(T)]
    reconstruction, prior, consistency = as_hierarchy(ddpm).elbo_terms(x0, eps)
    of_chain = bound.path_terms(ddpm, x0, sg.generator(seed))
    return np.array([[-reconstruction, prior, consistency], of_chain])


of_hierarchy, of_chain = both(6)
for name, one, other in zip(
    ("reconstruction", "prior matching", "consistency"), of_hierarchy, of_chain, strict=True
):
    print(f"{name:<15} hierarchy {one.round(6)}\n{'':<15} chain     {other.round(6)}")

# %% [markdown]
# ## The second term is not zero by itself
#
# Prior matching has nothing to learn: it is a number of the schedule,
#
# $$D_{KL}\bigl(q(x_T | x_0) \,\|\, N(0, I)\bigr)
# = \tfrac12 \bigl[ \bar\alpha_T \|x_0\|^2 - D\,(\bar\alpha_T + \log(1 - \bar\alpha_T)) \bigr] .$$
#
# The notes call it effectively zero. With their own $T = 300$ and $\beta$ up to 0.02 it is not
# ([E13](errata.md#e13)).

# %%
source(noising.Steps.prior_kl)

# %%
ones = np.ones((1, 784))  # 784 pixels, each black or white: −1 or 1
print("prior matching of an image of 28 × 28 pixels, in nats")
for name in ("linear", "cosine"):
    for T in (100, 300, 1000):
        of_schedule = noising.Steps(noising.SCHEDULES[name](T))
        print(
            f"{name:<7} T = {T:<5} ᾱ_T = {of_schedule.alpha_bar[-1]:.2e}   {of_schedule.prior_kl(ones).item():.3g}"
        )


# %%
def bounds(T, n=4000):
    """The mean of −ELBO by each of its two forms, and the standard errors."""
    model, rng = exact(T), sg.generator(T)
    x0 = MEAN + DEVIATION * rng.standard_normal((n, 1))
    estimates = [sum(form(model, x0, rng)) for form in (bound.path_terms, bound.elbo_terms)]
    return [(of.mean(), of.std() / math.sqrt(n)) for of in estimates]


left, right = panels(1, 2, size=(9.6, 3.5))
lengths = np.unique(np.geomspace(50, 1500, 25).astype(int))
for name, colour in (("linear", "C0"), ("cosine", "C3")):
    of_lengths = [noising.Steps(noising.SCHEDULES[name](T)).prior_kl(ones).item() for T in lengths]
    left.plot(lengths, of_lengths, colour, label=name)
left.axvline(300, color="0.6", linestyle="--", label="T of the notes")
left.set(xscale="log", yscale="log", xlabel="T", ylabel="nats", title="prior matching, 784 pixels")
left.legend(frameon=False)
counts = np.array([2, 4, 8, 16, 32, 64])
found = np.array([bounds(int(T)) for T in counts])
for k, (label, shift) in enumerate((("along a path", 0.97), ("one variable a term", 1.03))):
    right.errorbar(
        counts * shift,
        found[:, k, 0],
        2 * found[:, k, 1],
        fmt="o",
        markersize=4,
        capsize=2,
        label=label,
    )
entropy = 0.5 * math.log(2 * math.pi * math.e * DEVIATION**2)
right.axhline(entropy, color="0.5", linestyle="--", label="entropy of the data")
right.set(xscale="log", xlabel="T", ylabel="nats", title="−ELBO with the best denoiser")
right.set_xticks(counts, [str(T) for T in counts])
right.minorticks_off()
right.legend(frameon=False)
left

# %% [markdown]
# Right: the bound in its two forms, of the chapter [The bound of a diffusion model](variational_diffusion.md). Even
# the best denoiser stays above the entropy, the true mean of $-\log p(x_0)$. More layers come closer: the true step
# back is a Gaussian only for small steps.
#
# ## What goes wrong
#
# - **The noise does not win.** If $\bar\alpha_T$ is not small, sampling begins at $N(0, I)$, a distribution that the
#   decoder has never seen. Samples are then shifted and too faint.
# - **The variance is not kept.** With the mean $x_{t-1}$ in the place of $\sqrt{\alpha_t}\, x_{t-1}$ the variance grows with
#   each step. That is allowed (models of [scores](scores.md) do it), but the prior must then be $N(0, \sigma_T^2 I)$.
# - **The consistency as a divergence.** The notes print it as a $D_{KL}$, which is another number
#   ([E23](errata.md#e23)).

# %%
kept_variance = exploding = 1.0
for beta in steps.beta:
    kept_variance, exploding = (1 - beta) * kept_variance + beta, exploding + beta
print(f"variance of x_T, T = 300: {kept_variance:.4f} with √α_t x, {exploding:.4f} with x")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: from any time to any later one
# Give the factor and the variance of $q(x_t | x_s)$, for $s < t$, in $\bar\alpha_s$ and $\bar\alpha_t$.


# %%
def from_s_to_t(alpha_bar_s, alpha_bar_t):
    """The factor of x_s, and the variance."""
    # your lines


def check_onward(answer):
    for s, t in ((0, 1), (10, 200), (150, 299)):
        factor, variance = answer(steps.alpha_bar[s], steps.alpha_bar[t])
        expected = step_by_step(steps.alpha[s + 1 : t + 1])[-1]
        np.testing.assert_allclose((factor, variance), expected, rtol=1e-10)


attempt(check_onward, from_s_to_t)


# %% tags=["solution"]
def from_s_to_t(alpha_bar_s, alpha_bar_t):
    ratio = alpha_bar_t / alpha_bar_s
    return math.sqrt(ratio), 1 - ratio


attempt(check_onward, from_s_to_t)

# %% [markdown]
# ### Exercise 2: how many steps
# All $\beta_t$ are equal to $\beta$. What is the least $T$ for which $\bar\alpha_T \le 10^{-4}$?


# %%
def steps_needed(beta):
    """The least T, an integer."""
    # your line


def check_steps(answer):
    for beta in (0.3, 0.02, 0.001):
        T = answer(beta)
        assert (1 - beta) ** T <= 1e-4 < (1 - beta) ** (T - 1), f"T = {T} is not the least"


attempt(check_steps, steps_needed)


# %% tags=["solution"]
def steps_needed(beta):
    return math.ceil(math.log(1e-4) / math.log1p(-beta))


attempt(check_steps, steps_needed)

# %% [markdown]
# ### Exercise 3: prior matching
# Derive the divergence above from $D_{KL}(N(\mu, \sigma^2) \| N(0, 1)) = \tfrac12 (\mu^2 + \sigma^2 - 1 - \log \sigma^2)$
# for each pixel.


# %%
def prior_matching(x0, alpha_bar):
    """The sum over the pixels x0: (D,), in nats."""
    # your lines


def check_prior(answer):
    x0 = np.linspace(-1, 1, 9)
    for T in (50, 300):
        of_schedule = noising.Steps(noising.linear_schedule(T))
        expected = of_schedule.prior_kl(x0[None]).item()
        assert abs(answer(x0, of_schedule.alpha_bar[-1]) - expected) < 1e-12


attempt(check_prior, prior_matching)


# %% tags=["solution"]
def prior_matching(x0, alpha_bar):
    mu, variance = math.sqrt(alpha_bar) * x0, 1 - alpha_bar
    return 0.5 * (mu**2 + variance - 1 - math.log(variance)).sum()


attempt(check_prior, prior_matching)

# %% [markdown]
# ### Exercise 4: a schedule of your own
# Choose $\bar\alpha_t$ first, and compute the $\beta_t$ that belong to it.


# %%
def betas_of(alpha_bar):
    """β: (T,), from ᾱ: (T,)."""
    # your lines


def check_betas(answer):
    wanted = np.linspace(0.99, 0.001, 50)
    np.testing.assert_allclose(noising.Steps(answer(wanted)).alpha_bar, wanted, rtol=1e-10)


attempt(check_betas, betas_of)


# %% tags=["solution"]
def betas_of(alpha_bar):
    before = np.concatenate([[1.0], alpha_bar[:-1]])
    return 1 - alpha_bar / before


attempt(check_betas, betas_of)

# %% [markdown]
# **Read on:** [The bound of a diffusion model](variational_diffusion.md) computes each term, and shows why one random
# variable in each is better to train with. [Denoising diffusion](denoising_diffusion.md) trains the decoder.
