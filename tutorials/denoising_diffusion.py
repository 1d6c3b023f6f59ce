# %% [markdown]
# # Denoising diffusion
#
# *Images from noise, one small step at a time.* This chapter follows the sections "Denoising diffusion
# probabilistic models (DDPMs)" to "Sampling (Reverse Diffusion)" of the notes.
#
# The forward process is fixed. In $T$ steps it shrinks $x_0$ a little, and adds a little noise,
#
# $$q(x_t | x_{t-1}) = N(\sqrt{\alpha_t}\, x_{t-1}, \beta_t I), \qquad \alpha_t = 1 - \beta_t .$$
#
# Several steps compose to a single one. With $\bar\alpha_t = \alpha_0 \alpha_1 \cdots \alpha_t$ and
# $\epsilon \sim N(0, I)$,
#
# $$q(x_t | x_0) = N(\sqrt{\bar\alpha_t}\, x_0, (1 - \bar\alpha_t) I), \qquad
# x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon .$$
#
# [From a hierarchy to diffusion](from_hierarchy_to_diffusion.md) derives this. Time is counted from 0, as in the
# notes' code. The data themselves stand at $t = -1$, where $\bar\alpha = 1$.

# %%
import functools
import math
import warnings

import numpy as np

import scratchgen as sg
from scratchgen import metrics, optim
from scratchgen.datasets import toys
from scratchgen.learning import attempt, panels, source
from scratchgen.models import DDPM, PlainDenoiser, UNet
from scratchgen.models.diffusion import denoisers, noising

# %%
source(noising.Noising.q_sample)

# %% [markdown]
# ## Two schedules
#
# The *linear* schedule lets $\beta_t$ rise from $10^{-4}$ to 0.02, whatever $T$ is. The *cosine* schedule chooses
# $\bar\alpha_t$ itself, close to $\cos^2(\tfrac{\pi}{2} \tfrac{t}{T})$. The chain back begins at $N(0, I)$, so
# $\bar\alpha_{T-1}$ should be close to 0.

# %%
left, right = panels(1, 2, size=(9.6, 3.4))
for name, T, style in (("linear", 1000, "C0"), ("linear", 300, "C0--"), ("cosine", 300, "C3")):
    steps = noising.Steps(noising.SCHEDULES[name](T))
    time = np.arange(T) / T
    left.plot(time, steps.alpha_bar, style, label=f"{name}, T = {T}")
    right.plot(time, np.log10(steps.alpha_bar / (1 - steps.alpha_bar)), style)
    print(f"{name:<7} T = {T:<5} the last ᾱ is {steps.alpha_bar[-1]:.2e}")
left.set(xlabel="t/T", ylabel=r"$\bar\alpha_t$", title="signal that remains")
left.legend(frameon=False)
right.set(
    xlabel="t/T",
    title=r"$\log_{10}$ of signal to noise, $\bar\alpha/(1 - \bar\alpha)$",
    ylim=(-6, 4),
)
left

# %% [markdown]
# The dashed curve is the one of the notes, $T = 300$. It ends with 4.8 % of the variance of the data
# ([E13](errata.md#e13)).
#
# ## One step back
#
# If $x_0$ is known, Bayes' rule gives the step back. All three factors are Gaussian,
#
# $$q(x_{t-1} | x_t, x_0) \propto q(x_t | x_{t-1})\, q(x_{t-1} | x_0)
# \propto \exp\Bigl[ -\frac{(x_t - \sqrt{\alpha_t}\, x_{t-1})^2}{2 \beta_t}
# - \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\, x_0)^2}{2 (1 - \bar\alpha_{t-1})} \Bigr].$$
#
# The exponent is a polynomial of second degree in $x_{t-1}$. The factor of $-\tfrac12 x_{t-1}^2$ is the inverse of
# the variance, and $\beta_t + \alpha_t (1 - \bar\alpha_{t-1}) = 1 - \bar\alpha_t$:
#
# $$\frac{1}{\tilde\beta_t} = \frac{\alpha_t}{\beta_t} + \frac{1}{1 - \bar\alpha_{t-1}}
# \quad\Rightarrow\quad \tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t}\, \beta_t .$$
#
# The factor of $x_{t-1}$, times this variance, is the mean:
#
# $$\tilde\mu_t = \frac{\sqrt{\alpha_t}\,(1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}\, x_t
# + \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1 - \bar\alpha_t}\, x_0 .$$
#
# The library has both for any two times, with $a_{t|s} = a_t / a_s$ and $b^2_{t|s} = b_t^2 - a_{t|s}^2 b_s^2$ in
# the place of $\sqrt{\alpha_t}$ and $\beta_t$.

