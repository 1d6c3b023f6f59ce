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

# Multiplications of a product, from which on a second thread gains more than it costs a core to
# fetch what another one has written.
THREADS_PAY = 2**24

# Each is taken by one caller in the process, and whoever does not get it does without.
_limit, _pool = threading.Lock(), threading.Lock()
_outside = [1]  # threads that BLAS had when the limit was taken


@contextlib.contextmanager
def one_blas_thread() -> Iterator[int]:
    """Within, BLAS keeps to one thread; yields how many it may use outside.

    The limit is one for the whole process, and the thread that set it has to restore it: where
    another thread has set it already, nothing is changed, then or on leaving, and it holds as long
    as that one keeps it.
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
    """In a child, whoever held a lock is gone, and so is the limit's reason."""
    global _limit, _pool
    limited = _limit.locked()
    _limit, _pool = threading.Lock(), threading.Lock()
    if limited:
        for library in _blas().lib_controllers:
            library.set_num_threads(_outside[0])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threads_for(multiplications: int) -> contextlib.AbstractContextManager[object]:
    """Within, one thread of BLAS if its largest product has too few ``multiplications`` for more.

    That depends on nothing else (but what another thread of Python may be at), so that small
    networks train to the same bits on any machine of one kind, however many threads it has.
    """
    return contextlib.nullcontext() if multiplications >= THREADS_PAY else one_blas_thread()


def threads_of(parameters: Iterable[Any], rows: int) -> contextlib.AbstractContextManager[object]:
    """Within, the threads of BLAS that the largest product of rows with a weight matrix pays for.

    Other products are not counted. Convolutions have threads of their own, from which those of BLAS
    would take a core: they spin for some time after a product.
    """
    sizes = [p.size for p in parameters if p.ndim == 2 and device_of(p.data) == "cpu"]
    return threads_for(rows * max(sizes)) if sizes else contextlib.nullcontext()


@contextlib.contextmanager
def workers() -> Iterator[Map]:
    """Within, BLAS keeps to one thread, and ``each(part, tasks)`` maps tasks on several.

    It yields ``part(task)`` in the order of the tasks, with few in flight: what is added up so is
    the same to the last bit on any number of threads. Floating-point errors are treated as the
    caller's ``np.errstate`` says. Where another caller has threads, this one has its own alone.

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
    """n samples as one part of up to ``size``, or as an even number of parts, all about as large.

    Even, so that two threads have as much to do. Where a part has one sample, there are n.

    >>> even_parts(5, size=3)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    count = 1 if n <= size else min(n, 2 * math.ceil(n / (2 * size)))
    ends = [k * n // count for k in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def by_parts(
    function: Callable[[slice], Array], parts: Sequence[slice], parameters: Iterable[Any] = ()
) -> Array:
    """The arrays ``function(part)``, one below another, made on several threads.

    A single part has the threads of BLAS that its products with ``parameters`` pay for.
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


def by_rows(function: Callable[[Array], Array], x: Array, rows: int = 512) -> Array:
    """``function`` of the rows of x: on the host of a few at a time, which a core's cache holds.

    It acts on each row alone, and is called on several threads.
    """
    size = rows if device_of(x) == "cpu" else len(x)
    return by_parts(lambda part: function(x[part]), even_parts(len(x), size))


@functools.cache
def keep_freed_memory() -> None:
    """Let the C library keep the memory of large temporaries, to give it out again.

    By default glibc gives it back to the system and takes it anew, page by page: of a step whose
    threads each free some MiB, that is a quarter of the time. It adapts to the largest array that
    it saw freed, below 32 MiB (mallopt(3), "dynamic mmap threshold"): this one, never written to,
    is none to the system. Elsewhere this does nothing.
    """
    np.empty(2**25 - 2**16, np.uint8)


def describe_blas() -> str:
    """The library beneath NumPy's products, its kernels and threads, and how it could be faster."""
    config: Any = np.show_config(mode="dicts")
    built = config["Build Dependencies"]["blas"]
    said = f"{built['name']} {built['version']}"
    for library in _blas().info()[:1]:
        kernels = library.get("architecture", "unknown")
        said += f", {kernels} kernels, threads: {library['num_threads']}"
        wide = {"AVX512_SKX", "X86_V4"} & {*config["SIMD Extensions"].get("found", ())}
        if kernels in ("Haswell", "Zen") and wide:
            # OpenBLAS goes by that variable, or else by a list of processors that it knows.
            chosen = os.environ.get("OPENBLAS_CORETYPE")
            here = f", not {chosen}," if chosen else ""
            said += f"; with AVX-512, try OPENBLAS_CORETYPE=SkylakeX{here} in the environment"
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
