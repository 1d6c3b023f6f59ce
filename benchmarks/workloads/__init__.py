"""What is timed: each file of this package is a workload, and lists its ``CASES``.

A file's name is its workload's, less a trailing underscore (``import_`` is ``import``).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

Step = Callable[[], object]

PEERS = {
    "torch": "torch",
    "torch-compile": "torch",
    "jax": "jax",
    "sklearn": "sklearn",
    "autograd": "autograd",
    "mygrad": "mygrad",
}
"""The peers, each with the module that it is written with."""

ON_GPU = ("torch", "torch-compile")
"""Those of them that take part on a GPU."""


@dataclass(frozen=True)
class Case:
    """One task that several sides do, each its own way.

    ``sides`` maps who does it to a function that prepares it, on the device that it is given where
    the case is one ``on_gpu`` too, and returns the step to be timed. Up to a comma, a name is that
    of the peer, or ``"scratchgen"``; ``"floor"`` is what NumPy, or CuPy, needs at the least. A
    second is ``scale`` units. Where a step takes or makes ``samples``, these are counted by the
    second, and memory is reported; with ``trains``, drift over many steps, if asked for. What
    is ``brief`` has a third of the rounds.
    """

    title: str
    sides: Mapping[str, Callable[..., Step]]
    unit: str = "ms"
    scale: float = 1e3
    samples: int = 0
    trains: bool = False
    on_gpu: bool = False
    brief: bool = False


def names() -> list[str]:
    """The workloads there are."""
    return [module.name.rstrip("_") for module in pkgutil.iter_modules(__path__)]


def cases(workload: str) -> list[Case]:
    """The cases of a workload."""
    (name,) = [m.name for m in pkgutil.iter_modules(__path__) if m.name.rstrip("_") == workload]
    return cast("list[Case]", importlib.import_module(f"{__name__}.{name}").CASES)


def peer(who: str) -> str:
    """Whose side it is: ``"torch, fused Adam"`` is that of ``"torch"``."""
    return who.split(",")[0]


def library(who: str) -> str:
    """The module that a side is written with."""
    return PEERS.get(peer(who), "numpy" if peer(who) == "floor" else peer(who))
