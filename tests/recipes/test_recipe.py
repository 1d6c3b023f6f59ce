"""What all recipes share: the rate of each epoch, what ends a training, what a model shows."""

import inspect

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.recipes import RECIPES, Data
from scratchgen.recipes.recipe import drawn_in_parts, had
from scratchgen.storage import Checkpoint

SMALL = {
    "ffnn": {"hidden": (6,)},
    "cnn": {"channels": (2,), "hidden": 4},
    "rbm": {"hidden": 4},
    "gaussian-rbm": {"hidden": 4},
    "autoencoder": {"hidden": (6,)},
    "vae": {"hidden": 6},
    "iwae": {"hidden": 6},
    "hvae": {"hidden": 6, "latents": (3, 2), "warm_up": 1},
    "gan": {"hidden": 6},
    "cgan": {"hidden": 6},
    "cvae": {"hidden": 6},
    "cddpm": {"width": 8, "T": 5},
    "ddpm": {"width": 8, "T": 5},
    "ebm": {"hidden": (6,), "steps": 2, "n_chains": 70},
    "score": {"width": 8, "levels": 4},
    "vdm": {"hidden": 8, "T": 5},
}


@pytest.fixture(scope="module")
def data():
    return Data.named("digits")


@pytest.fixture(scope="module")
def few(data):
    some = np.s_[:60]
    parts = data.train[some], data.train_labels[some], data.test[some], data.test_labels[some]
    return Data(*parts, data.classes)


def built(model, data, **given):
    recipe = RECIPES[model]
    settings = recipe.settings({**SMALL[model], **given})
    rng = sg.generator(0)
    network = recipe.build(settings, data, rng)
    return settings, Checkpoint(network, recipe.optimizers(network, settings), rng, sg.History())


def rates(model, data, state, settings):
    """The rate of each epoch, and the rate that is left at the end."""
    seen = []

    def batches(starts):
        seen.append([optimizer.lr for optimizer in state.optimizers])
        yield from starts

    for _ in RECIPES[model].epochs(state, data, settings, batches):
        pass
    return [*seen, [optimizer.lr for optimizer in state.optimizers]]


@pytest.mark.parametrize("model", RECIPES)
@pytest.mark.parametrize("schedule", ["constant", "cosine", "step:2,0.5"])
def test_the_rate_of_every_epoch_is_that_of_the_schedule_over_the_epochs_asked_for(
    few, model, schedule
):
    settings, state = built(model, few, schedule=schedule, epochs=4, lr=0.01, batch_size=20)
    cosine = [0.5 * (1 + np.cos(np.pi * t / 4)) for t in range(5)]
    factors = {"constant": [1] * 5, "cosine": cosine, "step:2,0.5": [1, 1, 0.5, 0.5, 0.25]}
    for seen, factor in zip(rates(model, few, state, settings), factors[schedule], strict=True):
        assert seen == pytest.approx([0.01 * factor] * len(state.optimizers), abs=1e-12)


@pytest.mark.parametrize("model", RECIPES)
def test_a_longer_training_that_goes_on_has_the_cosine_of_the_longer_one_from_there_on(few, model):
    settings, state = built(model, few, schedule="cosine", epochs=2, lr=0.01, batch_size=20)
    rates(model, few, state, settings)
    longer, _ = built(model, few, schedule="cosine", epochs=4, lr=0.01, batch_size=20)
    seen = [rate for rate, *_ in rates(model, few, state, longer)]
    assert seen == pytest.approx([0.005, 0.005 * (1 - np.sqrt(0.5)), 0], abs=1e-12)


@pytest.mark.parametrize("model", RECIPES)
def test_what_a_model_shows_are_its_settings(data, model):
    for given in ({}, {"preset": None, "seed": 3}):
        settings, state = built(model, data, **given)
        shown = RECIPES[model].shown(state.model)
        shown.pop("pixels", None)
        assert shown.pop("classes", 10) == 10
        assert shown == {name: getattr(settings, name) for name in shown}
        assert len(shown) >= 3


@pytest.mark.parametrize("model", sorted(set(RECIPES) - {"cnn"}))
def test_a_model_shows_how_many_pixels_a_sample_has(data, model):
    _, state = built(model, data)
    assert RECIPES[model].shown(state.model)["pixels"] == 64


