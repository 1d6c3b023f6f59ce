"""What holds for every rule: its value is its definition, its equations are the adjoint of J."""

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.backend import device_of
from scratchgen.gradcheck.strategies import seeds
from tests import strict
from tests.rules import (
    RULES,
    adjoint_defect,
    call,
    is_real,
    on,
    random_delta,
    value_and_shares,
)

every_rule = pytest.mark.parametrize("name", ops.__all__)
fewer = hypothesis.settings(max_examples=hypothesis.settings().max_examples // 3)


def test_every_operation_is_in_the_table():
    assert sorted(RULES) == sorted(ops.__all__)


@every_rule
@given(data=st.data(), seed=seeds)
def test_the_equations_are_the_adjoint_of_the_derivative(name, data, seed):
    inputs, settings = data.draw(RULES[name].examples)
    analytic = RULES[name].analytic
    defect = adjoint_defect(getattr(ops, name), inputs, settings, seed, analytic)
    assert defect < (1e-10 if analytic else 1e-6)


@every_rule
@fewer
@given(data=st.data())
def test_the_value_is_that_of_the_definition(name, data):
    inputs, settings = data.draw(RULES[name].examples)
    value = call(getattr(ops, name), inputs, on("cpu", settings))
    defined = RULES[name].definition(*inputs, **on("cpu", settings))
    assert np.shape(value) == np.shape(defined)
    np.testing.assert_allclose(value, defined, rtol=1e-10, atol=1e-12)


@every_rule
@fewer
@given(data=st.data(), seed=seeds)
def test_value_and_gradient_are_those_of_pytorch(name, data, seed):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install torch")
    inputs, settings = data.draw(RULES[name].examples)
    theirs = [
        torch.tensor(np.array(x, order="C"), requires_grad=is_real(x))
        if isinstance(x, np.ndarray)
        else x
        for x in inputs
    ]
    expected = RULES[name].in_torch(torch, *theirs, **on("cpu", settings))
    delta = random_delta(expected, seed)
    value, shares = value_and_shares(getattr(ops, name), inputs, settings, delta)
    assert np.shape(value) == tuple(expected.shape)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    wrt = [x for x in theirs if torch.is_tensor(x) and x.requires_grad]
    gradients = torch.autograd.grad(expected, wrt, torch.tensor(delta), materialize_grads=True)
    for share, gradient in zip(shares, gradients, strict=True):
        np.testing.assert_allclose(share, gradient.numpy(), rtol=1e-10, atol=1e-10)


@every_rule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@fewer
@given(data=st.data(), seed=seeds)
def test_value_and_shares_keep_the_dtype_and_the_device_and_equal_the_hosts(
    name, dtype, device, data, seed
):
    operation = getattr(ops, name)
    inputs, settings = data.draw(RULES[name].examples)
    inputs = tuple(x.astype(dtype) if is_real(x) else x for x in inputs)
    delta = random_delta(np.asarray(call(operation, inputs, on("cpu", settings))), seed, dtype)
    expected, expected_shares = value_and_shares(operation, inputs, settings, delta)

    before = strict.transfers
    value, shares = value_and_shares(operation, inputs, settings, delta, device)
    assert strict.transfers == before
    for ours, hosts in zip([value, *shares], [expected, *expected_shares], strict=True):
        assert ours.dtype == dtype
        assert device_of(ours) == device
        tolerance = 50 * np.finfo(dtype).eps
        scale = np.max(np.abs(hosts), where=np.isfinite(hosts), initial=1)
        np.testing.assert_allclose(sg.to_host(ours), hosts, tolerance, tolerance * scale)


@pytest.mark.rounding
@every_rule
@given(data=st.data(), seed=seeds)
def test_float32_gives_what_float64_gives_to_its_rounding(name, data, seed):
    operation = getattr(ops, name)
    inputs, settings = data.draw(RULES[name].examples)
    single = tuple(x.astype(np.float32) if is_real(x) else x for x in inputs)
    double = tuple(x.astype(np.float64) if is_real(x) else x for x in single)
    delta = random_delta(np.asarray(call(operation, double, on("cpu", settings))), seed, np.float32)
    value, shares = value_and_shares(operation, single, settings, delta)
    exact, exact_shares = value_and_shares(operation, double, settings, delta.astype(np.float64))
    came = [
        delta,
        *(x for x in double if is_real(x)),
    ]  # what is left where terms cancel is of these
    for ours, right in zip([value, *shares], [exact, *exact_shares], strict=True):
        sizes = [np.max(np.abs(x), where=np.isfinite(x), initial=0) for x in [right, *came]]
        np.testing.assert_allclose(ours, right, 0, 100 * np.finfo(np.float32).eps * max(sizes))


@every_rule
@fewer
@given(data=st.data(), seed=seeds)
def test_inputs_and_delta_are_never_written_to(name, device, data, seed):
    operation = getattr(ops, name)
    inputs, settings = data.draw(RULES[name].examples)
    inputs = on(device, inputs)
    lifted = [sg.Tensor(x) if is_real(x) else x for x in inputs]
    copies = [sg.to_host(x).copy() for x in inputs]
    value = call(operation, lifted, on(device, settings))
    delta = on(device, random_delta(value, seed))
    delta_copy = sg.to_host(delta).copy()
    for x, equation in zip(value.inputs, value.equations, strict=True):
        if isinstance(x, sg.Tensor):
            equation(delta)
    np.testing.assert_array_equal(sg.to_host(delta), delta_copy)
    for x, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(sg.to_host(x), copy)


@every_rule
@fewer
@given(data=st.data(), seed=seeds)
def test_gradients_share_no_memory_with_each_other_nor_with_the_inputs_nor_with_delta(
    name, data, seed
):
    inputs, settings = data.draw(RULES[name].examples)
    lifted = [sg.Tensor(x) if is_real(x) else x for x in inputs]
    value = call(getattr(ops, name), lifted, on("cpu", settings))
    delta = random_delta(value, seed)
    wrt = [x for x in [value, *lifted] if isinstance(x, sg.Tensor)]
    gradients = sg.gradient(value, [*wrt, *wrt], delta=delta)
    apart = [*gradients, delta, *(x.data for x in wrt[1:])]
    for k, gradient in enumerate(gradients):
        for other in apart[k + 1 :]:
            assert not np.shares_memory(gradient, other)


@sg.differentiable
def softmax_without_a_derivative(z):
    value, _ = ops.softmax.rule(z)
    return value, (lambda delta: np.zeros_like(delta),)


@sg.differentiable
def transpose_that_reshapes_back(x):
    return x.T, (lambda delta: delta.reshape(x.shape),)


@sg.differentiable
def affine_without_the_weights(a, W, b):
    z, (for_a, _, for_b) = ops.affine.rule(a, W, b)
    return z, (for_a, lambda delta: np.zeros_like(W, dtype=delta.dtype), for_b)


@sg.differentiable
def tanh_a_little_too_steep(z):
    value, (equation,) = ops.tanh.rule(z)
    return value, (lambda delta: 1.0005 * equation(delta),)


@sg.differentiable
def mean_that_forgets_the_batch(x, *, axis):
    _, (equation,) = ops.sum.rule(x, axis=axis)
    return x.mean(axis=axis), (equation,)


@pytest.mark.parametrize("analytic", [True, False], ids=["complex step", "central differences"])
@pytest.mark.parametrize(
    ("wrong", "right", "shapes", "settings"),
    [
        (softmax_without_a_derivative, ops.softmax, [(3, 4)], {}),
        (transpose_that_reshapes_back, ops.transpose, [(3, 4)], {}),
        (affine_without_the_weights, ops.affine, [(5, 3), (4, 3), (4,)], {}),
        (tanh_a_little_too_steep, ops.tanh, [(3, 4)], {}),
        (mean_that_forgets_the_batch, ops.mean, [(3, 4)], {"axis": 0}),
    ],
    ids=["zero softmax", "reshape for transpose", "no dC/dW", "factor 1.0005", "no batch mean"],
)
@given(seed=seeds)
def test_the_adjoint_law_rejects_a_wrong_equation_and_accepts_the_right_one(
    wrong, right, shapes, settings, analytic, seed
):
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal(shape) for shape in shapes]
    bound = 1e-10 if analytic else 1e-6
    assert adjoint_defect(right, inputs, settings, seed, analytic) < bound
    assert adjoint_defect(wrong, inputs, settings, seed, analytic) > bound


def test_an_equation_left_out_is_an_error_and_not_a_zero():
    @sg.differentiable
    def affine(a, W):
        return a @ W.T, (lambda delta: delta @ W, None)

    a, W = np.ones((2, 3)), np.ones((4, 3))
    with pytest.raises(ValueError, match="affine: no derivative with respect to input 1"):
        adjoint_defect(affine, (a, W), {}, seed=0)
