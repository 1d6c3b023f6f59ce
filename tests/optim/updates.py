"""Optimizers of every kind, and runs of them, for the tests of all."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import optim

SHAPES = [(3, 4), (5,), (), (2, 1, 3)]


SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.03}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.03}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.03}),
    ("AdaGrad", {}),
    ("AdaGrad", {"lr": 0.3, "eps": 1e-3, "weight_decay": 0.03}),
    ("AdaGrad", {"momentum": 0.9}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.03}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"lr": 1e-3, "momentum": 0.5, "weight_decay": 0.03, "alpha": 0.5}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "betas": (0.5, 0.99), "eps": 1e-3, "weight_decay": 0.03}),
    ("Adam", {"betas": (0.0, 0.9)}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.02, "betas": (0.5, 0.99), "eps": 1e-3, "weight_decay": 0.3}),
]


def show(value):
    return value if isinstance(value, str) else ", ".join(f"{k}={v}" for k, v in value.items())


every_setting = pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=show)


every_setting_of_torch = pytest.mark.parametrize(  # whose AdaGrad has no momentum
    ("name", "settings"), [s for s in SETTINGS if s != ("AdaGrad", {"momentum": 0.9})], ids=show
)


every_optimizer = pytest.mark.parametrize(
    ("name", "settings"), [SETTINGS[k] for k in (0, 5, 6, 11, 13, 16)], ids=show
)


def arrays(seed, dtype=np.float64, shapes=SHAPES):
    rng = sg.generator(seed)
    return [np.asarray(rng.standard_normal(shape, dtype=dtype)) for shape in shapes]


def gradients_of_a_run(steps, dtype=np.float64):
    """Random gradients, whose size changes from step to step over four decades."""
    sizes = 10 ** sg.generator(7).uniform(-3, 1, size=steps)
    return [[dtype(s) * g for g in arrays(100 + t, dtype)] for t, s in enumerate(sizes)]


def make(name, settings, dtype=np.float64, seed=0):
    parameters = [sg.Tensor(a) for a in arrays(seed, dtype)]
    return getattr(optim, name)(parameters, **settings)


def run(optimizer, gradients):
    for g in gradients:
        optimizer.step(g)
    return [p.data.copy() for p in optimizer.parameters]


def assert_same_bits(xs, ys):
    for x, y in zip(xs, ys, strict=True):
        np.testing.assert_array_equal(x, y, strict=True)
