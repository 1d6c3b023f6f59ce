"""Hierarchical variational autoencoders"""

import numpy as np

import scratchgen as sg
from equations.table import agree, apart, at_most, equation
from scratchgen import nn
from scratchgen.models import HierarchicalVAE

# T = 2 layers of one latent: p(h₂) = N(0, 1), p(h₁|h₂) = N(a h₂ + b, r²) and
# p(x|h₁) = N(w h₁ + c, s²), with q(h₁|x) = N(μ₁, v₁) and q(h₂|h₁) = N(k h₁ + e, v₂).
a, b, r2 = 0.8, 0.2, 0.6
w, c, s2 = np.array([1.2, -0.7]), np.array([0.3, 0.1]), 0.5
mu1, v1, k, e, v2 = 0.4, 0.3, 0.6, -0.1, 0.6
x = np.array([[1.0, -0.4]])


def linear(n_in, weight, bias):
    layer = nn.Linear(n_in, len(bias), rng=sg.generator(0)).astype(np.float64)
    layer.load_state_dict({"weight": np.array(weight), "bias": np.array(bias)})
    return layer


encoders = [
    linear(2, np.zeros((2, 2)), [mu1, np.log(v1)]),
    linear(1, [[k], [0.0]], [e, np.log(v2)]),
]
decoders = [
    linear(1, np.append(w, [0.0, 0.0])[:, None], [*c, np.log(s2), np.log(s2)]),
    linear(1, [[a], [0.0]], [b, np.log(r2)]),
]
model = HierarchicalVAE(encoders, decoders, [1, 1], "gaussian").frozen()

# E_q over paths is a sum over nodes of Gauss and Hermite, in both dimensions of ε.
nodes, of_node = np.polynomial.hermite_e.hermegauss(40)
eps = np.stack([part.ravel() for part in np.meshgrid(nodes, nodes)], axis=1)
weights = np.outer(of_node, of_node).ravel() / of_node.sum() ** 2
xs = np.repeat(x, len(eps), axis=0)
path = model.latents(xs, eps)
h1, h2 = (layer.h for layer in path)
log_weight = model.log_weight(xs, eps)


def log_normal(x, mean, variance):
    """The logarithm of N(x; mean, variance), summed over the entries."""
    return np.sum(-((x - mean) ** 2) / variance - np.log(2 * np.pi * variance), axis=-1) / 2


log_q = log_normal(h1, mu1, v1) + log_normal(h2, k * h1 + e, v2)
covariance = (a**2 + r2) * np.outer(w, w) + s2 * np.eye(2)
off = x[0] - w * b - c
log_evidence = -0.5 * (
    off @ np.linalg.solve(covariance, off) + np.linalg.slogdet(2 * np.pi * covariance)[1]
)
grid, step = np.linspace(-8, 8, 321, retstep=True)


@equation(
    r"p(\x, \h_{1:T}) = p(\h_T) p_{\theta}(\x | \h_1) \prod_{t=2}^T p_{\theta}(\h_{t-1} | \h_t)",
    "B C: Mathematical representation",
    code="models.hierarchical_vae:",
    line="p(x, h₁ … h_T) = p(x|h₁) p(h₁|h₂) ⋯ p(h_{T−1}|h_T) p(h_T)",
    test="models/test_hierarchical_vae.py::test_draws_have_the_models_covariance",
)
def HV1():
    # The library's weight is log p(x, h) − log q(h|x).
    product = log_normal(h2, 0, 1) + log_normal(xs, h1 * w + c, s2) + log_normal(h1, a * h2 + b, r2)
    agree(log_weight + log_q, product)


@equation(
    r"q_\phi(\h_{1:T} | \x) = q_\phi(\h_1 | \x) \prod_{t=2}^T q_\phi(\h_t | \h_{t-1})",
    "B C: Mathematical representation",
    code="models.hierarchical_vae:",
    line="q(h₁ … h_T|x)  = q(h₁|x) q(h₂|h₁) ⋯ q(h_T|h_{T−1})",
    test="models/test_hierarchical_vae.py::test_the_elbo_is_the_evidence_where_the_encoders"
    "_are_the_posterior",
)
def HV2():
    product = log_normal(h1, mu1, v1) + log_normal(h2, k * h1 + e, v2)
    agree(-sum(layer.q.nll(layer.h) for layer in path), product)


