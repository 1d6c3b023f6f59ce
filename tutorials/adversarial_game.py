# %% [markdown]
# # A game on a line
#
# *The discriminator beside the best one, and why players circle.* This chapter follows "Generative Adversarial
# Networks" to "Progression in training" of the notes. [Generative adversarial networks](generative_adversarial.md)
# derives the two equations that are tried here:
#
# $$D^*(x) = \frac{p_r(x)}{p_r(x) + p_g(x)}, \qquad v(G, D^*) = 2\, D_{JS}(p_r \| p_g) - 2 \log 2 .$$
#
# Both need the densities. On a line one can have them: the data are a mixture of two Gaussians, and the generator
# $G(z) = a z + b$ with $z \sim N(0, 1)$ has the density $p_g = N(b, a^2)$.

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen import metrics, nn, optim
from scratchgen.learning import attempt, panels, source
from scratchgen.models import GAN, gan

SHARES, MEANS, DEVIATIONS = np.array([0.7, 0.3]), np.array([-1.0, 1.5]), np.array([0.5, 0.5])
GRID = np.linspace(-8, 8, 3201)
EPOCHS, BATCH, DRAWS, D_STEPS = 24, 250, 10_000, 5
SHOWN = (1, 6, EPOCHS)
ETA = 0.2
STARTS = (3.0, 0.0)

# %% [markdown]
# ## The smallest game
#
# One player lowers $v(x, y) = x y$ by $x$, the other raises it by $y$. The equilibrium is $(0, 0)$. With steps at the
# same time,
#
# $$\begin{pmatrix} x \\ y \end{pmatrix} \leftarrow \begin{pmatrix} 1 & -\eta \\ \eta & 1 \end{pmatrix}
# \begin{pmatrix} x \\ y \end{pmatrix},$$
#
# a rotation times $\sqrt{1 + \eta^2}$: whatever $\eta$ is, the players leave the equilibrium. If $y$ moves after $x$,
# the matrix has the determinant 1. Its orbits are the ellipses $x^2 + y^2 - \eta x y = $ constant, and the players
# circle for ever. A small share of the last gradient, $x - 2 \eta\, y_k + \eta\, y_{k-1}$ (*optimism*), makes them
# fall into the equilibrium. A game need not converge where a single cost would, even if each player takes perfect
# steps.


# %%
def orbit(steps, kind, eta=ETA):
    """The distance from (0, 0) after each step of the game x y, from (1, 0): (steps + 1,)."""
    x, y, last = 1.0, 0.0, (0.0, 1.0)
    distances = [1.0]
    for _ in range(steps):
        if kind == "simultaneous":
            x, y = x - eta * y, y + eta * x
        elif kind == "alternating":
            x -= eta * y
            y += eta * x
        else:
            slopes = y, x
            x, y = x - eta * (2 * slopes[0] - last[0]), y + eta * (2 * slopes[1] - last[1])
            last = slopes
        distances.append(math.hypot(x, y))
    return np.array(distances)


KINDS = "simultaneous", "alternating", "optimistic"
print(f"{'steps':>6}" + "".join(f"{kind:>14}" for kind in KINDS))
for steps in (1, 10, 50, 100, 200):
    print(f"{steps:6}" + "".join(f"{orbit(steps, kind)[-1]:14.4f}" for kind in KINDS))

# %%
axis = panels(size=(6.4, 3.2))
for kind, colour in zip(KINDS, ("C3", "C0", "C2"), strict=True):
    axis.plot(orbit(200, kind), color=colour, label=kind)
axis.plot((1 + ETA**2) ** (np.arange(201) / 2), "k:", label="√(1 + η²) to the power of the steps")
for bound in (1 / math.sqrt(1 - ETA / 2), 1 / math.sqrt(1 + ETA / 2)):
    axis.axhline(bound, color="0.6", linestyle="--", linewidth=0.8)
axis.set(yscale="log", ylim=(1e-3, 60), xlabel="step", title=f"distance from (0, 0), η = {ETA}")
axis.legend(frameon=False, fontsize="small")
axis

# %% [markdown]
# The dashed lines are the half axes of the ellipse: alternating steps stay between them.
#
# ## Densities on a line


# %%
def density_of_data(x):
    """p_r(x)."""
    each = np.exp(-0.5 * ((x[:, None] - MEANS) / DEVIATIONS) ** 2) / DEVIATIONS
    return each @ SHARES / math.sqrt(2 * math.pi)


