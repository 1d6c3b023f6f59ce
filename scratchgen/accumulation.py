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

from .autodiff import Rule, Tensor, differentiable, gradient
from .backend import Array
from .parallel import keep_freed_memory, workers


def mean_over_parts(
    cost: Callable[[slice], Tensor], parts: Sequence[slice], parameters: Sequence[Tensor]
) -> Tensor:
    """C = Σₖ (nₖ/n) Cₖ(θ), where Cₖ = ``cost(part)`` is the mean over the samples of a part.

    ``parts`` are those of :func:`scratchgen.parallel.even_parts`. The result knows ∂C/∂θ for
    ``parameters`` θ and for nothing else. ``cost`` is called on several threads: it may read what
    they share, and changes nothing. A batch of one part is recorded as it stands, and so is the
    first part whose cost is not finite: its record tells where it became so.
    """
    n = parts[-1].stop
    if len(parts) == 1:
        return cost(parts[0])

    def differentiated(part: slice) -> tuple[Array | Tensor, list[Array]]:
        share = cost(part) * ((part.stop - part.start) / n)
        finite = bool(np.isfinite(share.data))
        return share.data if finite else share, gradient(share, parameters)

    keep_freed_memory()
    with workers() as each:
        shares = each(differentiated, parts)
        total, sums = next(shares)
        for share, gradients in shares:
            if isinstance(total, Tensor):
                break
            total = share if isinstance(share, Tensor) else total + share
            for of_all, of_part in zip(sums, gradients, strict=True):
                of_all += of_part
    return total if isinstance(total, Tensor) else known(parameters, value=total, gradients=sums)


@differentiable
def known(*theta: Array, value: Array, gradients: Sequence[Array]) -> Rule:
    """C(θ) of known value and ∂C/∂θ = ``gradients``: each equation is δ ↦ δ ∂C/∂θ."""
    return value, [lambda delta, slope=slope: delta * slope for slope in gradients]
