"""The notes' misprinted derivatives, each tried live: as printed, and as it should be.

A derivative is not right because it is printed. For each of the notes' misprints that concerns one
there is a cost here, the derivative as the notes have it, and the corrected one; the check refuses
the first, says what is wrong with it, and accepts the second. The numbers have to be general: at
a₀ = 1, say, nothing tells a derivative without a₀ from a right one.

Four, E3, E8, E11 and E23, are misprints of a function, and the derivative is what follows from it.
``NO_DERIVATIVE`` lists the misprints from which no derivative follows, with the reason.

Three of them are about a model p(x; θ) = f(x; θ) / Z(θ), Z = Σₓ f(x; θ), and n observations X:

    log p(X; θ)  = Σᵢ log f(xᵢ; θ) − n log Z(θ),
    ∇ log p(X)   = Σᵢ ∇log f(xᵢ) − n ∇log Z,
    ∇ log Z      = Σₓ ∇f(x) / Z = Σₓ p(x) ∇log f(x) = E ∇log f.

The first sum is the positive phase, the second the negative one. Here both are small enough to be
sums over all states: of a restricted Boltzmann machine, with f(x, h) = e^{aᵀx + bᵀh + xᵀWh} and so
f(x) = e^{aᵀx} Πⱼ (1 + e^{bⱼ + (xᵀW)ⱼ}), and of Ising's chain of spins ±1, f(s) = e^{J Σᵢ sᵢ sᵢ₊₁},
which has log Z = log 2 + (m − 1) log(2 cosh J), and (m − 1) tanh J for its derivative.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import scratchgen as sg
from scratchgen import operations as ops


@dataclass(frozen=True)
class Erratum:
    """A misprint: where it stands, both versions in symbols, and both as code."""

    id: str
    where: str
    printed: str
    correct: str
    cost: Callable[..., Any]
    as_printed: Callable[..., Any]
    corrected: Callable[..., Any]
    arrays: tuple[Any, ...]

    def check_printed(self) -> sg.gradcheck.Report:
        """The check of what the notes print."""
        return sg.check_gradient(self.cost, self.as_printed, *self.arrays)

    def check_corrected(self) -> sg.gradcheck.Report:
        """The check of what they should print."""
        return sg.check_gradient(self.cost, self.corrected, *self.arrays)


def sigmoid(z):
    """σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def states(n):
    """All 2ⁿ rows of n zeros and ones."""
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.float64)


# E1: the partition function of n observations is Zⁿ.


def log_f(a, b, W, x):
    """log f(x) = aᵀx + Σⱼ log(1 + e^{bⱼ + (xᵀW)ⱼ}), of each row."""
    return x @ a + ops.softplus(x @ W + b).sum(axis=1)


def grad_log_f(b, W, x):
    """∇log f(x) by a, b and W, of each row: x, E h and x (E h)ᵀ."""
    h = sigmoid(x @ W + b)
    return x, h, x[:, :, None] * h[:, None, :]


def nll(a, b, W, x, every):
    """−log p(X) = n log Z − Σᵢ log f(xᵢ)."""
    return len(x) * ops.logsumexp(log_f(a, b, W, every)) - log_f(a, b, W, x).sum()


def phases(a, b, W, x, every):
    """Σᵢ ∇log f(xᵢ) and E ∇log f, for a, b and W."""
    log = log_f(a, b, W, every)
    p = np.exp(log - log.max())
    p /= p.sum()
    positive = [of.sum(axis=0) for of in grad_log_f(b, W, x)]
    negative = [np.tensordot(p, of, axes=1) for of in grad_log_f(b, W, every)]
    return positive, negative


def e1_printed(a, b, W, x, every):
    """−∇log p(X) = ∇log Z − Σ ∇log f."""
    positive, negative = phases(a, b, W, x, every)
    return [model - data for data, model in zip(positive, negative, strict=True)]


def e1_corrected(a, b, W, x, every):
    """−∇log p(X) = n ∇log Z − Σ ∇log f."""
    positive, negative = phases(a, b, W, x, every)
    return [len(x) * model - data for data, model in zip(positive, negative, strict=True)]


# E2: the derivative of log Z is the mean of a derivative.


def log_z(J, bonds):
    """log Z(J) = log Σₛ e^{J B(s)}, with B(s) = Σᵢ sᵢ sᵢ₊₁ in ``bonds``, one for each state."""
    return np.log(np.sum(np.exp(J * bonds)))


