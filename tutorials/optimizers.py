# %% [markdown]
# # Optimizers and schedules
#
# *What to make of a gradient.* This chapter follows the list of methods in the section "Other ingredients of a neural
# network" of the notes, and the code of a feed-forward network that the notes link to.
#
# Backpropagation gives $g = \nabla \mathcal C(\theta)$. All methods of the list start from it: gradient descent with a
# constant rate $\eta$, momentum, AdaGrad, RMSprop, Adam, quasi-Newton methods, and a rate that depends on time. We try
# them where the answer is known, then on a valley, then on a network.

# %%
import functools
import math

import numpy as np

import scratchgen as sg
from scratchgen import datasets, optim
from scratchgen.learning import attempt, panels, source
from scratchgen.models.feed_forward import Classifier, dense
from scratchgen.optim import first_order, schedules


def descend(make, slope, start, steps):
    """θ after each step of an optimizer, ``make([θ])``, whose gradient is ``slope``(θ)."""
    theta = sg.Tensor(np.array(start, dtype=float))
    optimizer, path = make([theta]), [theta.data.copy()]
    for _ in range(steps):
        optimizer.step([slope(theta.data)])
        path.append(theta.data.copy())
    return np.array(path)


# %% [markdown]
# ## A quadratic, where every rate is exact
#
# Near a minimum every smooth cost is a quadratic, $\mathcal C = \tfrac12 \theta^{\mathsf T} H \theta$. In the basis of the
# eigenvectors of $H$ each coordinate goes its own way. Along an eigenvector of the eigenvalue $h$ the gradient is
# $h\theta$.
#
# **Gradient descent** multiplies the coordinate by $1 - \eta h$ in each step. It converges if $|1 - \eta h| < 1$ for all
# $h$, that is, for $\eta < 2 / h_{\max}$. The best $\eta$ makes the two ends equally slow. With the *condition number*
# $\kappa = h_{\max} / h_{\min}$,
#
# $$\eta^* = \frac{2}{h_{\min} + h_{\max}}, \qquad \text{each step multiplies the distance by } \frac{\kappa - 1}{\kappa + 1} .$$
#
# **Momentum** keeps a velocity $u$:

# %%
source(first_order._descend_with_momentum)

# %% [markdown]
# The pair $(\theta, u)$ is multiplied by a $2 \times 2$ matrix $M$ in each step. Its determinant is $\mu$. If its two
# eigenvalues are complex, both have the modulus $\sqrt\mu$, whatever $h$ is. This is so for
# $(1 - \sqrt{\eta h})^2 \le \mu$. The smallest $\mu$ that serves both ends gives
#
# $$\sqrt{\eta^*} = \frac{2}{\sqrt{h_{\min}} + \sqrt{h_{\max}}}, \qquad
# \text{each step multiplies the distance by } \sqrt{\mu^*} = \frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}$$
#
# in the long run. The condition number has become its square root: at $\kappa = 100$ ten times fewer steps.
#
# **Nesterov** takes the gradient where the momentum is about to lead. In the form of the library $\theta$ is that point:

# %%
source(first_order._descend_looking_ahead)


# %%
def matrix(eta, mu, h, nesterov=False):
    """M of (θ, u) ← M (θ, u), along an eigenvector of H of the eigenvalue h."""
    velocity = np.array([h, mu])  # u ← h θ + μ u
    ahead = np.array([h, 0]) + mu * velocity if nesterov else velocity
    return np.array([np.array([1.0, 0.0]) - eta * ahead, velocity])


def rate(eta, mu, hs, nesterov=False):
    """The modulus of the largest eigenvalue, of all h: the factor of a step in the long run."""
    return max(np.abs(np.linalg.eigvals(matrix(eta, mu, h, nesterov))).max() for h in hs)


def best(kappa):
    """η and μ of three methods, for eigenvalues from 1 to κ."""
    root = math.sqrt(kappa)
    return {
        "descent": (2 / (1 + kappa), 0.0, False),
        "momentum": (4 / (root + 1) ** 2, ((root - 1) / (root + 1)) ** 2, False),
        "Nesterov": (1 / kappa, (root - 1) / (root + 1), True),
    }


