"""A layer of your own, and its derivatives: a file to copy, for ``scratchgen check my_layer.py``.

The layer divides each row of its input by its root mean square and scales the result,

    r = √(mean x² + ε),    y = g ∘ x / r,

as RMSNorm does (Zhang and Sennrich 2019, eq. 4). By hand, with D numbers in a row and δ = ∂C/∂y,

    ∂C/∂g = Σₙ δ ∘ x / r,
    ∂C/∂x = (g ∘ δ − x (Σ g ∘ δ ∘ x) / (D r²)) / r.

The second term is the one that is forgotten: r depends on x too.

``scratchgen check`` calls every function of the file whose name begins with ``check_``. Each of
them returns a report: one checks the layer as a rule, the other within a cost. ``refused`` shows
what the check says of the forgotten term; the command leaves it alone, by its name.
"""

import numpy as np

import scratchgen as sg

EPSILON = 1e-6


@sg.differentiable
def rms_norm(x, g):
    """y = g ∘ x / r, r = √(mean x² + ε) of each row. ``x``: (n, D), ``g``: (D,)."""
    r = np.sqrt((x * x).mean(axis=1, keepdims=True) + EPSILON)

    def by_x(delta):
        shared = (g * delta * x).sum(axis=1, keepdims=True) / (x.shape[1] * r * r)
        return (g * delta - x * shared) / r

    return g * x / r, (
        by_x,  # ∂C/∂x = (g ∘ δ − x (Σ g ∘ δ ∘ x) / (D r²)) / r
        lambda delta: (delta * x / r).sum(axis=0),  # ∂C/∂g = Σₙ δ ∘ x / r
    )


def arrays():
    """General numbers: at x = 1 or g = 1, say, many a wrong derivative is right."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((5, 3)), rng.standard_normal(3)


def cost(x, g):
    """C = Σ tanh y, of plain arrays."""
    r = np.sqrt((x * x).mean(axis=1, keepdims=True) + EPSILON)
    return np.tanh(g * x / r).sum()


def by_hand(x, g):
    """∂C/∂x and ∂C/∂g, from the equations of the rule."""
    y, (by_x, by_g) = rms_norm.rule(x, g)
    delta = 1 - np.tanh(y) ** 2
    return by_x(delta), by_g(delta)


def forgetful(x, g):
    """∂C/∂x as if r did not depend on x."""
    y, (_, by_g) = rms_norm.rule(x, g)
    delta = 1 - np.tanh(y) ** 2
    r = np.sqrt((x * x).mean(axis=1, keepdims=True) + EPSILON)
    return g * delta / r, by_g(delta)


def check_the_rule():
    """Both equations of the rule, against numerical derivatives."""
    return sg.check_operation(rms_norm, *arrays())


def check_the_cost():
    """The derivative of a cost in which the layer stands."""
    return sg.check_gradient(cost, by_hand, *arrays())


def refused():
    """The report on the derivative that forgets a term."""
    return sg.check_gradient(cost, forgetful, *arrays())


def main():
    """Print the three reports."""
    print("The rule:\n", check_the_rule(), sep="\n")
    print("\nThe layer within a cost:\n", check_the_cost(), sep="\n")
    print("\nWith the second term of ∂C/∂x forgotten:\n", refused(), sep="\n")


if __name__ == "__main__":
    main()
