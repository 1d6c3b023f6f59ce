"""A perceptron with one input: two derivatives, and what gradient descent makes of them.

The notes' first network, "First network example, simple perceptron with one input". One weight and
one bias, the identity for σ, and one observation (x, y) of the line y = 2x + 1, at x = 4:

    z₁ = w₁ x + b₁,    a₁ = σ(z₁) = z₁,    C = ½ (a₁ − y)².

The chain rule takes C apart from the outside in. What all derivatives share is called δ:

    δ₁      = ∂C/∂a₁ ∂a₁/∂z₁        = (a₁ − y) σ′(z₁) = a₁ − y,
    ∂C/∂w₁  = δ₁ ∂z₁/∂w₁            = δ₁ x,
    ∂C/∂b₁  = δ₁ ∂z₁/∂b₁            = δ₁.

Gradient descent subtracts η times these, and nothing is left to chance: put the new w₁ and b₁ into
a₁ − y, and one iteration is seen to multiply δ₁ by a constant,

    δ₁ ← (w₁ − η δ₁ x) x + (b₁ − η δ₁) − y = (1 − η (1 + x²)) δ₁.

With η = 0.01 and x = 4 that is 0.83. After n iterations the cost is 0.83²ⁿ C₀; it would grow if η
were larger than 2 / (1 + x²) = 2/17. The parameters move along (x, 1) only, so they end on the line
w₁ x + b₁ = y, at the point of it that is nearest to the start: one observation fixes one number.
"""

import numpy as np

import scratchgen as sg

X, Y = 4.0, 2 * 4.0 + 1.0
ETA, ITERATIONS = 0.01, 40


def initial(seed=0):
    """w₁, then b₁, from N(0, 1): the two numbers that the notes' code draws."""
    rng = np.random.RandomState(seed)
    return rng.randn(), rng.randn()


def feed_forward(w1, b1, x):
    """a₁ = w₁ x + b₁."""
    return x * w1 + b1


def cost(w1, b1, x, y):
    """C = ½ (a₁ − y)²."""
    return 0.5 * (feed_forward(w1, b1, x) - y) ** 2


def by_hand(w1, b1, x, y):
    """∂C/∂w₁ = δ₁ x and ∂C/∂b₁ = δ₁."""
    delta1 = feed_forward(w1, b1, x) - y
    return delta1 * x, delta1


def by_engine(w1, b1, x, y):
    """The same two, from the recorded equations of the cost."""
    return sg.grad(cost, argnum=(0, 1))(w1, b1, x, y)


def train(derivatives, eta=ETA, iterations=ITERATIONS, seed=0):
    """w₁ ← w₁ − η ∂C/∂w₁ and b₁ ← b₁ − η ∂C/∂b₁, so many times; both at the end."""
    w1, b1 = initial(seed)
    for _ in range(iterations):
        dw1, db1 = derivatives(w1, b1, X, Y)
        w1 = w1 - eta * dw1
        b1 = b1 - eta * db1
    return w1, b1


def contraction(eta=ETA, x=X):
    """1 − η (1 + x²), by which each iteration multiplies δ₁."""
    return 1 - eta * (1 + x * x)


def main():
    """Print the check, the training, and what the theory says of it."""
    w1, b1 = initial()
    print("At the start, w₁ and b₁ from NumPy's seed 0:\n")
    print(sg.check_gradient(cost, by_hand, w1, b1, X, Y))

    trained = train(by_hand)
    at_first, at_last = cost(w1, b1, X, Y), cost(*trained, X, Y)
    print(f"\n{ITERATIONS} iterations with η = {ETA}:")
    print(f"  C by hand            {at_last!r}")
    print(f"  C with the engine    {float(cost(*train(by_engine), X, Y))!r}")
    print(
        f"  C₀ · {contraction():.2f}^{2 * ITERATIONS}         "
        f"{at_first * contraction() ** (2 * ITERATIONS)!r}"
    )
    print(
        f"  w₁ x + b₁ = {feed_forward(*trained, X):.6f}, y = {Y}, yet w₁ = {trained[0]:.4f} and "
        f"b₁ = {trained[1]:.4f}: one observation of y = 2x + 1 does not tell 2 and 1"
    )


if __name__ == "__main__":
    main()
