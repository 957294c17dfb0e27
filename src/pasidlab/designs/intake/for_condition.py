"""Pointers that are declared for the condition that follows, and for nothing else: such a variable is what it is given.

``struct mm_struct *mm = current->mm; if (mm != ctx->mm)`` is ``if (current->mm != ctx->mm)``. That is so only where the condition reads the
variable first, in any case, and does nothing but read it. Behind ``&&`` the member might not be read at all; behind a call, later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tree_sitter import Node

from pasidlab.lang.c.declarators import text_of


@dataclass(frozen=True)
class ForConditions:
    """``values`` has what each variable is given, by name; ``declarations`` the ids of their nodes."""

    values: dict[str, Node]
    declarations: frozenset[int]


def for_conditions(root: Node) -> ForConditions:
    """The variables of a function that are there for one condition. Numbers are none: they may lose bits in a smaller type."""
    every = list(_inside(root))
    seen = Counter(text_of(one) for one in every if one.type == "identifier")
    hidden = " ".join(text_of(one) for one in every if one.type in ("preproc_arg", "asm_argument", "gnu_asm_expression"))
    values, declarations = {}, set()
    for block in (one for one in every if one.type == "compound_statement"):
        for one, after in pairwise(inner for inner in block.named_children if inner.type != "comment"):
            found = _pointer(one) if after.type == "if_statement" else None
            if found is None:
                continue
            name, value = found
            read_first = _reads_first(after.child_by_field_name("condition"), name)
            if seen[name] == 2 and name not in hidden and read_first:
                values[name] = value
                declarations.add(one.id)
    return ForConditions(values, frozenset(declarations))


def _pointer(node: Node) -> tuple[str, Node] | None:
    """The name of a pointer to a structure, and the member it is given; None for what else is declared."""
    if node.type != "declaration" or len(node.children_by_field_name("declarator")) != 1:
        return None
    extra = {one.type for one in node.named_children} - {"struct_specifier", "init_declarator", "comment"}
    kind, made = node.child_by_field_name("type"), node.child_by_field_name("declarator")
    if extra or kind is None or kind.type != "struct_specifier" or made is None or made.type != "init_declarator":
        return None
    pointer, value = made.child_by_field_name("declarator"), made.child_by_field_name("value")
    if pointer is None or value is None or pointer.type != "pointer_declarator" or value.type != "field_expression" or not _is_plain(value):
        return None
    (name, *more) = pointer.named_children
    return (text_of(name), value) if name.type == "identifier" and not more else None


def _reads_first(node: Node | None, name: str) -> bool:
    """True for a condition that begins with reading a variable, whatever else is the case."""
    inner = [one for one in node.named_children if one.type != "comment"] if node is not None else []
    if node is None:
        return False
    if node.type == "parenthesized_expression":
        return len(inner) == 1 and _reads_first(inner[0], name)
    operator = text_of(node.child_by_field_name("operator"))
    if node.type == "binary_expression" and operator in ("&&", "||"):
        return _reads_first(node.child_by_field_name("left"), name)
    if node.type == "binary_expression" and operator in ("==", "!="):
        return all(_is_plain(one) for one in inner) and any(_begins_with(one, name) for one in inner)
    if node.type == "unary_expression" and operator == "!":
        return _reads_first(inner[0], name)
    return _is_plain(node) and _begins_with(node, name)


def _is_plain(node: Node) -> bool:
    """True for a constant, a variable, and a member of a member: what is only read."""
    inner = node.child_by_field_name("argument")
    if node.type == "field_expression":
        return inner is not None and _is_plain(inner)
    return node.type in ("identifier", "number_literal", "null", "true", "false")


def _begins_with(node: Node, name: str) -> bool:
    inner = node.child_by_field_name("argument")
    if node.type == "field_expression" and inner is not None:
        return _begins_with(inner, name)
    return node.type == "identifier" and text_of(node) == name


def _inside(node: Node) -> Iterator[Node]:
    yield node
    for one in node.children:
        yield from _inside(one)
