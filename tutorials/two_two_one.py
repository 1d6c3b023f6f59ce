# %% [markdown]
# # Two inputs, two hidden units, one output
#
# *Nine derivatives, one by one, and then as two lines.* This chapter follows the section "Simple neural network and
# the back propagation equations" of the notes.
#
# The sigmoid stands for $\sigma^{(1)}$ and $\sigma^{(2)}$, the cost is $\tfrac12 (a^{(2)} - y)^2$, and $a^{(0)} = x$:
#
# $$z_i^{(1)} = w_{i0}^{(1)} a_0^{(0)} + w_{i1}^{(1)} a_1^{(0)} + b_i^{(1)}, \quad a_i^{(1)} = \sigma(z_i^{(1)}), \qquad
# z^{(2)} = w_0^{(2)} a_0^{(1)} + w_1^{(2)} a_1^{(1)} + b^{(2)}, \quad a^{(2)} = \sigma(z^{(2)}) .$$
#
# The order of the indices is that of the notes' "Compact expressions": the first index of $w_{ij}^{(1)}$ is the unit,
# the second one the input. (In "Final back propagating equation" they mix it with the other order,
# [E5](errata.md#e5).)

# %%
import functools

import numpy as np

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source

NAMES = ("w00", "w01", "w10", "w11", "w0", "w1", "b0", "b1", "b")
THETA = (0.15, -0.25, 0.45, 0.35, 0.55, -0.3, 0.1, -0.2, 0.25)  # numbers of our own: the notes
X0, X1, Y = 0.8, -1.3, 0.9  # give none
XOR = np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 0, 1]), np.array([0.0, 1, 1, 0])  # x₀, x₁, y
ETA, ITERATIONS = 10.0, 2000