# %%
source(noising.Noising.posterior)


# %%
def by_bayes(steps, x0, xt, t):
    """Mean and variance of q(x_{t−1}|x_t, x₀), by a sum over a grid of x_{t−1}."""
    x = np.linspace(-10, 10, 200_001)
    before = steps.alpha_bar[t - 1]
    log_p = -((xt - math.sqrt(steps.alpha[t]) * x) ** 2) / (2 * steps.beta[t])
    log_p -= (x - math.sqrt(before) * x0) ** 2 / (2 * (1 - before))
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    return (p * x).sum(), (p * (x - (p * x).sum()) ** 2).sum()


steps = noising.Steps(noising.cosine_schedule(100))
for t in (1, 50, 98):
    mean, variance = steps.posterior(np.array([[0.8]]), np.array([[-0.3]]), t - 1, t)
    on_grid = by_bayes(steps, 0.8, -0.3, t)
    print(f"t = {t:<3} μ̃ {mean.item():.8f} and {on_grid[0]:.8f}   ", end="")
    print(f"β̃ {variance.item():.8f} and {on_grid[1]:.8f}")

# %% [markdown]
# ## What the network predicts
#
# The chain does not know $x_0$. A network looks at $x_t$ and $t$, and predicts. Three predictions carry the same
# information. Write $\sqrt{\bar\alpha_t} = \cos\varphi$ and $\sqrt{1 - \bar\alpha_t} = \sin\varphi$. Then
# $x_t$ is $(x_0, \epsilon)$ turned by the angle $\varphi$, and the *velocity* is its derivative,
#
# $$x_t = \cos\varphi\; x_0 + \sin\varphi\; \epsilon, \qquad
# v = \frac{dx_t}{d\varphi} = \cos\varphi\; \epsilon - \sin\varphi\; x_0 .$$
#
# | predicted | $\hat x_0$ | $\hat\epsilon$ | an error of size 1 makes in $\hat x_0$ an error of |
# |---|---|---|---|
# | $\hat\epsilon$ | $(x_t - \sqrt{1 - \bar\alpha_t}\,\hat\epsilon)/\sqrt{\bar\alpha_t}$ | | $\tan\varphi$, without bound where $\bar\alpha_t \to 0$ |
# | $\hat x_0$ | | $(x_t - \sqrt{\bar\alpha_t}\, \hat x_0)/\sqrt{1 - \bar\alpha_t}$ | 1 |
# | $\hat v$ | $\sqrt{\bar\alpha_t}\, x_t - \sqrt{1 - \bar\alpha_t}\, \hat v$ | $\sqrt{1 - \bar\alpha_t}\, x_t + \sqrt{\bar\alpha_t}\, \hat v$ | $\sin\varphi \le 1$ |
#
# Put $\hat x_0$ of the first row into $\tilde\mu_t$. The two terms of $x_t$ combine, and the mean of the step back
# becomes
#
# $$\mu_t = \frac{1}{\sqrt{\alpha_t}} \Bigl( x_t - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, \hat\epsilon(x_t, t) \Bigr),
# \qquad p(x_{t-1} | x_t) = N(\mu_t, \sigma_t^2 I) .$$

# %%
source(DDPM.p_sample)

# %% [markdown]
# The training cost is a mean squared error, at one random time and one draw of the noise for each sample.

# %%
source(DDPM.errors)

# %% [markdown]
# ## Data for which everything is known
#
# Let $x_0 \sim N(m, s^2)$. Then $x_t \sim N(\sqrt{\bar\alpha_t}\, m, V_t)$ with
# $V_t = \bar\alpha_t s^2 + 1 - \bar\alpha_t$, and the best prediction of the noise is linear,
#
# $$\mathbb{E}[\epsilon | x_t] = \sqrt{1 - \bar\alpha_t}\; \frac{x_t - \sqrt{\bar\alpha_t}\, m}{V_t} .$$
#
# With this predictor the chain is a sequence of linear maps $x_s = A x_t + c + \sigma z$. The mean and the variance
# at each time follow without a single draw: $W_s = A^2 W_t + \sigma^2$. They should be those of $x_s$.

# %%
MEAN, DEVIATION = 0.7, 0.5


