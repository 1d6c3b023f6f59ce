# %% [markdown]
# # The vanishing gradient
#
# *What a layer does to the size of $\delta$, and why deep networks were hard to train.* This chapter follows the section
# "Important observations" of the notes: where the derivatives of the activation functions vanish, the training may stop;
# where they are large, the parameters may run away. How fast?

# %%
import functools

import numpy as np

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen import optim, plotting
from scratchgen.learning import attempt, panels, source

WIDTH, DEPTH, BATCH = 200, 20, 50
ACTIVATIONS = {  # σ, σ′ in terms of a = σ(z), and g
    "sigmoid": (ops.sigmoid, lambda a: a * (1 - a), 1.0),
    "tanh": (np.tanh, lambda a: 1 - a * a, 1.0),
    "ReLU": (ops.relu, lambda a: (a > 0).astype(a.dtype), 2.0),
}

# %% [markdown]
# ## One layer
#
# The equation that hands $\delta$ from layer to layer is, for a batch of rows
# ([the four equations](backpropagation.md)),
#
# $$\delta^l = (\delta^{l+1} W^{l+1}) \circ \sigma'(z^l) .$$
#
# Let the $n^2$ entries of $W$ be independent draws from $N(0, g/n)$. An entry of $\delta W$ is a sum of $n$ terms
# $\delta_k w_{kj}$, and has the variance $(g/n) \|\delta\|^2$. There are $n$ such entries, so that $\|\delta W\|^2 \approx g \|\delta\|^2$. Of each
# square $\sigma'$ keeps the part $\mathbb E\, \sigma'(z)^2$. So one layer changes the size of $\delta$ by the factor
#
# $$\frac{\|\delta^l\|}{\|\delta^{l+1}\|} \approx \sqrt{g\, \mathbb E\, \sigma'(z)^2},$$
#
# and $L$ layers by that to the power $L$. Unless the factor is one, the first layers learn nothing, or too much.
#
# - The **sigmoid** has $\sigma' \le \tfrac14$. With $g = 1$ nine layers cost five digits at the least.
# - **tanh** has $\sigma'(0) = 1$, and loses where it saturates.
# - For **ReLU** $\sigma'^2$ is 1 in half of the units, and $g = 2$ makes up for the other half (He et al. 2015,
#   arXiv:1502.01852, section 2.2).


# %%
def weights(g, seed=0):
    """W of each layer from N(0, g/n), the input x, and r, which is δ at the output."""
    rng = sg.generator(seed)
    scale = np.sqrt(g / WIDTH)
    Ws = [scale * rng.standard_normal((WIDTH, WIDTH)) for _ in range(DEPTH)]
    x, r = rng.standard_normal((2, BATCH, WIDTH))
    return Ws, x, r


@functools.cache
def by_hand(name):
    """‖δˡ‖ of each layer from the last to the first, and E σ′(zˡ)², in the same order."""
    sigma, sigma_prime, g = ACTIVATIONS[name]
    Ws, x, r = weights(g)
    activations = [x]
    for W in Ws:
        activations.append(sigma(activations[-1] @ W.T))
    slopes = [sigma_prime(a) for a in activations[1:]]
    delta = r * slopes[-1]
    norms = [np.linalg.norm(delta)]
    for W, slope in zip(Ws[:0:-1], slopes[-2::-1], strict=True):
        delta = delta @ W * slope
        norms.append(np.linalg.norm(delta))
    return np.array(norms), np.array([np.mean(slope * slope) for slope in slopes[::-1]])


norms = {name: by_hand(name)[0] for name in ACTIVATIONS}
print(f"‖δ‖ in {DEPTH} layers of {WIDTH} units, from the last to the first:\n")
print("layer" + "".join(f"{name:>12}" for name in norms))
for k in range(0, DEPTH, 3):
    print(f"{DEPTH - k:>5}" + "".join(f"{of[k]:12.2e}" for of in norms.values()))

# %% [markdown]
# The theory takes $\delta$ to be independent of $W$. At the output it is, if the cost is $C = \sum r \circ a$ with a random $r$,
# as here. With $\tfrac12 (a - r)^2$, $\delta$ knows $a$, and $a$ knows $W$: ReLU then gains 4 to 8 % in a layer.


