"""The summary of a network: its layers, their outputs and parameters, as text and in a notebook."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import models, nn


def rng(seed=0):
    return sg.generator(seed)


MODELS = {
    "vae": lambda: models.vae.dense(64, 5, 2, rng()),
    "gan": lambda: models.gan.dense(64, 5, 2, rng()),
    "ddpm": lambda: models.ddpm.with_unet((1, 8, 8), rng(), 8, T=5),
    "rbm": lambda: models.RBM(64, 5, rng=rng(), persistent=True),
    "classifier": lambda: models.Classifier(models.feed_forward.dense((64,), 10, rng())),
    "cnn": lambda: models.Classifier(models.feed_forward.convolutional((8, 8), 10, rng())),
}


def convolutions():
    rng = sg.generator(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=rng), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3, rng=rng)
    )


def test_a_summary_has_each_layer_with_the_shape_of_its_output_and_its_parameters():
    summary = convolutions().summary((1, 4, 4))
    assert [(r.name, r.shape, r.parameters) for r in summary.layers] == [
        ("0", (4, 4, 4), 40),
        ("1", (4, 4, 4), 0),
        ("2", (64,), 0),
        ("3", (3,), 195),
    ]
    assert summary.total == 235 == sum(p.size for p in convolutions().parameters())
    lines = str(summary).splitlines()
    assert lines[3].split() == [
        "0",
        "Conv2d(1,",
        "4,",
        "3,",
        "padding=1)",
        "(n,",
        "4,",
        "4,",
        "4)",
        "40",
    ]
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[-1].endswith("235")


def test_a_summary_without_a_shape_finds_that_of_rows_and_else_leaves_outputs_out():
    assert [r.shape for r in convolutions().summary().layers] == [None] * 4
    rows = nn.Sequential(nn.Linear(5, 2, rng=sg.generator(0)), nn.Tanh())
    assert [r.shape for r in rows.summary().layers] == [(2,), (2,)]


def test_a_summary_of_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="conv2d"):
        convolutions().summary((3, 4))


def test_a_summary_leaves_the_network_as_it_was():
    network = convolutions()
    before, kinds = network.state_dict(), [type(layer) for layer in network.layers]
    network.summary((1, 4, 4))
    assert [type(layer) for layer in network.layers] == kinds
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_parameter_with_two_names_counts_once():
    layer = nn.Linear(3, 3, rng=sg.generator(0))
    assert nn.Sequential(layer, layer).summary().total == 12


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_summary_that_a_notebook_shows_without_script(name):
    model = MODELS[name]()
    summary = model.summary()
    assert summary.total == sum(p.size for p in model.parameters())
    shown = model._repr_html_()
    assert shown.startswith("<table>")
    assert "<script" not in shown
    assert f"{summary.total:,}" in shown
    if name != "rbm":  # which has no layers
        assert all(layer.shape for layer in summary.layers)
