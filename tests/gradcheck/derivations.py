"""Derivations by hand, each with the places at which a mistake can be made in it.

A ``Derivation`` draws arrays, states a cost, and derives its gradient: ``derive(slip)`` does so
with one slip of the pen, or without any. ``slips`` says which kind of mistake each slip is, in the
words of the catalogue; where two kinds give the same numbers, either is right. A slip that makes no
difference at the arrays drawn is no mistake, and not counted.

    python -m tests.gradcheck.derivations [DRAWS]

makes all of them so often, and prints what was caught and how it was named.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scratchgen import gradcheck
from scratchgen import operations as ops
from scratchgen.gradcheck.library import _example


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


ACTIVATIONS = {
    # σ, σ′ from z
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "softplus": (lambda z: np.log(1 + np.exp(z)), sigmoid),
    "silu": (lambda z: z / (1 + np.exp(-z)), lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z)))),
}


@dataclass(frozen=True)
class Derivation:
    """``draw(rng)`` gives arrays; ``derive(slip)`` a function of them, as many as have names."""

    draw: Callable
    cost: Callable
    derive: Callable
    slips: dict
    """Slip: kinds of mistake, each of which names it rightly."""


def mlp(activation, recorded=True):
    """C = (1/n) Σ ½ ‖W₂ σ(W₁x + b₁) + b₂ − y‖² + λ‖W₁‖² + κ‖W₂‖₁."""
    sigma, sigma_prime = ACTIVATIONS[activation]
    lam, kappa = 0.1, 0.03

    def draw(rng):
        n, m = rng.integers(3, 7), 4
        shapes = (m, m), (m,), (m, m), (m,), (n, m), (n, m)
        return [rng.standard_normal(shape) for shape in shapes]

    def cost(W1, b1, W2, b2, x, y):
        a = sigma(x @ W1.T + b1)
        e = a @ W2.T + b2 - y
        data = 0.5 * (e * e).sum() / len(x)
        if recorded:
            return data + lam * (W1**2).sum() + kappa * np.absolute(W2).sum()
        of_W1 = np.einsum("ij,ij->", W1, W1)  # which has no rule: numbers alone speak
        return data + lam * of_W1 + kappa * np.sqrt(W2 * W2).sum()

    def derive(slip):
        def gradient(W1, b1, W2, b2, x, y):
            n = len(x)
            z = x @ W1.T + b1
            a = sigma(z)
            d2 = (a @ W2.T + b2 - y) / (1 if slip == "mean left out" else n)
            d2 = d2 / n if slip == "mean twice" else d2
            back = d2 @ (W2.T if slip == "Wᵀ for W" else W2)
            slope = {"σ′ left out": 1.0, "σ′ at a": sigma_prime(a)}.get(slip, sigma_prime(z))
            d1 = back * slope
            of_W1 = {"L2 left out": 0.0, "L2 twice": 4.0, "L2 by n": 2 / n}.get(slip, 2.0)
            of_W2 = {"L1 left out": 0.0, "L1 twice": 2.0}.get(slip, 1.0)
            gW1 = d1.T @ (a if slip == "a for x" else x) + of_W1 * lam * W1
            gW2 = d2.T @ (x if slip == "x for a" else a) + of_W2 * kappa * np.sign(W2)
            gb1, gb2 = d1.sum(axis=0), d2.sum(axis=0)
            if slip == "b not summed":
                gb1, gb2 = d1, d2
            if slip == "b one number":
                gb1, gb2 = d1.sum(), d2.sum()
            if slip == "b first row":
                gb1, gb2 = d1[0], d2[0]
            if slip == "σ′ left out, sign":
                gb1, gW1 = -back.sum(axis=0), -back.T @ x - 2 * lam * W1
            if slip == "Wᵀ for W, σ′ left out":
                gb1 = (d2 @ W2.T).sum(axis=0)
            return gW1, gb1, gW2, gb2

        return gradient

    slips = {
        "b not summed": {"not summed"},
        "b one number": {"reduced to a scalar"},
        "b first row": {"one row only"},
    }
    regularisers = {
        "L2 left out": {"regulariser missing"},
        "L2 twice": {"regulariser doubled"},
        "L2 by n": {"regulariser divided by n"},
        "L1 left out": {"regulariser missing"},
        "L1 twice": {"regulariser doubled"},
    }
    if recorded:
        slips |= regularisers | {
            "σ′ left out": {"derivative missing"},
            "σ′ at a": {"derivative at the value"},
            "Wᵀ for W": {"transposed operand"},
            "a for x": {"other operand"},
            "x for a": {"other operand"},
            "σ′ left out, sign": {"derivative missing"},
            "Wᵀ for W, σ′ left out": {"transposed operand"},
        }
    else:
        slips |= {s: {"L2 regulariser" if "L2" in s else "L1 regulariser"} for s in regularisers}
    return Derivation(draw, cost, derive, slips)


def logistic_regression():
    """C = −(1/n) Σ [y log p + (1 − y) log(1 − p)], p = σ(x w + b)."""

    def draw(rng):
        n = rng.integers(3, 9)
        x = rng.standard_normal((n, 4))
        return [rng.standard_normal(4), rng.standard_normal(), x, rng.random(n)]

    def cost(w, b, x, y):
        p = sigmoid(x @ w + b)
        return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()

    def derive(slip):
        def gradient(w, b, x, y):
            n, d = len(x), sigmoid(x @ w + b) - y
            by = {"sum": 1, "n twice": n * n, "times n": 1 / n}.get(slip, n)
            sign = {"sign": -1, "twice": 2, "half": 0.5}.get(slip, 1)
            if slip == "first row":
                return x[0] * d[0] / n, d[0] / n
            if slip == "b not summed":
                return x.T @ d / n, d / n
            return sign * (x.T @ d) / by, sign * d.sum() / by

        return gradient

    slips = {
        "sum": {"factor n"},
        "n twice": {"factor 1/n"},
        "times n": {"factor n²"},
        "sign": {"sign"},
        "twice": {"factor 2"},
        "half": {"factor 1/2"},
        "first row": {"one row only"},
        "b not summed": {"not summed"},
    }
    return Derivation(draw, cost, derive, slips)


def softmax_regression():
    """C = −(1/n) Σ y log softmax(x Wᵀ)."""

    def softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def draw(rng):
        n = rng.integers(3, 7)
        y = np.eye(4)[rng.integers(0, 4, n)]
        return [rng.standard_normal((4, 4)), rng.standard_normal((n, 4)), y]

    def cost(W, x, y):
        return -(y * np.log(softmax(x @ W.T))).sum() / len(x)

    def derive(slip):
        def gradient(W, x, y):
            p = softmax(x @ W.T)
            d = (p - y) / len(x)
            if slip == "diagonal":
                d = -y * (1 - p) / len(x)
            g = d.T @ x
            return {"transposed": g.T, "transposed, twice": 2 * g.T}.get(slip, g)

        return gradient

    slips = {
        "diagonal": {"coupling dropped"},
        "transposed": {"transposed"},
        "transposed, twice": {"transposed"},
    }
    return Derivation(draw, cost, derive, slips)


def vae():
    """C = (1/n) Σ ½ ‖x − tanh(h)‖² + D_KL, h = μ + σ ε, σ = e^{½ log σ²}."""

    def draw(rng):
        shape = rng.integers(3, 6), 3
        return [rng.standard_normal(shape) for _ in range(4)]

    def cost(mu, log_var, eps, x):
        h = mu + np.exp(0.5 * log_var) * eps
        kl = 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum()
        return (0.5 * ((x - np.tanh(h)) ** 2).sum() + kl) / len(x)

    def derive(slip):
        def gradient(mu, log_var, eps, x):
            sigma, n = np.exp(0.5 * log_var), len(x)
            a = np.tanh(mu + sigma * eps)
            d = (a - x) * (1 - a * a)
            through = {
                "σε left out": 0.0,
                "½σε left out": 1.0,
                "½ of ½σε left out": sigma * eps,
                "σ of ½σε left out": 0.5 * eps,
                "ε left out": 0.5 * sigma,
                "log σ² is σ": eps,
                "σ² is σ": sigma**2 * eps / 2,
            }.get(slip, 0.5 * sigma * eps)
            half = 1.0 if slip == "½ of the KL" else 0.5
            g = d * through + half * (sigma**2 - 1)
            if slip == "by σ":
                g = g * 2 / sigma
            g_mu = d + (2 * mu if slip == "½ of the KL" else mu)
            return g_mu / n, g / n

        return gradient

    missing = {"½σε missing", "log σ² for σ"}  # ε in place of ½σε is both
    slips = {
        "σε left out": missing,
        "½σε left out": missing | {"derivative missing"},
        "½ of ½σε left out": missing,
        "σ of ½σε left out": missing,
        "ε left out": missing | {"factor missing"},
        "log σ² is σ": {"log σ² for σ", "½σε missing"},
        "σ² is σ": {"log σ² for σ"},
        "½ of the KL": {"constant dropped", "term doubled"},
        "by σ": {"log σ² for σ"},
    }
    return Derivation(draw, cost, derive, slips)


def dropout():
    """C = ½ Σ ‖W₂ (m ∘ tanh(W₁ x)) − y‖², with the mask m of one forward pass."""
    p = 0.4

    def draw(rng):
        n = rng.integers(3, 5)
        arrays = [rng.standard_normal(s) for s in ((4, 6), (3, 4), (n, 6), (n, 3))]
        mask = np.zeros(0)
        while not 2 < np.count_nonzero(mask) < mask.size - 2:
            mask = (rng.random((n, 4)) >= p) / (1 - p)
        return [*arrays, mask]

    def cost(W1, W2, x, y, m):
        return 0.5 * (((np.tanh(x @ W1.T) * m) @ W2.T - y) ** 2).sum()

    def derive(slip):
        def gradient(W1, W2, x, y, m):
            a = np.tanh(x @ W1.T)
            d = (a * m) @ W2.T - y
            other = (np.random.default_rng(7).random(m.shape) >= p) / (1 - p)
            mask = {"left out": 1.0, "not rescaled": m > 0, "drawn anew": other}.get(slip, m)
            return (d @ W2 * mask * (1 - a * a)).T @ x, d.T @ (a * m)

        return gradient

    slips = {
        "left out": {"mask not reused"},
        "not rescaled": {"mask not rescaled", "factor missing", "factor 1/n"},
        "drawn anew": {"mask not reused"},
    }
    return Derivation(draw, cost, derive, slips)


def rbm(composed):
    """C = (1/n) Σ F(v) − F(vₖ), F(v) = −aᵀv − Σ softplus(b + vW)."""

    def softplus(z):
        return np.log(1 + np.exp(z)) if composed else ops.softplus(z)

    def draw(rng):
        n = rng.integers(3, 7)
        W, a, b = (rng.standard_normal(s) for s in ((5, 3), (5,), (3,)))
        return [W, a, b, *((rng.random((n, 5)) < 0.5) + 0.0 for _ in range(2))]

    def cost(W, a, b, v, vk):
        def free_energy(v):
            return -(v @ a) - softplus(v @ W + b).sum(axis=1)

        return (free_energy(v) - free_energy(vk)).mean()

    def derive(slip):
        def gradient(W, a, b, v, vk):
            n, h, hk = len(v), sigmoid(v @ W + b), sigmoid(vk @ W + b)
            negative = {"v₀ with hₖ": v.T @ hk, "vₖ with h₀": vk.T @ h}.get(slip, vk.T @ hk)
            sign = -1 if slip == "phases exchanged" else 1
            return [sign * g / n for g in (negative - v.T @ h, -(v - vk).sum(0), -(h - hk).sum(0))]

        return gradient

    slips = {
        "v₀ with hₖ": {"other operand"},
        "vₖ with h₀": {"derivative elsewhere", "other operand"},
        "phases exchanged": {"sign"},
    }
    return Derivation(draw, cost, derive, slips)


def hidden_scalar():
    """The notes' scalar layer, C = ½ (a₂ − y)²; its printed derivatives are erratum E4."""

    def draw(rng):
        return [float(x) for x in rng.standard_normal(6)]

    def cost(w1, b1, w2, b2, a0, y):
        return 0.5 * (sigmoid(w2 * sigmoid(w1 * a0 + b1) + b2) - y) ** 2

    def derive(slip):
        def gradient(w1, b1, w2, b2, a0, y):
            a1 = sigmoid(w1 * a0 + b1)
            a2 = sigmoid(w2 * a1 + b2)
            s1 = 1.0 if slip == "σ₁′ left out" else a1 * (1 - a1)
            d2 = (a2 - y) * a2 * (1 - a2)
            through = {"w₂ left out": 1.0, "a₁ for w₂": a1}.get(slip, w2)
            d1 = d2 * through * s1
            return d1 * a0, d1, d2 * (a0 if slip == "a₀ for a₁" else a1), d2

        return gradient

    slips = {
        "w₂ left out": {"factor missing"},
        "a₁ for w₂": {"other operand"},
        "a₀ for a₁": {"other operand"},
        "σ₁′ left out": {"derivative missing"},
    }
    return Derivation(draw, cost, derive, slips)


