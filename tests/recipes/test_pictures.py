"""What a training leaves to look at: each picture says of which run it is, and what it shows."""

from dataclasses import replace

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import plotting
from scratchgen.history import Epoch, History
from scratchgen.recipes import RECIPES, Data, pictures
from scratchgen.recipes.pictures import _curves

HEADING = "model on digits, epoch 2"


@pytest.fixture(scope="module")
def data():
    whole = Data.named("digits")
    return replace(whole, train=whole.train[:60], train_labels=whole.train_labels[:60])


def left(name, data, kept=None, **settings):
    """The pictures of a model that has learned nothing, by the names of their files."""
    recipe = RECIPES[name]
    settings = recipe.settings(settings)
    model = recipe.build(settings, data, sg.generator(0))
    report = {"D(x)": 0.6, "D(G(z))": 0.4} if name == "gan" else {}
    players = ("D", "G") if name == "gan" else ()
    history = History(
        Epoch(k, (1.2, 0.8)[: len(players) or 1], 0.0, report, players) for k in (1, 2)
    )
    rng = sg.generator(0)
    return dict(pictures(recipe, model, data, settings, history, kept or {}, HEADING, rng))


SMALL = {
    "ffnn": {"hidden": (8,)},
    "cnn": {"channels": (4, 4), "hidden": 8},
    "rbm": {"hidden": 8},
    "vae": {"hidden": 8},
    "gan": {"hidden": 8},
    "ddpm": {"width": 8, "T": 12},
    "ebm": {"hidden": (6,), "steps": 2, "n_chains": 70},
    "score": {"width": 8, "levels": 4},
}


@pytest.mark.parametrize("name", SMALL)
def test_every_picture_begins_with_the_run_that_it_is_of_and_fits_what_it_says(name, data):
    kept = {k: np.full((5, 64), 0.1 * k) for k in (2, 1)}
    for file, picture in left(name, data, kept, **SMALL[name]).items():
        if file.endswith(".gif"):
            assert picture.gif.startswith(b"GIF89a")
            continue
        assert file.endswith(".png")
        assert " ".join(picture.get_title().split()).startswith(HEADING), file
        figure = picture.figure
        figure.draw_without_rendering()
        title = picture.title.get_window_extent()
        assert title.x0 >= 0, file
        assert title.x1 <= figure.bbox.width, file
        assert title.y1 <= figure.bbox.height, file


def test_samples_and_the_epochs_say_whether_they_are_means(data):
    shown = left("vae", data, {1: np.zeros((5, 64))}, **SMALL["vae"])
    for file in ("samples.png", "epochs.png"):
        assert " ".join(shown[file].get_title().split()) == f"{HEADING}: means E[x|h]"
    assert "means E[v|h] after 1000 steps" in " ".join(
        left("rbm", data, **SMALL["rbm"])["samples.png"].get_title().split()
    )


def test_the_epochs_are_a_table_and_an_animation_in_their_order(data):
    kept = {10: np.ones((5, 64)), 2: np.zeros((5, 64))}
    shown = left("vae", data, kept, **SMALL["vae"])
    names = [text.get_text() for text in shown["epochs.png"].get_yticklabels()]
    assert names == ["epoch 2", "epoch 10"]
    assert shown["epochs.gif"].frames == 2


def test_a_ddpm_leaves_its_denoising_as_an_animation_that_ends_in_samples(data):
    shown = left("ddpm", data, **SMALL["ddpm"])
    assert shown["denoising.gif"].frames == 13  # t = 11 … 0, and the samples
    frames = dict(
        RECIPES["ddpm"].animations(
            sg.models.DDPM(lambda x, t: 0 * x, (1, 8, 8), 300), sg.generator(0)
        )
    )
    names = [*frames["denoising"]]
    assert (names[0], names[-1], len(names)) == ("t = 299", "samples", 25)
    assert all(x.shape == (16, 1, 8, 8) for x in frames["denoising"].values())


def test_the_probabilities_of_a_gan_have_axes_of_their_own(data):
    top, below = left("gan", data, **SMALL["gan"])["curves.png"].figure.axes
    assert [line.get_label() for line in top.lines] == ["D", "G"]
    assert top.get_ylabel() == "nats"
    assert [line.get_label() for line in below.lines] == ["D(x)", "D(G(z))"]


@pytest.mark.parametrize(
    ("model", "reported", "expected"),
    [
        (
            "hvae",
            ["reconstruction", "KL of h1", "active units of h1", "KL weight"],
            {
                "nats per sample": ["cost", "reconstruction", "KL of h1"],
                "active units": ["active units of h1"],
                "KL weight": ["KL weight"],
            },
        ),
        (
            "vdm",
            ["reconstruction", "diffusion", "test bits per pixel"],
            {
                "nats per sample": ["cost", "diffusion"],
                "small terms, nats": ["reconstruction"],
                "bits per pixel": ["test bits per pixel"],
            },
        ),
    ],
)
def test_quantities_of_different_units_have_axes_of_their_own(model, reported, expected):
    epochs = (Epoch(k, (3.0 / k,), 0.1, dict.fromkeys(reported, 0.5 * k)) for k in (1, 2))
    axes = _curves(RECIPES[model], History(epochs)).figure.axes
    found = {ax.get_ylabel(): [line.get_label() for line in ax.lines] for ax in axes}
    assert found == expected


def test_of_data_that_are_no_images_there_are_no_pictures_of_samples():
    rows = np.random.default_rng(0).random((40, 5)).astype(np.float32)
    flat = Data(rows[:30], None, rows[30:], None)
    shown = left("vae", flat, {1: np.zeros((5, 5))}, hidden=8)
    assert set(shown) == {"curves.png", "latents.png"}
    assert not plotting.is_image(flat.shape)
