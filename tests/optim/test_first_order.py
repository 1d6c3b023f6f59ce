"""First-order optimizers: the updates of torch.optim, in place, on one flat buffer."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen import optim
from scratchgen.backend import device_of
from tests import strict
from tests.optim.updates import (
    arrays,
    assert_same_bits,
    every_optimizer,
    every_setting,
    every_setting_of_torch,
    gradients_of_a_run,
    make,
    run,
    show,
)

TORCH_NAMES = {"AdaGrad": "Adagrad"}


@pytest.fixture
def torch():
    return pytest.importorskip(
        "torch", reason="PyTorch is the oracle of every update: pip install '.[peers]'"
    )


def relative_distance(ours, theirs):
    """The largest distance over the largest parameter, at the worst step of a run."""
    return max(
        max(np.abs(x - y).max() for x, y in zip(xs, ys, strict=True))
        / max(np.abs(y).max() for y in ys)
        for xs, ys in zip(ours, theirs, strict=True)
    )


def torch_parameters(torch, values):
    return [torch.nn.Parameter(torch.tensor(v)) for v in values]


def against_torch(torch, name, settings, dtype, steps=200):
    gradients = gradients_of_a_run(steps, dtype)
    optimizer = make(name, settings, dtype)
    parameters = torch_parameters(torch, arrays(0, dtype))
    reference = getattr(torch.optim, TORCH_NAMES.get(name, name))(
        parameters, **({"lr": 0.1} | settings if name == "SGD" else settings)
    )
    ours, theirs = [], []
    for g in gradients:
        optimizer.step(g)
        for p, value in zip(parameters, g, strict=True):
            p.grad = torch.tensor(value)
        reference.step()
        ours.append([p.data.copy() for p in optimizer.parameters])
        theirs.append([p.detach().numpy().copy() for p in parameters])
    assert all(x.dtype == dtype for x in ours[-1])
    return relative_distance(ours, theirs)


# The updates


@pytest.mark.rounding
@every_setting_of_torch
def test_200_steps_on_random_gradients_are_those_of_torch(torch, name, settings):
    assert against_torch(torch, name, settings, np.float64) < 1e-12


@pytest.mark.rounding
@every_setting_of_torch
def test_5_steps_in_float32_are_those_of_torch_to_rounding(torch, name, settings):
    # A step has fewer than 32 roundings on either side, of numbers of the size of the parameters.
    rounding = 32 * np.finfo(np.float32).eps
    assert against_torch(torch, name, settings, np.float32, steps=5) < 5 * rounding


@pytest.mark.rounding
@every_setting_of_torch
def test_200_steps_on_a_small_problem_are_those_of_torch(torch, name, settings):
    # In batches: where all gradients vanish, g/√s turns rounding into steps of full length.
    rng = sg.generator(3)
    x, y = rng.standard_normal((40, 5)), rng.standard_normal((40, 2))
    W, b = rng.standard_normal((2, 5)), np.zeros(2)
    theta = [sg.Tensor(W), sg.Tensor(b)]
    optimizer = getattr(optim, name)(theta, **settings)
    parameters = torch_parameters(torch, [W, b])
    reference = getattr(torch.optim, TORCH_NAMES.get(name, name))(parameters, **settings)
    costs, ours, theirs = [], [], []
    for step in range(200):
        batch = slice(8 * (step % 5), 8 * (step % 5 + 1))
        cost = ops.squared_error(ops.tanh(ops.affine(x[batch], *theta)), y[batch]).mean()
        optimizer.step(sg.gradient(cost, theta))
        reference.zero_grad()
        output = torch.tanh(torch.nn.functional.linear(torch.tensor(x[batch]), *parameters))
        (0.5 * (output - torch.tensor(y[batch])) ** 2).sum(axis=1).mean().backward()
        reference.step()
        costs.append(float(cost.data))
        ours.append([p.data.copy() for p in theta])
        theirs.append([p.detach().numpy().copy() for p in parameters])
    assert sum(costs[-5:]) < sum(costs[:5])
    assert relative_distance(ours, theirs) < 1e-12


def test_adagrad_with_momentum_is_that_of_the_notes():
    """Their AdagradMomentum keeps the step Δ ← μ Δ + η g/(√s + ε), with s the sum of g²."""
    mu, lr, eps = 0.9, 0.05, 1e-10
    gradients = gradients_of_a_run(50)
    moved = run(make("AdaGrad", {"lr": lr, "eps": eps, "momentum": mu}), gradients)
    for theta, start, gs in zip(moved, arrays(0), zip(*gradients, strict=True), strict=True):
        expected, s, change = start, 0.0, 0.0
        for g in gs:
            s = s + g**2
            change = mu * change + lr * g / (np.sqrt(s) + eps)
            expected = expected - change
        np.testing.assert_allclose(theta, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["SGD", "AdaGrad", "RMSprop", "Adam", "AdamW"])
def test_the_defaults_are_those_of_torch(torch, name):
    ours = make(name, {"lr": 0.1} if name == "SGD" else {})
    (p,) = torch_parameters(torch, [np.ones(2)])
    reference = getattr(torch.optim, TORCH_NAMES.get(name, name))(
        [p], **({"lr": 0.1} if name == "SGD" else {})
    )
    shared = vars(ours).keys() | {"lr", "weight_decay"}
    for setting, value in reference.defaults.items():
        if setting in shared:
            assert getattr(ours, setting) == value, setting


@every_optimizer
def test_a_learning_rate_of_zero_moves_nothing(name, settings):
    settings = {k: v for k, v in settings.items() if k != "weight_decay"}
    optimizer = make(name, settings | {"lr": 0})
    assert_same_bits(run(optimizer, gradients_of_a_run(3)), arrays(0))


def test_the_first_step_of_adam_has_the_length_of_the_learning_rate():
    # m̂ = g and v̂ = g², so that θ moves by η g / (|g| + ε)
    g = np.array([1e-3, -2.0, 5e4])
    optimizer = optim.Adam([sg.Tensor(np.zeros(3))], lr=0.01)
    optimizer.step([g])
    np.testing.assert_allclose(optimizer.parameters[0].data, -0.01 * np.sign(g), rtol=1.1e-5)


@pytest.mark.parametrize("size", [1e-4, 1e-12, 1e-16])
def test_adam_without_eps_does_not_depend_on_the_size_of_the_gradients(torch, size):
    gradients = [[np.array([size * (1 + t % 3), -size])] for t in range(150)]
    optimizer = optim.Adam([sg.Tensor(np.zeros(2))], eps=0)
    of_one = optim.Adam([sg.Tensor(np.zeros(2))], eps=0)
    expected = run(of_one, [[g / size for g in gs] for gs in gradients])
    np.testing.assert_allclose(run(optimizer, gradients), expected, rtol=1e-10)


# Gradients


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.999)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", ["Adam", "AdamW"])
def test_vanishing_gradients_leave_no_denormal_numbers_in_adams_state(optimizer, dtype, betas):
    tiny = np.finfo(dtype).tiny
    theta = sg.Tensor(np.ones(4, dtype))
    adam = getattr(optim, optimizer)([theta], betas=betas)
    rates = np.array([0.0, 0.5, 0.9, 0.99])
    with np.errstate(under="ignore"):
        for t in range(2000):
            g = (rates**t).astype(dtype)
            g[g < tiny] = 0
            adam.step([g])
    for name, value in adam.state_dict().items():
        if name in adam.state:
            assert not ((value != 0) & (np.abs(value) < tiny)).any(), name


def test_adam_moves_as_torch_does_while_the_gradients_vanish(torch):
    rates = np.array([0.0, 0.5, 0.9, 0.99, 0.999])
    optimizer = optim.Adam([sg.Tensor(np.ones(5))])
    (p,) = torch_parameters(torch, [np.ones(5)])
    reference = torch.optim.Adam([p])
    for t in range(2000):
        optimizer.step([rates**t])
        p.grad = torch.tensor(rates**t)
        reference.step()
    np.testing.assert_allclose(optimizer.parameters[0].data, p.detach().numpy(), rtol=1e-12)


# What is refused


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", {"lr": 1, "momentum": 1.0}),
        ("SGD", {"lr": 1, "momentum": -0.1}),
        ("SGD", {"lr": 1, "momentum": math.nan}),
        ("RMSprop", {"momentum": 1.0}),
        ("RMSprop", {"alpha": 1.0}),
        ("RMSprop", {"alpha": -0.1}),
        ("RMSprop", {"eps": -1e-8}),
        ("AdaGrad", {"eps": -1e-8}),
        ("AdaGrad", {"eps": math.nan}),
        ("Adam", {"betas": (1.0, 0.999)}),
        ("Adam", {"betas": (-0.1, 0.999)}),
        ("Adam", {"betas": (0.9, 1.0)}),
        ("Adam", {"betas": (0.9, math.nan)}),
        ("Adam", {"eps": -1e-8}),
        ("AdamW", {"betas": (0.9, 1.0)}),
    ],
    ids=show,
)
def test_a_setting_out_of_range_is_refused_by_its_name(name, settings):
    last = {"betas": "beta [12]"}.get(list(settings)[-1], list(settings)[-1])
    with pytest.raises(ValueError, match=f"{last} is a number from 0 to below"):
        make(name, settings)


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValueError, match="nesterov looks ahead along the momentum"):
        make("SGD", {"lr": 0.1, "nesterov": True})


# The device


@every_setting
def test_steps_on_the_device_are_those_of_the_host_without_a_transfer(device, name, settings):
    before, host = strict.transfers, make(name, settings)
    tensors = [sg.Tensor(sg.to_device(a, device)) for a in arrays(0)]
    other = getattr(optim, name)(tensors, **settings)
    for g in gradients_of_a_run(105):
        host.step(g)
        other.step([sg.to_device(a, device) for a in g])
    assert strict.transfers == before
    for p, q in zip(tensors, host.parameters, strict=True):
        assert device_of(p.data) == device
        np.testing.assert_allclose(sg.to_host(p.data), q.data, rtol=1e-12, atol=1e-12)


@every_setting
def test_an_update_on_the_device_is_one_kernel_for_all_parameters(monkeypatch, name, settings):
    strict.install(monkeypatch)
    tensors = [sg.Tensor(sg.to_device(a, "cuda")) for a in arrays(0)]
    optimizer = getattr(optim, name)(tensors, **settings)
    for steps in (1, 2, 3):
        optimizer.step([sg.to_device(a, "cuda") for a in arrays(steps)])
        assert len(strict.fused) == steps
