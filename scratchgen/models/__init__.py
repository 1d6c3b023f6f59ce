"""Models, from linear to generative: each file reads like its section of the notes.

Estimators with ``fit(X, y)`` are in ``scratchgen.estimators``.
"""

from . import diffusion, energy, feed_forward, gan, hierarchical_vae, linear, rbm, vae
from .diffusion import ddpm
from .diffusion.ddpm import DDPM
from .diffusion.denoisers import DenseDenoiser, PlainDenoiser, TimedMLP, UNet
from .diffusion.score import ScoreModel
from .diffusion.vdm import VDM
from .energy import EnergyModel
from .feed_forward import Classifier, Regressor
from .gan import GAN
from .hierarchical_vae import HierarchicalVAE
from .rbm import RBM
from .vae import IWAE, VAE

__all__ = [
    "DDPM",
    "GAN",
    "IWAE",
    "RBM",
    "VAE",
    "VDM",
    "Classifier",
    "DenseDenoiser",
    "EnergyModel",
    "HierarchicalVAE",
    "PlainDenoiser",
    "Regressor",
    "ScoreModel",
    "TimedMLP",
    "UNet",
    "ddpm",
    "diffusion",
    "energy",
    "feed_forward",
    "gan",
    "hierarchical_vae",
    "linear",
    "rbm",
    "vae",
]
