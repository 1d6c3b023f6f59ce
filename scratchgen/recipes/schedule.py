"""Learning-rate schedules by name, as in ``cosine`` or ``step:10,0.5``.

A cosine without a number spans all epochs of the training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from ..optim import schedules

_NAMED: Final[dict[str, tuple[Callable[..., schedules.Schedule], int, int, str]]] = {
    "constant": (schedules.Constant, 0, 0, "constant"),
    "cosine": (schedules.Cosine, 0, 2, "cosine, cosine:EPOCHS or cosine:EPOCHS,LOWEST"),
    "step": (schedules.Step, 1, 2, "step:EPOCHS or step:EPOCHS,FACTOR, as in step:10,0.5"),
    "exponential": (schedules.Exponential, 1, 1, "exponential:FACTOR, as in exponential:0.95"),
    "inverse-time": (schedules.InverseTime, 1, 1, "inverse-time:EPOCHS, as in inverse-time:10"),
    "warm-up": (schedules.WarmUp, 1, 1, "warm-up:EPOCHS, as in warm-up:5"),
}
"""Each schedule, with the least and the greatest number of its arguments, and its spelling."""

NAMES: Final = tuple(_NAMED)


def schedule_of(text: str, epochs: int) -> schedules.Schedule:
    """Return the schedule for the text ``name:number,number``, in a training of ``epochs`` epochs.

    Raises ``ValueError``, with the expected form, for any other text.
    """
    name, _, rest = text.partition(":")
    if name not in _NAMED:
        raise ValueError(f"is one of {', '.join(NAMES)}, got {text!r}")
    schedule, fewest, most, form = _NAMED[name]
    words = rest.split(",") if rest else []
    try:
        numbers: list[Any] = [float(word) for word in words]
        if not fewest <= len(numbers) <= most or not all(map(math.isfinite, numbers)):
            raise ValueError(f"it takes {fewest} to {most} finite numbers")
        if name == "cosine" and not numbers:
            numbers = [max(epochs, 1)]
        return schedule(*numbers)
    except ValueError as error:
        raise ValueError(f"is written as {form}, got {text!r}: {error}") from None


def spans_the_training(text: str) -> bool:
    """Whether a schedule has no number of its own, and depends on the number of epochs."""
    return text == "cosine"
