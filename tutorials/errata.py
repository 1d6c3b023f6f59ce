# %% [markdown]
# # Errata of the lecture notes
#
# *Twenty-three misprints, each with the number that shows it.* Printed formulas were evaluated with numbers; these are
# the ones that failed. Eleven concern a derivative. There the check refuses what is printed, says what is wrong with it,
# and accepts the corrected version, live. The library states the corrected equations, and names the erratum there.
#
# A derivative is not right because it is printed. The numbers have to be general: at $a_0 = 1$, say, nothing tells a
# derivative without $a_0$ from a right one.
#
# **A** stands for the lectures of 30 April 2024, **B** for those of 8 May 2025, **C** for the talk of June 2024.

# %% tags=["hide-input"]
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import scratchgen as sg
from scratchgen import models, nn, optim
from scratchgen import operations as ops
from scratchgen.learning import panels
from scratchgen.models.diffusion.denoisers import PlainDenoiser
from scratchgen.models.diffusion.noising import Steps, linear_schedule


@dataclass(frozen=True)
class Erratum:
    """A misprint of a derivative: the cost, and both versions."""

    id: str
    cost: Callable[..., Any]
    as_printed: Callable[..., Any]
    corrected: Callable[..., Any]
    arrays: tuple[Any, ...]

    def check_printed(self) -> sg.gradcheck.Report:
        """The check of what the notes print."""
        return sg.check_gradient(self.cost, self.as_printed, *self.arrays)

    def check_corrected(self) -> sg.gradcheck.Report:
        """The check of what they should print."""
        return sg.check_gradient(self.cost, self.corrected, *self.arrays)


ERRATA = []
NUMBERS = {}


def tried(id, cost, as_printed, corrected, *arrays):
    """Print what the check says of both versions, and keep the erratum."""
    erratum = Erratum(id, cost, as_printed, corrected, arrays)
    ERRATA.append(erratum)
    printed, right = erratum.check_printed(), erratum.check_corrected()
    print(f"{id}, as printed:\n\n{printed}\n")
    print(f"The corrected version is {'accepted' if right.ok else 'REFUSED'}.")


def shown(id, **numbers):
    """Print the numbers that show a misprint, and keep them."""
    NUMBERS[id] = numbers
    width = max(map(len, numbers))
    for name, value in numbers.items():
        value = f"{value:.6g}" if isinstance(value, float) else value
        print(f"{id}  {name.replace('_', ' '):<{width}}  {value}")


