# %% [markdown]
# # Generative adversarial networks
#
# *A sampler, and a critic that learns beside it.* This chapter follows the sections "Generative Adversarial
# Networks" to "Calculating scores" of the notes.
#
# A generator $G$ maps noise $h \sim p_h$ to samples $G(h)$, whose density we call $p_g$. The density $p_g$ is
# never computed. A discriminator $D(x)$ says how probable it is that $x$ is real, a draw of $p_r$. The two play a
# *zero-sum game*. What one player gains, the other loses. Its value is
#
# $$v(G, D) = \mathbb{E}_{x \sim p_r} \log D(x) + \mathbb{E}_{h \sim p_h} \log\bigl(1 - D(G(h))\bigr),
# \qquad G^* = \arg\min_G \max_D v(G, D).$$

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen import metrics, nn, plotting
from scratchgen import operations as ops
from scratchgen.datasets import toys
from scratchgen.learning import attempt, panels, source
from scratchgen.models import GAN, gan

LOG2 = math.log(2)

# %% [markdown]
# ## The best discriminator
#
# Hold $G$ fixed. The value is an integral over $x$,
#
# $$v(G, D) = \int \bigl[ p_r(x) \log D(x) + p_g(x) \log(1 - D(x)) \bigr]\, dx .$$
#
# Nothing ties $D$ at one $x$ to $D$ at another, so each $x$ may be treated alone. With the notes' letters
# $\tilde x = D(x)$, $A = p_r(x)$ and $B = p_g(x)$, the integrand and its derivative are
#
# $$f(\tilde x) = A \log \tilde x + B \log(1 - \tilde x), \qquad
# f'(\tilde x) = \frac{A}{\tilde x} - \frac{B}{1 - \tilde x} = \frac{A - (A + B)\,\tilde x}{\tilde x (1 - \tilde x)} .$$
#
# The derivative is zero at one point only, and there $f$ is greatest:
#
# $$D^*(x) = \frac{p_r(x)}{p_r(x) + p_g(x)} \in [0, 1].$$


# %%
def f(D, A, B):
    """A log D + B log(1 − D)."""
    return A * np.log(D) + B * np.log(1 - D)


def f_prime(D, A, B):
    """(A − (A + B) D)/(D (1 − D))."""
    return (A - (A + B) * D) / (D * (1 - D))


def best_discriminator(p_r, p_g):
    """D* = p_r/(p_r + p_g)."""
    return p_r / (p_r + p_g)


print(sg.check_gradient(f, f_prime, 0.3, 0.7, 0.2))

# %% [markdown]
# ## What the generator minimises
#
# Put $D^*$ into the value, and $m = \tfrac12 (p_r + p_g)$ for the mean of the two densities. Since
# $D^* = p_r / 2m$ and $1 - D^* = p_g / 2m$,
#
# $$v(G, D^*) = \int p_r \log \frac{p_r}{2m}\, dx + \int p_g \log \frac{p_g}{2m}\, dx
# = D_{KL}(p_r \| m) + D_{KL}(p_g \| m) - 2 \log 2 = 2\, D_{JS}(p_r \| p_g) - 2 \log 2 .$$
#
# Each of the two logarithms of 2 comes from one density, which integrates to 1. The divergence lies between 0, at
# $p_g = p_r$, and $\log 2$, where the two share no $x$ (the notes print the bound 1:
# [E7](errata.md#e7)). So the value lies between $-2 \log 2$ and 0.
#
# Take $p_r = N(0, 1)$ and $p_g = N(d, 1)$, and sum over a grid.

# %%
GRID = np.linspace(-12, 20, 4001)
STEP = GRID[1] - GRID[0]


def normal(mean):
    """N(x; mean, 1) on the grid."""
    return np.exp(-0.5 * (GRID - mean) ** 2) / math.sqrt(2 * math.pi)


def value(D, p_r, p_g):
    """v(G, D) = ∫ p_r log D + p_g log(1 − D) dx."""
    D = np.clip(D, 1e-300, 1 - 1e-16)  # 0 log 0 is 0
    return float((p_r * np.log(D) + p_g * np.log1p(-D)).sum() * STEP)


