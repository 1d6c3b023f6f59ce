"""What the tests of models share."""

import pytest


@pytest.fixture
def torch():
    """PyTorch, on one thread: its idle threads keep the cores from NumPy's."""
    torch = pytest.importorskip(
        "torch", reason="PyTorch is the oracle of the training: pip install '.[peers]'"
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)
