"""Checks of every rule of the library, and of the checks that a user's file declares."""

from __future__ import annotations

import difflib
import importlib.util
import runpy
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .. import operations
from ..backend import Array, Generator, generator, to_device
from .check import check_operation
from .report import Report
from .subject import positional

Example: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
"""The arrays at which a rule is checked, and its settings."""
CHECKS = "scratchgen.check_gradient, check_operation or check_network"


def check_rules(name: str | None = None, device: str = "cpu") -> Iterator[tuple[str, Report]]:
    """Check every rule of ``scratchgen.operations``, or only the rule ``name``.

    Raises ``ValueError`` for an unknown name.
    """
    names = operations.__all__ if name is None else [name]
    if name is not None and name not in operations.__all__:
        close = difflib.get_close_matches(name, operations.__all__)
        hint = f"did you mean {' or '.join(close)}?" if close else "scratchgen check lists them all"
        raise ValueError(f"no rule is called {name!r}: {hint}")
    return ((rule, _check_rule(rule, device)) for rule in names)


def _check_rule(name: str, device: str) -> Report:
    arrays, settings = _example(name, generator(0))
    on_device = (to_device(x, device) for x in arrays)
    for key, value in settings.items():
        if hasattr(value, "bit_generator"):
            settings[key] = generator(0, device)
        elif hasattr(value, "dtype"):
            settings[key] = to_device(value, device)
    return check_operation(getattr(operations, name), *on_device, **settings)


def check_file(path: Path) -> Iterator[tuple[str, Report]]:
    """Run the checks of a file: each function ``check_…`` without arguments returns a report.

    .. code-block:: python

        def check_my_layer():
            return scratchgen.check_gradient(cost, gradient, W, b)

    A function may return or yield several reports, in a list or in a dictionary by name, and may
    raise what ``assert_gradient`` raises. A function that raises anything else, or returns
    something else, gets a report that was not run, with the line at fault. Raises ``ValueError``
    for a file that does not run or has no such function.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    with _importing_from(path.parent):
        declared = _guarded(path, lambda: runpy.run_path(str(path), run_name=path.stem))
        yield from _declared(path, path.stem, declared)


def check_module(name: str) -> Iterator[tuple[str, Report]]:
    """Run the checks of a module, by its name: the same as of its file, by :func:`check_file`."""
    with _importing_from(Path.cwd()):
        spec = _spec(name)
        if spec is None or spec.origin is None:
            raise ValueError(
                f"no module is called {name!r}: it is looked for in this folder, and where Python "
                "finds packages"
            )
        path = Path(spec.origin)
        module = _guarded(path, lambda: importlib.import_module(name))
        yield from _declared(path, name, vars(module))


def is_module(name: str) -> bool:
    """Whether a module of this name can be imported, here or from where packages are."""
    with _importing_from(Path.cwd()):
        return _spec(name) is not None


def _spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):  # no such package, or no name at all
        return None


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _declared(path: Path, module: str, names: Mapping[str, Any]) -> Iterator[tuple[str, Report]]:
    """The reports of the functions ``check_…`` that a module defines itself, in their order."""
    checks: dict[str, Callable[[], Any]] = {
        name: value
        for name, value in names.items()
        if name.startswith("check_") and getattr(value, "__module__", None) == module
    }
    if not checks:
        raise ValueError(
            f"{path} declares no check: a function check_… without arguments that returns what "
            f"{CHECKS} returned"
        )
    for name, check in checks.items():
        yield from _reports(path, name, check)


def _reports(path: Path, name: str, check: Callable[[], Any]) -> Iterator[tuple[str, Report]]:
    """The reports of one function, each by its name; why there is none, as a report not run."""
    try:
        result = _guarded(path, lambda: _result(check))
    except ValueError as error:
        yield name, Report.not_run(str(error))
        return
    if isinstance(result, Report):
        yield name, result
        return
    several = dict(result) if isinstance(result, Mapping) else {}
    if isinstance(result, (list, tuple)):
        several = dict(enumerate(result))
    if several and all(isinstance(report, Report) for report in several.values()):
        yield from ((f"{name}[{key}]", report) for key, report in several.items())
        return
    line = getattr(getattr(check, "__code__", None), "co_firstlineno", "?")
    came = f"returns {type(result).__name__}"
    if several or isinstance(result, (list, tuple)):
        kinds = sorted({type(x).__name__ for x in several.values()})
        came += f" of {', '.join(kinds) or 'nothing'}"
    yield (
        name,
        Report.not_run(
            f"{path}, line {line}: {name} {came}, expected the report of {CHECKS}, or a list of "
            "reports: end it with return"
        ),
    )


def _result(check: Callable[[], Any]) -> Any:
    """What a check returns, the reports that it yields as a list, or the report that it raises."""
    try:
        result = check()
        return [*result] if isinstance(result, types.GeneratorType) else result
    except AssertionError as error:
        if isinstance(getattr(error, "report", None), Report):
            return vars(error)["report"]
        raise


def _guarded(path: Path, run: Callable[[], Any]) -> Any:
    """Return the result of ``run``; an error of the user's code becomes one that names the line."""
    try:
        return run()
    except Exception as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename).name == path.name
        ]
        where = f", line {lines[-1]}" if lines else ""
        raise ValueError(f"{path}{where}: {type(error).__name__}: {error}") from error


