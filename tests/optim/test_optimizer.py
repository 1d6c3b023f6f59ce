"""One flat buffer of parameters, what follows them, the state of a run, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import nn, optim
from scratchgen import operations as ops
from tests.optim.updates import (
    SETTINGS,
    arrays,
    assert_same_bits,
    every_optimizer,
    every_setting,
    gradients_of_a_run,
    make,
    run,
)

OPTIMIZERS = [name for name in optim.__all__ if name not in ("WeightAverage", "clip_grad_norm")]


def test_a_learning_rate_set_between_steps_holds_from_then_on():
    optimizer = optim.SGD([sg.Tensor(np.zeros(1))], lr=1)
    optimizer.step([np.ones(1)])
    optimizer.lr = 0.25
    optimizer.step([np.ones(1)])
    np.testing.assert_array_equal(optimizer.parameters[0].data, [-1.25])
    with pytest.raises(ValueError, match="lr is a number from 0"):
        optimizer.lr = -1


@every_optimizer
def test_parameters_are_views_of_one_flat_buffer_in_their_order(name, settings):
    optimizer = make(name, settings)
    first = optimizer.parameters[0].data
    buffer = first.base
    assert buffer.ndim == 1
    assert buffer.size == sum(p.data.size for p in optimizer.parameters)
    for p in optimizer.parameters:
        assert np.shares_memory(p.data, buffer)
    optimizer.step(arrays(1))
    assert optimizer.parameters[0].data is first
    np.testing.assert_array_equal(
        buffer, np.concatenate([p.data.reshape(-1) for p in optimizer.parameters])
    )


def test_gathering_keeps_the_values_and_the_tensors():
    tensors = [sg.Tensor(a) for a in arrays(0)]
    optimizer = optim.Adam(tensors)
    assert all(p is q for p, q in zip(optimizer.parameters, tensors, strict=True))
    assert_same_bits([p.data for p in tensors], arrays(0))


def test_the_arrays_that_the_parameters_came_from_are_left_alone():
    a = np.ones(3)
    optim.SGD([sg.Tensor(a)], lr=1).step([np.ones(3)])
    np.testing.assert_array_equal(a, np.ones(3))


@every_optimizer
def test_a_step_follows_parameters_that_were_replaced_and_keeps_its_state(name, settings):
    optimizer, expected = make(name, settings), make(name, settings)
    gradients = gradients_of_a_run(6)
    run(optimizer, gradients[:3])
    run(expected, gradients[:3])
    for p, q, value in zip(optimizer.parameters, expected.parameters, arrays(9), strict=True):
        p.data = value  # memory of its own
        q.data[...] = value  # the same values, in the buffer
    assert_same_bits(run(optimizer, gradients[3:]), run(expected, gradients[3:]))


@every_optimizer
def test_a_step_follows_parameters_that_were_loaded(name, settings):
    network = nn.Linear(4, 3, rng=sg.generator(0)).astype(np.float64)
    other = nn.Linear(4, 3, rng=sg.generator(1)).astype(np.float64)
    optimizer = getattr(optim, name)(network.parameters(), **settings)
    expected = getattr(optim, name)(other.parameters(), **settings)
    network.load_state_dict(other.state_dict())
    for seed in range(3):
        g = arrays(seed, shapes=[(3, 4), (3,)])
        optimizer.step(g)
        expected.step(g)
    assert_same_bits(network.state_dict().values(), other.state_dict().values())
    assert np.shares_memory(network.weight.data, optimizer.parameters[0].data)


@every_optimizer
def test_a_step_follows_parameters_that_were_cast_and_casts_its_state(name, settings):
    network = nn.Linear(4, 3, rng=sg.generator(0))
    optimizer = getattr(optim, name)(network.parameters(), **settings)
    optimizer.step(arrays(1, np.float32, [(3, 4), (3,)]))
    state, values = optimizer.state_dict(), network.state_dict()
    network.astype(np.float64)
    twin = nn.Linear(4, 3, rng=sg.generator(1)).astype(np.float64)
    twin.load_state_dict(values)
    expected = getattr(optim, name)(twin.parameters(), **settings)
    expected.load_state_dict(state)
    for seed in range(3):
        g = arrays(seed, np.float64, [(3, 4), (3,)])
        optimizer.step(g)
        expected.step(g)
    assert_same_bits(network.state_dict().values(), twin.state_dict().values())
    for value in optimizer.state_dict().values():
        assert getattr(value, "dtype", np.float64) == np.float64


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=2), min_size=1, max_size=4),
    st.integers(1, 20),
    st.sampled_from(SETTINGS),
)
def test_the_size_of_the_blocks_changes_no_bit(shapes, block, optimizer):
    name, settings = optimizer
    whole, blocks = [
        getattr(optim, name)([sg.Tensor(a) for a in arrays(0, shapes=shapes)], **settings)
        for _ in range(2)
    ]
    blocks.block = block
    gradients = [arrays(t, shapes=shapes) for t in range(1, 5)]
    assert_same_bits(run(blocks, gradients), run(whole, gradients))
    state = whole.state_dict()
    for key, value in blocks.state_dict().items():
        np.testing.assert_array_equal(value, state[key])


@every_setting
def test_parameters_larger_than_a_block_move_like_small_ones(name, settings):
    shape = (optim.Optimizer.block + 10,)
    rng = sg.generator(0)
    theta, gradients = rng.standard_normal(shape), rng.standard_normal((3, *shape))
    large = getattr(optim, name)([sg.Tensor(theta)], **settings)
    last = getattr(optim, name)([sg.Tensor(theta[-20:])], **settings)
    (x,), (y,) = run(large, [[g] for g in gradients]), run(last, [[g[-20:]] for g in gradients])
    np.testing.assert_array_equal(x[-20:], y)


@every_setting
def test_a_step_only_reads_its_gradients(name, settings):
    optimizer, g = make(name, settings), arrays(1)
    for array in g:
        array.setflags(write=False)
    run(optimizer, [g, g])
    assert_same_bits(g, arrays(1))


@every_optimizer
def test_a_step_keeps_no_hold_of_its_gradients(name, settings):
    optimizer, expected = make(name, settings), make(name, settings)
    for t in range(4):
        g = arrays(t)
        optimizer.step(g)
        for array in g:
            array[...] = np.nan
        expected.step(arrays(t))
    assert_same_bits([p.data for p in optimizer.parameters], [p.data for p in expected.parameters])


@every_optimizer
def test_the_order_of_a_gradients_memory_does_not_matter(name, settings):
    optimizer, expected = make(name, settings), make(name, settings)
    gradients = [arrays(t) for t in range(3)]
    fortran = [[g.copy(order="F") for g in gs] for gs in gradients]
    assert_same_bits(run(optimizer, fortran), run(expected, gradients))


@every_optimizer
def test_a_cost_recorded_before_a_step_refuses_its_gradient(name, settings):
    optimizer = make(name, settings)
    cost = ops.square(optimizer.parameters[0]).sum()
    optimizer.step(arrays(1))
    with pytest.raises(ValueError, match="was changed after its use: record anew"):
        sg.gradient(cost, optimizer.parameters[:1])


@every_optimizer
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda g: g[:-1], "got 3 gradients for 4 parameters"),
        (lambda g: [*g, np.ones(1)], "got 5 gradients for 4 parameters"),
        (
            lambda g: [*g[:-1], np.ones(6)],
            r"gradient 3 has shape \(6,\), its parameter \(2, 1, 3\)",
        ),
        (lambda g: [g[0].T, *g[1:]], r"gradient 0 has shape \(4, 3\), its parameter \(3, 4\)"),
        (lambda g: [g[0], np.ones(()), *g[2:]], r"gradient 1 has shape \(\), its parameter \(5,\)"),
    ],
    ids=["too few", "too many", "flat", "transposed", "a number"],
)
def test_gradients_that_do_not_fit_are_refused_and_nothing_moves(name, settings, spoil, message):
    optimizer = make(name, settings)
    with pytest.raises(ValueError, match=message):
        optimizer.step(spoil(arrays(1)))
    assert optimizer.state_dict()["steps"] == 0
    assert_same_bits([p.data for p in optimizer.parameters], arrays(0))


@every_setting
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_taken_up_from_its_state_goes_on_bit_for_bit(name, settings, dtype):
    gradients = gradients_of_a_run(20, dtype)
    whole = make(name, settings, dtype)
    run(whole, gradients[:12])
    state = whole.state_dict()
    resumed = make(name, settings, dtype)
    for p, q in zip(resumed.parameters, whole.parameters, strict=True):
        p.data[...] = q.data
    resumed.load_state_dict(state)
    assert_same_bits(run(resumed, gradients[12:]), run(whole, gradients[12:]))


def test_the_state_holds_the_learning_rate_and_the_count_of_steps():
    optimizer = make("Adam", {})
    run(optimizer, gradients_of_a_run(3))
    optimizer.lr = 0.5
    other = make("Adam", {})
    other.load_state_dict(optimizer.state_dict())
    assert other.lr == 0.5
    assert other.state_dict()["steps"] == 3


@every_optimizer
def test_a_state_is_a_copy(name, settings):
    optimizer, other = make(name, settings), make(name, settings)
    optimizer.step(arrays(1))
    state = optimizer.state_dict()
    other.load_state_dict(state)
    kept = {k: np.copy(v) for k, v in state.items()}
    optimizer.step(arrays(2))
    other.step(arrays(2))
    for key, value in state.items():
        np.testing.assert_array_equal(value, kept[key])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("M"), r"holds \['M', 'V', 'lr', 'steps'\], got \['V', 'lr', 'steps'\]"),
        (lambda s: s.update(u=1), "the state of Adam holds"),
        (lambda s: s.update(V=np.ones(3)), r"V has shape \(24,\), got \(3,\)"),
        (lambda s: s.update(lr=-1), "lr is a number from 0"),
    ],
    ids=["missing", "unknown", "shape", "lr"],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil, message):
    optimizer, other = make("Adam", {}), make("Adam", {})
    run(optimizer, gradients_of_a_run(3))
    state = optimizer.state_dict()
    spoil(state)
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(state)
    assert_same_bits(run(other, gradients_of_a_run(3)), [p.data for p in optimizer.parameters])


T = sg.Tensor


@pytest.mark.parametrize("name", ["SGD", "AdaGrad", "RMSprop", "Adam", "AdamW"])
@pytest.mark.parametrize("setting", ["lr", "weight_decay"])
@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf])
def test_a_rate_is_a_finite_number_from_zero(name, setting, value):
    with pytest.raises(ValueError, match=f"{setting} is a number from 0 to below inf, got {value}"):
        make(name, {"lr": 0.1} | {setting: value})


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("parameters", [[], [np.ones(2)], ["weight"]], ids=str)
def test_what_is_no_list_of_tensors_is_refused(name, parameters):
    with pytest.raises(ValueError, match="needs a list of at least one Tensor"):
        getattr(optim, name)(parameters, lr=0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_that_comes_twice_is_refused(name):
    p = T(np.ones(2))
    with pytest.raises(ValueError, match="a parameter comes twice"):
        getattr(optim, name)([p, T(np.ones(1)), p], lr=0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_mixed_dtypes_are_refused(name):
    with pytest.raises(ValueError, match="share a dtype"):
        getattr(optim, name)([T(np.ones(2)), T(np.ones(2, np.float32))], lr=0.1)


def test_what_is_refused_has_moved_no_parameter():
    a, b = np.ones(2), np.ones(2, np.float32)
    tensors = [T(a), T(b)]
    with pytest.raises(ValueError, match="share a dtype"):
        optim.SGD(tensors, lr=1)
    assert tensors[0].data is a
    assert tensors[1].data is b


@every_optimizer
def test_a_state_moves_between_host_and_device(device, name, settings):
    host = make(name, settings)
    host.step(arrays(1))
    tensors = [T(sg.to_device(p.data, device)) for p in host.parameters]
    other, back = getattr(optim, name)(tensors, **settings), make(name, settings)
    other.load_state_dict(host.state_dict())
    other.step([sg.to_device(a, device) for a in arrays(2)])
    host.step(arrays(2))
    back.load_state_dict(other.state_dict())
    for p, q in zip(tensors, host.parameters, strict=True):
        np.testing.assert_allclose(sg.to_host(p.data), q.data, rtol=1e-14)
    for key, value in back.state_dict().items():
        np.testing.assert_allclose(value, host.state_dict()[key], rtol=1e-14)
