"""Each value of a cost is noted with the line of the source that computed it."""

import inspect
import sys

import numpy as np

from scratchgen.gradcheck.places import named, noted
from scratchgen.gradcheck.recording import recorded


def cost(inputs):
    (x,) = inputs
    a = np.tanh(x)
    return (a * a).sum()


def test_a_value_is_noted_with_its_line_in_the_users_source():
    recording = recorded(cost, [np.ones(3)], ["x"])
    first = inspect.getsourcelines(cost)[1]
    lines = [recording.places[node].line - first for node in recording.steps]
    assert lines == [2, 3, 3]
    assert (
        str(recording.places[recording.steps[0]]) == f"`a = np.tanh(x)`, test_places.py:{first + 2}"
    )


def test_a_profiler_is_left_alone():
    def profiler(*_):
        pass

    sys.setprofile(profiler)
    try:
        with noted() as places:
            recorded(cost, [np.ones(3)], ["x"])
        assert sys.getprofile() is profiler
        assert not places
    finally:
        sys.setprofile(None)


def test_a_cell_of_a_notebook_is_not_named_by_the_number_of_its_file():
    assert named("/home/me/cost.py", 12) == "cost.py:12"
    assert named("/tmp/ipykernel_815/3406466961.py", 10) == "line 10 of a cell"
