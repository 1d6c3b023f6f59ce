"""What the command line says of an energy-based model: likelihoods, and both kinds of chains."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli, plotting
from scratchgen.datasets.toys import log_density
from scratchgen.history import History
from scratchgen.models.energy import MALA, Langevin, Tempered
from scratchgen.recipes import Data
from scratchgen.recipes.ebm import GRID, EBMRecipe

recipe = EBMRecipe()
QUICK = {"hidden": (8,), "n_chains": 80, "steps": 2, "epochs": 2}


def built(data, **given):
    settings = recipe.settings({**QUICK, "data": data, **given})
    return settings, recipe.build(settings, Data.named(data), sg.generator(0))


@pytest.mark.parametrize(
    ("given", "kind"),
    [({"sampler": "langevin"}, Langevin), ({"sampler": "mala"}, MALA), ({}, Tempered)],
)
def test_the_sampler_is_the_one_that_was_asked_for_and_has_its_own_noise(given, kind):
    settings, model = built("digits", **given)
    assert type(model.sampler) is kind
    assert (settings.noise is None) == (kind is not Tempered)


@pytest.mark.parametrize(
    "given", [{"sampler": "mala", "noise": 0.1}, {"sampler": "tempered", "noise": None}]
)
def test_a_noise_that_is_not_the_samplers_own_is_refused(given):
    with pytest.raises(ValueError, match=r"--sampler \w+ takes (no|a) --noise"):
        built("digits", **given)


def test_the_notes_have_no_settings_for_it():
    with pytest.raises(ValueError, match="--preset lecture: the notes give no settings"):
        recipe.settings({"preset": "lecture"})


def test_images_are_centred_and_points_are_as_they_are():
    digits, ring = Data.named("digits"), Data.named("ring")
    np.testing.assert_array_equal(recipe.prepare(digits), 2 * digits.train - 1)
    np.testing.assert_array_equal(recipe.prepare(ring), ring.train)


def test_the_likelihood_of_points_is_that_of_the_energy_summed_over_a_grid():
    ring = Data.named("ring")
    settings, model = built("ring")
    weights = model.network.parameters()
    for parameter in weights:
        parameter.data[...] *= 0
    figures = dict(recipe.figures(model, ring, settings, sg.generator(0)))
    with pytest.raises(ValueError, match="lies on the edge"):  # a flat energy has no density
        figures["−log p(x)"]()

    def bowl(x):  # ½ ‖x‖², a standard Gaussian
        return 0.5 * (x * x).sum(axis=1)

    model.frozen = lambda: type("Frozen", (), {"energy": staticmethod(bowl)})
    said = figures["−log p(x)"]()
    x = ring.test.astype(np.float64)
    nll = 0.5 * (x**2).sum(axis=1) + math.log(2 * math.pi)
    assert float(said["−log p(x)"].split()[0]) == pytest.approx(nll.mean(), abs=0.006)
    truth = -log_density("ring", x)
    assert float(said["  above that by"].split()[0]) == pytest.approx(
        (nll - truth).mean(), abs=0.011
    )
    assert f"{GRID} × {GRID}" in said["  log Z"]


@pytest.mark.parametrize(("chains", "kinds"), [("data", 1), ("buffer", 2), ("persistent", 2)])
def test_new_chains_and_those_of_the_training_are_both_judged(chains, kinds):
    _, model = built("ring", chains=chains)
    compared = recipe.compared(model, 20, sg.generator(0))
    assert len(compared) == kinds
    assert all(x.shape == (20, 2) for x in compared.values())
    if kinds == 2:
        assert next(reversed(compared)) == f"chains of the training ({chains})"


def test_its_pictures_are_the_density_of_the_plane_or_chains_of_images():
    for data, names in (("ring", ["density"]), ("digits", ["chains", "new_chains"])):
        settings, model = built(data)
        drawn = recipe.draw(model, Data.named(data), settings, History(), sg.generator(0))
        pictures = dict(drawn)
        assert [*pictures] == names
        assert all(ax.get_title() for ax in pictures.values())
    steps = [text.get_text() for text in pictures["new_chains"].get_yticklabels()]
    assert (steps[0], steps[-1]) == ("step 0", "step 1000")


def test_a_run_on_a_toy_is_trained_resumed_sampled_and_judged(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(EBMRecipe, "n_judged", 60)
    monkeypatch.chdir(tmp_path)
    whole = ["--data", "moons", "--hidden", "8", "--n-chains", "80", "--steps", "2"]
    whole += ["--schedule", "constant"]
    assert cli.main(["train", "ebm", *whole, "--epochs", "2", "--out", "whole"]) == 0
    assert cli.main(["train", "ebm", *whole, "--epochs", "1", "--out", "parted"]) == 0
    resumed = ["--epochs", "2", "--out", "parted", "--resume"]
    assert cli.main(["train", "ebm", *whole, *resumed]) == 0
    models = [
        sg.load(f"{name}/model.safetensors").model.state_dict() for name in ("whole", "parted")
    ]
    assert "buffer" in models[0]
    for name, value in models[0].items():
        np.testing.assert_array_equal(models[1][name], value)
    assert {"samples.png", "density.png", "curves.png"} <= {
        p.name for p in (tmp_path / "whole").iterdir()
    }
    assert cli.main(["sample", "whole", "--n", "5", "--out", "s.npy"]) == 0
    assert np.load("s.npy").shape == (5, 2)
    assert cli.main(["sample", "whole", "--n", "5"]) == 0
    assert (tmp_path / "whole" / "samples-seed-0.png").exists()
    capsys.readouterr()
    assert cli.main(["evaluate", "whole"]) == 0
    said = capsys.readouterr().out
    for words in ("−log p(x)", "new chains of 1000 steps: MMD²", "(buffer): within 3 standard",
                  "evenness over the 2 parts"):  # fmt: skip
        assert words in said
    assert plotting.is_plane((2,))
