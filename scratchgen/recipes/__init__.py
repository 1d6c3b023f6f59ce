"""What the command line knows of each model: its settings, how it is built, judged and drawn."""

from .classifier import CNNRecipe, FFNNRecipe
from .data import Data
from .gan import GANRecipe
from .recipe import Recipe
from .vae import VAERecipe

RECIPES: dict[str, Recipe] = {
    "ffnn": FFNNRecipe(),
    "cnn": CNNRecipe(),
    "vae": VAERecipe(),
    "gan": GANRecipe(),
}

__all__ = ["RECIPES", "Data", "Recipe"]
