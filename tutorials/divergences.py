# %% [markdown]
# # Divergences, and how metrics lie
#
# *Which distribution is nearest depends on the distance; and one number never tells all.* This chapter follows the
# sections "Kullback-Leibler divergence", "Jensen-Shannon divergence" and "Calculating scores" of the notes.
#
# A model $q$ with few parameters cannot equal the density $p$ of the data. The Kullback–Leibler divergence
#
# $$D_{KL}(p \,\|\, q) = \int p(x) \log \frac{p(x)}{q(x)}\, dx \;\geq\; 0$$
#
# is zero only for $p = q$: by Jensen's inequality, $-\int p \log (q/p) \geq -\log \int q = 0$. It is not symmetric. The
# *forward* one, $D_{KL}(p \,\|\, q)$, is large where $q$ is small and $p$ is not. The *reverse* one,
# $D_{KL}(q \,\|\, p)$, is large where $p$ is small and $q$ is not.

# %%
import functools

import numpy as np
from scipy import optimize

import scratchgen as sg
from scratchgen import datasets, estimators, metrics, plotting
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source

SHARES, MEANS, DEVIATIONS = np.array([0.6, 0.4]), np.array([-2.0, 2.5]), np.array([0.5, 0.8])
GRID = np.linspace(-12, 12, 4801)
NODES, WEIGHTS = np.polynomial.hermite.hermgauss(40)  # ∫ e^(−t²) f(t) dt = Σ wᵢ f(tᵢ)
DRAWS = 1000

source(metrics.divergence._kl)

# %% [markdown]
# ## Two ways to fit a Gaussian
#
# Let $p$ be a mixture of two Gaussians, and $q = N(\mu, \sigma^2)$.
#
# **Forward.** Maximum likelihood minimises this one, since $-\mathbb{E}_p[\log q]$ differs from it by a constant. Its
# gradient is zero where $\mu$ and $\sigma^2$ are the mean and the variance of $p$: $q$ covers both modes, and the valley
# between them.
#
# **Reverse.** This one is estimated from draws of the model, $x = \mu + \sigma \epsilon$. Here the integral over $\epsilon$ is a
# sum by Gauss and Hermite, whose gradient by $(\mu, \log \sigma)$ the library computes. If the modes lie far apart, each has a
# minimum. At a mode with the share $\pi$ the least value is $-\log \pi$: $q = N_k$ gives $\log (q/p) = \log (1/\pi)$ wherever
# $q$ has any weight. The gap of the ELBO of [a VAE](variational_autoencoder.md) is a reverse divergence.


# %%
def log_gaussian(x, mu, log_sigma):
    """Log N(x; μ, σ²)."""
    return -0.5 * ((x - mu) / ops.exp(log_sigma)) ** 2 - log_sigma - 0.5 * np.log(2 * np.pi)


def log_mixture(x):
    """Log p(x) = log Σₖ πₖ N(x; μₖ, σₖ²), for x: (n,)."""
    parts = log_gaussian(x.reshape(-1, 1), MEANS, np.log(DEVIATIONS)) + np.log(SHARES)
    return ops.logsumexp(parts, axis=1)


def forward():
    """The (μ, log σ) with the least D_KL(p ‖ q): mean and variance of p."""
    mean = SHARES @ MEANS
    variance = SHARES @ (DEVIATIONS**2 + (MEANS - mean) ** 2)
    return np.array([mean, 0.5 * np.log(variance)])


def reverse_cost(theta):
    """D_KL(q ‖ p) = Σᵢ wᵢ/√π [log q(xᵢ) − log p(xᵢ)],  xᵢ = μ + √2 σ tᵢ."""
    mu, log_sigma = theta[0], theta[1]
    x = mu + np.sqrt(2) * ops.exp(log_sigma) * NODES
    gap = log_gaussian(x, mu, log_sigma) - log_mixture(x)
    return (WEIGHTS * gap).sum() / np.sqrt(np.pi)


def reverse(start):
    """The (μ, log σ) to which descent from ``start`` leads."""
    found = optimize.minimize(sg.value_and_grad(reverse_cost), start, jac=True, tol=1e-12)
    return found.x


