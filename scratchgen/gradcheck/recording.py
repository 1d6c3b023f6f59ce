"""A look inside a cost: calling it on tensors records its steps, which can be read and swept again.

If a cost is written with functions that have a rule, calling it on tensors records every step. The
record gives a formula for each value in the names of the arguments, the activation functions among
the steps (also if they are composed of several), the masks of dropout, and the noise of a
reparameterisation. Each of its equations can be bent: a sweep with another equation in its place
shows the consequences of that change. The module ``slips`` chooses the bends.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import operations
from ..autodiff import Equation, Tensor, ancestry, share_of
from ..backend import Array, device_of
from ..operations import activations
from ..operations.functions import recording
from ..operations.lifting import joined
from .places import Place, noted
from .subject import as_tensors

FUNCTIONS: dict[str, Callable[[Array], Any]] = {
    name: operation.rule
    for name, operation in vars(activations).items()
    if hasattr(operation, "rule")
    and {*inspect.signature(operation.rule).parameters} <= {"z", "axis"}
}
"""The rules of the activation functions that have no settings: a = σ(z)."""
COUPLED = {name for name, rule in FUNCTIONS.items() if "axis" in inspect.signature(rule).parameters}
"""The functions in which each entry of a depends on all entries of z along an axis."""
FEW = 32  # entries that tell most functions apart
ENOUGH = 3  # values of one instruction that are no functions, so that the others are none
NOTATION = {
    operations.add: "({} + {})",
    operations.subtract: "({} − {})",
    operations.multiply: "({} · {})",
    operations.divide: "({} / {})",
    operations.matmul: "({} @ {})",
    operations.negative: "−{}",
    operations.power: "{}^{}",
    operations.square: "{}²",
    operations.transpose: "{}ᵀ",
}
"""Operations written with a sign; all others are written with their name: exp(x)."""
SUMS = {operations.add, operations.subtract, operations.negative}
SCALED = {operations.multiply, operations.divide}


class Bend(NamedTuple):
    """Other inputs and equations in place of the recorded ones of ``tensor``."""

    tensor: Tensor
    inputs: tuple[Any, ...]
    equations: tuple[Equation | None, ...]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the bend into the recorded graph within the context."""
        tensor = self.tensor
        kept = tensor.inputs, tensor.equations
        tensor.inputs, tensor.equations = self.inputs, self.equations
        try:
            yield
        finally:
            tensor.inputs, tensor.equations = kept


class Step(NamedTuple):
    """One equation of the record: the share that ``node`` passes to its input k, the tensor x."""

    node: Tensor
    k: int
    x: Tensor

    @property
    def equation(self) -> Equation:
        """The recorded, right equation."""
        equation: Equation = self.node.equations[self.k]
        return equation

    def bent(self, equation: Equation) -> Bend:
        """Put another equation in its place."""
        before, after = self.node.equations[: self.k], self.node.equations[self.k + 1 :]
        return Bend(self.node, self.node.inputs, (*before, equation, *after))


Sweep = Callable[[Sequence[int]], "list[Array] | None"]
"""∂C/∂(argument k) for each k; ``None`` if it is impossible."""


class Slip(NamedTuple):
    """A mistake in a recorded equation: its name, its sentence, and how it bends the equation."""

    kind: str
    sentence: str
    bends: tuple[Bend, ...]
    """One, or one for each use of the equation."""
    local: bool = True
    """Whether it is a slip in one equation, not in a whole term; only such slips form pairs."""
    form: Any = ""
    """What tells slips of one kind apart. Those of equal kind and form are made together."""
    sweep: Sweep | None = None
    """How the derivatives follow, if not by one sweep with the bends."""

    def follows(self, recording: Recording, wrt: Sequence[int]) -> list[Array] | None:
        """∂C/∂(argument k) for each k, computed with the slip; ``None`` if it is impossible."""
        return recording.gradients(wrt, *self.bends) if self.sweep is None else self.sweep(wrt)


def shortcut(node: Tensor, z: Tensor, factor: Any = None) -> Bend:
    """Lead from ``node`` directly to ``z`` by ``factor``; other ways back stay unchanged."""
    others = [
        (x, equation)
        for x, equation in zip(node.inputs, node.equations, strict=True)
        if not (isinstance(x, Tensor) and z in {*ancestry(x, 6)})
    ]
    inputs, equations = zip((z, times(factor)), *others, strict=True)
    return Bend(node, inputs, equations)


def times(factor: Any = None) -> Equation:
    """δ ↦ δ ∘ factor; without a factor, δ is passed on unchanged."""
    return lambda delta: delta if factor is None else delta * factor


