"""Wrong derivatives that people published, written anew: each is refused, and most are named.

Every case below stands for one public thread, named in its docstring. It has the cost, the
derivative as its author had it, and the right one, all in the NumPy that such an author writes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import special

import scratchgen as sg
from scratchgen.gradcheck.diagnosis import NONE


@dataclass
class Published:
    """A cost with the published and the right derivative, and the words that name the mistake."""

    cost: Callable
    wrong: Callable
    right: Callable
    arguments: tuple
    words: dict[str, str]
    """What the diagnosis of each wrong derivative says, with … for what is between."""


CASES: dict[str, Callable[[np.random.Generator], Published]] = {}


def case(build):
    CASES[build.__name__] = build
    return build


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# --- networks ---


@case
def three_layers_of_a_course(rng):
    """GitHub, "mistakes in … Gradient+Checking.ipynb": dW2 is doubled, db1 is 4 times too large.

    https://github.com/bighuang624/Andrew-Ng-Deep-Learning-notes/issues/10
    """

    def forward(p, X):
        Z1 = np.dot(p["W1"], X) + p["b1"]
        A1 = np.maximum(0, Z1)
        Z2 = np.dot(p["W2"], A1) + p["b2"]
        A2 = np.maximum(0, Z2)
        return A1, A2, sigmoid(np.dot(p["W3"], A2) + p["b3"])

    def cost(p, X, Y):
        A3 = forward(p, X)[-1]
        logprobs = np.multiply(-np.log(A3), Y) + np.multiply(-np.log(1 - A3), 1 - Y)
        return 1.0 / X.shape[1] * np.sum(logprobs)

    def backward(p, X, Y, doubled=1, fourfold=1.0):
        m = X.shape[1]
        A1, A2, A3 = forward(p, X)
        dZ3 = A3 - Y
        dZ2 = np.multiply(np.dot(p["W3"].T, dZ3), np.int64(A2 > 0))
        dZ1 = np.multiply(np.dot(p["W2"].T, dZ2), np.int64(A1 > 0))
        return {
            "dW3": 1.0 / m * np.dot(dZ3, A2.T),
            "db3": 1.0 / m * np.sum(dZ3, axis=1, keepdims=True),
            "dW2": 1.0 / m * np.dot(dZ2, A1.T) * doubled,
            "db2": 1.0 / m * np.sum(dZ2, axis=1, keepdims=True),
            "dW1": 1.0 / m * np.dot(dZ1, X.T),
            "db1": fourfold / m * np.sum(dZ1, axis=1, keepdims=True),
        }

    sizes = {"W1": (5, 4), "b1": (5, 1), "W2": (3, 5), "b2": (3, 1), "W3": (1, 3), "b3": (1, 1)}
    p = {name: rng.normal(size=size) for name, size in sizes.items()}
    return Published(
        cost,
        lambda p, X, Y: backward(p, X, Y, doubled=2, fourfold=4.0),
        backward,
        (p, rng.normal(size=(4, 6)), np.array([[1, 0, 1, 1, 0, 0]])),
        {"W2": "yours = 2 × numerical", "b1": "a factor 4 too many (4 is the length of X)"},
    )


@case
def lstm_whose_state_is_not_carried_back(rng):
    """GitHub, "Questions on the LSTM backpropagation code": dh_next, dC_next stay zero.

    https://github.com/CaptainE/RNN-LSTM-in-numpy/issues/1
    """
    hidden = 3

    def forward(p, inputs):
        h, C, kept = np.zeros(hidden), np.zeros(hidden), []
        for x in inputs:
            z = np.concatenate([h, x])
            f = sigmoid(p["W_f"] @ z + p["b_f"])
            i = sigmoid(p["W_i"] @ z + p["b_i"])
            g = np.tanh(p["W_g"] @ z + p["b_g"])
            o = sigmoid(p["W_o"] @ z + p["b_o"])
            C_prev, C = C, f * C + i * g
            h = o * np.tanh(C)
            kept.append((z, f, i, g, o, C_prev, C, h, softmax(p["W_v"] @ h + p["b_v"])))
        return kept

    def cost(p, inputs, targets):
        loss = 0
        for t, kept in enumerate(forward(p, inputs)):
            loss += -np.sum(targets[t] * np.log(kept[-1]))
        return loss

    def backward(p, inputs, targets, carried=True):
        grads = {name: np.zeros_like(value) for name, value in p.items()}
        dh_next, dC_next = np.zeros(hidden), np.zeros(hidden)
        kept = forward(p, inputs)
        for t in reversed(range(len(inputs))):
            z, f, i, g, o, C_prev, C, h, v = kept[t]
            dv = v - targets[t]
            grads["W_v"] += np.outer(dv, h)
            grads["b_v"] += dv
            dh = p["W_v"].T @ dv + dh_next
            dC = dC_next + dh * o * (1 - np.tanh(C) ** 2)
            gates = {
                "o": dh * np.tanh(C) * o * (1 - o),
                "g": dC * i * (1 - g * g),
                "i": dC * g * i * (1 - i),
                "f": dC * C_prev * f * (1 - f),
            }
            dz = np.zeros_like(z)
            for name, d in gates.items():
                grads["W_" + name] += np.outer(d, z)
                grads["b_" + name] += d
                dz += p["W_" + name].T @ d
            if carried:
                dh_next, dC_next = dz[:hidden], f * dC
        return grads

    p = {f"W_{k}": rng.normal(size=(hidden, hidden + 2)) for k in "figo"}
    p |= {f"b_{k}": rng.normal(size=hidden) for k in "figo"}
    p |= {"W_v": rng.normal(size=(2, hidden)), "b_v": np.zeros(2)}
    return Published(
        cost,
        lambda *a: backward(*a, carried=False),
        backward,
        (p, rng.normal(size=(3, 2)), np.eye(2)[[0, 1, 1]]),
        {
            f"{kind}_{gate}": "carried back from step to step is left out; so at each of the 2 uses"
            for kind in "Wb"
            for gate in "figo"
        },
    )


@case
def normalised_weights_of_a_classifier(rng):
    """GitHub, "About the gradient on W": W is normalised, but ∂C/∂(W/|W|) is taken for ∂C/∂W.

    https://github.com/wy1iu/sphereface/issues/24
    """

    def cost(W, X, labels):
        scores = X @ (W / np.linalg.norm(W, axis=0))
        scores = scores - scores.max(axis=1, keepdims=True)
        logp = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return -logp[np.arange(len(X)), labels].mean()

    def by_direction(W, X, labels):
        p = softmax(X @ (W / np.linalg.norm(W, axis=0)))
        p[np.arange(len(X)), labels] -= 1
        return X.T @ p / len(X)

    def right(W, X, labels):
        norm = np.linalg.norm(W, axis=0)
        direction, G = W / norm, by_direction(W, X, labels)
        return (G - direction * (direction * G).sum(axis=0)) / norm

    return Published(
        cost,
        by_direction,
        right,
        (rng.normal(size=(4, 3)), rng.normal(size=(6, 4)), np.array([0, 2, 1, 1, 0, 2])),
        {"W": "the derivative of W / sqrt(sum(W²)) by W was left out"},
    )


@case
def log_softmax_with_weights_of_classes(rng):
    """GitHub, "error in backward function in log softmax": exp(output) + gy, for gy − exp Σ gy.

    https://github.com/mlpack/mlpack/issues/2360
    """

    def log_softmax(z):
        m = z.max(axis=1, keepdims=True)
        return z - m - np.log(np.sum(np.exp(z - m), axis=1, keepdims=True))

    def cost(z, gy):
        return np.sum(gy * log_softmax(z))

    def wrong(z, gy):
        return np.exp(log_softmax(z)) + gy

    def right(z, gy):
        return gy - np.exp(log_softmax(z)) * gy.sum(axis=1, keepdims=True)

    return Published(
        cost, wrong, right, (rng.normal(size=(4, 3)), rng.normal(size=(4, 3))), {"z": NONE}
    )


@case
def average_pooling_over_the_edge(rng):
    """GitHub, "avg_pool2d_backward divisor disagrees with forward": the last window is smaller.

    https://github.com/tracel-ai/burn/issues/5604
    """
    k = 2

    def windows(x):
        return [slice(i, min(i + k, len(x))) for i in range(0, len(x), k)]

    def cost(x, target):
        pooled = np.array([x[w].sum() / (w.stop - w.start) for w in windows(x)])
        return 0.5 * np.sum((pooled - target) ** 2)

    def backward(x, target, clipped=True):
        dx = np.zeros_like(x)
        for n, w in enumerate(windows(x)):
            size = w.stop - w.start
            dx[w] += (x[w].sum() / size - target[n]) / (size if clipped else k)
        return dx

    return Published(
        cost,
        lambda x, target: backward(x, target, clipped=False),
        backward,
        (rng.normal(size=5), rng.normal(size=3)),
        {"x": "what sum(x[4:5]) / 1 receives … is halved: a factor 2 is missing"},
    )


@case
def convolution_written_to_the_wrong_depth(rng):
    """GitHub, "Bug in bprop?": the share of the input at depth d is added at depth m of the output.

    https://github.com/NervanaSystems/neon/issues/111
    """

    def cost(image, kernel, target):
        out = np.zeros_like(target)
        for m in range(target.shape[0]):
            for w in range(target.shape[1]):
                patch = image[m : m + kernel.shape[0], w : w + kernel.shape[1]]
                out[m, w] = np.sum(patch * kernel)
        return 0.5 * np.sum((out - target) ** 2)

    def backward(image, kernel, target, shifted=True):
        grad = np.zeros_like(image)
        for m in range(target.shape[0]):
            for w in range(target.shape[1]):
                patch = image[m : m + kernel.shape[0], w : w + kernel.shape[1]]
                error = np.sum(patch * kernel) - target[m, w]
                for t in range(kernel.shape[0]):
                    d = m + t if shifted else m
                    grad[d, w : w + kernel.shape[1]] += error * kernel[t]
        return grad

    return Published(
        cost,
        lambda *a: backward(*a, shifted=False),
        backward,
        (rng.normal(size=(4, 3)), rng.normal(size=(2, 2)), rng.normal(size=(3, 2))),
        {"image": NONE},
    )


# --- regression and classification ---


@case
def logistic_regression_without_x(rng):
    """GitHub, "1. logistic_regression_v1.ipynb": the factor xⱼ is missing in (1/m) Σ (h − y) xⱼ.

    https://github.com/fengdu78/Coursera-ML-AndrewNg-Notes/issues/82
    """

    def cost(theta, X, y, learning_rate):
        h = sigmoid(X @ theta)
        first = np.mean(-y * np.log(h) - (1 - y) * np.log(1 - h))
        return first + learning_rate / (2 * len(X)) * np.power(theta[1:], 2).sum()

    def gradient(theta, X, y, learning_rate, with_x=True):
        error, grad = sigmoid(X @ theta) - y, np.zeros_like(theta)
        for j in range(len(theta)):
            grad[j] = np.sum(error * X[:, j] if with_x else error) / len(X)
            if j >= 1:
                grad[j] += learning_rate / len(X) * theta[j]
        return grad

    X = np.column_stack([np.ones(8), rng.normal(size=(8, 3))])
    y = np.array([1.0, 0, 0, 1, 1, 0, 1, 1])
    return Published(
        cost,
        lambda *a: gradient(*a, with_x=False),
        gradient,
        (rng.normal(size=4), X, y, 1.0),
        {"theta": "the factor X is missing in what X @ theta hands back to theta"},
    )


@case
def modified_huber_loss(rng):
    """GitHub, "missing multiplication in `_modifiedHuberLoss`": 2 is missing where −1 ≤ d < 1.

    https://github.com/stdlib-js/stdlib/issues/13111
    """

    def cost(w, samples):
        total = 0.0
        for x, y in samples:
            d = y * np.dot(w, x)
            total = total + (-4 * d if d < -1 else (1 - d) ** 2)
        return total

    def gradient(w, samples, two=2.0):
        grad = np.zeros_like(w)
        for x, y in samples:
            d = y * np.dot(w, x)
            grad -= 4.0 * y * x if d < -1 else two * (y - d * y) * x
        return grad

    w = np.array([0.5, -1.0, 0.25])
    samples = [
        (np.array([0.3, 0.2, 0.9]), 1.0),
        (np.array([0.4, -1.1, 2.0]), -1.0),
        (np.array([-0.7, 0.6, 0.1]), -1.0),
        (np.array([0.5, 0.8, -0.4]), 1.0),
    ]
    return Published(
        cost,
        lambda w, s: gradient(w, s, two=1.0),
        gradient,
        (w, samples),
        {"w": "receives through (1 − … is halved: a factor 2 is missing; so at each of the 3 uses"},
    )


@case
def pseudo_huber_loss(rng):
    """GitHub, "Fix Huber Loss gradient scaling": e/√(e² + α²), for α e/√(e² + α²).

    https://github.com/RubixML/ML/pull/420
    """

    def cost(output, target, alpha):
        e = output - target
        return np.sum(alpha**2 * (np.sqrt(1 + (e / alpha) ** 2) - 1))

    def wrong(output, target, alpha):
        e = output - target
        return e / np.sqrt(e**2 + alpha**2)

    return Published(
        cost,
        wrong,
        lambda output, target, alpha: alpha * wrong(output, target, alpha),
        (rng.normal(size=5), rng.normal(size=5), 0.9),
        {"output": "alpha stands in the place of alpha^2"},
    )


@case
def overdispersed_counts(rng):
    """GitHub, "NegativeBinomialP transparams in score looks wrong": log α is taken for α.

    https://github.com/statsmodels/statsmodels/issues/7522
    """

    def negloglike(params, exog, endog):
        mu, alpha = np.exp(exog @ params[:-1]), np.exp(params[-1])
        size = 1 / alpha
        prob = size / (size + mu)
        coeff = special.gammaln(size + endog) - special.gammaln(endog + 1) - special.gammaln(size)
        return -np.sum(coeff + size * np.log(prob) + endog * np.log(1 - prob))

    def score(params, exog, endog, transparams=True):
        mu, alpha = np.exp(exog @ params[:-1]), np.exp(params[-1])
        a1 = 1 / alpha
        dparams = exog.T @ ((endog - mu) / (1 + alpha * mu))
        dalpha = -(a1**2) * np.sum(
            special.digamma(endog + a1)
            - special.digamma(a1)
            + np.log(a1 / (a1 + mu))
            + 1
            - (endog + a1) / (a1 + mu)
        )
        return -np.append(dparams, dalpha * alpha if transparams else dalpha)

    exog = np.column_stack([np.ones(9), rng.normal(size=(9, 2))])
    endog = np.array([0, 3, 1, 7, 2, 0, 4, 1, 12.0])
    return Published(
        negloglike,
        lambda *a: score(*a, transparams=False),
        score,
        (np.array([0.4, 0.3, -0.2, -0.7]), exog, endog),
        {"params": "the derivative of exp(params[-1]) by params[-1] was left out"},
    )


@case
def factorisation_machine(rng):
    """GitHub, "[SYSTEMML-1437] Factorization Machines": the term V ∘ X² of ∂y/∂V is left out.

    https://github.com/apache/systemds/pull/696
    """

    def predict(w0, w, V, X):
        pairs = np.square(X @ V) - np.square(X) @ np.square(V)
        return w0 + X @ w + 0.5 * pairs.sum(axis=1)

    def cost(w0, w, V, X, y):
        return 0.5 * np.mean((predict(w0, w, V, X) - y) ** 2)

    def gradient(w0, w, V, X, y, second=1.0):
        d = (predict(w0, w, V, X) - y) / len(X)
        dV = X.T @ (d[:, None] * (X @ V)) - second * V * (np.square(X).T @ d)[:, None]
        return d.sum(), X.T @ d, dV

    return Published(
        cost,
        lambda *a: gradient(*a, second=0.0),
        gradient,
        (
            0.3,
            rng.normal(size=4),
            rng.normal(size=(4, 2)),
            rng.normal(size=(7, 4)),
            rng.normal(size=7),
        ),
        {"V": "what X² @ V² receives through (X @ V)² − (X² @ V²) is missing"},
    )


# --- embeddings and rankings ---


@case
def negative_samples_drawn_twice(rng):
    """GitHub, "Is it wrong at line 147 of word2vec.py": `+=` at repeated indices counts once.

    https://github.com/ZacBi/CS224n-2019-solutions/issues/5
    """

    def cost(center, outside, index, negatives):
        loss = -np.log(sigmoid(outside[index] @ center))
        for k in negatives:
            loss = loss - np.log(sigmoid(-outside[k] @ center))
        return loss

    def gradient(center, outside, index, negatives, add=np.add.at):
        z = sigmoid(-outside[negatives] @ center)
        dcenter = (sigmoid(outside[index] @ center) - 1) * outside[index]
        dcenter = dcenter + (1 - z) @ outside[negatives]
        doutside = np.zeros_like(outside)
        doutside[index] += (sigmoid(outside[index] @ center) - 1) * center
        add(doutside, negatives, np.outer(1 - z, center))
        return dcenter, doutside

    def assigned(into, where, values):
        into[where] += values

    return Published(
        cost,
        lambda *a: gradient(*a, add=assigned),
        gradient,
        (rng.normal(size=3), rng.normal(size=(6, 3)), 2, np.array([0, 4, 4, 5])),
        {"outside": "what −outside[4] receives through −outside[4] @ center is missing"},
    )


@case
def matrix_factorisation_with_the_new_user(rng):
    """GitHub, "Fix SGD": the step of q is taken with the p that has moved already.

    https://github.com/albertauyeung/matrix-factorization-in-python/pull/3
    """
    alpha, beta = 0.1, 0.02

    def cost(p, q, r):
        return 0.5 * (r - p.dot(q)) ** 2 + 0.5 * beta * (p.dot(p) + q.dot(q))

    def step(p, q, r, kept=False):
        e, old = r - p.dot(q), p
        dp = -(e * q - beta * p)
        p = p - alpha * dp
        dq = -(e * (old if kept else p) - beta * q)
        return dp, dq

    return Published(
        cost,
        step,
        lambda *a: step(*a, kept=True),
        (rng.normal(size=4), rng.normal(size=4), 3.5),
        {"q": "the way back reads the updated p, that is p − η ∂C/∂p with η = 0.1"},
    )


@case
def less_is_more(rng):
    """GitHub, "About derivative of F with respect to Vj in CLiMF": Uᵢ is missing in one term.

    https://github.com/daviddwlee84/MachineLearningPractice/issues/1
    """
    lam = 0.05

    def objective(params):
        U, V = params["U"], params["V"]
        f = V @ U
        F = 0
        for j in range(len(V)):
            F = F + np.log(sigmoid(f[j]))
            for k in range(len(V)):
                F = F + np.log(1 - sigmoid(f[k] - f[j]))
        return F - lam / 2 * (np.sum(U * U) + np.sum(V * V))

    def gradients(params, with_U=True):
        U, V = params["U"], params["V"]
        f = V @ U
        dU, dV = -lam * U, -lam * V
        for j in range(len(V)):
            dU = dU + sigmoid(-f[j]) * V[j]
            dV[j] += sigmoid(-f[j]) * (U if with_U else 1)
            for k in range(len(V)):
                pull = sigmoid(f[k] - f[j])
                dU = dU + pull * (V[j] - V[k])
                dV[j] += pull * U
                dV[k] -= pull * U
        return {"U": dU, "V": dV}

    return Published(
        objective,
        lambda params: gradients(params, with_U=False),
        gradients,
        ({"U": rng.normal(size=2), "V": rng.normal(size=(3, 2))},),
        {"V": NONE},
    )


@case
def triplets(rng):
    """GitHub, "Issue in gradient formulation": −a is proposed for the positive, for p − a.

    https://github.com/luhaofang/tripletloss/issues/41
    """

    def cost(anchor, positive, negative, margin):
        loss = 0
        for a, p, n in zip(anchor, positive, negative, strict=True):
            loss += np.maximum(np.sum((a - p) ** 2) - np.sum((a - n) ** 2) + margin, 0)
        return loss / (2 * len(anchor))

    def gradient(anchor, positive, negative, margin, itself=1):
        grads = [np.zeros_like(anchor) for _ in range(3)]
        for i in range(len(anchor)):
            a, p, n = anchor[i], positive[i], negative[i]
            if np.sum((a - p) ** 2) - np.sum((a - n) ** 2) + margin > 0:
                grads[0][i] = (n - p) / len(anchor)
                grads[1][i] = (itself * p - a) / len(anchor)
                grads[2][i] = (a - itself * n) / len(anchor)
        return grads

    draws = [rng.normal(size=(5, 3)) for _ in range(3)]
    return Published(
        cost,
        lambda *a: gradient(*a, itself=0),
        gradient,
        (*draws, 0.5),
        {
            "positive": "a term 0.2 × positive is missing",
            "negative": "a term 0.2 × negative is too many",
        },
    )


@case
def overlap_of_masks(rng):
    """GitHub, "error about backward in dice_loss.py": (u/v)′ = (u′v + uv′)/v², with a plus.

    https://github.com/milesial/Pytorch-UNet/issues/35
    """
    eps = 1e-4

    def cost(pred, target):
        inter = np.dot(pred, target)
        union = np.sum(pred) + np.sum(target) + eps
        return 2 * inter / union

    def gradient(pred, target, sign=-1):
        inter = np.dot(pred, target)
        union = np.sum(pred) + np.sum(target) + eps
        return 2 * (target * union + sign * inter) / (union * union)

    return Published(
        cost,
        lambda pred, target: gradient(pred, target, sign=1),
        gradient,
        (rng.random(8), (rng.random(8) > 0.5).astype(float)),
        {"pred": "what (sum(pred) + sum(target)) + 0.0001 receives … has the wrong sign"},
    )


# --- Gaussian processes and densities ---


@case
def gaussian_process_with_a_dot_product(rng):
    """GitHub, "Is the gradient wrong in … DotProduct?": 2σ₀² is the derivative by log σ₀.

    https://github.com/scikit-learn/scikit-learn/issues/18702
    """

    def log_marginal_likelihood(sigma_0, X, y):
        K = np.inner(X, X) + sigma_0**2 + 0.1 * np.eye(len(X))
        alpha = np.linalg.solve(K, y)
        _, logdet = np.linalg.slogdet(K)
        return -0.5 * y.dot(alpha) - 0.5 * logdet - len(X) / 2 * np.log(2 * np.pi)

    def gradient(sigma_0, X, y, K_gradient=lambda s: 2 * s):
        K = np.inner(X, X) + sigma_0**2 + 0.1 * np.eye(len(X))
        alpha = np.linalg.solve(K, y)
        inner = np.outer(alpha, alpha) - np.linalg.inv(K)
        return 0.5 * np.einsum("ij,ji->", inner, np.full_like(K, K_gradient(sigma_0)))

    return Published(
        log_marginal_likelihood,
        lambda *a: gradient(*a, K_gradient=lambda s: 2 * s**2),
        gradient,
        (1.7, rng.normal(size=(6, 2)), rng.normal(size=6)),
        {"sigma_0": "the exponent is not lowered … the derivative by log sigma_0"},
    )


@case
def gaussian_process_with_a_mean(rng):
    """GitHub, "Sign of derivative of log likelihood with respect to mean parameters …".

    https://github.com/STOR-i/GaussianProcesses.jl/issues/26
    """

    def covariance(params, x):
        ell, sf = np.exp(params[2]), np.exp(params[3])
        r2 = (x[:, None] - x[None, :]) ** 2
        return sf**2 * np.exp(-0.5 * r2 / ell**2), r2 / ell**2

    def mll(params, x, y):
        K = covariance(params, x)[0] + np.exp(2 * params[0]) * np.eye(len(x))
        r = y - params[1]
        L = np.linalg.cholesky(K)
        return -0.5 * r @ np.linalg.solve(K, r) - np.sum(np.log(np.diag(L)))

    def dmll(params, x, y, mean_sign=1):
        Kf, r2 = covariance(params, x)
        K = Kf + np.exp(2 * params[0]) * np.eye(len(x))
        alpha, Kinv = np.linalg.solve(K, y - params[1]), np.linalg.inv(K)
        inner = np.outer(alpha, alpha) - Kinv
        return np.array(
            [
                np.exp(2 * params[0]) * np.trace(inner),
                mean_sign * np.sum(alpha),
                0.5 * np.sum(inner * Kf * r2),
                np.sum(inner * Kf),
            ]
        )

    x = np.sort(2 * np.pi * rng.random(7))
    return Published(
        mll,
        lambda *a: dmll(*a, mean_sign=-1),
        dmll,
        (np.array([-1.0, 0.3, 0.2, -0.1]), x, 0.2 + np.sin(x)),
        {"params": "the minus sign of y − params[1] is lost"},
    )


@case
def normal_density_by_its_covariance(rng):
    """GitHub, "Sign flipped in stats.multivariate_normal": ∂ log p/∂Σ has the wrong sign.

    https://github.com/HIPS/autograd/issues/401
    """

    def logpdf(cov, x, mean):
        d = x - mean
        _, logdet = np.linalg.slogdet(cov)
        return -0.5 * (len(d) * np.log(2 * np.pi) + logdet + d @ np.linalg.inv(cov) @ d)

    def gradient(cov, x, mean, sign=-1):
        solved = np.linalg.solve(cov, x - mean)
        return sign * 0.5 * (np.linalg.inv(cov) - np.outer(solved, solved))

    A = rng.normal(size=(3, 3))
    return Published(
        logpdf,
        lambda *a: gradient(*a, sign=1),
        gradient,
        (A @ A.T + np.eye(3), rng.normal(size=3), rng.normal(size=3)),
        {"cov": "the sign is wrong"},
    )


# --- mechanics ---


@case
def spring_between_centres_of_mass(rng):
    """GitHub, "fix spring/chunk applies a constant-magnitude force …": K d/|d|, for K d.

    https://github.com/lammps/lammps/issues/5119
    """
    K = 2.0

    def energy(x, masses, anchor):
        centre = (masses[:, None] * x).sum(axis=0) / masses.sum()
        r = np.sqrt(np.sum((centre - anchor) ** 2))
        return 0.5 * K * r**2

    def gradient(x, masses, anchor, unit=False):
        d = (masses[:, None] * x).sum(axis=0) / masses.sum() - anchor
        r = np.sqrt(np.sum(d**2))
        return np.outer(masses / masses.sum(), K * d / r if unit else K * d)

    return Published(
        energy,
        lambda *a: gradient(*a, unit=True),
        gradient,
        (rng.normal(size=(4, 3)), rng.uniform(1, 3, 4), rng.normal(size=3)),
        {"x": "the derivative of sqrt(sum(…^2))^2 … the exponent is lowered twice"},
    )


@pytest.mark.parametrize("name", CASES)
def test_the_right_derivative_agrees_and_the_published_one_is_refused_and_named(name):
    published = CASES[name](np.random.default_rng(1))
    right = sg.check_gradient(published.cost, published.right, *published.arguments)
    assert right.ok
    report = sg.check_gradient(published.cost, published.wrong, *published.arguments)
    said = {entry.name: entry.diagnosis for entry in report.entries if not entry.ok}
    assert said.keys() == published.words.keys()
    for wrong, words in published.words.items():
        assert re.search(".*".join(map(re.escape, words.split("…"))), said[wrong]), said[wrong]


def test_most_published_mistakes_are_named():
    builds = [build(np.random.default_rng(1)) for build in CASES.values()]
    assert len(builds) == 20
    assert sum(NONE not in published.words.values() for published in builds) >= 15
