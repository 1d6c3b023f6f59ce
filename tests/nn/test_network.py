"""Networks: names and order as in PyTorch, weights that move both ways, and all that is refused."""

import copy

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops


@pytest.fixture
def torch():
    return pytest.importorskip(
        "torch", reason="PyTorch is the oracle of names and outputs: pip install '.[peers]'"
    )


def rng(seed=0):
    return sg.generator(seed)


# Each of these writes one network for either library: ``nn`` is torch.nn or scratchgen.nn, ``base``
# its class of networks, ``parameter`` its class of parameters.


def flat(nn, base, parameter, **rng):
    return nn.Sequential(nn.Linear(5, 4, **rng), nn.Tanh(), nn.Linear(4, 2, bias=False, **rng))


def nested(nn, base, parameter, **rng):
    inner = nn.Sequential(nn.Linear(4, 3, **rng), nn.Sequential(nn.SiLU(), nn.Linear(3, 3, **rng)))
    return nn.Sequential(nn.Linear(5, 4, **rng), nn.ReLU(), inner, nn.Linear(3, 2, **rng))


def of_attributes(nn, base, parameter, **rng):
    class Autoencoder(base):
        def __init__(self):
            super().__init__()
            self.scale = parameter(np.ones(5))
            self.encoder = nn.Sequential(nn.Linear(5, 2, **rng), nn.Tanh())
            self.decoder = nn.Linear(2, 5, **rng)
            self.width = 5

        def __call__(self, x, rng=None):
            return self.decoder(self.encoder(x * self.scale))

    return Autoencoder()


def of_attributes_with_a_parameter_last(nn, base, parameter, **rng):
    class Scaled(base):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(5, 2, **rng)
            self.scale = parameter(np.ones(2))

        def __call__(self, x, rng=None):
            return self.inner(x) * self.scale

    return Scaled()


NETWORKS = [flat, nested, of_attributes]


def both(torch, network):
    """The network in PyTorch and in scratchgen, in float64."""
    theirs = network(torch.nn, torch.nn.Module, lambda a: torch.nn.Parameter(torch.tensor(a)))
    ours = network(nn, nn.Network, sg.Tensor, rng=rng())
    return theirs.double(), ours.astype(np.float64)


def small(seed=0):
    return nested(nn, nn.Network, sg.Tensor, rng=rng(seed))


def rows(n=7, width=5):
    return rng(1).standard_normal((n, width))


# Names and order


@pytest.mark.parametrize("network", NETWORKS)
def test_names_shapes_and_their_order_are_those_of_torch(torch, network):
    theirs, ours = both(torch, network)
    expected = [(name, tuple(value.shape)) for name, value in theirs.state_dict().items()]
    assert [(name, value.shape) for name, value in ours.state_dict().items()] == expected
    assert [p.shape for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]


def test_a_networks_own_parameters_come_before_those_of_networks_within_it_as_in_torch(torch):
    theirs, ours = both(torch, of_attributes_with_a_parameter_last)
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize("network", NETWORKS)
def test_parameters_stand_in_the_order_of_their_names(network):
    ours = network(nn, nn.Network, sg.Tensor, rng=rng())
    named = dict(ours.named_parameters())
    assert list(named) == list(ours.state_dict())
    assert all(p is q for p, q in zip(named.values(), ours.parameters(), strict=True))


def test_an_absent_bias_has_no_name():
    assert list(nn.Linear(3, 2, bias=False, rng=rng()).state_dict()) == ["weight"]


def test_float32_is_the_default():
    assert {p.dtype for p in small().parameters()} == {np.dtype(np.float32)}


