# %% [markdown]
# # The linear autoencoder
#
# *The one VAE whose optimum is known exactly.* This chapter follows the sections from "VAEs" to "After training" of the notes,
# in the case that can be solved on paper.
#
# Let the decoder be linear, with one variance for all entries, and the encoder linear in $\mathbf{x}$:
#
# $$p(\mathbf{x}|\mathbf{h}) = N(\mathbf{W} \mathbf{h} + \mathbf{b},\, s^2 \mathbf{I}), \qquad p(\mathbf{h}) = N(0, \mathbf{I}), \qquad
# q(\mathbf{h}|\mathbf{x}) = N\bigl(\mathbf{V} (\mathbf{x} - \mathbf{b}),\, \text{diag}\, \mathbf{d}\bigr).$$
#
# A linear function of Gaussians is Gaussian, so the marginal can be written down:
#
# $$p(\mathbf{x}) = N(\mathbf{b},\, \mathbf{W} \mathbf{W}^T + s^2 \mathbf{I}) .$$

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen import datasets, nn, optim, plotting
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels
from scratchgen.models import VAE

LATENTS, EPOCHS, BATCH, RATE = 8, 300, 50, 3e-2


class Encoder(nn.Network):
    """μ = x Vᵀ + c beside log d, which is the same for all x: (n, 2 q)."""

    def __init__(self, n_visible, n_latent, *, rng):
        self.mean = nn.Linear(n_visible, n_latent, rng=rng)
        self.log_var = sg.Tensor(np.zeros(n_latent, np.float32))

    def __call__(self, x, rng=None):
        mu = self.mean(x)
        return ops.concatenate([mu, self.log_var + 0 * mu], axis=1)


class Decoder(nn.Network):
    """W h + b beside log s², which is the same for all entries: (n, 2 D). A given s² is kept."""

    def __init__(self, n_latent, n_visible, *, rng, s2=None):
        self.mean = nn.Linear(n_latent, n_visible, rng=rng)
        if s2 is None:
            self.log_var = sg.Tensor(np.zeros(1, np.float32))
        self.s2 = s2

    def __call__(self, h, rng=None):
        mean = self.mean(h)
        log_var = self.log_var if self.s2 is None else math.log(self.s2)
        return ops.concatenate([mean, log_var + 0 * mean], axis=1)


@functools.cache
def data():
    """The digits as rows of the pixels that vary, 61 of 64, each less its mean."""
    x = datasets.digits("train")[0].reshape(-1, 64).astype(np.float64)
    return x[:, x.std(axis=0) > 0] - x.mean(axis=0)[x.std(axis=0) > 0]


@functools.cache
def spectrum():
    """The eigenvalues λ of the covariance of the data, in falling order, and the axes as rows."""
    values, vectors = np.linalg.eigh(np.cov(data().T, bias=True))
    return values[::-1], vectors.T[::-1]


# %% [markdown]
# ## The optimum on paper
#
# Let $\lambda_1 \geq \dots \geq \lambda_D$ be the eigenvalues of the covariance of the data, with the principal axes
# $\mathbf{u}_j$, and let there be $q$ latents. The likelihood has its maximum (Tipping and Bishop 1999) at
#
# $$s^2 = \frac{1}{D - q} \sum_{j > q} \lambda_j, \qquad \mathbf{w}_j = \sqrt{\lambda_j - s^2}\; \mathbf{u}_j \quad (j \leq q),$$
#
# up to a rotation of the latents. In words: the model has the variance of the data along the first $q$ axes, and their
# mean variance along all others. Its value follows with $\text{tr}(\mathbf{C}^{-1} \mathbf{S}) = D$:
#
# $$\max \mathbb{E} \log p(\mathbf{x}) = -\tfrac12 \Bigl[ D \log 2\pi + \sum_{j \leq q} \log \lambda_j + (D - q) \log s^2 + D \Bigr] .$$


# %%
def best_log_likelihood(q):
    """The maximum of E log p(x) for q latents, in nats, and its s²."""
    values, _ = spectrum()
    D = len(values)
    s2 = values[q:].mean()
    logs = np.log(values[:q]).sum() + (D - q) * math.log(s2)
    return -0.5 * (D * math.log(2 * math.pi) + logs + D), s2


print(f"{len(data())} digits of {data().shape[1]} pixels; nats per image\n")
print(f"{'latents':>8}{'max E log p(x)':>17}{'s²':>10}")
for q in (0, 1, 2, 4, 8, 16, 32):
    best, s2 = best_log_likelihood(q)
    print(f"{q:8}{best:17.3f}{s2:10.5f}")