def stale():
    """A layer that keeps its activations for the way back, from the pass before this one."""

    def draw(rng):
        return [rng.standard_normal(s) for s in ((4, 3), (5, 3))]

    def cost(W, x):
        return 0.5 * (np.tanh(x @ W.T) ** 2).sum()

    def derive(slip):
        kept = []

        def gradient(W, x):
            kept.append((W, x))
            if slip == "kept":
                W, x = kept[-2] if len(kept) > 1 else kept[-1]
            a = np.tanh(x @ W.T)
            return (a * (1 - a * a)).T @ x

        return gradient

    return Derivation(draw, cost, derive, {"kept": {"stale"}})


DERIVATIONS = {
    **{f"MLP, {name}": mlp(name) for name in ACTIVATIONS},
    "MLP, numbers alone": mlp("tanh", recorded=False),
    "logistic regression": logistic_regression(),
    "softmax regression": softmax_regression(),
    "VAE": vae(),
    "dropout": dropout(),
    "RBM": rbm(composed=False),
    "RBM, composed": rbm(composed=True),
    "hidden scalar layer": hidden_scalar(),
    "stale layer": stale(),
}


def of_numbers(share, rng):
    """Mistakes that can be made in any one array: what it becomes, and the kind of it."""
    yield "sign", -share, {"sign"}
    yield "twice", 2 * share, {"factor 2"}
    yield "half", share / 2, {"factor 1/2"}
    yield "zero", 0 * share, {"zero"}
    if share.ndim and share.size > 3 and abs(share.sum()) > 1e-9:
        yield "one number", np.full_like(share, share.sum()), {"reduced to a scalar"}
    if share.ndim > 1 and share.shape[-1] == share.shape[-2] > 1:
        yield "transposed", share.swapaxes(-1, -2), {"transposed"}
    if share.ndim and share.shape[-1] > 2:
        yield "shifted", np.roll(share, 1, axis=-1), {"shifted"}
    if share.ndim and share.shape[0] > 2:
        blank = share.copy()
        blank[1:] = 0
        yield "block left at zero", blank, {"zero block", "one row only", "zero"}


