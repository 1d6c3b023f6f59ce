"""The search for the mistake that explains the numbers, from simple to complex mistakes.

Mistakes come from the catalogue and from the slips. A finding fits in every known entry, and does
not fit the right derivative. If no known mistake fits, the report says so, and nothing is guessed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np

from . import catalogue
from .evidence import Evidence, Mistake
from .slips import Slip, redrawn_mask

NONE = "none of the known mistakes fits"
MANY_SLIPS = 100
SECONDS = 5  # the time limit of the search, counted in the processor time of its thread


def diagnose(evidence: Evidence) -> dict[int, tuple[str, list[str]]]:
    """For each wrong derivative, find the mistake, or two mistakes, or say that none fits.

    The result is a sentence, and the kinds of mistake in it. A single mistake is searched for in
    all derivatives first, since it is likely to be part of two in the others.
    """
    at_once = ((k, what) for k in evidence.wrong for what in _at_once(evidence, k))
    findings: dict[int, tuple[str, list[str]]] = {k: (what, []) for k, what in at_once}
    until = time.thread_time() + SECONDS
    for ways in (_alone, _with_factor, _on_top, _in_pairs):
        for k in sorted(evidence.wrong - findings.keys()):
            found = _best(evidence, k, ways(evidence, k), until)
            if found is not None:
                findings[k] = found.sentence, found.kind.split(" + ")
                evidence.found += [] if found.slip is None else [found.slip]
    stopped = f", of those that could be tried in {SECONDS} s" if time.thread_time() > until else ""
    for k in evidence.wrong - findings.keys():
        findings[k] = evidence.what_is_seen(k) + NONE + stopped, []
    return findings


def _at_once(evidence: Evidence, k: int) -> Iterator[str]:
    """The findings that need no search."""
    right, given = evidence.right[k], evidence.given[k]
    if right.size and not right.any() and given.shape == right.shape:
        yield "the cost does not depend on it: the derivative is zero"
    elif evidence.fits(k, given, right):
        yield "the difference is too small for any known mistake"


def _best(evidence: Evidence, k: int, mistakes: Iterator[Mistake], until: float) -> Mistake | None:
    """The first mistake that fits; for slips, preferably one that explains all derivatives."""
    first = None
    for mistake in mistakes:
        if time.thread_time() > until:
            break
        if evidence.fits(k, mistake.left, mistake.right):
            slip = mistake.slip
            if slip is None or mistake.kind != slip.kind or evidence.explains_all(slip):
                return mistake
            first = first or mistake
    return first


def _alone(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """One mistake."""
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
    yield from _slipped(evidence, k)
    yield from catalogue.of_residuals(evidence, k)


def _slipped(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """One slip in the recorded equations, if it changes the derivative."""
    given, right = evidence.given[k], evidence.right[k]
    redrawn = redrawn_mask(evidence.recording, k, given) if evidence.recording else ()
    for slip in itertools.chain(evidence.slips, redrawn):
        follows = evidence.follows_from(k, slip.bend)
        if follows is not None and not evidence.fits(k, right, follows):
            yield Mistake(slip.kind, slip.sentence, given, follows, slip=slip)


def _with_factor(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A mistake together with a factor."""
    if evidence.loose:  # two mistakes can explain anything in such inexact numbers
        return
    for mistake in _alone(evidence, k):
        if mistake.says_factor or mistake.left.shape != mistake.right.shape:
            continue
        for kind, factor, why in catalogue.factors(evidence):
            two = f"two mistakes: {mistake.sentence}; and {factor:.4g} × that: {why}"
            kinds, right = f"{mistake.kind} + {kind}", factor * mistake.right
            yield mistake._replace(kind=kinds, sentence=two, right=right)


def _on_top(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A slip in the recorded equations, and a mistake in the numbers that follow from it."""
    for slip in [*evidence.found, *_few(evidence)] if _comparable(evidence, k) else ():
        follows = evidence.follows_from(k, slip.bend)
        if follows is not None:
            for mistake in catalogue.of_numbers(evidence, k, follows):
                two = (
                    f"two mistakes: {slip.sentence}; and what follows from that {mistake.sentence}"
                )
                yield mistake._replace(
                    kind=f"{slip.kind} + {mistake.kind}", sentence=two, slip=slip
                )


def _in_pairs(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """Two slips in two of the recorded equations."""
    if not _comparable(evidence, k):
        return
    tried = itertools.chain(
        itertools.product(evidence.found, evidence.slips),
        itertools.combinations(_few(evidence), 2),
    )
    for first, second in tried:
        if first.bend.tensor is second.bend.tensor:
            continue
        follows = evidence.follows_from(k, first.bend, second.bend)
        if follows is not None:
            sentence = f"two mistakes: {first.sentence}; and {second.sentence}"
            yield Mistake(f"{first.kind} + {second.kind}", sentence, evidence.given[k], follows)


def _few(evidence: Evidence) -> list[Slip]:
    """The slips that are tried together with another mistake; none if there are too many."""
    local = [slip for slip in evidence.slips if slip.local]
    return local if len(local) <= MANY_SLIPS else []


def _comparable(evidence: Evidence, k: int) -> bool:
    return evidence.given[k].shape == evidence.right[k].shape and not evidence.loose
