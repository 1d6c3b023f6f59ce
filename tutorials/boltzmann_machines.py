# %% [markdown]
# # Boltzmann machines
#
# *A density that is known up to a constant, and how one trains it all the same.* This chapter follows the sections
# from "Energy models" to "Defining different types of RBMs" of the notes.
#
# A model may state a positive function $f$ of the observed $\mathbf{x}$ and of hidden variables $\mathbf{h}$. Its
# probability is $f$ divided by the sum of $f$ over all configurations:
#
# $$p(\mathbf{x}, \mathbf{h}; \Theta) = \frac{f(\mathbf{x}, \mathbf{h}; \Theta)}{Z(\Theta)}, \qquad
# Z(\Theta) = \sum_{\mathbf{x}} \sum_{\mathbf{h}} f(\mathbf{x}, \mathbf{h}; \Theta), \qquad
# p(\mathbf{x}; \Theta) = \sum_{\mathbf{h}} p(\mathbf{x}, \mathbf{h}; \Theta).$$
#
# A Boltzmann machine takes $f = e^{-E}$ with an energy $E$ (the notes print $f = -E$, [E3](errata.md#e3)). The
# binary-binary machine has units $x_i, h_j \in \{0, 1\}$ and
#
# $$E(\mathbf{x}, \mathbf{h}) = -\mathbf{a}^T \mathbf{x} - \mathbf{b}^T \mathbf{h}
# - \mathbf{x}^T \mathbf{W} \mathbf{h}.$$
#
# It is *restricted*: no weight connects two units of one layer. The library calls the visible units $\mathbf{v}$.

# %%
import functools
import math
import time

import numpy as np

import scratchgen as sg
from scratchgen import datasets, optim, plotting, sampling
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source
from scratchgen.models import RBM, rbm

source(RBM.energy)

# %% [markdown]
# ## A machine that can be counted out
#
# The data are the 14 images of 3 × 3 pixels that consist of whole bars or of whole stripes. A machine with 9
# visible and 6 hidden units has $2^{9} \cdot 2^{6}$ configurations. We write down all of them.

# %%
PIXELS, HIDDEN = 9, 6
STATES = sampling.all_states(PIXELS, np.zeros(1))  # all x, (512, 9)
OF_HIDDEN = sampling.all_states(HIDDEN, np.zeros(1))  # all h, (64, 6)
PATTERNS = datasets.bars_and_stripes(3).reshape(-1, PIXELS)
DATA = (STATES[:, None] == PATTERNS).all(axis=2).sum(axis=1) / len(PATTERNS)  # its p(x), (512,)
BEST = -math.log(len(PATTERNS))  # Σ p(x) log p(x): no model has a greater log-likelihood


def initial(seed=0):
    """W from N(0, 0.1²), and a = b = 0."""
    W = 0.1 * np.random.default_rng(seed).standard_normal((PIXELS, HIDDEN))
    return W, np.zeros(PIXELS), np.zeros(HIDDEN)


def energies(W, a, b):
    """E(x, h) of all configurations, (512, 64)."""
    return -(STATES @ a)[:, None] - OF_HIDDEN @ b - STATES @ W @ OF_HIDDEN.T


theta = initial()
f = np.exp(-energies(*theta))
Z = f.sum()
print(f"{f.size:,} configurations, Z = {Z:.4f}")
print(f"the sum of p(x, h) over all of them is {(f / Z).sum():.12f}")

# %% [markdown]
# ## The sum over one layer has a closed form
#
# Given $\mathbf{x}$, the exponent is a sum over the hidden units, and the sum over $\mathbf{h}$ a product of
# factors $1 + e^{z_j}$ with $z_j = b_j + \sum_i x_i w_{ij}$:
#
# $$\sum_{\mathbf{h}} e^{-E(\mathbf{x}, \mathbf{h})} = e^{\mathbf{a}^T \mathbf{x}} \prod_j \left(1 + e^{z_j}\right)
# = e^{-F(\mathbf{x})}, \qquad F(\mathbf{x}) = -\mathbf{a}^T \mathbf{x} - \sum_j \log\left(1 + e^{z_j}\right).$$
#
# $F$ is the *free energy*. The function $\log(1 + e^z)$ is called softplus; the library's does not overflow
# ([E18](errata.md#e18)).


