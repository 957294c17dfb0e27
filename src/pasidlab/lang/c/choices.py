"""Expressions of C that choose what is evaluated: ``&&``, ``||``, ``?:``, and the conditions of statements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.arithmetic import SMALL_BITS
from pasidlab.lang.c.calls import Calls
from pasidlab.lang.c.ctype import VOID, CType, Integer, Pointer, Struct, Void
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import child
from pasidlab.lang.c.places import bare
from pasidlab.lang.c.values import NO_VALUE, OPAQUE, POISON, Value, null_pointer, number_of
from pasidlab.lang.ir import SHIFTS, VALUES, Instr, Operand
from pasidlab.lang.types import ANY, BOOL, Domain, Ref, joined_domain


@dataclass(frozen=True)
class _Logical:
    """``left && right``, if ``both``, or ``left || right``: the labels of the right side and of the end."""

    both: bool
    left: Operand
    right: Operand
    more: str
    done: str


class Choices(Calls):
    """The part of a C function's compiler for what depends on a condition."""

    def __init__(self, *around: Any) -> None:
        super().__init__(*around)
        self.logicals: dict[str, _Logical] = {}  # by the variable that has the value

    def tested(self, node: Node) -> Value:
        """An expression whose truth is asked. Whether a pointer out of the model is NULL is a question for the user."""
        value = self.value(node)
        if not value.opaque or value.view == OPAQUE or node.type not in ("identifier", "field_expression", "call_expression"):
            return value
        name = text_of(node)
        if name in self.stubs:
            return self.stubbed(self.stubs[name], self.at(node))
        self.unknown(name, "pointer", node)
        return POISON

    def _logical(self, op: str, left: Value, node: Node, at: Position) -> Value:
        """``&&`` and ``||``: with jumps unless the right side has no effect and cannot fault."""
        if isinstance(left.operand, int) and not left.unknown:
            return self.arithmetic.truth(self.tested(node), at) if bool(left.operand) == (op == "and") else left
        left = self.arithmetic.settled(left, at)
        mark = len(self.builder.code)
        dst = self.builder.temp(BOOL)
        more, done = self.builder.label("more"), self.builder.label("join")
        right = self.arithmetic.truth(self.tested(node), at)
        tail = self.builder.code[mark:]
        if isinstance(right.operand, int) and not tail:
            return left if bool(right.operand) == (op == "and") else Value(right.operand, BOOL)
        if all(map(_harmless, tail)):
            return Value(*self.builder.binary(op, (left.operand, left.domain), (right.operand, right.domain), at))
        del self.builder.code[mark:]
        self.builder.emit("copy", dst, left.operand, at=at)
        self.builder.branch(left.operand, *((more, done) if op == "and" else (done, more)), at=at)
        self.builder.place(more, at)
        self.builder.code.extend(tail)
        self.builder.emit("copy", dst, right.operand, at=at)
        self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)
        self.logicals[dst] = _Logical(op == "and", left.operand, right.operand, more, done)
        return Value(dst, BOOL)

    def condition(self, node: Node, yes: str, no: str) -> bool | None:
        """Branch on an expression; True or False when it is a constant."""
        node = bare(node)
        if node.type == "unary_expression" and text_of(child(node, "operator")) == "!":
            known = self.condition(child(node, "argument"), no, yes)
            return None if known is None else not known
        value = self.arithmetic.truth(self.tested(node), self.at(node))
        self._shorten(value.operand, yes, no)
        return self.decided(value, yes, no, node)

    def _shorten(self, operand: Operand, yes: str, no: str) -> None:
        """Where one side of ``&&`` or ``||`` decides a branch, it goes there at once: what the other side sets has a value behind it.

        Nothing but the copy to the value around may stand behind the end of the expression: it would be left out.
        """
        one = self.logicals.get(operand) if isinstance(operand, str) else None
        if one is None:
            return
        code = self.builder.code
        end = next((n for n, instr in enumerate(code) if instr.op == "label" and instr.args == (one.done,)), None)
        if end is None:
            return
        if any(i.op != "copy" or i.args[1] != operand or i.args[0] not in self.logicals for i in code[end + 1 : end + 2]):
            return
        old, new = ((one.more, one.done), (one.more, no)) if one.both else ((one.done, one.more), (yes, one.more))
        for n, instr in enumerate(code):
            if instr.op == "branch" and instr.args[1:] == old:
                code[n] = replace(instr, args=(instr.args[0], *new))
        self._shorten(one.left, *((one.more, no) if one.both else (yes, one.more)))
        self._shorten(one.right, yes, no)

    def decided(self, value: Value, yes: str, no: str, node: Node) -> bool | None:
        """Branch on a value; a name that is reported anyway may be either."""
        if value.unknown:
            self.builder.emit("choose", dst := self.builder.temp(BOOL), 0, 1, at=self.at(node))
            value = Value(dst, BOOL)
        self.builder.branch(value.operand, yes, no, self.at(node))
        return bool(value.operand) if isinstance(value.operand, int) else None

    def either(self, condition: Value, a: Value, b: Value, at: Position) -> Value:
        """``condition ? a : b`` of two values of one type. A condition that is known costs no step."""
        if isinstance(condition.operand, int):
            return a if condition.operand else b
        yes, no, done = (self.builder.label(hint) for hint in ("yes", "no", "join"))
        self.builder.branch(condition.operand, yes, no, at)
        self.builder.place(yes, at)
        dst = self.builder.temp(BOOL)
        self._give(dst, a, done, at)
        self.builder.place(no, at)
        self._give(dst, b, done, at)
        self.builder.place(done, at)
        return Value(dst, self._joined(dst, a, b, at), a.type)

    def _give(self, dst: str, value: Value, done: str, at: Position) -> None:
        """Assigns the value of one side of a conditional and goes to its end."""
        self.builder.emit("copy", dst, value.operand, at=at)
        self.builder.emit("jump", done, at=at)

    def _joined(self, dst: str, a: Value, b: Value, at: Position) -> Domain:
        domain = joined_domain(a.domain, b.domain)
        if domain is None:
            raise PasidlabError("the two sides of the conditional have different types", position=at)
        self.builder.locals[dst] = domain if isinstance(domain, Ref) or domain.bits <= SMALL_BITS else ANY
        return domain

    def _conditional(self, node: Node) -> Value:
        """``a ? b : c``, and ``a ?: c``, which evaluates a once."""
        at, test, mark = self.at(node), child(node, "condition"), len(self.builder.code)
        yes, no, done = (self.builder.label(hint) for hint in ("yes", "no", "join"))
        middle, other = node.child_by_field_name("consequence"), child(node, "alternative")
        kept: Value | None = None
        if middle is None:
            kept = self.arithmetic.settled(self.arithmetic.number(self.tested(test), at), at)
            known = self.decided(self.arithmetic.truth(kept, at), yes, no, test)
        else:
            known = self.condition(test, yes, no)
        if known is not None:
            if self.builder.code[mark:][:-1]:
                self.builder.place(yes if known else no, at)
            else:
                del self.builder.code[mark:]  # nothing but the jump: a constant stays one
            taken = (kept or self.value(middle or test)) if known else self.value(other)
            left = other if known else middle or test
            return self._as_side(taken, self._type_of_sides(taken.type, self._type_not_taken(left), node), taken, at)
        self.builder.place(yes, at)
        first = kept or self.value(middle or test)
        mark = len(self.builder.code)
        self.builder.place(no, at)
        return self._both(first, mark, self.value(other), done, node)

    def _both(self, first: Value, mark: int, second: Value, done: str, node: Node) -> Value:
        """The second side has just been compiled, the code of the first ends at ``mark``: each gives its value in the common type."""
        at, code = self.at(node), self.builder.code
        type_ = self._type_of_sides(first.type, second.type, node)
        if type_ == VOID:
            code.insert(mark, Instr("jump", (done,), code[-1].site))
            self.builder.place(done, at)
            return NO_VALUE
        dst = self.builder.temp(BOOL)
        b = self._as_side(second, type_, first, at)
        self._give(dst, b, done, at)
        end = len(code)
        a = self._as_side(first, type_, second, at)
        self._give(dst, a, done, at)
        moved = code[end:]
        del code[end:]
        code[mark:mark] = moved
        self.builder.place(done, at)
        return Value(dst, self._joined(dst, a, b, at), type_ or a.type, a.view or b.view)

    def _type_not_taken(self, node: Node) -> CType | None:
        """The type of a side that is never evaluated, be it beyond what can be compiled."""
        try:
            return self.type_of_expression(node, silent=True)
        except PasidlabError:
            return None

    def _as_side(self, value: Value, type_: CType | None, before: Value, at: Position) -> Value:
        if value.place is not None:
            raise PasidlabError("a pointer to a variable, depending on a condition", position=at, hint="use if and else")
        if isinstance(type_, Integer):
            return self.arithmetic.convert(self.arithmetic.number(value, at), type_, at)
        if value.operand == 0 and isinstance(type_, Pointer):
            return null_pointer(type_, value.view or before.view)
        return replace(value, view=value.view or before.view)

    def _type_of_sides(self, a: CType, b: CType | None, node: Node) -> CType | None:
        """The type of a conditional (C11 6.5.15); None for something already reported."""
        if b is None:
            return a
        if isinstance(a, Integer) and isinstance(b, Integer):
            return self.arithmetic.operands(number_of(0, a), number_of(0, b), self.at(node))[2]
        if isinstance(a, Void) or isinstance(b, Void):
            return VOID
        if isinstance(a, Struct) or isinstance(b, Struct):
            self.refuse(node, "a struct, depending on a condition", "use pointers")
        return b if not isinstance(a, Pointer) or a.to == VOID else a


def _harmless(instr: Instr) -> bool:
    """Whether an instruction may be executed although C would not: it computes a value no name has, and cannot fail."""
    shifts_fine = instr.op not in SHIFTS or (isinstance(instr.args[2], int) and 0 <= instr.args[2] < 64)
    return instr.op in VALUES and str(instr.args[0]).startswith("%") and shifts_fine
