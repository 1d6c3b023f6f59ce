"""The notes' network of nine parameters: its trace is their equations."""

import numpy as np

import scratchgen as sg
from scratchgen import tracing
from scratchgen.tracing.lecture import B1, B2, W1, W2, X, Y


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_hand():
    """The notes' equations for the nine derivatives, a⁽⁰⁾ in the place of a⁽¹⁾."""
    (a0,), (y,), (w,) = X, Y[0], W2
    z1 = W1 @ a0 + B1
    a1 = sigmoid(z1)
    a2 = sigmoid(w @ a1 + B2[0])
    delta2 = (a2 - y) * a2 * (1 - a2)
    delta1 = w * a1 * (1 - a1) * delta2
    derivatives = {f"∂C/∂w{n}⁽²⁾": delta2 * a1[i] for i, n in enumerate("₀₁")}
    derivatives["∂C/∂b⁽²⁾"] = delta2
    for i, n in enumerate("₀₁"):
        for j, m in enumerate("₀₁"):
            derivatives[f"∂C/∂w{n}{m}⁽¹⁾"] = delta1[i] * a0[j]
    derivatives |= {f"∂C/∂b{n}⁽¹⁾": delta1[i] for i, n in enumerate("₀₁")}
    return derivatives


def test_the_nine_derivatives_are_the_closed_forms_of_the_notes():
    expected = by_hand()
    rows = tracing.nine_derivatives(tracing.lecture())
    assert [name for name, _, _ in rows] == [*expected]
    for name, _, value in rows:
        np.testing.assert_allclose(value, expected[name], rtol=1e-13)


def test_the_gradient_check_rejects_the_hidden_units_that_the_notes_print_for_the_inputs():
    def cost(w):
        a1 = sigmoid(X @ w.T + B1)
        return float(0.5 * ((sigmoid(a1 @ W2.T + B2) - Y) ** 2).sum())

    def derivative(w, of):
        a1 = sigmoid(X @ w.T + B1)
        a2 = sigmoid(a1 @ W2.T + B2)
        delta1 = (a2 - Y) * a2 * (1 - a2) @ W2 * a1 * (1 - a1)
        return delta1.T @ (X if of == "inputs" else a1)

    assert sg.check_gradient(cost, lambda w: derivative(w, "inputs"), W1).ok
    assert not sg.check_gradient(cost, lambda w: derivative(w, "hidden units"), W1).ok


def test_the_trace_names_what_the_notes_name():
    lines = tracing.lecture().lines
    assert [line.to for line in lines] == [
        "C₁", "a⁽²⁾", "z⁽²⁾", "a⁽¹⁾", "w⁽²⁾", "b⁽²⁾", "z⁽¹⁾", "w⁽¹⁾", "b⁽¹⁾",
    ]  # fmt: skip
    assert [line.operation for line in lines[1:4]] == ["squared_error", "sigmoid", "affine"]


def test_the_report_prints_each_derivative_with_its_equation_and_number():
    text = tracing.report(tracing.lecture())
    for name, value in by_hand().items():
        assert f"{value:.6f}".replace("-", "−") in text
        assert name in text
    assert "∂C/∂w₀₁⁽¹⁾ = δ₀⁽¹⁾ a₁⁽⁰⁾" in text
    assert str(tracing.lecture()) in text
