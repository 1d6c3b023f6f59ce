"""Activations far out, where they saturate, and against what they are composed of."""

import math

import numpy as np
import pytest
from hypothesis import given

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import arrays, seeds
from tests import strict
from tests.rules import along_an_axis, random_delta, value_and_shares

FAR = np.array([-1000.0, -800, -710, -40, -37, -1, 1, 37, 40, 710, 800, 1000])

IN_TORCH = {
    "sigmoid": lambda torch, z: torch.sigmoid(z),
    "tanh": lambda torch, z: torch.tanh(z),
    "relu": lambda torch, z: torch.relu(z),
    "leaky_relu": lambda torch, z: torch.nn.functional.leaky_relu(z),
    "elu": lambda torch, z: torch.nn.functional.elu(z),
    "softplus": lambda torch, z: torch.logaddexp(z, torch.zeros_like(z)),
    "silu": lambda torch, z: torch.nn.functional.silu(z),
    "gelu": lambda torch, z: torch.nn.functional.gelu(z),
    "softmax": lambda torch, z: torch.softmax(z, -1),
    "log_softmax": lambda torch, z: torch.log_softmax(z, -1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", IN_TORCH)
def test_far_out_value_and_derivative_are_finite_and_those_of_pytorch(name, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install torch")
    z = FAR.astype(dtype)
    delta = np.linspace(-2, 3, len(z)).astype(dtype)
    value, (share,) = value_and_shares(getattr(ops, name), (z,), {}, delta)
    theirs = torch.tensor(z, requires_grad=True)
    expected = IN_TORCH[name](torch, theirs)
    (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(delta))
    assert np.isfinite(value).all()
    assert np.isfinite(share).all()
    tolerance = 1e-10 if dtype is np.float64 else 1e-6
    np.testing.assert_allclose(value, expected.detach().numpy(), tolerance, tolerance)
    np.testing.assert_allclose(share, gradient.numpy(), tolerance, tolerance)


def test_the_sigmoid_keeps_its_digits_where_it_is_small():
    z = np.array([-700.0, -300.0, -40.0])
    value, (share,) = value_and_shares(ops.sigmoid, (z,), {}, np.ones(3))
    np.testing.assert_allclose(value, np.exp(z), rtol=1e-12)
    np.testing.assert_allclose(share, np.exp(z), rtol=1e-12)
    np.testing.assert_allclose(ops.softplus(z), np.exp(z), rtol=1e-12)


def test_the_sigmoid_and_its_complement_add_up_to_1():
    np.testing.assert_allclose(ops.sigmoid(FAR) + ops.sigmoid(-FAR), 1, rtol=1e-15)


def composed_sigmoid(z):
    return 1 / (1 + ops.exp(-z))


COMPOSITIONS = {
    "sigmoid": composed_sigmoid,
    "tanh": lambda z: 2 * composed_sigmoid(2 * z) - 1,
    "relu": lambda z: ops.maximum(z, 0.0),
    "leaky_relu": lambda z: ops.maximum(z, 0.01 * z),
    "elu": lambda z: ops.where(z > 0, z, ops.exp(z) - 1),
    "softplus": lambda z: ops.log(1 + ops.exp(z)),
    "silu": lambda z: z * composed_sigmoid(z),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
@given(z=arrays(None, (-6.0, -0.1), (0.1, 6.0)), seed=seeds)
def test_fused_is_composed(name, z, seed):
    z, delta = sg.Tensor(z), random_delta(z, seed)
    fused, composed = getattr(ops, name)(z), COMPOSITIONS[name](z)
    np.testing.assert_allclose(fused.data, composed.data, rtol=1e-10, atol=1e-10)
    (of_fused,), (of_composed,) = (sg.gradient(a, [z], delta=delta) for a in (fused, composed))
    np.testing.assert_allclose(of_fused, of_composed, rtol=1e-10, atol=1e-10)


@given(example=along_an_axis(), seed=seeds)
def test_log_softmax_is_the_logarithm_of_softmax_and_z_less_its_logsumexp(example, seed):
    (z,), settings = example
    z, delta = sg.Tensor(z), random_delta(z, seed)
    fused = ops.log_softmax(z, **settings)
    exponential = ops.exp(z)
    for composed in (
        ops.log(ops.softmax(z, **settings)),
        z - ops.logsumexp(z, keepdims=True, **settings),
        ops.log(exponential / ops.sum(exponential, keepdims=True, **settings)),
    ):
        np.testing.assert_allclose(fused.data, composed.data, rtol=1e-10, atol=1e-10)
        for ours, theirs in zip(
            sg.gradient(fused, [z], delta), sg.gradient(composed, [z], delta), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@given(example=along_an_axis(), seed=seeds)
def test_softmax_is_a_distribution_that_a_common_shift_leaves_as_it_is(example, seed):
    (z,), settings = example
    np.testing.assert_allclose(ops.softmax(z, **settings).sum(**settings), 1, rtol=1e-12)
    np.testing.assert_allclose(ops.softmax(z + 5.0, **settings), ops.softmax(z, **settings))
    _, (share,) = value_and_shares(ops.softmax, (z,), settings, random_delta(z, seed))
    np.testing.assert_allclose(share.sum(**settings), 0, atol=1e-12)


def test_sigmas_derivative_at_the_kink_is_that_of_pytorch():
    z = sg.Tensor([0.0])
    assert sg.gradient(ops.relu(z).sum(), [z])[0] == 0
    assert sg.gradient(ops.leaky_relu(z, slope=0.25).sum(), [z])[0] == 0.25
    assert sg.gradient(ops.elu(z, alpha=0.25).sum(), [z])[0] == 0.25


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_is_z_times_the_normal_distribution_function_to_a_few_roundings(dtype):
    """Far out, where Φ(z) ~ e^(−z²/2), a rounding of z/√2 alone changes it by z² roundings."""
    z = np.concatenate([np.linspace(-9, 9, 2001), [0.0, -0.0, 1e-30]]).astype(dtype)
    exact = np.array([x * math.erfc(-x / math.sqrt(2)) / 2 for x in z.astype(float)])
    roundings = (ops.gelu(z) - exact) / (np.abs(exact) * (1 + z * z) + (exact == 0))
    assert np.abs(roundings).max() < 4 * np.finfo(dtype).eps


@given(z=arrays((3, 4), (-30.0, 30.0)), seed=seeds)
def test_gelu_of_z_less_gelu_of_minus_z_is_z(z, seed):
    """Φ(z) + Φ(−z) = 1, so that σ′(z) + σ′(−z) = 1 too."""
    np.testing.assert_allclose(ops.gelu(z) - ops.gelu(-z), z, rtol=1e-15, atol=1e-300)
    delta = random_delta(z, seed)
    (there,), (back,) = (value_and_shares(ops.gelu, (x,), {}, delta)[1] for x in (z, -z))
    np.testing.assert_allclose(there + back, delta, rtol=1e-12, atol=1e-14)


def test_gelu_of_a_huge_z_is_z_or_zero_and_its_derivative_1_or_0_without_a_warning():
    for dtype in (np.float32, np.float64):
        huge = np.array([np.finfo(dtype).max, -np.finfo(dtype).max, np.inf], dtype)
        value, (share,) = value_and_shares(ops.gelu, (huge,), {}, np.ones(3, dtype))
        np.testing.assert_array_equal(value, [huge[0], 0, np.inf])
        np.testing.assert_array_equal(share, [1, 0, 1])


def test_relu_keeps_what_is_positive_and_nan_and_nothing_else():
    z = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-45, 3e38], np.float32)
    value, (share,) = value_and_shares(ops.relu, (z,), {}, np.ones(6, np.float32))
    np.testing.assert_array_equal(value, np.array([np.inf, 0, np.nan, 0, 1e-45, 3e38], np.float32))
    np.testing.assert_array_equal(share, [1, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "gelu"])
def test_of_integers_an_activation_is_what_it_is_of_the_same_numbers(name, device, on_device):
    z, operation = np.array([-2, 0, 3]), getattr(ops, name)
    of_integers = sg.to_host(operation(on_device(z)))
    np.testing.assert_allclose(of_integers, operation(z.astype(float)), rtol=1e-15)


KERNELS = {  # forward, back; one that multiplies alone needs no compiling
    "sigmoid": (1, 1),
    "tanh": (0, 1),
    "relu": (0, 1),
    "leaky_relu": (1, 0),
    "elu": (1, 1),
    "softplus": (1, 1),
    "silu": (1, 1),
    "gelu": (0, 1),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_chain_of_an_activation_is_one_kernel_on_a_device(name, monkeypatch):
    strict.install(monkeypatch)
    z = sg.Tensor(sg.to_device(np.linspace(-2, 2, 5), "cuda"))
    a = getattr(ops, name)(z)
    forward = len(strict.fused)
    sg.gradient(a, [z], delta=a.data)
    assert (forward, len(strict.fused) - forward) == KERNELS[name]


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.01, 1.0, 2.0])
def test_the_leaky_relu_of_great_numbers_is_z_or_slope_z(slope):
    z = np.array([3e38, np.inf, -2.0, -0.0, 1e-45], np.float32)
    expected = np.array([3e38, np.inf, -2 * slope, 0, 1e-45], np.float32)
    np.testing.assert_array_equal(ops.leaky_relu(z, slope=slope), expected)
