"""The adversarial network against closed forms, against PyTorch, and on the device."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import metrics, nn, optim
from scratchgen import operations as ops
from scratchgen.backend import device_of
from scratchgen.history import Epoch, History
from scratchgen.models import GAN, gan
from tests import strict


def rng(seed=0):
    return sg.generator(seed)


def smooth(D=5, k=2, hidden=4, seed=0, **settings):
    """A pair of networks without kinks, in float64."""
    source = rng(seed)
    generator = nn.Sequential(
        nn.Linear(k, hidden, rng=source), nn.SiLU(), nn.Linear(hidden, D, rng=source), nn.Tanh()
    )
    discriminator = nn.Sequential(
        nn.Linear(D, hidden, rng=source), nn.Tanh(), nn.Linear(hidden, 1, rng=source)
    )
    return GAN(generator, discriminator, k, **settings).astype(np.float64)


def indifferent(model):
    """The model with a discriminator that answers ½ everywhere."""
    for parameter in model.discriminator.layers[-1].parameters():
        parameter.data[...] = 0
        parameter.changed()
    return model


def data(n=16, D=5, dtype=np.float64, seed=9):
    return (2 * rng(seed).random((n, D)) - 1).astype(dtype)


def moves(model, x, optimizers, source):
    """One step of the loop: every player's cost and move; then what the model reports."""
    losses, costs = model.losses(x, source), []
    for optimizer in optimizers:
        cost = next(losses)
        optimizer.step(sg.gradient(cost, optimizer.parameters))
        costs.append(float(cost.data))
    with pytest.raises(StopIteration) as end:
        next(losses)
    return costs, end.value.value


def state_of(network):
    return {name: value.tobytes() for name, value in network.state_dict().items()}


# The game

generator_costs = pytest.mark.parametrize("generator_cost", [*gan.GENERATOR_COSTS])
of_logits = pytest.mark.parametrize("generator_cost", ["non_saturating", "minimax"])


@pytest.mark.parametrize(
    ("generator_cost", "of_G"), [("non_saturating", math.log(2)), ("minimax", -math.log(2))]
)
def test_where_D_answers_one_half_its_cost_is_2_log_2_and_that_of_G_is_log_2(generator_cost, of_G):
    model = indifferent(smooth(generator_cost=generator_cost))
    np.testing.assert_array_equal(model.discriminate(data()).data, np.full(16, 0.5))
    of_D, of_the_other = model.losses(data(), rng())
    assert float(of_D.data) == pytest.approx(2 * math.log(2), rel=1e-15)
    assert float(of_the_other.data) == pytest.approx(of_G, rel=1e-15)


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_the_costs_are_the_logarithms_of_what_D_answers(real, fake):
    # 1 + e⁻ᵃ is 1/D, and 1 + eᵃ is 1/(1 − D): their own differences from 1 would be lost.
    of_real, of_fake = math.log1p(math.exp(-real)), math.log1p(math.exp(fake))
    cost = gan.discriminator_cost(np.array([real]), np.array([fake]))
    np.testing.assert_allclose(cost, [of_real + of_fake], rtol=1e-12)
    np.testing.assert_allclose(gan.minimax(np.array([fake])), [-of_fake], rtol=1e-12)
    np.testing.assert_allclose(gan.non_saturating(np.array([real])), [of_real], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_costs_and_slopes_are_finite_wherever_D_is_sure(dtype):
    a = np.array([-1e4, -100, 0, 100, 1e4], dtype)
    for cost in (gan.non_saturating, gan.minimax, lambda a: gan.discriminator_cost(a, a)):
        value, slope = sg.value_and_grad(lambda a, cost=cost: cost(a).sum())(a)
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


@given(st.floats(-20, 20))
def test_the_slope_of_the_non_saturating_cost_is_1_minus_D_over_D_times_that_of_minimax(a):
    D = 1 / (1 + math.exp(-a))
    one_minus_D = 1 / (1 + math.exp(a))
    minimax = float(sg.grad(gan.minimax)(a))
    non_saturating = float(sg.grad(gan.non_saturating)(a))
    assert minimax == pytest.approx(-D, rel=1e-12)
    assert non_saturating == pytest.approx(-one_minus_D, rel=1e-12)
    assert non_saturating == pytest.approx(minimax * one_minus_D / D, rel=1e-12)


def test_where_D_is_sure_only_the_non_saturating_cost_still_teaches():
    assert abs(sg.grad(gan.minimax)(-20.0)) < 1e-8
    assert abs(sg.grad(gan.non_saturating)(-20.0)) == pytest.approx(1, abs=1e-8)


# On few outcomes, where expectations are sums: every outcome comes as often as its probability says

REAL, FAKE = np.array([6, 1, 4, 5, 0, 4]), np.array([2, 3, 5, 1, 4, 5])  # of 20 samples


def expected_cost(logits):
    """D's cost over REAL and FAKE, as a function of one logit for each outcome."""
    real = ops.take(logits, np.repeat(np.arange(6), REAL), axis=0)
    fake = ops.take(logits, np.repeat(np.arange(6), FAKE), axis=0)
    return gan.discriminator_cost(real, fake).mean()


def optimal_logits():
    """log D*/(1 − D*) = log p_r/p_g; ±∞ where only one of them is, taken as ±40."""
    with np.errstate(divide="ignore"):
        return np.clip(np.log(REAL / FAKE), -40, 40)


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(-6, 6))
def test_the_integrand_has_the_slope_of_the_notes_in_the_output_of_D(A, B, logit):
    # By the cost of D, as a function of its logit, and the chain rule with dD/da = D (1 − D).
    D = 1 / (1 + math.exp(-logit))
    slope = sg.grad(lambda a: -(A * ops.softplus(-a) + B * ops.softplus(a)))(logit) / (D * (1 - D))
    rounding = 1e-14 * (A / D + B / (1 - D)) / min(D, 1 - D)
    assert float(slope) == pytest.approx(A / D - B / (1 - D), rel=0, abs=rounding)
    assert float(slope) == pytest.approx((A - (A + B) * D) / (D * (1 - D)), rel=0, abs=rounding)


