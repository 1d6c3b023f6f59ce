r"""The autoencoder: a network that copies its input through a bottleneck of k numbers.

An *encoder* maps a sample x of D numbers to a code h of k < D numbers, and a *decoder* maps the
code back to a sample. Both are trained together on the squared error of the copy,

    h = f(x),        x̂ = g(h),        C = (1/n) Σᵢ ‖xᵢ − x̂ᵢ‖²,        ∂C/∂x̂ᵢ = (2/n) (x̂ᵢ − xᵢ).

The bottleneck makes the copy a task: a code as long as the sample could hold all of it.

Without hidden layers both maps are affine. The optimum is then known exactly: it is principal
component analysis, :mod:`scratchgen.models.pca`, with C = λ_{k+1} + … + λ_D. The cost has saddles,
but no local minimum besides (Baldi and Hornik), so that descent reaches this value; it takes long
where λ_k and λ_{k+1} are close. The optimum determines the plane that the decoder spans, not the
axes within the plane: any invertible A gives the same copies with codes A h and the decoder's
weights W A⁻¹.

Hidden layers bend the plane into a surface of k dimensions, and lower the error below that of
principal components. An autoencoder states no p(h), so that it has no samples: a code drawn at
random need not lie where the encoder puts codes. The variational autoencoder, the next chapter,
adds just that.

Sources: the notes, "The plethora of machine learning algorithms/methods" and "Reminder on VAEs";
Baldi and Hornik 1989; Hinton and Salakhutdinov 2006.
"""

from __future__ import annotations

import math
from collections.abc import Generator as Yields
from collections.abc import Sequence
from typing import Any

from .. import nn, optim
from .. import operations as ops
from ..autodiff import Tensor
from ..backend import Array, Generator, to_host
from ..nn import ranges
from ..parallel import by_rows
from . import audit, feed_forward


class Autoencoder(nn.Network):
    """x̂ = g(f(x)) with C = (1/n) Σᵢ ‖xᵢ − x̂ᵢ‖².

    ``encoder`` maps samples to codes (n, k). ``decoder`` maps codes to as many numbers as a sample
    has, as rows or as images.
    """

    def __init__(self, encoder: nn.Network, decoder: nn.Network) -> None:
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x: Any, rng: Generator | None = None) -> Any:
        """h = f(x): (n, k)."""
        return self.encoder(x, rng)

    def decode(self, h: Any, rng: Generator | None = None) -> Any:
        """x̂ = g(h), in the shape of the decoder's output: (n, D), or images."""
        return self.decoder(h, rng)

    def reconstruct(self, x: Array) -> Array:
        """x̂ = g(f(x)), in the shape of x."""
        frozen = self.frozen()
        return by_rows(lambda part: frozen.decode(frozen.encode(part)), x).reshape(x.shape)

    def squared_errors(self, x: Any, rng: Generator | None = None) -> Any:
        """‖x − x̂‖² of each sample: (n,). ``rng`` is passed to the networks, for dropout."""
        copies = self.decode(self.encode(x, rng), rng)
        n = x.shape[0]
        return 2 * ops.squared_error(copies.reshape(n, -1), x.reshape(n, -1))

    @property
    def players(self) -> list[list[Tensor]]:
        """One player: encoder and decoder move together."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Return Adam with a learning rate of 10⁻³."""
        return [optim.Adam(self.parameters(), lr=1e-3)]

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, None]:
        """Yield the cost C, the mean of ‖x − x̂‖² over the batch."""
        yield self.squared_errors(x, rng).mean()

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data or networks that do not fit the model.

        A :class:`~scratchgen.training.TrainingWarning` reports a code as long as the sample.
        """
        audit.check_samples(x, "an autoencoder")
        audit.caution_of_bytes(x)
        try:
            h = self.encode(Tensor(x[:1]))
            copy = self.decode(h)
            ops.squared_error(copy.reshape(1, -1), x[:1].reshape(1, -1))
        except ValueError as error:
            raise ValueError(
                f"this autoencoder takes no samples of shape {x.shape[1:]}: {error}"
            ) from None
        low, high = float(to_host(x.min())), float(to_host(x.max()))
        reach = ranges.confined(copy)
        if reach is not None and not reach[0] <= low <= high <= reach[1]:
            raise ValueError(
                f"the decoder ends in {ranges.last_operation(copy)}, so that its outputs lie in "
                f"[{reach[0]:g}, {reach[1]:g}], and the samples lie in [{low:g}, {high:g}]: leave "
                "its last layer out, or scale the samples"
            )
        width, size = math.prod(h.shape[1:]), math.prod(x.shape[1:])
        if width >= size:
            audit.caution(
                f"the code has {width} numbers and a sample {size}, so that the autoencoder can "
                "copy without learning anything: take a shorter code"
            )

    def _sample_shape(self) -> tuple[int, ...] | None:
        return self.encoder._sample_shape()

    def _one_pass(self, x: Array) -> None:
        self.decode(self.encode(x))


def dense(
    n_visible: int,
    n_latent: int,
    rng: Generator,
    hidden: Sequence[int] = (100,),
    activation: str = "relu",
) -> Autoencoder:
    """The autoencoder D–hidden–k–hidden–D, with the layers of the decoder in reverse order.

    Codes and copies are not confined: the last layer of each network is affine. With ``hidden=()``
    the autoencoder is linear.
    """
    return Autoencoder(
        feed_forward.dense((n_visible,), n_latent, rng, hidden, activation),
        feed_forward.dense((n_latent,), n_visible, rng, tuple(hidden)[::-1], activation),
    )
