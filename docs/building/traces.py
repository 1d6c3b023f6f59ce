"""The traces of ``scratchgen.tracing.EXAMPLES`` as pages of the site, to step through.

The build writes ``traces/NAME.html`` beside the pages of Sphinx. The directive ``{trace} NAME``
shows one within a page, and ``[text](trace:NAME)`` leads to it. A name without an example is a
warning, so that it ends the build.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from scratchgen.tracing import EXAMPLES

logger = logging.getLogger(__name__)


def write(folder: Path) -> None:
    """Write the page of each example, whose rules lead to the source views of the site."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, example in EXAMPLES.items():
        example().to_html(folder / f"{name}.html", source="../source/{file}.html#L-{line}")


def address(name: str, docname: str) -> str:
    """The address of an example, seen from a page."""
    return f"{'../' * docname.count('/')}traces/{name}.html"


def known(name: str, where: Any) -> bool:
    """Whether there is such an example; if not, the build is warned."""
    if name not in EXAMPLES:
        logger.warning("trace: %s is none of %s", name, ", ".join(EXAMPLES), location=where)
    return name in EXAMPLES


class TraceDirective(SphinxDirective):
    """What an example shows, the links to its page, and on a wide screen the page itself."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if not known(name, self.get_location()):
            return []
        example, page = EXAMPLES[name](), address(name, self.env.docname)
        links = nodes.paragraph()
        for k, (text, at) in enumerate(
            {"Predict each number": "#0,predict", "Watch the numbers": ""}.items()
        ):
            links += [nodes.Text(" · ")] if k else []
            links += nodes.reference("", text, refuri=page + at, internal=True)
        frame = (
            f'<iframe class="trace" src="{page}" title="{escape(example.title)}" loading="lazy" '
            'style="width: 100%; height: 46rem; border: 0; border-radius: 14px"></iframe>'
            "<style>@media (max-width: 900px) { iframe.trace { display: none } }</style>"
        )
        return [
            nodes.paragraph(text=example.says),
            links,
            nodes.raw("", frame, format="html"),
        ]


class TraceLinks(SphinxTransform):
    """Links of the scheme ``trace``."""

    default_priority = 900

    def apply(self, **_: Any) -> None:
        for given in list(self.document.findall(nodes.reference)):
            if given.get("refuri", "").startswith("trace:"):
                name = given["refuri"].removeprefix("trace:")
                if known(name, given):
                    given["refuri"] = address(name, self.env.docname)
                    given["internal"] = True


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive and the links, and write the pages once the others are written."""
    app.add_directive("trace", TraceDirective)
    app.add_transform(TraceLinks)
    app.connect("config-inited", lambda _, config: config.myst_url_schemes.update(trace=None))
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        write(Path(app.outdir) / "traces")
