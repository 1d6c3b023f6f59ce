"""A name leads to its optimizer, with its own learning rate or the one that is given."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import optim
from scratchgen.optim.by_name import OPTIMIZERS, build_optimizer

KINDS = {
    "sgd": optim.SGD,
    "momentum": optim.SGD,
    "adagrad": optim.AdaGrad,
    "rmsprop": optim.RMSprop,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "lbfgs": optim.WolfeLBFGS,
}


def parameters():
    return [sg.Tensor(np.ones((2, 3))), sg.Tensor(np.zeros(2))]


def test_the_names_are_those_of_these_optimizers():
    assert {name: type(build_optimizer(name, parameters(), 0.5)) for name in OPTIMIZERS} == KINDS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_learning_rate_is_the_one_given_or_its_own(name):
    assert build_optimizer(name, parameters(), 0.25).lr == 0.25
    if name == "sgd":
        with pytest.raises(ValueError, match="no learning rate of its own: give lr"):
            build_optimizer(name, parameters(), None)
    else:
        own = {"momentum": 0.01}.get(name) or KINDS[name](parameters()).lr
        assert build_optimizer(name, parameters(), None).lr == own


def test_momentum_is_gradient_descent_with_nine_tenths_of_the_last_step():
    assert build_optimizer("momentum", parameters(), 0.1).momentum == 0.9


def test_a_function_of_the_parameters_builds_one_too():
    moved = parameters()
    for lr, expected in ((None, 0.3), (0.1, 0.1)):
        sgd = build_optimizer(lambda given: optim.SGD(given, 0.3), moved, lr)
        assert (sgd.lr, sgd.parameters) == (expected, moved)


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"one of sgd, momentum, .*, got 'adamm'"):
        build_optimizer("adamm", parameters(), None)
