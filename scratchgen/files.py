"""Files that are either complete or missing, and folders that one process at a time writes to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path``, which always holds the old file or the complete new one.

    The content goes to a temporary file in the same folder, is flushed to the disk, and then
    replaces the old file. Raises ``OSError`` where that fails, and leaves the old file unchanged.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = str(path)  # the name that the caller knows
        raise
    finally:
        temporary.unlink(missing_ok=True)


class FolderHeldError(RuntimeError):
    """Another process is writing to the folder."""


@contextmanager
def sole_writer(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder for this process alone; raise :class:`FolderHeldError` if another one holds it.

    Missing folders are created first; those that are still empty at the end are removed. The hold
    ends with the process, however the process ends. Windows has no locks on folders, and there this
    function takes none.
    """
    folder = Path(folder)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder):
        try:
            yield
        finally:  # this process still holds the folder: no other one has begun to write here
            with suppress(OSError):
                for each in missing:
                    each.rmdir()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    if os.name != "posix":
        yield
        return
    import fcntl

    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The process that made the folder may have removed it, still empty, after it was opened.
        if not os.path.samestat(os.fstat(held), os.stat(folder)):
            raise FileNotFoundError
    except (BlockingIOError, FileNotFoundError):
        os.close(held)
        raise FolderHeldError(f"another training is writing to {folder}") from None
    try:
        yield
    finally:
        os.close(held)
