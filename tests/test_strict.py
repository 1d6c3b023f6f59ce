"""The stand-in for CuPy is strict: nothing crosses between host and device unasked."""

import copy
import operator
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests import strict

cupy = strict.cupy
HOST = np.arange(1.0, 7.0).reshape(2, 3)

BINARY = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod),
    *(operator.pow, operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge),
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow, divmod),
    *(np.maximum, np.minimum, np.logaddexp, np.arctan2, np.copysign, np.logical_and),
]
UNARY = [
    *(np.exp, np.log, np.sqrt, np.tanh, np.square, np.absolute, np.sign, np.isfinite, np.expm1),
    *(operator.neg, operator.pos, abs),
]
FUNCTIONS = {
    "sum": lambda x: np.sum(x),
    "sum over an axis": lambda x: np.sum(x, axis=0, keepdims=True),
    "mean": lambda x: x.mean(axis=-1),
    "var": lambda x: x.var(axis=1, ddof=0),
    "max": lambda x: np.max(x, axis=0),
    "argmax": lambda x: x.argmax(axis=1),
    "argsort": lambda x: np.argsort(x, axis=0, kind="stable"),
    "cumsum": lambda x: np.cumsum(x, axis=1),
    "concatenate": lambda x: np.concatenate([x, 2 * x], axis=1),
    "stack": lambda x: np.stack([x, x]),
    "split": lambda x: np.split(x, [1], axis=0),
    "where": lambda x: np.where(x > 0, x, 0),
    "nonzero": lambda x: np.nonzero(x),
    "clip": lambda x: np.clip(x, -1, 1),
    "pad": lambda x: np.pad(x, ((1, 1), (0, 2))),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "tensordot": lambda x: np.tensordot(x, x, axes=([1], [1])),
    "matmul": lambda x: x @ x.T,
    "outer": lambda x: np.outer(x, x),
    "ufunc outer": lambda x: np.subtract.outer(x[0], x[0]),
    "ufunc reduce": lambda x: np.add.reduce(x, axis=1),
    "norm": lambda x: np.linalg.norm(x, axis=1),
    "transpose": lambda x: np.transpose(x, (1, 0))[::-1],
    "moveaxis": lambda x: np.moveaxis(x[None], 0, -1),
    "reshape": lambda x: x.reshape(-1).reshape((1, -1)),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, *x.shape)),
    "take": lambda x: np.take(x, np.asarray([0, 0], like=x), axis=1),
    "take_along_axis": lambda x: np.take_along_axis(x, np.argsort(x, 1), 1),
    "mask": lambda x: x[x > 0],
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, (1, 1)),
    "repeat": lambda x: np.repeat(x, 2, axis=0),
    "tile": lambda x: np.tile(x, (2, 1)),
    "astype": lambda x: x.astype(np.float32),
    "zeros_like": lambda x: np.zeros_like(x, dtype=int),
    "zeros": lambda x: np.zeros((2, 3), like=x),
    "full_like": lambda x: np.full_like(x, 7.0, shape=(2,)),
    "identity": lambda x: np.identity(3, like=x),
    "arange": lambda x: np.arange(4, like=x),
    "array": lambda x: np.array(x, like=x),
    "shape": lambda x: np.shape(x),
    "result_type": lambda x: np.result_type(x, np.float32),
    "allclose": lambda x: np.allclose(x, x),
    "divmod": lambda x: divmod(x, 3.0),
    "len": lambda x: len(x),
    "iteration": lambda x: list(x),
    "real": lambda x: [x.real, x.imag, x.size, x.ndim, x.dtype, x.strides, x.nbytes],
}


@pytest.fixture
def x():
    return cupy.asarray(HOST)


def same(device, host):
    """Equal values, types and structure, and every number of an array still on the device."""
    if isinstance(host, (tuple, list)):
        assert type(device) is type(host)
        assert len(device) == len(host)
        return all(map(same, device, host))
    if isinstance(device, strict.StrictArray):
        host = np.asarray(host)
        assert device.dtype == host.dtype
        assert device.shape == host.shape
        return np.array_equal(device.get(), host, equal_nan=host.dtype.kind == "f")
    assert not isinstance(host, (np.ndarray, np.generic))
    return device == host


