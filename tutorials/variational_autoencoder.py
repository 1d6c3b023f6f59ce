# %% [markdown]
# # The variational autoencoder
#
# *A latent variable, an integral that cannot be done, and a bound that can be climbed.* This chapter follows the
# sections from "VAEs" to "After training" of the notes, line by line.
#
# The model states how the data come about. A latent $\mathbf{h}$ is drawn from $p(\mathbf{h}) = N(0, \mathbf{I})$, and then
# $\mathbf{x}$ from $p_\theta(\mathbf{x}|\mathbf{h})$, whose parameters a network gives. There are two ways to the
# likelihood, the marginal and the chain rule:
#
# $$p(\mathbf{x}) = \int p(\mathbf{x}, \mathbf{h})\, d\mathbf{h}, \qquad
# p(\mathbf{x}) = \frac{p(\mathbf{x}, \mathbf{h})}{p(\mathbf{h}|\mathbf{x})} .$$
#
# With a network inside, the integral cannot be done, and the posterior $p(\mathbf{h}|\mathbf{x})$ is not known. So the VAE
# introduces an *encoder* $q_\phi(\mathbf{h}|\mathbf{x})$, a density that we can write down, in the place of the posterior.

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen import datasets, optim, plotting
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source
from scratchgen.models import VAE, vae

# %% [markdown]
# ## The derivation
#
# Why each line equals the one above it stands at its right:
#
# $$\begin{aligned}
# \log p(\mathbf{x}) &= \log p(\mathbf{x}) \int q_\phi(\mathbf{h}|\mathbf{x})\, d\mathbf{h} && \text{a density has the integral 1} \\
# &= \int q_\phi(\mathbf{h}|\mathbf{x}) \log p(\mathbf{x})\, d\mathbf{h} && \log p(\mathbf{x}) \text{ does not depend on } \mathbf{h} \\
# &= \mathbb{E}_{q}\left[\log p(\mathbf{x})\right] && \text{the definition of an expectation} \\
# &= \mathbb{E}_{q}\left[\log \frac{p(\mathbf{x}, \mathbf{h})}{p(\mathbf{h}|\mathbf{x})}\right] && \text{the chain rule, true at every } \mathbf{h} \\
# &= \mathbb{E}_{q}\left[\log \frac{p(\mathbf{x}, \mathbf{h})\, q_\phi(\mathbf{h}|\mathbf{x})}{p(\mathbf{h}|\mathbf{x})\, q_\phi(\mathbf{h}|\mathbf{x})}\right] && \text{a factor 1} \\
# &= \mathbb{E}_{q}\left[\log \frac{p(\mathbf{x}, \mathbf{h})}{q_\phi(\mathbf{h}|\mathbf{x})}\right]
#  + \mathbb{E}_{q}\left[\log \frac{q_\phi(\mathbf{h}|\mathbf{x})}{p(\mathbf{h}|\mathbf{x})}\right] && \text{the logarithm of a product} \\
# &= \underbrace{\mathbb{E}_{q}\left[\log \frac{p(\mathbf{x}, \mathbf{h})}{q_\phi(\mathbf{h}|\mathbf{x})}\right]}_{\text{ELBO}}
#  + D_{KL}\bigl(q_\phi(\mathbf{h}|\mathbf{x}) \,\|\, p(\mathbf{h}|\mathbf{x})\bigr) && \text{its definition} \\
# &\geq \text{ELBO} && D_{KL} \geq 0 .
# \end{aligned}$$
#
# The left side does not depend on $q_\phi$. So an encoder that raises the ELBO lowers its distance to the posterior by the
# same number of nats, though nobody knows the posterior.
#
# In one case everything is known: $h \sim N(0, 1)$ and $x|h \sim N(w h, s^2)$. Then $p(x) = N(0, w^2 + s^2)$, and the
# posterior is a Gaussian with the mean $w x/(w^2 + s^2)$ and the variance $s^2/(w^2 + s^2)$.

# %%
SLOPE, NOISE, X = 1.5, 0.5, 1.2


def log_normal(x, mean, variance):
    """Log N(x; mean, variance)."""
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


def kl(mean, variance, other_mean, other_variance):
    """D_KL(N(mean, variance) ‖ N(other mean, other variance))."""
    ratio = variance / other_variance
    return 0.5 * (ratio - 1 - np.log(ratio) + (mean - other_mean) ** 2 / other_variance)


