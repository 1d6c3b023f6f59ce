# %% [markdown]
# # A layer of your own
#
# *A file to copy, for* `scratchgen check my_layer.py`.
#
# The layer divides each row of its input by its root mean square and scales the result, as RMSNorm does (Zhang and
# Sennrich 2019, eq. 4):
#
# $$r = \sqrt{\tfrac1D \textstyle\sum_i x_i^2 + \varepsilon}, \qquad y = g \circ x / r .$$
#
# ## The derivation
#
# Let $\delta = \partial C/\partial y$, for $n$ rows of $D$ numbers. The scale $g$ enters each row in the same way, so its
# derivative is a sum over the rows:
#
# $$\frac{\partial C}{\partial g} = \sum_n \delta \circ x / r .$$
#
# The input enters twice, in the numerator and in $r$. With $\partial r/\partial x_j = x_j / (D r)$,
#
# $$\frac{\partial y_i}{\partial x_j} = \frac{g_i}{r} \bigl[ i = j \bigr] - \frac{g_i x_i}{r^2}\, \frac{x_j}{D r}
# \qquad\Rightarrow\qquad
# \frac{\partial C}{\partial x} = \frac1r \Bigl( g \circ \delta - x\, \frac{\sum_i g_i \delta_i x_i}{D r^2} \Bigr) .$$
#
# The second term is the one that is forgotten: $r$ depends on $x$ too.

# %%
import numpy as np

import scratchgen as sg
from scratchgen.learning import attempt

EPSILON = 1e-6


@sg.differentiable
def rms_norm(x, g):
    """y = g ∘ x / r, r = √(mean x² + ε) of each row. ``x``: (n, D), ``g``: (D,)."""
    r = np.sqrt((x * x).mean(axis=1, keepdims=True) + EPSILON)

    def by_x(delta):
        shared = (g * delta * x).sum(axis=1, keepdims=True) / (x.shape[1] * r * r)
        return (g * delta - x * shared) / r

    return g * x / r, (
        by_x,  # ∂C/∂x = (g ∘ δ − x (Σ g ∘ δ ∘ x) / (D r²)) / r
        lambda delta: (delta * x / r).sum(axis=0),  # ∂C/∂g = Σₙ δ ∘ x / r
    )


# %% [markdown]
# ## The checks
#
# `scratchgen check tutorials/my_layer.py` calls every function of the file whose name begins with `check_`. Each of
# them returns a report: one checks the layer as a rule, the other within a cost. Take general numbers to check at. At
# $x = 1$ or $g = 1$, say, many a wrong derivative is right.


# %%
def arrays():
    """x and g."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((5, 3)), rng.standard_normal(3)


def cost(x, g):
    """C = Σ tanh y, of plain arrays."""
    r = np.sqrt((x * x).mean(axis=1, keepdims=True) + EPSILON)
    return np.tanh(g * x / r).sum()


def by_hand(x, g):
    """∂C/∂x and ∂C/∂g, from the equations of the rule."""
    y, (by_x, by_g) = rms_norm.rule(x, g)
    delta = 1 - np.tanh(y) ** 2
    return by_x(delta), by_g(delta)


def check_the_rule():
    """Both equations of the rule, against numerical derivatives."""
    return sg.check_operation(rms_norm, *arrays())


def check_the_cost():
    """The derivative of a cost in which the layer stands."""
    return sg.check_gradient(cost, by_hand, *arrays())


# %%
check_the_rule()

# %%
check_the_cost()

# %% [markdown]
# ## What goes wrong
#
# Forget that $r$ depends on $x$, and the check refuses. The command leaves the function `refused` alone, by its name.


# %%
def forgetful(x, g):
    """∂C/∂x as if r did not depend on x."""
    y, (_, by_g) = rms_norm.rule(x, g)
    delta = 1 - np.tanh(y) ** 2
    r = np.sqrt((x * x).mean(axis=1, keepdims=True) + EPSILON)
    return g * delta / r, by_g(delta)


def refused():
    """The report on the derivative that forgets a term."""
    return sg.check_gradient(cost, forgetful, *arrays())


print(refused())

# %% [markdown]
# Does a wrong derivative matter? Both are directions along which a cost falls, but the wrong one has a part along $x$.
# The output does not depend on the length of $x$, so the true derivative has none: each row of
# $\partial C / \partial x$ is perpendicular to its row of $x$ (up to $\varepsilon$).

# %%
x, g = arrays()
for name, derivative in (("by hand", by_hand), ("forgetful", forgetful)):
    print(f"{name:<10} x · ∂C/∂x of each row: {(x * derivative(x, g)[0]).sum(axis=1).round(6)}")

# %% [markdown]
# ## Exercises
#
# The functions that judge an answer are called `judge_…` here, so that the command does not call them.
#
# ### Exercise 1: an offset
# Let $y = g \circ x / r + b$, with $b$: $(D,)$. Give $\partial C/\partial b$ for a $\delta$ of the shape $(n, D)$.


# %%
def by_offset(delta):
    """∂C/∂b: (D,)."""
    # your line


def judge_offset(answer):
    @sg.differentiable
    def shifted(y, b):
        return y + b, (lambda delta: delta, answer)

    report = sg.check_operation(shifted, *arrays())
    assert report.ok, str(report)


attempt(judge_offset, by_offset)


# %% tags=["solution"]
def by_offset(delta):
    return delta.sum(axis=0)


attempt(judge_offset, by_offset)

# %% [markdown]
# ### Exercise 2: normalise by the largest
# Another layer divides by the largest number of a row, $y = x / m$ with $m = \max_i x_i > 0$. Give
# $\partial C/\partial x$. (The index of the largest number is `x.argmax(axis=1)`.)


# %%
def by_largest(x, delta):
    """∂C/∂x: (n, D)."""
    # your lines


def judge_largest(answer):
    x = np.exp(arrays()[0])

    @sg.differentiable
    def over_largest(x):
        return x / x.max(axis=1, keepdims=True), (lambda delta: answer(x, delta),)

    report = sg.check_operation(over_largest, x)
    assert report.ok, str(report)


attempt(judge_largest, by_largest)


# %% tags=["solution"]
def by_largest(x, delta):
    rows, m = np.arange(len(x)), x.max(axis=1)
    share = delta / m[:, None]
    share[rows, x.argmax(axis=1)] -= (delta * x).sum(axis=1) / m**2
    return share


attempt(judge_largest, by_largest)

# %% [markdown]
# ### Exercise 3: a rule of your own
# Write *softplus with a slope*, $y = \log(1 + e^{k z})/k$ for a number $k$, as a rule of $z$ alone: it returns the value
# and one equation.


# %%
def softplus_of(k):
    """A function of z that returns the value, and a tuple of one equation."""
    # your lines


def judge_softplus(answer):
    rule = sg.differentiable(answer(2.5))
    z = np.linspace(-2, 2, 7)
    np.testing.assert_allclose(rule(z), np.log1p(np.exp(2.5 * z)) / 2.5)
    report = sg.check_operation(rule, z)
    assert report.ok, str(report)


attempt(judge_softplus, softplus_of)


# %% tags=["solution"]
def softplus_of(k):
    def softplus(z):
        return np.log1p(np.exp(k * z)) / k, (lambda delta: delta / (1 + np.exp(-k * z)),)

    return softplus


attempt(judge_softplus, softplus_of)

# %% [markdown]
# **Read on:** [Checking a derivative](checking_a_derivative.md) says how the verdicts come about.
