"""The axis of the channels of images: first, as in all models here, or last, as image libraries and
cameras give them. A transpose converts one into the other; a reshape scrambles the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

CHANNELS = 4  # at most: grey, grey and alpha, RGB, RGBA
TO_FIRST = ".transpose(0, 3, 1, 2)"


def channels_last(shape: Sequence[int]) -> bool | None:
    """Say whether samples of ``shape`` (a, b, c) are images of a × b with c channels, not b × c.

    An axis of at most four is evidence for channels, and two equal sides are evidence for an image.
    Return None where both readings have equal evidence: (3, 8, 3), (1, 28, 1), (16, 3, 3). Without
    any evidence the channels are first: (16, 32, 48). Shapes without three axes have no channels.
    """
    if len(shape) != 3:
        return False
    a, b, c = shape
    evidence = (c <= CHANNELS) - (a <= CHANNELS) + (a == b > 1) - (b == c > 1)
    if evidence:
        return evidence > 0
    return None if c <= CHANNELS else False


def advice(shape: Sequence[int], name: str = "x") -> str:
    """Return the advice for samples of ``shape`` whose channels are last, else "".

    >>> advice((32, 48, 3))
    '; channels come first: take x.transpose(0, 3, 1, 2)'
    """
    return f"; channels come first: take {name}{TO_FIRST}" if channels_last(shape) else ""


def named(shape: Sequence[int]) -> str:
    """Name n samples of ``shape``, channels first: "RGB images of 32 × 48 pixels"."""
    if len(shape) == 1:
        return f"rows of {shape[0]} numbers"
    if len(shape) > 3:
        return f"samples of shape {tuple(shape)}"
    colours = {1: "grey", 3: "RGB", 4: "RGBA"}
    count = shape[0] if len(shape) == 3 else 1
    kind = f"{colours[count]} images" if count in colours else f"images of {count} channels,"
    return f"{kind} of {shape[-2]} × {shape[-1]} pixels".replace(", of", ",")