def e2_printed(J, bonds):
    """E log f = Σₛ p(s) J B(s)."""
    f = np.exp(J * bonds)
    return np.sum(f / f.sum() * J * bonds)


def e2_corrected(J, bonds):
    """E ∂log f/∂J = Σₛ p(s) B(s)."""
    f = np.exp(J * bonds)
    return np.sum(f / f.sum() * bonds)


def chain(m):
    """B(s) of all 2ᵐ states of a chain of m spins."""
    s = 2 * states(m) - 1
    return (s[:, 1:] * s[:, :-1]).sum(axis=1)


# E3: f is e⁻ᴱ, and brings its own value into its derivative.


def f(a, b, W, x, h):
    """f(x, h) = e⁻ᴱ = e^{aᵀx + bᵀh + xᵀWh}."""
    return np.exp(a @ x + b @ h + x @ W @ h)


def e3_printed(a, b, W, x, h):
    """∇f of f = −E: x, h and x hᵀ."""
    return x, h, np.outer(x, h)


def e3_corrected(a, b, W, x, h):
    """∇f of f = e⁻ᴱ: f x, f h and f x hᵀ."""
    value = f(a, b, W, x, h)
    return value * x, value * h, value * np.outer(x, h)


# E4: a hidden unit passes on the weight behind it.


def hidden(w1, b1, w2, b2, a0, y):
    """C = ½ (a₂ − y)², a₂ = σ(w₂ a₁ + b₂), a₁ = σ(w₁ a₀ + b₁)."""
    return 0.5 * (sigmoid(w2 * sigmoid(w1 * a0 + b1) + b2) - y) ** 2


def e4_printed(w1, b1, w2, b2, a0, y):
    """(a₂ − y) σ₂′ a₁ σ₁′ a₀ and (a₂ − y) σ₂′ σ₁′, and the right ones by w₂ and b₂."""
    a1 = sigmoid(w1 * a0 + b1)
    a2 = sigmoid(w2 * a1 + b2)
    delta2 = (a2 - y) * a2 * (1 - a2)
    slope = a1 * (1 - a1)
    return delta2 * a1 * slope * a0, delta2 * slope, delta2 * a1, delta2


def e4_corrected(w1, b1, w2, b2, a0, y):
    """(a₂ − y) σ₂′ w₂ σ₁′ a₀ and (a₂ − y) σ₂′ w₂ σ₁′, and those by w₂ and b₂."""
    a1 = sigmoid(w1 * a0 + b1)
    a2 = sigmoid(w2 * a1 + b2)
    delta2 = (a2 - y) * a2 * (1 - a2)
    delta1 = delta2 * w2 * a1 * (1 - a1)
    return delta1 * a0, delta1, delta2 * a1, delta2


# E5, E6, E10 and E19: two layers, with the index order of zⱼ = Σᵢ wᵢⱼ aᵢ + bⱼ.


def layers(W1, b1, W2, b2, x, y):
    """C = ½ ‖a² − y‖², a² = σ(a¹ W² + b²), a¹ = σ(x W¹ + b¹)."""
    return 0.5 * np.sum((sigmoid(sigmoid(x @ W1 + b1) @ W2 + b2) - y) ** 2)


def back(W1, b1, W2, b2, x, y, hand_back):
    """a¹, δ² and δ¹ = ``hand_back``(δ², W²) ∘ σ′(z¹)."""
    a1 = sigmoid(x @ W1 + b1)
    a2 = sigmoid(a1 @ W2 + b2)
    delta2 = (a2 - y) * a2 * (1 - a2)
    return a1, delta2, hand_back(delta2, W2) * a1 * (1 - a1)


def e5_printed(W1, b1, W2, b2, x, y):
    """δⱼ¹ = Σₖ δₖ² wₖⱼ² σ′(zⱼ¹)."""
    a1, delta2, delta1 = back(W1, b1, W2, b2, x, y, lambda delta, W: delta @ W)
    return np.outer(x, delta1), delta1, np.outer(a1, delta2), delta2


def layers_corrected(W1, b1, W2, b2, x, y):
    """δⱼ¹ = Σₖ δₖ² wⱼₖ² σ′(zⱼ¹); ∂C/∂wᵢⱼ = aᵢ δⱼ and ∂C/∂bⱼ = δⱼ, of both layers."""
    a1, delta2, delta1 = back(W1, b1, W2, b2, x, y, lambda delta, W: W @ delta)
    return np.outer(x, delta1), delta1, np.outer(a1, delta2), delta2


