# %% [markdown]
# # The four equations of backpropagation
#
# *Derived, read off the library, counted, and broken.* This chapter follows the sections "Getting serious, the back
# propagation equations for a neural network" to "Updating the gradients" of the notes.
#
# A network has the layers $l = 1, \dots, L$, and $a^0 = x$ is its input. The layer $l$ has $M_l$ units, the weights
# $w_{jk}^l$ from unit $k$ of the layer before to unit $j$, and the biases $b_j^l$:
#
# $$z_j^l = \sum_k w_{jk}^l\, a_k^{l-1} + b_j^l, \qquad a_j^l = \sigma(z_j^l), \qquad
# \mathcal C = \tfrac12 \sum_j (a_j^L - y_j)^2 .$$

# %%
import importlib
import math

import numpy as np

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source

UNITS = (2, 5, 4, 2)  # M₀, …, M_L


def sigmoid(z):
    """σ(z) = 1 / (1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def network(units, seed=0):
    """W and b of each layer: (M_l, M_{l−1}) and (M_l,)."""
    rng = np.random.default_rng(seed)
    shapes = list(zip(units[1:], units[:-1], strict=True))
    return [rng.standard_normal(shape) for shape in shapes], [
        0.5 * rng.standard_normal(m) for m in units[1:]
    ]


def batch(units, n=3, seed=1):
    """n samples, (n, M₀), and targets between 0 and 1, (n, M_L)."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, units[0])), rng.random((n, units[-1]))


# %% [markdown]
# ## The derivation
#
# Give a name to the derivative by the input of each unit, $\delta_j^l = \partial \mathcal C / \partial z_j^l$. The notes
# call it the *error* of the unit. All else follows from the chain rule.
#
# **The output layer.** The cost depends on $z_j^L$ through $a_j^L$ alone. With the Hadamard product $\circ$, entry by
# entry,
#
# $$\delta_j^L = \frac{\partial \mathcal C}{\partial a_j^L}\, \sigma'(z_j^L), \qquad
# \delta^L = \frac{\partial \mathcal C}{\partial a^L} \circ \sigma'(z^L) . \tag{1}$$
#
# **From layer to layer.** The cost depends on $z_j^l$ through *all* inputs $z_k^{l+1}$ of the next layer. The chain rule
# sums over them. Since $z_k^{l+1} = \sum_j w_{kj}^{l+1} \sigma(z_j^l) + b_k^{l+1}$,
#
# $$\delta_j^l = \sum_k \frac{\partial \mathcal C}{\partial z_k^{l+1}} \frac{\partial z_k^{l+1}}{\partial z_j^l}
# = \sum_k \delta_k^{l+1}\, w_{kj}^{l+1}\, \sigma'(z_j^l) . \tag{2}$$
#
# **The weights.** The weight $w_{jk}^l$ occurs in $z_j^l$ alone, where its factor is $a_k^{l-1}$:
#
# $$\frac{\partial \mathcal C}{\partial w_{jk}^l} = \delta_j^l\, a_k^{l-1} . \tag{3}$$
#
# **The biases.** The factor of $b_j^l$ is 1:
#
# $$\frac{\partial \mathcal C}{\partial b_j^l} = \delta_j^l . \tag{4}$$
#
# The notes print $z_j = \sum_i w_{ij} a_i$ beside equation (2), with the other order of the indices
# ([E5](errata.md#e5)). One of the two has to be chosen; here the first index is always the unit.
#
# ## The four equations in the library
#
# For a batch, samples are the rows of $a$, and $z = a W^{\mathsf T} + b$. The sum over $k$ in equation (2) is the product
# $\delta W$. The sums over samples in (3) and (4) come from the cost, which is a sum over samples. Three equations stand
# in one rule, in the order $\partial \mathcal C / \partial a$, $\partial \mathcal C / \partial W$, $\partial \mathcal C / \partial b$:

# %%
source(ops.affine)

# %% [markdown]
# The factor $\sigma'$ stands in the rule of the activation function, and $\partial \mathcal C / \partial a^L$ in that of
# the cost:

# %%
source(ops.sigmoid)

# %%
source(ops.squared_error)

