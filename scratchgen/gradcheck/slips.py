"""The known slips of the pen: their effect on an equation, and the sentence that names each.

A slip is found by making it. One recorded equation is bent into the mistaken one (an operand left
out, taken from another layer, or transposed; a derivative left out, or taken at another place; a
term left out, or counted twice). The engine's own sweep then runs again, and its result is compared
with the given derivative. Each function below covers one family of slips, and reads from the
:class:`Recording` where it can occur. :func:`slips` combines them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from .. import operations
from ..autodiff import Equation, Tensor
from ..backend import Array
from .recording import (
    COUPLED,
    FUNCTIONS,
    Bend,
    Recording,
    Slip,
    Step,
    data_of,
    is_function_of,
    is_normalised,
    mask_of,
    near,
    noise_of,
    shortcut,
    slope,
    times,
)
from .recurrences import in_parts_of_recurrences, in_recurrences

MANY_SUBSTITUTES, MANY_MASKED, SMALL, LONG = 4000, 400, 20_000, 60
LOGARITHMS = {operations.log}
PRODUCTS = {operations.matmul, operations.affine}
PAIRED = {operations.subtract, operations.multiply}
PARTS = {operations.getitem, operations.take, operations.reshape, operations.transpose}
Factors: TypeAlias = Sequence[tuple[str, float, str]]
Family: TypeAlias = Callable[[Recording, Any], Iterable[Slip]]
Stage: TypeAlias = tuple[Sequence[Family], Sequence[Any]]
OF_TERMS: Factors = (
    ("missing", 0.0, "is missing"),
    ("doubled", 2.0, "is counted twice, or a ½ in it is missing"),
    ("halved", 0.5, "is halved: a factor 2 is missing"),
    ("sign", -1.0, "has the wrong sign"),
)
"""The factors that a term may have by mistake: the end of a kind, the factor, and words for it."""

SLOPES_OF_VALUE: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "softmax": lambda a: a * (1 - a),
    "log_softmax": lambda a: 1 - np.exp(a),
}
"""∂aᵢ/∂zᵢ of a = σ(z), in terms of a: the usual form on paper."""


def slip(kind: str, sentence: str, bend: Bend, local: bool = True, form: Any = "") -> Slip:
    """A slip in one equation."""
    return Slip(kind, sentence, (bend,), local, form)


def slips(
    recording: Recording, wanted: Sequence[int], lengths: Sequence[tuple[int, str]]
) -> Iterator[Slip]:
    """All slips in all equations that lead to the arguments ``wanted``, from simple to complex.

    ``lengths`` are the lengths that may be wrong factors of a term, each with its description.
    """
    computed, steps = recording.leading_to(wanted)

    def listed(families: Sequence[Family], where: Sequence[Any]) -> list[Slip]:
        each = (family(recording, one) for one in where for family in families)
        return [*itertools.chain.from_iterable(each)]

    functions: Stage = (IN_FUNCTIONS, computed)
    slopes: Stage = (IN_SLOPES, computed)
    operands: Stage = (IN_OPERANDS, steps)
    powers: Stage = ((in_power,), steps)
    several: Stage = ((in_several_steps,), computed)
    terms: Stage = ((in_term,), steps)
    lengthy: Stage = ((functools.partial(in_term, factors=_of_lengths(lengths)),), steps)
    if len(steps) < LONG:
        yield from in_recurrences(recording, steps)
        yield from in_parts_of_recurrences(recording, steps)
        for stages in ((functions, operands, several, slopes, powers), (terms, lengthy)):
            found = [*itertools.chain(*itertools.starmap(listed, stages))]
            yield from found
            yield from at_every_use(recording, found)
        yield from neighbours(recording, steps)
    else:  # each equation is likely to be used many times; to list all takes long
        single: list[Slip] = []
        for stage, after in (
            (functions, ()),
            (slopes, (in_recurrences,)),
            (operands, ()),
            (powers, ()),
            (terms, (neighbours, in_parts_of_recurrences)),
            (several, ()),
            (lengthy, ()),
        ):
            single += (found := listed(*stage))
            yield from at_every_use(recording, found)
            for then in after:
                yield from then(recording, steps)
        yield from single
    in_sight = len(recording.names) + len(recording.steps)
    numbers = sum(node.data.size for node in recording.nodes)
    if len(steps) * in_sight * max(numbers, SMALL) <= MANY_SUBSTITUTES * SMALL:
        for family, where in ((function_elsewhere, computed), (substituted, steps)):
            yield from (found := listed((family,), where))
            yield from at_every_use(recording, found)
        yield from of_another_cost(recording, computed)


def at_every_use(recording: Recording, found: Sequence[Slip]) -> Iterator[Slip]:
    """The same slip at all uses of an equation: in a loop or a helper, in a line, in all lines.

    Of a term it may also be that only its first or its last use counts.
    """
    alike: dict[Any, list[Slip]] = {}
    for one in found:
        place = recording.places.get(one.bends[0].tensor)
        named = frozenset(
            x for x in one.bends[0].tensor.inputs if isinstance(x, Tensor) and x in recording.names
        )
        for group in (
            (0, place),
            (1, place[:2] if place else None, named),
            (2, place[:2] if place else None),
            (3,),
        ):
            alike.setdefault((group[0], one.kind, one.form, group), []).append(one)
    seen = set()
    for (level, *_), uses in sorted(alike.items(), key=lambda item: item[0][0]):
        nodes = frozenset(one.bends[0].tensor for one in uses)
        if (nodes, uses[0].kind, uses[0].form) not in seen and len(nodes) > 1:
            seen.add((nodes, uses[0].kind, uses[0].form))
            place = recording.places.get(uses[0].bends[0].tensor)
            yield from _together(uses, f"in {place}" if place and level < 3 else "alike")


def _together(uses: Sequence[Slip], where: str) -> Iterator[Slip]:
    by_node = {one.bends[0].tensor: one for one in reversed(uses)}
    bends = sorted((one.bends[0] for one in by_node.values()), key=lambda b: b.tensor.birth)
    first = by_node[bends[0].tensor]
    sentence = f"{first.sentence}; so at each of the {len(bends)} uses {where}"
    yield first._replace(sentence=sentence, bends=tuple(bends), local=False)
    if first.kind == "term missing" and len(bends) > 2:
        for left, word in ((bends[1:], "first"), (bends[:-1], "last")):
            sentence = f"only the {word} of {len(bends)} uses counts {where}: {first.sentence}"
            one = first._replace(kind="one use only", sentence=sentence, local=False)
            yield one._replace(bends=tuple(left))


def in_function(recording: Recording, node: Tensor) -> Iterator[Slip]:
    """σ′ of a = σ(z), where σ is a rule or is composed of several steps, as 1/(1 + e⁻ᶻ)."""
    function = recording.function(node)
    if function is None:
        return
    name, z = function
    at, a = recording.expression(z), f"{name}({recording.expression(z)})"
    coupled = name in COUPLED
    sentence = f"{'' if coupled else 'σ′ is missing: '}the derivative of {a} by {at} was left out"
    yield slip("derivative missing", sentence, shortcut(node, z), form=name)
    if not coupled:
        sentence = f"σ′ is taken at the value a = {a}, in place of {at}"
        at_value = shortcut(node, z, slope(name, node.data))
        yield slip("derivative at the value", sentence, at_value, form=name)


def in_function_of_value(recording: Recording, node: Tensor) -> Iterator[Slip]:
    """σ′ of a = σ(z) in terms of a: taken at z, or the diagonal alone of a Jacobian."""
    name, z = recording.function(node) or ("", node)
    of_value = SLOPES_OF_VALUE.get(name)
    if of_value is None:
        return
    a = f"{name}({recording.expression(z)})"
    if name in COUPLED:
        kind, factor = "coupling dropped", of_value(node.data)
        sentence = (
            f"only the diagonal of the Jacobian of {a}: its outputs are coupled by the sum, "
            "and that was dropped"
        )
    else:
        kind, factor, at = "derivative elsewhere", of_value(z.data), recording.expression(z)
        sentence = f"σ′, written in terms of the value a = {a}, is taken at {at} instead"
    yield slip(kind, sentence, shortcut(node, z, factor), form=name)


def in_other_function(recording: Recording, node: Tensor) -> Iterator[Slip]:
    """Another function in the place of σ′: the value itself, the σ′ of another σ, a mask."""
    function = recording.function(node)
    if function is None or function[0] in COUPLED:
        return
    (name, z), a = function, node.data
    formula = f"{name}({recording.expression(z)})"
    with np.errstate(all="ignore"):
        right = slope(name, z.data)
        others: list[tuple[str, Array]] = [
            (f"the value a = {formula}", a),
            ("1 − a", 1 - a),
            ("a (1 − a), the derivative of the sigmoid,", a * (1 - a)),
            ("1 − a², the derivative of tanh,", 1 - a * a),
            ("1 + a²", 1 + a * a),
            ("a²", a * a),
            ("1 − z², taken at z and not at a,", 1 - z.data * z.data),
            ("z (1 − z), taken at z and not at a,", z.data * (1 - z.data)),
            ("1/σ′", 1 / right),
            ("σ′²: σ′ counted twice,", right * right),
            ("1 where z > 0, the derivative of the ReLU,", (z.data > 0) * 1.0),
            ("1 where z < 0, an inverted mask,", (z.data < 0) * 1.0),
            ("1 where a > 1,", (a > 1) * 1.0),
            ("σ′ of the leaky ReLU, 0.01 where z < 0,", np.where(z.data > 0, 1, 0.01)),
            ("σ′ of the leaky ReLU, 0.1 where z < 0,", np.where(z.data > 0, 1, 0.1)),
            ("σ′ of the leaky ReLU, 0.2 where z < 0,", np.where(z.data > 0, 1, 0.2)),
            ("z", z.data),
            ("sign z", np.sign(z.data)),
        ]
        for other in ("sigmoid", "tanh", "softplus", "relu", "silu", "gelu"):
            if other in FUNCTIONS and other != name:
                others.append((f"the derivative of {other}", slope(other, z.data)))
    for number, (what, factor) in enumerate(others):
        if np.isfinite(factor).all() and factor.any():
            sentence = f"{what} stands in the place of σ′, the derivative of {formula}"
            bend = shortcut(node, z, factor)
            yield slip("other slope", sentence, bend, local=False, form=(name, number))
    masks: list[tuple[str, Equation]] = [
        ("δ > 0", lambda delta: delta * (delta > 0)),
        ("δ > 0 and z > 0", lambda delta: delta * (delta > 0) * (z.data > 0)),
    ]
    for what, equation in masks:
        sentence = f"the mask is taken where {what}, in place of σ′, the derivative of {formula}"
        bend = shortcut(node, z)
        bend = bend._replace(equations=(equation, *bend.equations[1:]))
        yield slip("other slope", sentence, bend, local=False, form=(name, what))


def in_power(recording: Recording, step: Step) -> Iterator[Slip]:
    """The rule for a power, a root, a logarithm or an exponential, as it is often misremembered."""
    node, k, x = step
    of, value, at = recording.expression(node), node.data, x.data
    power = _exponent(node, k)
    others: list[tuple[str, Array]] = []
    with np.errstate(all="ignore"):
        if power is not None:
            p, w = power, recording.operand(x)
            others += [
                (f"{p:.4g} {w}^{p:.4g}: the exponent is not lowered", p * value),
                (f"{p:.4g} {w}^{p + 1:.4g}: the exponent is raised", p * value * at),
                (f"{p:.4g} {w}^{p - 2:.4g}: the exponent is lowered twice", p * value / at**2),
                (f"{w}^{p + 1:.4g}/{p + 1:.4g}: its integral", value * at / (p + 1)),
                (f"{p:.4g}: the power itself is missing", np.full_like(at, p)),
                (f"{-p:.4g} {w}^{p:.4g}: sign and exponent are wrong", -p * value),
                (f"log {w}, as if it were that of 1/{w}", np.log(np.abs(at))),
            ]
            if p not in (2, 0.5, -1):  # for which this is a factor 2, or the sign
                lowered = f"{p - 1:.4g} {w}^{p - 1:.4g}: the factor is lowered too"
                missing = f"{w}^{p - 1:.4g}: the factor {p:.4g} is missing"
                others += [(lowered, (p - 1) * value / at), (missing, value / at)]
        elif node.operation in LOGARITHMS:
            others += [
                ("1: the derivative 1/x is missing", np.ones_like(at)),
                ("log x itself", value),
                ("x, in place of 1/x", at),
                ("1/x²", 1 / at**2),
                ("1/log x", 1 / value),
                ("exp x, as if it were the inverse", np.exp(at)),
            ]
        elif node.operation is operations.exp:
            others += [
                ("x exp(x − 1), the rule for powers,", at * np.exp(at - 1)),
                ("exp(x − 1)", np.exp(at - 1)),
                ("x exp x", at * value),
                ("x", at),
                ("1/x", 1 / at),
                ("exp(−x)", 1 / value),
            ]
    for number, (what, factor) in enumerate(others):
        if factor.shape == node.shape == x.shape and np.isfinite(factor).all():
            sentence = f"the derivative of {of} is taken as {what}"
            bend = step.bent(times(factor))
            yield slip(
                "power rule" if power is not None else "other slope",
                sentence,
                bend,
                local=False,
                form=(node.operation, k, number),
            )


def _exponent(node: Tensor, k: int) -> float | None:
    """p, if ``node`` is the power p of its input k."""
    if node.operation is operations.square:
        return 2.0
    if node.operation is operations.sqrt:
        return 0.5
    if node.operation is operations.power and k == 0 and np.size(data_of(node.inputs[1])) == 1:
        return float(data_of(node.inputs[1]))
    if node.operation is operations.divide and k == 1:
        return -1.0
    return None


def in_reparameterisation(recording: Recording, node: Tensor) -> Iterator[Slip]:
    """h = μ + σ ε with σ = e^{½ log σ²}, whose derivative by log σ² is ½ σ ε."""
    for z in near(node, 4):
        noise = noise_of(node, z)
        if noise is None:
            continue
        h, at, sigma = recording.expression(node), recording.expression(z), np.exp(z.data / 2)
        factors: list[tuple[str, str, Any]] = [
            ("½σε missing", f"½σε, the derivative of {h} by {at}, is missing", None),
            ("½σε missing", f"the term through σε = {h} is missing, ½σε", 0.0),
            ("½σε missing", f"½ is missing in ½σε, the derivative of {h}", sigma * noise),
            ("log σ² for σ", f"{at} is taken for σ, ε in place of ½σε", noise),
            ("½σε missing", f"σ is missing in ½σε, the derivative of {h}", 0.5 * noise),
            ("½σε missing", "ε is missing in ½σε", 0.5 * sigma),
            ("log σ² for σ", f"{at} is taken for σ in ½σε", 0.5 * z.data * noise),
            ("log σ² for σ", f"σ² = e^{at} is taken for σ", sigma**2 * noise),
            ("log σ² for σ", f"σ² = e^{at} is taken for σ in ½σε", sigma**2 * noise / 2),
        ]
        for form, (kind, sentence, factor) in enumerate(factors):
            yield slip(kind, sentence, shortcut(node, z, factor), form=form)


def in_mask(recording: Recording, step: Step) -> Iterator[Slip]:
    """Dropout: the share of z = m a is δ m with the mask m of the forward pass."""
    mask = mask_of(step.node, step.k)
    if mask is None:
        return
    what, scale = f"the dropout mask of {recording.expression(step.node)}", mask.max()
    sentence = f"{what} is left out on the way back: δ m with the same m is right"
    yield slip("mask not reused", sentence, step.bent(times()))
    if scale != 1:
        by = f"{scale:.4g} = 1/(1 − p)"
        sentence = f"the dropout mask is not rescaled on the way back: a factor {by} is missing"
        yield slip("mask not rescaled", sentence, step.bent(times(mask > 0)))
        sentence = f"δ is scaled by {by}, but not masked"
        yield slip("mask not reused", sentence, step.bent(times(scale)))


def redrawn_mask(recording: Recording, k: int, given: Array) -> Iterator[Slip]:
    """The mask behind the derivative given for argument k, if it differs from the recorded one.

    The share is linear in the mask. If there are at least as many equations as entries, least
    squares finds it, and it is a mask if its entries are 0 and 1/(1 − p).
    """
    for node in reversed(recording.steps):
        for j, x in enumerate(node.inputs):
            mask = mask_of(node, j)
            if mask is None or mask.size > min(MANY_MASKED, given.size):
                continue
            step, scale = Step(node, j, x), float(mask.max())
            found, seen = _solved(recording, step, k, given, mask)
            drawn = found > scale / 2
            is_mask = np.abs(found - scale * drawn)[seen].max(initial=0) < 1e-4
            if seen.sum() > 1 and is_mask and drawn[seen].any():
                other = np.where(seen, scale * drawn, mask)
                sentence = (
                    f"the dropout mask of {recording.expression(node)} was drawn anew on the way "
                    f"back: {int((other != mask).sum())} of its {int(seen.sum())} entries differ "
                    "from the mask of the forward pass"
                )
                yield slip("mask not reused", sentence, step.bent(times(other)))


def _solved(
    recording: Recording, step: Step, k: int, given: Array, mask: Array
) -> tuple[Array, Array]:
    """The factors of δ that give ``given`` by least squares, and which of them matter."""
    rows = []
    for one in (0 * mask.ravel(), *np.eye(mask.size)):
        follows = recording.gradient(k, step.bent(times(one.reshape(mask.shape))))
        rows.append(np.zeros(given.size) if follows is None else follows.ravel())
    linear = np.array(rows[1:]) - rows[0]
    found, *_ = np.linalg.lstsq(linear.T, given.ravel() - rows[0], rcond=1e-10)
    seen = np.abs(linear).sum(axis=1) > 1e-12 * np.abs(linear).max()
    return found.reshape(mask.shape), seen.reshape(mask.shape)


def with_updated(recording: Recording, k: int, j: int, value: Array) -> tuple[Bend, ...]:
    """The bends that put another value of argument j into the equations that lead to argument k.

    The values of the forward pass are kept. There are no bends if no equation reads argument j.
    """
    values: dict[Any, Array] = {recording.arguments[j]: value}
    for node in recording.steps:
        if node.operation in PARTS and node.inputs[0] in values:
            values[node] = node.operation.rule(values[node.inputs[0]], **node.settings)[0]
    bends: dict[Tensor, Bend] = {}
    for step in recording.leading_to([k])[1]:
        for i, x in enumerate(step.node.inputs):
            if i != step.k and isinstance(x, Tensor) and x in values:
                before = bends.get(step.node, step.bent(step.equation)).equations
                equation = recording.equation_at(step, i, values[x]) or step.equation
                equations = (*before[: step.k], equation, *before[step.k + 1 :])
                bends[step.node] = Bend(step.node, step.node.inputs, equations)
    return tuple(bends.values())


def left_out(recording: Recording, step: Step) -> Iterator[Slip]:
    """A factor, a derivative or a sign was left out: δ is passed on unchanged."""
    node, k, x = step
    of, as_it_came = recording.expression(node), step.bent(times())
    product = node.operation is operations.multiply
    if (product and mask_of(node, k) is None) or (node.operation is operations.divide and k == 0):
        other = node.inputs[1 - k]
        factor = ("" if product else "1/") + recording.expression(other)
        kind = "factor missing" if isinstance(other, Tensor) else "constant dropped"
        missing = f"it lacks a factor equal to {factor}, from {of}"
        yield slip(kind, missing, as_it_came, form=(node.operation, k))
    elif node.operation is operations.subtract and k == 1:
        yield slip("sign", f"the minus sign of {of} is lost", as_it_came, form=k)
    elif x.shape == node.shape and recording.function(node) is None and recording.is_curved(step):
        sentence = f"the derivative of {of} by {recording.expression(x)} was left out"
        yield slip("derivative missing", sentence, as_it_came, form=(node.operation, k))


def operand_left_out(recording: Recording, step: Step) -> Iterator[Slip]:
    """A matrix was left out of a product, so that δ is summed alone: Σ δ in place of Xᵀ δ."""
    node, k, x = step
    if node.operation not in PRODUCTS:
        return
    for j, other in enumerate(node.inputs[:2]):
        equation = None if j == k else recording.equation_at(step, j, np.ones_like(data_of(other)))
        if equation is not None:
            factor, of = recording.expression(other), recording.expression(node)
            sentence = (
                f"the factor {factor} is missing in what {of} hands back to "
                f"{recording.expression(x)}: there δ is summed without it"
            )
            yield slip("factor missing", sentence, step.bent(equation), form=(node.operation, k))


def in_pair(recording: Recording, step: Step) -> Iterator[Slip]:
    """A pair of parts of one array, x[i] − x[j]: only one of the two receives its share."""
    node, k, x = step
    if node.operation not in PAIRED or len(node.inputs) != 2:
        return
    other = node.inputs[1 - k]
    if x is other or _whole(x) is None or _whole(x) is not _whole(other):
        return
    alone, left = ("first", "second") if k else ("second", "first")
    sentence = (
        f"of each pair {recording.expression(node)} the {alone} partner alone receives its share, "
        f"and the {left} receives nothing"
    )
    if node.operation is operations.subtract:
        sentence += ", where the opposite is due: Newton's third law is forgotten"
    yield slip("third law forgotten", sentence, step.bent(_scaled(step.equation, 0.0)), form=k)


def _whole(part: Any) -> Tensor | None:
    """The array of which ``part`` is a part, with other axes perhaps."""
    is_part = False
    while isinstance(part, Tensor) and part.operation in PARTS:
        is_part, part = True, part.inputs[0]
    return part if is_part and isinstance(part, Tensor) else None


def transposed(recording: Recording, step: Step) -> Iterator[Slip]:
    """A square matrix was replaced by its transpose."""
    node, k, x = step
    for j, other in enumerate(node.inputs):
        data = data_of(other)
        if j != k and np.ndim(data) == 2 and data.shape[0] == data.shape[1] > 1:
            equation = recording.equation_at(step, j, data.T)
            if equation is not None:
                sentence = (
                    f"{recording.expression(other)} is transposed in what "
                    f"{recording.expression(node)} hands back to {recording.expression(x)}"
                )
                yield slip("transposed operand", sentence, step.bent(equation), form=j)


def in_several_steps(recording: Recording, node: Tensor) -> Iterator[Slip]:
    """A function of one tensor over several steps was left out as a whole."""
    for z in near(node, 4):
        of_several = all(x is not z for x in node.inputs) and is_function_of(node, z)
        if of_several or is_normalised(node, z):
            of, at = recording.expression(node), recording.expression(z)
            sentence = f"the derivative of {of} by {at} was left out"
            yield slip("derivative missing", sentence, shortcut(node, z))


def in_term(recording: Recording, step: Step, factors: Factors = OF_TERMS) -> Iterator[Slip]:
    """The share of one tensor through another, a term of the cost, is missing or has a factor."""
    node, _, x = step
    equation, shown = step.equation, recording.expression(x)
    alone = recording.regularised.get(x)
    if alone is not None:
        what_of = f"the term {shown}, of {alone} alone as a regulariser is,"
    else:
        alone = recording.regularised.get(node) if x in recording.names else None
        of_term = f" (a term of {alone} alone, as a regulariser is)" if alone else ""
        what_of = f"what {shown} receives through {recording.expression(node)}{of_term}"
    term = "regulariser" if alone else "term"
    for name, factor, what in factors:
        bend = step.bent(_scaled(equation, factor))
        form = node.operation, step.k, factor
        yield slip(f"{term} {name}", f"{what_of} {what}", bend, local=factor == 0, form=form)


def _scaled(equation: Equation, factor: float) -> Equation:
    return lambda delta: equation(delta) * factor


def _of_lengths(lengths: Sequence[tuple[int, str]]) -> Factors:
    """The factors of a term that is wrongly divided by a length, or is not divided by it."""
    each = (
        (
            ("divided by n", 1 / n, f"is divided by {n}, {what}"),
            ("times n", float(n), f"is not divided by {n}, {what}"),
        )
        for n, what in lengths
    )
    return [*itertools.chain(*each)]


def function_elsewhere(recording: Recording, node: Tensor) -> Iterator[Slip]:
    """σ′ at another z, for a σ composed of several steps or written in terms of a."""
    function = recording.function(node)
    if function is None:
        return
    name, z = function
    if name in COUPLED:
        return
    at, of_value = recording.expression(z), SLOPES_OF_VALUE.get(name)
    for what, other in recording.elsewhere(z.data):
        if of_value and not np.array_equal(other, node.data):
            sentence = (
                f"the derivative of {name}({at}), written in terms of its value, is taken at "
                f"{what} in the place of that"
            )
            bend = shortcut(node, z, of_value(other))
            yield slip("derivative elsewhere", sentence, bend, local=False)
        if node.operation.__name__ != name:
            sentence = f"the derivative of {name}({at}) is taken at {what}, in place of {at}"
            bend = shortcut(node, z, slope(name, other))
            yield slip("derivative elsewhere", sentence, bend, local=False)


def substituted(recording: Recording, step: Step) -> Iterator[Slip]:
    """The equation of ``node`` evaluated at another array than that of the forward pass."""
    node, _, x = step
    of, to = recording.expression(node), recording.expression(x)
    for j, operand in enumerate(node.inputs):
        here = recording.expression(operand)
        for what, other in recording.elsewhere(data_of(operand)):
            equation = recording.equation_at(step, j, other)
            if equation is None:
                continue
            kind = "derivative at the value" if other is node.data else "derivative elsewhere"
            sentence = f"the derivative of {of} is taken at {what}, in place of {here}"
            if len(node.inputs) > 1:
                kind = "other operand"
                sentence = f"{what} stands in the place of {here}, in what {of} hands back to {to}"
            yield slip(kind, sentence, step.bent(equation), local=False)


def neighbours(recording: Recording, steps: Sequence[Step]) -> Iterator[Slip]:
    """An operand of the step of a loop before or after, at every step."""
    lines: dict[Any, list[Step]] = {}
    for step in sorted(steps, key=lambda step: step.node.birth):
        place = recording.places.get(step.node)
        lines.setdefault((place, step.node.operation, step.k), []).append(step)
    for (place, *_), of_line in lines.items():
        if len(of_line) < 2:
            continue
        for j in range(len(of_line[0].node.inputs)):
            operands = [step.node.inputs[j] for step in of_line]
            data = [data_of(x) for x in operands]
            made_at = {recording.places.get(x) for x in operands if isinstance(x, Tensor)} - {None}
            last = [y.data for y in recording.steps if recording.places.get(y) in made_at][-1:]
            others = [([*data[1:], x], "after") for x in (data[-1], *last)]
            others.append(([data[0], *data[:-1]], "before"))
            for values, word in others:
                bends = []
                for step, here, other in zip(of_line, data, values, strict=True):
                    fits = getattr(other, "shape", 0) == getattr(here, "shape", 1)
                    equation = recording.equation_at(step, j, other) if fits else None
                    bends += [] if equation is None else [step.bent(equation)]
                if len(bends) > 1:
                    operand = recording.expression(of_line[0].node.inputs[j])
                    sentence = (
                        f"the operand of the step {word} is taken in place of that of this step "
                        f"({operand} in the first), at each of {len(of_line)} uses in {place}"
                    )
                    yield Slip("other step", sentence, tuple(bends), False)


def of_another_cost(recording: Recording, computed: Sequence[Tensor]) -> Iterator[Slip]:
    """The given derivative is right for a cost with another operand, on the way there and back."""
    named = [*recording.names]
    for x, y in itertools.permutations(named, 2):
        if x.shape == y.shape and not np.array_equal(x.data, y.data):
            yield from _with_other(recording, computed, x, y, recording.names[y])
    for node in computed:
        for j, x in enumerate(node.inputs):
            for y in (*named, *recording.steps) if isinstance(x, Tensor) else ():
                if y.birth < node.birth and y is not x and y.shape == x.shape:
                    yield from _with_other(recording, [node], x, y, recording.expression(y), j)


def _with_other(
    recording: Recording,
    nodes: Sequence[Tensor],
    x: Tensor,
    y: Tensor,
    what: str,
    place: int | None = None,
) -> Iterator[Slip]:
    uses = {
        node: tuple(y if z is x and place in (None, j) else z for j, z in enumerate(node.inputs))
        for node in nodes
        if any(z is x for z in node.inputs)
    }
    if np.array_equal(x.data, y.data) or not uses:
        return
    bends = recording.instead(uses)
    if not bends:
        return
    here, where = recording.expression(x), ""
    if place is not None:
        where = f" in {recording.expression(nodes[0])}"
    sentence = (
        f"right for another cost: {what} stands in the place of {here}{where}, in the cost and in "
        "its derivative"
    )
    yield Slip("another cost", sentence, bends, False)
    for square in _squares_of(recording, uses):
        for c in recording.constants:
            sentence_of_mean = (
                f"{sentence}, and {c:.6g} is added to the square: a mean and a variance stand in "
                "the place of a sample"
            )
            bends = recording.instead(uses, {square: c})
            yield Slip("another cost", sentence_of_mean, bends, False)


def _squares_of(recording: Recording, nodes: Iterable[Tensor]) -> Iterator[Tensor]:
    """The squares of these values."""
    for square in recording.steps:
        is_power = square.operation is operations.power and np.all(data_of(square.inputs[1]) == 2)
        if (is_power or square.operation is operations.square) and square.inputs[0] in nodes:
            yield square


IN_FUNCTIONS = (in_function, in_reparameterisation)
IN_SLOPES = (in_function_of_value, in_other_function)
IN_OPERANDS = (in_mask, left_out, operand_left_out, in_pair, transposed)
