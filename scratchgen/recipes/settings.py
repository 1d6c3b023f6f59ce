"""Settings of a training: one typed record for each model.

A field of a record describes the valid values of its setting. The fields determine the options of
the command line, their help and defaults, the check of what was typed, the format of
``config.json``, and the comparison for ``--resume``. Every record is valid: an invalid setting
raises an error that names its option when the record is made, before data are loaded or a folder is
created.
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
    """The valid values of a setting; ``none`` is the word for ``None``, if that is allowed.

    The ``help`` of an option ends with its default, unless it is already ``complete``.
    """

    help: str
    none: str = ""
    complete: bool = False
    form: ClassVar[Mapping[str, Any]] = {"metavar": "NAME"}
    """How the option is given and shown, as arguments of ``add_argument``."""

    def parse(self, word: Any) -> Any:
        """Return the value of a word of the command line; ``ValueError`` if it has none."""
        return None if self.none and word == self.none else self.read(word)

    def read(self, word: Any) -> Any:
        """Return the value of a word other than ``none``."""
        return word

    def takes(self, value: Any) -> bool:
        """Whether the setting may have this value."""
        raise NotImplementedError

    def expected(self, value: Any) -> str:
        """Describe the values that are valid in place of ``value``."""
        raise NotImplementedError

    def checked(self, name: str, value: Any) -> Any:
        """Return the value if it is valid; raise ``ValueError`` otherwise."""
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
        """Return the value as it is written on the command line."""
        return self.none if value is None else f"{value}"

    def words(self, name: str, value: Any) -> list[str]:
        """Return the words of a command line that give the setting ``name`` this value."""
        return [option(name), self.none if value is None else f"{value}"]


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number from ``least`` to ``most``, a multiple of ``step``."""

    least: int = 1
    most: int = 100_000
    step: int = 1
    form: ClassVar[Mapping[str, Any]] = {"metavar": "N"}

    def read(self, word: str) -> Any:
        """Read digits, with or without a sign."""
        return int(word)

    def takes(self, value: Any) -> bool:
        """Exclude fractions and truth values, which JSON and Python distinguish from numbers."""
        return self._lies_between(value) and value % self.step == 0

    def expected(self, value: Any) -> str:
        """Name the multiple, and the range unless the value lies in it."""
        what = "a whole number" if self.step == 1 else f"a multiple of {self.step}"
        return what if self._lies_between(value) else f"{what} from {self.least} to {self.most}"

    def _lies_between(self, value: Any) -> bool:
        return type(value) is int and self.least <= value <= self.most


