"""The linear autoencoder, whose optimum is known: principal components with noise.

The notes, "Reminder on VAEs" to "After training", in the one case that can be solved on paper. Let
the decoder be linear, with one variance for all entries, and the encoder linear in x:

    p(x|h) = N(W h + b, s² I),   p(h) = N(0, I),   q(h|x) = N(V (x − b), diag d).

Then p(x) = N(b, W Wᵀ + s² I), and the maximum of the likelihood has a closed form (Tipping and
Bishop 1999). With the eigenvalues λ₁ ≥ … ≥ λ_D of the covariance of the data, and q latents,

    s² = (1/(D − q)) Σ_{j>q} λⱼ,   the columns of W are √(λⱼ − s²) uⱼ for j ≤ q, up to a rotation,
    max E log p(x) = −½ [D log 2π + Σ_{j≤q} log λⱼ + (D − q) log s² + D].

The posterior p(h|x) is a Gaussian with the covariance s² (WᵀW + s² I)⁻¹, which is diagonal if the
columns of W are orthogonal. Hence q can equal it, and the bound equals the evidence: −ELBO, trained
by noise and gradients alone, must come down to this number, and never below it. The columns of W
end on the principal axes; without the KL divergence nothing would fix their rotation. If a latent
is not worth its cost, which is the case for λⱼ ≤ s², its column is zero: the posterior collapses,
at the optimum and not by a failure of the training (Lucas et al. 2019).
"""

import functools
import math
import sys

import numpy as np

import scratchgen as sg
from scratchgen import datasets, nn, optim
from scratchgen import operations as ops
from scratchgen.models import VAE

LATENTS, EPOCHS, BATCH, RATE = 8, 300, 50, 3e-2


class Encoder(nn.Network):
    """μ = x Vᵀ + c beside log d, which is the same for all x: (n, 2 q)."""

    def __init__(self, n_visible, n_latent, *, rng):
        self.mean = nn.Linear(n_visible, n_latent, rng=rng)
        self.log_var = sg.Tensor(np.zeros(n_latent, np.float32))

    def __call__(self, x, rng=None):
        mu = self.mean(x)
        return ops.concatenate([mu, self.log_var + 0 * mu], axis=1)


class Decoder(nn.Network):
    """W h + b beside log s², which is the same for all entries: (n, 2 D)."""

    def __init__(self, n_latent, n_visible, *, rng):
        self.mean = nn.Linear(n_latent, n_visible, rng=rng)
        self.log_var = sg.Tensor(np.zeros(1, np.float32))

    def __call__(self, h, rng=None):
        mean = self.mean(h)
        return ops.concatenate([mean, self.log_var + 0 * mean], axis=1)


@functools.cache
def data():
    """The digits as rows of the pixels that vary, 61 of 64, each less its mean."""
    x = datasets.digits("train")[0].reshape(-1, 64).astype(np.float64)
    return x[:, x.std(axis=0) > 0] - x.mean(axis=0)[x.std(axis=0) > 0]


@functools.cache
def spectrum():
    """The eigenvalues λ of the covariance of the data, in falling order, and the axes as rows."""
    values, vectors = np.linalg.eigh(np.cov(data().T, bias=True))
    return values[::-1], vectors.T[::-1]


def best_log_likelihood(q):
    """The maximum of E log p(x) for q latents, in nats, and its s²."""
    values, _ = spectrum()
    D = len(values)
    s2 = values[q:].mean()
    logs = np.log(values[:q]).sum() + (D - q) * math.log(s2)
    return -0.5 * (D * math.log(2 * math.pi) + logs + D), s2


