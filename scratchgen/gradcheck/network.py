"""The check of a network or a model: its cost, by every parameter and every input.

A network becomes a :class:`Subject` by C = Σ δ ∘ network(*arrays) with a random δ; a model with
``losses`` by its costs, player by player, with the same noise each time. The given derivatives are
those that the engine records, so that a disagreement comes from some rule. To find it, each rule of
the record is checked separately.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..autodiff import ancestry
from ..backend import device_of, generator, generator_from_state, generator_state, to_device
from ..nn import Network
from .recording import data_of
from .subject import Subject, as_tensors, lifted, names_of, of_operation, of_recording


def of_network(network: Network, arrays: Sequence[Any]) -> Iterator[Subject]:
    """A float64 copy of the network, by its value; for a model, by the cost of each player."""
    twin: Any = copy.deepcopy(network).astype(np.float64)
    notes = [f"{type(network).__name__} was copied and lifted to float64"]
    is_model = hasattr(twin, "losses")
    inputs = names_of(twin.losses if is_model else twin, None, len(arrays))
    data = [lifted(x, name, notes) for x, name in zip(arrays, inputs, strict=True)]
    if is_model:
        notes.append("its noise was drawn from the same seed each time")
        for player in range(len(twin.players)):
            yield _of_player(twin, player, inputs, data, notes)
        return
    parameters = dict(twin.named_parameters())
    value = twin.frozen()(*data)
    delta = to_device(np.random.default_rng(0).standard_normal(value.shape), device_of(value))

    def cost(x: Sequence[Any]) -> Any:
        changed = _substituted(twin, dict(zip(parameters, x, strict=False)))
        return (delta * changed(*x[len(parameters) :])).sum()

    values = [*(parameter.data for parameter in parameters.values()), *data]
    yield of_recording([*parameters, *inputs], values, cost, notes)


def _of_player(
    model: Any, player: int, inputs: list[str], data: list[Any], notes: list[str]
) -> Subject:
    """A model's cost for one player, by the parameters of this player and by the data."""
    own = {id(p) for p in model.players[player]}
    named = {name: p for name, p in model.named_parameters() if id(p) in own}
    rng = generator(0, device_of(next(iter(named.values())).data))
    state = generator_state(rng)

    def cost(x: Sequence[Any]) -> Any:
        changed = _substituted(model, dict(zip(named, x, strict=False)))
        losses = changed.losses(*x[len(named) :], generator_from_state(*state))
        return next(itertools.islice(losses, player, None))

    values = [*(p.data for p in named.values()), *data]
    return of_recording([*named, *inputs], values, cost, notes)


def _substituted(network: Network, values: Mapping[str, Any]) -> Any:
    """The network on plain arrays, with other values for the named parameters."""
    changed: Any = network.frozen()
    for name, value in values.items():
        *path, last = name.split(".")
        # A model may use the names of its network's parameters.
        owner = changed if hasattr(changed, name.split(".")[0]) else changed.network
        setattr(functools.reduce(getattr, path, owner), last, value)
    return changed


def of_recorded_operations(subject: Subject) -> Iterator[tuple[str, Subject]]:
    """The rules that were recorded for the cost, each with the arrays of its call."""
    for node in ancestry(subject.cost(as_tensors(subject.arrays))):
        if node.operation is not None:
            arrays = [data_of(x) for x in node.inputs]
            yield node.operation.__name__, of_operation(node.operation, arrays, node.settings)
