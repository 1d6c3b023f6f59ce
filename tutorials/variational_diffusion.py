"""The bound of a diffusion model, term by term, where each term is known exactly.

The notes, "Optimizing the variational diffusion model" and "Continues". A diffusion model is a
hierarchical VAE whose encoder q is fixed, and −log p(x₀) is at most the sum of three terms. There
are two ways to write it. Along a path x₀ → x_1 → … → x_T, each step of which is drawn from the
last, the third term compares the step forth with the step back at two random variables:

    consistency = Σ_t E log q(x_t|x_{t−1})/p(x_t|x_{t+1}).

With Bayes' rule for q(x_{t−1}|x_t, x₀), each term has one random variable, x_t:

    denoising = Σ_t E D_KL(q(x_{t−1}|x_t, x₀) ‖ p(x_{t−1}|x_t)).

For Gaussian data x₀ ~ N(m, s²) the best denoiser is a linear function of x_t, and each term is a
number. The first table has these numbers. The bound stays above the entropy of the data even with
the best denoiser: the true step back is no Gaussian of the variance β_t or β̃_t. The gap closes as
T grows. For N(0, 1) and the variance β_t it is zero for every T.

The notes print D_KL(q(x_t|x_{t−1}) ‖ p(x_t|x_{t+1})) in the consistency (erratum E23). The second
table shows how far that is from the log-ratio.

The notes say that one random variable in each term gives estimates of less variance than two. This
holds for each term by itself, as the third table shows. It does not hold for the whole bound: along
a path the errors of neighbouring terms cancel, while independent draws of x_t, one for each term,
add their variances up. Training draws one t at a time, so that nothing can cancel, and the second
form is the better one.
"""

import functools
import math
import sys

import numpy as np

import scratchgen as sg
from scratchgen.models import DDPM
from scratchgen.models.diffusion import bound

MEAN, DEVIATION = 0.7, 0.5
STEPS = (3, 10, 30, 100, 300)
DRAWS = 4000
COLUMNS = "reconstruction", "prior", "denoising", "sum", "gap"


def best(T, schedule, variance="beta", mean=MEAN, deviation=DEVIATION):
    """The chain whose ε̂(x_t) is E[ε|x_t] for the data N(mean, deviation²)."""

    def noise(x, time):
        left = model.alpha_bar[np.rint(time * T).astype(int)].reshape(-1, 1)
        variance_of_xt = left * deviation**2 + 1 - left
        return np.sqrt(1 - left) * (x - np.sqrt(left) * mean) / variance_of_xt

    model = DDPM(noise, (1,), T, schedule, variance)
    return model


def terms(model, mean=MEAN, deviation=DEVIATION):
    """Reconstruction, prior matching, and the denoising terms of t = 1 … T − 1, all exact.

    A term is a polynomial of second degree in ε and x₀. Hence its mean over ε = ±1 and
    x₀ = mean ± deviation is its expectation.
    """
    x0 = np.array([[mean - deviation], [mean + deviation]])

    def cost(t):
        both = (bound.step_cost(model, x0, t, sign * np.ones_like(x0)) for sign in (-1.0, 1.0))
        return sum(part.mean() for part in both) / 2

    prior = model.noising.prior_kl(x0).mean()
    return cost(0), prior, np.array([cost(t) for t in range(1, model.T)])


def entropy(deviation=DEVIATION):
    """½ log 2πe s², the mean of −log p(x₀) of the data themselves."""
    return 0.5 * math.log(2 * math.pi * math.e * deviation**2)


def consistency(model, t, draws, mean=MEAN, deviation=DEVIATION):
    """log q(x_t|x_{t−1})/p(x_t|x_{t+1}) at draws of three neighbours, and the printed divergence.

    ``draws``: (3, n) standard normal numbers, or numbers with their moments, from which come
    x_{t−1}, x_t = √α_t x_{t−1} + √β_t ε and x_{t+1} = √α_{t+1} x_t + √β_{t+1} ε′; (n,) each.
    """
    left = model.alpha_bar[t - 1] if t else 1.0
    beta, alpha, variance = model.beta[t], model.alpha, model.sigma[t + 1] ** 2
    before = math.sqrt(left) * mean + math.sqrt(left * deviation**2 + 1 - left) * draws[0]
    here = math.sqrt(alpha[t]) * before + math.sqrt(beta) * draws[1]
    after = math.sqrt(alpha[t + 1]) * here + math.sqrt(model.beta[t + 1]) * draws[2]
    of_p = model.p_sample(after[:, None], t + 1)[:, 0]
    log_ratio = 0.5 * (math.log(variance / beta) - draws[1] ** 2 + (here - of_p) ** 2 / variance)
    gap = math.sqrt(alpha[t]) * before - of_p
    kl = 0.5 * (math.log(variance / beta) - 1 + (beta + gap**2) / variance)
    return log_ratio, kl


