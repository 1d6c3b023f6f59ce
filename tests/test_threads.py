"""What a training comes to does not depend on the number of threads, beyond rounding."""

import itertools
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import scratchgen as sg
from scratchgen import optim
from scratchgen.models import Classifier, ddpm, gan, rbm, vae
from scratchgen.models.feed_forward import dense
from scratchgen.training import train


def images(low=0.0):
    return np.random.default_rng(1).random((512, 784), dtype=np.float32) * (1 - low) + low


def ffnn(rng):
    model = Classifier(dense((784,), 10, rng, (100,), "sigmoid"))
    labels = np.random.default_rng(2).integers(0, 10, 512)
    return model, [optim.SGD(model.parameters(), lr=0.1)], (images(), labels), 64


MODELS = {
    "ffnn": ffnn,
    "gan": lambda rng: (*gan.lecture(rng), images(-1), 64),
    "vae": lambda rng: (*vae.lecture(rng), images(), 128),
    "rbm": lambda rng: (*rbm.lecture(rng), images(), 64),
    "ddpm": lambda rng: (*ddpm.lecture(rng), images(-1).reshape(-1, 1, 28, 28), 32),
}


def costs(name, threads, steps=200):
    """The cost of each step: each epoch has one batch, of which there is one for each step."""
    rng = sg.generator(0)
    model, optimizers, data, size = MODELS[name](rng)
    arrays = data if isinstance(data, tuple) else (data,)
    starts = itertools.cycle(range(0, len(arrays[0]), size))
    found = []
    with threadpool_limits(threads, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ddpm.DiffusionWarning)
        for start in itertools.islice(starts, steps):
            batch = tuple(x[start : start + size] for x in arrays)
            batch = batch if isinstance(data, tuple) else batch[0]
            (epoch,) = train(model, batch, optimizers, epochs=1, batch_size=size, rng=rng)
            found.append(epoch.costs)
    return np.array(found)


@pytest.mark.parametrize(("name", "steps"), [("ffnn", 200), ("gan", 200), ("ddpm", 4)])
def test_small_products_and_batches_in_parts_give_the_same_bits_on_any_number_of_threads(
    name, steps
):
    np.testing.assert_array_equal(costs(name, 1, steps), costs(name, 2, steps))


@pytest.mark.parametrize(
    ("name", "rounding"),
    [
        ("vae", 540 * 1e-5),  # the cost is a sum of 784 terms, 540 in all
        ("rbm", 1e-4),  # the cost is a difference of free energies of some hundreds
    ],
)
def test_the_costs_of_200_steps_agree_to_rounding_on_any_number_of_threads(name, rounding):
    one, two = costs(name, 1), costs(name, 2)
    assert np.abs(one - two).max() < rounding
    assert np.ptp(one) > 100 * rounding