def distances(eta, mu, nesterov, hs, steps):
    """‖θ‖ after each step of the library's SGD, from θ = (1, …, 1)."""
    hs = np.asarray(hs, dtype=float)
    path = descend(
        lambda theta: optim.SGD(theta, eta, mu, nesterov), lambda t: hs * t, np.ones(len(hs)), steps
    )
    return np.linalg.norm(path, axis=1)


print(f"{'κ':>6}  {'':<10}{'factor, exact':>14}{'measured':>10}{'steps to 10⁻⁶':>16}")
for kappa in (10, 100, 1000):
    hs = np.geomspace(1, kappa, 5)
    for name, (eta, mu, nesterov) in best(kappa).items():
        exact = rate(eta, mu, hs, nesterov)
        steps = math.ceil(math.log(1e-6) / math.log(exact))
        d = distances(eta, mu, nesterov, hs, 2 * steps + 20)
        measured = (d[2 * steps] / d[steps]) ** (1 / steps)
        below = int(np.argmax(d < 1e-6 * d[0]))
        print(f"{kappa:6}  {name:<10}{exact:14.5f}{measured:10.5f}{below:16}")

# %% [markdown]
# The measured factors of the methods with momentum are a little larger than the exact ones: the best $\mu$ makes the two
# eigenvalues of $M$ equal, and then $n \sqrt\mu^{\,n}$ comes beside $\sqrt\mu^{\,n}$. What the library computes is the power
# of the matrix, to rounding:

# %%
eta, mu, nesterov = best(30)["Nesterov"]
state = np.array([1.0, 0.0])
for _ in range(40):
    state = matrix(eta, mu, 30.0, nesterov) @ state
apart = abs(state[0]) - distances(eta, mu, nesterov, [30.0], 40)[-1]
print(f"the library, less M⁴⁰: {apart:.1e}")
assert abs(apart) < 1e-14

# %% [markdown]
# The picture shows why. Left: descent zigzags across the valley, since the steep direction dictates the rate. Momentum
# overshoots, and gains. Right: the distances, with the factors that the theory gives (dotted).

# %%
KAPPA = 25.0
left, right = panels(1, 2, size=(9.6, 3.7))
hs, start = np.array([1.0, KAPPA]), (-9.0, 1.6)
grid_x, grid_y = np.meshgrid(np.linspace(-10, 4, 141), np.linspace(-2.3, 2.3, 141))
level = 0.5 * (grid_x**2 + KAPPA * grid_y**2)
left.contour(grid_x, grid_y, level, levels=np.geomspace(0.3, 80, 9), colors="0.8", linewidths=0.8)
for colour, (name, (eta, mu, nesterov)) in zip(
    ("C3", "C0", "C2"), best(KAPPA).items(), strict=True
):
    make = functools.partial(optim.SGD, lr=eta, momentum=mu, nesterov=nesterov)
    path = descend(make, lambda t: hs * t, start, 80)
    left.plot(*path[:40].T, "o-", color=colour, markersize=2.5, linewidth=1, label=name)
    away = np.linalg.norm(path, axis=1)
    right.plot(away, color=colour, label=name)
    n = np.arange(81)
    right.plot(n, away[0] * rate(eta, mu, hs, nesterov) ** n, color=colour, linestyle=":")
left.plot(0, 0, "k*", markersize=10)
left.set(xlabel="θ, h = 1", ylabel=f"θ, h = {KAPPA:g}", title="forty steps, each at its best")
left.legend(frameon=False, loc="upper right")
right.set(yscale="log", ylim=(1e-12, 20), xlabel="step", title="distance from the minimum")
left