# %% [markdown]
# ## The algorithm in its three parts
#
# The notes state the algorithm in three parts: forward, back, update. Here it is without the library.


# %%
def feed_forward(W, b, x):
    """Part 1: a⁰ = x, and aˡ = σ(aˡ⁻¹ Wˡᵀ + bˡ) for l = 1, …, L, all of which are kept."""
    a = [x]
    for weights, biases in zip(W, b, strict=True):
        a.append(sigmoid(a[-1] @ weights.T + biases))
    return a


def back_propagate(W, a, y):
    """Part 2: δᴸ by (1), then δˡ by (2) for l = L − 1, …, 1. The list begins with δ¹."""
    delta = [(a[-1] - y) * a[-1] * (1 - a[-1])]
    for weights, activation in zip(W[:0:-1], a[-2:0:-1], strict=True):
        delta.insert(0, delta[0] @ weights * activation * (1 - activation))
    return delta


def derivatives(W, b, x, y):
    """∂C/∂Wˡ by (3) and ∂C/∂bˡ by (4), two lists."""
    a = feed_forward(W, b, x)
    delta = back_propagate(W, a, y)
    return [d.T @ before for d, before in zip(delta, a, strict=False)], [
        d.sum(axis=0) for d in delta
    ]


def update(W, b, x, y, eta):
    """Part 3: Wˡ ← Wˡ − η ∂C/∂Wˡ and bˡ ← bˡ − η ∂C/∂bˡ for l = 1, …, L."""
    by_W, by_b = derivatives(W, b, x, y)
    return [w - eta * d for w, d in zip(W, by_W, strict=True)], [
        v - eta * d for v, d in zip(b, by_b, strict=True)
    ]


def cost(W, b, x, y):
    """C, summed over the samples."""
    return 0.5 * ((feed_forward(W, b, x)[-1] - y) ** 2).sum()


W, b = network(UNITS)
x, y = batch(UNITS)
print(sg.check_gradient(cost, derivatives, W, b, x, y))

# %% [markdown]
# In part 3 the notes let $l$ run over $L - 1, L - 2, \dots, 1$, which leaves out the output layer
# ([E10](errata.md#e10)). Part 2 does begin at $L - 1$, as $\delta^L$ is known by then.
#
# The picture has one sample. Left, part 1: units show $a$, lines show $w$. Right, part 2: units show
# $\partial \mathcal C / \partial b_j = \delta_j$, lines show $\partial \mathcal C / \partial w_{jk} = \delta_j a_k$. Red is positive, blue is
# negative. A line is strong where both its ends are: a weight learns if its input is active *and* its unit has an error.
# The deltas pale from right to left, since each layer multiplies them by $\sigma' \le \tfrac14$.


# %%
def draw(ax, units, lines):
    """Draw a network: colours of the units of each layer, and of the weights between."""
    scale = max(np.abs(line).max() for line in lines)
    places = [(np.arange(len(u)) - (len(u) - 1) / 2) for u in units]
    for layer, line in enumerate(lines):
        for j, k in np.ndindex(line.shape):
            size = abs(line[j, k]) / scale
            colour = "C3" if line[j, k] > 0 else "C0"
            ends = [places[layer][k], places[layer + 1][j]]
            ax.plot(
                [layer, layer + 1],
                ends,
                color=colour,
                linewidth=0.3 + 4 * size,
                alpha=0.15 + 0.85 * size,
            )
    greatest = max(np.abs(u).max() for u in units)
    for layer, (u, at) in enumerate(zip(units, places, strict=True)):
        ax.scatter(
            np.full(len(u), layer), at, s=330, c=u, cmap="RdBu_r", vmin=-greatest, vmax=greatest,
            edgecolors="black", zorder=3,
        )  # fmt: skip
    names = [f"l = {layer}" for layer in range(len(units))]
    ax.set(xticks=range(len(units)), yticks=[], xticklabels=names)
    ax.spines[:].set_visible(False)
    ax.margins(0.12)


