"""What follows from a slip is what someone who made it would have written down."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck import recording as rec
from scratchgen.gradcheck.recording import Slip
from scratchgen.gradcheck.slips import SLOPES_OF_VALUE, redrawn_mask, slips
from scratchgen.gradcheck.strategies import seeds
from tests.gradcheck.test_recording import record


def predictions(recording, k, **wanted):
    """What follows for argument k from each slip of this kind or sentence."""
    for slip in slips(recording, [*range(len(recording.arguments))], [(5, "the batch size")]):
        if all(text in getattr(slip, field) for field, text in wanted.items()):
            yield recording.gradient(k, *slip.bends)


def is_among(expected, found):
    return any(f is not None and np.allclose(f, expected, rtol=1e-9, atol=1e-12) for f in found)


@pytest.fixture
def layer():
    """A square layer of tanh with a regulariser, in which every operand fits every other."""
    rng = np.random.default_rng(0)
    W, V, x, y = (rng.standard_normal((4, 4)) for _ in range(4))

    def cost(W, V, x, y):
        return 0.5 * np.square(np.tanh(x @ W) @ V - y).sum() + 0.1 * np.square(V).sum()

    return record(cost, W=W, V=V, x=x, y=y), W, V, x, y


SLIPS_IN_THE_LAYER = {
    "σ′ left out": ("σ′ is missing", lambda W, V, x, a, d: x.T @ (d @ V.T)),
    "σ′ at the value": (
        "σ′ is taken at the value",
        lambda W, V, x, a, d: x.T @ ((d @ V.T) * (1 - np.tanh(a) ** 2)),
    ),
    "σ′ at z, as if a": (
        "written in terms of the value a = tanh(x @ W), is taken at x @ W instead",
        lambda W, V, x, a, d: x.T @ ((d @ V.T) * (1 - (x @ W) ** 2)),
    ),
    "V transposed": (
        "V is transposed in what",
        lambda W, V, x, a, d: x.T @ ((d @ V) * (1 - a**2)),
    ),
    "W in place of V": (
        "W stands in the place of V",
        lambda W, V, x, a, d: x.T @ ((d @ W.T) * (1 - a**2)),
    ),
    "y in place of x": (
        "y stands in the place of x",
        lambda W, V, x, a, d: (a @ V - d).T @ ((d @ V.T) * (1 - a**2)),
    ),
}


@pytest.mark.parametrize(
    ("sentence", "written"), SLIPS_IN_THE_LAYER.values(), ids=SLIPS_IN_THE_LAYER
)
def test_a_slip_in_the_weights_of_a_layer(layer, sentence, written):
    recording, W, V, x, y = layer
    a = np.tanh(x @ W)
    assert is_among(written(W, V, x, a, a @ V - y), predictions(recording, 0, sentence=sentence))


@pytest.mark.parametrize(
    ("kind", "factor"),
    [
        ("regulariser missing", 0),
        ("regulariser doubled", 2),
        ("regulariser halved", 0.5),
        ("regulariser sign", -1),
        ("regulariser divided by n", 1 / 5),
        ("regulariser times n", 5),
    ],
)
def test_a_slip_in_the_regulariser_alone(layer, kind, factor):
    recording, W, V, x, y = layer
    a = np.tanh(x @ W)
    expected = a.T @ (a @ V - y) + factor * 0.2 * V
    assert is_among(expected, predictions(recording, 1, kind=kind))


def test_a_constant_a_sign_and_a_factor_left_out():
    x, w = np.array([0.3, -1.2, 0.8]), np.array([1.5, 0.4, -0.7])
    recording = record(lambda x, w: (0.5 * (1.0 - x * w)).sum(), x=x, w=w)
    for kind, expected in [
        ("constant dropped", -w),
        ("sign", 0.5 * w),
        ("factor missing", np.full(3, -0.5)),
    ]:
        assert is_among(expected, predictions(recording, 0, kind=kind))


def test_the_diagonal_alone_of_a_softmax():
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    for softmax in (ops.softmax, lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)):
        recording = record(lambda z, y, s=softmax: (s(z) * y).sum(), z=z, y=y)
        a = ops.softmax(z)
        assert is_among(a * (1 - a) * y, predictions(recording, 0, kind="coupling dropped"))


@given(seed=seeds)
def test_the_slopes_in_terms_of_the_value_are_those_of_the_rules(seed):
    z = np.random.default_rng(seed).standard_normal(4)
    for name, of_value in SLOPES_OF_VALUE.items():
        a, (equation,) = rec.FUNCTIONS[name](z)
        jacobian = np.array([equation(row) for row in np.eye(4)])
        np.testing.assert_allclose(of_value(a), np.diag(jacobian), rtol=1e-12, atol=1e-14)


def test_the_slips_in_a_reparameterisation():
    log_var, noise = np.array([0.3, -1.2, 0.8]), np.array([0.7, -0.2, 1.1])
    recording = record(lambda s, e: (np.exp(0.5 * s) * e).sum(), s=log_var, e=noise)
    sigma = np.exp(log_var / 2)
    for kind, expected in [
        ("½σε missing", np.ones(3)),
        ("½σε missing", np.zeros(3)),
        ("½σε missing", sigma * noise),
        ("½σε missing", 0.5 * noise),
        ("½σε missing", 0.5 * sigma),
        ("log σ² for σ", noise),
        ("log σ² for σ", 0.5 * log_var * noise),
        ("log σ² for σ", sigma**2 * noise),
        ("log σ² for σ", sigma**2 * noise / 2),
    ]:
        assert is_among(expected, predictions(recording, 0, kind=kind))


@pytest.fixture
def masked():
    rng = np.random.default_rng(0)
    x, mask = rng.standard_normal((4, 5)), rng.permutation(np.arange(20) % 4 > 0).reshape(4, 5)
    mask = mask / 0.75
    return record(lambda x, m: (np.square(x) * m).sum(), x=x, m=mask), x, mask


def test_a_mask_left_out_not_rescaled_and_scaled_alone(masked):
    recording, x, mask = masked
    assert is_among(2 * x, predictions(recording, 0, kind="mask not reused"))
    assert is_among(2 * x * (mask > 0), predictions(recording, 0, kind="mask not rescaled"))
    assert is_among(2 * x / 0.75, predictions(recording, 0, kind="mask not reused"))


@given(seed=seeds)
def test_a_mask_drawn_anew_is_solved_for_and_told_from_what_is_no_mask(seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.5, 2, (4, 5))
    mask = np.eye(4, 5) / 0.75
    recording = record(lambda x, m: (np.square(x) * m).sum(), x=x, m=mask)
    drawn = (rng.permutation(20) % 3 > 0).reshape(4, 5) / 0.75
    (slip,) = redrawn_mask(recording, 0, 2 * x * drawn)
    assert slip.kind == "mask not reused"
    assert f"{int((drawn != mask).sum())} of its 20 entries differ" in slip.sentence
    np.testing.assert_allclose(recording.gradient(0, *slip.bends), 2 * x * drawn, rtol=1e-12)
    assert not [*redrawn_mask(recording, 0, 2 * x * rng.random((4, 5)))]


@given(seed=seeds, data=st.data())
def test_every_slip_leaves_the_record_as_it_was(seed, data):
    rng = np.random.default_rng(seed)
    W, x = rng.standard_normal((3, 3)), rng.standard_normal((4, 3))
    recording = record(lambda W, x: np.square(ops.sigmoid(x @ W)).mean(), W=W, x=x)
    found = [*slips(recording, [0, 1], [(4, "the batch size")])]
    before = recording.gradient(0)
    slip = data.draw(st.sampled_from(found))
    assert isinstance(slip, Slip)
    assert slip.kind
    assert slip.sentence
    recording.gradient(0, *slip.bends)
    np.testing.assert_array_equal(recording.gradient(0), before)


def test_in_long_records_nothing_is_substituted():
    def kinds(depth):
        def cost(x, W):
            for _ in range(depth):
                x = np.tanh(x @ W)
            return x.sum()

        recording = record(cost, x=np.ones((2, 3)), W=np.eye(3))
        return {slip.kind for slip in slips(recording, [1], [])}

    assert "term missing" in kinds(2) & kinds(50)
    assert "other operand" in kinds(2) - kinds(50)


def relu(z):
    return np.maximum(z, 0)


OTHER_SLOPES = {
    "tanh: a": (np.tanh, lambda z, a, d: d * a),
    "tanh: 1 − a": (np.tanh, lambda z, a, d: d * (1 - a)),
    "tanh: a (1 − a)": (np.tanh, lambda z, a, d: d * a * (1 - a)),
    "tanh: 1/σ′": (np.tanh, lambda z, a, d: d / (1 - a * a)),
    "sigmoid: 1 − a²": (ops.sigmoid, lambda z, a, d: d * (1 - a * a)),
    "ReLU: a": (relu, lambda z, a, d: d * a),
    "ReLU: δ > 0": (relu, lambda z, a, d: d * (d > 0)),
    "ReLU: inverted": (relu, lambda z, a, d: d * (z < 0)),
    "ReLU: leaky": (relu, lambda z, a, d: d * np.where(z > 0, 1, 0.01)),
}


@pytest.mark.parametrize(("sigma", "written"), OTHER_SLOPES.values(), ids=OTHER_SLOPES)
def test_another_function_in_the_place_of_sigma_prime(sigma, written):
    rng = np.random.default_rng(3)
    z, y = rng.standard_normal((6, 4)), rng.standard_normal((6, 4))
    recording = record(lambda z, y: 0.5 * np.square(sigma(z) - y).sum(), z=z, y=y)
    a = getattr(sigma(z), "data", sigma(z))
    assert is_among(written(z, np.asarray(a), a - y), predictions(recording, 0, kind="other slope"))


POWERS = {
    "3 w³": (lambda w: w**3, lambda w: 3 * w**3),
    "2 w²": (lambda w: w**3, lambda w: 2 * w**2),
    "w²": (lambda w: w**3, lambda w: w**2),
    "√w/2": (np.sqrt, lambda w: np.sqrt(w) / 2),
    "−1/w": (lambda w: 1 / w, lambda w: -1 / w),
}


@pytest.mark.parametrize(("power", "written"), POWERS.values(), ids=POWERS)
def test_the_rule_for_powers_as_it_is_misremembered(power, written):
    w = np.array([0.5, 1.3, 0.8])
    recording = record(lambda w: power(w).sum(), w=w)
    assert is_among(written(w), predictions(recording, 0, kind="power rule"))


def recurrence(W, x, y):
    h, cost = np.zeros(4), 0.0
    for t in range(len(x)):
        h = np.tanh(x[t] + W @ h)
        cost = cost + 0.5 * np.sum((h - y[t]) ** 2)
    return cost


def through_time(W, x, y, slope=lambda h: 1 - h**2, back=np.transpose, kept=1, later=0):
    h = [np.zeros(4)]
    for t in range(len(x)):
        h.append(np.tanh(x[t] + W @ h[-1]))
    total, onwards = np.zeros_like(W), np.zeros(4)
    for t in reversed(range(len(x))):
        delta = (h[t + 1] - y[t] + kept * onwards) * slope(h[t + 1])
        total += np.outer(delta, h[t + later])
        onwards = back(W) @ delta
    return total


AT_EVERY_STEP = {
    "derivative missing": {"slope": lambda h: 1},
    "derivative at the value": {"slope": lambda h: 1 - np.tanh(h) ** 2},
    "other slope": {"slope": lambda h: h * (1 - h)},
    "transposed operand": {"back": lambda W: W},
    "truncated recurrence": {"kept": 0},
    "term sign": {"kept": -1},
    "other step": {"later": 1},
}


@pytest.mark.parametrize("steps", [4, 15])
@pytest.mark.parametrize("kind", AT_EVERY_STEP)
def test_a_slip_at_every_step_of_a_recurrence_is_one_slip(kind, steps):
    rng = np.random.default_rng(0)
    W, x, y = 0.6 * rng.standard_normal((4, 4)), *rng.standard_normal((2, steps, 4))
    assert sg.check_gradient(recurrence, through_time, W, x, y).ok
    wrong = lambda W, x, y: through_time(W, x, y, **AT_EVERY_STEP[kind])
    (entry,) = sg.check_gradient(recurrence, wrong, W, x, y).entries
    assert entry.kinds == [kind], entry.diagnosis
    assert "uses in" in entry.diagnosis
    assert "test_slips.py:" in entry.diagnosis


@given(seed=seeds)
def test_the_right_derivative_of_another_cost_is_told(seed):
    rng = np.random.default_rng(seed)
    a, b, x, y, z = rng.standard_normal((5, 6))

    def cost(a, b, x, y, z):
        return np.mean((z - a * y - b) ** 2) + np.sum(np.exp(0.1 * x * a))

    def of(a, b, x, y, z, regressor):
        errors = (z - a * regressor - b) / 3
        return -errors * regressor + 0.1 * x * np.exp(0.1 * x * a), -errors

    wrong = lambda a, b, x, y, z: of(a, b, x, y, z, x)
    assert sg.check_gradient(cost, lambda a, b, x, y, z: of(a, b, x, y, z, y), a, b, x, y, z).ok
    report = sg.check_gradient(cost, wrong, a, b, x, y, z)
    for entry in report.entries:
        assert entry.kinds == ["another cost"]
        assert "x stands in the place of y" in entry.diagnosis


def of_pairs(x, first=1, second=-1):
    g = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            d = x[i] - x[j]
            share = -2 * d * np.exp(-d @ d)
            g[i] += first * share
            g[j] += second * share
    return g


def by_loops(x):
    n, energy = len(x), 0.0
    for i in range(n):
        for j in range(i + 1, n):
            energy = energy + np.exp(-np.sum((x[i] - x[j]) ** 2))
    return energy


def by_indices(x):
    i, j = np.triu_indices(len(x), 1)
    return np.sum(np.exp(-np.sum((x[i] - x[j]) ** 2, axis=1)))


@pytest.mark.parametrize("cost", [by_loops, by_indices])
@pytest.mark.parametrize(
    ("shares", "kind", "said"),
    [
        ((1, 0), "third law forgotten", "the first partner alone receives its share"),
        ((0, -1), "third law forgotten", "the second partner alone receives its share"),
        ((1, 1), "sign", "the minus sign of"),
    ],
)
def test_a_partner_that_receives_nothing_or_the_same_is_told(cost, shares, kind, said):
    x = np.random.default_rng(0).standard_normal((4, 2))
    assert sg.check_gradient(cost, lambda x: of_pairs(x), x).ok
    (entry,) = sg.check_gradient(cost, lambda x: of_pairs(x, *shares), x).entries
    assert entry.kinds == [kind]
    assert said in entry.diagnosis


def test_the_difference_of_two_arrays_is_no_pair():
    x, y = np.random.default_rng(0).standard_normal((2, 5))
    recording = record(lambda x, y: np.sum((x[1:] - y[1:]) ** 2), x=x, y=y)
    assert not [*predictions(recording, 0, kind="third law")]
