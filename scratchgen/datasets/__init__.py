"""The data that the notes train on: what was observed, before any model.

Each loader of images returns ``(images, labels)``: images float32, samples first, channels second;
labels, one per image, int64 (text where a file has text). Nothing is downloaded before a loader
that needs it is called. ``preprocessing`` holds what is done to data, with the way back.
"""

from . import preprocessing
from .digits import digits
from .fashion import fashion_mnist
from .from_file import DataWarning, from_file
from .ising import ising, ising_energy, ising_moments
from .mnist import mnist
from .nuclear import liquid_drop, nuclear_masses
from .toys import bars_and_stripes, polynomial, toy2d, xor

__all__ = [
    "DataWarning",
    "bars_and_stripes",
    "digits",
    "fashion_mnist",
    "from_file",
    "ising",
    "ising_energy",
    "ising_moments",
    "liquid_drop",
    "mnist",
    "nuclear_masses",
    "polynomial",
    "preprocessing",
    "toy2d",
    "xor",
]