def divergence(p_r, p_g):
    """D_JS(p_r ‖ p_g) in nats."""
    return metrics.jensen_shannon(p_r / p_r.sum(), p_g / p_g.sum())


print(f"{'d':>4}{'v(G, D*)':>12}{'2 D_JS − 2 log 2':>20}{'v(G, ½)':>12}")
for d in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0):
    p_r, p_g = normal(0.0), normal(d)
    at_best, js = value(best_discriminator(p_r, p_g), p_r, p_g), divergence(p_r, p_g)
    at_half = value(np.full_like(GRID, 0.5), p_r, p_g)
    print(f"{d:4}{at_best:12.6f}{2 * js - 2 * LOG2:20.6f}{at_half:12.6f}")

# %%
left, right = panels(1, 2, size=(9.6, 3.4))
p_r, p_g = normal(0.0), normal(2.0)
shown = (GRID > -4) & (GRID < 6)
left.fill_between(GRID[shown], p_r[shown], color="0.85", label="$p_r$, data")
left.plot(GRID[shown], p_g[shown], "C2", label="$p_g$, samples")
left.plot(GRID[shown], best_discriminator(p_r, p_g)[shown], "C3", label="$D^*$")
left.axhline(0.5, color="0.6", linewidth=0.8)
left.set(xlabel="x", title="the best discriminator, d = 2")
left.legend(frameon=False)
distances = np.linspace(0, 8, 41)
at_best = [
    value(best_discriminator(normal(0.0), normal(d)), normal(0.0), normal(d)) for d in distances
]
right.plot(distances, at_best, "C3", label="v(G, D*)")
right.axhline(-2 * LOG2, color="0.6", linestyle="--", label="−2 log 2, at equilibrium")
right.axhline(0, color="0.6", linestyle=":", label="0, nothing in common")
right.set(
    xlabel="d, distance of $p_g$ from $p_r$", ylabel="nats", title="what G sees of the distance"
)
right.legend(frameon=False)
left

# %% [markdown]
# The right picture shows what goes wrong early in a training. Far from the data the value is flat: a discriminator
# that is always right tells the generator nothing of the direction.
#
# ## Two costs for the generator
#
# The library states the game in logits, $D = \sigma(a)$. Both logarithms are then softplus functions,
# $-\log D = \log(1 + e^{-a})$ and $-\log(1 - D) = \log(1 + e^{a})$, which do not overflow. The cost of $D$ is $-v$:

# %%
source(gan.discriminator_cost)

# %% [markdown]
# The generator can play the game as it is stated, and minimise $\log(1 - D(G(h)))$. Its slope in the logit is
# $-D$, close to zero exactly where $D$ is sure that a sample is generated. The *non-saturating* cost
# $-\log D(G(h))$ has the slope $-(1 - D)$. Its sign is the same at every $D$, so the fixed points are the same, but
# the slope is largest where the generator is worst.

# %%
source(gan.minimax)

# %%
source(gan.non_saturating)

# %%
COSTS = {"minimax": gan.minimax, "non_saturating": gan.non_saturating}


def slope(name, a):
    """The slope of a cost of G in the logits of D."""
    return sg.grad(lambda a: COSTS[name](a).sum())(a)


print(f"{'D(G(h))':>10}{'minimax':>14}{'non-saturating':>18}")
for D in (1e-6, 1e-3, 0.1, 0.5, 0.9):
    a = np.array([math.log(D / (1 - D))])
    print(f"{D:10g}" + f"{slope('minimax', a)[0]:14.6f}{slope('non_saturating', a)[0]:18.6f}")

# %% [markdown]
# ## Equilibrium, and when to stop
#
# At $p_g = p_r$ the best discriminator answers $\tfrac12$ everywhere. Its cost is $2 \log 2 \approx 1.386$, the
# non-saturating cost of $G$ is $\log 2 \approx 0.693$. From then on $D$ has nothing to teach, and the notes stop.
# `gan.at_equilibrium` looks at the outputs of the last epochs.

# %%
none = np.zeros(4)  # logits 0, D = ½
print(f"cost of D {gan.discriminator_cost(none, none).mean():.6f}, 2 log 2 = {2 * LOG2:.6f}")
print(f"cost of G {gan.non_saturating(none).mean():.6f},   log 2 = {LOG2:.6f}")
source(gan.at_equilibrium)

