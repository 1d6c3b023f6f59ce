"""Boltzmann machines"""

import numpy as np

import scratchgen as sg
from equations.table import agree, apart, equation
from scratchgen import operations as ops
from scratchgen.models import RBM

# Three visible and two hidden units: all sums over states can be written out.
learned = RBM(3, 2, rng=sg.generator(0)).astype(np.float64)
for parameter in learned.parameters():
    parameter.data[...] = sg.generator(1).standard_normal(parameter.shape)
machine = learned.frozen()
W, a, b = machine.W, machine.a, machine.b


def states(n):
    """All 2ⁿ rows of n zeros and ones."""
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.float64)


every_x, every_h = states(3), states(2)
f = np.array([[np.exp(a @ x + b @ h + x @ W @ h) for h in every_h] for x in every_x])
Z = f.sum()
X = every_x[[3, 5, 5, 6, 1]]  # five observations
n = len(X)


def log_f(W, a, b, x):
    """log f(x) = −F(x), where f(x) = Σₕ f(x, h): one number for each row."""
    return x @ a + ops.softplus(x @ W + b).sum(axis=1)


def flat(*gradients):
    """The entries of ∇ by W, a and b in one row."""
    return np.concatenate([g.ravel() for g in gradients])


def slope(cost):
    """∇ of a function of W, a and b, by the engine."""
    return flat(*sg.grad(cost, argnum=(0, 1, 2))(W, a, b))


def log_Z(W, a, b):
    return ops.logsumexp(log_f(W, a, b, every_x))


def log_p(W, a, b):
    """log p(X) of the five observations."""
    return log_f(W, a, b, X).sum() - n * log_Z(W, a, b)


of_each = np.array([slope(lambda *t, x=x: log_f(*t, x[None]).sum()) for x in every_x])  # ∇ log f(x)
p = f.sum(axis=1) / Z
of_data = slope(lambda *t: log_f(*t, X).sum())  # Σᵢ ∇ log f(xᵢ)


@equation(
    r"p(\X) = \prod_{x_i \in \X} p(x_i)",
    "A1 A2 A3: Energy models",
    code="models.rbm:RBM.log_likelihood",
    line="return -machine.free_energy(v.astype(np.float64)) - (",
    test="models/test_rbm.py::test_probabilities_sum_to_one",
)
def BM1():
    agree(machine.log_likelihood(X).sum(), np.log(np.prod([p[3], p[5], p[5], p[6], p[1]])))


@equation(
    r"p(x_i, h_j; \Theta) = \frac{f(x_i, h_j; \Theta)}{Z(\Theta)}",
    "A1 A2 A3 C: Probability model",
    code="models.rbm:",
    line="p(v, h) = exp(−E(v, h)) / Z",
    test="models/test_rbm.py::test_the_joint_frequencies_of_a_chain_are_the_boltzmann_probabilities",
)
def BM2():
    log_joint = -machine.energy(every_x[[5]], every_h[[2]]) - machine.log_partition()
    agree(np.exp(log_joint), f[5, 2] / Z)


@equation(
    r"Z(\Theta) = \sum_{x_i \in \X} \sum_{h_j \in \mathbf{H}} f(x_i, h_j; \Theta)",
    "A1 A2 A3 C: Probability model",
    "A1 A2 A3: Partition function",
    "C: Change of notation",
    "A1 A2 A3 C: The derivative of the partition function",
    code="models.rbm:RBM.log_partition",
    line="log_sum_over_states(b, W.T, machine.units.log_sum)",
    test="models/test_rbm.py::test_log_partition_is_the_sum_over_both_layers",
)
def BM3():
    agree(np.exp(machine.log_partition()), Z)


