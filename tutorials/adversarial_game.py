"""A game on a line: the discriminator beside the best one, and why players circle.

The notes, "Generative Adversarial Networks" to "Progression in training". For a fixed generator the
best discriminator is known if both densities are,

    D*(x) = p_r(x)/(p_r(x) + p_g(x)),    v(G, D*) = 2 D_JS(p_r ‖ p_g) − 2 log 2.

Here the data are a mixture of two Gaussians, and G(z) = a z + b with z ~ N(0, 1) gives the density
p_g = N(b, a²). So D*, the divergence and the value of the game can be computed by a sum over a
grid, and stand beside those of the networks. The generator cannot become the mixture, so that the
game does not end at ½. It settles on the mode that is nearest to its start, well above the least
D_JS of a Gaussian: a *mode collapse*. One reason is the cost of G. At D*, the slope of the minimax
cost is that of 2 D_JS. The slope of −log D(G(z)) is that of D_KL(p_g ‖ p_r) − 2 D_JS (Arjovsky and
Bottou 2017, theorem 2.5), which punishes samples where there are no data, and not the lack of
samples where there are.

The first table shows a smaller game, v(x, y) = x y. One player lowers v by x, the other raises it
by y; the equilibrium is (0, 0). With steps at the same time, x − η y and y + η x, the distance from
the equilibrium grows by √(1 + η²) in each step, whatever η is. If y moves after x, the step is a
matrix of the determinant 1, whose orbits are ellipses: the players circle for ever. A small share
of the last gradient, x − 2 η yₖ + η yₖ₋₁ (*optimism*), makes them fall into the equilibrium. Games
need not converge where a single cost would, even if each player takes perfect steps.
"""

import functools
import math
import sys

import numpy as np

import scratchgen as sg
from scratchgen import metrics, nn, optim
from scratchgen.models import GAN

SHARES, MEANS, DEVIATIONS = np.array([0.7, 0.3]), np.array([-1.0, 1.5]), np.array([0.5, 0.5])
GRID = np.linspace(-8, 8, 3201)
EPOCHS, BATCH, DRAWS, D_STEPS = 24, 250, 10_000, 5
SHOWN = (1, 6, EPOCHS)
ETA = 0.2
STARTS = (3.0, 0.0)


def orbit(steps, kind, eta=ETA):
    """The distance from (0, 0) after each step of the game x y, from (1, 0): (steps + 1,)."""
    x, y, last = 1.0, 0.0, (0.0, 1.0)
    distances = [1.0]
    for _ in range(steps):
        if kind == "simultaneous":
            x, y = x - eta * y, y + eta * x
        elif kind == "alternating":
            x -= eta * y
            y += eta * x
        else:
            slopes = y, x
            x, y = x - eta * (2 * slopes[0] - last[0]), y + eta * (2 * slopes[1] - last[1])
            last = slopes
        distances.append(math.hypot(x, y))
    return np.array(distances)


def density_of_data(x):
    """p_r(x)."""
    each = np.exp(-0.5 * ((x[:, None] - MEANS) / DEVIATIONS) ** 2) / DEVIATIONS
    return each @ SHARES / math.sqrt(2 * math.pi)


def density_of_generator(model, x):
    """p_g(x) = N(x; b, a²)."""
    a, b = (p.data.item() for p in model.generator.parameters())
    return np.exp(-0.5 * ((x - b) / a) ** 2) / (math.sqrt(2 * math.pi) * abs(a))


def data(n, rng):
    """Draws of p_r, (n, 1)."""
    part = (rng.random(n) < SHARES[1]).astype(int)
    x = MEANS[part] + DEVIATIONS[part] * rng.standard_normal(n)
    return x[:, None].astype(np.float32)


def networks(rng, start):
    """G(z) = a z + b, and a discriminator of two hidden layers."""
    layers = [nn.Linear(1, 32, rng=rng), nn.Tanh(), nn.Linear(32, 32, rng=rng), nn.Tanh()]
    discriminator = nn.Sequential(*layers, nn.Linear(32, 1, rng=rng))
    generator = nn.Linear(1, 1, rng=rng)
    generator.load_state_dict({"weight": np.array([[0.4]]), "bias": np.array([start])})
    return GAN(generator, discriminator, 1, "normal", d_steps=D_STEPS)


def state(model):
    """D and D* on the grid, both densities, and the divergence in nats."""
    frozen = model.frozen()
    D = frozen.discriminate(GRID[:, None].astype(np.float32)).astype(np.float64)
    p_r, p_g = density_of_data(GRID), density_of_generator(model, GRID)
    best = p_r / np.maximum(p_r + p_g, 1e-300)
    js = metrics.jensen_shannon(p_r / p_r.sum(), p_g / p_g.sum())
    return {"D": D, "D*": best, "p_r": p_r, "p_g": p_g, "JS": js}


