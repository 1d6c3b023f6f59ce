"""What the theorems are about, beyond what users may import: matrices, keys, layers, images."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scratchgen.gradcheck.strategies import (
    arrays,
    in_some_layout,
    seeds,
    shapes,
)


def sizes(low=0, high=4):
    """The length of an axis: by default it may be 0 or 1."""
    return st.integers(low, high)


def matrices(rows=None, columns=None):
    """Matrices, of drawn numbers of rows and columns where none are given."""
    return st.tuples(
        sizes() if rows is None else st.just(rows), sizes() if columns is None else st.just(columns)
    ).flatmap(lambda shape: arrays(shape))


@st.composite
def factors(draw):
    """Two arrays that have a product: vectors, matrices, and batches of them that broadcast."""
    n, m, k = draw(st.tuples(sizes(), sizes(), sizes()))
    rows, columns = draw(st.tuples(st.booleans(), st.booleans()))
    left, right = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=2, max_dims=2)
    ).input_shapes
    x = (*left, n, m) if rows else (m,)
    y = (*right, m, k) if columns else (m,)
    return draw(arrays(x)), draw(arrays(y))


@st.composite
def reductions(draw, empty=False, of=arrays, min_dims=0):
    """An array, and an axis (one, several, all) to reduce it along, never an empty one by default.

    Returns ``((x,), {"axis": …, "keepdims": …})``.
    """
    shape = draw(shapes(min_dims=min_dims))
    axes = st.sampled_from(range(-len(shape), len(shape))) if shape else st.just(0)
    several = st.lists(st.sampled_from(range(len(shape))), min_size=1, unique=True).map(tuple)
    axis = draw(st.none() | axes | several if shape else st.none())
    if not empty:
        named = range(len(shape)) if axis is None else np.atleast_1d(axis) % len(shape)
        shape = tuple(n or 2 if k in named else n for k, n in enumerate(shape))
    return (draw(of(shape)),), {"axis": axis, "keepdims": draw(st.booleans())}


@st.composite
def along_an_axis(draw):
    """An array and one of its axes, which is not empty: ``((z,), {"axis": …})``."""
    shape = draw(shapes(min_dims=1))
    axis = draw(st.sampled_from(range(-len(shape), len(shape))))
    shape = tuple(n or 3 if k == axis % len(shape) else n for k, n in enumerate(shape))
    return (draw(arrays(shape, (-4.0, 4.0))),), {"axis": axis}


@st.composite
def keys(draw, shape):
    """What may stand between brackets: numbers, slices, ``...``, ``None``, masks, integers."""
    basic = hnp.basic_indices(shape, allow_newaxis=True)
    if not shape:
        return draw(basic)
    number = len(shape)
    masks = seeds.map(lambda seed: np.random.default_rng(seed).random(shape) < 0.5)
    if 0 in shape:
        return draw(basic | masks)
    integers = hnp.integer_array_indices(
        shape[:1], result_shape=hnp.array_shapes(max_dims=2, max_side=4), dtype=np.int64
    )
    behind = integers.map(lambda key: (*(slice(None),) * (number - 1), key[0] % shape[-1]))
    return draw(basic | masks | integers | behind)


@st.composite
def sequences(draw):
    """Arrays to join along an axis: ``(arrays, {"axis": …})``."""
    shape = draw(shapes(min_dims=1))
    axis = draw(st.sampled_from(range(-len(shape), len(shape))))
    rows = [list(shape) for _ in range(draw(sizes(1, 3)))]
    for row in rows:
        row[axis] = draw(sizes())
    return tuple(draw(arrays(tuple(row))) for row in rows), {"axis": axis}


@st.composite
def affine_maps(draw):
    """Rows a: (n, inputs), weights W: (outputs, inputs), and b: (outputs,), or no b."""
    n, inputs, outputs = draw(st.tuples(sizes(), sizes(), sizes()))
    a, W, b = (n, inputs), (outputs, inputs), (outputs,)
    return tuple(draw(arrays(shape)) for shape in ((a, W, b) if draw(st.booleans()) else (a, W)))


def pairs(low, high):
    """A setting of both axes of an image: one integer, or one for each."""
    return st.integers(low, high) | st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw):
    """Images x, kernels W that fit into them, and b, or no b; with a stride and a padding.

    Any number of images, none too; kernels as large as the padded image; strides beyond them.
    """
    n, c_in, c_out = draw(st.tuples(sizes(0, 3), sizes(1, 3), sizes(1, 3)))
    kernel = draw(st.tuples(sizes(1), sizes(1)))
    stride, padding = draw(pairs(1, 5)), draw(pairs(0, 3))
    least = [max(1, k - 2 * p) for k, p in zip(kernel, np.broadcast_to(padding, 2), strict=True)]
    image = [size + draw(sizes(0, 6)) for size in least]
    x, W, b = (n, c_in, *image), (c_out, c_in, *kernel), (c_out,)
    inputs = (x, W, b) if draw(st.booleans()) else (x, W)
    return tuple(map(draw, map(arrays, inputs))), {"stride": stride, "padding": padding}


@st.composite
def transposed_convolutions(draw):
    """Images x, kernels W: (c_in, c_out, kh, kw), and b, or no b; with all three settings."""
    n, c_in, c_out = draw(st.tuples(sizes(0, 3), sizes(1, 3), sizes(1, 3)))
    stride, kernel = draw(st.tuples(sizes(1), sizes(1))), draw(st.tuples(sizes(1), sizes(1)))
    extra = tuple(draw(sizes(0, s - 1)) for s in stride)
    image = draw(st.tuples(sizes(1), sizes(1)))
    uncut = [(h - 1) * s + k + e for h, s, k, e in zip(image, stride, kernel, extra, strict=True)]
    padding = tuple(draw(sizes(0, min(3, (size - 1) // 2))) for size in uncut)
    x, W, b = (n, c_in, *image), (c_in, c_out, *kernel), (c_out,)
    inputs = (x, W, b) if draw(st.booleans()) else (x, W)
    settings = {"stride": stride, "padding": padding, "output_padding": extra}
    return tuple(map(draw, map(arrays, inputs))), settings


@st.composite
def labelled_logits(draw):
    """Logits (n, classes), and labels (n,) of some type of integers."""
    n, classes = draw(st.tuples(sizes(), sizes(1)))
    dtype = draw(st.sampled_from([np.int64, np.int32, np.uint8]))
    labels = np.random.default_rng(draw(seeds)).integers(0, classes, n).astype(dtype)
    return draw(arrays((n, classes), (-4.0, 4.0))), draw(in_some_layout(labels))


@st.composite
def integers_below(draw, high, shape=None, low=0):
    """Integers of some type from ``low`` to ``high`` − 1, some of them several times."""
    dtype = draw(st.sampled_from([np.int64, np.int32] + [np.uint8] * (low >= 0)))
    shape = draw(shapes(max_dims=2)) if shape is None else shape
    drawn = np.random.default_rng(draw(seeds)).integers(low, high, shape if high > low else 0)
    return draw(in_some_layout(drawn.astype(dtype)))


@st.composite
def selections(draw):
    """An array, integers that count from its start or its end, and an axis or none.

    Returns ``((x, indices), {"axis": …})``.
    """
    shape = draw(shapes(min_dims=1))
    axis = draw(st.none() | st.sampled_from(range(-len(shape), len(shape))))
    n = int(np.prod(shape)) if axis is None else shape[axis]
    return (draw(arrays(shape)), draw(integers_below(n, low=-n))), {"axis": axis}


@st.composite
def stacks(draw):
    """Arrays of one shape and a new axis: ``(arrays, {"axis": …})``."""
    shape = draw(shapes())
    axis = draw(st.sampled_from(range(-len(shape) - 1, len(shape) + 1)))
    return tuple(draw(arrays(shape)) for _ in range(draw(sizes(1, 3)))), {"axis": axis}


@st.composite
def margins(draw):
    """An array and the width of a margin, in one of NumPy's forms, with what it holds.

    Returns ``((x,), {"pad_width": …, "value": …})``.
    """
    x = draw(arrays(shapes(min_dims=1)))
    width = sizes(0, 2)
    pairs = st.tuples(*[st.tuples(width, width)] * x.ndim)
    forms = width | st.tuples(width, width) | pairs | st.lists(width, min_size=2, max_size=2)
    return (x,), {"pad_width": draw(forms), "value": draw(st.sampled_from([0.0, -1.5]))}


@st.composite
def poolings(draw, of=arrays):
    """Images (n, channels, rows, columns) and windows that fit: ``((x,), settings)``."""
    number = sizes(1, 3) | st.tuples(sizes(1, 3), sizes(1, 3))
    kernel, stride = draw(number), draw(st.none() | number)
    high, wide = np.broadcast_to(kernel, 2).tolist()
    padding = draw(sizes(0, min(high, wide) // 2) | st.tuples(sizes(0, high // 2), st.just(0)))
    up, left = np.broadcast_to(padding, 2).tolist()
    rows, columns = max(high - 2 * up, 1) + draw(sizes()), max(wide - 2 * left, 1) + draw(sizes())
    x = draw(of((draw(sizes(0, 2)), draw(sizes(1, 2)), rows, columns)))
    return (x,), {"kernel_size": kernel, "stride": stride, "padding": padding}


@st.composite
def images(draw, min_side=0):
    """Images (n, channels, rows, columns)."""
    return draw(arrays((draw(sizes(0, 2)), *draw(st.tuples(*[sizes(min_side, 3)] * 3)))))


@st.composite
def with_scale_and_shift(draw, x, shape):
    """x, then a weight and a bias of ``shape``, or one of them, or none."""
    weight, bias = draw(arrays(shape)), draw(arrays(shape))
    return draw(st.sampled_from([(x,), (x, weight), (x, weight, bias), (x, None, bias)]))


@st.composite
def layers_to_normalise(draw):
    """An array, its weight and bias over the last axes, and their number.

    Returns ``(inputs, {"axes": …, "eps": …})``.
    """
    lead, shape = draw(shapes(max_dims=2)), draw(shapes(1, 2, min_side=1))
    inputs = draw(with_scale_and_shift(draw(arrays((*lead, *shape))), shape))
    implied = len(inputs) > 1 or len(shape) == 1
    axes = draw(st.sampled_from([None, len(shape)])) if implied else len(shape)
    return inputs, {"axes": axes, "eps": draw(st.sampled_from([1e-5, 0.1]))}


@st.composite
def groups_to_normalise(draw):
    """An array (n, channels, …), its weight and bias per channel, and a number of groups.

    Returns ``(inputs, {"groups": …, "eps": …})``.
    """
    groups, size = draw(st.tuples(sizes(1, 3), sizes(1, 2)))
    x = draw(arrays((draw(sizes(0, 3)), groups * size, *draw(shapes(max_dims=2, min_side=1)))))
    inputs = draw(with_scale_and_shift(x, (groups * size,)))
    return inputs, {"groups": groups, "eps": draw(st.sampled_from([1e-5, 0.1]))}


@st.composite
def rows_of_a_table(draw):
    """Integers (…), and a matrix whose rows they number."""
    rows = draw(sizes())
    return draw(integers_below(rows)), draw(matrices(rows))


@st.composite
def cumulations(draw):
    """An array, and one of its axes or none: ``((x,), {"axis": …})``."""
    shape = draw(shapes(min_dims=1))
    return (draw(arrays(shape)),), {
        "axis": draw(st.none() | st.sampled_from(range(-len(shape), len(shape))))
    }


@st.composite
def repetitions(draw):
    """An array, and a shape that it fills when repeated: ``((x,), {"shape": …})``."""
    x = draw(arrays())
    drawn = hnp.mutually_broadcastable_shapes(
        num_shapes=1, base_shape=x.shape, min_side=0, max_side=3, max_dims=4
    )
    return (x,), {"shape": draw(drawn).result_shape}


@st.composite
def replacements(draw):
    """An array, what is written into it, and where: ``((x, y), {"key": …})``.

    No place is named twice, where a GPU leaves open what counts.
    """
    x = draw(arrays(shapes(min_dims=1)))
    once = st.lists(st.sampled_from(range(max(len(x), 1))), unique=True).map(
        lambda rows: np.array(rows[: len(x)], np.int64)
    )
    masks = seeds.map(lambda seed: np.random.default_rng(seed).random(x.shape) < 0.5)
    key = draw(hnp.basic_indices(x.shape, allow_newaxis=True) | once | masks)
    shape = x[key].shape
    part = st.integers(0, len(shape)).map(lambda k: shape[k:])
    return (x, draw(part.flatmap(arrays))), {"key": key}


@st.composite
def sums_of_products(draw):
    """Arrays and the letters of their axes, also implied, repeated and left to ``...``."""
    forms = "ij,jk->ik ij,jk i,i-> i,j->ij ij->ji ij-> ii->i ii ij,ij->i ijk,ij,k->j i,i,i->i"
    forms += " ...ij,...jk->...ik ...i->... ij...,j->i... bij,bj->bi iij->j ij,kl->il"
    subscripts = draw(st.sampled_from(forms.split()))
    lengths = {c: (draw(sizes(1, 3)),) for c in "ijklb"}
    lengths["."] = draw(st.tuples(sizes(1, 3)) | st.just(()))
    terms = subscripts.split("->")[0].replace("...", ".").split(",")
    shapes = [sum((lengths[c] for c in term), ()) for term in terms]
    return tuple(draw(arrays(shape)) for shape in shapes), {"subscripts": subscripts}


@st.composite
def square_matrices(draw):
    """One square matrix, or several."""
    n, several = draw(sizes(1, 4)), draw(st.just(()) | st.tuples(sizes(0, 2)))
    return (draw(arrays((*several, n, n))),)


def invertible():
    """Square matrices that are far from a singular one."""
    return square_matrices().map(lambda drawn: (drawn[0] + 9 * np.eye(drawn[0].shape[-1]),))


def positive_definite():
    """Positive definite matrices whose eigenvalues are apart; their upper triangle is not read."""

    def shifted(drawn):
        A = drawn[0] * 0.1
        return ((A + A.swapaxes(-1, -2)) / 2 + np.diag(np.arange(2.0, 2.0 + A.shape[-1])),)

    return square_matrices().map(shifted)


@st.composite
def systems(draw):
    """A matrix, or several, and a right-hand side: one vector, or columns."""
    (A,) = draw(invertible())
    one_vector = A.ndim == 2 and draw(st.booleans())
    shape = A.shape[-1:] if one_vector else (*A.shape[:-1], draw(sizes(0, 3)))
    return A, draw(arrays(shape))