def data_of(x: Any) -> Any:
    """Return the array of a tensor, and any other value unchanged."""
    return x.data if isinstance(x, Tensor) else x


class Recording:
    """A cost, the arguments from which it was recorded, and names for all values in between."""

    def __init__(
        self,
        cost: Tensor,
        arguments: Sequence[Any],
        names: Sequence[str],
        places: Mapping[Tensor, Place] | None = None,
    ) -> None:
        self.cost, self.arguments, self.places = cost, list(arguments), places or {}
        self.nodes = ancestry(cost)
        self.steps = [node for node in self.nodes if node.operation is not None]
        named = zip(arguments, names, strict=True)
        self.names = {x: name for x, name in named if isinstance(x, Tensor)}
        self._shares: dict[Step, tuple[Array, Array]] = {}
        self._leading: dict[tuple[Tensor, ...], set[Tensor]] = {}
        self._functions: dict[Tensor, tuple[str, Tensor] | None] = {}
        self._no_functions: dict[Any, list[Tensor]] = {}
        self._curved: dict[Any, bool] = {}
        self._samples: dict[tuple[str, Tensor], tuple[float, Array]] = {}
        self._formulas: dict[tuple[Any, int], str] = {}

    def function(self, x: Tensor) -> tuple[str, Tensor] | None:
        """The name of σ and the tensor z if x is σ(z), computed in any way."""
        if x not in self._functions:
            others = self._no_functions.setdefault(self._use(x), [])
            if x.operation is None or len(others) >= ENOUGH:
                self._functions[x] = None
            else:
                self._functions[x] = _function(x, self._samples)
            if self._functions[x] is None:
                others.append(x)
        return self._functions[x]

    def _use(self, x: Tensor) -> Any:
        """Equal for all values that one instruction computed, as in a loop."""
        return (self.places[x], x.operation) if x in self.places else x

    def gradients(self, wrt: Sequence[int], *bends: Bend) -> list[Array] | None:
        """∂C/∂(argument k) for each k with these bends; ``None`` if their shapes do not fit."""
        return self.swept([self.arguments[k] for k in wrt], bends)

    def swept(
        self,
        wanted: Sequence[Tensor],
        bends: Sequence[Bend],
        seeds: Mapping[Tensor, Array] | None = None,
    ) -> list[Array] | None:
        """The δ of each of these tensors with these bends; ``None`` if their shapes do not fit.

        The sweep begins with the δ ``seeds``, which is 1 for the cost by default.
        """
        leads, kept = self.leads(tuple(wanted)), {*wanted}
        if any(x not in leads for b in bends for x in b.inputs if isinstance(x, Tensor)):
            leads = {*self.nodes, *wanted}
        deltas = {self.cost: np.ones_like(self.cost.data)} if seeds is None else {**seeds}
        with ExitStack() as stack, np.errstate(all="ignore"):
            for bend in bends:
                stack.enter_context(bend.applied())
            try:
                for node in reversed(self.nodes):  # an order that bends do not change
                    if node.operation is None or node not in deltas:
                        continue
                    delta = deltas[node] if node in kept else deltas.pop(node)
                    for k, x in enumerate(node.inputs):
                        if isinstance(x, Tensor) and x in leads:
                            share = share_of(node, k, delta)
                            deltas[x] = deltas[x] + share if x in deltas else share
            except (ValueError, TypeError):
                return None  # the shapes do not fit: nobody derived this
        return [deltas[x] if x in deltas else np.zeros_like(x.data) for x in wanted]

    def leads(self, wanted: tuple[Tensor, ...]) -> set[Tensor]:
        """The tensors that are computed from these."""
        if wanted not in self._leading:
            leads = {*wanted}
            for node in self.nodes:
                if any(isinstance(x, Tensor) and x in leads for x in node.inputs):
                    leads.add(node)
            self._leading[wanted] = leads
        return self._leading[wanted]

    def gradient(self, k: int, *bends: Bend) -> Array | None:
        """∂C/∂(argument k) alone."""
        found = self.gradients([k], *bends)
        return None if found is None else found[0]

    def leading_to(self, wanted: Sequence[int]) -> tuple[list[Tensor], list[Step]]:
        """The values computed from these arguments, and the equations back, from the cost on."""
        leads = self.leads(tuple(self.arguments[k] for k in wanted))
        computed = [node for node in reversed(self.steps) if node in leads]
        return computed, [
            Step(node, k, x)
            for node in computed
            for k, x in enumerate(node.inputs)
            if isinstance(x, Tensor) and x in leads and node.equations[k] is not None
        ]

    def expression(self, x: Any, depth: int = 4) -> str:
        """``x`` as a formula in the names of the arguments."""
        formula = self.operand(x, depth)
        notation = NOTATION.get(x.operation, "") if isinstance(x, Tensor) else ""
        enclosed = notation.startswith("(") and formula.startswith("(")
        return formula[1:-1] if enclosed else formula

    def operand(self, x: Any, depth: int = 4) -> str:
        """The same formula, in parentheses if it is a sum or a product."""
        if not isinstance(x, Tensor):
            return f"{float(x):.6g}" if np.ndim(x) == 0 else f"constant{list(np.shape(x))}"
        if (x, depth) not in self._formulas:
            self._formulas[x, depth] = self._formula_of(x, depth)
        return self._formulas[x, depth]

    def _formula_of(self, x: Tensor, depth: int) -> str:
        if x in self.names:
            return self.names[x]
        if x.operation is None:
            return "constant"
        for y, name in self.names.items():  # a part of a flat vector, cut out again
            if y.shape == x.shape and y.ndim and np.array_equal(y.data, x.data):
                return name
        if not depth:
            return "…"
        if function := self.function(x):
            name, z = function
            return f"{name}({self.expression(z, depth - 1)})"
        inputs = [y for y in x.inputs if y is not None]
        if x.operation in NOTATION:
            return NOTATION[x.operation].format(*(self.operand(y, depth - 1) for y in inputs))
        if x.operation is operations.getitem and "key" in x.settings:
            return f"{self.operand(inputs[0], depth - 1)}[{_key(x.settings['key'])}]"
        if x.operation is operations.reshape:
            return f"{self.operand(inputs[0], depth - 1)}.reshape{x.shape}"
        arguments = ", ".join(self.expression(y, depth - 1) for y in inputs)
        return f"{x.operation.__name__}({arguments})"

    @functools.cached_property
    def pool(self) -> list[tuple[str, Array]]:
        """All arrays of the record, each once: operands that may have been written by mistake."""
        pool: list[tuple[str, Array]] = []
        for x in (*self.names, *self.steps):
            if not any(np.array_equal(x.data, other) for _, other in pool):
                pool.append((self.expression(x), x.data))
        return pool

    def elsewhere(self, x: Any) -> list[tuple[str, Array]]:
        """The arrays that may stand in place of ``x``: of the same shape, but not equal to it."""
        shape = getattr(x, "shape", None)
        return [(what, y) for what, y in self.pool if y.shape == shape and not np.array_equal(y, x)]

    @functools.cached_property
    def constants(self) -> list[float]:
        """The positive numbers in the source of the cost, at most a few."""
        numbers = {
            float(x)
            for node in self.steps
            for x in node.inputs
            if not isinstance(x, Tensor) and np.size(x) == 1 and np.ndim(x) == 0
        }
        return sorted(c for c in numbers if c > 0)[:8]

    @functools.cached_property
    def scales(self) -> list[float]:
        """1/(1 − p) of each dropout mask."""
        masks = (mask_of(node, k) for node in self.steps for k in range(len(node.inputs)))
        return sorted({float(mask.max()) for mask in masks if mask is not None} - {1.0})

    @functools.cached_property
    def made_of(self) -> dict[Tensor, set[str]]:
        """The names of the arguments from which each value is computed."""
        made_of: dict[Tensor, set[str]] = {}
        for node in self.nodes:
            own = {self.names[node]} if node in self.names else set()
            made_of[node] = own.union(*(made_of[x] for x in node.inputs if isinstance(x, Tensor)))
        return made_of

    @functools.cached_property
    def addends(self) -> list[Tensor]:
        """The terms of the cost: what it adds up, each up to a constant factor."""
        found, open_ = [], [self.cost]
        numbers = {name for x, name in self.names.items() if not x.ndim}
        while open_:
            node = open_.pop()
            found.append(node)
            terms = [x for x in node.inputs if isinstance(x, Tensor) and self.made_of[x]]
            if node.operation in SCALED:  # by a number, which may be an argument too
                scaled = [x for x in terms if not self.made_of[x] <= numbers] or terms
                terms = scaled if len(scaled) == 1 else []
            if node.operation in SUMS or node.operation in SCALED:
                open_ += terms
        return found

    @functools.cached_property
    def regularised(self) -> dict[Tensor, str]:
        """The values in those terms of the cost that depend on one argument alone, by its name.

        A cost of a single argument has no such term: all of it depends on that one.
        """
        found: dict[Tensor, str] = {}
        for term in self.addends:
            of = self.made_of[term]
            if len(of) == 1 and of != self.made_of[self.cost]:
                computed = (x for x in ancestry(term) if x.operation is not None)
                found |= dict.fromkeys(computed, next(iter(of)))
        return found

    def equation_at(self, step: Step, j: int, other: Array) -> Equation | None:
        """The equation with ``other`` as input j; ``None`` if it fails, or is the same."""
        node, k, _ = step
        if any(hasattr(value, "bit_generator") for value in node.settings.values()):
            return None
        arrays = [data_of(x) for x in node.inputs]
        arrays[j] = other
        with np.errstate(all="ignore"):
            if step not in self._shares:
                delta = np.random.default_rng(0).standard_normal(node.shape)
                self._shares[step] = delta, step.equation(delta)
            delta, share = self._shares[step]
            try:
                equation: Equation = node.operation.rule(*arrays, **node.settings)[1][k]
                unchanged = np.array_equal(equation(delta), share)
            except Exception:  # a rule may raise anything for numbers outside its domain
                return None
        return None if unchanged else equation

    def instead(
        self, uses: Mapping[Tensor, tuple[Any, ...]], more: Mapping[Tensor, float] | None = None
    ) -> tuple[Bend, ...]:
        """The bends that make this the record of another cost, with other inputs of some nodes.

        All values that follow are computed anew, those of ``more`` with a number added. There are
        no bends if a value cannot be computed, or has another shape.
        """
        values: dict[Any, Array] = {}
        bends, more = [], more or {}
        for node in self.steps:
            inputs = uses.get(node, node.inputs)
            follows = any(isinstance(x, Tensor) and x in values for x in inputs)
            if not follows and node not in uses and node not in more:
                continue
            if any(hasattr(value, "bit_generator") for value in node.settings.values()):
                return ()
            arrays = [values.get(x, x.data) if isinstance(x, Tensor) else x for x in inputs]
            try:
                with np.errstate(all="ignore"):
                    value, equations = node.operation.rule(*arrays, **node.settings)
            except Exception:  # a rule may raise anything for numbers outside its domain
                return ()
            if np.shape(value) != node.shape:
                return ()
            values[node] = np.asarray(value) + more.get(node, 0.0)
            bends.append(Bend(node, tuple(inputs), tuple(equations)))
        return tuple(bends)

    def is_curved(self, step: Step) -> bool:
        """Whether the derivative of ``node`` by x depends on x."""
        use = self._use(step.node), step.k
        if use not in self._curved:
            elsewhere = np.where(step.x.data, -2 * step.x.data, 1)
            self._curved[use] = self.equation_at(step, step.k, elsewhere) is not None
        return self._curved[use]


