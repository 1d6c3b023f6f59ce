"""Denoising diffusion, and the score of samples"""

import numpy as np

import scratchgen as sg
from equations.table import agree, apart, equation
from scratchgen import metrics
from scratchgen.metrics.pairs import squared_distances
from scratchgen.models import DDPM

# The notes' schedule, with a network that is one line.
T, t = 300, 120


def network(x, time):
    return 0.3 * x + time[:, None]


model = DDPM(network, (4,), T)
x0, eps = sg.generator(0).standard_normal((2, 5, 4))
xt = model.q_sample(x0, t, eps)

# Samples of four numbers, real ones and others.
reals = np.tanh(sg.generator(1).standard_normal((8, 4)))
fakes = np.tanh(0.3 + sg.generator(2).standard_normal((7, 4)))


@equation(
    r"\beta_t = \texttt{linspace}(10^{-4}, 0.02, T)",
    "B: Hyperparameters and schedules (code)",
    code="models.diffusion.noising:linear_schedule",
    line="return np.linspace(1e-4, 0.02, T)",
    test="models/diffusion/test_ddpm.py::test_the_linear_schedule_goes_in_even_steps_from_1e"
    "_4_to_2e_2",
)
def DD1():
    agree(model.beta, [1e-4 + (0.02 - 1e-4) * t / (T - 1) for t in range(T)])


@equation(
    r"\alpha_t = 1 - \beta_t",
    "B: Hyperparameters and schedules (code)",
    code="models.diffusion.noising:Steps",
    line="self.alpha = 1 - self.beta",
    test="models/diffusion/test_ddpm.py::test_alpha_bar_is_the_product_of_all_alpha_up_to_and"
    "_with_t",
)
def DD2():
    agree(model.alpha + model.beta, np.ones(T))


@equation(
    r"\bar\alpha_t = \prod_{s \leq t} \alpha_s",
    "B: Hyperparameters and schedules (code)",
    code="models.diffusion.noising:Steps",
    line="self.alpha_bar = np.cumprod(self.alpha)",
    test="models/diffusion/test_ddpm.py::test_alpha_bar_is_the_product_of_all_alpha_up_to_and"
    "_with_t",
)
def DD3():
    agree(model.alpha_bar[9], np.prod([1 - model.beta[t] for t in range(10)]))
    # The last of them is the share of the image's variance that is left in x_T.
    agree(model.alpha_bar[-1], np.exp(np.log1p(-model.beta).sum()))


@equation(
    r"q(\x_t|\x_0): \quad \x_t = \sqrt{\bar\alpha_t}\, \x_0 + \sqrt{1 - \bar\alpha_t}\,"
    r" \boldsymbol{\epsilon}",
    "B: Forward Diffusion $q(x_t|x_0)$ (code)",
    code="models.diffusion.noising:Noising.q_sample",
    line="return a * x0 + b * noise",
    test="models/diffusion/test_ddpm.py::test_q_sample_is_the_composition_of_the_one_step_kernels",
)
def DD4():
    left = model.alpha_bar[t]
    agree(xt, np.sqrt(left) * x0 + np.sqrt(1 - left) * eps)


@equation(
    r"C = \text{mean} \left( \hat{\boldsymbol{\epsilon}}(\x_t, t/T) - \boldsymbol{\epsilon}"
    r" \right)^2",
    "B: Cost/Loss function (code)",
    code="models.diffusion.ddpm:DDPM.loss",
    line="return self.errors(x0, t, noise, rng, labels).mean()",
    test="models/diffusion/test_ddpm.py::test_the_cost_is_the_mean_of_squared_errors_over"
    "_samples_and_entries",
)
def DD5():
    agree(model.loss(x0, t, eps), np.mean((network(xt, np.full(5, t / T)) - eps) ** 2))


@equation(
    r"\x \leftarrow \frac{1}{\sqrt{\alpha_t}} \left( \x - \frac{\beta_t}{\sqrt{1 -"
    r" \bar\alpha_t}} \hat{\boldsymbol{\epsilon}} \right)",
    "B: Sampling (Reverse Diffusion) (code)",
    code="models.diffusion.ddpm:DDPM.p_sample",
    line="mean = (xt - share * eps) / self._at(np.sqrt(self.alpha), t, xt)",
    test="models/diffusion/test_ddpm.py::test_the_mean_from_the_noise_is_the_posterior_mean"
    "_from_x0",
)
def DD6():
    coef1 = 1 / np.sqrt(model.alpha[t])
    coef2 = model.beta[t] / np.sqrt(1 - model.alpha_bar[t])
    agree(model.p_sample(xt, t), coef1 * (xt - coef2 * network(xt, np.full(5, t / T))))


@equation(
    r"\x \leftarrow \x + \sqrt{\beta_t}\, \mathbf{z} \text{ for } t > 0",
    "B: Sampling (Reverse Diffusion) (code)",
    code="models.diffusion.ddpm:DDPM.p_sample",
    line="return mean if noise is None else mean + self._at(self.sigma, t, xt) * noise",
    test="models/diffusion/test_ddpm.py::test_the_last_step_is_noiseless",
)
def DD7():
    agree(model.p_sample(xt, t, eps) - model.p_sample(xt, t), np.sqrt(model.beta[t]) * eps)
    agree(model.p_sample(xt, 0, eps), model.p_sample(xt, 0))


@equation(
    r"M_{ij} = \|\x_i\|^2 + \|\mathbf{y}_j\|^2 - 2\, \x_i \cdot \mathbf{y}_j",
    "A1 A2 A3: Calculating scores (code)",
    code="metrics.pairs:squared_distances",
    line="return np.maximum(squares, 0, out=squares)",
    test="metrics/test_mmd.py::test_samples_far_from_the_origin_in_float32_keep_their_distances",
)
def DD8():
    agree(squared_distances(reals, fakes), [[np.sum((x - y) ** 2) for y in fakes] for x in reals])


@equation(
    r"\text{MMD} = \sqrt{\overline{k(x, x')} + \overline{k(y, y')} - 2\, \overline{k(x, y)}},"
    r" \quad k = e^{-M / (2 \sigma^2 \overline{M_{xx}})}",
    "A1 A2 A3: Calculating scores (code)",
    code="metrics.mmd:mmd2_biased",
    line="return max(within - 2 * _kernel_sum(x, y, sigma) / (n * m), 0.0)",
    test="metrics/test_mmd.py::test_both_estimates_are_the_double_sums_of_their_definitions",
    erratum="E15",
    correct=r"\text{MMD}^2 \text{ of samples on one range, beside its floor}",
)
def DD9():
    def kernel(x, y):
        return np.exp(-squared_distances(x, y) / (2 * scale)).mean()

    scale = squared_distances(reals, reals).mean()  # the notes' σ is 1
    printed = np.sqrt(kernel(reals, reals) + kernel(fakes, fakes) - 2 * kernel(reals, fakes))
    agree(np.sqrt(metrics.mmd2_biased(fakes, reals, np.sqrt(scale))), printed)
    # The notes' fakes lie on [0, 1], their reals on [−1, 1]: then even perfect samples are far off.
    halved = np.sqrt(metrics.mmd2_biased((reals + 1) / 2, reals, np.sqrt(scale)))
    apart(halved, np.sqrt(metrics.mmd2_biased(reals, reals, np.sqrt(scale))))