def test_the_best_D_is_p_real_over_the_sum_of_both():
    best = optimal_logits()
    np.testing.assert_allclose(ops.sigmoid(best), REAL / (REAL + FAKE), atol=1e-12)
    np.testing.assert_allclose(sg.grad(expected_cost)(best), 0, atol=1e-15)
    for departure in rng(1).standard_normal((100, 6)):
        assert expected_cost(best + departure) > expected_cost(best)


def test_descent_on_Ds_cost_finds_it():
    both, logits = (REAL > 0) & (FAKE > 0), np.zeros(6)
    for _ in range(5_000):
        logits -= 3 * sg.grad(expected_cost)(logits)
    np.testing.assert_allclose(logits[both], np.log(REAL[both] / FAKE[both]), atol=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_smoothed_labels_shrink_the_best_D_by_their_share(smoothing):
    # D* = (1 − s) p_r/(p_r + p_g), for both kinds of costs.
    best = (1 - smoothing) * REAL / (REAL + FAKE)
    inside = (REAL > 0) & (FAKE > 0)

    def expected(outputs, cost):
        real = ops.take(outputs, np.repeat(np.arange(6), REAL), axis=0)
        fake = ops.take(outputs, np.repeat(np.arange(6), FAKE), axis=0)
        return cost(real, fake, smoothing).mean()

    logits = np.log(np.where(inside, best, 0.5) / np.where(inside, 1 - best, 0.5))
    by_logits = sg.grad(lambda a: expected(a, gan.discriminator_cost))(logits)
    np.testing.assert_allclose(by_logits[inside], 0, atol=1e-15)
    by_squares = sg.grad(lambda a: expected(a, gan.discriminator_by_least_squares))(best)
    np.testing.assert_allclose(by_squares, 0, atol=1e-15)


def test_the_least_squares_of_both_players_are_pearsons_divergence_at_the_best_D():
    # ½ E_r (D* − 1)² + ½ E_g D*² = ½ Σ p_r p_g/(p_r + p_g): ¼ − ⅛ Σ (p_r − p_g)²/(p_r + p_g).
    best, p_r, p_g = REAL / (REAL + FAKE), REAL / 20, FAKE / 20
    real = ops.take(best, np.repeat(np.arange(6), REAL), axis=0)
    fake = ops.take(best, np.repeat(np.arange(6), FAKE), axis=0)
    value = gan.discriminator_by_least_squares(real, fake).mean()
    assert value == pytest.approx(0.25 - ((p_r - p_g) ** 2 / (p_r + p_g)).sum() / 8, rel=1e-14)


def test_the_game_of_least_squares_has_the_output_of_D_for_its_probability():
    model, x = smooth(generator_cost="least_squares", smoothing=0.1), data()
    np.testing.assert_array_equal(model.discriminate(x).data, model.logits(x).data)
    z = rng(3).random((2, 16, 2))
    losses = model.losses(x, rng(), z)
    of_D, of_G = next(losses), next(losses)
    real, fake = (model.logits(part).data for part in (x, model.generate(z[0]).data))
    assert of_D.data == pytest.approx(((real - 0.9) ** 2 + fake**2).mean() / 2, rel=1e-13)
    moved = model.logits(model.generate(z[1]).data).data
    assert of_G.data == pytest.approx(((moved - 1) ** 2).mean() / 2, rel=1e-13)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_a_smoothing_that_is_no_share_is_refused(smoothing):
    with pytest.raises(ValueError, match="smoothing is a share from 0 to below 1"):
        smooth(smoothing=smoothing)


def test_a_spectral_discriminator_is_lipschitz_and_an_unbounded_generator_has_no_tanh():
    model = gan.dense(3, 8, 2, rng(), 0.0, 2, 0.2, bounded=False, spectral=True).astype(np.float64)
    x, y = rng(1).standard_normal((2, 40, 3))
    gap = np.abs(model.logits(x).data - model.logits(y).data)
    assert (gap <= np.linalg.norm(x - y, axis=1) * (1 + 1e-9)).all()
    assert not any(isinstance(layer, nn.Tanh) for layer in model.generator.layers)


def test_against_the_best_D_the_game_is_worth_2_JS_minus_2_log_2():
    divergence = metrics.jensen_shannon(REAL / 20, FAKE / 20)
    value = -expected_cost(optimal_logits())
    assert value == pytest.approx(2 * divergence - 2 * math.log(2), rel=1e-14)


def test_the_minimax_cost_of_G_against_the_best_D_falls_by_its_share_of_2_JS():
    # v(G, D*) less the term of the real samples, in which G has no say.
    best = optimal_logits()
    of_real = -(ops.softplus(-best) * REAL / 20).sum()
    of_G = float((gan.minimax(best) * FAKE / 20).sum())
    divergence = metrics.jensen_shannon(REAL / 20, FAKE / 20)
    assert of_real + of_G == pytest.approx(2 * divergence - 2 * math.log(2), rel=1e-14)


@pytest.mark.parametrize("cost", gan.GENERATOR_COSTS.values())
def test_both_costs_of_G_stand_still_where_its_samples_are_as_the_real_ones(cost):
    # Moving probability from one outcome to another changes nothing where D* is the same for all.
    best = np.log(REAL[:4] / REAL[:4])
    each = cost(best)
    assert (each == each[0]).all()
    # and elsewhere either cost falls where p_g is moved to the outcome that p_r has more of
    elsewhere = cost(np.array([math.log(3), math.log(1 / 3)]))
    assert elsewhere[0] < elsewhere[1]


# The moves


@generator_costs
@pytest.mark.parametrize("d_steps", [1, 3])
def test_the_move_of_one_player_leaves_every_bit_of_the_other(generator_cost, d_steps):
    model = smooth(generator_cost=generator_cost, d_steps=d_steps)
    optimizers = model.default_optimizers()
    losses = model.losses(data(), rng())
    for k, optimizer in enumerate(optimizers):
        before = state_of(model.discriminator), state_of(model.generator)
        cost = next(losses)
        optimizer.step(sg.gradient(cost, optimizer.parameters))
        after = state_of(model.discriminator), state_of(model.generator)
        moved = 0 if k < d_steps else 1
        assert before[moved] != after[moved]
        assert before[1 - moved] == after[1 - moved]


def test_D_takes_what_G_makes_as_data():
    model = smooth()
    cost = next(model.losses(data(), rng()))
    with pytest.raises(ValueError, match="does not depend"):
        sg.gradient(cost, model.generator.parameters())


def test_the_gradient_of_G_goes_through_D_without_that_of_its_weights():
    model = smooth()
    losses = model.losses(data(), rng())
    next(losses)
    cost = next(losses)
    visited = [x for x, _ in sg.backward_sweep(cost, model.generator.parameters())]
    assert not set(model.discriminator.parameters()) & set(visited)
    assert set(model.generator.parameters()) <= set(visited)


def test_the_cost_of_G_is_built_after_D_has_moved():
    model, z = smooth(), rng(3).random((2, 16, 2))
    losses = model.losses(data(), rng(), z)
    D, _ = model.default_optimizers()
    D.step(sg.gradient(next(losses), D.parameters))
    expected = ops.softplus(-model.logits(model.generate(z[1]))).mean()
    assert float(next(losses).data) == pytest.approx(float(expected.data), rel=1e-14)


@of_logits
def test_one_pass_of_D_for_both_kinds_of_samples_is_a_pass_for_each(generator_cost):
    model, x, z = smooth(generator_cost=generator_cost), data(), rng(3).random((2, 16, 2))
    losses = model.losses(x, rng(), z)
    cost = next(losses)
    fakes = model.generate(z[0]).data
    expected = gan.discriminator_cost(model.logits(x), model.logits(fakes)).mean()
    assert float(cost.data) == pytest.approx(float(expected.data), rel=1e-14)
    for together, apart in zip(
        sg.gradient(cost, model.players[0]), sg.gradient(expected, model.players[0]), strict=True
    ):
        np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-15)


