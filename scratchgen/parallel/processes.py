"""One batch on several processes: each computes some of the parts, and all receive the sum.

A batch is the sum of its parts, C = Σₖ (nₖ/n) Cₖ, whoever computes them. Each process has the whole
model and the whole data, draws the same order of samples, computes a block of neighbouring parts,
and takes the same step with the same sum of gradients. Messages are those of MPI, through mpi4py:

    mpiexec -n 4 scratchgen train ddpm

or, in a program of your own, which runs by ``mpiexec -n 4 python -m mpi4py program.py``,

    from mpi4py import MPI
    for epoch in train(model, data, optimizers, …, processes=MPI.COMM_WORLD):
        …

:class:`Summed` adds by one ``Allreduce`` of cost and gradients per player and step. The order of
the additions then depends on the number of processes, and results agree to rounding.
:class:`Ordered` adds in the order of the parts. Results then have the same bits on any number of
processes, and as those of one process with the same ``part_size``.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..backend import Array, device_of, to_device, to_host
from .threads import cores

STARTED_BY = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""The variables in which mpiexec tells a process how many there are."""


class Processes:
    """Processes that compute together; this class is one process alone.

    ``rank`` is the number of this process, from 0, and ``size`` the number of all.
    """

    rank, size = 0, 1

    def own(self, parts: Sequence[slice]) -> Sequence[slice]:
        """Return the parts that this process computes: a block of neighbours."""
        first, last = (k * len(parts) // self.size for k in (self.rank, self.rank + 1))
        return parts[first:last]

    def part_size(self, n: int) -> int | None:
        """Return the default size of a part for n samples; None where they need no parts."""
        return None

    def total(self, terms: Iterable[Array], zero: Array) -> Array:
        """Return the sum of the terms of all processes, each of the shape of ``zero``."""
        total = zero.copy()
        for term in terms:
            total += term
        return total

    def from_first(self, value: Any) -> Any:
        """Return the value of the first process, in every process."""
        return value

    def of_all(self, value: Any) -> list[Any]:
        """Return the values of all processes, in the order of their ranks."""
        return [value]

    def collect(self, compute: Callable[[], Sequence[Any]]) -> list[Any]:
        """Return what ``compute`` returns in all processes, one after the other, in every process.

        If it raises an error in one process, it raises one in all.
        """
        return list(compute())

    def meet(self) -> None:
        """Wait for all processes, also for those that an error has led past a ``collect``."""

    def end_all(self, code: int) -> None:
        """End every process, since one that waits for a message of this one would wait forever."""


ALONE = Processes()
_sharing: contextvars.ContextVar[Processes] = contextvars.ContextVar("sharing", default=ALONE)


@contextlib.contextmanager
def sharing(processes: Processes) -> Iterator[None]:
    """Within this context, which all enter, the processes share what is computed in parts."""
    before = _sharing.set(processes)
    try:
        yield
    finally:
        _sharing.reset(before)


def sharers() -> Processes:
    """Return the processes of the innermost :func:`sharing`; ``ALONE`` outside of any."""
    return _sharing.get()


class Summed(Processes):
    """The processes of a communicator of mpi4py; sums agree with those of one process to rounding.

    Each process adds its own terms, and one ``Allreduce`` adds these sums.
    """

    def __init__(self, communicator: Any) -> None:
        if not all(hasattr(communicator, name) for name in ("Allreduce", "Get_rank", "bcast")):
            raise TypeError(
                "processes are those of a communicator of mpi4py, such as "
                f"mpi4py.MPI.COMM_WORLD, got {type(communicator).__name__}"
            )
        self.communicator = communicator
        self.rank, self.size = communicator.Get_rank(), communicator.Get_size()

    def part_size(self, n: int) -> int | None:
        # Parts are even in number: as many as there are processes, or twice as many.
        return -(-n // (self.size if self.size % 2 == 0 else 2 * self.size))

    def total(self, terms: Iterable[Array], zero: Array) -> Array:
        mine = super().total(terms, zero)
        sent = np.ascontiguousarray(to_host(mine))
        received = np.empty_like(sent)
        self.communicator.Allreduce(sent, received)
        return to_device(received, device_of(zero))

    def from_first(self, value: Any) -> Any:
        return self.communicator.bcast(value, root=0)

    def of_all(self, value: Any) -> list[Any]:
        return list(self.communicator.allgather(value))

    def collect(self, compute: Callable[[], Sequence[Any]]) -> list[Any]:
        try:
            mine = list(compute())
        except Exception as error:
            self.of_all(("failed", str(error) or type(error).__name__))
            raise
        every = self.of_all(("computed", mine))
        for rank, (what, said) in enumerate(every):
            if what != "computed":
                raise RuntimeError(f"process {rank}: {said}")
        return [value for _, values in every for value in values]

    def meet(self) -> None:
        # Another process may still be in a collect: it learns from this message that it is alone.
        message = ("left", "it has left this computation after an error")
        while any(what != "left" for what, _ in self.of_all(message)):
            pass

    def end_all(self, code: int) -> None:
        self.communicator.Abort(code)


class Ordered(Summed):
    """The processes of a communicator of mpi4py; sums have the bits of those of one process.

    The sum goes from process to process, each of which adds its own terms one after the other. The
    last process sends it to all. That costs ``size`` messages, one after the other, in place of
    about log₂ ``size``; and each process keeps its own terms until the sum reaches it.
    """

    def part_size(self, n: int) -> int | None:
        raise ValueError(
            "sums in the order of the parts have the same bits on any number of processes if the "
            "size of a part does not depend on that number: give part_size"
        )

    def total(self, terms: Iterable[Array], zero: Array) -> Array:
        mine = [to_host(term) for term in terms]
        total = np.array(to_host(zero))
        if self.rank > 0:
            self.communicator.Recv(total, source=self.rank - 1)
        for term in mine:
            total += term
        if self.rank < self.size - 1:
            self.communicator.Send(total, dest=self.rank + 1)
        self.communicator.Bcast(total, root=self.size - 1)
        return to_device(total, device_of(zero))


def processes_of(given: Any) -> Processes:
    """Return ``given`` as :class:`Processes`: None is one alone, a communicator is ``Summed``."""
    if given is None:
        return ALONE
    return given if isinstance(given, Processes) else Summed(given)


@functools.cache
def started_together() -> Processes:
    """Return the processes that mpiexec started, this one among them; ``ALONE`` without mpiexec.

    The processes of one computer share its cores: each gives BLAS an equal number of threads,
    unless OMP_NUM_THREADS is set. Raises ``RuntimeError`` where mpi4py is missing.
    """
    size = max((int(os.environ[name]) for name in STARTED_BY if name in os.environ), default=1)
    if size == 1:
        return ALONE
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise RuntimeError(
            f"mpiexec started {size} processes, which take mpi4py and an MPI library to work "
            f"together ({error}): pip install 'scratchgen-numpy[mpi]' mpich"
        ) from error
    if MPI.COMM_WORLD.Get_size() != size:
        raise RuntimeError(
            f"mpiexec started {size} processes, but mpi4py finds {MPI.COMM_WORLD.Get_size()}: it "
            "belongs to another MPI library; use the mpiexec of that library"
        )
    neighbours = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED).Get_size()
    if "OMP_NUM_THREADS" not in os.environ:
        threadpool_limits(max(1, cores() // neighbours), user_api="blas")
    return Summed(MPI.COMM_WORLD)


def check_same(processes: Processes, arrays: Iterable[Array], what: str) -> None:
    """Raise ``RuntimeError`` unless the arrays have the same bits in all processes.

    The sums are the same in all; processors of different kinds may round an update differently.
    """
    if processes.size == 1:
        return
    mine = 0
    for x in arrays:
        mine = zlib.crc32(np.ascontiguousarray(to_host(x)).data, mine)
    different = [k for k, its in enumerate(processes.of_all(mine)) if its != mine]
    if different:
        raise RuntimeError(
            f"{what} of process {processes.rank} differ from those of {different}: all processes "
            "need the same data and settings, and processors of one kind"
        )
