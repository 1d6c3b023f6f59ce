"""Ctrl-C while the command line is imported ends it with exit code 130 and one line."""

import signal
import subprocess
import sys

import pytest

INTERRUPTED = """
import signal, sys
sys.argv = [{program!r}, "info"]
class Interrupts:
    def find_spec(self, name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
from scratchgen.cli import main
sys.exit(main())
"""


def interrupted(module, program):
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module=module, program=program)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize("module", ["numpy", "scratchgen.models", "scratchgen.cli"])
def test_a_command_ends_in_one_line(module):
    ended = interrupted(module, "bin/scratchgen")
    assert (ended.returncode, ended.stderr) == (130, "scratchgen: interrupted\n")


def test_another_program_that_imports_the_library_is_left_alone():
    ended = interrupted("scratchgen.models", "mine.py")
    assert "KeyboardInterrupt" in ended.stderr
