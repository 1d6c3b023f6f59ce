"""What a check takes, what it lifts to float64, and what it says of what cannot be checked."""

import re

import numpy as np
import pytest
from hypothesis import given

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import seeds
from scratchgen.gradcheck.subject import Subject, of_gradient, of_operation, of_recording
from tests.gradcheck.handwritten import X, cubes, squares


@pytest.mark.parametrize(
    ("gradient", "names"),
    [
        (lambda w, x: x, ["w"]),
        (lambda w, x: (x, w), ["w", "x"]),
        (lambda w, x: [None, w], ["x"]),
        (lambda w, x: {"x": w}, ["x"]),
        (lambda w, x: {"x": w, "w": x}, ["w", "x"]),
        (lambda *both: both[::-1], ["w", "x"]),
    ],
)
def test_derivatives_come_alone_in_order_or_by_name(gradient, names):
    report = sg.check_gradient(lambda w, x: (w * x).sum(), gradient, X, 2 * X + 1)
    assert report.ok
    assert [entry.name for entry in report.entries] == names


@pytest.mark.parametrize(
    ("gradient", "said"),
    [
        (lambda x: (x, x), "gradient gives 2 derivatives for 1 inputs"),
        (lambda x: {"y": x}, r"gradient gives \['y'\], but the inputs are \['x'\]"),
        (lambda x: None, "gradient returned no derivative"),
    ],
)
def test_what_gradient_returns_must_fit_the_inputs(gradient, said):
    with pytest.raises(ValueError, match=said):
        sg.check_gradient(cubes, gradient, X)


def test_numbers_lists_and_integers_are_differentiated_in_float64():
    assert sg.check_gradient(lambda w: w**3, lambda w: 3 * w**2, 2).ok
    assert sg.check_gradient(lambda w: (w**3).sum(), squares, [1, 2, 3]).ok


def test_labels_are_left_alone():
    def cost(z, labels):
        return -ops.log_softmax(z)[np.arange(len(z)), labels].sum()

    def gradient(z, labels):
        return ops.softmax(z) - np.eye(z.shape[1])[labels]

    z, labels = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 1, 1])
    assert sg.check_gradient(cost, gradient, z, labels).ok


def test_float32_is_lifted_and_that_is_said():
    report = sg.check_gradient(cubes, squares, X.astype(np.float32))
    assert report.ok
    assert "x was lifted from float32 to float64" in str(report)
    assert report["x"].max_relative_error < 1e-12


def unseeded(x):
    return (x * np.random.random(x.shape)).sum()


def writes(x):
    x *= 2
    return x.sum()


@pytest.mark.parametrize(
    ("cost", "x", "said"),
    [
        (unseeded, X, "the cost changes between two calls with the same input, from"),
        (writes, X, "the cost writes into its input x: let it work on a copy"),
        (lambda x: np.log(x).sum(), np.array([0.0, 1.0]), "the cost is -inf at this input"),
        (cubes, np.array([np.nan, 1.0]), "the cost is nan at this input.* x is not finite already"),
        (lambda x: x**3, X, r"the cost is one number, got shape \(3,\)"),
    ],
)
def test_a_cost_that_cannot_be_checked_is_told_why(cost, x, said):
    report = sg.check_gradient(cost, squares, x)
    assert not report.ok
    assert report.entries == []
    assert re.search(said, report.diagnosis[0])
    assert report.diagnosis[0].split()[0] in str(report)


def test_a_gradient_that_writes_into_its_input_or_draws_noise_is_told_so():
    def writing(x):
        x *= x
        return 3 * x

    (said,) = sg.check_gradient(cubes, writing, X).diagnosis
    assert said == "gradient writes into its input x: let it work on a copy"

    def noisy(x):
        return squares(x) * np.random.random(x.shape)

    report = sg.check_gradient(cubes, noisy, X)
    assert "gradient changes between two calls with the same input" in report.diagnosis[0]


def test_the_cost_is_called_right_before_the_gradient_for_code_that_keeps_its_activations():
    class Layer:
        def forward(self, x):
            self.a = np.tanh(x)
            return self.a.sum()

        def backward(self, x):
            return 1 - self.a**2

    layer = Layer()
    assert sg.check_gradient(layer.forward, layer.backward, X).ok


