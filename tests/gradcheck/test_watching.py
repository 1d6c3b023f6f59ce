"""A cost watched while it runs: the parts of a flat vector, the solver within, steps."""

import cProfile
import math
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import odeint, quad, solve_ivp
from scipy.optimize import minimize

import scratchgen as sg
from scratchgen.gradcheck.strategies import seeds
from scratchgen.gradcheck.subject import of_gradient
from scratchgen.gradcheck.watching import parts_given, parts_named, solver_in

RNG = np.random.default_rng(0)
TH, INPUTS, TARGETS = (RNG.standard_normal(shape) for shape in [(24,), (6, 3), (6, 2)])


def cut(th):
    return th[:12].reshape(3, 4), th[12:16], th[16:].reshape(4, 2)


def flat_cost(th, x, y):
    W1, b1, W2 = cut(th)
    return 0.5 * ((np.tanh(x @ W1 + b1) @ W2 - y) ** 2).sum()


def by_parts(th, x, y):
    W1, b1, W2 = cut(th)
    a = np.tanh(x @ W1 + b1)
    delta2 = a @ W2 - y
    delta1 = delta2 @ W2.T * (1 - a * a)
    return [x.T @ delta1, delta1.sum(0), a.T @ delta2]


def flat(parts):
    return np.concatenate([part.reshape(-1) for part in parts])


def with_sign(k):
    def gradient(th, x, y):
        parts = by_parts(th, x, y)
        parts[k] = -parts[k]
        return flat(parts)

    return gradient


SHAPES = {"W1": (3, 4), "b1": 4, "W2": (4, 2)}


@pytest.mark.parametrize("k", range(3))
def test_named_parts_of_a_flat_vector_are_checked_one_by_one(k):
    arrays = TH, INPUTS, TARGETS
    right = lambda *a: flat(by_parts(*a))
    report = sg.check_gradient(flat_cost, right, *arrays, parts=SHAPES)
    assert report.ok
    assert [(e.name, e.shape) for e in report.entries] == [
        ("W1", (3, 4)), ("b1", (4,)), ("W2", (4, 2)),
    ]  # fmt: skip
    report = sg.check_gradient(flat_cost, with_sign(k), *arrays, parts=SHAPES)
    assert [e.ok for e in report.entries] == [i != k for i in range(3)]
    assert "the sign is wrong" in report.entries[k].diagnosis
    slices = {"W1": slice(12), "b1": slice(12, 16), "W2": slice(16, 24)}
    report = sg.check_gradient(flat_cost, with_sign(k), *arrays, parts=slices)
    assert [e.ok for e in report.entries] == [i != k for i in range(3)]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"W1": (3, 4), "b1": 4}, "fill the flat vector of 24 entries .* got W1 0:12, b1 12:16"),
        ({"a": slice(0, 20), "b": slice(10, 24)}, "without gap or overlap"),
        ({"a": slice(0, 24, 2)}, "a slice without a step"),
    ],
)
def test_parts_that_do_not_fill_the_vector_are_refused(parts, said):
    with pytest.raises(ValueError, match=said):
        sg.check_gradient(flat_cost, with_sign(0), TH, INPUTS, TARGETS, parts=parts)


@pytest.mark.parametrize(("k", "name"), [(0, "W1 = th[0:12].reshape(3, 4)"), (1, "b1 = th[12:16]")])
def test_the_part_at_fault_is_named_with_its_slice_and_its_line_where_the_cost_unpacks_it(k, name):
    report = sg.check_gradient(flat_cost, with_sign(k), TH, INPUTS, TARGETS)
    assert [e.name for e in report.entries] == ["th"]
    said = report["th"].diagnosis
    assert said.startswith(f"in {name} (`W1, b1, W2 = cut(th)`, test_watching.py:")
    assert said.endswith("the sign is wrong")
    line = int(re.search(r"test_watching\.py:(\d+)", said).group(1))
    with open(__file__, encoding="utf-8") as source:
        assert source.readlines()[line - 1].strip() == "W1, b1, W2 = cut(th)"


def test_a_mistake_in_all_parts_is_one_of_the_whole_vector():
    report = sg.check_gradient(flat_cost, lambda *a: -flat(by_parts(*a)), TH, INPUTS, TARGETS)
    assert report["th"].diagnosis == "yours = -1 × numerical in all 24 entries: the sign is wrong"


