"""The recipes of the command line: how each model is set up, trained, evaluated and drawn."""

from typing import Any

from .classifier import CNNRecipe, FFNNRecipe
from .data import Data
from .ddpm import DDPMRecipe
from .ebm import EBMRecipe
from .gan import GANRecipe
from .hvae import HVAERecipe
from .pictures import pictures
from .rbm import GaussianRBMRecipe, RBMRecipe
from .recipe import Recipe
from .recognition import recognised
from .score import ScoreRecipe
from .vae import IWAERecipe, VAERecipe
from .vdm import VDMRecipe

RECIPES: dict[str, Recipe[Any]] = {
    "ffnn": FFNNRecipe(),
    "cnn": CNNRecipe(),
    "rbm": RBMRecipe(),
    "gaussian-rbm": GaussianRBMRecipe(),
    "ebm": EBMRecipe(),
    "vae": VAERecipe(),
    "iwae": IWAERecipe(),
    "hvae": HVAERecipe(),
    "gan": GANRecipe(),
    "score": ScoreRecipe(),
    "ddpm": DDPMRecipe(),
    "vdm": VDMRecipe(),
}

__all__ = ["RECIPES", "Data", "Recipe", "pictures", "recognised"]