def test_dropout_is_independent_from_sample_to_sample_so_that_one_pass_has_the_same_law():
    discriminator = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 1, rng=rng()))
    model = GAN(nn.Linear(2, 4, rng=rng()), discriminator, 2)
    x = np.ones((50_000, 4), np.float32)
    logits = model.logits(np.concatenate([x, x]), rng(1)).data
    first, second = np.split(logits, 2)
    error = first.std() / math.sqrt(len(first))
    assert abs(first.mean() - second.mean()) < 5 * math.sqrt(2) * error
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / math.sqrt(len(first))


@pytest.mark.parametrize("d_steps", [2, 3])
def test_each_move_of_D_is_against_new_samples_of_G(d_steps):
    model, x = smooth(d_steps=d_steps), data()
    z = rng(3).random((d_steps + 1, 16, 2))
    losses = model.losses(x, rng(), z)
    for k in range(d_steps):
        fakes = model.generate(z[k]).data
        expected = gan.discriminator_cost(model.logits(x), model.logits(fakes)).mean()
        assert float(next(losses).data) == pytest.approx(float(expected.data), rel=1e-14)
    expected = ops.softplus(-model.logits(model.generate(z[-1]))).mean()
    assert float(next(losses).data) == pytest.approx(float(expected.data), rel=1e-14)


