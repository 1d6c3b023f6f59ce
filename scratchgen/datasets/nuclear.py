r"""Nuclear masses: the evaluation AME2016 for every known nucleus.

A nucleus of Z protons and N neutrons, A = N + Z, has a binding energy B(N, Z) > 0, by which it is
lighter than its parts. The *liquid drop* explains nearly all of it with five terms,

    B = a_V A − a_S A^⅔ − a_C Z(Z − 1)/A^⅓ − a_A (N − Z)²/A + a_P δ/√A,

volume, surface, Coulomb repulsion, asymmetry and pairing, where δ is 1 for even N and Z, −1 for odd
N and Z, and 0 otherwise. The formula is a linear model in its coefficients. The remainder, several
MeV out of hundreds, is the shell structure: nuclei with 8, 20, 28, 50, 82 or 126 protons or
neutrons are bound more tightly.

Sources: the notes, "Simple example, fitting nuclear masses"; M. Wang et al., "The AME2016 atomic
mass evaluation (II)", Chinese Physics C 41 (2017) 030003; von Weizsäcker 1935; Bethe and Bacher
1936.
"""

from __future__ import annotations

import gzip
import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .published import check_published, published_file

URL = "https://www-nds.iaea.org/amdc/ame2016/mass16.txt"
SHA256 = "2167f57a2a98331e4649b2dd2b658a9006ed4fba1975729ebfe52a42b4b9218a"
HEADER = 39  # lines
MAGIC = (2, 8, 20, 28, 50, 82, 126, 184)
"""The numbers of protons, or neutrons, at which a shell is full."""


class Nuclei(NamedTuple):
    """Nuclei, one in each row; energies in MeV."""

    N: NDArray[np.int64]
    """Neutrons, (n,)."""
    Z: NDArray[np.int64]
    """Protons, (n,)."""
    symbol: NDArray[np.str_]
    """The symbol of the element, (n,)."""
    binding_energy: NDArray[np.float64]
    """B of the whole nucleus, (n,)."""
    uncertainty: NDArray[np.float64]
    """One standard deviation of B, (n,)."""
    estimated: NDArray[np.bool_]
    """Whether B is estimated from the neighbours instead of measured, (n,)."""

    @property
    def A(self) -> NDArray[np.int64]:
        """N + Z, (n,)."""
        return self.N + self.Z


def nuclear_masses(estimated: bool = False) -> Nuclei:
    """The nuclei of AME2016 with measured masses, or with ``estimated`` all of them.

    The file ``mass16.txt`` is looked for in the folder SCRATCHGEN_DATA and in its subfolder
    ``nuclear``, then in the user's cache, into which it is downloaded once (0.4 MB). Its columns
    have fixed widths, and "#" in place of the decimal point marks an estimate.

    Raises ValueError for a file whose content is not the published one, RuntimeError when it is in
    neither place and cannot be downloaded.
    """
    path = published_file("nuclear", "mass16.txt", URL, f"sha256:{SHA256}")
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    hashed, came = "the SHA-256 of its content", hashlib.sha256(content).hexdigest()
    check_published(path, "AME2016's mass16.txt", hashed, came, SHA256)
    nuclei = _table(content.decode("ascii").splitlines()[HEADER:])
    return nuclei if estimated else Nuclei._make(c[~nuclei.estimated] for c in nuclei)


def _table(lines: list[str]) -> Nuclei:
    """The columns: N and Z in 5 characters from 5 on, the symbol at 20, B/A in keV from 52 on."""
    energies = [line[52:63] for line in lines]
    A = np.array([int(line[15:19]) for line in lines])

    def MeV(texts: list[str]) -> NDArray[np.float64]:
        return A * np.array([float(text.replace("#", ".")) for text in texts]) / 1000

    return Nuclei(
        np.array([int(line[5:9]) for line in lines]),
        np.array([int(line[10:14]) for line in lines]),
        np.array([line[20:23].strip() for line in lines]),
        MeV(energies),
        MeV([line[63:72] for line in lines]),
        np.array(["#" in text for text in energies]),
    )


def liquid_drop(N: NDArray[np.int64], Z: NDArray[np.int64]) -> NDArray[np.float64]:
    """The design matrix of the liquid drop, (n, 5): B = X θ with θ = (a_V, a_S, a_C, a_A, a_P).

    The terms have the signs of B, so that all coefficients are positive: about 16, 18, 0.7, 23 and
    12 MeV.
    """
    A = (N + Z).astype(np.float64)
    delta = 1.0 - N % 2 - Z % 2
    columns = [
        A,
        -(A ** (2 / 3)),
        -Z * (Z - 1) / A ** (1 / 3),
        -((N - Z) ** 2) / A,
        delta / np.sqrt(A),
    ]
    return np.stack(columns, axis=1)


def shell_features(N: NDArray[np.int64], Z: NDArray[np.int64]) -> NDArray[np.float64]:
    """Features for the remainder: N, Z, their parities, and their positions in a shell, (n, 8).

    The positions are the distance to the nearest magic number, and the filled share of the shell.
    """
    magic = np.array(MAGIC)

    def distances(count: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        nearest = np.abs(count[:, None] - magic).min(axis=1)
        above = np.clip(np.searchsorted(magic, count), 1, len(magic) - 1)
        filled = (count - magic[above - 1]) / (magic[above] - magic[above - 1])
        return [nearest.astype(np.float64), filled]

    columns = [N, Z, N % 2, Z % 2, *distances(N), *distances(Z)]
    return np.stack(columns, axis=1).astype(np.float64)
