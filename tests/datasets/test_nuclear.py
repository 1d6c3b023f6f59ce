"""The table of nuclear masses, and the liquid drop."""

import os
import pathlib

import numpy as np
import pytest

from scratchgen.datasets import nuclear
from scratchgen.models import linear


@pytest.fixture
def line():
    """Two rows as they are printed, the second one an estimate."""
    return [
        "   0    2    2    4 He         2424.91561    0.00006   7073.915    0.000 B- -22898.273  ",
        "  -3    0    3    3 Li  -pp   28667#      2000#       -2267#     667#    B-      *      ",
    ]


def test_the_columns_are_cut_by_their_width(line):
    nuclei = nuclear._table(line)
    assert nuclei.N.tolist() == [2, 0]
    assert nuclei.Z.tolist() == [2, 3]
    assert nuclei.A.tolist() == [4, 3]
    assert nuclei.symbol.tolist() == ["He", "Li"]
    assert nuclei.estimated.tolist() == [False, True]
    np.testing.assert_allclose(nuclei.binding_energy, [4 * 7.073915, -3 * 2.267])
    np.testing.assert_allclose(nuclei.uncertainty, [0, 3 * 0.667])


def test_the_terms_of_the_liquid_drop_are_the_printed_ones():
    N, Z = np.array([30, 31, 31]), np.array([26, 27, 26])
    for row, (n, z) in zip(nuclear.liquid_drop(N, Z), zip(N, Z, strict=True), strict=True):
        A = n + z
        delta = 1 if n % 2 == z % 2 == 0 else -1 if n % 2 and z % 2 else 0
        printed = [A, -(A ** (2 / 3)), -z * (z - 1) / A ** (1 / 3), -((n - z) ** 2) / A]
        np.testing.assert_allclose(row, [*printed, delta / A**0.5], rtol=1e-12)


def test_a_magic_nucleus_is_at_distance_zero_with_its_shell_full():
    features = nuclear.shell_features(np.array([126, 120]), np.array([82, 81]))
    np.testing.assert_allclose(features[0], [126, 82, 0, 0, 0, 1, 0, 1])
    np.testing.assert_allclose(features[1], [120, 81, 0, 1, 6, 38 / 44, 1, 31 / 32])


def test_another_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "mass16.txt").write_text("another")
    monkeypatch.setenv("SCRATCHGEN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"is not AME2016's mass16\.txt.*delete it"):
        nuclear.nuclear_masses()


@pytest.fixture
def masses():
    folder = pathlib.Path(os.environ.get("SCRATCHGEN_DATA") or "absent")
    if not any((folder / place / "mass16.txt").is_file() for place in (".", "nuclear")):
        pytest.skip("SCRATCHGEN_DATA names no folder that holds AME2016's mass16.txt")
    return nuclear.nuclear_masses()


def test_the_published_table_holds_what_was_measured(masses):
    everything = nuclear.nuclear_masses(estimated=True)
    assert (len(masses.N), len(everything.N)) == (2498, 3436)
    iron = (masses.N == 30) & (masses.Z == 26)
    assert masses.symbol[iron].tolist() == ["Fe"]
    np.testing.assert_allclose(masses.binding_energy[iron], 56 * 8.790354, atol=1e-4)


def test_the_liquid_drop_explains_all_but_three_MeV(masses):
    heavy = (masses.N >= 8) & (masses.Z >= 8)
    X = nuclear.liquid_drop(masses.N[heavy], masses.Z[heavy])
    B = masses.binding_energy[heavy]
    theta = linear.ols(X, B)
    rest = np.sqrt(((B - X @ theta) ** 2).mean())
    assert 3.0 < rest < 3.2
    np.testing.assert_allclose(theta, [15.56, 17.34, 0.705, 22.88, 12.0], rtol=1e-2)