def test_D_moves_as_often_as_asked_by_one_optimizer():
    model = smooth(d_steps=3)
    D, again, once_more, G = model.default_optimizers()
    assert D is again is once_more
    assert model.player_names == ("D, move 1", "D, move 2", "D", "G")
    (epoch,) = sg.train(model, data(), [D] * 3 + [G], epochs=1, batch_size=8, rng=rng())
    assert (D.steps, G.steps) == (6, 2)
    assert [*epoch.values()] == ["D, move 1", "D, move 2", "D", "G", "D(x)", "D(G(z))"]
    assert epoch.values()["D"] < epoch.values()["D, move 1"]


@generator_costs
@pytest.mark.parametrize("d_steps", [1, 2])
def test_the_gradients_of_both_are_the_slopes_of_their_costs(generator_cost, d_steps):
    model, x = smooth(generator_cost=generator_cost, d_steps=d_steps), data(4)
    step, players = 1e-6, len(model.players)
    for player in range(players):

        def cost(player=player):
            return next(itertools.islice(model.losses(x, rng(3)), player, None))

        own = model.players[player]
        for p, gradient in zip(own, sg.gradient(cost(), own), strict=True):
            slope = np.empty(p.shape)
            for index in np.ndindex(p.shape):
                value = p.data[index]
                p.data[index] = value + step
                above = float(cost().data)
                p.data[index] = value - step
                slope[index] = (above - float(cost().data)) / (2 * step)
                p.data[index] = value
            np.testing.assert_allclose(gradient, slope, rtol=1e-6, atol=1e-9)


# What is reported


def test_the_outputs_of_D_are_reported_without_dropout_before_anything_moves():
    model = gan.dense(5, 8, 2, rng(), dropout=0.9).astype(np.float64)
    x, z = data(32), rng(3).random((2, 32, 2))
    few_real, few_fake = x[:4], model.generate(z[0][:4]).data
    expected = {
        "D(x)": model.discriminate(few_real).data.mean(),
        "D(G(z))": model.discriminate(few_fake).data.mean(),
    }
    losses = model.losses(x, rng(1), z)
    for optimizer in model.default_optimizers():
        optimizer.step(sg.gradient(next(losses), optimizer.parameters))
    with pytest.raises(StopIteration) as end:
        next(losses)
    assert end.value.value == pytest.approx(expected, rel=1e-13)


def test_with_a_generator_of_random_numbers_dropout_acts_and_without_it_does_not():
    model, x = gan.dense(5, 40, 2, rng()), data(8, dtype=np.float32)
    np.testing.assert_array_equal(model.discriminate(x).data, model.discriminate(x).data)
    assert not np.array_equal(model.logits(x, rng(1)).data, model.logits(x, rng(2)).data)
    np.testing.assert_array_equal(model.logits(x, rng(1)).data, model.logits(x, rng(1)).data)


def epochs_with(*outputs):
    return History(
        Epoch(k, (1.0, 1.0), 0.0, {"D(x)": real, "D(G(z))": fake}, ("D", "G"))
        for k, (real, fake) in enumerate(outputs, 1)
    )


def test_the_game_is_at_equilibrium_where_D_has_answered_one_half_for_some_epochs():
    near, far_real, far_fake = (0.52, 0.47), (0.58, 0.49), (0.51, 0.42)
    at = gan.at_equilibrium
    assert at(epochs_with(near, near), tolerance=0.05, epochs=2)
    assert at(epochs_with(far_real, near, near), tolerance=0.05, epochs=2)
    assert not at(epochs_with(near), tolerance=0.05, epochs=2)
    assert not at(epochs_with(near, far_real), tolerance=0.05, epochs=2)
    assert not at(epochs_with(near, far_fake), tolerance=0.05, epochs=2)
    assert not at(epochs_with(near, far_fake, near), tolerance=0.05, epochs=2)
    assert not at(epochs_with(), tolerance=0.05, epochs=2)
    assert not at(epochs_with(near, near), tolerance=0.01, epochs=2)


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"tolerance": -0.1}])
def test_an_equilibrium_of_no_epochs_or_of_a_negative_tolerance_is_refused(settings):
    with pytest.raises(ValueError, match="epochs ≥ 1 and tolerance ≥ 0, got"):
        gan.at_equilibrium(epochs_with((0.5, 0.5)), **settings)


