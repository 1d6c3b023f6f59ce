"""Models of classes on the command line: labels by name, and samples of the class asked for."""

import json
from dataclasses import replace

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli
from scratchgen.recipes import RECIPES, Data, recognition
from scratchgen.recipes.recognition import spread_within
from scratchgen.runs import Config

NAMES = ["cgan", "cvae", "cddpm"]
SMALL = {
    "cgan": {"hidden": 8},
    "cvae": {"hidden": 8},
    "cddpm": {"width": 8, "T": 4},
}
models = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def data():
    return Data.named("digits")


def built(name, data):
    recipe = RECIPES[name]
    settings = recipe.settings(SMALL[name])
    return recipe, settings, recipe.build(settings, data, sg.generator(0))


@models
def test_without_labels_the_classes_take_turns(name, data):
    recipe, _, model = built(name, data)
    labels = recipe.asked(model, 25)
    np.testing.assert_array_equal(labels, np.arange(25) % 10)
    given = recipe.conditions(data.classes, 25, (), None)
    np.testing.assert_array_equal(given["labels"], labels)
    first, second = (
        sg.to_host(recipe.samples(model, 25, sg.generator(1), **more)) for more in ({}, given)
    )
    np.testing.assert_array_equal(first, second)


@models
def test_names_of_classes_become_their_numbers_and_others_are_refused(name):
    recipe = RECIPES[name]
    given = recipe.conditions(("cat", "owl", "7"), 5, ("7", "owl"), None)
    np.testing.assert_array_equal(given["labels"], [2, 1, 2, 1, 2])
    with pytest.raises(
        ValueError, match=r"--label is the name of a class, got fox: .* cat, owl, 7"
    ):
        recipe.conditions(("cat", "owl", "7"), 5, ("owl", "fox"), None)


def test_a_label_or_a_guidance_is_refused_by_models_without():
    for words, name, message in [
        (((), 0.5), "cgan", "--guidance is for a cddpm"),
        (((), 0.5), "gan", "has no classes: leave --guidance out"),
        ((("7",), None), "ddpm", "has no classes: leave --label out, or train a cgan, cvae or"),
    ]:
        with pytest.raises(ValueError, match=message):
            RECIPES[name].conditions(("7",), 5, *words)


def test_guidance_reaches_the_samples(data):
    recipe, _, model = built("cddpm", data)
    labels = np.array([3, 3, 5])
    given = recipe.conditions(data.classes, 3, ("3",), 2.0)
    assert given["guidance"] == 2.0
    samples = recipe.samples(model, 3, sg.generator(1), labels, guidance=2.0)
    expected = model.sample(3, sg.generator(1), labels=labels, guidance=2.0)
    np.testing.assert_array_equal(samples, 0.5 * (expected + 1))
    varied = dict(recipe.varied(model, 3, sg.generator(1)))
    assert [*varied] == [f"guidance w = {w}" for w in ("0", "0.5", "1", "2", "4")]


@models
def test_data_without_labels_are_refused_with_what_to_save(name, elsewhere, capsys):
    np.save(elsewhere / "plain.npy", np.random.default_rng(0).random((40, 8, 8)))
    assert cli.main(["train", name, "--data", "plain.npy", "--epochs", "1"]) == 2
    said = capsys.readouterr().err
    assert (
        "needs labels: save them beside the images, numpy.savez(path, images=…, labels=…)" in said
    )


def test_convolutions_and_a_preset_are_refused(capsys):
    assert cli.main(["train", "cvae", "--network", "convolutional"]) == 2
    assert "take --network dense" in capsys.readouterr().err
    assert cli.main(["train", "cgan", "--preset", "lecture", "--data", "digits"]) == 2
    assert "the notes give no settings" in capsys.readouterr().err


