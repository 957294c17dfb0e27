"""Types that C takes from expressions and type names: ``typeof``, ``sizeof``, ``offsetof``, casts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from tree_sitter import Node

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.choices import Choices
from pasidlab.lang.c.ctype import CHAR, INT, ULONG, Array, CType, Integer, Pointer, Struct
from pasidlab.lang.c.declarators import introduced, text_of
from pasidlab.lang.c.parse import child, sized
from pasidlab.lang.c.places import bare
from pasidlab.lang.c.values import Place, Value, number_of

_Typed = TypeVar("_Typed")
STRINGS = ("string_literal", "concatenated_string")


class Types(Choices):
    """The part of a C function's compiler that asks for types."""

    def type_of_expression(self, node: Node, silent: bool = False) -> CType:
        """The type of an expression that is not evaluated here. ``silent``: names without a meaning in it are not told."""
        return self._typed(lambda: self.value(node), silent).type

    def constant_value(self, node: Node) -> int | None:
        """The value of an expression that is a constant here; None for others. Nothing of it is executed."""
        try:
            found = self._typed(lambda: self.value(node), silent=True)
        except PasidlabError:
            return None
        return found.operand if isinstance(found.operand, int) and not found.unknown and isinstance(found.type, Integer) else None

    def means_something(self, node: Node) -> bool:
        """Whether the model has everything that an expression mentions. Nothing of it is executed."""
        if node.type in ("string_literal", "concatenated_string"):
            return False
        try:
            return not self._typed(lambda: self.value(node), silent=True).unknown
        except PasidlabError:
            return False

    def struct_of_size(self, node: Node) -> str:
        """Of ``sizeof(...)``: the tag of the struct or union whose size it is; empty for other expressions."""
        if node.type != "sizeof_expression":
            return ""
        type_ = self._operand_type(node)
        return type_.name if isinstance(type_, Struct) else ""

    def led_to(self, node: Node) -> Place | None:
        """The variable a pointer leads to, an array as a whole; None for other pointers. Nothing of it is executed."""
        return self._typed(lambda: self.value(node), silent=True).place

    def _typed(self, compile_: Callable[[], _Typed], silent: bool = False) -> _Typed:
        """What compiling something gives; nothing of the code stays."""
        builder, mark, noted = self.builder, len(self.builder.code), len(self.builder.fits)
        locals_, variables, views = dict(builder.locals), dict(self.variables), {n: v.view for n, v in self.variables.items()}
        typing, self.typing = self.typing, True
        with self.around.silent() if silent else nullcontext():
            try:
                return compile_()
            finally:
                self.typing = typing
                del builder.code[mark:], builder.fits[noted:]
                builder.locals.clear()
                builder.locals.update(locals_)
                self.variables = variables
                for name, view in views.items():
                    variables[name].view = view

    def type_named(self, node: Node) -> CType:
        """The type that a type name stands for."""
        return introduced(node, node.child_by_field_name("declarator"), self).type  # type: ignore[arg-type]

    def type_argument(self, node: Node) -> Integer:
        """The type that is the first argument of ``min_t()`` and its relatives; ``rewrite`` has made it a cast."""
        type_ = self.type_of_expression(node)
        if not isinstance(type_, Integer):
            self.refuse(node, f"{type_} is no integer type")
        return type_

    def type_of(self, node: Node) -> CType:
        """The type a ``typeof(...)`` stands for."""
        written = self.units[-1].typeofs.get(node.start_byte)
        if written is None:
            self.refuse(node, "typeof without its brackets")
        found, unit = sized(written, 0, len(written.text.encode()))
        self.units.append(unit)
        try:
            return self._operand_type(found)
        finally:
            self.units.pop()

    def _operand_type(self, node: Node) -> CType:
        named = node.child_by_field_name("type")
        if named is not None:
            return self.type_named(named)
        inner = bare(child(node, "value"))
        if inner.type in STRINGS:
            return Array(CHAR, _length_of_string(inner))
        if inner.type == "identifier" and text_of(inner) in self.variables:
            return self.variables[text_of(inner)].type
        if inner.type == "identifier" and (found := self.around.object(text_of(inner))) is not None:
            return self.constant_object(text_of(inner), inner).type if found else INT
        return self._typed(lambda: self._undecayed(inner))

    def _undecayed(self, node: Node) -> CType:
        """The type of an expression; arrays do not become pointers (C11 6.3.2.1)."""
        pointed = node.type == "pointer_expression" and text_of(child(node, "operator")) == "*"
        if not pointed and node.type not in ("field_expression", "subscript_expression", "compound_literal_expression"):
            return self.value(node).type
        if pointed and isinstance(led := self.value(child(node, "argument")).type, Pointer) and isinstance(led.to, Integer):
            return led.to
        place = self.place(node)
        return place.type if place.aggregate is not None else self.load(place, node).type

    def _sizeof(self, node: Node) -> Value:
        type_ = self._operand_type(node)
        size = self.size_of_type(type_)
        if size is None:
            what = f"'{text_of(node)}': the size of {type_} is not known here"
            self.refuse(node, what, "the model has no layout of kernel structs")
        return number_of(size, ULONG)

    def _offsetof(self, node: Node) -> Value:
        type_ = self.type_named(child(node, "type"))
        found = self.offset_of(type_, text_of(child(node, "member")))
        if found is None:
            self.refuse(node, f"'{text_of(node)[:40]}' is not known here", "the model has no layout of kernel structs")
        return number_of(found, ULONG)


def _length_of_string(node: Node) -> int:
    """How many bytes a string has, with the 0 at its end."""
    pieces = [node] if node.type == "string_literal" else [n for n in node.named_children if n.type == "string_literal"]
    return sum(len(text_of(piece)[1:-1].encode().decode("unicode_escape", "replace")) for piece in pieces) + 1
