"""Two ways to fit a Gaussian to a mixture: cover all of it, or settle on one mode.

The notes, "Kullback-Leibler divergence" and "Jensen-Shannon divergence". A model q with few
parameters cannot equal the density p of the data. Which q is nearest depends on the divergence:

    forward, D_KL(p ‖ q) = ∫ p log(p/q) dx:    q must not be small where p is large,
    reverse, D_KL(q ‖ p) = ∫ q log(q/p) dx:    q must not be large where p is small.

Maximum likelihood minimises the forward one, since −E_p log q differs from it by a constant. For a
Gaussian q = N(μ, σ²) its gradient is zero where μ and σ² are the mean and the variance of p: q
covers both modes, and the valley between them. The reverse one is estimated from draws of the
model, x = μ + σ ε. It has a minimum at each mode of a mixture whose modes are far apart. A bound on
the evidence, as that of a VAE, has the reverse divergence D_KL(q(h|x) ‖ p(h|x)) as its gap. The
best discriminator of a GAN measures the Jensen–Shannon divergence, which is symmetric:

    D_JS(p ‖ q) = ½ D_KL(p ‖ m) + ½ D_KL(q ‖ m),   m = (p + q)/2.

The integrals are sums over a fine grid; those over ε are sums by Gauss and Hermite, whose gradient
by (μ, log σ) the library computes. At a mode with the share π that lies far from the others, the
least D_KL(q ‖ p) is −log π.

The last table sees only draws. Those of one mode have a recall and a coverage near the share of
that mode. Those of the forward fit lower the density and the coverage: some lie in the valley,
where real draws are rare and their balls large, so that the precision hardly notices.
"""

import functools
import sys

import numpy as np
from scipy import optimize

import scratchgen as sg
from scratchgen import metrics
from scratchgen import operations as ops

SHARES, MEANS, DEVIATIONS = np.array([0.6, 0.4]), np.array([-2.0, 2.5]), np.array([0.5, 0.8])
GRID = np.linspace(-12, 12, 4801)
NODES, WEIGHTS = np.polynomial.hermite.hermgauss(40)  # ∫ e^(−t²) f(t) dt = Σ wᵢ f(tᵢ)
DRAWS = 1000


def log_gaussian(x, mu, log_sigma):
    """Log N(x; μ, σ²)."""
    return -0.5 * ((x - mu) / ops.exp(log_sigma)) ** 2 - log_sigma - 0.5 * np.log(2 * np.pi)


def log_mixture(x):
    """Log p(x) = log Σₖ πₖ N(x; μₖ, σₖ²), for x: (n,)."""
    parts = log_gaussian(x.reshape(-1, 1), MEANS, np.log(DEVIATIONS)) + np.log(SHARES)
    return ops.logsumexp(parts, axis=1)


def forward():
    """The (μ, log σ) with the least D_KL(p ‖ q): mean and variance of p."""
    mean = SHARES @ MEANS
    variance = SHARES @ (DEVIATIONS**2 + (MEANS - mean) ** 2)
    return np.array([mean, 0.5 * np.log(variance)])


def reverse_cost(theta):
    """D_KL(q ‖ p) = Σᵢ wᵢ/√π [log q(xᵢ) − log p(xᵢ)],  xᵢ = μ + √2 σ tᵢ."""
    mu, log_sigma = theta[0], theta[1]
    x = mu + np.sqrt(2) * ops.exp(log_sigma) * NODES
    gap = log_gaussian(x, mu, log_sigma) - log_mixture(x)
    return (WEIGHTS * gap).sum() / np.sqrt(np.pi)


def reverse(start):
    """The (μ, log σ) to which descent from ``start`` leads."""
    found = optimize.minimize(sg.value_and_grad(reverse_cost), start, jac=True, tol=1e-12)
    return found.x


@functools.cache
def fits():
    """Return (μ, log σ) of each fit, by its name."""
    return {
        "forward": forward(),
        "reverse, left": reverse(np.array([MEANS[0], 0.0])),
        "reverse, right": reverse(np.array([MEANS[1], 0.0])),
    }


def divergences(theta):
    """D_KL(p ‖ q), D_KL(q ‖ p) and D_JS in nats, by the cells of the grid."""
    p, q = (np.exp(log) for log in (log_mixture(GRID), log_gaussian(GRID, *theta)))
    p, q = p / p.sum(), q / q.sum()
    q = np.maximum(q, 1e-300)  # below the smallest double, log q would be −∞
    q = q / q.sum()
    return (
        metrics.kl_divergence(p, q),
        metrics.kl_divergence(q, p),
        metrics.jensen_shannon(p, q),
    )


def draws(seed=0):
    """Return draws of p, and of each fit, (n, 1) each."""
    rng = sg.generator(seed)
    of_p = rng.choice(2, DRAWS, p=SHARES)
    real = MEANS[of_p] + DEVIATIONS[of_p] * rng.standard_normal(DRAWS)
    of_fits = {
        name: mu + np.exp(log_sigma) * rng.standard_normal(DRAWS)
        for name, (mu, log_sigma) in fits().items()
    }
    return real[:, None], {name: x[:, None] for name, x in of_fits.items()}


def picture():
    """Plot the density p, and the density of each fit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    ax = figure.subplots()
    x = GRID[np.abs(GRID) <= 8]
    ax.fill_between(x, np.exp(log_mixture(x)), color="0.85", label="p, the mixture")
    styles = {"forward": "-", "reverse, left": "--", "reverse, right": ":"}
    for name, theta in fits().items():
        of = "D_KL(p ‖ q)" if name == "forward" else "D_KL(q ‖ p)"
        label = f"{name}: least {of}"
        ax.plot(x, np.exp(log_gaussian(x, *theta)), styles[name], label=label)
    ax.set(xlabel="x", ylabel="density", title="Gaussians fitted to a mixture of two")
    ax.legend(frameon=False)
    return figure


def main(path=None):
    """Print the fits, their divergences and what samples show; plot them if given a path."""
    print("a Gaussian N(μ, σ²) fitted to 0.6 N(−2, 0.5²) + 0.4 N(2.5, 0.8²), in nats\n")
    print(f"{'fit':<16}{'μ':>7}{'σ':>7}{'D_KL(p‖q)':>12}{'D_KL(q‖p)':>12}{'D_JS':>8}")
    for name, theta in fits().items():
        forth, back, js = divergences(theta)
        sigma = np.exp(theta[1])
        print(f"{name:<16}{theta[0]:7.3f}{sigma:7.3f}{forth:12.3f}{back:12.3f}{js:8.3f}")
    print(f"\nthe bound of D_JS is log 2 = {np.log(2):.3f} nats, or 1 bit")

    real, of_fits = draws()
    print(f"\n{DRAWS} draws of each fit beside {DRAWS} draws of p")
    names = ("precision", "recall", "density", "coverage")
    print(f"{'draws of':<16}{'MMD²':>9}{'p-value':>9}" + "".join(f"{name:>11}" for name in names))
    for name, x in {"p itself": draws(seed=1)[0], **of_fits}.items():
        test = metrics.permutation_test(x, real, sg.generator(0))
        shares = metrics.precision_recall_density_coverage(x, real)
        line = f"{name:<16}{test.value:9.4f}{test.p_value:9.3f}"
        print(line + "".join(f"{share:11.2f}" for share in shares))
    if path:
        picture().savefig(path, dpi=120)


if __name__ == "__main__":
    main(*sys.argv[1:2])
