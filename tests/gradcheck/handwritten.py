"""Costs with gradients derived by hand, and the slips of the pen that go with them.

Each gradient is right as it stands. A :class:`Slip` is a replacement in its source, as short as the
mistake itself, and says which kinds of the catalogue name it rightly.
"""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from scratchgen import operations as ops


@dataclass(frozen=True)
class Slip:
    """In the source of a gradient ``old`` becomes ``new``: a mistake of this kind."""

    kind: str
    names: frozenset
    replacements: tuple
    square: bool = False


@dataclass
class Handwritten:
    """A cost (written in several ways), a gradient derived by hand, inputs, and slips."""

    name: str
    costs: dict[str, Callable]
    gradient: Callable
    draw: Callable
    slips: list[Slip] = field(default_factory=list)

    def __post_init__(self):
        lines = inspect.getsource(self.gradient)
        self.source = textwrap.dedent(lines)

    def slip(self, kind, names, *replacements, square=False):
        """Add a slip; ``replacements`` are ``old → new``, each found in the source."""
        pairs = tuple(tuple(part.strip() for part in each.split("→")) for each in replacements)
        for old, _ in pairs:
            assert old in self.source, f"{self.name}: {old!r} is not in the derivation"
        self.slips.append(Slip(kind, frozenset(names.split(" | ")), pairs, square))

    def with_slip(self, slip) -> Callable:
        """The gradient with the mistake in it; a new one at each call, for those with a memory."""
        source = self.source
        for old, new in slip.replacements:
            source = source.replace(old, new, 1)
        return _compiled(source, self.gradient.__name__)


def _compiled(source, name):
    names = dict(globals())
    exec(compile(source, "<derivation>", "exec"), names)
    return names[name]


X = np.array([0.3, -1.2, 0.8])


def cubes(x):
    """A cost to check in passing, and its derivative."""
    return (x**3).sum()


def squares(x):
    return 3 * x**2


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def distinct(rng, number):
    """Lengths of axes, no two of them equal, from 3."""
    return [int(n) for n in rng.permutation([3, 4, 5, 6, 7])[:number]]


def normal(rng, *shapes):
    return [rng.standard_normal(shape) for shape in shapes]


# --- a layered network, squared error, an L2 and an L1 regulariser ---------------------------


def tanh_network_cost(W1, b1, W2, b2, W3, b3, x, y):
    a1 = np.tanh(x @ W1.T + b1)
    a2 = sigmoid(a1 @ W2.T + b2)
    a3 = a2 @ W3.T + b3
    data = 0.5 * ((a3 - y) ** 2).sum() / len(x)
    return data + 0.05 * (W1**2).sum() + 0.1 * np.absolute(W2).sum()


def tanh_network_cost_in_rules(W1, b1, W2, b2, W3, b3, x, y):
    a1 = ops.tanh(ops.affine(x, W1, b1))
    a2 = ops.sigmoid(ops.affine(a1, W2, b2))
    data = ops.squared_error(ops.affine(a2, W3, b3), y).mean()
    return data + 0.05 * ops.square(W1).sum() + 0.1 * ops.absolute(W2).sum()


def tanh_network(W1, b1, W2, b2, W3, b3, x, y):
    n = len(x)
    z1 = x @ W1.T + b1
    a1 = np.tanh(z1)
    z2 = a1 @ W2.T + b2
    a2 = sigmoid(z2)
    z3 = a2 @ W3.T + b3
    delta3 = (z3 - y) / n
    delta2 = (delta3 @ W3) * (a2 * (1 - a2))
    delta1 = (delta2 @ W2) * (1 - a1**2)
    dW1 = delta1.T @ x + 0.1 * W1
    dW2 = delta2.T @ a1 + 0.1 * np.sign(W2)
    dW3 = delta3.T @ a2
    db1 = delta1.sum(axis=0)
    db2 = delta2.sum(axis=0)
    db3 = delta3.sum(axis=0)
    return dW1, db1, dW2, db2, dW3, db3


def tanh_network_inputs(rng, square):
    n, i, j, k, m = (5, 4, 4, 4, 4) if square else distinct(rng, 5)
    return normal(rng, (j, i), (j,), (k, j), (k,), (m, k), (m,), (n, i), (n, m))


TANH_NETWORK = Handwritten(
    "network of tanh and σ",
    {"NumPy": tanh_network_cost, "rules": tanh_network_cost_in_rules},
    tanh_network,
    tanh_network_inputs,
)
slip = TANH_NETWORK.slip
slip("sign", "sign | term sign", "(z3 - y) → (y - z3)")
slip("sign", "sign | term sign", "delta3.T @ a2 → -delta3.T @ a2")
slip("sign", "sign | term sign", "(delta2 @ W2) → -(delta2 @ W2)")
slip("factor 2", "factor 2 | term doubled | constant dropped", "(z3 - y) → 2 * (z3 - y)")
slip("factor 2", "factor 2 | term doubled", "db3 = → db3 = 2 *")
slip("factor 1/2", "factor 1/2 | term halved", "(z3 - y) → 0.5 * (z3 - y)")
slip("factor n", "factor n | term times n | constant dropped", "(z3 - y) / n → (z3 - y)")
slip("factor 1/n", "factor 1/n | term divided by n", "(z3 - y) / n → (z3 - y) / n / n")
slip("factor n²", "factor n² | term times n²", "dW3 = → dW3 = n**2 *")
slip("transposed", "transposed", "delta3.T @ a2 → a2.T @ delta3")
slip("transposed", "transposed", "delta3.T @ a2 → a2.T @ delta3", square=True)
slip("W transposed in ∂C/∂a", "transposed operand", "delta3 @ W3 → delta3 @ W3.T", square=True)
slip("W transposed in ∂C/∂a", "transposed operand", "delta2 @ W2 → delta2 @ W2.T", square=True)
slip("sum over the batch missing", "not summed", "db1 = delta1.sum(axis=0) → db1 = delta1")
slip(
    "sum over the batch missing",
    "not summed",
    "dW3 = delta3.T @ a2 → dW3 = delta3[:, :, None] * a2[:, None, :]",
)
slip("reduced to a scalar", "reduced to a scalar", "delta1.sum(axis=0) → delta1.sum()")
slip(
    "reduced to a scalar and repeated",
    "reduced to a scalar",
    "db2 = delta2.sum(axis=0) → db2 = np.full_like(b2, delta2.sum())",
)
slip("first row of the batch only", "one row only", "delta3.sum(axis=0) → delta3[0]")
slip("first row of the batch only", "one row only", "delta3.T @ a2 → np.outer(delta3[0], a2[0])")
slip("first row of the batch only", "one row only", "delta2.sum(axis=0) → delta2[0]")
slip("σ′ missing", "derivative missing", " * (a2 * (1 - a2)) → ")
slip("σ′ missing", "derivative missing", " * (1 - a1**2) → ")
slip(
    "σ′ taken at the value",
    "derivative at the value",
    "a2 * (1 - a2) → sigmoid(a2) * (1 - sigmoid(a2))",
)
slip("σ′ taken at the value", "derivative at the value", "1 - a1**2 → 1 - np.tanh(a1)**2")
slip("σ′ taken at z, as if a", "derivative elsewhere", "1 - a1**2 → 1 - z1**2")
slip("another function for σ′", "other slope", "a2 * (1 - a2) → a2")
slip("another function for σ′", "other slope", "a2 * (1 - a2) → 1 - a2")
slip("another function for σ′", "other slope", "a2 * (1 - a2) → 1 - a2**2")
slip("another function for σ′", "other slope", "1 - a1**2 → a1 * (1 - a1)")
slip("another function for σ′", "other slope", "1 - a1**2 → (z1 > 0)")
slip("a part alone", "sign", "dW3 = delta3.T @ a2 → dW3 = delta3.T @ a2; dW3[1] *= -1")
slip("a part alone", "factor 2", "dW3 = delta3.T @ a2 → dW3 = delta3.T @ a2; dW3[:, 1] *= 2")
slip("a part alone", "ratio", "dW3 = delta3.T @ a2 → dW3 = delta3.T @ a2; dW3[0] *= 0.7")
slip("rows exchanged", "exchanged",
     "dW3 = delta3.T @ a2 → dW3 = (delta3.T @ a2)[[1, 0, *range(2, len(W3))]]")  # fmt: skip
