"""Parsing with tree-sitter: it keeps positions, survives what it does not know, and needs no headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter_c
from tree_sitter import Language, Node, Parser, Range

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.preprocess import Expanded

_LANGUAGE = Language(tree_sitter_c.language())


def text_of(node: Node | None) -> str:
    """The source text of a node."""
    return (node.text or b"").decode() if node is not None else ""


def plain(node: Node) -> str:
    """The text of a node without spaces, to compare with a pattern."""
    return "".join(text_of(node).split())


def child(node: Node, field: str) -> Node:
    """A child the grammar promises."""
    found = node.child_by_field_name(field)
    assert found is not None, f"{node.type} has no {field}"
    return found


@dataclass(frozen=True)
class CType:
    """A declared type, as far as it matters: struct name, depth of pointers, width of an unsigned integer, boolean."""

    struct: str = ""
    pointers: int = 0
    unsigned: int = 0
    boolean: bool = False
    void: bool = False
    array: bool = False


@dataclass(frozen=True)
class CParameter:
    """A parameter; ``name`` is empty where the definition gives none."""

    name: str
    type: CType


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


_UNSIGNED = {
    "u8": 8, "u16": 16, "u32": 32, "u64": 64, "__u8": 8, "__u16": 16, "__u32": 32, "__u64": 64, "uint8_t": 8, "uint16_t": 16,
    "uint32_t": 32, "uint64_t": 64, "ioasid_t": 32, "unsigned": 32, "unsigned int": 32, "unsigned char": 8, "unsigned short": 16,
    "unsigned long": 64, "unsigned long long": 64, "size_t": 64, "gfp_t": 32,
}  # fmt: skip


def base_type(node: Node | None) -> CType:
    """The type before the declarator."""
    if node is None:
        return CType()
    if node.type in ("struct_specifier", "union_specifier"):
        return CType(struct=text_of(node.child_by_field_name("name")) or "?")
    text = " ".join(text_of(node).split())
    return CType(unsigned=_UNSIGNED.get(text, 0), boolean=text in ("bool", "_Bool"), void=text == "void")


def declared(type_: CType, node: Node | None) -> tuple[str, CType, Node | None]:
    """The name a declarator introduces, its type, and the function declarator if it is one."""
    function: Node | None = None
    name = ""
    while node is not None:
        if node.type in ("identifier", "field_identifier", "type_identifier"):
            name = text_of(node)
            break
        if node.type in ("pointer_declarator", "abstract_pointer_declarator"):
            type_ = CType(type_.struct, type_.pointers + 1, 0, False, type_.void, type_.array)
        elif node.type in ("array_declarator", "abstract_array_declarator"):
            type_ = CType(type_.struct, type_.pointers, 0, False, type_.void, True)
        elif node.type == "function_declarator":
            function = function or node
        inner = node.child_by_field_name("declarator")
        if inner is None and node.type in ("parenthesized_declarator", "attributed_declarator"):
            inner = next((c for c in node.named_children if c.type.endswith("declarator") or c.type == "identifier"), None)
        node = inner
    return name, type_, function


@dataclass(frozen=True)
class Unit:
    """One parsed file: its function definitions and the names of enumeration constants."""

    expanded: Expanded
    functions: dict[str, CFunction]
    constants: dict[str, int]
    first_error: PasidlabError | None


def parse(expanded: Expanded) -> Unit:
    """Parse a file. Errors outside function definitions are kept in ``first_error``; the caller decides how strict to be.

    What a macro nobody knows leaves behind may be no C, and make the parser lose what follows. So a file with an error is parsed once
    more function by function, by the kernel's habit of braces at the left margin.
    """
    text = expanded.text.encode()
    root = Parser(_LANGUAGE).parse(text).root_node
    functions: dict[str, CFunction] = {}
    constants: dict[str, int] = {}
    _definitions(root, expanded, functions, constants)
    error = None
    if root.has_error:
        error = syntax_error(root, expanded)
        alone: dict[str, CFunction] = {}
        for place in _function_ranges(text):
            _definitions(Parser(_LANGUAGE, included_ranges=[place]).parse(text).root_node, expanded, alone, {})
        functions |= {n: f for n, f in alone.items() if n not in functions or functions[n].node.has_error}
    return Unit(expanded, functions, constants, error)


def _definitions(root: Node, unit: Expanded, functions: dict[str, CFunction], constants: dict[str, int]) -> None:
    work = [root]
    while work:
        node = work.pop()
        if node.type == "function_definition":
            function = _function(node, unit)
            if function:
                functions[function.name] = function
        elif node.type == "enumerator_list":
            _enumerate(node, constants)
        elif node.type in ("translation_unit", "declaration", "type_definition", "enum_specifier", "linkage_specification", "ERROR"):
            work += node.named_children


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
    name, result, declarator = declared(base_type(node.child_by_field_name("type")), node.child_by_field_name("declarator"))
    body = node.child_by_field_name("body")
    if not name or declarator is None or body is None:
        return None
    params = []
    for parameter in child(declarator, "parameters").named_children:
        if parameter.type == "parameter_declaration":
            label, type_, _ = declared(base_type(parameter.child_by_field_name("type")), parameter.child_by_field_name("declarator"))
            if type_.void and not type_.pointers:
                continue
            params.append(CParameter(label, type_))
    one_step = any("one_step" in text_of(c) for c in node.named_children if c.type == "attribute_specifier")
    return CFunction(name, tuple(params), result, body, unit, node, one_step)


def _enumerate(node: Node, constants: dict[str, int]) -> None:
    from pasidlab.lang.c.conditions import number

    following = 0
    for item in node.named_children:
        if item.type == "enumerator":
            value = item.child_by_field_name("value")
            given = number(text_of(value)) if value is not None else None
            following = given if given is not None else following
            constants[text_of(item.child_by_field_name("name"))] = following
            following += 1


def syntax_error(node: Node, unit: Expanded) -> PasidlabError:
    """The first place in a tree that is not C."""
    found = _first_error(node)
    at = unit.position(found.start_byte)
    if (open_ := _never_closed(unit.text)) is not None:
        return PasidlabError(f"not valid C: this '{open_[1]}' is never closed", position=unit.position(open_[0]))
    if found.is_missing:
        return PasidlabError(f"not valid C: '{found.type}' is missing here", position=at)
    shown = " ".join(text_of(found).split())[:40]
    return PasidlabError(f"not valid C: cannot make sense of '{shown}'" if shown else "not valid C", position=at)


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
