"""What classifier and regressor share: the penalties, the builders, the cost."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.models import Classifier, Regressor
from scratchgen.models.feed_forward import ACTIVATIONS, convolutional, dense, penalty


def rng(seed=0):
    return sg.generator(seed)


def weights(shape=(4, 3)):
    return rng(1).standard_normal(shape)


# The penalties


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.3), (0.2, 0.0), (0.2, 0.3)])
def test_the_equation_of_the_penalty_is_its_derivative(l1, l2):
    report = sg.check_operation(penalty, weights(), l1=l1, l2=l2)
    assert report.ok, report


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.3), (0.2, 0.0), (0.2, 0.3)])
def test_the_penalty_is_its_composition(l1, l2):
    W = sg.Tensor(weights())
    composed = l1 * ops.absolute(W).sum() + 0.5 * l2 * ops.square(W).sum()
    fused = penalty(W, l1=l1, l2=l2)
    assert fused.data == pytest.approx(composed.data, rel=1e-14)
    np.testing.assert_allclose(
        sg.gradient(fused, [W])[0], sg.gradient(composed, [W])[0], rtol=1e-14
    )


def test_the_gradient_of_l1_is_the_sign_and_zero_at_zero():
    W = sg.Tensor(np.array([[-2.0, 0.0, 0.5]]))
    (g,) = sg.gradient(penalty(W, l1=0.1, l2=0.0), [W])
    np.testing.assert_array_equal(g, [[-0.1, 0.0, 0.1]])


def test_the_gradient_of_l2_is_l2_times_the_weight():
    W = sg.Tensor(weights())
    (g,) = sg.gradient(penalty(W, l1=0.0, l2=0.25), [W])
    np.testing.assert_allclose(g, 0.25 * W.data, rtol=1e-15)


def test_weights_are_penalised_and_biases_and_scales_are_not():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, rng=rng()), nn.GroupNorm(1, 2), nn.Flatten(), nn.Linear(8, 3, rng=rng())
    )
    model = Classifier(network, l2=1.0)
    assert [p.shape for p in model.weights] == [(2, 1, 3, 3), (3, 8)]
    squares = np.concatenate([W.data.reshape(-1).astype(float) ** 2 for W in model.weights])
    rounding = len(squares) * 2.0**-23  # a sum in float32
    assert float(model.penalties().data) == pytest.approx(0.5 * squares.sum(), rel=rounding)


@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_the_cost_is_the_data_cost_and_both_penalties(kind):
    model = kind(dense((3,), 2, rng(), (4,)), l1=0.01, l2=0.1).astype(np.float64)
    x = rng(1).standard_normal((6, 3))
    y = np.arange(6) % 2 if kind is Classifier else rng(2).standard_normal((6, 2))
    W = [p.data for p in model.weights]
    expected = model.data_cost(x, y) + sum(0.01 * np.abs(w).sum() + 0.05 * (w * w).sum() for w in W)
    assert next(model.losses((x, y), rng())).data == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_the_gradient_of_the_whole_model_is_the_numerical_one(kind):
    model = kind(dense((3,), 2, rng(), (4,), "tanh"), l2=0.1).astype(np.float64)
    x = rng(1).standard_normal((5, 3))
    y = np.arange(5) % 2 if kind is Classifier else rng(2).standard_normal((5, 2))
    parameters = model.parameters()
    gradients = sg.gradient(next(model.losses((x, y), rng())), parameters)
    h = 1e-6
    for p, g in zip(parameters, gradients, strict=True):
        for index in np.ndindex(p.shape):
            here, costs = p.data[index], []
            for moved in (here + h, here - h):
                p.data[index] = moved
                costs.append(float(next(model.losses((x, y), rng())).data))
            p.data[index] = here
            assert g[index] == pytest.approx((costs[0] - costs[1]) / (2 * h), abs=1e-8)


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_a_negative_penalty_is_refused(name):
    with pytest.raises(ValueError, match=name):
        Classifier(dense((2,), 2, rng()), **{name: -0.1})


# The builders


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_dense_network_is_its_formula(activation):
    network = dense((2, 3), 2, rng(), (4,), activation).astype(np.float64)
    x = rng(1).standard_normal((5, 2, 3))
    state = network.state_dict()
    a = getattr(ops, activation)(x.reshape(5, 6) @ state["1.weight"].T + state["1.bias"])
    expected = a @ state["3.weight"].T + state["3.bias"]
    np.testing.assert_allclose(network.frozen()(x), expected, rtol=1e-12)


def test_each_layer_may_have_its_own_activation():
    network = dense((3,), 1, rng(), (5, 4), ("tanh", "relu"))
    assert [type(layer).__name__ for layer in network.layers] == [
        "Flatten", "Linear", "Tanh", "Linear", "ReLU", "Linear",
    ]  # fmt: skip


def test_without_hidden_layers_the_map_is_affine():
    assert [p.shape for p in dense((3,), 2, rng(), ()).parameters()] == [(2, 3), (2,)]


@pytest.mark.parametrize("activation", ["relux", ("relu", "tanh")])
def test_unknown_activations_are_refused_with_the_known(activation):
    with pytest.raises(ValueError, match="sigmoid, tanh, relu, leaky_relu"):
        dense((3,), 2, rng(), (4,), activation)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 8, 8), (8, 8), (64,), (784,)])
def test_a_convolutional_network_takes_images_and_rows_of_pixels(shape):
    network = convolutional(shape, 10, rng(), channels=(4, 6), hidden=8)
    x = rng(1).random((2, *shape), dtype=np.float32)
    assert network.frozen()(x).shape == (2, 10)


def test_images_that_cannot_be_halved_so_often_are_refused():
    with pytest.raises(ValueError, match="halved 2 times"):
        convolutional((1, 3, 3), 10, rng())
    with pytest.raises(ValueError, match="square number of pixels"):
        convolutional((7,), 10, rng())


def test_images_whose_channels_are_last_are_told_to_be_transposed():
    with pytest.raises(ValueError, match=r"x\.transpose\(0, 3, 1, 2\)"):
        convolutional((28, 28, 3), 2, rng())