# %% [markdown]
# ## Why the players circle
#
# The notes warn that the two may chase one another for ever. The smallest GAN shows it. All data are at 0, $G$ puts
# all samples at $\theta$, and $D(x) = \sigma(\psi x)$ (Mescheder et al. 2018). The value is
#
# $$v(\theta, \psi) = -\log 2 - \log\bigl(1 + e^{\psi \theta}\bigr) .$$
#
# Near the equilibrium $(0, 0)$ it is $-2 \log 2 - \tfrac12 \psi\theta$, which is bilinear. If $\theta$ descends and
# $\psi$ ascends in small steps, then
#
# $$\dot\theta = \tfrac12 \psi, \quad \dot\psi = -\tfrac12 \theta, \qquad
# \text{whose matrix } \begin{pmatrix} 0 & \tfrac12 \\ -\tfrac12 & 0 \end{pmatrix} \text{ has the eigenvalues }
# \pm \tfrac{i}{2} .$$
#
# The eigenvalues are imaginary: the motion is a rotation, and $\theta^2 + \psi^2$ stays as it is. A finite step of
# the length $\eta$ multiplies the distance from the equilibrium by $|1 \pm \tfrac{i}{2}\eta| = \sqrt{1 + \eta^2/4}$,
# so that the players leave it. A single cost cannot do this: its second derivatives form a symmetric matrix, whose
# eigenvalues are real.


# %%
def cost_of_D(theta, psi):
    """−v(θ, ψ), with one sample at 0 and one at θ."""
    return ops.softplus(0 * psi) + ops.softplus(psi * theta)


def cost_of_G(theta, psi):
    """log(1 − D(θ))."""
    return gan.minimax(psi * theta)


def velocity(theta, psi):
    """−∂(cost of G)/∂θ and −∂(cost of D)/∂ψ."""
    return np.array([-sg.grad(cost_of_G, 0)(theta, psi), -sg.grad(cost_of_D, 1)(theta, psi)])


def play(eta, steps, start=(1.0, 0.0)):
    """Both players after each step; they move at the same time: (steps + 1, 2)."""
    points = [np.array(start)]
    for _ in range(steps):
        points.append(points[-1] + eta * velocity(*points[-1]))
    return np.array(points)


h = 1e-6
matrix = np.column_stack([velocity(h, 0.0), velocity(0.0, h)]) / h
print("matrix at the equilibrium\n", matrix.round(6))
print("eigenvalues", np.linalg.eigvals(matrix).round(6))
near = np.linalg.norm(play(0.4, 30, (1e-3, 0.0)), axis=1)
print(f"one step of η = 0.4: {near[1] / near[0]:.9f}, √(1 + η²/4) = {math.sqrt(1.04):.9f}")

# %%
left, right = panels(1, 2, size=(9.6, 3.8))
axis = np.linspace(-2, 2, 13)
field = np.array([[velocity(a, b) for a in axis] for b in axis])
left.quiver(axis, axis, field[..., 0], field[..., 1], color="0.55")
for eta, steps, colour in ((0.02, 650, "C0"), (0.4, 60, "C3")):
    left.plot(*play(eta, steps).T, color=colour, linewidth=1.2, label=f"η = {eta}")
left.plot(0, 0, "k*", markersize=10)
left.set(xlabel="θ, generator", ylabel="ψ, discriminator", xlim=(-2.2, 2.2), ylim=(-2.2, 2.2))
left.set_title("the smallest GAN, and its equilibrium")
left.legend(loc="upper right")
for eta, colour in ((0.1, "C0"), (0.4, "C3"), (0.8, "C1")):
    distance = np.linalg.norm(play(eta, 60, (1e-3, 0.0)), axis=1) / 1e-3
    right.plot(distance, "o", color=colour, markersize=3, label=f"η = {eta}")
    right.plot((1 + eta**2 / 4) ** (np.arange(61) / 2), color=colour, linewidth=1)
right.set(
    yscale="log", xlabel="step", title="distance from it, and theory", ylabel="over its start"
)
right.legend(frameon=False)
left

