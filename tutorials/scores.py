# %% [markdown]
# # Scores
#
# *The gradient of a log density, learned without the density.* This chapter follows the notes' "Energy models" and
# "Score-based models", and their list of what diffusion models allow.
#
# The *score* of a density is $s(x) = \nabla_x \log p(x)$. For $p = e^{-E}/Z$ it is $-\nabla E$: the partition function
# has gone. Langevin dynamics needs nothing else to sample,
#
# $$x \leftarrow x + \alpha\, s(x) + \sqrt{2\alpha}\; z, \qquad z \sim N(0, I).$$

# %%
import functools
import itertools
import math

import numpy as np

import scratchgen as sg
from scratchgen import optim
from scratchgen.datasets import toys
from scratchgen.learning import attempt, panels, source
from scratchgen.models import DDPM, DenseDenoiser
from scratchgen.models.diffusion import likelihood, noising
from scratchgen.models.diffusion.score import ScoreModel, annealing_step, geometric_ladder

# %% [markdown]
# ## Score matching
#
# One would like to minimise $\tfrac12 \mathbb{E} \| s_\theta(x) - \nabla \log p(x) \|^2$. The density $p$ of the data
# is unknown. But the mixed term can be integrated by parts, in each direction:
#
# $$-\mathbb{E}\, s_\theta \cdot \nabla \log p = -\int s_\theta \cdot \nabla p\; dx = \int p\; \nabla \cdot s_\theta\; dx
# = \mathbb{E}\, \nabla \cdot s_\theta .$$
#
# So, up to a constant that does not depend on $\theta$, the cost is (Hyvärinen 2005)
#
# $$C(\theta) = \mathbb{E} \bigl[ \tfrac12 \| s_\theta(x) \|^2 + \nabla \cdot s_\theta(x) \bigr],$$
#
# an average over data. Try it on the score of a Gaussian, $s(x) = -\lambda (x - \mu)$, with one dimension. Its
# derivative in $x$ is $-\lambda$. The minimum is at the mean of the data, and $\lambda$ is one over their variance.


# %%
def score_matching(mu, lam, x):
    """mean [½ s² + s′] of s = −λ (x − μ)."""
    return (0.5 * lam**2 * (x - mu) ** 2 - lam).mean()


data = 0.7 + 0.5 * sg.generator(0).standard_normal(2000)
mu, lam = data.mean(), 1 / data.var()
slopes = sg.grad(score_matching, (0, 1))(mu, lam, data)
print(
    f"at μ = {mu:.4f} and λ = {lam:.4f} both slopes are 0: {float(slopes[0]):.1e}, {float(slopes[1]):.1e}"
)

# %% [markdown]
# The divergence $\nabla \cdot s_\theta$ takes one backward sweep for each dimension. For images this is too much.
#
# ## Denoising score matching
#
# Add noise, $\tilde x = x + \sigma z$. The density of $\tilde x$ is $p_\sigma(\tilde x) = \int p(x) N(\tilde x; x, \sigma^2 I)\, dx$.
# Differentiate it under the integral:
#
# $$\nabla \log p_\sigma(\tilde x)
# = \frac{\int p(x)\, N(\tilde x; x, \sigma^2 I)\; \tfrac{x - \tilde x}{\sigma^2}\, dx}{p_\sigma(\tilde x)}
# = \mathbb{E}\Bigl[ \frac{x - \tilde x}{\sigma^2} \Big| \tilde x \Bigr] = \mathbb{E}\Bigl[ -\frac{z}{\sigma} \Big| \tilde x \Bigr].$$
#
# The score is a conditional mean, and a conditional mean is the least-squares prediction. So it is enough to predict
# $-z/\sigma$ from $\tilde x$ (Vincent 2011). Solved for the mean of $x$, the same equation is *Tweedie's formula*:
#
# $$\mathbb{E}[x | \tilde x] = \tilde x + \sigma^2\, \nabla \log p_\sigma(\tilde x) .$$

# %%
source(ScoreModel.errors)

# %% [markdown]
# Tweedie's formula on the ring of eight Gaussians, by a sum over the data against the closed form of the score.

# %%
points, _ = toys.toy2d("ring", 200_000, sg.generator(1))


def denoised_by_hand(x, sigma):
    """E[x₀|x̃ = x], a mean over 200,000 draws of the data, weighted by the noise."""
    log_w = -((points - x) ** 2).sum(axis=1) / (2 * sigma**2)
    w = np.exp(log_w - log_w.max())
    return w @ points / w.sum()


for x in ([0.5, 0.2], [1.8, 1.0], [-3.0, 0.5]):
    x, sigma = np.array(x), 0.8
    tweedie = x + sigma**2 * toys.ring_score(x[None], sigma)[0]
    print(f"x̃ = {x}: by draws {denoised_by_hand(x, sigma).round(3)}, by Tweedie {tweedie.round(3)}")

