"""Plotting: what each picture shows, where, and what it refuses."""

import base64
import os
import pickle
import subprocess
import sys
from io import BytesIO
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from PIL import Image

from scratchgen import plotting

few = settings(deadline=None, max_examples=20)  # an example draws a whole figure


def shown(ax):
    """The mosaic as drawn: NaN, or α = 0, where it is blank."""
    (image,) = ax.images
    array = image.get_array()
    return array.filled(np.nan) if array.ndim == 2 else np.asarray(array)


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape)


def recording(image_shape=(3, 3)):
    """A decoder that remembers its latents, and answers each with images of its own number."""
    calls = []

    def decode(latents):
        calls.append(latents.copy())
        numbers = np.arange(len(latents)) / len(latents)
        return np.broadcast_to(numbers.reshape(-1, 1, 1), (len(latents), *image_shape))

    return decode, calls


# learning_curves


def test_value_k_of_a_curve_stands_at_epoch_first_epoch_plus_k():
    ax = plotting.learning_curves({"cost": [3.0, 2.0, 1.5]}, first_epoch=4, ylabel="nats")
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), [4, 5, 6])
    np.testing.assert_array_equal(line.get_ydata(), [3.0, 2.0, 1.5])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "nats")


def test_one_curve_needs_no_legend_and_two_are_named():
    assert plotting.learning_curves({"cost": [1.0, 2.0]}).get_legend() is None
    ax = plotting.learning_curves({"D": [1.0, 2.0], "G": np.array([3.0])})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["D", "G"]


def test_the_first_epoch_alone_is_visible_and_named_by_a_whole_number():
    ax = plotting.learning_curves({"cost": [0.5]})
    (line,) = ax.lines
    assert line.get_marker() == "o"
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]


@pytest.mark.parametrize("epochs", [2, 3, 7, 50, 1000])
def test_epochs_are_marked_at_whole_numbers(epochs):
    ax = plotting.learning_curves({"cost": np.linspace(1, 0, epochs)})
    ticks = ax.get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_cost_that_is_not_finite_is_refused_with_its_name_and_place(wrong):
    with pytest.raises(ValueError, match=rf"curve 'G'.*{wrong} at index \[2\].*expected finite"):
        plotting.learning_curves({"D": [1.0], "G": [1.0, 2.0, wrong]})


def test_curves_without_values_are_refused():
    with pytest.raises(ValueError, match="curves is empty: pass"):
        plotting.learning_curves({})
    with pytest.raises(ValueError, match=r"curve 'cost' is empty, of shape \(0,\): pass"):
        plotting.learning_curves({"cost": []})
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected one number per epoch: take"):
        plotting.learning_curves({"cost": [[1.0, 2.0]]})