def test_training_ends_by_break_where_D_answers_one_half():
    model = indifferent(smooth())
    history = History()
    optimizers = [optim.SGD(player, 1e-9) for player in model.players]
    for _ in sg.train(
        model, data(), optimizers, epochs=50, batch_size=8, rng=rng(), history=history
    ):
        if gan.at_equilibrium(history, tolerance=0.05, epochs=3):
            break
    assert len(history) == 3


def test_the_log_line_is_that_of_the_notes():
    epoch = Epoch(1, (1.25519, 0.89741), 2.0, {"D(x)": 0.5605, "D(G(z))": 0.43352}, ("D", "G"))
    assert gan.log_line(epoch) == (
        "Epoch 001 | Avg Losses >> G/D 0.8974/1.2552 [D-Real: 0.5605 D-Fake: 0.4335]"
    )


# The noise and the samples


def test_uniform_noise_has_mean_0_and_variance_one_third_on_minus_1_to_1():
    z = GAN(nn.Linear(3, 4, rng=rng()), nn.Linear(4, 1, rng=rng()), 3).sample_noise(100_000, rng(1))
    assert z.shape == (100_000, 3)
    assert z.dtype == np.float32
    assert z.min() >= -1
    assert z.max() < 1
    assert z.min() < -0.999
    assert z.max() > 0.999
    # the fourth moment of U[−1, 1] is 1/5, so that z² has the variance 1/5 − 1/9 = 4/45
    n = len(z)
    assert (np.abs(z.mean(axis=0)) < 5 * math.sqrt(1 / 3 / n)).all()
    assert (np.abs((z.astype(float) ** 2).mean(axis=0) - 1 / 3) < 5 * math.sqrt(4 / 45 / n)).all()


def test_normal_noise_has_mean_0_and_variance_1():
    z = smooth(noise="normal").sample_noise(100_000, rng(1))
    n = len(z)
    assert (np.abs(z.mean(axis=0)) < 5 / math.sqrt(n)).all()
    assert (np.abs((z**2).mean(axis=0) - 1) < 5 * math.sqrt(2 / n)).all()


@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_the_losses_draw_the_noise_of_all_moves_at_once(noise):
    model, x = smooth(noise=noise, d_steps=2), data()
    z = model.sample_noise(3 * len(x), rng(4)).reshape(3, len(x), 2)
    drawn = [float(cost.data) for cost in model.losses(x, rng(4))]
    given_z = [float(cost.data) for cost in model.losses(x, rng(8), z)]
    assert drawn == given_z


@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_samples_are_what_G_makes_of_the_noise(noise):
    model = smooth(noise=noise)
    samples = model.sample(7, rng(3))
    assert type(samples) is np.ndarray  # nothing is recorded
    assert samples.shape == (7, 5)
    assert np.abs(samples).max() < 1
    z = model.sample_noise(7, rng(3))
    np.testing.assert_array_equal(samples, model.generate(z).data)
    np.testing.assert_array_equal(samples, model.sample(7, rng(3)))
    assert not np.array_equal(samples, model.sample(7, rng(4)))


def test_a_frozen_model_samples_as_the_model_does():
    model = gan.dense(6, 5, 2, rng())
    frozen = model.frozen().sample(3, rng())
    np.testing.assert_array_equal(frozen, model.sample(3, rng()))
    assert frozen.dtype == np.float32
    assert model.astype(np.float64).sample(3, rng()).dtype == np.float64


def test_images_are_taken_in_the_shape_that_G_makes():
    model, images = gan.dense(64, 8, 2, rng()), data(6, 64, np.float32).reshape(6, 1, 8, 8)
    model.validate(images)
    flat = [float(c.data) for c in model.losses(images.reshape(6, 64), rng(1))]
    assert [float(c.data) for c in model.losses(images, rng(1))] == flat

    source = rng(2)
    generator = nn.Sequential(nn.Linear(2, 64, rng=source), nn.Tanh(), nn.Reshape(1, 8, 8))
    discriminator = nn.Sequential(
        nn.Conv2d(1, 3, 3, rng=source), nn.LeakyReLU(), nn.Flatten(), nn.Linear(108, 1, rng=source)
    )
    convolutional = GAN(generator, discriminator, 2)
    convolutional.validate(images)
    (epoch,) = sg.train(
        convolutional, images, convolutional.default_optimizers(), epochs=1, batch_size=3, rng=rng()
    )
    assert np.isfinite(epoch.costs).all()
    assert convolutional.sample(2, rng()).shape == (2, 1, 8, 8)


