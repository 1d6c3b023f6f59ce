# %% [markdown]
# # On a GPU, and on many threads
#
# *What changes, and what must not.* The equations of the notes do not know where they are computed. This chapter says
# what the library does so that the same code runs on NumPy and on CuPy, and why a training has the same bits on any
# number of threads. Everything here runs on a computer without a GPU; the lines that need one are marked.

# %%
import functools

import numpy as np
from threadpoolctl import threadpool_limits

import scratchgen as sg
from scratchgen import nn, optim
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source
from scratchgen.parallel import even_parts, parts

# %% [markdown]
# ## The generator decides
#
# There is no global device, and no flag on a model. Weights, noise and batches live where the random generator lives
# that drew them:
#
# ```python
# rng = sg.generator(0, "cuda")      # needs an NVIDIA GPU and CuPy; "cpu" is the default
# model = sg.models.vae.dense(n_visible=64, n_hidden=100, n_latent=2, rng=rng)
# sg.fit(model, images, epochs=2, batch_size=32, rng=rng)      # the images move to the GPU
# ```
#
# A rule is written with the functions of NumPy. For an array of CuPy these functions hand over to CuPy, by NumPy's own
# protocols. So the rule below is the rule on both:

# %%
source(ops.affine)

# %% [markdown]
# Two functions move arrays. They are called at the edges only: `to_device` for the data, `to_host` for what is printed.
# An array on the host is not moved again.

# %%
x = np.arange(3.0)
print(sg.to_device(x, "cpu") is x, sg.to_host(x) is x)
try:
    sg.generator(0, "tpu")
except ValueError as error:
    print(error)

# %% [markdown]
# ## How a GPU is tested without one
#
# Code for a GPU breaks in typical ways: `float(x)` makes the host wait, `np.asarray(x)` moves the data, an array that was
# made by `np.zeros(n)` lives on the wrong side. None of these shows on a host, where everything is NumPy. So the tests
# have a *strict stand-in* for CuPy (`tests/strict.py`). Its arrays answer NumPy's two dispatch protocols, and nothing
# else. Here is the idea in a few lines.


# %%
class Strict:
    """An array that knows NumPy's functions, and refuses to become a NumPy array or a number."""

    def __init__(self, data):
        self.data = data

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        return self.__array_function__(getattr(ufunc, method), None, inputs, keywords)

    def __array_function__(self, function, types, arguments, keywords):
        if any(isinstance(x, np.ndarray) for x in arguments):
            raise TypeError("an array of the host beside one of the device")
        inside = [x.data if isinstance(x, Strict) else x for x in arguments]
        return Strict(function(*inside, **keywords))

    def __array__(self, *_, **__):
        raise TypeError("a move to the host that nobody asked for")

    def __float__(self):
        raise TypeError("the host would wait for the device")

    def __mul__(self, other):
        return np.multiply(self, other)


def runs(rule, x):
    """Whether a rule runs on a strict array, and what it does wrong if not."""
    try:
        rule(Strict(x))
    except TypeError as error:
        return f"refused: {error}"
    return "runs"


RULES = {
    "np.tanh(z)": lambda z: np.tanh(z),
    "np.maximum(z, 0)": lambda z: np.maximum(z, 0),
    "np.asarray(z) * 2": lambda z: np.asarray(z) * 2,
    "z * float(np.max(z))": lambda z: z * float(np.max(z)),
    "np.add(z, np.zeros(3))": lambda z: np.add(z, np.zeros(3)),
}
for name, rule in RULES.items():
    print(f"{name:<24} {runs(rule, x)}")

# %% [markdown]
# Every rule, and a training step of every model, runs on the strict arrays in the tests. With a GPU,
# `pytest --device cuda` runs the same files on CuPy.
#
# ## A batch is a sum of parts
#
# The cost of a batch is a mean over its samples. Split $n$ samples into parts of $n_k$ samples each. Since
# differentiation is linear,
#
# $$C = \sum_k \frac{n_k}{n}\, C_k, \qquad
# \frac{\partial C}{\partial \theta} = \sum_k \frac{n_k}{n}\, \frac{\partial C_k}{\partial \theta} .$$
#
# Each part has its own backward sweep. What a part has recorded is needed only until its gradient has been added, so the
# memory is that of one part. And the parts are independent: several threads can compute them.

# %%
source(parts.mean_over_parts)

