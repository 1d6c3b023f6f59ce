"""Every model on several processes: ``mpiexec -n 2 python -m tests.parallel.every_model``.

The first process prints, for each model, whether 20 steps have the bits of one process in the
ordered mode, and the largest difference of a weight in the other mode, in float64.
"""

import sys
from dataclasses import replace

import numpy as np

import scratchgen as sg
from scratchgen.parallel.processes import Ordered
from scratchgen.recipes import RECIPES, Data

STEPS, BATCH, PART = 20, 12, 3


def trained(name, data, processes):
    """The weights and the chains after 20 steps, from the same start."""
    recipe, rng = RECIPES[name], sg.generator(0)
    settings = replace(recipe.settings({"data": "digits"}), batch_size=BATCH)
    model = recipe.build(settings, data, rng).astype(np.float64)
    optimizers = recipe.optimizers(model, settings)
    few = recipe.prepare(data)
    n = STEPS * BATCH
    few = tuple(x[:n] for x in few) if isinstance(few, tuple) else few[:n]
    list(
        sg.train(
            model,
            few,
            optimizers,
            epochs=1,
            batch_size=BATCH,
            rng=rng,
            part_size=PART,
            processes=processes,
        )
    )
    return model.state_dict()


def main(names):
    from mpi4py import MPI

    comm, data = MPI.COMM_WORLD, Data.named("digits")
    for name in names or RECIPES:
        alone, ordered, summed = (trained(name, data, p) for p in (None, Ordered(comm), comm))
        same = all((alone[key] == ordered[key]).all() for key in alone)
        gap = max(np.abs(alone[key] - summed[key]).max() for key in alone)
        if comm.rank == 0:
            print(f"{name}: {'the same bits' if same else 'OTHER BITS'}, {gap:.1e}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