# %% [markdown]
# ## Why the bound can reach the evidence
#
# The posterior is a Gaussian with the covariance $s^2 (\mathbf{W}^T \mathbf{W} + s^2 \mathbf{I})^{-1}$. It is diagonal if the columns
# of $\mathbf{W}$ are orthogonal, and then $q$ can equal it. So the gap $D_{KL}(q \,\|\, p(\mathbf{h}|\mathbf{x}))$ of
# [the ELBO](variational_autoencoder.md) can be closed. $-\text{ELBO}$, trained by noise and gradients alone, must come down
# to the number above, and never below it. And the columns of $\mathbf{W}$ must end on the principal axes: the likelihood alone
# does not fix their rotation; the diagonal $q$ does.
#
# The cost of the training has noise. We follow it without: the expectation over $\mathbf{h}$ has a closed form here,
#
# $$\mathbb{E}_q \|\mathbf{x} - \mathbf{W} \mathbf{h} - \mathbf{b}\|^2 = \|\mathbf{x} - \mathbf{W} \boldsymbol{\mu} - \mathbf{b}\|^2
# + \sum_j d_j \|\mathbf{w}_j\|^2 .$$


# %%
def exact_cost(model):
    """The mean of −ELBO over the data, with the expectation over h in closed form."""
    x, frozen = data(), model.frozen()
    mu, log_var = frozen.encode(x)
    W, s2 = model.decoder.mean.weight.data, model.decoder.s2
    log_s2 = model.decoder.log_var.data.item() if s2 is None else math.log(s2)
    errors = ((x - frozen.decode(mu)) ** 2).sum(axis=1) + np.exp(log_var) @ (W**2).sum(axis=0)
    nll = 0.5 * (x.shape[1] * (math.log(2 * math.pi) + log_s2) + errors / math.exp(log_s2))
    return (nll + ops.gaussian_kl(mu, log_var)).mean()


@functools.cache
def trained(seed=0, s2=None, epochs=EPOCHS):
    """Return the trained autoencoder, and −ELBO in nats on all data after each epoch."""
    x, rng = data(), sg.generator(seed)
    D = x.shape[1]
    networks = Encoder(D, LATENTS, rng=rng), Decoder(LATENTS, D, rng=rng, s2=s2)
    model = VAE(*networks, LATENTS, "gaussian").astype(np.float64)
    adam, schedule = optim.Adam(model.parameters(), RATE), optim.schedules.Cosine(epochs)
    costs = []
    for epoch in sg.train(model, x, adam, epochs=epochs, batch_size=BATCH, rng=rng):
        adam.lr = RATE * schedule(epoch.number)
        costs.append(exact_cost(model))
    return model, np.array(costs)


def aligned(model):
    """|cos| of the angles between the columns of W, in falling order of length, and the axes."""
    W = model.decoder.mean.weight.data
    lengths = np.linalg.norm(W, axis=0)
    columns = (W / lengths)[:, np.argsort(-lengths)]
    return np.abs(columns.T @ spectrum()[1][:LATENTS].T)


model, costs = trained()
best, s2 = best_log_likelihood(LATENTS)
print(f"{'epoch':>6}{'−ELBO':>11}{'above the optimum':>20}")
for epoch in (1, 2, 5, 10, 20, 50, 100, 200, EPOCHS):
    print(f"{epoch:6}{costs[epoch - 1]:11.4f}{costs[epoch - 1] + best:20.4f}")
print(f"{'exact':>6}{-best:11.4f}")
print(f"\ns² of the decoder {math.exp(model.decoder.log_var.data.item()):.6f}, exact {s2:.6f}")
lengths = np.sort(np.linalg.norm(model.decoder.mean.weight.data, axis=0))[::-1]
print(f"\n{'axis':>5}{'length of the column':>22}{'√(λ − s²)':>12}{'|cos| to the axis':>20}")
for j, (length, value, cosine) in enumerate(
    zip(lengths, spectrum()[0], np.diag(aligned(model)), strict=False), 1
):
    print(f"{j:5}{length:22.4f}{math.sqrt(value - s2):12.4f}{cosine:20.5f}")

# %%
left, right = panels(1, 2, size=(9.6, 3.6), width_ratios=(3, 2))
left.plot(np.arange(1, EPOCHS + 1), costs + best, label="−ELBO less the optimum")
left.set(yscale="log", xlabel="epoch", ylabel="nats", title="the gap to the exact optimum")
left.legend(frameon=False)
shown = right.imshow(aligned(model), cmap="Greys", vmin=0, vmax=1)
right.set(xlabel="principal axis", ylabel="column of W", title="|cosine| of the angle")
right.set_xticks(range(LATENTS), range(1, LATENTS + 1))
right.set_yticks(range(LATENTS), range(1, LATENTS + 1))
right.figure.colorbar(shown, ax=right)
left

# %% [markdown]
# The columns are images. Above: the trained columns; below: $\sqrt{\lambda_j - s^2}\, \mathbf{u}_j$, with the same signs.


# %%
def as_images(rows):
    """Rows of the 61 pixels that vary, as images of 8 × 8."""
    varies = datasets.digits("train")[0].reshape(-1, 64).std(axis=0) > 0
    images = np.zeros((len(rows), 64))
    images[:, varies] = rows
    return images


W = model.decoder.mean.weight.data
columns = W.T[np.argsort(-np.linalg.norm(W, axis=0))]
values, axes = spectrum()
expected = axes[:LATENTS] * np.sqrt(values[:LATENTS] - s2)[:, None]
expected *= np.sign((expected * columns).sum(axis=1))[:, None]
plotting.filters(as_images(np.concatenate([columns, expected])), columns=LATENTS)

