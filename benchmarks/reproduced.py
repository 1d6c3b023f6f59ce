"""Which figure was reproduced: what a source prints, beside what this library computes.

    python -m benchmarks.reproduced            # the quick ones, in seconds
    python -m benchmarks.reproduced --stored   # the slow ones, too: into docs/reproduced.json
    python -m benchmarks.reproduced --stored iron mnist    # these two only

The sources are the notes, the code of the course, papers and well-known pages. An entry holds the
figure of its source, a function that computes ours, and the largest difference that counts as
equal; 0 stands for equality to the last digit. The page of the site computes the quick ones at each
build. The slow ones, and those that need published data ($SCRATCHGEN_DATA), are kept in a file with
their seconds, the date and the commit; nothing in that file is typed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import importlib.util
import io
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import scratchgen as sg
from scratchgen import operations as ops

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "reproduced.json"


@dataclass(frozen=True)
class Figure:
    """A figure of a source, and how it is computed here."""

    name: str
    what: str
    source: str
    printed: float
    ours: Callable[[], float]
    tolerance: float
    settings: str = ""
    stored: bool = False
    erratum: str = ""
    """The erratum that says why the figure of the source cannot be reproduced."""

    def agrees(self, value: float) -> bool:
        """Whether a value is as near to the figure of the source as it should be."""
        return abs(value - self.printed) <= self.tolerance


# The course: scalar networks.


def perceptron() -> float:
    """40 iterations of a₁ = w₁ x + b₁ on one observation, by recorded equations."""
    rng = np.random.RandomState(0)
    theta = rng.randn(), rng.randn()
    slopes = sg.grad(lambda w, b: 0.5 * (4.0 * w + b - 9.0) ** 2, argnum=(0, 1))
    for _ in range(40):
        theta = tuple(x - 0.01 * float(d) for x, d in zip(theta, slopes(*theta), strict=True))
    return float(0.5 * (theta[0] * 4.0 + theta[1] - 9.0) ** 2)


@functools.cache
def hidden_layer() -> list[float]:
    """The 50 costs of the hidden scalar layer, by recorded equations."""

    def cost(w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        return 0.5 * (w2 / (1 + np.exp(-(w1 * 4.0 + b1))) + b2 - 9.0) ** 2

    rng = np.random.RandomState(0)
    w1, w2 = rng.randn(), rng.randn()
    theta, costs = (w1, 0.01, w2, 0.01), []
    slopes = sg.grad(cost, argnum=(0, 1, 2, 3))
    for _ in range(50):
        costs.append(float(cost(*theta)))
        theta = tuple(x - 0.1 * float(d) for x, d in zip(theta, slopes(*theta), strict=True))
    return costs


def polynomial() -> float:
    """The largest error of the coefficients of x₀² + 3 x₀x₁ + x₁² + 5, by least squares."""
    x = sg.generator(0).standard_normal((100, 2))
    one = np.ones(100)
    X = np.stack([one, x[:, 0], x[:, 1], x[:, 0] ** 2, x[:, 0] * x[:, 1], x[:, 1] ** 2], axis=1)
    truth = np.array([5.0, 0.0, 0.0, 1.0, 3.0, 1.0])
    return float(np.abs(sg.models.linear.ols(X, X @ truth) - truth).max())


# Pages on backpropagation.


@functools.cache
def micrograd() -> tuple[float, float, float]:
    """g, ∂g/∂a and ∂g/∂b of the example in the README of micrograd."""
    a, b = sg.Tensor(-4.0), sg.Tensor(2.0)
    c, d = a + b, a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + ops.relu(b + a)
    d = d + 3 * d + ops.relu(b - a)
    f = (c - d) ** 2
    g = f / 2.0
    g = g + 10.0 / f
    of_a, of_b = sg.gradient(g, [a, b])
    return float(g.data), float(of_a), float(of_b)


@functools.cache
def mazur() -> dict[str, float]:
    """The error at the start and after 9,999 updates, and w₁ and w₅ after the first one."""
    x, y = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])
    W1, W2 = sg.Tensor([[0.15, 0.20], [0.25, 0.30]]), sg.Tensor([[0.40, 0.45], [0.50, 0.55]])
    b1, b2 = np.array([0.35, 0.35]), np.array([0.60, 0.60])  # which the page leaves as they are
    sgd = sg.optim.SGD([W1, W2], lr=0.5)
    found = {}
    for k in range(10_000):
        a = ops.sigmoid(ops.affine(ops.sigmoid(ops.affine(x, W1, b1)), W2, b2))
        cost = ops.squared_error(a, y).sum()
        if k in (0, 9_999):
            found[f"error {k}"] = float(cost.data)
        sgd.step(sg.gradient(cost, [W1, W2]))
        if k == 0:
            found |= {"w1": float(W1.data[0, 0]), "w5": float(W2.data[0, 0])}
    return found


# Divergences, games, scores.


def optimum_of_the_game() -> float:
    """E log D* + E log(1 − D*) for p_g = p_r, on a grid."""
    x = np.linspace(-8, 8, 2001)
    p = np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    best = p / (p + p)
    return float((p * np.log(best) + p * np.log(1 - best)).sum() * (x[1] - x[0]))


def largest_divergence() -> float:
    """D_JS of two distributions without a common state."""
    return float(sg.metrics.jensen_shannon([0.5, 0.5, 0, 0], [0, 0, 0.2, 0.8]))


@functools.cache
def scores() -> tuple[float, float]:
    """√MMD² of digits and noise, computed as the notes' code does, and by the library."""
    y = 2 * sg.datasets.digits("train")[0].reshape(-1, 64)[:200].astype(np.float64) - 1
    x = 2 * sg.generator(0).random((150, 64)) - 1
    both = np.concatenate([x, y])
    squares = np.maximum(((both[:, None] - both) ** 2).sum(axis=2), 0)
    n = len(x)
    k = np.exp(-squares / (2 * squares[n:, n:].mean()))
    notes = math.sqrt(k[:n, :n].mean() + k[n:, n:].mean() - 2 * k[:n, n:].mean())
    sigma = math.sqrt(squares[n:, n:].mean())
    return notes, math.sqrt(sg.metrics.mmd2_biased(x, y, sigma))


