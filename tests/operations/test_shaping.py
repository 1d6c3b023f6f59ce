"""Sums, maxima, keys: the axes, the empty, the equal and the infinite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.backend import to_device
from scratchgen.gradcheck.strategies import arrays, seeds, shapes
from tests import strict
from tests.rules import random_delta, value_and_shares
from tests.strategies import keys, reductions


@given(example=reductions(), seed=seeds)
def test_the_mean_is_the_sum_divided_by_the_number(example, seed):
    (x,), settings = example
    x = sg.Tensor(x)
    total, mean = ops.sum(x, **settings), ops.mean(x, **settings)
    number = np.sum(np.ones(x.shape), **settings)
    delta = random_delta(total, seed)
    np.testing.assert_allclose(mean.data, total.data / number, rtol=1e-12)
    (of_mean,), (of_sum,) = (
        sg.gradient(mean, [x], delta=delta),
        sg.gradient(total, [x], delta=delta / number),
    )
    np.testing.assert_allclose(of_mean, of_sum, rtol=1e-12)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "logsumexp"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 0), 0), ((0, 3), 1), ((0, 2, 3), (1, 2))])
def test_no_samples_have_a_reduction_and_a_gradient_of_no_entries(name, shape, axis):
    value, (share,) = value_and_shares(
        getattr(ops, name), (np.zeros(shape),), {"axis": axis}, np.zeros(0)
    )
    assert value.shape == (0,)
    assert share.shape == shape


@given(example=reductions(), seed=seeds)
def test_logsumexp_is_the_logarithm_of_the_sum_of_exponentials(example, seed):
    (x,), settings = example
    x = sg.Tensor(x)
    fused, composed = ops.logsumexp(x, **settings), ops.log(ops.sum(ops.exp(x), **settings))
    delta = random_delta(fused, seed)
    np.testing.assert_allclose(fused.data, composed.data, rtol=1e-10, atol=1e-10)
    (of_fused,), (of_composed,) = (sg.gradient(s, [x], delta=delta) for s in (fused, composed))
    np.testing.assert_allclose(of_fused, of_composed, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shift", [-1e4, -800.0, 800.0, 1e4])
def test_logsumexp_moves_with_a_shift_of_any_size(shift):
    x = np.array([0.5, -1.0, 2.0])
    value, (share,) = value_and_shares(ops.logsumexp, (x + shift,), {}, np.array(1.0))
    np.testing.assert_allclose(value, np.log(np.exp(x).sum()) + shift, rtol=1e-12)
    np.testing.assert_allclose(share, np.exp(x) / np.exp(x).sum(), rtol=1e-10)


def test_minus_infinity_adds_nothing_to_logsumexp_and_receives_nothing():
    x = np.array([[1.0, -np.inf, 2.0], [-np.inf, -np.inf, 0.0]])
    value, (share,) = value_and_shares(ops.logsumexp, (x,), {"axis": 1}, np.ones(2))
    np.testing.assert_allclose(value, [np.log(np.e + np.e**2), 0.0])
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert share[0, 1] == share[1, 0] == share[1, 1] == 0


def test_of_nothing_there_is_neither_a_largest_nor_a_logsumexp():
    for reduce in (ops.max, ops.min, ops.logsumexp):
        with pytest.raises(ValueError, match="zero-size"):
            reduce(sg.Tensor(np.zeros((2, 0))), axis=1)


def test_the_logsumexp_of_minus_infinity_alone_is_minus_infinity_and_passes_nothing_on():
    assert ops.logsumexp(np.full(3, -np.inf)) == -np.inf
    x = sg.Tensor(np.array([[-np.inf, -np.inf], [0.0, 0.0]]))
    (share,) = sg.gradient(ops.logsumexp(x, axis=1).sum(), [x])
    np.testing.assert_array_equal(share, [[0, 0], [0.5, 0.5]])


@pytest.mark.parametrize(("name", "in_torch"), [("max", "amax"), ("min", "amin")])
@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1)])
def test_several_largest_entries_share_delta_in_equal_parts_as_in_pytorch(name, in_torch, axis):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install torch")
    x = np.array([[1.0, 2.0, 2.0], [2.0, 1.0, 1.0]])
    theirs = torch.tensor(x, requires_grad=True)
    expected = getattr(torch, in_torch)(theirs, axis)
    delta = random_delta(expected, 3)
    value, (share,) = value_and_shares(getattr(ops, name), (x,), {"axis": axis}, delta)
    (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(delta))
    np.testing.assert_array_equal(value, expected.detach().numpy())
    np.testing.assert_allclose(share, gradient.numpy(), rtol=1e-14)


@st.composite
def arrays_and_keys(draw):
    x = draw(arrays(shapes(min_dims=1, min_side=1)))
    return x, draw(keys(x.shape))


@given(example=arrays_and_keys(), seed=seeds)
def test_a_key_puts_back_what_it_took_and_adds_it_up_where_named_again(example, seed):
    x, key = example
    value, (share,) = value_and_shares(
        ops.getitem, (x,), {"key": key}, delta := random_delta(np.asarray(x[key]), seed)
    )
    np.testing.assert_array_equal(value, x[key])
    expected = np.zeros_like(x)
    places = np.arange(x.size).reshape(x.shape)[key]
    for place, part in zip(np.ravel(places), np.ravel(delta), strict=True):
        expected.flat[place] += part
    np.testing.assert_allclose(share, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "key",
    [
        1,
        -1,
        np.int64(1),
        (1, -2),
        slice(1, None),
        slice(None, None, -2),
        ...,
        None,
        (..., 0),
        (None, 1, ..., None),
        [0, 0, 1],
        (slice(None), [0, 0, 2]),
        np.array([[0, 1], [1, 1]]),
        (np.array([0, 0, 1]), np.array([2, 2, 0])),
        np.arange(6).reshape(2, 3) % 2 == 0,
        (),
    ],
    ids=repr,
)
def test_every_kind_of_key_picks_what_numpy_picks(key):
    x = sg.Tensor(np.arange(6.0).reshape(2, 3))
    picked = x[key]
    np.testing.assert_array_equal(picked.data, x.data[key])
    (share,) = sg.gradient(picked.sum(), [x])
    counts = np.zeros((2, 3))
    np.add.at(counts, key, 1)
    np.testing.assert_array_equal(share, counts)


def test_a_repeated_key_on_a_device_adds_up_too(monkeypatch):
    strict.install(monkeypatch)
    x = sg.Tensor(to_device(np.arange(3.0), "cuda"))
    places = to_device(np.array([0, 2, 0, 0]), "cuda")
    (share,) = sg.gradient(x[places].sum(), [x])
    assert sg.to_host(share).tolist() == [3, 0, 1]


@given(x=arrays(shapes(min_dims=2)), data=st.data())
def test_reshaping_and_transposing_there_and_back_passes_delta_as_it_is(x, data):
    order = data.draw(st.permutations(range(x.ndim)))
    x, delta = sg.Tensor(x), random_delta(x, 0)
    there = ops.transpose(ops.reshape(x, (x.data.size,)).reshape(*x.shape), axes=order)
    back = there.transpose(*np.argsort(order))
    np.testing.assert_array_equal(back.data, x.data)
    np.testing.assert_array_equal(sg.gradient(back, [x], delta=delta)[0], delta)


def test_the_methods_and_properties_of_a_tensor_are_these_rules():
    x = sg.Tensor(np.arange(6.0).reshape(2, 3))
    for ours, expected in [
        (x.sum(), x.data.sum()),
        (x.sum(0), x.data.sum(0)),
        (x.sum(axis=1, keepdims=True), x.data.sum(axis=1, keepdims=True)),
        (x.mean(axis=(0, 1)), x.data.mean()),
        (x.reshape(3, 2), x.data.reshape(3, 2)),
        (x.reshape((3, 2)), x.data.reshape(3, 2)),
        (x.reshape(-1), x.data.reshape(-1)),
        (x.transpose(), x.data.T),
        (x.transpose(1, 0), x.data.T),
        (x.T, x.data.T),
    ]:
        assert isinstance(ours, sg.Tensor)
        np.testing.assert_array_equal(ours.data, expected)


@given(seed=seeds)
def test_the_parts_of_a_concatenation_receive_their_parts_of_delta(seed):
    rng = np.random.default_rng(seed)
    x, y = sg.Tensor(rng.random((2, 3))), sg.Tensor(rng.random((2, 1)))
    joined = ops.concatenate([x, y, x], axis=1)
    delta = random_delta(joined, seed)
    of_x, of_y = sg.gradient(joined, [x, y], delta=delta)
    np.testing.assert_allclose(of_x, delta[:, :3] + delta[:, 4:], rtol=1e-12)
    np.testing.assert_array_equal(of_y, delta[:, 3:4])


def test_take_stack_and_pad_of_a_tensor_are_numpys_functions_of_these_names():
    x = sg.Tensor(np.arange(6.0).reshape(2, 3))
    for ours, expected in [
        (np.take(x, [0, 2, 2], axis=1), x.data[:, [0, 2, 2]]),
        (np.take(x, np.array([[5, -1]])), np.array([[5.0, 5.0]])),
        (np.take(x, -1, 0), x.data[-1]),
        (np.stack([x, x, x.data], axis=-1), np.stack([x.data] * 3, axis=-1)),
        (np.pad(x, 1), np.pad(x.data, 1)),
        (np.pad(x, (1, 2)), np.pad(x.data, (1, 2))),
        (np.pad(x, ((0, 1), (2, 0))), np.pad(x.data, ((0, 1), (2, 0)))),
        (ops.pad(x, 1, -np.inf), np.pad(x.data, 1, constant_values=-np.inf)),
    ]:
        assert isinstance(ours, sg.Tensor)
        np.testing.assert_array_equal(ours.data, expected)
        (share,) = sg.gradient(ours, [x], delta=np.ones(ours.shape))
        assert share.shape == x.shape


@given(x=arrays((3, 4)), seed=seeds)
def test_what_is_taken_several_times_receives_the_sum(x, seed):
    indices = np.array([0, 0, -1, 0])
    delta = random_delta(np.ones((3, 4)), seed)
    _, (share,) = value_and_shares(ops.take, (x, indices), {"axis": 1}, delta)
    expected = np.zeros((3, 4))
    expected[:, 0], expected[:, 3] = delta[:, [0, 1, 3]].sum(axis=1), delta[:, 2]
    np.testing.assert_allclose(share, expected, rtol=1e-12, atol=1e-14)


@given(x=arrays((3, 4)), seed=seeds)
def test_take_along_an_axis_is_indexing_by_integers(x, seed):
    x, indices = sg.Tensor(x), np.random.default_rng(seed).integers(-4, 4, (2, 3))
    taken, indexed = ops.take(x, indices, axis=1), x[:, indices]
    np.testing.assert_array_equal(taken.data, indexed.data)
    delta = random_delta(taken, seed)
    (share,), (expected,) = (sg.gradient(z, [x], delta=delta) for z in (taken, indexed))
    np.testing.assert_allclose(share, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(IndexError):
        ops.take(sg.Tensor(np.ones((3, 2))), np.array([0, index]), axis=0)


def test_arrays_of_different_shapes_are_not_stacked():
    with pytest.raises(ValueError, match="same shape"):
        ops.stack([sg.Tensor(np.ones(2)), np.ones(3)])


def test_a_stack_is_a_concatenation_along_a_new_axis():
    x, y = sg.Tensor(np.arange(3.0)), sg.Tensor(np.ones(3))
    stacked = ops.stack([x, y])
    joined = ops.concatenate([x.reshape(1, 3), y.reshape(1, 3)])
    np.testing.assert_array_equal(stacked.data, joined.data)
    delta = random_delta(stacked, 0)
    for ours, theirs in zip(
        sg.gradient(stacked, [x, y], delta), sg.gradient(joined, [x, y], delta), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_the_margin_passes_no_delta_on():
    x = sg.Tensor(np.ones((2, 2)))
    delta = np.arange(20.0).reshape(4, 5)
    (share,) = sg.gradient(ops.pad(x, ((1, 1), (2, 1)), 7.0), [x], delta=delta)
    np.testing.assert_array_equal(share, delta[1:3, 2:4])


@pytest.mark.parametrize("width", [-1, 0.5, (1, 2, 3)])
def test_a_margin_of_no_width_is_refused(width):
    with pytest.raises((ValueError, TypeError)):
        ops.pad(sg.Tensor(np.ones((2, 2))), width)


def test_a_margin_holds_a_number():
    with pytest.raises(TypeError, match="pad fills the margin with a number, got 'reflect'"):
        ops.pad(sg.Tensor(np.ones(2)), 1, "reflect")
