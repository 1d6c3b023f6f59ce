"""The data of the command line: parted at random, class by class, and the same at every call."""

import json
import re
import string

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli, datasets
from scratchgen.recipes import RECIPES, Data
from scratchgen.recipes.classifier import FFNNRecipe


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(labels, n=None, **more):
    """A file whose image k holds nothing but k, so that parts can be recognised."""
    n = len(labels) if n is None else n
    images = np.repeat(np.arange(n, dtype=np.float32), 4).reshape(n, 4) / n
    np.savez("own.npz", images=images, labels=labels, **more)
    return "own.npz", n


def places(part, n):
    return np.rint(part[:, 0] * n).astype(int)


def test_a_tenth_of_each_class_of_a_file_is_held_out_with_its_labels():
    labels = np.arange(300) % 10
    name, n = saved(labels)
    data = Data.named(name)
    train, test = places(data.train, n), places(data.test, n)
    np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(n))
    np.testing.assert_array_equal(np.bincount(data.test_labels), np.full(10, 3))
    np.testing.assert_array_equal(data.train_labels, labels[train])
    np.testing.assert_array_equal(data.test_labels, labels[test])


def test_a_file_is_parted_in_the_same_way_at_every_call():
    name, _ = saved(np.arange(60) % 3)
    first, second = Data.named(name), Data.named(name)
    np.testing.assert_array_equal(first.test, second.test)
    np.testing.assert_array_equal(first.train, second.train)
    assert first.sha256 == second.sha256


def test_another_order_of_the_samples_is_other_data():
    name, _ = saved(np.arange(60) % 3)
    before = Data.named(name).sha256
    saved(np.arange(60) % 3 == 0)
    assert Data.named(name).sha256 != before


def test_validation_takes_a_tenth_of_each_class_of_the_samples_to_train_on():
    name, _ = saved(np.arange(400) % 4)
    data = Data.named(name)
    kept, chosen = data.validation
    np.testing.assert_array_equal(np.sort(np.r_[kept, chosen]), np.arange(360))
    np.testing.assert_array_equal(np.bincount(data.train_labels[chosen]), np.full(4, 9))


@pytest.mark.parametrize(("name", "parts"), [("ring", 8), ("moons", 2), ("swirl", 0)])
def test_a_toy_is_points_with_their_parts_as_classes_and_other_points_held_out(name, parts):
    data, again = Data.named(name), Data.named(name)
    assert data.train.shape == data.test.shape == (4000, 2)
    assert len(data.classes) == parts
    assert (data.train_labels is None) == (parts == 0)
    assert data.sha256 == again.sha256
    assert not {x.tobytes() for x in data.train} & {x.tobytes() for x in data.test}


def test_a_model_of_the_unit_interval_names_the_models_that_take_a_toy():
    with pytest.raises(ValueError, match=r"on \[0, 1\], got .*: for the ring take .* train ebm"):
        Data.named("ring").check_unit_interval("a GAN")


def test_digits_and_files_without_labels_are_parted_too(elsewhere):
    digits = Data.named("digits")
    np.testing.assert_array_equal(digits.test, datasets.digits("test")[0])
    assert digits.classes == tuple("0123456789")
    np.save("own.npy", np.random.default_rng(0).random((35, 6)))
    data = Data.named("own.npy")
    assert (len(data.train), len(data.test), data.test_labels) == (31, 4, None)
    assert data.classes == ()


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.arange(60) % 26 + 1, tuple(map(str, range(1, 27)))),
        (np.array([*string.ascii_letters])[np.arange(60) % 26], tuple(string.ascii_lowercase)),
        (np.arange(60)[:, None] % 3 * 2.0, ("0", "2", "4")),
        (np.eye(3)[np.arange(60) % 3], ("0", "1", "2")),
        (np.where(np.arange(60) % 2, 1, -1), ("-1", "1")),
    ],
)
def test_classes_have_names_and_numbers_without_gaps(labels, classes):
    name, _ = saved(labels)
    data = Data.named(name)
    assert data.classes == classes
    assert set(data.train_labels) == set(range(len(classes)))