@given(
    n=st.integers(4, 200), early=st.floats(-1e3, 1e3), k=st.integers(1, 20), seed=st.integers(0, 99)
)
@few
def test_at_most_one_epoch_in_twenty_lies_beyond_the_edge_and_only_where_it_flattens_the_others(
    n, early, k, seed
):
    y = np.random.default_rng(seed).uniform(size=n)
    y[:k] += early
    ax = plotting.learning_curves({"cost": y}, first_epoch=7)
    low, high = ax.get_ylim()
    beyond = np.flatnonzero((y < low) | (y > high))
    assert (beyond < max(1, n // 20)).all()
    if len(beyond):
        assert np.ptp(y) > 4 * np.ptp(y[max(1, n // 20) :])
        worst = y[np.abs(y - y[beyond[-1] + 1 :].mean()).argmax()]
        which = "epoch 7" if beyond[-1] == 0 else f"epochs 7 to {7 + beyond[-1]}"
        assert ax.get_xlabel() == f"epoch (beyond the edge: {which}, as far as {worst:.4g})"
    else:
        assert ax.get_xlabel() == "epoch"


def test_the_first_epoch_of_a_curve_that_it_would_flatten_is_beyond_the_edge_which_is_said():
    ax = plotting.learning_curves({"F": [900.0, 5.0, 4.0, 3.0, 2.0, 1.0], "gap": [1.0] * 6})
    assert ax.get_ylim() == pytest.approx((0.8, 5.2))
    assert ax.get_xlabel() == "epoch (beyond the edge: epoch 1, as far as 900)"
    # A constant has no height of its own, and axes that are given may hold more than these curves.
    assert plotting.learning_curves({"cost": [9.0] + 9 * [1.0]}).get_ylim()[1] > 9
    ax = plotting.learning_curves({"F": [900.0, 5.0, 4.0, 3.0, 2.0, 1.0]}, ax)
    assert ax.get_xlabel() == "epoch"


# learning_panels


def test_levels_are_dashed_lines_in_the_colours_of_the_curves_and_within_the_limits():
    ax = plotting.learning_curves({"cost": [3.0, 2.0, 1.5], "test cost": [3.0, 2.5, 2.4]})
    assert plotting.levels(ax, {"optimum": 1.0, "of others": 4.0}) is ax
    cost, test, optimum, others = ax.lines
    assert [line.get_color() for line in (optimum, others)] == [
        pytest.approx(to_rgb(line.get_color())) for line in (cost, test)
    ]
    np.testing.assert_array_equal([optimum.get_ydata(), others.get_ydata()], [[1, 1], [4, 4]])
    low, high = ax.get_ylim()
    assert low < 1 < 4 < high
    assert [text.get_text() for text in ax.get_legend().get_texts()][2:] == ["optimum", "of others"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_level_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="level 'optimum': 1 of 1 values not finite"):
        plotting.levels(plotting.learning_curves({"cost": [1.0]}), {"optimum": value})


# penalty_paths


def test_each_coefficient_is_a_line_over_a_logarithmic_penalty_with_its_limit_marked():
    lams, theta = np.array([1.0, 0.1, 0.01]), np.arange(6.0).reshape(3, 2)
    ax = plotting.penalty_paths(lams, theta, names=["a", "b"], limit=0.5)
    a, b, limit, _ = ax.lines
    for line, column in ((a, theta[:, 0]), (b, theta[:, 1])):
        np.testing.assert_array_equal(line.get_xdata(), lams)
        np.testing.assert_array_equal(line.get_ydata(), column)
    np.testing.assert_array_equal(limit.get_xdata(), 0.5)
    assert ax.get_xscale() == "log"
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["a", "b", r"$\lambda_{max}$"]
    assert plotting.penalty_paths(lams, theta).get_legend() is None


@pytest.mark.parametrize(
    ("lams", "theta", "names", "message"),
    [
        ([1.0, 0.0], np.ones((2, 2)), (), "expected λ > 0"),
        ([1.0], np.ones((2, 2)), (), "one row of coefficients for each λ"),
        ([1.0, 2.0], np.ones(2), (), "one row of coefficients for each λ"),
        ([1.0, 2.0], np.ones((2, 2)), ("a",), "1 for 2 coefficients"),
    ],
)
def test_what_is_no_path_is_refused(lams, theta, names, message):
    with pytest.raises(ValueError, match=message):
        plotting.penalty_paths(lams, theta, names=names)


def test_panels_are_one_above_the_other_and_share_their_epochs():
    top = plotting.learning_panels(
        {"nats": {"D": [1.4, 1.3], "G": [0.7, 0.8]}, "probability": {"D(x)": [0.6, 0.5]}},
        first_epoch=3,
    )
    assert top is top.figure.axes[0]
    _, below = top.figure.axes
    assert (top.get_ylabel(), below.get_ylabel()) == ("nats", "probability")
    assert [len(ax.lines) for ax in (top, below)] == [2, 1]
    assert top.get_xlim() == below.get_xlim()
    np.testing.assert_array_equal(below.lines[0].get_xdata(), [3, 4])
    top.figure.draw_without_rendering()
    assert top.get_position().y0 > below.get_position().y1
    assert (top.get_xlabel(), below.get_xlabel()) == ("", "epoch")


def test_panels_without_curves_are_refused():
    with pytest.raises(ValueError, match="panels is empty: pass"):
        plotting.learning_panels({})
    with pytest.raises(ValueError, match="curves is empty: pass"):
        plotting.learning_panels({"nats": {}})


# delta_norms


def test_the_norm_of_each_layer_stands_at_its_name_on_a_logarithmic_axis():
    ax = plotting.delta_norms({"out": 1.0, "hidden": 0.1, "in": 0.01})
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
    np.testing.assert_array_equal(line.get_ydata(), [1.0, 0.1, 0.01])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["out", "hidden", "in"]
    assert ax.get_yscale() == "log"
    assert "× 0.1 " in ax.get_legend().get_texts()[0].get_text()


def test_a_layer_that_no_delta_reaches_is_marked_on_the_lower_edge():
    ax = plotting.delta_norms({"out": 1.0, "dead": 0.0, "in": 0.0})
    reached, dead = ax.lines
    np.testing.assert_array_equal(reached.get_xdata(), [0])
    np.testing.assert_array_equal(dead.get_xdata(), [1, 2])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["no δ arrives"]
    ax.figure.draw_without_rendering()


def test_hundreds_of_layers_have_names_that_can_be_read():
    ax = plotting.delta_norms({f"layer.{k}": 0.5**k for k in range(300)})
    assert len(ax.get_xticks()) <= 25
    assert ax.get_xticklabels()[1].get_text() == "layer.13"


@pytest.mark.parametrize(
    ("norms", "message"),
    [
        ({}, "norms is empty: pass at least one layer"),
        ({"a": 1.0, "b": np.inf}, "norms: 1 of 2 values not finite"),
        ({"a": -1.0}, "one is -1, expected none below 0"),
    ],
)
def test_what_is_no_norm_is_refused(norms, message):
    with pytest.raises(ValueError, match=message):
        plotting.delta_norms(norms)


# confusion_matrix


def test_the_confusion_matrix_shades_shares_of_a_row_and_writes_counts():
    counts = np.array([[90, 10, 0], [0, 4, 0], [1, 2, 997]])
    ax = plotting.confusion_matrix(counts, classes=["a", "b", "c"])
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shown(ax), np.sqrt(shares))
    written = {tuple(map(int, t.get_position()))[::-1]: t.get_text() for t in ax.texts}
    assert written == {tuple(map(int, k)): f"{counts[tuple(k)]}" for k in np.argwhere(counts)}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c"]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("class", "taken for")


def test_a_class_without_samples_is_a_blank_row():
    assert not shown(plotting.confusion_matrix([[3, 1], [0, 0]]))[1].any()


def test_the_counts_of_many_classes_are_shaded_but_not_written():
    assert not plotting.confusion_matrix(np.eye(21, dtype=int)).texts


@pytest.mark.parametrize(
    ("counts", "classes", "message"),
    [
        (np.ones((2, 3)), (), "a row for each class"),
        ([[1, -1], [0, 2]], (), "none below 0"),
        ([[0.5, 0.5], [0, 1]], (), "whole numbers"),
        (np.eye(2), ("a",), "1 names for 2 classes"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(counts, classes, message):
    with pytest.raises(ValueError, match=message):
        plotting.confusion_matrix(counts, classes=classes)


# noise_schedule


@pytest.mark.parametrize("T", [1, 10, 300])
def test_a_noise_schedule_shows_beta_the_signal_that_is_left_and_signal_to_noise(T):
    beta = np.linspace(1e-4, 0.02, T)
    ax = plotting.noise_schedule(beta)
    left = np.cumprod(1 - beta)
    for line, expected in zip(ax.lines, (beta, left, left / (1 - left)), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(T))
        np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    assert ax.get_yscale() == "log"
    assert f"{left[-1]:.3g} at the end" in ax.get_legend().get_texts()[1].get_text()


@pytest.mark.parametrize("beta", [[0.0, 0.1], [0.1, 1.0], [[0.1], [0.2]]], ids=str)
def test_a_schedule_that_is_no_list_of_variances_below_1_is_refused(beta):
    with pytest.raises(ValueError, match="0 < β < 1"):
        plotting.noise_schedule(beta)


# image_grid


@few
@given(
    n=st.integers(1, 12),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    columns=st.integers(1, 6),
    padding=st.integers(0, 2),
)
def test_image_k_stands_in_row_k_over_columns_and_column_k_mod_columns(
    n, height, width, columns, padding
):
    images = random_images(n, height, width)
    mosaic = shown(plotting.image_grid(images, columns=columns, padding=padding))
    rows = -(-n // columns)
    assert mosaic.shape == (
        rows * (height + padding) - padding,
        columns * (width + padding) - padding,
    )
    for k, image in enumerate(images):
        top, left = k // columns * (height + padding), k % columns * (width + padding)
        place = slice(top, top + height), slice(left, left + width)
        np.testing.assert_array_equal(mosaic[place], image)
        mosaic[place] = np.nan
    assert np.isnan(mosaic).all(), "all else is blank"


@given(n=st.integers(1, 400))
def test_a_grid_is_as_near_to_a_square_as_holds_the_images(n):
    side = int(np.ceil(np.sqrt(n)))
    mosaic = plotting._mosaic(np.zeros((n, 1, 1)), side, 0)
    assert mosaic.shape[1] == side
    assert side - 1 <= mosaic.shape[0] <= side


def test_flat_and_single_channel_images_are_the_same_picture():
    images = random_images(5, 4, 4)
    expected = shown(plotting.image_grid(images))
    assert expected.shape == (2 * 5 - 1, 3 * 5 - 1)
    np.testing.assert_array_equal(shown(plotting.image_grid(images.reshape(5, 1, 4, 4))), expected)
    np.testing.assert_array_equal(shown(plotting.image_grid(images.reshape(5, 16))), expected)


def test_colours_stay_in_their_order_and_blanks_are_transparent():
    images = random_images(3, 3, 4, 5)
    mosaic = shown(plotting.image_grid(images, columns=2, value_range=(-1.0, 1.0)))
    np.testing.assert_allclose(mosaic[5:9, :5, :3], np.moveaxis((images[2] + 1) / 2, 0, -1))
    assert (mosaic[5:9, :5, 3] == 1).all()
    assert (mosaic[5:9, 5:, 3] == 0).all()
    assert (mosaic[4, :, 3] == 0).all()


def test_black_and_white_are_the_ends_of_the_value_range(tmp_path):
    def grey(value, value_range):
        ax = plotting.image_grid(np.full((1, 4, 4), value), value_range=value_range)
        plotting.save(ax, tmp_path / "grey.png")
        pixels = imread(tmp_path / "grey.png")
        return pixels[len(pixels) // 2, len(pixels) // 2, 0]

    assert grey(-1.0, (-1.0, 1.0)) == 0
    assert grey(1.0, (-1.0, 1.0)) == 1
    assert grey(0.0, (-1.0, 1.0)) == pytest.approx(0.5, abs=0.01)
    assert grey(-0.2, (0.0, 1.0)) == 0
    assert grey(1.2, (0.0, 1.0)) == 1
    assert grey(np.uint8(255), (0, 255)) == 1


def test_cells_left_over_are_white_and_not_black(tmp_path):
    plotting.save(plotting.image_grid(np.zeros((3, 4, 4))), tmp_path / "three.png")
    pixels = imread(tmp_path / "three.png")[..., :3]
    quarter = len(pixels) // 4
    assert (pixels[quarter, quarter] == 0).all()
    assert (pixels[-quarter, -quarter] == 1).all()


@few
@given(
    n=st.integers(1, 30),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    columns=st.integers(1, 12),
)
def test_a_saved_grid_shows_every_pixel_as_one_block_of_one_size(
    tmp_path_factory, n, height, width, columns
):
    images = random_images(n, height, width).round()
    path = tmp_path_factory.mktemp("grid") / "grid.png"
    ax = plotting.image_grid(images, columns=columns)
    plotting.save(ax, path)
    mosaic = np.nan_to_num(shown(ax), nan=1.0)
    margin = round(plotting.MARGIN * plotting.DPI)
    picture = imread(path)[margin:-margin, margin:-margin, 0]
    dots = picture.shape[1] // mosaic.shape[1]
    np.testing.assert_array_equal(picture, np.kron(mosaic, np.ones((dots, dots))))


def test_a_grid_has_no_axis_and_a_figure_that_grows_with_its_images():
    one, many = (plotting.image_grid(np.zeros((n, 28, 28))) for n in (1, 100))
    assert not one.axison
    sizes = [ax.figure.get_size_inches().max() for ax in (one, many)]
    assert 1.0 < sizes[0] < 2.0 < 5.0 < sizes[1] < 8.0


def test_images_are_enlarged_without_blur_and_reduced_without_gaps():
    ax = Figure(figsize=(2, 2)).add_subplot()
    plotting.image_grid(np.zeros((4, 8, 8)), ax)
    plotting.image_grid(np.zeros((400, 28, 28)), ax)
    assert [image.get_interpolation() for image in ax.images] == ["nearest", "antialiased"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 10)), r"images: shape \(2, 10\), expected .*x\.reshape\(-1, H, W\)"),
        (np.zeros(9), r"images: shape \(9,\), expected \(n, H, W\)"),
        (np.zeros((2, 4, 4, 3)), r"shape \(2, 4, 4, 3\), .*take x\.transpose\(0, 3, 1, 2\)"),
        (np.zeros((2, 4, 4, 1)), r"shape \(2, 4, 4, 1\), .*take x\.transpose\(0, 3, 1, 2\)"),
        (np.zeros((0, 4, 4)), r"images is empty, of shape \(0, 4, 4\): pass"),
        (np.zeros((2, 0, 4)), r"images is empty"),
        (np.full((1, 2, 2), np.nan), r"images: 4 of 4 values not finite, the first nan at"),
        (np.full((1, 2, 2), 200, np.uint8), r"whole numbers from 200 to 200.*\(0, 255\) for bytes"),
        (np.full((1, 2, 2), "a"), r"images: ndarray of dtype <U1, expected real numbers"),
        (np.zeros((1, 2, 2), complex), r"dtype complex128, expected real numbers"),
    ],
)
def test_what_is_no_stack_of_images_is_refused(images, message):
    ax = Figure().add_subplot()
    with pytest.raises(ValueError, match=message):
        plotting.image_grid(images, ax)
    assert not ax.images


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": 0}, "columns is 0, expected a whole number, 1 or more"),
        ({"columns": 2.0}, "columns is 2.0, expected a whole number"),
        ({"padding": -1}, "padding is -1, expected a whole number, 0 or more"),
        ({"value_range": (1.0, 0.0)}, "expected .* black < white"),
        ({"value_range": (0.0, np.nan)}, "expected .* black < white"),
    ],
)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        plotting.image_grid(np.zeros((2, 4, 4)), **settings)


# image_table, reconstructions


def test_row_and_column_of_an_image_table_are_those_of_its_names():
    rows = {"one": random_images(3, 4, 4), "two": random_images(3, 4, 4, seed=1).reshape(3, 16)}
    ax = plotting.image_table(rows, columns=["a", "b", "c"])
    mosaic = shown(ax)
    for r, images in enumerate(rows.values()):
        for k, image in enumerate(images.reshape(3, 4, 4)):
            np.testing.assert_array_equal(mosaic[5 * r : 5 * r + 4, 5 * k : 5 * k + 4], image)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ({}, (), "rows is empty"),
        ({"a": np.zeros((2, 4, 4)), "b": np.zeros((3, 4, 4))}, (), "row 'b' is 3 of 4 × 4"),
        ({"a": np.zeros((2, 5))}, (), "row 'a'"),
        ({"a": np.zeros((2, 4, 4))}, ("x",), "1 names for 2 columns"),
    ],
)
def test_an_image_table_that_is_none_is_refused(rows, columns, message):
    with pytest.raises(ValueError, match=message):
        plotting.image_table(rows, columns=columns)


def test_filters_share_one_scale_on_which_zero_is_white():
    weights = np.linspace(-3, 1, 2 * 4).reshape(2, 2, 2)
    ax = plotting.filters(weights, columns=2, padding=0, limit=2)
    (image,) = ax.images
    assert image.get_clim() == (-2, 2)
    np.testing.assert_array_equal(shown(ax), np.concatenate(weights, axis=1))
    below, zero, above = image.to_rgba(np.array([[-2.0, 0.0, 2.0]]))[0, :, :3]
    assert zero.min() > 0.95
    assert above[0] > above[2]
    assert below[2] > below[0]


def test_the_scale_of_filters_is_the_size_that_99_of_100_weights_do_not_exceed():
    weights = np.zeros((100, 10, 10))
    weights.flat[:200], weights.flat[200] = -0.5, 1000
    (image,) = plotting.filters(weights).images
    assert image.get_clim() == (-0.5, 0.5)
    for sparse, limit in ((np.zeros((1, 4)), 1), (np.eye(1, 900, 7), 1)):
        (image,) = plotting.filters(sparse).images
        assert image.get_clim() == (-limit, limit)


def test_a_bar_beside_the_filters_shows_their_scale_and_what_lies_beyond_it():
    weights = np.linspace(-3, 1, 2 * 4).reshape(2, 2, 2)
    for limit, ticks in ((2, ["≤ −2", "0", "≥ 2"]), (3, ["−3", "0", "3"])):
        ax = plotting.filters(weights, limit=limit)
        (bar,) = ax.child_axes
        assert [text.get_text() for text in bar.get_yticklabels()] == ticks
        np.testing.assert_array_equal(bar.get_yticks(), [-limit, 0, limit])
        ax.figure.draw_without_rendering()
        whole, images, beside = ax.figure.bbox, ax.get_window_extent(), bar.get_tightbbox()
        assert images.x1 < beside.x0
        assert beside.x1 <= whole.x1


def test_filters_are_crisp_beside_their_bar(tmp_path):
    weights = random_images(9, 5, 5, seed=3) - 0.5
    ax = plotting.filters(weights)
    plotting.save(plotting.titled(ax, "a title"), tmp_path / "filters.png")
    rows, columns = shown(ax).shape
    margin = round(plotting.MARGIN * plotting.DPI)
    picture = imread(tmp_path / "filters.png")[..., :3]
    dots = round(ax.get_window_extent().width) // columns
    picture = picture[-margin - dots * rows : -margin, margin : margin + dots * columns]
    blocks = picture.reshape(rows, dots, columns, dots, 3)
    np.testing.assert_array_equal(blocks, np.broadcast_to(blocks[:, :1, :, :1], blocks.shape))


@pytest.mark.parametrize("limit", [0, -1.0, np.inf])
def test_a_scale_of_filters_without_meaning_is_refused(limit):
    with pytest.raises(ValueError, match=f"limit is {limit}, expected a number above 0"):
        plotting.filters(np.ones((1, 4)), limit=limit)


def test_originals_stand_above_their_reconstructions():
    above, below = random_images(5, 4, 4), random_images(5, 4, 4, seed=1)
    ax = plotting.reconstructions(above, below.reshape(5, 16))
    mosaic = shown(ax)
    for k in range(5):
        np.testing.assert_array_equal(mosaic[:4, 5 * k : 5 * k + 4], above[k])
        np.testing.assert_array_equal(mosaic[5:, 5 * k : 5 * k + 4], below[k])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["original", "reconstruction"]
    np.testing.assert_allclose(ax.get_yticks(), [1.5, 6.5])  # the middle of rows 0–3 and 5–8
    assert len(ax.get_xticks()) == 0


def test_a_reconstruction_that_is_missing_is_refused():
    with pytest.raises(ValueError, match=r"originals are 3 of 4 × 4, reconstructed are 2 of 4 × 4"):
        plotting.reconstructions(np.zeros((3, 4, 4)), np.zeros((2, 16)))


# latent_scatter


def test_two_latents_are_plotted_as_they_are():
    h = np.random.default_rng(0).normal(size=(30, 2))
    ax = plotting.latent_scatter(h)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), h)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$h_1$", "$h_2$")
    assert ax.get_legend() is None


