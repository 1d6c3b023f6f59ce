"""Mistakes within a derivation, found by making them: one equation is bent, the sweep run again.

Where the cost is written with functions that have a rule, calling it on tensors records how it
came about. Then every equation on the way back can be replaced by what a slip of the pen makes of
it (an operand left out, taken from another layer, transposed; a derivative left out, or taken at
another place; a term left out, or counted twice), and the numbers that follow from it are laid
beside those that were given. The sweep is the engine's own; what it is run on is the mistake.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, cast

import numpy as np

from ..autodiff import Equation, Tensor, gradient
from ..backend import Array

MANY_SUBSTITUTES, MANY_MASKED, SMALL = 4000, 400, 20_000
_UNARY: tuple[str, ...] = (
    "exp",
    "log",
    "sqrt",
    "square",
    "tanh",
    "sigmoid",
    "softplus",
    "silu",
    "gelu",
    "elu",
)
_UNARY += ("relu", "leaky_relu", "absolute", "power", "softmax", "log_softmax", "logsumexp")


class Bend(NamedTuple):
    """A slip in what ``tensor`` hands back: other inputs and equations in place of its own."""

    kind: str
    sentence: str
    tensor: Tensor
    inputs: tuple[Any, ...]
    equations: tuple[Equation | None, ...]
    local: bool = True
    """Whether it is a slip in one equation, not one of a whole term: such are tried in pairs."""


@contextmanager
def bent(bend: Bend) -> Iterator[None]:
    """The recorded graph with the slip in it."""
    tensor = bend.tensor
    kept = tensor.inputs, tensor.equations
    tensor.inputs, tensor.equations = bend.inputs, bend.equations
    try:
        yield
    finally:
        tensor.inputs, tensor.equations = kept


class Recording:
    """A cost, the arrays that it was recorded from, and names for everything in between."""

    def __init__(self, cost: Tensor, arguments: Sequence[Any], names: Sequence[str]) -> None:
        self.cost, self.arguments = cost, list(arguments)
        self.lengths: list[tuple[int, str]] = []
        self.nodes = ancestry(cost)
        self.names = {
            id(x): name for x, name in zip(arguments, names, strict=True) if isinstance(x, Tensor)
        }
        self.named_arrays = [
            (name, x) for x, name in zip(arguments, names, strict=True) if not np.isscalar(x)
        ]
        self.steps = [node for node in self.nodes if node.operation is not None]
        self.known = {id(a): (f, z) for a, f, z in self._composed()}

    def gradient(self, k: int, *bends: Bend) -> Array | None:
        """∂C/∂(argument k) as it follows from the slips; ``None`` where nothing follows."""
        with ExitStack() as stack, np.errstate(all="ignore"):
            for bend in bends:
                stack.enter_context(bent(bend))
            try:
                return gradient(self.cost, [self.arguments[k]], unused="zeros")[0]
            except (ValueError, TypeError):
                return None  # shapes that do not fit: nobody's derivation

    def expression(self, x: Any, depth: int = 4) -> str:
        """``x`` as a formula in the names of the arguments."""
        formula = self._formula(x, depth)
        infix = isinstance(x, Tensor) and x.operation is not None and formula.startswith("(")
        return formula[1:-1] if infix and x.operation.__name__ in SIGNS else formula

    def _formula(self, x: Any, depth: int) -> str:
        if not isinstance(x, Tensor):
            return f"{float(x):.6g}" if np.ndim(x) == 0 else f"constant{list(np.shape(x))}"
        if id(x) in self.names:
            return self.names[id(x)]
        if x.operation is None:
            return "constant"
        if not depth:
            return "…"
        if id(x) in self.known:
            function, z = self.known[id(x)]
            return f"{function}({self.expression(z, depth - 1)})"
        name = x.operation.__name__
        enclosed = name in SIGNS or name in ("negative", "transpose", "square", "power")
        shown = self._formula if enclosed else self.expression
        inputs = [shown(y, depth - 1) for y in x.inputs if y is not None]
        if name in SIGNS:
            return f"({inputs[0]} {SIGNS[name]} {inputs[1]})"
        if name == "negative":
            return f"−{inputs[0]}"
        if name == "transpose":
            return f"{inputs[0]}ᵀ"
        if name == "square":
            return f"{inputs[0]}²"
        if name == "power":
            return f"{inputs[0]}^{inputs[1]}"
        return f"{name}({', '.join(inputs)})"

    def bends(self, wanted: Sequence[int]) -> Iterator[Bend]:
        """The catalogue: every slip in every equation that leads to the arguments ``wanted``."""
        leads = {id(self.arguments[k]) for k in wanted}
        for node in self.nodes:
            if any(id(x) in leads for x in node.inputs):
                leads.add(id(node))
        steps = [
            (node, k, x)
            for node in reversed(self.steps)
            for k, x in enumerate(node.inputs)
            if isinstance(x, Tensor) and id(x) in leads and node.equations[k] is not None
        ]
        on_the_way = [node for node in reversed(self.steps) if id(node) in leads]
        for node in on_the_way:
            yield from self._known_functions(node)
            yield from self._reparameterised(node)
        for node, k, x in steps:
            yield from self._masks(node, k)
            yield from self._left_out(node, k, x)
            yield from self._transposed(node, k)
            yield from self._uncoupled(node, k)
        for node in on_the_way:
            yield from self._segments(node)
        for node, k, x in steps:
            yield from self._terms(node, k, x)
        pool = self._pool()
        numbers = sum(node.data.size for node in self.nodes)
        if len(steps) * len(pool) * max(numbers, SMALL) <= MANY_SUBSTITUTES * SMALL:
            for node in on_the_way:
                yield from self._composed_elsewhere(node, pool)
            for node, k, x in steps:
                yield from self._substituted(node, k, x, pool)

    def _composed(self) -> Iterator[tuple[Tensor, str, Tensor]]:
        """Values that are a known function of another, however they were written."""
        for node in self.steps:
            for z in _ancestors(node, 6):
                if z.shape != node.shape or z.data is node.data:
                    continue
                both_signs = bool((z.data < 0).any() and (z.data > 0).any())
                with np.errstate(all="ignore"):
                    for name, function in FUNCTIONS.items():
                        if name == "relu" and not both_signs:
                            continue  # it would be seen wherever a value equals another
                        if np.allclose(node.data, function(z.data), rtol=1e-12, atol=0):
                            yield node, name, z

    def _known_functions(self, node: Tensor) -> Iterator[Bend]:
        """σ of z, whether it is a rule or was composed of several steps, as 1/(1 + e⁻ᶻ)."""
        if id(node) not in self.known:
            return
        name, z = self.known[id(node)]
        of, where = f"{name}({self.expression(z)})", self.expression(z)
        if name in COUPLED:
            diagonal = COUPLED[name](node.data)
            yield _shortcut(
                "coupling dropped",
                f"only the diagonal of the Jacobian of {of}: its outputs are coupled by the sum, "
                "and that was dropped",
                node,
                z,
                diagonal,
            )
            yield _shortcut(
                "derivative missing",
                f"the derivative of {of} by {where} was left out",
                node,
                z,
                None,
            )
            return
        for kind, sentence, slope in (
            (
                "derivative missing",
                f"σ′ is missing: the derivative of {of} by {where} was left out",
                None,
            ),
            (
                "derivative at the value",
                f"σ′ is taken at the value a = {of}, in place of {where}",
                SLOPES[name](node.data),
            ),
            (
                "derivative elsewhere",
                f"σ′, written in terms of the value a = {of}, is taken at {where} instead",
                SLOPES_OF_VALUE.get(name, SLOPES[name])(z.data),
            ),
        ):
            yield _shortcut(kind, sentence, node, z, slope)

    def _segments(self, node: Tensor) -> Iterator[Bend]:
        """What is a function of one tensor over several steps, left out as a whole."""
        for z in _ancestors(node, 4):
            if all(x is not z for x in node.inputs) and _element_wise(node, z):
                yield _shortcut(
                    "derivative missing",
                    f"the derivative of {self.expression(node)} by {self.expression(z)} was left "
                    "out",
                    node,
                    z,
                    None,
                )

    def _reparameterised(self, node: Tensor) -> Iterator[Bend]:
        """h = μ + σ ε with σ = e^{½ log σ²}, whose derivative by log σ² is ½ σ ε."""
        for z in _ancestors(node, 4):
            noise = _noise_of(node, z)
            if noise is None:
                continue
            of, where = self.expression(node), self.expression(z)
            sigma = np.exp(z.data / 2)
            for kind, sentence, factor in (
                ("½σε missing", f"½σε, the derivative of {of} by {where}, is missing", None),
                ("½σε missing", f"the term through σε = {of} is missing, ½σε", 0.0),
                ("½σε missing", f"½ is missing in ½σε, the derivative of {of}", sigma * noise),
                ("log σ² for σ", f"{where} is taken for σ, ε in place of ½σε", noise),
                ("½σε missing", f"σ is missing in ½σε, the derivative of {of}", 0.5 * noise),
                ("½σε missing", "ε is missing in ½σε", 0.5 * sigma),
                ("log σ² for σ", f"{where} is taken for σ in ½σε", 0.5 * z.data * noise),
                ("log σ² for σ", f"σ² = e^{where} is taken for σ", sigma**2 * noise),
                ("log σ² for σ", f"σ² = e^{where} is taken for σ in ½σε", sigma**2 * noise / 2),
            ):
                yield _shortcut(kind, sentence, node, z, factor)

    def _masks(self, node: Tensor, k: int) -> Iterator[Bend]:
        """Dropout: the share of z = m a is δ m with the mask m of the forward pass."""
        mask = _mask(node, k)
        if mask is None:
            return
        scale = mask.max()
        yield _slip(
            "mask not reused",
            f"the dropout mask of {self.expression(node)} is left out on the way back: δ m with "
            "the same m is right",
            node,
            k,
            _times(None),
        )
        if scale != 1:
            yield _slip(
                "mask not rescaled",
                f"the dropout mask is not rescaled on the way back: a factor {scale:.4g} = "
                "1/(1 − p) is missing",
                node,
                k,
                lambda delta: delta * (mask > 0),
            )
            yield _slip(
                "mask not reused",
                f"δ is scaled by {scale:.4g} = 1/(1 − p), but not masked",
                node,
                k,
                lambda delta: delta * scale,
            )

    def other_mask(self, given: dict[int, Array]) -> tuple[str, str] | None:
        """Whether the given numbers follow from *another* mask, which is solved for.

        What is handed back is linear in the mask; where the equations given are at least as many as
        its entries, least squares finds it, and it is a mask if it is made of 0 and 1/(1 − p).
        """
        for node in reversed(self.steps):
            for k in range(len(node.inputs)):
                mask = _mask(node, k)
                known = min(MANY_MASKED, sum(g.size for g in given.values()))
                if mask is None or mask.size > known:
                    continue
                columns = []
                for i in range(-1, mask.size):
                    one = np.zeros_like(mask)
                    if i >= 0:
                        one.reshape(-1)[i] = 1.0
                    bend = _slip("", "", node, k, _times(one))
                    columns.append([cast(Array, self.gradient(j, bend)) for j in given])
                flat = np.array([np.concatenate([np.ravel(p) for p in c]) for c in columns])
                constant, linear = flat[0], flat[1:] - flat[0]
                wanted = np.concatenate([g.ravel() for g in given.values()]) - constant
                found, *_ = np.linalg.lstsq(linear.T, wanted, rcond=1e-10)
                seen = np.abs(linear).sum(axis=1) > 1e-12 * np.abs(linear).max()
                if seen.sum() < 2:
                    continue
                size = np.abs(wanted).max() or 1.0
                fits = np.abs(linear.T @ found - wanted).max() < 1e-6 * size
                values = found[seen]
                scale = mask.max()
                is_mask = np.minimum(np.abs(values), np.abs(values - scale)).max() < 1e-4
                if fits and is_mask and (values > scale / 2).any():
                    differ = int((np.abs(found - mask.ravel()) > scale / 2)[seen].sum())
                    return "mask not reused", (
                        f"the dropout mask of {self.expression(node)} was drawn anew on the way "
                        f"back: {differ} of its {int(seen.sum())} entries differ from the mask of "
                        "the forward pass"
                    )
        return None

    @functools.cached_property
    def scales(self) -> list[float]:
        """1/(1 − p) of each dropout mask."""
        masks = [_mask(node, k) for node in self.steps for k in range(len(node.inputs))]
        return sorted({float(mask.max()) for mask in masks if mask is not None} - {1.0})

    def _left_out(self, node: Tensor, k: int, x: Tensor) -> Iterator[Bend]:
        name = node.operation.__name__
        if (name == "multiply" or (name == "divide" and k == 0)) and _mask(node, k) is None:
            other = ("1/" if name == "divide" else "") + self.expression(node.inputs[1 - k])
            constant = not isinstance(node.inputs[1 - k], Tensor)
            yield _slip(
                "constant dropped" if constant else "factor missing",
                f"it lacks a factor equal to {other}, from {self.expression(node)}",
                node,
                k,
                _times(None),
            )
        elif name in _UNARY and x.shape == node.shape:
            yield _slip(
                "derivative missing",
                f"the derivative of {self.expression(node)} by {self.expression(x)} was left out"
                + (": σ′ is missing" if name in SLOPES else ""),
                node,
                k,
                _times(None),
            )
        elif name == "subtract" and k == 1:
            yield _slip(
                "sign",
                f"the minus sign of {self.expression(node)} is lost",
                node,
                k,
                _times(None),
            )

    def _transposed(self, node: Tensor, k: int) -> Iterator[Bend]:
        if node.operation.__name__ not in ("matmul", "affine") or k > 1:
            return
        other = node.inputs[1 - k]
        data = other.data if isinstance(other, Tensor) else other
        if data.ndim == 2 and data.shape[0] == data.shape[1] > 1:
            equation = self._equation_at(node, k, 1 - k, data.T)
            if equation is not None:
                yield _slip(
                    "transposed operand",
                    f"{self.expression(other)} is transposed in what {self.expression(node)} "
                    f"hands back to {self.expression(node.inputs[k])}",
                    node,
                    k,
                    equation,
                )

    def _uncoupled(self, node: Tensor, k: int) -> Iterator[Bend]:
        if node.operation.__name__ not in ("softmax", "log_softmax"):
            return
        a = node.data if node.operation.__name__ == "softmax" else np.exp(node.data)
        slope = a * (1 - a) if node.operation.__name__ == "softmax" else 1 - a
        yield _slip(
            "coupling dropped",
            f"only the diagonal of the Jacobian of {self.expression(node)}: its outputs are "
            "coupled by the sum, and that was dropped",
            node,
            k,
            lambda delta: delta * slope,
        )

    def _terms(self, node: Tensor, k: int, x: Tensor) -> Iterator[Bend]:
        equation = node.equations[k]
        alone = self._alone(x) if x.operation is not None else None
        if alone is not None:
            what_of = f"the term {self.expression(x)}, of {alone} alone as a regulariser is,"
        else:
            alone = self._alone(node) if id(x) in self.names else None
            of_term = f" (a term of {alone} alone, as a regulariser is)" if alone else ""
            what_of = f"what {self.expression(x)} receives through {self.expression(node)}{of_term}"
        factors = [
            ("missing", 0.0, "is missing"),
            ("doubled", 2.0, "is counted twice, or a ½ in it is missing"),
            ("halved", 0.5, "is halved: a factor 2 is missing"),
            ("sign", -1.0, "has the wrong sign"),
        ]
        for n, what in self.lengths:
            factors.append(("divided by n", 1 / n, f"is divided by {n}, {what}"))
            factors.append(("times n", float(n), f"is not divided by {n}, {what}"))
        for name, factor, what in factors:
            yield _slip(
                f"{'regulariser' if alone else 'term'} {name}",
                f"{what_of} {what}",
                node,
                k,
                _scaled(equation, factor),
                local=factor == 0,
            )

    def _alone(self, x: Tensor) -> str | None:
        """The name of the one argument that x is made of, if the cost has a term like that."""
        of = self._made_of(x)
        terms = (y for y in self.steps if y.shape == () and self._made_of(y) == of)
        if len(of) != 1 or self._made_of(self.cost) == of or next(terms, None) is None:
            return None
        return self.names[next(iter(of))]

    def _made_of(self, x: Tensor) -> set[int]:
        return {id(y) for y in (x, *_ancestors(x, 10**6)) if id(y) in self.names}

    def _composed_elsewhere(
        self, node: Tensor, pool: Sequence[tuple[str, Array]]
    ) -> Iterator[Bend]:
        """σ′ of a σ that was composed of several steps, at another z."""
        name, z = self.known.get(id(node), ("", node))
        others = [(what, other) for what, other in pool if other.shape == z.shape]
        if name in SLOPES_OF_VALUE:
            for what, other in others:
                if not np.array_equal(other, z.data) and not np.array_equal(other, node.data):
                    yield _shortcut(
                        "derivative elsewhere",
                        f"the derivative of {name}({self.expression(z)}), written in terms of its "
                        f"value, is taken at {what} in the place of that",
                        node,
                        z,
                        SLOPES_OF_VALUE[name](other),
                        local=False,
                    )
        if name in SLOPES and node.operation.__name__ != name:
            for what, other in others:
                if not np.array_equal(other, z.data):
                    yield _shortcut(
                        "derivative elsewhere",
                        f"the derivative of {name}({self.expression(z)}) is taken at {what}, in "
                        f"place of {self.expression(z)}",
                        node,
                        z,
                        SLOPES[name](other),
                        local=False,
                    )

    def _substituted(
        self, node: Tensor, k: int, x: Tensor, pool: Sequence[tuple[str, Array]]
    ) -> Iterator[Bend]:
        """The equation of ``node`` evaluated at another array than the one of the forward pass."""
        for j, operand in enumerate(node.inputs):
            array = operand.data if isinstance(operand, Tensor) else operand
            if not hasattr(array, "shape"):
                continue
            if node.operation.__name__ in ("add", "subtract", "negative", "sum", "mean"):
                continue
            seen = [array]
            for what, other in pool:
                if other.shape != array.shape or any(np.array_equal(other, y) for y in seen):
                    continue
                seen.append(other)
                equation = self._equation_at(node, k, j, other)
                if equation is None:
                    continue
                here = self.expression(operand)
                if len(node.inputs) == 1:
                    at_value = other is node.data
                    yield _slip(
                        "derivative at the value" if at_value else "derivative elsewhere",
                        f"the derivative of {self.expression(node)} is taken at {what}, in place "
                        f"of {here}",
                        node,
                        k,
                        equation,
                        local=False,
                    )
                else:
                    yield _slip(
                        "other operand",
                        f"{what} stands in the place of {here}, in what {self.expression(node)} "
                        f"hands back to {self.expression(x)}",
                        node,
                        k,
                        equation,
                        local=False,
                    )

    def _equation_at(self, node: Tensor, k: int, j: int, other: Array) -> Equation | None:
        """Equation k of the rule of ``node``, had its input j been ``other``."""
        arrays = [x.data if isinstance(x, Tensor) else x for x in node.inputs]
        settings = node.settings or {}
        if any(hasattr(value, "bit_generator") for value in settings.values()):
            return None
        arrays[j] = other
        with np.errstate(all="ignore"):
            try:
                _, equations = node.operation.rule(*arrays, **settings)
            except (ValueError, TypeError):
                return None
        equation: Equation | None = equations[k]
        return equation

    def _pool(self) -> list[tuple[str, Array]]:
        """What could have been written by mistake: every array in sight."""
        pool = [
            (name, x.data if isinstance(x, Tensor) else np.asarray(x))
            for name, x in self.named_arrays
        ]
        pool += [(self.expression(node), node.data) for node in self.steps]
        return [(name, x) for name, x in pool if x.dtype.kind == "f"]


def ancestry(cost: Tensor) -> list[Tensor]:
    """The tensors that ``cost`` came from, itself last."""
    reached, stack = {cost}, [cost]
    while stack:
        for x in stack.pop().inputs:
            if isinstance(x, Tensor) and x not in reached:
                reached.add(x)
                stack.append(x)
    return sorted(reached, key=lambda x: x.birth)


def _ancestors(node: Tensor, steps: int) -> dict[Tensor, None]:
    """The tensors that ``node`` came from within so many steps, nearest first."""
    found: dict[Tensor, None] = {}
    layer = [node]
    while layer and steps:
        new = {x: None for y in layer for x in y.inputs if isinstance(x, Tensor) and x not in found}
        found |= new
        layer, steps = list(new), steps - 1
    return found


def _element_wise(node: Tensor, z: Tensor) -> bool:
    """Whether ``node`` is a function of ``z`` alone, constants aside, and keeps its shape.

    Not if it is plainly a sum: its derivative is a sign, which has a name of its own.
    """
    between, curved = [node], False
    while between:
        y = between.pop()
        if y is z:
            continue
        curved |= y.operation.__name__ not in ("add", "subtract", "negative")
        inputs = [x for x in y.inputs if isinstance(x, Tensor)]
        on_the_way = [x for x in inputs if x is z or z in _ancestors(x, 4)]
        if y.shape != z.shape or (y is not node and len(on_the_way) < len(inputs)):
            return False
        between += on_the_way
    return curved


def _mask(node: Tensor, k: int) -> Array | None:
    """The constant array of zeros and one other positive number that ``node`` multiplies by."""
    name = node.operation.__name__
    if name == "dropout":
        mask = node.equations[0](np.ones_like(node.data))
    elif name == "multiply":
        other = node.inputs[1 - k]
        mask = other.data if isinstance(other, Tensor) else other
        if isinstance(other, Tensor) and other.operation is not None:
            return None
    else:
        return None
    if not hasattr(mask, "shape") or mask.shape != node.shape or mask.size < 2:
        return None
    largest = mask.max()
    is_mask = largest >= 1 and bool(np.all((mask == 0) | (mask == largest)))
    return mask if is_mask and (mask == 0).any() else None


def _noise_of(node: Tensor, z: Tensor) -> Array | None:
    """ε where ``node`` is e^{z/2} ε."""
    if node.operation is None or node.operation.__name__ != "multiply" or node.shape != z.shape:
        return None
    for other in node.inputs:
        noise = other.data if isinstance(other, Tensor) else other
        if hasattr(noise, "shape") and noise.shape == node.shape:
            with np.errstate(all="ignore"):
                if np.allclose(node.data, np.exp(z.data / 2) * noise, rtol=1e-12, atol=0):
                    array: Array = noise
                    return array
    return None


def _shortcut(
    kind: str, sentence: str, node: Tensor, z: Tensor, factor: Any, local: bool = True
) -> Bend:
    """From ``node`` straight to ``z`` by ``factor``; other ways back from it stay as they are."""
    others = [
        (x, equation)
        for x, equation in zip(node.inputs, node.equations, strict=True)
        if x is not z and not (isinstance(x, Tensor) and z in _ancestors(x, 6))
    ]
    inputs, equations = zip((z, _times(factor)), *others, strict=True)
    return Bend(kind, sentence, node, inputs, equations, local)


def _softmax(z: Array) -> Array:
    if not z.ndim:
        return np.full_like(z, np.nan)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _slip(
    kind: str, sentence: str, node: Tensor, k: int, equation: Equation, local: bool = True
) -> Bend:
    """Equation k of ``node`` replaced."""
    equations = [*node.equations[:k], equation, *node.equations[k + 1 :]]
    return Bend(kind, sentence, node, node.inputs, tuple(equations), local)


def _times(factor: Any) -> Callable[[Array], Array]:
    return lambda delta: delta if factor is None else delta * factor


def _scaled(equation: Equation, factor: float) -> Equation:
    return lambda delta: equation(delta) * factor


SIGNS = {"add": "+", "subtract": "−", "multiply": "·", "divide": "/", "matmul": "@"}
FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "softplus": lambda z: np.logaddexp(0, z),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softmax": lambda z: _softmax(z),
    "log_softmax": lambda z: np.log(_softmax(z)),
}
SLOPES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda z: 1 / (2 + np.exp(z) + np.exp(-z)),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: (z > 0).astype(z.dtype),
    "softplus": lambda z: 1 / (1 + np.exp(-z)),
    "silu": lambda z: (1 + z / (1 + np.exp(z))) / (1 + np.exp(-z)),
}


SLOPES_OF_VALUE: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
}
COUPLED: dict[str, Callable[[Array], Array]] = {
    "softmax": lambda a: a * (1 - a),
    "log_softmax": lambda a: 1 - np.exp(a),
}
