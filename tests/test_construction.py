"""What a class was constructed with is kept: by name, defaults filled in."""

import inspect

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import nn, optim
from scratchgen.construction import Constructed


class Scaled(Constructed):
    def __init__(self, factor, offset=0.5, *, rng=None, parameters=()):
        pass


def test_the_arguments_are_kept_by_name_with_defaults_and_without_what_is_no_setting():
    assert Scaled(2, rng=sg.generator(0)).construction == {"factor": 2, "offset": 0.5}
    assert Scaled(offset=1, factor=3, parameters=[1]).construction == {"factor": 3, "offset": 1}


def test_what_is_shown_constructs_the_same_again():
    layer = nn.LeakyReLU(0.2)
    assert eval(repr(layer), vars(nn)).construction == layer.construction
    assert repr(Scaled(2)) == "Scaled(factor=2, offset=0.5)"


def test_an_unknown_argument_is_refused_with_all_that_there_are():
    message = r"Scaled: .*'size'; its arguments are \(factor, offset=0.5, \*, rng=None, param"
    with pytest.raises(TypeError, match=message):
        Scaled(2, size=3)
    with pytest.raises(TypeError, match=r"Adam: .*'rate'; its arguments are \(parameters, lr="):
        optim.Adam([sg.Tensor(np.ones(1))], rate=0.1)


def test_the_signature_is_that_of_the_constructor():
    assert str(inspect.signature(nn.LeakyReLU)) == "(slope: 'float' = 0.01) -> 'None'"
    assert str(inspect.signature(nn.ReLU)) == "()"
