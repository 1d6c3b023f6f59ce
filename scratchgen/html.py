"""A table of words as HTML, for notebooks: plain tags, escaped text, no script.

Colours and fonts are those of the page, dark or light. The table sets the alignment, since
notebooks align cells to the right, and the tint of a cell that asks for one: it lets the page
through, so that the text is read on it in its own colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

GOOD, BAD, OPEN = "rgb(0 158 115 / .25)", "rgb(213 94 0 / .32)", "rgb(230 184 0 / .30)"
"""The tints of what agrees, disagrees and is not decided, told apart by the colour-blind too."""


class Tinted(NamedTuple):
    """A cell with a tint, and with words that appear where the mouse rests on it."""

    text: object
    tint: str
    title: str = ""

    def __str__(self) -> str:
        return str(self.text)


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
    return "".join(f"<{tag} {_attributes(x)}>{escape(str(x))}</{tag}>" for x in cells)


def _attributes(x: object) -> str:
    if not isinstance(x, Tinted):
        return 'style="text-align:left"'
    title = f' title="{escape(x.title)}"' if x.title else ""
    return f'style="text-align:left;background:{x.tint}"{title}'
