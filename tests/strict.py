"""A strict stand-in for CuPy, so that ``device="cuda"`` is tested on machines without a GPU.

:func:`install` puts a module in the place of ``cupy``. Its arrays answer NumPy's two dispatch
protocols and nothing else: what CuPy refuses is refused, and so is, beyond CuPy, whatever would
move data between host and device unasked, or make the host wait. A comment marks what is stricter.
"""

from __future__ import annotations

import contextlib
import functools
import json
import operator
import sys
import types
from collections import namedtuple

import numpy as np
from scipy import special

transfers = 0
"""How often an array went from the device to the host, by ``asnumpy`` or ``.get()``."""

fused: list[str] = []
"""The names of the fused functions that were called, in order."""

SCALARS = (bool, int, float, complex, np.generic)


def _names(text):
    return set(text.split())


FUNCTIONS = _names("""
    all allclose amax amin angle any append apply_along_axis argmax argmin argpartition argsort
    argwhere around array_equal array_split atleast_1d atleast_2d atleast_3d average bincount
    broadcast_arrays broadcast_to clip column_stack concatenate copy copyto corrcoef count_nonzero
    cov cross cumprod cumsum diag diagflat diagonal diff digitize dot dsplit dstack einsum
    empty_like expand_dims fill_diagonal flatnonzero flip fliplr flipud full_like histogram hsplit
    hstack imag inner interp isclose isin kron lexsort max mean median meshgrid min moveaxis
    nan_to_num nanargmax nanargmin nanmax nanmean nanmin nanstd nansum nanvar nonzero ones_like
    outer pad partition percentile prod ptp quantile ravel real repeat reshape roll rollaxis rot90
    round searchsorted select sort split squeeze stack std sum swapaxes take take_along_axis
    tensordot tile trace transpose tril triu unique unravel_index unwrap vander var vdot vsplit
    vstack where zeros_like
    linalg.cholesky linalg.det linalg.eigh linalg.eigvalsh linalg.inv linalg.lstsq
    linalg.matrix_power linalg.matrix_rank linalg.norm linalg.pinv linalg.qr linalg.slogdet
    linalg.solve linalg.svd lib.stride_tricks.sliding_window_view
""")
ANSWER_ON_HOST = _names(
    "shape ndim size result_type can_cast common_type iscomplexobj isrealobj may_share_memory"
)
CREATION = _names("array asarray arange empty eye full identity ones zeros")
REFUSED_KEYWORDS = _names("where initial mean correction stable sorted device")
METHODS = _names("""
    all any argmax argmin argpartition argsort astype clip conj copy cumprod cumsum diagonal dot
    fill flatten max mean min nonzero prod ravel repeat reshape round sort squeeze std sum swapaxes
    take trace transpose var view
""")
UFUNCS = {f.__name__ for f in vars(np).values() if isinstance(f, np.ufunc)}
UFUNCS -= _names("bitwise_count isnat matvec spacing vecdot vecmat")
SPECIAL = _names("erf erfc erfinv expit gammaln gammasgn log_ndtr ndtr ndtri psi xlogy zeta")
UFUNC_METHODS = {
    "__call__": UFUNCS | SPECIAL,
    "outer": UFUNCS,
    "reduce": {"add", "multiply"},
    "accumulate": {"add", "multiply"},
    "reduceat": {"add"},
    "at": _names("add maximum minimum bitwise_and bitwise_or bitwise_xor"),
}
FUSIBLE = UFUNCS - {"matmul"} | _names("where clip copy sum prod max min all any")

Flags = namedtuple("Flags", "c_contiguous f_contiguous owndata")


