"""What the chapters show and ask: a line of the source, pictures side by side, an exercise.

The files of ``tutorials/`` are chapters, notebooks and programs at once. In a notebook, the last
value of a cell is displayed: the functions of this file return values that know how.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).parent


class Source(NamedTuple):
    """Lines of a file of Python, which a notebook displays as code."""

    code: str
    place: str

    def __str__(self) -> str:
        return f"# {self.place}\n{self.code}"

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.code}\n```\n\n`{self.place}`\n"


def source(of: Any, *, docstring: bool = False) -> Source:
    """Return the code of a function, a rule, a method or a class, as it stands in its file.

    ``docstring``: whether to keep the docstring, which derives what the code states.
    Raises TypeError for an object without source, as an array or a function of C.

    >>> print(source(source).code.splitlines()[0])
    def source(of: Any, *, docstring: bool = False) -> Source:
    """
    function = inspect.unwrap(of)
    try:
        lines, first = inspect.getsourcelines(function)
        file = Path(inspect.getfile(function))
    except (TypeError, OSError) as error:
        raise TypeError(
            f"{of!r} has no source in Python: expected a function, a rule, a method or a class, "
            "as in source(scratchgen.operations.affine)"
        ) from error
    name = file.relative_to(PACKAGE.parent) if file.is_relative_to(PACKAGE) else file.name
    code = textwrap.dedent("".join(lines))
    if not docstring:
        code = _without_docstring(code)
    return Source(code.rstrip("\n"), f"{Path(name).as_posix()}:{max(first, 1)}")


def _without_docstring(code: str) -> str:
    """The code less the docstring of its first definition, and less the empty line after it."""
    (definition,) = ast.parse(code).body
    first = definition.body[0] if hasattr(definition, "body") else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if first is None or not is_text or len(definition.body) == 1:  # type: ignore[attr-defined]
        return code
    lines = code.split("\n")
    after = lines[first.end_lineno :]
    return "\n".join(lines[: first.lineno - 1] + (after[1:] if after[:1] == [""] else after))


def panels(rows: int = 1, columns: int = 1, *, size: tuple[float, float], **options: Any) -> Any:
    """Return axes on a new figure, which a notebook displays if a cell ends with one of them.

    ``size``: width and height of the figure, in inches; further options are those of
    ``matplotlib.figure.Figure.subplots``. One axis is returned as such, several as an array.
    """
    from matplotlib.figure import Figure

    from .picture import Picture

    figure = Figure(figsize=size, layout="constrained")
    return figure.subplots(rows, columns, subplot_kw={"axes_class": Picture}, **options)


def attempt(check: Callable[[Any], object], answer: Any) -> None:
    """Print whether an answer to an exercise passes its check, and if not, what is wrong with it.

    ``check`` raises an error for a wrong answer, as ``assert`` and ``assert_gradient`` do. An
    answer that has no code yet returns None, which is no answer. An exercise on a package that is
    not installed is not tried.
    """
    try:
        check(answer)
    except ModuleNotFoundError as error:
        print(f"not tried: {error.name} is not installed")
    except Exception as error:
        print(f"not solved yet: {str(error).strip() or type(error).__name__}")
    else:
        print("solved")
