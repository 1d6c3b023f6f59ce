"""One hidden unit: four derivatives, and a wrong one that trains all the same.

The notes, "Adding a hidden layer": the perceptron with one hidden unit between, all scalars, and
a₀ = x. Their code takes the sigmoid for σ₁ and the identity for σ₂:

    z₁ = w₁ a₀ + b₁,    a₁ = σ₁(z₁),
    z₂ = w₂ a₁ + b₂,    a₂ = σ₂(z₂),    C = ½ (a₂ − y)².

From the output back, each layer hands its δ to the one before. What z₂ = w₂ a₁ + b₂ hands to a₁ is
w₂, and that is where the hidden layer's two derivatives get theirs from:

    δ₂ = ∂C/∂z₂ = (a₂ − y) σ₂′,       ∂C/∂w₂ = δ₂ a₁,    ∂C/∂b₂ = δ₂,
    δ₁ = ∂C/∂z₁ = δ₂ w₂ σ₁′,          ∂C/∂w₁ = δ₁ a₀,    ∂C/∂b₁ = δ₁,

with σ′ = σ (1 − σ) for the sigmoid. The notes print (a₂ − y) σ₂′ a₁ σ₁′ a₀ for ∂C/∂w₁, with a₁ in
the place of w₂, and (a₂ − y) σ₂′ σ₁′ for ∂C/∂b₁, without w₂.

Would one notice? Not from the training, though a₁ ≈ 1 and 1 stand for w₂ = 0.4, so that both begin
2.5 times too large. The hidden unit is saturated, a₁ = 0.9991 and σ₁′ = 0.0009: w₁ and b₁ hardly
move, and w₂ and b₂ alone can fit one observation. The cost falls to nothing with either. That is
why a derivative is checked, and not merely trained with.

The run is that of the course: w₁, then w₂, from N(0, 1) with NumPy's seed 0, both biases 0.01, the
observation (4, 9) of y = 2x + 1, η = 0.1. Its code prints the cost of each iteration before the
update: 36.895630743854284, 23.62323174842504, … 1.1937160456525954e-08. These digits are arithmetic
on scalars, with no product of matrices in it, and every machine arrives at them.
"""

import numpy as np

import scratchgen as sg

X, Y = 4.0, 2 * 4.0 + 1.0
ETA, ITERATIONS = 0.1, 50


def initial(seed=0):
    """w₁, b₁, w₂, b₂: w₁, then w₂, from N(0, 1), and both biases 0.01."""
    rng = np.random.RandomState(seed)
    w1, w2 = rng.randn(), rng.randn()
    return w1, 0.01, w2, 0.01


def sigmoid(z):
    """σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def feed_forward(w1, b1, w2, b2, x):
    """a₁ and a₂."""
    a1 = sigmoid(w1 * x + b1)
    return a1, w2 * a1 + b2


def cost(w1, b1, w2, b2, x, y):
    """C = ½ (a₂ − y)²."""
    _, a2 = feed_forward(w1, b1, w2, b2, x)
    return 0.5 * (a2 - y) ** 2


def by_hand(w1, b1, w2, b2, x, y):
    """∂C/∂w₁, ∂C/∂b₁, ∂C/∂w₂, ∂C/∂b₂."""
    a0 = x
    a1, a2 = feed_forward(w1, b1, w2, b2, x)
    delta2 = a2 - y
    delta1 = delta2 * w2 * a1 * (1 - a1)
    return delta1 * a0, delta1, delta2 * a1, delta2


def as_printed(w1, b1, w2, b2, x, y):
    """The four as the notes print them: a₁ for w₂ in the first, no w₂ in the second."""
    a0 = x
    a1, a2 = feed_forward(w1, b1, w2, b2, x)
    delta2 = a2 - y
    sigma_prime = a1 * (1 - a1)
    return delta2 * a1 * sigma_prime * a0, delta2 * sigma_prime, delta2 * a1, delta2


def by_engine(w1, b1, w2, b2, x, y):
    """The four from the recorded equations of the cost."""
    return sg.grad(cost, argnum=(0, 1, 2, 3))(w1, b1, w2, b2, x, y)


def train(derivatives, eta=ETA, iterations=ITERATIONS):
    """θ ← θ − η ∂C/∂θ for the four parameters, so many times; C before each of the updates."""
    theta, costs = initial(), []
    for _ in range(iterations):
        costs.append(float(cost(*theta, X, Y)))
        steps = derivatives(*theta, X, Y)
        theta = tuple(value - eta * step for value, step in zip(theta, steps, strict=True))
    return costs


def main():
    """Print both checks, and three trainings."""
    theta = initial()
    print("The four derivatives, at the start:\n")
    print(sg.check_gradient(cost, by_hand, *theta, X, Y))
    print("\nThe four as printed:\n")
    print(sg.check_gradient(cost, as_printed, *theta, X, Y))

    print(f"\nC in {ITERATIONS} iterations with η = {ETA}:")
    for name, derivatives in (
        ("by hand", by_hand),
        ("with the engine", by_engine),
        ("as printed", as_printed),
    ):
        first, second, *_, last = train(derivatives)
        print(f"  {name:<16}  {first!r}, {second!r}, … {last!r}")


if __name__ == "__main__":
    main()
