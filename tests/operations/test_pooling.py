"""Windows: their ties, their margins, and how pooling and upsampling undo each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import arrays, distinct_arrays, seeds
from tests.rules import random_delta, value_and_shares
from tests.strategies import images, poolings

scales = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))
POOLINGS = {"max_pool2d": ops.max_pool2d, "avg_pool2d": ops.avg_pool2d}
either = pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)},
    ],
    ids=repr,
)
@given(seed=seeds)
def test_the_first_of_several_maxima_takes_delta_whole_as_in_pytorch(settings, seed):
    """A ReLU before the pooling leaves such ties of zeros."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install torch")
    x = np.maximum(np.random.default_rng(seed).integers(-3, 3, (2, 2, 6, 7)), 0.0)
    theirs = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.max_pool2d(theirs, **settings)
    delta = random_delta(expected, seed)
    (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(delta))
    value, (share,) = value_and_shares(ops.max_pool2d, (x,), settings, delta)
    np.testing.assert_array_equal(value, expected.detach().numpy())
    np.testing.assert_allclose(share, gradient.numpy(), rtol=1e-12, atol=1e-14)


@given(example=poolings(), seed=seeds)
def test_the_parts_of_delta_add_up_to_what_went_into_windows_without_a_margin(example, seed):
    (x,), settings = example
    settings["padding"] = 0
    high, wide = np.broadcast_to(settings["kernel_size"], 2)
    x = np.pad(x, ((0, 0), (0, 0), (0, int(high)), (0, int(wide))))
    for pool in POOLINGS.values():
        delta = random_delta(pool(x, **settings), seed)
        _, (share,) = value_and_shares(pool, (x,), settings, delta)
        np.testing.assert_allclose(
            share.sum(axis=(2, 3)), delta.sum(axis=(2, 3)), rtol=1e-10, atol=1e-12
        )


@given(x=images(), scale=scales)
def test_pooling_windows_of_the_scale_undoes_upsampling(x, scale):
    larger = ops.upsample_nearest2d(x, scale)
    if x.size:
        np.testing.assert_array_equal(ops.max_pool2d(larger, scale), x)
        np.testing.assert_allclose(ops.avg_pool2d(larger, scale), x, rtol=1e-14)


@given(x=images(min_side=1), scale=scales, seed=seeds)
def test_average_pooling_is_the_adjoint_of_upsampling_divided_by_the_area(x, scale, seed):
    larger = ops.upsample_nearest2d(x, scale)
    delta = random_delta(larger, seed)
    _, (share,) = value_and_shares(ops.upsample_nearest2d, (x,), {"scale_factor": scale}, delta)
    area = np.prod(np.broadcast_to(scale, 2))
    np.testing.assert_allclose(share, area * ops.avg_pool2d(delta, scale), rtol=1e-12, atol=1e-14)


@given(x=distinct_arrays((2, 3, 4, 5)), seed=seeds)
def test_one_window_over_the_image_is_the_maximum_or_the_mean_of_it(x, seed):
    x = sg.Tensor(x)
    for pool, reduce in [(ops.max_pool2d, ops.max), (ops.avg_pool2d, ops.mean)]:
        pooled, reduced = pool(x, (4, 5)), reduce(x, axis=(2, 3), keepdims=True)
        delta = random_delta(pooled, seed)
        np.testing.assert_allclose(pooled.data, reduced.data, rtol=1e-12, atol=1e-15)
        (ours,), (theirs,) = (sg.gradient(z, [x], delta=delta) for z in (pooled, reduced))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


@given(x=arrays((2, 2, 3, 4)))
def test_windows_of_one_pixel_change_nothing(x):
    for same in (ops.max_pool2d(x, 1), ops.avg_pool2d(x, 1), ops.upsample_nearest2d(x, 1)):
        np.testing.assert_array_equal(same, x)


def test_the_margin_is_minus_infinity_for_the_maximum_and_zero_for_the_mean():
    x = np.full((1, 1, 2, 2), -8.0)
    np.testing.assert_array_equal(ops.max_pool2d(x, 2, 2, 1), np.full((1, 1, 2, 2), -8))
    np.testing.assert_array_equal(ops.avg_pool2d(x, 2, 2, 1), np.full((1, 1, 2, 2), -2))


@either
@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"kernel_size": 0}, "kernel_size is a whole number from 1"),
        ({"kernel_size": 1.5}, "kernel_size is a whole number from 1"),
        ({"kernel_size": (1, 2, 3)}, "or two for rows and columns"),
        ({"kernel_size": 2, "stride": 0}, "stride is a whole number from 1"),
        ({"kernel_size": 2, "padding": -1}, "padding is a whole number from 0"),
        ({"kernel_size": 2, "padding": 2}, "padding is at most half of kernel_size"),
        ({"kernel_size": (2, 9)}, "larger than the image, \\(3, 4\\)"),
    ],
    ids=repr,
)
def test_windows_that_do_not_fit_are_refused(pool, settings, what):
    with pytest.raises(ValueError, match=what) as refusal:
        pool(sg.Tensor(np.ones((1, 1, 3, 4))), **settings)
    assert pool.__name__ in str(refusal.value)


@pytest.mark.parametrize("scale", [0, 1.5, (2,), "2"])
def test_a_scale_that_is_no_whole_number_is_refused(scale):
    with pytest.raises(ValueError, match="scale_factor is a whole number from 1"):
        ops.upsample_nearest2d(np.ones((1, 1, 2, 2)), scale)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (1, 1, 1, 3, 4)])
def test_what_are_no_images_is_refused_with_the_shape(shape):
    for operation in (*POOLINGS.values(), ops.upsample_nearest2d):
        with pytest.raises(ValueError, match=r"takes images \(n, channels, rows, columns\)"):
            operation(np.ones(shape), 1)
