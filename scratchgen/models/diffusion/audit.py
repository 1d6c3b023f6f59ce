"""Checks of data, schedule and network before a diffusion model is trained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...autodiff import Tensor, ancestry
from ...backend import Array, to_host
from ...datasets import layout
from ...training import TrainingWarning
from .. import audit

if TYPE_CHECKING:
    from .ddpm import DDPM

SIGNAL_LEFT = 1e-2
"""From this value of the last ᾱ on, the prior counts as not matched."""


class DiffusionWarning(TrainingWarning):
    """A problem, found before training, that will keep a diffusion model from learning its data."""


def check(model: DDPM, x: Any) -> None:
    """Raise ``ValueError`` for data or a network that do not fit; warn of other problems.

    A :class:`DiffusionWarning` reports three problems. If ᾱ_{T−1} ≥ 10⁻², sampling starts from
    noise that the forward process does not reach. If the size of the data is far from 1, noise of
    variance 1 does not cover them evenly. If a layer of the network has fewer numbers than a
    sample, all information about x_t must pass through it. Noise is the same in all directions, so
    that the network can then predict it in only as many directions as the layer has numbers.
    """
    audit.check_samples(x, "a DDPM", "x / 127.5 − 1")
    _check_shape(model, x)
    low, high = float(to_host(x.min())), float(to_host(x.max()))
    if model.clip is not None and (low < model.clip[0] or high > model.clip[1]):
        raise ValueError(
            f"clipped to {model.clip}, samples are not like data from {low:g} to {high:g}: scale "
            "the data, or take another clip"
        )
    one = Tensor(x[:1])
    out = _checked_output(model, one)
    caution_of_size(x, low, high)
    _caution_of_schedule(model, x)
    narrow = _narrowest(out, one) if isinstance(out, Tensor) else None
    if narrow is not None and narrow.size < one.size:
        audit.caution(
            f"all that the network knows of a sample of {one.size} numbers passes through "
            f"{narrow.size}, the {narrow.operation.__name__} of shape {narrow.shape[1:]}: of "
            "noise, which has all directions alike, it cannot predict more than that many; "
            "widen that layer, or let x_t past it by a skip",
            DiffusionWarning,
        )


def _check_shape(model: DDPM, x: Array) -> None:
    if x.shape[1:] == model.shape:
        return
    rows = x.ndim < 4 and math.prod(x.shape[1:]) == math.prod(model.shape)
    cure = f"; take x.reshape(-1, {str(model.shape)[1:]}" if rows else ""
    raise ValueError(
        f"this DDPM takes samples of shape {model.shape}, got {x.shape[1:]}"
        f"{layout.advice(x.shape[1:]) or cure}; or build it for that shape"
    )


def _checked_output(model: DDPM, one: Tensor) -> Any:
    """The output of the network for one sample; ``ValueError`` if it cannot be a prediction."""
    try:
        out = model.output(one, model.T - 1)
    except (ValueError, IndexError) as error:
        raise ValueError(f"the network takes no samples of shape {model.shape}: {error}") from None
    if out.shape != one.shape:
        raise ValueError(
            f"the network gives {out.shape[1:]} for a sample of shape {model.shape}, expected the "
            "same: the noise in each number"
        )
    if isinstance(out, Tensor):
        expected = "the noise" if model.predicts == "noise" else "the velocity"
        audit.check_unconfined(out, "network", expected, "since noise has no bounds")
    return out


def caution_of_size(x: Array, low: float, high: float) -> None:
    """Warn of data that noise of variance 1 does not drown evenly."""
    size = float(to_host((x * x).mean(dtype=np.float64)))
    if 0 <= low < high <= 1 or not 0.1 <= size <= 10:
        audit.caution(
            f"the data run from {low:g} to {high:g}, with a mean square of {size:.3g}, where "
            "values on both sides of 0 with one of about 1 are assumed; 2x − 1 brings images "
            "on [0, 1] there, and (x − mean) / standard deviation other data",
            DiffusionWarning,
        )


def _caution_of_schedule(model: DDPM, x: Array) -> None:
    if model.alpha_bar[-1] >= SIGNAL_LEFT:
        nats = float(to_host(model.noising.prior_kl(x).mean()))
        name = f"the {model.schedule} schedule" if isinstance(model.schedule, str) else "β"
        audit.caution(
            f"after the T = {model.T} steps of {name} a share ᾱ = {model.alpha_bar[-1]:.4f} of the "
            f"data's variance is left, and the prior matching term is {nats:.3g} nats per sample: "
            "sampling begins at noise that training never sees; more steps or schedule='cosine' "
            "leave less",
            DiffusionWarning,
        )


def _narrowest(out: Tensor, x: Tensor) -> Tensor:
    """The smallest tensor through which every path from x to ``out`` passes.

    Every path passes through a tensor if (paths from x to it) · (paths from it to ``out``) is the
    number of all paths.
    """
    in_order = ancestry(out)
    from_x, to_out = dict.fromkeys([x, *in_order], 0), dict.fromkeys(in_order, 0)
    from_x[x] = to_out[out] = 1
    for tensor in in_order:
        from_x[tensor] += sum(from_x[i] for i in tensor.inputs if isinstance(i, Tensor))
    for tensor in reversed(in_order):
        for i in tensor.inputs:
            if isinstance(i, Tensor):
                to_out[i] += to_out[tensor]
    ways = from_x[out]
    passed = [tensor for tensor in in_order if from_x[tensor] * to_out[tensor] == ways]
    return min(passed, key=lambda tensor: tensor.size)