# Weights that move


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_of_torch_give_its_outputs(torch, network):
    theirs, ours = both(torch, network)
    ours.load_state_dict(theirs.state_dict())
    expected = theirs(torch.from_numpy(rows())).detach().numpy()
    np.testing.assert_allclose(ours(rows()).data, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("network", NETWORKS)
def test_torch_gives_the_outputs_of_our_weights(torch, network):
    theirs, ours = both(torch, network)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    output = theirs(torch.from_numpy(rows())).detach().numpy()
    np.testing.assert_allclose(output, ours(rows()).data, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_gradient_of_every_parameter_is_that_of_torch(torch, network):
    theirs, ours = both(torch, network)
    ours.load_state_dict(theirs.state_dict())
    delta = rng(2).standard_normal(ours(rows()).shape)
    theirs(torch.from_numpy(rows())).backward(torch.from_numpy(delta))
    gradients = sg.gradient(ours(rows()), ours.parameters(), delta=delta)
    for (name, p), gradient in zip(theirs.named_parameters(), gradients, strict=True):
        np.testing.assert_allclose(gradient, p.grad.numpy(), rtol=1e-12, atol=1e-12, err_msg=name)


def test_a_state_is_a_copy():
    network = small()
    state = network.state_dict()
    state["0.weight"][...] = 0
    assert network.parameters()[0].data.any()


def test_a_state_loaded_into_another_network_makes_them_equal():
    source, target = small(seed=0), small(seed=1)
    assert not np.array_equal(source(rows()).data, target(rows()).data)
    assert target.load_state_dict(source.state_dict()) is None
    np.testing.assert_array_equal(source(rows()).data, target(rows()).data)


def test_loading_copies_and_keeps_tensors_memory_and_dtype():
    network = small()
    tensors, arrays = network.parameters(), [p.data for p in network.parameters()]
    state = {k: v.astype(np.float64) + 1 / 3 for k, v in network.state_dict().items()}
    network.load_state_dict(state)
    for p, tensor, array, value in zip(
        network.parameters(), tensors, arrays, state.values(), strict=True
    ):
        assert p is tensor
        assert p.data is array
        assert not np.shares_memory(p.data, value)
        np.testing.assert_array_equal(p.data, value.astype(np.float32), strict=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64])
def test_values_of_any_real_dtype_are_cast(dtype):
    network = nn.Linear(2, 2, rng=rng())
    network.load_state_dict({"weight": np.eye(2, dtype=dtype), "bias": np.zeros(2, dtype)})
    np.testing.assert_array_equal(network.weight.data, np.eye(2, dtype=np.float32), strict=True)


def test_lists_of_numbers_are_loaded():
    network = nn.Linear(1, 2, rng=rng())
    network.load_state_dict({"weight": [[1.0], [2.0]], "bias": [3, 4]})
    np.testing.assert_array_equal(network(np.ones((1, 1))).data, [[4, 6]])


BAD_STATES = {
    "a name is missing": (lambda s: s.pop("3.bias"), "missing ['3.bias'], unknown []"),
    "a name is unknown": (lambda s: s.update(extra=np.ones(1)), "missing [], unknown ['extra']"),
    "a name is misspelt": (
        lambda s: s.update(bias=s.pop("3.bias")),
        "missing ['3.bias'], unknown ['bias']",
    ),
    "a matrix is transposed": (
        lambda s: s.update({"3.weight": s["3.weight"].T}),
        "3.weight is real numbers of shape (2, 3), the state gives it float32 of shape (3, 2)",
    ),
    "a shape only broadcasts": (
        lambda s: s.update({"3.bias": np.ones((1, 2))}),
        "3.bias is real numbers of shape (2,), the state gives it float64 of shape (1, 2)",
    ),
    "a number stands for an array": (
        lambda s: s.update({"3.bias": np.float32(1)}),
        "3.bias is real numbers of shape (2,), the state gives it float32 of shape ()",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), BAD_STATES.values(), ids=BAD_STATES.keys())
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil, message):
    network = small()
    before = network.state_dict()
    state = {k: v + 1 for k, v in before.items()}
    spoil(state)
    cost = network(rows()).mean()
    with pytest.raises(ValueError) as refusal:  # noqa: PT011, the whole message is compared below
        network.load_state_dict(state)
    assert message in str(refusal.value)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    sg.gradient(cost, network.parameters())  # the recorded cost still stands


@pytest.mark.parametrize("value", [np.array(["a", "b"]), np.array([1j, 2]), np.array([None, 1.0])])
def test_values_that_are_no_real_numbers_are_refused_and_change_nothing(value):
    network = small()
    before = network.state_dict()
    with pytest.raises((ValueError, TypeError), match=r"3\.bias"):
        network.load_state_dict({**{k: v + 1 for k, v in before.items()}, "3.bias": value})
    for name, now in network.state_dict().items():
        np.testing.assert_array_equal(now, before[name])


