"""The equations of a rule, read from its docstring: ∂C/∂W = δᵀ a.

A docstring begins with the value, ``z = x y:``, and states one clause ``∂C/∂x = …`` for each input
with a derivative, in the order of the inputs; for a function σ of one input, ``σ′ = …``. A clause
ends at the next clause, or with its sentence. If a docstring begins with the name of another rule,
as for a different computation of the same value, its equations are those of that rule. A docstring
without equations, as a user's rule may have, gives its equations only numbers.
"""

from __future__ import annotations

import functools
import inspect
import re
from typing import NamedTuple

from ..autodiff import Operation

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

_END = r"(?=[,;]?\s+(?:and )?∂C/∂|:\s|\.\s|\.?$)"
_INDEX = r"(?:\[[^\]]*\])?"
_CLAUSE = re.compile(rf"∂C/∂(\([^)]*\)|[^\s=,\[]+)({_INDEX} \+?= .+?){_END}", re.MULTILINE)
_DERIVATIVE = re.compile(rf"σ′ = (.+?){_END}", re.MULTILINE)
_HEAD = re.compile(r".+?(?=:\s|\.\s|\.?$)", re.MULTILINE)
_VALUE = re.compile(rf"(?:^|, )(\w){_INDEX} \+?= ")
_SAME_AS = re.compile(r":func:`(\w+)`")


class Equations(NamedTuple):
    """The equations of a rule in its own letters: affine has z = a Wᵀ + b and ∂C/∂W = δᵀ a."""

    letter: str
    """The letter of the value: z."""
    forward: str
    """The whole equation of the value: z = a Wᵀ + b, or a phrase if the value has no letter."""
    symbols: tuple[str, ...]
    """The letters of the inputs: a, W, b."""
    backward: tuple[str, ...]
    """The equations of the shares: ∂C/∂a = δ W, ∂C/∂W = δᵀ a, ∂C/∂b = Σₙ δₙ."""

    @property
    def of_matrices(self) -> bool:
        """Whether adjacent letters are a product of matrices, not of entries: some letter has ᵀ."""
        return any("ᵀ" in text for text in (self.forward, *self.backward))


@functools.lru_cache
def equations_of(operation: Operation, has_derivative: tuple[bool, ...]) -> Equations:
    """Return the equations of the operation; ``has_derivative`` says which inputs have one.

    >>> from scratchgen import operations
    >>> stated = equations_of(operations.affine, (True, True, True))
    >>> stated.forward, stated.backward[1]
    ('z = a Wᵀ + b', '∂C/∂W = δᵀ a')
    """
    name = operation.rule.__name__
    parameters = inspect.signature(operation.rule).parameters.values()
    positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    sequence = any(p.kind is p.VAR_POSITIONAL for p in positional)
    n = len(has_derivative)
    names = [f"input {k}" for k in range(n)] if sequence else [p.name for p in positional]
    text = _text(operation)

    head = _HEAD.match(text)
    forward = head.group() if head else name
    value = _VALUE.search(forward)
    letter = value.group(1) if value else ""
    if value:
        forward = forward[value.start(1) :]

    clauses: dict[str, str] = {}
    for symbol, clause in _CLAUSE.findall(text):
        clauses.setdefault(symbol.strip("()"), clause)
    derivative = _DERIVATIVE.search(text)
    if not clauses and derivative:
        clauses = {names[0]: f" = δ σ′,  σ′ = {derivative.group(1)}"}
    if sequence and len(clauses) == 1:
        ((symbol, clause),) = clauses.items()
        clauses = {
            symbol.replace("ₖ", number): clause.replace("ₖ", number).replace(" k ", f" {k} ")
            for k, number in enumerate(str(k).translate(SUBSCRIPTS) for k in range(n))
        }

    symbols, backward, left = names, [], list(clauses.items())
    complete = len(left) == sum(has_derivative)
    for k, has in enumerate(has_derivative):
        if has and complete:
            symbols[k], clause = left.pop(0)
            of = f"({symbols[k]})" if " " in symbols[k] else symbols[k]
            backward.append(f"∂C/∂{of}{clause}")
        else:
            backward.append(f"the equation of input {k} of {name}")
    return Equations(letter, forward, tuple(symbols), tuple(backward))


def _text(operation: Operation) -> str:
    """Return the docstring, one line per paragraph, or that of the rule named at its beginning."""
    paragraphs = (inspect.getdoc(operation.rule) or "").replace("``", "").split("\n\n")
    same = _SAME_AS.match(paragraphs[0])
    other = getattr(operation.rule, "__globals__", {}).get(same.group(1)) if same else None
    if other is not None and other is not operation:
        return _text(other)
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