# %% [markdown]
# [A game on a line](adversarial_game.md) has steps in turn and optimistic steps, which keep their distance, and
# which fall into the equilibrium.
#
# ## Mode collapse on the ring
#
# The data are eight Gaussians on a circle. Two trainings differ in one number, the $\beta_1$ of Adam, which is the
# memory of its momentum. With 0.9 the players overshoot, as in the picture above. The generator then puts all its
# samples where $D$ is deceived today, and moves on tomorrow.

# %%
EPOCHS = 25


def of_the_plane(rng, n_hidden=64):
    """G: 2–64–64–2 and D: 2–64–64–1 with LeakyReLU units, and the non-saturating cost."""
    nets = []
    for n_out in (2, 1):
        hidden = (nn.Linear(2, n_hidden, rng=rng), nn.Linear(n_hidden, n_hidden, rng=rng))
        layers = (part for layer in hidden for part in (layer, nn.LeakyReLU(0.2)))
        nets.append(nn.Sequential(*layers, nn.Linear(n_hidden, n_out, rng=rng)))
    return GAN(*nets, n_latent=2, noise="normal")


@functools.cache
def ring_game(beta1):
    """Samples after each epoch, (epochs, 1000, 2), and the epochs."""
    rng = sg.generator(3)
    x, _ = toys.toy2d("ring", 2000, sg.generator(0))
    model = of_the_plane(rng)
    samples, epochs = [], []
    for epoch in sg.train(
        model, x, model.adam(2e-3, beta1), epochs=EPOCHS, batch_size=100, rng=rng
    ):
        samples.append(model.sample(1000, sg.generator(5)))
        epochs.append(epoch)
    return np.array(samples), epochs


def shares(points):
    """The share of the points within three standard deviations of each mode: (8,)."""
    distances = np.linalg.norm(points[:, None] - toys.ring_modes(), axis=2)
    return (distances <= 3 * toys.SPREAD).mean(axis=0)


axes = panels(2, 4, size=(9.6, 4.9), sharex=True, sharey=True)
data, _ = toys.toy2d("ring", 600, sg.generator(7))
for row, beta1 in zip(axes, (0.5, 0.9), strict=True):
    for ax, epoch in zip(row, (6, 12, 18, EPOCHS), strict=True):
        ax.plot(*data.T, ".", color="0.8", markersize=2)
        ax.plot(*ring_game(beta1)[0][epoch - 1].T, ".", color="C3", markersize=1.5)
        ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal", title=f"epoch {epoch}")
    row[0].set_ylabel(f"β₁ = {beta1}")
axes[0, 0]

# %% [markdown]
# The costs do not tell. The losses of both trainings are of the same size. What tells is a look at the samples, or
# at the share of them near each mode, which is 0.124 for the data (a mode holds 98.9 % of its points within three
# deviations).

# %%
print(f"data        {shares(toys.toy2d('ring', 100_000, sg.generator(3))[0]).round(2)}")
for beta1 in (0.5, 0.9):
    samples, epochs = ring_game(beta1)
    print(f"β₁ = {beta1}    {shares(samples[-1]).round(2)}   {epochs[-1]}")

# %% [markdown]
# ## Digits
#
# The same game with images of $8 \times 8$ pixels, scaled to $[-1, 1]$ for the tanh of the generator. Each hidden
# layer of $D$ has a dropout of its own; the notes give all of them one name, and only one survives
# ([E16](errata.md#e16)).

# %%
images, _ = sg.datasets.digits("train")
held_out, _ = sg.datasets.digits("test")
X = 2 * images.reshape(len(images), -1) - 1
HELD_OUT = 2 * held_out.reshape(len(held_out), -1) - 1
HELD_OUT = HELD_OUT[sg.generator(9).permutation(len(HELD_OUT))]  # they stand by their writers


@functools.cache
def digits_game(epochs=40):
    """The model, ten fixed noises' samples for each epoch, and outputs of D with dropout."""
    rng = sg.generator(0)
    model = gan.dense(64, 128, 20, rng, dropout=0.3, slope=0.2)
    fixed = model.sample_noise(10, sg.generator(4))
    history, samples, with_dropout = [], [], []
    for epoch in sg.train(model, X, model.adam(2e-3, 0.5), epochs=epochs, batch_size=32, rng=rng):
        frozen = model.frozen()
        logits = frozen.logits(X[:200], sg.generator(epoch.number))
        with_dropout.append(float(ops.sigmoid(logits).mean()))
        samples.append(frozen.generate(fixed))
        history.append(epoch)
    return model, history, np.array(samples), with_dropout