@few
@given(n=st.integers(2, 40), k=st.integers(3, 8), seed=st.integers(0, 2**16))
def test_the_projection_keeps_the_two_greatest_shares_of_the_variance(n, k, seed):
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(n, k)) @ rng.normal(size=(k, k)) + 5
    ax = plotting.latent_scatter(h)
    points = np.asarray(ax.collections[0].get_offsets())
    spectrum = np.linalg.eigvalsh(np.cov(h.T, bias=True))[::-1]
    np.testing.assert_allclose(points.var(axis=0), spectrum[:2], atol=1e-9 * spectrum[0])
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)
    covariance = np.cov(points.T, bias=True)[0, 1]
    np.testing.assert_allclose(covariance, 0, atol=1e-9 * spectrum[0])
    shares = 100 * spectrum[:2] / spectrum.sum()
    written = [
        float(label.split("(")[1].split()[0]) for label in (ax.get_xlabel(), ax.get_ylabel())
    ]
    np.testing.assert_allclose(written, shares, atol=0.5 + 1e-9)


def test_the_labels_of_principal_axes_say_so():
    h = np.diag([2.0, 1.0, 0.0])[[0, 0, 1, 1]] * np.array([1, -1, 1, -1])[:, None]
    ax = plotting.latent_scatter(h)
    assert ax.get_xlabel() == "principal axis 1 (80 % of variance)"
    assert ax.get_ylabel() == "principal axis 2 (20 % of variance)"
    np.testing.assert_allclose(ax.collections[0].get_offsets(), h[:, :2], atol=1e-12)