# What was recorded before a change


@pytest.mark.parametrize(
    "change",
    [
        lambda network: network.load_state_dict(network.state_dict()),
        lambda network: network.astype(np.float64),
    ],
    ids=["load_state_dict", "astype"],
)
def test_a_cost_recorded_before_the_parameters_changed_refuses_its_gradient(change):
    network = small()
    cost = network(rows()).mean()
    sg.gradient(cost, network.parameters())
    change(network)
    with pytest.raises(ValueError, match="was changed after its use: record anew"):
        sg.gradient(cost, network.parameters())
    sg.gradient(network(rows()).mean(), network.parameters())


# astype and frozen


def test_astype_casts_every_parameter_in_place_and_returns_the_network():
    network = small()
    tensors, before = network.parameters(), network.state_dict()
    assert network.astype(np.float64) is network
    assert all(p is q for p, q in zip(network.parameters(), tensors, strict=True))
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name].astype(np.float64), strict=True)
    assert network(rows()).dtype == np.float64
    assert {g.dtype for g in sg.gradient(network(rows()).mean(), tensors)} == {np.dtype(float)}


@pytest.mark.parametrize("network", NETWORKS)
def test_frozen_gives_the_same_outputs_and_records_nothing(network):
    network = network(nn, nn.Network, sg.Tensor, rng=rng())
    output = network.frozen()(rows())
    assert type(output) is np.ndarray
    assert network.frozen().parameters() == []
    np.testing.assert_array_equal(output, network(rows()).data)


@pytest.mark.parametrize("network", NETWORKS)
def test_frozen_leaves_the_original_alone(network):
    network = network(nn, nn.Network, sg.Tensor, rng=rng())
    tensors, attributes, state = network.parameters(), dict(vars(network)), network.state_dict()
    network.frozen().frozen()
    assert vars(network) == attributes
    assert all(p is q for p, q in zip(network.parameters(), tensors, strict=True))
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, state[name])


def test_frozen_shares_memory_and_so_follows_the_training_of_the_original():
    network = small()
    twin = network.frozen()
    first = twin(rows())
    optimizer = sg.optim.SGD(network.parameters(), lr=0.1)
    twin = network.frozen()  # an optimizer moves the parameters into memory of its own
    assert np.shares_memory(getattr(twin, "0").weight, network.parameters()[0].data)
    optimizer.step(sg.gradient(network(rows()).mean(), optimizer.parameters))
    np.testing.assert_array_equal(twin(rows()), network(rows()).data)
    assert not np.array_equal(twin(rows()), first)


def test_a_frozen_network_within_another_gets_no_gradient():
    head, body = nn.Linear(2, 1, rng=rng()), nn.Linear(5, 2, rng=rng())
    cost = head(body.frozen()(rows())).mean()
    assert len(sg.gradient(cost, head.parameters())) == 2
    with pytest.raises(ValueError, match="does not depend"):
        sg.gradient(cost, body.parameters())


# rng


def test_a_network_is_stochastic_with_rng_and_deterministic_without():
    network = nn.Sequential(nn.Linear(5, 40, rng=rng()), nn.Sequential(nn.Dropout(0.5)))
    first, second = network(rows(), rng(1)).data, network(rows(), rng(2)).data
    assert (first == 0).any()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(network(rows(), rng(1)).data, first)
    np.testing.assert_array_equal(network(rows()).data, network(rows()).data)
    assert network(rows()).data.all()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    for p, q, other in zip(
        small(0).parameters(), small(0).parameters(), small(1).parameters(), strict=True
    ):
        np.testing.assert_array_equal(p.data, q.data)
        assert not np.array_equal(p.data, other.data)


# Sequential and Network


def test_an_empty_sequential_is_the_identity():
    network, x = nn.Sequential(), rows()
    assert network(x) is x
    assert network.parameters() == []
    assert network.layers == ()
    assert network.state_dict() == {}


def test_a_sequential_applies_its_layers_in_order():
    layers = [nn.Linear(5, 4, rng=rng()), nn.Tanh(), nn.Linear(4, 3, rng=rng())]
    network = nn.Sequential(*layers)
    assert network.layers == tuple(layers)
    x = rows()
    for layer in layers:
        x = layer(x)
    np.testing.assert_array_equal(network(rows()).data, x.data)


