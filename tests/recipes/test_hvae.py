"""What the command line says of a hierarchy is what the model says of held-out data."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.recipes import RECIPES, Data
from scratchgen.storage import Checkpoint

recipe = RECIPES["hvae"]
QUICK = {"hidden": 12, "latents": (4, 2), "epochs": 4, "warm_up": 2, "batch_size": 64}


@pytest.fixture(scope="module")
def data():
    return Data.named("digits")


def begun(data, **given):
    settings, rng = recipe.settings({**QUICK, **given}), sg.generator(0)
    model = recipe.build(settings, data, rng)
    return settings, Checkpoint(model, recipe.optimizers(model, settings), rng, sg.History())


def test_the_weight_of_the_kl_rises_over_the_epochs_of_the_warm_up(data):
    settings, state = begun(data)
    weights = [e.report["KL weight"] for e in recipe.epochs(state, data, settings)]
    assert weights == [0, 0.5, 1, 1]
    settings, state = begun(data, warm_up=0, epochs=1)
    assert [e.report["KL weight"] for e in recipe.epochs(state, data, settings)] == [1]


def test_a_training_that_goes_on_takes_up_the_weight_where_it_was(data):
    settings, state = begun(data, epochs=1)
    list(recipe.epochs(state, data, settings))
    longer, _ = begun(data, epochs=3)
    weights = [e.report["KL weight"] for e in recipe.epochs(state, data, longer)]
    assert weights == [0.5, 1]


def test_by_default_the_weight_rises_over_half_of_the_epochs_asked_for():
    assert recipe.settings({}).warm_up == recipe.DIGITS.epochs // 2
    assert recipe.settings({"epochs": 20}).warm_up == 10
    assert recipe.settings({"epochs": 20, "warm_up": 3}).warm_up == 3


def test_the_notes_give_no_settings(data):
    with pytest.raises(ValueError, match="the notes give no settings of the hierarchical"):
        recipe.settings({"preset": "lecture"})
    with pytest.raises(ValueError, match="at least one layer, got none"):
        begun(data, latents=())


def test_the_judgement_is_what_the_model_says(data):
    _, state = begun(data)
    model = state.model
    said = recipe.judge(model, data, {}, sg.generator(1))
    numbers = {name: float(text.split()[0]) for name, text in said.items()}
    parts = [numbers[f"  {n}"] for n in ("reconstruction", "prior matching", "consistency")]
    assert numbers["−ELBO"] == pytest.approx(sum(parts), abs=0.02)
    elbo = [model.frozen().elbo(data.test, rng=sg.generator(k)).mean() for k in range(20)]
    assert numbers["−ELBO"] == pytest.approx(-np.mean(elbo), abs=0.2)
    score = recipe.score(model, data, sg.generator(2))["test cost"]
    assert score == pytest.approx(-np.mean(elbo), abs=0.2)
    kl = model.kl_of_units(data.test, sg.generator(3))
    found = said["units of h1 that tell more than 0.01 nats"]
    assert found.split(",")[0].endswith(" of 4")
    assert float(found.split()[3]) == pytest.approx(kl[0].sum(), rel=0.3, abs=0.3)


def test_its_pictures_show_the_latents_of_the_top_and_what_each_layer_holds(data):
    _, state = begun(data)
    pictures = dict(recipe.draw(state.model, data, {}, sg.History(), sg.generator(0)))
    assert [*pictures] == ["latents", "layers"]
    rows = [text.get_text() for text in pictures["layers"].get_yticklabels()]
    assert rows == ["x", "from $h_1$", "from $h_2$"]
