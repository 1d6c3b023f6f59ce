# %% [markdown]
# # A perceptron with one input
#
# *Two derivatives, and what gradient descent makes of them.* This chapter follows the section "First network
# example, simple perceptron with one input" of the notes.
#
# The network has one weight, one bias and the identity for $\sigma$. It sees one observation $(x, y)$ of the
# line $y = 2x + 1$, at $x = 4$:
#
# $$z_1 = w_1 x + b_1, \qquad a_1 = \sigma(z_1) = z_1, \qquad C = \tfrac12 (a_1 - y)^2 .$$

# %%
import numpy as np

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source

X, Y = 4.0, 2 * 4.0 + 1.0
ETA, ITERATIONS = 0.01, 40


def initial(seed=0):
    """w₁, then b₁, from N(0, 1): the two numbers that the notes' code draws."""
    rng = np.random.RandomState(seed)
    return rng.randn(), rng.randn()


def feed_forward(w1, b1, x):
    """a₁ = w₁ x + b₁."""
    return x * w1 + b1


def cost(w1, b1, x, y):
    """C = ½ (a₁ − y)²."""
    return 0.5 * (feed_forward(w1, b1, x) - y) ** 2


# %% [markdown]
# ## The two derivatives
#
# The chain rule takes $C$ apart from the outside in. The factor that all derivatives share is called $\delta$:
#
# $$\delta_1 = \frac{\partial C}{\partial a_1} \frac{\partial a_1}{\partial z_1} = (a_1 - y)\, \sigma'(z_1) = a_1 - y,
# \qquad
# \frac{\partial C}{\partial w_1} = \delta_1 \frac{\partial z_1}{\partial w_1} = \delta_1 x,
# \qquad
# \frac{\partial C}{\partial b_1} = \delta_1 \frac{\partial z_1}{\partial b_1} = \delta_1 .$$


# %%
def by_hand(w1, b1, x, y):
    """∂C/∂w₁ = δ₁ x and ∂C/∂b₁ = δ₁."""
    delta1 = feed_forward(w1, b1, x) - y
    return delta1 * x, delta1


# %% [markdown]
# Are they right? The check compares them with the complex step, which computes a derivative to the last digit.

# %%
w1, b1 = initial()
print(sg.check_gradient(cost, by_hand, w1, b1, X, Y))

# %% [markdown]
# The engine holds the same two equations. In the library a layer is one rule, for many observations and many
# units; its equations are those above, with a sum over the observations.

# %%
source(ops.affine)


# %%
def by_engine(w1, b1, x, y):
    """The same two, from the recorded equations of the cost."""
    return sg.grad(cost, argnum=(0, 1))(w1, b1, x, y)


for name, hand, engine in zip(
    ("∂C/∂w₁", "∂C/∂b₁"), by_hand(w1, b1, X, Y), by_engine(w1, b1, X, Y), strict=True
):
    print(f"{name}   by hand {hand:.15f}   by the engine {float(engine):.15f}")

# %% [markdown]
# ## Gradient descent, with nothing left to chance
#
# Gradient descent subtracts $\eta$ times these. Put the new $w_1$ and $b_1$ into $a_1 - y$: one iteration
# multiplies $\delta_1$ by a constant,
#
# $$\delta_1 \leftarrow (w_1 - \eta \delta_1 x)\, x + (b_1 - \eta \delta_1) - y = \bigl(1 - \eta (1 + x^2)\bigr)\, \delta_1 .$$
#
# With $\eta = 0.01$ and $x = 4$ this constant is $0.83$. After $n$ iterations the cost is $0.83^{2n} C_0$. The cost
# would grow if $\eta$ were larger than $2 / (1 + x^2) = 2/17$.


# %%
def train(derivatives, eta=ETA, iterations=ITERATIONS, seed=0):
    """w₁ ← w₁ − η ∂C/∂w₁ and b₁ ← b₁ − η ∂C/∂b₁, so many times; both at the end."""
    w1, b1 = initial(seed)
    for _ in range(iterations):
        dw1, db1 = derivatives(w1, b1, X, Y)
        w1 = w1 - eta * dw1
        b1 = b1 - eta * db1
    return w1, b1


def contraction(eta=ETA, x=X):
    """1 − η (1 + x²), by which each iteration multiplies δ₁."""
    return 1 - eta * (1 + x * x)


trained = train(by_hand)
at_first, at_last = cost(w1, b1, X, Y), cost(*trained, X, Y)
print(f"{ITERATIONS} iterations with η = {ETA}:")
print(f"  C by hand            {at_last!r}")
print(f"  C with the engine    {float(cost(*train(by_engine), X, Y))!r}")
print(f"  C₀ · {contraction():.2f}^{2 * ITERATIONS}         {at_first * contraction() ** 80!r}")

