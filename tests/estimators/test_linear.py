"""Linear estimators beside scikit-learn's, and beside the functions of the notes' costs."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.estimators import LassoRegressor, LinearRegressor, RidgeRegressor
from scratchgen.models import linear


def data(n=40, d=4, m=None, seed=0):
    rng = sg.generator(seed)
    X = rng.standard_normal((n, d)) + 2
    theta = rng.standard_normal((d,) if m is None else (d, m))
    return X, X @ theta + 3 + 0.1 * rng.standard_normal((n,) if m is None else (n, m))


@pytest.fixture
def oracle():
    return pytest.importorskip("sklearn.linear_model", reason="pip install '.[test]'")


@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("lam", [1e-3, 0.3])
def test_they_are_those_of_scikit_learn_with_its_factors(oracle, m, intercept, lam):
    X, y = data(m=m)
    settings = {"fit_intercept": intercept}
    pairs = [
        (LinearRegressor(**settings), oracle.LinearRegression(**settings)),
        (RidgeRegressor(lam, **settings), oracle.Ridge(len(X) * lam, **settings)),
        (LassoRegressor(lam, **settings), oracle.Lasso(lam / 2, **settings, tol=1e-13)),
    ]
    for ours, theirs in pairs:
        ours.fit(X, y)
        theirs.fit(X, y)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-7)
        assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-9)


def test_without_an_intercept_theta_is_that_of_the_functions():
    X, y = data()
    for estimator, theta in (
        (LinearRegressor(fit_intercept=False), linear.ols(X, y)),
        (RidgeRegressor(0.1, fit_intercept=False), linear.ridge(X, y, 0.1)),
        (LassoRegressor(0.1, fit_intercept=False), linear.lasso(X, y, 0.1)),
    ):
        np.testing.assert_array_equal(estimator.fit(X, y).coef_, theta)


@pytest.mark.parametrize("lam", [1e-3, 0.3, 1e3])
def test_a_shift_of_the_data_moves_the_intercept_alone(lam):
    X, y = data()
    for kind in (RidgeRegressor, LassoRegressor):
        here, there = kind(lam).fit(X, y), kind(lam).fit(X + 5, y - 7)
        np.testing.assert_allclose(here.coef_, there.coef_, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(there.predict(X + 5), here.predict(X) - 7, rtol=1e-9)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (np.ones(3), "40 samples X, but 3 targets y"),
        (np.full(40, np.nan), "y contains NaN or infinity"),
        (["a"] * 40, "y is real numbers of shape"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y, said):
    with pytest.raises(ValueError, match=said):
        LinearRegressor().fit(data()[0], y)
