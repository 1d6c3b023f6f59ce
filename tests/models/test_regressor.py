"""The regressor: least squares where it is known in closed form, PyTorch, the notes' polynomial."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn, optim
from scratchgen.backend import device_of
from scratchgen.models import FeedForwardRegressor, Regressor
from scratchgen.models.feed_forward import dense
from tests import strict


def rng(seed=0):
    return sg.generator(seed)


def polynomial(n=100):
    """y = x₀² + 3 x₀ x₁ + x₁² + 5 on n points of the unit square: the notes' case."""
    x = rng(3).random((n, 2))
    return x, x[:, 0] ** 2 + 3 * x[:, 0] * x[:, 1] + x[:, 1] ** 2 + 5


@pytest.mark.rounding
def test_the_optimum_of_an_affine_map_is_least_squares():
    x = rng(1).standard_normal((80, 3))
    y = x @ np.array([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]]) + rng(2).standard_normal((80, 2))
    model = Regressor(nn.Linear(3, 2, rng=rng())).astype(np.float64)
    lbfgs = optim.LBFGS(model.parameters())
    for _ in sg.train(model, (x, y), lbfgs, epochs=60, batch_size=80, rng=rng()):
        pass
    solution, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(80)]), y, rcond=None)
    np.testing.assert_allclose(model.network.weight.data, solution[:3].T, atol=1e-6)
    np.testing.assert_allclose(model.network.bias.data, solution[3], atol=1e-6)


@pytest.mark.rounding
def test_the_optimum_with_l2_is_ridge_regression_of_centred_data():
    x, l2 = rng(1).standard_normal((80, 3)), 0.3
    y = x @ np.array([1.0, -2.0, 0.5]) + 4 + rng(2).standard_normal(80)
    model = Regressor(nn.Linear(3, 1, rng=rng()), l2=l2).astype(np.float64)
    lbfgs = optim.LBFGS(model.parameters())
    for _ in sg.train(model, (x, y), lbfgs, epochs=80, batch_size=80, rng=rng()):
        pass
    centred = x - x.mean(axis=0)
    W = np.linalg.solve(centred.T @ centred / 80 + l2 * np.eye(3), centred.T @ (y - y.mean()) / 80)
    np.testing.assert_allclose(model.network.weight.data[0], W, atol=1e-6)
    np.testing.assert_allclose(model.network.bias.data[0], y.mean() - W @ x.mean(axis=0), atol=1e-6)


def test_r_squared_is_one_for_the_truth_and_zero_for_the_mean():
    x, y = rng(1).standard_normal((50, 2)), rng(2).standard_normal(50)
    constant = Regressor(nn.Linear(2, 1, rng=rng())).astype(np.float64)
    constant.load_state_dict({"network.weight": np.zeros((1, 2)), "network.bias": [y.mean()]})
    assert constant.r_squared(x, y) == pytest.approx(0, abs=1e-12)
    assert constant.r_squared(x, np.full(50, y.mean() + 1)) == 0
    assert constant.r_squared(x, constant.predict(x)) == 1
    identity = Regressor(nn.Linear(2, 2, rng=rng())).astype(np.float64)
    identity.load_state_dict({"network.weight": np.eye(2), "network.bias": np.zeros(2)})
    assert identity.r_squared(x, x) == 1


