"""Variational autoencoders"""

import numpy as np

import scratchgen as sg
from equations.table import agree, apart, at_most, equation
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.distributions import Gaussian
from scratchgen.models import VAE

# A VAE whose evidence is known: p(h) = N(0, 1), p(x|h) = N(w h + c, s²) with two entries of x.
w, c, s2 = np.array([1.2, -0.7]), np.array([0.3, 0.1]), 0.5
x = np.array([[1.0, -0.4]])

# p(h|x) = N(m, v) is Gaussian, too. The encoder q(h|x) = N(μ, σ²) is not the posterior.
v = 1 / (1 + w @ w / s2)
m = v * (x[0] - c) @ w / s2
mu, sigma = m + 0.3, np.sqrt(1.5 * v)


def linear(n_in, weight, bias):
    layer = nn.Linear(n_in, len(bias), rng=sg.generator(0)).astype(np.float64)
    layer.load_state_dict({"weight": weight, "bias": np.array(bias)})
    return layer


encoder = linear(2, np.zeros((2, 2)), [mu, np.log(sigma**2)])
decoder = linear(1, np.append(w, [0.0, 0.0])[:, None], [*c, np.log(s2), np.log(s2)])
vae = VAE(encoder, decoder, 1, "gaussian").frozen()

# E_q is a sum over nodes ε of Gauss and Hermite, h = μ + σ ε: exact for polynomials in h.
nodes, weights = np.polynomial.hermite_e.hermegauss(40)
weights, eps = weights / weights.sum(), nodes[:, None]
xs = np.repeat(x, len(eps), axis=0)
h = mu + sigma * eps


def log_normal(x, mean, variance):
    """The logarithm of N(x; mean, variance), summed over the entries."""
    return np.sum(-((x - mean) ** 2) / variance - np.log(2 * np.pi * variance), axis=-1) / 2


log_prior, log_q = log_normal(h, 0.0, 1.0), log_normal(h, mu, sigma**2)
log_posterior = log_normal(h, m, v)
log_joint = -vae.nll(xs, h) + log_prior  # log p(x, h)
log_evidence = -0.5 * (
    (x[0] - c) @ np.linalg.solve(np.outer(w, w) + s2 * np.eye(2), x[0] - c)
    + np.linalg.slogdet(2 * np.pi * (np.outer(w, w) + s2 * np.eye(2)))[1]
)
elbo = weights @ vae.elbo(xs, eps)
kl_to_posterior = Gaussian(np.array([[mu]]), 2 * np.log(sigma)).kl(
    Gaussian(np.array([[m]]), np.log(v))
)[0]


@equation(
    r"p(\x) = \int p(\x, \h) d\h",
    "A1 A2 A3: Reminder on VAEs",
    "C: VAEs",
    code="models.vae:VAE.log_likelihood",
    line="return ops.logsumexp(log_weights, axis=0) - math.log(n_samples)",
    test="models/test_vae.py::test_the_importance_weights_are_the_evidence_where_the_encoder"
    "_is_the_posterior",
)
def VAE1():
    grid = np.linspace(-9, 9, 2001)[:, None]
    joint = np.exp(-vae.nll(np.repeat(x, len(grid), axis=0), grid) + log_normal(grid, 0.0, 1.0))
    agree(np.log(np.trapezoid(joint, grid[:, 0])), log_evidence)


@equation(
    r"p(\x) = \frac{p(\x, \h)}{p(\h|\x)}",
    "A1 A2 A3: Reminder on VAEs",
    "C: VAEs",
    code="models.vae:VAE.log_weight",
    line="return prior_over_posterior - self.nll(x, h, rng)",
    test="models/test_vae.py::test_the_importance_weights_are_the_evidence_where_the_encoder"
    "_is_the_posterior",
)
def VAE2():
    # The same number for every h.
    agree(log_joint - log_posterior, np.full(len(h), log_evidence))


@equation(
    r"\E_{q_{\phi}(\h|\x)}\left[\log \frac{p(\x, \h)}{q_{\phi}(\h|\x)}\right]",
    "A1 A2: ELBO equations",
    code="models.vae:VAE.log_weight",
    line="return prior_over_posterior - self.nll(x, h, rng)",
    test="models/test_vae.py::test_the_elbo_with_random_noise_has_that_mean",
)
def VAE3():
    log_weight = vae.log_weight(xs, *vae.encode(xs), eps)
    agree(weights @ log_weight, weights @ (log_joint - log_q))


