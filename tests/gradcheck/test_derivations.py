"""The check on derivations with a slip of the pen: all are caught, and named; the right ones pass.

The table of kinds is ``python -m tests.gradcheck.derivations``.
"""

import numpy as np
import pytest

from scratchgen import gradcheck
from tests.gradcheck.derivations import DERIVATIONS, as_markdown, right_ones, tally

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


@pytest.mark.parametrize("size", [1e-3, 0.1, 10.0])
@draws
def test_a_gradient_that_is_wrong_at_random_is_caught_and_given_no_name(draws, size):
    for number in range(draws):
        rng = np.random.default_rng([4, number])
        for subject in ("hidden scalar layer", "logistic regression", "VAE", "dropout"):
            derivation = DERIVATIONS[subject]
            arrays = derivation.draw(rng)
            right = derivation.derive(None)(*arrays)
            wrong = [g * (1 + size * rng.standard_normal(np.shape(g))) for g in right]
            report = gradcheck.check_gradient(derivation.cost, lambda *_, g=wrong: g, *arrays)
            for entry in report.entries:
                assert not entry.ok
                assert not entry.kinds, entry.diagnosis
                assert entry.diagnosis.endswith("none of the known mistakes fits")