def sigmoid(z):
    """σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def states(n):
    """All 2ⁿ rows of n zeros and ones."""
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.float64)


def draw(*shapes, seed=0):
    """Arrays from N(0, 1)."""
    rng = sg.generator(seed)
    return tuple(rng.standard_normal(shape) for shape in shapes)


# %% [markdown]
# ## E1
#
# **n observations share one partition function** (A C, "Optimization problem"). Printed:
#
# $$p(\mathbf X; \Theta) = \frac{1}{Z(\Theta)} \prod_i f(x_i; \Theta), \qquad
# \nabla \log p(\mathbf X) = \sum_i \nabla \log f(x_i) - \nabla \log Z .$$
#
# Each of the $n$ factors has its own $1/Z$, so that the negative phase carries the factor $n$:
#
# $$p(\mathbf X; \Theta) = \frac{1}{Z^{n}} \prod_i f(x_i; \Theta), \qquad
# \nabla \log p(\mathbf X) = \sum_i \nabla \log f(x_i) - n\, \nabla \log Z .$$
#
# The model here is a Boltzmann machine so small that both phases are sums over all its states, with
# $f(x) = e^{a^T x} \prod_j (1 + e^{b_j + (x^T W)_j})$. There are five observations.


# %% tags=["hide-input"]
def log_f(a, b, W, x):
    """log f(x) = aᵀx + Σⱼ log(1 + e^{bⱼ + (xᵀW)ⱼ}), of each row."""
    return x @ a + ops.softplus(x @ W + b).sum(axis=1)


def grad_log_f(b, W, x):
    """∇log f(x) by a, b and W, of each row: x, E h and x (E h)ᵀ."""
    h = sigmoid(x @ W + b)
    return x, h, x[:, :, None] * h[:, None, :]


def nll(a, b, W, x, every):
    """−log p(X) = n log Z − Σᵢ log f(xᵢ)."""
    return len(x) * ops.logsumexp(log_f(a, b, W, every)) - log_f(a, b, W, x).sum()


def phases(a, b, W, x, every):
    """Σᵢ ∇log f(xᵢ) and E ∇log f, for a, b and W."""
    log = log_f(a, b, W, every)
    p = np.exp(log - log.max())
    p /= p.sum()
    positive = [of.sum(axis=0) for of in grad_log_f(b, W, x)]
    negative = [np.tensordot(p, of, axes=1) for of in grad_log_f(b, W, every)]
    return positive, negative


def e1_printed(a, b, W, x, every):
    """−∇log p(X) = ∇log Z − Σ ∇log f."""
    positive, negative = phases(a, b, W, x, every)
    return [model - data for data, model in zip(positive, negative, strict=True)]


def e1_corrected(a, b, W, x, every):
    """−∇log p(X) = n ∇log Z − Σ ∇log f."""
    positive, negative = phases(a, b, W, x, every)
    return [len(x) * model - data for data, model in zip(positive, negative, strict=True)]


OBSERVED = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 1], [1, 1, 0]], dtype=np.float64)

# %%
tried("E1", nll, e1_printed, e1_corrected, *draw((3,), (2,), (3, 2)), OBSERVED, states(3))

# %% [markdown]
# ## E2
#
# **The derivative of the partition function** (A C). Printed: $\nabla \log Z = \mathbb E[\log f]$. A derivative is missing:
#
# $$\nabla \log Z = \frac{\sum_x \nabla f(x)}{Z} = \sum_x p(x)\, \nabla \log f(x) = \mathbb E[\nabla \log f] .$$
#
# The model is Ising's chain of $m$ spins, $f(s) = e^{J \sum_i s_i s_{i+1}}$, with the closed forms
# $\log Z = \log 2 + (m - 1) \log(2 \cosh J)$ and $\partial \log Z/\partial J = (m - 1) \tanh J$.


# %% tags=["hide-input"]
def log_z(J, bonds):
    """log Z(J) = log Σₛ e^{J B(s)}, with B(s) = Σᵢ sᵢ sᵢ₊₁ in ``bonds``, one for each state."""
    return np.log(np.sum(np.exp(J * bonds)))


def e2_printed(J, bonds):
    """E log f = Σₛ p(s) J B(s)."""
    f = np.exp(J * bonds)
    return np.sum(f / f.sum() * J * bonds)


def e2_corrected(J, bonds):
    """E ∂log f/∂J = Σₛ p(s) B(s)."""
    f = np.exp(J * bonds)
    return np.sum(f / f.sum() * bonds)


def chain(m):
    """B(s) of all 2ᵐ states of a chain of m spins."""
    s = 2 * states(m) - 1
    return (s[:, 1:] * s[:, :-1]).sum(axis=1)


# %%
tried("E2", log_z, e2_printed, e2_corrected, 0.6, chain(4))
print(f"\n3 tanh J = {3 * np.tanh(0.6):.12f}, E ∇log f = {e2_corrected(0.6, chain(4)):.12f}")
assert np.isclose(e2_corrected(0.6, chain(4)), 3 * np.tanh(0.6), rtol=1e-14)

# %% [markdown]
# ## E3
#
# **The energy model** (C). Printed: $f = -E$, so that $\partial f/\partial w_{ij} = x_i h_j$. With $p = f/Z$ a function $f$ has
# to be positive; it is $f = e^{-E}$, and its derivative has its own value as a factor:
# $\partial f/\partial w_{ij} = f\, x_i h_j$.


# %% tags=["hide-input"]
def f(a, b, W, x, h):
    """f(x, h) = e⁻ᴱ = e^{aᵀx + bᵀh + xᵀWh}."""
    return np.exp(a @ x + b @ h + x @ W @ h)


def e3_printed(a, b, W, x, h):
    """∇f of f = −E: x, h and x hᵀ."""
    return x, h, np.outer(x, h)


def e3_corrected(a, b, W, x, h):
    """∇f of f = e⁻ᴱ: f x, f h and f x hᵀ."""
    value = f(a, b, W, x, h)
    return value * x, value * h, value * np.outer(x, h)


# %%
x, h = np.array([1.0, 0.0, 1.0]), np.array([1.0, 1.0])
tried("E3", f, e3_printed, e3_corrected, *draw((3,), (2,), (3, 2)), x, h)

# %% [markdown]
# ## E4
#
# **The derivatives of the hidden scalar layer** (C; [the chapter](hidden_scalar_layer.md)). Printed:
#
# $$\frac{\partial C}{\partial w_1} = (a_2 - y)\, \sigma_2'\, a_1\, \sigma_1'\, a_0, \qquad
# \frac{\partial C}{\partial b_1} = (a_2 - y)\, \sigma_2'\, \sigma_1' .$$
#
# What lies between $z_2$ and $a_1$ is the weight $w_2$, since $z_2 = w_2 a_1 + b_2$:
#
# $$\frac{\partial C}{\partial w_1} = (a_2 - y)\, \sigma_2'\, w_2\, \sigma_1'\, a_0, \qquad
# \frac{\partial C}{\partial b_1} = (a_2 - y)\, \sigma_2'\, w_2\, \sigma_1' .$$


# %% tags=["hide-input"]
def hidden(w1, b1, w2, b2, a0, y):
    """C = ½ (a₂ − y)², a₂ = σ(w₂ a₁ + b₂), a₁ = σ(w₁ a₀ + b₁)."""
    return 0.5 * (sigmoid(w2 * sigmoid(w1 * a0 + b1) + b2) - y) ** 2


def e4_printed(w1, b1, w2, b2, a0, y):
    """(a₂ − y) σ₂′ a₁ σ₁′ a₀ and (a₂ − y) σ₂′ σ₁′, and the right ones by w₂ and b₂."""
    a1 = sigmoid(w1 * a0 + b1)
    a2 = sigmoid(w2 * a1 + b2)
    delta2 = (a2 - y) * a2 * (1 - a2)
    slope = a1 * (1 - a1)
    return delta2 * a1 * slope * a0, delta2 * slope, delta2 * a1, delta2


def e4_corrected(w1, b1, w2, b2, a0, y):
    """(a₂ − y) σ₂′ w₂ σ₁′ a₀ and (a₂ − y) σ₂′ w₂ σ₁′, and those by w₂ and b₂."""
    a1 = sigmoid(w1 * a0 + b1)
    a2 = sigmoid(w2 * a1 + b2)
    delta2 = (a2 - y) * a2 * (1 - a2)
    delta1 = delta2 * w2 * a1 * (1 - a1)
    return delta1 * a0, delta1, delta2 * a1, delta2


# %%
tried("E4", hidden, e4_printed, e4_corrected, 0.7, -0.3, -1.2, 0.4, 0.8, 0.35)

# %% [markdown]
# ## E5
#
# **The order of the indices** (C, "Final back propagating equation"). Printed: $z_j = \sum_i w_{ij} a_i + b_j$ beside
# $\delta_j = \sum_k \delta_k w_{kj}\, \sigma'(z_j)$. In the first, the second index of $w$ is the unit that it leads to; then it is
# so in the second, too: $\delta_j = \sum_k w_{jk} \delta_k\, \sigma'(z_j)$. In layers of equal width the shapes do not tell.


# %% tags=["hide-input"]
def layers(W1, b1, W2, b2, x, y):
    """C = ½ ‖a² − y‖², a² = σ(a¹ W² + b²), a¹ = σ(x W¹ + b¹)."""
    return 0.5 * np.sum((sigmoid(sigmoid(x @ W1 + b1) @ W2 + b2) - y) ** 2)


def back(W1, b1, W2, b2, x, y, hand_back):
    """a¹, δ² and δ¹ = ``hand_back``(δ², W²) ∘ σ′(z¹)."""
    a1 = sigmoid(x @ W1 + b1)
    a2 = sigmoid(a1 @ W2 + b2)
    delta2 = (a2 - y) * a2 * (1 - a2)
    return a1, delta2, hand_back(delta2, W2) * a1 * (1 - a1)


def layers_corrected(W1, b1, W2, b2, x, y):
    """δⱼ¹ = Σₖ δₖ² wⱼₖ² σ′(zⱼ¹); ∂C/∂wᵢⱼ = aᵢ δⱼ and ∂C/∂bⱼ = δⱼ, of both layers."""
    a1, delta2, delta1 = back(W1, b1, W2, b2, x, y, lambda delta, W: W @ delta)
    return np.outer(x, delta1), delta1, np.outer(a1, delta2), delta2


def e5_printed(W1, b1, W2, b2, x, y):
    """δⱼ¹ = Σₖ δₖ² wₖⱼ² σ′(zⱼ¹)."""
    a1, delta2, delta1 = back(W1, b1, W2, b2, x, y, lambda delta, W: delta @ W)
    return np.outer(x, delta1), delta1, np.outer(a1, delta2), delta2


# %%
tried("E5", layers, e5_printed, layers_corrected, *draw((3, 3), (3,), (3, 3), (3,), (3,), (3,)))

# %% [markdown]
# ## E6
#
# **The derivatives of the hidden layer, with nine parameters** (C; [the chapter](two_two_one.md)). Printed:
# $\partial C/\partial w_{00}^{(1)} = \delta_0^{(1)} a_0^{(1)}$, and so for three more. A weight of the first layer multiplies an
# *input*: $\partial C/\partial w_{00}^{(1)} = \delta_0^{(1)} a_0^{(0)}$.


# %% tags=["hide-input"]
def e6_printed(W1, b1, W2, b2, x, y):
    """∂C/∂wᵢⱼ¹ = aᵢ¹ δⱼ¹, with the hidden units for the inputs."""
    a1, delta2, delta1 = back(W1, b1, W2, b2, x, y, lambda delta, W: W @ delta)
    return np.outer(a1, delta1), delta1, np.outer(a1, delta2), delta2


# %%
tried("E6", layers, e6_printed, layers_corrected, *draw((2, 2), (2,), (2, 1), (1,), (2,), (1,)))

# %% [markdown]
# ## E7
#
# **The bound of the Jensen–Shannon divergence** (A). Printed: it lies in $[0, 1]$. With natural logarithms, as everywhere
# else in the notes, it lies in $[0, \ln 2]$; the bound 1 belongs to logarithms of base 2. Two distributions without a
# common state reach it.

# %%
apart = [1.0, 0.0], [0.0, 1.0]
shown(
    "E7",
    largest_in_nats=sg.metrics.jensen_shannon(*apart),
    ln_2=np.log(2),
    largest_in_bits=sg.metrics.jensen_shannon(*apart, base=2),
)
assert np.isclose(NUMBERS["E7"]["largest_in_nats"], np.log(2), rtol=1e-15)

# %% [markdown]
# ## E8
#
# **The estimate of the bound** (A C). Printed: $\sum_l \log p(x | h^{(l)}) - D_{KL}$. The expectation is a mean,
# $\frac1L \sum_l \log p(x | h^{(l)})$: a sum of $L$ draws beside one divergence is another cost, with another optimum.


# %% tags=["hide-input"]
def negative_elbo(mu, log_var, W, x, eps):
    """(1/L) Σₗ ½ ‖x − W h⁽ˡ⁾‖² + KL(N(μ, σ²) ‖ N(0, 1)), with h⁽ˡ⁾ = μ + σ ε⁽ˡ⁾."""
    h = mu + np.exp(log_var / 2) * eps
    reconstruction = ((h @ W.T - x) ** 2).sum(axis=1) / 2
    kl = np.sum(np.exp(log_var) + mu**2 - 1 - log_var) / 2
    return np.mean(reconstruction) + kl


def reconstruction_gradients(mu, log_var, W, x, eps):
    """Σₗ of the derivatives of ½ ‖x − W h⁽ˡ⁾‖² by μ, log σ² and W; ∂h/∂log σ² = ½ σ ε."""
    sigma = np.exp(log_var / 2)
    h = mu + sigma * eps
    delta = h @ W.T - x
    delta_h = delta @ W
    return delta_h.sum(axis=0), (delta_h * sigma * eps / 2).sum(axis=0), delta.T @ h


def e8_printed(mu, log_var, W, x, eps):
    """Σₗ, beside one KL divergence."""
    by_mu, by_log_var, by_W = reconstruction_gradients(mu, log_var, W, x, eps)
    return by_mu + mu, by_log_var + (np.exp(log_var) - 1) / 2, by_W


def e8_corrected(mu, log_var, W, x, eps):
    """(1/L) Σₗ."""
    by_mu, by_log_var, by_W = (
        share / len(eps) for share in reconstruction_gradients(mu, log_var, W, x, eps)
    )
    return by_mu + mu, by_log_var + (np.exp(log_var) - 1) / 2, by_W


# %%
tried("E8", negative_elbo, e8_printed, e8_corrected, *draw((2,), (2,), (5, 2), (5,), (4, 2)))

# %% [markdown]
# ## E9
#
# **The marginal of the hidden units** (A C). Printed: $p(h_i) = \sum_x f(x_i, h_i)$, with one index for two things, and
# without the normalisation. It is $p(h_j) = \sum_i f(x_i, h_j)/Z$. Below: all states of the machine of E1.

# %%
a, b, W = draw((3,), (2,), (3, 2))
joint = np.array([[f(a, b, W, x, h) for h in states(2)] for x in states(3)])
shown(
    "E9",
    sum_of_the_printed_p=float(joint.sum()),
    sum_with_1_over_Z=float((joint.sum(axis=0) / joint.sum()).sum()),
    states_x_and_h=f"{len(states(3))} and {len(states(2))}: one index cannot count both",
)
assert np.isclose(NUMBERS["E9"]["sum_with_1_over_Z"], 1, rtol=1e-14)

# %% [markdown]
# ## E10
#
# **Which layers are updated** (C, "Setting up the back propagation algorithm, part 3"). Printed: the updates run over
# $l = L - 1, L - 2, \dots, 1$. The output layer has weights, too: $l = L, L - 1, \dots, 1$.

# %% tags=["hide-input"]
SHAPES = (2, 2), (2,), (2, 1), (1,)


def parameters(theta):
    """W¹, b¹, W² and b² out of one vector of all nine."""
    ends = np.cumsum([np.prod(shape) for shape in SHAPES])
    starts = [0, *ends[:-1]]
    return [
        theta[int(i) : int(j)].reshape(shape)
        for i, j, shape in zip(starts, ends, SHAPES, strict=True)
    ]


def update_cost(theta, x, y):
    """The cost of two layers by all their parameters, one vector."""
    return layers(*parameters(theta), x, y)


def update(theta, x, y, last):
    """The derivatives that an update for l = ``last``, …, 1 makes use of."""
    shares = layers_corrected(*parameters(theta), x, y)
    of_layer = 1, 1, 2, 2
    used = [
        share if layer <= last else np.zeros_like(share)
        for layer, share in zip(of_layer, shares, strict=True)
    ]
    return np.concatenate([share.reshape(-1) for share in used])


def e10_printed(theta, x, y):
    """l = L − 1, …, 1."""
    return update(theta, x, y, last=1)


def e10_corrected(theta, x, y):
    """l = L, …, 1."""
    return update(theta, x, y, last=2)


# %%
tried("E10", update_cost, e10_printed, e10_corrected, *draw((9,), (2,), (1,)))

# %% [markdown]
# ## E11
#
# **A step back that is written as a step forth** (B C, "Variational diffusion"). The ratios of the bound are printed with
# $p(h_t | h_{t-1})$ and with $p(x_t | x_{t-1})$. The model generates downwards: $p(h_{t-1} | h_t)$, and $p(x_t | x_{t+1})$. It is a
# misprint of a cost, and the derivative that follows from it is refused. Here
# $q(x_t | x_{t-1}) = N(\sqrt\alpha\, x_{t-1}, 1 - \alpha)$ and $p(x_t | x_{t+1}) = N(a x_{t+1} + b, \sigma^2)$, along six paths.

# %% tags=["hide-input"]
ALPHA = 0.7


def log_ratio(a, b, log_var, before, here, after):
    """The mean of log q(x_t|x_{t−1})/p(x_t|x_{t+1}), for p = N(a x_{t+1} + b, e^{log σ²}).

    x_{t−1} is ``before``, x_t ``here`` and x_{t+1} ``after``; q = N(√α x_{t−1}, 1 − α) is fixed.
    """
    log_q = -((here - np.sqrt(ALPHA) * before) ** 2 / (1 - ALPHA) + np.log(1 - ALPHA)) / 2
    log_p = -((here - (a * after + b)) ** 2 / np.exp(log_var) + log_var) / 2
    return np.mean(log_q - log_p)


def of_gaussian(errors, times, log_var):
    """The derivatives of the mean of ½ (e²/σ² + log σ²) by a, b and log σ², e = x − (a y + b)."""
    variance = np.exp(log_var)
    by_log_var = (1 - np.mean(errors**2) / variance) / 2
    return -np.mean(errors * times) / variance, -np.mean(errors) / variance, by_log_var


def consistency(a, b, log_var, before, here, after):
    """−E ∇log p(x_t|x_{t+1}), at the sampled x_t."""
    return of_gaussian(here - (a * after + b), after, log_var)


def e11_printed(a, b, log_var, before, here, after):
    """−E ∇log p(x_t|x_{t−1})."""
    return of_gaussian(here - (a * before + b), before, log_var)


def path(n, seed=0):
    """x_{t−1}, x_t and x_{t+1} of n paths q, from x_{t−1} ~ N(½, ¼)."""
    rng = sg.generator(seed)
    x = [0.5 + 0.5 * rng.standard_normal(n)]
    for _ in range(2):
        x.append(np.sqrt(ALPHA) * x[-1] + np.sqrt(1 - ALPHA) * rng.standard_normal(n))
    return tuple(x)


# %%
tried("E11", log_ratio, e11_printed, consistency, 0.8, 0.1, -0.4, *path(6))

# %% [markdown]
# ## E12
#
# **What is trained** (B): "a network is trained to introduce the noise". The forward process is fixed; all parameters
# belong to the network of the way back.

# %%
ddpm = models.DDPM(PlainDenoiser(rng=sg.generator(0)), (1, 28, 28), T=300)
noising = [value for value in vars(ddpm.noising).values() if isinstance(value, sg.Tensor)]
shown(
    "E12",
    parameters_of_the_model=sum(p.size for p in ddpm.parameters()),
    of_them_in_the_network=sum(p.size for p in ddpm.network.parameters()),
    in_the_forward_process=len(noising),
)
assert NUMBERS["E12"]["in_the_forward_process"] == 0

# %% [markdown]
# ## E13
#
# **Is the prior matching term zero?** (B). Printed: it is effectively zero, with $T = 300$ and $\beta$ from $10^{-4}$ to $0.02$.
# Then $\bar\alpha_T$ is not small, and for 784 pixels of magnitude 1 the term is
#
# $$D_{KL}\big(q(x_T | x_0) \,\|\, N(0, I)\big)
# = \tfrac12 \big[\bar\alpha_T \|x_0\|^2 - 784\, (\bar\alpha_T + \log(1 - \bar\alpha_T))\big] .$$

# %%
image = np.ones((1, 784))
short, long = Steps(linear_schedule(300)), Steps(linear_schedule(1000))
shown(
    "E13",
    ᾱ_at_T_300=float(short.alpha_bar[-1]),
    nats_at_T_300=float(short.prior_kl(image)[0]),
    ᾱ_at_T_1000=float(long.alpha_bar[-1]),
    nats_at_T_1000=float(long.prior_kl(image)[0]),
)
axes = panels(size=(6.4, 3.2))
steps = np.unique(np.geomspace(50, 2000, 60).astype(int))
axes.plot(steps, [Steps(linear_schedule(T)).prior_kl(image)[0] for T in steps])
axes.plot(300, NUMBERS["E13"]["nats_at_T_300"], "o", label="the notes' T = 300")
axes.plot(1000, NUMBERS["E13"]["nats_at_T_1000"], "s", label="T = 1000")
axes.set(yscale="log", xscale="log", xlabel="T", ylabel="nats", title="the prior matching term")
axes.legend(frameon=False)
axes

# %% [markdown]
# ## E14
#
# **"U-Net"** (B). The printed network of the DDPM has convolutions at full size only, and no skip connection. A U-Net goes
# down to smaller images and up again, and joins what is left and right of equal size.


# %%
def sizes(network):
    """The rows of the images between the layers of a network, and how many joins it has."""
    out = network(sg.Tensor(np.zeros((1, 1, 28, 28), np.float32)), np.zeros(1, np.float32))
    cost = (out * out).sum()
    nodes = sg.trace(cost, network.parameters()).nodes
    seen = {node.tensor.shape[2] for node in nodes if node.tensor.ndim == 4}
    wide = [node for node in nodes if node.equations and node.tensor.ndim == 4]
    joins = sum(node.tensor.operation.rule.__name__ == "concatenate" for node in wide)
    return sorted(seen - {1, 3}), joins


plain = sizes(PlainDenoiser(rng=sg.generator(0)))
unet = sizes(models.UNet(1, 8, rng=sg.generator(0)))
shown(
    "E14",
    the_printed_network=f"sizes {plain[0]}, {plain[1]} joins",
    U_Net=f"{unet[0]}, {unet[1]} joins",
)
assert plain == ([28], 0)

# %% [markdown]
# ## E15
#
# **The score of fakes on [0, 1] beside reals on [−1, 1]** (A, the code of the score). The two sets are far apart whatever
# they show, and the biased estimate is above 0 even for two samples of one distribution. Below, the score of *real* digits
# that were left on $[0, 1]$, and that of real digits on $[-1, 1]$ against others, as the notes compute it. The library refuses
# the first.


# %%
def score(x, y):
    """The notes' √MMD² of the biased kind, with σ² the mean squared distance of the reals y."""
    both = np.concatenate([x, y])
    squares = ((both[:, None] - both) ** 2).sum(axis=2)
    n, of_y = len(x), squares[len(x) :, len(x) :]
    k = np.exp(-squares / (2 * of_y.mean()))
    return float(np.sqrt(k[:n, :n].mean() + k[n:, n:].mean() - 2 * k[:n, n:].mean()))


