"""The switch statement: a comparison with each case in turn."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.ctype import Integer
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import arguments_of, child
from pasidlab.lang.c.rewrite import CASE_RANGE
from pasidlab.lang.c.scopes import Loop, Scopes
from pasidlab.lang.c.values import Value, exact, number_of
from pasidlab.lang.emit import wrapped_to_64


@dataclass(frozen=True)
class _Case:
    """A case, its label, and how many guards were held where the switch begins."""

    node: Node
    label: str
    guards: int


class Switches(Scopes):
    """The part of a C function's compiler for ``switch``."""

    cases: dict[int, _Case]  # by where they begin

    def _switch_statement(self, node: Node) -> None:
        at = self.at(node)
        value = self.arithmetic.settled(self.value(child(node, "condition")), at)
        done = self.builder.label("done")
        cases = [_Case(case, self.builder.label("case"), len(self.guards)) for case in _cases(child(node, "body"))]
        self.cases |= {one.node.start_byte: one for one in cases}
        if not value.unknown:
            self._dispatch(value, cases, done, at)
        self.loops.append(Loop(None, done, len(self.guards)))
        self.builder.place(self.builder.label("never"), at)  # what stands before the first case: only the names it declares count
        self.statement(child(node, "body"))
        self.loops.pop()
        if not self.unreachable:
            self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)

    def _dispatch(self, value: Value, cases: list[_Case], done: str, at: Position) -> None:
        default = ""
        if isinstance(value.type, Integer):
            value = self.arithmetic.negated("+", value, at)  # the integer promotions
        elif not value.unknown:
            raise PasidlabError(f"a switch upon {value.type}", position=at, hint="an integer")
        taken: list[tuple[int, int]] = []  # in order, apart from each other
        for case in cases:
            wanted = case.node.child_by_field_name("value")
            if wanted is None:
                if default:
                    self.refuse(case.node, "a second default in one switch")
                default = case.label
                continue
            low, high = self._ends(value, wanted)
            place = bisect(taken, (low, high))
            if any(low <= last and first <= high for first, last in taken[max(place - 1, 0) : place + 1]):
                self.refuse(wanted, f"'case {text_of(wanted)[:40]}' is there twice in one switch")
            taken.insert(place, (low, high))
            following = self.builder.label("else")
            same = self._in_case(value, low, high, self.at(wanted))
            self.builder.branch(same.operand, case.label, following, self.at(case.node))
            self.builder.place(following, self.at(case.node))
        self.builder.emit("jump", default or done, at=at)

    def _ends(self, value: Value, wanted: Node) -> tuple[int, int]:
        """The constants of a case, converted to the promoted type of what is switched upon (C11 6.8.4.2)."""
        ends = arguments_of(wanted) if wanted.type == "call_expression" and text_of(child(wanted, "function")) == CASE_RANGE else [wanted]
        mark = len(self.builder.code)
        found = [self.arithmetic.convert(self.value(one), value.type, self.at(one)) for one in ends]
        if any(not one.constant or not isinstance(one.type, Integer) for one in found) or len(self.builder.code) > mark:
            self.refuse(wanted, f"'case {text_of(wanted)[:40]}' must be a constant")
        return exact(found[0]), exact(found[-1])

    def _in_case(self, value: Value, low: int, high: int, at: Position) -> Value:
        first = number_of(wrapped_to_64(low), value.type)
        if low == high:
            return self.arithmetic.compare("==", value, first, at)
        above = self.arithmetic.compare(">=", value, first, at)
        below = self.arithmetic.compare("<=", value, number_of(wrapped_to_64(high), value.type), at)
        return Value(*self.builder.binary("and", (above.operand, above.domain), (below.operand, below.domain), at))

    def _case_statement(self, node: Node) -> None:
        case = self.cases.get(node.start_byte)
        if case is None:
            self.refuse(node, f"'{text_of(node)[:20]}' outside a switch")
        if len(self.guards) != case.guards:
            self.refuse(node, "this case leads into the scope of a guard", "brackets around what the guard is for")
        self.builder.place(case.label, self.at(node))
        wanted = node.child_by_field_name("value")
        for item in node.named_children:
            if wanted is None or item.start_byte != wanted.start_byte:
                self.statement(item)


def _cases(body: Node) -> list[Node]:
    """The cases of a switch in their order, also those inside other statements, but not those of a switch inside."""
    found: list[Node] = []
    work = [body]
    while work:
        node = work.pop()
        if node.type == "case_statement":
            found.append(node)
        work += [inner for inner in reversed(node.named_children) if inner.type != "switch_statement"]
    return found
