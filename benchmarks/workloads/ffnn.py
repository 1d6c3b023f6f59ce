"""One training step of the feed-forward classifier 784–100–10, float32, batches of 64.

A step gathers a batch, takes the cross-entropy of the logits, its gradient and one update: with
sigmoid units and plain SGD of 0.1, as in the notes, and with ReLU and Adam of 1e-3. The data are
60,000 random images, 179 MiB of the memory reported, and random labels. PyTorch runs eagerly, with
the fused optimizer, and with the whole step compiled; JAX has the whole step in one jit;
scikit-learn's MLPClassifier takes a batch by ``partial_fit``; autograd and MyGrad differentiate
NumPy, with the update by hand in place.

Scratchgen's step includes the accuracy in the batch. The floor is the five matrix products that no
step can do without, into arrays that are there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from .. import training
from . import Case, Step

BATCH = 64
LR = {"SGD": 0.1, "Adam": 1e-3}
ACTIVATION = {"SGD": "sigmoid", "Adam": "relu"}


def shapes(hidden: Sequence[int] = (100,)) -> dict[str, Sequence[int]]:
    """The parameters, by the names that they have in a sequence Flatten, Linear, σ, Linear, …"""
    sizes, of = [784, *hidden, 10], dict[str, Sequence[int]]()
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        of[f"{2 * k + 1}.weight"], of[f"{2 * k + 1}.bias"] = (n_out, n_in), (n_out,)
    return of


SHAPES = shapes()


def data(n: int) -> tuple[Any, Any]:
    """Images and labels."""
    return training.images(n=n), training.labels(n)


def scratchgen(
    optimizer: str,
    device: str,
    batch: int = BATCH,
    hidden: Sequence[int] = (100,),
    n: int = training.IMAGES,
) -> Step:
    """``models.Classifier``, trained."""
    import scratchgen
    from scratchgen.models.feed_forward import dense

    rng = scratchgen.generator(0, device)
    model = scratchgen.models.Classifier(dense((784,), 10, rng, hidden, ACTIVATION[optimizer]))
    model.network.load_state_dict(training.weights(shapes(hidden)))
    moved = getattr(scratchgen.optim, optimizer)(model.parameters(), lr=LR[optimizer])
    return training.step(model, [moved], training.Batches(device, batch, *data(n)), rng)


def _torch_model(optimizer: str, device: str, hidden: Sequence[int]) -> Any:
    from torch import nn

    from .. import with_torch

    activation = nn.Sigmoid if optimizer == "SGD" else nn.ReLU
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in zip([784, *hidden], [*hidden, 10], strict=True):
        layers += [nn.Linear(n_in, n_out), activation()]

    def cost(modules: Any, x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(modules["network"](x), y)

    named = {f"network.{name}": shape for name, shape in shapes(hidden).items()}
    network = nn.Sequential(*layers[:-1])
    return with_torch.Model({"network": network}, cost, named, device)


def torch(
    optimizer: str,
    device: str,
    batch: int = BATCH,
    hidden: Sequence[int] = (100,),
    n: int = training.IMAGES,
    fused: bool = False,
) -> Step:
    """The same in PyTorch's modules, eagerly."""
    from .. import with_torch

    model = _torch_model(optimizer, device, hidden)
    moved = with_torch.optimizer(optimizer, model.parameters(), LR[optimizer], fused)
    return with_torch.step(model, moved, with_torch.batches(device, batch, *data(n)))


def _torch_compiled(optimizer: str, device: str) -> Step:
    from .. import with_torch

    model, arrays = _torch_model(optimizer, device, (100,)), data(training.IMAGES)
    return with_torch.compiled_model(model, optimizer, LR[optimizer], device, BATCH, *arrays)


