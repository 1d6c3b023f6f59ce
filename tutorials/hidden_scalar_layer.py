# %% [markdown]
# # A hidden layer of one unit
#
# *Four derivatives, and a wrong one that trains all the same.* This chapter follows the section "Adding a hidden
# layer" of the notes.
#
# One unit stands between the input and the output. All quantities are scalars, and $a_0 = x$. The code of the notes
# takes the sigmoid for $\sigma_1$ and the identity for $\sigma_2$:
#
# $$z_1 = w_1 a_0 + b_1, \quad a_1 = \sigma_1(z_1), \qquad
# z_2 = w_2 a_1 + b_2, \quad a_2 = \sigma_2(z_2), \qquad C = \tfrac12 (a_2 - y)^2 .$$

# %%
import numpy as np

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source

X, Y = 4.0, 2 * 4.0 + 1.0
ETA, ITERATIONS = 0.1, 50


def initial(seed=0):
    """w₁, b₁, w₂, b₂: w₁, then w₂, from N(0, 1), and both biases 0.01."""
    rng = np.random.RandomState(seed)
    w1, w2 = rng.randn(), rng.randn()
    return w1, 0.01, w2, 0.01


def sigmoid(z):
    """σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def feed_forward(w1, b1, w2, b2, x):
    """a₁ and a₂."""
    a1 = sigmoid(w1 * x + b1)
    return a1, w2 * a1 + b2


def cost(w1, b1, w2, b2, x, y):
    """C = ½ (a₂ − y)²."""
    _, a2 = feed_forward(w1, b1, w2, b2, x)
    return 0.5 * (a2 - y) ** 2


# %% [markdown]
# ## The four derivatives
#
# The output layer is the [perceptron](scalar_perceptron.md) again, with $a_1$ for its input:
#
# $$\delta_2 = \frac{\partial C}{\partial z_2} = (a_2 - y)\, \sigma_2', \qquad
# \frac{\partial C}{\partial w_2} = \delta_2 a_1, \qquad \frac{\partial C}{\partial b_2} = \delta_2 .$$
#
# The hidden layer reaches the cost through $z_2$ alone. The chain rule goes back through $z_2 = w_2 a_1 + b_2$, whose
# derivative by $a_1$ is $w_2$, and through $a_1 = \sigma_1(z_1)$:
#
# $$\delta_1 = \frac{\partial C}{\partial z_1}
# = \frac{\partial C}{\partial z_2} \frac{\partial z_2}{\partial a_1} \frac{\partial a_1}{\partial z_1}
# = \delta_2\, w_2\, \sigma_1', \qquad
# \frac{\partial C}{\partial w_1} = \delta_1 a_0, \qquad \frac{\partial C}{\partial b_1} = \delta_1 ,$$
#
# with $\sigma' = \sigma (1 - \sigma)$ for the sigmoid. Each layer hands its $\delta$ to the one before it. The
# derivative by a weight is the $\delta$ behind the weight times the activation before it.


# %%
def by_hand(w1, b1, w2, b2, x, y):
    """∂C/∂w₁, ∂C/∂b₁, ∂C/∂w₂, ∂C/∂b₂."""
    a0 = x
    a1, a2 = feed_forward(w1, b1, w2, b2, x)
    delta2 = a2 - y
    delta1 = delta2 * w2 * a1 * (1 - a1)
    return delta1 * a0, delta1, delta2 * a1, delta2


theta = initial()
print(sg.check_gradient(cost, by_hand, *theta, X, Y))

# %% [markdown]
# In the library the two factors of $\delta_1$ are two rules. The first equation of `affine` is the product with
# $w_2$, and the one equation of `sigmoid` is the product with $\sigma_1'$:

# %%
source(ops.affine)

# %%
source(ops.sigmoid)


# %%
def by_engine(w1, b1, w2, b2, x, y):
    """The four from the recorded equations of the cost."""
    return sg.grad(cost, argnum=(0, 1, 2, 3))(w1, b1, w2, b2, x, y)


for name, hand, engine in zip(
    ("∂C/∂w₁", "∂C/∂b₁", "∂C/∂w₂", "∂C/∂b₂"),
    by_hand(*theta, X, Y),
    by_engine(*theta, X, Y),
    strict=True,
):
    print(f"{name}   by hand {hand:+.15f}   by the engine {float(engine):+.15f}")

# %% [markdown]
# ## What the notes print
#
# The notes have $(a_2 - y)\, \sigma_2'\, a_1\, \sigma_1'\, a_0$ for $\partial C/\partial w_1$, with $a_1$ in the
# place of $w_2$, and $(a_2 - y)\, \sigma_2'\, \sigma_1'$ for $\partial C/\partial b_1$, without $w_2$
# ([E4](errata.md#e4)). The check refuses both, and says what stands in the place of what.


# %%
def as_printed(w1, b1, w2, b2, x, y):
    """The four as the notes print them: a₁ for w₂ in the first, no w₂ in the second."""
    a0 = x
    a1, a2 = feed_forward(w1, b1, w2, b2, x)
    delta2 = a2 - y
    sigma_prime = a1 * (1 - a1)
    return delta2 * a1 * sigma_prime * a0, delta2 * sigma_prime, delta2 * a1, delta2


print(sg.check_gradient(cost, as_printed, *theta, X, Y))

# %% [markdown]
# ## Would one notice?
#
# The run is that of the course: $w_1$, then $w_2$, from $N(0, 1)$ with NumPy's seed 0, both biases $0.01$, the
# observation $(4, 9)$ of $y = 2x + 1$, and $\eta = 0.1$. Its code prints the cost of each iteration before the
# update. The digits are arithmetic on scalars, with no product of matrices in it, and every machine arrives at them.


# %%
def train(derivatives, eta=ETA, iterations=ITERATIONS):
    """θ ← θ − η ∂C/∂θ for the four parameters, so many times; C before each of the updates."""
    theta, costs = initial(), []
    for _ in range(iterations):
        costs.append(float(cost(*theta, X, Y)))
        steps = derivatives(*theta, X, Y)
        theta = tuple(value - eta * step for value, step in zip(theta, steps, strict=True))
    return costs


WAYS = {"by hand": by_hand, "with the engine": by_engine, "as printed": as_printed}
for name, derivatives in WAYS.items():
    first, second, *_, last = train(derivatives)
    print(f"{name:<16}  {first!r}, {second!r}, … {last!r}")

# %% [markdown]
# The training with the misprints converges as well, and in the same time. At the start $a_1$ and 1 stand for $w_2$, so
# that both derivatives are 2.5 times too large. But the hidden unit is *saturated*:

# %%
a1, _ = feed_forward(*theta, X)
print(f"a₁ = {a1:.4f}, σ₁′ = {a1 * (1 - a1):.4f}, w₂ = {theta[2]:.4f}")
wrong, right = as_printed(*theta, X, Y), by_hand(*theta, X, Y)
print("printed / right:", *(f"{p / r:.4f}" for p, r in zip(wrong, right, strict=True)))

# %% [markdown]
# The factor $\sigma_1'$ holds $w_1$ and $b_1$ nearly still, whether they go the right way or not. The parameters
# $w_2$ and $b_2$ can fit one observation without them. A cost that falls says only that *some* derivatives are good
# enough. That is why a derivative is checked, and not merely trained with.
#
# ## What goes wrong
#
# One observation can be fitted exactly, so that every $\delta_2$ ends at zero, and all four derivatives with it,
# whatever factors stand beside $\delta_2$. Twenty noisy observations cannot. At the optimum their sums vanish, not
# their terms:
#
# $$\sum_i \delta_{2,i}\, w_2\, \sigma_1'(z_{1,i})\, x_i = 0, \qquad \text{where the printed version asks for} \qquad
# \sum_i \delta_{2,i}\, a_{1,i}\, \sigma_1'(z_{1,i})\, x_i = 0 .$$
#
# The second is another point. Let us begin at $w_2 = -0.4$. The factor $a_1 > 0$ then even has the wrong sign.


# %%
x = np.linspace(-2, 2, 20)
TWENTY = x, sigmoid(3 * x + 1.5) + 0.1 * np.random.RandomState(1).randn(20)
NEGATIVE = (-0.3, 0.0, -0.4, 0.5)


def train_on_twenty(derivatives, eta=1.0, iterations=8000):
    """θ and C before each iteration, by the means of the derivatives of twenty observations."""
    theta, path = NEGATIVE, []
    for _ in range(iterations):
        path.append((*theta, np.mean(cost(*theta, *TWENTY))))
        steps = derivatives(*theta, *TWENTY)
        theta = tuple(value - eta * np.mean(step) for value, step in zip(theta, steps, strict=True))
    return np.array(path)


paths = {"right": train_on_twenty(by_hand), "as printed": train_on_twenty(as_printed)}
for name, path in paths.items():
    *ends, at_last = path[-1]
    slope = [np.mean(d) for d in by_hand(*ends, *TWENTY)]
    print(
        f"{name:<12} C = {at_last:.5f}, ‖∇C‖ = {np.linalg.norm(slope):.1e}, "
        f"w₁ = {ends[0]:+.2f}, w₂ = {ends[2]:+.2f}"
    )

# %%
left, middle, right = panels(1, 3, size=(9.6, 3.3))
grid = np.linspace(-2.2, 2.2, 200)
right.plot(*TWENTY, "o", color="0.6", markersize=4, label="observations")
for (name, path), derivatives, look in zip(
    paths.items(), (by_hand, as_printed), ("C0-", "C3--"), strict=True
):
    left.plot(train(derivatives), look, label=name)
    middle.plot(np.arange(len(path)) + 1, path[:, -1], look)
    right.plot(grid, feed_forward(*path[-1, :4], grid)[1], look)
left.set(yscale="log", xlabel="iteration", ylabel="C", title="one observation: no difference")
middle.set(xscale="log", yscale="log", xlabel="iteration", title="twenty observations")
right.set(xlabel="x", title="what they fit")
left.legend(frameon=False)
right.legend(frameon=False)
left

# %% [markdown]
# The misprint first turns $w_2$ around, until its wrong derivative has the right sign, and then fits well enough for
# nobody to complain. It comes to rest above the minimum, at a point where the gradient is not zero. (A fixed number in
# the place of the weight on the way back is known as *feedback alignment*: Lillicrap et al. 2016. It trains for this
# reason, and it is no gradient.)
#
# | it looks so | the cause |
# |---|---|
# | the cost falls, and rests above that of another run | a derivative with a wrong factor: no minimum is at its zero |
# | the cost rises at first, at any learning rate | a derivative with a wrong sign |
# | the first layer hardly moves | saturated units, $\sigma' \approx 0$: see [the vanishing gradient](vanishing_gradient.md) |
#
# ## Exercises
#
# ### Exercise 1: a sigmoid at the output
# Let $\sigma_2$ be the sigmoid, too. Which of the four derivatives change? Give all of them.


# %%
def with_two_sigmoids(w1, b1, w2, b2, x, y):
    """∂C/∂w₁, ∂C/∂b₁, ∂C/∂w₂, ∂C/∂b₂."""
    # your lines


def check_sigmoids(answer):
    def cost(w1, b1, w2, b2, x, y):
        return 0.5 * (sigmoid(w2 * sigmoid(w1 * x + b1) + b2) - y) ** 2

    sg.assert_gradient(cost, answer, 0.3, -0.2, 0.7, 0.1, 1.5, 0.2)


attempt(check_sigmoids, with_two_sigmoids)


# %% tags=["solution"]
def with_two_sigmoids(w1, b1, w2, b2, x, y):
    a1 = sigmoid(w1 * x + b1)
    a2 = sigmoid(w2 * a1 + b2)
    delta2 = (a2 - y) * a2 * (1 - a2)  # all four change: δ₂ is in each of them
    delta1 = delta2 * w2 * a1 * (1 - a1)
    return delta1 * x, delta1, delta2 * a1, delta2


attempt(check_sigmoids, with_two_sigmoids)

# %% [markdown]
# ### Exercise 2: more than one hidden layer
# The notes ask for it. Let there be $L$ layers of one unit each, all of them sigmoids. Return the list of
# $\partial C/\partial w_l$ for $l = 1, \dots, L$, given the lists of $w_l$ and $b_l$.


# %%
def of_many_layers(w, b, x, y):
    """∂C/∂w₁, …, ∂C/∂w_L."""
    # your lines


def check_layers(answer):
    def cost(w, b, x, y):
        a = x
        for k in range(4):
            a = sigmoid(w[k] * a + b[k])
        return 0.5 * (a - y) ** 2

    def by_w(w, b, x, y):
        found = answer(w, b, x, y)
        return found and (np.array(found),)

    w, b = np.array([0.7, -1.2, 0.4, 1.5]), np.array([0.1, 0.3, -0.2, 0.05])
    sg.assert_gradient(cost, by_w, w, b, 1.3, 0.2)


attempt(check_layers, of_many_layers)


# %% tags=["solution"]
def of_many_layers(w, b, x, y):
    a = [x]
    for weight, bias in zip(w, b, strict=True):
        a.append(sigmoid(weight * a[-1] + bias))
    delta, found = (a[-1] - y) * a[-1] * (1 - a[-1]), []
    for k in reversed(range(len(w))):
        found.append(delta * a[k])  # δₗ aₗ₋₁, as the list begins with a₀
        delta = delta * w[k] * a[k] * (1 - a[k])
    return found[::-1]


attempt(check_layers, of_many_layers)

# %% [markdown]
# ### Exercise 3: a point at which nobody sees the mistake
# At which $w_2$ are all four printed derivatives right, up to the size of $1 - a_1$? Return one where
# $\partial C/\partial b_1$ is right exactly.


# %%
def blind_spot():
    """w₂, a number."""
    # your line


def check_blind_spot(answer):
    at = (0.3, -0.2, answer(), 0.1, 1.5, 0.2)
    np.testing.assert_allclose(as_printed(*at)[1], by_hand(*at)[1], rtol=1e-14)


attempt(check_blind_spot, blind_spot)


# %% tags=["solution"]
def blind_spot():
    return 1.0  # a check at "nice" numbers, as 0 and 1, tells less than one at general ones


attempt(check_blind_spot, blind_spot)

# %% [markdown]
# **Read on:** [Two inputs, two hidden units, one output](two_two_one.md) has nine derivatives. How to look for a
# mistake in a derivative of your own is shown in [A layer of your own](my_layer.py).
