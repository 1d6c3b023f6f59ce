r"""Class labels as conditions: a model of p(x|c) for the classes c = 0 … K − 1.

A conditional model has ``n_classes`` = K and is trained on pairs (x, labels). Given a label for
each sample, it is a model without classes: :func:`given` turns a network of (x, c) into a network
of x. The bounds and the games of the chapters then hold unchanged, for p(x|c) in place of p(x).

A label enters a network in one of two forms. The networks of a GAN and of a VAE are called with its
one-hot row, 1 in column c and 0 elsewhere, beside their input (:class:`WithLabel` joins the two). A
denoiser looks up a vector for each label, and adds it to the embedding of the time
(:class:`~scratchgen.models.diffusion.denoisers.LabelledDenoiser`). A denoising model has one label
more, K, which means "none": training replaces some labels by it, so that one network models p(x|c)
and p(x).

Labels pass through a model as a list: empty for a model without classes, else of one array.

Sources: Mirza and Osindero, arXiv:1411.1784 (GAN); Kingma et al., arXiv:1406.5298 (VAE); Ho and
Salimans, arXiv:2207.12598 (DDPM).
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
from typing import Any

import numpy as np

from .. import nn
from .. import operations as ops
from ..autodiff import Tensor
from ..backend import Array, Generator, device_of, to_device, to_host


def checked_number(n_classes: int | None) -> int | None:
    """Return the number of classes, or None; ``ValueError`` for a number below 1."""
    if n_classes is not None and operator.index(n_classes) < 1:
        raise ValueError(f"n_classes is a number of classes from 1, or None, got {n_classes}")
    return n_classes


def parted(data: Any, n_classes: int | None, model: str = "this model") -> list[Any]:
    """Return ``[x]`` of a model without classes, or ``[x, labels]`` of (x, labels).

    ``ValueError`` where a model with classes gets something else.
    """
    if n_classes is None:
        return [data]
    if not isinstance(data, tuple) or len(data) != 2:
        what = f"{len(data)} arrays" if isinstance(data, tuple) else "one array"
        raise ValueError(
            f"{model} of {n_classes} classes is trained on samples and labels, (x, labels), got "
            f"{what}"
        )
    return [*data]


def checked_data(data: Any, n_classes: int | None, model: str) -> list[Any]:
    """Return the same as :func:`parted`, after a check of all labels, on any device."""
    x, *labels = parted(data, n_classes, model)
    for of_data in labels:
        checked(to_host(of_data), len(x), n_classes)
    return [x, *labels]


def checked(
    labels: Any, n: int, n_classes: int | None, none: bool = False, device: Any = "cpu"
) -> list[Array]:
    """Return the labels of n samples on a device, as a list: of one array, (n,), or empty.

    ``labels`` is an integer from 0 to K − 1 for each sample, or one for all. With ``none``, K is
    valid too, and replaces labels that are not given. Raises ``ValueError`` or ``TypeError`` for
    other labels, for labels of a model without classes, and where a model with classes gets none.
    The range is checked on the host only, so that no GPU waits.
    """
    if n_classes is None:
        if labels is not None:
            raise ValueError(
                "this model was built without classes: leave labels out, or build it with n_classes"
            )
        return []
    last = n_classes if none else n_classes - 1
    expected = f"one integer from 0 to {n_classes - 1} for each sample"
    if labels is None and none:
        labels = last
    if labels is None:
        raise ValueError(f"this model has {n_classes} classes: give labels, {expected}")
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    if labels.dtype.kind not in "iu":
        cure = "labels.astype(int)"
        if labels.dtype.kind in "USO":
            cure = "np.unique(labels, return_inverse=True)[1], which numbers sorted names from 0"
        raise TypeError(f"labels are {expected}, got {labels.dtype}: take {cure}")
    if labels.ndim == 0:
        labels = np.zeros(n, np.int64) + int(labels)
    if labels.shape != (n,):
        one_hot = labels.shape == (n, n_classes)
        cure = ": take labels.argmax(axis=1)" if one_hot else ""
        raise ValueError(f"labels are {expected}, got shape {labels.shape} for {n} samples{cure}")
    if n and device_of(labels) == "cpu" and not 0 <= labels.min() <= labels.max() <= last:
        raise ValueError(f"labels are {expected}, got {labels.min()} to {labels.max()}")
    return [to_device(labels, device)]


def evenly(n: int, n_classes: int | None) -> list[Array]:
    """Return the labels 0, 1 … K − 1, 0, 1 … of n samples; empty for a model without classes."""
    return [] if n_classes is None else [np.arange(n) % n_classes]


def dropped(labels: Array, share: float, none: Any, rng: Generator) -> Array:
    """Replace each label by ``none`` with the probability ``share``."""
    return np.where(rng.random(len(labels)) < share, none, labels)


def repeated(labels: list[Array], k: int) -> list[Array]:
    """Return the labels of a batch k times, one after another."""
    return [np.concatenate([c] * k) for c in labels]


def one_hot(labels: Array, n_classes: int, like: Any) -> Array:
    """Rows with 1 in column c and 0 elsewhere, (n, K), in the dtype of ``like``."""
    rows: Array = labels[:, None] == np.arange(n_classes, like=labels)
    return rows.astype(like.dtype)


def given(network: Any, n_classes: int | None, labels: Any = None) -> Any:
    """Return the network of x that a network of (x, c) is for these labels, one for each x.

    Without classes it is the network itself; ``ValueError`` if it gets labels.
    """
    if n_classes is None:
        checked(labels, 0, None)
        return network
    return Given(network, n_classes, labels)


class Given(nn.Network):
    """x ↦ network(x, one-hot rows of ``labels``)."""

    def __init__(self, network: Any, n_classes: int, labels: Any) -> None:
        self.network, self.n_classes, self.labels = network, n_classes, labels

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        """The output for as many samples x as there are labels."""
        like = x.data if isinstance(x, Tensor) else x
        (labels,) = checked(self.labels, len(like), self.n_classes, device=device_of(like))
        c = one_hot(labels, self.n_classes, like)
        kind: Any = type(self.network)
        return self.network(x, c, **({"rng": rng} if _takes_rng(kind) else {}))


class WithLabel(nn.Network):
    """network([x, c]): each sample x as a row, followed by the one-hot row c of its label."""

    def __init__(self, network: nn.Network) -> None:
        self.network = network

    def __call__(self, x: Any, c: Array, rng: Generator | None = None) -> Any:  # type: ignore[override]
        """The output for samples (n, …) and one-hot labels (n, K)."""
        rows = x.reshape(len(c), math.prod(x.shape[1:]))
        return self.network(ops.concatenate([rows, c], axis=1), rng)

    @property
    def layers(self) -> tuple[nn.Network, ...]:
        """The layers of the network inside."""
        inside: Any = self.network
        return tuple(inside.layers)

    def _sample_shape(self) -> None:
        return None  # the first layer takes the label, too


@functools.cache
def _takes_rng(kind: Any) -> bool:
    """Whether the networks of a class take ``rng``."""
    call: Any = kind.__call__
    return "rng" in inspect.signature(call).parameters


def with_label(network: nn.Network, n_classes: int | None) -> nn.Network:
    """Return the network itself for a model without classes, else :class:`WithLabel` of it."""
    return network if n_classes is None else WithLabel(network)


def check_networks(n_classes: int | None, *networks: Any) -> None:
    """Raise ``TypeError`` for networks that take no label, in a model with classes."""
    if n_classes is None:
        return
    for network in networks:
        try:
            takes_rng(network, label="one-hot label")
        except TypeError as error:
            raise TypeError(f"{error}; models.WithLabel(network) joins both in one row") from None


def takes_rng(network: Any, **beside: str) -> bool:
    """Whether a network of x, and of arguments ``beside`` it by name, takes ``rng``, too.

    Raises ``TypeError`` for a network that is not called so.
    """
    called = f"the network is called with ({', '.join(['x', *beside.values()])})"
    if not callable(network):
        raise TypeError(f"{called}, got {type(network).__name__}")
    signature = inspect.signature(network)
    names = list(signature.parameters)
    takes_rng = "rng" in names
    try:
        signature.bind("x", *beside, **({"rng": None} if takes_rng else {}))
    except TypeError as error:
        unknown = [*beside][max(len(names) - takes_rng - 1, 0) :]
        raise TypeError(
            f"{called}, {type(network).__name__} takes ({', '.join(names)}): "
            f"{f'it knows no {unknown[0]}' if unknown else error}"
        ) from None
    return takes_rng
