"""Rules at the grain of a layer: fused is composed; what is dropped is dropped at random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.strategies import arrays, seeds
from tests.rules import random_delta
from tests.strategies import affine_maps, rows_of_a_table


@given(inputs=affine_maps(), seed=seeds)
def test_the_affine_map_is_composed_of_a_product_and_a_sum(inputs, seed):
    a, W, *b = [sg.Tensor(x) for x in inputs]
    fused, composed = ops.affine(a, W, *b), sum(b, a @ W.T)
    delta = random_delta(fused, seed)
    np.testing.assert_allclose(fused.data, composed.data, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(
        sg.gradient(fused, [a, W, *b], delta=delta),
        sg.gradient(composed, [a, W, *b], delta=delta),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@given(inputs=affine_maps(), seed=seeds)
def test_the_equations_of_the_affine_map_are_those_that_its_docstring_prints(inputs, seed):
    a, W = inputs[:2]
    z, equations = ops.affine.rule(*inputs)
    delta = random_delta(z, seed)
    np.testing.assert_array_equal(equations[0](delta), delta @ W)
    np.testing.assert_array_equal(equations[1](delta), delta.T @ a)
    np.testing.assert_allclose(equations[2](delta), sum(delta, np.zeros(len(W))), rtol=1e-12)


@pytest.mark.parametrize(
    ("a", "W"), [((2, 3), (4, 5)), ((3,), (4, 3)), ((2, 1, 3), (4, 3)), ((2, 3), (3,))]
)
def test_rows_and_weights_that_do_not_fit_are_refused_with_both_shapes(a, W):
    with pytest.raises(ValueError, match="affine takes rows") as error:
        ops.affine(np.ones(a), sg.Tensor(np.ones(W)), np.ones(4))
    assert str(a) in str(error.value)
    assert str(W) in str(error.value)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_keeps_the_mean_and_drops_the_share_p(p):
    n = 100_000
    z = ops.dropout(np.ones(n), p, rng=np.random.default_rng(0))
    assert set(np.unique(z)) == {0.0, 1 / (1 - p)}
    sigma = np.sqrt(p / (1 - p) / n)
    assert abs(z.mean() - 1) < 5 * sigma
    assert abs((z == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / n)
    neighbours = np.corrcoef(z[:-1], z[1:])[0, 1]
    assert abs(neighbours) < 5 / np.sqrt(n)


@given(a=arrays((4, 5), (0.5, 2.0)), p=st.sampled_from([0.2, 0.5]), seed=seeds)
def test_delta_passes_where_the_value_passed_and_with_the_same_factor(a, p, seed):
    a = sg.Tensor(a)
    z = ops.dropout(a, p, sg.generator(seed))
    delta = random_delta(z, seed)
    (share,) = sg.gradient(z, [a], delta=delta)
    np.testing.assert_allclose(share, delta * (z.data / a.data), rtol=1e-12, atol=0)


@given(a=arrays(), p=st.sampled_from([0.0, 0.3, 0.99]))
def test_without_rng_dropout_is_the_identity(a, p):
    a = sg.Tensor(a)
    z = ops.dropout(a, p=p, rng=None)
    delta = random_delta(a, 0)
    np.testing.assert_array_equal(z.data, a.data)
    np.testing.assert_array_equal(sg.gradient(z, [a], delta=delta)[0], delta)


def test_each_call_of_dropout_drops_anew_and_a_seed_repeats_it():
    a, rng = np.ones(1000), sg.generator(1)
    first, second = ops.dropout(a, 0.5, rng), ops.dropout(a, 0.5, rng)
    assert (first != second).any()
    np.testing.assert_array_equal(first, ops.dropout(a, 0.5, sg.generator(1)))


@pytest.mark.parametrize("p", [-0.1, 1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(p):
    with pytest.raises(ValueError, match="0 ≤ p < 1, got"):
        ops.dropout(np.ones(3), p=p, rng=None)


@given(inputs=rows_of_a_table(), seed=seeds)
def test_an_embedding_is_a_product_with_one_hot_rows(inputs, seed):
    indices, W = inputs[0], sg.Tensor(inputs[1])
    fused = ops.embedding(indices, W)
    composed = (indices[..., None] == np.arange(len(inputs[1]))).astype(float) @ W
    delta = random_delta(fused, seed)
    np.testing.assert_allclose(fused.data, composed.data, rtol=1e-12)
    (for_fused,), (for_composed,) = (sg.gradient(z, [W], delta) for z in (fused, composed))
    np.testing.assert_allclose(for_fused, for_composed, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_that_numbers_no_row_is_refused_with_the_range(index):
    with pytest.raises(IndexError, match=f"{index}.*, expected 0 to 2"):
        ops.embedding(np.array([0, index]), np.ones((3, 2)))


def test_what_are_no_indices_and_no_table_are_refused():
    with pytest.raises(TypeError, match="integers from 0 to 2, got float64"):
        ops.embedding(np.array([0.0]), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"\(rows, features\), got shape \(3,\)"):
        ops.embedding(np.array([0]), np.ones(3))
