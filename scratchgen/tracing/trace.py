"""A record of the backward sweep: which equation was used when, on which δ, and with what result.

:func:`~scratchgen.backward_sweep` yields each tensor with its finished δ. A line of the trace is
one equation that was used: it belongs to one of these tensors and to one of its inputs that the
sweep visits too. If an input has one such line, its finished δ is the share on that line. If it has
several, each share is computed by a sweep of that one operation, and their sum is the δ.
"""

from __future__ import annotations

import math
import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from ..autodiff import Tensor, backward_sweep
from ..backend import Array, to_host
from ..files import write_atomically
from ..html import table
from .arrays import data_of, is_array, norm
from .equations import SUBSCRIPTS, Equations, equations_of
from .page import Prepared, page
from .reasons import reason

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 110  # the largest width of the printed table, in columns
SHOWN = 60  # the largest number of lines in a notebook; the printed table has all lines


@dataclass(frozen=True, eq=False)
class Line:
    """One equation that was used: the share of δ that an operation passes to one of its inputs.

    The arrays may be shared with those of the sweep: do not change them.
    """

    layer: str
    """The layer of the operation: ``"encoder.0"`` for the parameter ``"encoder.0.weight"``."""
    operation: str
    """The name of the operation in ``scratchgen.operations``."""
    of: str
    """The symbol of the value of the operation, to which δ belongs."""
    to: str
    """The name or the symbol of the input to which the equation leads."""
    equation: str
    """The equation in the letters of the rule: ``"∂C/∂W = δᵀ a"``."""
    delta: Array
    """δ = ∂C/∂(the value of the operation), finished."""
    share: Array
    """The result of the equation, in the shape of the input."""
    total: Array
    """∂C/∂(the input): the sum of the shares of all ``parts`` lines that lead to it."""
    part: int
    """The number of this line among them: 1 … ``parts``."""
    parts: int
    fault: str = ""
    """The mistake that a check found in the given derivative at this equation."""
    reason: str = ""
    """Why the equation holds, in one sentence; "" for a rule that the library does not know."""

    @cached_property
    def delta_norm(self) -> float:
        """‖δ‖, the Euclidean norm of the incoming δ."""
        return norm(self.delta)

    @cached_property
    def norm(self) -> float:
        """The Euclidean norm of the share."""
        return norm(self.share)

    @property
    def rms(self) -> float:
        """The root mean square entry of the share, which does not grow with its size."""
        return self.norm / math.sqrt(self.share.size or 1)


@dataclass(frozen=True, eq=False)
class Node:
    """A tensor that the sweep visited, with its name or symbol and its finished δ."""

    symbol: str
    layer: str
    tensor: Tensor
    delta: Array
    equations: Equations | None
    """The equations of its operation; ``None`` at an origin."""


