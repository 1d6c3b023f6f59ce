"""Models of classes: what a label does to each, guidance, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.backend import device_of
from scratchgen.models import (
    DDPM,
    GAN,
    VAE,
    DenseDenoiser,
    LabelledDenoiser,
    PlainDenoiser,
    UNet,
    WithLabel,
    conditions,
    gan,
    vae,
)
from tests import strict

K = 3


def rng(seed=0, device="cpu"):
    return sg.generator(seed, device)


def data(n=12, size=4, seed=1):
    x = rng(seed).random((n, size)).astype(np.float32)
    return 2 * x - 1, rng(seed + 1).integers(0, K, n)


def a_gan(seed=0, device="cpu"):
    return gan.dense(4, 6, 2, rng(seed, device), 0.5, 2, n_classes=K)


def a_vae(seed=0, device="cpu"):
    return vae.dense(4, 6, 2, rng(seed, device), "gaussian", n_classes=K)


def a_ddpm(seed=0, device="cpu"):
    network = DenseDenoiser(4, (6, 6), rng=rng(seed, device))
    labelled = LabelledDenoiser(network, K, rng=rng(seed + 1, device))
    return DDPM(labelled, (4,), 10, "cosine", n_classes=K, label_dropout=0.3)


models = pytest.mark.parametrize("build", [a_gan, a_vae, a_ddpm])


# Labels


@given(st.lists(st.integers(0, K - 1), min_size=1), st.permutations(range(K)))
def test_permuting_the_labels_permutes_the_columns_of_one_hot_rows(labels, order):
    labels, order = np.array(labels), np.array(order)
    rows = conditions.one_hot(labels, K, np.zeros(0, np.float32))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows.sum(axis=1), 1)
    np.testing.assert_array_equal(rows.argmax(axis=1), labels)
    permuted = conditions.one_hot(order[labels], K, rows)
    np.testing.assert_array_equal(permuted[:, order], rows)


def test_the_names_of_classes_are_arbitrary():
    """With permuted labels, and their weights permuted alike, every output is the same."""
    model, z, order = a_gan().astype(np.float64), rng(3).random((5, 2)), np.array([2, 0, 1])
    labels = np.array([0, 1, 2, 2, 0])
    expected = model.generate(z, labels).data
    weight = model.generator.layers[0].weight.data
    weight[:, 2:][:, order] = weight[:, 2:].copy()
    np.testing.assert_allclose(model.generate(z, order[labels]).data, expected, rtol=1e-12)


@given(st.integers(1, 40), st.integers(1, 7))
def test_classes_in_turn_come_equally_often(n, k):
    (labels,) = conditions.evenly(n, k)
    counts = np.bincount(labels, minlength=k)
    assert counts.sum() == n
    assert np.ptp(counts) <= 1


def test_the_share_of_labels_that_are_dropped_is_the_one_asked_for():
    labels = np.zeros(10_000, int)
    for share in (0.0, 0.15, 1.0):
        dropped = (conditions.dropped(labels, share, K, rng()) == K).mean()
        assert dropped == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / 10_000))


BAD = {
    "range": (np.array([0, 4]), ValueError, "one integer from 0 to 2 for each sample, got 0 to 4"),
    "negative": (np.array([0, -1]), ValueError, "got -1 to 0"),
    "names": (np.array(["owl", "cat"]), TypeError, r"np\.unique\(labels, return_inverse=True\)"),
    "floats": (np.array([0.0, 1.0]), TypeError, r"got float64: take labels\.astype\(int\)"),
    "length": (np.array([0, 1, 2]), ValueError, r"got shape \(3,\) for 2 samples$"),
    "one-hot": (np.eye(3, dtype=int)[:2], ValueError, r"take labels\.argmax\(axis=1\)"),
}


@models
@pytest.mark.parametrize("case", BAD)
def test_labels_that_do_not_fit_are_refused_before_anything_is_drawn(build, case):
    labels, error, message = BAD[case]
    source = rng()
    with pytest.raises(error, match=message):
        build().sample(2, source, labels=labels)
    assert source.random() == rng().random()


@models
@pytest.mark.parametrize("case", ["range", "negative", "floats", "one-hot"])
def test_a_training_with_labels_that_do_not_fit_ends_before_its_first_step(build, case):
    labels, error, message = BAD[case]
    model = build()
    before, x = model.state_dict(), data(2)[0]
    message = message if case != "floats" else "got float32"
    with pytest.raises(error, match=message):
        sg.train(model, (x, labels), model.default_optimizers(), epochs=1, batch_size=2, rng=rng())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@models
def test_names_missing_labels_and_labels_too_few_are_refused_before_a_training(build):
    model, (x, labels) = build(), data()
    optimizers = model.default_optimizers()
    for given_data, error, message in [
        (x, ValueError, "trained on samples and labels, .x, labels., got one array"),
        ((x, labels, labels), ValueError, "got 3 arrays"),
        ((x, labels[1:]), ValueError, "as many samples each"),
        ((x, labels.astype(str)), TypeError, "names become np.unique"),
    ]:
        with pytest.raises(error, match=message):
            sg.train(model, given_data, optimizers, epochs=1, batch_size=4, rng=rng())


def test_labels_are_refused_by_models_without_classes_and_missed_by_those_with():
    plain = [gan.dense(4, 6, 2, rng()), vae.dense(4, 6, 2, rng()), DDPM(lambda x, t: x, (4,))]
    for model in plain:
        with pytest.raises(ValueError, match="built without classes: leave labels out"):
            model.sample(2, rng(), labels=np.array([0, 1]))
    for model in (a_gan(), a_vae()):
        with pytest.raises(ValueError, match="has 3 classes: give labels"):
            model.sample(2, rng())
    with pytest.raises(ValueError, match="give labels"):
        a_vae().elbo(data()[0], rng=rng())
    with pytest.raises(ValueError, match="from 1, or None, got 0"):
        DDPM(lambda x, t, c: x, (4,), n_classes=0)


def test_networks_that_take_no_label_are_refused_with_the_one_that_joins_both():
    G, D = (nn.Sequential(nn.Linear(2, n, rng=rng())) for n in (2, 1))
    for build in (GAN, VAE):
        with pytest.raises(TypeError, match=r"Sequential takes \(x, rng\): .*WithLabel\(network\)"):
            build(G, D, 2, n_classes=K)
    with pytest.raises(TypeError, match="it knows no label"):
        DDPM(lambda x, t: x, (2,), n_classes=K)
    with pytest.raises(ValueError, match=r"take LabelledDenoiser\(network, n_classes, rng=rng\)"):
        DDPM(UNet(1, 8, rng=rng()), (1, 8, 8), n_classes=K).sample(2, rng())


class Own(nn.Network):
    """A network of x and one-hot labels that takes no rng."""

    def __init__(self, n_in, n_out, *, rng):
        self.of_x, self.of_c = nn.Linear(n_in, n_out, rng=rng), nn.Linear(K, n_out, rng=rng)

    def __call__(self, x, c):
        return self.of_x(x) + self.of_c(c)


def test_networks_of_ones_own_get_one_hot_labels_beside_their_input():
    model = GAN(Own(2, 4, rng=rng()), Own(4, 1, rng=rng(1)), 2, n_classes=K)
    labels = np.array([2, 0])
    z = rng(2).random((2, 2)).astype(np.float32)
    G = model.generator
    expected = (G.of_x(z) + G.of_c(np.eye(K, dtype=np.float32)[labels])).data
    np.testing.assert_array_equal(model.generate(z, labels).data, expected)
    x, c = data()
    for _ in sg.train(model, (x, c), model.default_optimizers(), epochs=1, batch_size=4, rng=rng()):
        pass
    one_for_all = model.sample(4, rng(), labels=1)
    np.testing.assert_array_equal(one_for_all, model.sample(4, rng(), labels=[1, 1, 1, 1]))


# Costs with labels


def test_the_costs_of_a_conditional_game_are_those_of_rows_with_their_labels():
    model = gan.dense(4, 6, 2, rng(), dropout=0.0, n_classes=K).astype(np.float64)
    (x, labels), z = data(), rng(5).random((2, 12, 2))
    c = np.eye(K)[labels]
    G, D = model.generator.network, model.discriminator.network
    real = D(np.concatenate([x, c], axis=1))[:, 0]
    fakes = [G(np.concatenate([of_step, c], axis=1)).data for of_step in z]
    logits = [D(np.concatenate([fake, c], axis=1))[:, 0].data for fake in fakes]
    of_D, of_G = model.losses((x, labels), rng(), z)
    softplus = lambda a: np.logaddexp(0, a)
    assert float(of_D.data) == pytest.approx((softplus(-real.data) + softplus(logits[0])).mean())
    assert float(of_G.data) == pytest.approx(softplus(-logits[1]).mean())


def test_the_bound_of_a_conditional_autoencoder_is_that_of_rows_with_their_labels():
    model, (x, labels) = a_vae().astype(np.float64), data()
    c, eps = np.eye(K)[labels], rng(7).standard_normal((12, 2))
    out = model.encoder.network(np.concatenate([x, c], axis=1)).data
    mu, log_var = out[:, :2], out[:, 2:]
    h = mu + np.exp(log_var / 2) * eps
    out = model.decoder.network(np.concatenate([h, c], axis=1)).data
    nll = ops.gaussian_nll(out[:, :4], out[:, 4:], x)
    expected = -nll - ops.gaussian_kl(mu, log_var)
    given_labels = model.conditioned_on(labels)
    np.testing.assert_allclose(given_labels.elbo(x, eps).data, expected, rtol=1e-6)
    (cost,) = model.losses((x, labels), rng(3))
    again = -given_labels.elbo(x, rng=rng(3)).data.mean()
    assert float(cost.data) == pytest.approx(again, rel=1e-12)


def test_the_cost_of_a_conditional_ddpm_is_that_of_the_labels_that_are_left():
    model, (x, labels) = a_ddpm().astype(np.float64), data()
    source = rng(3)
    t, noise = source.integers(0, 10, 12), source.standard_normal(x.shape, dtype=x.dtype)
    left = np.where(source.random(12) < 0.3, K, labels)
    assert (left == K).any()
    (cost,) = model.losses((x, labels), rng(3))
    out = model.network(model.q_sample(x, t, noise), (t / 10).astype(np.float32), left)
    assert float(cost.data) == pytest.approx(((out.data - noise) ** 2).mean(), rel=1e-6)


# The conditional discriminator


class LogRatio(nn.Network):
    """log p_r(x|c)/p_g(x|c) of normal densities with the means ``real[c]`` and ``fake[c]``."""

    def __init__(self, real, fake):
        self.real, self.fake = real, fake

    def __call__(self, x, c, rng=None):
        squares = [0.5 * (x - (c @ m)[:, None]) ** 2 for m in (self.real, self.fake)]
        return squares[1] - squares[0]


def test_the_best_discriminator_of_each_class_has_the_value_2_JS_minus_2_log_2_averaged():
    real, fake = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 0.0, -1.0])
    model = GAN(Own(2, 1, rng=rng()), LogRatio(real, fake), 2, n_classes=K)
    x, dx = np.linspace(-12, 12, 4001, retstep=True)
    values, js = [], []
    for c in range(K):
        p, q = (np.exp(-0.5 * (x - m[c]) ** 2) / np.sqrt(2 * np.pi) for m in (real, fake))
        D = model.discriminate(x[:, None], np.full(len(x), c))
        np.testing.assert_allclose(D, p / (p + q), rtol=1e-9)
        cost = gan.discriminator_cost(*[model.logits(x[:, None], None, np.full(len(x), c))] * 2)
        assert cost.shape == x.shape
        a = model.logits(x[:, None], None, np.full(len(x), c))
        values.append(-(p * np.logaddexp(0, -a) + q * np.logaddexp(0, a)).sum() * dx)
        m = 0.5 * (p + q)
        js.append(0.5 * (p * np.log(p / m) + q * np.log(q / m)).sum() * dx)
        for worse in (a + 0.1, 0.9 * a + 0.05):  # every other logit has a lower value
            other = -(p * np.logaddexp(0, -worse) + q * np.logaddexp(0, worse)).sum() * dx
            assert other < values[-1]
    assert np.mean(values) == pytest.approx(2 * np.mean(js) - 2 * np.log(2), abs=1e-9)


# Guidance

MEANS, S = np.array([-2.0, 0.5, 1.5]), 0.3


def parts_of(model, x, t):
    """log of the noised density of each class at x, and the derivative of the log, (n, K)."""
    share = model.alpha_bar[t]
    variance = share * S**2 + 1 - share
    off = x - np.sqrt(share) * MEANS
    return -0.5 * off**2 / variance - 0.5 * np.log(variance), -off / variance


def exact(model_of, x, time, labels):
    """The best prediction of noise, for a class or, where the label is K, for all of them."""
    model = model_of()
    t = round(float(time[0]) * model.T)
    log_p, score = parts_of(model, x, t)
    posterior = np.exp(log_p - ops.logsumexp(log_p, axis=1)[:, None])
    each = np.concatenate([score, (posterior * score).sum(axis=1, keepdims=True)], axis=1)
    chosen = each[np.arange(len(x)), labels]
    return -np.sqrt(1 - model.alpha_bar[t]) * chosen[:, None]


def of_gaussians(T=40, **more):
    model = DDPM(
        lambda x, time, labels: exact(lambda: model, x, time, labels),
        (1,),
        T,
        "cosine",
        n_classes=K,
        **more,
    )
    return model


@pytest.mark.parametrize("t", [0, 13, 39])
def test_guided_noise_is_the_score_of_the_noised_densities_to_the_powers_1_plus_w_and_minus_w(t):
    model, x = of_gaussians(), np.linspace(-4, 4, 41)[:, None]

    def log_density(x, c, w):
        log_p, _ = parts_of(model, x, t)
        return (1 + w) * log_p[:, c] - w * ops.logsumexp(log_p - np.log(K), axis=1)

    for c in range(K):
        for w in (-1.0, 0.0, 0.5, 4.0):
            _, eps = model.conditioned_on(np.full(41, c), w).predict(x, t)
            slope = (log_density(x + 1e-5, c, w) - log_density(x - 1e-5, c, w)) / 2e-5
            expected = -np.sqrt(1 - model.alpha_bar[t]) * slope
            np.testing.assert_allclose(eps[:, 0], expected, rtol=1e-6, atol=1e-6)


def test_guidance_does_not_sample_the_tilted_density_as_its_noised_form_has_another_score():
    model, t, w, c = of_gaussians(), 20, 2.0, 1
    x0 = np.linspace(-4, 4, 2001)
    clean = -0.5 * (x0[:, None] - MEANS) ** 2 / S**2
    tilted = np.exp((1 + w) * clean[:, c] - w * ops.logsumexp(clean, axis=1))
    share = model.alpha_bar[t]
    x = np.linspace(-1.5, 1.5, 7)[:, None]
    kernel = np.exp(-0.5 * (x - np.sqrt(share) * x0) ** 2 / (1 - share)) * tilted
    mean = (kernel * x0).sum(axis=1) / kernel.sum(axis=1)
    noised = (x[:, 0] - np.sqrt(share) * mean) / np.sqrt(1 - share)
    _, eps = model.conditioned_on(np.full(7, c), w).predict(x, t)
    assert np.abs(eps[:, 0] - noised).max() > 0.2
    _, eps = model.conditioned_on(np.full(7, c), 0.0).predict(x, t)
    plain = np.exp(clean[:, c]) * np.exp(-0.5 * (x - np.sqrt(share) * x0) ** 2 / (1 - share))
    mean = (plain * x0).sum(axis=1) / plain.sum(axis=1)
    noised = (x[:, 0] - np.sqrt(share) * mean) / np.sqrt(1 - share)
    np.testing.assert_allclose(eps[:, 0], noised, rtol=1e-6)


def test_w_0_is_the_conditional_model_and_w_minus_1_the_unconditional_one_in_every_bit():
    model, labels = a_ddpm(), np.array([0, 2, 1, 1])
    conditional = model.sample(4, rng(), labels=labels)
    assert (conditional == model.sample(4, rng(), labels=labels, guidance=0.0)).all()
    unconditional = model.sample(4, rng())
    assert (unconditional == model.sample(4, rng(), labels=labels, guidance=-1.0)).all()
    assert (unconditional == model.conditioned_on().sample(4, rng())).all()
    none = model.conditioned_on(np.full(4, K))
    noise = rng(1).standard_normal((4, 4), dtype=np.float32)
    for ours, theirs in zip(none.denoise(noise, rng()), model.denoise(noise, rng()), strict=True):
        np.testing.assert_array_equal(ours[1], theirs[1])
    assert not np.allclose(conditional, unconditional)


def test_guiding_the_velocity_is_guiding_the_noise():
    noise, x, labels = of_gaussians(), np.linspace(-3, 3, 9)[:, None], np.arange(9) % K

    def velocity(x, time, labels):
        t = round(float(time[0]) * noise.T)
        share = noise.alpha_bar[t]
        eps = exact(lambda: noise, x, time, labels)
        return (eps - np.sqrt(1 - share) * x) / np.sqrt(share)

    model = DDPM(velocity, (1,), 40, "cosine", predicts="velocity", n_classes=K)
    for t in (0, 20, 38):
        for ours, theirs in zip(
            model.conditioned_on(labels, 1.5).predict(x, t),
            noise.conditioned_on(labels, 1.5).predict(x, t),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)


def test_the_exact_conditional_noise_makes_the_chain_sample_each_class():
    model, n = of_gaussians(T=200, variance="posterior"), 2000
    labels = np.arange(3 * n) % K
    noise = rng().standard_normal((3 * n, 1))
    for _, x in model.conditioned_on(labels).denoise(noise, rng(1)):
        samples = x[:, 0]
    for c in range(K):
        of_class = samples[labels == c]
        assert of_class.mean() == pytest.approx(MEANS[c], abs=5 * S / np.sqrt(n))
        assert of_class.std() == pytest.approx(S, rel=0.1)


def test_the_bound_given_labels_is_that_of_the_class():
    model, x = of_gaussians(), MEANS[np.arange(6) % K][:, None]
    terms = [
        np.sum([part.mean() for part in model.conditioned_on(labels).elbo_terms(x, rng())])
        for labels in (np.arange(6) % K, (np.arange(6) + 1) % K)
    ]
    assert terms[0] < terms[1] - 10


def test_guidance_without_a_label_or_without_a_number_is_refused():
    with pytest.raises(ValueError, match=r"takes labels, got w = 0\.5 alone"):
        a_ddpm().sample(2, rng(), guidance=0.5)
    with pytest.raises(ValueError, match="guidance is a number w"):
        a_ddpm().sample(2, rng(), labels=0, guidance=float("nan"))
    with pytest.raises(ValueError, match="label_dropout is a share"):
        DDPM(lambda x, t, c: x, (1,), n_classes=2, label_dropout=1.5)
    with pytest.raises(ValueError, match=r"got shape \(2,\) for 3 samples"):
        a_ddpm().conditioned_on(np.array([0, 1])).p_sample(np.zeros((3, 4), np.float32), 2)


# Denoisers


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (lambda: PlainDenoiser(1, rng=rng()), (1, 1, 4, 4)),
        (lambda: UNet(1, 2, 2, rng=rng()), (1, 1, 4, 4)),
        (lambda: DenseDenoiser(3, (5, 4), rng=rng()), (1, 3)),
        (lambda: DenseDenoiser(3, (), rng=rng()), (1, 3)),
    ],
    ids=["notes", "unet", "dense", "affine"],
)
def test_the_row_of_a_label_is_the_condition_of_the_denoiser_and_gets_its_gradient(network, shape):
    net = LabelledDenoiser(network(), 2, rng=rng(1)).astype(np.float64)
    x, t = rng(2).standard_normal((3, *shape[1:])), np.array([0.1, 0.5, 0.9])
    out = net(x, t, np.array([2, 0, 2]))
    rows = sg.Tensor(net.classes.weight.data[[2, 0, 2]])
    same = net.network(x, t, rows)
    np.testing.assert_array_equal(out.data, same.data)
    assert not np.allclose(net.network(x, t).data, out.data)
    delta = rng(3).standard_normal(out.shape)
    (of_matrix,) = sg.gradient(out, [net.classes.weight], delta=delta)
    (of_rows,) = sg.gradient(same, [rows], delta=delta)
    expected = np.stack([of_rows[1], 0 * of_rows[0], of_rows[0] + of_rows[2]])
    np.testing.assert_allclose(of_matrix, expected, atol=1e-12)


# Training with labels


@models
def test_a_training_in_parts_with_an_average_is_resumed_to_the_same_bits(build, tmp_path):
    x, labels = data(20)

    def trained(model, optimizers, source, average, history, epochs):
        for _ in sg.train(
            model,
            (x, labels),
            optimizers,
            epochs=epochs,
            batch_size=8,
            rng=source,
            part_size=3,
            average=average,
            history=history,
        ):
            pass

    def new():
        model = build()
        average = sg.optim.WeightAverage(model.parameters(), 0.9)
        return model, model.default_optimizers(), rng(4), average, sg.History()

    whole = new()
    trained(*whole, 4)
    model, optimizers, source, average, history = new()
    trained(model, optimizers, source, average, history, 2)
    sg.save(tmp_path / "half", model, optimizers, source, history, average)
    kept = sg.load(tmp_path / "half")
    trained(*kept[:3], kept.average, kept.history, 4)
    for name, value in whole[0].state_dict().items():
        np.testing.assert_array_equal(kept.model.state_dict()[name], value)
    ours, theirs = (a.of(m) for a, m in ((whole[3], whole[0]), (kept.average, kept.model)))
    sample = ours.sample(4, rng(), labels=np.array([0, 1, 2, 0]))
    np.testing.assert_array_equal(sample, theirs.sample(4, rng(), labels=np.array([0, 1, 2, 0])))


@models
def test_a_step_is_the_sum_of_its_parts_with_their_labels(build):
    """The part of a batch has the labels of its own samples: the mean cost is that of the parts."""
    model, (x, labels) = build(), data(8)
    seen = []
    inner = conditions.checked

    def noted(given_labels, n, *rest, **named):
        found = inner(given_labels, n, *rest, **named)
        seen.extend(np.asarray(c).tolist() for c in found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditions, "checked", noted)
        patch.setattr(conditions, "dropped", lambda labels, *_: labels)
        for _ in sg.train(
            model,
            (x, labels),
            model.default_optimizers(),
            epochs=1,
            batch_size=8,
            rng=rng(),
            part_size=4,
        ):
            pass
    order = np.argsort(rng().random(8))
    halves = [labels[order][:4].tolist(), labels[order][4:].tolist()]
    of_parts = [c for c in seen if len(c) == 4]
    assert all(half in of_parts for half in halves)


@models
def test_a_step_and_samples_on_the_device_are_those_of_the_host(build, device):
    host, other = build().astype(np.float64), build(0, device).astype(np.float64)
    other.load_state_dict({k: sg.to_device(v, device) for k, v in host.state_dict().items()})
    x, labels = data()
    states = []
    for model, where in ((host, "cpu"), (other, device)):
        batch = sg.to_device(x.astype(np.float64), where), sg.to_device(labels, where)
        before = strict.transfers
        for cost, optimizer in zip(
            model.losses(batch, rng(2, where)), model.default_optimizers(), strict=True
        ):
            optimizer.step(sg.gradient(cost, optimizer.parameters))
        assert strict.transfers == before
        states.append({k: sg.to_host(v) for k, v in model.state_dict().items()})
        model.validate(batch)
        samples = model.sample(3, rng(3, where), labels=np.array([0, 1, 2]))
        assert device_of(samples) == where
        assert samples.shape == (3, 4)
    if device == "cpu":
        for name, value in states[0].items():
            np.testing.assert_array_equal(states[1][name], value)


def test_guided_samples_are_drawn_on_the_device(device):
    model = a_ddpm(0, device)
    samples = model.sample(3, rng(0, device), 4, 0.5, labels=np.array([0, 1, 2]), guidance=0.5)
    assert device_of(samples) == device
    assert np.isfinite(sg.to_host(samples)).all()


@models
def test_a_summary_names_the_layers_of_a_conditional_model(build):
    said = str(build().summary())
    assert "in all" in said


def test_a_label_beside_an_image_is_beside_its_numbers_in_a_row():
    network = WithLabel(nn.Sequential(nn.Linear(4 + K, 2, rng=rng())))
    x, c = rng(1).random((3, 1, 2, 2)).astype(np.float32), np.eye(K, dtype=np.float32)
    rows = np.concatenate([x.reshape(3, 4), c], axis=1)
    np.testing.assert_array_equal(network(x, c).data, network.network(rows).data)
