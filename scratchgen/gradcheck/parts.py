"""Mistakes in a part of an array, and right numbers in another place.

The entries that disagree are described as a reader of the source knows them: an entry, a row, a
block, or the slice of a flat vector that the cost takes, with its line. The mistakes of the
catalogue are then tried in these entries alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import operations
from ..backend import Array, to_host
from .catalogue import of_multiple
from .evidence import Evidence, Mistake, known_ratio, shown
from .recording import Recording

MANY_BLOCKS, MANY_ENTRIES = 6, 100_000


class Block(NamedTuple):
    """A slice of an argument that the cost takes, by its source."""

    key: Any
    entries: Array
    """The flat indices of its entries, in the shape in which the cost uses them."""
    what: str


def blocks(recording: Recording | None, k: int, shape: tuple[int, ...]) -> list[Block]:
    """The slices of argument k, in the order of their first entries, without overlaps."""
    if recording is None:
        return []
    found: list[Block] = []
    argument, numbers = recording.arguments[k], np.arange(int(np.prod(shape))).reshape(shape)
    for node in recording.steps:
        if node.operation is operations.getitem and node.inputs[0] is argument:
            entries = np.asarray(numbers[node.settings["key"]])
            for later in recording.steps:
                if later.operation is operations.reshape and later.inputs[0] is node:
                    entries = entries.reshape(later.shape)
            taken = {int(i) for block in found for i in block.entries.flat}
            if entries.size and not taken & {*map(int, entries.flat)}:
                place = recording.places.get(node)
                what = f"{recording.expression(node)}" + (f" ({place})" if place else "")
                found.append(Block(node.settings["key"], entries, what))
    return sorted(found, key=lambda block: int(block.entries.flat[0]))


def of_parts(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """Known mistakes in those entries alone that disagree."""
    given, right = evidence.given[k], evidence.right[k]
    if given.shape != right.shape or not right.ndim or np.isnan(right).any():
        return
    wrong = ~evidence.equal(k, given, right)
    found = [*blocks(evidence.recording, k, right.shape)]
    for part, where in _parts(wrong, found):
        inside, outside = given[part], np.where(part, given, right)
        if not evidence.fits(k, given, outside):
            continue
        for kind, sentence, values in _of_part(evidence, k, part, inside):
            expected = right.copy()
            expected[part] = values
            yield Mistake(kind, f"{where}: {sentence}; all others agree", given, expected)


def _parts(wrong: Array, found: Sequence[Block]) -> Iterator[tuple[Array, str]]:
    """The entries that disagree, with words for them: a slice by name, rows, columns, a box."""
    if not wrong.any():
        return
    places = np.argwhere(wrong)
    if len(places) == 1:
        yield wrong, f"in entry {[int(i) for i in places[0]]}"
    for block in found if wrong.ndim == 1 else ():
        part = np.zeros(wrong.shape, dtype=bool)
        part.flat[block.entries.reshape(-1)] = True
        if not (wrong & ~part).any() and not part.all():
            yield part, f"in {block.what}"
    for axis in range(wrong.ndim if wrong.ndim > 1 else 0):
        others = tuple(i for i in range(wrong.ndim) if i != axis)
        lines = np.flatnonzero(wrong.any(axis=others))
        if 0 < 2 * len(lines) <= wrong.shape[axis]:
            part = np.zeros(wrong.shape, dtype=bool)
            np.moveaxis(part, axis, 0)[lines] = True
            listed = ", ".join(map(str, lines[:5])) + (" …" if len(lines) > 5 else "")
            yield part, f"in {_lines(wrong.ndim, axis, len(lines) > 1)} {listed}"
    if len(places) <= 3 and not wrong.all():
        listed = ", ".join(str([int(i) for i in index]) for index in places)
        yield wrong, f"in entries {listed}"
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(wrong))
    part = np.zeros(wrong.shape, dtype=bool)
    part[box] = True
    if not part.all():
        yield part, f"in [{', '.join(f'{s.start}:{s.stop}' for s in box)}]"
        yield wrong, f"in {int(wrong.sum())} of {wrong.size} entries"


def _lines(ndim: int, axis: int, plural: bool) -> str:
    """The word for the lines along an axis."""
    if ndim == 1:
        return "entries" if plural else "entry"
    if axis > 1 or ndim > 2:
        return f"{'indices' if plural else 'index'} of axis {axis}"
    return ("row", "column")[axis] + "s" * plural


def _of_part(
    evidence: Evidence, k: int, part: Array, given: Array
) -> Iterator[tuple[str, str, Array]]:
    """The kind, the sentence and the numbers of each mistake in a part."""
    right, x = evidence.right[k][part], to_host(evidence.subject.arrays[k])[part]
    name = evidence.names[k]
    if not given.any():
        yield "zero block", "left at zero", 0 * right
    for kind, factor, why in (
        ("sign", -1.0, "the sign is wrong"),
        ("factor 2", 2.0, "a factor 2 too many, or a ½ is missing"),
        ("factor 1/2", 0.5, "a factor 2 is missing"),
    ):
        yield kind, f"yours = {shown(factor)} × numerical: {why}", factor * right
    ratio = known_ratio(given, right)
    if ratio is not None:
        yield "ratio", f"yours = {shown(ratio)} × numerical", ratio * right
    if given.size > 2 and np.ptp(x) and np.linalg.norm(x):
        c = float((given - right) @ x / (x @ x))
        if abs(c) * np.abs(x).max() > 1e-7 * np.abs(right).max():
            kind, why = of_multiple(evidence, k, c, "L2 regulariser", name)
            yield kind, f"yours − numerical = {c:.4g} × {name}: {why}", right + c * x
    places = np.flatnonzero(part.any(axis=tuple(range(1, part.ndim))))
    whole = part.sum() == len(places) * part[0].size
    if part.sum() > 1 and not whole and part.ndim == 2:
        columns = np.flatnonzero(part.any(axis=0))
        if part.sum() == len(columns) * part.shape[0] and len(columns) == 2:
            both = evidence.right[k][:, columns[::-1]]
            yield "exchanged", "the two are exchanged", both.reshape(-1)
    if whole and len(places) == 2:
        both = evidence.right[k][places[::-1]]
        yield "exchanged", "the two are exchanged", both.reshape(-1)


def in_other_places(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """The right numbers, but of another array, or in another order."""
    given, right = evidence.given[k], evidence.right[k]
    for j in evidence.given:
        other = evidence.right[j]
        if j != k and other.shape == given.shape and given.size > 1 and np.any(other):
            sentence = (
                f"it is the derivative by {evidence.names[j]}: the derivatives are returned in "
                "another order"
            )
            yield Mistake("returned in another order", sentence, given, other)
    if given.shape != right.shape or right.size < 2 or np.isnan(right).any():
        return
    if right.ndim > 1:
        unrolled = right.ravel("F").reshape(right.shape)
        sentence = "its entries are unrolled in the other order (by columns, not by rows)"
        yield Mistake("unrolled in another order", sentence, given, unrolled)
    found = blocks(evidence.recording, k, right.shape)
    by_columns: Array = right.copy()
    for block in found:
        if block.entries.ndim == 2 and min(block.entries.shape) > 1:
            places = block.entries.reshape(-1)
            alone = right.copy()
            columns = right.reshape(-1)[places].reshape(block.entries.shape).ravel("F")
            alone.flat[places] = by_columns.flat[places] = columns
            sentence = f"{block.what} is unrolled by columns, where the cost unrolls it by rows"
            yield Mistake("unrolled in another order", sentence, given, alone)
    sentence = "all its parts are unrolled by columns, where the cost unrolls them by rows"
    yield Mistake("unrolled in another order", sentence, given, by_columns)
    if right.ndim == 1 and 1 < len(found) <= MANY_BLOCKS:
        parts = [right[block.entries.reshape(-1)] for block in found]
        if sum(map(len, parts)) == right.size:
            for order in itertools.permutations(range(len(found))):
                listed = ", ".join(found[i].what for i in order)
                exchanged = np.concatenate([parts[i] for i in order])
                sentence = f"its parts are joined in another order: {listed}"
                yield Mistake("joined in another order", sentence, given, exchanged)
    for axis in range(right.ndim if right.size <= MANY_ENTRIES else 0):
        permutation = _order(given, right, axis)
        if permutation is not None:
            moved = [(i, j) for i, j in enumerate(permutation) if i != j]
            names = _lines(right.ndim, axis, plural=True)
            listed = ", ".join(f"{i} is {j}" for i, j in moved[:4]) + " …" * (len(moved) > 4)
            sentence = f"its {names} are permuted: {listed} of the right one"
            if len(moved) == 2:
                sentence = f"{names} {moved[0][0]} and {moved[0][1]} are exchanged"
            kind = "exchanged" if len(moved) == 2 else "permuted"
            yield Mistake(kind, sentence, given, np.take(right, permutation, axis))


def _order(given: Array, right: Array, axis: int) -> list[int] | None:
    """The order of the lines of ``right`` along an axis that makes it ``given``."""
    mine, true = (np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in (given, right))
    if len(true) < 3 or not np.isfinite(mine).all():
        return None
    keys = [x @ np.random.default_rng(0).uniform(1, 2, x.shape[1]) for x in (mine, true)]
    first, second = map(np.argsort, keys)
    distinct = np.diff(keys[1][second]) > 1e-6 * np.abs(keys[1]).max()
    if not distinct.all():
        return None
    order = np.empty(len(true), dtype=int)
    order[first] = second
    return [int(i) for i in order] if (order != np.arange(len(true))).any() else None


def of_symmetry(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """Derivatives by a symmetric matrix: as if its entries were free, or were not."""
    given, right = evidence.given[k], evidence.right[k]
    x = to_host(evidence.subject.arrays[k])
    if given.shape != right.shape or right.ndim != 2 or np.isnan(right).any():
        return
    if x.shape[0] != x.shape[1] or len(x) < 2 or not np.allclose(x, x.T, rtol=1e-9, atol=0):
        return
    both, diagonal = right + right.T, np.diag(np.diag(right))
    sentence = (
        "its entries off the diagonal count twice, 2A − diag A, as for a symmetric matrix whose "
        "entries move in pairs; those of this array move one by one"
    )
    yield Mistake("symmetric matrix", sentence, given, both - diagonal)
    sentence = (
        "its entries off the diagonal count once: the entries of a symmetric matrix move one by "
        "one, where the cost moves them in pairs"
    )
    yield Mistake("symmetric matrix", sentence, given + given.T - np.diag(np.diag(given)), right)
    for triangle, word in ((np.tril, "lower"), (np.triu, "upper")):
        if np.any(right) and np.array_equal(triangle(right), right):
            sentence = (
                f"the cost reads the {word} triangle of the symmetric matrix only; the two agree "
                "once both are symmetrised"
            )
            yield Mistake("symmetric matrix", sentence, given + given.T, both)
        sentence = f"only its {word} triangle is given, and the other is zero"
        yield Mistake("symmetric matrix", sentence, given, triangle(right))
        sentence = f"the {word} triangle stands for both: agrees with 2 {word} − diag"
        yield Mistake("symmetric matrix", sentence, given, 2 * triangle(right) - diagonal)
    sentence = "it is the symmetrised derivative, (A + Aᵀ)/2"
    yield Mistake("symmetric matrix", sentence, given, both / 2)
    sentence = "it is the sum of the derivative and its transpose, A + Aᵀ"
    yield Mistake("symmetric matrix", sentence, given, both)