def posterior(x, w=SLOPE, s=NOISE):
    """The mean and the variance of p(h|x)."""
    return w * x / (w**2 + s**2), s**2 / (w**2 + s**2)


def elbo(mean, variance, x=X, w=SLOPE, s=NOISE):
    """E_q log p(x|h) − D_KL(q ‖ p(h)) of q = N(mean, variance), in closed form."""
    reconstruction = log_normal(x, w * mean, s**2) - 0.5 * w**2 * variance / s**2
    return reconstruction - kl(mean, variance, 0.0, 1.0)


evidence = log_normal(X, 0.0, SLOPE**2 + NOISE**2)
print(f"{'q(h|x)':<22}{'ELBO':>10}{'D_KL(q ‖ p(h|x))':>20}{'their sum':>12}")
for name, q in {
    "the prior N(0, 1)": (0.0, 1.0),
    "the right mean": (posterior(X)[0], 1.0),
    "too narrow": (posterior(X)[0], posterior(X)[1] / 10),
    "the posterior": posterior(X),
}.items():
    gap = kl(*q, *posterior(X))
    print(f"{name:<22}{elbo(*q):10.4f}{gap:20.4f}{elbo(*q) + gap:12.4f}")
print(f"{'log p(x)':<22}{'':30}{evidence:12.4f}")

# %% [markdown]
# ## Reconstruction, and prior matching
#
# Write $p(\mathbf{x}, \mathbf{h}) = p_\theta(\mathbf{x}|\mathbf{h})\, p(\mathbf{h})$ into the bound:
#
# $$\mathbb{E}_{q}\left[\log \frac{p_\theta(\mathbf{x}|\mathbf{h})\, p(\mathbf{h})}{q_\phi(\mathbf{h}|\mathbf{x})}\right]
# = \underbrace{\mathbb{E}_{q}\left[\log p_\theta(\mathbf{x}|\mathbf{h})\right]}_{\text{reconstruction}}
# - \underbrace{D_{KL}\bigl(q_\phi(\mathbf{h}|\mathbf{x}) \,\|\, p(\mathbf{h})\bigr)}_{\text{prior matching}} .$$
#
# The first term is large if the decoder finds $\mathbf{x}$ again from the latents. The second keeps the encoder a
# distribution: a spike costs infinitely many nats. With $q_\phi = N(\boldsymbol{\mu}_\phi(\mathbf{x}),
# \boldsymbol{\sigma}^2_\phi(\mathbf{x})\, \mathbf{I})$ it has a closed form, and the first is estimated by $L$ draws:
#
# $$D_{KL} = \tfrac12 \sum_k \left(\mu_k^2 + \sigma_k^2 - 1 - \log \sigma_k^2\right), \qquad
# \mathbb{E}_q[\log p_\theta(\mathbf{x}|\mathbf{h})] \approx \frac1L \sum_{l=1}^L \log p_\theta(\mathbf{x}|\mathbf{h}^{(l)}) .$$
#
# (The notes print the sum without $1/L$, [E8](errata.md#e8). With $L = 10$ that would weigh the reconstruction ten times.)

# %%
source(VAE.elbo_terms)

# %% [markdown]
# ## The closed form, and its estimate
#
# One could also estimate the second term, by $\log q(\mathbf{h}) - \log p(\mathbf{h})$ at the draws. Its mean is right. But
# the closed form has no variance at all.

# %%
source(ops.gaussian_kl)


# %%
def estimated_kl(mu, log_var, eps):
    """Log q(h) − log p(h) at h = μ + σ ε, summed over the latents: (draws,)."""
    h = mu + np.exp(0.5 * log_var) * eps
    return 0.5 * (h * h - eps * eps - log_var).sum(axis=-1)


mu, log_var = np.array([0.8, -0.3]), np.array([-1.0, 0.2])
eps = np.random.default_rng(0).standard_normal((100_000, 2))
exact = float(ops.gaussian_kl(mu[None], log_var[None])[0])
estimates = estimated_kl(mu, log_var, eps)
print(f"closed form {exact:.4f} nats")
print(f"one draw    {exact:.4f} ± {estimates.std():.4f} (standard deviation)")
error = estimates.std() / math.sqrt(len(eps))
print(f"{len(eps):,} draws {estimates.mean():.4f} ± {error:.4f}")

