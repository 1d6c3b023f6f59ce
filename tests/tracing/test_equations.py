"""What a rule states in its docstring is found there, for every rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.tracing.equations import equations_of
from tests.rules import RULES, on


@pytest.mark.parametrize("name", ops.__all__)
@given(data=st.data())
def test_every_rule_states_its_value_and_an_equation_for_each_input_with_a_derivative(name, data):
    operation = getattr(ops, name)
    inputs, settings = data.draw(RULES[name].examples)
    _, equations = operation.rule(*inputs, **on("cpu", settings))
    stated = equations_of(operation, tuple(equation is not None for equation in equations))
    assert stated.forward != name
    assert len(stated.backward) == len(stated.symbols) == len(equations)
    for equation, symbol, text in zip(equations, stated.symbols, stated.backward, strict=True):
        if equation is None:
            assert text.startswith("the equation of input")
        else:
            left, _, right = text.partition("= ")
            assert left.startswith((f"∂C/∂{symbol} ", f"∂C/∂({symbol}) ", f"∂C/∂{symbol}["))
            assert "δ" in right
            assert "∂C" not in right


def test_the_equations_of_a_layer_are_those_of_its_docstring_in_the_order_of_its_inputs():
    stated = equations_of(ops.affine, (True, True, True))
    assert (stated.letter, stated.forward) == ("z", "z = a Wᵀ + b")
    assert stated.symbols == ("a", "W", "b")
    assert stated.backward == ("∂C/∂a = δ W", "∂C/∂W = δᵀ a", "∂C/∂b = Σₙ δₙ")
    assert stated.of_matrices
    assert not equations_of(ops.multiply, (True, True)).of_matrices


def test_inputs_without_a_derivative_take_no_equation_from_the_others():
    stated = equations_of(ops.where, (False, True, True))
    assert stated.symbols == ("condition", "x", "y")
    assert stated.backward[1:] == ("∂C/∂x = δ there", "∂C/∂y = δ elsewhere")


def test_sigma_prime_is_the_equation_of_a_function_of_one_input():
    stated = equations_of(ops.tanh, (True,))
    assert (stated.letter, stated.forward) == ("a", "a = tanh z")
    assert stated.backward == ("∂C/∂z = δ σ′,  σ′ = 1 − a²",)


def test_the_equation_of_a_sequence_stands_for_each_of_its_arrays():
    stated = equations_of(ops.stack, (True, True, True))
    assert stated.symbols == ("x₀", "x₁", "x₂")
    assert stated.backward[2] == "∂C/∂x₂ = δ at place 2 of that axis"


def test_a_rule_that_states_nothing_has_equations_by_number():
    @sg.differentiable
    def twice(x):
        return 2 * x, (lambda delta: 2 * delta,)

    @sg.differentiable
    def product(x, y):
        """z = x y:  ∂C/∂x = δ y."""
        return x * y, (lambda delta: delta * y, lambda delta: delta * x)

    assert equations_of(twice, (True,)).backward == ("the equation of input 0 of twice",)
    assert equations_of(product, (True, True)).backward == (
        "the equation of input 0 of product",
        "the equation of input 1 of product",
    )


def test_of_two_clauses_for_one_input_the_first_counts():
    @sg.differentiable
    def negated(x):
        """z = −x:  ∂C/∂x = −δ.

        Here ∂C/∂x = −1 δ is the same.
        """
        return -x, (lambda delta: -delta,)

    assert equations_of(negated, (True,)).backward == ("∂C/∂x = −δ",)


def test_a_rule_that_computes_another_one_otherwise_has_its_equations():
    every = (True, True, True)
    assert equations_of(ops.conv2d_direct, every) == equations_of(ops.conv2d, every)
    assert equations_of(ops.conv2d, every).backward[2] == "∂C/∂b[o] = Σ_{n, i, j} δ[n, o, i, j]"
