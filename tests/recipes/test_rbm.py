"""What the command line says of an RBM is what the model says of held-out images."""

import csv
import json
import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli
from scratchgen.history import History
from scratchgen.recipes import RECIPES, Data
from scratchgen.recipes.rbm import LOG_P
from scratchgen.storage import Checkpoint

recipe = RECIPES["rbm"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def data():
    return Data.named("digits")


def built(data, /, **more):
    settings = recipe.settings(more)
    return recipe.build(settings, data, sg.generator(0)), settings


def trained(data, /, epochs=3, **more):
    model, settings = built(data, epochs=epochs, **more)
    optimizers = recipe.optimizers(model, settings)
    state = Checkpoint(model, optimizers, sg.generator(0), History())
    for _ in recipe.epochs(state, data, settings):
        pass
    return state, settings


def states(x, seed):
    return (sg.generator(seed).random((len(x), 64), dtype=np.float32) < x.reshape(-1, 64)) * 1.0


def test_the_preset_is_the_notes_model_and_optimizer():
    settings = recipe.LECTURE
    blank = np.zeros((2, 1, 28, 28), np.float32)
    model = recipe.build(settings, Data(blank, None, blank, None), sg.generator(0))
    expected, optimizers = sg.models.rbm.lecture(sg.generator(0))
    assert repr(model) == repr(expected)
    for name, value in expected.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)
    (ours,), (sgd,) = recipe.optimizers(model, settings), optimizers
    assert type(ours) is type(sgd)
    assert ours.construction == sgd.construction
    assert (settings.epochs, settings.batch_size, settings.schedule) == (10, 64, "constant")


def test_the_biases_begin_at_the_data_where_asked(data):
    model, _ = built(data)
    p = (data.train.reshape(-1, 64).sum(axis=0) + 1) / (len(data.train) + 2)
    np.testing.assert_allclose(1 / (1 + np.exp(-model.a.data)), p, rtol=1e-4)
    assert not built(data, start="zeros")[0].a.data.any()


def test_momentum_weight_decay_and_the_rate_reach_the_optimizer(data):
    model, settings = built(data, momentum=0.5, weight_decay=1e-4, lr=0.3)
    (sgd,) = recipe.optimizers(model, settings)
    assert (sgd.momentum, sgd.weight_decay, sgd.lr) == (0.5, 1e-4, 0.3)


def test_the_scores_are_the_gap_of_free_energies_and_the_exact_likelihood_of_small_machines(data):
    state, _ = trained(data, hidden=10)
    scores, F = recipe.score(state.model, data, sg.generator(1)), state.model.frozen().free_energy
    every = len(data.train) // len(data.test)
    seen, held_out = F(data.train[::every]), F(data.test)
    rounding = 32 * 2.0**-23 * np.abs(seen).max()  # of means in float32, added in pairs
    gap = seen.mean() - held_out.mean()
    assert scores["F train − held out"] == pytest.approx(gap, abs=float(rounding))
    expected = state.model.log_likelihood(states(data.test, 1)).mean()
    assert scores[LOG_P] == pytest.approx(expected, abs=1e-6)
    assert LOG_P not in recipe.score(built(data)[0], data, sg.generator(1))


def test_the_judgement_is_what_the_model_says(data):
    state, settings = trained(data, hidden=12)
    said = recipe.judge(state.model, data, settings, sg.generator(0))
    log_z = state.model.log_partition()
    assert said["log Z"] == f"{log_z:.3f}, exact: a sum over 2^12 states"
    log_p = state.model.log_likelihood(states(data.test, 5))
    error = log_p.std() / math.sqrt(len(log_p))
    mean, _, stated, _ = said["−log p(v), given log Z"].split()
    assert float(mean) == pytest.approx(-log_p.mean(), abs=5 * error)
    assert float(stated) == pytest.approx(error, rel=0.1)
    assert float(mean) < float(said["  of independent units"].split()[0])
    pseudo = next(text for name, text in said.items() if "pseudo" in name)
    assert 0 < float(pseudo.split()[0]) < float(mean) + 1
    assert "not the objective" in [*said][-1]