def _example(name: str, rng: Generator) -> Example:
    """Inputs that exercise everything particular to a rule: several axes, broadcasting.

    A rule of arrays of one shape that is defined for all real numbers needs no entry here.
    """

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape)

    def positive(*shape: int) -> Array:
        return rng.uniform(0.3, 3.0, shape)

    def labels(n: int, *shape: int) -> Array:
        return rng.integers(0, n, shape)

    def convolution(*channels: int) -> Example:
        arrays = normal(2, 3, 5, 4), normal(*channels, 3, 2), normal(2)
        return arrays, {"stride": (1, 2), "padding": 1}

    pooled = {"kernel_size": 3, "stride": 2, "padding": 1}
    examples: dict[str, Callable[[], Example]] = {
        "add multiply maximum minimum": lambda: ((normal(3, 4), normal(4)), {}),
        "subtract": lambda: ((normal(3, 4), normal(3, 1)), {}),
        "divide": lambda: ((normal(3, 4), positive(3, 1)), {}),
        "power": lambda: ((positive(3, 4), normal(4)), {}),
        "matmul": lambda: ((normal(2, 3, 4), normal(4, 5)), {}),
        "log sqrt log1p gammaln digamma": lambda: ((positive(3, 4),), {}),
        "arcsin arccos arctanh tan": lambda: ((rng.uniform(-0.9, 0.9, (3, 4)),), {}),
        "arccosh": lambda: ((1 + positive(3, 4),), {}),
        "xlogy": lambda: ((normal(3, 4), positive(4)), {}),
        "where": lambda: ((normal(3, 4) > 0, normal(3, 4), normal(4)), {}),
        "clip": lambda: ((normal(3, 4),), {"lower": -0.5, "upper": 0.8}),
        "sum mean max min logsumexp prod cumsum": lambda: ((normal(3, 4),), {"axis": 1}),
        "inv det logdet": lambda: ((normal(2, 3, 3) + 3 * np.eye(3),), {}),
        "solve": lambda: ((normal(3, 3) + 3 * np.eye(3), normal(3, 2)), {}),
        "cholesky eigvalsh": lambda: ((np.diag(np.arange(2.0, 5)) + 0.2,), {}),
        "einsum": lambda: ((normal(2, 3), normal(3, 4)), {"subscripts": "ij,jk->ki"}),
        "broadcast_to": lambda: ((normal(3, 1),), {"shape": (2, 3, 4)}),
        "setitem": lambda: ((normal(3, 4), normal(4)), {"key": (slice(1, None))}),
        "reshape": lambda: ((normal(3, 4),), {"shape": (2, 6)}),
        "transpose": lambda: ((normal(2, 3, 4),), {"axes": (1, 2, 0)}),
        "getitem": lambda: ((normal(4, 3),), {"key": labels(4, 5)}),
        "take": lambda: ((normal(4, 3), labels(3, 2, 2)), {"axis": 1}),
        "concatenate": lambda: ((normal(2, 3), normal(1, 3), normal(2, 3)), {}),
        "stack": lambda: ((normal(2, 3), normal(2, 3)), {"axis": 1}),
        "pad": lambda: ((normal(2, 3),), {"pad_width": ((1, 0), (2, 1))}),
        "affine": lambda: ((normal(5, 3), normal(4, 3), normal(4)), {}),
        "embedding": lambda: ((labels(4, 2, 3), normal(4, 3)), {}),
        "dropout": lambda: ((normal(3, 4),), {"p": 0.4, "rng": rng}),
        "layer_norm": lambda: ((normal(3, 4), positive(4), normal(4)), {}),
        "group_norm": lambda: ((normal(2, 4, 3), positive(4), normal(4)), {"groups": 2}),
        "max_pool2d": lambda: ((normal(2, 3, 5, 4),), {"kernel_size": 2}),
        "avg_pool2d": lambda: ((normal(2, 3, 5, 4),), pooled),
        "upsample_nearest2d": lambda: ((normal(2, 3, 2, 3),), {"scale_factor": 2}),
        "cross_entropy": lambda: ((normal(3, 4), labels(4, 3)), {}),
        "bernoulli_nll": lambda: ((normal(3, 4), rng.random((3, 4))), {}),
        "conv2d conv2d_direct": lambda: convolution(2, 3),
        "conv_transpose2d conv_transpose2d_direct": lambda: convolution(3, 2),
    }
    for names, example in examples.items():
        if name in names.split():
            return example()
    return tuple(normal(3, 4) for _ in positional(getattr(operations, name).rule)), {}
