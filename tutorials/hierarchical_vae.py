# %% [markdown]
# # The hierarchical VAE
#
# *A stack of autoencoders, in which each is the prior of the one below.* This chapter follows "Chains of VAEs" to "Equation for the
# Markovian hierarchical VAE" of the notes. It takes over from [The variational autoencoder](variational_autoencoder.md), and leads to
# diffusion models, whose $T$ layers are a hierarchy with a fixed encoder.
#
# Each transition down the hierarchy is Markovian. The joint distribution and the encoder of $T$ layers are
#
# $$p(\mathbf{x}, \mathbf{h}_{1:T}) = p(\mathbf{h}_T)\, p_\theta(\mathbf{x}|\mathbf{h}_1) \prod_{t=2}^T p_\theta(\mathbf{h}_{t-1}|\mathbf{h}_t), \qquad
# q_\phi(\mathbf{h}_{1:T}|\mathbf{x}) = q_\phi(\mathbf{h}_1|\mathbf{x}) \prod_{t=2}^T q_\phi(\mathbf{h}_t|\mathbf{h}_{t-1}) .$$

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen import datasets, nn, optim, plotting
from scratchgen.learning import attempt, panels, source
from scratchgen.models import HierarchicalVAE, hierarchical_vae, vae

# %% [markdown]
# ## The bound, and its three terms
#
# The derivation of the ELBO never asked what $\mathbf{h}$ is. So it holds for all layers together:
#
# $$\log p(\mathbf{x}) \geq \mathbb{E}_{q}\left[\log \frac{p(\mathbf{x}, \mathbf{h}_{1:T})}{q(\mathbf{h}_{1:T}|\mathbf{x})}\right]
# = \mathbb{E}_{q}\left[\log \frac{p(\mathbf{h}_T)\, p(\mathbf{x}|\mathbf{h}_1) \prod_{t=2}^T p(\mathbf{h}_{t-1}|\mathbf{h}_t)}
# {q(\mathbf{h}_1|\mathbf{x}) \prod_{t=2}^T q(\mathbf{h}_t|\mathbf{h}_{t-1})}\right] .$$
#
# (The notes print $p(\mathbf{h}_t|\mathbf{h}_{t-1})$ in the numerator, the direction of the encoder, [E11](errata.md#e11).) Take the top of
# the encoder together with $p(\mathbf{h}_T)$, and pair each other $q(\mathbf{h}_t|\mathbf{h}_{t-1})$ with the decoder of the *same* variable. With
# $\mathbf{h}_0 = \mathbf{x}$,
#
# $$\text{ELBO} = \underbrace{\mathbb{E}_q \log p(\mathbf{x}|\mathbf{h}_1)}_{\text{reconstruction}}
# - \underbrace{\mathbb{E}_q D_{KL}\bigl(q(\mathbf{h}_T|\mathbf{h}_{T-1}) \,\|\, p(\mathbf{h}_T)\bigr)}_{\text{prior matching}}
# - \underbrace{\sum_{t=1}^{T-1} \mathbb{E}_q \log \frac{q(\mathbf{h}_t|\mathbf{h}_{t-1})}{p(\mathbf{h}_t|\mathbf{h}_{t+1})}}_{\text{consistency}} .$$
#
# The last term asks two neighbours of $\mathbf{h}_t$, one from below and one from above, to agree.

# %%
source(HierarchicalVAE.elbo_terms)

# %% [markdown]
# ## A hierarchy that is known exactly
#
# Let $h_2 \sim N(0, 1)$, $h_1|h_2 \sim N(r h_2,\, 1 - r^2)$, and $\mathbf{x}|h_1 \sim N(\mathbf{w} h_1,\, s^2 \mathbf{I})$ in three dimensions. Then $h_1 \sim N(0, 1)$
# for every $r$, and $p(\mathbf{x}) = N(0,\, \mathbf{w} \mathbf{w}^T + s^2 \mathbf{I})$ does not depend on $r$. The posteriors are
#
# $$q(h_1|\mathbf{x}) = N\Bigl(\frac{\mathbf{w}^T \mathbf{x}}{\mathbf{w}^T \mathbf{w} + s^2},\; \frac{s^2}{\mathbf{w}^T \mathbf{w} + s^2}\Bigr), \qquad
# q(h_2|h_1) = N(r h_1,\, 1 - r^2) .$$
#
# With these encoders $p(\mathbf{x}, \mathbf{h})/q(\mathbf{h}|\mathbf{x}) = p(\mathbf{x})$ whatever $\mathbf{h}$ is. So the log-weight of *every single path* is
# $\log p(\mathbf{x})$, without noise. We build it of the library's parts.

# %%
SLOPES, NOISE = np.array([1.0, -0.5, 0.8]), 0.6


