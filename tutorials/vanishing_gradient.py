"""Why deep networks were hard to train: what a layer does to the size of δ.

The notes, "Important observations": where the derivatives of the activation functions vanish, the
training may stop; where they are large, it may run away. How fast is it? The equation that hands δ
from layer to layer is, for a batch of rows,

    δˡ = (δˡ⁺¹ Wˡ⁺¹) ∘ σ′(zˡ).

Let the n² entries of W be independent draws from N(0, g/n). Summed over n of them, each entry of
δ W has the variance (g/n) ‖δ‖², and of its square σ′ keeps the part E σ′(z)². So one layer changes
the size of δ by the factor

    ‖δˡ‖ / ‖δˡ⁺¹‖ ≈ √(g E σ′(z)²),

and a network of L layers by that to the power L: unless the factor is one, the first layers learn
nothing, or too much. The sigmoid has σ′ ≤ ¼, so that with g = 1 nine layers cost five digits at
the least; tanh has σ′(0) = 1, and loses what it saturates; for ReLU σ′² is 1 in half of the units,
and g = 2 makes up for the other half (He et al. 2015, arXiv:1502.01852, section 2.2).

This takes δ to be independent of W. At the output it is, if the cost is C = Σ r ∘ a with a random
r, as here. With ½ (a − r)², δ knows a, and a knows W: ReLU then gains 4 to 8 % in a layer.
"""

import sys

import numpy as np

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen import plotting

WIDTH, DEPTH, BATCH = 200, 20, 50
ACTIVATIONS = {  # σ, σ′ in terms of a = σ(z), and g
    "sigmoid": (ops.sigmoid, lambda a: a * (1 - a), 1.0),
    "tanh": (np.tanh, lambda a: 1 - a * a, 1.0),
    "ReLU": (ops.relu, lambda a: (a > 0).astype(a.dtype), 2.0),
}


def weights(g, seed=0):
    """W of each layer from N(0, g/n), the input x, and r, which is δ at the output."""
    rng = sg.generator(seed)
    scale = np.sqrt(g / WIDTH)
    Ws = [scale * rng.standard_normal((WIDTH, WIDTH)) for _ in range(DEPTH)]
    x, r = rng.standard_normal((2, BATCH, WIDTH))
    return Ws, x, r


def by_hand(name):
    """‖δˡ‖ of each layer from the last to the first, and E σ′(zˡ)², in the same order."""
    sigma, sigma_prime, g = ACTIVATIONS[name]
    Ws, x, r = weights(g)
    activations = [x]
    for W in Ws:
        activations.append(sigma(activations[-1] @ W.T))
    slopes = [sigma_prime(a) for a in activations[1:]]
    delta = r * slopes[-1]
    norms = [np.linalg.norm(delta)]
    for W, slope in zip(Ws[:0:-1], slopes[-2::-1], strict=True):
        delta = delta @ W * slope
        norms.append(np.linalg.norm(delta))
    return np.array(norms), np.array([np.mean(slope * slope) for slope in slopes[::-1]])


def by_engine(name):
    """‖δˡ‖ of each layer by its number, from the sweep that the trace writes down."""
    sigma, _, g = ACTIVATIONS[name]
    Ws, a, r = weights(g)
    layers = {f"{k}.W": sg.Tensor(W) for k, W in enumerate(Ws, 1)}
    for W in layers.values():
        a = sigma(ops.affine(a, W, np.zeros(WIDTH)))
    return sg.trace((r * a).sum(), layers).delta_norms()


def factors(name):
    """What a layer multiplies ‖δ‖ by, on geometric average: as measured, and √(g E σ′²)."""
    norms, slopes = by_hand(name)
    g = ACTIVATIONS[name][2]
    measured = (norms[-1] / norms[0]) ** (1 / (len(norms) - 1))
    return measured, float(np.exp(np.mean(np.log(g * slopes[1:])) / 2))


def picture():
    """‖δ‖ from the output back to the input, one line for each σ."""
    ax = None
    for name in ACTIVATIONS:
        ax = plotting.delta_norms(by_engine(name), ax)
        line, factor = ax.get_lines()[-1], factors(name)[0]
        line.set_label(f"{name}: × {factor:.3g} from layer to layer")
    ax.legend()
    return ax


def main(path=None):
    """Print ‖δ‖ by depth and both factors for each σ; draw them into ``path``, if one is given."""
    norms = {name: by_hand(name)[0] for name in ACTIVATIONS}
    print(f"‖δ‖ in {DEPTH} layers of {WIDTH} units, from the last to the first:\n")
    print("layer" + "".join(f"{name:>12}" for name in norms))
    for k in range(0, DEPTH, 3):
        print(f"{DEPTH - k:>5}" + "".join(f"{of[k]:12.2e}" for of in norms.values()))
    print("\nfrom layer to layer, ×     measured   √(g E σ′²)")
    for name in ACTIVATIONS:
        measured, predicted = factors(name)
        print(f"  {name:<22}{measured:11.3f}{predicted:13.3f}")
    if path:
        plotting.save(picture(), path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