ELEMENT_WISE = ["tanh", "sigmoid", "softplus", "silu", "gelu", "elu", "exp", "square", "sqrt"]


def rule_mistakes(name, rng):
    """``(operation, arrays, settings, input, slip, kinds)`` for a rule, one equation wrong."""
    arrays, settings = _example(name, rng)
    if "rng" in settings:
        settings["rng"] = np.random.default_rng(0)
    rule = getattr(ops, name).rule
    value, equations = rule(*arrays, **copy.deepcopy(settings))
    delta = np.random.default_rng(0).standard_normal(np.shape(value))  # that of the check
    for k, equation in enumerate(equations):
        if equation is None or getattr(arrays[k], "dtype", np.dtype(int)).kind != "f":
            continue
        right = np.asarray(equation(delta))
        if right.shape != arrays[k].shape:
            continue  # broadcast, undone by the engine: a slip in it may be none
        wrong = [*of_numbers(right, rng)]
        if name in ELEMENT_WISE:
            _, (at_value,) = rule(value)
            wrong.append(("σ′ left out", delta, {"derivative missing"}))
            wrong.append(("σ′ at a", at_value(delta), {"derivative at the value"}))
        if name in ("softmax", "log_softmax"):
            slope = value * (1 - value) if name == "softmax" else 1 - np.exp(value)
            wrong.append(("diagonal", delta * slope, {"coupling dropped"}))
        if name == "affine" and k == 1:
            first = delta[:1].T @ arrays[0][:1]
            wrong.append(("first row", first, {"one row only"}))
        for slip, share, kinds in wrong:
            if share.shape != right.shape or not np.allclose(share, right, rtol=1e-5, atol=1e-9):
                yield _with_share(rule, k, share), arrays, settings, k, slip, kinds