# %% [markdown]
# ## A rate for each parameter
#
# A single $\eta$ has to serve steep and flat directions. *AdaGrad*, *RMSprop* and *Adam* divide the gradient of each
# parameter by the root of a sum, or of a mean, of its squares. Their difference is the memory of $s$, and of the numerator:
#
# | | $s$ | step |
# |---|---|---|
# | AdaGrad | $s \leftarrow s + g^2$ | $\theta \leftarrow \theta - \eta\, g / (\sqrt s + \epsilon)$ |
# | RMSprop | $s \leftarrow \alpha s + (1 - \alpha) g^2$ | $\theta \leftarrow \theta - \eta\, g / (\sqrt s + \epsilon)$ |
# | Adam | $m \leftarrow \beta_1 m + (1 - \beta_1) g$, $\ v \leftarrow \beta_2 v + (1 - \beta_2) g^2$ | $\theta \leftarrow \theta - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)$ |
#
# Both means of Adam begin at zero, and are too small at first. The corrections $\hat m = m / (1 - \beta_1^t)$ and
# $\hat v = v / (1 - \beta_2^t)$ divide by the sum of the weights so far. In the library AdaGrad is

# %%
source(first_order._adagrad_with_momentum)

# %% [markdown]
# What follows can be read off. The first step of all three is $\eta$ times a sign (of RMSprop: $\eta / \sqrt{1 - \alpha}$
# times). If the cost is multiplied by 1000, the steps of descent are 1000 times longer, and those of these methods are
# the same. And while $g$ is constant, AdaGrad's steps shrink as $\eta / \sqrt t$.

# %%
METHODS = {
    "AdaGrad": functools.partial(optim.AdaGrad, lr=0.1),
    "AdaGrad, μ = 0.9": functools.partial(optim.AdaGrad, lr=0.1, momentum=0.9),
    "RMSprop": functools.partial(optim.RMSprop, lr=0.1),
    "Adam": functools.partial(optim.Adam, lr=0.1),
}
print(f"{'constant g':<18}{'step 1':>10}{'step 2':>10}{'step 100':>10}   if g is 1000 times larger")
for name, make in METHODS.items():
    steps = [
        -np.diff(descend(make, lambda t, size=size: np.full(1, size), [0.0], 100)[:, 0])
        for size in (1.0, 1000.0)
    ]
    said = "".join(f"{steps[0][k]:10.5f}" for k in (0, 1, 99))
    print(f"{name:<18}{said}   {'the same' if np.allclose(*steps, rtol=1e-6) else 'others'}")

# %% [markdown]
# ## A valley with a bend
#
# Rosenbrock's function $\mathcal C = (1 - x)^2 + 100\, (y - x^2)^2$ has its minimum 0 at $(1, 1)$, at the end of a narrow
# valley that bends. Here a direction that was flat becomes steep. *L-BFGS* estimates $H^{-1}$ from the last steps and
# changes of the gradient, and searches along $-H^{-1} g$ for a step that lowers the cost enough.


# %%
def rosenbrock(theta):
    """(1 − x)² + 100 (y − x²)²."""
    return (1 - theta[0]) ** 2 + 100 * (theta[1] - theta[0] ** 2) ** 2


START = (-1.2, 1.0)


def slope_of_rosenbrock(theta):
    x, y = theta
    return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


sg.assert_gradient(rosenbrock, slope_of_rosenbrock, np.array(START))


def quasi_newton(steps=60):
    """θ after each step of L-BFGS with a line search, and how often it took a gradient."""
    theta = sg.Tensor(np.array(START))
    search, path, calls = optim.WolfeLBFGS([theta]), [np.array(START)], [0]

    def evaluate():
        calls[0] += 1
        return float(rosenbrock(theta.data)), [slope_of_rosenbrock(theta.data)]

    while len(path) <= steps and rosenbrock(path[-1]) > 1e-20:
        search.search(evaluate)
        path.append(theta.data.copy())
    return np.array(path), calls[0]


VALLEY = {
    "descent": functools.partial(optim.SGD, lr=0.0015),
    "momentum 0.9": functools.partial(optim.SGD, lr=0.0005, momentum=0.9),
    "Nesterov 0.9": functools.partial(optim.SGD, lr=0.0005, momentum=0.9, nesterov=True),
    "AdaGrad, μ = 0.9": functools.partial(optim.AdaGrad, lr=0.1, momentum=0.9),
    "RMSprop": functools.partial(optim.RMSprop, lr=0.01),
    "Adam": functools.partial(optim.Adam, lr=0.05),
}
STEPS = 1000
paths = {name: descend(make, slope_of_rosenbrock, START, STEPS) for name, make in VALLEY.items()}
newton, calls = quasi_newton()
print(f"C after {STEPS} gradients:")
for name, path in paths.items():
    print(f"  {name:<18}{rosenbrock(path[-1]):.1e}")
