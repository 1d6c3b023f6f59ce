"""Universal approximation: the error of one hidden layer against its width.

The notes, "Universal approximation theorem". Let σ be a continuous function with σ(z) → 1 for
z → ∞ and σ(z) → 0 for z → −∞, such as the sigmoid. For each continuous F on [0, 1] and each ε > 0
there is a network f(x; Θ) = c + Σⱼ aⱼ σ(wⱼ x + bⱼ) of one hidden layer with (Cybenko 1989)

    |F(x) − f(x; Θ)| < ε  for all x in [0, 1].

If only E|F(x)|² = ∫ |F(x)|² p(x) dx < ∞, as for an F that jumps, there is one with (Hornik 1991)

    E|F(x) − f(x; Θ)|² = ∫ |F(x) − f(x; Θ)|² p(x) dx < ε.

The notes add that the proofs say nothing of the width and of the weights. In one dimension a proof
can give both. Let the N units be steps of height F(xⱼ) − F(xⱼ₋₁) between the knots xⱼ = j/N, in the
middle mⱼ of xⱼ₋₁ and xⱼ, of the steepness κ = k N:

    f(x) = F(x₀) + Σⱼ (F(xⱼ) − F(xⱼ₋₁)) σ(κ (x − mⱼ)).

Collect the terms of each F(xⱼ). Its factor is a bump, σ(κ (x − mⱼ)) − σ(κ (x − mⱼ₊₁)) ≥ 0, and the
bumps add up to 1. They are probabilities: σ(κ u) is the probability that a logistic random number Λ
of scale 1/κ is at most u, so that the bump at xⱼ is the probability that xⱼ is the knot R nearest
to x − Λ. The network is a mean, f(x) = E[F(R)], and R is close to x: |R − x| ≤ 1/(2N) + |Λ| with
E|Λ| = 2 (ln 2)/κ. If |F(x) − F(y)| ≤ L |x − y|, then for all x

    |F(x) − f(x)| ≤ L E|R − x| ≤ (L/N) (1/2 + (2 ln 2)/k).

So N ≥ (L/ε) (1/2 + (2 ln 2)/k) units with weights k N are enough for the error ε.

An F with a jump J at s has no such f. The network is continuous, so that f(s) lies at least J/2
from one of the two limits of F at s: the greatest error is at least J/2, whatever the width. But
the jump matters only where it lies between x and R. For x uniform on [0, 1] this has a probability
of at most 2 E|R − x|, and by Minkowski's inequality

    √E|F − f|² ≤ (L/N) (1/2 + π/(√3 k)) + J √((1 + (4 ln 2)/k)/N).

The second network of each width is *trained*: it begins as a constructed network whose steps
overlap, k = 2, and descends on ½ E|F − f|² by L-BFGS with a line search. For a smooth F it is far
more accurate than the constructed network of its width, since it places its units where they are
needed. But its error does not fall with each further unit: the theorem states that a network of
error ε exists, not that descent finds it. At a jump its greatest error is at least J/2, too.
"""

import dataclasses
import sys
from collections.abc import Callable

import numpy as np

import scratchgen as sg
from scratchgen import optim, plotting
from scratchgen.models.feed_forward import Regressor, dense

WIDTHS = (2, 4, 8, 16, 32, 64)
STEEP, SOFT = 20.0, 2.0  # k of the constructed network, and of the one where training begins
STEPS = 400
SAMPLES = (np.arange(400) + 0.5) / 400  # x, uniform on [0, 1]
GRID = np.linspace(0, 1, 20_001)


@dataclasses.dataclass(frozen=True)
class Target:
    """F on [0, 1] with |F(x) − F(y)| ≤ L |x − y|, but for one jump, F(s) = F(s−) + J."""

    name: str
    F: Callable[[np.ndarray], np.ndarray]
    L: float = 2 * np.pi
    J: float = 0.0
    s: float = 0.6


SINE = Target("a continuous target", lambda x: np.sin(2 * np.pi * x))
JUMP = Target("a target with a jump of 1", lambda x: np.sin(2 * np.pi * x) + (x >= 0.6), J=1.0)


