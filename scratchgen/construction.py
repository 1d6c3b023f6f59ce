"""Networks and optimizers keep their constructors' arguments; storage rebuilds them from these."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

T = TypeVar("T", bound="Constructed")


class Constructed:
    """A class whose instances keep the arguments of their constructor, defaults filled in."""

    construction: dict[str, Any]
    """The arguments by name, without ``rng`` and ``parameters``, which are not settings."""

    def __new__(cls: type[T], *arguments: Any, **settings: Any) -> T:
        """Keep the arguments; for an unknown one raise ``TypeError`` with a list of all."""
        self = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        try:
            bound = signature.bind_partial(self, *arguments, **settings)
        except TypeError as error:
            _, *own = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
            raise TypeError(
                f"{cls.__name__}: {error}; its arguments are {inspect.Signature(own)}"
            ) from None
        bound.apply_defaults()
        left_out = ("self", "rng", "parameters")
        self.construction = {k: v for k, v in bound.arguments.items() if k not in left_out}
        return self

    def __init__(self) -> None: ...

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.construction.items())
        return f"{type(self).__name__}({given})"


# A class without a constructor of its own is called without arguments, and help() says so.
Constructed.__new__.__dict__.update(
    __signature__=inspect.Signature([inspect.Parameter("cls", inspect.Parameter.POSITIONAL_ONLY)])
)