@pytest.mark.rounding
def test_50_steps_of_l1_and_l2_are_those_of_torch():
    torch = pytest.importorskip("torch", reason="the oracle of the training: '.[peers]'")
    network = dense((4,), 2, rng(), (9,), "tanh")
    model = Regressor(network, l1=0.01, l2=0.02).astype(np.float64)
    reference = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(4, 9), torch.nn.Tanh(), torch.nn.Linear(9, 2)
    ).double()
    reference.load_state_dict({k: torch.from_numpy(v) for k, v in network.state_dict().items()})
    adam = optim.Adam(model.parameters(), lr=1e-2)
    reference_adam = torch.optim.Adam(reference.parameters(), lr=1e-2)
    x, y = rng(1).standard_normal((60, 4)), rng(2).standard_normal((60, 2))
    for _ in range(50):
        adam.step(sg.gradient(next(model.losses((x, y), rng())), adam.parameters))
        error = reference(torch.from_numpy(x)) - torch.from_numpy(y)
        loss = 0.5 * error.square().sum(dim=1).mean()
        for layer in (reference[1], reference[3]):
            loss = loss + 0.01 * layer.weight.abs().sum() + 0.01 * layer.weight.square().sum()
        reference_adam.zero_grad()
        loss.backward()
        reference_adam.step()
    for key, value in reference.state_dict().items():
        expected = value.numpy()
        distance = np.abs(network.state_dict()[key] - expected).max() / np.abs(expected).max()
        assert distance < 1e-8, key


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "lbfgs", "epochs": 300},
        {"optimizer": "adam", "lr": 1e-2, "epochs": 800, "batch_size": 20},
    ],
)
def test_the_notes_polynomial_is_fitted(settings):
    x, y = polynomial()
    fitted = FeedForwardRegressor((20,), "tanh", **settings).fit(x, y)
    assert fitted.score(x, y) > 0.99
    fresh = rng(9).random((200, 2))
    truth = fresh[:, 0] ** 2 + 3 * fresh[:, 0] * fresh[:, 1] + fresh[:, 1] ** 2 + 5
    assert fitted.score(fresh, truth) > 0.98


def test_predictions_have_the_shape_of_the_targets():
    x, y = polynomial()
    settings = {"hidden": (5,), "epochs": 2}
    assert FeedForwardRegressor(**settings).fit(x, y).predict(x).shape == (100,)
    assert FeedForwardRegressor(**settings).fit(x, y[:, None]).predict(x).shape == (100, 1)
    two = np.column_stack([y, -y])
    assert FeedForwardRegressor(**settings).fit(x, two).predict(x).shape == (100, 2)


def test_a_step_on_the_device_is_that_of_the_host_without_a_transfer(device):
    x, y = polynomial(16)
    states, before = [], strict.transfers
    for where in ("cpu", device):
        source = sg.generator(0, where)
        model = Regressor(dense((2,), 1, source, (5,)), l1=1e-3, l2=1e-2).astype(np.float64)
        (adam,) = model.default_optimizers()
        there = sg.to_device(x, where), sg.to_device(y, where)
        adam.step(sg.gradient(next(model.losses(there, source)), adam.parameters))
        states.append(model.state_dict())
        assert device_of(model.r_squared(*there)) == where
    assert strict.transfers == before
    for name, value in states[1].items():
        np.testing.assert_allclose(sg.to_host(value), states[0][name], atol=1e-9)


@pytest.mark.parametrize(
    "y", [np.zeros((6, 3)), np.zeros(6), np.zeros((6, 2), int), np.zeros((6, 2, 1))]
)
def test_targets_that_do_not_fit_are_refused(y):
    model = Regressor(dense((2,), 2, rng()))
    with pytest.raises(ValueError, match="y is 2 real numbers for each sample"):
        model.validate((np.zeros((6, 2), np.float32), y))


@pytest.mark.parametrize("y", [["a"] * 6, np.zeros((6, 1, 1))])
def test_the_estimator_refuses_what_are_no_numbers(y):
    with pytest.raises(ValueError, match=r"real numbers of shape \(n,\) or \(n, m\)"):
        FeedForwardRegressor().fit(np.zeros((6, 2)), y)


@pytest.mark.parametrize("end", [nn.Sigmoid(), nn.ReLU(), nn.Softmax()], ids=repr)
def test_a_regressor_may_end_in_what_has_the_range_of_its_targets(end):
    model = Regressor(nn.Sequential(nn.Linear(3, 2, rng=sg.generator(0)), end))
    y = np.array([[0.0, 1.0], [0.5, 0.5]], np.float32)
    model.validate((np.ones((2, 3), np.float32), y))
