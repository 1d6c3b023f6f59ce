"""Training: one loop for every model, as an iterator over epochs, and the history that it leaves.

A model states its ``players`` (one list of parameters per optimizer) and its ``losses(x, rng)``, a
generator that yields one cost per player, in turn, and may return a dictionary of what else to
report. Each player moves before the next one's cost is built.
"""

from __future__ import annotations

import contextlib
import math
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Generator as Yields
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .autodiff import Tensor, ancestry, gradient
from .backend import Array, Generator, check_generator, copy_of, device_of, to_device, to_host
from .html import table
from .optim import Optimizer
from .optim.optimizer import Evaluate
from .parallel import threads_of


class Model(Protocol):
    """What the loop knows of a model."""

    @property
    def players(self) -> Sequence[Sequence[Tensor]]:
        """One list of parameters per optimizer."""

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, Mapping[str, Any] | None]:
        """Yield the cost of each player in turn; return what else to report."""


@dataclass(frozen=True)
class Epoch:
    """One pass over the data: the mean cost of each player, and what else the model reports."""

    number: int
    costs: tuple[float, ...]
    seconds: float
    report: dict[str, float] = field(default_factory=dict)
    players: tuple[str, ...] = ()
    """What the model calls its players, if it does: ``model.player_names``."""

    def values(self) -> dict[str, float]:
        """The costs and the reported quantities, by name."""
        names = self.players or [f"cost {k}" for k in range(len(self.costs))]
        if len(names) == 1:
            names = ["cost"]
        return {**dict(zip(names, self.costs, strict=True)), **self.report}

    def __str__(self) -> str:
        values = "".join(f"   {name} {_figure(value)}" for name, value in self.values().items())
        return f"epoch {self.number:3d}{values}   {self.seconds:.2f} s"

    def _repr_html_(self) -> str:
        return History([self])._repr_html_()


class History(list[Epoch]):
    """The epochs of a run, first to last; shown are the first, some between, and the last."""

    def __repr__(self) -> str:
        return "\n".join(map(str, self._some())) or "History of no epochs"

    def _repr_html_(self) -> str:
        names = self[0].values() if self else ()
        rows = []
        for epoch in self._some():
            values = epoch.values()
            figures = [_figure(values[name]) if name in values else "" for name in names]
            rows.append((epoch.number, *figures, f"{epoch.seconds:.2f} s"))
        return table(("epoch", *names, "time"), rows)

    def _some(self) -> History:
        """A dozen epochs at most, evenly spaced, the first and the last among them."""
        return History(self[round(k)] for k in np.linspace(0, len(self) - 1, min(len(self), 12)))

    def curves(self) -> dict[str, list[float]]:
        """Each cost and reported quantity over the epochs."""
        names = self[0].values() if self else ()
        return {name: [epoch.values()[name] for epoch in self] for name in names}

    def plot(self, ax: Any = None) -> Any:
        """The curves over the epochs, on ``ax`` or on new axes, which are returned.

        New axes have the costs, and all that is counted in units; quantities that stay between 0
        and 1, such as probabilities, have axes of their own below.
        """
        from .plotting import learning_curves, learning_panels

        curves, first_epoch = self.curves(), self[0].number if self else 1
        shares = {
            name: values
            for name, values in curves.items()
            if name in self[0].report
            and not name.endswith("cost")
            and min(values) >= 0
            and max(values) <= 1
        }
        if ax is not None or not shares:
            return learning_curves(curves, ax, first_epoch=first_epoch)
        units = {name: values for name, values in curves.items() if name not in shares}
        label = "from 0 to 1" if len(shares) > 1 else next(iter(shares))
        return learning_panels({"cost": units, label: shares}, first_epoch=first_epoch)


