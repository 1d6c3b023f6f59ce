"""Ctrl-C while the command line is imported ends it as Ctrl-C does later: exit code 130, one line.

The first thing that the package imports. It does nothing unless the package is imported by its own
command; ``cli.main`` gives Ctrl-C its usual meaning back.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def end(_: int, __: FrameType | None) -> None:
    """End here and now: nothing has been begun that could be left half done."""
    os.write(2, b"scratchgen: interrupted\n")
    os._exit(130)


def is_command() -> bool:
    """Whether this process is ``scratchgen`` or ``python -m scratchgen``."""
    program = os.path.splitext(os.path.basename(sys.argv[0]))[0] if sys.argv else ""
    return program == "scratchgen" or (program == "-m" and "scratchgen" in sys.orig_argv)


def restore() -> None:
    """Let Ctrl-C be the exception that Python makes of it."""
    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end)