# %% [markdown]
# ## Many levels of noise
#
# A chain that starts far from the data finds a score there only if training saw points there. And where two modes are
# apart, the score near one knows nothing of the other: the share of each mode is lost. Noise cures both. At a large
# $\sigma$ it fills the space, and joins the modes; at a small one it hardly changes the data. A *ladder*
# $\sigma_1 > \dots > \sigma_L$ leads down.

# %%
LADDER = geometric_ladder(3.0, 0.1, 10)
axes = panels(1, 3, size=(9.6, 3.5), sharey=True)
wide, grid = np.linspace(-3.4, 3.4, 15), np.linspace(-3.4, 3.4, 140)
fine = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
coarse = np.stack(np.meshgrid(wide, wide), axis=-1).reshape(-1, 2)


def density(x, sigma):
    """p_σ of the ring."""
    v = toys.SPREAD**2 + sigma**2
    squares = ((x[:, None] - toys.ring_modes()) ** 2).sum(axis=2)
    return np.exp(-0.5 * squares / v).mean(axis=1) / (2 * math.pi * v)


for ax, sigma in zip(axes, (1.5, 0.6, 0.1), strict=True):
    ax.contourf(grid, grid, density(fine, sigma).reshape(140, 140), levels=14, cmap="Blues")
    s = toys.ring_score(coarse, sigma)
    s /= np.linalg.norm(s, axis=1, keepdims=True) ** 0.5
    ax.quiver(*coarse.T, *s.T, color="0.3", width=0.004)
    ax.set(title=f"σ = {sigma}: density, and score", aspect="equal")
axes[0]

# %% [markdown]
# *Annealed Langevin dynamics* takes some steps at each level, with $\alpha_i = \varepsilon\, (\sigma_i/\sigma_L)^2$,
# and at the end one step of Tweedie.

# %%
source(ScoreModel.anneal)

# %% [markdown]
# Two modes tell what it is good for: $p = 0.8\, N(-2, 0.3^2) + 0.2\, N(2, 0.3^2)$. Both chains have the exact score.
# Both begin at $N(0, \sigma_1^2)$ and take as many steps.

# %%
SHARES, CENTRES, WIDTH = np.array([0.8, 0.2]), np.array([-2.0, 2.0]), 0.3
SPREAD = 1.6


def two_modes(x, sigma):
    """∇ log p_σ of the mixture at x: (n, 1)."""
    v = WIDTH**2 + sigma**2
    log_w = np.log(SHARES) - 0.5 * (x - CENTRES) ** 2 / v
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return ((w / w.sum(axis=1, keepdims=True)) * (CENTRES - x)).sum(axis=1, keepdims=True) / v


def of_ladder(score, shape, ladder=LADDER, spread=SPREAD):
    """The ScoreModel whose network knows ``score(x, σ)``."""

    def network(x, tau):
        largest, smallest = math.log(ladder[0]), math.log(ladder[-1])
        sigma = np.exp(smallest + tau * (largest - smallest)).reshape(-1, 1)
        return sigma * score(x * np.sqrt(sigma**2 + spread**2), sigma)

    return ScoreModel(network, shape, ladder, spread)


def chains(n=4000, steps=60):
    """Ends of annealed and of plain Langevin dynamics: (n, 1) each."""
    model, rng = of_ladder(two_modes, (1,)), sg.generator(2)
    start = LADDER[0] * rng.standard_normal((n, 1))
    *_, (_, annealed) = model.anneal(start, rng, steps, epsilon=1e-3)
    x, alpha = start, 0.3 * WIDTH**2
    for _ in range(steps * len(LADDER)):
        x = x + alpha * two_modes(x, 0.0) + math.sqrt(2 * alpha) * rng.standard_normal(x.shape)
    return annealed, x


annealed, plain = chains()
shares = {name: float((x < 0).mean()) for name, x in (("annealed", annealed), ("plain", plain))}
for name, share in shares.items():
    print(f"{name:<9} Langevin dynamics: {share:.3f} left of 0; the data have 0.8")

# %%
left, right = panels(1, 2, size=(9.6, 3.2), sharey=True)
line = np.linspace(-4, 4, 400)
exact = (SHARES * np.exp(-0.5 * ((line[:, None] - CENTRES) / WIDTH) ** 2)).sum(axis=1) / (
    WIDTH * math.sqrt(2 * math.pi)
)
for ax, x, name in ((left, annealed, "annealed"), (right, plain, "at one level")):
    ax.hist(x[:, 0], bins=80, range=(-4, 4), density=True, color="C3", alpha=0.5, label="chains")
    ax.plot(line, exact, "k", linewidth=1, label="p")
    ax.set(title=f"Langevin dynamics, {name}", xlabel="x")
