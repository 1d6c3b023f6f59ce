r"""Annealed importance sampling: the normalisation of a distribution, with its standard error.

From f₀, whose normalisation Z₀ is known and which can be drawn from, a path f_β leads to the f₁ in
question, here the geometric one, f_β = f₀^(1 − β) f₁^β. Start with x ~ f₀/Z₀ and go along
0 = β₀ < β₁ < … < β_K = 1: at each β, weigh, then move by a chain that leaves f_β as it is. With

    log w = Σₖ [log f_βₖ(x) − log f_βₖ₋₁(x)],        E[w] = Z₁ / Z₀,

however short the chains are. Their length, and the number of temperatures, decide the variance of w
alone: w is an importance weight on the paths. Logarithms of its mean are low by half the variance
of w / E[w] over the number of chains, on average.

The reason is one of paths. Let moves q(x_k|x_{k−1}) lead along a path, and let p(x_{k−1}|x_k) be
any moves back. Both give the paths a density, and the ratio of the two,

    log w = log p(x_K) − log q(x_0) + Σₖ [log p(x_{k−1}|x_k) − log q(x_k|x_{k−1})],

has E[w] = 1 for normalised p; it is Jarzynski's equality, with log w for the work that is gained.
Annealing takes for p the exact reversal of each move, p(x|x′) = q(x′|x) f_β(x)/f_β(x′), so that q
is not needed to weigh. A diffusion model has learned its p, and its q is known. ``weigh_path`` is
the sum for both.

E[w] holds over all paths there are, also those that one run has never taken. Where f₁ has a mode
that no chain came to, what it weighs is missing, and the weights agree with each other all the
same: a small standard error says that the chains agree, not that they were everywhere. Chains from
two different f₀ that end apart, ``far_apart``, betray it; modes that neither reaches stay unseen.

Source: Neal 2001, arXiv:physics/9803008, section 2; Salakhutdinov and Murray 2008 for an RBM;
Jarzynski 1997, arXiv:cond-mat/9610209; Sohl-Dickstein et al. 2015, arXiv:1503.03585, section 2.3.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from ..backend import Array, to_host

X = TypeVar("X")
Step: TypeAlias = tuple[float, float]  # from one β, or time, to the next


def weigh_path(
    x: X,
    times: Sequence[float],
    log_ratio: Callable[[X, float, float], Array],
    transition: Callable[[X, float], X],
    progress: Callable[[Iterable[Step]], Iterable[Step]] = iter,
) -> tuple[Array, X]:
    """log w = Σₖ log_ratio(x, tₖ₋₁, tₖ) along a path, (n,), in float64; and where the path ends.

    ``x`` is the state of n paths, whatever the two functions take for it. ``transition(x, tₖ)``
    moves it between the two terms that have tₖ in common.
    """
    log_w = log_ratio(x, times[0], times[1]).astype(np.float64)
    for time, following in progress([*itertools.pairwise(times[1:])]):
        x = transition(x, time)
        log_w += log_ratio(x, time, following)
    return log_w, x


def annealed_importance_sampling(
    x: X,
    betas: Sequence[float],
    log_ratio: Callable[[X, float, float], Array],
    transition: Callable[[X, float], X],
    progress: Callable[[Iterable[Step]], Iterable[Step]] = iter,
) -> tuple[Array, X]:
    """log w = Σₖ log f_βₖ(x) / f_βₖ₋₁(x) of each chain, (n,), in float64; and where they ended.

    ``x``: draws from f₀, whatever the two functions take for the state of n chains;
    ``log_ratio(x, β, β′)`` is log f_β′(x) − log f_β(x), (n,); ``transition(x, β)`` moves by a chain
    that leaves f_β as it is. ``betas`` rise from 0 to 1, both included. ``progress`` wraps the
    steps, as tqdm does.
    """
    rises = all(low < high for low, high in itertools.pairwise(betas))
    if len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or not rises:
        raise ValueError(f"betas rise from 0 to 1, got {list(betas)[:5]} … of {len(betas)}")
    return weigh_path(x, betas, log_ratio, transition, progress)


def log_mean_and_error(log_w: Array) -> tuple[float, float]:
    """log (1/n) Σ w from log w, (n,), with its standard error s / (w̄ √n): the delta method.

    s is the standard deviation of the weights. It tells the error as long as no few of them carry
    the mean: an error above some tenths says only that more temperatures are needed. A small one
    says that the chains agree; of modes that none of them came to it knows nothing.
    """
    log_w = to_host(log_w)
    if log_w.ndim != 1 or len(log_w) < 2:
        raise ValueError(
            f"a standard error needs the weights of at least 2 chains, got shape {log_w.shape}"
        )
    greatest = log_w.max()
    w = np.exp(log_w - greatest)
    error = w.std(ddof=1) / (w.mean() * math.sqrt(len(w)))
    return float(greatest + np.log(w.mean())), float(error)


def far_apart(x: Array, y: Array) -> bool:
    """Whether two groups of chains, (n, D) and (m, D), are at different places, by their means.

    They are, where ‖x̄ − ȳ‖² exceeds 16 times what chains of one distribution have on average,
    Σ σᵢ² (1/n + 1/m): four standard errors, if all entries were one. It takes 16 chains or more to
    be seen. Source: the comparison of variances between and within chains of Gelman and Rubin 1992.
    """
    both = np.concatenate([x, y]).astype(np.float64)
    gap = both[: len(x)].mean(axis=0) - both[len(x) :].mean(axis=0)
    expected = both.var(axis=0).sum() * (1 / len(x) + 1 / len(y))
    return bool(to_host((gap * gap).sum() > 16 * expected))
