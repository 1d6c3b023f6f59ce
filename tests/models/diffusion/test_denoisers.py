"""The networks that predict noise: what they compute, and that every gradient of theirs agrees."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.models import PlainDenoiser, TimedMLP, UNet
from scratchgen.models.diffusion import denoisers

networks = pytest.mark.parametrize("network", [PlainDenoiser, UNet])


def rng(seed=0):
    return sg.generator(seed)


def tiny(seed=0):
    return UNet(1, width=2, groups=2, rng=rng(seed)).astype(np.float64)


class AtOneTime(nn.Network):
    """A network at a time that is no input, as nothing is differentiated by it."""

    def __init__(self, net):
        self.net = net

    def __call__(self, x, rng=None):
        return self.net(x, np.array([0.3]))


@networks
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 12), (1, 28, 28)])
def test_as_many_numbers_come_out_as_go_in(network, shape):
    x = rng(1).standard_normal((2, *shape), dtype=np.float32)
    out = network(shape[0], rng=rng())(x, np.array([0.1, 0.9], np.float32))
    assert (out.shape, out.dtype) == (x.shape, np.float32)


@networks
def test_samples_do_not_see_each_other(network):
    net = network(1, rng=rng()).astype(np.float64)
    x, t = rng(1).standard_normal((3, 1, 8, 8)), np.array([0.0, 0.3, 0.99])
    together = net(x, t).data
    for k in range(3):
        np.testing.assert_allclose(net(x[k : k + 1], t[k : k + 1]).data[0], together[k], rtol=1e-9)


@networks
def test_the_time_matters(network):
    net, x = network(1, rng=rng()), rng(1).standard_normal((1, 1, 8, 8), dtype=np.float32)
    first, last = (net(x, np.array([t], np.float32)).data for t in (0.0, 0.99))
    assert np.abs(first - last).max() > 1e-3


@pytest.mark.long
@networks
def test_every_gradient_of_the_network_agrees(network):
    net = tiny() if network is UNet else PlainDenoiser(1, rng=rng()).astype(np.float64)
    report = sg.check_network(AtOneTime(net), rng(1).standard_normal((1, 1, 4, 4)))
    assert report.ok, str(report)


def test_the_notes_network_is_its_equations():
    net = PlainDenoiser(2, rng=rng()).astype(np.float64).frozen()
    x, t = rng(1).standard_normal((3, 2, 5, 5)), np.array([0.1, 0.5, 0.9])
    h = np.maximum(ops.conv2d(x, net.enc1.weight, net.enc1.bias, padding=1), 0)
    h = np.maximum(ops.conv2d(h, net.enc2.weight, net.enc2.bias, padding=1), 0)
    first, _, second = net.time_mlp.layers
    e = np.maximum(t[:, None] @ first.weight.T + first.bias, 0) @ second.weight.T + second.bias
    h = h + e[:, :, None, None]  # after the ReLU, before the next layer
    h = np.maximum(ops.conv_transpose2d(h, net.dec1.weight, net.dec1.bias, padding=1), 0)
    expected = ops.conv_transpose2d(h, net.dec2.weight, net.dec2.bias, padding=1)
    np.testing.assert_allclose(net(x, t), expected, rtol=1e-10)


def test_the_notes_network_sees_9_by_9_pixels_and_a_u_net_the_whole_image():
    def reach(net):
        x = sg.Tensor(rng(1).standard_normal((1, 1, 28, 28)))
        delta = np.zeros((1, 1, 28, 28))
        delta[0, 0, 14, 14] = 1
        (gradient,) = sg.gradient(net(x, np.array([0.5])), [x], delta=delta)
        rows, columns = np.nonzero(gradient[0, 0])
        return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1

    assert reach(PlainDenoiser(1, rng=rng()).astype(np.float64)) == (9, 9)
    assert reach(tiny()) == (28, 28)


def test_the_embedding_is_sines_and_cosines_of_a_thousand_t():
    time = np.array([0.0, 0.25, 0.999])
    expected = [
        [*np.sin(1000 * t * omega), *np.cos(1000 * t * omega)]
        for t in time
        for omega in [np.array([1, 1e-2, 1e-4])]
    ]
    np.testing.assert_allclose(denoisers.sinusoidal(time, 6), expected, atol=1e-12)
    near = denoisers.sinusoidal(np.arange(300) / 300, 32)
    distance = np.linalg.norm(near[:, None] - near[None], axis=2) + 10 * np.eye(300)
    assert distance.min() > 0.1  # no two of 300 times are alike


@pytest.mark.parametrize("shape", [(1, 1, 6, 8), (1, 1, 8, 7), (1, 64)])
def test_sizes_that_cannot_be_halved_twice_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 4, got"):
        tiny()(np.ones(shape), np.ones(1))


@pytest.mark.rounding
def test_the_u_net_runs_on_the_device_without_a_transfer(device):
    from tests import strict

    net = UNet(1, width=8, rng=sg.generator(0, device)).astype(np.float64)
    x = sg.generator(1, device).standard_normal((2, 1, 8, 8))
    time = sg.generator(2, device).random(2)
    before = strict.transfers
    out = net(x, time)
    sg.gradient(out.sum(), net.parameters())
    assert strict.transfers == before
    host = UNet(1, width=8, rng=rng()).astype(np.float64)
    host.load_state_dict({k: sg.to_host(v) for k, v in net.state_dict().items()})
    expected = host(sg.to_host(x), sg.to_host(time)).data
    np.testing.assert_allclose(sg.to_host(out.data), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("width", "groups", "advice"), [(20, 8, "16 or 24"), (3, 3, "6"), (0, 8, "8"), (4, 8, "8")]
)
def test_a_width_that_is_no_multiple_of_the_groups_is_refused_with_those_beside_it(
    width, groups, advice
):
    with pytest.raises(ValueError, match=rf"a width of {width}: take {advice}$"):
        UNet(1, width, groups, rng=sg.generator(0))


@pytest.mark.parametrize(
    ("shape", "cure"),
    [((2, 10, 10, 3), r"x\.transpose\(0, 3, 1, 2\)$"), ((2, 3, 10, 10), "pad them$")],
)
def test_padding_is_advised_for_images_whose_channels_are_first(shape, cure):
    network = UNet(3, 16, rng=rng())
    with pytest.raises(ValueError, match=cure):
        network(np.zeros(shape, np.float32), np.zeros(2, np.float32))


def test_a_timed_mlp_gives_its_last_bias_at_first_and_its_gradients_agree():
    net = TimedMLP(6, 5, 4, rng=rng()).astype(np.float64)
    net.out.bias.data[...] = np.arange(4.0)
    x, t = rng(1).standard_normal((3, 2, 3)), np.array([0.1, 0.5, 0.9])
    np.testing.assert_array_equal(net(x, t).data, np.tile(np.arange(4.0), (3, 1)))
    net.out.weight.data[...] = rng(2).standard_normal((4, 5))
    out = net(x, t).data
    assert not np.allclose(net(x, t[::-1]).data, out)
    assert sg.check_network(AtOneTime(net), x[:1]).ok
