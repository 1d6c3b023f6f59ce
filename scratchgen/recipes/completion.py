"""Images completed on the command line: held-out images of which a part is known.

Some pixels are known (``scratchgen inpaint``), or the averages of squares of pixels
(``scratchgen super-resolve``). A diffusion model draws the rest. The completions are judged by the
share whose class the classifier still recognises, and by their squared error. Both numbers are
reported with their values for a completion without a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plotting
from ..autodiff import Tensor
from ..backend import Array, Generator, device_of, to_device, to_host
from ..models import DDPM
from ..models.diffusion import closeness, conditioning, inpaint, posterior, super_resolve
from .data import Data
from .recipe import in_parts
from .recognition import classes_of
from .settings import DEVICE, SEED, Choice, Name, Real, Record, Whole, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = 64  # the number of images that are completed at a time
COLUMNS = 10  # the number of images in the picture
DRAWS = 3  # the number of completions of each of them
HALVES = ("left", "right", "top", "bottom")


@dataclass(frozen=True, kw_only=True)
class Completion(Record):
    """The options of both commands."""

    n: int = setting(Whole("how many held-out images, the first ones", most=100_000), default=64)
    method: str = setting(
        Choice(
            "how to complete: by the gradient of the distance from the known part, through the "
            "network, or by replacement of the known part after each step",
            names=("gradient", "replacement"),
        ),
        default="gradient",
    )
    scale: float | None = setting(
        Real("with gradient, the length ζ of a step", above=True, none="1"), default=None
    )
    resample: int | None = setting(
        Whole("with replacement, how often to take each step, r", most=1000, none="1"), default=None
    )
    steps: int | None = setting(
        Whole("number of denoising steps, by DDIM with η = 1", most=10_000, none="all"),
        default=None,
    )
    seed: int = setting(SEED, default=0)
    device: str = setting(DEVICE, default="cpu")

    def __post_init__(self) -> None:
        super().__post_init__()
        other = {"gradient": "resample", "replacement": "scale"}[self.method]
        if getattr(self, other) is not None:
            raise ValueError(f"--{other} is not for --method {self.method}: leave it out")

    @property
    def method_said(self) -> str:
        """The method with its number, in the words of a title."""
        if self.method == "gradient":
            return f"gradient, ζ = {self.scale or 1:g}"
        return f"replacement, r = {self.resample or 1}"


@dataclass(frozen=True, kw_only=True)
class Inpainting(Completion):
    """The options of ``scratchgen inpaint``."""

    mask: str = setting(
        Name(
            "the part to hide: left, right, top or bottom, the rectangle TOP,LEFT,HEIGHT,WIDTH in "
            "pixels, or a file .npy of booleans that are true where pixels are known"
        ),
        default="right",
    )

    def part(self, shape: tuple[int, ...]) -> Part:
        """Return the known part of images (channels, height, width)."""
        return Pixels(mask_of(self.mask, shape))


@dataclass(frozen=True, kw_only=True)
class SuperResolution(Completion):
    """The options of ``scratchgen super-resolve``."""

    factor: int = setting(
        Whole("the number of pixels along the side of an averaged square", least=2, most=1000),
        default=2,
    )

    def part(self, shape: tuple[int, ...]) -> Part:
        """Return the known part of images (channels, height, width)."""
        if shape[1] % self.factor or shape[2] % self.factor:
            raise ValueError(
                f"--factor divides the sides of the images, {shape[1]} × {shape[2]}, got "
                f"{self.factor}"
            )
        return Averages(self.factor, shape)


class Part:
    """The known part of an image: H in y = Hx, and what goes with it."""

    said: str
    """What is known and what is hidden."""
    floor_said: str
    """The completion without a model."""
    drawn_said: str
    """The name of the row that shows the known part."""
    judged_said: str
    """The numbers over which errors are averaged."""

    def measured(self, x: Any) -> Any:
        """Return y = Hx for images x, arrays or tensors."""
        raise NotImplementedError

    def drawn(self, y: Array) -> Array:
        """Return y as images on [−1, 1]."""
        raise NotImplementedError

    def replaced(
        self, model: DDPM, y: Array, rng: Generator, resample: int, steps: int | None
    ) -> Array:
        """Return completions by replacement."""
        raise NotImplementedError

    def kept(self, x: Array, y: Array) -> Array:
        """Return completions x with exactly the known pixels, if there are any."""
        return x

    def floor(self, y: Array, train: Array) -> Array:
        """Return completions without a model."""
        raise NotImplementedError

    def errors(self, x: Array, original: Array) -> Array:
        """Return the mean squared error of each completion, over what was hidden: (n,)."""
        return ((x - original) ** 2).reshape(len(x), -1).mean(axis=1)


class Pixels(Part):
    """Some pixels are known, where ``mask`` is true: (channels, height, width)."""

    floor_said = "the mean of the training images"
    drawn_said = "known (rest grey)"
    judged_said = "a hidden pixel"

    def __init__(self, mask: Array) -> None:
        self.mask = mask
        known, whole = int(mask[0].sum()), mask[0].size
        rows, columns = (np.flatnonzero(~mask[0].all(axis=axis)) for axis in (1, 0))
        where = f"in rows {rows[0]} to {rows[-1]} and columns {columns[0]} to {columns[-1]}"
        self.said = f"{known} of {whole} pixels; {whole - known} are hidden, {where}"

    def measured(self, x: Any) -> Any:
        """Return x where it is known, and 0 elsewhere."""
        array = x.data if isinstance(x, Tensor) else x
        return x * to_device(self.mask.astype(array.dtype), device_of(array))

    def drawn(self, y: Array) -> Array:
        """Draw hidden pixels in grey."""
        return y

    def replaced(
        self, model: DDPM, y: Array, rng: Generator, resample: int, steps: int | None
    ) -> Array:
        """Replace the known pixels."""
        return inpaint(model, y, self.mask, rng, resample, steps)

    def kept(self, x: Array, y: Array) -> Array:
        """Put in the known pixels."""
        return np.where(self.mask, y, x)

    def floor(self, y: Array, train: Array) -> Array:
        """Return the mean of the training images in the hidden pixels."""
        return np.where(self.mask, y, train.mean(axis=0))

    def errors(self, x: Array, original: Array) -> Array:
        """Average over the hidden pixels."""
        squared: Array = ((x - original) ** 2)[:, ~self.mask]
        return squared.mean(axis=1)


class Averages(Part):
    """The averages over squares of pixels are known, in images (channels, height, width)."""

    floor_said = "squares of equal pixels"
    drawn_said = "known averages"
    judged_said = "a pixel"

    def __init__(self, factor: int, shape: tuple[int, ...]) -> None:
        self.factor = factor
        height, width = shape[1:]
        small = f"{height // factor} × {width // factor}"
        self.said = f"the averages of {factor} × {factor} pixels: {small} of {height} × {width}"

    def measured(self, x: Any) -> Any:
        """Return the averages."""
        return conditioning.averages(x, self.factor)

    def drawn(self, y: Array) -> Array:
        """Draw each average as a square of pixels."""
        large: Array = conditioning.upsampled(y, self.factor)
        return large

    def replaced(
        self, model: DDPM, y: Array, rng: Generator, resample: int, steps: int | None
    ) -> Array:
        """Replace the averages."""
        return super_resolve(model, y, self.factor, rng, resample, steps)

    def floor(self, y: Array, train: Array) -> Array:
        """Return the squares of equal pixels."""
        return self.drawn(y)


def mask_of(text: str, shape: tuple[int, ...]) -> Array:
    """Return the mask that --mask describes, true where pixels are known, in the given shape."""
    height, width = shape[1:]
    known = np.ones((height, width), dtype=bool)
    if text in HALVES:
        row, column = np.indices(known.shape)
        hidden = {"left": column < width // 2, "right": column >= width // 2}
        hidden |= {"top": row < height // 2, "bottom": row >= height // 2}
        known = ~hidden[text]
    elif text.endswith(".npy"):
        known = np.load(text, allow_pickle=False)
        if known.dtype != bool or known.shape not in ((height, width), shape):
            raise ValueError(
                f"{text} holds {known.dtype} of shape {known.shape}; a mask holds booleans of "
                f"shape {(height, width)}, true where pixels are known"
            )
    else:
        try:
            top, left, high, wide = (int(word) for word in text.split(","))
        except ValueError:
            raise ValueError(
                f"--mask is {', '.join(HALVES)}, TOP,LEFT,HEIGHT,WIDTH or a file .npy, got {text!r}"
            ) from None
        if not (0 <= top < top + high <= height and 0 <= left < left + wide <= width):
            raise ValueError(
                f"--mask {text} does not lie inside images of {height} × {width} pixels: TOP and "
                "LEFT count from 0, HEIGHT and WIDTH from 1"
            )
        known[top : top + high, left : left + wide] = False
    if known.all() or not known.any():
        raise ValueError(
            f"--mask {text} hides {'no pixel' if known.all() else 'every pixel'}: some pixels are "
            "hidden, and some are known"
        )
    return np.broadcast_to(known, shape)


@dataclass(frozen=True)
class Completed:
    """Held-out images on [0, 1], their known part, and completions; see :func:`complete`."""

    part: Part
    labels: Array | None
    original: Array
    known: Array
    """The known part, drawn as images."""
    drawn: Array
    """Completions of all images, then further completions of the first few."""
    floor: Array

    def judge(self, data: Data, folder: Path) -> dict[str, str]:
        """Return the share of images that keep their class, and the squared error, in words."""
        n = len(self.original)
        stacks = self.drawn[:n], self.floor
        errors = [self.part.errors(x, self.original) for x in stacks]
        of_error = [f"{e.mean():.4f}" for e in errors]
        of_error[0] += f" ± {errors[0].std() / math.sqrt(n):.4f}"
        said = f"; of {self.part.floor_said} {of_error[1]}"
        lines = {"known": self.part.said}
        if self.labels is not None:
            shares = [
                (classes_of(x.reshape(n, *data.shape), data, folder) == self.labels).mean()
                for x in (*stacks, self.original)
            ]
            kept, floor, most = (f"{100 * share:.1f} %" for share in shares)
            lines["class kept"] = (
                f"{kept}; of {self.part.floor_said} {floor}, of the whole images {most}"
            )
        return {**lines, f"squared error of {self.part.judged_said}": of_error[0] + said}

    def table(self, shape: tuple[int, ...], value_range: tuple[float, float]) -> Axes:
        """Draw the first images in columns: the original, the known part, and completions."""
        n, few = len(self.original), min(len(self.original), COLUMNS)
        rows = {"original": self.original[:few], self.part.drawn_said: self.known[:few]}
        for k, start in enumerate([0, *range(n, len(self.drawn), few)]):
            rows[f"completion {k + 1}"] = self.drawn[start : start + few]
        images = {name: x.reshape(-1, *shape) for name, x in rows.items()}
        return plotting.image_table(images, value_range=value_range)


def complete(
    model: Any, x: Array, train: Array, labels: Array | None, options: Any, rng: Generator
) -> Completed:
    """Hide a part of images x: (n, channels, height, width) on [−1, 1], and draw completions.

    Each image is completed once, and the first few of them several times. ``train`` holds the
    training images.
    """
    if not isinstance(model, DDPM):
        raise ValueError(
            f"images are completed by a ddpm, this run is a {type(model).__name__}: take the run "
            "of scratchgen train ddpm"
        )
    if options.steps is not None and options.steps > model.T:
        raise ValueError(f"--steps is at most T = {model.T}, got {options.steps}")
    part: Part = options.part(model.shape)
    again = [x[:COLUMNS]] * (DRAWS - 1)

    def completed(images: Array) -> Array:
        y = part.measured(images)
        if options.method == "replacement":
            drawn = part.replaced(model, y, rng, options.resample or 1, options.steps)
        else:
            near = closeness(y, part.measured)
            weights = np.full(model.T, options.scale or 1.0)
            drawn = posterior(model, near, len(y), rng, weights, options.steps)
        return drawn

    drawn = in_parts(completed, np.concatenate([x, *again]), rng, PARTS)
    y = part.measured(x)
    ys = np.concatenate([y, *(y[:COLUMNS] for _ in again)])
    images = (x, part.drawn(y), part.kept(drawn, ys), part.floor(y, train))
    on_unit = (np.clip(0.5 * (to_host(each) + 1), 0, 1) for each in images)
    return Completed(part, labels, *on_unit)