class StrictArray(np.lib.mixins.NDArrayOperatorsMixin):
    """``cupy.ndarray``: an array that only explicit calls take to the host."""

    __array_priority__ = 100
    base = None

    def __init__(self, shape, dtype=float):
        self._memory = np.empty(shape, dtype)

    @classmethod
    def _over(cls, memory):
        if memory.dtype.kind not in "biufc" or memory.dtype.char in "gG":
            raise ValueError(f"Unsupported dtype {memory.dtype}")
        array = cls.__new__(cls)
        array._memory = memory
        return array

    T = property(lambda self: _apply(np.transpose, (self,)))
    real = property(lambda self: _apply(np.real, (self,)))
    imag = property(lambda self: _apply(np.imag, (self,)))

    device = property(lambda self: Device())

    @property
    def flags(self):  # not settable, no "writeable": as in CuPy
        flags = self._memory.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, self.base is None)

    def get(self, stream=None, order="C"):
        global transfers
        transfers += 1
        return self._memory.copy(order)

    def __repr__(self):
        return f"StrictArray({np.array2string(self._memory, separator=', ')}, dtype={self.dtype})"

    def __len__(self):
        return len(self._memory)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __deepcopy__(self, memo):
        return self.copy()

    def __getitem__(self, index):
        return _apply(operator.getitem, (self, _checked_index(index)))

    def __setitem__(self, index, value):
        if not isinstance(value, (StrictArray, *SCALARS)):
            raise TypeError(f"a {type(value).__name__} of the host, into an array of the device")
        key = _unwrapped(_checked_index(index), [])
        # CuPy sets one of the two, which one is left open.
        integers = any(isinstance(k, np.ndarray) and k.dtype.kind in "iu" for k in _parts(key))
        if integers and getattr(value, "ndim", 0):
            visits = np.zeros(self.shape, np.intp)
            np.add.at(visits, key, 1)
            if (visits > 1).any():
                raise ValueError("an element is set twice: on a GPU the order is undefined")
        self._memory[key] = _unwrapped(value, [])

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        known = (StrictArray, np.ndarray, *SCALARS)
        operands = inputs[:1] + inputs[2:] if method == "at" else inputs
        if not all(isinstance(x, known) for x in operands + kwargs.get("out", ())):
            return NotImplemented
        return _ufunc(ufunc, method, *inputs, **kwargs)

    def __array_function__(self, function, classes, args, kwargs):
        name = f"{function.__module__}.{function.__name__}".removeprefix("numpy.")
        if name in CREATION:  # like=self; NumPy passes device= to eye, full and ones: CuPy refuses
            return getattr(cupy, name)(*args, **kwargs)
        if not set(classes) <= {StrictArray, np.ndarray}:
            return NotImplemented
        if name in ANSWER_ON_HOST:
            return function(*_unwrapped(args, []), **kwargs)
        if name not in FUNCTIONS:
            raise TypeError(f"CuPy has no {name}")
        if name.endswith("_like") and kwargs.get("shape", 1) in (0, ()):
            raise ValueError(f"CuPy's {name} takes shape={kwargs['shape']} for the shape of x")
        return _apply(function, args, kwargs)


def _method(name):
    function = getattr(np.ndarray, name)
    return lambda self, *args, **kwargs: _apply(function, (self, *args), kwargs)


def _refused(what):
    def refuse(self, *args, **kwargs):
        raise TypeError(f"{what} copies from the device, and waits for it: stay there, or to_host")

    return refuse


for _name in METHODS:
    setattr(StrictArray, _name, _method(_name))
for _name in _names("shape dtype ndim size nbytes itemsize strides"):
    setattr(StrictArray, _name, property(operator.attrgetter(f"_memory.{_name}")))
# CuPy refuses __array__ alone, and waits in the others.
for _name in _names(
    "__array__ __float__ __int__ __bool__ __index__ __complex__ item tolist tobytes"
):
    setattr(StrictArray, _name, _refused(_name))


def _parts(index):
    return index if isinstance(index, tuple) else (index,)


def _checked_index(index):
    # CuPy copies them to the device, in silence.
    if any(isinstance(part, (list, np.ndarray)) for part in _parts(index)):
        raise TypeError("an index that lives on the host: an implicit copy to the device")
    return index


def _unwrapped(x, sources):
    """``x`` with the memory of each array in it, which is appended to ``sources``."""
    if isinstance(x, StrictArray):
        sources.append(x)
        return x._memory
    if isinstance(x, np.ndarray):
        raise TypeError("an array of the host among arrays of the device")
    if isinstance(x, (tuple, list)):
        return type(x)([_unwrapped(part, sources) for part in x])
    return x


def _wrapped(result, sources):
    """``result`` on the device: what is ``out`` stays itself, what is a view names its base."""
    if isinstance(result, (tuple, list)):
        parts = [_wrapped(part, sources) for part in result]
        return parts if isinstance(result, list) else tuple(parts)
    if isinstance(result, SCALARS):
        return StrictArray._over(np.asarray(result))
    if not isinstance(result, np.ndarray):
        return result
    for source in sources:
        if result is source._memory:
            return source
    array = StrictArray._over(result)
    if result.base is not None:
        shared = [s for s in sources if np.may_share_memory(s._memory, result)]
        array.base = next((s if s.base is None else s.base for s in shared), None)
    return array


def _apply(function, args, kwargs=types.MappingProxyType({})):
    """``function`` on the memory of its arguments; a GPU gives no floating-point warnings."""
    refused = REFUSED_KEYWORDS & set(kwargs) - ({"where"} if function is np.copyto else set())
    if refused:
        raise TypeError(f"CuPy's {function.__name__} does not take {', '.join(refused)}")
    sources = []
    args = _unwrapped(tuple(args), sources)
    kwargs = {key: _unwrapped(value, sources) for key, value in kwargs.items()}
    with np.errstate(all="ignore"):
        return _wrapped(function(*args, **kwargs), sources)


