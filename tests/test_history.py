"""The history of a training reads as a table, and is drawn as curves."""

import numpy as np
import pytest

from scratchgen import Epoch, History, plotting
from tests.reading import Reader


def test_an_epoch_reads_as_one_line():
    epoch = Epoch(3, (1.25,), 0.5, {"KL": 2.0})
    assert str(epoch) == "epoch   3   cost 1.2500   KL 2.0000   0.50 s"


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0.0000"), (-61.1, "-61.1000"), (1.19e-8, "1.190e-08"), (1e33, "1.000e+33")],
)
def test_a_figure_that_four_decimals_do_not_hold_is_written_with_its_power_of_ten(value, written):
    assert str(Epoch(1, (value,), 0.5)) == f"epoch   1   cost {written}   0.50 s"


def test_curves_are_the_values_over_the_epochs():
    history = History(
        [Epoch(1, (3.0, 1.0), 0.1, {"KL": 5.0}), Epoch(2, (2.0, 4.0), 0.1, {"KL": 6})]
    )
    assert history.curves() == {"cost 0": [3.0, 2.0], "cost 1": [1.0, 4.0], "KL": [5.0, 6.0]}


def test_a_history_of_nothing_has_no_curves():
    assert History().curves() == {}
    with pytest.raises(ValueError, match=r"epoch|curves"):
        History().plot()


def test_the_plot_begins_at_the_first_epoch_of_the_history():
    ax = History([Epoch(4, (3.0,), 0.1), Epoch(5, (2.0,), 0.1)]).plot()
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), [4, 5])
    np.testing.assert_array_equal(line.get_ydata(), [3.0, 2.0])


def test_the_plot_goes_on_the_axes_that_are_given():
    history = History([Epoch(1, (3.0,), 0.1)])
    ax = plotting.learning_curves({"other": [1.0]})
    assert history.plot(ax) is ax
    assert len(ax.lines) == 2


def test_what_stays_between_0_and_1_has_axes_of_its_own_below_the_costs():
    report = {"D(x)": 0.6, "KL": 2.0, "D(G(z))": 0.4, "test cost": 0.5}
    history = History(Epoch(k, (1.4, 0.7), 0.1, report, ("D", "G")) for k in (1, 2))
    top = history.plot()
    _, below = top.figure.axes
    assert [line.get_label() for line in top.lines] == ["D", "G", "KL", "test cost"]
    assert [line.get_label() for line in below.lines] == ["D(x)", "D(G(z))"]
    assert below.get_ylabel() == "from 0 to 1"
    ax = plotting.learning_curves({"other": [1.0]})
    assert len(history.plot(ax).lines) == 7, "axes that are given have all"


def test_a_history_reads_as_a_dozen_of_its_epochs_the_first_and_the_last_among_them():
    history = History(Epoch(k, (1 / k,), 0.25, {"KL": 2.0 * k}) for k in range(1, 401))
    read = Reader(history._repr_html_())
    assert read.rows[0] == ["epoch", "cost", "KL", "time"]
    assert read.rows[1] == ["1", "1.0000", "2.0000", "0.25 s"]
    numbers = [int(row[0]) for row in read.rows[1:]]
    assert (numbers[0], numbers[-1], len(numbers)) == (1, 400, 12)
    assert np.ptp(np.diff(numbers)) <= 1
    assert repr(history).splitlines() == [str(history[number - 1]) for number in numbers]


@pytest.mark.parametrize("n", [0, 1, 2, 12])
def test_a_short_history_reads_as_all_of_its_epochs(n):
    history = History(Epoch(k, (1.0,), 0.25) for k in range(1, n + 1))
    assert len(Reader(history._repr_html_()).rows) == 1 + n
    assert len(repr(history).splitlines()) == max(n, 1)


def test_an_epoch_reads_as_the_history_of_itself_alone():
    epoch = Epoch(3, (1.25,), 0.5, {"<KL>": 2.0})
    read = Reader(epoch._repr_html_())
    assert read.rows == [["epoch", "cost", "<KL>", "time"], ["3", "1.2500", "2.0000", "0.50 s"]]


def test_what_an_epoch_did_not_report_is_blank():
    history = History([Epoch(1, (1.0,), 0.5, {"KL": 2.0}), Epoch(2, (1.0,), 0.5)])
    assert Reader(history._repr_html_()).rows[2] == ["2", "1.0000", "", "0.50 s"]
