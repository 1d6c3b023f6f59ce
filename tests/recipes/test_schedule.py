"""A schedule by name is that with its numbers; a cosine without a number spans the training."""

import math

import pytest

from scratchgen.optim import schedules
from scratchgen.recipes.schedule import NAMES, schedule_of, spans_the_training

NAMED = {
    "constant": schedules.Constant(),
    "cosine": schedules.Cosine(7),
    "cosine:3": schedules.Cosine(3),
    "cosine:3,0.5": schedules.Cosine(3, 0.5),
    "step:3": schedules.Step(3),
    "step:3,0.5": schedules.Step(3, 0.5),
    "exponential:0.9": schedules.Exponential(0.9),
    "inverse-time:3": schedules.InverseTime(3),
    "warm-up:3": schedules.WarmUp(3),
}


@pytest.mark.parametrize("text", NAMED)
def test_a_name_with_its_numbers_is_that_schedule(text):
    assert schedule_of(text, epochs=7) == NAMED[text]


def test_every_name_is_tried_above():
    assert {text.partition(":")[0] for text in NAMED} == set(NAMES)


@pytest.mark.parametrize("text", NAMED)
def test_what_spans_the_training_is_what_goes_by_its_epochs(text):
    goes_by_epochs = schedule_of(text, epochs=7) != schedule_of(text, epochs=8)
    assert spans_the_training(text) is goes_by_epochs


@pytest.mark.parametrize("epochs", [1, 2, 60])
def test_a_cosine_without_a_number_falls_from_1_to_0_over_the_training(epochs):
    cosine = schedule_of("cosine", epochs)
    for t in range(epochs + 1):
        assert cosine(t) == pytest.approx(0.5 * (1 + math.cos(math.pi * t / epochs)), abs=1e-15)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cosin", "is one of constant, cosine, step"),
        ("", "is one of constant, cosine, step"),
        ("step", r"is written as step:EPOCHS or step:EPOCHS,FACTOR, as in step:10,0.5, got 'step'"),
        ("step:a", "got 'step:a'"),
        ("step:1,2,3", "1 to 2 finite numbers"),
        ("constant:1", "0 to 0 finite numbers"),
        ("warm-up:3,0.5", "1 to 1 finite numbers"),
        ("exponential:2", "gamma lies from 0 to 1, got 2.0"),
        ("exponential:nan", "finite"),
        ("inverse-time:inf", "finite"),
        ("cosine:0", "epochs is a number above 0, got 0"),
        ("cosine:-3", "epochs is a number above 0, got -3"),
    ],
)
def test_what_is_no_schedule_is_refused_with_how_it_is_written(text, words):
    with pytest.raises(ValueError, match=words):
        schedule_of(text, epochs=7)
