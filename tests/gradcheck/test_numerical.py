"""Derivatives from values alone: right within their uncertainty, which is small."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgen.gradcheck.numerical import (
    by_complex_step,
    by_differences,
    is_analytic,
    roughness,
)

# F(t) and F′(0), of a parameter p.
SMOOTH = {
    "exp": (lambda t, p: np.exp(p * t), lambda p: p),
    "sin": (lambda t, p: np.sin(p * t + 1), lambda p: p * math.cos(1)),
    "tanh": (lambda t, p: np.tanh(t + p), lambda p: 1 - math.tanh(p) ** 2),
    "polynomial": (lambda t, p: (t + p) ** 3 - 2 * t, lambda p: 3 * p * p - 2),
    "quotient": (lambda t, p: 1 / (2 + p + t), lambda p: -1 / (2 + p) ** 2),
    "logarithm": (lambda t, p: np.log(1.5 + p + t), lambda p: 1 / (1.5 + p)),
    "flat": (lambda t, p: p + 0 * t, lambda p: 0.0),
    "large": (lambda t, p: 1e8 * np.cos(t) + p * t, lambda p: p),
}
every_function = pytest.mark.parametrize("name", SMOOTH)
parameters = st.floats(-1, 1)


@every_function
@given(p=parameters)
def test_the_complex_step_is_right_to_rounding(name, p):
    function, derivative = SMOOTH[name]
    found = by_complex_step(lambda t: function(t, p))
    assert abs(found.value - derivative(p)) <= 1e-14 * (1 + abs(derivative(p)))
    assert found.uncertainty <= 1e-12 * (1 + abs(derivative(p)))


@pytest.mark.parametrize("x", [1e-300, 1e-60, 1e-8, 1.0, 1e60, 1e300])
@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (np.log, lambda x: 1 / x),
        (lambda x: 3 * x, lambda x: 3.0),
        (np.sqrt, lambda x: 0.5 * x**-0.5),
    ],
    ids=["log", "3x", "sqrt"],
)
def test_the_imaginary_step_is_in_proportion_to_the_argument(x, function, derivative):
    found = by_complex_step(lambda t: function(x + t), x)
    assert abs(found.value - derivative(x)) <= found.uncertainty + 1e-15 * derivative(x)
    assert found.uncertainty <= 1e-8 * derivative(x)


@every_function
@given(p=parameters)
def test_differences_are_right_within_their_uncertainty(name, p):
    function, derivative = SMOOTH[name]
    found = by_differences(lambda t: function(t, p))
    size = abs(function(0.0, p))
    assert abs(found.value - derivative(p)) <= found.uncertainty
    assert found.uncertainty <= 1e-8 * (1 + abs(derivative(p))) + 1e-10 * size
    assert found.sides is None


@every_function
@given(p=st.floats(0.1, 1))
def test_an_analytic_function_is_recognised(name, p):
    assert is_analytic(lambda t: SMOOTH[name][0](t, p), 1.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda t: abs(1 + t),  # |z| is not analytic, though it is where it is real
        lambda t: float(t) ** 2,
        lambda t: math.sin(t),
        lambda t: np.real(np.exp(t)),
        lambda t: np.exp(np.conj(t)),
        lambda t: np.asarray(3 + t).astype(float) * 2,  # imaginary parts are discarded
        lambda t: np.maximum(t, -t),
    ],
)
def test_a_function_of_real_numbers_alone_is_recognised(function):
    assert not is_analytic(function, 1.0)


@given(p=parameters, left=st.floats(-3, 3), right=st.floats(-3, 3))
def test_a_kink_is_recognised_with_the_derivatives_on_its_sides(p, left, right):
    def function(t):
        return np.sin(t + p) + (right if t > 0 else left) * t

    found = by_differences(function)
    if abs(left - right) > 1e-3:
        assert found.sides is not None
        sides = np.array([left, right]) + math.cos(p)
        np.testing.assert_allclose(found.sides, sides, 0, 1e-6)


@given(p=parameters, distance=st.floats(1e-5, 1), sign=st.sampled_from([-1, 1]))
def test_a_kink_nearby_is_stepped_around(p, distance, sign):
    def function(t):
        return np.sin(t + p) + abs(t - sign * distance)

    found = by_differences(function)
    assert found.sides is None
    assert abs(found.value - (math.cos(p) - sign)) <= found.uncertainty <= 1e-5


@given(p=parameters)
def test_where_one_side_is_not_defined_the_other_is_taken(p):
    def function(t):
        return math.sqrt(t) ** 3 + p * t  # which raises for t < 0

    found = by_differences(function)
    assert abs(found.value - p) <= max(found.uncertainty, 1e-2)


def test_a_function_that_is_nowhere_finite_has_no_derivative():
    found = by_differences(lambda t: math.nan)
    assert math.isnan(found.value)
    assert found.uncertainty == math.inf


@given(p=parameters, scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_the_scale_is_that_of_the_argument(p, scale):
    found = by_differences(lambda t: np.sin(p + t / scale), scale)
    assert abs(found.value - math.cos(p) / scale) <= found.uncertainty <= 1e-9 / scale


@given(p=st.floats(0.1, 1))
def test_what_computes_in_float32_within_is_allowed_its_rounding(p):
    def function(t):
        return float(np.float32(np.sin(np.float32(p + t))))

    rough = roughness(function)
    assert roughness(lambda t: np.sin(p + t)) == 0
    assert 1e-8 < rough < 1e-5
    found = by_differences(function, 1.0, rough)
    assert abs(found.value - math.cos(p)) <= found.uncertainty
