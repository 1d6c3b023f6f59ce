"""The laws of the engine: one sweep, each δ finished, nothing touched, nothing kept."""

import ast
import collections
import gc
import inspect
import io
import operator
import pathlib
import tokenize
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

import scratchgen as sg
from scratchgen import Tensor, autodiff, differentiable, gradient
from scratchgen import operations as ops
from scratchgen.autodiff import ancestry
from scratchgen.gradcheck.strategies import arrays, broadcasting_arrays, seeds
from tests import strict
from tests.reading import Reader
from tests.rules import random_delta

x0 = np.array([0.5, -1.0, 2.0])


def counted(operation, calls):
    """The operation, noting in ``calls`` each of its equations that is called."""

    def noting(equation, k):
        def noted(delta):
            calls[operation.__name__, k] += 1
            return equation(delta)

        return noted

    @differentiable
    def rule(*arrays):
        value, equations = operation.rule(*arrays)
        return value, [noting(equation, k) for k, equation in enumerate(equations)]

    return lambda *arrays: rule(arrays)


# What a gradient is


def test_a_tensor_used_several_times_receives_the_sum_of_its_shares():
    x = Tensor(x0)
    (share,) = gradient((x * x + x + 3 * x).sum(), [x])
    np.testing.assert_allclose(share, 2 * x0 + 4)
    y = ops.tanh(x)
    (share,) = gradient((y * y + y).sum(), [y])
    np.testing.assert_allclose(share, 2 * np.tanh(x0) + 1)


def test_the_gradient_of_a_cost_with_respect_to_itself_is_1():
    cost = (Tensor(x0) ** 2).sum()
    assert gradient(cost, [cost]) == [1]


@given(x=arrays((2, 3)), y=arrays((3,)), seed=seeds)
def test_asked_twice_the_gradient_is_the_same(x, y, seed):
    x, y = Tensor(x), Tensor(y)
    value = ops.tanh(x * y) @ y
    delta = random_delta(value, seed)
    first = gradient(value, [x, y], delta=delta)
    gradient(value.sum(), [y])
    for once, again in zip(first, gradient(value, [x, y], delta=delta), strict=True):
        np.testing.assert_array_equal(once, again)


@given(x=arrays((2, 3)), alpha=st.floats(-3, 3), seed=seeds)
def test_the_gradient_is_linear_in_delta(x, alpha, seed):
    x = Tensor(x)
    value = ops.softmax(x * x) @ ops.tanh(x.T)
    d, e = random_delta(value, seed), random_delta(value, seed + 1)
    (of_d,), (of_e,), (of_both,) = (
        gradient(value, [x], delta=delta) for delta in (d, e, alpha * d + e)
    )
    np.testing.assert_allclose(of_both, alpha * of_d + of_e, rtol=1e-10, atol=1e-12)


def test_gradients_come_in_the_order_that_was_asked_for():
    x, y, z = Tensor(2.0), Tensor(3.0), Tensor(5.0)
    cost = x * y * z
    assert gradient(cost, [z, x, y, x]) == [6, 15, 10, 15]
    assert gradient(cost, []) == []