@functools.cache
def trained(seed=0):
    """Return the trained autoencoder, and −ELBO in nats on all data after each epoch."""
    x, rng = data(), sg.generator(seed)
    D = x.shape[1]
    networks = Encoder(D, LATENTS, rng=rng), Decoder(LATENTS, D, rng=rng)
    model = VAE(*networks, LATENTS, "gaussian").astype(np.float64)
    adam, schedule = optim.Adam(model.parameters(), RATE), optim.schedules.Cosine(EPOCHS)
    costs = []
    for epoch in sg.train(model, x, adam, epochs=EPOCHS, batch_size=BATCH, rng=rng):
        adam.lr = RATE * schedule(epoch.number)
        costs.append(exact_cost(model))
    return model, np.array(costs)


def exact_cost(model):
    """The mean of −ELBO over the data, with the expectation over h in closed form.

    E_q ‖x − W h − b‖² = ‖x − W μ − b‖² + Σⱼ dⱼ ‖wⱼ‖².
    """
    x, frozen = data(), model.frozen()
    mu, log_var = frozen.encode(x)
    W, log_s2 = model.decoder.mean.weight.data, model.decoder.log_var.data.item()
    errors = ((x - frozen.decode(mu)) ** 2).sum(axis=1) + np.exp(log_var) @ (W**2).sum(axis=0)
    nll = 0.5 * (x.shape[1] * (math.log(2 * math.pi) + log_s2) + errors / math.exp(log_s2))
    return (nll + ops.gaussian_kl(mu, log_var)).mean()


def picture():
    """Plot −ELBO over the epochs beside the optimum, and the columns of W beside the axes."""
    from matplotlib.figure import Figure

    model, costs = trained()
    best = -best_log_likelihood(LATENTS)[0]
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    left.plot(np.arange(1, EPOCHS + 1), costs - best, label="−ELBO less the optimum")
    left.set(yscale="log", xlabel="epoch", ylabel="nats", title="the gap to the exact optimum")
    left.legend(frameon=False)
    shares = aligned(model)
    shown = right.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    right.set(xlabel="principal axis", ylabel="column of W", title="|cosine| of the angle")
    right.set_xticks(range(LATENTS), range(1, LATENTS + 1))
    right.set_yticks(range(LATENTS), range(1, LATENTS + 1))
    figure.colorbar(shown, ax=right)
    return figure


def aligned(model):
    """|cos| of the angles between the columns of W, in falling order of length, and the axes."""
    W = model.decoder.mean.weight.data
    lengths = np.linalg.norm(W, axis=0)
    columns = (W / lengths)[:, np.argsort(-lengths)]
    return np.abs(columns.T @ spectrum()[1][:LATENTS].T)


def main(path=None):
    """Print the training beside the optimum, and W beside the principal axes; plot if asked."""
    model, costs = trained()
    best, s2 = best_log_likelihood(LATENTS)
    print(f"{len(data())} digits of {data().shape[1]} pixels, {LATENTS} latents; nats per image\n")
    print(f"{'epoch':>6}{'−ELBO':>11}{'above the optimum':>20}")
    for epoch in (1, 2, 5, 10, 20, 50, 100, 200, EPOCHS):
        print(f"{epoch:6}{costs[epoch - 1]:11.4f}{costs[epoch - 1] + best:20.4f}")
    print(f"{'exact':>6}{-best:11.4f}")
    print(f"\ns² of the decoder {math.exp(model.decoder.log_var.data.item()):.6f}, exact {s2:.6f}")
    lengths = np.sort(np.linalg.norm(model.decoder.mean.weight.data, axis=0))[::-1]
    cosines = np.diag(aligned(model))
    print(f"\n{'axis':>5}{'length of the column':>22}{'√(λ − s²)':>12}{'|cos| to the axis':>20}")
    for j, (length, value, cosine) in enumerate(
        zip(lengths, spectrum()[0], cosines, strict=False), 1
    ):
        print(f"{j:5}{length:22.4f}{math.sqrt(value - s2):12.4f}{cosine:20.5f}")
    if path:
        picture().savefig(path, dpi=120)


if __name__ == "__main__":
    main(*sys.argv[1:2])
