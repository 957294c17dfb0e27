"""The functions of a namespace as IR, compiled when somebody asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.ir import SLEEPING, Function
from pasidlab.lang.legality import verify_function
from pasidlab.lang.names import Names
from pasidlab.lang.python.statements import FunctionCompiler
from pasidlab.lang.types import Domain

ARRIVALS = Path(__file__).parent / "arrivals.py"
"""The language's own functions; part of every model with contexts."""

MOST_DEEP = 100
"""Calls in each other. The compiler's stack has room for some more."""


class Functions:
    """Compiles functions on demand, verifies them, and knows their result domains."""

    def __init__(self, names: Names, extra: dict[str, Function] | None = None) -> None:
        self.names = names
        self.compiled: dict[str, Function] = dict(extra or {})
        self._active: list[str] = []

    def get(self, name: str, default: Domain | None = None) -> Domain | None:
        """The result domain of a function; what the compiler asks at a call."""
        if name in self._active:
            source_function = self.names.namespace.functions[name]
            raise PasidlabError(f"recursion: {' -> '.join((*self._active, name))}", position=source_function.position, hint="use a loop")
        return self(name).result

    def __call__(self, name: str) -> Function:
        """The compiled function."""
        if name not in self.compiled:
            self._active.append(name)
            must_be_shallow(self._active, self.names.namespace.functions[name].position)
            function = FunctionCompiler(self.names.namespace.functions[name], self.names, self).compile()
            self._active.pop()
            verify_function(function, self.names.fields, frozenset([*self.names.namespace.functions, *self.compiled, SLEEPING]))
            self.compiled[name] = function
        return self.compiled[name]


def must_be_shallow(way: Sequence[str], position: Position) -> None:
    """Raises PasidlabError for a function, at ``position``, that is called through too many others: ``way`` ends with it."""
    if len(way) > MOST_DEEP:
        what = f"calls are nested more than {MOST_DEEP} deep: {' -> '.join(way[:3])} -> ... -> {way[-1]}"
        raise PasidlabError(what, position=position, hint="put some of these functions together")