@pytest.mark.parametrize("operation", [ops.add, ops.subtract, ops.multiply, ops.divide])
@given(pair=broadcasting_arrays(((0.5, 2.0),), ((0.5, 2.0),)), seed=seeds)
def test_broadcasting_is_tiling(operation, pair, seed):
    shape = np.broadcast_shapes(*(x.shape for x in pair))
    ones = np.ones(shape)
    tiled = [Tensor(x * ones) for x in pair]
    delta = random_delta(ones, seed)
    of_tiled = gradient(operation(*tiled), tiled, delta=delta)
    broadcast = [Tensor(x) for x in pair]
    of_broadcast = gradient(operation(*broadcast), broadcast, delta=delta)
    for x, share, copies in zip(broadcast, of_broadcast, of_tiled, strict=True):
        padded = (1,) * (len(shape) - x.ndim) + x.shape
        repeated = tuple(k for k, n in enumerate(padded) if n == 1)
        expected = copies.sum(axis=repeated, keepdims=True).reshape(x.shape)
        np.testing.assert_allclose(share, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("operation", [ops.add, ops.multiply, ops.divide, ops.matmul, ops.power])
@pytest.mark.parametrize(
    "dtypes", [(np.float32, np.float64), (np.float64, np.float32), (np.float16, np.float32)]
)
def test_each_gradient_has_the_dtype_of_its_tensor(operation, dtypes):
    x, y = (Tensor(np.full((2, 2), 1.5, dtype)) for dtype in dtypes)
    value = operation(x, y)
    assert value.dtype == np.result_type(*dtypes)
    for share, tensor in zip(gradient(value.sum(), [x, y]), (x, y), strict=True):
        assert share.dtype == tensor.dtype
    for share, tensor in zip(
        gradient(value, [x, y], delta=np.ones((2, 2), np.float16)), (x, y), strict=True
    ):
        assert share.dtype == tensor.dtype


# What a gradient costs


def test_a_chain_of_5000_is_differentiated_and_let_go():
    x = Tensor(1.0)
    y = x
    for _ in range(5_000):
        y = y + 1e-3
    assert gradient(y, [x]) == [1]
    middle = weakref.ref(y.inputs[0].inputs[0])
    del y
    gc.collect()
    assert middle() is None


def test_the_equations_called_in_200_doublings_are_400():
    calls = collections.Counter()
    add = counted(ops.add, calls)
    x = y = Tensor(1.0)
    for _ in range(200):
        y = add(y, y)
    assert gradient(y, [x]) == [2.0**200]
    assert calls == {("add", 0): 200, ("add", 1): 200}


def test_only_equations_that_lead_to_what_is_asked_for_are_called():
    calls = collections.Counter()
    multiply, exp, add = (counted(f, calls) for f in (ops.multiply, ops.exp, ops.add))
    x, y, z = Tensor(2.0), Tensor(3.0), Tensor(5.0)
    hidden = multiply(x, y)
    cost = add(exp(z), hidden)
    gradient(cost, [x])
    assert calls == {("add", 1): 1, ("multiply", 0): 1}
    calls.clear()
    gradient(cost, [hidden])
    assert calls == {("add", 1): 1}
    calls.clear()
    gradient(cost, [cost])
    assert not calls
    gradient(cost, [x, y, z])
    assert set(calls.values()) == {1}
    assert len(calls) == 5


def test_an_equation_that_raises_harms_only_those_who_ask_for_it():
    @differentiable
    def product(x, y):
        def refuse(delta):
            raise AssertionError("nobody asked for ∂C/∂y")

        return x * y, (lambda delta: delta * y, refuse)

    x, y = Tensor(2.0), Tensor(3.0)
    assert gradient(product(x, y), [x]) == [3]
    with pytest.raises(AssertionError, match="nobody asked"):
        gradient(product(x, y), [x, y])


# What a gradient leaves alone


@given(x=arrays((2, 3)), y=arrays((2, 3)), seed=seeds)
def test_neither_inputs_nor_delta_are_written_to(x, y, seed):
    x, y = Tensor(x), Tensor(y)
    value = ops.tanh(x + y) * x + y.reshape(3, 2).T - x[:, ::-1]
    delta = random_delta(value, seed)
    assert not any(array.flags.writeable for array in (x.data, y.data, delta))
    gradient(value, [x, y], delta=delta)


PASSING_ON = {
    "add": lambda x: x + 0.0,
    "add to itself": lambda x: x + x,
    "reshape": lambda x: x.reshape(-1),
    "transpose": lambda x: x.T,
    "sum": lambda x: x.sum(axis=0, keepdims=True),
    "getitem": lambda x: x[0],
    "slice": lambda x: x[:],
    "concatenate": lambda x: ops.concatenate([x]),
    "dropout": lambda x: ops.dropout(x, p=0.5, rng=None),
    "where": lambda x: ops.where(True, x, x),
    "itself": lambda x: x,
}


@pytest.mark.parametrize("name", PASSING_ON)
def test_gradients_share_no_memory_with_each_other_with_delta_or_with_any_data(name):
    x = Tensor(np.ones((2, 2)))
    y = x.T if name == "reshape" else x
    value = PASSING_ON[name](y)
    delta = np.ones(value.shape)
    gradients = gradient(value, [value, y, x, x], delta=delta)
    kept = [delta, value.data, x.data]
    for k, ours in enumerate(gradients):
        assert ours.flags.writeable
        for other in gradients[k + 1 :] + kept:
            assert not np.shares_memory(ours, other)


def test_two_summands_receive_gradients_of_their_own():
    x, y = Tensor(x0), Tensor(x0)
    of_x, of_y = gradient(x + y, [x, y], delta=np.ones(3))
    of_x += 1
    np.testing.assert_array_equal(of_y, 1)


# The sweep


def diamond():
    """A cost, and its five tensors by name: x → h → (left, right) → cost."""
    x = Tensor(x0)
    h = ops.tanh(x)
    left, right = h * 2.0, h * h
    cost = (left + right).sum()
    return {"x": x, "h": h, "left": left, "right": right, "cost": cost}


def test_the_sweep_yields_each_tensor_once_and_after_all_its_consumers():
    tensors = diamond()
    order = [tensor for tensor, _ in sg.backward_sweep(tensors["cost"])]
    assert len(order) == len(set(order)) == 6
    assert order[0] is tensors["cost"]
    assert order[-1] is tensors["x"]
    for k, consumer in enumerate(order):
        assert {x for x in consumer.inputs if isinstance(x, Tensor)} <= set(order[k + 1 :])


def test_each_delta_that_the_sweep_yields_is_finished():
    tensors = diamond()
    sweep = dict(sg.backward_sweep(tensors["cost"]))
    a = np.tanh(x0)
    for name, expected in {
        "cost": 1.0,
        "left": np.ones(3),
        "right": np.ones(3),
        "h": 2 + 2 * a,
        "x": (2 + 2 * a) * (1 - a * a),
    }.items():
        np.testing.assert_allclose(sweep[tensors[name]], expected)


def test_with_wrt_the_sweep_visits_only_what_leads_to_it():
    tensors = diamond()
    visited = [tensor for tensor, _ in sg.backward_sweep(tensors["cost"], [tensors["right"]])]
    names = {tensor: name for name, tensor in tensors.items()}
    assert [names.get(tensor, "sum") for tensor in visited] == ["cost", "sum", "right"]


def test_without_wrt_the_sweep_visits_all_down_to_the_origins():
    x, y = Tensor(x0), Tensor(x0)
    origins = [
        tensor for tensor, _ in sg.backward_sweep((x * y + 1.0).sum()) if tensor.operation is None
    ]
    assert set(origins) == {x, y}


def test_the_ancestry_is_all_that_a_tensor_came_from_each_before_its_consumers():
    x, W, unused = Tensor(x0), Tensor(np.eye(3)), Tensor(x0)
    z = W @ x
    a = ops.tanh(z)
    cost = (a * x + 1.0).sum()
    unused * a
    *before, last = ancestry(cost)
    assert last is cost
    assert before[:4] == [x, W, z, a]
    assert len(before) == 6
    assert ancestry(x) == [x]
    place = {y: k for k, y in enumerate([*before, last])}
    assert all(place[i] < place[y] for y in place for i in y.inputs if isinstance(i, Tensor))


def test_the_ancestry_within_some_steps_ends_there_and_the_shortest_way_counts():
    x = Tensor(x0)
    y = ops.exp(x)
    z = ops.tanh(y) * x
    assert ancestry(z, 0) == [z]
    assert ancestry(z, 1) == [x, z.inputs[0], z]
    assert ancestry(z, 2) == [x, y, z.inputs[0], z] == ancestry(z)


def test_the_sweep_stays_on_the_device(monkeypatch):
    strict.install(monkeypatch)
    W = Tensor(sg.to_device(np.ones((3, 2), np.float32), "cuda"))
    x = sg.to_device(np.ones((4, 3), np.float32), "cuda")
    cost = (ops.sigmoid(x @ W + 1) * 2 - 1).mean()
    (share,) = gradient(cost, [W])
    assert strict.transfers == 0
    assert isinstance(share, strict.StrictArray)
    assert share.dtype == np.float32


def test_a_gradient_with_respect_to_what_does_not_matter_is_refused_or_zero_when_asked_for():
    x, y = Tensor(x0), Tensor(np.ones((2, 2), np.float32))
    cost = x.sum()
    with pytest.raises(ValueError, match=r"does not depend on wrt\[1\], of shape \(2, 2\)"):
        gradient(cost, [x, y])
    of_x, of_y = gradient(cost, [x, y], unused="zeros")
    np.testing.assert_array_equal(of_x, 1)
    np.testing.assert_array_equal(of_y, np.zeros((2, 2)))
    assert of_y.dtype == np.float32


def test_what_was_computed_from_data_does_not_depend_on_its_tensor():
    x = Tensor(x0)
    with pytest.raises(ValueError, match="does not depend"):
        gradient((Tensor(x.data) * 2.0).sum(), [x])


# Operations


@differentiable
def scaled(x, y=None, *, factor=2.0, power=1):
    """z = factor (x + y) ** power, for power 1."""
    assert power == 1
    z = factor * (x if y is None else x + y)
    return z, (lambda delta: factor * delta, lambda delta: factor * delta)


def test_plain_arrays_in_plain_array_out():
    for value in (ops.multiply(x0, x0), scaled(x0), ops.concatenate([x0, x0]), ops.sum(x0)):
        assert not isinstance(value, Tensor)
    assert type(ops.tanh(x0)) is np.ndarray
    assert isinstance(ops.multiply(x0, Tensor(x0)), Tensor)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: scaled(x, y, factor=3.0),
        lambda x, y: scaled(x, y, 3.0),
        lambda x, y: scaled(x, y, 3.0, 1),
        lambda x, y: scaled(x, y=y, factor=3.0),
        lambda x, y: scaled(y=y, x=x, factor=3.0),
        lambda x, y: scaled(factor=3.0, power=1, x=x, y=y),
    ],
)
def test_arrays_and_settings_may_be_given_by_position_and_by_name(call):
    x, y = Tensor(x0), Tensor(x0 + 1)
    np.testing.assert_array_equal(call(x, y).data, 3 * (x0 + x0 + 1))
    np.testing.assert_array_equal(call(x0, x0 + 1), 3 * (x0 + x0 + 1))
    assert [share.tolist() for share in gradient(call(x, y).sum(), [x, y])] == [[3] * 3] * 2


