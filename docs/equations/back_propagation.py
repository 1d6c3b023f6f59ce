"""Back propagation in general"""

import numpy as np

import scratchgen as sg
from equations.table import agree, apart, equation
from scratchgen import operations as ops
from scratchgen import optim

# Three layers, l = 0, 1, L = 2, each of three units, with sigmoids and C = ½ ‖aᴸ − y‖². The first
# index of a weight is the unit, wⱼₖ, as in the notes' ∂C/∂wⱼₖ = δⱼ aₖ.
rng = sg.generator(0)
a0, y = rng.standard_normal((1, 3)), rng.standard_normal((1, 3))
W1, b1, W2, b2 = (sg.Tensor(rng.standard_normal(s)) for s in ((3, 3), 3, (3, 3), 3))
z1 = ops.affine(a0, W1, b1)
a1 = ops.sigmoid(z1)
z2 = ops.affine(a1, W2, b2)
a2 = ops.sigmoid(z2)
C = ops.squared_error(a2, y).mean()

by_W1, by_b1, by_W2, by_b2 = sg.gradient(C, [W1, b1, W2, b2])
delta1, delta2, by_a2 = (delta[0] for delta in sg.gradient(C, [z1, z2, a2]))
aL, aL_1, target = a2.data[0], a1.data[0], y[0]


def sigma_prime(z):
    s = 1 / (1 + np.exp(-z.data[0]))
    return s * (1 - s)


@equation(
    r"\frac{\p \C((\Theta^L))}{\p w_{jk}^L} = (a_j^L - y_j) a_j^L (1 - a_j^L) a_k^{L-1}",
    "C: Getting serious, the back propagation equations for a neural network",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="operations/test_layers.py::test_the_equations_of_the_affine_map_are_those_that_its"
    "_docstring_prints",
)
def BP1():
    j, k = 1, 2
    agree(by_W2[j, k], (aL[j] - target[j]) * aL[j] * (1 - aL[j]) * aL_1[k])


@equation(
    r"\delta_j^L = a_j^L (1 - a_j^L) (a_j^L - y_j) = \sigma'(z_j^L) \frac{\p \C}{\p (a_j^L)}",
    "C: Getting serious, the back propagation equations for a neural network",
    code="operations.activations:sigmoid",
    line="delta * a * (1 - a)",
    test="operations/test_activations.py::test_far_out_value_and_derivative_are_finite_and_those_of"
    "_pytorch",
)
def BP2():
    agree(aL * (1 - aL) * (aL - target), sigma_prime(z2) * by_a2)


@equation(
    r"\delta^L = \sigma'(\hat{z}^L) \circ \frac{\p \C}{\p (\mathbf{a}^L)}",
    "C: Getting serious, the back propagation equations for a neural network",
    code="operations.activations:sigmoid",
    line="delta * a * (1 - a)",
    test="operations/test_rules.py::test_the_equations_are_the_adjoint_of_the_derivative",
)
def BP3():
    agree(delta2, sigma_prime(z2) * by_a2)


@equation(
    r"\frac{\p \C}{\p(a_j^L)}",
    "C: More considerations",
    code="operations.costs:squared_error",
    line="lambda delta: _along(delta, error) * error,",
    test="operations/test_rules.py::test_the_equations_are_the_adjoint_of_the_derivative",
)
def BP4():
    agree(by_a2, aL - target)


@equation(
    r"\frac{\p \C}{\p w_{jk}^L} = \delta_j^L a_k^{L-1}",
    "C: More considerations",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="operations/test_layers.py::test_the_equations_of_the_affine_map_are_those_that_its"
    "_docstring_prints",
)
def BP5():
    agree(by_W2, np.outer(delta2, aL_1))


@equation(
    r"\delta_j^L = \frac{\p \C}{\p z_j^L} = \frac{\p \C}{\p a_j^L} \frac{\p a_j^L}{\p z_j^L}",
    "C: Derivatives in terms of z_j^L",
    code="autodiff:gradient",
    line="∂C/∂x for each tensor x of ``wrt``",
    test="test_autodiff.py::test_each_delta_that_the_sweep_yields_is_finished",
)
def BP6():
    # The left side is a complex step in each z.
    def cost(z):
        return 0.5 * np.sum((1 / (1 + np.exp(-z)) - target) ** 2)

    z = z2.data[0]
    steps = [cost(z + 1e-200j * unit).imag / 1e-200 for unit in np.eye(3)]
    agree(steps, by_a2 * sigma_prime(z2))


@equation(
    r"\delta_j^L = \frac{\p \C}{\p b_j^L} \frac{\p b_j^L}{\p z_j^L} = \frac{\p \C}{\p b_j^L}",
    "C: Derivatives in terms of z_j^L",
    code="operations.layers:affine",
    line="lambda delta: delta.sum(axis=0),",
    test="operations/test_layers.py::test_the_equations_of_the_affine_map_are_those_that_its"
    "_docstring_prints",
)
def BP7():
    agree(delta2, by_b2)


@equation(
    r"\frac{\p \C(\hat{W}^L)}{\p w_{jk}^L} = \delta_j^L a_k^{L-1} \quad (1)",
    "C: Bringing it together",
    code="operations.layers:affine",
    line="lambda delta: delta.T @ a,",
    test="gradcheck/test_library.py::test_every_equation_of_every_rule_is_tried_and_agrees",
)
def BP8():
    j, k = 2, 0
    agree(by_W2[j, k], delta2[j] * aL_1[k])


