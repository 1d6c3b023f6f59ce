"""Training: one loop for every model, as an iterator over epochs.

A model has ``players``, one list of parameters per optimizer, and ``losses(x, rng)``, a generator
that yields one cost per player, in turn. The generator may return a dictionary of other quantities
to report. Each player takes its step before the cost of the next player is computed.

The samples of a batch may go through the model in parts, C = Σₖ (nₖ/n) Cₖ. The size of the batch
and the size of a part determine the parts. Each part has its own ``losses`` and its own random
generator, so that a training has the same bits on any number of threads.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Generator as Yields
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from . import refusals
from .autodiff import Tensor, ancestry, gradient
from .backend import (
    Array,
    Generator,
    check_generator,
    copy_of,
    device_of,
    generator,
    generator_state,
    set_generator_state,
    to_host,
)
from .captured import Steps
from .history import Epoch, History
from .optim import Optimizer, clip_grad_norm
from .optim.averaging import WeightAverage
from .optim.optimizer import Evaluate
from .parallel import even_parts, threads_of
from .parallel.parts import mean_over_parts
from .parallel.processes import ALONE, Processes, check_same, processes_of


class Model(Protocol):
    """The interface that the loop needs from a model."""

    @property
    def players(self) -> Sequence[Sequence[Tensor]]:
        """One list of parameters per optimizer."""

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, Mapping[str, Any] | None]:
        """Yield the cost of each player in turn; return other quantities to report."""


class TrainingWarning(UserWarning):
    """A problem, found before training, that will keep a model from learning its data."""


class NonFiniteCostError(RuntimeError):
    """A cost became NaN or infinite; the message names the epoch, step, player and origin."""


def train(
    model: Model,
    data: Any,
    optimizers: Sequence[Optimizer] | Optimizer,
    *,
    epochs: int,
    batch_size: int,
    rng: Generator,
    drop_last: bool = False,
    part_size: int | None = None,
    average: WeightAverage | None = None,
    clip_norm: float | None = None,
    history: History | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
    processes: Any = None,
    captured: bool | None = None,
) -> Iterator[Epoch]:
    """Train, yielding an :class:`Epoch` after each pass over the data: ``for epoch in train(...)``.

    ``data`` is an array of n samples, or a tuple of arrays of n samples each (images and labels).
    Floating-point numbers are cast to the dtype of the parameters, and all data move to the device
    of ``rng``. Each epoch visits every sample once, in an order drawn from ``rng``, in batches of
    ``batch_size``. The last batch is smaller, or is left out with ``drop_last``. With the
    ``history`` of earlier epochs, training continues after them to ``epochs`` in all, and appends
    to the history. ``progress`` wraps the batches of each epoch, as tqdm does.

    With a ``part_size``, at most that many samples go through the model at a time. The cost and its
    gradient are still those of the batch, and only one part needs memory at a time. Random numbers
    are then drawn for each part. The default is the model's own ``part_size``, if it has one.
    ``average`` is updated with the weights after each step. With ``clip_norm``, the gradient of
    each player is shortened to this norm where it is longer: see
    :func:`~scratchgen.optim.clip_grad_norm`.

    With ``processes``, a communicator of mpi4py or one of the two classes of
    :mod:`scratchgen.parallel.processes`, each process computes some of the parts of a batch. All
    call ``train`` with the same arguments, and begin with the weights, the optimizers and the
    generator of the first one. The default part is then the share of one process.

    The steps of this library's models are ``captured`` where that repays and is safe, with the same
    bits: see :mod:`scratchgen.captured`. False keeps all steps eager. With True, models of your own
    are captured too, and a warning says why one cannot be.

    Raises ``ValueError`` at once for data that are empty, not finite, of different lengths or
    unsuitable for the model, and :class:`NonFiniteCostError` when a cost becomes NaN or infinite.
    The host raises this error at that step; a GPU, which should not have to wait, raises it at the
    end of the epoch.
    """
    optimizers = [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers)
    if operator.index(epochs) < 0 or operator.index(batch_size) < 1:
        raise ValueError(f"epochs ≥ 0 and batch_size ≥ 1, got {epochs} and {batch_size}")
    check_generator(rng)
    refusals.check_players(model, optimizers, average)
    arrays = refusals.ready(data, model.players[0][0].dtype, rng)
    n = len(arrays[0])
    if drop_last and n < batch_size:
        raise ValueError(
            f"{n} samples make no full batch of {batch_size}: take a smaller batch size, of at "
            f"most {n}"
        )
    for optimizer in optimizers:
        if optimizer.searches:
            refusals.check_search(model, optimizer, n, batch_size, clip_norm)
    if clip_norm is not None and not 0 < clip_norm < math.inf:
        raise ValueError(
            f"clip_norm is the greatest norm of a gradient, a number above 0, got {clip_norm}"
        )
    together = processes_of(processes)
    part_size = getattr(model, "part_size", None) if part_size is None else part_size
    if part_size is None:
        part_size = together.part_size(min(n, batch_size))
    if part_size is not None:
        refusals.check_parts(model, part_size, min(n, batch_size))
    if hasattr(model, "validate"):
        model.validate(_as_given(arrays))
    training = Training(
        model,
        arrays,
        optimizers,
        batch_size,
        part_size,
        rng,
        drop_last,
        average,
        clip_norm,
        together,
    )
    training.begin_alike()
    steps = Steps(training, captured)
    return _epochs(training, steps, epochs, History() if history is None else history, progress)


@dataclass(frozen=True)
class Training:
    """Everything that an epoch needs, already checked: model, data, optimizers and settings."""

    model: Model
    arrays: tuple[Array, ...]
    optimizers: Sequence[Optimizer]
    batch_size: int
    part_size: int | None
    rng: Generator
    drop_last: bool
    average: WeightAverage | None
    clip_norm: float | None
    processes: Processes

    def begin_alike(self) -> None:
        """Give every process the weights, the optimizers and the generator of the first one."""
        if self.processes.size == 1:
            return
        holders: list[Any] = [*self.optimizers]
        if self.average is not None:
            holders.append(self.average)
        if hasattr(self.model, "load_state_dict"):
            holders.append(self.model)
        states = self.processes.from_first([holder.state_dict() for holder in holders])
        for holder, state in zip(holders, states, strict=True):
            holder.load_state_dict(state)
        set_generator_state(self.rng, *self.processes.from_first(generator_state(self.rng)))

    def epoch(
        self, number: int, progress: Callable[[Iterable[int]], Iterable[int]], steps: Steps
    ) -> Epoch:
        """Train for one pass over the data."""
        began, n = time.perf_counter(), len(self.arrays[0])
        order = np.argsort(self.rng.random(n))
        seed = self.seed_of_parts(min(n, self.batch_size))
        tally = Tally(self, number)
        starts = range(0, n - n % self.batch_size if self.drop_last else n, self.batch_size)
        for step, start in enumerate(progress(starts), 1):
            chosen = order[start : start + self.batch_size]
            batch = functools.cache(functools.partial(self.batch, chosen))
            losses_of = functools.partial(self.losses, batch, (*seed, step))
            before = copy_of(self.rng) if self.optimizers[0].searches else self.rng
            losses = steps.losses(chosen, step == 1, losses_of)
            for player, optimizer in enumerate(self.optimizers):
                cost = losses.cost(player, optimizer.parameters)
                tally.note(player, step, cost)
                if optimizer.searches:
                    optimizer.search(_evaluation(losses_of, before, optimizer))
                else:
                    gradients = losses.gradients(cost, optimizer.parameters)
                    if self.clip_norm is not None:
                        gradients = clip_grad_norm(gradients, self.clip_norm)
                    optimizer.step(gradients)
            tally.note_report(losses.report(), len(chosen))
            if self.average is not None:
                self.average.update()
        weights = [p.data for optimizer in self.optimizers for p in optimizer.parameters]
        check_same(self.processes, weights, "the weights")
        return tally.epoch(time.perf_counter() - began)

    def batch(self, chosen: Array) -> tuple[Array, ...]:
        """Return the samples ``chosen``."""
        return tuple([x[chosen] for x in self.arrays])

    def losses(
        self, batch: Callable[[], tuple[Array, ...]], seed: tuple[int, ...], rng: Generator
    ) -> Losses:
        """Return the losses of a batch, which is made by a call that a captured step omits."""
        return Losses(self.model, batch(), self.part_size, seed, rng, self.processes)

    def seed_of_parts(self, n: int) -> tuple[int, ...]:
        """The seed of the parts' generators, besides step and part; empty for a single part.

        It is drawn only once per epoch, since each draw on a GPU makes the host wait.
        """
        return (int(self.rng.integers(2**63 - 1)),) if n > (self.part_size or n) else ()


def _epochs(
    training: Training,
    steps: Steps,
    epochs: int,
    history: History,
    progress: Callable[[Iterable[int]], Iterable[int]],
) -> Iterator[Epoch]:
    for number in range(len(history) + 1, epochs + 1):
        with threads_of_training(training.model, training.batch_size):
            history.append(training.epoch(number, progress, steps))
        yield history[-1]


def threads_of_training(model: Model, batch_size: int) -> contextlib.AbstractContextManager[object]:
    """Run small products on one BLAS thread; a batch times the largest weights decides."""
    return threads_of([p for player in model.players for p in player], batch_size)


class Losses:
    """The losses of one batch, each the mean over its samples: C = Σₖ (nₖ/n) Cₖ over the parts.

    ``batch`` holds arrays of n samples each. A single part draws from ``rng`` itself; several parts
    have generators of their own, seeded with ``seed`` and the number of the part. Of several parts,
    this process computes its own; a single part is computed in every process.
    """

    def __init__(
        self,
        model: Model,
        batch: tuple[Array, ...],
        part_size: int | None,
        seed: tuple[int, ...],
        rng: Generator,
        processes: Processes = ALONE,
    ) -> None:
        n, self.processes = len(batch[0]), processes
        self.parts = even_parts(n, n if part_size is None else part_size)
        self.own = processes.own(self.parts) if len(self.parts) > 1 else self.parts
        self.model, self.of_part = model, {}
        self.chains: list[tuple[Model, str, tuple[slice, ...]]] = []
        for k, part in enumerate(self.parts):
            if part in self.own:
                x = _as_given(tuple([array[part] for array in batch]))
                if len(self.parts) > 1:
                    rng = generator([*seed, k], device_of(rng))
                    model = self._with_chains_of(part)
                self.of_part[part.start] = model.losses(x, rng)

    def _with_chains_of(self, part: slice) -> Model:
        """Return the model with the share of its chains that a part of the batch moves."""
        model, n = self.model, self.parts[-1].stop
        for name, axis in getattr(self.model, "independent", {}).items():
            every = getattr(self.model, name)
            first, last = (end * every.shape[axis] // n for end in (part.start, part.stop))
            where = (*(slice(None),) * axis, slice(first, last))
            model = copy.copy(model) if model is self.model else model
            setattr(model, name, every[where])
            self.chains.append((model, name, where))
        return model

    def _gather_chains(self) -> None:
        """Put the chains that the parts have moved, here and in other processes, together."""
        if len(self.parts) == 1:  # the model has moved its own
            return
        for name in getattr(self.model, "independent", {}):
            every = getattr(self.model, name)
            moved = np.zeros_like(every)
            for model, its, where in self.chains:
                if its == name:
                    moved[where] = getattr(model, name)
            every[...] = self.processes.total([moved], np.zeros_like(every))

    def cost(self, player: int, parameters: Sequence[Tensor]) -> Tensor:
        """Return the next cost, that of ``player``, with its gradient for ``parameters``."""

        def of_part(part: slice) -> Tensor:
            cost = next(self.of_part[part.start], None)
            if not isinstance(cost, Tensor):
                raise ValueError(
                    f"the model's losses yield no cost for player {player}, but {cost!r}"
                )
            return cost

        return mean_over_parts(of_part, self.parts, parameters, self.processes)

    def gradients(self, cost: Tensor, parameters: Sequence[Tensor]) -> list[Array]:
        """Return ∂C/∂θ of a cost that this step has computed."""
        return gradient(cost, parameters)

    def report(self) -> dict[str, Any]:
        """Return the report of the model's losses, after all players have moved: sample means.

        With several processes it is this one's share of the means, which add up to the whole.
        """
        report: dict[str, Any] = {}
        for part in self.own:
            share = (part.stop - part.start) / self.parts[-1].stop
            for name, value in _returned(self.of_part[part.start]).items():
                report[name] = report.get(name, 0) + share * value
        self._gather_chains()
        return report if len(self.parts) > 1 or self.processes.rank == 0 else {}


class Tally:
    """The costs of an epoch, step by step, and the other quantities that the model reports."""

    def __init__(self, training: Training, number: int) -> None:
        self.model, self.number = training.model, number
        self.on_host = device_of(training.rng) == "cpu"
        self.costs: list[list[Array]] = [[] for _ in training.optimizers]
        self.last: dict[int, Tensor] = {}
        self.reports: dict[str, list[Array]] = {}
        self.reported: dict[str, list[int]] = {}
        self.sizes: list[int] = []
        self.processes = training.processes

    def note(self, player: int, step: int, cost: Tensor) -> None:
        """Note the cost of a player; on the host, check at once that it is finite."""
        self.costs[player].append(cost.data)
        self.last[player] = cost
        if self.on_host and not np.isfinite(cost.data).all():
            raise NonFiniteCostError(_diagnosis(self.model, cost, self.number, step, player))

    def note_report(self, report: Mapping[str, Any], size: int) -> None:
        """Note the model's report of a batch of ``size`` samples."""
        self.sizes.append(size)
        for name, value in report.items():
            self.reports.setdefault(name, []).append(value)
            self.reported.setdefault(name, []).append(size)

    def epoch(self, seconds: float) -> Epoch:
        """Return the means over all samples; :class:`NonFiniteCostError` if one is not finite."""
        means = [self._mean(values, self.sizes) for values in self.costs]
        for player in (k for k, mean in enumerate(means) if not math.isfinite(mean)):
            finite = np.isfinite(to_host(np.stack(self.costs[player])))
            step = int(np.argmin(finite)) + 1
            wrong = _diagnosis(self.model, self.last[player], self.number, step, player)
            raise NonFiniteCostError(wrong)
        shares = {
            name: self._mean(values, self.reported[name]) for name, values in self.reports.items()
        }
        report: dict[str, float] = {}
        for its in self.processes.of_all(shares):
            for name, share in its.items():
                report[name] = report.get(name, 0) + share
        players = getattr(self.model, "player_names", ())
        return Epoch(self.number, tuple(means), seconds, report, players)

    def _mean(self, values: Sequence[Array], sizes: Sequence[int]) -> float:
        """Return the mean over all samples, given the means over batches of these sizes."""
        means = to_host(np.stack(values)).astype(np.float64)
        return float((means * sizes).sum() / sum(self.sizes))