def value(D, p_r, p_g):
    """v(G, D) = ∫ p_r log D + p_g log(1 − D) dx, by the sum over the grid."""
    step = GRID[1] - GRID[0]
    D = np.clip(D, 1e-300, 1 - 1e-16)
    return float((p_r * np.log(D) + p_g * np.log1p(-D)).sum() * step)


@functools.cache
def game(start, seed=0):
    """Return the state after each epoch of the game, and the model."""
    rng = sg.generator(seed)
    model, x = networks(rng, start), data(DRAWS, rng)
    D = optim.Adam(model.discriminator.parameters(), 5e-3)
    G = optim.Adam(model.generator.parameters(), 5e-3, betas=(0.5, 0.999))
    states = []
    for _ in sg.train(model, x, [*[D] * D_STEPS, G], epochs=EPOCHS, batch_size=BATCH, rng=rng):
        states.append(state(model))
    return states, model


@functools.cache
def least_js():
    """The least D_JS of any Gaussian from the data, in nats, by SciPy's search."""
    from scipy import optimize

    p_r = density_of_data(GRID)

    def cost(theta):
        p_g = np.exp(-0.5 * ((GRID - theta[0]) / math.exp(theta[1])) ** 2)
        return metrics.jensen_shannon(p_r / p_r.sum(), p_g / p_g.sum())

    starts = [(0.0, 0.0), (MEANS[0], math.log(DEVIATIONS[0])), (MEANS[1], math.log(DEVIATIONS[1]))]
    return min(optimize.minimize(cost, start, method="Nelder-Mead").fun for start in starts)


def weighted_error(s):
    """The mean of |D − D*| where the data or the samples are, under (p_r + p_g)/2."""
    weights = s["p_r"] + s["p_g"]
    return float((np.abs(s["D"] - s["D*"]) * weights).sum() / weights.sum())


def picture():
    """Plot both densities, D and D* after some epochs, and the divergence over the epochs."""
    from matplotlib.figure import Figure

    states, _ = game(STARTS[0])
    figure = Figure(figsize=(11, 3.3), layout="constrained")
    axes = figure.subplots(1, len(SHOWN) + 1)
    inside = np.abs(GRID) <= 5
    for ax, epoch in zip(axes, SHOWN, strict=False):
        s = states[epoch - 1]
        ax.fill_between(GRID[inside], s["p_r"][inside], color="0.85", label="$p_r$, data")
        ax.plot(GRID[inside], s["p_g"][inside], "C2", label="$p_g$, samples")
        ax.plot(GRID[inside], s["D"][inside], "C0", label="$D$")
        ax.plot(GRID[inside], s["D*"][inside], "C3--", label="$D^*$")
        ax.set(xlabel="x", ylim=(-0.05, 1.25), title=f"epoch {epoch}")
    axes[0].legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(0, 0.62))
    js = [s["JS"] for s in states]
    axes[-1].plot(range(1, EPOCHS + 1), js, label="$D_{JS}(p_r \\Vert p_g)$")
    axes[-1].axhline(least_js(), color="0.5", linestyle="--", label="least of a Gaussian")
    axes[-1].set(xlabel="epoch", ylabel="nats", ylim=(0, None), title="divergence")
    axes[-1].legend(frameon=False, fontsize="small")
    return figure


def main(path=None):
    """Print the orbits of the small game, and the game on the line; plot it if given a path."""
    print(f"v(x, y) = x y, η = {ETA}: distance from the equilibrium\n")
    kinds = "simultaneous", "alternating", "optimistic"
    print(f"{'steps':>6}" + "".join(f"{kind:>14}" for kind in kinds))
    for steps in (1, 10, 50, 100, 200):
        print(f"{steps:6}" + "".join(f"{orbit(steps, kind)[-1]:14.4f}" for kind in kinds))

    print("\n0.7 N(−1, ½²) + 0.3 N(1.5, ½²) against G(z) = a z + b, in nats\n")
    names = "D_JS", "v(G, D*)", "2 D_JS − 2 log 2", "v(G, D)", "mean |D − D*|"
    for start in STARTS:
        states, model = game(start)
        print(f"{'epoch':>6}" + "".join(f"{name:>18}" for name in names))
        for epoch in (1, 2, 4, 8, 16, EPOCHS):
            s = states[epoch - 1]
            best, own = (value(s[name], s["p_r"], s["p_g"]) for name in ("D*", "D"))
            row = s["JS"], best, 2 * s["JS"] - 2 * math.log(2), own, weighted_error(s)
            print(f"{epoch:6}" + "".join(f"{number:18.4f}" for number in row))
        a, b = (p.data.item() for p in model.generator.parameters())
        print(f"from b = {start:g} to G(z) = {a:.3f} z + {b:.3f}\n")
    print(f"the least D_JS of any Gaussian is {least_js():.4f} nats")
    if path:
        picture().savefig(path, dpi=120)


if __name__ == "__main__":
    main(*sys.argv[1:2])
