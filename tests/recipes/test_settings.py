"""A record of settings that exists is valid; what is amiss is said by the name of its option."""

import argparse
import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgen.recipes import RECIPES
from scratchgen.recipes.settings import SHOWN, Flag, Whole, option

RECORDS = [
    pytest.param(getattr(recipe, name), id=f"{model}-{name}")
    for model, recipe in RECIPES.items()
    for name in ("LECTURE", "DIGITS", "MNIST")
    if getattr(recipe, name) is not None
]
OPTIONS = [
    pytest.param(model, name, id=f"{model}-{name}")
    for model, recipe in RECIPES.items()
    for name in type(recipe.MNIST).kinds()
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_comes_back_from_json(record):
    written = json.loads(json.dumps(dataclasses.asdict(record)))
    assert type(record).from_json(written) == record


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_comes_back_from_the_words_that_say_it(record):
    words = {}
    for name, kind in record.kinds().items():
        value = getattr(record, name)
        if name != "preset":
            said = kind.said(value)
            words[name] = value if isinstance(kind, Flag) else said
            if isinstance(value, tuple):
                words[name] = said.split()
    parsed = type(record).parsed(words)
    assert dataclasses.replace(record, **parsed) == record


@pytest.mark.parametrize(("model", "name"), OPTIONS)
def test_every_setting_has_an_option_with_help(model, name):
    parser = argparse.ArgumentParser(prog="x")
    RECIPES[model].add_options(parser)
    actions = {action.option_strings[0]: action for action in parser._actions}
    assert actions[option(name)].dest == name
    assert len(actions[option(name)].help) > 8
    parser.format_help()


@pytest.mark.parametrize(("model", "name"), OPTIONS)
@given(value=JSON)
def test_any_value_of_json_is_taken_as_it_is_or_refused_by_name(model, name, value):
    record = RECIPES[model].MNIST
    try:
        taken, refused = getattr(dataclasses.replace(record, **{name: value}), name), ""
    except ValueError as error:
        taken, refused = None, str(error)
    if refused:
        assert refused.startswith(option(name))
        assert len(refused) < 400
    else:
        assert taken == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(("model", "name"), OPTIONS)
@given(word=st.text(max_size=8) | st.floats().map(str) | st.integers().map(str))
def test_any_word_is_taken_or_refused_by_name(model, name, word):
    recipe, refused = RECIPES[model], ""
    try:
        recipe.settings(recipe.parsed({name: word}))
    except ValueError as error:
        refused = str(error)
    assert not refused or refused.startswith(option(name))


@pytest.mark.parametrize(
    ("model", "name", "word", "message"),
    [
        ("ddpm", "width", "20", "--width is a multiple of 8, got 20"),
        ("ddpm", "width", "0", "--width is a multiple of 8 from 8 to 1024, got 0"),
        ("ddpm", "T", "1" + "0" * 30, "--T is a whole number from 1 to 10000, got 1000000000000"),
        ("ddpm", "T", "9" * 5000, "--T is a whole number from 1 to 10000, got '99999"),
        ("gan", "slope", "nan", "--slope is a number from 0 to 1, got nan"),
        ("gan", "layers", "200000", "--layers is a whole number from 1 to 1000, got 200000"),
        ("gan", "equilibrium", "-1", "--equilibrium is a number above 0 to 0.5, or never, got -1"),
        ("gan", "dropout", "1", "--dropout is a number from 0 to below 1, got 1"),
        ("ffnn", "patience", "-1", "--patience is a whole number from 1 to 1000000, or never, got"),
        ("ffnn", "hidden", ["8", "0"], r"--hidden is whole numbers from 1 to 100000, got (8, 0)"),
        ("vae", "latent", "1.5", "--latent is a whole number from 1 to 100000, got '1.5'"),
        ("vae", "schedule", "step", "--schedule is written as step:EPOCHS or"),
        ("vae", "data", "", "--data is a name, got ''"),
        ("vae", "device", "tpu", "--device is one of cpu, cuda, got 'tpu'"),
        ("ddpm", "schedule", "linear", "that of the noise is --noise-schedule linear"),
    ],
)
def test_what_may_not_be_is_refused_with_what_came_and_what_was_expected(
    model, name, word, message
):
    recipe = RECIPES[model]
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        recipe.settings(recipe.parsed({name: word}))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("schedule", "epochs", "done", "first"),
    [("cosine:15", 20, 0, 16), ("cosine:15", 20, 17, 18), ("step:2,0", 5, 0, 3)],
)
def test_epochs_with_a_rate_of_zero_are_refused(schedule, epochs, done, first):
    settings = RECIPES["vae"].settings({"schedule": schedule, "epochs": epochs})
    message = f"a learning rate of 0 from epoch {first} on, of --epochs {epochs}: take --epochs of "
    with pytest.raises(ValueError, match=message):
        settings.check_rates(done)


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("epochs", [0, 1, 3, 1000])
def test_no_default_leaves_a_rate_of_zero_whatever_the_epochs(record, epochs):
    dataclasses.replace(record, epochs=epochs).check_rates()


