"""The reference: a page per package, with every public name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def write(folder: Path) -> None:
    """Write the pages."""
    folder.mkdir(exist_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Show docstrings as they are read in an editor."""
    return {"parallel_read_safe": True, "parallel_write_safe": True}
