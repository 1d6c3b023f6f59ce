"""How near the samples of a generative model are to data: by distance, and by a classifier's eye.

The MMD² compares the samples with held-out data, pixel by pixel. The classifier says how many of
them it takes for one of the classes, with a probability of 0.9 or more, and how evenly these spread
over the classes. Neither number means anything alone: copies of one image are all recognised, and
of uniform noise a classifier may recognise half. Beside each therefore stand two more, for held-out
data in place of the samples, which no generator is expected to beat, and for uniform noise.

Of a toy it is known where its points lie without their noise. What is said in place of the
classifier is how many of the samples lie within three standard deviations of that, and how evenly
over its parts.

The classifier is the feed-forward one with the settings of the command line and seed 0, and few
data are gone through more often. It is trained once, and kept in the folder of the run.
"""

from __future__ import annotations

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
from ..metrics import against_floor, median_bandwidth, mmd2_unbiased
from ..models import Classifier
from ..progress import watched
from ..storage import Checkpoint, load, to_bytes
from .classifier import FFNNRecipe
from .data import Data

CONFIDENCE = 0.9
COMPARED = 2000  # samples at most, of which the MMD² is taken
WITHIN = 3
"""So many standard deviations from where a toy lies, its points are near."""
BATCH = 64
STEPS = 1500  # at least so many does the classifier learn for


def recognised(samples: Array, data: Data, folder: Path) -> dict[str, str]:
    """Return what distance and classifier say of ``samples``, of held-out data and of noise.

    What cannot be had is said in its place: of data without labels, or of one class, there is no
    classifier, and of fewer than four held-out samples no distance. ``folder`` is where the
    classifier is kept.
    """
    low, high = data.value_range
    noise = np.random.default_rng(0).uniform(low, high, samples.shape).astype(np.float32)
    distances = _distances(samples, noise, data)
    if data.name in TOYS:
        return {**distances, **_near(samples, noise, data)}
    return {**distances, **_classes(samples, noise, data, folder)}


def evenness(counts: Array) -> float:
    """Return the entropy −Σ p log p of the shares of some classes over its maximum log K.

    It is 1 where all classes come as often, and 0 where there is but one, or none.
    """
    if np.count_nonzero(counts) < 2:
        return 0.0
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / math.log(len(counts)))


def _distances(samples: Array, noise: Array, data: Data) -> dict[str, str]:
    """The MMD² from one half of the held-out data: of samples, of the other half, of noise."""
    order = np.random.default_rng(0).permutation(len(data.test))[: 2 * COMPARED]
    reals = data.test[order].reshape(len(order), -1)
    reference = reals[len(reals) // 2 :]
    missing = "MMD² from held-out data"
    if len(reals) < 4:
        return {missing: f"– (it takes 4 held-out samples, these are {len(reals)})"}
    try:
        sigma = median_bandwidth(reference)
    except ValueError:
        return {missing: "– (most held-out samples are equal)"}
    try:
        of_samples = against_floor(samples, reals, sigma)
    except ValueError as error:
        return {missing: f"– ({error})"}
    n = min(len(samples), len(reals) // 2)
    of_noise = mmd2_unbiased(noise.reshape(len(noise), -1)[:n], reference, sigma)
    name = f"MMD² of {n} samples from {len(reference)} held-out, unbiased"
    return {
        f"{name}, σ = {sigma:.3g}": f"{of_samples.value:.5f}; "
        f"of held-out data {of_samples.floor:.5f}, of uniform noise {of_noise:.5f}"
    }


def _near(samples: Array, noise: Array, data: Data) -> dict[str, str]:
    """The shares that lie near the toy without its noise, and near which of its parts."""
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
    others = "{0}; of held-out data {1}, of uniform noise {2}"
    where = "a mode" if name == "ring" else "the curve"
    lines = {f"within {WITHIN} standard deviations of {where}": others.format(*shares)}
    if part.any():
        lines[f"  evenness over the {part.max() + 1} parts"] = others.format(*spread)
    return lines


def _classes(samples: Array, noise: Array, data: Data, folder: Path) -> dict[str, str]:
    """The shares that the classifier recognises, and as what."""
    name = f"recognised by a classifier, confidence from {CONFIDENCE}"
    try:
        model = _classifier(data, folder)
    except ValueError as error:
        return {name: f"– ({error})"}
    shares, spread, counts = [], [], []
    for x in (samples, data.test, noise):
        p = model.predict_proba(x.astype(np.float32))
        sure = p.max(axis=1) >= CONFIDENCE
        counts.append(np.bincount(p.argmax(axis=1)[sure], minlength=p.shape[1]))
        shares.append(f"{100 * sure.mean():.1f} %")
        spread.append(f"{evenness(counts[-1]):.3f}")
    others = "; of held-out data {1}, of uniform noise {2}"
    return {
        name: f"{counts[0].sum()} of {len(samples)}, {{0}}{others}".format(*shares),
        "  evenness over the classes": f"{{0}}{others}".format(*spread),
        "  as": ", ".join(f"{c} {n}" for c, n in zip(data.classes, counts[0], strict=True)),
    }


def _classifier(data: Data, folder: Path) -> Classifier:
    """Return the classifier of these data that the folder holds, or train one and leave it there.

    Its file is named after the content of the data and the settings: other data have another.
    Raises ``ValueError`` for data that no classifier can be trained on.
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