digits = sg.datasets.digits("train")[0].reshape(-1, 64)[:400].astype(np.float64)
one, other = 2 * digits[:200] - 1, 2 * digits[200:] - 1
try:
    sg.metrics.mmd2_biased(digits[:200], other)
except ValueError as error:
    refusal = str(error)
shown(
    "E15",
    real_on_0_to_1_beside_real=score(digits[:200], other),
    real_beside_real=score(one, other),
    real_beside_real_unbiased_MMD2=float(sg.metrics.mmd2_unbiased(one, other)),
    the_library=refusal,
)
assert NUMBERS["E15"]["real_on_0_to_1_beside_real"] > 5 * NUMBERS["E15"]["real_beside_real"]

# %% [markdown]
# ## E16
#
# **One name for the dropouts of all layers** (A, code). Modules are kept by name; with one name for all, one dropout remains
# however many layers there are.

# %%
D = models.gan.dense(64, 16, 2, sg.generator(0), n_layers=3).discriminator
dropouts = [layer for layer in D.layers if isinstance(layer, nn.Dropout)]
by_one_name = {}
for layer in dropouts:
    by_one_name["dropout"] = layer
shown("E16", dropouts_of_three_layers=len(dropouts), kept_under_one_name=len(by_one_name))
assert (len(dropouts), len(by_one_name)) == (3, 1)