def linear(weight, variance):
    """A network that gives the means x Aᵀ, and beside them a log variance for each."""
    weight = np.atleast_2d(np.asarray(weight, dtype=np.float64))
    layer = nn.Linear(weight.shape[1], 2 * len(weight), rng=sg.generator(0)).astype(np.float64)
    layer.weight.data[...] = np.concatenate([weight, 0 * weight])
    layer.bias.data[...] = np.repeat([0.0, math.log(variance)], len(weight))
    return layer


def exact_model(r, w=SLOPES, s=NOISE):
    """The hierarchy of two layers with its exact posteriors as encoders."""
    total = w @ w + s**2
    encoders = [linear(w[None] / total, s**2 / total), linear([[r]], 1 - r**2)]
    decoders = [linear(w[:, None], s**2), linear([[r]], 1 - r**2)]
    return HierarchicalVAE(encoders, decoders, (1, 1), "gaussian")


def log_evidence(x, w=SLOPES, s=NOISE):
    """Log N(x; 0, w wᵀ + s² I), (n,)."""
    covariance = np.outer(w, w) + s**2 * np.eye(len(w))
    squares = (x @ np.linalg.inv(covariance) * x).sum(axis=1)
    return -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1])


def points(n=4, seed=0, w=SLOPES, s=NOISE):
    """Draws of p(x), (n, 3)."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 1)) * w + s * rng.standard_normal((n, 3))


x, rng = points(), sg.generator(1)
model = exact_model(0.8)
print("log p(x):           " + "".join(f"{value:16.10f}" for value in log_evidence(x)))
for path in range(3):
    weights = model.frozen().log_weight(x, rng=rng)
    print(f"log-weight, path {path}: " + "".join(f"{value:16.10f}" for value in weights))

# %% [markdown]
# ## The printed consistency term
#
# The notes (and Luo, arXiv:2208.11970, eq. 45) write the consistency as a divergence at two *given* neighbours,
#
# $$\mathbb{E}_{q(\mathbf{h}_{t-1}, \mathbf{h}_{t+1}|\mathbf{x})}\, D_{KL}\bigl(q(\mathbf{h}_t|\mathbf{h}_{t-1}) \,\|\, p(\mathbf{h}_t|\mathbf{h}_{t+1})\bigr) .$$
#
# This draws $\mathbf{h}_t$ *anew*, while $\mathbf{h}_{t+1}$ was made from another draw. Given $\mathbf{h}_{t+1}$, the old one is no longer
# distributed as $q(\mathbf{h}_t|\mathbf{h}_{t-1})$ ([E23](errata.md#e23)). In the linear hierarchy both can be computed. With the mean $m$ and the variance $v$ of $q(h_1|\mathbf{x})$,
# and $\tau^2 = 1 - r^2$,
#
# $$\text{printed}: \tfrac12 \Bigl[\log \frac{\tau^2}{v} - 1 + \frac{v + \mathbb{E}(m - r h_2)^2}{\tau^2}\Bigr], \qquad
# \text{right}: \tfrac12 \Bigl[\log \frac{\tau^2}{v} - 1 + \frac{\mathbb{E}(h_1 - r h_2)^2}{\tau^2}\Bigr],$$
#
# where $h_2 = r h_1 + \tau \epsilon$. The right one plus the prior matching is the same for every $r$, as it must be. The printed
# one is lowest for $r = 0$: it rewards a top layer that knows nothing.


# %%
def both_forms(r, x, w=SLOPES, s=NOISE):
    """The bound with the right and with the printed consistency, in closed form, (n,) each."""
    total, tau2 = w @ w + s**2, 1 - r**2
    m, v = x @ w / total, s**2 / total
    second = m**2 + v  # E h₁²
    of_h2 = r**2 * second + tau2  # E h₂²
    nll = 0.5 * (3 * math.log(2 * np.pi * s**2) + ((x - m[:, None] * w) ** 2).sum(axis=1) / s**2)
    reconstruction = -nll - 0.5 * (w @ w) * v / s**2
    prior = 0.5 * (of_h2 - 1 - math.log(tau2))
    right = second - 2 * r * r * second + r**2 * of_h2  # E (h₁ − r h₂)²
    printed = v + m**2 - 2 * r * m * r * m + r**2 * of_h2  # v + E (m − r h₂)²
    return tuple(
        reconstruction - prior - 0.5 * (math.log(tau2 / v) - 1 + square / tau2)
        for square in (right, printed)
    )


x = points(2000)
print(
    f"{'r':>5}{'log p(x)':>12}{'the bound':>12}{'as printed':>12}   means over 2,000 points, nats"
)
for r in (0.0, 0.3, 0.6, 0.9, 0.99):
    right, printed = (of.mean() for of in both_forms(r, x))
    print(f"{r:5}{log_evidence(x).mean():12.4f}{right:12.4f}{printed:12.4f}")

# %%
ax = panels(size=(5.6, 3.4))
rs = np.linspace(0, 0.97, 80)
curves = np.array([[of.mean() for of in both_forms(r, x)] for r in rs]).T
ax.axhline(log_evidence(x).mean(), color="grey", linestyle="--", label="log p(x)")
ax.plot(rs, curves[0], label="bound, log-ratio at the sampled h₁")
ax.plot(rs, curves[1], label="as printed, a D_KL at both neighbours")
ax.set(xlabel="r, what h₂ knows of h₁", ylabel="nats", ylim=(curves[0, 0] - 3, curves[0, 0] + 0.3))
ax.legend(frameon=False)
ax

# %% [markdown]
# ## Two layers on the digits
#
# The data are the black-or-white digits of the other chapters. $\mathbf{h}_1$ has 12 latents and $\mathbf{h}_2$ has 6; all four networks have 128
# ReLUs. The weight $\beta$ of the divergences rises from 0 to 1 over the first half of the training (*warm-up*).


# %%
@functools.cache
def digits(split):
    """Images as rows of bits, (n, 64), and their labels."""
    images, labels = datasets.digits(split)
    return (images.reshape(-1, 64) > 0.5).astype(np.float32), labels


@functools.cache
def trained(warm_up=True, layers=2, epochs=40, rate=4e-3):
    """A hierarchy of 12 and 6 latents, or a VAE of 12, and its report by epoch."""
    rng = sg.generator(0)
    if layers == 2:
        model = hierarchical_vae.dense(64, 128, (12, 6), rng)
    else:
        model = vae.dense(64, 128, 12, rng)
    adam, schedule = optim.Adam(model.parameters(), rate), optim.schedules.Cosine(epochs)
    rising = optim.schedules.WarmUp(epochs // 2, start=0.0)
    model.beta = rising(0) if warm_up else 1.0
    reports = []
    for epoch in sg.train(model, digits("train")[0], adam, epochs=epochs, batch_size=64, rng=rng):
        adam.lr = rate * schedule(epoch.number)
        model.beta = rising(epoch.number) if warm_up else 1.0
        reports.append(epoch.report)
    model.beta = 1.0
    return model, reports


def judged(model):
    """−ELBO and an importance-weighted bound of held-out digits, nats."""
    x, rng = digits("test")[0], sg.generator(0)
    bound = np.mean([model.frozen().elbo(x, rng=rng).mean() for _ in range(10)])
    return -bound, -model.log_likelihood(x, 100, rng).mean()


print(f"{'model':<32}{'−ELBO':>9}{'−log p(x) ≤':>14}{'KL of each layer, nats':>27}")
for name, settings in {
    "two layers, with warm-up": {},
    "two layers, without": {"warm_up": False},
    "one layer, with warm-up": {"layers": 1},
}.items():
    model, reports = trained(**settings)
    kls = [
        value for key, value in reports[-1].items() if key.startswith("KL") and "weight" not in key
    ]
    told = "".join(f"{value:9.3f}" for value in kls)
    print(f"{name:<32}{judged(model)[0]:9.2f}{judged(model)[1]:14.2f}{told:>27}")

# %% [markdown]
# The gain of a second layer is tenths of a nat. $p(\mathbf{x}|\mathbf{h}_1)$ is the same network as in the VAE; the prior of
# $\mathbf{h}_1$ is the only thing that became richer.
#
# ## What each layer holds
#
# Encode a digit, keep one of its layers, and draw everything below anew. What the draws have in common, the kept layer
# knows; what differs, it does not. First column: the digit. Then eight draws with $\mathbf{h}_2$ kept, then eight with $\mathbf{h}_1$ kept.


# %%
SHOWN = (0, 2, 3, 4, 6, 7)


@functools.cache
def kept_layers(draws=8, seed=0):
    """Means of x, (6, 1 + 2 draws, 64): the digit, draws below h₂, and draws below h₁."""
    model, rng = trained()[0], sg.generator(seed)
    x, labels = digits("test")
    chosen = np.array([np.flatnonzero(labels == digit)[0] for digit in SHOWN])
    path = model.frozen().latents(np.repeat(x[chosen], draws, axis=0), rng=rng)
    decode = model.frozen().layers[0].decode
    of_top = decode(model.descend(path[1].q.mu, rng)).reshape(len(SHOWN), draws, 64)
    of_bottom = decode(path[0].h).reshape(len(SHOWN), draws, 64)
    return np.concatenate([x[chosen][:, None], of_top, of_bottom], axis=1)


names = ["digit", *["h₂"] * 8, *["h₁"] * 8]
rows = {f"digit {k}": row for k, row in zip(SHOWN, kept_layers(), strict=True)}
plotting.image_table(rows, columns=names)

# %% [markdown]
# And samples of the whole hierarchy, $\mathbf{h}_2 \to \mathbf{h}_1 \to \mathbf{x}$:

# %%
plotting.image_grid(trained()[0].sample(40, sg.generator(2)), columns=20)

# %% [markdown]
# ## What goes wrong: layers that say too little
#
# Early in the training the decoder makes nothing of $\mathbf{h}_1$, and nothing in $\mathbf{h}_1$ is worth a message of $\mathbf{h}_2$. With the full weight on
# the divergences from the start, both layers go to their priors first, and come back slowly and not as far; the table above shows what that costs. In
# deeper stacks the top layers may stay empty for good. Warm-up makes messages cheap while the layers learn to speak. The lines
# are the divergences of the two layers over the training. (The printed consistency term would empty the top layer by itself, as
# the linear hierarchy has shown.)

# %%
left, right = panels(1, 2, size=(9.6, 3.4), sharey=True)
for ax, warm_up in ((left, True), (right, False)):
    _, reports = trained(warm_up=warm_up)
    for t in (1, 2):
        ax.plot([report[f"KL of h{t}"] for report in reports], label=f"KL of h{t}")
    ax.set(xlabel="epoch", ylabel="nats", title="with warm-up" if warm_up else "without")
    ax.legend(frameon=False)
left

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the weight of a path
# Write $\log p(\mathbf{x}, h_1, h_2) - \log q(h_1, h_2|\mathbf{x})$ of the linear hierarchy for one `x`, and given `h1` and `h2`.


# %%
def log_normal(x, mean, variance):
    """Log N(x; mean, variance), summed over the entries."""
    return np.sum(-0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance))


def log_weight(x, h1, h2, r, w=SLOPES, s=NOISE):
    """Five terms, of which two are q's."""
    # your lines