slip("returned in another order", "returned in another order", "return dW1, db1, dW2, db2 → "
     "return dW2, db1, dW1, db2", square=True)  # fmt: skip
slip("updated for the old parameter", "updated parameter",
     "delta3 @ W3 → delta3 @ (W3 - 0.1 * delta3.T @ a2)")  # fmt: skip
slip("rows permuted", "permuted",
     "dW3 = delta3.T @ a2 → dW3 = (delta3.T @ a2)[[1, 2, 0, *range(4, len(W3)), 3][:len(W3)]]"
     )  # fmt: skip
slip("unrolled in the other order", "unrolled in another order | transposed",
     "dW3 = delta3.T @ a2 → dW3 = (delta3.T @ a2).ravel('F').reshape(W3.shape)")  # fmt: skip
REGULARISER = "regulariser missing | L2 regulariser | L1 regulariser"
slip("regulariser missing", REGULARISER, " + 0.1 * W1 → ")
slip("regulariser missing", REGULARISER, " + 0.1 * np.sign(W2) → ")
slip("regulariser doubled", "regulariser doubled | L2 regulariser", "0.1 * W1 → 0.2 * W1")
slip("regulariser doubled", "regulariser doubled | L1 regulariser", "0.1 * np → 0.2 * np")
slip("regulariser by n", "regulariser divided by n | L2 regulariser", "0.1 * W1 → 0.1 * W1 / n")
slip("regulariser by n", "regulariser divided by n | L1 regulariser", "np.sign(W2) → np.sign(W2)/n")
slip("left at zero", "zero", "db2 = → db2 = 0 *")
slip("a block left at zero", "zero block", "dW3 = delta3.T @ a2 → dW3 = delta3.T @ a2; dW3[1:] = 0")
slip("an index shifted", "shifted", "dW3 = delta3.T @ a2 → dW3 = np.roll(delta3.T @ a2, 1, 0)")
slip("an index shifted", "shifted", "dW1 = delta1.T @ x + 0.1 * W1 → "
     "dW1 = np.roll(delta1.T @ x + 0.1 * W1, -1, 1)")  # fmt: skip
slip("operand of another layer", "other operand", "delta2.T @ a1 → delta2.T @ x", square=True)
slip("operand of another layer", "other operand", "delta3.T @ a2 → delta3.T @ a1", square=True)
slip("operand of another layer", "other operand", "delta2 @ W2 → delta2 @ W1", square=True)
slip("operand of another layer", "other operand", "delta2 @ W2 → delta2 @ W3", square=True)
slip("operand of another layer", "derivative elsewhere", "1 - a1**2 → 1 - a2**2", square=True)
slip("z in place of a", "other operand", "delta3.T @ a2 → delta3.T @ z2")
slip("two: σ′ missing, sign", "derivative missing", " * (a2 * (1 - a2)) → ",
     "(z3 - y) → -(z3 - y)")  # fmt: skip
slip("two: σ′ missing, sign", "derivative missing", " * (1 - a1**2) → * -1")
slip("two: transposed, factor 2", "transposed", "delta3.T @ a2 → 2 * a2.T @ delta3", square=True)
slip("two: two σ′ missing", "derivative missing", " * (a2 * (1 - a2)) → ", " * (1 - a1**2) → ")
slip(
    "two: W transposed, σ′ missing",
    "transposed operand | derivative missing",
    "delta2 @ W2 → delta2 @ W2.T",
    " * (1 - a1**2) → ",
    square=True,
)
slip(
    "two: W transposed, mean left out",
    "transposed operand | factor n | constant dropped | term times n",
    "delta2 @ W2 → delta2 @ W2.T",
    "(z3 - y) / n → (z3 - y)",
    square=True,
)
STALE = """kept = []
def {name}({parameters}):
    kept.append(({parameters}))
    {parameters} = kept[-2] if len(kept) > 1 else kept[-1]"""


def stale(subject):
    """The values of the forward pass are those of the call before."""
    head = subject.source.split("\n", 1)[0]
    parameters = head[head.index("(") + 1 : head.index(")")]
    new = STALE.format(name=subject.gradient.__name__, parameters=parameters)
    subject.slips.append(Slip("stale values", frozenset({"stale"}), ((head, new),)))


stale(TANH_NETWORK)


# --- relu and a softmax layer, cross-entropy ------------------------------------------------


def classifier_cost(W1, b1, W2, b2, x, y):
    a = np.maximum(x @ W1.T + b1, 0)
    z = a @ W2.T + b2
    return -(y * np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))).sum() / len(x)


def classifier_cost_in_rules(W1, b1, W2, b2, x, y):
    a = ops.relu(ops.affine(x, W1, b1))
    return -(y * ops.log_softmax(ops.affine(a, W2, b2))).sum(axis=1).mean()


def classifier_cost_of_labels(W1, b1, W2, b2, x, y):
    a = ops.relu(ops.affine(x, W1, b1))
    return ops.cross_entropy(ops.affine(a, W2, b2), y.argmax(axis=1)).mean()


