"""Every known mistake is caught, and nineteen in twenty are named; what is right is left alone."""

import functools
import inspect

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import gradcheck
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import seeds
from tests.gradcheck.handwritten import BERNOULLI_VAE, SUBJECTS, TANH_NETWORK, VAE
from tests.gradcheck.mutations import DRAWS, right_gradients, tally
from tests.rules import RULES, on


@pytest.mark.long
def test_every_mistake_is_caught_and_nineteen_in_twenty_are_named():
    row = tally([1000], every=11)["all"]
    assert row.caught == row.made, row.others
    assert row.named >= 0.95 * row.made, row.others


@pytest.mark.slow
def test_of_every_kind_of_mistake_nineteen_in_twenty_are_named():
    found = tally(range(DRAWS))
    assert len(found) > 20
    for kind, row in found.items():
        assert row.caught == row.made, (kind, row.others)
        assert row.named >= 0.95 * row.made, (kind, row.others)


@pytest.mark.long
@pytest.mark.parametrize("draws", [1, pytest.param(DRAWS, marks=pytest.mark.slow)])
def test_a_right_gradient_raises_no_alarm(draws):
    for name, report in right_gradients(range(draws)):
        assert report.ok, f"{name}\n{report}"


@pytest.mark.parametrize("name", ops.__all__)
@given(data=st.data())
def test_a_right_rule_raises_no_alarm_at_whatever_it_takes(name, data):
    inputs, options = data.draw(RULES[name].examples)
    report = sg.check_operation(getattr(ops, name), *inputs, **on("cpu", options))
    assert report.ok, report


AT_KINKS = ["relu", "leaky_relu", "absolute", "elu", "maximum", "minimum", "clip", "max", "min"]


@pytest.mark.parametrize("name", AT_KINKS)
@given(seed=seeds)
def test_a_right_rule_raises_no_alarm_at_a_kink(name, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (3, 4)) / 2.0
    inputs = (x, x[::-1].copy()) if name in ("maximum", "minimum") else (x,)
    options = {"lower": -0.5, "upper": 0.5} if name == "clip" else {}
    report = sg.check_operation(getattr(ops, name), *inputs, **options)
    assert report.ok, report


# The search for two mistakes at once takes seconds in the networks that have most equations.
QUICK = [subject for subject in SUBJECTS if subject not in (TANH_NETWORK, VAE, BERNOULLI_VAE)]


@pytest.mark.long
@hypothesis.settings(max_examples=hypothesis.settings().max_examples // 5)
@given(seed=seeds, size=st.floats(-3, 1), subject=st.sampled_from(QUICK), data=st.data())
def test_a_gradient_that_is_wrong_at_random_is_caught_and_given_no_name(seed, size, subject, data):
    how = data.draw(st.sampled_from(sorted(subject.costs)))
    rng = np.random.default_rng(seed)
    arrays = subject.draw(rng, False)
    right = subject.gradient(*arrays)
    if not isinstance(right, dict):
        names = inspect.signature(subject.gradient).parameters
        right = dict(zip(names, right if isinstance(right, tuple) else (right,), strict=False))
    wrong = {
        name: g + 10**size * np.sqrt(np.mean(np.square(g))) * rng.standard_normal(np.shape(g))
        for name, g in right.items()
    }
    gradient = functools.wraps(subject.gradient)(lambda *_: wrong)
    report = sg.check_gradient(subject.costs[how], gradient, *arrays)
    for entry in report.entries:
        assert not entry.ok, entry
        assert not entry.kinds, entry


def saturated(w, b, x, y):
    """−log p as it is written in lectures, which loses its digits where p is close to 1."""
    p = 1 / (1 + np.exp(-(x @ w + b)))
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()


def of_saturated(w, b, x, y):
    delta = (1 / (1 + np.exp(-(x @ w + b))) - y) / len(x)
    return x.T @ delta, delta.sum()


@given(seed=seeds, size=st.floats(0, 10))
def test_what_a_cost_loses_by_cancellation_is_not_held_against_the_gradient(seed, size):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((5, 3))
    w, y = rng.standard_normal(3), rng.random(5)
    w *= size / np.abs(x @ w).max()
    x *= 2
    arrays = w, np.float64(0.1), x, y
    assert sg.check_gradient(saturated, of_saturated, *arrays).ok
    half = lambda w, b, x, y: [g / 2 for g in of_saturated(w, b, x, y)]
    half.__wrapped__ = of_saturated
    assert not sg.check_gradient(saturated, half, *arrays).ok


def shares(x):
    e = np.exp(x.reshape(-1))
    return e / (e.sum() or 1)


HARD = {
    "a tiny gradient": (lambda x: 1e-12 * (x**3).sum(), lambda x: 3e-12 * x**2),
    "a gradient of zero": (lambda x: 0 * x.sum() + 1.0, lambda x: 0 * x),
    "a huge cost": (lambda x: 1e8 + (x**2).sum(), lambda x: 2 * x),
    "a cost of huge numbers": (lambda x: 1e8 * np.exp(x).sum(), lambda x: 1e8 * np.exp(x)),
    "saturated": (lambda x: (2 + np.tanh(30 * x)).sum(), lambda x: 30 / np.cosh(30 * x) ** 2),
    "a direction in which nothing changes": (
        lambda x: (np.arange(x.size) * shares(x)).sum(),
        lambda x: (shares(x) * (np.arange(x.size) - np.arange(x.size) @ shares(x))).reshape(
            x.shape
        ),
    ),
    "scales far apart": (
        lambda x: (10.0 ** np.arange(x.size) * x.reshape(-1) ** 2).sum(),
        lambda x: 2 * (10.0 ** np.arange(x.size) * x.reshape(-1)).reshape(x.shape),
    ),
    "log near 0": (lambda x: np.log(x**2 + 1e-9).sum(), lambda x: 2 * x / (x**2 + 1e-9)),
    "in float32": (
        lambda x: (x.astype(np.float32) ** 2).sum(dtype=np.float32),
        lambda x: 2 * x,
    ),
    "whole numbers": (lambda x: (np.round(4 * x) * 0).sum() + (x**2).sum(), lambda x: 2 * x),
}


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (3, 0)], ids=str)
@pytest.mark.parametrize(("cost", "gradient"), HARD.values(), ids=HARD)
@given(seed=seeds)
def test_a_right_gradient_raises_no_alarm_where_numbers_are_hard(cost, gradient, shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape)
    report = sg.check_gradient(cost, gradient, x)
    assert report.ok, report


