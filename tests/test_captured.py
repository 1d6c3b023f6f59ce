"""A captured step has the bits of the eager one, or is not captured, for every model."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import models, nn, optim
from scratchgen import operations as ops
from scratchgen.captured import (
    FEWEST,
    LEAST_NUMPY,
    CaptureWarning,
    NotCapturableError,
    Recorded,
    RecordedGenerator,
    Tape,
    same,
)
from scratchgen.gradcheck.strategies import seeds
from scratchgen.recipes import RECIPES, Data
from tests.rules import RULES, Seed, is_real

pytestmark = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < LEAST_NUMPY,
    reason=f"steps are captured with NumPy {LEAST_NUMPY} or later",
)
DIGITS = Data.named("digits")
CAPTURED = {"ffnn", "gaussian-rbm", "autoencoder", "vae", "iwae", "hvae", "gan"}


@pytest.fixture
def programs(monkeypatch):
    """How often a step ran by its program alone, as a list of one number for each training."""
    counts = []

    class Counted(sg.captured.Steps):
        def __init__(self, *arguments):
            counts.append(0)
            super().__init__(*arguments)

        def losses(self, *arguments):
            step = super().losses(*arguments)
            counts[-1] += isinstance(step, sg.captured.Step) and step.losses is None
            return step

    monkeypatch.setattr(sg.training, "Steps", Counted)
    return counts


def state(model, optimizers, rng, epochs):
    """Every number that a training leaves behind, with the dtype of each array."""
    arrays = [*model.state_dict().values()]
    arrays += [b for o in optimizers for b in o.buffers.values()]
    return (
        [(x.dtype, x.shape, x.tobytes()) for x in arrays],
        rng.bit_generator.state,
        [(epoch.costs, epoch.report) for epoch in epochs],
    )


def of_recipe(name, captured, seed=0, batch_size=4, epochs=3, **options):
    """What is left behind by a training of a model of the command line, on a few small images."""
    recipe, rng = RECIPES[name], sg.generator(seed)
    chosen = replace(recipe.settings({"data": "digits"}), batch_size=batch_size)
    model = recipe.build(chosen, DIGITS, rng)
    optimizers = recipe.optimizers(model, chosen)
    data, n = recipe.prepare(DIGITS), FEWEST * batch_size + 1
    few = tuple(x[:n] for x in data) if isinstance(data, tuple) else data[:n]
    options = {"epochs": epochs, "batch_size": batch_size, "captured": captured, **options}
    return state(model, optimizers, rng, list(sg.train(model, few, optimizers, rng=rng, **options)))


@pytest.mark.filterwarnings("ignore::scratchgen.training.TrainingWarning")
@pytest.mark.filterwarnings("error::scratchgen.captured.CaptureWarning")
@pytest.mark.parametrize("name", RECIPES)
def test_every_model_has_the_same_bits_captured_and_eager(name, programs):
    options = {"part_size": 10**6}  # of which a DDPM has a smaller one
    assert of_recipe(name, None, **options) == of_recipe(name, False, **options)
    # of 3 epochs of full batches and a smaller one, less capture and proofs
    assert programs == [3 * FEWEST - 4 if name in CAPTURED else 0, 0]


@pytest.mark.filterwarnings("ignore::scratchgen.training.TrainingWarning")
@pytest.mark.filterwarnings("error::scratchgen.captured.CaptureWarning")
@pytest.mark.parametrize("name", sorted(CAPTURED))
@given(st.integers(1, 9), seeds, st.sampled_from([None, 0.1]), st.booleans())
@settings(max_examples=4)
def test_the_bits_are_the_same_whatever_the_batch_the_seed_and_the_settings(
    name, batch_size, seed, clip_norm, drop_last
):
    options = {"clip_norm": clip_norm, "drop_last": drop_last, "epochs": 2}
    captured, eager = (of_recipe(name, way, seed, batch_size, **options) for way in (None, False))
    assert captured == eager


def evaluated(rule, inputs, settings, delta=None):
    """The value of a rule and all its shares of a δ, 1 in each place by default."""
    value, equations = rule(*inputs, **settings)
    delta = np.ones_like(value) if delta is None else delta
    of_inputs = zip(equations, inputs, strict=False)  # an input may be left out, as a bias
    return [value, *[equation(delta) for equation, x in of_inputs if is_real(x) and equation]]


NEVER_CAPTURED = {name for name in RULES if name.startswith("conv")} | {
    *("cholesky", "det", "eigvalsh", "inv", "logdet", "solve"),  # which call np.linalg
    *("pad", "prod", "setitem"),
}
SOMETIMES = {"avg_pool2d", "max_pool2d", "einsum", "embedding", "gaussian_kl", "take"}


@pytest.mark.parametrize("name", sorted(RULES.keys() - NEVER_CAPTURED))
@given(st.data())
@settings(max_examples=10)
def test_a_rule_that_is_written_down_has_the_bits_of_the_rule_on_other_numbers(name, data):
    case, rule = RULES[name], getattr(ops, name).rule
    inputs, chosen = data.draw(case.examples)
    inputs = [np.array(x) if is_real(x) else x for x in inputs]
    tape = Tape(np.random.default_rng(1))

    def with_generator(rng):
        return {k: rng if isinstance(value, Seed) else value for k, value in chosen.items()}

    try:
        step = [Recorded(x, tape) if is_real(x) else x for x in inputs]
        recorded = evaluated(rule, step, with_generator(RecordedGenerator(tape)))
    except NotCapturableError:
        assert name in SOMETIMES
        return
    for x in inputs:
        if is_real(x):
            x[...] = x.reshape(-1)[::-1].reshape(x.shape)  # in the domain of the rule as well
    tape.rng = np.random.default_rng(2)
    for call in tape.calls:
        call()
    eager = evaluated(rule, inputs, with_generator(np.random.default_rng(2)))
    for x, y in zip(recorded, eager, strict=True):
        assert same(x.numbers if isinstance(x, Recorded) else x, y)


@pytest.mark.parametrize("name", sorted(NEVER_CAPTURED))
@given(st.data())
@settings(max_examples=2)
def test_what_is_in_no_list_is_refused(name, data):
    inputs, chosen = data.draw(RULES[name].examples)
    tape = Tape(np.random.default_rng(1))
    with pytest.raises(NotCapturableError):
        evaluated(
            getattr(ops, name).rule,
            [Recorded(x, tape) if is_real(x) else x for x in inputs],
            chosen,
        )


class Line(nn.Network):
    """y = w · x, with a number, of several kinds, that a test may change while it trains."""

    def __init__(self, factor=1.0):
        self.w = sg.Tensor(np.linspace(-1, 1, 3))
        self.factor, self.list_of_factors, self.constant = factor, [factor], np.full(1, factor)
        self.steps, self.rng = 0, None

    @property
    def players(self):
        return [self.parameters()]

    def of(self, x, rng):
        return x @ self.w

    def losses(self, x, rng):
        z = self.of(x, rng)
        yield (z * z * self.factor * self.list_of_factors[0] * self.constant).mean()
        return {"z": z.data.mean()}


X = np.random.default_rng(0).standard_normal((62, 3))


def trained(model, captured=True, change=None, epochs=4, optimizer=None, rng=None, **options):
    """What a training leaves behind; ``change(epoch, step)`` is called before each step."""
    optimizer, rng = optimizer or optim.Adam(model.parameters(), 0.1), rng or sg.generator(1)
    numbers = itertools.count()

    def progress(starts):
        epoch = next(numbers)
        for step, start in enumerate(starts):
            if change:
                change(model, optimizer, epoch, step)
            yield start

    options = {"epochs": epochs, "batch_size": 5, "progress": progress, **options}
    found = list(sg.train(model, X, optimizer, captured=captured, rng=rng, **options))
    return state(model, [optimizer], rng, found)


def set_factor(model, optimizer, epoch, step):
    if step == 0:
        model.factor = 1.0 + epoch


def set_factor_within_an_epoch(model, optimizer, epoch, step):
    if step in (0, 7):
        model.factor = 1.0 + epoch + (step > 6)


def set_factor_in_a_list(model, optimizer, epoch, step):
    if step in (0, 7):
        model.list_of_factors[0] = 1.0 + epoch + (step > 6)


def replace_a_constant(model, optimizer, epoch, step):
    if step in (0, 7):
        model.constant = np.full(1, 1.0 + epoch + (step > 6))


def write_to_a_constant(model, optimizer, epoch, step):
    model.constant[...] = 1.0 + epoch + (step > 6)


def rebind_the_parameters(model, optimizer, epoch, step):
    if step == 6:
        model.w.data = model.w.data * 0.5


def change_the_learning_rate(model, optimizer, epoch, step):
    optimizer.lr = 0.1 / (1 + epoch + step)


CHANGES = [
    set_factor,
    set_factor_within_an_epoch,
    set_factor_in_a_list,
    replace_a_constant,
    write_to_a_constant,
    rebind_the_parameters,
    change_the_learning_rate,
]


@pytest.mark.filterwarnings("error::scratchgen.captured.CaptureWarning")
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_during_the_training_has_its_effect_at_once(change, programs):
    assert trained(Line(), True, change) == trained(Line(), False, change)
    assert programs[0] > 0


def test_annealing_of_beta_between_epochs_has_the_bits_of_the_eager_training(programs):
    def annealed(captured):
        rng = sg.generator(0)
        model = models.vae.dense(64, 8, 2, rng)
        optimizers = model.default_optimizers()
        epochs = []
        for epoch in sg.train(
            model,
            DIGITS.train[:80].reshape(80, 64),
            optimizers,
            epochs=4,
            batch_size=5,
            rng=rng,
            captured=captured,
        ):
            model.beta = epoch.number / 4
            epochs.append(epoch)
        return state(model, optimizers, rng, epochs)

    assert annealed(None) == annealed(False)
    assert programs[0] > 0


GLOBAL = {"factor": 1.0}


class OfAGlobal(Line):
    def of(self, x, rng):
        return x @ self.w * GLOBAL["factor"]


def test_a_change_that_nothing_shows_is_noticed_at_the_next_epoch_and_said_once(programs):
    def change(model, optimizer, epoch, step):
        GLOBAL["factor"] = 1.0 + (epoch >= 2)

    eager = trained(OfAGlobal(), False, change)
    with pytest.warns(
        CaptureWarning, match="OfAGlobal has other results.*cost of player 0"
    ) as said:
        assert trained(OfAGlobal(), True, change) == eager
    assert len(said) == 1
    assert programs[1] == 2 * 12 - 3


class Looking(Line):
    """Looks at a number."""

    def of(self, x, rng):
        z = x @ self.w
        return z if z.data.sum() > 0 else -z


class Counting(Line):
    """Has another state after each step."""

    def of(self, x, rng):
        self.steps += 1
        return x @ self.w * self.steps


class Keeping(Line):
    """Keeps an array of a step, as persistent chains are kept."""

    def of(self, x, rng):
        self.constant = 0 * x[:1, 0] + 1
        return x @ self.w


class Writing(Line):
    """Writes to an array that outlives the step."""

    def of(self, x, rng):
        self.constant *= 1 + 0 * x[0, 0]
        return x @ self.w


class OwnDraws(Line):
    """Draws from a generator of its own."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)

    def of(self, x, rng):
        return x @ self.w + self.rng.standard_normal(len(x))