# %% [markdown]
# ## Reparameterisation
#
# The draws $\mathbf{h}^{(l)}$ depend on $\phi$. How does one differentiate a random number? There are two answers.
#
# *The score function.* Move the derivative into the integral, $\nabla q = q \nabla \log q$:
#
# $$\nabla_\phi\, \mathbb{E}_q[f(\mathbf{h})] = \mathbb{E}_q\left[f(\mathbf{h})\, \nabla_\phi \log q_\phi(\mathbf{h})\right] .$$
#
# *Reparameterisation.* Write the draw as a function of $\phi$ and of a noise that does not depend on it:
#
# $$\mathbf{h} = \boldsymbol{\mu}_\phi + \boldsymbol{\sigma}_\phi \odot \boldsymbol{\epsilon}, \quad
# \boldsymbol{\epsilon} \sim N(0, \mathbf{I}), \qquad
# \nabla_\phi\, \mathbb{E}_q[f(\mathbf{h})] = \mathbb{E}_\epsilon\left[\nabla_\phi f(\boldsymbol{\mu}_\phi + \boldsymbol{\sigma}_\phi \odot \boldsymbol{\epsilon})\right] .$$
#
# Both have the right mean. The first knows only *how good* a draw was, the second *in which direction* it would have been
# better. Take $f(\mathbf{h}) = \tfrac12 \sum_k h_k^2$, whose derivative with respect to $\mu_1$ is $\mu_1$. One draw of the second
# estimate is $h_1$, with the variance $\sigma^2$ for any number $D$ of latents. One draw of the first is
# $f(\mathbf{h})\, \epsilon_1/\sigma$: all latents make noise in the derivative of one.


# %%
MU, SIGMA = 0.7, 0.6


def score_estimates(eps, f=lambda h: 0.5 * (h * h).sum(axis=1)):
    """f(h) ε₁/σ, for each row of eps."""
    return f(MU + SIGMA * eps) * eps[:, 0] / SIGMA


def reparameterised_estimates(eps):
    """∂f/∂μ₁ = h₁, for each row of eps."""
    return MU + SIGMA * eps[:, 0]


