"""Scopes of C and the jumps out of them: variables, guards of linux/cleanup.h, loops, labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tree_sitter import Node

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.ctype import ULONG
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import child
from pasidlab.lang.c.variables import CVariables
from pasidlab.lang.ir import TERMINATORS
from pasidlab.lang.types import ANY


@dataclass(frozen=True)
class Guard:
    """What is called where a scope ends: a function with the arguments of ``guard()``, or with what was kept when it was taken."""

    give: str
    arguments: list[Node]
    node: Node
    block: Node  # the scope
    kept: str = ""

    def covers(self, node: Node) -> bool:
        """Whether a place lies in the scope, behind its beginning."""
        return self.node.start_byte < node.start_byte and self.block.start_byte <= node.start_byte < self.block.end_byte


@dataclass(frozen=True)
class Loop:
    """Where continue and break go, None in a switch; and how many guards are outside."""

    again: str | None
    done: str
    guards: int


@dataclass
class Jumps:
    """The gotos of a function and their labels, each with the guards that hold there."""

    labels: dict[str, str] = field(default_factory=dict)  # name in C -> label in the IR
    statements: dict[str, Node] = field(default_factory=dict)  # those with labels; empty until a goto leads out of a guard
    gotos: list[tuple[str, list[Guard], Node]] = field(default_factory=list)
    placed: dict[str, list[Guard]] = field(default_factory=dict)


class Scopes(CVariables):
    """The part of a C function's compiler that enters and leaves scopes."""

    loops: list[Loop]
    guards: list[Guard]
    jumps: Jumps

    @property
    def unreachable(self) -> bool:
        """Whether control cannot get to the next statement."""
        return bool(self.builder.code) and self.builder.code[-1].op in TERMINATORS

    @contextmanager
    def scope(self) -> Iterator[None]:
        """The names and guards of a block."""
        around, guards = self.outer, len(self.guards)
        outer = self.outer = dict(self.variables)
        try:
            yield
            if not self.unreachable:
                self.release(guards)
        finally:  # an expression that is refused may be one whose type alone was asked for
            del self.guards[guards:]
            self.outer, self.variables = around, outer

    # ---- guards

    def release(self, outside: int) -> None:
        """Leave the scopes of all guards but the first ``outside``."""
        for guard in reversed(self.guards[outside:]):
            if not guard.kept:
                self.called(guard.give, guard.arguments, guard.node)
                continue
            pattern, meaning = self.vocabulary.calls[guard.give][0]
            bound = self.template.bind((guard.kept, self.builder.locals[guard.kept] or ANY))
            self.by_meaning(meaning, {pattern.args[0].name: bound}, self.at(guard.node))

    def guard(self, name: str, arguments: list[Node], node: Node, block: Node) -> None:
        """``guard(name)(arguments);`` and ``scoped_guard(name, arguments)`` of linux/cleanup.h."""
        self._must_stay(arguments, node, block)
        own = f"__take_{name}", f"__give_{name}"  # DEFINE_LOCK_GUARD_0() and DEFINE_GUARD() of the file
        if name not in self.vocabulary.guards and own[0] in self.around.defined:
            self.called(own[0], arguments, node)
            self.guards.append(Guard(own[1], arguments, node, block))
            return
        if name not in self.vocabulary.guards:
            known = ", ".join(self.vocabulary.guards)
            self.refuse(node, f"guard({name}) is none the model knows", f"{known}; or call the functions at both ends of the scope")
        take, give = self.vocabulary.guards[self.vocabulary.preempt_rt_guards.get(name, name) if self.around.preempt_rt else name]
        if take in self.vocabulary.guards:
            self.guard(take, arguments, node, block)
            self.guard(give, arguments, node, block)
        elif take.startswith("="):  # what was so before is kept for the end
            kept = self.new_variable(f"<{name}>", ULONG)
            self.builder.emit("copy", kept.local, self.found_and_set(take.removeprefix("="), node).operand, at=self.at(node))
            self.guards.append(Guard(give, arguments, node, block, kept.local))
        else:
            self.called(take, arguments, node)
            self.guards.append(Guard(give, arguments, node, block))

    def _must_stay(self, arguments: list[Node], node: Node, block: Node) -> None:
        """A guard keeps its argument (linux/cleanup.h). Here it is evaluated at both ends, so it must be the same at both."""
        for argument in arguments:
            changed = {name for name in _names(argument) if any(_changes(one, name) for one in _behind(block, node))}
            if self.has_effect(argument) or changed or (argument.type != "pointer_expression" and _reads_memory(argument)):
                what = f"the argument of a guard that may be another at its end: '{' '.join(text_of(argument).split())[:40]}'"
                self.refuse(argument, what, "a variable of its own, which stays as it is")

    # ---- jumps

    def _break_statement(self, node: Node) -> None:
        if not self.loops:
            self.refuse(node, "break outside a loop")
        self.release(self.loops[-1].guards)
        self.builder.emit("jump", self.loops[-1].done, at=self.at(node))

    def _continue_statement(self, node: Node) -> None:
        loop = next((one for one in reversed(self.loops) if one.again), None)
        if loop is None or loop.again is None:
            self.refuse(node, "continue outside a loop")
        self.release(loop.guards)
        self.builder.emit("jump", loop.again, at=self.at(node))

    def _label(self, name: str) -> str:
        if name not in self.jumps.labels:
            self.jumps.labels[name] = self.builder.label(f"{name}_")
        return self.jumps.labels[name]

    def _goto_statement(self, node: Node) -> None:
        name = text_of(child(node, "label"))
        kept = len(self.guards)
        if self.guards and not self.jumps.statements:
            self.jumps.statements = labelled(self.function.body)
        if target := self.jumps.statements.get(name):
            kept = next((n for n, guard in enumerate(self.guards) if not guard.covers(target)), kept)
        self.jumps.gotos.append((name, self.guards[:kept], node))
        self.release(kept)
        self.builder.emit("jump", self._label(name), at=self.at(node))

    def _labeled_statement(self, node: Node) -> None:
        name = text_of(child(node, "label"))
        if name in self.jumps.placed:
            self.refuse(node, f"the label {name} is there twice")
        self.jumps.placed[name] = list(self.guards)
        self.builder.place(self._label(name), self.at(node))
        for item in node.named_children[1:]:
            self.statement(item)

    def check_labels(self) -> None:
        """PasidlabError where a goto has no label, or leads into the scope of a guard."""
        for name, guards, node in self.jumps.gotos:
            if name not in self.jumps.placed:
                raise PasidlabError(f"{self.function.name}: goto {name}, but there is no such label", position=self.at(node))
            if self.jumps.placed[name] != guards:
                self.refuse(node, f"goto {name} leads into the scope of a guard", "call the functions at both ends of the scope")