def _with_share(rule, k, share):
    """The rule, but equation k gives ``share`` for the δ of the check, wherever it is asked."""

    def wrong(*arrays, **settings):
        value, equations = rule(*arrays, **settings)
        return value, [
            (lambda delta: share) if j == k else equation for j, equation in enumerate(equations)
        ]

    wrong.__name__ = rule.__name__
    wrong.__wrapped__ = rule
    return wrong


def differs(derivation, arrays, slip):
    """The equations in which the slip makes a difference at these arrays."""
    right, wrong = (_listed(derivation.derive(s)(*arrays)) for s in (None, slip))
    return [
        k
        for k, (a, b) in enumerate(zip(right, wrong, strict=True))
        if np.shape(a) != np.shape(b) or not np.allclose(a, b, rtol=1e-5, atol=1e-9)
    ]


def _listed(gradient):
    return [*gradient] if isinstance(gradient, (tuple, list)) else [gradient]


@dataclass
class Tally:
    """What became of the mistakes of one kind."""

    subjects: set
    made: int = 0
    caught: int = 0
    named: int = 0
    example: str = ""
    missed: tuple = ()

    def add(self, subject, entry, kinds, what):
        self.subjects.add(subject)
        self.made += 1
        self.caught += not entry.ok
        right = bool(kinds & set(entry.kinds))
        self.named += right
        if right:
            self.example = self.example or entry.diagnosis
        else:
            self.missed += ((subject, what, entry.diagnosis),)


