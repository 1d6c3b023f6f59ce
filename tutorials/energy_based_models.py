# %% [markdown]
# # Energy-based models and Langevin dynamics
#
# *Any network is a density, if one can sample from it.* This chapter follows "Energy models" and "Energy-based models and
# Langevin sampling" of the notes.
#
# A network $E_\Theta(\mathbf{x})$ that gives one number for each $\mathbf{x}$ states the density
#
# $$p(\mathbf{x}; \Theta) = \frac{e^{-E_\Theta(\mathbf{x})}}{Z(\Theta)}, \qquad Z(\Theta) = \int e^{-E_\Theta(\mathbf{x})}\, d\mathbf{x} .$$
#
# As for [Boltzmann machines](boltzmann_machines.md), $-\nabla_\Theta \log p = \nabla_\Theta E(\mathbf{x}) - \mathbb{E}_p[\nabla_\Theta E]$: the
# energy of the data falls, the energy of the model's own samples rises. But no conditional is known, so that Gibbs sampling
# is out. What is known is the slope of the energy. The *score* does not contain $Z$:
#
# $$\nabla_{\mathbf{x}} \log p(\mathbf{x}) = -\nabla_{\mathbf{x}} E(\mathbf{x}) - \underbrace{\nabla_{\mathbf{x}} \log Z}_{0} .$$

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen import nn, optim, plotting, sampling
from scratchgen.datasets import toys
from scratchgen.learning import attempt, panels, source
from scratchgen.metrics.grid import log_partition_on_grid
from scratchgen.models import energy

# %% [markdown]
# ## Langevin dynamics
#
# A particle slides down the energy, and noise kicks it:
#
# $$\mathbf{x} \leftarrow \mathbf{x} - \epsilon \nabla E(\mathbf{x}) + \sqrt{2 \epsilon}\, \mathbf{z}, \qquad \mathbf{z} \sim N(0, \mathbf{I}) .$$
#
# For $\epsilon \to 0$ it visits $\mathbf{x}$ as often as $p$ says. For a finite step there is a bias, which a Gaussian shows exactly. Let
# $E = x^2/2s^2$. Then the step is linear, and the variance $v$ of a chain obeys
#
# $$x' = \Bigl(1 - \frac{\epsilon}{s^2}\Bigr) x + \sqrt{2\epsilon}\, z, \qquad
# v' = \Bigl(1 - \frac{\epsilon}{s^2}\Bigr)^2 v + 2 \epsilon, \qquad
# v_\infty = \frac{s^2}{1 - \epsilon/2s^2} .$$
#
# The chain is too wide by the factor $1/(1 - \epsilon/2s^2)$, and from $\epsilon = 2 s^2$ on it diverges.

# %%
source(sampling.tempered_langevin)

# %% [markdown]
# ## The Metropolis test
#
# The step proposes $\mathbf{x}'$ with the density $q(\mathbf{x}'|\mathbf{x}) = N(\mathbf{x}';\, \mathbf{x} - \epsilon \nabla E,\, 2\epsilon\, \mathbf{I})$. Accept it with
# the probability
#
# $$\min\Bigl(1,\; e^{E(\mathbf{x}) - E(\mathbf{x}')}\, \frac{q(\mathbf{x}|\mathbf{x}')}{q(\mathbf{x}'|\mathbf{x})}\Bigr),$$
#
# else stay at $\mathbf{x}$. Then $p(\mathbf{x})$ times the probability of a move from $\mathbf{x}$ to $\mathbf{x}'$ is symmetric in both, so that $p$ is stationary
# for *any* step: MALA has no bias. On the Gaussian a share $1 - \frac{2}{\pi} \arctan\, (\epsilon/2s^2)^{3/2}$ of the steps is accepted.

# %%
source(sampling.mala)


# %%
S2 = 0.5  # the variance s² of the Gaussian


def bowl(x):
    """E(x) = Σ x²/2s², (n,)."""
    return (x * x).sum(axis=1) / (2 * S2)


def stationary(eps, s2=S2):
    """s²/(1 − ε/2s²), the variance of the unadjusted chain."""
    return s2 / (1 - eps / (2 * s2))


def acceptance(eps, s2=S2):
    """1 − (2/π) arctan((ε/2s²)^{3/2}), the share of accepted steps of MALA."""
    return 1 - 2 / np.pi * np.arctan((eps / (2 * s2)) ** 1.5)


