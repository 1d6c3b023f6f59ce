"""Normalisation: what it makes 0 and 1, what it ignores, and what it is composed of."""

import numpy as np
import pytest
from hypothesis import given

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import arrays, seeds
from tests.rules import random_delta, value_and_shares
from tests.strategies import groups_to_normalise, layers_to_normalise


def composed(x, weight, bias, axis, eps):
    """Normalisation of the primitives alone."""
    centred = x - ops.mean(x, axis=axis, keepdims=True)
    x_hat = centred / ops.sqrt(ops.mean(centred * centred, axis=axis, keepdims=True) + eps)
    y = x_hat if weight is None else x_hat * weight
    return y if bias is None else y + bias


def assert_same(fused, composition, inputs, seed):
    delta = random_delta(fused, seed)
    np.testing.assert_allclose(fused.data, composition.data, rtol=1e-9, atol=1e-9)
    wrt = [p for p in inputs if p is not None]
    for ours, theirs in zip(
        sg.gradient(fused, wrt, delta), sg.gradient(composition, wrt, delta), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)


@given(example=layers_to_normalise(), seed=seeds)
def test_layer_norm_is_composed_of_means_and_a_root(example, seed):
    inputs, settings = example
    x, weight, bias = inputs = [
        None if p is None else sg.Tensor(p) for p in (*inputs, None, None)[:3]
    ]
    axes = next((p.ndim for p in (weight, bias) if p is not None), settings["axes"] or 1)
    composition = composed(x, weight, bias, tuple(range(-axes, 0)), settings["eps"])
    assert_same(ops.layer_norm(*inputs, **settings), composition, inputs, seed)


@given(example=groups_to_normalise(), seed=seeds)
def test_group_norm_is_composed_of_means_and_a_root(example, seed):
    inputs, settings = example
    x, weight, bias = inputs = [
        None if p is None else sg.Tensor(p) for p in (*inputs, None, None)[:3]
    ]
    groups, (n, channels, *rest) = settings["groups"], x.shape
    shape, each = (n, groups, channels // groups, *rest), (channels, *(1 for _ in rest))
    axis = tuple(range(2, len(shape)))
    x_hat = composed(x.reshape(shape), None, None, axis, settings["eps"]).reshape(x.shape)
    y = x_hat if weight is None else x_hat * weight.reshape(each)
    composition = y if bias is None else y + bias.reshape(each)
    assert_same(ops.group_norm(*inputs, **settings), composition, inputs, seed)


@given(x=arrays((3, 4, 5)))
def test_the_output_has_the_mean_zero_and_the_variance_one(x):
    for y, axis in [
        (ops.layer_norm(x, eps=0), -1),
        (ops.layer_norm(x, axes=2, eps=0), (1, 2)),
        (ops.group_norm(x, groups=1, eps=0), (1, 2)),
        (ops.group_norm(x, groups=4, eps=0), 2),
        (ops.group_norm(x, groups=2, eps=0).reshape(3, 2, 10), 2),
    ]:
        np.testing.assert_allclose(y.mean(axis=axis), 0, atol=1e-12)
        np.testing.assert_allclose(y.var(axis=axis), 1, rtol=1e-10)


@given(x=arrays((3, 6)), seed=seeds)
def test_what_only_shifts_or_scales_x_changes_nothing_so_its_share_is_zero(x, seed):
    delta = random_delta(x, seed)
    y, (share,) = value_and_shares(ops.layer_norm, (x,), {"eps": 0.0}, delta)
    np.testing.assert_allclose(ops.layer_norm(5 * x + 2, eps=0), y, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(share.sum(axis=1), 0, atol=1e-8)
    np.testing.assert_allclose((share * x).sum(axis=1), 0, atol=1e-8)


@given(x=arrays((3, 4, 2)), seed=seeds)
def test_one_group_is_a_layer_norm_of_the_whole_sample(x, seed):
    delta = random_delta(x, seed)
    one, (share,) = value_and_shares(ops.group_norm, (x,), {"groups": 1}, delta)
    layer, (expected,) = value_and_shares(ops.layer_norm, (x,), {"axes": 2}, delta)
    np.testing.assert_allclose(one, layer, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(share, expected, rtol=1e-10, atol=1e-12)


def test_equal_entries_become_the_bias_and_stay_finite():
    x, bias = np.full((2, 3), 7.0), np.array([1.0, 2.0, 3.0])
    y, shares = value_and_shares(ops.layer_norm, (x, np.ones(3), bias), {}, np.ones((2, 3)))
    np.testing.assert_array_equal(y, [bias, bias])
    assert all(np.isfinite(share).all() for share in shares)


def test_a_large_common_shift_does_not_cost_the_variance():
    """The variance is of x − μ, not the difference of two large squares."""
    x = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
    np.testing.assert_allclose(ops.layer_norm(x + 4096), ops.layer_norm(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "weight", "axes"), [((2, 3), (2,), None), ((2, 3), (3,), 2), ((3,), (2, 3), None)]
)
def test_a_weight_of_another_shape_than_the_last_axes_is_refused(shape, weight, axes):
    with pytest.raises(ValueError, match="layer_norm") as refusal:
        ops.layer_norm(np.ones(shape), sg.Tensor(np.ones(weight)), axes=axes)
    assert str(shape) in str(refusal.value)


@pytest.mark.parametrize("axes", [0, 3, -1])
def test_a_layer_has_from_one_to_all_axes(axes):
    with pytest.raises(ValueError, match=f"the last {axes} axes"):
        ops.layer_norm(np.ones((2, 3)), axes=axes)


@pytest.mark.parametrize(("shape", "groups"), [((2, 3), 2), ((2, 4), 0), ((4,), 2)])
def test_groups_that_do_not_divide_the_channels_are_refused(shape, groups):
    with pytest.raises(ValueError, match=f"in {groups} groups of the same size") as refusal:
        ops.group_norm(np.ones(shape), groups=groups)
    assert str(shape) in str(refusal.value)


def test_a_weight_that_is_not_one_number_per_channel_is_refused():
    with pytest.raises(ValueError, match=r"one number per channel, \(4,\), got \[\(2,\)\]"):
        ops.group_norm(np.ones((2, 4, 3)), np.ones(2), groups=2)
