"""What a look over a function's text tells before it is compiled: which integers hold CPUs, and how often pointers are set."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from tree_sitter import Node

from pasidlab.lang.c.ctype import INT, Integer, by_words
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import child, plain
from pasidlab.lang.c.places import bare

ASSIGN_ARGUMENTS = frozenset({"swap", "local_irq_save", "local_save_flags", "rdmsrl", "rdmsrq"})


@dataclass(frozen=True)
class Survey:
    """Names by what is done with them in a function. Variables of one name count as one."""

    cpus: frozenset[str]  # set to nothing but the number of a CPU, or -1
    computed: frozenset[str]  # changed by a number
    assigned: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, body: Node, sources: Set[str]) -> Survey:
        """Look over a function; ``sources``: calls and members that give the number of a CPU."""
        given: dict[str, list[Node]] = {}
        assigned: dict[str, int] = {}
        computed: set[str] = set()
        declared: set[str] = set()
        other: set[str] = set()  # of a type with other numbers than int and unsigned int: in it -1 is no CPU's
        work = [body]
        while work:
            node = work.pop()
            work += node.named_children
            if node.type == "declaration":
                names = {_declared_name(declarator) for declarator in node.children_by_field_name("declarator")}
                declared |= names
                other |= names if not _of_int_s_width(node.child_by_field_name("type")) else set()
            elif node.type == "call_expression" and text_of(child(node, "function")) in ASSIGN_ARGUMENTS:
                computed |= {text_of(bare(argument)) for argument in child(node, "arguments").named_children}
            elif node.type == "init_declarator":
                name = _declared_name(node)
                given.setdefault(name, []).append(child(node, "value"))
                assigned[name] = assigned.get(name, 0) + 1
            elif node.type == "assignment_expression":
                name = text_of(bare(child(node, "left")))
                assigned[name] = assigned.get(name, 0) + 1
                given.setdefault(name, []).append(child(node, "right"))
                if text_of(child(node, "operator")) != "=":
                    computed.add(name)
            elif node.type == "update_expression" or (node.type == "pointer_expression" and text_of(child(node, "operator")) == "&"):
                name = text_of(bare(child(node, "argument")))
                computed.add(name)
                assigned[name] = assigned.get(name, 0) + 1
        cpus = {name for name in given if name in declared} - computed - other
        while True:
            kept = {name for name in cpus if all(_gives_cpu(v, sources, cpus) for v in given[name])}
            kept = {name for name in kept if any(not _is_minus_one(v) for v in given[name])}
            if kept == cpus:
                return cls(frozenset(cpus), frozenset(computed | {n for n in given if n not in cpus}), assigned)
            cpus = kept


def _of_int_s_width(node: Node | None) -> bool:
    type_ = by_words(text_of(node))
    return isinstance(type_, Integer) and type_.bits == INT.bits


def _declared_name(node: Node) -> str:
    inner: Node | None = node
    while inner is not None and inner.type != "identifier":
        inner = inner.child_by_field_name("declarator")
    return text_of(inner)


def _is_minus_one(node: Node) -> bool:
    return plain(bare(node)) in ("-1", "(-1)")


def _gives_cpu(node: Node, sources: Set[str], names: Set[str]) -> bool:
    node = bare(node)
    if _is_minus_one(node):
        return True
    match node.type:
        case "identifier":
            return text_of(node) in names
        case "call_expression":
            return text_of(child(node, "function")) in sources
        case "field_expression":
            return text_of(child(node, "field")) in sources
        case "assignment_expression":
            inner = bare(child(node, "left"))
            return text_of(inner) in names and _gives_cpu(child(node, "right"), sources, names)
    return False