# %% [markdown]
# ## E17
#
# **Lists that are made outside the loop over epochs** (A, in two of its prints). The mean that is recorded after an epoch is
# then one over all epochs so far, and lags behind. Say $D(x)$ is 0.9, 0.7 and 0.5 in three epochs of two batches:

# %%
batches = [[0.9, 0.9], [0.7, 0.7], [0.5, 0.5]]
so_far = []
outside = [float(np.mean(so_far)) for batch in batches if so_far.extend(batch) is None]
inside = [float(np.mean(batch)) for batch in batches]
shown("E17", recorded_outside=np.round(outside, 3).tolist(), inside=np.round(inside, 3).tolist())
assert outside[-1] > inside[-1]

# %% [markdown]
# ## E18
#
# **log(1 + exp z)** (C, code). For $z = 1000$ the exponential overflows; softplus, $\max(z, 0) + \log(1 + e^{-|z|})$, is the
# same function without that.

# %%
with np.errstate(over="ignore"):
    overflowing = float(np.log(1 + np.exp(np.float64(1000))))
shown("E18", printed=overflowing, softplus=float(ops.softplus(np.float64(1000))))
assert overflowing == np.inf

# %% [markdown]
# ## E19
#
# **Three slips of the linked code** (C). A demonstration takes $\sigma'$ at $a$ in place of $z$,
# $\delta^L = (a^L - y) \circ \sigma'(a^L)$, and the check refuses it:


