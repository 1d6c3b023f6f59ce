"""The sides of a case take turns, block by block: medians, quartiles and ratios of the times."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median, quantiles
from typing import IO, Any, cast

from .workloads import Case

BLOCK = 0.6  # seconds
PAUSE = 0.05  # seconds, in which the threads of the side before go to sleep
LONG, PART, TURN = 3000, 500, 100

Worker = subprocess.Popen[str]


def compare(
    workload: str, case: Case, sides: list[str], device: str, threads: int, repeats: int
) -> list[Any]:
    """A row for each side, from ``repeats`` blocks each; scratchgen comes first in every round."""
    with _workers(workload, case, sides, device, threads) as workers:
        counts = {who: _count(worker) for who, worker in workers.items()}
        blocks: dict[str, list[float]] = {who: [] for who in workers}
        memory: dict[str, float | None] = dict.fromkeys(workers)
        for _ in range(repeats):
            for who, worker in workers.items():
                time.sleep(PAUSE)
                answer = _ask(worker, counts[who])
                blocks[who].append(answer["seconds"] * case.scale)
                memory[who] = answer["memory"] if case.samples and device == "cpu" else None
    return [
        {
            "workload": case.title,
            "brief": case.brief,
            "who": who,
            "unit": case.unit,
            "blocks": blocks[who],
            "median": median(blocks[who]),
            "quartiles": quantiles(blocks[who], method="inclusive")[::2],
            "samples/s": case.samples * case.scale / median(blocks[who]) or None,
            "scratchgen / this": _ratio(blocks, "scratchgen", who),
            "this / floor": _ratio(blocks, who, "floor"),
            "peak memory above import, MiB": memory[who],
        }
        for who in workers
    ]


def drift(
    workload: str, case: Case, sides: list[str], device: str, threads: int
) -> dict[str, float]:
    """Median time of the last 500 of 3,000 steps over that of the first 500, in fresh processes.

    That of the floor, which does not learn, is the drift of the machine. Steps are taken 100 at a
    time; the median is of those turns.
    """
    seconds: dict[str, list[float]] = {who: [] for who in sides}
    with _workers(workload, case, sides, device, threads) as workers:
        for _ in range(LONG // TURN):
            for who, worker in workers.items():
                seconds[who].append(_ask(worker, TURN)["seconds"])
    k = PART // TURN
    return {who: median(turns[-k:]) / median(turns[:k]) for who, turns in seconds.items() if turns}


def _count(worker: Worker) -> int:
    """How many steps take a block."""
    few = 1 + int(BLOCK / 4 / _ask(worker, 2)["seconds"])
    return 1 + int(BLOCK / _ask(worker, min(few, 1000))["seconds"])


def _ratio(blocks: dict[str, list[float]], above: str, below: str) -> float | None:
    """The median, over the rounds, of the ratio of two sides within a round."""
    if above == below or not {above, below} <= {*blocks}:
        return None
    return median(a / b for a, b in zip(blocks[above], blocks[below], strict=True))


@contextlib.contextmanager
def _workers(
    workload: str, case: Case, sides: list[str], device: str, threads: int
) -> Iterator[dict[str, Worker]]:
    """A process for each side, once all are ready; a peer whose process ends is left out."""
    names = [f"{library}_NUM_THREADS" for library in ("OMP", "OPENBLAS", "MKL")]
    settings = {**dict.fromkeys(names, str(threads)), "JAX_PLATFORMS": "cpu"}
    worker = f"{__package__}.worker"
    with contextlib.ExitStack() as stack:
        workers = {
            who: stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", worker, workload, case.title, who, device, str(threads)],
                    env={**os.environ, **settings},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )  # which closes its input on leaving: the worker ends
            )
            for who in sides
        }
        ready = {}
        for who, process in workers.items():
            try:
                _ask(process, 1)  # which compiles what is compiled
                ready[who] = process
            except RuntimeError:
                if who == "scratchgen":
                    raise
                print(f"{case.title}: {who} fails, and is left out", file=sys.stderr)
        yield ready


def _ask(worker: Worker, steps: int) -> Any:
    with contextlib.suppress(BrokenPipeError):
        print(steps, file=cast("IO[str]", worker.stdin), flush=True)
    answer = cast("IO[str]", worker.stdout).readline()
    if not answer:
        raise RuntimeError("a worker ended before it answered: its error stands above")
    return json.loads(answer)
