# %% [markdown]
# # Checking a derivative
#
# *Is it right? And if not, which equation is wrong, and how?* The notes derive gradients by hand, and a few of them are
# misprinted. Training does not tell: a network with a wrong derivative often learns all the same
# ([The hidden scalar layer](hidden_scalar_layer.md) has one). This chapter shows how `sg.check_gradient` is used, and
# how it comes to its verdict.

# %%
import math

import numpy as np

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops
from scratchgen.gradcheck import comparison, evidence, numerical
from scratchgen.learning import attempt, panels, source

# %% [markdown]
# ## How it is used
#
# Write the cost and its derivatives in NumPy, as they stand on paper. Here is logistic regression with an L2 penalty,
# for $n$ rows of $X$ and labels $y$ of 0 and 1:
#
# $$C = \frac1n \sum_i \bigl[ \log(1 + e^{z_i}) - y_i z_i \bigr] + \lambda \|w\|^2, \qquad z = X w + b,$$
#
# $$\frac{\partial C}{\partial w} = \frac1n X^\top (\sigma(z) - y) + 2 \lambda w, \qquad
# \frac{\partial C}{\partial b} = \frac1n \sum_i (\sigma(z_i) - y_i) .$$

# %%
LAMBDA = 0.1
RNG = np.random.default_rng(0)
X, y = RNG.standard_normal((12, 8)), (RNG.random(12) < 0.5).astype(float)
w, b = RNG.standard_normal(8), 0.4


def cost(w, b, X, y):
    z = X @ w + b
    return (np.log1p(np.exp(z)) - y * z).mean() + LAMBDA * (w**2).sum()


def by_hand(w, b, X, y):
    r = 1 / (1 + np.exp(-(X @ w + b))) - y
    return X.T @ r / len(X) + 2 * LAMBDA * w, r.mean()


print(sg.check_gradient(cost, by_hand, w, b, X, y))

# %% [markdown]
# Both agree. Now five slips that everybody makes. All are refused. Four are named, with the line of the cost; the
# fourth of the list has no name.


# %%
def slip(name, w, b, X, y):
    """∂C/∂w and ∂C/∂b with one mistake."""
    z = X @ w + b
    a, n = 1 / (1 + np.exp(-z)), len(X)
    if name == "the penalty is halved":
        return X.T @ (a - y) / n + LAMBDA * w, (a - y).mean()
    if name == "a sum in place of the mean":
        return X.T @ (a - y) + 2 * LAMBDA * w, (a - y).sum()
    if name == "the sign":
        return X.T @ (y - a) / n + 2 * LAMBDA * w, (a - y).mean()
    if name == "a factor σ′ too many":
        return X.T @ ((a - y) * a * (1 - a)) / n + 2 * LAMBDA * w, (a - y).mean()
    return X.T @ (z - y) / n + 2 * LAMBDA * w, (z - y).mean()  # z in place of σ(z)


SLIPS = (
    "the penalty is halved",
    "a sum in place of the mean",
    "the sign",
    "a factor σ′ too many",
    "z in place of σ(z)",
)
REPORTS = {
    name: sg.check_gradient(cost, lambda *of, name=name: slip(name, *of), w, b, X, y)
    for name in SLIPS
}
for name, report in REPORTS.items():
    print(f"{name}:")
    for sentence in report.diagnosis:
        print(f"    {sentence}")

# %% [markdown]
# ## Where the numbers come from
#
# The right side of the table must not come from a derivation. The check moves one entry of the input by $t$, and looks
# at the value $F(t)$ of the cost alone. There are two ways to $F'(0)$.
#
# **Central differences.** The even powers of $h$ in $F(h)$ and $F(-h)$ cancel:
#
# $$\frac{F(h) - F(-h)}{2h} = F'(0) + c_2 h^2 + c_4 h^4 + \dots$$
#
# A small $h$ makes the rest small, but the subtraction loses digits: the error of rounding is about $\varepsilon / h$.
# *Richardson's extrapolation* combines several $h$ so that one power after the other cancels, and the spread of the
# last values is the uncertainty.
#
# **The complex step.** If $F$ is analytic, one may step off the real line, $F(ih) = F(0) + ih F'(0) - \tfrac12 h^2 F'' - \dots$
# The imaginary part has what we want, and nothing is subtracted:
#
# $$F'(0) = \operatorname{Im} \frac{F(ih)}{h} + O(h^2) .$$
#
# So $h$ can be $2^{-70}$, and all digits are right.