# %%
rng = sg.generator(0)
images, labels = sg.datasets.digits("train")
ROWS, LABELS = images.reshape(len(images), -1)[:512].astype(np.float64), labels[:512]
network = nn.Sequential(nn.Linear(64, 32, rng=rng), nn.Tanh(), nn.Linear(32, 10, rng=rng)).astype(
    np.float64
)


def cost(part):
    """The mean cross-entropy of the samples of a part."""
    return ops.cross_entropy(network(ROWS[part]), LABELS[part]).mean()


def gradients(part_size):
    """∂C/∂θ of 512 samples in parts, as one vector."""
    total = parts.mean_over_parts(cost, even_parts(len(ROWS), part_size), network.parameters())
    return np.concatenate([g.ravel() for g in sg.gradient(total, network.parameters())])


whole = gradients(len(ROWS))
for part_size in (512, 128, 37):
    count, found = len(even_parts(len(ROWS), part_size)), gradients(part_size)
    difference = np.abs(found - whole).max() / np.abs(whole).max()
    print(
        f"{count:3} parts of at most {part_size:<4} the gradient differs by {difference:.1e} of its size"
    )

# %% [markdown]
# The sums differ in their last digits, since an addition of floating-point numbers rounds: $(a + b) + c$ need not be
# $a + (b + c)$. That is why two things are fixed. The *partition* depends on the batch and the size of a part alone, not
# on the number of threads. And the shares are added in the *order of the parts*, whichever thread finished first. So the
# bits are the same on any number of threads. Parts that draw noise have generators of their own, seeded with the step
# and the number of the part.


# %%
@functools.cache
def trained(threads):
    """The weights after a short training in parts of 16 samples, on so many threads."""
    rng = sg.generator(1)
    vae = sg.models.vae.dense(n_visible=64, n_hidden=32, n_latent=4, rng=rng)
    with threadpool_limits(threads):
        adam = optim.Adam(vae.parameters(), 1e-3)
        for _ in sg.train(
            vae, images[:256].reshape(256, 64), adam, epochs=2, batch_size=64, rng=rng, part_size=16
        ):
            pass
    return np.concatenate([p.data.ravel() for p in vae.parameters()])


for threads in (2, 3):
    same = np.array_equal(trained(1), trained(threads))
    print(f"1 thread and {threads} threads: {'the same bits' if same else 'other bits'}")

# %% [markdown]
# ## Floating point
#
# Why insist on bits? A training is a long iteration, and may amplify what rounding leaves. Below the same network is
# trained twice. In the second run *one* weight is moved to the next floating-point number; a rounding error of a product
# on another processor is as large. At a small learning rate the two runs stay together. At a large one they soon have
# nothing in common but what they have learned, in float64 a little later than in float32.


# %%
@functools.cache
def apart(steps=300, dtype=np.float32, rate=2.0):
    """The distance of two trainings after each step, in units of the size of the weights."""
    runs = []
    for moved in (False, True):
        rng = sg.generator(2)
        net = nn.Sequential(
            nn.Linear(64, 16, rng=rng), nn.Tanh(), nn.Linear(16, 10, rng=rng)
        ).astype(dtype)
        if moved:
            first = net.parameters()[0].data
            first[0, 20] = np.nextafter(first[0, 20], dtype(np.inf))
        sgd, order, states = optim.SGD(net.parameters(), rate), np.random.default_rng(3), []
        for _ in range(steps):
            rows = order.integers(0, len(ROWS), 32)
            c = ops.cross_entropy(net(ROWS[rows].astype(dtype)), LABELS[rows]).mean()
            sgd.step(sg.gradient(c, net.parameters()))
            states.append(np.concatenate([p.data.ravel() for p in net.parameters()]))
        runs.append(np.array(states, np.float64))
    return np.linalg.norm(runs[0] - runs[1], axis=1) / np.linalg.norm(runs[0], axis=1)


@functools.cache
def sums():
    """The relative error of a float32 sum of n numbers: one after another, and by NumPy."""
    rng, found = np.random.default_rng(4), []
    for n in (10, 100, 1000, 10_000, 100_000):
        x = rng.random(n).astype(np.float32)
        exact = x.astype(np.float64).sum()
        one_by_one = np.cumsum(x)[-1]  # each partial sum is rounded
        found.append((n, abs(one_by_one / exact - 1), abs(x.sum() / exact - 1)))
    return np.array(found)