def matrices():
    elements = st.floats(-1e3, 1e3, allow_subnormal=False)
    return hnp.arrays(
        np.float64, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=elements
    )


@pytest.mark.parametrize("name", FUNCTIONS)
@given(a=matrices())
def test_a_function_gives_what_numpy_gives(name, a):
    assert same(FUNCTIONS[name](cupy.asarray(a)), FUNCTIONS[name](a))


@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
@given(a=matrices())
def test_a_unary_ufunc_gives_what_numpy_gives_and_warns_of_nothing(f, a):
    with np.errstate(all="ignore"):
        expected = f(a)
    assert same(f(cupy.asarray(a)), expected)


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
@given(a=matrices())
def test_a_binary_ufunc_gives_what_numpy_gives(f, a):
    for other in (a.copy(), a[:1], 2.0, np.float64(3.0)):
        on_device = cupy.asarray(other) if isinstance(other, np.ndarray) else other
        # NumPy's own ** takes squares and roots another way than its power, by a rounding.
        g = np.power if f in (operator.pow, operator.ipow) else f
        with np.errstate(all="ignore"):
            expected = g(a.copy(), other)
        assert same(f(cupy.asarray(a), on_device), expected)


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
@pytest.mark.parametrize("host", [HOST, HOST[0], np.array(2.0), [1.0, 2.0, 3.0]])
def test_a_binary_ufunc_refuses_a_host_operand(f, host, x):
    if f not in (operator.eq, operator.ne) or isinstance(host, np.ndarray):
        with pytest.raises(TypeError):
            f(x, host)
        with pytest.raises(TypeError):
            f(host, x)


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x @ HOST.T,
        lambda x: HOST.T @ x,
        lambda x: np.exp(x, out=HOST.copy()),
        lambda x: np.exp(HOST, out=x),
        lambda x: np.add.at(x, cupy.asarray([0]), HOST[:1]),
        lambda x: np.add.at(x, np.array([0]), 1.0),
        lambda x: np.add.outer(x, HOST),
        lambda x: np.concatenate([x, HOST]),
        lambda x: np.stack([HOST, x]),
        lambda x: np.where(HOST > 0, x, 0),
        lambda x: np.where(x > 0, HOST, x),
        lambda x: np.take(x, np.array([0])),
        lambda x: np.take(HOST, cupy.asarray([0])),
        lambda x: np.einsum("ij,ij", x, HOST),
        lambda x: np.sum(HOST, out=x),
        lambda x: np.full_like(HOST, x[0, 0]),
        lambda x: np.copyto(x, HOST),
        lambda x: np.copyto(HOST.copy(), x),
        lambda x: np.clip(x, HOST, 9.0),
        lambda x: np.array_equal(x, HOST),
        lambda x: x.dot(HOST.T),
        lambda x: x[np.array([0, 1])],
        lambda x: x[HOST > 0],
        lambda x: x[:, [0, 1]],
        lambda x: HOST[cupy.asarray([0])],
        lambda x: HOST[x > 0],
        lambda x: operator.setitem(x, 0, HOST[0]),
        lambda x: operator.setitem(x, ..., [1.0, 2.0, 3.0]),
        lambda x: operator.setitem(x, np.array([0]), 1.0),
        lambda x: operator.setitem(HOST.copy(), 0, x[0]),
        lambda x: np.asarray([x, x], like=x),
        lambda x: cupy.exp(HOST),
        lambda x: cupy.fuse(operator.add)(x, HOST),
        lambda x: cupy.random.default_rng(0).gamma(HOST),
    ],
)
def test_a_mix_of_host_and_device_is_refused(mix, x):
    with pytest.raises(TypeError):
        mix(x)


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        lambda s: np.array([s, s]),
        lambda s: np.sum([s, s]),
        float,
        int,
        bool,
        complex,
        operator.index,
        lambda s: s.item(),
        lambda s: s.tolist(),
        lambda s: 1 if s > 0 else 0,
        lambda s: max(s, s),
        lambda s: range(9)[s],
        lambda s: cupy.zeros(4)[:s],
        lambda s: np.full(3, s),
        lambda s: np.testing.assert_allclose(s, 1.0),
        lambda s: memoryview(s),
        hash,
    ],
)
def test_an_implicit_conversion_is_refused(convert):
    with pytest.raises(TypeError):
        convert(cupy.asarray(1))


