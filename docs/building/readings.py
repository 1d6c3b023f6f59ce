"""The readings: each paper with the places where the library uses it, found by the build.

A line of ``{readings}`` is ``key | authors | title | year``. The key is what a docstring says of
the paper, ``arXiv:1312.6114`` or ``Hinton 2002``; the files with the key are its places. A key that
no file has is a warning, so that it ends the build.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from building.sources import ROOT

logger = logging.getLogger(__name__)


def texts() -> dict[str, str]:
    """Each file of the library and of the tutorials, with single spaces."""
    files = [*(ROOT / "scratchgen").rglob("*.py"), *(ROOT / "tutorials").glob("*.py")]
    return {
        path.relative_to(ROOT).as_posix(): re.sub(r"[\s#]+", " ", path.read_text(encoding="utf-8"))
        for path in sorted(files)
    }


class Readings(SphinxDirective):
    """A table of readings."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        written, lines = texts(), ["| authors | title | year | used in |", "|---|---|---|---|"]
        for line in filter(None, self.content):
            key, authors, title, year = (part.strip() for part in line.split("|"))
            places = [path for path, text in written.items() if key in text]
            if not places:
                logger.warning("readings: no file has %s", key, location=self.get_location())
            if key.startswith("arXiv:"):
                title = f"{title}, [{key}](https://arxiv.org/abs/{key.removeprefix('arXiv:')})"
            used = ", ".join(
                f"[`{path.removeprefix('scratchgen/')}`](src:{path})" for path in places
            )
            lines.append(f"| {authors} | {title} | {year} | {used} |")
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("readings", Readings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
