"""Programs written for earlier releases import what they imported."""

import importlib

import pytest

import scratchgen as sg
from scratchgen import estimators, models
from scratchgen.models import diffusion

PLACES = {
    "classifier": (models.feed_forward, ["Classifier", "confusion_matrix"]),
    "ddpm": (diffusion.ddpm, ["DDPM", "lecture", "with_unet", "DiffusionWarning"]),
    "estimator": (estimators.feed_forward, ["FeedForwardClassifier"]),
    "rbm_features": (estimators.rbm, ["RBMFeatures"]),
    "regressor": (models.feed_forward, ["Regressor"]),
    "unet": (diffusion.denoisers, ["UNet", "PlainDenoiser"]),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_module_of_models_is_imported_under_its_former_name(name):
    home, names = PLACES[name]
    former = importlib.import_module(f"scratchgen.models.{name}")
    for public in names:
        assert getattr(former, public) is getattr(home, public)
        assert getattr(getattr(models, name), public) is getattr(home, public)


def test_schedules_and_optimizers_are_found_where_they_were():
    from scratchgen.models.ddpm import cosine_schedule
    from scratchgen.models.estimator import build_optimizer

    assert cosine_schedule is diffusion.noising.cosine_schedule
    assert build_optimizer is sg.optim.by_name.build_optimizer


@pytest.mark.parametrize("name", ["FeedForwardClassifier", "FeedForwardRegressor", "RBMFeatures"])
def test_estimators_are_among_the_models_too(name):
    assert getattr(models, name) is getattr(estimators, name)


def test_a_name_that_was_never_there_is_missing():
    with pytest.raises(AttributeError, match="has no attribute 'Perceptron'"):
        _ = models.Perceptron
