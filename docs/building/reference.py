"""The reference: a page per package, with every public name, its signature and its docstring.

Docstrings are written for an editor and for ``help()``: Unicode mathematics, two backticks for
code, and indented equations. ``as_pages`` makes of them what Sphinx reads, word for word.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

from .chapters import keep

PAGES = {
    "Backpropagation": ["scratchgen", "scratchgen.operations", "scratchgen.nn"],
    "Checking and watching": ["scratchgen.gradcheck", "scratchgen.tracing"],
    "Training": ["scratchgen.optim", "scratchgen.datasets", "scratchgen.metrics"],
    "Models": [
        "scratchgen.distributions",
        "scratchgen.models",
        "scratchgen.models.diffusion",
        "scratchgen.sampling",
        "scratchgen.estimators",
    ],
    "Pictures and runs": [
        "scratchgen.plotting",
        "scratchgen.learning",
        "scratchgen.recipes",
        "scratchgen.backend",
        "scratchgen.parallel",
    ],
}
"""The pages, in reading order."""


def public(module: ModuleType) -> dict[str, Any]:
    """The public names of a module: those it lists, else those it defines without an underscore."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", "") == module.__name__
    ]
    return {name: getattr(module, name) for name in names}


def write(folder: Path) -> None:
    """Write all pages, and the page that lists them, into a folder."""
    folder.mkdir(exist_ok=True)
    modules = [importlib.import_module(name) for names in PAGES.values() for name in names]
    written: dict[int, str] = {}
    for module in modules:
        keep(folder / f"{module.__name__}.rst", "\n".join(_page(module, modules, written)) + "\n")
    lines = ["# Reference", "", "Every public name, by package. The source is a click away."]
    for part, names in PAGES.items():
        lines += ["", f"## {part}", "", "| | |", "|---|---|"]
        for name in names:
            first = (importlib.import_module(name).__doc__ or "").split("\n")[0]
            lines += [f"| [`{name}`]({name}.rst) | {_markdown(first)} |"]
    lines += ["", "```{toctree}", ":hidden:", ""]
    lines += [name for names in PAGES.values() for name in names]
    keep(folder / "index.md", "\n".join([*lines, "```", ""]))


def _page(module: ModuleType, modules: list[ModuleType], written: dict[int, str]) -> Iterator[str]:
    """The lines of the page of a module: its docstring, then its names by the file they are in."""
    name = module.__name__
    yield from (name, "=" * len(name), "", f".. py:module:: {name}", "")
    yield from as_pages(module.__doc__)
    by_file: dict[str, list[str]] = {}
    chapters: list[ModuleType] = []
    for public_name, value in public(module).items():
        if inspect.ismodule(value):
            if value not in modules:
                chapters.append(value)
        elif id(value) not in written or not callable(value):
            written[id(value)] = f"{name}.{public_name}"
            by_file.setdefault(_home(value, module), []).append(f"{name}.{public_name}")
    loaded = list(sys.modules)  # a module is loaded after those on which it stands
    for file, names in sorted(by_file.items(), key=lambda item: loaded.index(item[0])):
        if len(by_file) > 1:
            title = file.removeprefix(f"{name}.").removeprefix("scratchgen.").replace("_", " ")
            yield from _section(title, importlib.import_module(file).__doc__)
        for each in names:
            yield from _entry(each)
    for chapter in chapters:
        own = {k: v for k, v in public(chapter).items() if id(v) not in written}
        own = {k: v for k, v in own.items() if not inspect.ismodule(v)}
        if own:
            yield from _section(chapter.__name__, chapter.__doc__)
            yield from ("", f".. py:module:: {chapter.__name__}", "")
        for each, value in own.items():
            written[id(value)] = f"{chapter.__name__}.{each}"
            yield from _entry(f"{chapter.__name__}.{each}")


def _section(title: str, text: str | None) -> Iterator[str]:
    yield from ("", title, "-" * len(title), "")
    yield from as_pages(text)


def _entry(name: str) -> Iterator[str]:
    module, _, last = name.rpartition(".")
    value = getattr(importlib.import_module(module), last)
    ours = getattr(value, "__module__", "").startswith("scratchgen")
    if ours and inspect.isclass(value):
        yield from ("", f".. autoclass:: {name}", "   :members:", "   :special-members: __call__")
        yield from ("   :show-inheritance:", "")
    elif ours and callable(value):
        yield from ("", f".. autofunction:: {name}", "")
    else:
        yield from ("", f".. py:data:: {name}", "")
        if inspect.isclass(value):
            yield from (f"   ``{value.__module__.split('.')[0]}.{value.__name__}``", "")


def _home(value: Any, module: ModuleType) -> str:
    home = getattr(inspect.unwrap(value) if callable(value) else value, "__module__", None)
    return home if home and home.startswith("scratchgen") else module.__name__


def as_pages(text: str | None) -> list[str]:
    """A docstring as reStructuredText that shows it as it stands: equations keep their lines."""
    made: list[str] = []
    kinds, before = _Kinds(), "prose"
    for line in inspect.cleandoc(text or "").split("\n"):
        kind = kinds(line)
        if kind == "equation" != before:
            made += ["", ".. code-block:: none", "   :class: equation", ""]
        made.append(_escaped(line) if kind == "prose" else line)
        before = kind if line else before
    return [*made, ""]


class _Kinds:
    """What a line is, after those before it: an example, an equation, or prose."""

    example = False

    def __call__(self, line: str) -> str:
        self.example = bool(line) and (self.example or line.lstrip().startswith(">>>"))
        if self.example:
            return "example"
        return "equation" if re.match(r" {4}(?! *[-*] )", line) else "prose"


KEPT = re.compile(r":[a-z:]+:`[^`]+`|``[^`]+``|(?<![\w*])\*(?=\S)[^*`]+(?<=\S)\*(?![\w*])")


def _escaped(line: str) -> str:
    """A line of prose, in which only code, roles and *emphasis* are marks."""
    made, at = "", 0
    for kept in KEPT.finditer(line):
        made += re.sub(r"([\\*`|_])", r"\\\1", line[at : kept.start()]) + kept[0]
        at = kept.end()
    return made + re.sub(r"([\\*`|_])", r"\\\1", line[at:])


def _markdown(line: str) -> str:
    return line.replace("``", "`").replace("|", r"\|")


def setup(app: Sphinx) -> dict[str, Any]:
    """Show docstrings as they are read in an editor."""

    def process(_app: Sphinx, _what: str, _name: str, _of: Any, _options: Any, lines: list[str]):
        lines[:] = as_pages("\n".join(lines))

    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
