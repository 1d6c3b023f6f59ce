"""The trace as one self-contained page: a template with the numbers in it as JSON.

This file provides the content: arrays, nodes with their positions in the picture, steps.
``page.html`` defines its look and its motion.
"""

from __future__ import annotations

import html
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..autodiff import Operation
from ..backend import Array, to_host
from .arrays import data_of, is_array, norm

ENTRIES = 1024  # the largest number of entries of an array on the page
BUDGET = 400_000  # the approximate number of entries of all arrays: a few megabytes
FEWEST = 16  # the least number of entries of an array, for any number of arrays
PLANES = 8  # the largest number of planes of a large array with more than two axes


PACKAGE = Path(__file__).parents[1]


class Prepared(NamedTuple):
    """What was computed or drawn before the cost, and counts as a constant in it: h ~ p(h|v)."""

    equation: str
    """The equation of the value, ``"x_t = √ᾱ x₀ + √(1 − ᾱ) ε"``."""
    value: Any
    values: Mapping[str, Any]
    """The letters of the right-hand side, with their arrays or numbers."""
    why: str = ""
    matrices: bool = False
    """Whether adjacent letters are a product of matrices, not of entries."""


def page(
    trace: Any,
    title: str = "Backpropagation, step by step",
    prepared: Sequence[Prepared] = (),
    source: str | None = None,
) -> str:
    """Return the page as HTML text; for its arguments see :meth:`Trace.to_html`."""
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    described = describe(trace, prepared, source)
    content = json.dumps(described, ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":  # escaped, so that no text can end the enclosing script
        content = content.replace(sign, f"\\u{ord(sign):04x}")
    return template.replace("{{title}}", html.escape(title)).replace("{{trace}}", content)


def describe(
    trace: Any, prepared: Sequence[Prepared] = (), source: str | None = None
) -> dict[str, Any]:
    """Return the content of the page, as JSON.

    ``arrays``, ``nodes`` and ``lines`` refer to each other by index. The nodes have the order of
    the forward pass, each after its inputs; ``steps`` are the stations of the reader.
    """
    arrays = _Arrays()
    nodes: list[dict[str, Any]] = []
    index: dict[int, int] = {}
    visited = {id(node.tensor): node for node in trace.nodes}
    ordered = [node for node in reversed(trace.nodes) if node.equations]

    def place(x: Any) -> int:
        """Return the index of a node; an array that is not one yet becomes one here."""
        if id(x) not in index:
            index[id(x)] = len(nodes)
            node = visited.get(id(x))
            nodes.append(
                {
                    "symbol": trace.symbols[id(x)],
                    "kind": "parameter" if node else "constant",
                    "layer": node.layer if node else "",
                    "value": arrays.add(data_of(x)),
                    "delta": arrays.add(node.delta) if node else None,
                }
            )
        return index[id(x)]

    for node in ordered:
        x, stated = node.tensor, node.equations
        assert stated is not None
        inputs = [
            place(y) if is_array(y) else "" if y is None else f"{y:.4g}".replace("-", "−")
            for y in x.inputs
        ]
        index[id(x)] = len(nodes)
        value = arrays.add(x.data)
        values = {
            symbol: arrays.add(data_of(y) if is_array(y) else np.asarray(y))
            for symbol, y in zip(stated.symbols, x.inputs, strict=True)
            if y is not None
        }
        nodes.append(
            {
                "symbol": node.symbol,
                "kind": "operation",
                "operation": x.operation.rule.__name__,
                "place": place_of(x.operation),
                "href": _address(x.operation, source),
                "layer": node.layer,
                "settings": ", ".join(f"{k} = {_brief(v)}" for k, v in x.settings.items()),
                "letter": stated.letter,
                "symbols": stated.symbols,
                "matrices": stated.of_matrices,
                "equation": stated.forward,
                "inputs": inputs,
                "values": values,
                "value": value,
                "delta": arrays.add(node.delta),
            }
        )
    if not nodes:  # the cost is the only tensor
        for node in trace.nodes:
            place(node.tensor)
    by_symbol = {node["symbol"]: k for k, node in enumerate(nodes)}
    lines = [
        {
            "of": by_symbol[line.of],
            "to": by_symbol[line.to],
            "equation": line.equation,
            "why": line.reason,
            "share": arrays.add(line.share),
            "part": line.part,
            "parts": line.parts,
            "fault": line.fault,
        }
        for line in trace
    ]
    _place(nodes)
    computed = [k for k, node in enumerate(nodes) if node["kind"] == "operation"]
    steps: list[dict[str, Any]] = [{"phase": "start"}]
    steps += [{"phase": "prepared", "prepared": k} for k in range(len(prepared))]
    steps += [{"phase": "forward", "node": k} for k in computed]
    steps += [{"phase": "seed", "node": len(nodes) - 1}] if nodes else []
    steps += [{"phase": "backward", "line": k} for k in range(len(lines))]
    steps += [{"phase": "end"}]
    return {
        "nodes": nodes,
        "lines": lines,
        "steps": steps,
        "prepared": [
            {
                "equation": of.equation,
                "value": arrays.add(of.value),
                "values": {letter: arrays.add(x) for letter, x in of.values.items()},
                "why": of.why,
                "matrices": of.matrices,
            }
            for of in prepared
        ],
        "gradients": [
            {
                "name": name,
                "value": arrays.add(value),
                "given": arrays.add(trace.wrong[name]) if name in trace.wrong else None,
            }
            for name, value in trace.gradients.items()
        ],
        "arrays": arrays.described(),
    }


def place_of(operation: Operation) -> str:
    """The file of a rule and its line: ``"scratchgen/operations/layers.py:24"``."""
    code = getattr(inspect.unwrap(operation.rule), "__code__", None)
    if code is None:  # an object that is called
        return ""
    path = Path(code.co_filename)
    inside = path.is_relative_to(PACKAGE)
    shown = path.relative_to(PACKAGE.parent).as_posix() if inside else path.name
    return f"{shown}:{code.co_firstlineno}"


def _address(operation: Operation, source: str | None) -> str:
    """The address of the source of a rule of the library, or "" without one."""
    file, _, line = place_of(operation).partition(":")
    if source is None or not file.startswith(f"{PACKAGE.name}/"):
        return ""
    return source.format(file=file, line=line)


def _brief(setting: Any) -> str:
    """A setting in a few letters; a key has the form that it has between brackets."""
    if isinstance(setting, tuple):
        return f"({', '.join(map(_brief, setting))})"
    if isinstance(setting, slice):
        parts = [setting.start, setting.stop, *([] if setting.step is None else [setting.step])]
        return ":".join("" if part is None else str(part) for part in parts)
    if hasattr(setting, "shape"):
        return f"an array of shape {setting.shape}"
    text = "…" if setting is ... else " ".join(str(setting).split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def _place(nodes: list[dict[str, Any]]) -> None:
    """Set columns by depth, and rows such that chains and long edges are straight."""
    taken: set[tuple[int, int]] = set()
    for node in nodes:
        if node["kind"] != "operation":
            continue
        inner = [nodes[j] for j in node["inputs"] if isinstance(j, int)]
        before = [other for other in inner if other["kind"] == "operation"]
        column = 1 + max((other["column"] for other in before), default=-1)
        row = min((other["row"] for other in before), default=0)
        while (column, row) in taken:
            row += 1
        node.update(column=column, row=row)
        taken.add((column, row))
        for other in before:
            taken |= {(between, other["row"]) for between in range(other["column"], column)}


class _Arrays:
    """The arrays of the page, each once; large ones are represented by evenly spaced entries."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[int, Array]] = {}

    def add(self, x: Any) -> int:
        """Return the place of an array on the page, and keep the array, and so its identity."""
        place, _ = self.kept.setdefault(id(x), (len(self.kept), x))
        return place

    def described(self) -> list[dict[str, Any]]:
        most = max(FEWEST, min(ENTRIES, BUDGET // max(1, len(self.kept))))
        arrays = (np.asarray(x) if np.isscalar(x) else x for _, x in self.kept.values())
        return [_described(x, most) for x in arrays]


def _described(x: Array, most: int) -> dict[str, Any]:
    """Return the shape, and all entries or evenly spaced ones of the first planes."""
    shape = list(x.shape)
    height, width = ([1, 1, *shape])[-2:]
    count = math.prod(shape[:-2])
    planes = count if x.size <= most else min(count, PLANES)
    side = math.isqrt(max(1, most // max(1, planes)))
    rows = _picked(height, max(side, most // max(1, planes * width)))
    columns = _picked(width, most // max(1, planes * len(rows)))
    part = x.reshape(count, height, width)[:planes]
    picked = (np.asarray(places, dtype=np.intp, like=x) for places in (rows, columns))
    excerpt = part[:, next(picked)][:, :, next(picked)]
    numbers = to_host(excerpt)
    whole = numbers.size == x.size
    described: dict[str, Any] = {"shape": shape, "planes": _entries(numbers, exact=whole)}
    if not whole:
        described |= {"rows": rows, "columns": columns, "of": int(x.size)}
    if x.size and x.dtype.kind == "f":
        described["norm"] = _number(norm(x))
    return described


def _picked(n: int, most: int) -> list[int]:
    count = min(n, max(1, most))
    return [k * n // count for k in range(count)]


def _entries(numbers: Any, exact: bool) -> Any:
    if isinstance(numbers, np.ndarray) and numbers.ndim:
        return [_entries(part, exact) for part in numbers]
    # The shortest decimal of a float32 differs from that of the float64 of equal value.
    return _number(float(str(numbers)) if exact else float(f"{numbers:.4g}"))


def _number(value: float) -> float | str:
    """Return a number for JSON, which has no ∞."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