left, right = panels(1, 2, size=(9.6, 3.8))
one = x[:1], y[:1]
a = feed_forward(W, b, one[0])
delta = back_propagate(W, a, one[1])
draw(left, [of[0] for of in a], W)
draw(right, [0 * a[0][0], *(of[0] for of in delta)], derivatives(W, b, *one)[0])
left.set_title("forward: activations and weights →")
right.set_title("← back: δ, and the derivatives by the weights")
left

# %% [markdown]
# ## Why this is reverse-mode differentiation
#
# The network is a chain of maps, and the derivative of a chain is a product of Jacobian matrices. With $a^l = f_l(a^{l-1})$
# and $J_l = \partial a^l / \partial a^{l-1}$, an $M_l \times M_{l-1}$ matrix,
#
# $$\frac{\partial \mathcal C}{\partial a^0} = \frac{\partial \mathcal C}{\partial a^L}\; J_L\, J_{L-1} \cdots J_1 .$$
#
# The product may be taken from either end. From the right, a matrix with $M_0$ columns is carried along, one column for
# each input: *forward mode*. From the left, a single row is carried along: *reverse mode*. That row is
# $\partial \mathcal C / \partial a^l$, and with $\sigma'$ it is $\delta^l$. Equation (2) is one product of a row with a
# Jacobian. No Jacobian is ever formed.
#
# The library does the same for any graph, not only for a chain. Each rule returns its equations, and one sweep visits the
# values from the last to the first. If a value is used several times, the shares of all its uses add up, which is the sum
# over $k$ once more:

# %%
source(sg.backward_sweep)

# %%
tensors = [sg.Tensor(w) for w in W], [sg.Tensor(v) for v in b]
recorded = x
for weights, biases in zip(*tensors, strict=True):
    recorded = ops.sigmoid(ops.affine(recorded, weights, biases))
by_engine = sg.gradient(ops.squared_error(recorded, y).sum(), [*tensors[0], *tensors[1]])
by_hand = [part for parts in derivatives(W, b, x, y) for part in parts]
apart = max(np.abs(one - two).max() for one, two in zip(by_hand, by_engine, strict=True))
print(f"engine and algorithm differ by at most {apart:.1e}")
assert apart < 1e-14

# %% [markdown]
# ## The cost of both modes, counted
#
# In forward mode a *tangent* goes with each value: the derivative along one direction $(\dot W, \dot b)$ in the space of the
# parameters,
#
# $$\dot z^l = \dot a^{l-1} W^{l\,\mathsf T} + a^{l-1} \dot W^{l\,\mathsf T} + \dot b^l, \qquad
# \dot a^l = \sigma'(z^l) \circ \dot z^l .$$
#
# One sweep gives one number, the derivative of $\mathcal C$ along that direction. A gradient by $P$ parameters takes $P$
# sweeps. In reverse mode it takes one. Let us count multiplications of numbers in the products of matrices.

# %%
COUNT = [0]


def product(one, two):
    """The matrix product, whose multiplications are counted."""
    COUNT[0] += one.shape[0] * one.shape[1] * two.shape[1]
    return one @ two


def counted_cost(W, b, x, y):
    """C itself."""
    a = x
    for weights, biases in zip(W, b, strict=True):
        a = sigmoid(product(a, weights.T) + biases)
    return 0.5 * ((a - y) ** 2).sum()


def along(W, b, x, y, W_dot, b_dot):
    """The derivative of C along (Ẇ, ḃ), by one sweep in forward mode."""
    a, a_dot = x, np.zeros_like(x)
    for weights, biases, weights_dot, biases_dot in zip(W, b, W_dot, b_dot, strict=True):
        z_dot = product(a_dot, weights.T) + product(a, weights_dot.T) + biases_dot
        a = sigmoid(product(a, weights.T) + biases)
        a_dot = a * (1 - a) * z_dot
    return ((a - y) * a_dot).sum()


def forward_mode(W, b, x, y):
    """All derivatives by W, then by b, as one vector: one sweep for each parameter."""
    shapes = [part.shape for part in (*W, *b)]
    cuts, found = np.cumsum([math.prod(shape) for shape in shapes])[:-1], []
    for direction in np.eye(sum(math.prod(shape) for shape in shapes)):
        parts = np.split(direction, cuts)
        dots = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        found.append(along(W, b, x, y, dots[: len(W)], dots[len(W) :]))
    return np.array(found)