@equation(
    r"p(x_i; \Theta) = \frac{\sum_{h_j \in H} f(x_i, h_j; \Theta)}{Z(\Theta)}",
    "A1 A2 A3 C: Marginal and conditional probabilities",
    code="models.rbm:RBM.free_energy",
    line="return units.energy(v) - ops.softplus(z).sum(axis=1)",
    test="models/test_rbm.py::test_the_free_energy_is_minus_the_log_of_the_sum_over_h",
)
def BM4():
    agree(np.exp(machine.log_likelihood(every_x)), f.sum(axis=1) / Z)


@equation(
    r"p(h_i; \Theta) = \frac{\sum_{x_i \in X} f(x_i, h_i; \Theta)}{Z(\Theta)}",
    "A1 A2 A3 C: Marginal and conditional probabilities",
    code="models.rbm:RBM.log_likelihood_of_hidden",
    line="+ machine.units.log_sum(h @ machine.W.T)",
    test="models/test_rbm.py::test_the_probability_of_hidden_states_is_the_sum_over_the_visible_ones",
    erratum="E9",
    correct=r"p(h_j; \Theta) = \frac{\sum_{x_i \in X} f(x_i, h_j; \Theta)}{Z(\Theta)}",
)
def BM5():
    # One index for both would sum over pairs (xᵢ, hᵢ); with two, the sum is over x, for each h.
    agree(np.exp(machine.log_likelihood_of_hidden(every_h)), f.sum(axis=0) / Z)


@equation(
    r"Z(\Theta) = \sum_{\x} \sum_{\h} f(\x, \h; \Theta)",
    "A1 A2 A3: Partition function",
    "C: Change of notation",
    code="models.rbm:RBM.log_partition",
    line="n = self.n_summed",
    test="models/test_rbm.py::test_log_partition_goes_block_by_block_over_the_smaller_layer",
)
def BM6():
    agree(f.size, 2**3 * 2**2)
    agree(np.exp(machine.log_partition()), f.sum())


@equation(
    r"p(\X; \Theta) = \prod_{x_i \in \X} p(x_i; \Theta) = \prod_{x_i \in \X} \left("
    r" \frac{\sum_{h_j \in \mathbf{H}} f(x_i, h_j; \Theta)}{Z(\Theta)} \right)",
    "A1 A2 A3 C: Optimization problem",
    code="models.rbm:RBM.log_likelihood",
    line="return -machine.free_energy(v.astype(np.float64)) - (",
    test="models/test_rbm.py::test_probabilities_sum_to_one",
)
def BM7():
    rows = f.sum(axis=1)[[3, 5, 5, 6, 1]]
    agree(machine.log_likelihood(X).sum(), np.log(np.prod(rows / Z)))


@equation(
    r"p(\X; \Theta) = \frac{1}{Z(\Theta)} \prod_{x_i \in \X} \left( \sum_{h_j \in \mathbf{H}}"
    r" f(x_i, h_j; \Theta) \right)",
    "A1 A2 A3 C: Optimization problem",
    code="models.rbm:RBM.log_likelihood",
    line="self.log_partition() if log_z is None else log_z",
    test="test_tutorials.py::test_a_misprint_is_refused_and_its_correction_accepted",
    erratum="E1",
    correct=r"p(\X; \Theta) = \frac{1}{Z(\Theta)^n} \prod_{x_i \in \X} \left( \sum_{h_j \in"
    r" \mathbf{H}} f(x_i, h_j; \Theta) \right)",
)
def BM8():
    right = machine.log_likelihood(X).sum()
    log_product = np.log(f.sum(axis=1)[[3, 5, 5, 6, 1]]).sum()
    apart(log_product - np.log(Z), right)
    agree(log_product - n * np.log(Z), right)


