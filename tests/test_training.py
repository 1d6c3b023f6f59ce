"""The loop: an iterator over epochs, in which every sample comes once and players move in turn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

import scratchgen as sg
from scratchgen import History, NonFiniteCostError, models, nn, optim, train
from scratchgen import operations as ops
from scratchgen.models import Classifier


def rng(seed=0):
    return sg.generator(seed)


class Mean(nn.Network):
    """One parameter, drawn to the mean of the data; it keeps the batches that it sees."""

    def __init__(self, start=0.0, dtype=np.float64):
        self.theta = sg.Tensor(np.array([start], dtype))
        self.seen = []

    @property
    def players(self):
        return [self.parameters()]

    def default_optimizers(self):
        return [optim.SGD(self.parameters(), lr=0.1)]

    def losses(self, x, rng):
        self.seen.append(x)
        yield ops.squared_error(self.theta, x.reshape(-1, 1)).mean()
        return {"theta": self.theta.data[0]}


class Regression(nn.Network):
    """A line through pairs (x, y)."""

    def __init__(self, rng):
        self.line = nn.Linear(2, 1, rng=rng)
        self.seen = []

    @property
    def players(self):
        return [self.parameters()]

    def losses(self, batch, rng):
        x, y = batch
        self.seen.append((x, y))
        yield ops.squared_error(self.line(x), y.reshape(-1, 1)).mean()


class Game(nn.Network):
    """Two players: ``first`` follows the data, ``second`` follows ``first`` as it then stands."""

    def __init__(self):
        self.first, self.second = Mean(0.0), Mean(10.0)
        self.log = []

    @property
    def players(self):
        return [self.first.parameters(), self.second.parameters()]

    def losses(self, x, rng):
        a, b = self.first.theta, self.second.theta
        self.log.append(("before", float(a.data[0]), float(b.data[0])))
        yield ops.squared_error(a + 0 * b, x.reshape(-1, 1)).mean()
        self.log.append(("between", float(a.data[0]), float(b.data[0])))
        yield ops.square(b - a).sum()
        self.log.append(("after", float(a.data[0]), float(b.data[0])))


class Fragile(nn.Network):
    """Its cost is ``cost(self.weight, x)``: what goes wrong, and where, is for a test to say."""

    def __init__(self, cost, weight=1.0, dtype=np.float64):
        self.weight, self.cost = sg.Tensor(np.array(weight, dtype)), cost

    @property
    def players(self):
        return [self.parameters()]

    def losses(self, x, rng):
        yield self.cost(self.weight, x)


def sgd(model, lr=0.1):
    return [optim.SGD(parameters, lr) for parameters in model.players]


def run(model, data, *, epochs=1, batch_size=2, seed=0, lr=0.1, **settings):
    return list(
        train(
            model, data, sgd(model, lr), epochs=epochs, batch_size=batch_size, rng=rng(seed),
            **settings,
        )
    )  # fmt: skip


DATA = np.arange(1.0, 11.0)


# An iterator


def test_nothing_runs_before_the_first_epoch_is_asked_for():
    model = Mean()
    epochs = train(model, DATA, sgd(model), epochs=3, batch_size=2, rng=rng())
    assert iter(epochs) is epochs
    assert model.seen == []
    next(epochs)
    assert len(model.seen) == 5


def test_break_is_early_stopping():
    model = Mean()
    for epoch in train(model, DATA, sgd(model), epochs=100, batch_size=2, rng=rng()):
        if epoch.number == 3:
            break
    assert len(model.seen) == 3 * 5


def test_the_body_of_the_loop_may_change_the_learning_rate():
    model = Mean()
    (optimizer,) = sgd(model)
    for _ in train(model, DATA, optimizer, epochs=2, batch_size=10, rng=rng()):
        optimizer.lr = 0
        after_one = model.theta.data.copy()
    np.testing.assert_array_equal(model.theta.data, after_one)
    np.testing.assert_allclose(model.theta.data, 0.1 * DATA.mean())


def test_one_optimizer_stands_for_a_list_of_one():
    one, several = Mean(), Mean()
    list(train(one, DATA, sgd(one)[0], epochs=2, batch_size=3, rng=rng()))
    list(train(several, DATA, tuple(sgd(several)), epochs=2, batch_size=3, rng=rng()))
    np.testing.assert_array_equal(one.theta.data, several.theta.data)


def test_no_epochs_are_none():
    model = Mean()
    assert run(model, DATA, epochs=0) == []
    assert model.seen == []


# Batches


@given(st.integers(1, 40), st.integers(1, 50), st.booleans(), st.integers(1, 3))
def test_every_sample_comes_once_in_an_epoch(n, batch_size, drop_last, epochs):
    model, data = Mean(), np.arange(float(n))
    if drop_last and n < batch_size:
        with pytest.raises(ValueError, match=f"{n} samples make no full batch of {batch_size}"):
            run(model, data, batch_size=batch_size, drop_last=True)
        return
    run(model, data, epochs=epochs, batch_size=batch_size, drop_last=drop_last)
    steps = n // batch_size if drop_last else math.ceil(n / batch_size)
    assert len(model.seen) == steps * epochs
    for epoch in range(epochs):
        batches = model.seen[steps * epoch : steps * (epoch + 1)]
        seen = np.concatenate(batches)
        assert [len(batch) for batch in batches[:-1]] == [batch_size] * (steps - 1)
        if drop_last:
            assert len(np.unique(seen)) == len(seen) == steps * batch_size
        else:
            np.testing.assert_array_equal(np.sort(seen), data)


def test_the_order_is_drawn_anew_for_every_epoch():
    model = Mean()
    run(model, np.arange(50.0), epochs=2, batch_size=50)
    first, second = model.seen
    assert not np.array_equal(first, np.arange(50.0))
    assert not np.array_equal(first, second)


def test_every_order_of_three_samples_is_as_likely_as_any_other():
    model, n = Mean(), 3000
    run(model, np.arange(3.0), epochs=n, batch_size=3)
    _, counts = np.unique(np.stack(model.seen), axis=0, return_counts=True)
    assert len(counts) == 6
    assert (np.abs(counts - n / 6) < 5 * math.sqrt(n * (1 / 6) * (5 / 6))).all()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    states, costs = [], []
    for seed in [1, 1, 2]:
        model = sg.models.vae.dense(64, 8, 2, rng(0))
        images = sg.datasets.digits()[0][:100]
        epochs = run(model, images, epochs=2, batch_size=32, seed=seed, lr=1e-3)
        states.append(np.concatenate([p.data.reshape(-1) for p in model.parameters()]))
        costs.append([epoch.values() for epoch in epochs])
    np.testing.assert_array_equal(states[0], states[1])
    assert costs[0] == costs[1]
    assert not np.array_equal(states[0], states[2])


def test_pairs_stay_together():
    model, x = Regression(rng()), rng(1).standard_normal((20, 2)).astype(np.float32)
    labels = np.arange(20)
    run(model, (x, labels), batch_size=6)
    for rows, numbers in model.seen:
        np.testing.assert_array_equal(rows, x[numbers])
    assert sorted(np.concatenate([numbers for _, numbers in model.seen])) == list(range(20))


def test_floating_data_are_cast_to_the_dtype_of_the_parameters_and_integers_are_not():
    model, x = Regression(rng()), rng(1).standard_normal((6, 2))
    run(model, (x, np.arange(6)))
    assert {rows.dtype for rows, _ in model.seen} == {np.dtype(np.float32)}
    assert {numbers.dtype for _, numbers in model.seen} == {np.dtype(np.int64)}
    model.astype(np.float64)
    run(model, (x, np.arange(6)))
    assert model.seen[-1][0].dtype == np.float64


def test_the_data_are_left_alone():
    data = DATA.copy()
    data.setflags(write=False)
    run(Mean(), data, epochs=2)
    np.testing.assert_array_equal(data, DATA)


def test_a_list_of_numbers_is_data():
    model = Mean()
    run(model, [1.0, 2.0, 3.0], batch_size=3)
    np.testing.assert_array_equal(np.sort(model.seen[0]), [1, 2, 3])


def test_progress_sees_each_batch():
    asked, done = [], []

    def progress(batches):
        asked.append(len(batches))
        for batch in batches:
            yield batch
            done.append(batch)

    run(Mean(), DATA, epochs=2, batch_size=4, progress=progress)
    assert asked == [3, 3]
    assert done == [0, 4, 8] * 2


# Players


def test_players_move_in_turn_and_the_second_cost_is_built_after_the_first_moved():
    game = Game()
    run(game, np.array([1.0, 1.0]), epochs=3, lr=0.25)
    a, b = 0.0, 10.0
    for k in range(3):
        assert game.log[3 * k] == ("before", a, b)
        a -= 0.25 * (a - 1)
        assert game.log[3 * k + 1] == ("between", a, b)
        b -= 0.25 * 2 * (b - a)
        assert game.log[3 * k + 2] == ("after", a, pytest.approx(b, rel=1e-15))
        b = game.log[3 * k + 2][2]


@pytest.mark.parametrize("still", [0, 1])
def test_the_step_of_one_player_leaves_the_parameters_of_the_other_alone(still):
    game = Game()
    optimizers = [optim.SGD(p, lr=0.0 if k == still else 0.25) for k, p in enumerate(game.players)]
    before = [p.data.copy() for p in game.players[still]]
    for _ in train(game, DATA, optimizers, epochs=2, batch_size=2, rng=rng()):
        pass
    for p, value in zip(game.players[still], before, strict=True):
        np.testing.assert_array_equal(p.data, value)
    (moved,) = game.players[1 - still]
    assert moved.data != [10.0, 0.0][still]


def test_each_player_has_its_mean_cost():
    game = Game()
    (epoch,) = run(game, np.array([1.0, 1.0]), lr=0.25)
    assert epoch.costs == (0.5, 9.75**2)
    assert epoch.values() == {"cost 0": 0.5, "cost 1": 9.75**2}


# What an epoch leaves


def test_the_cost_is_the_mean_over_all_samples_whatever_the_batches():
    # With a learning rate of 0 every sample is judged alike; the last batch holds one of ten.
    for batch_size in [1, 3, 10]:
        (epoch,) = run(Mean(2.0), DATA, batch_size=batch_size, lr=0.0)
        assert epoch.costs == pytest.approx([(0.5 * (2.0 - DATA) ** 2).mean()], rel=1e-14)


def test_samples_that_were_dropped_do_not_count():
    model = Mean(2.0)
    (epoch,) = run(model, DATA, batch_size=4, lr=0.0, drop_last=True)
    seen = np.concatenate(model.seen)
    assert seen.size == 8
    assert epoch.costs == pytest.approx([(0.5 * (2.0 - seen) ** 2).mean()], rel=1e-14)


def test_the_cost_of_an_epoch_is_that_of_each_batch_before_its_step():
    model = Mean()
    (epoch,) = run(model, DATA, batch_size=5, lr=0.5)
    theta, costs = 0.0, []
    for batch in model.seen:
        costs.append((0.5 * (theta - batch) ** 2).mean())
        theta -= 0.5 * (theta - batch.mean())
    assert epoch.costs == pytest.approx([np.mean(costs)], rel=1e-14)
    assert model.theta.data[0] == pytest.approx(theta, rel=1e-14)


def test_what_a_model_reports_is_averaged_over_the_samples():
    model = Mean()
    (epoch,) = run(model, DATA, batch_size=4, lr=0.5)
    theta, total = 0.0, 0.0
    for batch in model.seen:
        theta -= 0.5 * (theta - batch.mean())
        total += theta * len(batch)
    assert epoch.report == pytest.approx({"theta": total / 10}, rel=1e-14)
    assert epoch.values() == {"cost": epoch.costs[0], **epoch.report}


def test_costs_are_summed_in_double_precision():
    model = Mean(dtype=np.float32)
    data = np.full(3000, 4000.1, np.float32)
    (epoch,) = run(model, data, batch_size=1, lr=0.0)
    expected = 0.5 * np.float64(np.float32(4000.1) * np.float32(4000.1))
    assert epoch.costs == pytest.approx([expected], rel=1e-7)


def test_epochs_are_numbered_from_one_and_timed():
    epochs = run(Mean(), DATA, epochs=3)
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert all(epoch.seconds >= 0 for epoch in epochs)


# The history


def test_training_goes_on_after_the_epochs_of_its_history():
    whole, parts = Mean(), Mean()
    history, source = History(), rng(3)
    list(train(whole, DATA, sgd(whole), epochs=5, batch_size=3, rng=rng(3)))
    for epochs in [2, 2, 5]:
        list(
            train(parts, DATA, sgd(parts), epochs=epochs, batch_size=3, rng=source, history=history)
        )
    assert [epoch.number for epoch in history] == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(parts.theta.data, whole.theta.data)


def test_an_epoch_is_in_the_history_when_it_is_yielded():
    model, history = Mean(), History()
    for epoch in train(model, DATA, sgd(model), epochs=2, batch_size=2, rng=rng(), history=history):
        assert history[-1] is epoch
    assert len(history) == 2


# A batch is the sum of its parts


def whole_and_in_parts(build, data, size, part_size, epochs=3):
    """The costs, reports and weights of a training in one part, and in parts."""
    results = []
    for parts in (None, part_size):
        model = build()
        epochs_done = list(
            train(
                model, data, sgd(model), epochs=epochs, batch_size=size, rng=rng(3), part_size=parts
            )
        )
        weights = [p.data for p in (q for player in model.players for q in player)]
        results.append(([e.costs for e in epochs_done], [e.report for e in epochs_done], weights))
    return results


@pytest.mark.rounding
@given(st.integers(1, 12), st.integers(1, 5))
def test_costs_and_reports_and_weights_are_those_of_the_whole_batch(size, part_size):
    # Costs without random numbers, so that the order of the samples is the same: that of one epoch.
    data = rng(1).standard_normal(11)
    for build in (Mean, Game):
        whole, parts = whole_and_in_parts(build, data, size, part_size, epochs=1)
        np.testing.assert_allclose(parts[0], whole[0], rtol=1e-12)
        for mine, its in zip(parts[1], whole[1], strict=True):
            assert mine == pytest.approx(its, rel=1e-12)
        for mine, its in zip(parts[2], whole[2], strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-15)


class Drawing(Mean):
    """What it sees depends on its generator, which it is given for each part."""

    def losses(self, x, rng):
        self.seen.append(rng)
        noise = rng.standard_normal(x.shape, dtype=x.dtype)
        yield ops.squared_error(self.theta, (x + noise).reshape(-1, 1)).mean()
        return {"theta": self.theta.data[0]}


def test_a_training_in_parts_has_the_same_bits_on_any_number_of_threads():
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            model = Drawing()
            epochs = run(model, DATA, epochs=3, batch_size=7, part_size=2)
            found.append([*(epoch.costs for epoch in epochs), float(model.theta.data[0])])
    assert found[0] == found[1] == found[2]


def test_each_part_of_each_step_draws_numbers_of_its_own():
    model = Drawing()
    run(model, DATA, epochs=3, batch_size=6, part_size=2)
    first = [source.bit_generator.seed_seq.entropy for source in model.seen]
    assert len({tuple(entropy) for entropy in first}) == len(first) == 3 * (4 + 2)


def test_one_part_takes_the_generator_itself():
    model, source = Drawing(), rng()
    list(train(model, DATA, sgd(model), epochs=1, batch_size=5, rng=source, part_size=5))
    assert all(its is source for its in model.seen)


def test_a_model_may_have_a_size_of_parts_of_its_own_and_a_training_another():
    class Sized(Mean):
        part_size = 2

    for settings, most in [({}, 2), ({"part_size": 3}, 3), ({"part_size": 10}, 6)]:
        model = Sized()
        run(model, DATA, batch_size=6, **settings)
        assert max(len(x) for x in model.seen) == most


def test_a_cost_that_is_not_finite_in_one_part_is_named_with_its_operation():
    def cost(weight, x):
        return ops.log(weight * x).mean()

    data = np.array([1.0, 2.0, 3.0, 0.0])
    assert "in the value of log" in failure(Fragile(cost), data, batch_size=4, part_size=1)


def test_parts_where_samples_are_not_independent_are_refused_at_once():
    data = rng().integers(0, 2, (10, 64)).astype(np.float32)
    centred = models.RBM(64, 4, rng=rng(), centred=True)
    with pytest.raises(ValueError, match="RBM keeps mean_visible, mean_hidden from step to step"):
        run(centred, data, batch_size=4, part_size=2)
    run(centred, data, batch_size=4, part_size=4)
    chains = models.RBM(64, 4, rng=rng(), persistent=True, n_chains=1)
    with pytest.raises(ValueError, match="there are 1 of them for 2 parts: take larger parts"):
        run(chains, data, batch_size=4, part_size=2)
    run(chains, data, batch_size=4, part_size=4)
    units = models.RBM(64, 4, rng=rng(), visible="gaussian", sigma=0.5, standardise=True)
    units.start_at(data)
    run(units, data, batch_size=4, part_size=2, lr=1e-4)


@pytest.mark.parametrize("part_size", [0, -1])
def test_a_size_of_parts_below_one_is_refused_at_once(part_size):
    with pytest.raises(
        ValueError, match=f"part_size is a number of samples from 1, got {part_size}"
    ):
        run(Mean(), DATA, part_size=part_size)


# The average of the weights


@pytest.mark.parametrize("model", [Mean, Game])
def test_the_average_takes_up_the_weights_after_each_step(model):
    model = model()
    average = optim.WeightAverage(model.parameters(), 0.5)
    states = [[float(p.data[0]) for p in model.parameters()]]
    for _ in train(model, DATA, sgd(model), epochs=4, batch_size=10, rng=rng(), average=average):
        states.append([float(p.data[0]) for p in model.parameters()])
    expected = np.average(states, axis=0, weights=0.5 ** np.arange(4, -1, -1))
    averaged = [float(p.data[0]) for p in average.of(model).parameters()]
    np.testing.assert_allclose(averaged, expected, rtol=1e-13)


def test_the_average_of_another_model_is_refused_at_once():
    average = optim.WeightAverage(Mean().parameters())
    with pytest.raises(ValueError, match="parameters that this Mean does not have"):
        run(Mean(), DATA, average=average)


# Clipped gradients


@pytest.mark.parametrize("model", [Mean, Game])
def test_a_step_of_descent_is_no_longer_than_rate_times_clip_norm_for_any_player(model):
    most, lr = 0.05, 0.1
    moved = {}
    for clip_norm in (None, most):
        trained = model()
        before = [p.data.copy() for p in trained.parameters()]
        for _ in train(
            trained, DATA, sgd(trained, lr), epochs=1, batch_size=10, rng=rng(), clip_norm=clip_norm
        ):
            pass
        after = [p.data for p in trained.parameters()]
        moved[clip_norm] = [np.linalg.norm(b - a) for a, b in zip(before, after, strict=True)]
    assert max(moved[None]) > 1.01 * lr * most
    np.testing.assert_allclose(moved[most], np.minimum(moved[None], lr * most), rtol=1e-4)


def test_a_clip_norm_above_every_gradient_changes_no_bit():
    plain, clipped = Mean(), Mean()
    run(plain, DATA)
    run(clipped, DATA, clip_norm=1e6)
    for p, q in zip(plain.parameters(), clipped.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize("clip_norm", [0, -1, np.inf, np.nan])
def test_a_clip_norm_that_is_no_length_is_refused_at_once(clip_norm):
    with pytest.raises(ValueError, match="clip_norm is the greatest norm of a gradient"):
        run(Mean(), DATA, clip_norm=clip_norm)


# Costs that are not finite


def failure(model, data=DATA, **settings):
    with np.errstate(all="ignore"), pytest.raises(NonFiniteCostError) as error:
        run(model, data, **settings)
    return str(error.value)


def test_a_nan_names_epoch_step_player_and_the_operation_in_which_it_arose():
    def cost(weight, x):
        return (ops.exp(ops.log(weight - x.max())) * 2).mean()

    message = failure(Fragile(cost, 9.5), np.array([1.0, 2.0, 3.0, 10.0]), batch_size=1, lr=0.0)
    assert message.startswith("epoch 1, step ")
    assert "the cost of player 0 of Fragile is not finite, first in the value of log, " in message
    assert "of shape ()" in message


def test_the_step_is_that_of_the_batch():
    calls = []

    def cost(weight, x):
        calls.append(x)
        return ops.sqrt(weight - 2 * (len(calls) == 8))

    assert failure(Fragile(cost), DATA, epochs=3, batch_size=2, lr=0.0).startswith(
        "epoch 2, step 3: "
    )
    assert len(calls) == 8  # it stops there


def test_an_infinite_cost_stops_as_well():
    message = failure(Fragile(lambda weight, x: 1 / ops.sum(0 * weight + 0 * x[0])))
    assert "first in the value of divide" in message


def test_the_second_player_is_named():
    class Broken(Game):
        def losses(self, x, rng):
            yield ops.square(self.first.theta).sum()
            yield ops.log(self.second.theta - 11).sum()

    message = failure(Broken())
    assert message.startswith("epoch 1, step 1: the cost of player 1 of Broken is not finite")
    assert "first in the value of log" in message


def test_parameters_that_overflowed_are_named():
    class Pair(nn.Network):
        def __init__(self):
            self.calm = sg.Tensor(np.ones(1, np.float32))
            self.body = nn.Sequential(nn.Linear(1, 1, rng=rng()))

        @property
        def players(self):
            return [self.parameters()]

        def losses(self, x, rng):
            y = self.body(x.reshape(-1, 1)) * 1e10 + 0 * self.calm
            yield ops.squared_error(y, y.data * 0).mean()

    message = failure(Pair(), DATA, lr=1e30)
    assert message.startswith("epoch 1, step 2: ")
    assert "since the update before made body.0.weight so; a smaller learning rate" in message


def test_a_gradient_that_is_nan_is_found_at_the_next_cost():
    # √x at 0: the cost is 0, its slope infinite, 0 times it NaN.
    message = failure(Fragile(lambda weight, x: (ops.sqrt(weight - 1) * 0).sum()))
    assert "epoch 1, step 2: " in message
    assert "made weight so" in message


def test_the_parameters_are_those_before_the_step_that_failed():
    model = Fragile(lambda weight, x: ops.log(weight - x.max()))
    before = model.weight.data.copy()
    failure(model)
    np.testing.assert_array_equal(model.weight.data, before)


def test_on_the_device_a_nan_is_found_by_the_end_of_the_epoch(device):
    model = Fragile(lambda weight, x: ops.log(weight - x.max()).sum())
    model.weight.data = sg.to_device(model.weight.data, device)
    epochs = train(model, DATA, sgd(model), epochs=2, batch_size=2, rng=sg.generator(0, device))
    match = "epoch 1, step 1: the cost of player 0 of Fragile"
    with np.errstate(all="ignore"), pytest.raises(NonFiniteCostError, match=match):
        next(epochs)


def test_on_the_device_the_player_whose_cost_failed_is_named_with_its_operation(device):
    class Broken(Game):
        def losses(self, x, rng):
            yield ops.log(self.first.theta - 11).sum()
            yield ops.square(self.second.theta).sum()

    model = Broken()
    for p in model.parameters():
        p.data = sg.to_device(p.data, device)
    epochs = train(model, DATA, sgd(model), epochs=2, batch_size=10, rng=sg.generator(0, device))
    match = "the cost of player 0 of Broken is not finite, first in the value of log"
    with np.errstate(all="ignore"), pytest.raises(NonFiniteCostError, match=match):
        next(epochs)


# Optimizers that search


class Noisy(nn.Network):
    """A line through points that are blurred anew at every call; it reports what was drawn."""

    def __init__(self, rng):
        self.line = nn.Linear(1, 1, rng=rng)

    @property
    def players(self):
        return [self.parameters()]

    def losses(self, x, rng):
        noise = rng.standard_normal(x.shape, dtype=np.float32)
        yield ops.squared_error(self.line(x + noise), 2 * x).mean()
        return {"noise": noise.sum()}


class Stays(optim.Optimizer):
    """It evaluates the cost and goes nowhere."""

    searches = True

    def search(self, evaluate):
        self.evaluations = [evaluate()[0] for _ in range(3)]


NOISY = np.linspace(-1, 1, 12, dtype=np.float32)[:, None]


def test_a_search_meets_the_cost_of_its_step_again_with_the_same_draws(device):
    model = Noisy(sg.generator(0, device))
    stays = Stays(model.parameters(), 1.0)
    for epoch in train(model, NOISY, stays, epochs=3, batch_size=12, rng=sg.generator(1, device)):
        assert stays.evaluations == [epoch.costs[0]] * 3


def test_a_search_takes_no_draws_from_the_generator():
    def drawn(optimizer):
        model, generator = Noisy(rng()), rng(1)
        given = optimizer(model.parameters(), 1.0)
        epochs = train(model, NOISY, given, epochs=3, batch_size=12, rng=generator)
        return [epoch.report["noise"] for epoch in epochs], generator.bit_generator.state

    assert drawn(optim.WolfeLBFGS) == drawn(optim.SGD)


def test_training_with_a_search_goes_on_from_a_checkpoint_bit_for_bit(tmp_path):
    """With dropout, so that each step searches along another draw."""
    images, labels = sg.datasets.digits("test")
    path = tmp_path / "model.safetensors"

    def begun():
        generator = rng()
        network = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8, rng=generator), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(8, 10, rng=generator),
        )  # fmt: skip
        model = Classifier(network)
        return model, [optim.WolfeLBFGS(model.parameters())], generator, History()

    def go_on(state, epochs):
        model, optimizers, generator, history = state
        settings = {"epochs": epochs, "batch_size": len(images), "rng": generator}
        for _ in train(model, (images, labels), optimizers, history=history, **settings):
            sg.save(path, *state)
        return model.state_dict(), [epoch.costs for epoch in history]

    whole = go_on(begun(), 9)
    go_on(begun(), 4)
    resumed = go_on(sg.load(path), 9)
    assert resumed[1] == whole[1]
    for name, value in whole[0].items():
        np.testing.assert_array_equal(resumed[0][name], value)


@pytest.mark.parametrize(
    ("model", "batch_size", "message"),
    [
        (lambda: models.vae.dense(64, 8, 2, rng()), 5, "a batch_size of all 10 samples, got 5"),
        (lambda: models.RBM(64, 4, rng=rng(), persistent=True), 10, "RBM which keeps chains from"),
        (lambda: Game(), 10, "a Game which has several players changes meanwhile: take another"),
    ],
)
def test_a_search_where_there_is_no_one_cost_is_refused_at_once(model, batch_size, message):
    model = model()
    optimizers = [optim.WolfeLBFGS(parameters) for parameters in model.players]
    with pytest.raises(ValueError, match=message):
        train(
            model, np.zeros((10, 1, 8, 8)), optimizers, epochs=1, batch_size=batch_size, rng=rng()
        )


# What is refused, at once


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            np.array([1.0, np.nan, np.inf, 2.0]),
            "2 of the 4 numbers in the data are NaN or infinite",
        ),
        (np.array([]), r"at least one sample, .* got shapes \[\(0,\)\]"),
        ((), "at least one sample"),
        (np.array(1.0), r"got shapes \[\(\)\]"),
        ((np.ones(3), np.ones(4)), r"as many samples each, got shapes \[\(3,\), \(4,\)\]"),
        ((np.ones(3), np.array([1.0, 2.0, np.nan])), "1 of the 3 numbers in the data are NaN"),
    ],
    ids=["NaN", "empty", "no arrays", "a number", "unequal lengths", "NaN in the second"],
)
def test_data_that_cannot_be_trained_on_are_refused_at_once(data, message):
    model = Mean()
    with pytest.raises(ValueError, match=message):
        train(model, data, sgd(model), epochs=1, batch_size=2, rng=rng())
    assert model.seen == []


@pytest.mark.parametrize("data", [np.array(["a", "b"]), np.array([1j, 2]), np.array([None, 1])])
def test_data_that_are_no_numbers_are_refused_at_once(data):
    model = Mean()
    with pytest.raises(TypeError, match="data holds numbers, got"):
        train(model, data, sgd(model), epochs=1, batch_size=1, rng=rng())


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_player_without_an_optimizer_is_refused_at_once(count):
    game = Game()
    optimizers = [optim.SGD(game.parameters(), 0.1)] * count
    with pytest.raises(ValueError, match=f"Game has 2 players .* each, got {count}"):
        train(game, DATA, optimizers, epochs=1, batch_size=2, rng=rng())


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 0), (1, -1), (-1, 2)])
def test_counts_out_of_range_are_refused_at_once(epochs, batch_size):
    model = Mean()
    with pytest.raises(ValueError, match=f"got {epochs} and {batch_size}"):
        train(model, DATA, sgd(model), epochs=epochs, batch_size=batch_size, rng=rng())


def test_drop_last_with_fewer_samples_than_a_batch_is_refused_at_once():
    model = Mean()
    with pytest.raises(ValueError, match="10 samples make no full batch of 11: take a smaller"):
        train(model, DATA, sgd(model), epochs=1, batch_size=11, rng=rng(), drop_last=True)


def test_data_that_the_model_does_not_take_are_refused_at_once():
    class Particular(Mean):
        def validate(self, x):
            raise ValueError("not to my taste")

    model = Particular()
    with pytest.raises(ValueError, match="not to my taste"):
        train(model, DATA, sgd(model), epochs=1, batch_size=2, rng=rng())


@pytest.mark.parametrize("count", [1, 3])
def test_a_model_with_more_or_fewer_costs_than_players_is_told_so(count):
    class Miscounted(Game):
        def losses(self, x, rng):
            for _ in range(count):
                yield (ops.square(self.first.theta) + ops.square(self.second.theta)).sum()

    with pytest.raises(
        ValueError, match=r"losses yield (more costs than it has players|no cost for player 1)"
    ):
        run(Miscounted(), DATA)


def test_a_cost_that_is_no_single_number_is_refused_with_what_to_do():
    model = Fragile(lambda weight, x: ops.square(weight - x))
    with pytest.raises(ValueError, match=r"take its \.mean\(\)"):
        run(model, DATA)


# Data that are no data


def test_samples_and_labels_in_a_list_are_refused_with_the_tuple():
    model = models.vae.dense(4, 3, 2, sg.generator(0))
    for data in ([np.ones((3, 4)), np.arange(3)], [np.ones(4), np.ones(4)]):
        with pytest.raises(ValueError, match=r"list of 2 arrays: .* a tuple, \(x, y\)"):
            sg.fit(model, data, epochs=1, rng=sg.generator(0))


@pytest.mark.parametrize("data", [np.ones((0, 4)), (np.ones((0, 4)), np.ones(0)), []], ids=str)
def test_no_samples_at_all_are_refused_with_a_sentence(data):
    model = models.vae.dense(4, 3, 2, sg.generator(0))
    with pytest.raises(ValueError, match=r"at least one sample, .* got shapes \[\(0,"):
        sg.fit(model, data, epochs=1, rng=sg.generator(0))


@pytest.mark.parametrize("data", [(), 3.0, (np.ones((3, 4)), [[1], [2]])], ids=str)
def test_what_are_no_samples_is_refused_with_its_shapes(data):
    model = models.vae.dense(4, 3, 2, sg.generator(0))
    with pytest.raises(ValueError, match="an array of at least one sample, or a tuple"):
        sg.fit(model, data, epochs=1, rng=sg.generator(0))


def test_fewer_samples_than_a_batch_are_refused_with_the_largest_batch_that_there_is():
    model = models.gan.dense(4, 3, 2, sg.generator(0))
    with pytest.raises(ValueError, match=r"5 samples .* take a smaller batch size, of at most 5"):
        sg.fit(model, np.zeros((5, 4)), epochs=1, batch_size=6, rng=sg.generator(0), drop_last=True)


def test_a_model_that_has_nothing_to_learn_is_refused():
    model = models.Classifier(nn.Flatten())
    optimizer = optim.SGD([sg.Tensor(np.ones(1))], 0.1)
    with pytest.raises(ValueError, match="a player of Classifier has no parameters"):
        sg.fit(
            model,
            (np.ones((3, 4)), np.arange(3)),
            epochs=1,
            rng=sg.generator(0),
            optimizers=optimizer,
        )
