"""The autoencoder: its gradient, its exact optimum without hidden layers, its gain with them."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import datasets, nn, optim
from scratchgen.models import Autoencoder, autoencoder, pca

WIDE = np.array([3.0, 2.0, 1.2, 0.8, 0.5, 0.3])  # standard deviations along the axes


def samples(n=120, seed=0):
    """Samples whose variances along turned axes are those of WIDE, about."""
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    return rng.standard_normal((n, 6)) * WIDE @ turned + rng.standard_normal(6)


def linear(k, seed=0):
    return autoencoder.dense(6, k, sg.generator(seed), hidden=()).astype(np.float64)


def fitted(model, x, epochs=200):
    """The costs of a training that ends where the line search finds no lower one."""
    search, costs = optim.WolfeLBFGS(model.parameters()), []
    for epoch in sg.train(model, x, search, epochs=epochs, batch_size=len(x), rng=sg.generator(0)):
        costs.append(epoch.costs[0])
        if len(costs) > 1 and costs[-1] == costs[-2]:
            break
    return np.array(costs)


# The cost


def test_the_cost_is_the_mean_squared_error_of_the_copies():
    x, model = samples(), linear(2)
    error = x - model.reconstruct(x)
    cost = next(model.losses(x, sg.generator(0)))
    assert cost.data == pytest.approx((error**2).sum() / len(x), rel=1e-12)
    np.testing.assert_allclose(model.frozen().squared_errors(x), (error**2).sum(axis=1))


def test_the_gradient_of_the_linear_autoencoder_is_that_of_the_docstring():
    """∂C/∂x̂ = (2/n) (x̂ − x), which the two affine maps hand back."""
    x, model = samples(), linear(2)
    encoder, decoder = model.encoder.layers[1], model.decoder.layers[1]
    h = model.frozen().encode(x)
    delta = 2 / len(x) * (model.reconstruct(x) - x)
    at_code = delta @ decoder.weight.data
    by_hand = [at_code.T @ x, at_code.sum(axis=0), delta.T @ h, delta.sum(axis=0)]
    cost = next(model.losses(x, sg.generator(0)))
    wrt = [encoder.weight, encoder.bias, decoder.weight, decoder.bias]
    for ours, expected in zip(sg.gradient(cost, wrt), by_hand, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)


# The optimum of the linear autoencoder


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("seed", range(2))
def test_the_trained_linear_autoencoder_has_the_error_and_the_plane_of_principal_components(
    k, seed
):
    x, model = samples(), linear(k, seed)
    fitted(model, x)
    optimum = pca.fit(x, k)
    error = model.frozen().squared_errors(x).mean()
    assert optimum.least_error * (1 - 1e-12) <= error <= optimum.least_error * (1 + 1e-7)
    # An error above the optimum by ε turns the plane by an angle of at most √(ε/(λ_k − λ_{k+1})).
    angle = np.sqrt(1e-7 * optimum.least_error / (optimum.variances[k - 1] - optimum.variances[k]))
    spanned, _ = np.linalg.qr(model.decoder.layers[1].weight.data)
    sines = np.linalg.norm(spanned - optimum.axes.T @ (optimum.axes @ spanned), axis=0)
    assert sines.max() <= angle


def test_the_error_never_falls_below_that_of_principal_components():
    x, model = samples(), linear(2)
    costs = fitted(model, x, epochs=40)
    assert (np.diff(costs) <= 0).all()
    assert (costs >= pca.fit(x, 2).least_error * (1 - 1e-12)).all()


def test_at_principal_components_in_any_coordinates_of_the_code_the_gradient_is_zero():
    x, model = samples(), linear(2)
    optimum, A = pca.fit(x, 2), np.array([[2.0, 1.0], [-0.5, 3.0]])
    encoder, decoder = model.encoder.layers[1], model.decoder.layers[1]
    encoder.weight.data[...] = A @ optimum.axes
    encoder.bias.data[...] = -A @ optimum.axes @ optimum.mean
    decoder.weight.data[...] = optimum.axes.T @ np.linalg.inv(A)
    decoder.bias.data[...] = optimum.mean
    cost = next(model.losses(x, sg.generator(0)))
    assert cost.data == pytest.approx(optimum.least_error, rel=1e-12)
    for gradient in sg.gradient(cost, model.parameters()):
        np.testing.assert_allclose(gradient, 0, atol=1e-10)


# With hidden layers


def test_one_number_codes_an_arc_that_no_line_comes_near():
    angle = np.random.default_rng(0).uniform(0, 1.5 * np.pi, 200)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    model = autoencoder.dense(2, 1, sg.generator(0), (16,), "tanh").astype(np.float64)
    fitted(model, x)
    assert model.frozen().squared_errors(x).mean() < pca.fit(x, 1).least_error / 20


def test_the_decoder_mirrors_the_encoder():
    model = autoencoder.dense(64, 2, sg.generator(0), (30, 10), "tanh")
    shapes = [p.shape for p in model.parameters() if p.ndim == 2]
    assert shapes == [(30, 64), (10, 30), (2, 10), (10, 2), (30, 10), (64, 30)]


def test_50_steps_are_those_of_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[peers]'")
    model = autoencoder.dense(6, 2, sg.generator(0), (5,), "tanh").astype(np.float64)
    x = samples()
    theirs = torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2),
        torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 6),
    ).double()  # fmt: skip
    with torch.no_grad():
        for p, q in zip(theirs.parameters(), model.parameters(), strict=True):
            p.copy_(torch.tensor(q.data))
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-3)
    (ours,) = model.default_optimizers()
    for _ in range(50):
        ours.step(sg.gradient(next(model.losses(x, sg.generator(0))), ours.parameters))
        adam.zero_grad()
        ((theirs(torch.tensor(x)) - torch.tensor(x)) ** 2).sum(axis=1).mean().backward()
        adam.step()
    for p, q in zip(theirs.parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(q.data, p.detach().numpy(), atol=1e-10)


def test_images_go_through_convolutions_and_come_back_in_their_shape():
    rng = sg.generator(0)
    encoder = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1, rng=rng), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 3, rng=rng),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(3, 64, rng=rng), nn.ReLU(), nn.Reshape(4, 4, 4),
        nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1, rng=rng),
    )  # fmt: skip
    model = Autoencoder(encoder, decoder)
    images = datasets.digits()[0][:64].reshape(-1, 1, 8, 8)
    costs = [
        epoch.costs[0]
        for epoch in sg.train(
            model, images, model.default_optimizers(), epochs=3, batch_size=16, rng=rng
        )
    ]
    assert costs[-1] < costs[0]
    assert model.reconstruct(images).shape == images.shape


def test_a_checkpoint_goes_on_to_the_same_bits(tmp_path):
    x = samples().astype(np.float32)

    def trained(stop):
        model, rng = autoencoder.dense(6, 2, sg.generator(0)), sg.generator(1)
        optimizers, history = model.default_optimizers(), sg.History()
        for end in (stop, 4):
            for _ in sg.train(
                model, x, optimizers, epochs=end, batch_size=16, rng=rng, history=history
            ):
                pass
            sg.save(tmp_path / "run.safetensors", model, optimizers, rng, history)
            model, optimizers, rng, history = sg.load(tmp_path / "run.safetensors")
        return model.state_dict()

    one, other = trained(2), trained(4)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])


# What is refused, or said


def test_data_and_networks_that_do_not_fit_are_refused():
    rng, x = sg.generator(0), samples().astype(np.float32)

    def refused(model, x, words):
        with pytest.raises(ValueError, match=words):
            next(sg.train(model, x, model.default_optimizers(), epochs=1, batch_size=8, rng=rng))

    refused(autoencoder.dense(5, 2, rng), x, r"takes no samples of shape \(6,\)")
    confined = Autoencoder(
        nn.Linear(6, 2, rng=rng), nn.Sequential(nn.Linear(2, 6, rng=rng), nn.Sigmoid())
    )
    refused(confined, x, r"the decoder ends in sigmoid, so that its outputs lie in \[0, 1\]")
    refused(autoencoder.dense(6, 2, rng), (x, np.ones(len(x))), "an autoencoder is trained on")
    with pytest.raises(ValueError, match="activation is one of"):
        autoencoder.dense(6, 2, rng, (5,), "step")


def test_a_code_as_long_as_the_sample_is_warned_of():
    model, x = autoencoder.dense(6, 6, sg.generator(0)), samples().astype(np.float32)
    with pytest.warns(sg.TrainingWarning, match="the code has 6 numbers and a sample 6"):
        next(
            sg.train(
                model, x, model.default_optimizers(), epochs=1, batch_size=8, rng=sg.generator(0)
            )
        )