# %%
def free_energy(W, a, b, x):
    """F(x) = −aᵀx − Σⱼ softplus(bⱼ + Σᵢ xᵢ wᵢⱼ), for the rows of x."""
    return -(x @ a) - ops.softplus(x @ W + b).sum(axis=1)


def probabilities(W, a, b):
    """p(x) = exp(−F(x))/Z of all 512 images."""
    log_f = -free_energy(W, a, b, STATES)
    return np.exp(log_f - ops.logsumexp(log_f, axis=0))


difference = np.abs(probabilities(*theta) - f.sum(axis=1) / Z).max()
print(f"p(x) by the free energy and by the sum over h differ by at most {difference:.1e}")

source(RBM.free_energy)

# %% [markdown]
# The same sum over the other layer gives $p(\mathbf{h})$ (the notes give both layers the index $i$ there,
# [E9](errata.md#e9)). So $Z$ is a sum over the states of the *smaller* layer. This is as far as algebra goes. The
# next cell counts the terms of the sum, and takes the time of a million of them.

# %%
some = np.random.default_rng(0).integers(0, 2, (20_000, 64)).astype(np.float64)
W64 = np.zeros((64, 500))
start = time.perf_counter()
ops.softplus(some @ W64).sum()
per_term = (time.perf_counter() - start) / len(some)
print(f"{'machine':<22}{'configurations':>16}{'terms of Z':>14}{'years of one core':>20}")
for visible, hidden in ((9, 6), (64, 16), (64, 64), (784, 500)):
    terms = min(visible, hidden)
    years = math.log10(per_term / 3.15e7) + terms * math.log10(2)
    configurations = (visible + hidden) * math.log10(2)
    name = f"{visible} × {hidden} units"
    print(f"{name:<22}{f'10^{configurations:.0f}':>16}{f'2^{terms}':>14}{f'10^{years:.0f}':>20}")

# %% [markdown]
# ## The positive and the negative phase
#
# Training maximises $\log p(\mathbf{X}; \Theta) = \sum_i \log p(x_i; \Theta)$. With $f(x) = e^{-F(x)}$, the
# gradient is
#
# $$\nabla_\Theta \log p(\mathbf{X}; \Theta) = \underbrace{\sum_i \nabla_\Theta \log f(x_i)}_{\text{positive phase}}
# - \underbrace{n \nabla_\Theta \log Z}_{\text{negative phase}} .$$
#
# (All $n$ factors of the product have a $Z$; the notes keep one, [E1](errata.md#e1).) The derivative of $\log Z$ is an
# expectation under the model:
#
# $$\nabla \log Z = \frac{\nabla Z}{Z} = \frac{\sum_x \nabla e^{\log f(x)}}{Z}
# = \frac{\sum_x f(x) \nabla \log f(x)}{Z} = \sum_x p(x) \nabla \log f(x) = \mathbb{E}_{p}[\nabla \log f].$$
#
# (The notes lose the last $\nabla$, [E2](errata.md#e2).) With $\log f = -F$, and per observation,
#
# $$-\nabla \log p = \mathbb{E}_{\text{data}}[\nabla F] - \mathbb{E}_{p}[\nabla F].$$
#
# The positive phase lowers the free energy of the data. The negative phase raises the free energy of what the model
# itself believes in. They balance where both expectations agree. For the weights, $\partial E/\partial w_{ij} = -x_i h_j$
# makes this $\langle x_i h_j \rangle_{\text{data}} = \langle x_i h_j \rangle_{\text{model}}$.
#
# All 512 images are known, so the check can compare this with the derivative of $\log p$ itself.


# %%
def nll(W, a, b):
    """−E_data log p(x) = E_data F + log Z, with Z summed out."""
    F = free_energy(W, a, b, STATES)
    return (DATA * F).sum() + ops.logsumexp(-F, axis=0)


def phases(W, a, b, negative):
    """Σₓ (p_data(x) − q(x)) ∇F(x), with q(x) as the distribution of the negative phase."""

    def gap(W, a, b):
        return ((DATA - negative) * free_energy(W, a, b, STATES)).sum()

    return sg.grad(gap, argnum=(0, 1, 2))(W, a, b)


