"""The sides of a case take turns, block by block: medians, quartiles and ratios of the times."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import mean, median, quantiles
from typing import IO, Any, cast

from .workloads import Case

BLOCK = 0.25  # seconds
PAUSE = 0.05  # seconds, in which the threads of the side before go to sleep
LONG, PART, TURN = 3000, 500, 100


def compare(workload: str, case: Case, sides: list[str], threads: int, repeats: int) -> list[Any]:
    """A row for each side, from ``repeats`` blocks each; scratchgen comes first in every round."""
    blocks: dict[str, list[float]] = {who: [] for who in sides}
    with contextlib.ExitStack() as stack:
        workers = {w: stack.enter_context(_worker(workload, case, w, threads)) for w in sides}
        warm = {who: _ask(worker, 5)["seconds"] for who, worker in workers.items()}
        counts = {who: 2 + int(BLOCK / min(seconds)) for who, seconds in warm.items()}
        memory = {}
        for _ in range(repeats):
            for who, worker in workers.items():
                time.sleep(PAUSE)
                answer = _ask(worker, counts[who])
                blocks[who].append(mean(answer["seconds"][1:]) * case.scale)
                memory[who] = answer["memory"] if case.trains else None
    return [
        {
            "workload": case.title,
            "who": who,
            "unit": case.unit,
            "blocks": blocks[who],
            "median": median(blocks[who]),
            "quartiles": quantiles(blocks[who], method="inclusive")[::2],
            "scratchgen / this": _ratio(blocks, "scratchgen", who),
            "this / floor": _ratio(blocks, who, "floor"),
            "peak memory above import, MiB": memory[who],
        }
        for who in sides
    ]


def drift(workload: str, case: Case, sides: list[str], threads: int) -> dict[str, float]:
    """Median time of the last 500 of 3,000 steps over that of the first 500, in fresh processes.

    That of the floor, which does not learn, is the drift of the machine.
    """
    seconds: dict[str, list[float]] = {who: [] for who in sides}
    with contextlib.ExitStack() as stack:
        workers = {w: stack.enter_context(_worker(workload, case, w, threads)) for w in sides}
        for _ in range(LONG // TURN):
            for who, worker in workers.items():
                seconds[who] += _ask(worker, TURN)["seconds"]
    return {who: median(all_[-PART:]) / median(all_[:PART]) for who, all_ in seconds.items()}


def _ratio(blocks: dict[str, list[float]], above: str, below: str) -> float | None:
    """The median, over the rounds, of the ratio of two sides within a round."""
    pairs = zip(blocks[above], blocks[below], strict=True)
    return None if above == below else median(a / b for a, b in pairs)


@contextlib.contextmanager
def _worker(workload: str, case: Case, who: str, threads: int) -> Iterator[subprocess.Popen[str]]:
    names = [f"{library}_NUM_THREADS" for library in ("OMP", "OPENBLAS", "MKL")]
    with subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.worker", workload, case.title, who],
        env={**os.environ, **dict.fromkeys(names, str(threads))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:  # which closes its input on leaving: the worker ends
        yield process


def _ask(worker: subprocess.Popen[str], steps: int) -> Any:
    with contextlib.suppress(BrokenPipeError):
        print(steps, file=cast("IO[str]", worker.stdin), flush=True)
    answer = cast("IO[str]", worker.stdout).readline()
    if not answer:
        raise RuntimeError("a worker ended before it answered: its error stands above")
    return json.loads(answer)
