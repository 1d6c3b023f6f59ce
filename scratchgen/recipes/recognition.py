"""The distance between the samples of a generative model and data: by MMD², and by a classifier.

The MMD² compares the samples with held-out data, pixel by pixel; a permutation test says how often
it would be as large by chance. Precision, recall, density and coverage tell poor samples from
samples that are too alike. The classifier counts the samples
that it assigns to one of the classes with a probability of 0.9 or more, and measures how evenly
these samples spread over the classes. Neither number means anything alone: copies of one image are
all recognised, and a classifier may recognise half of uniform noise. Each number is therefore
reported with its values for held-out data, which no generator is expected to surpass, and for
uniform noise.

The points of a toy lie near modes or a curve. In place of the classifier, this module counts the
samples within three standard deviations of the modes or the curve, and measures how evenly these
samples spread over the parts of the toy.

The classifier is the feed-forward one with the settings of the command line and seed 0; on small
data it trains for more epochs. It is trained once, and stored in the folder of the run.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Array, generator
from ..datasets.toys import DEVIATION, TOYS, skeleton
from ..files import write_atomically
from ..history import History
from ..metrics import (
    against_floor,
    median_bandwidth,
    mmd2_unbiased,
    permutation_test,
    precision_recall_density_coverage,
)
from ..models import Classifier
from ..progress import watched
from ..storage import Checkpoint, load, to_bytes
from .classifier import FFNNRecipe
from .data import Data
from .recipe import had

CONFIDENCE = 0.9
RECOGNISED = f"recognised by a classifier, confidence from {CONFIDENCE}"
COMPARED = 2000  # the largest number of samples for the MMD²
WITHIN = 3  # points within this many standard deviations of a toy's skeleton are near it
BATCH = 64
NEIGHBOURS = 5  # a ball of the precision and of the like reaches to this neighbour of its centre
OTHERS = "{0}; of held-out data {1}, of uniform noise {2}"
STEPS = 1500  # the least number of training steps of the classifier


def recognised(
    samples: Array, data: Data, folder: Path, asked: Array | None = None
) -> dict[str, str]:
    """Return the distance and the classification of ``samples``, held-out data and noise.

    If a measure fails, its line gives the reason: data without labels, or of one class, have no
    classifier, and fewer than four held-out samples have no distance. ``folder`` is the folder in
    which the classifier is stored. ``asked`` are the labels of samples that are drawn of classes.
    """
    low, high = data.value_range
    noise = np.random.default_rng(0).uniform(low, high, samples.shape).astype(np.float32)
    compared = functools.partial(_distances, samples, noise, data)
    if data.name in TOYS:
        told_apart = functools.partial(_near, samples, noise, data)
    else:
        told_apart = functools.partial(_classes, samples, noise, data, folder, asked)
    return had(iter([("MMD² from held-out data", compared), (RECOGNISED, told_apart)]))


def classes_of(samples: Array, data: Data, folder: Path) -> Array:
    """Return the class that the classifier finds most probable for each sample, (n,)."""
    p: Array = _classifier(data, folder).predict_proba(samples.astype(np.float32))
    return p.argmax(axis=1)


def in_one_line(samples: Array, data: Data, folder: Path, asked: Any) -> str:
    """Return the share of samples of the class asked for, their spread within it, and the MMD²."""
    right, spread = _of_asked(samples, _classifier(data, folder), data, asked)
    reals, _, sigma = _reals(data)
    value = against_floor(samples, reals, sigma).value
    return f"{right} right, spread {spread}, MMD² {value:.5f}"


def spread_within(x: Array, labels: Array) -> float:
    """Return the mean over the samples of ‖x − mean of its class‖²: (n, …) and (n,) to a number."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    members = [rows[labels == k] for k in np.unique(labels)]
    return sum(float(((c - c.mean(axis=0)) ** 2).sum()) for c in members) / len(x)


def evenness(counts: Array) -> float:
    """Return the entropy −Σ p log p of the shares of some classes over its maximum log K.

    It is 1 if all classes are equally frequent, and 0 if there is only one class, or none.
    """
    if np.count_nonzero(counts) < 2:
        return 0.0
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / math.log(len(counts)))


