"""Generative adversarial networks"""

import numpy as np

import scratchgen as sg
from equations.table import agree, at_most, equation
from scratchgen import metrics
from scratchgen import operations as ops
from scratchgen.models import gan

# Three outcomes, on which the distributions of real and of generated samples are known.
p_r, p_g = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
A, B, tilde_x = p_r[0], p_g[0], 0.35

# A game of networks: G maps noise of two dimensions to samples of four numbers.
game = gan.dense(4, 5, 2, sg.generator(0), dropout=0.0).astype(np.float64)
z = sg.generator(1).random((6, 2)) * 2 - 1
x = sg.generator(2).random((6, 4)) * 2 - 1


def value(p_r, p_g):
    """max_D v, of outcomes: D* has the logits log p_r/p_g."""
    logits = np.log(p_r / p_g)
    return -(p_r * ops.softplus(-logits) + p_g * ops.softplus(logits)).sum()


def f(x):
    return A * np.log(x) + B * np.log(1 - x)


@equation(
    r"x = g(z; \theta^{(g)})",
    "A1 A2 A3: Generative Adversarial Networks",
    code="models.gan:GAN.generate",
    line="return self._given(self.generator, labels)(z, rng)",
    test="models/test_gan.py::test_samples_are_what_G_makes_of_the_noise",
)
def GAN1():
    hidden, _, out, _ = game.generator.layers
    a = z @ hidden.weight.data.T + hidden.bias.data
    a = np.where(a > 0, a, 0.01 * a)
    agree(game.generate(z).data, np.tanh(a @ out.weight.data.T + out.bias.data))


@equation(
    r"d(x; \theta^{(d)})",
    "A1 A2 A3: Discriminator",
    code="models.gan:GAN.discriminate",
    line="else ops.sigmoid(out)",
    test="models/test_gan.py::test_where_D_answers_one_half_its_cost_is_2_log_2_and_that_of_G"
    "_is_log_2",
)
def GAN2():
    agree(game.discriminate(x).data, 1 / (1 + np.exp(-game.logits(x).data)))


@equation(
    r"v(\theta^{(g)}, \theta^{(d)})",
    "A1 A2 A3: Zero-sum game",
    code="models.gan:discriminator_cost",
    line="return of_real + ops.softplus(fake)",
    test="models/test_gan.py::test_against_the_best_D_the_game_is_worth_2_JS_minus_2_log_2",
)
def GAN3():
    D_x, D_Gz = game.discriminate(x).data, game.discriminate(game.generate(z)).data
    v = np.mean(np.log(D_x)) + np.mean(np.log(1 - D_Gz))
    cost = gan.discriminator_cost(game.logits(x), game.logits(game.generate(z)))
    agree(-np.mean(cost.data), v)


@equation(
    r"-v(\theta^{(g)}, \theta^{(d)})",
    "A1 A2 A3: Zero-sum game",
    code="models.gan:minimax",
    line="return -ops.softplus(fake)",
    test="models/test_gan.py::test_the_minimax_cost_of_G_against_the_best_D_falls_by_its"
    "_share_of_2_JS",
)
def GAN4():
    # The costs of both players add up to zero, but for the term of the data: G has no part in it.
    fake = game.logits(game.generate(z)).data
    cost_of_D = gan.discriminator_cost(game.logits(x).data, fake)
    agree(np.mean(cost_of_D + gan.minimax(fake)), -np.mean(np.log(game.discriminate(x).data)))


@equation(
    r"g^* = \underset{g}{\operatorname{argmin}} \max_d v(\theta^{(g)}, \theta^{(d)})",
    "A1 A2 A3: Progression in training",
    code="models.gan:",
    line="G* = argmin_G max_D v(G, D).",
    test="models/test_gan.py::test_both_costs_of_G_stand_still_where_its_samples_are_as_the"
    "_real_ones",
)
def GAN5():
    # Over generators with p_g = (t, 1 − t), against p_r = (0.3, 0.7): max_D v is least at t = 0.3.
    t = np.linspace(0.01, 0.99, 99)
    best = [value(np.array([0.3, 0.7]), np.array([t, 1 - t])) for t in t]
    agree(t[np.argmin(best)], 0.3)


@equation(
    r"v(\theta^{(g)}, \theta^{(d)}) = \E_{x \sim p_{\text{data}}} \log d(x) + \E_{x \sim"
    r" p_{\text{model}}} \log(1 - d(x))",
    "A1 A2: Deafault choice",
    "A3: Default choice",
    code="models.gan:discriminator_cost",
    line="return of_real + ops.softplus(fake)",
    test="models/test_gan.py::test_the_costs_are_the_logarithms_of_what_D_answers",
)
def GAN6():
    d = np.array([0.2, 0.6, 0.9])
    logits = np.log(d / (1 - d))
    agree(-gan.discriminator_cost(logits, logits), np.log(d) + np.log(1 - d))