# Diffusion.


def _steps(T: int) -> Any:
    from scratchgen.models.diffusion.noising import Steps, linear_schedule

    return Steps(linear_schedule(T))


def prior_matching(T: int) -> float:
    """D_KL(q(x_T|x₀) ‖ N(0, I)) for 784 pixels of magnitude 1, in nats."""
    return float(_steps(T).prior_kl(np.ones((1, 784)))[0])


# What takes longer, or needs published data.


@functools.cache
def chapter(name: str) -> Any:
    """A chapter of the tutorials, run in silence."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tutorials" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with contextlib.redirect_stdout(io.StringIO()):
        spec.loader.exec_module(module)
    return module


def liquid_drop(k: int) -> float:
    """A coefficient of the liquid drop, by OLS on all measured nuclei with N, Z ≥ 8."""
    masses = sg.datasets.nuclear_masses()
    heavy = (masses.N >= 8) & (masses.Z >= 8)
    X = sg.datasets.liquid_drop(masses.N[heavy], masses.Z[heavy])
    return float(sg.models.linear.ols(X, masses.binding_energy[heavy])[k])


def nuclear_network() -> float:
    """RMS error of drop and network on the nuclei that are held out, in MeV."""
    masses = chapter("nuclear_masses")
    error = masses.left()
    return float(masses.rms(error[masses.parts(len(error))[1]]))


@functools.cache
def rbm_of_the_notes() -> list[float]:
    """The costs of the notes' machine on MNIST, epoch by epoch."""
    rng = sg.generator(0)
    model, optimizers = sg.models.rbm.lecture(rng)
    images = sg.datasets.mnist("train")[0]
    epochs = sg.train(model, images, optimizers, epochs=10, batch_size=64, rng=rng)
    return [float(epoch.costs[0]) for epoch in epochs]


