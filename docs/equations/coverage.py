"""How many equations of each section have a line of code and a test, as a table of Markdown.

``python docs/equations/coverage.py`` writes it into ``tutorials/coverage.md``, between two marks.
"""

import pathlib
import sys
from collections.abc import Sequence

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from equations import table

PAGE = table.ROOT / "tutorials" / "coverage.md"
HEAD = ("section", "equations", "line and test", "one", "neither", "docstring only", "misprints")
BEGIN, END = "<!-- The table of equations begins. -->", "<!-- The table of equations ends. -->"


def counted() -> str:
    """The counts of each section, and of all."""
    rows = [[section.title, *counts(section.equations)] for section in table.sections()]
    of_all = [sum(column) for column in list(zip(*rows, strict=True))[1:]]
    rows.append(["**all**", *(f"**{total}**" for total in of_all)])
    rows[:0] = [list(HEAD), ["---"] * len(HEAD)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def counts(rows: Sequence[table.Equation]) -> list[int]:
    """The numbers below the columns of HEAD."""
    covered = [row.covered for row in rows]
    return [
        len(rows),
        *(covered.count(k) for k in (2, 1, 0)),
        sum(row.code is not None and row.stated for row in rows),
        sum(row.erratum is not None for row in rows),
    ]


def page() -> str:
    """The page with the counts of today."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{counted()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
