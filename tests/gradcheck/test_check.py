"""The public checks: an entry for each equation, and the arrays stay on their device."""

import numpy as np
import pytest
from hypothesis import given

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import seeds
from tests.gradcheck.handwritten import X, cubes, squares


def test_a_report_has_an_entry_for_each_equation_named_by_the_parameters_of_gradient():
    def gradient(weights, offset):
        return 2 * weights * offset, (weights**2).sum()

    report = sg.check_gradient(lambda *a: (a[0] ** 2).sum() * a[1], gradient, X, 0.7)
    assert report.ok
    assert [entry.name for entry in report.entries] == ["weights", "offset"]
    assert [entry.shape for entry in report.entries] == [(3,), ()]
    assert report.diagnosis == []
    assert report["offset"].given == pytest.approx(report["offset"].numerical)
    with pytest.raises(KeyError, match="no equation ∂C/∂x; there are"):
        report["x"]


@given(seed=seeds)
def test_a_check_works_where_its_arrays_are(device, seed):
    rng = np.random.default_rng(seed)
    W, x = (sg.to_device(rng.standard_normal(shape), device) for shape in [(4, 3), (5, 3)])

    def cost(W, x):
        return (np.tanh(x @ W.T) ** 2).sum() / 2

    def gradient(W, x):
        a = np.tanh(x @ W.T)
        delta = a * (1 - a * a)
        return delta.T @ x, delta @ W

    assert sg.check_gradient(cost, gradient, W, x).ok
    report = sg.check_gradient(cost, lambda W, x: [-g for g in gradient(W, x)], W, x)
    assert all("the sign is wrong" in entry.diagnosis for entry in report.entries)


def test_assert_gradient_raises_with_the_report():
    sg.assert_gradient(cubes, squares, X)
    sg.assert_gradient(ops.tanh, X)
    sg.assert_gradient(nn.Linear(3, 2, rng=sg.generator(0)), X[None])
    with pytest.raises(AssertionError, match="a factor 2 is missing"):
        sg.assert_gradient(cubes, lambda x: 1.5 * x**2, X)


@sg.differentiable
def softsign(z, W):
    """A rule whose first equation lacks its square."""
    scale = 1 / (1 + np.absolute(z))
    return (z * scale) @ W, (
        lambda delta: (delta @ W.T) * scale,
        lambda delta: (z * scale).T @ delta,
    )


def test_of_a_rule_each_equation_is_checked_on_its_own():
    rng = np.random.default_rng(0)
    report = sg.check_operation(softsign, rng.standard_normal((5, 3)), rng.standard_normal((3, 2)))
    assert [(entry.name, entry.ok) for entry in report.entries] == [("z", False), ("W", True)]
