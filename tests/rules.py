"""Every rule beside its definition and its peer, and the law that its equations must obey.

``RULES[name]`` says what a rule is drawn from, what its value is in plain NumPy, what it is called
in PyTorch, and whether it is analytic, so that a complex step gives its derivative to rounding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from scipy import special

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import (
    arrays,
    broadcasting_arrays,
    distinct_arrays,
    samples,
    seeds,
)
from tests.strategies import (
    affine_maps,
    along_an_axis,
    convolutions,
    cumulations,
    factors,
    groups_to_normalise,
    images,
    invertible,
    keys,
    labelled_logits,
    layers_to_normalise,
    margins,
    poolings,
    positive_definite,
    reductions,
    repetitions,
    replacements,
    rows_of_a_table,
    selections,
    sequences,
    sizes,
    square_matrices,
    stacks,
    sums_of_products,
    systems,
    transposed_convolutions,
)

STEP = 1e-20  # of the complex step, where no digits are lost
HALF_STEP = float(np.cbrt(np.finfo(float).eps))  # of central differences


@dataclass(frozen=True)
class Seed:
    """In the settings, stands for a fresh generator on the device of the arrays."""

    number: int


@dataclass(frozen=True)
class Case:
    """A rule, what draws ``(inputs, settings)`` for it, and its two oracles."""

    examples: st.SearchStrategy
    definition: Callable
    in_torch: Callable
    analytic: bool = True


def is_real(x):
    """Whether ``x`` is an input that has a derivative."""
    return getattr(getattr(x, "dtype", None), "kind", None) == "f" and not np.isscalar(x)


def on(device, x):
    """``x``, and every array and generator within it, on ``device``."""
    if isinstance(x, Seed):
        return sg.generator(x.number, device)
    if isinstance(x, dict):
        return {name: on(device, value) for name, value in x.items()}
    if isinstance(x, tuple):
        return tuple(on(device, value) for value in x)
    return sg.to_device(x, device) if isinstance(x, np.ndarray) else x


def call(operation, inputs, settings):
    """The operation on ``inputs``, which some take as one sequence."""
    if operation in (ops.concatenate, ops.stack, ops.einsum):
        return operation(list(inputs), **settings)
    return operation(*inputs, **settings)


def value_and_shares(operation, inputs, settings, delta=None, device="cpu"):
    """The value on plain arrays, and δ's share for every real input, on ``device``.

    ``delta(value)`` makes the δ.
    """
    inputs = on(device, tuple(inputs))
    lifted = [sg.Tensor(x) if is_real(x) else x for x in inputs]
    recorded = call(operation, lifted, on(device, settings))
    wrt = [x for x in lifted if isinstance(x, sg.Tensor)]
    shares = sg.gradient(recorded, wrt, delta=on(device, delta))
    return call(operation, inputs, on(device, settings)), shares


def random_delta(value, seed, dtype=np.float64):
    """A random δ for ``value``, read-only."""
    delta = np.asarray(np.random.default_rng(seed).standard_normal(value.shape), dtype)
    delta.flags.writeable = False
    return delta


def derivative_along(operation, inputs, settings, k, v, analytic):
    """J v: how the value changes as input ``k`` moves along ``v``."""

    def value(x):
        moved = [*inputs[:k], x, *inputs[k + 1 :]]
        if analytic:
            moved = [x.astype(complex) if is_real(x) else x for x in moved]
        return operation.rule(*moved, **on("cpu", settings))[0]

    if analytic:
        return value(inputs[k] + 1j * STEP * v).imag / STEP
    ahead, behind = value(inputs[k] + HALF_STEP * v), value(inputs[k] - HALF_STEP * v)
    return (ahead - behind) / (2 * HALF_STEP)


def adjoint_defect(operation, inputs, settings, seed, analytic=True):
    """The largest violation of ⟨δ, J v⟩ = ⟨Jᵀδ, v⟩, relative to the sizes of what is added up.

    For one random δ, every real input, and three random v: one alone may happen to be orthogonal.
    """
    value = call(operation, inputs, on("cpu", settings))
    delta, rng = random_delta(np.asarray(value), seed), np.random.default_rng([seed, 1])
    _, shares = value_and_shares(operation, inputs, settings, delta)
    real, largest = [k for k, x in enumerate(inputs) if is_real(x)], 0.0
    for k, share in [*zip(real, shares, strict=True)] * 3:
        v = rng.standard_normal(inputs[k].shape)
        forward = delta * derivative_along(operation, inputs, settings, k, v, analytic)
        backward = share * v
        size = np.abs(forward).sum() + np.abs(backward).sum()
        if size:
            largest = max(largest, abs(forward.sum() - backward.sum()) / size)
    return float(largest)


def inputs_of(strategy, **settings):
    """Draw the inputs from ``strategy``, each setting from its own."""
    return st.tuples(strategy, st.fixed_dictionaries(settings))


def one(*within):
    """One array, its numbers from the intervals ``within``."""
    return arrays(None, *within).map(lambda x: (x,))


ALL = ()
POSITIVE = ((0.3, 3.0),)
NOT_ZERO = ((-3.0, -0.2), (0.2, 3.0))
WIDE = ((-30.0, 30.0),)
UNSATURATED = ((-5.0, 5.0),)  # so that σ′ has most of its digits left


@st.composite
def apart(draw):
    """Two arrays that broadcast, and nowhere come close to each other."""
    x, y = draw(broadcasting_arrays(ALL, ALL))
    return draw(distinct_arrays(x.shape)), draw(distinct_arrays(y.shape, 0.5))


@st.composite
def reshapings(draw):
    x = draw(arrays())
    rest = draw(st.sampled_from([(-1,), (1, -1), (*x.shape[::-1],), (*x.shape, 1), x.size]))
    return (x,), {"shape": rest if x.size else x.shape[::-1]}


@st.composite
def transpositions(draw):
    x = draw(arrays())
    order = draw(st.permutations(range(x.ndim)))
    return (x,), {"axes": draw(st.sampled_from([None, order, [k - x.ndim for k in order]]))}


@st.composite
def picks(draw):
    x = draw(arrays())
    return (x,), {"key": draw(keys(x.shape))}


def choices():
    """A condition, and two arrays to choose from."""
    return broadcasting_arrays(ALL, ALL, ALL).map(
        lambda drawn: (np.asarray(drawn[0] > 0), *drawn[1:])
    )


def powers():
    """Any positive base, any base but 0 to an integer, and a number to any power."""
    integers = st.tuples(arrays(None, *NOT_ZERO), st.sampled_from([-2, -1, 0, 1, 2, 3]))
    of_a_number = st.tuples(st.sampled_from([0.5, 2, 3.0]), arrays())
    return inputs_of(broadcasting_arrays(POSITIVE, ALL) | integers | of_a_number)


def per_sample(cost):
    """Summed over all axes but the first; of NumPy's arrays and of PyTorch's."""
    return cost.sum(tuple(range(1, cost.ndim))) if cost.ndim > 1 else cost


def torch_dims(axis, x):
    return tuple(range(x.ndim)) if axis is None else axis


def torch_transpose(torch, x, axes):
    return x.permute(tuple(range(x.ndim)[::-1] if axes is None else axes))


def torch_getitem(torch, x, key):
    places = np.arange(x.numel()).reshape(x.shape)[key]
    return x.reshape(-1)[torch.tensor(np.array(places))]


def pooled(reduce, margin):
    """The definition of pooling: window after window."""

    def value(x, kernel_size, stride, padding):
        (high, wide), (up, left) = np.broadcast_to(kernel_size, 2), np.broadcast_to(padding, 2)
        down, right = (high, wide) if stride is None else np.broadcast_to(stride, 2)
        x = np.pad(x, ((0, 0), (0, 0), (up, up), (left, left)), constant_values=margin)
        z = [
            [
                reduce(x[:, :, i : i + high, j : j + wide], axis=(2, 3))
                for j in range(0, x.shape[3] - wide + 1, right)
            ]
            for i in range(0, x.shape[2] - high + 1, down)
        ]
        return np.moveaxis(np.array(z), (0, 1), (2, 3))

    return value


def normalised(x, weight, bias, axes, eps):
    x = x - x.mean(axis=axes, keepdims=True)
    x = x / np.sqrt(np.mean(x**2, axis=axes, keepdims=True) + eps)
    return x * (1 if weight is None else weight) + (0 if bias is None else bias)


def layer_normalised(x, weight=None, bias=None, *, axes, eps):
    axes = next((p.ndim for p in (weight, bias) if p is not None), axes or 1)
    return normalised(x, weight, bias, tuple(range(-axes, 0)), eps)


def group_normalised(x, weight=None, bias=None, *, groups, eps):
    each = (-1,) + (1,) * (x.ndim - 2)
    weight, bias = [None if p is None else p.reshape(each) for p in (weight, bias)]
    size = x.shape[1] // groups
    z = np.array(x)
    for k in range(groups):
        part = slice(k * size, (k + 1) * size)
        z[:, part] = normalised(x[:, part], None, None, tuple(range(1, x.ndim)), eps)
    return z * (1 if weight is None else weight) + (0 if bias is None else bias)


def torch_layer_norm(torch, x, weight=None, bias=None, *, axes, eps):
    axes = next((p.ndim for p in (weight, bias) if p is not None), axes or 1)
    return torch.nn.functional.layer_norm(x, x.shape[x.ndim - axes :], weight, bias, eps)


def torch_group_norm(torch, x, weight=None, bias=None, *, groups, eps):
    if weight is None and bias is not None:  # of no samples, PyTorch then has no gradient
        weight = torch.ones_like(bias)
    return torch.group_norm(x, groups, weight, bias, eps)


def torch_pad(torch, x, pad_width, value):
    widths = np.broadcast_to(pad_width, (x.ndim, 2))[::-1].reshape(-1).tolist()
    return torch.nn.functional.pad(x, widths, value=value)


def torch_upsample(torch, x, high, wide):
    return x.repeat_interleave(int(high), 2).repeat_interleave(int(wide), 3)


def torch_take(torch, x, indices, axis):
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis % x.ndim)
    picked = x.index_select(axis, indices.long().reshape(-1) % max(x.shape[axis], 1))
    return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def dropout_mask(a, p, rng):
    if rng is None:
        return np.ones_like(a)
    return (rng.random(a.shape, dtype=np.float32) >= p) / (1 - p)


def torch_bernoulli(torch, z, x):
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    return per_sample(loss(*torch.broadcast_tensors(z, x), reduction="none"))


def torch_normal(torch, mu, log_var):
    return torch.distributions.Normal(mu, torch.exp(0.5 * log_var), validate_args=False)


def torch_kl(torch, mu, log_var):
    standard = torch_normal(torch, torch.zeros_like(mu), torch.zeros_like(mu))
    q = torch_normal(torch, mu, log_var)
    return per_sample(torch.distributions.kl_divergence(q, standard))


def convolution(x, W, b=0, *, stride, padding):
    """y = b + Σ W x, from place to place of the kernel, as the docstring prints it."""
    (n, _, *image), (c_out, _, *kernel) = x.shape, W.shape
    (s, t), (p, q) = np.broadcast_to(stride, 2), np.broadcast_to(padding, 2)
    height = (image[0] + 2 * p - kernel[0]) // s + 1
    width = (image[1] + 2 * q - kernel[1]) // t + 1
    y = np.zeros((n, c_out, height, width)) + np.reshape(b, (-1, 1, 1))
    for i, j, k, m in np.ndindex(height, width, *kernel):
        row, column = s * i + k - p, t * j + m - q
        if 0 <= row < image[0] and 0 <= column < image[1]:
            y[:, :, i, j] += x[:, :, row, column] @ W[:, :, k, m].T
    return y


def transposed_convolution(x, W, b=0, *, stride, padding, output_padding):
    """y = b + Σ W x, each x spread over the places that it would be gathered from."""
    (n, _, *image), (_, c_out, *kernel) = x.shape, W.shape
    (s, t), (p, q), (e, f) = (np.broadcast_to(z, 2) for z in (stride, padding, output_padding))
    height = (image[0] - 1) * s - 2 * p + kernel[0] + e
    width = (image[1] - 1) * t - 2 * q + kernel[1] + f
    y = np.zeros((n, c_out, height, width)) + np.reshape(b, (-1, 1, 1))
    for i, j, k, m in np.ndindex(*image, *kernel):
        row, column = s * i + k - p, t * j + m - q
        if 0 <= row < height and 0 <= column < width:
            y[:, :, row, column] += x[:, :, i, j] @ W[:, :, k, m]
    return y


def torch_convolution(torch, x, W, b=None, **settings):
    return torch.nn.functional.conv2d(x, W, b, **settings)


def torch_transposed_convolution(torch, x, W, b=None, **settings):
    return torch.nn.functional.conv_transpose2d(x, W, b, **settings)


def elementary(name, within):
    """A function of one number, called the same in NumPy and in PyTorch."""
    return Case(inputs_of(one(within)), getattr(np, name), lambda torch, x: getattr(torch, name)(x))


def torch_prod(torch, x, axis, keepdims):
    axes = sorted(k % x.ndim for k in np.ravel(torch_dims(axis, x)).tolist())
    for k in reversed(axes):
        x = x.prod(k, keepdim=keepdims)
    return x


def set_item(x, y, key):
    z = np.array(x)
    z[key] = y
    return z


def torch_setitem(torch, x, y, key):
    places = np.arange(x.numel()).reshape(x.shape)[key]
    z = x.reshape(-1).clone()
    z[torch.tensor(np.array(places))] = torch.broadcast_to(torch.as_tensor(y), places.shape)
    return z.reshape(x.shape)


RULES = {
    # arithmetic
    "add": Case(inputs_of(broadcasting_arrays(ALL, ALL)), np.add, lambda t, x, y: x + y),
    "subtract": Case(inputs_of(broadcasting_arrays(ALL, ALL)), np.subtract, lambda t, x, y: x - y),
    "multiply": Case(inputs_of(broadcasting_arrays(ALL, ALL)), np.multiply, lambda t, x, y: x * y),
    "divide": Case(inputs_of(broadcasting_arrays(ALL, NOT_ZERO)), np.divide, lambda t, x, y: x / y),
    "negative": Case(inputs_of(one()), np.negative, lambda t, x: -x),
    "power": Case(powers(), lambda x, y: np.asarray(x, float) ** y, lambda t, x, y: x**y),
    "matmul": Case(inputs_of(factors()), np.matmul, lambda t, x, y: x @ y),
    "exp": Case(inputs_of(one(*WIDE)), np.exp, lambda t, x: t.exp(x)),
    "log": Case(inputs_of(one(*POSITIVE)), np.log, lambda t, x: t.log(x)),
    "sqrt": Case(inputs_of(one(*POSITIVE)), np.sqrt, lambda t, x: t.sqrt(x)),
    "square": Case(inputs_of(one()), lambda x: x * x, lambda t, x: x**2),
    # piecewise
    "absolute": Case(inputs_of(one(*NOT_ZERO)), np.abs, lambda t, x: x.abs(), analytic=False),
    "maximum": Case(inputs_of(apart()), np.maximum, lambda t, x, y: t.maximum(x, y)),
    "minimum": Case(inputs_of(apart()), np.minimum, lambda t, x, y: t.minimum(x, y)),
    "where": Case(inputs_of(choices()), np.where, lambda t, c, x, y: t.where(c, x, y)),
    "clip": Case(
        inputs_of(
            one((-2.0, -1.1), (-0.9, 0.4), (0.6, 2.0)),
            lower=st.sampled_from([None, -1, -1.0]),
            upper=st.just(0.5),
        ),
        lambda x, lower, upper: np.where(x > upper, upper, np.where(x < (lower or -9), -1.0, x)),
        lambda t, x, lower, upper: t.clamp(x, lower, upper),
    ),
    # elementary
    "log1p": elementary("log1p", (-0.7, 3.0)),
    "expm1": elementary("expm1", (-5.0, 5.0)),
    "logaddexp": Case(
        inputs_of(broadcasting_arrays(ALL, ALL)),
        lambda x, y: np.maximum(x, y) + np.log1p(np.exp(-np.abs(x - y))),
        lambda t, x, y: t.logaddexp(x, y),
        analytic=False,
    ),
    "sin": elementary("sin", (-7.0, 7.0)),
    "cos": elementary("cos", (-7.0, 7.0)),
    "tan": elementary("tan", (-1.3, 1.3)),
    "arcsin": elementary("arcsin", (-0.95, 0.95)),
    "arccos": elementary("arccos", (-0.95, 0.95)),
    "arctan": elementary("arctan", (-7.0, 7.0)),
    "arctan2": Case(
        inputs_of(broadcasting_arrays(NOT_ZERO, NOT_ZERO)),
        lambda y, x: np.angle(x + 1j * y),
        lambda t, y, x: t.arctan2(y, x),
        analytic=False,
    ),
    "sinh": elementary("sinh", (-5.0, 5.0)),
    "cosh": elementary("cosh", (-5.0, 5.0)),
    "arcsinh": elementary("arcsinh", (-7.0, 7.0)),
    "arccosh": elementary("arccosh", (1.2, 7.0)),
    "arctanh": elementary("arctanh", (-0.9, 0.9)),
    "erf": Case(
        inputs_of(one((-3.0, 3.0))), np.vectorize(math.erf, otypes="d"), lambda t, x: t.erf(x)
    ),
    "erfc": Case(
        inputs_of(one((-3.0, 3.0))), np.vectorize(math.erfc, otypes="d"), lambda t, x: t.erfc(x)
    ),
    "gammaln": Case(
        inputs_of(one(*POSITIVE)),
        np.vectorize(math.lgamma, otypes="d"),
        lambda t, x: t.lgamma(x),
        analytic=False,
    ),
    "digamma": Case(
        inputs_of(one(*POSITIVE)),
        lambda x: special.polygamma(0, x),
        # further to the right, where PyTorch's derivative has all its digits
        lambda t, x: t.digamma(x + 20) - sum(1 / (x + k) for k in range(20)),
        analytic=False,
    ),
    "xlogy": Case(
        inputs_of(broadcasting_arrays(ALL, POSITIVE)),
        lambda x, y: x * np.log(y),
        lambda t, x, y: t.special.xlogy(x, y),
    ),
    # activations
    "sigmoid": Case(
        inputs_of(one(*UNSATURATED)), lambda z: 1 / (1 + np.exp(-z)), lambda t, z: t.sigmoid(z)
    ),
    "tanh": Case(
        inputs_of(one(*UNSATURATED)),
        lambda z: np.expm1(2 * z) / (np.expm1(2 * z) + 2),
        lambda t, z: t.tanh(z),
    ),
    "relu": Case(inputs_of(one(*NOT_ZERO)), lambda z: z * (z > 0), lambda t, z: t.relu(z)),
    "leaky_relu": Case(
        inputs_of(one(*NOT_ZERO), slope=st.sampled_from([0.01, 0.2, 1.5, 0])),
        lambda z, slope: np.where(z > 0, z, slope * z),
        lambda t, z, slope: t.nn.functional.leaky_relu(z, slope),
    ),
    "elu": Case(
        inputs_of(one(*NOT_ZERO), alpha=st.sampled_from([1.0, 0.3])),
        lambda z, alpha: np.where(z > 0, z, alpha * (np.exp(z) - 1)),
        lambda t, z, alpha: t.nn.functional.elu(z, alpha),
    ),
    "softplus": Case(
        inputs_of(one((-30.0, -0.1), (0.1, 30.0))),
        lambda z: np.logaddexp(0, z),
        lambda t, z: t.logaddexp(z, t.zeros_like(z)),
        analytic=False,
    ),
    "silu": Case(
        inputs_of(one(*WIDE)), lambda z: z / (1 + np.exp(-z)), lambda t, z: t.nn.functional.silu(z)
    ),
    "gelu": Case(
        inputs_of(one(*WIDE)),
        lambda z: np.vectorize(lambda z: z * math.erfc(-z / math.sqrt(2)) / 2, otypes="d")(z),
        lambda t, z: t.nn.functional.gelu(z),
    ),
    "softmax": Case(
        along_an_axis(),
        lambda z, axis: np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True),
        lambda t, z, axis: t.softmax(z, axis),
    ),
    "log_softmax": Case(
        along_an_axis(),
        lambda z, axis: z - np.log(np.exp(z).sum(axis=axis, keepdims=True)),
        lambda t, z, axis: t.log_softmax(z, axis),
    ),
    # shaping
    "sum": Case(
        reductions(empty=True),
        np.sum,
        lambda t, x, axis, keepdims: x.sum(torch_dims(axis, x), keepdims),
    ),
    "mean": Case(
        reductions(), np.mean, lambda t, x, axis, keepdims: x.mean(torch_dims(axis, x), keepdims)
    ),
    "max": Case(
        reductions(of=distinct_arrays),
        np.max,
        lambda t, x, axis, keepdims: x.amax(torch_dims(axis, x), keepdims),
    ),
    "min": Case(
        reductions(of=distinct_arrays),
        np.min,
        lambda t, x, axis, keepdims: x.amin(torch_dims(axis, x), keepdims),
    ),
    "logsumexp": Case(
        reductions(),
        lambda x, axis, keepdims: np.logaddexp.reduce(x, axis, keepdims=keepdims),
        lambda t, x, axis, keepdims: t.logsumexp(x, torch_dims(axis, x), keepdims),
    ),
    "prod": Case(reductions(), np.prod, torch_prod),
    "cumsum": Case(
        cumulations(),
        np.cumsum,
        lambda t, x, axis: t.cumsum(x.reshape(-1), 0) if axis is None else t.cumsum(x, axis),
    ),
    "broadcast_to": Case(
        repetitions(),
        lambda x, shape: x + np.zeros(shape),
        lambda t, x, shape: t.broadcast_to(x, shape),
    ),
    "reshape": Case(
        reshapings(), lambda x, shape: np.reshape(x, shape), lambda t, x, shape: x.reshape(shape)
    ),
    "transpose": Case(transpositions(), np.transpose, torch_transpose),
    "getitem": Case(picks(), lambda x, key: x[key], torch_getitem),
    "setitem": Case(replacements(), set_item, torch_setitem, analytic=False),
    "take": Case(selections(), np.take, torch_take),
    "stack": Case(
        stacks(), lambda *x, axis: np.stack(x, axis), lambda t, *x, axis: t.stack(x, axis)
    ),
    "pad": Case(
        margins(),
        lambda x, pad_width, value: np.pad(x, pad_width, constant_values=value),
        torch_pad,
    ),
    "concatenate": Case(
        sequences(),
        lambda *x, axis: np.concatenate(x, axis),
        lambda t, *x, axis: t.cat(x, axis),
    ),
    # linear algebra
    "einsum": Case(
        sums_of_products(),
        lambda *x, subscripts: np.einsum(subscripts, *x),
        lambda t, *x, subscripts: t.einsum(subscripts, *x),
    ),
    "inv": Case(inputs_of(invertible()), np.linalg.inv, lambda t, A: t.linalg.inv(A)),
    "solve": Case(
        inputs_of(systems()),
        lambda A, b: np.linalg.inv(A) @ b,
        lambda t, A, b: t.linalg.inv(A) @ b,
    ),
    "det": Case(inputs_of(square_matrices()), np.linalg.det, lambda t, A: t.linalg.det(A)),
    "logdet": Case(
        inputs_of(invertible()),
        lambda A: np.log(np.abs(np.linalg.det(A))),
        lambda t, A: t.linalg.slogdet(A)[1],
        analytic=False,
    ),
    "cholesky": Case(
        inputs_of(positive_definite()),
        np.linalg.cholesky,
        lambda t, A: t.linalg.cholesky(t.tril(A) + t.tril(A, -1).mT),
        analytic=False,
    ),
    "eigvalsh": Case(
        inputs_of(positive_definite()),
        np.linalg.eigvalsh,
        lambda t, A: t.linalg.eigvalsh(t.tril(A) + t.tril(A, -1).mT),
        analytic=False,
    ),
    # layers
    "affine": Case(
        inputs_of(affine_maps()),
        lambda a, W, b=0: np.einsum("ni,oi->no", a, W) + b,
        lambda t, a, W, b=None: t.nn.functional.linear(a, W, b),
    ),
    "dropout": Case(
        inputs_of(
            one(),
            p=st.sampled_from([0, 0.2, 0.5, 0.9]),
            rng=st.none() | seeds.map(Seed),
        ),
        lambda a, p, rng: a * dropout_mask(a, p, rng),
        lambda t, a, p, rng: a * t.tensor(dropout_mask(a.detach().numpy(), p, rng)),
    ),
    "embedding": Case(
        inputs_of(rows_of_a_table()),
        lambda k, W: (k[..., None] == np.arange(len(W))) @ W,
        lambda t, k, W: t.nn.functional.embedding(k.long(), W),
    ),
    # pooling
    "max_pool2d": Case(
        poolings(of=distinct_arrays),
        pooled(np.max, -np.inf),
        lambda t, x, **settings: t.nn.functional.max_pool2d(x, **settings),
    ),
    "avg_pool2d": Case(
        poolings(),
        pooled(np.mean, 0),
        lambda t, x, **settings: t.nn.functional.avg_pool2d(x, **settings),
    ),
    "upsample_nearest2d": Case(
        inputs_of(
            images().map(lambda x: (x,)),
            scale_factor=sizes(1, 3) | st.tuples(sizes(1, 3), sizes(1, 3)),
        ),
        lambda x, scale_factor: np.kron(x, np.ones(np.broadcast_to(scale_factor, 2))),
        lambda t, x, scale_factor: torch_upsample(t, x, *np.broadcast_to(scale_factor, 2)),
    ),
    # normalisation
    "layer_norm": Case(layers_to_normalise(), layer_normalised, torch_layer_norm),
    "group_norm": Case(
        groups_to_normalise(),
        group_normalised,
        torch_group_norm,
    ),
    # convolutions
    "conv2d": Case(convolutions(), convolution, torch_convolution),
    "conv2d_direct": Case(convolutions(), convolution, torch_convolution),
    "conv_transpose2d": Case(
        transposed_convolutions(), transposed_convolution, torch_transposed_convolution
    ),
    "conv_transpose2d_direct": Case(
        transposed_convolutions(), transposed_convolution, torch_transposed_convolution
    ),
    # costs
    "squared_error": Case(
        inputs_of(samples(ALL, ALL)),
        lambda y, t: per_sample((y - t) ** 2 / 2),
        lambda torch, y, t: per_sample((y - t) ** 2 / 2),
    ),
    "cross_entropy": Case(
        inputs_of(labelled_logits()),
        lambda z, k: np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), k],
        lambda t, z, k: t.nn.functional.cross_entropy(z, k.long(), reduction="none"),
    ),
    "bernoulli_nll": Case(
        inputs_of(samples(((-9.0, -0.1), (0.1, 9.0)), ((0.0, 1.0),))),
        lambda z, x: -per_sample(x * np.log(1 / (1 + np.exp(-z))) - (1 - x) * np.log1p(np.exp(z))),
        torch_bernoulli,
        analytic=False,
    ),
    "gaussian_nll": Case(
        inputs_of(samples(ALL, ALL, ALL)),
        lambda mu, log_var, x: per_sample(
            -np.log(np.exp(-((x - mu) ** 2) / 2 / np.exp(log_var)))
            + np.log(np.sqrt(2 * math.pi * np.exp(log_var)))
        ),
        lambda t, mu, log_var, x: -per_sample(torch_normal(t, mu, log_var).log_prob(x)),
    ),
    "gaussian_kl": Case(
        inputs_of(samples(ALL, ALL)),
        lambda mu, log_var: per_sample(mu**2 + np.exp(log_var) - 1 - log_var) / 2,
        torch_kl,
    ),
}
