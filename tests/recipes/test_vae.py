"""What the command line says of a model is what the model says of held-out data."""

from dataclasses import replace

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import datasets, operations
from scratchgen.history import History
from scratchgen.recipes import RECIPES, Data
from scratchgen.storage import Checkpoint

recipe = RECIPES["vae"]


@pytest.fixture(scope="module")
def trained():
    rng = sg.generator(0)
    model = sg.models.vae.dense(64, 50, 2, rng)
    data = Data.named("digits")
    for _ in sg.train(
        model, data.train, model.default_optimizers(), epochs=3, batch_size=32, rng=rng
    ):
        pass
    return model, data


def test_held_out_digits_are_not_trained_on():
    data = Data.named("digits")
    assert len(data.train) + len(data.test) == 1797
    rows = {x.tobytes() for x in data.train} & {x.tobytes() for x in data.test}
    everything, _ = datasets.digits()
    assert len(rows) <= len(everything) - len({x.tobytes() for x in everything})
    np.testing.assert_array_equal(data.test, datasets.digits("test")[0])
    np.testing.assert_array_equal(data.test_labels, datasets.digits("test")[1])


@pytest.mark.rounding
def test_the_score_is_minus_the_elbo_of_the_held_out_data(trained):
    model, data = trained
    score = recipe.score(model, data, sg.generator(1))["test cost"]
    elbo = model.frozen().elbo(data.test, rng=sg.generator(1)).mean()
    assert score == pytest.approx(-elbo, rel=32 * 2.0**-23)  # means in float32, added in pairs
    assert 20 < score < 40


@pytest.mark.rounding
def test_the_judgement_is_what_the_model_says(trained):
    model, data = trained
    said = recipe.judge(model, data, {}, sg.generator(0))
    numbers = {name: text.split() for name, text in said.items()}
    frozen = model.frozen()
    kl = operations.gaussian_kl(*frozen.encode(data.test))
    nll = [frozen.elbo_terms(data.test, rng=sg.generator(k))[0] for k in range(20)]
    mean, _, error, _ = numbers["  KL to the prior"]
    assert float(mean) == pytest.approx(kl.mean(), abs=0.006)
    assert float(error) == pytest.approx(kl.std() / np.sqrt(len(kl)), abs=0.006)
    assert float(numbers["  reconstruction"][0]) == pytest.approx(np.mean(nll), abs=0.2)
    assert float(numbers["−ELBO"][0]) == pytest.approx(np.mean(nll) + kl.mean(), abs=0.2)
    bound = next(text for name, text in numbers.items() if name.startswith("−log p(x)"))
    assert kl.mean() < float(bound[0]) < float(numbers["−ELBO"][0])
    assert said["latents in use (variance of μ over 0.01)"] == "2 of 2"


def test_what_an_epoch_reports_are_the_two_parts_of_its_cost(trained):
    model, data = trained
    losses = model.losses(data.test, sg.generator(0))
    cost = next(losses)
    with pytest.raises(StopIteration) as end:
        next(losses)
    report = end.value.value
    kl = operations.gaussian_kl(*model.frozen().encode(data.test)).mean()
    assert report["KL"] == pytest.approx(kl, rel=1e-5)
    assert report["reconstruction"] == pytest.approx(cost.data - kl, rel=1e-5)


def test_the_latents_that_are_drawn_are_those_of_the_held_out_data(trained):
    model, data = trained
    pictures = dict(recipe.draw(model, data, {}, sg.History(), sg.generator(0)))
    others = {"reconstructions", "interpolation", "manifold", "traversals", "editing"}
    assert set(pictures) == {"latents", *others}
    drawn = np.concatenate([c.get_offsets() for c in pictures["latents"].collections])
    mu = model.frozen().encode(data.test)[0]
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(mu, axis=0), rtol=1e-6)


def test_images_without_labels_are_not_edited_towards_a_class(trained):
    model, data = trained
    plain = replace(data, train_labels=None, test_labels=None, classes=())
    assert "editing" not in dict(recipe.draw(model, plain, {}, sg.History(), sg.generator(0)))