@functools.cache
def fits():
    """Return (μ, log σ) of each fit, by its name."""
    return {
        "forward": forward(),
        "reverse, left": reverse(np.array([MEANS[0], 0.0])),
        "reverse, right": reverse(np.array([MEANS[1], 0.0])),
    }


# %% [markdown]
# ## The Jensen–Shannon divergence
#
# It compares both with their mixture $m = (p + q)/2$, is symmetric, and finite for any two densities:
#
# $$D_{JS}(p \,\|\, q) = \tfrac12 D_{KL}(p \,\|\, m) + \tfrac12 D_{KL}(q \,\|\, m) .$$
#
# As $p/m \leq 2$, it is at most $\log 2$, which is 1 bit (the notes print $[0, 1]$, without the unit, [E7](errata.md#e7)). The best
# discriminator of [a GAN](generative_adversarial.md) measures it.


# %%
def divergences(theta):
    """D_KL(p ‖ q), D_KL(q ‖ p) and D_JS in nats, by the cells of the grid."""
    p, q = (np.exp(log) for log in (log_mixture(GRID), log_gaussian(GRID, *theta)))
    p, q = p / p.sum(), q / q.sum()
    q = np.maximum(q, 1e-300)  # below the smallest double, log q would be −∞
    q = q / q.sum()
    return (
        metrics.kl_divergence(p, q),
        metrics.kl_divergence(q, p),
        metrics.jensen_shannon(p, q),
    )


print("a Gaussian N(μ, σ²) fitted to 0.6 N(−2, 0.5²) + 0.4 N(2.5, 0.8²), in nats\n")
print(f"{'fit':<16}{'μ':>7}{'σ':>7}{'D_KL(p‖q)':>12}{'D_KL(q‖p)':>12}{'D_JS':>8}")
for name, theta in fits().items():
    forth, back, js = divergences(theta)
    print(f"{name:<16}{theta[0]:7.3f}{np.exp(theta[1]):7.3f}{forth:12.3f}{back:12.3f}{js:8.3f}")
print(f"\n−log of the shares: {-np.log(SHARES[0]):.3f} and {-np.log(SHARES[1]):.3f}")

# %%
ax = panels(size=(6.4, 3.6))
x = GRID[np.abs(GRID) <= 8]
ax.fill_between(x, np.exp(log_mixture(x)), color="0.85", label="p, the mixture")
for (name, theta), style in zip(fits().items(), ("-", "--", ":"), strict=True):
    of = "D_KL(p ‖ q)" if name == "forward" else "D_KL(q ‖ p)"
    density = np.exp(log_gaussian(x, *theta))
    ax.plot(x, density, style, label=f"{name}: least {of}")
ax.set(xlabel="x", ylabel="density", title="Gaussians fitted to a mixture of two")
ax.legend(frameon=False)
ax

# %% [markdown]
# ## From samples alone: the maximum mean discrepancy
#
# All of the above needs densities. The MMD needs draws of both. A kernel $k(x, y) = e^{-\|x - y\|^2/2\sigma^2}$ gives
#
# $$\text{MMD}^2 = \mathbb{E}\, k(x, x') + \mathbb{E}\, k(y, y') - 2\, \mathbb{E}\, k(x, y),$$
#
# with independent draws $x, x'$ of one and $y, y'$ of the other. For this kernel it is zero only for equal distributions. The
# notes average over *all* pairs, also over those of a draw with itself, where $k = 1$. So their estimate does not come
# to zero for equal distributions; without these pairs it does, on average.

# %%
source(metrics.mmd2_unbiased)


# %%
def exact_mmd2(d, sigma=1.0):
    """MMD² of N(0, 1) and N(d, 1): x − x′ is N(0, 2), and x − y is N(−d, 2)."""
    scale = sigma / np.sqrt(sigma**2 + 2)
    return 2 * scale * (1 - np.exp(-(d**2) / (2 * (sigma**2 + 2))))


