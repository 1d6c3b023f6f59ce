# %% [markdown]
# # Gaussian units
#
# *A Boltzmann machine of real numbers is a mixture of Gaussians whose means stand in a grid.* This chapter follows "Defining
# different types of RBMs", "Gaussian-binary RBM", of the notes; it takes over from [Boltzmann machines](boltzmann_machines.md).
#
# The visible units are real numbers, the hidden ones stay $0$ or $1$, and the energy is
#
# $$E(\mathbf{x}, \mathbf{h}) = \sum_i \frac{(x_i - a_i)^2}{2 \sigma_i^2} - \sum_j b_j h_j
# - \sum_{i,j} \frac{x_i w_{ij} h_j}{\sigma_i^2} .$$

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen import datasets, optim, plotting, sampling
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source
from scratchgen.models import RBM

source(RBM.energy)

# %% [markdown]
# ## What it is
#
# Complete the square in $\mathbf{x}$ at a given $\mathbf{h}$:
#
# $$p(x_i|\mathbf{h}) = N\Bigl(x_i;\; a_i + \sum_j w_{ij} h_j,\; \sigma_i^2\Bigr), \qquad
# P(h_j = 1|\mathbf{x}) = \sigma\Bigl(b_j + \sum_i x_i w_{ij}/\sigma_i^2\Bigr).$$
#
# So $p(\mathbf{x}) = \sum_{\mathbf{h}} p(\mathbf{h})\, N(\mathbf{x};\, \mathbf{a} + \mathbf{W} \mathbf{h},\, \boldsymbol{\sigma}^2)$ is a mixture of
# $2^N$ Gaussians. Their means are not free: they are the corners of a parallelepiped, spanned by the columns of $\mathbf{W}$ at
# $\mathbf{a}$. Nor are their shares. The integral over $\mathbf{x}$ leaves
#
# $$p(\mathbf{h}) = \frac1Z \exp\Bigl(\mathbf{b}^T \mathbf{h} + \sum_i \frac{(a_i + \sum_j w_{ij} h_j)^2 - a_i^2}{2\sigma_i^2}\Bigr)
# \prod_i \sqrt{2 \pi \sigma_i^2} .$$


# %%
def log_likelihood(x, W, a, b, log_var):
    """Log p(x) = log Σₕ p(h) N(x; a + W h, σ²), by a sum over all h: (n,)."""
    h = sampling.all_states(W.shape[1], np.zeros(1))
    means = h @ W.T + a
    log_weight = h @ b + ((means**2 - a**2) / (2 * ops.exp(log_var))).sum(axis=1)
    log_share = log_weight - ops.logsumexp(log_weight, axis=0)
    square = ((x.reshape(-1, 1, x.shape[1]) - means) ** 2 / ops.exp(log_var)).sum(axis=2)
    log_normal = -0.5 * (square + log_var.sum() + x.shape[1] * math.log(2 * math.pi))
    return ops.logsumexp(log_share + log_normal, axis=1)


machine = RBM(3, 4, rng=sg.generator(0), visible="gaussian", sigma="learned", scale=0.7)
theta = [
    tensor.data.astype(np.float64) for tensor in (machine.W, machine.a, machine.b, machine.log_var)
]
x = np.random.default_rng(0).standard_normal((5, 3))
difference = np.abs(log_likelihood(x, *theta) - machine.log_likelihood(x)).max()
print(f"the mixture, and −F(x) − log Z of the library, differ by at most {difference:.1e} nats")

# %% [markdown]
# ## The derivative by σ
#
# The notes say that $\sigma_i^2$ is often set to one. It can be learned; the parameter is $\log \sigma_i^2$, which may be any
# number. By the energy, averaged over $\mathbf{h}$,
#
# $$\frac{\partial F}{\partial \log \sigma_i^2} = -\frac{(x_i - a_i)^2}{2 \sigma_i^2}
# + \frac{x_i \sum_j w_{ij}\, P(h_j = 1|\mathbf{x})}{\sigma_i^2} .$$