left.legend(frameon=False)
left

# %% [markdown]
# ## A learned score
#
# The network of the library predicts $\sigma s$, which has the size 1 at every level. For the ring the lowest possible
# cost is known at each level, $\tfrac12 (D - \sigma^2 \mathbb{E} \| \nabla \log p_\sigma \|^2)$.

# %%
EPOCHS, RATE = 80, 1e-2


@functools.cache
def trained():
    """A score model of the ring."""
    rng = sg.generator(0)
    x, _ = toys.toy2d("ring", 3000, rng)
    network = DenseDenoiser(2, (64, 64), rng=rng)
    network.layers.layers[
        0
    ].weight.data *= 8  # so that the first layer tells one mode from the next
    model = ScoreModel(network, (2,), LADDER, SPREAD)
    adam, falling = optim.Adam(model.parameters(), RATE), optim.schedules.Cosine(EPOCHS)
    for epoch in sg.train(model, x, adam, epochs=EPOCHS, batch_size=250, rng=rng):
        adam.lr = RATE * falling(epoch.number)
    return model.frozen()


@functools.cache
def costs_by_level(n=4000):
    """For each σ: the cost of the network, and of the exact score, at the same draws: (L, 2)."""
    x, _ = toys.toy2d("ring", n, sg.generator(3))
    z = sg.generator(4).standard_normal(x.shape, dtype=np.float32)
    models = trained(), of_ladder(lambda x, sigma: toys.ring_score(x, float(sigma[0, 0])), (2,))
    return np.array([[float(m.errors(x, sigma, z).mean()) for m in models] for sigma in LADDER])


left, right = panels(1, 2, size=(9.6, 3.9))
costs = costs_by_level()
left.plot(LADDER, costs[:, 0], "C3o", markersize=4, label="network")
left.plot(LADDER, costs[:, 1], "k", linewidth=1, label="least possible")
left.set(xscale="log", xlabel="σ", ylabel="½ mean ‖σ s + z‖²", title="cost of each level")
left.legend(frameon=False)
samples = trained().sample(1500, sg.generator(5), steps=20)
right.contourf(grid, grid, density(fine, 0.0).reshape(140, 140), levels=14, cmap="Blues")
right.plot(*samples.T, ".", color="C3", markersize=1.5)
right.set(title="annealed samples", xlim=(-3.4, 3.4), ylim=(-3.4, 3.4), aspect="equal")
left

# %% [markdown]
# ## A diffusion model is a score model
#
# The noise of $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon$ has the deviation
# $\sqrt{1 - \bar\alpha_t}$. The same derivation as above gives
#
# $$\nabla \log p_t(x_t) = -\frac{\mathbb{E}[\epsilon | x_t]}{\sqrt{1 - \bar\alpha_t}} .$$
#
# The network of a DDPM predicts the score, up to a factor. Divided by $\sqrt{\bar\alpha_t}$, $x_t$ is data with noise of
# $\sigma = \sqrt{(1 - \bar\alpha_t)/\bar\alpha_t}$.

# %%
source(noising.Noising.score)

# %% [markdown]
# ## The likelihood, by a flow
#
# If the score is known at every level, a differential equation without noise moves $x$ through the same densities,
#
# $$\frac{dx}{dt} = -\tfrac12 \beta(t) \bigl[ x + s(x, t) \bigr], \qquad
# \frac{d}{dt} \log p_t(x(t)) = -\nabla \cdot \frac{dx}{dt} .$$
#
# Follow it from $x_0$ to the noise, where the density is known, and add what the divergence has changed. This is the
# probability of a sample, one of the features that the notes list. For Gaussian data it must be $\log N(x_0; m, s^2)$.

# %%
source(likelihood.flow_log_likelihood)

# %%
MEAN, DEVIATION = 0.7, 0.5


def exact_ddpm(T=300):
    """The DDPM of N(0.7, ½²), whose predictor is E[ε|x_t] at all times, also between steps."""

    def noise(x, time):
        a, b = continued.exact_scales(time * T, x)
        return b * (x - a * MEAN) / (a**2 * DEVIATION**2 + b**2)

    model = DDPM(noise, (1,), T, "cosine")
    continued = noising.Continued(model.noising)
    return model


def log_density(x):
    """log N(x; m, s²)."""
    return -0.5 * ((x - MEAN) / DEVIATION) ** 2 - 0.5 * math.log(2 * math.pi * DEVIATION**2)


x0 = np.array([[-0.5], [0.2], [0.7], [1.5]])
by_flow = exact_ddpm().flow_log_likelihood(x0)
for x, found in zip(x0[:, 0], by_flow, strict=True):
    print(f"log p({x:4}) = {found:.6f} by the flow, {log_density(x):.6f} exactly")