def test_an_array_left_out_has_its_default():
    x = Tensor(x0)
    np.testing.assert_array_equal(scaled(x).data, 2 * x0)
    np.testing.assert_array_equal(scaled(x=x, factor=5).data, 5 * x0)

    @differentiable
    def shifted(x, y=1.0):
        return x + y, (lambda delta: delta, lambda delta: delta)

    np.testing.assert_array_equal(shifted(x).data, x0 + 1)


def test_a_setting_may_lack_a_default_behind_an_array_that_has_one():
    @differentiable
    def stretched(x, y=None, *, factor):
        return factor * x, (lambda delta: factor * delta, None)

    np.testing.assert_array_equal(stretched(Tensor(x0), factor=3.0).data, 3 * x0)


def test_arguments_that_the_rule_does_not_have_are_refused():
    for call in (
        lambda: scaled(),
        lambda: scaled(x0, x0, 1.0, 1, 5),
        lambda: scaled(x0, x0, nonsense=1),
        lambda: scaled(x0, x=x0),
        lambda: ops.add(Tensor(x0)),
    ):
        with pytest.raises(TypeError):
            call()


def test_a_rule_of_a_sequence_takes_a_list_a_tuple_and_tensors_among_arrays():
    x = Tensor(x0)
    for call in (
        lambda: ops.concatenate([x0, x, x0], axis=0),
        lambda: ops.concatenate((x0, x, x0), 0),
        lambda: ops.concatenate(arrays=[x0, x, x0]),
    ):
        np.testing.assert_array_equal(call().data, np.concatenate([x0, x0, x0]))
        np.testing.assert_array_equal(gradient(call().sum(), [x])[0], 1)
    with pytest.raises(ValueError, match="zero-dimensional"):
        ops.concatenate(x)