def _key(key: Any) -> str:
    """An index as it is written: ``:12``, ``0, ::2``."""
    if isinstance(key, tuple):
        return ", ".join(map(_key, key))
    if isinstance(key, slice):
        ends = ["" if end is None else str(end) for end in (key.start, key.stop)]
        return ":".join(ends if key.step is None else [*ends, str(key.step)])
    if key is None or key is Ellipsis or isinstance(key, (int, np.integer)):
        return "…" if key is Ellipsis else str(key)
    kind = getattr(getattr(key, "dtype", None), "kind", "")
    return "mask" if kind == "b" else "indices"


def recorded(
    cost: Callable[[Sequence[Any]], Any], arrays: Sequence[Any], names: Sequence[str]
) -> Recording | str:
    """Return the cost recorded at these arrays, or the reason why it cannot be recorded."""
    if any(device_of(x) != "cpu" for x in arrays):
        return "its arrays are on a GPU"
    tensors = as_tensors(arrays)
    places: Mapping[Tensor, Place] = {}
    with np.errstate(all="ignore"):
        try:
            with recording(cost), noted() as places:
                value = joined(cost(tensors))
        except Exception as error:  # written with functions that have no rule
            value = getattr(error, "tensor", None)
            if value is None or value.data != cost(arrays):  # but float(cost) is the cost
                return f"{type(error).__name__}: {error}"
        if not isinstance(value, Tensor) or value.shape != ():
            return "called on tensors it returned none"
        return Recording(value, tensors, names, places)