# %%
def free_energy(x, W, a, b, log_var):
    """F(x) = Σ (x − a)²/2σ² − Σⱼ softplus(bⱼ + Σᵢ xᵢ wᵢⱼ/σᵢ²), (n,)."""
    variance = ops.exp(log_var)
    z = (x / variance) @ W + b
    return ((x - a) ** 2 / (2 * variance)).sum(axis=1) - ops.softplus(z).sum(axis=1)


def by_log_var(log_var):
    """∂ ΣF/∂log σ², for the x, W, a and b above."""
    W, a, b, _ = theta
    variance = np.exp(log_var)
    p = 1 / (1 + np.exp(-((x / variance) @ W + b)))
    return (-((x - a) ** 2) / (2 * variance) + x * (p @ W.T) / variance).sum(axis=0)


print(
    sg.check_gradient(
        lambda log_var: free_energy(x, *theta[:3], log_var).sum(), by_log_var, theta[3]
    )
)

# %% [markdown]
# ## Four clouds of the plane
#
# The data are four Gaussians of $\sigma = 0.4$ at the corners of a rectangle. A machine of two hidden units can state this
# density exactly, so that the best log-likelihood is known. It must find the two sides of the rectangle as its columns of
# $\mathbf{W}$, and $\sigma$.

# %%
SIDES = np.array([[3.0, -0.8], [1.0, 2.4]])  # the columns of the true W, at a right angle
CORNER, SIGMA, POINTS = np.array([-1.1, -1.7]), 0.4, 1000


def true_log_density(x):
    """Log p(x) of four equal clouds, (n,)."""
    means = CORNER + sampling.all_states(2, np.zeros(1)) @ SIDES.T
    squares = ((x[:, None] - means) ** 2).sum(axis=2) / SIGMA**2
    return np.logaddexp.reduce(-0.5 * squares, axis=1) - np.log(4 * 2 * np.pi * SIGMA**2)


@functools.cache
def clouds(seed=0):
    """Points of the four clouds, (1000, 2)."""
    rng = np.random.default_rng(seed)
    h = rng.integers(0, 2, (POINTS, 2))
    x = CORNER + h @ SIDES.T + SIGMA * rng.standard_normal((POINTS, 2))
    return x.astype(np.float32)


@functools.cache
def trained(sigma="learned", odds=0.2, scale=1.0, epochs=40, rate=0.03):
    """A machine of two hidden units after CD-1 with Adam, and its exact log-likelihood by epoch."""
    rng = sg.generator(0)
    machine = RBM(2, 2, rng=rng, visible="gaussian", sigma=sigma, scale=scale)
    machine.start_at(clouds(), odds)
    adam, schedule = optim.Adam(machine.parameters(), rate), optim.schedules.Cosine(epochs)
    curve = []
    for epoch in sg.train(machine, clouds(), adam, epochs=epochs, batch_size=64, rng=rng):
        adam.lr = rate * schedule(epoch.number)
        curve.append(machine.log_likelihood(clouds()).mean())
    return machine, np.array(curve)


def one_gaussian():
    """The log-likelihood of the best single Gaussian, nats."""
    covariance = np.cov(clouds().T, bias=True)
    return -0.5 * (np.linalg.slogdet(2 * np.pi * covariance)[1] + 2)


def best_machine():
    """E log p(x) of the density that made the points."""
    return true_log_density(clouds()).mean()


SETTINGS = {
    "σ learned": {},
    "σ = 1": {"sigma": 1.0},
    "W from N(0, 0.01²)": {"scale": 0.01},
}
print(f"{'machine':<22}{'nats per point':>16}{'σ':>16}")
for name, settings in SETTINGS.items():
    machine, curve = trained(**settings)
    deviations = np.exp(0.5 * machine.units.log_var.data) if name != "σ = 1" else np.ones(2)
    print(f"{name:<22}{curve[-1]:16.3f}{deviations[0]:10.3f}{deviations[1]:6.3f}")
print(f"{'one Gaussian':<22}{one_gaussian():16.3f}")
print(f"{'the truth':<22}{best_machine():16.3f}{SIGMA:10.3f}{SIGMA:6.3f}")

# %% [markdown]
# The arrows are the columns of $\mathbf{W}$, at $\mathbf{a}$: any corner may be $\mathbf{a}$, since $h_j$ and $1 - h_j$ can exchange
# their names. The contours are the exact density of the machine.


