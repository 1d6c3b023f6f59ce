"""A batch is a sum of parts, each with its own backward sweep: gradient accumulation.

For n samples in parts of nₖ samples, C = Σₖ (nₖ/n) Cₖ, and since differentiation is linear,

    ∂C/∂θ = Σₖ (nₖ/n) ∂Cₖ/∂θ.

The recorded graph of a part, with all its hidden layers, is needed only until the gradient of the
part has been added. The memory is therefore that of a few samples, which fit into a core's cache,
and the parts run in parallel, on as many threads as BLAS may use. The terms are added in the order
of the parts, so that the sum is the same to the last bit on any number of threads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from ..autodiff import Rule, Tensor, backward_sweep, differentiable
from ..backend import Array, device_of
from .threads import keep_freed_memory, workers


def mean_over_parts(
    cost: Callable[[slice], Tensor], parts: Sequence[slice], parameters: Sequence[Tensor]
) -> Tensor:
    """C = Σₖ (nₖ/n) Cₖ(θ), where Cₖ = ``cost(part)`` is the mean over the samples of a part.

    ``parts`` come from :func:`scratchgen.parallel.even_parts`. The result knows ∂C/∂θ only for
    those ``parameters`` θ on which it depends. On the host, several threads call ``cost``: it may
    read shared data, but must not change them. A single part is returned as recorded. So is, on the
    host, the first part whose cost is not finite, since its graph shows where the cost became so.
    """
    if len(parts) == 1:
        return cost(parts[0])
    n, wanted = parts[-1].stop, set(parameters)
    on_host = device_of(parameters[0].data) == "cpu"

    def differentiated(part: slice) -> tuple[Array | Tensor, dict[Tensor, Array]]:
        share = cost(part) * ((part.stop - part.start) / n)
        finite = not on_host or bool(np.isfinite(share.data))
        sweep = backward_sweep(share, parameters)
        return share.data if finite else share, {x: delta for x, delta in sweep if x in wanted}

    keep_freed_memory()
    total: Array | float = 0.0
    sums: dict[Tensor, Array] = {}
    with workers() if on_host else contextlib.nullcontext(map) as each:
        for share, deltas in each(differentiated, parts):
            if isinstance(share, Tensor):
                return share
            total = total + share
            for x, delta in deltas.items():
                sums[x] = sums[x] + delta if x in sums else delta
    return sum_of_parts(list(sums), value=total, gradients=list(sums.values()))


@differentiable
def sum_of_parts(*theta: Array, value: Array, gradients: Sequence[Array]) -> Rule:
    """C(θ) of known value and ∂C/∂θ = ``gradients``: each equation is δ ↦ δ ∂C/∂θ."""
    return value, [lambda delta, slope=slope: delta * slope for slope in gradients]
