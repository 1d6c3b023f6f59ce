"""Linear models"""

import numpy as np

import scratchgen as sg
from equations.table import agree, at_most, equation
from scratchgen.models import linear

rng = sg.generator(0)
x = rng.random(20)
epsilon = 0.1 * rng.standard_normal(20)
y = 2 - x + 3 * x**2 + epsilon
X = linear.design_matrix(x, 2)
n, theta, lam = len(X), np.array([1.0, 2.0, -1.0]), 0.1


@equation(
    r"\mathbf{y} = f(\x) + \epsilon",
    "C: Low-level machine learning, the family of ordinary least squares methods",
    code="models.linear:",
    line="Targets y = f(x) + ε are modelled by ỹ = X θ.",
    test="models/test_linear.py::test_the_polynomial_of_the_notes_is_found_to_its_coefficients",
)
def LM1():
    # Without ε the parameters of f are found exactly.
    f = 2 - x + 3 * x**2
    agree(linear.ols(X, y - epsilon), linear.ols(X, f), within=1e-10)


@equation(
    r"\tilde{\mathbf{y}} = \X\theta",
    "C: Setting up the equations",
    code="models.linear:mean_squared_error",
    line="residual = y - X @ theta",
    test="models/test_linear.py::test_the_columns_are_the_powers_in_order",
)
def LM2():
    agree(X @ theta, theta[0] + theta[1] * x + theta[2] * x**2)


@equation(
    r"C(\Theta) = \frac{1}{n} \sum_{i=0}^{n-1} (y_i - \tilde{y}_i)^2 = \frac{1}{n} \left\{"
    r" (\mathbf{y} - \tilde{\mathbf{y}})^T (\mathbf{y} - \tilde{\mathbf{y}}) \right\}",
    "C: The objective/cost/loss function",
    code="models.linear:mean_squared_error",
    line="return (residual * residual).sum() / len(X)",
    test="models/test_linear.py::test_the_sum_is_the_matrix_form",
)
def LM3():
    tilde_y = X @ theta
    total = sum((y[i] - tilde_y[i]) ** 2 for i in range(n)) / n
    agree(linear.mean_squared_error(X, y, theta), total)


@equation(
    r"C(\Theta) = \frac{1}{n} \left\{ (\mathbf{y} - \X\theta)^T (\mathbf{y} - \X\theta) \right\}",
    "C: The objective/cost/loss function",
    "C: The optimization problem",
    code="models.linear:mean_squared_error",
    line="return (residual * residual).sum() / len(X)",
    test="models/test_linear.py::test_the_sum_is_the_matrix_form",
)
def LM4():
    agree(linear.mean_squared_error(X, y, theta), (y - X @ theta).T @ (y - X @ theta) / n)


@equation(
    r"\X^T \mathbf{y} = \X^T \X \boldsymbol{\theta}",
    "C: Training solution",
    code="models.linear:ols",
    line="np.linalg.lstsq(X, y, rcond=None)",
    test="models/test_linear.py::test_least_squares_solves_the_normal_equations",
)
def LM5():
    agree(X.T @ y, X.T @ X @ linear.ols(X, y))


@equation(
    r"\hat{\boldsymbol{\theta}} = (\X^T \X)^{-1} \X^T \mathbf{y}",
    "C: Training solution",
    code="models.linear:ols",
    line="np.linalg.lstsq(X, y, rcond=None)",
    test="models/test_linear.py::test_least_squares_solves_the_normal_equations",
)
def LM6():
    agree(linear.ols(X, y), np.linalg.inv(X.T @ X) @ X.T @ y, within=1e-10)


@equation(
    r"\min_{\theta \in \mathbb{R}^p} \frac{1}{n} \left\{ (\mathbf{y} - \X\theta)^T (\mathbf{y} -"
    r" \X\theta) \right\}",
    "C: Ridge and LASSO Regression",
    code="models.linear:ols",
    line="np.linalg.lstsq(X, y, rcond=None)",
    test="models/test_linear.py::test_the_printed_gradient_is_that_of_the_cost",
)
def LM7():
    # The slope of the cost is zero at its minimum.
    slope = sg.grad(lambda t: linear.mean_squared_error(X, y, t))
    agree(slope(linear.ols(X, y)), np.zeros(3))