def test_samples_are_kept_of_few_epochs_or_of_the_first_and_every_nth():
    few = RECIPES["vae"].settings({})
    assert {k for k in range(1, 2000) if few.shows(k)} == SHOWN
    often = RECIPES["vae"].settings({"every": 3})
    assert [k for k in range(1, 11) if often.shows(k)] == [1, 3, 6, 9]


def test_whole_numbers_are_no_truth_values_and_no_fractions():
    kind = Whole("")
    assert not any(map(kind.takes, (True, 1.0, math.nan, "1", None)))
    assert kind.takes(1)


# As they were written before a config.json had a format

FIRST = {
    "ffnn": {
        **{"preset": None, "data": "digits", "seed": 0, "device": "cpu", "optimizer": "adam"},
        **{"lr": 0.003, "l1": 0.0, "l2": 0.0, "patience": None, "hidden": [16, 8]},
        **{"batch_size": 64, "schedule": "cosine:60", "epochs": 60, "activation": "relu"},
    },
    "cnn": {
        **{"preset": None, "data": "digits", "seed": 0, "device": "cpu", "optimizer": "adam"},
        **{"lr": 0.001, "l1": 0.0, "l2": 0.0, "patience": None, "channels": [32, 64]},
        **{"hidden": 128, "dropout": 0.5, "batch_size": 64, "schedule": "cosine:30", "epochs": 1},
    },
    "rbm": {
        **{"preset": None, "data": "digits", "seed": 0, "device": "cpu", "hidden": 8},
        **{"visible": "bernoulli", "k": 1, "chains": 100, "momentum": 0.0, "weight_decay": 0.0},
        **{"persistent": True, "start": "data", "decay": "cosine", "lr": 0.2, "epochs": 2},
        **{"batch_size": 50},
    },
    "vae": {
        **{"preset": None, "data": "digits", "seed": 0, "device": "cpu", "hidden": 8},
        **{"likelihood": "bernoulli", "latent": 2, "epochs": 2, "batch_size": 32, "lr": 0.002},
    },
    "gan": {
        **{"preset": None, "data": "digits", "seed": 0, "device": "cpu", "hidden": 8, "layers": 2},
        **{"slope": 0.2, "latent": 20, "noise": "normal", "dropout": 0.4, "d_steps": 1},
        **{"generator_cost": "non_saturating", "beta1": 0.5, "equilibrium": None, "epochs": 2},
        **{"batch_size": 32, "lr": 0.0002},
    },
    "ddpm": {
        **{"preset": None, "data": "digits", "seed": 0, "device": "cpu", "network": "unet"},
        **{"width": 8, "T": 5, "schedule": "linear", "variance": "posterior", "clip": "data"},
        **{"predicts": "velocity", "decay": "none", "lr": 0.002, "ema": 0.99, "epochs": 1},
        **{"batch_size": 64},
    },
}


@pytest.mark.parametrize("model", FIRST)
def test_settings_of_the_first_format_are_read_under_the_names_of_today(model):
    kind = type(RECIPES[model].MNIST)
    settings = kind.from_json(kind.from_first_format(FIRST[model]))
    now = {"ffnn": "cosine", "cnn": "cosine:30", "rbm": "cosine"}.get(model, "constant")
    assert settings.schedule == now
    renamed = {"decay", "schedule"}
    for name in FIRST[model].keys() - renamed:
        value = getattr(settings, name)
        assert (list(value) if isinstance(value, tuple) else value) == FIRST[model][name]
    if model == "ddpm":
        assert settings.noise_schedule == "linear"