# %% [markdown]
# ## What goes wrong
#
# - **One level of noise.** The shares of the modes depend on the start (the right histogram above).
# - **Steps that are too long.** Langevin dynamics diverges where $\alpha$ exceeds twice the smallest variance.
# - **Steps that are too short for the ladder.** The chain does not arrive at a level before the next begins.
#   `annealing_step` chooses $\varepsilon$ so that it does.
# - **The last noise.** Without the final step of Tweedie the samples keep the noise of $\sigma_L$.

# %%
for steps in (5, 30, 100):
    print(f"{steps:4} steps a level: ε = {annealing_step(list(LADDER), steps):.5f}")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the score of a noisy Gaussian
# The data are $N(m, s^2)$, with noise of size $\sigma$. What is the score of $p_\sigma$?


# %%
def score_of_gaussian(x, m, s, sigma):
    """∇ log p_σ(x)."""
    # your line


def check_score(answer):
    x = np.linspace(-2, 2, 5)
    v = 0.5**2 + 0.3**2
    sg.assert_gradient(
        lambda x: -0.5 * ((x - 0.7) ** 2).sum() / v, lambda x: answer(x, 0.7, 0.5, 0.3), x
    )


attempt(check_score, score_of_gaussian)


# %% tags=["solution"]
def score_of_gaussian(x, m, s, sigma):
    return (m - x) / (s**2 + sigma**2)


attempt(check_score, score_of_gaussian)

# %% [markdown]
# ### Exercise 2: denoise
# Use Tweedie's formula to give the mean of $x_0$ under $x_t$, in a diffusion model whose score at $t$ is known.
# (Divide by $\sqrt{\bar\alpha_t}$ at the end.)


# %%
def mean_of_data(xt, score, alpha_bar):
    """E[x₀|x_t]."""
    # your line


def check_tweedie(answer):
    left, xt = 0.4, np.array([-1.0, 0.3, 2.0])
    v = left * DEVIATION**2 + 1 - left
    score = (math.sqrt(left) * MEAN - xt) / v
    gain = math.sqrt(left) * DEVIATION**2 / v
    np.testing.assert_allclose(answer(xt, score, left), MEAN + gain * (xt - math.sqrt(left) * MEAN))


attempt(check_tweedie, mean_of_data)


# %% tags=["solution"]
def mean_of_data(xt, score, alpha_bar):
    return (xt + (1 - alpha_bar) * score) / np.sqrt(alpha_bar)


attempt(check_tweedie, mean_of_data)

# %% [markdown]
# ### Exercise 3: denoising score matching of a Gaussian
# Fit $s(x) = -\lambda (x - \mu)$ to data of variance $s^2$ with noise $\sigma$, by the cost
# $\tfrac12 \mathbb{E} (\sigma s(\tilde x) + z)^2$. Which $\lambda$ is the best?


# %%
def best_lambda(s, sigma):
    """λ."""
    # your line


def denoising_cost(lam, s, sigma):
    """½ E (σ s(x̃) + z)², with x̃ − μ of variance s² + σ²."""
    return 0.5 * ((1 - sigma**2 * lam) ** 2 + sigma**2 * lam**2 * s**2)


def check_lambda(answer):
    for s, sigma in ((0.5, 0.3), (1.0, 2.0)):
        less, at, more = (denoising_cost(answer(s, sigma) * k, s, sigma) for k in (0.999, 1, 1.001))
        assert at < min(less, more), "a neighbouring λ costs less"


attempt(check_lambda, best_lambda)


# %% tags=["solution"]
def best_lambda(s, sigma):
    return 1 / (s**2 + sigma**2)


attempt(check_lambda, best_lambda)

# %% [markdown]
# ### Exercise 4: a flow by hand
# In the ladder, $x$ follows $dx/d\sigma = -\sigma\, s(x, \sigma)$. For data $N(0, s^2)$, where is a point at $\sigma = 0$
# that was at $x$ at the level $\sigma$?


# %%
def end_of_the_flow(x, s, sigma):
    """x at σ = 0."""
    # your line


def check_flow(answer):
    x = 1.7
    for sigma, following in itertools.pairwise(np.linspace(2.0, 0.0, 20_001)):
        middle = (sigma + following) / 2
        x += (following - sigma) * middle * x / (0.6**2 + middle**2)
    assert abs(answer(1.7, 0.6, 2.0) - x) < 1e-3


attempt(check_flow, end_of_the_flow)


# %% tags=["solution"]
def end_of_the_flow(x, s, sigma):
    return x * s / math.sqrt(s**2 + sigma**2)  # it keeps its place in units of the deviation


attempt(check_flow, end_of_the_flow)

# %% [markdown]
# **Read on:** [Conditions](conditions.md) adds the score of a likelihood. [Denoising
# diffusion](denoising_diffusion.md) has the chain that is trained by the same cost.