@equation(
    r"p(\X; \Theta) = \frac{1}{Z(\Theta)} \prod_{x_i \in \X} f(x_i; \Theta)",
    "A1 A2 A3 C: Further simplifications",
    code="models.rbm:RBM.log_likelihood",
    line="self.log_partition() if log_z is None else log_z",
    test="test_tutorials.py::test_a_misprint_is_refused_and_its_correction_accepted",
    erratum="E1",
    correct=r"p(\X; \Theta) = \frac{1}{Z(\Theta)^n} \prod_{x_i \in \X} f(x_i; \Theta)",
)
def BM9():
    right = machine.log_likelihood(X).sum()
    apart(log_f(W, a, b, X).sum() - np.log(Z), right)
    agree(log_f(W, a, b, X).sum() - n * np.log(Z), right)


@equation(
    r"\arg \max_{\Theta \in \mathbb{R}^p} p(\X; \Theta)",
    "A1 A2 A3 C: Further simplifications",
    code="models.rbm:",
    line="Training on samples X seeks arg max p(X; Θ)",
    test="models/test_rbm.py::test_the_likelihood_is_greatest_where_data_come_as_often_as_the_model"
    "_says",
)
def BM10():
    # One unit without hidden ones, a = log odds: p(X) is largest at the share of ones, here 3/5.
    ones = np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    odds = np.log(np.linspace(0.05, 0.95, 181) / np.linspace(0.95, 0.05, 181))
    p_X = [np.prod(np.exp(a * ones) / (1 + np.exp(a))) for a in odds]
    agree(1 / (1 + np.exp(-odds[np.argmax(p_X)])), 3 / 5)


@equation(
    r"\arg \max_{\Theta \in \mathbb{R}^p} \log p(\X; \Theta)",
    "A1 A2 A3 C: Optimizing the logarithm instead",
    code="models.rbm:",
    line="which is arg max log p(X; Θ)",
    test="models/test_rbm.py::test_the_likelihood_is_greatest_where_data_come_as_often_as_the_model"
    "_says",
)
def BM11():
    # The logarithm has its maximum at the same Θ.
    ones = np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    odds = np.log(np.linspace(0.05, 0.95, 181) / np.linspace(0.95, 0.05, 181))
    log_p_X = [np.sum(a * ones - np.log(1 + np.exp(a))) for a in odds]
    agree(np.argmax(log_p_X), np.argmax(np.exp(log_p_X)))


@equation(
    r"\nabla_{\Theta} \log p(\X; \Theta) = 0",
    "A1 A2 A3 C: Optimizing the logarithm instead",
    code="models.rbm:",
    line="∇ log p(X; Θ) = 0",
    test="models/test_rbm.py::test_the_likelihood_is_greatest_where_data_come_as_often_as_the_model_says",
)
def BM12():
    # It is zero if each x comes as often as p(x) says: Σₓ p(x) ∇ log p(x) = 0.
    def expected(W, a, b):
        return (p * log_f(W, a, b, every_x)).sum() - log_Z(W, a, b)

    agree(slope(expected), np.zeros(11))


@equation(
    r"\nabla_{\Theta} \log p(\X; \Theta) = \nabla_{\Theta} \left( \sum_{x_i \in \X} \log f(x_i;"
    r" \Theta) \right) - \nabla_{\Theta} \log Z(\Theta) = 0",
    "A1 A2 A3 C: Expression for the gradients",
    code="models.rbm:RBM.losses",
    line="gap = free_energy_gap(W, a, b, s, s_k, z=z, z_k=z_k)",
    test="test_tutorials.py::test_a_misprint_is_refused_and_its_correction_accepted",
    erratum="E1",
    correct=r"\nabla_{\Theta} \log p(\X; \Theta) = \nabla_{\Theta} \left( \sum_{x_i \in \X} \log"
    r" f(x_i; \Theta) \right) - n \nabla_{\Theta} \log Z(\Theta) = 0",
)
def BM13():
    apart(of_data - slope(log_Z), slope(log_p))
    agree(of_data - n * slope(log_Z), slope(log_p))