def classifier(W1, b1, W2, b2, x, y):
    n = len(x)
    z1 = x @ W1.T + b1
    a1 = np.maximum(z1, 0)
    p = softmax(a1 @ W2.T + b2)
    delta2 = (p - y) / n
    delta1 = (delta2 @ W2) * (z1 > 0)
    return {
        "W1": delta1.T @ x,
        "b1": delta1.sum(axis=0),
        "W2": delta2.T @ a1,
        "b2": delta2.sum(axis=0),
    }


def classifier_inputs(rng, square):
    n, i, j, k = (5, 4, 4, 4) if square else distinct(rng, 4)
    y = np.eye(k)[rng.permutation(np.arange(n) % k)]
    return [*normal(rng, (j, i), (j,), (k, j), (k,), (n, i)), y]


CLASSIFIER = Handwritten(
    "classifier of ReLU and softmax",
    {"NumPy": classifier_cost, "rules": classifier_cost_in_rules},
    classifier,
    classifier_inputs,
)
slip = CLASSIFIER.slip
slip("sign", "sign", "(p - y) → (y - p)")
slip("factor 2", "factor 2", "(p - y) → 2 * (p - y)")
slip("factor 1/2", "factor 1/2", "(p - y) → 0.5 * (p - y)")
slip("factor n", "factor n", "(p - y) / n → (p - y)")
slip("factor 1/n", "factor 1/n", "(p - y) / n → (p - y) / n**2")
slip("factor n²", "factor n²", "(p - y) / n → (p - y) * n")
slip("transposed", "transposed", "delta1.T @ x → x.T @ delta1")
slip("transposed", "transposed", "delta2.T @ a1 → a1.T @ delta2", square=True)
slip("W transposed in ∂C/∂a", "transposed operand", "delta2 @ W2 → delta2 @ W2.T", square=True)
slip("sum over the batch missing", "not summed", "delta1.sum(axis=0) → delta1")
slip("reduced to a scalar", "reduced to a scalar", "delta1.sum(axis=0) → delta1.sum()")
slip("first row of the batch only", "one row only", "delta2.sum(axis=0) → delta2[0]")
slip("first row of the batch only", "one row only", "delta2.sum(axis=0) → n * delta2[0]")
slip("σ′ missing", "derivative missing", " * (z1 > 0) → ")
slip("coupling of softmax dropped", "coupling dropped", "(p - y) / n → -y * (1 - p) / n")
slip("left at zero", "zero", "delta1.sum(axis=0) → 0 * delta1.sum(axis=0)")
slip("an index shifted", "shifted", "delta1.T @ x → np.roll(delta1.T @ x, 1, axis=1)")
slip("operand of another layer", "other operand", "delta2.T @ a1 → delta2.T @ x", square=True)
slip("z in place of a", "other operand | derivative missing", "delta2.T @ a1 → delta2.T @ z1")
slip("two: σ′ missing, sign", "derivative missing", " * (z1 > 0) → * -1")
slip("two: transposed, factor 2", "transposed", "delta2.T @ a1 → 2*a1.T @ delta2", square=True)
stale(CLASSIFIER)


# --- logistic regression, weights of a vector -----------------------------------------------


def logistic_cost(w, b, x, y):
    p = 1 / (1 + np.exp(-(x @ w + b)))
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean() + 0.5 * 0.3 * (w @ w)


def logistic_cost_in_rules(w, b, x, y):
    z = x @ w + b
    return (ops.softplus(z) - y * z).mean() + 0.15 * ops.square(w).sum()


def logistic(w, b, x, y):
    n = len(x)
    p = sigmoid(x @ w + b)
    delta = (p - y) / n
    dw = x.T @ delta + 0.3 * w
    db = delta.sum()
    return dw, db


def logistic_inputs(rng, square):
    n, m = distinct(rng, 2)
    return [*normal(rng, (m,), (), (n, m)), (rng.random(n) < 0.5) + 0.0]


LOGISTIC = Handwritten(
    "logistic regression",
    {"NumPy": logistic_cost, "rules": logistic_cost_in_rules},
    logistic,
    logistic_inputs,
)
slip = LOGISTIC.slip
slip("sign", "sign | term sign", "(p - y) → (y - p)")
slip("sign", "sign | regulariser sign", "+ 0.3 * w → - 0.3 * w")
slip("factor 2", "factor 2 | term doubled", "(p - y) → 2 * (p - y)")
slip("factor n", "factor n | term times n | constant dropped", "(p - y) / n → (p - y)")
slip("factor 1/n", "factor 1/n | term divided by n", "(p - y) / n → (p - y) / n / n")
slip("sum over the batch missing", "not summed", "db = delta.sum() → db = delta")
slip("sum over the batch missing", "not summed", "x.T @ delta + 0.3 * w → "
     "x * delta[:, None] + 0.3 * w / n")  # fmt: skip
slip("first row of the batch only", "one row only", "delta.sum() → delta[0]")
slip("reduced to a scalar", "reduced to a scalar", "dw = → dw = np.sum(", "0.3 * w → 0.3 * w)")
slip("regulariser missing", REGULARISER, " + 0.3 * w → ")
slip("regulariser doubled", "regulariser doubled | L2 regulariser", "0.3 * w → 0.6 * w")
slip("regulariser by n", "regulariser divided by n | L2 regulariser", "0.3 * w → 0.3 * w / n")
slip("updated for the old parameter", "updated parameter",
     "db = delta.sum() → w = w - 0.1 * dw; db = ((sigmoid(x @ w + b) - y) / n).sum()")  # fmt: skip
stale(LOGISTIC)


# --- a softmax layer under a squared error --------------------------------------------------


def softmax_layer_cost(W, x, y):
    e = np.exp(x @ W.T)
    return 0.5 * ((e / e.sum(axis=1, keepdims=True) - y) ** 2).sum(axis=1).mean()


def softmax_layer_cost_in_rules(W, x, y):
    return ops.squared_error(ops.softmax(x @ W.T), y).mean()


def softmax_layer(W, x, y):
    n = len(x)
    a = softmax(x @ W.T)
    g = (a - y) / n
    delta = a * (g - (a * g).sum(axis=1, keepdims=True))
    return delta.T @ x


def softmax_layer_inputs(rng, square):
    n, i, j = (5, 4, 4) if square else distinct(rng, 3)
    return normal(rng, (j, i), (n, i), (n, j))