def sigmoid(z):
    """σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def feed_forward(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1):
    """a₀⁽¹⁾, a₁⁽¹⁾ and a⁽²⁾."""
    a0 = sigmoid(w00 * x0 + w01 * x1 + b0)
    a1 = sigmoid(w10 * x0 + w11 * x1 + b1)
    return a0, a1, sigmoid(w0 * a0 + w1 * a1 + b)


def cost(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1, y):
    """C = ½ (a⁽²⁾ − y)²."""
    *_, a = feed_forward(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1)
    return 0.5 * (a - y) ** 2


# %% [markdown]
# ## The nine derivatives
#
# The output layer has one $\delta$, and three derivatives made of it:
#
# $$\delta^{(2)} = \frac{\partial C}{\partial a^{(2)}} \frac{\partial a^{(2)}}{\partial z^{(2)}}
# = (a^{(2)} - y)\, \sigma'(z^{(2)}), \qquad
# \frac{\partial C}{\partial w_i^{(2)}} = \delta^{(2)} a_i^{(1)}, \qquad \frac{\partial C}{\partial b^{(2)}} = \delta^{(2)} .$$
#
# Each hidden unit has a $\delta$ of its own, made of its part in $z^{(2)}$ and of its slope, and three derivatives
# made of that:
#
# $$\delta_i^{(1)} = w_i^{(2)} \delta^{(2)} \sigma'(z_i^{(1)}), \qquad
# \frac{\partial C}{\partial w_{ij}^{(1)}} = \delta_i^{(1)} a_j^{(0)}, \qquad
# \frac{\partial C}{\partial b_i^{(1)}} = \delta_i^{(1)} .$$


# %%
def deltas(w0, w1, a0, a1, a, y):
    """δ₀⁽¹⁾, δ₁⁽¹⁾ and δ⁽²⁾, with σ′(z) = a (1 − a)."""
    delta = (a - y) * a * (1 - a)
    return w0 * delta * a0 * (1 - a0), w1 * delta * a1 * (1 - a1), delta


def by_hand(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1, y):
    """The nine, in the order of the parameters."""
    a0, a1, a = feed_forward(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1)
    delta0, delta1, delta = deltas(w0, w1, a0, a1, a, y)
    return (
        delta0 * x0,  # ∂C/∂w₀₀⁽¹⁾ = δ₀⁽¹⁾ a₀⁽⁰⁾
        delta0 * x1,  # ∂C/∂w₀₁⁽¹⁾ = δ₀⁽¹⁾ a₁⁽⁰⁾
        delta1 * x0,  # ∂C/∂w₁₀⁽¹⁾ = δ₁⁽¹⁾ a₀⁽⁰⁾
        delta1 * x1,  # ∂C/∂w₁₁⁽¹⁾ = δ₁⁽¹⁾ a₁⁽⁰⁾
        delta * a0,  # ∂C/∂w₀⁽²⁾ = δ⁽²⁾ a₀⁽¹⁾
        delta * a1,  # ∂C/∂w₁⁽²⁾ = δ⁽²⁾ a₁⁽¹⁾
        delta0,  # ∂C/∂b₀⁽¹⁾ = δ₀⁽¹⁾
        delta1,  # ∂C/∂b₁⁽¹⁾ = δ₁⁽¹⁾
        delta,  # ∂C/∂b⁽²⁾ = δ⁽²⁾
    )


def by_engine(*arguments):
    """The nine from the recorded equations of the cost, for one sample or the mean of several."""
    return sg.grad(lambda *given: np.mean(cost(*given)), argnum=range(9))(*arguments)


arguments = (*THETA, X0, X1, Y)
print(sg.check_gradient(cost, by_hand, *arguments))
print("\n        by hand             by the engine")
for name, one, other in zip(NAMES, by_hand(*arguments), by_engine(*arguments), strict=True):
    print(f"  {name:<4}{float(one):+.16f} {float(other):+.16f}")

# %% [markdown]
# ## What the notes print
#
# For $\partial C/\partial w_{ij}^{(1)}$ the notes print $\delta_i^{(1)} a_j^{(1)}$, four times
# ([E6](errata.md#e6)). But $\partial z_i^{(1)} / \partial w_{ij}^{(1)}$ is the factor of the weight, the input
# $a_j^{(0)}$, as in the notes' own update a page later. The check names the unit that stands for the input.


# %%
def as_printed(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1, y):
    """The nine as the notes print them: a⁽¹⁾ for a⁽⁰⁾ in the first four."""
    a0, a1, a = feed_forward(w00, w01, w10, w11, w0, w1, b0, b1, b, x0, x1)
    delta0, delta1, delta = deltas(w0, w1, a0, a1, a, y)
    first = delta0 * a0, delta0 * a1, delta1 * a0, delta1 * a1
    return (*first, delta * a0, delta * a1, delta0, delta1, delta)


print(sg.check_gradient(cost, as_printed, *arguments))

# %% [markdown]
# ## The nine as two lines
#
# A derivative by a weight is always the $\delta$ behind the weight times the activation before it. With a matrix
# $W^{(l)}$ for each layer, and a row for each sample, all nine are two lines, and a third one makes the deltas:
#
# $$\frac{\partial C}{\partial W^{(l)}} = \delta^{(l)\mathsf T} a^{(l-1)}, \qquad
# \frac{\partial C}{\partial b^{(l)}} = \sum_n \delta_n^{(l)}, \qquad
# \delta^{(l)} = (\delta^{(l+1)} W^{(l+1)}) \circ \sigma'(z^{(l)}) .$$
#
# Here $\circ$ is the Hadamard product, entry by entry. In the library these are the three equations of `affine`, and
# the equation of `sigmoid`:

# %%
source(ops.affine)


# %%
def trace():
    """The same network layer by layer, and every equation that its gradient uses."""
    w00, w01, w10, w11, w0, w1, b0, b1, b = THETA
    parameters = {
        "W⁽¹⁾": sg.Tensor([[w00, w01], [w10, w11]]),
        "b⁽¹⁾": sg.Tensor([b0, b1]),
        "W⁽²⁾": sg.Tensor([[w0, w1]]),
        "b⁽²⁾": sg.Tensor([b]),
    }
    W1, b1, W2, b2 = parameters.values()
    x, y = np.array([[X0, X1]]), np.array([[Y]])
    z1 = ops.affine(x, W1, b1)
    a1 = ops.sigmoid(z1)
    z2 = ops.affine(a1, W2, b2)
    a2 = ops.sigmoid(z2)
    names = {"a⁽⁰⁾": x, "z⁽¹⁾": z1, "a⁽¹⁾": a1, "z⁽²⁾": z2, "a⁽²⁾": a2, "y": y}
    return sg.trace(ops.squared_error(a2, y).mean(), parameters, names)


print(trace())

# %% [markdown]
# Read the table from the top: it is the way back, from the cost to the parameters. Compare its last column with the
# nine numbers above. `scratchgen trace --html trace.html` writes a page that steps through it.
#
# ## Four updates, and a problem that needs them all
#
# Training repeats four updates, two for each layer,
#
# $$w_i^{(2)} \leftarrow w_i^{(2)} - \eta\, \delta^{(2)} a_i^{(1)}, \quad b^{(2)} \leftarrow b^{(2)} - \eta\, \delta^{(2)}, \qquad
# w_{ij}^{(1)} \leftarrow w_{ij}^{(1)} - \eta\, \delta_i^{(1)} a_j^{(0)}, \quad b_i^{(1)} \leftarrow b_i^{(1)} - \eta\, \delta_i^{(1)},$$
#
# with all $\delta$ of the same $\Theta$. For several samples they take the means. In general the updates run over
# $l = L, L - 1, \dots, 1$. The notes begin with $L - 1$, which would leave out the output layer
# ([E10](errata.md#e10)).
#
# The exclusive or, XOR, shows the difference. No network without hidden units can represent it: a line would have to
# separate $(0, 0)$ and $(1, 1)$ from $(0, 1)$ and $(1, 0)$. This network can.


# %%
def without_the_output_layer(*arguments):
    """The nine that an update for l = L − 1, …, 1 uses: those of the output layer are left out."""
    nine = by_hand(*arguments)
    return (*nine[:4], 0.0, 0.0, *nine[6:8], 0.0)


@functools.cache
def train(derivatives, eta=ETA, iterations=ITERATIONS):
    """θ after the four updates on XOR, again and again, and the mean cost before each of them."""
    theta, costs = THETA, []
    for _ in range(iterations):
        costs.append(float(np.mean(cost(*theta, *XOR))))
        nine = derivatives(*theta, *XOR)
        theta = tuple(t - eta * np.mean(d) for t, d in zip(theta, nine, strict=True))
    return theta, costs


WAYS = {
    "by hand": by_hand,
    "as printed, a⁽¹⁾ for a⁽⁰⁾ (E6)": as_printed,
    "as printed, l = L − 1, …, 1 (E10)": without_the_output_layer,
}
print(f"XOR after {ITERATIONS} times the four updates, η = {ETA:g}:\n")
for name, derivatives in WAYS.items():
    theta, costs = train(derivatives)
    *_, a = feed_forward(*theta, *XOR[:2])
    said = "  ".join(f"{value:.3f}" for value in a)
    print(f"  {name:<36} mean cost {costs[0]:.4f} → {costs[-1]:.4f}   a⁽²⁾ = {said}")

# %% [markdown]
# ## What goes wrong
#
# Left: three trainings. All begin on a plateau at $\tfrac18$, the cost of the answer $\tfrac12$ to all four questions.
# The right one leaves it after hundreds of iterations; those with a misprint stay there, or a little below. Right:
# $a^{(2)}$ over the plane. Each hidden unit draws one of the lines $z_i^{(1)} = 0$, and the output is 0 between them.

# %%
left, right = panels(1, 2, size=(9.6, 3.8), width_ratios=(1.25, 1))
for (name, derivatives), look in zip(WAYS.items(), ("C0-", "C3--", "C1:"), strict=True):
    left.plot(np.arange(ITERATIONS) + 1, train(derivatives)[1], look, label=name)
left.axhline(1 / 8, color="0.7", linewidth=0.8, zorder=0)
left.set(yscale="log", xlabel="iteration", ylabel="mean C", title="XOR")
left.legend(frameon=False, fontsize=8.5, loc="lower left")
theta, _ = train(by_hand)
axis = np.linspace(-0.5, 1.5, 201)
x0, x1 = np.meshgrid(axis, axis)
w00, w01, w10, w11, *_, b0, b1, _ = theta
shown = right.imshow(
    feed_forward(*theta, x0, x1)[2], origin="lower", extent=(-0.5, 1.5, -0.5, 1.5), cmap="RdBu_r"
)
shown.set_clim(0, 1)
for w, v, bias in ((w00, w01, b0), (w10, w11, b1)):
    right.plot(axis, -(w * axis + bias) / v, "k--", linewidth=1)
for a, b, y in zip(*XOR, strict=True):
    right.plot(a, b, "o", color="white" if y else "black", markeredgecolor="black", markersize=9)
right.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xlabel="$x_0$", ylabel="$x_1$", title="$a^{(2)}$")
right.figure.colorbar(shown, ax=right)
left

# %% [markdown]
# | it looks so | the cause |
# |---|---|
# | the cost rests at that of a constant answer | the first layer learns from the wrong numbers, or both hidden units are the same |
# | the cost falls a little, and no further | a layer is not updated |
# | the cost is constant to the last digit | all weights began at zero: see exercise 2 |
#
# ## Exercises
#
# ### Exercise 1: the nine as matrices
# Write the derivatives by $W^{(1)}$, $b^{(1)}$, $W^{(2)}$, $b^{(2)}$ for the sum of the costs of several samples:
# `x` is $(n, 2)$, `y` is $(n, 1)$.


# %%
def as_matrices(W1, b1, W2, b2, x, y):
    """∂C/∂W⁽¹⁾, ∂C/∂b⁽¹⁾, ∂C/∂W⁽²⁾, ∂C/∂b⁽²⁾."""
    # your lines


def check_matrices(answer):
    def cost(W1, b1, W2, b2, x, y):
        return 0.5 * ((sigmoid(sigmoid(x @ W1.T + b1) @ W2.T + b2) - y) ** 2).sum()

    rng = np.random.default_rng(0)
    shapes = (2, 2), (2,), (1, 2), (1,), (5, 2), (5, 1)
    sg.assert_gradient(cost, answer, *(rng.standard_normal(shape) for shape in shapes))


attempt(check_matrices, as_matrices)


# %% tags=["solution"]
def as_matrices(W1, b1, W2, b2, x, y):
    a1 = sigmoid(x @ W1.T + b1)
    a2 = sigmoid(a1 @ W2.T + b2)
    delta2 = (a2 - y) * a2 * (1 - a2)
    delta1 = delta2 @ W2 * a1 * (1 - a1)
    return delta1.T @ x, delta1.sum(axis=0), delta2.T @ a1, delta2.sum(axis=0)


attempt(check_matrices, as_matrices)

# %% [markdown]
# ### Exercise 2: a symmetric start
# Let the two hidden units begin with the same three numbers, and with the same weight on the way out. Which of the
# nine derivatives are then equal? Return the pairs of names, such as `("w0", "b")`. What follows for a training that
# begins at zero?


# %%
def equal_pairs():
    """Pairs of names from NAMES."""
    # your line


def check_pairs(answer):
    symmetric = (0.3, -0.7, 0.3, -0.7, 0.5, 0.5, 0.2, 0.2, -0.1)
    nine = dict(zip(NAMES, by_hand(*symmetric, X0, X1, Y), strict=True))
    equal = {(p, q) for p in NAMES for q in NAMES if p < q and nine[p] == nine[q]}
    assert {tuple(sorted(pair)) for pair in answer()} == equal, "some are missing, or not equal"


attempt(check_pairs, equal_pairs)


# %% tags=["solution"]
def equal_pairs():
    # The units take the same step, and stay alike for ever: there is only one hidden unit.
    return [("w00", "w10"), ("w01", "w11"), ("w0", "w1"), ("b0", "b1")]


attempt(check_pairs, equal_pairs)

# %% [markdown]
# ### Exercise 3: XOR by thought
# Find nine parameters, without training, that answer all four questions of XOR with an error below 0.01. One hidden
# unit may compute OR, the other one AND.


# %%
def xor_by_thought():
    """The nine, in the order of NAMES."""
    # your line


def check_xor(answer):
    *_, a = feed_forward(*answer(), *XOR[:2])
    np.testing.assert_allclose(a, XOR[2], atol=0.01)


attempt(check_xor, xor_by_thought)


# %% tags=["solution"]
def xor_by_thought():
    steep = 20.0  # a₀ = OR: x₀ + x₁ > ½;  a₁ = AND: x₀ + x₁ > 1½;  a = OR and not AND
    return steep, steep, steep, steep, steep, -steep, -0.5 * steep, -1.5 * steep, -0.5 * steep


attempt(check_xor, xor_by_thought)

# %% [markdown]
# ### Exercise 4: the cross-entropy in place of the squared error
# With $C = -y \log a^{(2)} - (1 - y) \log (1 - a^{(2)})$, what is $\delta^{(2)} = \partial C / \partial z^{(2)}$? Why
# does an output that is wrong and saturated learn faster?


# %%
def delta_of_cross_entropy(z, y):
    """δ⁽²⁾."""
    # your line


def check_delta(answer):
    z = np.array([-3.0, -0.5, 2.0])
    sg.assert_gradient(lambda z: (np.log1p(np.exp(z)) - Y * z).sum(), lambda z: answer(z, Y), z)


attempt(check_delta, delta_of_cross_entropy)


# %% tags=["solution"]
def delta_of_cross_entropy(z, y):
    return sigmoid(z) - y  # σ′ has cancelled: no saturated output stops it


attempt(check_delta, delta_of_cross_entropy)

# %% [markdown]
# **Step through** [this network](traces.md#backpropagation-with-nine-parameters), and predict each number.
#
# **Read on:** [The four equations of backpropagation](backpropagation.md) are these for any number of layers and
# units. [The vanishing gradient](vanishing_gradient.md) follows $\delta$ through twenty of them.