def test_a_rule_with_noise_sees_the_same_noise_each_time():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert sg.check_operation(ops.dropout, rng.standard_normal((3, 4)), p=0.5, rng=rng).ok
    rng.bit_generator.state = before
    assert sg.check_operation(ops.dropout, X, p=0.5, rng=rng).ok
    assert rng.bit_generator.state == before


@given(seed=seeds)
def test_a_cost_with_noise_of_few_values_is_seen_to_change(seed):
    rng = np.random.default_rng(seed)
    data, x = rng.standard_normal((4, 4)), rng.standard_normal(4)

    def cost(w):
        return 0.5 * (data[rng.integers(4)] @ w) ** 2

    # In 4⁻⁸ of all cases eight draws are the same: then the numbers must tell.
    assert not sg.check_gradient(cost, lambda w: -w, x).ok


def subject_of(*arrays):
    return Subject([f"x{k}" for k in range(len(arrays))], [*arrays], cubes, squares)


def test_a_subject_has_names_arrays_in_float64_a_cost_of_them_and_what_is_claimed_by_position():
    subject = of_gradient(lambda w, x: (w * x).sum(), lambda w, x: {"x": w}, [X, [1, 2, 3]])
    assert subject.names == ["w", "x"]
    assert [x.dtype for x in subject.arrays] == [np.float64, np.float64]
    assert subject.cost(subject.arrays) == (X * subject.arrays[1]).sum()
    np.testing.assert_array_equal(subject.given(subject.arrays)[1], X)
    assert subject.notes[0] == "no derivative was given for w"


def test_of_a_rule_the_cost_is_delta_times_the_value_and_the_claim_what_it_makes_of_delta():
    subject = of_operation(ops.multiply, (X, 2 * X), {})
    run, delta = subject.rule
    value = run(subject.arrays)
    np.testing.assert_array_equal(value, 2 * X * X)
    assert subject.cost(subject.arrays) == (delta * value).sum()
    np.testing.assert_array_equal(subject.given(subject.arrays)[0], 2 * X * delta)


def test_of_what_is_recorded_the_claim_is_the_engines_gradient_for_all_that_is_real():
    labels = np.array([0, 1])
    cost = lambda inputs: ops.cross_entropy(inputs[0], inputs[1]).sum()
    subject = of_recording(["z", "labels"], [np.eye(2), labels], cost, [])
    (claimed,) = subject.given(subject.arrays).items()
    assert claimed[0] == 0
    np.testing.assert_allclose(claimed[1], ops.softmax(np.eye(2)) - np.eye(2)[labels])


def test_along_moves_one_array_and_makes_all_complex_where_the_step_is():
    seen = []
    subject = Subject(["x", "n"], [X, np.arange(3)], lambda inputs: seen.append(inputs), squares)
    subject.along(0, lambda x, t: x + t)(2.0)
    subject.along(0, lambda x, t: x + t)(1j)
    np.testing.assert_array_equal(seen[0][0], X + 2)
    np.testing.assert_array_equal(seen[1][0], X + 1j)
    assert seen[1][1].dtype.kind == "i"
    assert subject.arrays[0] is X


@given(seed=seeds)
def test_a_point_nearby_keeps_signs_zeros_and_what_may_be_labels(seed):
    rng = np.random.default_rng(seed)
    x, whole = rng.standard_normal((3, 2)) * rng.integers(0, 2, (3, 2)), np.arange(4.0)
    x[0, 0] = 0.5
    moved, labels = subject_of(x, whole).nearby
    assert labels is whole
    np.testing.assert_array_equal(np.sign(moved), np.sign(x))
    assert not np.array_equal(moved, x)
    assert not np.array_equal(subject_of(whole).nearby[0], whole)


def test_what_is_no_array_of_real_numbers_is_no_derivative():
    with pytest.raises(TypeError, match="∂C/∂x is an array of real numbers, got complex128"):
        sg.check_gradient(cubes, lambda x: 1j * x, X)


def test_a_single_derivative_of_a_cost_without_inputs_is_one_too_many():
    with pytest.raises(ValueError, match="gradient gives 1 derivatives for 0 inputs"):
        sg.check_gradient(lambda: 1.0, lambda: 0.0)
