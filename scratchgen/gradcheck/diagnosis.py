"""The search for the mistake that explains the numbers, from simple to complex mistakes.

Mistakes come from the catalogue and from the slips. A finding fits in every known entry, and does
not fit the right derivative. If no known mistake fits, the report says so, and nothing is guessed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..backend import Array, to_host
from ..progress import watched
from . import catalogue, parts
from .evidence import Evidence, Mistake, entries, known_ratio, shown
from .recording import Slip
from .slips import redrawn_mask

NONE = "none of the known mistakes fits"
MANY_SLIPS = 100
SECONDS = 4  # the time limit of the search, counted in the processor time of its thread


def diagnose(evidence: Evidence, start: float | None = None) -> dict[int, tuple[str, list[str]]]:
    """For each wrong derivative, find the mistake, or two mistakes, or say that none fits.

    The result is a sentence, and the kinds of mistake in it. A single mistake is searched for in
    all derivatives first, since it is likely to be part of two in the others. The check
    began at ``start``, in seconds of the processor time of this thread, and the search ends in
    time.
    """
    now = time.thread_time()
    evidence.until = max((now if start is None else start) + SECONDS, now + 0.75 * SECONDS)
    at_once = ((k, what) for k in evidence.wrong for what in _at_once(evidence, k))
    findings: dict[int, tuple[str, list[str]]] = {k: (what, []) for k, what in at_once}
    with_factor: dict[int, Mistake] = {}

    def search(way: Callable[[Evidence, int], Iterator[Mistake]]) -> None:
        for k in sorted(evidence.wrong - findings.keys()):
            found = _first(evidence, k, way(evidence, k))
            if found is not None:
                findings[k] = found.sentence, found.kind.split(" + ")
                evidence.found += [] if found.slip is None else [found.slip]

    search(_in_numbers)
    search(_in_other_places)
    open_ = evidence.wrong - findings.keys()
    slipped = _in_equations(evidence, open_, with_factor)
    if not (open_ <= slipped.keys() and len({found.sentence for found in slipped.values()}) == 1):
        slipped.update(_of_one_ratio(evidence, open_))
    for k, found in slipped.items():
        findings[k] = found.sentence, found.kind.split(" + ")
        evidence.found += [] if found.slip is None else [found.slip]
    search(_of_ratio)
    search(_in_residuals)
    search(catalogue.of_updates)
    search(parts.of_parts)
    of_slips = lambda evidence, k: iter([with_factor[k]] if k in with_factor else [])
    # A rule is one operation: what its numbers tell says more than its steps. In a cost, a slip in
    # a step is also a part of what is wrong elsewhere.
    for way in (_with_factor, of_slips) if evidence.subject.rule else (of_slips, _with_factor):
        search(way)
    # A slip that was found in one derivative is likely to be a part of what is wrong in others.
    search(lambda evidence, k: _on_top(evidence, k, [*evidence.found]))
    search(lambda e, k: _in_pairs(e, k, ((one, two) for one in e.found for two in e.slips)))
    search(lambda evidence, k: _on_top(evidence, k, _few(evidence)))
    search(lambda evidence, k: _in_pairs(evidence, k, itertools.combinations(_few(evidence), 2)))
    for k, (sentence, kinds) in findings.items():
        if kinds == ["power rule"] and _is_by_logarithm(evidence, k):
            name = evidence.names[k]
            also = f"it is also {name} ∂C/∂{name}, the derivative by log {name}"
            findings[k] = f"{sentence}; {also}", kinds
    for k in evidence.wrong - findings.keys():
        findings[k] = evidence.what_is_seen(k) + NONE + (untried() if evidence.ended else ""), []
    return findings


def untried() -> str:
    """Say that time ended the search, so that known mistakes are left untried."""
    return f", of those that could be tried in {SECONDS} s"


def _at_once(evidence: Evidence, k: int) -> Iterator[str]:
    """The findings that need no search."""
    right, given = evidence.right[k], evidence.given[k]
    if right.size and not right.any() and given.shape == right.shape:
        yield "the cost does not depend on it: the derivative is zero"
    elif evidence.fits(k, given, right):
        yield "the difference is too small for any known mistake"


def _first(evidence: Evidence, k: int, mistakes: Iterator[Mistake]) -> Mistake | None:
    """The first mistake that fits."""
    for mistake in watched(mistakes, "mistakes tried"):
        if evidence.fits(k, mistake.left, mistake.right):
            return mistake
        if evidence.is_over():
            break
    return None


def _in_numbers(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """One mistake that shows in the numbers."""
    given, right = evidence.given[k], evidence.right[k]
    finite = np.isfinite(given)
    if not finite.all():
        what = f"{finite.size - finite.sum():,} of its {finite.size:,} entries are not finite"
        yield Mistake("not finite", what, np.zeros(1), np.zeros(1))
    if given.shape != right.shape:
        yield from catalogue.of_shape(evidence, k)
        return
    yield from catalogue.of_numbers(evidence, k, right)
    yield from catalogue.of_experiments(evidence, k)


def _in_other_places(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """The right numbers in another place, or of a symmetric matrix."""
    yield from parts.in_other_places(evidence, k)
    yield from parts.of_symmetry(evidence, k)


def _in_residuals(evidence: Evidence, k: int) -> Iterator[Mistake]:
    if evidence.given[k].shape == evidence.right[k].shape:
        yield from catalogue.of_residuals(evidence, k)


def _of_ratio(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A plain ratio, though no mistake is known that gives it."""
    given, right = evidence.given[k], evidence.right[k]
    ratio = known_ratio(given, right) if given.shape == right.shape and given.size > 2 else None
    if ratio is not None:
        sentence = f"yours = {shown(ratio)} × numerical {entries(right)}"
        yield Mistake("ratio", sentence + evidence.value_of(ratio), given, ratio * right)


