"""Tasks on threads: in order, under the caller's rules, and BLAS left as it was."""

import os
import threading
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import scratchgen as sg
from scratchgen.parallel import Workspace, by_parts, by_rows, workers
from scratchgen.parallel import threads as parallel


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture(params=[1, 2, 3], ids="{} threads".format)
def threads(request):
    with threadpool_limits(request.param, user_api="blas"):
        yield min(blas_threads(), default=1)


def test_results_come_in_the_order_of_the_tasks(threads):
    late = threading.Event()

    def part(k):
        if k == 0 and threads > 1:
            late.wait(10)
        late.set()
        return k

    with workers() as each:
        assert list(each(part, range(9))) == list(range(9))


def test_there_are_as_many_threads_as_blas_may_use(threads):
    meet = threading.Barrier(threads)  # which breaks where fewer come

    def part(_):
        meet.wait(10)
        return threading.get_ident()

    with workers() as each:
        assert len(set(each(part, range(threads)))) == threads


def test_within_blas_keeps_to_one_thread_and_afterwards_has_its_own_again(threads):
    before = blas_threads()
    with workers() as each:
        assert set(blas_threads()) <= {1}
        list(each(lambda _: None, range(3)))
    assert blas_threads() == before


def test_an_error_in_a_task_is_raised_and_blas_has_its_threads_again(threads):
    before = blas_threads()
    with pytest.raises(ZeroDivisionError), workers() as each:
        list(each(lambda k: 1 / (k - 2), range(9)))
    assert blas_threads() == before


def test_a_second_caller_at_the_same_time_works_in_its_own_thread(threads):
    seen = []

    def second():
        with workers() as each:
            seen.extend(each(lambda _: threading.get_ident(), range(3)))
        seen.append(threading.get_ident())

    before = blas_threads()
    with workers():
        other = threading.Thread(target=second)
        other.start()
        other.join()
    assert len(set(seen)) == 1
    assert blas_threads() == before


def test_floating_point_errors_are_those_that_the_caller_asks_for(threads):
    def overflow(_):
        return np.float32(1e30) * np.ones(3, np.float32) * np.float32(1e30)

    with np.errstate(over="ignore"), workers() as each:
        assert all(np.isinf(z).all() for z in each(overflow, range(3)))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError), workers() as each:
        list(each(overflow, range(3)))


def test_a_workspace_keeps_its_memory_and_gives_each_thread_its_own():
    space, like, others = Workspace(), np.ones(1, np.float32), []
    first = space.empty("a", (2, 3), like)
    assert first.dtype == np.float32
    assert np.shares_memory(first, space.empty("a", (5,), like))
    assert not np.shares_memory(first, space.empty("b", (5,), like))
    other = threading.Thread(target=lambda: others.append(space.empty("a", (2, 3), like)))
    other.start()
    other.join()
    assert not np.shares_memory(first, others[0])


def test_the_description_names_the_library_its_threads_and_how_it_could_be_faster(monkeypatch):
    with threadpool_limits(1, user_api="blas"):
        assert "threads: 1" in parallel.describe_blas()

    class OfAnUnknownProcessor:
        def info(self):
            return [{"architecture": "Haswell", "num_threads": 2}]

    monkeypatch.setattr(parallel, "_blas", OfAnUnknownProcessor)
    for found, hint in ((["X86_V3", "X86_V4"], True), (["X86_V3"], False)):
        config = {
            "Build Dependencies": {"blas": {"name": "openblas", "version": "0.3"}},
            "SIMD Extensions": {"found": found},
        }
        monkeypatch.setattr(np, "show_config", lambda mode, config=config: config)
        said = parallel.describe_blas()
        assert said.startswith("openblas 0.3, Haswell kernels, threads: 2")
        assert ("OPENBLAS_CORETYPE=SkylakeX" in said) == hint


@pytest.mark.parametrize("n", [0, 1, 5, 12, 101])
def test_a_function_of_rows_by_parts_is_that_of_all_rows(n, threads):
    x, seen = np.random.default_rng(n).standard_normal((n, 3)), []

    def function(rows):
        seen.append(len(rows))
        return rows[:, :2].astype(np.float32) + 1

    result = by_rows(function, x, rows=4)
    np.testing.assert_array_equal(result, x[:, :2].astype(np.float32) + 1)
    assert result.dtype == np.float32
    assert max(seen) <= 4
    assert sum(seen) == n


def test_a_second_caller_neither_changes_nor_restores_the_limit_that_another_has_set(threads):
    before, inside, leave = blas_threads(), threading.Event(), threading.Event()
    outside = []

    def second():
        with parallel.one_blas_thread() as n:
            outside.append(n)
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=second)
    with parallel.one_blas_thread() as n:
        other.start()
        inside.wait(10)
        with workers() as each:  # which has the threads that BLAS had before
            meet = threading.Barrier(threads)
            list(each(lambda _: meet.wait(10), range(threads)))
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before
    leave.set()
    other.join()
    assert blas_threads() == before
    assert [n, *outside] == [threads, threads]


def test_small_products_keep_blas_to_one_thread_and_large_ones_do_not(threads):
    before = blas_threads()
    with parallel.threads_for(parallel.THREADS_PAY - 1):
        assert set(blas_threads()) <= {1}
    with parallel.threads_for(parallel.THREADS_PAY):
        assert blas_threads() == before
    assert blas_threads() == before


@pytest.mark.parametrize(
    ("shapes", "limited"),
    [
        ([], False),
        ([(4, 3), (1024, 1024, 3, 3)], True),  # kernels are no matrix
        ([(4, 3), (parallel.THREADS_PAY // 8, 1)], False),
        ([(parallel.THREADS_PAY // 8 - 1, 1)], True),
    ],
)
def test_a_single_part_has_the_threads_that_its_largest_product_with_a_weight_pays_for(
    shapes, limited, threads
):
    before = blas_threads()
    weights = [sg.Tensor(np.broadcast_to(np.zeros(1), shape)) for shape in shapes]
    inside = []

    def ones(part):
        inside.append(blas_threads())
        return np.ones(part.stop)

    np.testing.assert_array_equal(by_parts(ones, [slice(0, 8)], weights), np.ones(8))
    assert inside == [[1] * len(before) if limited else before]
    assert blas_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_in_the_middle_of_a_parallel_part_can_do_the_same(threads):
    x = np.random.default_rng(0).standard_normal((40, 30))
    expected, before = x @ x.T, blas_threads()

    def in_child(_):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        same = np.allclose(by_rows(lambda rows: rows @ x.T, x, rows=4), expected)
        os._exit(0 if same and blas_threads() == before else 1)

    with workers() as each:
        assert list(each(in_child, range(3))) == [0, 0, 0]
    assert np.allclose(by_rows(lambda rows: rows @ x.T, x, rows=4), expected)
