"""Files that are either whole or not there, and folders that one process writes to at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path``, which at any moment is the old file or the new one, whole.

    A temporary file in the same folder is written, flushed to the disk and put in its place. Raises
    ``OSError`` where that cannot be done; the old file is then as it was.
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
    """Hold a folder for this process alone: :class:`FolderHeldError` where another one holds it.

    The folder is made if it is missing, before it is held; those folders that were made so, and
    into which nothing was put, are gone afterwards. The hold ends with the process, however that
    ends. On Windows, which has none on folders, it is not taken.
    """
    folder = Path(folder)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder):
        try:
            yield
        finally:  # under the hold: nobody has begun to write here since
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
        # Whoever made the folder may have left nothing, and removed it while it was opened here.
        if not os.path.samestat(os.fstat(held), os.stat(folder)):
            raise FileNotFoundError
    except (BlockingIOError, FileNotFoundError):
        os.close(held)
        raise FolderHeldError(f"another training is writing to {folder}") from None
    try:
        yield
    finally:
        os.close(held)