# %%
def draw(ax, machine, title):
    """The points, the density of the machine, its means, and W as arrows at a."""
    side = np.linspace(-4.5, 4.5, 120)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    density = np.exp(machine.log_likelihood(grid)).reshape(120, 120)
    ax.scatter(*clouds()[::3].T, s=3, color="0.6")
    levels = density.max() * np.array([0.01, 0.05, 0.2, 0.5, 0.9])
    ax.contour(side, side, density, levels=levels, cmap="Blues", linewidths=1, vmin=-0.1)
    W, a = machine.W.data, machine.a.data
    corners = a + sampling.all_states(2, np.zeros(1)) @ W.T
    ax.plot(*corners.T, "k.", markersize=8)
    for w in W.T:
        ax.annotate("", a + w, a, arrowprops={"arrowstyle": "->", "color": "C3", "lw": 2})
    ax.set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), aspect="equal", title=title)


axes = panels(1, 4, size=(13, 3.4))
for ax, (name, settings) in zip(axes, SETTINGS.items(), strict=False):
    draw(ax, trained(**settings)[0], name)
    axes[3].plot(trained(**settings)[1], label=name)
axes[3].axhline(best_machine(), color="k", linestyle="--", label="the truth")
axes[3].axhline(one_gaussian(), color="grey", linestyle=":", label="one Gaussian")
axes[3].set(xlabel="epoch", title="exact log-likelihood, nats", ylim=(-4.2, -2.2))
axes[3].legend(frameon=False, fontsize=8)
axes[0]

# %%
machine, _ = trained()
shares = np.exp(machine.log_likelihood_of_hidden(sampling.all_states(2, np.zeros(1))))
print(
    "shares of the four clouds "
    + "".join(f"{share:8.3f}" for share in shares)
    + ", in truth 0.25 each"
)

# %% [markdown]
# ## What goes wrong
#
# **The shares.** CD-1 has found where the clouds are, and how wide, but not how many points each has. A chain of one step hardly ever
# passes from one cloud to another, so that no chain can tell.
#
# **σ = 1.** A mixture can only *add* variance to $\sigma^2$. Clouds that are narrower than $\sigma$ cannot be stated, whatever
# $\mathbf{W}$ is. Data are best brought to a spread well above $\sigma$, or $\sigma$ is learned.
#
# **A start at W = 0.** There $p(\mathbf{x})$ is one Gaussian, and all gradients of $\mathbf{W}$ are small: a saddle. Weights from
# $N(0, 0.01^2)$, which suit bits, stay on it for many epochs (right). Here they leave it towards two wide clouds, and not
# towards four narrow ones.
#
# **A large rate.** Bits have states between 0 and 1, Gaussian units have not: a large weight makes large states, and they a
# larger gradient, which is divided by $\sigma^2$. Below are machines of 16 hidden units on the digits, as real numbers, with three rates. The
# log-likelihood is exact, and the dashed line is the best of *independent* Gaussians: what a machine without weights
# reaches.


# %%
@functools.cache
def pixels():
    """The digits with uniform noise of one level, which makes real numbers of 17 levels."""
    x = datasets.digits("train")[0].reshape(-1, 64)
    noise = np.random.default_rng(0).random(x.shape, dtype=np.float32) - 0.5
    return x + noise / 16


@functools.cache
def of_pixels(rate, epochs=10):
    """The exact log-likelihood after each epoch of CD-1 with σ learned: nats per image."""
    rng = sg.generator(0)
    machine = RBM(64, 16, rng=rng, visible="gaussian", sigma="learned", standardise=True)
    machine.start_at(pixels())
    adam, curve = optim.Adam(machine.parameters(), rate), []
    v = machine.seen(pixels())
    for _ in sg.train(machine, pixels(), adam, epochs=epochs, batch_size=64, rng=rng):
        curve.append(machine.log_likelihood(v).mean() - np.log(machine.spread).sum())
    return machine, np.array(curve)


def independent():
    """The log-likelihood of the best independent Gaussians, nats per image."""
    return -0.5 * (np.log(2 * np.pi * pixels().var(axis=0)) + 1).sum()


