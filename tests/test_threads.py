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

pytestmark = pytest.mark.rounding


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


SIZES = {"vae": 540, "rbm": 500}
"""What the cost is a sum of, or the difference of, in nats."""


def costs(name, threads, steps, dtype=np.float32):
    """The cost of each step: each epoch has one batch, of which there is one for each step."""
    rng = sg.generator(0)
    model, optimizers, data, size = MODELS[name](rng)
    model.astype(dtype)
    arrays = data if isinstance(data, tuple) else (data.astype(dtype),)
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


@pytest.mark.parametrize(("name", "steps"), [("ffnn", 50), ("gan", 50), ("ddpm", 4)])
def test_small_products_and_batches_in_parts_give_the_same_bits_on_any_number_of_threads(
    name, steps
):
    np.testing.assert_array_equal(costs(name, 1, steps), costs(name, 2, steps))


@pytest.mark.parametrize("name", ["vae", "rbm"])
def test_large_products_add_up_in_another_order_on_more_threads_and_change_nothing_but_rounding(
    name,
):
    # A cost is a sum of at most 784 + 500 terms of products of 784, and training multiplies what
    # two of its paths differ by: in float64, 5 steps leave it far below a bound of 1e-9.
    one, two = (costs(name, threads, 5, np.float64) for threads in (1, 2))
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-9 * SIZES[name])
    assert np.ptp(one) > 1e-3 * SIZES[name]