@pytest.mark.parametrize(
    "lacking",
    [
        lambda x: np.put_along_axis(x, x, x, 0),
        lambda x: np.matrix_transpose(x),
        lambda x: np.astype(x, np.float32),
        lambda x: np.linalg.vector_norm(x),
        lambda x: np.save("unused", x),
        lambda x: np.vectorize(abs)(x),
        lambda x: np.spacing(x),
        lambda x: np.sum(x, where=x > 0),
        lambda x: np.sum(x, initial=1.0),
        lambda x: x.max(initial=1.0),
        lambda x: np.exp(x, where=x > 0),
        lambda x: np.ones(3, like=x),
        lambda x: np.full(3, 1.0, like=x),
        lambda x: np.eye(3, like=x),
        lambda x: np.zeros_like(x, shape=()),
        lambda x: np.maximum.reduce(x),
        lambda x: np.add.at(x.astype(np.int64), 0, 1),
        lambda x: x.data,
        lambda x: x.flags.writeable,
        lambda x: x.setflags(write=False),
        lambda x: setattr(x.flags, "writeable", False),
        lambda x: x.__array_interface__,
        lambda x: cupy.asarray(["text"]),
        lambda x: cupy.random.default_rng(0).permutation(3),
        lambda x: cupy.random.default_rng(0).shuffle(x),
        lambda x: cupy.random.default_rng(0).choice(3),
        lambda x: cupy.random.default_rng(0).normal(),
        lambda x: cupy.random.default_rng(0).standard_exponential(method="zig"),
        lambda x: cupy.random.default_rng(0).binomial(1, np.float64(0.5)),
    ],
)
def test_what_cupy_lacks_is_refused(lacking, x):
    with pytest.raises((TypeError, AttributeError, NotImplementedError, ValueError)):
        lacking(x)


def test_setting_an_element_twice_is_refused_and_adding_at_it_is_not(x):
    twice = cupy.asarray([0, 0])
    with pytest.raises(ValueError, match="set twice"):
        x[twice] = x
    x[twice] = 1.0
    np.add.at(x, twice, 1.0)
    np.maximum.at(x, (twice, 1), 9.0)
    assert same(x, np.array([[3.0, 9.0, 3.0], HOST[1]]))


def test_setting_by_slice_mask_and_index(x):
    host = HOST.copy()
    for a, i in ((host, np.array([1, 0])), (x, cupy.asarray([1, 0]))):
        a[:, :1] = a[:, 1:2]
        a[a > 4] = 0
        a[i] = a * np.float64(2)
        a[..., -1] = True
    assert same(x, host)


def test_in_place_operators_and_out_keep_the_array(x):
    kept = x
    x += 1
    x @= cupy.eye(3)
    assert x is kept
    assert np.exp(x, out=x) is kept
    assert np.sum(x, axis=0, out=x[0]).base is kept
    total = cupy.zeros(())
    assert np.sum(x, out=total) is total
    assert x.astype(float, copy=False) is kept


def test_a_view_names_its_base_and_a_copy_has_none(x):
    for view in (x[0], x[0][1:], x.T, x.reshape(-1), np.broadcast_to(x, (2, 2, 3))):
        assert view.base is x
        assert not view.flags.owndata
    for copied in (x, x + 1, x.copy(), x.sum(), x[x > 0], np.tile(x, 2), np.pad(x, 1), cupy.eye(2)):
        assert copied.base is None
        assert copied.flags.owndata


def test_reductions_stay_on_the_device(x):
    for number in (x.sum(), np.max(x), x[0, 0], np.add.reduce(x[0]), np.array_equal(x, x), x @ x.T):
        assert isinstance(number, strict.StrictArray)
    assert copy.deepcopy(x).base is None
    assert repr(x[0, 0]) == "StrictArray(1., dtype=float64)"


def test_transfers_are_explicit_and_counted(monkeypatch):
    module = strict.install(monkeypatch)
    host = HOST.copy()
    x = np.asarray(host, like=module.asarray(host))
    host[...] = 0
    assert strict.transfers == 0
    assert np.array_equal(module.asnumpy(x), HOST)
    assert np.array_equal(x.get(), HOST)
    assert strict.transfers == 2
    module.asnumpy(host)
    assert strict.transfers == 2


