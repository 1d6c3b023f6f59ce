"""Where the arrays live, and where the random numbers come from."""

import builtins
import json
import sys
import types

import numpy as np
import pytest
import scipy.sparse

import scratchgen as sg
from scratchgen import backend, metrics, models, nn
from scratchgen import operations as ops
from tests import strict

# Generators


def test_a_seed_repeats_its_numbers_and_none_does_not(device):
    def draw(seed):
        return sg.to_host(sg.generator(seed, device).standard_normal(5))

    np.testing.assert_array_equal(draw(3), draw(3))
    assert (draw(3) != draw(4)).any()
    assert (draw(None) != draw(None)).any()


def test_a_generator_passes_through(device):
    rng = sg.generator(0, device)
    assert sg.generator(rng) is rng
    assert sg.generator(rng, device) is rng


def test_the_generator_decides_the_device(device, on_device):
    rng = sg.generator(0, device)
    assert backend.device_of(rng) == device
    assert backend.device_of(rng.random(3)) == device
    assert backend.device_of(sg.to_device(np.ones(3), rng)) == device
    assert backend.device_of(on_device(np.ones(3))) == device


def test_a_seed_on_the_host_is_numpys():
    np.testing.assert_array_equal(sg.generator(7).random(4), np.random.default_rng(7).random(4))


@pytest.mark.parametrize("seed", [-1, np.int64(-3)])
def test_a_negative_seed_is_refused(seed):
    with pytest.raises(ValueError, match="non-negative"):
        sg.generator(seed)


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:0", "", None])
def test_an_unknown_device_is_refused_and_the_known_ones_named(name):
    with pytest.raises(ValueError, match=r"device is 'cpu' or 'cuda', got"):
        sg.generator(0, name)


@pytest.mark.parametrize("name", ["gpu", "cuda:0"])
def test_nothing_moves_to_an_unknown_device(name):
    with pytest.raises(ValueError, match=r"device is 'cpu' or 'cuda', got"):
        sg.to_device(np.ones(3), name)


# Where there is no GPU


def ask_for_cuda():
    """Two ways to ask for the GPU."""
    return [lambda: sg.generator(0, "cuda"), lambda: sg.to_device(np.ones(2), "cuda")]


def test_without_cupy_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    for ask in ask_for_cuda():
        with pytest.raises(RuntimeError, match=r"pip install cupy-cuda12x.*cuda13x"):
            ask()


def test_a_cupy_that_does_not_load_is_told_from_a_missing_one(monkeypatch):
    load = builtins.__import__

    def broken(name, *arguments, **settings):
        if name == "cupy":
            raise ImportError("libcudart.so.12: cannot open shared object file")
        return load(name, *arguments, **settings)

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(builtins, "__import__", broken)
    for ask in ask_for_cuda():
        with pytest.raises(RuntimeError, match=r"installed but does not load: libcudart"):
            ask()


@pytest.mark.parametrize("driver", ["raises", "counts none"])
def test_a_cupy_without_a_gpu_is_told_from_a_missing_one(monkeypatch, driver):
    class CUDARuntimeError(RuntimeError):
        pass

    def count():
        if driver == "raises":
            raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
        return 0

    runtime = types.SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    cupy = strict.install(monkeypatch)
    monkeypatch.setattr(cupy.cuda, "runtime", runtime)
    for ask in ask_for_cuda():
        with pytest.raises(RuntimeError, match="CuPy is installed but finds no GPU"):
            ask()


def test_on_the_host_nothing_asks_for_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert backend.device_of(np.ones(3)) == "cpu"
    assert sg.to_device(np.ones(3), "cpu").sum() == 3
    assert sg.generator(0).random(3).shape == (3,)


# Arrays with a class of their own

