"""The known slips of the pen: their effect on an equation, and the sentence that names each.

A slip is found by making it. One recorded equation is bent into the mistaken one (an operand left
out, taken from another layer, or transposed; a derivative left out, or taken at another place; a
term left out, or counted twice). The engine's own sweep then runs again, and its result is compared
with the given derivative. Each function below covers one family of slips, and reads from the
:class:`Recording` where it can occur. :func:`slips` combines them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import operations
from ..autodiff import Equation, Tensor
from ..backend import Array
from .recording import (
    COUPLED,
    Bend,
    Recording,
    Step,
    data_of,
    is_function_of,
    mask_of,
    near,
    noise_of,
    shortcut,
    slope,
    times,
)

MANY_SUBSTITUTES, MANY_MASKED, SMALL = 4000, 400, 20_000

SLOPES_OF_VALUE: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "softmax": lambda a: a * (1 - a),
    "log_softmax": lambda a: 1 - np.exp(a),
}
"""∂aᵢ/∂zᵢ of a = σ(z), in terms of a: the usual form on paper."""


class Slip(NamedTuple):
    """A mistake in one recorded equation: its name, its sentence, and how it bends the equation."""

    kind: str
    sentence: str
    bend: Bend
    local: bool = True
    """Whether it is a slip in one equation, not in a whole term; only such slips form pairs."""


def slips(
    recording: Recording, wanted: Sequence[int], lengths: Sequence[tuple[int, str]]
) -> Iterator[Slip]:
    """All slips in all equations that lead to the arguments ``wanted``, from simple to complex.

    ``lengths`` are the lengths that may be wrong factors of a term, each with its description.
    """
    computed, steps = recording.leading_to(wanted)
    for node in computed:
        yield from in_function(recording, node)
        yield from in_reparameterisation(recording, node)
    for step in steps:
        yield from in_mask(recording, step)
        yield from left_out(recording, step)
        yield from transposed(recording, step)
    for node in computed:
        yield from in_several_steps(recording, node)
    for step in steps:
        yield from in_term(recording, step, lengths)
    in_sight = len(recording.names) + len(recording.steps)
    numbers = sum(node.data.size for node in recording.nodes)
    if len(steps) * in_sight * max(numbers, SMALL) <= MANY_SUBSTITUTES * SMALL:
        for node in computed:
            yield from function_elsewhere(recording, node)
        for step in steps:
            yield from substituted(recording, step)


def in_function(recording: Recording, node: Tensor) -> Iterator[Slip]:
    """σ′ of a = σ(z), where σ is a rule or is composed of several steps, as 1/(1 + e⁻ᶻ)."""
    if node not in recording.functions:
        return
    name, z = recording.functions[node]
    at, a = recording.expression(z), f"{name}({recording.expression(z)})"
    of_value, coupled = SLOPES_OF_VALUE.get(name), name in COUPLED
    if of_value and coupled:
        sentence = (
            f"only the diagonal of the Jacobian of {a}: its outputs are coupled by the sum, "
            "and that was dropped"
        )
        yield Slip("coupling dropped", sentence, shortcut(node, z, of_value(node.data)))
    sentence = f"{'' if coupled else 'σ′ is missing: '}the derivative of {a} by {at} was left out"
    yield Slip("derivative missing", sentence, shortcut(node, z))
    if coupled:
        return
    sentence = f"σ′ is taken at the value a = {a}, in place of {at}"
    yield Slip("derivative at the value", sentence, shortcut(node, z, slope(name, node.data)))
    if of_value:
        sentence = f"σ′, written in terms of the value a = {a}, is taken at {at} instead"
        yield Slip("derivative elsewhere", sentence, shortcut(node, z, of_value(z.data)))


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
        for kind, sentence, factor in factors:
            yield Slip(kind, sentence, shortcut(node, z, factor))


def in_mask(recording: Recording, step: Step) -> Iterator[Slip]:
    """Dropout: the share of z = m a is δ m with the mask m of the forward pass."""
    mask = mask_of(step.node, step.k)
    if mask is None:
        return
    what, scale = f"the dropout mask of {recording.expression(step.node)}", mask.max()
    sentence = f"{what} is left out on the way back: δ m with the same m is right"
    yield Slip("mask not reused", sentence, step.bent(times()))
    if scale != 1:
        by = f"{scale:.4g} = 1/(1 − p)"
        sentence = f"the dropout mask is not rescaled on the way back: a factor {by} is missing"
        yield Slip("mask not rescaled", sentence, step.bent(times(mask > 0)))
        sentence = f"δ is scaled by {by}, but not masked"
        yield Slip("mask not reused", sentence, step.bent(times(scale)))


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
                yield Slip("mask not reused", sentence, step.bent(times(other)))


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


def left_out(recording: Recording, step: Step) -> Iterator[Slip]:
    """A factor, a derivative or a sign was left out: δ is passed on unchanged."""
    node, k, x = step
    of, as_it_came = recording.expression(node), step.bent(times())
    product = node.operation is operations.multiply
    if (product and mask_of(node, k) is None) or (node.operation is operations.divide and k == 0):
        other = node.inputs[1 - k]
        factor = ("" if product else "1/") + recording.expression(other)
        kind = "factor missing" if isinstance(other, Tensor) else "constant dropped"
        yield Slip(kind, f"it lacks a factor equal to {factor}, from {of}", as_it_came)
    elif node.operation is operations.subtract and k == 1:
        yield Slip("sign", f"the minus sign of {of} is lost", as_it_came)
    elif x.shape == node.shape and node not in recording.functions and recording.is_curved(step):
        sentence = f"the derivative of {of} by {recording.expression(x)} was left out"
        yield Slip("derivative missing", sentence, as_it_came)


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
                yield Slip("transposed operand", sentence, step.bent(equation))


def in_several_steps(recording: Recording, node: Tensor) -> Iterator[Slip]:
    """A function of one tensor over several steps was left out as a whole."""
    for z in near(node, 4):
        if all(x is not z for x in node.inputs) and is_function_of(node, z):
            of, at = recording.expression(node), recording.expression(z)
            sentence = f"the derivative of {of} by {at} was left out"
            yield Slip("derivative missing", sentence, shortcut(node, z))


def in_term(recording: Recording, step: Step, lengths: Sequence[tuple[int, str]]) -> Iterator[Slip]:
    """The share of one tensor through another, a term of the cost, is missing or has a factor."""
    node, _, x = step
    equation, shown = step.equation, recording.expression(x)
    alone = recording.alone(x) if x.operation is not None else None
    if alone is not None:
        what_of = f"the term {shown}, of {alone} alone as a regulariser is,"
    else:
        alone = recording.alone(node) if x in recording.names else None
        of_term = f" (a term of {alone} alone, as a regulariser is)" if alone else ""
        what_of = f"what {shown} receives through {recording.expression(node)}{of_term}"
    term = "regulariser" if alone else "term"
    factors = [
        ("missing", 0.0, "is missing"),
        ("doubled", 2.0, "is counted twice, or a ½ in it is missing"),
        ("halved", 0.5, "is halved: a factor 2 is missing"),
        ("sign", -1.0, "has the wrong sign"),
    ]
    for n, what in lengths:
        factors.append(("divided by n", 1 / n, f"is divided by {n}, {what}"))
        factors.append(("times n", float(n), f"is not divided by {n}, {what}"))
    for name, factor, what in factors:
        bend = step.bent(_scaled(equation, factor))
        yield Slip(f"{term} {name}", f"{what_of} {what}", bend, local=factor == 0)


def _scaled(equation: Equation, factor: float) -> Equation:
    return lambda delta: equation(delta) * factor


def function_elsewhere(recording: Recording, node: Tensor) -> Iterator[Slip]:
    """σ′ at another z, for a σ composed of several steps or written in terms of a."""
    if node not in recording.functions:
        return
    name, z = recording.functions[node]
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
            yield Slip("derivative elsewhere", sentence, bend, local=False)
        if node.operation.__name__ != name:
            sentence = f"the derivative of {name}({at}) is taken at {what}, in place of {at}"
            bend = shortcut(node, z, slope(name, other))
            yield Slip("derivative elsewhere", sentence, bend, local=False)


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
            yield Slip(kind, sentence, step.bent(equation), local=False)