def test_an_operation_keeps_its_name_its_docstring_its_rule_and_its_signature():
    assert scaled.__name__ == "scaled"
    assert scaled.__doc__.startswith("z = factor")
    assert list(inspect.signature(scaled).parameters) == ["x", "y", "factor", "power"]
    value, equations = scaled.rule(x0, x0)
    np.testing.assert_array_equal(value, 4 * x0)
    assert len(equations) == 2
    assert repr(scaled(Tensor(1.0))) == "Tensor(array(2.), from scaled)"
    assert repr(Tensor(1.0)) == "Tensor(array(1.), from nothing)"


def test_in_a_notebook_a_tensor_is_its_shape_its_origin_and_a_few_of_its_numbers():
    head, row = Reader(scaled(Tensor(np.arange(2.0)))._repr_html_()).rows
    assert head == ["shape", "dtype", "from", "values"]
    assert row == ["(2,)", "float64", "scaled", "[0. 2.]"]
    large = Tensor(np.zeros((1000, 1000), np.float32))._repr_html_()
    assert len(large) < 1000
    assert Reader(large).rows[1][:3] == ["(1000, 1000)", "float32", "nothing"]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_rule_with_a_wrong_number_of_equations_is_named(number):
    @differentiable
    def product(x, y):
        return x * y, [lambda delta: delta] * number

    with pytest.raises(TypeError, match=f"product: 2 arrays but {number} equations"):
        product(Tensor(x0), x0)