@equation(
    r"\max_d v(\theta^{(g)}, \theta^{(d)})",
    "A1 A2 A3: Design of GANs",
    code="models.gan:",
    line="it is greatest at D* = p_r / (p_r + p_g)",
    test="models/test_gan.py::test_descent_on_Ds_cost_finds_it",
)
def GAN7():
    # Gradient ascent on one logit for each outcome comes to the greatest value.
    logits = np.zeros(3)
    for _ in range(300):
        logits -= 2 * sg.grad(lambda a: (p_r * ops.softplus(-a) + p_g * ops.softplus(a)).sum())(
            logits
        )
    agree(-(p_r * ops.softplus(-logits) + p_g * ops.softplus(logits)).sum(), value(p_r, p_g))


@equation(
    r"\min_G \max_D L(D, G) = \E_{\x \sim p_{r}(\x)} [\log D(\x)] + \E_{\h \sim p_{\h}(\h)}"
    r" [\log(1 - D(G(\h)))]",
    "A1: Minimax game",
    code="models.gan:GAN.losses",
    line="yield cost_of_D(logits[:n], logits[n:], self.smoothing).mean()",
    test="models/test_gan.py::test_the_gradients_of_both_are_the_slopes_of_their_costs",
)
def GAN8():
    D_x, D_Gh = game.discriminate(x).data, game.discriminate(game.generate(z)).data
    cost = next(game.losses(x, sg.generator(3), np.stack([z, z])))
    agree(-cost.data, np.mean(np.log(D_x)) + np.mean(np.log(1 - D_Gh)))


@equation(
    r"= \E_{\x \sim p_{r}(\x)} [\log D(\x)] + \E_{\x \sim p_g(\x)} [\log(1 - D(\x))]",
    "A1: Minimax game",
    code="models.gan:discriminator_cost",
    line="return of_real + ops.softplus(fake)",
    test="models/test_gan.py::test_against_the_best_D_the_game_is_worth_2_JS_minus_2_log_2",
)
def GAN9():
    # G maps three equally likely h to two x: means over h are means over p_g = (1/3, 2/3).
    D = np.array([0.4, 0.8])
    of_h = np.array([0, 1, 1])
    agree(np.mean(np.log(1 - D[of_h])), [1 / 3, 2 / 3] @ np.log(1 - D))


@equation(
    r"L(G, D) = \int_{\x} \bigg( p_{r}(\x) \log(D(\x)) + p_g (\x) \log(1 - D(\x)) \bigg) dx",
    "A1: Optimal value for $D$",
    code="models.gan:discriminator_cost",
    line="return of_real + ops.softplus(fake)",
    test="models/test_gan.py::test_the_best_D_is_p_real_over_the_sum_of_both",
)
def GAN10():
    D = np.array([0.3, 0.6, 0.8])
    logits = np.log(D / (1 - D))
    cost = (p_r * gan.discriminator_cost(logits, np.full(3, -np.inf))).sum() + (
        p_g * -gan.minimax(logits)
    ).sum()
    agree(-cost, np.sum(p_r * np.log(D) + p_g * np.log(1 - D)))


@equation(
    r"\tilde{\x} = D(\x), A = p_{r}(\x), B = p_g(\x)",
    "A1: Best value of $D$",
    code="models.gan:",
    line="Let p_r be the density of the data and p_g the density of the samples",
    test="models/test_gan.py::test_the_best_D_is_p_real_over_the_sum_of_both",
)
def GAN11():
    agree(A / (A + B), (p_r / (p_r + p_g))[0])


@equation(
    r"f(\tilde{\x}) = A \log{\tilde{\x}} + B \log{(1-\tilde{\x})}",
    "A1: Ignore integral",
    code="models.gan:",
    line="The integrand",
    test="models/test_gan.py::test_the_integrand_has_the_slope_of_the_notes_in_the_output_of_D",
)
def GAN12():
    logit = np.log(tilde_x / (1 - tilde_x))
    agree(-(A * ops.softplus(-logit) + B * ops.softplus(logit)), f(tilde_x))


@equation(
    r"\frac{d f(\tilde{\x})}{d \tilde{\x}} = A \frac{1}{\tilde{\x}} - B \frac{1}{1 - \tilde{\x}}",
    "A1: Ignore integral",
    code="models.gan:",
    line="p_r/D − p_g/(1 − D) =",
    test="models/test_gan.py::test_the_integrand_has_the_slope_of_the_notes_in_the_output_of_D",
)
def GAN13():
    agree(sg.grad(f)(tilde_x), A / tilde_x - B / (1 - tilde_x))


@equation(
    r"= \frac{A - (A + B)\tilde{\x}}{\tilde{\x} (1 - \tilde{\x})}",
    "A1: Ignore integral",
    code="models.gan:",
    line="= (p_r − (p_r + p_g) D)/(D (1 − D))",
    test="models/test_gan.py::test_the_integrand_has_the_slope_of_the_notes_in_the_output_of_D",
)
def GAN14():
    agree(sg.grad(f)(tilde_x), (A - (A + B) * tilde_x) / (tilde_x * (1 - tilde_x)))