def test_collapsed_latents_are_one_point_without_variance():
    ax = plotting.latent_scatter(np.ones((4, 3)))
    assert ax.get_xlabel() == "principal axis 1 (0 % of variance)"


def test_a_class_keeps_its_colour_whichever_others_are_present():
    h = np.random.default_rng(0).normal(size=(20, 2))
    all_ten = plotting.latent_scatter(h, np.arange(20) % 10)
    some = plotting.latent_scatter(h[:4], np.array([7, 3, 7, 9]))
    names, colours = ({}, {})
    for key, ax in (("all", all_ten), ("some", some)):
        legend = ax.get_legend()
        names[key] = [text.get_text() for text in legend.get_texts()]
        handles = [tuple(handle.get_color()) for handle in legend.legend_handles]
        colours[key] = dict(zip(names[key], handles, strict=True))
    assert names == {"all": [str(k) for k in range(10)], "some": ["3", "7", "9"]}
    assert len(set(colours["all"].values())) == 10
    assert all(colours["all"][name] == colour for name, colour in colours["some"].items())
    drawn = some.collections[0].get_facecolors()[:, :3]
    np.testing.assert_allclose(drawn, [colours["some"][k][:3] for k in "7379"])


def test_classes_beyond_ten_numbers_still_differ_in_colour():
    ax = plotting.latent_scatter(np.zeros((3, 2)), np.array([-1, 9, 19]))
    assert len({tuple(colour) for colour in ax.collections[0].get_facecolors()}) == 3