@equation(
    r"\log p(\x) = \log \int p(\x, \h_{1:T}) d\h_{1:T}",
    "B: Back to the marginal probability",
    code="models.hierarchical_vae:HierarchicalVAE",
    line="p(x) = ∫ p(x|h₁) ∏ p(h_{t−1}|h_t) p(h_T) over all h",
    test="models/test_hierarchical_vae.py::test_every_single_log_weight_is_the_evidence_where"
    "_the_encoders_are_the_posterior",
)
def HV3():
    # On a grid of (h₁, h₂).
    g1, g2 = (part.reshape(-1, 1) for part in np.meshgrid(grid, grid))
    joint = log_normal(g2, 0, 1) + log_normal(x, g1 * w + c, s2) + log_normal(g1, a * g2 + b, r2)
    agree(np.log(np.exp(joint).sum() * step**2), log_evidence)


@equation(
    r"= \log \int \frac{p(\x, \h_{1:T}) q_\phi(\h_{1:T} | \x)}{q_\phi(\h_{1:T} | \x)} d\h_{1:T}",
    "B: Back to the marginal probability",
    code="models.hierarchical_vae:HierarchicalVAE.log_weight",
    line="log p(x, h) − log q(h|x) at one path h ~ q(h|x)",
    test="models/test_hierarchical_vae.py::test_every_single_log_weight_is_the_evidence_where"
    "_the_encoders_are_the_posterior",
)
def HV4():
    g1, g2 = (part.reshape(-1, 1) for part in np.meshgrid(grid, grid))
    joint = log_normal(g2, 0, 1) + log_normal(x, g1 * w + c, s2) + log_normal(g1, a * g2 + b, r2)
    q = log_normal(g1, mu1, v1) + log_normal(g2, k * g1 + e, v2)
    agree(np.log(np.exp(joint + q - q).sum() * step**2), log_evidence)


@equation(
    r"= \log \E_{q_\phi(\h_{1:T} | \x)}\left[\frac{p(\x, \h_{1:T})}{q_\phi(\h_{1:T} |"
    r" \x)}\right]",
    "B: Back to the marginal probability",
    code="models.hierarchical_vae:HierarchicalVAE.log_likelihood",
    line="ops.logsumexp(np.stack(log_weights), axis=0) - math.log(n_samples)",
    test="models/test_hierarchical_vae.py::test_the_importance_weighted_bound_lies_between"
    "_the_elbo_and_the_evidence",
)
def HV5():
    agree(np.log(weights @ np.exp(log_weight)), log_evidence)


@equation(
    r"\geq \E_{q_\phi(\h_{1:T} | \x)}\left[\log \frac{p(\x, \h_{1:T})}{q_\phi(\h_{1:T} |"
    r" \x)}\right]",
    "B: Back to the marginal probability",
    code="models.hierarchical_vae:",
    line="log p(x) ≥ E_q[log p(x, h) − log q(h|x)]",
    test="models/test_hierarchical_vae.py::test_the_elbo_falls_short_of_the_evidence_by_the"
    "_kl_of_each_layer",
)
def HV6():
    at_most(weights @ log_weight, log_evidence)
    agree(weights @ model.elbo(xs, eps), weights @ log_weight)


@equation(
    r"\E_{q_\phi(\h_{1:T} | \x)} \left[ \log \frac{p(\x, \h_{1:T})}{q_\phi(\h_{1:T} | \x)}"
    r" \right] = \E_{q_\phi(\h_{1:T} | \x)} \left[ \log \frac{p(\h_T) p_\theta(\x|\h_1)"
    r" \prod_{t=2}^T p_\theta(\h_t|\h_{t-1})}{q_\phi(\h_1|\x) \prod_{t=2}^T"
    r" q_\phi(\h_t|\h_{t-1})} \right]",
    "B C: Equation for the Markovian hierarchical VAE",
    code="models.hierarchical_vae:Latents.log_ratio",
    line="of_p = self.p.scaled((self.h - self.p.mu) ** 2) + self.p.log_var",
    test="models/test_hierarchical_vae.py::test_the_elbo_falls_short_of_the_evidence_by_the"
    "_kl_of_each_layer",
    erratum="E11",
    correct=r"\E_{q_\phi(\h_{1:T} | \x)} \left[ \log \frac{p(\h_T) p_\theta(\x|\h_1)"
    r" \prod_{t=2}^T p_\theta(\h_{t-1}|\h_t)}{q_\phi(\h_1|\x) \prod_{t=2}^T"
    r" q_\phi(\h_t|\h_{t-1})} \right]",
)
def HV7():
    rest = log_normal(h2, 0, 1) + log_normal(xs, h1 * w + c, s2) - log_q
    forth = log_normal(h2, a * h1 + b, r2)  # the decoder of h₁ as a density of h₂, as printed
    back = log_normal(h1, a * h2 + b, r2)
    right = weights @ model.elbo(xs, eps)
    apart(weights @ (rest + forth), right)
    agree(weights @ (rest + back), right)