def check_weight(answer):
    x = points(1, seed=5)
    for h1, h2 in ((0.3, -1.0), (2.0, 0.4)):
        np.testing.assert_allclose(answer(x[0], h1, h2, 0.7), log_evidence(x)[0], rtol=1e-10)


attempt(check_weight, log_weight)


# %% tags=["solution"]
def log_weight(x, h1, h2, r, w=SLOPES, s=NOISE):
    total, tau2 = w @ w + s**2, 1 - r**2
    p = log_normal(x, w * h1, s**2) + log_normal(h1, r * h2, tau2) + log_normal(h2, 0.0, 1.0)
    q = log_normal(h1, x @ w / total, s**2 / total) + log_normal(h2, r * h1, tau2)
    return p - q


attempt(check_weight, log_weight)

# %% [markdown]
# ### Exercise 2: what the misprint costs
# By how much does the printed form lie below the bound in the linear hierarchy? Give it by $r$ and $v$ alone. Where is it
# zero?


# %%
def excess(r, v):
    """The bound less its printed form, in nats, the same for all x."""
    # your line


def check_excess(answer):
    x, v = points(3), NOISE**2 / (SLOPES @ SLOPES + NOISE**2)
    for r in (0.0, 0.5, 0.9):
        right, printed = both_forms(r, x)
        np.testing.assert_allclose(answer(r, v) + 0 * x[:, 0], right - printed, atol=1e-10)


