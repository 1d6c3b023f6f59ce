"""What the command line says of a model is what the model says of held-out data."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import datasets, operations
from scratchgen.recipes import RECIPES, Data

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
    assert set(pictures) == {"latents", "reconstructions", "interpolation", "manifold"}
    drawn = np.concatenate([c.get_offsets() for c in pictures["latents"].collections])
    mu = model.frozen().encode(data.test)[0]
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(mu, axis=0), rtol=1e-6)
