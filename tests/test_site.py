"""The site that ``make docs`` has built: its links lead somewhere, it asks no other host."""

import functools
import html
import inspect
import json
import pathlib
import re
from urllib.parse import unquote, urlsplit

import pytest

import scratchgen as sg
from scratchgen import plotting

ROOT = pathlib.Path(__file__).parents[1]
HTML = ROOT / "docs" / "_build" / "html"
built = pytest.mark.skipif(
    not (HTML / "index.html").exists(), reason="docs/_build/html is missing: make docs builds it"
)


class Page:
    """The anchors of a page, what it links to, and what a browser loads with it."""

    def __init__(self, path):
        # In a text, Sphinx escapes quotation marks: what follows =" is an attribute.
        text = path.read_text(encoding="utf-8")
        self.anchors = set(re.findall(r'\b(?:id|name)="([^"]*)"', text))
        self.links = set(map(html.unescape, re.findall(r'<a\b[^>]*?\bhref="([^"]*)"', text)))
        self.loads = set(re.findall(r'\b(?:src|srcset|poster)="([^"]*)"', text))
        self.loads.update(re.findall(r'<link\b[^>]*?\bhref="([^"]*)"', text))
        self.loads.update(re.findall(r"url\(['\"]?([^'\")]+)", text))


@functools.cache
def page(path):
    return Page(path)


def pages():
    return sorted(p for p in HTML.rglob("*.html") if "_static" not in p.parts)


def is_elsewhere(address):
    return bool(urlsplit(address).netloc)


@built
def test_every_link_leads_to_a_page_and_every_anchor_exists():
    lost = []
    for path in pages():
        for link in page(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not there.is_file():
                lost.append(f"{path.relative_to(HTML)}: no file {link}")
            elif "traces" in there.parts:
                continue  # what follows # is a state of the page
            elif anchor and there.suffix == ".html" and anchor not in page(there).anchors:
                lost.append(f"{path.relative_to(HTML)}: no anchor {link}")
    assert lost == []


@built
def test_a_page_loads_nothing_from_another_host():
    loaded = [(p.relative_to(HTML), a) for p in pages() for a in page(p).loads if is_elsewhere(a)]
    assert loaded == []
    for sheet in HTML.rglob("*.css"):
        addresses = re.findall(
            r"(?:url\(|@import\s)\s*['\"]?([^'\")\s]+)", sheet.read_text(encoding="utf-8")
        )
        assert [a for a in addresses if is_elsewhere(a)] == [], sheet


@built
def test_an_exercise_is_open_as_the_reader_finds_it_and_solved_with_its_solution():
    exercises = 0
    for path in sorted((HTML / "chapters").glob("*.html")):
        text = path.read_text(encoding="utf-8")
        printed = r"^(?:.*<pre><span></span>)?(solved|not solved yet|not tried)\b"
        answers = re.findall(printed, text, re.MULTILINE)
        solutions = len(re.findall(r'class="[^"]*\btag_solution\b', text))
        pairs = list(zip(answers[::2], answers[1::2], strict=True))
        assert set(pairs) <= {("not solved yet", "solved"), ("not tried", "not tried")}, path.name
        assert len(pairs) == solutions, path.name
        exercises += solutions
    assert exercises > 0


@built
def test_the_search_finds_words_and_symbols():
    index = (HTML / "searchindex.js").read_text(encoding="utf-8")
    terms = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))["terms"]
    for term in ("∂c/∂w", "reparameteris", "σ"):
        assert term in terms


def test_the_gallery_has_every_picture():
    written = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    no_picture = {"Animation", "is_image", "is_plane"}
    names = {
        name
        for name, value in vars(plotting).items()
        if callable(value) and not name.startswith("_") and value.__module__ == plotting.__name__
    }
    assert [name for name in sorted(names - no_picture) if name not in written] == []


@built
def test_the_reference_has_every_public_name():
    anchors = set().union(*(page(path).anchors for path in (HTML / "reference").glob("*.html")))
    known = {anchor.removeprefix("module-").rpartition(".")[2] for anchor in anchors}
    for package in (sg, sg.operations, sg.nn, sg.models, sg.optim, sg.datasets, sg.metrics):
        public = vars(package)
        names = {name for name in package.__all__ if not inspect.ismodule(public[name])}
        assert names - known == set(), package.__name__
