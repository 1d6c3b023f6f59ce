"""The classifiers on the command line: their settings, what they are judged by, their files."""

import csv

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli, optim
from scratchgen.optim.by_name import OPTIMIZERS
from scratchgen.recipes import RECIPES, Data

QUICK = {
    "ffnn": ["train", "ffnn", "--epochs", "3", "--hidden", "16"],
    "cnn": ["train", "cnn", "--epochs", "1", "--hidden", "8", "--channels", "4"],
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(run):
    return list(csv.DictReader((run / "history.csv").read_text().splitlines()))


@pytest.mark.parametrize("name", QUICK)
def test_train_leaves_a_model_curves_a_confusion_matrix_and_mistakes(elsewhere, name, capsys):
    assert cli.main(QUICK[name]) == 0
    run = elsewhere / "runs" / f"{name}-digits"
    assert {p.name for p in run.iterdir()} == {
        "config.json", "model.safetensors", "history.csv",
        "curves.png", "accuracy.png", "confusion.png", "mistakes.png",
    }  # fmt: skip
    assert list(rows(run)[0]) == [
        "epoch", "seconds", "cost", "accuracy", "validation cost", "validation accuracy",
    ]  # fmt: skip
    capsys.readouterr()
    assert cli.main(["evaluate", str(run)]) == 0
    said = capsys.readouterr().out
    model = sg.load(run / "model.safetensors").model
    share = float(model.accuracy(*sg.datasets.digits("test")))
    assert f"{100 * share:.2f} ±" in said
    assert cli.main(["sample", str(run)]) == 2
    assert "has no samples" in capsys.readouterr().err


def test_samples_for_validation_are_not_trained_on_and_held_out_ones_are_neither():
    data, recipe = Data.named("digits"), RECIPES["ffnn"]
    x, y = recipe.prepare(data)
    kept, chosen = data.validation
    assert len(kept) + len(chosen) == len(data.train)
    np.testing.assert_array_equal(x, data.train[kept])
    np.testing.assert_array_equal(y, data.train_labels[kept])


def test_the_scores_of_an_epoch_are_those_of_the_validation():
    data, recipe, rng = Data.named("digits"), RECIPES["ffnn"], sg.generator(0)
    model = recipe.build(recipe.DIGITS, data, rng)
    _, chosen = data.validation
    x, y = data.train[chosen], data.train_labels[chosen]
    score = recipe.score(model, data, rng)
    assert score["validation accuracy"] == pytest.approx(model.accuracy(x, y))
    rounding = 32 * 2.0**-23  # of means in float32, added in pairs
    assert score["validation cost"] == pytest.approx(model.data_cost(x, y), rel=rounding)


def test_a_resumed_training_is_that_which_never_stopped(elsewhere):
    asked = [*QUICK["ffnn"][:2], "--hidden", "16", "--schedule", "exponential:0.5"]
    assert cli.main([*asked, "--epochs", "4", "--out", "whole"]) == 0
    assert cli.main([*asked, "--epochs", "2", "--out", "parts"]) == 0
    assert cli.main([*asked, "--epochs", "4", "--out", "parts", "--resume"]) == 0
    whole, parts = (sg.load(elsewhere / p / "model.safetensors") for p in ("whole", "parts"))
    for name, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(parts.model.state_dict()[name], value)
    assert parts.optimizers[0].lr == whole.optimizers[0].lr == 3e-3 * 0.5**4


@pytest.mark.long
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns_at_its_default_rate(elsewhere, optimizer):
    asked = ["train", "ffnn", "--optimizer", optimizer, "--epochs", "8", "--out", "run"]
    assert cli.main(asked) == 0
    assert float(rows(elsewhere / "run")[-1]["validation accuracy"]) > 0.85


def test_patience_ends_the_training_where_the_validation_cost_has_ceased_to_fall(elsewhere):
    asked = ["--epochs", "200", "--lr", "0.1", "--schedule", "constant", "--patience", "2"]
    assert cli.main(["train", "ffnn", "--hidden", "16", *asked, "--out", "run"]) == 0
    costs = [float(row["validation cost"]) for row in rows(elsewhere / "run")]
    assert len(costs) == int(np.argmin(costs)) + 1 + 2 < 200


def test_penalties_optimizer_and_layers_are_as_asked(elsewhere):
    asked = ["--hidden", "8", "6", "--activation", "tanh", "--l1", "1e-4", "--l2", "1e-3"]
    asked += ["--optimizer", "momentum", "--lr", "0.05", "--epochs", "1", "--out", "run"]
    assert cli.main(["train", "ffnn", *asked]) == 0
    model, (optimizer,), *_ = sg.load(elsewhere / "run" / "model.safetensors")
    assert [p.shape for p in model.weights] == [(8, 64), (6, 8), (10, 6)]
    assert (model.l1, model.l2) == (1e-4, 1e-3)
    assert (type(optimizer), optimizer.momentum) == (optim.SGD, 0.9)
    assert "penalty" in rows(elsewhere / "run")[0]


def test_two_classes_of_ones_own_file_take_one_logit(elsewhere):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = (0.2 + 0.6 * labels[:, None, None] + 0.1 * rng.random((60, 4, 4))).astype(np.float32)
    np.savez("own.npz", images=images, labels=labels)
    assert cli.main(["train", "ffnn", "--data", "own.npz", "--epochs", "2", "--out", "run"]) == 0
    model = sg.load(elsewhere / "run" / "model.safetensors").model
    assert model.parameters()[-1].shape == (1,)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--optimizer", "lbfgs", "--batch-size", "64"], "take --batch-size all, got 64"),
        (["--patience", "0"], "--patience is a whole number from 1"),
        (["--l2", "-1"], "--l2 is a number from 0 to 1000000, got -1.0"),
        (["--hidden", "0"], "--hidden is whole numbers from 1 to 100000, got (0,)"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_leaves_nothing(elsewhere, capsys, asked, message):
    assert cli.main(["train", "ffnn", *asked]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (elsewhere / "runs").exists()


def test_images_without_labels_are_refused(capsys):
    np.savez("own.npz", images=np.random.default_rng(0).random((40, 4, 4)))
    assert cli.main(["train", "ffnn", "--data", "own.npz"]) == 2
    assert "needs labels" in capsys.readouterr().err


def test_the_lectures_network_is_that_of_the_notes():
    settings = RECIPES["ffnn"].LECTURE
    assert (settings.hidden, settings.activation) == ((100,), "sigmoid")


@pytest.mark.long
def test_a_training_that_ended_early_is_not_gone_on_with(tmp_path):
    run = tmp_path / "run"
    arguments = ["train", "ffnn", "--lr", "3", "--patience", "1", "--out", str(run)]
    assert cli.main(arguments) == 0
    history = (run / "history.csv").read_text()
    assert len(history.splitlines()) < 1 + 60
    assert cli.main([*arguments, "--resume"]) == 0
    assert (run / "history.csv").read_text() == history