print(sg.check_gradient(nll, lambda *theta: phases(*theta, probabilities(*theta)), *theta))

# %% [markdown]
# In the library the two phases are one rule: the free energy of data less that of samples, whose weights have
# opposite signs.

# %%
source(rbm.free_energy_gap)

# %% [markdown]
# ## Gibbs sampling
#
# The negative phase needs samples of the model. No unit of a layer sees another unit of its layer, so that each
# conditional is a product, and a whole layer is drawn at once:
#
# $$P(h_j = 1 | \mathbf{x}) = \sigma\Bigl(b_j + \sum_i x_i w_{ij}\Bigr), \qquad
# P(x_i = 1 | \mathbf{h}) = \sigma\Bigl(a_i + \sum_j w_{ij} h_j\Bigr).$$
#
# A step $\mathbf{x} \to \mathbf{h} \to \mathbf{x}'$ of the chain has the matrix
# $T(\mathbf{x}'|\mathbf{x}) = \sum_{\mathbf{h}} p(\mathbf{x}'|\mathbf{h}) p(\mathbf{h}|\mathbf{x})$. The model is its
# fixed point, $p\,T = p$. Here $T$ is a matrix of 512 rows, so that *what a chain does is known without drawing a
# single number*.


# %%
def conditional(z, states):
    """Πⱼ σ(zⱼ)^sⱼ (1 − σ(zⱼ))^(1 − sⱼ) for the rows of z and all states s."""
    return np.exp(z @ states.T - ops.softplus(z).sum(axis=1)[:, None])


def after(W, a, b, q, steps):
    """The distribution over all images after so many Gibbs steps from q: q Tᵏ."""
    up, down = conditional(STATES @ W + b, OF_HIDDEN), conditional(OF_HIDDEN @ W.T + a, STATES)
    for _ in range(steps):
        q = q @ up @ down
    return q


def second_eigenvalue(W, a, b):
    """|λ₂| of T: the share of an error that a step leaves over, in the long run."""
    up, down = conditional(STATES @ W + b, OF_HIDDEN), conditional(OF_HIDDEN @ W.T + a, STATES)
    return np.sort(np.abs(np.linalg.eigvals(down @ up)))[-2]  # T for h has the same eigenvalues


p = probabilities(*theta)
print(f"one step changes the model's own p(x) by {np.abs(after(*theta, p, 1) - p).max():.1e}")

source(sampling.block_gibbs)

# %% [markdown]
# ## Contrastive divergence, without its noise
#
# *CD-k* starts the chains at the data and takes $k$ steps. *Persistent* chains (PCD) go on from update to update. Both
# replace $\mathbb{E}_p[\nabla F]$ by an average over the ends of the chains. Here their bias can be computed: in the place
# of samples we take the exact distribution of the ends, $q = p_{\text{data}} T^k$ for CD-k, and $q \leftarrow q\,T$ at
# each update for PCD-1.


# %%
OPTIMIZERS = {
    "SGD": functools.partial(optim.SGD, lr=1.0),
    "Adam": functools.partial(optim.Adam, lr=0.05),
}


@functools.cache
def trained(method, optimizer="SGD", updates=500):
    """Train by "likelihood", "PCD-1", "CD-1" or "CD-10": (W, a, b), and E_data log p by update."""
    parameters = [sg.Tensor(value) for value in initial()]
    descent, curve = OPTIMIZERS[optimizer](parameters), []
    chains = np.full(len(STATES), 1 / len(STATES))
    for _ in range(updates):
        now = [tensor.data for tensor in parameters]
        p = probabilities(*now)
        curve.append(DATA @ np.log(p))
        if method == "likelihood":
            negative = p
        elif method == "PCD-1":
            negative = chains = after(*now, chains, 1)
        else:
            negative = after(*now, DATA, int(method.removeprefix("CD-")))
        descent.step(phases(*now, negative))
    return tuple(tensor.data.copy() for tensor in parameters), np.array(curve)


METHODS = {"SGD": ("CD-1", "CD-10", "PCD-1"), "Adam": ("likelihood", "CD-1", "PCD-1")}
print(
    f"{'optimizer':<12}{'method':<12}{'E log p at the end':>20}{'its maximum':>14}{'|λ₂| of T':>12}"
)
for optimizer, methods in METHODS.items():
    for method in methods:
        parameters, curve = trained(method, optimizer)
        lambda_2 = second_eigenvalue(*parameters)
        told = f"{curve[-1]:20.3f}{curve.max():14.3f}{lambda_2:12.4f}"
        print(f"{optimizer:<12}{method:<12}{told}")