def small_rbm(centred: bool) -> float:
    """log p of the test images of MNIST, exact, for 16 hidden units."""
    train, test = (
        (sg.datasets.mnist(part)[0] > 0.5).astype(np.float32) for part in ("train", "test")
    )
    rng = sg.generator(0)
    model = sg.models.RBM(784, 16, rng=rng, persistent=True, n_chains=100, centred=centred)
    model.start_at(train)
    sgd = sg.optim.SGD(model.parameters(), lr=0.01)
    for _ in sg.train(model, train, sgd, epochs=50, batch_size=100, rng=rng):
        pass
    return float(model.log_likelihood(test).mean())


def reads_mnist() -> float:
    """The share of MNIST's test images that a network 784–100–10 reads, in percent."""
    from scratchgen.estimators import FeedForwardClassifier

    rows, labels = sg.datasets.mnist("train")
    schedule = sg.optim.schedules.Cosine(15)
    network = FeedForwardClassifier((100,), schedule=schedule, epochs=15)
    network.fit(rows.reshape(len(rows), -1), labels)
    test, expected = sg.datasets.mnist("test")
    return 100 * float(network.score(test.reshape(len(test), -1), expected))


COURSE = "the course, its run of the notes' section"
MAZUR = "Mazur, *A step by step backpropagation example*"
KRANE = "Krane, *Introductory nuclear physics* (1988)"
PYDEEP = "PyDeep (Melchior), its example on MNIST"

