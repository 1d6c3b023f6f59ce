"""Arguments and derivatives as people hold them: each form leads to the same report."""

import inspect
import subprocess
import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen.gradcheck.arguments import Held, array_in, form_of, number_in
from scratchgen.gradcheck.strategies import seeds
from tests.gradcheck.handwritten import X

RNG = np.random.default_rng(0)
A, Y, W, B = (RNG.standard_normal(shape) for shape in [(6, 4), (6,), (4,), ()])


def cost(W, b):
    return ((A @ W + b - Y) ** 2).sum() / len(Y)


def by_hand(W, b):
    e = 2 * (A @ W + b - Y) / len(Y)
    return A.T @ e, e.sum()


@dataclass
class Weights:
    W: np.ndarray
    b: float


class Pair(NamedTuple):
    W: np.ndarray
    b: float


class Bag:
    """An object that holds something, and equals only itself."""


HELD = {
    "two arguments": ((W, B), lambda W, b: (W, b), lambda dW, db: (dW, db)),
    "a dictionary": (({"W": W, "b": B},), lambda p: (p["W"], p["b"]),
                     lambda dW, db: {"W": dW, "b": db}),
    "a dictionary, derivatives named dW": (({"W": W, "b": B},), lambda p: (p["W"], p["b"]),
                                           lambda dW, db: {"dW": dW, "db": db}),
    "a dictionary, with hidden deltas": (({"W": W, "b": B},), lambda p: (p["W"], p["b"]),
                                         lambda dW, db: {"dW": dW, "db": db, "dz": dW}),
    "a dictionary, derivatives in a list": (({"W": W, "b": B},), lambda p: (p["W"], p["b"]),
                                            lambda dW, db: [dW, db]),
    "a list": (([W, B],), tuple, lambda dW, db: [dW, db]),
    "a nested list, derivatives in one": (([{"W": W}, [B]],), lambda p: (p[0]["W"], p[1][0]),
                                          lambda dW, db: [dW, db]),
    "a tuple": (((W, B),), tuple, lambda dW, db: (dW, db)),
    "a named tuple": ((Pair(W, B),), tuple, lambda dW, db: Pair(dW, db)),
    "a record": ((Weights(W, 0.3),), lambda p: (p.W, p.b), Weights),
    "names": ((W, B), lambda W, b: (W, b), lambda dW, db: {"grad_W": dW, "dL/db": db}),
    "lists of numbers": ((W.tolist(), 0.3), lambda W, b: (W, b), lambda dW, db: [[*dW], db]),
}  # fmt: skip


@pytest.mark.parametrize("how", HELD)
def test_a_right_derivative_agrees_and_a_wrong_one_is_named_however_both_are_held(how):
    arguments, taken, put = HELD[how]

    def of_held(*held):
        return cost(*taken(*held))

    def right(*held):
        return put(*by_hand(*taken(*held)))

    def without_2(*held):
        dW, db = by_hand(*taken(*held))
        return put(0.5 * dW, db)

    if len(arguments) == 2:  # their names are those of the parameters
        of_held.__signature__ = inspect.signature(cost)
    assert sg.check_gradient(of_held, right, *arguments).ok
    report = sg.check_gradient(of_held, without_2, *arguments)
    assert [entry.ok for entry in report.entries] == [False, True]
    assert "a factor 2 is missing" in report.entries[0].diagnosis


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ({"W": W, "b": B}, ["W", "b"]),
        ([W, B], ["p[0]", "p[1]"]),
        ([{"W": W}, {"W": W}], ["p[0]['W']", "p[1]['W']"]),
        (Weights(W, 0.3), ["p.W", "p.b"]),
        (W + 1j, ["Re p", "Im p"]),
        ("tanh", ["p"]),
    ],
)
def test_each_array_has_a_name_that_finds_it(argument, names):
    assert Held(["p"], [argument], {}).names == names


def test_dictionaries_with_a_key_of_the_same_name_are_told_apart():
    assert Held(["p", "q"], [{"W": W}, {"W": W}], {}).names == ["p['W']", "q['W']"]


nested = st.recursive(
    st.builds(lambda n: np.arange(1.0, n + 1), st.integers(1, 3)) | st.just("text"),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1)
        | st.tuples(inner, inner)
    ),
    max_leaves=6,
)


@given(nested)
def test_taking_an_argument_apart_and_putting_it_together_changes_nothing(x):
    form = form_of(x, "p")
    np.testing.assert_equal(form.build(form.arrays), x)
    assert type(form.build(form.arrays)) is type(x)


@given(nested)
def test_a_derivative_of_the_form_of_its_argument_is_read_array_by_array(x):
    form = form_of(x, "p")
    if not any(isinstance(y, np.ndarray) for y in form.arrays):
        return
    doubled = form.build([2 * y if isinstance(y, np.ndarray) else y for y in form.arrays])
    without_text = [y for y in form.arrays if isinstance(y, np.ndarray)]
    if len(without_text) == len(form.arrays):
        for y, g in zip(without_text, form.read(doubled), strict=True):
            np.testing.assert_array_equal(g, 2 * y)