def exact(T, variance="beta", schedule="cosine"):
    """The DDPM whose ε̂(x_t) is E[ε|x_t] for the data N(m, s²)."""

    def noise(x, time):
        left = model.alpha_bar[np.rint(time * T).astype(int)].reshape(-1, 1)
        of_xt = left * DEVIATION**2 + 1 - left
        return np.sqrt(1 - left) * (x - np.sqrt(left) * MEAN) / of_xt

    model = DDPM(noise, (1,), T, schedule, variance)
    return model


def chain_back(model, steps=None, eta=None):
    """(time, mean, variance) of the states of the chain from N(0, 1): exact, by its linear maps."""
    ddim = steps is not None
    times = model.noising.timesteps(steps if ddim else model.T)
    mean, variance = 0.0, 1.0
    states = [(times[0], mean, variance)]
    two = np.array([[0.0], [1.0]])
    for t, s in zip(times, [*times[1:], -1], strict=True):
        if ddim:
            moved, added = model.p_sample_ddim(two, t, s), 0.0
        else:
            moved, added = model.p_sample(two, t), model.sigma[t] ** 2
        c, A = moved[0, 0], moved[1, 0] - moved[0, 0]
        mean, variance = A * mean + c, A * A * variance + added
        states.append((s, mean, variance))
    return np.array(states)


def of_forward(model, t):
    """Mean and variance of x_t."""
    left = np.append(model.alpha_bar, 1.0)[t]
    return np.sqrt(left) * MEAN, left * DEVIATION**2 + 1 - left


print(f"the data have the mean {MEAN} and the standard deviation {DEVIATION}; the chain gives")
print(f"{'steps':>6}{'mean':>9}{'σ² = β':>10}{'σ² = β̃':>10}{'DDIM, η = 0':>14}")
for T in (5, 10, 30, 100, 300, 1000):
    ends = chain_back(exact(T)), chain_back(exact(T, "posterior")), chain_back(exact(T), T)
    deviations = [math.sqrt(end[-1, 2]) for end in ends]
    print(
        f"{T:6}{ends[0][-1, 1]:9.4f}{deviations[0]:10.4f}{deviations[1]:10.4f}{deviations[2]:14.4f}"
    )

# %%
left, right = panels(1, 2, size=(9.6, 3.6))
model = exact(300)
times = np.arange(-1, 300)
mean, variance = of_forward(model, times)
left.fill_between(
    times,
    mean - np.sqrt(variance),
    mean + np.sqrt(variance),
    color="0.87",
    label="of $x_t$, forward",
)
left.plot(times, mean, color="0.5")
back = chain_back(model)
for sign in (-1, 1):
    left.plot(
        back[:, 0],
        back[:, 1] + sign * np.sqrt(back[:, 2]),
        "C3--",
        label="of the chain back" if sign > 0 else None,
    )
left.set(xlabel="t", title="mean ± one deviation, T = 300")
left.legend(frameon=False)
counts = np.array([3, 5, 10, 20, 50, 100, 200, 500])
for label, style, of in (
    ("σ² = β", "C0o-", lambda T: chain_back(exact(T))),
    ("σ² = β̃", "C2o-", lambda T: chain_back(exact(T, "posterior"))),
    ("DDIM", "C3o-", lambda T: chain_back(exact(T), int(T))),
):
    right.plot(counts, [math.sqrt(of(T)[-1, 2]) for T in counts], style, markersize=4, label=label)
right.axhline(DEVIATION, color="0.5", linestyle="--", label="the data")
right.set(xscale="log", xlabel="T", title="standard deviation of the result", ylim=(0, None))
right.legend(frameon=False)
left

# %% [markdown]
# The exact predictor reproduces every marginal as $T \to \infty$. With few steps it does not, however good the
# network is. The variance $\beta_t$ is right for data $N(0, I)$, and here a little too wide; $\tilde\beta_t$ is right
# for data of a single point, and here too narrow. DDIM is too narrow as well: its straight steps cut the corners of a
# curved path.
#
# ## Eight Gaussians, learned
#
# A small dense network learns the ring in the plane. It predicts $v$; a second network predicts $\epsilon$.

# %%
SCALE, T, EPOCHS, RATE = 1.4, 100, 80, 1e-2  # the ring, divided by SCALE, has a variance of about 1
MODES = toys.ring_modes() / SCALE


def ring(n, seed):
    """n points of the ring, scaled."""
    return toys.toy2d("ring", n, sg.generator(seed))[0] / np.float32(SCALE)