class Trace(Sequence[Line]):
    """The lines of a sweep in its order, as :func:`trace` makes them; it prints as a table."""

    def __init__(
        self,
        nodes: Sequence[Node],
        lines: Sequence[Line],
        gradients: Mapping[str, Array],
        symbols: Mapping[int, str],
        wrong: Mapping[str, Array] | None = None,
    ) -> None:
        self.nodes, self.lines = tuple(nodes), tuple(lines)
        self.gradients, self.symbols = dict(gradients), dict(symbols)
        self.wrong = dict(wrong or {})

    @overload
    def __getitem__(self, k: int) -> Line: ...
    @overload
    def __getitem__(self, k: slice) -> Sequence[Line]: ...
    def __getitem__(self, k: int | slice) -> Line | Sequence[Line]:
        return self.lines[k]

    def __len__(self) -> int:
        return len(self.lines)

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} equations that lead to {', '.join(self.gradients)}>"

    def __str__(self) -> str:
        return "\n".join([_aligned(_rows(self.lines)), *self._faults()])

    def _faults(self) -> list[str]:
        """Each mistake once, with the equations in which it is."""
        of: dict[str, list[str]] = {}
        for line in self.lines:
            if line.fault:
                of.setdefault(line.fault, []).append(f"{line.of} → {line.to}")
        return [f"✗ {', '.join(lines)}: {fault}" for fault, lines in of.items()]

    def _repr_html_(self) -> str:
        head, *rows = _rows(self.lines)
        if len(rows) > SHOWN:
            left_out = f"… {len(rows) - SHOWN + 1} lines more", *[""] * (len(head) - 1)
            rows = [*rows[: SHOWN // 2], left_out, *rows[len(rows) - SHOWN // 2 + 1 :]]
        return table(head, rows, self._faults())

    def delta_norms(self) -> dict[str, float]:
        """‖δ‖ of each layer, where δ = ∂C/∂z of the layer's z, from the output back."""
        wanted, norms = set(self.gradients), {}
        for line in self.lines:
            if line.to in wanted and (name := line.layer or line.of) not in norms:
                norms[name] = line.delta_norm
        return norms

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot ‖δ‖ by layer, from the output to the input: level, vanishing or exploding."""
        from ..plotting import delta_norms

        return delta_norms(self.delta_norms(), ax)

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        title: str = "Backpropagation, step by step",
        prepared: Sequence[Prepared] = (),
        source: str | None = None,
    ) -> None:
        """Write one self-contained page that steps forward and backward through the numbers.

        On the page a reader may predict each number before it is shown, and reads why each equation
        holds. ``prepared`` are stations before the first operation: what was drawn, and counts as a
        constant. ``source`` is the address of a line of the library, relative to the page, with its
        ``{file}`` and ``{line}``, as ``"source/{file}.html#L-{line}"``; without it the page names
        both.
        """
        write_atomically(path, page(self, title, prepared, source).encode())


def trace(
    cost: Tensor,
    wrt: Sequence[Tensor] | Mapping[str, Tensor],
    names: Mapping[str, Any] | None = None,
    faults: Mapping[tuple[Tensor, int], str] | None = None,
    wrong: Mapping[str, Array] | None = None,
) -> Trace:
    """Return every equation that ``gradient(cost, wrt)`` uses, in the order of the sweep.

    ``wrt`` may name its tensors, as ``dict(network.named_parameters())`` does. ``names`` names
    other tensors and arrays by identity, such as inputs and targets. The others get the letter of
    their rule: z₁, a₁, C. ``cost`` is not changed, and no data leave the device until they are
    printed. A check of given derivatives marks what it found: ``faults`` holds the mistake in the
    equation of a tensor for its input k, ``wrong`` the wrong derivatives by name.

    Raises ``TypeError`` for objects that are not tensors, ``ValueError`` for a cost that is not one
    number or does not depend on a tensor of ``wrt``.
    """
    if not isinstance(wrt, (Mapping, list, tuple)):
        raise TypeError(
            f"wrt is a list of tensors, or a mapping from names to tensors, got "
            f"{type(wrt).__name__}: put it in a list, or take dict(network.named_parameters())"
        )
    given = dict(wrt) if isinstance(wrt, Mapping) else {f"wrt[{k}]": x for k, x in enumerate(wrt)}
    swept = dict(backward_sweep(cost, [*given.values()]))
    for name, x in given.items():
        if x not in swept:
            raise ValueError(
                f"the cost does not depend on {name}, of shape {x.shape}: leave it out"
            )
    named = given if isinstance(wrt, Mapping) else {}
    if twice := named.keys() & (names or {}).keys():
        raise ValueError(f"wrt and names both hold {sorted(twice)}: give each name once")
    stated = {x: _equations(x) for x in swept if x.operation}
    symbols = _symbols([*reversed(swept)], stated, {**named, **(names or {})})
    layers = _layers([*reversed(swept)], {x: name for name, x in reversed(named.items())})

    used = [(x, k) for x in swept for k, y in enumerate(x.inputs) if _within(y, swept)]
    parts, seen = Counter(id(x.inputs[k]) for x, k in used), Counter[int]()
    lines = []
    for x, k in used:
        y = x.inputs[k]
        seen[id(y)] += 1
        operation, equation = x.operation.rule.__name__, stated[x].backward[k]
        words = layers[x], operation, symbols[id(x)], symbols[id(y)], equation
        share = swept[y] if parts[id(y)] == 1 else _share(x, k, swept[x])
        fault = (faults or {}).get((x, k), "")
        part = seen[id(y)], parts[id(y)]
        lines.append(Line(*words, swept[x], share, swept[y], *part, fault, reason(x.operation, k)))
    nodes = [Node(symbols[id(x)], layers[x], x, swept[x], stated.get(x)) for x in swept]
    gradients = {name if named else symbols[id(x)]: swept[x] for name, x in given.items()}
    return Trace(nodes, lines, gradients, symbols, wrong)


def _within(x: object, swept: Mapping[Tensor, Array]) -> bool:
    return isinstance(x, Tensor) and x in swept


def _equations(x: Tensor) -> Equations:
    return equations_of(x.operation, tuple(equation is not None for equation in x.equations))


def _share(x: Tensor, k: int, delta: Array) -> Array:
    """The share of ``delta`` for input k: the sweep of this one operation."""
    y = Tensor(x.inputs[k].data)
    inputs = [y if i == k else data_of(other) for i, other in enumerate(x.inputs)]
    alone = Tensor(x.data, x.operation, inputs, x.equations, x.settings)
    return dict(backward_sweep(alone, [y], delta))[y]


def _symbols(
    forward: Sequence[Tensor], stated: Mapping[Tensor, Equations], names: Mapping[str, Any]
) -> dict[int, str]:
    """The name or symbol of each tensor and array, by the identity of the object.

    A letter that several share is numbered in the order of the forward pass: from 1, or from 0 if
    the first is given and not computed, as a⁽⁰⁾ is in the notes.
    """
    symbols: dict[int, str] = {}
    for name, x in names.items():
        symbols.setdefault(id(x), name)
    letters: dict[int, str] = {}
    computed = {id(x) for x in stated}
    for x in forward:
        for k, y in enumerate(x.inputs):
            if is_array(y) and id(y) not in computed:
                letters.setdefault(id(y), stated[x].symbols[k])
        if x in stated:
            letters[id(x)] = stated[x].letter or "v"
    if forward and "C" not in names:
        symbols.setdefault(id(forward[-1]), "C")
    taken = {*symbols.values()}
    unnamed: dict[str, list[int]] = {}
    for key, letter in letters.items():
        if key not in symbols:
            unnamed.setdefault(letter, []).append(key)
    for letter, keys in unnamed.items():
        if len(keys) == 1 and letter not in taken:
            symbols[keys[0]] = letter
            continue
        number = 1 if keys[0] in computed or computed.isdisjoint(keys) else 0
        for key in keys:
            while (symbol := letter + str(number).translate(SUBSCRIPTS)) in taken:
                number += 1
            symbols[key] = symbol
            number += 1
    return symbols


def _layers(forward: Sequence[Tensor], names: Mapping[Tensor, str]) -> dict[Tensor, str]:
    """The layer of each tensor: that of its parameters, or else that of its input.

    A layer maps rows to rows. A tensor with fewer than two axes and another shape than its input,
    such as a cost per sample, belongs to no layer.
    """
    layers: dict[Tensor, str] = {}
    for x in forward:
        own = [
            names[y].rpartition(".")[0] for y in x.inputs if isinstance(y, Tensor) and y in names
        ]
        before = [y for y in x.inputs if isinstance(y, Tensor) and layers.get(y) and y not in names]
        layer = own[0] if own else ""
        if not layer and before:
            latest = max(before, key=lambda y: y.birth)
            if x.ndim >= 2 or x.shape == latest.shape:
                layer = layers[latest]
        layers[x] = names[x].rpartition(".")[0] if x in names else layer
    return layers


# The table.


def _rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    head = ("layer", "operation", "leads to", "equation", "δ → share", "‖share‖", "rms", "share")
    rows: list[tuple[str, ...]] = [head]
    for line in lines:
        to = line.to.removeprefix(f"{line.layer}.") if line.layer else line.to
        if line.parts > 1:
            to = f"{to} ({line.part}/{line.parts})"
        shapes = f"{_shape(line.delta)} → {_shape(line.share)}"
        size, rms = f"{line.norm:.3g}", f"{line.rms:.3g}"
        equation = f"✗ {line.equation}" if line.fault else line.equation
        row = (line.layer, line.operation, to, equation, shapes, size, rms, _few(line.share))
        rows.append(row)
        if line.parts > 1 and line.part == line.parts:
            total, whole = norm(line.total), _shape(line.total)
            rms = f"{total / math.sqrt(line.total.size or 1):.3g}"
            to, what = to.rpartition(" ")[0], f"the sum of its {line.parts} shares"
            rows.append(("", "", to, what, whole, f"{total:.3g}", rms, _few(line.total)))
    if not any(line.layer for line in lines):
        rows = [row[1:] for row in rows]
    return rows


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Align the columns, two spaces apart; text columns shrink if the table is too wide.

    Numbers come last, or on a line of their own if they do not fit.
    """
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)][:-1]
    words = len(widths) - 3  # before shapes, norm and rms
    while sum(widths) + 2 * len(widths) > WIDTH and max(widths[:words]) > 8:
        widths[widths.index(max(widths[:words]))] -= 1
    room = WIDTH - sum(widths) - 2 * len(widths)
    indent = " " * (sum(widths[: words - 1]) + 2 * (words - 1))
    lines = []
    for *cells, numbers in rows:
        fitted = [
            _fitted(cell, width, to_the_left=k <= words)
            for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        fits = _columns(numbers) <= room
        lines.append("  ".join([*fitted, numbers] if fits else fitted).rstrip())
        if not fits and lines[1:]:  # the head has no numbers
            lines.append(f"{indent}= {numbers}")
    return "\n".join(lines)


def _columns(text: str) -> int:
    return sum(not unicodedata.combining(letter) for letter in text)


def _fitted(text: str, width: int, *, to_the_left: bool) -> str:
    while _columns(text) > width:
        text = text.removesuffix("…")[:-1] + "…"
    space = " " * (width - _columns(text))
    return text + space if to_the_left else space + text


def _shape(x: Array) -> str:
    return "×".join(map(str, x.shape)) or "()"


def _few(x: Array) -> str:
    """The numbers of an array with at most four entries."""
    if not 0 < x.size <= 4 or x.ndim > 2:
        return ""
    return _nested(to_host(x).tolist())


def _nested(numbers: Any) -> str:
    if isinstance(numbers, list):
        return f"[{' '.join(map(_nested, numbers))}]"
    return f"{numbers:.3g}".replace("-", "−")