@equation(
    r"\min_{\theta \in \mathbb{R}^p} \frac{1}{n} \sum_{i=0}^{n-1} (y_i - \tilde{y}_i)^2 ="
    r" \frac{1}{n} \|\mathbf{y} - \X\theta\|_2^2",
    "C: Ridge and LASSO Regression",
    code="models.linear:ols",
    line="np.linalg.lstsq(X, y, rcond=None)",
    test="models/test_linear.py::test_the_sum_is_the_matrix_form",
)
def LM8():
    best = linear.ols(X, y)
    agree(linear.mean_squared_error(X, y, best), np.linalg.norm(y - X @ best) ** 2 / n)


@equation(
    r"\|\x\|_2 = \sqrt{\sum_i x_i^2}",
    "C: Ridge and LASSO Regression",
    code="operations.compositions:norm",
    line="return sqrt(total(square(x), **named))",
    test="operations/test_operators.py::test_what_numpy_computes_of_tensors_has_its_value_and_its"
    "_gradient",
)
def LM9():
    agree(np.linalg.norm(sg.Tensor(x)).data, np.sqrt(sum(x_i**2 for x_i in x)))


@equation(
    r"\min_{\theta \in \mathbb{R}^p} \frac{1}{n} \|\mathbf{y} - \X\theta\|_2^2 + \lambda"
    r" \|\theta\|_2^2",
    "C: From OLS to Ridge and Lasso",
    code="models.linear:ridge",
    line="below = math.sqrt(n * lam) * np.eye(p, like=X)",
    test="models/test_linear.py::test_ridge_solves_its_equations",
)
def LM10():
    def cost(t):
        return linear.mean_squared_error(X, y, t) + lam * (t * t).sum()

    agree(sg.grad(cost)(linear.ridge(X, y, lam)), np.zeros(3))


@equation(
    r"C(\X, \boldsymbol{\theta}) = \frac{1}{n} \|\mathbf{y} - \X\boldsymbol{\theta}\|_2^2 +"
    r" \lambda \|\boldsymbol{\theta}\|_1",
    "C: Lasso regression",
    code="models.linear:",
    line="Lasso: C(θ) + λ ‖θ‖₁",
    test="models/test_linear.py::test_lasso_meets_the_conditions_of_karush_kuhn_and_tucker",
)
def LM11():
    # Where no θⱼ is zero, ∂C/∂θ = −(2/n) Xᵀ(y − Xθ) + λ sign θ.
    def cost(t):
        return linear.mean_squared_error(X, y, t) + lam * abs(t).sum()

    agree(sg.grad(cost)(theta), -2 / n * X.T @ (y - X @ theta) + lam * np.sign(theta))


@equation(
    r"\min_{\boldsymbol{\theta} \in \mathbb{R}^p} \frac{1}{n} \|\mathbf{y} -"
    r" \X\boldsymbol{\theta}\|_2^2 + \lambda \|\boldsymbol{\theta}\|_1",
    "C: Lasso regression",
    code="models.linear:lasso",
    line="new = math.copysign(max(abs(a) - lam / 2, 0.0), a) / gram[j, j]",
    test="models/test_linear.py::test_lasso_meets_the_conditions_of_karush_kuhn_and_tucker",
)
def LM12():
    # (2/n) |Xⱼᵀ(y − Xθ)| is λ where θⱼ is not zero, and at most λ where it is.
    best = linear.lasso(X, y, lam)
    slope = 2 / n * X.T @ (y - X @ best)
    agree(slope[best != 0], lam * np.sign(best[best != 0]))
    at_most(np.abs(slope[best == 0]), lam)


@equation(
    r"\|\x\|_1 = \sum_i |x_i|",
    "C: Lasso regression",
    code="operations.compositions:norm",
    line="return total(size, **named) if ord == 1",
    test="operations/test_operators.py::test_what_numpy_computes_of_tensors_has_its_value_and_its"
    "_gradient",
)
def LM13():
    agree(np.linalg.norm(sg.Tensor(theta), 1).data, sum(abs(x_i) for x_i in theta))
