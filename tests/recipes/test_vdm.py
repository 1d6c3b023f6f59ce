"""What the command line says of variational diffusion is what the model says of held-out data."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.models.diffusion import vdm
from scratchgen.recipes import RECIPES, Data
from scratchgen.storage import Checkpoint

recipe = RECIPES["vdm"]
QUICK = {"hidden": 8, "T": 10, "epochs": 2, "batch_size": 200}


@pytest.fixture(scope="module")
def data():
    return Data.named("digits")


def begun(data, **given):
    settings, rng = recipe.settings({**QUICK, **given}), sg.generator(0)
    model = recipe.build(settings, data, rng)
    return settings, Checkpoint(model, recipe.optimizers(model, settings), rng, sg.History())


def test_the_judgement_is_the_bound_in_bits_beside_what_needs_no_network(data):
    _, state = begun(data)
    said = recipe.judge(state.model, data, {}, sg.generator(1))
    numbers = {name: float(text.split()[0]) for name, text in said.items()}
    parts = [numbers[f"  {n}"] for n in ("reconstruction", "prior matching", "diffusion")]
    assert numbers["−log p(x), at most"] == pytest.approx(sum(parts), abs=0.002)
    bits = [state.model.bits_per_dim(2 * data.test - 1, sg.generator(k)).mean() for k in range(20)]
    assert numbers["−log p(x), at most"] == pytest.approx(np.mean(bits), abs=0.1)
    assert numbers["  of 17 levels that are all alike"] == round(math.log2(17), 3)
    # Histograms of each pixel, by counting.
    train, test = (np.rint(16 * x).astype(int).reshape(len(x), 64) for x in (data.train, data.test))
    p = [(np.bincount(pixel, minlength=17) + 1) / (len(train) + 17) for pixel in train.T]
    nats = [-np.log(p[i][test[:, i]]).mean() for i in range(64)]
    expected = np.mean(nats) / math.log(2)
    assert numbers["  of pixels that are independent"] == pytest.approx(expected, abs=0.002)


def test_pixels_are_rounded_to_the_levels_that_were_asked_for(data):
    settings, state = begun(data, levels=5, batch_size=50)
    (first, second) = recipe.epochs(state, data, settings)
    of_held_out = "test bits per pixel"  # both with the same noise
    assert second.report[of_held_out] < first.report[of_held_out]
    assert set(first.report) == {
        "reconstruction",
        "prior matching",
        "diffusion",
        of_held_out,
    }
    samples = recipe.samples(state.model, 3, sg.generator(0))
    assert samples.shape == (3, 1, 8, 8)
    assert {*np.unique(samples)} <= {0, 0.25, 0.5, 0.75, 1}


@pytest.mark.parametrize(
    ("given", "kind"),
    [({"gamma": "learned"}, vdm.LearnedGamma), ({"gamma": "linear", "T": None}, object)],
)
def test_gamma_may_be_learned_and_time_continuous(data, given, kind):
    settings, state = begun(data, **given)
    assert isinstance(state.model.gamma, kind)
    assert state.model.T == settings.T


def test_its_pictures_are_the_schedule_and_the_denoising(data):
    for given in ({"gamma": "linear"}, {"gamma": "learned"}):
        _, state = begun(data, **given)
        pictures = dict(recipe.draw(state.model, data, {}, sg.History(), sg.generator(0)))
        assert [*pictures] == ["schedule", "denoising"]
        labels = [text.get_text() for text in pictures["denoising"].get_xticklabels()]
        assert (labels[0], labels[-1], len(labels)) == ("t = 1.00", "t = 0.00", 9)


def test_data_beyond_0_and_1_are_refused():
    images = np.full((3, 8, 8), -1, np.float32)
    with pytest.raises(ValueError, match=r"takes data on \[0, 1\], got -1 to"):
        begun(Data(images, None, images, None))