@pytest.mark.long
@models
def test_a_file_with_names_as_labels_and_channels_last_goes_from_training_to_samples(
    name, elsewhere, capsys, monkeypatch
):
    monkeypatch.setattr(recognition, "STEPS", 10)
    monkeypatch.setattr(RECIPES[name], "n_judged", 60)
    rng = np.random.default_rng(0)
    labels = np.array(["owl", "cat", "fox"])[np.arange(90) % 3]
    images = rng.random((90, 8, 8, 3)) * 0.5 + 0.25 * (np.arange(90) % 3)[:, None, None, None]
    np.savez("own.npz", images=images.astype(np.float32), labels=labels)
    sizes = [w for k, v in SMALL[name].items() for w in (f"--{k}", str(v))]
    train = ["train", name, "--data", "own.npz", "--epochs", "1", *sizes, "--out", "run"]
    assert cli.main(train) == 0
    pictures = {path.name for path in (elsewhere / "run").glob("*.png")}
    assert {"classes.png", "samples.png"} <= pictures
    assert ("guidance.png" in pictures) == (name == "cddpm")
    assert json.loads((elsewhere / "run" / "config.json").read_text())["classes"] == [
        *("cat", "fox", "owl")
    ]
    sample = ["sample", "run", "--label", "owl", "--label", "cat", "--n", "4", "--out", "four.npy"]
    assert cli.main(sample) == 0
    assert "of owl, cat" in capsys.readouterr().out
    samples = np.load("four.npy")
    assert samples.shape == (4, 3, 8, 8)
    again = RECIPES[name].samples(
        sg.load("run/model.safetensors").averaged_model, 4, sg.generator(0), np.array([2, 0, 2, 0])
    )
    np.testing.assert_array_equal(samples, again.reshape(samples.shape))
    assert cli.main(["sample", "run", "--label", "dog"]) == 2
    assert "this model knows cat, fox, owl" in capsys.readouterr().err
    assert cli.main(["evaluate", "run"]) == 0
    said = capsys.readouterr().out
    assert "of the class asked for, by a classifier" in said
    assert said.count("guidance w = ") == (5 if name == "cddpm" else 0)


def test_draws_of_a_cvae_are_of_the_class_asked_for(data):
    recipe, _, model = built("cvae", data)
    labels = np.array([1, 4])
    draws = recipe.draws(model, 2, sg.generator(0), labels)
    np.testing.assert_array_equal(draws, model.draw(2, sg.generator(0), labels))
    assert {*np.unique(draws)} <= {0, 1}


def test_the_spread_within_classes_is_the_mean_square_from_the_mean_of_ones_class():
    x = np.array([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0], [5.0, 5.0]])
    assert spread_within(x, np.array([0, 0, 1, 1])) == 0.5
    assert spread_within(np.repeat(x[:1], 4, axis=0), np.zeros(4)) == 0
    normal = np.random.default_rng(0).standard_normal((4000, 6))
    assert spread_within(normal, np.arange(4000) % 4) == pytest.approx(6, rel=0.05)


def test_held_out_digits_have_the_class_that_they_are_asked_for_and_shuffled_ones_have_not(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(recognition, "STEPS", 300)
    said = recognition.recognised(data.test, data, tmp_path, data.test_labels)
    shares = said["of the class asked for, by a classifier"].split("; ")
    assert float(shares[0].split()[0]) > 85
    assert shares[1].startswith(f"of held-out data {shares[0]}")
    assert said["  spread within the classes, over that of data"].startswith("1.00; ")
    wrong = recognition.in_one_line(data.test, data, tmp_path, (data.test_labels + 1) % 10)
    assert float(wrong.split()[0]) < 10


def test_a_checkpoint_of_another_number_of_classes_does_not_belong_to_the_run(data, elsewhere):
    _, settings, model = built("cgan", data)
    sg.save("model.safetensors", model)
    config = Config.of("cgan", settings, data)
    assert config.load(elsewhere / "model.safetensors").model.n_classes == 10
    other = replace(config, classes=config.classes[:9])
    with pytest.raises(ValueError, match="its classes is 10, not 9"):
        other.load(elsewhere / "model.safetensors")
