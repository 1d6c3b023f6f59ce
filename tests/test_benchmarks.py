"""What the benchmarks say of themselves: too busy, below the floor, no GPU."""

import runpy
import sys

import pytest

from benchmarks import idle, spellings, summary


def row(title, over_floor=2.0, left=1.0):
    return {"workload": title, "this / floor": over_floor, "cores left": left}


def test_cases_that_were_measured_while_the_machine_was_busy_are_named():
    said = summary.remarks([row("quiet"), row("loud", left=0.5), row("loud", left=0.5)])
    assert "too busy to measure loud:" in said
    assert "quiet" not in said


def test_cases_below_their_floor_are_named_with_the_reasons():
    said = summary.remarks([row("above"), row("below", 0.7), row("without a floor", None)])
    assert "below their floor: below. A floor is" in said
    assert "Winograd" in said


def test_of_what_is_as_it_should_be_nothing_is_said():
    assert not summary.remarks([row("a case"), row("without a floor", None)])


def test_the_share_of_the_cores_that_is_left_is_from_0_to_1():
    assert 0 < idle.share(1) < 1.01


def test_without_a_gpu_the_benchmarks_say_so_in_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--device", "cuda"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("benchmarks", run_name="__main__")
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert "device 'cuda' needs CuPy" in said
    assert said.count("\n") == 1


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_ordinary_numpy_is_differentiated_as_it_is_spelled():
    ours = spellings.scratchgen()
    refused = {x for x in spellings.SPELLINGS if spellings.outcome(x, ours) != "right"}
    assert len(spellings.SPELLINGS) == 132
    assert refused == {"float(np.sum(x))", "np.abs(np.fft.fft(v))", "np.matrix(x)"}
