"""Energy-based models: both phases, where the chains begin, and a density that is known."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.models.energy import MALA, EnergyModel, Langevin, Tempered


class Quadratic(nn.Network):
    """E = ½ Σ e^w x²: a Gaussian of variance e^{−w} in each direction."""

    def __init__(self, d):
        self.w = sg.Tensor(np.zeros(d))

    def __call__(self, x, rng=None):
        return 0.5 * (ops.exp(self.w) * ops.square(x)).sum(axis=1)


def quadratic(chains="persistent", sampler=None, d=2, **settings):
    sampler = MALA(5, 0.3) if sampler is None else sampler
    settings = {"n_chains": 500, "low": -5, "high": 5, **settings}
    return EnergyModel(Quadratic(d), (d,), sampler, chains, rng=sg.generator(0), **settings)


def data(n=500, seed=1):
    return np.random.default_rng(seed).standard_normal((n, 2)) * np.array([0.5, 1.5])


@pytest.mark.parametrize("chains", ["data", "buffer", "persistent"])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_the_gradient_is_the_positive_phase_less_the_negative(chains, alpha):
    model, twin = quadratic(chains, alpha=alpha), quadratic(chains, alpha=alpha)
    x = data()
    cost = next(model.losses(x, sg.generator(3)))
    (slope,) = sg.gradient(cost, model.parameters())
    ends, _ = twin._negative(x, sg.generator(3))

    def phase(points):  # ∂E/∂w = ½ e^w x², at w = 0
        energy, by_w = 0.5 * (points**2).sum(axis=1), 0.5 * points**2
        return by_w.mean(axis=0), (2 * energy[:, None] * by_w).mean(axis=0)

    (positive, squares), (negative, more) = phase(x), phase(ends)
    np.testing.assert_allclose(slope, positive - negative + alpha * (squares + more), rtol=1e-12)


def test_persistent_chains_find_the_variances_of_the_data():
    model, x = quadratic(), data(4000)
    sgd = sg.optim.SGD(model.parameters(), 0.1)
    for epoch in sg.train(model, x, sgd, epochs=8, batch_size=100, rng=sg.generator(2)):
        sgd.lr = 0.1 / (1 + epoch.number)
    # The optimum is the inverse of E x²; each update adds the noise of 500 chains.
    np.testing.assert_allclose(np.exp(-model.network.w.data), (x**2).mean(axis=0), rtol=0.1)


def test_new_chains_come_to_the_density():
    model = quadratic(low=-3, high=3)
    x = model.sample(4000, sg.generator(4), steps=60)
    assert abs(x.var() - 1) < 5 * math.sqrt(2 / x.size)


def test_a_buffer_keeps_where_chains_ended_and_begins_few_anew():
    model = quadratic("buffer", fresh=0.0, sampler=Langevin(1, 1e-12))
    before = model.buffer.copy()
    model._negative(data(100), sg.generator(0))
    np.testing.assert_allclose(model.buffer, before, atol=1e-4)
    anew = quadratic("buffer", fresh=1.0, sampler=Langevin(1, 1e-12))
    anew._negative(data(100), sg.generator(0))
    moved = (np.abs(anew.buffer - before) > 1e-3).any(axis=1).sum()
    assert 80 <= moved <= 100  # a hundred were drawn, some of them twice


def test_the_chains_travel_with_the_model():
    model = quadratic()
    next(model.losses(data(), sg.generator(0)))
    np.testing.assert_array_equal(model.state_dict()["buffer"], model.buffer)
    other = quadratic()
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.buffer, model.buffer)
    np.testing.assert_array_equal(
        np.sort(model.kept(500, sg.generator(0)), axis=0), np.sort(model.buffer, axis=0)
    )


def test_a_training_goes_on_from_its_file_to_the_same_bits(tmp_path):
    def begun():
        rng = sg.generator(0)
        network = nn.Sequential(nn.Linear(2, 8, rng=rng), nn.SiLU(), nn.Linear(8, 1, rng=rng))
        sampler = MALA(3, 0.05)
        model = EnergyModel(network, (2,), sampler, "buffer", rng=rng, n_chains=50, low=-9, high=9)
        return model, sg.optim.Adam(model.parameters()), rng, sg.History()

    def trained(model, adam, rng, history, epochs):
        x = data(60).astype(np.float32)
        settings = {"epochs": epochs, "batch_size": 20, "rng": rng, "history": history}
        for _ in sg.train(model, x, adam, **settings):
            pass

    whole, parted = begun(), begun()
    trained(*whole, epochs=4)
    trained(*parted, epochs=2)
    sg.save(tmp_path / "model.safetensors", *parted)
    model, (adam,), rng, history = sg.load(tmp_path / "model.safetensors")
    trained(model, adam, rng, history, epochs=4)
    for name, value in whole[0].state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)


def test_a_cold_chain_is_narrower():
    cold = quadratic(sampler=Tempered(60, 0.1, 0.1))
    variance = cold.sample(4000, sg.generator(0), steps=60).var()
    expected = 0.1**2 / (2 * 0.1) / (1 - 0.1 / 2)
    assert abs(variance - expected) < 5 * expected * math.sqrt(2 / 8000)


def chain_of_torch(torch, energy, x, sampler, source):
    """Where the chains of a sampler end, in torch, with the draws of ``source``."""
    step, adjusted = sampler.step, isinstance(sampler, MALA)

    def slope_of(x):
        x = x.detach().requires_grad_()
        energies = energy(x)
        return energies.detach(), torch.autograd.grad(energies.sum(), x)[0]

    for _ in range(sampler.steps):
        energy_here, slope = slope_of(x)
        z = torch.from_numpy(source.standard_normal(tuple(x.shape)))
        there = x - step * slope + math.sqrt(2 * step) * z
        if not adjusted:
            x = there
            continue
        energy_there, slope_there = slope_of(there)
        forward = -((there - x + step * slope) ** 2).sum(dim=1) / (4 * step)
        back = -((x - there + step * slope_there) ** 2).sum(dim=1) / (4 * step)
        log_ratio = energy_here - energy_there + back - forward
        taken = torch.from_numpy(np.log1p(-source.random(len(x)))) < log_ratio
        x = torch.where(taken[:, None], there, x)
    return x


@pytest.mark.rounding
@pytest.mark.parametrize(
    ("sampler", "chains"), [(Langevin(5, 0.01), "data"), (MALA(5, 0.05), "persistent")]
)
def test_50_steps_of_training_are_those_of_torch(torch, sampler, chains):
    rng = sg.generator(0)
    network = nn.Sequential(
        nn.Linear(2, 32, rng=rng), nn.SiLU(), nn.Linear(32, 32, rng=rng), nn.SiLU(),
        nn.Linear(32, 1, rng=rng),
    )  # fmt: skip
    model = EnergyModel(network, (2,), sampler, chains, rng=rng, n_chains=30, alpha=0.1)
    model.astype(np.float64)
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 32), torch.nn.SiLU(), torch.nn.Linear(32, 32), torch.nn.SiLU(),
        torch.nn.Linear(32, 1),
    ).double()  # fmt: skip
    module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in network.state_dict().items()})
    adam = sg.optim.Adam(model.parameters(), 1e-3)
    reference_adam = torch.optim.Adam(module.parameters(), 1e-3)
    x, costs = data(1000), []
    kept = torch.from_numpy(model.buffer.copy()) if chains == "persistent" else None
    for step in range(50):
        batch = x[20 * step : 20 * (step + 1)]
        cost = next(model.losses(batch, sg.generator(step)))
        adam.step(sg.gradient(cost, adam.parameters))

        def energy(x):
            return module(x)[:, 0]

        real = torch.from_numpy(batch)
        start = real if kept is None else kept
        ends = chain_of_torch(torch, energy, start, sampler, sg.generator(step))
        kept = None if kept is None else ends
        positive, negative = energy(real), energy(ends)
        loss = positive.mean() - negative.mean()
        loss = loss + 0.1 * ((positive**2).mean() + (negative**2).mean())
        reference_adam.zero_grad()
        loss.backward()
        reference_adam.step()
        costs.append((float(cost.data), loss.item()))
    ours, expected = np.array(costs).T
    np.testing.assert_allclose(ours, expected, rtol=1e-8, atol=1e-9)
    for name, value in module.state_dict().items():
        own, value = network.state_dict()[name], value.numpy()
        assert np.abs(own - value).max() < 1e-8 * np.abs(value).max(), name


@pytest.mark.parametrize(
    "settings",
    [{"n_chains": 0}, {"fresh": 1.5}, {"low": 1, "high": 1}, {"alpha": -1}, {"chains": "all"}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=r"n_chains ≥ 1|chains begin at"):
        quadratic(**settings)


def test_chains_of_which_no_step_is_taken_end_the_training_with_what_to_do():
    model = quadratic(sampler=MALA(5, 1e4))
    with pytest.raises(RuntimeError, match=r"none of the steps of 500 chains was taken: the step"):
        next(model.losses(data(), sg.generator(0)))


@pytest.mark.parametrize("arguments", [(0, 0.1), (5, 0.0), (5, math.inf)])
def test_a_sampler_takes_steps_of_a_size(arguments):
    with pytest.raises(ValueError, match="a chain takes steps"):
        Langevin(*arguments)


def test_data_of_another_shape_range_or_kind_are_refused():
    model = quadratic()
    for x, words in [
        ((data(), data()), "samples alone"),
        (data()[:, :1], "of shape"),
        (data().astype(int), "floating numbers"),
        (100 * data(), "chains begin between -5 and 5"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.validate(x)


def test_a_network_of_many_outputs_is_no_energy():
    model = EnergyModel(
        nn.Linear(2, 3, rng=sg.generator(0)), (2,), MALA(2, 0.1), "data", rng=sg.generator(0)
    )
    with pytest.raises(ValueError, match="one energy for each"):
        model.energy(np.zeros((4, 2), np.float32))


def test_no_more_chains_are_given_than_are_kept():
    with pytest.raises(ValueError, match="keeps 500 chains"):
        quadratic().kept(501, sg.generator(0))
