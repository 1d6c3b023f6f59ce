"""The examples are steps of the models' own trainings, and what they draw is what they say."""

import pathlib
import re

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.models import GAN, RBM, VAE
from scratchgen.tracing import EXAMPLES, examples


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_written_as_a_page_under_its_title(name, tmp_path):
    example = EXAMPLES[name]()
    example.to_html(tmp_path / "page.html", source="{file}#{line}")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert f"<h1>{example.title}</h1>" in text
    assert '"href": "scratchgen/operations/' in text
    assert all(line.reason for line in example.trace)


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_number_of_an_example_is_hidden_by_its_size_or_is_zero_in_all_entries(name):
    """A reader predicts them: more than nine in a row are not shown as numbers."""
    for line in EXAMPLES[name]().trace:
        assert line.share.size <= 9
        assert np.any(line.share)


def test_the_parameters_of_the_vae_get_the_gradient_of_its_negative_bound():
    example = examples.vae()
    by_name = example.trace.gradients
    e, d = (sg.nn.Linear(2, 2, rng=sg.generator(0)), sg.nn.Linear(1, 2, rng=sg.generator(0)))
    model = VAE(e, d, 1).astype(np.float64)
    tensors = {node.symbol: node.tensor for node in example.trace.nodes}
    for name, parameter in model.named_parameters():
        parameter.data[...] = tensors[name].data
    cost = -model.elbo(np.array([[1.0, 0.0]]), np.array([[0.5]])).mean()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(sg.gradient(cost, [parameter])[0], by_name[name], rtol=1e-12)


def test_the_two_steps_of_the_gan_are_those_of_its_losses():
    model, x, z = examples._players()
    steps = GAN.losses(model, x, sg.generator(0), np.stack([z, [[0.4]]]))
    D, G = model.discriminator.parameters(), model.generator.parameters()
    gradients = sg.gradient(next(steps), D)
    for g, of in zip(gradients, examples.discriminator().trace.gradients.values(), strict=True):
        np.testing.assert_allclose(of, g, rtol=1e-12)
    sg.optim.SGD(D, 0.5).step(gradients)
    example = examples.generator_step()
    gradients = sg.gradient(next(steps), G)
    for g, of in zip(gradients, example.trace.gradients.values(), strict=True):
        np.testing.assert_allclose(of, g, rtol=1e-12)
    (moved,) = example.prepared
    np.testing.assert_array_equal(moved.value, D[0].data)
    v = moved.values
    np.testing.assert_allclose(moved.value, v["W"] - v["η"] * v["δW"], rtol=1e-12)


def test_the_cost_of_the_ddpm_is_the_mean_squared_error_at_the_x_t_that_was_prepared():
    example = examples.ddpm()
    left, noised, given = example.prepared
    np.testing.assert_array_equal(given.value, [[*noised.value[0], 0.3]])
    assert left.value == pytest.approx(np.prod([1 - beta for beta in left.values.values()]))
    x0, eps = noised.values["x₀"], noised.values["ε"]
    expected = np.sqrt(left.value) * x0 + np.sqrt(1 - left.value) * eps
    np.testing.assert_allclose(noised.value, expected, rtol=1e-12)
    tensors = {node.symbol: node.tensor for node in example.trace.nodes}
    assert tensors["C"].data == pytest.approx(np.mean((tensors["ε̂"].data - eps) ** 2))


def test_the_two_shares_of_the_boltzmann_machine_add_up_to_the_statistic_of_cd():
    example = examples.rbm()
    p, h, q, v1 = (of.value for of in example.prepared)
    v = example.prepared[0].values["v"]
    u, u1 = (example.prepared[k].values["u"] for k in (1, 3))
    np.testing.assert_array_equal(h, u < p)
    np.testing.assert_array_equal(v1, u1 < q)
    model = RBM(3, 2, rng=sg.generator(0)).astype(np.float64)
    for name, parameter in model.named_parameters():
        parameter.data[...] = example.prepared[0].values.get(
            name, example.prepared[2].values.get(name)
        )
    np.testing.assert_allclose(p, model.frozen().prob_hidden(v), rtol=1e-12)
    p_k = model.frozen().prob_hidden(v1)
    statistic = {"W": v1.T @ p_k - v.T @ p, "a": (v1 - v)[0], "b": (p_k - p)[0]}
    for name, expected in statistic.items():
        np.testing.assert_allclose(example.trace.gradients[name], expected, rtol=1e-12, atol=1e-15)
    shares = [line.share for line in example.trace if line.to == "W"]
    np.testing.assert_allclose(shares, [v1.T @ p_k, -v.T @ p], rtol=1e-12)


def test_the_site_shows_every_example():
    page = pathlib.Path(sg.__file__).parents[1] / "docs" / "traces.md"
    assert re.findall(r"```{trace} (\w+)", page.read_text(encoding="utf-8")) == [*EXAMPLES]
