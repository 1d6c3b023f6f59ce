"""A table of words as HTML, for notebooks: plain tags, escaped text, no script.

Colours and fonts are those of the page, dark or light. The table sets only the alignment, since
notebooks align cells to the right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], below: Iterable[object] = ()
) -> str:
    """Return a table with the line ``head`` and its ``rows``, and below it a paragraph per text.

    Every value is converted by ``str`` and escaped.
    """
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    whole = f"<table><thead><tr>{_cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"
    return whole + "".join(f"<p>{escape(str(text))}</p>" for text in below)


def _cells(tag: str, cells: Sequence[object]) -> str:
    return "".join(f'<{tag} style="text-align:left">{escape(str(x))}</{tag}>' for x in cells)