FIGURES = [
    Figure(
        "perceptron",
        "C of the scalar perceptron after 40 iterations",
        f"{COURSE} “simple perceptron with one input”",
        4.0022640019432767e-07,
        perceptron,
        0.0,
        "η 0.01, RandomState(0)",
    ),
    Figure(
        "contraction",
        "what an iteration multiplies δ₁ by",
        "the notes, the same section: 1 − η (1 + x²) at x = 4",
        0.83,
        lambda: (perceptron() / (0.5 * _first_error() ** 2)) ** (1 / 80),
        1e-12,
        "from the costs of 40 iterations",
    ),
    Figure(
        "hidden first",
        "first C of the hidden scalar layer",
        f"{COURSE} “one hidden layer”",
        36.895630743854284,
        lambda: hidden_layer()[0],
        0.0,
        "η 0.1, RandomState(0)",
    ),
    Figure(
        "hidden last",
        "C of the hidden scalar layer after 49 updates",
        f"{COURSE} “one hidden layer”",
        1.1937160456525954e-08,
        lambda: hidden_layer()[-1],
        0.0,
        "η 0.1, RandomState(0)",
    ),
    Figure(
        "polynomial",
        "error of the coefficients of x₀² + 3x₀x₁ + x₁² + 5",
        "the notes, the exercise of the network with nine parameters: no noise, so 0",
        0.0,
        polynomial,
        1e-12,
        "n = 100, seed 0, OLS",
    ),
    Figure(
        "micrograd g",
        "g of the example",
        "Karpathy, micrograd, README",
        24.7041,
        lambda: micrograd()[0],
        5e-5,
    ),
    Figure(
        "micrograd a",
        "∂g/∂a of the example",
        "Karpathy, micrograd, README",
        138.8338,
        lambda: micrograd()[1],
        5e-5,
    ),
    Figure(
        "micrograd b",
        "∂g/∂b of the example",
        "Karpathy, micrograd, README",
        645.5773,
        lambda: micrograd()[2],
        5e-5,
    ),
    Figure(
        "mazur error",
        "error of the 2–2–2 network at the start",
        MAZUR,
        0.298371109,
        lambda: mazur()["error 0"],
        5e-10,
    ),
    Figure("mazur w1", "w₁ after one update", MAZUR, 0.149780716, lambda: mazur()["w1"], 5e-10),
    Figure("mazur w5", "w₅ after one update", MAZUR, 0.35891648, lambda: mazur()["w5"], 5e-9),
    Figure(
        "mazur end",
        "error after 9,999 updates, which the page counts as 10,000",
        MAZUR,
        0.0000351085,
        lambda: mazur()["error 9999"],
        5e-11,
        "biases stay, as on the page",
    ),
    Figure(
        "game",
        "v(G*, D*) of a GAN at its equilibrium",
        "the notes; Goodfellow et al. 2014, theorem 1: −log 4",
        -math.log(4),
        optimum_of_the_game,
        1e-12,
        "normal density on a grid",
    ),
    Figure(
        "js",
        "largest Jensen–Shannon divergence, in nats",
        "the notes: 1",
        1.0,
        largest_divergence,
        0.0,
        erratum="E7",
    ),
    Figure(
        "mmd",
        "√MMD² of noise and digits, library less the notes' way",
        "the notes' code, transcribed: no difference",
        0.0,
        lambda: scores()[1] - scores()[0],
        1e-13,
        "150 × 200 samples, the notes' σ",
    ),
    Figure(
        "prior 300",
        "prior matching term, T = 300, in nats",
        "the notes: effectively zero",
        0.0,
        lambda: prior_matching(300),
        0.1,
        "784 pixels of magnitude 1, β 10⁻⁴ … 0.02",
        erratum="E13",
    ),
    Figure(
        "prior 1000",
        "log₁₀ of the prior matching term, T = 1000, in bits per dimension",
        "Ho, Jain and Abbeel 2020, section 4: about 10⁻⁵",
        -5.0,
        lambda: math.log10(prior_matching(1000) / 784 / math.log(2)),
        0.5,
        "784 values of magnitude 1, β 10⁻⁴ … 0.02",
    ),
    Figure(
        "iron",
        "binding energy of ⁵⁶Fe, MeV per nucleon",
        "AME2016",
        8.790354,
        lambda: _iron(),
        1e-6,
        "the mass table",
        stored=True,
    ),
    *(
        Figure(
            f"drop {name}",
            f"{name} of the liquid drop, MeV",
            KRANE,
            printed,
            functools.partial(liquid_drop, k),
            0.05 * printed,
            "OLS, N and Z ≥ 8, AME2016",
            stored=True,
        )
        for k, (name, printed) in enumerate(
            {"a_V": 15.5, "a_S": 16.8, "a_C": 0.72, "a_A": 23.0}.items()
        )
    ),
    Figure(
        "nuclear network",
        "RMS error of drop and network on held-out nuclei, MeV",
        "this project's tutorials",
        0.33,
        nuclear_network,
        0.02,
        "seed 0, every fifth nucleus held out",
        stored=True,
    ),
    Figure(
        "rbm first",
        "F(v) − F(v₁) of the RBM on MNIST, first epoch",
        "the notes' code, run: about −8.5",
        -8.5,
        lambda: rbm_of_the_notes()[0],
        1.0,
        "784–500, CD-1, SGD 0.1, batch 64, seed 0",
        stored=True,
    ),
    Figure(
        "rbm last",
        "F(v) − F(v₁) of the RBM on MNIST, tenth epoch",
        "the notes' code, run: about −0.3",
        -0.3,
        lambda: rbm_of_the_notes()[-1],
        0.3,
        "784–500, CD-1, SGD 0.1, batch 64, seed 0",
        stored=True,
    ),
    Figure(
        "rbm 16",
        "log p of MNIST's test images, 16 hidden units, nats",
        f"{PYDEEP}, normal RBM: exact log p of the test images",
        -149.053303204,
        lambda: small_rbm(centred=False),
        5.0,
        "PCD, 50 epochs, exact Z, seed 0",
        stored=True,
    ),
    Figure(
        "rbm 16 centred",
        "the same, with the centred gradient",
        f"{PYDEEP}, centred RBM: exact log p of the test images",
        -142.56382054,
        lambda: small_rbm(centred=True),
        3.0,
        "PCD, 50 epochs, exact Z, seed 0",
        stored=True,
    ),
    Figure(
        "mnist",
        "digits of MNIST read by 784–100–10, %",
        "Nielsen, *Neural networks and deep learning*, chapter 3: 97.92 (validation)",
        97.92,
        reads_mnist,
        0.4,
        "test images, Adam, 15 epochs",
        stored=True,
    ),
]


