r"""The hierarchical VAE: a stack of autoencoders, in which each is the prior of the one below.

The prior of a VAE need not be N(0, I). In a Markovian hierarchy it is another VAE, whose data are
the latents of the first, and so on. T layers have the latents h₁ … h_T, with

    p(x, h₁ … h_T) = p(x|h₁) p(h₁|h₂) ⋯ p(h_{T−1}|h_T) p(h_T),     p(h_T) = N(0, I),
    q(h₁ … h_T|x)  = q(h₁|x) q(h₂|h₁) ⋯ q(h_T|h_{T−1}).

All conditionals of latents are Gaussian; networks give their means and variances. The bound of the
VAE holds unchanged, log p(x) ≥ E_q[log p(x, h) − log q(h|x)]. It has three parts,

    ELBO =   E_q log p(x|h₁)                                          reconstruction
           − E_q D_KL(q(h_T|h_{T−1}) ‖ p(h_T))                        prior matching
           − Σ_{t<T} E_q log [q(h_t|h_{t−1}) / p(h_t|h_{t+1})]        consistency,

where h₀ is x. The consistency is small if the encoder of an inner layer, from below, agrees with
the decoder, from above. All parts are estimated at one path h₁ … h_T ~ q. The prior matching has a
closed form, given h_{T−1}. The consistency has no closed form. The notes print it as a D_KL at
h_{t−1} and h_{t+1} (erratum E23), but given h_{t+1}, h_t is no longer distributed as
q(h_t|h_{t−1}). The printed form gives no bound, and is lowest if the layers above carry no
information. This module uses the log-ratio at the sampled h_t instead. The notes also print
p(h_t|h_{t−1}) in place of the decoder p(h_{t−1}|h_t) (erratum E11).

Sources: the notes, "Chains of VAEs" to "Equation for the Markovian hierarchical VAE"; Luo,
arXiv:2208.11970, eqs. 23 to 28; Sønderby et al., arXiv:1602.02282 (warm-up, active units).
"""

from __future__ import annotations

import math
from collections.abc import Generator as Yields
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from .. import nn, optim
from .. import operations as ops
from ..autodiff import Tensor
from ..backend import Array, Generator
from ..distributions import Gaussian, likelihood_of
from ..parallel import by_rows
from .vae import VAE

ACTIVE = 0.01
"""A unit is active if its mean KL exceeds these nats. Source: Sønderby et al. 2016, section 3.2."""


class Latents(NamedTuple):
    """The latents h = μ + σ ∘ ε of one layer, drawn from q(h|below), and their prior p(h|above)."""

    eps: Array
    h: Any
    q: Gaussian
    p: Gaussian

    @property
    def log_ratio(self) -> Any:
        """log q(h|below) − log p(h|above) of each unit, in which both log 2π cancel: (n, units)."""
        of_p = self.p.scaled((self.h - self.p.mu) ** 2) + self.p.log_var
        return 0.5 * (of_p - self.eps * self.eps - self.q.log_var)


