"""Layers: what they compute, what they draw at the start, what they refuse."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import nn
from scratchgen.backend import device_of


@pytest.fixture
def torch():
    return pytest.importorskip(
        "torch", reason="PyTorch is the oracle of outputs: pip install '.[peers]'"
    )


def rng(seed=0):
    return sg.generator(seed)


sizes = st.integers(1, 6)

# Linear


@given(sizes, sizes, sizes, st.booleans(), st.integers(0, 9))
def test_linear_is_x_W_transposed_plus_b(n, n_in, n_out, bias, seed):
    layer = nn.Linear(n_in, n_out, bias, rng=rng(seed)).astype(np.float64)
    x = rng(seed + 1).standard_normal((n, n_in))
    b = layer.bias.data if bias else np.zeros(n_out)
    expected = [[layer.weight.data[j] @ x[i] + b[j] for j in range(n_out)] for i in range(n)]
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-12, atol=1e-14)


def test_linear_passes_the_gradient_on_to_its_input():
    layer, x = nn.Linear(3, 2, rng=rng()).astype(np.float64), sg.Tensor(np.ones((4, 3)))
    delta = rng().standard_normal((4, 2))
    (given_to_x,) = sg.gradient(layer(x), [x], delta=delta)
    np.testing.assert_allclose(given_to_x, delta @ layer.weight.data, rtol=1e-14)


@pytest.mark.parametrize("n_in", [1, 16, 784])
def test_linear_begins_uniform_between_plus_and_minus_one_over_root_n_in(n_in):
    n_out = 20_000 // n_in + 4_000
    layer, bound = nn.Linear(n_in, n_out, rng=rng(n_in)), 1 / math.sqrt(n_in)
    for p in layer.parameters():
        u = np.sort(p.data.reshape(-1).astype(np.float64)) / bound
        assert p.dtype == np.float32
        assert -1 <= u[0] < -0.99
        assert 0.99 < u[-1] <= 1
        assert abs(u.mean()) < 5 * math.sqrt(1 / 3 / u.size)
        # Var u² = 1/5 − 1/9 = 4/45
        assert abs((u * u).mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / u.size)
        # Kolmogorov's distance from the uniform distribution: beyond 2.2/√N once in 8,000 samples
        distance = np.abs((np.arange(u.size) + 0.5) / u.size - (u + 1) / 2).max()
        assert distance < 2.2 / math.sqrt(u.size)


def test_linear_begins_within_the_bounds_of_torch_and_with_its_moments(torch):
    torch.manual_seed(0)
    theirs, ours = torch.nn.Linear(50, 4000), nn.Linear(50, 4000, rng=rng())
    for name, value in theirs.state_dict().items():
        p, q = ours.state_dict()[name], value.numpy()
        assert np.abs(p).max() == pytest.approx(np.abs(q).max(), rel=2e-3)
        assert p.std() == pytest.approx(q.std(), rel=0.03)


def test_the_weights_and_the_bias_of_linear_are_drawn_apart():
    layer = nn.Linear(4, 4, rng=rng())
    values = np.concatenate([p.data.reshape(-1) for p in layer.parameters()])
    assert len(np.unique(values)) == values.size


def test_two_layers_from_one_generator_differ():
    source = rng()
    first, second = nn.Linear(4, 4, rng=source), nn.Linear(4, 4, rng=source)
    assert not np.array_equal(first.weight.data, second.weight.data)


@pytest.mark.parametrize(("n_in", "n_out"), [(0, 3), (3, 0), (-1, 2)])
def test_sizes_below_one_are_refused(n_in, n_out):
    with pytest.raises(ValueError, match=f"got {n_in}, {n_out}"):
        nn.Linear(n_in, n_out, rng=rng())


@pytest.mark.parametrize("n_in", [2.0, "2", None])
def test_sizes_that_are_no_integers_are_refused(n_in):
    with pytest.raises(TypeError):
        nn.Linear(n_in, 2, rng=rng())


def test_sizes_may_be_integers_of_numpy():
    assert nn.Linear(np.int64(3), np.uint8(2), rng=rng()).weight.shape == (2, 3)


@pytest.mark.parametrize("wrong", [0, None, "cpu", np.random, np.random.RandomState(0)])
def test_what_is_no_generator_is_refused_with_how_to_make_one(wrong):
    with pytest.raises(TypeError, match=r"rng is a generator, from scratchgen\.generator\(seed\)"):
        nn.Linear(2, 2, rng=wrong)


def test_a_generator_must_be_named():
    with pytest.raises(TypeError, match="rng"):
        nn.Linear(2, 2)


@pytest.mark.parametrize("shape", [(4, 2), (3,), (4, 1, 3)])
def test_rows_of_another_width_are_refused_with_both_shapes(shape):
    with pytest.raises(ValueError, match="affine takes rows") as refusal:
        nn.Linear(3, 2, rng=rng())(np.ones(shape))
    assert str(shape) in str(refusal.value)
    assert "(2, 3)" in str(refusal.value)


def test_the_generator_decides_the_device(device):
    layer = nn.Sequential(nn.Linear(3, 200, rng=sg.generator(0, device)), nn.Dropout(0.5))
    assert {device_of(p.data) for p in layer.parameters()} == {device}
    x = sg.to_device(np.ones((4, 3), np.float32), device)
    z = layer(x, sg.generator(1, device)).data
    assert device_of(z) == device
    assert 0 < (sg.to_host(z) == 0).mean() < 1
    W, b = [sg.to_host(p.data) for p in layer.parameters()]
    rounding = 4 * np.finfo(np.float32).eps * (np.abs(W).sum(axis=1) + np.abs(b))
    assert (np.abs(sg.to_host(layer(x).data) - (W.astype(float).sum(axis=1) + b)) <= rounding).all()


def test_a_state_moves_between_a_network_of_the_host_and_one_of_the_device(device):
    host, other = nn.Linear(3, 2, rng=rng(1)), nn.Linear(3, 2, rng=sg.generator(0, device))
    other.load_state_dict(host.state_dict())
    for name, value in other.state_dict().items():
        assert device_of(value) == device
        np.testing.assert_array_equal(sg.to_host(value), host.state_dict()[name])
    host.load_state_dict(other.state_dict())
    assert all(type(p.data) is np.ndarray for p in host.parameters())


# Linear by its spectral norm


@given(sizes, sizes, sizes, st.integers(0, 9))
def test_spectral_linear_is_linear_with_weights_by_their_largest_singular_value(
    n, n_in, n_out, seed
):
    layer = nn.SpectralLinear(n_in, n_out, rng=rng(seed)).astype(np.float64)
    x = rng(seed + 1).standard_normal((n, n_in))
    sigma = np.linalg.svd(layer.weight.data)[1][0]
    expected = x @ layer.weight.data.T / sigma + layer.bias.data
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-9, atol=1e-12)


@given(sizes, sizes, st.integers(0, 9))
def test_spectral_linear_stretches_no_difference(n_in, n_out, seed):
    layer = nn.SpectralLinear(n_in, n_out, rng=rng(seed)).astype(np.float64)
    x, y = rng(seed + 1).standard_normal((2, 50, n_in))
    gap = np.linalg.norm(layer(x).data - layer(y).data, axis=1)
    assert (gap <= np.linalg.norm(x - y, axis=1) * (1 + 1e-9)).all()


@pytest.mark.parametrize(("n_in", "n_out"), [(3, 5), (5, 3), (4, 4)])
def test_the_gradient_flows_through_the_spectral_norm(n_in, n_out):
    layer = nn.SpectralLinear(n_in, n_out, rng=rng()).astype(np.float64)
    assert sg.check_network(layer, rng(1).standard_normal((6, n_in))).ok
    # The output does not depend on the size of W, so that the gradient has no part along W.
    x, delta = rng(1).standard_normal((6, n_in)), rng(2).standard_normal((6, n_out))
    (of_W,) = sg.gradient(layer(x), [layer.weight], delta=delta)
    assert abs((of_W * layer.weight.data).sum()) < 1e-9 * np.abs(of_W).sum()


def test_spectral_linear_takes_the_weights_of_linear_and_of_torch(torch):
    plain, spectral = nn.Linear(4, 3, rng=rng()), nn.SpectralLinear(4, 3, rng=rng(1))
    spectral.load_state_dict(plain.state_dict())
    theirs = torch.nn.utils.parametrizations.spectral_norm(
        torch.nn.Linear(4, 3), n_power_iterations=200
    )
    with torch.no_grad():
        theirs.parametrizations.weight.original.copy_(torch.tensor(plain.weight.data))
        theirs.bias.copy_(torch.tensor(plain.bias.data))
    x = rng(2).standard_normal((5, 4)).astype(np.float32)
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(spectral(x).data, expected, rtol=1e-4, atol=1e-6)


# Dropout


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
def test_dropout_drops_a_share_p_and_scales_the_rest_by_one_over_one_minus_p(p):
    n = 100_000
    z = nn.Dropout(p)(np.ones(n), rng())
    kept = z[z != 0]
    np.testing.assert_allclose(kept, 1 / (1 - p), rtol=1e-15)
    assert abs(kept.size / n - (1 - p)) <= 5 * math.sqrt(p * (1 - p) / n)


def test_the_gradient_of_dropout_passes_where_the_value_passed():
    x = sg.Tensor(rng(1).standard_normal((50, 3)))
    z = nn.Dropout(0.4)(x, rng(2))
    delta = rng(3).standard_normal(x.shape)
    (gradient,) = sg.gradient(z, [x], delta=delta)
    np.testing.assert_allclose(gradient * x.data, delta * z.data, rtol=1e-14)
    np.testing.assert_array_equal(gradient == 0, z.data == 0)


def test_dropout_without_rng_is_the_identity():
    x = sg.Tensor(np.ones(3))
    assert nn.Dropout(0.9)(x) is x


def test_dropout_keeps_the_dtype_and_its_input():
    x = np.ones(1000, np.float32)
    x.setflags(write=False)
    assert nn.Dropout(0.3)(x, rng()).dtype == np.float32


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, math.nan])
def test_a_share_outside_zero_to_one_is_refused(p):
    with pytest.raises(ValueError, match="Dropout drops a share p with 0 ≤ p < 1"):
        nn.Dropout(p)


def test_the_default_share_is_that_of_torch(torch):
    assert nn.Dropout().p == torch.nn.Dropout().p


# Shapes


@given(st.integers(0, 4), st.lists(sizes, min_size=0, max_size=3))
def test_flatten_makes_each_sample_one_row(n, rest):
    x = np.arange(float(n * math.prod(rest))).reshape(n, *rest)
    z = nn.Flatten()(sg.Tensor(x))
    assert z.shape == (n, math.prod(rest))
    np.testing.assert_array_equal(z.data, x.reshape(n, math.prod(rest)))
    np.testing.assert_array_equal(nn.Reshape(*rest)(z).data, x)


def test_flatten_and_reshape_are_those_of_torch(torch):
    x = rng().standard_normal((3, 2, 4, 5))
    np.testing.assert_array_equal(nn.Flatten()(x), torch.nn.Flatten()(torch.tensor(x)).numpy())
    np.testing.assert_array_equal(
        nn.Reshape(5, 8)(x), torch.nn.Unflatten(1, (5, 8))(torch.tensor(x).reshape(3, 40)).numpy()
    )


def test_the_gradient_of_a_shape_is_in_the_shape_of_the_input():
    x = sg.Tensor(np.ones((2, 3, 4)))
    z = nn.Sequential(nn.Flatten(), nn.Reshape(4, 3))(x)
    delta = rng().standard_normal((2, 4, 3))
    (gradient,) = sg.gradient(z, [x], delta=delta)
    np.testing.assert_array_equal(gradient, delta.reshape(2, 3, 4))


def test_a_shape_of_another_size_is_refused():
    with pytest.raises(ValueError, match="reshape"):
        nn.Reshape(5, 5)(np.ones((2, 24)))


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.Flatten(), nn.Reshape(2, 3)], ids=repr)
def test_layers_without_weights_have_no_parameters(layer):
    assert layer.parameters() == []


# Embeddings, normalisation, pooling


@given(sizes, sizes, st.integers(0, 9))
def test_an_embedding_picks_its_rows(n, features, seed):
    layer = nn.Embedding(n, features, rng=rng(seed))
    x = rng(seed).integers(0, n, (2, 3))
    z = layer(x)
    assert z.shape == (2, 3, features)
    np.testing.assert_array_equal(z.data, layer.weight.data[x])


def test_an_embedding_begins_as_independent_standard_normal_numbers():
    w = nn.Embedding(400, 50, rng=rng()).weight.data
    assert w.dtype == np.float32
    u = np.sort(w.reshape(-1).astype(float))
    assert abs(u.mean()) < 5 / math.sqrt(u.size)
    assert abs((u * u).mean() - 1) < 5 * math.sqrt(2 / u.size)
    phi = np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in u])
    assert np.abs((np.arange(u.size) + 0.5) / u.size - phi).max() < 2.2 / math.sqrt(u.size)


def images(*shape):
    return rng(5).standard_normal(shape)


OF_TORCH = {  # our layer, PyTorch's name and arguments, a batch
    "Embedding": (nn.Embedding(7, 3, rng=rng()), ("Embedding", 7, 3), rng().integers(0, 7, (2, 4))),
    "LayerNorm": (nn.LayerNorm(4), ("LayerNorm", 4), images(3, 5, 4)),
    "LayerNorm of two axes": (nn.LayerNorm((5, 4)), ("LayerNorm", (5, 4)), images(3, 5, 4)),
    "LayerNorm with eps": (nn.LayerNorm([4], 0.5), ("LayerNorm", [4], 0.5), images(3, 4)),
    "LayerNorm without bias": (
        nn.LayerNorm(4, bias=False),
        ("LayerNorm", 4, 1e-5, True, False),
        images(3, 4),
    ),
    "LayerNorm of no parameters": (
        nn.LayerNorm((5, 4), 1e-5, False),
        ("LayerNorm", (5, 4), 1e-5, False),
        images(3, 5, 4),
    ),
    "GroupNorm": (nn.GroupNorm(2, 6), ("GroupNorm", 2, 6), images(3, 6, 4, 5)),
    "GroupNorm of no parameters": (
        nn.GroupNorm(3, 6, 0.1, False),
        ("GroupNorm", 3, 6, 0.1, False),
        images(3, 6, 4),
    ),
    "MaxPool2d": (nn.MaxPool2d(2), ("MaxPool2d", 2), images(2, 3, 6, 7)),
    "MaxPool2d, overlapping": (nn.MaxPool2d(3, 2, 1), ("MaxPool2d", 3, 2, 1), images(2, 3, 6, 7)),
    "AvgPool2d": (nn.AvgPool2d(2), ("AvgPool2d", 2), images(2, 3, 6, 7)),
    "AvgPool2d, overlapping": (
        nn.AvgPool2d((3, 2), (2, 1), 1),
        ("AvgPool2d", (3, 2), (2, 1), 1),
        images(2, 3, 6, 7),
    ),
    "Upsample": (nn.Upsample(2), ("Upsample", None, 2), images(2, 3, 4, 5)),
    "Upsample, by two scales": (
        nn.Upsample((3, 2)),
        ("Upsample", None, (3, 2)),
        images(2, 3, 4, 5),
    ),
}
of_torch = pytest.mark.parametrize(("layer", "module", "x"), OF_TORCH.values(), ids=OF_TORCH.keys())


@of_torch
def test_value_and_gradients_are_those_of_torch_with_the_same_state(torch, layer, module, x):
    torch.manual_seed(3)
    name, *arguments = module
    theirs = getattr(torch.nn, name)(*arguments).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter))
    ours = copy.deepcopy(layer).astype(np.float64)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())

    real = x.dtype.kind == "f"
    given, batch = torch.tensor(x, requires_grad=real), sg.Tensor(x) if real else x
    expected, z = theirs(given), ours(batch)
    np.testing.assert_allclose(z.data, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    delta = rng(1).standard_normal(z.shape)
    expected.backward(torch.tensor(delta))
    wrt = [*ours.parameters(), *([batch] if real else [])]
    peers = [*theirs.parameters(), *([given] if real else [])]
    for share, peer in zip(sg.gradient(z, wrt, delta=delta), peers, strict=True):
        np.testing.assert_allclose(share, peer.grad.numpy(), rtol=1e-10, atol=1e-12)


@of_torch
def test_the_initial_state_is_that_of_torch(torch, layer, module, x):
    name, *arguments = module
    theirs = getattr(torch.nn, name)(*arguments).state_dict()
    for name, value in layer.state_dict().items():
        assert value.dtype == np.float32
        assert value.shape == tuple(theirs[name].shape)
        if not isinstance(layer, nn.Embedding):  # whose weights are drawn
            np.testing.assert_array_equal(value, theirs[name].numpy())


@of_torch
def test_a_layer_without_randomness_ignores_rng_and_keeps_float32(torch, layer, module, x):
    x = x.astype(np.float32) if x.dtype.kind == "f" else x
    z = layer.frozen()(x)
    assert type(z) is np.ndarray
    assert z.dtype == np.float32
    np.testing.assert_array_equal(layer.frozen()(x, rng()), z)


@of_torch
def test_a_layer_comes_back_from_its_checkpoint(torch, layer, module, x, tmp_path):
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(2, 2, rng=rng()))
    sg.save(tmp_path / "network.safetensors", network)
    again = sg.load(tmp_path / "network.safetensors").model
    np.testing.assert_array_equal(again.layers[0].frozen()(x), layer.frozen()(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: nn.Embedding(4, 4, rng=rng),
        lambda rng: nn.LayerNorm((2, 4), rng=rng),
        lambda rng: nn.GroupNorm(2, 4, rng=rng),
    ],
)
def test_the_generator_decides_where_these_parameters_live(device, make):
    layer = make(sg.generator(0, device))
    assert {device_of(p.data) for p in layer.parameters()} == {device}
    x = np.arange(4) if isinstance(layer, nn.Embedding) else images(1, 4, 2, 4)
    z = layer(sg.to_device(x if x.dtype.kind == "i" else x.astype(np.float32), device))
    assert device_of(z.data) == device
    assert z.dtype == np.float32


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: nn.Embedding(0, 3, rng=rng()), "at least one row and one feature, got 0, 3"),
        (lambda: nn.LayerNorm(()), "at least one entry"),
        (lambda: nn.LayerNorm((3, 0)), "at least one entry"),
        (lambda: nn.GroupNorm(4, 6), "6 channels are not 4 groups of one size"),
        (lambda: nn.GroupNorm(0, 6), "6 channels are not 0 groups of one size"),
        (lambda: nn.LayerNorm(3)(np.ones((2, 4))), r"shape \(3,\) was given x: \(2, 4\)"),
        (lambda: nn.GroupNorm(3, 6)(np.ones((2, 3))), r"6 channels was given x: \(2, 3\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, what):
    with pytest.raises(ValueError, match=what):
        make()