@pytest.mark.parametrize(
    ("equation", "error", "says"),
    [
        (lambda delta: delta[:2], ValueError, r"equation 0 returned shape \(2,\), not \(3,\)"),
        (lambda delta: delta.sum(), ValueError, r"equation 0 returned shape \(\), not \(3,\)"),
        (lambda delta: delta[:, None], ValueError, r"equation 0 returned shape \(3, 1\)"),
        (lambda delta: delta.astype(np.float32), TypeError, "equation 0 returned float32"),
        (lambda delta: delta.astype(complex), TypeError, "equation 0 returned complex128"),
        (lambda delta: delta > 0, TypeError, "equation 0 returned bool"),
        (lambda delta: None, TypeError, "equation 0 returned <class 'NoneType'>"),
        (lambda delta: 1.0, TypeError, "equation 0 returned <class 'float'>"),
        (lambda delta: [1.0, 2.0, 3.0], TypeError, "equation 0 returned <class 'list'>"),
        (None, ValueError, "no derivative with respect to input 0"),
    ],
    ids=[
        *("too short", "summed", "another axis", "float32", "complex", "bool"),
        *("None", "a number", "a list", "no equation"),
    ],
)
def test_an_equation_that_breaks_the_contract_is_named(equation, error, says):
    @differentiable
    def broken(x):
        return 2 * x, (equation,)

    x = Tensor(x0)
    with pytest.raises(error, match=f"broken: {says}"):
        gradient(broken(x), [x], delta=x0)


def test_a_delta_of_float32_answered_in_float64_is_named():
    @differentiable
    def widened(x):
        return 2 * x, (lambda delta: delta * np.float64(2),)

    x = Tensor(x0.astype(np.float32))
    with pytest.raises(TypeError, match="widened: equation 0 returned float64 for a δ of float32"):
        gradient(widened(x).sum(), [x])


def test_labels_have_no_derivative():
    condition, x = Tensor([1.0, 0.0, 1.0]), Tensor(x0)
    cost = ops.where(condition, x, 0.0).sum()
    assert gradient(cost, [x])[0].tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="where: no derivative with respect to input 0"):
        gradient(cost, [condition])


@pytest.mark.parametrize("shape", [(3,), (1,), (0,), (1, 1)])
def test_a_cost_that_is_not_one_number_is_refused_and_its_shape_named(shape):
    x = Tensor(np.ones(shape))
    with pytest.raises(ValueError, match="one number, the cost has shape") as error:
        gradient(x * 2.0, [x])
    assert str(shape) in str(error.value)


