"""The trace of a checked cost: its numbers are the right ones, and the fault stands where it is."""

import numpy as np
import pytest

import scratchgen as sg
from tests.gradcheck.handwritten import sigmoid

RNG = np.random.default_rng(0)
ARRAYS = [RNG.standard_normal(shape) for shape in [(3, 4), (4,), (4, 2), (5, 3), (5, 2)]]


def cost(W1, b1, W2, x, y):
    return 0.5 * np.sum((np.tanh(x @ W1 + b1) @ W2 - y) ** 2) / len(x)


def by_hand(W1, b1, W2, x, y):
    a = np.tanh(x @ W1 + b1)
    delta2 = (a @ W2 - y) / len(x)
    delta1 = delta2 @ W2.T * (1 - a * a)
    return x.T @ delta1, delta1.sum(0), a.T @ delta2


def faults(report):
    return [(line.operation, line.to, line.fault) for line in report.trace() if line.fault]


def test_the_trace_of_a_right_derivative_has_no_fault_and_its_gradients():
    trace = sg.check_gradient(cost, by_hand, *ARRAYS).trace()
    assert not any(line.fault for line in trace)
    assert [*trace.gradients] == ["W1", "b1", "W2"]
    for found, right in zip(trace.gradients.values(), by_hand(*ARRAYS), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-10)


def test_the_fault_of_a_slip_is_at_its_equation_whatever_it_leads_to():
    def linear(W1, b1, W2, x, y):
        a = np.tanh(x @ W1 + b1)
        delta2 = (a @ W2 - y) / len(x)
        return x.T @ (delta2 @ W2.T), (delta2 @ W2.T).sum(0), a.T @ delta2

    report = sg.check_gradient(cost, linear, *ARRAYS)
    ((operation, _, fault),) = faults(report)
    assert operation == "tanh"
    assert fault.startswith("σ′ is missing")
    assert fault in report["W1"].diagnosis
    trace = report.trace()
    assert [*trace.wrong] == ["W1", "b1"]
    np.testing.assert_array_equal(trace.wrong["W1"], linear(*ARRAYS)[0])
    assert str(trace).endswith(fault)
    assert "✗ ∂C/∂z = δ σ′" in str(trace)


def test_the_fault_of_a_function_made_of_several_steps_is_in_all_of_them():
    report = sg.check_gradient(
        lambda w, x: np.sum(sigmoid(x @ w)),
        lambda w, x: x.T @ np.ones(5),
        ARRAYS[0][:, 0],
        ARRAYS[3],
    )
    operations = [operation for operation, _, _ in faults(report)]
    assert operations == ["divide", "add", "exp", "negative"]


def test_a_mistake_in_one_derivative_alone_is_at_the_equation_that_leads_to_it():
    def doubled(*arrays):
        dW1, db1, dW2 = by_hand(*arrays)
        return dW1, db1, 2 * dW2

    ((operation, to, fault),) = faults(sg.check_gradient(cost, doubled, *ARRAYS))
    assert (operation, to) == ("matmul", "W2")
    assert fault.startswith("∂C/∂W2: yours = 2 × numerical")


def test_a_cost_that_cannot_be_recorded_has_no_trace_and_that_is_said():
    report = sg.check_gradient(lambda w: np.sum(np.fft.fft(w).real ** 2), lambda w: w, np.ones(3))
    with pytest.raises(ValueError, match="the cost cannot be recorded, so that it has no trace"):
        report.trace()
    changing = sg.check_gradient(lambda w: np.random.random(), lambda w: w, np.ones(3))
    with pytest.raises(ValueError, match="there is no trace"):
        changing.trace()
