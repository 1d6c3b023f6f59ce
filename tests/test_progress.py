"""How far a training has come: a bar on a terminal, about twenty lines elsewhere."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import types
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import History, nn, optim, progress, train
from scratchgen import operations as ops
from scratchgen.history import Epoch


class Mean(nn.Network):
    """One parameter, drawn to the mean of the data."""

    def __init__(self):
        self.theta = sg.Tensor(np.zeros(1))

    @property
    def players(self):
        return [self.parameters()]

    def default_optimizers(self):
        return [optim.SGD(self.parameters(), lr=0.1)]

    def losses(self, x, rng):
        yield ops.squared_error(self.theta, x.reshape(-1, 1)).mean()


DATA = np.arange(1.0, 11.0)


def rng(seed=0):
    return sg.generator(seed)


END = "<end>"


@pytest.fixture
def terminal(monkeypatch):
    """Makes standard error a terminal of so many columns; returns what reads its lines."""
    ours, theirs = pty.openpty()
    stream = os.fdopen(theirs, "w")

    def of(columns):
        monkeypatch.setattr(sys, "stderr", stream)  # now: a test that begins has pytest's own
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

        def lines():
            """Everything that was written so far: it comes in pieces, the last of which is ours."""
            stream.write(END)
            stream.flush()
            written = b""
            while not written.endswith(END.encode()):
                written += os.read(ours, 10**6)
            text = written.decode().removesuffix(END)
            return re.split(r"[\r\n]+", text) if text else []

        return lines

    yield of
    stream.close()
    os.close(ours)


def epoch(number, **report):
    return Epoch(number, (1.0 / number,), 0.0, {"KL": 0.5, **report})


def printed(epochs, done=0, until=None):
    """The numbers of the epochs that are printed where there is no terminal."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        progress.ProgressBar(epochs, done) as bar,
    ):
        for number in range(done + 1, (until or epochs) + 1):
            bar.show(epoch(number))
    return [int(line.split()[1]) for line in out.getvalue().splitlines()]


# fit


def test_fit_prints_a_line_per_epoch_and_returns_the_history(capsys):
    model = Mean()
    history = sg.fit(model, DATA, epochs=3, batch_size=2, rng=rng())
    out, err = capsys.readouterr()
    assert isinstance(history, History)
    assert out.splitlines() == [str(epoch) for epoch in history]
    assert [epoch.number for epoch in history] == [1, 2, 3]
    assert err == ""  # no terminal, no bar


def test_fit_is_train_run_to_its_end(capsys):
    fitted, trained = Mean(), Mean()
    sg.fit(fitted, DATA, epochs=3, batch_size=4, rng=rng(1), drop_last=True)
    list(
        train(
            trained, DATA, trained.default_optimizers(), epochs=3, batch_size=4, rng=rng(1),
            drop_last=True,
        )
    )  # fmt: skip
    np.testing.assert_array_equal(fitted.theta.data, trained.theta.data)


def test_fit_takes_optimizers_and_a_history(capsys):
    model, history = Mean(), History()
    optimizers = [optim.SGD(model.parameters(), lr=0.0)]
    assert (
        sg.fit(
            model, DATA, epochs=2, batch_size=5, rng=rng(), optimizers=optimizers, history=history
        )
        is history
    )
    np.testing.assert_array_equal(model.theta.data, [0])
    sg.fit(model, DATA, epochs=3, batch_size=5, rng=rng(), optimizers=optimizers, history=history)
    assert [epoch.number for epoch in history] == [1, 2, 3]
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_model_without_default_optimizers_is_told_to_bring_some():
    with pytest.raises(ValueError, match=r"SimpleNamespace has no default_optimizers\(\)"):
        sg.fit(types.SimpleNamespace(), DATA, epochs=1, rng=rng())


# Without a terminal


@given(st.integers(1, 3000), st.integers(0, 100))
def test_about_twenty_epochs_are_printed_evenly_with_the_first_and_the_last(epochs, done):
    numbers = printed(epochs + done, done)
    assert (numbers[0], numbers[-1]) == (done + 1, done + epochs)
    assert min(epochs, 11) <= len(numbers) <= 22
    steps = np.diff(numbers)
    assert len({*steps[1:-1]}) <= 1, "all but the first and the last step are one size"
    assert (steps <= max([1, *steps[1:-1]])).all()


def test_four_hundred_epochs_are_twenty_one_lines_at_round_numbers():
    assert printed(400) == [1, *range(20, 401, 20)]


