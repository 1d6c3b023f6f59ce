r"""The generative adversarial network: a sampler trained against a critic that learns beside it.

A generator maps noise z of a simple distribution to samples G(z). It has no density to maximise.
Instead a discriminator D(x), the probability that x is real, is trained beside it. The two networks
play a game with one value,

    v(G, D) = E_data[log D(x)] + E_z[log(1 − D(G(z)))],    G* = argmin_G max_D v(G, D).

Let p_r be the density of the data and p_g the density of the samples of a fixed G. The integrand
p_r log D + p_g log(1 − D) has the slope in D

    p_r/D − p_g/(1 − D) = (p_r − (p_r + p_g) D)/(D (1 − D)),

so that it is greatest at D* = p_r / (p_r + p_g), where

    v(G, D*) = 2 D_JS(p_r ‖ p_g) − 2 log 2.

So G minimises a Jensen–Shannon divergence, which is 0 where p_g = p_r and D answers ½ everywhere.
Training should stop at this point: from then on the gradient of D teaches G nothing.

With logits a, D = 1 / (1 + e⁻ᵃ), both logarithms are softplus functions, which do not overflow:
−log D = softplus(−a) and −log(1 − D) = softplus(a).

Sources: the notes, "Generative Adversarial Networks" to "Visualizing"; Goodfellow et al.,
arXiv:1406.2661. With classes, both networks see the label c (Mirza and Osindero, arXiv:1411.1784),
and everything above holds for p_r(x|c) and p_g(x|c): v(G, D*) is averaged over the classes.
"""

from __future__ import annotations

from collections.abc import Generator as Yields
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .. import nn, optim
from .. import operations as ops
from ..autodiff import Tensor
from ..backend import Array, Generator, check_generator, to_host
from ..history import Epoch
from ..parallel import by_rows
from . import audit, conditions


def discriminator_cost(real: Any, fake: Any, smoothing: float = 0.0) -> Any:
    """−log D(x) − log(1 − D(G(z))) from the logits of n real and n generated samples: (n,) nats.

    Its mean estimates −v(G, D); it is 2 log 2 where D answers ½ everywhere. ``smoothing`` s is the
    share of real samples that are said to be generated, −(1 − s) log D(x) − s log(1 − D(x)), so
    that D* = (1 − s) p_r/(p_r + p_g). Source of the latter: Salimans et al., arXiv:1606.03498,
    section 3.4.
    """
    of_real = ops.softplus(-real)
    if smoothing:
        of_real = (1 - smoothing) * of_real + smoothing * ops.softplus(real)
    return of_real + ops.softplus(fake)


def discriminator_by_least_squares(real: Any, fake: Any, smoothing: float = 0.0) -> Any:
    """½ (a(x) − 1 + s)² + ½ a(G(z))², whose best a is D* = (1 − s) p_r/(p_r + p_g) as well: (n,).

    The cost bounds no logit, and its slope does not vanish where D is sure. ``smoothing`` is s.
    Source: Mao et al., arXiv:1611.04076, eq. 9.
    """
    return 0.5 * ((real - (1 - smoothing)) ** 2 + fake * fake)


def minimax(fake: Any) -> Any:
    """log(1 − D(G(z))), the cost of G in the game as stated above: (n,) nats.

    Its slope in the logit is −D, which vanishes where D is sure that a sample is generated.
    """
    return -ops.softplus(fake)


def non_saturating(fake: Any) -> Any:
    """−log D(G(z)): (n,) nats, with the fixed points of ``minimax``, and a gradient if D is sure.

    Its slope in the logit is −(1 − D), which is (1 − D)/D times the slope of ``minimax``. Its value
    is log 2 where D answers ½. Source: Goodfellow et al. 2014, section 3.
    """
    return ops.softplus(-fake)


def least_squares(fake: Any) -> Any:
    """½ (a − 1)² at the outputs a of D, which is then fitted to 1 and 0 by least squares: (n,).

    Source: Mao et al., arXiv:1611.04076, eq. 9.
    """
    return 0.5 * (fake - 1) ** 2


GENERATOR_COSTS = {
    "non_saturating": non_saturating,
    "minimax": minimax,
    "least_squares": least_squares,
}


