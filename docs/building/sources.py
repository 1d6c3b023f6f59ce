"""The source of the library, of its tests and of the chapters as pages, with an anchor per line.

``{src}`scratchgen.operations.affine```, ``{src}`text <tests/test_autodiff.py:20>``` and
``[text](src:tests/test_autodiff.py:20)`` link to a line; what ``source(…)`` of a chapter prints as
its place is linked too. A target is

- a dotted name of the library,
- ``path``, ``path:line`` or ``path#name``, with the name of a function or ``Class.method``.

A target that does not exist is a warning, so that it ends the build.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import ReferenceRole

ROOT = Path(__file__).parents[2]
FOLDERS = ("scratchgen", "tests", "tutorials", "benchmarks")
logger = logging.getLogger(__name__)


def find(target: str) -> tuple[str, int]:
    """The file, from the root of the repository, and the line of a target; ValueError if none."""
    path, _, name = target.partition("#")
    path, _, line = path.partition(":")
    if not path.endswith(".py"):
        return _of_object(target)
    if not (ROOT / path).is_file():
        raise ValueError(f"there is no file {path}")
    if name:
        names = definitions(path)
        if name not in names:
            raise ValueError(f"{path} defines no {name}")
        return path, names[name]
    return path, int(line or 1)


@functools.cache
def definitions(path: str) -> dict[str, int]:
    """The line of each function, class and method that a file defines."""
    found: dict[str, int] = {}

    def visit(node: ast.AST, inside: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                found.setdefault(inside + child.name, child.lineno)
                visit(child, f"{inside}{child.name}.")
            elif isinstance(child, ast.Assign) and not inside:
                for name in child.targets:
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, child.lineno)

    visit(ast.parse((ROOT / path).read_text(encoding="utf-8")), "")
    return found


def _of_object(dotted: str) -> tuple[str, int]:
    parts = dotted.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:k]))
        except ImportError:
            continue
        try:
            for name in parts[k:]:
                found = getattr(found, name)
            return place(found)
        except (AttributeError, TypeError, OSError):
            break
    raise ValueError(f"{dotted} is no name with a source in Python")


def place(of: Any) -> tuple[str, int]:
    """The file and the line of a function, a rule, a method, a class or a module."""
    of = of.fget if isinstance(of, property) else of
    of = inspect.unwrap(of)
    file = Path(inspect.getfile(of)).resolve().relative_to(ROOT).as_posix()
    line = 1 if inspect.ismodule(of) else inspect.getsourcelines(of)[1]
    return file, line


def address(path: str, line: int, docname: str) -> str:
    """The address of a line of a file, seen from a page."""
    up = "../" * docname.count("/")
    return f"{up}source/{path}.html" + (f"#L-{line}" if line > 1 else "")


def link(target: str, docname: str, content: list[nodes.Node], where: Any) -> list[nodes.Node]:
    """The content as a link to a target, seen from a page."""
    try:
        path, line = find(target)
    except ValueError as error:
        logger.warning("src: %s", error, location=where)
        return content
    return [
        nodes.reference(
            "", "", *content, refuri=address(path, line, docname), internal=True, classes=["src"]
        )
    ]


class SourceRole(ReferenceRole):
    """The role ``src``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        content = [nodes.literal(text=self.title)]
        return link(self.target, self.env.docname, content, self.get_location()), []


class SourceLinks(SphinxTransform):
    """Links of the scheme ``src``, and what ``source(…)`` prints: ``scratchgen/vae.py:13``."""

    default_priority = 900

    def apply(self, **_: Any) -> None:
        docname = self.env.docname
        for given in list(self.document.findall(nodes.reference)):
            if given.get("refuri", "").startswith("src:"):
                target = given["refuri"].removeprefix("src:")
                given.replace_self(link(target, docname, given.children, given))
        for literal in list(self.document.findall(nodes.literal)):
            text, inside = literal.astext(), isinstance(literal.parent, nodes.reference)
            if not inside and re.fullmatch(r"scratchgen/[\w/]+\.py:\d+", text):
                literal.replace_self(link(text, docname, [literal.deepcopy()], literal))


def signatures(app: Sphinx, document: nodes.document) -> None:
    """Add to each signature of the reference a link to its source."""
    for signature in document.findall(addnodes.desc_signature):
        name = f"{signature.get('module')}.{signature.get('fullname')}"
        try:
            path, line = find(name)
        except ValueError:  # an attribute
            continue
        link = nodes.reference(
            "", "", refuri=address(path, line, app.env.docname), internal=True, classes=["source"]
        )
        link += nodes.inline(text="source")
        signature += link


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield a page for each file that has changed since its page was made."""
    shown = HtmlFormatter(linespans="L", wrapcode=True)
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            made = Path(app.outdir, "source", f"{path}.html")
            if made.exists() and made.stat().st_mtime > file.stat().st_mtime:
                continue
            code = highlight(file.read_text(encoding="utf-8"), PythonLexer(), shown)
            body = f"<h1><code>{path}</code></h1>\n<div class='source-view'>{code}</div>"
            yield f"source/{path}", {"title": path, "body": body}, "page.html"


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the role, the links and the pages."""
    app.add_role("src", SourceRole())
    app.add_transform(SourceLinks)
    app.connect("doctree-read", signatures)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
