"""What the tests themselves ask of a machine."""

import sys
import types

import pytest

from tests import conftest


def test_a_device_that_is_not_there_ends_the_tests_in_one_line_before_the_first(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    config = types.SimpleNamespace(getoption=lambda name: "cuda")
    with pytest.raises(pytest.UsageError, match=r"^device 'cuda' needs CuPy, .*\S$"):
        conftest.pytest_configure(config)


def test_data_are_looked_for_only_where_scratchgen_data_says(monkeypatch):
    monkeypatch.delenv("SCRATCHGEN_DATA", raising=False)
    with pytest.raises(pytest.skip.Exception, match="set SCRATCHGEN_DATA"):
        conftest.files_of_mnist()