print(
    f"  {'L-BFGS':<18}{rosenbrock(newton[-1]):.1e}, after {calls} gradients in {len(newton) - 1} steps"
)

# %%
left, right = panels(1, 2, size=(9.6, 4.0))
grid_x, grid_y = np.meshgrid(np.linspace(-1.6, 1.5, 200), np.linspace(-0.5, 1.9, 200))
height = rosenbrock(np.stack([grid_x, grid_y]))
left.contourf(grid_x, grid_y, np.log10(height + 1e-3), levels=24, cmap="Greys", alpha=0.65)
COLOURS = {"descent": "C3", "momentum 0.9": "C0", "AdaGrad, μ = 0.9": "C1", "Adam": "C2"}
for name, colour in COLOURS.items():
    left.plot(*paths[name].T, color=colour, linewidth=1.2)
    right.plot(np.arange(STEPS + 1) + 1, rosenbrock(paths[name].T), color=colour, label=name)
left.plot(*newton.T, "o-", color="C4", markersize=3, linewidth=1.2)
right.plot(
    np.arange(len(newton)) + 1, rosenbrock(newton.T), "o-", color="C4", markersize=3, label="L-BFGS"
)
left.plot(1, 1, "k*", markersize=11)
left.set(xlim=(-1.6, 1.5), ylim=(-0.5, 1.9), xlabel="x", ylabel="y", title="Rosenbrock's valley")
right.set(yscale="log", xscale="log", ylim=(1e-14, 1e3), xlabel="points on the way", title="C")
right.legend(frameon=False)
left

# %% [markdown]
# ## A network
#
# The digits of $8 \times 8$ pixels, a hidden layer of 30 sigmoids, and gradients of batches of 50 images. Each method has
# the best of a few rates, by the cost after the last epoch. (L-BFGS needs gradients of all images at once, and takes one
# step an epoch, so that it does not belong in this picture.)

# %%
images, labels = datasets.digits("train")
X, Y = images.reshape(len(images), -1), labels
test_images, TEST_Y = datasets.digits("test")
TEST_X = test_images.reshape(len(test_images), -1)
EPOCHS = 12


def network(l2=0.0):
    """64–30–10 with sigmoids, the same at each call."""
    return Classifier(dense((64,), 10, sg.generator(0), (30,), "sigmoid"), l2=l2)


def costs(make, each_epoch=None, n=1000):
    """The mean cost of each epoch of a training on n images; infinite after a cost that is not finite."""
    model, found = network(), []
    optimizer = make(model.parameters())
    try:
        for epoch in sg.train(
            model, (X[:n], Y[:n]), optimizer, epochs=EPOCHS, batch_size=50, rng=sg.generator(1)
        ):
            found.append(epoch.costs[0])
            if each_epoch:
                each_epoch(optimizer, epoch)
    except sg.NonFiniteCostError:
        pass
    return np.array(found + [math.inf] * (EPOCHS - len(found)))


NETWORK = {
    "descent": (optim.SGD, {}, (1.0, 3.0, 10.0)),
    "momentum 0.9": (optim.SGD, {"momentum": 0.9}, (0.3, 1.0, 3.0)),
    "AdaGrad": (optim.AdaGrad, {}, (0.1, 0.3, 1.0)),
    "RMSprop": (optim.RMSprop, {}, (0.01, 0.03, 0.1)),
    "Adam": (optim.Adam, {}, (0.01, 0.03, 0.1)),
}


@functools.cache
def comparison():
    """For each method its best rate, and the costs with it."""
    found = {}
    for name, (method, settings, rates) in NETWORK.items():
        tried = {lr: costs(functools.partial(method, lr=lr, **settings)) for lr in rates}
        lr = min(tried, key=lambda lr: tried[lr][-1])
        found[name] = lr, tried[lr]
    return found