@equation(
    r"\nabla_{\Theta} \log Z(\Theta) = \frac{\nabla_{\Theta} Z(\Theta)}{Z(\Theta)}",
    "A1 A2 A3 C: Explicit expression for the derivative",
    code="models.rbm:",
    line="∇ log Z = ∇Z / Z",
    test="models/test_rbm.py::test_the_gradient_of_log_z_is_the_mean_of_that_of_minus_the_energy",
)
def BM14():
    def Z_of(W, a, b):
        return ops.exp(log_f(W, a, b, every_x)).sum()

    agree(slope(log_Z), slope(Z_of) / Z)


@equation(
    r"\nabla_{\Theta} \log Z(\Theta) = \frac{\nabla_{\Theta} \sum_{x_i \in \X} f(x_i;"
    r" \Theta)}{Z(\Theta)}",
    "A1 A2 A3 C: Explicit expression for the derivative",
    code="models.rbm:",
    line="= ∇ Σₓ f(x) / Z",
    test="models/test_rbm.py::test_the_gradient_of_log_z_is_the_mean_of_that_of_minus_the_energy",
)
def BM15():
    of_sum = sum(slope(lambda *t, x=x: ops.exp(log_f(*t, x[None])).sum()) for x in every_x)
    agree(slope(log_Z), of_sum / Z)


@equation(
    r"\nabla_{\Theta} \log Z(\Theta) = \frac{\sum_{x_i \in \X} \nabla_{\Theta} \exp \log f(x_i;"
    r" \Theta)}{Z(\Theta)}",
    "A1 A2 A3 C: Explicit expression for the derivative",
    code="models.rbm:",
    line="= Σₓ ∇ exp(log f(x)) / Z",
    test="operations/test_arithmetic.py::test_the_logarithm_undoes_the_exponential_and_so_do_their"
    "_equations",
)
def BM16():
    # ∇ exp log f = f ∇ log f, of each x.
    each = [slope(lambda *t, x=x: ops.exp(log_f(*t, x[None])).sum()) for x in every_x]
    agree(each, f.sum(axis=1)[:, None] * of_each)


@equation(
    r"\nabla_{\Theta} \log Z(\Theta) = \frac{\sum_{x_i \in \X} f(x_i; \Theta) \nabla_{\Theta}"
    r" \log f(x_i; \Theta)}{Z(\Theta)}",
    "A1 A2 A3 C: Final expression",
    code="operations.shaping:logsumexp",
    line="lambda delta: delta.reshape(kept.shape) * np.exp(x",
    test="models/test_rbm.py::test_the_gradient_of_log_z_is_the_mean_of_that_of_minus_the_energy",
)
def BM17():
    agree(slope(log_Z), f.sum(axis=1) @ of_each / Z)


@equation(
    r"\nabla_{\Theta} \log Z(\Theta) = \sum_{x_i \in \X} p(x_i; \Theta) \nabla_{\Theta} \log"
    r" f(x_i; \Theta)",
    "A1 A2 A3 C: Final expression",
    code="models.rbm:",
    line="Σₓ p(x) ∇ log f(x)",
    test="models/test_rbm.py::test_the_gradient_of_log_z_is_the_mean_of_that_of_minus_the_energy",
)
def BM18():
    agree(slope(log_Z), np.exp(machine.log_likelihood(every_x)) @ of_each)


@equation(
    r"\nabla_{\Theta} \log Z(\Theta) = \E(\log f(x_i; \Theta))",
    "A1 A2 A3 C: Final expression",
    code="models.rbm:",
    line="E[∇ log f] (E2)",
    test="test_tutorials.py::test_the_chain_of_spins_has_its_closed_form",
    erratum="E2",
    correct=r"\nabla_{\Theta} \log Z(\Theta) = \E(\nabla_{\Theta} \log f(x_i; \Theta))",
)
def BM19():
    apart(p @ log_f(W, a, b, every_x), slope(log_Z))
    agree(p @ of_each, slope(log_Z))


