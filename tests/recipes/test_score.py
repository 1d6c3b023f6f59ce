"""What the command line says of a score model: its cost beside the lowest, and both samplers."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli
from scratchgen.datasets.toys import ring_score
from scratchgen.history import History
from scratchgen.models import DenseDenoiser, UNet
from scratchgen.recipes import Data
from scratchgen.recipes.score import ScoreRecipe

recipe = ScoreRecipe()
QUICK = {"hidden": (8,), "width": 8, "levels": 4, "epochs": 2}


def built(data, **given):
    settings = recipe.settings({**QUICK, "data": data, **given})
    return settings, recipe.build(settings, Data.named(data), sg.generator(0))


def test_images_have_a_unet_and_points_a_dense_network():
    assert type(built("digits")[1].network) is UNet
    assert type(built("ring")[1].network) is DenseDenoiser
    assert built("digits", network="dense")[1].shape == (1, 8, 8)
    with pytest.raises(ValueError, match=r"--network unet, not dense, takes images"):
        built("ring", network="unet")


def test_grey_images_without_channels_are_given_one():
    x = np.random.default_rng(0).random((30, 8, 8)).astype(np.float32)
    data = Data(x, None, x, None)
    for network in ("unet", "dense"):
        settings = recipe.settings({**QUICK, "network": network})
        model = recipe.build(settings, data, sg.generator(0))
        model.validate(recipe.prepare(data))
        assert recipe.samples(model, 3, sg.generator(0)).shape == (3, 1, 8, 8)


def test_the_cost_stands_beside_that_of_the_exact_score():
    ring = Data.named("ring")
    settings, model = built("ring")

    class Exact(type(model)):
        def score(self, x, sigma, rng=None):
            return ring_score(x, float(np.ravel(sigma)[0]))

    model.__class__ = Exact
    said = {}
    for _, figure in recipe.figures(model, ring, settings, sg.generator(0)):
        said |= figure()
    gaps = [text for name, text in said.items() if name.startswith("  above that by")]
    assert len(gaps) == 4
    assert all(abs(float(gap.split()[0])) < 1e-3 for gap in gaps)
    assert said["½ ‖z‖², the cost of no score"] == "1"


def test_both_samplers_are_judged():
    _, model = built("digits")
    compared = recipe.compared(model, 6, sg.generator(0))
    assert [x.shape for x in compared.values()] == [(6, 1, 8, 8)] * 2
    assert [name.split(" by ")[1] for name in compared] == [
        "annealed Langevin dynamics",
        "the probability flow",
    ]


def test_its_pictures_are_the_score_of_the_plane_or_images_on_their_way():
    settings, model = built("ring")
    ring = Data.named("ring")
    pictures = dict(recipe.draw(model, ring, settings, History(), sg.generator(0)))
    assert [*pictures] == [f"score-{k}" for k in range(1, 5)]
    settings, model = built("digits")
    digits = Data.named("digits")
    (table,) = dict(recipe.draw(model, digits, settings, History(), sg.generator(0))).values()
    rows = [text.get_text() for text in table.get_yticklabels()]
    assert rows == ["σ = 3", "σ = 0.65", "σ = 0.14", "σ = 0.03", "samples"]


def test_a_run_on_a_toy_is_trained_resumed_sampled_and_judged(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ScoreRecipe, "n_judged", 40)
    monkeypatch.chdir(tmp_path)
    asked = ["--data", "swirl", "--hidden", "8", "--levels", "4", "--schedule", "constant"]
    assert cli.main(["train", "score", *asked, "--epochs", "2", "--out", "whole"]) == 0
    assert cli.main(["train", "score", *asked, "--epochs", "1", "--out", "parted"]) == 0
    resumed = ["--epochs", "2", "--out", "parted", "--resume"]
    assert cli.main(["train", "score", *asked, *resumed]) == 0
    whole, parted = (sg.load(f"{name}/model.safetensors").model for name in ("whole", "parted"))
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(parted.state_dict()[name], value)
    assert cli.main(["sample", "whole", "--n", "5", "--out", "s.npy"]) == 0
    samples = np.load("s.npy")
    assert samples.shape == (5, 2)
    assert math.isfinite(samples.sum())
    capsys.readouterr()
    assert cli.main(["evaluate", "whole"]) == 0
    assert "by the probability flow: within 3 standard deviations of the curve" in (
        capsys.readouterr().out
    )