@functools.cache
def trained(predicts="velocity"):
    """The model, and the mean cost of each epoch."""
    rng = sg.generator(0)
    network = denoisers.TimedMLP(2, 64, 2, rng=rng)
    network.into.weight.data *= 8  # so that the first layer tells one mode from the next
    model = DDPM(network, (2,), T, "cosine", "posterior", predicts)
    adam, falling, costs = optim.Adam(model.parameters(), RATE), optim.schedules.Cosine(EPOCHS), []
    for epoch in sg.train(model, ring(6000, 0), adam, epochs=EPOCHS, batch_size=300, rng=rng):
        adam.lr = RATE * falling(epoch.number)
        costs.append(epoch.costs[0])
    return model, costs


def best_noise(xt, t):
    """E[ε|x_t] = −√(1 − ᾱ_t) ∇ log p(x_t) of the ring, in closed form."""
    left = trained()[0].alpha_bar[t]
    x, sigma = SCALE * xt / math.sqrt(left), SCALE * math.sqrt((1 - left) / left)
    return -math.sqrt(1 - left) * toys.ring_score(x, sigma) * SCALE / math.sqrt(left)


def costs_of_times(times, n=1500):
    """The mean of (ε − ε̂)² at each time: of the best predictor, and of both networks."""
    x0, eps = ring(n, 11), sg.generator(12).standard_normal((n, 2), dtype=np.float32)
    found = []
    for t in times:
        xt = trained()[0].q_sample(x0, t, eps)
        guesses = (
            best_noise(xt, t),
            *(trained(of)[0].predict(xt, t)[1] for of in ("velocity", "noise")),
        )
        found.append([float(((guess - eps) ** 2).mean()) for guess in guesses])
    return np.array(found)


# %%
model, _ = trained()
shown = (99, 75, 50, 25, -1)
axes = panels(2, 5, size=(9.6, 4.1), sharex=True, sharey=True)
x0, eps = ring(800, 3), sg.generator(4).standard_normal((800, 2), dtype=np.float32)
chain = dict(
    model.denoise(sg.generator(5).standard_normal((800, 2), dtype=np.float32), sg.generator(6))
)
for column, t in zip(axes.T, shown, strict=True):
    forward = x0 if t < 0 else model.q_sample(x0, t, eps)
    for ax, points, colour in zip(column, (forward, chain[t]), ("0.5", "C3"), strict=True):
        ax.plot(*points.T, ".", color=colour, markersize=1.5)
        ax.set(xlim=(-2.8, 2.8), ylim=(-2.8, 2.8), aspect="equal")
    column[0].set_title("data" if t < 0 else f"t = {t}")
axes[0, 0].set_ylabel("noised")
axes[1, 0].set_ylabel("the chain back")
axes[0, 0]

# %% [markdown]
# How well has it learned? For the ring, $\mathbb{E}[\epsilon | x_t]$ has a closed form, so the least possible cost at
# each $t$ is known. No network gets below the black line. It is large at small $t$, where the noise is small and
# nobody can tell it from the spread of the data.

# %%
left, right = panels(1, 2, size=(9.6, 3.5))
times = np.arange(0, T, 3)
costs = costs_of_times(times)
for column, label, style in zip(costs.T, ("the best", "v̂", "ε̂"), ("k", "C3", "C0"), strict=True):
    left.plot(times, column, style, linewidth=1.2, label=label)
    error = column - costs[:, 0]
    if label != "the best":
        left_share = trained()[0].alpha_bar[times]
        right.plot(
            times,
            np.sqrt(np.maximum(error, 1e-9) * (1 - left_share) / left_share),
            style,
            label=label,
        )
left.set(xlabel="t", ylabel="mean (ε − ε̂)²", title="cost, and the least possible")
left.legend(frameon=False)
right.set(xlabel="t", yscale="log", title=r"excess error, as one of $\hat x_0$")
right.legend(frameon=False)
left

# %% [markdown]
# ## Fewer steps: DDIM
#
# The cost only knows $q(x_t | x_0)$, not the steps between. Other chains have the same $q(x_t | x_0)$. The one of
# DDIM goes from $t$ to any earlier $s$ by the same angle for all, without noise ($\eta = 0$):
#
# $$x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1 - \bar\alpha_s}\, \hat\epsilon .$$

# %%
source(DDPM.p_sample_ddim)


# %%
def near(points):
    """The share of points within three standard deviations of a mode."""
    distances = np.linalg.norm(points[:, None] - MODES, axis=2).min(axis=1)
    return float((distances <= 3 * toys.SPREAD / SCALE).mean())


