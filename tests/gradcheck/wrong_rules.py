"""Wrong rules: each rule of the library with a mistake in one of its equations.

A mistake is a function of the right equation, of δ, and of the call that they belong to; the rules
that it applies to, and the inputs, are drawn for it.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchgen import operations as ops
from tests.rules import Seed, is_real, on

SMOOTH = (
    *("exp", "log", "sqrt", "square"),
    *("sigmoid", "tanh", "softplus", "silu", "gelu", "elu", "softmax", "log_softmax"),
)
ELEMENT_WISE = (*SMOOTH, "relu", "leaky_relu", "absolute", "clip")
SUMMED_OVER_THE_BATCH = {  # rule: the inputs that all samples share
    "affine": (1, 2),
    "conv2d": (1, 2),
    "conv2d_direct": (1, 2),
    "conv_transpose2d": (1, 2),
    "conv_transpose2d_direct": (1, 2),
    "embedding": (1,),
    "layer_norm": (1, 2),
    "group_norm": (1, 2),
    "matmul": (1,),
}
LENGTHS = (3, 4, 5, 6, 7)


@dataclass
class Call:
    """A call of a rule at drawn inputs, and the number of the input whose equation is wrong."""

    name: str
    inputs: tuple[Any, ...]
    settings: dict[str, Any]
    k: int

    @functools.cached_property
    def value(self):
        return np.asarray(self.equations_at(self.inputs)[0])

    @property
    def x(self):
        return self.inputs[self.k]

    def equations_at(self, inputs):
        return getattr(ops, self.name).rule(*inputs, **on("cpu", self.settings))

    def with_equation(self, wrong: Callable) -> Callable:
        """The rule with ``wrong(call, equation, delta)`` in the place of equation k."""
        right, k = getattr(ops, self.name).rule, self.k

        @functools.wraps(right)
        def rule(*inputs, **settings):
            value, equations = right(*inputs, **settings)
            call = Call(self.name, inputs, self.settings, k)
            call.__dict__["value"] = value
            bent = lambda delta: wrong(call, equations[k], delta)
            return value, (*equations[:k], bent, *equations[k + 1 :])

        return rule


def draw(name: str, rng: np.random.Generator, square: bool = False) -> tuple[tuple, dict]:
    """Inputs and settings of a rule; with ``square`` of equal axes, otherwise of distinct ones."""
    n, m, k = (4, 4, 4) if square else (int(i) for i in rng.permutation(LENGTHS)[:3])

    def normal(*shape):
        return rng.standard_normal(shape)

    def positive(*shape):
        return rng.uniform(0.3, 3.0, shape)

    def labels(high, *shape):
        return rng.integers(0, high, shape)

    def off_kinks(*shape):
        x = rng.uniform(0.1, 2.0, shape) * rng.choice([-1, 1], shape)
        x.reshape(-1)[:2] = -0.5, 0.8  # of both signs
        return x

    def convolution(*channels):
        x, W, b = normal(3, 2, 5, 4), normal(*channels, 3, 3), normal(channels[0])
        return (x, W, b), {"stride": (1, 2), "padding": 1}

    seed = Seed(int(rng.integers(2**32)))
    by_name = {
        "add": lambda: ((normal(n, m), normal(m)), {}),
        "subtract": lambda: ((normal(n, m), normal(n, m)), {}),
        "multiply": lambda: ((normal(n, m), normal(n, m)), {}),
        "divide": lambda: ((normal(n, m), positive(n, m)), {}),
        "power": lambda: ((positive(n, m), normal(n, m)), {}),
        "matmul": lambda: ((normal(n, m), normal(m, k)), {}),
        "log": lambda: ((positive(n, m),), {}),
        "sqrt": lambda: ((positive(n, m),), {}),
        **dict.fromkeys(("log1p", "gammaln", "digamma", "prod"), lambda: ((positive(n, m),), {})),
        **dict.fromkeys(
            ("tan", "arcsin", "arccos", "arctanh"), lambda: ((rng.uniform(-0.9, 0.9, (n, m)),), {})
        ),
        "arccosh": lambda: ((1 + positive(n, m),), {}),
        "arctan2": lambda: ((normal(n, m), normal(n, m)), {}),
        "logaddexp": lambda: ((normal(n, m), normal(n, m)), {}),
        "xlogy": lambda: ((normal(n, m), positive(n, m)), {}),
        "broadcast_to": lambda: ((normal(n, 1),), {"shape": (n, m)}),
        "setitem": lambda: ((normal(n, m), normal(m)), {"key": (slice(1, None),)}),
        "einsum": lambda: ((normal(n, m), normal(m, k)), {"subscripts": "ij,jk->ik"}),
        **dict.fromkeys(("inv", "det", "logdet"), lambda: ((normal(n, n) + 3 * np.eye(n),), {})),
        "solve": lambda: ((normal(n, n) + 3 * np.eye(n), normal(n, m)), {}),
        **dict.fromkeys(
            ("cholesky", "eigvalsh"), lambda: ((np.diag(np.arange(2.0, n + 2)) + 0.2,), {})
        ),
        "maximum": lambda: ((normal(n, m), normal(n, m)), {}),
        "minimum": lambda: ((normal(n, m), normal(n, m)), {}),
        "where": lambda: ((normal(n, m) > 0, normal(n, m), normal(n, m)), {}),
        "clip": lambda: ((normal(n, m),), {"lower": -0.5, "upper": 0.8}),
        "reshape": lambda: ((normal(n, m),), {"shape": (-1,)}),
        "transpose": lambda: ((normal(n, m),), {}),
        "getitem": lambda: ((normal(n, m),), {"key": labels(n, n + 2)}),
        "take": lambda: ((normal(n, m), labels(m, 2, 4)), {"axis": 1}),
        "concatenate": lambda: ((normal(n, m), normal(n, m)), {}),
        "stack": lambda: ((normal(n, m), normal(n, m)), {"axis": 1}),
        "pad": lambda: ((normal(n, m),), {"pad_width": ((1, 0), (2, 1))}),
        "affine": lambda: ((normal(k, m), normal(n, m), normal(n)), {}),
        "embedding": lambda: ((labels(n, 3, 4), normal(n, m)), {}),
        "dropout": lambda: ((normal(n, m),), {"p": 0.4, "rng": seed}),
        "layer_norm": lambda: ((normal(n, m), positive(m), normal(m)), {}),
        "group_norm": lambda: ((normal(n, 4, 3), positive(4), normal(4)), {"groups": 2}),
        "max_pool2d": lambda: ((normal(2, 3, 5, 4),), {"kernel_size": 2}),
        "avg_pool2d": lambda: ((normal(2, 3, 5, 4),), {"kernel_size": 3, "stride": 2}),
        "upsample_nearest2d": lambda: ((normal(2, 3, 4, 3),), {"scale_factor": 2}),
        "squared_error": lambda: ((normal(n, m), normal(n, m)), {}),
        "cross_entropy": lambda: ((normal(n, m), labels(m, n)), {}),
        "bernoulli_nll": lambda: ((off_kinks(n, m), rng.random((n, m))), {}),
        "gaussian_nll": lambda: ((normal(n, m), normal(n, m), normal(n, m)), {}),
        "gaussian_kl": lambda: ((normal(n, m), normal(n, m)), {}),
        "relu": lambda: ((off_kinks(n, m),), {}),
        **{
            reduction: lambda: ((normal(n, m),), {"axis": 1})
            for reduction in ("sum", "mean", "max", "min", "logsumexp")
        },
        "conv2d": lambda: convolution(3, 2),
        "conv2d_direct": lambda: convolution(3, 2),
        "conv_transpose2d": lambda: convolution(2, 2),
        "conv_transpose2d_direct": lambda: convolution(2, 2),
    }
    return by_name[name]() if name in by_name else ((normal(n, m),), {})


def calls(names, rng, square=False, only=None) -> Iterator[Call]:
    """For each rule and each of its real inputs a call of it."""
    for name in names:
        inputs, settings = draw(name, rng, square)
        for k, x in enumerate(inputs):
            if is_real(x) and (only is None or k in only[name]):
                yield Call(name, inputs, settings, k)


@dataclass
class RuleMistake:
    """A mistake in one equation of a rule, and the kinds of the catalogue that name it.

    ``names`` are several where the numbers are the same whichever of them was made.
    """

    kind: str
    names: set[str]
    wrong: Callable
    rules: tuple[str, ...] = tuple(ops.__all__)
    square: bool = False
    only: dict | None = None
    applies: Callable = lambda call: call.x.size > 2

    def calls(self, rng):
        """One call for each equation that the mistake applies to."""
        drawn = calls(self.rules, rng, self.square, self.only)
        return (call for call in drawn if self.applies(call))


def elsewhere(call: Call, x) -> Callable:
    """Equation k of the rule, had input k been ``x``."""
    inputs = (*call.inputs[: call.k], x, *call.inputs[call.k + 1 :])
    return call.equations_at(inputs)[1][call.k]


def first_row(call, equation, delta):
    alone = np.zeros_like(delta)
    alone[0] = delta[0]
    return equation(alone)


def half_left_at_zero(call, equation, delta):
    share = equation(delta).copy()
    share[: len(share) // 2] = 0
    return share


def diagonal_alone(call, equation, delta):
    a = call.value
    return delta * (a * (1 - a) if call.name == "softmax" else 1 - np.exp(a))


def mask_of(equation, delta):
    return equation(np.ones_like(delta))


def other_mask(call, equation, delta):
    m = mask_of(equation, delta)
    return delta * np.random.default_rng(7).permutation(m.reshape(-1)).reshape(m.shape)


def is_square(call):
    x = call.x
    return x.ndim == 2 and x.shape[0] == x.shape[1] > 1


def has_length(call):
    return call.x.ndim > 0 and call.x.shape[0] > 2


PRODUCTS = ("multiply", "divide")
BATCHED = tuple(SUMMED_OVER_THE_BATCH)
RULE_MISTAKES = [
    RuleMistake("sign", {"sign"}, lambda call, equation, delta: -equation(delta)),
    RuleMistake("factor 2", {"factor 2"}, lambda call, equation, delta: 2 * equation(delta)),
    RuleMistake("factor 1/2", {"factor 1/2"}, lambda call, equation, delta: equation(delta) / 2),
    RuleMistake(
        "factor n",
        {"factor n"},
        lambda call, equation, delta: len(call.x) * equation(delta),
        applies=has_length,
    ),
    RuleMistake(
        "factor 1/n",
        {"factor 1/n"},
        lambda call, equation, delta: equation(delta) / len(call.x),
        applies=has_length,
    ),
    RuleMistake(
        "factor n²",
        {"factor n²"},
        lambda call, equation, delta: len(call.x) ** 2 * equation(delta),
        applies=has_length,
    ),
    RuleMistake(
        "transposed",
        {"transposed"},
        lambda call, equation, delta: equation(delta).T,
        square=True,
        applies=is_square,
    ),
    RuleMistake(
        "transposed, of another shape",
        {"transposed"},
        lambda call, equation, delta: equation(delta).T,
        applies=lambda call: call.x.ndim == 2 and call.x.shape[0] != call.x.shape[1],
    ),
    RuleMistake(
        "W transposed in ∂C/∂a",
        {"transposed operand"},
        lambda call, equation, delta: (
            delta @ call.inputs[1] if call.name == "matmul" else delta @ call.inputs[1].T
        ),
        rules=("matmul", "affine"),
        square=True,
        only={"matmul": (0,), "affine": (0,)},
    ),
    RuleMistake(
        "reduced to a scalar",
        {"reduced to a scalar"},
        lambda call, equation, delta: equation(delta).sum(),
    ),
    RuleMistake(
        "reduced to a scalar and repeated",
        {"reduced to a scalar", "reduced too far"},
        lambda call, equation, delta: np.full_like(call.x, equation(delta).sum()),
    ),
    RuleMistake(
        "first row of the batch only",
        {"one row only"},
        first_row,
        rules=BATCHED,
        only=SUMMED_OVER_THE_BATCH,
    ),
    RuleMistake(
        "σ′ missing",
        {"derivative missing"},
        lambda call, equation, delta: delta.copy(),
        rules=ELEMENT_WISE,
    ),
    RuleMistake(
        "σ′ taken at the value",
        {"derivative at the value"},
        lambda call, equation, delta: elsewhere(call, np.asarray(call.value))(delta),
        rules=tuple(name for name in SMOOTH if name != "log"),
    ),
    RuleMistake(
        "coupling of softmax dropped",
        {"coupling dropped"},
        diagonal_alone,
        rules=("softmax", "log_softmax"),
    ),
    RuleMistake("left at zero", {"zero"}, lambda call, equation, delta: np.zeros_like(call.x)),
    RuleMistake(
        "a block left at zero",
        {"zero block", "zero"},  # nothing is left where the other half is zero anyway
        half_left_at_zero,
        applies=lambda call: call.x.ndim > 1,
    ),
    RuleMistake(
        "an index shifted",
        {"shifted"},
        lambda call, equation, delta: np.roll(equation(delta), 1, axis=-1),
    ),
    RuleMistake(
        "a factor left out",
        {"derivative missing", "factor missing"},
        lambda call, equation, delta: delta.copy(),
        rules=PRODUCTS,
        only={"multiply": (0, 1), "divide": (0,)},
    ),
    RuleMistake(
        "dropout mask left out",
        {"mask not reused", "derivative missing"},
        lambda call, equation, delta: delta.copy(),
        rules=("dropout",),
    ),
    RuleMistake(
        "dropout mask drawn anew",
        {"mask not reused"},
        other_mask,
        rules=("dropout",),
    ),
    RuleMistake(
        "dropout mask not rescaled",
        {"mask not rescaled"},
        lambda call, equation, delta: delta * (mask_of(equation, delta) > 0),
        rules=("dropout",),
    ),
    RuleMistake(
        "σ′ missing, and the sign",
        {"derivative missing"},
        lambda call, equation, delta: -delta,
        rules=ELEMENT_WISE,
    ),
    RuleMistake(
        "transposed, and a factor 2",
        {"transposed", "factor 2"},
        lambda call, equation, delta: 2 * equation(delta).T,
        square=True,
        applies=is_square,
    ),
]