def reverse_mode(W, b, x, y):
    """The same vector by one sweep in reverse mode."""
    a = [x]
    for weights, biases in zip(W, b, strict=True):
        a.append(sigmoid(product(a[-1], weights.T) + biases))
    delta, by_W, by_b = (a[-1] - y) * a[-1] * (1 - a[-1]), [], []
    for k in reversed(range(len(W))):  # a[k] comes before the layer k + 1
        by_W.insert(0, product(delta.T, a[k]).ravel())
        by_b.insert(0, delta.sum(axis=0))
        if k:
            delta = product(delta, W[k]) * a[k] * (1 - a[k])
    return np.concatenate([*by_W, *by_b])


def count(function, units):
    """The value of a function for a network with three samples, and its multiplications."""
    COUNT[0] = 0
    return function(*network(units), *batch(units)), COUNT[0]


print(f"{'M₁ = M₂':>8}{'P':>6}{'cost alone':>12}{'reverse':>16}{'forward':>20}")
COUNTS = []
for m in (1, 2, 4, 8, 16):
    units = (2, m, m, 2)
    _, alone = count(counted_cost, units)
    slow, forward = count(forward_mode, units)
    quick, reverse = count(reverse_mode, units)
    np.testing.assert_allclose(slow, quick, atol=1e-13)
    assert reverse < 3 * alone
    assert forward == 3 * len(quick) * alone
    COUNTS.append((len(quick), alone, reverse, forward))
    print(
        f"{m:8}{len(quick):6}{alone:12}{reverse:9} = {reverse / alone:.2f} ×"
        f"{forward:12} = {forward / alone:.0f} ×"
    )

# %% [markdown]
# Both modes find the same numbers. In reverse mode the whole gradient costs less than three times as much as the cost
# function, *whatever the number of parameters*: the product $a W^{\mathsf T}$ on the way forward, and two products of the same
# size on the way back, $\delta W$ and $\delta^{\mathsf T} a$. (The first layer needs no $\delta W$.) In forward mode it is three
# times as much for *each* parameter. This is why networks are trained with backpropagation.
#
# Reverse mode pays in memory: all $a^l$ must be kept until the way back. Forward mode keeps nothing. It is the better
# choice for a function of few inputs and many outputs.

# %%
left, right = panels(1, 2, size=(9.6, 3.5))
P, alone, reverse, forward = np.array(COUNTS).T
left.plot(P, forward, "C3o-", label="forward mode")
left.plot(P, reverse, "C0o-", label="reverse mode")
left.plot(P, alone, "0.5", linestyle="--", label="the cost alone")
left.set(xscale="log", yscale="log", xlabel="parameters P", title="multiplications of a gradient")
left.legend(frameon=False)
right.plot(P, forward / alone, "C3o-", label="forward mode")
right.plot(P, 3 * P, "C3:", label="3 P")
right.plot(P, reverse / alone, "C0o-", label="reverse mode")
right.axhline(3, color="C0", linestyle=":", label="3")
right.set(xscale="log", yscale="log", xlabel="parameters P", title="over those of the cost alone")
right.legend(frameon=False)
left

# %% [markdown]
# ## What goes wrong
#
# Four slips that are easily made, three of them printed. The check refuses each, and says what it is. (The last one is in
# a demonstration of the code that the notes link to, [E19](errata.md#e19): there $\sigma'$ is taken at $a$.)


# %%
def two_layers(W1, b1, W2, b2, x, y):
    """C of two square layers, so that all shapes fit by accident."""
    return 0.5 * ((sigmoid(sigmoid(x @ W1.T + b1) @ W2.T + b2) - y) ** 2).sum()


def with_a_slip(slip):
    """The four derivatives of two layers, with one slip in them."""

    def by_hand(W1, b1, W2, b2, x, y):
        a1 = sigmoid(x @ W1.T + b1)
        a2 = sigmoid(a1 @ W2.T + b2)
        slope = sigmoid(a2) * (1 - sigmoid(a2)) if slip == "slope" else a2 * (1 - a2)
        delta2 = (a2 - y) * slope
        back = delta2 @ W2.T if slip == "order" else delta2 @ W2
        delta1 = back * a1 * (1 - a1)
        before = a1 if slip == "before" else x
        last = (0 * W2, 0 * b2) if slip == "last" else (delta2.T @ a1, delta2.sum(axis=0))
        return delta1.T @ before, delta1.sum(axis=0), *last

    return by_hand


