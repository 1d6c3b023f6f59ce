"""Inputs for property tests of your own rules, networks and costs, with hypothesis.

    from hypothesis import given
    from scratchgen.gradcheck.strategies import arrays, broadcasting_arrays

    @given(broadcasting_arrays((), ((0.3, 3.0),)))
    def test_my_rule(inputs):
        scratchgen.assert_gradient(my_rule, *inputs)

The arrays are read-only, so that a test also proves that no code writes into them. They have all
memory layouts, and also axes of length 0 and 1. Hypothesis draws the shape, the layout and a seed.
The seed determines the values: these have similar sizes, and a failure shrinks to the smallest
shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ..backend import Array

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "scratchgen.gradcheck.strategies needs hypothesis: pip install hypothesis"
    ) from None

__all__ = [
    "arrays",
    "broadcastable_shapes",
    "broadcasting_arrays",
    "distinct_arrays",
    "in_some_layout",
    "samples",
    "seeds",
    "shapes",
]

Interval: TypeAlias = tuple[float, float]
Shape: TypeAlias = tuple[int, ...]

seeds: st.SearchStrategy[int] = st.integers(0, 2**32 - 1)
"""Seeds of random generators."""


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0) -> st.SearchStrategy[Shape]:
    """Shapes, including axes of length 0 and 1."""
    drawn = hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=4)
    return drawn | st.just((2, 3)[:max_dims])


def broadcastable_shapes(number: int = 2) -> st.SearchStrategy[tuple[Shape, ...]]:
    """This number of shapes that NumPy broadcasts against each other."""
    drawn = hnp.mutually_broadcastable_shapes(num_shapes=number, min_side=0, max_side=3, max_dims=3)
    return drawn.map(lambda shapes: shapes.input_shapes)


@st.composite
def in_some_layout(draw: st.DrawFn, array: Array) -> Array:
    """``array``, read-only, contiguous or not."""
    array = np.asarray(array)
    layout = draw(st.sampled_from(["C", "F", "reversed", "every second"]))
    if layout == "reversed" and array.ndim:
        array = np.flip(np.flip(array).copy())
    elif layout == "every second" and array.ndim:
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    else:
        array = np.array(array, order="F" if layout == "F" else "C")
    array.flags.writeable = False
    return array


@st.composite
def arrays(
    draw: st.DrawFn, shape: Shape | st.SearchStrategy[Shape] | None = None, *within: Interval
) -> Array:
    """Real numbers from the intervals ``within``, by default from −2 to 2, around a kink at 0.

    ``shape`` is a shape, a strategy for a shape, or None for any shape.
    """
    shape = shapes() if shape is None else shape
    size = shape if isinstance(shape, tuple) else draw(shape)
    rng = np.random.default_rng(draw(seeds))
    bounds = np.array(within or [(-2.0, 2.0)])
    low, high = bounds.T[:, rng.integers(len(bounds), size=size)]
    return draw(in_some_layout(low + (high - low) * rng.random(size)))


@st.composite
def distinct_arrays(draw: st.DrawFn, shape: Shape, offset: float = 0.0) -> Array:
    """Arrays in which all numbers differ by at least 1/100, for any ``offset`` in [0, 1).

    Numbers of arrays with different offsets differ so too. They suit rules with a kink where two
    numbers are equal, such as the maximum.
    """
    rng = np.random.default_rng(draw(seeds))
    size = int(np.prod(shape))
    steps = rng.permutation(np.arange(size) - size // 2) + offset
    return draw(in_some_layout((0.2 * steps + rng.uniform(0, 0.01, size)).reshape(shape)))


@st.composite
def broadcasting_arrays(draw: st.DrawFn, *intervals: Sequence[Interval]) -> tuple[Array, ...]:
    """Arrays that broadcast against each other, each from its own intervals; ``()`` for any."""
    drawn = draw(broadcastable_shapes(len(intervals)))
    return tuple(
        draw(arrays(shape, *within)) for shape, within in zip(drawn, intervals, strict=True)
    )


@st.composite
def samples(
    draw: st.DrawFn, *intervals: Sequence[Interval], whole: Sequence[int] = ()
) -> tuple[Array, ...]:
    """Arrays for a cost: n samples first; an array may broadcast over some of the axes.

    At least one array, and those with their number in ``whole``, have the full shape.
    """
    shape = draw(shapes(min_dims=1))
    largest = draw(st.sampled_from(range(len(intervals))))
    drawn = []
    for k, within in enumerate(intervals):
        kept = draw(st.integers(0, len(shape)))
        smaller = tuple(1 if draw(st.booleans()) else n for n in shape)[kept:]
        full = k == largest or k in whole or draw(st.booleans())
        drawn.append(draw(arrays(shape if full else smaller, *within)))
    return tuple(drawn)