# %%
source(numerical.by_complex_step)


# %%
def wave(x):
    """e^{sin x}."""
    return np.exp(np.sin(x))


AT = 0.7
SLOPE = math.cos(AT) * math.exp(math.sin(AT))
H = np.logspace(-16, 0, 65)


def errors():
    """The relative error of three estimates of the slope, for each h: (3, 65)."""
    forward = (wave(AT + H) - wave(AT)) / H
    central = (wave(AT + H) - wave(AT - H)) / (2 * H)
    complex_step = wave(AT + 1j * H).imag / H
    return np.abs(np.array([forward, central, complex_step]) / SLOPE - 1)


left, right = panels(1, 2, size=(9.6, 3.7))
for error, label, colour in zip(
    errors(),
    ("(F(h) − F(0))/h", "(F(h) − F(−h))/2h", "Im F(ih)/h"),
    ("C0", "C1", "C3"),
    strict=True,
):
    left.plot(H, np.maximum(error, 1e-17), colour, label=label)
extrapolated = numerical.by_differences(lambda t: wave(AT + t), 1.0)
left.axhline(abs(extrapolated.value / SLOPE - 1), color="C2", linestyle="--", label="extrapolated")
left.set(xscale="log", yscale="log", xlabel="h", title="relative error of F′(0)", ylim=(1e-18, 10))
left.legend(frameon=False, fontsize="small")
for name, colour in (
    ("the penalty is halved", "C0"),
    ("the sign", "C3"),
    ("z in place of σ(z)", "C2"),
):
    given, found, _ = REPORTS[name]["w"].sides
    right.plot(found, given, "o", color=colour, label=name)
ends = np.array([-0.6, 0.6])
right.plot(ends, ends, "k", linewidth=0.8)
right.set(xlabel="numerical ∂C/∂w", ylabel="given", title="entry by entry: right is on the line")
right.legend(frameon=False, fontsize="small")
left

# %% [markdown]
# ## The verdict
#
# Each number comes with an uncertainty. A given entry *agrees* if it differs from the numerical one by no more than this,
# and the rounding of its own arithmetic. At a kink, as of ReLU at 0, every slope between those of its two sides agrees.

# %%
source(comparison.Trial.agrees.fget)

# %%
relu = sg.check_gradient(
    lambda z: np.maximum(z, 0).sum(), lambda z: (z > 0) * 1.0, np.array([-1.0, 0.0, 2.0])
)
print(relu)

# %% [markdown]
# A number may also be too inexact to tell right from wrong. The cost below is rounded to seven digits, and its slope is
# lost among them. Such an entry is **undecided**, and undecided is refused: a check that passes what it cannot see is
# worse than none.


# %%
def inexact(w):
    return np.float32(1 + 1e-6 * w[0] ** 2)


lost = sg.check_gradient(inexact, lambda w: 2e-6 * w, np.array([0.8]))
print(lost)

# %% [markdown]
# The cure is in the cost: compute it in float64, or take numbers at which the entry is not small.
#
# ## How a mistake is named
#
# The check has a list of mistakes. Some are seen in the numbers alone: a sign, a factor, a transposition. For others it
# records the cost, as the engine does, and replays the backward sweep with one slip: $\sigma'$ at the wrong value, the
# other operand, a term left out, a share not added. Each hypothesis predicts *all* numbers of the derivative. It is a
# finding only if it predicts yours, in every entry. So a diagnosis is not a guess: it reproduces what you gave. What no
# hypothesis explains is refused without a name.

