"""What other programs leave of the cores: where that is little, a time says more of them.

:func:`share` starts as many busy loops as there are threads to be measured with. Run as a program,
this module is one such loop, which prints its share of a core.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import mean

from .worker import keep_to_cores

SECONDS = 0.3
ENOUGH = 0.9


def share(threads: int) -> float:
    """The part of ``threads`` cores that busy loops get, from 0 to 1."""
    loop = [sys.executable, "-m", __name__, str(threads)]
    loops = [subprocess.Popen(loop, stdout=subprocess.PIPE, text=True) for _ in range(threads)]
    return mean(float(process.communicate()[0]) for process in loops)


def _of_one_loop() -> float:
    began, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < SECONDS:
        pass
    return (time.process_time() - used) / (time.perf_counter() - began)


if __name__ == "__main__":
    keep_to_cores(int(sys.argv[1]))
    print(_of_one_loop())