def test_more_than_ten_layers_keep_their_order():
    network = nn.Sequential(*[nn.Linear(k + 1, k + 2, rng=rng()) for k in range(12)])
    assert [p.shape[0] for p in network.parameters()[::2]] == list(range(2, 14))
    assert list(network.state_dict())[-1] == "11.bias"


@pytest.mark.parametrize("layer", [np.tanh, ops.tanh, [], nn.Tanh], ids=repr)
def test_what_is_no_network_is_refused_with_its_place(layer):
    with pytest.raises(TypeError, match="layer 1 of Sequential is a Network, got"):
        nn.Sequential(nn.Tanh(), layer)


def test_a_network_without_a_call_of_its_own_says_so():
    class Model(nn.Network):
        pass

    with pytest.raises(TypeError, match="Model is not called: it states its own methods"):
        Model()(rows())


def test_networks_within_a_users_network_share_its_training():
    class Residual(nn.Network):
        def __init__(self, width, rng):
            self.gain = sg.Tensor(np.ones(width))
            self.body = nn.Sequential(nn.Linear(width, width, rng=rng), nn.Tanh())
            self.names = ["not", "a", "parameter"]

        def __call__(self, x, rng=None):
            return x + self.gain * self.body(x, rng)

    network = nn.Sequential(Residual(5, rng(0)), Residual(5, rng(1))).astype(np.float64)
    inner = ["gain", "body.0.weight", "body.0.bias"]
    assert list(network.state_dict()) == [f"{k}.{name}" for k in range(2) for name in inner]
    optimizer = sg.optim.SGD(network.parameters(), lr=0.01)
    before = network.state_dict()
    cost = ops.square(network(rows())).mean()
    optimizer.step(sg.gradient(cost, optimizer.parameters))
    assert float(ops.square(network(rows())).mean().data) < float(cost.data)
    assert all((network.state_dict()[name] != before[name]).all() for name in before)
    np.testing.assert_array_equal(network.frozen()(rows()), network(rows()).data)


def test_a_deep_copy_is_a_network_of_its_own():
    network = small()
    other = copy.deepcopy(network)
    for p in other.parameters():
        p.data += 1
    assert not np.array_equal(other(rows()).data, network(rows()).data)
    assert list(other.state_dict()) == list(network.state_dict())


# repr


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Linear(3, 2, rng=rng()), "Linear(n_in=3, n_out=2, bias=True)"),
        (nn.Linear(3, 2, False, rng=rng()), "Linear(n_in=3, n_out=2, bias=False)"),
        (nn.ReLU(), "ReLU()"),
        (nn.LeakyReLU(), "LeakyReLU(slope=0.01)"),
        (nn.Dropout(0.2), "Dropout(p=0.2)"),
        (nn.Softmax(), "Softmax(axis=-1)"),
        (nn.Flatten(), "Flatten()"),
        (nn.Sequential(), "Sequential()"),
        (nn.Sequential(nn.Tanh(), nn.Sequential(nn.ELU())), "Sequential(Tanh(), Sequential(ELU("),
    ],
    ids=repr,
)
def test_a_network_shows_what_it_was_made_with(network, expected):
    assert repr(network).startswith(expected)


def test_what_a_network_without_weights_shows_makes_it_again():
    network = nn.Sequential(nn.Flatten(), nn.LeakyReLU(0.2), nn.Softmax(axis=0), nn.Dropout(0.1))
    again = eval(repr(network), vars(nn))
    assert repr(again) == repr(network)
    np.testing.assert_array_equal(again(rows()), network(rows()))


def test_networks_in_a_list_are_refused_since_they_would_not_be_found():
    class Stack(nn.Network):
        def __init__(self):
            self.layers = [nn.Linear(2, 2, rng=sg.generator(0))]

    with pytest.raises(TypeError, match=r"layers: .* as layers of nn\.Sequential"):
        Stack()