def test_log_z_of_a_large_machine_is_estimated_and_its_error_stated(data, monkeypatch):
    monkeypatch.setattr("scratchgen.recipes.rbm.SUMMED", 2**4)
    state, settings = trained(data, hidden=8)
    said = recipe.judge(state.model, data, settings, sg.generator(0))["log Z"]
    estimate, _, error = said.split(",")[0].split()
    assert abs(float(estimate) - state.model.log_partition()) <= 4 * float(error) + 0.01
    assert "annealed importance sampling of 200 chains" in said


def test_gaussian_units_are_judged_too(data):
    centred = Data(2 * data.train - 1, None, 2 * data.test - 1, None)
    state, settings = trained(centred, hidden=6, visible="gaussian")
    said = recipe.judge(state.model, centred, settings, sg.generator(0))
    seen = state.model.seen(centred.test.reshape(-1, 64))
    expected = -state.model.log_likelihood(seen).mean()
    assert float(said["−log p(v), given log Z"].split()[0]) == pytest.approx(expected, abs=0.006)
    assert not any("pseudo" in name for name in said)


def test_the_pictures_are_filters_chains_and_what_is_and_is_not_in_nats(data):
    state, settings = trained(data, hidden=12)
    pictures = dict(recipe.draw(state.model, data, settings, state.history, sg.generator(0)))
    assert set(pictures) == {
        *("curves", "phases", "reconstruction", "likelihood"),
        *("filters", "reconstructions", "chains", "inpainting"),
    }
    names = [line.get_label() for line in pictures["curves"].lines]
    assert names == ["cost", "F train − held out"]
    assert [line.get_label() for line in pictures["phases"].lines] == ["F(data)", "F(chains)"]
    rows = [text.get_text() for text in pictures["inpainting"].get_yticklabels()]
    assert rows == ["known", "filled", "image"]
    assert pictures["likelihood"].get_ylabel() == "log p(held out), nats"
    steps = [text.get_text() for text in pictures["chains"].get_yticklabels()]
    assert steps == ["step 0", "step 1", "step 10", "step 100", "step 1000"]


