"""One step of each kind of training, small enough for a pencil: traces to step through.

Each example has networks of a few units, whose weights are round numbers that somebody chose, and
whose noise was drawn once and rounded. So every number on its page can be computed by hand. What
is drawn before the cost is differentiated, the noise, an x_t, a step of a Gibbs chain, is a station
of its own: in the cost it counts as a constant.

``scratchgen.tracing.EXAMPLES`` has them by name, and ``EXAMPLES["vae"]().to_html("vae.html")``
writes the page.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from .. import operations as ops
from ..autodiff import Tensor
from ..backend import generator
from ..models.diffusion.ddpm import DDPM
from ..models.diffusion.denoisers import DenseDenoiser
from ..models.gan import GAN, discriminator_cost, non_saturating
from ..models.rbm import RBM
from ..models.vae import VAE
from ..optim import SGD
from .lecture import lecture
from .page import Prepared
from .trace import Trace, trace


class Example(NamedTuple):
    """A trace with the title of its page, and what was drawn before it."""

    title: str
    says: str
    """What the page shows, in two sentences."""
    trace: Trace
    prepared: tuple[Prepared, ...] = ()

    def to_html(self, path: str | os.PathLike[str], source: str | None = None) -> None:
        """Write its page: see :meth:`Trace.to_html`."""
        self.trace.to_html(path, title=self.title, prepared=self.prepared, source=source)


def two_two_one() -> Example:
    """The notes' network of nine parameters."""
    says = (
        "Two inputs, two hidden units, one output, and the nine derivatives of the notes. "
        "The four equations of backpropagation, with numbers for every letter."
    )
    return Example("Backpropagation: the network of nine parameters", says, lecture())


def vae() -> Example:
    """−ELBO of one observation: h = μ + σ ε carries δ through the noise to μ and log σ².

    x has two pixels, h one dimension; encoder and decoder are affine.
    """
    encoder = _linear([[0.6, -0.4], [-0.5, 0.3]], [0.1, -0.2])
    decoder = _linear([[0.8], [-0.7]], [0.2, -0.1])
    model = VAE(encoder, decoder, n_latent=1)
    x, eps = np.array([[1.0, 0.0]]), np.array([[0.5]])
    mu, log_var = model.encode(x)
    h = model.reparameterize(mu, log_var, eps)
    sigma = h.inputs[1].inputs[0]
    nll, kl = model.nll(x, h), ops.gaussian_kl(mu, log_var)
    cost = (nll + kl).mean()
    names = {"x": x, "ε": eps, "μ": mu, "log σ²": log_var, "σ": sigma, "h": h}
    names |= {"−log p(x|h)": nll, "KL": kl}
    says = (
        "One observation goes through encoder, noise and decoder. The noise ε is an input, so that "
        "δ passes through h = μ + σ ε to μ and to log σ², where it meets the share of D_KL."
    )
    return Example(
        "A variational autoencoder: the reparameterisation", says, _of(model, cost, names)
    )


def discriminator() -> Example:
    """D's step: −log D(x) − log(1 − D(G(z))), with what G made as data."""
    model, x, z = _players()
    fake = model.frozen().generate(z)
    cost, names = _cost_of_discriminator(model, x, fake)
    G: Any = model.generator
    made = Prepared(
        "G(z) = z Wᵀ + b",
        fake,
        {"z": z, "W": G.weight.data, "b": G.bias.data},
        "G does not move in this step: what it makes is data for D.",
        matrices=True,
    )
    says = (
        "D sees one real number and one that G made, and moves both logits apart. No δ goes on to "
        "G: its sample is a constant here."
    )
    title = "A GAN: the step of the discriminator"
    return Example(title, says, _of(model.discriminator, cost, names), (made,))


def generator_step() -> Example:
    """G's step: −log D(G(z)), after D has moved; δ goes through D, whose weights stay."""
    model, x, z = _players()
    eta = 0.5
    first: Any = next(iter(model.discriminator.parameters()))
    before = first.data.copy()
    cost, _ = _cost_of_discriminator(model, x, model.frozen().generate(z))
    moved = _of(model.discriminator, cost, {})
    SGD(model.discriminator.parameters(), eta).step([*moved.gradients.values()])
    values = {"W": before, "η": eta, "δW": moved.gradients["0.weight"]}
    step = Prepared(
        "W′ = W − η δW",
        first.data.copy(),
        values,
        "D has moved first; here are the weights of its first layer, with δW = ∂C/∂W of its step.",
    )
    z = np.array([[0.4]])
    fake = model.generate(z)
    logits = model.logits(fake)
    cost = non_saturating(logits).mean()
    names = {"z": z, "G(z)": fake, "logit": logits}
    says = (
        "G never sees data: it learns from the δ that D hands back. That δ passes through the "
        "weights of D, and none of them moves."
    )
    return Example(
        "A GAN: the step of the generator", says, _of(model.generator, cost, names), (step,)
    )