def deviation_of_score(D):
    """The exact standard deviation of one score estimate for D latents.

    f is ½ h₁² + R with an independent R, and the moments of h₁ are sums by Gauss and Hermite.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    weights = weights / weights.sum()
    first = 0.5 * (MU + SIGMA * nodes) ** 2
    mean = 0.5 * (D - 1) * (MU**2 + SIGMA**2)
    variance = (D - 1) * (MU**2 * SIGMA**2 + 0.5 * SIGMA**4)
    square = weights @ ((first**2 + 2 * first * mean + mean**2 + variance) * nodes**2)
    return math.sqrt(square / SIGMA**2 - MU**2)


SIZES = (1, 2, 5, 10, 20, 50)
print(f"the derivative is {MU}; the mean and the deviation of 20,000 estimates of one draw each")
print(f"{'latents':>8}{'reparameterised':>20}{'score function':>20}{'exact deviation':>18}")
rng = np.random.default_rng(0)
measured = []
for D in SIZES:
    eps = rng.standard_normal((20_000, D))
    ours, theirs = reparameterised_estimates(eps), score_estimates(eps)
    measured.append((ours.std(), theirs.std()))
    told = "".join(f"{x.mean():10.3f} ± {x.std():<7.3f}" for x in (ours, theirs))
    print(f"{D:8}{told}{deviation_of_score(D):15.3f}")

ax = panels(size=(5.6, 3.4))
ax.loglog(SIZES, np.array(measured)[:, 1], "o", color="C3", label="score function, measured")
ax.loglog(SIZES, [deviation_of_score(D) for D in SIZES], color="C3", label="score function, exact")
ax.loglog(SIZES, np.array(measured)[:, 0], "o", color="C0", label="reparameterised, measured")
ax.axhline(SIGMA, color="C0", label="reparameterised, exact: σ")
ax.axhline(MU, color="grey", linestyle="--", label="the derivative itself")
ax.set(xlabel="latents", ylabel="standard deviation of one estimate")
ax.legend(frameon=False, fontsize=8)
ax

# %% [markdown]
# With fifty latents, the score function needs thousands of draws for what reparameterisation has in one. In
# the library, the second is a line, and the engine differentiates through it:

# %%
source(VAE.reparameterize)

# %% [markdown]
# ## A VAE of two latents
#
# The digits are 8 × 8 pixels, black or white, for a Bernoulli likelihood. Both networks have one hidden layer of
# 128 ReLUs, and the encoder ends in $\boldsymbol{\mu}$ and $\log \boldsymbol{\sigma}^2$. The data are those of
# [Boltzmann machines](boltzmann_machines.md), so that the nats of the two chapters can be compared.


# %%
@functools.cache
def digits(split):
    """Images as rows of bits, (n, 64), and their labels: ink on more than half of a pixel."""
    images, labels = datasets.digits(split)
    return (images.reshape(-1, 64) > 0.5).astype(np.float32), labels


@functools.cache
def trained(n_latent, beta=1.0, epochs=30, importance=1, rate=5e-3):
    """A VAE, or an IWAE of several samples, and its epochs: Adam with a cosine."""
    rng = sg.generator(0)
    model = vae.dense(64, 128, n_latent, rng)
    if importance > 1:
        model = vae.IWAE(model.encoder, model.decoder, n_latent, n_samples=importance)
    model.beta = beta
    adam, schedule = optim.Adam(model.parameters(), rate), optim.schedules.Cosine(epochs)
    history = []
    for epoch in sg.train(model, digits("train")[0], adam, epochs=epochs, batch_size=64, rng=rng):
        adam.lr = rate * schedule(epoch.number)
        history.append(epoch)
    return model, history


def held_out(model, seed=0, repeats=10):
    """The mean of both terms of −ELBO over held-out images and draws, in nats."""
    x, rng = digits("test")[0], sg.generator(seed)
    terms = [model.frozen().elbo_terms(x, rng=rng) for _ in range(repeats)]
    return tuple(np.mean([term[k] for term in terms]) for k in (0, 1))


plane, _ = trained(2, epochs=60)
nll, divergence = held_out(plane)
print(
    f"held-out digits: −log p(x|h) {nll:.2f} + D_KL {divergence:.2f} = {nll + divergence:.2f} nats"
)

# %% [markdown]
# Two latents are a map. Left: where the encoder puts the held-out digits; nobody told it their labels. Right: what
# the decoder makes of the map, at equal steps of probability under the prior.

# %%
left, right = panels(1, 2, size=(11, 5), width_ratios=(1, 1))
x, labels = digits("test")
plotting.latent_scatter(plane.frozen().encode(x)[0], labels, left)
plotting.manifold(plane.frozen().decode, right, n=15)
left

# %% [markdown]
# ## Eight latents: samples, and an edited digit
#
# After training one draws $\mathbf{h} \sim p(\mathbf{h})$ and decodes it. The rows: data, their reconstructions, and samples.

# %%
eight, _ = trained(8)
frozen = eight.frozen()
few = x[:20]
rows = {
    "data": few,
    "reconstruction": frozen.decode(frozen.encode(few)[0]),
    "samples": eight.sample(20, sg.generator(3)),
    "samples, too": eight.sample(20, sg.generator(4)),
}
plotting.image_table(rows)

# %% [markdown]
# The notes say that latents can be edited. The mean latents of two classes differ by a vector. Added to the code of a
# single digit in small steps, it turns this digit, with its own slant and weight, into one of the other class. Below: three digits 4
# become 9, three digits 3 become 8.


# %%
def edited(model, source_class, target_class, n=3):
    """Latents of n held-out digits of one class, and the same plus the difference of classes."""
    codes = model.frozen().encode(digits("train")[0])[0]
    of_train = digits("train")[1]
    shift = codes[of_train == target_class].mean(axis=0) - codes[of_train == source_class].mean(
        axis=0
    )
    start = model.frozen().encode(x[labels == source_class][:n])[0]
    return start, start + shift


pairs = [edited(eight, 4, 9), edited(eight, 3, 8)]
start, end = (np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))
plotting.interpolation(frozen.decode, start, end, steps=10)

# %% [markdown]
# ## The weight β
#
# The cost $-\mathbb{E}_q[\log p(\mathbf{x}|\mathbf{h})] + \beta\, D_{KL}$ is a bound for $\beta = 1$ only. The last column is an estimate of
# the likelihood, from 50 weighted latents for each image (below).

# %%
BETAS = (0.1, 0.5, 1.0, 6.0)


def active(model):
    """The number of latents with more than 0.01 nats."""
    return int((model.kl_of_units(digits("train")[0]) > 0.01).sum())


print(
    f"{'β':>5}{'−log p(x|h)':>14}{'D_KL':>8}{'−ELBO':>9}{'latents in use':>17}{'−log p(x) ≤':>14}"
)
for beta in BETAS:
    model, _ = trained(8, beta)
    nll, divergence = held_out(model)
    likelihood = model.log_likelihood(digits("test")[0], 50, sg.generator(0)).mean()
    told = (
        f"{nll:14.2f}{divergence:8.2f}{nll + divergence:9.2f}{active(model):17}{-likelihood:14.2f}"
    )
    print(f"{beta:5}{told}")

# %% [markdown]
# ## What goes wrong: posterior collapse
#
# A latent that costs more nats than it saves is given up: $q(h_k|\mathbf{x})$ becomes $p(h_k)$ for all $\mathbf{x}$, and its
# $D_{KL}$ is zero. Nothing in the cost looks wrong. One sees it in the divergence of each latent, and in samples: with
# $\beta = 6$ all latents have collapsed, and the decoder shows one image, the mean of the data. A rising $\beta$ at the
# start of the training, or a larger one for fewer latents, are the usual answers;
# [the linear autoencoder](linear_vae.md) shows a collapse that is the exact optimum.

# %%
left, right = panels(1, 2, size=(10, 3.4), width_ratios=(3, 4))
for k, beta in enumerate(BETAS):
    units = np.sort(trained(8, beta)[0].kl_of_units(digits("train")[0]))[::-1]
    left.plot(np.arange(1, 9), np.maximum(units, 1e-5), "o-", color=f"C{k}", label=f"β = {beta:g}")
left.axhline(0.01, color="grey", linestyle="--")
left.set(yscale="log", xlabel="latent, sorted", ylabel="D_KL, nats", title="what each latent holds")
left.legend(frameon=False, fontsize=8)
of_each = {f"β = {beta:g}": trained(8, beta)[0].sample(14, sg.generator(3)) for beta in BETAS}
plotting.image_table(of_each, right)
left

# %% [markdown]
# ## A tighter bound
#
# Average the weights $w_l = p(\mathbf{x}, \mathbf{h}^{(l)})/q(\mathbf{h}^{(l)}|\mathbf{x})$ *before* the logarithm. Since
# $\mathbb{E}_q[w] = p(\mathbf{x})$, Jensen's inequality gives
#
# $$\log p(\mathbf{x}) \geq \mathbb{E} \log \frac1L \sum_{l=1}^L w_l \geq \text{ELBO},$$
#
# and the bound rises with $L$ to $\log p(\mathbf{x})$. It evaluates any VAE. As a cost it makes an IWAE, whose encoder may
# be wider than the posterior, since only the best of its draws need to be good.

# %%
source(VAE.log_likelihood)

# %%
COUNTS = (1, 3, 10, 50)


@functools.cache
def bounds(importance):
    """The importance-weighted bound of held-out digits for each number of latents, nats."""
    model, _ = trained(8, importance=importance)
    return [model.log_likelihood(digits("test")[0], L, sg.generator(1)).mean() for L in COUNTS]


ax = panels(size=(5.6, 3.4))
for name, importance in (("VAE", 1), ("IWAE of 5", 5)):
    print(f"{name:<12}" + "".join(f"{bound:9.2f}" for bound in bounds(importance)))
    ax.plot(COUNTS, bounds(importance), "o-", label=f"trained as {name}")
ax.set(xscale="log", xlabel="L, latents per image", ylabel="held-out bound, nats")
ax.legend(frameon=False)
ax

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the divergence from the prior
# Give the derivatives of $D_{KL}(N(\mu, \sigma^2) \,\|\, N(0, 1))$ with respect to $\mu$ and to $\rho = \log \sigma^2$.
# Where are both zero?


# %%
def slopes_of_kl(mu, rho):
    """∂D_KL/∂μ and ∂D_KL/∂ρ."""
    # your line


def check_slopes(answer):
    def cost(mu, rho):
        return 0.5 * (mu**2 + np.exp(rho) - 1 - rho)

    sg.assert_gradient(cost, answer, 0.8, -0.7)


attempt(check_slopes, slopes_of_kl)


# %% tags=["solution"]
def slopes_of_kl(mu, rho):
    return mu, 0.5 * (np.exp(rho) - 1)  # both are zero at μ = 0 and σ = 1


attempt(check_slopes, slopes_of_kl)

# %% [markdown]
# ### Exercise 2: the other parameter of the encoder
# For $f(h) = \tfrac12 h^2$ and one latent, write both estimates of $\partial\, \mathbb{E}_q[f]/\partial \sigma$ from noise
# `eps`, (n,). *Hint:* $\partial \log q/\partial \sigma = (\epsilon^2 - 1)/\sigma$.


# %%
def estimates_of_sigma(mu, sigma, eps):
    """The reparameterised and the score estimates, (n,) each."""
    # your lines


def check_estimates(answer):
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    weights = weights / weights.sum()
    ours, score = answer(0.7, 0.6, nodes)
    np.testing.assert_allclose(ours, (0.7 + 0.6 * nodes) * nodes, rtol=1e-12)
    np.testing.assert_allclose([weights @ ours, weights @ score], 0.6, rtol=1e-12)


attempt(check_estimates, estimates_of_sigma)


# %% tags=["solution"]
def estimates_of_sigma(mu, sigma, eps):
    h = mu + sigma * eps
    return h * eps, 0.5 * h**2 * (eps**2 - 1) / sigma


attempt(check_estimates, estimates_of_sigma)

# %% [markdown]
# ### Exercise 3: a baseline
# $\mathbb{E}_q[c\, \nabla \log q] = 0$ for a constant $c$. So $(f(\mathbf{h}) - c)\, \epsilon_1/\sigma$ is an estimate of the same
# derivative. Give a $c$ that removes at least four fifths of the variance for 50 latents of the text above.


# %%
def baseline(mu, sigma, D):
    """The constant c."""
    # your line


def check_baseline(answer):
    eps = np.random.default_rng(1).standard_normal((20_000, 50))
    c = answer(MU, SIGMA, 50)
    with_it = score_estimates(eps, lambda h: 0.5 * (h * h).sum(axis=1) - c)
    assert abs(with_it.mean() - MU) < 5 * with_it.std() / math.sqrt(len(eps))
    assert with_it.var() < score_estimates(eps).var() / 5, "the variance is still large"


attempt(check_baseline, baseline)


# %% tags=["solution"]
def baseline(mu, sigma, D):
    return 0.5 * D * (mu**2 + sigma**2)  # the mean of f


attempt(check_baseline, baseline)

# %% [markdown]
# ### Exercise 4: a weight that does not vary
# In the linear example, write $\log p(x, h) - \log q(h|x)$ at a latent `h` for $q = N($`mean`, `variance`$)$. Show
# that it is $\log p(x)$ at *every* $h$ if $q$ is the posterior.


# %%
def log_weight(h, mean, variance, x=X, w=SLOPE, s=NOISE):
    """Log p(x|h) + log p(h) − log q(h|x)."""
    # your line


def check_weight(answer):
    h = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(answer(h, *posterior(X)), evidence, rtol=1e-12)
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    of_prior = weights @ answer(nodes, 0.0, 1.0) / weights.sum()
    np.testing.assert_allclose(of_prior, elbo(0.0, 1.0), rtol=1e-12)


attempt(check_weight, log_weight)


# %% tags=["solution"]
def log_weight(h, mean, variance, x=X, w=SLOPE, s=NOISE):
    return log_normal(x, w * h, s**2) + log_normal(h, 0.0, 1.0) - log_normal(h, mean, variance)


attempt(check_weight, log_weight)

# %% [markdown]
# **Step through** [one observation](traces.md#a-variational-autoencoder), and predict each number.
#
# **Read on:** [The linear autoencoder](linear_vae.md) has an optimum that is known exactly.
# [The hierarchical VAE](hierarchical_vae.md) stacks what this chapter built.
# D. Kingma and M. Welling, "Auto-encoding variational Bayes", arXiv:1312.6114, and "An introduction to variational
# autoencoders", arXiv:1906.02691; Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", arXiv:1509.00519.