class SomeNumber(Line):
    """Draws a number that decides what is computed."""

    def of(self, x, rng):
        return x @ self.w * rng.random()


class Selecting(Line):
    """The size of its arrays depends on numbers."""

    def of(self, x, rng):
        return x[x[:, 0] > 0] @ self.w


class Unknown(Line):
    """Calls what is in no list."""

    def of(self, x, rng):
        return np.sort(x, axis=0) @ self.w


REASONS = {
    Looking: "looks at a number",
    Counting: "sets",
    Keeping: "sets",
    Writing: "outside the step",
    OwnDraws: "generator of its own",
    SomeNumber: "single number",
    Selecting: "size of an array",
    Unknown: "np.sort",
}


@pytest.mark.parametrize("kind", REASONS)
def test_what_could_be_wrong_is_not_captured_and_the_reason_is_said_if_asked_for(kind, programs):
    eager = trained(kind(), False)
    with pytest.warns(CaptureWarning, match=f"{kind.__name__} is the eager one.*{REASONS[kind]}"):
        assert trained(kind(), True) == eager
    assert programs == [0, 0]


def test_a_model_of_ones_own_is_eager_unless_it_is_told_otherwise(programs):
    runs = [trained(Line(), captured) for captured in (None, False, True)]
    assert runs[0] == runs[1] == runs[2]
    assert programs[:2] == [0, 0]
    assert programs[2] == 4 * 12 - 5