SOFTMAX_LAYER = Handwritten(
    "softmax layer, squared error",
    {"NumPy": softmax_layer_cost, "rules": softmax_layer_cost_in_rules},
    softmax_layer,
    softmax_layer_inputs,
)
slip = SOFTMAX_LAYER.slip
slip("sign", "sign", "(a - y) → (y - a)")
slip("factor n", "factor n", "(a - y) / n → (a - y)")
slip("transposed", "transposed", "delta.T @ x → x.T @ delta", square=True)
slip("coupling of softmax dropped", "coupling dropped",
     "a * (g - (a * g).sum(axis=1, keepdims=True)) → a * (1 - a) * g")  # fmt: skip
slip("σ′ missing", "derivative missing", "a * (g - (a * g).sum(axis=1, keepdims=True)) → g")
slip("sum over the batch missing", "not summed", "delta.T @ x → "
     "delta[:, :, None] * x[:, None, :]")  # fmt: skip
slip("two: coupling dropped, factor 2", "coupling dropped",
     "a * (g - (a * g).sum(axis=1, keepdims=True)) → 2 * a * (1 - a) * g")  # fmt: skip
stale(SOFTMAX_LAYER)


# --- variational autoencoder: Gaussian and Bernoulli likelihood -----------------------------


def vae_cost(W, b, V, c, U, d, x, eps):
    mu, log_var = x @ W.T + b, x @ V.T + c
    h = mu + np.exp(0.5 * log_var) * eps
    nll = 0.5 * ((np.tanh(h @ U.T + d) - x) ** 2).sum()
    kl = 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum()
    return (nll + kl) / len(x)


def vae_cost_in_rules(W, b, V, c, U, d, x, eps):
    mu, log_var = ops.affine(x, W, b), ops.affine(x, V, c)
    h = mu + ops.exp(0.5 * log_var) * eps
    nll = ops.squared_error(ops.tanh(ops.affine(h, U, d)), x)
    return (nll + ops.gaussian_kl(mu, log_var)).mean()


def vae(W, b, V, c, U, d, x, eps):
    n = len(x)
    mu, log_var = x @ W.T + b, x @ V.T + c
    sigma = np.exp(0.5 * log_var)
    h = mu + sigma * eps
    z = h @ U.T + d
    a = np.tanh(z)
    delta = (a - x) / n * (1 - a**2)
    delta_h = delta @ U
    delta_mu = delta_h + mu / n
    delta_log_var = delta_h * 0.5 * sigma * eps + 0.5 * (sigma**2 - 1) / n
    return {
        "W": delta_mu.T @ x,
        "b": delta_mu.sum(axis=0),
        "V": delta_log_var.T @ x,
        "c": delta_log_var.sum(axis=0),
        "U": delta.T @ h,
        "d": delta.sum(axis=0),
    }


def bernoulli_vae_cost(W, b, V, c, U, d, x, eps):
    mu, log_var = x @ W.T + b, x @ V.T + c
    p = sigmoid((mu + np.exp(log_var / 2) * eps) @ U.T + d)
    nll = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)
    return (nll - 0.5 * (1 + log_var - mu**2 - np.exp(log_var)).sum(axis=1)).mean()


def bernoulli_vae_cost_in_rules(W, b, V, c, U, d, x, eps):
    mu, log_var = ops.affine(x, W, b), ops.affine(x, V, c)
    logits = ops.affine(mu + ops.exp(log_var / 2) * eps, U, d)
    return (ops.bernoulli_nll(logits, x) + ops.gaussian_kl(mu, log_var)).mean()


def bernoulli_vae(W, b, V, c, U, d, x, eps):
    n = len(x)
    mu, log_var = x @ W.T + b, x @ V.T + c
    sigma = np.exp(0.5 * log_var)
    h = mu + sigma * eps
    delta = (sigmoid(h @ U.T + d) - x) / n
    delta_h = delta @ U
    delta_mu = delta_h + mu / n
    delta_log_var = delta_h * 0.5 * sigma * eps + 0.5 * (sigma**2 - 1) / n
    return {
        "W": delta_mu.T @ x,
        "b": delta_mu.sum(axis=0),
        "V": delta_log_var.T @ x,
        "c": delta_log_var.sum(axis=0),
        "U": delta.T @ h,
        "d": delta.sum(axis=0),
    }


def vae_inputs(rng, square):
    n, i, k = (5, 4, 4) if square else distinct(rng, 3)
    x = rng.random((n, i))
    arrays = normal(rng, (k, i), (k,), (k, i), (k,), (i, k), (i,), (n, k))
    return [*(0.5 * W for W in arrays[:6]), x, arrays[6]]


VAE = Handwritten(
    "VAE, Gaussian likelihood", {"NumPy": vae_cost, "rules": vae_cost_in_rules}, vae, vae_inputs
)
BERNOULLI_VAE = Handwritten(
    "VAE, Bernoulli likelihood",
    {"NumPy": bernoulli_vae_cost, "rules": bernoulli_vae_cost_in_rules},
    bernoulli_vae,
    vae_inputs,
)
for subject in (VAE, BERNOULLI_VAE):
    slip = subject.slip
    missing = "½σε missing | constant dropped | factor missing"
    slip("½σε missing", missing, "delta_h * 0.5 * sigma * eps → delta_h")
    slip("½ of ½σε missing", missing, "0.5 * sigma * eps → sigma * eps")
    slip("term of σε missing", "½σε missing | term missing", "delta_h * 0.5 * sigma * eps + → ")
    slip("log σ² for σ", "log σ² for σ", "delta_h * 0.5 * sigma * eps → delta_h * eps")
    slip("log σ² for σ", "log σ² for σ", "* 0.5 * sigma * eps → * 0.5 * log_var * eps")
    slip("σ² for σ", "log σ² for σ", "0.5 * sigma * eps → 0.5 * sigma**2 * eps")
    kl = "constant dropped | term doubled | factor missing"
    slip("KL without its ½", kl, "0.5 * (sigma**2 - 1) → (sigma**2 - 1)")
    slip("KL without its ½", kl, "+ mu / n → + 2 * mu / n",
         "0.5 * (sigma**2 - 1) → (sigma**2 - 1)")  # fmt: skip
    slip("KL missing", "term missing", " + mu / n → ")
    # without its derivative, e^{log σ²} − 1 leaves nothing of ½(σ² − 1)
    slip("KL missing", "term missing | derivative missing", " + 0.5 * (sigma**2 - 1) / n → ")
    slip("KL not divided by n", "term times n", "mu / n → mu", "- 1) / n → - 1)")
    slip("sign", "sign | term sign", "delta_h + mu / n → -delta_h + mu / n")
    slip("sign of the KL", "sign | term sign", "+ mu / n → - mu / n", "+ 0.5 * → - 0.5 *")
    slip("factor n", "factor n | term times n | constant dropped", "x) / n → x)")
    slip("W transposed in ∂C/∂a", "transposed operand", "delta @ U → delta @ U.T", square=True)
    slip("operand of another layer", "other operand", "delta.T @ h → delta.T @ mu")
    slip("operand of another layer", "other operand", "delta.T @ h → delta.T @ x", square=True)
    slip("first row of the batch only", "one row only", '"d": delta.sum(axis=0) → "d": delta[0]')
    slip("sum over the batch missing", "not summed", "delta_mu.sum(axis=0) → delta_mu")
    stale(subject)