@equation(
    r"D^*(\x) = \tilde{\x}^* = \frac{A}{A + B} = \frac{p_{r}(\x)}{p_{r}(\x) + p_g(\x)} \in [0,"
    r" 1]",
    "A1: Best values (in the text)",
    code="models.gan:",
    line="it is greatest at D* = p_r / (p_r + p_g)",
    test="models/test_gan.py::test_the_best_D_is_p_real_over_the_sum_of_both",
)
def GAN15():
    agree(sg.grad(f)(A / (A + B)), 0)
    at_most(f(np.linspace(0.01, 0.99, 99)).max(), f(A / (A + B)))


@equation(
    r"L(G, D^*) = \int_{\x} \bigg( p_{r}(\x) \log(D^*(\x)) + p_g (\x) \log(1 - D^*(\x)) \bigg)"
    r" d\x",
    "A1: Best values",
    code="models.gan:",
    line="it is greatest at D* = p_r / (p_r + p_g), where",
    test="models/test_gan.py::test_against_the_best_D_the_game_is_worth_2_JS_minus_2_log_2",
)
def GAN16():
    best = p_r / (p_r + p_g)
    agree(value(p_r, p_g), np.sum(p_r * np.log(best) + p_g * np.log(1 - best)))


@equation(
    r"= \log \frac{1}{2} \int_{\h} p_{r}(\x) d\x + \log \frac{1}{2} \int_{\x} p_g(\x) d\x",
    "A1: Best values",
    code="models.gan:discriminator_cost",
    line="it is 2 log 2 where D answers ½ everywhere",
    test="models/test_gan.py::test_where_D_answers_one_half_its_cost_is_2_log_2_and_that_of_G"
    "_is_log_2",
)
def GAN17():
    # Both integrals are over x; the notes print h in the first.
    agree(value(p_r, p_r), np.log(1 / 2) * p_r.sum() + np.log(1 / 2) * p_r.sum())


@equation(
    r"= -2\log2",
    "A1: Best values",
    code="models.gan:discriminator_cost",
    line="it is 2 log 2 where D answers ½ everywhere",
    test="models/test_gan.py::test_where_D_answers_one_half_its_cost_is_2_log_2_and_that_of_G"
    "_is_log_2",
)
def GAN18():
    agree(-gan.discriminator_cost(np.zeros(1), np.zeros(1)), -2 * np.log(2))


@equation(
    r"D_{JS}(p_{r} \| p_g) = \frac{1}{2} D_{KL}(p_{r} || \frac{p_{r} + p_g}{2}) + \frac{1}{2}"
    r" D_{KL}(p_{g} || \frac{p_{r} + p_g}{2})",
    "A1: What does the Loss Function Represent?",
    code="metrics.divergence:jensen_shannon",
    line="return 0.25 * (_kl(2 * p, p + q) + _kl(2 * q, p + q)) / _nats(base)",
    test="metrics/test_divergence.py::test_jensen_shannon_is_the_mean_kl_to_the_mixture",
)
def GAN19():
    m = (p_r + p_g) / 2
    mean = metrics.kl_divergence(p_r, m) / 2 + metrics.kl_divergence(p_g, m) / 2
    agree(metrics.jensen_shannon(p_r, p_g), mean)


@equation(
    r"= \frac{1}{2} \bigg( \log2 + \int_x p_{r}(\x) \log \frac{p_{r}(\x)}{p_{r} + p_g(\x)} d\x"
    r" \bigg) + \frac{1}{2} \bigg( \log2 + \int_x p_g(\x) \log \frac{p_g(\x)}{p_{r} + p_g(\x)}"
    r" d\x \bigg)",
    "A1: What does the Loss Function Represent?",
    code="metrics.divergence:jensen_shannon",
    line="D_KL(2p ‖ p + q) = 2 D_KL(p ‖ m)",
    test="metrics/test_divergence.py::test_jensen_shannon_is_the_mean_kl_to_the_mixture",
)
def GAN20():
    of_r = np.log(2) + np.sum(p_r * np.log(p_r / (p_r + p_g)))
    of_g = np.log(2) + np.sum(p_g * np.log(p_g / (p_r + p_g)))
    agree(metrics.jensen_shannon(p_r, p_g), of_r / 2 + of_g / 2)


@equation(
    r"= \frac{1}{2} \bigg( \log4 + L(G, D^*) \bigg)",
    "A1: What does the Loss Function Represent?",
    code="models.gan:",
    line="v(G, D*) = 2 D_JS(p_r ‖ p_g) − 2 log 2.",
    test="models/test_gan.py::test_against_the_best_D_the_game_is_worth_2_JS_minus_2_log_2",
)
def GAN21():
    agree(metrics.jensen_shannon(p_r, p_g), (np.log(4) + value(p_r, p_g)) / 2)


@equation(
    r"L(G, D^*) = 2D_{JS}(p_{r} \| p_g) - 2\log2",
    "A1: What does the loss function quantify?",
    code="models.gan:",
    line="v(G, D*) = 2 D_JS(p_r ‖ p_g) − 2 log 2.",
    test="models/test_gan.py::test_against_the_best_D_the_game_is_worth_2_JS_minus_2_log_2",
)
def GAN22():
    agree(value(p_r, p_g), 2 * metrics.jensen_shannon(p_r, p_g) - 2 * np.log(2))