@equation(
    r"\log p(\x) \geq \E_{q_{\phi}(\h|\x)}\left[\log \frac{p(\x, \h)}{q_{\phi}(\h|\x)}\right]",
    "A1 A2: ELBO equations",
    code="models.vae:VAE.elbo",
    line="return -nll - kl",
    test="models/test_vae.py::test_the_elbo_falls_short_of_the_evidence_by_the_kl_to_the_posterior",
)
def VAE4():
    at_most(elbo, log_evidence)


@equation(
    r"\log p(\x) = \log p(\x) \int q_{\phi}(\h|\x) d\h",
    "A1 A2: The derivation from last week",
    "C: ELBO",
    code="models.vae:",
    line="From log p(x) = E_q[log p(x, h) − log q(h|x)]",
    test="models/test_vae.py::test_the_importance_weights_are_the_evidence_where_the_encoder"
    "_is_the_posterior",
)
def VAE5():
    # q integrates to 1: here on a grid.
    grid = np.linspace(mu - 9 * sigma, mu + 9 * sigma, 2001)[:, None]
    total = np.trapezoid(np.exp(log_normal(grid, mu, sigma**2)), grid[:, 0])
    agree(log_evidence * total, log_evidence)


@equation(
    r"= \int q_{\phi}(\h|\x) (\log p(\x)) d\h",
    "A1 A2: The derivation from last week",
    "C: ELBO",
    code="models.vae:",
    line="From log p(x) = E_q[log p(x, h) − log q(h|x)]",
    test="models/test_vae.py::test_the_importance_weights_are_the_evidence_where_the_encoder"
    "_is_the_posterior",
)
def VAE6():
    grid = np.linspace(mu - 9 * sigma, mu + 9 * sigma, 2001)[:, None]
    integrand = np.exp(log_normal(grid, mu, sigma**2)) * log_evidence
    agree(np.trapezoid(integrand, grid[:, 0]), log_evidence)


@equation(
    r"= \E_{q_{\phi}(\h|\x)}\left[\log p(\x)\right]",
    "A1 A2: The derivation from last week",
    "C: ELBO",
    code="models.vae:VAE.log_likelihood",
    line="return ops.logsumexp(log_weights, axis=0) - math.log(n_samples)",
    test="models/test_vae.py::test_the_importance_weights_are_the_evidence_where_the_encoder"
    "_is_the_posterior",
)
def VAE7():
    # With the posterior for the encoder, each draw of the library is the evidence.
    posterior = linear(2, np.zeros((2, 2)), [m, np.log(v)])
    exact = VAE(posterior, decoder, 1, "gaussian").frozen()
    draws = exact.log_likelihood(np.repeat(x, 5, axis=0), 1, sg.generator(0))
    agree(draws, np.full(5, log_evidence))


@equation(
    r"= \E_{q_{\phi}(\h|\x)}\left[\log \frac{p(\x, \h)}{p(\h|\x)}\right]",
    "A1 A2: The derivation from last week",
    "C: ELBO",
    code="models.vae:",
    line="From log p(x) = E_q[log p(x, h) − log q(h|x)]",
    test="models/test_vae.py::test_the_elbo_falls_short_of_the_evidence_by_the_kl_to_the_posterior",
)
def VAE8():
    agree(weights @ (log_joint - log_posterior), log_evidence)


@equation(
    r"= \E_{q_{\phi}(\h|\x)}\left[\log \frac{p(\x, \h) q_{\phi}(\h|\x)}{p(\h|\x)"
    r" q_{\phi}(\h|\x)}\right]",
    "A1 A2: The derivation from last week",
    "C: ELBO",
    code="models.vae:",
    line="From log p(x) = E_q[log p(x, h) − log q(h|x)]",
    test="models/test_vae.py::test_the_elbo_falls_short_of_the_evidence_by_the_kl_to_the_posterior",
)
def VAE9():
    agree(weights @ (log_joint + log_q - log_posterior - log_q), log_evidence)


