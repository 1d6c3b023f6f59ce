"""Settings of a training: one typed record for each model.

A field of a record says what its setting may be. From the fields come the options of the command
line, their help and defaults, the check of what was typed, the reading of ``config.json`` and what
``--resume`` compares. A record that exists is valid: what is wrong with a setting is said when the
record is made, by the name of its option, before data are loaded or a folder is begun.
"""

from __future__ import annotations

import argparse
import dataclasses
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from .schedule import NAMES, schedule_of

R = TypeVar("R", bound="Record")


@dataclass(frozen=True)
class Kind:
    """What a setting may be; ``none`` is the word for ``None``, of one that may be left open.

    The ``help`` of an option ends with its default, or is ``complete`` without.
    """

    help: str
    none: str = ""
    complete: bool = False
    form: ClassVar[Mapping[str, Any]] = {"metavar": "NAME"}
    """How the option is given and shown, as ``add_argument`` takes it."""

    def parse(self, word: Any) -> Any:
        """The value that a word of the command line stands for; ``ValueError`` if for none."""
        return None if self.none and word == self.none else self.read(word)

    def read(self, word: Any) -> Any:
        """The value of a word that is not ``none``."""
        return word

    def takes(self, value: Any) -> bool:
        """Whether the setting may have this value."""
        raise NotImplementedError

    def expected(self, value: Any) -> str:
        """What was expected in place of ``value``."""
        raise NotImplementedError

    def checked(self, name: str, value: Any) -> Any:
        """The value, if it may be had; ``ValueError`` otherwise."""
        if value is None and self.none:
            return None
        if not self.takes(value):
            open_too = f", or {self.none}" if self.none else ""
            raise ValueError(
                f"{name} is {self.expected(value)}{open_too}, got {reprlib.repr(value)}"
            )
        return value

    def option(self, parser: argparse.ArgumentParser, name: str, default: str) -> None:
        """Add the option ``name`` to the parser."""
        parser.add_argument(name, help=f"{self.help}{default}", **self.form)

    def said(self, value: Any) -> str:
        """The value, as the command line takes it."""
        return self.none if value is None else f"{value}"


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number from ``least`` to ``most``, a multiple of ``step``."""

    least: int = 1
    most: int = 100_000
    step: int = 1
    form: ClassVar[Mapping[str, Any]] = {"metavar": "N"}

    def read(self, word: str) -> Any:
        """Digits, with a sign or without."""
        return int(word)

    def takes(self, value: Any) -> bool:
        """No fractions, and no truth values, which JSON and Python tell from numbers."""
        return self._lies_between(value) and value % self.step == 0

    def expected(self, value: Any) -> str:
        """A multiple where only that is amiss, else the range too."""
        what = "a whole number" if self.step == 1 else f"a multiple of {self.step}"
        return what if self._lies_between(value) else f"{what} from {self.least} to {self.most}"

    def _lies_between(self, value: Any) -> bool:
        return type(value) is int and self.least <= value <= self.most


@dataclass(frozen=True)
class Real(Kind):
    """A number from ``least`` to ``most``; ``above`` and ``below`` leave out these ends."""

    least: float = 0.0
    most: float = 1e6
    above: bool = False
    below: bool = False
    form: ClassVar[Mapping[str, Any]] = {"metavar": "X"}

    def read(self, word: str) -> Any:
        """Digits, a point, an exponent; what is not finite is refused with what is too large."""
        return float(word)

    def takes(self, value: Any) -> bool:
        """Whole numbers too; NaN compares with nothing."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        left_out = (self.least,) * self.above + (self.most,) * self.below
        return is_number and self.least <= value <= self.most and value not in left_out

    def expected(self, value: Any) -> str:
        """The range."""
        low = f"{'above' if self.above else 'from'} {self.least:g}"
        return f"a number {low} {'to below' if self.below else 'to'} {self.most:.15g}"

    def checked(self, name: str, value: Any) -> Any:
        """As a floating number, so that 1 and 1.0 are one setting."""
        value = super().checked(name, value)
        return value if value is None else float(value)

    def said(self, value: Any) -> str:
        """In as few digits as say it."""
        return self.none if value is None else f"{value:g}"


