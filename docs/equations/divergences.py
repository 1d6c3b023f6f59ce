"""Kullback–Leibler and Jensen–Shannon divergences"""

import numpy as np

from equations.table import agree, apart, at_most, equation
from scratchgen import metrics
from scratchgen.distributions import Gaussian

p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])


@equation(
    r"D_{KL}(p \| q) = \int_x p(x) \log \frac{p(x)}{q(x)} dx",
    "A1 C: Kullback-Leibler divergence",
    code="metrics.divergence:kl_divergence",
    line="return _kl(p, q) / _nats(base)",
    test="metrics/test_divergence.py::test_kl_is_the_sum_of_p_log_p_over_q",
)
def KL1():
    # Of outcomes the integral is a sum; of two Gaussians it has a closed form.
    agree(metrics.kl_divergence(p, q), np.sum(p * np.log(p / q)))
    narrow, wide = (Gaussian(np.array([[mu]]), np.log(s**2)) for mu, s in ((0.5, 0.7), (-0.2, 1.5)))
    x = np.linspace(-8, 8, 4001)[:, None]
    integrand = np.exp(-narrow.nll(x)) * (wide.nll(x) - narrow.nll(x))
    agree(narrow.kl(wide)[0], np.trapezoid(integrand, x[:, 0]))


@equation(
    r"D_{JS}(p \| q) = \frac{1}{2} D_{KL}(p \| \frac{p + q}{2}) + \frac{1}{2} D_{KL}(q \|"
    r" \frac{p + q}{2})",
    "A1: Jensen-Shannon divergence",
    code="metrics.divergence:jensen_shannon",
    line="return 0.25 * (_kl(2 * p, p + q) + _kl(2 * q, p + q)) / _nats(base)",
    test="metrics/test_divergence.py::test_jensen_shannon_is_the_mean_kl_to_the_mixture",
)
def KL2():
    m = (p + q) / 2
    mean = metrics.kl_divergence(p, m) / 2 + metrics.kl_divergence(q, m) / 2
    agree(metrics.jensen_shannon(p, q), mean)


@equation(
    r"D_{JS} \in [0, 1]",
    "A1: Jensen-Shannon divergence (in the text)",
    code="metrics.divergence:jensen_shannon",
    line="It lies between 0 and log 2",
    test="metrics/test_divergence.py::test_jensen_shannon_is_log_2_where_no_outcome_has_both",
    erratum="E7",
    correct=r"D_{JS} \in [0, \log 2] \text{ in nats, or } [0, 1] \text{ in bits}",
)
def KL3():
    # The greatest value is that of distributions without a common outcome.
    greatest = metrics.jensen_shannon([1.0, 0.0], [0.0, 1.0])
    apart(1, greatest)
    agree(greatest, np.log(2))
    at_most(metrics.jensen_shannon(p, q), greatest)
