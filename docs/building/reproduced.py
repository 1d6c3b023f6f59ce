"""The table of the figures that were reproduced: the quick ones are computed by each build."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from benchmarks import reproduced

logger = logging.getLogger(__name__)


class Reproduced(SphinxDirective):
    """``{reproduced} quick`` computes its table; ``{reproduced} stored`` shows the one in the file.

    A figure that differs without an erratum is a warning, so that it ends the build.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.arguments[0] == "stored":
            self.env.note_dependency(str(reproduced.KEPT))
            values = reproduced.kept()
            runs = sorted({f"{of['date']}, commit `{of['commit']}`" for of in values.values()})
            text = f"Made on {'; '.join(runs)}.\n\n"
        else:
            values = reproduced.measured(f for f in reproduced.FIGURES if not f.stored)
            text = ""
        for figure in reproduced.FIGURES:
            if figure.name in values:
                said = reproduced.verdict(figure, values[figure.name]["value"])
                if said == "DIFFERS":
                    logger.warning("reproduced: %s", figure.name, location=self.get_location())
        made = self.parse_text_to_nodes(text + reproduced.markdown(values))
        for table in (table for node in made for table in node.findall(nodes.table)):
            table["classes"].append("reproduced")  # site.css gives it the width of the page
        return made


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("reproduced", Reproduced)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
