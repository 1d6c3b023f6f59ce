"""The 2-2-1 network"""

import numpy as np

import scratchgen as sg
from equations.table import agree, apart, equation
from scratchgen import optim
from scratchgen.tracing.lecture import B1, B2, W1, W2, X, Y, lecture

# The notes give no numbers: these are the ones of `scratchgen trace`, with a batch of one sample.
network = lecture()
values = {node.symbol: node.tensor.data for node in network.nodes}
deltas = {node.symbol: node.delta for node in network.nodes}
slopes = network.gradients
x, y, w1, b1, w2, b2 = X, Y, W1, B1, W2[0], B2


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


a0 = x[0]
z1 = w1 @ a0 + b1
a1 = sigmoid(z1)
z2 = w2 @ a1 + b2
a2 = sigmoid(z2)
delta2 = (a2 - y[0]) * a2 * (1 - a2)
delta1 = w2 * a1 * (1 - a1) * delta2


def update(parameter, gradient, eta=0.1):
    """One step of gradient descent by the library."""
    theta = sg.Tensor(parameter.copy())
    optim.SGD([theta], lr=eta).step([gradient])
    return theta.data


@equation(
    r"x_0 = a_0^{(0)} \wedge x_1 = a_1^{(0)}",
    "C: Simple neural network and the back propagation equations",
    code="tracing.lecture:lecture",
    line="a0, y = X, Y",
    test="tracing/test_lecture.py::test_the_trace_names_what_the_notes_name",
)
def NN1():
    agree(a0, [x[0, 0], x[0, 1]])


@equation(
    r"\mathbf{w}_{ij}^{(1)} = \left\{ w_{00}^{(1)}, w_{01}^{(1)}, w_{10}^{(1)}, w_{11}^{(1)}"
    r" \right\} \wedge \mathbf{b}^{(1)} = \left\{ b_0^{(1)}, b_1^{(1)} \right\}",
    "C: Simple neural network and the back propagation equations",
    code="tracing.lecture:W1",
    line="W1, B1 = np.array",
    test="tracing/test_lecture.py::test_the_trace_names_what_the_notes_name",
)
def NN2():
    # The first index is the unit, the second the input: unit 0 sees its weights w₀₀ and w₀₁.
    agree(values["z⁽¹⁾"][0, 0], w1[0, 0] * x[0, 0] + w1[0, 1] * x[0, 1] + b1[0])


@equation(
    r"w_i^{(2)} = \{ w_0^{(2)}, w_1^{(2)} \} \wedge b^{(2)}",
    "C: The output layer",
    code="tracing.lecture:W2",
    line="W2, B2 = np.array",
    test="tracing/test_lecture.py::test_the_trace_names_what_the_notes_name",
)
def NN3():
    agree(values["z⁽²⁾"][0, 0], w2[0] * a1[0] + w2[1] * a1[1] + b2[0])


