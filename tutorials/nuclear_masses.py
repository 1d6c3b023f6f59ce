"""Nuclear masses: a liquid drop of five coefficients, and a network for its residual.

The notes, "Simple example, fitting nuclear masses". A nucleus of N neutrons and Z protons,
A = N + Z, is bound by an energy B(N, Z). A drop of liquid would have the energy

    B = a_V A − a_S A^⅔ − a_C Z(Z − 1)/A^⅓ − a_A (N − Z)²/A + a_P δ/√A,

which is linear in its coefficients θ = (a_V, a_S, a_C, a_A, a_P): B = X θ, with one row of the
design matrix X for each nucleus. Each fit minimises the notes' cost, plain or with a penalty,

    OLS: (1/n) ‖B − Xθ‖²₂,    Ridge: … + λ ‖θ‖²₂,    Lasso: … + λ ‖θ‖₁.

Two thousand nuclei determine five coefficients well, so that a penalty hardly improves the fit. The
harm of a penalty is instructive. The columns of X are of very different sizes: Z(Z − 1)/A^⅓ is some
hundreds, and δ/√A is below a tenth. The smaller a column is, the less the error grows when its
coefficient shrinks: the penalty shrinks the pairing a_P first. Columns are usually standardised
before a fit for this reason.

The error of the drop, 3 MeV of up to 2000, is not noise. A plot of the error over N and Z shows a
pattern: nuclei along the magic numbers 28, 50, 82 and 126 are bound more tightly, since a shell is
full. A network can learn this pattern if its target is only the residual r = B − Xθ. Its inputs are
N, Z, whether they are even, the distance of each from a magic number, and the share of its shell
that is filled; all inputs are standardised. Every fifth nucleus of a random order is held out. No
model has seen the held-out nuclei, and all errors refer to them unless stated otherwise.

The nuclei are those with measured masses in AME2016. ``SCRATCHGEN_DATA`` names the folder that
holds its file ``mass16.txt``; otherwise it is downloaded once.
"""

import functools
import sys

import numpy as np

import scratchgen as sg
from scratchgen import datasets, optim, plotting
from scratchgen.datasets import nuclear, preprocessing
from scratchgen.models import linear
from scratchgen.models.feed_forward import Regressor, dense

LEAST = 8  # the least number of protons, and of neutrons: lighter nuclei are no drops
HIDDEN, EPOCHS, BATCH, RATE = (128, 128), 300, 32, 5e-3
NAMES = ("a_V", "a_S", "a_C", "a_A", "a_P")
PENALTIES = {
    "OLS": (linear.ols, ()),
    "Ridge": (linear.ridge, (1e-3, 1e-2, 1e-1)),
    "Lasso": (linear.lasso, (1e-2, 1e-1, 1.0)),
}


@functools.cache
def measured():
    """Return N, Z and B of the nuclei with N, Z ≥ 8 and a measured mass; B is in MeV."""
    nuclei = datasets.nuclear_masses()
    drops = (nuclei.N >= LEAST) & (nuclei.Z >= LEAST)
    return nuclei.N[drops], nuclei.Z[drops], nuclei.binding_energy[drops]


def parts(n, seed=0):
    """Return indices of the training nuclei, and of every fifth nucleus in a random order."""
    order = np.random.default_rng(seed).permutation(n)
    return np.delete(order, np.s_[::5]), order[::5]


def rms(error):
    """√ mean e², in MeV."""
    return np.sqrt((error**2).mean())


def drops():
    """Yield the name, λ and θ of each model, and its RMS error on the held-out nuclei."""
    N, Z, B = measured()
    X = datasets.liquid_drop(N, Z)
    train, held_out = parts(len(B))
    for name, (fit, penalties) in PENALTIES.items():
        for lam in penalties or (None,):
            theta = fit(X[train], B[train], *(() if lam is None else (lam,)))
            yield name, lam, theta, rms((B - X @ theta)[held_out])


def residual():
    """r = B − Xθ of all nuclei, with θ by OLS on the training nuclei."""
    N, Z, B = measured()
    X, (train, _) = datasets.liquid_drop(N, Z), parts(len(B))
    return B - X @ linear.ols(X[train], B[train])


@functools.cache
def left(seed=0):
    """r − r̂ of all nuclei: the error of drop and network together, after the training."""
    N, Z, _ = measured()
    r = residual()
    train, _ = parts(len(r))
    features = nuclear.shell_features(N, Z)
    x = preprocessing.standardise(features[train])(features).astype(np.float32)
    scale = preprocessing.standardise(r[train])
    y = scale(r).astype(np.float32)

    rng = sg.generator(seed)
    model = Regressor(dense((x.shape[1],), 1, rng, HIDDEN, "silu"))
    adam, schedule = optim.Adam(model.parameters(), RATE), optim.schedules.Cosine(EPOCHS)
    for epoch in sg.train(
        model, (x[train], y[train]), adam, epochs=EPOCHS, batch_size=BATCH, rng=rng
    ):
        adam.lr = RATE * schedule(epoch.number)
    return r - scale.inverse(model.predict(x)[:, 0].astype(np.float64))


def picture():
    """Plot the errors on held-out nuclei over N and Z: drop above, drop and network below."""
    from matplotlib.figure import Figure

    N, Z, B = measured()
    _, held_out = parts(len(B))
    figure = Figure(figsize=(7, 8), layout="constrained")
    axes = figure.subplots(2, sharex=True)
    drawn = {"liquid drop": (residual(), 8), "liquid drop and network": (left(), 1)}
    for ax, (name, (error, limit)) in zip(axes, drawn.items(), strict=True):
        for number in nuclear.MAGIC[1:-1]:
            ax.axvline(number, color="0.85", linewidth=0.8, zorder=0)
        for number in nuclear.MAGIC[1:-2]:
            ax.axhline(number, color="0.85", linewidth=0.8, zorder=0)
        look = {"s": 9, "cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        shown = ax.scatter(N[held_out], Z[held_out], c=error[held_out], **look)
        figure.colorbar(shown, ax=ax, label="B − model, MeV", extend="both")
        ax.set(ylabel="Z", title=f"{name}: {rms(error[held_out]):.2f} MeV on held-out nuclei")
    axes[-1].set(xlabel="N")
    return figure


def main(path=None):
    """Print the coefficients and the errors on held-out nuclei; plot the errors if given a path."""
    try:
        N, _, _ = measured()
    except RuntimeError as error:
        sys.exit(f"nuclear_masses: {error}")
    train, held_out = parts(len(N))
    print(f"{len(N)} nuclei with N, Z ≥ {LEAST}, of which {len(held_out)} are held out\n")
    print(f"{'liquid drop':<12}{'λ':>7}" + "".join(f"{name:>8}" for name in NAMES) + "   RMS, MeV")
    for name, lam, theta, error in drops():
        said = "" if lam is None else f"{lam:g}"
        print(f"{name:<12}{said:>7}" + "".join(f"{t:8.3f}" for t in theta) + f"{error:11.2f}")
    error = left()
    print(f"\na network of {HIDDEN[0]} and {HIDDEN[1]} SiLU units on what OLS leaves:")
    print(f"  RMS on nuclei that it learned from   {rms(error[train]):.2f} MeV")
    print(f"  RMS on nuclei that are held out      {rms(error[held_out]):.2f} MeV")
    if path:
        plotting.save(picture(), path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
