"""Two inputs, two hidden units, one output: nine derivatives, one by one, then as two lines.

The notes, "Simple neural network and the back propagation equations". The sigmoid stands for σ⁽¹⁾
and σ⁽²⁾, and the cost is ½ (a⁽²⁾ − y)². The index order is that of their "Compact expressions": the
first index of wᵢⱼ⁽¹⁾ is the unit, the second the input. (In "Final back propagating equation" they
mix it with the other one, erratum E5.)

    zᵢ⁽¹⁾ = wᵢ₀⁽¹⁾ a₀⁽⁰⁾ + wᵢ₁⁽¹⁾ a₁⁽⁰⁾ + bᵢ⁽¹⁾,     aᵢ⁽¹⁾ = σ(zᵢ⁽¹⁾),        a⁽⁰⁾ = x,
    z⁽²⁾  = w₀⁽²⁾ a₀⁽¹⁾ + w₁⁽²⁾ a₁⁽¹⁾ + b⁽²⁾,        a⁽²⁾ = σ(z⁽²⁾).

The output layer has one δ, and three derivatives made of it:

    δ⁽²⁾ = (a⁽²⁾ − y) σ′(z⁽²⁾),       ∂C/∂wᵢ⁽²⁾ = δ⁽²⁾ aᵢ⁽¹⁾,       ∂C/∂b⁽²⁾ = δ⁽²⁾.

Each hidden unit has its own, its part in z⁽²⁾ times its slope, and three derivatives made of that:

    δᵢ⁽¹⁾ = wᵢ⁽²⁾ δ⁽²⁾ σ′(zᵢ⁽¹⁾),     ∂C/∂wᵢⱼ⁽¹⁾ = δᵢ⁽¹⁾ aⱼ⁽⁰⁾,     ∂C/∂bᵢ⁽¹⁾ = δᵢ⁽¹⁾.

For ∂C/∂wᵢⱼ⁽¹⁾ the notes print δᵢ⁽¹⁾ aⱼ⁽¹⁾, four times (erratum E6). But ∂zᵢ⁽¹⁾/∂wᵢⱼ⁽¹⁾ is what the
weight multiplies, the input aⱼ⁽⁰⁾, as in the notes' own update a page later. A derivative by a
weight is always the δ behind the weight times the activation before it, and all nine are two lines:

    ∂C/∂W⁽ˡ⁾ = δ⁽ˡ⁾ᵀ a⁽ˡ⁻¹⁾,    ∂C/∂b⁽ˡ⁾ = Σ δ⁽ˡ⁾,    from δ⁽ˡ⁾ = (δ⁽ˡ⁺¹⁾ W⁽ˡ⁺¹⁾) ∘ σ′(z⁽ˡ⁾).

Here ∘ is the Hadamard product, entry by entry. Training repeats four updates, two for each layer,

    wᵢ⁽²⁾  ← wᵢ⁽²⁾  − η δ⁽²⁾ aᵢ⁽¹⁾,        b⁽²⁾  ← b⁽²⁾  − η δ⁽²⁾,
    wᵢⱼ⁽¹⁾ ← wᵢⱼ⁽¹⁾ − η δᵢ⁽¹⁾ aⱼ⁽⁰⁾,       bᵢ⁽¹⁾ ← bᵢ⁽¹⁾ − η δᵢ⁽¹⁾,

with all δ of the same θ; for several samples, with the means over them. In general the updates run
over l = L, L − 1, …, 1. The notes begin with L − 1, which would leave out the output layer (erratum
E10). The exclusive or, XOR, shows the difference: no network without hidden units can represent
it, this one learns it, and with either misprint it does not.
"""

import numpy as np

import scratchgen as sg
from scratchgen import operations as ops

NAMES = ("w00", "w01", "w10", "w11", "w0", "w1", "b0", "b1", "b")
THETA = (0.15, -0.25, 0.45, 0.35, 0.55, -0.3, 0.1, -0.2, 0.25)  # numbers of our own: the notes
X0, X1, Y = 0.8, -1.3, 0.9  # give none
XOR = np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 0, 1]), np.array([0.0, 1, 1, 0])  # x₀, x₁, y
ETA, ITERATIONS = 10.0, 2000


