"""Backpropagation and deep generative models from scratch, on NumPy and CuPy.

Read it from the ground up: ``backend``, ``autodiff``, ``operations``, ``nn``, ``distributions``,
``optim``, ``training``, ``models``. Each file is a chapter.

"The notes" are M. Hjorth-Jensen's lectures *Advanced machine learning and data analysis for the
physical sciences* (University of Oslo, weeks of 30 April 2024 and 8 May 2025) and his talk
*Mathematics of discriminative and generative deep learning* (Catania, June 2024), all under
CC BY-NC 4.0. "Erratum E…" is a row of the page ``tutorials/errata.md``.
"""

from . import interruption as interruption  # first, so that Ctrl-C works during other imports

# isort: split
from . import (
    datasets,
    distributions,
    estimators,
    former,
    gradcheck,
    metrics,
    models,
    nn,
    operations,
    optim,
    plotting,
)
from .autodiff import Tensor, backward_sweep, differentiable, gradient
from .backend import generator, to_device, to_host
from .gradcheck import assert_gradient, check_gradient, check_network, check_operation
from .history import Epoch, History
from .operations.functions import grad, value_and_grad
from .progress import fit
from .storage import Checkpoint, CheckpointError, load, save
from .tracing import Trace, trace
from .training import NonFiniteCostError, TrainingWarning, train

__version__ = "0.1.0"

former.install()

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Epoch",
    "History",
    "NonFiniteCostError",
    "Tensor",
    "Trace",
    "TrainingWarning",
    "assert_gradient",
    "backward_sweep",
    "check_gradient",
    "check_network",
    "check_operation",
    "datasets",
    "differentiable",
    "distributions",
    "estimators",
    "fit",
    "generator",
    "grad",
    "gradcheck",
    "gradient",
    "load",
    "metrics",
    "models",
    "nn",
    "operations",
    "optim",
    "plotting",
    "save",
    "to_device",
    "to_host",
    "trace",
    "train",
    "value_and_grad",
]