# %%
def factors(name):
    """What a layer multiplies ‖δ‖ by, on geometric average: as measured, and √(g E σ′²)."""
    norms, slopes = by_hand(name)
    g = ACTIVATIONS[name][2]
    measured = (norms[-1] / norms[0]) ** (1 / (len(norms) - 1))
    return measured, float(np.exp(np.mean(np.log(g * slopes[1:])) / 2))


print("from layer to layer, ×     measured   √(g E σ′²)")
for name in ACTIVATIONS:
    measured, predicted = factors(name)
    print(f"  {name:<22}{measured:11.3f}{predicted:13.3f}")

# %% [markdown]
# ## The same, watched in the engine
#
# The sweep of the engine has the same $\delta$ in its hands. A trace writes them down, and sums up the size of each:

# %%
source(sg.Trace.delta_norms)


# %%
@functools.cache
def by_engine(name):
    """‖δˡ‖ of each layer by its number, from the sweep that the trace writes down."""
    sigma, _, g = ACTIVATIONS[name]
    Ws, a, r = weights(g)
    layers = {f"{k}.W": sg.Tensor(W) for k, W in enumerate(Ws, 1)}
    for W in layers.values():
        a = sigma(ops.affine(a, W, np.zeros(WIDTH)))
    return sg.trace((r * a).sum(), layers).delta_norms()


def picture():
    """‖δ‖ from the output back to the input, one line for each σ."""
    ax = None
    for name in ACTIVATIONS:
        ax = plotting.delta_norms(by_engine(name), ax)
        line, factor = ax.get_lines()[-1], factors(name)[0]
        line.set_label(f"{name}: × {factor:.3g} from layer to layer")
    ax.legend()
    return ax


picture()

# %% [markdown]
# ## What goes wrong
#
# The factor depends on the scale of the weights. Left: the mean factor of ten layers over $\sqrt g$. Below the crossing
# with one, gradients vanish, and beyond it they *explode*. ReLU crosses at $\sqrt 2$, as derived. The sigmoid crosses only
# where its weights are so large that most units are saturated: $z$ then has the standard deviation $\sqrt{g/2}$, and the
# few units with a slope carry all of $\delta$. Right: the norms of $\delta$ of a ReLU network with $g = 1$, $2$ and $4$, and, dotted,
# shortened to the length 1 by `optim.clip_grad_norm`. Clipping keeps the parameters from running away, and leaves the
# ratio of the layers as it is.


# %%
def mean_factor(name, g, depth=10, width=100, seed=0):
    """The mean factor of ``depth`` layers, and ‖δ‖ of each from the last to the first."""
    sigma, sigma_prime, _ = ACTIVATIONS[name]
    rng = np.random.default_rng(seed)
    Ws = rng.standard_normal((depth, width, width)) * np.sqrt(g / width)
    a, slopes = rng.standard_normal((30, width)), []
    for W in Ws:
        a = sigma(a @ W.T)
        slopes.append(sigma_prime(a))
    delta = rng.standard_normal(a.shape) * slopes[-1]
    norms = [np.linalg.norm(delta)]
    for W, slope in zip(Ws[:0:-1], slopes[-2::-1], strict=True):
        delta = delta @ W * slope
        norms.append(np.linalg.norm(delta))
    return (norms[-1] / norms[0]) ** (1 / (depth - 1)), np.array(norms)


left, right = panels(1, 2, size=(9.6, 3.6))
scales = np.geomspace(0.3, 30, 25)
for name, colour in zip(ACTIVATIONS, ("C0", "C1", "C2"), strict=True):
    of_scales = [mean_factor(name, s**2)[0] for s in scales]
    crossing = np.exp(np.interp(0, np.log(of_scales), np.log(scales)))
    print(f"{name:<8} has the factor 1 at √g = {crossing:.2f}")
    left.plot(scales, of_scales, "o-", color=colour, markersize=3, label=name)