@functools.cache
def judged(predicts, steps):
    """MMD² of 1,000 samples from the ring, and the share near a mode; None: ancestral steps."""
    samples = trained(predicts)[0].sample(1000, sg.generator(1), steps)
    return metrics.mmd2_unbiased(samples, ring(1000, 8)), near(samples)


floor = metrics.mmd2_unbiased(ring(1000, 9), ring(1000, 8))
print(f"the ring itself: MMD² {floor:.4f}, near a mode {near(ring(1000, 9)):.3f}\n")
print(f"{'':<16}{'MMD², v̂':>12}{'near':>8}{'MMD², ε̂':>14}{'near':>8}")
for steps in (3, 10, 30, 100, None):
    (of_v, near_v), (of_eps, near_eps) = (judged(of, steps) for of in ("velocity", "noise"))
    name = f"DDIM {steps}" if steps else f"ancestral {T}"
    print(f"{name:<16}{of_v:12.4f}{near_v:8.3f}{of_eps:14.4f}{near_eps:8.3f}")
last = model.alpha_bar[-1]
print(f"\nat the first time ᾱ = {last:.1e}, and tan φ = {math.sqrt((1 - last) / last):.0f}")

# %% [markdown]
# Ten steps are enough for the network that predicts $v$. The one that predicts $\epsilon$ fails, although its cost is
# as low: at the first time $\hat x_0$ has the error of $\hat\epsilon$ times $\tan\varphi$, as the right picture above
# shows. The ancestral chain forgives, since its later steps correct. The
# usual cure for images is to clip $\hat x_0$ to $[-1, 1]$ at each step (`clip=(-1, 1)`).

