"""The table of the notes' equations, ``docs/equations``: every line, test and number is there.

The table is read and run as the build of its pages does, without Sphinx.
"""

import functools
import importlib.util
import pathlib
import re
import sys

import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "equations"


def package():
    """The package of the table, whose files import it by the name ``equations``."""
    spec = importlib.util.spec_from_file_location("equations", FOLDER / "__init__.py")
    sys.modules["equations"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["equations"])


package()
from equations import coverage, pages, table  # noqa: E402

ROWS = [row for section in table.sections() for row in section.equations]
sections = pytest.mark.parametrize("section", table.sections(), ids=lambda section: section.name)


@functools.cache
def text(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_two_sides_of_each_equation_agree(row, capsys):
    row.run()
    assert re.search(r"^(left|as printed) .*\n(left|right) ", capsys.readouterr().out, re.M)


@sections
def test_each_row_has_a_line_and_a_test_or_says_why_not(section):
    for row in section.equations:
        if row.code is None:
            assert row.why, row.id
        else:
            assert row.line in text(row.file).splitlines()[row.lineno - 1], row.id
        if row.test is not None:
            file, line = row.test_place
            name = row.test.partition("::")[2]
            assert text(file).splitlines()[line - 1].startswith(f"def {name}("), row.id


@sections
def test_each_row_says_which_documents_have_it_and_below_which_heading(section):
    for row in section.equations:
        assert row.places, row.id
        for place in row.places:
            assert place.heading, row.id
            assert place.documents, row.id
            assert set(place.documents) <= set(table.DOCUMENTS), row.id


@sections
def test_a_misprint_is_an_erratum_named_where_its_equation_lives_beside_what_is_right(section):
    for row in section.equations:
        assert (row.erratum is None) == (row.correct is None), row.id
        if row.erratum:
            assert f'<a id="{row.erratum.lower()}"></a>' in text(ROOT / "tutorials" / "errata.md")
            assert re.search(rf"\b{row.erratum}\b", text(row.file)), row.id
            assert row.correct != row.tex, row.id


@sections
def test_the_page_of_a_section_is_a_notebook_that_prints_the_same_by_itself(section, capsys):
    notebook, names = pages.notebook(section, "{path}:{line}"), {"__name__": "__main__"}
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, section.name, "exec"), names)
            assert capsys.readouterr().out == "".join(out.text for out in cell.outputs)
    assert sum(bool(cell.get("outputs")) for cell in notebook.cells) == len(section.equations)


def test_the_index_has_a_line_for_each_row():
    lines = [line for line in pages.index().splitlines() if line.startswith("| [")]
    assert [re.match(r"\| \[(\w+)\]", line)[1] for line in lines] == [row.id for row in ROWS]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert {*bars} == {5}


def test_ids_are_numbered_within_their_section():
    for section in table.sections():
        prefix = re.match("[A-Z]+", section.equations[0].id)[0]
        expected = [f"{prefix}{k}" for k in range(1, len(section.equations) + 1)]
        assert [row.id for row in section.equations] == expected
    assert len({row.id for row in ROWS}) == len(ROWS)


def test_every_file_of_the_folder_is_a_section_or_has_its_part_in_the_pages():
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "table", "pages", "coverage"}
    assert files == set(table.SECTIONS)


def test_the_latex_has_braces_in_pairs_and_no_abbreviation_left():
    for row in ROWS:
        for tex in filter(None, (row.tex, row.correct)):
            bare = re.sub(r"\\[{}]", "", tex)
            assert bare.count("{") == bare.count("}"), row.id
            assert len(re.findall(r"\\left\b", tex)) == len(re.findall(r"\\right\b", tex)), row.id
            assert not set(re.findall(r"\\[a-zA-Z]+", tex)) & table.MACROS.keys(), row.id


def test_the_page_has_the_counts_of_the_table():
    assert coverage.PAGE.read_text(encoding="utf-8") == coverage.page(), (
        "run python docs/equations/coverage.py"
    )


def test_a_side_that_differs_is_an_error():
    table.agree(0.1 + 0.2, 0.3)
    with pytest.raises(AssertionError, match=r"the two sides differ by 1e-09"):
        table.agree(1, 1 + 1e-9)
    with pytest.raises(AssertionError, match="the two sides differ by nan"):
        table.agree(float("nan"), 1)
    with pytest.raises(AssertionError, match="greater than the right"):
        table.at_most([1, 3], [2, 2])
    with pytest.raises(AssertionError, match="the printed form gives the right numbers"):
        table.apart(1, 1 + 1e-9)


def test_a_line_that_is_gone_is_an_error():
    row = ROWS[1]
    gone = type(row)(**{**vars(row), "line": "residual = X @ theta - y"})
    with pytest.raises(LookupError, match=r"no line of models\.linear:mean_squared_error has"):
        assert gone.lineno
