"""A batch is a sum of parts, each with its own backward sweep: gradient accumulation.

For n samples in parts of nₖ samples, C = Σₖ (nₖ/n) Cₖ, and since differentiation is linear,

    ∂C/∂θ = Σₖ (nₖ/n) ∂Cₖ/∂θ.

The recorded graph of a part, with all its hidden layers, is needed only until the gradient of the
part has been added. The memory is therefore that of a few samples, which fit into a core's cache,
and the parts run in parallel, on as many threads as BLAS may use. The terms are added in the order
of the parts, so that the sum is the same to the last bit on any number of threads. Several
processes share the parts: see :mod:`scratchgen.parallel.processes`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autodiff import Rule, Tensor, backward_sweep, differentiable
from ..backend import Array, Generator, device_of, generator, to_host
from .processes import ALONE, Processes
from .threads import Map, keep_freed_memory, workers


def mean_over_parts(
    cost: Callable[[slice], Tensor],
    parts: Sequence[slice],
    parameters: Sequence[Tensor],
    processes: Processes = ALONE,
) -> Tensor:
    """C = Σₖ (nₖ/n) Cₖ(θ), where Cₖ = ``cost(part)`` is the mean over the samples of a part.

    ``parts`` come from :func:`scratchgen.parallel.even_parts`, and ``processes`` share them. The
    result knows ∂C/∂θ for these ``parameters`` θ. On the host, several threads call ``cost``: it
    may read shared data, but must not change them. A single part is returned as recorded, in every
    process. So is, on the host, a part whose cost is not finite, since its graph shows
    where the cost became so.
    """
    if len(parts) == 1:
        return cost(parts[0])
    n, wanted, own = parts[-1].stop, dict.fromkeys(parameters), processes.own(parts)
    reached = set() if own else {*wanted}
    on_host = device_of(parameters[0].data) == "cpu"
    zeros = [np.zeros_like(p.data) for p in wanted]
    not_finite: list[Tensor] = []

    def differentiated(part: slice) -> Array:
        share = cost(part) * ((part.stop - part.start) / n)
        if on_host and not np.isfinite(share.data):
            not_finite.append(share)
        deltas = {x: delta for x, delta in backward_sweep(share, parameters) if x in wanted}
        reached.update(deltas)
        slopes = [deltas.get(p, zero) for p, zero in zip(wanted, zeros, strict=True)]
        return _side_by_side([share.data, *slopes])

    keep_freed_memory()
    zero = _side_by_side([np.zeros_like(zeros[0], shape=()), *zeros])
    with workers() if on_host else contextlib.nullcontext(map) as each:
        total = processes.total(each(differentiated, own), zero)
    if not_finite:
        return not_finite[0]
    ends = np.cumsum([1, *(p.size for p in wanted)]).tolist()
    slopes = {
        p: total[start:end].reshape(p.shape)
        for p, (start, end) in zip(wanted, itertools.pairwise(ends), strict=True)
        if p in reached
    }
    value = total[:1].reshape(())
    return sum_of_parts(list(slopes), value=value, gradients=list(slopes.values()))


def drawn_by_parts(
    of_part: Callable[[slice, Generator], Any],
    parts: Sequence[slice],
    rng: Generator,
    processes: Processes = ALONE,
    each: Map = map,
) -> list[Any]:
    """Return ``of_part(part, its generator)`` for each part, in order, in every process.

    Each process computes some of the parts, and sends the results, arrays on the host or numbers,
    to the others. The generator of a part is seeded by a draw from ``rng`` and the number of the
    part. A single part draws from ``rng`` itself, in every process. ``each(of_part, parts)`` is
    called with the parts of this process, and returns their results.
    """
    if len(parts) == 1:
        return list(each(lambda part: of_part(part, rng), parts))
    seed, device = int(to_host(rng.integers(2**63 - 1))), device_of(rng)
    number = {part.start: k for k, part in enumerate(parts)}

    def drawn(part: slice) -> Any:
        return of_part(part, generator([seed, number[part.start]], device))

    return processes.collect(lambda: list(each(drawn, processes.own(parts))))


def _side_by_side(arrays: Sequence[Array]) -> Array:
    return np.concatenate([x.reshape(-1) for x in arrays])


@differentiable
def sum_of_parts(*theta: Array, value: Array, gradients: Sequence[Array]) -> Rule:
    """C(θ) of known value and ∂C/∂θ = ``gradients``: each equation is δ ↦ δ ∂C/∂θ."""
    return value, [lambda delta, slope=slope: delta * slope for slope in gradients]