def _of_one_ratio(evidence: Evidence, wanted: set[int]) -> dict[int, Mistake]:
    """One plain ratio of several derivatives, all that are wrong."""
    pairs = {k: (evidence.given[k], evidence.right[k]) for k in sorted(wanted)}
    if len(pairs) < 2 or any(given.shape != right.shape for given, right in pairs.values()):
        return {}
    together = (
        np.concatenate([x.reshape(-1) for x in side]) for side in zip(*pairs.values(), strict=True)
    )
    ratio = known_ratio(*together)
    if ratio is None:
        return {}
    found = {}
    for k, (given, right) in pairs.items():
        of_each = f"yours = {shown(ratio)} × numerical in all entries"
        one = Mistake("ratio", of_each, given, ratio * right)
        if not evidence.fits(k, one.left, one.right):
            return {}
        found[k] = one
    return found


def _in_equations(
    evidence: Evidence, wanted: set[int], with_factor: dict[int, Mistake]
) -> dict[int, Mistake]:
    """For each derivative the first slip from which it follows, preferably one for all of them.

    Each slip is made once, and all derivatives that follow are compared. Those that follow up to a
    known factor are put into ``with_factor``.
    """
    found: dict[int, Mistake] = {}
    comparable = {k for k in wanted if evidence.given[k].shape == evidence.right[k].shape}
    if not comparable or evidence.recording is None:
        return found
    redrawn = (redrawn_mask(evidence.recording, k, evidence.given[k]) for k in sorted(comparable))
    factors = () if evidence.loose else [*catalogue.factors(evidence)]
    for slip in watched(itertools.chain(evidence.slips, *redrawn), "slips tried"):
        if evidence.is_over(SECONDS / 8):
            break
        follows = evidence.all_from(slip)
        fitting = {k for k, right in follows.items() if evidence.fits(k, evidence.given[k], right)}
        for k in comparable & follows.keys():
            if k not in fitting:
                factor = _factor(evidence, k, follows[k], factors)
                if factor and k not in with_factor:
                    kind, value, why = factor
                    sentence = evidence.with_place(slip)
                    with_factor[k] = Mistake(
                        f"{slip.kind} + {kind}",
                        f"two mistakes: {sentence}; and {value:.4g} × that: {why}",
                        evidence.given[k],
                        value * follows[k],
                        slip=slip,
                    )
            elif not evidence.fits(k, evidence.right[k], follows[k]):
                sentence = evidence.with_place(slip)
                one = Mistake(slip.kind, sentence, evidence.given[k], follows[k], slip=slip)
                if fitting == evidence.given.keys():
                    found[k] = one
                found.setdefault(k, one)
        if comparable <= found.keys() and fitting == evidence.given.keys():
            break
    return found