UNUSUAL = {
    "a matrix, whose [*] is a product of matrices: pass np.asarray": lambda x: np.matrix(x),
    "a masked array, .* pass x.filled": lambda x: np.ma.masked_array(x, mask=x > 2),
    r"a sparse csr_array: pass x.toarray\(\)": scipy.sparse.csr_array,
}
TAKERS = {
    "to_host": sg.to_host,
    "to_device": lambda x: sg.to_device(x, "cpu"),
    "to_device_of": lambda x: sg.to_device(x, sg.generator(0)),
    "Tensor": sg.Tensor,
    "times a tensor": lambda x: sg.Tensor(np.ones((2, 2))) * x,
    "operation": lambda x: ops.tanh(x),
    "delta": lambda x: sg.gradient(PAIR * 2, [PAIR], x),
    "grad": sg.grad(lambda x: (x * x).sum()),
    "check_operation": lambda x: sg.check_operation(ops.tanh, x),
    "check_network": lambda x: sg.check_network(nn.Linear(2, 2, rng=sg.generator(0)), x),
    "train": lambda x: sg.fit(VAE_OF_2, x, epochs=1, batch_size=2, rng=sg.generator(0)),
    "mmd2": lambda x: metrics.mmd2_biased(x, np.ones((2, 2)), 1.0),
    "kl_divergence": lambda x: metrics.kl_divergence(x, x),
}
PAIR = sg.Tensor(np.ones((2, 2)))
VAE_OF_2 = models.vae.dense(2, 2, 1, sg.generator(0))


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("message", UNUSUAL)
@pytest.mark.parametrize("taker", TAKERS)
def test_arrays_whose_operators_compute_something_else_are_refused_wherever_one_is_taken(
    taker, message
):
    x = UNUSUAL[message](np.array([[1.0, 2.0], [3.0, 4.0]]))
    with pytest.raises(TypeError, match=message):
        TAKERS[taker](x)


def test_a_subclass_with_the_usual_operators_is_the_array_beneath_it(tmp_path):
    class Marked(np.ndarray):
        """An array with a class of its own, and nothing else."""

    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=(3,))
    mapped[:] = 1, 2, 3
    for x in (mapped, np.array([1.0, 2.0, 3.0]).view(Marked)):
        assert type(sg.to_host(x)) is type(sg.Tensor(x).data) is np.ndarray
        assert np.shares_memory(sg.Tensor(x).data, x)
        (share,) = sg.gradient((sg.Tensor(x) * (t := sg.Tensor(x)) * x).sum(), [t])
        assert type(share) is np.ndarray
        np.testing.assert_array_equal(share, [1, 4, 9])


@pytest.mark.parametrize("x", [np.array([1, None]), np.array([1j]), np.array(["1"])])
def test_a_tensor_of_what_are_no_real_numbers_is_refused(x):
    with pytest.raises(TypeError, match=rf"holds real numbers, got {x.dtype}"):
        sg.Tensor(x)


# Moving


def test_there_and_back_an_array_is_the_same(device):
    for dtype in (np.float32, np.float64, np.int64, bool):
        x = np.arange(6).reshape(2, 3).astype(dtype)
        moved = sg.to_device(x, device)
        assert backend.device_of(moved) == device
        assert moved.dtype == dtype
        back = sg.to_host(moved)
        assert type(back) is np.ndarray
        np.testing.assert_array_equal(back, x)


def test_what_is_there_already_is_not_copied(device, on_device):
    x = on_device(np.ones(3))
    assert on_device(x) is x
    host = np.ones(3)
    assert sg.to_host(host) is host


def test_numbers_and_lists_move_too(device, on_device):
    np.testing.assert_array_equal(sg.to_host(on_device([1.0, 2.0])), [1, 2])
    np.testing.assert_array_equal(sg.to_host([1.0, 2.0]), [1, 2])
    assert sg.to_host(3.0) == 3


# Fusion


@backend.fused
def squash(x, scale):
    return np.tanh(x) * scale + np.where(x > 0, x, 0)


@backend.fused
def shift(x):
    """x + 1."""
    return np.exp(x) + 1


def test_a_fused_function_is_one_kernel_that_equals_the_host(monkeypatch):
    strict.install(monkeypatch)
    x = np.linspace(-2, 2, 7)
    on_gpu = sg.to_device(x, "cuda")
    for calls in (1, 2):
        result = squash(on_gpu, 3.0)
        assert strict.fused == ["squash"] * calls
        np.testing.assert_array_equal(sg.to_host(result), squash(x, 3.0))
    shift(on_gpu)
    assert strict.fused == ["squash", "squash", "shift"]