@equation(
    r"\Theta = \{ w_{00}^{(1)}, w_{01}^{(1)}, w_{10}^{(1)}, w_{11}^{(1)}, w_0^{(2)}, w_1^{(2)},"
    r" b_0^{(1)}, b_1^{(1)}, b^{(2)} \}",
    "C: The output layer",
    code="tracing.lecture:lecture",
    line='values = {"w⁽¹⁾": W1',
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN4():
    agree(sum(slope.size for slope in slopes.values()), 9)


@equation(
    r"\begin{bmatrix} z_0^{(1)} \\ z_1^{(1)} \end{bmatrix} = \begin{bmatrix} w_{00}^{(1)} &"
    r" w_{01}^{(1)} \\ w_{10}^{(1)} & w_{11}^{(1)} \end{bmatrix} \begin{bmatrix} a_0^{(0)} \\"
    r" a_1^{(0)} \end{bmatrix} + \begin{bmatrix} b_0^{(1)} \\ b_1^{(1)} \end{bmatrix}",
    "C: Compact expressions",
    code="tracing.lecture:lecture",
    line="z1 = ops.affine(a0, w1, b1)",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN5():
    agree(values["z⁽¹⁾"][0], w1 @ a0 + b1)


@equation(
    r"\begin{bmatrix} a_0^{(1)} \\ a_1^{(1)} \end{bmatrix} = \begin{bmatrix}"
    r" \sigma^{(1)}(z_0^{(1)}) \\ \sigma^{(1)}(z_1^{(1)}) \end{bmatrix}",
    "C: Compact expressions",
    code="tracing.lecture:lecture",
    line="a1 = ops.sigmoid(z1)",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN6():
    agree(values["a⁽¹⁾"][0], [sigmoid(z1[0]), sigmoid(z1[1])])


@equation(
    r"z^{(2)} = w_0^{(2)} a_0^{(1)} + w_1^{(2)} a_1^{(1)} + b^{(2)}",
    "C: Output layer",
    "C: Derivatives of the hidden layer",
    code="tracing.lecture:lecture",
    line="z2 = ops.affine(a1, w2, b2)",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN7():
    agree(values["z⁽²⁾"][0], w2[0] * a1[0] + w2[1] * a1[1] + b2)


@equation(
    r"a^{(2)} = \sigma^{(2)}(z^{(2)})",
    "C: Output layer",
    code="tracing.lecture:lecture",
    line="a2 = ops.sigmoid(z2)",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN8():
    agree(values["a⁽²⁾"][0], sigmoid(z2))


@equation(
    r"\frac{\p C}{\p w_i^{(2)}} = \frac{\p C}{\p a^{(2)}} \frac{\p a^{(2)}}{\p z^{(2)}} \frac{\p"
    r" z^{(2)}}{\p w_i^{(2)}} = \delta^{(2)} a_i^{(1)}",
    "C: Explicit derivatives",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN9():
    agree(slopes["w⁽²⁾"][0], delta2 * a1)


@equation(
    r"\delta^{(2)} = \frac{\p C}{\p a^{(2)}} \frac{\p a^{(2)}}{\p z^{(2)}}",
    "C: Explicit derivatives",
    code="operations.activations:sigmoid",
    line="delta * a * (1 - a)",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN10():
    agree(deltas["z⁽²⁾"][0], (a2 - y[0]) * a2 * (1 - a2))


@equation(
    r"\frac{\p C}{\p b^{(2)}} = \frac{\p C}{\p a^{(2)}} \frac{\p a^{(2)}}{\p z^{(2)}} \frac{\p"
    r" z^{(2)}}{\p b^{(2)}} = \delta^{(2)}",
    "C: Explicit derivatives",
    code="operations.layers:affine",
    line="lambda delta: delta.sum(axis=0),",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN11():
    agree(slopes["b⁽²⁾"], delta2)


@equation(
    r"\frac{\p C}{\p w_{00}^{(1)}} = \frac{\p C}{\p a^{(2)}} \frac{\p a^{(2)}}{\p z^{(2)}}"
    r" \frac{\p z^{(2)}}{\p z_0^{(1)}} \frac{\p z_0^{(1)}}{\p w_{00}^{(1)}} = \delta^{(2)}"
    r" \frac{\p z^{(2)}}{\p z_0^{(1)}} \frac{\p z_0^{(1)}}{\p w_{00}^{(1)}}",
    "C: Derivatives of the hidden layer",
    code="operations.layers:affine",
    line="lambda delta: delta @ W,",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN12():
    dz2_dz0 = w2[0] * a1[0] * (1 - a1[0])
    agree(slopes["w⁽¹⁾"][0, 0], delta2[0] * dz2_dz0 * a0[0])


@equation(
    r"\frac{\p z^{(2)}}{\p z_0^{(1)}} \frac{\p z_0^{(1)}}{\p w_{00}^{(1)}} = w_0^{(2)} \frac{\p"
    r" a_0^{(1)}}{\p z_0^{(1)}} a_0^{(1)}",
    "C: Derivatives of the hidden layer",
    code="operations.layers:affine",
    line="lambda delta: delta @ W,",
    test="tracing/test_lecture.py::test_the_gradient_check_rejects_the_hidden_units_that_the_notes"
    "_print_for_the_inputs",
    erratum="E6",
    correct=r"\frac{\p z^{(2)}}{\p z_0^{(1)}} \frac{\p z_0^{(1)}}{\p w_{00}^{(1)}} = w_0^{(2)}"
    r" \frac{\p a_0^{(1)}}{\p z_0^{(1)}} a_0^{(0)}",
)
def NN13():
    # The left side is the derivative of z⁽²⁾ by w₀₀⁽¹⁾, here from a complex step.
    moved = w1.astype(complex)
    moved[0, 0] += 1e-200j
    right = (w2 @ sigmoid(moved @ a0 + b1)).imag / 1e-200
    apart(w2[0] * a1[0] * (1 - a1[0]) * a1[0], right)
    agree(w2[0] * a1[0] * (1 - a1[0]) * a0[0], right)


@equation(
    r"\delta_0^{(1)} = w_0^{(2)} \frac{\p a_0^{(1)}}{\p z_0^{(1)}} \delta^{(2)}",
    "C: Final expression",
    code="operations.layers:affine",
    line="lambda delta: delta @ W,",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN14():
    agree(deltas["z⁽¹⁾"][0, 0], w2[0] * a1[0] * (1 - a1[0]) * delta2[0])


@equation(
    r"\frac{\p C}{\p w_{00}^{(1)}} = \delta_0^{(1)} a_0^{(1)}",
    "C: Final expression",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="tracing/test_lecture.py::test_the_gradient_check_rejects_the_hidden_units_that_the_notes"
    "_print_for_the_inputs",
    erratum="E6",
    correct=r"\frac{\p C}{\p w_{00}^{(1)}} = \delta_0^{(1)} a_0^{(0)}",
)
def NN15():
    right = slopes["w⁽¹⁾"][0, 0]
    apart(delta1[0] * a1[0], right)
    agree(delta1[0] * a0[0], right)


@equation(
    r"\frac{\p C}{\p w_{01}^{(1)}} = \delta_0^{(1)} a_1^{(1)}",
    "C: Final expression",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="tracing/test_lecture.py::test_the_gradient_check_rejects_the_hidden_units_that_the_notes"
    "_print_for_the_inputs",
    erratum="E6",
    correct=r"\frac{\p C}{\p w_{01}^{(1)}} = \delta_0^{(1)} a_1^{(0)}",
)
def NN16():
    right = slopes["w⁽¹⁾"][0, 1]
    apart(delta1[0] * a1[1], right)
    agree(delta1[0] * a0[1], right)


@equation(
    r"\frac{\p C}{\p w_{10}^{(1)}} = \delta_1^{(1)} a_0^{(1)}",
    "C: Completing the list",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="tracing/test_lecture.py::test_the_gradient_check_rejects_the_hidden_units_that_the_notes"
    "_print_for_the_inputs",
    erratum="E6",
    correct=r"\frac{\p C}{\p w_{10}^{(1)}} = \delta_1^{(1)} a_0^{(0)}",
)
def NN17():
    right = slopes["w⁽¹⁾"][1, 0]
    apart(delta1[1] * a1[0], right)
    agree(delta1[1] * a0[0], right)


@equation(
    r"\frac{\p C}{\p w_{11}^{(1)}} = \delta_1^{(1)} a_1^{(1)}",
    "C: Completing the list",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="tracing/test_lecture.py::test_the_gradient_check_rejects_the_hidden_units_that_the_notes"
    "_print_for_the_inputs",
    erratum="E6",
    correct=r"\frac{\p C}{\p w_{11}^{(1)}} = \delta_1^{(1)} a_1^{(0)}",
)
def NN18():
    right = slopes["w⁽¹⁾"][1, 1]
    apart(delta1[1] * a1[1], right)
    agree(delta1[1] * a0[1], right)


@equation(
    r"\delta_1^{(1)} = w_1^{(2)} \frac{\p a_1^{(1)}}{\p z_1^{(1)}} \delta^{(2)}",
    "C: Completing the list",
    code="operations.layers:affine",
    line="lambda delta: delta @ W,",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN19():
    agree(deltas["z⁽¹⁾"][0, 1], w2[1] * a1[1] * (1 - a1[1]) * delta2[0])


@equation(
    r"\frac{\p C}{\p b_0^{(1)}} = \delta_0^{(1)}",
    "C: Final expressions for the biases of the hidden layer",
    code="operations.layers:affine",
    line="lambda delta: delta.sum(axis=0),",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN20():
    agree(slopes["b⁽¹⁾"][0], delta1[0])


@equation(
    r"\frac{\p C}{\p b_1^{(1)}} = \delta_1^{(1)}",
    "C: Final expressions for the biases of the hidden layer",
    code="operations.layers:affine",
    line="lambda delta: delta.sum(axis=0),",
    test="tracing/test_lecture.py::test_the_nine_derivatives_are_the_closed_forms_of_the_notes",
)
def NN21():
    agree(slopes["b⁽¹⁾"][1], delta1[1])


@equation(
    r"w_i^{(2)} \leftarrow w_i^{(2)} - \eta \delta^{(2)} a_i^{(1)}",
    "C: Gradient expressions",
    code="optim.first_order:_descend",
    line="theta -= lr * g",
    test="test_tutorials.py::test_the_four_updates_are_those_of_the_notes_line_by_line",
)
def NN22():
    agree(update(w2, slopes["w⁽²⁾"][0]), w2 - 0.1 * delta2 * a1)


@equation(
    r"b^{(2)} \leftarrow b^{(2)} - \eta \delta^{(2)}",
    "C: Gradient expressions",
    code="optim.first_order:_descend",
    line="theta -= lr * g",
    test="test_tutorials.py::test_the_four_updates_are_those_of_the_notes_line_by_line",
)
def NN23():
    agree(update(b2, slopes["b⁽²⁾"]), b2 - 0.1 * delta2)


@equation(
    r"w_{ij}^{(1)} \leftarrow w_{ij}^{(1)} - \eta \delta_i^{(1)} a_j^{(0)}",
    "C: Gradient expressions",
    code="optim.first_order:_descend",
    line="theta -= lr * g",
    test="test_tutorials.py::test_the_four_updates_are_those_of_the_notes_line_by_line",
)
def NN24():
    agree(update(w1, slopes["w⁽¹⁾"]), w1 - 0.1 * np.outer(delta1, a0))


@equation(
    r"b_i^{(1)} \leftarrow b_i^{(1)} - \eta \delta_i^{(1)}",
    "C: Gradient expressions",
    code="optim.first_order:_descend",
    line="theta -= lr * g",
    test="test_tutorials.py::test_the_four_updates_are_those_of_the_notes_line_by_line",
)
def NN25():
    agree(update(b1, slopes["b⁽¹⁾"]), b1 - 0.1 * delta1)


@equation(
    r"y = f(x_0, x_1) = x_0^2 + 3x_0x_1 + x_1^2 + 5",
    "C: Gradient expressions",
    code="datasets.toys:polynomial",
    line="3 * x[:, 0] * x[:, 1]",
    test="datasets/test_toys.py::test_the_truth_table_and_the_polynomial",
)
def NN26():
    features, targets = sg.datasets.polynomial(100, sg.generator(0))
    x0, x1 = features.T
    agree(targets, x0**2 + 3 * x0 * x1 + x1**2 + 5)


@equation(
    r"\X = \begin{bmatrix} x_{00} & x_{01} \\ x_{00} & x_{01} \\ x_{10} & x_{11} \\ x_{20} &"
    r" x_{21} \\ \dots & \dots \\ \dots & \dots \\ x_{n-20} & x_{n-21} \\ x_{n-10} & x_{n-11}"
    r" \end{bmatrix}",
    "C: Gradient expressions",
    code="datasets.toys:polynomial",
    line="x = rng.random((n, 2))",
    test="datasets/test_toys.py::test_the_truth_table_and_the_polynomial",
    erratum="E20",
    correct=r"\X = \begin{bmatrix} x_{00} & x_{01} \\ x_{10} & x_{11} \\ x_{20} & x_{21} \\"
    r" \dots & \dots \\ x_{n-2,0} & x_{n-2,1} \\ x_{n-1,0} & x_{n-1,1} \end{bmatrix}",
)
def NN27():
    # Each of the n = 100 rows stands once.
    features, _ = sg.datasets.polynomial(100, sg.generator(0))
    agree(len(np.unique(features, axis=0)), 100)