model, history, samples, with_dropout = digits_game()
print(model.discriminator)
print(gan.log_line(history[-1]))

# %%
left, right = panels(1, 2, size=(9.6, 3.6), width_ratios=(1.4, 1))
shown = (1, 5, 10, 20, 40)
rows = {f"epoch {k}": samples[k - 1] for k in shown}
plotting.image_table(rows, left, value_range=(-1, 1))
numbers = [epoch.number for epoch in history]
right.plot(numbers, [epoch.report["D(x)"] for epoch in history], "C0", label="D(x)")
right.plot(numbers, with_dropout, "C0:", label="D(x), with dropout")
right.plot(numbers, [epoch.report["D(G(z))"] for epoch in history], "C1", label="D(G(h))")
right.axhline(0.5, color="0.6", linewidth=0.8)
right.set(xlabel="epoch", title="outputs of D, and ½")
right.legend(frameon=False)
left

# %% [markdown]
# Ten noises are kept, so that each column is one sample in the making. The outputs of $D$ approach $\tfrac12$. The
# notes plot such curves over an axis called "Iteration"; it counts epochs ([E21](errata.md#e21)). They record both
# outputs with dropout on ([E22](errata.md#e22)); a record must say which of the two it shows. Here the solid lines
# have none.
#
# ## A score, beside its floor
#
# A GAN has no likelihood. The notes compare samples with data by the *maximum mean discrepancy*,
#
# $$\mathrm{MMD}^2 = \mathbb{E}\, k(x, x') + \mathbb{E}\, k(y, y') - 2\, \mathbb{E}\, k(x, y), \qquad
# k(x, y) = e^{-\|x - y\|^2 / 2\sigma^2} .$$
#
# A number alone says nothing. Its *floor* is the same number for real samples in the place of generated ones.
# The estimate of the notes takes all pairs, also those of a sample with itself. It is then above 0 even for two
# samples of one distribution. Without these pairs the estimate has no bias.


# %%
def mmd2(x, y, sigma, biased):
    """The three means of the kernel, with or without the pairs of a sample with itself."""

    def kernel(a, b):
        return np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / (2 * sigma**2))

    def within(a):
        n, k = len(a), kernel(a, a)
        return k.mean() if biased else (k.sum() - n) / (n * (n - 1))

    return within(x) + within(y) - 2 * kernel(x, y).mean()


half = len(HELD_OUT) // 2
reals, reference = HELD_OUT[:half], HELD_OUT[half:]
fakes = model.sample(half, sg.generator(3))
noise = sg.generator(3).random((half, 64)) * 2 - 1
sigma = metrics.median_bandwidth(reference)
print(f"{'':<22}{'unbiased':>10}{'biased':>10}")
for name, x in (
    ("samples of the GAN", fakes),
    ("uniform noise", noise),
    ("floor: real digits", reals),
):
    print(f"{name:<22}" + "".join(f"{mmd2(x, reference, sigma, b):10.4f}" for b in (False, True)))
found = metrics.against_floor(fakes, HELD_OUT)
print(f"of the library        {found.value:10.4f}, floor {found.floor:.4f}")

# %% [markdown]
# The notes take fakes on $[0, 1]$, and data on $[-1, 1]$ ([E15](errata.md#e15)). Perfect fakes then seem to be
# worse than the noise. The library refuses such a comparison.

# %%
print(f"real digits on [0, 1]: {mmd2((reals + 1) / 2, reference, sigma, False):.4f}")
try:
    metrics.mmd2_unbiased((reals + 1) / 2, reference)
except ValueError as error:
    print(f"refused: {error}")