def consistencies(model):
    """The consistency term, right and as it is printed: the means over all signs are exact."""
    signs = np.array(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0])).reshape(3, -1)
    each = [[of.mean() for of in consistency(model, t, signs)] for t in range(model.T - 1)]
    return np.sum(each, axis=0)


def of_one_term(T, t):
    """The standard deviations of one denoising term, and of one consistency term."""
    model, rng = best(T, "linear"), sg.generator(0)
    x0 = MEAN + DEVIATION * rng.standard_normal((DRAWS, 1))
    denoising = bound.step_cost(model, x0, t, rng.standard_normal((DRAWS, 1)))
    log_ratio, _ = consistency(model, t, rng.standard_normal((3, DRAWS)))
    return denoising.std(), log_ratio.std()


@functools.cache
def spreads(mean=MEAN, deviation=DEVIATION):
    """The standard deviation of one estimate of the bound, by T: independent x_t, and a path."""
    found = []
    for T in STEPS:
        model, rng = best(T, "linear", "beta", mean, deviation), sg.generator(0)
        x0 = mean + deviation * rng.standard_normal((DRAWS, 1))
        found.append([sum(f(model, x0, rng)).std() for f in (bound.elbo_terms, bound.path_terms)])
    return np.array(found)


def picture():
    """Plot each denoising term over t, and the spread of both estimates over T."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for schedule in ("linear", "cosine"):
        model = best(300, schedule)
        _, _, steps = terms(model)
        label = f"{schedule} β: {steps.sum():.3f} nats in all"
        left.plot(np.arange(1, model.T) / model.T, steps, label=label)
    left.set(yscale="log", xlabel="t/T", ylabel="nats", title="denoising terms, T = 300, σ² = β")
    left.legend(frameon=False)
    marks = "independent $x_t$, one a term", "one path"
    for name, style, of in (
        (f"N({MEAN:g}, {DEVIATION:g}²)", "-", spreads()),
        ("N(0, 1)", "--", spreads(0.0, 1.0)),
    ):
        for colour, mark, y in zip(("C2", "C3"), marks, of.T, strict=True):
            right.plot(STEPS, y, style, color=colour, marker="o", label=f"{mark}, {name}")
    right.set(xscale="log", ylim=(0, 1.6), xlabel="T, number of steps", ylabel="nats")
    right.set_title("spread of one estimate of the bound")
    right.legend(frameon=False, fontsize="small")
    return figure


def main(path=None):
    """Print the terms, the misprint, and the spread of estimates; plot them if given a path."""
    data = f"N({MEAN}, {DEVIATION}²)"
    print(f"x₀ ~ {data} with the best denoiser, in nats; the entropy is {entropy():.4f}\n")
    print(f"{'T':>5} {'schedule':<9}{'σ²':<11}" + "".join(f"{name:>15}" for name in COLUMNS))
    for T in (10, 100, 1000):
        for schedule in ("linear", "cosine"):
            for variance in ("beta", "posterior"):
                first, prior, steps = terms(best(T, schedule, variance))
                total = first + prior + steps.sum()
                row = first, prior, steps.sum(), total, total - entropy()
                said = {"beta": "β", "posterior": "β̃"}[variance]
                print(f"{T:5} {schedule:<9}{said:<11}" + "".join(f"{x:15.4f}" for x in row))

    print("\nthe consistency term along a path, and the divergence printed for it (erratum E23)")
    for T in (10, 100, 300):
        right, printed = consistencies(best(T, "linear"))
        print(f"T = {T:<5} right {right:8.3f} nats    printed {printed:8.3f} nats")

    print("\nstandard deviation of an estimate from one draw, linear β, in nats")
    print(f"{'T':>5}  {'data':<15}{'estimate of':<20}{'independent x_t':>16}{'one path':>12}")
    for T in STEPS[1:]:
        apart, along = of_one_term(T, T // 2)
        print(f"{T:5}  {data:<15}{'one term, t = T/2':<20}{apart:16.3f}{along:12.3f}")
    for name, of in ((data, spreads()), ("N(0, 1)", spreads(0.0, 1.0))):
        for T, (apart, along) in zip(STEPS, of, strict=True):
            print(f"{T:5}  {name:<15}{'the whole bound':<20}{apart:16.3f}{along:12.3f}")
    if path:
        picture().savefig(path, dpi=120)


if __name__ == "__main__":
    main(*sys.argv[1:2])