@equation(
    r"\nabla_{\Theta} \log p(\X; \Theta) = \nabla_{\Theta} \left( \sum_{x_i \in \X} \log f(x_i;"
    r" \Theta) \right) - \E_{x \sim p}(\log f(x_i; \Theta)) = 0",
    "C: Final expression for the gradients",
    code="models.rbm:RBM.losses",
    line="gap = free_energy_gap(W, a, b, s, s_k, z=z, z_k=z_k)",
    test="models/test_rbm.py::test_the_statistic_of_cd_is_positive_minus_negative_phase",
    erratum="E2",
    correct=r"\nabla_{\Theta} \log p(\X; \Theta) = \nabla_{\Theta} \left( \sum_{x_i \in \X} \log"
    r" f(x_i; \Theta) \right) - n\, \E_{x \sim p}(\nabla_{\Theta} \log f(x_i; \Theta)) = 0",
)
def BM20():
    # The factor n is missing, too: erratum E1.
    apart(of_data - p @ log_f(W, a, b, every_x), slope(log_p))
    agree(of_data - n * p @ of_each, slope(log_p))


@equation(
    r"p(\x, \h; \Theta) = \frac{f(\x, \h; \Theta)}{Z(\Theta)}",
    "C: Introducing the energy model",
    code="models.rbm:RBM.energy",
    line="return units.energy(v) - h @ self.b",
    test="models/test_rbm.py::test_the_joint_frequencies_of_a_chain_are_the_boltzmann_probabilities",
)
def BM21():
    pairs = [(x, h) for x in every_x for h in every_h]
    xs, hs = (np.array(part) for part in zip(*pairs, strict=True))
    agree(np.exp(-machine.energy(xs, hs) - machine.log_partition()), f.ravel() / Z)


@equation(
    r"f(\x, \h; \Theta) = -E(\x, \h; \Theta) = \sum_{x_i \in \X} x_i a_i + \sum_{h_j \in"
    r" \mathbf{H}} b_j h_j + \sum_{x_i \in \X, h_j \in \mathbf{H}} x_i w_{ij} h_j",
    "C: Introducing the energy model",
    code="models.rbm:",
    line="The notes print f = −E in place of f = exp(−E) (erratum E3)",
    test="test_tutorials.py::test_a_misprint_is_refused_and_its_correction_accepted",
    erratum="E3",
    correct=r"f(\x, \h; \Theta) = \exp(-E(\x, \h; \Theta))",
)
def BM22():
    x, h = every_x[6], every_h[3]
    minus_E = x @ a + b @ h + x @ W @ h
    apart(minus_E, f[6, 3])
    agree(-machine.energy(x[None], h[None]), minus_E)
    agree(np.exp(minus_E), f[6, 3])


@equation(
    r"p(\x, \h; \Theta) = \frac{\exp(\mathbf{a}^T \x + \mathbf{b}^T \h + \x^T \mathbf{W}"
    r" \h)}{Z(\Theta)}",
    "C: More compact notation",
    code="models.rbm:RBM",
    line="p(v, h) = exp(aᵀv + bᵀh + vᵀWh) / Z",
    test="models/test_rbm.py::test_the_conditionals_are_those_of_the_joint_distribution",
)
def BM23():
    x, h = every_x[6], every_h[3]
    log_joint = -machine.energy(x[None], h[None]) - machine.log_partition()
    agree(np.exp(log_joint), np.exp(a @ x + b @ h + x @ W @ h) / Z)


@equation(
    r"\frac{\p E(\x, \h; \Theta)}{\p w_{ij}} = -x_i h_j",
    "C: Examples of gradient expressions",
    code="models.rbm:RBM.energy",
    line="E(v, h) = −aᵀv − bᵀh − vᵀWh",
    test="models/test_rbm.py::test_the_derivatives_of_the_energy_are_minus_the_products_of_the_units",
)
def BM24():
    x, h = every_x[6], every_h[3]
    energy = learned.energy(x[None], h[None]).sum()
    agree(sg.gradient(energy, [learned.W])[0], -np.outer(x, h))


