"""Parsing with tree-sitter: it keeps positions, survives what it does not know, and needs no headers."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

import tree_sitter_c
from tree_sitter import Language, Node, Parser, Range

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.ctype import VOID, Array, CType
from pasidlab.lang.c.declarators import declared, introduced, parameter_type, text_of
from pasidlab.lang.c.expanded import Expanded

_LANGUAGE = Language(tree_sitter_c.language())


def plain(node: Node) -> str:
    """The text of a node without spaces, to compare with a pattern."""
    return "".join(text_of(node).split())


def child(node: Node, field: str) -> Node:
    """A child the grammar promises."""
    found = node.child_by_field_name(field)
    assert found is not None, f"{node.type} has no {field}"
    return found


@dataclass(frozen=True)
class CParameter:
    """A parameter; ``name`` is empty where the definition gives none. ``constant``: the function may not store to it."""

    name: str
    type: CType
    constant: bool = False


@dataclass(frozen=True)
class CFunction:
    """A function definition found in a file."""

    name: str
    params: tuple[CParameter, ...]
    result: CType
    body: Node
    unit: Expanded
    node: Node
    one_step: bool = False

    @property
    def position(self) -> Position:
        """Where its definition begins."""
        return self.unit.position(self.node.start_byte)

    def at(self, node: Node) -> Position:
        """The place of a node."""
        return self.unit.position(node.start_byte)


@dataclass(frozen=True)
class CConstant:
    """An enumerator: the expression that gives its value, or the enumerator it follows, or neither: 0."""

    unit: Expanded
    node: Node | None
    after: str = ""
    among: tuple[str, ...] = ()  # all of its enum


@dataclass(frozen=True)
class CObject:
    """A variable of the file that never changes: ``static const``, with its initializer."""

    unit: Expanded
    node: Node  # the declaration
    declarator: Node


@dataclass
class Unit:
    """One parsed file: its function definitions, enumerators, constant variables, and the definitions of its structs."""

    expanded: Expanded
    functions: dict[str, CFunction] = field(default_factory=dict)
    constants: dict[str, CConstant] = field(default_factory=dict)
    objects: dict[str, CObject] = field(default_factory=dict)
    structs: dict[str, Node] = field(default_factory=dict)
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict)  # tag -> enumerators
    locks: set[str] = field(default_factory=set)  # spin locks
    first_error: PasidlabError | None = None


def parts_of(node: Node) -> list[Node]:
    """What stands in a node, in order; comments do not count."""
    return [part for part in node.named_children if part.type != "comment"]


def arguments_of(call: Node) -> list[Node]:
    """The arguments of a call."""
    return parts_of(child(call, "arguments"))


def syntax(text: str) -> Node:
    """The tree of a C text as it stands, without the preprocessor."""
    return Parser(_LANGUAGE).parse(text.encode()).root_node


def parse(expanded: Expanded) -> Unit:
    """Parse a file. Errors outside function definitions are kept in ``first_error``; the caller decides how strict to be.

    What a macro nobody knows leaves behind may be no C, and make the parser lose what follows. So a file with an error is parsed once
    more, function by function. The kernel's braces at the left margin say where they end.
    """
    text = expanded.text.encode()
    root = Parser(_LANGUAGE).parse(text).root_node
    unit = Unit(expanded)
    _definitions(root, unit)
    if root.has_error:
        unit.first_error = syntax_error(root, expanded)
        alone = Unit(expanded)
        for place in _function_ranges(text):
            _definitions(Parser(_LANGUAGE, included_ranges=[place]).parse(text).root_node, alone)
        known = unit.functions
        known |= {n: f for n, f in alone.functions.items() if n not in known or known[n].node.has_error}
    return unit


def _definitions(root: Node, unit: Unit) -> None:
    work = [root]
    while work:
        node = work.pop()
        if node.type == "function_definition":
            function = _function(node, unit.expanded)
            if function:
                _once(function.name, unit.functions, node, unit)
                unit.functions.setdefault(function.name, function)
        elif node.type == "enumerator_list":
            found = enumerators(node, unit.expanded)
            names = [text_of(item.child_by_field_name("name")) for item in node.named_children if item.type == "enumerator"]
            known = set(unit.constants)
            for name in names:
                _once(name, known, node, unit)
                known.add(name)
            unit.constants = found | unit.constants
            unit.enums[text_of(node.parent.child_by_field_name("name")) if node.parent is not None else ""] = tuple(found)
        elif node.type in ("translation_unit", "declaration", "type_definition", "enum_specifier", "linkage_specification", "ERROR"):
            if node.type == "declaration":
                _object(node, unit)
            work += reversed(node.named_children)
        elif node.type in ("struct_specifier", "union_specifier") and node.child_by_field_name("body") is not None:
            unit.structs[text_of(node.child_by_field_name("name"))] = node
            work += reversed(list(inner_structs(child(node, "body"))))


def inner_structs(body: Node) -> Iterator[Node]:
    """The structs and unions with a tag that a struct defines inside: their tags belong to the file (C11 6.2.1)."""
    for item in body.named_children:
        inner = item.child_by_field_name("type")
        if inner is None or inner.type not in ("struct_specifier", "union_specifier"):
            continue
        if inner.child_by_field_name("name") is not None and inner.child_by_field_name("body") is not None:
            yield inner


def _once(name: str, known: Container[str], node: Node, unit: Unit) -> None:
    """A file defines a name once."""
    if name in known and unit.first_error is None:
        unit.first_error = PasidlabError(f"'{name}' is defined twice", position=unit.expanded.position(node.start_byte))


def _object(node: Node, unit: Unit) -> None:
    if text_of(node.child_by_field_name("type")) in ("spinlock_t", "raw_spinlock_t"):
        unit.locks |= {declared(VOID, declarator).name for declarator in node.children_by_field_name("declarator")}
    if not any(text_of(c) == "const" for c in node.children if c.type == "type_qualifier"):
        return
    for declarator in node.children_by_field_name("declarator"):
        name = declared(VOID, declarator).name if declarator.type == "init_declarator" else ""
        if name:
            unit.objects[name] = CObject(unit.expanded, node, declarator)


def enumerators(node: Node, unit: Expanded) -> dict[str, CConstant]:
    """The constants a list of enumerators makes."""
    found: dict[str, CConstant] = {}
    before = ""
    items = [item for item in node.named_children if item.type == "enumerator"]
    names = tuple(text_of(item.child_by_field_name("name")) for item in items)
    for name, item in zip(names, items, strict=True):
        found[name] = CConstant(unit, item.child_by_field_name("value"), before, names)
        before = name
    return found


def sized(unit: Expanded, start: int, end: int) -> tuple[Node, Expanded]:
    """A part of a text parsed as the operand of ``sizeof``, where both an expression and a type may stand."""
    part = unit.piece("void f(void){return sizeof(", start, end, ");}")
    root = Parser(_LANGUAGE).parse(part.text.encode()).root_node
    work = [root]
    while work:
        node = work.pop()
        if node.type == "sizeof_expression":
            if root.has_error:
                break
            return node, part
        work += node.named_children
    raise PasidlabError(f"cannot make sense of '{' '.join(part.text.split())[27:-3][:40]}' as C", position=unit.position(start))


def _function_ranges(text: bytes) -> Iterator[Range]:
    """Where functions in kernel style stand: an opening and a closing brace at the left margin, and the lines right above."""
    lines = text.split(b"\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    n = 0
    while n < len(lines):
        if lines[n].rstrip() != b"{":
            n += 1
            continue
        first = n
        while first > 0 and lines[first - 1].strip() and not lines[first - 1].rstrip().endswith((b";", b"}")):
            first -= 1
        last = next((k for k in range(n, len(lines)) if lines[k].startswith(b"}")), None)
        if last is None:
            return
        yield Range((first, 0), (last, len(lines[last])), starts[first], starts[last] + len(lines[last]))
        n = last + 1


def _function(node: Node, unit: Expanded) -> CFunction | None:
    one = introduced(node, node.child_by_field_name("declarator"))
    body = node.child_by_field_name("body")
    if not one.name or one.function is None or body is None:
        return None
    params = []
    for parameter in child(one.function, "parameters").named_children:
        if parameter.type == "parameter_declaration":
            found = introduced(parameter, parameter.child_by_field_name("declarator"))
            if found.type != VOID:
                fixed = found.constant and not isinstance(found.type, Array)
                params.append(CParameter(found.name, parameter_type(found), fixed))
    one_step = any("one_step" in text_of(c) for c in node.named_children if c.type == "attribute_specifier")
    return CFunction(one.name, tuple(params), one.type, body=body, unit=unit, node=node, one_step=one_step)


def syntax_error(node: Node, unit: Expanded) -> PasidlabError:
    """The first place in a tree that is not C."""
    found = _first_error(node)
    at = unit.position(found.start_byte)
    if (open_ := _never_closed(unit.text)) is not None:
        return PasidlabError(f"not valid C: this '{open_[1]}' is never closed", position=unit.position(open_[0]))
    if found.is_missing:
        return PasidlabError(f"not valid C: '{found.type}' is missing here", position=at)
    shown = " ".join(text_of(found).split())[:40]
    return PasidlabError(f"cannot make sense of '{shown}' as C" if shown else "cannot make sense of this as C", position=at)


_PAIRS = {"(": ")", "[": "]", "{": "}"}
_SKIPPED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])+\'|[][(){}]')


def _never_closed(text: str) -> tuple[int, str] | None:
    """The last bracket that is open at the end of a text where all others match: its place in bytes, and which it is."""
    stack: list[tuple[int, str]] = []
    for match in _SKIPPED.finditer(text):
        mark = match.group()
        if mark in _PAIRS:
            stack.append((match.start(), mark))
        elif mark in _PAIRS.values() and (not stack or _PAIRS[stack.pop()[1]] != mark):
            return None
    return (len(text[: stack[-1][0]].encode()), stack[-1][1]) if stack else None


def _first_error(node: Node) -> Node:
    while not (node.type == "ERROR" or node.is_missing):
        inner = next((c for c in node.children if c.has_error or c.is_missing), None)
        if inner is None:
            return node
        node = inner
    return node
