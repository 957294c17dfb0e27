"""Type specifiers and declarators -> ``CType``. What needs a value or an expression's type is asked of an ``Evaluator``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from tree_sitter import Node

from pasidlab.lang.c.ctype import INT, Array, CType, Enum, FunctionType, Integer, Pointer, Struct, Unknown, bit_field, by_words
from pasidlab.lang.c.rewrite import TYPEOF, UNNAMED


def text_of(node: Node | None) -> str:
    """The source text of a node."""
    return (node.text or b"").decode() if node is not None else ""


class Evaluator(Protocol):
    """Answers what a type depends on: the compiler of the function it stands in."""

    def size_of_array(self, node: Node) -> int:
        """The value of a constant expression."""

    def size_of_bits(self, node: Node, type_: Integer, name: str) -> int:
        """How many bits a bit field has: no more than its type."""

    def type_of(self, node: Node) -> CType:
        """The type a ``typeof(...)`` at this place stands for."""

    def define_enum(self, node: Node) -> Integer:
        """Take the enumerators of a definition inside a function; the enum's type."""

    def enum_named(self, tag: str) -> Integer:
        """The type of an enum by its tag."""

    def define_struct(self, name: str, node: Node) -> None:
        """Take the definition of a struct inside a function."""


@dataclass(frozen=True)
class Declared:
    """What a declarator introduces. ``function`` is the function declarator if it is one. ``constant``: ``const`` keeps its value."""

    name: str
    type: CType
    function: Node | None = None
    constant: bool = False


def specifier(node: Node | None, evaluator: Evaluator | None = None) -> CType:
    """The type before the declarator."""
    if node is None:
        return INT
    text = text_of(node)
    match node.type:
        case "struct_specifier" | "union_specifier":
            return _struct(node, evaluator)
        case "enum_specifier":
            if evaluator is not None and node.child_by_field_name("body") is not None:
                return evaluator.define_enum(node)
            tag = text_of(node.child_by_field_name("name"))
            return evaluator.enum_named(tag) if evaluator is not None else Enum(tag)
        case "primitive_type" if text == TYPEOF:
            return evaluator.type_of(node) if evaluator is not None else Unknown("typeof")
    return by_words(text) or Unknown(" ".join(text.split()))


def _struct(node: Node, evaluator: Evaluator | None) -> CType:
    name = text_of(node.child_by_field_name("name")) or f"<struct at {node.start_byte}>"
    body = node.child_by_field_name("body")
    if body is not None and evaluator is not None:
        evaluator.define_struct(name, node)
    return Struct(name)


def is_const(node: Node) -> bool:
    """Whether ``const`` is among the qualifiers of a declaration, a type name or a star."""
    return any(c.type == "type_qualifier" and text_of(c) == "const" for c in node.children)


def introduced(node: Node, declarator: Node | None, evaluator: Evaluator | None = None) -> Declared:
    """What a declarator introduces in the declaration, parameter, member or type name that it is a part of."""
    return declared(specifier(node.child_by_field_name("type"), evaluator), declarator, evaluator, is_const(node))


def declared(type_: CType, node: Node | None, evaluator: Evaluator | None = None, constant: bool = False) -> Declared:
    """What a declarator makes of the type before it. ``constant``: that type is ``const``."""
    function: Node | None = None
    name = ""
    while node is not None:
        if node.type in ("identifier", "field_identifier", "type_identifier"):
            name = text_of(node)
            break
        if node.type in ("pointer_declarator", "abstract_pointer_declarator"):
            type_, constant = Pointer(type_, constant), is_const(node)
        elif node.type in ("array_declarator", "abstract_array_declarator"):
            size = node.child_by_field_name("size")
            count = evaluator.size_of_array(size) if size is not None and evaluator is not None else None
            type_ = Array(type_, count)
        elif node.type in ("function_declarator", "abstract_function_declarator"):
            function = function or node
            type_ = FunctionType(type_)
        node = _inner(node)
    if function is not None and isinstance(type_, FunctionType):
        return Declared(name, type_.result, function)
    return Declared(name, type_, constant=constant)


def _inner(node: Node) -> Node | None:
    inner = node.child_by_field_name("declarator")
    if inner is None and node.type in ("parenthesized_declarator", "attributed_declarator", "abstract_parenthesized_declarator"):
        inner = next((c for c in node.named_children if c.type.endswith("declarator") or c.type == "identifier"), None)
    return inner


def parameter_type(one: Declared) -> CType:
    """Arrays and functions are passed as pointers."""
    if isinstance(one.type, Array):
        return Pointer(one.type.of, one.constant)
    return Pointer(one.type) if isinstance(one.type, FunctionType) else one.type


@dataclass(frozen=True)
class Member:
    """A member of a struct; anonymous structs, and bits left out, have no name. ``bits``: how many a bit field has."""

    name: str
    type: CType
    bits: int | None = None
    constant: bool = False


def members(node: Node, evaluator: Evaluator) -> list[Member]:
    """The members of a struct definition, in order."""
    found: list[Member] = []
    body = node.child_by_field_name("body")
    for item in body.named_children if body is not None else ():
        if item.type != "field_declaration":
            continue
        base = specifier(item.child_by_field_name("type"), evaluator)
        declarators = item.children_by_field_name("declarator")
        for declarator in declarators:
            one = declared(base, declarator, evaluator, is_const(item))
            found.append(_member(one, declarator.next_named_sibling, evaluator))
        if not declarators:
            clause = next((c for c in item.named_children if c.type == "bitfield_clause"), None)
            found.append(_member(Declared("", base, constant=is_const(item)), clause, evaluator))
    return found


def _member(one: Declared, clause: Node | None, evaluator: Evaluator) -> Member:
    name = one.name if one.name != UNNAMED else ""
    if clause is None or clause.type != "bitfield_clause" or not isinstance(one.type, Integer):
        return Member(name, one.type, constant=one.constant)
    bits = evaluator.size_of_bits(clause.named_children[0], one.type, name)
    return Member(name, bit_field(one.type, bits), bits, one.constant)


def type_hint(name: str, text: str) -> str:
    """What to write instead of a name that is no type here, in a file of that text."""
    if name in ("float", "double"):
        return "floating point has no place in a kernel"
    if re.search(rf"\btypedef\b[^;]*\b{re.escape(name)}\b", text):
        return "a typedef of a pointer, an array or a function is outside the C that can be checked: write the type out"
    return f"typedef unsigned int {name};" if name.isidentifier() else ""
