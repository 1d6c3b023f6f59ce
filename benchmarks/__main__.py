"""The command line: which workloads, beside whom, on how many threads; prints the table."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
from pathlib import Path
from typing import Any

from scratchgen.parallel import describe_blas

from .turns import compare, drift
from .workloads import cases, library, names

COLUMNS = ("scratchgen / this", "this / floor", "peak memory above import, MiB", "drift")


def main() -> None:
    asked = _arguments()
    chosen = asked.peers.replace(",", " ").split()
    missing = [peer for peer in chosen if importlib.util.find_spec(peer) is None]
    peers = [peer for peer in chosen if peer not in missing]
    machine = _machine(asked.threads, peers, missing)
    print("; ".join(f"{name} {value}" for name, value in machine.items()) + "\n")
    print(_line("workload", "who", "median", "quartiles", *COLUMNS))
    print(_line(*["---"] * (4 + len(COLUMNS))), flush=True)
    rows = []
    for workload in asked.workloads or names():
        for case in cases(workload):
            sides = [w for w in case.sides if library(w) in {"scratchgen", "numpy", *peers}]
            results = compare(workload, case, sides, asked.threads, asked.repeats)
            if asked.long and case.trains:
                drifts = drift(workload, case, sides, asked.threads)
                results = [{**row, "drift": drifts[row["who"]]} for row in results]
            print("\n".join(map(_row, results)), flush=True)
            rows += results
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(names())}; or all")
    add("--peers", default="torch,autograd,mygrad", help="beside whom")
    add("--threads", type=int, default=os.cpu_count(), help="of every BLAS, and of PyTorch")
    add("--repeats", type=int, default=15, help="blocks of steps for each side, at least 2")
    add("--long", action="store_true", help="train 3,000 steps too: the last 500 over the first")
    add("--json", type=Path, metavar="FILE", help="the same as JSON, and the time of each block")
    asked = parser.parse_args()
    unknown = set(asked.workloads).difference(names())
    if unknown or asked.repeats < 2 or asked.threads < 1:
        parser.error(f"workloads are {', '.join(names())}; repeats ≥ 2, threads ≥ 1")
    return asked


def _machine(threads: int, peers: list[str], missing: list[str]) -> dict[str, str]:
    """The machine and the versions, without its name or any path."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text() if cpuinfo.exists() else "")
    return {
        "CPU": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        "threads": str(threads),
        "load before": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "Python": platform.python_version(),
        "BLAS": describe_blas(),
        **{name: importlib.metadata.version(name) for name in ["scratchgen", "numpy", *peers]},
        **({"not installed and left out:": ", ".join(missing)} if missing else {}),
    }


def _row(row: dict[str, Any]) -> str:
    """A row of the table, in Markdown."""
    times = f"{_digits(row['median'])} {row['unit']}", "–".join(map(_digits, row["quartiles"]))
    return _line(row["workload"], row["who"], *times, *(_digits(row.get(c)) for c in COLUMNS))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _digits(value: float | None) -> str:
    """Three significant digits."""
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


if __name__ == "__main__":
    main()