slip = VAE.slip
slip("σ′ missing", "derivative missing", " * (1 - a**2) → ")
slip("σ′ taken at the value", "derivative at the value", "1 - a**2 → 1 - np.tanh(a)**2")
slip("two: σ′ missing, sign", "derivative missing", "/ n * (1 - a**2) → / -n")
slip("two: σ′ missing, ½σε missing", "derivative missing | ½σε missing", " * (1 - a**2) → ",
     "delta_h * 0.5 * sigma * eps → delta_h")  # fmt: skip


# --- dropout with the mask of the forward pass ----------------------------------------------


def dropout_cost(W1, W2, x, y, m):
    return 0.5 * (((np.tanh(x @ W1.T) * m) @ W2.T - y) ** 2).sum(axis=1).mean()


def dropout_cost_in_rules(W1, W2, x, y, m):
    a = ops.multiply(ops.tanh(ops.matmul(x, W1.T)), m)
    return ops.squared_error(ops.matmul(a, W2.T), y).mean()


def dropout_network(W1, W2, x, y, m):
    n = len(x)
    a = np.tanh(x @ W1.T)
    delta2 = ((a * m) @ W2.T - y) / n
    delta1 = (delta2 @ W2) * m * (1 - a**2)
    return delta1.T @ x, delta2.T @ (a * m)


def dropout_inputs(rng, square):
    n, i, j, k = (4, 4, 4, 4) if square else distinct(rng, 4)
    n, i = sorted((n, i))  # or the mask cannot be solved for
    mask = rng.permutation(np.arange(n * j) % 5 > 1).reshape(n, j) / 0.6
    return [*normal(rng, (j, i), (k, j), (n, i), (n, k)), mask]


DROPOUT = Handwritten(
    "network with dropout",
    {"NumPy": dropout_cost, "rules": dropout_cost_in_rules},
    dropout_network,
    dropout_inputs,
)
slip = DROPOUT.slip
slip("dropout mask left out", "mask not reused", "(delta2 @ W2) * m → (delta2 @ W2)")
slip("dropout mask left out", "mask not reused | other operand", "@ (a * m) → @ a")
slip("dropout mask drawn anew", "mask not reused",
     "(delta2 @ W2) * m → (delta2 @ W2) * np.random.default_rng(3).permutation(m.ravel())"
     ".reshape(m.shape)")  # fmt: skip
slip("dropout mask not rescaled", "mask not rescaled", "(delta2 @ W2) * m → (delta2 @ W2) * (m>0)")
slip("dropout mask not rescaled", "mask not rescaled", "@ (a * m) → @ (a * (m > 0))")
slip("σ′ missing", "derivative missing", " * (1 - a**2) → ")
slip("factor n", "factor n", "y) / n → y)")
slip("two: mask left out, sign", "mask not reused", "(delta2 @ W2) * m → -(delta2 @ W2)")
stale(DROPOUT)


# --- restricted Boltzmann machine, F(v) − F(vₖ) ---------------------------------------------


def rbm_cost(W, a, b, v, vk):
    def free_energy(v):
        return -(v @ a) - np.log(1 + np.exp(v @ W + b)).sum(axis=1)

    return (free_energy(v) - free_energy(vk)).mean()


def rbm_cost_in_rules(W, a, b, v, vk):
    def free_energy(v):
        return -(v @ a) - ops.softplus(v @ W + b).sum(axis=1)

    return (free_energy(v) - free_energy(vk)).mean()


def rbm(W, a, b, v, vk):
    n = len(v)
    h, hk = sigmoid(v @ W + b), sigmoid(vk @ W + b)
    dW = -(v.T @ h - vk.T @ hk) / n
    da = -(v - vk).sum(axis=0) / n
    db = -(h - hk).sum(axis=0) / n
    return dW, da, db


def rbm_inputs(rng, square):
    n, i, j = (5, 4, 4) if square else distinct(rng, 3)
    v, vk = ((rng.random((n, i)) < 0.5) + 0.0 for _ in range(2))
    vk[0] = 1 - v[0]
    return [*normal(rng, (i, j), (i,), (j,)), v, vk]


RBM = Handwritten("RBM", {"NumPy": rbm_cost, "rules": rbm_cost_in_rules}, rbm, rbm_inputs)
slip = RBM.slip
STEPS = "other operand | derivative elsewhere"
slip("v and h of different Gibbs steps", STEPS, "vk.T @ hk → vk.T @ h")
slip("v and h of different Gibbs steps", STEPS, "vk.T @ hk → v.T @ hk")
slip("v and h of different Gibbs steps", STEPS, "v.T @ h  → v.T @ hk ".replace("  ", " "))
slip("phases exchanged", "sign", "-(v.T → (v.T")
slip("factor n", "factor n", "- vk.T @ hk) / n → - vk.T @ hk)")
slip("negative phase missing", "term missing", "- vk.T @ hk) → )")
slip("negative phase missing", "term missing", "(h - hk) → h")
slip("transposed", "transposed", "-(v.T @ h - vk.T @ hk) → -(h.T @ v - hk.T @ vk)", square=True)
slip("first row of the batch only", "one row only", "-(h - hk).sum(axis=0) → -(h - hk)[0]")
slip("sum over the batch missing", "not summed", "-(v - vk).sum(axis=0) → -(v - vk)")
stale(RBM)


# --- the notes' scalar layers, where anything is a number -----------------------------------


def scalar_cost(w1, b1, w2, b2, a0, y):
    a1 = 1 / (1 + np.exp(-(w1 * a0 + b1)))
    return 0.5 * (1 / (1 + np.exp(-(w2 * a1 + b2))) - y) ** 2


def scalar_cost_in_rules(w1, b1, w2, b2, a0, y):
    return 0.5 * ops.square(ops.sigmoid(w2 * ops.sigmoid(w1 * a0 + b1) + b2) - y)


def scalar_layers(w1, b1, w2, b2, a0, y):
    a1 = sigmoid(w1 * a0 + b1)
    a2 = sigmoid(w2 * a1 + b2)
    delta2 = (a2 - y) * a2 * (1 - a2)
    delta1 = delta2 * w2 * (a1 * (1 - a1))
    return delta1 * a0, delta1, delta2 * a1, delta2