print(f"{'the optimum, −log 14':<24}{BEST:20.3f}")

# %%
*axes, right = panels(1, 3, size=(12, 3.6))
colours = {"likelihood": "C0", "PCD-1": "C1", "CD-10": "C2", "CD-1": "C3"}
for ax, (optimizer, methods) in zip(axes, METHODS.items(), strict=True):
    for method in methods:
        ax.plot(trained(method, optimizer)[1], color=colours[method], label=method)
    ax.axhline(BEST, color="grey", linestyle="--", label="−log 14")
    ax.set(xlabel="update", ylabel="log-likelihood, nats", ylim=(-6.5, -2.4))
    ax.set_title("SGD, rate 1" if optimizer == "SGD" else "Adam, rate 0.05")
    ax.legend(framealpha=0.9, edgecolor="none", fontsize=8, loc="lower right")
steps = np.unique(np.geomspace(1, 3000, 25).astype(int))
for k, updates in enumerate((0, 100, 500)):
    of_machine = trained("likelihood", "Adam", updates)[0] if updates else initial()
    p, q, distances = probabilities(*of_machine), np.full(512, 1 / 512), []
    for more in np.diff(steps, prepend=0):
        q = after(*of_machine, q, more)
        distances.append(0.5 * np.abs(q - p).sum())
    right.plot(steps, np.maximum(distances, 1e-6), color=f"C{k}", label=f"after {updates} updates")
right.set(
    xscale="log", yscale="log", xlabel="Gibbs steps", ylabel="distance from p", ylim=(1e-5, 1)
)
right.set_title("total variation distance of a chain from p")
right.legend(frameon=False, fontsize=8)
right

# %% [markdown]
# ## What goes wrong
#
# **CD-1 is not maximum likelihood** (left, middle). Its update is no gradient of the likelihood; it stops where one step
# leaves the data as they are. A mode that lies far from all data is never visited by chains that start at the data,
# and keeps its probability. With the larger steps of Adam, CD-1 passes its best likelihood and comes down again. No
# number that CD computes shows it.
#
# **Persistent chains fall behind** (middle). At small steps one Gibbs step between two updates is enough, and PCD-1 reaches
# what CD-10 reaches, whose curve it covers (left). At large steps the machine moves away from its chains. The chains then push a mode
# down that the machine has left long ago, and the likelihood oscillates. PCD needs a small rate, or more steps $k$.
#
# **The better the machine, the slower its chain** (right). A good machine has deep modes, and a flip of one pixel is
# not enough to leave them. At the start the chain forgets everything in two steps; in the end a thousand steps are
# not enough, as $|\lambda_2|$ is near 1. So the negative phase is hardest to estimate just when the model has become
# good.
#
# ## The digits, with their exact likelihood
#
# Now real chains. The data are the 8 × 8 digits, black or white; the machine has 64 × 16 units. Its $Z$ has $2^{16}$
# terms. So the likelihood is exact, also for images that were held out.


# %%
@functools.cache
def digits(split):
    """Images as rows of bits, (n, 64): ink on more than half of a pixel."""
    return (datasets.digits(split)[0].reshape(-1, 64) > 0.5).astype(np.float32)


def bits_alone():
    """The log-likelihood of the held-out images by the best machine without weights."""
    machine = RBM(64, 1, rng=sg.generator(0), scale=0.0)
    machine.start_at(digits("train"))
    return machine.log_likelihood(digits("test")).mean()


LOOKED_AT = (1, 2, 4, 8, 12, 16)