def exact_js(d):
    """D_JS of N(0, 1) and N(d, 1), by a sum over the grid."""
    p, q = (np.exp(log_gaussian(GRID, mean, 0.0)) for mean in (-d / 2, d / 2))
    return metrics.jensen_shannon(p / p.sum(), q / q.sum())


def estimates(d, n=100, repeats=200, seed=1):
    """Both estimates of MMD² from n draws of N(0, 1) and of N(d, 1): (repeats, 2)."""
    rng = sg.generator(seed)
    pairs = (rng.standard_normal((2, n, 1)) for _ in range(repeats))
    both = (metrics.mmd2_biased, metrics.mmd2_unbiased)
    return np.array([[estimate(x, y + d, 1.0) for estimate in both] for x, y in pairs])


print(
    f"{'d':>5}{'exact MMD²':>12}{'all pairs':>12}{'i ≠ j':>10}   means over 200 sets of 100 draws"
)
for d in (0.0, 0.3, 1.0):
    of_all, unbiased = estimates(d).mean(axis=0)
    print(f"{d:5}{exact_mmd2(d):12.4f}{of_all:12.4f}{unbiased:10.4f}")

# %% [markdown]
# Left: two Gaussians move apart. $D_{KL}$ grows without bound, while $D_{JS}$ comes to $\log 2$, and MMD² to its own ceiling: from
# there on they have no slope, and cannot tell far from very far. Right: the estimates of MMD² for two sets of *equal*
# distribution. An estimate alone says nothing without this floor. A permutation test compares with it: it
# exchanges draws between the sets at random, and counts how often the estimate is as large by chance.

# %%
left, right = panels(1, 2, size=(9.6, 3.6))
d = np.linspace(0, 8, 60)
left.plot(d, d**2 / 2, label="D_KL = d²/2")
left.plot(d, [exact_js(value) for value in d], label="D_JS")
left.plot(d, exact_mmd2(d), label="MMD², σ = 1")
left.axhline(np.log(2), color="grey", linestyle="--", label="log 2")
left.set(
    xlabel="distance d of the means", ylabel="nats", ylim=(0, 1.6), title="N(0, 1) and N(d, 1)"
)
left.legend(frameon=False)
for k, name in enumerate(("all pairs", "i ≠ j")):
    right.hist(estimates(0.0)[:, k], bins=25, alpha=0.6, label=name)
right.axvline(0, color="k", linewidth=1)
right.set(xlabel="estimate of MMD² = 0 from 100 draws each", ylabel="sets", title="the floor")
right.legend(frameon=False)
left

# %% [markdown]
# ## Draws of the three fits
#
# The next table sees only draws. *Precision* is the share of draws that lie in the balls around real draws which reach to
# their fifth neighbour, *recall* the share of real draws in the balls around draws; *density* and *coverage* count the real balls alone.
# Draws of one mode have a recall and a coverage near the share of that mode. Those of the forward fit lower the density:
# some lie in the valley, where real draws are rare and their balls large, so that the precision hardly
# notices.


# %%
def draws(seed=0):
    """Return draws of p, and of each fit, (n, 1) each."""
    rng = sg.generator(seed)
    of_p = rng.choice(2, DRAWS, p=SHARES)
    real = MEANS[of_p] + DEVIATIONS[of_p] * rng.standard_normal(DRAWS)
    of_fits = {
        name: mu + np.exp(log_sigma) * rng.standard_normal(DRAWS)
        for name, (mu, log_sigma) in fits().items()
    }
    return real[:, None], {name: x[:, None] for name, x in of_fits.items()}


def judged(samples, reals):
    """MMD², its p-value, precision, recall, density and coverage."""
    test = metrics.permutation_test(samples, reals, sg.generator(0))
    shares = metrics.precision_recall_density_coverage(samples, reals)
    return *test, *shares


NAMES = ("MMD²", "p-value", "precision", "recall", "density", "coverage")
real, of_fits = draws()
print(f"{DRAWS} draws of each beside {DRAWS} draws of p")
print(f"{'draws of':<16}" + "".join(f"{name:>11}" for name in NAMES))
for name, x in {"p itself": draws(seed=1)[0], **of_fits}.items():
    print(f"{name:<16}" + "".join(f"{value:11.3f}" for value in judged(x, real)))