SCALAR = Handwritten(
    "scalar layers of the notes",
    {"NumPy": scalar_cost, "rules": scalar_cost_in_rules},
    scalar_layers,
    lambda rng, square: [float(x) for x in rng.standard_normal(6)],
)
slip = SCALAR.slip
slip("sign", "sign", "delta2 * w2 * → -delta2 * w2 *")
slip("factor 2", "factor 2", "(a2 - y) → 2 * (a2 - y)")
slip("operand of another layer", "other operand", "delta2 * w2 → delta2 * a1")
slip("operand of another layer", "other operand", "delta2 * a1, → delta2 * a0,")
slip("operand of another layer", "other operand", "delta2 * w2 → delta2 * w1")
slip("a factor left out", "factor missing", "delta2 * w2 → delta2")
slip("a factor left out", "factor missing", "return delta1 * a0 → return delta1")
slip("σ′ missing", "derivative missing", " * (a1 * (1 - a1)) → ")
slip("σ′ missing", "derivative missing", " * a2 * (1 - a2) → ")
slip("left at zero", "zero", "delta1 * a0, → 0.0,")


# --- two inputs, two hidden, one output: the notes' network with single weights -------------


def two_layers_cost(W1, W2, x, y):
    a1 = np.tanh(W1 @ x)
    a2 = np.tanh(W2 @ a1)
    return 0.5 * ((a2 - y) ** 2).sum()


def two_layers_cost_in_rules(W1, W2, x, y):
    a2 = ops.tanh(ops.matmul(W2, ops.tanh(ops.matmul(W1, x))))
    return 0.5 * ops.square(a2 - y).sum()


def two_layers(W1, W2, x, y):
    a1 = np.tanh(W1 @ x)
    a2 = np.tanh(W2 @ a1)
    delta2 = (a2 - y) * (1 - a2**2)
    delta1 = (W2.T @ delta2) * (1 - a1**2)
    return np.outer(delta1, x), np.outer(delta2, a1)


TWO_LAYERS = Handwritten(
    "one sample, columns",
    {"NumPy": two_layers_cost, "rules": two_layers_cost_in_rules},
    two_layers,
    lambda rng, square: normal(rng, (4, 4), (4, 4), (4,), (4,)),
)
slip = TWO_LAYERS.slip
slip("operand of another layer", "other operand", "np.outer(delta1, x) → np.outer(delta1, a1)")
slip("operand of another layer", "other operand", "np.outer(delta2, a1) → np.outer(delta2, x)")
slip("W transposed in ∂C/∂a", "transposed operand", "W2.T @ delta2 → W2 @ delta2")
slip("transposed", "transposed", "np.outer(delta2, a1) → np.outer(a1, delta2)")
slip("σ′ missing", "derivative missing", " * (1 - a1**2) → ")
slip("σ′ missing", "derivative missing", " * (1 - a2**2) → ")
slip("σ′ taken at the value", "derivative at the value", "1 - a2**2 → 1 - np.tanh(a2) ** 2")
slip("updated for the old parameter", "updated parameter",
     "W2.T @ delta2 → (W2 - 0.05 * np.outer(delta2, a1)).T @ delta2")  # fmt: skip
slip("two: operand, sign", "other operand", "np.outer(delta1, x) → np.outer(-delta1, a1)")


# --- what cannot be recorded: numbers alone speak -------------------------------------------


def least_squares_cost(W, x, y):
    e = np.einsum("ni,oi->no", x, W) - y
    return 0.5 * np.linalg.norm(e) ** 2 / len(x) + 0.15 * np.linalg.norm(W) ** 2


def least_squares_cost_by_loops(W, x, y):
    total = 0.15 * sum(w * w for row in W for w in row)
    for n in range(len(x)):
        e = np.zeros(len(W), dtype=np.result_type(W, x))
        for i in range(len(W)):
            for j in range(W.shape[1]):
                e[i] += W[i, j] * x[n, j]
        total = total + 0.5 * ((e - y[n]) ** 2).sum() / len(x)
    return total


def least_squares(W, x, y):
    n = len(x)
    delta = (x @ W.T - y) / n
    return delta.T @ x + 0.3 * W


def least_squares_inputs(rng, square):
    n, i, j = (5, 4, 4) if square else distinct(rng, 3)
    return normal(rng, (j, i), (n, i), (n, j))


LEAST_SQUARES = Handwritten(
    "least squares, not recorded",
    {"einsum": least_squares_cost, "loops": least_squares_cost_by_loops},
    least_squares,
    least_squares_inputs,
)
slip = LEAST_SQUARES.slip
WHOLE = "delta.T @ x + 0.3 * W"
slip("sign", "sign", f"{WHOLE} → -({WHOLE})")
slip("factor 2", "factor 2", f"{WHOLE} → 2 * ({WHOLE})")
slip("factor 1/2", "factor 1/2", f"{WHOLE} → ({WHOLE}) / 2")
slip("factor n", "factor n", f"{WHOLE} → n * ({WHOLE})")
slip("factor 1/n", "factor 1/n", f"{WHOLE} → ({WHOLE}) / n")
slip("factor n²", "factor n²", f"{WHOLE} → ({WHOLE}) * n**2")
slip("transposed", "transposed", f"{WHOLE} → ({WHOLE}).T", square=True)
slip("transposed", "transposed", f"{WHOLE} → ({WHOLE}).T")
slip("sum over the batch missing", "not summed", f"{WHOLE} → "
     "delta[:, :, None] * x[:, None, :] + 0.3 * W / n")  # fmt: skip
slip("reduced to a scalar", "reduced to a scalar", f"{WHOLE} → ({WHOLE}).sum()")
slip("regulariser missing", REGULARISER, " + 0.3 * W → ")
slip("regulariser doubled", "regulariser doubled | L2 regulariser", "0.3 * W → 0.6 * W")
slip("regulariser by n", "regulariser divided by n | L2 regulariser", "0.3 * W → 0.3 * W / n")
slip("left at zero", "zero", f"{WHOLE} → 0 * W")
slip("a block left at zero", "zero block", f"return {WHOLE} → g = {WHOLE}; g[1:] = 0; return g")
slip("an index shifted", "shifted", f"{WHOLE} → np.roll({WHOLE}, 1, axis=0)")
slip("two: transposed, factor 2", "transposed", f"{WHOLE} → 2 * ({WHOLE}).T", square=True)
slip("two: transposed, sign", "transposed", f"{WHOLE} → -({WHOLE}).T", square=True)
stale(LEAST_SQUARES)

# --- a recurrent network, one step after the other ------------------------------------------


def recurrent_cost(W, U, x, y):
    h, cost = np.zeros(len(W)), 0.0
    for t in range(len(x)):
        h = np.tanh(U @ x[t] + W @ h)
        cost = cost + 0.5 * ((h - y[t]) ** 2).sum()
    return cost


