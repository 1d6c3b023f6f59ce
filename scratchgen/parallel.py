"""Python threads over independent parts of an operation, each calling BLAS on one thread.

NumPy lets go of the interpreter's lock within products and copies, so that parts small enough for a
core's cache run side by side; threads of BLAS would share one part, and meet at its every product.
There are as many threads as BLAS may use here and now, be it by OMP_NUM_THREADS, by threadpoolctl
or by joblib. They live no longer than one call, so that a fork never finds a pool without threads.

OpenBLAS's own threads spin for some 30 ms after a product that used them, and take a core from what
follows; where that matters, ``OPENBLAS_THREAD_TIMEOUT=16`` in the environment lets them sleep.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import ThreadpoolController

from .backend import Array

Map: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
# The limit of BLAS is one for the whole process: two calls that set and restore it in turn would
# leave it at one. Whoever does not get the lock works in the calling thread.
_limit_of_blas = threading.Lock()


@contextlib.contextmanager
def workers() -> Iterator[Map]:
    """Within, BLAS keeps to one thread, and ``each(part, tasks)`` maps tasks on several.

    It yields ``part(task)`` in the order of the tasks, with few in flight: what is added up so is
    the same to the last bit on any number of threads. Floating-point errors are treated as the
    caller's ``np.errstate`` says.

    >>> with workers() as each:
    ...     list(each(lambda k: k * k, range(4)))
    [0, 1, 4, 9]
    """
    if not _limit_of_blas.acquire(blocking=False):
        yield map
        return
    try:
        blas = _blas()
        threads = min((library.num_threads for library in blas.lib_controllers), default=1)
        with blas.limit(limits=1):
            if threads < 2:
                yield map
                return
            with ThreadPoolExecutor(threads) as pool:
                yield functools.partial(_map_in_order, pool, threads)
    finally:
        _limit_of_blas.release()


def _map_in_order(
    pool: ThreadPoolExecutor, threads: int, part: Callable[[Any], Any], tasks: Sequence[Any]
) -> Iterator[Any]:
    if len(tasks) < 2:
        yield from map(part, tasks)
        return
    in_flight: collections.deque[Future[Any]] = collections.deque()
    for task in tasks:
        # NumPy's errstate is a context variable, and a context runs in one thread at a time.
        in_flight.append(pool.submit(contextvars.copy_context().run, part, task))
        if len(in_flight) > threads:
            yield in_flight.popleft().result()
    while in_flight:
        yield in_flight.popleft().result()


def describe_blas() -> str:
    """The library beneath NumPy's products, its kernels and threads, and how it could be faster."""
    config: Any = np.show_config(mode="dicts")
    built = config["Build Dependencies"]["blas"]
    said = f"{built['name']} {built['version']}"
    for library in _blas().info()[:1]:
        kernels = library.get("architecture", "unknown")
        said += f", {kernels} kernels, threads: {library['num_threads']}"
        wide = {"AVX512_SKX", "X86_V4"} & {*config["SIMD Extensions"]["found"]}
        if kernels in ("Haswell", "Zen") and wide:
            # OpenBLAS goes by a list of processors that it knows.
            said += "; with AVX-512, try OPENBLAS_CORETYPE=SkylakeX in the environment"
    return said


@functools.cache
def _blas() -> ThreadpoolController:
    # Looking for the libraries takes a hundred times as long as setting their limit.
    return ThreadpoolController().select(user_api="blas")


class Workspace(threading.local):
    """Arrays that each thread uses for task after task, since fresh memory costs page faults."""

    def empty(self, name: str, shape: tuple[int, ...], like: Array) -> Array:
        """The one array ``name``, of unknown content, on the device of ``like``."""
        size = math.prod(shape)
        memory = vars(self).get(name)
        if memory is None or memory.size < size:
            memory = vars(self)[name] = np.empty(size, like.dtype, like=like)
        return memory[:size].reshape(shape)
