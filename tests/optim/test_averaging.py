"""The average of weights is the weighted mean of all steps, and leaves the training alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import nn
from scratchgen.optim.averaging import WeightAverage


def network(seed=0):
    layers = (
        nn.Linear(3, 4, rng=sg.generator(seed)),
        nn.Tanh(),
        nn.Linear(4, 2, rng=sg.generator(1)),
    )
    return nn.Sequential(*layers).astype(np.float64)


def walk(model, average, steps):
    """Random steps of all weights; returns the values of the first parameter along the way."""
    rng, path = np.random.default_rng(0), [model.parameters()[0].data.copy()]
    for _ in range(steps):
        for p in model.parameters():
            p.data = p.data + rng.standard_normal(p.shape)
        average.update()
        path.append(model.parameters()[0].data.copy())
    return path


@given(st.floats(0, 0.99), st.integers(0, 20))
def test_it_is_the_weighted_mean_of_all_steps_the_first_included(decay, steps):
    model = network()
    average = WeightAverage(model.parameters(), decay)
    path = walk(model, average, steps)
    weights = decay ** np.arange(steps, -1.0, -1.0)
    expected = np.tensordot(weights / weights.sum(), np.stack(path), axes=1)
    np.testing.assert_allclose(average.of(model).parameters()[0].data, expected, atol=1e-12)


def test_without_decay_it_is_the_last_step():
    model = network()
    average = WeightAverage(model.parameters(), 0.0)
    walk(model, average, 3)
    for p, q in zip(model.parameters(), average.of(model).parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_the_averaged_model_is_a_copy_and_the_model_stays_as_it_is():
    model = network()
    average = WeightAverage(model.parameters(), 0.9)
    walk(model, average, 3)
    before = model.state_dict()
    averaged = average.of(model)
    averaged.parameters()[0].data[...] = 0
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert (average.of(model).parameters()[0].data != 0).any()


def test_its_state_goes_on_to_the_same_bits():
    one, other = network(), network()
    first, second = (WeightAverage(m.parameters(), 0.9) for m in (one, other))
    walk(one, first, 5)
    other.load_state_dict(one.state_dict())
    second.load_state_dict(first.state_dict())
    for model, average in ((one, first), (other, second)):
        walk(model, average, 5)
    for name, value in first.state_dict().items():
        np.testing.assert_array_equal(value, second.state_dict()[name])


def test_a_training_keeps_its_average_on_its_device(on_device):
    p = sg.Tensor(on_device(np.ones(3, np.float32)))
    average = WeightAverage([p], 0.5)
    p.data = p.data * 3
    average.update()
    # (½ · 1 + 3)/(½ + 1), weights that are exact in binary but for the last division
    np.testing.assert_allclose(sg.to_host(average.sums[0] / average.weight), 3.5 / 1.5, rtol=1e-6)


@pytest.mark.parametrize("decay", [-0.1, 1.0, np.nan])
def test_a_share_outside_0_and_1_is_refused(decay):
    with pytest.raises(ValueError, match="0 ≤ decay < 1"):
        WeightAverage(network().parameters(), decay)


def test_no_parameters_and_those_of_another_model_are_refused():
    with pytest.raises(ValueError, match="at least one parameter"):
        WeightAverage([], 0.9)
    with pytest.raises(ValueError, match="this model does not have"):
        WeightAverage(network().parameters()).of(network(2))


def test_a_state_of_other_shapes_is_refused():
    average = WeightAverage(network().parameters())
    with pytest.raises(ValueError, match="the state of the average has the shapes"):
        average.load_state_dict({"weight": 1.0})