def sigmoid(z):
    """σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def feed_forward(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1):
    """a₀⁽¹⁾, a₁⁽¹⁾ and a⁽²⁾."""
    a0 = sigmoid(w00 * x0 + w01 * x1 + b0)
    a1 = sigmoid(w10 * x0 + w11 * x1 + b1)
    return a0, a1, sigmoid(w0 * a0 + w1 * a1 + b)


def cost(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1, y):
    """C = ½ (a⁽²⁾ − y)²."""
    *_, a = feed_forward(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1)
    return 0.5 * (a - y) ** 2


def deltas(w0, w1, a0, a1, a, y):
    """δ₀⁽¹⁾, δ₁⁽¹⁾ and δ⁽²⁾, with σ′(z) = a (1 − a)."""
    delta = (a - y) * a * (1 - a)
    return w0 * delta * a0 * (1 - a0), w1 * delta * a1 * (1 - a1), delta


def by_hand(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1, y):
    """The nine, in the order of the parameters."""
    a0, a1, a = feed_forward(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1)
    delta0, delta1, delta = deltas(w0, w1, a0, a1, a, y)
    return (
        delta0 * x0,  # ∂C/∂w₀₀⁽¹⁾ = δ₀⁽¹⁾ a₀⁽⁰⁾
        delta0 * x1,  # ∂C/∂w₀₁⁽¹⁾ = δ₀⁽¹⁾ a₁⁽⁰⁾
        delta1 * x0,  # ∂C/∂w₁₀⁽¹⁾ = δ₁⁽¹⁾ a₀⁽⁰⁾
        delta1 * x1,  # ∂C/∂w₁₁⁽¹⁾ = δ₁⁽¹⁾ a₁⁽⁰⁾
        delta * a0,  # ∂C/∂w₀⁽²⁾ = δ⁽²⁾ a₀⁽¹⁾
        delta * a1,  # ∂C/∂w₁⁽²⁾ = δ⁽²⁾ a₁⁽¹⁾
        delta0,  # ∂C/∂b₀⁽¹⁾ = δ₀⁽¹⁾
        delta1,  # ∂C/∂b₁⁽¹⁾ = δ₁⁽¹⁾
        delta,  # ∂C/∂b⁽²⁾ = δ⁽²⁾
    )


def as_printed(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1, y):
    """The nine as the notes print them: a⁽¹⁾ for a⁽⁰⁾ in the first four."""
    a0, a1, a = feed_forward(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1)
    delta0, delta1, delta = deltas(w0, w1, a0, a1, a, y)
    first = delta0 * a0, delta0 * a1, delta1 * a0, delta1 * a1
    return (*first, delta * a0, delta * a1, delta0, delta1, delta)


def without_the_output_layer(*arguments):
    """The nine that an update for l = L − 1, …, 1 uses: those of the output layer are left out."""
    nine = by_hand(*arguments)
    return (*nine[:4], 0.0, 0.0, *nine[6:8], 0.0)


def by_engine(*arguments):
    """The nine from the recorded equations of the cost, for one sample or the mean of several."""
    return sg.grad(lambda *given: np.mean(cost(*given)), argnum=range(9))(*arguments)


def train(derivatives, eta=ETA, iterations=ITERATIONS):
    """θ after the four updates on XOR, again and again, and the mean cost before each of them."""
    theta, costs = THETA, []
    for _ in range(iterations):
        costs.append(float(np.mean(cost(*theta, *XOR))))
        nine = derivatives(*theta, *XOR)
        theta = tuple(t - eta * np.mean(d) for t, d in zip(theta, nine, strict=True))
    return theta, costs


def trace():
    """The same network layer by layer, and every equation that its gradient uses."""
    w00, w01, w10, w11, w0, w1, b0, b1, b = THETA
    parameters = {
        "W⁽¹⁾": sg.Tensor([[w00, w01], [w10, w11]]),
        "b⁽¹⁾": sg.Tensor([b0, b1]),
        "W⁽²⁾": sg.Tensor([[w0, w1]]),
        "b⁽²⁾": sg.Tensor([b]),
    }
    W1, b1, W2, b2 = parameters.values()
    x, y = np.array([[X0, X1]]), np.array([[Y]])
    z1 = ops.affine(x, W1, b1)
    a1 = ops.sigmoid(z1)
    z2 = ops.affine(a1, W2, b2)
    a2 = ops.sigmoid(z2)
    names = {"a⁽⁰⁾": x, "z⁽¹⁾": z1, "a⁽¹⁾": a1, "z⁽²⁾": z2, "a⁽²⁾": a2, "y": y}
    return sg.trace(ops.squared_error(a2, y).mean(), parameters, names)


def main():
    """Print both checks, the nine numbers twice, and the way that the engine took."""
    arguments = (*THETA, X0, X1, Y)
    print("The nine derivatives:\n")
    print(sg.check_gradient(cost, by_hand, *arguments))
    print("\nThe nine as printed:\n")
    print(sg.check_gradient(cost, as_printed, *arguments))
    print("\n        by hand             by the engine")
    for name, one, other in zip(NAMES, by_hand(*arguments), by_engine(*arguments), strict=True):
        print(f"  {name:<4}{float(one):+.16f} {float(other):+.16f}")
    print("\nAs two layers, from the cost back:\n")
    print(trace())
    print(f"\nXOR after {ITERATIONS} times the four updates, η = {ETA:g}:\n")
    for name, derivatives in {
        "by hand": by_hand,
        "as printed, a⁽¹⁾ for a⁽⁰⁾ (E6)": as_printed,
        "as printed, l = L − 1, …, 1 (E10)": without_the_output_layer,
    }.items():
        theta, costs = train(derivatives)
        *_, a = feed_forward(*theta, *XOR[:2])
        said = "  ".join(f"{value:.3f}" for value in a)
        print(f"  {name:<36} mean cost {costs[0]:.4f} → {costs[-1]:.4f}   a⁽²⁾ = {said}")


if __name__ == "__main__":
    main()