def test_a_delta_of_another_shape_is_refused():
    x = Tensor(x0)
    for delta in (np.ones(2), np.ones((3, 1)), np.array(1.0)):
        with pytest.raises(ValueError, match=r"the cost has shape \(3,\)"):
            gradient(x * 2.0, [x], delta=delta)


def test_what_is_no_tensor_has_no_gradient():
    x = Tensor(x0)
    for cost, wrt in [
        (np.array(1.0), [x]),
        (1.0, [x]),
        (x.sum(), x),
        (x.sum(), [x0.sum()]),
        (x.sum(), [x, 1.0]),
        (x.sum(), None),
    ]:
        with pytest.raises(TypeError):
            gradient(cost, wrt)


def test_second_derivatives_are_refused():
    with pytest.raises(TypeError, match="first order only"):
        sg.grad(sg.grad(lambda x: x * x))(2.0)
    with pytest.raises(TypeError, match="first order only"):
        Tensor(Tensor(1.0))


@pytest.mark.parametrize(
    "data", [1j, np.ones(2, complex), np.array([None]), "text", [[1.0], ["a"]], {}]
)
def test_what_is_not_real_is_refused(data):
    with pytest.raises(TypeError, match="a Tensor holds real numbers, got"):
        Tensor(data)


@pytest.mark.parametrize("data", [3, True, [1, 2], np.arange(3), np.ones(2, bool), np.uint8(7)])
def test_what_is_not_floating_becomes_float64(data):
    assert Tensor(data).dtype == np.float64
    np.testing.assert_array_equal(Tensor(data).data, data)


def test_what_is_floating_stays_and_shares_its_memory():
    for dtype in (np.float16, np.float32, np.float64):
        data = np.ones(3, dtype)
        assert Tensor(data).data is data


# A parameter that changes


def changed_parameter():
    """W of a cost that was recorded before W changed, another tensor of that cost, the cost."""
    x, W = Tensor(x0), Tensor(np.ones(3))
    hidden = x * 2.0
    cost = (hidden * W).sum()
    W.data[...] = 5.0
    W.changed()
    return W, x, cost


def test_a_cost_recorded_before_a_parameter_changed_no_longer_stands():
    W, _, cost = changed_parameter()
    with pytest.raises(ValueError, match="of multiply was changed after its use: record anew"):
        gradient(cost, [W])


def test_nor_does_it_stand_for_the_gradient_with_respect_to_another():
    _, x, cost = changed_parameter()
    with pytest.raises(ValueError, match="of multiply was changed after its use: record anew"):
        gradient(cost, [x])


def test_nor_for_the_whole_sweep():
    _, _, cost = changed_parameter()
    with pytest.raises(ValueError, match="of multiply was changed after its use: record anew"):
        list(sg.backward_sweep(cost))


def test_a_cost_recorded_after_the_change_stands():
    W, x, _ = changed_parameter()
    np.testing.assert_array_equal(gradient((x * W).sum(), [x])[0], 5)
    np.testing.assert_array_equal(gradient((x * W).sum(), [W])[0], x0)


# Tensors among arrays


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (np.exp, x0),
        (np.tanh, x0),
        (np.negative, x0),
        (np.square, x0),
        (np.abs, x0),
        (np.sum, x0),
        (lambda x: np.mean(x, axis=0), x0),
        (lambda x: np.max(x), x0),
        (lambda x: np.maximum(0.0, x), x0),
        (lambda x: np.where(x > 0, x, 2 * x), x0),
        (lambda x: np.clip(x, -0.7, 0.9), x0),
        (lambda x: np.reshape(x, (3, 1)), x0),
        (lambda x: np.concatenate([x, 2 * x]), x0),
        (lambda x: np.matmul(np.ones((2, 3)), x), x0),
        (lambda x: np.power(2.0, x), x0),
    ],
)
def test_numpys_functions_of_a_tensor_are_the_rules_of_their_names(function, x):
    value = function(Tensor(x))
    assert isinstance(value, Tensor)
    np.testing.assert_array_equal(value.data, function(x))
    rng = np.random.default_rng(0)
    delta, v = rng.normal(size=value.shape), rng.normal(size=x.shape)
    tensor, h = Tensor(x), 1e-6
    share = gradient(function(tensor), [tensor], delta=delta)[0]
    slope = (function(x + h * v) - function(x - h * v)) / (2 * h)
    np.testing.assert_allclose((share * v).sum(), (delta * slope).sum(), rtol=1e-8)


