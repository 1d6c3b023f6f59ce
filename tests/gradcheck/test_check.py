"""The public checks: an entry for each equation, and the arrays stay on their device."""

import os
import subprocess
import sys
from pathlib import Path

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
    assert sg.assert_gradient(cubes, squares, X).ok
    sg.assert_gradient(ops.tanh, X)
    sg.assert_gradient(nn.Linear(3, 2, rng=sg.generator(0)), X[None])
    with pytest.raises(AssertionError, match="a factor 2 is missing"):
        sg.assert_gradient(cubes, lambda x: 1.5 * x**2, X)


FAILING = """
import unittest
import numpy as np
import scratchgen as sg

def cost(weights):
    return (np.arange(3.0) * weights**2).sum()

def test_a_gradient():
    sg.assert_gradient(cost, lambda weights: np.arange(3.0) * weights, np.ones(3))

class Test(unittest.TestCase):
    def test_it(self):
        test_a_gradient()
"""


@pytest.mark.parametrize(
    "runner", [["pytest"], ["pytest", "-q"], ["pytest", "-q", "--tb=short"], ["unittest"]]
)
def test_the_message_of_a_failed_assertion_keeps_its_lines_in_every_test_runner(runner, tmp_path):
    (tmp_path / "test_mine.py").write_text(FAILING)
    name = "test_mine" if runner == ["unittest"] else "test_mine.py"
    command = [sys.executable, "-m", *runner, name]
    environment = {**os.environ, "PYTHONPATH": str(Path(sg.__file__).parents[1])}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    printed = [line.removeprefix("E").strip() for line in (ran.stdout + ran.stderr).splitlines()]
    with pytest.raises(AssertionError) as raised:
        sg.assert_gradient(
            lambda weights: (np.arange(3.0) * weights**2).sum(),
            lambda weights: np.arange(3.0) * weights,
            np.ones(3),
        )
    table = str(raised.value.report).splitlines()
    assert ran.returncode != 0
    assert "AssertionError: ∂C/∂weights: DISAGREES" in printed
    at = printed.index(table[0])
    assert printed[at : at + len(table)] == [line.strip() for line in table]
    if runner[0] == "pytest":  # the line of the test is shown, and the short summary names it
        assert "check.py" not in ran.stdout
        assert any("test_a_gradient - AssertionError: ∂C/∂weights" in line for line in printed)


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
