"""A summary of a network: its layers in order, with the shapes of their outputs and parameters."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..autodiff import Tensor
from ..html import table


@dataclass(frozen=True)
class Layer:
    """One inner network: its name, its class and settings, and its number of parameters."""

    name: str
    kind: str
    shape: tuple[int, ...] | None
    """The shape of its output for one sample, or None if it is unknown."""
    parameters: int


@dataclass(frozen=True, repr=False)
class Summary:
    """The layers of a network, first to last; ``str`` gives them as a table."""

    title: str
    layers: list[Layer]
    total: int
    """The number of learned numbers: a parameter that two layers share counts once."""

    head = ("name", "layer", "output", "parameters")

    def rows(self) -> list[tuple[str, ...]]:
        """The name, layer, output and parameters of each layer, then the total, as text."""
        rows = [
            (
                layer.name,
                layer.kind,
                "" if layer.shape is None else f"({', '.join(map(str, ('n', *layer.shape)))})",
                f"{layer.parameters:,}",
            )
            for layer in self.layers
        ]
        return [*rows, ("", "in all", "", f"{self.total:,}")]

    def __str__(self) -> str:
        rows = [self.head, *self.rows()]
        *widths, last = (max(map(len, column)) for column in zip(*rows, strict=True))
        lines = [
            "  ".join(
                [
                    *(cell.ljust(w) for cell, w in zip(row, widths, strict=False)),
                    row[-1].rjust(last),
                ]
            )
            for row in rows
        ]
        rule = "─" * len(lines[0])
        return "\n".join([self.title, lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        return table(self.head, self.rows(), [self.title])


def summary(network: Any, shapes: Mapping[str, tuple[int, ...]]) -> Summary:
    """Return the summary of a network; ``shapes`` are the known output shapes, by layer."""
    layers = [
        Layer(name, _kind(part), shapes.get(name), sum(p.size for p in _own(part)))
        for name, part in parts(network)
        if _own(part) or not _within(part)
    ]
    total = sum(parameter.size for parameter in network.parameters())
    return Summary(type(network).__name__, layers, total)


def parts(network: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a network and each of its inner networks with its name, outer networks first."""
    yield name, network
    for inner, part in _within(network).items():
        yield from parts(part, f"{name}.{inner}" if name else inner)


def watch(network: Any) -> dict[str, tuple[int, ...]]:
    """Make each part of a ``network`` on arrays record the shape of one sample of its output.

    The first call of each part counts. Use it on a ``frozen()`` network, whose parts are copies.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def noting(name: str, kind: Any) -> Any:
        def call(self: Any, *inputs: Any, **named: Any) -> Any:
            out = kind.__call__(self, *inputs, **named)
            shapes.setdefault(name, tuple(out.shape[1:]))
            return out

        return type(kind.__name__, (kind,), {"__call__": call})

    for name, part in parts(network):
        part.__class__ = noting(name, type(part))
    return shapes


def sample_shape(network: Any) -> tuple[int, ...] | None:
    """The shape of the samples that a network takes, if its first layer determines it."""
    for _, part in parts(network):
        weight = getattr(part, "weight", None)
        if weight is not None:
            return (weight.shape[1],) if weight.ndim == 2 else None
        if not _within(part) and isinstance(getattr(part, "shape", None), tuple):
            return (math.prod(part.shape),)
    return None


def _within(network: Any) -> dict[str, Any]:
    """The inner networks of a network: the attributes that have parameters and can be called."""
    return {k: v for k, v in vars(network).items() if hasattr(v, "named_parameters")}


def _own(network: Any) -> list[Tensor]:
    return [value for value in vars(network).values() if isinstance(value, Tensor)]


def _kind(network: Any) -> str:
    """The class, and for a layer without inner networks its non-default settings."""
    name = type(network).__name__
    if _within(network):
        return name
    defaults = inspect.signature(type(network).__init__).parameters
    given = [
        f"{value!r}" if defaults[k].default is inspect.Parameter.empty else f"{k}={value!r}"
        for k, value in network.construction.items()
        if value is not defaults[k].default and value != defaults[k].default
    ]
    return f"{name}({', '.join(given)})"
