# %% [markdown]
# # Generative or discriminative
#
# *Two ways to answer one question, and the questions that only one of them can answer.* This chapter follows the sections
# "What Is Generative Modeling?" to "Taxonomy of generative deep learning" and "Essential elements of generative models"
# of the notes.
#
# An observation $x$ has features, such as the pixels of an image, and may have a label $y$. A **discriminative** model
# states $p(y|x)$: given an image, which digit is it? A **generative** model states how data come about, $p(x)$, or with
# labels $p(x, y) = p(x|y)\, p(y)$. By the rule of Bayes the second kind answers the question of the first:
#
# $$p(y|x) = \frac{p(x|y)\, p(y)}{\sum_{y'} p(x|y')\, p(y')} .$$
#
# The denominator is $p(x)$, of which a discriminative model says nothing.

# %%
import functools

import numpy as np

import scratchgen as sg
from scratchgen import datasets, optim, plotting
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source
from scratchgen.models import RBM, linear

# %% [markdown]
# ## One line, two derivations
#
# Let two classes be Gaussians on a line, $p(x|y) = N(x; \mu_y, s^2)$, with $p(y = 1) = \pi$. In the logarithm of the ratio
# of $p(1|x)$ and $p(0|x)$, $p(x)$ cancels, and so do the squares of $x$:
#
# $$\log \frac{p(1|x)}{p(0|x)} = \log \frac{\pi}{1 - \pi} + \frac{(x - \mu_0)^2 - (x - \mu_1)^2}{2 s^2} = w x + b, \qquad
# w = \frac{\mu_1 - \mu_0}{s^2}, \quad b = \log \frac{\pi}{1 - \pi} - \frac{\mu_1^2 - \mu_0^2}{2 s^2} .$$
#
# So $p(1|x) = \sigma(w x + b)$. That is *logistic regression*, a perceptron with a sigmoid. Both models have the same family
# of answers. They differ in the cost. The generative one maximises $\sum \log p(x_i, y_i)$, and the maximum has a closed
# form: the means, the variance and the share of each class. The discriminative one maximises $\sum \log p(y_i|x_i)$, by
# descent:

# %%
source(linear.logistic_regression)


# %%
def generative_line(x, y):
    """w and b from π, μ₀, μ₁ and s², the maximum of Σ log p(x, y)."""
    means = np.array([x[y == k].mean() for k in (0, 1)])
    variance, share = ((x - means[y]) ** 2).mean(), y.mean()
    squares = (means[1] ** 2 - means[0] ** 2) / (2 * variance)
    return (means[1] - means[0]) / variance, np.log(share / (1 - share)) - squares


def fit(x, y, n_classes, l2=0.0, steps=60):
    """Logistic regression: the maximum of Σ log p(y|x), by L-BFGS."""
    model = linear.logistic_regression(x.shape[1], n_classes, sg.generator(0)).astype(np.float64)
    model.l2 = l2
    search = optim.WolfeLBFGS(model.parameters())
    for _ in sg.train(model, (x, y), search, epochs=steps, batch_size=len(x), rng=sg.generator(0)):
        pass
    return model


def discriminative_line(x, y):
    """w and b by logistic regression."""
    w, b = fit(x[:, None], y, 2).parameters()
    return w.data[0, 0], b.data[0]


