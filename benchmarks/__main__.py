"""The command line: which workloads, beside whom, on how many threads; prints the tables."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sys
from pathlib import Path

import scratchgen
from scratchgen.backend import describe_cuda, generator
from scratchgen.parallel import describe_blas

from .idle import ENOUGH, share
from .summary import (
    BEGIN,
    END,
    has_place,
    in_readme,
    line,
    of_case,
    picture,
    remarks,
    summary,
    too_busy,
)
from .turns import compare, drift
from .workloads import ON_GPU, PEERS, cases, names, peer

DISTRIBUTIONS = {"sklearn": "scikit-learn"}
COLUMNS = (
    "samples/s",
    "scratchgen / this",
    "this / floor",
    "peak memory above import, MiB",
    "drift",
)


def main() -> None:
    given = _arguments()
    chosen = given.peers.replace(",", " ").split()
    if given.device == "cuda":
        chosen = [who for who in chosen if who in ON_GPU]
    missing = [who for who in chosen if importlib.util.find_spec(PEERS[who]) is None]
    peers = [who for who in chosen if who not in missing]
    machine = _machine(given, peers, missing)
    print("; ".join(f"{name} {value}" for name, value in machine.items()) + "\n")
    print(line("workload", "who", "median", "quartiles", *COLUMNS))
    print(line(*["---"] * (4 + len(COLUMNS))), flush=True)
    rows = []
    for workload in given.workloads or names():
        for case in cases(workload):
            if given.device == "cuda" and not case.on_gpu:
                continue
            taking_part = {"scratchgen", "numpy", "floor", *peers}
            sides = [who for who in case.sides if peer(who) in taking_part]
            repeats = max(2, given.repeats // 3) if case.brief else given.repeats
            before = share(given.threads)
            results = compare(workload, case, sides, given.device, given.threads, repeats)
            left = min(before, share(given.threads))
            results = [{**row, "cores left": left} for row in results]
            if given.long and case.trains:
                drifts = drift(workload, case, sides, given.device, given.threads)
                results = [{**row, "drift": drifts.get(row["who"])} for row in results]
            print("\n".join(of_case(row, COLUMNS) for row in results), flush=True)
            if left < ENOUGH:
                print(
                    f"{case.title}: the machine is too busy to measure: other programs leave "
                    f"{left:.0%} of the cores",
                    file=sys.stderr,
                )
            rows += results
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    print("\n" + remarks(rows))
    if not any(peer(row["who"]) in PEERS for row in rows):
        print(
            "\nno peer took part, so that there is nothing to compare with: pip install '.[peers]'"
        )
        return
    print("\n" + summary(rows))
    if given.plot:
        picture(rows, given.plot)
    if given.readme:
        if any(map(too_busy, rows)):
            sys.exit(f"{given.readme} keeps its table: the machine was too busy to measure")
        in_readme(rows, machine, given.readme)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(names())}; or all")
    add("--peers", default=",".join(PEERS), help="beside whom, of those that are installed")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="for scratchgen and PyTorch")
    add("--threads", type=int, default=os.cpu_count(), help="of every library")
    add("--repeats", type=int, default=7, help="blocks of steps for each side, at least 2")
    add("--long", action="store_true", help="train 3,000 steps too: the last 500 over the first")
    add("--json", type=Path, metavar="FILE", help="the same as JSON, and the time of each block")
    add("--plot", type=Path, metavar="FILE", help="a picture of the ratios to every peer")
    add("--readme", type=Path, metavar="FILE", help="put the summary between the marks in FILE")
    given = parser.parse_args()
    unknown = {*given.workloads} - {*names()} | {*given.peers.replace(",", " ").split()} - {*PEERS}
    if unknown or given.repeats < 2 or given.threads < 1:
        parser.error(
            f"workloads are {', '.join(names())}; peers are {', '.join(PEERS)}; repeats ≥ 2, "
            f"threads ≥ 1; got {', '.join(sorted(unknown)) or vars(given)}"
        )
    for path in (given.json, given.plot):
        if path and not path.parent.is_dir():
            parser.error(f"{path} cannot be written: there is no folder {path.parent}")
    if given.readme and not has_place(given.readme):
        parser.error(f"{given.readme} holds no place for the table: {BEGIN} and {END}, once each")
    if given.device == "cuda":
        try:
            generator(0, "cuda")
        except RuntimeError as error:
            parser.exit(2, f"{parser.prog}: {error}\n")
    return given


def _machine(given: argparse.Namespace, peers: list[str], missing: list[str]) -> dict[str, str]:
    """The machine and the versions, without its name or any path."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text() if cpuinfo.exists() else "")
    modules = dict.fromkeys(PEERS[who] for who in peers)
    libraries = ["numpy", *[DISTRIBUTIONS.get(name, name) for name in modules]]
    return {
        "CPU": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        **({"GPU": describe_cuda()} if given.device == "cuda" else {}),
        "threads": str(given.threads),
        "load before": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "Python": platform.python_version(),
        "BLAS": describe_blas(),
        "scratchgen": scratchgen.__version__,
        **{name: importlib.metadata.version(name) for name in libraries},
        **({"not installed and left out:": ", ".join(missing)} if missing else {}),
    }


if __name__ == "__main__":
    main()
