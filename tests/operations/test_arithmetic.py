"""Arithmetic where it is delicate: products of every shape, powers of 0, both sides far out."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import arrays, seeds
from tests.rules import UNSATURATED, random_delta, value_and_shares

VECTORS_MATRICES_BATCHES = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((2, 0), (0, 4)),
    ((0, 3), (3, 4)),
]


@pytest.mark.parametrize(("left", "right"), VECTORS_MATRICES_BATCHES)
def test_products_of_vectors_matrices_and_batches_are_those_of_numpy_and_pytorch(left, right):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install torch")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(left), rng.standard_normal(right)
    ours = [torch.tensor(factor, requires_grad=True) for factor in (x, y)]
    expected = operator.matmul(*ours)
    delta = rng.standard_normal(expected.shape)
    value, shares = value_and_shares(ops.matmul, (x, y), {}, delta)
    np.testing.assert_array_equal(value, x @ y)
    gradients = torch.autograd.grad(expected, ours, torch.tensor(delta))
    for share, gradient in zip(shares, gradients, strict=True):
        np.testing.assert_allclose(share, gradient.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("left", "right"), [((2, 3), (2, 3)), ((), (3,)), ((3,), ())])
def test_what_numpy_cannot_multiply_is_refused(left, right):
    with pytest.raises(ValueError, match="matmul"):
        ops.matmul(sg.Tensor(np.ones(left)), np.ones(right))


def test_powers_of_0_and_to_0_have_the_derivatives_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install torch")
    x, y = np.array([[0.0], [2.0], [0.5]]), np.array([0.0, 1.0, 2.0, 3.5])
    theirs = [torch.tensor(part, requires_grad=True) for part in (x, y)]
    value, shares = value_and_shares(ops.power, (x, y), {}, np.ones((3, 4)))
    expected = operator.pow(*theirs)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-14)
    for share, gradient in zip(shares, torch.autograd.grad(expected.sum(), theirs), strict=True):
        np.testing.assert_allclose(share, gradient.numpy(), rtol=1e-14)


@given(x=arrays((4,), (-3.0, -0.2), (0.2, 3.0)), n=st.sampled_from([-3, -2.0, -1, 0, 1, 2, 5]))
def test_a_negative_base_to_an_integer_is_differentiated_without_a_logarithm(x, n):
    x = sg.Tensor(x)
    (share,) = sg.gradient((x**n).sum(), [x])
    np.testing.assert_allclose(share, n * x.data ** (n - 1.0), rtol=1e-12)


@given(y=arrays((4,)), base=st.sampled_from([0.5, 1, 2, 10.0]))
def test_a_number_to_a_tensor_has_the_derivative_of_the_exponential(y, base):
    y = sg.Tensor(y)
    (share,) = sg.gradient((base**y).sum(), [y])
    np.testing.assert_allclose(share, np.log(base) * base**y.data, rtol=1e-12)


@given(x=arrays(None, *UNSATURATED), seed=seeds)
def test_the_square_is_the_power_and_the_product(x, seed):
    delta = random_delta(x, seed)
    of_square = value_and_shares(ops.square, (x,), {}, delta)
    of_power = value_and_shares(ops.power, (x, 2), {}, delta)
    of_product = value_and_shares(ops.multiply, (x, x), {}, delta)
    np.testing.assert_allclose(of_square[0], of_power[0], rtol=1e-12)
    np.testing.assert_allclose(of_square[0], of_product[0], rtol=1e-12)
    np.testing.assert_allclose(of_square[1][0], of_power[1][0], rtol=1e-12)
    np.testing.assert_allclose(of_square[1][0], sum(of_product[1]), rtol=1e-12)


@given(x=arrays(None, (0.3, 3.0)), seed=seeds)
def test_the_logarithm_undoes_the_exponential_and_so_do_their_equations(x, seed):
    x, delta = sg.Tensor(x), random_delta(x, seed)
    for both in (ops.log(ops.exp(x)), ops.exp(ops.log(x)), ops.sqrt(ops.square(x))):
        (share,) = sg.gradient(both, [x], delta=delta)
        np.testing.assert_allclose(both.data, x.data, rtol=1e-12)
        np.testing.assert_allclose(share, delta, rtol=1e-12)