print(f"{'':<14}{'η':>7}{'C, first epoch':>16}{f'epoch {EPOCHS}':>11}")
for name, (lr, of_epochs) in comparison().items():
    print(f"{name:<14}{lr:7g}{of_epochs[0]:16.3f}{of_epochs[-1]:11.4f}")

# %% [markdown]
# With its best rate each method is good. A comparison at one common rate would only say whose rate it was.
#
# ## What goes wrong
#
# The code that the notes link to sets the moments of Adam to zero after each epoch ([E19](errata.md#e19)), although their
# memory is meant to last. The numerator recovers within some ten steps and the denominator needs a thousand, so that the
# $k$-th step after a reset, late in a training, is $(1 - \beta_1^k) / \sqrt{1 - \beta_2^k}$ times too long. Its AdaGrad sums over rows of $g g^{\mathsf T}$, so that all weights of a row
# share one scale; AdaGrad sums $g^2$, with a scale for each weight.


# %%
def forgets(adam, _):
    """The moments are zero again."""
    for buffer in adam.buffers.values():
        buffer[...] = 0


theta = sg.Tensor(np.zeros(1))
adam, moved = optim.Adam([theta], lr=0.1), []
for step in range(1200):
    if step == 1000:
        forgets(adam, None)
    before = theta.data.copy()
    adam.step([np.ones(1)])
    moved.append(float(before[0] - theta.data[0]) / 0.1)
after = np.arange(1, 201)
too_long = (1 - 0.9**after) / np.sqrt(1 - 0.999**after) * np.sqrt(1 - 0.999 ** (1000 + after))
np.testing.assert_allclose(moved[1000:], too_long, rtol=1e-6)
print(f"a step over η, while g = 1: {moved[999]:.3f}; the longest after the reset {max(moved):.3f}")

g = np.array([[1.0, 1e-3], [2.0, -1e-2]])
by_rows = g / np.sqrt(np.diag(g @ g.T))[:, None]
print("first step of AdaGrad over η, by rows of g gᵀ:", by_rows.round(4).tolist())
print("                                        by g²:", (g / np.sqrt(g**2)).tolist())

# %%
left, right = panels(1, 2, size=(9.6, 3.5))
for k, (name, (lr, of_epochs)) in enumerate(comparison().items()):
    left.plot(
        np.arange(EPOCHS) + 1,
        of_epochs,
        "o-",
        color=f"C{k}",
        markersize=3,
        label=f"{name}, η = {lr:g}",
    )
left.set(yscale="log", xlabel="epoch", ylabel="mean C", title="a network on digits")
left.legend(frameon=False, fontsize=9)
right.plot(np.arange(1200), moved, "C3", label="measured")
right.plot(999 + after, too_long, "k:", label="theory")
right.axhline(1, color="0.6", linewidth=0.8)
right.set(xlim=(980, 1150), xlabel="step", title="Adam, g = 1: step over η, a reset at 1000")
right.legend(frameon=False)
left

# %% [markdown]
# | it looks so | the cause |
# |---|---|
# | the cost alternates and grows | $\eta > 2 / h_{\max}$; halve it |
# | the cost falls fast, then hardly | AdaGrad, whose $s$ only grows, or a large $\kappa$: standardise the inputs |
# | the cost jumps at the beginning of each epoch | moments that are thrown away, or a schedule that begins anew |
# | L-BFGS does not move, or reports that it searches in vain | gradients of batches, or of a cost with noise in it |
#
# ## Schedules
#
# The gradient of a batch is the gradient plus noise. Take the smallest case, $\mathcal C = \tfrac12 h \theta^2$ with
# $g = h\theta + \xi$ and $\xi \sim N(0, \sigma^2)$. A step makes of the variance $V$ of $\theta$
# $(1 - \eta h)^2 V + \eta^2 \sigma^2$. It comes to rest at
#
# $$V_\infty = \frac{\eta\, \sigma^2}{h\, (2 - \eta h)} .$$
#
# With a constant rate $\theta$ never arrives. A rate that falls lets it: slowly enough to get anywhere,
# $\sum \eta_t = \infty$, and fast enough to forget the noise, $\sum \eta_t^2 < \infty$ (Robbins and Monro 1951).

