"""What the command line says of a diffusion model is what the model says of held-out images."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli
from scratchgen.history import History
from scratchgen.models import PlainDenoiser, UNet
from scratchgen.recipes import Data
from scratchgen.recipes.ddpm import DDPMRecipe, level_width

recipe = DDPMRecipe()
QUICK = {"width": 8, "T": 12, "epochs": 2}


@pytest.fixture(scope="module")
def data():
    return Data.named("digits")


def built(data, rng, **more):
    return recipe.build(recipe.settings({**QUICK, **more}), data, rng)


def test_the_preset_is_the_notes_model():
    settings = recipe.LECTURE
    blank = np.zeros((2, 1, 28, 28), np.float32)
    model = recipe.build(settings, Data(blank, None, blank, None), sg.generator(0))
    expected, (adam,) = sg.models.ddpm.lecture(sg.generator(0))
    for name, value in expected.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)
    assert model.construction.items() - {("network", model.network)} == (
        expected.construction.items() - {("network", expected.network)}
    )
    (ours,) = recipe.optimizers(model, settings)
    assert ours.lr == adam.lr == 2e-4
    assert (settings.epochs, settings.batch_size) == (5, 128)


@pytest.mark.parametrize(("network", "kind"), [("unet", UNet), ("notes", PlainDenoiser)])
def test_either_network_may_be_asked_for(data, network, kind):
    assert type(built(data, sg.generator(0), network=network).network) is kind


def test_what_is_trained_on_lies_on_minus_1_to_1_and_samples_on_0_to_1(data):
    np.testing.assert_array_equal(recipe.prepare(data), 2 * data.train - 1)
    model = built(data, sg.generator(0))
    samples = recipe.samples(model, 130, sg.generator(1))
    assert samples.shape == (130, 1, 8, 8)
    assert -1e-6 < samples.min() < 0.1
    assert 0.9 < samples.max() < 1 + 1e-6
    seed = int(sg.generator(1).integers(2**63 - 1))
    parts = enumerate((128, 2))
    expected = [model.sample(n, sg.generator([seed, k])) for k, n in parts]
    np.testing.assert_array_equal(samples, 0.5 * (np.concatenate(expected) + 1))


def test_the_score_is_the_error_on_held_out_images(data):
    model = built(data, sg.generator(0))
    score = recipe.score(model, data, sg.generator(1))["test cost"]
    x, rng = 2 * data.test - 1, sg.generator(2)
    costs = [
        model.frozen().loss(x, t, rng.standard_normal(x.shape, dtype=x.dtype)) for t in range(12)
    ]
    assert score == pytest.approx(np.mean(costs), rel=0.02)


def test_the_average_that_is_asked_for_is_kept_and_none_for_a_share_of_0(data):
    model = built(data, sg.generator(0))
    assert recipe.average(model, recipe.settings({"ema": 0.75})).decay == 0.75
    assert recipe.average(model, recipe.settings({"ema": 0.0})) is None


@pytest.mark.long
def test_the_judgement_states_what_the_schedule_leaves_and_the_error_of_every_quarter(
    data, monkeypatch
):
    monkeypatch.setattr("scratchgen.recipes.ddpm.PIXELS", 0)  # the likelihood of two images
    model = built(data, sg.generator(0), noise_schedule="linear", clip="none", T=300)
    said = recipe.judge(model, data, {}, sg.generator(1))
    assert said["signal left at the end, ᾱ"] == "0.0481"
    nats = float(said["prior matching term, D_KL(q(x_T|x₀) ‖ N(0, I))"].split()[0])
    assert nats == pytest.approx(model.noising.prior_kl(2 * data.test - 1).mean(), rel=0.01)
    means = {name: float(text.split()[0]) for name, text in said.items() if "(v̂ − v)²" in name}
    whole, *quarters = means.values()
    assert len(quarters) == 4
    assert whole == pytest.approx(np.mean(quarters), rel=0.1)


def test_the_judgement_bounds_the_bits_of_a_pixel_by_the_chain_and_by_the_flow(data):
    model = built(data, sg.generator(0))
    said = recipe.judge(model, data, {}, sg.generator(1))
    bits = {name: float(text.split()[0]) for name, text in said.items() if "bits per" in text}
    chain, *terms, weighted, flow = bits.values()
    assert next(iter(bits)) == "−log₂ P(x) of the chain, at most, for 17 levels, 25 images"
    assert chain == pytest.approx(sum(terms), abs=2e-3)
    assert weighted < chain
    assert flow > 2  # no network that knows nothing comes near the entropy of the digits


@pytest.mark.parametrize(
    ("x", "width"), [(np.arange(17) / 16, 1 / 16), (np.array([0, 7, 255]) / 255, None)]
)
def test_the_levels_of_pixels_are_found(x, width):
    found = level_width(np.concatenate([x, np.arange(256) / 255]) if width is None else x)
    assert found == pytest.approx(width or 1 / 255)
    with pytest.raises(ValueError, match="if they have at most 256 levels"):
        level_width(np.linspace(0, 1, 300) ** 2)


def test_its_pictures_are_the_schedule_the_noising_and_the_denoising(data):
    model = built(data, sg.generator(0))
    pictures = dict(recipe.draw(model, data, {}, History(), sg.generator(1)))
    assert [*pictures] == ["schedule", "noising", "denoising"]
    labels = [text.get_text() for text in pictures["noising"].get_xticklabels()]
    assert (labels[0], labels[-1], len(labels)) == ("$x_0$", "t = 11", 9)
    labels = [text.get_text() for text in pictures["denoising"].get_xticklabels()]
    assert (labels[0], labels[-1], len(labels)) == ("t = 11", "sample", 9)


@pytest.mark.parametrize(
    ("images", "settings", "message"),
    [
        (np.zeros((3, 6, 6)), {}, r"these are 6 × 6: pad them .* or take --network notes"),
        (np.zeros((3, 64)), {}, r"takes images .* got samples of shape \(64,\)"),
        (
            np.full((3, 8, 8), -1.0),
            {},
            r"takes data on \[0, 1\], got -1 to 1: save \(images \+ 1\) / 2",
        ),
        (np.zeros((3, 8, 8)), {"preset": "lecture"}, "784 pixels"),
    ],
    ids=["six", "vectors", "range", "lecture"],
)
def test_data_that_it_cannot_take_are_refused_with_what_to_do(images, settings, message):
    images = images.astype(np.float32)
    with pytest.raises(ValueError, match=message):
        built(Data(images, None, images, None), sg.generator(0), **settings)


def test_the_command_line_warns_of_the_schedule_in_one_line(tmp_path, capsys):
    arguments = ["train", "ddpm", "--width", "8", "--T", "20"]
    arguments += ["--noise-schedule", "linear"]
    assert cli.main([*arguments, "--epochs", "0", "--out", str(tmp_path / "run")]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("scratchgen: warning: after the T = 20 steps of the linear schedule")
