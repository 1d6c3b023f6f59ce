"""How many samples a classifier takes for one of the classes, and how evenly they spread over them.

The classifier is the feed-forward one, trained here and now on the labelled images that the model
was trained on, with the settings of the command line and seed 0. What it says of held-out images
stands beside: no generator is expected to do better than these.
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array, generator
from ..storage import Checkpoint
from ..training import History
from .classifier import FFNNRecipe
from .data import Data

CONFIDENCE = 0.9


def recognised(samples: Array, data: Data, name: str) -> dict[str, str]:
    """The share of ``samples`` in which one class has a probability of 0.9 or more, and which.

    The evenness is the entropy of the classes of these, over that of equally many of each: 1 where
    all classes come as often, 0 where there is but one. ``name`` is that of the data.
    """
    recipe = FFNNRecipe()
    settings = recipe.settings({"data": name})
    rng = generator(0)
    model = recipe.build(settings, data, rng)
    state = Checkpoint(model, recipe.optimizers(model, settings), rng, History())
    for _ in recipe.epochs(state, data, settings):
        pass
    p = model.predict_proba(samples.astype(np.float32))
    classes = p.argmax(axis=1)[p.max(axis=1) >= CONFIDENCE]
    counts = np.bincount(classes, minlength=p.shape[1])
    of_reals = (model.predict_proba(data.test).max(axis=1) >= CONFIDENCE).mean()
    return {
        f"recognised by a classifier, confidence from {CONFIDENCE}": f"{len(classes)} of "
        f"{len(samples)} samples, {100 * len(classes) / len(samples):.1f} %; "
        f"of held-out images {100 * of_reals:.1f} %",
        f"  as 0 to {len(counts) - 1}, evenness {evenness(counts):.3f}": " ".join(map(str, counts)),
    }


def evenness(counts: Array) -> float:
    """The entropy −Σ p log p of the shares of some classes, over its maximum log K; 0 of none."""
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum() / math.log(len(counts)))
