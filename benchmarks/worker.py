"""One side of a comparison, in a process of its own: workload, case, who, device and threads.

Answers each number N on standard input by a line of JSON: the mean seconds of N steps, after one
that is not counted, up to the moment when all that they began is done; and the peak of resident
memory so far above what it was after importing the library, in MiB, which compiling counts in.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .workloads import cases, library


def main(workload: str, title: str, who: str, device: str, threads: int) -> None:
    keep_to_cores(threads)
    module = importlib.import_module(library(who))
    if module.__name__ == "torch":
        module.set_num_threads(threads)
        importlib.import_module("torch._dynamo")  # which its optimizers import on first use
    (case,) = [case for case in cases(workload) if case.title == title]
    imported = _peak_memory()
    step = case.sides[who](device) if case.on_gpu else case.sides[who]()
    wait = _waiting(module.__name__, device)
    for line in sys.stdin:
        wait(step())
        began = time.perf_counter()
        for _ in range(int(line)):
            last = step()
        wait(last)
        seconds = (time.perf_counter() - began) / int(line)
        print(json.dumps({"seconds": seconds, "memory": _peak_memory() - imported}), flush=True)


def keep_to_cores(threads: int) -> None:
    """As many cores as threads, where the system can: there are libraries that ask for no more."""
    with contextlib.suppress(AttributeError):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _waiting(library: str, device: str) -> Callable[[object], object]:
    """What waits until a result is there."""
    if library == "jax":
        return importlib.import_module("jax").block_until_ready
    if device == "cpu":
        return lambda result: result
    if library == "torch":
        torch = importlib.import_module("torch")
        return lambda _: torch.cuda.synchronize()
    gpu = importlib.import_module("cupy").cuda.Device()
    return lambda _: gpu.synchronize()


def _peak_memory() -> float:
    """The peak of resident memory in MiB, as Linux tells it; elsewhere, NaN."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text() if status.exists() else "")
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    main(*sys.argv[1:5], int(sys.argv[5]))
