"""What the command line knows of each model: its settings, how it is built, judged and drawn."""

from typing import Any

from .classifier import CNNRecipe, FFNNRecipe
from .data import Data
from .ddpm import DDPMRecipe
from .ebm import EBMRecipe
from .gan import GANRecipe
from .pictures import pictures
from .rbm import RBMRecipe
from .recipe import Recipe
from .recognition import recognised
from .score import ScoreRecipe
from .vae import VAERecipe

RECIPES: dict[str, Recipe[Any]] = {
    "ffnn": FFNNRecipe(),
    "cnn": CNNRecipe(),
    "rbm": RBMRecipe(),
    "ebm": EBMRecipe(),
    "vae": VAERecipe(),
    "gan": GANRecipe(),
    "score": ScoreRecipe(),
    "ddpm": DDPMRecipe(),
}

__all__ = ["RECIPES", "Data", "Recipe", "pictures", "recognised"]