def slope(name: str, z: Array) -> Array:
    """σ′(z) of the activation function of this name, from its rule."""
    _, (equation,) = FUNCTIONS[name](z)
    return equation(np.ones_like(z))


def mask_of(node: Tensor, k: int) -> Array | None:
    """The factor of ``node`` if it is a mask: an array of zeros and one other positive number."""
    if node.operation is operations.dropout:
        mask = node.equations[0](np.ones_like(node.data))
    elif node.operation is operations.multiply:
        other = node.inputs[1 - k]
        mask = data_of(other)
        if isinstance(other, Tensor) and other.operation is not None:
            return None
    else:
        return None
    if not hasattr(mask, "shape") or mask.shape != node.shape or mask.size < 2:
        return None
    largest = mask.max()
    is_mask = largest >= 1 and bool(np.all((mask == 0) | (mask == largest)))
    return mask if is_mask and (mask == 0).any() else None


def noise_of(node: Tensor, z: Tensor) -> Array | None:
    """ε if ``node`` is e^{z/2} ε, else None."""
    if node.operation is not operations.multiply or node.shape != z.shape:
        return None
    for noise in map(data_of, node.inputs):
        if hasattr(noise, "shape") and noise.shape == node.shape:
            array: Array = noise
            with np.errstate(all="ignore"):
                if _equal(node.data, np.exp(z.data / 2) * array):
                    return array
    return None


