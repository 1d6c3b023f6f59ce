"""The notes' network of nine parameters: two inputs, two hidden units, one output.

It is the network of the notes, "Simple neural network and the back propagation equations", with the
sigmoid for σ⁽¹⁾ and σ⁽²⁾ and the cost ½ (a⁽²⁾ − y)². The notes give no numbers: these are ours.

    zᵢ⁽¹⁾ = Σⱼ wᵢⱼ⁽¹⁾ aⱼ⁽⁰⁾ + bᵢ⁽¹⁾,    z⁽²⁾ = Σᵢ wᵢ⁽²⁾ aᵢ⁽¹⁾ + b⁽²⁾,    a = σ(z),
    δ⁽²⁾ = (a⁽²⁾ − y) σ′(z⁽²⁾),         δᵢ⁽¹⁾ = wᵢ⁽²⁾ δ⁽²⁾ σ′(zᵢ⁽¹⁾),
    ∂C/∂wᵢ⁽²⁾ = δ⁽²⁾ aᵢ⁽¹⁾,             ∂C/∂wᵢⱼ⁽¹⁾ = δᵢ⁽¹⁾ aⱼ⁽⁰⁾,        ∂C/∂b = δ.

In ∂C/∂wᵢⱼ⁽¹⁾ the notes print aⱼ⁽¹⁾, the hidden units, in place of the inputs aⱼ⁽⁰⁾ (erratum E6).
"""

from __future__ import annotations

import numpy as np

from .. import operations as ops
from ..autodiff import Tensor
from .equations import SUBSCRIPTS
from .trace import Trace, trace

X = np.array([[1.0, 2.0]])  # a⁽⁰⁾, a batch of one
Y = np.array([[1.0]])
W1, B1 = np.array([[0.1, -0.2], [0.4, 0.3]]), np.array([0.1, -0.1])
W2, B2 = np.array([[0.5, -0.3]]), np.array([0.2])


def lecture() -> Trace:
    """The trace of the notes' network, back to its nine parameters.

    >>> lecture().gradients["w⁽²⁾"].round(4)
    array([[-0.0498, -0.0786]])
    """
    values = {"w⁽¹⁾": W1, "b⁽¹⁾": B1, "w⁽²⁾": W2, "b⁽²⁾": B2}
    parameters = {name: Tensor(value.copy()) for name, value in values.items()}
    w1, b1, w2, b2 = parameters.values()
    a0, y = X, Y
    z1 = ops.affine(a0, w1, b1)
    a1 = ops.sigmoid(z1)
    z2 = ops.affine(a1, w2, b2)
    a2 = ops.sigmoid(z2)
    cost = ops.squared_error(a2, y).mean()
    names = {"a⁽⁰⁾": a0, "z⁽¹⁾": z1, "a⁽¹⁾": a1, "z⁽²⁾": z2, "a⁽²⁾": a2, "y": y}
    return trace(cost, parameters, names)


def nine_derivatives(of: Trace) -> list[tuple[str, str, float]]:
    """The derivative ∂C/∂ each parameter of :func:`lecture`: its name, its equation, its number."""
    w1, b1, w2, b2 = (of.gradients[name] for name in ("w⁽¹⁾", "b⁽¹⁾", "w⁽²⁾", "b⁽²⁾"))
    units = [(i, str(i).translate(SUBSCRIPTS)) for i in range(2)]
    return [
        *((f"∂C/∂w{n}⁽²⁾", f"δ⁽²⁾ a{n}⁽¹⁾", float(w2[0, i])) for i, n in units),
        ("∂C/∂b⁽²⁾", "δ⁽²⁾", float(b2[0])),
        *(
            (f"∂C/∂w{n}{m}⁽¹⁾", f"δ{n}⁽¹⁾ a{m}⁽⁰⁾", float(w1[i, j]))
            for i, n in units
            for j, m in units
        ),
        *((f"∂C/∂b{n}⁽¹⁾", f"δ{n}⁽¹⁾", float(b1[i])) for i, n in units),
    ]


def report(of: Trace) -> str:
    """Return the nine derivatives, named as in the notes, and the trace behind them."""
    cost = of.nodes[0].tensor.data
    rows = nine_derivatives(of)
    equations = max(len(equation) for _, equation, _ in rows)
    listed = "\n".join(
        f"  {name:<10} = {equation:<{equations}} = {f'{value:+.6f}'.replace('-', '−')}"
        for name, equation, value in rows
    )
    return (
        "The notes' network: two inputs, two hidden units, one output, σ the sigmoid.\n"
        f"a⁽⁰⁾ = ({X[0, 0]:g}, {X[0, 1]:g}), y = {Y[0, 0]:g}:  "
        f"C = ½ (a⁽²⁾ − y)² = {float(cost):.6f}\n\n"
        f"{listed}\n\n"
        "For ∂C/∂wᵢⱼ⁽¹⁾ the notes print a⁽¹⁾ where the inputs a⁽⁰⁾ belong.\n\n"
        "Each equation that was used, from the cost back:\n\n"
        f"{of}"
    )
