r"""The distributions that models are built of: their entries are independent, given the parameters.

A distribution gives every x, a row of D entries, an energy E(x), and with it a probability, or a
density, whose normalisation Z is the sum, or the integral, of exp(−E) over all x:

    p(x) = exp(−E(x)) / Z,        −log p(x) = E(x) + log Z.

Three of them are here. σ(z) = 1/(1 + e⁻ᶻ), and z are log odds, of spins half of them:

    Bernoulli:  xᵢ ∈ {0, 1},   E = −zᵀx,                 log Z = Σᵢ log(1 + exp zᵢ),   mean σ(z),
    Spin:       xᵢ ∈ {−1, 1},  E = −zᵀx,                 log Z = Σᵢ log(2 cosh zᵢ),    mean tanh z,
    Gaussian:   xᵢ real,       E = Σᵢ (xᵢ − μᵢ)²/2σᵢ²,   log Z = ½ Σᵢ log 2πσᵢ²,       mean μ.

A *field* f acts on x from outside: the energy becomes E(x) − s(x)ᵀf, with s = x for states and
s = x/σ² for real numbers. A field only moves the distribution, z to z + f, and μ to μ + f. The
hidden units of an RBM are such a field for the visible ones. The sum in a field, of f = 0 log Z, is

    log Σₓ exp(s(x)ᵀf − E(x)) = Σᵢ log(1 + exp(zᵢ + fᵢ)),  Σᵢ log(2 cosh(zᵢ + fᵢ)),  or
    log ∫ exp(s(x)ᵀf − E(x)) dx = log Z + Σᵢ fᵢ (μᵢ + ½ fᵢ)/σᵢ².

A fourth one is not of this form. Pixels have K levels, xᵢ ∈ {0, 1/(K − 1), … 1}, and a *discretised
logistic* gives each the probability that a logistic number, with the mean μ and the scale s, falls
nearest to it: with d = 1/(K − 1),

    P(xᵢ) = σ((xᵢ + d/2 − μᵢ)/sᵢ) − σ((xᵢ − d/2 − μᵢ)/sᵢ),

where the lowest level has all that is below it, and the highest all that is above it.

Two distributions of one kind are compared by D_KL(q ‖ p) = E_q[log q(x) − log p(x)] ≥ 0, which is
zero for equal ones alone, and has a closed form for each kind.

Parameters are arrays or tensors, of shape (D,), the same for all samples, or (n, D). Networks that
give them are asked for log odds and for log variances, which may be any real numbers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from . import operations as ops
from .autodiff import Tensor
from .backend import Array, Generator, check_generator, to_host
from .nn import ranges


@dataclass(frozen=True, eq=False)
class Bernoulli:
    """P(xᵢ = 1) = σ(zᵢ), with the log odds z, ``logits``; data between 0 and 1 count as means."""

    logits: Any

    discrete: ClassVar[bool] = True
    """Whether x has states, with probabilities to be summed, and not a density."""
    values: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """The two states of an entry."""
    per_entry: ClassVar[int] = 1
    """How many numbers a network gives for each entry."""
    parameters: ClassVar[str] = "the logits of its entries"

    @classmethod
    def of(cls, outputs: Any) -> Bernoulli:
        """The distribution whose logits a network gives, of any shape."""
        return cls(outputs)

    def at(self, logits: Any) -> Bernoulli:
        """The distribution of other log odds."""
        return Bernoulli(logits)

    @property
    def mean(self) -> Any:
        """P(x = 1) = σ(z)."""
        return ops.sigmoid(self.logits)

    def nll(self, x: Any) -> Any:
        """−log p(x) = Σᵢ [log(1 + exp zᵢ) − zᵢ xᵢ], (n,) nats."""
        return ops.bernoulli_nll(self.logits, x)

    def draw(self, rng: Generator | None = None, noise: Array | None = None) -> Array:
        """x ~ p: 1 where u < σ(z), with u ~ U[0, 1) from ``rng``, or given as ``noise``."""
        return bernoulli(self.mean, rng, noise)

    def kl(self, other: Bernoulli) -> Any:
        """D_KL(self ‖ other) = Σᵢ [log(1 + exp zᵢ′) − log(1 + exp zᵢ) − σ(zᵢ) (zᵢ′ − zᵢ)], (n,)."""
        z, other_z = self.logits, other.logits
        of_sums = ops.softplus(other_z) - ops.softplus(z)
        return (of_sums - self.mean * (other_z - z)).sum(axis=-1)

    def energy(self, x: Any) -> Any:
        """E(x) = −zᵀx, (n,)."""
        return -(x @ self.logits if self.logits.ndim == 1 else (x * self.logits).sum(axis=-1))

    def scaled(self, x: Any) -> Any:
        """s(x) = x: what a field multiplies."""
        return x

    def log_sum(self, field: Any = 0.0) -> Any:
        """log Σₓ exp(xᵀf − E(x)) = Σᵢ log(1 + exp(zᵢ + fᵢ)); for f = 0, log Z."""
        return ops.softplus(self.logits + field).sum(axis=-1)

    # What data are to it

    @staticmethod
    def check(x: Array, who: str, otherwise: str) -> None:
        """Raise ``ValueError`` unless all x lie in [0, 1]; ``otherwise`` says what takes others."""
        low, high = float(to_host(x.min())), float(to_host(x.max()))
        if low >= 0 and high <= 1:
            return
        if to_host((abs(x) == 1).all()):
            cure = "(s + 1) / 2 makes spins ±1 to 0 and 1, and 'spin' takes them as they are"
        elif low >= -1 and high <= 1:
            cure = "(x + 1) / 2 brings [−1, 1] there"
        elif low >= 0 and high <= 255 and to_host((x == np.round(x)).all()):
            cure = (
                f"x / {255 if high > 100 else high:g} brings whole numbers from 0 to {high:g} there"
            )
        else:
            cure = f"scale it so, or, for centred data of variance about 1, {otherwise}"
        raise ValueError(f"{who} data in [0, 1], got {low:g} to {high:g}: {cure}")

    @staticmethod
    def states(x: Array, rng: Generator) -> Array:
        """States drawn with the data as means, anew at each call."""
        return bernoulli(x, rng)

    @staticmethod
    def fitted(x: Array) -> Array:
        """The log odds z of the rates of ones, each with one 1 and one 0 more than were seen."""
        ones = x.sum(axis=0) + 1
        return np.log(ones / (len(x) + 2 - ones))

    @staticmethod
    def standard(shape: tuple[int, ...], dtype: Any, rng: Generator) -> Array:
        """Draws at z = 0: fair coins."""
        check_generator(rng)
        return (rng.random(shape, dtype=dtype) < 0.5).astype(dtype)

    # What a network is to it

    @property
    def unbounded(self) -> dict[str, Any]:
        """The parameters that a network must be able to give any real number for, by name."""
        return {"logits": self.logits}

    def doubts(self, x: Array, network: str) -> Iterator[str]:
        """Sentences about what can be trained and is hardly meant: none."""
        yield from ()


@dataclass(frozen=True, eq=False)
class Spin:
    """P(xᵢ = 1) = σ(2zᵢ), P(xᵢ = −1) = σ(−2zᵢ); data between −1 and 1 count as means.

    ``field``: z, half the log odds. With x = 2y − 1, y is Bernoulli of the log odds 2z.
    """

    field: Any

    discrete: ClassVar[bool] = True
    values: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    per_entry: ClassVar[int] = 1
    parameters: ClassVar[str] = "the fields at its spins"

    @classmethod
    def of(cls, outputs: Any) -> Spin:
        """The distribution whose fields a network gives, of any shape."""
        return cls(outputs)

    def at(self, field: Any) -> Spin:
        """The distribution of another field."""
        return Spin(field)

    @property
    def mean(self) -> Any:
        """E[x] = tanh z."""
        return ops.tanh(self.field)

    def nll(self, x: Any) -> Any:
        """−log p(x) = Σᵢ [log(2 cosh zᵢ) − zᵢ xᵢ], (n,) nats."""
        return self._bits.nll((x + 1) / 2)

    def draw(self, rng: Generator | None = None, noise: Array | None = None) -> Array:
        """x ~ p: 1 where u < σ(2z), else −1, with u ~ U[0, 1) from ``rng``, or as ``noise``."""
        return 2 * self._bits.draw(rng, noise) - 1

    def kl(self, other: Spin) -> Any:
        """D_KL(self ‖ other) = Σᵢ [log(2 cosh zᵢ′) − log(2 cosh zᵢ) − tanh zᵢ (zᵢ′ − zᵢ)], (n,)."""
        return self._bits.kl(other._bits)

    def energy(self, x: Any) -> Any:
        """E(x) = −zᵀx, (n,)."""
        return Bernoulli(self.field).energy(x)

    def scaled(self, x: Any) -> Any:
        """s(x) = x: what a field multiplies."""
        return x

    def log_sum(self, field: Any = 0.0) -> Any:
        """log Σₓ exp(xᵀf − E(x)) = Σᵢ log(2 cosh(zᵢ + fᵢ)); for f = 0, log Z."""
        z = self.field + field
        return (ops.softplus(2 * z) - z).sum(axis=-1)

    @property
    def _bits(self) -> Bernoulli:
        """The distribution of (x + 1)/2."""
        return Bernoulli(2 * self.field)

    # What data are to it

    @staticmethod
    def check(x: Array, who: str, otherwise: str) -> None:
        """Raise ``ValueError`` unless all x lie in [−1, 1], and not all of them in [0, 1].

        A 0 would be a fair coin, which no one means who has pixels, or states 0 and 1. What was
        scaled may be off by rounding.
        """
        low, high = float(to_host(x.min())), float(to_host(x.max()))
        most = 1 + 8 * float(np.finfo(x.dtype).eps)
        if -most <= low and high <= most and (low < 0 or low == high == 1):
            return
        cure = (
            "2x − 1 brings [0, 1] there" if low >= 0 and high <= 1 else f"scale it, or {otherwise}"
        )
        raise ValueError(f"{who} data in [−1, 1], got {low:g} to {high:g}: {cure}")

    @staticmethod
    def states(x: Array, rng: Generator) -> Array:
        """Spins drawn with the data as means, anew at each call."""
        return 2 * Bernoulli.states((x + 1) / 2, rng) - 1

    @staticmethod
    def fitted(x: Array) -> Array:
        """Half the log odds of the shares of x = 1, each with one 1 and one −1 more than seen."""
        return Bernoulli.fitted((x + 1) / 2) / 2

    @staticmethod
    def standard(shape: tuple[int, ...], dtype: Any, rng: Generator) -> Array:
        """Draws at z = 0: fair coins of −1 and 1."""
        return 2 * Bernoulli.standard(shape, dtype, rng) - 1

    # What a network is to it

    @property
    def unbounded(self) -> dict[str, Any]:
        """The parameters that a network must be able to give any real number for, by name."""
        return {"fields": self.field}

    def doubts(self, x: Array, network: str) -> Iterator[str]:
        """Sentences about what can be trained and is hardly meant: none."""
        yield from ()


@dataclass(frozen=True, eq=False)
class Gaussian:
    """N(x; μ, σ²) of each entry, with the means ``mu`` and ``log_var`` = log σ².

    ``log_var`` may be one number, a ``float``, that holds for all entries.
    """

    mu: Any
    log_var: Any = 0.0

    discrete: ClassVar[bool] = False
    values: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    per_entry: ClassVar[int] = 2
    parameters: ClassVar[str] = "the means of {size} {what} beside their log variances"

    @classmethod
    def of(cls, outputs: Any) -> Gaussian:
        """The distribution whose means a network gives, and then, along axis 1, log variances."""
        half = outputs.shape[1] // 2
        return cls(outputs[:, :half], outputs[:, half:])

    def at(self, mu: Any) -> Gaussian:
        """The distribution of other means and the same variances."""
        return replace(self, mu=mu)

    @property
    def mean(self) -> Any:
        """E[x] = μ."""
        return self.mu

    def nll(self, x: Any) -> Any:
        """−log p(x) = ½ Σᵢ [log 2πσᵢ² + (xᵢ − μᵢ)²/σᵢ²], (n,) nats."""
        return ops.gaussian_nll(self.mu, self._log_var_of_each, x)

    def draw(self, rng: Generator | None = None, noise: Any = None) -> Any:
        """x = μ + σ ε ~ p, with ε ~ N(0, I) from ``rng``, or given as ``noise``.

        Written so, x is a function of μ and σ, through which the gradient flows.
        """
        if noise is None:
            if rng is None:
                raise ValueError("states are drawn from normal numbers: give them as noise, or rng")
            noise = self.standard(self.mu.shape, self.mu.dtype, rng)
        return self.mu + _exp(0.5 * self.log_var) * noise

    def kl(self, other: Gaussian) -> Any:
        """D_KL(self ‖ other) = ½ Σᵢ [rᵢ² + exp dᵢ − 1 − dᵢ], (n,) nats.

        r = (μ − μ′)/σ′ and d = log σ²/σ′²: where μ′ is taken for zero and σ′ for the unit, the
        other distribution is N(0, 1), and this one N(r, exp d).
        """
        r = (self.mu - other.mu) * _exp(-0.5 * other.log_var)
        return ops.gaussian_kl(r, self._log_var_of_each - other.log_var)

    def energy(self, x: Any) -> Any:
        """E(x) = Σᵢ (xᵢ − μᵢ)²/2σᵢ², (n,)."""
        return 0.5 * self.scaled((x - self.mu) ** 2).sum(axis=-1)

    def scaled(self, x: Any) -> Any:
        """s(x) = x/σ²: what a field multiplies."""
        return x / _exp(self.log_var)

    def log_sum(self, field: Any = 0.0) -> Any:
        """log ∫ exp(xᵀf/σ² − E(x)) dx = ½ Σᵢ [log 2πσᵢ² + fᵢ (2μᵢ + fᵢ)/σᵢ²]; for f = 0, log Z."""
        moved = self.scaled(field * (2 * self.mu + field))
        return 0.5 * (moved + self.log_var + math.log(2 * math.pi)).sum(axis=-1)

    @property
    def _log_var_of_each(self) -> Any:
        """``log_var`` as an array or a tensor."""
        return (
            self.log_var + 0 * self.mu if isinstance(self.log_var, (int, float)) else self.log_var
        )

    # What data are to it

    @staticmethod
    def check(x: Array, who: str, otherwise: str) -> None:
        """Any real numbers will do."""

    @staticmethod
    def states(x: Array, rng: Generator) -> Array:
        """The data as they are."""
        return x

    @staticmethod
    def fitted(x: Array) -> Array:
        """Their mean, for μ."""
        return x.mean(axis=0)

    @staticmethod
    def standard(shape: tuple[int, ...], dtype: Any, rng: Generator) -> Array:
        """ε ~ N(0, I)."""
        check_generator(rng)
        return rng.standard_normal(shape, dtype=dtype)

    # What a network is to it

    @property
    def unbounded(self) -> dict[str, Any]:
        """None: means may lie in the range of the data."""
        return {}

    def doubts(self, x: Array, network: str) -> Iterator[str]:
        """Sentences about what can be trained and is hardly meant, where log σ² is learned."""
        low = ranges.wide(self.log_var)
        if low is not None:
            yield (
                f"the log variances that the {network} gives are at least {low:g}, so that no x is "
                f"known to better than ± {math.exp(0.5 * low):.2g}: without the last layer they "
                "may be any real numbers"
            )
        constant = int(to_host((x.max(axis=0) == x.min(axis=0)).sum())) if len(x) > 1 else 0
        if constant:
            yield (
                f"{constant} of the {math.prod(x.shape[1:])} entries of x are the same in all "
                "samples: their Gaussian density grows without bound as its variance falls, and "
                "the cost tells nothing more; leave them out, or add noise of the size of a level"
            )


@dataclass(frozen=True, eq=False)
class Logistic:
    """P(xᵢ) = σ((xᵢ + d/2 − μᵢ)/sᵢ) − σ((xᵢ − d/2 − μᵢ)/sᵢ) for K levels from 0 to 1.

    ``mu``: μ, ``log_scale``: log s, ``levels``: K; d = 1/(K − 1). Source: Salimans et al. 2017,
    arXiv:1701.05517, eq. 2, with one component.
    """

    mu: Any
    log_scale: Any
    levels: int

    @property
    def mean(self) -> Any:
        """E[x] = d Σₖ P(x ≥ k d) = d Σₖ σ((μ − (k − ½) d)/s), over k = 1 … K − 1."""
        d, per_scale = self._distance, ops.exp(-self.log_scale)
        tails = [ops.sigmoid((self.mu - (k - 0.5) * d) * per_scale) for k in range(1, self.levels)]
        return d * sum(tails[1:], tails[0])

    def nll(self, x: Any) -> Any:
        """−log P(x), (n,) nats, where −log P(xᵢ) = softplus(−b) + softplus(a) − log(1 − e^(a − b)).

        a and b are the ends of the level, (xᵢ ∓ d/2 − μᵢ)/sᵢ: σ(b) − σ(a) =
        σ(b) σ(−a) (1 − e^(a − b)), which keeps its digits where both are near 0 or near 1.
        """
        d, per_scale = self._distance, ops.exp(-self.log_scale)
        data = x.data if isinstance(x, Tensor) else x
        above, below = ((data < 1 - d / 2), (data > d / 2))  # another level is there
        inside = (above & below).astype(data.dtype)
        above, below = above.astype(data.dtype), below.astype(data.dtype)
        beyond = ops.softplus((self.mu - x - d / 2) * per_scale) * above
        short = ops.softplus((x - self.mu - d / 2) * per_scale) * below
        width = ops.log(-ops.expm1(-d * per_scale)) * inside
        return (beyond + short - width).sum(axis=-1)

    def draw(self, rng: Generator | None = None, noise: Array | None = None) -> Array:
        """x ~ P: the level nearest to μ + s log u/(1 − u), u ~ U[0, 1) by ``rng`` or ``noise``."""
        if noise is None:
            if rng is None:
                raise ValueError(
                    "levels are drawn from uniform numbers: give them as noise, or rng"
                )
            check_generator(rng)
            noise = rng.random(self.mu.shape, dtype=self.mu.dtype)
        with np.errstate(divide="ignore"):  # u = 0 is the lowest level
            y = self.mu + np.exp(self.log_scale) * (np.log(noise) - np.log1p(-noise))
        top = self.levels - 1
        return (np.clip(np.rint(y * top), 0, top) / top).astype(self.mu.dtype)

    @property
    def unbounded(self) -> dict[str, Any]:
        """None: means may lie in the range of the data."""
        return {}

    def doubts(self, x: Array, network: str) -> Iterator[str]:
        """Yield a sentence if the log scales are confined: then no pixel can be known exactly."""
        ends = ranges.confined(self.log_scale)
        if ends is not None:
            low, high = ends
            yield (
                f"the log scales that the {network} gives lie between {low:g} and {high:g}: leave "
                "the last layer out, so that they may be any real numbers"
            )

    @property
    def _distance(self) -> float:
        """The distance d of two levels."""
        return 1 / (self.levels - 1)


@dataclass(frozen=True)
class Logistics:
    """The discretised logistic distributions of K ``levels`` from 0 to 1, a kind of likelihood."""

    levels: int

    discrete: ClassVar[bool] = True
    values: ClassVar[tuple[float, float]] = (0.0, 1.0)
    per_entry: ClassVar[int] = 2
    parameters: ClassVar[str] = "the means of {size} {what} beside the logarithms of their scales"
    __name__ = "discretised logistic"

    def of(self, outputs: Any) -> Logistic:
        """The distribution whose means a network gives, and then, along axis 1, log scales.

        The network's numbers count in units of the range: μ is its number plus ½, and log s is its
        number less log 8, so that an untrained network spreads its probability over all levels.
        """
        half = outputs.shape[1] // 2
        return Logistic(outputs[:, :half] + 0.5, outputs[:, half:] - math.log(8), self.levels)

    def check(self, x: Array, who: str, otherwise: str) -> None:
        """Raise ``ValueError`` unless all x are levels; ``otherwise`` says what takes others."""
        Bernoulli.check(x, who, otherwise)
        top = self.levels - 1
        between = float(to_host(np.absolute(x * top - np.rint(x * top)).max()))
        if between > 0.01:
            raise ValueError(
                f"{who} {self.levels} levels 0, 1/{top}, … 1, got values between them: count the "
                f"levels of your data, round them, or {otherwise}"
            )


Distribution: TypeAlias = Bernoulli | Spin | Gaussian
Family: TypeAlias = type[Bernoulli] | type[Spin] | type[Gaussian]
Likelihood: TypeAlias = Family | Logistics

FAMILIES: Final[dict[str, Family]] = {"bernoulli": Bernoulli, "gaussian": Gaussian, "spin": Spin}
"""The kinds of distributions, by the names that settings have for them."""


def family(name: str, setting: str) -> Family:
    """The distributions of that name; ``ValueError`` with the names that ``setting`` may have."""
    if name not in FAMILIES:
        *others, last = map(repr, FAMILIES)
        raise ValueError(f"{setting} is {', '.join(others)} or {last}, got {name!r}")
    return FAMILIES[name]


def likelihood_of(given: str | int) -> Likelihood:
    """The distributions of that name, or the discretised logistics of ``given`` levels."""
    if isinstance(given, str):
        return family(given, "likelihood")
    if operator.index(given) < 2:
        raise ValueError(f"likelihood is a name, or a number of levels from 2, got {given}")
    return Logistics(operator.index(given))


def of_rows(kind: Likelihood, outputs: Any, size: int, network: str, what: str) -> Any:
    """The distribution of ``size`` entries that a network gives for each sample, as rows.

    Raises ``ValueError`` where it gives more numbers or fewer; ``what`` the entries are is named.
    """
    expected = kind.per_entry * size
    if outputs.shape[1:] != (expected,):
        raise ValueError(
            f"the {network} gives {outputs.shape[1:]} numbers for each sample, expected "
            f"{expected}: {kind.parameters.format(size=size, what=what)}"
        )
    return kind.of(outputs)


def bernoulli(p: Any, rng: Generator | None = None, u: Array | None = None) -> Array:
    """1 with probability p, else 0, in the dtype of p: 1 where u < p, with u ~ U[0, 1).

    The uniform numbers are ``u``, of the shape of p, or are drawn from ``rng``.
    """
    if u is None:
        if rng is None:
            raise ValueError("states are drawn from uniform numbers: give them as u, or rng")
        check_generator(rng)
        u = rng.random(p.shape, dtype=p.dtype)
    return (u < p).astype(p.dtype)


def _exp(x: Any) -> Any:
    """e^x; of a Python number one that leaves the dtype of arrays as it is."""
    return math.exp(x) if isinstance(x, (int, float)) else ops.exp(x)
