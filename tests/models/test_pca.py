"""Principal components: the optimum of the linear code, in closed form and beside scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import datasets
from scratchgen.backend import device_of
from scratchgen.models import PCA, pca


@st.composite
def problems(draw):
    """Samples with variances of several sizes, and a number of axes."""
    D, seed = draw(st.integers(2, 6)), draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    spread = np.diag(10 ** rng.uniform(-1, 1, D))
    x = rng.standard_normal((draw(st.integers(D + 1, 30)), D)) @ spread
    x = x @ np.linalg.qr(rng.standard_normal((D, D)))[0] + rng.standard_normal(D)
    return x, draw(st.integers(1, D))


@given(problems())
def test_the_axes_are_orthonormal_eigenvectors_of_the_covariance(problem):
    x, k = problem
    found = pca.fit(x, k)
    S = np.cov(x.T, bias=True)
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(k), atol=1e-12)
    scaled = found.variances[:k, None] * found.axes
    np.testing.assert_allclose(found.axes @ S, scaled, atol=1e-10 * np.trace(S))
    assert (np.diff(found.variances) <= 0).all()
    assert found.variances.sum() == pytest.approx(np.trace(S), rel=1e-12)


@given(problems())
def test_the_error_is_the_sum_of_the_other_eigenvalues(problem):
    x, k = problem
    found = pca.fit(x, k)
    rounding = 1e-12 * (x**2).sum() / len(x)
    assert found.squared_errors(x).mean() == pytest.approx(found.least_error, abs=rounding)


@given(problems(), st.integers(0, 99))
def test_no_other_plane_has_a_smaller_error_however_its_codes_are_found(problem, seed):
    """The best code for the plane through c along the rows of B is found by least squares."""
    x, k = problem
    rng = np.random.default_rng(seed)
    found = pca.fit(x, k)
    for size in (1e-2, 1.0):
        c = found.mean + size * rng.standard_normal(x.shape[1])
        B = found.axes + size * rng.standard_normal(found.axes.shape)
        codes = np.linalg.lstsq(B.T, (x - c).T, rcond=None)[0]
        error = ((x - c - codes.T @ B) ** 2).sum(axis=1).mean()
        assert error >= found.least_error - 1e-12 * (x**2).sum() / len(x)


@given(problems())
def test_codes_have_mean_zero_and_the_eigenvalues_as_their_covariance(problem):
    x, k = problem
    found = pca.fit(x, k)
    h, size = found.encode(x), found.variances[0]
    np.testing.assert_allclose(h.mean(axis=0), 0, atol=1e-12 * np.absolute(x).max())
    covariance = h.T @ h / len(h)
    np.testing.assert_allclose(covariance, np.diag(found.variances[:k]), atol=1e-10 * size)
    shares = h.var(axis=0) / x.var(axis=0).sum()
    np.testing.assert_allclose(found.explained, shares, atol=1e-10)


@given(problems())
def test_what_lies_in_the_plane_is_reproduced_and_all_axes_reproduce_everything(problem):
    x, k = problem
    found = pca.fit(x, k)
    copies = found.reconstruct(x)
    np.testing.assert_allclose(found.reconstruct(copies), copies, atol=1e-10)
    np.testing.assert_allclose(pca.fit(x, x.shape[1]).reconstruct(x), x, atol=1e-10)


@given(problems())
def test_the_components_are_those_of_scikit_learn(problem):
    sklearn = pytest.importorskip("sklearn.decomposition")
    x, k = problem
    ours, theirs = pca.fit(x, k), sklearn.PCA(k, svd_solver="full").fit(x)
    signs = np.sign((ours.axes * theirs.components_).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(ours.axes, signs * theirs.components_, atol=1e-8)
    np.testing.assert_allclose(ours.encode(x), theirs.transform(x) * signs.T, atol=1e-7)
    n = len(x)
    np.testing.assert_allclose(
        ours.variances[:k], (n - 1) / n * theirs.explained_variance_, rtol=1e-9
    )
    np.testing.assert_allclose(ours.explained, theirs.explained_variance_ratio_, rtol=1e-9)


def test_images_are_coded_as_rows_and_copied_in_their_shape():
    images, _ = datasets.digits()
    found = pca.fit(images, 10)
    assert isinstance(found, PCA)
    assert found.encode(images).shape == (len(images), 10)
    assert found.reconstruct(images).shape == images.shape
    assert found.squared_errors(images).mean() == pytest.approx(found.least_error, rel=1e-10)


def test_the_largest_entry_of_an_axis_is_positive():
    axes = pca.fit(datasets.digits()[0], 20).axes
    assert (axes[np.arange(20), np.absolute(axes).argmax(axis=1)] > 0).all()


def test_of_samples_that_are_all_alike_nothing_is_explained():
    np.testing.assert_array_equal(pca.fit(np.ones((5, 3)), 2).explained, [0, 0])


def test_components_on_the_device_are_those_of_the_host(device):
    x = datasets.digits()[0][:100]
    there, here = pca.fit(sg.to_device(x, device), 3), pca.fit(x, 3)
    assert device_of(there.axes) == device
    np.testing.assert_allclose(sg.to_host(there.axes), here.axes, atol=1e-9)


@pytest.mark.parametrize(
    ("x", "k", "words"),
    [
        (np.ones((1, 3)), 1, "expected at least two"),
        (np.ones((5, 3)), 0, r"k is from 1 to min\(n, D\) = 3 axes, got 0"),
        (np.ones((5, 3)), 4, r"k is from 1 to min\(n, D\) = 3 axes, got 4"),
        (np.full((5, 3), np.nan), 1, "x holds NaN or infinity"),
    ],
)
def test_what_has_no_components_is_refused(x, k, words):
    with pytest.raises(ValueError, match=words):
        pca.fit(x, k)
