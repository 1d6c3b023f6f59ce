"""What every test may ask for: how many examples, on which device, how long."""

import importlib
import os
import pathlib

import pytest
from hypothesis import HealthCheck, settings

import scratchgen as sg
from tests import strict

# A device is the same for every example of a theorem, so its fixture may be shared by them.
_ANY_SPEED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("quick", max_examples=30, derandomize=True, **_ANY_SPEED)
settings.register_profile("few", max_examples=5, derandomize=True, **_ANY_SPEED)
settings.register_profile("thorough", max_examples=500, **_ANY_SPEED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the full trainings too")
    parser.addoption(
        "--device", choices=["cpu", "cuda"], default="cpu", help="cuda: on CuPy and its GPU too"
    )


def pytest_configure(config):
    if config.getoption("--device") == "cuda":
        try:
            sg.generator(0, "cuda")
        except RuntimeError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        skip = pytest.mark.skip(reason="takes minutes: run with --slow")
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(skip)


def pytest_generate_tests(metafunc):
    if "device" in metafunc.fixturenames:
        real = ["cuda"] if metafunc.config.getoption("--device") == "cuda" else []
        metafunc.parametrize("device", ["cpu", "strict", *real], indirect=True)


@pytest.fixture
def device(request, monkeypatch):
    """``"cpu"``, then ``"cuda"`` on the strict stand-in, with ``--device cuda`` also on CuPy."""
    if request.param == "strict":
        strict.install(monkeypatch)
    return "cpu" if request.param == "cpu" else "cuda"


@pytest.fixture
def on_device(device):
    """The function that moves an array to the device of the test."""
    return lambda array: sg.to_device(array, device)


def files_of_mnist():
    """The four published files of MNIST, by name, where ``SCRATCHGEN_DATA`` has them."""
    folder = pathlib.Path(os.environ.get("SCRATCHGEN_DATA", "no such folder"))
    names = importlib.import_module("scratchgen.datasets.mnist").CONTENT
    for place in (folder / "mnist", folder):
        for suffix in ("", ".gz"):
            files = {name: place / (name + suffix) for name in names}
            if all(file.is_file() for file in files.values()):
                return files
    pytest.skip("set SCRATCHGEN_DATA to a folder that holds the four files of MNIST")


@pytest.fixture(scope="session")
def published():
    """The files of MNIST, or a skipped test."""
    return files_of_mnist()