def test_a_run_trains_samples_resumes_and_is_evaluated(elsewhere, capsys):
    arguments = ["train", "rbm", "--hidden", "10", "--out", "run", "--decay", "none"]
    assert cli.main([*arguments, "--epochs", "2", "--no-persistent", "--momentum", "0.5"]) == 0
    assert json.loads((elsewhere / "run" / "config.json").read_text())["persistent"] is False
    assert cli.main(["train", "rbm", "--out", "run", "--resume", "--epochs", "3"]) == 0
    with open("run/history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {"cost", "reconstruction (not the objective)", LOG_P} <= rows[0].keys()
    assert cli.main(["sample", "run", "--n", "4", "--out", "four.npy"]) == 0
    assert np.load("four.npy").shape == (4, 1, 8, 8)
    assert cli.main(["evaluate", "run"]) == 0
    assert "exact: a sum over 2^10 states" in capsys.readouterr().out


def test_data_outside_0_to_1_are_refused_with_what_to_take(tmp_path, capsys):
    np.save("grey.npy", np.linspace(-2, 2, 30 * 16).reshape(30, 4, 4))
    assert cli.main(["train", "rbm", "--data", "grey.npy"]) == 2
    assert "visible='gaussian'" in capsys.readouterr().err


def test_samples_of_gaussian_units_are_in_the_range_of_the_data(data):
    state, _ = trained(data, hidden=30, visible="gaussian", epochs=10)
    samples = recipe.samples(state.model, 200, sg.generator(0))
    spread = data.train.reshape(-1, 64).std(axis=0).mean()
    assert np.abs(samples.mean(axis=0) - data.train.reshape(-1, 64).mean(axis=0)).max() < spread
    assert samples.std(axis=0).mean() < 1.5 * spread


@pytest.mark.parametrize(("start", "persistent"), [("data", True), ("zeros", False)])
def test_gaussian_units_know_more_of_digits_than_independent_ones(data, start, persistent):
    settings = {"visible": "gaussian", "start": start, "persistent": persistent}
    state, settings = trained(data, epochs=40, hidden=16, batch_size=20, **settings)
    said = recipe.judge(state.model, data, settings, sg.generator(0))
    ours, independent = (
        float(said[name].split()[0])
        for name in ("−log p(v), given log Z", "  of independent units")
    )
    assert ours < independent - 3


@pytest.mark.parametrize("persistent", [True, False])
def test_gaussian_units_train_at_the_default_rate_with_momentum(data, persistent):
    more = {"visible": "gaussian", "momentum": 0.9, "persistent": persistent}
    state, _ = trained(data, epochs=20, hidden=100, **more)
    costs = state.history.curves()["cost"]
    assert costs[-1] < 0.5 * costs[0]


# Settings beyond those of the notes


def test_every_setting_reaches_the_model(data):
    more = {"scale": 0.5, "centred": True, "temperatures": 3, "l1": 0.1, "l2": 0.2, "chains": 7}
    model, _ = built(data, **more, hidden=5)
    assert (model.scale, model.centred, model.n_temperatures) == (0.5, True, 3)
    assert (model.l1, model.l2, model.n_chains) == (0.1, 0.2, 7)
    model, settings = built(data, visible="gaussian", sigma=0.3, optimizer="adam")
    assert model.sigma == 0.3
    (adam,) = recipe.optimizers(model, settings)
    assert (type(adam), adam.lr) == (sg.optim.Adam, 0.002)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sigma": 0.3}, "--sigma is of Gaussian units: take --visible gaussian, got bernoulli"),
        ({"visible": "spin", "levels": 17}, "--levels is of Gaussian units: .* got spin"),
        ({"persistent": False, "temperatures": 2}, "--temperatures is of persistent chains: .* 2"),
        ({"optimizer": "adam", "momentum": 0.5}, "--momentum is of --optimizer sgd: .* 0.5"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused(more, message):
    with pytest.raises(ValueError, match=message):
        recipe.settings(more)


def test_spins_see_images_as_minus_1_to_1_and_show_them_on_0_to_1(data):
    state, settings = trained(data, visible="spin", hidden=8)
    assert (settings.lr, state.model.centred) == (0.025, True)
    assert not recipe.settings({"visible": "spin", "centred": False}).centred
    assert set(np.unique(recipe.draws(state.model, 20, sg.generator(0)))) == {0, 1}
    samples = recipe.samples(state.model, 20, sg.generator(0))
    assert samples.min() >= 0
    assert samples.max() <= 1
    said = recipe.judge(state.model, data, settings, sg.generator(0))
    mean, independent = (
        float(said[name].split()[0])
        for name in ("−log p(v), given log Z", "  of independent units")
    )
    assert 0 < mean < independent
    assert any("pseudo" in name for name in said)


def test_a_training_with_more_and_more_steps_keeps_those_that_it_was_begun_with(data):
    model, settings = built(data, hidden=4, epochs=5, k=2, k_every=2)
    seen, losses = [], model.losses

    def noted(x, rng):
        seen.append(model.k)
        return losses(x, rng)

    model.losses = noted
    state = Checkpoint(model, recipe.optimizers(model, settings), sg.generator(0), History())
    few = Data(data.train[:50], None, data.test[:20], None)
    for _ in recipe.epochs(state, few, settings):
        assert model.k == 2
    assert seen == [2, 2, 3, 3, 4]


def test_the_defaults_of_learned_sigma_are_those_of_the_gaussian_rbm():
    ours = RECIPES["gaussian-rbm"].settings({})
    assert ours == RECIPES["gaussian-rbm"].DIGITS
    assert recipe.settings({"visible": "gaussian", "sigma": None}) == ours
    assert (ours.sigma, ours.levels, ours.optimizer) == (None, 17, "adam")
    for name, levels in {"mnist": 256, "own.npy": None}.items():
        assert RECIPES["gaussian-rbm"].settings({"data": name}).levels == levels


def test_what_the_notes_do_not_train_has_no_preset():
    with pytest.raises(ValueError, match="take scratchgen train rbm --preset lecture"):
        RECIPES["gaussian-rbm"].settings({"preset": "lecture"})


def test_pixels_that_have_other_values_than_the_levels_are_refused(data):
    with pytest.raises(ValueError, match=r"--levels 9 are values 0, 1/8, … 1, and .* has others"):
        built(data, visible="gaussian", sigma=None, levels=9)


def test_bits_per_dim_are_those_of_the_density_of_what_was_spread_over_the_levels(data):
    # Of independent units: the density of each pixel is a Gaussian of its own, in closed form.
    settings = RECIPES["gaussian-rbm"].settings({"hidden": 4, "epochs": 1})
    model = RECIPES["gaussian-rbm"].build(settings, data, sg.generator(0))
    said = RECIPES["gaussian-rbm"].judge(model, data, settings, sg.generator(0))
    source = np.random.default_rng(0)
    train, test = (
        (np.round(16 * x.reshape(-1, 64)) + source.random((len(x), 64), dtype=np.float32)) / 17
        for x in (data.train, data.test)
    )
    mean, variance = train.mean(axis=0), train.var(axis=0)
    nll = 0.5 * ((test - mean) ** 2 / variance + np.log(2 * np.pi * variance)).sum(axis=1)
    expected = nll.mean() / (64 * math.log(2)) + math.log2(17)
    assert float(said["bits/dim, of independent units"].split()[0]) == pytest.approx(
        expected, abs=0.003
    )


def test_learned_sigma_models_digits_better_than_independent_units(data):
    settings = RECIPES["gaussian-rbm"].settings({"hidden": 16, "epochs": 15})
    model = RECIPES["gaussian-rbm"].build(settings, data, sg.generator(0))
    optimizers = recipe.optimizers(model, settings)
    state = Checkpoint(model, optimizers, sg.generator(0), History())
    for _ in recipe.epochs(state, data, settings):
        pass
    said = recipe.judge(model, data, settings, sg.generator(0))
    assert "exact" in said["log Z"]
    bits, floor = (float(said[f"bits/dim{n}"].split()[0]) for n in ("", ", of independent units"))
    assert bits < floor - 0.2
    assert said["bits/dim"].endswith("log Z ± 0.0000")


@pytest.mark.rounding
def test_a_mixture_comes_closer_to_laplace_sources_than_one_gaussian():
    sources = Data.named("laplace")
    state, settings = trained(sources, 20, data="laplace", visible="gaussian", sigma=None)
    lines = recipe.judge(state.model, sources, settings, sg.generator(0))
    above = float(lines["  above that by"].split()[0])
    # Each source has the entropy 1 + log √2, and one Gaussian of its variance ½ (1 + log 2π).
    of_one_gaussian = math.log(2 * math.pi) - 1 - math.log(2)
    assert above < of_one_gaussian / 2


def test_a_run_of_gaussian_units_is_trained_and_evaluated_without_a_warning(elsewhere, capsys):
    arguments = ["train", "gaussian-rbm", "--hidden", "8", "--epochs", "2", "--out", "run"]
    assert cli.main([*arguments, "--k-every", "1"]) == 0
    assert cli.main(["train", "gaussian-rbm", "--out", "run", "--resume", "--epochs", "3"]) == 0
    assert cli.main(["evaluate", "run"]) == 0
    said = capsys.readouterr()
    assert "bits/dim, of independent units" in said.out
    assert "warning" not in said.err