def test_another_class_is_left_to_answer(x):
    class Other:
        __array_ufunc__ = None

        def __radd__(self, other):
            return "other"

    assert x + Other() == "other"
    with pytest.raises(TypeError):
        np.add(x, object())


def test_install_replaces_cupy_for_one_test():
    before = sys.modules.get("cupy")
    with pytest.MonkeyPatch.context() as patch:
        assert strict.install(patch) is sys.modules["cupy"]
        import cupy

        assert cupy.cuda.runtime.getDeviceCount() == 1
        assert cupy.cuda.runtime.getDeviceProperties(0)["name"] == b"strict stand-in"
        assert cupy.cuda.is_available()
        assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
        assert cupy.get_array_module(cupy.zeros(2)) is cupy
        assert cupy.get_array_module(HOST) is np
        assert cupy.zeros(2).device.id == 0
    assert sys.modules.get("cupy") is before


@given(seed=st.integers(0, 2**64))
def test_a_generator_draws_what_numpys_draws(seed):
    host, device = np.random.default_rng(seed), cupy.random.default_rng(seed)
    assert same(device.random((2, 3), np.float32), host.random((2, 3), np.float32))
    assert same(device.random(dtype=np.float32), host.random((), np.float32))
    assert same(device.standard_normal(3), host.standard_normal(3))
    assert same(device.uniform(-1, 1, 4), host.uniform(-1, 1, 4))
    assert same(device.uniform(size=4, dtype=np.float32), host.uniform(size=4).astype(np.float32))
    assert same(device.integers(5, size=(2, 2)), host.integers(5, size=(2, 2)))
    assert same(device.integers(0, 5, endpoint=True), host.integers(0, 5, (), endpoint=True))
    assert same(device.binomial(4, 0.5, 3), host.binomial(4, 0.5, 3))
    assert same(device.standard_exponential(2), host.standard_exponential(2, method="inv"))
    assert same(device.gamma(cupy.asarray([1.0, 2.0])), host.gamma([1.0, 2.0]))
    out = cupy.empty(3)
    assert device.random(out=out) is out
    assert cupy.random.default_rng(device) is device


@given(seed=st.integers(0, 2**64), drawn=st.integers(0, 5))
def test_a_generator_resumes_from_its_state(seed, drawn):
    rng = cupy.random.default_rng(seed)
    rng.random(drawn, np.float32)
    saved = rng.bit_generator._state.get()
    expected = rng.random(4, np.float32).get()
    other = cupy.random.default_rng(seed + 1)
    other.bit_generator._state[...] = cupy.asarray(saved)
    assert saved.dtype == np.int8
    assert same(other.random(4, np.float32), expected)
    assert rng.bit_generator._current_device_id == 0


@pytest.mark.parametrize("decorator", [cupy.fuse, cupy.fuse(), cupy.fuse(kernel_name="silu")])
def test_a_fused_function_is_called_and_recorded(decorator, monkeypatch, x):
    strict.install(monkeypatch)

    @decorator
    def silu(x, slope):
        positive = cupy.where(x > 0, x, slope * x)
        positive += 1
        return positive / (1 + cupy.exp(-x)), x.astype(np.float32)

    expected = np.where(x > 0, x, 0.5 * x) + 1
    assert same(silu(x, 0.5), ((expected / (1 + np.exp(-x))).get(), HOST.astype(np.float32)))
    assert strict.fused == ["silu"]


@pytest.mark.parametrize(
    "body",
    [
        np.exp,
        lambda x: np.where(x > 0, x, 0),
        lambda x: np.maximum(x, 0),
        lambda x: x.shape,
        lambda x: x.T,
        lambda x: x[0],
        lambda x: x.sum(),
        lambda x: x @ x,
        lambda x: 2.0**x,
        lambda x: x + HOST,
        lambda x: x if x else -x,
        lambda x: cupy.matmul(x, x),
        lambda x: cupy.reshape(x, -1),
    ],
)
def test_a_fused_body_is_limited_to_cupys_elementwise_functions(body, x):
    with pytest.raises((TypeError, AttributeError)):
        cupy.fuse(body)(x)
