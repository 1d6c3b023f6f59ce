"""A captured step: the NumPy calls of a training step, written down once and made again.

The steps of a training on batches of one shape make the same calls of NumPy. So one step runs on
arrays that write down each call, with a place in memory for its result. The steps that follow make
these calls alone, without a graph, equations to look up, or memory to ask for. They are the same
calls in the same order, so that costs and gradients have the same bits. Optimizers are not
captured: they run as ever, and a learning rate may change at any step.

A Python number stays what it was when the step was written down. A program is therefore used only
while it is known to be right; every other step runs eagerly, by :class:`training.Losses`:

- A step is never captured if it looks at a number (``float(x)``, ``if x > 0``), calls what is not
  in the lists below, or writes to an array that is not its own. Nor is the step of a model with a
  random generator of its own, or of one that sets attributes, as persistent chains are.
- A batch of another size is eager, and so are batches of several parts or on several processes.
- If a parameter or an attribute, such as β, is not the object that it was, the rest of the epoch is
  eager. The next epoch is captured anew.
- The step after a capture, and the first of each epoch, run eagerly beside the program. Where one
  bit of the costs, gradients, report or generator differs, a warning says so, the eager result
  counts, and the training goes on eagerly.
- Only objects of this library are captured, and only with NumPy 2.4 or later, unless ``train`` is
  told otherwise.

On a GPU, a CUDA graph would take the place of :class:`Tape`; its trainings are eager until then.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import pickle
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .autodiff import Tensor, gradient
from .backend import Array, Generator, copy_of, device_of

NAMES = """arange argmax argmin asarray broadcast_arrays broadcast_to clip concatenate copy cumsum
einsum empty_like expand_dims flip full_like max mean min moveaxis ones_like prod ravel reshape
squeeze stack std sum swapaxes take tensordot transpose tril triu var where zeros_like"""
FUNCTIONS = {getattr(np, name) for name in NAMES.split()}
CONSTANT = {np.arange, np.full_like, np.ones_like, np.zeros_like}
METHODS = {"argmax", "argmin", "astype", "clip", "copy", "cumsum", "dot", "mean", "prod", "ravel"}
METHODS |= {"reshape", "squeeze", "std", "swapaxes", "take", "transpose", "var"}
REDUCTIONS = {"sum": np.add.reduce, "max": np.maximum.reduce, "min": np.minimum.reduce}
INTO_PLACE = {"random", "standard_normal"}  # draws that take out=
DRAWS = INTO_PLACE | {"integers", "uniform", "normal"}
LIBRARIES = {"scratchgen", "numpy", "scipy", "builtins"}
FEWEST = 16
"""The fewest batches of an epoch that repay a capture."""
LEAST_NUMPY = "2.4.0"
"""The oldest NumPy whose bits were found to be the same; in 2.0 those of a Gaussian RBM are not."""


class NotCapturableError(RuntimeError):
    """A step does something that cannot be written down as calls of NumPy on its own arrays."""


class CaptureWarning(UserWarning):
    """A step is not captured although that was asked for, or its program is no longer right."""


class Memory:
    """A piece of memory, free for other arrays once no recorded array holds it."""

    def __init__(self, size: int, free: dict[int, list[Array]]) -> None:
        self.free = free.setdefault(size, [])
        self.bytes = self.free.pop() if self.free else np.empty(size, np.uint8)

    def __del__(self) -> None:
        self.free.append(self.bytes)


class Tape:
    """The calls of a step, whose draws come from ``rng``."""

    def __init__(self, rng: Generator) -> None:
        self.rng, self.draws = rng, False
        self.calls: list[Callable[[], object]] = []
        self.free: dict[int, list[Array]] = {}
        self.errors = np.geterr()  # the reaction to an overflow and the like, outside the rules

    def append(self, call: Callable[[], object]) -> None:
        """Write down a call, with the ``np.errstate`` that a rule has set around it."""
        now: dict[str, Any] = {**np.geterr()}
        if now != self.errors:
            call = np.errstate(**now)(call)
        self.calls.append(call)

    def place(self, result: Any) -> Recorded:
        """An array with the content and the layout of ``result``, in memory that stays."""
        if not (result.flags.c_contiguous or result.flags.f_contiguous):
            raise NotCapturableError("an array has neither rows nor columns side by side")
        held = Memory(result.nbytes, self.free)
        order: Any = "C" if result.flags.c_contiguous else "F"
        numbers = held.bytes.view(result.dtype).reshape(result.shape, order=order)
        numbers[...] = result
        return Recorded(numbers, self, held)

    def write(self, f: Callable[..., Any], arguments: Any, settings: Mapping[str, Any]) -> Any:
        """f(*arguments, **settings), computed now, and written down."""
        used = _recorded([*arguments, *settings.values()])
        arguments, settings = _numbers(arguments), {k: _numbers(v) for k, v in settings.items()}
        with np.errstate(all="ignore"):  # the eager step has warned already
            result = f(*arguments, **settings)
        many = isinstance(result, tuple | list)
        views = [self._view(x, used) for x in (result if many else [result])]
        new = [x is None for x in views]
        if any(x.tape is not self for x in used):
            raise NotCapturableError("an array of another step is used")
        if not any(new) and (len(used) == 1 or f is np.broadcast_arrays):
            return views if many else views[0]
        if not all(new) or many or not isinstance(result, np.ndarray | np.generic):
            raise NotCapturableError(f"{f.__name__} gives no new array")
        if f in CONSTANT and len(used) > f.__name__.endswith("_like"):
            raise NotCapturableError(f"{f.__name__} depends on numbers of the step")
        recorded = self.place(result)
        place = recorded.numbers
        if f in CONSTANT:
            self.append(functools.partial(np.copyto, place, np.copy(result)))
        elif f in (np.copy, np.ndarray.copy, np.ndarray.astype):
            self.append(functools.partial(np.copyto, place, arguments[0], casting="unsafe"))
        elif f is not np.empty_like:
            self.append(_into(place, f, arguments, settings))
        return recorded

    def _view(self, result: Any, used: Sequence[Recorded]) -> Recorded | None:
        for x in used:
            if np.may_share_memory(result, x.numbers):
                return Recorded(result, self, x)
        return None


def _into(
    place: Array, f: Callable[..., Any], arguments: Any, settings: Any
) -> Callable[[], object]:
    """A call that puts f(*arguments, **settings) into ``place``, which holds it already."""
    before = place.copy()
    place[...] = 0
    try:
        with np.errstate(all="ignore"):
            f(*arguments, **settings, out=place)
        if same(place, before) and before.any():
            return functools.partial(f, *arguments, **settings, out=place)
    except TypeError:  # f takes no out=
        pass
    place[...] = before
    return lambda: np.copyto(place, f(*arguments, **settings))


class Recorded(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that writes down what is done to it; ``numbers`` are its entries, in their place.

    ``held`` keeps this place: its memory, or the array of which it is a view. An array from outside
    the step, such as a parameter, holds nothing, and is never written to.
    """

    __slots__ = ("__weakref__", "held", "numbers", "tape")
    captured = True

    def __init__(self, numbers: Array, tape: Tape, held: Memory | Recorded | None = None) -> None:
        self.numbers, self.tape, self.held = numbers, tape, held

    shape = property(lambda self: self.numbers.shape)
    dtype = property(lambda self: self.numbers.dtype)
    ndim = property(lambda self: self.numbers.ndim)
    size = property(lambda self: self.numbers.size)
    T = property(lambda self: self.transpose())
    base = property(lambda self: None if isinstance(self.held, Memory) else self)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def _looked_at(self, *_: Any, **__: Any) -> Any:
        raise NotCapturableError("the step looks at a number")

    __bool__ = __float__ = __int__ = __index__ = __array__ = __contains__ = _looked_at
    item = tolist = _looked_at

    def __getattr__(self, name: str) -> Any:
        if name in REDUCTIONS:
            return lambda axis=None, **kw: self.tape.write(REDUCTIONS[name], (self, axis), kw)
        if name in METHODS:
            return lambda *a, **kw: self.tape.write(getattr(np.ndarray, name), (self, *a), kw)
        raise AttributeError(f"a recorded array has no {name}")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        f, out = getattr(ufunc, method), settings.get("out", inputs[:1])[0]
        if method != "at" and "out" not in settings:
            return self.tape.write(f, inputs, settings)
        self._change(out, f, inputs, {**settings, "out": out} if "out" in settings else settings)
        return None if method == "at" else out

    def __array_function__(self, f: Any, kinds: Any, arguments: Any, settings: Any) -> Any:
        if any(issubclass(kind, Tensor) for kind in kinds):
            return NotImplemented
        if f not in FUNCTIONS or "out" in settings:
            raise NotCapturableError(f"np.{f.__name__} is not among the functions to capture")
        return self.tape.write(f, arguments, settings)

    def __getitem__(self, key: Any) -> Any:
        if any(x.dtype == bool for x in _recorded(key)):
            raise NotCapturableError("the size of an array depends on numbers")
        return self.tape.write(operator.getitem, (self, key), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        self._change(self, operator.setitem, (self, key, value), {})

    def _change(self, out: Any, f: Callable[..., Any], arguments: Any, settings: Any) -> None:
        """Write down a call that changes ``out``."""
        owner = out
        while isinstance(owner, Recorded):
            owner = owner.held
        if not isinstance(owner, Memory) or any(
            x.tape is not self.tape for x in _recorded([out, *arguments])
        ):
            raise NotCapturableError("an array from outside the step is changed")
        settings = {k: _numbers(v) for k, v in settings.items()}
        call = functools.partial(f, *_numbers(tuple(arguments)), **settings)
        with np.errstate(all="ignore"):
            call()
        self.tape.append(call)


class RecordedGenerator(np.random.Generator):
    """A generator whose draws are written down: each is drawn anew, into the same place."""

    def __init__(self, tape: Tape) -> None:
        super().__init__(tape.rng.bit_generator)
        object.__setattr__(self, "tape", tape)

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return RecordedGenerator
        if name not in DRAWS:
            raise NotCapturableError(f"rng.{name} is not among the draws to capture")
        tape: Tape = object.__getattribute__(self, "tape")

        def draw(*arguments: Any, **settings: Any) -> Recorded:
            result = getattr(tape.rng, name)(*arguments, **settings)
            if "out" in settings or not isinstance(result, np.ndarray):
                raise NotCapturableError("the step draws a single number, or into an array")
            recorded, tape.draws = tape.place(result), True
            into, place = name in INTO_PLACE, recorded.numbers
            tape.append(
                (lambda: getattr(tape.rng, name)(out=place, dtype=place.dtype))
                if into
                else (lambda: np.copyto(place, getattr(tape.rng, name)(*arguments, **settings)))
            )
            return recorded

        return draw


def _numbers(x: Any) -> Any:
    if isinstance(x, Recorded):
        return x.numbers
    return type(x)(map(_numbers, x)) if type(x) in (tuple, list) else x


def _recorded(x: Any) -> list[Recorded]:
    if isinstance(x, tuple | list):
        return [y for part in x for y in _recorded(part)]
    return [x] if isinstance(x, Recorded) else []


def same(x: Any, y: Any) -> bool:
    """Whether two arrays or numbers have the same dtype, shape and bits."""
    x, y = np.asarray(x), np.asarray(y)
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


class Attributes:
    """The attributes of a model and of all objects within it, as they are now."""

    def __init__(self, model: Any) -> None:
        self.held: list[tuple[Any, Any]] = []  # what holds attributes, and a copy of it
        self.views: list[Any] = []  # on what these hold at any time
        self.kinds: set[Any] = set()
        waiting, seen = [model], {id(model)}
        for x in waiting:
            code = isinstance(x, type | types.FunctionType | types.MethodType)
            self.kinds.add(x if code else type(x))
            inside: Any = x if isinstance(x, tuple | set | frozenset) else ()
            if isinstance(x, np.random.Generator):
                raise NotCapturableError("the model has a random generator of its own")
            if isinstance(x, dict | list) or (hasattr(x, "__dict__") and not code):
                holder = x if isinstance(x, dict | list) else vars(x)
                inside = holder.values() if isinstance(holder, dict) else holder
                self.held.append((holder, holder.copy()))
                self.views.append(inside)
                if isinstance(holder, dict):
                    seen.add(id(holder.get("construction")))  # the settings, which no step reads
            for y in inside:
                if id(y) not in seen:
                    seen.add(id(y))
                    waiting.append(y)
        self.then = [*itertools.chain.from_iterable(self.views)]

    def foreign(self) -> list[str]:
        """The names of the kinds of objects that are not of this library."""
        kinds = [k for k in self.kinds if k.__module__.partition(".")[0] not in LIBRARIES]
        return sorted(k.__qualname__ for k in kinds)

    def unchanged(self) -> bool:
        """Whether each attribute is still the same object."""
        now = [*itertools.chain.from_iterable(self.views)]
        return len(now) == len(self.then) and all(map(operator.is_, now, self.then))

    def restore(self) -> None:
        """Set each attribute to what it was."""
        for now, then in self.held:
            now.clear()
            now.update(then) if isinstance(now, dict) else now.extend(then)


class Program:
    """The calls of a step, part by part: one for each player, ``player``, and one for the report.

    A part is recorded when it runs for the first time, on the batch that the program is made with.
    """

    def __init__(self, model: Any, arrays: Sequence[Array], chosen: Array, rng: Generator) -> None:
        self.arrays, self.inputs = arrays, [x[chosen] for x in arrays]
        self.attributes, self.tape = Attributes(model), Tape(copy_of(rng))
        self.parameters = {p: p.data for player in model.players for p in player}
        self.parts: dict[int | None, list[Callable[[], object]]] = {}
        self.kept: list[list[Recorded]] = []  # the cost and the gradients of each player
        self.values: dict[str, Any] = {}  # of the report
        batch = tuple([Recorded(x, self.tape) for x in self.inputs])
        given = batch[0] if len(batch) == 1 else batch
        self.losses = iter(model.losses(given, RecordedGenerator(self.tape)))

    def fits(self) -> bool:
        """Whether parameters and attributes are the objects that they were."""
        bound = all([p.data is data for p, data in self.parameters.items()])  # noqa: C419
        return bound and self.attributes.unchanged()

    def begin(self, chosen: Array, rng: Generator) -> None:
        """Take another batch, and the generator of its draws."""
        self.tape.rng = rng
        for x, place in zip(self.arrays, self.inputs, strict=True):
            np.take(x, chosen, axis=0, out=place, mode="clip")

    def run(self, player: int | None, parameters: Sequence[Tensor] = ()) -> None:
        """Compute the cost and the gradients of a player; for None, the report."""
        if player not in self.parts:
            with self._recorded_parameters():
                self._record(parameters)
            self.parts[player], self.tape.calls = self.tape.calls, []
        else:
            for call in self.parts[player]:
                call()

    def report(self) -> dict[str, Any]:
        """The report, in arrays that no step uses again."""
        return {name: np.array(value) for name, value in self.values.items()}

    def cost(self, player: int) -> Array:
        """The cost of a player, in an array that no step uses again."""
        return np.array(self.kept[player][0].numbers)

    def gradients(self, player: int) -> list[Array]:
        """The gradients of a player, which the next step overwrites."""
        return [x.numbers for x in self.kept[player][1:]]

    def _record(self, parameters: Sequence[Tensor]) -> None:
        try:
            cost = next(self.losses)
        except StopIteration as end:
            self.values = {name: _numbers(value) for name, value in (end.value or {}).items()}
            return
        arrays: Any = [cost.data, *gradient(cost, parameters)]
        if not all(isinstance(x, Recorded) for x in arrays):
            raise NotCapturableError("a cost does not depend on the batch")
        self.kept.append(arrays)

    @contextmanager
    def _recorded_parameters(self) -> Iterator[None]:
        """Let the parameters be recorded arrays, and take back what the model sets meanwhile."""
        if not self.fits():
            raise NotCapturableError("a step sets parameters or attributes")
        try:
            for p, data in self.parameters.items():
                p.data = Recorded(data, self.tape)
            yield
        finally:
            for p, data in self.parameters.items():
                p.data = data
            changed = not self.attributes.unchanged()
            self.attributes.restore()
        if changed:
            raise NotCapturableError("a step sets attributes of the model")


class Steps:
    """Decides how each step of a training runs: captured, eagerly, or both side by side.

    With ``captured`` None, a training is captured if all of its objects are of this library; with
    True, if it can be at all, and a warning says why it cannot; with False, never.
    """

    def __init__(self, training: Any, captured: bool | None) -> None:
        self.training, self.rng, self.told = training, training.rng, captured
        self.program: Program | None = None
        self.proved = False
        self.against: str | None = None
        reason = "captured=False" if captured is False else reason_against(training, not captured)
        if reason:
            self.give_up(reason)

    def losses(self, chosen: Array, first: bool, eager: Callable[[Generator], Any]) -> Any:
        """The losses of the batch of the samples ``chosen``, in the ``first`` step of an epoch.

        ``eager`` makes its :class:`training.Losses` of a generator.
        """
        if self.against or len(chosen) != self.training.batch_size:
            return eager(self.rng)
        if first:
            self.proved = False
        program = self.program
        if program is not None and not (
            program.fits() and (self.proved or program.tape.errors == np.geterr())
        ):
            program = self.program = None
        if program is not None:
            program.begin(chosen, self.rng if self.proved else copy_of(self.rng))
        elif first:
            try:
                program = Program(self.training.model, self.training.arrays, chosen, self.rng)
            except NotCapturableError as error:
                self.give_up(str(error))
            self.program = program
        return eager(self.rng) if program is None else Step(self, program, eager)

    def give_up(self, reason: str, differs: bool = False) -> None:
        """Let all steps to come be eager, and say so if that is news."""
        self.program, self.against = None, reason
        if differs or self.told:
            what = "has other results than" if differs else "is"
            warnings.warn(
                f"the captured step of {type(self.training.model).__name__} {what} the eager one: "
                f"{reason}; the eager result counts, and the training goes on eagerly",
                CaptureWarning,
                stacklevel=2,
            )


def reason_against(training: Any, known_alone: bool) -> str:
    """The reason why no step of a training is captured, or an empty string."""
    n, size = len(training.arrays[0]), training.batch_size
    if device_of(training.rng) != "cpu":
        return "a step on a GPU is not captured"
    if training.processes.size > 1 or (training.part_size or n) < min(n, size):
        return "a batch has several parts or processes"
    if any(optimizer.searches for optimizer in training.optimizers):
        return "the optimizer evaluates the cost several times in a step"
    if not known_alone:
        return ""
    if np.lib.NumpyVersion(np.__version__) < LEAST_NUMPY:
        return f"NumPy {np.__version__} is older than {LEAST_NUMPY}"
    if n // size < FEWEST:
        return f"an epoch has fewer than {FEWEST} full batches"
    try:
        foreign = Attributes([training.model, *training.optimizers]).foreign()
    except NotCapturableError as error:
        return str(error)
    return f"{', '.join(foreign)}: not of this library" if foreign else ""


class Step:
    """The losses of a step by its program: alone if it is proved, else beside the eager ones."""

    def __init__(self, steps: Steps, program: Program, eager: Callable[[Generator], Any]) -> None:
        self.steps, self.program, self.eager = steps, program, eager
        self.losses = None if steps.proved else eager(steps.rng)
        self.replays, self.player = bool(program.parts), 0
        has_draws = steps.proved and program.tape.draws
        self.before = steps.rng.bit_generator.state if has_draws else None

    def cost(self, player: int, parameters: Sequence[Tensor]) -> Tensor:
        """The cost of ``player``; one that is not finite has the graph that shows its origin."""
        self.player = player
        if self.losses is None:
            self.program.run(player)
            cost = Tensor(self.program.cost(player))
            if math.isfinite(cost.data):
                return cost
            if self.before is not None:
                self.steps.rng.bit_generator.state = self.before
            self.losses = self.eager(self.steps.rng)
            costs: list[Tensor] = [self.losses.cost(k, parameters) for k in range(player + 1)]
            if math.isfinite(costs[-1].data):
                self.steps.give_up(f"the cost of player {player} is not finite", differs=True)
            return costs[-1]
        eager: Tensor = self.losses.cost(player, parameters)
        self._run(player, parameters)
        if self._runs():
            self._compare(f"cost of player {player}", eager.data, self.program.cost(player))
        return eager

    def gradients(self, cost: Tensor, parameters: Sequence[Tensor]) -> list[Array]:
        """The gradients of a ``cost`` of this step; the next step may overwrite them."""
        if self.losses is None:
            return self.program.gradients(self.player)
        eager = gradient(cost, parameters)
        for k, g in enumerate(eager if self._runs() else ()):
            what = f"gradient {k} of player {self.player}"
            self._compare(what, g, self.program.gradients(self.player)[k])
        return eager

    def report(self) -> dict[str, Any]:
        """The report; after it, a program that has the bits of the eager step twice is proved."""
        if self.losses is None:
            self.program.run(None)
            return self.program.report()
        eager: dict[str, Any] = self.losses.report()
        self._run(None)
        if self._runs():
            for name, value in self.program.report().items():
                self._compare(f"{name} of the report", eager.get(name), value)
            generators = self.steps.rng, self.program.tape.rng
            self._compare("generator", *(pickle.dumps(r.bit_generator.state) for r in generators))
        self.steps.proved = self.replays and self._runs()
        return eager

    def _runs(self) -> bool:
        """Whether the program has not been given up."""
        return self.steps.program is self.program

    def _run(self, player: int | None, parameters: Sequence[Tensor] = ()) -> None:
        if self._runs():
            try:
                self.program.run(player, parameters)
            except Exception as error:
                self.steps.give_up(f"{type(error).__name__}: {error}", differs=self.replays)

    def _compare(self, what: str, eager: Any, captured: Any) -> None:
        if self._runs() and not same(eager, captured):
            self.steps.give_up(f"the {what} differs", differs=True)