@equation(
    r"= \E_{q_{\phi}(\h|\x)}\left[\log \frac{p(\x, \h)}{q_{\phi}(\h|\x)}\right] +"
    r" \E_{q_{\phi}(\h|\x)}\left[\log \frac{q_{\phi}(\h|\x)}{p(\h|\x)}\right]",
    "A1 A2: The derivation from last week",
    "C: ELBO",
    code="models.vae:",
    line="+ D_KL(q(h|x) ‖ p(h|x)), and D_KL ≥ 0",
    test="models/test_vae.py::test_the_elbo_falls_short_of_the_evidence_by_the_kl_to_the_posterior",
)
def VAE10():
    agree(weights @ (log_joint - log_q) + weights @ (log_q - log_posterior), log_evidence)


@equation(
    r"= \E_{q_{\phi}(\h|\x)}\left[\log \frac{p(\x, \h)}{q_{\phi}(\h|\x)}\right] +"
    r" D_{KL}(q_{\phi}(\h|\x) || p(\h|\x))",
    "A1 A2: The derivation from last week",
    "C: ELBO",
    code="models.vae:",
    line="+ D_KL(q(h|x) ‖ p(h|x)), and D_KL ≥ 0",
    test="models/test_vae.py::test_the_elbo_falls_short_of_the_evidence_by_the_kl_to_the_posterior",
)
def VAE11():
    agree(elbo + kl_to_posterior, log_evidence)


@equation(
    r"\geq \E_{q_{\phi}(\h|\x)}\left[\log \frac{p(\x, \h)}{q_{\phi}(\h|\x)}\right]",
    "A1 A2: The derivation from last week",
    "C: ELBO",
    code="models.vae:VAE.elbo",
    line="return -nll - kl",
    test="models/test_vae.py::test_the_elbo_falls_short_of_the_evidence_by_the_kl_to_the_posterior",
)
def VAE12():
    agree(log_evidence - elbo, kl_to_posterior)
    at_most(elbo, log_evidence)


@equation(
    r"\E_{q_{\phi}(\h|\x)}\left[\log \frac{p(\x, \h)}{q_{\phi}(\h|\x)}\right] ="
    r" \E_{q_{\phi}(\h|\x)}\left[\log \frac{p_\theta(\x|\h) p(\h)}{q_{\phi}(\h|\x)}\right]",
    "A1 A2 C: Dissecting the equations",
    code="models.vae:VAE.log_weight",
    line="log p(h) − log q(h|x), in which both log 2π cancel",
    test="models/test_vae.py::test_the_importance_weighted_cost_is_the_bound_of_the_same_noise",
)
def VAE13():
    log_decoder = log_normal(xs, h * w + c, s2)
    agree(elbo, weights @ (log_decoder + log_prior - log_q))


@equation(
    r"= \E_{q_{\phi}(\h|\x)}\left[\log p_\theta(\x|\h)\right] + \E_{q_{\phi}(\h|\x)}\left[\log"
    r" \frac{p(\h)}{q_{\phi}(\h|\x)}\right]",
    "A1 A2 C: Dissecting the equations",
    code="models.vae:VAE.log_weight",
    line="prior_over_posterior = 0.5 *",
    test="models/test_vae.py::test_the_importance_weighted_cost_is_the_bound_of_the_same_noise",
)
def VAE14():
    log_decoder = log_normal(xs, h * w + c, s2)
    agree(elbo, weights @ log_decoder + weights @ (log_prior - log_q))


@equation(
    r"= \underbrace{\E_{q_{\phi}(\h|\x)}\left[\log p_\theta(\x|\h)\right]}_{\text{reconstruction"
    r" term}} - \underbrace{D_{KL}(q_{\phi}(\h|\x) || p(\h))}_{\text{prior matching term}}",
    "A1 A2 C: Dissecting the equations",
    code="models.vae:VAE.elbo_terms",
    line="return nll / len(samples), ops.gaussian_kl(mu, log_var)",
    test="models/test_vae.py::test_the_bound_is_minus_its_two_terms_one_number_per_image",
)
def VAE15():
    nll, kl = vae.elbo_terms(xs, eps)
    agree(elbo, -weights @ nll - kl[0])
    agree(kl[0], weights @ (log_q - log_prior))


@equation(
    r"q_{\phi}(\h|\x) = N(\h; \boldsymbol{\mu}_{\phi}(\x), \boldsymbol{\sigma}_{\phi}^2(\x)"
    r" \mathbf{I})",
    "A1 A2 C: Defining feature of VAEs",
    code="models.vae:VAE.encode",
    line="return q.mu, q.log_var",
    test="models/test_vae.py::test_the_reparameterised_latent_has_mean_mu_and_standard"
    "_deviation_sigma",
)
def VAE16():
    agree(np.ravel(vae.encode(x)), [mu, np.log(sigma**2)])