# %%
SCHEDULES = {
    "Constant": schedules.Constant(),
    "Step": schedules.Step(30, 0.3),
    "Exponential": schedules.Exponential(0.97),
    "InverseTime": schedules.InverseTime(10),
    "Cosine": schedules.Cosine(100),
    "WarmUp, Cosine": schedules.WarmUp(10, schedules.Cosine(90)),
}


def variances(schedule, eta=0.5, h=1.0, steps=100, n=20_000):
    """The mean of θ² over n runs after each step, from θ = 3 and with σ = 1."""
    rng, theta, found = np.random.default_rng(0), np.full(n, 3.0), []
    for t in range(steps):
        theta = theta - eta * schedule(t) * (h * theta + rng.standard_normal(n))
        found.append((theta**2).mean())
    return found


left, right = panels(1, 2, size=(9.6, 3.5))
for k, (name, schedule) in enumerate(SCHEDULES.items()):
    left.plot([schedule(t) for t in range(101)], color=f"C{k}", label=name)
    right.plot(np.arange(100) + 1, variances(schedule), color=f"C{k}")
right.axhline(0.5 / 1.5, color="0.4", linestyle="--", linewidth=1)
left.set(xlabel="t", ylabel="$s(t)$", title=r"$\eta_t = \eta_0\, s(t)$")
right.set(yscale="log", xlabel="step", title=r"mean $\theta^2$ with noise, and $V_\infty$")
left.legend(frameon=False, fontsize=9)
for eta in (0.1, 0.5, 1.0):
    measured = variances(schedules.Constant(), eta, steps=200)[-1]
    print(f"η = {eta}: mean θ² = {measured:.4f}, V∞ = {eta / (2 - eta):.4f}")
left

# %% [markdown]
# ## Rate and penalty: the map of the course
#
# Two numbers are chosen by trial: the rate $\eta$ and the strength $\lambda$ of the penalty $\tfrac12 \lambda \sum w^2$. The
# course tries a grid, and looks at the accuracy on held-out images. A small $\eta$ has not arrived: the left columns. A
# large one never does: the right column. A strong penalty leaves no weights: the upper rows. In the corner $\eta\lambda$
# is so large that the shrinking itself overshoots, as $|1 - \eta\lambda| > 1$, and the cost becomes infinite.

# %%
RATES, PENALTIES = np.logspace(-3, 1, 5), np.logspace(-5, 0, 6)


@functools.cache
def accuracies(epochs=8, n=600):
    """The accuracy on held-out images, (penalties, rates); NaN for a cost that was not finite."""
    found = np.full((len(PENALTIES), len(RATES)), np.nan)
    for (i, lam), (j, eta) in ((a, b) for a in enumerate(PENALTIES) for b in enumerate(RATES)):
        model = network(float(lam))
        sgd = optim.SGD(model.parameters(), float(eta), momentum=0.9)
        try:
            for _ in sg.train(
                model, (X[:n], Y[:n]), sgd, epochs=epochs, batch_size=50, rng=sg.generator(1)
            ):
                pass
        except sg.NonFiniteCostError:
            continue
        found[i, j] = model.accuracy(TEST_X, TEST_Y)
    return found


with np.errstate(over="ignore", invalid="ignore"):  # in the corner
    accuracies()
ax = panels(size=(5.6, 4.2))
shown = ax.imshow(accuracies(), cmap="viridis", vmin=0, vmax=1, aspect="auto", origin="lower")
for (i, j), value in np.ndenumerate(accuracies()):
    ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="w" if value < 0.6 else "k")
ax.set_xticks(range(len(RATES)), [f"{eta:g}" for eta in RATES])
ax.set_yticks(range(len(PENALTIES)), [f"{lam:g}" for lam in PENALTIES])
ax.set(xlabel="η", ylabel="λ", title="accuracy on held-out digits")
ax.figure.colorbar(shown)
i, j = np.unravel_index(np.nanargmax(accuracies()), accuracies().shape)
print(f"the best: η = {RATES[j]:g}, λ = {PENALTIES[i]:g}, accuracy {accuracies()[i, j]:.3f}")
ax