class StopError(Exception):
    """What interrupts a training."""


@pytest.mark.parametrize("last", [0, 1, 2, 20])
def test_a_training_that_is_interrupted_leaves_behind_what_the_eager_one_does(last):
    def interrupted(captured):
        model, rng, count = Line(), sg.generator(1), itertools.count()
        optimizer = optim.Adam(model.parameters(), 0.1)

        def stop(*_):
            if next(count) > last:
                raise StopError

        with pytest.raises(StopError):
            trained(model, captured, stop, optimizer=optimizer, rng=rng)
        return state(model, [optimizer], rng, [])

    assert interrupted(True) == interrupted(False)


class Root(Line):
    """Its cost is NaN as soon as a weight, which falls, is below zero."""

    def of(self, x, rng):
        return ops.sqrt(self.w[2:] + 0 * x[:, 0]) + 0 * rng.random(len(x)) * self.w[0]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_cost_that_is_not_finite_is_the_same_error_at_the_same_step_with_its_origin():
    def failed(captured):
        model, rng = Root(), sg.generator(1)
        optimizer = optim.SGD(model.parameters(), 0.02)
        with pytest.raises(sg.NonFiniteCostError) as error:
            trained(model, captured, epochs=40, optimizer=optimizer, rng=rng)
        return str(error.value), state(model, [optimizer], rng, [])

    captured, eager = failed(True), failed(False)
    assert captured == eager
    assert "sqrt" in eager[0]
    assert "step 1:" not in eager[0]


