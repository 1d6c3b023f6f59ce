"""The comparison of models: its rows are the measures, and it trains what is not there yet."""

import argparse
import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from scratchgen import cli, compare, metrics
from scratchgen.recipes import RECIPES, Data
from scratchgen.recipes.recipe import Bits

SMALL = ["--likelihood", "levels", "--latent", "2", "--hidden", "8", "--epochs", "2"]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(folder):
    with (folder / "compare.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_comparison_leaves_a_table_a_picture_and_runs_that_are_not_trained_again(
    elsewhere, capsys, monkeypatch
):
    monkeypatch.setattr(type(RECIPES["vae"]), "words_to_compare", lambda self, data: SMALL)
    arguments = ["compare", "digits", "--models", "vae"]
    assert cli.main(arguments) == 0
    said, folder = capsys.readouterr(), elsewhere / "compare-digits"
    assert {"vae", "compare.md", "compare.csv", "compare.png"} <= {p.name for p in folder.iterdir()}
    assert (folder / "compare.md").read_text(encoding="utf-8").strip() in said.out
    assert "epoch" in (folder / "vae" / "train.log").read_text(encoding="utf-8")
    reals, noise, vae = before = rows_of(folder)
    assert [row["model"] for row in before] == ["held-out data", "uniform noise", "vae"]
    assert float(reals["mmd2"]) < float(vae["mmd2"]) < float(noise["mmd2"])
    assert 1 < float(vae["bits"]) < np.log2(17) + 1
    assert float(vae["train_seconds"]) > 0 < float(vae["sample_seconds"])

    weights = folder / "vae" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert cli.main(arguments) == 0
    assert "training" not in capsys.readouterr().err
    assert weights.stat().st_mtime_ns == written
    for first, second in zip(before, rows_of(folder), strict=True):
        assert {name for name in first if first[name] != second[name]} <= {"sample_seconds"}

    assert cli.main([*arguments, "--seed", "1"]) == 2
    assert "was trained with --seed 0, not 1: name another folder" in capsys.readouterr().err


def test_a_training_that_was_interrupted_is_resumed(elsewhere, monkeypatch):
    words = ["vae", "--data", "digits", "--out", "here/vae", *SMALL]
    assert cli.main(["train", *words[:-1], "1"]) == 0
    config = json.loads((elsewhere / "here/vae/config.json").read_text())
    (elsewhere / "here/vae/config.json").write_text(json.dumps({**config, "epochs": 2}))
    asked = []
    monkeypatch.setattr(type(RECIPES["vae"]), "words_to_compare", lambda self, data: SMALL)
    rows = compare.compare(
        Data.named("digits"),
        ["vae"],
        Path("here"),
        0,
        lambda words, run: asked.append(words),
        print,
    )
    assert [row.model for row in rows][2:] == ["vae"]
    assert asked[0][-1] == "--resume"


def test_a_model_that_cannot_be_trained_on_the_data_is_left_out_with_the_reason():
    def refuse(words, run):
        raise ValueError("it has no labels")

    said = []
    rows = compare.compare(Data.named("digits"), ["gan"], Path("nowhere"), 0, refuse, said.append)
    assert [row.model for row in rows] == ["held-out data", "uniform noise"]
    assert said[-1] == "gan: left out, since it has no labels"


def test_held_out_data_and_noise_are_measured_as_the_models_are():
    data = Data.named("digits")
    reals, noise = compare.compare(data, [], None, 0, None, None)
    judged = compare._Judge(data)
    assert not np.isin(judged.reals @ np.arange(64), judged.reference @ np.arange(64)).all()
    expected = metrics.mmd2_unbiased(judged.reals, judged.reference, judged.sigma)
    assert reals.mmd2 == expected
    assert noise.precision == noise.recall == 0
    assert reals.bits is None


def test_a_measure_that_no_model_has_is_left_out_of_the_picture():
    points = [compare.Row("a", "A", None, "–", 0.001, 0.9, 0.8, 12.0, None)]
    labels = [ax.get_xlabel() for ax in compare.picture(points, "ring").axes]
    assert labels == ["MMD²", "recall", "s to train"]
    images = [compare.Row("a", "A", 1.5, "1.5", 0.001, 0.9, 0.8, 12.0, 0.5)]
    assert len(compare.picture(images, "digits").axes) == 5


def test_the_table_is_one_of_markdown():
    row = compare.Row("a", "A", 1.5, str(Bits(1.5, 0.01, "at most")), 0.001, 0.9, 0.8, 12.0, 0.5)
    lines = compare.table([row]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len({len(line) for line in lines}) == 1
    assert re.search(r"1\.500 ± 0\.010, at most +\| +0\.0010 \| +0\.90", lines[2])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["digits", "--models", "vae", "ffnn"], "--models are of rbm, .*, got ffnn"),
        (["nothing.npy"], "nothing.npy does not exist"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(elsewhere, capsys, arguments, said):
    assert cli.main(["compare", *arguments]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert error.count("\n") == 1
    assert not [*elsewhere.iterdir()]


@pytest.mark.parametrize("data", ["digits", "own.npy"])
@pytest.mark.parametrize("name", compare.names())
def test_the_settings_of_a_comparison_are_settings_of_the_recipe(name, data):
    recipe, parser = RECIPES[name], argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    recipe.add_options(parser)
    words = vars(parser.parse_args(["--data", data, *recipe.words_to_compare(data)]))
    assert recipe.settings(recipe.parsed(words)).data == data
