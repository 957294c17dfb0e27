"""What the parts of a C function's compiler share, and what they ask of each other.

The parts are one class in layers, from places up to statements; C is recursive, so a layer also asks for what is above it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.arithmetic import Arithmetic
from pasidlab.lang.c.bit_sets import BitSets
from pasidlab.lang.c.ctype import CType, Integer, Pointer
from pasidlab.lang.c.declarators import Evaluator
from pasidlab.lang.c.expanded import Expanded
from pasidlab.lang.c.parse import CFunction, plain
from pasidlab.lang.c.surroundings import Surroundings
from pasidlab.lang.c.templates import Template
from pasidlab.lang.c.values import Place, Value, Variable
from pasidlab.lang.c.vocabulary import Vocabulary
from pasidlab.lang.emit import Builder
from pasidlab.lang.names import Names


class Compiler(ABC):
    """The state of the compiler of one function, and what every layer may ask for."""

    def __init__(
        self, function: CFunction, builder: Builder, names: Names, template: Template, vocabulary: Vocabulary, around: Surroundings
    ) -> None:  # fmt: skip
        self.function, self.builder, self.names, self.template = function, builder, names, template
        self.vocabulary, self.around = vocabulary, around
        self.arithmetic = Arithmetic(builder)
        self.bits = BitSets(builder, names, template)
        self.stubs = around.stubs
        self.variables: dict[str, Variable] = {}
        self.initialized: list[Variable] = []  # variables, and parts of them, that their initializer is giving a value to
        self.straight = False  # what is compiled now happens once, whenever the function is called
        self.typing = False  # what is compiled now is never executed: its type is asked for
        self.units: list[Expanded] = [function.unit]  # the text the nodes compiled now belong to is the last

    def at(self, node: Node) -> Position:
        """The place of a node in its file."""
        return self.units[-1].position(node.start_byte)

    def refuse(self, node: Node, what: str, hint: str = "") -> NoReturn:
        """Reject a construct at its place."""
        raise PasidlabError(what, position=self.at(node), hint=hint)

    @contextmanager
    def initializing(self, variable: Variable) -> Iterator[None]:
        """Within, everything in a variable is given its first value: a pointer may be bound to what it leads to."""
        scalars = list(variable.aggregate.scalars()) if variable.aggregate is not None else [variable]
        self.initialized += scalars
        try:
            yield
        finally:
            del self.initialized[len(self.initialized) - len(scalars) :]

    def not_a_bit_field(self, place: Place, node: Node) -> None:
        """A bit field has no address (C11 6.5.3.2)."""
        if isinstance(place.type, Integer) and place.type.width and not place.type.boolean:
            self.refuse(node, f"the address of a bit field: '{plain(node)[:40]}'", "pass its value")

    def unknown(self, name: str, kind: str, node: Node) -> None:
        """Report a name later, together with all others."""
        self.around.report(name, kind, self.at(node), self.function.name)

    @property
    def cpus(self) -> int:
        """How many CPUs there are."""
        return self.names.counts["Cpu"]

    # ---- asked of the layers above

    @abstractmethod
    def value(self, node: Node) -> Value:
        """Compile an expression."""

    @abstractmethod
    def tested(self, node: Node) -> Value:
        """An expression whose truth is asked."""

    @abstractmethod
    def statement_expression(self, node: Node) -> Value:
        """``({ ... })``; the statements provide it."""

    @abstractmethod
    def inlined(self, function: CFunction, values: list[Value], node: Node) -> Value:
        """A call whose arguments lead to what only the caller knows: variables of its own."""

    @abstractmethod
    def either(self, condition: Value, a: Value, b: Value, at: Position) -> Value:
        """``condition ? a : b`` of two values of one type."""

    @abstractmethod
    def statement(self, node: Node) -> None:
        """Compile a statement, unless nothing leads to it."""

    @abstractmethod
    def constant_object(self, name: str, node: Node) -> Place:
        """A ``static const`` array or struct of the file."""

    @abstractmethod
    def compound_literal(self, node: Node) -> Place:
        """``(struct s){ ... }``."""

    @abstractmethod
    def member_place(self, place: Place, name: str, node: Node) -> Place:
        """A member of a struct that the function itself has."""

    @abstractmethod
    def element_of(self, place: Place, index: Node, node: Node) -> Place:
        """An element of an array."""

    @abstractmethod
    def element_numbered(self, place: Place, number: int) -> Place:
        """An element of an array whose number is known."""

    @abstractmethod
    def nowhere(self, type_: CType, node: Node) -> Place:
        """A place of a type that nobody has."""

    @abstractmethod
    def load_aggregate(self, place: Place, node: Node) -> Value:
        """The value of an array (a pointer to it), of an element not known here, or of a struct."""

    @abstractmethod
    def store_aggregate(self, place: Place, value: Value, node: Node) -> Value:
        """Store to an element of an array that is not known here."""

    @abstractmethod
    def copy_out(self, place: Place, value: Value, node: Node) -> Value:
        """A struct of the function copied to one of the model."""

    @abstractmethod
    def new_variable(self, name: str, type_: CType) -> Variable:
        """A variable in the IR that no name of C stands for yet."""

    @abstractmethod
    def assign(self, variable: Variable, value: Value, node: Node) -> Value:
        """Assign a variable, converting to its type; the value it then has."""

    @abstractmethod
    def as_pointer(self, value: Value, type_: Pointer, at: Position) -> Value:
        """A value as a pointer of a type."""

    @abstractmethod
    def own_struct(self, type_: CType) -> Node | None:
        """The definition of a struct of the file or the function; None for the kernel's."""

    @abstractmethod
    def type_of_expression(self, node: Node, silent: bool = False) -> CType:
        """The type of an expression that is not evaluated here."""

    @abstractmethod
    def constant_value(self, node: Node) -> int | None:
        """The value of an expression that is a constant here; None for others."""

    @abstractmethod
    def means_something(self, node: Node) -> bool:
        """Whether the model has everything that an expression mentions."""

    @abstractmethod
    def struct_of_size(self, node: Node) -> str:
        """Of ``sizeof(...)``: the tag of the struct or union whose size it is; empty for other expressions."""

    @abstractmethod
    def led_to(self, node: Node) -> Place | None:
        """The variable a pointer leads to, an array as a whole; None for other pointers."""

    @abstractmethod
    def type_argument(self, node: Node) -> Integer:
        """The type that is the first argument of ``min_t()`` and its relatives."""

    @abstractmethod
    def clear(self, place: Place, node: Node) -> None:
        """Make everything in a variable of the function, or in a part of it, 0."""

    @abstractmethod
    def size_of_type(self, type_: CType) -> int | None:
        """The size of a type in bytes."""

    @abstractmethod
    def offset_of(self, type_: CType, name: str) -> int | None:
        """Where a member of a struct of the sources begins, in bytes."""

    @abstractmethod
    def size_of_array(self, node: Node) -> int:
        """The value of a constant expression."""

    @abstractmethod
    def evaluator(self) -> Evaluator:
        """What types ask."""
