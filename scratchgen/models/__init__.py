"""Models, from linear to generative: each file reads like its section of the notes.

Estimators with ``fit(X, y)`` are in ``scratchgen.estimators``.
"""

from . import (
    autoencoder,
    conditions,
    diffusion,
    energy,
    feed_forward,
    gan,
    hierarchical_vae,
    linear,
    pca,
    rbm,
    vae,
)
from .autoencoder import Autoencoder
from .conditions import WithLabel
from .diffusion import ddpm
from .diffusion.ddpm import DDPM
from .diffusion.denoisers import DenseDenoiser, LabelledDenoiser, PlainDenoiser, TimedMLP, UNet
from .diffusion.score import ScoreModel
from .diffusion.vdm import VDM
from .energy import EnergyModel
from .feed_forward import Classifier, Regressor
from .gan import GAN
from .hierarchical_vae import HierarchicalVAE
from .pca import PCA
from .rbm import RBM
from .vae import IWAE, VAE

__all__ = [
    "DDPM",
    "GAN",
    "IWAE",
    "PCA",
    "RBM",
    "VAE",
    "VDM",
    "Autoencoder",
    "Classifier",
    "DenseDenoiser",
    "EnergyModel",
    "HierarchicalVAE",
    "LabelledDenoiser",
    "PlainDenoiser",
    "Regressor",
    "ScoreModel",
    "TimedMLP",
    "UNet",
    "WithLabel",
    "autoencoder",
    "conditions",
    "ddpm",
    "diffusion",
    "energy",
    "feed_forward",
    "gan",
    "hierarchical_vae",
    "linear",
    "pca",
    "rbm",
    "vae",
]
