"""A δ that is not carried all the way back through the steps of a loop is named, with its line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.gradcheck.recording import recorded
from scratchgen.gradcheck.recurrences import _Ages, states_of
from scratchgen.gradcheck.strategies import seeds
from tests.gradcheck.handwritten import MARKOV, RECURRENT, markov_cost, recurrent_cost

FEW = settings(max_examples=5)


def by_windows(over):
    """The gradient whose terms are each carried back over at most so many steps."""

    def gradient(W, U, x, y):
        h = [np.zeros(len(W))]
        for t in range(len(x)):
            h.append(np.tanh(U @ x[t] + W @ h[t]))
        dW, dU = np.zeros_like(W), np.zeros_like(U)
        for t in range(len(x)):
            delta = (h[t + 1] - y[t]) * (1 - h[t + 1] ** 2)
            for s in range(t, max(t - over, 0) - 1, -1):
                dW += np.outer(delta, h[s])
                dU += np.outer(delta, x[s])
                delta = (W.T @ delta) * (1 - h[s] ** 2)
        return dW, dU

    return gradient


def states(cost, **arrays):
    recording = recorded(lambda inputs: cost(*inputs), [*arrays.values()], [*arrays])
    return recording, states_of(recording, recording.leading_to(range(len(arrays)))[1])


def arrays_of(seed, steps=6):
    rng = np.random.default_rng(seed)
    shapes = (4, 4), (4, 3), (steps, 3), (steps, 4)
    return [0.6 * rng.standard_normal(shape) for shape in shapes]


@FEW
@given(seed=seeds)
def test_the_parts_of_all_numbers_of_steps_sum_to_the_derivative(seed):
    arrays = arrays_of(seed)
    recording, (state,) = states(recurrent_cost, **dict(zip("WUxy", arrays, strict=True)))
    parts = [*_Ages(recording, state).parts((0, 1))]
    assert len(parts) == len(arrays[2])
    for k, right in enumerate(recording.gradients([0, 1])):
        np.testing.assert_allclose(sum(part[k] for part in parts), right, rtol=1e-12, atol=1e-14)
    for over in range(len(parts)):
        for k, right in enumerate(by_windows(over)(*arrays)):
            found = sum(part[k] for part in parts[: over + 1])
            np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-14)


@FEW
@given(seed=seeds)
def test_a_term_that_is_carried_back_over_a_few_steps_is_told_with_their_number(seed):
    arrays = arrays_of(seed)
    assert sg.check_gradient(recurrent_cost, by_windows(5), *arrays).ok
    for over, said in enumerate(("is left out", "back over one step", "over 2 steps")):
        report = sg.check_gradient(recurrent_cost, by_windows(over), *arrays)
        assert [entry.kinds for entry in report.entries] == [["truncated recurrence"]] * 2
        assert said in report.diagnosis[0]
        assert "of the 5 uses in `h = np.tanh(U @ x[t] + W @ h)`" in report.diagnosis[0]


def test_a_cut_after_each_few_steps_is_told_with_its_place():
    slips = {slip.replacements[0][1]: slip for slip in RECURRENT.slips}
    arrays = arrays_of(0)
    for written, said in (
        ("carried = (W.T @ delta) * (t % 2 > 0)", "after each 2 steps from the first on"),
        ("carried = (W.T @ delta) * (t > 2)", "is cut at the first 2, of the 5 uses"),
    ):
        wrong = RECURRENT.with_slip(slips[written])
        report = sg.check_gradient(recurrent_cost, wrong, *arrays)
        assert [entry.kinds for entry in report.entries] == [["truncated recurrence"]] * 2
        assert said in report.diagnosis[0]


@FEW
@given(seed=seeds)
def test_the_forward_message_in_the_place_of_the_posterior_is_a_filter_for_a_smoother(seed):
    arrays = MARKOV.draw(np.random.default_rng(seed), False)
    (of_filter,) = (slip for slip in MARKOV.slips if slip.kind == "filter for the smoother")
    for cost in MARKOV.costs.values():
        assert sg.check_gradient(cost, MARKOV.gradient, *arrays).ok
        report = sg.check_gradient(cost, MARKOV.with_slip(of_filter), *arrays)
        for entry in report.entries:
            assert entry.kinds == ["filter for smoother"]
            assert "a filter stands in the place of a smoother" in entry.diagnosis


def kalman(log_q, log_r, y):
    q, r = np.exp(log_q), np.exp(log_r)
    m, P, cost = 0.0, 1.0, 0.0
    for i in range(len(y)):
        P = P + q
        S = P + r
        v = y[i] - m
        cost = cost + 0.5 * (np.log(S) + v * v / S)
        m = m + P / S * v
        P = r * P / S
    return cost


def of_filtered(log_q, log_r, y):
    """By the moments that the filter has at each step, as if they did not depend on q and r."""
    q, r = np.exp(log_q), np.exp(log_r)
    m, P, dS = 0.0, 1.0, 0.0
    for i in range(len(y)):
        P = P + q
        S, v = P + r, y[i] - m
        dS += 0.5 * (1 / S - v * v / S**2)
        m, P = m + P / S * v, r * P / S
    return dS * q, dS * r


@FEW
@given(seed=seeds)
def test_the_filtered_moments_of_a_kalman_filter_are_told_from_the_smoothed(seed):
    y = np.cumsum(np.random.default_rng(seed).standard_normal(7))
    for entry in sg.check_gradient(kalman, of_filtered, -0.3, 0.2, y).entries:
        assert entry.kinds == ["filter for smoother"], entry.diagnosis


def test_a_sum_and_a_buffer_that_are_not_read_in_the_loop_are_not_carried():
    def collected(x):
        total, kept = 0.0, np.zeros(5)
        for i in range(5):
            total = total + x[i] ** 2
            kept[i] = x[i] ** 3
        return total + np.sum(kept)

    assert states(collected, x=np.arange(1.0, 6))[1] == []


def test_a_value_that_a_buffer_hands_on_is_carried():
    def buffered(A, B, pi):
        alpha = np.zeros((5, 3))
        alpha[0] = pi
        for t in range(1, 5):
            alpha[t] = (alpha[t - 1] @ A) * B[:, t % 3]
        return -np.log(alpha[4].sum())

    arrays = MARKOV.draw(np.random.default_rng(0), False)
    _, found = states(buffered, **dict(zip(("A", "B", "pi"), arrays, strict=True)))
    assert [len(state.steps) for state in found] == [4]


@pytest.mark.long
@FEW
@given(seed=seeds, markov=st.booleans())
def test_a_recurrence_that_is_wrong_at_random_has_no_such_name(seed, markov):
    rng = np.random.default_rng([seed, 1])  # other numbers than those of the arrays
    cost, subject = (markov_cost, MARKOV) if markov else (recurrent_cost, RECURRENT)
    arrays = subject.draw(rng, False) if markov else arrays_of(seed)
    wrong = [g + 0.1 * rng.standard_normal(g.shape) for g in subject.gradient(*arrays)]
    report = sg.check_gradient(cost, lambda *_: wrong, *arrays)
    assert [entry.kinds for entry in report.entries] == [[]] * len(wrong)


def test_layers_that_are_written_one_by_one_are_no_recurrence():
    def layers(W, x):
        a = np.tanh(x @ W)
        a = np.tanh(a @ W)
        return np.sum(np.tanh(a @ W))

    W, x = np.ones((3, 3)), np.ones((4, 3))
    assert states(layers, W=W, x=x)[1] == []


def test_what_one_call_computes_in_several_operations_is_no_recurrence():
    def of_norms(W, x):
        return np.linalg.norm(x @ W) ** 2 + np.linalg.norm(W) ** 2 + np.var(x @ W)

    W, x = np.random.default_rng(0).standard_normal((2, 4, 4))
    assert states(of_norms, W=W, x=x)[1] == []
    sigmoid = lambda z, delta: np.sum(delta * ops.sigmoid.rule(z)[0])
    assert states(sigmoid, z=W, delta=x)[1] == []
