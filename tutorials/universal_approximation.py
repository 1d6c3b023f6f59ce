# %% [markdown]
# # Universal approximation
#
# *The error of one hidden layer against its width.* This chapter follows the section "Universal approximation theorem" of
# the notes.
#
# Let $\sigma$ be a continuous function with $\sigma(z) \to 1$ for $z \to \infty$ and $\sigma(z) \to 0$ for $z \to -\infty$, such as the
# sigmoid. For each continuous $F$ on $[0, 1]$ and each $\epsilon > 0$ there is a network of one hidden layer,
# $f(x; \Theta) = c + \sum_j a_j \sigma(w_j x + b_j)$, with (Cybenko 1989)
#
# $$|F(x) - f(x; \Theta)| < \epsilon \quad \text{for all } x \in [0, 1] .$$
#
# If only $\mathbb E |F(x)|^2 = \int |F(x)|^2 p(x)\, dx < \infty$, as for an $F$ that jumps, there is one with (Hornik 1991)
#
# $$\mathbb E |F(x) - f(x; \Theta)|^2 = \int |F(x) - f(x; \Theta)|^2 p(x)\, dx < \epsilon .$$
#
# The notes add that the proofs say nothing of the width and of the weights. In one dimension a proof can give both.

# %%
import dataclasses
import functools
from collections.abc import Callable

import numpy as np

import scratchgen as sg
from scratchgen import optim
from scratchgen.learning import attempt, panels, source
from scratchgen.models.feed_forward import Regressor, dense

WIDTHS = (2, 4, 8, 16, 32)
STEEP, SOFT = 20.0, 2.0  # k of the constructed network, and of the one where training begins
STEPS, SHOWN = 400, 100  # of a full training, and of those in this chapter
SAMPLES = (np.arange(400) + 0.5) / 400  # x, uniform on [0, 1]
GRID = np.linspace(0, 1, 20_001)


@dataclasses.dataclass(frozen=True)
class Target:
    """F on [0, 1] with |F(x) − F(y)| ≤ L |x − y|, but for one jump, F(s) = F(s−) + J."""

    name: str
    F: Callable[[np.ndarray], np.ndarray]
    L: float = 2 * np.pi
    J: float = 0.0
    s: float = 0.6


SINE = Target("a continuous target", lambda x: np.sin(2 * np.pi * x))
JUMP = Target("a target with a jump of 1", lambda x: np.sin(2 * np.pi * x) + (x >= 0.6), J=1.0)