def test_comparisons_of_a_tensor_give_plain_arrays():
    x = Tensor(x0)
    for compare in (np.less, np.greater_equal, np.equal, operator.gt, operator.ne):
        for a, b in ((x, 0.5), (x0, x), (x, x)):
            plain = [t.data if isinstance(t, Tensor) else t for t in (a, b)]
            result = compare(a, b)
            assert type(result) is np.ndarray
            np.testing.assert_array_equal(result, compare(*plain))
    assert bool(Tensor(2.0))
    assert not Tensor(0.0)


def test_a_tensor_has_the_shape_and_dtype_of_its_data_and_is_printed_like_it():
    x = Tensor(x0)
    assert (x.shape, x.ndim, x.dtype) == ((3,), 1, np.float64)
    assert f"{Tensor(2.5):.3f}" == "2.500"
    assert repr(x) == f"Tensor({x0!r}, from nothing)"
    assert repr(x + 1).endswith("from add)")


OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    operator.matmul,
]
OTHERS = {
    "array": np.array([[0.5, 2.0], [1.5, 1.0]]),
    "row": np.array([0.5, 2.0]),
    "float32": np.array([[0.5, 2.0], [1.5, 1.0]], np.float32),
    "integers": np.array([[1, 2], [3, 1]]),
    "number": 1.5,
    "integer": 2,
    "NumPy number": np.float64(1.5),
    "0-d array": np.array(1.5),
}


@pytest.mark.parametrize(
    ("operate", "other"),
    [
        (operate, other)
        for operate in OPERATORS
        for other in OTHERS
        if operate is not operator.matmul or np.ndim(OTHERS[other])
    ],
)
def test_an_operator_gives_what_it_gives_on_arrays_on_either_side_and_records(operate, other):
    data, other = np.array([[1.0, 2.0], [0.5, 3.0]]), OTHERS[other]
    x = Tensor(data)
    for ours, expected in [
        (operate(x, other), operate(data, other)),
        (operate(other, x), operate(other, data)),
        (operate(x, x), operate(data, data)),
    ]:
        assert isinstance(ours, Tensor)
        np.testing.assert_array_equal(ours.data, expected)
        assert gradient(ours.sum(), [x])[0].shape == (2, 2)


def test_unary_operators_and_brackets_are_recorded():
    x = Tensor(x0)
    for ours, expected in [(-x, -x0), (abs(x), abs(x0)), (x[1:], x0[1:]), (x[x > 0], x0[x0 > 0])]:
        np.testing.assert_array_equal(ours.data, expected)
        gradient(ours.sum(), [x])
    y = x
    y += 1
    np.testing.assert_array_equal(x.data, x0)
    np.testing.assert_array_equal(y.data, x0 + 1)


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_comparisons_give_plain_arrays(compare):
    x, other = Tensor(x0), np.array([0.5, 0.0, 3.0])
    for ours, expected in [
        (compare(x, other), compare(x0, other)),
        (compare(other, x), compare(other, x0)),
        (compare(x, Tensor(other)), compare(x0, other)),
        (compare(x, 0.5), compare(x0, 0.5)),
        (compare(0.5, x), compare(0.5, x0)),
    ]:
        assert type(ours) is np.ndarray
        np.testing.assert_array_equal(ours, expected)


def test_tensors_of_equal_numbers_are_two_tensors():
    x, y = Tensor(x0), Tensor(x0)
    assert (x == y).all()
    assert len({x, y, x}) == 2


# Any graph


class Naive:
    """A value that remembers how δ returns to what it came from; each path is walked by itself."""

    def __init__(self, data, *returns):
        self.data, self.returns = data, returns
        self.paths = 1 + sum(parent.paths for parent, _ in returns)

    def derivatives(self, delta, found):
        found[self] = found.get(self, 0) + delta
        for parent, back in self.returns:
            parent.derivatives(back(delta), found)
        return found


