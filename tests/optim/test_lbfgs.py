"""L-BFGS: a step is one iteration of torch's without a line search; SciPy's, with one."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen import optim
from scratchgen.backend import device_of
from scratchgen.models import Regressor
from scratchgen.models.feed_forward import dense


@pytest.fixture
def torch():
    return pytest.importorskip(
        "torch", reason="PyTorch is the oracle of every update: pip install '.[peers]'"
    )


CURVATURES = np.linspace(0.5, 20, 8)


def rosenbrock(theta):
    """(1 − x)² + 100 (y − x²)²: its minimum is 0, at (1, 1), along a curved valley."""
    x, y = theta[0], theta[1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def quadratic(theta):
    """½ Σ λ (θ − 1)², with curvatures λ from 0.5 to 20."""
    return (theta - 1) ** 2 @ (0.5 * CURVATURES)


PROBLEMS = {
    "Rosenbrock": (rosenbrock, [-1.2, 1.0], {"lr": 0.2}),
    "Rosenbrock, a short memory": (rosenbrock, [-1.2, 1.0], {"lr": 0.2, "history_size": 2}),
    "quadratic": (quadratic, np.zeros(8), {}),
    "quadratic, a short memory": (quadratic, np.zeros(8), {"history_size": 3}),
    "quadratic, half steps": (quadratic, np.zeros(8), {"lr": 0.5}),
}
every_problem = pytest.mark.parametrize(
    ("cost", "start", "settings"), PROBLEMS.values(), ids=PROBLEMS.keys()
)


def path(cost, start, settings, steps):
    """θ after each step, and the optimizer."""
    theta = sg.Tensor(np.array(start, dtype=np.float64))
    optimizer = optim.LBFGS([theta], **settings)
    visited = []
    for _ in range(steps):
        optimizer.step(sg.gradient(cost(theta), [theta]))
        visited.append(theta.data.copy())
    return np.array(visited), optimizer


def path_of_torch(torch, cost, start, settings, steps):
    theta = torch.nn.Parameter(torch.tensor(np.array(start, dtype=np.float64)))
    # Tolerances at which no step is left out.
    reference = torch.optim.LBFGS(
        [theta], max_iter=1, line_search_fn=None, tolerance_grad=0, tolerance_change=-1e300,
        **settings,
    )  # fmt: skip
    value = rosenbrock if cost is rosenbrock else torch_quadratic(torch)

    def closure():
        reference.zero_grad()
        c = value(theta)
        c.backward()
        return c

    visited = []
    for _ in range(steps):
        reference.step(closure)
        visited.append(theta.detach().numpy().copy())
    return np.array(visited)


def torch_quadratic(torch):
    return lambda theta: (theta - 1) ** 2 @ torch.tensor(0.5 * CURVATURES)


# The updates


@pytest.mark.rounding
@every_problem
def test_a_step_is_one_iteration_of_torch(torch, cost, start, settings):
    ours, _ = path(cost, start, settings, steps=25)
    theirs = path_of_torch(torch, cost, start, settings, steps=25)
    # What rounding there is in H, steps along the valley of Rosenbrock multiply.
    assert np.abs(ours - theirs).max() < 1e-10 * np.abs(theirs).max()


@pytest.mark.rounding
def test_a_quadratic_of_8_curvatures_is_solved_in_30_steps_as_gradient_descent_is_not():
    visited, _ = path(quadratic, np.zeros(8), {}, steps=30)
    np.testing.assert_allclose(visited[-1], np.ones(8), atol=1e-10)
    theta = sg.Tensor(np.zeros(8))
    descent = optim.SGD([theta], lr=1 / CURVATURES.max())
    for _ in range(30):
        descent.step(sg.gradient(quadratic(theta), [theta]))
    assert np.abs(theta.data - 1).max() > 0.1


def test_the_first_step_has_no_length_beyond_the_learning_rate():
    for size in [1e-3, 1.0, 1e6]:
        g = size * np.array([3.0, -1.0])
        theta = sg.Tensor(np.zeros(2))
        optim.LBFGS([theta], lr=0.5).step([g])
        np.testing.assert_allclose(theta.data, -0.5 * g * min(1, 1 / np.abs(g).sum()), rtol=1e-15)


def test_pairs_without_curvature_are_left_out():
    # Gradients that do not change: y = 0, so that every step after the first is −η g.
    g = np.array([0.3, -0.2])
    theta = sg.Tensor(np.zeros(2))
    optimizer = optim.LBFGS([theta], lr=0.5)
    for steps in range(1, 6):
        optimizer.step([g])
        np.testing.assert_allclose(theta.data, -0.5 * steps * g, rtol=1e-14)
    assert optimizer.pairs == []


def test_a_gradient_of_zero_moves_nothing():
    theta = sg.Tensor(np.ones(3))
    optimizer = optim.LBFGS([theta])
    for _ in range(3):
        optimizer.step([np.zeros(3)])
    np.testing.assert_array_equal(theta.data, np.ones(3))


def test_no_more_pairs_are_kept_than_history_size():
    for size in [1, 3]:
        _, optimizer = path(quadratic, np.zeros(8), {"history_size": size}, steps=8)
        assert len(optimizer.pairs) == size


def test_parameters_apart_move_as_they_do_in_one_array():
    together, _ = path(rosenbrock, [-1.2, 1.0], {"lr": 0.2}, steps=20)
    x, y = sg.Tensor(np.array(-1.2)), sg.Tensor(np.array([[1.0]]))
    optimizer = optim.LBFGS([x, y], lr=0.2)
    for expected in together:
        cost = (1 - x) ** 2 + 100 * (y.sum() - x**2) ** 2
        optimizer.step(sg.gradient(cost, [x, y]))
        np.testing.assert_array_equal([float(x.data), float(y.data[0, 0])], expected)


@pytest.mark.rounding
def test_float32_stays_float32_and_finds_the_minimum():
    theta = sg.Tensor(np.zeros(8, np.float32))
    optimizer = optim.LBFGS([theta])
    for _ in range(30):
        cost = ops.square(theta - np.float32(1)) @ (0.5 * CURVATURES).astype(np.float32)
        optimizer.step(sg.gradient(cost, [theta]))
    assert theta.dtype == np.float32
    np.testing.assert_allclose(theta.data, np.ones(8), atol=1e-5)


# Gradients and the buffer


def test_a_step_only_reads_its_gradients_and_keeps_no_hold_of_them():
    theta, twin = sg.Tensor(np.zeros(8)), sg.Tensor(np.zeros(8))
    optimizer, expected = optim.LBFGS([theta]), optim.LBFGS([twin])
    for _ in range(6):
        (g,) = sg.gradient(quadratic(theta), [theta])
        expected.step([g.copy()])
        g.setflags(write=False)
        optimizer.step([g])
        g.setflags(write=True)
        g[...] = np.nan
        np.testing.assert_array_equal(theta.data, twin.data)


def test_a_step_follows_parameters_that_were_replaced():
    theta = sg.Tensor(np.zeros(8))
    optimizer = optim.LBFGS([theta])
    visited, _ = path(quadratic, np.zeros(8), {}, steps=8)
    for k, expected in enumerate(visited):
        optimizer.step(sg.gradient(quadratic(theta), [theta]))
        np.testing.assert_array_equal(theta.data, expected)
        if k == 4:
            theta.data = theta.data.copy()  # memory of its own


def test_a_run_goes_on_after_a_cast():
    theta = sg.Tensor(np.zeros(8, np.float32))
    optimizer = optim.LBFGS([theta])
    for k in range(40):
        optimizer.step([(CURVATURES * (theta.data - 1)).astype(theta.dtype)])
        if k == 4:
            theta.data = theta.data.astype(np.float64)
            theta.changed()
    assert theta.dtype == np.float64
    np.testing.assert_allclose(theta.data, np.ones(8), atol=1e-9)


@pytest.mark.parametrize("gradients", [[], [np.ones(8), np.ones(8)], [np.ones((8, 1))]])
def test_gradients_that_do_not_fit_are_refused_and_nothing_moves(gradients):
    visited, optimizer = path(quadratic, np.zeros(8), {}, steps=3)
    with pytest.raises(ValueError, match="gradient"):
        optimizer.step(gradients)
    np.testing.assert_array_equal(optimizer.parameters[0].data, visited[-1])
    assert optimizer.state_dict()["steps"] == 3


# The state


@pytest.mark.parametrize("done", [0, 1, 2, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_taken_up_from_its_state_goes_on_bit_for_bit(dtype, done):
    def step(optimizer):
        (theta,) = optimizer.parameters
        optimizer.step([(CURVATURES * (theta.data - 1)).astype(dtype)])

    whole = optim.LBFGS([sg.Tensor(np.zeros(8, dtype))], history_size=4)
    for _ in range(done):
        step(whole)
    resumed = optim.LBFGS([sg.Tensor(whole.parameters[0].data.copy())], history_size=4)
    resumed.load_state_dict(whole.state_dict())
    for _ in range(6):
        step(whole)
        step(resumed)
        np.testing.assert_array_equal(
            resumed.parameters[0].data, whole.parameters[0].data, strict=True
        )


def test_a_state_is_a_copy():
    _, optimizer = path(quadratic, np.zeros(8), {}, steps=5)
    state = optimizer.state_dict()
    kept = {k: np.copy(v) for k, v in state.items()}
    optimizer.step([np.ones(8)])
    for key, value in state.items():
        np.testing.assert_array_equal(value, kept[key])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.pop("s"),
        lambda s: s.pop("previous_g"),
        lambda s: s.update(u=np.ones(8)),
        lambda s: s.update(y=s["y"][:-1]),
        lambda s: s.update(s=s["s"][:, :3], y=s["y"][:, :3]),
        lambda s: s.update(previous_step=np.ones(3)),
    ],
    ids=["no s", "no g", "unknown", "fewer y", "narrow rows", "a narrow step"],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil):
    visited, optimizer = path(quadratic, np.zeros(8), {}, steps=5)
    state = optimizer.state_dict()
    spoil(state)
    other = optim.LBFGS([sg.Tensor(np.zeros(8))])
    with pytest.raises(ValueError):  # noqa: PT011, which of several refuses is left open
        other.load_state_dict(state)
    for expected in visited:
        (theta,) = other.parameters
        other.step(sg.gradient(quadratic(theta), [theta]))
        np.testing.assert_array_equal(theta.data, expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"history_size": 0}, "history_size is at least 1, got 0"),
        ({"lr": -1}, "lr is a number from 0"),
        ({"lr": math.nan}, "lr is a number from 0"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused_by_its_name(settings, message):
    with pytest.raises(ValueError, match=message):
        optim.LBFGS([sg.Tensor(np.zeros(2))], **settings)


# The line search


def searching(cost, start, **settings):
    """An optimizer of one array, and what its search is given: C and ∂C/∂θ where θ stands."""
    theta = sg.Tensor(np.array(start, dtype=np.float64))

    def evaluate():
        value = cost(theta)
        return float(value.data), sg.gradient(value, [theta])

    return optim.WolfeLBFGS([theta], **settings), evaluate


def test_the_valley_of_rosenbrock_is_followed_to_its_minimum_by_steps_that_meet_strong_wolfe():
    optimizer, evaluate = searching(rosenbrock, [-1.2, 1.0])
    (theta,) = optimizer.parameters
    for _ in range(40):
        before, (c, (g,)) = theta.data.copy(), evaluate()
        optimizer.search(evaluate)
        s, (c_there, (g_there,)) = theta.data - before, evaluate()
        if not s.any():
            break
        assert c_there <= c + 1e-4 * g @ s
        assert abs(g_there @ s) <= 0.9 * abs(g @ s)
    np.testing.assert_allclose(theta.data, [1, 1], atol=1e-9)


def test_the_first_length_that_is_tried_is_the_learning_rate():
    for lr in (1.0, 0.25):
        optimizer, evaluate = searching(quadratic, np.zeros(8), lr=lr)
        (theta,) = optimizer.parameters
        tried = []

        def recorded(evaluate=evaluate, tried=tried, theta=theta):
            tried.append(theta.data.copy())
            return evaluate()

        _, (g,) = evaluate()
        optimizer.search(recorded)
        np.testing.assert_allclose(tried[1], -lr * g / np.abs(g).sum(), rtol=1e-12)


def sine_wave(activation, seed, dtype):
    """sin 2πx at 201 points, for 30 hidden units."""
    x = np.linspace(0, 1, 201, dtype=dtype)[:, None]
    network = dense((1,), 1, sg.generator(seed), (30,), activation)
    return Regressor(network).astype(dtype), (x, np.sin(2 * np.pi * x[:, 0]))


def reached_by_scipy(model, data, iterations):
    from scipy.optimize import minimize

    parameters = model.parameters()
    theta = optim.SGD(parameters, 1.0)._theta

    def value_and_gradient(at):
        theta[...] = at
        for p in parameters:
            p.changed()
        cost = next(model.losses(data, None))
        gradients = sg.gradient(cost, parameters)
        return float(cost.data), np.concatenate([g.ravel() for g in gradients]).astype(np.float64)

    options = {"maxiter": iterations, "ftol": 0, "gtol": 0}
    start = theta.astype(np.float64)
    return minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options).fun


@pytest.mark.long
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_training_gets_as_low_as_scipy_in_as_many_iterations(activation, dtype):
    """The ways part by rounding, so that one run says little: the median of five seeds."""
    ratios = []
    for seed in range(5):
        model, data = sine_wave(activation, seed, dtype)
        optimizer = optim.WolfeLBFGS(model.parameters())
        for epoch in sg.train(
            model, data, optimizer, epochs=101, batch_size=201, rng=sg.generator(0)
        ):
            cost = epoch.costs[0]  # of the last epoch: after 100 steps
        theirs = reached_by_scipy(*sine_wave(activation, seed, dtype), iterations=100)
        ratios.append(cost / theirs)
    assert np.median(ratios) < 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_cost_never_rises_and_is_never_nan(activation, dtype):
    model, data = sine_wave(activation, 0, dtype)
    optimizer = optim.WolfeLBFGS(model.parameters())

    def evaluate():
        cost = next(model.losses(data, None))
        return float(cost.data), sg.gradient(cost, model.parameters())

    costs = []
    for _ in range(150):
        costs.append(evaluate()[0])
        optimizer.search(evaluate)
    assert np.isfinite(costs).all()
    assert (np.diff(costs) <= 0).all()
    assert costs[-1] < 0.05 * costs[0]


def test_a_step_that_leaves_the_domain_of_the_cost_is_taken_back():
    """−log(1 − θ²) + 4 (θ − 1)²: infinite beyond ±1, its minimum within."""

    def barrier(theta):
        return (4 * (theta - 1) ** 2 - ops.log(1 - theta**2)).sum()

    with np.errstate(invalid="ignore", divide="ignore"):
        optimizer, evaluate = searching(barrier, [-0.999])
        for _ in range(30):
            optimizer.search(evaluate)
            assert math.isfinite(evaluate()[0])
    np.testing.assert_allclose(evaluate()[1][0], [0], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e8])
def test_least_squares_is_found_whatever_the_unit_of_the_inputs(scale):
    x = scale * sg.generator(1).standard_normal((40, 3))
    y = sg.generator(2).standard_normal(40)
    optimizer, evaluate = searching(lambda w: ((x @ w - y) ** 2).mean(), np.zeros(3))
    for _ in range(60):
        optimizer.search(evaluate)
    solution, *_ = np.linalg.lstsq(x, y, rcond=None)
    np.testing.assert_allclose(optimizer.parameters[0].data, solution, rtol=1e-5)


def test_where_nothing_is_lower_theta_stays_to_the_bit_until_the_cost_is_another():
    optimizer, evaluate = searching(quadratic, np.full(8, 0.3))
    for _ in range(5):
        optimizer.search(evaluate)
    (theta,) = optimizer.parameters
    here = theta.data.copy()

    def uphill():
        return np.absolute(theta.data - here).sum(), [np.ones(8)]

    for _ in range(20):
        optimizer.search(uphill)
        np.testing.assert_array_equal(theta.data, here)
    assert optimizer.pairs == []
    for _ in range(40):
        optimizer.search(evaluate)
    np.testing.assert_allclose(theta.data, np.ones(8), atol=1e-7)


@pytest.mark.parametrize("done", [0, 1, 2, 7])
def test_a_search_taken_up_from_its_state_goes_on_bit_for_bit(done):
    whole, evaluate = searching(rosenbrock, [-1.2, 1.0], history_size=4)
    for _ in range(done):
        whole.search(evaluate)
    resumed, evaluate_resumed = searching(
        rosenbrock, whole.parameters[0].data.copy(), history_size=4
    )
    resumed.load_state_dict(whole.state_dict())
    for _ in range(6):
        whole.search(evaluate)
        resumed.search(evaluate_resumed)
        np.testing.assert_array_equal(resumed.parameters[0].data, whole.parameters[0].data)
    assert resumed.steps == whole.steps == done + 6


def test_a_state_without_a_reach_is_refused():
    optimizer, _ = searching(quadratic, np.zeros(8))
    with pytest.raises(ValueError, match="holds its reach"):
        optimizer.load_state_dict({"lr": 1.0, "steps": 0})


def test_a_step_asks_for_what_can_be_searched_and_a_search_for_what_can_step():
    optimizer, evaluate = searching(quadratic, np.zeros(8))
    with pytest.raises(TypeError, match=r"call search\(evaluate\), or train"):
        optimizer.step([np.ones(8)])
    with pytest.raises(TypeError, match=r"SGD does not search: it takes step\(gradients\)"):
        optim.SGD(optimizer.parameters, 0.1).search(evaluate)


# The device


def test_steps_on_the_device_are_those_of_the_host(device):
    host, theta = sg.Tensor(np.zeros(8)), sg.Tensor(sg.to_device(np.zeros(8), device))
    on_host, on_device = optim.LBFGS([host]), optim.LBFGS([theta])
    for _ in range(10):
        on_host.step([CURVATURES * (host.data - 1)])
        on_device.step([sg.to_device(CURVATURES, device) * (theta.data - 1)])
        np.testing.assert_allclose(sg.to_host(theta.data), host.data, rtol=1e-10)
    assert device_of(theta.data) == device
    resumed = optim.LBFGS([sg.Tensor(theta.data.copy())])
    resumed.load_state_dict(on_host.state_dict())
    assert {device_of(x) for pair in resumed.pairs for x in pair} == {device}


def test_a_search_on_the_device_is_that_of_the_host(device):
    theta = sg.Tensor(sg.to_device(np.zeros(8), device))
    curvatures = sg.to_device(CURVATURES, device)

    def on_device():
        away = theta.data - 1
        return float(sg.to_host((away * away) @ curvatures)) / 2, [curvatures * away]

    host, on_host = searching(quadratic, np.zeros(8))
    optimizer = optim.WolfeLBFGS([theta])
    for _ in range(10):
        host.search(on_host)
        optimizer.search(on_device)
        np.testing.assert_allclose(sg.to_host(theta.data), host.parameters[0].data, rtol=1e-8)
    assert device_of(theta.data) == device
    resumed = optim.WolfeLBFGS([sg.Tensor(theta.data.copy())])
    resumed.load_state_dict(optimizer.state_dict())
    assert {device_of(x) for pair in resumed.pairs for x in pair} == {device}