def _distances(samples: Array, noise: Array, data: Data) -> dict[str, str]:
    """Return the MMD² of samples, noise and half of the held-out data from the other half."""
    reals, reference, sigma = _reals(data)
    n = min(len(samples), len(reals) // 2)
    sets = [x.reshape(len(x), -1)[:n] for x in (samples, reals, noise)]
    value, floor, _ = against_floor(samples, reals, sigma)
    distances = value, floor, mmd2_unbiased(sets[2], reference, sigma)
    name = f"MMD² of {n} samples from {len(reference)} held-out, unbiased"
    lines = {f"{name}, σ = {sigma:.3g}": OTHERS.format(*(f"{d:.5f}" for d in distances))}
    p = permutation_test(sets[0], reference, np.random.default_rng(0)).p_value
    lines["  probability of as large a value by chance"] = f"{p:.3f}, from 199 permutations"
    if n > NEIGHBOURS:
        beside = [precision_recall_density_coverage(x, reference, NEIGHBOURS) for x in sets]
        shares = [", ".join(f"{share:.2f}" for share in each) for each in beside]
        lines["  precision, recall, density, coverage"] = OTHERS.format(*shares)
    return lines


def _reals(data: Data) -> tuple[Array, Array, float]:
    """Return held-out samples as rows, the half of them that is the reference, and its σ."""
    order = np.random.default_rng(0).permutation(len(data.test))[: 2 * COMPARED]
    reals = data.test[order].reshape(len(order), -1)
    reference = reals[len(reals) // 2 :]
    if len(reals) < 4:
        raise ValueError(f"it takes 4 held-out samples, these are {len(reals)}")
    try:
        return reals, reference, median_bandwidth(reference)
    except ValueError:
        raise ValueError("most held-out samples are equal") from None


def _near(samples: Array, noise: Array, data: Data) -> dict[str, str]:
    """Return the shares of points near the skeleton of a toy, and their evenness over its parts."""
    name: Any = data.name
    if name not in DEVIATION:
        return {}
    points, part = skeleton(name)
    shares, spread = [], []
    for x in (samples, data.test, noise):
        of_point = ((x[:, None] - points) ** 2).sum(axis=2)
        near = of_point.min(axis=1) < (WITHIN * DEVIATION[name]) ** 2
        counts = np.bincount(part[of_point.argmin(axis=1)[near]], minlength=part.max() + 1)
        shares.append(f"{100 * near.mean():.1f} %")
        spread.append(f"{evenness(counts):.3f}")
    where = "a mode" if name == "ring" else "the curve"
    lines = {f"within {WITHIN} standard deviations of {where}": OTHERS.format(*shares)}
    if part.any():
        lines[f"  evenness over the {part.max() + 1} parts"] = OTHERS.format(*spread)
    return lines


def _of_asked(x: Array, model: Classifier, data: Data, asked: Any) -> tuple[str, str]:
    """Return the share of samples of the class asked for, and their spread over that of data."""
    assert data.test_labels is not None
    right = (model.predict(x.astype(np.float32)) == asked).mean()
    spread = spread_within(x, asked) / spread_within(data.test, data.test_labels)
    return f"{100 * right:.1f} %", f"{spread:.2f}"


def _classes(
    samples: Array, noise: Array, data: Data, folder: Path, asked: Array | None
) -> dict[str, str]:
    """Return the shares that the classifier recognises, and their classes."""
    model = _classifier(data, folder)
    shares, spread, counts = [], [], []
    for x in (samples, data.test, noise):
        p = model.predict_proba(x.astype(np.float32))
        sure = p.max(axis=1) >= CONFIDENCE
        counts.append(np.bincount(p.argmax(axis=1)[sure], minlength=p.shape[1]))
        shares.append(f"{100 * sure.mean():.1f} %")
        spread.append(f"{evenness(counts[-1]):.3f}")
    lines = {}
    if asked is not None:
        of_each = (samples, asked), (data.test, data.test_labels), (noise, asked)
        right, within = zip(*(_of_asked(x, model, data, c) for x, c in of_each), strict=True)
        lines = {
            "of the class asked for, by a classifier": OTHERS.format(*right),
            "  spread within the classes, over that of data": OTHERS.format(*within),
        }
    return {
        **lines,
        RECOGNISED: f"{counts[0].sum()} of {len(samples)}, {OTHERS.format(*shares)}",
        "  evenness over the classes": OTHERS.format(*spread),
        "  as": ", ".join(f"{c} {n}" for c, n in zip(data.classes, counts[0], strict=True)),
    }


def _classifier(data: Data, folder: Path) -> Classifier:
    """Return the classifier of these data from the folder, or train one and store it there.

    The name of its file depends on the content of the data and on the settings: other data have
    another file. Raises ``ValueError`` for data on which no classifier can be trained.
    """
    recipe, rng = FFNNRecipe(), generator(0)
    if not data.classes:
        raise ValueError("the data have no labels")
    settings = recipe.settings({"data": data.name, "batch_size": BATCH})
    model = recipe.build(settings, data, rng)
    steps_an_epoch = math.ceil(len(data.validation[0]) / BATCH)
    settings = replace(settings, epochs=max(settings.epochs, math.ceil(STEPS / steps_an_epoch)))
    of = [data.sha256, {**asdict(settings), "data": None}]
    key = hashlib.sha256(json.dumps(of).encode()).hexdigest()[:12]
    path = folder / f"classifier-{key}.safetensors"
    if path.exists():
        try:
            model.load_state_dict(load(path).model.state_dict())
            return model
        except ValueError as error:
            print(f"scratchgen: {path} is trained anew ({error})", file=sys.stderr)
    else:
        print(f"scratchgen: a classifier is trained, once: {path}", file=sys.stderr)
    state = Checkpoint(model, recipe.optimizers(model, settings), rng, History())
    for _ in watched(recipe.epochs(state, data, settings), "classifier", settings.epochs):
        pass
    try:
        write_atomically(path, to_bytes(model))
    except OSError as error:
        print(f"scratchgen: the classifier could not be kept: {error}", file=sys.stderr)
    return model