def test_labels_are_numbered_as_the_classes_that_are_known():
    name, _ = saved(np.array(["cat", "owl"] * 20))
    data = Data.named(name, ["ape", "cat", "dog", "owl"])
    assert set(data.train_labels) == {1, 3}
    with pytest.raises(ValueError, match="not trained on: owl; it knows ape, cat"):
        Data.named(name, ["ape", "cat"])


def test_labels_that_are_all_different_are_no_classes():
    name, _ = saved(np.arange(40))
    with pytest.raises(ValueError, match="no two of them equal: such are no classes"):
        Data.named(name)


def test_the_description_says_what_is_trained_on_validated_with_and_held_out():
    images = np.full((200, 5, 8, 3), 200, np.uint8)
    images[0] = 0
    np.savez("own.npz", images=images, labels=np.array(["dog", "cat"])[np.arange(200) % 2], y=1)
    assert Data.named("own.npz").describe(validates=True).splitlines() == [
        "own.npz: 200 RGB images of 5 × 8 pixels, numbers from 0 to 0.784",
        "  bytes from 0 to 200 are taken as pixels of 0 … 255",
        "  images (200, 5, 8, 3) have their channels last: images.transpose(0, 3, 1, 2) is taken",
        "  not used: y; images and labels alone are",
        "  162 samples to train on, 18 for validation, 20 held out",
        "  2 classes: cat, dog",
    ]
    assert "180 samples to train on, 20 held out" in Data.named("own.npz").describe(validates=False)


def test_the_description_names_classes_that_are_too_small_to_be_held_out():
    name, _ = saved(np.array(["owl"] * 30 + ["elk"]))
    assert Data.named(name).describe(validates=False).splitlines()[-1] == "  none held out of: elk"


# On the command line


@pytest.mark.long
@pytest.mark.parametrize("period", [2, 5, 10])
def test_labels_that_repeat_are_learned_as_well_as_shuffled_ones(period):
    y = np.arange(300) % period
    x = np.full((300, period), 0.05, np.float32)
    x[np.arange(300), y] = 1
    np.savez("own.npz", images=x, labels=y)
    arguments = ["--data", "own.npz", "--lr", "0.05", "--epochs", "10", "--out", "run"]
    assert cli.main(["train", "ffnn", *arguments]) == 0
    data = Data.named("own.npz")
    model = sg.load("run/model.safetensors").model
    assert model.accuracy(data.test, data.test_labels) == 1


