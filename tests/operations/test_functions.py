"""Functions of arrays as people write them: what they return is differentiated."""

import functools
import math
import threading
from math import sqrt

import numpy as np
import pytest
from numpy import zeros
from scipy import special
from scipy.special import logsumexp

import scratchgen as sg
from scratchgen import Tensor
from scratchgen.operations import functions
from scratchgen.operations.functions import recording

x0 = np.array([0.5, -1.0, 2.0])
rng = np.random.default_rng(0)
W, X = rng.normal(size=(3, 3)), rng.normal(size=(5, 3))


def test_grad_is_the_derivative_with_respect_to_the_argument_that_was_named():
    def f(x, y, *, power=1):
        return (x * y**power).sum()

    y = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(sg.grad(f)(x0, y), y)
    np.testing.assert_allclose(sg.grad(f, 1)(x0, y), x0)
    np.testing.assert_allclose(sg.grad(f, -1)(x0, y), x0)
    np.testing.assert_allclose(sg.grad(f, argnum=1)(x0, y, power=2), 2 * x0 * y)
    of_y, of_x = sg.grad(f, (1, 0))(x0, y)
    np.testing.assert_allclose(of_y, x0)
    np.testing.assert_allclose(of_x, y)
    (alone,) = sg.grad(f, (0,))(x0, y)
    np.testing.assert_allclose(alone, y)


def test_value_and_grad_gives_both_as_arrays():
    value, share = sg.value_and_grad(lambda x: (x * x).sum())(x0)
    assert not isinstance(value, Tensor)
    assert value == (x0 * x0).sum()
    np.testing.assert_allclose(share, 2 * x0)


def test_the_gradient_of_a_number_is_an_array():
    for share in (sg.grad(lambda x: x**2 + 3 * x)(2.0), sg.grad(lambda x: x * 2.0)(2.0)):
        assert type(share) is np.ndarray
        assert share.shape == ()


def test_grad_keeps_the_name_and_refuses_what_is_no_number():
    def energy(x):
        return x * 2.0

    assert sg.grad(energy).__name__ == sg.value_and_grad(energy).__name__ == "energy"
    with pytest.raises(ValueError, match="one number"):
        sg.grad(energy)(x0)
    with pytest.raises(TypeError):
        sg.grad(lambda x: 1.0)(x0)
    with pytest.raises(ValueError, match="does not depend"):
        sg.grad(lambda x, y: y * y)(1.0, Tensor(2.0))


# As people write them


def slopes(f, x):
    """∂f/∂x by central differences."""
    found = np.empty_like(x)
    for key in np.ndindex(x.shape):
        h = np.zeros_like(x)
        h[key] = 1e-6
        found[key] = (f(x + h) - f(x - h)) / 2e-6
    return found


def recurrence(W):
    h = np.zeros((6, 3))
    y = np.empty(5)
    for t in range(5):
        h[t + 1] = np.tanh(W @ h[t] + X[t])
        y[t] = h[t + 1].sum()
    return y @ y + h.mean()


def rows_by_loop(W):
    z = np.zeros((len(X), 3), dtype=W.dtype)
    for i in range(len(X)):
        for j in range(3):
            z[i, j] = X[i].dot(W[:, j])
    return np.sum(z**2)


def bias_column(W):
    A = np.ones((3, 4))
    A[:, 1:] = W
    return np.linalg.norm(A @ A.T)


def added_in_place(W):
    total = np.zeros(3)
    for row in W:
        total += row**2
    total[1] *= 3
    return total.std()


def rotation(W):
    a = W[0, 0]
    R = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return np.linalg.solve(R, W[1, :2]) @ np.array([1.0, 2.0])


def transition(W):
    F = np.eye(3)
    F[0, 1] = W[1, 1]
    P = np.copy(W)
    P[1] = 0
    return np.trace(F @ P @ F.T)


def list_of_rows(W):
    rows = []
    for row in W:
        rows.append(np.exp(row) / np.exp(row).sum())
    return np.log(np.array(rows)).mean()


def columns(W):
    return np.sum(np.exp(np.c_[np.ones(3), W]) @ np.r_[W[0], 1]) + np.asarray(W)[0, 0]


def relu_by_mask(W):
    z = X @ W
    z[z < 0] = 0
    return z.sum()


def log_likelihood(W):
    z = X @ W
    return np.sum(logsumexp(z, axis=1) - z[:, 0]) + np.sum(special.log_softmax(z, axis=1)[:, 1])


def named_zeros(W):
    z = zeros(3)
    z[1] = W[0, 0]
    return (z * W[1]).sum()


def comparisons(W):
    z = np.zeros(())
    z[()] = W[0, 0]
    return W[1, 1] * 2 if z > 0 else W[1, 1] * 3


