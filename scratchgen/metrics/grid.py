"""The normalisation of a density in the plane by a sum over a grid: an exact likelihood.

For a smooth density that is negligible at the edges of the square, the error of the sum falls
faster than any power of the spacing (Trefethen and Weideman 2014).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array, device_of, to_device, to_host


def log_partition_on_grid(
    energy: Callable[[Array], Array], like: Array, half_width: float, points: int = 400
) -> float:
    """log ∫ exp(−E(x)) dx over the square |x₀|, |x₁| ≤ ``half_width``, from (points)² energies.

    ``energy`` maps points (n, 2), on the device and in the precision of ``like``, to (n,).
    Raises ``ValueError`` where more than 10⁻³ of the sum comes from the outermost frame, since the
    density then reaches beyond the square.
    """
    side = np.linspace(-half_width, half_width, points)
    rows = []
    for y in side:
        x = np.stack([side, np.full_like(side, y)], axis=1).astype(like.dtype)
        rows.append(to_host(-energy(to_device(x, device_of(like)))).astype(np.float64))
    log_p: Any = np.stack(rows)
    top = log_p.max()
    p = np.exp(log_p - top)
    frame = p[0].sum() + p[-1].sum() + p[1:-1, 0].sum() + p[1:-1, -1].sum()
    if frame > 1e-3 * p.sum():
        raise ValueError(
            f"{100 * frame / p.sum():.2g} % of the density lies on the edge of the square of half "
            f"width {half_width:g}: take a larger one"
        )
    return float(top + math.log(p.sum()) + 2 * math.log(side[1] - side[0]))