class HierarchicalVAE(nn.Network):
    """p(x) = ∫ p(x|h₁) ∏ p(h_{t−1}|h_t) p(h_T) over all h: T autoencoders, ``layer1`` … ``layerT``.

    ``encoders[0]`` maps samples x to (n, 2 ``n_latents[0]``), the means of h₁, then their log
    variances; ``encoders[t]`` maps latents h_t to the means and log variances of h_{t+1}.
    ``decoders[0]`` maps h₁ to the parameters of the ``likelihood`` of x, like the decoder of a
    :class:`~scratchgen.models.VAE`; ``decoders[t]`` maps latents h_{t+1} to the means and log
    variances of h_t. With one layer, the model is a VAE.

    ``beta`` is the weight of prior matching and consistency in the training cost; with ``beta`` = 1
    the cost is −ELBO. A smaller weight at the start of the training keeps the upper layers in use.
    A schedule may set the weight between epochs, like a learning rate:

        rising = optim.schedules.WarmUp(50, start=0.0)
        model.beta = rising(0)
        for epoch in train(model, …):
            model.beta = rising(epoch.number)
    """

    def __init__(
        self,
        encoders: Sequence[nn.Network],
        decoders: Sequence[nn.Network],
        n_latents: Sequence[int],
        likelihood: Literal["bernoulli", "gaussian"] | int = "bernoulli",
        beta: float = 1.0,
    ) -> None:
        counts = len(encoders), len(decoders), len(n_latents)
        if not counts[0] or len({*counts}) > 1:
            raise ValueError(
                "a hierarchy has an encoder, a decoder and a number of latents for each of at "
                "least one layer, got {} encoders, {} decoders and {} numbers".format(*counts)
            )
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta, the weight of the KL, is a number from 0, got {beta}")
        self.n_latents, self.likelihood, self.beta = tuple(n_latents), likelihood, float(beta)
        for t, of_layer in enumerate(zip(encoders, decoders, n_latents, strict=True), 1):
            setattr(self, f"layer{t}", VAE(*of_layer, likelihood if t == 1 else "gaussian"))

    @property
    def layers(self) -> tuple[VAE, ...]:
        """The autoencoders, bottom first."""
        return tuple(getattr(self, f"layer{t}") for t, _ in enumerate(self.n_latents, 1))

    def latents(
        self,
        x: Any,
        eps: Any = None,
        rng: Generator | None = None,
        network_rng: Generator | None = None,
    ) -> list[Latents]:
        """Return one path h₁ … h_T ~ q(h|x), bottom first.

        The noise is ``eps``, (n, units of all layers) with the units of h₁ first, or one array for
        each layer, or is drawn from ``rng``. ``network_rng`` is passed to the networks.
        """
        noise = self._noise(len(x), eps, rng)
        below, drawn = x, []
        for layer, of_layer in zip(self.layers, noise, strict=True):
            q = Gaussian(*layer.encode(below, network_rng))
            below = q.draw(noise=of_layer)
            drawn.append((of_layer, below, q))
        priors = [
            layer.given(h, size, network_rng)
            for layer, (_, h, _), size in zip(
                self.layers[1:], drawn[1:], self.n_latents, strict=False
            )
        ]
        top = Gaussian(0.0, 0.0)
        return [Latents(*of_q, p) for of_q, p in zip(drawn, [*priors, top], strict=True)]

    def elbo(self, x: Any, eps: Any = None, rng: Generator | None = None) -> Any:
        """ELBO(x) = reconstruction − prior matching − consistency, at one path: (n,) nats."""
        reconstruction, prior, consistency = self.elbo_terms(x, eps, rng)
        return reconstruction - prior - consistency

    def elbo_terms(self, x: Any, eps: Any = None, rng: Generator | None = None) -> tuple[Any, ...]:
        """log p(x|h₁), D_KL(q(h_T|h_{T−1}) ‖ p(h_T)), Σ_{t<T} log q(h_t|h_{t−1})/p(h_t|h_{t+1}).

        Each is (n,) nats, at one path; :meth:`latents` explains ``eps`` and ``rng``.
        """
        path = self.latents(x, eps, rng)
        prior = ops.gaussian_kl(path[-1].q.mu, path[-1].q.log_var)
        inner = [of_layer.log_ratio.sum(axis=1) for of_layer in path[:-1]]
        return -self.layers[0].nll(x, path[0].h), prior, sum(inner, 0 * prior)

    def log_weight(self, x: Any, eps: Any = None, rng: Generator | None = None) -> Any:
        """log p(x, h) − log q(h|x) at one path h ~ q(h|x): (n,) nats, on average the ELBO.

        If q is the posterior, it is log p(x) for every h.
        """
        path = self.latents(x, eps, rng)
        ratios = [of_layer.log_ratio.sum(axis=1) for of_layer in path]
        return -self.layers[0].nll(x, path[0].h) - sum(ratios[1:], ratios[0])

    def log_likelihood(self, x: Any, n_samples: int, rng: Generator) -> Array:
        """log (1/L) Σₗ p(x, h⁽ˡ⁾)/q(h⁽ˡ⁾|x) with L = ``n_samples`` paths h⁽ˡ⁾ ~ q(h|x): (n,) nats.

        On average it is below log p(x), and approaches it with increasing L, like
        :meth:`VAE.log_likelihood`.
        """
        if n_samples < 1:
            raise ValueError(f"n_samples is at least 1, got {n_samples}")
        frozen = self.frozen()
        log_weights = [frozen.log_weight(x, rng=rng) for _ in range(n_samples)]
        return ops.logsumexp(np.stack(log_weights), axis=0) - math.log(n_samples)

    def kl_of_units(self, x: Any, rng: Generator) -> list[Array]:
        """mean [log q(h_t|h_{t−1}) − log p(h_t|h_{t+1})] per unit, one array (units,) per layer.

        The mean is over samples x and paths, in nats per sample. It is near zero for a unit that
        the encoder does not use.
        """
        path = self.frozen().latents(x, rng=rng)
        return [of_layer.log_ratio.mean(axis=0) for of_layer in path]

    @property
    def players(self) -> list[list[Tensor]]:
        """One player: encoders and decoders move together."""
        return [self.parameters()]

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Return Adam with a learning rate of 10⁻³."""
        return [optim.Adam(self.parameters(), lr=1e-3)]

    def losses(self, x: Any, rng: Generator) -> Yields[Tensor, None, dict[str, Array]]:
        """Yield −reconstruction + β (prior matching + consistency), averaged over the batch.

        The report has −reconstruction, the KL of each layer, the number of its units whose mean KL
        over the batch exceeds 0.01 nats, and β.
        """
        path = self.latents(x, rng=rng, network_rng=rng)
        nll = self.layers[0].nll(x, path[0].h, rng)
        ratios = [of_layer.log_ratio for of_layer in path]
        prior = ops.gaussian_kl(path[-1].q.mu, path[-1].q.log_var)
        kl_of_layers = [*(ratio.sum(axis=1) for ratio in ratios[:-1]), prior]
        yield (nll + self.beta * sum(kl_of_layers[1:], kl_of_layers[0])).mean()
        report = {"reconstruction": nll.data.mean()}
        for t, (ratio, kl) in enumerate(zip(ratios, kl_of_layers, strict=True), 1):
            told = ratio.data.mean(axis=0)
            report[f"KL of h{t}"] = kl.data.mean()
            report[f"active units of h{t}"] = (told > ACTIVE).sum().astype(told.dtype)
        report["KL weight"] = np.asarray(self.beta, dtype=nll.dtype, like=nll.data)
        return report

    def descend(self, h: Array, rng: Generator, layer: int | None = None) -> Array:
        """h₁ ~ p(h₁|h_t) by the chain h_{t−1} ~ p(h_{t−1}|h_t), from latents h_t of a ``layer`` t.

        The default is the top layer, t = T. Many draws from the same h_t show the information that
        it holds.
        """
        top = len(self.n_latents) if layer is None else layer
        if not 1 <= top <= len(self.n_latents) or h.shape[1:] != (self.n_latents[top - 1],):
            raise ValueError(
                f"layers 1 to {len(self.n_latents)} have {self.n_latents} latents, got layer {top} "
                f"with {h.shape[1:]}"
            )
        layers = self.frozen().layers
        for t in range(top - 1, 0, -1):
            h = layers[t].given(h, self.n_latents[t - 1]).draw(rng)
        return h

    def sample(self, n: int, rng: Generator) -> Array:
        """E[x|h₁] for n paths down the hierarchy: means, which vary less than draws of x."""
        return by_rows(self.frozen().layers[0].decode, self._bottom(n, rng))

    def draw(self, n: int, rng: Generator) -> Array:
        """x ~ p(x|h₁) for n paths down the hierarchy: draws of x ~ p(x)."""
        bottom = self.frozen().layers[0]
        return bottom.family.of(by_rows(bottom.decoder, self._bottom(n, rng))).draw(rng)

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` for data or networks that do not fit; its message names the layer.

        Each layer is checked as a VAE whose data are the means of the latents below.
        """
        for t, layer in enumerate(self.layers, 1):
            try:
                layer.validate(x)
            except ValueError as error:
                raise ValueError(f"layer {t} of {len(self.n_latents)}: {error}") from None
            x, _ = layer.frozen().encode(x[:1])

    def _noise(self, n: int, eps: Any, rng: Generator | None) -> list[Array]:
        """The noise of each layer, (n, units)."""
        if isinstance(eps, (list, tuple)):
            return [*eps]
        total = sum(self.n_latents)
        if eps is None:
            if rng is None:
                raise ValueError("the bound is an estimate from noise: give eps, or rng to draw it")
            eps = Gaussian.standard((n, total), self.dtype, rng)
        if eps.shape != (n, total):
            raise ValueError(
                f"the noise of {n} samples and {self.n_latents} latents is ({n}, {total}), got "
                f"{eps.shape}"
            )
        ends = np.cumsum(self.n_latents).tolist()
        return [eps[:, end - k : end] for end, k in zip(ends, self.n_latents, strict=True)]

    def _bottom(self, n: int, rng: Generator) -> Array:
        """h₁ of n paths down the hierarchy, (n, units)."""
        return self.descend(Gaussian.standard((n, self.n_latents[-1]), self.dtype, rng), rng)

    def _sample_shape(self) -> tuple[int, ...] | None:
        return self.layers[0]._sample_shape()

    def _one_pass(self, x: Array) -> None:
        path = self.latents(x, np.zeros_like(x, shape=(1, sum(self.n_latents))))
        self.layers[0].decode(path[0].h)


def dense(
    n_visible: int,
    n_hidden: int,
    n_latents: Sequence[int],
    rng: Generator,
    likelihood: Literal["bernoulli", "gaussian"] | int = "bernoulli",
) -> HierarchicalVAE:
    """Each encoder and each decoder is an MLP with one layer of ``n_hidden`` ReLU units."""
    sizes = [n_visible, *n_latents]
    per_entry = [likelihood_of(likelihood).per_entry, *(2 for _ in n_latents[1:])]

    def mlp(n_in: int, n_out: int) -> nn.Network:
        into, out_of = nn.Linear(n_in, n_hidden, rng=rng), nn.Linear(n_hidden, n_out, rng=rng)
        return nn.Sequential(into, nn.ReLU(), out_of)

    encoders = [mlp(below, 2 * k) for below, k in zip(sizes, n_latents, strict=False)]
    decoders = [
        mlp(k, each * below) for k, each, below in zip(n_latents, per_entry, sizes, strict=False)
    ]
    return HierarchicalVAE(encoders, decoders, n_latents, likelihood)