left.axhline(1, color="0.5", linewidth=0.8)
left.axvline(np.sqrt(2), color="C2", linestyle=":", label="√2")
left.set(
    xscale="log", yscale="log", ylim=(0.03, 30), xlabel=r"$\sqrt{g}$", title="factor of a layer"
)
left.legend(frameon=False)
for g, colour in ((1.0, "C0"), (2.0, "C2"), (4.0, "C3")):
    norms = mean_factor("ReLU", g)[1]
    clipped = np.concatenate(optim.clip_grad_norm(np.split(norms, len(norms)), 1.0))
    right.plot(np.arange(10, 0, -1), norms, "o-", color=colour, markersize=3, label=f"g = {g:g}")
    right.plot(np.arange(10, 0, -1), clipped, ":", color=colour)
right.invert_xaxis()
right.set(yscale="log", xlabel="layer", title="‖δ‖ of ReLU; dotted: shortened to 1")
right.legend(frameon=False)
left

# %% [markdown]
# | it looks so | the cause, and what helps |
# |---|---|
# | the first layers keep their initial weights | a factor below 1: ReLU with $g = 2$, a normalisation, skips |
# | the cost becomes NaN after some steps | a factor above 1, or a rate too large: clip the gradient, scale the weights |
# | some units are 0 for all samples, for ever | ReLU units whose $z < 0$ everywhere: $\sigma' = 0$, no $\delta$ passes |
#
# ## Exercises
#
# ### Exercise 1: LeakyReLU
# With $\sigma(z) = z$ for $z > 0$ and $s z$ else, and $z$ symmetric about 0, which $g$ makes the factor one?


# %%
def gain(s):
    """g, for the slope s of negative z."""
    # your line


def check_gain(answer):
    rng = np.random.default_rng(0)
    for s in (0.01, 0.2, 0.5):
        z = rng.standard_normal(100_000)
        squares = np.where(z > 0, 1.0, s) ** 2
        assert abs(answer(s) * squares.mean() - 1) < 0.02


attempt(check_gain, gain)


# %% tags=["solution"]
def gain(s):
    return 2 / (1 + s**2)


attempt(check_gain, gain)

# %% [markdown]
# ### Exercise 2: how many layers
# With $\sigma' \le \tfrac14$ and $\|W\|_2 \le 1$, after how many layers at most has $\|\delta\|$ fallen below $10^{-16}$ of its value
# at the output? Then double precision cannot tell the first layer's step from none.


# %%
def layers_to_nothing():
    """The number of layers."""
    # your line


def check_nothing(answer):
    L = answer()
    assert 0.25**L < 1e-16 <= 0.25 ** (L - 1)


attempt(check_nothing, layers_to_nothing)


# %% tags=["solution"]
def layers_to_nothing():
    return int(np.ceil(16 / np.log10(4)))


attempt(check_nothing, layers_to_nothing)

# %% [markdown]
# ### Exercise 3: a skip
# In a residual network $a^{l+1} = a^l + \sigma(a^l W^{\mathsf T})$. Hand $\delta$ back through one such layer: given
# $\partial C / \partial a^{l+1}$, return $\partial C / \partial a^l$. Through twenty layers of sigmoids, what is then the factor?


# %%
def back(delta, a, W):
    """∂C/∂aˡ from ∂C/∂aˡ⁺¹."""
    # your lines


def check_back(answer):
    Ws, a, r = weights(1.0)
    states = [a]
    for W in Ws:
        states.append(states[-1] + ops.sigmoid(states[-1] @ W.T))
    delta = r
    for W, before in zip(Ws[::-1], states[-2::-1], strict=True):
        delta = answer(delta, before, W)
    x = sg.Tensor(a)
    y = x
    for W in Ws:
        y = y + ops.sigmoid(ops.affine(y, W))
    np.testing.assert_allclose(delta, sg.gradient((r * y).sum(), [x])[0], rtol=1e-9, atol=1e-12)
    factor = (np.linalg.norm(delta) / np.linalg.norm(r)) ** (1 / DEPTH)
    print(f"the factor of a layer is {factor:.3f}")


attempt(check_back, back)


# %% tags=["solution"]
def back(delta, a, W):
    s = ops.sigmoid(a @ W.T)
    return delta + (delta * s * (1 - s)) @ W


attempt(check_back, back)

# %% [markdown]
# **Read on:** [Optimizers](optimizers.md) take the gradient as it is. [Universal approximation](universal_approximation.md)
# asks what one hidden layer can do, before depth.
