"""Linear models: each formula at its optimum, and beside scikit-learn's."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen.models import linear


@st.composite
def problems(draw, overdetermined=True):
    """A design matrix and targets, of some shape."""
    p = draw(st.integers(1, 5))
    n = draw(st.integers(p + 2, 20)) if overdetermined else draw(st.integers(1, p))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return rng.standard_normal((n, p)), rng.standard_normal(n)


@given(st.integers(0, 4), st.integers(1, 3), st.integers(0, 99))
def test_the_design_matrix_holds_every_monomial_once(degree, d, seed):
    x = np.random.default_rng(seed).uniform(0.5, 2, (6, d))
    X = linear.design_matrix(x, degree)
    assert X.shape == (6, math.comb(d + degree, degree))
    # A monomial is known by its exponents, and these by its logarithm at the powers of two.
    at = linear.design_matrix(2.0 ** (10 ** np.arange(d))[None], degree)
    assert len({*np.log2(at[0]).tolist()}) == at.shape[1]
    np.testing.assert_array_equal(X[:, 0], 1)


def test_the_columns_are_the_powers_in_order():
    x = np.array([2.0, 3.0])
    np.testing.assert_array_equal(linear.design_matrix(x, 3), [[1, 2, 4, 8], [1, 3, 9, 27]])
    two = linear.design_matrix(np.array([[2.0, 3.0]]), 2)
    np.testing.assert_array_equal(two, [[1, 2, 3, 4, 6, 9]])


@given(problems(), st.integers(0, 99))
def test_the_sum_is_the_matrix_form(problem, seed):
    X, y = problem
    theta = np.random.default_rng(seed).standard_normal(X.shape[1])
    total = sum(
        (y_i - sum(a * b for a, b in zip(row, theta, strict=True))) ** 2
        for row, y_i in zip(X, y, strict=True)
    )
    matrix = (y - X @ theta).T @ (y - X @ theta) / len(X)
    assert linear.mean_squared_error(X, y, theta) == pytest.approx(total / len(X), rel=1e-12)
    assert matrix == pytest.approx(total / len(X), rel=1e-12)


@given(problems())
def test_the_printed_gradient_is_that_of_the_cost(problem):
    X, y = problem
    theta = np.ones(X.shape[1])
    slope = sg.grad(lambda t: linear.mean_squared_error(X, y, t))(theta)
    np.testing.assert_allclose(slope, -2 / len(X) * X.T @ (y - X @ theta), atol=1e-12)


@given(problems())
def test_least_squares_solves_the_normal_equations(problem):
    X, y = problem
    np.testing.assert_allclose(X.T @ X @ linear.ols(X, y), X.T @ y, atol=1e-9)


@given(problems(overdetermined=False))
def test_of_many_solutions_it_is_the_one_of_least_norm(problem):
    X, y = problem
    theta = linear.ols(X, y) if len(X) == X.shape[1] else None
    if theta is None:
        with pytest.warns(linear.RankWarning, match=f"is {len(X)}: its columns"):
            theta = linear.ols(X, y)
    np.testing.assert_allclose(theta, np.linalg.pinv(X) @ y, atol=1e-6)


def test_a_column_that_comes_twice_is_named_by_the_rank():
    X = np.random.default_rng(0).standard_normal((10, 2))
    with pytest.warns(linear.RankWarning, match=r"rank of the 10 × 3 design matrix is 2"):
        linear.ols(X[:, [0, 1, 1]], X[:, 0])


@given(problems(), st.floats(1e-3, 10))
def test_ridge_solves_its_equations(problem, lam):
    X, y = problem
    theta = linear.ridge(X, y, lam)
    left = (X.T @ X + len(X) * lam * np.eye(X.shape[1])) @ theta
    np.testing.assert_allclose(left, X.T @ y, atol=1e-9)


@given(problems(), st.floats(1e-3, 3))
def test_lasso_meets_the_conditions_of_karush_kuhn_and_tucker(problem, lam):
    X, y = problem
    theta = linear.lasso(X, y, lam)
    slope = 2 / len(X) * X.T @ (y - X @ theta)
    active = theta != 0
    np.testing.assert_allclose(slope[active], lam * np.sign(theta[active]), atol=1e-10)
    assert (np.abs(slope[~active]) <= lam + 1e-10).all()


@given(problems())
def test_lasso_is_zero_from_its_limit_on_and_not_before(problem):
    X, y = problem
    limit = linear.lasso_limit(X, y)
    np.testing.assert_array_equal(linear.lasso(X, y, limit * (1 + 1e-9)), 0)
    assert (linear.lasso(X, y, 0.99 * limit) != 0).any()


@given(problems(), st.floats(0.01, 1))
def test_both_are_scikit_learns_with_its_own_alpha(problem, lam):
    sklearn = pytest.importorskip("sklearn.linear_model")
    X, y = problem
    theirs = sklearn.Ridge(alpha=len(X) * lam, fit_intercept=False).fit(X, y).coef_
    np.testing.assert_allclose(linear.ridge(X, y, lam), theirs, rtol=1e-10, atol=1e-10)
    # Least-angle regression follows Lasso's path exactly, where coordinate descent ends early.
    exact = sklearn.LassoLars(alpha=lam / 2, fit_intercept=False).fit(X, y).coef_
    np.testing.assert_allclose(linear.lasso(X, y, lam), exact, rtol=1e-10, atol=1e-10)


@given(problems(), st.sampled_from([0.0, 0.1]))
def test_each_step_of_descent_multiplies_the_error_by_one_matrix(problem, lam):
    X, y = problem
    H = 2 / len(X) * X.T @ X + 2 * lam * np.eye(X.shape[1])
    lr = 1 / np.linalg.eigvalsh(H)[-1]
    path = linear.gradient_descent(X, y, lr, 8, lam) - linear.ridge(X, y, lam)
    for before, after in itertools.pairwise(path):
        np.testing.assert_allclose(after, (np.eye(X.shape[1]) - lr * H) @ before, atol=1e-9)


@given(problems(), st.sampled_from([0.0, 0.1]))
def test_descent_nears_the_closed_form_at_the_rate_of_each_eigenvalue(problem, lam):
    """Along the eigenvector of the eigenvalue h of H the distance after t steps has (1 − η h)ᵗ."""
    X, y = problem
    h, V = np.linalg.eigh(2 / len(X) * X.T @ X + 2 * lam * np.eye(X.shape[1]))
    lr, t = 1 / h[-1], np.arange(41)[:, None]
    along = (linear.gradient_descent(X, y, lr, 40, lam) - linear.ridge(X, y, lam)) @ V
    expected = (1 - lr * h) ** t * along[0]
    np.testing.assert_allclose(along, expected, atol=1e-9 * (1 + np.absolute(along[0]).max()))


@given(problems())
def test_the_path_of_ridge_shrinks_each_singular_direction_by_its_own_factor(problem):
    X, y = problem
    lams = linear.penalties(X, y, 20)
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    shrunk = s**2 / (s**2 + len(X) * lams[:, None])
    expected = shrunk / s * (U.T @ y) @ Vt
    path = linear.path(linear.ridge, X, y, lams)
    np.testing.assert_allclose(path, expected, atol=1e-9 * (1 + np.absolute(expected).max()))
    assert (np.diff(np.linalg.norm(path, axis=1)) >= -1e-9).all()


@given(problems())
def test_the_path_of_lasso_is_that_of_least_angle_regression(problem):
    """It is linear in λ between the λ at which a coefficient becomes zero, or is no longer."""
    sklearn = pytest.importorskip("sklearn.linear_model")
    X, y = problem
    alphas, _, knots = sklearn.lars_path(X, y, method="lasso")
    lams = linear.penalties(X, y, 20)
    expected = [np.interp(lams / 2, alphas[::-1], row[::-1]) for row in knots]
    path = linear.path(linear.lasso, X, y, lams)
    np.testing.assert_allclose(path, np.transpose(expected), rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(path[0], 0)


def test_penalties_run_from_the_limit_over_the_span_in_equal_ratios():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    lams = linear.penalties(X, y, 5, span=16)
    np.testing.assert_allclose(lams, linear.lasso_limit(X, y) / 2.0 ** np.arange(5))
    for settings, at in (({"n": 1}, y), ({"span": 1}, y), ({}, 0 * y)):
        with pytest.raises(ValueError, match="λ runs over n ≥ 2 values"):
            linear.penalties(X, at, **settings)


def test_the_polynomial_of_the_notes_is_found_to_its_coefficients():
    x = np.random.default_rng(0).uniform(-1, 1, (100, 2))
    y = x[:, 0] ** 2 + 3 * x[:, 0] * x[:, 1] + x[:, 1] ** 2 + 5
    theta = linear.ols(linear.design_matrix(x, 2), y)
    np.testing.assert_allclose(theta, [5, 0, 0, 1, 3, 1], atol=1e-12)


def test_several_targets_are_fitted_at_once():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    for fit in (
        linear.ols,
        lambda X, y: linear.ridge(X, y, 0.1),
        lambda X, y: linear.lasso(X, y, 0.1),
    ):
        each = np.stack([fit(X, y) for y in Y.T], axis=1)
        np.testing.assert_allclose(fit(X, Y), each, atol=1e-12)


def test_logistic_regression_is_a_network_without_hidden_layer():
    model = linear.logistic_regression(4, 3, sg.generator(0))
    assert [p.shape for p in model.parameters()] == [(3, 4), (3,)]
    assert [p.shape for p in linear.logistic_regression(4, 2, sg.generator(0)).parameters()] == [
        (1, 4),
        (1,),
    ]


@pytest.mark.parametrize(
    ("X", "y", "lam", "words"),
    [
        (np.ones(3), np.ones(3), 1, "X is a design matrix"),
        (np.ones((3, 1)), np.ones(2), 1, "X is a design matrix"),
        (np.ones((0, 1)), np.ones(0), 1, "X is a design matrix"),
        (np.ones((3, 1)), np.ones(3), -1, "λ is a number from 0"),
        (np.ones((3, 1)), np.ones(3), math.nan, "λ is a number from 0"),
        (np.full((3, 1), math.nan), np.ones(3), 1, "3 of the 3 numbers in X"),
    ],
)
def test_what_cannot_be_fitted_is_refused(X, y, lam, words):
    for fit in (linear.ridge, linear.lasso):
        with pytest.raises(ValueError, match=words):
            fit(X, y, lam)
