"""The form of the table: an equation is a function that computes both of its sides.

A section of the notes is a file beside this one. Its docstring is the title of its page. After the
imports and the numbers that the section shares, each equation is a function named by its id:

    @equation(
        r"\\tilde{y} = X \\theta",
        "C: Setting up the equations",
        code="models.linear:mean_squared_error",
        line="residual = y - X @ theta",
        test="models/test_linear.py::test_the_sum_is_the_matrix_form",
    )
    def LM2():
        agree(X @ theta, [sum(x * theta) for x in X])

The decorator has the equation as the notes print it, and the places where they do (documents, then
the heading). ``code`` is an object of scratchgen, and ``line`` a piece of its source: the number of
the line is looked up, so that it cannot become wrong. ``test`` is the test that has the equation as
its oracle. For a misprint, ``erratum`` is its id, and ``correct`` the equation as it should be. A
row without ``code`` says ``why``.

The body of the function is the snippet that the page shows and runs. It ends in :func:`agree`,
:func:`at_most` or :func:`apart`, which print two numbers and raise unless they are as they should
be.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import pathlib
import re
import textwrap
from collections.abc import Callable

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = {
    "A1": "the lecture of 30 April 2024, the source of its slides",
    "A2": "the lecture of 30 April 2024, the slides",
    "A3": "the lecture of 30 April 2024, the handout",
    "B": "the lecture of 8 May 2025",
    "C": "the talk of June 2024",
}
SECTIONS = (
    "linear_models",
    "universal_approximation",
    "scalar_perceptron",
    "hidden_layer",
    "two_two_one",
    "back_propagation",
    "boltzmann_machines",
    "divergences",
    "variational_autoencoders",
    "adversarial_networks",
    "hierarchical_autoencoders",
    "variational_diffusion",
    "denoising_diffusion",
)


MACROS = {
    r"\x": r"\mathbf{x}",
    r"\h": r"\mathbf{h}",
    r"\X": r"\mathbf{X}",
    r"\E": r"\mathbb{E}",
    r"\C": r"\mathcal{C}",
    r"\p": r"\partial",
}
"""What the equations of the sections abbreviate."""


# What a snippet ends in.


def agree(left, right, within=1e-12):
    """Print the two sides of an equation; raise unless they differ by rounding only."""
    left, right = (np.asarray(side, dtype=np.float64) for side in (left, right))
    difference = np.abs(left - right).max()
    print(f"left        {shown(left)}\nright       {shown(right)}\ndifference  {difference:.1e}")
    if not difference <= within * max(1, np.abs(right).max()):
        raise AssertionError(f"the two sides differ by {difference:.3g}")


def at_most(left, right):
    """Print the two sides of left ≤ right; raise unless that holds for all entries."""
    left, right = (np.asarray(side, dtype=np.float64) for side in (left, right))
    print(f"left    {shown(left)}\nright   {shown(right)}\nleft ≤ right")
    if not (left <= right).all():
        raise AssertionError("the left side is greater than the right one")


def apart(printed, right):
    """Print what a misprint gives, and what is right; raise if they are the same."""
    printed, right = (np.asarray(side, dtype=np.float64) for side in (printed, right))
    print(f"as printed  {shown(printed)}\nright       {shown(right)}")
    if np.abs(printed - right).max() < 1e-3:
        raise AssertionError("the printed form gives the right numbers")


def shown(numbers):
    """One number with ten digits, or the first few of several with four."""
    if numbers.size == 1:
        return f"{numbers.item():.10g}"
    few = ", ".join(f"{x:.4g}" for x in numbers.ravel()[:6])
    return few + (", …" if numbers.size > 6 else "")


# The rows.


@dataclasses.dataclass(frozen=True)
class Place:
    """A heading of the notes, and the documents that have it."""

    documents: tuple[str, ...]
    heading: str

    @classmethod
    def of(cls, text: str) -> Place:
        """Read ``"A1 C: Optimization problem"``."""
        documents, _, heading = text.partition(": ")
        return cls(tuple(documents.split()), heading)


@dataclasses.dataclass(frozen=True)
class Equation:
    """A row of the table."""

    id: str
    tex: str
    places: tuple[Place, ...]
    run: Callable[[], None]
    code: str | None
    line: str | None
    test: str | None
    erratum: str | None
    correct: str | None
    why: str | None

    @property
    def file(self) -> pathlib.Path:
        """The source file of ``code``."""
        module, _, _ = (self.code or "").partition(":")
        return ROOT / "scratchgen" / (module.replace(".", "/") + ".py")

    @property
    def lineno(self) -> int:
        """The number of the line in its file; ``LookupError`` where it is no longer there."""
        _, _, name = (self.code or "").partition(":")
        first, last = _extent(self.file, name)
        lines = _text(self.file).splitlines()
        for number in range(first, last + 1):
            if self.line in lines[number - 1]:
                return number
        raise LookupError(f"{self.id}: no line of {self.code} has {self.line!r}")

    @property
    def test_place(self) -> tuple[pathlib.Path, int]:
        """The file of the test, and its line."""
        file, _, name = (self.test or "").partition("::")
        path = ROOT / "tests" / file
        return path, _extent(path, name)[0]

    @property
    def stated(self) -> bool:
        """Whether the line is one of a docstring, so that it states the equation only."""
        return any(first <= self.lineno <= last for first, last in _docstrings(self.file))

    @property
    def covered(self) -> int:
        """How many of the two it has, a line of code and a test."""
        return (self.code is not None) + (self.test is not None)

    @property
    def snippet(self) -> str:
        """The body of the function, as it stands in the file of the section."""
        lines = inspect.getsource(self.run).splitlines()
        (function,) = ast.parse("\n".join(lines)).body
        return textwrap.dedent("\n".join(lines[function.body[0].lineno - 1 :]))


@dataclasses.dataclass(frozen=True)
class Section:
    """A file of the table: its title, what its snippets share, and its rows in their order."""

    name: str
    title: str
    preamble: str
    equations: tuple[Equation, ...]


def equation(tex, *places, code=None, line=None, test=None, erratum=None, correct=None, why=None):
    """Make a row of a function whose name is its id."""
    places = tuple(map(Place.of, places))
    tex, correct = expanded(tex), correct and expanded(correct)

    def row(run):
        run.row = Equation(run.__name__, tex, places, run, code, line, test, erratum, correct, why)
        return run

    return row


def expanded(tex: str) -> str:
    """LaTeX without the abbreviations."""
    return re.sub(r"\\[a-zA-Z]+", lambda name: MACROS.get(name[0], name[0]), tex)


@functools.cache
def section(name: str) -> Section:
    """The section of that file."""
    module = importlib.import_module(f"equations.{name}")
    rows = tuple(x.row for x in vars(module).values() if hasattr(x, "row"))
    source = inspect.getsource(module)
    title, *statements = ast.parse(source).body
    first = next(x for x in statements if getattr(x, "name", "") == rows[0].id)
    lines = source.splitlines()[title.end_lineno : first.decorator_list[0].lineno - 1]
    shared = [line for line in lines if not line.startswith("from equations.table import")]
    return Section(name, module.__doc__, "\n".join(shared).strip(), rows)


def sections() -> list[Section]:
    """All sections, in the order of the notes."""
    return [section(name) for name in SECTIONS]


@functools.cache
def _text(file: pathlib.Path) -> str:
    return file.read_text(encoding="utf-8")


@functools.cache
def _tree(file: pathlib.Path) -> ast.Module:
    return ast.parse(_text(file))


@functools.cache
def _docstrings(file: pathlib.Path) -> list[tuple[int, int]]:
    """The first and the last line of each docstring of a file."""
    of = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [n.body[0] for n in ast.walk(_tree(file)) if isinstance(n, of) and ast.get_docstring(n)]
    return [(node.lineno, node.end_lineno or node.lineno) for node in nodes]


@functools.cache
def _extent(file: pathlib.Path, name: str) -> tuple[int, int]:
    """The first and the last line of an object, ``"RBM.energy"``, or of a whole file for ``""``."""
    if not name:
        return 1, len(_text(file).splitlines())
    node: ast.AST = _tree(file)
    for part in name.split("."):
        found = [n for n in ast.iter_child_nodes(node) if part in _names(n)]
        if not found:
            raise LookupError(f"{file.name} has no {name}")
        node = found[0]
    return node.lineno, node.end_lineno  # type: ignore[attr-defined]


def _names(node: ast.AST) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
    return [
        n.id for target in targets if target for n in ast.walk(target) if isinstance(n, ast.Name)
    ]
