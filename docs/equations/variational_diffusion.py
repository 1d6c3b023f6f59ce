"""Variational diffusion"""

import numpy as np

from equations.table import agree, apart, at_most, equation
from scratchgen.distributions import Gaussian
from scratchgen.models import DDPM
from scratchgen.models.diffusion import bound

# T = 3 steps of one number x₀, and a network that is linear: all distributions are Gaussian. The
# library counts from 0, so that its step t leads from x_t to the x_{t+1} of the notes.
T, x0, beta = 3, 0.8, np.array([0.1, 0.3, 0.6])


def network(x, time):
    return 0.5 * x


model = DDPM(network, (1,), schedule=beta)

# E_q over paths is a sum over nodes of Gauss and Hermite in the T dimensions of the noise.
nodes, of_node = np.polynomial.hermite_e.hermegauss(24)
noise = np.stack([part.ravel() for part in np.meshgrid(*[nodes] * T)])
weights = np.prod([part.ravel() for part in np.meshgrid(*[of_node] * T)], axis=0)
weights /= weights.sum()
x = [np.full((len(weights), 1), x0)]
for t in range(T):
    x.append(bound.forward_step(model, x[t], t).draw(noise=noise[t][:, None]))

# log q(x_{t+1}|x_t) and log p(x_t|x_{t+1}), of each path.
log_q = [-bound.forward_step(model, x[t], t).nll(x[t + 1]) for t in range(T)]
log_p = [-bound.reverse_step(model, x[t + 1], t).nll(x[t]) for t in range(T)]
log_p_T = -Gaussian(np.zeros_like(x[T])).nll(x[T])
inner = [log_p[t] - log_q[t - 1] for t in range(1, T)]
# As "Continues" prints them, with x_{t−1} in the place of x_{t+1} in p(x_t|x_{t+1}).
forth = [-bound.reverse_step(model, x[t - 1], t).nll(x[t]) - log_q[t - 1] for t in range(1, T)]

# p(x_t|x_{t+1}) = N(g_t x_{t+1}, σ_t²), so that p(x₀) = N(0, V).
gain = [bound.reverse_step(model, np.ones((1, 1)), t).mu.item() for t in range(T)]
sigma = [np.exp(bound.reverse_step(model, np.ones((1, 1)), t).log_var / 2) for t in range(T)]
V = 1.0
for t in range(T - 1, -1, -1):
    V = gain[t] ** 2 * V + sigma[t] ** 2
log_evidence = -(x0**2 / V + np.log(2 * np.pi * V)) / 2

# The bound, as the library computes it from single steps, whose cost is quadratic in ε.
start = np.array([[x0]])
costs = [bound.step_cost(model, start, t, e * np.ones((1, 1))) for t in range(T) for e in (-1, 1)]
elbo = -sum(costs)[0] / 2 - model.noising.prior_kl(start)[0]


