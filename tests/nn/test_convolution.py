"""Layers of convolutions: the kernels of torch, its initial bounds, its outputs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import nn

LAYERS = [nn.Conv2d, nn.Conv2dDirect, nn.ConvTranspose2d, nn.ConvTranspose2dDirect]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)


@pytest.fixture
def torch():
    return pytest.importorskip(
        "torch", reason="PyTorch is the oracle of outputs: pip install '.[peers]'"
    )


def peer(torch, layer):
    return getattr(torch.nn, layer.__name__.removesuffix("Direct"))


pairs = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))


@every_layer
@given(st.data())
def test_a_state_of_torch_gives_the_outputs_of_torch(torch, layer, data):
    c_in, c_out, bias = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.booleans()))
    kernel, stride, padding = data.draw(st.tuples(pairs, pairs, st.integers(0, 1)))
    settings = {"stride": stride, "padding": padding, "bias": bias}
    if "Transpose" in layer.__name__:
        settings["output_padding"] = int(np.min(stride)) - 1
    theirs = peer(torch, layer)(c_in, c_out, kernel, **settings).double()
    ours = layer(c_in, c_out, kernel, **settings, rng=sg.generator(0)).astype(np.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, c_in, 5, 6))
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(x).data, expected, rtol=1e-12, atol=1e-12)


@every_layer
def test_the_positional_arguments_are_those_of_torch(torch, layer):
    arguments = (3, 4, (2, 3), 2, 1) + ((1,) if "Transpose" in layer.__name__ else ())
    x = np.random.default_rng(0).standard_normal((1, 3, 6, 6)).astype(np.float32)
    ours = layer(*arguments, rng=sg.generator(0))(x)
    assert ours.shape == tuple(peer(torch, layer)(*arguments)(torch.tensor(x)).shape)
    assert ours.dtype == np.float32


@every_layer
def test_kernels_begin_within_the_bounds_of_torch_and_with_its_moments(torch, layer):
    torch.manual_seed(0)
    theirs, ours = peer(torch, layer)(24, 60, (3, 5)), layer(24, 60, (3, 5), rng=sg.generator(0))
    channels = 60 if "Transpose" in layer.__name__ else 24
    for name, value in theirs.state_dict().items():
        p, q, bound = ours.state_dict()[name], value.numpy(), 1 / math.sqrt(channels * 15)
        assert p.shape == q.shape
        assert p.dtype == np.float32
        assert np.abs(p).max() <= bound
        assert np.abs(p).max() > (0.99 if p.size > 1000 else 0.9) * bound
        assert p.std() == pytest.approx(bound / math.sqrt(3), rel=3 / math.sqrt(p.size))


def test_a_layer_and_its_direct_twin_agree_and_share_their_names():
    # In float64 both take the direct way: what differs in float32 is its rounding alone.
    x = np.random.default_rng(0).standard_normal((2, 32, 9, 9))
    for fast, direct in ((LAYERS[0], LAYERS[1]), (LAYERS[2], LAYERS[3])):
        first, second = (
            layer(32, 40, 3, padding=1, rng=sg.generator(0)) for layer in (fast, direct)
        )
        second.load_state_dict(first.state_dict())
        single = x.astype(np.float32)
        assert (first(single).data != second(single).data).any()
        first.astype(np.float64), second.astype(np.float64)
        np.testing.assert_array_equal(first(x).data, second(x).data)


@every_layer
def test_gradients_reach_kernels_offsets_and_images(layer):
    network = layer(2, 3, 3, padding=1, rng=sg.generator(0)).astype(np.float64)
    assert sg.gradcheck.check_network(network, np.random.default_rng(0).random((2, 2, 4, 4))).ok


@every_layer
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3, 3), "at least one channel on each side"),
        ((3, -1, 3), "at least one channel on each side"),
        ((3, 3, 0), "kernel_size is a whole number from 1"),
        ((3, 3, (1, 2, 3)), "kernel_size is a whole number from 1, or two"),
    ],
)
def test_sizes_that_make_no_kernel_are_refused(layer, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer(*arguments, rng=sg.generator(0))


@every_layer
def test_the_generator_decides_the_device(layer, device):
    network = layer(2, 3, 3, padding=1, rng=sg.generator(0, device))
    x = sg.to_device(np.ones((1, 2, 4, 4), np.float32), device)
    z = network(x).data
    assert sg.to_host(z).shape == (1, 3, 4, 4)
    assert type(z) is type(network.weight.data)