def look(ax):
    """The colour and the marker of each name in the legend."""
    handles = ax.get_legend().legend_handles
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    looks = [(tuple(handle.get_color()), handle.get_marker()) for handle in handles]
    return dict(zip(names, looks, strict=True))


@pytest.mark.parametrize("n_classes", [11, 26, 60])
def test_up_to_sixty_classes_differ_in_colour_or_shape(n_classes):
    names = [f"class {k}" for k in range(n_classes)]
    h = np.random.default_rng(0).normal(size=(n_classes, 2))
    ax = plotting.latent_scatter(h, np.arange(n_classes), classes=names)
    looks = look(ax)
    assert [*looks] == names
    assert len(set(looks.values())) == n_classes
    drawn = np.concatenate([points.get_offsets() for points in ax.collections])
    np.testing.assert_array_equal(drawn[np.lexsort(drawn.T)], h[np.lexsort(h.T)])


def test_a_class_that_has_a_name_keeps_its_look_whichever_others_are_present():
    names = [chr(ord("a") + k) for k in range(26)]
    every = look(plotting.latent_scatter(np.eye(26, 2), np.arange(26), classes=names))
    some = look(plotting.latent_scatter(np.eye(2), [25, 3], classes=names))
    assert some == {"d": every["d"], "z": every["z"]}


def test_labels_that_are_text_are_classes():
    assert [*look(plotting.latent_scatter(np.eye(3, 2), ["owl", "cat", "owl"]))] == ["cat", "owl"]


def test_of_more_than_sixty_classes_the_colour_runs_from_the_first_to_the_last():
    ax = plotting.latent_scatter(
        np.eye(100, 2), np.arange(100), classes=[f"c{k}" for k in range(100)]
    )
    assert ax.get_legend() is None
    np.testing.assert_array_equal(ax.collections[0].get_array(), np.arange(100))
    (bar,) = [other for other in ax.figure.axes if other is not ax]
    assert bar.get_yticklabels()[0].get_text() == "c0"


def test_images_with_alpha_are_drawn_over_white():
    image = np.zeros((1, 4, 1, 3))
    image[0, 0] = 1  # red
    image[0, 3] = 0, 0.5, 1
    drawn = plotting.image_grid(image).images[0].get_array()[..., :3]
    np.testing.assert_allclose(drawn[0], [[1, 1, 1], [1, 0.5, 0.5], [1, 0, 0]])