@equation(
    r"q(\x_{1:T} | \x_0) = \prod_{t=1}^T q(\x_t | \x_{t-1})",
    "B C: Variational Diffusion Models",
    code="models.diffusion.bound:forward_step",
    line="return Gaussian(math.sqrt(model.alpha[t]) * before, math.log(model.beta[t]))",
    test="models/diffusion/test_ddpm.py::test_q_sample_is_the_composition_of_the_one_step_kernels",
)
def VD1():
    # Given x₀ the path is jointly Gaussian: mean √ᾱ_t x₀, covariance √(ᾱ_t/ᾱ_s) (1 − ᾱ_s), s ≤ t.
    left = model.alpha_bar
    s, t = np.minimum.outer(range(T), range(T)), np.maximum.outer(range(T), range(T))
    covariance = np.sqrt(left[t] / left[s]) * (1 - left[s])
    off = np.stack(x[1:], axis=1)[:, :, 0] - np.sqrt(left) * x0
    quadratic = (off * np.linalg.solve(covariance, off.T).T).sum(axis=1)
    log_density = -(quadratic + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2
    agree(sum(log_q), log_density)


@equation(
    r"\boldsymbol{\mu}_t(\x_t) = \sqrt{\alpha_t} \x_{t-1}, \quad \boldsymbol{\Sigma}_t(\x_t) ="
    r" (1 - \alpha_t)\mathbf{I}",
    "B C: Parameterizing Gaussian encoder (in the text)",
    code="models.diffusion.bound:forward_step",
    line="q(x_t|x_{t−1}) = N(√α_t x_{t−1}, β_t I)",
    test="models/diffusion/test_ddpm.py::test_noising_step_by_step_and_at_once_have_the_same"
    "_moments",
)
def VD2():
    step = bound.forward_step(model, x[1], 1)
    agree(step.mu, np.sqrt(1 - beta[1]) * x[1])
    agree(np.exp(step.log_var), beta[1])


@equation(
    r"q(\x_t | \x_{t-1}) = \mathcal{N}(\x_t; \sqrt{\alpha_t} \x_{t-1}, (1 - \alpha_t)"
    r" \mathbf{I})",
    "B C: Encoder transitions",
    code="models.diffusion.noising:Steps",
    line="q(x_t|x_{t−1}) = N(√α_t x_{t−1}, β_t I) with α_t = 1 − β_t",
    test="models/diffusion/test_ddpm.py::test_q_sample_is_the_composition_of_the_one_step_kernels",
)
def VD3():
    off = x[2] - np.sqrt(1 - beta[1]) * x[1]
    density = np.exp(-(off**2) / (2 * beta[1])) / np.sqrt(2 * np.pi * beta[1])
    agree(np.exp(log_q[1]), density[:, 0])


@equation(
    r"p(\x_{0:T}) = p(\x_T) \prod_{t=1}^T p_\theta(\x_{t-1} | \x_t)",
    "B C: Third assumption",
    code="models.diffusion.bound:reverse_step",
    line="return Gaussian(model.p_sample(after, t), math.log(_variance(model, t)))",
    test="models/diffusion/test_ddpm.py::test_the_chain_back_reproduces_every_marginal_where"
    "_its_variance_is_exact",
)
def VD4():
    # x_T = z_T and x_{t−1} = g_t x_t + σ_t z: the path is A z, and jointly Gaussian.
    A = np.zeros((T + 1, T + 1))
    A[T, T] = 1
    for t in range(T - 1, -1, -1):
        A[t] = gain[t] * A[t + 1]
        A[t, t] = sigma[t]
    z = np.linalg.solve(A, np.stack(x, axis=1)[:, :, 0].T)
    log_density = (
        -(z**2).sum(axis=0) / 2 - (T + 1) / 2 * np.log(2 * np.pi) - np.log(np.diag(A)).sum()
    )
    agree(log_p_T + sum(log_p), log_density)


@equation(
    r"p(\x_T) = \mathcal{N}(\x_T; \mathbf{0}, \mathbf{I})",
    "B C: Third assumption",
    code="models.diffusion.bound:path_terms",
    line="prior = q.kl(Gaussian(0.0))",
    test="models/diffusion/test_bound.py::test_the_bound_is_exact_for_standard_normal_data"
    "_and_the_variance_beta",
)
def VD5():
    density = np.exp(-(x[T] ** 2) / 2) / np.sqrt(2 * np.pi)
    agree(np.exp(-Gaussian(np.zeros_like(x[T])).nll(x[T])), density[:, 0])


@equation(
    r"\log p(\x) = \log \int p(\x_{0:T}) d\x_{1:T}",
    "B C: Optimizing the variational diffusion model",
    code="models.diffusion.ddpm:DDPM",
    line="p(x₀) = ∫ p(x_{T−1}) ∏ p(x_{t−1}|x_t), over all x_t",
    test="models/diffusion/test_ddpm.py::test_the_chain_back_of_any_gaussian_has_the_moments"
    "_of_its_recursion",
)
def VD6():
    # The integrals one after another, on a grid: over x_T, then x_{T−1}, … x₁.
    grid, step = np.linspace(-9, 9, 361, retstep=True)
    marginal = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    for t in range(T - 1, 0, -1):
        back = bound.reverse_step(model, np.repeat(grid, len(grid))[:, None], t)
        kernel = np.exp(-back.nll(np.tile(grid, len(grid))[:, None])).reshape(len(grid), -1)
        marginal = marginal @ kernel * step
    last = np.exp(-bound.reverse_step(model, grid[:, None], 0).nll(np.full((len(grid), 1), x0)))
    agree(np.log(marginal @ last * step), log_evidence)


@equation(
    r"= \log \int \frac{p(\x_{0:T}) q(\x_{1:T} | \x_0)}{q(\x_{1:T} | \x_0)} d\x_{1:T}",
    "B C: Optimizing the variational diffusion model",
    code="models.diffusion.bound:",
    line="−log p(x₀) ≤ −ELBO",
    test="models/diffusion/test_bound.py::test_the_bound_is_exact_for_standard_normal_data"
    "_and_the_variance_beta",
)
def VD7():
    # With the nodes, an integral with the factor q is a sum over paths.
    ratio = np.exp(log_p_T + sum(log_p) - sum(log_q))
    agree(np.log(weights @ ratio), log_evidence)


@equation(
    r"= \log \E_{q(\x_{1:T} | \x_0)} \left[ \frac{p(\x_{0:T})}{q(\x_{1:T} | \x_0)} \right]",
    "B C: Optimizing the variational diffusion model",
    code="models.diffusion.bound:",
    line="−log p(x₀) ≤ −ELBO",
    test="models/diffusion/test_bound.py::test_the_bound_is_exact_for_standard_normal_data"
    "_and_the_variance_beta",
)
def VD8():
    ratio = np.exp(log_p_T + sum(log_p) - sum(log_q))
    agree(np.log(weights @ ratio), log_evidence)


@equation(
    r"\geq \E_{q(\x_{1:T} | \x_0)} \left[ \log \frac{p(\x_{0:T})}{q(\x_{1:T} | \x_0)} \right]",
    "B C: Optimizing the variational diffusion model",
    code="models.diffusion.bound:",
    line="The evidence lower bound of a denoising diffusion model",
    test="models/diffusion/test_bound.py::test_the_gap_of_gaussian_data_closes_with_more_steps",
)
def VD9():
    at_most(weights @ (log_p_T + sum(log_p) - sum(log_q)), log_evidence)
    agree(weights @ (log_p_T + sum(log_p) - sum(log_q)), elbo)


@equation(
    r"= \E_{q(\x_{1:T} | \x_0)} \left[ \log \frac{p(\x_T) \prod_{t=1}^T p_\theta(\x_{t-1} |"
    r" \x_t)}{\prod_{t=1}^T q(\x_t | \x_{t-1})} \right]",
    "B C: Optimizing the variational diffusion model",
    code="models.diffusion.bound:path_terms",
    line="down.append(reverse_step(model, x, t).nll(before))",
    test="models/diffusion/test_bound.py::test_along_a_path_the_bound_is_the_same_on_average",
)
def VD10():
    steps = sum(log_p[t] - log_q[t] for t in range(T))
    agree(weights @ (log_p_T + steps), elbo)


@equation(
    r"= \E_{q(\x_{1:T} | \x_0)} \left[ \log \frac{p(\x_T) p_\theta(\x_0 | \x_1) \prod_{t=2}^T"
    r" p_\theta(\x_{t-1} | \x_t)}{q(\x_T | \x_{T-1}) \prod_{t=1}^{T-1} q(\x_t | \x_{t-1})}"
    r" \right]",
    "B C: Optimizing the variational diffusion model",
    code="models.diffusion.bound:path_terms",
    line="return down[0], prior, sum(ratios, 0 * prior)",
    test="models/diffusion/test_bound.py::test_along_a_path_the_bound_is_the_same_on_average",
)
def VD11():
    ends = log_p_T + log_p[0] - log_q[T - 1]
    between = sum(log_p[t] for t in range(1, T)) - sum(log_q[t] for t in range(T - 1))
    agree(weights @ (ends + between), elbo)


@equation(
    r"= \E_{q(\x_{1:T} | \x_0)} \left[ \log \frac{p(\x_T) p_\theta(\x_0 | \x_1)"
    r" \prod_{t=1}^{T-1} p_\theta(\x_t | \x_{t+1})}{q(\x_T | \x_{T-1}) \prod_{t=1}^{T-1} q(\x_t"
    r" | \x_{t-1})} \right]",
    "B C: Optimizing the variational diffusion model",
    code="models.diffusion.bound:path_terms",
    line="log q(x_t|x_{t−1}) − log p(x_t|x_{t+1}), for each t but the last",
    test="models/diffusion/test_bound.py::test_along_a_path_the_bound_is_the_same_on_average",
)
def VD12():
    ends = log_p_T + log_p[0] - log_q[T - 1]
    between = sum(log_p[t] - log_q[t - 1] for t in range(1, T))
    agree(weights @ (ends + between), elbo)


@equation(
    r"\log p(\x) = \E_{q(\x_{1:T} | \x_0)} \left[ \log \frac{p(\x_T) p_\theta(\x_0|"
    r" \x_1)}{q(\x_T|\x_{T-1})} \right] + \E_{q(\x_{1:T} | \x_0)} \left[ \log \prod_{t=1}^{T-1}"
    r" \frac{p_\theta(\x_t|\x_{t-1})}{q(\x_t|\x_{t-1})} \right]",
    "B C: Continues",
    code="models.diffusion.bound:path_terms",
    line="ratios = [of_p - of_q for of_p, of_q in zip(down[1:], up, strict=False)]",
    test="models/diffusion/test_bound.py::test_along_a_path_the_bound_is_the_same_on_average",
    erratum="E11",
    correct=r"\E_{q(\x_{1:T} | \x_0)} \left[ \log \frac{p(\x_T) p_\theta(\x_0|"
    r" \x_1)}{q(\x_T|\x_{T-1})} \right] + \E_{q(\x_{1:T} | \x_0)} \left[ \log \prod_{t=1}^{T-1}"
    r" \frac{p_\theta(\x_t|\x_{t+1})}{q(\x_t|\x_{t-1})} \right]",
)
def VD13():
    # The left side is the bound, which the line before has made of log p(x).
    ends = weights @ (log_p_T + log_p[0] - log_q[T - 1])
    apart(ends + weights @ sum(forth), elbo)
    agree(ends + weights @ sum(inner), elbo)


@equation(
    r"= \E_{q(\x_{1:T} | \x_0)} [\log p_\theta(\x_0|\x_1)] + \E_{q(\x_{1:T} | \x_0)} \left[ \log"
    r" \frac{p(\x_T)}{q(\x_T|\x_{T-1})} \right] + \E_{q(\x_{1:T} | \x_0)} \left[ \log"
    r" \prod_{t=1}^{T-1} \frac{p_\theta(\x_t|\x_{t-1})}{q(\x_t|\x_{t-1})} \right]",
    "B C: Continues",
    code="models.diffusion.bound:path_terms",
    line="ratios = [of_p - of_q for of_p, of_q in zip(down[1:], up, strict=False)]",
    test="models/diffusion/test_bound.py::test_along_a_path_the_bound_is_the_same_on_average",
    erratum="E11",
    correct=r"\E_{q(\x_{1:T} | \x_0)} [\log p_\theta(\x_0|\x_1)] + \E_{q(\x_{1:T} | \x_0)}"
    r" \left[ \log \frac{p(\x_T)}{q(\x_T|\x_{T-1})} \right] + \E_{q(\x_{1:T} | \x_0)} \left["
    r" \log \prod_{t=1}^{T-1} \frac{p_\theta(\x_t|\x_{t+1})}{q(\x_t|\x_{t-1})} \right]",
)
def VD14():
    ends = weights @ log_p[0] + weights @ (log_p_T - log_q[T - 1])
    apart(ends + weights @ sum(forth), elbo)
    agree(ends + weights @ sum(inner), elbo)


@equation(
    r"= \E_{q(\x_{1:T} | \x_0)} [\log p_\theta(\x_0|\x_1)] + \E_{q(\x_{1:T} | \x_0)} \left[ \log"
    r" \frac{p(\x_T)}{q(\x_T|\x_{T-1})} \right] + \sum_{t=1}^{T-1} \E_{q(\x_{1:T} | \x_0)}"
    r" \left[ \log \frac{p_\theta(\x_t|\x_{t-1})}{q(\x_t|\x_{t-1})} \right]",
    "B C: Continues",
    code="models.diffusion.bound:path_terms",
    line="return down[0], prior, sum(ratios, 0 * prior)",
    test="models/diffusion/test_bound.py::test_along_a_path_the_bound_is_the_same_on_average",
    erratum="E11",
    correct=r"\E_{q(\x_{1:T} | \x_0)} [\log p_\theta(\x_0|\x_1)] + \E_{q(\x_{1:T} | \x_0)}"
    r" \left[ \log \frac{p(\x_T)}{q(\x_T|\x_{T-1})} \right] + \sum_{t=1}^{T-1} \E_{q(\x_{1:T} |"
    r" \x_0)} \left[ \log \frac{p_\theta(\x_t|\x_{t+1})}{q(\x_t|\x_{t-1})} \right]",
)
def VD15():
    ends = weights @ log_p[0] + weights @ (log_p_T - log_q[T - 1])
    apart(ends + sum(weights @ ratio for ratio in forth), elbo)
    agree(ends + sum(weights @ ratio for ratio in inner), elbo)


@equation(
    r"= \E_{q(\x_1|\x_0)} [\log p_\theta(\x_0|\x_1)] + \E_{q(\x_{T-1}, \x_T|\x_0)} \left[ \log"
    r" \frac{p(\x_T)}{q(\x_T|\x_{T-1})} \right] + \sum_{t=1}^{T-1} \E_{q(\x_{T-1}, \x_T|\x_0)}"
    r" \left[ \log \frac{p_\theta(\x_t|\x_{t-1})}{q(\x_t|\x_{t-1})} \right]",
    "B C: Continues",
    code="models.diffusion.bound:path_terms",
    line="x, down, up = x0, [], []",
    test="models/diffusion/test_bound.py::test_along_a_path_the_bound_is_the_same_on_average",
    erratum="E11",
    correct=r"\E_{q(\x_1|\x_0)} [\log p_\theta(\x_0|\x_1)] + \E_{q(\x_{T-1}, \x_T|\x_0)} \left["
    r" \log \frac{p(\x_T)}{q(\x_T|\x_{T-1})} \right] + \sum_{t=1}^{T-1} \E_{q(\x_{t-1}, \x_t,"
    r" \x_{t+1}|\x_0)} \left[ \log \frac{p_\theta(\x_t|\x_{t+1})}{q(\x_t|\x_{t-1})} \right]",
)
def VD16():
    # Each expectation is over the variables in it alone: for the first these are nodes of x₁.
    x1 = np.sqrt(1 - beta[0]) * x0 + np.sqrt(beta[0]) * nodes[:, None]
    first = of_node @ -bound.reverse_step(model, x1, 0).nll(np.full_like(x1, x0)) / of_node.sum()
    rest = weights @ (log_p_T - log_q[T - 1])
    apart(first + rest + sum(weights @ ratio for ratio in forth), elbo)
    agree(first + rest + sum(weights @ ratio for ratio in inner), elbo)


@equation(
    r"\E_{q(\x_1|\x_0)} [\log p_{\theta}(\x_0|\x_1)]",
    "B C: Interpretations (in the text)",
    code="models.diffusion.bound:step_cost",
    line="return float(weight) * ops.squared_error(eps, noise) + 0.5 * D * float(each)",
    test="models/diffusion/test_bound.py::test_each_term_of_gaussian_data_is_its_closed_form",
)
def VD17():
    # The cost of step 0 is quadratic in ε: its mean is that over ε = ±1.
    start = np.array([[x0]])
    cost = sum(bound.step_cost(model, start, 0, e * np.ones((1, 1)))[0] for e in (-1.0, 1.0)) / 2
    agree(-cost, weights @ log_p[0])


@equation(
    r"\E_{q(\x_{T-1}|\x_0)} [D_{KL}(q(\x_T|\x_{T-1})||p(\x_T))] \approx 0",
    "B C: Interpretations (in the text)",
    code="models.diffusion.noising:Steps.prior_kl",
    line="return 0.5 * (left * (rows * rows).sum(axis=1)",
    test="models/diffusion/test_ddpm.py::test_the_notes_schedule_leaves_19_nats_and_a"
    "_thousand_steps_next_to_none",
    erratum="E13",
    correct=r"D_{KL}(q(\x_T|\x_0)||p(\x_T)) > 0 \text{ where } \bar\alpha_T > 0",
)
def VD18():
    divergence = bound.forward_step(model, x[T - 1], T - 1).kl(Gaussian(0.0))
    agree(weights @ divergence, weights @ (log_q[T - 1] - log_p_T))
    # At the notes' T = 300, an image of 784 pixels of magnitude 1 is not forgotten, in nats:
    apart(0, DDPM(network, (784,), 300).noising.prior_kl(np.ones((1, 784))))


@equation(
    r"\E_{q(\x_{t-1}, \x_{t+1} | \x_0)} [D_{KL}(q(\x_t | \x_{t-1}) || p_\theta(\x_t |"
    r" \x_{t+1}))]",
    "B C: The last term (in the text)",
    code="models.diffusion.bound:",
    line="notes print a D_KL in its place, which has another value (erratum E23)",
    test="models/diffusion/test_bound.py::test_the_printed_consistency_term_is_far_from_the_term",
    erratum="E23",
    correct=r"\E_{q(\x_{t-1}, \x_t, \x_{t+1} | \x_0)} \left[ \log \frac{q(\x_t |"
    r" \x_{t-1})}{p_\theta(\x_t | \x_{t+1})} \right]",
)
def VD19():
    right = [weights @ (log_q[t - 1] - log_p[t]) for t in range(1, T)]
    printed = [
        weights
        @ bound.forward_step(model, x[t - 1], t - 1).kl(bound.reverse_step(model, x[t + 1], t))
        for t in range(1, T)
    ]
    apart(printed, right)
    # With the right terms, the three parts along a path add up to the bound of single steps.
    ends = weights @ (log_p_T + log_p[0] - log_q[T - 1])
    agree(ends - sum(right), elbo)