@given(seeds, st.lists(st.integers(1, 4), min_size=2, max_size=4), st.booleans())
def test_the_views_of_a_vector_are_found_wherever_they_begin(seed, lengths, by_columns):
    th = np.random.default_rng(seed).standard_normal(2 * sum(lengths))
    ends = 2 * np.cumsum(lengths)
    order = "F" if by_columns else "C"

    def cost(th):
        parts = {}
        for k, (n, end) in enumerate(zip(lengths, ends, strict=True)):
            parts[f"W{k}"] = th[end - 2 * n : end].reshape(2, n, order=order)
        return sum((k + 1) * (W**2).sum() for k, W in enumerate(parts.values()))

    found = parts_named(of_gradient(cost, lambda th: th, [th]), 0)
    assert [(p.start, p.stop) for p in found] == [
        (e - 2 * n, e) for n, e in zip(lengths, ends, strict=True)
    ]
    assert [p.name for p in found] == [f"W{k}" for k in range(len(lengths))]
    assert np.array_equal(np.concatenate([p.flat(p.of(th)) for p in found]), th)


def test_a_number_taken_from_a_vector_is_a_part_and_what_has_no_name_is_a_slice():
    def cost(th):
        w, b = th[1:4], th[4]
        return (w**2).sum() * b + th[0] * th[5]

    found = parts_named(of_gradient(cost, lambda th: th, [TH[:6]]), 0)
    assert [(p.name, p.start, p.stop) for p in found] == [
        ("th[0:1]", 0, 1), ("w", 1, 4), ("b", 4, 5), ("th[5:6]", 5, 6),
    ]  # fmt: skip


def test_the_profile_function_of_the_caller_stays_in_place():
    seen = []
    before = sys.getprofile()
    keep = lambda frame, event, arg: seen.append(event)
    sys.setprofile(keep)
    try:
        parts_named(of_gradient(flat_cost, with_sign(0), [TH, INPUTS, TARGETS]), 0)
        assert sys.getprofile() is keep
    finally:
        sys.setprofile(before)


def test_a_check_runs_under_a_profiler_and_leaves_it_in_place():
    profile = cProfile.Profile()
    profile.enable()
    try:
        report = sg.check_gradient(flat_cost, with_sign(0), TH, INPUTS, TARGETS)
    finally:
        profile.disable()
    assert not report.ok
    assert any("check_gradient" in str(entry.code) for entry in profile.getstats())


def test_parts_given_by_shape_are_in_the_order_of_the_vector():
    found = parts_given(SHAPES, 24)
    assert [(p.name, str(p)) for p in found] == [
        ("W1", "[0:12].reshape(3, 4)"), ("b1", "[12:16]"), ("W2", "[16:24].reshape(4, 2)"),
    ]  # fmt: skip


# An inner solver

T = np.linspace(0, 1, 5)


def decay(k, rtol=1e-3):
    y = solve_ivp(lambda t, y: -k * y, (0, 1), [1.0], t_eval=T, rtol=rtol).y[0]
    return (y**2).sum()


def of_decay(k):
    return (-2 * T * np.exp(-2 * k * T)).sum()


def test_a_difference_of_the_size_of_a_solvers_tolerance_is_not_decided_and_the_solver_is_named():
    report = sg.check_gradient(decay, of_decay, 1.3)
    assert report["k"].verdict == "UNDECIDED"
    assert not report.ok
    said = " ".join(report["k"].diagnosis.split())
    assert "solve_ivp of SciPy, with a tolerance of 0.001 (`y = solve_ivp(" in said
    assert "accept it by rtol=1e-03" in said
    assert any("its values scatter by" in note for note in report.notes)


@pytest.mark.parametrize(
    ("cost", "gradient"),
    [
        (decay, of_decay),
        (lambda k: odeint(lambda y, t: -k * y, 1.0, [0, 1])[-1, 0], lambda k: -np.exp(-k)),
        (
            lambda a: minimize(lambda w: a * (w[0] - 1) ** 2, [0.5], method="Nelder-Mead").fun + a,
            lambda a: 1.0 + 2e-5,
        ),
    ],
)
def test_with_the_tolerance_that_the_report_advises_the_derivative_agrees(cost, gradient):
    report = sg.check_gradient(cost, gradient, 0.7)
    (advised,) = re.findall(r"by rtol=(\S+)", report.diagnosis[0])
    assert report.entries[0].verdict == "UNDECIDED"
    assert sg.check_gradient(cost, gradient, 0.7, rtol=float(advised)).ok


def test_a_wrong_derivative_of_a_solved_cost_is_wrong_all_the_same():
    report = sg.check_gradient(decay, lambda k: 2 * of_decay(k), 1.3)
    assert report["k"].verdict == "DISAGREES"