@functools.cache
def on_a_bowl(eps, n=20_000, steps=100):
    """Variances of both chains after 100 steps from N(0, s²), and the share of accepted steps."""
    rng = sg.generator(0)
    x = math.sqrt(S2) * rng.standard_normal((n, 1))
    unadjusted = sampling.langevin(bowl, x, steps, eps, rng)
    adjusted, accepted = sampling.mala(bowl, x, steps, eps, rng)
    return unadjusted.var(), adjusted.var(), accepted


STEPS = (0.05, 0.2, 0.4, 0.6, 0.8)
print(
    f"{'ε':>6}{'variance':>11}{'its theory':>12}{'MALA':>8}{'s²':>6}{'accepted':>11}{'its theory':>12}"
)
for eps in STEPS:
    plain, adjusted, accepted = on_a_bowl(eps)
    told = f"{plain:11.4f}{stationary(eps):12.4f}{adjusted:8.3f}{S2:6.2f}"
    print(f"{eps:6}{told}{accepted:11.4f}{acceptance(eps):12.4f}")

# %%
left, right = panels(1, 2, size=(9.6, 3.4))
eps = np.linspace(0.01, 0.95, 100)
left.plot(eps, stationary(eps), "C3", label="unadjusted: s²/(1 − ε/2s²)")
left.plot(STEPS, [on_a_bowl(e)[0] for e in STEPS], "C3o")
left.axhline(S2, color="C0", label="MALA: s²")
left.plot(STEPS, [on_a_bowl(e)[1] for e in STEPS], "C0o")
left.axvline(2 * S2, color="grey", linestyle="--", label="ε = 2s²: the chain diverges")
left.set(xlabel="step ε", ylabel="variance of the chain", ylim=(0, 5))
left.legend(frameon=False, fontsize=8)
right.plot(eps, acceptance(eps), "C0", label="theory")
right.plot(STEPS, [on_a_bowl(e)[2] for e in STEPS], "C0o", label="measured")
right.set(xlabel="step ε", ylabel="share of accepted steps", ylim=(0, 1))
right.legend(frameon=False)
left

# %% [markdown]
# ## An energy network on the ring
#
# The data are eight Gaussians on a circle, whose density is known. The network has two hidden layers of 48 SiLUs. In the plane, $Z$
# is a sum over a grid, so that the likelihood of the model is exact, too. The negative phase needs samples at each update. Two
# starts of its chains:
#
# - *at the data*: ten steps from the batch, which is contrastive divergence;
# - *in a buffer*: chains go on where they ended at an earlier update, and a share of 2 % starts anew at random (Du and
#   Mordatch 2019).

# %%
source(energy.EnergyModel.losses)

# %%
HALF_WIDTH = 4.0
SAMPLERS = {
    "data": energy.Langevin(10, 0.01),
    "buffer": energy.MALA(10, 0.02),
}


@functools.cache
def ring(seed=1, n=2000):
    """Points of the ring, (n, 2)."""
    return toys.toy2d("ring", n, sg.generator(seed))[0]


def log_z(model):
    """log ∫ exp(−E) over a square around the ring."""
    return log_partition_on_grid(model.frozen().energy, ring(), HALF_WIDTH, 160)


def log_likelihood(model):
    """The mean of log p(x) over held-out points, nats."""
    return float((-model.frozen().energy(ring(seed=2))).mean()) - log_z(model)


@functools.cache
def trained(chains, epochs=48, rate=0.02):
    """An energy model of the ring, and its exact log-likelihood every sixth epoch."""
    rng = sg.generator(0)
    first = nn.Linear(2, 48, rng=rng)
    first.weight.data[...] *= 3  # the gaps of the ring are narrow: steeper units find them sooner
    network = nn.Sequential(
        first,
        nn.SiLU(),
        nn.Linear(48, 48, rng=rng),
        nn.SiLU(),
        nn.Linear(48, 1, rng=rng),
    )
    model = energy.EnergyModel(
        network, (2,), SAMPLERS[chains], chains, rng=rng, n_chains=1000, fresh=0.02, low=-3, high=3
    )
    adam, schedule = optim.Adam(model.parameters(), rate), optim.schedules.Cosine(epochs)
    curve = {}
    for epoch in sg.train(model, ring(), adam, epochs=epochs, batch_size=100, rng=rng):
        adam.lr = rate * schedule(epoch.number)
        if epoch.number % 6 == 0:
            curve[epoch.number] = log_likelihood(model)
    return model, curve


