r"""The variational autoencoder: a latent variable model trained on a lower bound of its evidence.

Data x are modelled by latents h, p(x) = ∫ p(x|h) p(h) dh with p(h) = N(0, I). The integral is
intractable, and so is the posterior p(h|x); an encoder q(h|x) = N(h; μ(x), σ²(x) I) approximates
it. From log p(x) = E_q[log p(x, h) − log q(h|x)] + D_KL(q(h|x) ‖ p(h|x)), and D_KL ≥ 0, follows the
evidence lower bound

    log p(x) ≥ ELBO(x) = E_q[log p(x|h)] − D_KL(q(h|x) ‖ p(h)).

The first term measures how well x is reconstructed, the second how far the encoder departs from the
prior. The second term has a closed form. The first is estimated from L samples, h = μ + σ ∘ ε with
ε ~ N(0, I). In this form the randomness is an input, and the gradient with respect to μ and σ flows
through h.

The notes print the estimate as Σₗ log p(x|h⁽ˡ⁾); the mean, (1/L) Σₗ, approximates E_q (erratum E8).

A tighter bound averages the weights p(x, h)/q(h|x) before it takes the logarithm. With L latents,

    log p(x) ≥ E log (1/L) Σₗ p(x|h⁽ˡ⁾) p(h⁽ˡ⁾)/q(h⁽ˡ⁾|x) ≥ ELBO(x).

It evaluates any VAE, and is itself the objective of an :class:`IWAE`, whose encoder may then cover
the posterior instead of matching its mode.

Sources: the notes, "Reminder on VAEs" to "After training"; Kingma and Welling, arXiv:1312.6114;
Burda, Grosse and Salakhutdinov, arXiv:1509.00519; Higgins et al. 2017 (β).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Generator as Yields
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .. import nn, optim
from .. import operations as ops
from ..autodiff import Tensor
from ..backend import Array, Generator
from ..distributions import Gaussian, likelihood_of, of_rows
from ..parallel import by_rows
from . import audit


class VAE(nn.Network):
    """p(h) = N(0, I) of ``n_latent`` dimensions, a decoder p(x|h) and an encoder q(h|x).

    A sample x has D numbers. ``encoder`` maps samples to (n, 2 n_latent), μ, then log σ². Its
    input is rows (n, D), or, if it is convolutional, images (n, channels, rows, columns).
    ``decoder`` maps (n, n_latent) to the parameters of ``likelihood``, as rows or as images:

    - ``"bernoulli"``: D logits for each sample, without a sigmoid, which the model applies; x lies
      in [0, 1], and grey values are means;
    - ``"gaussian"``: 2 D numbers, the means of x, then their log variances; for images, c channels
      of means, then c of log variances;
    - an integer K, for pixels of K levels from 0 to 1: 2 D numbers, in the same order, for the
      means and the log scales of discretised logistics
      (:class:`~scratchgen.distributions.Logistic`), so that −ELBO bounds −log P(x).

    ``n_samples`` is L, the number of latents per x in the training bound. ``beta`` is the weight of
    the KL divergence in the training cost; with ``beta`` = 1 the cost is −ELBO. A larger one forces
    latents to be independent, at the price of blurred reconstructions. A smaller one at the start
    of the training keeps latents in use: a schedule may set ``model.beta`` between epochs.
    """

    def __init__(
        self,
        encoder: nn.Network,
        decoder: nn.Network,
        n_latent: int,
        likelihood: Literal["bernoulli", "gaussian"] | int = "bernoulli",
        n_samples: int = 1,
        beta: float = 1.0,
    ) -> None:
        self.family = likelihood_of(likelihood)
        if n_latent < 1 or n_samples < 1:
            raise ValueError(f"n_latent and n_samples are at least 1, got {n_latent}, {n_samples}")
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta, the weight of the KL, is a number from 0, got {beta}")
        self.encoder, self.decoder, self.beta = encoder, decoder, float(beta)
        self._convolves = any(p.ndim == 4 for p in encoder.parameters())
        self.n_latent, self.likelihood, self.n_samples = n_latent, likelihood, n_samples

    def encode(self, x: Any, rng: Generator | None = None) -> tuple[Any, Any]:
        """μ(x) and log σ²(x) of q(h|x), each (n, n_latent)."""
        out = _rows(self.encoder(x if self._convolves else _rows(x), rng))
        q = of_rows(Gaussian, out, self.n_latent, "encoder", "latents")
        return q.mu, q.log_var

    def reparameterize(self, mu: Any, log_var: Any, eps: Array) -> Any:
        """h = μ + σ ∘ ε, which is distributed as q(h|x) for ε ~ N(0, I)."""
        return Gaussian(mu, log_var).draw(noise=eps)

    def decode(self, h: Any) -> Any:
        """E[x|h], in the shape of the decoder's output: (n, D), or images."""
        return self.family.of(self.decoder(h)).mean

    def nll(self, x: Any, h: Any, rng: Generator | None = None) -> Any:
        """−log p(x|h), (n,) nats."""
        x = _rows(x)
        return self.given(h, x.shape[1], rng).nll(x)

    def given(self, h: Any, size: int, rng: Generator | None = None) -> Any:
        """p(x|h), the distribution of x as rows of ``size`` entries."""
        return of_rows(self.family, _rows(self.decoder(h, rng)), size, "decoder", "entries of x")

    def elbo(self, x: Any, eps: Array | None = None, rng: Generator | None = None) -> Any:
        """ELBO(x) = (1/L) Σₗ log p(x|h⁽ˡ⁾) − D_KL(q(h|x) ‖ p(h)), h⁽ˡ⁾ = μ + σ ∘ ε⁽ˡ⁾: (n,) nats.

        The noise is ``eps``, (n, n_latent) or (L, n, n_latent), or is drawn from ``rng``.
        """
        nll, kl = self.elbo_terms(x, eps, rng)
        return -nll - kl

    def elbo_terms(
        self,
        x: Any,
        eps: Array | None = None,
        rng: Generator | None = None,
        network_rng: Generator | None = None,
    ) -> tuple[Any, Any]:
        """−(1/L) Σₗ log p(x|h⁽ˡ⁾) and D_KL(q(h|x) ‖ p(h)), the parts of −ELBO: each (n,) nats.

        ``network_rng`` is passed to the networks; training uses it for dropout.
        """
        mu, log_var = self.encode(x, network_rng)
        if eps is None:
            if rng is None:
                raise ValueError("the bound is an estimate from noise: give eps, or rng to draw it")
            eps = Gaussian.standard((self.n_samples, *mu.shape), mu.dtype, rng)
        samples = eps if eps.ndim == 3 else eps[None]
        nll = self.nll(x, self.reparameterize(mu, log_var, samples[0]), network_rng)
        for noise in samples[1:]:
            nll = nll + self.nll(x, self.reparameterize(mu, log_var, noise), network_rng)
        return nll / len(samples), ops.gaussian_kl(mu, log_var)

    @property
    def players(self) -> list[list[Tensor]]:
        """One player: encoder and decoder move together."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Return Adam with a learning rate of 10⁻³."""
        return [optim.Adam(self.parameters(), lr=1e-3)]

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """Yield the cost −E_q[log p(x|h)] + β D_KL, averaged over the batch; report its two parts.

        With β = 1 the cost is −ELBO.
        """
        nll, kl = self.elbo_terms(x, rng=rng, network_rng=rng)
        yield (nll + (kl if self.beta == 1 else self.beta * kl)).mean()
        return {"reconstruction": nll.data.mean(), "KL": kl.data.mean()}

    def kl_of_units(self, x: Any) -> Array:
        """The mean over samples x of ½ (μ² + σ² − 1 − log σ²) for each latent: (n_latent,) nats.

        It is near zero for a latent that the encoder does not use. The sum is the KL divergence of
        the bound.
        """
        mu, log_var = self.frozen().encode(x)
        kl: Array = 0.5 * (mu * mu + np.exp(log_var) - 1 - log_var).mean(axis=0)
        return kl

    def sample(self, n: int, rng: Generator) -> Array:
        """E[x|h] for n latents h ~ p(h): the means of the decoder, as in the notes, not draws of x.

        They vary less than x does; :meth:`draw` gives samples with the distribution p(x).
        """
        return by_rows(self.frozen().decode, self._latents(n, rng))

    def draw(self, n: int, rng: Generator) -> Array:
        """x ~ p(x|h) for n latents h ~ p(h), in the shape of :meth:`decode`: draws of x ~ p(x).

        With a Bernoulli likelihood each entry is 0 or 1, even if the training data were grey
        values.
        """
        out = by_rows(self.frozen().decoder, self._latents(n, rng))
        return self.family.of(out).draw(rng)

    def log_likelihood(self, x: Any, n_samples: int, rng: Generator) -> Array:
        """log (1/L) Σₗ p(x|h⁽ˡ⁾) p(h⁽ˡ⁾) / q(h⁽ˡ⁾|x) with h⁽ˡ⁾ ~ q(h|x): (n,) nats.

        This is the importance-weighted bound: on average it is below log p(x), and approaches it
        with increasing L = ``n_samples`` (L = 1 is the ELBO). Source: Burda, Grosse, Salakhutdinov,
        arXiv:1509.00519, eq. 8.
        """
        if n_samples < 1:
            raise ValueError(f"n_samples is at least 1, got {n_samples}")
        frozen = self.frozen()
        q = frozen.encode(x)
        noise = (Gaussian.standard(q[0].shape, q[0].dtype, rng) for _ in range(n_samples))
        log_weights = np.stack([frozen.log_weight(x, *q, eps) for eps in noise])
        return ops.logsumexp(log_weights, axis=0) - math.log(n_samples)

    def log_weight(
        self, x: Any, mu: Any, log_var: Any, eps: Array, rng: Generator | None = None
    ) -> Any:
        """log p(x, h) − log q(h|x) at h = μ + σ ∘ ε, for μ and log σ² by :meth:`encode`: (n,) nats.

        Its mean over ε is the ELBO. If q is the posterior, it is log p(x) for every ε.
        """
        h = self.reparameterize(mu, log_var, eps)
        # log p(h) − log q(h|x), in which both log 2π cancel
        prior_over_posterior = 0.5 * (eps * eps + log_var - h * h).sum(axis=1)
        return prior_over_posterior - self.nll(x, h, rng)

    def _latents(self, n: int, rng: Generator) -> Array:
        """Latents h ~ p(h), (n, n_latent)."""
        return Gaussian.standard((n, self.n_latent), self.decoder.dtype, rng)

    def _sample_shape(self) -> tuple[int, ...] | None:
        return self.encoder._sample_shape()

    def _one_pass(self, x: Array) -> None:
        self.decode(self.encode(x)[0])

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data or networks that do not fit the model.

        A :class:`~scratchgen.training.TrainingWarning` reports a Gaussian likelihood that is
        unbounded, because some entry of x does not vary at all, or whose variance cannot become
        small.
        """
        audit.check_samples(x, "a VAE", "x / 255")
        who = f"a {self.family.__name__} likelihood takes"
        self.family.check(x, who, "take a Gaussian likelihood")
        try:
            mu, log_var = self.encode(Tensor(x[:1]))
            h = Tensor(mu.data)
            self.nll(x[:1], h)
        except ValueError as error:
            rows = self._convolves and x.ndim == 2
            cure = ": begin the encoder with nn.Reshape(channels, rows, columns)" if rows else ""
            raise ValueError(
                f"this VAE takes no samples of shape {x.shape[1:]}: {error}{cure}"
            ) from None
        as_it_is = "since the VAE takes them as they are"
        audit.check_unconfined(mu, "encoder", "means of the latents", as_it_is)
        audit.check_not_wide(log_var, "encoder", "log variances of the latents", as_it_is)
        p = self.family.of(self.decoder(h))
        for name, parameter in p.unbounded.items():
            audit.check_unconfined(parameter, "decoder", name, "since the VAE applies σ itself")
        audit.caution_of_bytes(x)
        for doubt in p.doubts(x, "decoder"):
            audit.caution(doubt)


class IWAE(VAE):
    """A VAE that trains the importance-weighted bound of ``n_samples`` latents for each x.

    The cost is −log (1/L) Σₗ p(x, h⁽ˡ⁾)/q(h⁽ˡ⁾|x). With L = 1 it is −ELBO, with log p(h)/q(h|x) at
    the latent in place of the closed form of its mean. Source: Burda et al. 2016, eq. 8.
    """

    def __init__(
        self,
        encoder: nn.Network,
        decoder: nn.Network,
        n_latent: int,
        likelihood: Literal["bernoulli", "gaussian"] | int = "bernoulli",
        n_samples: int = 5,
    ) -> None:
        super().__init__(encoder, decoder, n_latent, likelihood, n_samples)

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """Yield minus the bound, averaged over the batch; report −ELBO from the same latents."""
        mu, log_var = self.encode(x, rng)
        noise = Gaussian.standard((self.n_samples, *mu.shape), mu.dtype, rng)
        log_weights = ops.stack([self.log_weight(x, mu, log_var, eps, rng) for eps in noise])
        yield -(ops.logsumexp(log_weights, axis=0) - math.log(self.n_samples)).mean()
        return {"−ELBO": -log_weights.data.mean()}


def dense(
    n_visible: int,
    n_hidden: int,
    n_latent: int,
    rng: Generator,
    likelihood: Literal["bernoulli", "gaussian"] | int = "bernoulli",
) -> VAE:
    """The autoencoder D–H–(μ, log σ²)–H–D, with ReLU in its hidden layers."""
    n_out = likelihood_of(likelihood).per_entry * n_visible
    encoder = nn.Sequential(
        nn.Linear(n_visible, n_hidden, rng=rng),
        nn.ReLU(),
        nn.Linear(n_hidden, 2 * n_latent, rng=rng),
    )
    decoder = nn.Sequential(
        nn.Linear(n_latent, n_hidden, rng=rng),
        nn.ReLU(),
        nn.Linear(n_hidden, n_out, rng=rng),
    )
    return VAE(encoder, decoder, n_latent, likelihood)


def convolutional(
    shape: Sequence[int],
    n_channels: int,
    n_latent: int,
    rng: Generator,
    likelihood: Literal["bernoulli", "gaussian"] | int = "bernoulli",
) -> VAE:
    """Two 3×3 convolutions halve images of ``shape`` = (c, h, w) twice; the decoder mirrors them.

    Their channels are c, ``n_channels`` and twice as many, each followed by a ReLU; one linear
    layer gives (μ, log σ²). Samples may be images or rows. Raises ``ValueError`` for other shapes.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"convolutions take images (channels, height, width), got {tuple(shape)}")
    c, *size = map(operator.index, shape)
    half = [-(-k // 2) for k in size]
    quarter = [-(-k // 2) for k in half]
    wide = 2 * n_channels
    features = wide * math.prod(quarter)

    def down(c_in: int, c_out: int) -> nn.Network:
        return nn.Conv2d(c_in, c_out, 3, stride=2, padding=1, rng=rng)

    def up(c_in: int, c_out: int, size: list[int]) -> nn.Network:
        # A transposed convolution makes 2k − 1 pixels of k: an even size needs one more.
        added = 1 - size[0] % 2, 1 - size[1] % 2
        return nn.ConvTranspose2d(c_in, c_out, 3, 2, 1, added, rng=rng)

    encoder = nn.Sequential(
        nn.Reshape(*shape),
        down(c, n_channels),
        nn.ReLU(),
        down(n_channels, wide),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(features, 2 * n_latent, rng=rng),
    )
    decoder = nn.Sequential(
        nn.Linear(n_latent, features, rng=rng),
        nn.ReLU(),
        nn.Reshape(wide, *quarter),
        up(wide, n_channels, half),
        nn.ReLU(),
        up(n_channels, c * likelihood_of(likelihood).per_entry, size),
    )
    return VAE(encoder, decoder, n_latent, likelihood)


def lecture(rng: Generator) -> tuple[VAE, list[optim.Optimizer]]:
    """The notes' model of MNIST, 784–400–(μ, log σ²: 20)–400–784 with Adam, for batches of 128."""
    model = dense(784, 400, 20, rng)
    return model, model.default_optimizers()


def _rows(x: Any) -> Any:
    return x if x.ndim == 2 else x.reshape(x.shape[0], math.prod(x.shape[1:]))
