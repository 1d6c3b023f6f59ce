"""Bounds of what a network can give: they hold, and are found along every road to a sigmoid."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.nn import ranges
from tests import strict


def logits(seed=0):
    """A tensor that may have any value."""
    x = sg.generator(seed).standard_normal((2, 6))
    return ops.affine(sg.Tensor(x), sg.Tensor(np.eye(6)))


ROADS = {
    "sigmoid": (lambda z: ops.sigmoid(z), (0, 1)),
    "by hand": (lambda z: 1 / (1 + np.exp(-z)), (0, 1)),
    "by tanh": (lambda z: 0.5 * (ops.tanh(z / 2) + 1), (0, 1)),
    "softmax": (lambda z: ops.softmax(z), (0, 1)),
    "softmax by hand": (lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), (0, math.inf)),
    "exp of log softmax": (lambda z: np.exp(ops.log_softmax(z)), (0, 1)),
    "log softmax": (lambda z: ops.log_softmax(z), (-math.inf, 0)),
    "log sigmoid": (lambda z: np.log(ops.sigmoid(z)), (-math.inf, 0)),
    "1 − sigmoid": (lambda z: 1 - ops.sigmoid(z), (0, 1)),
    "tanh": (lambda z: ops.tanh(z), (-1, 1)),
    "moved": (lambda z: ops.tanh(z).reshape(3, 4).T[1:], (-1, 1)),
    "beside": (lambda z: ops.concatenate([ops.sigmoid(z), ops.tanh(z)]), (-1, 1)),
    "mean": (lambda z: ops.sigmoid(z).mean(axis=0), (0, 1)),
    "relu": (lambda z: ops.relu(z), (0, math.inf)),
    "−softplus": (lambda z: -ops.softplus(z), (-math.inf, 0)),
    "elu": (lambda z: ops.elu(z), (-1, math.inf)),
    "square": (lambda z: z**2, (0, math.inf)),
    "clip": (lambda z: ops.clip(z, lower=0, upper=1), (0, 1)),
    "where": (lambda z: ops.where(z > 0, ops.sigmoid(z), 0.5), (0, 1)),
}
FREE = {
    "affine": lambda z: z,
    "leaky relu": lambda z: ops.leaky_relu(z),
    "residual": lambda z: z + ops.sigmoid(z),
    "gate": lambda z: z * ops.sigmoid(z),
    "difference": lambda z: ops.softplus(z) - ops.softplus(-z),
    "log odds": lambda z: np.log(ops.sigmoid(z) / (1 - ops.sigmoid(z))),
    "cube": lambda z: z**3,
    "soft cap": lambda z: 30 * ops.tanh(z / 30),
    "wide clip": lambda z: ops.clip(z, lower=-20, upper=20),
    "a part": lambda z: ops.concatenate([z, ops.sigmoid(z)]),
    "quotient": lambda z: ops.tanh(z) / ops.tanh(z),
}


@pytest.mark.parametrize("road", ROADS)
def test_what_is_confined_is_found_with_its_bounds(road):
    make, expected = ROADS[road]
    assert ranges.confined(make(logits())) == expected


@pytest.mark.parametrize("road", FREE)
def test_what_may_be_of_either_sign_is_not_confined(road):
    assert ranges.confined(FREE[road](logits())) is None


@given(st.sampled_from([*ROADS, *FREE]), st.integers(0, 1000))
def test_no_value_is_out_of_its_bounds(road, seed):
    make = FREE[road] if road in FREE else ROADS[road][0]
    out = make(10 * logits(seed))
    low, high = ranges.bounds(out)
    assert low.shape == high.shape == out.shape
    assert (low <= out.data + 1e-12).all()
    assert (out.data - 1e-12 <= high).all()


def test_the_last_operation_is_named_through_what_only_moves():
    z = logits()
    assert ranges.last_operation(ops.sigmoid(z).reshape(12)[2:].T) == "sigmoid"
    assert ranges.last_operation(ops.concatenate([ops.tanh(z), ops.tanh(z)])) == "tanh"
    assert ranges.last_operation(ops.concatenate([z, ops.tanh(z)])) == "concatenate"
    assert ranges.last_operation(sg.Tensor(np.ones(3))) == "nothing"


def test_log_variances_that_cannot_be_small_are_wide_and_constant_ones_are_not():
    z = logits()
    assert ranges.wide(ops.softplus(z)) == 0
    assert ranges.wide(-ops.softplus(z)) is None
    assert ranges.wide(ops.multiply(z, 0.0)) is None


def test_the_layers_of_a_network_are_looked_through():
    rng = sg.generator(0)
    network = nn.Sequential(
        nn.Linear(4, 6, rng=rng), nn.Sequential(nn.Sigmoid(), nn.Reshape(2, 3)), nn.Flatten()
    )
    assert ranges.confined(network(sg.Tensor(np.ones((1, 4))))) == (0, 1)


def test_bounds_are_found_on_a_device(monkeypatch):
    strict.install(monkeypatch)
    rng = sg.generator(0, "cuda")
    z = nn.Linear(4, 6, rng=rng)(sg.Tensor(rng.random((2, 4), dtype=np.float32)))
    for road, (make, expected) in ROADS.items():
        if road != "where":
            assert ranges.confined(make(z)) == expected


def test_a_long_chain_does_not_overflow_the_stack():
    z = ops.tanh(logits())
    for _ in range(5000):
        z = z + 0.0
    assert ranges.confined(z) == (-1, 1)


def test_an_operation_of_ones_own_may_reach_any_number_whatever_it_is_called():
    @sg.differentiable
    def softmax(x):
        return 3 * x, (lambda delta: 3 * delta,)

    assert ranges.confined(softmax(logits())) is None