@equation(
    r"\frac{\p E(\x, \h; \Theta)}{\p a_i} = -x_i",
    "C: Examples of gradient expressions",
    code="models.rbm:RBM.energy",
    line="E(v, h) = −aᵀv − bᵀh − vᵀWh",
    test="models/test_rbm.py::test_the_derivatives_of_the_energy_are_minus_the_products_of_the_units",
)
def BM25():
    x, h = every_x[6], every_h[3]
    energy = learned.energy(x[None], h[None]).sum()
    agree(sg.gradient(energy, [learned.a])[0], -x)


@equation(
    r"\frac{\p E(\x, \h; \Theta)}{\p b_j} = -h_j",
    "C: Examples of gradient expressions",
    code="models.rbm:RBM.energy",
    line="E(v, h) = −aᵀv − bᵀh − vᵀWh",
    test="models/test_rbm.py::test_the_derivatives_of_the_energy_are_minus_the_products_of_the_units",
)
def BM26():
    x, h = every_x[6], every_h[3]
    energy = learned.energy(x[None], h[None]).sum()
    agree(sg.gradient(energy, [learned.b])[0], -h)


@equation(
    r"E(\x, \h, \Theta) = - \sum_i^M x_i a_i - \sum_j^N b_j h_j - \sum_{i,j}^{M,N} x_i w_{ij}"
    r" h_j",
    "C: Binary-Binary RBM",
    code="models.rbm:RBM.energy",
    line="return units.energy(v) - h @ self.b",
    test="models/test_rbm.py::test_the_energy_is_that_of_the_notes",
)
def BM27():
    x, h = every_x[6], every_h[3]
    products = sum(x[i] * W[i, j] * h[j] for i in range(3) for j in range(2))
    agree(machine.energy(x[None], h[None]), -sum(x * a) - sum(b * h) - products)


@equation(
    r"E(\x, \h, \Theta) = \sum_i^M \frac{(x_i - a_i)^2}{2\sigma_i^2} - \sum_j^N b_j h_j -"
    r" \sum_{i,j}^{M,N} \frac{x_i w_{ij} h_j}{\sigma_i^2}",
    "C: Gaussian-binary RBM",
    code="models.rbm:RBM.energy",
    line="Σ (v − a)²/2σ² − bᵀh − Σ v W h/σ²",
    test="models/test_rbm.py::test_gaussian_units_of_any_sigma_have_the_energy_of_the_docstring",
)
def BM28():
    gaussian = RBM(3, 2, rng=sg.generator(0), visible="gaussian", sigma="learned")
    gaussian.astype(np.float64)
    gaussian.load_state_dict({"W": W, "a": a, "b": b, "log_var": np.log([0.5, 1.0, 2.0])})
    x, h, sigma2 = np.array([0.3, -1.2, 0.8]), every_h[3], np.array([0.5, 1.0, 2.0])
    products = sum(x[i] * W[i, j] * h[j] / sigma2[i] for i in range(3) for j in range(2))
    energy = gaussian.frozen().energy(x[None], h[None])
    agree(energy, sum((x - a) ** 2 / (2 * sigma2)) - sum(b * h) - products)


@equation(
    r"p(\x) = \frac{\phi(\x)}{Z}",
    "B: Problems with probabilistic models",
    "A1 C: Problems with probabilistic models (in the text)",
    code="models.energy:",
    line="p(x) = φ(x)/Z",
    test="models/test_rbm.py::test_probabilities_sum_to_one",
)
def BM29():
    # φ(x) = exp(−F(x)) is any function above zero; divided by Z it sums to one.
    phi = np.exp(-machine.free_energy(every_x))
    agree(phi / phi.sum(), np.exp(machine.log_likelihood(every_x)))
