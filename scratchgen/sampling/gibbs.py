"""Gibbs sampling: a chain that draws one part of its state given the other, in turn.

Let p(v, h) be a distribution of which only the conditionals can be drawn from. If (v, h) has it,
so have (v, h′) with h′ ~ p(h|v), and then (v′, h′) with v′ ~ p(v|h′): the step leaves p as it is.
Where every state can be reached from every other, that is the only such distribution, and the chain
comes to it from any start; it forgets the start at a rate that the step itself decides.

Source: Geman and Geman 1984; the notes, "Final expression".
"""

from __future__ import annotations

from collections.abc import Callable

from ..backend import Array


def block_gibbs(
    v: Array,
    steps: int,
    sample_hidden: Callable[[Array], Array],
    sample_visible: Callable[[Array], Array],
) -> Array:
    """The state v after ``steps`` steps from v on, each h ~ p(h|v), then v ~ p(v|h).

    All rows of v are chains of their own, which move together.
    """
    if steps < 0:
        raise ValueError(f"a chain takes 0 steps or more, got {steps}")
    for _ in range(steps):
        v = sample_visible(sample_hidden(v))
    return v
