"""A report as it is read: its table, its sentences, its entries by name."""

import numpy as np

import scratchgen as sg
from scratchgen.gradcheck.report import AGREES, DISAGREES, UNDECIDED, Entry, Report
from scratchgen.html import BAD, GOOD, OPEN
from tests.gradcheck.handwritten import X, cubes
from tests.reading import Reader


def test_a_report_is_shown_as_its_table_printed_or_in_a_notebook():
    report = sg.check_gradient(cubes, lambda x: 1.5 * x**2, X)
    assert repr(report) == str(report)
    head, row = (line.split("  ") for line in str(report).splitlines()[:3:2])
    read = Reader(report._repr_html_())
    assert read.rows[0] == [cell.strip() for cell in head if cell]
    assert read.rows[1] == [cell.strip() for cell in row if cell]
    assert read.rows[1][-1] == "DISAGREES"
    assert read.paragraphs[0].startswith("✗ ∂C/∂x: ")
    assert read.paragraphs[0].endswith("a factor 2 is missing")
    assert all(sentence[0] in "✗·" for sentence in read.paragraphs)


def test_each_entry_of_a_wrong_derivative_has_a_mark_that_is_read_without_its_colour():
    def one_sign(x):
        given = 3 * x**2
        given[1] *= -1
        return given

    report = sg.check_gradient(cubes, one_sign, X)
    page = report._repr_html_()
    read = Reader(page)
    assert read.rows[2] == ["∂C/∂x, given", "[0]", "[1]", "[2]"]
    assert [cell.split()[0] for cell in read.rows[3][1:]] == ["✓", "✗", "✓"]
    assert read.paragraphs[-1] == "· 3 entries of ∂C/∂x: 2 agree (✓), 1 disagree (✗)"
    assert page.count(f"background:{BAD}") == 2  # the verdict, and the entry
    assert page.count(f"background:{GOOD}") == 2
    assert "color:" not in page.replace("background", "")


def test_of_a_large_derivative_the_entries_around_the_worst_are_shown():
    def one_wrong(x):
        given = 3 * x**2
        given[70, 40] += 1
        return given

    x = np.random.default_rng(0).standard_normal((90, 50))
    report = sg.check_gradient(cubes, one_wrong, x)
    read = Reader(report._repr_html_())
    shown = {row[0]: row[1:] for row in read.rows[2:]}
    column = read.rows[2].index("[40]") - 1
    assert shown["[70]"][column].startswith("✗")
    assert len(shown) <= 13
    assert "4,500 entries of ∂C/∂x" in read.paragraphs[-1]


def test_the_verdict_of_a_whole_is_that_of_its_worst_entry():
    entry = lambda name, verdict: Entry(name, (), verdict, 0.0)
    a, b, c = entry("a", AGREES), entry("b", UNDECIDED), entry("c", DISAGREES)
    assert Report([a]).verdict == "agrees"
    assert Report([a, b]).verdict == "UNDECIDED"
    assert Report([a, b, c]).verdict == "DISAGREES"
    assert Report([], ["why"]).verdict == "NOT RUN"
    assert Report([a, b, c]).summary == "∂C/∂c: DISAGREES; ∂C/∂b: UNDECIDED"
    assert Report([a]).summary == "∂C/∂a: agrees"
    assert OPEN in Report([b])._repr_html_()