def e6_printed(W1, b1, W2, b2, x, y):
    """∂C/∂wᵢⱼ¹ = aᵢ¹ δⱼ¹, with the hidden units for the inputs."""
    a1, delta2, delta1 = back(W1, b1, W2, b2, x, y, lambda delta, W: W @ delta)
    return np.outer(a1, delta1), delta1, np.outer(a1, delta2), delta2


def e19_printed(W1, b1, W2, b2, x, y):
    """δ² and δ¹ with σ′ at a, which is σ(a) (1 − σ(a)), in place of σ′ at z."""
    a1 = sigmoid(x @ W1 + b1)
    a2 = sigmoid(a1 @ W2 + b2)
    delta2 = (a2 - y) * sigmoid(a2) * (1 - sigmoid(a2))
    delta1 = (W2 @ delta2) * sigmoid(a1) * (1 - sigmoid(a1))
    return np.outer(x, delta1), delta1, np.outer(a1, delta2), delta2


# E8: the mean over L draws.


def negative_elbo(mu, log_var, W, x, eps):
    """(1/L) Σₗ ½ ‖x − W h⁽ˡ⁾‖² + KL(N(μ, σ²) ‖ N(0, 1)), with h⁽ˡ⁾ = μ + σ ε⁽ˡ⁾."""
    h = mu + np.exp(log_var / 2) * eps
    reconstruction = ((h @ W.T - x) ** 2).sum(axis=1) / 2
    kl = np.sum(np.exp(log_var) + mu**2 - 1 - log_var) / 2
    return np.mean(reconstruction) + kl


def reconstruction_gradients(mu, log_var, W, x, eps):
    """Σₗ of the derivatives of ½ ‖x − W h⁽ˡ⁾‖² by μ, log σ² and W; ∂h/∂log σ² = ½ σ ε."""
    sigma = np.exp(log_var / 2)
    h = mu + sigma * eps
    delta = h @ W.T - x
    delta_h = delta @ W
    return delta_h.sum(axis=0), (delta_h * sigma * eps / 2).sum(axis=0), delta.T @ h


def e8_printed(mu, log_var, W, x, eps):
    """Σₗ, beside one KL divergence."""
    by_mu, by_log_var, by_W = reconstruction_gradients(mu, log_var, W, x, eps)
    return by_mu + mu, by_log_var + (np.exp(log_var) - 1) / 2, by_W


def e8_corrected(mu, log_var, W, x, eps):
    """(1/L) Σₗ."""
    by_mu, by_log_var, by_W = (
        share / len(eps) for share in reconstruction_gradients(mu, log_var, W, x, eps)
    )
    return by_mu + mu, by_log_var + (np.exp(log_var) - 1) / 2, by_W


# E10: an update for each layer, the last one too.

SHAPES = (2, 2), (2,), (2, 1), (1,)


def parameters(theta):
    """W¹, b¹, W² and b² out of one vector of all nine."""
    ends = np.cumsum([np.prod(shape) for shape in SHAPES])
    starts = [0, *ends[:-1]]
    return [
        theta[int(i) : int(j)].reshape(shape)
        for i, j, shape in zip(starts, ends, SHAPES, strict=True)
    ]


def update_cost(theta, x, y):
    """The cost of two layers by all their parameters, one vector."""
    return layers(*parameters(theta), x, y)


def update(theta, x, y, last):
    """The derivatives that an update for l = ``last``, …, 1 makes use of."""
    shares = layers_corrected(*parameters(theta), x, y)
    of_layer = 1, 1, 2, 2
    used = [
        share if layer <= last else np.zeros_like(share)
        for layer, share in zip(of_layer, shares, strict=True)
    ]
    return np.concatenate([share.reshape(-1) for share in used])


def e10_printed(theta, x, y):
    """l = L − 1, …, 1."""
    return update(theta, x, y, last=1)


def e10_corrected(theta, x, y):
    """l = L, …, 1."""
    return update(theta, x, y, last=2)


# E11 and E23: one term of the bound along a path x_{t−1}, x_t, x_{t+1}.