@pytest.mark.slow
def test_the_single_wrong_entry_of_a_network_for_mnist_is_found():
    rng = np.random.default_rng(0)
    W, x = rng.normal(0, 0.05, (100, 784)), rng.random((2, 784))

    def cost(W):
        return np.square(np.maximum(x @ W.T, 0)).sum() / 2

    def gradient(W):
        return np.maximum(x @ W.T, 0).T @ x

    def wrong(W):
        g = gradient(W)
        g[63, 400] += 1e-2 * np.sqrt(np.mean(g * g))
        return g

    assert sg.check_gradient(cost, gradient, W).ok
    report = sg.check_gradient(cost, wrong, W)
    assert report.entries[0].worst_index == (63, 400)
    assert "agrees but for entry [63, 400]" in report.diagnosis[0]


@given(seed=seeds)
@hypothesis.settings(max_examples=hypothesis.settings().max_examples // 3)
def test_kinks_close_to_a_large_array_are_no_mistake_and_hide_none(seed):
    rng = np.random.default_rng(seed)
    W, x, V = (rng.standard_normal(shape) for shape in [(30, 40), (6, 40), (3, 30)])
    x[0] = 0  # kinks within the way, and at its very start

    def cost(W):  # of real numbers alone
        return float(np.linalg.norm(np.maximum(x @ W.T, 0) @ V.T)) ** 2 / 2

    def gradient(W):
        a = np.maximum(x @ W.T, 0)
        return (a @ V.T @ V * (a > 0)).T @ x

    assert sg.check_gradient(cost, gradient, W).ok
    assert not sg.check_gradient(cost, lambda W: 1.001 * gradient(W), W).ok


@given(seed=seeds)
@hypothesis.settings(max_examples=hypothesis.settings().max_examples // 3)
def test_a_wrong_entry_is_found_among_thousands_of_kinks(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((100, 100)) * (rng.random((100, 100)) < 0.2)
    place = tuple(rng.choice(np.argwhere(x)))

    def wrong(x):
        g = (x > 0) * 1.0
        g[place] += 0.01
        return g

    cost = lambda x: np.maximum(x, 0).sum()
    assert sg.check_gradient(cost, lambda x: (x > 0) * 1.0, x).ok
    assert sg.check_gradient(cost, wrong, x).entries[0].worst_index == place


@pytest.mark.parametrize("wrong", [lambda x: 0 * x + 1e-9, lambda x: x], ids=["1e-9", "x"])
def test_of_a_cost_that_does_not_depend_on_its_input_that_is_said(wrong):
    x = np.array([0.3, -1.2, 0.7, 2.0])
    report = sg.check_gradient(lambda x: 1.0, wrong, x)
    assert "does not depend on it" in report.diagnosis[0]
    assert not report.entries[0].kinds
    assert sg.check_gradient(lambda x: 1.0, np.zeros_like, x).ok


def test_a_search_that_finds_nothing_ends(monkeypatch):
    monkeypatch.setattr(gradcheck.diagnosis, "SECONDS", 0.1)

    def cost(x):
        for _ in range(100):
            x = x + 0.01 * np.tanh(x)
        return np.sum(x**2)

    rng = np.random.default_rng(0)
    report = sg.check_gradient(cost, lambda x: rng.standard_normal(4), np.array([0.3, -1, 0.7, 2]))
    assert not report.ok
    report = sg.check_gradient(cost, lambda x: np.cos(9 * x), np.array([0.3, -1, 0.7, 2]))
    assert report.diagnosis[0].endswith("fits, of those that could be tried in 0.1 s")


def of_parts(th, X, Y):
    W, b = th[:6].reshape(3, 2), th[6:]
    return 0.5 * np.sum((np.tanh(X @ W + b) - Y) ** 2)


@pytest.mark.parametrize("limit", ["diagnosis.SECONDS", "check.QUICK"])
def test_where_time_ends_the_search_that_is_said(monkeypatch, limit):
    rng = np.random.default_rng(0)
    arguments = rng.standard_normal(8), rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    wrong = lambda th, X, Y: np.cos(9 * th)
    for name in ("diagnosis.SECONDS", "check.QUICK"):
        monkeypatch.setattr(f"scratchgen.gradcheck.{name}", 1000)
    whole = "∂C/∂th: none of the known mistakes fits"
    assert sg.check_gradient(of_parts, wrong, *arguments).diagnosis == [whole]
    monkeypatch.setattr(f"scratchgen.gradcheck.{limit}", 0)
    said = f"{whole}, of those that could be tried in {gradcheck.diagnosis.SECONDS} s"
    assert sg.check_gradient(of_parts, wrong, *arguments).diagnosis == [said]


@pytest.mark.parametrize(
    ("slope", "said"),
    [
        (lambda a: 1 - a, "1 − a stands in the place of σ′"),
        (lambda a: a * (1 - a), "a (1 − a), the derivative of the sigmoid, stands in the place"),
        (lambda a: 0 * a + 1, "σ′ is missing"),
    ],
    ids=["1 − a", "a (1 − a)", "1"],
)
def test_the_slope_of_a_recurrence_of_many_steps_is_named(monkeypatch, slope, said):
    monkeypatch.setattr(gradcheck.diagnosis, "SECONDS", 1000)

    def cost(W, U, x):
        h, total = np.zeros(len(U)), 0.0
        for t in range(len(x)):
            h = np.tanh(x[t] @ W + h @ U)
            total = total + 0.5 * np.sum(h**2)
        return total

    def gradient(W, U, x, slope):
        hs = [np.zeros(len(U))]
        for t in range(len(x)):
            hs.append(np.tanh(x[t] @ W + hs[-1] @ U))
        dW, dU, carried = np.zeros_like(W), np.zeros_like(U), 0.0
        for t in reversed(range(len(x))):
            delta = (hs[t + 1] + carried) * slope(hs[t + 1])
            dW, dU, carried = dW + np.outer(x[t], delta), dU + np.outer(hs[t], delta), U @ delta
        return dW, dU

    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(shape) for shape in ((2, 3), (3, 3), (40, 2))]
    arrays[1] /= 2
    assert sg.check_gradient(cost, lambda *a: gradient(*a, lambda a: 1 - a**2), *arrays).ok
    (diagnosis,) = sg.check_gradient(cost, lambda *a: gradient(*a, slope), *arrays).diagnosis
    assert said in diagnosis
    assert "so at each of the 40 uses in `h = np.tanh(x[t] @ W + h @ U)`" in diagnosis


def test_the_slope_of_a_layer_of_many_weights_is_named():
    rng = np.random.default_rng(0)
    W, X, Y = (rng.standard_normal(shape) for shape in ((100, 200), (10, 100), (10, 200)))
    W /= 10

    def wrong(W, X, Y):
        a = np.tanh(X @ W)
        return X.T @ ((a - Y) * (1 - a))

    cost = lambda W, X, Y: 0.5 * np.sum((np.tanh(X @ W) - Y) ** 2)
    (diagnosis,) = sg.check_gradient(cost, wrong, W, X, Y).diagnosis
    assert "1 − a stands in the place of σ′" in diagnosis