def is_function_of(node: Tensor, z: Tensor) -> bool:
    """Whether ``node`` is a function of ``z`` alone, apart from constants, and of its shape.

    A plain sum does not count: its derivative is a sign, which is a slip of its own.
    """
    if node.shape != z.shape:
        return False
    leads, curved = {z}, False
    for y in ancestry(node, 4):
        tensors = [x for x in y.inputs if isinstance(x, Tensor)]
        on_the_way = [x for x in tensors if x in leads]
        if y is z or not on_the_way:
            continue
        if y.shape != z.shape or (y is not node and len(on_the_way) < len(tensors)):
            return False
        leads.add(y)
        curved = curved or any(
            np.any(np.abs(equation(np.ones_like(y.data))) != 1)
            for x, equation in zip(y.inputs, y.equations, strict=True)
            if isinstance(x, Tensor) and x in leads and equation is not None
        )
    return curved and node in leads


def is_normalised(node: Tensor, z: Tensor) -> bool:
    """Whether ``node`` is z with a quantity of z alone, as a normalised z is: z/|z|, z − mean z."""
    if node.operation not in {*SUMS, *SCALED} or node.shape != z.shape:
        return False
    others = [x for x in node.inputs if isinstance(x, Tensor) and x is not z]
    has_z = any(x is z for x in node.inputs)
    return has_z and any(x.size < z.size and _is_of(x, z, steps=6) for x in others)


def _is_of(x: Tensor, z: Tensor, steps: int) -> bool:
    """Whether ``x`` is computed from z and constants alone, within so many steps."""
    inputs = [y for y in x.inputs if isinstance(y, Tensor)]
    return bool(steps and inputs) and all(y is z or _is_of(y, z, steps - 1) for y in inputs)


def near(node: Tensor, steps: int) -> list[Tensor]:
    """The tensors from which ``node`` was computed within this many steps, the latest first."""
    return ancestry(node, steps)[-2::-1]


def _function(
    node: Tensor, samples: dict[tuple[str, Tensor], tuple[float, Array]]
) -> tuple[str, Tensor] | None:
    """The name of σ and the tensor z if ``node`` is σ(z), computed in any way.

    σ(z) is compared in a few entries first; ``samples`` keeps them for other nodes. A σ for which
    σ(z) is z or 0 everywhere says nothing, and does not count.
    """
    name = node.operation.__name__
    if FUNCTIONS.get(name) is node.operation.rule:
        return name, node.inputs[0]
    entry = float(node.data.flat[0]) if node.data.size else 0.0
    for z in near(node, 6):
        if z.shape != node.shape or z.data is node.data or not z.size:
            continue
        for name, rule in FUNCTIONS.items():
            coupled = name in COUPLED
            if coupled and not z.ndim:
                continue
            if (name, z) not in samples:
                row = rule(_first_row(z.data, coupled))[0]
                samples[name, z] = float(row.flat[0]), row
            first, row = samples[name, z]
            if abs(entry - first) > 1e-12 * abs(first):
                continue  # as almost always: one number is quick to compare
            if not _equal(_first_row(node.data, coupled), row):
                continue
            value = rule(z.data)[0]
            says_nothing = np.array_equal(value, z.data) or not value.any()
            if not says_nothing and _equal(node.data, value):
                return name, z
    return None


def _first_row(x: Array, whole: bool) -> Array:
    """The first entries of an array, or the whole of its first row."""
    if x.ndim == 0:
        return x
    first: Any = (*(0,) * (x.ndim - 1), ...)
    row: Array = x[first]
    return row if whole else row[:FEW]


def _equal(a: Array, b: Array) -> bool:
    return bool(np.all(np.abs(a - b) <= 1e-12 * np.abs(b)))
