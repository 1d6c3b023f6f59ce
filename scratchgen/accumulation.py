"""The mean cost of a batch from parts of it, each with its own sweep: gradient accumulation.

Of n samples in parts of nₖ, C = Σₖ (nₖ/n) Cₖ, and since differentiation is linear,

    ∂C/∂θ = Σₖ (nₖ/n) ∂Cₖ/∂θ.

So the record of a part, all its hidden layers, is needed only until its share is added: memory is
that of a few samples, which a core's cache holds, and the parts run side by side, on as many
threads as BLAS may use. The shares are added in the order of the parts, so that the sum is the same
to the last bit on any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .autodiff import Rule, Tensor, backward_sweep, differentiable
from .backend import Array
from .parallel import keep_freed_memory, workers


def mean_over_parts(
    cost: Callable[[slice], Tensor], parts: Sequence[slice], parameters: Sequence[Tensor]
) -> Tensor:
    """C = Σₖ (nₖ/n) Cₖ(θ), where Cₖ = ``cost(part)`` is the mean over the samples of a part.

    ``parts`` are those of :func:`scratchgen.parallel.even_parts`. The result knows ∂C/∂θ for those
    of ``parameters`` θ that it depends on, and for nothing else. ``cost`` is called on several
    threads: it may read what they share, and changes nothing. Samples in one part, or of a model
    without parameters, go through as they stand; and the first part whose cost is not finite is
    returned itself: its record tells where it became so.
    """
    n = parts[-1].stop
    if len(parts) == 1 or not parameters:
        return cost(slice(0, n))
    wanted = set(parameters)

    def differentiated(part: slice) -> tuple[Array | Tensor, dict[Tensor, Array]]:
        share = cost(part) * ((part.stop - part.start) / n)
        finite = bool(np.isfinite(share.data))
        sweep = backward_sweep(share, parameters)
        return share.data if finite else share, {x: delta for x, delta in sweep if x in wanted}

    keep_freed_memory()
    total: Array | float = 0.0
    sums: dict[Tensor, Array] = {}
    with workers() as each:
        for share, deltas in each(differentiated, parts):
            if isinstance(share, Tensor):
                return share
            total = total + share
            for x, delta in deltas.items():
                sums[x] = sums[x] + delta if x in sums else delta
    return known(list(sums), value=total, gradients=list(sums.values()))


@differentiable
def known(*theta: Array, value: Array, gradients: Sequence[Array]) -> Rule:
    """C(θ) of known value and ∂C/∂θ = ``gradients``: each equation is δ ↦ δ ∂C/∂θ."""
    return value, [lambda delta, slope=slope: delta * slope for slope in gradients]