def recurrent_cost_in_rules(W, U, x, y):
    h, cost = np.zeros(len(W)), 0.0
    for t in range(len(x)):
        z = ops.matmul(U, x[t]) + ops.matmul(W, h)
        h = ops.tanh(z)
        cost += 0.5 * ops.square(h - y[t]).sum()
    return cost


def recurrent(W, U, x, y):
    steps, slope = len(x), lambda a: 1 - a**2
    h = [np.zeros(len(W))]
    for t in range(steps):
        h.append(np.tanh(U @ x[t] + W @ h[t]))
    dW, dU, carried = np.zeros_like(W), np.zeros_like(U), np.zeros(len(W))
    for t in reversed(range(steps)):
        delta = (h[t + 1] - y[t] + carried) * slope(h[t + 1])
        dW += np.outer(delta, h[t])
        dU += np.outer(delta, x[t])
        carried = W.T @ delta
    return dW, dU


RECURRENT = Handwritten(
    "recurrent network",
    {"NumPy": recurrent_cost, "rules": recurrent_cost_in_rules},
    recurrent,
    lambda rng, square: [0.6 * M for M in normal(rng, (4, 4), (4, 3), (6, 3), (6, 4))],
)
slip = RECURRENT.slip
slip("carried δ left out", "truncated recurrence", "carried = W.T @ delta → pass")
slip("truncated recurrence", "truncated recurrence",
     "carried = W.T @ delta → carried = (W.T @ delta) * (t % 2 > 0)")  # fmt: skip
slip("truncated recurrence", "truncated recurrence",
     "carried = W.T @ delta → carried = (W.T @ delta) * (t > 2)")  # fmt: skip
slip("truncated recurrence, each term over few steps", "truncated recurrence",
     "carried = W.T @ delta → for s in range(t - 1, max(t - 3, -1), -1): "
     "delta = (W.T @ delta) * slope(h[s + 1]); dW += np.outer(delta, h[s]); "
     "dU += np.outer(delta, x[s])")  # fmt: skip
slip("σ′ missing at every step", "derivative missing", " * slope(h[t + 1]) → ")
slip("another σ′ at every step", "other slope", "1 - a**2 → a * (1 - a)")
slip("W transposed at every step", "transposed operand", "W.T @ delta → W @ delta")
slip("sign at every step", "term sign", "+ carried → - carried")
slip("operand of another step", "other step", "np.outer(delta, h[t]) → np.outer(delta, h[t + 1])")
slip("one step of a loop only", "one use only", "dU += np.outer → dU = np.outer")
slip("one step of a loop only", "one use only",
     "dU += np.outer(delta, x[t]) → dU += np.outer(delta, x[t]) * (t == steps - 1)")  # fmt: skip


# --- a hidden Markov model: −log p of a sequence of symbols ----------------------------------

SYMBOLS = (0, 2, 1, 1, 0, 2, 2)


def markov_cost(A, B, pi):
    alpha = pi * B[:, SYMBOLS[0]]
    for symbol in SYMBOLS[1:]:
        alpha = (alpha @ A) * B[:, symbol]
    return -np.log(alpha.sum())


def markov_cost_scaled(A, B, pi):
    alpha, cost = pi * B[:, SYMBOLS[0]], 0.0
    for symbol in SYMBOLS[1:]:
        cost = cost - np.log(alpha.sum())
        alpha = alpha / alpha.sum()
        alpha = (alpha @ A) * B[:, symbol]
    return cost - np.log(alpha.sum())


def markov(A, B, pi):
    alpha, steps = [pi * B[:, SYMBOLS[0]]], len(SYMBOLS)
    for symbol in SYMBOLS[1:]:
        alpha.append((alpha[-1] @ A) * B[:, symbol])
    beta = [np.ones(len(pi))]
    for symbol in SYMBOLS[:0:-1]:
        beta.insert(0, A @ (B[:, symbol] * beta[0]))
    norm = [alpha[-1].sum()] * steps
    dA, dB = np.zeros_like(A), np.zeros_like(B)
    for t, symbol in enumerate(SYMBOLS):
        dB[:, symbol] -= alpha[t] * beta[t] / norm[t] / B[:, symbol]
    for t, symbol in enumerate(SYMBOLS[1:], 1):
        dA -= np.outer(alpha[t - 1], B[:, symbol] * beta[t]) / norm[t]
    return dA, dB, -alpha[0] * beta[0] / norm[0] / pi


def markov_inputs(rng, square):
    tables = [rng.uniform(0.1, 1, shape) for shape in ((3, 3), (3, 3), (3,))]
    return [table / table.sum(axis=-1, keepdims=True) for table in tables]


MARKOV = Handwritten(
    "hidden Markov model",
    {"NumPy": markov_cost, "scaled": markov_cost_scaled},
    markov,
    markov_inputs,
)
slip = MARKOV.slip
slip("filter for the smoother", "filter for smoother",
     "norm = [alpha[-1].sum()] * steps → beta = [np.ones(len(pi))] * steps; "
     "norm = [a.sum() for a in alpha]")  # fmt: skip
slip("sign", "sign | term sign", "dA -= → dA +=")
slip("transposed", "transposed", "return dA, → return dA.T,")


# --- pairs of particles that repel each other -------------------------------------------------


def pairs_cost(x):
    i, j = np.triu_indices(len(x), 1)
    r2 = ((x[i] - x[j]) ** 2).sum(axis=1)
    return (np.exp(-r2) + 1 / r2**3).sum()


def pairs_cost_by_loops(x):
    energy = 0.0
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            r2 = ((x[i] - x[j]) ** 2).sum()
            energy = energy + np.exp(-r2) + 1 / r2**3
    return energy


def pairs(x):
    g = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            d = x[i] - x[j]
            r2 = (d * d).sum()
            share = 2 * d * (-np.exp(-r2) - 3 / r2**4)
            g[i] += share
            g[j] -= share
    return g


PAIRS = Handwritten(
    "pairs of particles",
    {"arrays": pairs_cost, "loops": pairs_cost_by_loops},
    pairs,
    lambda rng, square: normal(rng, (4, 2)),
)
slip = PAIRS.slip
slip("third law forgotten", "third law forgotten", "g[j] -= share → pass")
slip("third law forgotten", "third law forgotten", "g[i] += share → pass")
slip("sign of the partner", "sign | term sign", "g[j] -= share → g[j] += share")
slip("power rule", "power rule", "3 / r2**4 → 3 / r2**3")
slip("power rule", "power rule", "3 / r2**4 → 2 / r2**4")
slip("power rule", "power rule", "3 / r2**4 → 1 / r2**4")