attempt(check_excess, excess)


# %% tags=["solution"]
def excess(r, v):
    return r**2 * v / (1 - r**2)  # E(m − r h₂)² + v less E(h₁ − r h₂)² is 2 r² v; zero at r = 0


attempt(check_excess, excess)

# %% [markdown]
# ### Exercise 3: three layers
# Let $h_3 \sim N(0, 1)$ and $h_{t-1}|h_t \sim N(r h_t,\, 1 - r^2)$ down to $h_1$. What is the correlation of $h_1$ and $h_3$? And for
# which $r$ does $h_T$ know nothing of $h_1$ as $T \to \infty$?


# %%
def correlation(r, T):
    """The correlation of h₁ and h_T."""
    # your line


def check_correlation(answer):
    rng = np.random.default_rng(0)
    h = top = rng.standard_normal(200_000)
    for _ in range(2):
        h = 0.8 * h + 0.6 * rng.standard_normal(len(h))
    assert abs(answer(0.8, 3) - np.corrcoef(h, top)[0, 1]) < 5 / math.sqrt(len(h))


attempt(check_correlation, correlation)


# %% tags=["solution"]
def correlation(r, T):
    return r ** (T - 1)  # it vanishes for every |r| < 1: so a diffusion model ends in pure noise


attempt(check_correlation, correlation)

# %% [markdown]
# **Read on:** [The bound of a diffusion model](variational_diffusion.md) has the same three terms for 300 layers.
# C. Luo, "Understanding diffusion models: a unified perspective", arXiv:2208.11970; Sønderby et al., "Ladder variational autoencoders",
# arXiv:1602.02282.