@dataclass(frozen=True)
class Real(Kind):
    """A number from ``least`` to ``most``; ``above`` and ``below`` exclude these ends."""

    least: float = 0.0
    most: float = 1e6
    above: bool = False
    below: bool = False
    form: ClassVar[Mapping[str, Any]] = {"metavar": "X"}

    def read(self, word: str) -> Any:
        """Read digits, a point, an exponent; infinity and NaN are refused as out of range."""
        return float(word)

    def takes(self, value: Any) -> bool:
        """Accept whole numbers too; NaN fails every comparison."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        left_out = (self.least,) * self.above + (self.most,) * self.below
        return is_number and self.least <= value <= self.most and value not in left_out

    def expected(self, value: Any) -> str:
        """Name the range."""
        low = f"{'above' if self.above else 'from'} {self.least:g}"
        return f"a number {low} {'to below' if self.below else 'to'} {self.most:.15g}"

    def checked(self, name: str, value: Any) -> Any:
        """Return a floating-point number, so that 1 and 1.0 are the same setting."""
        value = super().checked(name, value)
        return value if value is None else float(value)

    def said(self, value: Any) -> str:
        """Format with as few digits as possible."""
        return self.none if value is None else f"{value:g}"


@dataclass(frozen=True)
class Choice(Kind):
    """One of several names."""

    names: Sequence[str] = ()

    def option(self, parser: argparse.ArgumentParser, name: str, default: str) -> None:
        """Add an option whose placeholder lists the names."""
        names = f"{{{','.join(self.names)}}}"
        parser.add_argument(name, help=f"{self.help}{default}", metavar=names)

    def takes(self, value: Any) -> bool:
        """Accept a name only if it is spelled exactly."""
        return isinstance(value, str) and value in self.names

    def expected(self, value: Any) -> str:
        """List the names."""
        return f"one of {', '.join(self.names)}"


@dataclass(frozen=True)
class Wholes(Whole):
    """Any number of whole numbers."""

    form: ClassVar[Mapping[str, Any]] = {"metavar": "N", "nargs": "*"}

    def read(self, word: Any) -> Any:
        """Read one number for each word."""
        return tuple(int(each) for each in word)

    def takes(self, value: Any) -> bool:
        """Accept a list, as JSON has it, or a tuple."""
        return isinstance(value, (list, tuple)) and all(map(super().takes, value))

    def expected(self, value: Any) -> str:
        """Name the range of each number."""
        return f"whole numbers from {self.least} to {self.most}"

    def checked(self, name: str, value: Any) -> tuple[int, ...]:
        """Return a tuple."""
        return tuple(super().checked(name, value))

    def said(self, value: Any) -> str:
        """Return the numbers as they are written on the command line."""
        return " ".join(map(str, value)) or "none"

    def words(self, name: str, value: Any) -> list[str]:
        """Return the option, and a word for each number."""
        return [option(name), *map(str, value)]


@dataclass(frozen=True)
class Names(Kind):
    """Any number of names; the option is repeated for each."""

    form: ClassVar[Mapping[str, Any]] = {"metavar": "NAME", "action": "append"}

    def takes(self, value: Any) -> bool:
        """Accept names that are not empty."""
        return isinstance(value, (list, tuple)) and all(isinstance(x, str) and x for x in value)

    def expected(self, value: Any) -> str:
        """Say that names are expected."""
        return "a name"

    def checked(self, name: str, value: Any) -> tuple[str, ...]:
        """Return a tuple."""
        return tuple(super().checked(name, value))


@dataclass(frozen=True)
class Flag(Kind):
    """True, or with ``--no-`` false."""

    form: ClassVar[Mapping[str, Any]] = {"action": argparse.BooleanOptionalAction}

    def takes(self, value: Any) -> bool:
        """Accept truth values only."""
        return isinstance(value, bool)

    def expected(self, value: Any) -> str:
        """Name the truth values as JSON writes them."""
        return "true or false"

    def said(self, value: Any) -> str:
        """Say yes or no."""
        return "yes" if value else "no"

    def words(self, name: str, value: Any) -> list[str]:
        """Return the option that says yes, or the one that says no."""
        return [option(name) if value else option(f"no_{name}")]


@dataclass(frozen=True)
class Name(Kind):
    """Any text that is not empty."""

    def takes(self, value: Any) -> bool:
        """Require at least one character."""
        return isinstance(value, str) and value != ""

    def expected(self, value: Any) -> str:
        """Say that a name is expected."""
        return "a name"


@dataclass(frozen=True)
class Schedule(Kind):
    """A learning-rate schedule by name, as ``recipes.schedule`` reads it."""

    form: ClassVar[Mapping[str, Any]] = {"metavar": "NAME[:NUMBERS]"}

    def checked(self, name: str, value: Any) -> str:
        """Return the text if it describes a schedule."""
        if not isinstance(value, str):
            raise ValueError(f"{name} is one of {', '.join(NAMES)}, got {reprlib.repr(value)}")
        try:
            schedule_of(value, epochs=1)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
        return value


def setting(kind: Kind, **default: Any) -> Any:
    """Make a field of a record with the kind of its setting."""
    return field(metadata={"kind": kind}, **default)


def added(kind: Kind, *, default: Any) -> Any:
    """Make a field that runs of an earlier format lack; these runs have its default."""
    return field(metadata={"kind": kind, "added": True}, default=default)


def option(name: str) -> str:
    """Return the name of a setting on the command line."""
    return f"--{name.replace('_', '-')}"


SEED = Whole("seed of all random numbers", least=0, most=2**64 - 1)
DEVICE = Choice("the device that computes", names=("cpu", "cuda"))


@dataclass(frozen=True, kw_only=True)
class Record:
    """Settings that are all valid; ``ValueError`` for an invalid value."""

    def __post_init__(self) -> None:
        for name, kind in self.kinds().items():
            object.__setattr__(self, name, kind.checked(option(name), getattr(self, name)))

    @classmethod
    def kinds(cls) -> dict[str, Kind]:
        """The kind of each setting, by name."""
        return {each.name: each.metadata["kind"] for each in dataclasses.fields(cls)}

    @classmethod
    def parsed(cls, words: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings among the words of a command line, as values not yet checked."""
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
        """Return the record with these values; ``ValueError`` unless every setting has a value."""
        kinds = cls.kinds()
        wrong = [f"it lacks {name}" for name in sorted(kinds.keys() - values.keys())]
        wrong += [f"{reprlib.repr(n)} is unknown" for n in sorted(values.keys() - kinds.keys())]
        if wrong:
            raise ValueError("; ".join(wrong[:4]))
        return cls(**{name: kind.checked(name, values[name]) for name, kind in kinds.items()})

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser, defaults: Mapping[str, Record]) -> None:
        """Add an option for each setting; its help gives the default in each named record."""
        for name, kind in cls.kinds().items():
            said = {key: kind.said(getattr(record, name)) for key, record in defaults.items()}
            default = next(iter(said.values()))
            if len({*said.values()}) > 1:
                default = ", ".join(f"{key}: {value}" for key, value in said.items())
            kind.option(parser, option(name), "" if kind.complete else f" (default {default})")