# --- powers, a logarithm and a root ----------------------------------------------------------


def powers_cost(u, v, w):
    return (u**3).sum() + (2 * np.sqrt(v)).sum() + (np.log(w) * w[::-1]).sum() + 0.3 * (1 / v).sum()


def powers_cost_in_rules(u, v, w):
    cost = ops.power(u, 3).sum() + 2 * ops.sqrt(v).sum() + 0.3 * ops.divide(1, v).sum()
    return cost + (ops.log(w) * w[::-1]).sum()


def powers(u, v, w):
    du = 3 * u**2
    dv = 1 / np.sqrt(v) - 0.3 / v**2
    dw = w[::-1] / w + np.log(w[::-1])
    return du, dv, dw


POWERS = Handwritten(
    "powers and logarithms",
    {"NumPy": powers_cost, "rules": powers_cost_in_rules},
    powers,
    lambda rng, square: [rng.uniform(0.4, 2.5, n) for n in (4, 5, 6)],
)
slip = POWERS.slip
slip("power rule", "power rule", "3 * u**2 → 3 * u**3")
slip("power rule", "power rule", "3 * u**2 → 2 * u**2")
slip("power rule", "power rule", "3 * u**2 → u**2")
slip("power rule", "power rule", "1 / np.sqrt(v) → np.sqrt(v)")
slip("power rule", "power rule", "0.3 / v**2 → 0.3 / v")
slip("power rule", "power rule", "- 0.3 / v**2 → + 0.3 * np.log(v)")
slip("another slope of a logarithm", "other slope | another cost", "w[::-1] / w → w[::-1] / w**2")
slip("another slope of a logarithm", "other slope | derivative missing", "w[::-1] / w → w[::-1]")
slip("sign", "sign | term sign | regulariser sign", "- 0.3 / v**2 → + 0.3 / v**2")


# --- an expression that is written twice; a fit whose derivative is of another cost -----------


def tempered_cost(z, T, y):
    return -(y * np.log(np.exp(z / T) / np.exp(z / T).sum())).sum()


def tempered_cost_of_logarithms(z, T, y):
    return -(y * (z / T - np.log(np.exp(z / T).sum()))).sum()


def tempered(z, T, y):
    p = np.exp(z / T) / np.exp(z / T).sum()
    return (p * y.sum() - y) / T


def tempered_inputs(rng, square):
    return [rng.standard_normal(5), np.array(rng.uniform(1.5, 3)), rng.random(5)]


TEMPERED = Handwritten(
    "softmax with a temperature",
    {"NumPy": tempered_cost, "logarithms": tempered_cost_of_logarithms},
    tempered,
    tempered_inputs,
)
slip = TEMPERED.slip
slip(
    "a factor left out at every use", "factor missing", "(p * y.sum() - y) / T → (p * y.sum() - y)"
)
slip("sign", "sign", "(p * y.sum() - y) → (y - p * y.sum())")


def line_cost(a, b, x, y, z):
    return ((z - a * y - b) ** 2).mean() + np.exp(0.1 * x * a).sum()


def line_cost_in_rules(a, b, x, y, z):
    return ops.square(z - a * y - b).mean() + ops.exp(0.1 * x * a).sum()


def line(a, b, x, y, z):
    errors = 2 * (z - a * y - b) / len(z)
    return -(errors * y).sum() + (0.1 * x * np.exp(0.1 * x * a)).sum(), -errors.sum()


LINE = Handwritten(
    "a line",
    {"NumPy": line_cost, "rules": line_cost_in_rules},
    line,
    lambda rng, square: [*map(float, rng.standard_normal(2)), *rng.standard_normal((3, 6))],
)
slip = LINE.slip
slip("right for another cost", "another cost", "a * y → a * x", "errors * y → errors * x")
slip("sign", "sign | term sign", "errors = 2 → errors = -2")


# --- a flat vector of weights, and a symmetric matrix -----------------------------------------


def flat_cost(theta, x):
    W, b = theta[:12].reshape(3, 4), theta[12:]
    return (np.tanh(x @ W + b) ** 2).sum()


def flat_cost_in_rules(theta, x):
    return ops.square(ops.tanh(x @ theta[:12].reshape(3, 4) + theta[12:])).sum()


def flat(theta, x):
    W, b = theta[:12].reshape(3, 4), theta[12:]
    a = np.tanh(x @ W + b)
    delta = 2 * a * (1 - a**2)
    dW, db = x.T @ delta, delta.sum(axis=0)
    return np.concatenate([dW.ravel(), db])


FLAT = Handwritten(
    "flat vector of weights",
    {"NumPy": flat_cost, "rules": flat_cost_in_rules},
    flat,
    lambda rng, square: normal(rng, (16,), (5, 3)),
)
slip = FLAT.slip
slip("unrolled in the other order", "unrolled in another order", "dW.ravel() → dW.ravel('F')")
slip("joined in another order", "joined in another order", "[dW.ravel(), db] → [db, dW.ravel()]")
slip("a part alone", "sign | term sign", "[dW.ravel(), db] → [dW.ravel(), -db]")
slip("a part alone", "factor 2 | term doubled", "[dW.ravel(), db] → [2 * dW.ravel(), db]")
slip("σ′ missing", "derivative missing", " * (1 - a**2) → ")


def determinant_cost(S):
    return np.log(np.linalg.det(S))


def determinant_cost_in_rules(S):
    return np.linalg.slogdet(S)[1]


def determinant(S):
    inverse = np.linalg.inv(S)
    return inverse


def determinant_inputs(rng, square):
    M = rng.standard_normal((4, 4))
    return [M @ M.T + 4 * np.eye(4)]


DETERMINANT = Handwritten(
    "logarithm of a determinant",
    {"NumPy": determinant_cost, "slogdet": determinant_cost_in_rules},
    determinant,
    determinant_inputs,
)
slip = DETERMINANT.slip
slip("as if entries moved in pairs", "symmetric matrix",
     "return inverse → return 2 * inverse - np.diag(np.diag(inverse))")  # fmt: skip
slip("one triangle alone", "symmetric matrix", "return inverse → return np.tril(inverse)")
slip("sign", "sign", "return inverse → return -inverse")

SUBJECTS = [
    TANH_NETWORK,
    CLASSIFIER,
    LOGISTIC,
    SOFTMAX_LAYER,
    VAE,
    BERNOULLI_VAE,
    DROPOUT,
    RBM,
    SCALAR,
    TWO_LAYERS,
    LEAST_SQUARES,
    RECURRENT,
    MARKOV,
    PAIRS,
    POWERS,
    TEMPERED,
    LINE,
    FLAT,
    DETERMINANT,
]
