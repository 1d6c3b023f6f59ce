"""Every rule has a sentence that says why each of its equations holds."""

import inspect

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.models.diffusion.conditioning import length
from scratchgen.models.diffusion.ddpm import denoised
from scratchgen.models.feed_forward import penalty
from scratchgen.models.rbm import free_energy_gap
from scratchgen.parallel.parts import sum_of_parts
from scratchgen.tracing.reasons import REASONS, reason

OF_MODELS = [length, denoised, penalty, free_energy_gap, sum_of_parts]
RULES = [*(getattr(ops, name) for name in ops.__all__), *OF_MODELS]


@pytest.mark.parametrize("operation", RULES, ids=lambda operation: operation.rule.__name__)
def test_every_rule_has_one_sentence_for_all_its_inputs_or_one_for_each(operation):
    said = REASONS[operation.rule.__name__]
    sentences = [said]
    if isinstance(said, tuple):
        kinds = [p.kind for p in inspect.signature(operation.rule).parameters.values()]
        assert len(said) == sum(kind is not inspect.Parameter.KEYWORD_ONLY for kind in kinds)
        sentences = [sentence for sentence in said if sentence]
    assert all(sentence[-1] == "." and sentence.count(". ") == 0 for sentence in sentences)


def test_there_is_no_sentence_without_a_rule():
    assert set(REASONS) == {operation.rule.__name__ for operation in RULES}


def test_a_line_of_a_trace_says_why():
    W = sg.Tensor([[2.0]])
    lines = sg.trace(ops.affine(np.array([[3.0]]), W).sum(), [W])
    assert [line.reason for line in lines] == [reason(ops.sum, 0), reason(ops.affine, 1)]


def test_a_rule_of_the_user_gets_no_sentence_of_a_rule_of_the_same_name():
    @sg.differentiable
    def affine(a):
        """z = 2 a:  ∂C/∂a = 2 δ."""
        return 2 * a, (lambda delta: 2 * delta,)

    assert reason(affine, 0) == ""
