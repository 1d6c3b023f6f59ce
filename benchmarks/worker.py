"""One side of a comparison, in a process of its own: called with the workload, the case and who.

Answers each number N on standard input by a line of JSON: the seconds that each of N steps took,
and the peak of resident memory so far above what it was after importing the library, in MiB.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
from pathlib import Path

from .workloads import cases, library


def main(workload: str, title: str, who: str) -> None:
    module = importlib.import_module(library(who))
    if module.__name__ == "torch":
        module.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        importlib.import_module("torch._dynamo")  # which its optimizers import on first use
    (case,) = [case for case in cases(workload) if case.title == title]
    imported = _peak_memory()
    step = case.sides[who]()
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
        print(json.dumps({"seconds": seconds, "memory": _peak_memory() - imported}), flush=True)


def _peak_memory() -> float:
    """The peak of resident memory in MiB, as Linux tells it; elsewhere, NaN."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text() if status.exists() else "")
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    main(*sys.argv[1:])