@equation(
    r"p(\h) = N(\h; \mathbf{0}, \mathbf{I})",
    "A1 A2 C: Defining feature of VAEs",
    code="operations.costs:gaussian_kl",
    line="C = D_KL(N(μ, σ²) ‖ N(0, 1))",
    test="models/test_vae.py::test_gaussian_kl_is_zero_for_the_prior_alone",
)
def VAE17():
    agree(-Gaussian(np.zeros((len(h), 1))).nll(h), log_prior)
    agree(ops.gaussian_kl(np.zeros((1, 1)), np.zeros((1, 1))), 0)


@equation(
    r"\operatorname{argmax}_{\phi, \theta} \E_{q_{\phi}(\h|\x)}\left[\log p_\theta(\x|\h)\right]"
    r" - D_{KL}(q_{\phi}(\h|\x) || p(\h)) \approx \operatorname{argmax}_{\phi, \theta}"
    r" \sum_{l=1}^{L} \log p_\theta(\x|\h^{(l)}) - D_{KL}(q_{\phi}(\h|\x) || p(\h))",
    "A1 A2 C: Analytical evaluation",
    code="models.vae:VAE.elbo_terms",
    line="return nll / len(samples), ops.gaussian_kl(mu, log_var)",
    test="models/test_vae.py::test_the_bound_of_L_samples_is_the_mean_of_those_of_one",
    erratum="E8",
    correct=r"\operatorname{argmax}_{\phi, \theta} \E_{q_{\phi}(\h|\x)}\left[\log"
    r" p_\theta(\x|\h)\right] - D_{KL}(q_{\phi}(\h|\x) || p(\h)) \approx"
    r" \operatorname{argmax}_{\phi, \theta} \frac{1}{L} \sum_{l=1}^{L} \log"
    r" p_\theta(\x|\h^{(l)}) - D_{KL}(q_{\phi}(\h|\x) || p(\h))",
)
def VAE18():
    # L = 4 latents with moments of N(0, 1) make the estimate exact, as log p(x|h) is quadratic.
    draws = np.array([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1)
    nll = np.array([vae.nll(x, mu + sigma * e)[0] for e in draws])
    kl = ops.gaussian_kl(*vae.encode(x))[0]
    apart(-nll.sum() - kl, elbo)
    agree(-nll.mean() - kl, elbo)
    agree(vae.elbo(x, draws)[0], elbo)


@equation(
    r"x = \mu + \sigma\epsilon \quad \text{with } \epsilon \sim N(\epsilon; 0, I)",
    "A1 A2 C: Actual implementation",
    code="distributions:Gaussian.draw",
    line="return self.mu + _exp(0.5 * self.log_var) * noise",
    test="models/test_vae.py::test_the_reparameterised_latent_has_mean_mu_and_standard"
    "_deviation_sigma",
)
def VAE19():
    draws = Gaussian(np.full((len(eps), 1), mu), 2 * np.log(sigma)).draw(noise=eps)
    agree(draws, mu + sigma * eps)
    agree([weights @ draws[:, 0], weights @ (draws[:, 0] - mu) ** 2], [mu, sigma**2])


@equation(
    r"\h = \boldsymbol{\mu}_\phi(\x) + \boldsymbol{\sigma}_\phi(\x) \odot \boldsymbol{\epsilon}"
    r" \quad \text{with } \boldsymbol{\epsilon} \sim N(\boldsymbol{\epsilon}; \mathbf{0},"
    r" \mathbf{I})",
    "A1 A2 C: Deterministic function",
    code="models.vae:VAE.reparameterize",
    line="return Gaussian(mu, log_var).draw(noise=eps)",
    test="models/test_vae.py::test_the_gradient_flows_through_the_latent_to_mu_and_sigma",
)
def VAE20():
    agree(vae.reparameterize(*vae.encode(xs), eps), h)
    # The gradient flows through h: ∂h/∂μ = 1 and ∂h/∂(log σ²) = ½ σ ε.
    slopes = sg.grad(lambda mu, log_var: vae.reparameterize(mu, log_var, eps).sum(), argnum=(0, 1))
    by_mu, by_log_var = slopes(np.full_like(eps, mu), np.full_like(eps, 2 * np.log(sigma)))
    agree(by_mu, np.ones_like(eps))
    agree(by_log_var, sigma * eps / 2)
