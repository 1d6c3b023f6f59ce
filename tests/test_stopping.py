"""Early stopping: when a training is over, and what is kept of it."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn, optim
from scratchgen.history import History
from scratchgen.models import Regressor
from scratchgen.models.feed_forward import dense
from scratchgen.stopping import Patience


def weights(value):
    """A network of one weight, so that each epoch is told by it."""
    line = nn.Linear(1, 1, bias=False, rng=sg.generator(0))
    line.weight.data[...] = value
    return line


def noted(patience, costs):
    """Whether the training was over after each epoch; the weight of epoch k is k."""
    over = []
    for cost in costs:
        patience.note(cost, weights(len(patience.costs) + 1))
        over.append(patience.is_over)
    return over


def test_patience_counts_from_the_first_of_the_lowest_costs():
    patience = Patience(2)
    over = noted(patience, [3.0, 2.0, 2.5, 1.0, 1.0, 1.5])
    assert over == [False, False, False, False, False, True]
    assert patience.best_epoch == 4
    assert patience.best["weight"] == [[4]]


def test_a_patience_of_one_ends_at_the_first_cost_that_is_not_lower():
    assert noted(Patience(1), [3.0, 2.0, 2.0]) == [False, False, True]


def test_what_is_kept_are_the_weights_of_that_epoch_whatever_becomes_of_the_model():
    model, patience = weights(1.0), Patience(3)
    assert patience.note(0.5, model)
    model.weight.data[...] = 7
    assert not patience.note(0.6, model)
    patience.restore(model)
    assert model.weight.data == [[1]]


def test_a_cost_that_is_no_number_is_never_the_lowest_but_the_first():
    patience = Patience(2)
    assert noted(patience, [math.nan, 5.0, math.nan, math.inf]) == [False, False, False, True]
    assert patience.best_epoch == 2


def test_without_an_epoch_nothing_is_restored_and_nothing_is_over():
    model, patience = weights(1.0), Patience(1)
    patience.restore(model)
    assert model.weight.data == [[1]]
    assert not patience.is_over
    assert patience.best_epoch == 0


@pytest.mark.parametrize("done", range(1, 6))
def test_patience_that_goes_on_from_costs_and_weights_ends_as_one_that_never_stopped(done):
    costs = [3.0, 2.0, 2.5, 1.0, 1.5, 1.25, 1.0]
    whole, first = Patience(3), Patience(3)
    over = noted(whole, costs)
    noted(first, costs[:done])
    second = Patience(3, first.costs, first.best)
    assert noted(second, costs[done:]) == over[done:]
    assert second.best_epoch == whole.best_epoch
    np.testing.assert_array_equal(second.best["weight"], whole.best["weight"])


@pytest.mark.parametrize("cut_between_the_files", [False, True])
def test_the_two_files_of_a_run_that_was_cut_lead_to_the_same_weights(
    tmp_path, cut_between_the_files
):
    x = np.linspace(-1, 1, 40)[:, None].astype(np.float32)
    data, held_out = (x, 2 * x[:, 0]), (x, x[:, 0])  # half way is best

    def run(state, patience, cut_in=None):
        model, optimizers, rng, history = state
        for epoch in sg.train(
            model, data, optimizers, epochs=60, batch_size=8, rng=rng, history=history
        ):
            epoch.report["held out"] = float(model.data_cost(*held_out))
            if patience.note(epoch.report["held out"], model):
                sg.save(tmp_path / "best.safetensors", model, history=history)
            if epoch.number == cut_in and cut_between_the_files:
                return
            sg.save(tmp_path / "model.safetensors", *state)
            if epoch.number == cut_in or patience.is_over:
                return

    def begun():
        rng = sg.generator(0)
        model = Regressor(dense((1,), 1, rng, hidden=(8,), activation="tanh"))
        return sg.Checkpoint(model, [optim.Adam(model.parameters(), 2e-3)], rng, History())

    never_cut = Patience(4)
    run(begun(), never_cut)
    assert 3 < never_cut.best_epoch < len(never_cut.costs) < 60
    run(begun(), Patience(4), cut_in=never_cut.best_epoch)
    state, best = sg.load(tmp_path / "model.safetensors"), sg.load(tmp_path / "best.safetensors")
    costs = [epoch.report["held out"] for epoch in state.history]
    again = Patience(4, costs, best.model.state_dict())
    run(state, again)
    assert again.costs == never_cut.costs
    for name, kept in never_cut.best.items():
        np.testing.assert_array_equal(again.best[name], kept)


@pytest.mark.parametrize("epochs", [0, -1, 1.5, 2.0, True, math.nan, math.inf, None, "3"])
def test_patience_is_an_integer_from_one(epochs):
    with pytest.raises(ValueError, match=f"an integer from 1, got {epochs!r}"):
        Patience(epochs)
    assert Patience(np.int64(3)).epochs == 3


def test_costs_without_the_weights_of_the_lowest_are_refused():
    with pytest.raises(ValueError, match="got 2 costs and 0 arrays"):
        Patience(3, [1.0, 2.0])
    with pytest.raises(ValueError, match="got 0 costs and 1 arrays"):
        Patience(3, best={"weight": np.ones(1)})