# %% tags=["hide-input"]
def e19_printed(W1, b1, W2, b2, x, y):
    """δ² and δ¹ with σ′ at a, which is σ(a) (1 − σ(a)), in place of σ′ at z."""
    a1 = sigmoid(x @ W1 + b1)
    a2 = sigmoid(a1 @ W2 + b2)
    delta2 = (a2 - y) * sigmoid(a2) * (1 - sigmoid(a2))
    delta1 = (W2 @ delta2) * sigmoid(a1) * (1 - sigmoid(a1))
    return np.outer(x, delta1), delta1, np.outer(a1, delta2), delta2


# %%
tried("E19", layers, e19_printed, layers_corrected, *draw((3, 3), (3,), (3, 3), (3,), (3,), (3,)))

# %% [markdown]
# AdaGrad takes the sums of the rows of $g g^T$ in place of $g^2$: these are $g_i \sum_j g_j$, which may be zero or below. Adam
# forgets its moments at each epoch. Its first step has the length $\eta$ whatever the gradient, so that an Adam that begins
# anew every ten steps walks around the minimum of $\tfrac12 x^2$ and does not arrive.


# %%
def adam(steps, renewed):
    """|x| after so many steps on ½ x² from x = 1, with moments that are forgotten or not."""
    x = sg.Tensor([1.0])
    optimizer = optim.Adam([x], lr=0.05)
    for k in range(steps):
        if renewed and k % renewed == 0:
            optimizer = optim.Adam([x], lr=0.05)
        optimizer.step([x.data.copy()])
    return float(abs(x.data[0]))