# What is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": "cauchy"}, "noise is 'uniform' or 'normal', got 'cauchy'"),
        ({"generator_cost": "wasserstein"}, r"generator_cost is of \[.*\], got 'wasserstein'"),
        ({"n_latent": 0}, "n_latent and d_steps are at least 1, got 0, 1"),
        ({"d_steps": 0}, "n_latent and d_steps are at least 1, got 2, 0"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(settings, message):
    generator, discriminator = nn.Linear(2, 5, rng=rng()), nn.Linear(5, 1, rng=rng())
    with pytest.raises(ValueError, match=message):
        GAN(**({"generator": generator, "discriminator": discriminator, "n_latent": 2} | settings))


@pytest.mark.parametrize(("low", "high"), [(-1.01, 1), (-1, 1.01), (0, 255)])
def test_data_beyond_the_reach_of_tanh_are_refused_with_what_to_do(low, high):
    x = np.zeros((4, 64))
    x[1, 3], x[2, 5] = low, high
    with pytest.raises(ValueError, match=rf"\[−1, 1\], got data from {low:g} to {high:g}.*2x − 1"):
        gan.dense(64, 10, 2, rng()).validate(x)


def test_data_of_any_range_are_taken_where_the_generator_is_not_bounded():
    GAN(nn.Linear(2, 3, rng=rng()), nn.Linear(3, 1, rng=rng()), 2).validate(
        100 * data(4, 3, np.float32)
    )


def test_bytes_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"floating numbers, got uint8: for bytes, 2 \(x / 255\)"):
        gan.dense(64, 10, 2, rng()).validate(np.zeros((4, 64), np.uint8))


@pytest.mark.parametrize("n_out", [2, 5])
def test_a_discriminator_without_one_logit_per_sample_is_refused(n_out):
    model = GAN(nn.Linear(2, 5, rng=rng()), nn.Linear(5, n_out, rng=rng()), 2)
    with pytest.raises(ValueError, match=rf"the discriminator gives \(1, {n_out}\) for 1 samples"):
        model.validate(data(dtype=np.float32))
    with pytest.raises(ValueError, match="one logit for each"):
        next(model.losses(data(dtype=np.float32), rng()))


def test_samples_of_another_size_than_G_makes_are_refused_before_the_first_step():
    model = gan.dense(64, 10, 2, rng())
    with pytest.raises(ValueError, match=r"samples of shape \(64,\), the real ones are .*\(63,\)"):
        sg.train(
            model,
            np.zeros((4, 63)),
            model.default_optimizers(),
            epochs=1,
            batch_size=2,
            rng=rng(),
        )


def test_a_discriminator_for_other_samples_is_refused():
    model = GAN(nn.Linear(2, 5, rng=rng()), nn.Linear(6, 1, rng=rng()), 2)
    with pytest.raises(ValueError, match="affine takes rows"):
        model.validate(data(dtype=np.float32))


@pytest.mark.parametrize("shape", [(4, 3), (4,), (2, 4, 2)])
def test_noise_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"noise has the shape \(n, 2\), got"):
        smooth().generate(np.zeros(shape))


def test_labels_are_refused_where_there_are_no_classes():
    with pytest.raises(ValueError, match="without classes"):
        smooth().generate(np.zeros((4, 2)), np.zeros(4, int))


def test_images_with_their_labels_are_refused_with_what_to_do():
    model = gan.dense(64, 10, 2, rng())
    with pytest.raises(ValueError, match=r"got 2 arrays: pass the first"):
        sg.train(
            model,
            sg.datasets.digits(),
            model.default_optimizers(),
            epochs=1,
            batch_size=64,
            rng=rng(),
        )


# The notes' recipe


def test_the_lectures_model_is_that_of_the_notes():
    model, optimizers = gan.lecture(rng())
    assert {name: p.shape for name, p in model.named_parameters()} == {
        "generator.0.weight": (100, 20),
        "generator.0.bias": (100,),
        "generator.2.weight": (784, 100),
        "generator.2.bias": (784,),
        "discriminator.0.weight": (100, 784),
        "discriminator.3.weight": (1, 100),
        "discriminator.3.bias": (1,),
    }
    G, D = model.generator.layers, model.discriminator.layers
    assert [type(layer) for layer in G] == [nn.Linear, nn.LeakyReLU, nn.Linear, nn.Tanh]
    assert [type(layer) for layer in D] == [nn.Linear, nn.LeakyReLU, nn.Dropout, nn.Linear]
    assert (G[1].slope, D[1].slope, D[2].p) == (0.01, 0.01, 0.5)
    assert (model.n_latent, model.noise, model.d_steps) == (20, "uniform", 1)
    assert model.generator_cost == "non_saturating"
    assert model.player_names == ("D", "G")
    assert [type(adam) for adam in optimizers] == [optim.Adam, optim.Adam]
    assert [(adam.lr, adam.betas) for adam in optimizers] == [(1e-3, (0.9, 0.999))] * 2
    for adam, network, player in zip(
        optimizers, [model.discriminator, model.generator], model.players, strict=True
    ):
        assert adam.parameters == player == network.parameters()