@dataclass(frozen=True)
class Choice(Kind):
    """One of some names."""

    names: Sequence[str] = ()

    def option(self, parser: argparse.ArgumentParser, name: str, default: str) -> None:
        """The names stand in the place of the word."""
        names = f"{{{','.join(self.names)}}}"
        parser.add_argument(name, help=f"{self.help}{default}", metavar=names)

    def takes(self, value: Any) -> bool:
        """A name, letter for letter."""
        return isinstance(value, str) and value in self.names

    def expected(self, value: Any) -> str:
        """The names."""
        return f"one of {', '.join(self.names)}"


@dataclass(frozen=True)
class Wholes(Whole):
    """Whole numbers, as many as are given."""

    form: ClassVar[Mapping[str, Any]] = {"metavar": "N", "nargs": "*"}

    def read(self, word: Any) -> Any:
        """A number for each word."""
        return tuple(int(each) for each in word)

    def takes(self, value: Any) -> bool:
        """A list, as JSON has it, or a tuple."""
        return isinstance(value, (list, tuple)) and all(map(super().takes, value))

    def expected(self, value: Any) -> str:
        """The range of each."""
        return f"whole numbers from {self.least} to {self.most}"

    def checked(self, name: str, value: Any) -> tuple[int, ...]:
        """As a tuple."""
        return tuple(super().checked(name, value))

    def said(self, value: Any) -> str:
        """The numbers, as the command line takes them."""
        return " ".join(map(str, value)) or "none"


@dataclass(frozen=True)
class Flag(Kind):
    """Yes, or with ``--no-`` no."""

    form: ClassVar[Mapping[str, Any]] = {"action": argparse.BooleanOptionalAction}

    def takes(self, value: Any) -> bool:
        """A truth value."""
        return isinstance(value, bool)

    def expected(self, value: Any) -> str:
        """A truth value, as JSON writes it."""
        return "true or false"

    def said(self, value: Any) -> str:
        """Yes or no."""
        return "yes" if value else "no"


@dataclass(frozen=True)
class Name(Kind):
    """Any text that is not empty."""

    def takes(self, value: Any) -> bool:
        """At least one character."""
        return isinstance(value, str) and value != ""

    def expected(self, value: Any) -> str:
        """What a file or a data set has."""
        return "a name"


@dataclass(frozen=True)
class Schedule(Kind):
    """A schedule of the learning rate by name, as ``recipes.schedule`` reads it."""

    form: ClassVar[Mapping[str, Any]] = {"metavar": "NAME[:NUMBERS]"}

    def checked(self, name: str, value: Any) -> str:
        """The text, if it stands for a schedule."""
        if not isinstance(value, str):
            raise ValueError(f"{name} is one of {', '.join(NAMES)}, got {reprlib.repr(value)}")
        try:
            schedule_of(value, epochs=1)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
        return value


def setting(kind: Kind, **default: Any) -> Any:
    """A field of a record, of which the kind is known."""
    return field(metadata={"kind": kind}, **default)


def option(name: str) -> str:
    """How the command line calls a setting."""
    return f"--{name.replace('_', '-')}"


SEED = Whole("of all that is random", least=0, most=2**64 - 1)
DEVICE = Choice("where to compute", names=("cpu", "cuda"))


@dataclass(frozen=True, kw_only=True)
class Record:
    """Settings that are all valid; ``ValueError`` where one may not have the value that it got."""

    def __post_init__(self) -> None:
        for name, kind in self.kinds().items():
            object.__setattr__(self, name, kind.checked(option(name), getattr(self, name)))

    @classmethod
    def kinds(cls) -> dict[str, Kind]:
        """What each setting may be, by name."""
        return {each.name: each.metadata["kind"] for each in dataclasses.fields(cls)}

    @classmethod
    def parsed(cls, words: Mapping[str, Any]) -> dict[str, Any]:
        """The settings among the words of a command line, as values, which may still be refused."""
        given = {}
        for name, kind in cls.kinds().items():
            if name in words:
                try:
                    given[name] = kind.parse(words[name])
                except ValueError:
                    given[name] = kind.checked(option(name), words[name])
        return given

    @classmethod
    def from_json(cls: type[R], values: Mapping[str, Any]) -> R:
        """The record that was written as such values: all of them, and no others."""
        kinds = cls.kinds()
        wrong = [f"it lacks {name}" for name in sorted(kinds.keys() - values.keys())]
        wrong += [f"{reprlib.repr(n)} is unknown" for n in sorted(values.keys() - kinds.keys())]
        if wrong:
            raise ValueError("; ".join(wrong[:4]))
        return cls(**{name: kind.checked(name, values[name]) for name, kind in kinds.items()})

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser, defaults: Mapping[str, Record]) -> None:
        """An option for each setting; its help says the default of each record that has a name."""
        for name, kind in cls.kinds().items():
            said = {key: kind.said(getattr(record, name)) for key, record in defaults.items()}
            default = next(iter(said.values()))
            if len({*said.values()}) > 1:
                default = ", ".join(f"{key}: {value}" for key, value in said.items())
            kind.option(parser, option(name), "" if kind.complete else f" (default {default})")


