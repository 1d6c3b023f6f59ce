"""The trace of backpropagation: each equation that was used, with its numbers."""

from .lecture import lecture, nine_derivatives, report
from .trace import Line, Trace, trace

__all__ = ["Line", "Trace", "lecture", "nine_derivatives", "report", "trace"]
