"""C expressions -> IR."""

from __future__ import annotations

from typing import NoReturn

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.calls import Calls
from pasidlab.lang.c.conditions import character, number
from pasidlab.lang.c.parse import base_type, child, declared, plain, text_of
from pasidlab.lang.c.templates import as_domain
from pasidlab.lang.c.values import NO_VALUE, OPAQUE, POISON, UNKNOWN, Place, Value, fits
from pasidlab.lang.ir import VALUES
from pasidlab.lang.types import ANY, BOOL, NULL, Domain, Int, Ref, join

_BINARY = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "&": "and", "|": "or", "^": "xor", "<<": "shl", ">>": "shr"}
_COMPARE = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "lt", ">=": "le"}
_WRAPS = ("add", "sub", "mul", "shl")
LITERALS = ("string_literal", "concatenated_string", "initializer_list", "compound_literal_expression")


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
                return Value(int(node.type == "true"), BOOL)
            case "null":
                return Value(0, NULL)
            case "identifier":
                return self._identifier(node)
            case "field_expression" | "subscript_expression":
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
            case "sizeof_expression" | "alignof_expression" | "offsetof_expression":
                return Value(8, Int(8, 8), "", 64)
            case "gnu_asm_expression":
                return self._assembler(node)
        if node.type in LITERALS:
            return Value(0, NULL, OPAQUE)
        self.refuse(node, f"'{' '.join(text_of(node).split())[:50]}' is outside the C that can be checked")

    def refuse(self, node: Node, what: str, hint: str = "") -> NoReturn:
        """Reject a construct at its place."""
        raise PasidlabError(what, position=self.at(node), hint=hint)

    def _parenthesized(self, node: Node) -> Value:
        inner = node.named_children
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
        constant = number(text)
        if constant is None:
            self.refuse(node, f"'{text}' is no integer", "floating point has no place in a kernel")
        suffix = (
            text.lower().lstrip("0123456789abcdefx") if not text.lower().startswith("0x") else text.lower()[2:].lstrip("0123456789abcdef")
        )
        unsigned = (64 if "l" in suffix else 32) if "u" in suffix else 0
        return Value(constant, Int(constant, constant), "", unsigned)

    def _character(self, node: Node) -> Value:
        constant = character(text_of(node))
        if constant is None:
            self.refuse(node, f"{text_of(node)} is no single character")
        return Value(constant, Int(constant, constant))

    def _identifier(self, node: Node) -> Value:
        name = text_of(node)
        variable = self.variables.get(name)
        if variable is not None:
            return self.load(Place(variable, view=variable.view), node)
        if name in self.stubs:
            return self.stubbed(self.stubs[name], self.at(node))
        if name in self.constants:
            return Value(self.constants[name], Int(self.constants[name], self.constants[name]))
        if name in self.vocabulary.values:
            return self.by_meaning(self.vocabulary.values[name], {}, self.at(node))
        constant = self.names.named(name)
        if constant is not None:
            return Value(constant, Int(constant, constant))
        if name in self.vocabulary.features:
            return Value(int(self.vocabulary.features[name]), BOOL)
        self.unknown(name, "name", node)
        return POISON

    def _pointer(self, node: Node) -> Value:
        inner = child(node, "argument")
        if text_of(child(node, "operator")) == "*":
            return self.load(self.place(node), node)
        while inner.type == "parenthesized_expression" and len(inner.named_children) == 1:
            inner = inner.named_children[0]
        if inner.type == "pointer_expression" and text_of(child(inner, "operator")) == "*":
            return self.value(child(inner, "argument"))
        if inner.type == "identifier" and text_of(inner) not in self.variables and text_of(inner) not in self.vocabulary.values:
            return Value(0, NULL, OPAQUE + text_of(inner))  # the address of something outside the model: a lock, a key
        place = self.place(inner)
        if place.nothing or (place.view and place.view != UNKNOWN):
            return self.load(place, inner)
        if place.view == UNKNOWN:
            return POISON
        self.refuse(
            node, f"the address of '{text_of(inner)}' is outside the C that can be checked", "pass the value, or the struct it is in"
        )

    def _binary(self, node: Node) -> Value:
        operator = text_of(child(node, "operator"))
        left, right = child(node, "left"), child(node, "right")
        if operator in ("&&", "||"):
            return self._logical("and" if operator == "&&" else "or", self.truth(self.tested(left), self.at(left)), right, self.at(node))
        if operator == "&" and (masked := self._masked_bits(left, right)) is not None:
            return masked
        a, b = (self.tested(left), self.tested(right)) if operator in ("==", "!=") else (self.value(left), self.value(right))
        if UNKNOWN in (a.view, b.view):
            return POISON
        if operator in _COMPARE:
            return self.compare(operator, a, b, node)
        if operator not in _BINARY:
            self.refuse(node, f"operator '{operator}' is outside the C that can be checked")
        return self.arithmetic(_BINARY[operator], a, b, node)

    def arithmetic(self, op: str, a: Value, b: Value, node: Node) -> Value:
        """A binary operation with C's wrapping of unsigned integers up to 32 bits."""
        if op == "add" and (behind := self._behind(a, node)):
            return Value(a.operand, a.domain, behind)
        if isinstance(a.domain, Ref) or isinstance(b.domain, Ref):
            self.refuse(
                node, f"arithmetic on a pointer or a CPU number: '{plain(node)[:50]}'", "only comparison and -1 mean something there"
            )
        result = Value(
            *self.builder.binary(op, (a.operand, a.domain), (b.operand, b.domain), self.at(node)), "", max(a.unsigned, b.unsigned)
        )
        return self.wrapped(result, node) if op in _WRAPS else result

    def _behind(self, pointer: Value, node: Node) -> str:
        """The struct that ``(void *)p + sizeof(*p)`` points to, if the vocabulary knows what lies behind."""
        size = node.child_by_field_name("right")
        left = node.child_by_field_name("left")
        if size is None or left is None or size.type != "sizeof_expression":
            return ""
        name = plain(left).rpartition(")")[2] or plain(left).strip("()")
        return self.vocabulary.behind.get(pointer.view, "") if plain(size) == f"sizeof(*{name})" else ""

    def wrapped(self, value: Value, node: Node) -> Value:
        """The value modulo its width."""
        if not 0 < value.unsigned <= 32 or fits(value.domain, value.unsigned):
            return value
        mask = (1 << value.unsigned) - 1
        return Value(*self.builder.binary("and", (value.operand, value.domain), (mask, Int(mask, mask)), self.at(node)), "", value.unsigned)

    def compare(self, operator: str, a: Value, b: Value, node: Node) -> Value:
        """A comparison; -1 and NULL compare with references."""
        x, y = (a.operand, a.domain), (b.operand, b.domain)
        x, y = as_domain(x, y[1]) if isinstance(y[1], Ref) else x, as_domain(y, x[1]) if isinstance(x[1], Ref) else y
        x, y = (
            (as_domain(x, y[1]) if isinstance(x[0], int) and y[1] != ANY else x),
            (as_domain(y, x[1]) if isinstance(y[0], int) and x[1] != ANY else y),
        )
        if isinstance(x[1], Ref) and isinstance(y[1], Ref):
            if join(x[1], y[1]) is None:
                self.refuse(node, f"compares a {x[1].struct} with a {y[1].struct}")
            if operator not in ("==", "!="):
                if x[1].struct == "Cpu" and b.constant and b.operand in (0, -1):  # last_cpu < 0, last_cpu >= 0
                    none = {"<": "eq", ">=": "ne", ">": "ne", "<=": "eq"}[operator]
                    return Value(*self.builder.binary(none, x, (0, NULL), self.at(node)))
                self.refuse(node, "pointers and CPU numbers can only be compared for equality")
        if operator in (">", ">="):
            x, y = y, x
        return Value(*self.builder.binary(_COMPARE[operator], x, y, self.at(node)))

    def _masked_bits(self, left: Node, right: Node) -> Value | None:
        """``header.xfeatures & MASK``: only the bits in the mask are looked at."""
        place = self.bits_place(left)
        if place is None:
            return None
        mask = self.value(right)
        return (
            self.load_bits(place, int(mask.operand) if mask.constant else -1, left)
            if mask.constant
            else self.arithmetic("and", self.load_bits(place, -1, left), mask, left)
        )

    def tested(self, node: Node) -> Value:
        """An expression whose truth is asked. Whether a pointer out of the model is NULL is a question for the user."""
        value = self.value(node)
        if value.domain != NULL or not value.view.startswith(OPAQUE) or value.view == OPAQUE:
            return value
        name = text_of(node)
        if name in self.stubs:
            return self.stubbed(self.stubs[name], self.at(node))
        self.unknown(name, "pointer", node)
        return POISON

    def truth(self, value: Value, at: Position) -> Value:
        """A value as 0 or 1."""
        if value.domain == BOOL or value.view == UNKNOWN:
            return value
        return Value(*self.builder.binary("ne", (value.operand, value.domain), (0, value.domain), at))

    def _logical(self, op: str, left: Value, node: Node, at: Position) -> Value:
        """``&&`` and ``||``: with jumps unless the right side has no effect and cannot fault."""
        if isinstance(left.operand, int) and left.view != UNKNOWN:
            return self.truth(self.tested(node), at) if bool(left.operand) == (op == "and") else left
        mark = len(self.builder.code)
        dst = self.builder.temp(BOOL)
        more, done = self.builder.label("more"), self.builder.label("join")
        right = self.truth(self.tested(node), at)
        tail = self.builder.code[mark:]
        if isinstance(right.operand, int) and not tail:
            return left if bool(right.operand) == (op == "and") else Value(right.operand, BOOL)
        if all(instr.op in VALUES for instr in tail):
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
        while (
            node.type == "parenthesized_expression"
            and len(node.named_children) == 1
            and node.named_children[0].type != "compound_statement"
        ):
            node = node.named_children[0]
        if node.type == "unary_expression" and text_of(child(node, "operator")) == "!":
            known = self.condition(child(node, "argument"), no, yes)
            return None if known is None else not known
        value = self.tested(node)
        if value.view == UNKNOWN:
            self.builder.emit("choose", dst := self.builder.temp(BOOL), 0, 1, at=self.at(node))
            value = Value(dst, BOOL)
        self.builder.branch(value.operand, yes, no, self.at(node))
        return bool(value.operand) if isinstance(value.operand, int) else None

    def _conditional(self, node: Node) -> Value:
        at = self.at(node)
        yes, no, done = (self.builder.label(hint) for hint in ("yes", "no", "join"))
        dst = self.builder.temp(BOOL)
        known = self.condition(child(node, "condition"), yes, no)
        sides: list[tuple[bool, Node]] = [
            (True, node.child_by_field_name("consequence") or child(node, "condition")),
            (False, child(node, "alternative")),
        ]
        domain: Domain | None = None
        view = ""
        for wanted, side in sides:
            if known is None or known is wanted:
                self.builder.place(yes if wanted else no, at)
                value = self.value(side)
                operand, one = (
                    as_domain((value.operand, value.domain), domain) if isinstance(domain, Ref) else (value.operand, value.domain)
                )
                domain, view = join(domain, one), view or value.view
                if domain is None:
                    self.refuse(node, "the two sides of the conditional have different types")
                self.builder.emit("copy", dst, operand, at=at)
                self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)
        self.builder.locals[dst] = domain
        return Value(dst, domain or BOOL, view)

    def _unary(self, node: Node) -> Value:
        operator = text_of(child(node, "operator"))
        value = self.tested(child(node, "argument")) if operator == "!" else self.value(child(node, "argument"))
        if value.view == UNKNOWN:
            return POISON
        pair = value.operand, value.domain
        match operator:
            case "!":
                return Value(*self.builder.unary("not", pair, self.at(node)))
            case "~":
                return self.wrapped(Value(*self.builder.unary("inv", pair, self.at(node)), "", value.unsigned), node)
            case "-":
                return self.wrapped(Value(*self.builder.binary("sub", (0, Int(0, 0)), pair, self.at(node)), "", value.unsigned), node)
            case "+":
                return value
        self.refuse(node, f"operator '{operator}' is outside the C that can be checked")

    def _update(self, node: Node) -> Value:
        place = self.place(child(node, "argument"))
        old = self.load(place, node)
        operator = text_of(child(node, "operator"))
        kept = Value(*self.builder.unary("copy", (old.operand, old.domain), self.at(node))) if isinstance(old.operand, str) else old
        new = self.arithmetic("add" if operator == "++" else "sub", kept, Value(1, Int(1, 1)), node)
        self.store(place, new, node)
        prefix = node.children[0].type in ("++", "--")
        return new if prefix else kept

    def _assignment(self, node: Node) -> Value:
        operator = text_of(child(node, "operator"))
        left, right = child(node, "left"), child(node, "right")
        if operator == "=":
            value = self.value(right)
            place = self.place(left)
            self.store(place, value, node)
            return value
        place = self.place(left)
        if place.bits and operator in ("|=", "&="):
            return self.change_bits(place, operator, self.value(right), node)
        op = _BINARY.get(operator[:-1])
        if op is None:
            self.refuse(node, f"operator '{operator}' is outside the C that can be checked")
        old, change = self.load(place, left), self.value(right)
        if UNKNOWN in (old.view, change.view):
            return POISON
        new = self.arithmetic(op, old, change, node)
        self.store(place, new, node)
        return new

    def _cast(self, node: Node) -> Value:
        descriptor = child(node, "type")
        _, type_, _ = declared(base_type(descriptor.child_by_field_name("type")), descriptor.child_by_field_name("declarator"))
        value = self.value(child(node, "value"))
        if type_.pointers or type_.void or value.view == UNKNOWN:
            view = type_.struct if type_.struct in self.vocabulary.structs and not value.view else value.view
            return Value(value.operand, value.domain, view, 0)
        return self.converted(value, type_, node)

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
