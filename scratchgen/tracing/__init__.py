"""The trace of backpropagation: each equation that was used, with its numbers."""

from .examples import EXAMPLES, Example
from .lecture import lecture, nine_derivatives, report
from .page import Prepared
from .trace import Line, Trace, trace

__all__ = [
    "EXAMPLES",
    "Example",
    "Line",
    "Prepared",
    "Trace",
    "lecture",
    "nine_derivatives",
    "report",
    "trace",
]
