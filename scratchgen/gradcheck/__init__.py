"""Is this derivative right? If not, which equation is wrong, and how?

:func:`check_gradient` takes a cost and derivatives that were derived by hand,
:func:`check_operation` a rule, and :func:`check_network` a network or a model. Each compares the
given derivatives with numerical ones and their uncertainties, and names the mistake where they
disagree.
"""

from .check import assert_gradient, check_gradient, check_network, check_operation
from .library import check_file, check_module, check_rules, is_module
from .report import Entry, Report

__all__ = [
    "Entry",
    "Report",
    "assert_gradient",
    "check_file",
    "check_gradient",
    "check_module",
    "check_network",
    "check_operation",
    "check_rules",
    "is_module",
]