@pytest.mark.parametrize(
    ("h", "labels", "message"),
    [
        (np.zeros(5), None, r"h has shape \(5,\), expected \(n, k\) with k ≥ 2: pass one row"),
        (np.zeros((5, 1)), None, r"h has shape \(5, 1\).*histogram"),
        (np.zeros((1, 3)), None, r"h has one row, expected two or more"),
        (np.full((2, 2), np.inf), None, r"h: 4 of 4 values not finite, the first inf at"),
        (np.zeros((2, 2)), [0, 1, 2], r"labels: int64 of shape \(3,\), expected .*shape \(2,\)"),
        (np.zeros((2, 2)), [0.0, 1.0], r"labels: float64.*expected integers or text"),
        (
            np.zeros((2, 2)),
            [0, 3],
            r"labels: from 0 to 3, expected 0 to 2, as 3 classes have names",
        ),
    ],
)
def test_latents_or_labels_that_do_not_fit_are_refused(h, labels, message):
    with pytest.raises(ValueError, match=message):
        plotting.latent_scatter(h, labels, classes="abc")


# interpolation


@few
@given(m=st.integers(1, 3), k=st.integers(1, 4), steps=st.integers(2, 6))
def test_a_row_runs_straight_from_decode_start_to_decode_end(m, k, steps):
    start, end = np.random.default_rng(m).normal(size=(2, m, k))
    decode, calls = recording()
    mosaic = shown(plotting.interpolation(decode, start, end, steps=steps))
    (latents,) = calls
    path = latents.reshape(m, steps, k)
    np.testing.assert_array_equal(path[:, 0], start)
    np.testing.assert_array_equal(path[:, -1], end)
    strides = np.diff(path, axis=1)
    np.testing.assert_allclose(
        strides, np.broadcast_to((end - start)[:, None] / (steps - 1), strides.shape), atol=1e-12
    )
    expected = decode(latents)[:, 0, 0].reshape(m, steps)
    np.testing.assert_array_equal(mosaic[::4, ::4], expected)


def test_two_vectors_are_one_row_with_its_ends_named():
    decode, calls = recording()
    ax = plotting.interpolation(decode, np.zeros(5), np.ones(5))
    assert calls[0].shape == (10, 5)
    assert shown(ax).shape == (3, 39)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["start", "end"]
    np.testing.assert_allclose(ax.get_xticks(), [1, 37])


def test_ends_or_steps_or_decoders_that_do_not_fit_are_refused():
    decode, _ = recording()
    with pytest.raises(ValueError, match=r"start has shape \(2,\) and end \(3,\), expected both"):
        plotting.interpolation(decode, np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="steps is 1, expected a whole number, 2 or more"):
        plotting.interpolation(decode, np.zeros(2), np.zeros(2), steps=1)
    with pytest.raises(ValueError, match="start: 1 of 2 values not finite"):
        plotting.interpolation(decode, [0, np.nan], np.zeros(2))
    with pytest.raises(ValueError, match="decode returned 9 images for 10 latents, expected one"):
        plotting.interpolation(lambda h: np.zeros((len(h) - 1, 4)), np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match=r"decode's images: shape \(10, 5\), expected"):
        plotting.interpolation(lambda h: np.zeros((len(h), 5)), np.zeros(2), np.zeros(2))


# manifold


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_the_corners_of_the_manifold_are_the_outer_quantiles(n):
    decode, calls = recording()
    mosaic = shown(plotting.manifold(decode, n=n))
    (latents,) = calls
    q = NormalDist().inv_cdf((n - 0.5) / n)
    corners = latents.reshape(n, n, 2)[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, [[-q, q], [q, q], [-q, -q], [q, -q]], atol=1e-12)
    np.testing.assert_array_equal(mosaic[::4, ::4], decode(latents)[:, 0, 0].reshape(n, n))


@pytest.mark.parametrize("n", [1, 3, 20, 30])
def test_a_tick_of_the_manifold_stands_where_its_number_is_decoded(n):
    decode, calls = recording((4, 6))
    ax = plotting.manifold(decode, n=n)
    h = calls[0].reshape(n, n, 2)
    for axis, pixels, coordinates in (
        (ax.xaxis, 6, h[0, :, 0]),
        (ax.yaxis, 4, h[:, 0, 1]),
    ):
        middles = (np.arange(n) + 0.5) * (pixels + 1) - 1  # a pixel lies between two tiles
        written = [float(t.get_text().replace("−", "-")) for t in axis.get_ticklabels()]
        assert 0.0 in written
        quantiles = [NormalDist().cdf(c) for c in coordinates]
        order = np.argsort(middles if quantiles[0] <= quantiles[-1] else -middles)
        for place, number in zip(axis.get_ticklocs(), written, strict=True):
            p = np.interp(NormalDist().cdf(number), np.array(quantiles)[order], middles[order])
            assert place == pytest.approx(p)


# plane


def test_a_plane_shows_points_where_they_are_over_heights_and_arrows_at_the_centres_of_cells():
    x, y = random_images(30, 2), random_images(20, 2, seed=1)
    heights = np.arange(9.0).reshape(3, 3)
    arrows = random_images(3, 3, 2)
    ax = plotting.plane({"a": x, "b": y}, heights=heights, arrows=arrows, half_width=3, label="E")
    mesh, quiver, of_a, of_b = ax.collections
    np.testing.assert_array_equal(of_a.get_offsets(), x)
    np.testing.assert_array_equal(of_b.get_offsets(), y)
    np.testing.assert_array_equal(mesh.get_array(), heights)  # the first row at the bottom
    corners = mesh.get_coordinates()
    np.testing.assert_array_equal(corners[0, 0], [-3, -3])
    np.testing.assert_array_equal(corners[-1, 0], [-3, 3])
    np.testing.assert_array_equal(quiver.XY[1], [0, -2])
    np.testing.assert_array_equal(quiver.U, arrows[..., 0].ravel())
    assert ax.get_xlim() == ax.get_ylim() == (-3, 3)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert ax.figure.axes[1].get_ylabel() == "E"


