"""Learning-rate schedules against their formulas and against ``torch.optim.lr_scheduler``."""

import math
import pickle

import pytest

from scratchgen.optim.schedules import Constant, Cosine, Exponential, InverseTime, Step, WarmUp

EPOCHS = 12


@pytest.fixture
def rates_of_torch():
    """What a scheduler of PyTorch makes of a rate of 0.3, epoch by epoch."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[peers]'")

    def rates(build):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
        scheduler, seen = build(torch.optim.lr_scheduler, optimizer), []
        for _ in range(EPOCHS):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return seen

    return rates


CASES = {
    "constant": (Constant(), lambda s, o: s.ConstantLR(o, factor=1.0)),
    "step": (Step(3, 0.5), lambda s, o: s.StepLR(o, step_size=3, gamma=0.5)),
    "exponential": (Exponential(0.8), lambda s, o: s.ExponentialLR(o, gamma=0.8)),
    "inverse time": (InverseTime(4), lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + t / 4))),
    "cosine": (Cosine(EPOCHS), lambda s, o: s.CosineAnnealingLR(o, T_max=EPOCHS)),
    "cosine to a tenth": (
        Cosine(EPOCHS, lowest=0.1),
        lambda s, o: s.CosineAnnealingLR(o, T_max=EPOCHS, eta_min=0.03),
    ),
    "warm-up": (WarmUp(4), lambda s, o: s.LinearLR(o, start_factor=0.1, total_iters=4)),
    "warm-up, then steps": (
        WarmUp(4, Step(3, 0.5), start=0.25),
        lambda s, o: s.SequentialLR(
            o,
            [s.LinearLR(o, start_factor=0.25, total_iters=4), s.StepLR(o, step_size=3, gamma=0.5)],
            milestones=[4],
        ),
    ),
}


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")  # torch's SequentialLR
@pytest.mark.parametrize("name", CASES)
def test_the_rates_are_those_of_torch(name, rates_of_torch):
    schedule, build = CASES[name]
    assert [0.3 * schedule(t) for t in range(EPOCHS)] == pytest.approx(
        rates_of_torch(build), rel=1e-12
    )


def test_the_docstrings_are_the_oracle():
    assert Constant()(7) == 1
    assert [Step(2, 0.1)(t) for t in range(5)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert Exponential(0.9)(3) == pytest.approx(0.9**3)
    assert InverseTime(5)(5) == 0.5
    assert Cosine(10)(0) == 1
    assert Cosine(10)(5) == pytest.approx(0.5)
    assert Cosine(10, 0.2)(3) == pytest.approx(0.2 + 0.4 * (1 + math.cos(0.3 * math.pi)))


def test_the_cosine_stays_where_it_ends():
    assert Cosine(10, 0.2)(10) == pytest.approx(0.2)
    assert Cosine(10, 0.2)(25) == pytest.approx(0.2)


def test_a_warm_up_ends_where_what_follows_begins():
    schedule = WarmUp(3, Cosine(5), start=0.1)
    assert schedule(0) == pytest.approx(0.1)
    assert [schedule(3 + t) for t in range(6)] == [Cosine(5)(t) for t in range(6)]


def test_schedules_are_values_that_travel():
    schedule = WarmUp(3, Cosine(5))
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert eval(repr(schedule)) == schedule


@pytest.mark.parametrize(
    "build",
    [lambda: Step(0), lambda: Step(2, 1.5), lambda: Exponential(-0.1), lambda: InverseTime(-1),
     lambda: Cosine(0), lambda: Cosine(3, 2), lambda: WarmUp(0), lambda: Exponential(math.nan)],
)  # fmt: skip
def test_settings_out_of_range_are_refused(build):
    with pytest.raises(ValueError, match=r"above 0|from 0 to 1"):
        build()
