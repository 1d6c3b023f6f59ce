"""What the order of the sweep costs: a number used twice at every turn, and a long chain.

y ← y + y, 200 times: 2²⁰⁰ paths from the cost to x, 200 nodes to be visited once each. And
y ← y + x, 5,000 times: a graph too deep for recursion. The floor is the forward pass alone,
in plain NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Case
from .engine import sides


def _doublings(_: Any, x: Any) -> Any:
    y = x
    for _ in range(200):
        y = y + y
    return y


def _chain(_: Any, x: Any) -> Any:
    y = x
    for _ in range(5000):
        y = y + x
    return y


TASKS = {"200 doublings": _doublings, "chain of 5,000": _chain}
CASES = [Case(title, sides(task, np.array(1.0))) for title, task in TASKS.items()]