def _figure(value: float) -> str:
    """Four decimals, or four digits where a number is too small or too large for them."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e7 else f"{value:.3e}"


class TrainingWarning(UserWarning):
    """What will keep a model from learning its data, found before training."""


class NonFiniteCostError(RuntimeError):
    """A cost became NaN or infinite: in which epoch, step and player, and where it first did."""


def train(
    model: Model,
    data: Any,
    optimizers: Sequence[Optimizer] | Optimizer,
    *,
    epochs: int,
    batch_size: int,
    rng: Generator,
    drop_last: bool = False,
    history: History | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Iterator[Epoch]:
    """Train, yielding an :class:`Epoch` after each pass over the data: ``for epoch in train(...)``.

    ``data``: an array of n samples, or a tuple of arrays of n each (images and labels); floating
    numbers are cast to the dtype of the parameters and moved to the device of ``rng``, whole. Each
    epoch goes through them once in an order drawn from ``rng``, in batches of ``batch_size``, the
    last one smaller or, with ``drop_last``, left out. With the ``history`` of earlier epochs,
    training goes on after them to ``epochs`` in all, and appends to it. ``progress`` wraps the
    batches of each epoch, as tqdm does.

    Raises ``ValueError`` at once for data that are empty, not finite, of different lengths or not
    what the model can take, and :class:`NonFiniteCostError` when a cost becomes NaN or infinite: at
    that step on the host, at the end of the epoch on a GPU, which is not made to wait.
    """
    optimizers = [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers)
    if len(optimizers) != len(model.players):
        raise ValueError(
            f"{type(model).__name__} has {len(model.players)} players and needs an optimizer for "
            f"each, got {len(optimizers)}"
        )
    if not all(model.players):
        raise ValueError(f"a player of {type(model).__name__} has no parameters: nothing can move")
    if operator.index(epochs) < 0 or operator.index(batch_size) < 1:
        raise ValueError(f"epochs ≥ 0 and batch_size ≥ 1, got {epochs} and {batch_size}")
    check_generator(rng)
    arrays = _ready(data, model.players[0][0].dtype, rng)
    if drop_last and len(arrays[0]) < batch_size:
        raise ValueError(
            f"{len(arrays[0])} samples make no full batch of {batch_size}: take a smaller batch "
            f"size, of at most {len(arrays[0])}"
        )
    for optimizer in optimizers:
        if optimizer.searches:
            _check_search(model, optimizer, len(arrays[0]), batch_size)
    if hasattr(model, "validate"):
        model.validate(_as_given(arrays))
    history = History() if history is None else history
    return _epochs(model, arrays, optimizers, epochs, batch_size, rng, drop_last, history, progress)


def _epochs(
    model: Model,
    arrays: tuple[Array, ...],
    optimizers: Sequence[Optimizer],
    epochs: int,
    batch_size: int,
    rng: Generator,
    drop_last: bool,
    history: History,
    progress: Callable[[Iterable[int]], Iterable[int]],
) -> Iterator[Epoch]:
    n = len(arrays[0])
    starts = range(0, n - n % batch_size if drop_last else n, batch_size)
    sizes = [min(batch_size, n - start) for start in starts]
    on_host = device_of(rng) == "cpu"
    for number in range(len(history) + 1, epochs + 1):
        began = time.perf_counter()
        order = np.argsort(rng.random(n))
        costs: list[list[Array]] = [[] for _ in optimizers]
        last: dict[int, Tensor] = {}
        reports: dict[str, list[Array]] = {}
        with threads_of_training(model, batch_size):
            for start in progress(starts):
                batch = _as_given(tuple([x[order[start : start + batch_size]] for x in arrays]))
                before = copy_of(rng) if optimizers[0].searches else rng
                losses = model.losses(batch, rng)
                for player, optimizer in enumerate(optimizers):
                    cost = _next_cost(losses, player)
                    if on_host and not np.isfinite(cost.data).all():
                        step = len(costs[player]) + 1
                        raise NonFiniteCostError(_diagnosis(model, cost, number, step, player))
                    if optimizer.searches:
                        optimizer.search(_evaluation(model, batch, before, optimizer))
                    else:
                        optimizer.step(gradient(cost, optimizer.parameters))
                    costs[player].append(cost.data)
                    last[player] = cost
                for name, value in _returned(losses).items():
                    reports.setdefault(name, []).append(value)
        means = [_mean(values, sizes) for values in costs]
        if not all(map(math.isfinite, means)):
            player = [math.isfinite(mean) for mean in means].index(False)
            step = int(np.argmin(np.isfinite(to_host(np.stack(costs[player]))))) + 1
            raise NonFiniteCostError(_diagnosis(model, last[player], number, step, player))
        report = {name: _mean(values, sizes) for name, values in reports.items()}
        names = getattr(model, "player_names", ())
        epoch = Epoch(number, tuple(means), time.perf_counter() - began, report, names)
        history.append(epoch)
        yield epoch


def threads_of_training(model: Model, batch_size: int) -> contextlib.AbstractContextManager[object]:
    """As many threads of BLAS as the products of all players' weights with a batch pay for."""
    return threads_of([p for player in model.players for p in player], batch_size)