class Overflowing(Line):
    """Its logistic function overflows within, which the rule allows, to a limit that is right."""

    def of(self, x, rng):
        return ops.sigmoid(1e6 * (x @ self.w))


def test_overflow_within_a_rule_is_allowed_by_the_captured_step_as_well():
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        assert trained(Overflowing(), True) == trained(Overflowing(), False)


class Infinite(Line):
    """Divides by zero as soon as its factor is set to zero."""

    def of(self, x, rng):
        return x @ self.w + 0 * (1 / (1 + x[:, 0] ** 2 - self.constant))


def test_a_program_follows_the_errstate_of_the_step():
    def change(model, optimizer, epoch, step):
        if (epoch, step) == (1, 8):
            model.constant[...] = 1 + X[0, 0] ** 2  # one of the samples of the epoch divides by 0

    for captured in (True, False):
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide"):
            trained(Infinite(), captured, change, epochs=4)


def test_a_training_goes_on_from_a_checkpoint_bit_for_bit(tmp_path, programs):
    def parts(captured, epochs):
        rng, history = sg.generator(0), sg.History()
        model = models.gan.dense(64, 8, 2, rng)
        optimizers = model.default_optimizers()
        for until in epochs:
            options = {"epochs": until, "batch_size": 5, "rng": rng, "history": history}
            list(
                sg.train(
                    model,
                    DIGITS.train[:83].reshape(83, 64) * 2 - 1,
                    optimizers,
                    captured=captured,
                    **options,
                )
            )
            sg.save(tmp_path / "model", model, optimizers, rng=rng, history=history)
            loaded = sg.load(tmp_path / "model")
            model, optimizers, rng, history = (
                getattr(loaded, name) for name in ("model", "optimizers", "rng", "history")
            )
        return state(model, optimizers, rng, history)

    assert parts(None, [1, 3]) == parts(None, [3]) == parts(False, [3])
    assert min(programs[:3]) > 0


def test_batches_of_several_parts_are_eager(programs):
    assert trained(Line(), None, part_size=2) == trained(Line(), False, part_size=2)
    with pytest.warns(CaptureWarning, match="several parts"):
        trained(Line(), True, part_size=2)
    assert programs == [0, 0, 0]


def test_memory_is_used_again_only_when_no_array_needs_it_any_more():
    tape = Tape(np.random.default_rng(0))
    x = Recorded(np.arange(4.0), tape)
    y = x + 1
    kept = y.numbers
    del y
    z = x * 2
    assert np.may_share_memory(z.numbers, kept)
    assert not np.may_share_memory((z + x).numbers, z.numbers)
    assert not np.may_share_memory((z.T + x).numbers, z.numbers)