RATES = (0.003, 0.03, 0.3)
for rate in RATES:
    told = "".join(f"{value:10.1f}" for value in of_pixels(rate)[1][[0, 1, 2, 4, 9]])
    print(f"rate {rate:<7}{told}   nats after 1, 2, 3, 5 and 10 epochs")
print(f"independent {independent():10.1f}")

# %%
left, right = panels(1, 2, size=(10, 3.4))
for rate in RATES:
    left.plot(np.arange(1, 11), of_pixels(rate)[1] - independent(), "o-", label=f"rate {rate}")
left.axhline(0, color="grey", linestyle="--", label="independent Gaussians")
left.set(xlabel="epoch", ylabel="nats above independent units", title="exact log-likelihood")
left.set_yscale("symlog", linthresh=10)
left.legend(frameon=False, fontsize=8)
rows = {f"rate {rate}": of_pixels(rate)[0].sample(12, sg.generator(1), 200) for rate in RATES}
plotting.image_table({"data": pixels()[:12], **rows}, right)
left

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the mean and the covariance
# Give the mean and the covariance of $p(\mathbf{x})$ from $\mathbf{a}$, $\mathbf{W}$, $\boldsymbol{\sigma}^2$, and the mean `m` and the
# covariance `C` of $\mathbf{h}$.


# %%
def moments(W, a, variance, m, C):
    """E[x], (M,), and Cov[x], (M, M)."""
    # your lines


def check_moments(answer):
    rng = np.random.default_rng(0)
    W, a, variance = rng.standard_normal((3, 2)), rng.standard_normal(3), rng.random(3)
    shares, states = np.array([0.1, 0.2, 0.3, 0.4]), sampling.all_states(2, np.zeros(1))
    m = shares @ states
    C = (states - m).T @ np.diag(shares) @ (states - m)
    means = states @ W.T + a
    mean, covariance = answer(W, a, variance, m, C)
    centred = means - shares @ means
    np.testing.assert_allclose(mean, shares @ means, rtol=1e-10)
    expected = centred.T @ np.diag(shares) @ centred + np.diag(variance)
    np.testing.assert_allclose(covariance, expected, rtol=1e-8)


attempt(check_moments, moments)


# %% tags=["solution"]
def moments(W, a, variance, m, C):
    return a + W @ m, W @ C @ W.T + np.diag(variance)


attempt(check_moments, moments)

# %% [markdown]
# ### Exercise 2: the bias that balances the corners
# For two columns at a right angle, which $\mathbf{b}$ gives all four corners the same share?


# %%
def balanced(W, a, variance):
    """b, (2,), for columns with Σᵢ wᵢ₁ wᵢ₂ = 0, and one variance for all entries."""
    # your line


def check_balanced(answer):
    b = answer(SIDES, CORNER, SIGMA**2)
    log_var = np.full(2, 2 * math.log(SIGMA))
    ours = log_likelihood(clouds().astype(np.float64), SIDES, CORNER, b, log_var)
    np.testing.assert_allclose(ours, true_log_density(clouds().astype(np.float64)), atol=1e-8)


attempt(check_balanced, balanced)


# %% tags=["solution"]
def balanced(W, a, variance):
    return -((W**2).sum(axis=0) + 2 * a @ W) / (2 * variance)


attempt(check_balanced, balanced)

# %% [markdown]
# ### Exercise 3: both phases for $\mathbf{W}$
# Give $\partial \sum_n F(\mathbf{x}_n)/\partial \mathbf{W}$.


# %%
def slope_by_weights(x, W, a, b, log_var):
    """∂ΣF/∂W, (M, N)."""
    # your lines


def check_slope(answer):
    W, *others = theta
    sg.assert_gradient(
        lambda W: free_energy(x, W, *others).sum(), lambda W: answer(x, W, *others), W
    )


attempt(check_slope, slope_by_weights)


# %% tags=["solution"]
def slope_by_weights(x, W, a, b, log_var):
    scaled = x / np.exp(log_var)
    return -scaled.T @ (1 / (1 + np.exp(-(scaled @ W + b))))


attempt(check_slope, slope_by_weights)

# %% [markdown]
# **Read on:** [Energy-based models](energy_based_models.md). J. Melchior, N. Wang and L. Wiskott, "Gaussian-binary
# restricted Boltzmann machines for modeling natural image statistics", 2017.