left, right = panels(1, 2, size=(9.6, 3.5))
left.plot(apart(), "C3", label="float32, η = 2")
left.plot(apart(dtype=np.float64), "C0", label="float64, η = 2")
left.plot(apart(rate=0.5), "C3:", label="float32, η = 0.5")
left.axhline(1, color="0.7", linewidth=0.8)
left.set(yscale="log", xlabel="step", title="two runs that differ in one last digit")
left.legend(frameon=False)
n, one_by_one, pairwise = sums().T
right.plot(n, one_by_one, "C3o-", label="one after another")
right.plot(n, np.maximum(pairwise, 1e-9), "C0o-", label="in pairs, as NumPy does")
right.plot(n, n * np.finfo(np.float32).eps / 2, "k--", linewidth=0.8, label="the bound n ε/2")
right.set(xscale="log", yscale="log", xlabel="n", title="relative error of a sum in float32")
right.legend(frameon=False, fontsize="small")
left

# %% [markdown]
# So tests of a training in float32 compare bits on one machine, or distributions; between machines they must not compare
# numbers. Everything that is a theorem is tested in float64, with a bound that is derived.
#
# ## What there is, and what is not
#
# | | |
# |---|---|
# | `scratchgen.parallel.threads` | threads over parts of an operation, which fit a core's cache; limits of BLAS |
# | `scratchgen.parallel.parts` | a batch as a sum of parts, in a fixed order |
# | `scratchgen.parallel.processes` | processes of MPI, on one computer or on many, that share the parts |
# | CuPy | every rule, network and model, by the generator's device |
#
# A batch is a sum of parts wherever the parts are computed: `mpiexec -n 4 scratchgen train ddpm` lets four processes
# compute a quarter of each batch. `Summed` adds their gradients by one message per step, and agrees with one process to
# rounding. `Ordered` adds them in the order of the parts, one process after the other, to the same bits.
#
# ## What goes wrong
#
# - **A batch on the host beside weights on the GPU** is refused, with both devices named.
# - **A small network on a GPU is slow.** Each rule is a launch of a few microseconds. A GPU pays for large batches.
# - **Bits differ between two computers.** Their libraries multiply in another order. Compare in float64.
#
# ## Exercises
#
# ### Exercise 1: a fair split
# Split $n$ samples into the least number of parts of at most $s$ samples, whose sizes differ by at most one. Return
# the sizes.


# %%
def sizes(n, s):
    """The sizes of the parts, which add up to n."""
    # your lines


def check_sizes(answer):
    for n, s in ((10, 4), (512, 37), (7, 7), (5, 1)):
        found = sorted(answer(n, s))
        assert sum(found) == n
        assert found[-1] <= s
        assert found[-1] - found[0] <= 1
        assert len(found) == -(-n // s), f"{len(found)} parts"


attempt(check_sizes, sizes)


# %% tags=["solution"]
def sizes(n, s):
    count = -(-n // s)
    return [n // count + (k < n % count) for k in range(count)]


attempt(check_sizes, sizes)

# %% [markdown]
# ### Exercise 2: parts of different sizes
# Three parts of 5, 3 and 2 samples have the mean costs $C_1$, $C_2$, $C_3$. Give the mean cost of the ten samples, for
# any list of sizes.


# %%
def mean_cost(costs, sizes):
    """The mean over all samples."""
    # your line


def check_mean(answer):
    x = np.random.default_rng(0).random(10)
    of_parts = [x[:5].mean(), x[5:8].mean(), x[8:].mean()]
    assert abs(answer(of_parts, [5, 3, 2]) - x.mean()) < 1e-15


attempt(check_mean, mean_cost)


# %% tags=["solution"]
def mean_cost(costs, sizes):
    return sum(n * c for n, c in zip(sizes, costs, strict=True)) / sum(sizes)


attempt(check_mean, mean_cost)

# %% [markdown]
# ### Exercise 3: a rule for both sides
# The rule below makes an array on the host, and takes a number from the device. Write it so that it runs on both.
#
# ```python
# def centred(z):
#     return np.subtract(z, np.zeros(3) + float(np.mean(z)))
# ```


# %%
def centred(z):
    """z less its mean."""
    # your line


def check_centred(answer):
    np.testing.assert_allclose(answer(np.array([1.0, 2.0, 6.0])), [-2, -1, 3])
    assert runs(answer, np.array([1.0, 2.0, 6.0])) == "runs", runs(answer, np.ones(3))


attempt(check_centred, centred)


# %% tags=["solution"]
def centred(z):
    return np.subtract(z, np.mean(z))


attempt(check_centred, centred)

# %% [markdown]
# **Read on:** [A layer of your own](my_layer.md) runs on both devices without a change, and `scratchgen check
# my_layer.py` says whether its equations are right.