def log_ratio(a, b, log_var, before, here, after):
    """The mean of log q(x_t|x_{t−1})/p(x_t|x_{t+1}), for p = N(a x_{t+1} + b, e^{log σ²}).

    x_{t−1} is ``before``, x_t ``here`` and x_{t+1} ``after``; q = N(√α x_{t−1}, 1 − α) is fixed.
    """
    log_q = -((here - np.sqrt(ALPHA) * before) ** 2 / (1 - ALPHA) + np.log(1 - ALPHA)) / 2
    log_p = -((here - (a * after + b)) ** 2 / np.exp(log_var) + log_var) / 2
    return np.mean(log_q - log_p)


def of_gaussian(errors, times, log_var):
    """The derivatives of the mean of ½ (e²/σ² + log σ²) by a, b and log σ², e = x − (a y + b)."""
    variance = np.exp(log_var)
    by_log_var = (1 - np.mean(errors**2) / variance) / 2
    return -np.mean(errors * times) / variance, -np.mean(errors) / variance, by_log_var


def consistency(a, b, log_var, before, here, after):
    """−E ∇log p(x_t|x_{t+1}), at the sampled x_t."""
    return of_gaussian(here - (a * after + b), after, log_var)


def e11_printed(a, b, log_var, before, here, after):
    """−E ∇log p(x_t|x_{t−1})."""
    return of_gaussian(here - (a * before + b), before, log_var)


def e23_printed(a, b, log_var, before, here, after):
    """E ∇D_KL(q(x_t|x_{t−1}) ‖ p(x_t|x_{t+1})): the mean √α x_{t−1} of x_t, and its variance."""
    errors = np.sqrt(ALPHA) * before - (a * after + b)
    by_a, by_b, by_log_var = of_gaussian(errors, after, log_var)
    return by_a, by_b, by_log_var - (1 - ALPHA) / np.exp(log_var) / 2


def path(n, seed=0):
    """x_{t−1}, x_t and x_{t+1} of n paths q, from x_{t−1} ~ N(½, ¼)."""
    rng = sg.generator(seed)
    x = [0.5 + 0.5 * rng.standard_normal(n)]
    for _ in range(2):
        x.append(np.sqrt(ALPHA) * x[-1] + np.sqrt(1 - ALPHA) * rng.standard_normal(n))
    return tuple(x)


ALPHA = 0.7


def draw(*shapes, seed=0):
    """Arrays from N(0, 1)."""
    rng = sg.generator(seed)
    return tuple(rng.standard_normal(shape) for shape in shapes)


OBSERVED = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 1], [1, 1, 0]], dtype=np.float64)

