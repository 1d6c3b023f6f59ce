"""Ordinary NumPy and SciPy, spelled as people spell it: whose gradient of it is right?

``python -m benchmarks.spellings`` prints a table, with autograd and JAX as far as they are
installed. A spelling counts if ∂C/∂(each array) of C = Σ δ ∘ (the spelling), with a random δ, is
that of central differences. The two peers are given their own module in the place of ``np``, and of
``special``, since they differentiate no other; scratchgen differentiates NumPy itself.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

HERE = np, special
Gradient = Callable[[Callable[..., Any], Sequence[Any]], Sequence[Any]]

rng = np.random.default_rng(0)
ARRAYS = {
    "x": rng.uniform(0.2, 0.9, (3, 4)),
    "w": rng.normal(size=(4, 3)),
    "v": rng.uniform(0.2, 0.9, 4),
}

SPELLINGS = """
np.dot(x, w)
x.dot(w)
np.dot(v, v)
v @ v
np.inner(v, v)
np.outer(v, v)
np.einsum("ij,jk->ik", x, w)
np.tensordot(x, w, 1)
np.kron(v, v)
np.matmul(x, w)
np.trace(w)
np.diag(w)
np.triu(x)
np.linalg.norm(x)
np.linalg.norm(x, axis=1)
np.linalg.det(w[:3])
np.linalg.slogdet(w[:3])[1]
np.linalg.inv(w[:3])
np.linalg.solve(w[:3], w[:3])
np.linalg.cholesky(w.T @ w)
np.multiply(x, x)
np.add(x, 1)
-x
np.reciprocal(x)
np.square(x)
np.power(x, 2)
x**3
2**x
np.exp(-x)
np.exp2(x)
np.log1p(x)
np.expm1(x)
np.log2(x)
np.log10(x)
np.logaddexp(0, x)
np.hypot(x, x)
np.sin(x)
np.cosh(x)
np.arctan(x)
np.abs(w)
np.fabs(w)
w * np.sign(w)
np.nan_to_num(x)
np.maximum(0, w)
np.minimum(x, 0.5)
w * (w > 0)
np.where(x > 0.5, x, 0.1 * x)
np.clip(x, 0.3, 0.6)
x.clip(0.3, 0.6)
np.mean(x)
x.mean(0)
np.average(x)
np.median(v)
np.var(x, axis=0)
x.var(axis=0)
np.std(x, axis=0)
x.std(0)
np.cov(x)
x.sum(1, keepdims=True)
np.sum(x, 1)[:, None]
np.sum([v[0], v[1]])
np.prod(x)
np.cumsum(x)
np.diff(v) ** 2
np.max(x)
np.amax(x)
x - x.max(1, keepdims=True)
np.sort(v)[:2]
sum(v)
sum(a * a for a in v)
sum(v[i] * v[i] for i in range(4))
(lambda a, b: a * b)(*v[:2])
np.sum(v) / len(v)
x / x.shape[0]
x / x.size
np.sum(x) if np.sum(x) > 0 else -np.sum(x)
x.T
np.transpose(x)
np.swapaxes(x, 0, 1)
x.reshape(-1)
np.reshape(x, (4, 3))
x.ravel()
np.ravel(x)
x.flatten()
np.squeeze(np.sum(x, keepdims=True))
x[:, None]
np.expand_dims(x, 0)
x[::-1]
x[x > 0.5]
x[np.arange(3), np.array([0, 1, 2])]
np.take(v, np.array([0, 1]))
np.flip(x)
np.rot90(x, 2)
np.roll(x, 1) * x
np.tile(x, (2, 1))
np.repeat(x, 2, axis=0)
np.broadcast_to(v, (3, 4))
np.pad(x, 1)
np.split(x, 2, axis=1)[0]
np.stack([x, x])
np.concatenate([x, x], axis=1)
np.hstack((np.ones((3, 1)), x))
np.vstack((x, x))
np.column_stack((np.ones(3), x))
np.c_[np.ones(3), x]
np.r_[np.ones(1), v]
np.insert(x, 0, 1, axis=1)
np.append(1, v)
np.array([v[0], v[1]])
np.array(x)
np.asarray(x)
np.zeros_like(x) + x
x.copy()
x.astype(float)
(lambda out: (out.__setitem__(0, v[0]), out)[1])(np.zeros(4))
(lambda z: z.__iadd__(x))(x * 1)
float(np.sum(x))
np.sum(x).item()
math.exp(v[0]) * v[1]
np.vectorize(lambda q: q * q)(v)
np.apply_along_axis(lambda q: q * q, 1, x)
np.convolve(v, v)
np.correlate(v, v, "full")
np.abs(np.fft.fft(v))
np.matrix(x)
special.expit(x)
special.logsumexp(x)
special.softmax(x, axis=1)
special.log_softmax(x, axis=1)
special.xlogy(x, x)
special.gammaln(x)
special.erf(x)
""".strip().splitlines()


def scratchgen() -> tuple[Any, Any, Gradient]:
    import scratchgen as sg

    return np, special, lambda f, arrays: sg.grad(f, range(len(arrays)))(*arrays)


def autograd() -> tuple[Any, Any, Gradient]:
    module = importlib.import_module("autograd")

    def gradient(f: Callable[..., Any], arrays: Sequence[Any]) -> Sequence[Any]:
        found: Sequence[Any] = module.grad(f, tuple(range(len(arrays))))(*arrays)
        return found

    numpy, scipy = (importlib.import_module(f"autograd.{x}") for x in ("numpy", "scipy.special"))
    return numpy, scipy, gradient


def jax() -> tuple[Any, Any, Gradient]:
    module = importlib.import_module("jax")
    module.config.update("jax_enable_x64", True)

    def gradient(f: Callable[..., Any], arrays: Sequence[Any]) -> Sequence[Any]:
        found: Sequence[Any] = module.grad(f, tuple(range(len(arrays))))(*map(numpy.array, arrays))
        return found

    numpy, scipy = (importlib.import_module(f"jax.{x}") for x in ("numpy", "scipy.special"))
    return numpy, scipy, gradient


WHO = {"scratchgen": scratchgen, "autograd": autograd, "jax": jax}


def outcome(spelling: str, of: tuple[Any, Any, Gradient]) -> str:
    """``right``, ``wrong``, or the name of the error that the spelling raises."""
    numpy, scipy, gradient = of
    names = [*ARRAYS.keys() & {x.id for x in ast.walk(ast.parse(spelling)) if type(x) is ast.Name}]
    arrays = [ARRAYS[name] for name in names]
    value, as_theirs = (_written(spelling, names, *modules) for modules in (HERE, (numpy, scipy)))
    delta = np.random.default_rng(1).normal(size=np.shape(value(*arrays)))
    try:
        found = gradient(lambda *a: numpy.sum(delta * as_theirs(*a)), arrays)
    except Exception as error:
        return type(error).__name__
    expected = _differences(lambda *a: float(np.sum(delta * value(*a))), arrays)
    same = (np.allclose(x, y, 1e-6, 1e-7) for x, y in zip(found, expected, strict=True))
    return "right" if all(same) else "wrong"


def _written(spelling: str, names: Sequence[str], np: Any, special: Any) -> Callable[..., Any]:
    written: Callable[..., Any] = eval(
        f"lambda {', '.join(names)}: {spelling}", {"np": np, "special": special, "math": math}
    )
    return written


def _differences(f: Callable[..., float], arrays: Sequence[Any]) -> list[Any]:
    """Central differences of f by each entry of each array."""
    found = []
    for k, x in enumerate(arrays):
        slopes = np.empty_like(x)
        for index in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[index] = 1e-5
            sides = (f(*arrays[:k], x + sign * step, *arrays[k + 1 :]) for sign in (1, -1))
            slopes[index] = np.subtract(*sides) / 2e-5
        found.append(slopes)
    return found


def _version(name: str) -> str:
    found = getattr(importlib.import_module(name), "__version__", None)
    return found or importlib.metadata.version(name)


def main() -> None:
    """Print how many spellings each package differentiates rightly, and where they differ."""
    who = [name for name in WHO if importlib.util.find_spec(name)]
    engines = {name: WHO[name]() for name in who}
    found = {x: [outcome(x, engines[name]) for name in who] for x in SPELLINGS}
    versions = [f"{name} {_version(name)}" for name in who]
    print(f"| of {len(SPELLINGS)} spellings | {' | '.join(versions)} |")
    print("| --- |" + " --- |" * len(who))
    counts = [sum(row[k] == "right" for row in found.values()) for k in range(len(who))]
    print(f"| gradient is right | {' | '.join(map(str, counts))} |")
    for spelling, row in found.items():
        if {*row} != {"right"}:
            print(f"| `{spelling.replace('|', chr(92) + '|')}` | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