SLIPS = {
    "order": "E5, the order of the indices in (2)",
    "before": "E6, a¹ for a⁰ in (3)",
    "last": "E10, no derivative of the output layer",
    "slope": "E19, σ′(a) for σ′(z) in (1)",
}
rng = np.random.default_rng(2)
shapes = (3, 3), (3,), (3, 3), (3,), (4, 3), (4, 3)
arrays = [rng.standard_normal(shape) for shape in shapes]
assert sg.check_gradient(two_layers, with_a_slip(None), *arrays).ok
for slip, said in SLIPS.items():
    report = sg.check_gradient(two_layers, with_a_slip(slip), *arrays)
    assert not report.ok
    wrong = [entry for entry in report.entries if not entry.ok]
    print(f"{said}: wrong are {', '.join(entry.name for entry in wrong)}")
    print(f"   {wrong[0].name}: {wrong[0].diagnosis}\n")

# %% [markdown]
# | it looks so | the cause |
# |---|---|
# | shapes fit only for layers of equal width | $W$ for $W^{\mathsf T}$, in (2) |
# | the best learning rate changes with the size of the batch | a sum for a mean over the samples, or the other way round |
# | a unit that is used twice learns from one of its uses | shares that are overwritten and not added |
# | out of memory in deep networks | all $a^l$ are kept for the way back: `part_size` of `train` |
#
# ## Exercises
#
# ### Exercise 1: softmax with the cross-entropy
# Let $p_j = e^{z_j^L} / \sum_k e^{z_k^L}$ be the outputs, and $\mathcal C = -\sum_j y_j \log p_j$ with $\sum_j y_j = 1$.
# Derive $\delta^L = \partial \mathcal C / \partial z^L$. Here $\sigma$ of one unit depends on all $z$, so that (1) becomes a sum.


# %%
def delta_of_softmax(z, y):
    """δᴸ, for one sample."""
    # your lines


def check_softmax(answer):
    target = np.array([0.2, 0.5, 0.3])

    def cost(z):
        return np.log(np.exp(z).sum()) - (target * z).sum()

    sg.assert_gradient(cost, lambda z: answer(z, target), np.array([0.3, -1.0, 0.8]))


attempt(check_softmax, delta_of_softmax)


# %% tags=["solution"]
def delta_of_softmax(z, y):
    p = np.exp(z) / np.exp(z).sum()
    return p - y


attempt(check_softmax, delta_of_softmax)

# %% [markdown]
# ### Exercise 2: a layer with a skip
# A residual layer is $a' = a + \sigma(a W^{\mathsf T} + b)$, with a square $W$. Its input is used twice. Given
# $\delta' = \partial \mathcal C / \partial a'$, return $\partial \mathcal C / \partial a$, $\partial \mathcal C / \partial W$ and
# $\partial \mathcal C / \partial b$.


# %%
def back_through_a_skip(delta, a, W, b):
    """∂C/∂a, ∂C/∂W and ∂C/∂b."""
    # your lines


def check_skip(answer):
    rng = np.random.default_rng(0)
    a, W, b, r = (rng.standard_normal(shape) for shape in ((4, 3), (3, 3), (3,), (4, 3)))

    def cost(a, W, b):
        return (r * (a + sigmoid(a @ W.T + b))).sum()

    sg.assert_gradient(cost, lambda a, W, b: answer(r, a, W, b), a, W, b)


attempt(check_skip, back_through_a_skip)


# %% tags=["solution"]
def back_through_a_skip(delta, a, W, b):
    s = sigmoid(a @ W.T + b)
    inner = delta * s * (1 - s)
    return delta + inner @ W, inner.T @ a, inner.sum(axis=0)  # two uses, two shares


attempt(check_skip, back_through_a_skip)