# %% [markdown]
# ## What goes wrong
#
# | it looks so | the cause |
# |---|---|
# | $D(x) \to 1$ and $D(G(h)) \to 0$ at once, the cost of $G$ rises | $D$ is too strong: the cost of $G$ is minimax, or $D$ takes too many steps |
# | samples are alike, and change together from epoch to epoch | mode collapse: less momentum, a smaller rate, more steps of $D$ |
# | both costs are constant, and the samples are noise | data and samples have different ranges |
# | the costs stay at $2 \log 2$ and $\log 2$ | equilibrium, or a $D$ that is too weak to see a difference: look at the samples |
#
# ## Exercises
#
# ### Exercise 1: more real samples than generated ones
# A discriminator sees batches in which the share $\pi$ is real: it maximises
# $\pi\, \mathbb{E}_{p_r} \log D + (1 - \pi)\, \mathbb{E}_{p_g} \log(1 - D)$. Which $D^*$ is the best?


# %%
def with_a_share(p_r, p_g, pi):
    """D* where the share π of the samples is real."""
    # your line


def check_share(answer):
    for A, B, pi in ((0.7, 0.2, 0.5), (0.7, 0.2, 0.9), (0.1, 0.4, 0.3)):
        best = answer(A, B, pi)
        slope = pi * A / best - (1 - pi) * B / (1 - best)
        assert abs(slope) < 1e-12, f"the slope is {slope:.3g} there, not 0"


attempt(check_share, with_a_share)


# %% tags=["solution"]
def with_a_share(p_r, p_g, pi):
    return pi * p_r / (pi * p_r + (1 - pi) * p_g)


attempt(check_share, with_a_share)

# %% [markdown]
# ### Exercise 2: how much of a network the best discriminator needs
# For $p_r = N(0, 1)$ and $p_g = N(d, 1)$ the logit of $D^*$ is a polynomial in $x$. Which one?


# %%
def logit_of_the_best(x, d):
    """log D*/(1 − D*)."""
    # your line


def check_logit(answer):
    for d in (0.5, 2.0):
        D = best_discriminator(normal(0.0), normal(d))[1000:2500]
        np.testing.assert_allclose(answer(GRID[1000:2500], d), np.log(D / (1 - D)), atol=1e-8)


attempt(check_logit, logit_of_the_best)


# %% tags=["solution"]
def logit_of_the_best(x, d):
    return d * (d / 2 - x)  # log p_r − log p_g: a single linear unit is enough


attempt(check_logit, logit_of_the_best)

# %% [markdown]
# ### Exercise 3: the slope of the non-saturating cost
# The cost is $-\log \sigma(a)$ in the logit $a$. Derive its derivative.


# %%
def slope_by_hand(a):
    """The derivative, for each entry of a."""
    # your line


def check_slope(answer):
    sg.assert_gradient(lambda a: np.log1p(np.exp(-a)).sum(), answer, np.linspace(-3, 3, 7))


attempt(check_slope, slope_by_hand)


# %% tags=["solution"]
def slope_by_hand(a):
    return -(1 - 1 / (1 + np.exp(-a)))  # −(1 − D)


attempt(check_slope, slope_by_hand)

# %% [markdown]
# ### Exercise 4: one player after the other
# If $\psi$ moves after $\theta$, and sees where $\theta$ went, one step of the linear game is a product of two
# matrices. Give the $2 \times 2$ matrix that maps $(\theta, \psi)$ to the next $(\theta, \psi)$, for a step $\eta$. What is its
# determinant?


# %%
def in_turn(eta):
    """The matrix of a step of θ, then of ψ."""
    # your lines


def check_turn(answer):
    theta, psi, eta = 0.7, -0.4, 0.3
    moved = theta + eta * psi / 2
    expected = [moved, psi - eta * moved / 2]
    np.testing.assert_allclose(np.array(answer(eta)) @ [theta, psi], expected, rtol=1e-12)
    assert abs(np.linalg.det(answer(eta)) - 1) < 1e-12  # areas stay: neither in nor out


attempt(check_turn, in_turn)


# %% tags=["solution"]
def in_turn(eta):
    of_theta = np.array([[1, eta / 2], [0, 1]])
    of_psi = np.array([[1, 0], [-eta / 2, 1]])
    return of_psi @ of_theta


attempt(check_turn, in_turn)

# %% [markdown]
# **Step through** [a step of each player](traces.md#a-gan-two-players), and predict each number.
#
# **Read on:** [A game on a line](adversarial_game.md) has both densities, so that $D$ stands beside $D^*$ while it
# learns. [From a hierarchy to diffusion](from_hierarchy_to_diffusion.md) begins with models that need no opponent.
