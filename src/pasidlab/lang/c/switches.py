"""The switch statement: a comparison with each case in turn."""

from __future__ import annotations

from tree_sitter import Node

from pasidlab.errors import Position
from pasidlab.lang.c.calls import arguments_of
from pasidlab.lang.c.ctype import Integer
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import child
from pasidlab.lang.c.rewrite import CASE_RANGE
from pasidlab.lang.c.scopes import Loop, Scopes, has_label
from pasidlab.lang.c.values import Value


class Switches(Scopes):
    """The part of a C function's compiler for ``switch``."""

    def _switch_statement(self, node: Node) -> None:
        at = self.at(node)
        value = self.arithmetic.settled(self.value(child(node, "condition")), at)
        done = self.builder.label("done")
        items = [c for c in child(node, "body").named_children if c.type != "comment"]
        cases = {c.start_byte: self.builder.label("case") for c in items if c.type == "case_statement"}
        if not value.unknown:
            self._dispatch(value, items, cases, done, at)
        self.loops.append(Loop(None, done, len(self.guards)))
        with self.scope():
            for item in items:
                if item.start_byte in cases:
                    self._case(item, cases[item.start_byte])
                elif item.type == "declaration" or has_label(item):
                    self.statement_before_cases(item)
        self.loops.pop()
        if not self.unreachable:
            self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)

    def statement_before_cases(self, node: Node) -> None:
        """What stands in a switch before its first case: only the names it declares count."""
        self.builder.place(self.builder.label("never"), self.at(node))
        self.statement(node)

    def _dispatch(self, value: Value, items: list[Node], cases: dict[int, str], done: str, at: Position) -> None:
        default = done
        if isinstance(value.type, Integer):
            value = self.arithmetic.negated("+", value, at)  # the integer promotions
        for case in (c for c in items if c.start_byte in cases):
            wanted = case.child_by_field_name("value")
            if wanted is None:
                default = cases[case.start_byte]
                continue
            following = self.builder.label("else")
            same = self._in_case(value, wanted)
            self.builder.branch(same.operand, cases[case.start_byte], following, self.at(case))
            self.builder.place(following, self.at(case))
        self.builder.emit("jump", default, at=at)

    def _in_case(self, value: Value, wanted: Node) -> Value:
        """A case's constant is converted to the promoted type of what is switched upon (C11 6.8.4.2)."""
        at = self.at(wanted)
        ends = arguments_of(wanted) if wanted.type == "call_expression" and text_of(child(wanted, "function")) == CASE_RANGE else [wanted]
        found = [self.arithmetic.convert(self.value(one), value.type, self.at(one)) for one in ends]
        if any(not one.constant for one in found):
            self.refuse(wanted, f"'case {text_of(wanted)[:40]}' must be a constant")
        if len(found) == 1:
            return self.arithmetic.compare("==", value, found[0], at)
        low = self.arithmetic.compare(">=", value, found[0], at)
        high = self.arithmetic.compare("<=", value, found[1], at)
        return Value(*self.builder.binary("and", (low.operand, low.domain), (high.operand, high.domain), at))

    def _case(self, case: Node, label: str) -> None:
        self.builder.place(label, self.at(case))
        wanted = case.child_by_field_name("value")
        for item in case.named_children:
            if wanted is None or item.start_byte != wanted.start_byte:
                self.statement(item)