def test_an_edited_image_ends_at_the_mean_of_the_other_class_if_it_began_at_that_of_its_own(
    trained,
):
    model, data = trained
    frozen = model.frozen()
    mu = frozen.encode(data.test)[0]
    of_train = frozen.encode(data.train)[0]
    own, other = (of_train[data.train_labels == k].mean(axis=0) for k in (3, 4))
    (first,) = np.nonzero(data.test_labels == 3)
    mu[first[0]] = own
    decoded = []

    def decode(h):
        decoded.append(h)
        return np.zeros((len(h), *data.shape))

    rows = recipe._edited(model, data, decode, mu, sg.generator(0))
    assert [*rows][3] == "3 to 4"
    np.testing.assert_allclose(decoded[3][4], other, rtol=1e-5)  # t = 1
    np.testing.assert_array_equal(rows["3 to 4"][0], data.test[first[0]])


# Settings


def test_the_number_of_levels_is_that_of_known_data_and_asked_for_of_others():
    assert recipe.settings({"likelihood": "levels"}).of_x == 17
    assert recipe.settings({"likelihood": "levels", "data": "mnist"}).of_x == 256
    assert recipe.settings({"likelihood": "levels", "data": "own.npy", "levels": 9}).of_x == 9
    with pytest.raises(ValueError, match="--likelihood levels needs the number of pixel"):
        recipe.settings({"likelihood": "levels", "data": "own.npy"})
    with pytest.raises(ValueError, match="--levels 9 goes with --likelihood levels"):
        recipe.settings({"levels": 9})


@pytest.mark.parametrize("name", ["vae", "iwae"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"network": "convolutional", "hidden": 8, "samples": 3},
        {"likelihood": "levels", "latent": 3},
    ],
)
def test_a_model_shows_the_settings_that_it_was_built_from(name, given):
    data, recipe = Data.named("digits"), RECIPES[name]
    settings = recipe.settings(given)
    model = recipe.build(settings, data, sg.generator(0))
    assert type(model) is recipe.kind
    shown = recipe.shown(model)
    assert shown.pop("pixels") == 64
    assert shown == {key: getattr(settings, key) for key in shown}


def test_the_weight_of_the_kl_rises_to_its_end_and_goes_on_where_it_was():
    settings = recipe.settings({"epochs": 4, "warm_up": 2, "kl_weight": 3.0, "hidden": 4})
    assert [settings.beta(done) for done in range(4)] == [0.0, 1.5, 3.0, 3.0]
    data, rng = Data.named("digits"), sg.generator(0)
    model = recipe.build(settings, data, rng)
    state = Checkpoint(model, recipe.optimizers(model, settings), rng, History())
    seen = [epoch.report["KL weight"] for epoch in recipe.epochs(state, data, settings)]
    assert seen == [0.0, 1.5, 3.0, 3.0]
    later = Checkpoint(model, state.optimizers, rng, History(state.history[:3]))
    (last,) = recipe.epochs(later, data, settings)
    assert last.report["KL weight"] == 3.0


def test_the_importance_weighted_bound_has_no_kl_to_weigh():
    iwae = RECIPES["iwae"]
    for given in ({"kl_weight": 2.0}, {"warm_up": 3}):
        with pytest.raises(ValueError, match="has no KL divergence to weigh"):
            iwae.build(iwae.settings(given), Data.named("digits"), sg.generator(0))


def test_bits_per_pixel_are_those_of_levels():
    data, rng = Data.named("digits"), sg.generator(0)
    settings = recipe.settings({"likelihood": "levels", "hidden": 8})
    model = recipe.build(settings, data, rng)
    said = recipe.judge(model, data, settings, rng)
    nats = float(said["−ELBO"].split()[0])
    bits = float(said["  −ELBO, bits per pixel"].split()[0])
    assert bits == pytest.approx(nats / (64 * np.log(2)), abs=1e-3)
    assert bits > np.log2(17) - 1  # an untrained model: about as many bits as 17 equal levels
