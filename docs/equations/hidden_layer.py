"""The hidden scalar layer"""

import numpy as np

import scratchgen as sg
from equations.table import agree, apart, equation
from scratchgen import operations as ops
from scratchgen import optim

# General numbers, as a₀ = 1 would hide a factor a₀. The sigmoid stands for σ₁ and for σ₂.
w1, b1, w2, b2 = (sg.Tensor([[w]]) for w in (0.7, -0.3, -1.2, 0.4))
a0, y = np.array([[0.8]]), np.array([[0.35]])

z1 = ops.affine(a0, w1, b1.reshape(1))
a1 = ops.sigmoid(z1)
z2 = ops.affine(a1, w2, b2.reshape(1))
a2 = ops.sigmoid(z2)
C = ops.squared_error(a2, y).mean()

slope1, slope2 = a1.data * (1 - a1.data), a2.data * (1 - a2.data)  # σ₁′ and σ₂′
delta2 = (a2.data - y) * slope2
delta1 = delta2 * w2.data * slope1


@equation(
    r"z_1 = w_1 a_0 + b_1 \wedge a_1 = \sigma_1(z_1)",
    "C: Adding a hidden layer",
    code="operations.layers:affine",
    line="z = a @ W.T",
    test="test_tutorials.py::test_the_hidden_layer_goes_the_way_of_matrices_and_complex_steps",
)
def HL1():
    agree(a1.data, 1 / (1 + np.exp(-(w1.data * a0 + b1.data))))


@equation(
    r"z_2 = w_2 a_1 + b_2 \wedge a_2 = \sigma_2(z_2)",
    "C: Adding a hidden layer",
    code="operations.activations:sigmoid",
    line="a = logistic(z)",
    test="test_tutorials.py::test_the_hidden_layer_goes_the_way_of_matrices_and_complex_steps",
)
def HL2():
    agree(a2.data, 1 / (1 + np.exp(-(w2.data * a1.data + b2.data))))


@equation(
    r"C(x; \Theta) = \frac{1}{2}(a_2 - y)^2",
    "C: Adding a hidden layer",
    code="operations.costs:squared_error",
    line="return 0.5 * _per_sample(error * error), (",
    test="test_tutorials.py::test_the_hidden_layer_goes_the_way_of_the_course_to_the_last_digit",
)
def HL3():
    agree(C.data, (a2.data - y) ** 2 / 2)


@equation(
    r"\frac{\p C}{\p w_2} = \frac{\p C}{\p a_2} \frac{\p a_2}{\p z_2} \frac{\p z_2}{\p w_2} ="
    r" (a_2 - y) \sigma'_2 a_1 = \delta_2 a_1",
    "C: The derivatives",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="test_tutorials.py::test_the_hidden_layer_goes_the_way_of_matrices_and_complex_steps",
)
def HL4():
    agree(sg.gradient(C, [w2])[0], delta2 * a1.data)


@equation(
    r"\frac{\p C}{\p b_2} = \frac{\p C}{\p a_2} \frac{\p a_2}{\p z_2} \frac{\p z_2}{\p b_2} ="
    r" (a_2 - y) \sigma'_2 = \delta_2",
    "C: The derivatives",
    code="operations.layers:affine",
    line="lambda delta: delta.sum(axis=0),",
    test="test_tutorials.py::test_the_hidden_layer_goes_the_way_of_matrices_and_complex_steps",
)
def HL5():
    agree(sg.gradient(C, [b2])[0], delta2)


@equation(
    r"\frac{\p C}{\p w_1} = \frac{\p C}{\p a_2} \frac{\p a_2}{\p z_2} \frac{\p z_2}{\p a_1}"
    r" \frac{\p a_1}{\p z_1} \frac{\p z_1}{\p w_1} = (a_2 - y) \sigma'_2 a_1 \sigma'_1 a_0",
    "C: The derivatives",
    code="operations.layers:affine",
    line="lambda delta: delta @ W,",
    test="test_tutorials.py::test_the_check_finds_the_weight_that_the_hidden_layer_lost",
    erratum="E4",
    correct=r"\frac{\p C}{\p w_1} = (a_2 - y) \sigma'_2 w_2 \sigma'_1 a_0 = \delta_1 a_0",
)
def HL6():
    right = sg.gradient(C, [w1])[0]
    apart(delta2 * a1.data * slope1 * a0, right)
    agree(delta1 * a0, right)


@equation(
    r"\frac{\p C}{\p b_1} = \frac{\p C}{\p a_2} \frac{\p a_2}{\p z_2} \frac{\p z_2}{\p a_1}"
    r" \frac{\p a_1}{\p z_1} \frac{\p z_1}{\p b_1} = (a_2 - y) \sigma'_2 \sigma'_1 = \delta_1",
    "C: The derivatives",
    code="operations.layers:affine",
    line="lambda delta: delta @ W,",
    test="test_tutorials.py::test_the_check_finds_the_weight_that_the_hidden_layer_lost",
    erratum="E4",
    correct=r"\frac{\p C}{\p b_1} = (a_2 - y) \sigma'_2 w_2 \sigma'_1 = \delta_1",
)
def HL7():
    right = sg.gradient(C, [b1])[0]
    apart(delta2 * slope1, right)
    agree(delta1, right)


@equation(
    r"w_i \leftarrow w_i - \eta \delta_i a_{i-1}",
    "C: The training",
    code="optim.first_order:_descend",
    line="theta -= lr * g",
    test="optim/test_first_order.py::test_200_steps_on_random_gradients_are_those_of_torch",
)
def HL8():
    w = sg.Tensor(w1.data.copy())
    optim.SGD([w], lr=0.1).step(sg.gradient(C, [w1]))
    agree(w.data, w1.data - 0.1 * delta1 * a0)


@equation(
    r"b_i \leftarrow b_i - \eta \delta_i",
    "C: The training",
    code="optim.first_order:_descend",
    line="theta -= lr * g",
    test="optim/test_first_order.py::test_200_steps_on_random_gradients_are_those_of_torch",
)
def HL9():
    b = sg.Tensor(b1.data.copy())
    optim.SGD([b], lr=0.1).step(sg.gradient(C, [b1]))
    agree(b.data, b1.data - 0.1 * delta1)