@functools.cache
def of_digits(persistent, hidden=16, k=1, epochs=16, rate=0.03, centred=False):
    """A machine, its held-out exact log-likelihoods and its errors of reconstruction by epoch."""
    x, rng = digits("train"), sg.generator(0)
    machine = RBM(64, hidden, rng=rng, persistent=persistent, k=k, scale=0.05, centred=centred)
    machine.start_at(x)
    adam, schedule = optim.Adam(machine.parameters(), rate), optim.schedules.Cosine(epochs)
    likelihoods, errors = {}, {}
    for epoch in sg.train(machine, x, adam, epochs=epochs, batch_size=64, rng=rng):
        adam.lr = rate * schedule(epoch.number)
        if epoch.number in LOOKED_AT and hidden <= 16:
            likelihoods[epoch.number] = machine.log_likelihood(digits("test")).mean()
            errors[epoch.number] = epoch.report["reconstruction (not the objective)"]
    return machine, likelihoods, errors


print("held-out log-likelihood, nats per image; error of the reconstruction in brackets")
print(f"{'epoch':<14}" + "".join(f"{epoch:>16}" for epoch in LOOKED_AT))
for name, persistent in (("CD-1", False), ("PCD-1", True)):
    _, likelihoods, errors = of_digits(persistent)
    told = (f"{likelihoods[n]:.2f} ({errors[n]:.3f})" for n in LOOKED_AT)
    print(f"{name:<14}" + "".join(f"{text:>16}" for text in told))
print(f"{'no weights':<14}{bits_alone():16.2f}")

# %% [markdown]
# The reconstruction error is what programs usually print. It falls here, too, but training does not minimise it.
#
# ## Annealed importance sampling
#
# With 64 hidden units the sum is out of reach. A path of machines, $E_\beta = \beta E + (1 - \beta) E_0$, leads from
# one without weights, whose $Z_0$ is known, to the machine in question. A chain walks along it, and collects
#
# $$\log w = \sum_k \left[\log f_{\beta_k}(\mathbf{x}_k) - \log f_{\beta_{k-1}}(\mathbf{x}_k)\right], \qquad
# \mathbb{E}[w] = Z / Z_0,$$
#
# exactly, for any number of temperatures. Few of them make a large variance. On the small machine the truth is known.

# %%
machine, *_ = of_digits(False)
exact = machine.log_partition()
rng = sg.generator(1)
print(f"exact log Z of 64 × 16 units: {exact:.3f}")
print(f"{'temperatures':>14}{'log Z by AIS':>16}{'± one error':>14}{'off by':>10}")
for temperatures in (2, 4, 10, 30, 100, 1000):
    estimate, error = machine.log_partition_ais(100, temperatures, rng, digits("train"))
    print(f"{temperatures:14}{estimate:16.3f}{error:14.3f}{estimate - exact:10.3f}")

source(sampling.annealed_importance_sampling)

# %% [markdown]
# Two temperatures are plain importance sampling. Their estimate is low, and the standard error hides by how much: the
# mean of $w$ is carried by paths so rare that hardly one of a hundred chains takes one. A $Z$ that is too low makes
# the likelihood too good.
#
# A larger machine, trained with chains that persist, gives images. They are the means
# $P(x_i = 1|\mathbf{h})$ at the end of 500 steps from noise, below 20 of the data.

# %%
large, *_ = of_digits(True, hidden=64, k=5, epochs=60, rate=0.01, centred=True)
log_z, error = large.log_partition_ais(100, 1000, rng, digits("train"))
held_out = large.log_likelihood(digits("test"), log_z).mean()
print(f"64 × 64 units: {held_out:.2f} nats on held-out images, log Z ± {error:.3f} by AIS")
samples = large.sample(40, sg.generator(2), 500)
rows = {"data": digits("train")[:20], "machine": samples[:20], "machine, too": samples[20:]}
plotting.image_table(rows)

# %% [markdown]
# The columns of $\mathbf{W}$ are what the hidden units look for: pieces of strokes, and their absence.

# %%
plotting.filters(large.W.data.T[:40], columns=10)

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the gradient of the free energy
# Give $\partial/\partial \mathbf{W}$, $\partial/\partial \mathbf{a}$ and $\partial/\partial \mathbf{b}$ of
# $\sum_n F(\mathbf{x}_n)$ for the rows of `x`.


# %%
def slope_of_free_energy(W, a, b, x):
    """∂ΣF/∂W, ∂ΣF/∂a and ∂ΣF/∂b."""
    # your lines


def check_slope(answer):
    x = STATES[::37]
    W, a, b = (value + 0.3 for value in initial())
    sg.assert_gradient(
        lambda W, a, b: free_energy(W, a, b, x).sum(), lambda *theta: answer(*theta, x), W, a, b
    )


