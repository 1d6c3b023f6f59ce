"""Axes that a notebook shows: their sizes, one above the other, and the whole figure as a PNG."""

import pickle
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import imread

from scratchgen.picture import Picture, new_pictures, png


def test_axes_stand_one_above_the_other_and_share_the_epochs_below_them():
    upper, lower = new_pictures(4, [3, 1], dpi=50, margin=0.1)
    np.testing.assert_array_equal(upper.figure.get_size_inches(), (4, 4))
    upper.set_xlim(3, 7)
    assert lower.get_xlim() == (3, 7)
    upper.figure.draw_without_rendering()
    assert upper.get_position().y0 > lower.get_position().y1
    assert upper.get_position().height > 2 * lower.get_position().height


def test_a_picture_is_the_whole_figure_in_its_dots_also_after_a_copy():
    (ax,) = new_pictures(2, [1], dpi=50, margin=0.1)
    assert isinstance(ax, Picture)
    assert isinstance(ax, Axes)
    for each in (ax, pickle.loads(pickle.dumps(ax))):
        assert imread(BytesIO(each._repr_png_())).shape[:2] == (50, 100)
    assert imread(BytesIO(png(ax.figure, dpi=100))).shape[:2] == (100, 200)