def sigmoid(z):
    """σ(z) = 1/(1 + e⁻ᶻ) = ½ + ½ tanh ½z."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)


@dataclasses.dataclass(frozen=True)
class Network:
    """f(x) = c + Σⱼ aⱼ σ(wⱼ x + bⱼ)."""

    w: np.ndarray
    b: np.ndarray
    a: np.ndarray
    c: float

    def __call__(self, x):
        return self.c + sigmoid(np.multiply.outer(x, self.w) + self.b) @ self.a

    @property
    def lipschitz(self):
        """|f′(x)| ≤ Σⱼ |aⱼ wⱼ|/4, since σ′ ≤ 1/4."""
        return np.abs(self.a * self.w).sum() / 4


def constructed(target, n, k=STEEP):
    """The network of n steps at the midpoints of n + 1 knots, each of steepness k n."""
    knots = np.arange(n + 1) / n
    midpoints, F = (knots[1:] + knots[:-1]) / 2, target.F(knots)
    return Network(np.full(n, k * n), -k * n * midpoints, np.diff(F), F[0])


def trained(target, n, steps=STEPS):
    """The network after ``steps`` steps of L-BFGS on ½ E|F − f|², and the cost of each step."""
    start = constructed(target, n, SOFT)
    model = Regressor(dense((1,), 1, sg.generator(0), (n,), "sigmoid")).astype(np.float64)
    _, hidden, _, out = model.network.layers
    hidden.weight.data[:, 0], hidden.bias.data[:] = start.w, start.b
    out.weight.data[0], out.bias.data[0] = start.a, start.c
    data = SAMPLES[:, None], target.F(SAMPLES)[:, None]
    search, all_of_them = optim.WolfeLBFGS(model.parameters()), {"batch_size": len(SAMPLES)}
    costs = [
        epoch.costs[0]
        for epoch in sg.train(model, data, search, epochs=steps, rng=sg.generator(0), **all_of_them)
    ]
    found = hidden.weight.data[:, 0], hidden.bias.data, out.weight.data[0], out.bias.data[0]
    return Network(*found), costs


def greatest_error(target, f):
    """The largest |F − f| on a grid, and at both limits of F at its jump."""
    at_jump = f(target.s) - target.F(target.s) + np.array([0.0, target.J])
    return max(np.abs(target.F(GRID) - f(GRID)).max(), np.abs(at_jump).max())


def mean_error(target, f):
    """√E|F − f|², with x uniform on the samples."""
    return np.sqrt(((target.F(SAMPLES) - f(SAMPLES)) ** 2).mean())


def greatest_bound(target, n, k=STEEP):
    """(L/N) (1/2 + (2 ln 2)/k), for a target without a jump."""
    return target.L / n * (0.5 + 2 * np.log(2) / k)


def mean_bound(target, n, k=STEEP):
    """(L/N) (1/2 + π/(√3 k)) + J √((1 + (4 ln 2)/k)/N)."""
    at_jump = np.sqrt((1 + 4 * np.log(2) / k) / n)
    return target.L / n * (0.5 + np.pi / (np.sqrt(3) * k)) + target.J * at_jump


def width_for(target, epsilon, k=STEEP):
    """The least N with (L/N) (1/2 + (2 ln 2)/k) < ε."""
    return int(greatest_bound(target, 1, k) / epsilon) + 1


def picture(networks):
    """Plot F with the networks of 8 units, and the errors of all widths."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row")
    for (above, below), (target, of_width) in zip(axes.T, networks.items(), strict=True):
        widths = [*of_width]
        shown = 8 if 8 in of_width else widths[-1]
        for x in np.split(GRID, [np.searchsorted(GRID, target.s)] if target.J else []):
            above.plot(x, target.F(x), "0.6", linewidth=4)
        for k, (name, f) in enumerate(of_width[shown].items()):
            above.plot(GRID, f(GRID), f"C{k}", label=f"{name}, {shown} units")
            greatest = [greatest_error(target, of_width[n][name]) for n in widths]
            mean = [mean_error(target, of_width[n][name]) for n in widths]
            below.plot(widths, greatest, f"C{k}o-", label=f"{name}: greatest $|F - f|$")
            below.plot(widths, mean, f"C{k}s:", label=rf"{name}: $\sqrt{{E|F - f|^2}}$")
        if target.J:
            below.axhline(target.J / 2, color="0.4", linestyle="--", label="half of the jump")
        else:
            bound = [greatest_bound(target, n) for n in widths]
            below.plot(widths, bound, "C0--", alpha=0.5, label="constructed: bound on $|F - f|$")
        above.lines[0].set_label("target $F$")
        above.set(title=target.name, xlabel="$x$")
        below.set(xscale="log", yscale="log", xlabel="units of the hidden layer")
        below.set_xticks(widths, [str(n) for n in widths], minor=False)
        below.minorticks_off()
        above.legend(frameon=False, fontsize=9)
        for ax in (above, below):
            ax.grid(alpha=0.25)
    axes[1, 0].set_ylabel("error")
    lines = {line.get_label(): line for ax in axes[1] for line in ax.get_lines()}
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=3, frameon=False)
    return figure


def main(path=None, widths=WIDTHS, steps=STEPS):
    """Print the errors of both networks at each width; plot them if given a path."""
    networks = {}
    for target in (SINE, JUMP):
        square = (target.F(SAMPLES) ** 2).mean()
        print(f"{target.name}, E|F|² = {square:.3f}\n")
        print(f"{'':<6}{'constructed':<30}{'trained':<20}")
        print(
            f"{'units':<6}{'greatest':<10}{'bound':<10}{'root mean':<10}{'greatest':<10}root mean"
        )
        networks[target] = {}
        for n in widths:
            each = {"constructed": constructed(target, n), "trained": trained(target, n, steps)[0]}
            networks[target][n] = each
            bound = f"{greatest_bound(target, n):.4f}" if not target.J else f"≥ {target.J / 2:g}"
            print(f"{n:<6}", end="")
            for name, f in each.items():
                greatest, mean = greatest_error(target, f), mean_error(target, f)
                print(f"{greatest:<10.2g}", end=f"{bound:<10}" if name == "constructed" else "")
                print(f"{mean:<10.2g}", end="")
            print()
        print()
    for epsilon in (0.1, 0.03, 0.01):
        n = width_for(SINE, epsilon)
        error = greatest_error(SINE, constructed(SINE, n))
        print(f"ε = {epsilon}: {n} units are enough, and their greatest error is {error:.2g}")
    if path:
        plotting.save(picture(networks), path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
