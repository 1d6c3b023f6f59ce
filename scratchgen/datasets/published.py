"""Published files: from a folder of the user's, or downloaded once and checked by their hash."""

from __future__ import annotations

import os
from pathlib import Path


def published_file(collection: str, name: str, url: str, known_hash: str) -> Path:
    """The path of the file ``name`` of a collection, such as ``"mnist"``.

    It is looked for in the folder that the environment variable SCRATCHGEN_DATA names, and in that
    folder's ``collection``, plain or with ``.gz``; then in the user's cache, into which ``url`` is
    downloaded once, if what comes has ``known_hash`` (as ``"sha256:…"``). What a file of the user's
    holds is for the caller to check. ``RuntimeError`` where it is in neither place and cannot be
    downloaded.
    """
    found = next(filter(Path.is_file, _places(collection, name)), None)
    return found or _download(collection, name, url, known_hash)


def _places(collection: str, name: str) -> list[Path]:
    """Where the user may have put the file, nowhere if SCRATCHGEN_DATA is not set."""
    folder = os.environ.get("SCRATCHGEN_DATA")
    if not folder:
        return []
    root = Path(folder).expanduser()
    ends = ("", ".gz")
    return [place / (name + end) for place in (root / collection, root) for end in ends]


def _download(collection: str, name: str, url: str, known_hash: str) -> Path:
    # Here and not above: most programs never download, and should not wait for this import.
    import pooch

    pooch.get_logger().setLevel("WARNING")
    cache = Path(pooch.os_cache("scratchgen")) / collection
    try:
        file = url.rpartition("/")[2]
        return Path(pooch.retrieve(url, known_hash, fname=file, path=cache))
    except (OSError, ValueError) as error:
        # The messages of a failed connection run over pages; the cause keeps them.
        wrong_content = isinstance(error, ValueError) and not isinstance(error, OSError)
        reason = "what came is not the published file" if wrong_content else type(error).__name__
        raise RuntimeError(
            f"{name} was not found: {_looked_for(collection)}, {cache} does not hold it, and "
            f"downloading {url} failed ({reason}); download it where there is a network, and set "
            "SCRATCHGEN_DATA to the folder that holds it"
        ) from error


def _looked_for(collection: str) -> str:
    """Say in which folder of the user's the file was looked for."""
    folder = os.environ.get("SCRATCHGEN_DATA")
    if not folder:
        return "SCRATCHGEN_DATA is not set"
    if not Path(folder).expanduser().is_dir():
        return f"SCRATCHGEN_DATA names {folder}, which is no folder"
    return f"neither {folder} (SCRATCHGEN_DATA) nor its folder {collection} holds it, plain or .gz"
