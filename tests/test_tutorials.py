"""Each chapter of ``tutorials/`` prints what it says, and the numbers are the notes'."""

import contextlib
import functools
import importlib.util
import io
import os
import pathlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg

FOLDER = pathlib.Path(__file__).parents[1] / "tutorials"
FILES = sorted(path.stem for path in FOLDER.glob("*.py"))
APART = {"nuclear_masses"}  # it needs a file of data
CHAPTERS = [name for name in FILES if name not in APART]


class Chapter:
    """A chapter, run once, when a test first asks for it: the tests share what it trains."""

    def __init__(self, name):
        self.path = FOLDER / f"{name}.py"

    @functools.cached_property
    def module(self):
        spec = importlib.util.spec_from_file_location(f"tutorials_{self.path.stem}", self.path)
        module = importlib.util.module_from_spec(spec)
        with contextlib.redirect_stdout(io.StringIO()) as self.printed:
            spec.loader.exec_module(module)
        return module

    def __getattr__(self, name):
        if name.startswith("_"):  # pytest looks for such names in whatever it collects
            raise AttributeError(name)
        return getattr(self.module, name)

    @functools.cached_property
    def said(self):
        """All that it prints."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            getattr(self.module, "main", lambda: None)()
        return self.printed.getvalue() + printed.getvalue()


kept = functools.cache(Chapter)

kinds = kept("generative_discriminative")
perceptron = kept("scalar_perceptron")
hidden = kept("hidden_scalar_layer")
network = kept("two_two_one")
equations = kept("backpropagation")
steps = kept("optimizers")
depth = kept("vanishing_gradient")
divergences = kept("divergences")
diffusion = kept("variational_diffusion")
adversaries = kept("adversarial_game")
game = kept("generative_adversarial")
chain = kept("from_hierarchy_to_diffusion")
scores = kept("scores")
conditions = kept("conditions")
checking = kept("checking_a_derivative")
machines = kept("gpu_and_machines")
layer = kept("my_layer")
ddpm = kept("denoising_diffusion")
autoencoder = kept("linear_vae")
approximation = kept("universal_approximation")
straight = kept("linear_models")
errata = kept("errata")
boltzmann = kept("boltzmann_machines")


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_prints_what_it_says(name):
    assert len(kept(name).said.splitlines()) > 10


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_exercises_of_a_chapter_are_open_and_have_solutions(name):
    """Each is printed twice: as the reader finds it, and with the solution."""
    answers = re.findall(r"^(?:solved|not solved yet|not tried)", kept(name).said, re.MULTILINE)
    pairs = set(zip(answers[::2], answers[1::2], strict=True))
    assert pairs <= {("not solved yet", "solved"), ("not tried", "not tried")}
    written = kept(name).path.read_text(encoding="utf-8")
    assert len(answers) // 2 == written.count('tags=["solution"]')


@pytest.mark.parametrize("name", FILES)
def test_the_index_names_every_chapter(name):
    assert f"({name}.py)" in (FOLDER / "README.md").read_text(encoding="utf-8")


# Generative or discriminative.


def test_where_its_assumption_holds_the_generative_line_is_the_discriminative_one():
    for line in (kinds.generative_line, kinds.discriminative_line):
        w, b = line(*kinds.draw(20_000))
        # The error of an estimate from n points is of the size 1/√n.
        assert w == pytest.approx(2, abs=0.1)
        assert b == pytest.approx(0, abs=0.1)


def test_points_far_off_bend_the_generative_line_alone():
    (before, _), (after, _) = (kinds.generative_line(*kinds.draw(1000, far)) for far in (0, 0.05))
    assert after < before / 2
    (before, _), (after, _) = (
        kinds.discriminative_line(*kinds.draw(1000, far)) for far in (0, 0.05)
    )
    assert after == pytest.approx(before, abs=0.1)


def test_the_sum_over_a_hidden_pixel_leaves_its_factor_out():
    x, (on, prior) = kinds.TEST[0][:5].copy(), kinds.naive_bayes(*kinds.TRAIN)
    both = []
    for bit in (0.0, 1.0):
        x[:, 20] = bit
        both.append(kinds.log_joint(x, on, prior))
    seen = np.delete(np.arange(64), 20)
    np.testing.assert_allclose(np.logaddexp(*both), kinds.log_joint(x, on, prior, seen), rtol=1e-12)


@pytest.mark.rounding
def test_each_kind_of_model_does_what_the_chapter_says():
    accuracy = {
        name: (p.argmax(axis=1) == kinds.labels).mean() for name, p in kinds.answers.items()
    }
    assert min(accuracy.values()) > 0.85
    assert max(accuracy, key=accuracy.get) == "logistic regression"
    assert kinds.answers["naive Bayes"].max(axis=1).mean() > accuracy["naive Bayes"] + 0.03
    assert kinds.surprise["noise"].max() < np.quantile(kinds.surprise["digits"], 0.01)
    bayes, logistic = kinds.hidden_pixels(0.8)
    assert bayes > logistic


def test_the_taxonomy_names_models_that_exist():
    written = kinds.path.read_text(encoding="utf-8")
    names = re.findall(r"`models\.(\w+)`", written)
    assert len(names) > 8
    assert all(hasattr(sg.models, name) for name in names)


# The scalar perceptron.


def test_the_perceptron_ends_at_the_cost_of_the_notes_to_the_last_digit():
    trained = perceptron.train(perceptron.by_hand)
    assert perceptron.cost(*trained, perceptron.X, perceptron.Y) == 4.0022640019432767e-07


def test_the_engine_takes_the_steps_of_the_hand_to_the_last_digit():
    assert perceptron.train(perceptron.by_engine) == perceptron.train(perceptron.by_hand)


def test_each_iteration_of_the_perceptron_multiplies_delta_by_one_number():
    deltas = [
        perceptron.feed_forward(*perceptron.train(perceptron.by_hand, iterations=n), perceptron.X)
        - perceptron.Y
        for n in range(6)
    ]
    np.testing.assert_allclose(np.divide(deltas[1:], deltas[:-1]), 0.83, rtol=1e-12)


def test_the_perceptron_diverges_beyond_two_seventeenths():
    def last(eta):
        trained = perceptron.train(perceptron.by_hand, eta)
        return perceptron.cost(*trained, perceptron.X, perceptron.Y)

    start = perceptron.cost(*perceptron.initial(), perceptron.X, perceptron.Y)
    assert last(0.999 * 2 / 17) < start < last(1.001 * 2 / 17)


# The hidden scalar layer.


def test_the_hidden_layer_goes_the_way_of_the_course_to_the_last_digit():
    first, second, *_, last = hidden.train(hidden.by_hand)
    assert (first, second) == (36.895630743854284, 23.62323174842504)
    assert last == 1.1937160456525954e-08


def test_the_engine_trains_the_hidden_layer_to_the_same_costs():
    assert hidden.train(hidden.by_engine) == hidden.train(hidden.by_hand)


@pytest.mark.parametrize("towards", [-np.inf, np.inf])
def test_the_digits_of_the_hidden_layer_do_not_hang_on_the_last_one_of_the_exponential(
    monkeypatch, towards
):
    """Two libraries may differ in the last digit of e⁻ᶻ, and in nothing else of this arithmetic."""
    expected = hidden.train(hidden.by_hand)
    exact = np.exp
    monkeypatch.setattr(np, "exp", lambda z: np.nextafter(exact(z), towards))
    assert hidden.train(hidden.by_hand) == expected


def test_the_hidden_layer_goes_the_way_of_matrices_and_complex_steps():
    """Nothing in common but the cost: other shapes, and no derivative."""
    w1, b1, w2, b2 = hidden.initial()
    theta = [np.array([[w1]]), np.array([b1]), np.array([[w2]]), np.array([b2])]
    x, y = np.array([[4.0]]), np.array([[9.0]])

    def cost(w1, b1, w2, b2):
        a1 = 1 / (1 + np.exp(-(np.matmul(x, w1) + b1)))
        return (0.5 * (np.matmul(a1, w2) + b2 - y) ** 2).sum()

    costs = []
    for _ in range(50):
        costs.append(cost(*theta))
        steps = []
        for k in range(4):
            moved = list(theta)
            moved[k] = theta[k] + 1e-200j
            steps.append(cost(*moved).imag / 1e-200)
        theta = [value - 0.1 * step for value, step in zip(theta, steps, strict=True)]
    # What √C is of, an output near 9 less 9, is rounded to the last digit of 9 a few times.
    rounding = 16 * np.spacing(9.0)
    found = np.sqrt(hidden.train(hidden.by_hand))
    np.testing.assert_allclose(found, np.sqrt(costs), rtol=0, atol=rounding)


def test_training_does_not_tell_the_printed_derivatives_from_the_right_ones():
    right, printed = hidden.train(hidden.by_hand), hidden.train(hidden.as_printed)
    np.testing.assert_allclose(printed, right, rtol=3e-3)
    arguments = (*hidden.initial(), hidden.X, hidden.Y)
    ratio = np.divide(hidden.as_printed(*arguments), hidden.by_hand(*arguments))
    np.testing.assert_allclose(ratio, [2.5, 2.5, 1, 1], rtol=2e-3)
    assert sg.check_gradient(hidden.cost, hidden.by_hand, *arguments).ok
    assert not sg.check_gradient(hidden.cost, hidden.as_printed, *arguments).ok


# Two inputs, two hidden units, one output.

ARGUMENTS = (*network.THETA, network.X0, network.X1, network.Y)


def test_the_nine_derivatives_are_the_engines():
    one, other = network.by_hand(*ARGUMENTS), network.by_engine(*ARGUMENTS)
    assert len(one) == len(other) == 9
    np.testing.assert_allclose(one, other, rtol=1e-13)
    sg.assert_gradient(network.cost, network.by_hand, *ARGUMENTS)


def test_the_nine_derivatives_are_those_of_the_two_layers():
    of = network.trace().gradients
    nine = np.concatenate([of[name].ravel() for name in ("W⁽¹⁾", "W⁽²⁾", "b⁽¹⁾", "b⁽²⁾")])
    np.testing.assert_allclose(network.by_hand(*ARGUMENTS), nine, rtol=1e-13)


def test_the_check_names_the_hidden_unit_that_stands_for_an_input():
    report = sg.check_gradient(network.cost, network.as_printed, *ARGUMENTS)
    assert [entry.name for entry in report.entries if not entry.ok] == ["w00", "w01", "w10", "w11"]
    for name, unit, of in (("w00", 0, "x0"), ("w01", 1, "x1"), ("w10", 0, "x0"), ("w11", 1, "x1")):
        z = f"((w{unit}0 · x0) + (w{unit}1 · x1)) + b{unit}"
        said = report[name].diagnosis
        assert said.startswith(f"sigmoid({z}) stands in the place of {of}, in what {name} · {of}")


def test_the_four_updates_are_those_of_the_notes_line_by_line():
    w00, w01, w10, w11, w0, w1, b0, b1, b = network.THETA
    x0, x1, y = network.XOR
    a0, a1, a = network.feed_forward(*network.THETA, x0, x1)
    delta0, delta1, delta = network.deltas(w0, w1, a0, a1, a, y)
    eta = 0.7
    expected = (
        w00 - eta * np.mean(delta0 * x0), w01 - eta * np.mean(delta0 * x1),
        w10 - eta * np.mean(delta1 * x0), w11 - eta * np.mean(delta1 * x1),
        w0 - eta * np.mean(delta * a0), w1 - eta * np.mean(delta * a1),
        b0 - eta * np.mean(delta0), b1 - eta * np.mean(delta1), b - eta * np.mean(delta),
    )  # fmt: skip
    assert network.train(network.by_hand, eta, iterations=1)[0] == expected


def test_the_engine_trains_the_network_to_the_same_weights():
    hand, engine = (network.train(f, iterations=100) for f in (network.by_hand, network.by_engine))
    np.testing.assert_allclose(engine[0], hand[0], rtol=1e-9)
    np.testing.assert_allclose(engine[1], hand[1], rtol=1e-10)


def test_the_four_updates_learn_xor_and_those_with_a_misprint_do_not():
    theta, costs = network.train(network.by_hand)
    *_, a = network.feed_forward(*theta, *network.XOR[:2])
    np.testing.assert_array_equal(np.round(a), network.XOR[2])
    assert costs[-1] < 1e-3
    for misprint in (network.as_printed, network.without_the_output_layer):
        theta, costs = network.train(misprint)
        assert costs[-1] > 0.1
    assert np.array_equal(np.take(theta, (4, 5, 8)), np.take(network.THETA, (4, 5, 8)))


# The four equations.


def test_both_modes_find_one_gradient_and_the_reverse_one_costs_less_than_three_evaluations():
    units = (3, 7, 2, 4)
    _, alone = equations.count(equations.counted_cost, units)
    forward, of_forward = equations.count(equations.forward_mode, units)
    reverse, of_reverse = equations.count(equations.reverse_mode, units)
    np.testing.assert_allclose(forward, reverse, atol=1e-13)
    assert alone < of_reverse < 3 * alone
    assert of_forward == 3 * len(forward) * alone


def test_the_algorithm_in_three_parts_lowers_the_cost():
    W, b = equations.network((2, 5, 2))
    x, y = equations.batch((2, 5, 2))
    costs = []
    for _ in range(50):
        costs.append(equations.cost(W, b, x, y))
        W, b = equations.update(W, b, x, y, eta=0.1)
    assert (np.diff(costs) < 0).all()


# Optimizers.


@pytest.mark.parametrize("nesterov", [False, True])
@given(st.floats(0.01, 1), st.floats(0.1, 0.95), st.floats(0.1, 3))
def test_the_optimizer_takes_the_powers_of_its_matrix(nesterov, eta, mu, h):
    state, M = np.array([1.0, 0.0]), steps.matrix(eta, mu, h, nesterov)
    measured = steps.distances(eta, mu, nesterov, [h], 20)
    for distance in measured:
        assert distance == pytest.approx(abs(state[0]), rel=1e-9, abs=1e-12)
        state = M @ state


@pytest.mark.parametrize("kappa", [4.0, 100.0, 1000.0])
def test_the_best_rates_and_momenta_have_the_factors_of_the_theory(kappa):
    hs, root = np.geomspace(1, kappa, 9), np.sqrt(kappa)
    expected = {
        "descent": (kappa - 1) / (kappa + 1),
        "momentum": (root - 1) / (root + 1),
        "Nesterov": 1 - 1 / root,
    }
    for name, settings in steps.best(kappa).items():
        eta, mu, nesterov = settings
        # Of a double eigenvalue only half of the digits are found.
        assert steps.rate(eta, mu, hs, nesterov) == pytest.approx(expected[name], abs=1e-7)
        if name != "Nesterov":  # which is tuned for convex costs, not for quadratics
            for other in (0.99 * eta, 1.01 * eta):
                assert steps.rate(other, mu, hs, nesterov) > expected[name]


def test_only_the_quasi_newton_method_reaches_the_end_of_the_valley():
    path, calls = steps.quasi_newton()
    assert steps.rosenbrock(path[-1]) < 1e-20
    assert calls < 200
    assert all(steps.rosenbrock(of[-1]) > 1e-4 for of in steps.paths.values())


def test_each_method_with_its_best_rate_trains_the_network_and_a_strong_penalty_leaves_nothing():
    assert all(costs[-1] < 0.2 for _, costs in steps.comparison().values())
    found = steps.accuracies()
    assert np.nanmax(found) > 0.9
    assert (np.nan_to_num(found[-2:]) < 0.2).all()


# The size of δ.


@pytest.mark.parametrize("name", depth.ACTIVATIONS)
def test_the_sweep_hands_back_the_delta_of_the_recursion(name):
    by_engine = depth.by_engine(name)
    assert list(by_engine) == [str(layer) for layer in range(depth.DEPTH, 0, -1)]
    np.testing.assert_allclose(list(by_engine.values()), depth.by_hand(name)[0], rtol=1e-10)


@pytest.mark.parametrize("name", depth.ACTIVATIONS)
def test_a_layer_changes_the_size_of_delta_by_the_root_of_g_times_the_mean_square_slope(name):
    measured, predicted = depth.factors(name)
    assert measured == pytest.approx(predicted, rel=0.02)


def test_a_layer_of_sigmoids_leaves_at_most_a_quarter_of_delta_and_of_the_norm_of_its_weights():
    norms, _ = depth.by_hand("sigmoid")
    Ws, *_ = depth.weights(1.0)
    bounds = [np.linalg.norm(W, 2) / 4 for W in Ws[:0:-1]]
    assert np.all(norms[1:] <= bounds * norms[:-1])


@pytest.mark.parametrize("seed", range(6))
def test_relu_gains_4_to_8_percent_in_a_layer_where_delta_knows_the_weights(seed):
    Ws, x, r = depth.weights(2.0, seed)
    activations = [x]
    for W in Ws:
        activations.append(np.maximum(activations[-1] @ W.T, 0))
    delta = (activations[-1] - r) * (activations[-1] > 0)
    norms = [np.linalg.norm(delta)]
    for W, a in zip(Ws[:0:-1], activations[-2:0:-1], strict=True):
        delta = delta @ W * (a > 0)
        norms.append(np.linalg.norm(delta))
    assert 1.04 < (norms[-1] / norms[0]) ** (1 / len(norms[1:])) < 1.08


def test_the_picture_has_one_labelled_line_for_each_activation():
    labels = [line.get_label().split(":")[0] for line in depth.picture().get_lines()]
    assert labels == list(depth.ACTIVATIONS)


# Linear models.


def test_the_coefficients_of_the_notes_polynomial_are_exact():
    np.testing.assert_allclose(straight.exact(), [5, 0, 0, 1, 3, 1], atol=1e-12)


@pytest.mark.parametrize("lam", [0.0, 0.01, 0.1])
def test_descent_is_as_far_from_the_closed_form_as_the_eigenvalues_say(lam):
    for _, measured, predicted in straight.descent(lam, (0, 1, 10, 100)):
        assert measured == pytest.approx(predicted, rel=1e-9)


def test_lasso_keeps_none_beyond_its_limit_first_the_product_and_then_the_three_of_the_function():
    lams, of_each = straight.paths()
    limit = straight.linear.lasso_limit(*straight.standardised())
    lasso, ridge = of_each["Lasso"], of_each["Ridge"]
    np.testing.assert_array_equal(lasso[lams >= limit], 0)
    first = lasso[np.flatnonzero(lasso.any(axis=1))[0]]
    assert [name for name, t in zip(straight.NAMES, first, strict=True) if t] == ["x₀x₁"]
    at = lasso[np.abs(lams - 0.04).argmin()]
    largest = sorted(zip(np.abs(at), straight.NAMES, strict=True))[-3:]
    assert {name for _, name in largest} == set(straight.TRUE)
    assert (at == 0).sum() >= 6
    assert (ridge != 0).all()


def test_the_picture_of_the_paths_marks_the_limit_on_a_logarithmic_axis():
    limit = straight.linear.lasso_limit(*straight.standardised())
    for ax in straight.picture().axes:
        assert ax.get_xscale() == "log"
        lines = {line.get_label(): line for line in ax.get_lines()}
        np.testing.assert_array_equal(lines[r"$\lambda_{max}$"].get_xdata(), limit)
        assert set(straight.TRUE) < lines.keys()


# Universal approximation.

KINK = approximation.Target("a kink", lambda x: np.abs(x - 1 / 3), L=1.0)
CONTINUOUS = pytest.mark.parametrize("target", [approximation.SINE, KINK], ids=lambda t: t.name)


@given(st.integers(1, 40), st.floats(0.5, 50))
def test_the_bumps_of_the_constructed_network_are_probabilities_and_its_value_their_mean(n, k):
    x, knots = approximation.GRID[::500], np.arange(n + 1) / n
    f = approximation.constructed(approximation.SINE, n, k)
    steps = approximation.sigmoid(np.multiply.outer(x, f.w) + f.b)
    edge = np.ones((len(x), 1))
    bumps = np.hstack([edge, steps]) - np.hstack([steps, 0 * edge])
    assert bumps.min() >= 0
    np.testing.assert_allclose(bumps.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(f(x), bumps @ approximation.SINE.F(knots), atol=1e-12)


@CONTINUOUS
@pytest.mark.parametrize("k", [1.0, 2.0, 20.0])
def test_the_constructed_network_is_as_near_to_a_continuous_target_as_the_proof_says(target, k):
    for n in (1, 2, 3, 5, 8, 20, 100):
        error = approximation.greatest_error(target, approximation.constructed(target, n, k))
        assert error <= approximation.greatest_bound(target, n, k)


@CONTINUOUS
@pytest.mark.parametrize("epsilon", [0.3, 0.03, 0.01])
def test_for_each_epsilon_there_is_a_width_that_is_enough(target, epsilon):
    n = approximation.width_for(target, epsilon)
    f = approximation.constructed(target, n)
    assert approximation.greatest_error(target, f) < epsilon
    assert approximation.mean_error(target, f) ** 2 < epsilon**2
    np.testing.assert_array_equal(f.w, approximation.STEEP * n)  # the weights that the proof names


@given(st.integers(1, 30), st.integers(0, 999), st.floats(-1, 4))
def test_no_network_comes_nearer_to_a_jump_than_half_of_it(n, seed, log_size):
    """At s − h and s the network differs by at most h times its slope, the target by J − L h."""
    target, rng = approximation.JUMP, np.random.default_rng(seed)
    w, b, a = 10**log_size * rng.standard_normal((3, n))
    f = approximation.Network(w, b, a, rng.standard_normal())
    h = 1e-3 / (f.lipschitz + target.L)
    x = np.array([target.s - h, target.s])
    assert np.abs(target.F(x) - f(x)).max() >= 0.5 * (target.J - 1e-3) - 1e-9 * np.abs(a).sum()
    assert approximation.greatest_error(target, f) >= target.J / 2


def test_neither_the_constructed_nor_the_trained_network_comes_nearer_to_the_jump():
    for n in (2, 16, 500):
        f = approximation.constructed(approximation.JUMP, n)
        assert approximation.greatest_error(approximation.JUMP, f) >= 0.5
    f, _ = approximation.trained(approximation.JUMP, 8, steps=60)
    assert approximation.greatest_error(approximation.JUMP, f) >= 0.5
    assert approximation.mean_error(approximation.JUMP, f) < 0.1


@pytest.mark.parametrize("k", [2.0, 20.0])
def test_the_mean_square_error_falls_at_a_jump_too(k):
    target = approximation.JUMP
    x = (np.arange(20_000) + 0.5) / 20_000
    assert np.isfinite((target.F(x) ** 2).mean())
    bounds = []
    for n in (1, 2, 5, 16, 64, 256):
        f = approximation.constructed(target, n, k)
        bounds.append(approximation.mean_bound(target, n, k))
        assert np.sqrt(((target.F(x) - f(x)) ** 2).mean()) <= bounds[-1]
    assert bounds[-1] < bounds[0] / 10
    assert approximation.mean_bound(target, 10**8, k) < 1e-3


@pytest.mark.parametrize("target", [approximation.SINE, approximation.JUMP], ids=lambda t: t.name)
def test_training_begins_at_a_constructed_network_and_each_step_lowers_its_error(target):
    start = approximation.constructed(target, 8, approximation.SOFT)
    f, costs = approximation.trained(target, 8, steps=60)
    assert costs[0] == pytest.approx(0.5 * approximation.mean_error(target, start) ** 2, rel=1e-12)
    assert (np.diff(costs) <= 0).all()
    assert 0.5 * approximation.mean_error(target, f) ** 2 <= costs[-1]
    assert approximation.mean_error(target, f) < approximation.mean_error(target, start) / 2


def test_eight_trained_units_are_nearer_to_the_sine_than_sixty_four_constructed_ones():
    f, _ = approximation.trained(approximation.SINE, 8, steps=60)
    of_many = approximation.constructed(approximation.SINE, 64)
    few, many = (approximation.greatest_error(approximation.SINE, g) for g in (f, of_many))
    assert few < many


def test_the_chapter_on_approximation_prints_both_tables_and_draws_both_errors():
    lines = approximation.said.splitlines()
    widths = [line.split()[0] for line in lines if re.match(r"\d+ ", line)]
    assert widths == 2 * [str(n) for n in approximation.WIDTHS]
    assert any(line.startswith("ε = 0.1: 36 units are enough") for line in lines)
    networks = {of: approximation.networks(of) for of in (approximation.SINE, approximation.JUMP)}
    *_, below, at_jump = approximation.picture(networks).figure.axes
    assert len(below.get_lines()) == len(at_jump.get_lines()) == 5


@pytest.mark.slow
def test_trained_networks_of_4_to_32_units_are_within_a_thousandth_of_the_sine():
    for n in (4, 8, 16, 32):
        f, _ = approximation.trained(approximation.SINE, n)
        assert approximation.greatest_error(approximation.SINE, f) < 1e-3


# Nuclear masses.


@pytest.fixture
def masses():
    folder = pathlib.Path(os.environ.get("SCRATCHGEN_DATA") or "absent")
    if not any((folder / place / "mass16.txt").is_file() for place in (".", "nuclear")):
        pytest.skip("SCRATCHGEN_DATA names no folder that holds AME2016's mass16.txt")
    return kept("nuclear_masses")


def test_drop_and_network_know_the_nuclei_that_are_held_out_to_four_tenths_of_an_mev(masses):
    name, _, _, drop = next(masses.drops())
    assert name == "OLS"
    assert 2.9 < drop < 3.1
    error = masses.left()
    network = masses.rms(error[masses.parts(len(error))[1]])
    assert network <= 0.4
    assert f"{network:.2f} MeV" in masses.said
    assert masses.said.count("\nsolved") == masses.said.count("not solved yet") == 3
    assert len(masses.picture().figure.axes) == 4  # two, and a bar of colours for each


def test_every_fifth_nucleus_is_held_out_and_no_other(masses):
    train, held_out = masses.parts(100)
    assert len(held_out) == 20
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), np.arange(100))


def test_without_its_file_the_chapter_says_in_one_line_what_is_missing_and_runs_to_its_end(
    monkeypatch,
):
    def missing():
        raise RuntimeError("mass16.txt was not found")

    monkeypatch.setattr(sg.datasets, "nuclear_masses", missing)
    lines = Chapter("nuclear_masses").said.splitlines()
    assert lines[0] == "Note: this page is incomplete. mass16.txt was not found."
    assert [line[:6] for line in lines[1:]] == 3 * ["not so", "solved"]


# The divergences.


def test_the_forward_fit_has_the_moments_of_the_mixture_and_no_slope():
    x, p = divergences.GRID, np.exp(divergences.log_mixture(divergences.GRID))
    mu, log_sigma = divergences.forward()
    step = x[1] - x[0]
    assert (p * x).sum() * step == pytest.approx(mu, abs=1e-12)
    assert (p * (x - mu) ** 2).sum() * step == pytest.approx(np.exp(2 * log_sigma), rel=1e-12)

    def cost(theta):
        return -(p * divergences.log_gaussian(x, theta[0], theta[1])).sum() * step

    assert np.abs(sg.grad(cost)(np.array([mu, log_sigma]))).max() < 1e-12


def test_the_reverse_fits_are_stationary_and_cost_the_logarithm_of_the_share_of_their_mode():
    fits = divergences.fits()
    for share, name in zip(divergences.SHARES, ("reverse, left", "reverse, right"), strict=True):
        theta = fits[name]
        assert np.abs(sg.grad(divergences.reverse_cost)(theta)).max() < 1e-5
        # p ≥ π N_k, so that q = N_k costs at most −log π; the modes overlap by some 10⁻³.
        cost = divergences.reverse_cost(theta)
        assert cost <= -np.log(share)
        assert cost == pytest.approx(-np.log(share), abs=2e-3)


def test_each_fit_has_the_least_of_its_divergence():
    of = {name: divergences.divergences(theta) for name, theta in divergences.fits().items()}
    assert min(of, key=lambda name: of[name][0]) == "forward"
    assert min(of, key=lambda name: of[name][1]) == "reverse, left"


def test_draws_of_one_mode_cover_its_share():
    real, of_fits = divergences.draws()
    shares = sg.metrics.precision_recall_density_coverage(of_fits["reverse, left"], real)
    # A binomial share of 1,000 draws: five standard deviations around 0.6.
    assert abs(shares.recall - 0.6) <= 5 * np.sqrt(0.24 / len(real))


def test_the_estimate_without_equal_pairs_has_the_exact_discrepancy_as_mean():
    for d in (0.0, 1.0):
        of_all, unbiased = divergences.estimates(d).T
        error = unbiased.std() / np.sqrt(len(unbiased))
        assert abs(unbiased.mean() - divergences.exact_mmd2(d)) <= 5 * error
        assert (of_all > unbiased).all()


def test_each_metric_is_pleased_by_an_impostor():
    reference, sets = divergences.impostors()
    judged = {
        name: dict(zip(divergences.NAMES, divergences.judged(x, reference), strict=True))
        for name, x in sets.items()
    }
    for of in (judged["held-out digits"], judged["copies of training"]):
        assert of["p-value"] > 0.05
        assert min(of["precision"], of["recall"], of["coverage"]) > 0.9
    assert divergences.copied(sets["copies of training"]) == 1
    assert divergences.copied(sets["held-out digits"]) < 0.05
    single = judged["one digit, n times"]
    assert single["precision"] == 1
    assert single["coverage"] < 0.1
    assert judged["shuffled pixels"]["recall"] > 0.8
    assert judged["shuffled pixels"]["coverage"] == 0
    assert judged["means of two digits"]["density"] > 1.3


# The bound of a diffusion model.


@pytest.mark.parametrize("T", [2, 5])
def test_the_consistency_is_the_third_term_along_a_path(T):
    model, rng = diffusion.best(T, "linear"), sg.generator(0)
    x0 = diffusion.MEAN + diffusion.DEVIATION * rng.standard_normal((20_000, 1))
    sampled = diffusion.bound.path_terms(model, x0, rng)[2]
    error = sampled.std() / np.sqrt(len(sampled))
    assert abs(sampled.mean() - diffusion.consistencies(model)[0]) <= 5 * error


def test_the_printed_divergence_exceeds_the_consistency_by_the_noise_that_it_counts_twice():
    # For N(0, 1) the excess is Σ α_{t+1} β_t/β_{t+1}.
    model = diffusion.best(50, "linear", mean=0.0, deviation=1.0)
    signs = np.array(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0])).reshape(3, -1)
    both = [
        [of.mean() for of in diffusion.consistency(model, t, signs, 0.0, 1.0)]
        for t in range(model.T - 1)
    ]
    right, printed = np.sum(both, axis=0)
    excess = (model.alpha[1:] * model.beta[:-1] / model.beta[1:]).sum()
    assert printed - right == pytest.approx(excess, rel=1e-10)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_exact_terms_add_up_to_no_less_than_the_entropy(schedule):
    for T in (2, 20):
        first, prior, steps = diffusion.terms(diffusion.best(T, schedule))
        assert first + prior + steps.sum() > diffusion.entropy()
    first, prior, steps = diffusion.terms(diffusion.best(20, schedule, "beta", 0.0, 1.0), 0.0, 1.0)
    assert first + prior + steps.sum() == pytest.approx(diffusion.entropy(1.0), abs=1e-12)


def test_a_term_of_one_variable_varies_less_but_the_sum_along_a_path_does():
    apart, along = diffusion.of_one_term(100, 50)
    assert apart < along / 10
    wholes = diffusion.spreads()
    assert (wholes[:, 1] < wholes[:, 0]).all()


# Boltzmann machines.


def test_the_two_phases_are_the_gradient_of_the_likelihood_and_gibbs_leaves_the_model_as_it_is():
    theta, _ = boltzmann.trained("PCD-1")
    p = boltzmann.probabilities(*theta)
    exact = sg.grad(boltzmann.nll, argnum=(0, 1, 2))(*theta)
    for ours, expected in zip(boltzmann.phases(*theta, p), exact, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-12)
    np.testing.assert_allclose(boltzmann.after(*theta, p, 3), p, atol=1e-14)


def test_a_chain_forgets_at_the_rate_of_the_second_eigenvalue():
    theta, _ = boltzmann.trained("PCD-1")
    p, q = boltzmann.probabilities(*theta), boltzmann.after(*theta, boltzmann.DATA, 600)
    following = boltzmann.after(*theta, q, 1)
    rate = np.abs(following - p).sum() / np.abs(q - p).sum()
    assert rate == pytest.approx(boltzmann.second_eigenvalue(*theta), rel=1e-3)


def test_contrastive_divergence_passes_its_best_likelihood_and_persistent_chains_fall_behind():
    likelihood, cd, pcd = (boltzmann.trained(m, "Adam")[1] for m in boltzmann.METHODS["Adam"])
    assert (likelihood < boltzmann.BEST).all()
    assert likelihood[-1] > likelihood[0] + 3
    assert cd[-1] < cd.max() - 1
    assert pcd[100:].max() < cd.max() < likelihood[-1]
    slow = {m: boltzmann.trained(m)[1][-1] for m in boltzmann.METHODS["SGD"]}
    assert slow["CD-1"] + 0.3 < slow["CD-10"] < slow["PCD-1"]


def test_weights_are_worth_nats_on_digits_that_were_held_out():
    for persistent in (False, True):
        _, likelihoods, _ = boltzmann.of_digits(persistent)
        assert likelihoods[boltzmann.LOOKED_AT[-1]] > boltzmann.bits_alone() + 3


# Gaussian units.

gaussian = kept("gaussian_units")


def test_two_gaussian_units_find_four_clouds_and_their_deviation():
    machine, curve = gaussian.trained()
    assert gaussian.one_gaussian() + 1 < curve[-1] < gaussian.best_machine() + 0.01
    np.testing.assert_allclose(np.exp(0.5 * machine.log_var.data), gaussian.SIGMA, rtol=0.1)
    lengths = sorted(np.linalg.norm(machine.W.data, axis=0))
    np.testing.assert_allclose(lengths, sorted(np.linalg.norm(gaussian.SIDES, axis=0)), rtol=0.1)
    for settings in ({"sigma": 1.0}, {"scale": 0.01}):
        assert gaussian.trained(**settings)[1][-1] < curve[-1] - 0.5


def test_a_large_rate_throws_gaussian_units_far_below_independent_ones():
    of_rates = {rate: gaussian.of_pixels(rate)[1] for rate in gaussian.RATES}
    assert of_rates[0.003].min() > gaussian.independent() - 1
    assert of_rates[0.3].min() < gaussian.independent() - 20
    assert of_rates[0.03][-1] > gaussian.independent() + 4


# Energy-based models.

energies = kept("energy_based_models")


@pytest.mark.parametrize("eps", [0.05, 0.2, 0.4, 0.6, 0.8])
def test_the_unadjusted_chain_is_as_wide_as_the_step_says_and_the_adjusted_one_as_the_energy(eps):
    n = 20_000
    plain, adjusted, accepted = energies.on_a_bowl(eps, n)
    assert plain == pytest.approx(energies.stationary(eps), rel=5 * np.sqrt(2 / n))
    assert adjusted == pytest.approx(energies.S2, rel=5 * np.sqrt(2 / n))
    share = energies.acceptance(eps)
    assert accepted == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / n))


def test_the_energy_of_the_ring_has_its_score_as_slope():
    x = energies.ring(seed=5, n=50).astype(np.float64)
    slope = sg.grad(lambda x: energies.true_energy(x).sum())(x)
    np.testing.assert_allclose(-slope, energies.toys.ring_score(x), atol=1e-9)


@pytest.mark.rounding
@pytest.mark.parametrize("chains", ["data", "buffer"])
def test_an_energy_network_learns_the_eight_modes_and_their_score(chains):
    model, curve = energies.trained(chains)
    assert energies.ANNULUS + 0.2 < [*curve.values()][-1] < energies.TRUTH + 0.05
    x = energies.ring(seed=3)
    exact = energies.toys.ring_score(x)
    wrong = energies.score(model, x) - exact
    assert (wrong**2).mean() < 0.5 * (exact**2).mean()


def test_chains_hardly_leave_the_mode_in_which_they_start():
    shares = energies.crossing()
    assert shares[10][0] > 0.95
    assert shares[1000][0] > 0.5


# The variational autoencoder.

encoder = kept("variational_autoencoder")


@given(st.floats(-3, 3), st.floats(0.01, 5), st.floats(-4, 4))
def test_the_bound_and_the_distance_from_the_posterior_add_up_to_the_evidence(mean, variance, x):
    gap = encoder.kl(mean, variance, *encoder.posterior(x))
    total = encoder.elbo(mean, variance, x) + gap
    expected = encoder.log_normal(x, 0.0, encoder.SLOPE**2 + encoder.NOISE**2)
    assert gap >= 0
    assert total == pytest.approx(expected, rel=1e-12, abs=1e-10)


def test_both_estimates_have_the_derivative_as_mean_and_the_deviations_of_the_picture():
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    weights = weights / weights.sum()
    for D in (1, 2, 3):
        eps = np.stack(np.meshgrid(*[nodes] * D, indexing="ij"), axis=-1).reshape(-1, D)
        w = np.prod(np.meshgrid(*[weights] * D, indexing="ij"), axis=0).ravel()
        for estimates, deviation in (
            (encoder.reparameterised_estimates(eps), encoder.SIGMA),
            (encoder.score_estimates(eps), encoder.deviation_of_score(D)),
        ):
            assert w @ estimates == pytest.approx(encoder.MU, rel=1e-12)
            assert np.sqrt(w @ (estimates - encoder.MU) ** 2) == pytest.approx(deviation, rel=1e-12)


def test_the_estimate_of_the_divergence_has_the_closed_form_as_mean():
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    mu, log_var = np.array([0.8]), np.array([-1.0])
    mean = weights @ encoder.estimated_kl(mu, log_var, nodes[:, None]) / weights.sum()
    assert mean == pytest.approx(sg.operations.gaussian_kl(mu[None], log_var[None])[0], rel=1e-12)


def test_a_large_beta_empties_all_latents_and_the_decoder_shows_one_image():
    assert encoder.active(encoder.trained(8)[0]) >= 5
    collapsed, _ = encoder.trained(8, encoder.BETAS[-1])
    assert encoder.active(collapsed) == 0
    spread = [
        encoder.trained(8, beta)[0].sample(100, sg.generator(0)).std(axis=0).max()
        for beta in (1.0, 6.0)
    ]
    assert spread[1] < spread[0] / 4


def test_the_bound_rises_with_the_number_of_latents():
    for importance in (1, 5):
        bounds = encoder.bounds(importance)
        assert sorted(bounds) == bounds


# The hierarchical VAE.

hierarchy = kept("hierarchical_vae")


@pytest.mark.parametrize("r", [0.0, 0.5, 0.95])
def test_every_path_of_the_exact_hierarchy_weighs_the_evidence(r):
    x = hierarchy.points(20)
    model, expected = hierarchy.exact_model(r).frozen(), hierarchy.log_evidence(x)
    for seed in range(3):
        weights = model.log_weight(x, rng=sg.generator(seed))
        np.testing.assert_allclose(weights, expected, rtol=1e-10)


def test_the_bound_with_the_log_ratio_is_the_evidence_and_the_printed_one_likes_an_empty_top():
    x = hierarchy.points(20)
    losses = []
    for r in (0.0, 0.3, 0.6, 0.9):
        right, printed = hierarchy.both_forms(r, x)
        np.testing.assert_allclose(right, hierarchy.log_evidence(x), rtol=1e-10)
        losses.append((right - printed).max())
    assert losses[0] == pytest.approx(0, abs=1e-12)
    assert sorted(losses) == losses


@pytest.mark.rounding
def test_a_second_layer_and_a_warm_up_are_worth_tenths_of_a_nat():
    two, without, one = (
        hierarchy.judged(hierarchy.trained(**settings)[0])[0]
        for settings in ({}, {"warm_up": False}, {"layers": 1})
    )
    assert two < one - 0.1
    assert two < without - 0.1


# The linear autoencoder.


def test_the_bound_of_the_linear_autoencoder_comes_down_to_its_exact_optimum_and_never_below():
    _, costs = autoencoder.trained()
    best, _ = autoencoder.best_log_likelihood(autoencoder.LATENTS)
    assert (costs >= -best).all()
    assert costs[-1] + best < 0.05


def test_the_optimum_is_the_log_likelihood_of_the_principal_components_with_noise():
    from scipy import stats

    x, q = autoencoder.data(), 3
    values, axes = autoencoder.spectrum()
    best, s2 = autoencoder.best_log_likelihood(q)
    W = axes[:q].T * np.sqrt(values[:q] - s2)
    exact = stats.multivariate_normal(np.zeros(x.shape[1]), W @ W.T + s2 * np.eye(x.shape[1]))
    assert exact.logpdf(x).mean() == pytest.approx(best, rel=1e-10)


def test_the_cost_in_closed_form_is_the_mean_of_the_models_own_estimates():
    model, x = autoencoder.trained()[0], autoencoder.data()
    draws = [-model.frozen().elbo(x, rng=sg.generator(k)).mean() for k in range(20)]
    error = np.std(draws, ddof=1) / np.sqrt(len(draws))
    assert abs(np.mean(draws) - autoencoder.exact_cost(model)) <= 5 * error


def test_latents_whose_eigenvalue_is_below_the_noise_collapse_and_the_others_have_their_length():
    of_columns = np.linalg.norm(autoencoder.collapsed.decoder.mean.weight.data, axis=0)
    expected = autoencoder.lengths_of(autoencoder.KEPT)
    assert 0 < np.count_nonzero(expected) < autoencoder.LATENTS
    # The eigenvalues that are near to s² decide little, and come to their place slowly.
    np.testing.assert_allclose(np.sort(of_columns)[::-1], expected, atol=0.12)


# The game of two players.


def test_steps_at_the_same_time_leave_the_equilibrium_by_the_root_of_one_and_eta_squared():
    distances = adversaries.orbit(50, "simultaneous", 0.2)
    np.testing.assert_allclose(distances, 1.04 ** (np.arange(51) / 2), rtol=1e-12)


def test_steps_in_turn_stay_on_an_ellipse():
    # x² + y² − η x y is the same after each step; distances lie between its half axes.
    x, y, eta = 1.0, 0.0, 0.2
    for _ in range(100):
        x -= eta * y
        y += eta * x
        assert x * x + y * y - eta * x * y == pytest.approx(1, rel=1e-12)
    distances = adversaries.orbit(1000, "alternating", eta)
    assert distances.max() <= 1 / np.sqrt(1 - eta / 2) + 1e-12
    assert distances.min() >= 1 / np.sqrt(1 + eta / 2) - 1e-12


def test_optimism_leads_into_the_equilibrium():
    assert adversaries.orbit(1000, "optimistic", 0.2)[-1] < 1e-6


def test_the_value_of_the_game_at_the_best_discriminator_is_the_divergence():
    for s in adversaries.game(adversaries.STARTS[0])[0][::6]:
        best = adversaries.value(s["D*"], s["p_r"], s["p_g"])
        assert best == pytest.approx(2 * s["JS"] - 2 * np.log(2), abs=1e-6)
        assert adversaries.value(s["D"], s["p_r"], s["p_g"]) <= best + 1e-9


@pytest.mark.rounding
def test_the_discriminator_learns_the_best_one():
    states, _ = adversaries.game(adversaries.STARTS[0])
    assert np.mean([adversaries.weighted_error(s) for s in states]) < 0.05


@pytest.mark.parametrize(("a", "b"), [(0.7, 0.4), (0.9, -0.4)])
def test_the_slopes_of_both_costs_of_the_generator_are_those_of_divergences(a, b):
    x = adversaries.GRID
    p_r, step = adversaries.density_of_data(x), x[1] - x[0]

    def p_g(theta):
        return np.exp(-0.5 * ((x - theta[1]) / theta[0]) ** 2) / (np.sqrt(2 * np.pi) * theta[0])

    def kl(p, q):
        return (p * np.log(p / q)).sum() * step

    def js(theta):
        q = p_g(theta)
        m = (p_r + q) / 2
        return (kl(p_r, m) + kl(q, m)) / 2

    theta = np.array([a, b])
    best = p_r / (p_r + p_g(theta))  # held fixed while G moves
    non_saturating = sg.grad(lambda t: -(p_g(t) * np.log(best)).sum() * step)(theta)
    minimax = sg.grad(lambda t: (p_g(t) * np.log1p(-best)).sum() * step)(theta)
    of_js, of_kl = sg.grad(js)(theta), sg.grad(lambda t: kl(p_g(t), p_r))(theta)
    np.testing.assert_allclose(minimax, 2 * of_js, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(non_saturating, of_kl - 2 * of_js, rtol=1e-6, atol=1e-8)


# Generative adversarial networks.


@pytest.mark.parametrize("d", [0.0, 0.3, 1.0, 3.0])
def test_no_discriminator_has_a_larger_value_than_the_best_one(d):
    p_r, p_g = game.normal(0.0), game.normal(d)
    best = game.best_discriminator(p_r, p_g)
    at_best = game.value(best, p_r, p_g)
    expected = 2 * game.divergence(p_r, p_g) - 2 * np.log(2)
    assert at_best == pytest.approx(expected, abs=1e-12)
    for shift in (-0.1, 0.1):
        assert game.value(best + shift * best * (1 - best), p_r, p_g) < at_best
    assert game.value(np.full_like(best, 0.5), p_r, p_g) == pytest.approx(-2 * np.log(2), abs=1e-12)


@pytest.mark.parametrize("eta", [0.1, 0.4, 0.8])
def test_near_its_equilibrium_the_smallest_gan_turns_and_leaves(eta):
    distances = np.linalg.norm(game.play(eta, 20, (1e-5, 0.0)), axis=1)
    np.testing.assert_allclose(distances[1:] / distances[:-1], np.sqrt(1 + eta**2 / 4), rtol=1e-8)


@pytest.mark.rounding
def test_with_little_momentum_all_eight_modes_are_found_and_with_more_most_are_not():
    samples, _ = game.ring_game(0.5)
    assert game.shares(samples[-1]).min() > 0.02
    samples, _ = game.ring_game(0.9)
    assert (game.shares(samples[11]) < 0.02).sum() >= 4


@pytest.mark.rounding
def test_the_small_gan_is_nearer_to_held_out_digits_than_a_tenth_of_the_noise():
    model, *_ = game.digits_game()
    reference = game.HELD_OUT[200:]
    noise = 2 * sg.generator(0).random((150, 64)) - 1
    fakes = model.sample(150, sg.generator(0))
    near, far = (sg.metrics.mmd2_unbiased(x, reference) for x in (fakes, noise))
    assert near < far / 10


# From a hierarchy to diffusion.


@pytest.mark.parametrize("T", [1, 2, 7])
def test_a_hierarchical_vae_of_fixed_encoders_has_the_bound_of_the_chain_draw_by_draw(T):
    of_hierarchy, of_chain = chain.both(T, n=20, seed=5)
    np.testing.assert_allclose(of_hierarchy, of_chain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_steps_of_the_encoder_compose_to_the_one_of_the_product(schedule):
    steps = chain.noising.Steps(chain.noising.SCHEDULES[schedule](300))
    left = steps.alpha_bar
    expected = np.stack([np.sqrt(left), 1 - left], axis=1)
    np.testing.assert_allclose(chain.step_by_step(steps.alpha), expected, rtol=1e-11)


def test_the_prior_matching_of_the_notes_is_nineteen_nats():
    steps = chain.noising.Steps(chain.noising.linear_schedule(300))
    assert steps.prior_kl(chain.ones).item() == pytest.approx(19.3, abs=0.05)


# Denoising diffusion.


@pytest.mark.parametrize("t", [1, 30, 99])
def test_the_step_back_from_known_data_is_that_of_bayes(t):
    steps = ddpm.noising.Steps(ddpm.noising.cosine_schedule(100))
    of_library = steps.posterior(np.array([[0.5]]), np.array([[-0.9]]), t - 1, t)
    on_grid = ddpm.by_bayes(steps, 0.5, -0.9, t)
    np.testing.assert_allclose([of.item() for of in of_library], on_grid, rtol=1e-8)


def test_the_exact_predictor_makes_the_chain_reproduce_each_marginal_as_the_steps_grow():
    for variance in ("beta", "posterior"):
        errors = []
        for T in (30, 300, 3000):
            model = ddpm.exact(T, variance)
            times, means, variances = ddpm.chain_back(model).T
            mean, expected = ddpm.of_forward(model, times.astype(int))
            errors.append(max(np.abs(means - mean).max(), np.abs(variances - expected).max()))
        assert errors[2] < errors[1] / 5 < errors[0] / 25
    assert ddpm.chain_back(ddpm.exact(1000), 1000)[-1, 2] == pytest.approx(0.25, rel=5e-3)


@pytest.mark.rounding
def test_few_steps_of_ddim_are_enough_for_a_velocity_and_not_for_a_noise():
    (_, of_velocity), (_, of_noise) = (ddpm.judged(of, 10) for of in ("velocity", "noise"))
    assert of_velocity > 0.6 > 0.3 > of_noise
    assert ddpm.judged("noise", None)[1] > 0.8


@pytest.mark.rounding
def test_no_network_predicts_the_noise_of_the_ring_better_than_its_closed_form():
    costs = ddpm.costs_of_times([5, 20, 50, 80], n=4000)
    # The excess is the mean of (ε̂ − E[ε|x_t])² and of a product of mean 0, which varies by √n.
    assert (costs[:, 1:] >= costs[:, :1] * (1 - 5 / np.sqrt(4000))).all()
    assert (costs[:, 1] <= costs[:, 0] + 0.1).all()


# Scores.


def test_denoising_by_draws_is_the_formula_of_tweedie():
    for x in ([0.5, 0.2], [-1.0, -2.0]):
        expected = x + 0.8**2 * sg.datasets.toys.ring_score(np.array([x]), 0.8)[0]
        np.testing.assert_allclose(scores.denoised_by_hand(np.array(x), 0.8), expected, atol=0.02)


def test_annealing_finds_the_shares_of_the_modes_and_one_level_keeps_those_of_the_start():
    assert abs(scores.shares["annealed"] - 0.8) < 0.05
    # A start that is symmetric about 0 gives each mode one half: five standard deviations.
    assert abs(scores.shares["plain"] - 0.5) < 5 * 0.5 / np.sqrt(4000) + 0.01


def test_the_density_of_the_flow_of_a_gaussian_is_its_own():
    x = np.array([[-0.8], [0.4], [1.9]])
    found = scores.exact_ddpm(1000).flow_log_likelihood(x)
    np.testing.assert_allclose(found, scores.log_density(x[:, 0]), atol=2e-3)


@pytest.mark.rounding
def test_the_learned_score_costs_no_less_than_the_exact_one_and_little_more():
    learned, exact = scores.costs_by_level().T
    assert (learned >= exact - 5 * 1.5 / np.sqrt(4000)).all()
    assert (learned <= exact + 0.25).all()


# Conditions.


def test_guidance_sharpens_the_class_and_pays_with_diversity():
    sure = [conditions.of_class_one(conditions.guided(w)).mean() for w in (0.0, 1.0, 4.0)]
    outer = [conditions.share_near(conditions.guided(w)) for w in (0.0, 1.0, 4.0)]
    assert sure == sorted(sure)
    assert outer == sorted(outer)
    of_density = conditions.share_near(conditions.PLANE, conditions.sharpened(4.0).ravel())
    assert outer[-1] > of_density + 0.05  # guidance does not sample p(x) p(c|x)^{1 + w}


def test_resampling_brings_the_completion_near_to_the_exact_conditional():
    mean, variance = conditions.exactly("1")
    once, often = (conditions.completions(r) for r in ("1", "10"))
    assert abs(once.mean() - conditions.limit[0]) < 0.05
    assert abs(often.mean() - mean) < 0.1 < abs(once.mean() - mean)
    assert abs(often.var() - variance) < abs(once.var() - variance)


def test_the_gradient_method_trusts_what_is_known_too_much():
    mean, variance = conditions.exactly("gradient")
    u = conditions.completions("gradient")
    assert u.mean() > mean + 0.1
    assert u.var() < variance


def test_replaced_averages_are_right_in_each_sample():
    pixels = conditions.finer("replacement")
    np.testing.assert_allclose(pixels.mean(axis=1), conditions.Y, atol=1e-6)
    assert conditions.exact_pixels(0.0).mean() == pytest.approx(conditions.Y)


# Checking a derivative.


def test_each_slip_is_refused_and_all_but_one_are_named():
    assert not any(report.ok for report in checking.REPORTS.values())
    kinds = {name: report["w"].kinds for name, report in checking.REPORTS.items()}
    assert [name for name, of in kinds.items() if not of] == ["a factor σ′ too many"]


def test_the_complex_step_has_all_digits_where_differences_have_half_of_them():
    forward, central, complex_step = checking.errors()
    assert complex_step[checking.H < 1e-8].max() < 1e-15
    assert 1e-10 < forward.min() < 1e-7
    assert 1e-13 < central.min() < 1e-9


def test_what_cannot_be_seen_is_undecided_and_refused():
    assert checking.lost["w"].verdict == "UNDECIDED"
    assert not checking.lost.ok
    assert checking.relu.ok
    assert not checking.refused.ok
    assert not checking.flat.ok
    assert checking.flat["w"].ok


# On a GPU, and on many threads.


def test_a_rule_that_moves_data_unasked_is_refused_by_a_strict_array():
    ran = [
        name for name, rule in machines.RULES.items() if machines.runs(rule, np.ones(3)) == "runs"
    ]
    assert ran == ["np.tanh(z)", "np.maximum(z, 0)"]


def test_the_parts_of_a_batch_have_the_gradient_of_the_whole_and_one_result_on_any_threads():
    for size in (37, 128):
        np.testing.assert_allclose(machines.gradients(size), machines.whole, atol=1e-15)
    np.testing.assert_array_equal(machines.trained(1), machines.trained(3))


@pytest.mark.rounding
def test_a_last_digit_grows_to_the_size_of_the_weights_at_a_large_rate_and_not_at_a_small_one():
    for dtype, digits in ((np.float32, 1e-7), (np.float64, 1e-16)):
        distances = machines.apart(dtype=dtype)
        assert 0 < distances[0] < digits
        assert distances.max() > 0.1
    assert machines.apart(rate=0.5).max() < 1e-4


def test_a_sum_is_within_the_bound_of_its_roundings():
    n, one_by_one, _ = machines.sums().T
    assert (one_by_one <= n * np.finfo(np.float32).eps / 2).all()


# A layer of your own.


def test_the_forgotten_term_is_along_x_which_the_output_does_not_depend_on():
    assert layer.check_the_rule().ok
    assert layer.check_the_cost().ok
    assert not layer.refused().ok
    x, g = layer.arrays()
    along = [(x * of(x, g)[0]).sum(axis=1) for of in (layer.by_hand, layer.forgetful)]
    assert np.abs(along[0]).max() < 1e-4 < np.abs(along[1]).max()


def test_the_command_runs_the_two_checks_of_the_layer_and_nothing_else():
    found = dict(sg.gradcheck.check_file(FOLDER / "my_layer.py"))
    assert {name: report.ok for name, report in found.items()} == {
        "check_the_rule": True,
        "check_the_cost": True,
    }


# The errata.

SAID = {
    "E1": ("constant dropped", "a", "it lacks a factor equal to 5"),
    "E2": ("other operand", "J", "J · bonds stands in the place of bonds"),
    "E3": ("derivative missing", "W", "the derivative of exp("),
    "E5": ("transposed operand", "b1", "W2 is transposed"),
    "E6": ("other operand", "W1", "sigmoid((x @ W1) + b1) stands in the place of x"),
    "E8": ("factor n", "W", "4 is the length of eps"),
    "E10": ("zero block", "theta", "the block [6:9], which was left at zero"),
    "E11": ("another cost", "a", "before stands in the place of after, in the cost and in its"),
    "E23": ("another cost", "log_var", "a mean and a variance stand in the place of a sample"),
    "E19": ("derivative at the value", "b2", "σ′ is taken at the value a"),
}


def of(id):
    """The misprint of a derivative."""
    (erratum,) = (erratum for erratum in errata.ERRATA if erratum.id == id)
    return erratum


@pytest.mark.parametrize("id", [*SAID, "E4"])
def test_a_misprint_is_refused_and_its_correction_accepted(id):
    erratum = of(id)
    printed, corrected = erratum.check_printed(), erratum.check_corrected()
    assert not printed.ok
    assert corrected.ok, str(corrected)
    assert all(entry.kinds for entry in printed.entries if not entry.ok), str(printed)


@pytest.mark.parametrize("id", SAID)
def test_the_check_says_what_is_misprinted(id):
    kind, name, sentence = SAID[id]
    entry = of(id).check_printed()[name]
    assert entry.kinds == [kind]
    assert sentence in entry.diagnosis


def test_the_check_finds_the_weight_that_the_hidden_layer_lost():
    report = of("E4").check_printed()
    a1 = "sigmoid((w1 · a0) + b1)"
    assert report["w1"].kinds == ["other operand"]
    assert report["w1"].diagnosis.startswith(f"{a1} stands in the place of w2")
    assert report["b1"].kinds == ["factor missing"]
    assert report["b1"].diagnosis.startswith("it lacks a factor equal to w2")
    assert report["w2"].ok
    assert report["b2"].ok


def test_the_chain_of_spins_has_its_closed_form():
    bonds = errata.chain(4)
    assert errata.log_z(0.6, bonds) == pytest.approx(np.log(2) + 3 * np.log(2 * np.cosh(0.6)))
    assert errata.e2_corrected(0.6, bonds) == pytest.approx(3 * np.tanh(0.6))


@pytest.mark.parametrize(
    ("id", "place"),
    [
        ("E5", "operations/layers.py"),
        ("E9", "models/rbm.py"),
        ("E10", "optim/optimizer.py"),
        ("E11", "models/hierarchical_vae.py"),
        ("E18", "models/rbm.py"),
        ("E21", "history.py"),
        ("E23", "models/diffusion/bound.py"),
    ],
)
def test_a_misprint_is_named_where_its_equation_lives_and_has_a_row_on_the_page(id, place):
    source = pathlib.Path(sg.__file__).parent.joinpath(place).read_text(encoding="utf-8")
    assert re.search(rf"erratum\s+{id}\b", source)
    assert f'<a id="{id.lower()}"></a>{id}' in (FOLDER / "errata.md").read_text(encoding="utf-8")


def test_every_misprint_is_a_derivative_or_is_shown_by_numbers_and_has_a_heading_and_a_row():
    tried = [erratum.id for erratum in errata.ERRATA]
    assert tried == ["E1", "E2", "E3", "E4", "E5", "E6", "E8", "E10", "E11", "E19", "E23"]
    every = [f"E{k}" for k in range(1, 24)]
    assert sorted([*tried, *errata.NUMBERS]) == sorted(every)
    headings = re.findall(r"^# ## (E\d+)$", errata.path.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == every
    rows = re.findall(
        r'<a id="e\d+"></a>(E\d+)', (FOLDER / "errata.md").read_text(encoding="utf-8")
    )
    assert rows == every
