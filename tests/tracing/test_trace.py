"""The trace is the sweep: its lines, their order, their numbers, and the table that shows them."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import models, nn
from scratchgen import operations as ops
from tests import strict


def network(n_layers=3, width=4, device="cpu"):
    """A cost of a network with tanh after each layer, and the network."""
    rng = sg.generator(0, device)
    layers = []
    for _ in range(n_layers):
        layers += [nn.Linear(width, width, rng=rng), nn.Tanh()]
    net = nn.Sequential(*layers)
    x, y = rng.standard_normal((2, 5, width), dtype=np.float32)
    return ops.squared_error(net(x), y).mean(), net


def vae(n=3):
    rng = sg.generator(0)
    model = models.vae.dense(n_visible=6, n_hidden=5, n_latent=2, rng=rng)
    x = rng.random((n, 6), dtype=np.float32)
    return next(model.losses(x, rng)), model, x


@st.composite
def graphs(draw):
    """A cost of random structure, with values used several times, and its origins."""
    origins = [sg.Tensor(np.array([0.3 + k, -0.4])) for k in range(draw(st.integers(1, 3)))]
    made = list(origins)
    for _ in range(draw(st.integers(1, 12))):
        x, y = draw(st.sampled_from(made)), draw(st.sampled_from(made))
        made.append(draw(st.sampled_from([ops.add, ops.multiply, lambda x, y: ops.tanh(x)]))(x, y))
    cost = made[-1]
    for x in origins:
        cost = cost + x
    return cost.sum(), origins


@given(graphs())
def test_the_deltas_of_what_was_asked_for_are_the_gradient(graph):
    cost, origins = graph
    trace = sg.trace(cost, origins)
    for found, expected in zip(trace.gradients.values(), sg.gradient(cost, origins), strict=True):
        np.testing.assert_array_equal(found, expected)


@given(graphs())
def test_each_line_comes_after_all_lines_that_lead_to_its_delta(graph):
    trace = sg.trace(*graph)
    for k, line in enumerate(trace):
        assert all(earlier.to != line.of for earlier in trace[k:])


@given(graphs(), st.data())
def test_there_is_one_line_for_each_equation_used(graph, data):
    cost, origins = graph
    wrt = data.draw(st.lists(st.sampled_from(origins), min_size=1, unique_by=id))
    used = []

    def counting(tensor, k, equation):
        def counted(delta):
            used.append((tensor.operation.__name__, k))
            return equation(delta)

        return counted

    visited = [tensor for tensor, _ in sg.backward_sweep(cost)]
    for tensor in visited:
        tensor.equations = [counting(tensor, k, e) for k, e in enumerate(tensor.equations)]
    sg.gradient(cost, wrt)
    expected = [name for name, _ in used]
    assert [line.operation for line in sg.trace(cost, wrt)] == expected


@given(graphs())
def test_shares_sum_to_the_delta_and_are_counted(graph):
    trace = sg.trace(*graph)
    for to in {line.to for line in trace}:
        lines = [line for line in trace if line.to == to]
        np.testing.assert_allclose(
            sum(line.share for line in lines), lines[0].total, rtol=1e-12, atol=1e-12
        )
        assert [(line.part, line.parts) for line in lines] == [
            (k, len(lines)) for k in range(1, len(lines) + 1)
        ]


def test_a_share_is_the_equation_of_its_own_input_alone():
    x = sg.Tensor(np.array([2.0, 3.0]))
    first, second, _ = reversed(sg.trace((x / x).sum(), [x]))
    np.testing.assert_allclose(second.share, [1 / 2, 1 / 3])
    np.testing.assert_allclose(first.share, [-1 / 2, -1 / 3])
    np.testing.assert_array_equal(first.total, [0, 0])


def test_a_share_has_broadcasting_undone():
    b = sg.Tensor(np.ones(3))
    line = sg.trace((b * np.ones((4, 3)) + b).sum(), [b])[-1]
    np.testing.assert_array_equal(line.share, [4, 4, 4])
    np.testing.assert_array_equal(line.total, [8, 8, 8])


def test_nothing_is_changed_and_twice_gives_the_same():
    cost, net = network()
    before = {name: x.data.copy() for name, x in net.named_parameters()}
    deltas = [delta.copy() for _, delta in sg.backward_sweep(cost)]
    parameters = dict(net.named_parameters())
    first, second = (sg.trace(cost, parameters) for _ in range(2))
    assert str(first) == str(second)
    for name, x in net.named_parameters():
        np.testing.assert_array_equal(x.data, before[name])
    for (_, now), then in zip(sg.backward_sweep(cost), deltas, strict=True):
        np.testing.assert_array_equal(now, then)
    for earlier, later in zip(first, second, strict=True):
        np.testing.assert_array_equal(earlier.share, later.share)


def test_names_come_from_the_mapping_and_layers_from_the_names():
    cost, net = network(2)
    lines = sg.trace(cost, dict(net.named_parameters())).lines
    assert [(line.layer, line.operation, line.to) for line in lines] == [
        ("", "mean", "C₁"),
        ("", "squared_error", "a₂"),
        ("2", "tanh", "z₂"),
        ("2", "affine", "a₁"),
        ("2", "affine", "2.weight"),
        ("2", "affine", "2.bias"),
        ("0", "tanh", "z₁"),
        ("0", "affine", "0.weight"),
        ("0", "affine", "0.bias"),
    ]


def test_without_names_the_letters_of_the_rules_are_numbered():
    cost, net = network(2)
    assert [*sg.trace(cost, net.parameters()).gradients] == ["W₁", "b₁", "W₂", "b₂"]
    W, b = sg.Tensor(np.ones((1, 2))), sg.Tensor(np.ones(1))
    trace = sg.trace(ops.affine(np.ones((1, 2)), W, b).sum(), [W, b])
    assert [line.to for line in trace] == ["z", "W", "b"]
    assert trace[0].of == "C"


def test_other_tensors_and_arrays_may_be_named_too():
    x, W = np.ones((1, 2)), sg.Tensor(np.ones((1, 2)))
    z = ops.affine(x, W)
    trace = sg.trace(ops.tanh(z).sum(), {"W": W}, {"pixels": x, "z of the notes": z})
    assert [line.to for line in trace] == ["a", "z of the notes", "W"]
    assert trace.symbols[id(x)] == "pixels"


def test_symbols_are_unlike_each_other_whatever_is_named():
    x, W = np.ones((1, 2)), sg.Tensor(np.ones((1, 2)))
    z = ops.tanh(ops.tanh(ops.affine(x, W)))
    symbols = sg.trace(z.sum(), {"a₁": W}, {"C": x, "z": z}).symbols.values()
    assert len({*symbols}) == len(symbols) == 6


def test_a_cost_that_does_not_depend_on_a_tensor_names_it():
    W, other = sg.Tensor(np.ones(2)), sg.Tensor(np.ones(3))
    with pytest.raises(ValueError, match=r"does not depend on other, of shape \(3,\)"):
        sg.trace(W.sum(), {"W": W, "other": other})
    with pytest.raises(ValueError, match=r"does not depend on wrt\[1\]"):
        sg.trace(W.sum(), [W, other])


def test_what_is_asked_for_is_a_list_or_a_mapping_and_a_name_is_given_once():
    W = sg.Tensor(np.ones(2))
    with pytest.raises(TypeError, match=r"wrt is a list of tensors.*got Tensor"):
        sg.trace(W.sum(), W)
    with pytest.raises(ValueError, match=r"both hold \['W'\]"):
        sg.trace(W.sum(), {"W": W}, {"W": np.ones(2)})
    with pytest.raises(ValueError, match=r"the cost has shape \(2,\)"):
        sg.trace(W * 2, [W])


def test_norms_are_euclidean_and_rms_does_not_grow_with_the_shape():
    x = sg.Tensor(np.array([3.0, -4.0]))
    line = sg.trace((x * x / 2).sum(), [x])[1]
    assert (line.norm, line.delta_norm) == (np.sqrt(0.5), np.sqrt(2))
    assert line.rms == 0.5


def test_the_norm_of_large_float32_does_not_overflow():
    x = sg.Tensor(np.array([1.0], np.float32))
    line = sg.trace((x * np.float32(1e30)).sum(), [x])[-1]
    assert line.norm == pytest.approx(1e30)


def test_a_depth_of_5000_is_traced():
    x = y = sg.Tensor(0.5)
    for _ in range(5000):
        y = ops.tanh(y)
    trace = sg.trace(y, {"x": x})
    assert len(trace) == 5000
    assert trace.gradients["x"] == sg.gradient(y, [x])[0]


def test_only_norms_come_to_the_host(monkeypatch):
    strict.install(monkeypatch)
    cost, net = network(device="cuda")
    before = strict.transfers
    trace = sg.trace(cost, dict(net.named_parameters()))
    assert strict.transfers == before
    norms = trace.delta_norms()
    assert strict.transfers == before + len(norms) == before + 3
    for line in trace:
        assert type(line.share) is strict.StrictArray


def test_the_table_of_a_device_is_that_of_the_host(device, on_device):
    W, x = np.full((3, 2), 0.5), np.arange(8.0).reshape(4, 2)

    def table(place):
        weight = sg.Tensor(place(W))
        return str(sg.trace(ops.tanh(ops.affine(place(x), weight)).sum(), {"W": weight}))

    assert table(on_device) == table(np.asarray)


# The table.


def columns(text):
    return sum(not unicodedata.combining(letter) for letter in text)


def test_the_table_is_aligned_and_not_too_wide():
    cost, model, x = vae()
    lines = str(sg.trace(cost, dict(model.named_parameters()), {"x": x})).splitlines()
    assert max(map(columns, lines)) <= 110
    place = lines[0].index("equation")
    equations = [line for line in lines if "∂C/∂" in line]
    assert {line.index("∂C/∂") for line in equations} == {place}
    assert len(equations) == len(sg.trace(cost, model.parameters()))


def test_the_table_says_what_is_summed():
    cost, model, _ = vae()
    table = str(sg.trace(cost, dict(model.named_parameters())))
    assert "(1/2)" in table
    assert "(2/2)" in table
    assert table.count("the sum of its 2 shares") == 3  # μ, log σ² and what both are halves of


def test_the_table_shows_the_numbers_of_tiny_arrays():
    x = sg.Tensor(np.array([[1.0, -2.0]]))
    table = str(sg.trace((x * x).sum() / 3, {"x": x}))
    assert table.splitlines()[-1].endswith("[[0.667 −1.33]]")


def test_numbers_without_room_have_a_line_of_their_own_and_the_head_has_none():
    cost, model, _ = vae(n=4)
    lines = str(sg.trace(cost, dict(model.named_parameters()))).splitlines()
    assert lines[0].endswith("rms")
    assert lines[1].endswith("0.25")
    assert lines[2] == " " * lines[0].index("equation") + "= [0.25 0.25 0.25 0.25]"


def test_long_names_leave_room_for_the_rest():
    x = sg.Tensor(np.ones((2, 2)))
    table = str(sg.trace(x.sum(), {"a very long name " * 10: x}))
    assert max(map(columns, table.splitlines())) <= 110
    assert "…" in table


# The plot.


@settings(max_examples=5)
@given(st.integers(2, 6))
def test_the_plot_is_the_norm_of_delta_of_each_layer_from_the_output_back(n_layers):
    cost, net = network(n_layers)
    trace = sg.trace(cost, dict(net.named_parameters()))
    ax = trace.plot()
    names = [text.get_text() for text in ax.get_xticklabels()]
    assert names == [str(2 * k) for k in reversed(range(n_layers))]
    deltas = dict(sg.backward_sweep(cost))
    layers = [deltas[x].astype(float) for x in deltas if x.operation is ops.affine]
    expected = [np.linalg.norm(delta) for delta in layers]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), expected, rtol=1e-6)
    assert ax.get_yscale() == "log"


def test_a_layer_whose_bias_is_added_by_itself_is_one_layer():
    W, b, x = sg.Tensor(np.ones((2, 2))), sg.Tensor(np.ones(2)), np.ones((3, 2))
    cost = ops.tanh(x @ W + b).sum()
    assert [*sg.trace(cost, {"hidden.W": W, "hidden.b": b}).delta_norms()] == ["hidden"]