def test_the_example_of_scipys_check_grad_is_taken_as_it_stands():
    def func(x):
        return x[0] ** 2 - 0.5 * x[1] ** 3

    def grad(x):
        return [2 * x[0], -1.5 * x[1] ** 2]

    report = sg.check_gradient(func, grad, [1.5, -1.5])
    assert report.ok
    assert [(entry.name, entry.shape) for entry in report.entries] == [("x", (2,))]
    wrong = sg.check_gradient(func, lambda x: [x[0], -1.5 * x[1] ** 2], [1.5, -1.5])
    assert wrong["x"].worst_index == (0,)
    assert sg.check_gradient(func, lambda x: [1, 2, 3], [1.5, -1.5])["x"].verdict == "WRONG SHAPE"


def test_as_many_numbers_as_arguments_are_still_the_derivative_by_a_vector():
    report = sg.check_gradient(
        lambda w, d: w[0] ** 2 * d.sum() + w[1], lambda w, d: [2 * w[0] * d.sum(), 1.0], W[:2], Y
    )
    assert report.ok
    assert [entry.name for entry in report.entries] == ["w"]


def data_last(w, A, Y):
    return ((A @ w - Y) ** 2).sum()


def of_w(w, A, Y):
    return 2 * A.T @ (A @ w - Y)


def test_data_may_come_before_the_parameter_and_wrt_says_which_argument_is_meant():
    first = lambda A, Y, w: data_last(w, A, Y)
    report = sg.check_gradient(first, lambda A, Y, w: of_w(w, A, Y), A, Y, W)
    assert report.ok
    assert [entry.name for entry in report.entries] == ["w"]
    wrong = sg.check_gradient(first, lambda A, Y, w: -of_w(w, A, Y), A, Y, W, wrt="w")
    assert "the sign is wrong" in wrong["w"].diagnosis
    assert sg.check_gradient(first, lambda A, Y, w: of_w(w, A, Y), A, Y, W, wrt=[2]).ok
    with pytest.raises(ValueError, match=r"got 'v': it is one of \['A', 'Y', 'w'\]"):
        sg.check_gradient(first, lambda A, Y, w: of_w(w, A, Y), A, Y, W, wrt="v")


def test_a_derivative_that_was_not_summed_is_not_taken_for_one_by_the_data():
    x, y = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 2))
    report = sg.check_gradient(
        lambda b, y: ((b - y) ** 2).sum(), lambda b, y: 2 * (b - y), np.ones(2), y
    )
    assert [entry.name for entry in report.entries] == ["b"]
    assert report["b"].verdict == "WRONG SHAPE"
    assert any("wrt='y'" in note for note in report.notes)
    assert x.shape != y.shape


def test_arguments_come_by_keyword_too():
    def with_data(w, *, A, Y):
        return data_last(w, A, Y)

    report = sg.check_gradient(with_data, lambda w, *, A, Y: 3 * of_w(w, A, Y), W, A=A, Y=Y)
    assert [entry.name for entry in report.entries] == ["w"]
    assert sg.check_gradient(cost, by_hand, W=W, b=0.5).ok


@pytest.mark.parametrize(
    "gradient",
    [
        lambda W, b: (cost(W, b), by_hand(W, b)),
        lambda W, b: (cost(W, b), *by_hand(W, b)),
        lambda W, b: (dict(zip(("dW", "db"), by_hand(W, b), strict=True)), cost(W, b)),
        lambda W, b: (dict(zip(("dW", "db"), by_hand(W, b), strict=True)), {"cache": W}),
        True,
        by_hand(W, B),
    ],
)
def test_a_gradient_may_come_with_the_cost_with_a_cache_or_as_arrays(gradient):
    both = lambda W, b: (cost(W, b), by_hand(W, b))
    assert sg.check_gradient(both, gradient, W, B).ok


def test_a_derivative_that_equals_the_cost_is_not_taken_for_it():
    report = sg.check_gradient(
        lambda a, b: np.exp(a) * b, lambda a, b: (np.exp(a) * b, np.exp(a)), 0.3, 0.7
    )
    assert report.ok
    assert [entry.name for entry in report.entries] == ["a", "b"]


@pytest.mark.parametrize(
    "value",
    [
        2.5, np.float64(2.5), np.array([[2.5]]), (2.5, np.ones(3)), (2.5, {"cache": 1}),
        ({"W": np.ones(3)}, 2.5), scipy.sparse.csr_matrix([[2.5]]), np.array([2.5]),
    ],
)  # fmt: skip
def test_the_number_in_what_a_cost_returns_is_found(value):
    assert number_in(value) == 2.5
    assert np.shape(number_in(value)) == ()