def draw(n, far=0.0, seed=0):
    """n points of each class, from N(−1, 1) and N(1, 1); a share of the second is far off."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(-1, 1, n), rng.normal(1, 1, n)])
    x[n : n + int(far * n)] += 12
    return x, np.repeat([0, 1], n)


for name, data in {"as assumed": draw(1000), "5 % far off": draw(1000, 0.05)}.items():
    print(name)
    for kind, line in (("generative", generative_line), ("discriminative", discriminative_line)):
        w, b = line(*data)
        print(f"  {kind:<16}w = {w:.3f}, b = {b:+.3f}, boundary at x = {-b / w:+.3f}")

# %% [markdown]
# Where the assumption holds, both come near the exact $w = (1 + 1) / 1 = 2$ and $b = 0$. Now let 5 % of the points
# of class 1 lie far to the right, where nobody takes them for class 0. The generative model has to explain them, and
# bends its Gaussian. For the discriminative one they are easy: it pays only for doubt.

# %%
left, right = panels(1, 2, size=(9.6, 3.6), sharey=True)
grid = np.linspace(-5, 16, 500)
for ax, (name, far) in zip(
    (left, right), {"as assumed": 0.0, "5 % far off": 0.05}.items(), strict=True
):
    x, y = draw(1000, far)
    for k, colour in ((0, "C0"), (1, "C1")):
        ax.hist(
            x[y == k],
            bins=60,
            range=(-5, 16),
            density=True,
            color=colour,
            alpha=0.35,
            label=f"p(x|y={k})",
        )
    for line, look in ((generative_line, "C2--"), (discriminative_line, "k-")):
        w, b = line(x, y)
        named = line.__name__.removesuffix("_line")
        ax.plot(grid, ops.sigmoid(w * grid + b), look, label=f"p(1|x), {named}")
    ax.set(xlabel="x", title=name, xlim=(-5, 16 if far else 6))
left.legend(frameon=False, fontsize=8.5, loc="upper left")
left

# %% [markdown]
# ## Digits
#
# The images have $8 \times 8$ pixels, which are on or off here. Three models see the same data:
#
# - **naive Bayes**, generative: given the class, all pixels are independent, $p(x|y) = \prod_i p_{iy}^{x_i} (1 - p_{iy})^{1 - x_i}$;
# - **a Boltzmann machine for each class**, generative: hidden units correlate the pixels, and $p(x|y) = e^{-F_y(x)} / Z_y$
#   is exact, since 12 hidden units have only $2^{12}$ states ([Boltzmann machines](boltzmann_machines.md));
# - **logistic regression**, discriminative.
#
# The logit of naive Bayes is linear in $x$, too:
# $\log p(x|y) = \sum_i x_i \log \frac{p_{iy}}{1 - p_{iy}} + \sum_i \log(1 - p_{iy})$. So it is a second fit of the very
# functions that logistic regression fits.


# %%
def rows(split):
    """Pixels, on or off, and labels."""
    images, labels = datasets.digits(split)
    return (images.reshape(len(images), -1) > 0.5).astype(np.float64), labels


TRAIN, TEST = rows("train"), rows("test")


def naive_bayes(x, y):
    """p of each pixel given each class, (10, 64), and p(y); one image of each kind is added."""
    on = np.stack([(x[y == k].sum(axis=0) + 1) / ((y == k).sum() + 2) for k in range(10)])
    return on, (np.bincount(y, minlength=10) + 1) / (len(y) + 10)


def log_joint(x, on, prior, seen=slice(None)):
    """log p(x, y) of each class, (n, 10), from the pixels that are ``seen``."""
    x, on = x[:, seen], on[:, seen]
    return x @ np.log(on / (1 - on)).T + np.log1p(-on).sum(axis=1) + np.log(prior)


@functools.cache
def machines():
    """A Boltzmann machine for each class."""
    x, y, found = *TRAIN, []
    for k in range(10):
        mine = x[y == k].astype(np.float32)
        rbm = RBM(64, 12, persistent=True, n_chains=50, l2=1e-3, rng=sg.generator(k))
        rbm.start_at(mine)
        adam = optim.Adam(rbm.parameters(), lr=0.02)
        for _ in sg.train(rbm, mine, adam, epochs=30, batch_size=36, rng=sg.generator(k)):
            pass
        found.append(rbm)
    return found


@functools.cache
def log_joint_of_machines(split):
    """log p(x, y), exactly, (n, 10)."""
    x, prior = rows(split)[0].astype(np.float32), naive_bayes(*TRAIN)[1]
    return np.stack([rbm.log_likelihood(x) for rbm in machines()], axis=1) + np.log(prior)


def posterior(joint):
    """p(y|x) from log p(x, y): the rule of Bayes."""
    return ops.softmax(joint)


@functools.cache
def regression():
    return fit(*TRAIN, 10, l2=1e-3)


pixels, labels = TEST
answers = {
    "naive Bayes": posterior(log_joint(pixels, *naive_bayes(*TRAIN))),
    "Boltzmann machines": posterior(log_joint_of_machines("test")),
    "logistic regression": regression().predict_proba(pixels),
}
known = {"naive Bayes": log_joint(pixels, *naive_bayes(*TRAIN))}
known["Boltzmann machines"] = log_joint_of_machines("test")
numbers, prior = np.arange(len(labels)), naive_bayes(*TRAIN)[1]
print(f"{'':<22}{'accuracy':>9}{'largest p(y|x)':>16}{'−log p(y|x)':>13}{'log p(x|y)':>12}")
for name, p in answers.items():
    right = (p.argmax(axis=1) == labels).mean()
    nats = -np.log(p[numbers, labels]).mean()
    print(f"{name:<22}{right:9.3f}{p.max(axis=1).mean():16.3f}{nats:13.3f}", end="")
    print(f"{(known[name] - np.log(prior))[numbers, labels].mean():12.2f}" if name in known else "")

# %% [markdown]
# The largest $p(y|x)$, on average, is what a model believes its accuracy to be. Naive Bayes believes too much: it counts
# correlated pixels as independent witnesses. The machines know the correlations, so that their $\log p(x|y)$ is larger.
# Logistic regression makes no assumption about $x$ at all, and is the most accurate.
#
# ## What only a generative model can do
#
# **It makes new data.** Each column is a class. The discriminative model has nothing to show here.

# %%
rng = sg.generator(1)
on, prior = naive_bayes(*TRAIN)


def drawn_by_machines():
    """An image of each class, (10, 64): v ~ p(v|h) at the end of a chain."""
    means = np.concatenate([rbm.sample(1, rng) for rbm in machines()])
    return (rng.random(means.shape) < means).astype(float)


images = {
    "data": np.stack([TRAIN[0][TRAIN[1] == k][3] for k in range(10)]),
    "naive Bayes": (rng.random((10, 64)) < on).astype(float),
    "machines": drawn_by_machines(),
    "and again": drawn_by_machines(),
}
ax = panels(size=(7.6, 3.4))
plotting.image_table({name: of.reshape(10, 8, 8) for name, of in images.items()}, ax)
ax

# %% [markdown]
# **It copes with what is missing.** Pixels that nobody has seen are summed out of $p(x, y)$. For naive Bayes the sum over a
# pixel is $p + (1 - p) = 1$: its factor is left out. A discriminative model needs all its inputs. The usual way out,
# the mean of the missing pixels, is a guess.
#
# **It knows what it has not seen.** For noise, which is no digit, $p(x)$ is small. A $p(y|x)$ cannot say so, as its sum
# over $y$ is 1 whatever $x$ is: noise and inverted digits are given a class, with confidence.
#
# **It learns from data without labels**, as $p(x)$ needs none. All further chapters on generative models do so.


# %%
def hidden_pixels(share, seed=0):
    """Accuracies of naive Bayes and of logistic regression, with a share of the pixels hidden."""
    seen = np.sort(np.random.default_rng(seed).permutation(64)[: 64 - round(64 * share)])
    bayes = log_joint(pixels, *naive_bayes(*TRAIN), seen).argmax(axis=1)
    filled = np.tile(TRAIN[0].mean(axis=0), (len(pixels), 1))
    filled[:, seen] = pixels[:, seen]
    return (bayes == labels).mean(), (regression().predict(filled) == labels).mean()


def log_evidence(joint):
    """log p(x) = log Σ p(x, y)."""
    return ops.logsumexp(joint, axis=1)


noise = (np.random.default_rng(0).random((360, 64)) < TRAIN[0].mean()).astype(np.float64)
of_noise = np.stack([rbm.log_likelihood(noise.astype(np.float32)) for rbm in machines()], axis=1)
surprise = {
    "digits": log_evidence(log_joint_of_machines("test")),
    "noise": log_evidence(of_noise + np.log(prior)),
}
print(
    f"log p(x) of digits {surprise['digits'].mean():.1f}, of noise {surprise['noise'].mean():.1f} nats"
)
for name, x in {"noise": noise, "inverted digits": 1 - pixels}.items():
    sure = regression().predict_proba(x).max(axis=1).mean()
    print(f"logistic regression: on {name} its largest p(y|x) is {sure:.2f} on average")
shares = np.linspace(0, 0.9, 10)
with_holes = np.array([np.mean([hidden_pixels(s, k) for k in range(3)], axis=0) for s in shares])

left, right = panels(1, 2, size=(9.6, 3.5))
left.plot(shares, with_holes[:, 0], "C2o-", label="naive Bayes, summed out")
left.plot(shares, with_holes[:, 1], "ko-", label="logistic regression, filled with means")
left.set(xlabel="share of the pixels that is hidden", ylabel="accuracy", ylim=(0, 1))
left.legend(frameon=False, loc="lower left")
for name, colour in (("digits", "C0"), ("noise", "C3")):
    right.hist(surprise[name], bins=40, color=colour, alpha=0.6, label=name)
right.set(xlabel="log p(x) by the machines, nats", title="p(x) knows what is no digit")
right.legend(frameon=False, loc="upper left")
left

# %% [markdown]
# ## What the discriminative model does better
#
# It spends all its parameters on the question that is asked. Its best fit is the best of all linear logits, whatever $x$
# is; that of naive Bayes is so only if the pixels are independent. On the other hand naive Bayes estimates each $p_{iy}$ for
# itself, and is near its limit after few examples, while logistic regression goes on gaining (Ng and Jordan 2002). (With
# two images of a class, those that `naive_bayes` adds weigh as much as the data, and its answers are poor.)


# %%
@functools.cache
def learning_curve(sizes=(20, 40, 80, 160, 320, 640, 1280), draws=3):
    """Accuracies on held-out digits over the number of examples: naive Bayes, regression."""
    x, y = TRAIN
    found = np.zeros((len(sizes), draws, 2))
    for k in range(draws):
        order = np.random.default_rng(k).permutation(len(x))
        for row, n in enumerate(sizes):
            some = x[order[:n]], y[order[:n]]
            bayes = log_joint(pixels, *naive_bayes(*some)).argmax(axis=1)
            logistic = fit(*some, 10, 1e-3, 25).predict(pixels)
            found[row, k] = (bayes == labels).mean(), (logistic == labels).mean()
    return np.array(sizes), found.mean(axis=1)


sizes, curve = learning_curve()
ax = panels(size=(6.0, 3.5))
ax.plot(sizes, curve[:, 0], "C2o-", label="naive Bayes")
ax.plot(sizes, curve[:, 1], "ko-", label="logistic regression")
ax.set(xscale="log", xlabel="examples", ylabel="accuracy on held-out digits")
ax.legend(frameon=False)
for n, (bayes, logistic) in zip(sizes, curve, strict=True):
    print(f"{n:6} examples: naive Bayes {bayes:.3f}, logistic regression {logistic:.3f}")
ax

# %% [markdown]
# ## A taxonomy
#
# The notes show the taxonomy of Foster's *Generative Deep Learning*. It asks what a model knows of its density. These are
# its leaves, with the classes of the library:
#
# | | | models |
# |---|---|---|
# | explicit density | tractable | autoregressive models, normalizing flows: not here, as in the notes. `linear_vae`, whose optimum is known, comes closest |
# | explicit density | approximate: a bound | `models.VAE`, `models.HierarchicalVAE`, `models.DDPM`, `models.VDM` |
# | explicit density | approximate: up to $Z$ | `models.RBM`, `models.EnergyModel` |
# | its slope alone, $\nabla \log p$ | | `models.ScoreModel` |
# | implicit density: only a sampler | | `models.GAN` |
#
# The discriminative models are `models.Classifier` and `models.Regressor`. With labels, several generative models state
# $p(x|y)$: see [Conditions](conditions.md).
#
# The notes list the methods that they treat: energy-based models, variational autoencoders, diffusion models; and what is
# "not included": generative adversarial networks (which other lectures of theirs do treat, and so does the library),
# autoregressive models and flows. Of the other names in the notes' lists, clustering, Bayesian models, Gaussian processes,
# ensembles of trees, support vector machines and reinforcement learning have no place in this library.
#
# ## What goes wrong
#
# | it looks so | the cause |
# |---|---|
# | probabilities near 0 and 1, and many of them wrong | an independence that does not hold |
# | the classifier works in the laboratory, not in the field | $p(y)$ is another one there: exercise 3 |
# | a pixel that was never on makes $p(x \mid y) = 0$ for good | counts without the additional images of `naive_bayes` |
# | generated data look right, the classifier is poor | $p(x)$ takes all capacity, and $y$ is one pixel's worth of it |
#
# ## Exercises
#
# ### Exercise 1: two variances
# Let the classes have the variances $s_0^2$ and $s_1^2$, and equal shares. The logit of $p(1|x)$ is now
# $a x^2 + w x + b$. Give the three coefficients.


# %%
def quadratic(mu0, s0, mu1, s1):
    """a, w and b."""
    # your lines


def check_quadratic(answer):
    mu0, s0, mu1, s1 = -1.0, 0.5, 1.0, 2.0
    x = np.linspace(-3, 3, 9)
    a, w, b = answer(mu0, s0, mu1, s1)
    log_p = [-((x - mu) ** 2) / (2 * s * s) - np.log(s) for mu, s in ((mu0, s0), (mu1, s1))]
    np.testing.assert_allclose(a * x * x + w * x + b, log_p[1] - log_p[0], atol=1e-12)


attempt(check_quadratic, quadratic)


# %% tags=["solution"]
def quadratic(mu0, s0, mu1, s1):
    a = 0.5 / s0**2 - 0.5 / s1**2
    w = mu1 / s1**2 - mu0 / s0**2
    b = 0.5 * mu0**2 / s0**2 - 0.5 * mu1**2 / s1**2 + np.log(s0 / s1)
    return a, w, b


attempt(check_quadratic, quadratic)

# %% [markdown]
# ### Exercise 2: naive Bayes as a perceptron
# Return $W$, $(10, 64)$, and $b$, $(10,)$, so that the logits $x W^{\mathsf T} + b$ of a linear layer give the $p(y|x)$ of naive
# Bayes.


# %%
def as_a_layer(on, prior):
    """W and b."""
    # your lines


def check_layer(answer):
    W, b = answer(on, prior)
    expected = posterior(log_joint(pixels, on, prior))
    np.testing.assert_allclose(posterior(ops.affine(pixels, W, b)), expected, atol=1e-12)


attempt(check_layer, as_a_layer)


# %% tags=["solution"]
def as_a_layer(on, prior):
    return np.log(on / (1 - on)), np.log1p(-on).sum(axis=1) + np.log(prior)


attempt(check_layer, as_a_layer)

# %% [markdown]
# ### Exercise 3: other shares of the classes
# A classifier states $p(y|x)$ for the shares $p(y)$ of its training data. In the field the shares are $q(y)$, and $p(x|y)$
# is the same. Give $q(y|x)$, from $p(y|x)$, $p(y)$ and $q(y)$.


# %%
def in_the_field(p_given_x, p, q):
    """q(y|x), rows that add up to 1."""
    # your lines


def check_field(answer):
    q = np.linspace(1, 10, 10) / 55
    expected = posterior(log_joint(pixels, on, q))
    found = answer(posterior(log_joint(pixels, on, prior)), prior, q)
    np.testing.assert_allclose(found, expected, atol=1e-9)


attempt(check_field, in_the_field)


# %% tags=["solution"]
def in_the_field(p_given_x, p, q):
    weighted = p_given_x * q / p
    return weighted / weighted.sum(axis=1, keepdims=True)


attempt(check_field, in_the_field)

# %% [markdown]
# ### Exercise 4: the slope of a generative classifier
# If the parameters of $p(x|y)$ are trained for $\sum \log p(y|x)$, a generative model becomes a discriminative one. Let
# $\ell_k = \log p(x, k)$ of one $x$. Give the derivative of $-\log p(y|x) = \log \sum_k e^{\ell_k} - \ell_y$ by $\ell$.


# %%
def slope_by_hand(log_p, y):
    """∂(−log p(y|x))/∂ℓ, (10,)."""
    # your lines


def check_slope(answer):
    at = log_joint(pixels[:1], on, prior)[0] / 10

    def cost(log_p):
        return np.log(np.exp(log_p).sum()) - log_p[4]

    sg.assert_gradient(cost, lambda log_p: answer(log_p, 4), at)


attempt(check_slope, slope_by_hand)


# %% tags=["solution"]
def slope_by_hand(log_p, y):
    p = np.exp(log_p - log_p.max())
    return p / p.sum() - (np.arange(len(log_p)) == y)


attempt(check_slope, slope_by_hand)

# %% [markdown]
# **Read on:** [Linear models](linear_models.md) and [the perceptron](scalar_perceptron.md) begin the way of the
# discriminative models, [Boltzmann machines](boltzmann_machines.md) that of the generative ones.
