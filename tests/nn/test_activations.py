"""Activations as layers are the operations, and the modules of PyTorch, of their names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import scratchgen as sg
from scratchgen import nn
from scratchgen import operations as ops


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip(
        "torch", reason="PyTorch is the oracle of outputs: pip install '.[peers]'"
    )


LAYERS = {  # the layer, its operation, and the module of torch.nn with its arguments
    "Sigmoid": (nn.Sigmoid(), ops.sigmoid, ("Sigmoid",)),
    "Tanh": (nn.Tanh(), ops.tanh, ("Tanh",)),
    "ReLU": (nn.ReLU(), ops.relu, ("ReLU",)),
    "LeakyReLU": (nn.LeakyReLU(), ops.leaky_relu, ("LeakyReLU",)),
    "LeakyReLU(0.2)": (
        nn.LeakyReLU(0.2),
        lambda z: ops.leaky_relu(z, slope=0.2),
        ("LeakyReLU", 0.2),
    ),
    "ELU": (nn.ELU(), ops.elu, ("ELU",)),
    "ELU(0.5)": (nn.ELU(0.5), lambda z: ops.elu(z, alpha=0.5), ("ELU", 0.5)),
    "Softplus": (nn.Softplus(), ops.softplus, ("Softplus", 1.0, 100.0)),
    "SiLU": (nn.SiLU(), ops.silu, ("SiLU",)),
    "GELU": (nn.GELU(), ops.gelu, ("GELU",)),
    "Softmax": (nn.Softmax(), ops.softmax, ("Softmax", -1)),
    "Softmax(0)": (nn.Softmax(0), lambda z: ops.softmax(z, axis=0), ("Softmax", 0)),
}
layers = pytest.mark.parametrize(
    ("layer", "operation", "module"), LAYERS.values(), ids=LAYERS.keys()
)
matrices = hnp.arrays(float, (3, 4), elements=st.floats(-50, 50).filter(lambda z: abs(z) > 1e-6))


def test_every_activation_is_here():
    named = {type(layer).__name__ for layer, _, _ in LAYERS.values()}
    assert named | {"Network", "Linear", "Sequential"} <= set(nn.__all__)
    activations = {
        name for name in nn.__all__ if getattr(nn, name).__module__ == nn.ReLU.__module__
    }
    assert activations == named


@layers
@given(z=matrices)
def test_the_layer_is_the_operation_of_its_name(layer, operation, module, z):
    np.testing.assert_array_equal(layer(z), operation(z))


@layers
@given(z=matrices)
def test_value_and_gradient_are_those_of_torch(torch, layer, operation, module, z):
    delta = np.linspace(-1, 2, z.size).reshape(z.shape)
    x, theirs = sg.Tensor(z), torch.tensor(z, requires_grad=True)
    name, *arguments = module
    ours, expected = layer(x), getattr(torch.nn, name)(*arguments)(theirs)
    # PyTorch's GELU is ½ z (1 + erf z/√2), where erf is rounded to the eps of 1.
    rounding = np.finfo(float).eps * (1 + np.abs(z).max())
    np.testing.assert_allclose(ours.data, expected.detach().numpy(), rtol=1e-12, atol=rounding)
    expected.backward(torch.tensor(delta))
    (gradient,) = sg.gradient(ours, [x], delta=delta)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-12, atol=1e-14)


@layers
def test_arrays_give_arrays_of_their_dtype_and_tensors_are_recorded(layer, operation, module):
    z = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
    z.setflags(write=False)
    assert type(layer(z)) is np.ndarray
    assert layer(z).dtype == np.float32
    assert isinstance(layer(sg.Tensor(z)), sg.Tensor)


@layers
def test_an_activation_has_no_parameters_and_draws_nothing(layer, operation, module):
    rng, twin = sg.generator(0), sg.generator(0)
    z = np.linspace(-2, 2, 6).reshape(2, 3)
    np.testing.assert_array_equal(layer(z, rng), layer(z))
    assert layer.parameters() == []
    assert rng.random() == twin.random()


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "ReLU", "Softplus", "SiLU", "GELU"])
def test_what_takes_no_arguments_refuses_them(name):
    with pytest.raises(TypeError):
        getattr(nn, name)(0.1)
    with pytest.raises(TypeError):
        getattr(nn, name)(beta=2)
