"""One operation or one batch on several threads: ``threads``, and the ``parts`` of a batch."""

from .threads import (
    Map,
    Workspace,
    by_parts,
    by_rows,
    cores,
    describe_blas,
    even_parts,
    keep_freed_memory,
    one_blas_thread,
    threads_for,
    threads_of,
    workers,
)

__all__ = [
    "Map",
    "Workspace",
    "by_parts",
    "by_rows",
    "cores",
    "describe_blas",
    "even_parts",
    "keep_freed_memory",
    "one_blas_thread",
    "threads_for",
    "threads_of",
    "workers",
]
