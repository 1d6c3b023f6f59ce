"""What the command line knows of each model: its settings, how it is built, judged and drawn."""

from .data import Data
from .recipe import Recipe
from .vae import VAERecipe

RECIPES: dict[str, Recipe] = {"vae": VAERecipe()}

__all__ = ["RECIPES", "Data", "Recipe"]