attempt(check_slope, slope_of_free_energy)


# %% tags=["solution"]
def slope_of_free_energy(W, a, b, x):
    p = 1 / (1 + np.exp(-(x @ W + b)))
    return -x.T @ p, -x.sum(axis=0), -p.sum(axis=0)


attempt(check_slope, slope_of_free_energy)

# %% [markdown]
# ### Exercise 2: the sum over the other layer
# Compute $\log Z$ by a sum over the 64 states of $\mathbf{h}$ alone, with `free_energy` called once. *Hint:* the energy does
# not change if both layers change places.


# %%
def log_z_over_hidden(W, a, b):
    """log Σₕ Σₓ exp(−E(x, h))."""
    # your line


def check_log_z(answer):
    theta, _ = trained("PCD-1")
    expected = ops.logsumexp(-free_energy(*theta, STATES), axis=0)
    np.testing.assert_allclose(answer(*theta), expected, rtol=1e-10)


attempt(check_log_z, log_z_over_hidden)


# %% tags=["solution"]
def log_z_over_hidden(W, a, b):
    return ops.logsumexp(-free_energy(W.T, b, a, OF_HIDDEN), axis=0)


attempt(check_log_z, log_z_over_hidden)

# %% [markdown]
# ### Exercise 3: one pixel given all others
# In $P(x_i = 1 | \text{all other pixels})$ the constant $Z$ cancels. Express it by two free energies. (The sum of such
# logarithms is the pseudo-likelihood.)


# %%
def given_the_others(W, a, b, x, i):
    """P(xᵢ = 1|the other entries of x), of one image x: (9,)."""
    # your lines


def check_given(answer):
    theta, _ = trained("PCD-1")
    p = probabilities(*theta)
    for x, i in ((PATTERNS[3], 0), (PATTERNS[0], 4), (np.arange(9) % 2.0, 7)):
        on, off = x.copy(), x.copy()
        on[i], off[i] = 1, 0
        p_on, p_off = (p[(state == STATES).all(axis=1)][0] for state in (on, off))
        np.testing.assert_allclose(answer(*theta, x, i), p_on / (p_on + p_off), rtol=1e-8)


attempt(check_given, given_the_others)


# %% tags=["solution"]
def given_the_others(W, a, b, x, i):
    both = np.stack([x, x]).astype(np.float64)
    both[:, i] = 0, 1
    off, on = free_energy(W, a, b, both)
    return 1 / (1 + np.exp(on - off))


attempt(check_given, given_the_others)

# %% [markdown]
# ### Exercise 4: the bias of CD-k
# Return the norm of the difference between the expected update of CD-k for $\mathbf{W}$ and the gradient of the
# negative log-likelihood, at given parameters. It must vanish as $k$ grows.


# %%
def bias_of_cd(W, a, b, k):
    """‖(expected CD-k update of W) − ∂(−log p)/∂W‖."""
    # your lines


def check_bias(answer):
    theta, _ = trained("likelihood", "Adam", 100)
    exact = sg.grad(nll)(*theta)
    for k in (1, 10):
        update, *_ = phases(*theta, after(*theta, DATA, k))
        np.testing.assert_allclose(answer(*theta, k), np.linalg.norm(update - exact), rtol=1e-8)
    assert answer(*theta, 3000) < 1e-6


attempt(check_bias, bias_of_cd)


# %% tags=["solution"]
def bias_of_cd(W, a, b, k):
    p, ends = probabilities(W, a, b), after(W, a, b, DATA, k)

    def gap(W):
        return ((p - ends) * free_energy(W, a, b, STATES)).sum()

    return np.linalg.norm(sg.grad(gap)(W))


attempt(check_bias, bias_of_cd)

# %% [markdown]
# **Step through** [one Gibbs step and both phases](traces.md#a-boltzmann-machine), and predict each number.
#
# **Read on:** [Gaussian units](gaussian_units.md) make the visible layer real, and
# [Energy-based models](energy_based_models.md) take any network for the energy.
# G. Hinton, "A practical guide to training restricted Boltzmann machines", 2010;
# R. Salakhutdinov and I. Murray, "On the quantitative analysis of deep belief networks", 2008.