# %% [markdown]
# The number in the best cell is too good, as it was chosen by the images that it is measured on. A third set of images,
# which nobody has looked at, would say how good the chosen network is.
#
# ## Exercises
#
# ### Exercise 1: the best constant rate
# The eigenvalues of $H$ lie between $a$ and $b$. Give the best $\eta$ of plain descent, and the factor of the distance in
# each step.


# %%
def best_rate(a, b):
    """η and the factor."""
    # your line


def check_best(answer):
    eta, factor = answer(2.0, 50.0)
    hs = np.linspace(2, 50, 7)
    assert abs(rate(eta, 0.0, hs) - factor) < 1e-12, "the factor is not that of this η"
    for other in (0.99 * eta, 1.01 * eta):
        assert rate(other, 0.0, hs) > factor, f"η = {other:.4g} is better"


attempt(check_best, best_rate)


# %% tags=["solution"]
def best_rate(a, b):
    return 2 / (a + b), (b - a) / (b + a)


attempt(check_best, best_rate)

# %% [markdown]
# ### Exercise 2: Adam
# Write one step of Adam: from $\theta$, $m$, $v$, the gradient $g$ and the number $t = 1, 2, \dots$ of the step to the new
# $\theta$, $m$ and $v$.


# %%
def adam_step(theta, m, v, g, t, eta=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    """θ, m and v after the step t."""
    # your lines


def check_adam(answer):
    theta, m, v, path = np.array(START), np.zeros(2), np.zeros(2), [np.array(START)]
    for t in range(1, 51):
        theta, m, v = answer(theta, m, v, slope_of_rosenbrock(theta), t)
        path.append(theta)
    expected = descend(functools.partial(optim.Adam, lr=0.1), slope_of_rosenbrock, START, 50)
    np.testing.assert_allclose(path, expected, rtol=1e-9)


attempt(check_adam, adam_step)


# %% tags=["solution"]
def adam_step(theta, m, v, g, t, eta=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return theta - eta * m_hat / (np.sqrt(v_hat) + eps), m, v


attempt(check_adam, adam_step)

# %% [markdown]
# ### Exercise 3: Newton's step
# On a quadratic, which step leads from any $\theta$ to the minimum at once? The methods of quasi-Newton learn it from
# gradients.


# %%
def newton_step(theta, g, H):
    """The new θ."""
    # your line


def check_newton(answer):
    H, minimum = np.array([[3.0, 1.0], [1.0, 40.0]]), np.array([0.5, -2.0])
    theta = np.array([7.0, 3.0])
    np.testing.assert_allclose(answer(theta, H @ (theta - minimum), H), minimum, atol=1e-12)


attempt(check_newton, newton_step)


# %% tags=["solution"]
def newton_step(theta, g, H):
    return theta - np.linalg.solve(H, g)


attempt(check_newton, newton_step)

# %% [markdown]
# ### Exercise 4: a schedule that arrives
# For $\mathcal C = \tfrac12 \theta^2$ with noise, choose $\eta_t$, for $t = 0, 1, 2, \dots$, so that $\theta$ after $n$ steps is
# the mean of the $n$ noises, with the sign changed. Its variance is then $\sigma^2 / n$. No estimate is better.


# %%
def arriving(t):
    """ηₜ."""
    # your line


def check_arriving(answer):
    found = variances(answer, eta=1.0, steps=200)
    np.testing.assert_allclose(found[-1], 1 / 200, rtol=0.05)


attempt(check_arriving, arriving)


# %% tags=["solution"]
def arriving(t):
    return 1 / (1 + t)  # schedules.InverseTime(1)


attempt(check_arriving, arriving)

# %% [markdown]
# **Read on:** [The vanishing gradient](vanishing_gradient.md) is made by the network before any optimizer sees it.
# [Why players circle](generative_adversarial.md) shows a game, in which momentum does harm.