# %% [markdown]
# ## What goes wrong: how metrics lie
#
# Images are often judged by a classifier: if it recognises a digit with confidence, the sample must be good. Here it judges seven
# impostors beside held-out digits. The reference of all other columns is the other half of the held-out digits. The
# last column is the share of samples that lie nearer than $10^{-6}$ to an image of the training.


# %%
@functools.cache
def classifier():
    """A network that was trained on the digits, and its accuracy on those held out."""
    x, labels = datasets.digits("train")
    network = estimators.FeedForwardClassifier((64,), epochs=80)
    network.fit(x.reshape(-1, 64), labels)
    x, labels = datasets.digits("test")
    return network, float((network.predict(x.reshape(-1, 64)) == labels).mean())


@functools.cache
def impostors(n=170, seed=0):
    """Held-out digits as the reference, and sets of n samples by name."""
    rng = sg.generator(seed)
    train, labels = datasets.digits("train")
    train, held_out = train.reshape(-1, 64), datasets.digits("test")[0].reshape(-1, 64)
    pairs = rng.integers(0, len(train), (2, n))
    confidence = classifier()[0].predict_proba(train).max(axis=1)
    return held_out[n : 2 * n], {
        "held-out digits": held_out[:n],
        "copies of training": train[:n],
        "one digit, n times": np.repeat(train[confidence.argmax()][None], n, axis=0),
        "the digit 1 only": train[labels == 1][:n],
        "means of two digits": 0.5 * (train[pairs[0]] + train[pairs[1]]),
        "digits and noise": np.clip(train[:n] + 0.25 * rng.standard_normal((n, 64)), 0, 1),
        "shuffled pixels": rng.permuted(train[:n], axis=1),
        "uniform noise": rng.random((n, 64)),
    }


def copied(samples):
    """The share of samples that are in the training set."""
    train = datasets.digits("train")[0].reshape(1, -1, 64)
    return float((np.abs(samples[:, None] - train).max(axis=2).min(axis=1) < 1e-6).mean())


network, accuracy = classifier()
reference, sets = impostors()
print(f"the classifier is right for {100 * accuracy:.1f} % of the held-out digits\n")
print(f"{'samples':<22}{'confidence':>11}" + "".join(f"{n:>11}" for n in NAMES) + f"{'copies':>9}")
for name, samples in sets.items():
    confidence = network.predict_proba(samples).max(axis=1).mean()
    told = "".join(f"{value:11.3f}" for value in judged(samples, reference))
    print(f"{name:<22}{confidence:11.2f}{told}{copied(samples):9.2f}")

# %%
plotting.image_table({name: samples[:14] for name, samples in sets.items()})

# %% [markdown]
# - **The confidence** of the classifier is highest where one digit is repeated, and it is not low for noise, which nobody
#   taught it to refuse. It says nothing about all the digits that are missing.
# - **Precision** likes the single digit as well. *Recall* and *coverage* see what is missing.
# - **Recall** can be had without one good sample: shuffled pixels lie far apart, so that the balls around them reach over all
#   digits. The coverage, whose balls are those of real images, is not deceived.
# - **Density** rewards blur: the mean of two digits lies where the balls of many digits overlap.
# - **MMD²** and its p-value refuse each of these impostors but one.
# - **A copy of the training set is perfect by all of these.** Only a comparison with the training data, in the last
#   column, tells a memory from a model.
# - **Ranges.** MMD between images on $[0, 1]$ and on $[-1, 1]$ is large whatever they show ([E15](errata.md#e15)). The library
#   refuses to compute it:

# %%
try:
    metrics.mmd2_unbiased(sets["held-out digits"], 2 * reference - 1)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: two Gaussians
# Derive $D_{KL}(N(\mu, \sigma^2) \,\|\, N(m, s^2))$ in closed form.


# %%
def kl_of_gaussians(mu, sigma, m, s):
    """D_KL in nats."""
    # your line


