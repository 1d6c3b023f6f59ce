"""Is this derivative right, and if not, which equation is wrong, and how?

:func:`check_gradient` takes a cost and the derivatives that someone derived by hand,
:func:`check_operation` a rule, :func:`check_network` a network or a model. Each lays what was given
beside a numerical derivative with its uncertainty, and names the mistake where the two disagree.
"""

from .check import assert_gradient, check_gradient, check_network, check_operation
from .library import check_file, check_rules
from .report import Entry, Report

__all__ = [
    "Entry",
    "Report",
    "assert_gradient",
    "check_file",
    "check_gradient",
    "check_network",
    "check_operation",
    "check_rules",
]
