"""Universal approximation"""

import numpy as np

import scratchgen as sg
from equations.table import agree, at_most, equation
from scratchgen import operations as ops
from scratchgen.models import feed_forward

# A network f of N steps, at the midpoints of the knots j/N: |F − f| ≤ (L/N) (1/2 + (2 ln 2)/k).
N, k, L = 32, 20.0, 2 * np.pi
grid = np.linspace(0, 1, 2001)[:, None]
knots = np.arange(N + 1) / N


def F(x):
    return np.sin(2 * np.pi * x)


f = feed_forward.Regressor(feed_forward.dense((1,), 1, sg.generator(0), (N,), "sigmoid"))
f.astype(np.float64)
_, hidden, _, out = f.network.layers
hidden.weight.data[:] = k * N
hidden.bias.data[:] = -k * N * (knots[1:] + knots[:-1]) / 2
out.weight.data[0], out.bias.data[:] = np.diff(F(knots)), F(knots[0])
epsilon = L / N * (1 / 2 + 2 * np.log(2) / k)


@equation(
    r"\sigma(z) = \begin{cases} 1 & z \rightarrow \infty \\ 0 & z \rightarrow -\infty"
    r" \end{cases}",
    "C: Universal approximation theorem",
    code="operations.activations:logistic",
    line="1 / (1 + np.exp(-z))",
    test="operations/test_activations.py::test_the_sigmoid_and_its_complement_add_up_to_1",
)
def UA1():
    agree(ops.sigmoid(np.array([1000.0, -1000.0])), [1, 0])


@equation(
    r"|F(\x) - f(\x; \Theta)| < \epsilon \quad \forall \x \in [0, 1]^d",
    "C: Universal approximation theorem",
    code="models.feed_forward:dense",
    line="x ↦ Wᴸ σ(… σ(W¹ x + b¹) …) + bᴸ",
    test="test_tutorials.py::test_the_constructed_network_is_as_near_to_a_continuous_target_as"
    "_the_proof_says",
)
def UA2():
    at_most(np.abs(F(grid) - f.predict(grid)).max(), epsilon)


@equation(
    r"\E[|F(\x)|^2] = \int_{\x \in D} |F(\x)|^2 p(\x) d\x < \infty",
    "C: The approximation theorem in words",
    code="models.feed_forward:Regressor.r_squared",
    line="spread = ((y - y.mean(axis=0)) ** 2).sum(axis=0)",
    test="test_tutorials.py::test_the_mean_square_error_falls_at_a_jump_too",
)
def UA3():
    # x is uniform on [0, 1], and ∫ sin²(2πx) dx = ½.
    middles = (np.arange(1000) + 0.5) / 1000
    agree(np.mean(F(middles) ** 2), 1 / 2)


@equation(
    r"\E[|F(\x) - f(\x; \Theta)|^2] = \int_{\x \in D} |F(\x) - f(\x; \Theta)|^2 p(\x) d\x <"
    r" \epsilon",
    "C: The approximation theorem in words",
    code="models.feed_forward:Regressor.nll",
    line="return ops.squared_error(outputs, y.reshape(len(y), -1))",
    test="test_tutorials.py::test_the_mean_square_error_falls_at_a_jump_too",
)
def UA4():
    middles = (np.arange(1000)[:, None] + 0.5) / 1000
    error = 2 * np.mean(f.nll(f.outputs(middles), F(middles)))
    bound = (L / N * (1 / 2 + np.pi / (np.sqrt(3) * k))) ** 2
    at_most(error, bound)