class AnyGraph(RuleBasedStateMachine):
    """Whatever is built, and however often it is asked, the gradients are those of all paths."""

    matrices, numbers = Bundle("matrices"), Bundle("numbers")

    @initialize()
    def start(self):
        self.origins = []

    def kept(self, tensor, naive):
        """The pair, if its paths can be walked and its numbers compared."""
        if naive.paths > 2_000 or np.abs(naive.data).max() > 1e6:
            return multiple()
        np.testing.assert_allclose(tensor.data, naive.data, rtol=1e-10, atol=1e-10)
        return tensor, naive

    @rule(target=matrices, data=arrays((2, 2)))
    def origin(self, data):
        self.origins.append((Tensor(data), Naive(data)))
        return self.origins[-1]

    @rule(target=matrices, x=matrices, y=matrices)
    def add(self, x, y):
        naive = Naive(x[1].data + y[1].data, (x[1], lambda d: d), (y[1], lambda d: d))
        return self.kept(x[0] + y[0], naive)

    @rule(target=matrices, x=matrices, y=matrices)
    def multiply(self, x, y):
        a, b = x[1].data, y[1].data
        return self.kept(
            x[0] * y[0], Naive(a * b, (x[1], lambda d: d * b), (y[1], lambda d: d * a))
        )

    @rule(target=matrices, x=matrices, y=matrices)
    def matmul(self, x, y):
        a, b = x[1].data, y[1].data
        return self.kept(
            x[0] @ y[0], Naive(a @ b, (x[1], lambda d: d @ b.T), (y[1], lambda d: a.T @ d))
        )

    @rule(target=matrices, x=matrices)
    def tanh(self, x):
        a = np.tanh(x[1].data)
        return self.kept(ops.tanh(x[0]), Naive(a, (x[1], lambda d: d * (1 - a * a))))

    @rule(target=numbers, x=matrices)
    def sum(self, x):
        return self.kept(x[0].sum(), Naive(x[1].data.sum(), (x[1], lambda d: np.full((2, 2), d))))

    @rule(target=matrices, x=matrices, s=numbers)
    def scale(self, x, s):
        a, b = x[1].data, s[1].data
        returns = (x[1], lambda d: d * b), (s[1], lambda d: (d * a).sum())
        return self.kept(x[0] * s[0], Naive(a * b, *returns))

    @rule(x=matrices | numbers, among=st.data(), seed=seeds)
    def gradients_are_those_of_all_paths(self, x, among, seed):
        tensor, naive = x
        delta = random_delta(tensor, seed)
        found = naive.derivatives(delta, {})
        wrt = among.draw(st.lists(st.sampled_from(self.origins), unique=True))
        gradients = gradient(tensor, [origin for origin, _ in wrt], delta, unused="zeros")
        for share, (_, origin) in zip(gradients, wrt, strict=True):
            expected = found.get(origin, np.zeros((2, 2)))
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(share, expected, rtol=1e-9, atol=1e-9 * scale)


AnyGraph.TestCase.settings = settings(stateful_step_count=25)
TestAnyGraph = AnyGraph.TestCase


# The size of the chapter


def code_lines(path):
    """How many lines hold code: neither comments, nor blank, nor docstrings."""
    text = path.read_text("utf-8")
    without_code = {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
        *(tokenize.ENCODING, tokenize.ENDMARKER),
    }
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in without_code:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        holds_a_docstring = isinstance(
            node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        )
        if holds_a_docstring and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines -= set(range(docstring.lineno, docstring.end_lineno + 1))
    return len(lines)


def test_the_engine_is_at_most_160_lines_and_at_most_210_with_arithmetic():
    engine = pathlib.Path(autodiff.__file__)
    arithmetic = engine.parent / "operations" / "arithmetic.py"
    assert code_lines(engine) <= 160
    assert code_lines(engine) + code_lines(arithmetic) <= 210


def test_the_count_leaves_out_comments_blank_lines_and_docstrings(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(
        '"""A\nmodule."""\n\n# why\nx = (\n    1,  # one\n)\n\n\n'
        'def f():\n    """f."""\n    return """a\nb"""\n'
    )
    assert code_lines(file) == 6
