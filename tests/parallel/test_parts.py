"""A cost taken part by part is the cost of the batch, and so is its gradient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

import scratchgen as sg
from scratchgen import Tensor, gradient, operations
from scratchgen.parallel import even_parts
from scratchgen.parallel.parts import mean_over_parts


def problem(n, dtype=np.float64):
    rng = np.random.default_rng(n)
    x, W, b = (rng.standard_normal(shape).astype(dtype) for shape in [(n, 3), (2, 3), (2,)])
    theta = [Tensor(W), Tensor(b)]

    def cost(part):
        return operations.square(operations.tanh(operations.affine(x[part], *theta))).mean()

    return cost, theta


@pytest.mark.rounding
@given(st.integers(1, 40), st.integers(1, 12))
def test_the_cost_and_its_gradient_are_those_of_the_whole_batch(n, size):
    cost, theta = problem(n)
    whole, in_parts = cost(slice(n)), mean_over_parts(cost, even_parts(n, size), theta)
    np.testing.assert_allclose(in_parts.data, whole.data, rtol=1e-13)
    for mine, its in zip(gradient(in_parts, theta), gradient(whole, theta), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-11, atol=1e-14)
    shares = sg.gradient(3 * in_parts, theta[::-1])
    for mine, its in zip(shares, gradient(3 * whole, theta[::-1]), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-11, atol=1e-14)


def test_the_sum_is_the_same_to_the_last_bit_on_any_number_of_threads():
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            cost, theta = problem(1000, np.float32)
            total = mean_over_parts(cost, even_parts(1000, 7), theta)
            results.append([total.data, *gradient(total, theta)])
    for other in results[1:]:
        for mine, its in zip(results[0], other, strict=True):
            assert mine.dtype == np.float32
            np.testing.assert_array_equal(mine, its)


def test_one_part_is_recorded_as_it_stands():
    cost, theta = problem(5)
    assert mean_over_parts(cost, even_parts(5, 5), theta).operation is operations.mean


def test_a_part_that_is_not_finite_is_returned_with_its_record():
    cost, theta = problem(12)

    def spoilt(part):
        with np.errstate(divide="ignore"):
            return cost(part) + operations.log(Tensor(np.array(float(part.start != 6))))

    parts = even_parts(12, 3)
    assert 6 in [part.start for part in parts]
    total = mean_over_parts(spoilt, parts, theta)
    assert not np.isfinite(total.data)
    reached, stack = set(), [total]
    while stack:
        tensor = stack.pop()
        reached.add(tensor.operation)
        stack += [x for x in tensor.inputs if isinstance(x, Tensor)]
    assert {operations.log, operations.affine} <= reached


def test_an_error_in_a_part_is_raised():
    _, theta = problem(4)
    with pytest.raises(ZeroDivisionError):
        mean_over_parts(lambda part: 1 / 0, even_parts(4, 1), theta)


@given(st.integers(0, 200), st.integers(1, 50))
def test_even_parts_cover_the_samples_once_in_order_and_are_about_as_large(n, size):
    parts = even_parts(n, size)
    lengths = [part.stop - part.start for part in parts]
    assert [k for part in parts for k in range(part.start, part.stop)] == list(range(n))
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    assert len(parts) == 1 or len(parts) % 2 == 0 or len(parts) == n


def test_a_parameter_that_no_part_depends_on_is_said_and_one_that_some_do_has_its_share():
    cost, theta = problem(12)
    unused, now_and_then = Tensor(np.ones(2)), Tensor(np.array(3.0))
    parts = even_parts(12, 3)

    def some(part):
        return cost(part) * now_and_then if part.start else cost(part)

    total = mean_over_parts(some, parts, [*theta, unused, now_and_then])
    with pytest.raises(ValueError, match="does not depend on wrt"):
        gradient(total, [unused])
    (share,) = gradient(total, [now_and_then])
    expected = sum(cost(p).data * (p.stop - p.start) / 12 for p in parts[1:])
    np.testing.assert_allclose(share, expected, rtol=1e-13)