def test_with_a_tolerance_the_difference_is_accepted_and_the_scatter_is_said():
    report = sg.check_gradient(decay, of_decay, 1.3, rtol=1e-3)
    assert report.ok
    assert any(
        "up to rtol = 0.001 of the derivative" in note and "scatter" in note
        for note in report.notes
    )
    assert not sg.check_gradient(decay, of_decay, 1.3, rtol=1e-4).ok
    assert sg.check_gradient(decay, of_decay, 1.3, atol=1e-3).ok
    assert not sg.check_gradient(decay, of_decay, 1.3, atol=1e-4).ok


@settings(max_examples=5)
@given(seeds)
def test_rtol_is_relative_to_the_derivative_and_atol_in_its_units_for_any_number_of_entries(seed):
    rng = np.random.default_rng(seed)
    for n in (5, 400):
        w = rng.standard_normal(n) + 3 * np.sign(rng.standard_normal(n))
        cost, off = lambda w: (w**2).sum(), lambda w: 2 * w * (1 + 1e-4)
        assert not sg.check_gradient(cost, off, w).ok
        assert not sg.check_gradient(cost, off, w, rtol=1e-5).ok
        assert sg.check_gradient(cost, off, w, rtol=2e-4).ok
        shifted = lambda w: 2 * w + 1e-4
        assert not sg.check_gradient(cost, shifted, w, atol=1e-5).ok
        assert sg.check_gradient(cost, shifted, w, atol=2e-4).ok


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, "1e-3"])
def test_a_tolerance_is_a_number_that_is_not_negative(value):
    with pytest.raises(ValueError, match="rtol is a number of at least 0, got"):
        sg.check_gradient(decay, of_decay, 1.3, rtol=value)


def test_the_tolerance_of_a_solver_is_that_of_its_call_not_of_its_line_search():
    inner = lambda a: minimize(lambda w: (w[0] - 1) ** 2 + a * w[0] ** 4, [0.5], tol=1e-5).fun
    found = solver_in(of_gradient(inner, lambda a: a, [0.8]))
    assert (found.name, found.tolerance) == ("minimize", 1e-5)
    area = lambda a: quad(lambda x: np.exp(-a * x), 0, 1)[0]
    found = solver_in(of_gradient(area, lambda a: a, [0.8]))
    assert (found.name, found.tolerance) == ("quad", 1.49e-8)
    assert solver_in(of_gradient(lambda a: a**2, lambda a: a, [0.8])) is None


@pytest.mark.parametrize(
    "cost",
    [
        lambda th: np.mean(np.random.default_rng(0).random(50) < 1 / (1 + np.exp(-th))),
        lambda th: np.round(np.exp(th), 1),
        lambda th: float(int(100 * th)),
    ],
)
def test_a_cost_that_is_constant_in_steps_is_told_so(cost):
    (said,) = sg.check_gradient(cost, lambda th: 0.24, 0.303).diagnosis
    assert "the cost is constant in steps" in said


def test_a_cost_that_does_not_depend_on_an_array_is_not_one_of_steps():
    (said,) = sg.check_gradient(lambda a, b: a**2, lambda a, b: (2 * a, 1.0), 0.3, 0.4).diagnosis
    assert "does not depend on it" in said


def test_a_small_difference_that_nothing_explains_is_followed_by_the_hint_at_rtol():
    def iterated(a):  # a root of w = cos(a w), by too few steps
        w = 0.7
        for _ in range(12):
            w = np.cos(a * w)
        return w * np.sin(3 * w)

    def implicit(a):
        w = 0.7
        for _ in range(200):
            w = np.cos(a * w)
        dw = -w * np.sin(a * w) / (1 + a * np.sin(a * w))
        return dw * (np.sin(3 * w) + 3 * w * np.cos(3 * w))

    (said,) = sg.check_gradient(iterated, implicit, 0.8).diagnosis
    assert "with an inner solver, give it as rtol" in said


@pytest.mark.parametrize(
    "cost",
    [
        lambda w: 1e13 + (w**2).sum(),
        lambda w: (w.astype(np.float32) ** 2).sum(),
    ],
)
def test_a_cost_that_rounds_its_last_digits_is_not_one_of_steps(cost):
    report = sg.check_gradient(cost, lambda w: -2 * w, np.array([0.3, -1.2]))
    assert not report.ok
    assert "in steps" not in str(report)


def test_a_wrong_derivative_of_a_cost_that_is_not_defined_far_away_is_named():
    report = sg.check_gradient(lambda a: math.log(a) ** 2, lambda a: math.log(a) / a, 0.3)
    assert report["a"].kinds == ["factor 1/2"]
