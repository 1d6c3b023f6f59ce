"""Ctrl-C during the import of the command line ends it as later: exit code 130, one line.

The package imports this module first. It has no effect unless the package's own command imports the
package; ``cli.main`` restores the usual meaning of Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def end(_: int, __: FrameType | None) -> None:
    """End the process at once: nothing has begun that could be left unfinished."""
    os.write(2, b"scratchgen: interrupted\n")
    os._exit(130)


def is_command() -> bool:
    """Whether this process is ``scratchgen`` or ``python -m scratchgen``."""
    program = os.path.splitext(os.path.basename(sys.argv[0]))[0] if sys.argv else ""
    return program == "scratchgen" or (program == "-m" and "scratchgen" in sys.orig_argv)


def restore() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, as usual in Python."""
    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end)
