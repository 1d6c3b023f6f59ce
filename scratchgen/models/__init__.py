"""Generative models: each file reads like its section of the notes."""

from . import vae
from .vae import VAE

__all__ = ["VAE", "vae"]