def _ufunc(ufunc, method, *inputs, **kwargs):
    if ufunc.__name__ not in UFUNC_METHODS[method]:
        raise NotImplementedError(f"CuPy has no {ufunc.__name__}.{method}")
    if method == "at":
        _checked_index(inputs[1])
        if inputs[0].dtype == np.int64:
            raise TypeError("CuPy's ufunc.at has no atomic operation on int64")
    if method in ("__call__", "outer") and set(kwargs) - {"out", "dtype", "casting"}:
        raise TypeError(f"CuPy's {ufunc.__name__} takes only out, dtype, casting, got {[*kwargs]}")
    return _apply(getattr(ufunc, method), inputs, kwargs)


class Routine:
    """A function of the module: ``cupy.exp``, with ``cupy.add.at``, and ``cupy.where``."""

    def __init__(self, function):
        self.function, self.__name__ = function, function.__name__

    def _apply(self, *args, **kwargs):
        if isinstance(self.function, np.ufunc):
            return _ufunc(self.function, "__call__", *args, **kwargs)
        return _apply(self.function, args, kwargs)

    def __call__(self, *args, **kwargs):
        if not any(isinstance(x, FusionVariable) for x in args):
            return self._apply(*args, **kwargs)
        if self.__name__ not in FUSIBLE:
            raise TypeError(f"cupy.{self.__name__} cannot be fused")
        return FusionVariable(self._apply(*map(FusionVariable.value_of, args), **kwargs))

    def __getattr__(self, method):
        if method not in UFUNC_METHODS or not isinstance(self.function, np.ufunc):
            raise AttributeError(method)
        return functools.partial(_ufunc, self.function, method)


class FusionVariable:
    """What a function under ``cupy.fuse`` is called with: it has operators, and no dispatch.

    So in the body ``cupy.exp(x)`` works, while ``np.exp(x)``, a shape, an index or a method fail.
    """

    __array_ufunc__ = None

    def __init__(self, value):
        self._value = value

    dtype = property(lambda self: np.result_type(self._value))
    ndim = property(lambda self: np.ndim(self._value))
    __bool__ = __float__ = __int__ = __complex__ = _refused("a Python scalar inside cupy.fuse")

    def astype(self, dtype):
        return FusionVariable(cupy.asarray(self._value).astype(dtype))

    @staticmethod
    def value_of(x):
        if not isinstance(x, (FusionVariable, *SCALARS)):
            raise TypeError(f"a {type(x).__name__} inside cupy.fuse")
        return x._value if isinstance(x, FusionVariable) else x


def _fusion_operator(name, reflected=False):
    def apply(self, *other):
        values = [FusionVariable.value_of(x) for x in (self, *other)]
        return FusionVariable(getattr(operator, name)(*values[:: -1 if reflected else 1]))

    return apply


for _name in _names("lt le eq ne gt ge neg invert"):
    setattr(FusionVariable, f"__{_name}__", _fusion_operator(f"__{_name}__"))
for _name in _names("add sub mul truediv floordiv mod pow lshift rshift and or xor"):
    setattr(FusionVariable, f"__{_name}__", _fusion_operator(f"__{_name}__"))
    setattr(FusionVariable, f"__i{_name}__", _fusion_operator(f"__i{_name}__"))
    if _name != "pow":  # as in CuPy
        setattr(FusionVariable, f"__r{_name}__", _fusion_operator(f"__{_name}__", reflected=True))


def fuse(*args, kernel_name=None):
    """``cupy.fuse``, as a decorator with and without parentheses."""
    if not args:
        return functools.partial(fuse, kernel_name=kernel_name)
    (function,) = args

    @functools.wraps(function)
    def call(*args):
        if not all(isinstance(x, (StrictArray, *SCALARS)) for x in args):
            raise TypeError(f"{function.__name__}: fused, it takes device arrays and scalars")
        fused.append(kernel_name or function.__name__)
        # Some releases of CuPy take a Python number for a float64.
        strong = [np.float64(x) if type(x) is float else x for x in args]
        result = function(*map(FusionVariable, strong))
        if isinstance(result, tuple):
            return tuple(map(FusionVariable.value_of, result))
        return None if result is None else FusionVariable.value_of(result)

    return call


class XORWOW:
    """The bit generator: NumPy's PCG64, its state kept as bytes in an array of the device."""

    _current_device_id = 0

    def __init__(self, seed=None):
        self._pcg64 = np.random.PCG64(seed)
        self._state = StrictArray(200, np.int8)
        self._write()

    def _write(self):
        text = json.dumps(self._pcg64.state).ljust(self._state.size)
        self._state._memory[...] = np.frombuffer(text.encode(), np.int8)

    def _read(self):
        self._pcg64.state = json.loads(self._state._memory.tobytes())
        return np.random.Generator(self._pcg64)


