"""What is timed: each file of this package is a workload, and lists its ``CASES``.

A file's name is its workload's, less a trailing underscore (``import_`` is ``import``).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

Step = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One task that several sides do, each its own way.

    ``sides`` maps who does it to a function that prepares it and returns the step to be timed. Up
    to a comma, a name is that of the library; ``"floor"`` is what NumPy needs at the least. A
    second is ``scale`` units. With ``trains``, memory is reported, and drift over many steps.
    """

    title: str
    sides: dict[str, Callable[[], Step]]
    unit: str = "ms"
    scale: float = 1e3
    trains: bool = False


def names() -> list[str]:
    """The workloads there are."""
    return [module.name.rstrip("_") for module in pkgutil.iter_modules(__path__)]


def cases(workload: str) -> list[Case]:
    """The cases of a workload."""
    (name,) = [m.name for m in pkgutil.iter_modules(__path__) if m.name.rstrip("_") == workload]
    return cast("list[Case]", importlib.import_module(f"{__name__}.{name}").CASES)


def library(who: str) -> str:
    """The library that a side is written with: ``"torch, fused Adam"`` is of ``"torch"``."""
    return "numpy" if who.startswith("floor") else who.split(",")[0]