def test_of_several_hidden_layers_each_has_its_own_dropout():
    # The notes' loop gives all of them one name, under which one is kept (erratum E16).
    model = gan.dense(6, 5, 2, rng(), dropout=0.3, n_layers=3)
    layers = model.discriminator.layers
    assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == [0.3] * 3
    assert [p.shape for p in model.discriminator.parameters()] == [
        (5, 6), (5, 5), (5, 5), (1, 5), (1,),
    ]  # fmt: skip
    assert [p.shape for p in model.generator.parameters()] == [
        (5, 2), (5,), (5, 5), (5,), (5, 5), (5,), (6, 5), (6,),
    ]  # fmt: skip
    model.validate(data(4, 6, np.float32))
    with pytest.raises(ValueError, match="n_layers is at least 1, got 0"):
        gan.dense(6, 5, 2, rng(), n_layers=0)


def lecture_without_dropout(dtype=np.float64):
    model = gan.dense(784, 100, 20, rng(), dropout=0.0).astype(dtype)
    return model, model.default_optimizers()


@pytest.mark.rounding
@of_logits
def test_50_steps_of_the_lectures_training_are_those_of_torch(torch, generator_cost):
    model, optimizers = lecture_without_dropout()
    model.generator_cost = generator_cost
    reference = torch.nn.ModuleDict(
        {
            "generator": torch.nn.Sequential(
                torch.nn.Linear(20, 100),
                torch.nn.LeakyReLU(),
                torch.nn.Linear(100, 784),
                torch.nn.Tanh(),
            ),
            "discriminator": torch.nn.Sequential(
                torch.nn.Linear(784, 100, bias=False),
                torch.nn.LeakyReLU(),
                torch.nn.Dropout(0.0),
                torch.nn.Linear(100, 1),
                torch.nn.Sigmoid(),
            ),
        }
    ).to(torch.float64)
    reference.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})
    G, D = reference["generator"], reference["discriminator"]
    d_adam, g_adam = (torch.optim.Adam(net.parameters(), lr=1e-3) for net in (D, G))
    bce = torch.nn.BCELoss()
    ones, zeros = (torch.full((64, 1), label, dtype=torch.float64) for label in (1.0, 0.0))
    images, choice, noise, same_noise = data(2000, 784), rng(1), rng(2), rng(2)
    costs, expected = [], []
    for _ in range(50):
        x = images[choice.integers(len(images), size=64)]
        losses, reported = moves(model, x, optimizers, noise)
        costs.append(losses)
        assert 0 < reported["D(x)"] < 1

        z = torch.from_numpy(2 * same_noise.random((2, 64, 20)) - 1)
        d_adam.zero_grad()
        d_cost = bce(D(torch.from_numpy(x)), ones) + bce(D(G(z[0]).detach()), zeros)
        d_cost.backward()
        d_adam.step()
        g_adam.zero_grad()
        answers = D(G(z[1]))
        g_cost = bce(answers, ones) if generator_cost == "non_saturating" else -bce(answers, zeros)
        g_cost.backward()
        g_adam.step()
        expected.append([d_cost.item(), g_cost.item()])
    np.testing.assert_allclose(costs, expected, rtol=1e-9)
    state = model.state_dict()
    assert [*state] == [*reference.state_dict()]
    for name, value in reference.state_dict().items():
        distance = np.abs(state[name] - value.numpy()).max() / np.abs(value.numpy()).max()
        assert distance < 1e-8, name


# Checkpoints


@generator_costs
@pytest.mark.parametrize(("noise", "d_steps"), [("uniform", 1), ("normal", 3)])
def test_training_goes_on_from_a_checkpoint_to_the_same_bits(
    tmp_path, generator_cost, noise, d_steps
):
    images = data(100, 64, np.float32)

    def begun():
        networks = gan.dense(64, 10, 3, source := rng())
        model = GAN(networks.generator, networks.discriminator, 3, noise, generator_cost, d_steps)
        return model, model.adam(2e-4, 0.5), source, History()

    def train(model, optimizers, source, history, epochs):
        for _ in sg.train(
            model, images, optimizers, epochs=epochs, batch_size=32, rng=source, history=history
        ):
            pass

    whole, parts = begun(), begun()
    train(*whole, epochs=4)
    train(*parts, epochs=2)
    sg.save(tmp_path / "gan.safetensors", *parts)
    resumed = sg.load(tmp_path / "gan.safetensors")
    assert (resumed.model.noise, resumed.model.generator_cost) == (noise, generator_cost)
    assert len(set(resumed.optimizers)) == 2
    train(*resumed, epochs=4)
    assert state_of(resumed.model) == state_of(whole[0])
    assert [epoch.values() for epoch in resumed.history] == [epoch.values() for epoch in whole[3]]


# Training, on the host and on the device


