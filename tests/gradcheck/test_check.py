"""What a check takes, what it says of costs that cannot be checked, and how it copes with size."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import gradcheck, nn
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import arrays, seeds
from tests.reading import Reader

X = np.array([0.3, -1.2, 0.8])


def cubes(x):
    return (x**3).sum()


def squares(x):
    return 3 * x**2


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


@given(x=arrays((3, 2)), factor=st.sampled_from([1.0005, 0.9995, 1.00002]))
def test_a_factor_of_a_few_in_a_hundred_thousand_is_seen(x, factor):
    assert not sg.check_gradient(cubes, lambda x: factor * squares(x), x + 3).ok


@pytest.mark.parametrize("function", [np.abs, lambda x: np.maximum(x, 0)])
@pytest.mark.parametrize("at_kink", [-1.0, 0.0, 0.4, 1.0])
def test_at_a_kink_any_slope_between_the_two_sides_is_accepted(function, at_kink):
    x = np.array([1.5, 0.0, -2.0])
    right = np.array([1.0, 0.0, -1.0 if function is np.abs else 0.0])
    low = right[2]

    def gradient(x):
        return np.where(x == 0, at_kink, right)

    report = sg.check_gradient(lambda x: function(x).sum(), gradient, x)
    assert report.ok == (low <= at_kink <= 1)
    assert report["x"].kinks == [(1,)]
    assert "the cost has a kink at entry [1]" in str(report)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (1, 1), ()])
def test_arrays_of_any_size_are_checked(shape):
    assert sg.check_gradient(cubes, squares, np.full(shape, 1.5)).ok


def test_one_wrong_entry_among_many_is_found_and_named():
    x = np.random.default_rng(0).standard_normal((280, 280)) + 3

    def gradient(x):
        derivative = squares(x)
        derivative[17, 200] *= 1.01
        return derivative

    report = sg.check_gradient(cubes, gradient, x)
    assert not report.ok
    assert report["x"].worst_index == (17, 200)
    assert "agrees but for entry [17, 200]; none of the known mistakes fits" in report.diagnosis[0]
    assert sg.check_gradient(cubes, squares, x).ok


def test_a_mistake_in_a_large_array_is_named_in_all_its_entries():
    x = np.random.default_rng(0).standard_normal((280, 280))
    report = sg.check_gradient(cubes, lambda x: 1.5 * x**2, x)
    assert report.diagnosis == [
        "∂C/∂x: yours = 0.5 × numerical in all 78,400 entries: a factor 2 is missing"
    ]


def test_kinks_in_a_large_array_are_no_mistake():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 30))
    x[rng.random(x.shape) < 0.02] = 0
    report = sg.check_gradient(
        lambda x: (np.maximum(x, 0) * np.arange(30)).sum(), lambda x: (x > 0) * np.arange(30.0), x
    )
    assert report.ok


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


def test_a_report_is_shown_as_its_table_printed_or_in_a_notebook():
    report = sg.check_gradient(cubes, lambda x: 1.5 * x**2, X)
    assert repr(report) == str(report)
    head, row = (line.split("  ") for line in str(report).splitlines()[:3:2])
    read = Reader(report._repr_html_())
    assert read.rows[0] == [cell.strip() for cell in head if cell]
    assert read.rows[1] == [cell.strip() for cell in row if cell]
    assert read.rows[1][-1] == "DISAGREES"
    assert read.paragraphs[0].startswith("✗ ∂C/∂x: ")
    assert read.paragraphs[0].endswith("a factor 2 is missing")
    assert all(sentence[0] in "✗·" for sentence in read.paragraphs)


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


def test_a_rule_with_noise_sees_the_same_noise_each_time():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert sg.check_operation(ops.dropout, rng.standard_normal((3, 4)), p=0.5, rng=rng).ok
    rng.bit_generator.state = before
    assert sg.check_operation(ops.dropout, X, p=0.5, rng=rng).ok
    assert rng.bit_generator.state == before


class Broken(nn.Network):
    def __init__(self, rng):
        self.hidden = nn.Linear(3, 4, rng=rng)
        self.out = nn.Linear(4, 2, rng=rng)

    def __call__(self, x, rng=None):
        return self.out(tanh_of_the_wrong_letter(self.hidden(x)))


@sg.differentiable
def tanh_of_the_wrong_letter(z):
    return np.tanh(z), (lambda delta: delta * (1 - z * z),)


def test_of_a_network_every_parameter_and_input_is_checked_and_the_rule_at_fault_is_named():
    rng = sg.generator(0)
    x = rng.standard_normal((5, 3))
    right = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.SiLU(), nn.Dropout(0.5))
    report = sg.check_network(right, x)
    assert report.ok
    assert [entry.name for entry in report.entries] == ["0.weight", "0.bias", "x"]

    report = sg.check_network(Broken(rng), x)
    wrong = [entry.name for entry in report.entries if not entry.ok]
    assert wrong == ["hidden.weight", "hidden.bias", "x"]
    (said,) = report.diagnosis
    assert "the rule tanh_of_the_wrong_letter is at fault, in its ∂C/∂z" in said
    assert "σ′, written in terms of the value a = tanh(z), is taken at z instead" in said


def test_a_network_is_left_as_it_was():
    network = nn.Linear(3, 2, rng=sg.generator(0))
    before = network.state_dict()
    sg.check_network(network, X[None])
    assert network.dtype == np.float32
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_model_is_checked_with_the_same_noise_each_time():
    rng = sg.generator(0)
    model = sg.models.vae.dense(9, 5, 2, rng)
    report = sg.check_network(model, rng.random((4, 9)))
    assert report.ok, report
    assert [entry.name for entry in report.entries][-2:] == ["decoder.2.bias", "x"]


@pytest.mark.parametrize("w", [1.0, 1e3, 1e6])
@given(seed=seeds)
def test_a_right_gradient_agrees_where_the_cost_swings_within_the_steps(w, seed):
    x = w * np.random.default_rng(seed).standard_normal(4)
    assert sg.check_gradient(lambda x: np.sum(np.sin(x)), np.cos, x).ok
    swings = sg.check_gradient(lambda x: np.sum(np.sin(w * x)), lambda x: w * np.cos(w * x), x / w)
    assert swings.ok, swings
    assert not sg.check_gradient(lambda x: np.sum(np.sin(x)), lambda x: 2 * np.cos(x), x).ok


@pytest.mark.parametrize("small", [1e-3, 1e-6, 1e-10])
@pytest.mark.parametrize(
    ("f", "derivative"),
    [
        (lambda x: 1 / x, lambda x: -1 / x**2),
        (lambda x: 1 / np.abs(x), lambda x: -np.sign(x) / x**2),
        (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
        (np.log, lambda x: 1 / x),
        (np.abs, np.sign),
    ],
    ids=["1/x", "1/|x|", "sqrt", "log", "abs"],
)
def test_a_right_gradient_agrees_at_an_entry_much_smaller_than_its_neighbours(f, derivative, small):
    x = np.array([small, 1.0])
    report = sg.check_gradient(lambda x: np.sum(f(x)), derivative, x)
    assert report.ok, report
    assert not sg.check_gradient(lambda x: np.sum(f(x)), lambda x: 2 * derivative(x), x).ok


@given(seed=seeds)
def test_a_cost_with_noise_of_few_values_is_seen_to_change(seed):
    rng = np.random.default_rng(seed)
    data, x = rng.standard_normal((4, 4)), rng.standard_normal(4)

    def cost(w):
        return 0.5 * (data[rng.integers(4)] @ w) ** 2

    # In 4⁻⁸ of all cases eight draws are the same: then the numbers must tell.
    assert not sg.check_gradient(cost, lambda w: -w, x).ok


def test_what_is_lost_in_the_uncertainty_is_undecided():
    x = np.array([0.3, -1.2, 0.7, 2.0])
    inexact = lambda x: np.float32(1e6) + np.float32(np.sum(x**2))
    for gradient in (lambda x: 2 * x, lambda x: -2 * x):
        report = sg.check_gradient(inexact, gradient, x)
        assert not report.ok
        assert report.entries[0].verdict == "UNDECIDED"
        assert "too inexact to tell" in report.diagnosis[0]


@pytest.mark.parametrize("wrong", [lambda x: 0 * x + 1e-9, lambda x: x], ids=["1e-9", "x"])
def test_of_a_cost_that_does_not_depend_on_its_input_that_is_said(wrong):
    x = np.array([0.3, -1.2, 0.7, 2.0])
    report = sg.check_gradient(lambda x: 1.0, wrong, x)
    assert "does not depend on it" in report.diagnosis[0]
    assert not report.entries[0].kinds
    assert sg.check_gradient(lambda x: 1.0, np.zeros_like, x).ok


def test_a_search_that_finds_nothing_ends(monkeypatch):
    monkeypatch.setattr(gradcheck.diagnosis, "SECONDS", 0.1)

    def cost(x):
        for _ in range(100):
            x = x + 0.01 * np.tanh(x)
        return np.sum(x**2)

    rng = np.random.default_rng(0)
    report = sg.check_gradient(cost, lambda x: rng.standard_normal(4), np.array([0.3, -1, 0.7, 2]))
    assert not report.ok
    report = sg.check_gradient(cost, lambda x: np.cos(9 * x), np.array([0.3, -1, 0.7, 2]))
    assert report.diagnosis[0].endswith("fits, of those that could be tried in 0.1 s")
