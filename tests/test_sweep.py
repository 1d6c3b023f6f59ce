"""A sweep trains each cell of a grid once, and shows all of them in one table and one picture."""

import csv
import io
import subprocess
import types
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest

from scratchgen import cli, plotting, sweep
from scratchgen.recipes import RECIPES
from scratchgen.recipes.settings import Flag, Real, Whole, Wholes

GRID = ["sweep", "ffnn", "--vary", "lr", "0.1", "1e5", "--vary", "l2", "0.1", "0"]
FIXED = ["--optimizer", "sgd", "--epochs", "1", "--jobs", "1", "--hidden", "8"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch):
    """Trainings run in this process, which is quicker; the list has their words."""
    ran = []

    def run(command, stdout, stderr, env):
        words = command[3:]
        ran.append(words)
        text = io.StringIO()
        with redirect_stdout(text), redirect_stderr(text):
            code = cli.main(words)
        stdout.write(text.getvalue().encode())
        return types.SimpleNamespace(returncode=code)

    monkeypatch.setattr(cli, "_draw", lambda *_: None)

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def rows_of(folder):
    with (folder / "sweep.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_cell_that_fails_is_reported_and_ends_no_other_and_what_is_finished_is_not_run_again(
    elsewhere, capsys, in_this_process
):
    assert cli.main([*GRID, *FIXED]) == 1
    said, folder = capsys.readouterr(), elsewhere / "sweeps" / "ffnn-digits"
    rows = rows_of(folder)
    assert [(row["lr"], row["l2"]) for row in rows] == [
        *(("0.1", "0.1"), ("0.1", "0"), ("1e5", "0.1"), ("1e5", "0"))
    ]
    states = [row["state"] for row in rows]
    assert [state == "finished" for state in states] == [True, True, False, True]
    assert "not finite" in states[2]
    assert f"failed: lr=1e5, l2=0.1: {states[2]}" in said.out
    costs = [float(row["validation cost"]) for row in rows if row["state"] == "finished"]
    best = said.out.splitlines()[2 + int(np.argmin(costs))]
    assert best.rstrip(" |").endswith("finished, the lowest")
    assert {"sweep.csv", "sweep.md", "sweep.png"} < {path.name for path in folder.iterdir()}
    assert "epoch" in (folder / "lr=0.1,l2=0" / "train.log").read_text(encoding="utf-8")

    in_this_process.clear()
    assert cli.main([*GRID, *FIXED, "--measure", "validation accuracy"]) == 1
    assert len(in_this_process) == 1
    assert "the highest" in capsys.readouterr().out
    assert cli.main([*GRID, *FIXED[:-1], "9"]) == 2
    assert "was begun with --hidden 8, not 9" in capsys.readouterr().err


def test_a_task_of_a_job_array_trains_its_cell_alone(elsewhere, capsys, in_this_process):
    assert cli.main([*GRID, *FIXED, "--out", "here", "--only", "1"]) == 0
    assert [path.name for path in (elsewhere / "here").iterdir()] == ["lr=0.1,l2=0"]
    assert cli.main([*GRID, *FIXED, "--out", "here", "--only", "1"]) == 0
    assert "is trained already" in capsys.readouterr().out
    assert cli.main([*GRID, *FIXED, "--out", "here", "--only", "4"]) == 2
    assert "--only is from 0 to 3" in capsys.readouterr().err
    assert cli.main([*GRID[:-4], *FIXED, "--out", "here"]) == 0
    assert len(in_this_process) == 2


@pytest.mark.long
def test_a_training_is_a_process_of_its_own(elsewhere):
    (cell,) = sweep.cells("ffnn", {"epochs": 1, "hidden": (4,)}, [["lr", "0.01"]], elsewhere)
    (row,) = sweep.sweep([cell], jobs=1, threads=1)
    assert row.state == "finished"
    assert cell.is_finished
    assert row.values["validation cost"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--vary", "depth", "1"], "--vary names a setting of scratchgen train ffnn, got 'depth'"),
        (["--vary", "lr", "0.1", "--lr", "1"], "--lr is given twice"),
        (["--vary", "lr", "0.1", "--vary", "lr", "1"], "--lr is given twice"),
        (["--vary", "lr"], "--vary lr takes the values of a setting, got none"),
        (["--vary", "lr", "0.1", "many"], "--lr is a number above 0 .* got 'many'"),
        (["--vary", "hidden", "10,x"], "--hidden is whole numbers"),
    ],
)
def test_a_grid_that_cannot_be_trained_is_refused_before_anything_is(
    elsewhere, capsys, words, message
):
    assert cli.main(["sweep", "ffnn", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"scratchgen: {message.split(' .* ')[0]}")
    assert line.endswith(message.split(" .* ")[-1]) or ".*" not in message
    assert not [*elsewhere.iterdir()]


@pytest.mark.parametrize("model", RECIPES)
def test_the_words_of_a_cell_are_read_as_its_settings(elsewhere, model):
    recipe = RECIPES[model]
    kinds, default = type(recipe.MNIST).kinds(), recipe.settings({})
    changed = {}
    for name, kind in kinds.items():
        value = getattr(default, name)
        if isinstance(kind, Flag):
            changed[name] = not value
        elif isinstance(kind, Wholes):
            changed[name] = (3, 5)
        elif isinstance(kind, Real) and value:
            changed[name] = value * 0.987654321
        elif type(kind) is Whole and value and kind.takes(value + kind.step):
            changed[name] = value + kind.step
    for name, value in changed.items():
        words = kinds[name].words(name, value)
        asked = cli._parser().parse_args(["train", model, *words])
        given = recipe.parsed(vars(asked))
        assert kinds[name].checked(name, given[name]) == value


def test_a_picture_has_the_mean_over_further_settings_and_leaves_failures_empty(elsewhere):
    varied = [["lr", "0.1", "1"], ["l2", "0", "1"], ["seed", "0", "1"]]
    grid = sweep.cells("ffnn", {}, varied, elsewhere)
    rows = [
        sweep.Row(cell, 1, 0.0, {"cost": float(k)}, "finished" if k < 6 else "failed")
        for k, cell in enumerate(grid)
    ]
    ax = sweep.picture(rows, "cost", highest=False)
    assert [text.get_text() for text in ax.texts] == ["0.5", "2.5", "4.5"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.1", "1"]
    assert ax.get_title() == "ffnn: cost, mean over seed"
    assert np.isnan(np.ma.filled(ax.images[0].get_array(), np.nan)[1, 1])


def test_a_heat_map_marks_the_best_and_shades_by_logarithms_where_values_span_decades():
    values = [[1e-3, 1e-1], [1e1, np.nan]]
    ax = plotting.heat_map(values, rows=["a", "b"], columns=["c", "d"])
    shades = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
    np.testing.assert_allclose(shades, [[1, 0.5], [0, np.nan]], atol=1e-12)
    (mark,) = ax.patches
    assert mark.get_xy() == (-0.5, -0.5)
    (mark,) = plotting.heat_map(values, rows="ab", columns="cd", highest=True).patches
    assert mark.get_xy() == (-0.5, 0.5)
    assert not plotting.heat_map([[np.nan]], rows="a", columns="c").patches
    with pytest.raises(ValueError, match=r"shape \(2, 2\), expected \(1, 2\)"):
        plotting.heat_map(values, rows="a", columns="cd")