def labelled(node: Node) -> dict[str, Node]:
    """The statements of a function that have labels, by label."""
    found: dict[str, Node] = {}
    work = [node]
    while work:
        one = work.pop()
        if one.type == "labeled_statement":
            found.setdefault(text_of(child(one, "label")), one)
        work += one.named_children
    return found


def label_follows(node: Node) -> bool:
    """Whether a statement behind this one in its block can be come to from elsewhere."""
    later = node.next_named_sibling
    while later is not None and not has_label(later):
        later = later.next_named_sibling
    return later is not None


def has_label(node: Node) -> bool:
    """Whether control may come into a statement from elsewhere: a goto, or the switch around it."""
    work = [(node, True)]  # a node, and whether the switch of its cases is outside
    while work:
        one, outside = work.pop()
        if one.type == "labeled_statement" or (one.type == "case_statement" and outside):
            return True
        work += [(inner, outside and one.type != "switch_statement") for inner in one.named_children]
    return False


def _names(node: Node) -> set[str]:
    """The variables an expression mentions."""
    found = {text_of(node)} if node.type == "identifier" else set()
    return found.union(*(_names(inner) for inner in node.named_children))


def _reads_memory(node: Node) -> bool:
    """Whether an expression looks at what others may change, or calls something."""
    return (
        node.type in ("field_expression", "subscript_expression", "call_expression")
        or (node.type == "pointer_expression" and text_of(node).startswith("*"))
        or any(_reads_memory(inner) for inner in node.named_children)
    )


def _behind(block: Node, node: Node) -> Iterator[Node]:
    """The nodes of a block that stand behind a place."""
    work = [block]
    while work:
        one = work.pop()
        work += one.named_children
        if one.start_byte >= node.end_byte:
            yield one


def _changes(node: Node, name: str) -> bool:
    """Whether a node assigns to a variable, counts it up or down, or takes its address."""
    if node.type == "assignment_expression":
        return text_of(node.child_by_field_name("left")) == name
    if node.type == "update_expression" or (node.type == "pointer_expression" and text_of(node).startswith("&")):
        return text_of(node.child_by_field_name("argument")) == name
    return False
