"""The pages of the table: a notebook for each section, whose numbers the build has computed.

An extension of Sphinx. Before the pages are read, it runs every snippet in this process, and writes
the notebooks with what they printed, so that MyST-NB need not execute them again; a snippet whose
two sides differ ends the build. Beside them it writes the index of all rows, with a search box.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import pathlib
import re

import nbformat

from . import table

FOLDER = pathlib.Path(__file__).parent
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
    "mystnb": {"execution_mode": "off"},
}


def setup(app):
    """Write the pages once the configuration is known."""
    app.add_config_value("equations_source", "https://example.org/{path}#L{line}", "env")
    app.connect("config-inited", lambda app, config: write(config.equations_source))
    return {"version": "1", "parallel_read_safe": True}


def write(source: str) -> None:
    """Write all pages; ``source`` is the address of a line, of its ``{path}`` and ``{line}``."""
    for section in table.sections():
        _save(FOLDER / f"{section.name}.ipynb", nbformat.writes(notebook(section, source)) + "\n")
    _save(FOLDER / "index.md", index())


def notebook(section: table.Section, source: str) -> nbformat.NotebookNode:
    """The page of a section: what its snippets share, then each equation, and its snippet, run."""
    v4 = nbformat.v4
    helpers = "\n\n\n".join(
        inspect.getsource(f) for f in (table.agree, table.at_most, table.apart, table.shown)
    )
    imports, shared = _parts(section.preamble)
    cells = [
        v4.new_markdown_cell(
            f"# {section.title}\n\n"
            f"{len(section.equations)} equations of the notes, in their order. A snippet computes"
            " both sides. The build of this page ran it, and would have failed had they differed."
            " {doc}`All equations <index>`"
        ),
        v4.new_markdown_cell("The imports, and the functions that compare two sides:"),
        _code(imports + "\n\n\n" + helpers.strip(), tags=["hide-input"]),
        v4.new_markdown_cell("The numbers that the snippets share:"),
        _code(shared),
    ]
    for row in section.equations:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            row.run()
        cells += [v4.new_markdown_cell(statement(row, source)), _code(row.snippet, out.getvalue())]
    for k, cell in enumerate(cells):
        cell["id"] = f"{section.name}-{k}".replace("_", "-")[:64]  # the same in each build
    return v4.new_notebook(cells=cells, metadata=METADATA)


def statement(row: table.Equation, source: str) -> str:
    """The equation as printed, where it stands, its line of code, its test and its erratum."""
    lines = [f"({row.id.lower()})=", f"## {row.id}", "", "$$", row.tex, "$$", ""]
    if row.correct:
        lines += [
            f"It is a misprint, {_erratum(row)}. It should be",
            *("", "$$", row.correct, "$$", ""),
        ]
    lines += [f"- **Notes:** {'; '.join(f'{_documents(p)}, “{p.heading}”' for p in row.places)}"]
    if row.code:
        kind = "Docstring" if row.stated else "Code"
        lines += [f"- **{kind}:** `{row.line}`, {_link(source, row.file, row.lineno)}"]
    else:
        lines += [f"- **Code:** none, {row.why}"]
    if row.test:
        # The name of a test is the sentence that it proves.
        said = row.test.partition("::test_")[2].replace("_", " ")
        lines += [f"- **Test:** {said}, {_link(source, *row.test_place)}"]
    else:
        lines += ["- **Test:** none"]
    return "\n".join(lines)


def index() -> str:
    """The index of all rows, with a search box."""
    rows = [(section, row) for section in table.sections() for row in section.equations]
    lines = [
        "# The equations of the notes",
        "",
        f"The notes display {len(rows)} equations, counted once each. Each one has a row here. Its "
        "page has the place where it stands, the line of the library that computes or states it, "
        "the test that checks it, and a snippet that the build ran. The documents are",
        "",
        *(f"- **{letter}**, {name};" for letter, name in table.DOCUMENTS.items()),
        "",
        "all by M. Hjorth-Jensen. The prints A1, A2 and A3 are of one lecture, and differ in what",
        "they leave out. [The errata](../chapters/errata.ipynb) call all three A.",
        "",
        "```{raw} html",
        '<p><input id="equations-filter" type="search" placeholder="Search: a symbol, a heading, a '
        'name in the code, E4 …" aria-label="Search the equations" style="width: 100%"></p>',
        '<p id="equations-count" role="status"></p>',
        "```",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        *table.SECTIONS,
        "```",
        "",
    ]
    for section in table.sections():
        lines += [
            f"## {section.title}",
            "",
            ":::{table}",
            ":class: equations",
            "",
            "| id, misprint | equation | in the notes | code |",
            "|---|---|---|---|",
        ]
        for row in section.equations:
            code = f"`{row.code.strip(':')}`: `{row.line}`" if row.code else row.why
            tex = row.tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
            places = "; ".join(f"{_documents(p)}, {p.heading}" for p in row.places)
            link = f"[{row.id}]({section.name}.ipynb#{row.id.lower()}) {_erratum(row)}".strip()
            cells = link, f"${tex}$", places, code
            lines += ["| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"]
        lines += ["", ":::", ""]
    return "\n".join([*lines, "```{raw} html", f"<script>\n{SCRIPT}</script>", "```", ""])


SCRIPT = """\
(() => {
  const names = {α: "alpha", β: "beta", δ: "delta", ε: "epsilon", η: "eta", θ: "theta",
    λ: "lambda", μ: "mu", π: "pi", σ: "sigma", φ: "phi", Θ: "theta", Σ: "sum", "∑": "sum",
    "∏": "prod", "∫": "int", "∂": "partial", "∇": "nabla", "√": "sqrt", "≥": "geq"};
  const box = document.getElementById("equations-filter");
  const rows = [...document.querySelectorAll("table.equations tbody tr")];
  // Before it is typeset, the mathematics of a row is LaTeX.
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const show = () => {
    const sought = box.value.split(/\\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, k) => {
      const found = sought.every((word) => texts[k].includes(word.toLowerCase())
        || (names[word] && texts[k].includes("\\\\" + names[word])));
      row.hidden = !found;
      count += found;
    });
    document.getElementById("equations-count").textContent =
      `${count} of ${rows.length} equations`;
    for (const table of document.querySelectorAll("table.equations")) {
      table.closest("section").hidden = !table.querySelector("tbody tr:not([hidden])");
    }
  };
  box.addEventListener("input", show);
  if (location.hash.startsWith("#q=")) box.value = decodeURIComponent(location.hash.slice(3));
  show();
})();
"""


def _erratum(row: table.Equation) -> str:
    """The link to its misprint, if it is one."""
    id = row.erratum
    return f"[{id}](../chapters/errata.ipynb#{id.lower()})" if id else ""


def _link(source: str, file: pathlib.Path, line: int) -> str:
    """The link to a line of the source."""
    path = file.relative_to(table.ROOT).as_posix()
    return f"[`{path}`, line {line}]({source.format(path=path, line=line)})"


def _documents(place: table.Place) -> str:
    return " ".join(place.documents)


def _parts(preamble: str) -> tuple[str, str]:
    """The imports, and the rest."""
    lines = preamble.splitlines()
    last = max(k for k, line in enumerate(lines) if re.match(r"(from|import) ", line)) + 1
    return "\n".join(lines[:last]), "\n".join(lines[last:]).strip()


def _code(source: str, printed: str = "", tags: tuple[str, ...] | list[str] = ()):
    """A code cell that has been run."""
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)] if printed else []
    metadata = {"tags": list(tags)} if tags else {}
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata=metadata, execution_count=1)


def _save(path: pathlib.Path, text: str) -> None:
    """Write a file, unless it has this text already: then Sphinx need not read it again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
