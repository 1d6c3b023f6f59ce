"""How long ``import scratchgen`` takes in a fresh interpreter, its start included.

Beside ``import numpy``, without which it cannot do; the floor is the interpreter alone. Byte code
and files are in their caches.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from . import Case, Step


def _python(code: str) -> Step:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


CODE = {"scratchgen": "import scratchgen", "numpy": "import numpy", "floor": "pass"}
CASES = [Case("import", {who: partial(_python, code) for who, code in CODE.items()})]
