"""Python threads over independent parts of an operation, each calling BLAS on one thread.

NumPy releases the interpreter's lock during products and copies, so that parts that fit into a
core's cache run in parallel. BLAS threads would instead share one part, and wait for each other at
every product. The number of threads is the one that BLAS may currently use, as set by
OMP_NUM_THREADS, threadpoolctl or joblib. The threads live only as long as one call, so that a fork
never copies a pool without its threads.

OpenBLAS's own threads spin for about 30 ms after a product, and occupy a core meanwhile. Where that
matters, set ``OPENBLAS_THREAD_TIMEOUT=16`` in the environment to let them sleep.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import functools
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import ThreadpoolController

from ..backend import Array, device_of

Map: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]

# From this number of multiplications on, a second thread for a product saves more time than it
# costs a core to fetch the data that another core has written.
THREADS_PAY = 2**24

# One caller in the process holds each lock; a caller that does not get it works without.
_limit, _pool = threading.Lock(), threading.Lock()
_outside = [1]  # the number of BLAS threads when the limit was taken


@contextlib.contextmanager
def one_blas_thread() -> Iterator[int]:
    """Limit BLAS to one thread within the context; yield the number that it may use outside.

    The limit holds for the whole process, and the thread that set it must restore it. If another
    thread has already set it, this context changes nothing, and the limit lasts as long as that
    thread keeps it.
    """
    limit = _limit
    if not limit.acquire(blocking=False):
        yield _outside[0]
        return
    try:
        blas = _blas()
        _outside[0] = min((library.num_threads for library in blas.lib_controllers), default=1)
        with blas.limit(limits=1):
            yield _outside[0]
    finally:
        limit.release()


def _after_fork() -> None:
    """Make new locks in a child process, whose lock holders are gone, and lift the limit."""
    global _limit, _pool
    limited = _limit.locked()
    _limit, _pool = threading.Lock(), threading.Lock()
    if limited:
        for library in _blas().lib_controllers:
            library.set_num_threads(_outside[0])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threads_for(multiplications: int) -> contextlib.AbstractContextManager[object]:
    """Run BLAS on one thread if its largest product has too few ``multiplications`` for more.

    The choice depends on nothing else (except on a limit set by another Python thread). Small
    networks therefore train to the same bits on all computers of one kind, with any number of
    threads.
    """
    return contextlib.nullcontext() if multiplications >= THREADS_PAY else one_blas_thread()


def threads_of(parameters: Iterable[Any], rows: int) -> contextlib.AbstractContextManager[object]:
    """Run small products on one BLAS thread; the largest weights, times ``rows``, decide.

    Other products do not count. Convolutions have threads of their own, which would lose a core to
    the BLAS threads, as these spin for some time after a product.
    """
    sizes = [p.size for p in parameters if p.ndim == 2 and device_of(p.data) == "cpu"]
    return threads_for(rows * max(sizes)) if sizes else contextlib.nullcontext()


@contextlib.contextmanager
def workers() -> Iterator[Map]:
    """Limit BLAS to one thread, and yield ``each(part, tasks)``, which uses several threads.

    It yields ``part(task)`` in the order of the tasks, with few tasks in progress at a time, so
    that a sum of the results is the same to the last bit on any number of threads. Floating-point
    errors follow the caller's ``np.errstate``. If another caller already has the threads, the tasks
    run on the calling thread.

    >>> with workers() as each:
    ...     list(each(lambda k: k * k, range(4)))
    [0, 1, 4, 9]
    """
    with one_blas_thread() as threads:
        taken = _pool
        if threads < 2 or not taken.acquire(blocking=False):
            yield map
            return
        try:
            with ThreadPoolExecutor(threads) as pool:
                yield functools.partial(_map_in_order, pool, threads)
        finally:
            taken.release()


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


def even_parts(n: int, size: int) -> list[slice]:
    """Split n samples into one part of up to ``size``, or into an even number of similar parts.

    An even number gives two threads the same work. If each part has one sample, there are n parts.

    >>> even_parts(5, size=3)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    count = 1 if n <= size else min(n, 2 * math.ceil(n / (2 * size)))
    ends = [k * n // count for k in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def by_parts(
    function: Callable[[slice], Array], parts: Sequence[slice], parameters: Iterable[Any] = ()
) -> Array:
    """Compute the arrays ``function(part)`` on several threads, and stack them by rows.

    For a single part, the size of its products with ``parameters`` decides whether BLAS uses
    several threads.
    """
    if len(parts) == 1:
        with threads_of(parameters, parts[0].stop):
            return function(parts[0])
    keep_freed_memory()
    whole: list[Array] = []
    first = threading.Lock()

    def place(part: slice) -> None:
        rows = function(part)
        with first:
            if not whole:
                whole.append(np.empty((parts[-1].stop, *rows.shape[1:]), rows.dtype, like=rows))
        whole[0][part] = rows

    with workers() as each:
        for _ in each(place, parts):
            pass
    return whole[0]


def by_rows(function: Callable[..., Array], *arrays: Array, rows: int = 512) -> Array:
    """``function`` of the rows of the arrays; on the host, for a few rows at a time.

    These fit into a cache. The function must treat each row independently, and is called on several
    threads.
    """
    n = len(arrays[0])
    size = rows if device_of(arrays[0]) == "cpu" else n
    return by_parts(lambda part: function(*(x[part] for x in arrays)), even_parts(n, size))


@functools.cache
def keep_freed_memory() -> None:
    """Make the C library keep the memory of large temporary arrays for reuse.

    By default glibc returns it to the system and requests it again, page by page. In a step whose
    threads each free several MiB, this takes a quarter of the time. The threshold adapts to the
    largest array freed so far, below 32 MiB (mallopt(3), "dynamic mmap threshold"). The array here
    is never written to, and so takes no physical memory. On other C libraries, this call does
    nothing.
    """
    np.empty(2**25 - 2**16, np.uint8)


def cores() -> int:
    """Return the number of cores that this process may use, as the scheduler of a cluster sets."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_blas() -> str:
    """Describe the BLAS library of NumPy, its kernels and threads, and how it could be faster."""
    config: Any = np.show_config(mode="dicts")
    built = config["Build Dependencies"]["blas"]
    said = f"{built['name']} {built['version']}"
    for library in _blas().info()[:1]:
        kernels = library.get("architecture", "unknown")
        said += f", {kernels} kernels, threads: {library['num_threads']}"
        wide = {"AVX512_SKX", "X86_V4"} & {*config["SIMD Extensions"].get("found", ())}
        if kernels in ("Haswell", "Zen") and wide:
            # OpenBLAS reads this variable, or else looks the processor up in a list of its own.
            chosen = os.environ.get("OPENBLAS_CORETYPE")
            here = f", not {chosen}," if chosen else ""
            said += f"; with AVX-512, try OPENBLAS_CORETYPE=SkylakeX{here} in the environment"
    return said


@functools.cache
def _blas() -> ThreadpoolController:
    # Finding the libraries takes a hundred times as long as setting their limit.
    return ThreadpoolController().select(user_api="blas")


class Workspace(threading.local):
    """Arrays that each thread reuses from task to task, since fresh memory costs page faults."""

    def empty(self, name: str, shape: tuple[int, ...], like: Array) -> Array:
        """Return the array ``name``, with arbitrary content, on the device of ``like``."""
        size = math.prod(shape)
        memory = vars(self).get(name)
        if memory is None or memory.size < size:
            memory = vars(self)[name] = np.empty(size, like.dtype, like=like)
        return memory[:size].reshape(shape)