def _jax(optimizer: str, _: str) -> Step:
    import jax

    from .. import with_jax

    activation = jax.nn.sigmoid if optimizer == "SGD" else jax.nn.relu

    def cost(p: Any, x: Any, y: Any) -> Any:
        logits = with_jax.affine(activation(with_jax.affine(x, p, "1")), p, "3")
        chosen = jax.numpy.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
        return -chosen.mean()

    parameters, lr = with_jax.weights(SHAPES), LR[optimizer]
    descend = with_jax.sgd(cost, lr) if optimizer == "SGD" else with_jax.adam(cost, lr)
    state = parameters if optimizer == "SGD" else with_jax.adam_state(parameters)
    return with_jax.step(
        lambda state, key, x, y: descend(state, x, y), state, BATCH, *data(training.IMAGES)
    )


def _sklearn(optimizer: str, device: str) -> Step:
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        (100,),
        activation="logistic" if optimizer == "SGD" else "relu",
        solver=optimizer.lower(),
        alpha=0,
        batch_size=BATCH,
        learning_rate_init=LR[optimizer],
        momentum=0,
    )
    batch = training.Batches(device, BATCH, *data(training.IMAGES))
    model.partial_fit(*batch(), classes=np.arange(10))  # which draws the weights
    parameters = list(training.weights(SHAPES).values())
    model.coefs_[:] = [W.T.copy() for W in parameters[::2]]
    model.intercepts_[:] = parameters[1::2]
    return lambda: model.partial_fit(*batch())


def _logits(np: Any, optimizer: str, x: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    z = np.matmul(x, W1) + b1
    a = 1 / (1 + np.exp(-z)) if optimizer == "SGD" else np.maximum(z, 0)
    return np.matmul(a, W2) + b2


def _arrays(device: str) -> tuple[list[Any], training.Batches]:
    """Weights (inputs, outputs) and biases, and batches with one-hot labels."""
    parameters = [np.ascontiguousarray(w.T) for w in training.weights(SHAPES).values()]
    x, y = data(training.IMAGES)
    return parameters, training.Batches(device, BATCH, x, np.eye(10, dtype=np.float32)[y])


def _autograd(optimizer: str, device: str) -> Step:
    anp, autograd = import_module("autograd.numpy"), import_module("autograd")
    parameters, batch = _arrays(device)
    update = training.by_hand(optimizer, parameters, LR[optimizer])

    def cost(parameters: Any, x: Any, y: Any) -> Any:
        z = _logits(anp, optimizer, x, *parameters)
        z = z - anp.max(z, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(z), axis=1)) - anp.sum(z * y, axis=1))

    gradients = autograd.grad(cost)
    return lambda: update(gradients(parameters, *batch()))


def _mygrad(optimizer: str, device: str) -> Step:
    mygrad = import_module("mygrad")
    mygrad.turn_memory_guarding_off()
    cross_entropy = import_module("mygrad.nnet.losses").softmax_crossentropy
    arrays, batch = _arrays(device)
    parameters = [mygrad.tensor(p, copy=False) for p in arrays]
    update = training.by_hand(optimizer, arrays, LR[optimizer])

    def step() -> object:
        x, y = batch()
        cost = cross_entropy(_logits(mygrad, optimizer, x, *parameters), y.argmax(axis=1))
        cost.backward()
        return update([p.grad for p in parameters])

    return step


def _sides(optimizer: str) -> Mapping[str, Callable[..., Step]]:
    return {
        "scratchgen": partial(scratchgen, optimizer),
        "torch": partial(torch, optimizer),
        f"torch, fused {optimizer}": partial(torch, optimizer, fused=True),
        "torch-compile": partial(_torch_compiled, optimizer),
        "jax": partial(_jax, optimizer),
        "sklearn": partial(_sklearn, optimizer),
        "autograd": partial(_autograd, optimizer),
        "mygrad": partial(_mygrad, optimizer),
        "floor": partial(training.floor_of_layers, SHAPES, BATCH, "1.weight"),
    }


CASES = [
    Case(f"FFNN step, {optimizer}", _sides(optimizer), samples=BATCH, trains=True, on_gpu=True)
    for optimizer in LR
]