TRUTH = float(toys.log_density("ring", ring(seed=2)).mean())
ANNULUS = -math.log(2 * np.pi * toys.RADIUS) - 0.5 * math.log(2 * np.pi * math.e * toys.SPREAD**2)
for chains in SAMPLERS:
    told = "".join(f"{value:8.2f}" for value in trained(chains)[1].values())
    print(f"{chains:<10}{told}   nats, every sixth epoch")
print(f"the truth {TRUTH:8.2f}, a ring without gaps about {ANNULUS:.2f}")

# %%
cells = plotting.cell_centres(HALF_WIDTH, 80)
GRID = np.stack(np.meshgrid(cells, cells), axis=-1).reshape(-1, 2).astype(np.float32)
axes = panels(1, 3, size=(13, 3.9))
densities = {"the truth": np.exp(toys.log_density("ring", GRID))}
for chains in SAMPLERS:
    model, _ = trained(chains)
    densities[f"trained, chains from {chains}"] = np.exp(
        -model.frozen().energy(GRID) - log_z(model)
    )
for ax, (name, density) in zip(axes, densities.items(), strict=True):
    heights = density.reshape(80, 80)
    plotting.plane({}, ax, heights=heights, half_width=HALF_WIDTH, label="density")
    ax.set(title=name, aspect="equal")
axes[0]

# %% [markdown]
# ## The slope of the energy is the score
#
# Nobody told the network a density, nor a slope. Still $-\nabla E$ is an estimate of $\nabla \log p$, which the ring has in closed form. Grey:
# the exact score; red: the network's. They agree where data are, and need not where none are.


# %%
def score(model, x):
    """−∇E at the points x, (n, 2)."""
    at = sg.Tensor(x)
    energies = model.frozen().energy(at)
    (slope,) = sg.gradient(energies, [at], np.ones_like(energies.data))
    return -slope


x = ring(seed=3, n=60)
ax = panels(size=(5.2, 5))
for arrows, colour, name in (
    (toys.ring_score(x), "0.6", "exact ∇ log p"),
    (score(trained("buffer")[0], x), "C3", "−∇E of the network"),
):
    ax.quiver(*x.T, *arrows.T, color=colour, angles="xy", scale=200, width=0.004, label=name)
ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xlabel="$x_0$", ylabel="$x_1$")
ax.legend(frameon=False, loc="center")
x = ring(seed=3)
exact = toys.ring_score(x)
for chains in SAMPLERS:
    wrong = ((score(trained(chains)[0], x) - exact) ** 2).sum(axis=1).mean()
    print(
        f"chains from {chains:<8} error of the score {wrong / (exact**2).sum(axis=1).mean():.2f} of its mean square"
    )
ax

# %% [markdown]
# ## What goes wrong
#
# **Chains that do not cross.** Start 500 chains in *one* mode of the true ring, and let them run. Between two modes the energy is
# high, and each chain has to climb it. The shares of the modes are right only after very long.

# %%
MODES = toys.ring_modes()


def true_energy(x):
    """−log p(x) of the ring, up to a constant, as a tensor."""
    squares = ((x.reshape(-1, 1, 2) - MODES) ** 2).sum(axis=2)
    return -sg.operations.logsumexp(-squares / (2 * toys.SPREAD**2), axis=1)


@functools.cache
def crossing(looked_at=(10, 100, 1000), n=200):
    """The share of the chains in each mode, by the number of steps from the first mode."""
    rng, x, done, shares = sg.generator(0), np.tile(MODES[0], (n, 1)), 0, {}
    for steps in looked_at:
        x, _ = sampling.mala(true_energy, x, steps - done, 0.05, rng)
        nearest = ((x[:, None] - MODES) ** 2).sum(axis=2).argmin(axis=1)
        done, shares[steps] = steps, np.bincount(nearest, minlength=8) / n
    return shares


for steps, shares in crossing().items():
    print(
        f"{steps:6} steps   "
        + "".join(f"{share:7.3f}" for share in shares)
        + "   share of each mode"
    )