class Generator:
    """``cupy.random.Generator``, with its methods alone; it draws what NumPy's draws."""

    def __init__(self, bit_generator):
        self.bit_generator = bit_generator

    def _draw(self, name, *args, **kwargs):
        result = _apply(getattr(self.bit_generator._read(), name), args, kwargs)
        self.bit_generator._write()
        return result

    def random(self, size=None, dtype=np.float64, out=None):
        return self._draw("random", _shape(size, out), dtype, out)

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return self._draw("standard_normal", _shape(size, out), dtype, out)

    def standard_exponential(self, size=None, dtype=np.float64, method="inv", out=None):
        if method == "zig":
            raise NotImplementedError("Ziggurat method is not supported")
        return self._draw("standard_exponential", _shape(size, out), dtype, "inv", out)

    def exponential(self, scale=1.0, size=None):
        return self.standard_exponential(size) * scale

    def uniform(self, low=0.0, high=1.0, size=None, dtype=np.float64):
        return self._draw("uniform", low, high, size).astype(dtype, copy=False)

    def integers(self, low, high=None, size=None, dtype=np.int64, endpoint=False):
        return self._draw("integers", low, high, _shape(size), dtype, endpoint)

    def binomial(self, n, p, size=None):
        if not isinstance(p, StrictArray) and type(p) is not float:
            raise TypeError("p is required to be a cupy.ndarray or a scalar")
        return self._draw("binomial", n, p, size)


def _shape(size, out=None):
    return () if size is None and out is None else size


def _distribution(name):
    return lambda self, *args, **kwargs: self._draw(name, *args, **kwargs)


for _name in _names(
    "beta chisquare dirichlet f gamma geometric hypergeometric logseries poisson power "
    "standard_gamma"
):
    setattr(Generator, _name, _distribution(_name))


def default_rng(seed=None):
    return seed if isinstance(seed, Generator) else Generator(XORWOW(seed))


class Device(contextlib.nullcontext):
    """``cupy.cuda.Device``, of which there is one."""

    id = 0

    def synchronize(self):
        pass


def asarray(a, dtype=None, order=None):
    if isinstance(a, StrictArray):
        return a.astype(a.dtype if dtype is None else dtype, copy=False)
    return StrictArray._over(np.array(a, dtype, order=order))


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0):
    return _apply(np.array, (asarray(obj),), {"dtype": dtype, "copy": copy or None, "ndmin": ndmin})


def _module(name, **members):
    module = types.ModuleType(name)
    vars(module).update(members)
    return module


def _cupy():
    runtime = types.SimpleNamespace(
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda device: {"name": b"strict stand-in", "totalGlobalMem": 2**34},
        CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {}),
    )
    cuda = _module("cupy.cuda", runtime=runtime, is_available=lambda: True, Device=Device)
    random = _module("cupy.random", default_rng=default_rng, Generator=Generator, XORWOW=XORWOW)
    module = _module(
        "cupy",
        __version__="13.6.0",
        cuda=cuda,
        random=random,
        linalg=_module("cupy.linalg"),
        lib=_module("cupy.lib", stride_tricks=_module("cupy.lib.stride_tricks")),
        ndarray=StrictArray,
        array=array,
        asarray=asarray,
        asnumpy=lambda a: a.get() if isinstance(a, StrictArray) else np.asarray(a),
        fuse=fuse,
        get_array_module=lambda *args: (
            module if any(isinstance(x, (StrictArray, FusionVariable)) for x in args) else np
        ),
    )
    for name in FUNCTIONS | UFUNCS | ANSWER_ON_HOST | CREATION - {"array", "asarray"}:
        *path, last = name.split(".")
        home = functools.reduce(getattr, path, module)
        setattr(home, last, Routine(functools.reduce(getattr, [*path, last], np)))
    for name in _names("""
        newaxis pi e inf nan dtype finfo iinfo issubdtype promote_types isscalar generic floating
        integer bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64
        complex64 complex128
    """):
        setattr(module, name, getattr(np, name))
    return module


cupy = _cupy()
cupyx = _module("cupyx", scipy=_module("cupyx.scipy", special=_module("cupyx.scipy.special")))
for _name in SPECIAL:
    setattr(cupyx.scipy.special, _name, Routine(getattr(special, _name)))


def install(monkeypatch):
    """Put the stand-in in the place of CuPy for one test, its counts at zero; return it."""
    global transfers
    transfers = 0
    fused.clear()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    for name in ("cuda", "random", "linalg"):
        monkeypatch.setitem(sys.modules, f"cupy.{name}", getattr(cupy, name))
    for module in (cupyx, cupyx.scipy, cupyx.scipy.special):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return cupy
