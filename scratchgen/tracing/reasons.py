"""Why the equations of a rule hold: a sentence for each rule, beside the numbers of a trace.

The docstring of a rule states its equations. The table here says why they are so, in the letters of
that docstring. A sentence holds for all inputs of its rule, or there is one for each input.
"""

from __future__ import annotations

from ..autodiff import Operation

_GATE = (
    "The function is a line on either side of zero, so δ is multiplied by the slope of that side."
)
_FACTOR = "The value is linear in this factor, and its slope is the other factor."
_ADDED = "The value grows by as much as this term does, so δ passes unchanged."
_CHAIN = "The chain rule multiplies δ by the slope of the function, entry by entry."
_PICKED = "Only the entry that is the value moves it; the others get nothing."
_EITHER = "At each place only the input that was picked moves the value."
_MOVED = "Entries move and keep their values, so each δ goes back to where its entry came from."
_MATRIX = (
    "zᵢⱼ = Σₖ xᵢₖ yₖⱼ has the slope yₖⱼ in xᵢₖ: the sum over j of δᵢⱼ yₖⱼ is a product with yᵀ.",
    "zᵢⱼ = Σₖ xᵢₖ yₖⱼ has the slope xᵢₖ in yₖⱼ: the sum over i of xᵢₖ δᵢⱼ is a product with xᵀ.",
)
_CONVOLUTION = (
    "Each pixel x enters several outputs, each times one weight: it collects δ from these outputs, "
    "times the same weights.",
    "A weight is used at every place, so its shares, δ times the pixel below it, are added up over "
    "places and samples.",
    "The bias is added at every place, so its shares are added up over places and samples.",
)
_NORMALISED = (
    "A common shift or stretch of x changes nothing, so the parts of δ along both are taken out, "
    "and the rest is divided by σ.",
    "γ multiplies x̂ in every sample, so its shares δ x̂ are added up.",
    "β is added in every sample, so its shares δ are added up.",
)