# %% [markdown]
# So chains cannot tell whether a mode has the right share. Look at the pictures of both models again, each with its own scale:
# every mode is in its place, and the slopes are right, but some modes are too deep. The term $\alpha\, (E^2 + E'^2)$, the option
# `alpha` of the library, keeps the depths alike. A mode that the model invents far away from all data is a matter of the start: chains from the data
# never visit it, and never remove it; fresh chains of a buffer do.
#
# **A step that is too large.** From $\epsilon = 2 s^2$ on, with the $s$ of the narrowest direction, the unadjusted chain leaves all bounds. Sharp
# energies need small steps. The library says so in place of returning numbers without a meaning:

# %%
try:
    with np.errstate(over="ignore"):
        sampling.langevin(bowl, np.ones((100, 1)), 2000, 3 * S2, sg.generator(0))
except RuntimeError as error:
    print(error)

# %% [markdown]
# **Noise that is too small.** For images one often takes noise below $\sqrt{2\epsilon}$. That samples another density, $e^{-E/T}$ with
# $T = \nu^2/2\epsilon$; exercise 3.
#
# ## Exercises
#
# ### Exercise 1: how fast the bias comes
# The variance of a chain at $E = x^2/2s^2$ starts at `v0`. Return it after `k` unadjusted steps.


# %%
def variance_after(k, v0, eps, s2):
    """The variance of x after k steps."""
    # your line


def check_variance(answer):
    v = 3.0
    for _ in range(7):
        v = (1 - 0.2 / S2) ** 2 * v + 2 * 0.2
    np.testing.assert_allclose(answer(7, 3.0, 0.2, S2), v, rtol=1e-12)
    np.testing.assert_allclose(answer(500, 3.0, 0.2, S2), stationary(0.2), rtol=1e-12)


attempt(check_variance, variance_after)


# %% tags=["solution"]
def variance_after(k, v0, eps, s2):
    return stationary(eps, s2) + (1 - eps / s2) ** (2 * k) * (v0 - stationary(eps, s2))


attempt(check_variance, variance_after)

# %% [markdown]
# ### Exercise 2: the ratio of the test
# Give $\log \bigl[e^{E(x) - E(x')}\, q(x|x')/q(x'|x)\bigr]$ for $E = x^2/2s^2$ and one dimension.


# %%
def log_ratio(x, there, eps, s2):
    """The logarithm of the ratio of the Metropolis test."""
    # your lines


def check_ratio(answer):
    x, there = np.array([0.3, -1.2, 0.8]), np.array([0.9, 0.4, 0.7])
    # On a Gaussian, all terms but one cancel.
    expected = -0.2 / (4 * S2**2) * (there**2 - x**2)
    np.testing.assert_allclose(answer(x, there, 0.2, S2), expected, rtol=1e-10)


attempt(check_ratio, log_ratio)


# %% tags=["solution"]
def log_ratio(x, there, eps, s2):
    forth = there - x + eps * x / s2
    back = x - there + eps * there / s2
    return (x**2 - there**2) / (2 * s2) + (forth**2 - back**2) / (4 * eps)


attempt(check_ratio, log_ratio)

# %% [markdown]
# ### Exercise 3: the temperature of small noise
# A chain takes steps $\epsilon$ with noise $\nu$ in place of $\sqrt{2\epsilon}$. Give the variance at which it ends for
# $E = x^2/2s^2$.


# %%
def tempered_variance(eps, noise, s2):
    """The stationary variance."""
    # your line


def check_tempered(answer):
    np.testing.assert_allclose(answer(0.2, math.sqrt(0.4), S2), stationary(0.2), rtol=1e-12)
    v = answer(0.2, 0.1, S2)
    np.testing.assert_allclose((1 - 0.2 / S2) ** 2 * v + 0.1**2, v, rtol=1e-12)


attempt(check_tempered, tempered_variance)


# %% tags=["solution"]
def tempered_variance(eps, noise, s2):
    return noise**2 / (2 * eps) * stationary(eps, s2)


attempt(check_tempered, tempered_variance)

# %% [markdown]
# **Read on:** the score is learned without an energy, by denoising, in the chapters on diffusion models. G. Roberts and R. Tweedie,
# "Exponential convergence of Langevin distributions", 1996; Y. Du and I. Mordatch, "Implicit generation and modeling with
# energy-based models", arXiv:1903.08689.
