"""Networks and models under the check: every parameter and input, and the rule at fault."""

import numpy as np

import scratchgen as sg
from scratchgen import nn
from scratchgen.gradcheck.network import of_network
from tests.gradcheck.handwritten import X


class Broken(nn.Network):
    def __init__(self, rng):
        self.hidden = nn.Linear(3, 4, rng=rng)
        self.out = nn.Linear(4, 2, rng=rng)

    def __call__(self, x, rng=None):
        return self.out(tanh_of_the_wrong_letter(self.hidden(x)))


@sg.differentiable
def tanh_of_the_wrong_letter(z):
    return np.tanh(z), (lambda delta: delta * (1 - z * z),)


def test_of_a_network_every_parameter_and_input_is_checked_and_the_rule_at_fault_is_named():
    rng = sg.generator(0)
    x = rng.standard_normal((5, 3))
    right = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.SiLU(), nn.Dropout(0.5))
    report = sg.check_network(right, x)
    assert report.ok
    assert [entry.name for entry in report.entries] == ["0.weight", "0.bias", "x"]

    report = sg.check_network(Broken(rng), x)
    wrong = [entry.name for entry in report.entries if not entry.ok]
    assert wrong == ["hidden.weight", "hidden.bias", "x"]
    (said,) = report.diagnosis
    assert "the rule tanh_of_the_wrong_letter is at fault, in its ∂C/∂z" in said
    assert "σ′, written in terms of the value a = tanh(z), is taken at z instead" in said


def test_a_network_is_left_as_it_was():
    network = nn.Linear(3, 2, rng=sg.generator(0))
    before = network.state_dict()
    sg.check_network(network, X[None])
    assert network.dtype == np.float32
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_model_is_checked_with_the_same_noise_each_time():
    rng = sg.generator(0)
    model = sg.models.vae.dense(9, 5, 2, rng)
    report = sg.check_network(model, rng.random((4, 9)))
    assert report.ok, report
    assert [entry.name for entry in report.entries][-2:] == ["decoder.2.bias", "x"]


def test_a_model_is_a_subject_for_each_player_by_the_parameters_that_it_moves():
    rng = sg.generator(0)
    model, _ = sg.models.gan.lecture(rng)
    of_discriminator, of_generator = of_network(model, [rng.random((2, 784))])
    assert {name.split(".")[0] for name in of_discriminator.names} == {"discriminator", "x"}
    assert {name.split(".")[0] for name in of_generator.names} == {"generator", "x"}
    assert of_generator.cost(of_generator.arrays) == of_generator.cost(of_generator.arrays)
    notes = [*of_discriminator.notes]
    assert notes == of_generator.notes
    assert notes == [*dict.fromkeys(notes)]
