"""A user without a network: what is asked for, and the folder of SCRATCHGEN_DATA."""

import pooch
import pytest


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache, no network, and no folder of the user's; the list of what was asked for."""
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append(url)
        raise ConnectionError("a message\nof many lines")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.delenv("SCRATCHGEN_DATA", raising=False)
    return asked


@pytest.fixture
def folder(tmp_path, monkeypatch, offline):
    """An empty folder that SCRATCHGEN_DATA names."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv("SCRATCHGEN_DATA", str(path))
    return path
