"""The check on derivations with a slip of the pen: all are caught, and named; the right ones pass.

The table of kinds is ``python -m tests.gradcheck.derivations``.
"""

import pytest

from tests.gradcheck.derivations import as_markdown, right_ones, tally

draws = pytest.mark.parametrize("draws", [1, pytest.param(20, marks=pytest.mark.slow)])


@draws
def test_every_mistake_is_caught_and_nineteen_in_twenty_are_named(draws):
    table = tally(draws)
    made = sum(row.made for row in table.values())
    assert len(table) >= 40
    assert made >= 600 * draws
    assert sum(row.caught for row in table.values()) == made, as_markdown(table)
    assert sum(row.named for row in table.values()) >= 0.95 * made, as_markdown(table)
    assert all(row.named >= 0.5 * row.made for row in table.values()), as_markdown(table)


@draws
def test_a_right_gradient_raises_no_alarm(draws):
    reports = [*right_ones(draws)]
    assert len(reports) >= 180 * draws
    for subject, report in reports:
        assert report.ok, f"{subject}\n{report}"