def test_a_batch_that_is_larger_than_the_data_of_a_gan_is_refused_with_one_that_is_not(few):
    settings, state = built("gan", few, batch_size=64)
    with pytest.raises(ValueError, match="take --batch-size of at most 60"):
        RECIPES["gan"].epochs(state, few, settings)


def test_a_figure_that_cannot_be_had_leaves_its_reason_and_the_others():
    def fails(error):
        raise error

    figures = [
        ("a", lambda: {"a": "1", "  of which": "2"}),
        ("b", lambda: fails(ValueError("b takes 4 samples, these are 3"))),
        ("c", lambda: fails(MemoryError())),
        ("d", lambda: {"d": "3"}),
    ]
    assert had(iter(figures)) == {
        "a": "1",
        "  of which": "2",
        "b": "– (b takes 4 samples, these are 3)",
        "c": "– (out of memory)",
        "d": "3",
    }


@pytest.mark.parametrize("model", RECIPES)
def test_all_samples_may_be_one_batch(few, model):
    settings, state = built(model, few, batch_size=None, epochs=1)
    batches = []
    for _ in RECIPES[model].epochs(
        state, few, settings, lambda starts: batches.extend(starts) or starts
    ):
        pass
    assert batches == [0]


def test_samples_are_drawn_so_many_at_a_time_until_there_are_as_many_as_were_asked_for():
    asked = []

    def draw(part):
        asked.append(part.stop - part.start)
        return [np.full((asked[-1], 2), len(asked))]

    samples = drawn_in_parts(draw, 25, sg.generator(0), 10)
    assert asked == [10, 10, 5]
    np.testing.assert_array_equal(samples[:, 0], np.repeat([1, 2, 3], [10, 10, 5]))


@pytest.mark.parametrize(
    ("model", "work", "what"),
    [
        ("rbm", lambda recipe, model: recipe.samples(model, 230, sg.generator(0)), "sampling"),
        ("rbm", lambda recipe, model: recipe.draws(model, 230, sg.generator(0)), "sampling"),
        ("ddpm", lambda recipe, model: recipe.samples(model, 130, sg.generator(0)), "denoising"),
    ],
    ids=["means", "draws", "denoising"],
)
def test_long_sampling_says_how_far_it_is(few, monkeypatch, model, work, what):
    seen = []

    def watched(things, said, total=None):
        count = 0
        for thing in things:
            count += 1
            yield thing
        seen.append((said, count, total))

    monkeypatch.setattr("scratchgen.recipes.recipe.watched", watched)
    _, state = built(model, few)
    work(RECIPES[model], state.model)
    ((said, count, total),) = seen
    assert said == what
    assert count == total > 2


def test_an_evaluation_by_annealing_says_how_far_it_is(few, monkeypatch):
    monkeypatch.setattr("scratchgen.recipes.rbm.SUMMED", 1)
    seen = []
    monkeypatch.setattr(
        "scratchgen.recipes.rbm.watched",
        lambda steps, what: seen.append((what, len(steps))) or steps,
    )
    settings, state = built("rbm", few)
    RECIPES["rbm"].judge(state.model, few, settings, sg.generator(0))
    assert seen == [("annealing", 2998)] * 2


@pytest.mark.parametrize("name", ["ffnn", "rbm", "vae", "gan", "ddpm"])
def test_the_preset_builds_the_lecture_of_the_models_own_chapter(name):
    recipe, labels = RECIPES[name], np.arange(100) % 10
    images = np.linspace(0, 1, 100 * 784, dtype=np.float32).reshape(100, 1, 28, 28)
    data = Data(images, labels, images, labels, tuple("0123456789"))
    model = recipe.build(recipe.LECTURE, data, sg.generator(0))
    expected, optimizers = inspect.getmodule(recipe.kind).lecture(sg.generator(0))
    assert model.state_dict().keys() == expected.state_dict().keys()
    for key, value in expected.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[key], value)
    for ours, theirs in zip(recipe.optimizers(model, recipe.LECTURE), optimizers, strict=True):
        assert type(ours) is type(theirs)
        assert ours.construction == theirs.construction