class GAN(nn.Network):
    """x = G(z) with noise z of ``n_latent`` dimensions, and D(x), the probability that x is real.

    ``generator`` maps (n, n_latent) to samples (n, …); its last layer determines their range,
    [−1, 1] for a tanh. ``discriminator`` maps each sample to one logit, (n, 1) or (n,). Real
    samples are reshaped to the shape of the generated ones. ``noise`` is uniform on [−1, 1) or
    normal, N(0, I). ``generator_cost`` is a name in ``GENERATOR_COSTS``. D takes ``d_steps`` steps
    for each step of G, each against new samples of G. With ``"least_squares"``, both players have
    the costs of least squares, and the output of the discriminator is D(x) itself, not its logit.
    ``smoothing`` is that of the labels of real samples: see :func:`discriminator_cost`. A penalty
    on the gradient of D is not here: its gradient is a second derivative, and the engine has first
    ones only. :class:`~scratchgen.nn.SpectralLinear` bounds the slope of D without it.

    With ``n_classes`` K, data are pairs (x, labels), and both networks are called with one-hot
    labels beside their input, (n, K): see :mod:`scratchgen.models.conditions`.
    """

    def __init__(
        self,
        generator: nn.Network,
        discriminator: nn.Network,
        n_latent: int,
        noise: Literal["uniform", "normal"] = "uniform",
        generator_cost: Literal["non_saturating", "minimax", "least_squares"] = "non_saturating",
        d_steps: int = 1,
        n_classes: int | None = None,
        smoothing: float = 0.0,
    ) -> None:
        if noise not in ("uniform", "normal"):
            raise ValueError(f"noise is 'uniform' or 'normal', got {noise!r}")
        if generator_cost not in GENERATOR_COSTS:
            raise ValueError(f"generator_cost is of {[*GENERATOR_COSTS]}, got {generator_cost!r}")
        if n_latent < 1 or d_steps < 1:
            raise ValueError(f"n_latent and d_steps are at least 1, got {n_latent}, {d_steps}")
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing is a share from 0 to below 1, got {smoothing}")
        self.smoothing = float(smoothing)
        conditions.check_networks(n_classes, generator, discriminator)
        self.n_classes = conditions.checked_number(n_classes)
        self.generator, self.discriminator = generator, discriminator
        self.n_latent, self.noise = n_latent, noise
        self.generator_cost, self.d_steps = generator_cost, d_steps

    def sample_noise(self, n: int, rng: Generator) -> Array:
        """z ~ U[−1, 1) or N(0, I), (n, n_latent)."""
        check_generator(rng)
        dtype: Any = self.generator.dtype
        if self.noise == "normal":
            return rng.standard_normal((n, self.n_latent), dtype=dtype)
        z: Array = rng.random((n, self.n_latent), dtype=dtype)
        z *= 2
        z -= 1
        return z

    def generate(self, z: Any, labels: Any = None, *, rng: Generator | None = None) -> Any:
        """G(z), or G(z, c), (n, …); with ``rng``, dropout is on."""
        if z.ndim != 2 or z.shape[1] != self.n_latent:
            raise ValueError(f"noise has the shape (n, {self.n_latent}), got {z.shape}")
        return self._given(self.generator, labels)(z, rng)

    def discriminate(self, x: Any, labels: Any = None) -> Any:
        """D(x) = P(x is real), or D(x, c), (n,), without dropout."""
        out = self.logits(x, None, labels)
        return out if self.generator_cost == "least_squares" else ops.sigmoid(out)

    def logits(self, x: Any, rng: Generator | None = None, labels: Any = None) -> Any:
        """log D(x)/(1 − D(x)), or D(x) for least squares, (n,); with ``rng``, dropout is on."""
        out = self._given(self.discriminator, labels)(x, rng)
        if out.shape not in ((len(x),), (len(x), 1)):
            raise ValueError(
                f"the discriminator gives {out.shape} for {len(x)} samples, expected ({len(x)}, 1):"
                " one logit for each, without a sigmoid"
            )
        return out.reshape(len(x))

    @property
    def players(self) -> list[list[Tensor]]:
        """The discriminator, once for each of its steps, then the generator."""
        return [self.discriminator.parameters()] * self.d_steps + [self.generator.parameters()]

    @property
    def player_names(self) -> tuple[str, ...]:
        """The names D and G; if D takes several steps, "D" is the last one before the step of G."""
        return *(f"D, move {k}" for k in range(1, self.d_steps)), "D", "G"

    def default_optimizers(self) -> list[optim.Optimizer]:
        """Return Adam with a learning rate of 10⁻³ for each network; all steps of D share one."""
        return self.adam(lr=1e-3)

    def adam(self, lr: float, beta1: float = 0.9) -> list[optim.Optimizer]:
        """Return one Adam per step of a player; a small β₁ keeps the networks from overshooting."""
        betas = beta1, 0.999
        D = optim.Adam(self.discriminator.parameters(), lr, betas)
        return [*[D] * self.d_steps, optim.Adam(self.generator.parameters(), lr, betas)]

    def losses(
        self, x: Any, rng: Generator, z: Array | None = None
    ) -> Yields[Tensor, None, dict[str, Array]]:
        """Yield the cost of D for each of its steps, then the cost of G after D has moved.

        The noise is ``z``, (d_steps + 1, n, n_latent), one row of the first axis for each step, or
        is drawn. The report has D(x) and D(G(z)) for an eighth of the batch, before any step and
        **without dropout**. The notes instead log both numbers with the dropout of training, and
        only for the last batch of each epoch.
        """
        x, *labels = conditions.parted(x, self.n_classes, "a GAN")
        n = len(x)
        if z is None:
            z = self.sample_noise((self.d_steps + 1) * n, rng)
        z = z.reshape(self.d_steps + 1, n, self.n_latent)
        # G does not change until its own step: one pass makes the data for all steps of D. If the
        # samples for G's step were made in this pass, δ would flow back through these rows, too.
        of_fakes = conditions.repeated(labels, self.d_steps)
        fakes = _data(self.generate(z[:-1].reshape(-1, self.n_latent), *of_fakes, rng=rng))
        x = _in_the_shape_of(fakes, x)
        few = max(1, n // 8)
        some = conditions.repeated([c[:few] for c in labels], 2)
        outputs = _data(self.discriminate(np.concatenate([_data(x)[:few], fakes[:few]]), *some))
        twice = conditions.repeated(labels, 2)
        by_squares = self.generator_cost == "least_squares"
        cost_of_D = discriminator_by_least_squares if by_squares else discriminator_cost
        for k in range(self.d_steps):
            # Dropout is independent from row to row: one pass for real and generated samples.
            both = ops.concatenate([x, fakes[k * n : (k + 1) * n]])
            logits = self.logits(both, rng, *twice)
            yield cost_of_D(logits[:n], logits[n:], self.smoothing).mean()
        cost = GENERATOR_COSTS[self.generator_cost]
        yield cost(self.logits(self.generate(z[-1], *labels, rng=rng), rng, *labels)).mean()
        return {"D(x)": outputs[:few].mean(), "D(G(z))": outputs[few:].mean()}

    def sample(self, n: int, rng: Generator, labels: Any = None) -> Array:
        """G(z) for n draws of the noise, in the range of the generator: [−1, 1] with a tanh.

        ``labels`` of a model with classes is one integer for each sample, (n,), or one for all.
        """
        of_samples = conditions.checked(labels, n, self.n_classes, device=rng)
        return by_rows(self.frozen().generate, self.sample_noise(n, rng), *of_samples)

    def _sample_shape(self) -> tuple[int, ...]:
        return (self.n_latent,)

    def _one_pass(self, x: Array) -> None:
        z, label = np.zeros_like(x, shape=(1, self.n_latent)), conditions.evenly(1, self.n_classes)
        self.logits(self.generate(z, *label), None, *label)

    def validate(self, x: Any) -> None:
        """Raise ``ValueError`` if G cannot produce such data, or if D does not give logits."""
        x, *labels = conditions.checked_data(x, self.n_classes, "a GAN")
        audit.check_samples(x, "a GAN", "2 (x / 255) − 1")
        low, high = float(to_host(x.min())), float(to_host(x.max()))
        layers = getattr(self.generator, "layers", ())
        if layers and isinstance(layers[-1], nn.Tanh) and (low < -1 or high > 1):
            raise ValueError(
                f"a generator that ends in tanh makes samples in [−1, 1], got data from {low:g} to "
                f"{high:g}: scale them to [0, 1] first if need be, and then by 2x − 1"
            )
        z, label = np.zeros_like(x, shape=(1, self.n_latent)), [c[:1] for c in labels]
        try:
            real = _in_the_shape_of(self.frozen().generate(z, *label), x[:1])
            logits = self.logits(Tensor(real), None, *label)
        except ValueError as error:
            raise ValueError(f"this GAN takes no samples of shape {x.shape[1:]}: {error}") from None
        by_squares = self.generator_cost == "least_squares"
        reason = (
            "since the GAN fits it as it is" if by_squares else "since the GAN applies σ itself"
        )
        audit.check_unconfined(logits, "discriminator", "logits", f"{reason}, in D(x)")

    def _given(self, network: Any, labels: Any) -> Any:
        return conditions.given(network, self.n_classes, labels)


def dense(
    n_visible: int,
    n_hidden: int,
    n_latent: int,
    rng: Generator,
    dropout: float = 0.5,
    n_layers: int = 1,
    slope: float = 0.01,
    n_classes: int | None = None,
    bounded: bool = True,
    spectral: bool = False,
) -> GAN:
    """G: ``n_latent``–H–…–H–D, ending in tanh; D: D–H–…–H–1, its hidden layers without bias.

    Each of the ``n_layers`` hidden layers is followed by a LeakyReLU, and in D by a dropout of its
    own. In the notes' code the dropouts of all layers share one name, and only one survives
    (erratum E16). With ``n_classes`` K, the first layer of each network has K more inputs. G has no
    tanh unless it is ``bounded``. With ``spectral``, the layers of D are
    :class:`~scratchgen.nn.SpectralLinear`.
    """
    if n_layers < 1:
        raise ValueError(f"n_layers is at least 1, got {n_layers}")
    K = n_classes or 0
    of_G: list[nn.Network] = []
    of_D: list[nn.Network] = []
    for k in range(n_layers):
        of_G += [nn.Linear(n_hidden if k else n_latent + K, n_hidden, rng=rng), nn.LeakyReLU(slope)]
    of_G += [nn.Linear(n_hidden, n_visible, rng=rng), *([nn.Tanh()] if bounded else [])]
    linear = nn.SpectralLinear if spectral else nn.Linear
    for k in range(n_layers):
        of_D += [linear(n_hidden if k else n_visible + K, n_hidden, bias=False, rng=rng)]
        of_D += [nn.LeakyReLU(slope), nn.Dropout(dropout)]
    of_D += [linear(n_hidden, 1, rng=rng)]
    G, D = (conditions.with_label(nn.Sequential(*layers), n_classes) for layers in (of_G, of_D))
    return GAN(G, D, n_latent, n_classes=n_classes)


def lecture(rng: Generator) -> tuple[GAN, list[optim.Optimizer]]:
    """The notes' model of MNIST, 20–100–784 against 784–100–1, for batches of 64 on [−1, 1]."""
    model = dense(784, 100, 20, rng)
    return model, model.default_optimizers()


def at_equilibrium(history: Sequence[Epoch], tolerance: float = 0.05, epochs: int = 5) -> bool:
    """Whether |D(x) − ½| and |D(G(z)) − ½| were at most ``tolerance`` in each of the last epochs.

    At equilibrium D cannot tell real from generated samples, and G learns nothing more from D.
    Source: the notes, "Progression in training".
    """
    if epochs < 1 or tolerance < 0:
        raise ValueError(f"epochs ≥ 1 and tolerance ≥ 0, got {epochs} and {tolerance}")
    last = history[-epochs:]
    return len(last) == epochs and all(
        abs(epoch.report[name] - 0.5) <= tolerance for epoch in last for name in ("D(x)", "D(G(z))")
    )


def log_line(epoch: Epoch) -> str:
    """Return the line that the notes print after each epoch; the outputs of D have no dropout."""
    at = epoch.values()
    return (
        f"Epoch {epoch.number:03d} | Avg Losses >> G/D {at['G']:.4f}/{at['D']:.4f} "
        f"[D-Real: {at['D(x)']:.4f} D-Fake: {at['D(G(z))']:.4f}]"
    )


def _data(x: Any) -> Any:
    """Return the numbers of a tensor or an array without its record, so that no δ flows back."""
    return x.data if isinstance(x, Tensor) else x


def _in_the_shape_of(fakes: Any, x: Any) -> Any:
    if fakes.size // len(fakes) != x.size // len(x):
        raise ValueError(
            f"the generator makes samples of shape {fakes.shape[1:]}, the real ones are of shape "
            f"{x.shape[1:]}: as many numbers each are expected"
        )
    return x.reshape(len(x), *fakes.shape[1:])
