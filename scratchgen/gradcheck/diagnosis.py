"""Which mistake explains the numbers: the catalogue and the slips, tried from plain to involved.

A finding fits in every entry that is known, and would not fit the right derivative; where nothing
that is known does, that is said, and nothing is guessed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from . import catalogue
from .evidence import Evidence, Mistake
from .slips import Slip, redrawn_mask

NONE = "none of the known mistakes fits"
MANY_SLIPS = 100
SECONDS = 5  # that the search may compute; how busy the machine is besides does not matter


class Finding(NamedTuple):
    """What is said of one equation, and the kinds of mistake that it names."""

    sentence: str
    kinds: list[str]


def diagnose(evidence: Evidence) -> dict[int, Finding]:
    """For each wrong derivative the mistake, or two of them, or that none is known that fits.

    One mistake is looked for in all of them first: it is likely to be half of two in the others.
    """
    findings = {k: Finding(what, []) for k in evidence.wrong for what in _at_once(evidence, k)}
    until = time.thread_time() + SECONDS
    for ways in (_alone, _with_factor, _on_top, _in_pairs):
        for k in sorted(evidence.wrong - findings.keys()):
            found = _best(evidence, k, ways(evidence, k), until)
            if found is not None:
                findings[k] = Finding(found.sentence, found.kind.split(" + "))
                slip = found.slip or found.half
                evidence.found += [] if slip is None else [slip]
    stopped = f", of those that could be tried in {SECONDS} s" if time.thread_time() > until else ""
    for k in evidence.wrong - findings.keys():
        findings[k] = Finding(evidence.what_is_seen(k) + NONE + stopped, [])
    return findings


def _at_once(evidence: Evidence, k: int) -> Iterator[str]:
    """What needs no search."""
    right, given = evidence.right[k], evidence.given[k]
    if right.size and not right.any() and given.shape == right.shape:
        yield "the cost does not depend on it: the derivative is zero"
    elif evidence.is_right(k):
        yield "the difference is too small for any known mistake: rounding?"


def _best(evidence: Evidence, k: int, mistakes: Iterator[Mistake], until: float) -> Mistake | None:
    """The first that fits; but of slips, one from which the other given derivatives follow too."""
    first = None
    for mistake in mistakes:
        if time.thread_time() > until:
            break
        if evidence.fits(k, mistake):
            if mistake.slip is None or evidence.explains_all(mistake.slip):
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
    """One slip in the recorded equations that makes a difference."""
    recording, given, right = evidence.recording, evidence.given[k], evidence.right[k]
    if recording is None:
        return
    for slip in itertools.chain(evidence.slips, redrawn_mask(recording, k, given)):
        follows = slip.prediction(recording, k)
        if follows is not None and not evidence.fits(k, Mistake("", "", right, follows)):
            yield Mistake(slip.kind, slip.sentence, given, follows, slip=slip)


def _with_factor(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A mistake and a factor beside it."""
    if evidence.loose:  # of numbers so rough, two mistakes explain anything
        return
    for mistake in _alone(evidence, k):
        if mistake.says_factor or mistake.left.shape != mistake.right.shape:
            continue
        for kind, factor, why in catalogue.factors(evidence):
            yield Mistake(
                f"{mistake.kind} + {kind}",
                f"two mistakes: {mistake.sentence}; and {factor:.4g} × that: {why}",
                mistake.left,
                factor * mistake.right,
                half=mistake.slip,
            )


def _on_top(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A slip in the recorded equations, and what shows in the numbers that follow from it."""
    recording = evidence.recording
    if recording is None or not _comparable(evidence, k):
        return
    for slip in [*evidence.found, *_few(evidence)]:
        follows = slip.prediction(recording, k)
        if follows is not None:
            for mistake in catalogue.of_numbers(evidence, k, follows):
                yield mistake._replace(
                    kind=f"{slip.kind} + {mistake.kind}",
                    sentence=f"two mistakes: {slip.sentence}; and what follows from that "
                    f"{mistake.sentence}",
                    half=slip,
                )


def _in_pairs(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """Two slips in two of the recorded equations."""
    recording = evidence.recording
    if recording is None or not _comparable(evidence, k):
        return
    tried = itertools.chain(
        itertools.product(evidence.found, evidence.slips),
        itertools.combinations(_few(evidence), 2),
    )
    for first, second in tried:
        if first.bend.tensor is second.bend.tensor:
            continue
        follows = recording.gradient(k, first.bend, second.bend)
        if follows is not None:
            yield Mistake(
                f"{first.kind} + {second.kind}",
                f"two mistakes: {first.sentence}; and {second.sentence}",
                evidence.given[k],
                follows,
            )


def _few(evidence: Evidence) -> list[Slip]:
    """The slips that are tried together with another mistake; none if they are too many."""
    local = [slip for slip in evidence.slips if slip.local]
    return local if len(local) <= MANY_SLIPS else []


def _comparable(evidence: Evidence, k: int) -> bool:
    return evidence.given[k].shape == evidence.right[k].shape and not evidence.loose
