"""Derivatives from values of a function alone, each with its uncertainty.

For F(t) = C(x + t v), the derivative along v is F′(0). If F is defined off the real line,

    F′(0) = Im F(ih)/h + O(h²),

the complex step. It involves no subtraction, so that h can be 2⁻⁷⁰ and only rounding errors remain.
Otherwise F′(0) is the limit of central differences, (F(h) − F(−h))/2h = F′(0) + c₂h² + c₄h⁴ + …, on
a ladder of steps. Richardson's extrapolation removes one power after the other, and the spread of
the last values on the ladder is the uncertainty. If F has a kink at 0, the differences from the
left and from the right have different limits, and both are returned.

Sources: Squire and Trapp, SIAM Review 40 (1998) 110; Ridders, Advances in Engineering Software 4
(1982) 75.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..backend import Array, to_host

EPS = float(np.finfo(float).eps)
Function: TypeAlias = Callable[[Any], Any]
"""F(t), for a real or an imaginary t."""

_STEP, _OTHER_STEP = 2.0**-70, 1.7 * 2.0**-71
_SMALLEST, _UNDERFLOW = 2.0**-1015, 2.0**-970
_RATIO, _LEVELS = 4.0, 11


class Derivative(NamedTuple):
    """F′(0) = ``value`` ± ``uncertainty``; ``sides`` are those from left and right of a kink."""

    value: float
    uncertainty: float
    sides: tuple[float, float] | None = None

    def widened(self, by: float) -> Derivative:
        """The same derivative with a larger uncertainty."""
        return self._replace(uncertainty=self.uncertainty + by)


def number(value: Any) -> Any:
    """Convert a scalar of any kind to a Python number."""
    return to_host(value).reshape(()).item()


def is_analytic(function: Function, scale: float, rounding: float = 0.0) -> bool:
    """Whether the complex step gives the derivative of F, compared with central differences."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns where imaginary parts are discarded
            complex_step = by_complex_step(function)
    except Exception:
        return False  # a function of real numbers may raise anything
    differences = by_differences(function, scale, rounding)
    bound = 4 * differences.uncertainty + 1e-6 * abs(differences.value)
    return abs(complex_step.value - differences.value) <= bound and differences.sides is None


def by_complex_step(function: Function, scale: float = 1.0) -> Derivative:
    """F′(0) = Im F(ih)/h, from two steps h that round differently.

    The steps are in proportion to ``scale``, the size of the entry that is moved: log w at 10⁻⁶⁰
    needs h far smaller than that. If F(ih) is then too small for a float, they are those of
    ``scale`` = 1. Raises ``TypeError`` if F does not return a complex number for an imaginary step.
    """
    scale = max(scale, _SMALLEST / _STEP)
    first, second = (_by_imaginary_step(function, h * scale) for h in (_STEP, _OTHER_STEP))
    if abs(first) * _STEP * scale < _UNDERFLOW and scale < 1:
        first, second = (_by_imaginary_step(function, h) for h in (_STEP, _OTHER_STEP))
    return Derivative(first, 16 * abs(first - second) + 64 * EPS * abs(first))


def _by_imaginary_step(function: Function, h: float) -> float:
    with np.errstate(all="ignore"):
        value = number(function(1j * h))
    if not isinstance(value, complex):
        raise TypeError("the function is not defined off the real line")
    return value.imag / h


def scatter_of_complex_step(function: Function, scale: float) -> float:
    """The error of Im F(ih)/h where F loses digits before any step is taken.

    The lost digits are similar at neighbouring points, so that the scatter is only part of the
    error.
    """
    return 32 * _scatter(lambda t: number(function(complex(t, _STEP))).imag / _STEP, scale)


def roughness(function: Function, scale: float = 1.0) -> float:
    """The error of values of F, if it exceeds the rounding of their last digit.

    Such errors arise if F computes in float32 internally, or subtracts nearly equal numbers, as
    log(1 − p) does for p close to 1.
    """
    values = [_real(function, h * scale) for h in (0.0, 1.1e-3, -2.3e-3)]
    if not all(map(math.isfinite, values)):
        return 0.0
    size = max(map(abs, values))
    single = 8 * float(np.finfo(np.float32).eps) * size
    if all(_real(function, h * scale) == values[0] for h in (1.1e-3, -2.3e-3, 0.3, -0.5)):
        return 0.0  # a constant has no error
    if all(float(np.float32(value)) == value for value in values):
        return single
    return 4 * _scatter(lambda t: _real(function, t), scale)


def _scatter(function: Callable[[float], float], scale: float) -> float:
    """The standard deviation of f about a smooth function; 0 if only the last digit scatters.

    Differences of order k remove a smooth function, but independent errors of size σ leave
    √C(2k, k) σ (Moré and Wild, SIAM J. Sci. Comput. 33 (2011) 1292). The remains of a kink are
    among the largest fifth of the differences, which is ignored. The first spacing is so small that
    kinks are rare. If it shows errors, a wider spacing is used too, to detect steps between errors.
    If f is smooth at much shorter distances, it oscillates and has no errors.
    """
    found = 0.0
    for spacing in (4e-6, 4e-4):
        for side in (spacing, -spacing):
            scatter, values = _scatter_at(function, side * scale)
            found = max(found, scatter)
        if found <= 16 * EPS * np.max(np.abs(values)):
            return 0.0
    near = [_scatter_at(function, h * scale) for h in (4.1e-9, -2.3e-8, 6.7e-8)]
    moves = all(len(np.unique(values)) > len(values) / 2 for _, values in near)
    if moves and max(scatter for scatter, _ in near) < 1e-3 * found:
        nearest = min(scatter for scatter, _ in near)  # an oscillation shows only at the longest
        return nearest if nearest > 16 * EPS * np.max(np.abs(values)) else 0.0
    return found