@equation(
    r"\delta_j^L = \sigma'(z_j^L) \frac{\p \C}{\p (a_j^L)} \quad (2)",
    "C: Bringing it together",
    "C: Setting up the back propagation algorithm, part 2",
    code="operations.activations:sigmoid",
    line="delta * a * (1 - a)",
    test="gradcheck/test_library.py::test_every_equation_of_every_rule_is_tried_and_agrees",
)
def BP9():
    j = 1
    agree(delta2[j], sigma_prime(z2)[j] * by_a2[j])


@equation(
    r"\delta_j^L = \frac{\p \C}{\p b_j^L} \quad (3)",
    "C: Bringing it together",
    code="operations.layers:affine",
    line="lambda delta: delta.sum(axis=0),",
    test="gradcheck/test_library.py::test_every_equation_of_every_rule_is_tried_and_agrees",
)
def BP10():
    agree(delta2, by_b2)


@equation(
    r"\delta_j^l = \frac{\p \C}{\p z_j^l}",
    "C: Final back propagating equation",
    code="autodiff:",
    line="Reverse-mode differentiation: one sweep of δ = ∂C/∂(value)",
    test="tracing/test_trace.py::test_the_deltas_of_what_was_asked_for_are_the_gradient",
)
def BP11():
    def cost(z):
        a = 1 / (1 + np.exp(-z))
        return 0.5 * np.sum((1 / (1 + np.exp(-(W2.data @ a + b2.data))) - target) ** 2)

    z = z1.data[0]
    agree(delta1, [cost(z + 1e-200j * unit).imag / 1e-200 for unit in np.eye(3)])


@equation(
    r"\delta_j^l = \sum_k \frac{\p \C}{\p z_k^{l+1}} \frac{\p z_k^{l+1}}{\p z_j^l} = \sum_k"
    r" \delta_k^{l+1} \frac{\p z_k^{l+1}}{\p z_j^l}",
    "C: Final back propagating equation",
    code="autodiff:backward_sweep",
    line="deltas[x] = deltas[x] + share if x in deltas else share",
    test="test_autodiff.py::test_a_tensor_used_several_times_receives_the_sum_of_its_shares",
)
def BP12():
    # ∂z_k/∂z_j = w_kj σ′(z_j).
    jacobian = W2.data * sigma_prime(z1)
    agree(delta1, sum(delta2[k] * jacobian[k] for k in range(3)))


@equation(
    r"z_j^{l+1} = \sum_{i=1}^{M_l} w_{ij}^{l+1} a_i^l + b_j^{l+1}",
    "C: Final back propagating equation",
    code="operations.layers:affine",
    line="z = a @ W.T",
    test="test_tutorials.py::test_the_check_says_what_is_misprinted",
    erratum="E5",
    correct=r"z_j^{l+1} = \sum_{i=1}^{M_l} w_{ji}^{l+1} a_i^l + b_j^{l+1}",
)
def BP13():
    apart(aL_1 @ W2.data + b2.data, z2.data[0])
    agree([sum(W2.data[j, i] * aL_1[i] for i in range(3)) + b2.data[j] for j in range(3)], z2.data)


@equation(
    r"\delta_j^l = \sum_k \delta_k^{l+1} w_{kj}^{l+1} \sigma'(z_j^l)",
    "C: Final back propagating equation",
    "C: Setting up the back propagation algorithm, part 2",
    "C: Updating the gradients",
    code="operations.layers:affine",
    line="lambda delta: delta @ W,",
    test="operations/test_layers.py::test_the_equations_of_the_affine_map_are_those_that_its"
    "_docstring_prints",
)
def BP14():
    # This line has the right order of the indices; it is the one before that does not fit to it.
    agree(delta1, [sum(delta2 * W2.data[:, j]) * sigma_prime(z1)[j] for j in range(3)])


@equation(
    r"w_{jk}^l \leftarrow w_{jk}^l - \eta \delta_j^l a_k^{l-1}",
    "C: Setting up the Back propagation algorithm, part 3",
    "C: Updating the gradients",
    code="optim.optimizer:Optimizer.step",
    line="self.apply(gradients)",
    test="test_tutorials.py::test_the_four_updates_learn_xor_and_those_with_a_misprint_do_not",
    erratum="E10",
    correct=r"w_{jk}^l \leftarrow w_{jk}^l - \eta \delta_j^l a_k^{l-1}, \quad l = L, L - 1,"
    r" \dots, 1",
)
def BP15():
    parameters = [sg.Tensor(W.data.copy()) for W in (W1, W2)]
    optim.SGD(parameters, lr=0.1).step([by_W1, by_W2])
    # The notes let l begin with L − 1, and so leave W² as it is.
    apart(W2.data, parameters[1].data)
    agree(parameters[0].data, W1.data - 0.1 * np.outer(delta1, a0[0]))
    agree(parameters[1].data, W2.data - 0.1 * np.outer(delta2, aL_1))


@equation(
    r"b_j^l \leftarrow b_j^l - \eta \frac{\p \C}{\p b_j^l} = b_j^l - \eta \delta_j^l",
    "C: Setting up the Back propagation algorithm, part 3",
    "C: Updating the gradients",
    code="optim.optimizer:Optimizer.step",
    line="self.apply(gradients)",
    test="test_tutorials.py::test_the_four_updates_learn_xor_and_those_with_a_misprint_do_not",
    erratum="E10",
    correct=r"b_j^l \leftarrow b_j^l - \eta \frac{\p \C}{\p b_j^l} = b_j^l - \eta \delta_j^l,"
    r" \quad l = L, L - 1, \dots, 1",
)
def BP16():
    b = sg.Tensor(b2.data.copy())
    optim.SGD([b], lr=0.1).step([by_b2])
    apart(b2.data, b.data)
    agree(b.data, b2.data - 0.1 * delta2)
