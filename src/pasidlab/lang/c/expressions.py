"""C expressions -> IR."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.arithmetic import COMPARISONS, OPERATORS, SMALL_BITS
from pasidlab.lang.c.calls import Calls
from pasidlab.lang.c.conditions import character, constant
from pasidlab.lang.c.ctype import CHAR, INT, ULONG, VOID, Array, CType, Integer, Pointer, Struct, Void
from pasidlab.lang.c.declarators import declared, specifier, text_of
from pasidlab.lang.c.parse import child, plain, sized
from pasidlab.lang.c.places import bare
from pasidlab.lang.c.values import NO_VALUE, OPAQUE, POISON, Place, Value, null_pointer, number_of, outside
from pasidlab.lang.ir import SHIFTS, VALUES, Instr
from pasidlab.lang.types import ANY, BOOL, NULL, Domain, Int, Ref, join

STRINGS = ("string_literal", "concatenated_string")


class Expressions(Calls):
    """Compiles expressions; the statements inherit from it."""

    def value(self, node: Node) -> Value:
        """An expression as a constant or a local."""
        match node.type:
            case "parenthesized_expression":
                return self._parenthesized(node)
            case "number_literal":
                return self._number(node)
            case "char_literal":
                return self._character(node)
            case "true" | "false":
                return number_of(int(node.type == "true"))
            case "null":
                return null_pointer()
            case "identifier":
                return self._identifier(node)
            case "field_expression" | "subscript_expression" | "compound_literal_expression":
                return self.load(self.place(node), node)
            case "pointer_expression":
                return self._pointer(node)
            case "binary_expression":
                return self._binary(node)
            case "unary_expression":
                return self._unary(node)
            case "update_expression":
                return self._update(node)
            case "assignment_expression":
                return self._assignment(node)
            case "conditional_expression":
                return self._conditional(node)
            case "call_expression":
                return self.call(node)
            case "cast_expression":
                return self._cast(node)
            case "comma_expression":
                self.value(child(node, "left"))
                return self.value(child(node, "right"))
            case "sizeof_expression" | "alignof_expression":
                return self._sizeof(node)
            case "gnu_asm_expression":
                return self._assembler(node)
        if node.type in STRINGS:
            return outside("", Pointer(CHAR))
        self.refuse(node, f"'{' '.join(text_of(node).split())[:50]}' is outside the C that can be checked")

    def refuse(self, node: Node, what: str, hint: str = "") -> NoReturn:
        """Reject a construct at its place."""
        raise PasidlabError(what, position=self.at(node), hint=hint)

    def _parenthesized(self, node: Node) -> Value:
        inner = [n for n in node.named_children if n.type != "comment"]
        if len(inner) != 1:
            self.refuse(node, "not valid C: an expression is missing in the brackets")
        if inner[0].type == "compound_statement":
            return self.statement_expression(inner[0])
        return self.value(inner[0])

    def statement_expression(self, node: Node) -> Value:
        """``({ ... })``; the statements provide it."""
        raise NotImplementedError

    def _number(self, node: Node) -> Value:
        text = text_of(node)
        if text.startswith(("-", "+")):  # the grammar takes the sign for a part of the number
            return self.arithmetic.negated(text[0], self._literal(node, text[1:].strip()), self.at(node))
        return self._literal(node, text)

    def _literal(self, node: Node, text: str) -> Value:
        found = constant(text)
        if found is None:
            self.refuse(node, f"'{text}' is no integer", "floating point has no place in a kernel; 64 bits are the most an integer has")
        value, type_ = found
        return number_of(value if value <= type_.high and value < 1 << 63 else value - (1 << 64), type_)

    def _character(self, node: Node) -> Value:
        found = character(text_of(node))
        if found is None:
            self.refuse(node, f"{text_of(node)} is no single character")
        return number_of(found)

    def _identifier(self, node: Node) -> Value:
        name = text_of(node)
        variable = self.variables.get(name)
        if variable is not None:
            return variable.value or self.load(Place(variable.type, variable, view=variable.view, aggregate=variable.aggregate), node)
        if name in self.stubs:
            return self.stubbed(self.stubs[name], self.at(node))
        known = self.around.constant(name)
        if known is not None:
            return known
        if self.around.object(name) is not None:
            return self.load(self.constant_object(name, node), node)
        if name in self.vocabulary.values:
            meaning = self.vocabulary.values[name]
            if meaning.pasid:
                return number_of(self.around.no_pasid, meaning.type or INT)
            return self.by_meaning(meaning, {}, self.at(node))
        number = self.names.named(name)
        if number is not None:
            return self.typed((number, Int(number, number)), None)
        if name in self.vocabulary.features:
            return number_of(int(self.vocabulary.features[name]))
        self.unknown(name, "name", node)
        return POISON

    def _pointer(self, node: Node) -> Value:
        inner = bare(child(node, "argument"))
        if text_of(child(node, "operator")) == "*":
            return self.load(self.place(node), node)
        if inner.type == "pointer_expression" and text_of(child(inner, "operator")) == "*":
            return self.value(child(inner, "argument"))
        if inner.type == "identifier" and self._is_outside(text_of(inner)):
            return outside(text_of(inner))  # the address of something outside the model: a lock, a key
        place = self.place(inner)
        if place.view == "?":
            return POISON
        if place.nothing:
            return outside(text_of(inner), Pointer(place.type))
        if place.aggregate is None and isinstance(place.type, Struct):
            value = self.load(place, inner)
            return replace(value, type=Pointer(place.type)) if not value.unknown else value
        if place.variable is None and place.aggregate is None and place.node is None and not place.bits:
            self.refuse(node, f"the address of '{text_of(inner)[:40]}' is outside the C that can be checked", "pass the value")
        if place.variable is not None and place.variable.place is not None:
            self.refuse(node, f"the address of the pointer '{text_of(inner)}' to a variable", "pass the pointer")
        return Value(1, Int(1, 1), Pointer(place.type), "", place)

    def _is_outside(self, name: str) -> bool:
        known = name in self.variables or name in self.vocabulary.values or self.around.constant(name) is not None
        return not known and self.around.object(name) is None

    def _binary(self, node: Node) -> Value:
        operator = text_of(child(node, "operator"))
        left, right, at = child(node, "left"), child(node, "right"), self.at(node)
        if operator in ("&&", "||"):
            return self._logical("and" if operator == "&&" else "or", self.arithmetic.truth(self.tested(left), self.at(left)), right, at)
        if operator == "&" and (masked := self._masked_bits(left, right)) is not None:
            return masked
        look = self.tested if operator in ("==", "!=") else self.value
        a = look(left)
        if changes_something(right):
            a = self.arithmetic.settled(a, at)
        if operator == "+" and (behind := self._behind(a, node)):
            return replace(a, view=behind, type=Pointer(Struct(behind)))
        b = look(right)
        if a.unknown or b.unknown:
            return POISON
        if operator in COMPARISONS:
            return self.arithmetic.compare(operator, a, b, at)
        if operator not in OPERATORS:
            self.refuse(node, f"operator '{operator}' is outside the C that can be checked")
        return self.operated(operator, a, b, node)

    def operated(self, operator: str, a: Value, b: Value, node: Node) -> Value:
        """Arithmetic; pointers have none."""
        for one in (a, b):
            if not isinstance(one.type, Integer):
                self.refuse(node, f"arithmetic on a pointer: '{plain(node)[:50]}'", "only comparison, and what it points to, count")
        return self.arithmetic.binary(operator, a, b, self.at(node))

    def _behind(self, pointer: Value, node: Node) -> str:
        """The struct that ``(void *)p + sizeof(*p)`` points to, if the vocabulary knows what lies behind."""
        size, left = node.child_by_field_name("right"), node.child_by_field_name("left")
        if size is None or left is None or size.type != "sizeof_expression":
            return ""
        name = plain(left).rpartition(")")[2] or plain(left).strip("()")
        return self.vocabulary.behind.get(pointer.view, "") if plain(size) == f"sizeof(*{name})" else ""

    def _masked_bits(self, left: Node, right: Node) -> Value | None:
        """``header.xfeatures & MASK``: only the bits in the mask are looked at."""
        place = self.bits_place(left)
        if place is None:
            return None
        mask, at = self.value(right), self.at(left)
        if mask.unknown:
            return POISON
        if isinstance(mask.operand, int):
            wide = self.arithmetic.convert(mask, ULONG, at)
            return self.arithmetic.binary("&", self.load_bits(place, int(wide.operand), left), mask, at)
        return self.arithmetic.binary("&", self.load_bits(place, -1, left), mask, at)

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
        return Value(dst, BOOL)

    def condition(self, node: Node, yes: str, no: str) -> bool | None:
        """Branch on an expression; True or False when it is a constant."""
        node = bare(node)
        if node.type == "unary_expression" and text_of(child(node, "operator")) == "!":
            known = self.condition(child(node, "argument"), no, yes)
            return None if known is None else not known
        return self.decided(self.arithmetic.truth(self.tested(node), self.at(node)), yes, no, node)

    def decided(self, value: Value, yes: str, no: str, node: Node) -> bool | None:
        """Branch on a value; a name that is reported anyway may be either."""
        if value.unknown:
            self.builder.emit("choose", dst := self.builder.temp(BOOL), 0, 1, at=self.at(node))
            value = Value(dst, BOOL)
        self.builder.branch(value.operand, yes, no, self.at(node))
        return bool(value.operand) if isinstance(value.operand, int) else None

    def either(self, condition: Value, a: Value, b: Value, at: Position) -> Value:
        """``condition ? a : b`` of two values of one type."""
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
        """One side of a conditional has its value: on to the end."""
        self.builder.emit("copy", dst, value.operand, at=at)
        self.builder.emit("jump", done, at=at)

    def _joined(self, dst: str, a: Value, b: Value, at: Position) -> Domain:
        domain = join(a.domain, b.domain)
        if domain is None:
            raise PasidlabError("the two sides of the conditional have different types", position=at)
        self.builder.locals[dst] = domain if isinstance(domain, Ref) or domain.bits <= SMALL_BITS else ANY
        return domain

    def _conditional(self, node: Node) -> Value:
        """``a ? b : c``, and ``a ?: c``, which evaluates a once."""
        at, test = self.at(node), child(node, "condition")
        yes, no, done = (self.builder.label(hint) for hint in ("yes", "no", "join"))
        middle, other = node.child_by_field_name("consequence"), child(node, "alternative")
        kept: Value | None = None
        if middle is None:
            kept = self.arithmetic.settled(self.arithmetic.number(self.tested(test), at), at)
            known = self.decided(self.arithmetic.truth(kept, at), yes, no, test)
        else:
            known = self.condition(test, yes, no)
        if known is not None:
            self.builder.place(yes if known else no, at)
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
            return self.type_of_expression(node)
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

    # ---- types

    def type_of_expression(self, node: Node) -> CType:
        """The type of an expression that is not evaluated here: nothing of it stays."""
        builder, mark = self.builder, len(self.builder.code)
        locals_, variables, views = dict(builder.locals), dict(self.variables), {n: v.view for n, v in self.variables.items()}
        with self.around.silent():
            try:
                value = self.value(node)
            finally:
                del builder.code[mark:]
                builder.locals.clear()
                builder.locals.update(locals_)
                self.variables = variables
                for name, view in views.items():
                    variables[name].view = view
        return value.type

    def type_named(self, node: Node) -> CType:
        """The type that a type name stands for."""
        base = specifier(node.child_by_field_name("type"), self)  # type: ignore[arg-type]
        return declared(base, node.child_by_field_name("declarator"), self).type  # type: ignore[arg-type]

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
        return self.type_of_expression(inner)

    def _sizeof(self, node: Node) -> Value:
        type_ = self._operand_type(node)
        if type_.size is None:
            what = f"'{text_of(node)}': the size of {type_} is not known here"
            self.refuse(node, what, "the model has no layout of kernel structs")
        return number_of(type_.size, ULONG)

    # ---- operators

    def _unary(self, node: Node) -> Value:
        operator, inner = text_of(child(node, "operator")), child(node, "argument")
        return self._applied(operator, self.tested(inner) if operator == "!" else self.value(inner), node)

    def _applied(self, operator: str, value: Value, node: Node) -> Value:
        """``!x``, ``~x``, ``-x``, ``+x``."""
        if value.unknown:
            return POISON
        if operator == "!":
            return self.arithmetic.inverted(value, self.at(node))
        if operator in ("~", "-", "+"):
            return self.arithmetic.negated(operator, value, self.at(node))
        self.refuse(node, f"operator '{operator}' is outside the C that can be checked")

    def _update(self, node: Node) -> Value:
        """``x++``, ``--x``. The grammar takes ``-x++`` for (-x)++; in C what stands behind binds first."""
        inner, prefix = child(node, "argument"), node.children[0].type in ("++", "--")
        before: list[str] = []
        while not prefix and inner.type == "unary_expression":
            before.append(text_of(child(inner, "operator")))
            inner = child(inner, "argument")
        value = self._changed(self.place(inner), text_of(child(node, "operator")), prefix, node)
        for operator in reversed(before):
            value = self._applied(operator, value, node)
        return value

    def _changed(self, place: Place, operator: str, prefix: bool, node: Node) -> Value:
        kept = self.arithmetic.settled(self.load(place, node), self.at(node))
        if kept.unknown:
            return POISON
        new = self.store(place, self.operated(operator[0], kept, number_of(1), node), node)
        return new if prefix else self.arithmetic.number(kept, self.at(node))

    def _assignment(self, node: Node) -> Value:
        operator = text_of(child(node, "operator"))
        left, right = child(node, "left"), child(node, "right")
        if operator == "=":
            value = self.value(right)
            return self.store(self.place(left), value, node)
        if operator[:-1] not in OPERATORS:
            self.refuse(node, f"operator '{operator}' is outside the C that can be checked")
        place = self.place(left)
        old = self.load(place, left)
        if changes_something(right):
            old = self.arithmetic.settled(old, self.at(node))
        change = self.value(right)
        if old.unknown or change.unknown:
            return POISON
        return self.store(place, self.operated(operator[:-1], old, change, node), node)

    def _cast(self, node: Node) -> Value:
        type_ = self.type_named(child(node, "type"))
        value = self.value(child(node, "value"))
        if value.unknown:
            return value
        if isinstance(type_, Integer):
            return self.arithmetic.convert(value, type_, self.at(node))
        if type_ == VOID:
            return NO_VALUE
        if not isinstance(type_, Pointer):
            self.refuse(node, f"a cast to {type_}", "a type that is not known here, or no type")
        if not isinstance(value.domain, Ref) and not value.opaque and value.place is None:
            if value.operand != 0:
                self.refuse(node, "a number as a pointer", "only 0 is one in the model: NULL")
            return null_pointer(type_)
        view = type_.to.name if isinstance(type_.to, Struct) and type_.to.name in self.vocabulary.structs else value.view
        if value.place is not None and type_.to not in (VOID, value.place.type):
            self.refuse(node, "a variable looked at as another type")
        element = value.domain.struct if isinstance(value.domain, Ref) and value.domain != NULL else ""
        if (element and self.vocabulary.structs.get(view, element) != element) or (element and isinstance(type_.to, Integer)):
            self.refuse(node, f"a {element} looked at as {type_}")
        return replace(value, view=value.view if value.opaque else view, type=type_)

    def _assembler(self, node: Node) -> Value:
        code = text_of(node.child_by_field_name("assembly_code"))
        words = [
            w
            for w in "".join(c if c.isalnum() else " " for c in code.replace("\\n", " ").replace("\\t", " ")).split()
            if not w[0].isdigit()
        ]
        if all(word in self.vocabulary.assembler for word in words):
            return NO_VALUE
        self.unknown(next(w for w in words if w not in self.vocabulary.assembler), "instruction in inline assembler", node)
        return POISON


def _length_of_string(node: Node) -> int:
    """How many bytes a string has, with the 0 at its end."""
    pieces = [node] if node.type == "string_literal" else [n for n in node.named_children if n.type == "string_literal"]
    return sum(len(text_of(piece)[1:-1].encode().decode("unicode_escape", "replace")) for piece in pieces) + 1


def _harmless(instr: Instr) -> bool:
    """Whether an instruction may be executed although C would not: it computes a value no name has, and cannot fail."""
    shifts_fine = instr.op not in SHIFTS or (isinstance(instr.args[2], int) and 0 <= instr.args[2] < 64)
    return instr.op in VALUES and str(instr.args[0]).startswith("%") and shifts_fine


def changes_something(node: Node) -> bool:
    """Whether evaluating an expression may assign a variable."""
    if node.type in ("assignment_expression", "update_expression", "call_expression", "compound_statement"):
        return True
    return any(changes_something(inner) for inner in node.named_children)
