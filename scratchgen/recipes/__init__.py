"""What the command line knows of each model: its settings, how it is built, judged and drawn."""

from typing import Any

from .classifier import CNNRecipe, FFNNRecipe
from .data import Data
from .ddpm import DDPMRecipe
from .gan import GANRecipe
from .hvae import HVAERecipe
from .pictures import pictures
from .rbm import RBMRecipe
from .recipe import Recipe
from .recognition import recognised
from .vae import VAERecipe
from .vdm import VDMRecipe

RECIPES: dict[str, Recipe[Any]] = {
    "ffnn": FFNNRecipe(),
    "cnn": CNNRecipe(),
    "rbm": RBMRecipe(),
    "vae": VAERecipe(),
    "hvae": HVAERecipe(),
    "gan": GANRecipe(),
    "ddpm": DDPMRecipe(),
    "vdm": VDMRecipe(),
}

__all__ = ["RECIPES", "Data", "Recipe", "pictures", "recognised"]