# %% [markdown]
# ## What goes wrong, though nothing does: collapse at the optimum
#
# A column can only *add* variance to $s^2$. If the decoder's $s^2$ is kept at a larger value, the optimum is
# $\|\mathbf{w}_j\| = \sqrt{\max(\lambda_j - s^2, 0)}$: each latent with $\lambda_j \leq s^2$ is given up, its column is zero, and
# $q(h_j|\mathbf{x})$ is the prior. This posterior collapse is no failure of the training (Lucas et al. 2019). A noisy
# decoder leaves no more to say. The same numbers from a training:

# %%
KEPT = 0.3


def lengths_of(s2):
    """√max(λ − s², 0), the lengths of the columns at the optimum for a given s²."""
    return np.sqrt(np.maximum(spectrum()[0][:LATENTS] - s2, 0))


collapsed, _ = trained(s2=KEPT, epochs=60)
W = collapsed.decoder.mean.weight.data
order = np.argsort(-np.linalg.norm(W, axis=0))
held = collapsed.kl_of_units(data())[order]
print(f"s² kept at {KEPT}\n{'latent':>7}{'λ':>9}{'‖w‖':>9}{'exact':>9}{'D_KL, nats':>13}")
for j, (length, exact) in enumerate(
    zip(np.linalg.norm(W, axis=0)[order], lengths_of(KEPT), strict=True)
):
    print(f"{j + 1:7}{spectrum()[0][j]:9.3f}{length:9.3f}{exact:9.3f}{held[j]:13.4f}")

# %%
ax = panels(size=(5.6, 3.4))
s2_axis = np.linspace(0.0, 0.8, 200)
for j, line in enumerate(np.array([lengths_of(value) for value in s2_axis]).T):
    ax.plot(s2_axis, line, color=f"C{j}")
    ax.plot(KEPT, np.linalg.norm(W, axis=0)[order][j], "o", color=f"C{j}")
ax.set(xlabel="s² of the decoder", ylabel="length of a column", title="lines: exact; dots: trained")
ax

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the posterior
# Return the mean and the covariance of $p(\mathbf{h}|\mathbf{x})$ for one row `x` (with $\mathbf{b} = 0$).


# %%
def posterior(x, W, s2):
    """E[h|x], (q,), and Cov[h|x], (q, q)."""
    # your lines


def check_posterior(answer):
    rng = sg.generator(0)
    W, x = rng.standard_normal((5, 2)), rng.standard_normal(5)
    joint = np.block([[np.eye(2), W.T], [W, W @ W.T + 0.3 * np.eye(5)]])  # of (h, x)
    gain = joint[:2, 2:] @ np.linalg.inv(joint[2:, 2:])
    mean, covariance = answer(x, W, 0.3)
    np.testing.assert_allclose(mean, gain @ x, rtol=1e-10)
    np.testing.assert_allclose(covariance, np.eye(2) - gain @ joint[2:, :2], rtol=1e-8)


attempt(check_posterior, posterior)


# %% tags=["solution"]
def posterior(x, W, s2):
    covariance = s2 * np.linalg.inv(W.T @ W + s2 * np.eye(W.shape[1]))
    return covariance @ W.T @ x / s2, covariance


attempt(check_posterior, posterior)

# %% [markdown]
# ### Exercise 2: what a latent is worth
# By how many nats does the maximum of $\mathbb{E} \log p(\mathbf{x})$ rise with latent number $q + 1$? Give it by the eigenvalues
# `values` alone.


# %%
def gain_of_a_latent(values, q):
    """The gain of latent q + 1, in nats, for all D eigenvalues in falling order."""
    # your lines


def check_gain(answer):
    for q in (0, 3, 10):
        expected = best_log_likelihood(q + 1)[0] - best_log_likelihood(q)[0]
        np.testing.assert_allclose(answer(spectrum()[0], q), expected, rtol=1e-8)


attempt(check_gain, gain_of_a_latent)


# %% tags=["solution"]
def gain_of_a_latent(values, q):
    D, before, after = len(values), values[q:].mean(), values[q + 1 :].mean()
    return 0.5 * ((D - q) * np.log(before) - np.log(values[q]) - (D - q - 1) * np.log(after))


attempt(check_gain, gain_of_a_latent)

# %% [markdown]
# ### Exercise 3: which latents collapse
# For a decoder whose $s^2$ is kept, return the number of latents of eight that stay in use at the optimum.


# %%
def in_use(s2):
    """How many of the eight columns are not zero."""
    # your line


def check_in_use(answer):
    for s2 in (0.05, KEPT, 0.5, 10.0):
        assert answer(s2) == np.count_nonzero(lengths_of(s2)), f"not for s² = {s2}"


attempt(check_in_use, in_use)


# %% tags=["solution"]
def in_use(s2):
    return int((spectrum()[0][:LATENTS] > s2).sum())


attempt(check_in_use, in_use)

# %% [markdown]
# **Read on:** [The hierarchical VAE](hierarchical_vae.md). M. Tipping and C. Bishop, "Probabilistic principal component analysis",
# 1999; J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO!", arXiv:1911.02469.