REASONS: dict[str, str | tuple[str, ...]] = {
    "absolute": "The slope of |x| is 1 on the right of zero and −1 on the left.",
    "add": _ADDED,
    "affine": (
        "aₖ enters every zⱼ of its row with the slope Wⱼₖ, so it collects Σⱼ δⱼ Wⱼₖ.",
        "Wⱼₖ multiplies aₖ in zⱼ of every row, so its shares δⱼ aₖ are added up over the rows.",
        "bⱼ is added to zⱼ in every row, so its shares δⱼ are added up over the rows.",
    ),
    "arccos": _CHAIN,
    "arccosh": _CHAIN,
    "arcsin": _CHAIN,
    "arcsinh": _CHAIN,
    "arctan": _CHAIN,
    "arctan2": "The angle changes by the step across the radius, divided by the radius.",
    "arctanh": _CHAIN,
    "avg_pool2d": "Each pixel of a window has the weight 1/|window| in the mean.",
    "bernoulli_nll": (
        "The slope of softplus(z) is p = σ(z), and that of −x z is −x: what remains is the "
        "difference between the probability and the pixel.",
        "The cost is linear in x, with the slope −z.",
    ),
    "broadcast_to": "One entry was used at several places, so their shares are added up.",
    "cholesky": "Differentiate A = L Lᵀ, and take the lower triangle of what L⁻¹ dA L⁻ᵀ gives.",
    "clip": "Where the value is held at a bound, x does not move it.",
    "concatenate": _MOVED,
    "conv2d": _CONVOLUTION,
    "conv2d_direct": _CONVOLUTION,
    "conv_transpose2d": _CONVOLUTION,
    "conv_transpose2d_direct": _CONVOLUTION,
    "cos": "The derivative of the cosine is minus the sine.",
    "cosh": "The derivative of cosh is sinh.",
    "cross_entropy": "The slope of log Σ eᶻ is softmax(z), and that of −zₖ is −1 at the label.",
    "cumsum": "xₖ is in the sum sₖ and in all that follow, so it collects their δ.",
    "denoised": "The whole network is one function here, and its own sweep takes δ back to x_t.",
    "det": "The determinant is linear in each entry, and its slope is the cofactor of that entry.",
    "digamma": _CHAIN,
    "divide": (
        "The value is linear in x, with the slope 1/y.",
        "The slope of x/y in y is −x/y², which is −z/y.",
    ),
    "dropout": "The mask is a constant: a unit that was dropped moves nothing, and the others are "
    "scaled by the same factor as on the way forward.",
    "eigvalsh": "An eigenvalue moves by vᵀ dA v, with its own eigenvector v.",
    "einsum": "The sum of products is linear in each array, and its slope is all other factors.",
    "elu": _CHAIN,
    "embedding": "Rows of W were copied, so each row collects δ from all its copies.",
    "erf": "The derivative of an integral in its upper bound is the integrand there.",
    "erfc": "It is 1 − erf x, so its slope is minus that of erf.",
    "exp": "The exponential is its own derivative.",
    "expm1": "The exponential is its own derivative, and the constant 1 has none.",
    "free_energy_gap": (
        "F has the slope −vᵢ pⱼ in Wᵢⱼ: the mean of v pᵀ over the data, less that over the chains, "
        "is the statistic of contrastive divergence.",
        "F has the slope −vᵢ in aᵢ: the mean over the data stands against that over the chains.",
        "F has the slope −pⱼ in bⱼ, since the slope of softplus is σ.",
        "F is linear in v but for the softplus, whose slope is p.",
        "The chains enter with the opposite sign.",
    ),
    "gammaln": "ψ is by definition the derivative of log Γ.",
    "gaussian_kl": (
        "Only ½ μ² depends on μ.",
        "½ (σ² − log σ²) has the slope ½ (σ² − 1) in log σ², since σ² = exp(log σ²) is its own "
        "derivative.",
    ),
    "gaussian_nll": (
        "½ (x − μ)²/σ² has the slope (μ − x)/σ² in μ.",
        "½ log σ² has the slope ½ in log σ², and the squared error falls as σ² grows.",
        "½ (x − μ)²/σ² has the slope (x − μ)/σ² in x.",
    ),
    "gelu": "By the product rule, since the derivative of Φ is the density φ.",
    "getitem": _MOVED,
    "group_norm": _NORMALISED,
    "inv": "Differentiate A Z = I: dZ = −Z dA Z.",
    "layer_norm": _NORMALISED,
    "leaky_relu": _GATE,
    "length": "The length grows along the direction of x, at the rate 1.",
    "log": "The derivative of log x is 1/x.",
    "log1p": "The derivative of log(1 + x) is 1/(1 + x).",
    "log_softmax": "δ passes unchanged through z; through log Σ eᶻ the sum of all δ goes to "
    "each z, in the share of its probability.",
    "logaddexp": "Each term has its share of the sum as its slope.",
    "logdet": "The slope of log |det A| is the inverse, transposed: dA adds tr(A⁻¹ dA).",
    "logsumexp": "Each term has its share of the sum, eˣ⁻ˢ, as its slope.",
    "matmul": _MATRIX,
    "max": _PICKED,
    "max_pool2d": _PICKED,
    "maximum": _EITHER,
    "mean": "Each of the n entries has the weight 1/n in the mean.",
    "min": _PICKED,
    "minimum": _EITHER,
    "multiply": _FACTOR,
    "negative": "The value falls as x grows, at the same rate.",
    "pad": "The margin is constant, so only the inside of δ goes back.",
    "penalty": "The slope of |W| is its sign, and that of ½ W² is W.",
    "power": (
        "The derivative of xʸ in x is y xʸ⁻¹.",
        "xʸ = exp(y log x) has the slope xʸ log x in y.",
    ),
    "prod": "The product is linear in each factor, and its slope is the product of the others.",
    "relu": _GATE,
    "reshape": _MOVED,
    "setitem": (
        "What was overwritten has no influence any more; the rest was copied.",
        "y is what stands at these places, so it gets the δ of these places.",
    ),
    "sigmoid": "The chain rule multiplies δ by σ′(z), and the sigmoid's slope is a (1 − a).",
    "silu": "By the product rule, with s′ = s (1 − s).",
    "sin": "The derivative of the sine is the cosine.",
    "sinh": "The derivative of sinh is cosh.",
    "softmax": "One z raises its own a and lowers all others, since the sum of all a is 1.",
    "softplus": "The derivative of log(1 + eᶻ) is the sigmoid.",
    "solve": (
        "Differentiate A x = b: dx = −A⁻¹ dA x.",
        "x is linear in b, with the matrix A⁻¹, whose transpose takes δ back.",
    ),
    "sqrt": "The derivative of √x is 1/(2√x).",
    "square": "The derivative of x² is 2x.",
    "squared_error": (
        "The derivative of ½ (y − t)² in y is y − t: the ½ cancels the 2.",
        "The target enters with the opposite sign.",
    ),
    "stack": _MOVED,
    "subtract": (_ADDED, "The value falls by as much as this term grows."),
    "sum": "Each entry enters the sum with the weight 1, so each gets the whole δ.",
    "sum_of_parts": "The gradient of the sum is the sum of the gradients of its parts, which are "
    "known already.",
    "take": _MOVED,
    "tan": "The derivative of tan x is 1 + tan² x.",
    "tanh": "The chain rule multiplies δ by σ′(z), and the slope of tanh is 1 − a².",
    "transpose": _MOVED,
    "upsample_nearest2d": "One pixel was copied into its block, so it collects δ from all of it.",
    "where": (
        "",
        "Where the condition holds, the value is x.",
        "Where the condition does not hold, the value is y.",
    ),
    "xlogy": (
        "The value is linear in x, with the slope log y.",
        "The derivative of log y is 1/y, times x.",
    ),
}


def reason(operation: Operation, k: int) -> str:
    """Why equation k of an operation holds, in one sentence; none for a rule without one.

    >>> from scratchgen import operations
    >>> reason(operations.affine, 2)
    'bⱼ is added to zⱼ in every row, so its shares δⱼ are added up over the rows.'
    """
    rule = operation.rule
    if not rule.__module__.startswith(__package__.partition(".")[0] + "."):
        return ""  # a rule of the user may have the name of one of these
    known = REASONS.get(rule.__name__, "")
    return known if isinstance(known, str) else known[k]