def _factor(
    evidence: Evidence, k: int, follows: Array, factors: Sequence[tuple[str, float, str]]
) -> tuple[str, float, str] | None:
    """The known factor between the given derivative and one that follows from a slip, if any."""
    given = evidence.given[k]
    at = int(np.argmax(np.abs(follows))) if follows.size else 0
    if not factors or not follows.size or not np.isfinite(follows).all() or not follows.flat[at]:
        return None
    ratio = given.flat[at] / follows.flat[at]
    for factor in factors:
        if abs(ratio - factor[1]) <= 1e-6 * abs(factor[1]):
            changed = not evidence.fits(k, evidence.right[k], follows)
            return factor if changed and evidence.fits(k, given, factor[1] * follows) else None
    return None


def _with_factor(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A mistake that shows in the numbers, together with a factor."""
    if evidence.loose:  # two mistakes can explain anything in such inexact numbers
        return
    for mistake in itertools.chain(_in_numbers(evidence, k), _in_residuals(evidence, k)):
        if mistake.says_factor or mistake.left.shape != mistake.right.shape:
            continue
        for kind, factor, why in catalogue.factors(evidence):
            two = f"two mistakes: {mistake.sentence}; and {factor:.4g} × that: {why}"
            kinds, right = f"{mistake.kind} + {kind}", factor * mistake.right
            yield mistake._replace(kind=kinds, sentence=two, right=right)


def _on_top(evidence: Evidence, k: int, slips: Sequence[Slip]) -> Iterator[Mistake]:
    """A slip in the recorded equations, and a mistake in the numbers that follow from it."""
    for slip in slips if _comparable(evidence, k) else ():
        follows = evidence.follows_from(k, slip)
        if follows is not None:
            for mistake in catalogue.of_numbers(evidence, k, follows):
                two = (
                    f"two mistakes: {slip.sentence}; and what follows from that {mistake.sentence}"
                )
                yield mistake._replace(
                    kind=f"{slip.kind} + {mistake.kind}", sentence=two, slip=slip
                )


def _in_pairs(evidence: Evidence, k: int, pairs: Iterator[tuple[Slip, Slip]]) -> Iterator[Mistake]:
    """Two slips in two of the recorded equations."""
    for first, second in pairs if _comparable(evidence, k) else ():
        if first.sweep or second.sweep:
            continue
        if {b.tensor for b in first.bends} & {b.tensor for b in second.bends}:
            continue
        follows = evidence.follows_from(k, first._replace(bends=first.bends + second.bends))
        if follows is not None:
            sentence = f"two mistakes: {first.sentence}; and {second.sentence}"
            yield Mistake(f"{first.kind} + {second.kind}", sentence, evidence.given[k], follows)


def _is_by_logarithm(evidence: Evidence, k: int) -> bool:
    x = to_host(evidence.subject.arrays[k])
    return bool(np.all(x > 0)) and evidence.fits(k, evidence.given[k], evidence.right[k] * x)


def _few(evidence: Evidence) -> list[Slip]:
    """The slips that are tried together with another mistake; none if there are too many.

    There are none after the time limit, either: to make them takes time.
    """
    if evidence.is_over():
        return []
    local = [*itertools.islice((slip for slip in evidence.slips if slip.local), MANY_SLIPS + 1)]
    return local if len(local) <= MANY_SLIPS else []


def _comparable(evidence: Evidence, k: int) -> bool:
    return evidence.given[k].shape == evidence.right[k].shape and not evidence.loose