# %%
source(evidence.Mistake)

# %%
random = sg.check_gradient(
    lambda w: np.tanh(w).sum(), lambda w: np.array([0.123, -4.5, 2.22]), w[:3]
)
print(random.diagnosis)

# %% [markdown]
# ## Gradients of several kinds
#
# The check takes a derivative as you hold it: one array, a tuple, a dictionary by name, a flat vector of named parts.


# %%
def of_a_dictionary(theta):
    z = X @ theta["w"] + theta["b"]
    return (np.log1p(np.exp(z)) - y * z).mean()


def its_gradient(theta):
    r = 1 / (1 + np.exp(-(X @ theta["w"] + theta["b"]))) - y
    return {"w": X.T @ r / len(X), "b": r.mean()}


def of_a_vector(theta):
    return of_a_dictionary({"w": theta[:8], "b": theta[8]})


def its_vector(theta):
    found = its_gradient({"w": theta[:8], "b": theta[8]})
    return np.append(found["w"], -found["b"])  # the sign of the last one is wrong


print(sg.check_gradient(of_a_dictionary, its_gradient, {"w": w, "b": b}).summary)
flat = sg.check_gradient(of_a_vector, its_vector, np.append(w, b), parts={"w": 8, "b": 1})
print(flat.summary)
print(*flat.diagnosis, sep="\n")

# %% [markdown]
# A *rule* is checked for each of its equations, with a random $\delta$, and a *network* or a model for each parameter.
# ([A layer of your own](my_layer.md) is a file of such checks, for `scratchgen check`.)

# %%
rng = sg.generator(0)
print(sg.check_operation(ops.softplus, np.array([-1.0, 0.3, 2.0])).summary)
network = nn.Sequential(nn.Linear(8, 4, rng=rng), nn.Tanh(), nn.Linear(4, 1, rng=rng))
print(sg.check_network(network, X).summary)

# %% [markdown]
# ## An erratum, refused
#
# The notes print the consistency term of a diffusion model as a divergence ([E23](errata.md#e23)). Let
# $p(x_t | x_{t+1}) = N(a\, x_{t+1} + b, s^2)$. The term is the mean of $\log q(x_t | x_{t-1}) / p(x_t | x_{t+1})$ over
# paths, and its derivative by $a$ has $x_t - (a\, x_{t+1} + b)$ in it. The printed form has the mean of
# $q(x_t | x_{t-1})$ in the place of $x_t$.

# %%
ALPHA = 0.7


def log_ratio(a, b, log_var, before, here, after):
    """The mean of log q(x_t|x_{t−1})/p(x_t|x_{t+1})."""
    log_q = -((here - np.sqrt(ALPHA) * before) ** 2) / (2 * (1 - ALPHA)) - 0.5 * np.log(1 - ALPHA)
    log_p = -((here - (a * after + b)) ** 2) / (2 * np.exp(log_var)) - 0.5 * log_var
    return np.mean(log_q - log_p)


def right_form(a, b, log_var, before, here, after):
    e = here - (a * after + b)
    s2 = np.exp(log_var)
    return -np.mean(e * after) / s2, -np.mean(e) / s2, (1 - np.mean(e**2) / s2) / 2


def as_printed(a, b, log_var, before, here, after):
    e = np.sqrt(ALPHA) * before - (a * after + b)
    s2 = np.exp(log_var)
    by_log_var = (1 - (np.mean(e**2) + 1 - ALPHA) / s2) / 2
    return -np.mean(e * after) / s2, -np.mean(e) / s2, by_log_var


path = [0.5 + 0.5 * rng.standard_normal(6)]
for _ in range(2):
    path.append(np.sqrt(ALPHA) * path[-1] + np.sqrt(1 - ALPHA) * rng.standard_normal(6))
