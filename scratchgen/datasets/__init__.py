"""The data of the notes: observations, before any model.

Each loader of images returns ``(images, labels)``. Images are float32, with the samples first and
the channels second; labels are int64, one per image (or text, if a file has text). A loader
downloads its data only when it is called. ``preprocessing`` holds transformations of data and their
inverses.
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
