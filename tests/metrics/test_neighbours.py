"""Precision, recall, density and coverage against their definitions and their expectations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen.metrics import precision_recall_density_coverage as prdc


def normal(n, D=3, seed=0):
    return sg.generator(seed).standard_normal((n, D))


def by_loops(y, x, k):
    """The four sums as they are printed."""

    def radius(points, i):
        distances = [math.dist(points[i], other) for j, other in enumerate(points) if j != i]
        return sorted(distances)[k - 1]

    in_real = [[math.dist(a, b) <= radius(x, i) for b in y] for i, a in enumerate(x)]
    in_sampled = [[math.dist(a, b) <= radius(y, j) for j, b in enumerate(y)] for a in x]
    n, m = len(y), len(x)
    precision = sum(any(in_real[i][j] for i in range(m)) for j in range(n)) / n
    recall = sum(any(row) for row in in_sampled) / m
    density = sum(map(sum, in_real)) / (k * n)
    coverage = sum(any(row) for row in in_real) / m
    return precision, recall, density, coverage


@given(st.integers(4, 8), st.integers(4, 8), st.integers(1, 3), st.integers(0, 99))
def test_they_are_the_sums_of_their_definitions(n, m, k, seed):
    y, x = normal(n, 2, seed), normal(m, 2, seed + 100)
    assert prdc(y, x, k) == pytest.approx(by_loops(y, x, k), rel=1e-14)


def test_of_one_distribution_density_and_coverage_have_their_expectations():
    n, k = 20, 3
    trials = np.array(
        [prdc(normal(n, seed=2 * i), normal(n, seed=2 * i + 1), k) for i in range(400)]
    )
    mean, error = trials.mean(axis=0), trials.std(axis=0) / math.sqrt(len(trials))
    coverage = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    assert abs(mean[2] - 1) <= 5 * error[2]
    assert abs(mean[3] - coverage) <= 5 * error[3]


def test_real_samples_themselves_have_every_share_1():
    x = normal(30)
    precision, recall, _, coverage = prdc(x, x)
    assert precision == recall == coverage == 1


def test_samples_of_one_mode_of_two_are_precise_and_recall_half():
    left, right = normal(40) - 50, normal(40, seed=1) + 50
    precision, recall, _, coverage = prdc(left.copy(), np.concatenate([left, right]))
    assert precision == 1
    assert recall == coverage == 0.5


def test_samples_far_from_the_data_have_every_share_0():
    assert prdc(normal(30) + 100, normal(30)) == (0, 0, 0, 0)


def test_a_real_outlier_makes_samples_precise_that_the_density_exposes():
    reals = np.concatenate([normal(100, 2), [[100.0, 0.0]]])
    samples = normal(100, 2, seed=1) + np.array([50, 0])
    precision, _, density, _ = prdc(samples, reals)
    assert precision > 0.4  # the ball of the outlier reaches back to the data
    assert density <= 1 / 5  # and is the only one


@pytest.mark.parametrize("k", [0, 4])
def test_balls_that_reach_to_no_neighbour_are_refused(k):
    with pytest.raises(ValueError, match=f"got k = {k} for 4 and 9"):
        prdc(normal(4), normal(9), k)


def test_those_of_the_device_are_those_of_the_host(on_device):
    y, x = normal(30), 0.5 + normal(40, seed=1)
    assert prdc(on_device(y), on_device(x)) == pytest.approx(prdc(y, x), rel=1e-12)
