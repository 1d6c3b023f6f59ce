"""The toys have the density that they state."""

import math

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.datasets import toys


@pytest.mark.parametrize("name", toys.TOYS)
def test_a_toy_is_points_of_the_plane_and_their_parts(name):
    x, part = toys.toy2d(name, 500, sg.generator(0))
    assert (x.shape, x.dtype, part.shape, part.dtype) == ((500, 2), np.float32, (500,), np.int64)
    np.testing.assert_array_equal(x, toys.toy2d(name, 500, sg.generator(0))[0])
    assert len(np.unique(part)) == {"ring": 8, "moons": 2}.get(name, 1)


@pytest.mark.parametrize("name", ["ring", "laplace"])
def test_the_density_integrates_to_one(name):
    side = np.linspace(-12, 12, 1201)
    x = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    cell = (side[1] - side[0]) ** 2
    # The trapezoid rule of an analytic density is exact to rounding; the Laplace density has kinks.
    tolerance = 1e-9 if name == "ring" else 1e-3
    assert np.exp(toys.log_density(name, x)).sum() * cell == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize(("name", "entropy"), [("ring", 1.696), ("laplace", 2 + math.log(2))])
def test_the_samples_have_the_stated_log_density(name, entropy):
    x, _ = toys.toy2d(name, 100_000, sg.generator(1))
    log_p = toys.log_density(name, x.astype(np.float64))
    # Three standard errors, and half of the last digit that is stated.
    assert abs(log_p.mean() + entropy) < 3 * log_p.std() / math.sqrt(len(x)) + 5e-4


def test_the_laplace_variables_have_variance_1_and_kurtosis_3():
    x, _ = toys.toy2d("laplace", 200_000, sg.generator(2))
    s = x.astype(np.float64) @ np.linalg.inv(toys.MIXING).T
    n = len(s)
    # Var s² = 24/4 − 1 = 5, and E s⁴ = 6 with Var s⁴ = 8!/16 − 36 = 2484
    np.testing.assert_allclose((s**2).mean(axis=0), 1, atol=4 * math.sqrt(5 / n))
    np.testing.assert_allclose((s**4).mean(axis=0), 6, atol=4 * math.sqrt(2484 / n))
    assert abs((s[:, 0] * s[:, 1]).mean()) < 4 / math.sqrt(n)
    assert np.linalg.det(toys.MIXING) == pytest.approx(1)


def test_the_ring_has_eight_gaussians_of_its_spread():
    x, part = toys.toy2d("ring", 80_000, sg.generator(3))
    for k in range(8):
        mode = x[part == k].astype(np.float64)
        centre = 2 * np.array([math.cos(math.pi * k / 4), math.sin(math.pi * k / 4)])
        error = 0.2 / math.sqrt(len(mode))
        np.testing.assert_allclose(mode.mean(axis=0), centre, atol=5 * error)
        np.testing.assert_allclose(mode.std(axis=0), 0.2, atol=5 * error)


def test_bars_and_stripes_come_once_each():
    for size in (1, 2, 4):
        images = toys.bars_and_stripes(size)
        assert len(images) == 2 * 2**size - 2 or size == 1
        assert len({image.tobytes() for image in images}) == len(images)
        for image in images:
            stripes = (image == image[:, :1]).all()
            assert stripes or (image == image[:1]).all()


def test_the_truth_table_and_the_polynomial():
    x, y = toys.xor()
    np.testing.assert_array_equal(y, x[:, 0] != x[:, 1])
    x, y = toys.polynomial(100, sg.generator(0))
    np.testing.assert_allclose(y, (x[:, 0] + x[:, 1]) ** 2 + x[:, 0] * x[:, 1] + 5)


@pytest.mark.parametrize(("name", "n"), [("circle", 5), ("ring", 0)])
def test_unknown_toys_and_no_points_are_refused(name, n):
    with pytest.raises(ValueError, match=r"a toy is one of ring|n is at least 1"):
        toys.toy2d(name, n, sg.generator(0))


def test_a_density_without_closed_form_is_refused():
    with pytest.raises(ValueError, match="no closed form here"):
        toys.log_density("moons", np.zeros((1, 2)))


@pytest.mark.parametrize("sigma", [0.0, 0.3, 2.0])
def test_the_score_of_the_ring_is_the_slope_of_its_log_density(sigma):
    variance = 0.2**2 + sigma**2
    angle = 2 * math.pi * np.arange(8) / 8
    modes = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def log_p(x):  # complex steps need no derivative, and lose no digit
        squares = ((x[:, None] - modes) ** 2).sum(axis=2)
        return np.log(np.exp(-squares / (2 * variance)).sum(axis=1))

    x = modes[:5] + 0.3 * np.random.default_rng(0).standard_normal((5, 2))
    steps = 1e-30j * np.eye(2)
    slope = np.stack([log_p(x + step).imag / 1e-30 for step in steps], axis=1)
    np.testing.assert_allclose(toys.ring_score(x, sigma), slope, rtol=1e-11)


@pytest.mark.parametrize("name", toys.DEVIATION)
def test_a_toy_lies_within_its_noise_of_its_skeleton(name):
    x, part = toys.toy2d(name, 20_000, sg.generator(4))
    points, of_point = toys.skeleton(name)
    squares = np.stack([((x - point) ** 2).sum(axis=1) for point in points], axis=1)
    assert np.array_equal(np.unique(of_point), np.unique(part))
    # Within three deviations of a point lie 1 − e^{−4.5} of two normal numbers; of a curve, more.
    near = squares.min(axis=1) < (3 * toys.DEVIATION[name]) ** 2
    least = 1 - math.exp(-4.5)
    error = math.sqrt(least * (1 - least) / len(x))
    assert near.mean() > least - 4 * error
    if name == "ring":
        # Neighbours overlap a little, from 3 deviations on: some 0.02 % more.
        assert near.mean() < least + 4 * error + 1e-3


def test_what_has_no_skeleton_says_what_has_one():
    with pytest.raises(ValueError, match="ring, moons and swirl have one"):
        toys.skeleton("laplace")