def _ready(data: Any, dtype: Any, rng: Generator) -> tuple[Array, ...]:
    """The arrays of ``data``, checked, as the parameters want them, on the device of ``rng``."""
    if isinstance(data, list) and any(getattr(x, "shape", ()) for x in data):
        raise ValueError(
            f"data is a list of {len(data)} arrays: samples with their labels are a tuple, (x, y), "
            "and samples alone one array, np.stack(list)"
        )
    arrays = tuple(to_device(x, rng) for x in (data if isinstance(data, tuple) else (data,)))
    shapes = [x.shape for x in arrays]
    if len({shape[:1] for shape in shapes}) != 1 or not all(shapes[0][:1]) or shapes[0] == ():
        raise ValueError(
            "data is an array of at least one sample, or a tuple of arrays of as many samples "
            f"each, got shapes {shapes}"
        )
    ready = []
    for x in arrays:
        if x.dtype.kind not in "fbiu":
            raise TypeError(f"data holds numbers, got {x.dtype}")
        if x.dtype.kind in "fb":
            with np.errstate(over="ignore"):
                x = x.astype(dtype, copy=False)
            bad = int(to_host((~np.isfinite(x)).sum()))
            if bad:
                raise ValueError(
                    f"{bad} of the {x.size} numbers in the data are NaN or infinite as {x.dtype}: "
                    "remove, replace or scale them"
                )
        ready.append(x)
    return tuple(ready)


def _check_search(model: Model, optimizer: Optimizer, n: int, batch_size: int) -> None:
    """Raise ``ValueError`` where there is no one cost to search along."""
    name = f"{type(optimizer).__name__} searches along one cost, evaluating it again and again"
    if batch_size < n:
        raise ValueError(f"{name}: take a batch_size of all {n} samples, got {batch_size}")
    kept = [name for name, _ in getattr(model, "named_buffers", lambda: ())()]
    if len(model.players) > 1 or kept:
        why = f"keeps {', '.join(kept)} from step to step" if kept else "has several players"
        raise ValueError(
            f"{name}, but that of a {type(model).__name__} which {why} changes meanwhile: take "
            "another optimizer, such as Adam"
        )


def _evaluation(model: Model, batch: Any, rng: Generator, optimizer: Optimizer) -> Evaluate:
    """The cost of a batch and its gradient, each time with the draws that ``rng`` would make."""

    def evaluate() -> tuple[float, list[Array]]:
        cost = _next_cost(model.losses(batch, copy_of(rng)), 0)
        return float(to_host(cost.data)), gradient(cost, optimizer.parameters)

    return evaluate


def _as_given(arrays: tuple[Array, ...]) -> Any:
    """One array as itself, several as the tuple that they came in."""
    return arrays[0] if len(arrays) == 1 else arrays


def _next_cost(losses: Iterator[Tensor], player: int) -> Tensor:
    cost = next(losses, None)
    if not isinstance(cost, Tensor):
        raise ValueError(f"the model's losses yield no cost for player {player}, but {cost!r}")
    return cost


def _returned(losses: Yields[Tensor, None, Mapping[str, Any] | None]) -> Mapping[str, Any]:
    """What a model's ``losses`` return once every player has moved."""
    try:
        next(losses)
    except StopIteration as end:
        return end.value or {}
    raise ValueError("the model's losses yield more costs than it has players")


def _mean(values: Sequence[Array], sizes: Sequence[int]) -> float:
    """The mean over all samples of what was a mean over each batch."""
    means = to_host(np.stack(values)).astype(np.float64)
    return float(np.average(means, weights=sizes))


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
