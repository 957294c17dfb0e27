"""What the compiler of one C function asks of everything around it: the program it belongs to, and the kernel model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tree_sitter import Node

from pasidlab.errors import Position
from pasidlab.lang.c.ctype import Integer
from pasidlab.lang.c.parse import CFunction, CObject
from pasidlab.lang.c.unknown import Stub
from pasidlab.lang.c.values import Value
from pasidlab.lang.python.expressions import TypedOperand


class Surroundings(Protocol):
    """Implemented by the linker."""

    @property
    def stubs(self) -> Mapping[str, Stub]:
        """Names the user has a meaning for."""

    @property
    def defined(self) -> Mapping[str, CFunction]:
        """The C functions of the program, with the helpers used so far."""

    @property
    def no_pasid(self) -> int:
        """What an mm without a PASID has in ``mm->pasid``."""

    @property
    def preempt_rt(self) -> bool:
        """Whether the kernel around has CONFIG_PREEMPT_RT."""

    def use_helper(self, name: str) -> CFunction | None:
        """A function of the same sources, from now on part of the program."""

    def constant(self, name: str) -> Value | None:
        """The value of an enumerator or of a constant variable of the sources."""

    def object(self, name: str) -> CObject | None:
        """A constant variable of the sources that is an array or a struct."""

    def struct(self, name: str) -> Node | None:
        """The definition of a struct of the sources; of the kernel's, one that a function may have for itself."""

    def enum(self, tag: str) -> Integer:
        """The type of an enum of the sources."""

    def lock(self, name: str, at: Position) -> int:
        """The number of a spin lock of the sources; PasidlabError if the model has no more of them."""

    def has_lock(self, name: str) -> bool:
        """Whether a name is that of a spin lock of the sources."""

    def compiled_for(self, name: str, arguments: Sequence[TypedOperand]) -> str:
        """The name in the IR of a C function compiled for arguments of this kind: numbers, or CPUs where C has their numbers."""

    def silent(self) -> AbstractContextManager[None]:
        """Nothing is reported meanwhile: what is compiled is never executed."""

    def enter(self, name: str, at: Position) -> AbstractContextManager[None]:
        """A function is being compiled; PasidlabError if it is already."""

    def report(self, name: str, kind: str, at: Position, function: str) -> None:
        """Remember a name that means nothing; all of them are reported together."""
