"""The figures of the sources are reproduced: the quick ones here, the slow ones in the file."""

import re
from pathlib import Path

import pytest

from benchmarks import reproduced

QUICK = [figure for figure in reproduced.FIGURES if not figure.stored]
STORED = [figure for figure in reproduced.FIGURES if figure.stored]


@pytest.mark.parametrize("figure", QUICK, ids=lambda figure: figure.name)
def test_a_figure_agrees_or_is_a_misprint(figure):
    assert figure.agrees(figure.ours()) != bool(figure.erratum)


@pytest.mark.parametrize("figure", STORED, ids=lambda figure: figure.name)
def test_a_figure_that_is_kept_agrees(figure):
    assert figure.agrees(reproduced.kept()[figure.name]["value"])


def test_the_file_has_a_value_for_each_slow_figure_and_for_no_other():
    kept = reproduced.kept()
    assert [*kept] == [figure.name for figure in STORED]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", of["date"]) for of in kept.values())


def test_a_slow_figure_is_kept_beside_the_others(monkeypatch, tmp_path):
    figures = [
        reproduced.Figure(name, name, "a page", 1.0, lambda: 1.0, 0.0, stored=True)
        for name in ("first", "second")
    ]
    monkeypatch.setattr(reproduced, "FIGURES", figures)
    monkeypatch.setattr(reproduced, "KEPT", tmp_path / "kept.json")
    assert reproduced.main(["--stored", "second"]) == 0
    assert [*reproduced.kept()] == ["second"]
    assert reproduced.main(["--stored"]) == 0
    assert [*reproduced.kept()] == ["first", "second"]
    assert reproduced.kept()["first"]["value"] == 1.0


def test_a_figure_beyond_its_tolerance_differs_and_the_command_says_so(monkeypatch, capsys):
    figure = reproduced.Figure("third", "a third", "a page", 0.333, lambda: 1 / 3, 1e-5)
    assert not figure.agrees(1 / 3)
    monkeypatch.setattr(reproduced, "FIGURES", [figure])
    assert reproduced.main([]) == 1
    assert "DIFFERS" in capsys.readouterr().out
    within = reproduced.Figure("third", "a third", "a page", 0.333, lambda: 1 / 3, 5e-4)
    monkeypatch.setattr(reproduced, "FIGURES", [within])
    assert reproduced.main([]) == 0


def test_every_erratum_of_a_figure_is_one():
    page = Path(reproduced.ROOT / "tutorials" / "errata.md").read_text(encoding="utf-8")
    for figure in reproduced.FIGURES:
        assert not figure.erratum or f"</a>{figure.erratum} |" in page