def test_the_last_epoch_is_printed_wherever_the_training_ends():
    assert printed(400, until=57) == [1, 20, 40, 57]
    assert printed(400, until=60) == [1, 20, 40, 60]


def test_the_last_epoch_is_printed_when_the_training_is_interrupted(capsys):
    with contextlib.suppress(KeyboardInterrupt), progress.ProgressBar(400) as bar:
        for number in range(1, 8):
            bar.show(epoch(number))
        raise KeyboardInterrupt
    assert capsys.readouterr().out == f"{epoch(1)}\n{epoch(7)}\n"


def test_a_line_that_is_printed_is_whole(capsys):
    with progress.ProgressBar(1) as bar:
        bar.show(epoch(1, **{"validation cost": 3.0}))
    assert capsys.readouterr().out == f"{epoch(1, **{'validation cost': 3.0})}\n"


# On a terminal


def test_the_bar_gives_each_batch_and_counts_the_epochs():
    with progress.ProgressBar(epochs=2) as bar:
        for _ in range(2):
            assert list(bar.batches(range(0, 10, 4))) == [0, 4, 8]
    with progress.ProgressBar(epochs=0) as bar:
        assert list(bar.batches([])) == []


def test_on_a_terminal_there_is_one_bar_and_no_line(capsys, terminal):
    lines = terminal(80)
    sg.fit(Mean(), DATA, epochs=3, batch_size=2, rng=rng())
    assert capsys.readouterr().out == ""
    assert [line for line in lines() if line][-1].startswith("100%")


@pytest.mark.parametrize(("columns", "widest"), [(200, 79), (80, 79), (40, 39)])
def test_the_bar_stays_in_its_line_however_much_there_is_to_say(terminal, columns, widest):
    lines = terminal(columns)
    with progress.ProgressBar(400) as bar:
        assert list(bar.batches(range(3))) == [0, 1, 2]
        bar.show(epoch(399, **{"a quantity of a very long name": 1e-9, "validation cost": 2.5}))
    drawn = [line for line in lines() if line.strip()]
    assert max(map(len, drawn)) <= widest
    if columns >= 80:
        assert "epoch 399/400" in drawn[-1]
        assert drawn[-1].endswith(", validation cost=2.5")
        assert max(map(len, drawn)) == widest


def test_the_figure_of_the_bar_is_of_held_out_data_where_there_is_one():
    assert progress.headline(epoch(4)) == ("cost", 0.25)
    assert progress.headline(epoch(4, **{"test cost": 7.0})) == ("test cost", 7.0)
    both = {"accuracy": 0.9, "validation cost": 5.0}
    assert progress.headline(epoch(4, **both)) == ("validation cost", 5.0)
    game = Epoch(1, (1.4, 0.7), 0.0, {"D(x)": 0.5}, ("D", "G"))
    assert progress.headline(game) == ("D", 1.4)


# Loops


def test_a_watched_loop_passes_everything_on_and_prints_nothing_elsewhere(capsys):
    assert list(progress.watched(range(5), "parts")) == [0, 1, 2, 3, 4]
    assert list(progress.watched(iter("ab"), "letters", total=2)) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_a_watched_loop_has_a_bar_once_a_second_has_passed(terminal, monkeypatch):
    lines = terminal(80)
    assert list(progress.watched(range(5), "quick")) == [0, 1, 2, 3, 4]
    assert lines() == []
    now = [0.0]
    loop = progress.watched(range(5), "slow")
    monkeypatch.setattr(loop, "_time", lambda: now[0])
    loop.start_t = loop.last_print_t = 0.0
    seen = []
    for _ in loop:
        now[0] += 0.7
        seen += [line for line in lines() if line.strip()]
    assert seen[0].startswith("slow  40%")
    assert max(map(len, seen)) <= 79


def test_things_of_unknown_number_are_counted_without_a_bar(terminal, monkeypatch):
    lines = terminal(80)
    now = [0.0]
    loop = progress.watched(iter(range(5)), "slips tried")
    monkeypatch.setattr(loop, "_time", lambda: now[0])
    loop.start_t = loop.last_print_t = 0.0
    seen = []
    for _ in loop:
        now[0] += 0.7
        seen += [line for line in lines() if line.strip()]
    assert seen[0].startswith("slips tried: 2, 00:01")


# In a notebook


def test_where_a_notebook_has_no_widgets_nothing_warns(monkeypatch):
    # What tqdm looks for to know a notebook: a kernel in IPython's configuration.
    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    for name in ("tqdm.auto", "tqdm.autonotebook"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr("tqdm.notebook.IProgress", None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert printed(2) == [1, 2]
    assert caught == []