def ddpm() -> Example:
    """One step of the training of a DDPM: noise is added, and the network is asked for it.

    For samples of two numbers the mean of (ε̂ − ε)² is ½ Σ (ε̂ − ε)².
    """
    network = DenseDenoiser(2, (2,), rng=generator(0))
    layers: Any = network.layers.layers
    first, _, last = layers
    _set(first, [[0.5, -0.3, 0.2], [-0.4, 0.6, -0.5]], [0.1, 0.0])
    _set(last, [[0.7, -0.2], [0.3, 0.8]], [0.0, 0.1])
    model = DDPM(network, (2,), T=10, schedule=[0.05 * (t + 1) for t in range(10)])
    x0, eps, t = np.array([[1.0, -0.5]]), np.array([[-0.8, 0.6]]), 3
    xt = model.q_sample(x0, t, eps)
    left = np.array(model.alpha_bar[t])
    out = model.output(xt, t)
    cost = ops.squared_error(out, eps).mean()
    of = _of(model.network, cost, {"ε": eps, "ε̂": out})
    prepared = (
        Prepared(
            "ᾱ = (1 − β₀) (1 − β₁) (1 − β₂) (1 − β₃)",
            left,
            {f"β{n}": np.array(model.beta[k]) for k, n in enumerate("₀₁₂₃")},
            "A time was drawn, t = 3; ᾱ is the share of the data's variance that is left then.",
        ),
        Prepared(
            "xₜ = √ᾱ x₀ + √(1 − ᾱ) ε",
            xt,
            {"ᾱ": left, "x₀": x0, "ε": eps},
            "Noise ε was drawn, and all four steps of the forward process are taken at once.",
        ),
        Prepared(
            "a₀ = xₜ, with t/T beside it",
            _first_input(of, first.weight),
            {"xₜ": xt, "t": np.array(float(t)), "T": np.array(float(model.T))},
            "The network has to know how much noise there is.",
        ),
    )
    says = (
        "An observation, a time and noise make x_t; the network sees x_t and t/T, and is asked for "
        "the noise. The cost is the squared error of its answer, without any weight."
    )
    return Example("Diffusion: one step of a DDPM", says, of, prepared)


def rbm() -> Example:
    """CD-1: one Gibbs step from v to v₁, then F(v) − F(v₁), whose gradient is the statistic."""
    model = RBM(3, 2, rng=generator(0)).astype(np.float64)
    model.W.data[...] = [[0.5, -0.4], [-0.3, 0.8], [0.6, 0.2]]
    model.a.data[...] = [0.1, -0.2, 0.0]
    model.b.data[...] = [-0.1, 0.3]
    W, a, b = model.W.data, model.a.data, model.b.data
    v, u, u1 = np.array([[1.0, 0.0, 1.0]]), np.array([[0.6, 0.8]]), np.array([[0.9, 0.3, 0.4]])
    machine = model.frozen()
    p, h = machine.prob_hidden(v), machine.sample_hidden(v, noise=u)
    p1, v1 = machine.prob_visible(h), machine.sample_visible(h, noise=u1)
    cost = (model.free_energy(v) - model.free_energy(v1)).mean()
    drawn = "A uniform number is below p with the probability p."
    prepared = (
        Prepared(
            "p = 1 / (1 + exp(−(v W + b)))",
            p,
            {"v": v, "W": W, "b": b},
            "Given v the hidden units are independent, and this is P(hⱼ = 1|v).",
            matrices=True,
        ),
        Prepared("h = 1 where u < p, else 0", h, {"u": u, "p": p}, drawn),
        Prepared(
            "q = 1 / (1 + exp(−(h Wᵀ + a)))",
            p1,
            {"h": h, "W": W, "a": a},
            "Given h the visible units are independent, and this is P(vᵢ = 1|h).",
            matrices=True,
        ),
        Prepared("v₁ = 1 where u < q, else 0", v1, {"u": u1, "q": p1}, drawn),
    )
    says = (
        "One step of a Gibbs chain leads from the observation v to v₁. W gets two shares: the "
        "positive phase from v, which lowers its free energy, and the negative phase from v₁."
    )
    title = "A Boltzmann machine: one Gibbs step, and the two phases"
    return Example(title, says, _of(model, cost, {"v": v, "v₁": v1}), prepared)


EXAMPLES: dict[str, Callable[[], Example]] = {
    "two_two_one": two_two_one,
    "rbm": rbm,
    "vae": vae,
    "gan_discriminator": discriminator,
    "gan_generator": generator_step,
    "ddpm": ddpm,
}
"""The examples by name, in the order of the notes."""


def _players() -> tuple[GAN, Any, Any]:
    """A GAN of numbers, G affine, D with two hidden units; a real number; the noise of D's step."""
    G = _linear([[0.7]], [0.3])
    D = nn.Sequential(
        _linear([[0.5], [-0.6]], [0.1, 0.2]), nn.LeakyReLU(0.1), _linear([[0.9, -0.8]], [0.1])
    )
    return GAN(G, D, n_latent=1), np.array([[1.2]]), np.array([[-0.5]])


def _cost_of_discriminator(model: GAN, x: Any, fake: Any) -> tuple[Tensor, dict[str, Any]]:
    both = np.concatenate([x, fake])
    logits = model.logits(both)
    real, made = logits[:1], logits[1:]
    names = {"x, G(z)": both, "logits": logits, "of x": real, "of G(z)": made}
    return discriminator_cost(real, made).mean(), names


def _of(network: nn.Network, cost: Tensor, names: dict[str, Any]) -> Trace:
    return trace(cost, dict(network.named_parameters()), names)


def _first_input(of: Trace, weight: Tensor) -> Any:
    """What the layer with this weight takes."""
    (user,) = (node.tensor for node in of.nodes if any(x is weight for x in node.tensor.inputs))
    return user.inputs[0]


def _linear(W: Sequence[Sequence[float]], b: Sequence[float]) -> nn.Linear:
    return _set(nn.Linear(len(W[0]), len(W), rng=generator(0)), W, b)


def _set(layer: nn.Linear, W: Sequence[Sequence[float]], b: Sequence[float]) -> nn.Linear:
    """The layer with these weights, in float64."""
    layer.weight, layer.bias = Tensor(np.array(W)), Tensor(np.array(b))
    return layer
