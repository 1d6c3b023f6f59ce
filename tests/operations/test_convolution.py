"""Convolutions: their definition, the adjoint, the fast way beside float64, threads, memory."""

import importlib
import multiprocessing
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import seeds
from tests.operations.rounding import drawn, rounding_of, shares
from tests.rules import convolution, random_delta, transposed_convolution
from tests.strategies import convolutions, transposed_convolutions

convolution_module = importlib.import_module("scratchgen.operations.convolution")
two_hundred = settings(max_examples=max(200, settings().max_examples))
both = pytest.mark.parametrize("conv2d", [ops.conv2d, ops.conv2d_direct], ids=["conv2d", "direct"])


# The definition, and the adjoint


@two_hundred
@given(convolutions())
def test_a_convolution_is_the_sum_over_the_places_of_its_kernel(example):
    inputs, given = example
    y, expected = ops.conv2d(*inputs, **given), convolution(*inputs, **given)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@two_hundred
@given(transposed_convolutions())
def test_a_transposed_convolution_spreads_what_a_convolution_gathers(example):
    inputs, given = example
    y, expected = ops.conv_transpose2d(*inputs, **given), transposed_convolution(*inputs, **given)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@two_hundred
@given(transposed_convolutions(), seeds)
def test_the_transposed_convolution_is_the_adjoint_of_the_convolution(example, seed):
    (y, W, *_), given = example
    given = dict(given)
    transposed = ops.conv_transpose2d(y, W, **given)
    del given["output_padding"]
    x = random_delta(transposed, seed)
    convolved = ops.conv2d(x, W, **given)
    assert convolved.shape == y.shape
    size = 1 + np.abs(convolved * y).sum()
    assert abs((convolved * y).sum() - (x * transposed).sum()) < 1e-13 * size


@given(convolutions())
def test_a_convolution_of_the_turned_image_with_the_turned_kernel_is_turned(example):
    (x, W, *_), _ = example
    turned = ops.conv2d(x[:, :, ::-1, ::-1], W[:, :, ::-1, ::-1], padding=3)
    np.testing.assert_allclose(
        turned, ops.conv2d(x, W, padding=3)[:, :, ::-1, ::-1], rtol=1e-12, atol=1e-12
    )


