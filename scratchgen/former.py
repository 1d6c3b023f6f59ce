"""Names of earlier releases, so that programs written for them still run."""

from __future__ import annotations

import sys
from types import ModuleType

from . import estimators, models
from .models.diffusion import ddpm, denoisers, noising
from .optim import by_name

MODULES = {
    "classifier": (models.feed_forward, estimators.feed_forward),
    "ddpm": (noising, ddpm),
    "estimator": (by_name, estimators.feed_forward),
    "rbm_features": (estimators.rbm,),
    "regressor": (models.feed_forward, estimators.feed_forward),
    "unet": (denoisers,),
}
"""Former modules of ``scratchgen.models``, each with the modules that hold its content now."""
CLASSES = (
    estimators.FeedForwardClassifier,
    estimators.FeedForwardRegressor,
    estimators.RBMFeatures,
)
"""Former classes of ``scratchgen.models``."""


def install() -> None:
    """Add these modules and classes to ``scratchgen.models`` under their former names."""
    for kind in CLASSES:
        setattr(models, kind.__name__, kind)
    for name, homes in MODULES.items():
        former = ModuleType(f"{models.__name__}.{name}", homes[-1].__doc__)
        for home in homes:
            public = {key: value for key, value in vars(home).items() if not key.startswith("__")}
            vars(former).update(public)
        sys.modules[former.__name__] = former
        if not hasattr(models, name):
            setattr(models, name, former)
