"""What is done to data is undone by its inverse, and its volume is that of the change."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import scratchgen as sg
from scratchgen.datasets import preprocessing as pre

DATA = hnp.arrays(
    np.float64, (6, 3), elements=st.floats(-100, 100, allow_subnormal=False), unique=True
)
MAPS = [pre.standardise, lambda x: pre.standardise(x, False), pre.to_unit, pre.to_symmetric]


@pytest.mark.parametrize("fit", MAPS)
@given(x=DATA)
def test_the_inverse_brings_the_data_back(fit, x):
    change = fit(x)
    np.testing.assert_allclose(change.inverse(change(x)), x, atol=1e-9)


@pytest.mark.parametrize("fit", MAPS)
def test_the_volume_is_the_logarithm_of_the_determinant(fit):
    x = np.random.default_rng(0).standard_normal((50, 3)) * np.array([1, 3, 0.2])
    change = fit(x)
    columns = [(change(x[:1] + np.eye(3)[k]) - change(x[:1]))[0] for k in range(3)]
    log_det = np.linalg.slogdet(np.array(columns))[1]
    assert change.log_volume == pytest.approx(log_det, rel=1e-9)


def test_each_map_has_the_form_that_it_names():
    x = np.random.default_rng(0).uniform(3, 9, (200, 4))
    standard = pre.standardise(x)(x)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(standard.std(axis=0), 1, rtol=1e-12)
    unit, symmetric = pre.to_unit(x)(x), pre.to_symmetric(x)(x)
    assert (unit.min(), unit.max()) == (0, 1)
    np.testing.assert_allclose((symmetric.min(), symmetric.max()), (-1, 1), rtol=1e-12)


def test_a_feature_that_never_varies_is_shifted_only():
    x = np.column_stack([np.full(7, 0.1), np.arange(7.0)])
    np.testing.assert_allclose(pre.standardise(x)(x)[:, 0], 0, atol=1e-15)
    np.testing.assert_array_equal(pre.standardise(x).inverse(pre.standardise(x)(x))[:, 0], 0.1)


@given(st.integers(2, 300), st.integers(0, 99))
def test_noise_stays_within_its_level_and_the_volume_counts_levels(n_levels, seed):
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, n_levels, (5, 4))
    y, volume = pre.dequantise(levels, n_levels, sg.generator(seed))
    assert ((y >= 0) & (y < 1)).all()
    np.testing.assert_array_equal(np.floor(y.astype(np.float64) * n_levels + 1e-4), levels)
    assert volume == pytest.approx(-4 * math.log(n_levels))


def test_a_uniform_density_of_what_is_dequantised_is_the_uniform_probability():
    levels = np.arange(8)[:, None]
    _, volume = pre.dequantise(levels, 8, sg.generator(0))
    assert 0.0 + volume == pytest.approx(math.log(1 / 8))  # log p(y) = 0 on [0, 1)


def test_draws_have_the_data_as_their_mean():
    x = np.linspace(0, 1, 5)
    draws = pre.binarise_at_random(np.tile(x, (20_000, 1)), sg.generator(0))
    assert ({*np.unique(draws)}) == {0, 1}
    np.testing.assert_allclose(draws.mean(axis=0), x, atol=5 * 0.5 / math.sqrt(20_000))
    np.testing.assert_array_equal(pre.binarise(x), [0, 0, 0, 1, 1])


def test_an_outlier_is_named_and_does_not_hide_itself_or_others():
    x = np.random.default_rng(0).standard_normal((200, 3))
    x[17, 1], x[90, 2] = 1e6, -40
    assert pre.outliers(x).tolist() == [17, 90]


def test_maps_stay_on_the_device(on_device):
    x = on_device(np.random.default_rng(0).random((6, 4)).astype(np.float32))
    for fit in MAPS:
        change = fit(x)
        back = change.inverse(change(x))
        assert back.dtype == np.float32
        np.testing.assert_allclose(sg.to_host(back), sg.to_host(x), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pre.to_unit(np.ones((3, 2))), "all numbers are 1"),
        (lambda: pre.standardise(np.array([[math.nan]])), "NaN or infinity"),
        (lambda: pre.standardise(np.zeros((0, 2))), "at least one sample"),
        (lambda: pre.binarise_at_random(np.array([[0.0, 2.0]]), sg.generator(0)), "probabilities"),
        (lambda: pre.dequantise(np.array([[0.5]]), 4, sg.generator(0)), "levels are integers"),
        (lambda: pre.dequantise(np.array([[4]]), 4, sg.generator(0)), "levels are integers"),
    ],
)
def test_what_has_no_such_form_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
