"""Mistakes that are visible in the numbers of one derivative, for any cost.

Each entry of the catalogue states the numbers that would be given if this mistake had been made. It
is a finding only if they are given, in every known entry.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import operations
from ..backend import Array, device_of, to_device, to_host
from .evidence import Evidence, Mistake, entries, shown
from .slips import with_updated

SIGMA: dict[str, Any] = {
    "the sigmoid": operations.sigmoid,
    "tanh": operations.tanh,
    "softplus": operations.softplus,
    "exp": operations.exp,
    "ReLU": operations.relu,
}
"""Functions whose derivative is often forgotten."""


def factors(evidence: Evidence) -> Iterator[tuple[str, float, str]]:
    """Yield each kind with its factor, and the likely cause of a result wrong by this factor."""
    yield "sign", -1.0, "the sign is wrong"
    yield "factor 2", 2.0, "a factor 2 too many, or a ½ is missing"
    yield "factor 1/2", 0.5, "a factor 2 is missing"
    for scale in evidence.recording.scales if evidence.recording else ():
        what = f"the factor 1/(1 − p) = {scale:.4g} of the dropout mask is missing"
        yield "mask not rescaled", 1 / scale, what
    for n, what in evidence.lengths:
        squared = f"the square of {n}, {what}"
        if n in evidence.summed:
            yield "factor n", float(n), f"a 1/{n} is missing, {n} being {what}: a sum, not the mean"
            yield "factor 1/n", 1 / n, f"a factor {n} is missing, {what}: a mean, not the sum"
            yield "factor n²", float(n * n), f"a 1/{n * n} is missing, {squared}"
            yield "factor 1/n²", 1 / (n * n), f"a factor {n * n} is missing, {squared}"
        else:
            yield "factor n", float(n), f"a factor {n} too many ({n} is {what})"
            yield "factor 1/n", 1 / n, f"a factor {n} is missing ({n} is {what})"
            yield "factor n²", float(n * n), f"a factor {n * n} too many ({n * n} is {squared})"
            yield "factor 1/n²", 1 / (n * n), f"a factor {n * n} is missing ({n * n} is {squared})"


def of_shape(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """The given derivative has another shape than its array."""
    given, right = evidence.given[k], evidence.right[k]
    name, shape = evidence.names[k], right.shape
    came = f"shape {given.shape} in place of {shape}"
    if given.ndim == right.ndim and given.ndim > 1:
        turned = given.T if given.T.shape == shape else None
        if evidence.subject.rule is not None:  # whose shares may be of the shape before a broadcast
            turned = _unbroadcast(given.T, shape)
        if turned is not None:
            yield Mistake("transposed", f"{came}: agrees with the transpose", turned, right)
    for number in range(1, given.ndim + 1):
        for axes in itertools.combinations(range(given.ndim), number):
            summed = given.sum(axis=axes)
            if summed.size != right.size or summed.size == given.size:
                continue
            if [n for n in summed.shape if n > 1] != [n for n in shape if n > 1]:
                continue
            kept = f"axis {axes[0]}" if number == 1 else f"axes {axes}"
            what = f"the broadcast of {name} was not undone"
            if axes == (0,) and given.shape[0] in dict(evidence.lengths):
                what = f"the sum over the batch is missing, or {what}"
            sentence = f"{came}: agrees if summed over {kept}: {what}"
            yield Mistake("not summed", sentence, summed.reshape(shape), right)
    if given.size == right.size:
        yield Mistake("reshaped", f"{came}: agrees once reshaped", given.reshape(shape), right)
    if given.size == 1 and right.size > 1:
        for what, value in (("sum", right.sum()), ("mean", right.mean())):
            sentence = f"{came}: it is the {what} of all entries, reduced to one number"
            yield Mistake("reduced to a scalar", sentence, given.reshape(()), np.asarray(value))
    for axis in range(right.ndim):
        for what, reduced in (("summed", right.sum(axis)), ("averaged", right.mean(axis))):
            if reduced.size == given.size and right.shape[axis] > 1:
                sentence = (
                    f"{came}: agrees if the right one is {what} over axis {axis}: that sum should "
                    "not be taken"
                )
                yield Mistake("reduced too far", sentence, given.reshape(reduced.shape), reduced)


def _unbroadcast(share: Array, shape: tuple[int, ...]) -> Array | None:
    """The sum of a share over the axes along which an array of this shape was repeated."""
    if any(n not in (1, m) for n, m in zip(shape, share.shape, strict=True)):
        return None
    summed: Array = share.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
    return summed


def of_numbers(evidence: Evidence, k: int, right: Array) -> Iterator[Mistake]:
    """Mistakes that a comparison of the two arrays shows, the given and the right one."""
    given = evidence.given[k]
    where = entries(right)
    yield Mistake("zero", "it is zero throughout: left out, or never written", given, 0 * given)
    for kind, factor, why in factors(evidence):
        sentence = f"yours = {shown(factor)} × numerical {where}: {why}"
        yield Mistake(kind, sentence, given, factor * right, says_factor=True)
    if np.isnan(right).any():
        return
    for i, j in itertools.combinations(range(right.ndim), 2):
        if right.shape[i] == right.shape[j] > 1:
            axes = "" if right.ndim == 2 else f", axes {i} and {j} exchanged"
            sentence = f"agrees with the transpose{axes} {where}"
            yield Mistake("transposed", sentence, given, right.swapaxes(i, j))
    blank = (given == 0) & (right != 0)
    if blank.any() and not blank.all():
        box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(blank))
        if not given[box].any():
            kept = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(given))
            sentence = f"agrees but for the block [{_listed(box)}], which was left at zero"
            if right.ndim > 1 and np.size(given[kept]) < blank.sum():
                sentence = f"it is zero but for the block [{_listed(kept)}], which agrees"
            yield Mistake("zero block", sentence, given, np.where(blank, 0, right))
    if right.size > 1:
        for what, value in (("sum", right.sum()), ("mean", right.mean())):
            sentence = f"each entry is the {what} of all: reduced to one number and repeated"
            yield Mistake("reduced to a scalar", sentence, given, np.full(right.shape, value))
    for axis in range(right.ndim):
        if right.shape[axis] < 2:
            continue
        for step, word in ((1, "forward"), (-1, "back")):
            rolled = np.roll(right, step, axis)
            filled = rolled.copy()
            np.moveaxis(filled, axis, 0)[min(step, 0)] = 0
            sentence = f"agrees if shifted by one entry along axis {axis}: an index is one {word}"
            yield Mistake("shifted", sentence, given, rolled)
            yield Mistake("shifted", f"{sentence}, with zeros at the edge", given, filled)
        sentence = f"agrees if reversed along axis {axis}"
        yield Mistake("reversed", sentence, given, np.flip(right, axis))
        summed = np.broadcast_to(right.sum(axis, keepdims=True), right.shape)
        sentence = f"agrees if the right one is summed over axis {axis} and repeated along it"
        yield Mistake("reduced too far", sentence, given, summed)
    if right.ndim > 1:
        sentence = "agrees if reversed along the last two axes: the kernel was flipped, or was not"
        yield Mistake("reversed", sentence, given, np.flip(right, (-2, -1)))


def _listed(box: tuple[slice, ...]) -> str:
    return ", ".join(f"{s.start}:{s.stop}" for s in box)


def of_experiments(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """Mistakes that show if both sides are evaluated again, at other inputs."""
    given, right, subject = evidence.given[k], evidence.right[k], evidence.subject
    before = evidence.reference(subject.nearby, k)
    if before is not None:
        sentence = "right for the input of the call before this one: values kept from then"
        yield Mistake("stale", f"{sentence} are stale", given, before)
    for n, _ in evidence.batches:
        for row, word in ((0, "first"), (n - 1, "last")):
            for alone in evidence.of_row(row, n, k):
                for share in (alone, alone / n):
                    what = f"right for the {word} row of the batch alone"
                    sentence = f"{what}: the sum over the batch is missing"
                    yield Mistake("one row only", sentence, given, share, says_factor=True)
    if subject.rule is None:
        return
    run, delta = subject.rule
    value, delta = to_host(run(subject.arrays)), to_host(delta)
    for j, x in enumerate(subject.arrays):
        if j != k and np.ndim(x) == 2 and x.shape[0] == x.shape[1] > 1:
            turned = [y.T if i == j else y for i, y in enumerate(subject.arrays)]
            at_transpose = evidence.reference(turned, k)
            if at_transpose is not None:
                sentence = f"right if {evidence.names[j]} is transposed"
                yield Mistake("transposed operand", sentence, given, at_transpose)
    if value.shape != right.shape:
        return
    sentence = "δ is passed on as it came: the derivative of the operation is missing"
    yield Mistake("derivative missing", sentence, given, delta)
    inputs = [*subject.arrays]
    inputs[k] = to_device(value, device_of(inputs[k]))
    at_value = evidence.reference(inputs, k)
    if at_value is not None:
        sentence = "right if the derivative is taken at the value a, in place of the input z"
        yield Mistake("derivative at the value", sentence, given, at_value)
    diagonal = evidence.diagonal(k)
    if diagonal is not None:
        sentence = (
            "right for the diagonal of the Jacobian alone: each output depends on the other inputs "
            "too (a softmax is coupled by its sum), and that was dropped"
        )
        yield Mistake("coupling dropped", sentence, given, delta * diagonal)


def of_multiple(evidence: Evidence, k: int, c: float, kind: str, what: str) -> tuple[str, str]:
    """The kind of a difference of c × ``what``, and its likely cause.

    ``what`` is an array, or its sign, as in the gradient of a regulariser of that ``kind``.
    """
    if evidence.has_regulariser(k) is not False:
        amount = "is missing, or too small" if c < 0 else "is too large, or counted twice"
        return kind, f"the gradient of a regulariser {amount}"
    amount = "is missing" if c < 0 else "is too many; the cost has no regulariser of it"
    return "term of itself", f"a term {abs(c):.4g} × {what} {amount}"


def of_residuals(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """Mistakes that the difference, or the ratio, of the two sides shows."""
    given, right, name = evidence.given[k], evidence.right[k], evidence.names[k]
    x = to_host(evidence.subject.arrays[k])
    known = np.isfinite(right)
    if known.sum() >= 3:
        for kind, basis, what in (
            ("L2 regulariser", x, name),
            ("L1 regulariser", np.sign(x), f"sign {name}"),
        ):
            spread, residual = basis[known], np.where(known, given - right, np.nan)
            if np.ptp(spread) == 0:
                continue
            c = float(residual[known] @ spread / (spread @ spread))
            if abs(c) * np.abs(spread).max() < 1e-7 * np.abs(right[known]).max():
                continue
            kind, why = of_multiple(evidence, k, c, kind, what)
            sentence = f"yours − numerical = {c:.4g} × {what} {entries(right)}: {why}"
            expected = np.where(known, c * basis, np.nan)
            yield Mistake(kind, sentence, residual, expected, says_factor=True)
    with np.errstate(all="ignore"):
        for function, operation in SIGMA.items():
            _, (equation,) = operation.rule(x)
            at = f"the derivative of {function} at {name}"
            sentence = f"agrees once multiplied by {at}: σ′ is missing"
            yield Mistake("derivative missing", sentence, equation(given), right)
        yield Mistake(
            "log σ² for σ",
            f"it is the derivative by σ where {name} is log σ²",
            given,
            right * 2 * np.exp(-x / 2),
        )
        for sentence, factor in (
            (f"it is the derivative by log {name}, {name} ∂C/∂{name}", x),
            (f"it is the derivative by e^{name}, as if {name} were no logarithm", np.exp(-x)),
            (f"it is ∂C/∂{name} divided by {name}", 1 / x),
            (f"it is ∂C/∂{name} multiplied by e^{name}", np.exp(x)),
        ):
            yield Mistake("log for value", sentence, given, right * factor)


def of_updates(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """Right for θ − η ∂C/∂θ: a parameter was updated before it was read for the last time.

    Either only the way back reads the updated parameter, or all is computed with it. The learning
    rate η is solved for, so that it has to be a number of two digits if few entries speak for it.
    """
    given, right, recording = evidence.given[k], evidence.right[k], evidence.recording
    if recording is None or given.shape != right.shape or evidence.loose or not np.any(right):
        return
    arrays, names = evidence.subject.arrays, evidence.names
    updates = {j: g for j, g in evidence.right.items() if np.any(g)}

    def everywhere(updated: Sequence[int], eta: float) -> Array | None:
        moved = {j: to_host(arrays[j]) - eta * updates[j] for j in updated}
        return evidence.reference([moved.get(j, x) for j, x in enumerate(arrays)], k)

    def on_the_way_back(updated: Sequence[int], eta: float) -> Array | None:
        (j,) = updated
        bends = with_updated(recording, k, j, to_host(arrays[j]) - eta * updates[j])
        return recording.gradient(k, *bends) if bends else None

    others: list[tuple[int, ...]] = [(j,) for j in updates if j != k]
    ways: list[tuple[Callable[..., Array | None], str, list[tuple[int, ...]]]] = [
        (on_the_way_back, "if the way back reads", others),
        (everywhere, "if all is computed with", [*others, (k,)] if k in updates else others),
        (everywhere, "if all is computed with", [tuple(updates)] if others else []),
    ]
    for way, right_if, choices in ways:
        for updated in choices:
            if evidence.is_over():
                return
            of_eta = functools.partial(way, updated)
            eta = _learning_rate(of_eta, given, right)
            if eta is None:
                continue
            plain = float(f"{eta:.2g}")
            is_plain = abs(eta - plain) <= 1e-6 * abs(eta)
            found = of_eta(plain if is_plain else eta)
            if found is None or not (is_plain or given.size > 3):
                continue
            listed = ", ".join(names[j] for j in updated)
            steps = ", ".join(f"{names[j]} − η ∂C/∂{names[j]}" for j in updated)
            sentence = (
                f"right {right_if} the updated {listed}, that is {steps} with η = "
                f"{shown(plain if is_plain else eta)}: an update comes before the last derivative "
                "that reads the old values, or writes into them"
            )
            yield Mistake("updated parameter", sentence, given, found)


def _learning_rate(
    way: Callable[[float], Array | None], given: Array, right: Array
) -> float | None:
    """η for which ``way(η)`` is ``given``, if one is near; the derivative is ``right`` for η = 0.

    It is found by the secant method along the way.
    """
    residual = given - right
    before, at_before = 0.0, right
    size = np.linalg.norm(residual)
    eta = 1e-3
    for _ in range(12):
        found = way(eta)
        if found is None or not np.isfinite(found).all():
            return None
        slope = (found - at_before) / (eta - before)
        steepness = float(np.sum(slope * slope))
        if not steepness:
            return None
        step = float(np.sum((given - found) * slope)) / steepness
        if np.linalg.norm(given - found - step * slope) > 0.9 * size:
            return None  # it leads elsewhere
        before, at_before, eta = eta, found, eta + step
        if abs(step) <= 1e-12 * abs(eta):
            return eta
    return None