OF_A_PATH = (0.8, 0.1, -0.4, *path)
print("right:  ", sg.check_gradient(log_ratio, right_form, *OF_A_PATH).summary)
refused = sg.check_gradient(log_ratio, as_printed, *OF_A_PATH)
print("printed:", refused.summary)
print(*refused.diagnosis, sep="\n")

# %% [markdown]
# ## What goes wrong
#
# - **Special numbers.** At $x = 1$, $w = 0$ or a symmetric matrix many a wrong derivative is right. Take random ones.
# - **Noise.** The cost must give the same value each time: fix the generator, or pass the noise as an argument.
# - **Steps.** A cost that rounds, counts or compares has the slope 0 between its steps.
# - **In a test.** `sg.assert_gradient` raises an error with the report, and the first line says what is wrong.
#
# ## Exercises
#
# ### Exercise 1: the softmax
# $C = -\log p_k$ with $p = e^z / \sum_j e^{z_j}$. Give $\partial C/\partial z$ for the class $k$.


# %%
def by_z(z, k):
    """∂C/∂z: (K,)."""
    # your lines


def check_softmax(answer):
    z = np.array([0.3, -1.0, 2.0, 0.1])
    sg.assert_gradient(lambda z: np.log(np.exp(z).sum()) - z[2], lambda z: answer(z, 2), z)


attempt(check_softmax, by_z)


# %% tags=["solution"]
def by_z(z, k):
    p = np.exp(z) / np.exp(z).sum()
    return p - np.eye(len(z))[k]


attempt(check_softmax, by_z)

# %% [markdown]
# ### Exercise 2: a quadratic form
# $C = x^\top A x$, where $A$ is not symmetric. Give $\partial C/\partial x$ and $\partial C/\partial A$.


# %%
def of_a_form(x, A):
    """∂C/∂x: (n,) and ∂C/∂A: (n, n)."""
    # your lines


def check_form(answer):
    rng = np.random.default_rng(1)
    sg.assert_gradient(
        lambda x, A: x @ A @ x, answer, rng.standard_normal(3), rng.standard_normal((3, 3))
    )


attempt(check_form, of_a_form)


# %% tags=["solution"]
def of_a_form(x, A):
    return (A + A.T) @ x, np.outer(x, x)


attempt(check_form, of_a_form)

# %% [markdown]
# ### Exercise 3: a complex step by hand
# Write the complex step for a function of one number, with $h = 2^{-70}$.


# %%
def complex_step(f, x):
    """f′(x)."""
    # your line


def check_step(answer):
    assert abs(answer(wave, AT) / SLOPE - 1) < 1e-15
    assert abs(answer(lambda x: x**3 / (1 + x**2), 2.0) - 28 / 25) < 1e-15


attempt(check_step, complex_step)


# %% tags=["solution"]
def complex_step(f, x):
    return f(x + 2.0**-70 * 1j).imag / 2.0**-70


attempt(check_step, complex_step)

# %% [markdown]
# ### Exercise 4: one step of Richardson's extrapolation
# Let $D(h)$ be the central difference. Combine $D(h)$ and $D(h/2)$ so that the term of $h^2$ cancels.


# %%
def extrapolate(whole, half):
    """The better estimate, from D(h) and D(h/2)."""
    # your line


def check_extrapolation(answer):
    def central(h):
        return (wave(AT + h) - wave(AT - h)) / (2 * h)

    coarse, fine = (abs(answer(central(h), central(h / 2)) - SLOPE) for h in (0.2, 0.1))
    assert 14 < coarse / fine < 18, f"halving h divides the error by {coarse / fine:.1f}, not 16"


attempt(check_extrapolation, extrapolate)


# %% tags=["solution"]
def extrapolate(whole, half):
    return (4 * half - whole) / 3


attempt(check_extrapolation, extrapolate)

# %% [markdown]
# **Read on:** [A layer of your own](my_layer.md) is a file to copy. The page of [errata](errata.md) has every misprinted
# derivative of the notes, refused by this check.