@pytest.mark.parametrize(
    "f",
    [
        recurrence,
        rows_by_loop,
        bias_column,
        added_in_place,
        rotation,
        transition,
        list_of_rows,
        columns,
        relu_by_mask,
        log_likelihood,
        named_zeros,
        comparisons,
        functools.partial(lambda k, W: recurrence(W) * k, 2.0),
    ],
)
def test_what_a_function_writes_into_its_own_arrays_is_differentiated(f):
    value, share = (
        sg.value_and_grad(f)(W)
        if not isinstance(f, functools.partial)
        else (
            f(W),
            sg.grad(lambda W: f(W))(W),
        )
    )
    np.testing.assert_allclose(value, f(W), rtol=1e-12)
    np.testing.assert_allclose(share, slopes(f, W), rtol=1e-6, atol=1e-7)


def test_arrays_without_tensors_stay_what_they_are_and_numpy_is_left_as_it_was():
    before = {name: getattr(np, name) for name in dir(np) if not name.startswith("__")}
    seen = []

    def f(x):
        z = np.zeros(3)
        z[0] = 2.0
        seen.append(
            (z + 1, 2 * z[:2], np.exp(z), z.sum(), z @ z, z.T, float(z[0]), np.zeros(2, int))
        )
        return x * z[0]

    assert sg.grad(f)(1.0) == 2
    assert [type(x) for x in seen[0][:3]] == [np.ndarray] * 3
    assert [float(x) for x in seen[0][3:5]] == [2, 4]
    assert type(seen[0][-1]) is np.ndarray
    with pytest.raises(ZeroDivisionError):
        sg.grad(lambda x: 1 / 0)(1.0)
    assert all(getattr(np, name) is value for name, value in before.items())
    assert logsumexp is special.logsumexp


def test_a_function_in_a_function_is_recorded_and_the_outer_one_still_is():
    def f(x):
        z = np.zeros(2)
        slope = sg.grad(lambda y: (y * y).sum())(np.ones(2))
        w = np.zeros(2)
        z[0] = w[1] = x
        return z @ slope + w[1]

    assert sg.grad(f)(1.0) == 3


def test_an_array_that_tensors_were_written_into_is_taken_by_operations_and_by_tensors():
    with recording(recurrence):
        z = np.zeros(2)
        x = Tensor(x0)
        z[0] = x[1]
        value = sg.operations.tanh(z) + x[:2] * z + sg.operations.stack([z, z])[0]
    (share,) = sg.gradient(value.sum(), [x])
    np.testing.assert_allclose(share, [-1.0, 1 - np.tanh(1.0) ** 2 + 0.5 + 1, 0.0])
    assert np.isnan(z.view(np.ndarray)).all()
    with pytest.raises(TypeError, match="tensors were written into"):
        Tensor(z)


def test_an_error_of_numpy_about_a_tensor_is_the_refusal_that_names_the_line():
    z = np.zeros(3)

    def f(x):
        z[0] = x[0]
        return z.sum()

    with pytest.raises(TypeError, match=r"test_functions\.py:\d+: `z\[0\] = x\[0\]`: float\(\)"):
        sg.grad(f)(x0)


def test_the_cost_may_be_an_array_of_one_but_a_float_is_refused():
    assert sg.grad(lambda x: np.array(x.sum()))(x0).tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match=r"`.*float.*`: float\(\) would lose the record"):
        sg.grad(lambda x: float(x.sum()))(x0)


def of_numbers(x, y):
    a, b = math.exp(x) * math.log(y, 3) + math.log(y), math.atan2(x, y) - sqrt(y)
    return a * math.pow(x, 2) + b * math.lgamma(x) + math.erf(x) * math.fabs(y) + math.asin(x / 9)


def test_pythons_math_takes_tensors():
    of_x, of_y = sg.grad(of_numbers, (0, 1))(0.7, 1.3)
    h = 1e-6
    assert of_x == pytest.approx((of_numbers(0.7 + h, 1.3) - of_numbers(0.7 - h, 1.3)) / 2 / h)
    assert of_y == pytest.approx((of_numbers(0.7, 1.3 + h) - of_numbers(0.7, 1.3 - h)) / 2 / h)
    assert math.exp(0.0) == 1.0
    with pytest.raises(TypeError, match=r"write np\.exp for math\.exp"):
        math.exp(Tensor(1.0))


def test_threads_record_side_by_side_and_one_that_records_nothing_has_numpys_own_arrays():
    begun, ended, found = threading.Event(), threading.Event(), {}

    def slow(x):
        begun.set()
        assert ended.wait(60)
        z = np.zeros(2)
        z[0] = x
        z[1] = zeros(1)[0] + x * x
        return z.sum()

    def quick(x):
        z = np.zeros(1)
        z[0] = 3 * x
        return z.sum()

    thread = threading.Thread(target=lambda: found.update(slow=sg.grad(slow)(3.0)))
    thread.start()
    assert begun.wait(60)
    assert type(np.zeros(1)) is type(np.array([1.0])) is type(zeros(1)) is np.ndarray
    assert sg.grad(quick)(2.0) == 3
    ended.set()
    thread.join()
    assert found == {"slow": 7.0}
    assert not functions._replaced


def test_a_function_may_record_another_within():
    def outer(x):
        z = np.zeros(2)
        z[0] = x * sg.grad(lambda y: y * y)(2.0)
        z[1] = x
        return z.sum()

    assert sg.grad(outer)(1.0) == 5
    assert not functions._replaced