def tally(draws):
    """Make every mistake so often, at fresh arrays, and check it: ``{kind: Tally}``."""
    table = {}
    for number in range(draws):
        rng = np.random.default_rng([2, number])
        for subject, derivation in DERIVATIONS.items():
            for slip, kinds in derivation.slips.items():
                arrays = derivation.draw(rng)
                wrong = [0] if slip == "kept" else differs(derivation, arrays, slip)
                report = gradcheck.check_gradient(derivation.cost, derivation.derive(slip), *arrays)
                for k in wrong:
                    name = slip.partition(",")[0] if subject.startswith("MLP") else slip
                    row = table.setdefault(f"{subject.partition(',')[0]}: {name}", Tally(set()))
                    row.add(subject, report.entries[k], kinds, slip)
        for name in ops.__all__:
            for operation, arrays, settings, k, slip, kinds in rule_mistakes(name, rng):
                report = gradcheck.check_operation(operation, *arrays, **settings)
                wanted = [j for j, x in enumerate(arrays) if _real(x)]
                entry = report.entries[wanted.index(k)]
                row = table.setdefault(f"any rule: {slip}", Tally(set()))
                row.add(name, entry, kinds, slip)
    return table


def right_ones(draws):
    """Right gradients at fresh arrays: ``(subject, report)``.

    Of every derivation in float64, and in float32 throughout; of every rule, in float64 and from
    float32 inputs, and at integers, where many have a kink.
    """
    for number in range(draws):
        rng = np.random.default_rng([3, number])
        for subject, derivation in DERIVATIONS.items():
            arrays, right = derivation.draw(rng), derivation.derive(None)

            def in_float32(*arrays, right=right):
                single = [np.asarray(x, np.float32) for x in arrays]
                return [np.asarray(g, np.float32) for g in _listed(right(*single))]

            yield subject, gradcheck.check_gradient(derivation.cost, right, *arrays)
            yield subject, gradcheck.check_gradient(derivation.cost, in_float32, *arrays)
        for name in ops.__all__:
            arrays, settings = _example(name, rng)
            single = [x.astype(np.float32) if _real(x) else x for x in arrays]
            for inputs in (arrays, single):
                yield name, gradcheck.check_operation(getattr(ops, name), *inputs, **settings)
            if name not in NO_INTEGERS:
                whole = [np.round(x) if _real(x) else x for x in arrays]
                yield name, gradcheck.check_operation(getattr(ops, name), *whole, **settings)


NO_INTEGERS = ("divide", "log", "sqrt", "power")  # which are not defined at 0


def _real(x):
    return getattr(x, "dtype", np.dtype(int)).kind == "f"


def as_markdown(table):
    lines = ["| mistake | subjects | made | caught | named rightly | as |", "|---" * 6 + "|"]
    for kind, row in sorted(table.items()):
        example = row.example.replace("|", "\\|")
        example = example if len(example) < 90 else example[:87] + "…"
        subjects, made = len(row.subjects), row.made
        lines.append(f"| {kind} | {subjects} | {made} | {row.caught} | {row.named} | {example} |")
    made, caught, named = (
        sum(getattr(r, a) for r in table.values()) for a in ("made", "caught", "named")
    )
    lines.append(f"| **all** | | {made} | {caught} | {named} ({named / made:.1%}) | |")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    found = tally(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    print(as_markdown(found))
    for kind, row in sorted(found.items()):
        for missed in row.missed[:3]:
            print("not named:", kind, *missed, sep=" | ")
