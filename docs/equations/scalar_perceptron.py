"""The scalar perceptron"""

import numpy as np

import scratchgen as sg
from equations.table import agree, equation
from scratchgen import operations as ops

# The numbers of the notes: one input, its target on the line y = 2x + 1, and the identity for σ₁.
x, y = 4.0, 2 * 4.0 + 1
w1, b1 = 1.7640523496, 0.4001572084


def cost(w1, b1):
    a1 = w1 * x + b1
    return 0.5 * (a1 - y) ** 2


z1 = sg.Tensor([[w1 * x + b1]])
a1 = z1.data[0, 0]
C = ops.squared_error(z1, np.array([[y]])).mean()


@equation(
    r"z_1 = w_1 x + b_1",
    "C: First network example, simple perceptron with one input",
    code="operations.layers:affine",
    line="z = a @ W.T",
    test="operations/test_layers.py::test_the_affine_map_is_composed_of_a_product_and_a_sum",
)
def SP1():
    z = ops.affine(np.array([[x]]), np.array([[w1]]), np.array([b1]))
    agree(z, w1 * x + b1)


@equation(
    r"C(x; w_1, b_1) = \frac{1}{2}(a_1 - y)^2",
    "C: First network example, simple perceptron with one input",
    code="operations.costs:squared_error",
    line="return 0.5 * _per_sample(error * error), (",
    test="operations/test_costs.py::test_costs_are_those_of_the_closed_forms",
)
def SP2():
    agree(C.data, (a1 - y) ** 2 / 2)


@equation(
    r"\frac{\p C}{\p w_1} \text{ and } \frac{\p C}{\p b_1}",
    "C: Optimizing the parameters",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="test_tutorials.py::test_the_engine_takes_the_steps_of_the_hand_to_the_last_digit",
)
def SP3():
    # A complex step of i h gives a slope without a difference: Im C(w + i h)/h.
    h = 1e-200
    steps = [cost(w1 + h * 1j, b1).imag / h, cost(w1, b1 + h * 1j).imag / h]
    agree(sg.grad(cost, argnum=(0, 1))(w1, b1), steps)


@equation(
    r"\frac{\p C}{\p w_1} = \frac{\p C}{\p a_1} \frac{\p a_1}{\p z_1} \frac{\p z_1}{\p w_1} ="
    r" (a_1 - y) \sigma'_1 x",
    "C: Optimizing the parameters",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="test_tutorials.py::test_each_iteration_of_the_perceptron_multiplies_delta_by_one_number",
)
def SP4():
    agree(sg.grad(cost, argnum=0)(w1, b1), (a1 - y) * 1 * x)


@equation(
    r"\frac{\p C}{\p b_1} = \frac{\p C}{\p a_1} \frac{\p a_1}{\p z_1} \frac{\p z_1}{\p b_1} ="
    r" (a_1 - y) \sigma'_1",
    "C: Optimizing the parameters",
    code="operations.layers:affine",
    line="lambda delta: delta.sum(axis=0),",
    test="test_tutorials.py::test_each_iteration_of_the_perceptron_multiplies_delta_by_one_number",
)
def SP5():
    agree(sg.grad(cost, argnum=1)(w1, b1), (a1 - y) * 1)


@equation(
    r"\frac{\p C}{\p a_1} \frac{\p a_1}{\p z_1} = \delta_1",
    "C: Optimizing the parameters",
    code="operations.costs:squared_error",
    line="lambda delta: _along(delta, error) * error,",
    test="test_tutorials.py::test_each_iteration_of_the_perceptron_multiplies_delta_by_one_number",
)
def SP6():
    agree(sg.gradient(C, [z1])[0], a1 - y)


@equation(
    r"C(y, w_1, b_1) = \frac{1}{2}(a_1 - y)^2",
    "C: Implementing the simple perceptron model",
    code="operations.costs:squared_error",
    line="return 0.5 * _per_sample(error * error), (",
    test="test_tutorials.py::test_the_perceptron_ends_at_the_cost_of_the_notes_to_the_last_digit",
)
def SP7():
    agree(C.data, cost(w1, b1))
