"""At the kinks, which the laws for every rule keep away from."""

import numpy as np
import pytest
from hypothesis import given

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import arrays
from tests.rules import value_and_shares


@pytest.mark.parametrize("operation", [ops.maximum, ops.minimum])
@given(x=arrays((3, 2)))
def test_equal_inputs_share_delta_in_halves(operation, x):
    delta = np.array([[1.0, -2.0], [3.0, 0.5], [0.0, 8.0]])
    value, shares = value_and_shares(operation, (x, x.copy()), {}, delta)
    np.testing.assert_array_equal(value, x)
    for share in shares:
        np.testing.assert_array_equal(share, delta / 2)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_are_shared_as_in_pytorch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install torch")
    x, y = np.array([1.0, 2.0, 3.0, 0.0]), np.array([[2.0], [-0.0]])
    theirs = [torch.tensor(part, requires_grad=True) for part in (x, y)]
    expected = getattr(torch, name)(*theirs)
    delta = np.arange(1.0, 9.0).reshape(2, 4)
    gradients = torch.autograd.grad(expected, theirs, torch.tensor(delta))
    _, shares = value_and_shares(getattr(ops, name), (x, y), {}, delta)
    for share, gradient in zip(shares, gradients, strict=True):
        np.testing.assert_array_equal(share, gradient.numpy())


@given(x=arrays((5,)))
def test_the_larger_and_the_smaller_make_up_the_sum_and_the_distance(x):
    x, y = sg.Tensor(x), sg.Tensor(np.sort(x))
    total = ops.maximum(x, y) + ops.minimum(x, y)
    np.testing.assert_allclose(total.data, (x + y).data)
    for ours, sums in zip(
        sg.gradient(total.sum(), [x, y]), sg.gradient((x + y).sum(), [x, y]), strict=True
    ):
        np.testing.assert_array_equal(ours, sums)
    distance = ops.maximum(x, y) - ops.minimum(x, y)
    np.testing.assert_allclose(distance.data, abs(x - y).data)
    for ours, absolute in zip(
        sg.gradient(distance.sum(), [x, y]), sg.gradient(abs(x - y).sum(), [x, y]), strict=True
    ):
        np.testing.assert_array_equal(ours, absolute)


def test_the_derivative_of_the_absolute_value_at_0_is_0():
    x = sg.Tensor([-2.0, -0.0, 0.0, 3.0])
    assert sg.gradient(abs(x).sum(), [x])[0].tolist() == [-1, 0, 0, 1]


def test_clip_counts_its_bounds_as_inside():
    x = sg.Tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert sg.gradient(ops.clip(x, -1, 1).sum(), [x])[0].tolist() == [0, 1, 1, 1, 0]
    assert sg.gradient(ops.clip(x, upper=1).sum(), [x])[0].tolist() == [1, 1, 1, 1, 0]
    assert sg.gradient(ops.clip(x, lower=-1).sum(), [x])[0].tolist() == [0, 1, 1, 1, 1]


def test_where_takes_any_condition_that_numpy_takes():
    x, y = sg.Tensor([1.0, 2.0, 3.0]), sg.Tensor(-1.0)
    for condition in (np.array([True, False, True]), np.array([1, 0, 2]), np.array([0.5, 0, -1])):
        chosen = ops.where(condition, x, y)
        assert chosen.data.tolist() == [1, -1, 3]
        of_x, of_y = sg.gradient(chosen, [x, y], delta=np.array([5.0, 7.0, 11.0]))
        assert of_x.tolist() == [5, 0, 11]
        assert of_y == 7
