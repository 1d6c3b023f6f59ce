"""What was recorded of a cost is read as it was written, and swept with any equation bent."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck import recording as rec
from scratchgen.gradcheck.recording import Recording, Step, recorded, shortcut, times
from scratchgen.gradcheck.strategies import seeds
from tests.gradcheck.handwritten import X

W = np.random.default_rng(0).standard_normal((3, 3))


def record(cost, **arrays):
    found = recorded(lambda inputs: cost(*inputs), [*arrays.values()], [*arrays])
    assert isinstance(found, Recording), found
    return found


def last(recording):
    """What the cost is the sum of."""
    return recording.cost.inputs[0]


@pytest.mark.parametrize(
    ("value", "formula"),
    [
        (lambda x, y: x + y * 2.0, "x + (y · 2)"),
        (lambda x, y: -(x - y) / y, "−(x − y) / y"),
        (lambda x, y: np.square(x + y) + x**3, "(x + y)² + x^3"),
        (lambda x, y: x @ W.T @ y, "(x @ constant[3, 3]) @ y"),
        (lambda x, y: ops.exp(x + y), "exp(x + y)"),
        (lambda x, y: ops.maximum(x, y * y), "maximum(x, y · y)"),
        (lambda x, y: 1 / (1 + np.exp(-(x * y))), "sigmoid(x · y)"),
        (lambda x, y: np.maximum(x + y, 0), "relu(x + y)"),
        (lambda x, y: -ops.exp(-ops.exp(-ops.exp(x))), "−exp(−exp(…))"),
    ],
)
def test_a_value_is_a_formula_in_the_names_of_the_arguments(value, formula):
    recording = record(lambda x, y: value(x, y).sum(), x=X, y=2 * X + 1)
    assert recording.expression(last(recording)) == formula


COMPOSED = {
    "sigmoid": lambda z: np.exp(z) / (1 + np.exp(z)),
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
    "log_softmax": lambda z: z - np.log(np.exp(z).sum(axis=-1, keepdims=True)),
}


@pytest.mark.parametrize("name", COMPOSED)
@given(seed=seeds)
def test_an_activation_function_is_recognised_however_it_was_composed(name, seed):
    z = np.random.default_rng(seed).standard_normal((4, 5))
    for function in (COMPOSED[name], getattr(ops, name)):
        recording = record(lambda z, f=function: f(z).sum(), z=z)
        assert recording.function(last(recording)) == (name, recording.arguments[0])
    other = record(lambda z: (COMPOSED[name](z) * 1.001).sum(), z=z)
    assert other.function(last(other)) is None


def test_the_activation_functions_are_the_rules_of_their_chapter_that_have_no_settings():
    assert rec.FUNCTIONS.keys() == {*COMPOSED, "gelu"}
    assert {"softmax", "log_softmax"} == rec.COUPLED
    assert all(getattr(ops, name).rule is rule for name, rule in rec.FUNCTIONS.items())


@pytest.mark.parametrize("z", [np.array([0.5, 2.0]), np.array([-0.5, -2.0]), np.zeros(2)])
def test_what_equals_its_argument_or_zero_is_not_taken_for_a_function_of_it(z):
    recording = record(lambda z: (z * (z > 0)).sum(), z=z)
    assert not any(map(recording.function, recording.steps))


@pytest.mark.parametrize("name", sorted(rec.FUNCTIONS.keys() - rec.COUPLED))
@given(seed=seeds)
def test_the_slope_is_the_derivative_of_each_entry(name, seed):
    z, h = np.random.default_rng(seed).uniform(0.1, 2, (2, 3)), 1e-6
    rule = rec.FUNCTIONS[name]
    differences = (rule(z + h)[0] - rule(z - h)[0]) / (2 * h)
    np.testing.assert_allclose(rec.slope(name, z), differences, rtol=1e-7)


def test_a_bent_equation_changes_the_sweep_and_the_record_is_as_before():
    recording = record(lambda x, y: (np.exp(x) * y).sum(), x=X, y=2 * X)
    product = last(recording)
    exp = product.inputs[0]
    step = Step(exp, 0, exp.inputs[0])
    right = recording.gradients([0, 1])
    np.testing.assert_allclose(right[0], 2 * X * np.exp(X))
    np.testing.assert_array_equal(recording.gradient(0, step.bent(times())), 2 * X)
    factor = shortcut(product, recording.arguments[0], 5.0)
    np.testing.assert_array_equal(recording.gradient(0, factor), np.full(3, 5.0))
    np.testing.assert_array_equal(recording.gradient(1, factor), right[1])
    both = recording.gradient(0, step.bent(times(3.0)), Step(product, 0, exp).bent(times(7.0)))
    np.testing.assert_array_equal(both, np.full(3, 21.0))
    assert recording.gradient(0, step.bent(lambda delta: np.ones(2))) is None
    for once, again in zip(right, recording.gradients([0, 1]), strict=True):
        np.testing.assert_array_equal(once, again)


def test_the_equations_that_lead_to_an_argument_come_from_the_cost_back():
    recording = record(lambda x, y: (np.exp(x) * np.tanh(y)).sum(), x=X, y=X)
    computed, steps = recording.leading_to([0])
    assert [node.operation.__name__ for node in computed] == ["sum", "multiply", "exp"]
    assert [(step.node.operation.__name__, step.k) for step in steps] == [
        ("sum", 0),
        ("multiply", 0),
        ("exp", 0),
    ]


def test_a_regulariser_is_a_term_made_of_one_argument_alone():
    recording = record(lambda x, w: (x * w).sum() + np.square(w).sum(), x=X, w=2 * X)
    data, term = recording.cost.inputs
    assert recording.made_of[recording.cost] == {"x", "w"}
    assert data not in recording.regularised
    assert recording.regularised == {term: "w", term.inputs[0]: "w"}
    alone = record(lambda w: np.square(w).sum() + w.sum(), w=X)
    assert not alone.regularised


def test_a_regulariser_is_found_behind_its_factors_but_not_within_the_data_term():
    scaled = record(
        lambda x, w, lam: ((x * w).sum() + lam / 2 * np.square(w).sum()) / 3,
        x=X,
        w=2 * X,
        lam=np.array(0.1),
    )
    assert {scaled.expression(x) for x in scaled.regularised} == {"sum(w²)", "w²"}
    inner = record(lambda x, w: ((w**2).sum() - x.sum()) ** 2, x=X, w=2 * X)
    assert not inner.regularised


@pytest.mark.parametrize(
    ("value", "curved"),
    [
        (np.exp, True),
        (lambda x: x**3, True),
        (lambda x: 1 / x, True),
        (lambda x: np.maximum(x, 0), True),
        (np.negative, False),
        (lambda x: 3.0 * x, False),
        (lambda x: x @ W, False),
        (lambda x: x[np.array([2, 0, 1])], False),
    ],
)
def test_a_step_is_curved_where_its_equation_depends_on_where_it_is_taken(value, curved):
    recording = record(lambda x: value(x).sum(), x=X)
    node = last(recording)
    (k,) = (k for k, x in enumerate(node.inputs) if x is recording.arguments[0])
    assert recording.is_curved(Step(node, k, recording.arguments[0])) == curved


def test_an_equation_at_another_operand_is_that_of_the_rule_there_and_none_where_nothing_changes():
    recording = record(lambda x, W: (x @ W).sum(), x=X, W=W)
    product = last(recording)
    step = Step(product, 0, product.inputs[0])
    delta = np.arange(3.0)
    np.testing.assert_array_equal(recording.equation_at(step, 1, W.T)(delta)[0], delta @ W)
    assert recording.equation_at(step, 1, W) is None
    assert recording.equation_at(step, 0, 2 * X) is None
    assert recording.equation_at(step, 1, np.ones((2, 2))) is None


@given(seed=seeds, p=st.sampled_from([0.25, 0.5]))
def test_a_mask_is_seen_as_a_constant_factor_and_within_dropout(seed, p):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, 5))
    mask = (rng.random(x.shape) >= p) / (1 - p)
    mask[0, :2] = 0, 1 / (1 - p)
    recording = record(lambda x, m: (m * np.exp(x)).sum(), x=x, m=mask)
    np.testing.assert_array_equal(rec.mask_of(last(recording), 1), mask)
    assert rec.mask_of(last(recording), 0) is None
    assert recording.scales == [1 / (1 - p)]
    dropped = record(lambda x: ops.dropout(x, p, rng=sg.generator(seed)).sum(), x=x)
    seen = rec.mask_of(last(dropped), 0)
    assert seen is None or set(np.unique(seen)) == {0, 1 / (1 - p)}


def test_the_noise_of_a_reparameterisation_is_seen():
    log_var, noise = X, np.array([0.7, -0.2, 1.1])
    recording = record(lambda s, e: (np.exp(0.5 * s) * e).sum(), s=log_var, e=noise)
    s, e = recording.arguments
    np.testing.assert_array_equal(rec.noise_of(last(recording), s), noise)
    assert rec.noise_of(last(recording), e) is None


@pytest.mark.parametrize(
    ("value", "is_function"),
    [
        (lambda x: np.exp(np.tanh(x)), True),
        (lambda x: 1 / (1 + np.exp(x)), True),
        (lambda x: 0.5 * (x + 1), True),
        (lambda x: -(x - 1), False),
        (lambda x: np.exp(x) / np.exp(x).sum(), False),
    ],
)
def test_a_function_of_one_tensor_is_told_from_a_sum_and_from_what_couples_its_entries(
    value, is_function
):
    recording = record(lambda x: value(x).sum(), x=X)
    assert rec.is_function_of(last(recording), recording.arguments[0]) == is_function


def test_every_array_is_in_the_pool_once():
    recording = record(lambda x, y: (np.exp(x) + np.exp(y)).sum(), x=X, y=X.copy())
    exp, total = "exp(x)", "exp(x) + exp(y)"
    assert [name for name, _ in recording.pool] == ["x", exp, total, f"sum({total})"]


@pytest.mark.parametrize(
    ("cost", "why"),
    [
        (
            lambda x: np.linalg.svd(x)[1].sum(),
            r"NotRecordedError: test_recording\.py:\d+: `.*svd.*`: np\.linalg\.svd has no rule",
        ),
        (lambda x: float(x.sum()) * 2, r"NotRecordedError: test_recording\.py.*float\(\) would"),
        (lambda x: float(x.data.sum()), "called on tensors it returned none"),
        (lambda x: x * 2, "called on tensors it returned none"),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_cost_that_cannot_be_recorded_says_why(cost, why):
    said = recorded(lambda inputs: cost(*inputs), [X], ["x"])
    assert isinstance(said, str)
    assert re.match(why, said)


def test_a_cost_that_is_a_float_is_recorded_as_the_tensor_that_it_was():
    recording = recorded(lambda inputs: float((inputs[0] ** 2).sum()), [X], ["x"])
    np.testing.assert_allclose(recording.gradient(0), 2 * X)


def test_a_cost_that_fills_an_array_in_a_loop_is_recorded():
    def cost(x):
        z = np.zeros(len(x))
        for i in range(len(x)):
            z[i] = np.exp(x[i])
        return z @ z

    recording = recorded(lambda inputs: cost(*inputs), [X], ["x"])
    np.testing.assert_allclose(recording.gradient(0), 2 * np.exp(2 * X))