g = np.array([1.0, -1.0])
kept, forgotten = adam(500, None), adam(500, 10)
NUMBERS_OF_E19 = {
    "row sums of g gᵀ": np.outer(g, g).sum(axis=1).tolist(),
    "g²": (g**2).tolist(),
    "|x| with moments that last": kept,
    "|x| with moments forgotten": forgotten,
}
for name, value in NUMBERS_OF_E19.items():
    print(f"E19  {name:<28}{value}")
assert kept < 1e-3 < forgotten

# %% [markdown]
# ## E20
#
# **The first row of the design matrix stands twice** (C, the exercise of the network with nine parameters). A row that
# counts twice pulls the fit towards itself. A line through four points with noise:

# %%
x, noise = np.arange(4.0), draw((4,))[0]
X, y = np.stack([np.ones(4), x], axis=1), 2 * x + 1 + noise
twice = np.concatenate([X[:1], X]), np.concatenate([y[:1], y])
once = np.linalg.lstsq(X, y, rcond=None)[0]
shifted = np.linalg.lstsq(*twice, rcond=None)[0]
shown(
    "E20",
    θ_with_each_row_once=once.round(4).tolist(),
    with_the_first_twice=shifted.round(4).tolist(),
)
assert abs(X @ shifted - y)[0] < abs(X @ once - y)[0]

