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


def built(data, **more):
    settings = recipe.settings(more)
    return recipe.build(settings, data, sg.generator(0)), settings


def trained(data, epochs=3, **more):
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
        *("curves", "reconstruction", "likelihood"),
        *("filters", "reconstructions", "chains"),
    }
    names = [line.get_label() for line in pictures["curves"].lines]
    assert names == ["cost", "F train − held out"]
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