def test_evaluate_parts_a_file_as_train_did_whatever_its_seed(capsys):
    saved(np.arange(60) % 3)
    assert cli.main(["train", "ffnn", "--data", "own.npz", "--epochs", "1", "--out", "run"]) == 0
    said = []
    for seed in ("0", "1"):
        capsys.readouterr()
        assert cli.main(["evaluate", "run", "--seed", seed]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "command", [["evaluate", "run"], ["train", "vae", "--out", "run", "--resume"]]
)
def test_a_run_on_a_file_that_has_changed_is_refused(command, capsys):
    saved(np.arange(60) % 3)
    begin = ["train", "vae", "--data", "own.npz", "--epochs", "1", "--hidden", "4", "--out", "run"]
    assert cli.main(begin) == 0
    saved(np.arange(60) // 2 % 3)
    assert cli.main(command) == 2
    assert "own.npz has changed since run was trained on it" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize(
    "command", [["evaluate", "run"], ["train", "vae", "--out", "run", "--resume"]]
)
def test_a_run_that_held_out_every_tenth_sample_is_refused(elsewhere, command, capsys):
    saved(np.arange(60) % 3)
    begin = ["train", "vae", "--data", "own.npz", "--epochs", "1", "--hidden", "4", "--out", "run"]
    assert cli.main(begin) == 0
    config = elsewhere / "run" / "config.json"
    first = json.loads(config.read_text())
    for name in ("format", "data_sha256", "classes", "schedule", "every"):
        del first[name]
    config.write_text(json.dumps(first))
    assert cli.main(command) == 2
    assert "held out every tenth or fifth sample" in capsys.readouterr().err


def test_classes_have_their_names_in_the_judgement_and_are_kept_with_the_run(capsys):
    labels = np.array([*string.ascii_lowercase])[np.arange(260) % 26]
    x = np.full((260, 4, 13), 0.5, np.float32)
    np.savez("own.npz", images=x, labels=labels)
    assert cli.main(["train", "ffnn", "--data", "own.npz", "--epochs", "1", "--out", "run"]) == 0
    np.savez("some.npz", images=x[:40], labels=["y", "z"] * 20)
    capsys.readouterr()
    assert cli.main(["evaluate", "run"]) == 0
    assert "the hardest class" in capsys.readouterr().out
    assert cli.main(["evaluate", "run", "--data", "some.npz"]) == 0
    said = dict(line.strip().split("  ", 1) for line in capsys.readouterr().out.splitlines()[1:])
    assert said["the hardest class"].strip()[:2] in ("y:", "z:")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["owl"] * 40, "has one label alone, 'owl'"),
        (np.arange(40) // 2, "at least one class needs three"),
    ],
)
def test_classes_that_cannot_be_told_apart_are_refused(labels, message):
    name, _ = saved(np.array(labels))
    settings = FFNNRecipe().settings({"data": name})
    with pytest.raises(ValueError, match=message):
        FFNNRecipe().build(settings, Data.named(name), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("images", "model", "message"),
    [
        (
            np.zeros((40, 8, 8), np.float32) - 1,
            "gan",
            r"a GAN .* got -1 to 1: save \(images \+ 1\) / 2",
        ),
        (np.full((40, 8, 8), 255.0), "ddpm", "a DDPM .* got 0 to 255: save images / 255"),
        (np.full((40, 30), 0.5), "ddpm", "for rows of numbers take a vae, gan or rbm"),
        (np.full((40, 64), 0.5), "ddpm", r"images\.reshape\(-1, 8, 8\)"),
        (np.full((40, 10, 13), 0.5), "ddpm", "pad them to 12 × 16"),
        (np.full((40, 8, 8), 16, np.uint8), "vae", "save images / 16 if 16 is white"),
    ],
)
def test_samples_that_a_model_does_not_take_are_refused_with_the_line_to_type(
    images, model, message, capsys
):
    np.save("own.npy", images)
    assert cli.main(["train", model, "--data", "own.npy", "--out", "run"]) == 2
    assert re.search(message, capsys.readouterr().err)


MODELS = {
    "rbm": ["--hidden", "4"],
    "vae": ["--hidden", "4", "--latent", "2"],
    "gan": ["--hidden", "4", "--batch-size", "8"],
    "ddpm": ["--T", "3", "--width", "8"],
    "ebm": ["--hidden", "4", "--steps", "2", "--n-chains", "80"],
    "score": ["--width", "8", "--levels", "3"],
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "shape"),
    [
        *(("vae", shape) for shape in [(8, 12, 3), (8, 12, 4), (20,)]),
        *((model, (8, 12, 3)) for model in ("rbm", "gan", "ebm", "score")),
        ("ddpm", (8, 12)),
        ("ebm", (20,)),
        ("ddpm", (20,)),
    ],
    ids=str,
)
def test_colour_alpha_rectangles_and_rows_are_trained_on_sampled_and_judged(
    model, shape, monkeypatch, capsys
):
    monkeypatch.setattr(RECIPES[model], "n_judged", 16)
    np.save("own.npy", np.random.default_rng(0).random((40, *shape), np.float32))
    arguments = ["--data", "own.npy", "--epochs", "1", "--out", "run", *MODELS[model]]
    if model == "ddpm" and len(shape) == 1:
        assert cli.main(["train", model, *arguments]) == 2
        return
    assert cli.main(["train", model, *arguments]) == 0
    assert cli.main(["sample", "run", "--n", "3", "--out", "s.npy"]) == 0
    first = shape if len(shape) < 3 else (shape[2], *shape[:2])
    assert np.load("s.npy").shape == (3, *first)
    capsys.readouterr()
    assert cli.main(["sample", "run"]) == 0
    suffix = "npy" if len(shape) == 1 else "png"
    assert f"samples-seed-0.{suffix}: " in capsys.readouterr().out
    assert cli.main(["sample", "run", "--out", "s.png"]) == (2 if len(shape) == 1 else 0)
    assert cli.main(["evaluate", "run"]) == 0
    assert "of uniform noise" in capsys.readouterr().out
