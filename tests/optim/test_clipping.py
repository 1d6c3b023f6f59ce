"""Gradient clipping: one factor for all gradients, that of PyTorch."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import optim
from scratchgen.backend import device_of
from tests import strict
from tests.optim.updates import arrays, assert_same_bits


def norm(gradients):
    return np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients))


@pytest.mark.parametrize("share", [1e-6, 0.1, 0.999, 1.001, 100])
def test_the_norm_of_all_gradients_is_cut_to_the_greatest_one(share):
    gradients = arrays(0)
    before, most = norm(gradients), share * norm(gradients)
    clipped = optim.clip_grad_norm(gradients, most)
    assert norm(clipped) == pytest.approx(min(before, most * before / (before + 1e-6)), rel=1e-12)
    for g, c in zip(gradients, clipped, strict=True):  # the direction stays
        np.testing.assert_allclose(c, g * (norm(clipped) / before), rtol=1e-12)


def test_a_shorter_gradient_keeps_its_bits():
    gradients = arrays(0, np.float32)
    assert_same_bits(optim.clip_grad_norm(gradients, 1.001 * norm(gradients)), gradients)


@pytest.mark.rounding
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [1e-6, 0.1, 0.999, 1.001])
def test_the_clipped_gradients_are_those_of_torch(dtype, share):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[peers]'")
    gradients = arrays(0, dtype)
    parameters = [
        torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.tensor(g).dtype)) for g in gradients
    ]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = torch.tensor(g)
    most = share * float(norm(gradients))
    torch.nn.utils.clip_grad_norm_(parameters, most)
    for ours, p in zip(optim.clip_grad_norm(gradients, most), parameters, strict=True):
        assert ours.dtype == dtype
        rounding = 8 * np.finfo(dtype).eps  # of a norm, a quotient and a product on either side
        np.testing.assert_allclose(ours, p.grad.numpy(), rtol=rounding)


def test_squares_beyond_the_range_of_float32_are_clipped_like_others():
    (clipped,) = optim.clip_grad_norm([np.array([3e25, -4e25], np.float32)], 1.0)
    np.testing.assert_allclose(clipped, [0.6, -0.8], rtol=1e-6)


def test_gradients_are_read_and_not_written():
    gradients = arrays(0)
    copies = [g.copy() for g in gradients]
    optim.clip_grad_norm(gradients, 0.01)
    assert_same_bits(gradients, copies)


def test_gradients_on_the_device_are_clipped_there(device):
    before = strict.transfers
    clipped = optim.clip_grad_norm([sg.to_device(g, device) for g in arrays(0)], 0.1)
    assert strict.transfers == before
    for ours, host in zip(clipped, optim.clip_grad_norm(arrays(0), 0.1), strict=True):
        assert device_of(ours) == device
        np.testing.assert_allclose(sg.to_host(ours), host, rtol=1e-12)