def test_an_expression_written_anew_is_compiled_once_and_captures_anew(monkeypatch):
    cupy = strict.install(monkeypatch)
    compiled = []

    def fuse(kernel_name):
        compiled.append(kernel_name)
        return strict.fuse(kernel_name=kernel_name)

    monkeypatch.setattr(cupy, "fuse", fuse)

    def scaled(x, a, slope):
        return backend.fused(lambda delta, x: slope * delta * np.exp(a) - x)(x, 2 * x)

    x, a = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    for scale in (1.0, 3.0):
        result = scaled(*(sg.to_device(y, "cuda") for y in (x, scale * a)), scale)
        np.testing.assert_array_equal(sg.to_host(result), scaled(x, scale * a, scale))
    assert len(compiled) == 1
    assert compiled[0].isidentifier()


def test_a_number_that_is_captured_leaves_a_chain_in_its_precision(monkeypatch):
    strict.install(monkeypatch)
    slope = 0.1
    x = sg.to_device(np.ones(2, np.float32), "cuda")
    assert backend.fused(lambda x: x * slope)(x).dtype == np.float32


def test_on_the_host_a_fused_function_is_the_function(monkeypatch):
    strict.install(monkeypatch)
    assert shift(np.zeros(2)).tolist() == [2, 2]
    assert strict.fused == []
    assert shift.__name__ == "shift"
    assert shift.__doc__ == "x + 1."


def test_the_special_functions_are_those_of_the_device(device, on_device):
    z = np.linspace(-9, 9, 7)
    on_it = backend.special(on_device(z)).ndtr(on_device(z))
    assert backend.device_of(on_it) == device
    np.testing.assert_allclose(sg.to_host(on_it), backend.special(z).ndtr(z), rtol=1e-12)


# The state of a generator


def test_a_generator_continues_bit_for_bit_from_its_state(device):
    rng = sg.generator(11, device)
    rng.standard_normal(13)
    rng.random(3, dtype=np.float32)
    state, array = backend.generator_state(rng)
    resumed = backend.generator_from_state(state, array)
    assert backend.device_of(resumed) == device
    for _ in range(3):
        np.testing.assert_array_equal(
            sg.to_host(resumed.standard_normal(7)), sg.to_host(rng.standard_normal(7))
        )
        np.testing.assert_array_equal(
            sg.to_host(resumed.random(5, dtype=np.float32)),
            sg.to_host(rng.random(5, dtype=np.float32)),
        )


def test_a_copy_of_a_generator_draws_what_it_would_and_leaves_it_alone(device):
    rng, untouched = sg.generator(11, device), sg.generator(11, device)
    rng.random(3), untouched.random(3)
    for _ in range(2):
        twin = backend.copy_of(rng)
        assert backend.device_of(twin) == device
        drawn = sg.to_host(twin.standard_normal(7))
    np.testing.assert_array_equal(drawn, sg.to_host(rng.standard_normal(7)))
    np.testing.assert_array_equal(drawn, sg.to_host(untouched.standard_normal(7)))


def test_the_state_is_a_copy_and_json_holds_it(device):
    rng = sg.generator(11, device)
    state, array = backend.generator_state(rng)
    state = json.loads(json.dumps(state))
    array = None if array is None else array.copy()
    expected = sg.to_host(rng.random(4))
    assert backend.device_of(array) == "cpu"
    np.testing.assert_array_equal(
        sg.to_host(backend.generator_from_state(state, array).random(4)), expected
    )


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_a_generator_that_is_no_pcg64_has_no_state_to_keep(bits):
    with pytest.raises(ValueError, match=f"PCG64 generator, got one on {bits.__name__}"):
        backend.generator_state(np.random.Generator(bits(0)))


def test_the_state_of_a_gpus_generator_lacks_nothing_and_fits(monkeypatch):
    strict.install(monkeypatch)
    state, array = backend.generator_state(sg.generator(0, "cuda"))
    with pytest.raises(ValueError, match="lacks its array"):
        backend.generator_from_state(state)
    with pytest.raises(RuntimeError, match="the checkpoint holds a XORWOW of 3 bytes"):
        backend.generator_from_state(state, array[:3])
    with pytest.raises(RuntimeError, match="the checkpoint holds a MRG32k3a"):
        backend.generator_from_state({**state, "bit_generator": "MRG32k3a"}, array)


def test_a_cupy_that_hides_the_state_is_named(monkeypatch):
    strict.install(monkeypatch)
    rng = sg.generator(0, "cuda")
    del rng.bit_generator._state
    with pytest.raises(RuntimeError, match="does not give out the state of its XORWOW"):
        backend.generator_state(rng)