ERRATA = [
    Erratum(
        "E1",
        "Optimization problem: n observations share one partition function",
        "∇log p(X) = Σᵢ ∇log f(xᵢ) − ∇log Z",
        "∇log p(X) = Σᵢ ∇log f(xᵢ) − n ∇log Z",
        nll,
        e1_printed,
        e1_corrected,
        (*draw((3,), (2,), (3, 2)), OBSERVED, states(3)),
    ),
    Erratum(
        "E2",
        "The derivative of the partition function",
        "∇log Z = E(log f)",
        "∇log Z = E(∇log f)",
        log_z,
        e2_printed,
        e2_corrected,
        (0.6, chain(4)),
    ),
    Erratum(
        "E3",
        "Introducing the energy model",
        "f = −E, so that ∂f/∂wᵢⱼ = xᵢ hⱼ",
        "f = exp(−E), so that ∂f/∂wᵢⱼ = f xᵢ hⱼ",
        f,
        e3_printed,
        e3_corrected,
        (*draw((3,), (2,), (3, 2)), np.array([1.0, 0.0, 1.0]), np.array([1.0, 1.0])),
    ),
    Erratum(
        "E4",
        "The derivatives of the hidden scalar layer",
        "∂C/∂w₁ = (a₂ − y) σ₂′ a₁ σ₁′ a₀,  ∂C/∂b₁ = (a₂ − y) σ₂′ σ₁′",
        "∂C/∂w₁ = (a₂ − y) σ₂′ w₂ σ₁′ a₀,  ∂C/∂b₁ = (a₂ − y) σ₂′ w₂ σ₁′",
        hidden,
        e4_printed,
        e4_corrected,
        (0.7, -0.3, -1.2, 0.4, 0.8, 0.35),
    ),
    Erratum(
        "E5",
        "Final back propagating equation, beside zⱼ = Σᵢ wᵢⱼ aᵢ + bⱼ",
        "δⱼ = Σₖ δₖ wₖⱼ σ′(zⱼ)",
        "δⱼ = Σₖ δₖ wⱼₖ σ′(zⱼ)",
        layers,
        e5_printed,
        layers_corrected,
        draw((3, 3), (3,), (3, 3), (3,), (3,), (3,)),
    ),
    Erratum(
        "E6",
        "Derivatives of the hidden layer, in the network with nine parameters",
        "∂C/∂w₀₀⁽¹⁾ = δ₀⁽¹⁾ a₀⁽¹⁾, and so for w₀₁, w₁₀ and w₁₁",
        "∂C/∂w₀₀⁽¹⁾ = δ₀⁽¹⁾ a₀⁽⁰⁾, with the inputs a⁽⁰⁾ = x",
        layers,
        e6_printed,
        layers_corrected,
        draw((2, 2), (2,), (2, 1), (1,), (2,), (1,)),
    ),
    Erratum(
        "E8",
        "Analytical evaluation of the bound: draws are added up beside one KL divergence",
        "Σₗ log p(x|h⁽ˡ⁾) − KL",
        "(1/L) Σₗ log p(x|h⁽ˡ⁾) − KL",
        negative_elbo,
        e8_printed,
        e8_corrected,
        draw((2,), (2,), (5, 2), (5,), (4, 2)),
    ),
    Erratum(
        "E10",
        "Setting up the back propagation algorithm, part 3",
        "an update for l = L − 1, L − 2, …, 1",
        "an update for l = L, L − 1, …, 1",
        update_cost,
        e10_printed,
        e10_corrected,
        draw((9,), (2,), (1,)),
    ),
    Erratum(
        "E11",
        "Variational diffusion, continued: the step back is written as a step forth",
        "−E ∇log p(x_t|x_{t−1})",
        "−E ∇log p(x_t|x_{t+1})",
        log_ratio,
        e11_printed,
        consistency,
        (0.8, 0.1, -0.4, *path(6)),
    ),
    Erratum(
        "E23",
        "The last term: a divergence over all x_t, where x_{t+1} has been drawn from one x_t",
        "E D_KL(q(x_t|x_{t−1}) ‖ p(x_t|x_{t+1}))",
        "E log q(x_t|x_{t−1})/p(x_t|x_{t+1}), at that x_t",
        log_ratio,
        e23_printed,
        consistency,
        (0.8, 0.1, -0.4, *path(6)),
    ),
    Erratum(
        "E19",
        "The linked code, a demonstration: where σ′ is taken",
        "δᴸ = (aᴸ − y) ∘ σ′(aᴸ), and so in the layers below",
        "δᴸ = (aᴸ − y) ∘ σ′(zᴸ)",
        layers,
        e19_printed,
        layers_corrected,
        draw((3, 3), (3,), (3, 3), (3,), (3,), (3,)),
    ),
]

NO_DERIVATIVE = {
    "E7": "a bound: the Jensen–Shannon divergence is at most ln 2 in nats, not 1",
    "E9": "a marginal, p(hⱼ) = Σᵢ f(xᵢ, hⱼ) / Z, with one index for two",
    "E12": "words: the forward process of a diffusion model is fixed, not trained",
    "E13": "a size: with T = 300 the prior-matching term is not small",
    "E14": "a name: a U-Net without skips or changes of resolution",
    "E15": "an estimate: the discrepancy of samples in [0, 1] from data in [−1, 1]",
    "E16": "code: one name for several dropout layers",
    "E17": "code: the lists of D's outputs are made outside the loop over epochs",
    "E18": "code: log(1 + exp z) overflows; its derivative σ(z) is right",
    "E20": "a matrix: the first row of the design matrix stands twice",
    "E21": "a label: epochs, not iterations",
    "E22": "a record: probabilities taken with dropout switched on",
}


def main():
    """Print each misprint, what the check says of it, and of the corrected version."""
    for erratum in ERRATA:
        printed, corrected = erratum.check_printed(), erratum.check_corrected()
        print(f"{erratum.id}  {erratum.where}")
        print(f"    printed  {erratum.printed}")
        print(f"    right    {erratum.correct}\n")
        print(printed)
        print(f"  the corrected version: {'accepted' if corrected.ok else corrected}\n")
    print("No derivatives:")
    for name, why in NO_DERIVATIVE.items():
        print(f"  {name:<4} {why}")


if __name__ == "__main__":
    main()