# %%
left, right = panels(1, 2, size=(9.6, 4.6))
start = sg.generator(21).standard_normal((7, 2), dtype=np.float32)
grid = np.linspace(-2.6, 2.6, 120)
points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
density = np.exp(toys.log_density("ring", SCALE * points)).reshape(120, 120)
for ax, title, steps in ((left, "ancestral, 100 steps", None), (right, "DDIM, 100 steps", 100)):
    ax.contourf(grid, grid, density, levels=12, cmap="Greys", alpha=0.6)
    paths = np.array([x for _, x in model.denoise(start, sg.generator(2), steps)])
    for path, colour in zip(paths.transpose(1, 0, 2), [f"C{k}" for k in range(7)], strict=True):
        ax.plot(*path.T, color=colour, linewidth=0.9)
        ax.plot(*path[-1], "o", color=colour, markersize=4)
    ax.set(title=title, xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
left

# %% [markdown]
# Both chains start from the same seven points. DDIM is a deterministic map from noise to data: near noise becomes near
# data, and the path can be walked back.
#
# ## Networks for images
#
# The notes announce a U-Net. Their network is four convolutions at full size, without a lower resolution and
# without skips ([E14](errata.md#e14)). The library has both, under their names.

# %%
for network in (PlainDenoiser(rng=sg.generator(0)), UNet(width=16, rng=sg.generator(0))):
    count = sum(parameter.size for parameter in network.parameters())
    parts = dict.fromkeys(name.split(".")[0] for name, _ in network.named_parameters())
    print(f"{type(network).__name__}: {count:,} parameters in {', '.join(parts)}")

# %% [markdown]
# ## What goes wrong
#
# With the linear schedule and few steps the chain starts at noise that the training has never seen. The library
# says so before it trains, and says the same of data that have the wrong size.

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    DDPM(denoisers.TimedMLP(2, 8, 2, rng=sg.generator(0)), (2,), 100, "linear").validate(
        ring(50, 0)
    )
for warning in caught:
    print(warning.message)

# %% [markdown]
# | it looks so | the cause |
# |---|---|
# | samples are blurred, or too narrow | few steps; $\sigma_t$ left out |
# | samples are grainy | noise added at the last step; a variance in the place of a standard deviation |
# | colours or positions are shifted | $\bar\alpha_{T-1}$ is not small: the prior does not fit |
# | few steps give points far away | $\hat\epsilon$ at tiny $\bar\alpha_t$: predict $v$, or clip $\hat x_0$ |
#
# ## Exercises
#
# ### Exercise 1: the mean of the step back
# Derive $\mu_t$ from $\tilde\mu_t$: give it in $x_t$, $\hat\epsilon$, $\alpha_t$, $\bar\alpha_t$.


# %%
def mean_of_the_step(xt, eps, alpha, alpha_bar):
    """μ_t, with β_t = 1 − α_t."""
    # your line


def check_mean(answer):
    model = exact(20)
    xt = np.array([[0.3], [-1.2]])
    for t in (1, 7, 19):
        eps = model.predict(xt, t)[1]
        expected = model.p_sample(xt, t)
        np.testing.assert_allclose(
            answer(xt, eps, model.alpha[t], model.alpha_bar[t]), expected, rtol=1e-12
        )


attempt(check_mean, mean_of_the_step)


# %% tags=["solution"]
def mean_of_the_step(xt, eps, alpha, alpha_bar):
    return (xt - (1 - alpha) / np.sqrt(1 - alpha_bar) * eps) / np.sqrt(alpha)


attempt(check_mean, mean_of_the_step)

# %% [markdown]
# ### Exercise 2: noise from velocity
# A network predicts $\hat v$. Give $\hat\epsilon$, by turning back by the angle $\varphi$.


# %%
def noise_of_velocity(xt, v, alpha_bar):
    """ε̂, of x_t and v̂."""
    # your line


def check_velocity(answer):
    x0, eps, left = np.array([0.4, -1.0]), np.array([1.3, 0.2]), 0.3
    xt = math.sqrt(left) * x0 + math.sqrt(1 - left) * eps
    v = math.sqrt(left) * eps - math.sqrt(1 - left) * x0
    np.testing.assert_allclose(answer(xt, v, left), eps, rtol=1e-12)


attempt(check_velocity, noise_of_velocity)


# %% tags=["solution"]
def noise_of_velocity(xt, v, alpha_bar):
    return np.sqrt(1 - alpha_bar) * xt + np.sqrt(alpha_bar) * v


attempt(check_velocity, noise_of_velocity)

# %% [markdown]
# ### Exercise 3: DDIM as a rotation
# Write the step of DDIM with the angles: give $x_s$ in $x_t$, $\hat v$ and the difference $\varphi_t - \varphi_s$.


# %%
def ddim_by_angles(xt, v, angle):
    """x_s, with angle = φ_t − φ_s."""
    # your line


def check_angles(answer):
    model = exact(20)
    xt = np.array([[0.3], [-1.2]])
    for t, s in ((19, 7), (7, 6), (7, -1)):
        phi_t, phi_s = (math.acos(math.sqrt(np.append(model.alpha_bar, 1.0)[k])) for k in (t, s))
        x0, eps = model.predict(xt, t)
        v = model.noising.velocity(x0, eps, t)
        np.testing.assert_allclose(
            answer(xt, v, phi_t - phi_s), model.p_sample_ddim(xt, t, s), rtol=1e-9
        )


attempt(check_angles, ddim_by_angles)


# %% tags=["solution"]
def ddim_by_angles(xt, v, angle):
    return np.cos(angle) * xt - np.sin(angle) * v


attempt(check_angles, ddim_by_angles)

# %% [markdown]
# ### Exercise 4: the least cost for Gaussian data
# For $x_0 \sim N(m, s^2)$, what is the least possible mean of $(\epsilon - \hat\epsilon)^2$ at a time with
# $\bar\alpha_t$? It is the variance of $\epsilon$ given $x_t$.


# %%
def least_cost(alpha_bar, deviation):
    """E Var(ε|x_t), for data of this standard deviation."""
    # your line


def check_least(answer):
    model, signs = exact(20), np.array([[1.0], [-1.0]])
    for t in (0, 10, 19):
        cost = 0.0
        for sign in (-1.0, 1.0):  # a polynomial of second degree: its mean over signs is exact
            xt = model.q_sample(MEAN + DEVIATION * signs, t, sign * np.ones((2, 1)))
            cost += ((model.predict(xt, t)[1] - sign) ** 2).mean() / 2
        assert abs(answer(model.alpha_bar[t], DEVIATION) - cost) < 1e-12


attempt(check_least, least_cost)


# %% tags=["solution"]
def least_cost(alpha_bar, deviation):
    of_data = alpha_bar * deviation**2
    return of_data / (of_data + 1 - alpha_bar)


attempt(check_least, least_cost)

# %% [markdown]
# **Step through** [one step of the training](traces.md#diffusion), and predict each number.
#
# **Read on:** [Scores](scores.md) shows that $\hat\epsilon$ is a gradient of a log density. [The bound of a diffusion
# model](variational_diffusion.md) shows of which likelihood the cost is a bound. [Conditions](conditions.md) steers
# the chain.