def test_sparse_data_are_handed_on_as_they_are_and_seen_within():
    seen = []

    def sparse(w, A, Y):
        seen.append(type(A))
        return data_last(w, A, Y)

    sparse_A = scipy.sparse.csr_matrix(A)
    assert sg.check_gradient(sparse, of_w, W, sparse_A, Y).ok
    assert {scipy.sparse.csr_matrix} <= {*seen}
    tanh = lambda w, A: np.sum(np.tanh(A @ w))
    report = sg.check_gradient(tanh, lambda w, A: A.T @ np.ones(6), W, sparse_A)
    assert report["w"].kinds == ["derivative missing"]


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_a_data_frame_a_shape_and_an_object_are_handed_on_as_they_came():
    pandas = pytest.importorskip("pandas", reason="pandas is missing")
    frame, bag = pandas.DataFrame(A), Bag()

    def mixed(w, frame, shape, bag, settings):
        assert type(frame) is pandas.DataFrame
        assert type(bag) is Bag
        assert shape == (2, 2)
        return np.sum((frame.values @ w) ** 2) * settings["scale"]

    def gradient(w, frame, shape, bag, settings):
        return 2 * frame.values.T @ (frame.values @ w) * settings["scale"]

    settings = {"scale": 0.5, "activation": "tanh"}
    assert sg.check_gradient(mixed, gradient, W, frame, (2, 2), bag, settings).ok
    column = np.asmatrix(W).T
    assert sg.check_gradient(lambda w: float((w.T * w)[0, 0]), lambda w: 2 * w, column).ok


@settings(max_examples=10)
@given(seeds)
def test_a_complex_derivative_agrees_in_each_convention_and_the_report_says_which(seed):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(3) + 1j * rng.standard_normal(3)
    for gradient, said in (
        (lambda z: 2 * z, "steepest ascent, as in PyTorch"),
        (lambda z: z, "Wirtinger's ∂C/∂z* ="),
        (lambda z: 2 * z.conj(), "as in JAX"),
        (lambda z: z.conj(), "Wirtinger's ∂C/∂z ="),
    ):
        report = sg.check_gradient(lambda z: np.sum(np.abs(z) ** 2), gradient, z)
        assert report.ok
        assert [entry.name for entry in report.entries] == ["Re z", "Im z"]
        assert any(said in note for note in report.notes)
    assert not sg.check_gradient(lambda z: np.sum(np.abs(z) ** 2), lambda z: 3 * z, z).ok
    assert not sg.check_gradient(lambda z: np.sum(np.abs(z) ** 2), lambda z: -2 * z, z).ok


def test_an_imaginary_part_of_rounding_is_no_imaginary_part():
    turned = lambda w: np.sum(np.exp(1j * w) * np.exp(-1j * w) * w**2)
    report = sg.check_gradient(turned, lambda w: (2 * w).astype(complex), X)
    assert report.ok
    assert any("imaginary part of rounding" in note for note in report.notes)
    (said,) = sg.check_gradient(lambda w: np.sum(1j * w), lambda w: w, X).diagnosis
    assert said.startswith("the cost is one real number, got the complex")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensors_of_pytorch_are_taken_and_a_cost_of_float32_is_checked_in_it(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is missing")
    data = torch.tensor(A, dtype=getattr(torch, dtype))
    w = torch.tensor(W, dtype=getattr(torch, dtype), requires_grad=True)

    def right(w):
        value = (torch.tanh(data @ w) ** 2).sum()
        return torch.autograd.grad(value, w)[0]

    def of_torch(w):
        return (torch.tanh(data @ w) ** 2).sum()

    assert sg.check_gradient(of_torch, right, w).ok
    report = sg.check_gradient(of_torch, lambda w: 2 * right(w), w)
    assert report["w"].verdict == "DISAGREES"
    in_float32 = any("called with w in float32" in note for note in report.notes)
    assert in_float32 == (dtype == "float32")


def test_pytorch_is_not_imported_for_arrays():
    code = (
        "import sys, numpy as np, scratchgen as sg\n"
        "assert sg.check_gradient(lambda w: (w**2).sum(), lambda w: 2 * w, np.ones(3)).ok\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("gradient", "said"),
    [
        (lambda p: {"dW": p["W"], "dc": 1.0}, r"\['dW', 'dc'\], but the inputs are \['W', 'b'\]"),
        (lambda p: [1.0, 2.0, 3.0], "gives 3 derivatives for 1 inputs"),
        (lambda p: "dW", "no derivative by p: a list or dictionary was expected, str came"),
        (lambda p: (g for g in p), "generator came"),
        (lambda p: [], "returned no derivative.* does it end with a return"),
    ],
)
def test_a_derivative_in_another_form_is_told_what_was_expected(gradient, said):
    with pytest.raises(ValueError, match=said):
        sg.check_gradient(lambda p: np.sum(p["W"]) + p["b"], gradient, {"W": W, "b": B})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((W, cost, B), r"cost is a function of the arrays .* got an array of shape \(4,\)"),
        ((cost, None, W, B), "gradient is a function of the arrays .* got None"),
        ((cost, by_hand, W), r"cost has the parameters \(W, b\), but is called with 1 arguments"),
        ((cost, lambda W: W, W, B), r"gradient has the parameters \(W\), but is called with 2"),
    ],
)
def test_functions_that_do_not_take_the_arguments_are_told_so(arguments, said):
    with pytest.raises(TypeError, match=said):
        sg.check_gradient(*arguments)


def test_arrays_of_several_shapes_are_no_array():
    with pytest.raises(ValueError, match="arrays of several shapes"):
        array_in([np.ones(2), np.ones(3)])