@dataclass(frozen=True, kw_only=True)
class Settings(Record):
    """The settings of every training."""

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
    epochs: int = setting(
        Whole("number of epochs in all, including epochs before --resume", least=0, most=1_000_000)
    )
    batch_size: int | None = setting(Whole("samples per step", most=10**9, none="all"))
    lr: float = setting(Real("learning rate", above=True))
    schedule: str = setting(
        Schedule(
            "the factor of the learning rate: constant, cosine (from 1 to 0 over --epochs), "
            "cosine:EPOCHS, step:EPOCHS,FACTOR, exponential:FACTOR, inverse-time:EPOCHS, "
            "warm-up:EPOCHS; a run that is resumed with more epochs continues on the cosine of "
            "the longer run, whose rate is higher"
        ),
        default="constant",
    )
    clip_norm: float | None = added(
        Real(
            "the gradient's greatest norm, to which a longer one is shortened",
            above=True,
            none="none",
        ),
        default=None,
    )

    @classmethod
    def from_first_format(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Rename the values of a ``config.json`` without a format to the current names."""
        return cls.from_earlier_format({"schedule": "constant", **values})

    @classmethod
    def from_earlier_format(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Complete the values of a ``config.json`` of format 2 or 3 by the settings it lacks."""
        later = {f.name: f.default for f in dataclasses.fields(cls) if "added" in f.metadata}
        return {**later, **values}

    @classmethod
    def following(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the defaults that depend on given settings, as a rate depends on the optimizer."""
        return {}

    def rate(self, done: int) -> float:
        """Return the learning rate of the next epoch, after ``done`` epochs."""
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
    """The settings of every training of a generative model."""

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
        """Set ``every`` to None: the first format kept samples of a few epochs."""
        return {"every": None, **super().from_first_format(values)}

    def shows(self, epoch: int) -> bool:
        """Whether samples of this epoch are kept."""
        return epoch in SHOWN if self.every is None else epoch == 1 or epoch % self.every == 0


@dataclass(frozen=True, kw_only=True)
class AveragedSettings(GenerativeSettings):
    """The settings of a training that keeps a moving average of the weights."""

    ema: float = setting(
        Real("the share of the averaged weights that is kept at each step", most=1, below=True)
    )


SHOWN = frozenset({1, 2, 4, 10, 50, 100, 200, 400, 1000})
"""The epochs whose samples are kept by default: few of them, as most epochs change little."""


def decay_as_schedule(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace ``decay``, which is ``none`` or ``cosine``, by the schedule."""
    rest = {name: value for name, value in values.items() if name != "decay"}
    if "decay" not in values:
        return rest
    return {**rest, "schedule": "constant" if values["decay"] == "none" else values["decay"]}


def add_decay(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--decay none`` or ``--decay cosine``, the former name of a schedule."""
    parser.add_argument(
        "--decay",
        dest="schedule",
        type=lambda word: "constant" if word == "none" else word,
        help=argparse.SUPPRESS,
    )
