"""The adversarial network on the command line: data on [0, 1], a model on [−1, 1]."""

import csv
import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli
from scratchgen.history import Epoch, History
from scratchgen.recipes import RECIPES, Data

recipe = RECIPES["gan"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def data():
    return Data.named("digits")


def built(data, **settings):
    settings = recipe.settings(settings)
    return recipe.build(settings, data, sg.generator(0)), settings


def history(real, fake):
    report = {"D(x)": real, "D(G(z))": fake, "D(held out)": 0.5}
    return History(Epoch(k, (1.2, 0.8), 0.0, report, ("D", "G")) for k in range(1, 6))


def test_the_model_sees_2x_minus_1_and_its_samples_come_back_to_0_to_1(data):
    model, _ = built(data)
    prepared = recipe.prepare(data)
    model.validate(prepared)
    assert (prepared.min(), prepared.max()) == (-1, 1)
    np.testing.assert_array_equal((prepared + 1) / 2, data.train)
    samples = recipe.samples(model, 50, sg.generator(1))
    np.testing.assert_allclose(2 * samples - 1, model.sample(50, sg.generator(1)), atol=1e-6)
    assert samples.min() >= 0
    assert samples.max() <= 1


def test_the_preset_is_the_notes_model_and_optimizers():
    settings = recipe.LECTURE
    images = np.linspace(0, 1, 20 * 784, dtype=np.float32).reshape(20, 1, 28, 28)
    mnist = Data(images, None, images, None)
    model = recipe.build(settings, mnist, sg.generator(0))
    of_notes, optimizers = sg.models.gan.lecture(sg.generator(0))
    assert repr(model) == repr(of_notes)
    for name, value in of_notes.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)
    for ours, expected in zip(recipe.optimizers(model, settings), optimizers, strict=True):
        assert repr(ours) == repr(expected)
    assert (settings.epochs, settings.batch_size) == (100, 64)


def test_the_score_is_D_of_held_out_samples_without_dropout(data):
    model, _ = built(data)
    score = recipe.score(model, data, sg.generator(0))
    D = model.discriminate(2 * data.test.reshape(-1, 64) - 1).data
    rounding = 32 * 2.0**-23  # of means in float32, added in pairs
    assert score == {"D(held out)": pytest.approx(D.mean(), rel=rounding)}


@pytest.mark.parametrize(
    ("tolerance", "outputs", "ends"),
    [(0.05, (0.52, 0.47), True), (0.05, (0.58, 0.47), False), (None, (0.5, 0.5), False)],
)
def test_the_training_ends_at_equilibrium_if_asked_to(tolerance, outputs, ends):
    settings = recipe.settings({"equilibrium": tolerance})
    assert recipe.has_ended(history(*outputs), settings) is ends


def test_the_judgement_says_what_D_answers_with_and_without_dropout(data):
    model, settings = built(data)
    judged = recipe.judge(model, data, settings, sg.generator(0))
    D = model.discriminate(2 * data.train.reshape(-1, 64) - 1).data.mean()
    assert float(judged["D(x) of samples trained on, without dropout"]) == pytest.approx(
        D, abs=1e-4
    )
    assert judged["D(G(z)), with dropout"] != judged["D(G(z)), without dropout"]


def test_the_pictures_are_both_costs_and_both_outputs_over_the_epochs(data):
    model, settings = built(data)
    pictures = dict(recipe.draw(model, data, settings, history(0.6, 0.4), sg.generator(0)))
    assert [*pictures] == ["losses", "outputs"]
    curves = {
        name: {line.get_label(): line.get_ydata()[0] for line in ax.get_lines()}
        for name, ax in pictures.items()
    }
    assert curves["losses"] == {"G": 0.8, "D / 2": 0.6}
    assert curves["outputs"].items() >= {"D(x)": 0.6, "D(G(z))": 0.4}.items()
    for ax in pictures.values():
        assert ax.get_xlabel() == "epoch"  # the notes label it "Iteration" (erratum E21)
    assert "without dropout" in pictures["outputs"].get_ylabel()


QUICK = ["train", "gan", "--hidden", "16", "--batch-size", "64", "--out", "run"]


def test_the_whole_command_line_takes_a_gan(elsewhere, capsys):
    assert cli.main([*QUICK, "--epochs", "2", "--generator-cost", "minimax"]) == 0
    run = elsewhere / "run"
    names = {path.name for path in run.iterdir()}
    assert names >= {"losses.png", "outputs.png", "samples.png", "epochs.png", "history.csv"}
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    assert [*rows[0]] == ["epoch", "seconds", "D", "G", "D(x)", "D(G(z))", "D(held out)"]
    assert float(rows[0]["G"]) < 0  # log(1 − D(G(z)))
    assert cli.main(["sample", "run", "--n", "9", "--out", "nine.npy"]) == 0
    samples = np.load(elsewhere / "nine.npy")
    assert samples.shape == (9, 1, 8, 8)
    assert 0 <= samples.min() <= samples.max() <= 1
    capsys.readouterr()
    assert cli.main(["evaluate", "run"]) == 0
    assert capsys.readouterr().out.count("MMD² of 179 samples from 180 held-out, unbiased") == 1


def test_a_training_ends_when_D_answers_one_half_and_is_resumed_to_the_same_bits(elsewhere):
    # Within ½ of ½ is everything: it ends after five epochs.
    assert cli.main([*QUICK, "--epochs", "9", "--equilibrium", "0.5"]) == 0
    assert len(sg.load(elsewhere / "run" / "model.safetensors").history) == 5
    parts = [*QUICK[:-1], "parts", "--epochs"]
    assert cli.main([*parts, "2"]) == 0
    assert cli.main([*parts, "5", "--resume"]) == 0
    whole, resumed = (
        sg.load(elsewhere / name / "model.safetensors").model.state_dict()
        for name in ("run", "parts")
    )
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value)


def test_data_that_are_not_on_0_to_1_are_refused(elsewhere, capsys):
    np.save(elsewhere / "wide.npy", 3 * np.random.default_rng(0).standard_normal((40, 16)))
    assert cli.main(["train", "gan", "--data", "wide.npy", "--epochs", "1"]) == 2
    assert "takes data on [0, 1]" in capsys.readouterr().err


def test_the_cost_of_G_begins_near_log_2(elsewhere):
    assert cli.main([*QUICK, "--epochs", "1", "--lr", "1e-6"]) == 0
    (epoch,) = sg.load(elsewhere / "run" / "model.safetensors").history
    assert epoch.values()["G"] == pytest.approx(math.log(2), abs=0.1)
    assert epoch.values()["D"] == pytest.approx(2 * math.log(2), abs=0.1)