@pytest.mark.rounding
def test_training_brings_the_samples_towards_the_digits():
    images = 2 * sg.datasets.digits("train")[0].reshape(-1, 64) - 1
    model = gan.dense(64, 128, 20, rng())

    def distance():
        return metrics.mmd2_unbiased(model.sample(500, rng(2)), images[:500])

    before = distance()
    for _ in sg.train(model, images, model.adam(1e-3, 0.5), epochs=60, batch_size=64, rng=rng(3)):
        pass
    assert distance() < before / 10


@pytest.mark.long
@generator_costs
@pytest.mark.parametrize("d_steps", [1, 2])
def test_the_check_of_networks_finds_every_gradient_of_the_game_right(generator_cost, d_steps):
    report = sg.check_network(smooth(generator_cost=generator_cost, d_steps=d_steps), data(6))
    assert report.ok, str(report)


@generator_costs
def test_a_step_on_the_device_is_that_of_the_host_without_a_transfer(device, generator_cost):
    images, z = data(16, 64), rng(1).random((2, 16, 3))
    host, other = (
        gan.dense(64, 10, 3, sg.generator(0, where), dropout=0.0).astype(np.float64)
        for where in ("cpu", device)
    )
    other.load_state_dict(host.state_dict())
    host.generator_cost = other.generator_cost = generator_cost
    before = strict.transfers
    for model, x, noise, source in [
        (host, images, z, rng()),
        (other, sg.to_device(images, device), sg.to_device(z, device), sg.generator(0, device)),
    ]:
        optimizers = model.default_optimizers()
        for _ in range(2):
            losses = model.losses(x, source, noise)
            for optimizer in optimizers:
                optimizer.step(sg.gradient(next(losses), optimizer.parameters))
            assert next(losses, None) is None
    assert strict.transfers == before
    for name, value in other.state_dict().items():
        assert device_of(value) == device
        np.testing.assert_allclose(sg.to_host(value), host.state_dict()[name], atol=1e-9)


@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_losses_and_samples_of_the_device_stay_there(device, noise):
    source = sg.generator(0, device)
    networks = gan.dense(64, 10, 3, source)
    model = GAN(networks.generator, networks.discriminator, 3, noise)
    x, before = sg.to_device(data(16, 64, np.float32), device), strict.transfers
    losses = model.losses(x, source)
    arrays = [next(losses).data, next(losses).data]
    with pytest.raises(StopIteration) as end:
        next(losses)
    arrays += [*end.value.value.values(), model.sample(3, source), model.discriminate(x).data]
    assert strict.transfers == before
    assert {device_of(a) for a in arrays} == {device}
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


@pytest.mark.rounding
def test_training_on_the_device_is_that_of_the_host(monkeypatch):
    strict.install(monkeypatch)
    images, states = data(100, 64), {}
    for where in ["cpu", "cuda"]:
        source = sg.generator(0, where)
        model = gan.dense(64, 10, 3, source).astype(np.float64)
        for _ in sg.train(
            model, images, model.default_optimizers(), epochs=2, batch_size=32, rng=source
        ):
            pass
        states[where] = {k: sg.to_host(v) for k, v in model.state_dict().items()}
    for name, value in states["cpu"].items():
        np.testing.assert_allclose(states["cuda"][name], value, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_the_lectures_training_on_mnist_ends_with_D_near_one_half(published, monkeypatch):
    monkeypatch.setenv("SCRATCHGEN_DATA", str(next(iter(published.values())).parent))
    generator = rng()
    model, optimizers = gan.lecture(generator)
    images, _ = sg.datasets.mnist("train")
    for epoch in sg.train(
        model, 2 * images - 1, optimizers, epochs=100, batch_size=64, rng=generator, drop_last=True
    ):
        last = epoch
    assert 0.5 <= last.report["D(x)"] <= 0.6
    assert 0.4 <= last.report["D(G(z))"] <= 0.5


class Custom(nn.Network):
    def __init__(self, last):
        self.layer, self.last = nn.Linear(4, 1, rng=sg.generator(0)), last

    def __call__(self, x, rng=None):
        return self.last(self.layer(x)).reshape(len(x))


@pytest.mark.parametrize(
    ("last", "said"),
    [(ops.sigmoid, "sigmoid"), (ops.tanh, "tanh"), (lambda z: 1 / (1 + np.exp(-z)), "divide")],
    ids=["sigmoid", "tanh", "by hand"],
)
def test_a_discriminator_that_gives_probabilities_is_refused_before_the_first_step(last, said):
    G = nn.Sequential(nn.Linear(2, 4, rng=sg.generator(0)), nn.Tanh())  # a range of its own
    model = GAN(G, Custom(last), 2)
    with pytest.raises(ValueError, match=rf"the discriminator ends in {said}, .* GAN applies σ"):
        sg.fit(model, np.zeros((8, 4)), epochs=1, rng=sg.generator(0))
    GAN(G, Custom(lambda z: z), 2).validate(np.zeros((8, 4), np.float32))
