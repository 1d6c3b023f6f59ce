"""Which mistake explains the numbers: the catalogue, tried in order, from plain to involved.

A finding fits in every entry that is known, and would not fit the right derivative; where nothing
in the catalogue does, that is said, and nothing is guessed.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from . import catalogue
from .evidence import Evidence, Mistake

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
        for k in sorted(evidence.wrong):
            if k not in findings:
                found = _best(evidence, k, ways(evidence, k), until)
                if found is not None:
                    findings[k] = Finding(found.sentence, found.kind.split(" + "))
                    slip = found.bend or found.half
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
            if mistake.bend is None or evidence.explains_all(mistake.bend):
                return mistake
            first = first or mistake
    return first


def _alone(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """One mistake."""
    finite = np.isfinite(evidence.given[k])
    if not finite.all():
        what = f"{finite.size - finite.sum():,} of its {finite.size:,} entries are not finite"
        yield Mistake("not finite", what, np.zeros(1), np.zeros(1))
    if evidence.given[k].shape != evidence.right[k].shape:
        yield from catalogue.of_shape(evidence, k)
        return
    yield from catalogue.of_numbers(evidence, k)
    yield from catalogue.of_experiments(evidence, k)
    yield from _recorded(evidence, k)
    yield from catalogue.of_residuals(evidence, k)


def _recorded(evidence: Evidence, k: int) -> Iterator[Mistake]:
    recording, given = evidence.recording, evidence.given[k]
    if recording is None:
        return
    for bend in evidence.bends:
        follows = recording.gradient(k, bend)
        same = Mistake("", "", evidence.right[k], np.zeros(1) if follows is None else follows)
        if follows is not None and not evidence.fits(k, same):
            yield Mistake(bend.kind, bend.sentence, given, follows, bend=bend)
    other = recording.other_mask({k: given})
    if other is not None:
        yield Mistake(*other, given, given)


def _with_factor(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A mistake and a factor beside it."""
    if evidence.loose:
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
                half=mistake.bend,
            )


def _on_top(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """A slip in the recorded equations, and what shows in the numbers that follow from it."""
    recording = evidence.recording
    if recording is None or evidence.given[k].shape != evidence.right[k].shape or evidence.loose:
        return
    local = [bend for bend in evidence.bends if bend.local]
    for bend in [*evidence.found, *(local if len(local) <= MANY_SLIPS else ())]:
        follows = recording.gradient(k, bend)
        if follows is not None:
            then = copy.copy(evidence)
            then.right = {**evidence.right, k: follows}
            for mistake in catalogue.of_numbers(then, k):
                yield mistake._replace(
                    kind=f"{bend.kind} + {mistake.kind}",
                    sentence=f"two mistakes: {bend.sentence}; and what follows from that "
                    f"{mistake.sentence}",
                    half=bend,
                )


def _in_pairs(evidence: Evidence, k: int) -> Iterator[Mistake]:
    """Two slips in two of the recorded equations."""
    recording, given = evidence.recording, evidence.given[k]
    if recording is None or given.shape != evidence.right[k].shape or evidence.loose:
        return
    local = [bend for bend in evidence.bends if bend.local]
    tried = itertools.chain(
        itertools.product(evidence.found, evidence.bends),
        itertools.combinations(local, 2) if len(local) <= MANY_SLIPS else (),
    )
    for first, second in tried:
        if first.tensor is second.tensor:
            continue
        follows = recording.gradient(k, first, second)
        if follows is not None:
            yield Mistake(
                f"{first.kind} + {second.kind}",
                f"two mistakes: {first.sentence}; and {second.sentence}",
                given,
                follows,
            )
