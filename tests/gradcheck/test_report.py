"""A report as it is read: its table, its sentences, its entries by name."""

import scratchgen as sg
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