# %% [markdown]
# The parameters move along $(x, 1)$ only. They end on the line $w_1 x + b_1 = y$, at the point of it that is
# nearest to the start: one observation fixes one number, and cannot tell 2 and 1.

# %%
print(f"w₁ x + b₁ = {feed_forward(*trained, X):.6f}, y = {Y}")
print(f"w₁ = {trained[0]:.4f}, b₁ = {trained[1]:.4f}: not 2 and 1")

# %% [markdown]
# ## What goes wrong
#
# Left: the cost for four rates, with the line that the theory predicts. The rate 0.13 is above $2/17 \approx 0.118$, and
# the cost grows. Right: the paths of the parameters, which end where their line crosses the line of all solutions.

# %%
left, right = panels(1, 2, size=(9.6, 3.6))
steps = np.arange(ITERATIONS + 1)
for eta, colour in zip((0.01, 0.03, 0.11, 0.13), ("C0", "C2", "C1", "C3"), strict=True):
    costs = [cost(*train(by_hand, eta, n), X, Y) for n in steps]
    left.plot(steps, costs, "o", color=colour, markersize=3, label=f"η = {eta}")
    left.plot(steps, at_first * contraction(eta) ** (2.0 * steps), color=colour, linewidth=1)
left.set(yscale="log", ylim=(1e-9, 1e4), xlabel="iteration", ylabel="C", title="cost, and theory")
left.legend(frameon=False)
for seed in range(6):
    path = np.array([train(by_hand, 0.01, n, seed) for n in steps])
    right.plot(*path.T, "o-", markersize=3, linewidth=1)
ends = np.array([-1.5, 3.5])
right.plot(ends, Y - X * ends, color="grey", linestyle="--", label="w₁ x + b₁ = y")
right.plot(2, 1, "k*", markersize=10, label="the line y = 2x + 1")
right.set(xlabel="w₁", ylabel="b₁", title="parameters, six starts", xlim=(-1.5, 3.5), ylim=(-4, 6))
right.legend(frameon=False)
left

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: an L2 penalty
# The notes ask for a penalty. Add $\lambda w_1^2$ to the cost, with $\lambda = 0.1$, and give both derivatives.


# %%
def with_penalty(w1, b1, x, y):
    """∂C/∂w₁ and ∂C/∂b₁."""
    # your lines


def check_penalty(answer):
    sg.assert_gradient(lambda w1, b1, x, y: cost(w1, b1, x, y) + 0.1 * w1**2, answer, w1, b1, X, Y)


attempt(check_penalty, with_penalty)


# %% tags=["solution"]
def with_penalty(w1, b1, x, y):
    dw1, db1 = by_hand(w1, b1, x, y)
    return dw1 + 0.2 * w1, db1


attempt(check_penalty, with_penalty)

# %% [markdown]
# ### Exercise 2: the best rate
# Which $\eta$ brings the cost to zero in a single iteration, at any input $x$?


# %%
def best_rate(x):
    """η, of x."""
    # your line


def check_rate(answer):
    for x in (0.5, 1.0, 4.0):
        dw1, db1 = by_hand(w1, b1, x, Y)
        assert cost(w1 - answer(x) * dw1, b1 - answer(x) * db1, x, Y) < 1e-25


attempt(check_rate, best_rate)


# %% tags=["solution"]
def best_rate(x):
    return 1 / (1 + x * x)


attempt(check_rate, best_rate)

# %% [markdown]
# ### Exercise 3: a sigmoid at the output
# Let $a_1 = \sigma(z_1)$ with the sigmoid, $\sigma' = a_1 (1 - a_1)$, and a target between 0 and 1.
# Give both derivatives.


# %%
def of_a_sigmoid(w1, b1, x, y):
    """∂C/∂w₁ and ∂C/∂b₁."""
    # your lines


def check_sigmoid(answer):
    def cost(w1, b1, x, y):
        return 0.5 * (1 / (1 + np.exp(-(w1 * x + b1))) - y) ** 2

    sg.assert_gradient(cost, answer, w1, b1, 0.7, 0.2)


attempt(check_sigmoid, of_a_sigmoid)


# %% tags=["solution"]
def of_a_sigmoid(w1, b1, x, y):
    a1 = 1 / (1 + np.exp(-(w1 * x + b1)))
    delta1 = (a1 - y) * a1 * (1 - a1)
    return delta1 * x, delta1


attempt(check_sigmoid, of_a_sigmoid)

# %% [markdown]
# **Read on:** [A hidden layer of one unit](hidden_scalar_layer.md) has four derivatives, and the notes misprint two of
# them.