def test_the_plane_holds_all_points_unless_its_width_is_given():
    low, high = plotting.plane({"a": [[0, 1], [-4, 2]]}).get_xlim()
    assert -high == low < -4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": {"a": np.zeros((3, 3))}}, r"points 'a' have the shape \(3, 3\)"),
        ({"points": {}, "heights": np.zeros((2, 3))}, r"heights have the shape \(2, 3\)"),
        ({"points": {}, "arrows": np.zeros((2, 2))}, r"arrows have the shape \(2, 2\)"),
        ({"points": {"a": [[0, np.nan]]}}, "not finite"),
    ],
)
def test_what_is_no_plane_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plotting.plane(**arguments)


def test_a_manifold_of_no_latents_is_refused():
    with pytest.raises(ValueError, match="n is 0, expected a whole number, 1 or more"):
        plotting.manifold(recording()[0], n=0)


# titled


@few
@given(
    n=st.integers(1, 20), words=st.lists(st.sampled_from(["E[x|h]", "digits,", "a"]), min_size=1)
)
def test_a_title_is_broken_into_lines_that_fit_and_leaves_the_images_as_large_as_they_were(
    n, words
):
    ax = plotting.image_grid(np.zeros((n, 4, 4)))
    before = ax.get_window_extent().size
    assert plotting.titled(ax, " ".join(words)) is ax
    assert " ".join(ax.get_title().split()) == " ".join(words)
    ax.figure.draw_without_rendering()
    np.testing.assert_allclose(ax.get_window_extent().size, before, atol=0.01)
    title, whole = ax.title.get_window_extent(), ax.figure.bbox
    assert whole.x0 <= title.x0
    assert title.x1 <= whole.x1
    assert ax.get_window_extent().y1 < title.y0
    assert title.y1 <= whole.y1


def test_a_long_title_has_room_over_one_low_row():
    ax = plotting.image_grid(np.zeros((5, 8, 8)), columns=5)
    height = ax.get_window_extent().height
    plotting.titled(ax, "what a very long title has to say, of a row of images " * 3)
    ax.figure.draw_without_rendering()
    assert ax.get_window_extent().height == pytest.approx(height)
    assert ax.title.get_window_extent().y1 <= ax.figure.bbox.y1


def test_a_title_keeps_the_lines_that_it_has():
    ax = plotting.titled(plotting.learning_curves({"cost": [2.0, 1.0]}), "vae\nepoch 2")
    assert ax.get_title() == "vae\nepoch 2"


def test_images_under_a_title_are_crisp(tmp_path):
    images = random_images(6, 5, 4).round()
    ax = plotting.titled(plotting.image_grid(images), "six images, of which none means anything")
    plotting.save(ax, tmp_path / "grid.png")
    mosaic = np.nan_to_num(shown(ax), nan=1.0)
    margin = round(plotting.MARGIN * plotting.DPI)
    picture = imread(tmp_path / "grid.png")[..., 0]
    dots = (picture.shape[1] - 2 * margin) // mosaic.shape[1]
    bottom = picture[-margin - dots * len(mosaic) : -margin, margin:-margin]
    np.testing.assert_array_equal(bottom, np.kron(mosaic, np.ones((dots, dots))))


# animation


def played(animation):
    """The frames of a GIF as arrays of greys or colours, and the seconds that each is seen."""
    with Image.open(BytesIO(animation.gif)) as file:
        assert file.info["loop"] == 0, "for ever"
        frames, seconds = [], []
        for k in range(file.n_frames):
            file.seek(k)
            frames.append(np.asarray(file.convert("RGB")))
            seconds.append(file.info["duration"] / 1000)
    return frames, seconds


def test_an_animation_is_one_grid_after_another_and_its_last_is_held():
    images = {f"t = {t}": random_images(4, 3, 3, seed=t).round() for t in (2, 1, 0)}
    animation = plotting.animation(images, title="a chain", seconds=0.2, hold=1.5)
    frames, seconds = played(animation)
    assert animation.frames == len(frames) == 3
    assert seconds == [0.2, 0.2, 1.5]
    margin = round(plotting.MARGIN * plotting.DPI)
    for frame, stack in zip(frames, images.values(), strict=True):
        mosaic = np.nan_to_num(shown(plotting.image_grid(stack)), nan=1.0)
        dots = (frame.shape[1] - 2 * margin) // mosaic.shape[1]
        picture = frame[-margin - dots * len(mosaic) : -margin, margin:-margin, 0]
        np.testing.assert_array_equal(picture, 255 * np.kron(mosaic, np.ones((dots, dots))))
    title = len(frames[0]) - margin - dots * len(mosaic)
    assert not (frames[0][:title] == frames[1][:title]).all(), "each frame has its name"