def check_kl(answer):
    for mu, sigma, m, s in ((0.0, 1.0, 1.0, 1.0), (0.5, 0.7, -0.3, 1.2)):
        p, q = (np.exp(log_gaussian(GRID, a, np.log(b))) for a, b in ((mu, sigma), (m, s)))
        expected = metrics.kl_divergence(p / p.sum(), q / q.sum())
        np.testing.assert_allclose(answer(mu, sigma, m, s), expected, rtol=1e-8)


attempt(check_kl, kl_of_gaussians)


# %% tags=["solution"]
def kl_of_gaussians(mu, sigma, m, s):
    return np.log(s / sigma) + (sigma**2 + (mu - m) ** 2) / (2 * s**2) - 0.5


attempt(check_kl, kl_of_gaussians)

# %% [markdown]
# ### Exercise 2: the divergence of a GAN
# Let $D^* = p/(p + q)$. Express $V = \sum p \log D^* + \sum q \log (1 - D^*)$ by the Jensen–Shannon divergence of $p$ and $q$
# alone.


# %%
def value_of_the_game(p, q):
    """V, by metrics.jensen_shannon(p, q)."""
    # your line


def check_value(answer):
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    best = p / (p + q)
    expected = p @ np.log(best) + q @ np.log(1 - best)
    np.testing.assert_allclose(answer(p, q), expected, rtol=1e-12)


attempt(check_value, value_of_the_game)


# %% tags=["solution"]
def value_of_the_game(p, q):
    return 2 * metrics.jensen_shannon(p, q) - 2 * np.log(2)


attempt(check_value, value_of_the_game)

# %% [markdown]
# ### Exercise 3: MMD² by hand
# Compute the unbiased estimate for rows `x` and `y` and a bandwidth `sigma`, without the library.


# %%
def mmd2(x, y, sigma):
    """Σᵢ≠ⱼ k(xᵢ, xⱼ)/n(n−1) + Σᵢ≠ⱼ k(yᵢ, yⱼ)/m(m−1) − 2 Σᵢⱼ k(xᵢ, yⱼ)/nm."""
    # your lines


def check_mmd2(answer):
    rng = sg.generator(1)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((30, 3)) + 0.4
    expected = metrics.mmd2_unbiased(x, y, 1.3)
    np.testing.assert_allclose(answer(x, y, 1.3), expected, rtol=1e-10)


attempt(check_mmd2, mmd2)


# %% tags=["solution"]
def mmd2(x, y, sigma):
    def kernel(a, b):
        return np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / (2 * sigma**2))

    n, m = len(x), len(y)
    within_x = (kernel(x, x).sum() - n) / (n * (n - 1))
    within_y = (kernel(y, y).sum() - m) / (m * (m - 1))
    return within_x + within_y - 2 * kernel(x, y).mean()


attempt(check_mmd2, mmd2)

# %% [markdown]
# ### Exercise 4: a metric that is easy to please
# Return 100 samples that the classifier recognises with a mean confidence above 0.99, but whose coverage of the held-out digits is below
# 0.1.


# %%
def pleasing():
    """Samples, (100, 64)."""
    # your lines


def check_pleasing(answer):
    samples = answer()
    assert classifier()[0].predict_proba(samples).max(axis=1).mean() > 0.99
    shares = metrics.precision_recall_density_coverage(samples, impostors()[0])
    assert shares.coverage < 0.1, f"the coverage is {shares.coverage:.2f}"


attempt(check_pleasing, pleasing)


# %% tags=["solution"]
def pleasing():
    train = datasets.digits("train")[0].reshape(-1, 64)
    best = classifier()[0].predict_proba(train).max(axis=1).argmax()
    return np.repeat(train[best : best + 1], 100, axis=0)


attempt(check_pleasing, pleasing)

# %% [markdown]
# **Read on:** [A game on a line](adversarial_game.md) watches $D_{JS}$ while a GAN learns. Gretton et al., "A kernel two-sample
# test", 2012; Naeem et al., arXiv:2002.09797; Theis, van den Oord and Bethge, "A note on the evaluation of generative models",
# arXiv:1511.01844.