def _scatter_at(function: Callable[[float], float], step: float) -> tuple[float, Array]:
    values = np.array([function(step * i) for i in range(24)])
    if not np.isfinite(values).all():
        return 0.0, values
    sizes = {k: float(np.quantile(np.abs(np.diff(values, k)), 0.8)) for k in (4, 6)}
    return min(sizes[k] / math.sqrt(math.comb(2 * k, k)) for k in sizes), values


def by_differences(
    function: Function, scale: float = 1.0, rounding: float = 0.0, smallest: float | None = None
) -> Derivative:
    """F′(0) by Richardson's extrapolation of central differences, from h = 10⁻² ``scale`` down.

    ``rounding`` is the roughness of F if it is known, at least that of float64. Steps at which F is
    not finite are omitted. The steps go down to 10⁻⁸ ``scale``, and until they are small compared
    with ``smallest``, the size of an entry much smaller than its neighbours.
    """
    levels = _LEVELS
    if smallest is not None:
        levels += math.ceil(math.log(max(scale / max(smallest, 1e-15 * scale), 1), _RATIO))
    at_0 = _real(function, 0.0)
    central, left, right = _Ladder(2), _Ladder(1), _Ladder(1)
    bends: list[tuple[float, float]] = []
    for level in range(levels):
        h = 1e-2 * scale * _RATIO**-level
        ahead, behind = _real(function, h), _real(function, -h)
        noise = 4 * max(rounding, EPS * max(abs(at_0), abs(ahead), abs(behind))) / h
        if not (math.isfinite(ahead) and math.isfinite(behind)):
            for side, end, slope in ((right, ahead, ahead - at_0), (left, behind, at_0 - behind)):
                if math.isfinite(end):
                    side.climb(slope / h, 8 * max(rounding, EPS * abs(end)) / h)
            continue
        central.climb((ahead - behind) / (2 * h), noise)
        right.climb((ahead - at_0) / h, 2 * noise)
        left.climb((at_0 - behind) / h, 2 * noise)
        bends.append((abs(ahead + behind - 2 * at_0) / h, 4 * noise))
        settled = max(1e-10 * abs(central.value), 1e-11 * abs(at_0) / scale)
        if central.error < settled and len(bends) > 3 and not _kinked(bends):
            break
    sides = (left.value, right.value) if _kinked(bends) else None
    ladder = next((ladder for ladder in (central, right, left) if ladder.rungs), central)
    return Derivative(ladder.value, ladder.error, sides)


def _kinked(bends: list[tuple[float, float]]) -> bool:
    """Whether |F(h) + F(−h) − 2F(0)|/h stays constant as h falls, as at a kink.

    Without a kink it falls with h.
    """
    clear = [k for k, (bend, noise) in enumerate(bends) if bend > 30 * noise]
    if len(clear) < 3 or clear[-1] - clear[-3] > 2:
        return False
    first, second, last = (bends[k][0] for k in clear[-3:])
    unseen = all(bend + 30 * noise > 0.6 * last for bend, noise in bends[clear[-1] + 1 :])
    return last > 0.6 * second > 0.36 * first and unseen


class _Ladder:
    """Extrapolation to h = 0 of values with an error series in hᵖ, h²ᵖ …, as h is divided by 4."""

    def __init__(self, power: int) -> None:
        self.factor = _RATIO**power
        self.rungs: list[float] = []
        self.found: list[tuple[float, float]] = []
        self.value, self.error = math.nan, math.inf

    def climb(self, value: float, noise: float) -> None:
        rungs, best = [value], (value, math.inf)
        for j, before in enumerate(self.rungs[:5]):
            rungs.append(rungs[j] + (rungs[j] - before) / (self.factor ** (j + 1) - 1))
            apart = max(abs(rungs[-1] - rungs[j]), abs(rungs[-1] - before))
            if 4 * apart + noise < best[1]:
                best = rungs[-1], 4 * apart + noise
        self.rungs = rungs
        self.found.append(best)
        self.value, self.error = self._surest()

    def _surest(self) -> tuple[float, float]:
        """The value of least error among those that smaller steps confirm.

        Steps longer than a period, or than the distance to a pole, may agree with each other by
        coincidence.
        """
        surest, value, error = self.found[-1], *self.found[-1]
        low, high = value - 30 * error, value + 30 * error
        for value, error in reversed(self.found[:-1]):
            if error < surest[1] and low <= value + error and value - error <= high:
                surest = value, error
            low, high = max(low, value - 30 * error), min(high, value + 30 * error)
        return surest


def _real(function: Function, t: float) -> float:
    try:
        with np.errstate(all="ignore"):
            return float(number(function(t)))
    except (ValueError, ZeroDivisionError, OverflowError):
        return math.nan  # math.log raises where numpy.log gives nan


def moved(x: Array, index: int, t: Any) -> Array:
    """A copy of ``x`` in which the entry with flat index ``index`` is moved by t."""
    copy = x.astype(np.result_type(x.dtype, type(t)))
    copy[np.unravel_index(index, x.shape)] += t  # correct for every layout in memory
    return copy