def _first_error() -> float:
    rng = np.random.RandomState(0)
    w, b = rng.randn(), rng.randn()
    return float(4.0 * w + b - 9.0)


def _iron() -> float:
    masses = sg.datasets.nuclear_masses()
    (place,) = np.flatnonzero((masses.N == 30) & (masses.Z == 26))
    return float(masses.binding_energy[place] / 56)


def measured(figures: Iterable[Figure]) -> dict[str, dict[str, float]]:
    """The value of each, and the seconds that it took of a processor, however busy that was."""
    found = {}
    for figure in figures:
        begin = time.process_time()
        value = float(figure.ours())
        found[figure.name] = {"value": value, "seconds": round(time.process_time() - begin, 2)}
    return found


def verdict(figure: Figure, value: float) -> str:
    """What the comparison says."""
    if figure.agrees(value):
        return "equal, to the last digit" if value == figure.printed else "agrees"
    return f"differs: a misprint, {figure.erratum}" if figure.erratum else "DIFFERS"


def rows(values: dict[str, dict[str, Any]]) -> list[list[str]]:
    """A row of the table for each figure that has a value: all digits where all should agree."""
    table = []
    for figure in FIGURES:
        if figure.name in values:
            value, seconds = (values[figure.name][key] for key in ("value", "seconds"))
            table.append(
                [
                    figure.what + (f" ({figure.settings})" if figure.settings else ""),
                    verdict(figure, value),
                    f"{figure.printed!r}" if figure.tolerance == 0 else f"{figure.printed:.9g}",
                    f"{value!r}" if figure.tolerance == 0 else f"{value:.9g}",
                    f"{figure.tolerance:.2g}",
                    figure.source,
                    f"{seconds:.2f}",
                ]
            )
    return table


HEAD = ["figure", "", "its value", "ours", "tolerance", "source", "s"]


def markdown(values: dict[str, dict[str, float]]) -> str:
    """The table in Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *rows(values)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def kept() -> dict[str, dict[str, Any]]:
    """The file of the slow ones: for each the value, the seconds, the date and the commit."""
    if not KEPT.is_file():
        return {}
    stored: dict[str, dict[str, Any]] = json.loads(KEPT.read_text(encoding="utf-8"))
    return stored


def keep(figures: Iterable[Figure]) -> None:
    """Compute slow ones, and write each into the file as soon as it is there."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    made = {"date": datetime.date.today().isoformat(), "commit": commit.stdout.strip()}
    for figure in figures:
        stored = kept() | {figure.name: measured([figure])[figure.name] | made}
        ordered = {f.name: stored[f.name] for f in FIGURES if f.name in stored}
        KEPT.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Compute the figures and print them; 1 if one differs without an erratum."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduced", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    slow = {figure.name: figure for figure in FIGURES if figure.stored}
    text = "compute the slow ones, or those that are named, and keep them"
    parser.add_argument("--stored", nargs="*", metavar="NAME", choices=[[], *slow], help=text)
    stored = parser.parse_args(arguments).stored
    values = measured(figure for figure in FIGURES if not figure.stored)
    if stored is not None:
        keep(slow[name] for name in stored or slow)
        values |= kept()
    for what, said, printed, ours, *_ in rows(values):
        print(f"{printed:>22} {ours:>22}  {said:<23}  {what}")
    shown = [figure for figure in FIGURES if figure.name in values]
    return int(any(verdict(f, values[f.name]["value"]) == "DIFFERS" for f in shown))


if __name__ == "__main__":
    sys.exit(main())
