"""The devices of arrays: NumPy on the host, CuPy on an NVIDIA GPU.

This is the only file that names CuPy. All other files use ``np.`` functions, which work on CuPy
arrays through NumPy's dispatch protocols. This file moves arrays between devices, makes random
generators, and compiles element-wise expressions into one kernel. There is no global device: the
random generator determines the device.
"""

from __future__ import annotations

import copy
import importlib
import re
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "Generator",
    "RecordedError",
    "check_device",
    "check_generator",
    "copy_of",
    "describe_cuda",
    "device_of",
    "fused",
    "generator",
    "generator_from_state",
    "generator_state",
    "plain",
    "set_generator_state",
    "special",
    "to_device",
    "to_host",
]

Array: TypeAlias = npt.NDArray[Any]
"""A NumPy array, or a CuPy array."""

Generator: TypeAlias = np.random.Generator
"""A NumPy generator, or a CuPy generator, which has a subset of its methods."""


class RecordedError(TypeError):
    """What was to be a plain array holds tensors."""


F = TypeVar("F", bound=Callable[..., Any])


def generator(seed: int | Sequence[int] | Generator | None, device: str = "cpu") -> Generator:
    """Return a random generator from ``seed``; its draws live on ``device``.

    ``seed`` is a non-negative integer or a sequence of them, ``None`` for fresh entropy, or a
    generator, which is returned unchanged. ``device`` is ``"cpu"`` (NumPy) or ``"cuda"`` (CuPy).

    Raises ``ValueError`` for an unknown device or a negative seed, and ``RuntimeError`` where CuPy
    is missing or finds no GPU.
    """
    if isinstance(seed, np.random.Generator) or device_of(seed) == "cuda":
        return cast(Generator, seed)
    if isinstance(seed, int) and seed < 0:
        raise ValueError(f"a seed is a non-negative integer, got {seed}")
    if check_device(device) == "cpu":
        return np.random.default_rng(seed)
    return cast(Generator, _cupy().random.default_rng(seed))


def check_generator(rng: object) -> None:
    """Raise ``TypeError`` unless ``rng`` is a generator of NumPy or CuPy."""
    if not isinstance(rng, np.random.Generator) and device_of(rng) == "cpu":
        what = rng.__name__ if isinstance(rng, types.ModuleType) else type(rng).__name__
        raise TypeError(f"rng is a generator, from scratchgen.generator(seed), got {what}")


def copy_of(rng: Generator) -> Generator:
    """Return a copy of the generator, at the same point of its sequence."""
    if device_of(rng) == "cuda":
        return generator_from_state(*generator_state(rng))
    return copy.deepcopy(rng)