@given(convolutions(), st.integers(1, 3000), seeds)
def test_a_convolution_in_many_small_parts_is_the_one_in_a_single_part(example, size, seed):
    (x, W, *b), given = example
    b = b[0] if b else None
    delta = random_delta(ops.conv2d(x, W, **given), seed)
    whole = shares(ops.conv2d, x, W, b, delta, **given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(convolution_module.WORKSPACE, "cpu", size)
        in_parts = shares(ops.conv2d, x, W, b, delta, **given)
    for ours, expected in zip(in_parts, whole, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


# The fast way


@pytest.mark.rounding
def test_the_errors_are_of_the_size_that_the_docstring_states():
    """Within a factor of ten: the order in which BLAS adds up is its own on each processor."""
    rng = np.random.default_rng(0)
    x, W = drawn(rng, 8, 64, 28, 28), drawn(rng, 128, 64, 3, 3)
    delta, b = drawn(rng, 8, 128, 28, 28), drawn(rng, 128)
    arrays = x, W, b, delta
    exact = shares(ops.conv2d, *(z.astype(np.float64) for z in arrays), padding=1)
    for operation, stated in ((ops.conv2d, 1e-6), (ops.conv2d_direct, 3e-7)):
        found = shares(operation, *arrays, padding=1)
        for ours, theirs in zip(found[:3], exact[:3], strict=True):
            error = np.sqrt(np.square(ours - theirs).mean() / np.square(theirs).mean())
            assert stated / 10 < error < 10 * stated


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_only_float32_takes_the_fast_way(dtype):
    rng = np.random.default_rng(0)
    x, W = drawn(rng, 2, 32, 5, 5, dtype=dtype), drawn(rng, 32, 32, 3, 3, dtype=dtype)
    np.testing.assert_array_equal(ops.conv2d.rule(x, W)[0], ops.conv2d_direct.rule(x, W)[0])
    x, W = (z.real.astype(np.float32) for z in (x, W))
    assert (ops.conv2d(x, W) != ops.conv2d_direct(x, W)).any()


@pytest.mark.rounding
def test_the_transposed_convolution_takes_the_fast_way_too():
    rng = np.random.default_rng(0)
    x, W, b = drawn(rng, 2, 32, 7, 9), drawn(rng, 32, 40, 3, 3), drawn(rng, 40)
    delta = drawn(rng, 2, 40, 7, 9)
    fast, direct, exact = (
        shares(operation, *(z.astype(dtype) for z in (x, W, b, delta)), padding=1)
        for operation, dtype in (
            (ops.conv_transpose2d, np.float32),
            (ops.conv_transpose2d_direct, np.float32),
            (ops.conv_transpose2d, np.float64),
        )
    )
    assert (fast[0] != direct[0]).any()
    tiles, ones = 2 * 2 * 3, np.ones(1)
    sums = [(32, x, W), (40, delta, W), (tiles, x, delta), (2 * 7 * 9, delta, ones)]
    for ours, theirs, of in zip(fast, exact, sums, strict=True):
        assert (np.abs(ours - theirs) <= rounding_of(np.float32, *of)).all()


# Threads, processes, memory

WIDE = (64, 128)  # channels


def example_of_many_parts(n=24):
    rng = np.random.default_rng(0)
    return [
        drawn(rng, n, WIDE[0], 28, 28),
        drawn(rng, WIDE[1], WIDE[0], 3, 3),
        drawn(rng, WIDE[1]),
        drawn(rng, n, WIDE[1], 28, 28),
    ]


@pytest.mark.rounding
@both
def test_value_and_equations_are_the_same_to_the_last_bit_on_any_number_of_threads(conv2d):
    arrays = example_of_many_parts()
    with threadpool_limits(1, user_api="blas"):
        expected = shares(conv2d, *arrays, padding=1)
    for threads in (2, 3):
        with threadpool_limits(threads, user_api="blas"):
            found = shares(conv2d, *arrays, padding=1)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def _sum_in_child(queue, arrays):
    queue.put([z.sum(dtype=np.float64) for z in shares(ops.conv2d, *arrays, padding=1)])


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork"
)
def test_a_forked_process_convolves_as_its_parent_did():
    arrays, context = example_of_many_parts(8), multiprocessing.get_context("fork")
    with threadpool_limits(2, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads of BLAS are forked
        expected = [z.sum(dtype=np.float64) for z in shares(ops.conv2d, *arrays, padding=1)]
        queue = context.Queue()
        child = context.Process(target=_sum_in_child, args=(queue, arrays))
        child.start()
        found = queue.get(timeout=600)
        child.join(600)
    assert child.exitcode == 0
    assert found == expected


@both
def test_the_overflow_of_a_convolution_follows_the_errstate_of_the_caller(conv2d):
    x, W, *_ = example_of_many_parts(8)
    x[5] = 3e38
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(conv2d(x, W, padding=1)[5]).all()
    with np.errstate(over="raise", invalid="raise"), pytest.raises(FloatingPointError):
        conv2d(x, W, padding=1)


@both
def test_no_more_memory_is_used_than_half_as_much_again_as_inputs_and_outputs(conv2d):
    x, W, b, delta = example_of_many_parts(128)
    y, equations = conv2d.rule(x, W, b, padding=1)
    size = x.nbytes + y.nbytes
    del y
    tasks = [
        (x.nbytes, lambda: conv2d.rule(x, W, b, padding=1)[0]),
        (delta.nbytes, lambda: equations[0](delta)),
        (x.nbytes + delta.nbytes, lambda: equations[1](delta)),
    ]
    with threadpool_limits(2, user_api="blas"):
        for given_bytes, task in tasks:
            tracemalloc.start()
            task()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert given_bytes + peak < 1.5 * size


# What does not fit


@pytest.mark.parametrize(
    ("x", "W", "b", "given", "message"),
    [
        ((3, 8, 8), (2, 3, 3, 3), None, {}, "conv2d takes images x"),
        ((1, 3, 8, 8), (2, 3, 3), None, {}, r"got \(1, 3, 8, 8\) and \(2, 3, 3\)"),
        ((1, 3, 8, 8), (2, 4, 3, 3), None, {}, r"\(c_out, c_in, kh, kw\), got"),
        ((1, 3, 8, 8), (2, 3, 0, 3), None, {}, "conv2d takes images x"),
        ((1, 3, 8, 8), (2, 3, 3, 3), (3,), {}, r"one number per channel, 2, got \(3,\)"),
        ((1, 3, 2, 8), (2, 3, 5, 3), None, {"padding": 1}, r"kernels \(5, 3\) do not fit"),
        ((1, 3, 8, 8), (2, 3, 3, 3), None, {"stride": 0}, "stride is a whole number from 1"),
        ((1, 3, 8, 8), (2, 3, 3, 3), None, {"padding": -1}, "padding is a whole number from 0"),
        ((1, 3, 8, 8), (2, 3, 3, 3), None, {"stride": (1, 2, 3)}, "or two for rows and columns"),
        ((1, 3, 8, 8), (2, 3, 3, 3), None, {"padding": 0.5}, "got 0.5"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_came(x, W, b, given, message):
    b = None if b is None else np.ones(b)
    with pytest.raises(ValueError, match=message):
        ops.conv2d(np.ones(x), sg.Tensor(np.ones(W)), b, **given)


@pytest.mark.parametrize(
    ("x", "W", "given", "message"),
    [
        ((1, 2, 8, 8), (3, 2, 3, 3), {}, r"\(c_in, c_out, kh, kw\), got"),
        ((1, 3, 8, 8), (3, 2, 3, 3), {"output_padding": 1}, "output_padding is less than the str"),
        ((1, 3, 8, 8), (3, 2, 3, 3), {"stride": 2, "output_padding": -1}, "whole number from 0"),
        ((1, 3, 1, 8), (3, 2, 3, 3), {"padding": 2}, r"size \(-1, 6\): take less padding"),
    ],
)
def test_what_a_transposed_convolution_does_not_fit_is_refused_too(x, W, given, message):
    with pytest.raises(ValueError, match=message):
        ops.conv_transpose2d(np.ones(x), sg.Tensor(np.ones(W)), **given)


@pytest.mark.parametrize(
    ("x", "channels", "cure"),
    [
        ((2, 9, 9, 3), 3, r"x\.transpose\(0, 3, 1, 2\)$"),
        ((2, 9, 9), 1, r"x\[:, None\]$"),
        ((2, 5, 9, 9), 3, r"\(4, 3, 3, 3\)$"),
    ],
)
def test_images_that_do_not_fit_are_told_what_would_make_them_fit(x, channels, cure):
    with pytest.raises(ValueError, match=cure):
        ops.conv2d(np.zeros(x), np.zeros((4, channels, 3, 3)))
