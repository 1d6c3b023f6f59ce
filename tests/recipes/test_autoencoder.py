"""What the command line says of an autoencoder, and of principal components beside it."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli
from scratchgen.models import pca
from scratchgen.recipes import RECIPES, Data

recipe = RECIPES["autoencoder"]


@pytest.fixture(scope="module")
def trained():
    data, rng = Data.named("digits"), sg.generator(0)
    settings = recipe.settings({"hidden": (20,), "latent": 3})
    model = recipe.build(settings, data, rng)
    history = sg.History()
    for epoch in sg.train(
        model,
        recipe.prepare(data),
        model.default_optimizers(),
        epochs=3,
        batch_size=32,
        rng=rng,
        history=history,
    ):
        epoch.report.update(recipe.score(model, data, rng))
    return model, data, settings, history  # fmt: skip


@pytest.mark.rounding
def test_the_score_is_the_squared_error_of_held_out_samples(trained):
    model, data, *_ = trained
    error = data.test - model.reconstruct(data.test.reshape(len(data.test), -1)).reshape(
        data.test.shape
    )
    expected = (error.reshape(len(error), -1).astype(np.float64) ** 2).sum(axis=1).mean()
    assert recipe.score(model, data, sg.generator(0))["test cost"] == pytest.approx(
        expected, rel=64 * 2.0**-23
    )


@pytest.mark.rounding
def test_the_judgement_names_the_error_and_that_of_as_many_principal_components(trained):
    model, data, settings, _ = trained
    said = recipe.judge(model, data, settings, sg.generator(0))
    score = recipe.score(model, data, sg.generator(0))["test cost"]
    of_components = pca.fit(data.train, 3).squared_errors(data.test).mean()
    spread = ((data.test - data.test.mean(axis=0)) ** 2).sum() / len(data.test)
    for name, error in (("squared error", score), ("  of 3 principal components", of_components)):
        numbers = said[name].replace(",", "").split()
        assert float(numbers[0]) == pytest.approx(error, abs=6e-4)
        assert float(numbers[3]) == pytest.approx(100 * (1 - error / spread), abs=0.06)


def test_the_optimum_of_a_linear_code_is_drawn_across_the_curves(trained):
    model, data, settings, history = trained
    pictures = dict(recipe.draw(model, data, settings, history, sg.generator(0)))
    assert set(pictures) == {"curves", "latents", "reconstructions"}
    curves = {line.get_label(): line.get_ydata() for line in pictures["curves"].get_lines()}
    components = pca.fit(data.train, 3)
    optimum = curves["3 principal components: the optimum of a linear code"]
    np.testing.assert_allclose(optimum, components.least_error)
    low, high = pictures["curves"].get_ylim()
    assert low < components.least_error < high


def test_points_of_the_plane_are_drawn_with_their_copies():
    data, settings = Data.named("moons"), recipe.settings({"data": "moons", "hidden": (4,)})
    model = recipe.build(settings, data, sg.generator(0))
    pictures = dict(recipe.draw(model, data, settings, sg.History(), sg.generator(0)))
    drawn = {c.get_label(): c.get_offsets() for c in pictures["reconstructions"].collections}
    assert set(drawn) == {"held-out data", "principal components", "copies"}
    np.testing.assert_allclose(drawn["copies"], model.reconstruct(data.test), rtol=1e-6)


def test_without_hidden_layers_the_training_ends_at_principal_components():
    """By the command line's own settings of the digits, without its schedule."""
    data, rng = Data.named("digits"), sg.generator(0)
    settings = recipe.settings({"hidden": (), "lr": 0.02})
    model = recipe.build(settings, data, rng)
    optimizers = recipe.optimizers(model, settings)
    x = recipe.prepare(data)
    for epoch in sg.train(model, x, optimizers, epochs=60, batch_size=32, rng=rng):
        optimizers[0].lr = 0.02 * 0.5 * (1 + np.cos(np.pi * epoch.number / 60))
    error = model.frozen().squared_errors(x).mean(dtype=np.float64)
    optimum = pca.fit(data.train, 2).least_error
    assert optimum * (1 - 1e-6) <= error <= 1.01 * optimum


def test_a_run_is_trained_evaluated_and_has_no_samples(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = ["train", "autoencoder", "--hidden", "8", "--epochs", "1", "--out", "run"]
    assert cli.main(quick) == 0
    assert "look at run/reconstructions.png" in capsys.readouterr().out
    assert {"curves.png", "latents.png", "reconstructions.png"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
    assert cli.main(["evaluate", "run"]) == 0
    assert "of 2 principal components" in capsys.readouterr().out
    assert cli.main(["sample", "run"]) == 2
    assert "has no samples: ask scratchgen evaluate run" in capsys.readouterr().err


@pytest.mark.parametrize("latent", [64, 100])
def test_a_code_that_is_no_shorter_than_the_sample_is_refused(latent):
    data = Data.named("digits")
    with pytest.raises(ValueError, match=f"--latent is less than 64, .* got {latent}"):
        recipe.build(recipe.settings({"latent": latent}), data, sg.generator(0))