# %% [markdown]
# ## E21
#
# **"Iteration" as the name of an axis that counts epochs** (A). With 60,000 images in batches of 64, and the last one
# dropped, an epoch has 937 iterations.

# %%
shown("E21", epochs=100, iterations=100 * (60_000 // 64))
assert NUMBERS["E21"]["iterations"] == 93_700

# %% [markdown]
# ## E22
#
# **D(x) and D(G(z)) are recorded with dropout on** (A). With dropout, $D(x)$ of one image is another number at each call.
# Below, a thousand calls for one digit, and the number without.

# %%
model = models.gan.dense(64, 100, 20, sg.generator(0)).frozen()
one = (2 * digits[:1] - 1).astype(np.float32)
rng = sg.generator(1)
with_dropout = np.array([sigmoid(model.logits(one, rng))[0] for _ in range(1000)])
shown(
    "E22",
    without_dropout=float(model.discriminate(one)[0]),
    least_with_dropout=float(with_dropout.min()),
    largest_with_dropout=float(with_dropout.max()),
)
assert with_dropout.std() > 0.01

# %% [markdown]
# ## E23
#
# **The consistency term** (B C, "The last term"; so also Luo, arXiv:2208.11970, eq. 45). Printed:
# $\mathbb E\, D_{KL}\big(q(x_t | x_{t-1}) \,\|\, p(x_t | x_{t+1})\big)$. The expectation draws $x_{t+1}$ *from* $x_t$: given both,
# $x_t$ is no longer distributed as $q(x_t | x_{t-1})$. The term is a ratio at the $x_t$ that was drawn,
#
# $$\mathbb E_{q(x_{t-1}, x_t, x_{t+1} | x_0)} \left[\log \frac{q(x_t | x_{t-1})}{p(x_t | x_{t+1})}\right] .$$
#
# The form with one random variable per step is right as printed.
# [The bound of a diffusion model](variational_diffusion.md) has the size of the difference.


# %% tags=["hide-input"]
def e23_printed(a, b, log_var, before, here, after):
    """E ∇D_KL(q(x_t|x_{t−1}) ‖ p(x_t|x_{t+1})): the mean √α x_{t−1} of x_t, and its variance."""
    errors = np.sqrt(ALPHA) * before - (a * after + b)
    by_a, by_b, by_log_var = of_gaussian(errors, after, log_var)
    return by_a, by_b, by_log_var - (1 - ALPHA) / np.exp(log_var) / 2


# %%
tried("E23", log_ratio, e23_printed, consistency, 0.8, 0.1, -0.4, *path(6))

# %% [markdown]
# ## All of them

# %%
refused = [erratum.id for erratum in ERRATA if not erratum.check_printed().ok]
accepted = [erratum.id for erratum in ERRATA if erratum.check_corrected().ok]
print(f"derivatives as printed, refused:  {len(refused)} of {len(ERRATA)}: {', '.join(refused)}")
print(f"derivatives corrected, accepted:  {len(accepted)} of {len(ERRATA)}")
print(f"shown by a number:                {len(NUMBERS)}: {', '.join(NUMBERS)}")
assert {*refused, *NUMBERS} == {f"E{k}" for k in range(1, 24)}

# %% [markdown]
# **Read on:** [Checking a derivative](checking_a_derivative.md), with your own.