def _evaluation(
    losses_of: Callable[[Generator], Losses], rng: Generator, optimizer: Optimizer
) -> Evaluate:
    """Return a function that evaluates cost and gradient, with the same draws at each call."""

    def evaluate() -> tuple[float, list[Array]]:
        cost = losses_of(copy_of(rng)).cost(0, optimizer.parameters)
        return float(to_host(cost.data)), gradient(cost, optimizer.parameters)

    return evaluate


def _as_given(arrays: tuple[Array, ...]) -> Any:
    """Return a single array itself, and several arrays as the tuple in which they came."""
    return arrays[0] if len(arrays) == 1 else arrays


def _returned(losses: Yields[Tensor, None, Mapping[str, Any] | None]) -> Mapping[str, Any]:
    """Return the report with which a model's ``losses`` end once every player has moved."""
    try:
        next(losses)
    except StopIteration as end:
        return end.value or {}
    raise ValueError("the model's losses yield more costs than it has players")


def _diagnosis(model: Model, cost: Tensor, epoch: int, step: int, player: int) -> str:
    wrong = [x for x in ancestry(cost) if not bool(to_host(np.isfinite(x.data).all()))]
    first = min(wrong, key=lambda x: (x.operation is not None, x.birth), default=None)
    if first is None:
        where = "though it is again by the end of the epoch"
    elif first.operation:
        where = f"first in the value of {first.operation.__name__}, of shape {first.shape}"
    else:
        names = {p: n for n, p in getattr(model, "named_parameters", lambda: ())()}
        where = f"since the update before made {names.get(first, 'an input')} so"
    cure = "a smaller learning rate" if epoch * step > 1 else "scaling the data"
    return (
        f"epoch {epoch}, step {step}: the cost of player {player} of {type(model).__name__} is not "
        f"finite, {where}; {cure} is the usual cure"
    )