def device_of(x: object) -> str:
    """Return ``"cuda"`` for an array or generator of CuPy, ``"cpu"`` for everything else."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(x, (cupy.ndarray, cupy.random.Generator)):
        return "cuda"
    return "cpu"


def plain(x: Any) -> Any:
    """Return ``x``, or the array beneath a subclass of arrays such as a memmap, without a copy.

    If the array beneath ``changes``, it is copied.

    Raises ``TypeError`` for types whose operators differ from those of arrays: a matrix (``*`` is
    the product of matrices), a masked array (sums leave entries out), and a sparse matrix; and
    ``RecordedError`` for an array that tensors were written into.
    """
    if type(x) in (np.ndarray, float, int):
        return x
    if hasattr(x, "tensor"):
        raise RecordedError("expected a plain array, got one that tensors were written into")
    if isinstance(x, np.matrix):
        what = "a matrix, whose * is a product of matrices: pass np.asarray(x), products as @"
    elif isinstance(x, np.ndarray) and hasattr(x, "mask"):
        what = "a masked array, whose sums omit entries: pass x.filled(value) or x.compressed()"
    elif hasattr(x, "toarray") or hasattr(x, "todense"):
        what = f"a sparse {type(x).__name__}: pass x.toarray()"
    else:
        if not isinstance(x, np.ndarray):
            return x
        return np.array(x) if hasattr(x, "changes") else np.asarray(x)
    raise TypeError(f"expected a plain array, got {what}")


def to_host(x: npt.ArrayLike) -> Array:
    """Return ``x`` as a NumPy array, not copied if it is one; it raises as :func:`plain` does.

    The arrays of :mod:`scratchgen.captured` stand for NumPy arrays, and are returned unchanged.
    """
    if device_of(x) == "cuda":
        return cast(Array, _cupy().asnumpy(x))
    array: Any = plain(x)
    return array if hasattr(array, "captured") else np.asarray(array)


def to_device(x: npt.ArrayLike, device: str | Generator) -> Array:
    """Return ``x`` on a device, given by name or by a generator; no copy if it is there already."""
    if check_device(device if isinstance(device, str) else device_of(device)) == "cpu":
        return to_host(x)
    return cast(Array, _cupy().asarray(plain(x)))


def fused(expression: F) -> F:
    """Make a function of arrays from an expression: one kernel on CuPy; unchanged on NumPy.

    The expression is an element-wise lambda or function, written in ``np``, of its arguments and of
    the arrays and numbers that it captures. It may change its arguments in place. A rule defines it
    anew at each call, but it is compiled only once.

    >>> z = np.array([0.0, 1.0])
    >>> sigma_prime = fused(lambda delta: delta * z * (1 - z))
    >>> sigma_prime(np.ones(2))
    array([0., 0.])
    """

    def value(*arguments: Any) -> Any:
        if device_of(arguments[0]) == "cpu":
            return expression(*arguments)
        captured = [cell.cell_contents for cell in expression.__closure__ or ()]
        # In some releases of CuPy a Python number turns a float32 expression into float64.
        real = np.result_type(arguments[0].dtype, np.float16).type
        given = [real(x) if isinstance(x, float) else x for x in (*arguments, *captured)]
        return _kernel(expression)(*given)

    value.__name__, value.__doc__ = expression.__name__, expression.__doc__
    value.__dict__["__wrapped__"] = expression
    return cast(F, value)


_kernels: dict[Any, Callable[..., Any]] = {}  # the compiled kernels, by the code of expressions


def _kernel(expression: Callable[..., Any]) -> Callable[..., Any]:
    """Return the kernel of the expression; its inputs are the arguments and the captures."""
    cupy, code = _cupy(), expression.__code__
    key = cupy, expression.__module__, code
    if key not in _kernels:
        # While CuPy fuses, the arguments are placeholders that only CuPy's own functions accept.
        names = {**expression.__globals__, "np": cupy}

        def on_stand_ins(*given: Any) -> Any:
            arguments, captured = given[: code.co_argcount], given[code.co_argcount :]
            cells = tuple(map(types.CellType, captured))
            return types.FunctionType(code, names, closure=cells)(*arguments)

        name = re.sub(r"\W+", "_", expression.__qualname__)
        _kernels[key] = cupy.fuse(kernel_name=name)(on_stand_ins)
    return _kernels[key]


def special(x: Array) -> Any:
    """The special functions of the device of x: ``scipy.special``, or ``cupyx.scipy.special``."""
    on_host = device_of(x) == "cpu"
    return importlib.import_module("scipy.special" if on_host else "cupyx.scipy.special")


def generator_state(rng: Generator) -> tuple[dict[str, Any], Array | None]:
    """Return the state of ``rng``: a dictionary for JSON, and for a GPU the array of its state."""
    name = type(rng.bit_generator).__name__
    if device_of(rng) == "cuda":
        # CuPy gives no public access to this state (release 13).
        state = getattr(rng.bit_generator, "_state", None)
        if state is None:
            raise RuntimeError(f"this release of CuPy does not give out the state of its {name}")
        return {"device": "cuda", "bit_generator": name}, to_host(state)
    if name != "PCG64":
        raise ValueError(
            f"a checkpoint holds the state of a PCG64 generator, got one on {name}: "
            "make it with scratchgen.generator(seed)"
        )
    return {"device": "cpu", **rng.bit_generator.state}, None


def generator_from_state(state: dict[str, Any], array: Array | None = None) -> Generator:
    """Return the generator of a :func:`generator_state`, at the same point of its sequence."""
    rng = generator(0, state.get("device", "cpu"))
    set_generator_state(rng, state, array)
    return rng


def set_generator_state(rng: Generator, state: dict[str, Any], array: Array | None = None) -> None:
    """Move ``rng`` to the point of the sequence of a :func:`generator_state`."""
    bits: Any = rng.bit_generator
    if state.get("device") != "cuda":
        bits.state = {key: value for key, value in state.items() if key != "device"}
        return
    if array is None:
        raise ValueError("the state of a GPU's generator lacks its array")
    if type(bits).__name__ != state["bit_generator"] or bits._state.shape != array.shape:
        raise RuntimeError(
            f"the checkpoint holds a {state['bit_generator']} of {array.size} bytes, this CuPy "
            f"makes a {type(bits).__name__} of {bits._state.size}: resume with the CuPy "
            "release that wrote it, or with a generator of your own"
        )
    bits._state[...] = to_device(array, "cuda")


def describe_cuda() -> str:
    """Describe the GPU and the CuPy release of device ``"cuda"``, or say why there is none."""
    try:
        cupy = _cupy()
    except RuntimeError as error:
        return str(error)
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return f"CuPy {cupy.__version__} on {name}"


def check_device(device: str) -> str:
    """Return ``device``; raise ``ValueError`` unless it is ``"cpu"`` or ``"cuda"``."""
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device is 'cpu' or 'cuda', got {device!r}")
    return device


def _cupy() -> Any:
    """Return the CuPy module, provided that it is installed and finds a GPU."""
    try:
        import cupy
    except ModuleNotFoundError:
        raise RuntimeError(
            "device 'cuda' needs CuPy, which is not installed: pip install cupy-cuda12x, or "
            "cupy-cuda13x where nvidia-smi names CUDA 13"
        ) from None
    except ImportError as error:
        raise RuntimeError(
            f"device 'cuda': CuPy is installed but does not load: {error}"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(
            f"device 'cuda': CuPy is installed but finds no GPU ({error}); does nvidia-smi list "
            "one? Otherwise use device 'cpu'"
        ) from error
    if not count:
        raise RuntimeError("device 'cuda': CuPy is installed but finds no GPU; use device 'cpu'")
    return cupy