# %% [markdown]
# ### Exercise 3: both modes are one matrix
# Forward mode computes $J v$ and reverse mode $J^{\mathsf T} \delta$ with the same Jacobian $J$, so that
# $\langle \delta, J v \rangle = \langle J^{\mathsf T} \delta, v \rangle$ for any $v$ and $\delta$. Tests of rules use this law. Write the
# forward mode of `affine`: the tangent of $z = a W^{\mathsf T} + b$ for tangents of all three inputs.


# %%
def tangent_of_affine(a, W, b, a_dot, W_dot, b_dot):
    """ż, for tangents ȧ, Ẇ and ḃ."""
    # your line


def check_tangent(answer):
    rng = np.random.default_rng(0)
    shapes = (4, 3), (2, 3), (2,)
    at = [rng.standard_normal(shape) for shape in shapes]
    v = [rng.standard_normal(shape) for shape in shapes]
    delta = rng.standard_normal((4, 2))
    _, equations = ops.affine.rule(*at)
    shares = [equation(delta) for equation in equations]
    expected = sum((share * dot).sum() for share, dot in zip(shares, v, strict=True))
    np.testing.assert_allclose((delta * answer(*at, *v)).sum(), expected, rtol=1e-12)


attempt(check_tangent, tangent_of_affine)


# %% tags=["solution"]
def tangent_of_affine(a, W, b, a_dot, W_dot, b_dot):
    return a_dot @ W.T + a @ W_dot.T + b_dot


attempt(check_tangent, tangent_of_affine)

# %% [markdown]
# ### Exercise 4: autograd in place of derivatives by hand
# The notes pose this challenge: replace the derivatives by automatic ones. With
# [autograd](https://github.com/HIPS/autograd) (`pip install autograd`) the cost of `two_layers` has to be written with
# `autograd.numpy`, whose functions record what they compute. Return its derivatives by the four parameters. Where autograd
# is not installed, the exercise is not tried.


# %%
def by_autograd(W1, b1, W2, b2, x, y):
    """The four derivatives."""
    # your lines


def check_autograd(answer):
    importlib.import_module("autograd")
    sg.assert_gradient(two_layers, answer, *arrays)


attempt(check_autograd, by_autograd)


# %% tags=["solution"]
def by_autograd(W1, b1, W2, b2, x, y):
    import autograd
    import autograd.numpy as recorded

    def cost(W1, b1, W2, b2):
        a1 = 1 / (1 + recorded.exp(-(recorded.dot(x, W1.T) + b1)))
        a2 = 1 / (1 + recorded.exp(-(recorded.dot(a1, W2.T) + b2)))
        return 0.5 * recorded.sum((a2 - y) ** 2)

    return autograd.grad(cost, argnum=(0, 1, 2, 3))(W1, b1, W2, b2)


attempt(check_autograd, by_autograd)

# %% [markdown]
# ### Exercise 5: JAX
# The same with [JAX](https://docs.jax.dev) (`pip install jax`). It computes in single precision unless told otherwise,
# and the check of a derivative wants double precision. Where JAX is not installed, the exercise is not tried.


# %%
def by_jax(W1, b1, W2, b2, x, y):
    """The four derivatives."""
    # your lines


def check_jax(answer):
    importlib.import_module("jax").config.update("jax_enable_x64", True)
    sg.assert_gradient(two_layers, answer, *arrays)


attempt(check_jax, by_jax)


# %% tags=["solution"]
def by_jax(W1, b1, W2, b2, x, y):
    import jax

    def cost(W1, b1, W2, b2):
        a1 = jax.nn.sigmoid(x @ W1.T + b1)
        return 0.5 * ((jax.nn.sigmoid(a1 @ W2.T + b2) - y) ** 2).sum()

    found = jax.grad(cost, argnums=(0, 1, 2, 3))(W1, b1, W2, b2)
    return [np.array(part) for part in found]


attempt(check_jax, by_jax)

# %% [markdown]
# `sg.grad(two_layers, argnum=(0, 1, 2, 3))` is the same line of this library, and NumPy's own functions are recorded.
#
# **Read on:** [Optimizers](optimizers.md) make more of a gradient than $\theta - \eta \nabla \mathcal C$.
# [The vanishing gradient](vanishing_gradient.md) follows equation (2) through twenty layers.