def sigmoid(z):
    """σ(z) = 1/(1 + e⁻ᶻ) = ½ + ½ tanh ½z."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)


@dataclasses.dataclass(frozen=True)
class Network:
    """f(x) = c + Σⱼ aⱼ σ(wⱼ x + bⱼ)."""

    w: np.ndarray
    b: np.ndarray
    a: np.ndarray
    c: float

    def __call__(self, x):
        return self.c + sigmoid(np.multiply.outer(x, self.w) + self.b) @ self.a

    @property
    def lipschitz(self):
        """|f′(x)| ≤ Σⱼ |aⱼ wⱼ|/4, since σ′ ≤ 1/4."""
        return np.abs(self.a * self.w).sum() / 4


# %% [markdown]
# ## A constructed network
#
# Let the $N$ units be steps of the height $F(x_j) - F(x_{j-1})$ between the knots $x_j = j/N$, in the middle $m_j$ of
# $x_{j-1}$ and $x_j$, and of the steepness $\kappa = k N$:
#
# $$f(x) = F(x_0) + \sum_j \bigl(F(x_j) - F(x_{j-1})\bigr)\, \sigma\bigl(\kappa (x - m_j)\bigr) .$$
#
# Collect the terms of each $F(x_j)$. Its factor is a bump, $\sigma(\kappa (x - m_j)) - \sigma(\kappa (x - m_{j+1})) \ge 0$, and the bumps
# add up to 1. They are probabilities: $\sigma(\kappa u)$ is the probability that a logistic random number $\Lambda$ of the scale
# $1/\kappa$ is at most $u$, so that the bump at $x_j$ is the probability that $x_j$ is the knot $R$ nearest to $x - \Lambda$. The
# network is a mean, $f(x) = \mathbb E [F(R)]$, and $R$ is close to $x$: $|R - x| \le 1/(2N) + |\Lambda|$ with
# $\mathbb E |\Lambda| = 2 (\ln 2)/\kappa$. If $|F(x) - F(y)| \le L |x - y|$, then for all $x$
#
# $$|F(x) - f(x)| \le L\, \mathbb E |R - x| \le \frac LN \Bigl(\frac12 + \frac{2 \ln 2}{k}\Bigr) .$$
#
# So $N \ge (L/\epsilon) (1/2 + (2 \ln 2)/k)$ units with the weights $kN$ are enough for the error $\epsilon$.


# %%
def constructed(target, n, k=STEEP):
    """The network of n steps at the midpoints of n + 1 knots, each of steepness k n."""
    knots = np.arange(n + 1) / n
    midpoints, F = (knots[1:] + knots[:-1]) / 2, target.F(knots)
    return Network(np.full(n, k * n), -k * n * midpoints, np.diff(F), F[0])


def greatest_error(target, f):
    """The largest |F − f| on a grid, and at both limits of F at its jump."""
    at_jump = f(target.s) - target.F(target.s) + np.array([0.0, target.J])
    return max(np.abs(target.F(GRID) - f(GRID)).max(), np.abs(at_jump).max())


def mean_error(target, f):
    """√E|F − f|², with x uniform on the samples."""
    return np.sqrt(((target.F(SAMPLES) - f(SAMPLES)) ** 2).mean())


def greatest_bound(target, n, k=STEEP):
    """(L/N) (1/2 + (2 ln 2)/k), for a target without a jump."""
    return target.L / n * (0.5 + 2 * np.log(2) / k)


def width_for(target, epsilon, k=STEEP):
    """The least N with (L/N) (1/2 + (2 ln 2)/k) < ε."""
    return int(greatest_bound(target, 1, k) / epsilon) + 1


for epsilon in (0.1, 0.03, 0.01):
    n = width_for(SINE, epsilon)
    error = greatest_error(SINE, constructed(SINE, n))
    assert error < epsilon
    print(f"ε = {epsilon}: {n} units are enough, and their greatest error is {error:.2g}")

# %%
left, right = panels(1, 2, size=(9.6, 3.4), sharey=False)
few = constructed(SINE, 8)
left.plot(GRID, SINE.F(GRID), "0.6", linewidth=4, label="F")
left.plot(GRID, few(GRID), "C0", label="f, 8 units")
left.plot(np.arange(9) / 8, SINE.F(np.arange(9) / 8), "ko", markersize=4, label="knots")
left.legend(frameon=False)
steps = sigmoid(np.multiply.outer(GRID, few.w) + few.b)
edge = np.ones((len(GRID), 1))
right.plot(GRID, np.hstack([edge, steps]) - np.hstack([steps, 0 * edge]))
left.set(xlabel="x", title="steps from knot to knot")
right.set(xlabel="x", title="the bumps: probabilities that add up to 1")
left

# %% [markdown]
# ## A jump
#
# An $F$ with a jump $J$ at $s$ has no such $f$. The network is continuous, so that $f(s)$ lies at least $J/2$ from one of
# the two limits of $F$ at $s$: the greatest error is at least $J/2$, whatever the width. But the jump matters only where it
# lies between $x$ and $R$. For $x$ uniform on $[0, 1]$ this has a probability of at most $2\, \mathbb E |R - x|$, and by
# Minkowski's inequality
#
# $$\sqrt{\mathbb E |F - f|^2} \le \frac LN \Bigl(\frac12 + \frac{\pi}{\sqrt 3\, k}\Bigr) + J \sqrt{\frac{1 + (4 \ln 2)/k}{N}} .$$


# %%
def mean_bound(target, n, k=STEEP):
    """(L/N) (1/2 + π/(√3 k)) + J √((1 + (4 ln 2)/k)/N)."""
    at_jump = np.sqrt((1 + 4 * np.log(2) / k) / n)
    return target.L / n * (0.5 + np.pi / (np.sqrt(3) * k)) + target.J * at_jump


# %% [markdown]
# ## A trained network
#
# The second network of each width is *trained*. It begins as a constructed network whose steps overlap, $k = 2$, and
# descends on $\tfrac12 \mathbb E |F - f|^2$ by L-BFGS with a line search ([Optimizers](optimizers.md)).

# %%
source(Regressor.nll)


# %%
def trained(target, n, steps=STEPS):
    """The network after ``steps`` steps of L-BFGS on ½ E|F − f|², and the cost of each step."""
    start = constructed(target, n, SOFT)
    model = Regressor(dense((1,), 1, sg.generator(0), (n,), "sigmoid")).astype(np.float64)
    _, hidden, _, out = model.network.layers
    hidden.weight.data[:, 0], hidden.bias.data[:] = start.w, start.b
    out.weight.data[0], out.bias.data[0] = start.a, start.c
    data = SAMPLES[:, None], target.F(SAMPLES)[:, None]
    search, all_of_them = optim.WolfeLBFGS(model.parameters()), {"batch_size": len(SAMPLES)}
    costs = [
        epoch.costs[0]
        for epoch in sg.train(model, data, search, epochs=steps, rng=sg.generator(0), **all_of_them)
    ]
    found = hidden.weight.data[:, 0], hidden.bias.data, out.weight.data[0], out.bias.data[0]
    return Network(*found), costs


@functools.cache
def networks(target):
    """Both networks of each width."""
    return {
        n: {"constructed": constructed(target, n), "trained": trained(target, n, SHOWN)[0]}
        for n in WIDTHS
    }


for target in (SINE, JUMP):
    square = (target.F(SAMPLES) ** 2).mean()
    print(f"{target.name}, E|F|² = {square:.3f}\n")
    print(f"{'':<6}{'constructed':<30}{'trained':<20}")
    print(f"{'units':<6}{'greatest':<10}{'bound':<10}{'root mean':<10}{'greatest':<10}root mean")
    for n, each in networks(target).items():
        bound = f"{greatest_bound(target, n):.4f}" if not target.J else f"≥ {target.J / 2:g}"
        print(f"{n:<6}", end="")
        for name, f in each.items():
            greatest, mean = greatest_error(target, f), mean_error(target, f)
            print(f"{greatest:<10.2g}", end=f"{bound:<10}" if name == "constructed" else "")
            print(f"{mean:<10.2g}", end="")
        print()
    print()


# %%
def picture(networks):
    """Plot F with the networks of 8 units, and the errors of all widths."""
    axes = panels(2, 2, size=(9, 7), sharey="row")
    for (above, below), (target, of_width) in zip(axes.T, networks.items(), strict=True):
        widths = [*of_width]
        shown = 8 if 8 in of_width else widths[-1]
        for x in np.split(GRID, [np.searchsorted(GRID, target.s)] if target.J else []):
            above.plot(x, target.F(x), "0.6", linewidth=4)
        for k, (name, f) in enumerate(of_width[shown].items()):
            above.plot(GRID, f(GRID), f"C{k}", label=f"{name}, {shown} units")
            greatest = [greatest_error(target, of_width[n][name]) for n in widths]
            mean = [mean_error(target, of_width[n][name]) for n in widths]
            below.plot(widths, greatest, f"C{k}o-", label=f"{name}: greatest $|F - f|$")
            below.plot(widths, mean, f"C{k}s:", label=rf"{name}: $\sqrt{{E|F - f|^2}}$")
        if target.J:
            below.axhline(target.J / 2, color="0.4", linestyle="--", label="half of the jump")
        else:
            bound = [greatest_bound(target, n) for n in widths]
            below.plot(widths, bound, "C0--", alpha=0.5, label="constructed: bound on $|F - f|$")
        above.lines[0].set_label("target $F$")
        above.set(title=target.name, xlabel="$x$")
        below.set(xscale="log", yscale="log", xlabel="units of the hidden layer")
        below.set_xticks(widths, [str(n) for n in widths], minor=False)
        below.minorticks_off()
        above.legend(frameon=False, fontsize=9)
        for ax in (above, below):
            ax.grid(alpha=0.25)
    axes[1, 0].set_ylabel("error")
    lines = {line.get_label(): line for ax in axes[1] for line in ax.get_lines()}
    axes[0, 0].figure.legend(
        lines.values(), lines, loc="outside lower center", ncols=3, frameon=False
    )
    return axes[0, 0]


picture({target: networks(target) for target in (SINE, JUMP)})

# %% [markdown]
# For a smooth $F$ the trained network is far more accurate than the constructed one of its width, since it places its units
# where they are needed. But its error does not fall with each further unit: the theorem states that a network of error
# $\epsilon$ *exists*, not that descent finds it. At a jump its greatest error is at least $J/2$, too.
#
# ## What goes wrong
#
# | it looks so | the cause |
# |---|---|
# | the error stays at half of the jump | a continuous network, a target that jumps: no width helps |
# | a wider network fits no better | descent has not found the network that exists: another start, more steps |
# | the fit is good on $[0, 1]$, and absurd outside | the theorem speaks of the cube only |
# | the fit is good at the samples, and wild between | the theorem needs all of $F$; samples are not all of it |
#
# ## Exercises
#
# ### Exercise 1: how many units
# The target has $L = 3$, the units are infinitely steep. Which width is enough for an error of $\epsilon$?


# %%
def enough(epsilon):
    """The number of units."""
    # your line


def check_enough(answer):
    for epsilon in (0.5, 0.1, 0.01):
        n = answer(epsilon)
        assert 3 / (2 * n) < epsilon + 1e-12, f"{n} units are too few for {epsilon}"
        assert n == 1 or 3 / (2 * (n - 1)) > epsilon - 1e-12, f"fewer than {n} units are enough"


attempt(check_enough, enough)


# %% tags=["solution"]
def enough(epsilon):
    return int(np.ceil(3 / (2 * epsilon) - 1e-9))  # k → ∞: (L/N)/2


attempt(check_enough, enough)

# %% [markdown]
# ### Exercise 2: ReLU
# Two kinks make a ramp: with $r(z) = \max(z, 0)$, $r(x - p) - r(x - q)$ rises from 0 at $p$ to $q - p$ at $q$. Write a
# network of ReLU units that is the piecewise linear curve through the knots $(x_j, F_j)$. Return $c$ and the lists of $a_j$
# and $b_j$ of $f(x) = c + \sum_j a_j\, r(x + b_j)$.


# %%
def through_knots(x, F):
    """c, a and b."""
    # your lines


def check_knots(answer):
    x = np.array([0.0, 0.2, 0.5, 0.6, 1.0])
    F = np.array([1.0, -1.0, 0.5, 0.0, 2.0])
    c, a, b = answer(x, F)
    grid = np.linspace(0, 1, 101)
    f = c + np.maximum(np.add.outer(grid, np.array(b)), 0) @ np.array(a)
    np.testing.assert_allclose(f, np.interp(grid, x, F), atol=1e-12)


attempt(check_knots, through_knots)


# %% tags=["solution"]
def through_knots(x, F):
    slopes = np.diff(F) / np.diff(x)
    return F[0], np.diff(slopes, prepend=0), -x[:-1]  # each kink adds its change of slope


attempt(check_knots, through_knots)

# %% [markdown]
# ### Exercise 3: a bound on the slope
# A network has the slope $f'(x) = \sum_j a_j w_j \sigma'(w_j x + b_j)$. Give an upper bound on $|f'|$ that holds for all $x$,
# from $a$ and $w$.


# %%
def steepest(a, w):
    """The bound, a number."""
    # your line


def check_steepest(answer):
    rng = np.random.default_rng(0)
    for _ in range(20):
        w, b, a = 5 * rng.standard_normal((3, 6))
        slopes = np.diff(Network(w, b, a, 0.0)(GRID)) / np.diff(GRID)
        assert np.abs(slopes).max() <= answer(a, w), "the network is steeper"
    assert np.isclose(answer(np.array([1.0]), np.array([8.0])), 2.0), "it can be less"


attempt(check_steepest, steepest)


# %% tags=["solution"]
def steepest(a, w):
    return np.abs(a * w).sum() / 4


attempt(check_steepest, steepest)

# %% [markdown]
# **Read on:** [Nuclear masses](nuclear_masses.md) approximate a function of $N$ and $Z$ that nobody knows.
# [The vanishing gradient](vanishing_gradient.md) tells why many layers were harder to train than one.