def test_a_layer_that_is_used_twice_is_moved_once():
    layer = nn.Linear(2, 2, rng=sg.generator(0))
    network = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(network.parameters()) == 2
    assert list(network.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


class Averaged(nn.Network):
    """A network that keeps an array beside its parameters."""

    buffers = ("average",)

    def __init__(self, *, rng):
        self.weight = sg.Tensor(rng.random(3, dtype=np.float32))
        self.average = np.zeros(3, np.float32)


def test_a_buffer_is_kept_with_the_parameters_and_is_none_of_them(tmp_path):
    network = nn.Sequential(nn.Tanh(), Averaged(rng=rng()))
    average = network.layers[1].average
    average += [1, 2, 3]
    assert [name for name, _ in network.named_parameters()] == ["1.weight"]
    state = network.state_dict()
    assert list(state) == ["1.weight", "1.average"]
    assert state["1.average"] is not average
    other = nn.Sequential(nn.Tanh(), Averaged(rng=rng(1)))
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.layers[1].average, [1, 2, 3])
    sg.save(tmp_path / "model", network.astype(np.float64))
    loaded = sg.load(tmp_path / "model", classes=[Averaged]).model
    for kept in (network, loaded):
        assert kept.layers[1].average.dtype == np.float64
        np.testing.assert_array_equal(kept.layers[1].average, [1, 2, 3])
    with pytest.raises(ValueError, match=r"missing \['1.average'\]"):
        other.load_state_dict({"1.weight": state["1.weight"]})


# From PyTorch


class Recorded:
    """A tensor as PyTorch has it, which gives its numbers only once detached."""

    def __init__(self, values):
        self.values = values

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.values

    def __array__(self, *_, **__):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


@pytest.mark.parametrize("kind", [dict, iter, list], ids=["a dictionary", "an iterator", "pairs"])
def test_a_state_may_be_named_parameters_of_pytorch(kind):
    layer = nn.Linear(3, 2, rng=sg.generator(0))
    weight, bias = np.ones((2, 3), np.float32), np.full(2, 7, np.float32)
    layer.load_state_dict(kind({"weight": Recorded(weight), "bias": Recorded(bias)}.items()))
    np.testing.assert_array_equal(layer.weight.data, weight)
    np.testing.assert_array_equal(layer.bias.data, bias)


def test_what_is_no_state_is_refused():
    with pytest.raises(TypeError, match=r"maps names to arrays, got int: take the state_dict\(\)"):
        nn.Linear(3, 2, rng=sg.generator(0)).load_state_dict(3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: nn.LeakyReLU(negative_slope=0.2),
            r"LeakyReLU: .*'negative_slope'.* \(slope=0\.01\)",
        ),
        (lambda: nn.Linear(in_features=3), r"Linear: .*'in_features'.* \(n_in, n_out, bias=True, "),
        (lambda: nn.ReLU(inplace=True), r"ReLU: .*'inplace'.* its arguments are \(\)"),
        (lambda: nn.Conv2d(1, 2, 3, dilation=2), r"Conv2d: .*'dilation'.* kernel_size, stride=1"),
        (lambda: nn.Softmax(dim=1), r"Softmax: .*'dim'.* \(axis=-1\)"),
        (lambda: nn.Flatten(1), r"Flatten: too many positional arguments.* \(\)"),
        (lambda: nn.Sequential([nn.ReLU()]), r"got list: give networks one by one"),
    ],
    ids=str,
)
def test_arguments_that_a_layer_has_not_are_refused_with_those_that_it_has(build, message):
    with pytest.raises(TypeError, match=message):
        build()


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("BatchNorm2d", "nn.GroupNorm or nn.LayerNorm"),
        ("BatchNorm1d", "nn.GroupNorm or nn.LayerNorm"),
        ("InstanceNorm2d", "nn.GroupNorm"),
        ("BCELoss", "from logits"),
        ("CrossEntropyLoss", "from logits"),
        ("Module", "nn.Network"),
        ("Unflatten", "nn.Reshape"),
        ("Dropout2d", "nn.Dropout drops single entries"),
        ("Transformer", "there are ELU, GELU"),
    ],
)
def test_a_layer_that_is_not_there_is_missed_with_what_there_is_in_its_place(name, instead):
    with pytest.raises(AttributeError, match=f"scratchgen.nn has no {name}: .*{instead}"):
        getattr(nn, name)