def test_an_animation_keeps_its_colours_to_a_few_of_256():
    images = {"a": random_images(4, 3, 3, 3), "b": random_images(4, 3, 3, 3, seed=1)}
    assert plotting.animation(images).frames == 2
    frames, _ = played(plotting.animation(images, columns=4))
    dots = (frames[0].shape[1] - 2 * round(plotting.MARGIN * plotting.DPI)) // 15
    margin = round(plotting.MARGIN * plotting.DPI)
    for frame, stack in zip(frames, images.values(), strict=True):
        middles = frame[-margin - 3 * dots + dots // 2 : -margin : dots]
        middles = middles[:, margin + dots // 2 :: dots][:, :3]
        np.testing.assert_allclose(middles / 255, np.moveaxis(stack[0], 0, -1), atol=0.05)


def test_an_animation_is_played_by_a_notebook_and_does_not_fill_a_terminal():
    animation = plotting.animation({"a": np.zeros((1, 4, 4)), "b": np.ones((1, 4, 4))})
    ((kind, text),) = animation._repr_mimebundle_(include=None, exclude=None).items()
    assert kind == "image/gif"
    assert base64.b64decode(text) == animation.gif
    assert repr(animation) == "Animation(frames=2)"


@pytest.mark.parametrize(
    ("frames", "settings", "message"),
    [
        ({}, {}, "frames is empty: pass"),
        ({"a": np.zeros((2, 4, 4)), "b": np.zeros((3, 4, 4))}, {}, "frame 'b' is 3 of 4 × 4"),
        ({"a": np.zeros((2, 4, 4))}, {"seconds": 0}, "expected numbers above 0"),
        ({"a": np.zeros((2, 4, 4))}, {"hold": np.inf}, "expected numbers above 0"),
        ({"a": np.zeros((2, 4, 4))}, {"columns": 0}, "columns is 0"),
    ],
)
def test_what_is_no_animation_is_refused(frames, settings, message):
    with pytest.raises(ValueError, match=message):
        plotting.animation(frames, **settings)


# Every function, in a notebook, and save


def test_axes_of_their_own_figure_are_a_picture_to_a_notebook_and_all_else_that_axes_are():
    for ax in every_picture():
        assert isinstance(ax, Axes)
        assert imread(BytesIO(ax._repr_png_())).shape[0] == int(ax.figure.bbox.height)
        copy = pickle.loads(pickle.dumps(ax))
        assert copy._repr_png_().startswith(b"\x89PNG")


def test_axes_that_are_given_are_left_to_be_shown_by_whoever_made_them():
    ax = Figure().add_subplot()
    assert plotting.image_grid(np.zeros((1, 4, 4)), ax) is ax
    assert not hasattr(ax, "_repr_png_")


def every_picture(ax=None):
    decode, _ = recording()
    yield plotting.learning_curves({"a": [1.0, 2.0], "b": [2.0, 1.0]}, ax)
    yield plotting.filters(np.ones((3, 4, 4)), ax)
    yield plotting.image_grid(np.zeros((3, 4, 4)), ax)
    yield plotting.image_table({"a": np.zeros((3, 4, 4))}, ax)
    yield plotting.reconstructions(np.zeros((3, 4, 4)), np.zeros((3, 4, 4)), ax)
    yield plotting.latent_scatter(np.eye(3), [0, 1, 2], ax)
    yield plotting.interpolation(decode, np.zeros(2), np.ones(2), ax)
    yield plotting.manifold(decode, ax, n=3)
    yield plotting.plane({"points": np.eye(2)}, ax)
    yield plotting.delta_norms({"out": 1.0, "in": 0.1}, ax)
    yield plotting.noise_schedule([0.1, 0.2], ax)


def test_a_picture_is_drawn_on_the_axes_that_it_is_given():
    figure = Figure(figsize=(5, 3))
    ax = figure.add_subplot()
    assert all(drawn is ax for drawn in every_picture(ax))
    np.testing.assert_array_equal(figure.get_size_inches(), (5, 3))


def test_every_picture_can_be_saved(tmp_path):
    for k, ax in enumerate(every_picture()):
        plotting.save(ax, tmp_path / f"{k}.png")
        assert imread(tmp_path / f"{k}.png").min() < 1


def test_pyplot_is_never_imported_and_matplotlib_only_to_draw(tmp_path):
    program = """
import sys
import numpy as np
from scratchgen import plotting
assert "matplotlib" not in sys.modules
plotting.image_grid(np.zeros((3, 4, 4)))
plotting.latent_scatter(np.eye(3), [0, 1, 2])
plotting.save(plotting.learning_curves({"cost": [1.0]}), sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
from matplotlib import pyplot
assert pyplot.get_fignums() == []
"""
    path = tmp_path / "cost.png"
    subprocess.run([sys.executable, "-c", program, path], check=True)


def test_a_figure_and_any_axes_in_it_save_the_same_file(tmp_path):
    figure = Figure()
    ax = figure.subfigures(1, 2)[0].subfigures(2, 1)[1].subplots()
    for name, part in (("figure.png", figure), ("axes.png", ax)):
        plotting.save(part, tmp_path / name)
    files = [(tmp_path / name).read_bytes() for name in ("figure.png", "axes.png")]
    assert files[0] == files[1]
    assert imread(tmp_path / "axes.png").shape[:2] == (720, 960)  # 4.8 × 6.4 inches


def test_a_save_that_fails_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "cost.png"
    path.write_bytes(b"before")

    def full(*_):
        raise OSError(28, "No space left on device")

    ax = plotting.learning_curves({"cost": [1.0]})
    for module, name in ((os, "replace"), (os, "fsync")):
        with monkeypatch.context() as broken:
            broken.setattr(module, name, full)
            with pytest.raises(OSError, match="No space left"):
                plotting.save(ax, path)
        assert path.read_bytes() == b"before"
        assert os.listdir(tmp_path) == ["cost.png"]
    plotting.save(ax, str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert os.listdir(tmp_path) == ["cost.png"]


def test_no_folder_is_made_and_the_error_names_the_path_that_was_given(tmp_path):
    ax = plotting.learning_curves({"cost": [1.0]})
    path = tmp_path / "absent" / "cost.png"
    with pytest.raises(FileNotFoundError) as caught:
        plotting.save(ax, path)
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []


def test_a_path_that_promises_another_format_is_refused(tmp_path):
    ax = plotting.learning_curves({"cost": [1.0]})
    with pytest.raises(ValueError, match=r"cost\.pdf' does not end in \.png"):
        plotting.save(ax, tmp_path / "cost.pdf")
    with pytest.raises(ValueError, match=r"cost\.png' does not end in \.gif"):
        plotting.save(plotting.animation({"a": np.zeros((1, 4, 4))}), tmp_path / "cost.png")


def test_an_animation_is_saved_whole(tmp_path):
    animation = plotting.animation({"a": np.zeros((1, 4, 4)), "b": np.ones((1, 4, 4))})
    plotting.save(animation, tmp_path / "two.gif")
    assert (tmp_path / "two.gif").read_bytes() == animation.gif
    assert os.listdir(tmp_path) == ["two.gif"]