def density_of_generator(model, x):
    """p_g(x) = N(x; b, a²)."""
    a, b = (p.data.item() for p in model.generator.parameters())
    return np.exp(-0.5 * ((x - b) / a) ** 2) / (math.sqrt(2 * math.pi) * abs(a))


def state(model):
    """D and D* on the grid, both densities, and the divergence in nats."""
    frozen = model.frozen()
    D = frozen.discriminate(GRID[:, None].astype(np.float32)).astype(np.float64)
    p_r, p_g = density_of_data(GRID), density_of_generator(model, GRID)
    best = p_r / np.maximum(p_r + p_g, 1e-300)
    js = metrics.jensen_shannon(p_r / p_r.sum(), p_g / p_g.sum())
    return {"D": D, "D*": best, "p_r": p_r, "p_g": p_g, "JS": js}


def value(D, p_r, p_g):
    """v(G, D) = ∫ p_r log D + p_g log(1 − D) dx, by the sum over the grid."""
    step = GRID[1] - GRID[0]
    D = np.clip(D, 1e-300, 1 - 1e-16)
    return float((p_r * np.log(D) + p_g * np.log1p(-D)).sum() * step)


def data(n, rng):
    """Draws of p_r, (n, 1)."""
    part = (rng.random(n) < SHARES[1]).astype(int)
    x = MEANS[part] + DEVIATIONS[part] * rng.standard_normal(n)
    return x[:, None].astype(np.float32)


def networks(rng, start):
    """G(z) = a z + b, and a discriminator of two hidden layers."""
    layers = [nn.Linear(1, 32, rng=rng), nn.Tanh(), nn.Linear(32, 32, rng=rng), nn.Tanh()]
    discriminator = nn.Sequential(*layers, nn.Linear(32, 1, rng=rng))
    generator = nn.Linear(1, 1, rng=rng)
    generator.load_state_dict({"weight": np.array([[0.4]]), "bias": np.array([start])})
    return GAN(generator, discriminator, 1, "normal", d_steps=D_STEPS)


# %% [markdown]
# The discriminator is a network of two hidden layers, and takes five steps for each step of the generator. So it is
# close to $D^*$ while $p_g$ moves. After each epoch the state of the game is compared with the sums over the grid.


# %%
@functools.cache
def game(start, seed=0):
    """Return the state after each epoch of the game, and the model."""
    rng = sg.generator(seed)
    model, x = networks(rng, start), data(DRAWS, rng)
    D = optim.Adam(model.discriminator.parameters(), 5e-3)
    G = optim.Adam(model.generator.parameters(), 5e-3, betas=(0.5, 0.999))
    states = []
    for _ in sg.train(model, x, [*[D] * D_STEPS, G], epochs=EPOCHS, batch_size=BATCH, rng=rng):
        states.append(state(model))
    return states, model


@functools.cache
def least_js():
    """The least D_JS of any Gaussian from the data, in nats, by SciPy's search."""
    from scipy import optimize

    p_r = density_of_data(GRID)

    def cost(theta):
        p_g = np.exp(-0.5 * ((GRID - theta[0]) / math.exp(theta[1])) ** 2)
        return metrics.jensen_shannon(p_r / p_r.sum(), p_g / p_g.sum())

    starts = [(0.0, 0.0), (MEANS[0], math.log(DEVIATIONS[0])), (MEANS[1], math.log(DEVIATIONS[1]))]
    return min(optimize.minimize(cost, start, method="Nelder-Mead").fun for start in starts)


def weighted_error(s):
    """The mean of |D − D*| where the data or the samples are, under (p_r + p_g)/2."""
    weights = s["p_r"] + s["p_g"]
    return float((np.abs(s["D"] - s["D*"]) * weights).sum() / weights.sum())


# %%
NAMES = "D_JS", "v(G, D*)", "2 D_JS − 2 log 2", "v(G, D)", "mean |D − D*|"
for start in STARTS:
    states, model = game(start)
    print(f"{'epoch':>6}" + "".join(f"{name:>18}" for name in NAMES))
    for epoch in (1, 2, 4, 8, 16, EPOCHS):
        s = states[epoch - 1]
        best, own = (value(s[name], s["p_r"], s["p_g"]) for name in ("D*", "D"))
        row = s["JS"], best, 2 * s["JS"] - 2 * math.log(2), own, weighted_error(s)
        print(f"{epoch:6}" + "".join(f"{number:18.4f}" for number in row))
    a, b = (p.data.item() for p in model.generator.parameters())
    print(f"from b = {start:g} to G(z) = {a:.3f} z + {b:.3f}\n")