@dataclass(frozen=True, kw_only=True)
class Settings(Record):
    """What every training is asked."""

    preset: str | None = setting(
        Choice("the notes' own settings", names=("lecture",), none="none", complete=True),
        default=None,
    )
    data: str = setting(
        Name(
            "digits (default), mnist (default of --preset lecture), points of the plane (ring, "
            "moons, swirl, laplace), or a file .npy or .npz",
            complete=True,
        ),
        default="digits",
    )
    seed: int = setting(SEED, default=0)
    device: str = setting(DEVICE, default="cpu")
    epochs: int = setting(Whole("in all, those before --resume included", least=0, most=1_000_000))
    batch_size: int | None = setting(Whole("samples to a step", most=10**9, none="all"))
    lr: float = setting(Real("learning rate", above=True))
    schedule: str = setting(
        Schedule(
            "what the learning rate is multiplied by: constant, cosine (from 1 to 0 over the "
            "epochs that are asked for), cosine:EPOCHS, step:EPOCHS,FACTOR, exponential:FACTOR, "
            "inverse-time:EPOCHS, warm-up:EPOCHS; a run that goes on with more epochs takes the "
            "cosine of the longer run from there on, whose rate is higher"
        ),
        default="constant",
    )

    @classmethod
    def from_first_format(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values of a ``config.json`` without a format, under the names of today."""
        return {"schedule": "constant", **values}

    @classmethod
    def following(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those defaults that depend on what is given."""
        return {}

    def rate(self, done: int) -> float:
        """The learning rate of the next epoch, once ``done`` are done."""
        return self.lr * schedule_of(self.schedule, self.epochs)(done)

    def check_rates(self, done: int = 0) -> None:
        """Raise ``ValueError`` if an epoch after the first ``done`` has a learning rate of 0."""
        factor = schedule_of(self.schedule, self.epochs)
        still = next((k for k in range(done, self.epochs) if not self.lr * factor(k)), None)
        if still is not None:
            raise ValueError(
                f"--schedule {self.schedule} leaves a learning rate of 0 from epoch {still + 1} "
                f"on, of --epochs {self.epochs}: take --epochs of at most {still}, or another "
                "schedule; cosine without a number spans the epochs that are asked for"
            )


@dataclass(frozen=True, kw_only=True)
class GenerativeSettings(Settings):
    """What every training of a generative model is asked."""

    every: int | None = setting(
        Whole(
            "keep samples of the first epoch and of every N-th, for epochs.png",
            most=1_000_000,
            none="few",
        ),
        default=None,
    )

    @classmethod
    def from_first_format(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The samples of few epochs were kept."""
        return {"every": None, **super().from_first_format(values)}

    def shows(self, epoch: int) -> bool:
        """Whether samples of this epoch are kept."""
        return epoch in SHOWN if self.every is None else epoch == 1 or epoch % self.every == 0


SHOWN = frozenset({1, 2, 4, 10, 50, 100, 200, 400, 1000})
"""The epochs of which samples are kept if nothing else is asked: few, as most change little."""


def decay_as_schedule(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values in which ``decay``, ``none`` or ``cosine``, is the schedule."""
    rest = {name: value for name, value in values.items() if name != "decay"}
    if "decay" not in values:
        return rest
    return {**rest, "schedule": "constant" if values["decay"] == "none" else values["decay"]}


def add_decay(parser: argparse.ArgumentParser) -> None:
    """The option ``--decay none`` or ``cosine``, the former name of a schedule."""
    parser.add_argument(
        "--decay",
        dest="schedule",
        type=lambda word: "constant" if word == "none" else word,
        help=argparse.SUPPRESS,
    )