print(f"the least D_JS of any Gaussian is {least_js():.4f} nats")

# %%
axes = panels(1, len(SHOWN) + 1, size=(11, 3.3))
states, _ = game(STARTS[0])
inside = np.abs(GRID) <= 5
for ax, epoch in zip(axes, SHOWN, strict=False):
    s = states[epoch - 1]
    ax.fill_between(GRID[inside], s["p_r"][inside], color="0.85", label="$p_r$, data")
    ax.plot(GRID[inside], s["p_g"][inside], "C2", label="$p_g$, samples")
    ax.plot(GRID[inside], s["D"][inside], "C0", label="$D$")
    ax.plot(GRID[inside], s["D*"][inside], "C3--", label="$D^*$")
    ax.set(xlabel="x", ylim=(-0.05, 1.25), title=f"epoch {epoch}")
axes[0].legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(0, 0.62))
axes[-1].plot(range(1, EPOCHS + 1), [s["JS"] for s in states], label="$D_{JS}(p_r \\Vert p_g)$")
axes[-1].axhline(least_js(), color="0.5", linestyle="--", label="least of a Gaussian")
axes[-1].set(xlabel="epoch", ylabel="nats", ylim=(0, None), title="divergence")
axes[-1].legend(frameon=False, fontsize="small")
axes[0]

# %% [markdown]
# ## What goes wrong: a mode collapse, explained
#
# A single Gaussian cannot become the mixture, so the game does not end at $\tfrac12$. It settles on the mode that is
# nearest to its start, well above the least $D_{JS}$ of a Gaussian. One reason is the cost of $G$. At $D^*$, held fixed
# while $G$ moves, the slope of the minimax cost is the slope of $2 D_{JS}$. The slope of $-\log D(G(z))$ is that of
#
# $$D_{KL}(p_g \| p_r) - 2\, D_{JS}(p_r \| p_g)$$
#
# (Arjovsky and Bottou 2017, theorem 2.5). It punishes samples where there are no data, and not the lack of samples
# where there are.

# %%
source(gan.non_saturating)

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: how fast the players leave
# After how many simultaneous steps is the distance from the equilibrium ten times as large?


# %%
def steps_to_ten(eta):
    """The least number of steps."""
    # your line


def check_ten(answer):
    for eta in (0.1, 0.2, 0.5):
        distances = orbit(answer(eta), "simultaneous", eta)
        assert distances[-1] >= 10 > distances[-2], f"after {answer(eta)} it is {distances[-1]:.2f}"


attempt(check_ten, steps_to_ten)


# %% tags=["solution"]
def steps_to_ten(eta):
    return math.ceil(2 * math.log(10) / math.log1p(eta**2))


attempt(check_ten, steps_to_ten)

# %% [markdown]
# ### Exercise 2: where D* is one half
# For $p_r = N(0, 1)$ and $p_g = N(0, a^2)$ with $a > 1$, there are two points where the best discriminator answers
# $\tfrac12$. Give the positive one.


# %%
def where_one_half(a):
    """x > 0 with D*(x) = ½."""
    # your line


def check_half(answer):
    for a in (1.5, 3.0):
        x = answer(a)
        assert abs(math.exp(-(x**2) / 2) - math.exp(-(x**2) / (2 * a**2)) / a) < 1e-12


attempt(check_half, where_one_half)


# %% tags=["solution"]
def where_one_half(a):
    return math.sqrt(2 * math.log(a) / (1 - 1 / a**2))


attempt(check_half, where_one_half)

# %% [markdown]
# ### Exercise 3: friction
# Each player adds a pull towards zero of the strength $\gamma$: $x \leftarrow x - \eta (y + \gamma x)$ and
# $y \leftarrow y + \eta (x - \gamma y)$, at the same time. By which factor does a step change the distance?


# %%
def with_friction(eta, gamma):
    """The factor."""
    # your line


def check_friction(answer):
    for eta, gamma in ((0.2, 0.0), (0.2, 0.3), (0.5, 1.0)):
        x, y = 0.6, -0.8
        moved = x - eta * (y + gamma * x), y + eta * (x - gamma * y)
        assert abs(answer(eta, gamma) - math.hypot(*moved)) < 1e-12


attempt(check_friction, with_friction)


# %% tags=["solution"]
def with_friction(eta, gamma):
    return math.hypot(1 - eta * gamma, eta)


attempt(check_friction, with_friction)

# %% [markdown]
# **Read on:** [Two ways to fit a Gaussian](divergences.md) compares what the two directions of $D_{KL}$ make of the
# same mixture.
